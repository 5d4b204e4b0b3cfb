/* recsys/models/shared/knn.c: settings, scores and run folders of recommenders with neighbours: see knn.h. */
#include <float.h>
#include <math.h>

#include "recsys/models/shared/knn.h"

static const char *const similarities[] = {"cosine", "dot",     "euclidean", "manhattan", "jaccard",
                                           "dice",   "tversky", "pearson",   "adjusted",  "asymmetric"};
_Static_assert(COUNT(similarities) == SIM_COUNT, "a word for each similarity");
static const char *const implementations[] = {"standard", "aiolli"};
const Setting knn_settings[] = {
    NEIGHBORS_SETTING(KnnSettings, neighbors, "neighbours kept per item; UserKNN: per user"),
    WORD_ALSO(KnnSettings, similarity, similarities, "cosine", "cosine",
              "cosine, jaccard, dice; standard: euclidean, manhattan; aiolli: tversky, pearson, adjusted, asymmetric; "
              "dot",
              NOT_HERE("knn_method", "ItemKNN compares items, UserKNN users: leave it out"),
              NOT_HERE("row_weights", "ratings have no weights: leave it out")),
    WORD_SETTING(KnnSettings, implementation, implementations, "standard", "standard",
                 "standard: an item (user) is a neighbour of itself; aiolli: it is not, and shrink is used"),
    {"implicit", "false", "false", "replace every rating by 1", BOOL_OF(KnnSettings, implicit), 0, 0, NULL},
    {"shrink", "0.0", "0.0", "aiolli: added to the denominator of the similarity", F64_OF(KnnSettings, shrink), 0,
     FLT_MAX, NULL},
    {"normalize", "true", "true", "aiolli: divide by the lengths of the vectors", BOOL_OF(KnnSettings, normalize), 0, 0,
     NULL},
    F64_SETTING(KnnSettings, asymmetric_alpha, "0.0", "0.0", "asymmetric: exponent of the scored item's length", 0, 1),
    F64_SETTING(KnnSettings, tversky_alpha, "0.0", "0.0", "tversky: weight of entries only the scored item has", 0,
                FLT_MAX),
    F64_SETTING(KnnSettings, tversky_beta, "0.0", "0.0", "tversky: weight of entries only its neighbour has", 0,
                FLT_MAX),
    {0},
};

/* ---- the model ------------------------------------------------------------------------------- */

/* Checks the settings. Some are ignored with a note, as in Elliot; others are refused because a later step of Elliot
 * would fail. */
static bool settings_fit(const KnnSettings *s, const Model *m, bool rated, Error *e)
{
    Similarity x = (Similarity)s->similarity;
    const char *word = similarities[x];
    bool aiolli = s->implementation == 1, tversky = s->tversky_alpha != 0 || s->tversky_beta != 0;
    if (!aiolli && (s->shrink != 0 || !s->normalize))
        return fail(e, SP_USAGE, "settings shrink and normalize need implementation=aiolli: set it, or leave them out");
    if (!aiolli && x >= SIM_TVERSKY)
        return fail(e, SP_USAGE, "similarity=%s needs implementation=aiolli: set it", word);
    if (aiolli && (x == SIM_EUCLIDEAN || x == SIM_MANHATTAN))
        return fail(e, SP_USAGE, "similarity=%s needs implementation=standard: set it", word);
    if ((s->asymmetric_alpha != 0 && x != SIM_ASYMMETRIC) || (tversky && x != SIM_TVERSKY))
        return fail(e, SP_USAGE,
                    "asymmetric_alpha needs similarity=asymmetric, tversky_alpha and tversky_beta need "
                    "similarity=tversky: set it, or leave them out");
    return rated || !similarity_is_centred(x) ||
           fail(e, SP_USAGE, "%s: similarity=%s needs ratings: if all are 1, all similarities are 0", m->kind->name,
                word);
}

/* Checks that scores fit float32. A score is the sum of rating * weight over the entries of a row: of the user's
 * ratings (SIDE_ITEMS), or of the user's weights (SIDE_USERS). */
static bool check_range(const Model *m, Error *e)
{
    const Knn *x = m->own;
    const Pairs *train = &m->data->train;
    const SparseRows *w = &x->weights, ratings = train_rows(m, x->rating), *row = x->side == SIDE_ITEMS ? &ratings : w;
    double weight = 0, rating = x->rating ? 0 : 1;
    int64_t longest = 0;
    for (int64_t k = 0; k < w->start[w->rows]; k++)
        weight = fmax(weight, fabs((double)w->value[k]));
    for (int64_t k = 0; x->rating && k < train->count; k++)
        rating = fmax(rating, fabs((double)x->rating[k]));
    for (int64_t r = 0; r < row->rows; r++)
        longest = MAX(longest, row->start[r + 1] - row->start[r]);
    return weight * rating * (double)longest < (double)FLT_MAX ||
           fail(e, SP_FORMAT,
                "%s: ratings up to %g give scores too large for float32; scale the ratings, or set implicit=true",
                m->kind->name, rating);
}

bool knn_new(Model *m, Side side, const float *rating, const Nearest *x, Error *e)
{
    Knn *knn = m->own = NEW(m->arena, Knn, 1, e);
    /* the filling below moves each start by one position */
    int64_t total = 0, *start = NEW(m->arena, int64_t, x->n + 2, e);
    for (int64_t j = 0; start && j < x->n; j++)
        for (int64_t k = 0; k < x->count[j]; k++, total++)
            start[x->kept[x->first[j] + k].id + 2]++;
    int32_t *col = NEW(m->arena, int32_t, total, e);
    float *value = NEW(m->arena, float, total, e);
    if (!knn || !start || !col || !value)
        return false;
    for (int64_t i = 0; i <= x->n; i++)
        start[i + 1] += start[i];
    for (int64_t j = 0; j < x->n; j++)
        for (int64_t k = 0; k < x->count[j]; k++) {
            const Neighbour *s = &x->kept[x->first[j] + k];
            int64_t to = start[s->id + 1]++;
            col[to] = (int32_t)j;
            value[to] = (float)s->value;
        }
    *knn = (Knn){side, {x->n, x->n, start, col, value}, rating};
    return check_range(m, e);
}

bool knn_init(Model *m, Side side, Error *e)
{
    const KnnSettings *s = m->settings;
    const float *rating = s->implicit ? NULL : m->data->train.rating;
    if (!settings_fit(s, m, rating != NULL, e))
        return false;
    Arena *scratch = arena_new(arena_heap(m->arena), 0);
    SparseRows ratings = train_rows(m, rating);
    Nearest near;
    bool ok = scratch ? knn_find(&near, m, &ratings, side, scratch, e) : fail_memory(e, 1, m->kind->name);
    ok = ok && knn_new(m, side, rating, &near, e);
    arena_free(scratch);
    return ok;
}

/* ---- scores ---------------------------------------------------------------------------------- */

bool knn_score_new(const Model *m, const Pairs *liked, int64_t n, float *scores, Error *e)
{
    const Knn *x = m->own;
    SparseRows rows = {n, m->data->I, liked->start, liked->item, x->rating ? liked->rating : NULL};
    return sparse_products(model_device(m), &rows, &x->weights, NULL, n, scores, e);
}

bool knn_score(Model *m, const int32_t *ids, int64_t n, float *scores, Error *e)
{
    const Knn *x = m->own;
    SparseRows ratings = train_rows(m, x->rating);
    const SparseRows *w = &x->weights;
    bool items = x->side == SIDE_ITEMS;
    return sparse_products(model_device(m), items ? &ratings : w, items ? w : &ratings, ids, n, scores, e);
}

/* ---- files of a run folder ------------------------------------------------------------------- */

static Array array_of(const char *name, DType type, int64_t n, const void *data)
{
    return (Array){.name = text_of(name), .type = type, .dims = 1, .shape = {n}, .count = n, .data = data};
}

static const char *ids_name(Side side)
{
    return side == SIDE_ITEMS ? "item" : "user";
}

const Array *knn_arrays(const Model *m, size_t *count, Error *e)
{
    const Knn *x = m->own;
    const SparseRows *w = &x->weights;
    int64_t n = w->start[w->rows];
    Array *list = NEW(m->arena, Array, 4, e);
    if (!list)
        return NULL;
    list[0] = array_of("start", I64, w->rows + 1, w->start);
    list[1] = array_of(ids_name(x->side), I32, n, w->col);
    list[2] = array_of("weight", F32, n, w->value);
    list[3] = array_of("rating", F32, m->data->train.count, x->rating);
    *count = x->rating ? 4 : 3;
    return list;
}

/* Reads W and the ratings that knn_arrays wrote. */
static bool read_arrays(const Model *m, Knn *x, const Weights *file, Error *e)
{
    int64_t n = x->side == SIDE_ITEMS ? m->data->I : m->data->U, pairs = m->data->train.count, before = 0;
    const Array *start = weights_need(file, e, "start", 1, n + 1);
    const Array *id = start ? weights_find(file, ids_name(x->side)) : NULL;
    const Array *weight = id ? weights_find(file, "weight") : NULL, *rating = weights_find(file, "rating");
    float *ratings = rating ? NEW(m->arena, float, rating->count, e) : NULL;
    if (!start || (rating && !ratings))
        return false;
    bool ok = id && weight && id->count == weight->count && start->type == I64 && id->type == I32 &&
              weight->type == F32 && (!rating || (rating->type == F32 && rating->count == pairs));
    int64_t *starts = NEW(m->arena, int64_t, n + 1, e);
    int32_t *col = NEW(m->arena, int32_t, ok ? id->count : 0, e);
    float *value = NEW(m->arena, float, ok ? id->count : 0, e);
    if (!starts || !col || !value)
        return false;
    array_i64(start, 0, n + 1, starts);
    for (int64_t i = 0; ok && i <= n; before = starts[i++])
        ok = starts[i] >= before && (i > 0 || starts[0] == 0);
    ok = ok && before == id->count;
    for (int64_t k = 0; ok && k < id->count; k++) {
        int64_t number;
        array_i64(id, k, 1, &number);
        array_f32(weight, k, 1, &value[k]);
        col[k] = (int32_t)number;
        ok = number >= 0 && number < n && isfinite(value[k]);
    }
    if (ok && rating)
        array_f32(rating, 0, pairs, ratings);
    for (int64_t k = 0; ok && rating && k < pairs; k++)
        ok = isfinite(ratings[k]);
    x->weights = (SparseRows){n, n, starts, col, value};
    x->rating = ratings;
    return ok || fail(e, SP_FORMAT, "%s: its neighbours do not fit the %ss and train pairs; train again",
                      weights_path(file), ids_name(x->side));
}

bool knn_restore(Model *m, Side side, const Weights *file, Error *e)
{
    Knn *x = m->own = NEW(m->arena, Knn, 1, e);
    if (!x)
        return false;
    x->side = side;
    return read_arrays(m, x, file, e) && check_range(m, e);
}
