/* tests/own_step_test.c: a recommender with a training step of its own: two phases, two optimisers, vectors kept from
 * the last step. A run that is killed or stopped at many points and resumed has the bytes of an undisturbed run. Also
 * the events of a run and their order, when a loss that is not finite is found, and checkpoints with kept tensors. */
#include "tests/given_testing.h"

#include <math.h>
#include <signal.h>
#include <sys/wait.h>

enum { EPOCHS = 6, BATCH = 16 };

/* ---- the recommender ------------------------------------------------------------------------- */

typedef struct OwnSettings {
    CommonSettings common;
    int64_t factors;
    double critic_lr;
    int critic;                   /* an OptimKind */
    int64_t nan_epoch, nan_batch; /* the place of the first loss that is NaN; nan_epoch -1: none */
} OwnSettings;
static const Setting settings[] = {
    {"factors", "8", "8", "length of the vectors", I64_OF(OwnSettings, factors), 1, 64, NULL},
    {"critic_lr", "0.05", "0.05", "learning rate of the critic", F64_OF(OwnSettings, critic_lr), 0, 10, NULL},
    {"critic", "sgd", "sgd", "optimiser of the critic", WORD_OF(OwnSettings, critic, optim_names), 0, 0, NULL},
    {"nan_epoch", "-1", "-1", "", I64_OF(OwnSettings, nan_epoch), -1, 100, NULL},
    {"nan_batch", "0", "0", "", I64_OF(OwnSettings, nan_batch), 0, 100, NULL},
    {0},
};
typedef struct Own {
    /* [U, D], [I, D]: trained by Adam, the items at half the rate; [1, D]: its own optimiser */
    Tensor *user, *item, *critic;
    Tensor *last_user, *last_item; /* vectors with which the last step computed scores */
} Own;
static const ParamGroup tables[] = {{"user", 1}, {"item", 0.5}}, critics[] = {{"critic", 1}};
static int64_t steps; /* taken in this process */

static Sampling sampling(const Model *m)
{
    (void)m;
    return SAMPLE_EVERY_EDGE;
}

static bool init(Model *m, Error *e)
{
    const OwnSettings *s = m->settings;
    Own *w = m->own = NEW(m->arena, Own, 1, e);
    if (!w)
        return false;
    Init start = {INIT_NORMAL, 0.1};
    w->user = param_new(m->store, "user", m->data->U, s->factors, start, m->seed, e);
    w->item = param_new(m->store, "item", m->data->I, s->factors, start, m->seed, e);
    w->critic = param_new(m->store, "critic.w", 1, s->factors, start, m->seed, e);
    w->last_user = kept_new(m->store, "last.user", m->data->U, s->factors, e);
    w->last_item = kept_new(m->store, "last.item", m->data->I, s->factors, e);
    return e->code == SP_OK;
}

/* Returns the mean difference between the critic's scores of positives and of negatives. */
static Tensor *margin(Tape *t, const Own *w, Tensor *pos, Tensor *neg)
{
    return mean(t, sub(t, matmul(t, pos, false, w->critic, true), matmul(t, neg, false, w->critic, true)));
}

/* Takes a step in two phases. First the critic is trained to give positives higher scores than negatives, with its own
 * optimiser and schedule. Then users and items are trained by BPR against the critic, with Adam. */
static bool step(Tape *t, Model *m, const Batch *b, StepContext *c, Error *e)
{
    const OwnSettings *s = m->settings;
    Own *w = m->own;
    steps++;
    const Schedule schedule = {.kind = RATE_COSINE, .warm_up = 5, .period = EPOCHS * USERS * (PER_USER - 2) / BATCH};
    Optim slow = optim_default((OptimKind)s->critic, s->critic_lr * schedule_rate(&schedule, c->step));
    Optim fast = *c->optim;
    slow.momentum = 0.9;
    slow.groups = critics;
    slow.group_count = COUNT(critics);
    fast.groups = tables;
    fast.group_count = COUNT(tables);
    Tensor *pos = detach(t, gather(t, w->item, b->pos)), *neg = detach(t, gather(t, w->item, b->neg));
    Tensor *critic = add_scaled(t, sum_squares(t, w->critic), margin(t, w, pos, neg), -1);
    if (m->epoch == s->nan_epoch && b->index == s->nan_batch)
        critic = scale(t, critic, NAN);
    if (!step_learn(c, t, critic, &slow, e))
        return false;
    Tensor *users = dropout(t, scale(t, w->user, 1.5f), 0.2f), *items = scale(t, w->item, 0.5f);
    tape_keep(t, users, w->last_user, 0);
    tape_keep(t, items, w->last_item, 0);
    const Triples triples = {gather(t, users, b->user), gather(t, items, b->pos), gather(t, items, b->neg), 0};
    Tensor *against = margin(t, w, gather(t, w->item, b->pos), gather(t, w->item, b->neg));
    return step_learn(c, t, add_scaled(t, bpr_loss(t, 1, &triples, 1e-4f), against, 0.1f), &fast, e);
}

static bool represent(Tape *t, Model *m, Tensor **users, Tensor **items)
{
    (void)t;
    const Own *w = m->own;
    *users = w->last_user;
    *items = w->last_item;
    return true;
}

static const Recommender own = {
    .name = "OwnStep",
    .paper = "none",
    .settings = settings,
    .settings_size = sizeof(OwnSettings),
    .sampling = sampling,
    .init = init,
    .step = step,
    .represent = represent,
};

/* ---- runs ------------------------------------------------------------------------------------ */

static bool run(TestBench *b, const char *out, const char *extra, TrainVisit *visit, void *arg, Error *e)
{
    const char *set[] = {
        "epochs=6", "validation_rate=2", "batch_size=16", "checkpoint_seconds=0", "lr=0.02", "lr_decay=0.5", extra};
    TrainConfig c = {.model = "OwnStep",
                     .kind = &own,
                     .given = &b->data,
                     .set = set,
                     .set_count = extra ? 7 : 6,
                     .out = out,
                     .seed = 3,
                     .visit = visit,
                     .arg = arg};
    TrainResult r;
    Arena *a = arena_new(NULL, 0);
    Device d;
    bool ok = device_open(&d, NULL, 2, NULL, NULL, e) && train_run(&d, &c, &r, a, e);
    device_close(&d);
    arena_free(a);
    return ok;
}

/* Ends a run at an event, with an error or like kill -9. at: the number of events before it. */
typedef struct Cut {
    int at;
    bool kill;
} Cut;

static bool cut(void *arg, const TrainEvent *event, Error *e)
{
    Cut *c = arg;
    (void)event;
    if (c->at-- > 0)
        return true;
    if (c->kill)
        raise(SIGKILL);
    return (fail)(e, SP_IO, "stopped");
}

static const char *whole_run(TestBench *b, const char *critic)
{
    const char *whole = in(b, critic ? critic : "whole");
    Error e = {0};
    if (!folder_exists(whole))
        assert_ok(run(b, whole, critic, NULL, NULL, &e), e);
    return whole;
}

/* Kills a run and its resumed run at some events, then resumes it: the folder must equal that of an undisturbed run.
 * critic: a setting "critic=...", or NULL. */
static void kill_and_resume(TestBench *b, const char *critic)
{
    const char *whole = whole_run(b, critic);
    static const int ats[] = {0, 1, 19, 20, 58, 75, 97, 113};
    int kills = 0;
    for (size_t i = 0; i < COUNT(ats); i++) {
        const char *out = arena_printf(b->arena, &(Error){0}, "%s/killed%zu%s", b->folder, i, critic ? critic : "");
        for (int again = 0; again < 2; again++) { /* the resumed run is killed too */
            pid_t child = fork();
            assert_true(child >= 0);
            if (child == 0) {
                Error e = {0};
                _exit(run(b, out, critic, cut, &(Cut){again ? 30 : ats[i], true}, &e) ? 0 : 1);
            }
            int status;
            waitpid(child, &status, 0);
            assert_true(WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
            kills += WIFSIGNALED(status);
        }
        Error e = {0};
        assert_ok(run(b, out, critic, NULL, NULL, &e), e);
        assert_same_folders(b->arena, whole, out);
    }
    printf("  %s: %d kills\n", critic ? critic : "critic=sgd", kills);
    assert_true(kills >= (int)COUNT(ats));
}

static void killed_and_resumed_it_is_the_same(void **state)
{
    TestBench *b = *state;
    Error e = {0};
    kill_and_resume(b, NULL);
    kill_and_resume(b, "critic=adamw");
    if (kernels_cpu(NULL, &e)->rmsprop) /* MINIMAL does not have it */
        kill_and_resume(b, "critic=rmsprop");
}

static void stopped_and_resumed_it_is_the_same(void **state)
{
    TestBench *b = *state;
    const char *whole = whole_run(b, NULL), *out = in(b, "stopped");
    for (int at = 0; at < 120; at += 23) {
        Error e = {0};
        if (!run(b, out, NULL, cut, &(Cut){at, false}, &e))
            assert_error(e, SP_IO, "stopped");
    }
    Error e = {0};
    assert_ok(run(b, out, NULL, NULL, NULL, &e), e);
    assert_same_folders(b->arena, whole, out);
}

/* Checks that both phases train: other rates give other vectors. The vectors of the last step must be those that were
 * evaluated. */
static void both_optimisers_step(void **state)
{
    TestBench *b = *state;
    Error e = {0};
    const char *whole = whole_run(b, NULL), *still = in(b, "still");
    assert_ok(run(b, still, "critic_lr=0", NULL, NULL, &e), e);
    Weights *x = weights_open(path_join(b->arena, whole, "checkpoint.safetensors", &e), b->arena, &e);
    Weights *y = weights_open(path_join(b->arena, still, "checkpoint.safetensors", &e), b->arena, &e);
    assert_true(x && y);
    static const char *const names[] = {"user", "item", "critic.w", "last.user", "last.item"};
    for (size_t i = 0; i < COUNT(names); i++) {
        const Array *p = weights_find(x, names[i]), *q = weights_find(y, names[i]);
        assert_true(p && q && p->count == q->count);
        assert_true(memcmp(p->data, q->data, (size_t)p->count * sizeof(float)) != 0);
    }
    assert_null(weights_find(x, "optim.v.critic.w")); /* SGD has no squares */
    assert_non_null(weights_find(x, "optim.v.user"));
    const Array *kept = weights_find(x, "last.item");
    Npy file;
    assert_ok(npy_open(&file, path_join(b->arena, whole, "item.npy", &e), b->arena, &e), e);
    const Json *best = json_get(weights_metadata(x), "best_epoch");
    if (text_is(best->text, "6")) /* the best epoch is the last */
        assert_memory_equal(file.array.data, kept->data, (size_t)kept->count * sizeof(float));
    npy_close(&file);
    weights_close(x);
    weights_close(y);
}

/* ---- events of a run ------------------------------------------------------------------------- */

typedef struct Events {
    int count[TRAIN_END + 1];
    int64_t batches;
    TrainEventKind last;
    double losses[EPOCHS];
} Events;

static bool count_event(void *arg, const TrainEvent *event, Error *e)
{
    Events *t = arg;
    (void)e;
    assert_ptr_equal(event->recommender, &own);
    assert_int_equal(((const OwnSettings *)event->settings)->factors, 8);
    if (event->kind == TRAIN_BATCH) {
        assert_int_equal(event->batch, t->count[TRAIN_BATCH] % event->batches);
        assert_int_equal(event->epoch, t->count[TRAIN_BATCH] / event->batches);
    } else if (event->kind == TRAIN_EPOCH) {
        assert_int_equal(event->epoch, t->count[TRAIN_EPOCH] + 1);
        assert_int_equal(t->count[TRAIN_BATCH], event->epoch * event->batches);
        assert_true((event->valid->mean != NULL) == (event->epoch % 2 == 0));
        t->losses[event->epoch - 1] = event->loss;
    } else if (event->kind == TRAIN_END) {
        assert_int_equal(event->result->epochs, EPOCHS);
        assert_true(event->best == score_of(event->valid, event->metric, event->cutoff));
    }
    assert_true(event->kind >= TRAIN_BEGIN && (event->kind != TRAIN_BEGIN || t->batches == 0));
    t->batches = event->batches;
    t->last = event->kind;
    t->count[event->kind]++;
    return true;
}

static void events_come_in_order(void **state)
{
    TestBench *b = *state;
    Error e = {0};
    Events t = {0};
    assert_ok(run(b, NULL, NULL, count_event, &t, &e), e);
    assert_int_equal(t.batches, (USERS * (PER_USER - 2) + BATCH - 1) / BATCH);
    assert_int_equal(t.count[TRAIN_DATA], 0); /* data in memory: nothing is loaded */
    assert_int_equal(t.count[TRAIN_BEGIN], 1);
    assert_int_equal(t.count[TRAIN_BATCH], EPOCHS * t.batches);
    assert_int_equal(t.count[TRAIN_EPOCH], EPOCHS);
    assert_int_equal(t.count[TRAIN_END], 1);
    assert_int_equal(t.last, TRAIN_END);
    assert_true(isfinite(t.losses[0]) && t.losses[EPOCHS - 1] < t.losses[0]);
}

/* Checks that a loss that is not finite is found immediately if kernels read host memory, and otherwise within 16 steps
 * and at the end of an epoch. The message names its step. */
static void losses_that_are_not_finite(void **state)
{
    TestBench *b = *state;
    static const struct {
        const char *set;
        int64_t step, found;
    } cases[] = {{"nan_batch=0", 1, 16}, {"nan_batch=15", 16, 16}, {"nan_batch=16", 17, 18}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        Error e = {0};
        const char *set[] = {"batch_size=16", "nan_epoch=0", cases[i].set};
        TrainConfig c = {.kind = &own, .given = &b->data, .set = set, .set_count = COUNT(set), .seed = 3};
        TrainResult r;
        Device d;
        assert_ok(device_open(&d, NULL, 1, NULL, NULL, &e), e);
        steps = 0;
        assert_false(train_run(&d, &c, &r, b->arena, &e));
        int64_t found = device_is_host(&d) ? cases[i].step : cases[i].found;
        device_close(&d);
        const char *says =
            arena_printf(b->arena, &(Error){0}, "OwnStep: the loss is nan in epoch 1, step %d", (int)cases[i].step);
        assert_error(e, SP_FORMAT, says);
        assert_int_equal(steps, found);
    }
}

/* ---- checkpoints with kept tensors ----------------------------------------------------------- */

static void formats_of_checkpoints(void **state)
{
    TestBench *b = *state;
    /* A file of format 2 that says 1 is loaded: the tensors are not compared with the format. If a tensor is missing or
     * has another shape, the file is refused. */
    static const struct {
        const char *old, *new; /* of equal length, because the header has a fixed length */
        const char *says;      /* the error; NULL: the file is loaded */
    } cases[] = {{"\"format\":\"2\"", "\"format\":\"1\"", NULL},
                 {"\"format\":\"2\"", "\"format\":\"3\"", "metadata format: 1 or 2 is expected"},
                 {"\"last.user\"", "\"lost.user\"", "tensor last.user: missing"},
                 {"\"last.item\"", "\"lost.item\"", "tensor last.item: missing"},
                 {"\"last.item\":{\"dtype\":\"F32\",\"shape\":[50, 8]",
                  "\"last.item\":{\"dtype\":\"F32\",\"shape\":[8, 50]",
                  "tensor last.item: the model's shape is [50, 8]"}};
    Error e = {0};
    const char *whole = whole_run(b, NULL), *path = path_join(b->arena, whole, "checkpoint.safetensors", &e);
    Text bytes;
    assert_ok(file_read(&bytes, b->arena, path, 0, &e), e);
    for (size_t i = 0; i < COUNT(cases); i++) {
        Error refused = {0};
        char *copy = arena_strndup(b->arena, bytes.p, bytes.n, &e);
        char *at = memmem(copy, bytes.n, cases[i].old, strlen(cases[i].old));
        assert_non_null(at);
        memcpy(at, cases[i].new, strlen(cases[i].new));
        test_write(whole, "checkpoint.safetensors", (Text){copy, bytes.n});
        bool ok = run(b, whole, NULL, NULL, NULL, &refused);
        assert_true(ok == !cases[i].says);
        if (!ok)
            assert_error(refused, strstr(cases[i].says, "shape") ? SP_SHAPE : SP_FORMAT, cases[i].says);
    }
    test_write(whole, "checkpoint.safetensors", bytes);
}

/* ---- data in memory -------------------------------------------------------------------------- */

/* Checks that the protocol of data in memory is that of the run, and that ratings may be missing. */
static void given_data(void **state)
{
    TestBench *b = *state;
    TestBench other = *b;
    Text config, one, two;
    Error e = {0};
    other.data.protocol = PROTOCOL_MMREC;
    assert_ok(run(&other, in(b, "mmrec"), NULL, NULL, NULL, &e), e);
    assert_ok(file_read(&config, b->arena, in(b, "mmrec/config.json"), 0, &e), e);
    assert_non_null(strstr(config.p, "\"protocol\": \"mmrec\""));
    assert_non_null(strstr(config.p, "\"cutoffs\": \"5,10,20,50\"")); /* the default of that protocol */
    other.data = b->data;
    other.data.train.rating = other.data.valid.rating = other.data.test.rating = NULL;
    assert_ok(run(&other, in(b, "unrated"), NULL, NULL, NULL, &e), e);
    assert_ok(file_read(&one, b->arena, path_join(b->arena, whole_run(b, NULL), "result.json", &e), 0, &e), e);
    assert_ok(file_read(&two, b->arena, in(b, "unrated/result.json"), 0, &e), e);
    assert_true(text_equal(one, two));
    TrainConfig c = {.model = "VBPR", .given = &b->data, .seed = 3};
    TrainResult r;
    Device d;
    assert_ok(device_open(&d, NULL, 1, NULL, NULL, &e), e);
    assert_false(train_run(&d, &c, &r, b->arena, &e));
    device_close(&d);
    assert_error(e, SP_USAGE, "VBPR needs features");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(killed_and_resumed_it_is_the_same),
                                       cmocka_unit_test(stopped_and_resumed_it_is_the_same),
                                       cmocka_unit_test(both_optimisers_step),
                                       cmocka_unit_test(events_come_in_order),
                                       cmocka_unit_test(losses_that_are_not_finite),
                                       cmocka_unit_test(formats_of_checkpoints),
                                       cmocka_unit_test(given_data)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
