/* tools/bench/bench_sparse.c: measures spmm and its training, topk, and the optimizer. */
// flags: -Os
#include <stdlib.h>

#include "tools/bench/bench.h"

/* ---- spmm: the normalised graph of users and items of LightGCN; on the tape ------------------ */

enum { USERS = 6040, ITEMS = 3260, EDGES = 801218 }; /* the sizes of movielens-1m, if --pairs is not given */

typedef struct SpmmRun {
    Tape *tape;
    const Csr *graph;
    Tensor *x;
    bool trains;
    Error error;
} SpmmRun;

static void spmm_body(void *arg)
{
    SpmmRun *r = arg;
    tape_reset(r->tape, (Draw){0});
    Tensor *y = spmm(r->tape, r->graph, r->x);
    if (r->trains)
        backward(r->tape, sum(r->tape, y), &r->error);
    else
        tape_ok(r->tape, &r->error);
}

static int ascending(const void *a, const void *b)
{
    return *(const int32_t *)a < *(const int32_t *)b ? -1 : *(const int32_t *)a > *(const int32_t *)b;
}

/* Draws pairs. The items are squares of uniform draws, so that some items are popular. */
bool bench_pairs(Bench *b, DataSet *d, Error *e)
{
    int64_t users = bench_size(b, USERS, 100), items = bench_size(b, ITEMS, 100), edges = bench_size(b, EDGES, 1000);
    int64_t *start = NEW(b->arena, int64_t, users + 1, e);
    int32_t *item = NEW(b->arena, int32_t, edges, e);
    if (!start || !item)
        return false;
    int64_t total = 0;
    for (int64_t u = 0, k = 0; u < users; u++) {
        int64_t first = total;
        for (; k < (u + 1) * edges / users; k++) {
            float v = draw_uniform((Draw){2, DRAW_TEST, 0}, (uint64_t)k);
            item[total++] = (int32_t)(v * v * (float)items);
        }
        qsort(item + first, (size_t)(total - first), sizeof *item, ascending);
        int64_t kept = first;
        for (int64_t j = first; j < total; j++)
            if (j == first || item[j] != item[j - 1]) /* keeps each pair once */
                item[kept++] = item[j];
        start[u + 1] = total = kept;
    }
    *d = (DataSet){.U = users, .I = items, .train = {.count = total, .start = start, .item = item}};
    return true;
}

static bool measure_spmm(Bench *b, Store *store, const DataSet *d, int64_t D, Error *e)
{
    int64_t n = d->U + d->I;
    SpmmRun r = {.graph = csr_bipartite(store, "graph", d->U, d->I, d->train.start, d->train.item, ADJ_SYM, e)};
    r.x = r.graph ? param_new(store, "x", n, D, (Init){INIT_UNIFORM, 1}, 1, e) : NULL;
    bool ok = r.x != NULL;
    for (int trains = 0; ok && trains < 2; trains++) {
        char shape[64];
        snprintf(shape, sizeof shape, "%lldx%lld-%lld-d%lld", (long long)n, (long long)n, (long long)r.graph->entries,
                 (long long)D);
        if (!bench_selects(b, shape))
            continue;
        r.trains = trains;
        r.tape = tape_new(b->d, trains, e);
        double passes = 1 + trains, entries = (double)r.graph->entries, x_bytes = 4.0 * (double)(n * D);
        /* one row of x is read per entry, from the cache that holds x */
        Figure f = {trains ? "spmm-train" : "spmm", shape, .flops = passes * 2 * entries * (double)D,
                    .bytes = passes * (entries * (4 + 4 * (double)D) + x_bytes), .working_set = x_bytes};
        ok = r.tape && bench_measure(b, &f, spmm_body, &r, e);
        tape_free(r.tape);
        if (ok && r.error.code) {
            *e = r.error;
            ok = false;
        }
    }
    return ok;
}

static bool bench_spmm(Bench *b, int64_t D, Error *e)
{
    const char *path = option_text(b->c, "pairs");
    const DataConfig config = {.train = path};
    DataSet d = {0};
    Store *store = store_new(b->d, e);
    bool ok = store && (path ? dataset_load(&d, &config, b->arena, e) : bench_pairs(b, &d, e)) &&
              measure_spmm(b, store, &d, D, e);
    if (path)
        dataset_close(&d);
    store_free(store);
    return ok;
}

/* ---- ranking --------------------------------------------------------------------------------- */

typedef struct RankRun {
    const Kernels *k;
    Run run;
    int64_t Q, I, D, K; /* Q queries or users, I items, D numbers per vector, the K best items */
    bool knn;
    const float *q, *x;
    Exclude known; /* the items of a user, a twenty-fifth of all, are not ranked */
    int32_t *ids;
    float *values;
} RankRun;

static void rank_body(void *arg)
{
    RankRun *r = arg;
    if (r->knn)
        r->k->knn(&r->run, r->Q, r->I, r->D, r->K, F32, r->q, r->x, r->ids, r->values);
    else
        r->k->topk(&r->run, r->Q, r->I, r->D, r->K, F32, r->q, NULL, r->x, NULL, &r->known, r->ids, r->values);
}

static bool draw_known(Bench *b, RankRun *r, Error *e)
{
    enum { ONE_IN = 25 };
    int64_t *start = NEW(b->arena, int64_t, r->Q + 1, e), n = 0;
    int32_t *item = NEW(b->arena, int32_t, r->Q * r->I / ONE_IN * 2, e);
    for (int64_t q = 0; start && item && q < r->Q; q++) {
        for (int64_t i = 0; i < r->I && n < r->Q * r->I / ONE_IN * 2; i++)
            if (draw_below((Draw){1, DRAW_TEST, 1}, (uint64_t)(q * r->I + i), ONE_IN) == 0)
                item[n++] = (int32_t)i;
        start[q + 1] = n;
    }
    r->known = (Exclude){bench_copy(b, start, (size_t)(r->Q + 1) * sizeof *start, e),
                         bench_copy(b, item, (size_t)n * sizeof *item, e), NULL};
    return r->known.start && r->known.item;
}

static bool bench_rank(Bench *b, bool knn, int64_t Q, int64_t I, int64_t D, int64_t K, const char *shape, Error *e)
{
    RankRun r = {.k = b->d->k, .Q = Q, .I = I, .D = D, .K = K, .knn = knn};
    Run run = device_run(b->d);
    r.x = bench_floats(b, (size_t)(I * D), e);
    r.q = knn && Q == I ? r.x : bench_floats(b, (size_t)(Q * D), e);
    r.ids = bench_memory(b, (size_t)(Q * K) * sizeof *r.ids, e);
    r.values = bench_memory(b, (size_t)(Q * K) * sizeof *r.values, e);
    if (!r.q || !r.x || !r.ids || !r.values || (!knn && !draw_known(b, &r, e)) ||
        !bench_run(b, b->d, &r.run, knn ? r.k->knn_work(&run, Q, I, D, K) : r.k->topk_work(&run, Q, I, D, K), e))
        return false;
    double pairs =
        r.q == r.x ? 0.5 * (double)I * (double)(I + 1) : (double)Q * (double)I; /* if q is x, each pair counts once */
    Figure f = {"topk", shape, .flops = 2.0 * pairs * (double)D, .bytes = 4.0 * (double)((Q + I) * D)};
    return bench_measure(b, &f, rank_body, &r, e);
}

/* ---- optimisers ------------------------------------------------------------------------------ */

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
    r.m = bench_memory(b, (size_t)n * sizeof *r.m, e);
    r.v = bench_memory(b, (size_t)n * sizeof *r.v, e);
    if (!r.g || !r.p || !r.m || !r.v || !bench_run(b, b->d, &r.run, 0, e))
        return false;
    Figure f = {"optimizer", shape, .flops = 12.0 * (double)n, .bytes = 7.0 * 4 * (double)n,
                .working_set = 16.0 * (double)n}; /* reads g, p, m, v; writes p, m, v */
    return bench_measure(b, &f, adam_body, &r, e);
}

bool bench_sparse(Bench *b, const char *what, Error *e)
{
    static const struct {
        const char *what, *shape;
        int64_t a, i, d, k; /* topk: a = Q, i = I, d = D, k = K; optimizer: `a` is the number of parameters */
    } CASES[] = {
        {"topk", "6040x3260x64-k50", 6040, 3260, 64, 50}, {"topk", "knn-1024x7050x384-k10", 1024, 7050, 384, 10},
        {"topk", "knn-7050x64-k10", 7050, 7050, 64, 10},  {"topk", "knn-7050x4096-k10", 7050, 7050, 4096, 10},
        {"optimizer", "adam-595200", 595200, 0, 0, 0},    {"optimizer", "adam-16777216", 16777216, 0, 0, 0}};
    for (int64_t D = 64; D <= 128 && strcmp(what, "spmm") == 0; D *= 2) {
        bench_release(b);
        if (!bench_spmm(b, D, e))
            return false;
    }
    for (size_t i = 0; i < COUNT(CASES); i++) {
        if (strcmp(CASES[i].what, what) != 0 || !bench_selects(b, CASES[i].shape))
            continue;
        char small[64];
        const char *shape = CASES[i].shape;
        if (bench_on_gpu(b) && b->emulated) {
            snprintf(small, sizeof small, "%s-small", shape);
            shape = small;
        }
        bench_release(b);
        bool ok = strcmp(what, "topk") == 0
                      ? bench_rank(b, strncmp(CASES[i].shape, "knn", 3) == 0, bench_size(b, CASES[i].a, 64),
                                   bench_size(b, CASES[i].i, 64), bench_size(b, CASES[i].d, 4), CASES[i].k, shape, e)
                      : bench_adam(b, bench_size(b, CASES[i].a, 4096), shape, e);
        if (!ok)
            return false;
    }
    return true;
}
