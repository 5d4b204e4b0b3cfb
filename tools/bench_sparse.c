/* bench_sparse.c: spmm, topk, optimizer. */
#include <stdlib.h>

#include "tools/bench.h"

/* ---- spmm: users and items of movielens-1m's size, one direction of the graph after the other ---------------------------------- */

enum { USERS = 6040, ITEMS = 3260, EDGES = 801218 };

typedef struct SpmmRun {
    const Kernels *k;
    Run run;
    Sparse a;
    int64_t D;
    const float *x;
    float *y;
} SpmmRun;

static void spmm_body(void *arg)
{
    SpmmRun *r = arg;
    r->k->spmm(&r->run, &r->a, r->D, r->x, r->D, 1, 0, r->y, r->D);
}

static int ascending(const void *a, const void *b)
{
    return *(const int32_t *)a < *(const int32_t *)b ? -1 : *(const int32_t *)a > *(const int32_t *)b;
}

/* The graph of users and items, [U + I, U + I], with the square of a uniform draw choosing items, so that some are popular. */
static bool make_graph(Bench *b, Sparse *a, Error *e)
{
    int64_t n = USERS + ITEMS, *start = NEW(b->arena, int64_t, n + 1, e), *next = NEW(b->arena, int64_t, ITEMS, e),
            total = 0;
    int32_t *col = NEW(b->arena, int32_t, 2 * (size_t)EDGES, e), *item = NEW(b->arena, int32_t, EDGES, e);
    float *scale = NEW(b->arena, float, n, e);
    if (!start || !next || !col || !item || !scale)
        return false;
    for (int64_t u = 0; u < USERS; u++) {
        int64_t first = u * (int64_t)EDGES / USERS, last = (u + 1) * (int64_t)EDGES / USERS;
        for (int64_t k = first; k < last; k++) {
            float v = draw_uniform((Draw){2, DRAW_TEST, 0}, (uint64_t)k);
            item[k] = (int32_t)(v * v * ITEMS);
        }
        qsort(item + first, (size_t)(last - first), sizeof *item, ascending);
        for (int64_t k = first; k < last; k++)
            if (k == first || item[k] != item[k - 1]) { /* each pair once */
                col[total++] = USERS + item[k];
                next[item[k]]++;
            }
        start[u + 1] = total;
    }
    for (int64_t i = 0, at = total; i < ITEMS; i++) { /* items' rows: the transpose */
        int64_t degree = next[i];
        next[i] = at;
        start[USERS + i + 1] = at += degree;
    }
    for (int64_t u = 0; u < USERS; u++)
        for (int64_t k = start[u]; k < start[u + 1]; k++)
            col[next[col[k] - USERS]++] = (int32_t)u;
    for (int64_t r = 0; r < n; r++)
        scale[r] = 0.05f;
    *a = (Sparse){.rows = n, .cols = n, .start = start, .col = col, .row_scale = scale, .col_scale = scale};
    return true;
}

static bool bench_spmm(Bench *b, int64_t D, const char *shape, Error *e)
{
    SpmmRun r = {.k = b->d->k, .D = D};
    if (!make_graph(b, &r.a, e) || !bench_run(b, &r.run, 0, e))
        return false;
    r.x = bench_floats(b, (size_t)(r.a.rows * D), e);
    r.y = NEW(b->arena, float, r.a.rows *D, e);
    if (!r.x || !r.y)
        return false;
    double entries = (double)r.a.start[r.a.rows];
    double x_bytes = 4.0 * (double)(r.a.rows * D); /* a row of x is read for each entry, from the cache that holds x */
    Figure f = {"spmm", shape, 2 * entries * (double)D, entries * (4 + 4 * (double)D) + x_bytes, 0, x_bytes};
    return bench_measure(b, &f, spmm_body, &r, e);
}

/* ---- ranking --------------------------------------------------------------------------------------------------------------------- */

typedef struct RankRun {
    const Kernels *k;
    Run run;
    int64_t Q, I, D, K;
    bool knn;
    const float *q, *x;
    int32_t *ids;
    float *values;
} RankRun;

static void rank_body(void *arg)
{
    RankRun *r = arg;
    Exclude none = {0};
    if (r->knn)
        r->k->knn(&r->run, r->Q, r->I, r->D, r->K, r->q, r->x, r->ids, r->values);
    else
        r->k->topk(&r->run, r->Q, r->I, r->D, r->K, r->q, NULL, r->x, NULL, &none, r->ids, r->values);
}

static bool bench_rank(Bench *b, bool knn, int64_t Q, int64_t I, int64_t D, int64_t K, const char *shape, Error *e)
{
    RankRun r = {.k = b->d->k, .Q = Q, .I = I, .D = D, .K = K, .knn = knn};
    int threads = pool_threads(b->d->pool);
    r.q = bench_floats(b, (size_t)(Q * D), e);
    r.x = bench_floats(b, (size_t)(I * D), e);
    r.ids = NEW(b->arena, int32_t, Q * K, e);
    r.values = NEW(b->arena, float, Q *K, e);
    if (!r.q || !r.x || !r.ids || !r.values ||
        !bench_run(b, &r.run, knn ? r.k->knn_work(I, D, K, threads) : r.k->topk_work(Q, I, D, K, threads), e))
        return false;
    Figure f = {"topk", shape, 2.0 * (double)(Q * I) * (double)D, 4.0 * (double)((Q + I) * D), 0, 0};
    return bench_measure(b, &f, rank_body, &r, e);
}

/* ---- optimisers ------------------------------------------------------------------------------------------------------------------- */

typedef struct AdamRun {
    const Kernels *k;
    Run run;
    int64_t n;
    AdamStep step;
    float *g, *p, *m, *v;
} AdamRun;

static void adam_body(void *arg)
{
    AdamRun *r = arg;
    r->k->adam(&r->run, r->n, &r->step, r->g, r->p, r->m, r->v);
}

static bool bench_adam(Bench *b, int64_t n, const char *shape, Error *e)
{
    AdamRun r = {.k = b->d->k, .n = n, .step = adam_step(1e-3, 0.9, 0.999, 1e-8, 0, 1)};
    r.g = bench_floats(b, (size_t)n, e);
    r.p = bench_floats(b, (size_t)n, e);
    r.m = NEW(b->arena, float, n, e);
    r.v = NEW(b->arena, float, n, e);
    if (!r.g || !r.p || !r.m || !r.v || !bench_run(b, &r.run, 0, e))
        return false;
    Figure f = {"optimizer", shape, 0, 7.0 * 4 * (double)n, 0, 0}; /* reads g p m v, writes p m v */
    return bench_measure(b, &f, adam_body, &r, e);
}

bool bench_sparse(Bench *b, const char *what, Error *e)
{
    static const struct {
        const char *what, *shape;
        int64_t a, i, d, k;
    } CASES[] = {{"spmm", "9300x9300-d64", 64, 0, 0, 0},           {"spmm", "9300x9300-d128", 128, 0, 0, 0},
                 {"topk", "6040x3260x64-k50", 6040, 3260, 64, 50}, {"topk", "knn-1024x7050x384-k10", 1024, 7050, 384, 10},
                 {"optimizer", "adam-595200", 595200, 0, 0, 0},    {"optimizer", "adam-16777216", 16777216, 0, 0, 0}};
    for (size_t i = 0; i < COUNT(CASES); i++) {
        if (strcmp(CASES[i].what, what) != 0 || !bench_wants(b, CASES[i].shape))
            continue;
        arena_rewind(b->arena, (ArenaMark){0});
        bool ok = strcmp(what, "spmm") == 0   ? bench_spmm(b, CASES[i].a, CASES[i].shape, e)
                  : strcmp(what, "topk") == 0 ? bench_rank(b, strncmp(CASES[i].shape, "knn", 3) == 0, CASES[i].a, CASES[i].i,
                                                           CASES[i].d, CASES[i].k, CASES[i].shape, e)
                                              : bench_adam(b, CASES[i].a, CASES[i].shape, e);
        if (!ok)
            return false;
    }
    return true;
}
