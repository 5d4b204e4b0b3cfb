/* recsys/models/easer.c: EASE^R: Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data", as Elliot computes
 * it (recipes.md 7.22).
 *
 *     G = R' R with its diagonal replaced,  P = G^-1,  B_ij = -P_ij / P_jj and B_jj = 0,  scores = R B
 *
 * The diagonal G_jj is n_j + l2_norm, where n_j is the number of ratings of item j. In the paper it is (R' R)_jj +
 * l2_norm, and all numbers of R are 0 or 1: then (R' R)_jj is n_j. Elliot uses n_j even if ratings have other values.
 *
 * B [I, I] is the only dense matrix of items by items: 4 I^2 bytes. G, P and B use the same memory, one after the
 * other. */
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
    const float *rating; /* [pairs] rating of each train pair; NULL: all are 1 */
} Easer;
static const Setting settings[] = {
    F64_ALSO(EaserSettings, l2_norm, "1000.0", "1000.0", "number added to the diagonal of the item-item matrix", 0,
             FLT_MAX, SAME_AS("reg_weight"),
             NOT_HERE("neighborhood", "Elliot reads it and does not use it: leave it out")),
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

/* Computes one row of G. The sum is in the order of users. */
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

/* ---- refinement ------------------------------------------------------------------------------ */

/* In float32, P is inaccurate if G has eigenvalues near 0. A Newton step improves its columns: P_j + P (e_j - G P_j).
 * The difference is computed in double precision. A product with G is computed as a product with R, then with R', and a
 * correction of the diagonal. Each step roughly squares the relative error. Random vectors of +1 and -1 show which
 * columns need a step (`estimate`). */
enum { LANES = 16, COLUMNS = 256, ROWS_PER_TASK = 64, ROUNDS = 4 };

typedef struct Refinement {
    const Work *w;
    double (*x)[LANES];       /* [I] the vectors that P or G is multiplied by */
    double (*by_user)[LANES]; /* [U]: R x */
    double (*y)[LANES];       /* [I]: the product */
    double (*z)[LANES];       /* [I]: P' v */
    double *size, *wrong;     /* [I] lengths of the columns of P, and estimates of their errors */
    int32_t *column;          /* [I]: columns to refine */
    float *rest, *step;       /* [I, COLUMNS] e_j - G P_j for some columns j; P times this */
    int64_t count, first;     /* number of columns to refine; the first one in `rest` */
} Refinement;

/* Computes by_user = R x. */
static void times_r(void *arg, size_t task, int worker)
{
    (void)worker;
    const Refinement *f = arg;
    const SparseRows *r = &f->w->users;
    int64_t first = (int64_t)task * ROWS_PER_TASK, end = MIN(first + ROWS_PER_TASK, r->rows);
    for (int64_t u = first; u < end; u++) {
        double sum[LANES] = {0};
        for (int64_t k = r->start[u]; k < r->start[u + 1]; k++) {
            double rating = r->value ? (double)r->value[k] : 1;
            const double *x = f->x[r->col[k]];
            for (int c = 0; c < LANES; c++)
                sum[c] += rating * x[c];
        }
        memcpy(f->by_user[u], sum, sizeof sum);
    }
}

/* Computes y = R' by_user + E x = G x. E is the diagonal of G minus the diagonal of R' R. */
static void times_r_transposed(void *arg, size_t task, int worker)
{
    (void)worker;
    const Refinement *f = arg;
    const SparseRows *x = &f->w->items;
    int64_t first = (int64_t)task * ROWS_PER_TASK, end = MIN(first + ROWS_PER_TASK, x->rows);
    for (int64_t i = first; i < end; i++) {
        double sum[LANES] = {0}, extra = (double)(x->start[i + 1] - x->start[i]) + f->w->l2_norm;
        for (int64_t k = x->start[i]; k < x->start[i + 1]; k++) {
            double rating = x->value ? (double)x->value[k] : 1;
            const double *y = f->by_user[x->col[k]];
            extra -= rating * rating; /* at the end: E_ii */
            for (int c = 0; c < LANES; c++)
                sum[c] += rating * y[c];
        }
        for (int c = 0; c < LANES; c++)
            f->y[i][c] = sum[c] + extra * f->x[i][c];
    }
}

static size_t tasks_of(int64_t rows)
{
    return (size_t)div_up(rows, ROWS_PER_TASK);
}

/* Computes y = G x. */
static void times_g(Refinement *f, Pool *p)
{
    pool_run(p, tasks_of(f->w->users.rows), times_r, f);
    pool_run(p, tasks_of(f->w->items.rows), times_r_transposed, f);
}

/* Computes y = P' x, and the lengths of the columns of P. f->w->g holds P here. */
static void times_p(void *arg, size_t task, int worker)
{
    (void)worker;
    const Refinement *f = arg;
    int64_t I = f->w->items.rows, first = (int64_t)task * ROWS_PER_TASK, n = MIN(I - first, (int64_t)ROWS_PER_TASK);
    double square[ROWS_PER_TASK] = {0};
    memset(f->y[first], 0, sizeof *f->y * (size_t)n);
    for (int64_t i = 0; i < I; i++)
        for (int64_t j = 0; j < n; j++) {
            double p = (double)f->w->g[i * I + first + j], *y = f->y[first + j];
            square[j] += p * p;
            for (int c = 0; c < LANES; c++)
                y[c] += p * f->x[i][c];
        }
    for (int64_t j = 0; j < n; j++)
        f->size[first + j] = sqrt(square[j]);
}

/* Estimates the error of each column of P from LANES random vectors v of +1 and -1. For each of them:
 *
 *   z = P' v,  d = z - P' G z
 *
 * The error of column j is the root mean square of d_j over these vectors. This estimates the length of the Newton step
 * of column j. *whole: the length of all d together, divided by the length of all z together. */
static bool estimate(Refinement *f, const Model *m, double *whole, Error *e)
{
    const Draw d = {m->seed, DRAW_NOISE, 0};
    int64_t I = f->w->items.rows;
    double all = 0, wrong = 0;
    for (int64_t i = 0; i < I; i++)
        for (int64_t c = 0; c < LANES; c++)
            f->x[i][c] = draw_uniform(d, (uint64_t)(i * LANES + c)) < 0.5f ? -1 : 1;
    if (!model_tasks(m, tasks_of(I), times_p, f, 2 * I, 2 * I, e))
        return false;
    memcpy(f->z, f->y, sizeof *f->z * (size_t)I);
    memcpy(f->x, f->y, sizeof *f->x * (size_t)I);
    times_g(f, store_device(m->store)->pool);
    memcpy(f->x, f->y, sizeof *f->x * (size_t)I);
    if (!model_tasks(m, tasks_of(I), times_p, f, 2 * I, 2 * I, e))
        return false;
    for (int64_t j = 0; j < I; j++) {
        double sum = 0;
        for (int c = 0; c < LANES; c++) {
            double difference = f->z[j][c] - f->y[j][c];
            sum += difference * difference;
            all += f->z[j][c] * f->z[j][c];
        }
        wrong += sum;
        f->wrong[j] = sqrt(sum / LANES);
    }
    *whole = sqrt(wrong / all);
    return true;
}

/* Computes e_j - G P_j for up to LANES of the n columns of f->rest, from column `lane` on. f->w->g holds P here.
 * times_g multiplies by G. */
static void find_rest(Refinement *f, Pool *p, int64_t n, int64_t lane)
{
    int64_t I = f->w->items.rows;
    const int32_t *column = f->column + f->first + lane;
    int lanes = (int)MIN(n - lane, (int64_t)LANES);
    memset(f->x, 0, sizeof *f->x * (size_t)I);
    for (int64_t i = 0; i < I; i++)
        for (int c = 0; c < lanes; c++)
            f->x[i][c] = (double)f->w->g[i * I + column[c]];
    times_g(f, p);
    for (int64_t i = 0; i < I; i++)
        for (int c = 0; c < lanes; c++)
            f->rest[i * n + lane + c] = (float)((i == column[c]) - f->y[i][c]);
}

/* Computes f->step = P f->rest, [I, n]. */
static bool find_step(const Refinement *f, const Device *d, int64_t n, Error *e)
{
    int64_t I = f->w->items.rows;
    const Array whole = {.name = TEXT(""), .type = F32, .dims = 2, .shape = {I, I}, .count = I * I, .data = f->w->g};
    Store *s = store_new(d, e); /* if the device is the host, it uses the memory of P itself */
    Tensor *p = s ? store_array(s, &whole, e) : NULL;
    Tape *t = p ? tape_new(d, false, e) : NULL;
    bool ok = t != NULL;
    if (ok) {
        Tensor *step = matmul(t, p, false, input_f32(t, f->rest, 2, (int64_t[]){I, n}), false);
        if ((ok = tape_ok(t, e)))
            tensor_read(d, step, 0, I * n, f->step);
    }
    tape_free(t);
    store_free(s);
    return ok;
}

static bool refine_columns(Refinement *f, const Model *m, Error *e)
{
    const Device *d = store_device(m->store);
    int64_t I = f->w->items.rows;
    for (f->first = 0; f->first < f->count; f->first += COLUMNS) {
        int64_t n = MIN(f->count - f->first, (int64_t)COLUMNS);
        for (int64_t lane = 0; lane < n; lane += LANES)
            find_rest(f, d->pool, n, lane);
        if (!find_step(f, d, n, e))
            return false;
        for (int64_t i = 0; i < I; i++)
            for (int64_t c = 0; c < n; c++)
                f->w->g[i * I + f->column[f->first + c]] += f->step[i * n + c];
        if (!model_made(m, 2 * I, 2 * I, e))
            return false;
    }
    return true;
}

/* Converts P to B in place. Returns false if a number is not finite. */
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

/* Checks that scores fit float32: a score is a sum of ratings times weights. */
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

static const double LARGEST_RESIDUAL = 0.1;

/* A column is refined if its error is longer than ENOUGH times its number on the diagonal (by which B divides it), and
 * longer than ROUNDING times its length. */
static const double ENOUGH = 1e-6, ROUNDING = 1e-7;

/* Refines P. *wrong: the remaining relative error, |z - P' G z| / |z| with z = P' v. The v are the random vectors of +1
 * and -1 that `estimate` draws. */
static bool refine(const Model *m, const Work *w, double *wrong, Arena *scratch, Error *e)
{
    int64_t I = w->items.rows;
    Refinement f = {.w = w};
    f.x = arena_alloc(scratch, (size_t)I, sizeof *f.x, e);
    f.y = arena_alloc(scratch, (size_t)I, sizeof *f.y, e);
    f.z = arena_alloc(scratch, (size_t)I, sizeof *f.z, e);
    f.by_user = arena_alloc(scratch, (size_t)w->users.rows, sizeof *f.by_user, e);
    f.size = NEW(scratch, double, I, e);
    f.wrong = NEW(scratch, double, I, e);
    f.column = NEW(scratch, int32_t, I, e);
    f.rest = arena_alloc(scratch, (size_t)I, COLUMNS * sizeof *f.rest, e);
    f.step = arena_alloc(scratch, (size_t)I, COLUMNS * sizeof *f.step, e);
    if (e->code)
        return false;
    for (int round = 0;; round++) {
        if (!estimate(&f, m, wrong, e))
            return false;
        f.count = 0;
        for (int64_t j = 0; j < I; j++)
            if (f.wrong[j] > fmax(ENOUGH * fabs((double)w->g[j * I + j]), ROUNDING * f.size[j]))
                f.column[f.count++] = (int32_t)j;
        if (!f.count || round == ROUNDS || !isfinite(*wrong))
            return true;
        if (!refine_columns(&f, m, e))
            return false;
    }
}

/* Reports progress: half of the work is rows of G, half is columns of P. */
static bool columns_made(void *arg, int64_t columns, Error *e)
{
    const Model *m = arg;
    return model_made(m, m->data->I + columns, 2 * m->data->I, e);
}

/* Writes the error: the rating of the train pair `at` is too large. The numbers of G off the diagonal are sums of
 * products of ratings, but its diagonal has only the number of ratings, plus l2_norm. If the products are much larger
 * than the diagonal, G cannot be inverted in float32. */
static bool refuse_rating(const Model *m, int64_t at, Error *e)
{
    const DataSet *d = m->data;
    int64_t user = 0;
    while (d->train.start[user + 1] <= at)
        user++;
    Text u = text_index_at(d->users, user), i = text_index_at(d->items, d->train.item[at]);
    error_clear(e);
    return fail(e, SP_FORMAT,
                "EASER: the rating %g of user %.*s and item %.*s is too large: products of ratings outweigh l2_norm=%s "
                "in float32; scale the ratings, or set implicit=true",
                (double)d->train.rating[at], (int)MIN(u.n, (size_t)60), u.p, (int)MIN(i.n, (size_t)60), i.p,
                settings_text(m->settings, offsetof(EaserSettings, l2_norm)));
}

/* Writes the error: G has no inverse (see e), or the relative error of the inverse is `wrong`. */
static bool no_inverse(const Model *m, const float *rating, double wrong, Error *e)
{
    enum { LARGE = 1000 };
    int64_t at = 0;
    for (int64_t k = 1; rating && k < m->data->train.count; k++)
        at = fabsf(rating[k]) > fabsf(rating[at]) ? k : at;
    if (rating && fabsf(rating[at]) > LARGE)
        return refuse_rating(m, at, e);
    const char *text = settings_text(m->settings, offsetof(EaserSettings, l2_norm));
    if (e->code == SP_OK)
        return fail(e, SP_FORMAT, "EASER: the inverse is wrong by %.3g %% in float32; set a larger l2_norm than %s",
                    100 * wrong, text);
    error_prefix(e, "EASER: l2_norm=%s is too small: ", text);
    return false;
}

static bool solve(Model *m, Work *w, Arena *scratch, Error *e)
{
    const Device *d = store_device(m->store);
    int64_t I = m->data->I;
    w->sum = arena_alloc(scratch, (size_t)pool_threads(d->pool), (size_t)I * sizeof *w->sum, e);
    double *diagonal = NEW(scratch, double, I, e), wrong;
    if (!sparse_transpose(&w->items, &w->users, scratch, e) || !w->sum || !diagonal)
        return false;
    if (!model_tasks(m, (size_t)I, multiply_row, w, 0, 2 * I, e))
        return false;
    if (!invert_matrix(d, I, w->g, columns_made, m, e))
        return e->code == SP_FORMAT && no_inverse(m, w->users.value, 0, e);
    if (!refine(m, w, &wrong, scratch, e))
        return false;
    return (finish(w->g, I, diagonal) && wrong < LARGEST_RESIDUAL) || no_inverse(m, w->users.value, wrong, e);
}

static bool init(Model *m, Error *e)
{
    const EaserSettings *s = m->settings;
    Easer *x = new_weights(m, e);
    double items = (double)m->data->I;
    if (!x || !model_note(m, e, "the weights of %.0f x %.0f items take %.1f MB", items, items, items * items * 4 / 1e6))
        return false;
    x->rating = s->implicit ? NULL : m->data->train.rating;
    Work w = {.users = train_rows(m, x->rating), .l2_norm = s->l2_norm, .g = x->b};
    Arena *scratch = arena_new(arena_heap(m->arena), 0);
    bool ok = scratch ? solve(m, &w, scratch, e) && check_range(m, e) : fail_memory(e, 1, "EASER");
    arena_free(scratch);
    return ok;
}

/* ---- files of a run folder ------------------------------------------------------------------- */

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
    const int32_t *ids; /* rows of ratings; NULL: 0, 1, 2, ... */
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
