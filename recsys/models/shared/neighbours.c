/* recsys/models/shared/neighbours.c: graphs of similar items and similar users: see models.h. */
#include <stdlib.h>

#include "recsys/models/shared/sparse.h"

/* ---- nearest by features --------------------------------------------------------------------- */

/* Finds the path of `name` in "visual=PATH,textual=PATH". *path is NULL if the name is not in the list. */
static bool given_path(const Model *m, const char *list, const char *name, const char **path, Error *e)
{
    size_t at, M = m->data->feature_count;
    *path = NULL;
    if (!list || !strcmp(list, "none"))
        return true;
    if (!utf8_valid(text_of(list), &at)) /* config.json must be able to contain it */
        return fail(e, SP_USAGE, "knn_file: is not valid UTF-8; rename the file");
    for (Text rest = text_of(list), part, own; text_next(&rest, ',', &part);) {
        size_t known = 0;
        bool pair = text_next(&part, '=', &own) && own.n && part.n;
        while (pair && known < M && !text_is(own, m->data->features[known].name))
            known++;
        if (!pair || known == M)
            return fail(e, SP_USAGE, "knn_file=%s: %s", list,
                        pair ? "no features have the name before '='; use a name of --features"
                             : "NAME=PATH is expected, such as visual=near.npy");
        if (!text_is(own, name))
            continue;
        if (*path)
            return fail(e, SP_USAGE, "knn_file=%s: %s is given twice; give each name once", list, name);
        if (!(*path = arena_strndup(m->arena, part.p, part.n, e)))
            return false;
    }
    return true;
}

/* Makes knn_graph from the neighbours in a file. */
static Csr *read_items(Tape *t, Model *m, const char *name, Tensor *x, int64_t k, const char *path, Error *e)
{
    const Feature *f = m->data->features;
    int64_t I = m->data->I, few;
    while (strcmp(f->name, name) != 0)
        f++;
    if (f->knocked) {
        fail(e, SP_USAGE, "knn_file: leave it out: --knock replaces the features %s, from which %s was made", name,
             path);
        return NULL;
    }
    k = MIN(k, I);
    Arena *a = arena_new(arena_heap(m->arena), 0);
    int32_t *near = a ? arena_alloc(a, (size_t)I, (size_t)k * sizeof *near, e) : NULL;
    Csr *g = NULL;
    if (!a)
        fail_memory(e, 1, "nearest items");
    if (near && neighbour_file_read(near, m->data, f, path, k, &few, a, e)) {
        m->files_hash = hash_bytes(near, (size_t)(I * k) * sizeof *near, m->files_hash + 1);
        g = knn_graph(t, x, k, &(KnnPlan){.given = near});
        const char *rest = few ? arena_printf(a, e, "; %lld items have fewer there", (long long)few) : "";
        if (!g || !rest ||
            !model_note(m, e, "the %lld nearest of %lld items by %s: read from %s%s", (long long)k, (long long)I, name,
                        path, rest))
            g = NULL;
    }
    arena_free(a);
    return g;
}

static bool knn_note(const Model *m, const char *name, int64_t k, const KnnPlan *p, Error *e)
{
    if (p->index)
        return model_note(m, e,
                          "the %lld nearest of %lld items by %s: an index; recall %.4f on a sample, %lld of %lld lists "
                          "searched, %.2g%% of the items compared",
                          (long long)k, (long long)p->rows, name, p->recall, (long long)p->probes, (long long)p->lists,
                          100 * p->share);
    if (p->lists)
        return model_note(m, e,
                          "the %lld nearest of %lld items by %s: all are compared (about %.0f s); an index would "
                          "compare %.0f%% of them",
                          (long long)k, (long long)p->rows, name, p->seconds, 100 * p->share);
    return model_note(m, e, "the %lld nearest of %lld items by %s: all are compared", (long long)k, (long long)p->rows,
                      name);
}

static Csr *find_items(Tape *t, const Model *m, const char *name, Tensor *x, int64_t k, int search, bool again)
{
    Error e = {0};
    KnnPlan plan = {.search = (KnnSearch)search, .seed = m->seed};
    Csr *g = knn_graph(t, x, k, &plan);
    if (g && (!again || plan.lists) && !knn_note(m, name, k, &plan, &e))
        tape_fail(t, e.code, "%s", e.message);
    return g;
}

Csr *nearest_again(Tape *t, const Model *m, const char *name, Tensor *x, int64_t k, KnnSource source)
{
    return find_items(t, m, name, x, k, source.search, true);
}

Csr *nearest_items(Tape *t, Model *m, const char *name, Tensor *x, int64_t k, KnnSource source)
{
    Error e = {0};
    const char *path;
    Csr *g = NULL;
    if (given_path(m, source.file, name, &path, &e))
        g = path ? read_items(t, m, name, x, k, path, &e) : find_items(t, m, name, x, k, source.search, false);
    if (e.code != SP_OK)
        tape_fail(t, e.code, "%s", e.message);
    return g;
}

Csr *item_graph(Model *m, const char *name, size_t n, const Modality *x, const double *weight, int64_t k, KnnKind kind,
                KnnSource source, Error *e)
{
    Tape *t = tape_new(store_device(m->store), false, e);
    Csr **graphs = t ? NEW(m->arena, Csr *, n, e) : NULL;
    Tensor **weights = graphs ? NEW(m->arena, Tensor *, n, e) : NULL;
    Csr *kept = NULL;
    for (size_t i = 0; weights && i < n; i++) {
        weights[i] = weight ? filled(t, (float)weight[i], 1, (int64_t[]){1}) : NULL;
        int64_t mark = tape_mark(t);
        Csr *found = nearest_items(t, m, x[i].name, x[i].features, k, source);
        graphs[i] = graph_normalize(t, kind == KNN_BINARY ? graph_with(t, found, NULL) : found);
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

/* ---- nearest by common pairs ----------------------------------------------------------------- */

/* The search of the k rows that have the most features in common with each row, at least `least`. Rows are users and
 * features are their items, or the reverse. */
typedef struct Common {
    int64_t rows;
    const int64_t *start, *tstart; /* pairs by row, and by feature: what rows have in common */
    const int32_t *col, *tcol;
    int64_t k, least;
    int32_t *count;  /* [workers, rows]: scratch: pairs in common with each row; zeros between tasks */
    uint64_t *found; /* [workers, rows]: scratch: the rows with a pair in common */
    int32_t *best;   /* [rows, k]: the neighbours of each row */
    float *common;   /* [rows, k]: the numbers of pairs in common with them */
    int64_t *kept;   /* [rows]: the number of neighbours of each row */
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
    for (int64_t i = 0; i < n; i++) { /* sorted by count, then by lower number */
        uint64_t other = found[i];
        if (count[other] >= c->least)
            found[candidates++] = (uint64_t)count[other] << 32 | (UINT32_MAX - (uint32_t)other);
        count[other] = 0;
    }
    qsort(found, (size_t)candidates, sizeof *found, descending);
    c->kept[r] = MIN(candidates, c->k);
    /* columns in ascending order: the number in the upper half, the count in the lower */
    for (int64_t i = 0; i < c->kept[r]; i++)
        found[i] = (uint64_t)(UINT32_MAX - (uint32_t)found[i]) << 32 | found[i] >> 32;
    qsort(found, (size_t)c->kept[r], sizeof *found, ascending);
    for (int64_t i = 0; i < c->kept[r]; i++) {
        c->best[r * c->k + i] = (int32_t)(found[i] >> 32);
        c->common[r * c->k + i] = (float)(uint32_t)found[i];
    }
}

static Csr *common_graph(Model *m, const char *name, Side side, int64_t k, int64_t least, Arena *a, Error *e)
{
    Pool *pool = store_device(m->store)->pool;
    size_t workers = (size_t)pool_threads(pool);
    SparseRows by_user = train_rows(m, NULL), by_item;
    if (!sparse_transpose(&by_item, &by_user, a, e))
        return NULL;
    const SparseRows *x = side == SIDE_USERS ? &by_user : &by_item, *turned = side == SIDE_USERS ? &by_item : &by_user;
    Common c = {.rows = x->rows,
                .start = x->start,
                .col = x->col,
                .tstart = turned->start,
                .tcol = turned->col,
                .k = MIN(k, x->rows),
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
    for (int64_t r = 0; r < c.rows; r++) { /* in place: each row moves towards the front */
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
