/* tests/elliot_split_test.c: prefilters and splits of an Elliot configuration give the rows of Elliot's own code. */
#include "tests/elliot_testing.h"

/* A data set of tests/golden/elliot/splits.txt. */
typedef struct GoldenData {
    char name[32];
    Text rows[200];
    size_t count;
} GoldenData;

static Text next_line(Text *rest)
{
    Text line = {0};
    assert_true(text_line(rest, &line));
    return line;
}

static void read_data(GoldenData *d, Text head, Text *rest)
{
    assert_int_equal(sscanf(head.p, "data %31s %zu", d->name, &d->count), 2);
    assert_true(d->count <= COUNT(d->rows));
    for (size_t i = 0; i < d->count; i++)
        d->rows[i] = next_line(rest);
}

static const char *golden_rows(Arena *a, const GoldenData *d, Text letters, char which)
{
    Error e = {0};
    char *text = arena_alloc(a, 1, 20000, &e);
    size_t n = 0;
    assert_int_equal(letters.n, d->count);
    for (size_t i = 0; i < d->count; i++)
        if (!which || letters.p[i] == which)
            n += (size_t)snprintf(text + n, 20000 - n, "%.*s\n", (int)d->rows[i].n, d->rows[i].p);
    return text;
}

static void check_case(const GoldenData *d, int64_t seed, Text filters, Text splitting, Text *rest)
{
    Arena *a = arena_new(NULL, 0);
    Error e = {0};
    Study s;
    char yaml[4000];
    test_folder_remove(in_dir(a, "out/splits"));
    snprintf(
        yaml, sizeof yaml,
        "experiment:\n  dataset: x\n  top_k: 5\n  random_seed: %lld\n  data_config: {strategy: dataset, dataset_path: "
        "../data.tsv}\n  %s%.*s\n  splitting: %.*s\n  evaluation: {simple_metrics: [Recall]}\n  models: {MostPop: "
        "{}}\n",
        (long long)seed, filters.n > 2 ? "prefiltering: " : "# ", (int)filters.n, filters.p, (int)splitting.n,
        splitting.p);
    put("data.tsv", golden_rows(a, d, (Text){yaml, d->count}, 0));
    assert_ok(read_elliot(&s, yaml, in_dir(a, "out"), a, &e), e);
    size_t folds = 0;
    while (rest->n && rest->p[0] != 'c') {
        Text line = next_line(rest), letters = {line.p + 4, line.n - 4};
        assert_true(folds < s.data_count);
        const StudyData *data = &s.data[folds++];
        assert_file(a, data->config.train, golden_rows(a, d, letters, 't'));
        assert_file(a, data->config.test, golden_rows(a, d, letters, 's'));
        assert_int_equal(data->config.valid != NULL, memchr(letters.p, 'v', letters.n) != NULL);
        if (data->config.valid)
            assert_file(a, data->config.valid, golden_rows(a, d, letters, 'v'));
    }
    assert_int_equal(folds, s.data_count);
    arena_free(a);
}

static void splits_are_elliots(void **state)
{
    (void)state;
    Arena *a = arena_new(NULL, 0);
    Error e = {0};
    GoldenData *data = NEW(a, GoldenData, 8, &e);
    Text rest;
    size_t kinds = 0, cases = 0;
    assert_ok(file_read(&rest, a, "tests/golden/elliot/splits.txt", 0, &e), e);
    while (rest.n) {
        char name[32];
        long long seed;
        Text line = next_line(&rest);
        if (text_starts(line, "data ")) {
            read_data(&data[kinds++], line, &rest);
            continue;
        }
        assert_int_equal(sscanf(line.p, "case %31s %lld", name, &seed), 2);
        Text filters = next_line(&rest), splitting = next_line(&rest);
        const GoldenData *of = data;
        while (strcmp(of->name, name) != 0)
            of++;
        check_case(of, seed, filters, splitting, &rest);
        cases++;
    }
    assert_true(cases > 50);
    arena_free(a);
}

static void nothing_else_is_overwritten(void **state)
{
    (void)state;
    static const char *const others[] = {"data/s/notes.txt", "data/s/1/0/train.tsv", "data/s/0/extra.tsv",
                                         "data/s/0/train.tsv", "data/s/0/0/model/x"};
    put_file("data/x.tsv", "1\t1\t5\n1\t2\t3\n1\t3\t4\n2\t1\t1\n2\t2\t2\n2\t3\t5\n");
    static const char yaml[] =
        "experiment:\n  dataset: x\n  top_k: 2\n  data_config: {strategy: dataset, dataset_path: \"../data/{0}.tsv\"}\n"
        "  splitting:\n    save_on_disk: True\n    save_folder: ../data/s/\n    test_splitting: {strategy: "
        "random_subsampling, "
        "leave_n_out: 1}\n    validation_splitting: {strategy: random_subsampling, leave_n_out: 1}\n"
        "  evaluation: {simple_metrics: [Recall]}\n  models: {MostPop: {}}\n";
    for (size_t i = 0; i <= COUNT(others); i++) {
        Arena *a = arena_new(NULL, 0);
        Error e = {0};
        Study s;
        if (i < COUNT(others))
            put_file(others[i], "keep");
        bool ok = read_elliot(&s, yaml, NULL, a, &e);
        if (i < COUNT(others)) {
            assert_false(ok);
            assert_non_null(strstr(e.message, "Elliot deletes save_folder first, which Sapor does not"));
            assert_file(a, in_dir(a, others[i]), "keep");
            test_folder_remove(in_dir(a, "data/s"));
        } else {
            assert_ok(ok, e);
            error_clear(&e);
            assert_ok(read_elliot(&s, yaml, NULL, a, &e), e); /* the files of the first call may be overwritten */
        }
        arena_free(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_are_elliots),
        cmocka_unit_test(nothing_else_is_overwritten),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
