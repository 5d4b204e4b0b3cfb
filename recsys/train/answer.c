/* recsys/train/answer.c: answers of a trained recommender, by number: lists, similar items, scores, vectors. */
// flags: -Os
#include "recsys/train/train.h"

#include <math.h>
#include <stdlib.h>

enum { ROWS_AT_ONCE = 1024, SCORES_AT_ONCE = 1 << 24, ITEMS_AT_ONCE = 4096 };

/* ---- arguments ------------------------------------------------------------------------------- */

static bool in_range(const int32_t *numbers, size_t n, int64_t count, const char *what, Error *e)
{
    if (n && !numbers)
        return fail(e, SP_USAGE, "%s: the list is NULL", what);
    for (size_t i = 0; i < n; i++)
        if (numbers[i] < 0 || numbers[i] >= count)
            return fail(e, SP_USAGE, "%s[%zu] is %d; a number from 0 to %lld is expected", what, i, numbers[i],
                        (long long)count - 1);
    return true;
}

/* Checks the caller's lists [n, k]. */
static bool has_room(size_t n, size_t k, const int32_t *top, Error *e)
{
    size_t cells;
    if (k == 0 || k > INT32_MAX)
        return fail(e, SP_USAGE, "K: %zu is out of range; expected 1 to %d", k, INT32_MAX);
    if (!size_mul(n, k, &cells) || cells > PTRDIFF_MAX / sizeof *top)
        return fail(e, SP_USAGE, "K: lists of %zu items for %zu rows do not fit into memory", k, n);
    return !n || top || fail(e, SP_USAGE, "the list of results is NULL");
}

static int by_number(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* The items that no list may contain: in ascending order, each once. */
typedef struct Excluded {
    int32_t *item;
    int64_t count;
} Excluded;

static bool read_excluded(Excluded *x, const sp_recommend_options *o, int64_t items, Arena *a, Error *e)
{
    *x = (Excluded){0};
    if (!o || !o->exclude_count)
        return true;
    if (!in_range(o->exclude, o->exclude_count, items, "exclude", e) ||
        !(x->item = NEW(a, int32_t, o->exclude_count, e)))
        return false;
    memcpy(x->item, o->exclude, o->exclude_count * sizeof *x->item);
    qsort(x->item, o->exclude_count, sizeof *x->item, by_number);
    for (size_t i = 0; i < o->exclude_count; i++)
        if (!x->count || x->item[x->count - 1] != x->item[i])
            x->item[x->count++] = x->item[i];
    return true;
}

/* Converts the items of new users to pairs: in ascending order, each once. */
static bool read_liked(Pairs *p, const Trained *t, const sp_liked *users, size_t n, Arena *a, Error *e)
{
    int64_t I = t->config.items;
    size_t total = 0;
    if (n && !users)
        return fail(e, SP_USAGE, "users: the list is NULL");
    if (n > INT32_MAX)
        return fail(e, SP_USAGE, "users: more than %d in one call", INT32_MAX);
    for (size_t u = 0; u < n; u++) {
        if (!users[u].count)
            return fail(e, SP_USAGE, "users[%zu]: likes no item, so nothing is known of this user", u);
        if (!in_range(users[u].items, users[u].count, I, "items", e)) {
            error_prefix(e, "users[%zu]: ", u);
            return false;
        }
        for (size_t i = 0; users[u].ratings && i < users[u].count; i++)
            if (!isfinite(users[u].ratings[i]))
                return fail(e, SP_USAGE, "users[%zu]: ratings[%zu] is %g; finite numbers are expected", u, i,
                            (double)users[u].ratings[i]);
        if (users[u].count > UINT32_MAX - total)
            return fail(e, SP_USAGE, "users: more than %u items in one call", UINT32_MAX);
        total += users[u].count;
    }
    int32_t *user = NEW(a, int32_t, total, e), *item = NEW(a, int32_t, total, e);
    float *rating = NEW(a, float, total, e);
    if (!user || !item || !rating)
        return false;
    for (size_t u = 0, at = 0; u < n; u++)
        for (size_t i = 0; i < users[u].count; i++, at++) {
            user[at] = (int32_t)u;
            item[at] = users[u].items[i];
            rating[at] = users[u].ratings ? users[u].ratings[i] : 1;
        }
    sp_interactions rows = {.count = total, .user = user, .item = item, .rating = rating};
    return pairs_make(p, &rows, "users", (int64_t)n, I, NULL, a, e);
}

/* ---- lists ----------------------------------------------------------------------------------- */

/* The users of a call, numbered from 0: users of training, or new users with the items that they like. */
typedef struct Request {
    const Trained *t;
    const Device *d;
    const int32_t *ids; /* each user's number in training, or NULL if `liked` is set */
    const Pairs *liked;
    bool keep_seen;
    Excluded excluded;
    int64_t k;
} Request;

static int64_t user_of(const Request *x, int64_t row)
{
    return x->ids ? x->ids[row] : row;
}

static const Pairs *pairs_of(const Request *x)
{
    return x->liked ? x->liked : &x->t->data.train;
}

/* Lists the items that the results for rows first .. first + n - 1 must not contain. It merges two sorted lists. */
static bool left_out(const Request *x, int64_t first, int64_t n, int64_t **start, int32_t **item, Arena *a, Error *e)
{
    const Pairs *p = pairs_of(x);
    const Excluded *excluded = &x->excluded;
    int64_t most = 0, count = 0;
    for (int64_t b = 0; b < n; b++) {
        int64_t u = user_of(x, first + b);
        most += excluded->count + (x->keep_seen ? 0 : p->start[u + 1] - p->start[u]);
    }
    *start = NEW(a, int64_t, n + 1, e);
    *item = NEW(a, int32_t, most, e);
    if (!*start || !*item)
        return false;
    for (int64_t b = 0; b < n; b++) {
        int64_t u = user_of(x, first + b), i = p->start[u], end = x->keep_seen ? i : p->start[u + 1], j = 0;
        while (i < end || j < excluded->count) {
            bool from_user = j == excluded->count || (i < end && p->item[i] <= excluded->item[j]);
            int32_t next = from_user ? p->item[i] : excluded->item[j];
            j += j < excluded->count && excluded->item[j] == next;
            i += from_user;
            (*item)[count++] = next;
        }
        (*start)[b + 1] = count;
    }
    return true;
}

/* Writes the vectors [n, D] of the request's rows from `first` on. New users: the mean vector of the liked items. */
static bool user_vectors(const Request *x, int64_t first, int64_t n, float *out, Arena *a, Error *e)
{
    const Trained *t = x->t;
    int64_t D = t->vectors[0].shape[1];
    if (!x->liked) {
        for (int64_t b = 0; b < n; b++)
            array_f32(&t->vectors[0], x->ids[first + b] * D, D, out + b * D);
        return true;
    }
    float *row = NEW(a, float, D, e);
    double *sum = NEW(a, double, D, e);
    if (!row || !sum)
        return false;
    for (int64_t b = 0; b < n; b++) {
        int64_t begin = x->liked->start[first + b], end = x->liked->start[first + b + 1];
        memset(sum, 0, sizeof *sum * (size_t)D);
        for (int64_t i = begin; i < end; i++) {
            array_f32(&t->vectors[1], x->liked->item[i] * D, D, row);
            for (int64_t c = 0; c < D; c++)
                sum[c] += (double)row[c];
        }
        for (int64_t c = 0; c < D; c++)
            out[b * D + c] = (float)(sum[c] / (double)(end - begin));
    }
    return true;
}

/* Computes dense scores [n, I] of a model that scores by itself. */
static bool dense_scores(const Request *x, int64_t first, int64_t n, float *scores, Error *e)
{
    Model m = x->t->model;
    m.device = x->d;
    if (!x->liked)
        return m.kind->score(&m, x->ids + first, n, scores, e);
    Pairs liked = *x->liked;
    liked.start += first;
    if (!m.kind->score_new(&m, &liked, n, scores, e))
        return false;
    for (int64_t i = 0; i < n * m.data->I; i++)
        if (!isfinite(scores[i]))
            return fail(e, SP_USAGE, "users[%lld]: its ratings give scores too large for float32; scale them",
                        (long long)(first + i / m.data->I));
    return true;
}

/* Checks that scores are finite: products of item vectors were not checked when the run was opened. */
static bool check_scores(const Request *x, int64_t first, int64_t n, const int32_t *top, const float *scores, Error *e)
{
    for (int64_t i = 0; i < n * x->k; i++)
        if (top[i] >= 0 && !isfinite(scores[i]))
            return fail(e, SP_USAGE, "users[%lld]: scores of a new user are too large for float32; train again",
                        (long long)(first + i / x->k));
    return true;
}

static bool rank_block(const Request *x, int64_t first, int64_t n, int32_t *top, float *scores, Arena *a, Error *e)
{
    const Trained *t = x->t;
    int64_t *start, width = t->user ? cols_of(t->user) : t->config.items;
    int32_t *item;
    float *rows = NEW(a, float, n *width, e);
    if (!rows || !left_out(x, first, n, &start, &item, a, e))
        return false;
    if (t->user) {
        if (x->liked && !scores && !(scores = NEW(a, float, n * x->k, e)))
            return false;
        return user_vectors(x, first, n, rows, a, e) &&
               rank_rows(x->d, rows, t->item, n, x->k, start, item, top, scores, e) &&
               (!x->liked || check_scores(x, first, n, top, scores, e));
    }
    return dense_scores(x, first, n, rows, e) &&
           rank_scores(x->d, width, rows, NULL, n, x->k, n, start, item, top, scores, e);
}

/* Moves the kernel's lists [n, k] to the beginning of the caller's wider lists [n, wide]. */
static void spread(int64_t n, int64_t k, size_t wide, int32_t *top, float *scores)
{
    if ((int64_t)wide == k)
        return;
    for (int64_t b = n; b-- > 0;)
        for (int64_t i = (int64_t)wide; i-- > 0;) {
            top[b * (int64_t)wide + i] = i < k ? top[b * k + i] : -1;
            if (scores)
                scores[b * (int64_t)wide + i] = i < k ? scores[b * k + i] : -INFINITY;
        }
}

static bool report(const sp_recommend_options *o, int64_t done, size_t n, Error *e)
{
    return !o || !o->progress || o->progress(o->user, (size_t)done, n) ||
           fail(e, SP_CANCELLED, "cancelled after %lld of %zu rows", (long long)done, n);
}

/* Ranks all rows, one block at a time. k may be larger than the number of items. */
static bool rank_all(Request *x, size_t n, size_t k, const sp_recommend_options *o, int32_t *top, float *scores,
                     Arena *a, Error *e)
{
    int64_t I = x->t->config.items, block = x->t->user ? ROWS_AT_ONCE : MIN(MAX(SCORES_AT_ONCE / I, 1), ROWS_AT_ONCE);
    x->keep_seen = o && o->keep_seen;
    x->k = MIN((int64_t)k, I);
    if (!read_excluded(&x->excluded, o, I, a, e))
        return false;
    for (int64_t first = 0; first < (int64_t)n; first += block) {
        int64_t now = MIN(block, (int64_t)n - first);
        ArenaMark mark = arena_mark(a);
        int32_t *to = top + first * (int64_t)k;
        float *score = scores ? scores + first * (int64_t)k : NULL;
        if (!rank_block(x, first, now, to, score, a, e))
            return false;
        spread(now, x->k, k, to, score);
        arena_rewind(a, mark);
        if (!report(o, first + now, n, e))
            return false;
    }
    return true;
}

bool trained_rank(const Trained *t, const Device *d, const int32_t *users, size_t n, size_t k,
                  const sp_recommend_options *o, int32_t *top, float *scores, Error *e)
{
    Request x = {.t = t, .d = d, .ids = users};
    if (!has_room(n, k, top, e) || !in_range(users, n, t->config.users, "users", e))
        return false;
    Arena *a = arena_new(d->heap, 0);
    bool ok = a ? rank_all(&x, n, k, o, top, scores, a, e) : fail_memory(e, n, "recommending");
    arena_free(a);
    return ok;
}

/* ---- users and items that are not in training ------------------------------------------------ */

static bool knows_new_users(const Trained *t, Error *e)
{
    const Recommender *kind = t->config.kind;
    return kind->represent || kind->score_new ||
           fail(e, SP_UNSUPPORTED, "%s: its scores are of the users of training alone; new users have none",
                kind->name);
}

static bool has_vectors(const Trained *t, Error *e)
{
    return t->user ||
           fail(e, SP_UNSUPPORTED, "%s: scores by itself; its users and items have no vectors", t->config.kind->name);
}

bool trained_rank_new(const Trained *t, const Device *d, const sp_liked *users, size_t n, size_t k,
                      const sp_recommend_options *o, int32_t *top, float *scores, Error *e)
{
    Pairs liked;
    Request x = {.t = t, .d = d, .liked = &liked};
    if (!knows_new_users(t, e) || !has_room(n, k, top, e))
        return false;
    Arena *a = arena_new(d->heap, 0);
    bool ok = a ? read_liked(&liked, t, users, n, a, e) && rank_all(&x, n, k, o, top, scores, a, e)
                : fail_memory(e, n, "recommending");
    arena_free(a);
    return ok;
}

bool trained_new_user_vectors(const Trained *t, const Device *d, const sp_liked *users, size_t n, float *out, Error *e)
{
    Pairs liked;
    Request x = {.t = t, .d = d, .liked = &liked};
    if (!has_vectors(t, e) || (n && !out && !fail(e, SP_USAGE, "out is NULL")))
        return false;
    Arena *a = arena_new(d->heap, 0);
    bool ok = a ? read_liked(&liked, t, users, n, a, e) && user_vectors(&x, 0, (int64_t)n, out, a, e)
                : fail_memory(e, n, "vectors of users");
    arena_free(a);
    return ok;
}

/* Arranges the caller's features in the order of training: *data[i] is [n, width[i]]. */
static bool match_features(const Trained *t, const sp_feature *features, size_t count, size_t n, const float **data,
                           Error *e)
{
    const DataSet *d = &t->data;
    if (count && !features)
        return fail(e, SP_USAGE, "feature_count is %zu, but features is NULL", count);
    for (size_t i = 0; i < d->feature_count; i++) {
        const sp_feature *found = NULL;
        for (size_t k = 0; k < count; k++)
            if (features[k].name && !strcmp(features[k].name, t->name[i]))
                found = &features[k];
        if (!found || count != d->feature_count)
            return fail(e, SP_USAGE, "%s was trained with %zu features, %s among them; %zu are given%s",
                        t->config.kind->name, d->feature_count, t->name[i], count, found ? "" : " without it");
        if (n && !found->data)
            return fail(e, SP_SHAPE, "features '%s': data is NULL", t->name[i]);
        if (found->width != t->width[i])
            return fail(e, SP_SHAPE, "features '%s': rows of %zu numbers; training had %zu", t->name[i], found->width,
                        t->width[i]);
        size_t cells;
        if (!size_mul(n, found->width, &cells))
            return fail(e, SP_USAGE, "features '%s': %zu rows are too many", t->name[i], n);
        for (size_t c = 0; c < cells; c++)
            if (!isfinite(found->data[c]))
                return fail(e, SP_USAGE, "features '%s': item %zu contains %g; finite numbers are expected", t->name[i],
                            c / found->width, (double)found->data[c]);
        data[i] = found->data;
    }
    return true;
}

/* Checks that the dot products of vectors that a model makes from these features fit float32. The magnitude of a
 * projection is at most the sum of the features' magnitudes times the largest weight, plus the largest bias. */
static bool check_sizes(const Trained *t, const float *const *data, size_t n, Error *e)
{
    const DataSet *d = &t->data;
    for (size_t i = 0; i < n; i++) {
        double sum = t->largest_bias, largest = 0;
        const char *name = "";
        for (size_t f = 0; f < d->feature_count; f++)
            for (size_t c = 0; c < t->width[f]; c++) {
                double size = fabs((double)data[f][i * t->width[f] + c]);
                sum += size * t->largest[f];
                name = size > largest ? t->name[f] : name;
                largest = fmax(largest, size);
            }
        if (!products_fit(sum, sum, cols_of(t->item)))
            return fail(e, SP_USAGE,
                        "features '%s': item %zu contains %g: its vector may be too large for float32; scale features "
                        "as those of training",
                        name, i, largest);
    }
    return true;
}

bool trained_new_item_vectors(const Trained *t, Tape *tape, const sp_feature *features, size_t feature_count, size_t n,
                              float *out, Error *e)
{
    const DataSet *d = &t->data;
    const Recommender *kind = t->config.kind;
    if (!has_vectors(t, e))
        return false;
    if (!kind->new_items || !d->feature_count)
        return fail(e, SP_UNSUPPORTED,
                    kind->new_items ? "%s: this run's folder has no projections of features; train again"
                                    : "%s: vectors of items are made of their interactions in training; new items "
                                      "have none",
                    kind->name);
    if (n && !out)
        return fail(e, SP_USAGE, "out is NULL");
    Arena *a = arena_new(tape_device(tape)->heap, 0);
    const float **data = a ? NEW(a, const float *, d->feature_count, e) : NULL;
    Tensor **x = data ? NEW(a, Tensor *, d->feature_count, e) : NULL;
    bool ok = x ? match_features(t, features, feature_count, n, data, e) && check_sizes(t, data, n, e)
                : fail_memory(e, n, "vectors of items");
    int64_t D = cols_of(t->item);
    for (int64_t first = 0; ok && first < (int64_t)n; first += ROWS_AT_ONCE) {
        int64_t now = MIN((int64_t)ROWS_AT_ONCE, (int64_t)n - first);
        tape_reset(tape, (Draw){0});
        for (size_t i = 0; i < d->feature_count; i++) {
            int64_t width = d->features[i].D;
            x[i] = input_f32(tape, data[i] + first * width, 2, (int64_t[]){now, width});
        }
        Tensor *y = kind->new_items(tape, &t->model, x);
        ok = tape_ok(tape, e) && (cols_of(y) == D || fail(e, SP_SHAPE,
                                                          "%s: vectors of new items have %lld numbers, those of "
                                                          "training %lld; train again",
                                                          kind->name, (long long)cols_of(y), (long long)D));
        if (ok)
            tensor_read(tape_device(tape), y, 0, now * D, out + first * D);
    }
    arena_free(a);
    return ok;
}

/* ---- items, pairs, vectors ------------------------------------------------------------------- */

bool trained_vectors(const Trained *t, bool items, const int32_t *numbers, size_t n, float *out, Error *e)
{
    const Array *x = &t->vectors[items];
    if (!has_vectors(t, e) || (n && !out && !fail(e, SP_USAGE, "out is NULL")) ||
        !in_range(numbers, n, items ? t->config.items : t->config.users, items ? "items" : "users", e))
        return false;
    for (size_t i = 0; i < n; i++)
        array_f32(x, numbers[i] * x->shape[1], x->shape[1], out + (int64_t)i * x->shape[1]);
    return true;
}

static bool similar_by_vectors(const Trained *t, const Device *d, const int32_t *items, size_t n, size_t k,
                               const sp_recommend_options *o, int32_t *top, float *scores, Arena *a, Error *e)
{
    const Array *all = &t->vectors[1];
    int64_t D = all->shape[1], I = t->config.items;
    Excluded excluded;
    if (!read_excluded(&excluded, o, I, a, e))
        return false;
    int64_t *start = NEW(a, int64_t, ROWS_AT_ONCE + 1, e), most = MIN((int64_t)n, (int64_t)ROWS_AT_ONCE);
    int32_t *omitted = arena_alloc(a, (size_t)most, ((size_t)excluded.count + 1) * sizeof *omitted, e);
    float *queries = arena_alloc(a, (size_t)most, (size_t)D * sizeof *queries, e);
    if (!start || !omitted || !queries)
        return false;
    for (int64_t first = 0; first < (int64_t)n; first += ROWS_AT_ONCE) {
        int64_t now = MIN((int64_t)ROWS_AT_ONCE, (int64_t)n - first), count = 0;
        for (int64_t b = 0; b < now; b++) {
            int32_t query = items[first + b];
            array_f32(all, query * D, D, queries + b * D);
            int64_t j = 0;
            for (; j < excluded.count && excluded.item[j] < query; j++)
                omitted[count++] = excluded.item[j];
            omitted[count++] = query;
            for (j += j < excluded.count && excluded.item[j] == query; j < excluded.count; j++)
                omitted[count++] = excluded.item[j];
            start[b + 1] = count;
        }
        NearestRows x = {.rows = all, .queries = queries, .n = now, .k = MIN((int64_t)k, I), .start = start};
        x.left_out = omitted;
        x.ids = top + first * (int64_t)k;
        x.similarity = scores ? scores + first * (int64_t)k : NULL;
        if (!rows_nearest(&x, d, e))
            return false;
        spread(now, x.k, k, x.ids, x.similarity);
        if (!report(o, first + now, n, e))
            return false;
    }
    return true;
}

bool trained_similar(const Trained *t, const Device *d, const int32_t *items, size_t n, size_t k,
                     const sp_recommend_options *o, int32_t *top, float *scores, Error *e)
{
    if (o && o->keep_seen)
        return fail(e, SP_USAGE, "keep_seen does not apply to similar items; leave it out");
    if (!knows_new_users(t, e) || !has_room(n, k, top, e) || !in_range(items, n, t->config.items, "items", e))
        return false;
    Arena *a = arena_new(d->heap, 0);
    bool ok = a != NULL;
    if (ok && t->user) {
        ok = similar_by_vectors(t, d, items, n, k, o, top, scores, a, e);
    } else if (ok) {
        sp_liked *one = NEW(a, sp_liked, n, e);
        for (size_t i = 0; one && i < n; i++)
            one[i] = (sp_liked){.items = &items[i], .count = 1};
        ok = one && trained_rank_new(t, d, one, n, k, o, top, scores, e);
    } else {
        fail_memory(e, n, "similar items");
    }
    arena_free(a);
    return ok;
}

/* Computes a user's scores of items [n], n <= ITEMS_AT_ONCE, by ranking them: each has the same bits as in a list. */
static bool score_items(const Trained *t, const Device *d, int32_t user, const int32_t *items, int64_t n, float *scores,
                        Arena *a, Error *e)
{
    const Request x = {.t = t, .d = d, .ids = &user};
    if (!t->user) {
        float *row = NEW(a, float, t->config.items, e);
        if (!row || !dense_scores(&x, 0, 1, row, e))
            return false;
        for (int64_t i = 0; i < n; i++)
            scores[i] = row[items[i]];
        return true;
    }
    int64_t D = cols_of(t->user);
    float *query = NEW(a, float, D, e), *rows = arena_alloc(a, (size_t)n, (size_t)D * sizeof *rows, e);
    float *best = NEW(a, float, n, e);
    int32_t *at = NEW(a, int32_t, n, e);
    if (!query || !rows || !best || !at || !user_vectors(&x, 0, 1, query, a, e))
        return false;
    for (int64_t i = 0; i < n; i++)
        array_f32(&t->vectors[1], items[i] * D, D, rows + i * D);
    const Array table = {.name = TEXT(""), .type = F32, .dims = 2, .shape = {n, D}, .count = n * D, .data = rows};
    Store *s = store_new(d, e);
    Tensor *subset = s ? store_array(s, &table, e) : NULL;
    bool ok = subset && rank_rows(d, query, subset, 1, n, NULL, NULL, at, best, e);
    for (int64_t i = 0; ok && i < n; i++)
        scores[at[i]] = best[i];
    store_free(s);
    return ok;
}

bool trained_scores(const Trained *t, const Device *d, const int32_t *users, const int32_t *items, size_t n,
                    float *scores, Error *e)
{
    if (!in_range(users, n, t->config.users, "users", e) || !in_range(items, n, t->config.items, "items", e) ||
        (n && !scores && !fail(e, SP_USAGE, "scores is NULL")))
        return false;
    Arena *a = arena_new(d->heap, 0);
    bool ok = a || fail_memory(e, n, "scores");
    for (size_t i = 0, next; ok && i < n; i = next) {
        for (next = i; next < n && users[next] == users[i] && next - i < ITEMS_AT_ONCE;)
            next++;
        ok = score_items(t, d, users[i], items + i, (int64_t)(next - i), scores + i, a, e);
        arena_rewind(a, (ArenaMark){0});
    }
    arena_free(a);
    return ok;
}

/* ---- description and evaluation -------------------------------------------------------------- */

void trained_describe(const Trained *t, sp_recommender_info *info)
{
    const Recommender *kind = t->config.kind;
    *info = (sp_recommender_info){.size = info->size,
                                  .model = kind->name,
                                  .users = (size_t)t->config.users,
                                  .items = (size_t)t->config.items,
                                  .width = t->user ? (size_t)cols_of(t->user) : 0,
                                  .new_users = kind->represent || kind->score_new,
                                  .new_items = kind->new_items && t->data.feature_count,
                                  .feature_names = t->name,
                                  .feature_widths = t->width,
                                  .feature_count = t->data.feature_count};
}

const TextIndex *trained_ids(const Trained *t, bool items, int64_t *count)
{
    *count = items ? t->config.items : t->config.users;
    return items ? t->data.items : t->data.users;
}

bool trained_evaluate(const Trained *t, const Device *d, const sp_interactions *truth, const EvalConfig *c,
                      const sp_recommend_options *o, Scores *s, Arena *a, Error *e)
{
    int64_t U = t->config.users, I = t->config.items;
    size_t K = 1, cells, n = 0;
    Pairs pairs;
    if (!measures_check(c, a, e) || !pairs_make(&pairs, truth, "truth", U, I, &t->data.train, a, e) ||
        !ratings_check(c, t->data.protocol, &pairs, "truth", e))
        return false;
    bool whole = ALL_METRICS && measures_needs(c, t->data.protocol) & METRIC_WHOLE;
    if (!relevant_users_of(c, &pairs, t->data.protocol, U))
        return fail(e, SP_USAGE, "truth: has no relevant item for any user of training");
    for (size_t i = 0; i < c->cutoff_count; i++)
        K = MAX(K, (size_t)c->cutoffs[i]);
    K = whole ? (size_t)I : MIN(K, (size_t)I); /* no list is longer than the catalogue */
    int32_t *users = NEW(a, int32_t, U, e);
    for (int64_t u = 0; users && u < U; u++)
        if (pairs.start[u + 1] > pairs.start[u])
            users[n++] = (int32_t)u;
    if (!users || !size_mul(n, K, &cells))
        return users ? fail_memory(e, SIZE_MAX, "lists") : false;
    int32_t *top = NEW(a, int32_t, cells, e);
    float *score = NULL;
    double *scores = NULL;
    if (ALL_METRICS && (!(score = NEW(a, float, cells, e)) || !(scores = NEW(a, double, cells, e))))
        return false;
    if (!top || !trained_rank(t, d, users, n, K, o, top, score, e))
        return false;
    for (size_t i = 0; scores && i < cells; i++)
        scores[i] = (double)score[i];
    const Lists l = {.users = users, .n = (int64_t)n, .K = (int64_t)K, .top = top, .score = scores, .data = &t->data};
    return score_lists_of(s, t->data.protocol, &l, &pairs, c, a, e);
}
