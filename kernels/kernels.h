/* kernels/kernels.h: every kernel once, with its shapes. One table of function pointers; a device fills it.
 *
 * Rules of a kernel: it takes a Run and raw pointers, computes, and returns. It does not allocate, print, fail or keep
 * state. Sizes may be zero: an empty result is not written, an empty sum is 0. Unless said, matrices are float32,
 * row-major, contiguous; operands that are written overlap no others, and no pointer is NULL. Dimension letters: M N K
 * gemm; B batch, T tokens, C channels, H heads, D features, E edges (stored entries).
 *
 * Memory: descriptors (Gemm, Sparse, Exclude, BprPart, AdamStep, ...) are in host memory and are read during the call.
 * The pointers in them, and all others but the host's side of upload and download, are memory of the device. Ids and
 * offsets are in range: the caller has checked them.
 *
 * Order: a device may compute after the call has returned. The calls with one context are computed in their order. What
 * was called with one context is seen by another one after a download by the first. An upload has read the host's
 * memory when it returns, a download has written it; of download_later the comment says it.
 *
 * NaN: a sum or a product with a NaN is NaN. Which number a maximum takes beside a NaN is not defined; rankings leave
 * NaN out.
 *
 * Types: an operand that may have others than float32 is a `void *` with a DType beside it. In a descriptor that is the
 * member of its name (Gemm.A_type; 0 is F32), of an entry without one the argument `type`, for all its `void *`.
 * `supports` says which types a table takes. Sums are float32 whatever the operands are.
 *
 * The same bits every time (DESIGN 6): the order of a sum depends on its length alone, never on threads, batch or cache
 * sizes; ties go to the lower index. Kernels that need scratch say how much through their `_work` companion, for
 * exactly these sizes: smaller ones may need more. Run.work has at least that. A `_work` or `_way` companion gets the
 * same Run, or one without work; it reads sizes and whether a pointer is NULL, never device memory.
 *
 * A new kernel is: its member here, its functions in kernels/cpu/ and kernels/cuda/, its name in list.h, its cases, its
 * line in tests/far/entries.h (CONTRIBUTING.md: Add a kernel). */
#ifndef SAPOR_KERNELS_H
#define SAPOR_KERNELS_H

#include "kernels/act.h"

typedef struct Run {
    void *context; /* where the device computes: a Pool of the CPU (NULL: one thread) */
    void *work;    /* 64-byte aligned scratch of the device; another call may use it right after this one */
    size_t work_bytes;
    Trace *trace; /* NULL: off. The caller of a kernel records it, not the kernel */
} Run;

/* Which way a kernel goes for an operand, and why: for people (`sapor info --kernels`). */
typedef struct Way {
    char name[32];
    const char *why;
} Way;

/* ---- dense products -------------------------------------------------------------------------- */

/* What weights are packed to. All else stays float32. F16 and BF16 take half the bytes; F16 is multiplied as float32,
 * BF16 as float32 or with A rounded to bf16, too, whichever the processor does faster. INT8 has a scale for each column
 * of B, a scale and a zero point for each row of A, and exact 32-bit sums: up to PACK_INT8_K of them. The packed form
 * is the table's own: it depends on the processor, and only the table that packed reads it. */
typedef enum Pack { PACK_F32, PACK_F16, PACK_BF16, PACK_INT8, PACK_COUNT } Pack;
enum { PACK_INT8_K = 1 << 15 };
const char *pack_name(Pack p); /* "f32", "f16", "bf16" or "int8" */

/* C[M,N] = act(alpha A[M,K] B[K,N] + beta C + bias[N] + residual[M,N]). Strides in elements, so A or B may be
 * transposed. */
typedef struct Gemm {
    int64_t M, N, K;
    const void *A;
    DType A_type;
    int64_t a_row, a_col; /* A[m,k] at m a_row + k a_col */
    const void *B;
    DType B_type;
    int64_t b_row, b_col; /* B[k,n] at k b_row + n b_col; ignored when packed is given */
    const void *packed;   /* gemm_pack's, or NULL */
    Pack pack;            /* of packed; where it is not F32, a_col is 1 */
    void *C;
    DType C_type;
    int64_t ldc;
    float alpha, beta;    /* beta 0: C is not read */
    const float *bias;    /* or NULL */
    const void *residual; /* or NULL; may be C itself */
    DType residual_type;
    int64_t ldr;
    Act act;
    float act_param;
} Gemm;

/* ---- images: NHWC ---------------------------------------------------------------------------- */

typedef struct Conv {
    int64_t B, H, W, C;               /* input [B,H,W,C] */
    int64_t O;                        /* output channels */
    int64_t kh, kw, stride, groups;   /* each O / groups outputs read C / groups channels; conv_back: 1 or C == O */
    int64_t top, left, bottom, right; /* zero padding */
    const void *x;
    DType x_type;
    const void *packed; /* conv_pack's */
    Pack pack;          /* what 1 x 1 kernels without stride and padding are packed to; all others stay float32 */
    void *y;            /* [B,OH,OW,O] */
    DType y_type;
    const float *bias;    /* [O] or NULL */
    const void *residual; /* like y, or NULL: y = act(conv + bias + residual) */
    Act act;              /* with parameter 0 */
    /* 6: 3 x 3 kernels may go by Winograd's F(6,3), which is quicker on large images and rounds four times as much */
    int winograd;
} Conv;
/* The gradients of a convolution without its bias, residual and act: `forward` gives the shape and x. */
typedef struct ConvBack {
    Conv forward;
    const float *weights; /* [O, C/groups, kh, kw] */
    const float *dy;      /* [B,OH,OW,O] */
    float *dx, *dweights; /* like x, like weights; NULL: not computed */
    float x_beta, w_beta; /* 0: written; 1: added to */
} ConvBack;
static inline int64_t conv_out(int64_t in, int64_t kernel, int64_t stride, int64_t pad)
{
    return (in + pad - kernel) / stride + 1;
}

/* y = (x - mean) rstd gamma + beta by column of x [M, C], M pixels of all images */
typedef struct BatchNorm {
    int64_t M, C;
    const float *x, *gamma, *beta;
    /* true: by x's own mean and variance (divided by M), and running += momentum (x's - running), the variance divided
     * by M - 1; false: by the running ones */
    bool batch;
    float eps, momentum;
    float *running_mean, *running_var; /* [C] */
    float *y;                          /* may be x */
    float *mean, *rstd;                /* [C]: what x was normalised by */
} BatchNorm;
typedef struct BatchNormBack {
    BatchNorm forward; /* with mean and rstd as the forward pass left them; y is not read */
    const float *dy;
    float *dx;             /* written; NULL: not computed; may be dy */
    float *dgamma, *dbeta; /* [C], added to; NULL: not computed */
} BatchNormBack;

/* ---- attention ------------------------------------------------------------------------------- */

/* softmax(scale Q K' + bias) V for each text b and head h. Scores are never stored.
 *
 * Text b has rows q_offsets[b] .. q_offsets[b+1]-1 of queries, and of keys and values those of k_offsets. The last
 * query is at the place of the last key: query i of Tq is at place i + Tk - Tq. A query sees key j where
 *   causal: j <= place; window > 0: |j - place| < window.
 * Where it sees none, its row of `out` is 0. Each head of keys serves H / Hk heads of queries, one after the other
 * (grouped-query attention, Ainslie et al. 2023). */
typedef struct Attention {
    int64_t B, H, Hk, D;                  /* Hk: heads of keys and values, H is a multiple; 0: H. D: size of one head */
    const int32_t *q_offsets, *k_offsets; /* [B+1]; k_offsets NULL: keys have the rows of the queries */
    int64_t q_longest, k_longest;         /* rows of the longest text */
    const void *q, *k, *v;                /* row r, head h, feature d at r ld + h D + d */
    DType type;                           /* of q, k and v */
    int64_t q_ld, k_ld, v_ld;             /* of a fused [rows, 3 H D] projection 3 H D, and k = q + H D */
    void *out;                            /* [rows, H D] */
    DType out_type;
    int64_t out_ld;
    float scale;
    /* [H, 2 R + 1]: relative[h][clamp(j - place, -R, R) + R] is added to the score of key j; or NULL */
    const float *relative;
    int64_t R;
    bool causal;
    int64_t window; /* 0: none */
    float *lse;     /* [H, rows of queries] log-sum-exp for the backward pass, or NULL; -inf where no key is seen */
} Attention;
typedef struct AttentionBack {
    Attention forward;  /* with out and lse as the forward pass left them */
    const void *dout;   /* like out */
    void *dq, *dk, *dv; /* written; as q, k and v, with their own strides */
    int64_t dq_ld, dk_ld, dv_ld;
    float *drelative; /* like relative, added to; NULL: not computed */
} AttentionBack;

/* ---- sparse ---------------------------------------------------------------------------------- */

/* Entry e of row r, start[r] <= e < start[r+1], is in column col[e] (ascending in a row) and has the value
 *   (val ? val[at ? at[e] : e] : 1) * (row_scale ? row_scale[r] : 1) * (col_scale ? col_scale[col[e]] : 1). */
typedef struct Sparse {
    int64_t rows, cols, entries; /* E */
    const int64_t *start;        /* [rows+1], from 0 to E */
    const int32_t *col;          /* [E] */
    const float *val;            /* [E], or what `at` numbers */
    const int32_t *at;           /* [E] */
    const float *row_scale, *col_scale;
} Sparse;

typedef struct Exclude {  /* for each row of a batch, ascending ids that must not be ranked; start NULL: none */
    const int64_t *start; /* row b of the batch reads start[row ? row[b] : b] */
    const int32_t *item;
    const int32_t *row;
} Exclude;

enum { BPR_USER, BPR_POS, BPR_NEG };
typedef struct BprPart {
    int64_t D;
    const float *x[3]; /* [B, D] of users, of positive items, of negative items */
    float eps;         /* > 0: items' rows are compared as x / max(|x|, eps), zeros as zeros */
    float *dx[3];      /* backward: where gradients go, or NULL */
    float beta[3];     /* 0: written; 1: added */
} BprPart;

/* BIN_ABOVE: 1 where a > b, 1/2 where they are equal, else 0: the derivative of max(a, b) by a */
typedef enum Binary { BIN_ADD, BIN_SUB, BIN_MUL, BIN_DIV, BIN_MAX, BIN_ABOVE } Binary;
/* What the second operand of a [M,C] matrix is: a row [C], a column [M], or one number [1] */
typedef enum Spread { SPREAD_ROW, SPREAD_COLUMN, SPREAD_NUMBER } Spread;
/* UN_CLAMP: x between lo and hi; UN_INSIDE: its derivative, 1 where lo <= x <= hi, else 0 */
typedef enum Unary { UN_EXP, UN_LOG, UN_SQRT, UN_SIGN, UN_CLAMP, UN_INSIDE } Unary;
/* NOISE_UNIFORM: draw_uniform, [0, 1); NOISE_NORMAL: draw_normal; NOISE_GUMBEL: -log(-log u), u uniform in (0, 1) */
typedef enum Noise { NOISE_UNIFORM, NOISE_NORMAL, NOISE_GUMBEL } Noise;
typedef enum Reduce { REDUCE_SUM, REDUCE_MEAN, REDUCE_MAX, REDUCE_FIRST } Reduce; /* of no rows: 0 */

/* One step of Adam, Kingma & Ba 2015, as torch.optim.Adam computes it: bias-corrected, eps after the root, weight decay
 * added to the gradient; and of AdamW, Loshchilov & Hutter 2019, whose weight decay multiplies the parameter before the
 * step. Step t's numbers are made once, so that replayed steps use the very same floats. */
typedef struct AdamStep {
    float step_size;  /* lr / (1 - beta1^t) */
    float root_scale; /* 1 / sqrt(1 - beta2^t) */
    float beta1, beta2, eps, weight_decay;
    float shrink; /* AdamW: 1 - lr weight_decay; Adam: 1 */
} AdamStep;
AdamStep adam_step(double lr, double beta1, double beta2, double eps, double weight_decay, int64_t t);
AdamStep adamw_step(double lr, double beta1, double beta2, double eps, double weight_decay, int64_t t);

/* The other optimisers, as torch.optim defines them; with weight decay d = g + weight_decay p takes the place of g. */
typedef struct SgdStep {
    float lr, weight_decay;
    float momentum, damped; /* buffer = momentum buffer + damped d; damped is 1 - dampening, and 1 in the first step */
    bool nesterov;
} SgdStep;
typedef struct AdagradStep { /* Duchi et al. 2011 */
    float lr;                /* lr / (1 + (t - 1) lr_decay) in step t */
    float eps, weight_decay;
} AdagradStep;
typedef struct RmspropStep { /* Tieleman & Hinton 2012; centred: Graves 2013 */
    float lr, eps, weight_decay, momentum;
    float alpha, fresh; /* fresh is 1 - alpha */
} RmspropStep;

/* ---- the table ------------------------------------------------------------------------------- */

enum { KERNELS_VERSION = 3 };

typedef struct Kernels {
    size_t bytes;       /* sizeof(Kernels): checked when a plug-in is loaded */
    uint32_t version;   /* KERNELS_VERSION */
    const char *device; /* "cpu" */
    const char *level;  /* "avx512" */
    const char *about;  /* one line on the level: its vectors, its register tile */

    /* Memory of the device, 64-byte aligned; the CPU's is the heap's, other devices may have their own. NULL: there is
     * not so much. What was called before with the same context may still use what is given to `free`. */
    void *(*alloc)(const Run *, const Heap *heap, size_t bytes);
    void (*free)(const Run *, const Heap *heap, void *p, size_t bytes);
    /* Copies take bytes. The two sides of `copy` may overlap. */
    void (*upload)(const Run *, void *device, const void *host, size_t bytes);
    void (*download)(const Run *, void *host, const void *device, size_t bytes);
    /* A download that need not wait for the device: the host's memory is written when `arrive` returns. Until then the
     * caller keeps it and does not touch it; the device's side may be used at once. */
    void (*download_later)(const Run *, void *host, const void *device, size_t bytes);
    /* Waits for the last download_later to `host` and for those before it; nothing to do where there is none. NULL: for
     * all. */
    void (*arrive)(const Run *, const void *host);
    void (*copy)(const Run *, void *to, const void *from, size_t bytes);
    void (*zero)(const Run *, void *p, size_t bytes);

    /* the device */
    /* False: a call with this context could not be computed; *e has the first cause, and every later check fails too.
     * What was called after the last download may not be computed yet. */
    bool (*check)(const Run *, Error *e);
    /* Bytes of the device's memory: available, all. 0: not known (the CPU). */
    void (*memory)(const Run *, size_t *available, size_t *total);
    /* The calls between the two are one step of many with the same calls: the device may submit them at once, at the
     * end. A download, an alloc or a free between them is allowed; what was called before it is submitted then. */
    void (*step_begin)(const Run *);
    void (*step_end)(const Run *);
    /* For profiles: the time in seconds when all that was called so far is computed. The device is idle then. */
    double (*clock)(const Run *);
    /* For the profilers of the device's maker: op begins; NULL: the last one that began ends. */
    void (*range)(const Run *, const char *op);

    /* types (types.c) */
    /* Whether an entry takes a type for an operand: supports("gather", "table", F16). Operands have the names of this
     * header. F32 is supported by all that take types; a caller asks for the others and converts, or refuses. */
    bool (*supports)(const char *entry, const char *operand, DType type);
    /* y[i] = x[i], rounded to the nearest number of y's type, ties to even; beyond F16's largest that is the result */
    void (*convert)(const Run *, int64_t n, DType x_type, const void *x, DType y_type, void *y);

    /* dense (gemm/gemm.c) */
    bool (*gemm_packs)(Pack); /* whether this table, on this processor or device, does */
    size_t (*gemm_pack_bytes)(Pack, int64_t K, int64_t N);
    void (*gemm_pack)(const Run *, Pack, int64_t K, int64_t N, const float *B, int64_t b_row, int64_t b_col,
                      void *packed);
    /* B[k, j] at k ldb + j = the packed B[k, first + j] as it is after packing, n columns */
    void (*gemm_unpack)(const Run *, Pack, int64_t K, int64_t N, const void *packed, int64_t first, int64_t n, float *B,
                        int64_t ldb);
    size_t (*gemm_work)(const Run *, const Gemm *);
    Way (*gemm_way)(const Run *, const Gemm *);
    void (*gemm)(const Run *, const Gemm *);

    /* convolution, pooling, batch norm (image/). Weights come as [O, C/groups, kh, kw]. An image with its padding that
     * is smaller than the kernel has no output, and its gradient is zero. */
    size_t (*conv_pack_bytes)(const Conv *);
    void (*conv_pack)(const Run *, const Conv *, const float *weights, void *packed);
    size_t (*conv_work)(const Run *, const Conv *);
    Way (*conv_way)(const Run *, const Conv *);
    void (*conv)(const Run *, const Conv *);
    size_t (*conv_back_work)(const Run *, const ConvBack *);
    void (*conv_back)(const Run *, const ConvBack *);
    /* max over kh x kw windows, padding is -inf; x [B,H,W,C] */
    void (*max_pool)(const Run *, int64_t B, int64_t H, int64_t W, int64_t C, int64_t k, int64_t stride, int64_t pad,
                     const float *x, float *y);
    /* mean over all HW = H W > 0 places; y [B,C] */
    void (*mean_pool)(const Run *, int64_t B, int64_t HW, int64_t C, const float *x, float *y);
    /* y[b, p, c] = s[b, c] x[b, p, c] at all HW places p; y may be x */
    void (*channel_scale)(const Run *, int64_t B, int64_t HW, int64_t C, const float *x, const float *s, float *y);
    /* y[b, c] = the sum over p of a[b, p, c] b[b, p, c]: the gradient of channel_scale to s */
    void (*channel_dot)(const Run *, int64_t B, int64_t HW, int64_t C, const float *a, const float *b, float *y);
    /* dx is written: each window's dy goes to the first of its largest numbers; y is max_pool's */
    void (*max_pool_back)(const Run *, int64_t B, int64_t H, int64_t W, int64_t C, int64_t k, int64_t stride,
                          int64_t pad, const float *x, const float *y, const float *dy, float *dx);
    void (*mean_pool_back)(const Run *, int64_t B, int64_t HW, int64_t C, const float *dy, float *dx);
    size_t (*batch_norm_work)(const Run *, const BatchNorm *);
    void (*batch_norm)(const Run *, const BatchNorm *);
    size_t (*batch_norm_back_work)(const Run *, const BatchNormBack *);
    void (*batch_norm_back)(const Run *, const BatchNormBack *);

    /* rows (norm.c). x [M,C] */
    /* y = (s - mean) rstd gamma + beta with s = x + residual (or NULL); mean and rstd [M] are kept where not NULL. y
     * may be x. */
    void (*layer_norm)(const Run *, int64_t M, int64_t C, DType type, const void *x, const void *residual,
                       const float *gamma, const float *beta, float eps, void *y, float *mean, float *rstd);
    /* dx = gradient to s, may be dy; dgamma, dbeta [C] are added to (NULL: not computed) */
    size_t (*layer_norm_back_work)(const Run *, int64_t M, int64_t C);
    void (*layer_norm_back)(const Run *, int64_t M, int64_t C, const float *x, const float *residual,
                            const float *gamma, const float *mean, const float *rstd, const float *dy, float *dx,
                            float *dgamma, float *dbeta);
    void (*softmax)(const Run *, int64_t M, int64_t C, const float *x, float *y); /* y may be x */
    /* dx = y (dy - y.dy), may be dy */
    void (*softmax_back)(const Run *, int64_t M, int64_t C, const float *y, const float *dy, float *dx);
    /* y = x / max(|x|, eps) by row; norm [M] = max(|x|, eps), or NULL. Zero rows stay zero. y may be x. */
    void (*row_normalize)(const Run *, int64_t M, int64_t C, float eps, const float *x, float *y, float *norm);
    /* dx = (dy - y (y . dy)) / norm; of rows whose norm is eps dy / eps. dx may be dy */
    void (*row_normalize_back)(const Run *, int64_t M, int64_t C, float eps, const float *y, const float *norm,
                               const float *dy, float *dx);
    void (*row_dot)(const Run *, int64_t M, int64_t C, const float *a, const float *b, float *y); /* y [M] */
    /* y = s[m] x + beta y */
    void (*row_scale)(const Run *, int64_t M, int64_t C, const float *x, const float *s, float beta, float *y);
    void (*row_sum)(const Run *, int64_t M, int64_t C, const float *x, float *y); /* y [M] */
    /* y[m] = log(exp(y[m]) + sum over c of exp(x[m,c])), without overflow: -inf to begin with, then block by block */
    void (*log_sum_exp)(const Run *, int64_t M, int64_t C, const float *x, float *y);
    size_t (*col_sum_work)(const Run *, int64_t M, int64_t C);
    /* y [C] = sum over m + beta y */
    void (*col_sum)(const Run *, int64_t M, int64_t C, const float *x, float beta, float *y);
    /* y[m, c] at m ldy + c = x[m, c] at m ldx + c: slices and concatenations; beta 1 adds */
    void (*copy_cols)(const Run *, int64_t M, int64_t C, const float *x, int64_t ldx, float beta, float *y,
                      int64_t ldy);

    /* attention (attention.c) */
    size_t (*attention_work)(const Run *, const Attention *);
    Way (*attention_way)(const Run *, const Attention *);
    void (*attention)(const Run *, const Attention *);
    size_t (*attention_back_work)(const Run *, const AttentionBack *);
    void (*attention_back)(const Run *, const AttentionBack *);

    /* element by element (elementwise.c); y may be x, or a, or b */
    void (*act)(const Run *, int64_t n, Act act, float param, DType type, const void *x, void *y);
    /* dx = dy act'(x), written; may be dy or x. x is act's input, or its result where act_from_result(act, param) */
    void (*act_back)(const Run *, int64_t n, Act act, float param, const float *x, const float *dy, float *dx);
    void (*binary)(const Run *, int64_t n, Binary op, const float *a, const float *b, float *y);
    /* y[m,c] = x[m,c] op v, v as `how` says */
    void (*broadcast)(const Run *, int64_t M, int64_t C, Binary op, Spread how, const float *x, const float *v,
                      float *y);
    /* lo, hi: limits of UN_CLAMP and UN_INSIDE */
    void (*unary)(const Run *, int64_t n, Unary op, float lo, float hi, const float *x, float *y);
    /* y[i] = number first + i of the stream */
    void (*noise)(const Run *, int64_t n, Noise kind, Draw d, uint64_t first, float *y);
    /* y = a x + b y; b 0: y is not read */
    void (*axpby)(const Run *, int64_t n, float a, const float *x, float b, float *y);
    /* y[m,c] = act(x[m,c] + bias[c]) */
    void (*add_bias)(const Run *, int64_t M, int64_t C, DType type, const void *x, const float *bias, Act act,
                     float param, void *y);
    /* y = mask x / (1 - p), mask element i kept where draw_uniform(d, first + i) >= p: the same call undoes the forward
     * pass */
    void (*dropout)(const Run *, int64_t n, float p, Draw d, uint64_t first, const float *x, float *y);
    void (*fill)(const Run *, int64_t n, float value, float *y);
    size_t (*sum_work)(const Run *, int64_t n);
    /* out [1] = sum of x; out = sum of x^2; both in fixed blocks */
    void (*sum)(const Run *, int64_t n, const float *x, float *out);
    void (*sum_squares)(const Run *, int64_t n, const float *x, float *out);

    /* rows by index (gather.c) */
    /* y[i,:] = beta y[i,:] + table[ids[i],:]; id < 0 counts as a row of zeros */
    void (*gather)(const Run *, int64_t n, int64_t D, DType type, const void *table, const int32_t *ids, float beta,
                   float *y);
    /* y[to ? to[s] : s, :] = beta y + scale sum over j in [start[s], start[s+1]) of x[order ? order[j] : j, :]; each
     * sum in order of j. `to` is distinct. order, to: or NULL */
    void (*segment_sum)(const Run *, int64_t S, int64_t D, const int64_t *start, const int32_t *order,
                        const int32_t *to, DType type, const void *x, float scale, float beta, float *y);
    /* Pooling of ragged rows: y [B,D] from rows offsets[b] .. offsets[b+1]-1 of x; arg [B,D] keeps REDUCE_MAX's row
     * (the first of equals, -1 where there is none) or is NULL. Backward: the rows offsets[0] .. offsets[B]-1 of dx are
     * written; arg is read for REDUCE_MAX. */
    void (*segment_pool)(const Run *, int64_t B, int64_t D, const int32_t *offsets, Reduce how, const float *x,
                         float *y, int32_t *arg);
    void (*segment_pool_back)(const Run *, int64_t B, int64_t D, const int32_t *offsets, Reduce how, const int32_t *arg,
                              const float *dy, float *dx);

    /* sparse (sparse.c) */
    /* y = alpha A x + beta y; x [cols, D] has rows ldx apart, y [rows, D] rows ldy apart */
    void (*spmm)(const Run *, const Sparse *A, int64_t D, DType type, const void *x, int64_t ldx, float alpha,
                 float beta, void *y, int64_t ldy);
    /* out[e] = beta out[e] + alpha x[row of e] . y[col of e] for every stored entry (values of A are ignored, scales
     * applied): the gradient to values */
    void (*sddmm)(const Run *, const Sparse *A, int64_t D, const float *x, const float *y, float alpha, float beta,
                  float *out);
    /* over each row's entries; x, y, dy, dx [E]; A's values and scales are ignored. y may be x, dx may be dy */
    void (*edge_softmax)(const Run *, const Sparse *A, const float *x, float *y);
    void (*edge_softmax_back)(const Run *, const Sparse *A, const float *y, const float *dy, float *dx);
    /* out [rows] = sum of val[at ? at[e] : e] over a row, `at` that of A */
    void (*edge_row_sum)(const Run *, const Sparse *A, const float *val, float *out);
    /* out[e] = val[e] * rs[row] * cs[col] (NULL scales are 1): normalising values. out may be val. */
    void (*edge_scale)(const Run *, const Sparse *A, const float *val, const float *rs, const float *cs, float *out);

    /* y = x > 0 ? x^-1/2 : 0, computed in float64: the scale of a node whose values sum to x. y may be x */
    void (*inverse_root)(const Run *, int64_t n, const float *x, float *y);
    /* d = -1/2 y^3 d, in float64: from the gradient to y to that of x */
    void (*inverse_root_back)(const Run *, int64_t n, const float *y, float *d);

    /* ranking (topk.c): tiles of a product are ranked while a cache holds them; the whole product is never stored.
     * Best first, ties to the lower id. Scores of -inf and NaN are never kept; where fewer than k are, the places
     * behind them have id -1 and score -inf. */
    size_t (*knn_work)(const Run *, int64_t Q, int64_t I, int64_t D, int64_t k);
    /* For each row of q [Q,D] the k rows of x [I,D] of largest dot product: ids, values [Q,k]. With normalised rows
     * this is the cosine graph. Where q is x the CPU makes half of the product. */
    void (*knn)(const Run *, int64_t Q, int64_t I, int64_t D, int64_t k, DType type, const void *q, const void *x,
                int32_t *ids, float *values);
    /* The same among the rows of some lists (knn_lists.c). The rows of x [start[L],D] are sorted by list: list l has
     * rows start[l] to start[l+1] - 1, whose numbers, number[], ascend. Each row of q [Q,D] is compared with the rows
     * of the lists that probe [Q,P] names, each once (-1: none): ids, values [Q,k], ties to the lower number. */
    size_t (*knn_lists_work)(const Run *, int64_t Q, int64_t L, int64_t D, int64_t P);
    void (*knn_lists)(const Run *, int64_t Q, int64_t L, int64_t D, int64_t P, int64_t k, DType type, const void *q,
                      const int32_t *probe, const int64_t *start, const void *x, const int32_t *number, int32_t *ids,
                      float *values);
    size_t (*topk_work)(const Run *, int64_t B, int64_t I, int64_t D, int64_t k);
    Way (*topk_way)(const Run *, int64_t B, int64_t I, int64_t D, int64_t k);
    /* Scores users[row ? row[b] : b,:] . items[i,:] + (bias ? bias[i] : 0), leaves out what exclude (or NULL) names,
     * keeps the k best: ids, scores [B,k] */
    void (*topk)(const Run *, int64_t B, int64_t I, int64_t D, int64_t k, DType type, const void *users,
                 const int32_t *row, const void *items, const float *bias, const Exclude *exclude, int32_t *ids,
                 float *scores);
    /* The same from dense scores [B,I] */
    void (*topk_rows)(const Run *, int64_t B, int64_t I, int64_t k, const float *scores, const Exclude *exclude,
                      int32_t *ids, float *values);

    /* losses (loss.c). Scores pos, neg [B] are sums over parts of dot products by row.
     * loss[b] = softplus(neg - pos) + l2 (squares of all rows compared) = -log sigmoid(pos - neg) + ..., stable;
     * slope[b] = -sigmoid(neg - pos) = d loss / d pos, or NULL */
    void (*bpr)(const Run *, int64_t B, int parts, const BprPart *part, float l2, float *loss, float *slope);
    /* dx = beta dx + the gradients, each row's loss weighted by scale dloss[0]; slope is bpr's. dx NULL: not computed.
     * One dx may be given several times, its
     * later betas 1: it is filled in the order of parts and, in each, of x[] */
    void (*bpr_back)(const Run *, int64_t B, int parts, const BprPart *part, float l2, const float *slope, float scale,
                     const float *dloss);

    /* optimisers (optim.c). p, m, v [rows, D]. Every form of Adam gives the bits of the dense one. Numbers of m and v
     * below the normal range become 0. */
    void (*adam)(const Run *, int64_t n, const AdamStep *s, const float *g, float *p, float *m, float *v);
    /* Rows that had no gradient for a while: row r of the list has seen steps up to last[row]; replay steps last[row]+1
     * .. now with a zero gradient, then set last[row] = now. history[t] is step t's AdamStep (index 1..now). ids NULL:
     * rows 0..n-1 */
    void (*adam_replay)(const Run *, int64_t n, int64_t D, const int32_t *ids, const AdamStep *history, int32_t now,
                        int32_t *last, float *p, float *m, float *v);
    /* history[now] = *s. s is an argument of the call, in host memory */
    void (*adam_note)(const Run *, const AdamStep *s, int32_t now, AdamStep *history);
    /* Replay to step now-1, then step `now` with gradient g [n, D] for rows ids (distinct) */
    void (*adam_rows)(const Run *, int64_t n, int64_t D, const int32_t *ids, const AdamStep *history, int32_t now,
                      const float *g, int32_t *last, float *p, float *m, float *v);
    /* The gradient of rows ids (NULL: all n) is dy[n,K] w[K,D], formed tile by tile and consumed; replay first, as
     * adam_rows */
    size_t (*adam_factored_work)(const Run *, int64_t n, int64_t D, int64_t K);
    void (*adam_factored)(const Run *, int64_t n, int64_t D, int64_t K, const int32_t *ids, const AdamStep *history,
                          int32_t now, const float *dy, const float *w, int32_t *last, float *p, float *m, float *v);
    /* p -= lr d; with a buffer (NULL where momentum is 0), p -= lr buffer, or lr (d + momentum buffer) if nesterov */
    void (*sgd)(const Run *, int64_t n, const SgdStep *s, const float *g, float *p, float *buffer);
    /* Rows ids (distinct; NULL: 0..n-1) of p and sum, with gradient g [n, D]: sum += d^2,
     * p -= lr d / (sqrt(sum) + eps). Without weight decay a row whose gradient is zero does not change. */
    void (*adagrad)(const Run *, int64_t n, int64_t D, const int32_t *ids, const AdagradStep *s, const float *g,
                    float *p, float *sum);
    /* v = alpha v + fresh d^2; mean (NULL: not centred) = alpha mean + fresh d; u = d / (sqrt(v - mean^2) +
     * eps); p -= lr u, or with a buffer (NULL where momentum is 0) buffer = momentum buffer + u, p -= lr buffer */
    void (*rmsprop)(const Run *, int64_t n, const RmspropStep *s, const float *g, float *p, float *v, float *mean,
                    float *buffer);
    /* out [1] = min(1, most / (sqrt(sum of squares [n]) + 1e-6)): what torch.nn.utils.clip_grad_norm_ multiplies
     * gradients by; squares are their sum_squares */
    void (*clip_factor)(const Run *, int64_t n, const float *squares, float most, float *out);
} Kernels;

/* What a plug-in exports under the name sapor_cuda. The program checks bytes and version before it reads the rest. */
typedef struct Plugin {
    size_t bytes;     /* sizeof(Plugin) */
    uint32_t version; /* KERNELS_VERSION */
    /* The table of a device and the context of its Runs. options: what stands behind "cuda:" in the device's name:
     * words with commas between them, or "". The heap (NULL: malloc) is for memory of the host. NULL: *e says why. */
    const Kernels *(*open)(const char *options, const Heap *heap, void **context, Error *e);
    void (*close)(void *context);
    /* What the device does at most, measured for about `seconds`: "f32", "tf32", "f16", "bf16" and "int8" are
     * operations per second of multiply-adds of that type in registers; "copy" is bytes per second, read and written,
     * while one half of Run.work is copied to the other again and again. 0: not known. For `sapor bench`. */
    double (*peak)(const Run *run, const char *what, double seconds);
} Plugin;

/* A plug-in that is loaded, and what its open gave (plugin.c). */
typedef struct OpenPlugin {
    void *library;
    const Plugin *plugin;
    const Kernels *k;
    void *context;
} OpenPlugin;
/* The CUDA plug-in: $SAPOR_CUDA where it is set, else libsapor_cuda.so beside the program, in ../lib from there, or
 * where the system looks. After a failure plugin_close has nothing to do. */
bool plugin_open(OpenPlugin *o, const char *options, const Heap *heap, Error *e);
void plugin_close(OpenPlugin *o);

/* The CPU's table at the best level that this machine and build have; force ("baseline", "avx2", "avx512"; NULL: the
 * environment's SAPOR_CPU, else the best) picks one, or fails and lists what there is. */
const Kernels *kernels_cpu(const char *force, Error *e);
/* Fails where the level does not pack weights to the type. */
bool kernels_packs(const Kernels *k, Pack type, Error *e);
/* Levels of this build, best last; usable[i] says whether this machine can run it and why[i] what is missing. Returns
 * how many. */
size_t kernels_levels(const char *names[8], bool usable[8], const char *why[8]);

#endif
