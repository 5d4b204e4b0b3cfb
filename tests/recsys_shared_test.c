/* tests/recsys_shared_test.c: the parts that recommenders share (recsys/models/models.h): propagation, tables and
 * losses equal plain dense code and float64 PyTorch (tests/golden/losses_float64.py). */
#include "tests/shared_testing.h"

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

/* Computes the combined layers [N, D] by the formula, from x0 [N, D]. */
static void naive_layers(TestBench *b, const Propagation *p, const double *x0, double out[N * D])
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

/* Checks every way to combine layers, for all nodes and for some, from two tables and from one. */
static void propagation(void **state)
{
    TestBench *b = *state;
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

/* Checks SimGCL's noise: each row that is not zero changes by a vector of length `noise`, away from 0, and differently
 * in each call; nothing else changes. */
static void noisy_layers(void **state)
{
    TestBench *b = *state;
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

/* Checks the lists of a batch: each id occurs once, and every row has the index of its id. */
static void rows_of_a_batch(void **state)
{
    TestBench *b = *state;
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

/* Computes vectors of some rows by two graphs in one call: they equal those of two separate propagations. */
static void two_graphs_at_once(void **state)
{
    TestBench *b = *state;
    static const int32_t some_users[] = {0, 7, 19}, some_items[] = {1, 4, 9, 20};
    Modality *x = modalities_new(&b->model, (ModalityPlan){0}, &b->e);
    TwoGraphs g = {
        .items = {.graph = item_graph(&b->model, "near", 2, x, NULL, 3, KNN_BINARY, (KnnSource){0}, &b->e),
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

/* ---- tables ---------------------------------------------------------------------------------- */

/* Checks that a joined projection is one matrix over the concatenated features. */
static void joined_projection(void **state)
{
    TestBench *b = *state;
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
    /* a drawn tensor that is not trained begins with the numbers of a parameter of the same name, but is not a
     * parameter */
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
    TestBench *b = *state;
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

/* ---- losses ---------------------------------------------------------------------------------- */

static const Array *golden(TestBench *b, const Weights *w, const char *name, const char *part)
{
    const Array *a = weights_find(w, arena_printf(b->arena, &b->e, "%s.%s", name, part));
    if (!a)
        fail_msg("the golden file has no %s.%s", name, part);
    return a;
}

static void check_golden(TestBench *b, const Weights *w, const char *name, const char *part, const float *got)
{
    const Array *a = golden(b, w, name, part);
    double *expected = NEW(b->arena, double, a->count, &b->e);
    for (int64_t i = 0; i < a->count; i++)
        expected[i] = (double)((const float *)a->data)[i];
    /* logits of some hundreds have an error of 6e-5, which the exponentials amplify */
    double tolerance = strcmp(name, "large") == 0 ? 1e-4 : 1e-5;
    assert_near(arena_printf(b->arena, &b->e, "%s.%s", name, part), got, expected, a->count, tolerance);
}

static void distances(void **state)
{
    TestBench *b = *state;
    static const float a[] = {3, 0, 0, 2, 1, 1}, c[] = {1, 1, 0, -1, -2, -2};
    Tape *t = fresh_tape(b, false);
    Tensor *x = input_f32(t, a, 2, (int64_t[]){3, 2}), *y = input_f32(t, c, 2, (int64_t[]){3, 2});
    const float *got = numbers(b, cosine_distance(t, x, y));
    OK(b, tape_ok(t, &b->e));
    assert_true(fabs((double)got[0] - (1 - (sqrt(0.5) - 1 - 1) / 3)) < 1e-6);
    tape_free(t);
}

/* Checks InfoNCE over all nodes and over a batch, with gradients. */
static void info_nce_is_torchs(void **state)
{
    TestBench *b = *state;
    Weights *w = weights_open("tests/golden/losses.safetensors", b->arena, &b->e);
    OK(b, w != NULL);
    Weights *inputs = weights_open(drawn("tests/golden/gradients/losses.safetensors"), b->arena, &b->e);
    OK(b, inputs != NULL);
    static const char *const names[] = {"all", "batch", "large"};
    for (size_t n = 0; n < COUNT(names); n++) {
        const Array *a = golden(b, inputs, names[n], "a"), *c = golden(b, inputs, names[n], "b");
        double tau;
        const char *key = arena_printf(b->arena, &b->e, "%s.tau", names[n]);
        assert_true(text_f64(json_get(weights_metadata(w), key)->text, &tau));
        Store *s = store_new(&b->device, &b->e);
        Tape *t = fresh_tape(b, true);
        Tensor *x = param_from(s, "a", a->shape[0], a->shape[1], a->data, &b->e),
               *y = param_from(s, "b", c->shape[0], c->shape[1], c->data, &b->e), *loss;
        if (n == 0) {
            const Array *ids = golden(b, w, "all", "ids");
            Tensor *at = input_i32(t, ids->data, ids->count), *views[] = {x, y};
            /* users and items are the same, so the loss is half of the sum of their means */
            const Batch batch = {.user = at, .pos = at};
            loss = scale(t, contrast_batch(t, views, views, &batch, tau), (float)ids->count / 2);
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
    weights_close(inputs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(propagation),       cmocka_unit_test(noisy_layers),
        cmocka_unit_test(rows_of_a_batch),   cmocka_unit_test(two_graphs_at_once),
        cmocka_unit_test(joined_projection), cmocka_unit_test(weights_by_modality),
        cmocka_unit_test(distances),         cmocka_unit_test(info_nce_is_torchs),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
