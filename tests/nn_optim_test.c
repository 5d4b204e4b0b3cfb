/* tests/nn_optim_test.c: optimisers, lazy rows, checkpoints, the memory of a step. */
#include "tests/nn_testing.h"

#include <math.h>

enum { U = 50, I = 40, D = 12, F = 33, B = 16 };

typedef struct Model {
    Device d;
    Store *s;
    Tape *t;
    Tensor *users, *items, *features, *once;
    Linear project;
} Model;

static Model model_new(const Heap *heap, int threads)
{
    Model m = {.d = test_device(heap, threads)};
    m.s = store_new(&m.d, &error);
    m.t = tape_new(&m.d, true, &error);
    m.users = test_param(m.s, "users", U, D, 1);
    m.items = test_param(m.s, "items", I, D, 2);
    m.features = test_param(m.s, "features", I, F, 3);
    m.once = test_param(m.s, "once", 5, 0, 4);
    m.project =
        linear_new(m.s, "project", D, F, true, (Init){INIT_XAVIER_NORMAL, 0}, (Init){INIT_UNIFORM, 0.1}, 7, &error);
    return m;
}

static void model_free(Model *m)
{
    tape_free(m->t);
    store_free(m->s);
    device_close(&m->d);
}

/* Bits: which losses a step has, so that parameters have gradients of these kinds. */
typedef enum Kinds { ROWS = 1, FACTORS = 2, MIXED = 4, GATHERED = 8, ALL = 15 } Kinds;

/* Returns a loss that changes with the step: it reaches the parameters through other ops in each step. */
static Tensor *loss_of(Model *m, int step, Kinds kinds)
{
    int32_t id[3][B];
    for (int k = 0; k < 3; k++)
        /* few distinct ids: duplicates in a batch, and rows that are not read for many steps */
        for (int b = 0; b < B; b++)
            id[k][b] = (int32_t)draw_below((Draw){100 + (uint64_t)k, DRAW_TEST, (uint32_t)step}, (uint64_t)b,
                                           step % 7 ? 9 : I);
    Tape *t = m->t;
    Tensor *u = gather(t, m->users, input_i32(t, id[0], B));
    Tensor *pos = input_i32(t, id[1], B), *neg = input_i32(t, id[2], B);
    Tensor *loss = NULL;
    if (kinds & ROWS && step % 5 != 4) { /* in some steps the items have no gradient */
        Tensor *p = gather(t, m->items, pos), *n = gather(t, m->items, neg);
        loss = add(t, bpr_loss(t, 1, &(Triples){u, p, n, 0}, 0), scale(t, frobenius(t, p), 0.01f));
    }
    /* the gradient of some rows is in two factors; in some steps other rows have a gradient too */
    if (kinds & GATHERED) {
        Tensor *pos_at, *neg_at, *some = distinct(t, pos, neg, &pos_at, &neg_at);
        Tensor *rows = gather(t, m->features, some), *y = linear_act(t, rows, &m->project, ACT_LEAKY_RELU, 0.01f);
        Tensor *x = bpr_loss(t, 1, &(Triples){u, gather(t, y, pos_at), gather(t, y, neg_at), 0}, 0.01f);
        if (step % 4 == 2)
            x = add(t, x, sum_squares(t, gather(t, m->features, pos)));
        if (step % 8 == 2)
            x = add(t, x, sum_squares(t, linear(t, rows, &m->project)));
        if (step % 8 == 5)
            x = add(t, x, sum_squares(t, rows));
        loss = loss ? add(t, loss, x) : x;
    }
    if (kinds & FACTORS || !loss) {
        Tensor *all = linear_act(t, m->features, &m->project, ACT_LEAKY_RELU, 0.01f);
        Tensor *x = bpr_loss(t, 1, &(Triples){u, gather(t, all, pos), gather(t, all, neg), 0}, 0.01f);
        loss = loss ? add(t, loss, x) : x;
    }
    if (kinds & MIXED && step % 3 == 1)
        loss = add(
            t, loss,
            add(t, sum_squares(t, m->users), sum(t, mul(t, gather(t, m->features, pos), gather(t, m->features, neg)))));
    if (step == 0)
        loss = add(t, loss, sum_squares(t, m->once));
    return loss;
}

/* Makes every gradient dense before the step. The lazy forms must give the same bits. */
static void force_dense(Tape *t)
{
    for (ParamGrad *g = t->grads; g; g = g->next) {
        size_t bytes = (size_t)g->param->x->count * sizeof(float);
        if (!g->dense) {
            g->dense = step_floats(t, g->param->x->count);
            t->k->zero(&t->run, g->dense, bytes);
        }
        assert_true(grad_dense(t, g, g->dense));
        g->rows = NULL;
        g->factors = NULL;
    }
}

static void train(Model *m, Optim o, int from, int to, Kinds kinds, bool dense)
{
    double lr = o.lr;
    for (int step = from; step < to; step++) {
        Error e = {0};
        tape_reset(m->t, (Draw){1, DRAW_DROPOUT, (uint32_t)step});
        Tensor *loss = loss_of(m, step, kinds);
        if (!backward(m->t, loss, &e))
            fail_msg("%s", e.message);
        if (dense) {
            force_dense(m->t);
            store_settle(m->s);
        }
        o.lr = lr * pow(0.99, step);
        if (!optim_step(&o, m->s, m->t, &e))
            fail_msg("%s", e.message);
    }
}

/* Reports whether n floats of the device memory of two stores are equal. */
static bool same_floats(const Store *of_a, const float *a, const Store *of_b, const float *b, int64_t n)
{
    size_t bytes = (size_t)n * sizeof *a;
    float *x = malloc(2 * bytes + 1), *y = x + n;
    Run run = device_run(store_device(of_a)), other = device_run(store_device(of_b));
    store_device(of_a)->k->download(&run, x, a, bytes);
    store_device(of_b)->k->download(&other, y, b, bytes);
    bool same = memcmp(x, y, bytes) == 0;
    free(x);
    return same;
}

static void same_stores(Store *a, Store *b)
{
    store_settle(a);
    store_settle(b);
    assert_int_equal(store_count(a), store_count(b));
    for (size_t i = 0; i < store_count(a); i++) {
        const Tensor *x = store_at(a, i), *y = store_at(b, i);
        if (!same_floats(a, x->data, b, y->data, x->count))
            fail_msg("%s differs", store_name(a, x));
        assert_int_equal(x->param->steps, y->param->steps);
        for (OptimState j = 0; j < STATE_COUNT; j++) {
            assert_true(!x->param->state[j] == !y->param->state[j]);
            if (x->param->state[j])
                assert_true(same_floats(a, x->param->state[j], b, y->param->state[j], x->count));
        }
    }
}

static void lazy_is_dense(void **state)
{
    (void)state;
    for (Kinds kinds = ROWS; kinds <= ALL; kinds++)
        for (int variant = 0; variant < 3; variant++) {
            Model lazy = model_new(NULL, 2), dense = model_new(NULL, 1);
            Optim o = optim_adam(0.05);
            o.skip_missing = variant == 1;
            o.weight_decay = variant == 2 ? 0.01 : 0;
            int steps = kinds == ROWS ? HISTORY + 20 : 40; /* more steps than the history has room for */
            train(&lazy, o, 0, steps, kinds, false);
            train(&dense, o, 0, steps, kinds, true);
            same_stores(lazy.s, dense.s);
            model_free(&lazy);
            model_free(&dense);
        }
}

/* Checks that the bits do not depend on the number of threads. */
static void threads(void **state)
{
    (void)state;
    Model one = model_new(NULL, 1), three = model_new(NULL, 3);
    train(&one, optim_adam(0.01), 0, 12, ALL, false);
    train(&three, optim_adam(0.01), 0, 12, ALL, false);
    same_stores(one.s, three.s);
    model_free(&one);
    model_free(&three);
}

/* Computes Adam of the paper in double, on a given gradient: the expected value of one parameter. */
static void against_the_formula(void **state)
{
    (void)state;
    for (int skip = 0; skip < 2; skip++) {
        Device d = test_device(NULL, 1);
        Store *s = store_new(&d, &error);
        Tape *t = tape_new(&d, true, &error);
        Tensor *x = test_param(s, "x", 4, 3, 5), *y = test_param(s, "y", 1, 0, 6);
        double p[12], m[12] = {0}, v[12] = {0};
        float *start = test_read(&d, x), now[12];
        Optim o = optim_adam(0.1);
        o.skip_missing = skip;
        int64_t count = 0;
        for (int i = 0; i < 12; i++)
            p[i] = start[i];
        for (int step = 0; step < 9; step++) {
            bool missing = step % 4 == 2;
            tape_reset(t, (Draw){0});
            tensor_read(&d, x, 0, 12, now);
            Tensor *loss = sum_squares(t, y);
            if (!missing)
                loss = add(t, loss, sum(t, mul(t, x, mul(t, x, x))));
            assert_true(backward(t, loss, &error) && optim_step(&o, s, t, &error));
            if (missing && skip)
                continue;
            count++;
            for (int i = 0; i < 12; i++) {
                double g = missing ? 0 : 3.0 * now[i] * now[i];
                m[i] = 0.9 * m[i] + 0.1 * g;
                v[i] = 0.999 * v[i] + 0.001 * g * g;
                p[i] -= 0.1 * (m[i] / (1 - pow(0.9, (double)count))) /
                        (sqrt(v[i] / (1 - pow(0.999, (double)count))) + 1e-8);
            }
        }
        tensor_read(&d, x, 0, 12, now);
        for (int i = 0; i < 12; i++)
            assert_true(fabs(now[i] - p[i]) < 1e-5);
        free(start);
        tape_free(t);
        store_free(s);
        device_close(&d);
    }
}

static void sgd(void **state)
{
    (void)state;
    for (int decay = 0; decay < 2; decay++) {
        Model a = model_new(NULL, 2), b = model_new(NULL, 1);
        Optim o = {.kind = OPTIM_SGD, .lr = 0.05, .weight_decay = decay ? 0.1 : 0};
        train(&a, o, 0, 10, ALL, false);
        train(&b, o, 0, 10, ALL, true);
        for (size_t i = 0; i < store_count(a.s); i++) {
            float *x = test_read(&a.d, store_at(a.s, i)), *y = test_read(&b.d, store_at(b.s, i));
            for (int64_t j = 0; j < store_at(a.s, i)->count; j++)
                assert_true(fabsf(x[j] - y[j]) <= 1e-5f);
            free(x);
            free(y);
        }
        model_free(&a);
        model_free(&b);
    }
}

static void assert_same_numbers(const Model *m, const Tensor *x, const Model *other, const Tensor *y, bool same)
{
    float *p = test_read(&m->d, x), *q = test_read(&other->d, y);
    assert_true((memcmp(p, q, (size_t)x->count * sizeof *p) == 0) == same);
    free(p);
    free(q);
}

/* Checks that the first group whose name matches updates a parameter, at the group's rate. A parameter without a group
 * does not change, with a gradient or without. */
static void groups(void **state)
{
    (void)state;
    for (int kind = OPTIM_ADAM; kind <= OPTIM_SGD; kind++) {
        static const ParamGroup some[] = {{"users", 1}, {"item", 0.5}, {"items", 7}}, none[] = {{"project", 1}};
        Model grouped = model_new(NULL, 1), all = model_new(NULL, 1), half = model_new(NULL, 1),
              start = model_new(NULL, 1);
        Optim o = {.kind = (OptimKind)kind, .lr = 0.05, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8}, slow = o,
              with_groups = o;
        slow.lr *= 0.5;
        with_groups.groups = some;
        with_groups.group_count = COUNT(some);
        train(&grouped, with_groups, 0, 1, ALL, false);
        train(&all, o, 0, 1, ALL, false);
        train(&half, slow, 0, 1, ALL, false);
        assert_same_numbers(&grouped, grouped.users, &all, all.users, true);
        assert_same_numbers(&grouped, grouped.items, &half, half.items, true);
        assert_same_numbers(&grouped, grouped.items, &all, all.items, false);
        assert_same_numbers(&grouped, grouped.project.w, &start, start.project.w, true);
        assert_same_numbers(&all, all.project.w, &start, start.project.w, false);
        float *before = test_read(&grouped.d, grouped.users); /* momentum does not change it */
        with_groups.groups = none;
        with_groups.group_count = COUNT(none);
        train(&grouped, with_groups, 4, 9, ROWS | FACTORS, false);
        float *after = test_read(&grouped.d, grouped.users);
        assert_memory_equal(before, after, (size_t)grouped.users->count * sizeof *after);
        assert_same_numbers(&grouped, grouped.project.w, &start, start.project.w, false);
        free(before);
        free(after);
        model_free(&grouped);
        model_free(&all);
        model_free(&half);
        model_free(&start);
    }
}

static void save(Model *m, const char *path)
{
    SafetensorsOut *out = safetensors_open(path, NULL, &error);
    assert_non_null(out);
    assert_true(store_declare(m->s, out, &error) && store_save(m->s, out, &error) && safetensors_commit(out, &error));
}

static void checkpoints_go_on(void **state)
{
    (void)state;
    char folder[256], path[300], again[300];
    test_folder(folder);
    snprintf(path, sizeof path, "%s/a.safetensors", folder);
    snprintf(again, sizeof again, "%s/b.safetensors", folder);
    Model m = model_new(NULL, 2), loaded = model_new(NULL, 1);
    Optim o = optim_adam(0.03);
    train(&m, o, 0, 11, ALL, false);
    save(&m, path);
    train(&m, o, 11, 23, ALL, false);
    train(&loaded, o, 50, 53, ROWS, false); /* leaves rows with delayed steps, which the load must clear */
    Arena *a = arena_new(NULL, 0);
    Weights *w = weights_open(path, a, &error);
    assert_non_null(w);
    assert_true(store_load(loaded.s, w, &error));
    save(&loaded, again);
    train(&loaded, o, 11, 23, ALL, false);
    same_stores(m.s, loaded.s);
    Map one, two;
    assert_true(map_open(&one, path, &error) && map_open(&two, again, &error));
    assert_int_equal(one.bytes, two.bytes);
    assert_memory_equal(one.data, two.data, one.bytes);
    map_close(&one);
    map_close(&two);
    /* a file of another model is refused, and changes nothing */
    Error e = {0};
    Store *other = store_new(&m.d, &error);
    Tensor *x = param_new(other, "users", U, D + 1, (Init){INIT_ZERO, 0}, 0, &error);
    assert_false(store_load(other, w, &e));
    assert_non_null(strstr(e.message, "tensor users"));
    assert_non_null(x);
    error_clear(&e);
    param_new(other, "nobody", 2, 2, (Init){INIT_ZERO, 0}, 0, &error);
    x->shape[1] = D; /* the first tensor fits now, the second is missing: nothing is loaded */
    assert_false(store_load(other, w, &e));
    assert_non_null(strstr(e.message, "tensor nobody"));
    float zero = 1;
    tensor_read(&m.d, x, 0, 1, &zero);
    assert_true(zero == 0);
    store_free(other);
    weights_close(w);
    arena_free(a);
    model_free(&m);
    model_free(&loaded);
    test_folder_remove(folder);
}

static void steady_step_allocates_nothing(void **state)
{
    (void)state;
    TestHeap h = {.heap = {test_resize, &h}};
    Model m = model_new(&h.heap, 2);
    train(&m, optim_adam(0.01), 0, 24, ALL, false);
    size_t requests = h.requests;
    train(&m, optim_adam(0.01), 24, 60, ALL, false);
    assert_int_equal(h.requests, requests);
    assert_int_equal(m.t->step.block_count, 1);
    model_free(&m);
    assert_int_equal(h.live, 0);
}

/* Lets memory run out in every place. Checks for an error, without a crash or a leak. Parameters may be updated in
 * part, and are not compared. */
static void out_of_memory(void **state)
{
    (void)state;
    for (size_t at = 1;; at++) {
        TestHeap h = {.heap = {test_resize, &h}};
        Error e = {0};
        Device d = test_device(&h.heap, 1);
        h.refuse_at = h.requests + at;
        Store *s = store_new(&d, &e);
        Tape *t = s ? tape_new(&d, true, &e) : NULL;
        Tensor *x = t ? param_new(s, "x", 9, 4, (Init){INIT_NORMAL, 1}, 3, &e) : NULL;
        Tensor *w = x ? param_new(s, "w", 3, 4, (Init){INIT_XAVIER_UNIFORM, 0}, 3, &e) : NULL;
        Optim o = optim_adam(0.1);
        bool ok = w != NULL;
        for (int step = 0; ok && step < 3; step++) {
            tape_reset(t, (Draw){0});
            int32_t ids[] = {2, 4, 2};
            Linear l = {.w = w, .N = 3, .K = 4};
            Tensor *y = add(t, linear(t, gather(t, x, input_i32(t, ids, 3)), &l),
                            linear(t, gather(t, x, input_i32(t, ids, 3)), &l));
            ok = backward(t, sum_squares(t, spmm(t, knn_graph(t, y, 2, NULL), y)), &e) && optim_step(&o, s, t, &e);
        }
        assert_int_equal(ok, e.code == SP_OK);
        if (!ok)
            assert_int_equal(e.code, SP_MEMORY);
        tape_free(t);
        store_free(s);
        device_close(&d);
        assert_int_equal(h.live, 0);
        if (ok) {
            assert_true(at > 10);
            break;
        }
    }
}

static void initial_numbers(void **state)
{
    (void)state;
    Device d = test_device(NULL, 2), one = test_device(NULL, 1);
    Store *s = store_new(&d, &error), *again = store_new(&one, &error);
    Tensor *x = param_new(s, "x", 300, 200, (Init){INIT_XAVIER_UNIFORM, 0}, 9, &error);
    Tensor *y = param_new(again, "x", 300, 200, (Init){INIT_XAVIER_UNIFORM, 0}, 9, &error);
    Tensor *z = param_new(s, "z", 300, 200, (Init){INIT_XAVIER_NORMAL, 0}, 9, &error);
    Tensor *c = param_new(s, "c", 3, 0, (Init){INIT_CONSTANT, 0.5}, 9, &error);
    float *a = test_read(&d, x), *b = test_read(&one, y), *n = test_read(&d, z), *k = test_read(&d, c);
    assert_memory_equal(a, b, 60000 * sizeof *a);
    double most = 0, square = 0, edge = sqrt(6.0 / 500);
    for (int i = 0; i < 60000; i++) {
        most = fmax(most, fabs((double)a[i]));
        square += (double)n[i] * n[i];
    }
    assert_true(most <= edge && most > 0.99 * edge);
    assert_true(fabs(square / 60000 * 500 / 2 - 1) < 0.03);
    assert_true(k[0] == 0.5f && k[2] == 0.5f);
    Error e = {0};
    assert_null(param_new(s, "x", 1, 1, (Init){INIT_ZERO, 0}, 0, &e));
    assert_non_null(strstr(e.message, "x"));
    free(a);
    free(b);
    free(n);
    free(k);
    store_free(s);
    store_free(again);
    device_close(&d);
    device_close(&one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lazy_is_dense),
        cmocka_unit_test(threads),
        cmocka_unit_test(against_the_formula),
        cmocka_unit_test(sgd),
        cmocka_unit_test(checkpoints_go_on),
        cmocka_unit_test(steady_step_allocates_nothing),
        cmocka_unit_test(out_of_memory),
        cmocka_unit_test(initial_numbers),
        cmocka_unit_test(groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
