/* tests/knock_test.c: replaced features: knock-outs in each mode, and items without features in a modality, which are
 * dropped or filled. Checks also what the folder of a run records of them. */
#include "tests/recsys_testing.h"

#include <math.h>

#include "recsys/trained.h"

enum { USERS = 12, ITEMS = 20, VISUAL = 6, TEXTUAL = 3 };

typedef struct TestBench {
    Arena *arena;
    Device device;
    const char *train, *test;
    const char *features[2]; /* visual, textual: an .npy with one row per item */
    float visual[ITEMS * VISUAL], textual[ITEMS * TEXTUAL];
} TestBench;

static const char *write_matrix(TestBench *b, const char *name, int64_t rows, int64_t D, const float *x)
{
    Error e = {0};
    const char *path = arena_printf(b->arena, &e, "%s/%s.npy", dir, name);
    assert_ok(npy_write_f32(path, 2, (int64_t[]){rows, D}, x, NULL, &e), e);
    return path;
}

static int setup(void **state)
{
    make_dir(state);
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    TestBench *b = NEW(a, TestBench, 1, &e);
    b->arena = a;
    assert_ok(device_open(&b->device, NULL, 1, NULL, NULL, &e), e);
    char train[8192] = "", test[2048] = "";
    for (int u = 0; u < USERS; u++)
        for (int j = 0; j < 6; j++) {
            char *to = j < 5 ? train : test;
            sprintf(to + strlen(to), "%d\t%d\n", u, (2 * u + j * j) % ITEMS);
        }
    b->train = arena_printf(a, &e, "%s", put("train.tsv", train));
    b->test = arena_printf(a, &e, "%s", put("test.tsv", test));
    for (uint64_t i = 0; i < ITEMS * VISUAL; i++)
        b->visual[i] = 0.1f + draw_normal((Draw){1, DRAW_TEST, 0}, i);
    for (uint64_t i = 0; i < ITEMS * TEXTUAL; i++)
        b->textual[i] = 0.1f + draw_normal((Draw){1, DRAW_TEST, 1}, i);
    b->features[0] = arena_printf(a, &e, "visual=%s", write_matrix(b, "visual", ITEMS, VISUAL, b->visual));
    b->features[1] = arena_printf(a, &e, "textual=%s", write_matrix(b, "textual", ITEMS, TEXTUAL, b->textual));
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

/* ---- knock-outs ------------------------------------------------------------------------------ */

static bool load(TestBench *b, DataSet *d, Knock knock, Error *e)
{
    DataConfig c = {.train = b->train, .test = b->test, .features = b->features, .feature_count = 2, .knock = knock};
    return dataset_load(d, &c, b->arena, e);
}

static DataSet knocked(TestBench *b, const char *name, KnockMode mode, uint64_t seed)
{
    Error e = {0};
    DataSet d;
    assert_ok(load(b, &d, (Knock){&name, 1, mode, seed}, &e), e);
    assert_int_equal(d.I, ITEMS);
    return d;
}

/* Finds each row of x in `from`: its number, or -1. */
static void find_rows(const float *x, const float *from, int D, int *row)
{
    for (int i = 0; i < ITEMS; i++) {
        row[i] = -1;
        for (int k = 0; k < ITEMS && row[i] < 0; k++)
            row[i] = memcmp(x + i * D, from + k * D, sizeof *x * (size_t)D) ? -1 : k;
    }
}

static void modes_replace_features(void **state)
{
    TestBench *b = *state;
    DataSet d = knocked(b, "textual", KNOCK_ZERO, 1);
    assert_memory_equal(d.features[0].data, b->visual, sizeof b->visual);
    assert_null(d.features[0].knocked);
    assert_string_equal(d.features[1].knocked, "zero");
    for (int i = 0; i < ITEMS * TEXTUAL; i++)
        assert_true(d.features[1].data[i] == 0);
    dataset_close(&d);
    d = knocked(b, "both", KNOCK_ONE, 1);
    for (int i = 0; i < ITEMS * TEXTUAL; i++)
        assert_true(d.features[1].data[i] == 1 && d.features[0].data[i] == 1);
    dataset_close(&d);
    d = knocked(b, "visual", KNOCK_MEAN, 1);
    for (int c = 0; c < VISUAL; c++) {
        double mean = 0;
        for (int i = 0; i < ITEMS; i++)
            mean += (double)b->visual[i * VISUAL + c] / ITEMS;
        for (int i = 0; i < ITEMS; i++)
            assert_true(fabs((double)d.features[0].data[i * VISUAL + c] - mean) < 1e-6);
    }
    dataset_close(&d);
}

static void shuffles_are_permutations(void **state)
{
    TestBench *b = *state;
    DataSet d = knocked(b, "both", KNOCK_SHUFFLE, 1);
    int visual[ITEMS], textual[ITEMS], moved = 0, different = 0;
    bool used[2][ITEMS] = {{false}};
    find_rows(d.features[0].data, b->visual, VISUAL, visual);
    find_rows(d.features[1].data, b->textual, TEXTUAL, textual);
    for (int i = 0; i < ITEMS; i++) {
        assert_true(visual[i] >= 0 && textual[i] >= 0 && !used[0][visual[i]] && !used[1][textual[i]]);
        used[0][visual[i]] = used[1][textual[i]] = true;
        moved += visual[i] != i;
        different += visual[i] != textual[i];
    }
    assert_true(moved > ITEMS / 2 && different > ITEMS / 2); /* each modality has its own order */
    dataset_close(&d);
}

/* Checks noise of N(1, 0.1): it is a function of the seed and of the modality's name. */
static void noise_is_drawn_by_seed_and_name(void **state)
{
    TestBench *b = *state;
    DataSet one = knocked(b, "both", KNOCK_NOISE, 1), same = knocked(b, "visual", KNOCK_NOISE, 1),
            other = knocked(b, "visual", KNOCK_NOISE, 2);
    const float *x = one.features[0].data;
    double mean = 0, square = 0;
    assert_memory_equal(x, same.features[0].data, sizeof b->visual);
    assert_memory_not_equal(x, other.features[0].data, sizeof b->visual);
    assert_memory_not_equal(x, one.features[1].data, sizeof b->textual);
    for (int i = 0; i < ITEMS * VISUAL; i++) {
        mean += (double)x[i] / (ITEMS * VISUAL);
        square += (double)(x[i] - 1) * (double)(x[i] - 1) / (ITEMS * VISUAL);
    }
    assert_true(fabs(mean - 1) < 0.04 && sqrt(square) > 0.07 && sqrt(square) < 0.13);
    dataset_close(&one);
    dataset_close(&same);
    dataset_close(&other);
}

static void names_that_do_not_fit(void **state)
{
    TestBench *b = *state;
    static const struct {
        const char *names[2];
        size_t count;
        const char *why;
    } cases[] = {{{"audio"}, 1, "knock audio: there are no features of this name; choose of visual, textual, both"},
                 {{"visual", "visual"}, 2, "knock visual: is given twice"},
                 {{""}, 1, "there are no features of this name"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        Error e = {0};
        DataSet d;
        assert_false(load(b, &d, (Knock){cases[i].names, cases[i].count, KNOCK_ZERO, 1}, &e));
        assert_error(e, SP_USAGE, cases[i].why);
    }
    Error e = {0};
    const char *name = "visual";
    DataConfig c = {.train = b->train, .knock = {&name, 1, KNOCK_ZERO, 1}};
    DataSet d;
    assert_false(dataset_load(&d, &c, b->arena, &e));
    assert_error(e, SP_USAGE, "there are no features to knock out");
}

/* ---- a run ----------------------------------------------------------------------------------- */

static bool run(TestBench *b, const char *out, Knock knock, Gaps gaps, TrainResult *r, Error *e)
{
    static const char *const set[] = {"epochs=3", "validation_rate=1", "factors=4", "batch_size=16"};
    TrainConfig c = {.model = "VBPR",
                     .data = {.train = b->train,
                              .test = b->test,
                              .features = b->features,
                              .feature_count = 2,
                              .gaps = gaps,
                              .knock = knock},
                     .set = set,
                     .set_count = COUNT(set),
                     .out = out,
                     .seed = 5};
    return train_run(&b->device, &c, r, b->arena, e);
}

static bool count_items(void *arg, Text user, int64_t k, const Text *items, const float *scores, Error *e)
{
    (void)user, (void)items, (void)e;
    for (int64_t i = 0; i < k; i++)
        assert_true(isfinite(scores[i]));
    *(int64_t *)arg += k;
    return true;
}

static void a_run_records_its_knock_out(void **state)
{
    TestBench *b = *state;
    static const char *const names[] = {"visual", "textual"};
    const Knock knock = {names, 2, KNOCK_MEAN, 5};
    Error e = {0};
    TrainResult r;
    RunConfig config;
    Text text;
    const char *out = arena_printf(b->arena, &e, "%s/run", dir);
    assert_ok(run(b, out, knock, GAPS_MEAN, &r, &e), e);
    assert_ok(run(b, out, knock, GAPS_MEAN, &r, &e), e); /* resumed */
    assert_ok(file_read(&text, b->arena, path_join(b->arena, out, "config.json", &e), 0, &e), e);
    assert_non_null(strstr(text.p, "\"missing_features\": \"mean\""));
    assert_non_null(strstr(text.p, "\"knock\": [\"visual\", \"textual\"]"));
    assert_non_null(strstr(text.p, "\"mode\": \"mean\""));
    assert_ok(run_config_read(&config, out, b->arena, &e), e);
    assert_true(config.train.data.gaps == GAPS_MEAN && config.train.data.knock.mode == KNOCK_MEAN);
    assert_true(config.train.data.knock.count == 2 && config.train.data.knock.seed == 5);
    assert_true(knocks(&config.train.data.knock, "visual") && !knocks(&config.train.data.knock, "audio"));
    assert_false(run(b, out, (Knock){names, 2, KNOCK_ZERO, 5}, GAPS_MEAN, &r, &e));
    assert_error(e, SP_USAGE, "there \"mode\": \"mean\", here \"mode\": \"zero\"");
    assert_false(run(b, out, (Knock){names, 1, KNOCK_MEAN, 5}, GAPS_MEAN, &r, &e));
    assert_error(e, SP_USAGE, "a run with other settings or data made this folder");
    assert_false(run(b, out, knock, GAPS_ERROR, &r, &e));
    assert_error(e, SP_USAGE, "a run with other settings or data made this folder");
    int64_t items = 0;
    Trained *t = trained_open(&b->device, out, false, &e);
    assert_ok(t && trained_recommend(t, NULL, 0, 3, count_items, &items, &e), e);
    assert_int_equal(items, 3 * USERS);
    trained_close(t);
    /* the record in the folder is checked when it is read */
    static const struct {
        const char *old, *new, *why;
    } cases[] = {{"\"mode\": \"mean\"", "\"mode\": \"moan\"", "key mode: \"moan\", noise, zero, one"},
                 {"\"mode\": \"mean\"", "\"mood\": \"mean\"", "key mode is missing"},
                 {"[\"visual\", ", "[[],       ", "key knock: each must be the name of a modality"},
                 {"\"knock\": [\"visual\", \"textual\"]", "\"knock\": 7                    ", "key knock: 7, a list"},
                 {"es\": \"mean\"", "es\": \"meam\"", "key missing_features: \"meam\", error, drop"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *copy = arena_strndup(b->arena, text.p, text.n, &e), *at = strstr(copy, cases[i].old);
        assert_non_null(at);
        memcpy(at, cases[i].new, strlen(cases[i].new));
        test_write(out, "config.json", (Text){copy, text.n});
        assert_false(run_config_read(&config, out, b->arena, &e));
        assert_error(e, SP_FORMAT, cases[i].why);
    }
}

/* Checks that data in memory are knocked out too, and that the caller's arrays do not change. */
static void given_data_are_knocked_out(void **state)
{
    TestBench *b = *state;
    const char *name = "visual";
    static const char *const set[] = {"epochs=1", "factors=4"};
    Error e = {0};
    DataSet d;
    assert_ok(load(b, &d, (Knock){0}, &e), e);
    const Feature *features = d.features;
    const float *before = d.features[0].data;
    TrainConfig c = {.model = "VBPR", .given = &d, .set = set, .set_count = COUNT(set), .seed = 5};
    TrainResult r, knocked_out;
    assert_ok(train_run(&b->device, &c, &r, b->arena, &e), e);
    c.data.knock = (Knock){&name, 1, KNOCK_NOISE, 5};
    assert_ok(train_run(&b->device, &c, &knocked_out, b->arena, &e), e);
    assert_true(d.features == features && d.features[0].data == before);
    assert_memory_equal(before, b->visual, sizeof b->visual);
    dataset_close(&d);
}

/* ---- items without features ------------------------------------------------------------------ */

static bool load_gaps(TestBench *b, DataSet *d, const char *spec, Gaps gaps, Protocol p, Error *e)
{
    const char *specs[] = {spec, b->features[1]};
    DataConfig c = {
        .train = b->train, .test = b->test, .features = specs, .feature_count = 2, .gaps = gaps, .protocol = p};
    return dataset_load(d, &c, b->arena, e);
}

/* Returns a source of each kind in which items 3 and 7 have no visual features. */
static const char *source(TestBench *b, int kind)
{
    Error e = {0};
    char names[256] = "";
    float named_rows[ITEMS * VISUAL];
    int n = 0;
    const char *folder = arena_printf(b->arena, &e, "%s/items", dir);
    assert_ok(folder_make(folder, &e), e);
    for (int i = 0; i < ITEMS; i++) {
        if (i == 3 || i == 7)
            continue;
        write_matrix(b, arena_printf(b->arena, &e, "items/%d", i), 1, VISUAL, b->visual + i * VISUAL);
        memcpy(named_rows + n++ * VISUAL, b->visual + i * VISUAL, sizeof *named_rows * VISUAL);
        sprintf(names + strlen(names), "%d\n", i);
    }
    put("named.ids.txt", names);
    const char *matrix = write_matrix(b, "named", n, VISUAL, named_rows);
    return arena_printf(b->arena, &e, "visual=%s", kind ? matrix : folder);
}

static void gaps_are_filled(void **state)
{
    TestBench *b = *state;
    for (int kind = 0; kind < 2; kind++)
        for (Protocol p = PROTOCOL_ELLIOT; p <= PROTOCOL_MMREC; p++)
            for (Gaps gaps = GAPS_ZERO; gaps <= GAPS_MEAN; gaps++) {
                Error e = {0};
                DataSet d;
                const char *spec = source(b, kind);
                assert_ok(load_gaps(b, &d, spec, gaps, p, &e), e);
                assert_int_equal(d.features[0].missing, 2);
                assert_int_equal(d.features[1].missing, 0);
                for (int64_t i = 0; i < d.I; i++)
                    for (int c = 0; c < VISUAL; c++) {
                        double expected = (double)b->visual[i * VISUAL + c], sum = 0;
                        for (int k = 0; k < ITEMS; k++)
                            sum += k == 3 || k == 7 ? 0 : (double)b->visual[k * VISUAL + c];
                        if (i == 3 || i == 7)
                            expected = gaps == GAPS_MEAN ? sum / (ITEMS - 2) : 0;
                        assert_true(fabs((double)d.features[0].data[i * VISUAL + c] - expected) < 1e-6);
                    }
                dataset_close(&d);
                assert_false(load_gaps(b, &d, spec, GAPS_ERROR, p, &e));
                assert_error(e, SP_SHAPE, "2 of 20 items have no features (3, 7)");
            }
}

/* Checks that MMRec's matrix, whose rows are the items, may have fewer rows than items. */
static void short_matrices_are_filled(void **state)
{
    TestBench *b = *state;
    Error e = {0};
    DataSet d;
    const char *spec = arena_printf(b->arena, &e, "visual=%s", write_matrix(b, "short", ITEMS - 4, VISUAL, b->visual));
    assert_ok(load_gaps(b, &d, spec, GAPS_ZERO, PROTOCOL_MMREC, &e), e);
    assert_int_equal(d.features[0].missing, 4);
    dataset_close(&d);
    assert_false(load_gaps(b, &d, spec, GAPS_ERROR, PROTOCOL_MMREC, &e));
    assert_error(e, SP_SHAPE, "has 16 rows, but the interactions have 20 items");
}

static void bare_items_are_dropped(void **state)
{
    TestBench *b = *state;
    for (int kind = 0; kind < 2; kind++) {
        Error e = {0};
        DataSet all, d;
        const char *spec = source(b, kind);
        assert_ok(load(b, &all, (Knock){0}, &e), e);
        assert_ok(load_gaps(b, &d, spec, GAPS_DROP, PROTOCOL_ELLIOT, &e), e);
        assert_int_equal(d.I, ITEMS - 2);
        assert_int_equal(d.dropped, 2);
        assert_int_equal(text_index_find(d.items, TEXT("3")), -1);
        int64_t bare = 0;
        for (int64_t k = 0; k < all.train.count; k++)
            bare += all.train.item[k] == 3 || all.train.item[k] == 7;
        assert_true(bare > 0);
        assert_int_equal(d.counted[0].no_features, bare);
        assert_int_equal(d.train.count, all.train.count - bare);
        for (int64_t i = 0; i < d.I; i++) {
            int64_t id;
            assert_true(text_i64(text_index_at(d.items, i), &id));
            assert_memory_equal(d.features[0].data + i * VISUAL, b->visual + id * VISUAL, sizeof(float) * VISUAL);
            assert_memory_equal(d.features[1].data + i * TEXTUAL, b->textual + id * TEXTUAL, sizeof(float) * TEXTUAL);
        }
        dataset_close(&all);
        dataset_close(&d);
        assert_false(load_gaps(b, &d, spec, GAPS_DROP, PROTOCOL_MMREC, &e));
        assert_error(e, SP_USAGE, "with protocol mmrec items keep their numbers");
    }
}

static void no_item_has_features(void **state)
{
    TestBench *b = *state;
    Error e = {0};
    const char *folder = arena_printf(b->arena, &e, "%s/none", dir);
    assert_ok(folder_make(folder, &e), e);
    const char *spec = arena_printf(b->arena, &e, "visual=%s", folder);
    for (Gaps gaps = GAPS_ERROR; gaps < GAPS_COUNT; gaps++) {
        DataSet d;
        assert_false(load_gaps(b, &d, spec, gaps, PROTOCOL_ELLIOT, &e));
        assert_error(e, SP_SHAPE, gaps == GAPS_DROP ? "no item has features" : "has no <item id>.npy for any");
    }
}

static void refused_memory(void **state)
{
    TestBench *b = *state;
    const char *name = "both";
    for (int kind = 0; kind < 4; kind++) {
        const char *specs[] = {source(b, kind % 2), b->features[1]};
        load_without_memory(&(DataConfig){.train = b->train,
                                          .features = specs,
                                          .feature_count = 2,
                                          .gaps = kind < 2 ? GAPS_MEAN : GAPS_DROP,
                                          .knock = {&name, 1, KNOCK_SHUFFLE, 1}});
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(modes_replace_features),
                                       cmocka_unit_test(shuffles_are_permutations),
                                       cmocka_unit_test(noise_is_drawn_by_seed_and_name),
                                       cmocka_unit_test(names_that_do_not_fit),
                                       cmocka_unit_test(refused_memory),
                                       cmocka_unit_test(a_run_records_its_knock_out),
                                       cmocka_unit_test(given_data_are_knocked_out),
                                       cmocka_unit_test(gaps_are_filled),
                                       cmocka_unit_test(short_matrices_are_filled),
                                       cmocka_unit_test(bare_items_are_dropped),
                                       cmocka_unit_test(no_item_has_features)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
