/* recsys/models/shared/neighbours.c: graphs of like items and like users: see models.h. */
#include <stdlib.h>

#include "recsys/models/models.h"

/* ---- nearest by features --------------------------------------------------------------------- */

static Csr *nearest(Tape *t, const Modality *x, int64_t k, KnnKind kind)
{
    Csr *g = knn_graph(t, x->features, k);
    return graph_normalize(t, kind == KNN_BINARY ? graph_with(t, g, NULL) : g);
}

Csr *item_graph(Model *m, const char *name, size_t n, const Modality *x, const double *weight, int64_t k, KnnKind kind,
                Error *e)
{
    Tape *t = tape_new(store_device(m->store), false, e);
    Csr **graphs = t ? NEW(m->arena, Csr *, n, e) : NULL;
    Tensor **weights = graphs ? NEW(m->arena, Tensor *, n, e) : NULL;
    Csr *kept = NULL;
    for (size_t i = 0; weights && i < n; i++) {
        weights[i] = weight ? filled(t, (float)weight[i], 1, (int64_t[]){1}) : NULL;
        int64_t mark = tape_mark(t);
        graphs[i] = nearest(t, &x[i], k, kind);
        Tensor *val = csr_values(t, graphs[i]);
        if (graphs[i])
            tape_drop(t, mark, 3, (Tensor *[]){graphs[i]->start, graphs[i]->col, val});
    }
    if (weights)
        kept = csr_keep(t, m->store, name, n == 1 && !weight ? graphs[0] : graph_mix(t, (int)n, graphs, weights), e);
    tape_free(t);
    return kept;
}

const double *modality_weights(Model *m, const char *name, double weight, Error *e)
{
    size_t M = m->data->feature_count;
    double *w = NEW(m->arena, double, M, e);
    const char *names = "";
    bool found = M == 1;
    for (size_t i = 0; w && names && i < M; i++) {
        const char *own = m->data->features[i].name;
        bool same = M == 1 || !strcmp(own, name);
        found = found || same;
        w[i] = M == 1 ? 1 : same ? weight : (1 - weight) / (double)(M - 1);
        names = arena_printf(m->arena, e, "%s%s%s", names, i ? ", " : "", own);
    }
    if (w && names && !found)
        fail(e, SP_USAGE, "%s: one of several modalities must be named %s; the features are named %s", m->kind->name,
             name, names);
    return found && names ? w : NULL;
}

/* ---- nearest by pairs in common -------------------------------------------------------------- */

typedef struct Common {
    int64_t rows;
    const int64_t *start, *tstart; /* pairs by row, and by what rows have in common */
    const int32_t *col, *tcol;
    int64_t k, least;
    int32_t *count;  /* [workers, rows], zeros between rows */
    uint64_t *found; /* [workers, rows] */
    int32_t *best;   /* [rows, k] */
    float *common;   /* [rows, k] */
    int64_t *kept;   /* [rows] */
} Common;

static int descending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void common_of_row(void *arg, size_t task, int worker)
{
    const Common *c = arg;
    int64_t r = (int64_t)task, n = 0;
    int32_t *count = c->count + worker * c->rows;
    uint64_t *found = c->found + worker * c->rows;
    for (int64_t p = c->start[r]; p < c->start[r + 1]; p++)
        for (int64_t q = c->tstart[c->col[p]]; q < c->tstart[c->col[p] + 1]; q++)
            if (c->tcol[q] != r && count[c->tcol[q]]++ == 0)
                found[n++] = (uint64_t)c->tcol[q];
    int64_t candidates = 0;
    for (int64_t i = 0; i < n; i++) { /* by count, then by lower number */
        uint64_t other = found[i];
        if (count[other] >= c->least)
            found[candidates++] = (uint64_t)count[other] << 32 | (UINT32_MAX - (uint32_t)other);
        count[other] = 0;
    }
    qsort(found, (size_t)candidates, sizeof *found, descending);
    c->kept[r] = MIN(candidates, c->k);
    for (int64_t i = 0; i < c->kept[r]; i++) /* columns ascend: number first, then count */
        found[i] = (uint64_t)(UINT32_MAX - (uint32_t)found[i]) << 32 | found[i] >> 32;
    qsort(found, (size_t)c->kept[r], sizeof *found, ascending);
    for (int64_t i = 0; i < c->kept[r]; i++) {
        c->best[r * c->k + i] = (int32_t)(found[i] >> 32);
        c->common[r * c->k + i] = (float)(uint32_t)found[i];
    }
}

/* The pairs by item: [I+1] and users, ascending */
static bool by_item(const DataSet *d, int64_t **start, int32_t **user, Arena *a, Error *e)
{
    int64_t *at = *start = NEW(a, int64_t, d->I + 2, e); /* filling moves each start to the next one's place */
    *user = at ? NEW(a, int32_t, d->train.count, e) : NULL;
    if (!*user)
        return false;
    for (int64_t p = 0; p < d->train.count; p++)
        at[d->train.item[p] + 2]++;
    for (int64_t i = 0; i <= d->I; i++)
        at[i + 1] += at[i];
    for (int64_t u = 0; u < d->U; u++)
        for (int64_t p = d->train.start[u]; p < d->train.start[u + 1]; p++)
            (*user)[at[d->train.item[p] + 1]++] = (int32_t)u;
    return true;
}

static Csr *common_graph(Model *m, const char *name, Side side, int64_t k, int64_t least, Arena *a, Error *e)
{
    const DataSet *d = m->data;
    Pool *pool = store_device(m->store)->pool;
    size_t workers = (size_t)pool_threads(pool);
    int64_t *item_start;
    int32_t *item_user;
    if (!by_item(d, &item_start, &item_user, a, e))
        return NULL;
    bool users = side == SIDE_USERS;
    Common c = {.rows = users ? d->U : d->I,
                .start = users ? d->train.start : item_start,
                .col = users ? d->train.item : item_user,
                .tstart = users ? item_start : d->train.start,
                .tcol = users ? item_user : d->train.item,
                .k = MIN(k, users ? d->U : d->I),
                .least = least};
    c.count = arena_alloc(a, workers, (size_t)c.rows * sizeof *c.count, e);
    c.found = arena_alloc(a, workers, (size_t)c.rows * sizeof *c.found, e);
    c.best = arena_alloc(a, (size_t)c.rows, (size_t)c.k * sizeof *c.best, e);
    c.common = arena_alloc(a, (size_t)c.rows, (size_t)c.k * sizeof *c.common, e);
    c.kept = NEW(a, int64_t, c.rows, e);
    int64_t *start = NEW(a, int64_t, c.rows + 1, e);
    if (!c.count || !c.found || !c.best || !c.common || !c.kept || !start)
        return NULL;
    pool_run(pool, (size_t)c.rows, common_of_row, &c);
    int64_t n = 0;
    for (int64_t r = 0; r < c.rows; r++) { /* in place: a row moves to the front */
        memmove(c.best + n, c.best + r * c.k, (size_t)c.kept[r] * sizeof *c.best);
        memmove(c.common + n, c.common + r * c.k, (size_t)c.kept[r] * sizeof *c.common);
        start[r + 1] = n += c.kept[r];
    }
    return csr_new(m->store, name,
                   &(HostGraph){.rows = c.rows, .cols = c.rows, .start = start, .col = c.best, .val = c.common}, e);
}

Csr *cooccurrence_graph(Model *m, const char *name, Side side, int64_t k, int64_t least, Error *e)
{
    Arena *scratch = arena_new(store_device(m->store)->heap, 0);
    if (!scratch) {
        fail_memory(e, 0, "a graph");
        return NULL;
    }
    Csr *g = common_graph(m, name, side, k, least, scratch, e);
    arena_free(scratch);
    return g;
}
