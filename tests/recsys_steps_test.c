/* tests/recsys_steps_test.c: some multimodal recommenders compute only the vectors that a batch reads. Checks that the
 * losses are those of the vectors of all users and items, and that gradients are slopes of the loss. */
#include "recsys/recsys.h"

#include "tests/testing.h"

#include <math.h>

/* Sparse data: a small batch reads a small part of each graph. */
enum { U = 600, I = 500, ITEMS_PER_USER = 3, B = 4, VISUAL = 24, TEXTUAL = 10 };

typedef struct Trial {
    Device device;
    Arena *arena;
    DataSet data;
    Model model;
    Tape *tape;
    int32_t users[B], positives[B], negatives[B];
    Error e;
} Trial;

#define OK(t, condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            fail_msg("%s: %s: %s", (t)->model.kind->name, #condition, (t)->e.message);                                 \
    } while (0)

static float *normals(Arena *a, uint32_t stream, int64_t n)
{
    Error e = {0};
    float *x = NEW(a, float, n, &e);
    for (int64_t i = 0; i < n; i++)
        x[i] = draw_normal((Draw){5, DRAW_TEST, stream}, (uint64_t)i);
    return x;
}

static void begin(Trial *t, const char *name, const char *words)
{
    const char *set[16];
    size_t n = 0;
    *t = (Trial){.arena = arena_new(NULL, 0)};
    t->model.kind = recommender_find(name);
    OK(t, device_open(&t->device, NULL, 2, NULL, NULL, &t->e));
    Pairs *train = &t->data.train;
    train->start = NEW(t->arena, int64_t, U + 1, &t->e);
    train->item = NEW(t->arena, int32_t, U * ITEMS_PER_USER, &t->e);
    for (int64_t u = 0; u < U; u++) {
        int32_t first = (int32_t)draw_below((Draw){5, DRAW_TEST, 9}, (uint64_t)u, I - 2 * ITEMS_PER_USER);
        for (int32_t i = 0; i < ITEMS_PER_USER; i++)
            train->item[train->count++] = first + 2 * i;
        train->start[u + 1] = train->count;
    }
    t->data.U = U;
    t->data.I = I;
    t->data.arena = t->arena;
    t->data.features = NEW(t->arena, Feature, 2, &t->e);
    t->data.feature_count = 2;
    t->data.features[0] = (Feature){.name = "visual", .D = VISUAL, .data = normals(t->arena, 1, I * VISUAL)};
    t->data.features[1] = (Feature){.name = "textual", .D = TEXTUAL, .data = normals(t->arena, 2, I * TEXTUAL)};
    for (Text rest = text_of(words), word; text_next(&rest, ' ', &word);)
        set[n++] = arena_strndup(t->arena, word.p, word.n, &t->e);
    t->model = (Model){.kind = t->model.kind, .data = &t->data, .arena = t->arena, .seed = 3};
    OK(t, (t->model.settings = settings_make(t->model.kind, PROTOCOL_ELLIOT, set, n, t->arena, &t->e)) != NULL);
    OK(t, (t->model.store = store_new(&t->device, &t->e)) != NULL && t->model.kind->init(&t->model, &t->e));
    OK(t, !t->model.kind->epoch || t->model.kind->epoch(&t->model, &t->e));
    OK(t, (t->tape = tape_new(&t->device, true, &t->e)) != NULL);
    for (int b = 0; b < B; b++) { /* user 7 twice, with different items */
        t->users[b] = b < 2 ? 7 : 90 * b;
        t->positives[b] = train->item[t->users[b] * ITEMS_PER_USER + b % ITEMS_PER_USER];
        t->negatives[b] = (t->positives[b] + 100) % I;
    }
}

static void end(Trial *t)
{
    tape_free(t->tape);
    store_free(t->model.store);
    device_close(&t->device);
    arena_free(t->arena);
}

/* Returns the loss of the first n rows, as batch `index` of an epoch. */
static Tensor *loss_of(Trial *t, int64_t n, int64_t index)
{
    Batch b = {.B = n, .index = index, .users = t->users, .positives = t->positives, .negatives = t->negatives};
    if (t->model.kind->sampling(&t->model) == SAMPLE_EVERY_EDGE_NO_NEGATIVE)
        b.negatives = NULL;
    tape_reset(t->tape, (Draw){1, DRAW_DROPOUT, 0});
    OK(t, batch_inputs(t->tape, &b));
    Tensor *loss = t->model.kind->loss(t->tape, &t->model, &b);
    OK(t, tape_ok(t->tape, &t->e));
    return loss;
}

static double value_of(Trial *t, Tensor *x)
{
    float host;
    tensor_read(&t->device, x, 0, 1, &host);
    return (double)host;
}

/* Returns the mean of -log sigmoid(score(u, i) - score(u, j)), with the vectors of an evaluation. */
static double bpr_of_vectors(Trial *t)
{
    Tape *tape = tape_new(&t->device, false, &t->e);
    Tensor *users = NULL, *items = NULL;
    OK(t, tape && t->model.kind->represent(tape, &t->model, &users, &items) && tape_ok(tape, &t->e));
    float *u = NEW(t->arena, float, users->count, &t->e), *i = NEW(t->arena, float, items->count, &t->e);
    tensor_read(&t->device, users, 0, users->count, u);
    tensor_read(&t->device, items, 0, items->count, i);
    int64_t D = cols_of(users);
    double sum = 0;
    for (int b = 0; b < B; b++) {
        double score = 0;
        for (int64_t d = 0; d < D; d++)
            score += (double)u[t->users[b] * D + d] *
                     ((double)i[t->positives[b] * D + d] - (double)i[t->negatives[b] * D + d]);
        sum += log1p(exp(-score)) / B;
    }
    tape_free(tape);
    return sum;
}

/* A small model. */
#define SMALL "factors=8 "
#ifdef SAPOR_MINIMAL
#define INDEX "knn=exact"
#else
#define INDEX "knn=index"
#endif
static const struct {
    const char *name, *set; /* without regularisation and without draws: the loss is BPR alone */
} bpr_models[] = {
    {"FREEDOM", SMALL "l_w=0 drop=0"},
    {"FREEDOM", SMALL "l_w=0 drop=0 n_layers=2 n_ui_layers=1 top_k=3"},
    {"FREEDOM", SMALL "l_w=0 drop=0 " INDEX},
    {"MGCN", SMALL "reg_weight=0 cl_loss=0"},
    {"MGCN", SMALL "reg_weight=0 cl_loss=0 " INDEX},
    {"MGCN", SMALL "reg_weight=0 cl_loss=0 n_layers=2 n_ui_layers=0 knn_k=2"},
    {"MGCN", SMALL "reg_weight=0 cl_loss=0 n_layers=0 n_ui_layers=1"},
    {"LATTICE", SMALL "l_w=0"},
    {"LATTICE", SMALL "l_w=0 " INDEX},
    {"LATTICE", SMALL "l_w=0 variant=mmrec cf_model=ngcf mess_dropout=0"},
    {"LATTICE", SMALL "l_w=0 variant=mmrec cf_model=mf"},
};

static void a_step_has_the_vectors_of_an_evaluation(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(bpr_models); i++) {
        Trial t;
        begin(&t, bpr_models[i].name, bpr_models[i].set);
        double loss = value_of(&t, loss_of(&t, B, 0)), expected = bpr_of_vectors(&t);
        if (!(fabs(loss - expected) <= 1e-5))
            fail_msg("%s %s: loss %.8f, but %.8f by the vectors", bpr_models[i].name, bpr_models[i].set, loss,
                     expected);
        assert_true(fabs(loss - log(2)) > 1e-5); /* the vectors have an effect */
        end(&t);
    }
}

/* Checks that the slope of the loss along a parameter's gradient g is |g|. BM3 is excluded: its targets have no
 * gradient. */
static void gradients_are_slopes(void **state)
{
    (void)state;
    static const struct {
        const char *name, *set;
    } models[] = {
        {"FREEDOM", SMALL "l_w=0.5 drop=0.3"},
        {"MGCN", SMALL "reg_weight=0.1 cl_loss=0.1 batch_size=4"},
        {"MGCN", SMALL "reg_weight=0.1 cl_loss=0.1 batch_size=4 n_layers=2 knn_k=2"},
        {"LATTICE", SMALL "l_w=0.1 variant=mmrec cf_model=ngcf mess_dropout=0.2"},
        {"LATTICE", SMALL "l_w=0.1 variant=mmrec cf_model=mf"},
    };
    for (size_t i = 0; i < COUNT(models); i++) {
        Trial t;
        begin(&t, models[i].name, models[i].set);
        loss_of(&t, B, 0); /* from the second batch on, LATTICE's item graph is a constant */
        for (size_t k = 0; k < store_count(t.model.store); k++) {
            Tensor *p = store_at(t.model.store, k);
            if (!p->param)
                continue;
            float *g = NEW(t.arena, float, p->count, &t.e), *x = NEW(t.arena, float, p->count, &t.e),
                  *moved = NEW(t.arena, float, p->count, &t.e);
            OK(&t, backward(t.tape, loss_of(&t, B, 1), &t.e) && tensor_grad(t.tape, p, g, &t.e));
            tensor_read(&t.device, p, 0, p->count, x);
            double norm = 0, side[2], largest = 0;
            for (int64_t n = 0; n < p->count; n++) {
                norm += (double)g[n] * (double)g[n];
                largest = fmax(largest, fabs((double)x[n]));
            }
            norm = sqrt(norm);
            if (norm < 1e-6) /* parameters that the loss does not read, and biases that cancel in BPR */
                continue;
            double h = fmin(2e-3 / norm, 0.02 * largest + 1e-4);
            for (int s = 0; s < 2; s++) {
                for (int64_t n = 0; n < p->count; n++)
                    moved[n] = x[n] + (float)((s ? h : -h) * (double)g[n] / norm);
                tensor_write(&t.device, p, 0, p->count, moved);
                side[s] = value_of(&t, loss_of(&t, B, 1));
            }
            tensor_write(&t.device, p, 0, p->count, x);
            double slope = (side[1] - side[0]) / (2 * h), noise = 2e-7 * fmax(fabs(side[0]), 1) / h;
            if (!(fabs(slope - norm) <= 0.02 * norm + noise))
                fail_msg("%s %s: %s has slope %g, but a gradient of %g", models[i].name, models[i].set,
                         store_name(t.model.store, p), slope, norm);
        }
        end(&t);
    }
}

/* Checks that with l_w 0 no tensor of the features is trained or stored. */
static void freedom_without_losses_of_modalities(void **state)
{
    (void)state;
    Trial t;
    begin(&t, "FREEDOM", SMALL "l_w=0");
    const Tensor *x = store_find(t.model.store, "features.visual");
    assert_true(x && !x->param && x->data == (const void *)t.data.features[0].data);
    assert_null(store_find(t.model.store, "projection.visual.weight"));
    OK(&t, backward(t.tape, loss_of(&t, B, 1), &t.e));
    end(&t);
    begin(&t, "FREEDOM", SMALL "l_w=1e-30 drop=0");
    double with_losses = value_of(&t, loss_of(&t, B, 1));
    assert_non_null(store_find(t.model.store, "features.visual")->param);
    end(&t);
    begin(&t, "FREEDOM", SMALL "l_w=0 drop=0");
    assert_true(fabs(value_of(&t, loss_of(&t, B, 1)) - with_losses) < 1e-7);
    end(&t);
}

/* Checks dropout with one mask per user and item: a pair that occurs several times in a batch has the loss of one pair.
 * Another draw gives another loss. */
static void bm3_drops_out_rows(void **state)
{
    (void)state;
    Trial t;
    begin(&t, "BM3", SMALL "dropout=0.5 reg_weight=0");
    for (int b = 1; b < B; b++) {
        t.users[b] = t.users[0];
        t.positives[b] = t.positives[0];
    }
    double once = value_of(&t, loss_of(&t, 1, 0)), often = value_of(&t, loss_of(&t, B, 0));
    assert_true(fabs(once - often) < 1e-6);
    Batch batch = {.B = 1, .users = t.users, .positives = t.positives};
    tape_reset(t.tape, (Draw){1, DRAW_DROPOUT, 1});
    OK(&t, batch_inputs(t.tape, &batch));
    assert_true(fabs(value_of(&t, t.model.kind->loss(t.tape, &t.model, &batch)) - once) > 1e-4);
    end(&t);
}

static void lattice_cf_model_is_mmrecs(void **state)
{
    (void)state;
    Arena *a = arena_new(NULL, 0);
    Error e = {0};
    const char *set[] = {"cf_model=mf", "variant=elliot"};
    DataSet no_features = {.feature_count = 0};
    Device d;
    assert_ok(device_open(&d, NULL, 1, NULL, NULL, &e), e);
    Model m = {.kind = recommender_find("LATTICE"), .data = &no_features, .arena = a};
    assert_ok((m.settings = settings_make(m.kind, PROTOCOL_ELLIOT, set, COUNT(set), a, &e)) != NULL, e);
    assert_ok((m.store = store_new(&d, &e)) != NULL, e);
    assert_false(m.kind->init(&m, &e));
    assert_error(e, SP_USAGE, "cf_model=mf: only in MMRec; set variant=mmrec too");
    store_free(m.store);
    device_close(&d);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_has_the_vectors_of_an_evaluation),
        cmocka_unit_test(gradients_are_slopes),
        cmocka_unit_test(freedom_without_losses_of_modalities),
        cmocka_unit_test(bm3_drops_out_rows),
        cmocka_unit_test(lattice_cf_model_is_mmrecs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
