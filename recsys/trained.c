/* recsys/trained.c: a folder that train_run wrote, opened to recommend from. Models with vectors need only what is in it; the others (ItemKNN,
 * MostPop, Random) are made again from the data that config.json names. */
#include "train.h"

struct Trained {
    const Device *device;
    Arena *arena;
    TextIndex *users, *items;
    Trainer trainer; /* models without vectors: with its own store */
    TrainConfig config;
    Store *store; /* models with vectors */
    Npy files[2];
    Weights *seen;
    Tensor *user, *item;
    int64_t *start; /* train pairs of the vectors' users */
    int32_t *left_out;
};

static const char *text_in(const Json *j, const char *key)
{
    return json_cstring(json_get(j, key));
}

static bool read_settings(Trained *t, const Json *settings, Error *e)
{
    size_t n = settings ? settings->count : 0, i = 0;
    const char **set = NEW(t->arena, const char *, n, e);
    for (const Json *s = settings ? settings->first : NULL; set && s; s = s->next, i++)
        if (!(set[i] = arena_printf(t->arena, e, "%.*s=%.*s", (int)s->key.n, s->key.p, (int)s->text.n, s->text.p)))
            return false;
    t->config.set = set;
    t->config.set_count = n;
    return set != NULL;
}

static bool read_features(Trained *t, const Json *features, const char *path, Error *e)
{
    size_t n = features ? features->count : 0, i = 0;
    const char **list = NEW(t->arena, const char *, n, e);
    for (const Json *f = features ? features->first : NULL; list && f; f = f->next)
        if (!(list[i++] = json_cstring(f)))
            return fail(e, SP_FORMAT, "%s:%u: features: a text is wanted; train again", path, (unsigned)f->line);
    t->config.data.features = list;
    t->config.data.feature_count = n;
    return list != NULL;
}

/* A model that scores by itself, made again as the run made it. */
static bool open_model(Trained *t, const Json *c, const char *path, Error *e)
{
    static const char *const formats[] = {"auto", "tsv", "inter", "recbole", "lightgcn"};
    const char *protocol = text_in(c, "protocol"), *format = text_in(c, "format");
    int64_t seed = 0;
    json_i64(json_get(c, "seed"), &seed);
    t->config.model = text_in(c, "model");
    t->config.data.train = text_in(c, "train");
    t->config.seed = (uint64_t)seed;
    if (!t->config.model || !t->config.data.train || !protocol || !format)
        return fail(e, SP_FORMAT, "%s: model, train, protocol or format is missing; train again", path);
    t->config.data.protocol = !strcmp(protocol, "mmrec") ? PROTOCOL_MMREC : PROTOCOL_ELLIOT;
    for (size_t i = 0; i < COUNT(formats); i++)
        if (!strcmp(format, formats[i]))
            t->config.data.format = (Format)i;
    if (!read_settings(t, json_get(c, "settings"), e) || !read_features(t, json_get(c, "features"), path, e))
        return false;
    t->trainer = (Trainer){.device = t->device, .config = &t->config, .arena = t->arena, .scratch = t->arena};
    if (!trainer_load(&t->trainer, e))
        return false;
    if (!t->trainer.model.kind->score)
        return fail(e, SP_IO, "%s: %s scores by vectors, and user.npy is not beside it; train again", path, t->config.model);
    t->users = t->trainer.data.users;
    t->items = t->trainer.data.items;
    return true;
}

static TextIndex *read_ids(Trained *t, const char *dir, const char *name, int64_t expected, Error *e)
{
    const char *path = path_join(t->arena, dir, name, e);
    Text rest, line;
    TextIndex *ids = path && file_read(&rest, t->arena, path, 0, e) ? text_index_new(t->arena, e) : NULL;
    for (size_t number = 1; ids && text_line(&rest, &line); number++)
        if (!id_check(line, path, number, e) || text_index_add(ids, line, e) < 0)
            return NULL;
    if (ids && text_index_count(ids) != expected) {
        fail(e, SP_SHAPE, "%s: has %lld different ids, the vectors beside it have %lld rows; train again", path,
             (long long)text_index_count(ids), (long long)expected);
        return NULL;
    }
    return ids;
}

static Tensor *read_vectors(Trained *t, const char *dir, const char *name, Npy *file, Error *e)
{
    const char *path = path_join(t->arena, dir, name, e);
    if (!path || !npy_open(file, path, t->arena, e))
        return NULL;
    if (file->array.dims != 2) {
        fail(e, SP_SHAPE, "%s: has %d dimensions, a table of vectors has 2", path, file->array.dims);
        return NULL;
    }
    file->array.name = text_of(name);
    return store_array(t->store, &file->array, e);
}

static bool read_seen(Trained *t, const char *dir, Error *e)
{
    const char *path = path_join(t->arena, dir, "seen.safetensors", e);
    t->seen = path ? weights_open(path, t->arena, e) : NULL;
    const Array *start = t->seen ? weights_need(t->seen, e, "start", 1, rows_of(t->user) + 1) : NULL, *item = NULL;
    if (!start || !(item = weights_find(t->seen, "item")) || start->type != I64 || item->type != I32)
        return fail(e, SP_FORMAT, "%s: does not hold start and item; train again", path);
    t->start = NEW(t->arena, int64_t, start->count, e);
    t->left_out = NEW(t->arena, int32_t, item->count, e);
    if (!t->start || !t->left_out)
        return false;
    array_i64(start, 0, start->count, t->start);
    memcpy(t->left_out, item->data, (size_t)item->count * sizeof(*t->left_out));
    bool ok = t->start[0] == 0 && t->start[start->count - 1] == item->count;
    for (int64_t u = 1; ok && u < start->count; u++)
        ok = t->start[u] >= t->start[u - 1];
    for (int64_t i = 0; ok && i < item->count; i++)
        ok = t->left_out[i] >= 0 && t->left_out[i] < rows_of(t->item);
    return ok || fail(e, SP_FORMAT, "%s: its train pairs do not fit the vectors; train again", path);
}

static bool open_vectors(Trained *t, const char *dir, Error *e)
{
    if (!(t->store = store_new(t->device, e)) || !(t->user = read_vectors(t, dir, "user.npy", &t->files[0], e)) ||
        !(t->item = read_vectors(t, dir, "item.npy", &t->files[1], e)))
        return false;
    if (cols_of(t->user) != cols_of(t->item))
        return fail(e, SP_SHAPE, "%s: user.npy has vectors of %lld, item.npy of %lld; train again", dir,
                    (long long)cols_of(t->user), (long long)cols_of(t->item));
    return (t->users = read_ids(t, dir, "user.ids.txt", rows_of(t->user), e)) &&
           (t->items = read_ids(t, dir, "item.ids.txt", rows_of(t->item), e)) && read_seen(t, dir, e);
}

Trained *trained_open(const Device *d, const char *dir, Error *e)
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
    Text source;
    const char *path = path_join(a, dir, "config.json", e), *vectors = path_join(a, dir, "user.npy", e);
    if (path && !file_exists(path))
        fail(e, SP_IO, "%s: holds no trained model (no config.json); `sapor train MODEL --out %s` makes one", dir, dir);
    const Json *config =
        !e->code && path && vectors && file_read(&source, a, path, 1 << 20, e) ? json_parse(a, source, path, e) : NULL;
    if (config && (file_exists(vectors) ? open_vectors(t, dir, e) : open_model(t, config, path, e)))
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

enum { USERS_AT_ONCE = 1024 };

bool trained_recommend(Trained *t, const Text *users, size_t n, int64_t k, RecommendVisit *visit, void *arg, Error *e)
{
    int64_t I = t->user ? rows_of(t->item) : t->trainer.data.I;
    int64_t all = t->user ? rows_of(t->user) : t->trainer.data.U, count = users ? (int64_t)n : all;
    if (k < 1)
        return fail(e, SP_USAGE, "-k %lld: a whole number from 1 on is wanted", (long long)k);
    k = MIN(k, I);
    Arena *scratch = arena_new(t->device->heap, 0); /* its own: threads may share t */
    if (!scratch)
        return fail_memory(e, (size_t)count, "recommending");
    int64_t block = MIN(count, (int64_t)USERS_AT_ONCE);
    int32_t *ids = NEW(scratch, int32_t, count, e), *top = NEW(scratch, int32_t, block * k, e);
    float *scores = NEW(scratch, float, block *k, e);
    Text *items = NEW(scratch, Text, k, e);
    bool ok = ids && top && scores && items;
    for (int64_t i = 0; ok && i < count; i++) {
        int64_t number = users ? text_index_find(t->users, users[i]) : i;
        ids[i] = (int32_t)number;
        ok = (number >= 0 && number < all) || fail(e, SP_USAGE, "no user is called %.*s among the %lld that were trained on",
                                                   (int)users[i].n, users[i].p, (long long)all);
    }
    for (int64_t first = 0; ok && first < count; first += USERS_AT_ONCE) {
        int64_t now = MIN((int64_t)USERS_AT_ONCE, count - first);
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
