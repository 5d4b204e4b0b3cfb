/* recsys/models/shared/user_item.c: graphs of the train pairs, whole and thinned: see models.h. */
#include <math.h>

#include "recsys/models/models.h"

Csr *user_item_graph(Model *m, const char *name, Adjacency how, Error *e)
{
    const DataSet *d = m->data;
    return csr_bipartite(m->store, name, d->U, d->I, d->train.start, d->train.item, how, e);
}

Csr *dropped_graph(Model *m, const char *name, const Csr *g, double p, Error *e)
{
    Tape *t = tape_new(store_device(m->store), true, e);
    Csr *kept = NULL;
    if (t) {
        tape_reset(t, (Draw){m->seed, DRAW_GRAPH, (uint32_t)m->epoch});
        Csr thinned = *g;
        thinned.val = dropout(t, filled(t, 1, 1, &g->entries), (float)p);
        kept = csr_keep(t, m->store, name, &thinned, e);
    }
    tape_free(t);
    return kept;
}

/* Counts the pairs of each user [U], then of each item [I]. */
static int32_t *degrees(const DataSet *d, Arena *a, Error *e)
{
    int32_t *degree = NEW(a, int32_t, d->U + d->I, e);
    for (int64_t u = 0; degree && u < d->U; u++) {
        degree[u] = (int32_t)(d->train.start[u + 1] - d->train.start[u]);
        for (int64_t p = d->train.start[u]; p < d->train.start[u + 1]; p++)
            degree[d->U + d->train.item[p]]++;
    }
    return degree;
}

Csr *interaction_graph(Model *m, const char *name, EdgeWeight how, Error *e)
{
    const DataSet *d = m->data;
    Arena *scratch = arena_new(store_device(m->store)->heap, 0);
    int32_t *degree = scratch ? degrees(d, scratch, e) : NULL;
    float *scale = degree ? NEW(scratch, float, d->U + d->I, e) : NULL;
    Csr *g = NULL;
    for (int64_t n = 0; scale && n < d->U + d->I; n++)
        scale[n] = degree[n] ? (float)(how == EDGE_SYM ? 1 / sqrt(degree[n]) : 1.0 / degree[n]) : 0;
    if (scale)
        g = csr_new(m->store, name,
                    &(HostGraph){.rows = d->U,
                                 .cols = d->I,
                                 .start = d->train.start,
                                 .col = d->train.item,
                                 .row_scale = how == EDGE_SYM || how == EDGE_USER ? scale : NULL,
                                 .col_scale = how == EDGE_SYM || how == EDGE_ITEM ? scale + d->U : NULL},
                    e);
    else
        fail_memory(e, 0, "a graph");
    arena_free(scratch);
    return g;
}

/* ---- thinned graphs -------------------------------------------------------------------------- */

/* Keys of things (pairs, users or items). The things with the smallest keys are kept (pairs) or dropped (users, items).
 * A key is a draw that depends only on the number of the thing. It is uniform; or for pairs, exponential with rate 1 /
 * sqrt(d_u d_i), where d are the numbers of pairs of the user and of the item: then the smallest keys are a weighted
 * sample without replacement. */
typedef struct Keys {
    Draw draw;
    uint64_t base;       /* number of the first thing's draw */
    int64_t n;           /* for uniform keys: number of things */
    const DataSet *data; /* for weighted keys */
    const int32_t *degree;
    uint32_t *key;
} Keys;
enum { KEYS_TASK = 4096 };

static void uniform_keys(void *arg, size_t task, int worker)
{
    (void)worker;
    const Keys *k = arg;
    int64_t first = (int64_t)task * KEYS_TASK;
    for (int64_t i = first; i < MIN(first + KEYS_TASK, k->n); i++) {
        uint32_t x[4];
        draw4(k->draw, k->base + (uint64_t)i, 0, x);
        k->key[i] = x[0];
    }
}

static void weighted_keys(void *arg, size_t task, int worker)
{
    (void)worker;
    const Keys *k = arg;
    const Pairs *train = &k->data->train;
    int64_t first = (int64_t)task * KEYS_TASK;
    for (int64_t u = first; u < MIN(first + KEYS_TASK, k->data->U); u++)
        for (int64_t p = train->start[u]; p < train->start[u + 1]; p++) {
            uint32_t x[4];
            draw4(k->draw, k->base + (uint64_t)p, 0, x);
            double both = (double)k->degree[u] * (double)k->degree[k->data->U + train->item[p]];
            float key = (float)(-own_log(((double)x[0] + 0.5) * 0x1p-32) * sqrt(both));
            memcpy(&k->key[p], &key, sizeof key); /* the bits of positive floats have the same order as the floats */
        }
}

/* Returns chosen[i]: whether key i is one of the `count` smallest. Of equal keys, the first ones are chosen. */
static bool *choose(const uint32_t *key, int64_t n, int64_t count, Arena *a, Error *e)
{
    enum { HALF = 1 << 16 };
    int64_t *seen = NEW(a, int64_t, 2 * HALF, e), below = 0;
    bool *chosen = seen ? NEW(a, bool, n, e) : NULL;
    if (!chosen)
        return NULL;
    uint32_t limit = 0;
    /* a histogram of the upper halves of the keys, then of the lower halves */
    for (int part = 0; part < 2 && count > 0; part++) {
        int64_t *bin = seen + part * HALF;
        for (int64_t i = 0; i < n; i++)
            if (part == 0 || key[i] >> 16 == limit >> 16)
                bin[part ? key[i] & 0xffff : key[i] >> 16]++;
        uint32_t b = 0;
        while (below + bin[b] < count)
            below += bin[b++];
        limit |= part ? b : b << 16;
    }
    for (int64_t i = 0, equal = count - below; i < n && count > 0; i++)
        chosen[i] = key[i] < limit || (key[i] == limit && equal-- > 0);
    return chosen;
}

/* Returns how many of n things are dropped. */
static int64_t dropped_count(const Thinning *how, int64_t n)
{
    double share = (double)n * how->drop;
    if (how->rounded)
        return (int64_t)nearbyint(share);
    return how->kind == THIN_NODES ? (int64_t)share : n - (int64_t)((double)n * (1 - how->drop));
}

/* Returns for each pair whether it is kept. */
static bool *kept_pairs(const Model *m, const Thinning *how, Arena *a, Error *e)
{
    const DataSet *d = m->data;
    int64_t E = d->train.count;
    Keys k = {.draw = {m->seed, DRAW_GRAPH, (uint32_t)m->epoch}, .base = (uint64_t)how->stream << 33, .data = d};
    Pool *pool = store_device(m->store)->pool;
    if (how->kind != THIN_NODES) {
        k.n = E;
        k.key = NEW(a, uint32_t, E, e);
        k.degree = how->kind == THIN_BY_DEGREE ? degrees(d, a, e) : NULL;
        if (!k.key || (how->kind == THIN_BY_DEGREE && !k.degree))
            return NULL;
        int64_t things = k.degree ? d->U : E;
        pool_run(pool, (size_t)((things + KEYS_TASK - 1) / KEYS_TASK), k.degree ? weighted_keys : uniform_keys, &k);
        return choose(k.key, E, E - dropped_count(how, E), a, e);
    }
    bool *gone[2], *kept = NEW(a, bool, E, e);
    for (int side = 0; side < 2; side++) {
        k.n = side ? d->I : d->U;
        if (!(k.key = NEW(a, uint32_t, k.n, e)))
            return NULL;
        pool_run(pool, (size_t)((k.n + KEYS_TASK - 1) / KEYS_TASK), uniform_keys, &k);
        if (!(gone[side] = choose(k.key, k.n, dropped_count(how, k.n), a, e)))
            return NULL;
        k.base += (uint64_t)k.n;
    }
    for (int64_t u = 0; kept && u < d->U; u++)
        for (int64_t p = d->train.start[u]; p < d->train.start[u + 1]; p++)
            kept[p] = !gone[0][u] && !gone[1][d->train.item[p]];
    return kept;
}

Csr *thinned_graph(Model *m, const char *name, Thinning how, Error *e)
{
    const DataSet *d = m->data;
    Arena *scratch = arena_new(store_device(m->store)->heap, 0);
    if (!scratch) {
        fail_memory(e, 0, "a graph");
        return NULL;
    }
    bool *kept = kept_pairs(m, &how, scratch, e);
    int64_t *start = kept ? NEW(scratch, int64_t, d->U + 1, e) : NULL, n = 0;
    int32_t *item = start ? NEW(scratch, int32_t, d->train.count, e) : NULL;
    for (int64_t u = 0; item && u < d->U; u++) {
        for (int64_t p = d->train.start[u]; p < d->train.start[u + 1]; p++)
            if (kept[p])
                item[n++] = d->train.item[p];
        start[u + 1] = n;
    }
    Csr *g = item ? csr_bipartite(m->store, name, d->U, d->I, start, item, how.adjacency, e) : NULL;
    arena_free(scratch);
    return g;
}

/* ---- views ----------------------------------------------------------------------------------- */

const char *const view_names[] = {"ed", "nd", "rw"};

bool two_views(Model *m, Views *x, ViewKind kind, Thinning how, int64_t layers, Error *e)
{
    how.kind = kind == VIEW_NODES ? THIN_NODES : THIN_EDGES;
    for (int v = 0; v < 2; v++) {
        if (!x->view[v] && !(x->view[v] = NEW(m->arena, const Csr *, layers + 1, e)))
            return false;
        for (int64_t l = 0; l < layers; l++) {
            char name[40];
            how.stream = (uint32_t)(2 * l + v);
            snprintf(name, sizeof name, "view.%d.%lld", v, (long long)l);
            bool own = l == 0 || kind == VIEW_WALKS;
            if (!(x->view[v][l] = own ? thinned_graph(m, name, how, e) : x->view[v][0]))
                return false;
        }
    }
    return true;
}
