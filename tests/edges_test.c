/* tests/edges_test.c: extreme data for every recommender: users who have every item, one user, one item, constant or
 * zero features, more neighbours than items, cutoffs above the number of items, empty parts. A run ends with finite
 * numbers and lists without duplicates, or with an error of one line that gives the reason. */
#include "tests/recsys_testing.h"

#include <math.h>

#include "recsys/trained.h"

enum { MOST_ITEMS = 16, VISUAL = 5, TEXTUAL = 3 };

typedef struct TestBench {
    Arena *arena;
    Device device;
    int runs;
} TestBench;

static int setup(void **state)
{
    make_dir(state);
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    TestBench *b = NEW(a, TestBench, 1, &e);
    b->arena = a;
    assert_ok(device_open(&b->device, NULL, 2, NULL, NULL, &e), e);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    TestBench *b = *state;
    device_close(&b->device);
    arena_free(b->arena);
    return remove_dir(state);
}

/* ---- data ------------------------------------------------------------------------------------ */

typedef enum Kind { FEATURES_DRAWN, FEATURES_ZERO, FEATURES_CONSTANT, FEATURES_ONE_ROW_ZERO, FEATURES_OPPOSITE } Kind;
typedef struct Case {
    const char *name, *train, *valid, *test; /* rows "user item"; a space is written as a tab */
    Kind features;
    int64_t items;
    const char *refused; /* the error of models that draw negatives; NULL: they train */
} Case;
static const Case cases[] = {
    {"a user has every item", "0 0,0 1,0 2,0 3,1 0,1 1,2 2,2 3,3 1", "1 2,2 0", "1 3,2 1,0 0", FEATURES_DRAWN, 4, NULL},
    {"every user has every item", "0 0,0 1,1 0,1 1", "0 1", "1 0", FEATURES_DRAWN, 2, "has all items"},
    {"one pair", "0 0", NULL, "0 0", FEATURES_DRAWN, 1, "has all items"},
    {"one item", "0 0,1 0,2 0", "0 0", "1 0", FEATURES_DRAWN, 1, "has all items"},
    {"one user", "0 0,0 1", NULL, NULL, FEATURES_DRAWN, 2, "has all items"},
    {"two users, two items", "0 0,1 1", "0 1", "1 0", FEATURES_DRAWN, 2, NULL},
    {"features of zeros", "0 0,0 1,1 2,1 3,2 4,2 0,3 1", "0 2,1 0", "0 3,3 4", FEATURES_ZERO, 5, NULL},
    {"equal features", "0 0,0 1,1 2,1 3,2 4,2 0,3 1", "0 2,1 0", "0 3,3 4", FEATURES_CONSTANT, 5, NULL},
    {"an item of zeros", "0 0,0 1,1 2,1 3,2 4,2 0,3 1", "0 2,1 0", "0 3,3 4", FEATURES_ONE_ROW_ZERO, 5, NULL},
    {"opposite features", "0 0,0 1,1 2,1 3,2 4,2 0,3 1", "0 2,1 0", "0 3,3 4", FEATURES_OPPOSITE, 5, NULL},
    {"items that train does not have", "0 0,0 1,1 1", "0 7", "0 8,1 0", FEATURES_DRAWN, 9, NULL},
};

static const char *write_part(TestBench *b, const char *name, const char *rows)
{
    Error e = {0};
    if (!rows)
        return NULL;
    char *text = arena_printf(b->arena, &e, "%s\n", rows);
    for (char *p = text; *p; p++)
        *p = *p == ' ' ? '\t' : *p == ',' ? '\n' : *p;
    return arena_printf(b->arena, &e, "%s", put(name, text));
}

static const char *write_features(TestBench *b, const char *name, Kind kind, int64_t items, int64_t D)
{
    float x[MOST_ITEMS * VISUAL];
    Error e = {0};
    for (int64_t i = 0; i < items; i++)
        for (int64_t c = 0; c < D; c++) {
            float drawn = 0.3f + draw_normal((Draw){1, DRAW_TEST, (uint32_t)D}, (uint64_t)(i * D + c));
            x[i * D + c] = kind == FEATURES_ZERO                     ? 0
                           : kind == FEATURES_CONSTANT               ? 2.5f
                           : kind == FEATURES_ONE_ROW_ZERO && i == 1 ? 0
                           : kind == FEATURES_OPPOSITE               ? (i % 2 ? -1.0f : 1.0f)
                                                                     : drawn;
        }
    const char *path = arena_printf(b->arena, &e, "%s/%s.npy", dir, name);
    assert_ok(npy_write_f32(path, 2, (int64_t[]){items, D}, x, NULL, &e), e);
    return arena_printf(b->arena, &e, "%s=%s", name, path);
}

/* ---- runs ------------------------------------------------------------------------------------ */

/* Returns the settings for a small model, with more neighbours than items. Settings that the recommender does not have
 * are left out. */
static size_t settings_for(const Recommender *kind, const char **set)
{
    static const char *const all[] = {"factors=4",  "factors_multimod=4", "weight_size=4",
                                      "top_k=1000", "knn_k=1000",         "neighbors=1000",
                                      "n_layers=2", "intents=2",          "ind_batch_size=1000"};
    size_t n = 0;
    set[n++] = "epochs=2";
    set[n++] = "validation_rate=1";
    set[n++] = "batch_size=1000";
    set[n++] = "cutoffs=1,1000";
    set[n++] = "validation_metric=Recall@1000";
    for (size_t i = 0; i < COUNT(all); i++)
        for (const Setting *s = kind->settings; s && s->key; s++)
            if (!strncmp(all[i], s->key, strlen(s->key)) && all[i][strlen(s->key)] == '=')
                set[n++] = all[i];
    return n;
}

static void check_scores(const char *model, const Scores *s)
{
    for (size_t i = 0; s->mean && i < s->metrics * s->cutoffs; i++)
        if (!(s->mean[i] >= 0 && s->mean[i] <= 1.0000001))
            fail_msg("%s: %s is %g", model, s->names[i / s->cutoffs], s->mean[i]);
}

typedef struct Request {
    const char *model;
    const Text *full_user; /* the user who has every item, or NULL */
    int64_t users;
} Request;

static bool check_list(void *arg, Text user, int64_t k, const Text *items, const float *scores, Error *e)
{
    (void)e;
    Request *request = arg;
    request->users++;
    if (request->full_user && text_equal(user, *request->full_user))
        assert_int_equal(k, 0);
    for (int64_t i = 0; i < k; i++) {
        if (!isfinite(scores[i]))
            fail_msg("%s: a score is %f", request->model, (double)scores[i]);
        for (int64_t j = 0; j < i; j++)
            assert_false(text_equal(items[i], items[j]));
    }
    return true;
}

static void run_case(TestBench *b, const Recommender *kind, const Case *c, Protocol p, const DataConfig *data)
{
    const char *set[24];
    Error e = {0};
    TrainResult r;
    TrainConfig t = {.kind = kind, .data = *data, .set = set, .set_count = settings_for(kind, set), .seed = 3};
    t.out = arena_printf(b->arena, &e, "%s/run-%d", dir, b->runs++);
    t.data.protocol = p;
    Model m = {.kind = kind};
    m.settings = settings_make(kind, p, set, t.set_count, b->arena, &e);
    assert_ok(m.settings, e);
    Sampling how = kind->sampling(&m);
    bool negatives = how != SAMPLE_NONE && how != SAMPLE_EVERY_EDGE_NO_NEGATIVE;
    Arena *a = arena_new(NULL, 0);
    bool ok = train_run(&b->device, &t, &r, a, &e);
    if (c->refused && negatives) {
        if (ok)
            fail_msg("%s, %s: trains", kind->name, c->name);
        assert_error(e, SP_FORMAT, c->refused);
    } else if (!ok) {
        fail_msg("%s, %s, %s: %s", kind->name, protocol_names[p], c->name, e.message);
    } else {
        check_scores(kind->name, &r.valid);
        check_scores(kind->name, &r.test);
        static const Text zero = {"0", 1};
        Request request = {kind->name, c == &cases[0] ? &zero : NULL, 0};
        Trained *trained = trained_open(&b->device, t.out, false, &e);
        if (!trained || !trained_recommend(trained, NULL, 0, 1000, check_list, &request, &e))
            fail_msg("%s, %s, %s: %s", kind->name, protocol_names[p], c->name, e.message);
        assert_true(request.users > 0);
        trained_close(trained);
    }
    arena_free(a);
    test_folder_remove(t.out);
}

static void edges_of_data(void **state)
{
    TestBench *b = *state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const Case *c = &cases[i];
        const char *const features[] = {write_features(b, "visual", c->features, c->items, VISUAL),
                                        write_features(b, "textual", c->features, c->items, TEXTUAL)};
        const DataConfig data = {.train = write_part(b, "train.tsv", c->train),
                                 .valid = write_part(b, "valid.tsv", c->valid),
                                 .test = write_part(b, "test.tsv", c->test),
                                 .features = features,
                                 .feature_count = 2};
        for (size_t k = 0; k < recommender_count(); k++)
            for (Protocol p = PROTOCOL_ELLIOT; p <= PROTOCOL_MMREC; p++)
                run_case(b, recommender_at(k), c, p, &data);
    }
}

/* ---- parts and ids that cannot be ------------------------------------------------------------ */

static void parts_that_cannot_be(void **state)
{
    TestBench *b = *state;
    static const struct {
        const char *train, *valid;
        Protocol protocol;
        const char *why; /* NULL: training succeeds, without a validation part */
    } parts[] = {
        {"", NULL, PROTOCOL_ELLIOT, "train.tsv"},
        {"0\t0\n1\t1\n", "", PROTOCOL_ELLIOT, "valid.tsv"},
        {"0\t0\n1\t1\n", "7\t0\n", PROTOCOL_ELLIOT, "valid.tsv: none of its users has interactions"},
        {"0\t0\n1\t1\n", "0\t1\t-1\n", PROTOCOL_ELLIOT, "has no relevant item"},
        {"0\t0\n1\t99999999\n", NULL, PROTOCOL_MMREC, "item id 99999999 is too large"},
        {"0\t0\n99999999999999999999\t1\n", NULL, PROTOCOL_MMREC, "train.tsv:2: user id"},
        {"0\t0\n1\t-1\n", NULL, PROTOCOL_MMREC, "train.tsv:2: item id '-1' is not a whole number"},
        {"user\titem\tx_label\n0\t0\t0\n1\t1\t0\n0\t1\t2\n", NULL, PROTOCOL_MMREC, NULL},
        {"user\titem\tx_label\n0\t0\t1\n1\t1\t2\n", NULL, PROTOCOL_MMREC, "holds no train rows"},
    };
    for (size_t i = 0; i < COUNT(parts); i++)
        for (size_t k = 0; k < recommender_count(); k++) {
            const Recommender *kind = recommender_at(k);
            const char *set[24];
            Error e = {0};
            TrainResult r;
            const char *const features[] = {write_features(b, "visual", FEATURES_DRAWN, 2, VISUAL)};
            TrainConfig t = {.kind = kind, .set = set, .set_count = settings_for(kind, set), .seed = 3};
            t.data = (DataConfig){.train = put("train.tsv", parts[i].train),
                                  .valid = parts[i].valid ? put("valid.tsv", parts[i].valid) : NULL,
                                  .protocol = parts[i].protocol,
                                  .features = features,
                                  .feature_count = 1};
            Arena *a = arena_new(NULL, 0);
            bool ok = train_run(&b->device, &t, &r, a, &e);
            if (ok != !parts[i].why)
                fail_msg("%s, part %zu: %s", kind->name, i, ok ? "trains" : e.message);
            if (!ok && (!strstr(e.message, parts[i].why) || strchr(e.message, '\n')))
                fail_msg("\"%s\" does not say \"%s\"", e.message, parts[i].why);
            arena_free(a);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(edges_of_data), cmocka_unit_test(parts_that_cannot_be)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
