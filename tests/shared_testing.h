/* tests/shared_testing.h: shared by tests of recsys/models/shared: small data, the matrix of the data, dense graphs. */
#ifndef SAPOR_SHARED_TESTING_H
#define SAPOR_SHARED_TESTING_H

#include "recsys/models/models.h"

#include "tests/testing.h"

#include <math.h>

/* users, items, nodes of the graph; width of embeddings and of the feature "textual"; width of the feature "visual" */
enum { U = 30, I = 22, N = U + I, D = 6, WIDE = 9 };
typedef struct TestBench {
    Device device;
    Arena *arena;
    DataSet data;
    Store *store;
    Model model;
    Tables x;
    double R[U][I]; /* 1: the user has the item in the train part */
    int degree[N];  /* of users, then of items */
    float visual[I * WIDE], textual[I * D];
    Error e;
} TestBench;

static inline int setup(void **state)
{
    TestBench *b = calloc(1, sizeof *b);
    assert_ok(device_open(&b->device, NULL, 2, NULL, NULL, &b->e), b->e);
    b->arena = arena_new(NULL, 0);
    b->store = store_new(&b->device, &b->e);
    Pairs *train = &b->data.train;
    train->start = NEW(b->arena, int64_t, U + 1, &b->e);
    train->item = NEW(b->arena, int32_t, U * I, &b->e);
    for (uint32_t u = 0; u < U; u++) { /* user 3 and item 5 have no pairs; every other user has item 0 */
        for (uint32_t i = 0; i < I; i++)
            if (u != 3 && i != 5 && (i == 0 || draw_below((Draw){9, DRAW_TEST, 0}, u * I + i, 4) == 0)) {
                train->item[train->count++] = (int32_t)i;
                b->R[u][i] = 1;
                b->degree[u]++;
                b->degree[U + i]++;
            }
        train->start[u + 1] = train->count;
    }
    for (int i = 0; i < I * WIDE; i++)
        b->visual[i] = draw_normal((Draw){9, DRAW_TEST, 1}, (uint64_t)i);
    for (int i = 0; i < I * D; i++)
        b->textual[i] = draw_normal((Draw){9, DRAW_TEST, 2}, (uint64_t)i);
    b->data.U = U;
    b->data.I = I;
    b->data.arena = b->arena;
    b->data.features = NEW(b->arena, Feature, 2, &b->e);
    b->data.feature_count = 2;
    b->data.features[0] = (Feature){.name = "visual", .D = WIDE, .data = b->visual};
    b->data.features[1] = (Feature){.name = "textual", .D = D, .data = b->textual};
    b->model = (Model){.data = &b->data, .store = b->store, .arena = b->arena, .seed = 4, .epoch = 1};
    assert_ok(tables_new(&b->model, &b->x, D, (Init){INIT_NORMAL, 1}, &b->e), b->e);
    *state = b;
    return b->e.code != SP_OK;
}

static inline int teardown(void **state)
{
    TestBench *b = *state;
    store_free(b->store);
    arena_free(b->arena);
    device_close(&b->device);
    free(b);
    return 0;
}

#define OK(b, condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            fail_msg("%s: %s", #condition, (b)->e.message);                                                            \
    } while (0)

static inline Tape *fresh_tape(TestBench *b, bool training)
{
    Tape *t = tape_new(&b->device, training, &b->e);
    OK(b, t != NULL);
    tape_reset(t, (Draw){3, DRAW_DROPOUT, 0});
    return t;
}

/* Copies a tensor to host memory. The copy is in the arena of b. */
static inline float *numbers(TestBench *b, const Tensor *x)
{
    float *host = NEW(b->arena, float, MAX(x->count, 1), &b->e);
    tensor_read(&b->device, x, 0, x->count, host);
    return host;
}

/* Returns the graph as a dense matrix [rows, cols] in the arena of b. */
static inline double *dense(TestBench *b, const Csr *g)
{
    OK(b, g != NULL);
    int64_t *start = NEW(b->arena, int64_t, g->rows + 1, &b->e);
    int32_t *col = NEW(b->arena, int32_t, MAX(g->entries, 1), &b->e);
    float *val = NEW(b->arena, float, MAX(g->entries, 1), &b->e);
    double *a = NEW(b->arena, double, g->rows * g->cols, &b->e);
    OK(b, csr_read(&b->device, g, start, col, val, &b->e));
    for (int64_t r = 0; r < g->rows; r++)
        for (int64_t e = start[r]; e < start[r + 1]; e++)
            a[r * g->cols + col[e]] = (double)val[e];
    return a;
}

#endif
