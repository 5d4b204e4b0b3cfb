/* kernels/kernels.h: the interface of all kernels: the shapes, the outputs and the rules of each. A device implements
 * the kernels and fills one table of function pointers, `Kernels`.
 *
 * Rules: a kernel takes a Run and raw pointers, computes, and returns. A kernel does not allocate, print, fail or keep
 * state. Sizes may be zero: an empty result is not written, and an empty sum is 0. Unless the comment of a kernel says
 * otherwise:
 * - Matrices are float32, row-major and contiguous.
 * - Memory that a kernel writes does not overlap its other operands.
 * - No pointer is NULL.
 *
 * Letters of dimensions: M, N, K in matrix products (K: the inner dimension); B batch, T tokens, C channels or columns,
 * H heads or height, D features, E edges (the stored entries of a sparse matrix), I items, Q queries. k: the number of
 * results per row; in pooling, the side of the window.
 *
 * Memory: descriptors (Gemm, Sparse, Exclude, BprPart, AdamStep, ...) are in host memory and are read during the call.
 * All other pointers, including those in descriptors, point to memory of the device, except the host side of an upload
 * or a download. The caller has checked that ids and offsets are in range.
 *
 * Order: a device may compute after the call has returned. It computes the calls of one context in their order. If
 * context A computes something, another context B may read it only after A has made a download. When an upload returns,
 * it has read the host's memory. When a download returns, it has written the host's memory; `download_later` has its
 * own rule.
 *
 * NaN: a sum or a product with a NaN is NaN. The maximum of a NaN and a number is undefined. Rankings leave NaN out.
 *
 * Types: an operand that may have a type other than float32 is a `void *` with a DType. In a descriptor the DType is
 * the member with the operand's name (Gemm.A_type; 0 is F32). In a call without a descriptor it is the argument `type`,
 * for all `void *` of the call. `supports` reports which types a table accepts. Whatever the types of the operands are,
 * sums are computed in float32.
 *
 * Reproducible bits: the order of a sum depends only on its length, never on the number of threads, the batch size or
 * the cache sizes. If values are equal, the lower index comes first.
 *
 * Scratch: a kernel that needs scratch has a `_work` companion, which returns the number of bytes for exactly these
 * sizes; a call with smaller sizes may need more. Run.work has at least this number of bytes. A `_work` or `_way`
 * companion gets the same Run, or a Run without `work`. It reads sizes and whether a pointer is NULL, never device
 * memory.
 *
 * To add a kernel: add its member here, its functions in kernels/cpu/ and kernels/cuda/, its name in list.h, its test
 * cases, and its line in tests/far/entries.h (CONTRIBUTING.md: Add a kernel). */
#ifndef SAPOR_KERNELS_H
#define SAPOR_KERNELS_H

#include "kernels/act.h"

typedef struct Run {
    void *context; /* where the device computes; on the CPU a Pool, or NULL for one thread */
    void *work;    /* scratch of the device, 64-byte aligned; the next call may reuse it */
    size_t work_bytes;
    Trace *trace; /* NULL: no trace. The caller of a kernel writes the trace, not the kernel */
} Run;

/* The method that a kernel would use for these arguments, and the reason. Shown by `sapor info --kernels`. */
typedef struct Way {
    char name[32];
    const char *why;
} Way;

/* ---- dense products -------------------------------------------------------------------------- */

/* The type that weights are packed to. All other operands stay float32.
 * - PACK_F16: half the bytes. Multiplied as float32.
 * - PACK_BF16: half the bytes. Multiplied as float32, or with A rounded to bf16 too, whichever is faster on the
 *   processor.
 * - PACK_INT8: a scale per column of B, and a scale and a zero point per row of A. The 32-bit sums are exact for K <=
 *   PACK_INT8_K.
 *
 * The packed form depends on the table and on the processor. Only the table that packed the weights can read them. */
typedef enum Pack { PACK_F32, PACK_F16, PACK_BF16, PACK_INT8, PACK_COUNT } Pack;
enum { PACK_INT8_K = 1 << 15 };
const char *pack_name(Pack p); /* "f32", "f16", "bf16" or "int8" */

/* A matrix product. Strides are in elements, so that A and B may be transposed.
 *
 *   C[M,N] = act(alpha A[M,K] B[K,N] + beta C + bias[N] + residual[M,N]) */
typedef struct Gemm {
    int64_t M, N, K;
    const void *A;
    DType A_type;
    int64_t a_row, a_col; /* A[m,k] is at m a_row + k a_col */
    const void *B;
    DType B_type;
    int64_t b_row, b_col; /* B[k,n] is at k b_row + n b_col; ignored if `packed` is given */
    const void *packed;   /* B as gemm_pack wrote it, or NULL */
    Pack pack;            /* the type of `packed`; if it is not PACK_F32, a_col must be 1 */
    void *C;
    DType C_type;
    int64_t ldc;          /* C[m,n] is at m ldc + n */
    float alpha, beta;    /* if beta is 0, C is not read */
    const float *bias;    /* or NULL */
    const void *residual; /* or NULL; may be C */
    DType residual_type;
    int64_t ldr; /* residual[m,n] is at m ldr + n */
    Act act;
    float act_param; /* the slope of ACT_LEAKY_RELU */
} Gemm;

/* ---- images: [batch, height, width, channels] (NHWC) ----------------------------------------- */

/* A convolution, for image b, output pixel (h, w) and output channel o. c counts the input channels of o's group.
 *
 *   y[b,h,w,o] = act(sum over i, j, c of x[b, h stride + i - top, w stride + j - left, c] weights[o,c,i,j]
 *                    + bias[o] + residual[b,h,w,o]) */
typedef struct Conv {
    int64_t B, H, W, C; /* input [B,H,W,C] */
    int64_t O;          /* output channels */
    /* each group of O / groups output channels reads C / groups input channels. For conv_back, groups is 1, or groups =
     * C = O */
    int64_t kh, kw, stride, groups;
    int64_t top, left, bottom, right; /* zero padding */
    const void *x;
    DType x_type;
    const void *packed; /* the weights as conv_pack wrote them */
    /* the type of packed 1 x 1 kernels without stride and padding; other kernels are packed as float32 */
    Pack pack;
    void *y; /* [B,OH,OW,O] */
    DType y_type;
    const float *bias;    /* [O] or NULL */
    const void *residual; /* like y: y = act(conv + bias + residual); or NULL */
    Act act;              /* the parameter of `act` is 0: Conv has no act_param */
    /* 6: allows Winograd's F(6,3) for 3 x 3 kernels. It is faster than F(4,3) on large images, but its rounding errors
     * are four times as large. */
    int winograd;
} Conv;
/* The gradients of a convolution without bias, residual and act. `forward` gives the shape and x. */
typedef struct ConvBack {
    Conv forward;
    const float *weights; /* [O, C/groups, kh, kw] */
    const float *dy;      /* [B,OH,OW,O] */
    float *dx, *dweights; /* dx is like x, dweights like `weights`; NULL: not computed */
    float x_beta, w_beta; /* 0: the gradient is written; 1: it is added */
} ConvBack;
/* Returns the output height or width. pad: the padding of both sides together; in + pad >= kernel. */
static inline int64_t conv_out(int64_t in, int64_t kernel, int64_t stride, int64_t pad)
{
    return (in + pad - kernel) / stride + 1;
}

/* Batch normalisation of x [M, C], where M is the number of pixels of all images. Each column (channel) c is
 * normalised:
 *
 *   y = (x - mean) rstd gamma + beta,  rstd = 1 / sqrt(variance + eps) */
typedef struct BatchNorm {
    int64_t M, C;
    const float *x, *gamma, *beta; /* gamma, beta [C] */
    /* - true: normalises with the mean and the variance (divided by M) of x. Then running_mean += momentum (mean -
     *   running_mean); the same for running_var, with the variance divided by M - 1.
     * - false: normalises with running_mean and running_var. */
    bool batch;
    float eps, momentum;
    float *running_mean, *running_var; /* [C] */
    float *y;                          /* may be x */
    float *mean, *rstd;                /* [C]: written: the mean and rstd that x was normalised with */
} BatchNorm;
typedef struct BatchNormBack {
    BatchNorm forward; /* with mean and rstd from the forward pass; y is not read */
    const float *dy;
    float *dx;             /* written; NULL: not computed. May be dy */
    float *dgamma, *dbeta; /* [C], added to; NULL: not computed */
} BatchNormBack;

/* ---- attention ------------------------------------------------------------------------------- */

/* Attention, for each text b and head h (K' is K transposed):
 *
 *   out = softmax(scale Q K' + bias) V
 *
 * The scores are never stored. Text b has the query rows q_offsets[b] .. q_offsets[b+1]-1, and the key and value rows
 * k_offsets[b] .. k_offsets[b+1]-1. The last query has the position of the last key: if a text has Tq queries and Tk
 * keys, query i has the position i + Tk - Tq. If `causal`, a query attends only to keys j <= position. If `window` > 0,
 * it attends only to keys with |j - position| < window. A query that attends to no key gets a row of zeros in `out`.
 * Each key head serves H / Hk consecutive query heads (grouped-query attention, Ainslie et al. 2023). */
typedef struct Attention {
    /* Hk: number of key and value heads, a divisor of H; 0 means H. D: the size of one head */
    int64_t B, H, Hk, D;
    const int32_t *q_offsets, *k_offsets; /* [B+1]; k_offsets NULL: keys have the same rows as queries */
    int64_t q_longest, k_longest;         /* the number of rows of the longest text */
    const void *q, *k, *v;                /* row r, head h, feature d is at r ld + h D + d */
    DType type;                           /* of q, k and v */
    int64_t q_ld, k_ld, v_ld;             /* for a fused [rows, 3 H D] projection: ld is 3 H D, and k is q + H D */
    void *out;                            /* [rows, H D] */
    DType out_type;
    int64_t out_ld;
    float scale;
    /* [H, 2 R + 1], or NULL: relative[h][clamp(j - position, -R, R) + R] is added to the score of key j */
    const float *relative;
    int64_t R;
    bool causal;
    int64_t window; /* 0: no window */
    /* [H, query rows]: the log-sum-exp for the backward pass, or NULL; -inf for a query that attends to no key */
    float *lse;
} Attention;
typedef struct AttentionBack {
    Attention forward;  /* with out and lse from the forward pass */
    const void *dout;   /* like out */
    void *dq, *dk, *dv; /* written; laid out like q, k and v, with their own strides */
    int64_t dq_ld, dk_ld, dv_ld;
    float *drelative; /* like `relative`, added to; NULL: not computed */
} AttentionBack;

/* ---- sparse ---------------------------------------------------------------------------------- */

/* A sparse matrix in CSR form. Row r has the entries start[r] <= e < start[r+1]. Entry e is in column col[e]; the
 * columns of a row are in ascending order. The value of the entry is the product of the arrays that are not NULL, or 1:
 *
 *   val[val_index ? val_index[e] : e] * row_scale[r] * col_scale[col[e]] */
typedef struct Sparse {
    int64_t rows, cols, entries;        /* E */
    const int64_t *start;               /* [rows+1], from 0 to E */
    const int32_t *col;                 /* [E] */
    const float *val;                   /* [E], or the array that `val_index` indexes */
    const int32_t *val_index;           /* [E] */
    const float *row_scale, *col_scale; /* [rows], [cols] */
} Sparse;

/* The ids that must not be ranked. The list of batch row b has the number r = row ? row[b] : b. It is item[start[r]] ..
 * item[start[r+1] - 1], in ascending order. start NULL: no id is excluded. */
typedef struct Exclude {
    const int64_t *start;
    const int32_t *item;
    const int32_t *row;
} Exclude;

enum { BPR_USER, BPR_POS, BPR_NEG };
typedef struct BprPart {
    int64_t D;
    const float *x[3]; /* [B, D] each: users, positive items, negative items */
    float eps;         /* > 0: the rows of items are used as x / max(|x|, eps); rows of zeros stay zeros */
    float *dx[3];      /* backward pass: the gradients, or NULL */
    float beta[3];     /* 0: dx is written; 1: the gradient is added to dx */
} BprPart;

/* BIN_ABOVE is the derivative of max(a, b) by a: 1 if a > b, 1/2 if a = b, else 0 */
typedef enum Binary { BIN_ADD, BIN_SUB, BIN_MUL, BIN_DIV, BIN_MAX, BIN_ABOVE } Binary;
/* The shape of the second operand next to a matrix [M,C]: a row [C], a column [M], or one number [1] */
typedef enum Spread { SPREAD_ROW, SPREAD_COLUMN, SPREAD_NUMBER } Spread;
/* UN_CLAMP: x limited to [lo, hi]. UN_INSIDE: its derivative, 1 if lo <= x <= hi, else 0 */
typedef enum Unary { UN_EXP, UN_LOG, UN_SQRT, UN_SIGN, UN_CLAMP, UN_INSIDE } Unary;
/* NOISE_UNIFORM: draw_uniform, [0, 1); NOISE_NORMAL: draw_normal; NOISE_GUMBEL: -log(-log u), u uniform in (0, 1) */
typedef enum Noise { NOISE_UNIFORM, NOISE_NORMAL, NOISE_GUMBEL } Noise;
typedef enum Reduce { REDUCE_SUM, REDUCE_MEAN, REDUCE_MAX, REDUCE_FIRST } Reduce; /* the result for no rows is 0 */

/* One step of Adam (Kingma & Ba 2015), as torch.optim.Adam computes it: bias-corrected, eps added after the root,
 * weight decay added to the gradient. Or one step of AdamW (Loshchilov & Hutter 2019): weight decay multiplies the
 * parameter before the step. The numbers of step t are computed once, so that replayed steps use the same floats. */
typedef struct AdamStep {
    float step_size;  /* lr / (1 - beta1^t) */
    float root_scale; /* 1 / sqrt(1 - beta2^t) */
    float beta1, beta2, eps, weight_decay;
    float shrink; /* AdamW: 1 - lr weight_decay; Adam: 1 */
} AdamStep;
AdamStep adam_step(double lr, double beta1, double beta2, double eps, double weight_decay, int64_t t);
AdamStep adamw_step(double lr, double beta1, double beta2, double eps, double weight_decay, int64_t t);

/* The other optimisers, as torch.optim defines them. d is the gradient plus weight_decay times the parameter. */
typedef struct SgdStep {
    float lr, weight_decay;
    /* buffer = momentum * buffer + damped * d. `damped` is 1 in the first step, and 1 - dampening in later steps */
    float momentum, damped;
    bool nesterov;
} SgdStep;
typedef struct AdagradStep { /* Duchi et al. 2011 */
    float lr;                /* in step t: lr / (1 + (t - 1) lr_decay) */
    float eps, weight_decay;
} AdagradStep;
typedef struct RmspropStep { /* Tieleman & Hinton 2012; centred: Graves 2013 */
    float lr, eps, weight_decay, momentum;
    float alpha, fresh; /* fresh = 1 - alpha */
} RmspropStep;

/* ---- the table ------------------------------------------------------------------------------- */

enum { KERNELS_VERSION = 3 };

typedef struct Kernels {
    size_t bytes;       /* sizeof(Kernels): checked when a plug-in is loaded */
    uint32_t version;   /* KERNELS_VERSION */
    const char *device; /* "cpu" or "cuda" */
    const char *level;  /* for example "avx512" */
    const char *about;  /* one line about the level: the size of its vectors and its register tile */

    /* Allocate and free memory of the device, 64-byte aligned. On the CPU the memory comes from `heap`; other devices
     * may have their own. `alloc` returns NULL if there is not enough memory. `free` may be called while earlier calls
     * of the same context still use the memory: the device frees it after them. */
    void *(*alloc)(const Run *, const Heap *heap, size_t bytes);
    void (*free)(const Run *, const Heap *heap, void *p, size_t bytes);
    /* Copy `bytes` bytes. The two sides of `copy` may overlap. */
    void (*upload)(const Run *, void *device, const void *host, size_t bytes);
    void (*download)(const Run *, void *host, const void *device, size_t bytes);
    /* Starts a download and returns without waiting for the device. The host memory is written when `arrive` returns.
     * Until then the caller keeps this memory and does not access it. The device memory may be reused immediately. */
    void (*download_later)(const Run *, void *host, const void *device, size_t bytes);
    /* Waits for the last download_later to `host` and for all earlier ones. Returns immediately if there is none. NULL:
     * waits for all. */
    void (*arrive)(const Run *, const void *host);
    void (*copy)(const Run *, void *to, const void *from, size_t bytes);
    void (*zero)(const Run *, void *p, size_t bytes);

    /* the device */
    /* Reports whether all calls with this context could be computed. If false, *e has the first cause, and every later
     * check fails too. Calls after the last download may not be computed yet. */
    bool (*check)(const Run *, Error *e);
    /* Writes the bytes of the device's memory: available and in total. 0: unknown (the CPU). */
    void (*memory)(const Run *, size_t *available, size_t *total);
    /* Mark the start and the end of a step. Many steps make the same calls. The device may submit all calls of a step
     * together at its end. A download, an alloc or a free is allowed within a step; the calls before it are
     * submitted then. */
    void (*step_begin)(const Run *);
    void (*step_end)(const Run *);
    /* Waits until all calls so far are computed, and returns the time in seconds. For profiles. */
    double (*clock)(const Run *);
    /* Marks the start of `op` for the vendor's profilers. NULL: marks the end of the last op that was started. */
    void (*range)(const Run *, const char *op);

    /* types (types.c) */
    /* Reports whether a kernel accepts a type for an operand: supports("gather", "table", F16). Operands have the names
     * of this header. F32 is always supported. For another type a caller checks first, and converts or refuses if it is
     * unsupported. */
    bool (*supports)(const char *entry, const char *operand, DType type);
    /* y[i] = x[i], rounded to the nearest number of y's type, ties to even. Finite numbers beyond the largest F16
     * become the largest F16. */
    void (*convert)(const Run *, int64_t n, DType x_type, const void *x, DType y_type, void *y);

    /* dense (gemm/gemm.c) */
    bool (*gemm_packs)(Pack); /* whether this table can pack weights to the type, on this processor or device */
    size_t (*gemm_pack_bytes)(Pack, int64_t K, int64_t N);
    /* Packs B [K,N], with B[k,n] at k b_row + n b_col. `packed` has gemm_pack_bytes bytes */
    void (*gemm_pack)(const Run *, Pack, int64_t K, int64_t N, const float *B, int64_t b_row, int64_t b_col,
                      void *packed);
    /* Unpacks n columns, as float32: B[k ldb + j] is element (k, first + j) of the packed matrix, as the packing
     * rounded it */
    void (*gemm_unpack)(const Run *, Pack, int64_t K, int64_t N, const void *packed, int64_t first, int64_t n, float *B,
                        int64_t ldb);
    size_t (*gemm_work)(const Run *, const Gemm *);
    Way (*gemm_way)(const Run *, const Gemm *);
    void (*gemm)(const Run *, const Gemm *);

    /* convolution, pooling, batch normalisation (image/). Weights are [O, C/groups, kh, kw]. If an image with its
     * padding is smaller than the kernel, it has no output, and its gradient is zero. */
    size_t (*conv_pack_bytes)(const Conv *);
    void (*conv_pack)(const Run *, const Conv *, const float *weights, void *packed);
    size_t (*conv_work)(const Run *, const Conv *);
    Way (*conv_way)(const Run *, const Conv *);
    void (*conv)(const Run *, const Conv *);
    size_t (*conv_back_work)(const Run *, const ConvBack *);
    void (*conv_back)(const Run *, const ConvBack *);
    /* Maximum over k x k windows; the padding is -inf. x [B,H,W,C] */
    void (*max_pool)(const Run *, int64_t B, int64_t H, int64_t W, int64_t C, int64_t k, int64_t stride, int64_t pad,
                     const float *x, float *y);
    /* y [B,C] = mean over all HW = H W > 0 pixels */
    void (*mean_pool)(const Run *, int64_t B, int64_t HW, int64_t C, const float *x, float *y);
    /* y[b,p,c] = s[b,c] x[b,p,c] at all HW pixels p. y may be x */
    void (*channel_scale)(const Run *, int64_t B, int64_t HW, int64_t C, const float *x, const float *s, float *y);
    /* y[b,c] = sum over p of a[b,p,c] b[b,p,c]: the gradient of channel_scale by s */
    void (*channel_dot)(const Run *, int64_t B, int64_t HW, int64_t C, const float *a, const float *b, float *y);
    /* dx is written: the dy of each window is added at the first maximum of the window. y is the output of max_pool */
    void (*max_pool_back)(const Run *, int64_t B, int64_t H, int64_t W, int64_t C, int64_t k, int64_t stride,
                          int64_t pad, const float *x, const float *y, const float *dy, float *dx);
    void (*mean_pool_back)(const Run *, int64_t B, int64_t HW, int64_t C, const float *dy, float *dx);
    size_t (*batch_norm_work)(const Run *, const BatchNorm *);
    void (*batch_norm)(const Run *, const BatchNorm *);
    size_t (*batch_norm_back_work)(const Run *, const BatchNormBack *);
    void (*batch_norm_back)(const Run *, const BatchNormBack *);

    /* rows (norm.c). x [M,C] */
    /* y = (s - mean) rstd gamma + beta, with s = x + residual (residual may be NULL). mean, rstd [M] are written unless
     * NULL. y may be x */
    void (*layer_norm)(const Run *, int64_t M, int64_t C, DType type, const void *x, const void *residual,
                       const float *gamma, const float *beta, float eps, void *y, float *mean, float *rstd);
    /* dx is the gradient by s = x + residual, so it is the gradient by x and by residual. dx may be dy. dgamma, dbeta
     * [C] are added to (NULL: not computed) */
    size_t (*layer_norm_back_work)(const Run *, int64_t M, int64_t C);
    void (*layer_norm_back)(const Run *, int64_t M, int64_t C, const float *x, const float *residual,
                            const float *gamma, const float *mean, const float *rstd, const float *dy, float *dx,
                            float *dgamma, float *dbeta);
    void (*softmax)(const Run *, int64_t M, int64_t C, const float *x, float *y); /* y may be x */
    /* dx = y (dy - y . dy). dx may be dy */
    void (*softmax_back)(const Run *, int64_t M, int64_t C, const float *y, const float *dy, float *dx);
    /* y = x / max(|x|, eps) per row; norm [M] = max(|x|, eps), or NULL. Rows of zeros stay zero. y may be x */
    void (*row_normalize)(const Run *, int64_t M, int64_t C, float eps, const float *x, float *y, float *norm);
    /* dx = (dy - y (y . dy)) / norm; for rows with norm = eps: dx = dy / eps. dx may be dy */
    void (*row_normalize_back)(const Run *, int64_t M, int64_t C, float eps, const float *y, const float *norm,
                               const float *dy, float *dx);
    void (*row_dot)(const Run *, int64_t M, int64_t C, const float *a, const float *b, float *y); /* y [M] */
    /* y[m,c] = s[m] x[m,c] + beta y[m,c] */
    void (*row_scale)(const Run *, int64_t M, int64_t C, const float *x, const float *s, float beta, float *y);
    void (*row_sum)(const Run *, int64_t M, int64_t C, const float *x, float *y); /* y [M] */
    /* y[m] = log(exp(y[m]) + sum over c of exp(x[m,c])), without overflow. The caller sets y to -inf first and may pass
     * x block by block */
    void (*log_sum_exp)(const Run *, int64_t M, int64_t C, const float *x, float *y);
    size_t (*col_sum_work)(const Run *, int64_t M, int64_t C);
    /* y [C] = beta y + sum over m of x[m,:] */
    void (*col_sum)(const Run *, int64_t M, int64_t C, const float *x, float beta, float *y);
    /* y[m ldy + c] = x[m ldx + c] + beta y[m ldy + c]: for slices and concatenations */
    void (*copy_cols)(const Run *, int64_t M, int64_t C, const float *x, int64_t ldx, float beta, float *y,
                      int64_t ldy);

    /* attention (attention.c) */
    size_t (*attention_work)(const Run *, const Attention *);
    Way (*attention_way)(const Run *, const Attention *);
    void (*attention)(const Run *, const Attention *);
    size_t (*attention_back_work)(const Run *, const AttentionBack *);
    void (*attention_back)(const Run *, const AttentionBack *);

    /* element by element (elementwise.c). y may be x, a or b */
    void (*act)(const Run *, int64_t n, Act act, float param, DType type, const void *x, void *y);
    /* dx = dy act'(x), written. x is the input of act, or its output if act_from_result(act, param). dx may be dy or x
     */
    void (*act_back)(const Run *, int64_t n, Act act, float param, const float *x, const float *dy, float *dx);
    void (*binary)(const Run *, int64_t n, Binary op, const float *a, const float *b, float *y);
    /* y[m,c] = x[m,c] op v; `how` gives the shape of v */
    void (*broadcast)(const Run *, int64_t M, int64_t C, Binary op, Spread how, const float *x, const float *v,
                      float *y);
    /* lo, hi: the limits of UN_CLAMP and UN_INSIDE */
    void (*unary)(const Run *, int64_t n, Unary op, float lo, float hi, const float *x, float *y);
    /* y[i] = the draw `first` + i of d */
    void (*noise)(const Run *, int64_t n, Noise kind, Draw d, uint64_t first, float *y);
    /* y = a x + b y; if b is 0, y is not read */
    void (*axpby)(const Run *, int64_t n, float a, const float *x, float b, float *y);
    /* y[m,c] = act(x[m,c] + bias[c]) */
    void (*add_bias)(const Run *, int64_t M, int64_t C, DType type, const void *x, const float *bias, Act act,
                     float param, void *y);
    /* y[i] = x[i] / (1 - p) if draw_uniform(d, first + i) >= p, otherwise 0. The backward pass is the same call with dy
     * instead of x */
    void (*dropout)(const Run *, int64_t n, float p, Draw d, uint64_t first, const float *x, float *y);
    void (*fill)(const Run *, int64_t n, float value, float *y);
    size_t (*sum_work)(const Run *, int64_t n);
    /* out [1] = sum of x, or of x^2. Blocks of fixed size are summed in float32, and their sums are added in float64 */
    void (*sum)(const Run *, int64_t n, const float *x, float *out);
    void (*sum_squares)(const Run *, int64_t n, const float *x, float *out);

    /* rows by index (gather.c) */
    /* y[i,:] = beta y[i,:] + table[ids[i],:]. An id < 0 means a row of zeros */
    void (*gather)(const Run *, int64_t n, int64_t D, DType type, const void *table, const int32_t *ids, float beta,
                   float *y);
    /* y[to ? to[s] : s, :] = beta y + scale (sum over j in [start[s], start[s+1]) of x[order ? order[j] : j, :]),
     * summed in the order of j. `to` has distinct rows. order and to may be NULL */
    void (*segment_sum)(const Run *, int64_t S, int64_t D, const int64_t *start, const int32_t *order,
                        const int32_t *to, DType type, const void *x, float scale, float beta, float *y);
    /* Pooling of ragged rows.
     * - y [B,D]: y[b] is computed from the rows offsets[b] .. offsets[b+1]-1 of x.
     * - arg [B,D]: for REDUCE_MAX, the row of the maximum (the first of equal ones; -1 if there are no rows); or NULL.
     *
     * The backward pass writes the rows offsets[0] .. offsets[B]-1 of dx. It reads arg for REDUCE_MAX. */
    void (*segment_pool)(const Run *, int64_t B, int64_t D, const int32_t *offsets, Reduce how, const float *x,
                         float *y, int32_t *arg);
    void (*segment_pool_back)(const Run *, int64_t B, int64_t D, const int32_t *offsets, Reduce how, const int32_t *arg,
                              const float *dy, float *dx);

    /* sparse (sparse.c) */
    /* y = alpha A x + beta y. The rows of x [cols, D] are ldx apart, those of y [rows, D] ldy apart */
    void (*spmm)(const Run *, const Sparse *A, int64_t D, DType type, const void *x, int64_t ldx, float alpha,
                 float beta, void *y, int64_t ldy);
    /* out[e] = beta out[e] + alpha (x[row of e] . y[col of e]), for every stored entry e: the gradient by the values,
     * for x [rows,D] and y [cols,D]. The values of A are ignored. The dot product is multiplied by the scales of A */
    void (*sddmm)(const Run *, const Sparse *A, int64_t D, const float *x, const float *y, float alpha, float beta,
                  float *out);
    /* Softmax over the entries of each row. x, y, dy, dx [E]. A's values and scales are ignored. y may be x, dx may be
     * dy */
    void (*edge_softmax)(const Run *, const Sparse *A, const float *x, float *y);
    void (*edge_softmax_back)(const Run *, const Sparse *A, const float *y, const float *dy, float *dx);
    /* out [rows] = sum of val[A->val_index ? A->val_index[e] : e] over the entries e of a row */
    void (*edge_row_sum)(const Run *, const Sparse *A, const float *val, float *out);
    /* out[e] = val[e] rs[row] cs[col], to normalise values. A NULL scale is 1. out may be val */
    void (*edge_scale)(const Run *, const Sparse *A, const float *val, const float *rs, const float *cs, float *out);

    /* y = x > 0 ? x^-1/2 : 0, computed in float64. x is the sum of a node's values, y the node's scale. y may be x */
    void (*inverse_root)(const Run *, int64_t n, const float *x, float *y);
    /* d = -1/2 y^3 d, computed in float64: turns the gradient by y into the gradient by x */
    void (*inverse_root_back)(const Run *, int64_t n, const float *y, float *d);

    /* ranking (topk.c). The scores are computed in tiles and ranked while a cache holds them; the whole product is
     * never stored. The best score comes first; of equal scores the lower id comes first. Scores of -inf and NaN are
     * never kept. If fewer than k scores are left, the remaining places have id -1 and score -inf. */
    size_t (*knn_work)(const Run *, int64_t Q, int64_t I, int64_t D, int64_t k);
    /* For each row of q [Q,D], finds the k rows of x [I,D] with the largest dot products: ids, values [Q,k]. With
     * normalised rows the result is the graph of cosine neighbours. If q is x, and Q is I, the CPU computes only half
     * of the product. */
    void (*knn)(const Run *, int64_t Q, int64_t I, int64_t D, int64_t k, DType type, const void *q, const void *x,
                int32_t *ids, float *values);
    /* Like knn, but each row of q [Q,D] is compared only with the rows of at most P out of L lists (knn_lists.c).
     * - start [L+1]: list l has the rows start[l] .. start[l+1] - 1 of x. So x has n = start[L] rows.
     * - x [n,D]: the rows, sorted by list.
     * - number [n]: the number of each row, in ascending order within a list.
     * - probe [Q,P]: the lists for each row of q, each list at most once; -1: no list.
     * - ids, values [Q,k]: the numbers and dot products of the best rows; of equal values the lower number comes first.
     */
    size_t (*knn_lists_work)(const Run *, int64_t Q, int64_t L, int64_t D, int64_t P);
    void (*knn_lists)(const Run *, int64_t Q, int64_t L, int64_t D, int64_t P, int64_t k, DType type, const void *q,
                      const int32_t *probe, const int64_t *start, const void *x, const int32_t *number, int32_t *ids,
                      float *values);
    size_t (*topk_work)(const Run *, int64_t B, int64_t I, int64_t D, int64_t k);
    Way (*topk_way)(const Run *, int64_t B, int64_t I, int64_t D, int64_t k);
    /* Ranks the items for each batch row b by the score users[row ? row[b] : b,:] . items[i,:] + (bias ? bias[i] : 0).
     * Leaves out the ids of `exclude` (NULL: none) and keeps the k best: ids, scores [B,k] */
    void (*topk)(const Run *, int64_t B, int64_t I, int64_t D, int64_t k, DType type, const void *users,
                 const int32_t *row, const void *items, const float *bias, const Exclude *exclude, int32_t *ids,
                 float *scores);
    /* Like topk, for given scores [B,I] */
    void (*topk_rows)(const Run *, int64_t B, int64_t I, int64_t k, const float *scores, const Exclude *exclude,
                      int32_t *ids, float *values);

    /* losses (loss.c). The scores pos, neg [B] are sums over parts of row-wise dot products.
     *
     *   loss[b] = softplus(neg - pos) + l2 (sum of squares)
     *           = -log sigmoid(pos - neg) + ...
     *   slope[b] = -sigmoid(neg - pos) = d loss / d pos
     *
     * The sum of squares is over the user's row, the positive row and the negative row of all parts; the rows of items
     * are scaled before (BprPart). The loss is computed without overflow. slope may be NULL. */
    void (*bpr)(const Run *, int64_t B, int parts, const BprPart *part, float l2, float *loss, float *slope);
    /* dx = beta dx + gradient. The loss of each row is multiplied by the product of `scale` and dloss[0]. slope
     * is the output of bpr. dx NULL: not computed. The same dx may be given several times. Its beta must be 1 from the
     * second time on: the gradients are added in the order of the parts, and within a part in the order of x[]. */
    void (*bpr_back)(const Run *, int64_t B, int parts, const BprPart *part, float l2, const float *slope, float scale,
                     const float *dloss);

    /* optimisers (optim.c). p, m, v [rows, D]. All forms of Adam give the same bits as the dense form. Subnormal
     * numbers of m and v become 0. */
    void (*adam)(const Run *, int64_t n, const AdamStep *s, const float *g, float *p, float *m, float *v);
    /* For the rows ids (NULL: 0..n-1): replays the missed steps of rows that had no gradient. Row r is up to date to
     * step last[r]. The kernel computes the steps last[r]+1 .. now with a zero gradient, then sets last[r] = now.
     * history[t] is the AdamStep of step t, t = 1..now. */
    void (*adam_replay)(const Run *, int64_t n, int64_t D, const int32_t *ids, const AdamStep *history, int32_t now,
                        int32_t *last, float *p, float *m, float *v);
    /* history[now] = *s. s is in host memory */
    void (*adam_note)(const Run *, const AdamStep *s, int32_t now, AdamStep *history);
    /* For the rows ids (distinct): replays up to step now-1, then computes step `now` with the gradient g [n, D] */
    void (*adam_rows)(const Run *, int64_t n, int64_t D, const int32_t *ids, const AdamStep *history, int32_t now,
                      const float *g, int32_t *last, float *p, float *m, float *v);
    /* Like adam_rows, with the gradient dy[n,K] w[K,D]. The gradient is computed tile by tile and is not stored. ids
     * NULL: rows 0..n-1 */
    size_t (*adam_factored_work)(const Run *, int64_t n, int64_t D, int64_t K);
    void (*adam_factored)(const Run *, int64_t n, int64_t D, int64_t K, const int32_t *ids, const AdamStep *history,
                          int32_t now, const float *dy, const float *w, int32_t *last, float *p, float *m, float *v);
    /* p -= lr d. With a buffer (NULL if momentum is 0): p -= lr buffer; if nesterov, p -= lr (d + momentum buffer) */
    void (*sgd)(const Run *, int64_t n, const SgdStep *s, const float *g, float *p, float *buffer);
    /* For the rows ids (distinct; NULL: 0..n-1) with the gradient g [n, D]: sum += d^2, p -= lr d / (sqrt(sum) + eps).
     * Without weight decay, a row with a zero gradient does not change. */
    void (*adagrad)(const Run *, int64_t n, int64_t D, const int32_t *ids, const AdagradStep *s, const float *g,
                    float *p, float *sum);
    /* With u = d / (sqrt(v - mean^2) + eps):
     *
     *   v = alpha v + fresh d^2
     *   mean = alpha mean + fresh d   (NULL: not centred, mean is 0)
     *   p -= lr u, or with a buffer: buffer = momentum buffer + u, p -= lr buffer
     *
     * buffer is NULL if momentum is 0. */
    void (*rmsprop)(const Run *, int64_t n, const RmspropStep *s, const float *g, float *p, float *v, float *mean,
                    float *buffer);
    /* out [1] = min(1, max_norm / (sqrt(sum of squares [n]) + 1e-6)): the factor of gradients in
     * torch.nn.utils.clip_grad_norm_. `squares` are results of sum_squares, one per tensor */
    void (*clip_factor)(const Run *, int64_t n, const float *squares, float max_norm, float *out);
} Kernels;

/* The symbol that a plug-in exports as `sapor_cuda`. The program checks `bytes` and `version` before it reads the rest.
 */
typedef struct Plugin {
    size_t bytes;     /* sizeof(Plugin) */
    uint32_t version; /* KERNELS_VERSION */
    /* Returns the table of a device, and in *context the context of its Runs; or NULL, and *e has the reason.
     * - options: the part of the device's name after "cuda:": words separated by commas, or "".
     * - heap: for host memory; NULL: malloc. */
    const Kernels *(*open)(const char *options, const Heap *heap, void **context, Error *e);
    void (*close)(void *context);
    /* Measures a peak rate of the device for about `seconds`, for `sapor bench`. Returns 0 if it is unknown.
     * - what = "f32", "tf32", "f16", "bf16" or "int8": operations per second of multiply-adds of this type in
     *   registers.
     * - what = "copy": bytes per second, read and written, of repeated copies of one half of Run.work to the other. */
    double (*peak)(const Run *run, const char *what, double seconds);
} Plugin;

/* A loaded plug-in and the results of its `open` (plugin.c). */
typedef struct OpenPlugin {
    void *library;
    const Plugin *plugin;
    const Kernels *k;
    void *context;
} OpenPlugin;
/* Loads the CUDA plug-in: $SAPOR_CUDA if it is set, else libsapor_cuda.so in the program's folder, in ../lib relative
 * to it, or where the system searches. After a failure, plugin_close is not necessary. */
bool plugin_open(OpenPlugin *o, const char *options, const Heap *heap, Error *e);
void plugin_close(OpenPlugin *o);

/* Returns the CPU's table of the best level that this machine and this build support. `force` ("baseline", "avx2",
 * "avx512") selects a level; NULL: the environment variable SAPOR_CPU, else the best level. If the level is
 * unavailable, returns NULL, and *e lists the available levels. */
const Kernels *kernels_cpu(const char *force, Error *e);
/* Fails if the level does not support weights packed to the type. */
bool kernels_packs(const Kernels *k, Pack type, Error *e);
/* Writes the levels of this build, the best last, and returns their number. usable[i] says whether this machine can run
 * level i, why[i] what is missing. */
size_t kernels_levels(const char *names[8], bool usable[8], const char *why[8]);

#endif
