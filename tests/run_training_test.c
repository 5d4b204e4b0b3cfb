/* tests/run_training_test.c: training into the folder of a run: runs do not mix, the folder of a killed run gives no
 * recommendations, vectors that are not finite are not written, layouts of data are restored. */
#include "tests/run_testing.h"

#include <sys/stat.h>

static bool stop(void *arg, const TrainEvent *event, Error *e)
{
    (void)arg;
    return event->kind != TRAIN_BATCH || (fail)(e, SP_IO, "stopped");
}

/* Checks folders with files of a run without its config.json, changed ids, and missing files. */
static void runs_do_not_mix(void **state)
{
    TestBench *b = *state;
    TrainResult r;
    static const char *const runs[] = {"bprmf", "knn"}, *const models[] = {"BPRMF", "ItemKNN"};
    for (size_t k = 0; k < COUNT(runs); k++) {
        const char *out = in(b, runs[k], NULL), *set = k ? NULL : "factors=4";
        static const char *const files[] = {"config.json",  "user.npy",         "item.npy",         "user.ids.txt",
                                            "item.ids.txt", "seen.safetensors", "model.safetensors"};
        Error e = {0};
        assert_ok(run(b, models[k], out, set, PROTOCOL_ELLIOT, &r, &e), e); /* already finished */
        for (size_t i = 0; i < COUNT(files); i++) {
            const char *path = in(b, runs[k], files[i]);
            if (!file_exists(path))
                continue;
            Error refused = {0};
            Text whole = read_all(b, path);
            unlink(path);
            assert_false(run(b, models[k], out, set, PROTOCOL_ELLIOT, &r, &refused));
            assert_int_equal(refused.code, i ? SP_IO : SP_USAGE);
            if (!strstr(refused.message, i ? files[i] : "the folder has no config.json"))
                fail_msg("%s: %s", files[i], refused.message);
            assert_false(file_exists(path));
            if (i)
                opens(b, out, false, arena_printf(b->arena, &e, "%s: is missing", files[i]));
            put(path, whole);
        }
        Text train = read_all(b, b->train), test = read_all(b, b->test);
        write_rows(b->train, "v%d\ti%d\t%d\n", 5, 0, 3);
        write_rows(b->test, "v%d\ti%d\t%d\n", 5, 3, 1);
        Error refused = {0};
        assert_false(run(b, models[k], out, set, PROTOCOL_ELLIOT, &r, &refused));
        assert_error(refused, SP_USAGE, "user.ids.txt:1: the data have another id here");
        put(b->train, train);
        put(b->test, test);
        assert_ok(run(b, models[k], out, set, PROTOCOL_ELLIOT, &r, &e), e);
        opens(b, out, false, NULL);
    }
    Error e = {0};
    TrainConfig c = {
        .model = "BPRMF", .data = {.train = b->train}, .out = in(b, "early", NULL), .seed = 3, .visit = stop};
    assert_false(train_run(&b->device, &c, &r, b->arena, &e));
    assert_error(e, SP_IO, "stopped");
    opens(b, in(b, "early", NULL), true, "user.npy: is missing: the run has not been evaluated yet");
}

/* Checks that a killed run has no result.json. A run that resumes from an earlier state first removes the old
 * result.json. */
static void unfinished_runs_are_refused(void **state)
{
    TestBench *b = *state;
    const char *result = in(b, "bprmf", "result.json"), *checkpoint = in(b, "bprmf", "checkpoint.safetensors");
    Text whole = read_all(b, result), state_of = read_all(b, checkpoint);
    unlink(result);
    opens(b, in(b, "bprmf", NULL), false, "is not finished");
    opens(b, in(b, "bprmf", NULL), true, NULL);
    put(result, whole);
    /* the run is trained again from the start, and user.npy cannot be written because it is a folder */
    unlink(checkpoint);
    const char *user = in(b, "bprmf", "user.npy");
    Text vectors = read_all(b, user);
    unlink(user);
    assert_int_equal(mkdir(user, 0777), 0);
    TrainResult r;
    Error e = {0};
    assert_false(run(b, "BPRMF", in(b, "bprmf", NULL), "factors=4", PROTOCOL_ELLIOT, &r, &e));
    assert_int_equal(rmdir(user), 0);
    opens(b, in(b, "bprmf", NULL), false, "is not finished");
    opens(b, in(b, "bprmf", NULL), true, "user.npy: is missing");
    put(user, vectors);
    put(checkpoint, state_of);
    put(result, whole);
    opens(b, in(b, "bprmf", NULL), false, NULL);
    unlink(in(b, "knn", "result.json"));
    opens(b, in(b, "knn", NULL), false, "is not finished");
}

/* Checks that vectors which would be refused when the folder is read are not written: here the last step, after the
 * last loss, overflows float32. */
static void vectors_that_are_not_finite_are_not_written(void **state)
{
    TestBench *b = *state;
    TrainResult r;
    Error e = {0};
    const char *out = in(b, "diverged", NULL);
    const char *set[] = {"epochs=1", "batch_size=1000000", "lr=3.4e38"};
    TrainConfig c = {
        .model = "BPRMF", .data = {.train = b->train}, .set = set, .set_count = COUNT(set), .out = out, .seed = 3};
    assert_false(train_run(&b->device, &c, &r, b->arena, &e));
    assert_error(e, SP_FORMAT, "try a smaller lr than 3.4e38");
    assert_false(file_exists(in(b, "diverged", "user.npy")));
    set[2] = "l_w=3e38"; /* no step is taken, so another lr would not avoid it */
    c.out = in(b, "infinite", NULL);
    e = (Error){0};
    assert_false(train_run(&b->device, &c, &r, b->arena, &e));
    assert_error(e, SP_FORMAT, "the loss is inf in epoch 1, step 1; all parameters are finite; scale features");
}

/* Checks finite vectors whose products overflow: they are not written, by the same rule by which trained_open refuses
 * them. */
static void vectors_whose_products_are_too_large_are_not_written(void **state)
{
    TestBench *b = *state;
    TrainResult r;
    Error e = {0};
    const char *set[] = {"epochs=1", "batch_size=1000000", "lr=1e25"};
    TrainConfig c = {.model = "BPRMF",
                     .data = {.train = b->train},
                     .set = set,
                     .set_count = COUNT(set),
                     .out = in(b, "large", NULL),
                     .seed = 3};
    assert_false(train_run(&b->device, &c, &r, b->arena, &e));
    assert_error(e, SP_FORMAT, "products are too large for float32; try a smaller lr than 1e25");
    assert_false(file_exists(in(b, "large", "user.npy")));
}

/* Checks that --columns and --separator are in config.json, and that a run is read with them. */
static void layouts_come_back(void **state)
{
    TestBench *b = *state;
    static const struct {
        const char *row, *columns; /* row: the format of a user and an item */
        char separator;
    } cases[] = {{"u%d\ti%d\n", "who,a \"b\"", '\t'},
                 {"u%d,i%d,note\n", "user,item,-", ','},
                 {"u%d;i%d\n", NULL, ';'},
                 {"u%d::i%d\n", "user,item", ':'},
                 {"u%d i%d 5\n", "user,item,rating", ' '}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        Error e = {0};
        TrainResult r;
        const char *path = in(b, "layout.txt", NULL), *out = arena_printf(b->arena, &e, "%s/layout%zu", b->folder, i);
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fputs(i == 0 ? "who\t\"a \"\"b\"\"\"\n" : "", f);
        for (int u = 0; u < USERS; u++)
            for (int k = 0; k < 4; k++)
                fprintf(f, cases[i].row, u, (u + k) % ITEMS);
        fclose(f);
        TrainConfig c = {.model = "ItemKNN",
                         .data = {.train = path, .layout = {cases[i].columns, cases[i].separator}},
                         .out = out,
                         .seed = 3};
        assert_ok(train_run(&b->device, &c, &r, b->arena, &e), e);
        RunConfig config;
        assert_ok(run_config_read(&config, out, b->arena, &e), e);
        const Layout *read = &config.train.data.layout;
        assert_int_equal(read->separator, cases[i].separator);
        assert_true(cases[i].columns ? read->columns && !strcmp(read->columns, cases[i].columns) : !read->columns);
        opens(b, out, false, NULL);
    }
}

/* Under MMRec, items of the validation and test parts are numbered too. Checks that a model without vectors has all of
 * them when it is opened. */
static void mmrec_items_come_back(void **state)
{
    TestBench *b = *state;
    TrainResult r;
    Error e = {0};
    int users = 0;
    FILE *f = fopen(b->train, "w"), *g = fopen(b->test, "w");
    assert_true(f && g);
    for (int u = 0; u < 4; u++) {
        fprintf(f, "%d\t%d\t5\n%d\t%d\t5\n", u, u, u, (u + 1) % 4);
        fprintf(g, "%d\t%d\t5\n", u, 5 + u);
    }
    fclose(f);
    fclose(g);
    assert_ok(run(b, "MostPop", in(b, "pop", NULL), NULL, PROTOCOL_MMREC, &r, &e), e);
    Trained *t = trained_open(&b->device, in(b, "pop", NULL), false, &e);
    assert_ok(t && trained_recommend(t, NULL, 0, 3, count_user, &users, &e), e);
    trained_close(t);
    write_data(b->train, 0, 3);
    write_data(b->test, 3, 1);
}

/* Checks data whose parts give no figure or no finite figure: they are refused before an epoch is trained. Under MMRec
 * every item of a part is relevant, whatever its rating is. */
static void parts_that_measure_nothing_are_refused(void **state)
{
    TestBench *b = *state;
    static const struct {
        int rating;
        const char *why;
    } cases[] = {{-1, "test.tsv: has no relevant item for any user"},
                 {5000, "test.tsv: a rating is 5000, too large for nDCG"}};
    Text test = read_all(b, b->test);
    for (size_t i = 0; i < COUNT(cases); i++) {
        TrainResult r;
        Error e = {0};
        write_rows(b->test, "u%d\ti%d\t%d\n", cases[i].rating, 3, 1);
        assert_false(run(b, "BPRMF", in(b, "unmeasured", NULL), "factors=4", PROTOCOL_ELLIOT, &r, &e));
        assert_error(e, SP_FORMAT, cases[i].why);
        assert_false(folder_exists(in(b, "unmeasured", NULL)));
        error_clear(&e);
        write_rows(b->train, "%d\t%d\t%d\n", 5, 0, 3);
        write_rows(b->test, "%d\t%d\t%d\n", cases[i].rating, 3, 1);
        assert_ok(run(b, "MostPop", NULL, NULL, PROTOCOL_MMREC, &r, &e), e);
        write_data(b->train, 0, 3);
    }
    put(b->test, test);
}

static void settings_are_refused_by_train_too(void **state)
{
    TestBench *b = *state;
    static const struct {
        const char *set, *why;
    } cases[] = {{"epochs=0", "setting epochs=0: must be at least 1"},
                 {"metrics=Recall,recall", "setting metrics: Recall is given twice"},
                 {"cutoffs=20,5,20", "setting cutoffs: 20 is given twice"},
                 {"cutoffs=20,2000000", "setting cutoffs: 2000000 is not a whole number from 1 to 1048576"}};
    TrainResult r;
    for (size_t i = 0; i < COUNT(cases); i++) {
        Error e = {0};
        assert_false(run(b, "MostPop", NULL, cases[i].set, PROTOCOL_ELLIOT, &r, &e));
        assert_error(e, SP_USAGE, cases[i].why);
    }
    Error e = {0};
    char *long_setting = NEW(b->arena, char, 200000, &e);
    size_t used = (size_t)sprintf(long_setting, "cutoffs=1");
    for (int k = 2; k <= 20000; k++)
        used += (size_t)sprintf(long_setting + used, ",%d", k);
    assert_false(run(b, "MostPop", NULL, long_setting, PROTOCOL_ELLIOT, &r, &e));
    assert_error(e, SP_USAGE, "setting cutoffs: 20000 are given, at most 1000");
    *strstr(long_setting, ",1001") = 0;
    assert_ok(run(b, "MostPop", in(b, "curve", NULL), long_setting, PROTOCOL_ELLIOT, &r, &e), e);
    assert_int_equal(r.test.cutoffs, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(runs_do_not_mix),
                                       cmocka_unit_test(unfinished_runs_are_refused),
                                       cmocka_unit_test(vectors_that_are_not_finite_are_not_written),
                                       cmocka_unit_test(vectors_whose_products_are_too_large_are_not_written),
                                       cmocka_unit_test(layouts_come_back),
                                       cmocka_unit_test(mmrec_items_come_back),
                                       cmocka_unit_test(parts_that_measure_nothing_are_refused),
                                       cmocka_unit_test(settings_are_refused_by_train_too)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
