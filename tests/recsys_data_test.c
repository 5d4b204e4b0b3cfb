/* tests/recsys_data_test.c: interactions and features are read and numbered. */
#include "recsys/data/data.h"

#include "tests/recsys_testing.h"

/* ---- ratings --------------------------------------------------------------------------------- */

static void check_row(const Ratings *r, size_t i, const char *user, const char *item, double rating)
{
    assert_true(text_is(text_index_at(r->users, r->user[i]), user));
    assert_true(text_is(text_index_at(r->items, r->item[i]), item));
    assert_true((r->rating ? r->rating[i] : 1) == (float)rating);
}

static void reads_every_format(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        Format format;
        bool times, parts;
    } cases[] = {
        {"u1\ti1\t5.0\t10\nu2\ti2\t3\t20\n", FORMAT_TSV, true, false},
        {"u1\ti1\t5.0\nu2\ti2\t3", FORMAT_TSV, false, false},
        {"\xEF\xBB\xBFu1\ti1\t5.0\t10\r\nu2\ti2\t3\t20\r\n", FORMAT_TSV, true, false},
        {"u1,i1,5,10\n\n\"u2\",\"i2\",3,20.0\n", FORMAT_TSV, true, false},
        {"timestamp,item_id,user_id,rating\n10,i1,u1,5\n20,i2,u2,3\n", FORMAT_TSV, true, false},
        {"itemID\tx_label\tuserID\trating\ni1\t0\tu1\t5\ni2\t2\tu2\t3\n", FORMAT_INTER, false, true},
        {"user_id:token\titem_id:token\trating:float\ttimestamp:float\nu1\ti1\t5\t10\nu2\ti2\t3\t20\n", FORMAT_RECBOLE,
         true, false},
    };
    for (size_t c = 0; c < COUNT(cases); c++) {
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        Ratings r;
        assert_ok(ratings_read(&r, put("r.tsv", cases[c].text), FORMAT_AUTO, a, &e), e);
        assert_int_equal(r.format, cases[c].format);
        assert_int_equal(r.count, 2);
        check_row(&r, 0, "u1", "i1", 5);
        check_row(&r, 1, "u2", "i2", 3);
        assert_int_equal(r.time != NULL, cases[c].times);
        assert_int_equal(r.part != NULL, cases[c].parts);
        if (r.time)
            assert_true(r.time[0] == 10 && r.time[1] == 20);
        if (r.part)
            assert_true(r.part[0] == 0 && r.part[1] == 2);
        arena_free(a);
    }
}

static void reads_lightgcn(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Ratings r;
    assert_ok(ratings_read(&r, put("l.txt", "0 4 2 \n1\n3  7\n"), FORMAT_AUTO, a, &e), e);
    assert_int_equal(r.format, FORMAT_LIGHTGCN);
    assert_int_equal(r.count, 3);
    check_row(&r, 0, "0", "4", 1);
    check_row(&r, 1, "0", "2", 1);
    check_row(&r, 2, "3", "7", 1);
    assert_int_equal(r.line[2], 3);
    arena_free(a);
}

static void an_empty_rating_column_means_one(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Ratings r;
    assert_ok(ratings_read(&r, put("r.tsv", "u\ti\t\t5\nv\tj\t\t6\n"), FORMAT_AUTO, a, &e), e);
    check_row(&r, 1, "v", "j", 1);
    arena_free(a);
}

static void malformed_ratings_name_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t bytes; /* 0: strlen */
        const char *why;
        Format format;
    } cases[] = {
        {"", 0, "holds no interactions", FORMAT_AUTO},
        {"\n\n", 0, "holds no interactions", FORMAT_AUTO},
        {"userID\titemID\tx_label\n", 0, "holds no interactions", FORMAT_AUTO},
        {"u\ti\t5\nu\tj\n", 0, ":2: has 2 columns, one fewer than the first line", FORMAT_AUTO},
        {"u\ti\t5\nu\tj\t1\t2\n", 0, ":2: has 4 columns, unlike the first line", FORMAT_AUTO},
        {"u\ti\t5\nu\tj\tfive\n", 0, ":2: the rating is not a number: 'five'", FORMAT_AUTO},
        {"u\ti\tfive\nu\tj\t5\n", 0, ":1: the rating is not a number: 'five'", FORMAT_AUTO},
        {"u\ti\t1e300\n", 0, ":1: the rating is not a number: '1e300'", FORMAT_AUTO},
        {"u\ti\tnan\n", 0, ":1: the rating is not a number: 'nan'", FORMAT_AUTO},
        {"u\ti\t1e999\n", 0, ":1: the rating is not a number: '1e999'", FORMAT_AUTO},
        {"u\ti\t5\tnoon\n", 0, ":1: the time is not a number: 'noon'", FORMAT_AUTO},
        {"u\ti\t5\t1e300\n", 0, ":1: the time is not a number: '1e300'", FORMAT_AUTO},
        {"\ti\t5\n", 0, ":1: the user id is empty", FORMAT_AUTO},
        {"u\t \t5\n", 0, ":1: the item id is empty", FORMAT_AUTO},
        {"u\ti\t5\nu\tj\t\n", 0, "1 of 2 rows have no rating", FORMAT_AUTO},
        {"u\ti\t5\t1\nu\tj\t5\t\n", 0, "1 of 2 rows have no time", FORMAT_AUTO},
        {"u\ti\t5\t1\t9\n", 0, ":1: has 5 columns", FORMAT_AUTO},
        {"u\n", 0, ":1: has 1 column;", FORMAT_TSV},
        {"u\ti\t5\nu\0\ti\t5\n", 14, ":2: holds a NUL byte", FORMAT_AUTO},
        {"u\ti\t5\nu\xff\ti\t5\n", 0, ":2: is not valid UTF-8", FORMAT_AUTO},
        {"userID\titemID\tx_label\n0\t1\t3\n", 0, ":2: x_label is not 0, 1 or 2: '3'", FORMAT_AUTO},
        {"0\t1\t0\n", 0, "the first line must name the columns", FORMAT_INTER},
        {"0\t1\t0\n", 0, "the first line must name the columns", FORMAT_RECBOLE},
        {"0 1 2\n1 two\n", 0,
         ":2: a line is 'user item item ...' in whole numbers (other formats have tabs or commas), not 'two'",
         FORMAT_AUTO},
        {"0 1 -2\n", 0,
         ":1: a line is 'user item item ...' in whole numbers (other formats have tabs or commas), not '-2'",
         FORMAT_AUTO},
        {"a sentence of words\n", 0, ":1: a line is 'user item item ...'", FORMAT_AUTO},
        {"0 1 99999999999999999999\n", 0, ":1: a line is 'user item item ...'", FORMAT_AUTO},
    };
    for (size_t c = 0; c < COUNT(cases); c++) {
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        Ratings r;
        size_t n = cases[c].bytes ? cases[c].bytes : strlen(cases[c].text);
        assert_false(ratings_read(&r, put_bytes("bad.tsv", cases[c].text, n), cases[c].format, a, &e));
        assert_error(e, SP_FORMAT, cases[c].why);
        arena_free(a);
    }
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Ratings r;
    assert_false(ratings_read(&r, "/nowhere/r.tsv", FORMAT_AUTO, a, &e));
    assert_error(e, SP_IO, "/nowhere/r.tsv");
    assert_int_equal(format_find("recbole"), FORMAT_RECBOLE);
    assert_int_equal(format_find("xml"), (Format)-1);
    arena_free(a);
}

/* ---- data sets ------------------------------------------------------------------------------- */

static void check_pairs(const Pairs *p, int64_t U, const char *expected)
{
    char text[256] = "";
    for (int64_t u = 0; u < U; u++)
        for (int64_t k = p->start[u]; k < p->start[u + 1]; k++)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%lld:%d=%g ", (long long)u, p->item[k],
                     (double)p->rating[k]);
    assert_string_equal(text, expected);
    assert_int_equal(p->count, p->start[U]);
}

static void elliot_numbers_what_train_has(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    DataSet d;
    DataConfig c = {.train = put("train.tsv", "b\t10\t5\na\t9\t4\nb\t9\t3\nb\t10\t2\n"),
                    .test = put("test.tsv", "a\t10\t5\na\t77\t1\nz\t9\t5\n")};
    assert_ok(dataset_load(&d, &c, a, &e), e);
    assert_int_equal(d.U, 2);
    assert_int_equal(d.I, 2);
    assert_true(text_is(text_index_at(d.users, 0), "b")); /* by first appearance */
    assert_true(text_is(text_index_at(d.items, 0), "9")); /* numbers ascend: 9 comes before 10 */
    check_pairs(&d.train, d.U, "0:0=3 0:1=2 1:0=4 ");     /* of two rows for (b, 10) the last is used */
    /* item 77 is unknown and is numbered from I on; user z is cold */
    check_pairs(&d.test, d.U, "1:1=5 1:2=1 ");
    assert_int_equal(d.cold, 1);
    assert_null(d.valid.start);
    c.train = put("train.tsv", "b\t-0\t5\na\t7\t4\nb\t0\t4\n");
    c.test = NULL;
    assert_ok(dataset_load(&d, &c, a, &e), e);
    check_pairs(&d.train, d.U, "0:0=4 0:2=5 1:1=4 "); /* -0 is not a canonical number: all three are texts */
    c.train = put("train.tsv", "b\tx\t5\na\tw\t4\nb\ty\t4\n");
    c.test = NULL;
    assert_ok(dataset_load(&d, &c, a, &e), e);
    assert_true(text_is(text_index_at(d.items, 0), "y") &&
                text_is(text_index_at(d.items, 2), "x")); /* texts: the last comes first */
    arena_free(a);
}

static void mmrec_counts_ids_over_all_rows(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    DataSet d;
    DataConfig c = {
        .protocol = PROTOCOL_MMREC,
        .train = put("d.inter", "userID\titemID\tx_label\n0\t2\t0\n0\t5\t1\n3\t1\t0\n3\t0\t2\n2\t0\t2\n4\t1\t1\n")};
    assert_ok(dataset_load(&d, &c, a, &e), e);
    assert_int_equal(d.U, 5);
    assert_int_equal(d.I, 6);
    check_pairs(&d.train, d.U, "0:2=1 3:1=1 ");
    check_pairs(&d.valid, d.U, "0:5=1 "); /* users 2 and 4 have no train rows */
    check_pairs(&d.test, d.U, "3:0=1 ");
    assert_int_equal(d.cold, 2);
    arena_free(a);
}

static void data_sets_that_cannot_be(void **state)
{
    (void)state;
    static const struct {
        const char *train, *test;
        Protocol protocol;
        const char *why;
    } cases[] = {
        {"u\ti\n", NULL, PROTOCOL_MMREC, ":1: user id 'u' is not a whole number"},
        {"0\ti\n", NULL, PROTOCOL_MMREC, ":1: item id 'i' is not a whole number"},
        {"0\t-0\n", NULL, PROTOCOL_MMREC, ":1: item id '-0' is not a whole number"},
        {"0\t1\n01\t1\n", NULL, PROTOCOL_MMREC, ":2: user id '01' is not a whole number"},
        {"0\t1\n1\t2000000000\n", NULL, PROTOCOL_MMREC, ":2: item id 2000000000 is too large"},
        {"userID\titemID\tx_label\n0\t2\t1\n", NULL, PROTOCOL_MMREC, "holds no train rows"},
        {"userID\titemID\tx_label\n0\t2\t0\n", "0\t2\n", PROTOCOL_ELLIOT, "is split by its own x_label column"},
        {"u\ti\n", "v\ti\n", PROTOCOL_ELLIOT, "none of its users has interactions"},
    };
    for (size_t c = 0; c < COUNT(cases); c++) {
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        DataSet d;
        DataConfig config = {.train = put("t.tsv", cases[c].train), .protocol = cases[c].protocol};
        if (cases[c].test)
            config.test = put("u.tsv", cases[c].test);
        assert_false(dataset_load(&d, &config, a, &e));
        if (!strstr(e.message, cases[c].why))
            fail_msg("wanted \"%s\", got \"%s\"", cases[c].why, e.message);
        arena_free(a);
    }
}

/* ---- features -------------------------------------------------------------------------------- */

static const char *put_npy(const char *name, int dims, const int64_t *shape, const float *data)
{
    const char *path = put(name, "");
    Error e = {0};
    assert_ok(npy_write_f32(path, dims, shape, data, NULL, &e), e);
    return path;
}

/* Loads items 1, 2, 4 (numbers 0, 1, 2) with the features of `spec`. */
static bool load_features(DataSet *d, Protocol p, const char *spec, Arena *a, Error *e)
{
    const char *specs[] = {spec};
    DataConfig c = {.train = put("f.tsv", "0\t1\n0\t2\n1\t4\n"), .protocol = p, .features = specs, .feature_count = 1};
    return dataset_load(d, &c, a, e);
}

static void check_features(const char *spec)
{
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    DataSet d;
    assert_ok(load_features(&d, PROTOCOL_ELLIOT, spec, a, &e), e);
    assert_int_equal(d.feature_count, 1);
    assert_string_equal(d.features[0].name, "visual");
    assert_int_equal(d.features[0].D, 2);
    const float expected[] = {1, 10, 2, 20, 4, 40};
    assert_memory_equal(d.features[0].data, expected, sizeof expected);
    dataset_close(&d);
    arena_free(a);
}

static void features_of_every_kind(void **state)
{
    (void)state;
    char spec[700];
    const int64_t row[] = {1, 2}, matrix[] = {5, 2}, named[] = {3, 2};
    const float by_number[] = {0, 0, 1, 10, 2, 20, 3, 30, 4, 40}, by_name[] = {4, 40, 1, 10, 2, 20};
    snprintf(spec, sizeof spec, "visual=%s", put_npy("m.npy", 2, matrix, by_number));
    check_features(spec);
    put("n.ids.txt", "4\n1\n2\n");
    snprintf(spec, sizeof spec, "visual=%s", put_npy("n.npy", 2, named, by_name));
    check_features(spec);
    put("n.ids.txt", "posters/4.jpg\nposters/1.jpg\r\nposters/2.jpg");
    check_features(spec);
    snprintf(spec, sizeof spec, "%s/items", dir);
    Error e = {0};
    assert_ok(folder_make(spec, &e), e);
    put_npy("items/1.npy", 2, row, by_number + 2);
    put_npy("items/2.npy", 2, row, by_number + 4);
    put_npy("items/4.npy", 1, row + 1, by_number + 8);
    snprintf(spec, sizeof spec, "visual=%s/items", dir);
    check_features(spec);
}

static void features_that_do_not_fit(void **state)
{
    (void)state;
    const int64_t three[] = {3, 2}, five[] = {5, 2}, cube[] = {5, 1, 2}, wide[] = {1, 3}, row[] = {1, 2},
                  square[] = {2, 2};
    const float x[10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, bad[10] = {[3] = 0.0f / 0.0f};
    static const char *const folders[] = {"none", "wide", "square"};
    Error e = {0};
    for (size_t f = 0; f < COUNT(folders); f++) {
        char path[600];
        snprintf(path, sizeof path, "%s/%s", dir, folders[f]);
        assert_ok(folder_make(path, &e), e);
    }
    put_npy("three.npy", 2, three, x);
    put_npy("five.npy", 2, five, x);
    put_npy("cube.npy", 3, cube, x);
    put_npy("nan.npy", 2, five, bad);
    put_npy("few.npy", 2, three, x);
    put("few.ids.txt", "1\n2\n");
    put_npy("twice.npy", 2, three, x);
    put("twice.ids.txt", "1\n2\n1\n");
    put_npy("same.npy", 2, three, x);
    put("same.ids.txt", "a/1.jpg\nb/1.jpg\n2\n");
    put("text.npy", "not numpy");
    put_npy("wide/1.npy", 2, row, x);
    put_npy("wide/2.npy", 2, wide, x);
    put_npy("square/1.npy", 2, square, x);
    static const struct {
        const char *file;
        Protocol protocol;
        const char *why;
    } cases[] = {
        {"three.npy", PROTOCOL_ELLIOT, "three.npy: 1 of 3 items have no features (4)"},
        {"three.npy", PROTOCOL_MMREC, "three.npy: has 3 rows, but the interactions have 5 items"},
        {"cube.npy", PROTOCOL_ELLIOT, "cube.npy: has 3 dimensions"},
        {"nan.npy", PROTOCOL_ELLIOT, "features of item 1 contain"},
        {"few.npy", PROTOCOL_ELLIOT, "few.ids.txt: names 2 rows, but"},
        {"twice.npy", PROTOCOL_ELLIOT, "twice.ids.txt:3: duplicate row name '1' (first in line 1)"},
        {"same.npy", PROTOCOL_ELLIOT, "same.ids.txt: several rows have the name of item 1"},
        {"text.npy", PROTOCOL_ELLIOT, "text.npy"},
        {"absent.npy", PROTOCOL_ELLIOT, "absent.npy"},
        {"none", PROTOCOL_ELLIOT, "none: has no <item id>.npy for any of the 3 items"},
        {"wide", PROTOCOL_ELLIOT, "2.npy: has 3 columns, the earlier files have 2"},
        {"square", PROTOCOL_ELLIOT, "1.npy: holds 4 numbers in 2 dimensions"},
    };
    for (size_t c = 0; c < COUNT(cases); c++) {
        char spec[700];
        snprintf(spec, sizeof spec, "visual=%s/%s", dir, cases[c].file);
        Arena *a = arena_new(NULL, 0);
        DataSet d;
        assert_false(load_features(&d, cases[c].protocol, spec, a, &e));
        if (!strstr(e.message, cases[c].why))
            fail_msg("wanted \"%s\", got \"%s\"", cases[c].why, e.message);
        error_clear(&e);
        arena_free(a);
    }
    Arena *a = arena_new(NULL, 0);
    DataSet d;
    assert_false(load_features(&d, PROTOCOL_ELLIOT, "features.npy", a, &e));
    assert_error(e, SP_USAGE, "name=path");
    arena_free(a);
}

/* ---- failing memory -------------------------------------------------------------------------- */

static void memory_that_fails_is_an_error(void **state)
{
    (void)state;
    char spec[700];
    const int64_t shape[] = {5, 2};
    const float x[10] = {0};
    const char *train = put("heap.tsv", "userID\titemID\tx_label\n0\t1\t0\n0\t2\t0\n1\t4\t0\n1\t2\t1\n");
    put("heap.ids.txt", "0\n1\n2\n3\n4\n");
    snprintf(spec, sizeof spec, "visual=%s", put_npy("heap.npy", 2, shape, x));
    const char *specs[] = {spec};
    DataConfig c = {.train = train, .features = specs, .feature_count = 1};
    load_without_memory(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_format),
        cmocka_unit_test(reads_lightgcn),
        cmocka_unit_test(an_empty_rating_column_means_one),
        cmocka_unit_test(malformed_ratings_name_their_line),
        cmocka_unit_test(elliot_numbers_what_train_has),
        cmocka_unit_test(mmrec_counts_ids_over_all_rows),
        cmocka_unit_test(data_sets_that_cannot_be),
        cmocka_unit_test(features_of_every_kind),
        cmocka_unit_test(features_that_do_not_fit),
        cmocka_unit_test(memory_that_fails_is_an_error),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
