/* nn/tape.h: private to nn/. The parts of an op: nodes, the memory of a step, gradients.
 *
 * An op is one public function and, if it has a gradient, one function for the backward pass:
 *
 *     static void add_back(Tape *t, Node *n) { ... from n->grad to the gradients of n->in ... }
 *     Tensor *add(Tape *t, Tensor *a, Tensor *b)
 *     {
 *         static const Op op = {.name = "add", .back_name = "add back", .back = add_back};
 *         Node *n = node_new(t, &op, INPUTS(a, b));
 *         if (!n || !node_fits(t, n, tensor_same_shape(a, b)) || !node_out(t, n, F32, a->dims, a->shape))
 *             return tape_failed(t);
 *         if (tape_live(t))
 *             t->k->binary(&t->run, a->count, BIN_ADD, a->data, b->data, n->out.data);
 *         return node_done(t, n, flops, bytes);
 *     } */
#ifndef SAPOR_NN_TAPE_H
#define SAPOR_NN_TAPE_H

#include "nn/nn.h"

enum { ALIGN = 64 }; /* bytes; alignment of every buffer of a tape */

/* ---- stored tensors (store.c) ---------------------------------------------------------------- */

/* Rows without a gradient get their optimiser steps later (delayed steps). The history has one AdamStep (the step
 * size and the other numbers of a step) for each step since all rows were last up to date. It has room for HISTORY
 * steps; when it is full, all rows are updated. */
enum { HISTORY = 512 };

/* The state of optimisers: Adam's moments; the buffer of momentum; Adagrad's sum of squares or RMSprop's mean of
 * squares; the mean of centred RMSprop. */
typedef enum OptimState { STATE_M, STATE_V, STATE_MOMENTUM, STATE_SQUARE, STATE_MEAN, STATE_COUNT } OptimState;
enum { STATES_ADAM = 1 << STATE_M | 1 << STATE_V };

/* The optimiser state of a parameter. The history is emptied each time all rows are up to date. Row r has had the steps
 * history[1 .. last[r]]; the steps history[last[r] + 1 .. pending] are delayed. */
struct Param {
    Store *store;
    Tensor *x;
    float *state[STATE_COUNT]; /* each has the shape of x; NULL until the first step of an optimiser that uses it */
    int32_t *last;             /* [rows]; NULL until a step delays rows */
    AdamStep *history;         /* on the device, [HISTORY + 1]; NULL until a step delays rows */
    int32_t pending;
    int64_t steps; /* number of steps of the optimiser so far */
};

typedef struct Stored { /* a stored tensor; Tensor.id is -1 */
    Tensor x;
    const char *name;
    bool kept;      /* made by kept_new */
    size_t bytes;   /* bytes of x.data if the store owns it; 0: a view */
    int32_t lo, hi; /* of I32: smallest and largest value */
    /* the numbers in host memory, if the host needs them (integers, scales of graphs); on the CPU it is x.data */
    void *host;
    size_t host_bytes; /* bytes of `host` if it is the store's copy */
    /* For stacked parameters: the tensors (parameters or constants) whose memory is the rows of this one. x.param is
     * NULL. A gradient of x is split among the parts at the end of the backward pass */
    Tensor **part;
    int parts;
} Stored;
static inline int64_t param_width(const Param *p)
{
    return cols_of(p->x);
}
void param_settle(Param *p);                     /* does the delayed steps of every row */
void tensor_settle(const Tensor *x);             /* the same for x.param, or for its parts */
void param_mark_settled(const Run *r, Param *p); /* marks every row as up to date, and empties the history */
/* Allocates the states in a bit set; with `lazy` also last and history. It fails if another optimiser has already
 * stepped p. */
bool param_state(Param *p, unsigned states, bool lazy, Error *e);
Run store_run(const Store *s);
/* Allocates device memory that is freed with the store. */
void *store_alloc(Store *s, size_t bytes, const char *what, Error *e);
/* Allocates memory for packed weights: many pieces of all sizes, valid as long as the store. Do not call store_release
 * for it. */
void *store_packed(Store *s, size_t bytes, Error *e);
void store_release(Store *s, void *p);
Arena *store_arena(Store *s);
const float *array_view(const Array *a); /* returns the array's numbers if they are aligned float32, else NULL */
/* Makes the host's copy of a list, or of the scales of a graph. On the CPU this is the data itself; on other devices it
 * is copied from `data` (NULL: zeros). */
bool stored_host(Store *s, Stored *x, const void *data, Error *e);
void stored_range(Stored *x, const int32_t *ids); /* sets lo and hi */
Tensor *store_scale(Store *s, int64_t n, const float *data, Error *e);
/* Makes a tensor of n stacked arrays; array i has rows[i] rows, and is zeros if a[i] is NULL. Bit i of `train`: array i
 * is a parameter. If there is one array and it is a parameter, the tensor has the dimensions of the array. */
Tensor *store_stack(Store *s, int n, const Array *const *a, const int64_t *rows, uint32_t train, Error *e);
/* Like store_array, but in memory of the store: a constant that may be written. At most 4 dimensions. */
Tensor *store_copy(Store *s, const Array *a, Error *e);
/* Makes a tensor without memory. It is indexed by name, unless the name is "". */
Stored *store_tensor(Store *s, const char *name, DType type, int dims, const int64_t *shape, Error *e);

/* Makes host arrays available on the device for one call (mirror.c): the arrays themselves on the CPU, copies on other
 * devices. */
typedef struct MirrorPart {
    void *device;
    void *back; /* the host memory that mirror_close copies `device` to; NULL: an input, which is not copied back */
    size_t bytes;
} MirrorPart;
typedef struct Mirror {
    const Device *d;
    MirrorPart part[6];
    int count;
} Mirror;
const void *mirror_in(Mirror *m, const void *host, size_t bytes, Error *e);
void *mirror_out(Mirror *m, void *host, size_t bytes, Error *e); /* mirror_close copies it back to the host */
void mirror_close(Mirror *m);

/* ---- nodes ----------------------------------------------------------------------------------- */

typedef struct Node Node;
typedef struct Op {
    const char *name, *back_name;   /* for messages and the trace */
    void (*back)(Tape *t, Node *n); /* NULL: the op has no gradient */
    uint32_t optional;              /* bit i: input i may be NULL */
    uint32_t integer;               /* bit i: input i is not float32 */
    uint32_t narrow;                /* bit i: input i may be F16 or BF16; the op calls Kernels.supports */
    /* bit i: the op itself does the delayed steps of the rows of parameter i that it reads */
    uint32_t by_row;
} Op;
struct Node {
    Tensor out;
    const Op *op;
    int inputs;
    Tensor **in;
    float *grad;    /* gradient of out, while the backward pass needs it */
    int32_t buffer; /* index of the plan's buffer for out; -1: none */
    bool view;      /* out is part of another tensor's memory */
    Node *base;     /* if out is a view: the node of the other tensor; NULL if that tensor is stored */
    bool
        pinned; /* another node reads this `out` in the backward pass without having it in in[]: it must not be freed */
    bool dropped; /* the memory of out was freed */
    bool passed;  /* a backward pass has processed this node */
    /* Data that the backward pass does not read. Bit i (0 to 30): the data of input i. Bit 31 (RESULT): the data of
     * `out`. Later inputs have no bit and count as read. */
    uint32_t unread;
    int32_t lo, hi;              /* if out is I32: smallest and largest value */
    const void *host;            /* the list's copy on the host (lists.c); NULL for a result of kernels */
    const struct Groups *groups; /* of a list of ids; NULL: not sorted yet */
    const struct IdSet *set;     /* the lists of the same call of input_ids or ids_together, or NULL */
    double begun;                /* time at which the op began, for the trace */
    double flops, bytes;
    /* values for the backward pass; each op uses them in its own way */
    float f;
    int64_t i[4];
    float *keep[2];
    const void *spec;
};
enum { RESULT = 31 };
#define UNREAD_ALL 0xffffffffu
#define UNREAD(i)  (1u << (i))
static inline bool has_bit(uint32_t set, int i) /* inputs from number 32 on have no bit */
{
    return i < 32 && set >> i & 1;
}

typedef struct Buffer { /* a buffer of a planned run: its size, and the first and last node that use it */
    size_t bytes;
    int64_t first, last;
} Buffer;
typedef struct Plan {
    uint64_t hash;
    size_t buffers, bytes;
    Buffer *buffer;
    size_t *offset;
    uint64_t used; /* a counter: the least recently used plan is replaced */
} Plan;
enum { PLANS = 32 };

typedef enum Mode { MODE_EAGER, MODE_DRY, MODE_PLANNED } Mode;

/* The memory of a step (step.c): blocks that are used from the front, and freed pieces (`spare`). A reset replaces
 * several blocks by one that is a little larger than their sum. */
typedef struct Piece {
    unsigned char *p;
    size_t bytes;
} Piece;
typedef struct StepMemory {
    Piece *blocks, *spare; /* allocated from the heap */
    size_t block_count, block_room, spare_count, spare_room;
    size_t used;        /* used bytes of the last block */
    size_t used_before; /* the sum of the used bytes of all blocks before the last one */
} StepMemory;

/* Lists on a device that does not read host memory (lists.c): blocks in host memory, each with a copy on the device.
 * The first `sent` bytes of a block are copied already. */
typedef struct ListBlock {
    unsigned char *host, *device;
    size_t bytes, used, sent;
} ListBlock;
typedef struct ListMemory {
    ListBlock *blocks; /* allocated from the heap */
    size_t count, room;
    /* The sum of the sizes of all blocks, in bytes. A new block has at least `total` bytes; then its size is added to
     * `total`. A reset of the tape:
     * - If there is one block, it is kept, and `total` becomes its size.
     * - If there are several blocks, they are freed, and `total` does not change. The next block is then at least as
     *   large as all of them together. */
    size_t total;
} ListMemory;

/* Sorted ids: unique[s] is at the positions order[start[s]] .. order[start[s+1] - 1] of the ids. */
typedef struct GroupLists {
    const int32_t *unique, *order;
    const int64_t *start;
} GroupLists;
typedef struct Groups {
    int64_t count;
    GroupLists host, device;
    bool distinct; /* the ids are distinct and sorted already, so there is nothing to sum */
} Groups;
typedef struct IdSet { /* the lists of one call of input_ids or ids_together, and their common groups */
    int n;
    Tensor **ids;
    const Groups *groups;
} IdSet;
typedef struct RowPart { /* a gradient g [n, D] of rows ids [n] */
    struct RowPart *next;
    const Tensor *ids;
    float *g;
} RowPart;
typedef struct FactorPart { /* a gradient dy [n, K] w [K, D] of distinct rows ids [n]; ids NULL: of all rows */
    struct FactorPart *next;
    const Tensor *ids;
    int64_t K;
    const float *dy, *w;
} FactorPart;
typedef struct ParamGrad { /* the gradient of a parameter: the sum of its parts */
    struct ParamGrad *next;
    Param *param;
    float *dense;
    RowPart *rows;
    FactorPart *factors;
} ParamGrad;
typedef struct StackGrad { /* dense gradient g of a stacked tensor x, before it is split among the parts */
    struct StackGrad *next;
    Stored *x;
    float *g;
} StackGrad;
/* The transpose of a graph on the tape, made at its first use. Graphs with the same col and val_index share it. Entry j
 * of the transpose is in column tcol[j], and its value is val[tval_index[j]]. */
typedef struct Transposed {
    struct Transposed *next;
    const Tensor *col, *val_index;
    Tensor *start, *tcol, *tval_index;
} Transposed;

struct Tape {
    const Device *d;
    const Kernels *k;
    const Heap *heap;
    Run run;
    bool training;
    bool host_memory; /* kernels read host memory */
    Mode mode;
    Error error;
    Tensor failed; /* what ops return after a failure */
    Draw draw;
    uint64_t drawn;  /* number of elements that dropout and noise have drawn for */
    Arena *meta;     /* arena of the nodes and the host scratch of a step */
    ArenaMark empty; /* state of `meta` at the start of a step */
    Arena **arenas;  /* arenas of tape_arena */
    size_t arena_count, arena_room;
    Node **nodes;
    size_t count, room; /* number of nodes; capacity of the list */
    StepMemory step;
    ListMemory lists;
    /* same_order and same_start both hold 0, 1, 2, ... [same_count]. They are the order and the group starts for ids
     * that are already distinct and in ascending order: each group has one id. They are lists of this step */
    int32_t *same_order;
    int64_t *same_start, same_count;
    ParamGrad *grads;
    StackGrad *stacks;
    Transposed *transposed;
    const int32_t *ragged_host; /* the offsets, in host memory, that the list `ragged` was made from */
    Tensor *ragged;
    /* inference: the buffers of the dry run, the cached plans, the plan in use, the number of runs so far, and the
     * memory of planned runs */
    Buffer *buffers;
    size_t buffer_count, buffer_room;
    Plan plans[PLANS];
    const Plan *plan;
    uint64_t clock;
    unsigned char *block;
    size_t block_bytes;
};

/* Arguments of node_new and node_out: a count and an array. */
#define INPUTS(...)                                                                                                    \
    (int)(sizeof((Tensor *[]){__VA_ARGS__}) / sizeof(Tensor *)), (Tensor *[])                                          \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }
#define SHAPE(...)                                                                                                     \
    (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[])                                             \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }

static inline bool tape_live(const Tape *t) /* true if kernels run: no dry run, and no failure */
{
    return t->mode != MODE_DRY && t->error.code == SP_OK;
}
static inline Tensor *tape_failed(Tape *t)
{
    return &t->failed;
}
static inline int64_t tensor_last_dim(const Tensor *x)
{
    return x->dims > 0 ? x->shape[x->dims - 1] : 1;
}
static inline bool tensor_same_shape(const Tensor *a, const Tensor *b)
{
    return a->dims == b->dims && memcmp(a->shape, b->shape, sizeof a->shape[0] * (size_t)a->dims) == 0;
}
static inline bool grad_needed(const Tensor *x)
{
    return x && x->needs_grad;
}

/* Makes a node. It checks the inputs, and does the delayed steps of parameters among them. NULL if the tape has failed.
 */
Node *node_new(Tape *t, const Op *op, int inputs, Tensor *const *in);
/* Returns `fits`. If it is false, the tape fails; the message lists the shapes of the inputs. */
bool node_fits(Tape *t, const Node *n, bool fits);
/* Reports whether the table of kernels (Kernels) has the kernel for n's backward pass; if not, the tape fails. MINIMAL
 * leaves out kernels that only the training of encoders needs. */
bool node_trains(Tape *t, const Node *n, bool has_kernel);
/* Allocates memory for the result. */
bool node_out(Tape *t, Node *n, DType type, int dims, const int64_t *shape);
/* Makes the result a part of the memory of `base`, from element `first`. */
bool node_view(Tape *t, Node *n, Tensor *base, int64_t first, int dims, const int64_t *shape);
/* Ends an op: records its cost (operations, and bytes of memory traffic) for the trace. Returns the result, or the
 * failed tensor. */
Tensor *node_done(Tape *t, Node *n, double flops, double bytes);
/* frees the memory of the node for later ops of the step */
void node_release(Tape *t, Node *n);
/* false if a size is negative or the product overflows */
bool shape_count(int dims, const int64_t *shape, int64_t *count);
/* sets *lo and *hi to the smallest and largest id */
void tape_range(const Tensor *ids, int32_t *lo, int32_t *hi);

/* at least ALIGN; returns a size unchanged if rounding would overflow */
static inline size_t aligned_bytes(size_t bytes)
{
    return bytes > SIZE_MAX - ALIGN ? bytes : (MAX(bytes, (size_t)1) + ALIGN - 1) / ALIGN * ALIGN;
}

/* Memory of a step (step.c): valid until the reset, or until it is freed. If there is none, the result is NULL and the
 * tape fails. */
void step_reset(Tape *t);
void step_free(Tape *t);
void *step_alloc(Tape *t, size_t bytes);
void step_release(Tape *t, void *p, size_t bytes);
float *step_floats(Tape *t, int64_t n);
void step_release_floats(Tape *t, float *p, int64_t n);
/* Makes space for one more element in a list of `count`; *room is its capacity. */
bool tape_grow(Tape *t, void **list, size_t count, size_t *room, size_t size);
bool tape_work(Tape *t, size_t bytes);                                   /* makes run.work at least this large */
Tensor *tape_constant(Tape *t, DType type, int64_t n, const void *host); /* host NULL: not written */
void tape_pin(Tape *t, const Tensor *x);                                 /* sets Node.pinned */

/* Lists (lists.c) are valid until the reset. */
void lists_reset(Tape *t);
void lists_free(Tape *t);
/* Returns host memory for a list; it is not zeroed. After the list is filled and lists_send is called, kernels may read
 * list_device(host). node_new calls lists_send if an input is a list. An op that reads a graph, or its own lists, calls
 * it itself. */
void *list_alloc(Tape *t, int64_t count, size_t size);
void *list_device(Tape *t, const void *host);
void lists_send(Tape *t);
/* Shortens a list of `bytes` bytes that was not sent yet. The first `left` bytes are kept. */
void list_trim(Tape *t, void *host, size_t bytes, size_t left);
Tensor *list_tensor(Tape *t, DType type, int64_t count, void *host); /* a list as a constant of the tape */
/* For ids that are distinct and in ascending order. Gives the list its groups without sorting, and returns ids. On a
 * tape for inference it only returns ids. */
Tensor *list_ascending(Tape *t, Tensor *ids);
/* For a list `ids` that was made from another list by replacing ids: two ids of `ids` are equal exactly if the ids at
 * the same positions of the other list are equal. `of` has the groups of the other list. Gives `ids` the same groups,
 * with the new ids. Returns ids */
Tensor *list_renumbered(Tape *t, Tensor *ids, const Groups *of);
const Groups *list_group(Tape *t, int64_t n, const int32_t *ids); /* sorts ids [n], which are in host memory */
/* returns the groups of a list, which is sorted once per step */
const Groups *ids_groups(Tape *t, const Tensor *ids);
/* Returns the host's copy of a list. If there is none, the tape fails. */
const void *tape_host(Tape *t, const Tensor *x);

/* Gradients in backward functions (backward.c). These functions do nothing for an input without needs_grad. */
/* returns where to add the gradient of x, or NULL; *beta is 0 if it must be written, 1 if it must be added to */
float *grad_into(Tape *t, Tensor *x, float *beta);
float *grad_zeroed(Tape *t, Tensor *x); /* the same for kernels that always add: the memory is zeroed */
/* Adds p [x's count] to the gradient of x. p is memory of the step; the function owns it afterwards */
void grad_put(Tape *t, Tensor *x, float *p);
void grad_axpy(Tape *t, Tensor *x, float a, const float *p); /* adds a p to the gradient of x */
float *grad_take(Node *n);                                   /* the gradient of n; the caller owns it */
ParamGrad *grad_of_param(Tape *t, Param *p, bool make);
bool grad_dense(Tape *t, ParamGrad *g, float *into); /* adds rows and factors to a dense [rows, D] */
/* If x has the rows of a parameter, gathered by ids that are distinct and sorted: returns the parameter, and its ids.
 * Else returns NULL. */
Tensor *gathered_from(Tape *t, const Tensor *x, const Tensor **ids);

/* Returns the shape of a convolution; the caller adds images, pointers and activation (layers.c). */
Conv conv_shape(const Conv2d *c);
void tape_gemm(Tape *t, const Gemm *g); /* provides the scratch of the kernel */
/* Record the start and the end of an op for the trace, by the device's clock. Each tape_clock needs one
 * tape_trace, except after a failure of the tape. */
#ifdef SAPOR_MINIMAL /* MINIMAL has the CPU only, whose clock is the host's */
#define tape_clock(t, name)                       trace_begin((t)->run.trace)
#define tape_trace(t, begun, name, flops, bytes)  trace_end((t)->run.trace, begun, name, flops, bytes)
#define begin_op(k, run)                          trace_begin((run)->trace)
#define end_op(k, run, begun, name, flops, bytes) trace_end((run)->trace, begun, name, flops, bytes)
#else
double tape_clock(Tape *t, const char *name);
void tape_trace(Tape *t, double begun, const char *name, double flops, double bytes);
/* The same without a tape. */
static inline double begin_op(const Kernels *k, const Run *run)
{
    return run->trace ? k->clock(run) : 0;
}
static inline void end_op(const Kernels *k, const Run *run, double begun, const char *name, double flops, double bytes)
{
    if (run->trace)
        trace_add(run->trace, begun, k->clock(run), name, flops, bytes);
}
#endif

/* C [M,N] = A B + beta C with strides: A[m,k] at m ar + k ac, B[k,n] at k br + n bc. */
void tape_product(Tape *t, int64_t M, int64_t N, int64_t K, const float *A, int64_t ar, int64_t ac, const float *B,
                  int64_t br, int64_t bc, float *C, float beta);

/* ---- graphs (graph.c, ops/graph.c) ----------------------------------------------------------- */

/* Finds the k rows (at most I) with the largest cosine to each row of z [I, D]. Rows of z have length 1 or 0. Ties go
 * to the lower row (knn.c). */
Csr *knn_pattern(Tape *t, const Tensor *z, int64_t k, KnnPlan *plan);
Sparse csr_sparse(const Csr *g);
/* Transposes a pattern by counting sort. The entries of column c become the entries tstart[c] .. tstart[c+1] - 1 of the
 * transpose, in the order of rows. For each of them, tcol is its row in the pattern, and tentry (may be NULL) is its
 * number in the pattern. Shapes: tstart [cols + 1]; tcol and tentry [start[rows]]. */
void pattern_transpose(int64_t rows, int64_t cols, const int64_t *start, const int32_t *col, int64_t *tstart,
                       int32_t *tcol, int32_t *tentry);
/* Returns the transpose of g; val [entries] replaces its values, unless it is NULL. It may make lists: call lists_send
 * before a kernel. */
bool sparse_of_transpose(Tape *t, const Csr *g, const float *val, Sparse *out);
/* Makes a graph without values from two lists (list_alloc). */
Csr *csr_on_tape(Tape *t, int64_t rows, int64_t cols, int64_t *start, int32_t *col);
/* Keeps the pattern of g in memory until the backward pass. */
void csr_pin(Tape *t, const Csr *g);
Tensor *edge_values(Tape *t, const Csr *g); /* [entries], scales applied */
/* How the values of a graph are computed when they are first read. Patterns are lists. All lists that exist when an op
 * first reads one of them are copied together. */
typedef struct Values {
    Tape *tape;
    Tensor *(*make)(Tape *t, const Csr *g, const struct Values *v);
    int n;
    const Csr *const *from; /* [n] the graphs whose values are read */
    Tensor *const *weights; /* [n] the weights of graph_mix, or NULL */
    /* the vectors whose cosines are the values; for csr_rows: the positions of the selected entries */
    Tensor *x;
    float number; /* the new values of the diagonal */
    /* for graph_mix and graph_set_diagonal, which make the union of patterns: for each entry of a pattern its entry of
     * the union, and the reverse */
    const struct Places *places;
} Values;
/* Gives g the values v. They are computed later, or immediately if kernels read host memory. */
Csr *graph_later(Tape *t, Csr *g, Values v);
/* On a training tape: makes the lists for the backward pass through values of this pattern, together with the other
 * lists of the step. */
void csr_back_lists(Tape *t, const Csr *g);
/* Returns the graph of this name, which csr_keep and csr_new fill; makes an empty one if there is none. */
Csr *store_kept(Store *s, const char *name, Error *e);

/* frees all cached plans, the list of buffers, and the memory of planned runs */
void plan_forget(Tape *t);
#endif
