/* recsys/train/trained.c: a folder that train_run wrote, opened to recommend from. Models with vectors need only what
 * is in it; the others (ItemKNN, MostPop, Random) are made again from the data that config.json names. */
#include "recsys/train/train.h"

#include <float.h>
#include <math.h>

struct Trained {
    const Device *device;
    Arena *arena;
    RunConfig config;
    TextIndex *users, *items;
    Trainer trainer; /* models without vectors: with its own store */
    TrainConfig train;
    Store *store; /* models with vectors */
    Npy files[2];
    Weights *seen;
    Tensor *user, *item;
    int64_t *start; /* train pairs of the users */
    int32_t *left_out;
};

/* The users, items and train pairs that the run wrote down, against those that its data files give now. */
static bool check_data(Trained *t, const char *dir, Error *e)
{
    const DataSet *d = &t->trainer.data;
    bool same = d->U == t->config.users && d->I == t->config.items && d->train.count == t->config.pairs;
    same = same && text_index_count(t->users) == d->U && text_index_count(t->items) == d->I &&
           t->start[d->U] == d->train.count;
    for (int64_t u = 0; same && u < d->U; u++)
        same = t->start[u] == d->train.start[u] && text_equal(text_index_at(t->users, u), text_index_at(d->users, u));
    for (int64_t i = 0; same && i < d->I; i++)
        same = text_equal(text_index_at(t->items, i), text_index_at(d->items, i));
    for (int64_t k = 0; same && k < d->train.count; k++)
        same = t->left_out[k] == d->train.item[k];
    return same || fail(e, SP_FORMAT, "%s: its data have changed since the run %s was trained; train again",
                        t->config.train.data.train, dir);
}

/* A model that scores by itself, made again as the run made it. Under MMRec all parts say which users and items there
 * are; otherwise train does, and the others may be gone. */
static bool open_model(Trained *t, const char *dir, Error *e)
{
    if (!t->config.train.data.train)
        return fail(
            e, SP_USAGE,
            "%s: %s needs the data files to recommend, and this run was trained without files; train again from files",
            t->config.path, t->config.kind->name);
    TrainConfig c = t->config.train;
    if (c.data.protocol == PROTOCOL_ELLIOT)
        c.data.valid = c.data.test = NULL;
    t->train = c;
    t->trainer = (Trainer){.device = t->device, .config = &t->train, .arena = t->arena, .scratch = t->arena};
    return trainer_load(&t->trainer, e) && check_data(t, dir, e);
}

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
    if (!file_exists(path)) {
        fail(e, SP_IO, "%s: is missing: the run has no vectors yet; the same `sapor train` command resumes it", path);
        return NULL;
    }
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
    t->start = NEW(t->arena, int64_t, start->count, e);
    t->left_out = NEW(t->arena, int32_t, item->count, e);
    if (!t->start || !t->left_out)
        return false;
    array_i64(start, 0, start->count, t->start);
    memcpy(t->left_out, item->data, (size_t)item->count * sizeof *t->left_out);
    bool ok = t->start[0] == 0 && t->start[U] == item->count;
    for (int64_t u = 0; ok && u < U; u++)
        ok = t->start[u + 1] >= t->start[u];
    for (int64_t u = 0; ok && u < U; u++)
        for (int64_t i = t->start[u]; ok && i < t->start[u + 1]; i++) /* ranking needs them in order */
            ok = t->left_out[i] >= 0 && t->left_out[i] < I && (i == t->start[u] || t->left_out[i] > t->left_out[i - 1]);
    return ok || fail(e, SP_FORMAT, "%s: its train pairs do not fit the users and items; train again", path);
}

bool products_fit(double user, double item, int64_t D)
{
    return user * item * (double)D < (double)FLT_MAX;
}

static bool open_vectors(Trained *t, const char *dir, Error *e)
{
    double user = 0, item = 0;
    if (!(t->store = store_new(t->device, e)) ||
        !(t->user = read_vectors(t, dir, "user.npy", t->config.users, &t->files[0], &user, e)) ||
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
    return run_config_read(&t->config, dir, t->arena, e) &&
           (unfinished || run_result_read(&result, &t->config, dir, t->arena, e)) &&
           (t->users = read_ids(t, dir, "user.ids.txt", t->config.users, e)) &&
           (t->items = read_ids(t, dir, "item.ids.txt", t->config.items, e)) && read_seen(t, dir, e) &&
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
    store_free(t->trainer.model.store);
    dataset_close(&t->trainer.data);
    weights_close(t->seen);
    for (size_t i = 0; i < COUNT(t->files); i++)
        npy_close(&t->files[i]);
    arena_free(t->arena);
}

static bool rank(Trained *t, const int32_t *ids, int64_t n, int64_t k, int32_t *top, float *scores, Error *e)
{
    if (t->user)
        return rank_items(t->device, t->user, t->item, ids, n, k, t->start, t->left_out, top, scores, e);
    return rank_users(&t->trainer.model, NULL, NULL, ids, n, k, top, scores, e);
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
        int64_t number = users ? text_index_find(t->users, users[i]) : i;
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
                items[got] = text_index_at(t->items, top[b * k + got]);
            ok = visit(arg, text_index_at(t->users, ids[first + b]), got, items, scores + b * k, e);
        }
    }
    arena_free(scratch);
    return ok;
}
