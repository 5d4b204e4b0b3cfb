/* recsys/train/trained.c: opens a folder that train_run wrote for recommendations, by vectors or by a model that scores
 * by itself. It reads nothing outside the folder. */
// flags: -Os
#include "recsys/train/train.h"

#include <math.h>

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

/* Finds the largest magnitude in x [rows, D]. Every number must be finite. */
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

static bool read_vectors(Trained *t, const char *dir, int which, int64_t rows, double *largest, Error *e)
{
    static const char *const NAMES[] = {"user.npy", "item.npy"};
    const char *path = path_join(t->arena, dir, NAMES[which], e);
    Npy *file = &t->files[which];
    if (!path || !npy_open(file, path, t->arena, e))
        return false;
    const Array *x = &file->array;
    if (x->dims != 2 || x->shape[0] != rows || x->shape[1] < 1)
        fail(e, SP_SHAPE,
             x->dims == 2 ? "%s: has shape [%lld, %lld], config.json says %lld rows of one number or more; train again"
                          : "%s: is not a table of rows; train again",
             path, (long long)x->shape[0], (long long)x->shape[1], (long long)rows);
    else if (array_is_integer(x))
        fail(e, SP_FORMAT, "%s: holds %s, floating-point numbers are expected; train again", path, dtype_name(x->type));
    if (e->code || !check_numbers(x, path, t->arena, largest, e))
        return false;
    t->vectors[which] = *x;
    t->vectors[which].name = text_of(NAMES[which]);
    return true;
}

/* Reads the train pairs, which recommendations leave out. */
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
        /* the items of a user must be in ascending order: ranking needs it */
        for (int64_t i = p->start[u]; ok && i < p->start[u + 1]; i++)
            ok = p->item[i] >= 0 && p->item[i] < I && (i == p->start[u] || p->item[i] > p->item[i - 1]);
    return ok || fail(e, SP_FORMAT, "%s: its train pairs do not fit the users and items; train again", path);
}

/* Reads the vectors of the users and of the items. Checks that their products fit into float32. */
static bool read_user_and_item(Trained *t, const char *dir, Error *e)
{
    double user = 0, item = 0;
    if (!read_vectors(t, dir, 0, t->config.users, &user, e) || !read_vectors(t, dir, 1, t->config.items, &item, e))
        return false;
    int64_t D = t->vectors[0].shape[1];
    if (t->vectors[1].shape[1] != D)
        return fail(e, SP_SHAPE, "%s: user.npy has vectors of %lld, item.npy of %lld; train again", dir, (long long)D,
                    (long long)t->vectors[1].shape[1]);
    return products_fit(user, item, D) ||
           fail(e, SP_FORMAT,
                "%s: user.npy holds %g and item.npy %g: their products are too large for float32; train again", dir,
                user, item);
}

/* Reads the arrays. Runs of older versions have no projections, and therefore no new items. */
static bool read_arrays(Trained *t, const char *dir, Error *e)
{
    const Recommender *kind = t->config.kind;
    if (!kind->restore && !kind->new_items)
        return true;
    const char *path = path_join(t->arena, dir, "model.safetensors", e);
    if (!path)
        return false;
    return (!kind->restore && !file_exists(path)) || (t->arrays = weights_read(path, t->arena, e));
}

/* ---- the recommender from its parts ---------------------------------------------------------- */

/* Finds the features of new items by the names and shapes of their projections: "projection.visual.weight" [D, width].
 */
static bool find_features(Trained *t, const Weights *w, Error *e)
{
    static const char PREFIX[] = "projection.", SUFFIX[] = ".weight";
    enum { AROUND = sizeof PREFIX + sizeof SUFFIX - 2 };
    size_t n = weights_count(w);
    DataSet *d = &t->data;
    if (!(d->features = NEW(t->arena, Feature, n, e)) || !(t->name = NEW(t->arena, const char *, n, e)) ||
        !(t->width = NEW(t->arena, size_t, n, e)) || !(t->largest = NEW(t->arena, double, n, e)))
        return false;
    for (size_t i = 0; i < n; i++) {
        const Array *x = weights_at(w, i);
        double largest;
        bool weight = text_ends(x->name, SUFFIX);
        if (!text_starts(x->name, PREFIX) || (!weight && !text_ends(x->name, ".bias")) || x->dims != 1 + weight ||
            x->count < 1 || (weight && x->name.n <= AROUND) || array_is_integer(x))
            return fail(e, SP_FORMAT, "%s: tensor %.*s is no projection of features; train again", weights_path(w),
                        (int)MIN(x->name.n, (size_t)60), x->name.p);
        Array table = *x;
        table.dims = 2;
        table.shape[1] = weight ? x->shape[1] : 1;
        if (!check_numbers(&table, weights_path(w), t->arena, &largest, e) || !store_array(t->store, x, e))
            return false;
        if (!weight) {
            t->largest_bias = fmax(t->largest_bias, largest);
            continue;
        }
        const char *name = arena_strndup(t->arena, x->name.p + sizeof PREFIX - 1, x->name.n - AROUND, e);
        if (!name)
            return false;
        d->features[d->feature_count] = (Feature){.name = t->name[d->feature_count] = name, .D = x->shape[1]};
        t->largest[d->feature_count] = largest;
        t->width[d->feature_count++] = (size_t)x->shape[1];
    }
    return true;
}

bool trained_build(Trained *t, const Weights *arrays, Error *e)
{
    const Recommender *kind = t->config.kind;
    t->data.U = t->config.users;
    t->data.I = t->config.items;
    t->data.protocol = t->config.train.data.protocol;
    if (!(t->store = store_new(t->device, e)))
        return false;
    t->model = (Model){.kind = kind,
                       .data = &t->data,
                       .settings = t->config.settings,
                       .store = t->store,
                       .arena = t->arena,
                       .seed = t->config.train.seed};
    if (kind->score)
        return kind->restore ? kind->restore(&t->model, arrays, e) : kind->init(&t->model, e);
    return (t->user = store_array(t->store, &t->vectors[0], e)) &&
           (t->item = store_array(t->store, &t->vectors[1], e)) && (!arrays || find_features(t, arrays, e));
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
    return (t->data.users = read_ids(t, dir, "user.ids.txt", t->config.users, e)) &&
           (t->data.items = read_ids(t, dir, "item.ids.txt", t->config.items, e)) && read_seen(t, dir, e) &&
           (t->config.kind->score || read_user_and_item(t, dir, e)) && read_arrays(t, dir, e) &&
           trained_build(t, t->arrays, e);
}

Trained *trained_new(const Device *d, Error *e)
{
    Arena *a = arena_new(d->heap, 0);
    Trained *t = a ? NEW(a, Trained, 1, e) : NULL;
    if (!t) {
        arena_free(a);
        fail_memory(e, sizeof(Trained), "a recommender");
        return NULL;
    }
    t->device = d;
    t->arena = a;
    return t;
}

Trained *trained_open(const Device *d, const char *dir, bool unfinished, Error *e)
{
    Trained *t = trained_new(d, e);
    if (!t)
        return NULL;
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
    arena_free(t->kept);
    arena_free(t->arena);
}

/* limits: users per block, and items in all lists of a block */
enum { USERS_AT_ONCE = 1024, LISTED_AT_ONCE = 1 << 24 };

bool trained_recommend(Trained *t, const Text *users, size_t n, int64_t k, RecommendVisit *visit, void *arg, Error *e)
{
    int64_t I = t->config.items, all = t->config.users, count = users ? (int64_t)n : all;
    if (k < 1)
        return fail(e, SP_USAGE, "-k %lld: a whole number of at least 1 is expected", (long long)k);
    k = MIN(k, I);
    Arena *scratch = arena_new(t->device->heap, 0); /* separate scratch, because threads may share t */
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
        ok = trained_rank(t, t->device, ids + first, (size_t)now, (size_t)k, NULL, top, scores, e);
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
