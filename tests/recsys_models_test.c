/* tests/recsys_models_test.c: the recommenders without training equal plain dense code and the figures of recipes.md
 * 6.4; samplers. */
#include "recsys/training.h"

#include "tests/testing.h"

#include <math.h>

enum { USERS = 40, ITEMS = 30 };

typedef struct TestBench {
    Device device;
    Arena *arena;
    char dir[256];
    const char *train;
    DataSet data;
    double R[USERS][ITEMS];
} TestBench;

/* Makes ratings 1 to 5 for about a fifth of all pairs. Every user has item 7, so that no column is empty. */
static int setup(void **state)
{
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    TestBench *b = NEW(a, TestBench, 1, &e);
    b->arena = a;
    bool opened = device_open(&b->device, NULL, 2, NULL, NULL, &e);
    test_folder(b->dir);
    b->train = arena_printf(a, &e, "%s/train.tsv", b->dir);
    FILE *f = fopen(b->train, "w");
    for (uint32_t u = 0; u < USERS; u++)
        for (uint32_t i = 0; i < ITEMS; i++)
            if (i == 7 || (u == 0 && i < 5) || draw_below((Draw){1, DRAW_TEST, 0}, u * ITEMS + i, 5) == 0) {
                b->R[u][i] = 1 + draw_below((Draw){1, DRAW_TEST, 1}, u * ITEMS + i, 5);
                fprintf(f, "%u\t%u\t%g\n", u, i, b->R[u][i]);
            }
    fclose(f);
    *state = b;
    DataConfig c = {.train = b->train};
    if (!opened || !dataset_load(&b->data, &c, a, &e) || b->data.I != ITEMS) {
        fprintf(stderr, "%s\n", e.message);
        return -1;
    }
    return 0;
}

static int teardown(void **state)
{
    TestBench *b = *state;
    test_folder_remove(b->dir);
    device_close(&b->device);
    arena_free(b->arena);
    return 0;
}

/* Computes the scores of all users by a model with these settings. */
static void score_all(TestBench *b, const char *name, const char *const *set, size_t n, float *scores)
{
    Error e = {0};
    const Recommender *kind = recommender_find(name);
    Model m = {.kind = kind, .data = &b->data, .arena = b->arena, .seed = 5};
    m.settings = settings_make(kind, PROTOCOL_ELLIOT, set, n, b->arena, &e);
    m.store = store_new(&b->device, &e);
    assert_ok(m.settings && m.store && kind->init(&m, &e), e);
    int32_t ids[USERS];
    for (int u = 0; u < USERS; u++)
        ids[u] = u;
    assert_int_equal(kind->sampling(&m), SAMPLE_NONE);
    assert_ok(kind->score(&m, ids, USERS, scores, &e), e);
    store_free(m.store);
}

/* Computes ItemKNN by its formula: S dense, the best of each column by repeated search, R W. */
static void naive(TestBench *b, int neighbours, bool cosine, bool aiolli, double shrink, bool implicit,
                  double expected[USERS][ITEMS])
{
    double S[ITEMS][ITEMS] = {{0}}, W[ITEMS][ITEMS] = {{0}}, length[ITEMS] = {0};
    for (int u = 0; u < USERS; u++)
        for (int i = 0; i < ITEMS; i++)
            for (int j = 0; j < ITEMS; j++) {
                double x = implicit ? b->R[u][i] > 0 : b->R[u][i], y = implicit ? b->R[u][j] > 0 : b->R[u][j];
                S[i][j] += x * y;
            }
    for (int i = 0; i < ITEMS; i++)
        length[i] = sqrt(S[i][i]);
    for (int i = 0; i < ITEMS; i++)
        for (int j = 0; j < ITEMS; j++) {
            if (cosine)
                S[i][j] /= aiolli ? length[i] * length[j] + shrink + 1e-6 : length[i] * length[j];
            else if (aiolli && shrink != 0)
                S[i][j] /= shrink;
        }
    for (int i = 0; aiolli && i < ITEMS; i++)
        S[i][i] = 0;
    for (int j = 0; j < ITEMS; j++)
        for (int n = 0; n < neighbours; n++) {
            int best = -1;
            for (int i = 0; i < ITEMS; i++)
                if (W[i][j] == 0 && S[i][j] != 0 && (best < 0 || S[i][j] > S[best][j]))
                    best = i;
            if (best >= 0)
                W[best][j] = S[best][j];
        }
    for (int u = 0; u < USERS; u++)
        for (int j = 0; j < ITEMS; j++) {
            expected[u][j] = 0;
            for (int i = 0; i < ITEMS; i++)
                expected[u][j] += (implicit ? b->R[u][i] > 0 : b->R[u][i]) * W[i][j];
        }
}

static void itemknn_is_its_formula(void **state)
{
    TestBench *b = *state;
    static const struct {
        const char *set[5];
        size_t n;
        int neighbours;
        bool cosine, aiolli;
        double shrink;
        bool implicit;
    } cases[] = {
        {{"neighbors=40"}, 1, 40, true, false, 0, false},
        {{"neighbors=3"}, 1, 3, true, false, 0, false},
        {{"neighbors=6", "similarity=dot"}, 2, 6, false, false, 0, false},
        {{"neighbors=6", "implicit=true"}, 2, 6, true, false, 0, true},
        {{"neighbors=5", "implementation=aiolli", "shrink=10"}, 3, 5, true, true, 10, false},
        {{"neighbors=5", "implementation=aiolli"}, 2, 5, true, true, 0, false},
        {{"neighbors=4", "implementation=aiolli", "normalize=false", "shrink=2"}, 4, 4, false, true, 2, false},
    };
    for (size_t c = 0; c < COUNT(cases); c++) {
        static float scores[USERS * ITEMS];
        static double expected[USERS][ITEMS];
        score_all(b, "itemknn", cases[c].set, cases[c].n, scores);
        naive(b, cases[c].neighbours, cases[c].cosine, cases[c].aiolli, cases[c].shrink, cases[c].implicit, expected);
        for (int k = 0; k < USERS * ITEMS; k++) {
            double x = expected[k / ITEMS][k % ITEMS];
            if (fabs((double)scores[k] - x) > 1e-6 * (1 + fabs(x)))
                fail_msg("case %zu: user %d, item %d: %g, not %g", c, k / ITEMS, k % ITEMS, (double)scores[k], x);
        }
    }
    static const struct {
        const char *set, *why;
    } wrong[] = {{"shrink=10", "implementation=aiolli"}, /* the standard similarity has no shrink */
                 {"normalize=false", "implementation=aiolli"}};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        Error e = {0};
        Model m = {.kind = recommender_find("ItemKNN"),
                   .data = &b->data,
                   .arena = b->arena,
                   .store = store_new(&b->device, &e)};
        m.settings = settings_make(m.kind, PROTOCOL_ELLIOT, &wrong[i].set, 1, b->arena, &e);
        assert_false(m.kind->init(&m, &e));
        assert_error(e, SP_USAGE, wrong[i].why);
        store_free(m.store);
    }
}

static void popular_and_random(void **state)
{
    TestBench *b = *state;
    static float scores[USERS * ITEMS], again[USERS * ITEMS];
    score_all(b, "MostPop", NULL, 0, scores);
    for (int i = 0; i < ITEMS; i++) {
        int count = 0;
        for (int u = 0; u < USERS; u++)
            count += b->R[u][i] > 0;
        assert_true(scores[i] == (float)count && scores[(USERS - 1) * ITEMS + i] == (float)count);
    }
    score_all(b, "Random", NULL, 0, scores);
    score_all(b, "Random", NULL, 0, again);
    assert_memory_equal(scores, again, sizeof scores);
    double mean = 0;
    for (int k = 0; k < USERS * ITEMS; k++)
        mean += (double)scores[k] / (USERS * ITEMS);
    assert_true(mean > 0.46 && mean < 0.54 && scores[0] != scores[ITEMS]);
}

/* ---- samplers -------------------------------------------------------------------------------- */

/* Elliot's NGCF draws the same number of distinct users for the last batch of an epoch as for the others. LATTICE's
 * sampler makes the last batch shorter. */
static void batches_of_distinct_users(void **state)
{
    TestBench *b = *state;
    static const char *const models[] = {"NGCF", "LATTICE"};
    enum { SIZE = 32 };
    for (size_t k = 0; k < COUNT(models); k++) {
        Error e = {0};
        const Recommender *kind = recommender_find(models[k]);
        Model m = {.kind = kind, .data = &b->data, .arena = b->arena};
        m.settings = settings_make(kind, PROTOCOL_ELLIOT, NULL, 0, b->arena, &e);
        assert_ok(m.settings, e);
        Sampler *s = sampler_new(&b->data, kind->sampling(&m), SIZE, 1, b->arena, &e);
        assert_ok(s, e);
        int64_t remainder = b->data.train.count % SIZE, batches = sampler_batches(s);
        assert_true(remainder > 0 && batches == b->data.train.count / SIZE + 1);
        sampler_epoch(s, b->device.pool, 0);
        for (int64_t i = 0; i < batches; i++) {
            const int32_t *users, *positives, *negatives;
            int64_t n = sampler_batch(s, i, &users, &positives, &negatives);
            assert_int_equal(n, i == batches - 1 && k == 1 ? remainder : SIZE);
            bool taken[USERS] = {false};
            for (int64_t j = 0; j < n; j++) {
                assert_true(users[j] >= 0 && users[j] < USERS && !taken[users[j]]);
                taken[users[j]] = true;
                /* Ids are whole numbers here: users are numbered by first appearance, items by number. */
                assert_true(b->R[users[j]][positives[j]] > 0 && b->R[users[j]][negatives[j]] == 0);
            }
        }
    }
}

/* Checks that an epoch has every train pair once, in an order that is drawn for each epoch, or in that of the first
 * epoch; and that an epoch is the same when it is drawn again. */
static void epochs_of_every_pair(void **state)
{
    TestBench *b = *state;
    enum { SIZE = 32, MOST = USERS * ITEMS };
    static const Sampling how[] = {SAMPLE_EVERY_EDGE, SAMPLE_EVERY_EDGE_REPEATED, SAMPLE_EVERY_EDGE_NO_NEGATIVE};
    static int32_t first[2 * MOST], drawn[3][2 * MOST]; /* pairs u I + i, then negatives */
    int64_t count = b->data.train.count;
    for (size_t k = 0; k < COUNT(how); k++)
        for (int64_t epoch = 0; epoch < 4; epoch++) {
            Error e = {0};
            Sampler *s = sampler_new(&b->data, how[k], SIZE, 1, b->arena, &e);
            assert_ok(s, e);
            assert_true(count % SIZE > 0 && sampler_batches(s) == count / SIZE + 1);
            sampler_epoch(s, b->device.pool, epoch % 3); /* epochs 0, 1, 2, then 0 again */
            int32_t *x = drawn[epoch % 3];
            if (epoch == 3)
                memcpy(first, x, sizeof first);
            memset(x, 0, sizeof first);
            bool seen[USERS][ITEMS] = {{false}};
            int64_t n = 0;
            for (int64_t i = 0; i < sampler_batches(s); i++) {
                const int32_t *users, *positives, *negatives;
                int64_t B = sampler_batch(s, i, &users, &positives, &negatives);
                assert_int_equal(B, MIN((int64_t)SIZE, count - i * SIZE));
                assert_true((negatives == NULL) == (how[k] == SAMPLE_EVERY_EDGE_NO_NEGATIVE));
                for (int64_t j = 0; j < B; j++, n++) {
                    assert_true(b->R[users[j]][positives[j]] > 0 && !seen[users[j]][positives[j]]);
                    seen[users[j]][positives[j]] = true;
                    x[n] = users[j] * ITEMS + positives[j];
                    x[MOST + n] = negatives ? negatives[j] : 0;
                    assert_true(!negatives || b->R[users[j]][negatives[j]] == 0);
                }
            }
            assert_int_equal(n, count);
            if (epoch == 3)
                assert_memory_equal(x, first, sizeof first);
            else if (epoch > 0)
                assert_true((memcmp(x, drawn[0], sizeof first) == 0) == (how[k] == SAMPLE_EVERY_EDGE_REPEATED));
        }
}

/* MMRec numbers items that the train part does not have. Checks that no negative is such an item. */
static void negatives_occur_in_train(void **state)
{
    TestBench *b = *state;
    enum { ALL = ITEMS + 7 };
    static const Sampling how[] = {SAMPLE_UNIFORM_USER, SAMPLE_DISTINCT_USERS, SAMPLE_EVERY_EDGE};
    DataSet data = b->data;
    data.I = ALL;
    for (size_t k = 0; k < COUNT(how); k++) {
        Error e = {0};
        Sampler *s = sampler_new(&data, how[k], 16, 1, b->arena, &e);
        assert_ok(s, e);
        sampler_epoch(s, b->device.pool, 0);
        for (int64_t i = 0; i < sampler_batches(s); i++) {
            const int32_t *users, *positives, *negatives;
            int64_t B = sampler_batch(s, i, &users, &positives, &negatives);
            for (int64_t j = 0; j < B; j++)
                assert_true(negatives[j] < ITEMS);
        }
    }
}

/* ---- LATTICE's short batches ----------------------------------------------------------------- */

static float lattice_loss(TestBench *b, const char *variant, const char *l_w, const char *batch_size)
{
    Error e = {0};
    const char *const set[] = {"factors=8", "factors_multimod=8", "top_k=5", variant, l_w, batch_size};
    static float features[ITEMS * 6];
    for (uint64_t i = 0; i < COUNT(features); i++)
        features[i] = draw_uniform((Draw){1, DRAW_TEST, 2}, i) - 0.5f;
    DataSet data = b->data;
    Feature f = {.name = "visual", .D = 6, .data = features};
    data.features = &f;
    data.feature_count = 1;
    Model m = {.kind = recommender_find("LATTICE"), .data = &data, .arena = b->arena, .seed = 5};
    m.settings = settings_make(m.kind, PROTOCOL_MMREC, set, COUNT(set), b->arena, &e);
    m.store = store_new(&b->device, &e);
    assert_ok(m.settings && m.store && m.kind->init(&m, &e), e);
    Tape *t = tape_new(&b->device, true, &e);
    const int32_t users[] = {0, 3, 9, 20}, positives[] = {7, 7, 7, 7}, negatives[] = {11, 12, 13, 14};
    Batch batch = {
        .B = 4, .user = input_i32(t, users, 4), .pos = input_i32(t, positives, 4), .neg = input_i32(t, negatives, 4)};
    Tensor *loss = m.kind->loss(t, &m, &batch);
    float value;
    assert_ok(tape_ok(t, &e), e);
    tensor_read(&b->device, loss, 0, 1, &value);
    tape_free(t);
    store_free(m.store);
    return value;
}

static void lattice_divides_by_the_batch_size(void **state)
{
    TestBench *b = *state;
    float without_penalty = lattice_loss(b, "variant=mmrec", "l_w=0", "batch_size=4");
    float full = lattice_loss(b, "variant=mmrec", "l_w=1", "batch_size=4") - without_penalty;
    float part =
        /* 4 rows, as in the last batch of an epoch */
        lattice_loss(b, "variant=mmrec", "l_w=1", "batch_size=16") - without_penalty;
    assert_true(full > 0.1f && fabsf(part - full / 4) < 1e-5f);
    assert_true(lattice_loss(b, "variant=elliot", "l_w=1", "batch_size=4") ==
                lattice_loss(b, "variant=elliot", "l_w=1", "batch_size=16"));
}

/* ---- NGCF's dropout -------------------------------------------------------------------------- */

/* Returns the loss of one batch in an epoch, with the draws of a step. represented: layers 1 to 3 of user 0 as used for
 * scores. */
static float ngcf_loss(TestBench *b, const char *const *set, size_t n, int64_t epoch, uint32_t step, float *represented)
{
    Error e = {0};
    Model m = {.kind = recommender_find("NGCF"), .data = &b->data, .arena = b->arena, .seed = 5, .epoch = epoch};
    m.settings = settings_make(m.kind, PROTOCOL_ELLIOT, set, n, b->arena, &e);
    m.store = store_new(&b->device, &e);
    assert_ok(m.settings && m.store && m.kind->init(&m, &e) && m.kind->epoch(&m, &e), e);
    Tape *t = tape_new(&b->device, true, &e);
    tape_reset(t, (Draw){5, DRAW_DROPOUT, step});
    const int32_t users[] = {0, 3, 9, 20}, positives[] = {7, 7, 7, 7}, negatives[] = {11, 12, 13, 14};
    Batch batch = {
        .B = 4, .user = input_i32(t, users, 4), .pos = input_i32(t, positives, 4), .neg = input_i32(t, negatives, 4)};
    Tensor *loss = m.kind->loss(t, &m, &batch), *items, *all;
    float value;
    assert_ok(tape_ok(t, &e), e);
    tensor_read(&b->device, loss, 0, 1, &value);
    tape_free(t);
    t = tape_new(&b->device, false, &e);
    assert_ok(m.kind->represent(t, &m, &all, &items) && tape_ok(t, &e), e);
    assert_int_equal(cols_of(all), 8 + 3 * 8);
    tensor_read(&b->device, all, 8, 24, represented);
    tape_free(t);
    store_free(m.store);
    return value;
}

static void ngcf_drops_while_it_learns(void **state)
{
    TestBench *b = *state;
    static const char *const no_dropout[] = {"factors=8", "weight_size=8", "node_dropout=0.0", "message_dropout=0.0"};
    static const char *const node[] = {"factors=8", "weight_size=8", "node_dropout=0.4", "message_dropout=0.0"};
    static const char *const message[] = {"factors=8", "weight_size=8", "node_dropout=0.0", "message_dropout=0.4",
                                          "evaluation_dropout=false"};
    float full[24], dropped[24], again[24];
    float plain = ngcf_loss(b, no_dropout, 4, 0, 0, full);
    assert_true(ngcf_loss(b, no_dropout, 4, 1, 1, full) == plain);
    float of_epoch = ngcf_loss(b, node, 4, 0, 0, dropped);
    assert_memory_equal(full, dropped, sizeof full); /* scores use the whole layers */
    assert_true(of_epoch != plain && ngcf_loss(b, node, 4, 0, 1, dropped) == of_epoch);
    assert_true(ngcf_loss(b, node, 4, 1, 0, dropped) != of_epoch);
    float of_step = ngcf_loss(b, message, 5, 0, 0, dropped);
    assert_memory_equal(full, dropped, sizeof full);
    assert_true(of_step != plain && ngcf_loss(b, message, 5, 1, 0, dropped) == of_step);
    assert_true(ngcf_loss(b, message, 5, 0, 1, dropped) != of_step);

    /* Elliot's dropout is the default under its protocol: evaluation drops 0.4 of a layer's numbers, with draws of its
     * own. */
    assert_true(ngcf_loss(b, message, 4, 0, 0, dropped) == of_step);
    int zeros = 0;
    for (int i = 0; i < 24; i++)
        zeros += dropped[i] == 0 && full[i] != 0;
    assert_true(zeros >= 4 && zeros <= 16);
    ngcf_loss(b, message, 4, 0, 0, again);
    assert_memory_equal(dropped, again, sizeof dropped);
}

/* ---- recipes.md 6.4 -------------------------------------------------------------------------- */

static void itemknn_gives_the_published_figures(void **state)
{
    TestBench *b = *state;
    static const struct {
        const char *data, *similarity;
        int neighbours, users;
        double recall, graded, binary, hr; /* in %; binary 0: not published */
    } cases[] = {
        {"amazon-baby", "cosine", 20, 19181, 2.04, 1.02, 1.04, 3.32},
        {"amazon-baby", "cosine", 100, 19181, 2.36, 1.15, 1.17, 3.90},
        {"amazon-baby", "cosine", 200, 19181, 2.50, 1.21, 1.24, 4.16},
        {"amazon-baby", "cosine", 1000, 19181, 2.69, 1.29, 1.32, 4.61},
        {"amazon-baby", "dot", 200, 19181, 6.99, 3.84, 0, 11.96},
        {"amazon-office", "cosine", 100, 4524, 9.71, 5.07, 5.17, 17.88},
    };
    const char *root = getenv("SAPOR_DATA");
    root = root && *root ? root : "../shared/data";
    for (size_t c = 0; c < COUNT(cases); c++) {
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        const char *set[3] = {arena_printf(a, &e, "neighbors=%d", cases[c].neighbours),
                              arena_printf(a, &e, "similarity=%s", cases[c].similarity),
                              "metrics=Recall,nDCG,nDCGRendle2020,HR"};
        TrainConfig config = {.model = "ItemKNN", .set = set, .set_count = 3};
        config.data.train = arena_printf(a, &e, "%s/%s/train.tsv", root, cases[c].data);
        config.data.valid = arena_printf(a, &e, "%s/%s/val.tsv", root, cases[c].data);
        config.data.test = arena_printf(a, &e, "%s/%s/test.tsv", root, cases[c].data);
        if (!file_exists(config.data.train)) {
            printf("skipped: no %s; SAPOR_DATA names the folder of data sets\n", config.data.train);
            arena_free(a);
            skip();
        }
        TrainResult r;
        assert_ok(train_run(&b->device, &config, &r, a, &e), e);
        const double expected[] = {cases[c].recall, cases[c].graded, cases[c].binary, cases[c].hr};
        assert_int_equal(r.test.users, cases[c].users);
        printf("  %s %s %d: Recall %.3f nDCG %.3f binary %.3f HR %.3f\n", cases[c].data, cases[c].similarity,
               cases[c].neighbours, r.test.mean[0] * 100, r.test.mean[1] * 100, r.test.mean[2] * 100,
               r.test.mean[3] * 100);
        for (int f = 0; f < 4; f++)
            if (expected[f] > 0 && fabs(r.test.mean[f] * 100 - expected[f]) > 0.01)
                fail_msg("%s, %d neighbours: figure %d is %.4f, not %.2f", cases[c].data, cases[c].neighbours, f,
                         r.test.mean[f] * 100, expected[f]);
        arena_free(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(itemknn_is_its_formula),     cmocka_unit_test(popular_and_random),
        cmocka_unit_test(batches_of_distinct_users),  cmocka_unit_test(epochs_of_every_pair),
        cmocka_unit_test(negatives_occur_in_train),   cmocka_unit_test(lattice_divides_by_the_batch_size),
        cmocka_unit_test(ngcf_drops_while_it_learns), cmocka_unit_test(itemknn_gives_the_published_figures),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
