/* recsys/data/nearest.c: finds the rows of a matrix that are nearest to queries, by cosine or dot product. Products are
 * summed in float64, in an order that depends only on their length: a query has the same result in any batch.
 *
 * Many queries: a product in float32, in tiles of rows, finds more rows than requested. These are compared in float64.
 * The error of a float32 product of rows of length 1 is at most `eps`. The list of a query is therefore correct if its
 * last row is better than any other row can be. If this cannot be shown, for example among equal rows, the query is
 * compared with all rows in float64.
 *
 * Letters: N rows of D numbers, n queries, k rows per list, q a query, r a row, c one of the D numbers. */
// flags: -O3
#include "recsys/data/data.h"

#include <math.h>
#include <stdlib.h>

/* ROWS_A_TASK: rows per task of the pool. LANES: partial sums of a dot product. BATCH_SCORES, BATCH_QUERIES: largest
 * numbers of scores and of queries in a batch. */
enum { ROWS_A_TASK = 256, LANES = 8, BATCH_SCORES = 1 << 22, BATCH_QUERIES = 256 };
/* the comparison of a batch of queries with all rows in float64 */
typedef struct Comparison {
    const NearestRows *request;
    int64_t n;            /* number of queries in this batch */
    const double *query;  /* [n, D] */
    const double *length; /* [n] lengths of the queries */
    float *score;         /* [n, N] */
    float *row;           /* [workers, D] */
    double *wide;         /* [workers, D] the same row in double */
    int64_t *bad, *zeros; /* [workers] 1 + the first row that is not finite, 0: none; number of rows of zeros */
} Comparison;

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

/* Returns the similarity of a row and a query with these lengths. With cosines, a row or a query of zeros gives
 * -infinity, which is never listed. */
static float similarity_of(bool by_dot, double product, double length, double query_length)
{
    if (by_dot)
        return (float)product;
    return length > 0 && query_length > 0 ? (float)(product / (length * query_length)) : -INFINITY;
}

/* A task of the pool: computes the scores of up to ROWS_A_TASK rows for all queries of the batch. */
static void compare_rows(void *arg, size_t task, int worker)
{
    const Comparison *l = arg;
    const Array *x = l->request->rows;
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
            l->score[q * N + r] = similarity_of(l->request->dot, product, length, l->length[q]);
        }
    }
}

/* Converts queries to float64, and computes their lengths. */
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

static bool cancelled(const NearestRows *x, int64_t done, Error *e)
{
    return fail(e, SP_CANCELLED, "cancelled after %lld of %lld queries", (long long)done, (long long)x->n);
}

/* Reports progress: `done` queries are done. Returns false with an error if the caller cancels. */
static bool report(const NearestRows *x, int64_t done, Error *e)
{
    return !x->progress || x->progress(x->user, (size_t)done, (size_t)x->n) || cancelled(x, done, e);
}

/* Combines the results of the workers in x->bad and x->zeros: bad, zeros [workers] as in Comparison. */
static void join_workers(NearestRows *x, int workers, const int64_t *bad, const int64_t *zeros)
{
    x->zeros = 0;
    for (int w = 0; w < workers; w++) {
        x->bad = bad[w] && (!x->bad || bad[w] < x->bad) ? bad[w] : x->bad;
        x->zeros += zeros[w];
    }
}

/* Compares all queries with all rows in float64, in batches. `a` is scratch. */
static bool compare(NearestRows *x, const Device *d, Arena *a, Error *e)
{
    int64_t N = x->rows->shape[0], D = x->rows->shape[1];
    int64_t block = MIN(MIN(MAX(BATCH_SCORES / N, (int64_t)1), (int64_t)BATCH_QUERIES), x->n);
    int workers = pool_threads(d->pool);
    double *query = arena_alloc(a, (size_t)block, (size_t)D * sizeof *query, e);
    double *length = NEW(a, double, block, e);
    Comparison l = {.request = x, .query = query, .length = length};
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
        join_workers(x, workers, l.bad, l.zeros);
        if (x->bad)
            return fail(e, SP_FORMAT, "row %lld contains a number that is not finite", (long long)x->bad - 1);
        if (!rank_scores(d, N, l.score, NULL, l.n, x->k, l.n, x->start ? x->start + first : NULL, x->left_out,
                         x->ids + first * x->k, x->similarity ? x->similarity + first * x->k : NULL, e) ||
            !report(x, first + l.n, e))
            return false;
    }
    return true;
}

#ifndef SAPOR_MINIMAL

/* ---- many queries ---------------------------------------------------------------------------- */

/* float32 products are used for at least MIN_QUERIES queries, k of at most MAX_K, and rows of at most MAX_D numbers. A
 * float32 list is the list of a query that these products give. It has EXTRA_ROWS more rows than the caller's k. */
enum { MIN_QUERIES = 32, MAX_K = 1000, EXTRA_ROWS = 32, MAX_D = 1 << 16 };
/* A tile of rows has at most TILE_FLOATS floats, or ROWS_A_TASK rows if these are more. A batch of queries has at most
 * QUERY_FLOATS floats, or MIN_QUERIES queries if these are more, and at most MAX_QUERIES queries. */
enum { TILE_FLOATS = 1 << 22, QUERY_FLOATS = 1 << 21, MAX_QUERIES = 1024 };
/* If fewer than MAX_GAP sure queries are between two unsure ones, the two unsure queries and the sure queries between
 * them are compared again as one group. This costs less than reading the rows once more. */
enum { MAX_GAP = 16 };

typedef struct Near {
    float value;
    int32_t id;
} Near;

/* the float32 search of a batch of queries */
typedef struct Search32 {
    const NearestRows *request;
    int64_t k, n, first;    /* rows per float32 list; number of queries in the batch; the first of them */
    int64_t row, rows;      /* first row and number of rows of the tile */
    double eps;             /* bound for the error of a float32 product */
    double *longest;        /* [workers] length of the longest row; at the end [0] is that of all rows */
    double *query, *length; /* [n, D], [n] the queries in float64, and their lengths */
    float *unit, *tile;     /* [n, D] queries scaled to length 1; [rows, D] the tile, as scale_rows makes it */
    /* [n, k] values of the float32 lists, best first: of the tiles so far, and of this tile */
    float *value, *new_value;
    int32_t *id, *new_id; /* [n, k] rows of these lists, from 0 in the matrix and in the tile; -1 after the last */
    /* [n + 1] query q leaves out left_out[start[q]] to left_out[start[q + 1] - 1], which are row numbers in the tile */
    int64_t *start;
    int32_t *left_out;
    /* [n] for each query: the index in request->left_out of its first left-out row that comes after the tiles so far */
    int64_t *at;
    Near *near;           /* [workers, k] scratch of choose */
    bool *sure;           /* [n] the query's list is certainly correct */
    float *row_f32;       /* [workers, D] */
    double *wide;         /* [workers, D] */
    int64_t *bad, *zeros; /* [workers] 1 + the first row that is not finite; number of rows of zeros */
} Search32;

/* Returns row r in float64, in the worker's scratch. */
static const double *row_of(const Search32 *m, int64_t r, int worker)
{
    int64_t D = m->request->rows->shape[1];
    float *row = m->row_f32 + worker * D;
    double *wide = m->wide + worker * D;
    array_f32(m->request->rows, r * D, D, row);
    for (int64_t c = 0; c < D; c++)
        wide[c] = row[c];
    return wide;
}

/* Finds the longest row, the rows of zeros, and the first row that is not finite. */
static void measure_rows(void *arg, size_t task, int worker)
{
    Search32 *m = arg;
    int64_t N = m->request->rows->shape[0], D = m->request->rows->shape[1], first = (int64_t)task * ROWS_A_TASK;
    for (int64_t r = first; r < MIN(first + ROWS_A_TASK, N); r++) {
        const double *row = row_of(m, r, worker);
        double square = dot(row, row, D);
        if (!isfinite(square) && (!m->bad[worker] || r < m->bad[worker] - 1))
            m->bad[worker] = r + 1;
        m->zeros[worker] += square == 0;
        m->longest[worker] = fmax(m->longest[worker], sqrt(square));
    }
}

/* Scales the rows of the tile: to length 1, or, for dot products, relative to the longest row. */
static void scale_rows(void *arg, size_t task, int worker)
{
    const Search32 *m = arg;
    int64_t D = m->request->rows->shape[1], first = (int64_t)task * ROWS_A_TASK;
    for (int64_t r = first; r < MIN(first + ROWS_A_TASK, m->rows); r++) {
        const double *row = row_of(m, m->row + r, worker);
        double scale = m->request->dot ? *m->longest : sqrt(dot(row, row, D));
        for (int64_t c = 0; c < D; c++)
            m->tile[r * D + c] = scale > 0 ? (float)(row[c] / scale) : 0;
    }
}

/* Lists, for each query, the left-out rows that are in this tile. A row is given by its position in the tile. */
static void leave_out(Search32 *m)
{
    const NearestRows *x = m->request;
    for (int64_t q = 0, n = 0; q < m->n; q++) {
        int64_t end = x->start[m->first + q + 1];
        for (; m->at[q] < end && x->left_out[m->at[q]] < m->row + m->rows; m->at[q]++)
            m->left_out[n++] = (int32_t)(x->left_out[m->at[q]] - m->row);
        m->start[q + 1] = n;
    }
}

/* A task of the pool, one query: merges the tile's list into the list so far. Equal values keep the order of rows. */
static void merge_lists(void *arg, size_t task, int worker)
{
    (void)worker;
    const Search32 *m = arg;
    int64_t q = (int64_t)task, k = m->k, old = k, fresh = 0, total = 0;
    float *value = m->value + q * k, *new_value = m->new_value + q * k;
    int32_t *id = m->id + q * k, *new_id = m->new_id + q * k;
    while (old > 0 && id[old - 1] < 0)
        old--;
    while (fresh < k && new_id[fresh] >= 0)
        fresh++;
    /* how many rows of each list are kept */
    int64_t a = 0, b = 0;
    for (; total < k && (a < old || b < fresh); total++)
        *(b == fresh || (a < old && value[a] >= new_value[b]) ? &a : &b) += 1;
    while (total-- > 0) {
        bool from_old = b == 0 || (a > 0 && value[a - 1] < new_value[b - 1]);
        value[total] = from_old ? value[a - 1] : new_value[b - 1];
        id[total] = from_old ? id[a - 1] : new_id[b - 1] + (int32_t)m->row;
        a -= from_old;
        b -= !from_old;
    }
}

static int best_first(const void *a, const void *b)
{
    const Near *x = a, *y = b;
    return x->value != y->value ? (x->value < y->value) - (x->value > y->value) : (x->id > y->id) - (x->id < y->id);
}

/* A task of the pool, one query: ranks the rows of its list again, by products in float64. Writes the best k rows to
 * the result. Sets sure[q] to true if no row outside of the list can be better than these. */
static void choose(void *arg, size_t task, int worker)
{
    Search32 *m = arg;
    const NearestRows *x = m->request;
    int64_t q = (int64_t)task, D = x->rows->shape[1], at = m->first + q, n = 0, listed = 0;
    Near *near = m->near + worker * m->k;
    for (; listed < m->k && m->id[q * m->k + listed] >= 0; listed++) {
        int32_t r = m->id[q * m->k + listed];
        const double *row = row_of(m, r, worker);
        double product = dot(row, m->query + q * D, D);
        near[n] = (Near){similarity_of(x->dot, product, sqrt(dot(row, row, D)), m->length[q]), r};
        n += near[n].value > -INFINITY;
    }
    qsort(near, (size_t)n, sizeof *near, best_first);
    /* upper bound for all rows outside of the list */
    double most = listed ? (double)m->value[q * m->k + listed - 1] + m->eps : 0;
    if (x->dot)
        most *= m->length[q] * *m->longest;
    m->sure[q] = listed < m->k || (n >= x->k && near[x->k - 1].value > (float)most);
    for (int64_t i = 0; i < x->k; i++) {
        x->ids[at * x->k + i] = i < n ? near[i].id : -1;
        if (x->similarity)
            x->similarity[at * x->k + i] = i < n ? near[i].value : -INFINITY;
    }
}

static bool search32_new(Search32 *m, int workers, Arena *a, Error *e)
{
    const NearestRows *x = m->request;
    int64_t N = x->rows->shape[0], D = x->rows->shape[1], n = MIN(MAX(QUERY_FLOATS / D, (int64_t)MIN_QUERIES), x->n);
    m->k = x->k + EXTRA_ROWS;
    m->n = n = MIN(n, (int64_t)MAX_QUERIES);
    m->rows = MIN(MAX(TILE_FLOATS / D, (int64_t)ROWS_A_TASK), N);
    m->eps = ((double)D + 16) * 0x1p-24;
    int64_t left_out = 0;
    for (int64_t first = 0; x->start && first < x->n; first += n)
        left_out = MAX(left_out, x->start[MIN(first + n, x->n)] - x->start[first]);
    return (m->query = arena_alloc(a, (size_t)n, (size_t)D * sizeof *m->query, e)) &&
           (m->unit = arena_alloc(a, (size_t)n, (size_t)D * sizeof *m->unit, e)) &&
           (m->tile = arena_alloc(a, (size_t)m->rows, (size_t)D * sizeof *m->tile, e)) &&
           (m->row_f32 = arena_alloc(a, (size_t)workers, (size_t)D * sizeof *m->row_f32, e)) &&
           (m->wide = arena_alloc(a, (size_t)workers, (size_t)D * sizeof *m->wide, e)) &&
           (m->length = NEW(a, double, n, e)) && (m->value = NEW(a, float, n * m->k, e)) &&
           (m->new_value = NEW(a, float, n * m->k, e)) && (m->id = NEW(a, int32_t, n * m->k, e)) &&
           (m->new_id = NEW(a, int32_t, n * m->k, e)) && (m->start = NEW(a, int64_t, n + 1, e)) &&
           (m->at = NEW(a, int64_t, n, e)) && (m->left_out = NEW(a, int32_t, left_out, e)) &&
           (m->near = NEW(a, Near, workers * m->k, e)) && (m->sure = NEW(a, bool, n, e)) &&
           (m->bad = NEW(a, int64_t, workers, e)) && (m->zeros = NEW(a, int64_t, workers, e)) &&
           (m->longest = NEW(a, double, workers, e));
}

/* Computes the lists of m->n queries in float32. */
static bool list_rows(Search32 *m, const Device *d, Error *e)
{
    const NearestRows *x = m->request;
    int64_t N = x->rows->shape[0], D = x->rows->shape[1], rows = m->rows;
    memset(m->id, 0xff, (size_t)(m->n * m->k) * sizeof *m->id); /* -1 */
    for (int64_t q = 0; q < m->n; q++) {
        for (int64_t c = 0; c < D; c++)
            m->unit[q * D + c] = m->length[q] > 0 ? (float)(m->query[q * D + c] / m->length[q]) : 0;
        m->at[q] = x->start ? x->start[m->first + q] : 0;
    }
    bool ok = true;
    for (m->row = 0; ok && m->row < N; m->row += rows) {
        m->rows = MIN(rows, N - m->row);
        const Array table = {
            .name = TEXT(""), .type = F32, .dims = 2, .shape = {m->rows, D}, .count = m->rows * D, .data = m->tile};
        pool_run(d->pool, (size_t)div_up(m->rows, ROWS_A_TASK), scale_rows, m);
        if (x->start)
            leave_out(m);
        Store *s = store_new(d, e);
        Tensor *tile = s ? store_array(s, &table, e) : NULL;
        ok = tile && rank_rows(d, m->unit, tile, m->n, m->k, x->start ? m->start : NULL, m->left_out, m->new_id,
                               m->new_value, e);
        store_free(s);
        if (ok)
            pool_run(d->pool, (size_t)m->n, merge_lists, m);
        ok = ok && report(x, m->first, e);
    }
    m->rows = rows;
    return ok;
}

/* The progress function of `compare` for a group: reports the queries of the earlier batches only. user: a Search32. */
static bool report_batches(void *user, size_t done, size_t n)
{
    const Search32 *m = user;
    (void)done, (void)n;
    return m->request->progress(m->request->user, (size_t)m->first, (size_t)m->request->n);
}

/* Compares the queries whose lists are not certainly correct with all rows, in float64 and in groups. */
static bool compare_unsure(Search32 *m, const Device *d, Arena *a, Error *e)
{
    const NearestRows *x = m->request;
    bool ok = true;
    for (int64_t q = 0, end, last; ok && q < m->n; q = end) {
        for (last = q, end = q + 1; end < m->n && !m->sure[q] && end - last <= MAX_GAP; end++)
            last = m->sure[end] ? last : end;
        if (m->sure[q])
            continue;
        NearestRows part = *x;
        int64_t at = m->first + q;
        part.queries += at * x->rows->shape[1];
        part.n = last + 1 - q;
        part.start = x->start ? x->start + at : NULL;
        part.ids += at * x->k;
        part.similarity = x->similarity ? x->similarity + at * x->k : NULL;
        part.progress = x->progress ? report_batches : NULL;
        part.user = m;
        ArenaMark mark = arena_mark(a);
        ok = compare(&part, d, a, e);
        arena_rewind(a, mark);
    }
    if (!ok && e->code == SP_CANCELLED) { /* the message has the numbers of the group, not those of the request */
        error_clear(e);
        cancelled(x, m->first, e);
    }
    return ok;
}

/* Finds the nearest rows with float32 products, as the top of this file describes. */
static bool compare_float32(NearestRows *x, const Device *d, Arena *a, Error *e)
{
    Search32 m = {.request = x};
    int workers = pool_threads(d->pool);
    if (!search32_new(&m, workers, a, e))
        return false;
    int64_t most = m.n;
    pool_run(d->pool, (size_t)div_up(x->rows->shape[0], ROWS_A_TASK), measure_rows, &m);
    join_workers(x, workers, m.bad, m.zeros);
    for (int w = 1; w < workers; w++)
        *m.longest = fmax(*m.longest, m.longest[w]);
    for (; m.first < x->n; m.first += most) {
        m.n = MIN(most, x->n - m.first);
        if (!widen(x, m.first, m.n, m.query, m.length, e))
            return false;
        if (x->bad)
            return fail(e, SP_FORMAT, "row %lld contains a number that is not finite", (long long)x->bad - 1);
        if (!list_rows(&m, d, e))
            return false;
        pool_run(d->pool, (size_t)m.n, choose, &m);
        if (!compare_unsure(&m, d, a, e) || !report(x, m.first + m.n, e))
            return false;
    }
    return true;
}

/* Reports whether compare_float32 is used. It is used if there are at least MIN_QUERIES queries, k and the length of a
 * row are within their limits, and the matrix has more than four times as many rows as a float32 list. */
static bool use_float32(const NearestRows *x)
{
    return x->n >= MIN_QUERIES && x->k <= MAX_K && x->rows->shape[0] > 4 * (x->k + EXTRA_ROWS) &&
           x->rows->shape[1] <= MAX_D;
}

#endif

static bool compare_all(NearestRows *x, const Device *d, Arena *a, Error *e)
{
#ifndef SAPOR_MINIMAL
    if (use_float32(x))
        return compare_float32(x, d, a, e);
#endif
    return compare(x, d, a, e);
}

bool rows_nearest(NearestRows *x, const Device *d, Error *e)
{
    if (x->rows->shape[0] > INT32_MAX)
        return fail(e, SP_UNSUPPORTED, "more than %d rows", INT32_MAX);
    x->zeros = x->bad = 0;
    Arena *a = arena_new(d->heap, 0);
    bool ok = a ? compare_all(x, d, a, e) : fail_memory(e, (size_t)x->rows->shape[0], "comparing rows");
    arena_free(a);
    return ok;
}
