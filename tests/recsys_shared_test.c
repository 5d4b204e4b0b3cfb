/* tests/recsys_shared_test.c: what recommenders share (recsys/models/models.h), against plain dense code, against
 * float64 PyTorch (tests/golden/losses_float64.py) and against what must hold of draws. */
#include "recsys/models/models.h"

#include "tests/testing.h"

#include <math.h>

enum { U = 30, I = 22, N = U + I, D = 6, WIDE = 9 };
typedef struct Bench {
    Device device;
    Arena *arena;
    DataSet data;
    Store *store;
    Model model;
    Tables x;
    double R[U][I];
    int degree[N]; /* of users, then of items */
    float visual[I * WIDE], textual[I * D];
    Error e;
} Bench;

static int setup(void **state)
{
    Bench *b = calloc(1, sizeof *b);
    assert_ok(device_open(&b->device, NULL, 2, NULL, NULL, &b->e), b->e);
    b->arena = arena_new(NULL, 0);
    b->store = store_new(&b->device, &b->e);
    Pairs *train = &b->data.train;
    train->start = NEW(b->arena, int64_t, U + 1, &b->e);
    train->item = NEW(b->arena, int32_t, U * I, &b->e);
    for (uint32_t u = 0; u < U; u++) { /* user 3 and item 5 have none; item 0 is a hub */
        for (uint32_t i = 0; i < I; i++)
            if (u != 3 && i != 5 && (i == 0 || draw_below((Draw){9, DRAW_TEST, 0}, u * I + i, 4) == 0)) {
                train->item[train->count++] = (int32_t)i;
                b->R[u][i] = 1;
                b->degree[u]++;
                b->degree[U + i]++;
            }
        train->start[u + 1] = train->count;
    }
    for (int i = 0; i < I * WIDE; i++)
        b->visual[i] = draw_normal((Draw){9, DRAW_TEST, 1}, (uint64_t)i);
    for (int i = 0; i < I * D; i++)
        b->textual[i] = draw_normal((Draw){9, DRAW_TEST, 2}, (uint64_t)i);
    b->data.U = U;
    b->data.I = I;
    b->data.arena = b->arena;
    b->data.features = NEW(b->arena, Feature, 2, &b->e);
    b->data.feature_count = 2;
    b->data.features[0] = (Feature){.name = "visual", .D = WIDE, .data = b->visual};
    b->data.features[1] = (Feature){.name = "textual", .D = D, .data = b->textual};
    b->model = (Model){.data = &b->data, .store = b->store, .arena = b->arena, .seed = 4, .epoch = 1};
    assert_ok(tables_new(&b->model, &b->x, D, (Init){INIT_NORMAL, 1}, &b->e), b->e);
    *state = b;
    return b->e.code != SP_OK;
}

static int teardown(void **state)
{
    Bench *b = *state;
    store_free(b->store);
    arena_free(b->arena);
    device_close(&b->device);
    free(b);
    return 0;
}

#define OK(b, condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            fail_msg("%s: %s", #condition, (b)->e.message);                                                            \
    } while (0)

static Tape *fresh_tape(Bench *b, bool training)
{
    Tape *t = tape_new(&b->device, training, &b->e);
    OK(b, t != NULL);
    tape_reset(t, (Draw){3, DRAW_DROPOUT, 0});
    return t;
}

static float *numbers(Bench *b, const Tensor *x)
{
    float *host = NEW(b->arena, float, MAX(x->count, 1), &b->e);
    tensor_read(&b->device, x, 0, x->count, host);
    return host;
}

static double *dense(Bench *b, const Csr *g)
{
    OK(b, g != NULL);
    int64_t *start = NEW(b->arena, int64_t, g->rows + 1, &b->e);
    int32_t *col = NEW(b->arena, int32_t, MAX(g->entries, 1), &b->e);
    float *val = NEW(b->arena, float, MAX(g->entries, 1), &b->e);
    double *a = NEW(b->arena, double, g->rows * g->cols, &b->e);
    OK(b, csr_read(&b->device, g, start, col, val, &b->e));
    for (int64_t r = 0; r < g->rows; r++)
        for (int64_t e = start[r]; e < start[r + 1]; e++)
            a[r * g->cols + col[e]] = (double)val[e];
    return a;
}

static void assert_near(const char *what, const float *got, const double *expected, int64_t n, double tolerance)
{
    double largest = 0;
    for (int64_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(expected[i]));
    for (int64_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - expected[i]) <= tolerance * fmax(largest, 1e-6)))
            fail_msg("%s: number %lld: %g, not %g", what, (long long)i, (double)got[i], expected[i]);
}

/* ---- propagation ----------------------------------------------------------------------------- */

static void normalize(double *x, int64_t rows)
{
    for (int64_t r = 0; r < rows; r++) {
        double sum = 0;
        for (int d = 0; d < D; d++)
            sum += x[r * D + d] * x[r * D + d];
        for (int d = 0; d < D; d++)
            x[r * D + d] /= fmax(sqrt(sum), 1e-12);
    }
}

/* The layers as the formula reads; x0 [N, D] */
static void naive_layers(Bench *b, const Propagation *p, const double *x0, double out[N * D])
{
    double x[N * D], next[N * D];
    memcpy(x, x0, sizeof x);
    for (int i = 0; i < N * D; i++)
        out[i] = p->skip_input ? 0 : x[i];
    for (int64_t l = 0; l < p->layers; l++) {
        double *a = dense(b, p->graphs ? p->graphs[l] : p->graph);
        memset(next, 0, sizeof next);
        for (int r = 0; r < N; r++)
            for (int c = 0; c < N; c++)
                for (int d = 0; d < D; d++)
                    next[r * D + d] += a[r * N + c] * x[c * D + d];
        if (p->normalize)
            normalize(next, N);
        memcpy(x, next, sizeof x);
        for (int i = 0; i < N * D; i++)
            out[i] = p->combine == COMBINE_LAST ? x[i] : out[i] + x[i];
    }
    for (int i = 0; i < N * D && p->combine == COMBINE_MEAN; i++)
        out[i] /= (double)(p->layers + !p->skip_input);
}

/* Every way to combine, for all nodes and for some, from two tables and from one. */
static void propagation(void **state)
{
    Bench *b = *state;
    Tables x = b->x;
    Csr *sym = user_item_graph(&b->model, "sym", ADJ_SYM, &b->e),
        *row = user_item_graph(&b->model, "row", ADJ_ROW_SELF, &b->e);
    const Csr *each[] = {row, sym, row};
    const Propagation cases[] = {
        {.graph = sym, .layers = 0},
        {.graph = sym, .layers = 2},
        {.graph = row, .layers = 3, .combine = COMBINE_SUM},
        {.graph = sym, .layers = 2, .combine = COMBINE_LAST},
        {.graph = row, .layers = 2, .skip_input = true},
        {.graph = sym, .layers = 1, .combine = COMBINE_SUM, .skip_input = true},
        {.graphs = each, .layers = 3},
        {.graph = row, .layers = 2, .normalize = true},
    };
    static const int32_t some[] = {1, 3, 17, U, U + 5, U + 9};
    float *user = numbers(b, x.user), *item = numbers(b, x.item);
    double x0[N * D], expected[N * D], picked[COUNT(some) * D];
    for (int i = 0; i < N * D; i++)
        x0[i] = (double)(i < U * D ? user[i] : item[i - U * D]);
    for (size_t c = 0; c < COUNT(cases); c++) {
        Tape *t = fresh_tape(b, true);
        naive_layers(b, &cases[c], x0, expected);
        Tensor *all = propagate(t, &cases[c], x.user, x.item, NULL), *users, *items;
        Reach reached = reach(t, &cases[c], x.user, x.item, input_i32(t, some, COUNT(some)));
        Tensor *few = propagate(t, &cases[c], x.user, x.item, &reached);
        Tensor *one = propagate(t, &cases[c], stack_rows(t, x.user, x.item), NULL, NULL);
        split_nodes(t, &b->model, all, &users, &items);
        OK(b, tape_ok(t, &b->e));
        for (size_t i = 0; i < COUNT(some); i++)
            memcpy(picked + i * D, expected + some[i] * D, D * sizeof *picked);
        assert_near("all", numbers(b, all), expected, N * D, 1e-5);
        assert_near("some", numbers(b, few), picked, COUNT(some) * D, 1e-5);
        assert_near("one table", numbers(b, one), expected, N * D, 1e-5);
        assert_near("items", numbers(b, items), expected + U * D, I * D, 1e-5);
        tape_free(t);
    }
    Tape *t = fresh_tape(b, true);
    propagate(t, &(Propagation){.graph = sym, .skip_input = true}, x.user, x.item, NULL);
    assert_false(tape_ok(t, &b->e));
    assert_error(b->e, SP_USAGE, "no layer is left");
    error_clear(&b->e);
    tape_free(t);
}

/* SimGCL's noise: each row moves by `noise`, away from 0, otherwise at each call; nothing else changes. */
static void noisy_layers(void **state)
{
    Bench *b = *state;
    Tables x = b->x;
    Propagation p = {.graph = user_item_graph(&b->model, "sym", ADJ_SYM, &b->e), .layers = 1, .combine = COMBINE_LAST};
    Tape *t = fresh_tape(b, true);
    float *clean = numbers(b, propagate(t, &p, x.user, x.item, NULL));
    p.noise = 0.1f;
    Tensor *first = propagate(t, &p, x.user, x.item, NULL), *second = propagate(t, &p, x.user, x.item, NULL);
    OK(b, tape_ok(t, &b->e));
    float *once = numbers(b, first), *twice = numbers(b, second);
    assert_memory_not_equal(once, twice, N * D * sizeof *once);
    for (int r = 0; r < N; r++) {
        double moved = 0, size = 0;
        for (int d = 0; d < D; d++) {
            double by = (double)once[r * D + d] - (double)clean[r * D + d];
            assert_true(by == 0 || (by > 0) == (clean[r * D + d] > 0));
            moved += by * by;
            size += fabs((double)clean[r * D + d]);
        }
        assert_true(fabs(sqrt(moved) - (size > 0 ? 0.1 : 0)) < 1e-5);
    }
    tape_free(t);
}

/* The batch's lists: each id once, and every row finds its own. */
static void rows_of_a_batch(void **state)
{
    Bench *b = *state;
    static const int32_t users[] = {7, 2, 7, 0}, pos[] = {4, 4, 9, 1}, neg[] = {9, 0, 2, 4};
    Tape *t = fresh_tape(b, true);
    Batch batch = {.B = 4, .user = input_i32(t, users, 4), .pos = input_i32(t, pos, 4), .neg = input_i32(t, neg, 4)};
    for (int negatives = 0; negatives < 2; negatives++) {
        if (!negatives)
            batch.neg = NULL;
        BatchRows r = batch_rows(t, &batch);
        OK(b, tape_ok(t, &b->e));
        assert_int_equal(r.users->count, 3);
        int32_t list[8], at[4];
        tensor_read(&b->device, r.items, 0, r.items->count, list);
        tensor_read(&b->device, r.pos, 0, 4, at);
        for (int i = 0; i < 4; i++)
            assert_int_equal(list[at[i]], pos[i]);
        assert_int_equal(r.items->count, 3); /* 1 4 9 */
        assert_null(r.neg);
    }
    tape_free(t);
}

/* Vectors of some rows by two graphs: those of the two propagations one by one. */
static void two_graphs_at_once(void **state)
{
    Bench *b = *state;
    static const int32_t some_users[] = {0, 7, 19}, some_items[] = {1, 4, 9, 20};
    Modality *x = modalities_new(&b->model, (ModalityPlan){0}, &b->e);
    TwoGraphs g = {
        .items = {.graph = item_graph(&b->model, "near", 2, x, NULL, 3, KNN_BINARY, &b->e),
                  .layers = 1,
                  .combine = COMBINE_LAST},
        .nodes = {.graph = user_item_graph(&b->model, "nodes", ADJ_SYM, &b->e), .layers = 2},
    };
    OK(b, g.items.graph && g.nodes.graph);
    for (int training = 0; training < 2; training++) {
        Tape *t = fresh_tape(b, training);
        Tensor *all_items = propagate(t, &g.items, b->x.item, NULL, NULL),
               *all = propagate(t, &g.nodes, b->x.user, b->x.item, NULL), *users, *items;
        two_graphs_reach(t, &b->model, &g, &b->x, NULL, NULL);
        Tensor *near = two_graphs(t, &g, &b->x, &users, &items);
        OK(b, tape_ok(t, &b->e));
        assert_memory_equal(numbers(b, near), numbers(b, all_items), I * D * sizeof(float));
        assert_memory_equal(numbers(b, users), numbers(b, all), U * D * sizeof(float));
        assert_memory_equal(numbers(b, items), numbers(b, all) + U * D, I * D * sizeof(float));
        Tensor *user_ids = input_i32(t, some_users, 3), *item_ids = input_i32(t, some_items, 4);
        two_graphs_reach(t, &b->model, &g, &b->x, user_ids, item_ids);
        near = two_graphs(t, &g, &b->x, &users, &items);
        OK(b, tape_ok(t, &b->e));
        for (int i = 0; i < 4; i++) {
            assert_memory_equal(numbers(b, near) + i * D, numbers(b, all_items) + some_items[i] * D, D * sizeof(float));
            assert_memory_equal(numbers(b, items) + i * D, numbers(b, all) + (U + some_items[i]) * D,
                                D * sizeof(float));
        }
        for (int u = 0; u < 3; u++)
            assert_memory_equal(numbers(b, users) + u * D, numbers(b, all) + some_users[u] * D, D * sizeof(float));
        tape_free(t);
    }
}

/* ---- graphs ---------------------------------------------------------------------------------- */

static void blocks(void **state)
{
    Bench *b = *state;
    static const Share shares[] = {SHARE_ONES, SHARE_SYM, SHARE_USER, SHARE_ITEM};
    for (size_t s = 0; s < COUNT(shares); s++) {
        Csr *g = interaction_graph(&b->model, arena_printf(b->arena, &b->e, "block.%zu", s), shares[s], &b->e);
        double *a = dense(b, g), *turned = dense(b, csr_turned(b->store, g, &b->e));
        for (int u = 0; u < U; u++)
            for (int i = 0; i < I; i++) {
                double du = b->degree[u], di = b->degree[U + i];
                double by = shares[s] == SHARE_SYM    ? 1 / sqrt(du * di)
                            : shares[s] == SHARE_USER ? 1 / du
                            : shares[s] == SHARE_ITEM ? 1 / di
                                                      : 1;
                assert_true(fabs(a[u * I + i] - (b->R[u][i] > 0 ? by : 0)) < 1e-6);
                assert_true(a[u * I + i] == turned[i * U + u]);
            }
    }
}

/* Pairs of the thinned graph */
static int64_t pairs_of(Bench *b, const double *a, bool kept[U][I])
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

/* A thinned graph is a function of seed, epoch and stream; it has as many pairs as asked for, and its own degrees. */
static void thinned(void **state)
{
    Bench *b = *state;
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
        if (kinds[k] == THIN_NODES) { /* a node is there with its pairs with all others that are there, or not at all */
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

/* Over many epochs every pair is kept as often as its weight says. For one draw without replacement the chance that
 * pair e is first is w_e / sum w. */
static void thinned_by_degree(void **state)
{
    Bench *b = *state;
    Model *m = &b->model;
    enum { EPOCHS = 3000 };
    int64_t E = b->data.train.count;
    double kept[U * I] = {0}, total = 0;
    const Thinning how = {
        .kind = THIN_BY_DEGREE, .drop = 1 - 1.5 / (double)E, .adjacency = ADJ_SYM}; /* one pair is left */
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

/* The k nearest of each item, binary or by cosine, normalised by sums of rows at both ends */
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
    Bench *b = *state;
    Modality *x = modalities_new(&b->model, (ModalityPlan){0}, &b->e);
    OK(b, x != NULL);
    const double weight[] = {0.1, 0.9};
    for (KnnKind kind = KNN_BINARY; kind <= KNN_COSINE; kind++) {
        double expected[I * I] = {0}, one[I * I] = {0};
        naive_knn(b->visual, WIDE, 4, kind, 0.1, expected);
        naive_knn(b->textual, D, 4, kind, 0.9, expected);
        naive_knn(b->textual, D, 4, kind, 1, one);
        Csr *both = item_graph(&b->model, "items", 2, x, weight, 4, kind, &b->e);
        double *got = dense(b, both);
        for (int i = 0; i < I * I; i++)
            assert_true(fabs(got[i] - expected[i]) < 1e-6);
        got = dense(b, item_graph(&b->model, "texts", 1, &x[1], NULL, 4, kind, &b->e));
        for (int i = 0; i < I * I; i++)
            assert_true(fabs(got[i] - one[i]) < 1e-6);
        Tape *t = fresh_tape(b, true); /* it has what a backward pass needs */
        OK(b, backward(t, sum(t, spmm(t, both, b->x.item)), &b->e));
        tape_free(t);
    }
}

static void cooccurrence(void **state)
{
    Bench *b = *state;
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

/* ---- tables ---------------------------------------------------------------------------------- */

/* A joined projection is one matrix over the features side by side. */
static void joined_projection(void **state)
{
    Bench *b = *state;
    Store *s = store_new(&b->device, &b->e);
    Model m = b->model;
    m.store = s;
    Modality *x = modalities_new(
        &m, (ModalityPlan){.joined = true, .width = 5, .w = {INIT_FAN_IN, 0}, .b = {INIT_FAN_IN, 0}}, &b->e);
    OK(b, x != NULL);
    assert_true(x[0].linear.b && !x[1].linear.b && !x[0].features->param);
    static const int32_t ids[] = {4, 0, 21};
    Tape *t = fresh_tape(b, true);
    Tensor *y = project_joined(t, x, 2, input_i32(t, ids, 3));
    OK(b, tape_ok(t, &b->e));
    float *w[] = {numbers(b, x[0].linear.w), numbers(b, x[1].linear.w)}, *bias = numbers(b, x[0].linear.b);
    double expected[3 * 5], bound = 1 / sqrt((double)(WIDE + D)), largest = 0;
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 5; c++) {
            expected[r * 5 + c] = (double)bias[c];
            for (int d = 0; d < WIDE; d++)
                expected[r * 5 + c] += (double)w[0][c * WIDE + d] * (double)b->visual[ids[r] * WIDE + d];
            for (int d = 0; d < D; d++)
                expected[r * 5 + c] += (double)w[1][c * D + d] * (double)b->textual[ids[r] * D + d];
        }
    assert_near("projection", numbers(b, y), expected, 15, 1e-5);
    for (int i = 0; i < 5 * WIDE; i++)
        largest = fmax(largest, fabs((double)w[0][i]));
    assert_true(largest <= bound && largest > 0.8 * bound);
    tape_free(t);
    /* what is drawn and never trained begins as a parameter of the name would, and is none */
    Tensor *frozen = store_random(s, "frozen", 7, 3, (Init){INIT_XAVIER_NORMAL, 0}, 5, &b->e);
    Store *other = store_new(&b->device, &b->e);
    Tensor *trained = param_new(other, "frozen", 7, 3, (Init){INIT_XAVIER_NORMAL, 0}, 5, &b->e);
    OK(b, frozen && trained && !frozen->param && !frozen->needs_grad);
    assert_memory_equal(numbers(b, frozen), numbers(b, trained), 21 * sizeof(float));
    store_free(other);
    store_free(s);
}

static void weights_by_modality(void **state)
{
    Bench *b = *state;
    static const Recommender kind = {.name = "NAME"};
    Error e = {0};
    DataSet data = b->data;
    Model m = b->model;
    m.kind = &kind;
    m.data = &data;
    const double *w = modality_weights(&m, "textual", 0.1, &e);
    assert_true(w && w[0] == 0.9 && w[1] == 0.1);
    assert_null(modality_weights(&m, "audio", 0.1, &e));
    assert_error(e, SP_USAGE,
                 "NAME: one of several modalities must be named audio; the features are named visual, textual");
    e = (Error){0};
    data.feature_count = 1;
    w = modality_weights(&m, "audio", 0.1, &e);
    assert_true(w && w[0] == 1);
}

/* Every request for memory refused, one after another: a clean error, and nothing is left behind. */
static void refused_memory(void **state)
{
    Bench *b = *state;
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
        done = x && thinned_graph(&m, "thin", edges, &e) && thinned_graph(&m, "thin", nodes, &e) &&
               (row = user_item_graph(&m, "row", ADJ_ROW_SELF, &e)) && dropped_graph(&m, "drop", row, 0.2, &e) &&
               interaction_graph(&m, "block", SHARE_SYM, &e) &&
               item_graph(&m, "items", 2, x, NULL, 3, KNN_BINARY, &e) &&
               cooccurrence_graph(&m, "common", SIDE_USERS, 3, 1, &e);
        if (a && !done)
            assert_int_equal(e.code, SP_MEMORY);
        assert_true(n < 1000);
        arena_free(a);
        store_free(s);
        assert_int_equal(heap.live, 0);
    }
}

/* ---- losses ---------------------------------------------------------------------------------- */

static const Array *golden(Bench *b, const Weights *w, const char *name, const char *part)
{
    const Array *a = weights_find(w, arena_printf(b->arena, &b->e, "%s.%s", name, part));
    if (!a)
        fail_msg("the golden file has no %s.%s", name, part);
    return a;
}

static void check_golden(Bench *b, const Weights *w, const char *name, const char *part, const float *got)
{
    const Array *a = golden(b, w, name, part);
    double *expected = NEW(b->arena, double, a->count, &b->e);
    for (int64_t i = 0; i < a->count; i++)
        expected[i] = (double)((const float *)a->data)[i];
    /* logits of some hundreds have an error of 6e-5, which their exponentials multiply */
    double tolerance = strcmp(name, "large") == 0 ? 1e-4 : 1e-5;
    assert_near(arena_printf(b->arena, &b->e, "%s.%s", name, part), got, expected, a->count, tolerance);
}

static void distances(void **state)
{
    Bench *b = *state;
    static const float a[] = {3, 0, 0, 2, 1, 1}, c[] = {1, 1, 0, -1, -2, -2};
    Tape *t = fresh_tape(b, false);
    Tensor *x = input_f32(t, a, 2, (int64_t[]){3, 2}), *y = input_f32(t, c, 2, (int64_t[]){3, 2});
    const float *got = numbers(b, cosine_distance(t, x, y));
    OK(b, tape_ok(t, &b->e));
    assert_true(fabs((double)got[0] - (1 - (sqrt(0.5) - 1 - 1) / 3)) < 1e-6);
    tape_free(t);
}

/* InfoNCE over all nodes and over a batch, with gradients. */
static void info_nce_is_torchs(void **state)
{
    Bench *b = *state;
    Weights *w = weights_open("tests/golden/losses.safetensors", b->arena, &b->e);
    OK(b, w != NULL);
    static const char *const names[] = {"all", "batch", "large"};
    for (size_t n = 0; n < COUNT(names); n++) {
        const Array *a = golden(b, w, names[n], "a"), *c = golden(b, w, names[n], "b");
        double tau;
        const char *key = arena_printf(b->arena, &b->e, "%s.tau", names[n]);
        assert_true(text_f64(json_get(weights_metadata(w), key)->text, &tau));
        Store *s = store_new(&b->device, &b->e);
        Tape *t = fresh_tape(b, true);
        Tensor *x = param_from(s, "a", a->shape[0], a->shape[1], a->data, &b->e),
               *y = param_from(s, "b", c->shape[0], c->shape[1], c->data, &b->e), *loss;
        if (n == 0) {
            const Array *ids = golden(b, w, "all", "ids");
            Tensor *at = input_i32(t, ids->data, ids->count), *all = row_normalize(t, y, 1e-12f);
            loss = sum(t, info_nce(t, gather(t, row_normalize(t, x, 1e-12f), at), gather(t, all, at), all, tau));
        } else {
            loss = mean(t, info_nce(t, x, y, NULL, tau));
        }
        OK(b, tape_ok(t, &b->e));
        check_golden(b, w, names[n], "loss", numbers(b, loss));
        OK(b, backward(t, loss, &b->e));
        float *grad = NEW(b->arena, float, MAX(a->count, c->count), &b->e);
        OK(b, tensor_grad(t, x, grad, &b->e));
        check_golden(b, w, names[n], "grad_a", grad);
        OK(b, tensor_grad(t, y, grad, &b->e));
        check_golden(b, w, names[n], "grad_b", grad);
        tape_free(t);
        store_free(s);
    }
    weights_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(propagation),
        cmocka_unit_test(noisy_layers),
        cmocka_unit_test(rows_of_a_batch),
        cmocka_unit_test(two_graphs_at_once),
        cmocka_unit_test(blocks),
        cmocka_unit_test(thinned),
        cmocka_unit_test(thinned_by_degree),
        cmocka_unit_test(item_graphs),
        cmocka_unit_test(cooccurrence),
        cmocka_unit_test(joined_projection),
        cmocka_unit_test(weights_by_modality),
        cmocka_unit_test(refused_memory),
        cmocka_unit_test(distances),
        cmocka_unit_test(info_nce_is_torchs),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
