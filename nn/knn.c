/* nn/knn.c: the nearest rows of a matrix to each of its rows, by cosine. Either all rows are compared, or the rows that
 * an index selects.
 *
 * The index (Sivic and Zisserman 2003) divides the rows into lists by spherical k-means (Dhillon and Modha 2001),
 * trained on a sample. A row is compared with the rows of the lists whose centroids are nearest to it. A second sample
 * of rows decides how many lists are searched. For each row of this sample, the true nearest rows are found by
 * comparing it with all rows. The recall is the share of these true nearest rows that the index finds. A row is not
 * counted as its own nearest row. For data without clusters, more lists are searched, at worst all.
 *
 * The result of a row does not depend on threads or blocks: the samples are draws, products have the same bits in any
 * tile, and ties go to the lower row. */
#include <stdlib.h>

#include "nn/tape.h"

const char *const knn_searches[SEARCH_COUNT] = {"auto", "exact", "index"};

/* The speed in GFLOP/s that `auto` assumes: two cores with AVX2. It is not measured, because the same run must have the
 * same graph on any machine, with any number of threads. */
enum { ASSUMED_GFLOPS = 200, EXACT_SECONDS = 600 };

/* The largest k of the index. The index's kernel inserts rows into a sorted list of k rows, which is slow for larger k.
 */
enum { MOST_NEAREST = 1024 };

static bool exact_rows(Tape *t, const Tensor *z, int64_t k, int32_t *host)
{
    int64_t I = rows_of(z), D = cols_of(z);
    int32_t *ids = list_device(t, host);
    float *cosines = step_floats(t, I * k);
    if (!ids || !cosines || !tape_work(t, t->k->knn_work(&t->run, I, I, D, k)))
        return false;
    double begun = tape_clock(t, "knn");
    t->k->knn(&t->run, I, I, D, k, F32, z->data, z->data, ids, cosines);
    /* each pair is computed once */
    tape_trace(t, begun, "knn", (double)I * (double)(I + 1) * (double)D, 4.0 * (double)z->count);
    if (!t->host_memory)
        t->k->download(&t->run, host, ids, (size_t)(I * k) * sizeof *ids);
    step_release_floats(t, cosines, I * k);
    return true;
}

#ifndef SAPOR_MINIMAL

/* ---- memory ---------------------------------------------------------------------------------- */

/* Constants of the index:
 *
 * - PER_LIST rows of the sample per centroid in training;
 * - ROUNDS rounds of k-means;
 * - SAMPLE rows for measuring the recall;
 * - at least LIST_ROWS rows per list on average;
 * - BLOCK rows per search, or fewer (at least 256), so that rows times searched lists are at most BLOCK_PROBES;
 * - PIECES: at most this many pieces of device memory at a time. */
enum { PER_LIST = 64, ROUNDS = 8, SAMPLE = 1000, LIST_ROWS = 8, BLOCK = 8192, BLOCK_PROBES = 1 << 23, PIECES = 24 };
/* The number of searched lists is chosen so that they contain this share of the sample's nearest rows. AIM is above
 * KNN_RECALL, because the share in a sample is only an estimate. */
static const double AIM = KNN_RECALL + 0.01;

/* The index of z: I rows of length D in L lists. The k nearest rows of a row are searched in P lists. */
typedef struct Index {
    Tape *t;
    Arena *arena;   /* host memory */
    const float *z; /* [I, D] */
    int64_t I, D, k, L, P;
    uint64_t seed;
    float *centroid;  /* [L, D] */
    int32_t *list;    /* host [I]: the list of each row */
    int64_t *start;   /* host [L + 1] */
    int32_t *order;   /* host [I]: rows by list, in ascending order within a list */
    float *sorted;    /* device [I, D]: the rows in this order */
    int64_t *d_start; /* copies of start and order on the device */
    int32_t *d_order;
    Piece piece[PIECES]; /* device memory to free */
    int pieces;
} Index;

static void *device_take(Index *x, int64_t count, size_t size)
{
    size_t bytes;
    if (!size_mul((size_t)MAX(count, (int64_t)1), size, &bytes) || bytes > PTRDIFF_MAX) {
        tape_fail(x->t, SP_MEMORY, "an index of nearest rows does not fit in memory");
        return NULL;
    }
    void *p = step_alloc(x->t, bytes);
    if (p)
        x->piece[x->pieces++] = (Piece){p, bytes};
    return p;
}

static void device_give(Index *x, int mark)
{
    for (; x->pieces > mark; x->pieces--)
        step_release(x->t, x->piece[x->pieces - 1].p, x->piece[x->pieces - 1].bytes);
}

static void *host_take(Index *x, int64_t count, size_t size)
{
    return arena_alloc(x->arena, (size_t)MAX(count, (int64_t)1), size, &x->t->error);
}

static void upload(Index *x, void *device, const void *host, int64_t count, size_t size)
{
    x->t->k->upload(&x->t->run, device, host, (size_t)count * size);
}

static void download(Index *x, void *host, const void *device, int64_t count, size_t size)
{
    x->t->k->download(&x->t->run, host, device, (size_t)count * size);
}

/* ---- lists ----------------------------------------------------------------------------------- */

/* Draws n rows in ascending order. All rows are divided into n equal parts, and row i of the sample is drawn from part
 * i. If n does not divide I, neighbouring parts have a row in common, so a row may be drawn twice. *rows [n, D] is
 * device memory. Returns the numbers of the rows. `which` selects the random stream. */
static int32_t *sample(Index *x, int64_t n, uint32_t which, float **rows)
{
    int32_t *number = host_take(x, n, sizeof *number), *ids = device_take(x, n, sizeof *ids);
    *rows = device_take(x, n * x->D, sizeof **rows);
    if (!number || !ids || !*rows)
        return NULL;
    Draw d = {x->seed, DRAW_INDEX, which};
    for (int64_t i = 0; i < n; i++)
        number[i] = (int32_t)((i * x->I + draw_below(d, (uint64_t)i, (uint32_t)x->I)) / n);
    upload(x, ids, number, n, sizeof *ids);
    x->t->k->gather(&x->t->run, n, x->D, F32, x->z, ids, 0, *rows);
    return number;
}

/* Finds the k nearest rows in `of` [m, D] for each row of q [n, D]: ids and values [n, k]. */
static bool nearest(Index *x, int64_t n, const float *q, int64_t m, const float *of, int64_t k, int32_t *ids,
                    float *values)
{
    Tape *t = x->t;
    if (!tape_work(t, t->k->knn_work(&t->run, n, m, x->D, k)))
        return false;
    t->k->knn(&t->run, n, m, x->D, k, F32, q, of, ids, values);
    return true;
}

/* Sets list [n] (host) to the nearest centroid of each row; -1 if it has none (NaN). */
static bool assign(Index *x, int64_t n, const float *rows, int32_t *list)
{
    int mark = x->pieces;
    int32_t *ids = device_take(x, BLOCK, sizeof *ids);
    float *values = device_take(x, BLOCK, sizeof *values);
    for (int64_t i = 0; ids && values && i < n; i += BLOCK) {
        int64_t m = MIN((int64_t)BLOCK, n - i);
        if (!nearest(x, m, rows + i * x->D, x->L, x->centroid, 1, ids, values))
            break;
        download(x, list + i, ids, m, sizeof *ids);
    }
    device_give(x, mark);
    return x->t->error.code == SP_OK;
}

/* Sorts rows by list: start [L + 1] and order; next [L] is scratch. Rows without a list are left out. `for_empty` draws
 * one row for each empty list; NULL: these lists stay empty. */
static void sort_rows(const Index *x, int64_t n, const int32_t *list, int64_t *start, int32_t *order, int64_t *next,
                      const Draw *for_empty)
{
    memset(start, 0, (size_t)(x->L + 1) * sizeof *start);
    for (int64_t i = 0; i < n; i++)
        if (list[i] >= 0)
            start[list[i] + 1]++;
    for (int64_t l = 0; l < x->L; l++)
        start[l + 1] = start[l] + (for_empty && !start[l + 1] ? 1 : start[l + 1]);
    memcpy(next, start, (size_t)x->L * sizeof *next);
    for (int64_t i = 0; i < n; i++)
        if (list[i] >= 0)
            order[next[list[i]]++] = (int32_t)i;
    for (int64_t l = 0; for_empty && l < x->L; l++)
        if (next[l] == start[l])
            order[next[l]] = (int32_t)draw_below(*for_empty, (uint64_t)l, (uint32_t)n);
}

/* Trains the centroids. The first centroids are rows of a sample. Each round then replaces a centroid by the mean of
 * the sample's rows that are nearest to it, scaled to length 1. */
static bool train(Index *x)
{
    Tape *t = x->t;
    int mark = x->pieces;
    int64_t n = MIN(x->I, PER_LIST * x->L), D = x->D, L = x->L;
    float *rows;
    ArenaMark empty = arena_mark(x->arena);
    bool ok = sample(x, n, 0, &rows);
    int32_t *list = host_take(x, n, sizeof *list), *order = host_take(x, n + L, sizeof *order);
    int64_t *start = host_take(x, L + 1, sizeof *start), *next = host_take(x, L, sizeof *next);
    int32_t *d_order = device_take(x, n + L, sizeof *d_order);
    int64_t *d_start = device_take(x, L + 1, sizeof *d_start);
    ok = ok && list && order && start && next && d_order && d_start;
    Draw d = {x->seed, DRAW_INDEX, 1};
    for (int64_t l = 0; ok && l < L; l++)
        order[l] = (int32_t)((l * n + draw_below(d, (uint64_t)l, (uint32_t)n)) / L);
    if (ok) {
        upload(x, d_order, order, L, sizeof *order);
        t->k->gather(&t->run, L, D, F32, rows, d_order, 0, x->centroid);
    }
    for (uint32_t round = 0; ok && round < ROUNDS; round++) {
        if (!(ok = assign(x, n, rows, list)))
            break;
        sort_rows(x, n, list, start, order, next, &(Draw){x->seed, DRAW_INDEX, 2 + round});
        upload(x, d_start, start, L + 1, sizeof *start);
        upload(x, d_order, order, start[L], sizeof *order);
        t->k->segment_sum(&t->run, L, D, d_start, d_order, NULL, F32, rows, 1, 0, x->centroid);
        t->k->row_normalize(&t->run, L, D, 1e-12f, x->centroid, x->centroid, NULL);
    }
    device_give(x, mark);
    arena_rewind(x->arena, empty);
    return ok;
}

static bool build(Index *x)
{
    Tape *t = x->t;
    if (!(x->centroid = device_take(x, x->L * x->D, sizeof *x->centroid)) || !train(x) ||
        !(x->list = host_take(x, x->I, sizeof *x->list)) || !(x->order = host_take(x, x->I, sizeof *x->order)) ||
        !(x->start = host_take(x, x->L + 1, sizeof *x->start)) || !assign(x, x->I, x->z, x->list))
        return false;
    int64_t *next = host_take(x, x->L, sizeof *next);
    /* a row with NaN has no neighbours and is not the neighbour of any row, so its list does not matter */
    for (int64_t i = 0; i < x->I; i++)
        x->list[i] = MAX(x->list[i], 0);
    if (!next || !(x->d_start = device_take(x, x->L + 1, sizeof *x->d_start)) ||
        !(x->d_order = device_take(x, x->I, sizeof *x->d_order)) ||
        !(x->sorted = device_take(x, x->I * x->D, sizeof *x->sorted)))
        return false;
    sort_rows(x, x->I, x->list, x->start, x->order, next, NULL);
    upload(x, x->d_start, x->start, x->L + 1, sizeof *x->start);
    upload(x, x->d_order, x->order, x->I, sizeof *x->order);
    t->k->gather(&t->run, x->I, x->D, F32, x->z, x->d_order, 0, x->sorted);
    return true;
}

/* ---- search ---------------------------------------------------------------------------------- */

/* The memory for a block of queries and for their results. */
typedef struct Block {
    int32_t *probe, *ids; /* [BLOCK, P], [BLOCK, k] */
    float *near, *values;
    int32_t *found; /* host [BLOCK, k] */
    float *cosine;  /* host [BLOCK, k] */
    int64_t rows;
} Block;

static bool block_new(Index *x, Block *b)
{
    b->rows = MIN(MAX(MIN((int64_t)BLOCK, BLOCK_PROBES / x->P), (int64_t)256), x->I);
    return (b->probe = device_take(x, b->rows * x->P, sizeof *b->probe)) &&
           (b->near = device_take(x, b->rows * x->P, sizeof *b->near)) &&
           (b->ids = device_take(x, b->rows * x->k, sizeof *b->ids)) &&
           (b->values = device_take(x, b->rows * x->k, sizeof *b->values)) &&
           (b->found = host_take(x, b->rows * x->k, sizeof *b->found)) &&
           (b->cosine = host_take(x, b->rows * x->k, sizeof *b->cosine));
}

/* Searches the nearest rows of n queries (at most b->rows), each in the P lists whose centroids are nearest to it.
 * Writes b->found and b->cosine. */
static bool search(Index *x, Block *b, int64_t n, const float *q)
{
    Tape *t = x->t;
    if (!nearest(x, n, q, x->L, x->centroid, x->P, b->probe, b->near) ||
        !tape_work(t, t->k->knn_lists_work(&t->run, n, x->L, x->D, x->P)))
        return false;
    t->k->knn_lists(&t->run, n, x->L, x->D, x->P, x->k, F32, q, b->probe, x->d_start, x->sorted, x->d_order, b->ids,
                    b->values);
    download(x, b->found, b->ids, n * x->k, sizeof *b->ids);
    download(x, b->cosine, b->values, n * x->k, sizeof *b->values);
    return true;
}

/* ---- the number of lists to search ----------------------------------------------------------- */

typedef struct Truth { /* the second sample, and the true nearest rows of its rows */
    int64_t n;
    const int32_t *number; /* [n] numbers of the sample's rows */
    float *rows;           /* device [n, D] */
    int32_t *nearest;      /* host [n, k] */
    float *score;          /* host [n, L]: dot products with the centroids */
    int64_t others;        /* number of nearest rows, without the row itself */
} Truth;

static bool truth_new(Index *x, Truth *s)
{
    Tape *t = x->t;
    s->n = MIN((int64_t)SAMPLE, x->I);
    if (!(s->number = sample(x, s->n, UINT32_MAX, &s->rows)))
        return false;
    int mark = x->pieces;
    int32_t *ids = device_take(x, s->n * x->k, sizeof *ids);
    float *values = device_take(x, s->n * x->k, sizeof *values), *score = device_take(x, s->n * x->L, sizeof *score);
    s->nearest = host_take(x, s->n * x->k, sizeof *s->nearest);
    s->score = host_take(x, s->n * x->L, sizeof *s->score);
    if (!ids || !values || !score || !s->nearest || !s->score ||
        !nearest(x, s->n, s->rows, x->I, x->z, x->k, ids, values))
        return false;
    tape_product(t, s->n, x->L, x->D, s->rows, x->D, 1, x->centroid, 1, x->D, score, 0);
    download(x, s->nearest, ids, s->n * x->k, sizeof *ids);
    download(x, s->score, score, s->n * x->L, sizeof *score);
    device_give(x, mark);
    return t->error.code == SP_OK;
}

/* Returns how many centroids come before centroid l in the order of their dot products `score` [L] with a query. */
static int64_t rank_of(const float *score, int64_t L, int64_t l)
{
    int64_t rank = 0;
    for (int64_t i = 0; i < L; i++)
        rank += score[i] > score[l] || (i < l && score[i] == score[l]);
    return rank;
}

/* Sets P to the smallest number for which the P nearest lists contain the share AIM of the sample's nearest rows. */
static bool choose_probes(Index *x, Truth *s)
{
    int64_t *at = host_take(x, x->L, sizeof *at);
    if (!at)
        return false;
    for (int64_t i = 0; i < s->n * x->k; i++) {
        int64_t q = i / x->k, j = s->nearest[i];
        if (j < 0 || j == s->number[q])
            continue;
        at[rank_of(s->score + q * x->L, x->L, x->list[j])]++;
        s->others++;
    }
    x->P = 1; /* at least one list is searched */
    for (int64_t sum = at[0]; x->P < x->L && (double)sum < AIM * (double)s->others; x->P++)
        sum += at[x->P];
    return true;
}

/* Searches the sample. Computes the share of its nearest rows that is found, and the share of all rows that a query is
 * compared with. */
static bool measure(Index *x, Block *b, const Truth *s, KnnPlan *plan)
{
    int32_t *of = host_take(x, x->I, sizeof *of), *probe = host_take(x, b->rows * x->P, sizeof *probe);
    if (!of || !probe)
        return false;
    int64_t found = 0, compared = 0, k = x->k;
    for (int64_t first = 0; first < s->n; first += b->rows) {
        int64_t n = MIN(b->rows, s->n - first);
        if (!search(x, b, n, s->rows + first * x->D))
            return false;
        download(x, probe, b->probe, n * x->P, sizeof *probe);
        for (int64_t i = 0; i < n * x->P; i++)
            compared += probe[i] < 0 ? 0 : x->start[probe[i] + 1] - x->start[probe[i]];
        for (int64_t q = first; q < first + n; q++) {
            for (int64_t i = q * k; i < (q + 1) * k; i++)
                if (s->nearest[i] >= 0 && s->nearest[i] != s->number[q])
                    of[s->nearest[i]] = (int32_t)q + 1;
            for (int64_t i = (q - first) * k; i < (q - first + 1) * k; i++)
                found += b->found[i] >= 0 && of[b->found[i]] == q + 1;
        }
    }
    plan->lists = x->L;
    plan->probes = x->P;
    plan->recall = s->others ? (double)found / (double)s->others : 1;
    plan->share = (double)compared / ((double)s->n * (double)x->I);
    return true;
}

/* ---- all rows -------------------------------------------------------------------------------- */

/* Compares each of the n rows `row` with all rows, and writes their neighbours to `host`. It is used for rows whose
 * search in the index found too few neighbours: the P lists that were searched for such a row contain fewer than k rows
 * in total. */
static bool fill_short(Index *x, Block *b, int64_t n, const int32_t *row, int32_t *host)
{
    int mark = x->pieces;
    int32_t *ids = device_take(x, b->rows, sizeof *ids);
    float *rows = device_take(x, b->rows * x->D, sizeof *rows);
    for (int64_t first = 0; ids && rows && first < n; first += b->rows) {
        int64_t m = MIN(b->rows, n - first);
        upload(x, ids, row + first, m, sizeof *ids);
        x->t->k->gather(&x->t->run, m, x->D, F32, x->z, ids, 0, rows);
        if (!nearest(x, m, rows, x->I, x->z, x->k, b->ids, b->values))
            return false;
        download(x, b->found, b->ids, m * x->k, sizeof *b->ids);
        for (int64_t i = 0; i < m; i++)
            memcpy(host + row[first + i] * x->k, b->found + i * x->k, (size_t)x->k * sizeof *host);
    }
    device_give(x, mark);
    return x->t->error.code == SP_OK;
}

static bool search_all(Index *x, Block *b, int32_t *host)
{
    int32_t *short_rows = host_take(x, x->I, sizeof *short_rows);
    int64_t k = x->k, full = MIN(k, x->I), short_count = 0;
    for (int64_t first = 0; short_rows && first < x->I; first += b->rows) {
        int64_t n = MIN(b->rows, x->I - first);
        if (!search(x, b, n, x->sorted + first * x->D))
            return false;
        for (int64_t i = 0; i < n; i++) {
            int32_t row = x->order[first + i], *to = host + row * k;
            const int32_t *found = b->found + i * k;
            memcpy(to, found, (size_t)k * sizeof *to);
            /* a row of zeros has cosine 0 with every row; ties go to the lower rows */
            if (found[0] >= 0 && b->cosine[i * k] == 0) {
                for (int64_t j = 0; j < k; j++)
                    to[j] = j < full ? (int32_t)j : -1;
            } else if (found[0] >= 0 && found[full - 1] < 0) {
                short_rows[short_count++] = row;
            }
        }
    }
    return short_rows && fill_short(x, b, short_count, short_rows, host);
}

static int64_t list_count(int64_t I) /* 4 sqrt(I), but at least LIST_ROWS rows per list */
{
    int64_t root = 1;
    while ((root + 1) * (root + 1) <= I)
        root++;
    return MAX(MIN(4 * root, I / LIST_ROWS), (int64_t)1);
}

/* Sets plan->index if the index was searched. Otherwise all rows must be compared, or the tape has failed. */
static void index_rows(Tape *t, const Tensor *z, int64_t k, KnnPlan *plan, int32_t *host)
{
    Index x = {.t = t, .z = z->data, .I = rows_of(z), .D = cols_of(z), .k = k, .seed = plan->seed};
    x.L = list_count(x.I);
    Truth truth = {0};
    Block block = {0};
    double begun = tape_clock(t, "knn index");
    if (!(x.arena = arena_new(t->heap, 0)))
        fail_memory(&t->error, 0, "an index of nearest rows");
    if (x.arena && build(&x) && truth_new(&x, &truth) && choose_probes(&x, &truth) && block_new(&x, &block) &&
        measure(&x, &block, &truth, plan)) {
        /* comparing all rows computes each product only once for both rows */
        plan->index = plan->search == SEARCH_INDEX || plan->share < 0.5;
        if (plan->index && !search_all(&x, &block, host))
            plan->index = false;
    }
    tape_trace(t, begun, "knn index", 2.0 * (double)x.I * (double)x.I * (double)x.D * plan->share,
               4.0 * (double)z->count);
    arena_free(x.arena);
    device_give(&x, 0);
}

#endif

/* Finds the nearest rows of each row: host [I, k], a list, best first, -1 if there are fewer. */
static bool knn_rows(Tape *t, const Tensor *z, int64_t k, KnnPlan *plan, int32_t *host)
{
    double I = (double)rows_of(z);
    plan->rows = rows_of(z);
    plan->index = false;
    plan->seconds = 2 * I * I * (double)cols_of(z) / (ASSUMED_GFLOPS * 1e9);
    plan->lists = plan->probes = 0;
    plan->recall = plan->share = 1;
    if (plan->given) {
        memcpy(host, plan->given, (size_t)(rows_of(z) * k) * sizeof *host);
        return true;
    }
#ifdef SAPOR_MINIMAL
    if (plan->search == SEARCH_INDEX)
        tape_fail(t, SP_UNSUPPORTED, "an index of nearest rows is not in this build: set knn=exact");
#else
    bool by_index = plan->search == SEARCH_INDEX || (plan->search == SEARCH_AUTO && plan->seconds > EXACT_SECONDS);
    if (by_index && rows_of(z) > 0 && k <= MOST_NEAREST)
        index_rows(t, z, k, plan, host);
#endif
    return t->error.code == SP_OK && (plan->index || exact_rows(t, z, k, host)) && t->error.code == SP_OK;
}

static int ascending(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static void sort_columns(int32_t *col, int64_t n)
{
    enum { FEW = 64 };
    if (n > FEW)
        qsort(col, (size_t)n, sizeof *col, ascending);
    for (int64_t i = 1; i < n && n <= FEW; i++) {
        int32_t c = col[i];
        int64_t at = i;
        for (; at > 0 && col[at - 1] > c; at--)
            col[at] = col[at - 1];
        col[at] = c;
    }
}

Csr *knn_pattern(Tape *t, const Tensor *z, int64_t k, KnnPlan *plan)
{
    int64_t I = rows_of(z);
    int32_t *host = list_alloc(t, I * k, sizeof *host);
    int64_t *start = list_alloc(t, I + 1, sizeof *start);
    if (!host || !start || !knn_rows(t, z, k, plan, host))
        return NULL;
    start[0] = 0;
    for (int64_t r = 0; r < I; r++) { /* in place: the neighbours of a row are sorted by column */
        int64_t n = 0;
        while (n < k && host[r * k + n] >= 0)
            n++;
        memmove(host + start[r], host + r * k, (size_t)n * sizeof *host);
        sort_columns(host + start[r], n);
        start[r + 1] = start[r] + n;
    }
    return csr_on_tape(t, I, I, start, host);
}
