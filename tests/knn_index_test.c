/* tests/knn_index_test.c: graphs of nearest rows by an inverted-file index, compared with graphs by exact search.
 *
 * ROWS=2000000 COLS=64 K=20 build/tests/knn_index_test measures a large graph: the recall on rows that the index did
 * not use to choose its lists, the number of lists that are searched, time, and peak memory. More variables:
 * CLUSTERS=20000 (0: none), SPREAD=15 in hundredths, THREADS=2, INDEX=1 (use an index for any size). */
#include "tests/testing.h"

#include <math.h>
#include <time.h>

#include "nn/nn.h"

static int64_t number_of(const char *name, int64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? atoll(text) : otherwise;
}

/* ---- data ------------------------------------------------------------------------------------ */

typedef struct RowData {
    float *x; /* [rows, D] */
    int64_t D, clusters;
    float spread; /* of a cluster: 0.15 */
} RowData;

/* Returns an approximately normal number: a sum of uniform numbers, which is fast. */
static float normal_of(uint64_t *state)
{
    float sum = 0;
    for (int i = 0; i < 4; i++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        sum += (float)(*state >> 40) * 0x1p-24f;
    }
    return (sum - 2) * 1.7320508f;
}

/* Makes row number `task`: the centre of a cluster plus a step along 8 of its directions; without clusters, a point in
 * any direction. */
static void make_row(void *arg, size_t task, int worker)
{
    (void)worker;
    const RowData *m = arg;
    enum { DIRECTIONS = 8 };
    float *x = m->x + (int64_t)task * m->D;
    uint64_t draws = (uint64_t)task * 0x9e3779b97f4a7c15u + 1;
    if (!m->clusters) {
        for (int64_t c = 0; c < m->D; c++)
            x[c] = normal_of(&draws);
        return;
    }
    uint64_t cluster = (draws >> 20) % (uint64_t)m->clusters, centre = cluster * 0xd1342543de82ef95u + 7;
    for (int64_t c = 0; c < m->D; c++)
        x[c] = normal_of(&centre);
    for (int d = 0; d < DIRECTIONS; d++) {
        float step = m->spread * normal_of(&draws);
        for (int64_t c = 0; c < m->D; c++)
            x[c] += step * normal_of(&centre);
    }
}

static float *make_rows(const Device *d, int64_t rows, int64_t D, int64_t clusters)
{
    RowData m = {malloc((size_t)(rows * D) * sizeof(float)), D, clusters, (float)number_of("SPREAD", 15) / 100};
    assert_non_null(m.x);
    pool_run(d->pool, (size_t)rows, make_row, &m);
    return m.x;
}

typedef struct Graph { /* copies of the arrays that csr_read returns */
    int64_t rows, entries, *start;
    int32_t *col;
    float *val;
    KnnPlan plan;
} Graph;

static bool graph_make(Graph *g, const Device *d, const float *x, int64_t rows, int64_t D, int64_t k, KnnSearch search,
                       Error *e)
{
    *g = (Graph){.plan = {.search = search, .seed = 3}};
    Store *s = store_new(d, e);
    Array from = {TEXT("x"), F32, 2, {rows, D}, rows * D, x, "x", false};
    Tensor *features = s ? store_array(s, &from, e) : NULL;
    Tape *t = features ? tape_new(d, false, e) : NULL;
    Csr *neighbours = t ? knn_graph(t, features, k, &g->plan) : NULL;
    bool ok = t && tape_ok(t, e) && neighbours;
    if (ok) {
        g->rows = neighbours->rows;
        g->entries = neighbours->entries;
        g->start = malloc((size_t)(neighbours->rows + 1) * sizeof *g->start);
        g->col = malloc((size_t)MAX(neighbours->entries, 1) * sizeof *g->col);
        g->val = malloc((size_t)MAX(neighbours->entries, 1) * sizeof *g->val);
        assert_true(g->start && g->col && g->val);
        ok = csr_read(d, neighbours, g->start, g->col, g->val, e);
    }
    tape_free(t);
    store_free(s);
    return ok;
}

static void graph_free(Graph *g)
{
    free(g->start);
    free(g->col);
    free(g->val);
}

static void graph_must(Graph *g, const Device *d, const float *x, int64_t rows, int64_t D, int64_t k, KnnSearch search)
{
    Error e = {0};
    assert_ok(graph_make(g, d, x, rows, D, k, search, &e), e);
}

static void same_graph(const Graph *a, const Graph *b)
{
    assert_int_equal(a->rows, b->rows);
    assert_int_equal(a->entries, b->entries);
    assert_memory_equal(a->start, b->start, (size_t)(a->rows + 1) * sizeof *a->start);
    assert_memory_equal(a->col, b->col, (size_t)a->entries * sizeof *a->col);
    assert_memory_equal(a->val, b->val, (size_t)a->entries * sizeof *a->val);
}

/* Returns the share of a's off-diagonal entries that b has. */
static double recall_of(const Graph *a, const Graph *b)
{
    int64_t total = 0, found = 0;
    for (int64_t r = 0; r < a->rows; r++)
        for (int64_t i = a->start[r], j = b->start[r]; i < a->start[r + 1]; i++) {
            while (j < b->start[r + 1] && b->col[j] < a->col[i])
                j++;
            if (a->col[i] == r)
                continue;
            total++;
            found += j < b->start[r + 1] && b->col[j] == a->col[i];
        }
    return total ? (double)found / (double)total : 1;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static Device device;

static int setup(void **state)
{
    (void)state;
    Error e = {0};
    return device_open(&device, NULL, (int)number_of("THREADS", 2), NULL, NULL, &e) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    device_close(&device);
    return 0;
}

static void needs_index(void)
{
#ifdef SAPOR_MINIMAL
    print_message("skipped: this build has no index of nearest rows\n");
    skip();
#endif
}

/* Checks that the graph has the measured recall, with clusters and without them, while only a part of the rows is
 * compared. */
static void recall(void **state)
{
    (void)state;
    needs_index();
    const struct {
        int64_t rows, D, clusters, k;
        double most; /* the largest share of rows that is compared */
    } cases[] = {{6000, 16, 60, 10, 0.2}, {3000, 24, 0, 5, 1}, {2500, 64, 25, 30, 0.5}, {700, 3, 0, 7, 0.4}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        float *x = make_rows(&device, cases[i].rows, cases[i].D, cases[i].clusters);
        Graph exact, index;
        graph_must(&exact, &device, x, cases[i].rows, cases[i].D, cases[i].k, SEARCH_AUTO);
        graph_must(&index, &device, x, cases[i].rows, cases[i].D, cases[i].k, SEARCH_INDEX);
        assert_false(exact.plan.index);
        assert_true(index.plan.index);
        assert_true(index.plan.recall >= KNN_RECALL && index.plan.share <= cases[i].most);
        assert_true(index.plan.probes >= 1 && index.plan.probes <= index.plan.lists);
        assert_int_equal(index.entries, exact.entries);
        double real = recall_of(&exact, &index);
        if (real < KNN_RECALL || fabs(real - index.plan.recall) > 0.02)
            fail_msg("case %zu: the recall is %g, %g was measured", i, real, index.plan.recall);
        graph_free(&exact);
        graph_free(&index);
        free(x);
    }
}

/* Checks that the graph equals the exact graph, bit by bit and with the same ties, if all lists are searched. */
static void ties(void **state)
{
    (void)state;
    needs_index();
    enum { ROWS = 900, D = 3, K = 12 };
    float *x = make_rows(&device, ROWS, D, 0);
    for (int i = 0; i < ROWS * D; i++)
        x[i] = x[i] > 0.4f ? 1 : x[i] < -0.4f ? -1 : 0; /* 27 distinct rows, one of them zeros */
    Graph exact, index;
    graph_must(&exact, &device, x, ROWS, D, K, SEARCH_EXACT);
    graph_must(&index, &device, x, ROWS, D, K, SEARCH_INDEX);
    same_graph(&exact, &index); /* the nearest rows are equal rows, which are in one list */
    graph_free(&exact);
    graph_free(&index);
    free(x);
}

static void threads(void **state)
{
    (void)state;
    needs_index();
    enum { ROWS = 5000, D = 19, K = 9 };
    float *x = make_rows(&device, ROWS, D, 40);
    Graph one = {0}, other;
    for (int threads = 1; threads <= 3; threads++) {
        Device d;
        Error e = {0};
        assert_ok(device_open(&d, NULL, threads, NULL, NULL, &e), e);
        graph_must(threads == 1 ? &one : &other, &d, x, ROWS, D, K, SEARCH_INDEX);
        if (threads > 1) {
            same_graph(&one, &other);
            assert_true(one.plan.recall == other.plan.recall && one.plan.probes == other.plan.probes);
            graph_free(&other);
        }
        device_close(&d);
    }
    graph_free(&one);
    free(x);
}

/* Few rows, equal rows, zeros, numbers that are not finite, more neighbours than rows: the result is that of exact
 * search. */
static void edges(void **state)
{
    (void)state;
    needs_index();
    enum { MOST = 300, D = 5 };
    const int64_t sizes[] = {1, 2, 3, 9, 40, MOST}, ks[] = {1, 2, 10, 400};
    for (int kind = 0; kind < 5; kind++)
        for (size_t i = 0; i < COUNT(sizes) * COUNT(ks); i++) {
            int64_t rows = sizes[i / COUNT(ks)], k = ks[i % COUNT(ks)];
            float *x = make_rows(&device, rows, D, kind == 4 ? 3 : 0);
            for (int64_t j = 0; j < rows * D; j++)
                x[j] = kind == 0 ? 0 : kind == 1 ? 2 : kind == 2 && j / D % 3 == 0 ? 0 : x[j];
            if (kind == 3)
                x[rows * D - 1] = NAN;
            Graph exact, index;
            graph_must(&exact, &device, x, rows, D, k, SEARCH_EXACT);
            graph_must(&index, &device, x, rows, D, k, SEARCH_INDEX);
            assert_true(index.plan.index);
            if (kind != 2 && kind != 4)
                assert_int_equal(index.entries, exact.entries);
            if (kind < 2 || k >= rows)
                same_graph(&exact, &index);
            assert_true(recall_of(&exact, &index) > 0.9);
            graph_free(&exact);
            graph_free(&index);
            free(x);
        }
}

static void refused_memory(void **state)
{
    (void)state;
    needs_index();
    enum { ROWS = 400, D = 6, K = 5 };
    float *x = make_rows(&device, ROWS, D, 10);
    bool done = false;
    for (size_t n = 1; !done; n++) {
        TestHeap heap;
        test_heap(&heap, n);
        Device d = device;
        d.heap = &heap.heap;
        Error e = {0};
        Graph g;
        done = graph_make(&g, &d, x, ROWS, D, K, SEARCH_INDEX, &e);
        if (!done)
            assert_int_equal(e.code, SP_MEMORY);
        assert_int_equal(heap.live, 0);
        assert_true(n < 1000);
        graph_free(&g);
    }
    free(x);
}

/* ---- a large one ----------------------------------------------------------------------------- */

/* Returns the recall on rows that the index did not use to choose its lists. */
static double checked_recall(const Graph *g, const float *x, int64_t D, int64_t k)
{
    enum { CHECKED = 500 };
    int64_t total = 0, found = 0, rows = g->rows;
    float *score = malloc((size_t)rows * sizeof *score), *length = malloc((size_t)rows * sizeof *length);
    assert_true(score && length);
    for (int64_t r = 0; r < rows; r++) {
        double sum = 0;
        for (int64_t c = 0; c < D; c++)
            sum += (double)x[r * D + c] * (double)x[r * D + c];
        length[r] = (float)sqrt(sum);
    }
    for (int64_t q = 0; q < CHECKED; q++) {
        int64_t row = (q * 7919 + 13) * (rows / CHECKED) % rows;
        for (int64_t r = 0; r < rows; r++) {
            float sum = 0;
            for (int64_t c = 0; c < D; c++)
                sum += x[row * D + c] * x[r * D + c];
            score[r] = sum / length[r];
        }
        score[row] = -INFINITY;
        for (int64_t j = 0; j + 1 < k; j++) {
            int64_t best = 0;
            for (int64_t r = 1; r < rows; r++)
                best = score[r] > score[best] ? r : best;
            score[best] = -INFINITY;
            total++;
            for (int64_t i = g->start[row]; i < g->start[row + 1]; i++)
                found += g->col[i] == best;
        }
    }
    free(score);
    free(length);
    return (double)found / (double)total;
}

static double processor_seconds(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

static void large(void **state)
{
    (void)state;
    int64_t rows = number_of("ROWS", 0), D = number_of("COLS", 64), k = number_of("K", 20),
            clusters = number_of("CLUSTERS", 20000);
    if (rows < 1000 || D < 1 || k < 2 || k >= rows) {
        print_message("skipped: ROWS=2000000 is not set\n");
        skip();
    }
    float *x = make_rows(&device, rows, D, clusters);
    double begun = now_seconds(), used = processor_seconds();
    Graph g;
    graph_must(&g, &device, x, rows, D, k, number_of("INDEX", 0) ? SEARCH_INDEX : SEARCH_AUTO);
    double seconds = now_seconds() - begun;
    used = processor_seconds() - used;
    print_message("%lld x %lld, k %lld, %lld clusters: %s, %.1f s (%.1f s of processors), recall %.4f, %lld of %lld "
                  "lists, %.2f%% of the rows, "
                  "%.0f MB\n",
                  (long long)rows, (long long)D, (long long)k, (long long)clusters,
                  g.plan.index ? "index" : "all compared", seconds, used, g.plan.recall, (long long)g.plan.probes,
                  (long long)g.plan.lists, 100 * g.plan.share, (double)peak_rss_bytes() / 1e6);
    double checked = checked_recall(&g, x, D, k);
    print_message("recall on 500 other rows: %.4f\n", checked);
    assert_true(checked >= KNN_RECALL);
    graph_free(&g);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recall), cmocka_unit_test(ties),           cmocka_unit_test(threads),
        cmocka_unit_test(edges),  cmocka_unit_test(refused_memory), cmocka_unit_test(large),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
