/* nn/tape.h: private to nn/. What an op is made of: nodes, the memory of a step, gradients.
 *
 * An op is one public function and, where it has a gradient, one backward function:
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

enum { ALIGN = 64 }; /* bytes; every buffer of a tape starts on this */

/* ---- stored tensors (store.c) ---------------------------------------------------------------- */

/* Rows without a gradient get the optimiser's steps later, from a history. At most this many steps are kept; then every
 * row is brought up to date. */
enum { HISTORY = 512 };

/* What optimisers keep: Adam's moments; the buffer of momentum; Adagrad's sum of squares or RMSprop's mean of them;
 * centred RMSprop's mean. */
typedef enum OptimState { STATE_M, STATE_V, STATE_MOMENTUM, STATE_SQUARE, STATE_MEAN, STATE_COUNT } OptimState;
enum { STATES_ADAM = 1 << STATE_M | 1 << STATE_V };

/* A parameter's optimiser state. The history starts again each time every row is up to date. Row r has had
 * history[1 .. last[r]]; history[last[r] + 1 .. pending] are still to come. */
struct Param {
    Store *store;
    Tensor *x;
    float *state[STATE_COUNT]; /* like x; NULL until the first step of an optimiser that has it */
    int32_t *last;             /* NULL until a step leaves rows behind */
    AdamStep *history;         /* device, [HISTORY + 1] */
    int32_t pending;
    int64_t steps; /* of the optimiser, in all */
};

typedef struct Stored { /* a stored tensor; Tensor.id is -1 */
    Tensor x;
    const char *name;
    bool kept;      /* kept_new's */
    size_t bytes;   /* of x.data when the store owns it; 0: a view */
    int32_t lo, hi; /* of an I32: smallest and largest value */
    void *host;     /* the numbers where the host knows them (integers, scales of graphs): x.data itself on the CPU */
    size_t host_bytes; /* of host when it is the store's copy */
    /* of stacked parameters: the tensors whose memory is the rows of this one, parameters or constants. x.param is
     * NULL; a gradient of x is handed to the parts at the end of the backward pass */
    Tensor **part;
    int parts;
} Stored;
static inline int64_t param_width(const Param *p)
{
    return cols_of(p->x);
}
void param_settle(Param *p);                /* brings every row up to date */
void tensor_settle(const Tensor *x);        /* of x.param or of its parts */
void param_settled(const Run *r, Param *p); /* marks every row as up to date */
/* Allocates the states of a bit set, and with `lazy` last and history. Fails where another optimiser has stepped p. */
bool param_state(Param *p, unsigned states, bool lazy, Error *e);
Run store_run(const Store *s);
/* Device memory that is freed with the store. */
void *store_alloc(Store *s, size_t bytes, const char *what, Error *e);
/* For packed weights: many pieces of all sizes, kept as long as the store. Not for store_release. */
void *store_packed(Store *s, size_t bytes, Error *e);
void store_release(Store *s, void *p);
Arena *store_arena(Store *s);
const float *array_view(const Array *a); /* the array's numbers if they are aligned float32, else NULL */
/* The host's copy of a list or of a graph's scales: data itself on the CPU. data NULL: zeros. */
bool stored_host(Store *s, Stored *x, const void *data, Error *e);
void stored_range(Stored *x, const int32_t *ids); /* sets lo and hi */
Tensor *store_scale(Store *s, int64_t n, const float *data, Error *e);
/* Arrays stacked along their rows, `rows` each; NULL is zeros. Bit i of `train`: array i is a parameter. One parameter
 * alone has the dimensions of its array. */
Tensor *store_stack(Store *s, int n, const Array *const *a, const int64_t *rows, uint32_t train, Error *e);
/* store_array in memory of the store: a constant that may be written. At most 4 dimensions. */
Tensor *store_copy(Store *s, const Array *a, Error *e);
/* A tensor without memory; indexed by name unless name is "" */
Stored *store_tensor(Store *s, const char *name, DType type, int dims, const int64_t *shape, Error *e);

/* Host arrays as device arrays, for one call (mirror.c): the arrays themselves on the CPU, copies on other devices. */
typedef struct MirrorPart {
    void *device, *back;
    size_t bytes;
} MirrorPart;
typedef struct Mirror {
    const Device *d;
    MirrorPart part[6];
    int count;
} Mirror;
const void *mirror_in(Mirror *m, const void *host, size_t bytes, Error *e);
void *mirror_out(Mirror *m, void *host, size_t bytes, Error *e); /* copied back by mirror_close */
void mirror_close(Mirror *m);

/* ---- nodes ----------------------------------------------------------------------------------- */

typedef struct Node Node;
typedef struct Op {
    const char *name, *back_name;   /* for messages and the trace */
    void (*back)(Tape *t, Node *n); /* NULL: the op has no gradient */
    uint32_t optional;              /* bit i: input i may be NULL */
    uint32_t integer;               /* bit i: input i is not float32 */
    uint32_t narrow;                /* bit i: input i may be F16 or BF16; the op asks Kernels.supports */
    uint32_t by_row;                /* bit i: the op itself brings the rows of parameter i that it reads up to date */
} Op;
struct Node {
    Tensor out;
    const Op *op;
    int inputs;
    Tensor **in;
    float *grad;                 /* of out, while the backward pass needs it */
    int32_t buffer;              /* number of the plan's buffer for out; -1: none */
    bool view;                   /* out is part of another tensor's memory */
    Node *base;                  /* of a view: the node of that tensor; NULL when the tensor is stored */
    bool pinned;                 /* the backward pass reads out otherwise than through in[] */
    bool dropped;                /* the memory of out is given back */
    bool passed;                 /* a backward pass has gone through it */
    uint32_t unread;             /* what the backward pass does not read: bit i, input i's numbers; bit RESULT, out's */
    int32_t lo, hi;              /* of an I32 input: smallest and largest value */
    const void *host;            /* a list's own copy (lists.c); NULL for what kernels compute */
    const struct Groups *groups; /* of a list of ids, or NULL: not sorted yet */
    const struct IdSet *set;     /* the lists that were given together with this one, or NULL */
    double begun;                /* for the trace */
    double flops, bytes;
    /* kept for the backward pass; each op has its own use */
    float f;
    int64_t i[4];
    float *keep[2];
    const void *spec;
};
enum { RESULT = 31 };
#define UNREAD_ALL 0xffffffffu
#define UNREAD(i)  (1u << (i))
static inline bool has_bit(uint32_t set, int i) /* inputs after the 32nd have no bit */
{
    return i < 32 && set >> i & 1;
}

typedef struct Buffer { /* of a planned run: its size, the first and the last node that use it */
    size_t bytes;
    int64_t first, last;
} Buffer;
typedef struct Plan {
    uint64_t hash;
    size_t buffers, bytes;
    Buffer *buffer;
    size_t *offset;
    uint64_t used; /* a clock: the least recently used plan is replaced */
} Plan;
enum { PLANS = 32 };

typedef enum Mode { MODE_EAGER, MODE_DRY, MODE_PLANNED } Mode;

/* The memory of a step (step.c): blocks, used from the front, and pieces given back. A reset replaces the blocks by one
 * that is as large as all of them. */
typedef struct Piece {
    unsigned char *p;
    size_t bytes;
} Piece;
typedef struct StepMemory {
    Piece *blocks, *spare; /* heap */
    size_t block_count, block_room, spare_count, spare_room;
    size_t used, total; /* of the last block; of the blocks before it */
} StepMemory;

/* Lists on a device that does not read host memory (lists.c): blocks in host memory, each with its copy. */
typedef struct ListBlock {
    unsigned char *host, *device;
    size_t bytes, used, sent;
} ListBlock;
typedef struct ListMemory {
    ListBlock *blocks; /* heap */
    size_t count, room;
    size_t total; /* bytes of all blocks since the reset */
} ListMemory;

/* Ids, sorted: unique[s] is at the places order[start[s]] .. order[start[s+1] - 1] of the ids. */
typedef struct GroupLists {
    const int32_t *unique, *order;
    const int64_t *start;
} GroupLists;
typedef struct Groups {
    int64_t count;
    GroupLists host, device;
    bool distinct; /* the ids are distinct and ascending already: there is nothing to sum */
} Groups;
typedef struct IdSet { /* lists of input_ids, and the groups of all of them, one behind the other */
    int n;
    Tensor **ids;
    const Groups *groups;
} IdSet;
typedef struct RowPart { /* gradient g [n, D] of rows ids [n] */
    struct RowPart *next;
    const Tensor *ids;
    float *g;
} RowPart;
typedef struct FactorPart { /* gradient dy [n, K] w [K, D] of rows ids [n], distinct; ids NULL: of all rows */
    struct FactorPart *next;
    const Tensor *ids;
    int64_t K;
    const float *dy, *w;
} FactorPart;
typedef struct ParamGrad { /* the sum of its parts */
    struct ParamGrad *next;
    Param *param;
    float *dense;
    RowPart *rows;
    FactorPart *factors;
} ParamGrad;
typedef struct StackGrad { /* dense, of a tensor with parts */
    struct StackGrad *next;
    Stored *x;
    float *g;
} StackGrad;
typedef struct Transposed { /* of a graph on the tape, made at the first use */
    struct Transposed *next;
    const Tensor *col, *places;
    Tensor *start, *tcol, *at;
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
    Tensor failed;
    Draw draw;
    uint64_t drawn; /* elements that dropout has drawn for */
    Arena *meta;    /* nodes and host scratch of a step */
    ArenaMark empty;
    Arena **arenas; /* tape_arena's */
    size_t arena_count, arena_room;
    Node **nodes;
    size_t count, room;
    StepMemory step;
    ListMemory lists;
    int32_t *same_order; /* [same_count] 0, 1, 2, ... as lists of this step */
    int64_t *same_start, same_count;
    ParamGrad *grads;
    StackGrad *stacks;
    Transposed *transposed;
    const int32_t *ragged_host; /* the offsets in `ragged` */
    Tensor *ragged;
    /* planned runs */
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

static inline bool tape_live(const Tape *t) /* kernels run: not a dry run, and no failure */
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

/* A node. Its inputs are checked, and parameters among them are brought up to date. NULL when the tape has failed. */
Node *node_new(Tape *t, const Op *op, int inputs, Tensor *const *in);
/* Returns `fits`; where it is false the tape fails, and the message lists the inputs' shapes. */
bool node_fits(Tape *t, const Node *n, bool fits);
/* Whether n's backward pass can run, as the table has the kernel; else the tape fails. MINIMAL leaves out kernels that
 * only the training of encoders needs. */
bool node_trains(Tape *t, const Node *n, bool has_kernel);
/* Memory for the result. */
bool node_out(Tape *t, Node *n, DType type, int dims, const int64_t *shape);
/* The result is a part of base's memory, from element `first`. */
bool node_view(Tape *t, Node *n, Tensor *base, int64_t first, int dims, const int64_t *shape);
Tensor *node_done(Tape *t, Node *n, double flops, double bytes);
void node_release(Tape *t, Node *n);                              /* gives its memory back to the step */
bool shape_count(int dims, const int64_t *shape, int64_t *count); /* false on a negative size or overflow */
void tape_range(const Tensor *ids, int32_t *lo, int32_t *hi);

static inline size_t aligned_bytes(size_t bytes) /* at least one ALIGN; a size that overflows stays as it is */
{
    return bytes > SIZE_MAX - ALIGN ? bytes : (MAX(bytes, (size_t)1) + ALIGN - 1) / ALIGN * ALIGN;
}

/* Memory of a step (step.c): valid until the reset, or until given back. NULL and a failed tape when there is none. */
void step_reset(Tape *t);
void step_free(Tape *t);
void *step_alloc(Tape *t, size_t bytes);
void step_give(Tape *t, void *p, size_t bytes);
float *step_floats(Tape *t, int64_t n);
void step_give_floats(Tape *t, float *p, int64_t n);
/* Room for one more element in a list of `count`; *room is its capacity. */
bool tape_grow(Tape *t, void **list, size_t count, size_t *room, size_t size);
bool tape_work(Tape *t, size_t bytes);                                   /* makes run.work at least this large */
Tensor *tape_constant(Tape *t, DType type, int64_t n, const void *host); /* host NULL: not written */
void tape_pin(Tape *t, const Tensor *x);                                 /* sets Node.pinned */

/* Lists (lists.c): valid until the reset. */
void lists_reset(Tape *t);
void lists_free(Tape *t);
/* Host memory for a list, not zeroed. Kernels may read list_device(host) once lists_send has been called after the list
 * was filled. node_new calls it where an input is a list; an op that reads a graph, or lists of its own, calls it. */
void *list_alloc(Tape *t, int64_t count, size_t size);
void *list_device(Tape *t, const void *host);
void lists_send(Tape *t);
void list_trim(Tape *t, void *host, size_t bytes, size_t left);      /* of a list not sent yet, `left` bytes are kept */
Tensor *list_tensor(Tape *t, DType type, int64_t count, void *host); /* a list as a constant of the tape */
Tensor *list_ascending(Tape *t, Tensor *ids); /* ids ascend, each once: their groups are made without sorting */
Tensor *list_renumbered(Tape *t, Tensor *ids, const Groups *of);  /* ids are in the same groups as those of `of` */
const Groups *list_group(Tape *t, int64_t n, const int32_t *ids); /* ids: host */
const Groups *ids_groups(Tape *t, const Tensor *ids);             /* sorted once a step */
/* The host's copy of a list; the tape fails where there is none. */
const void *tape_host(Tape *t, const Tensor *x);

/* Gradients in backward functions (backward.c). All do nothing for an input that needs no gradient. */
float *grad_into(Tape *t, Tensor *x, float *beta); /* where to add; *beta is 0 if it is not written yet, else 1 */
float *grad_zeroed(Tape *t, Tensor *x);            /* the same for kernels that always add */
void grad_put(Tape *t, Tensor *x, float *p);       /* adds p [x's count], memory of the step, and owns p from now on */
void grad_axpy(Tape *t, Tensor *x, float a, const float *p); /* adds a p */
float *grad_take(Node *n);                                   /* n's gradient; the caller owns it */
ParamGrad *grad_of_param(Tape *t, Param *p, bool make);
bool grad_dense(Tape *t, ParamGrad *g, float *into); /* adds rows and factors to a dense [rows, D] */
/* x is rows of a parameter, gathered by distinct ids: the parameter, and its ids. Else NULL. */
Tensor *gathered_from(Tape *t, const Tensor *x, const Tensor **ids);

/* What a call adds is left out: its images, pointers and activation (layers.c). */
Conv conv_shape(const Conv2d *c);
void tape_gemm(Tape *t, const Gemm *g); /* with its workspace */
/* Where an op begins that is traced, and where it ends, by the device's clock: every tape_clock has one tape_trace. */
#ifdef SAPOR_MINIMAL /* the CPU alone, whose clock is the host's */
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

/* The k rows, at most I, of largest cosine to each row of z [I, D], whose rows have length 1 or 0; ties to the lower
 * row (knn.c). */
Csr *knn_pattern(Tape *t, const Tensor *z, int64_t k, KnnPlan *plan);
Sparse csr_sparse(const Csr *g);
/* A pattern's transpose by counting sort: the entries of column c have the places tstart[c] .. tstart[c+1], in the
 * order of rows. tcol is the row of an entry, tat (may be NULL) its place in the pattern. tstart [cols + 1], tcol and
 * tat [start[rows]] */
void pattern_transpose(int64_t rows, int64_t cols, const int64_t *start, const int32_t *col, int64_t *tstart,
                       int32_t *tcol, int32_t *tat);
/* The transpose of g; val [entries] replaces its values unless NULL. It may make lists: lists_send before a kernel. */
bool csr_transposed(Tape *t, const Csr *g, const float *val, Sparse *out);
/* A pattern without values, from lists. */
Csr *csr_on_tape(Tape *t, int64_t rows, int64_t cols, int64_t *start, int32_t *col);
/* For graphs whose pattern the backward pass reads. */
void csr_pin(Tape *t, const Csr *g);
Tensor *edge_values(Tape *t, const Csr *g); /* [entries], scales applied */
/* How the values of a graph are made when they are first read. Patterns are lists, and lists that are made before an op
 * reads one travel together. */
typedef struct Values {
    Tape *tape;
    Tensor *(*make)(Tape *t, const Csr *g, const struct Values *v);
    int n;
    const Csr *const *from;      /* [n] graphs */
    Tensor *const *weights;      /* [n] of graph_mix, or NULL */
    Tensor *x;                   /* vectors of cosines; places of csr_rows */
    float number;                /* of a diagonal */
    const struct Places *places; /* of a union of patterns */
} Values;
/* Gives g the values v: to be made later, or now where kernels read host memory. */
Csr *graph_later(Tape *t, Csr *g, Values v);
/* The lists that a backward pass through values of this pattern reads, on a training tape: among those of the step. */
void csr_back_lists(Tape *t, const Csr *g);
/* The graph that csr_keep fills: one per name. */
Csr *store_kept(Store *s, const char *name, Error *e);

void plan_forget(Tape *t);
#endif
