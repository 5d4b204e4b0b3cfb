/* recsys/data/nearest.c: the rows of a matrix that are nearest to queries, by cosine or dot product. Products are
 * summed in float64, in an order that depends on their length alone: a query has the same rows in any batch. */
// flags: -O3
#include "recsys/data/data.h"

#include <math.h>

enum { ROWS_A_TASK = 256, LANES = 8, SCORES_AT_ONCE = 1 << 22, QUERIES_AT_ONCE = 256 };
typedef struct Likeness {
    const NearestRows *of;
    int64_t n;            /* queries at once */
    const double *query;  /* [n, D] */
    const double *length; /* [n] of the queries */
    float *score;         /* [n, N] */
    float *row;           /* [workers, D] */
    double *wide;         /* [workers, D] the same row */
    int64_t *bad, *zeros; /* by worker: the first row that is not finite + 1; rows of zeros */
} Likeness;

static double dot(const double *a, const double *b, int64_t n)
{
    double sum[LANES] = {0}, rest = 0;
    int64_t c = 0;
    for (; c + LANES <= n; c += LANES)
        for (int l = 0; l < LANES; l++)
            sum[l] += a[c + l] * b[c + l];
    for (; c < n; c++)
        rest += a[c] * b[c];
    for (int l = 0; l < LANES; l++)
        rest += sum[l];
    return rest;
}

static void compare_rows(void *arg, size_t task, int worker)
{
    const Likeness *l = arg;
    const Array *x = l->of->rows;
    int64_t N = x->shape[0], D = x->shape[1], first = (int64_t)task * ROWS_A_TASK, end = MIN(first + ROWS_A_TASK, N);
    float *row = l->row + worker * D;
    double *wide = l->wide + worker * D;
    for (int64_t r = first; r < end; r++) {
        array_f32(x, r * D, D, row);
        for (int64_t c = 0; c < D; c++)
            wide[c] = row[c];
        double square = dot(wide, wide, D), length = sqrt(square);
        if (!isfinite(square) && (!l->bad[worker] || r < l->bad[worker] - 1))
            l->bad[worker] = r + 1;
        l->zeros[worker] += square == 0;
        for (int64_t q = 0; q < l->n; q++) {
            double product = dot(wide, l->query + q * D, D);
            if (!l->of->dot) /* no cosine is never listed */
                product = square > 0 && l->length[q] > 0 ? product / (length * l->length[q]) : -INFINITY;
            l->score[q * N + r] = (float)product;
        }
    }
}

/* Queries as float64, and their lengths. */
static bool widen(const NearestRows *x, int64_t first, int64_t n, double *query, double *length, Error *e)
{
    int64_t D = x->rows->shape[1];
    for (int64_t q = 0; q < n; q++) {
        const float *from = x->queries + (first + q) * D;
        for (int64_t c = 0; c < D; c++)
            query[q * D + c] = from[c];
        length[q] = sqrt(dot(query + q * D, query + q * D, D));
        if (!isfinite(length[q]))
            return fail(e, SP_FORMAT, "query %lld holds a number that is not finite", (long long)(first + q));
    }
    return true;
}

static bool compare(NearestRows *x, const Device *d, Arena *a, Error *e)
{
    int64_t N = x->rows->shape[0], D = x->rows->shape[1];
    int64_t block = MIN(MIN(MAX(SCORES_AT_ONCE / N, (int64_t)1), (int64_t)QUERIES_AT_ONCE), x->n);
    int workers = pool_threads(d->pool);
    double *query = arena_alloc(a, (size_t)block, (size_t)D * sizeof *query, e);
    double *length = NEW(a, double, block, e);
    Likeness l = {.of = x, .query = query, .length = length};
    if (!query || !length || !(l.score = arena_alloc(a, (size_t)block, (size_t)N * sizeof(float), e)) ||
        !(l.row = arena_alloc(a, (size_t)workers, (size_t)D * sizeof(float), e)) ||
        !(l.wide = arena_alloc(a, (size_t)workers, (size_t)D * sizeof(double), e)) ||
        !(l.bad = NEW(a, int64_t, workers, e)) || !(l.zeros = NEW(a, int64_t, workers, e)))
        return false;
    for (int64_t first = 0; first < x->n; first += block) {
        l.n = MIN(block, x->n - first);
        memset(l.zeros, 0, sizeof *l.zeros * (size_t)workers);
        if (!widen(x, first, l.n, query, length, e))
            return false;
        pool_run(d->pool, (size_t)div_up(N, ROWS_A_TASK), compare_rows, &l);
        x->zeros = 0;
        for (int w = 0; w < workers; w++) {
            x->bad = l.bad[w] && (!x->bad || l.bad[w] < x->bad) ? l.bad[w] : x->bad;
            x->zeros += l.zeros[w];
        }
        if (x->bad)
            return fail(e, SP_FORMAT, "row %lld contains a number that is not finite", (long long)x->bad - 1);
        if (!rank_scores(d, N, l.score, NULL, l.n, x->k, l.n, x->start ? x->start + first : NULL, x->left_out,
                         x->ids + first * x->k, x->similarity ? x->similarity + first * x->k : NULL, e) ||
            (x->progress && !x->progress(x->user, (size_t)(first + l.n), (size_t)x->n) &&
             !fail(e, SP_CANCELLED, "cancelled after %lld of %lld queries", (long long)(first + l.n), (long long)x->n)))
            return false;
    }
    return true;
}

bool rows_nearest(NearestRows *x, const Device *d, Error *e)
{
    if (x->rows->shape[0] > INT32_MAX)
        return fail(e, SP_UNSUPPORTED, "more than %d rows", INT32_MAX);
    x->zeros = x->bad = 0;
    Arena *a = arena_new(d->heap, 0);
    bool ok = a ? compare(x, d, a, e) : fail_memory(e, (size_t)x->rows->shape[0], "comparing rows");
    arena_free(a);
    return ok;
}
