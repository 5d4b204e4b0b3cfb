/* tests/nn_graph_test.c: graphs equal plain dense code; ranking. */
#include "tests/graph_testing.h"

#include <math.h>

/* Returns a graph as a dense matrix [rows, cols], with zeros if there is no entry. */
static double *dense(const Csr *g)
{
    int64_t *start = malloc((size_t)(g->rows + 1) * sizeof *start);
    int32_t *col = malloc((size_t)MAX(g->entries, 1) * sizeof *col);
    float *val = malloc((size_t)MAX(g->entries, 1) * sizeof *val);
    double *a = calloc((size_t)(g->rows * g->cols), sizeof *a);
    assert_true(csr_read(&device, g, start, col, val, &error));
    for (int64_t r = 0; r < g->rows; r++)
        for (int64_t e = start[r]; e < start[r + 1]; e++) {
            assert_true(e == start[r] || col[e] > col[e - 1]);
            a[r * g->cols + col[e]] = val[e];
        }
    free(start);
    free(col);
    free(val);
    return a;
}

static void close_to(const double *a, const double *b, int64_t n, double tolerance)
{
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(a[i] - b[i]) <= tolerance))
            fail_msg("number %lld: %g, not %g", (long long)i, a[i], b[i]);
}

static void adjacencies(void **state)
{
    (void)state;
    Store *s = store_new(&device, &error);
    for (Adjacency how = ADJ_SYM; how <= ADJ_SYM_SELF; how++) {
        bool self = how == ADJ_ROW_SELF || how == ADJ_BOTH_SELF || how == ADJ_SYM_SELF;
        double expected[N * N] = {0}, degree[N] = {0};
        for (int u = 0; u < U; u++)
            for (int64_t p = pairs_start[u]; p < pairs_start[u + 1]; p++)
                expected[u * N + U + pairs_item[p]] = expected[(U + pairs_item[p]) * N + u] = 1;
        for (int i = 0; self && i < N; i++)
            expected[i * N + i] = 1;
        for (int i = 0; i < N * N; i++)
            degree[i / N] += expected[i];
        for (int i = 0; i < N * N; i++) {
            double a = degree[i / N], b = degree[i % N];
            if (expected[i] != 0)
                expected[i] = how == ADJ_SYM || how == ADJ_SYM_SELF ? 1 / sqrt(a * b)
                              : how == ADJ_SYM_EPS                  ? 1 / sqrt((a + 1e-7) * (b + 1e-7))
                              : how == ADJ_ROW_SELF                 ? 1 / a
                                                                    : 1 / (a * b);
        }
        Csr *g = csr_bipartite(s, "pairs", U, I, pairs_start, pairs_item, how, &error);
        double *got = dense(g);
        close_to(got, expected, N * N, 1e-6);
        free(got);
    }
    Error e = {0};
    int32_t twice[] = {0, 2, 2, 1, 2, 4, 0, 3, 6};
    assert_null(csr_bipartite(s, "pairs", U, I, pairs_start, twice, ADJ_SYM, &e));
    assert_error(e, SP_SHAPE, "graph pairs: row 0: column 2");
    int32_t far[] = {0, 2, 7, 1, 2, 4, 0, 3, 6};
    assert_null(csr_new(s, "far", &(HostGraph){.rows = U, .cols = I, .start = pairs_start, .col = far}, &e));
    assert_error(e, SP_SHAPE, "graph far: row 0: column 7");
    int64_t back[] = {0, 3, 2, 5, 6, 9};
    assert_null(csr_new(s, "back", &(HostGraph){.rows = U, .cols = I, .start = back, .col = pairs_item}, &e));
    assert_error(e, SP_SHAPE, "graph back: row 1");
    store_free(s);
}

/* Returns the matrix [n, n] of the k largest cosines of each row of x, ties to the lower id; other entries are 0. */
static double *naive_knn(const float *x, int n, int d, int k)
{
    double *a = calloc((size_t)(n * n), sizeof *a), *row = malloc((size_t)n * sizeof *row);
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) {
            double dot = 0, one = 0, two = 0;
            for (int f = 0; f < d; f++) {
                dot += (double)x[i * d + f] * x[j * d + f];
                one += (double)x[i * d + f] * x[i * d + f];
                two += (double)x[j * d + f] * x[j * d + f];
            }
            row[j] = one > 0 && two > 0 ? dot / sqrt(one * two) : 0;
        }
        for (int left = k; left > 0; left--) {
            int best = -1;
            for (int j = 0; j < n; j++)
                if (!isnan(row[j]) && (best < 0 || row[j] > row[best]))
                    best = j;
            if (best < 0)
                break;
            a[i * n + best] = row[best];
            row[best] = NAN;
        }
    }
    free(row);
    return a;
}

static double *naive_normalize(const double *a, int n)
{
    double *b = calloc((size_t)(n * n), sizeof *b), *r = calloc((size_t)n, sizeof *r);
    for (int i = 0; i < n * n; i++)
        r[i / n] += a[i];
    for (int i = 0; i < n; i++)
        r[i] = r[i] > 0 ? 1 / sqrt(r[i]) : 0;
    for (int i = 0; i < n * n; i++)
        b[i] = a[i] * r[i / n] * r[i % n];
    free(r);
    return b;
}

static void learned_graphs(void **state)
{
    (void)state;
    enum { n = 23, d = 9 };
    Store *s = store_new(&device, &error);
    Tape *t = tape_new(&device, true, &error);
    Tensor *x = test_param(s, "x", n, d, 3), *y = test_param(s, "y", n, d, 4), *w = test_param(s, "w", 1, 0, 5);
    float *hx = test_read(&device, x), *hy = test_read(&device, y), *hw = test_read(&device, w), zero[d] = {0};
    tensor_write(&device, x, 4 * d, d, zero); /* a row of zeros is similar to no row, and not to itself */
    memset(hx + 4 * d, 0, sizeof zero);
    Csr *gx = knn_graph(t, x, 5, NULL), *gy = knn_graph(t, y, 3, NULL), *all = knn_graph(t, y, INT32_MAX, NULL);
    tape_must(t);
    double *kx = naive_knn(hx, n, d, 5), *ky = naive_knn(hy, n, d, 3), *kall = naive_knn(hy, n, d, n), *got = dense(gx);
    close_to(got, kx, n * n, 1e-6);
    free(got);
    got = dense(all); /* fewer rows than k: every row is a neighbour */
    close_to(got, kall, n * n, 1e-6);
    assert_int_equal(all->entries, n * n);
    free(got);
    Csr *constant = csr_bipartite(s, "fixed", 9, n - 9, (int64_t[10]){0}, NULL, ADJ_ROW_SELF, &error);
    Csr *graphs[] = {gx, gy, constant};
    Tensor *weights[] = {w, NULL, NULL};
    Csr *mixed = graph_mix(t, 3, graphs, weights), *normal = graph_normalize(t, gy),
        *set = graph_set_diagonal(t, gx, 0.25f);
    tape_must(t);
    double expected[n * n];
    for (int i = 0; i < n * n; i++)
        expected[i] = kx[i] * hw[0] + ky[i] + (i / n == i % n);
    got = dense(mixed);
    close_to(got, expected, n * n, 1e-6);
    free(got);
    double *nn = naive_normalize(ky, n);
    got = dense(normal);
    close_to(got, nn, n * n, 1e-6);
    free(got);
    memcpy(expected, kx, sizeof expected);
    for (int i = 0; i < n; i++)
        expected[i * n + i] = 0.25;
    got = dense(set);
    close_to(got, expected, n * n, 1e-6);
    free(got);
    /* kept graphs: the same values; the transpose in place; refilled under the same name */
    Csr *kept = csr_keep(t, s, "items", gy, &error);
    assert_non_null(kept);
    assert_ptr_equal(csr_keep(t, s, "items", mixed, &error), kept);
    assert_true(kept->entries == mixed->entries && kept->entries > gy->entries);
    Tensor *plain = spmm(t, mixed, y), *again = spmm(t, kept, y);
    tape_must(t);
    float *a = test_read(&device, plain), *b = test_read(&device, again);
    assert_memory_equal(a, b, n * d * sizeof *a);
    assert_false(kept->val->needs_grad);
    free(a);
    free(b);
    size_t bytes = store_bytes(s);
    assert_non_null(csr_keep(t, s, "items", gy, &error));
    assert_int_equal(store_bytes(s), bytes);
    tape_reset(t, (Draw){0}); /* the kept graph is still valid after the step */
    float g[n * d];
    assert_true(backward(t, sum(t, spmm(t, kept, y)), &error) && tensor_grad(t, y, g, &error));
    for (int i = 0; i < n * d; i++) {
        double column = 0;
        for (int r = 0; r < n; r++)
            column += ky[r * n + i / d];
        assert_true(fabs(g[i] - column) < 1e-5);
    }
    free(kx);
    free(ky);
    free(kall);
    free(nn);
    free(hx);
    free(hy);
    free(hw);
    tape_free(t);
    store_free(s);
}

/* Drops entries at random, as NGCF's node dropout does. Checks that each entry is gone or larger, and that the mean
 * over many epochs is the whole graph. */
static void thinned_graphs(void **state)
{
    (void)state;
    Store *s = store_new(&device, &error);
    Csr *g = csr_bipartite(s, "pairs", U, I, pairs_start, pairs_item, ADJ_ROW_SELF, &error);
    double *whole = dense(g), mean[N * N] = {0};
    float p = 0.25f;
    int epochs = 4000;
    float ones[64];
    assert_true(g->entries <= (int64_t)COUNT(ones));
    for (int64_t i = 0; i < g->entries; i++)
        ones[i] = 1;
    Tape *t = tape_new(&device, true, &error);
    for (int epoch = 0; epoch < epochs; epoch++) {
        tape_reset(t, (Draw){3, DRAW_GRAPH, (uint32_t)epoch});
        Csr thinned = *g;
        thinned.val = dropout(t, input_f32(t, ones, 1, &g->entries), p);
        const Csr *kept = csr_keep(t, s, "thinned", &thinned, &error);
        assert_non_null(kept);
        double *a = dense(kept);
        for (int i = 0; i < N * N; i++) {
            assert_true(a[i] == 0 || fabs(a[i] - whole[i] / (1 - (double)p)) < 1e-6);
            mean[i] += a[i] / epochs;
        }
        free(a);
    }
    for (int i = 0; i < N * N; i++) { /* five standard deviations of the mean */
        double deviation = whole[i] * sqrt((double)p / (1 - (double)p) / epochs);
        if (!(fabs(mean[i] - whole[i]) <= 5 * deviation))
            fail_msg("number %d: %g, not %g", i, mean[i], whole[i]);
    }
    free(whole);
    tape_free(t);
    store_free(s);
}

/* Returns host arrays as a dense matrix, with 0 if there is no entry. */
static double *dense_host(const HostGraph *h)
{
    double *a = calloc((size_t)(h->rows * h->cols), sizeof *a);
    for (int64_t r = 0; r < h->rows; r++)
        for (int64_t e = h->start[r]; e < h->start[r + 1]; e++)
            a[r * h->cols + h->col[e]] = (h->val ? (double)h->val[e] : 1) *
                                         (h->row_scale ? (double)h->row_scale[r] : 1) *
                                         (h->col_scale ? (double)h->col_scale[h->col[e]] : 1);
    return a;
}

static void same_as_host(Csr *g, const HostGraph *h)
{
    double *got = dense(g), *expected = dense_host(h);
    close_to(got, expected, h->rows * h->cols, 1e-6);
    free(got);
    free(expected);
}

/* Checks that a new graph with the name of an old one is written into the Csr of the old one.
 *
 * - Its scales are not multiplied into the values.
 * - Two members that shared an array get arrays of their own if they now differ.
 * - Memory does not grow any more after each graph has been written twice (compared for graphs without values). */
static void refilled_graphs(void **state)
{
    (void)state;
    Store *s = store_new(&device, &error);
    static const int64_t few_start[] = {0, 1, 1, 1, 2, 3}, square_start[] = {0, 2, 3, 5};
    static const int32_t few_col[] = {6, 0, 3}, square_col[] = {0, 2, 1, 0, 2};
    float *number = test_numbers(5, 64);
    HostGraph graphs[] = {
        {.rows = 3,
         .cols = 3,
         .start = square_start,
         .col = square_col,
         .row_scale = number,
         .col_scale = number,
         .symmetric = true,
         .symmetric_pattern = true},
        {.rows = U, .cols = I, .start = pairs_start, .col = pairs_item, .row_scale = number, .col_scale = number + 9},
        {.rows = U, .cols = I, .start = pairs_start, .col = pairs_item, .val = number, .col_scale = number + 30},
        {.rows = U, .cols = I, .start = few_start, .col = few_col, .val = number + 3, .row_scale = number + 7},
        {.rows = 3,
         .cols = 3,
         .start = square_start,
         .col = square_col,
         .row_scale = number,
         .symmetric_pattern = true},
        {.rows = 3, .cols = 3, .start = square_start, .col = square_col, .row_scale = number, .col_scale = number + 1},
    };
    Csr *first = csr_new(s, "epoch", &graphs[0], &error);
    size_t bytes = 0;
    for (int turn = 0; turn < 30; turn++) {
        const HostGraph *h = &graphs[turn % (int)COUNT(graphs)];
        Csr *g = csr_new(s, "epoch", h, &error);
        assert_ptr_equal(g, first);
        assert_int_equal(g->entries, h->start[h->rows]);
        assert_true(g->symmetric == h->symmetric && (g->val != NULL) == (h->val != NULL));
        same_as_host(g, h);
        if (turn == 12)
            bytes = store_bytes(s);
        assert_true(turn < 12 || h->val || store_bytes(s) <= bytes + 4096);
    }
    /* the transpose, without a copy */
    Csr *turned = csr_transpose(s, csr_new(s, "block", &graphs[1], &error), &error);
    double *a = dense(turned), *b = dense_host(&graphs[1]);
    for (int64_t i = 0; i < U * I; i++)
        assert_true(fabs(a[i % I * U + i / I] - b[i]) < 1e-6);
    free(a);
    free(b);
    Error e = {0};
    assert_null(csr_transpose(s, csr_new(s, "values", &graphs[2], &error), &e));
    assert_error(e, SP_UNSUPPORTED, "cannot be transposed");
    /* row numbers follow a refill */
    Csr *g = csr_bipartite(s, "pairs", U, I, pairs_start, pairs_item, ADJ_SYM, &error);
    assert_true(csr_index(s, g, &error));
    g = csr_bipartite(s, "pairs", U, I, few_start, few_col, ADJ_SYM, &error);
    int32_t row[6];
    tensor_read(&device, g->row, 0, 6, row);
    assert_memory_equal(row, ((int32_t[]){0, 3, 4, 5, 8, 11}), sizeof row);
    /* entry 0 is user 0 -> item 6; the opposite entry, item 6 -> user 0, is the last one */
    tensor_read(&device, g->tentry, 0, 6, row);
    assert_memory_equal(row, ((int32_t[]){5, 3, 4, 1, 2, 0}), sizeof row);
    free(number);
    store_free(s);
}

/* Checks that the scores of a block's entries, in the order of its transpose, are the transpose's own scores, bit for
 * bit. */
static void turned_values(void **state)
{
    (void)state;
    Store *s = store_new(&device, &error);
    Csr *g = csr_new(s, "block", &(HostGraph){.rows = U, .cols = I, .start = pairs_start, .col = pairs_item}, &error);
    Csr *turned = g ? csr_transpose(s, g, &error) : NULL;
    assert_non_null(turned);
    Tensor *x = test_param(s, "x", U, 5, 1), *y = test_param(s, "y", I, 5, 2);
    Tape *t = tape_new(&device, true, &error);
    edge_transpose(t, g, turned, sddmm(t, g, x, y));
    Error e = {0};
    assert_false(tape_ok(t, &e));
    assert_error(e, SP_USAGE, "call csr_index");
    assert_true(csr_index(s, g, &error) && csr_index(s, turned, &error));
    tape_reset(t, (Draw){1, DRAW_DROPOUT, 0});
    float *of_entries = test_read(&device, edge_transpose(t, g, turned, sddmm(t, g, x, y)));
    float *of_transpose = test_read(&device, sddmm(t, turned, y, x));
    tape_must(t);
    assert_memory_equal(of_entries, of_transpose, (size_t)g->entries * sizeof *of_transpose);
    free(of_entries);
    free(of_transpose);
    edge_transpose(t, g, turned, x);
    e = (Error){0};
    assert_false(tape_ok(t, &e));
    assert_error(e, SP_SHAPE, "edge_transpose");
    tape_free(t);
    store_free(s);
}

/* Checks gather by a list of a graph: the table needs more rows than the list's largest id. */
static void lists_are_checked(void **state)
{
    (void)state;
    Store *s = store_new(&device, &error);
    Csr *g = csr_new(s, "lists", &(HostGraph){.rows = U, .cols = I, .start = pairs_start, .col = pairs_item}, &error);
    assert_true(g && csr_index(s, g, &error));
    Tape *t = tape_new(&device, true, &error);
    Tensor *x = test_param(s, "x", I, 3, 3);
    Csr *near = knn_graph(t, x, 2, NULL), *kept = csr_keep(t, s, "near", near, &error);
    assert_non_null(kept);
    const struct {
        Tensor *ids;
        int64_t rows;
    } cases[] = {{g->col, I},
                 {g->row, U},
                 {g->tcol, U},
                 {g->tentry, g->entries},
                 {kept->col, I},
                 {kept->tcol, I},
                 {kept->tentry, kept->entries}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        Error e = {0};
        int32_t most = 0;
        for (int64_t k = 0; k < cases[i].ids->count; k++) {
            int32_t id;
            tensor_read(&device, cases[i].ids, k, 1, &id);
            most = MAX(most, id);
        }
        assert_true(most < cases[i].rows);
        tape_reset(t, (Draw){0});
        gather(t, filled(t, 1, 2, (int64_t[]){most + 1, 3}), cases[i].ids);
        tape_must(t);
        gather(t, filled(t, 1, 2, (int64_t[]){most, 3}), cases[i].ids);
        assert_false(tape_ok(t, &e));
        assert_error(e, SP_USAGE, "out of range");
    }
    tape_free(t);
    store_free(s);
}

static void graphs_that_fail(void **state)
{
    (void)state;
    Error e = {0};
    Store *s = store_new(&device, &error);
    Tape *t = tape_new(&device, true, &error);
    Tensor *x = test_param(s, "x", 6, 3, 3);
    assert_null(graph_normalize(t, knn_graph(t, x, 0, NULL)));
    assert_ptr_equal(spmm(t, NULL, x), tape_failed(t));
    assert_false(tape_ok(t, &e));
    assert_error(e, SP_USAGE, "knn_graph: k is 0");
    tape_reset(t, (Draw){0});
    assert_null(csr_keep(t, s, "none", NULL, &e));
    assert_error(e, SP_USAGE, "graph none");
    spmm(t, knn_graph(t, x, 2, NULL), rows(t, x, 0, 5));
    assert_false(tape_ok(t, &e));
    assert_error(e, SP_SHAPE, "spmm: shapes do not fit");
    tape_free(t);
    store_free(s);
}

static void ranking(void **state)
{
    (void)state;
    enum { users = 11, items = 37, d = 6, k = 5, B = 4 };
    Store *s = store_new(&device, &error);
    Tensor *u = test_param(s, "u", users, d, 1), *v = test_param(s, "v", items, d, 2);
    float *hu = test_read(&device, u), *hv = test_read(&device, v);
    int64_t start[users + 1] = {0};
    int32_t item[users * items], ids[B] = {7, 0, 7, 10}, top[B * k];
    for (int r = 0; r < users; r++) { /* user r has items j with j % (r + 2) == 0; user 10 has all but three */
        start[r + 1] = start[r];
        for (int j = 0; j < items; j++)
            if (r == 10 ? j > 2 : j % (r + 2) == 0)
                item[start[r + 1]++] = j;
    }
    float scores[B * k];
    assert_true(rank_items(&device, u, v, ids, B, k, start, item, top, scores, &error));
    for (int b = 0; b < B; b++) {
        double score[items];
        for (int j = 0; j < items; j++) {
            score[j] = 0;
            for (int f = 0; f < d; f++)
                score[j] += (double)hu[ids[b] * d + f] * hv[j * d + f];
        }
        for (int64_t p = start[ids[b]]; p < start[ids[b] + 1]; p++)
            score[item[p]] = -INFINITY;
        for (int r = 0; r < k; r++) {
            int best = 0;
            for (int j = 1; j < items; j++)
                if (score[j] > score[best])
                    best = j;
            assert_int_equal(top[b * k + r], isinf(score[best]) ? -1 : best);
            if (top[b * k + r] >= 0)
                assert_true(fabs(scores[b * k + r] - score[best]) < 1e-5);
            score[best] = -INFINITY;
        }
    }
    assert_int_equal(top[3 * k + 3], -1);
    Error e = {0};
    assert_false(rank_items(&device, u, v, (int32_t[]){11}, 1, k, NULL, NULL, top, NULL, &e));
    assert_error(e, SP_USAGE, "user 11");
    free(hu);
    free(hv);
    store_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(adjacencies),      cmocka_unit_test(learned_graphs),
                                       cmocka_unit_test(thinned_graphs),   cmocka_unit_test(refilled_graphs),
                                       cmocka_unit_test(turned_values),    cmocka_unit_test(lists_are_checked),
                                       cmocka_unit_test(graphs_that_fail), cmocka_unit_test(ranking)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
