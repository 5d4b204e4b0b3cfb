/* tests/recsys_graphs_test.c: the graphs of recommenders (recsys/models/models.h) equal plain dense code, and their
 * draws have the required properties. */
#include "tests/shared_testing.h"

static void blocks(void **state)
{
    TestBench *b = *state;
    static const EdgeWeight shares[] = {EDGE_ONES, EDGE_SYM, EDGE_USER, EDGE_ITEM};
    for (size_t s = 0; s < COUNT(shares); s++) {
        Csr *g = interaction_graph(&b->model, arena_printf(b->arena, &b->e, "block.%zu", s), shares[s], &b->e);
        double *a = dense(b, g), *turned = dense(b, csr_transpose(b->store, g, &b->e));
        for (int u = 0; u < U; u++)
            for (int i = 0; i < I; i++) {
                double du = b->degree[u], di = b->degree[U + i];
                double by = shares[s] == EDGE_SYM    ? 1 / sqrt(du * di)
                            : shares[s] == EDGE_USER ? 1 / du
                            : shares[s] == EDGE_ITEM ? 1 / di
                                                     : 1;
                assert_true(fabs(a[u * I + i] - (b->R[u][i] > 0 ? by : 0)) < 1e-6);
                assert_true(a[u * I + i] == turned[i * U + u]);
            }
    }
}

/* Returns the number of pairs in the thinned graph `a` [N, N], and marks them in `kept` (or NULL). */
static int64_t pairs_of(TestBench *b, const double *a, bool kept[U][I])
{
    int64_t n = 0;
    for (int u = 0; u < U; u++)
        for (int i = 0; i < I; i++) {
            bool here = a[u * N + U + i] > 0;
            assert_true(here == (a[(U + i) * N + u] > 0) && (!here || b->R[u][i] > 0));
            if (kept)
                kept[u][i] = here;
            n += here;
        }
    return n;
}

/* Checks that a thinned graph is a function of seed, epoch and stream, and that it has the requested number of pairs
 * and its own degrees. */
static void thinned(void **state)
{
    TestBench *b = *state;
    Model *m = &b->model;
    int64_t E = b->data.train.count;
    static const ThinKind kinds[] = {THIN_EDGES, THIN_BY_DEGREE, THIN_NODES};
    for (size_t k = 0; k < COUNT(kinds); k++) {
        Thinning how = {.kind = kinds[k], .drop = 0.4, .adjacency = ADJ_SYM};
        m->epoch = 6;
        Csr *g = thinned_graph(m, "thin", how, &b->e);
        double *first = dense(b, g);
        bool kept[U][I];
        int64_t n = pairs_of(b, first, kept);
        if (kinds[k] == THIN_NODES) { /* a node is kept with its pairs with all kept nodes, or it is dropped */
            int users = 0, items = 0;
            bool user[U] = {0}, item[I] = {0};
            for (int u = 0; u < U; u++)
                for (int i = 0; i < I; i++)
                    user[u] |= kept[u][i], item[i] |= kept[u][i];
            for (int u = 0; u < U; u++)
                users += user[u];
            for (int i = 0; i < I; i++)
                items += item[i];
            assert_true(users <= U - 12 && items <= I - 8);
            for (int u = 0; u < U; u++)
                for (int i = 0; i < I; i++)
                    assert_true(!user[u] || !item[i] || kept[u][i] == (b->R[u][i] > 0));
        } else {
            assert_int_equal(n, (int64_t)((double)E * (1 - 0.4)));
        }
        double degree[N] = {0};
        for (int r = 0; r < N; r++)
            for (int c = 0; c < N; c++)
                degree[r] += first[r * N + c] > 0;
        for (int r = 0; r < N; r++)
            for (int c = 0; c < N; c++)
                assert_true(first[r * N + c] == 0 || fabs(first[r * N + c] - 1 / sqrt(degree[r] * degree[c])) < 1e-6);
        m->epoch = 7;
        Csr *again = thinned_graph(m, "thin", how, &b->e);
        assert_ptr_equal(again, g); /* refilled */
        assert_memory_not_equal(dense(b, g), first, N * N * sizeof *first);
        how.stream = 1;
        m->epoch = 6;
        assert_memory_not_equal(dense(b, thinned_graph(m, "other", how, &b->e)), first, N * N * sizeof *first);
        how.stream = 0;
        assert_memory_equal(dense(b, thinned_graph(m, "thin", how, &b->e)), first, N * N * sizeof *first);
        how.drop = 0;
        assert_int_equal(thinned_graph(m, "thin", how, &b->e)->entries, 2 * E);
    }
}

/* Checks rounding: Elliot drops round(n drop) nodes or pairs, ties to even; other systems keep or drop int(n share). */
static void thinned_by_rounded_numbers(void **state)
{
    TestBench *b = *state;
    Model *m = &b->model;
    int64_t E = b->data.train.count;
    for (int64_t dropped = 1; dropped < 4; dropped++) { /* 1.5, 2.5 and 3.5 pairs: 2, 2, 4 */
        Thinning how = {.kind = THIN_EDGES, .drop = ((double)dropped + 0.5) / (double)E, .rounded = true};
        Csr *g = thinned_graph(m, "rounded", how, &b->e);
        OK(b, g != NULL);
        assert_int_equal(g->entries, 2 * (E - (dropped + dropped % 2)));
        how.rounded = false;
        assert_int_equal(thinned_graph(m, "rounded", how, &b->e)->entries, 2 * (E - dropped - 1));
    }
    for (int rounded = 0; rounded < 2; rounded++) { /* 10.5 of 30 users and 7.7 of 22 items */
        const Thinning how = {.kind = THIN_NODES, .drop = 0.35, .rounded = rounded};
        double *a = dense(b, thinned_graph(m, "rounded", how, &b->e));
        int64_t items = 0;
        bool kept[U][I];
        pairs_of(b, a, kept);
        for (int i = 0; i < I; i++) {
            bool here = false;
            for (int u = 0; u < U; u++)
                here |= kept[u][i];
            items += here;
        }
        assert_true(items <= I - 7 - rounded && items >= I - 7 - rounded - 2);
    }
}

/* Checks over many epochs that every pair is kept in proportion to its weight. For one draw without replacement, the
 * probability that pair e is first is w_e / sum w. */
static void thinned_by_degree(void **state)
{
    TestBench *b = *state;
    Model *m = &b->model;
    enum { EPOCHS = 3000 };
    int64_t E = b->data.train.count;
    double kept[U * I] = {0}, total = 0;
    const Thinning how = {
        .kind = THIN_BY_DEGREE, .drop = 1 - 1.5 / (double)E, .adjacency = ADJ_SYM}; /* one pair remains */
    for (m->epoch = 0; m->epoch < EPOCHS; m->epoch++) {
        Csr *g = thinned_graph(m, "thin", how, &b->e);
        OK(b, g && g->entries == 2);
        int32_t col[2];
        int64_t start[N + 1];
        OK(b, csr_read(&b->device, g, start, col, NULL, &b->e));
        for (int u = 0; u < U; u++)
            if (start[u + 1] > start[u])
                kept[u * I + col[0] - U]++;
    }
    for (int i = 0; i < U * I; i++)
        if (b->R[i / I][i % I] > 0)
            total += 1 / sqrt((double)b->degree[i / I] * b->degree[U + i % I]);
    for (int i = 0; i < U * I; i++) {
        double p = b->R[i / I][i % I] > 0 ? 1 / sqrt((double)b->degree[i / I] * b->degree[U + i % I]) / total : 0;
        if (!(fabs(kept[i] - EPOCHS * p) <= 5 * sqrt(EPOCHS * p * (1 - p))))
            fail_msg("pair %d is kept %g times, expected %g", i, kept[i], EPOCHS * p);
    }
    m->epoch = 1;
}

/* Checks that the two views of an epoch are different thinned graphs. Only random walks have another graph in each
 * layer. */
static void views(void **state)
{
    TestBench *b = *state;
    Model *m = &b->model;
    enum { LAYERS = 3 };
    for (ViewKind kind = VIEW_EDGES; kind <= VIEW_WALKS; kind++) {
        Views x = {0};
        double *first[2][LAYERS];
        const Thinning how = {
            .kind = kind == VIEW_NODES ? THIN_NODES : THIN_EDGES, .drop = 0.4, .stream = 1, .adjacency = ADJ_SYM};
        m->epoch = 6;
        OK(b, two_views(m, &x, kind, how, LAYERS, &b->e));
        for (int v = 0; v < 2; v++)
            for (int l = 0; l < LAYERS; l++) {
                first[v][l] = dense(b, x.view[v][l]);
                pairs_of(b, first[v][l], NULL);
                for (int n = 0; n < v * LAYERS + l; n++) /* compares with the draws of the graphs before */
                    assert_int_equal(
                        memcmp((void *)first[n / LAYERS][n % LAYERS], (void *)first[v][l], N * N * sizeof(double)) == 0,
                        kind != VIEW_WALKS && n / LAYERS == v);
            }
        assert_memory_equal(first[1][0], dense(b, thinned_graph(m, "thin", how, &b->e)), N * N * sizeof(double));
        const Csr *graph = x.view[1][LAYERS - 1];
        m->epoch = 7;
        OK(b, two_views(m, &x, kind, how, LAYERS, &b->e));
        assert_ptr_equal(x.view[1][LAYERS - 1], graph); /* refilled */
        assert_memory_not_equal(dense(b, graph), first[1][LAYERS - 1], N * N * sizeof(double));
        m->epoch = 6;
        Views again = {0};
        OK(b, two_views(m, &again, kind, how, LAYERS, &b->e));
        assert_memory_equal(dense(b, again.view[1][LAYERS - 1]), first[1][LAYERS - 1], N * N * sizeof(double));

        /* each layer of each view is computed with its graph */
        Tape *t = fresh_tape(b, false);
        Tensor *users[2], *items[2];
        light_gcn_views(t, m, &again, LAYERS, &b->x, users, items);
        OK(b, tape_ok(t, &b->e));
        float *start[2] = {numbers(b, b->x.user), numbers(b, b->x.item)};
        for (int at = 0; at < 2 * D; at++) {
            int v = at / D, d = at % D;
            float *got[2] = {numbers(b, users[v]), numbers(b, items[v])};
            double layer[N], mean[N];
            for (int n = 0; n < N; n++)
                mean[n] = layer[n] = (double)(n < U ? start[0][n * D + d] : start[1][(n - U) * D + d]);
            for (int l = 0; l < LAYERS; l++) {
                double next[N] = {0};
                for (int n = 0; n < N * N; n++)
                    next[n / N] += first[v][l][n] * layer[n % N];
                for (int n = 0; n < N; n++)
                    mean[n] += layer[n] = next[n];
            }
            for (int n = 0; n < N; n++)
                assert_true(fabs(mean[n] / (LAYERS + 1) -
                                 (double)(n < U ? got[0][n * D + d] : got[1][(n - U) * D + d])) < 1e-5);
        }
        tape_free(t);
    }
    m->epoch = 1;
}

static double cosine(const float *x, int width, int i, int j)
{
    double dot = 0, a = 0, c = 0;
    for (int d = 0; d < width; d++) {
        dot += (double)x[i * width + d] * (double)x[j * width + d];
        a += (double)x[i * width + d] * (double)x[i * width + d];
        c += (double)x[j * width + d] * (double)x[j * width + d];
    }
    return dot / sqrt(a * c);
}

/* Computes the k nearest items of each item, binary or by cosine, normalised by the sums of rows on both sides. */
static void naive_knn(const float *x, int width, int k, KnnKind kind, double weight, double out[I * I])
{
    double a[I * I] = {0}, sum[I] = {0};
    for (int i = 0; i < I; i++)
        for (int n = 0; n < k; n++) {
            int best = -1;
            for (int j = 0; j < I; j++)
                if (a[i * I + j] == 0 && (best < 0 || cosine(x, width, i, j) > cosine(x, width, i, best)))
                    best = j;
            a[i * I + best] = kind == KNN_BINARY ? 1 : cosine(x, width, i, best);
            sum[i] += a[i * I + best];
        }
    for (int i = 0; i < I * I; i++)
        out[i] += weight * a[i] / sqrt(sum[i / I] * sum[i % I]);
}

static void item_graphs(void **state)
{
    TestBench *b = *state;
    Modality *x = modalities_new(&b->model, (ModalityPlan){0}, &b->e);
    OK(b, x != NULL);
    const double weight[] = {0.1, 0.9};
    for (KnnKind kind = KNN_BINARY; kind <= KNN_COSINE; kind++) {
        double expected[I * I] = {0}, one[I * I] = {0};
        naive_knn(b->visual, WIDE, 4, kind, 0.1, expected);
        naive_knn(b->textual, D, 4, kind, 0.9, expected);
        naive_knn(b->textual, D, 4, kind, 1, one);
        Csr *both = item_graph(&b->model, "items", 2, x, weight, 4, kind, (KnnSource){0}, &b->e);
        double *got = dense(b, both);
        for (int i = 0; i < I * I; i++)
            assert_true(fabs(got[i] - expected[i]) < 1e-6);
        got = dense(b, item_graph(&b->model, "texts", 1, &x[1], NULL, 4, kind, (KnnSource){0}, &b->e));
        for (int i = 0; i < I * I; i++)
            assert_true(fabs(got[i] - one[i]) < 1e-6);
        Tape *t = fresh_tape(b, true); /* the graph has the transpose that a backward pass needs */
        OK(b, backward(t, sum(t, spmm(t, both, b->x.item)), &b->e));
        tape_free(t);
    }
}

static void cooccurrence(void **state)
{
    TestBench *b = *state;
    for (Side side = SIDE_USERS; side <= SIDE_ITEMS; side++)
        for (int least = 1; least < 4; least += 2) {
            int n = side == SIDE_USERS ? U : I, k = 3;
            double *got = dense(b, cooccurrence_graph(&b->model, "common", side, k, least, &b->e));
            for (int r = 0; r < n; r++) {
                double count[N] = {0}, expected[N] = {0};
                for (int o = 0; o < n; o++)
                    for (int c = 0; c < (side == SIDE_USERS ? I : U) && o != r; c++)
                        count[o] += side == SIDE_USERS ? b->R[r][c] * b->R[o][c] : b->R[c][r] * b->R[c][o];
                for (int i = 0; i < k; i++) {
                    int best = 0;
                    for (int o = 1; o < n; o++)
                        best = count[o] > count[best] ? o : best;
                    if (count[best] >= least)
                        expected[best] = count[best];
                    count[best] = 0;
                }
                for (int o = 0; o < n; o++)
                    assert_true(got[r * n + o] == expected[o]);
            }
        }
}

/* Refuses every request for memory in turn: there is an error each time, and no leak. */
static void refused_memory(void **state)
{
    TestBench *b = *state;
    bool done = false;
    for (size_t n = 1; !done; n++) {
        TestHeap heap;
        test_heap(&heap, n);
        Error e = {0};
        Device d = b->device;
        d.heap = &heap.heap;
        Store *s = store_new(&d, &e);
        Arena *a = s ? arena_new(&heap.heap, 0) : NULL;
        Model m = b->model;
        m.store = s;
        m.arena = a;
        const Thinning edges = {.kind = THIN_BY_DEGREE, .drop = 0.3}, nodes = {.kind = THIN_NODES, .drop = 0.3};
        Csr *g = a ? user_item_graph(&m, "whole", ADJ_SYM, &e) : NULL, *row;
        Modality *x = g && csr_index(s, g, &e) ? modalities_new(&m, (ModalityPlan){.width = 4}, &e) : NULL;
        Views views = {0};
        done = x && two_views(&m, &views, VIEW_WALKS, edges, 2, &e) && thinned_graph(&m, "thin", edges, &e) &&
               thinned_graph(&m, "thin", nodes, &e) && (row = user_item_graph(&m, "row", ADJ_ROW_SELF, &e)) &&
               dropped_graph(&m, "drop", row, 0.2, &e) && interaction_graph(&m, "block", EDGE_SYM, &e) &&
               item_graph(&m, "items", 2, x, NULL, 3, KNN_BINARY, (KnnSource){0}, &e) &&
               cooccurrence_graph(&m, "common", SIDE_USERS, 3, 1, &e);
        if (a && !done)
            assert_int_equal(e.code, SP_MEMORY);
        assert_true(n < 1000);
        arena_free(a);
        store_free(s);
        assert_int_equal(heap.live, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks),
        cmocka_unit_test(thinned),
        cmocka_unit_test(thinned_by_rounded_numbers),
        cmocka_unit_test(thinned_by_degree),
        cmocka_unit_test(views),
        cmocka_unit_test(item_graphs),
        cmocka_unit_test(cooccurrence),
        cmocka_unit_test(refused_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
