/* nn/nn.h: tensors, the tape, layers, losses, sparse graphs, optimisers, checkpoints.
 *
 * A model is a C function that calls ops on a tape:
 *
 *     Tensor *x = gather(t, m->items, ids);
 *     x = linear_act(t, x, &m->fc1, ACT_RELU, 0);
 *     return mean(t, row_dot(t, x, y));
 *
 * An op computes its result immediately. On a training tape it also records what its backward pass needs. The tape owns
 * the tensors that ops return.
 *
 * An op fails if memory runs out or shapes do not fit. Then the tape fails: this op and every later op return the
 * tape's failed tensor, never NULL. The caller checks once, at the end, with tape_ok. Model code may branch on shapes
 * and settings, but never on values.
 *
 * Only kernels/ dereferences tensor data; tensor_read and tensor_write copy it. */
#ifndef SAPOR_NN_H
#define SAPOR_NN_H

#include "kernels/kernels.h"
#include "weights/weights.h"

/* The device that computes, and the threads of the host. Stores and tapes share it; it must be valid longer than they
 * are. */
typedef struct Device {
    const Kernels *k;
    void *context; /* passed to the kernels in every Run */
    const Heap *heap;
    Pool *pool; /* threads for tasks of the host; also the context of the CPU's kernels */
    Trace *trace;
    OpenPlugin plugin; /* the plug-in of a device that is not the CPU */
    Error why_cpu;     /* if "auto" chose the CPU: the reason; else no error */
} Device;
/* Opens a device.
 *
 * - name: "cpu", "cpu:avx2" (a level: kernels_cpu), "cuda", "cuda:OPTIONS" (kernels/cuda/context.cu), or "auto": a GPU
 *   if one can be used, else the CPU. NULL: the environment variable SAPOR_DEVICE, else "cpu".
 * - threads: 0 means all processors that this process may use.
 * - heap (NULL: malloc) and trace (NULL: off) stay owned by the caller.
 *
 * After a failure, device_close does nothing. A program adds its own device as follows: it opens "cpu", then sets its
 * own table and context, before the first store or tape. */
bool device_open(Device *d, const char *name, int threads, const Heap *heap, Trace *trace, Error *e);
void device_close(Device *d);
Run device_run(const Device *d); /* a Run for kernels that need no scratch */
/* Reports whether kernels read host memory. If so, a number can be read without waiting for the device. */
bool device_is_host(const Device *d);
/* Returns false if an earlier call could not be computed (Kernels.check). Call it after numbers are read and before
 * they are used. */
bool device_check(const Device *d, Error *e);
/* Writes the error of an allocation that got no memory: the requested size, and the available size if the device knows
 * it. If the device failed before, that is the error. Returns false. */
#ifdef SAPOR_MINIMAL
#define device_fail_memory(k, run, bytes, what, e) fail_memory(e, bytes, what)
#else
bool device_fail_memory(const Kernels *k, const Run *run, size_t bytes, const char *what, Error *e);
#endif

/* ---- tensors --------------------------------------------------------------------------------- */

typedef struct Param Param;
typedef struct Tensor {
    DType type; /* F32, I32 or I64. F16, BF16: only a constant table that a program makes; only gather reads it */
    int dims;
    int64_t shape[4];
    int64_t count;
    void *data;      /* device memory: only kernels may read it */
    Param *param;    /* parameters only: the optimiser state; else NULL */
    bool needs_grad; /* the backward pass computes its gradient */
    int32_t id;      /* number on the tape; -1: a stored tensor; -2: the failed tensor */
} Tensor;
int64_t rows_of(const Tensor *x); /* shape[0] */
int64_t cols_of(const Tensor *x); /* product of the other sizes */

/* ---- stored tensors: parameters, frozen features, encoder weights ---------------------------- */

/* Owns tensors, by name. They stay valid when tapes are freed. */
typedef struct Store Store;
Store *store_new(const Device *d, Error *e);
void store_free(Store *s);
const Device *store_device(const Store *s);
typedef enum InitKind {
    INIT_ZERO,
    INIT_CONSTANT,
    INIT_UNIFORM,        /* uniform in [-a, a] */
    INIT_NORMAL,         /* mean 0, standard deviation a */
    INIT_XAVIER_UNIFORM, /* fan_in = cols, fan_out = rows (recipes.md 5.5) */
    INIT_XAVIER_NORMAL,
    INIT_FAN_IN /* uniform in +-1 / sqrt(fan_in): torch's default for a Linear, also for its bias (linear_new) */
} InitKind;
typedef struct Init {
    InitKind kind;
    double a;
} Init;
/* Makes a parameter [rows, cols] (cols 0: a vector [rows]). Its initial numbers are draws of (seed, DRAW_INIT, hash of
 * name). The name is copied; this is true of all names in a store. NULL on failure. */
Tensor *param_new(Store *s, const char *name, int64_t rows, int64_t cols, Init init, uint64_t seed, Error *e);
/* Makes a constant with the initial numbers of param_new, for numbers that a model draws and never trains. */
Tensor *store_random(Store *s, const char *name, int64_t rows, int64_t cols, Init init, uint64_t seed, Error *e);
/* Makes a constant copied from host memory; data NULL: zeros. */
Tensor *store_f32(Store *s, const char *name, int dims, const int64_t *shape, const float *data, Error *e);
Tensor *store_i32(Store *s, const char *name, int dims, const int64_t *shape, const int32_t *data, Error *e);
Tensor *store_i64(Store *s, const char *name, int dims, const int64_t *shape, const int64_t *data, Error *e);
/* Makes a constant from an array of a file. If kernels read host memory and the array is aligned float32, the constant
 * is a view of the mapped file, which must stay open. Otherwise it is a converted copy. */
Tensor *store_array(Store *s, const Array *a, Error *e);
/* Makes a parameter with given initial numbers (tables of features). */
Tensor *param_from(Store *s, const char *name, int64_t rows, int64_t cols, const float *data, Error *e);
/* Makes a tensor of zeros that steps write with tape_keep. Checkpoints contain it, as they contain parameters. */
Tensor *kept_new(Store *s, const char *name, int64_t rows, int64_t cols, Error *e);
Tensor *store_find(const Store *s, const char *name);
size_t store_count(const Store *s);
Tensor *store_at(const Store *s, size_t i);
const char *store_name(const Store *s, const Tensor *x);
size_t store_bytes(const Store *s); /* bytes of device memory that it allocated; not the views of files */
/* Copy n numbers, from number `first` of x on, between host and device. Delayed steps of a parameter are done first. */
void tensor_read(const Device *d, const Tensor *x, int64_t first, int64_t n, void *host);
void tensor_write(const Device *d, Tensor *x, int64_t first, int64_t n, const void *host);

/* ---- layers ---------------------------------------------------------------------------------- */

/* How a layer stores the arrays that it is loaded from. {0}: frozen, packed as float32. */
typedef struct WeightForm {
    Pack pack;    /* form of the packed weights, if they are frozen */
    int winograd; /* Conv.winograd */
    bool plain;   /* frozen weights are constants, and not packed */
    /* trained batch norms use the statistics of the batch (Norm2d.batch); their mean and var are tensors of kept_new,
     * with the names of their arrays */
    bool batch;
    /* One bit per array: if it is 1, the array becomes a parameter of the same name. train_w not 0: no w is packed */
    uint32_t train_w; /* linear_load: bit i is w[i]. norm_load: bit 0 is gamma. conv_load: see Conv2d */
    uint32_t train_b; /* linear_load: bit i is b[i]. norm_load: bit 0 is beta. conv_load: see Conv2d */
    /* Bit i: the rows of w[i] of linear_load get a low-rank adapter (LoRA, Hu et al. 2021), if rank > 0:
     *
     *   y += alpha / rank B A dropout(x)
     *
     * A is the parameter NAME.lora_A.weight [rank, K], initially uniform in +-1 / sqrt(K). B is NAME.lora_B.weight
     * [rows, rank], initially zeros. NAME is the name of the array without .weight. */
    uint32_t adapt;
    int64_t rank;
    double alpha;
    float dropout;
    uint64_t seed;
} WeightForm;
typedef struct Adapter {
    Tensor *a, *b; /* [rank, K], [rows, rank] */
    int64_t first; /* the adapter adds to rows of W from this one on, as many as b has */
    float scale, dropout;
} Adapter;

/* y = x W' + b, plus the adapters. The weights are either w [N, K] (a constant, a parameter, or stacked parameters) or
 * `packed`; b is [N] or NULL. Gradients flow to x also through packed weights, with their values after packing. A
 * training tape multiplies with these weights in float32, even if inference converts x to a narrower type. */
typedef struct Linear {
    Tensor *w, *b;
    const void *packed;
    Pack pack;
    int64_t N, K;
    const Adapter *adapter;
    int adapters;
} Linear;
Linear linear_new(Store *s, const char *name, int64_t N, int64_t K, bool bias, Init w, Init b, uint64_t seed, Error *e);
/* Loads a layer from n arrays that are stacked along N (at most 32; for example query, key and value weights). b[i]
 * [rows of array i] is the bias of array i; NULL: zeros. b NULL: the layer has no bias. */
bool linear_load(Linear *l, Store *s, int n, const Array *const *w, const Array *const *b, const WeightForm *how,
                 Error *e);
typedef struct Norm {
    Tensor *gamma, *beta;
    float eps;
} Norm;
bool norm_load(Norm *n, Store *s, const Array *gamma, const Array *beta, float eps, const WeightForm *how, Error *e);
/* Loads an array as a tensor: a parameter if bit 0 of how->train_w is set, else as store_array does. */
Tensor *tensor_load(Store *s, const Array *a, const WeightForm *how, Error *e);
/* Batch norm: y = (x - mean) / sqrt(var + eps) gamma + beta per channel [O]; gamma NULL: a convolution has no norm.
 * `batch`: a training tape normalises with the mean and variance of the batch. It also updates mean and var, which are
 * then kept tensors, by `momentum`. */
typedef struct Norm2d {
    Tensor *gamma, *beta, *mean, *var;
    double eps, momentum;
    bool batch;
} Norm2d;
/* A convolution with its batch norm (norm.gamma NULL: none). w is [O, C/groups, kh, kw]. If everything is frozen, the
 * norm is folded into w and bias, and w is packed (with how->plain: not packed). In how->train_w, bit 0 is w and bit 1
 * gamma; in how->train_b, bit 0 is bias and bit 1 beta. If any is set, w, bias and norm are tensors, as in the file. */
typedef struct Conv2d {
    const void *packed; /* NULL: w is used */
    Pack pack;
    int winograd; /* as in Conv */
    Tensor *w, *bias;
    Norm2d norm;
    int64_t O, C, kh, kw, stride, groups, top, left, bottom, right;
} Conv2d;
bool conv_load(Conv2d *c, Store *s, const Array *w, const Array *bias, const Array *gamma, const Array *beta,
               const Array *mean, const Array *var, double eps, int64_t stride, int64_t pad, int64_t groups,
               const WeightForm *how, Error *e);

/* ---- the tape -------------------------------------------------------------------------------- */

typedef struct Tape Tape;
Tape *tape_new(const Device *d, bool training, Error *e);
void tape_free(Tape *t);
/* Forgets all that was recorded. The memory is kept for the next step, so a steady step allocates nothing. `draw` seeds
 * dropout and noise. */
void tape_reset(Tape *t, Draw draw);
bool tape_ok(const Tape *t, Error *e); /* false: *e is the first failure */
bool tape_fail(Tape *t, sp_status code, const char *format, ...) PRINTF_LIKE(3, 4);
bool tape_training(const Tape *t);
const Device *tape_device(const Tape *t);
/* Returns arena `number` of the tape: host memory for callers of the tape. Number 0 is for general use, others are for
 * tasks. Each call empties the arena, but keeps its memory. The first call with a number also makes all arenas with
 * smaller numbers; only one thread at a time may do this. NULL if memory runs out. */
Arena *tape_arena(Tape *t, int number, Error *e);
/* Frees tensors made since `mark`, except those in `keep` (entries may be NULL). The model must not read the freed ones
 * again. Later ops reuse their memory, unless the backward pass needs it. */
int64_t tape_mark(const Tape *t);
void tape_drop(Tape *t, int64_t mark, int n_keep, Tensor *const *keep);
/* Copies x into a stored constant, from element `first` on. The copy is on the device and has no gradient. Call it
 * before `backward`, which frees the memory of x. */
void tape_keep(Tape *t, const Tensor *x, Tensor *kept, int64_t first);
/* Computes the gradients of a scalar loss, for every parameter that it depends on. The optimiser takes them from the
 * tape. A step may have several losses, one after the other: each with its own ops, backward pass and optimiser step.
 */
bool backward(Tape *t, Tensor *loss, Error *e);
/* For tests: copies the gradient of a parameter to a dense host array [count] (zeros if there is none). Call it before
 * the optimiser step. */
bool tensor_grad(Tape *t, const Tensor *x, float *host, Error *e);

/* Runs inference with planned memory. `forward` first runs without numbers (a dry run): this records the shape and the
 * last use of each tensor. Then it runs with numbers; tensors are at planned offsets in one block. Plans are cached by
 * shape, so later calls of infer with the same shapes need no new plan. `out` [capacity] receives the result; a larger
 * result is an error. `shape` receives its shape. */
typedef Tensor *Forward(Tape *t, const void *model, const void *input);
bool infer(Tape *t, Forward *forward, const void *model, const void *input, float *out, size_t capacity,
           int64_t shape[4], Error *e);
/* Like infer, for n results of one pass. `forward` sets out[0 .. n-1]; a result may be an intermediate tensor of
 * another one. A result with `to` NULL is not copied. If all have `to` NULL, only the shapes are computed. */
typedef void ForwardAll(Tape *t, const void *model, const void *input, Tensor **out);
typedef struct Inferred {
    float *to; /* memory for the result (NULL: not copied), and its size in floats */
    size_t room;
    int64_t shape[4];
} Inferred;
bool infer_all(Tape *t, ForwardAll *forward, const void *model, const void *input, size_t n, Inferred *results,
               Error *e);
/* If the device is not the host, infer_all returns before the results are in their memory. infer_arrive waits for the
 * call of infer_all that had `to` as its results[n - 1].to, and for all earlier calls. If `to` is NULL, it waits for
 * all calls. The caller must keep the memory of the results until then, and may call infer_all again before
 * infer_arrive. Returns false if the device failed: then the numbers are not valid. */
#ifdef SAPOR_MINIMAL /* MINIMAL has the CPU only, so there is nothing to wait for */
static inline bool infer_arrive(const Tape *t, const float *to, const Error *e)
{
    (void)t, (void)to, (void)e;
    return true;
}
#else
bool infer_arrive(Tape *t, const float *to, Error *e);
#endif
size_t plan_bytes(const Tape *t); /* bytes of the latest plan */

/* ---- ops: comments give [shapes] ------------------------------------------------------------- */

Tensor *input_f32(Tape *t, const float *host, int dims, const int64_t *shape); /* copies; not read in a dry run */
Tensor *input_i32(Tape *t, const int32_t *host, int64_t n); /* copies; ops and shapes must not depend on the values */
/* Uploads `lists` lists of ids [n]; out[i] is list i. Returns false if the tape has failed. All lists must be ids of
 * one table, such as positive and negative items. In training, the ids are also sorted into groups of equal ids: the
 * gradients of equal ids are summed. The next op that computes uploads all new lists together. */
bool input_ids(Tape *t, int lists, const int32_t *const *host, int64_t n, Tensor **out);
/* Declares that the step gathers rows of one parameter by all of these lists, in this order. The groups of equal ids
 * that the optimiser needs (see input_ids) are then made now, instead of after the backward pass. Results do not depend
 * on this call. If one list is NULL (all rows), the call does nothing. */
void ids_together(Tape *t, int lists, Tensor *const *ids);
/* Returns zeroed host scratch of this step, for ids and offsets that a forward function computes from shapes or from
 * the ids of its input. NULL if the tape has failed. */
void *tape_scratch(Tape *t, int64_t count, size_t size);

Tensor *linear(Tape *t, Tensor *x, const Linear *w);                           /* [M,K] -> [M,N] */
Tensor *linear_act(Tape *t, Tensor *x, const Linear *w, Act act, float param); /* act(x W' + b) */
Tensor *linear_add(Tape *t, Tensor *x, const Linear *w, Tensor *residual);     /* x W' + b + residual */
/* a b. `at`: a is transposed before the product. `bt`: b is transposed */
Tensor *matmul(Tape *t, Tensor *a, bool at, Tensor *b, bool bt);
Tensor *add(Tape *t, Tensor *a, Tensor *b);
Tensor *sub(Tape *t, Tensor *a, Tensor *b);
Tensor *mul(Tape *t, Tensor *a, Tensor *b); /* product of elements */
Tensor *scale(Tape *t, Tensor *x, float a);
Tensor *add_scaled(Tape *t, Tensor *x, Tensor *y, float a); /* x + a y */
Tensor *activate(Tape *t, Tensor *x, Act act, float param);
Tensor *dropout(Tape *t, Tensor *x, float p);        /* identity if the tape is not training */
Tensor *dropout_always(Tape *t, Tensor *x, float p); /* applied even if the tape is not training */
Tensor *detach(Tape *t, Tensor *x);                  /* same values, no gradient */
/* [R,D], [n] -> [n,D]; the gradient has only the rows that were read */
Tensor *gather(Tape *t, Tensor *table, Tensor *ids);
Tensor *rows(Tape *t, Tensor *x, int64_t first, int64_t count); /* x[first : first+count] */
Tensor *stack_rows(Tape *t, Tensor *a, Tensor *b);              /* [M1,D], [M2,D] -> [M1+M2,D] */
Tensor *concat(Tape *t, Tensor *a, Tensor *b);                  /* [M,D1], [M,D2] -> [M,D1+D2] */
Tensor *cols(Tape *t, Tensor *x, int64_t first, int64_t count); /* x[:, first : first+count] */
Tensor *reshape(Tape *t, Tensor *x, int dims, const int64_t *shape);
/* [M,N] -> [N,M]; slow for large N, because it copies column by column */
Tensor *swap_axes(Tape *t, Tensor *x);
Tensor *row_dot(Tape *t, Tensor *a, Tensor *b);       /* [M,D], [M,D] -> [M] */
Tensor *row_scale(Tape *t, Tensor *x, Tensor *s);     /* [M,D], [M] -> [M,D] */
Tensor *row_normalize(Tape *t, Tensor *x, float eps); /* x / max(|x|, eps) */
Tensor *softmax(Tape *t, Tensor *x);                  /* over the last dimension */
Tensor *layer_norm(Tape *t, Tensor *x, const Norm *n);
Tensor *layer_norm_add(Tape *t, Tensor *x, Tensor *residual, const Norm *n); /* norm(x + residual) */
Tensor *sum(Tape *t, Tensor *x);                                             /* -> [1] */
Tensor *mean(Tape *t, Tensor *x);
Tensor *sum_squares(Tape *t, Tensor *x); /* -> [1] */
Tensor *frobenius(Tape *t, Tensor *x);   /* sqrt(sum x^2) -> [1]; gradient 0 at 0 */

/* ---- elementwise and reductions (ops/math.c) ------------------------------------------------- */
Tensor *divide(Tape *t, Tensor *a, Tensor *b); /* a / b of elements */
/* maximum of elements; equal elements get half of the gradient each, as in torch */
Tensor *maximum(Tape *t, Tensor *a, Tensor *b);
/* Computes x + v, x - v, ... (BIN_ADD, BIN_SUB, BIN_MUL, BIN_DIV, BIN_MAX) for x [M,C], and v a row [C], a column [M]
 * or one number [1]. */
Tensor *broadcast(Tape *t, Binary which, Spread how, Tensor *x, Tensor *v);
/* Computes UN_EXP, UN_LOG, UN_SQRT or UN_SIGN. UN_SIGN has no gradient. The gradients of UN_LOG and UN_SQRT at 0 are
 * infinite. */
Tensor *unary(Tape *t, Tensor *x, Unary which);
Tensor *clamp(Tape *t, Tensor *x, float lo, float hi); /* no gradient outside the limits */
Tensor *row_sum(Tape *t, Tensor *x);                   /* [M,C] -> [M] */
Tensor *col_sum(Tape *t, Tensor *x);                   /* [M,C] -> [C] */
/* Makes a constant tensor of random numbers from the draw of the step (tape_reset). Each call gives other numbers; they
 * also differ from the numbers of dropout. */
Tensor *noise(Tape *t, Noise kind, int dims, const int64_t *shape);
/* filled makes a constant of equal numbers; add_number returns x + value. Both are computed on the device, without an
 * upload (input_f32 needs one). */
Tensor *filled(Tape *t, float value, int dims, const int64_t *shape);
Tensor *add_number(Tape *t, Tensor *x, float value);
/* Returns log sum over n of exp(scale a[m] . b[n]) without overflow: [M,D], [N,D] -> [M], N > 0. The product [M,N] is
 * computed in tiles of 1 MB, and again in the backward pass; it is never stored. */
Tensor *log_sum_exp(Tape *t, Tensor *a, Tensor *b, float scale);

/* BPR (Rendle et al. 2009) -> [1], with l2 regularisation of all rows that are compared:
 *
 *   mean over b of (-log sigmoid(score of pos - score of neg) + l2 (sum of squares of the rows of b))
 *
 * A score is the sum, over parts, of the dot products of users' and items' rows; D may differ between parts. The
 * forward pass and the backward pass each read the rows once. */
typedef struct Triples {
    Tensor *user, *pos, *neg; /* [B, D] */
    float eps;                /* > 0: row_normalize(x, eps) is applied to pos and neg */
} Triples;
Tensor *bpr_loss(Tape *t, int parts, const Triples *x, float l2);

/* texts and images */
typedef struct Ragged { /* B texts (or images) as rows [total, C]; text b has the rows offsets[b] .. offsets[b+1]-1 */
    int64_t B, total;
    const int32_t *offsets; /* host, [B+1]; must not change until the tape is reset */
} Ragged;
/* MPNet's position bias: relative[h][clamp(j - i, -R, R) + R] is added to the score of query i and key j of head h.
 * table NULL: none */
typedef struct Relative {
    Tensor *table; /* [H, 2 R + 1] */
    int64_t R;
} Relative;
/* q, k and v side by side [total, 3 C] -> [total, C]; H heads */
Tensor *attention(Tape *t, Tensor *qkv, const Ragged *r, int64_t H, Relative bias, bool causal);
Tensor *pool_ragged(Tape *t, Tensor *x, const Ragged *r, Reduce how); /* [total, C] -> [B, C] */
/* act(norm(conv(x) + bias) + residual): [B,H,W,C] -> [B,OH,OW,O] */
Tensor *conv(Tape *t, Tensor *x, const Conv2d *c, Tensor *residual, Act act);
Tensor *batch_norm(Tape *t, Tensor *x, const Norm2d *c); /* over all dimensions except the last */
Tensor *max_pool(Tape *t, Tensor *x, int64_t k, int64_t stride, int64_t pad);
Tensor *mean_pool(Tape *t, Tensor *x);                /* [B,H,W,C] -> [B,C] */
Tensor *channel_scale(Tape *t, Tensor *x, Tensor *s); /* [B,H,W,C] times [B,C] at every pixel */

/* ---- sparse graphs --------------------------------------------------------------------------- */

/* A sparse matrix: a pattern, optional values, and the index of its transpose. Values that follow from degrees need no
 * storage per entry: use row_scale and col_scale. */
typedef struct Csr {
    int64_t rows, cols, entries;
    Tensor *start, *col; /* I64 [rows+1]; I32 [entries], in ascending order in each row */
    Tensor *val;         /* F32 [entries]; NULL: ones */
    Tensor *val_index;   /* I32 [entries], with another graph's val: entry e has val[val_index[e]]; NULL: val[e] */
    Tensor *row_scale, *col_scale; /* [rows], [cols]; or NULL */
    /* The index of the transpose: I64 [cols+1], I32 [entries], I32 [entries] (the entry's number in this graph).
     * - A stored graph after csr_index(s, g, e), which adds an index: all three exist.
     * - A stored graph that is symmetric and has no such index, or a graph of csr_keep_rows: all are NULL.
     * - Any other stored graph: tstart and tcol exist; tentry exists only if the graph has values.
     * - A graph on a tape: usually all are NULL. An op makes them when it needs them. */
    Tensor *tstart, *tcol, *tentry;
    bool symmetric;             /* equal to its transpose, including values */
    Tensor *row;                /* I32 [entries]: the row of each entry; NULL before csr_index(s, g, e) */
    const struct Values *later; /* of a graph on a tape: how csr_values computes val; NULL: val exists */
} Csr;
typedef struct HostGraph { /* a graph in host memory */
    int64_t rows, cols;
    const int64_t *start;                     /* [rows+1] */
    const int32_t *col;                       /* [start[rows]], in ascending order in each row */
    const float *val, *row_scale, *col_scale; /* as in Csr, or NULL; equal pointers become one tensor */
    bool symmetric;                           /* equal to its transpose, including values and scales */
    bool symmetric_pattern;                   /* the pattern is equal to its transpose; the values may differ */
} HostGraph;
/* Copies a graph into the store, with the index of the transpose unless it is symmetric. Scales are not multiplied into
 * val: they stay row_scale and col_scale. If the store already has a graph of this name, the same Csr is refilled in
 * place (as csr_keep does): use this for graphs that are drawn in each epoch. "" is a graph without a name. The name is
 * copied. */
Csr *csr_new(Store *s, const char *name, const HostGraph *h, Error *e);
/* Adds to a stored graph the index that graph_with and its gradient need: the row of each entry, and each entry's
 * position in the transpose. A refill updates both. */
bool csr_index(Store *s, Csr *g, Error *e);
/* Returns the transpose of a stored graph, which must have no values. It uses the same tensors. */
Csr *csr_transpose(Store *s, const Csr *g, Error *e);
/* The matrix that is made from the train pairs (recipes.md 5.6). A has an entry for each pair, in both directions. D is
 * the diagonal matrix of the row sums of A, or of A + I if I is added. */
typedef enum Adjacency {
    ADJ_SYM,       /* D^-1/2 A D^-1/2 */
    ADJ_SYM_EPS,   /* ADJ_SYM with 1e-7 added to D, as in MMRec and in Elliot's models that were taken from MMRec */
    ADJ_ROW_SELF,  /* D^-1 (A+I) */
    ADJ_BOTH_SELF, /* D^-1 (A+I) D^-1 */
    ADJ_SYM_SELF   /* D^-1/2 (A+I) D^-1/2 */
} Adjacency;
/* Makes the graph of users and items, users first: [U+I, U+I] from the U x I train pairs. Names are as in csr_new. */
Csr *csr_bipartite(Store *s, const char *name, int64_t U, int64_t I, const int64_t *start, const int32_t *item,
                   Adjacency how, Error *e);
Tensor *spmm(Tape *t, const Csr *a, Tensor *x); /* [rows, cols] [cols, D] -> [rows, D]; x and val get a gradient */
/* x[row] . y[col] for each entry of the pattern -> [entries] */
Tensor *sddmm(Tape *t, const Csr *g, Tensor *x, Tensor *y);
/* softmax over the entries of each row: [entries] -> [entries] */
Tensor *edge_softmax(Tape *t, const Csr *g, Tensor *x);
/* Reorders x [entries] of g into the order of the entries of `transposed`, which is csr_transpose of g. Both need
 * csr_index. Example (GRCN): x has scores of user -> item messages, the result has them for item -> user messages. */
Tensor *edge_transpose(Tape *t, const Csr *g, const Csr *transposed, Tensor *x);
/* Graphs on the tape. They are NULL if the tape has failed; later ops accept NULL, as they accept a failed tensor. An
 * op makes the pattern of its graph immediately. If the device cannot read host memory, the values are computed when an
 * op first reads them, and the patterns are sent to the device when a kernel first reads one of them. This upload sends
 * all patterns that exist at that time, and also the selections of rows that csr_rows has made of them. */

/* Returns the values of g (NULL: ones), and computes them if they do not exist yet. Call it before a tape_drop of the
 * tensors that they depend on. */
Tensor *csr_values(Tape *t, const Csr *g);

/* Returns the pattern of g with values val [entries] (NULL: ones), without scales: for attention over edges (GAT,
 * GRCN). val gets a gradient. With csr_index, a step reads the stored index of the transpose; without it, each step
 * makes this index. */
Csr *graph_with(Tape *t, const Csr *g, Tensor *val);
/* How the nearest of I rows are found (knn.c): all rows are compared, or the rows of an inverted-file index. */
typedef enum KnnSearch { SEARCH_AUTO, SEARCH_EXACT, SEARCH_INDEX, SEARCH_COUNT } KnnSearch;
extern const char *const knn_searches[SEARCH_COUNT]; /* "auto", "exact", "index" */
#define KNN_RECALL 0.95                              /* smallest accepted recall of an index, measured on 1,000 rows */
typedef struct KnnPlan {
    KnnSearch search; /* auto: an index if 2 I^2 D operations (x: [I, D]) take over ten minutes at 200 GFLOP/s */
    uint64_t seed;    /* seed of the index's samples */
    /* [I, k], k at most I: the nearest rows, if they are known; -1 after the last one of a row. NULL: searched */
    const int32_t *given;
    /* The results. index: true: an index was used. false: the neighbours were given, or all rows were compared: because
     * of `search`, because auto estimated ten minutes or less (`seconds`), because k is above 1,024, or because an
     * index that auto made would compare half of all rows or more. */
    bool index;
    int64_t rows;   /* I */
    double seconds; /* estimated time to compare all rows */
    int64_t lists;  /* number of lists of the index; 0: no index was made */
    int64_t probes; /* number of lists that are searched per row */
    double recall;  /* share of the nearest rows that the index finds in a sample, not counting the row itself */
    double share;   /* share of all rows that a row is compared with, on average */
} KnnPlan;
/* Finds, for each row of x, the k rows with the largest cosine (including the row itself), as `plan` says (NULL: all
 * rows are compared). The values are the cosines; they have a gradient, the choice of rows has none. A row of zeros has
 * cosine 0 with every row. MINIMAL has no index: auto compares all rows. */
Csr *knn_graph(Tape *t, Tensor *x, int64_t k, KnnPlan *plan);
/* Like knn_graph, with the pattern of an earlier knn_graph: only the values are computed. */
Csr *cosine_graph(Tape *t, Tensor *x, const Csr *pattern);
/* Returns the sum over g of weights[g] graphs[g], on the union of their patterns. weights[g] is [1], or NULL for 1;
 * `weights` may be NULL. */
Csr *graph_mix(Tape *t, int n, Csr *const *graphs, Tensor *const *weights);
/* Returns the graph with the values s_r^-1/2 v s_c^-1/2, where v is the value in row r and column c, and s are the sums
 * of rows (recipes.md 5.7). If a sum is <= 0, the value is 0. */
Csr *graph_normalize(Tape *t, Csr *g);
/* Returns g with `value`, a constant, in every diagonal entry; missing ones are added */
Csr *graph_set_diagonal(Tape *t, Csr *g, float value);
/* Copies a graph of the tape into the store under a name: it stays valid after the tape, and has no gradient. The same
 * name gives the same Csr, refilled in place; tapes that still use the older contents must not call backward. */
Csr *csr_keep(Tape *t, Store *s, const char *name, const Csr *g, Error *e);
/* Like csr_keep, but without the index of the transpose, in half the memory: for graphs that are mixed or read by
 * csr_rows, and have no backward pass as a whole. */
Csr *csr_keep_rows(Tape *t, Store *s, const char *name, const Csr *g, Error *e);
/* The part of a graph that a batch depends on (subgraph.c). Lists of ids are I32. infer does not support these
 * functions. */

/* Returns the distinct ids of a [n] and b [m] in ascending order. a_at [n] and b_at [m] are the positions of a and b in
 * this list. b may be NULL. */
Tensor *distinct(Tape *t, Tensor *a, Tensor *b, Tensor **a_at, Tensor **b_at);
Tensor *ids_pick(Tape *t, Tensor *ids, Tensor *at);                  /* ids[at[i]] */
Tensor *ids_join(Tape *t, Tensor *low, int64_t first, Tensor *high); /* low, followed by first + high */
/* Returns the sorted ids below `first`. *high: the others, minus `first`. */
Tensor *ids_split(Tape *t, Tensor *ids, int64_t first, Tensor **high);
/* Selects the rows `ids` (distinct, sorted in ascending order) of a graph, as [n, |from|]. Then (A x)[ids] = spmm(rows,
 * x[from]).
 *
 * - `from`: the sorted nodes that these rows read; for a square graph, ids are included.
 * - `at` [n]: the positions of ids in `from`. NULL if the graph is not square.
 * - *from becomes NULL (all nodes) if a selection would save little. In a square graph: if the rows of the nodes that
 *   `from` would have contain at least half of all entries; a node's position is then its id, so *at has the ids. In
 *   other graphs: if the selected rows read at least half of the columns.
 * - ids NULL: the result is g itself, and *from and *at are NULL. */
const Csr *csr_rows(Tape *t, const Csr *g, Tensor *ids, Tensor **from, Tensor **at);
/* Copies a graph to the host, with scales applied. Any destination may be NULL. */
bool csr_read(const Device *d, const Csr *g, int64_t *start, int32_t *col, float *val, Error *e);

/* ---- optimisers and checkpoints -------------------------------------------------------------- */

typedef struct ParamGroup { /* the parameters whose names begin with `prefix` ("": all) */
    const char *prefix;
    double rate; /* factor of lr */
} ParamGroup;
/* Optimisers as torch.optim defines them: Adam (Kingma & Ba 2015); AdamW (Loshchilov & Hutter 2019); SGD with momentum;
 * Adagrad (Duchi et al. 2011); RMSprop (Tieleman & Hinton 2012; centred: Graves 2013). */
typedef enum OptimKind { OPTIM_ADAM, OPTIM_ADAMW, OPTIM_SGD, OPTIM_ADAGRAD, OPTIM_RMSPROP, OPTIM_COUNT } OptimKind;
typedef struct Optim {
    OptimKind kind;
    double lr, eps, weight_decay;
    double beta1, beta2;        /* Adam, AdamW */
    double momentum, dampening; /* SGD; RMSprop has momentum too */
    bool nesterov;              /* SGD */
    double alpha;               /* RMSprop: decay of the mean of squares */
    bool centred;               /* RMSprop: the mean is subtracted */
    double lr_decay;            /* Adagrad: lr / (1 + (step - 1) lr_decay) */
    /* If above 0: all gradients together have at most this norm (torch.nn.utils.clip_grad_norm_), and each number has
     * at most this magnitude. The norm is applied first. Clipped gradients are dense. */
    double clip_norm, clip_value;
    /* For a parameter without a gradient in a step. true: it is not stepped (zero_grad to None in torch 2). false: once
     * it has had a gradient, it is stepped by its momentum (zero_grad to zero in torch 1). */
    bool skip_missing;
    /* A parameter belongs to the first group whose prefix its name has. A parameter without a group is not changed, and
     * its gradient is dropped after the step. Several optimisers can therefore share a store, each with its own
     * parameters. group_count 0: all parameters, with rate lr. */
    const ParamGroup *groups;
    size_t group_count;
} Optim;
Optim optim_default(OptimKind kind, double lr); /* torch's defaults */
Optim optim_adam(double lr);
/* "adam", "adamw", ...: indexed by kind; also the words of a setting */
extern const char *const optim_names[OPTIM_COUNT];
int optim_find(const char *name); /* -1 if the name is unknown */
/* The learning rate of a step (from 0 on), as a factor of the first rate. A caller multiplies lr by it before each
 * step, so a resumed run needs only the number of the step. Steps before `warm_up` have the factor step / warm_up.
 * Below, `after` is step - warm_up. */
typedef enum ScheduleKind {
    RATE_CONSTANT,
    RATE_STEP,        /* factor^floor(after / period): torch's StepLR */
    RATE_EXPONENTIAL, /* factor^after */
    /* the next two reach `factor` in step `period` (including the warm-up), and do not change after it: */
    RATE_COSINE, /* half a cosine, from 1: torch's CosineAnnealingLR up to its T_max, transformers' cosine */
    RATE_LINEAR  /* linear, from 1: transformers' linear */
} ScheduleKind;
typedef struct Schedule {
    ScheduleKind kind;
    int64_t warm_up, period;
    double factor;
} Schedule;
double schedule_rate(const Schedule *s, int64_t step);
/* Takes one step for the parameters of the store, with the gradients on the tape. A gradient of rows changes only these
 * rows. A factored gradient is a product of two matrices; it is not computed as a whole. Adam also steps rows without a
 * gradient: these steps are delayed until the row is next read, and have the same bits as the dense step. */
bool optim_step(const Optim *o, Store *s, Tape *t, Error *e);
void store_settle(Store *s);      /* does all delayed steps of every row */
bool store_keeps(const Store *s); /* reports whether the store has tensors of kept_new */
typedef struct NotFinite {        /* a number that is NaN or infinite */
    const char *name;             /* name of the tensor; NULL: all numbers are finite */
    bool state;                   /* the number is in the optimiser state of the tensor */
    int64_t row;
    double value;
} NotFinite;
/* Finds the first number that is not finite in what checkpoints contain. Delayed steps stay delayed. The device sums
 * the numbers; the host reads a tensor only if its sum is not finite. Returns false only if memory runs out. */
bool store_find_not_finite(const Store *s, NotFinite *found, Error *e);
/* Write and read all parameters, optimiser states, step counts and tensors of kept_new (no other constants).
 * store_declare first adds the names and shapes to the file; store_save then writes the numbers. Training after
 * store_load continues with the same bits. */
bool store_declare(Store *s, SafetensorsOut *out, Error *e);
bool store_save(Store *s, SafetensorsOut *out, Error *e); /* after declare, same order */
bool store_load(Store *s, const Weights *w, Error *e);    /* into existing tensors; shapes are checked */

/* ---- ranking --------------------------------------------------------------------------------- */

/* Finds, for user rows ids [B] (host), the k best items by users[u] . items[i]. The train items of u are left out:
 * start and item are a host CSR over U users, or NULL. Results on the host: top [B,k], -1 if there are fewer items;
 * scores [B,k], or NULL. */
bool rank_items(const Device *d, const Tensor *users, const Tensor *items, const int32_t *ids, int64_t B, int64_t k,
                const int64_t *start, const int32_t *item, int32_t *top, float *scores, Error *e);
/* The same for users given by vectors [B, D] in host memory. start [B + 1] and item are indexed by the row of the call.
 */
bool rank_rows(const Device *d, const float *users, const Tensor *items, int64_t B, int64_t k, const int64_t *start,
               const int32_t *item, int32_t *top, float *scores, Error *e);
/* The same for dense scores [B, I] in host memory; -inf and NaN are never listed. start and item are a CSR over U
 * users; row b is user ids[b], or user b if ids is NULL. `best` [B, k] receives the scores, or is NULL. */
bool rank_scores(const Device *d, int64_t I, const float *scores, const int32_t *ids, int64_t B, int64_t k, int64_t U,
                 const int64_t *start, const int32_t *item, int32_t *top, float *best, Error *e);

/* ---- matrices (inverse.c) -------------------------------------------------------------------- */

/* Replaces a matrix a [n, n] of the host by its inverse. It takes 2 n^3 operations in float32. Memory: 3 n x 128
 * floats, and a copy of the matrix if the device does not read host memory. A matrix without an inverse is an error;
 * `a` is then undefined. `after` (NULL: none) is called several times with the number of finished columns; if it
 * returns false, the work ends. */
bool invert_matrix(const Device *d, int64_t n, float *a, bool (*after)(void *arg, int64_t columns, Error *e), void *arg,
                   Error *e);

#endif
