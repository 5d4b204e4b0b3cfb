/* nn/tape.h: inside nn/. What an op is made of: nodes, memory of a step, gradients.
 *
 * An op is one public function and, where it has a gradient, one backward function:
 *
 *     static void add_back(Tape *t, Node *n) { ... from n->grad to the gradients of n->in ... }
 *     Tensor *add(Tape *t, Tensor *a, Tensor *b)
 *     {
 *         static const Op op = {.name = "add", .back_name = "add back", .back = add_back};
 *         Node *n = node_new(t, &op, IN(a, b));
 *         if (!n || !node_fits(t, n, same_shape(a, b)) || !node_out(t, n, F32, a->dims, a->shape))
 *             return tape_failed(t);
 *         if (live(t))
 *             t->k->binary(&t->run, a->count, BIN_ADD, a->data, b->data, n->out.data);
 *         return node_done(t, n, flops, bytes);
 *     } */
#ifndef SAPOR_NN_TAPE_H
#define SAPOR_NN_TAPE_H

#include "nn/nn.h"

enum { ALIGN = 64 }; /* bytes; every buffer of a tape starts on this */

/* ---- stored tensors (store.c) ---------------------------------------------------------------- */

/* History of optimiser steps that rows may still owe: at most this many, then all rows are brought up to date. */
enum { HISTORY = 512 };

/* A parameter's optimiser state. Steps are counted from `settled`, the last time when every row was up to date, so that
 * the history stays short: row r has seen history[1 .. last[r]], and owes up to history[owed]. */
struct Param {
    Store *store;
    Tensor *x;
    float *m, *v;      /* NULL until the first step */
    int32_t *last;     /* NULL until a step leaves rows behind */
    AdamStep *history; /* device, [HISTORY + 1] */
    int32_t owed;
    int64_t steps; /* of the optimiser, in all */
};
typedef struct Stored { /* a stored tensor; Tensor.id is -1 */
    Tensor x;
    const char *name;
    size_t bytes;   /* of x.data when the store owns it; 0: a view */
    int32_t lo, hi; /* of an I32: smallest and largest value */
} Stored;
static inline int64_t param_width(const Param *p)
{
    return cols_of(p->x);
}
void param_settle(Param *p);                     /* every row up to date */
void param_settled(const Run *r, Param *p);      /* says that they are */
bool param_state(Param *p, bool lazy, Error *e); /* allocates m, v; and last, history */
Run store_run(const Store *s);
/* Device memory that goes with the store. */
void *store_alloc(Store *s, size_t bytes, const char *what, Error *e);
/* For packed weights: many, of all sizes, kept as long as the store: not for store_release. */
void *store_packed(Store *s, size_t bytes, Error *e);
void store_release(Store *s, void *p);
Arena *store_arena(Store *s);
bool device_is_host(const Device *d);    /* kernels read host memory */
const float *array_view(const Array *a); /* its numbers where they are aligned float32; else NULL */
/* A tensor without memory; indexed by name unless name is "" */
Stored *store_tensor(Store *s, const char *name, DType type, int dims, const int64_t *shape, Error *e);

/* Host arrays where kernels reach them, for one call (mirror.c). */
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
    uint32_t by_row;                /* bit i: the op itself brings up to date the rows of parameter i that it reads */
} Op;
struct Node {
    Tensor out;
    const Op *op;
    int inputs;
    Tensor **in;
    float *grad;    /* of out, while the backward pass needs it */
    int32_t buffer; /* that out lies in; -1: none of the tape's */
    Node *base;     /* of a view: what it lies in; NULL when that is stored */
    bool view, pinned,
        dropped;     /* pinned: the way back reads it by another path than in[]; dropped: its memory is given back */
    uint32_t unread; /* what the way back does not read: bit i, input i's numbers; bit RESULT, out's */
    int32_t lo, hi;  /* of an I32 input: smallest and largest value */
    double begun, flops;
    double bytes;
    /* kept for the backward pass, each op as it likes */
    float f;
    int64_t i[4];
    float *keep[2];
    const void *spec;
};
enum { RESULT = 31 };
#define UNREAD_ALL 0xffffffffu
#define UNREAD(i)  (1u << (i))
typedef struct Buffer { /* of a planned run: bytes, the first and last node that use it, where it lies */
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

/* Memory of a step: blocks cut from the front, and pieces given back. A reset makes one block of them, as large as the
 * step was. */
typedef struct Piece {
    unsigned char *p;
    size_t bytes;
} Piece;
typedef struct StepMemory {
    Piece *blocks, *spare; /* heap */
    size_t block_count, block_room, spare_count, spare_room;
    size_t used, total; /* of the last block; of the blocks before it */
} StepMemory;

/* Ids sorted: segment s holds the places order[start[s]] .. order[start[s+1] - 1] of unique[s]. Device arrays. */
typedef struct Groups {
    int64_t count;
    int32_t *unique, *order;
    int64_t *start;
    bool as_is; /* the ids are distinct and ascending already: there is nothing to sum */
} Groups;
typedef struct RowPart { /* gradient g [n, D] of rows ids */
    struct RowPart *next;
    int64_t n;
    const int32_t *ids;
    const Groups *groups; /* or NULL: not sorted yet */
    float *g;
} RowPart;
typedef struct FactorPart { /* gradient dy [rows, K] w [K, D] */
    struct FactorPart *next;
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
typedef struct Transposed { /* of a tape's graph, made when first asked for */
    struct Transposed *next;
    const Tensor *col;
    Tensor *start, *tcol, *at;
} Transposed;

struct Tape {
    const Device *d;
    const Kernels *k;
    const Heap *heap;
    Run run;
    bool training;
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
    ParamGrad *grads;
    Transposed *transposed;
    const int32_t *ragged_host; /* the offsets that `ragged` holds */
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

#define IN(...)                                                                                                        \
    (int)(sizeof((Tensor *[]){__VA_ARGS__}) / sizeof(Tensor *)), (Tensor *[])                                          \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }
#define SHAPE(...)                                                                                                     \
    (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[])                                             \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }

static inline bool live(const Tape *t) /* kernels are to run */
{
    return t->mode != MODE_DRY && t->error.code == SP_OK;
}
static inline Tensor *tape_failed(Tape *t)
{
    return &t->failed;
}
static inline int64_t last_dim(const Tensor *x)
{
    return x->dims > 0 ? x->shape[x->dims - 1] : 1;
}
static inline bool same_shape(const Tensor *a, const Tensor *b)
{
    return a->dims == b->dims && memcmp(a->shape, b->shape, sizeof a->shape[0] * (size_t)a->dims) == 0;
}
static inline bool wants(const Tensor *x)
{
    return x && x->needs_grad;
}

/* A node with its inputs checked, owed rows of parameters replayed; NULL when the tape has failed. */
Node *node_new(Tape *t, const Op *op, int inputs, Tensor *const *in);
bool node_fits(Tape *t, const Node *n, bool fits); /* not: the tape fails and names the inputs' shapes */
bool node_out(Tape *t, Node *n, DType type, int dims, const int64_t *shape); /* memory for the result */
bool node_view(Tape *t, Node *n, Tensor *base, int64_t first, int dims,
               const int64_t *shape); /* the result lies inside base */
Tensor *node_done(Tape *t, Node *n, double flops, double bytes);
bool shape_count(int dims, const int64_t *shape, int64_t *count); /* false on a negative size or overflow */
void tape_range(const Tensor *ids, int32_t *lo, int32_t *hi);
int tape_threads(const Tape *t);

/* Memory of the tape: until the reset, or until given back. NULL and a failed tape when there is none. */
void *step_alloc(Tape *t, size_t bytes);
void step_give(Tape *t, void *p, size_t bytes);
float *step_floats(Tape *t, int64_t n);
void step_give_floats(Tape *t, float *p, int64_t n);
bool tape_work(Tape *t, size_t bytes);                                   /* makes run.work at least this large */
Tensor *tape_constant(Tape *t, DType type, int64_t n, const void *host); /* host NULL: not written; owned by the step */
bool tape_group(Tape *t, int64_t n, const int32_t *ids, Groups *g);
/* Memory that the host fills for kernels to read, not zeroed: memory of the step where they are one, else host scratch.
 * Its end is one of: `staged`, the kernels' copy; `tape_adopt`, a constant of the tape; `unstage`, given back
 * unused. */
void *stage(Tape *t, int64_t count, size_t size);
void *staged(Tape *t, void *host, size_t bytes);
void unstage(Tape *t, void *host, size_t bytes);
Tensor *tape_adopt(Tape *t, DType type, int64_t count, void *host);
void tape_pin(Tape *t, const Tensor *x);

/* Gradients in backward functions. All do nothing for an input that wants none. */
float *grad_into(Tape *t, Tensor *x, float *beta);           /* where to add: *beta is 0 where nothing is there yet */
float *grad_zeroed(Tape *t, Tensor *x);                      /* the same for kernels that always add */
void grad_put(Tape *t, Tensor *x, float *p);                 /* adds p [x's count] of the step's memory and takes it */
void grad_axpy(Tape *t, Tensor *x, float a, const float *p); /* adds a p */
float *grad_take(Node *n);                                   /* n's gradient, now the caller's */
ParamGrad *grad_of_param(Tape *t, Param *p, bool make);
bool grad_dense(Tape *t, const ParamGrad *g, float *into); /* adds rows and factors to a dense [rows, D] */

void tape_gemm(Tape *t, const Gemm *g); /* with its workspace */
void kernel_trace(Tape *t, double begun, const char *name, double flops, double bytes);

/* C [M,N] = A B + beta C with strides: A[m,k] at m ar + k ac, B[k,n] at k br + n bc. */
void product(Tape *t, int64_t M, int64_t N, int64_t K, const float *A, int64_t ar, int64_t ac, const float *B,
             int64_t br, int64_t bc, float *C, float beta);

/* ---- graphs (graph.c, ops_graph.c) ----------------------------------------------------------- */

Sparse csr_sparse(const Csr *g);
/* The transpose of g, with val [entries] in the place of its values where not NULL. */
bool csr_transposed(Tape *t, const Csr *g, const float *val, Sparse *out);
/* pattern only, of staged arrays */
Csr *csr_on_tape(Tape *t, int64_t rows, int64_t cols, int64_t *start, int32_t *col);
/* the way back reads its pattern */
void csr_pin(Tape *t, const Csr *g);
const void *host_of(Tape *t, const Tensor *x); /* its numbers on the host */
Tensor *edge_values(Tape *t, const Csr *g);    /* [entries], scales applied */
/* what csr_keep fills: one a name */
Csr *store_kept(Store *s, const char *name, Error *e);

void plan_forget(Tape *t);
#endif
