/* tests/data_files_test.c: quoted fields in every table, rows that are left out, recommendations, gzip, files of other
 * programs, arrays in Fortran order, Ducho's file names. */
#include "recsys/data/data.h"
#include "tools/ducho/extract.h"
#include "tools/recommendations.h"

#include "tests/recsys_testing.h"

#ifdef HAVE_ZLIB
#include <zlib.h>
#endif

/* ---- RFC 4180 in each place: interactions, splits, texts, row names, recommendations --------- */

static bool load(DataSet *d, Arena *a, Protocol p, const char *train, const char *test, const char *spec, Error *e)
{
    const char *specs[] = {spec};
    DataConfig c = {.train = train, .test = test, .protocol = p, .features = specs, .feature_count = spec != NULL};
    return dataset_load(d, &c, a, e);
}

static void quoted_fields_everywhere(void **state)
{
    (void)state;
    static const char RATINGS[] =
        "user_id,item_id,note\n\"Doe \"\"A\"\"\",\"a,b\",\"two\nlines\"\nRoe,\"a,b\",x\nRoe,c,\"\"\n";
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    DataSet d;
    char spec[700], out[300], text[320];
    Text made;
    /* interactions, joined with texts and row names */
    assert_ok(npy_write_f32(put("n.npy", ""), 2, (int64_t[]){2, 1}, (float[]){7, 8}, NULL, &e), e);
    put("n.ids.txt", "c\na,b\n"); /* a line is an id, unchanged */
    snprintf(spec, sizeof spec, "visual=%s/n.npy", dir);
    assert_ok(load(&d, a, PROTOCOL_ELLIOT, put("r.csv", RATINGS), NULL, spec, &e), e);
    int64_t doe = text_index_find(d.users, TEXT("Doe \"A\"")), ab = text_index_find(d.items, TEXT("a,b"));
    assert_true(doe == 0 && ab >= 0 && d.I == 2 && d.U == 2);
    assert_true(d.features[0].data[ab] == 8);
    /* recommendations */
    Recs r = {0};
    assert_ok(recommendations_read(&r, put("recs.csv", "\"Doe \"\"A\"\"\",\"a,b\",1\nRoe,c,2\n"), &d, a, &e), e);
    assert_true(r.count == 2 && r.list[0].user == doe && r.list[0].item == ab);
    memset(&r, 0, sizeof r);
    assert_ok(recommendations_read(&r, put("recs.tsv", "\"Doe \"\"A\"\"\"\t\"a,b\"\t1\n"), &d, a, &e), e);
    assert_true(r.count == 1 && r.list[0].user == doe && r.list[0].item == ab);
    dataset_close(&d);
    /* texts */
    Input *rows;
    size_t n;
    assert_ok(
        table_read(&rows, &n, put("t.csv", "\"id\",text\n\"a,b\",\"so \"\"red\"\"\nor, blue\"\n"), "id", "text", a, &e),
        e);
    assert_true(n == 1 && !strcmp(rows[0].name, "a,b") && text_is(rows[0].text, "so \"red\"\nor, blue"));
    /* a split keeps the bytes of the rows, including line ends inside quotes */
    size_t counts[3];
    snprintf(out, sizeof out, "%s/parts", dir);
    SplitConfig c = {.strategy = SPLIT_LEAVE_N_OUT, .leave_n = 1, .seed = 1};
    assert_ok(split_file(put("r.csv", RATINGS), out, &c, counts, &e), e);
    assert_true(counts[0] == 1 && counts[2] == 2);
    snprintf(text, sizeof text, "%s/test.tsv", out);
    assert_ok(file_read(&made, a, text, 0, &e), e);
    assert_non_null(strstr(made.p, "\"Doe \"\"A\"\"\",\"a,b\",\"two\nlines\"\n"));
    assert_true(text_starts(made, "user_id,item_id,note\n"));
    arena_free(a);
}

/* ---- data sets ------------------------------------------------------------------------------- */

static void recbole_tokens_under_mmrec(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    DataSet d;
    assert_ok(load(&d, a, PROTOCOL_MMREC, put("a.inter", "user_id:token\titem_id:token\nx\tB7\ny\tB2\nx\tB2\n"),
                   put("b.inter", "user_id:token\titem_id:token\ny\tB9\nx\tB7\n"), NULL, &e),
              e);
    assert_true(d.U == 2 && d.I == 3); /* B9 is in the data set: MMRec counts items over all rows */
    assert_true(text_is(text_index_at(d.users, 1), "y") && text_is(text_index_at(d.items, 0), "B7") &&
                text_is(text_index_at(d.items, 2), "B9"));
    assert_int_equal(d.counted[2].unknown, 1);
    /* whole numbers are not renumbered */
    assert_ok(load(&d, a, PROTOCOL_MMREC, put("a.inter", "user_id:token\titem_id:token\n3\t5\n"), NULL, NULL, &e), e);
    assert_true(d.U == 4 && d.I == 6);
    assert_false(load(&d, a, PROTOCOL_MMREC, put("a.tsv", "x\tB7\ny\tB2\n"), NULL, NULL, &e));
    assert_error(e, SP_FORMAT, "user id 'x' is not a whole number");
    arena_free(a);
}

static void what_is_left_out_is_counted(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    DataSet d;
    assert_ok(load(&d, a, PROTOCOL_ELLIOT, put("a.tsv", "u\ti\t5\nu\ti\t4\nv\tj\t3\n"),
                   put("b.tsv", "u\tj\t5\nz\ti\t4\nv\tk\t3\n"), NULL, &e),
              e);
    assert_true(d.counted[0].rows == 3 && d.counted[0].repeated == 1 && d.counted[2].rows == 3 &&
                d.counted[2].cold == 1 && d.counted[2].unknown == 1);
    char *text = NULL, *json = NULL;
    size_t n;
    FILE *t = open_memstream(&text, &n), *j = open_memstream(&json, &n);
    print_dataset(&d, t, j);
    fclose(t);
    fclose(j);
    assert_string_equal(
        text,
        "data: tab-separated table (user, item, rating), 2 users, 2 items, density 50%, train 3, test 3; left out: 1 "
        "train "
        "rows whose user and item occur again later, 1 test rows whose user is not in train; counted as missed: 1 test "
        "rows whose "
        "item is not in train\n");
    assert_non_null(json_parse(a, text_of(json), "json", &e));
    assert_non_null(strstr(json, "\"users\":2,\"items\":2,\"density\":0.5,\"train\":{\"rows\":3,"));
    free(text);
    free(json);
    const char *below = put("c.tsv", "u\tj\t-5\nv\tj\t0\n");
    assert_ok(load(&d, a, PROTOCOL_ELLIOT, put("a.tsv", "u\ti\t5\nv\tj\t3\n"), below, NULL, &e), e);
    assert_int_equal(d.counted[2].below, 1);
    assert_ok(load(&d, a, PROTOCOL_MMREC, put("a.tsv", "0\t1\t5\n1\t0\t3\n"), put("c.tsv", "0\t0\t-5\n"), NULL, &e), e);
    assert_int_equal(d.counted[2].below, 0); /* MMRec does not read ratings */
    arena_free(a);
}

/* Checks that the rule for ids applies to interactions too, because a run writes one id per line. */
static void ids_keep_the_rule(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
        Protocol protocol;
    } cases[] = {
        {"user,item\nv,x\n\"a\nb\",x\n", "a.csv:3: the id \"a?b\" holds a line end", PROTOCOL_ELLIOT},
        {"user,item\nu,x\nv,\"x\ty\"\n", "a.csv:3: the id \"x?y\" holds a tab", PROTOCOL_ELLIOT},
        {"user_id:token,item_id:token\nu,x\nv,\"x\ty\"\n", "a.csv:3: the id \"x?y\" holds a tab", PROTOCOL_MMREC},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        DataSet d;
        assert_false(load(&d, a, cases[i].protocol, put("a.csv", cases[i].text), NULL, NULL, &e));
        assert_error(e, SP_FORMAT, cases[i].says);
        arena_free(a);
    }
}

static void labels_split_one_file(void **state)
{
    (void)state;
    static const char INTER[] = "userID\titemID\tx_label\n0\t1\t0\n0\t2\t1\n0\t0\t2\n1\t2\t0\n";
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    DataSet d;
    const char *path = put("a.inter", INTER);
    assert_ok(load(&d, a, PROTOCOL_MMREC, path, path, NULL, &e), e);
    assert_true(d.train.count == 2 && d.valid.count == 1 && d.test.count == 1);
    /* its train rows are not test rows */
    assert_false(load(&d, a, PROTOCOL_MMREC, put("t.tsv", "0\t1\n"), path, NULL, &e));
    assert_error(e, SP_USAGE, "a.inter: is split by its own x_label column");
    error_clear(&e);
    assert_ok(load(&d, a, PROTOCOL_MMREC, put("t.tsv", "0\t1\n"), put("b.inter", "userID\titemID\tx_label\n0\t2\t2\n"),
                   NULL, &e),
              e);
    arena_free(a);
}

/* Checks that a first row with a user of the train part is not taken as a header. */
static void a_test_row_in_doubt(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    DataSet d;
    const char *train = put("t.tsv", "ann\tdune\nann\temma\nbob\temma\n");
    assert_ok(load(&d, a, PROTOCOL_ELLIOT, train, put("u.tsv", "bob\tdune\nann\tivanhoe\n"), NULL, &e), e);
    assert_false(load(&d, a, PROTOCOL_ELLIOT, train, put("u.tsv", "reader\tnovel\nbob\tdune\n"), NULL, &e));
    assert_error(e, SP_FORMAT, "u.tsv:1: the first line may name the columns");
    arena_free(a);
}

/* ---- recommendations ------------------------------------------------------------------------- */

static void recommendations(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected; /* "user item score; ..." in the order of the lists, or the error */
    } cases[] = {
        {"0\t1\t.5\n0\t2\t.7\n", "0 2 0.7; 0 1 0.5; "},
        {"user,item,score\n0,1,.5\n0,2,.7\n", "0 2 0.7; 0 1 0.5; "},
        {"item_id;user_id;prediction\n1;0;.5\n2;0;.7\n", "0 2 0.7; 0 1 0.5; "},
        {"userId,movieId\n0,1\n0,2\n", "0 1 -2; 0 2 -3; "},
        {"0,1,.5\n", "0 1 0.5; "},
        {"0::1::.5\n", "0 1 0.5; "},
        {"id\ttop_0\ttop_1\n0\t2\t1\n1\t0\t2\n", "0 2 -1; 0 1 -2; 1 0 -1; 1 2 -2; "}, /* a file of MMRec */
        {"id\ttop_0\ttop_1\n0\t2\n", ":2: has 2 columns, the header has 3"},
        {"0,1,.5\n0,2\n", ":2: has 2 columns; without a header, three columns are expected"},
        {"0 1\n", ":1: has 2 columns; without a header, three columns are expected"},
        {"user,item,score\n0,1,x\n", ":2: the score \"x\" is not a number"},
        {"a,b,c\n0,1,3\n", ":1: the score \"c\" is not a number; a header names the columns user, item, score"},
        {"user,item,score\n", "holds no recommendation"},
        {"id\ttop_0\n9\t1\n", "all its users are unknown"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        DataSet d;
        Recs r = {0};
        char text[300] = "";
        assert_ok(load(&d, a, PROTOCOL_MMREC, put("t.tsv", "0\t1\n1\t2\n"), NULL, NULL, &e), e);
        if (recommendations_read(&r, put("recs", cases[i].text), &d, a, &e))
            for (size_t k = 0; k < r.count; k++)
                snprintf(text + strlen(text), sizeof text - strlen(text), "%d %d %g; ", r.list[k].user, r.list[k].item,
                         r.list[k].score);
        if (e.code ? !strstr(e.message, cases[i].expected) : strcmp(text, cases[i].expected))
            fail_msg("%s: wanted \"%s\", got \"%s%s\"", cases[i].text, cases[i].expected, text, e.message);
        arena_free(a);
    }
}

/* ---- packed files, arrays and Ducho's names -------------------------------------------------- */

static void gzip_files(void **state)
{
    (void)state;
#ifdef HAVE_ZLIB
    enum { BOMB = 96 << 20 };
    static const char TABLE[] = "u1,i1,4\nu2,i2,5\n";
    unsigned char *packed = malloc(1 << 20), *zeros = calloc(1 << 20, 1);
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Ratings r;
    assert_true(packed && zeros);
    z_stream s = {0};
    assert_int_equal(deflateInit2(&s, 9, Z_DEFLATED, 16 + MAX_WBITS, 9, Z_DEFAULT_STRATEGY), Z_OK);
    s.next_in = (unsigned char *)(uintptr_t)TABLE;
    s.avail_in = sizeof TABLE - 1;
    s.next_out = packed;
    s.avail_out = 1 << 20;
    assert_int_equal(deflate(&s, Z_FINISH), Z_STREAM_END);
    size_t n = s.total_out;
    assert_ok(ratings_read(&r, put_bytes("r.csv.gz", packed, n), FORMAT_AUTO, a, &e), e);
    assert_true(r.count == 2 && text_is(text_index_at(r.items, r.item[1]), "i2"));
    memcpy(packed + n, packed, n); /* two members, and padding */
    memset(packed + 2 * n, 0, 512);
    assert_ok(ratings_read(&r, put_bytes("r.csv.gz", packed, 2 * n + 512), FORMAT_AUTO, a, &e), e);
    assert_int_equal(r.count, 4);
    static const struct {
        size_t keep, spoil;
        const char *why;
    } cases[] = {{10, 0, "truncated"}, {0, 12, "damaged"}, {1, 0, "truncated"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        unsigned char old_byte = packed[cases[i].spoil];
        packed[cases[i].spoil] ^= cases[i].spoil ? 0xff : 0;
        assert_false(ratings_read(&r, put_bytes("bad.gz", packed, n - cases[i].keep), FORMAT_AUTO, a, &e));
        assert_error(e, SP_FORMAT, cases[i].why);
        error_clear(&e);
        packed[cases[i].spoil] = old_byte;
    }
    memcpy(packed + n, "tail", 4);
    assert_false(ratings_read(&r, put_bytes("bad.gz", packed, n + 4), FORMAT_AUTO, a, &e));
    assert_error(e, SP_FORMAT, "the bytes after the gzip data are not gzip");
    error_clear(&e);
    arena_free(a);
    /* a bomb: 96 MB of zeros in 94 KB, refused without much memory */
    deflateReset(&s);
    s.next_out = packed;
    s.avail_out = 1 << 20;
    for (size_t done = 0; done < BOMB; done += 1 << 20) {
        s.next_in = zeros;
        s.avail_in = 1 << 20;
        assert_int_equal(deflate(&s, done + (1 << 20) == BOMB ? Z_FINISH : Z_NO_FLUSH),
                         done + (1 << 20) == BOMB ? Z_STREAM_END : Z_OK);
    }
    n = s.total_out;
    deflateEnd(&s);
    a = arena_new(NULL, 1 << 20);
    assert_false(ratings_read(&r, put_bytes("bomb.gz", packed, n), FORMAT_AUTO, a, &e));
    assert_error(e, SP_FORMAT, "the gzip file unpacks to more than");
    free(zeros);
    free(packed);
    arena_free(a);
#else
    puts("skipped: this build has no zlib");
    skip();
#endif
}

static void foreign_files_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        const char *why;
    } cases[] = {
        {"PK\3\4\0\0", 6, "is a zip archive (.zip, .npz or .xlsx), text is expected"},
        {"\x28\xb5\x2f\xfd\0", 5, "is a Zstandard file"},
        {"PAR1\0", 5, "is a Parquet file"},
        {"\xff\xfeu\0", 4, "is UTF-16 text"},
        {"\x93NUMPY\1\0", 8, "is a NumPy .npy file"},
        {"a\0b", 3, "holds a NUL byte: not a text file"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        Ratings r;
        assert_false(ratings_read(&r, put_bytes("x", cases[i].bytes, cases[i].n), FORMAT_AUTO, a, &e));
        assert_error(e, SP_FORMAT, cases[i].why);
        arena_free(a);
    }
    static const struct {
        const char *bytes;
        size_t n;
        const char *why;
    } arrays[] = {
        {"", 0, "x.npy: is empty, not a NumPy .npy file"},
        {"PK\3\4\0\0", 6,
         "is a zip archive (.zip, .npz or .xlsx), not a NumPy .npy file; to use an array of an .npz, save it"},
        {"\x93NUMPY\1\0", 8, "header is truncated"},
        {"text", 4, "x.npy: not a NumPy .npy file"},
    };
    for (size_t i = 0; i < COUNT(arrays); i++) {
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        Npy n;
        assert_false(npy_open(&n, put_bytes("x.npy", arrays[i].bytes, arrays[i].n), a, &e));
        assert_error(e, SP_FORMAT, arrays[i].why);
        arena_free(a);
    }
}

static void fortran_order(void **state)
{
    (void)state;
    static const struct {
        const char *shape;
        float expected[6];
    } cases[] = {
        {"(2, 3)", {0, 2, 4, 1, 3, 5}}, {"(3, 2)", {0, 3, 1, 4, 2, 5}},    {"(1, 6)", {0, 1, 2, 3, 4, 5}},
        {"(6,)", {0, 1, 2, 3, 4, 5}},   {"(3, 1, 2)", {0, 3, 1, 4, 2, 5}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char bytes[128 + 24];
        float values[6] = {0, 1, 2, 3, 4, 5}, got[6];
        int n = snprintf(bytes, sizeof bytes, "%cNUMPY%c%c%c%c{'descr': '<f4', 'fortran_order': True, 'shape': %s, }",
                         0x93, 1, 0, 118, 0, cases[i].shape);
        memcpy(bytes, "\x93NUMPY\1\0\x76\0", 10);
        memset(bytes + n, ' ', sizeof bytes - (size_t)n);
        memcpy(bytes + 128, values, sizeof values);
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        Npy npy;
        assert_ok(npy_open(&npy, put_bytes("f.npy", bytes, sizeof bytes), a, &e), e);
        array_f32(&npy.array, 0, 6, got);
        assert_memory_equal(got, cases[i].expected, sizeof got);
        npy_close(&npy);
        arena_free(a);
    }
}

static void put_item(const char *name, float value)
{
    char file[100];
    Error e = {0};
    snprintf(file, sizeof file, "items/%s.npy", name);
    assert_ok(npy_write_f32(put(file, ""), 2, (int64_t[]){1, 1}, &value, NULL, &e), e);
}

static void names_cut_at_the_first_dot(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    DataSet d;
    char spec[700];
    snprintf(spec, sizeof spec, "%s/items", dir);
    assert_ok(folder_make(spec, &e), e);
    snprintf(spec, sizeof spec, "visual=%s/items", dir);
    put_item("B00", 7); /* Ducho's file for B00.1.jpg */
    put_item("C1.5", 8);
    put_item("D", 9);
    const char *train = put("t.tsv", "u\tB00.1\nu\tC1.5\nv\tD\n");
    assert_ok(load(&d, a, PROTOCOL_ELLIOT, train, NULL, spec, &e), e);
    assert_true(d.features[0].data[text_index_find(d.items, TEXT("B00.1"))] == 7);
    assert_true(d.features[0].data[text_index_find(d.items, TEXT("C1.5"))] == 8);
    dataset_close(&d);
    static const char *const shared[] = {"u\tB00.1\nu\tB00.2\n", "u\tB00\nu\tB00.2\n", "u\tB00.2\nu\tB00\n"};
    for (size_t i = 0; i < COUNT(shared); i++) {
        assert_false(load(&d, a, PROTOCOL_ELLIOT, put("t.tsv", shared[i]), NULL, spec, &e));
        assert_error(e, SP_FORMAT, "items/B00.npy: may belong to item B00");
        error_clear(&e);
    }
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quoted_fields_everywhere),
        cmocka_unit_test(recbole_tokens_under_mmrec),
        cmocka_unit_test(what_is_left_out_is_counted),
        cmocka_unit_test(ids_keep_the_rule),
        cmocka_unit_test(labels_split_one_file),
        cmocka_unit_test(a_test_row_in_doubt),
        cmocka_unit_test(recommendations),
        cmocka_unit_test(gzip_files),
        cmocka_unit_test(foreign_files_are_named),
        cmocka_unit_test(fortran_order),
        cmocka_unit_test(names_cut_at_the_first_dot),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
