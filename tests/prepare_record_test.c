/* tests/prepare_record_test.c: lines of Amazon's files, in JSON and in Python; files that are read line by line. */
#include "recsys/data/prepare/prepare.h"

#include "tests/recsys_testing.h"

#ifdef HAVE_ZLIB
#include <zlib.h>
#endif

/* ---- records --------------------------------------------------------------------------------- */

static void records_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *line, *text; /* the value of the member "a" */
    } CASES[] = {
        {"{\"a\": \"x\"}", "x"},
        {" { \"a\" : \"\\u00e9\\n\" } ", "\xc3\xa9\n"},
        {"{'a': 'x'}", "x"},
        {"{'b': 1, 'a': 'x'}", "x"},
        {"{u'a': u'x'}", "x"},
        {"{U'a': U\"x\"}", "x"},
        {"{'a': \"it's\"}", "it's"},
        {"{'a': 'it\\'s \\\"so\\\" \"or\" so'}", "it's \"so\" \"or\" so"},
        {"{'a': '\\xe9\\t\\x41'}", "\xc3\xa9\tA"}, /* as Python 3 reads it: a character, not a byte */
        {"{'a': '\\u4f60\\U0001f600'}", "\xe4\xbd\xa0\xf0\x9f\x98\x80"},
        {"{'a': '\\ud83d\\ude00'}", "\xf0\x9f\x98\x80"},
        {"{'a': '\\ud83d!'}", "\xef\xbf\xbd!"},
        {"{'a': '\\ude00\\ud83d'}", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"{'a': '\\101\\7\\0619'}", "A\a19"},
        {"{'a': 'c:\\d\\q\\\\'}", "c:\\d\\q\\"}, /* not escapes: Python keeps the backslash */
        {"{'a': '\\a\\b\\f\\n\\r\\t\\v'}", "\a\b\f\n\r\t\v"},
        {"{'a': '\ttab'}", "\ttab"},
        {"{'a': '\xc3\xa9'}", "\xc3\xa9"},
        {"{'b': (1, 2L, -3.5e2), 'c': [[None, True, False,],], 'd': {}, 'e': (), 'f': nan, 'a': 'x',}", "x"},
        {"{'b': {'c': ('d', {'e': []})}, 'a': 'x'}", "x"},
        {"{'asin': '1', \"a\": '{[(:,)]}'}", "{[(:,)]}"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        const Json *record = record_parse(a, text_of(CASES[i].line), "f", 1, &e);
        if (!record)
            fail_msg("%s: %s", CASES[i].line, e.message);
        const Json *j = json_get(record, "a");
        if (!j || !text_is(j->text, CASES[i].text))
            fail_msg("%s: read as %.*s", CASES[i].line, j ? (int)j->text.n : 0, j ? j->text.p : "");
        arena_free(a);
    }
}

static void broken_records_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *line, *why;
    } CASES[] = {
        {"", "f:7: is no record"},
        {"[1]", "f:7: is no record"},
        {"reviewerID,asin", "f:7: is no record"},
        {"{", "f:7:2: "},
        {"{\"a\": }", "f:7:7: a value is expected"},
        {"{\"a\": 1} x", "f:7:10: unexpected text"},
        {"{\"a\": 1, \"a\": 2}", "f:7:10: duplicate key \"a\""},
        {"{\"a\": '1'}", "f:7:7: a value is expected"},
        {"{\"a\": NaN}", "f:7:7: a value is expected"},
        {"{\"a\": \"\xff\"}", "f:7:8: is not valid UTF-8"},
        {"{'a': 'x}", "f:7:7: this string is not closed"},
        {"{'a': 'x\\", "f:7:9: this string is not closed"},
        {"{'a': x}", "f:7:7: a value is expected here: {, [, ("},
        {"{'a': __import__('os').system('true')}", "f:7:7: a value is expected"},
        {"{'a': b'x'}", "f:7:7: a value is expected"},
        {"{'a': '\\xg1'}", "f:7:8: this escape is not a character"},
        {"{'a': '\\u12'}", "f:7:8: this escape is not a character"},
        {"{'a': '\\U00110000'}", "f:7:8: this escape is not a character"},
        {"{'a': '\\N{DASH}'}", "f:7:8: the escape \\N is not supported"},
        {"{'a': 1 2}", "f:7: a comma or } is expected"},
        {"{'a': 1-2}", "f:7: a comma or } is expected"},
        {"{'a': 01}", "f:7: not a valid JSON number"},
        {"{'a': 1", "f:7: "},
        {"{'a': [1}", "f:7: a comma or ] is expected"},
        {"{'a' 1}", "f:7: a colon is expected"},
        {"{'a', 'b'}", "f:7: a colon is expected"},
        {"{1: 'a'}", "f:7: a key in double quotes is expected"},
        {"{'a': 'x' 'y'}", "f:7: a comma or } is expected"},
        {"{'a': #\n1}", "f:7:7: a value is expected"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        if (record_parse(a, text_of(CASES[i].line), "f", 7, &e))
            fail_msg("%s: was read", CASES[i].line);
        if (!strstr(e.message, CASES[i].why))
            fail_msg("%s: \"%s\" is not in \"%s\"", CASES[i].line, CASES[i].why, e.message);
        arena_free(a);
    }
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    char deep[400] = "{'a': ";
    memset(deep + 6, '(', 300);
    assert_null(record_parse(a, text_of(deep), "f", 7, &e));
    assert_error(e, SP_FORMAT, "f:7: nested more than 64 deep");
    assert_null(record_parse(a, (Text){"{'a': \0}", 9}, "f", 7, &e));
    assert_error(e, SP_FORMAT, "f:7:7: a value is expected");
    arena_free(a);
}

/* Checks that time and memory are proportional to the line: the bound of every reader. */
static void large_records_are_bounded(void **state)
{
    (void)state;
    enum { N = 1 << 20 };
    static const char *const PIECES[] = {"\\x01", "\\1", "\t", "',u'", "(),", "((", "'a':1,"};
    static char line[N + 64];
    for (size_t i = 0; i < COUNT(PIECES); i++) {
        size_t n = (size_t)snprintf(line, sizeof line, i < 3 ? "{'a': '" : i == 3 ? "{'a': ['" : "{'a': [");
        while (n < N)
            n += (size_t)snprintf(line + n, sizeof line - n, "%s", PIECES[i]);
        n += (size_t)snprintf(line + n, sizeof line - n, i < 3 ? "'}" : i == 3 ? "']}" : "]}");
        TestHeap h;
        test_heap_bounded(&h, n);
        Arena *a = arena_new(&h.heap, 0);
        Error e = {0};
        bool ok = record_parse(a, (Text){line, n}, "f", 1, &e);
        assert_true(ok || e.code == SP_FORMAT);
        assert_true(ok || i > 3);
        arena_free(a);
        assert_int_equal(h.live, 0);
    }
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* Returns the lines of a file, each in brackets, or the error. */
static const char *lines_of(const char *path, size_t longest)
{
    static char out[1024];
    Error e = {0};
    Text line;
    LineReader *l = lines_open(path, longest, NULL, &e);
    size_t n = 0;
    out[0] = '\0';
    while (l && lines_next(l, &line, &e)) {
        assert_int_equal(lines_number(l), ++n);
        snprintf(out + strlen(out), sizeof out - strlen(out), "[%.*s]", (int)line.n, line.p);
    }
    size_t of = 0, bytes = l ? lines_bytes(l, &of) : 0;
    assert_true(e.code || bytes == of);
    lines_close(l);
    return e.code ? strcpy(out, e.message) : out;
}

static void check_lines(const char *text, size_t longest, const char *expected)
{
    const char *path = put("lines.txt", text);
    const char *found = lines_of(path, longest);
    if (!strstr(found, expected))
        fail_msg("%s: %s, not %s", text, found, expected);
#ifdef HAVE_ZLIB
    char packed[600];
    snprintf(packed, sizeof packed, "%s/lines.gz", dir);
    gzFile z = gzopen(packed, "wb");
    assert_non_null(z);
    assert_int_equal(gzwrite(z, text, (unsigned)strlen(text)), strlen(text));
    assert_int_equal(gzclose(z), Z_OK);
    found = lines_of(packed, longest);
    if (!strstr(found, expected))
        fail_msg("%s, packed: %s, not %s", text, found, expected);
#endif
}

static void lines_are_read(void **state)
{
    (void)state;
    check_lines("a\nb\n", 9, "[a][b]");
    check_lines("\xEF\xBB\xBF"
                "a\r\n\r\nb",
                9, "[a][][b]");
    check_lines("123456789\n1\n", 9, "[123456789][1]");
    check_lines("1\n1234567890\n", 9, ":2: is a line of more than 9 bytes, the limit");
    check_lines("1\n1234567890", 9, ":2: is a line of more than 9 bytes, the limit");
    const char *empty = put("empty.txt", ""); /* an empty file has no lines */
    assert_string_equal(lines_of(empty, 9), "");
    assert_non_null(strstr(lines_of("no/such.txt", 9), "no/such.txt: cannot open"));
    assert_non_null(strstr(lines_of(dir, 9), "is a folder"));
    assert_non_null(strstr(lines_of(put("x.zip", "PK\3\4"), 9), "is a zip archive"));
}

#ifdef HAVE_ZLIB
static void packed_lines(void **state)
{
    (void)state;
    enum { LINES = 40000 };
    char path[600], cut[600];
    snprintf(path, sizeof path, "%s/long.gz", dir);
    for (int member = 0; member < 2; member++) { /* one after the other */
        gzFile z = gzopen(path, member ? "ab" : "wb");
        for (int i = 0; i < LINES / 2; i++)
            gzprintf(z, "%d %d\n", member * LINES / 2 + i, i * 7919);
        assert_int_equal(gzclose(z), Z_OK);
    }
    TestHeap h;
    test_heap(&h, 0);
    Error e = {0};
    Text line;
    LineReader *l = lines_open(path, 1 << 20, &h.heap, &e);
    assert_non_null(l);
    char expected[64];
    for (int i = 0; i < LINES; i++) {
        assert_ok(lines_next(l, &line, &e), e);
        snprintf(expected, sizeof expected, "%d %d", i, i % (LINES / 2) * 7919);
        assert_true(text_is(line, expected));
    }
    assert_false(lines_next(l, &line, &e));
    assert_int_equal(e.code, SP_OK);
    lines_close(l);
    assert_int_equal(h.live, 0);
    assert_true(h.peak < 400000);
    Map m;
    assert_ok(map_open(&m, path, &e), e);
    snprintf(cut, sizeof cut, "%s", put_bytes("cut.gz", m.data, m.bytes - 9));
    l = lines_open(cut, 1 << 20, NULL, &e);
    while (lines_next(l, &line, &e))
        continue;
    assert_error(e, SP_FORMAT, "cut.gz: the gzip data are truncated");
    lines_close(l);
    unsigned char *bytes = malloc(m.bytes + 4);
    memcpy(bytes, m.data, m.bytes);
    memset(bytes + 40, 0xaa, 20);
    l = lines_open(put_bytes("bad.gz", bytes, m.bytes), 1 << 20, NULL, &e);
    while (lines_next(l, &line, &e))
        continue;
    assert_error(e, SP_FORMAT, "bad.gz: the gzip data are damaged");
    lines_close(l);
    memcpy(bytes, m.data, m.bytes);
    memcpy(bytes + m.bytes, "more", 4);
    l = lines_open(put_bytes("more.gz", bytes, m.bytes + 4), 1 << 20, NULL, &e);
    while (lines_next(l, &line, &e))
        continue;
    assert_error(e, SP_FORMAT, "more.gz: the bytes after the gzip data are not gzip data");
    lines_close(l);
    free(bytes);
    map_close(&m);
}

/* Checks that a small file with very many lines is refused, at the limit of text_unpack. */
static void a_bomb_is_refused(void **state)
{
    (void)state;
    char path[600];
    static char zeros[1 << 20];
    snprintf(path, sizeof path, "%s/bomb.gz", dir);
    gzFile z = gzopen(path, "wb1");
    memset(zeros, '\n', sizeof zeros);
    for (int i = 0; i < 40; i++)
        gzwrite(z, zeros, sizeof zeros);
    assert_int_equal(gzclose(z), Z_OK);
    Error e = {0};
    Text line;
    LineReader *l = lines_open(path, 100, NULL, &e);
    while (lines_next(l, &line, &e))
        continue;
    assert_error(e, SP_FORMAT, "the gzip file unpacks to more than");
    lines_close(l);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_read),
        cmocka_unit_test(broken_records_are_refused),
        cmocka_unit_test(large_records_are_bounded),
        cmocka_unit_test(lines_are_read),
#ifdef HAVE_ZLIB
        cmocka_unit_test(packed_lines),
        cmocka_unit_test(a_bomb_is_refused),
#endif
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
