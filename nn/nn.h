/* nn/nn.h: tensors, the tape, layers, losses, sparse graphs, optimisers, checkpoints.
 *
 * A model is a C function that calls ops on a tape:
 *
 *     Tensor *x = gather(t, m->items, ids);
 *     x = linear_act(t, x, &m->fc1, ACT_RELU, 0);
 *     return mean(t, row_dot(t, x, y));
 *
 * Ops compute at once; on a training tape they also record their backward pass. The tape owns what they return. A
 * failed op (out of memory, shapes that do not fit) makes the tape fail: it and every later op return the tape's failed
 * tensor, never NULL, and the caller checks once, at the end, with tape_ok. Model code branches on shapes and settings,
 * never on values.
 *
 * Only kernels/ dereferences tensor data: tensor_read and tensor_write copy. */
#ifndef SAPOR_NN_H
#define SAPOR_NN_H

#include "kernels/kernels.h"
#include "weights/weights.h"

/* What computes, and the threads of the host. Stores and tapes share it; it must outlive them. */
typedef struct Device {
    const Kernels *k;
    void *context; /* of every Run of the kernels */
    const Heap *heap;
    Pool *pool; /* for tasks of the host, and the CPU's context */
    Trace *trace;
    OpenPlugin plugin; /* of a device that is not the CPU */
    Error why_cpu;     /* of "auto": why the CPU is used, or no error */
} Device;
/* name: "cpu", "cpu:avx2" (a level: kernels_cpu), "cuda", "cuda:OPTIONS" (kernels/cuda/context.cu), "auto": a GPU where
 * there is one that can be used, else the CPU; NULL: the environment's SAPOR_DEVICE, else "cpu". threads 0: as many as
 * the machine has. The heap (NULL: malloc) and the trace (NULL: off) stay the caller's. After a failure device_close
 * has nothing to do. A program adds a device of its own by opening "cpu" and putting its table and its context there,
 * before the first store or tape. */
bool device_open(Device *d, const char *name, int threads, const Heap *heap, Trace *trace, Error *e);
void device_close(Device *d);
Run device_run(const Device *d); /* for calls of kernels that need no scratch */
/* Whether kernels read host memory: to read a number then waits for nothing. */
bool device_is_host(const Device *d);
/* False: what was called could not be computed (Kernels.check). After reading numbers, before they are used. */
bool device_check(const Device *d, Error *e);
/* The error of an alloc that got no memory: what was asked and what there is. Returns false. */
#ifdef SAPOR_MINIMAL
#define device_full(k, run, bytes, what, e) fail_memory(e, bytes, what)
#else
bool device_full(const Kernels *k, const Run *run, size_t bytes, const char *what, Error *e);
#endif

/* ---- tensors --------------------------------------------------------------------------------- */

typedef struct Param Param;
typedef struct Tensor {
    DType type; /* F32, I32 or I64 */
    int dims;
    int64_t shape[4];
    int64_t count;
    void *data;      /* device memory: for kernels only */
    Param *param;    /* a parameter with an optimiser state; NULL for all other tensors */
    bool needs_grad; /* a gradient flows through it */
    int32_t id;      /* its number on the tape; -1 for stored tensors */
} Tensor;
int64_t rows_of(const Tensor *x); /* shape[0] */
int64_t cols_of(const Tensor *x); /* count / shape[0] */

/* ---- stored tensors: parameters, frozen features, encoder weights ---------------------------- */

/* Owns tensors that outlive tapes, by name. */
typedef struct Store Store;
Store *store_new(const Device *d, Error *e);
void store_free(Store *s);
const Device *store_device(const Store *s);
typedef enum InitKind {
    INIT_ZERO,
    INIT_CONSTANT,
    INIT_UNIFORM,        /* [-a, a] */
    INIT_NORMAL,         /* mean 0, standard deviation a */
    INIT_XAVIER_UNIFORM, /* fan_in = cols, fan_out = rows (recipes.md 5.5) */
    INIT_XAVIER_NORMAL,
    INIT_FAN_IN /* uniform in +-1 / sqrt(fan_in), torch's default for a Linear: for its bias too (linear_new) */
} InitKind;
typedef struct Init {
    InitKind kind;
    double a;
} Init;
/* A trainable [rows, cols] (cols 0: a vector [rows]); its numbers are draws of (seed, DRAW_INIT, hash of name). The
 * name is copied, as all names that a store gets. NULL on failure. */
Tensor *param_new(Store *s, const char *name, int64_t rows, int64_t cols, Init init, uint64_t seed, Error *e);
/* A constant of the numbers that param_new would begin with: what a recipe draws and never trains. */
Tensor *store_random(Store *s, const char *name, int64_t rows, int64_t cols, Init init, uint64_t seed, Error *e);
/* A constant copied from host memory; NULL data: zeros. */
Tensor *store_f32(Store *s, const char *name, int dims, const int64_t *shape, const float *data, Error *e);
Tensor *store_i32(Store *s, const char *name, int dims, const int64_t *shape, const int32_t *data, Error *e);
Tensor *store_i64(Store *s, const char *name, int dims, const int64_t *shape, const int64_t *data, Error *e);
/* A constant from a file's array: a view of the mapped file where it is aligned float32 (the file must outlive the
 * store), else converted. */
Tensor *store_array(Store *s, const Array *a, Error *e);
/* A trainable tensor that starts with given numbers (feature tables). */
Tensor *param_from(Store *s, const char *name, int64_t rows, int64_t cols, const float *data, Error *e);
/* A constant of zeros that steps write (tape_keep) and checkpoints hold, as they hold parameters. */
Tensor *kept_new(Store *s, const char *name, int64_t rows, int64_t cols, Error *e);
Tensor *store_find(const Store *s, const char *name);
size_t store_count(const Store *s);
Tensor *store_at(const Store *s, size_t i);
const char *store_name(const Store *s, const Tensor *x);
size_t store_bytes(const Store *s); /* values and optimiser states */
/* Host copies; first and n in elements. A parameter's pending optimiser steps are done first. */
void tensor_read(const Device *d, const Tensor *x, int64_t first, int64_t n, void *host);
void tensor_write(const Device *d, Tensor *x, int64_t first, int64_t n, const void *host);

/* ---- layers ---------------------------------------------------------------------------------- */

/* How a layer holds the arrays that it is loaded from; {0}: frozen, packed as float32. */
typedef struct Hold {
    Pack pack;    /* of frozen weights of products */
    int winograd; /* Conv.winograd */
    bool plain;   /* frozen weights are not packed: constants */
    bool batch; /* Norm2d.batch of trained batch norms; mean and var are kept tensors with the names of their arrays */
    /* Bit i: array i is a parameter, which has the name of the array. Weights with a parameter among them are not
     * packed. */
    uint32_t train_w, train_b;
    /* Bit i: the rows of array i get a low-rank adapter (LoRA, Hu et al. 2021): rank > 0 adds y += alpha / rank B A
     * dropout(x) with the parameters NAME.lora_A.weight [rank, K], uniform in +-1 / sqrt(K), and NAME.lora_B.weight
     * [rows, rank], zeros; NAME is the array's without .weight. */
    uint32_t adapt;
    int64_t rank;
    double alpha;
    float dropout;
    uint64_t seed;
} Hold;
typedef struct Adapter {
    Tensor *a, *b; /* [rank, K], [rows, rank] */
    int64_t first; /* the first of the layer's rows that it adds to */
    float scale, dropout;
} Adapter;

/* y = x W' + b, plus what the adapters add. The weights are either w [N, K] (a constant, a parameter, or parameters
 * below one another) or `packed`; b [N] or NULL. Gradients flow to x through packed weights, too: as they are after
 * packing. A training tape multiplies by these weights in float32, also where inference makes x narrow. */
typedef struct Linear {
    Tensor *w, *b;
    const void *packed;
    Pack pack;
    int64_t N, K;
    const Adapter *adapter;
    int adapters;
} Linear;
Linear linear_new(Store *s, const char *name, int64_t N, int64_t K, bool bias, Init w, Init b, uint64_t seed, Error *e);
/* From n arrays stacked along N (a fused weight may come from several; at most 32), and their biases; b NULL, or an
 * entry of it: none. */
bool linear_load(Linear *l, Store *s, int n, const Array *const *w, const Array *const *b, const Hold *how, Error *e);
typedef struct Norm {
    Tensor *gamma, *beta;
    float eps;
} Norm;
bool norm_load(Norm *n, Store *s, const Array *gamma, const Array *beta, float eps, const Hold *how, Error *e);
/* An array as a tensor: a parameter where how->train_w says so, else store_array. */
Tensor *tensor_load(Store *s, const Array *a, const Hold *how, Error *e);
/* Batch norm: y = (x - mean) / sqrt(var + eps) gamma + beta by channel [O]; gamma NULL: none. `batch`: a training tape
 * normalises by the batch, and moves mean and var, which are then kept tensors, by `momentum`. */
typedef struct Norm2d {
    Tensor *gamma, *beta, *mean, *var;
    double eps, momentum;
    bool batch;
} Norm2d;
/* A convolution with its batch norm (mean etc. NULL: none); w [O, C/groups, kh, kw]. Frozen, the norm is folded into
 * the weights. Where how->train_w has bit 0 (of w) or 1 (of gamma), or train_b has bit 0 (of bias) or 1 (of beta),
 * nothing is packed or folded: w, bias and norm are tensors. how->plain: folded, but not packed. */
typedef struct Conv2d {
    const void *packed; /* or NULL: w */
    Pack pack;
    int winograd; /* as in Conv */
    Tensor *w, *bias;
    Norm2d norm;
    int64_t O, C, kh, kw, stride, groups, top, left, bottom, right;
} Conv2d;
bool conv_load(Conv2d *c, Store *s, const Array *w, const Array *bias, const Array *gamma, const Array *beta,
               const Array *mean, const Array *var, double eps, int64_t stride, int64_t pad, int64_t groups,
               const Hold *how, Error *e);

/* ---- the tape -------------------------------------------------------------------------------- */

typedef struct Tape Tape;
Tape *tape_new(const Device *d, bool training, Error *e);
void tape_free(Tape *t);
/* Forgets all that was recorded; memory is kept, so a steady step allocates nothing. `draw` seeds dropout. */
void tape_reset(Tape *t, Draw draw);
bool tape_ok(const Tape *t, Error *e); /* false: e is the first failure */
bool tape_fail(Tape *t, sp_status code, const char *format, ...) PRINTF_LIKE(3, 4);
bool tape_training(const Tape *t);
const Device *tape_device(const Tape *t);
/* Host memory for the callers of the tape, kept with it from call to call: number 0, and others for tasks. It is empty
 * at each call. The first call with a number makes this arena and those below it; only one thread at a time may do
 * that. NULL when out of memory. */
Arena *tape_arena(Tape *t, int number, Error *e);
/* Of the tensors made since `mark` the model will read only those in `keep` again (some may be NULL). Later ops use the
 * memory of the others, unless the backward pass needs it. */
int64_t tape_mark(const Tape *t);
void tape_drop(Tape *t, int64_t mark, int n_keep, Tensor *const *keep);
/* Copies x into a stored constant, from element `first` on. The copy is on the device and has no gradient. To
 * be called before backward, which gives the memory of x back. */
void tape_keep(Tape *t, const Tensor *x, Tensor *kept, int64_t first);
/* Gradients of a scalar loss for every parameter it reaches; the optimiser takes them from the tape. A step may have
 * several losses, each with its own ops, backward and optimiser's step, one behind the other. */
bool backward(Tape *t, Tensor *loss, Error *e);
/* For tests: the gradient of a parameter as a dense host array [count] (zeros if there is none), before the optimiser's
 * step. */
bool tensor_grad(Tape *t, const Tensor *x, float *host, Error *e);

/* Inference with planned memory: `forward` runs dry (shapes and last uses), then for real at planned offsets in one
 * block. Plans are cached by shape. `out` receives the result, [its count] floats; shape gives its shape. forward may
 * be called for several inputs. */
typedef Tensor *Forward(Tape *t, const void *model, const void *input);
bool infer(Tape *t, Forward *forward, const void *model, const void *input, float *out, size_t capacity,
           int64_t shape[4], Error *e);
/* The same for n results of one pass: forward sets out[0 .. n-1], which may be tensors on the way to each other. Where
 * no result has memory (`to` NULL), only the shapes are computed. */
typedef void ForwardAll(Tape *t, const void *model, const void *input, Tensor **out);
typedef struct Inferred {
    float *to; /* receives the result; room: how many floats it has memory for */
    size_t room;
    int64_t shape[4];
} Inferred;
bool infer_all(Tape *t, ForwardAll *forward, const void *model, const void *input, size_t n, Inferred *results,
               Error *e);
/* infer_all need not wait for a device that is not the host: the results are in their memory when infer_arrive of the
 * last of them (`to`) returns, and with them those of earlier calls; NULL: of all calls. Until then the caller keeps
 * their memory; it may call infer_all again. False: the device failed, and the numbers are not results. */
#ifdef SAPOR_MINIMAL /* the CPU alone: there is nothing to wait for */
static inline bool infer_arrive(const Tape *t, const float *to, const Error *e)
{
    (void)t, (void)to, (void)e;
    return true;
}
#else
bool infer_arrive(Tape *t, const float *to, Error *e);
#endif
size_t plan_bytes(const Tape *t); /* of the last plan */

/* ---- ops: [shapes] in comments --------------------------------------------------------------- */

Tensor *input_f32(Tape *t, const float *host, int dims, const int64_t *shape); /* copied; not read on a dry run */
Tensor *input_i32(Tape *t, const int32_t *host, int64_t n); /* copied; ops and shapes must not depend on the values */
/* Lists of ids [n] by which a step reads rows, `lists` of them into out: those of one call number the same rows, as
 * positive and negative items do (ids_together). Made before the first op that computes, they travel to the device in
 * one upload, with what the gradients of gathers and the optimiser need of them. */
bool input_ids(Tape *t, int lists, const int32_t *const *host, int64_t n, Tensor **out);
/* The step gathers rows of one parameter by all of these lists, in this order: what the optimiser needs of them is made
 * now and not after the backward pass. Results do not depend on it. Where one of them is NULL, for all rows, there is
 * nothing to do. */
void ids_together(Tape *t, int lists, Tensor *const *ids);
/* Host scratch of this step, zeroed: for ids and offsets that a forward function computes, from shapes or from the ids
 * of its input. NULL when the tape has failed. */
void *tape_scratch(Tape *t, int64_t count, size_t size);

Tensor *linear(Tape *t, Tensor *x, const Linear *w);                           /* [M,K] -> [M,N] */
Tensor *linear_act(Tape *t, Tensor *x, const Linear *w, Act act, float param); /* act(x W' + b) */
Tensor *linear_add(Tape *t, Tensor *x, const Linear *w, Tensor *residual);     /* x W' + b + residual */
Tensor *matmul(Tape *t, Tensor *a, bool at, Tensor *b, bool bt);               /* op(a) op(b) */
Tensor *add(Tape *t, Tensor *a, Tensor *b);
Tensor *sub(Tape *t, Tensor *a, Tensor *b);
Tensor *mul(Tape *t, Tensor *a, Tensor *b); /* element by element */
Tensor *scale(Tape *t, Tensor *x, float a);
Tensor *add_scaled(Tape *t, Tensor *x, Tensor *y, float a); /* x + a y */
Tensor *activate(Tape *t, Tensor *x, Act act, float param);
Tensor *dropout(Tape *t, Tensor *x, float p);                   /* identity when not training */
Tensor *dropout_always(Tape *t, Tensor *x, float p);            /* also when not training */
Tensor *detach(Tape *t, Tensor *x);                             /* same values, no gradient */
Tensor *gather(Tape *t, Tensor *table, Tensor *ids);            /* [R,D], [n] -> [n,D]; row-sparse gradient */
Tensor *rows(Tape *t, Tensor *x, int64_t first, int64_t count); /* x[first : first+count] */
Tensor *stack_rows(Tape *t, Tensor *a, Tensor *b);              /* [M1,D], [M2,D] -> [M1+M2,D] */
Tensor *concat(Tape *t, Tensor *a, Tensor *b);                  /* [M,D1], [M,D2] -> [M,D1+D2] */
Tensor *cols(Tape *t, Tensor *x, int64_t first, int64_t count); /* x[:, first : first+count] */
Tensor *reshape(Tape *t, Tensor *x, int dims, const int64_t *shape);
Tensor *swap_axes(Tape *t, Tensor *x);                /* [M,N] -> [N,M]; for small N, as it copies column by column */
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

/* numbers by numbers (ops/math.c) */
Tensor *divide(Tape *t, Tensor *a, Tensor *b);  /* a / b, element by element */
Tensor *maximum(Tape *t, Tensor *a, Tensor *b); /* where both are equal each gets half of the gradient, as in torch */
/* x + v, x - v, ... for x [M,C] and v a row [C], a column [M] or one number [1]: BIN_ADD, BIN_SUB, BIN_MUL, BIN_DIV,
 * BIN_MAX */
Tensor *broadcast(Tape *t, Binary which, Spread how, Tensor *x, Tensor *v);
/* UN_EXP, UN_LOG, UN_SQRT; UN_SIGN has no gradient. The gradient of UN_LOG and UN_SQRT at 0 is infinite. */
Tensor *unary(Tape *t, Tensor *x, Unary which);
Tensor *clamp(Tape *t, Tensor *x, float lo, float hi); /* no gradient beyond the limits */
Tensor *row_sum(Tape *t, Tensor *x);                   /* [M,C] -> [M] */
Tensor *col_sum(Tape *t, Tensor *x);                   /* [M,C] -> [C] */
/* A constant of draws of the step (tape_reset), other ones at each call, and other ones than dropout's. */
Tensor *noise(Tape *t, Noise kind, int dims, const int64_t *shape);
/* A constant whose numbers are all `value`, and x + value: made on the device, where input_f32 is an upload. */
Tensor *filled(Tape *t, float value, int dims, const int64_t *shape);
Tensor *add_number(Tape *t, Tensor *x, float value);
/* log sum over n of exp(scale a[m] . b[n]) without overflow: [M,D], [N,D] -> [M], N > 0. The product [M,N] is made in
 * tiles of 1 MB, and made again in the backward pass. */
Tensor *log_sum_exp(Tape *t, Tensor *a, Tensor *b, float scale);

/* BPR, Rendle et al. 2009: mean over b of -log sigmoid(score of pos - score of neg) + l2 (squares of all rows compared)
 * -> [1], in one pass each way. A score is the sum over parts of the dot products of users' and items' rows; D may
 * differ from part to part. */
typedef struct Triples {
    Tensor *user, *pos, *neg; /* [B, D] */
    float eps;                /* > 0: pos and neg by row_normalize(, eps) */
} Triples;
Tensor *bpr_loss(Tape *t, int parts, const Triples *x, float l2);

/* texts and images */
typedef struct Ragged { /* B texts (or images) as [total, C] rows; text b has rows offsets[b] .. offsets[b+1]-1 */
    int64_t B, total;
    const int32_t *offsets; /* host, [B+1]; unchanged until the tape is reset */
} Ragged;
typedef struct Relative { /* MPNet's position bias: relative[h][clamp(j-i)] (kernels.h); NULL table: none */
    Tensor *table;        /* [H, 2 R + 1] */
    int64_t R;
} Relative;
/* [total, 3 C] -> [total, C] */
Tensor *attention(Tape *t, Tensor *qkv, const Ragged *r, int64_t H, Relative bias, bool causal);
Tensor *pool_ragged(Tape *t, Tensor *x, const Ragged *r, Reduce how); /* [total, C] -> [B, C] */
/* act(norm(conv(x) + bias) + residual): [B,H,W,C] -> [B,OH,OW,O] */
Tensor *conv(Tape *t, Tensor *x, const Conv2d *c, Tensor *residual, Act act);
Tensor *batch_norm(Tape *t, Tensor *x, const Norm2d *c); /* over all dimensions but the last */
Tensor *max_pool(Tape *t, Tensor *x, int64_t k, int64_t stride, int64_t pad);
Tensor *mean_pool(Tape *t, Tensor *x);                /* [B,H,W,C] -> [B,C] */
Tensor *channel_scale(Tape *t, Tensor *x, Tensor *s); /* [B,H,W,C] times [B,C], at every place */

/* ---- sparse graphs --------------------------------------------------------------------------- */

/* A pattern, optional values, and the index of its transpose. Values from degrees cost nothing to store: row_scale and
 * col_scale. */
typedef struct Csr {
    int64_t rows, cols, entries;
    Tensor *start, *col;           /* I64 [rows+1], I32 [entries] ascending in a row */
    Tensor *val;                   /* F32 [entries] or NULL: ones */
    Tensor *at;                    /* I32 [entries]: entry e has val[at[e]] of another graph; NULL: val[e] */
    Tensor *row_scale, *col_scale; /* or NULL */
    /* The transpose: I64 [cols+1], I32, I32 [entries] (numbers of this graph's entries); NULL if symmetric. tat alone
     * is NULL if there are no values. */
    Tensor *tstart, *tcol, *tat;
    bool symmetric;             /* equal to its transpose, values too */
    Tensor *row;                /* I32 [entries]: the row of each entry; NULL without csr_index */
    const struct Values *later; /* of a graph on a tape: what val is made by (csr_values); NULL: val is there */
} Csr;
typedef struct HostGraph { /* a graph in host memory */
    int64_t rows, cols;
    const int64_t *start;                     /* [rows+1] */
    const int32_t *col;                       /* [start[rows]] ascending in a row */
    const float *val, *row_scale, *col_scale; /* as in Csr, or NULL; equal pointers become one tensor */
    bool symmetric;                           /* equal to its transpose, values and scales too */
    bool mirrored;                            /* its pattern is */
} HostGraph;
/* Copied into the store, scales as scales, with the index of the transpose unless symmetric. A name that the store has
 * for a graph gives the same Csr, refilled in place (as csr_keep does): for graphs that are drawn anew each epoch. "":
 * a graph without a name. The name is copied. */
Csr *csr_new(Store *s, const char *name, const HostGraph *h, Error *e);
/* Adds to a stored graph what graph_with and its gradient read: the row of each entry, and each entry's place in the
 * transpose. A refill brings both up to date. */
bool csr_index(Store *s, Csr *g, Error *e);
/* The transpose of a stored graph without values: the same tensors, their parts exchanged. */
Csr *csr_turned(Store *s, const Csr *g, Error *e);
/* recipes.md 5.6 */
typedef enum Adjacency {
    ADJ_SYM,
    ADJ_SYM_EPS,   /* degree + 1e-7: MMRec's ADJ_SYM, and that of Elliot's models which come from MMRec */
    ADJ_ROW_SELF,  /* D^-1 (A+I) */
    ADJ_BOTH_SELF, /* D^-1 (A+I) D^-1 */
    ADJ_SYM_SELF
} Adjacency;
/* The graph of users and items, users first: [U+I, U+I] from the U x I train pairs. Names as in csr_new. */
Csr *csr_bipartite(Store *s, const char *name, int64_t U, int64_t I, const int64_t *start, const int32_t *item,
                   Adjacency how, Error *e);
Tensor *spmm(Tape *t, const Csr *a, Tensor *x); /* [rows, cols] [cols, D] -> [rows, D]; gradient to x and to val */
/* x[row] . y[col] for each entry of the pattern -> [entries] */
Tensor *sddmm(Tape *t, const Csr *g, Tensor *x, Tensor *y);
Tensor *edge_softmax(Tape *t, const Csr *g, Tensor *x); /* over each row's entries: [entries] -> [entries] */
/* x [entries] of g in the order of the entries of turned, its transpose (csr_turned); both after csr_index. The other
 * direction of an attention whose scores are symmetric: GRCN. */
Tensor *edge_turn(Tape *t, const Csr *g, const Csr *turned, Tensor *x);
/* Graphs on the tape; NULL when it has failed (later ops accept NULL as they accept a failed tensor). An op makes the
 * pattern at once. On a device that does not read host memory it makes the values when an op first reads them: so all
 * patterns of a step, and the rows that csr_rows takes of them, travel to the device in one upload. */

/* The values of g, NULL for ones; made now if they are not yet. Before a tape_drop of what they are made of. */
Tensor *csr_values(Tape *t, const Csr *g);

/* The pattern of g with values val [entries] (NULL: ones), without scales: for attention over edges (GAT, GRCN). A
 * gradient flows to val. After csr_index a step reads the transpose's index; without it each step makes it. */
Csr *graph_with(Tape *t, const Csr *g, Tensor *val);
/* How the nearest of I rows are found (knn.c): all rows are compared, or those of an inverted-file index. */
typedef enum KnnSearch { SEARCH_AUTO, SEARCH_EXACT, SEARCH_INDEX, SEARCH_COUNT } KnnSearch;
extern const char *const knn_searches[SEARCH_COUNT]; /* "auto", "exact", "index" */
#define KNN_RECALL 0.95                              /* at least, of an index: measured on 1,000 rows */
typedef struct KnnPlan {
    KnnSearch search;     /* auto: an index where 2 I^2 D operations would take more than ten minutes at 200 GFLOP/s */
    uint64_t seed;        /* of the index's samples */
    const int32_t *given; /* [I, k], k at most I: the nearest rows, if known, -1 behind a row's last; NULL: search */
    /* results */
    bool index;     /* else all were compared: auto does so too where the index would compare half of all rows */
    int64_t rows;   /* I */
    double seconds; /* the estimate for comparing all */
    int64_t lists;  /* of the index; 0: it was not made */
    int64_t probes; /* lists that a row searches */
    double recall;  /* the share of the nearest rows that it finds, without the row itself */
    double share;   /* of all rows that a row is compared with */
} KnnPlan;
/* For each row of x, the k rows with the largest cosine (itself included), found as plan says (NULL: all are compared).
 * The choice has no gradient; the values, the cosines, have one. A row of zeros has cosine 0 with every row. MINIMAL
 * has no index: auto compares all. */
Csr *knn_graph(Tape *t, Tensor *x, int64_t k, KnnPlan *plan);
/* The same with given neighbours: those of an earlier knn_graph. */
Csr *cosine_graph(Tape *t, Tensor *x, const Csr *pattern);
/* sum over g of weight[g] graph[g] (weights [1], or NULL for 1), on the union of their patterns. */
Csr *graph_mix(Tape *t, int n, Csr *const *graphs, Tensor *const *weights);
/* Value s_r^-1/2 v s_c^-1/2 with s = row sums of values at both ends (recipes.md 5.7); sums <= 0 count as no edge
 * weight (0). */
Csr *graph_normalize(Tape *t, Csr *g);
Csr *graph_set_diagonal(Tape *t, Csr *g, float value); /* every diagonal entry present and equal to value, a constant */
/* Copies a tape's graph into the store under a name: it outlives the tape and carries no gradient. The same name gives
 * the same Csr, refilled in place: tapes that still use the older one must not call backward. */
Csr *csr_keep(Tape *t, Store *s, const char *name, const Csr *g, Error *e);
/* Without the transpose's index, half the memory: for graphs that are mixed or read by csr_rows, and have no backward
 * pass as a whole. */
Csr *csr_keep_rows(Tape *t, Store *s, const char *name, const Csr *g, Error *e);
/* What a batch needs of a graph (subgraph.c); lists of ids are I32. infer does not support these functions. */

/* The ids of a [n] and b [m], ascending, each once; a_at [n] and b_at [m]: their places in this list. b may be NULL. */
Tensor *distinct(Tape *t, Tensor *a, Tensor *b, Tensor **a_at, Tensor **b_at);
Tensor *ids_pick(Tape *t, Tensor *ids, Tensor *at);                  /* ids[at[i]] */
Tensor *ids_join(Tape *t, Tensor *low, int64_t first, Tensor *high); /* low, then first + high */
/* Ascending ids below `first`; *high: the others, minus `first`. */
Tensor *ids_split(Tape *t, Tensor *ids, int64_t first, Tensor **high);
/* Rows ids (distinct, ascending) of a graph as [n, |from|]. `from` lists, ascending, the nodes that these rows read
 * and, of a square graph, ids themselves. It is NULL, for all nodes, if the rows of these nodes have half of the
 * graph's entries; of a graph that is not square, if these rows read half of the columns. at [n]: the places of ids in
 * `from`; NULL where the graph is not square. Then (A x)[ids] = spmm(rows, x[from]). ids NULL: g itself, *from and *at
 * NULL. */
const Csr *csr_rows(Tape *t, const Csr *g, Tensor *ids, Tensor **from, Tensor **at);
/* Host copies; any may be NULL; scales applied. */
bool csr_read(const Device *d, const Csr *g, int64_t *start, int32_t *col, float *val, Error *e);

/* ---- optimisers and checkpoints -------------------------------------------------------------- */

typedef struct ParamGroup { /* parameters whose names begin with `prefix` ("": all) */
    const char *prefix;
    double rate; /* factor of lr */
} ParamGroup;
/* As torch.optim defines them: Adam, Kingma & Ba 2015; AdamW, Loshchilov & Hutter 2019; SGD with momentum; Adagrad,
 * Duchi et al. 2011; RMSprop, Tieleman & Hinton 2012, centred: Graves 2013. */
typedef enum OptimKind { OPTIM_ADAM, OPTIM_ADAMW, OPTIM_SGD, OPTIM_ADAGRAD, OPTIM_RMSPROP, OPTIM_COUNT } OptimKind;
typedef struct Optim {
    OptimKind kind;
    double lr, eps, weight_decay;
    double beta1, beta2;        /* Adam, AdamW */
    double momentum, dampening; /* SGD; momentum: RMSprop too */
    bool nesterov;              /* SGD */
    double alpha;               /* RMSprop: of the mean of squares */
    bool centred;               /* RMSprop: the mean is taken off */
    double lr_decay;            /* Adagrad: lr / (1 + (step - 1) lr_decay) */
    /* > 0: all gradients together have at most this norm (torch.nn.utils.clip_grad_norm_), and each number of them this
     * magnitude; the norm comes first. Clipped gradients are dense. */
    double clip_norm, clip_value;
    /* A parameter with no gradient in a step: true, it is not stepped at all (torch 2's zero_grad to None); false, it
     * moves by its momentum once it has had a gradient (torch 1's zero_grad to zero). */
    bool skip_missing;
    /* A parameter belongs to the first group that its name fits. One that fits none is left alone: its gradient goes
     * with the step, unused. So several optimisers share a store, each with parameters of its own. group_count 0: all
     * parameters, at lr. */
    const ParamGroup *groups;
    size_t group_count;
} Optim;
Optim optim_default(OptimKind kind, double lr); /* torch's defaults */
Optim optim_adam(double lr);
extern const char *const optim_names[OPTIM_COUNT]; /* "adam", "adamw", ...: by kind, and the words of a setting */
int optim_find(const char *name);                  /* -1 when unknown */
/* The rate in a step, from 0 on, as a factor of the first one. A caller multiplies lr by it before each step, so that a
 * resumed run needs the number of the step alone. Steps before `warm_up` have (step / warm_up); `after` is
 * the number of a step from there on. */
typedef enum ScheduleKind {
    RATE_CONSTANT,
    RATE_STEP,        /* factor^(after / period), the exponent rounded down: torch's StepLR */
    RATE_EXPONENTIAL, /* factor^after */
    /* the next two reach `factor` in step `period`, which includes the warm-up, and stay there: */
    RATE_COSINE, /* half a cosine from 1: torch's CosineAnnealingLR up to its T_max, transformers' cosine */
    RATE_LINEAR  /* from 1: transformers' linear */
} ScheduleKind;
typedef struct Schedule {
    ScheduleKind kind;
    int64_t warm_up, period;
    double factor;
} Schedule;
double schedule_rate(const Schedule *s, int64_t step);
/* One step for the parameters of the store with the gradients on the tape. Row-sparse and factored gradients touch only
 * their rows; the other rows get the step when they are next read: the same bits as the dense step. */
bool optim_step(const Optim *o, Store *s, Tape *t, Error *e);
void store_settle(Store *s);      /* brings every row up to date */
bool store_keeps(const Store *s); /* whether it has tensors of kept_new */
typedef struct NotFinite {        /* a number that is NaN or infinite */
    const char *name;             /* of the tensor; NULL: there is none */
    bool state;                   /* it is in what the optimiser keeps for the tensor */
    int64_t row;
    double value;
} NotFinite;
/* The first of them in what checkpoints hold, as it is: delayed steps stay delayed. The device reads these numbers
 * once; the host reads a tensor only where its sum is not finite. */
bool store_not_finite(const Store *s, NotFinite *found, Error *e);
/* All parameters, optimiser states, step counts and tensors of kept_new (not other constants); what follows the load
 * goes on bit for bit. */
bool store_declare(Store *s, SafetensorsOut *out, Error *e);
bool store_save(Store *s, SafetensorsOut *out, Error *e); /* after declare, same order */
bool store_load(Store *s, const Weights *w, Error *e);    /* into tensors that exist already; shapes are checked */

/* ---- ranking --------------------------------------------------------------------------------- */

/* For user rows ids [B] (host): k best items by users[u] . items[i], train items of u left out (start, item: host CSR
 * over users, or NULL). top [B,k] ids, -1 where fewer; scores [B,k] or NULL. Host arrays; start/item as csr of U
 * users. */
bool rank_items(const Device *d, const Tensor *users, const Tensor *items, const int32_t *ids, int64_t B, int64_t k,
                const int64_t *start, const int32_t *item, int32_t *top, float *scores, Error *e);
/* The same for users by their vectors [B, D] in host memory; start [B + 1] and item: by row of the call. */
bool rank_rows(const Device *d, const float *users, const Tensor *items, int64_t B, int64_t k, const int64_t *start,
               const int32_t *item, int32_t *top, float *scores, Error *e);
/* The same of dense scores [B, I], which are the host's; -inf is never kept. ids may be NULL: row b is user b. */
bool rank_scores(const Device *d, int64_t I, const float *scores, const int32_t *ids, int64_t B, int64_t k, int64_t U,
                 const int64_t *start, const int32_t *item, int32_t *top, float *best, Error *e);

/* ---- matrices (inverse.c) -------------------------------------------------------------------- */

/* A matrix a [n, n] of the host becomes its inverse. 2 n^3 operations in float32; memory: 3 n x 128 floats, and a copy
 * of the matrix where the device does not read host memory. A matrix without an inverse is an error, and a is then
 * undefined. `after` (NULL: none) is called several times with the columns that are done; false ends the work. */
bool invert_matrix(const Device *d, int64_t n, float *a, bool (*after)(void *arg, int64_t columns, Error *e), void *arg,
                   Error *e);

#endif
