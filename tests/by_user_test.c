/* tests/by_user_test.c: by_user.tsv: written by runs, read again; malformed files; the hash of a truth. */
#include "tests/run_testing.h"

/* ---- of a run -------------------------------------------------------------------------------- */

static void skip_without_by_user(void)
{
    if (RUNS_HAVE_BY_USER)
        return;
    printf("skipped: runs of MINIMAL have no by_user.tsv\n");
    skip();
}

static const char *const MODELS[] = {"bprmf", "knn"};

static void a_run_has_the_figures_of_its_best_epoch(void **state)
{
    TestBench *b = *state;
    skip_without_by_user();
    for (size_t m = 0; m < COUNT(MODELS); m++) {
        Error e = {0};
        ByUser by;
        RunConfig config;
        RunResult result;
        assert_ok(by_user_read(&by, in(b, MODELS[m], "by_user.tsv"), b->arena, &e), e);
        assert_ok(run_config_read(&config, in(b, MODELS[m], NULL), b->arena, &e), e);
        assert_ok(run_result_read(&result, &config, in(b, MODELS[m], NULL), b->arena, &e), e);
        assert_string_equal(result.evaluated_part, "test");
        int64_t users = text_index_count(by.users);
        assert_int_equal(users, USERS);
        assert_int_equal(by.figures, result.test->count);
        for (size_t f = 0; f < by.figures; f++) {
            double sum = 0;
            for (int64_t u = 0; u < users; u++)
                sum += by.value[f * (size_t)users + (size_t)u];
            const Json *mean = json_get(result.test, by.names[f]);
            assert_non_null(mean);
            assert_true(fabs(sum / (double)users - mean->number) <= 1e-8 * mean->number);
        }
        for (int64_t u = 1; u < users; u++) /* in the order of their numbers, which is that of the train part */
            assert_true(text_is(text_index_at(by.users, u), arena_printf(b->arena, &e, "u%d", (int)u)));
    }
}

static void the_part_is_checked(void **state)
{
    TestBench *b = *state;
    skip_without_by_user();
    static const struct {
        const char *part, *key, *why;
    } cases[] = {{"train", "truth_hash", "key judged_by: \"train\", test or valid is expected"},
                 {"test", "hash", "key truth_hash is missing"},
                 {"", "truth_hash", "key judged_by: is empty"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        Error e = {0};
        RunConfig config;
        RunResult result;
        assert_ok(run_config_read(&config, in(b, "bprmf", NULL), b->arena, &e), e);
        const char *text = arena_printf(b->arena, &e,
                                        "{\"model\":\"BPRMF\",\"best_epoch\":1,\"epochs\":2,\"valid\":{},\"test\":{},"
                                        "\"judged_by\":\"%s\",\"%s\":\"00\"}\n",
                                        cases[i].part, cases[i].key);
        test_write(b->folder, "result.json", text_of(text));
        assert_false(run_result_read(&result, &config, b->folder, b->arena, &e));
        assert_error(e, SP_FORMAT, cases[i].why);
        unlink(in(b, "result.json", NULL));
    }
}

/* Checks which part is evaluated: validation if there is no test part. Without both, no file is written. */
static void without_a_test_part(void **state)
{
    TestBench *b = *state;
    skip_without_by_user();
    const char *set[] = {"epochs=2", "validation_rate=1"};
    for (int valid = 0; valid < 2; valid++) {
        Error e = {0};
        TrainResult r;
        const char *out = in(b, valid ? "valid-only" : "no-part", NULL);
        TrainConfig c = {.model = "BPRMF",
                         .data = {.train = b->train, .valid = valid ? b->test : NULL},
                         .set = set,
                         .set_count = 2,
                         .out = out};
        assert_ok(train_run(&b->device, &c, &r, b->arena, &e), e);
        RunConfig config;
        RunResult result;
        assert_ok(run_config_read(&config, out, b->arena, &e) && run_result_read(&result, &config, out, b->arena, &e),
                  e);
        const char *path = path_join(b->arena, out, "by_user.tsv", &e);
        assert_int_equal(file_exists(path), valid);
        assert_true(valid ? !strcmp(result.evaluated_part, "valid") : !result.evaluated_part);
        test_folder_remove(out);
    }
}

/* ---- written and read ------------------------------------------------------------------------ */

static void what_is_written_is_read(void **state)
{
    TestBench *b = *state;
    Error e = {0};
    TextIndex *ids = text_index_new(b->arena, &e);
    const char *names[] = {"\"quoted\" x", "b", "not counted", "caf\xc3\xa9"};
    for (size_t i = 0; i < COUNT(names); i++)
        text_index_add(ids, text_of(names[i]), &e);
    double value[] = {0, 1, 1.0 / 3, 0.1, -2.5e-300, 1};
    Scores s = {.metrics = 2,
                .cutoffs = 1,
                .names = (const char *[]){"Recall", "nDCG"},
                .at = (int64_t[]){20},
                .by_user = value,
                .user = (int32_t[]){0, 1, 3},
                .users = 3};
    const char *path = in(b, "written.tsv", NULL);
    Out *o = by_user_write(path, &s, ids, NULL, &e);
    assert_ok(o && out_commit(o, &e), e);
    ByUser by;
    assert_ok(by_user_read(&by, path, b->arena, &e), e);
    assert_int_equal(by.figures, 2);
    assert_string_equal(by.names[0], "Recall@20");
    assert_string_equal(by.names[1], "nDCG@20");
    assert_int_equal(text_index_count(by.users), 3);
    assert_memory_equal(by.value, value, sizeof value);
    for (int u = 0; u < 3; u++)
        assert_true(text_is(text_index_at(by.users, u), names[s.user[u]]));
    unlink(path);
}

static void malformed_files_are_refused(void **state)
{
    TestBench *b = *state;
    static const struct {
        const char *text, *why;
    } cases[] = {{"", "is empty"},
                 {"\n\n", "is empty"},
                 {"user\n", ":1: is not a file of figures by user"},
                 {"item\tRecall@20\n", ":1: is not a file of figures by user"},
                 {"u1\t0.5\n", ":1: is not a file of figures by user"},
                 {"user\tRecall@20\n", "has no users"},
                 {"user\tRecall@20\t\nu\t1\t1\n", ":1: column 3: its name is empty"},
                 {"user\ta\tb\ta\n", ":1: column 4: \"a\" is a duplicate"},
                 {"user\ta\tb\nu\t1\n", ":2: has 2 columns, the first line names 3"},
                 {"user\ta\nu\t1\nv\t1\t1\n", ":3: has 3 columns, the first line names 2"},
                 {"user\ta\tb\tc\td\nu\nv\nw\n", ":2: has 1 columns"},
                 {"user\ta\nu\t1\nu\t1\n", ":3: user \"u\" is a duplicate"},
                 {"user\ta\n\t1\n", ":2: the id is empty"},
                 {"user\ta\nu\x01\t1\n", ":2: "},
                 {"user\ta\nu\tnan\n", ":2: a: \"nan\" is not a number of at most 1e100"},
                 {"user\ta\nu\t-inf\n", ":2: a: \"-inf\" is not a number"},
                 {"user\ta\nu\t1e101\n", ":2: a: \"1e101\" is not a number of at most 1e100"},
                 {"user\ta\nu\t\n", ":2: a: \"\" is not a number"},
                 {"user\ta\nu\t0,5\n", ":2: a: \"0,5\" is not a number"},
                 {"user\ta\nu\t\"1\n", ":2: "},
                 {"{\"user\":1}\n", "a file of figures by user"},
                 {"user\ta\n\xff\t1\n", ":2: "}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        Error e = {0};
        ByUser by;
        test_write(b->folder, "bad.tsv", text_of(cases[i].text));
        if (by_user_read(&by, in(b, "bad.tsv", NULL), b->arena, &e))
            fail_msg("%s: is read", cases[i].text);
        assert_error(e, SP_FORMAT, cases[i].why);
    }
    Error e = {0};
    ByUser by;
    assert_false(by_user_read(&by, b->folder, b->arena, &e));
    assert_error(e, SP_IO, "");
    assert_false(by_user_read(&by, in(b, "nowhere.tsv", NULL), b->arena, &e));
    assert_error(e, SP_IO, "nowhere.tsv");
    unlink(in(b, "bad.tsv", NULL));
}

/* Checks that memory stays below the bound of readers if the first line has many names and the others are short, and if
 * every line is as short as possible. */
static void memory_is_bounded(void **state)
{
    TestBench *b = *state;
    enum { NAMES = 50000, ROWS = 200000 };
    for (int many_names = 0; many_names < 2; many_names++) {
        char path[512];
        snprintf(path, sizeof path, "%s/large.tsv", b->folder);
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        fputs("user", f);
        for (int i = 0; i < (many_names ? NAMES : 1); i++)
            fprintf(f, "\t%x", i);
        for (int i = 0; i < ROWS; i++)
            fprintf(f, many_names ? "\n%d" : "\n%x\t0", i);
        fputc('\n', f);
        size_t bytes = (size_t)ftell(f);
        fclose(f);
        TestHeap heap;
        test_heap_bounded(&heap, bytes);
        Arena *a = arena_new(&heap.heap, 0);
        ByUser by;
        Error e = {0};
        assert_int_equal(by_user_read(&by, path, a, &e), !many_names);
        if (many_names)
            assert_error(e, SP_FORMAT, ":2: has 1 columns");
        else
            assert_int_equal(text_index_count(by.users), ROWS);
        arena_free(a);
        assert_int_equal(heap.live, 0);
        unlink(path);
    }
}

/* ---- the truth ------------------------------------------------------------------------------- */

static uint64_t hash_of(TestBench *b, const char *train, const char *test, Protocol p)
{
    Error e = {0};
    DataSet d = {0};
    test_write(b->folder, "hash-train.tsv", text_of(train));
    test_write(b->folder, "hash-test.tsv", text_of(test));
    DataConfig c = {.train = in(b, "hash-train.tsv", NULL), .test = in(b, "hash-test.tsv", NULL), .protocol = p};
    assert_ok(dataset_load(&d, &c, b->arena, &e), e);
    uint64_t hash = truth_hash(&d, &d.test);
    dataset_close(&d);
    unlink(c.train);
    unlink(c.test);
    return hash;
}

static void the_hash_is_of_the_truth_alone(void **state)
{
    TestBench *b = *state;
    const char *train = "1\t1\t5\n2\t2\t5\n1\t3\t5\n3\t3\t4\n", *other = "3\t3\n2\t3\n1\t7\n1\t1\n1\t2\n";
    uint64_t hash = hash_of(b, train, "1\t2\t5\n2\t3\t4\n", PROTOCOL_ELLIOT);
    assert_true(hash == hash_of(b, other, "1\t2\t5\n2\t3\t4\n", PROTOCOL_ELLIOT)); /* other numbers */
    assert_true(hash == hash_of(b, train, "2\t3\t4\n1\t2\t5\n", PROTOCOL_ELLIOT)); /* another order */
    assert_true(hash == hash_of(b, train, "1\t2\t5\n2\t3\t4\n", PROTOCOL_MMREC));
    assert_true(hash != hash_of(b, train, "1\t2\t5\n2\t3\t5\n", PROTOCOL_ELLIOT)); /* another rating */
    assert_true(hash != hash_of(b, train, "1\t3\t5\n2\t2\t4\n", PROTOCOL_ELLIOT)); /* items exchanged */
    assert_true(hash != hash_of(b, train, "1\t2\t5\n", PROTOCOL_ELLIOT));
    assert_true(hash_of(b, train, "1\t2\n2\t3\n", PROTOCOL_ELLIOT) ==
                hash_of(b, train, "1\t2\t1\n2\t3\t1\n", PROTOCOL_ELLIOT)); /* without ratings, each rating is 1 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_run_has_the_figures_of_its_best_epoch),
                                       cmocka_unit_test(without_a_test_part),
                                       cmocka_unit_test(the_part_is_checked),
                                       cmocka_unit_test(what_is_written_is_read),
                                       cmocka_unit_test(malformed_files_are_refused),
                                       cmocka_unit_test(memory_is_bounded),
                                       cmocka_unit_test(the_hash_is_of_the_truth_alone)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
