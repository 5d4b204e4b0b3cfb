/* tests/recsys_split_test.c: interactions are split into parts. */
#include "recsys/data/data.h"

#include "tests/recsys_testing.h"

static const char *data_file(const char *name)
{
    static char path[1024];
    const char *root = getenv("SAPOR_DATA");
    snprintf(path, sizeof path, "%s/%s", root && *root ? root : "../shared/data", name);
    return path;
}

static void check_file(const char *name, const char *expected)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Text content;
    assert_ok(file_read(&content, a, path, 0, &e), e);
    assert_string_equal(content.p, expected);
    arena_free(a);
}

static void split(const char *ratings, const char *into, SplitConfig c, size_t train, size_t valid, size_t test)
{
    char path[600];
    size_t counts[3];
    Error e = {0};
    snprintf(path, sizeof path, "%s/%s", dir, into);
    assert_ok(split_file(put("ratings.tsv", ratings), path, &c, counts, &e), e);
    assert_int_equal(counts[0], train);
    assert_int_equal(counts[1], valid);
    assert_int_equal(counts[2], test);
}

static void the_latest_rows_are_test(void **state)
{
    (void)state;
    const char *ratings = "u\ta\t1\t30\nu\tb\t1\t10\nv\ta\t1\t1\nu\tc\t1\t20\nu\td\t1\t30\nu\te\t1\t5";
    SplitConfig c = {.strategy = SPLIT_TEMPORAL, .test_ratio = 0.2, .validation_ratio = 0.25};
    /* v's only row is in the test part: floor(1 * 0.8) = 0 rows stay */
    split(ratings, "temporal", c, 3, 1, 2);
    check_file("temporal/test.tsv", "v\ta\t1\t1\nu\td\t1\t30\n"); /* of two rows at time 30, the later line */
    check_file("temporal/val.tsv", "u\ta\t1\t30\n");
    check_file("temporal/train.tsv", "u\tb\t1\t10\nu\tc\t1\t20\nu\te\t1\t5\n");
    c = (SplitConfig){.strategy = SPLIT_LEAVE_N_OUT, .leave_n = 2, .validation_ratio = 0.1};
    split(ratings, "leave", c, 1, 2, 3);
    check_file("leave/train.tsv", "u\te\t1\t5\n");
    check_file("leave/val.tsv", "u\tb\t1\t10\nu\tc\t1\t20\n");
    check_file("leave/test.tsv", "u\ta\t1\t30\nv\ta\t1\t1\nu\td\t1\t30\n");
}

/* Checks ties: Elliot's rank by descending time holds out the first row of equal times in the file, its rank by
 * ascending time the last. */
static void of_equal_times(void **state)
{
    (void)state;
    const char *ratings = "u\ta\t1\t7\nu\tb\t1\t7\nu\tc\t1\t3\nu\td\t1\t7\nu\te\t1\t3\n";
    SplitConfig c = {.strategy = SPLIT_LEAVE_N_OUT, .leave_n = 1, .validation_ratio = 0.1};
    split(ratings, "one", c, 3, 1, 1);
    check_file("one/test.tsv", "u\ta\t1\t7\n");
    check_file("one/val.tsv", "u\tb\t1\t7\n");
    c = (SplitConfig){.strategy = SPLIT_TEMPORAL, .leave_n = 4};
    split(ratings, "four", c, 1, 0, 4);
    check_file("four/train.tsv", "u\te\t1\t3\n");
    c = (SplitConfig){.strategy = SPLIT_TEMPORAL, .test_ratio = 0.2};
    split(ratings, "share", c, 4, 0, 1);
    check_file("share/test.tsv", "u\td\t1\t7\n");
}

static void lines_are_kept_byte_for_byte(void **state)
{
    (void)state;
    SplitConfig c = {.strategy = SPLIT_LEAVE_N_OUT, .leave_n = 1, .seed = 42};
    split("rating,user,item,timestamp\r\n5,u,a,1\r\n4,u, b,2\r\n\r\n3,u,\"c\",3\r\n", "bytes", c, 2, 0, 1);
    check_file("bytes/train.tsv", "rating,user,item,timestamp\r\n5,u,a,1\r\n4,u, b,2\r\n");
    check_file("bytes/test.tsv", "rating,user,item,timestamp\r\n3,u,\"c\",3\r\n");
    split("0 1 2\n1 5\n", "lightgcn", c, 1, 0, 2);
    /* there are no times, so rows are drawn: RandomState(42) swaps [0, 1] */
    check_file("lightgcn/test.tsv", "0\t1\n1\t5\n");
}

static void k_core_is_iterative(void **state)
{
    (void)state;
    /* c has one row. Without c, w has one row; without w's row, b has one row, and so on. Only u and v with a and d
     * remain. */
    const char *ratings = "u\ta\nu\td\nv\ta\nv\td\nw\tb\nw\tc\nu\tb\n";
    SplitConfig c = {.strategy = SPLIT_RANDOM, .test_ratio = 0, .k_core = 2};
    split(ratings, "core", c, 4, 0, 0);
    check_file("core/train.tsv", "u\ta\nu\td\nv\ta\nv\td\n");
}

/* Golden numbers from numpy 2.4.6: RandomState(7).shuffle of [0]*floor(n*.8)+[1]*rest for users 2, 10 (numbers ascend),
 * then of [0]*floor(n*.5)+... for the remaining rows. */
static void the_random_split_is_numpys(void **state)
{
    (void)state;
    char ratings[1024] = "";
    for (int i = 0; i < 10; i++)
        snprintf(ratings + strlen(ratings), sizeof ratings - strlen(ratings), "10\t%d\n2\t%d\n", i, 100 + i);
    SplitConfig c = {.strategy = SPLIT_RANDOM, .test_ratio = 0.2, .validation_ratio = 0.5, .seed = 7};
    split(ratings, "random", c, 8, 8, 4);
    check_file("random/test.tsv", "2\t100\n10\t4\n2\t105\n10\t9\n");
    check_file("random/val.tsv", "10\t0\n10\t1\n2\t102\n10\t3\n2\t104\n10\t7\n2\t107\n2\t108\n");
}

static void splits_that_cannot_be(void **state)
{
    (void)state;
    static const struct {
        SplitConfig c;
        const char *why;
    } cases[] = {
        {{.strategy = SPLIT_RANDOM, .test_ratio = 1}, "test ratio 1"},
        {{.strategy = SPLIT_RANDOM, .validation_ratio = -0.5}, "validation ratio -0.5"},
        {{.strategy = SPLIT_LEAVE_N_OUT}, "--leave-n"},
        {{.strategy = SPLIT_TEMPORAL, .test_ratio = 0.2}, "has no times"},
        {{.strategy = SPLIT_RANDOM, .test_ratio = 0.2, .k_core = 9}, "no training rows; use a smaller --k-core"},
        {{.strategy = SPLIT_RANDOM, .leave_n = -1}, "cannot be negative"},
    };
    const char *ratings = put("plain.tsv", "u\ta\nu\tb\nv\ta\n");
    char path[600];
    size_t counts[3];
    Error e = {0};
    snprintf(path, sizeof path, "%s/never", dir);
    for (size_t c = 0; c < COUNT(cases); c++) {
        assert_false(split_file(ratings, path, &cases[c].c, counts, &e));
        assert_error(e, SP_USAGE, cases[c].why);
        assert_false(folder_exists(path));
    }
    SplitConfig both = {.strategy = SPLIT_LEAVE_N_OUT, .leave_n = 1, .validation_ratio = 0.1}, one = both;
    one.validation_ratio = 0;
    const char *longer = put("longer.tsv", "u\ta\nu\tb\nu\tc\n");
    snprintf(path, sizeof path, "%s/stale", dir);
    assert_ok(split_file(longer, path, &both, counts, &e), e);
    assert_false(split_file(longer, path, &one, counts, &e));
    assert_error(e, SP_USAGE, "val.tsv: is a file of an earlier split");
    snprintf(path, sizeof path, "%s/longer.tsv", dir);
    assert_false(split_file(longer, path, &one, counts, &e)); /* a file has the name of the folder */
    assert_error(e, SP_IO, "longer.tsv");
}

static void check_same(const char *a, const char *b)
{
    Error e = {0};
    Map x, y;
    assert_ok(map_open(&x, a, &e), e);
    assert_ok(map_open(&y, b, &e), e);
    assert_int_equal(x.bytes, y.bytes);
    assert_memory_equal(x.data, y.data, x.bytes);
    map_close(&x);
    map_close(&y);
}

/* Checks that the benchmark's own files are reproduced, bit for bit (recipes.md 3.1). */
static void amazon_splits_are_reproduced(void **state)
{
    (void)state;
    static const char *const names[] = {"amazon-office", "amazon-baby"};
    for (size_t n = 0; n < COUNT(names); n++) {
        char file[300], out[600], ours[700];
        snprintf(file, sizeof file, "%s/reviews.tsv", names[n]);
        if (!file_exists(data_file(file))) {
            printf("skipped: no %s; SAPOR_DATA names the folder of data sets\n", data_file(file));
            skip();
        }
        SplitConfig c = {.strategy = SPLIT_RANDOM, .test_ratio = 0.2, .validation_ratio = 0.1, .seed = 42};
        size_t counts[3];
        Error e = {0};
        snprintf(out, sizeof out, "%s/%s", dir, names[n]);
        assert_ok(split_file(data_file(file), out, &c, counts, &e), e);
        static const char *const parts[] = {"train.tsv", "val.tsv", "test.tsv"};
        for (size_t p = 0; p < COUNT(parts); p++) {
            snprintf(file, sizeof file, "%s/%s", names[n], parts[p]);
            snprintf(ours, sizeof ours, "%s/%s", out, parts[p]);
            check_same(data_file(file), ours);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_latest_rows_are_test),     cmocka_unit_test(of_equal_times),
        cmocka_unit_test(lines_are_kept_byte_for_byte), cmocka_unit_test(k_core_is_iterative),
        cmocka_unit_test(the_random_split_is_numpys),   cmocka_unit_test(splits_that_cannot_be),
        cmocka_unit_test(amazon_splits_are_reproduced),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
