/* tests/optimisers_test.c: fifty steps of each optimiser, and the learning rates of schedules, equal float64 PyTorch
 * (tests/golden/optimisers_float64.py). */
#include "tests/nn_testing.h"

#include <math.h>

#include "weights/weights.h"

enum { STEPS = 50, RATES = 40, ROWS = 6, D = 5, HEAD = 7 };
static const char *const names[] = {"table.rows", "head"};

typedef struct Golden {
    Arena *arena;
    Weights *file;
} Golden;

static int golden_open(void **state)
{
    Golden *g = calloc(1, sizeof *g);
    assert_non_null(g);
    g->arena = arena_new(NULL, 0);
    g->file = weights_open("tests/golden/optimisers.safetensors", g->arena, &error);
    assert_ok(g->file != NULL, error);
    *state = g;
    return 0;
}

static int golden_close(void **state)
{
    Golden *g = *state;
    weights_close(g->file);
    arena_free(g->arena);
    free(g);
    return 0;
}

/* Reads `count` numbers from element `first` of PREFIX.NAME. */
static void golden_read(const Golden *g, const char *prefix, const char *name, int64_t first, int64_t count, float *to)
{
    char full[128];
    snprintf(full, sizeof full, "%s.%s", prefix, name);
    const Array *a = weights_find(g->file, full);
    if (!a || a->count < first + count)
        fail_msg("%s: missing or short", full);
    array_f32(a, first, count, to);
}

typedef struct Training {
    Device d;
    Store *s;
    Tape *t;
    Tensor *x[2]; /* the table, the head */
} Training;

/* Returns a loss whose gradient is the golden file's gradient of a step. by_rows: a gather of the rows that are not
 * zero. */
static Tensor *loss_at(const Golden *g, Training *r, int step, bool by_rows)
{
    float all[ROWS * D], head[HEAD], some[ROWS * D];
    int32_t ids[ROWS];
    int64_t n = 0, shape[] = {ROWS, D}, length = HEAD;
    golden_read(g, "grad", names[0], step * ROWS * D, ROWS * D, all);
    golden_read(g, "grad", names[1], step * HEAD, HEAD, head);
    Tensor *loss = sum(r->t, mul(r->t, r->x[1], input_f32(r->t, head, 1, &length)));
    for (int64_t row = 0; row < ROWS; row++)
        if (all[row * D] != 0) {
            memcpy(some + n * D, all + row * D, D * sizeof *some);
            ids[n++] = (int32_t)row;
        }
    Tensor *picked = r->x[0];
    const float *numbers = all;
    if (by_rows) {
        shape[0] = n;
        picked = n ? gather(r->t, r->x[0], input_i32(r->t, ids, n)) : NULL;
        numbers = some;
    }
    return picked ? add(r->t, loss, sum(r->t, mul(r->t, picked, input_f32(r->t, numbers, 2, shape)))) : loss;
}

static Training run_open(const Golden *g)
{
    Training r = {.d = test_device(NULL, 2)};
    float start[ROWS * D];
    r.s = store_new(&r.d, &error);
    r.t = tape_new(&r.d, true, &error);
    golden_read(g, "start", names[0], 0, ROWS * D, start);
    r.x[0] = param_from(r.s, names[0], ROWS, D, start, &error);
    golden_read(g, "start", names[1], 0, HEAD, start);
    r.x[1] = param_from(r.s, names[1], HEAD, 0, start, &error);
    assert_ok(r.t && r.x[0] && r.x[1], error);
    return r;
}

static void run_close(Training *r)
{
    tape_free(r->t);
    store_free(r->s);
    device_close(&r->d);
}

static void check(const Golden *g, const char *name, Optim o, bool by_rows)
{
    Training r = run_open(g);
    char prefix[64];
    snprintf(prefix, sizeof prefix, "after.%s", name);
    for (int step = 0; step < STEPS; step++) {
        tape_reset(r.t, (Draw){0});
        Tensor *loss = loss_at(g, &r, step, by_rows);
        assert_ok(backward(r.t, loss, &error) && optim_step(&o, r.s, r.t, &error), error);
    }
    for (int i = 0; i < 2; i++) {
        float expected[ROWS * D], *found = test_read(&r.d, r.x[i]), largest = 0;
        golden_read(g, prefix, names[i], 0, r.x[i]->count, expected);
        for (int64_t j = 0; j < r.x[i]->count; j++)
            largest = fmaxf(largest, fabsf(expected[j]));
        /* relative to the tensor's largest number: float32 has rounded 50 times */
        for (int64_t j = 0; j < r.x[i]->count; j++)
            if (!(fabsf(found[j] - expected[j]) <= 1e-6f * largest))
                fail_msg("%s%s, %s[%lld]: %.9g, expected %.9g", name, by_rows ? " by rows" : "", names[i], (long long)j,
                         (double)found[j], (double)expected[j]);
        free(found);
    }
    run_close(&r);
}

static void against_torch(void **state)
{
    static const ParamGroup slow_table[] = {{"table.", 0.1}, {"", 1}};
    Optim adam = optim_default(OPTIM_ADAM, 0.01), adam_decay = adam, groups = adam, clipped = adam, quick = adam;
    Optim sgd = optim_default(OPTIM_SGD, 0.01), sgd_decay = sgd, momentum = sgd, nesterov = sgd, sgd_clipped = sgd;
    Optim adagrad = optim_default(OPTIM_ADAGRAD, 0.05), adagrad_decay = adagrad;
    Optim rmsprop = optim_default(OPTIM_RMSPROP, 0.005), centred = rmsprop, adamw = optim_default(OPTIM_ADAMW, 0.01);
    quick.beta2 = 0.99;
    adam_decay.weight_decay = 0.05;
    adamw.weight_decay = 0.1;
    groups.groups = slow_table;
    groups.group_count = COUNT(slow_table);
    clipped.clip_norm = 1.5;
    sgd_decay.weight_decay = 0.1;
    momentum.momentum = 0.9;
    momentum.dampening = 0.25;
    momentum.weight_decay = 0.05;
    nesterov.momentum = 0.8;
    nesterov.nesterov = true;
    sgd_clipped.lr = 0.05;
    sgd_clipped.momentum = 0.9;
    sgd_clipped.clip_norm = 1.5;
    adagrad_decay.lr_decay = 0.02;
    adagrad_decay.weight_decay = 0.1;
    adagrad_decay.eps = 1e-8;
    centred.alpha = 0.9;
    centred.centred = true;
    centred.momentum = 0.7;
    centred.weight_decay = 0.05;
    centred.eps = 1e-4;
    const struct {
        const char *name;
        Optim o;
    } cases[] = {
        {"adam", quick},
        {"adam_decay", adam_decay},
        {"adamw", adamw},
        {"adam_groups", groups},
        {"sgd", sgd},
        {"sgd_decay", sgd_decay},
        {"sgd_momentum", momentum},
        {"sgd_nesterov", nesterov},
        {"adam_clipped", clipped},
        {"sgd_clipped", sgd_clipped},
        {"adagrad", adagrad},
        {"adagrad_decay", adagrad_decay},
        {"rmsprop", rmsprop},
        {"rmsprop_centred", centred},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const Optim *o = &cases[i].o;
#ifdef SAPOR_MINIMAL
        if (o->clip_norm > 0 || o->kind == OPTIM_ADAGRAD || o->kind == OPTIM_RMSPROP)
            continue;
#endif
        check(*state, cases[i].name, *o, false);
        check(*state, cases[i].name, *o, true);
    }
}

static void schedules(void **state)
{
    static const struct {
        const char *name;
        Schedule s;
    } cases[] = {
        {"step", {RATE_STEP, 0, 7, 0.3}},         {"exponential", {RATE_EXPONENTIAL, 0, 0, 0.9}},
        {"cosine", {RATE_COSINE, 0, 39, 0.05}},   {"cosine_warm", {RATE_COSINE, 5, 30, 0}},
        {"linear_warm", {RATE_LINEAR, 5, 30, 0}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        float expected[RATES];
        golden_read(*state, "rate", cases[i].name, 0, RATES, expected);
        for (int step = 0; step < RATES && step <= MAX(cases[i].s.period, (int64_t)RATES * (i < 2)); step++)
            if (fabs(schedule_rate(&cases[i].s, step) - (double)expected[step]) > 1e-6)
                fail_msg("%s in step %d: %g, expected %g", cases[i].name, step, schedule_rate(&cases[i].s, step),
                         (double)expected[step]);
    }
    assert_true(schedule_rate(&(Schedule){0}, 1000) == 1);
    const Schedule late = {RATE_STEP, 5, 7, 0.3}, cosine = {RATE_COSINE, 5, 30, 0.05};
    assert_true(schedule_rate(&late, 5) == 1 && schedule_rate(&late, 11) == 1 && schedule_rate(&late, 12) == 0.3);
    assert_true(fabs(schedule_rate(&cosine, 30) - 0.05) < 1e-12 &&
                schedule_rate(&cosine, 90) == schedule_rate(&cosine, 30));
}

/* Checks that each number of a gradient is clipped. */
static void clip_value(void **state)
{
    Training r = run_open(*state);
    Optim o = optim_default(OPTIM_SGD, 1);
    o.clip_value = 0.1;
    float *before = test_read(&r.d, r.x[1]), *after, g[HEAD];
    golden_read(*state, "grad", names[1], 0, HEAD, g);
    tape_reset(r.t, (Draw){0});
    assert_ok(backward(r.t, loss_at(*state, &r, 0, true), &error) && optim_step(&o, r.s, r.t, &error), error);
    after = test_read(&r.d, r.x[1]);
    for (int i = 0; i < HEAD; i++)
        assert_true(fabsf(before[i] - after[i] - fminf(fmaxf(g[i], -0.1f), 0.1f)) < 1e-6f);
    free(before);
    free(after);
    run_close(&r);
}

/* Checks that a parameter cannot change to another optimiser: the state of the other is missing. */
static void another_optimiser(void **state)
{
    Training r = run_open(*state);
    Optim sgd = optim_default(OPTIM_SGD, 0.1), adam = optim_adam(0.1);
    tape_reset(r.t, (Draw){0});
    assert_ok(backward(r.t, loss_at(*state, &r, 0, true), &error) && optim_step(&sgd, r.s, r.t, &error), error);
    tape_reset(r.t, (Draw){0});
    Error e = {0};
    assert_ok(backward(r.t, loss_at(*state, &r, 1, true), &error), error);
    assert_false(optim_step(&adam, r.s, r.t, &e));
    assert_int_equal(e.code, SP_USAGE);
    assert_non_null(strstr(e.message, "another optimiser"));
    run_close(&r);
}

static void found_by_name(void **state)
{
    (void)state;
    for (int i = 0; i < OPTIM_COUNT; i++)
        assert_int_equal(optim_find(optim_names[i]), i);
    assert_int_equal(optim_find("lion"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_torch),     cmocka_unit_test(schedules),     cmocka_unit_test(clip_value),
        cmocka_unit_test(another_optimiser), cmocka_unit_test(found_by_name),
    };
    return cmocka_run_group_tests(tests, golden_open, golden_close);
}
