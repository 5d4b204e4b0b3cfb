/* recsys/train/trained.c: a folder that train_run wrote, opened to recommend from: by vectors, or by a model that
 * scores by itself. Nothing outside the folder is read. */
// flags: -Os
#include "recsys/train/train.h"

#include <math.h>

struct Trained {
    const Device *device;
    Arena *arena;
    RunConfig config;
    Store *store;
    Npy files[2];
    Weights *seen, *arrays;
    Tensor *user, *item; /* NULL: `model` scores by itself */
    Model model;
    DataSet data; /* what the folder says of it: users, items, train pairs without ratings */
};

static TextIndex *read_ids(Trained *t, const char *dir, const char *name, int64_t expected, Error *e)
{
    const char *path = path_join(t->arena, dir, name, e);
    Text rest, line;
    TextIndex *ids = path && file_read(&rest, t->arena, path, 0, e) ? text_index_new(t->arena, e) : NULL;
    for (int64_t n = 0; ids && text_line(&rest, &line); n++) {
        int64_t number = id_check(line, path, (size_t)n + 1, e) ? text_index_add(ids, line, e) : -1;
        if (number >= 0 && number < n)
            fail(e, SP_FORMAT, "%s:%lld: an earlier line has the same id; train again", path, (long long)n + 1);
        if (e->code)
            return NULL;
    }
    if (ids && text_index_count(ids) != expected) {
        fail(e, SP_SHAPE, "%s: has %lld ids, config.json says %lld; train again", path,
             (long long)text_index_count(ids), (long long)expected);
        return NULL;
    }
    return ids;
}

/* The largest magnitude among x [rows, D]; every number must be finite. */
static bool check_numbers(const Array *x, const char *path, Arena *a, double *largest, Error *e)
{
    int64_t D = x->shape[1];
    float *row = NEW(a, float, D, e);
    *largest = 0;
    for (int64_t r = 0; row && r < x->shape[0]; r++) {
        array_f32(x, r * D, D, row);
        for (int64_t c = 0; c < D; c++) {
            if (!isfinite(row[c]))
                return fail(e, SP_FORMAT, "%s: row %lld contains %g in column %lld; train again", path, (long long)r,
                            (double)row[c], (long long)c);
            *largest = fmax(*largest, fabs((double)row[c]));
        }
    }
    return row != NULL;
}

static Tensor *read_vectors(Trained *t, const char *dir, const char *name, int64_t rows, Npy *file, double *largest,
                            Error *e)
{
    const char *path = path_join(t->arena, dir, name, e);
    if (!path)
        return NULL;
    if (!npy_open(file, path, t->arena, e))
        return NULL;
    const Array *x = &file->array;
    if (x->dims != 2 || x->shape[0] != rows || x->shape[1] < 1)
        fail(e, SP_SHAPE,
             x->dims == 2 ? "%s: has shape [%lld, %lld], config.json says %lld rows of one number or more; train again"
                          : "%s: is not a table of rows; train again",
             path, (long long)x->shape[0], (long long)x->shape[1], (long long)rows);
    else if (array_is_integer(x))
        fail(e, SP_FORMAT, "%s: holds %s, floating-point numbers are expected; train again", path, dtype_name(x->type));
    if (e->code || !check_numbers(x, path, t->arena, largest, e))
        return NULL;
    file->array.name = text_of(name);
    return store_array(t->store, &file->array, e);
}

/* The train pairs, which recommendations leave out. */
static bool read_seen(Trained *t, const char *dir, Error *e)
{
    const char *path = path_join(t->arena, dir, "seen.safetensors", e);
    t->seen = path ? weights_read(path, t->arena, e) : NULL;
    int64_t U = t->config.users, I = t->config.items;
    const Array *start = t->seen ? weights_need(t->seen, e, "start", 1, U + 1) : NULL;
    const Array *item = start ? weights_need(t->seen, e, "item", 1, t->config.pairs) : NULL;
    if (!item)
        return false;
    if (start->type != I64 || item->type != I32)
        return fail(e, SP_FORMAT, "%s: start and item are not I64 and I32; train again", path);
    Pairs *p = &t->data.train;
    p->count = item->count;
    p->start = NEW(t->arena, int64_t, start->count, e);
    p->item = NEW(t->arena, int32_t, item->count, e);
    if (!p->start || !p->item)
        return false;
    array_i64(start, 0, start->count, p->start);
    memcpy(p->item, item->data, (size_t)item->count * sizeof *p->item);
    bool ok = p->start[0] == 0 && p->start[U] == item->count;
    for (int64_t u = 0; ok && u < U; u++)
        ok = p->start[u + 1] >= p->start[u];
    for (int64_t u = 0; ok && u < U; u++)
        for (int64_t i = p->start[u]; ok && i < p->start[u + 1]; i++) /* ranking needs them in order */
            ok = p->item[i] >= 0 && p->item[i] < I && (i == p->start[u] || p->item[i] > p->item[i - 1]);
    return ok || fail(e, SP_FORMAT, "%s: its train pairs do not fit the users and items; train again", path);
}

/* A model that scores by itself, made of the train pairs and what it wrote down. */
static bool open_model(Trained *t, const char *dir, Error *e)
{
    const Recommender *kind = t->config.kind;
    t->model = (Model){.kind = kind,
                       .data = &t->data,
                       .settings = t->config.settings,
                       .store = t->store,
                       .arena = t->arena,
                       .seed = t->config.train.seed};
    if (!kind->restore)
        return kind->init(&t->model, e);
    const char *path = path_join(t->arena, dir, "model.safetensors", e);
    t->arrays = path ? weights_read(path, t->arena, e) : NULL;
    return t->arrays && kind->restore(&t->model, t->arrays, e);
}

static bool open_vectors(Trained *t, const char *dir, Error *e)
{
    double user = 0, item = 0;
    if (!(t->user = read_vectors(t, dir, "user.npy", t->config.users, &t->files[0], &user, e)) ||
        !(t->item = read_vectors(t, dir, "item.npy", t->config.items, &t->files[1], &item, e)))
        return false;
    if (cols_of(t->user) != cols_of(t->item))
        return fail(e, SP_SHAPE, "%s: user.npy has vectors of %lld, item.npy of %lld; train again", dir,
                    (long long)cols_of(t->user), (long long)cols_of(t->item));
    return products_fit(user, item, cols_of(t->user)) ||
           fail(e, SP_FORMAT,
                "%s: user.npy holds %g and item.npy %g: their products are too large for float32; train again", dir,
                user, item);
}

static bool open_folder(Trained *t, const char *dir, bool unfinished, Error *e)
{
    RunResult result;
    const char *missing;
    if (!run_config_read(&t->config, dir, t->arena, e) ||
        (!unfinished && !run_result_read(&result, &t->config, dir, t->arena, e)) ||
        !run_find_missing(dir, t->config.kind, &missing, t->arena, e))
        return false;
    if (missing)
        return fail(e, SP_IO,
                    "%s: is missing: the run has not been evaluated yet, or the file was removed; the same `sapor "
                    "train` command resumes the run",
                    missing);
    t->data.U = t->config.users;
    t->data.I = t->config.items;
    t->data.protocol = t->config.train.data.protocol;
    return (t->data.users = read_ids(t, dir, "user.ids.txt", t->config.users, e)) &&
           (t->data.items = read_ids(t, dir, "item.ids.txt", t->config.items, e)) && read_seen(t, dir, e) &&
           (t->store = store_new(t->device, e)) &&
           (t->config.kind->score ? open_model(t, dir, e) : open_vectors(t, dir, e));
}

Trained *trained_open(const Device *d, const char *dir, bool unfinished, Error *e)
{
    Arena *a = arena_new(d->heap, 0);
    Trained *t = a ? NEW(a, Trained, 1, e) : NULL;
    if (!t) {
        arena_free(a);
        fail_memory(e, sizeof(Trained), dir);
        return NULL;
    }
    t->device = d;
    t->arena = a;
    if (open_folder(t, dir, unfinished, e))
        return t;
    trained_close(t);
    return NULL;
}

void trained_close(Trained *t)
{
    if (!t)
        return;
    store_free(t->store);
    weights_close(t->seen);
    weights_close(t->arrays);
    for (size_t i = 0; i < COUNT(t->files); i++)
        npy_close(&t->files[i]);
    arena_free(t->arena);
}

static bool rank(Trained *t, const int32_t *ids, int64_t n, int64_t k, int32_t *top, float *scores, Error *e)
{
    if (t->user)
        return rank_items(t->device, t->user, t->item, ids, n, k, t->data.train.start, t->data.train.item, top, scores,
                          e);
    return rank_users(&t->model, NULL, NULL, ids, n, k, top, scores, e);
}

/* at most: users ranked at once, and the items in their lists */
enum { USERS_AT_ONCE = 1024, LISTED_AT_ONCE = 1 << 24 };

bool trained_recommend(Trained *t, const Text *users, size_t n, int64_t k, RecommendVisit *visit, void *arg, Error *e)
{
    int64_t I = t->config.items, all = t->config.users, count = users ? (int64_t)n : all;
    if (k < 1)
        return fail(e, SP_USAGE, "-k %lld: a whole number of at least 1 is expected", (long long)k);
    k = MIN(k, I);
    Arena *scratch = arena_new(t->device->heap, 0); /* its own: threads may share t */
    if (!scratch)
        return fail_memory(e, (size_t)count, "recommending");
    int64_t block = MAX(MIN(MIN(count, (int64_t)USERS_AT_ONCE), LISTED_AT_ONCE / k), (int64_t)1);
    int32_t *ids = NEW(scratch, int32_t, count, e), *top = NEW(scratch, int32_t, block * k, e);
    float *scores = NEW(scratch, float, block *k, e);
    Text *items = NEW(scratch, Text, k, e);
    bool ok = ids && top && scores && items;
    for (int64_t i = 0; ok && i < count; i++) {
        int64_t number = users ? text_index_find(t->data.users, users[i]) : i;
        ids[i] = (int32_t)number;
        ok = (number >= 0 && number < all) ||
             fail(e, SP_USAGE, "unknown user %.*s: it is not among the %lld users of the training data",
                  (int)users[i].n, users[i].p, (long long)all);
    }
    for (int64_t first = 0; ok && first < count; first += block) {
        int64_t now = MIN(block, count - first);
        ok = rank(t, ids + first, now, k, top, scores, e);
        for (int64_t b = 0; ok && b < now; b++) {
            int64_t got = 0;
            for (; got < k && top[b * k + got] >= 0; got++)
                items[got] = text_index_at(t->data.items, top[b * k + got]);
            ok = visit(arg, text_index_at(t->data.users, ids[first + b]), got, items, scores + b * k, e);
        }
    }
    arena_free(scratch);
    return ok;
}
