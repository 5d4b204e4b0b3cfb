/* recsys/models/easer.c: EASE^R: Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data", as Elliot has it
 * (recipes.md 7.22).
 *
 *     G = R' R with its diagonal replaced,  P = G^-1,  B_ij = -P_ij / P_jj and B_jj = 0,  scores = R B
 *
 * The diagonal of G is the number of ratings + l2_norm. In the paper R has no numbers but 0 and 1, and this is
 * (R' R)_jj + l2_norm; Elliot keeps it for ratings, too.
 *
 * B [I, I] is the only dense matrix of items by items: 4 I^2 bytes. G becomes P and then B in its memory. */
// flags: -O3
#include <float.h>
#include <math.h>

#include "recsys/models/shared/sparse.h"

typedef struct EaserSettings {
    CommonSettings common;
    double l2_norm;
    bool implicit;
} EaserSettings;
typedef struct Easer {
    float *b;            /* [I, I] */
    const float *rating; /* of each train pair; NULL: all are 1 */
} Easer;
static const Setting settings[] = {
    F64_ALSO(EaserSettings, l2_norm, "1000.0", "1000.0", "added to the diagonal of the products of items", 0, FLT_MAX,
             SAME_AS("reg_weight"), NOT_HERE("neighborhood", "Elliot reads it and does not use it: leave it out")),
    {"implicit", "false", "false", "replace every rating by 1, as the paper does", BOOL_OF(EaserSettings, implicit), 0,
     0, NULL},
    {0},
};

/* ---- the products of items ------------------------------------------------------------------- */

typedef struct Work {
    SparseRows users, items; /* R and its transpose */
    double l2_norm;
    float *g;    /* [I, I] */
    double *sum; /* [workers, I] */
} Work;

/* One row of G, summed in the order of users. */
static void multiply_row(void *arg, size_t task, int worker)
{
    const Work *w = arg;
    const SparseRows *x = &w->items, *r = &w->users;
    int64_t i = (int64_t)task, I = x->rows;
    double *sum = w->sum + worker * I;
    memset(sum, 0, sizeof *sum * (size_t)I);
    for (int64_t k = x->start[i]; k < x->start[i + 1]; k++) {
        double own = x->value ? (double)x->value[k] : 1;
        for (int64_t l = r->start[x->col[k]]; l < r->start[x->col[k] + 1]; l++)
            sum[r->col[l]] += own * (r->value ? (double)r->value[l] : 1);
    }
    sum[i] = (double)(x->start[i + 1] - x->start[i]) + w->l2_norm;
    for (int64_t j = 0; j < I; j++)
        w->g[i * I + j] = (float)sum[j];
}

/* How far P is from the inverse of G: |G P v - v| / |v| for a vector v of +1 and -1. G is made again from R. */
static double residual(const Model *m, const Work *w, double *v, double *pv, double *by_user)
{
    const SparseRows *x = &w->items, *r = &w->users;
    const Draw d = {m->seed, DRAW_NOISE, 0};
    int64_t I = x->rows;
    double sum = 0;
    for (int64_t j = 0; j < I; j++)
        v[j] = draw_uniform(d, (uint64_t)j) < 0.5f ? -1 : 1;
    for (int64_t i = 0; i < I; i++) {
        pv[i] = 0;
        for (int64_t j = 0; j < I; j++)
            pv[i] += (double)w->g[i * I + j] * v[j];
    }
    for (int64_t u = 0; u < r->rows; u++) {
        by_user[u] = 0;
        for (int64_t k = r->start[u]; k < r->start[u + 1]; k++)
            by_user[u] += (r->value ? (double)r->value[k] : 1) * pv[r->col[k]];
    }
    for (int64_t i = 0; i < I; i++) {
        double count = (double)(x->start[i + 1] - x->start[i]), product = (count + w->l2_norm) * pv[i];
        for (int64_t k = x->start[i]; k < x->start[i + 1]; k++) {
            double rating = x->value ? (double)x->value[k] : 1;
            product += rating * (by_user[x->col[k]] - rating * pv[i]);
        }
        sum += (product - v[i]) * (product - v[i]);
    }
    return sqrt(sum / (double)MAX(I, (int64_t)1));
}

/* P becomes B; false: a number of it is not finite. */
static bool finish(float *p, int64_t I, double *diagonal)
{
    bool ok = true;
    for (int64_t j = 0; j < I; j++)
        diagonal[j] = (double)p[j * I + j];
    for (int64_t i = 0; i < I; i++)
        for (int64_t j = 0; j < I; j++) {
            p[i * I + j] = i == j ? 0 : (float)(-(double)p[i * I + j] / diagonal[j]);
            ok = ok && isfinite(p[i * I + j]);
        }
    return ok;
}

/* A score is a sum of ratings times weights. */
static bool check_range(const Model *m, Error *e)
{
    const Easer *x = m->own;
    const Pairs *train = &m->data->train;
    int64_t I = m->data->I, longest = 0;
    double weight = 0, rating = x->rating ? 0 : 1;
    for (int64_t k = 0; k < I * I; k++)
        weight = fmax(weight, fabs((double)x->b[k]));
    for (int64_t k = 0; x->rating && k < train->count; k++)
        rating = fmax(rating, fabs((double)x->rating[k]));
    for (int64_t u = 0; u < m->data->U; u++)
        longest = MAX(longest, train->start[u + 1] - train->start[u]);
    return weight * rating * (double)longest < (double)FLT_MAX ||
           fail(e, SP_FORMAT,
                "EASER: ratings up to %g give scores too large for float32; scale the ratings, or set implicit=true",
                rating);
}

static Easer *new_weights(Model *m, Error *e)
{
    size_t I = (size_t)m->data->I, bytes = 0;
    Error refused = {0};
    Easer *x = m->own = NEW(m->arena, Easer, 1, e);
    if (x && size_mul(I, I, &bytes) && size_mul(bytes, sizeof(float), &bytes))
        x->b = arena_alloc(m->arena, bytes, 1, &refused);
    if (x && !x->b)
        fail(e, SP_MEMORY, "EASER: the weights of %zu x %zu items need %.1f MB: out of memory", I, I,
             (double)I * (double)I * sizeof(float) / 1e6);
    return x && x->b ? x : NULL;
}

enum { LARGEST_RESIDUAL = 10 }; /* in % */

static bool solve(Model *m, Work *w, Arena *scratch, Error *e)
{
    const Device *d = store_device(m->store);
    int64_t I = m->data->I;
    w->sum = arena_alloc(scratch, (size_t)pool_threads(d->pool), (size_t)I * sizeof *w->sum, e);
    double *v = NEW(scratch, double, I, e), *pv = NEW(scratch, double, I, e);
    double *by_user = NEW(scratch, double, m->data->U, e);
    if (!sparse_turned(&w->items, &w->users, scratch, e) || !w->sum || !v || !pv || !by_user)
        return false;
    pool_run(d->pool, (size_t)I, multiply_row, w);
    const char *text = settings_text(m->settings, offsetof(EaserSettings, l2_norm));
    if (!invert_matrix(d, I, w->g, e)) {
        if (e->code != SP_MEMORY)
            error_prefix(e, "EASER: l2_norm=%s is too small: ", text);
        return false;
    }
    double wrong = 100 * residual(m, w, v, pv, by_user);
    return (finish(w->g, I, v) && wrong < LARGEST_RESIDUAL) ||
           fail(e, SP_FORMAT, "EASER: the inverse is wrong by %.3g %% in float32; set a larger l2_norm than %s", wrong,
                text);
}

static bool init(Model *m, Error *e)
{
    const EaserSettings *s = m->settings;
    Easer *x = new_weights(m, e);
    if (!x)
        return false;
    x->rating = s->implicit ? NULL : m->data->train.rating;
    Work w = {.users = train_rows(m, x->rating), .l2_norm = s->l2_norm, .g = x->b};
    Arena *scratch = arena_new(arena_heap(m->arena), 0);
    bool ok = scratch ? solve(m, &w, scratch, e) && check_range(m, e) : fail_memory(e, 1, "EASER");
    arena_free(scratch);
    return ok;
}

/* ---- in a run's folder ----------------------------------------------------------------------- */

static const Array *arrays(const Model *m, size_t *count, Error *e)
{
    const Easer *x = m->own;
    int64_t I = m->data->I, pairs = m->data->train.count;
    Array *list = NEW(m->arena, Array, 2, e);
    if (!list)
        return NULL;
    list[0] = (Array){.name = text_of("weight"), .type = F32, .dims = 2, .shape = {I, I}, .count = I * I, .data = x->b};
    list[1] =
        (Array){.name = text_of("rating"), .type = F32, .dims = 1, .shape = {pairs}, .count = pairs, .data = x->rating};
    *count = x->rating ? 2 : 1;
    return list;
}

static bool restore(Model *m, const Weights *file, Error *e)
{
    int64_t I = m->data->I, pairs = m->data->train.count;
    const Array *b = weights_need(file, e, "weight", 2, I, I), *rating = weights_find(file, "rating");
    Easer *x = b ? new_weights(m, e) : NULL;
    float *ratings = rating && x ? NEW(m->arena, float, pairs, e) : NULL;
    if (!x || (rating && !ratings))
        return false;
    bool ok = b->type == F32 && (!rating || (rating->type == F32 && rating->count == pairs));
    if (ok)
        array_f32(b, 0, I * I, x->b);
    if (ok && rating)
        array_f32(rating, 0, pairs, ratings);
    for (int64_t k = 0; ok && rating && k < pairs; k++)
        ok = isfinite(ratings[k]);
    for (int64_t k = 0; ok && k < I * I; k++)
        ok = isfinite(x->b[k]);
    x->rating = ratings;
    return ok ? check_range(m, e)
              : fail(e, SP_FORMAT, "%s: its weights do not fit the items and train pairs; train again",
                     weights_path(file));
}

/* ---- scores ---------------------------------------------------------------------------------- */

typedef struct Scoring {
    const Easer *x;
    SparseRows ratings;
    const int32_t *ids; /* rows of ratings; NULL: 0, 1, ... */
    float *scores;
    double *sum; /* [workers, I] */
} Scoring;

static void score_user(void *arg, size_t task, int worker)
{
    const Scoring *s = arg;
    const SparseRows *r = &s->ratings;
    int64_t I = r->cols, u = s->ids ? s->ids[task] : (int64_t)task;
    double *sum = s->sum + worker * I;
    memset(sum, 0, sizeof *sum * (size_t)I);
    for (int64_t k = r->start[u]; k < r->start[u + 1]; k++) {
        const float *row = s->x->b + r->col[k] * I;
        double rating = r->value ? (double)r->value[k] : 1;
        for (int64_t i = 0; i < I; i++)
            sum[i] += rating * (double)row[i];
    }
    for (int64_t i = 0; i < I; i++)
        s->scores[(int64_t)task * I + i] = (float)sum[i];
}

static bool score_rows(const Model *m, SparseRows ratings, const int32_t *ids, int64_t n, float *scores, Error *e)
{
    const Device *d = model_device(m);
    size_t bytes = sizeof(double) * (size_t)pool_threads(d->pool) * (size_t)m->data->I;
    Scoring s = {m->own, ratings, ids, scores, heap_alloc(d->heap, bytes)};
    if (!s.sum)
        return fail_memory(e, bytes, "EASER's scores");
    pool_run(d->pool, (size_t)n, score_user, &s);
    heap_free(d->heap, s.sum, bytes);
    return true;
}

static bool score(Model *m, const int32_t *ids, int64_t n, float *scores, Error *e)
{
    const Easer *x = m->own;
    return score_rows(m, train_rows(m, x->rating), ids, n, scores, e);
}

static bool score_new(const Model *m, const Pairs *liked, int64_t n, float *scores, Error *e)
{
    const Easer *x = m->own;
    SparseRows rows = {n, m->data->I, liked->start, liked->item, x->rating ? liked->rating : NULL};
    return score_rows(m, rows, NULL, n, scores, e);
}

const Recommender recommender_easer = {
    .name = "EASER",
    .alias = "EASE",
    .paper = "Embarrassingly Shallow Autoencoders for Sparse Data (Steck, WWW 2019)",
    .settings = settings,
    .settings_size = sizeof(EaserSettings),
    .sampling = sampling_none,
    .init = init,
    .score = score,
    .score_new = score_new,
    .arrays = arrays,
    .restore = restore,
};
