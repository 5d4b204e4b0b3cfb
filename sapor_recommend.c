/* sapor_recommend.c: the public functions that open a recommender and use it, and nearest neighbours. */
// flags: -Os
#include "sapor_objects.h"

sp_recommender *new_recommender(const sp_allocator *memory, Error *e)
{
    sp_recommender *r = new_object(sizeof *r, memory, e);
    if (!r)
        return NULL;
    r->device.heap = arena_heap(r->arena);
    if (open_device(&r->device, NULL, 1, r->device.heap, e))
        return r;
    sp_recommender_close(r);
    return NULL;
}

sp_recommender *sp_recommender_open(const char *folder, const sp_allocator *memory, sp_error *e)
{
    error_clear(e);
    sp_recommender *r = given(folder, "the folder of the recommender", e) ? new_recommender(memory, e) : NULL;
    if (r && !(r->trained = trained_open(&r->device, folder, false, e))) {
        sp_recommender_close(r);
        return NULL;
    }
    return r;
}

void sp_recommender_close(sp_recommender *r)
{
    if (!r)
        return;
    trained_close(r->trained);
    device_close(&r->device);
    arena_free(r->arena);
}

bool sp_recommender_describe(const sp_recommender *r, sp_recommender_info *info, sp_error *e)
{
    sp_recommender_info known;
    error_clear(e);
    if (!given(r, "the recommender", e) || !given(info, "info", e) || !size_fits(info->size, "sp_recommender_info", e))
        return false;
    size_t size = known.size = info->size;
    trained_describe(r->trained, &known);
    memset(info, 0, size); /* additional members of a later version become zeros */
    memcpy(info, &known, MIN(size, sizeof known));
    return true;
}

int32_t sp_recommender_number(const sp_recommender *r, sp_role role, const char *id)
{
    int64_t count = 0;
    const TextIndex *ids = r ? trained_ids(r->trained, role == SP_ITEMS, &count) : NULL;
    int64_t number = ids && id ? text_index_find(ids, text_of(id)) : -1;
    return number < count ? (int32_t)number : -1;
}

const char *sp_recommender_id(const sp_recommender *r, sp_role role, int32_t number)
{
    int64_t count = 0;
    const TextIndex *ids = r ? trained_ids(r->trained, role == SP_ITEMS, &count) : NULL;
    return number >= 0 && number < count ? text_index_at(ids, number).p : NULL;
}

/* ---- lists ----------------------------------------------------------------------------------- */

/* Checks the options and enters the session. After success session_leave must follow. */
static bool begin(const sp_recommender *r, sp_session *s, const sp_recommend_options *from, sp_recommend_options *to,
                  Error *e)
{
    error_clear(e);
    if (!given(r, "the recommender", e) || !read_options(to, sizeof *to, from, "sp_recommend_options", e))
        return false;
    return session_enter(s, e);
}

bool sp_recommend(const sp_recommender *r, sp_session *s, const int32_t *users, size_t n, size_t K,
                  const sp_recommend_options *o, int32_t *items, float *scores, sp_error *e)
{
    sp_recommend_options read;
    return begin(r, s, o, &read, e) &&
           session_leave(s, trained_rank(r->trained, &s->device, users, n, K, &read, items, scores, e));
}

bool sp_recommend_new(const sp_recommender *r, sp_session *s, const sp_liked *users, size_t n, size_t K,
                      const sp_recommend_options *o, int32_t *items, float *scores, sp_error *e)
{
    sp_recommend_options read;
    return begin(r, s, o, &read, e) &&
           session_leave(s, trained_rank_new(r->trained, &s->device, users, n, K, &read, items, scores, e));
}

bool sp_similar_items(const sp_recommender *r, sp_session *s, const int32_t *items, size_t n, size_t K,
                      const sp_recommend_options *o, int32_t *similar, float *scores, sp_error *e)
{
    sp_recommend_options read;
    return begin(r, s, o, &read, e) &&
           session_leave(s, trained_similar(r->trained, &s->device, items, n, K, &read, similar, scores, e));
}

/* ---- scores and vectors ---------------------------------------------------------------------- */

bool sp_scores(const sp_recommender *r, sp_session *s, const int32_t *users, const int32_t *items, size_t n,
               float *scores, sp_error *e)
{
    sp_recommend_options none;
    return begin(r, s, NULL, &none, e) &&
           session_leave(s, trained_scores(r->trained, &s->device, users, items, n, scores, e));
}

bool sp_vectors(const sp_recommender *r, sp_session *s, sp_role role, const int32_t *numbers, size_t n, float *out,
                sp_error *e)
{
    sp_recommend_options none;
    if (!begin(r, s, NULL, &none, e))
        return false;
    bool ok = role == SP_USERS || role == SP_ITEMS || fail(e, SP_USAGE, "role: %d is not an sp_role", (int)role);
    return session_leave(s, ok && trained_vectors(r->trained, role == SP_ITEMS, numbers, n, out, e));
}

bool sp_new_user_vectors(const sp_recommender *r, sp_session *s, const sp_liked *users, size_t n, float *out,
                         sp_error *e)
{
    sp_recommend_options none;
    return begin(r, s, NULL, &none, e) &&
           session_leave(s, trained_new_user_vectors(r->trained, &s->device, users, n, out, e));
}

bool sp_new_item_vectors(const sp_recommender *r, sp_session *s, const sp_feature *features, size_t feature_count,
                         size_t n, float *out, sp_error *e)
{
    sp_recommend_options none;
    return begin(r, s, NULL, &none, e) &&
           session_leave(s, trained_new_item_vectors(r->trained, s->tape, features, feature_count, n, out, e));
}

/* ---- nearest neighbours ---------------------------------------------------------------------- */

static bool check_matrix(const float *rows, size_t N, size_t D, const float *queries, size_t n, size_t K,
                         const sp_nearest_options *o, const int32_t *ids, Error *e)
{
    size_t cells;
    if (!given(rows, "the matrix", e) || (n && !given(queries, "the list of queries", e)) ||
        (n && !given(ids, "ids", e)))
        return false;
    if (!N || N > INT32_MAX || !D || !size_mul(N, D, &cells) || cells > PTRDIFF_MAX / sizeof(float))
        return fail(e, SP_USAGE, "a matrix of %zu x %zu numbers is not supported", N, D);
    if (!size_mul(n, D, &cells) || cells > PTRDIFF_MAX / sizeof(float))
        return fail(e, SP_USAGE, "%zu queries of %zu numbers are not supported", n, D);
    if (K == 0 || K > INT32_MAX || !size_mul(n, K, &cells) || cells > PTRDIFF_MAX / sizeof(float))
        return fail(e, SP_USAGE, "K: %zu is out of range; expected 1 to %d, and lists that fit into memory", K,
                    INT32_MAX);
    for (size_t q = 0; o->except && q < n; q++)
        if (o->except[q] < -1 || (o->except[q] >= 0 && (size_t)o->except[q] >= N))
            return fail(e, SP_USAGE, "except[%zu] is %d; a row from 0 to %zu, or -1, is expected", q, o->except[q],
                        N - 1);
    return true;
}

static bool find_nearest(sp_session *s, NearestRows *x, size_t n, const int32_t *except, Error *e)
{
    if (except) {
        int64_t *start = NEW(s->scratch, int64_t, n + 1, e);
        int32_t *left_out = NEW(s->scratch, int32_t, n, e);
        if (!start || !left_out)
            return false;
        for (size_t q = 0; q < n; q++) {
            start[q + 1] = start[q];
            if (except[q] >= 0)
                left_out[start[q + 1]++] = except[q];
        }
        x->start = start;
        x->left_out = left_out;
    }
    return rows_nearest(x, &s->device, e);
}

bool sp_nearest(sp_session *s, const float *rows, size_t N, size_t D, const float *queries, size_t n, size_t K,
                const sp_nearest_options *options, int32_t *ids, float *similarity, sp_error *e)
{
    sp_nearest_options o;
    error_clear(e);
    if (!read_options(&o, sizeof o, options, "sp_nearest_options", e) ||
        !check_matrix(rows, N, D, queries, n, K, &o, ids, e) || !session_enter(s, e))
        return false;
    const Array table = {.name = TEXT(""),
                         .type = F32,
                         .dims = 2,
                         .shape = {(int64_t)N, (int64_t)D},
                         .count = (int64_t)(N * D),
                         .data = rows};
    NearestRows x = {.rows = &table,
                     .queries = queries,
                     .n = (int64_t)n,
                     .k = (int64_t)K,
                     .dot = o.dot,
                     .ids = ids,
                     .similarity = similarity,
                     .progress = o.progress,
                     .user = o.user};
    return session_leave(s, find_nearest(s, &x, n, o.except, e));
}
