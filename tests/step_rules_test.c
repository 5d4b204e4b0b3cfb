/* tests/step_rules_test.c: the rules of every recommender's step: Mirror Gradient, parameters without a gradient, and
 * numbers that are not finite, which end a run before they are saved. */
#include "tests/given_testing.h"

#include <math.h>

enum { EPOCHS = 4, D = 4, BATCH = 64 };

/* ---- a recommender --------------------------------------------------------------------------- */

typedef enum Breaks { BREAK_NOTHING, BREAK_GRADIENT, BREAK_ROW, BREAK_STATE, BREAK_LOSS, LOSS_ZERO } Breaks;
static const char *const breaks[] = {"nothing", "gradient", "row", "state", "loss", "zero"};
typedef struct RuleSettings {
    CommonSettings common;
    int breaks; /* what is not finite in epoch 2, step 3; LOSS_ZERO: the loss is 0 in every step */
    bool rare;  /* `extra` is used in the first batch of an epoch only */
} RuleSettings;
static const Setting settings[] = {
    {"breaks", "nothing", "nothing", "what", WORD_OF(RuleSettings, breaks, breaks), 0, 0, NULL},
    {"rare", "false", "false", "how", BOOL_OF(RuleSettings, rare), 0, 0, NULL},
    {0},
};
typedef struct Rule {
    Tensor *user, *item, *extra; /* [U, D], [I, D], [3, D] */
} Rule;
static const int32_t second[] = {1};

static bool init(Model *m, Error *e)
{
    Rule *r = m->own = NEW(m->arena, Rule, 1, e);
    if (!r)
        return false;
    Init start = {INIT_XAVIER_UNIFORM, 0};
    r->user = param_new(m->store, "user", m->data->U, D, start, m->seed, e);
    r->item = param_new(m->store, "item", m->data->I, D, start, m->seed, e);
    r->extra = param_new(m->store, "extra", 3, D, start, m->seed, e);
    return e->code == SP_OK;
}

static Tensor *loss(Tape *t, Model *m, const Batch *b)
{
    const RuleSettings *s = m->settings;
    const Rule *r = m->own;
    const Triples triples = {dropout(t, gather(t, r->user, b->user), 0.1f), gather(t, r->item, b->pos),
                             gather(t, r->item, b->neg), 0};
    Tensor *x = bpr_loss(t, 1, &triples, 0), *row = gather(t, r->extra, input_i32(t, second, 1));
    bool now = m->epoch == 1 && b->index == 2;
    if (!s->rare || b->index == 0)
        x = add_scaled(t, x, mean(t, r->extra), 0.5f);
    /* the value is 0, and the gradient is 0 times infinity */
    if (now && (s->breaks == BREAK_GRADIENT || s->breaks == BREAK_ROW))
        x = add(t, x, sum(t, unary(t, scale(t, row, 0), UN_SQRT)));
    if (now && s->breaks == BREAK_STATE)
        x = add(t, x, sum(t, scale(t, row, 1e25f)));
    if (now && s->breaks == BREAK_LOSS)
        x = scale(t, x, INFINITY);
    return s->breaks == LOSS_ZERO ? scale(t, x, 0) : x;
}

static bool represent(Tape *t, Model *m, Tensor **users, Tensor **items)
{
    const Rule *r = m->own;
    *users = stack_rows(t, r->user, r->extra);
    *users = rows(t, *users, 3, m->data->U); /* the last of the users' rows are the rows of extra */
    *items = r->item;
    return true;
}

/* A step by hand, whose result must be that of mg=true, alpha1=0.5, alpha2=0.2, beta=3. */
static bool mirror(Tape *t, Model *m, const Batch *b, StepContext *c, Error *e)
{
    if (b->index % 3)
        return step_learn(c, t, loss(t, m, b), c->optim, e);
    return step_learn(c, t, scale(t, loss(t, m, b), 0.5f), c->optim, e) &&
           step_learn(c, t, scale(t, loss(t, m, b), -0.2f), c->optim, e);
}

static Sampling sampling(const Model *m)
{
    (void)m;
    return SAMPLE_EVERY_EDGE;
}

static const Recommender rule = {.name = "Rule",
                                 .paper = "none",
                                 .settings = settings,
                                 .settings_size = sizeof(RuleSettings),
                                 .sampling = sampling,
                                 .init = init,
                                 .loss = loss,
                                 .represent = represent};

/* ---- runs ------------------------------------------------------------------------------------ */

typedef struct Trial {
    const Recommender *kind;
    const char *out;
    const char *set[8];
    size_t count;
    Protocol protocol;
    int threads;
    TrainVisit *visit;
    void *arg;
} Trial;

static bool run(TestBench *b, Trial r, TrainResult *result, Error *e)
{
    const char *set[16] = {"epochs=4", "validation_rate=2", "batch_size=64", "checkpoint_seconds=0", "lr=0.02"};
    DataSet data = b->data;
    data.protocol = r.protocol;
    memcpy(set + 5, r.set, r.count * sizeof *set);
    TrainConfig c = {.kind = r.kind ? r.kind : &rule,
                     .given = &data,
                     .set = set,
                     .set_count = 5 + r.count,
                     .out = r.out,
                     .seed = 3,
                     .visit = r.visit,
                     .arg = r.arg};
    Device d;
    bool ok = device_open(&d, NULL, r.threads ? r.threads : 1, NULL, NULL, e) && train_run(&d, &c, result, b->arena, e);
    device_close(&d);
    return ok;
}

#define WITH(...) .set = {__VA_ARGS__}, .count = sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *)

static const char *folder(TestBench *b)
{
    static int number;
    return in(b, arena_printf(b->arena, &(Error){0}, "run-%d", number++));
}

/* Trains into a new run folder and returns its path. */
static const char *trained(TestBench *b, Trial r)
{
    Error e = {0};
    TrainResult result;
    r.out = folder(b);
    assert_ok(run(b, r, &result, &e), e);
    return r.out;
}

static Text bytes(TestBench *b, const char *out, const char *name)
{
    Error e = {0};
    Text text;
    assert_ok(file_read(&text, b->arena, path_join(b->arena, out, name, &e), 0, &e), e);
    return text;
}

static bool same_vectors(TestBench *b, const char *x, const char *y)
{
    return text_equal(bytes(b, x, "user.npy"), bytes(b, y, "user.npy")) &&
           text_equal(bytes(b, x, "item.npy"), bytes(b, y, "item.npy"));
}

/* ---- Mirror Gradient ------------------------------------------------------------------------- */

static void mirror_gradient_is_two_steps(void **state)
{
    TestBench *b = *state;
    Recommender by_hand = rule;
    by_hand.loss = NULL;
    by_hand.step = mirror;
    const char *expected = trained(b, (Trial){.kind = &by_hand});
    assert_true(same_vectors(b, expected, trained(b, (Trial){WITH("mg=true", "alpha1=0.5", "beta=3")})));
    assert_false(same_vectors(b, expected, trained(b, (Trial){WITH("mg=false", "alpha1=0.5")})));
    assert_false(same_vectors(b, expected, trained(b, (Trial){WITH("mg=true", "alpha1=0.5", "beta=2")})));
    assert_false(same_vectors(b, expected, trained(b, (Trial){WITH("mg=true", "alpha1=0.5", "alpha2=0.1")})));
    Error e = {0};
    TrainResult r;
    assert_false(run(b, (Trial){.kind = &by_hand, WITH("mg=true")}, &r, &e));
    assert_error(e, SP_USAGE, "Rule: makes its steps itself, so mg=true has no meaning");
}

/* Stores the loss of the first epoch in *arg. */
static bool note_loss(void *arg, const TrainEvent *event, Error *e)
{
    (void)e;
    if (event->kind == TRAIN_EPOCH && event->epoch == 1)
        *(double *)arg = event->loss;
    return true;
}

/* Checks that the reported loss is the loss before the first step, not multiplied by alpha1, as in MMRec. */
static void mirror_gradient_reports_the_loss(void **state)
{
    TestBench *b = *state;
    Error e = {0};
    TrainResult r;
    double plain = 0, mirrored = 0;
    assert_ok(run(b, (Trial){.visit = note_loss, .arg = &plain, WITH("lr=0")}, &r, &e), e);
    assert_ok(run(b, (Trial){.visit = note_loss, .arg = &mirrored, WITH("lr=0", "mg=true", "alpha1=7")}, &r, &e), e);
    assert_true(plain > 0.1 && fabs(plain - mirrored) < 1e-6); /* lr=0: no parameter changes */
}

/* A table with its moments and gradient, for Adam in double precision: BPRMF without regularisation, with the batches
 * of the sampler. */
typedef struct Reference {
    double x[ITEMS * D], m[ITEMS * D], v[ITEMS * D], g[ITEMS * D];
    int rows;
} Reference;

static void reference_step(Reference *t, double lr, int step)
{
    for (int i = 0; i < t->rows * D; i++) {
        t->m[i] = 0.9 * t->m[i] + 0.1 * t->g[i];
        t->v[i] = 0.999 * t->v[i] + 0.001 * t->g[i] * t->g[i];
        t->x[i] -= lr * (t->m[i] / (1 - pow(0.9, step))) / (sqrt(t->v[i] / (1 - pow(0.999, step))) + 1e-8);
        t->g[i] = 0;
    }
}

static void reference_gradient(Reference *user, Reference *item, int64_t B, const int32_t *u, const int32_t *i,
                               const int32_t *j, double weight)
{
    for (int64_t n = 0; n < B; n++) {
        const double *pu = user->x + u[n] * D, *pi = item->x + i[n] * D, *pj = item->x + j[n] * D;
        double x = 0;
        for (int c = 0; c < D; c++)
            x += pu[c] * (pi[c] - pj[c]);
        double g = -weight / (1 + exp(x)) / (double)B;
        for (int c = 0; c < D; c++) {
            user->g[u[n] * D + c] += g * (pi[c] - pj[c]);
            item->g[i[n] * D + c] += g * pu[c];
            item->g[j[n] * D + c] -= g * pu[c];
        }
    }
}

static void read_table(TestBench *b, const char *out, const char *name, int rows_expected, Reference *t)
{
    Error e = {0};
    Npy file;
    float x[ITEMS * D];
    assert_ok(npy_open(&file, path_join(b->arena, out, name, &e), b->arena, &e), e);
    assert_int_equal(file.array.count, rows_expected * D);
    array_f32(&file.array, 0, file.array.count, x);
    *t = (Reference){.rows = rows_expected};
    for (int i = 0; i < rows_expected * D; i++)
        t->x[i] = (double)x[i];
    npy_close(&file);
}

static double largest_difference(const Reference *x, const Reference *y)
{
    double most = 0;
    for (int i = 0; i < x->rows * D; i++)
        most = fmax(most, fabs(x->x[i] - y->x[i]));
    return most;
}

static void mirror_gradient_in_double_precision(void **state)
{
    TestBench *b = *state;
    const Recommender *bprmf = recommender_find("BPRMF");
    static Reference user, item, users, items;
    Trial r = {.kind = bprmf, WITH("factors=4", "l_w=0", "lr=0")};
    const char *start = trained(b, r);
    read_table(b, start, "user.npy", USERS, &user);
    read_table(b, start, "item.npy", ITEMS, &item);
    Error e = {0};
    Device d;
    assert_ok(device_open(&d, NULL, 1, NULL, NULL, &e), e);
    Sampler *s = sampler_new(&b->data, SAMPLE_UNIFORM_USER, BATCH, 3, b->arena, &e);
    assert_ok(s != NULL, e);
    int step = 0;
    for (int64_t epoch = 0; epoch < EPOCHS; epoch++) {
        sampler_epoch(s, d.pool, epoch);
        for (int64_t k = 0; k < sampler_batches(s); k++) {
            const int32_t *u, *i, *j;
            int64_t B = sampler_batch(s, k, &u, &i, &j);
            for (int again = 0; again < 1 + (k % 2 == 0); again++) {
                reference_gradient(&user, &item, B, u, i, j, again ? -0.3 : 1);
                reference_step(&user, 0.02, ++step);
                reference_step(&item, 0.02, step);
            }
        }
    }
    device_close(&d);
    const char *out = trained(b, (Trial){.kind = bprmf, WITH("factors=4", "l_w=0", "mg=true", "alpha2=0.3", "beta=2")});
    read_table(b, out, "user.npy", USERS, &users);
    read_table(b, out, "item.npy", ITEMS, &items);
    assert_true(largest_difference(&user, &users) < 1e-4 && largest_difference(&item, &items) < 1e-4);
}

/* ---- of every recommender -------------------------------------------------------------------- */

typedef struct Stop {
    int64_t events, at;
} Stop;
static bool stop_at(void *arg, const TrainEvent *event, Error *e)
{
    (void)event;
    Stop *s = arg;
    return s->events++ != s->at || (fail)(e, SP_USAGE, "stopped here");
}

/* Checks that a run with 2 threads that is ended and resumed has the bytes of a run with 1 thread. */
static void mirror_gradient_of_every_recommender(void **state)
{
    TestBench *b = *state;
    static float features[ITEMS * 6];
    Feature visual = {.name = "visual", .D = 6, .data = features};
    for (uint64_t i = 0; i < COUNT(features); i++)
        features[i] = 0.2f + draw_normal((Draw){1, DRAW_TEST, 5}, i);
    TestBench with = *b;
    with.data.features = &visual;
    with.data.feature_count = 1;
    for (size_t i = 0; i < recommender_count(); i++)
        for (Protocol p = PROTOCOL_ELLIOT; p <= PROTOCOL_MMREC; p++) {
            const Recommender *kind = recommender_at(i);
            if (!kind->loss)
                continue;
            Error e = {0};
            TrainResult r;
            Stop stop = {.at = 7};
            Trial one = {.kind = kind, .protocol = p, WITH("mg=true", "epochs=2")}, cut = one;
            cut.threads = 2;
            cut.visit = stop_at;
            cut.arg = &stop;
            cut.out = folder(b);
            const char *x = trained(&with, one);
            assert_false(run(&with, cut, &r, &e));
            assert_error(e, SP_USAGE, "stopped here");
            cut.visit = NULL;
            assert_ok(run(&with, cut, &r, &e), e);
            assert_same_folders(b->arena, x, cut.out);
        }
}

/* ---- zero_grad ------------------------------------------------------------------------------- */

/* Returns the number of steps of a parameter, from the checkpoint of the run. */
static int64_t steps_of(TestBench *b, const char *out, const char *name)
{
    Error e = {0};
    int64_t steps;
    Weights *w = weights_open(path_join(b->arena, out, "checkpoint.safetensors", &e), b->arena, &e);
    assert_ok(w != NULL, e);
    const Array *x = weights_find(w, arena_printf(b->arena, &e, "optim.step.%s", name));
    assert_non_null(x);
    array_i64(x, 0, 1, &steps);
    weights_close(w);
    return steps;
}

static void parameters_without_a_gradient(void **state)
{
    TestBench *b = *state;
    int64_t batches = (b->data.train.count + BATCH - 1) / BATCH;
    static const struct {
        Protocol protocol;
        const char *set;
        bool moves;
    } cases[] = {{PROTOCOL_ELLIOT, "rare=true", false},
                 {PROTOCOL_MMREC, "rare=true", true},
                 {PROTOCOL_ELLIOT, "zero_grad=zeros", true},
                 {PROTOCOL_MMREC, "zero_grad=none", false}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *out = trained(b, (Trial){.protocol = cases[i].protocol, WITH("rare=true", cases[i].set)});
        assert_int_equal(steps_of(b, out, "user"), EPOCHS * batches);
        assert_int_equal(steps_of(b, out, "extra"), cases[i].moves ? EPOCHS * batches : EPOCHS);
    }
    /* the default is that of the variant */
    Error e = {0};
    static const char *const variant[] = {"variant=mmrec"};
    const CommonSettings *s = settings_make(recommender_find("BPRMF"), PROTOCOL_ELLIOT, variant, 1, b->arena, &e);
    assert_true(s && s->zero_grad == ZERO_GRAD_ZEROS);
    s = settings_make(recommender_find("BPRMF"), PROTOCOL_ELLIOT, NULL, 0, b->arena, &e);
    assert_true(s && s->zero_grad == ZERO_GRAD_NONE);
    s = settings_make(recommender_find("NGCF"), PROTOCOL_MMREC, NULL, 0, b->arena, &e);
    assert_true(s && s->zero_grad == ZERO_GRAD_ZEROS);
}

/* ---- numbers that are not finite ------------------------------------------------------------- */

static void numbers_that_are_not_finite(void **state)
{
    TestBench *b = *state;
    static const struct {
        const char *set[3];
        const char *says;
    } cases[] = {
        {{"breaks=gradient", "rare=false"},
         "Rule: the loss is nan in epoch 2, step 4: parameter extra is not finite (row 1); try a smaller lr than 0.02"},
        {{"breaks=row", "rare=true"},
         "Rule: parameter extra is not finite (row 1) at the end of epoch 2, step 5; try a smaller lr than 0.02"},
        {{"breaks=state", "rare=true"},
         "Rule: the optimiser's state of parameter extra is not finite (row 1) at the end of epoch 2, step 5"},
        {{"breaks=loss", "rare=true"}, "Rule: the loss is inf in epoch 2, step 3"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        Error e = {0};
        TrainResult r;
        const char *out = folder(b);
        assert_false(run(b, (Trial){.out = out, WITH(cases[i].set[0], cases[i].set[1])}, &r, &e));
        assert_error(e, SP_FORMAT, cases[i].says);
        Text saved = bytes(b, out, "checkpoint.safetensors"); /* of the first epoch */
        assert_non_null(memmem(saved.p, saved.n, "\"epoch\":\"1\"", 11));
    }
}

/* Checks that the error does not name finite numbers if only their sum overflows, or if the sum is empty. */
static void finite_numbers_are_not_named(void **state)
{
    TestBench *b = *state;
    Error e = {0};
    NotFinite found;
    Device d;
    assert_ok(device_open(&d, NULL, 2, NULL, NULL, &e), e);
    Store *s = store_new(&d, &e);
    assert_ok(s != NULL, e);
    assert_ok(store_find_not_finite(s, &found, &e), e);
    assert_null(found.name);
    float x[300];
    for (int i = 0; i < 300; i++)
        x[i] = 3e38f;
    Tensor *large = param_from(s, "large", 100, 3, x, &e), *kept = kept_new(s, "kept", 2, 2, &e);
    assert_ok(large && kept, e);
    assert_ok(store_find_not_finite(s, &found, &e), e);
    assert_null(found.name);
    tensor_write(&d, kept, 3, 1, &(float){NAN});
    assert_ok(store_find_not_finite(s, &found, &e), e);
    assert_string_equal(found.name, "kept");
    assert_true(found.row == 1 && !found.state && isnan(found.value));
    tensor_write(&d, large, 299, 1, &(float){-INFINITY});
    assert_ok(store_find_not_finite(s, &found, &e), e);
    assert_string_equal(found.name, "large");
    assert_true(found.row == 99 && found.value < 0);
    store_free(s);
    device_close(&d);
    (void)b;
}

/* ---- a loss of 0 ----------------------------------------------------------------------------- */

/* Checks that Elliot's early stopping ends a run with a loss of 0. Without it, and under MMRec, the run continues. */
static void a_loss_of_zero(void **state)
{
    TestBench *b = *state;
    static const struct {
        Protocol protocol;
        const char *patience;
        int64_t epochs;
    } cases[] = {{PROTOCOL_ELLIOT, "patience=3", 2},
                 {PROTOCOL_ELLIOT, "patience=0", EPOCHS},
                 {PROTOCOL_MMREC, "patience=3", EPOCHS}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        Error e = {0};
        TrainResult r;
        assert_ok(run(b, (Trial){.protocol = cases[i].protocol, WITH("breaks=zero", cases[i].patience)}, &r, &e), e);
        assert_int_equal(r.epochs, cases[i].epochs);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mirror_gradient_is_two_steps),        cmocka_unit_test(mirror_gradient_reports_the_loss),
        cmocka_unit_test(mirror_gradient_in_double_precision), cmocka_unit_test(mirror_gradient_of_every_recommender),
        cmocka_unit_test(parameters_without_a_gradient),       cmocka_unit_test(numbers_that_are_not_finite),
        cmocka_unit_test(finite_numbers_are_not_named),        cmocka_unit_test(a_loss_of_zero)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
