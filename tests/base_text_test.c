/* tests/base_text_test.c: texts, numbers in them, UTF-8, indexes, hashes. json_test.c tests JSON. */
#include "tests/testing.h"

#include <math.h>

static void texts_compare_and_cut(void **state)
{
    (void)state;
    assert_true(text_equal(TEXT("ab"), text_of("ab")) && !text_equal(TEXT("ab"), TEXT("abc")));
    assert_true(text_equal((Text){NULL, 0}, TEXT("")) && text_is(TEXT("q"), "q"));
    assert_true(text_compare(TEXT("a"), TEXT("b")) < 0 && text_compare(TEXT("ab"), TEXT("a")) > 0);
    assert_true(text_compare(TEXT("\xff"), TEXT("a")) > 0 && text_compare((Text){NULL, 0}, TEXT("")) == 0);
    assert_true(text_starts(TEXT("abc"), "ab") && !text_starts(TEXT("a"), "ab") && text_starts(TEXT(""), ""));
    assert_true(text_ends(TEXT("a.npy"), ".npy") && !text_ends(TEXT("npy"), ".npy"));
    assert_true(text_is(text_trim(TEXT(" \t a b\r\n\v\f")), "a b") && text_trim(TEXT("  ")).n == 0);
    static const struct {
        const char *whole, *parts[4];
        size_t count;
    } cuts[] = {{"", {""}, 1},
                {"a", {"a"}, 1},
                {"a\tb", {"a", "b"}, 2},
                {"\t", {"", ""}, 2},
                {"a\t\tb\t", {"a", "", "b", ""}, 4}};
    for (size_t c = 0; c < COUNT(cuts); c++) {
        Text rest = text_of(cuts[c].whole), part;
        size_t n = 0;
        for (; text_next(&rest, '\t', &part); n++) {
            assert_true(n < cuts[c].count);
            assert_true(text_is(part, cuts[c].parts[n]));
        }
        assert_int_equal(n, cuts[c].count);
    }
    Text rest = TEXT("one\r\n\ntwo\rx\nlast\r"), line;
    static const char *const lines[] = {"one", "", "two\rx", "last\r"};
    for (size_t i = 0; i < COUNT(lines); i++) {
        assert_true(text_line(&rest, &line));
        assert_true(text_is(line, lines[i]));
    }
    assert_false(text_line(&rest, &line));
}

static void whole_numbers_are_strict(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {{"0", 0},
                {"-0", 0},
                {"+7", 7},
                {"007", 7},
                {"-12", -12},
                {"9223372036854775807", INT64_MAX},
                {"-9223372036854775808", INT64_MIN}};
    static const char *const bad[] = {"",
                                      "-",
                                      "+",
                                      " 1",
                                      "1 ",
                                      "1.0",
                                      "0x10",
                                      "1e3",
                                      "--1",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999",
                                      "a"};
    int64_t v;
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_true(text_i64(text_of(good[i].text), &v));
        assert_int_equal(v, good[i].value);
    }
    for (size_t i = 0; i < COUNT(bad); i++)
        if (text_i64(text_of(bad[i]), &v))
            fail_msg("\"%s\" was read as a whole number", bad[i]);
}

static void real_numbers_are_exact(void **state)
{
    (void)state;
    static const char *const good[] = {"0",
                                       "-0.0",
                                       "1",
                                       "0.1",
                                       "-2.5e3",
                                       "5.",
                                       ".5",
                                       "1e22",
                                       "1e23",
                                       "9007199254740993",
                                       "123456789012345678901234567890",
                                       "1.7976931348623157e308",
                                       "2.2250738585072011e-308",
                                       "4.9406564584124654e-324",
                                       "1e-400",
                                       "0.000000000000000000000000000001",
                                       "3.14159265358979323846",
                                       "000000000000000000000000000001.5",
                                       "0e999999999999",
                                       "9007199254740992e-22",
                                       "+4E+2"};
    static const char *const bad[] = {"",   ".",     "-",   "e5",    "1e",    "1e+",  "1.2.3", "1 ",
                                      " 1", "0x1p3", "1,5", "1e999", "infin", "nanx", "1f"};
    double v;
    for (size_t i = 0; i < COUNT(good); i++) {
        if (!text_f64(text_of(good[i]), &v))
            fail_msg("\"%s\" was refused", good[i]);
        double want = strtod(good[i], NULL);
        assert_memory_equal(&v, &want, sizeof v);
    }
    for (size_t i = 0; i < COUNT(bad); i++)
        if (text_f64(text_of(bad[i]), &v))
            fail_msg("\"%s\" was read as a number", bad[i]);
    assert_true(text_f64(TEXT("NaN"), &v) && isnan(v));
    assert_true(text_f64(TEXT("-Infinity"), &v) && v == -INFINITY && text_f64(TEXT("inf"), &v) && v == INFINITY);
    char many[1200];
    memset(many, '1', sizeof many);
    many[1] = '.';
    assert_true(text_f64((Text){many, 1000}, &v) && fabs(v - 1.1111) < 1e-4);
    assert_false(text_f64((Text){many, 1200}, &v));
    for (uint64_t i = 0; i < 20000; i++) { /* a number printed with %.17g is read back exactly */
        uint32_t x[4];
        draw4((Draw){1, DRAW_TEST, 0}, i, 0, x);
        uint64_t bits = (uint64_t)x[0] << 32 | x[1];
        double want;
        memcpy(&want, &bits, sizeof want);
        if (!isfinite(want))
            continue;
        char text[64];
        int n = snprintf(text, sizeof text, i % 2 ? "%.17g" : "%.6g", want);
        want = strtod(text, NULL);
        assert_true(text_f64((Text){text, (size_t)n}, &v));
        assert_memory_equal(&v, &want, sizeof v);
    }
}

static void utf8_is_checked(void **state)
{
    (void)state;
    char bytes[4];
    uint32_t code;
    for (uint32_t c = 0; c <= 0x10ffff; c += c < 0x3000 ? 1 : 17) {
        size_t n = utf8_encode(c, bytes);
        bool surrogate = c >= 0xd800 && c <= 0xdfff;
        assert_int_equal(utf8_decode(bytes, n, &code), surrogate ? 0 : n);
        if (!surrogate)
            assert_int_equal(code, c);
        for (size_t cut = 0; cut < n; cut++)
            assert_int_equal(utf8_decode(bytes, cut, &code), 0);
    }
    static const char *const bad[] = {"\x80",         "\xbf",         "\xc0\x80",         "\xc1\xbf",
                                      "\xe0\x80\x80", "\xe0\x9f\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf",
                                      "\xed\xa0\x80", "\xed\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
                                      "\xff",         "\xc3\x28",     "\xe2\x82\x28",     "\xf0\x9f\x98\x28"};
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(utf8_decode(bad[i], strlen(bad[i]), &code), 0);
    size_t at = 99;
    assert_true(utf8_valid(TEXT("plain ASCII, then \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 and more"), &at));
    assert_int_equal(at, 99);
    assert_false(utf8_valid(TEXT("0123456789\xc3"), &at));
    assert_int_equal(at, 10);
}

static void indexes_number_texts(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    TextIndex *ix = text_index_new(a, &e);
    char name[32];
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 20000; i++) {
            int n = snprintf(name, sizeof name, "item %d", i);
            assert_int_equal(text_index_add(ix, (Text){name, (size_t)n}, &e), i);
        }
    assert_int_equal(text_index_count(ix), 20000);
    assert_int_equal(text_index_find(ix, TEXT("item 19999")), 19999);
    assert_int_equal(text_index_find(ix, TEXT("item 20000")), -1);
    assert_int_equal(text_index_add(ix, TEXT(""), &e), 20000);
    assert_int_equal(text_index_add(ix, (Text){"a\0b", 3}, &e), 20001);
    assert_int_equal(text_index_find(ix, (Text){"a\0c", 3}), -1);
    assert_string_equal(text_index_at(ix, 123).p, "item 123");
    assert_int_equal(text_index_at(ix, 20002).n + text_index_at(ix, -1).n, 0);
    arena_free(a);
}

static void valid_and_invalid_ids(void **state)
{
    (void)state;
    static const struct {
        Text id;
        const char *problem; /* NULL: the text is a valid id */
    } cases[] = {
        {TEXT("1"), NULL},
        {TEXT("B00 x, 'y' \"z\" #;"), NULL},
        {TEXT("\"Weird Al\""), NULL},
        {TEXT("caf\xc3\xa9 \xe4\xbd\xa0\xf0\x9f\x98\x80"), NULL},
        {TEXT("\xc2\xa0"), NULL},
        {TEXT(""), "is empty"},
        {TEXT("a\tb"), "holds a tab"},
        {TEXT("a\nb"), "holds a line end"},
        {TEXT("b\r"), "holds a carriage return"},
        {TEXT("\0"), "holds a NUL byte"},
        {TEXT("\x1b[2J"), "holds a control character"},
        {TEXT("a\x7f"), "holds a control character"},
        {TEXT("a\xc2\x85"), "holds a control character"}, /* NEL: a line end to Python's splitlines */
        {TEXT("a\xe2\x80\xa8"), "holds a line separator (U+2028 or U+2029)"},
        {TEXT("a\xe2\x80\xa9z"), "holds a line separator (U+2028 or U+2029)"},
        {TEXT("\xef\xbb\xbf"
              "1"),
         "begins with a byte order mark"},
        {TEXT("caf\xe9"), "is not valid UTF-8"},
        {TEXT("\xed\xa0\x80"), "is not valid UTF-8"},
        {TEXT("a\xc3"), "is not valid UTF-8"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *problem = id_problem(cases[i].id);
        Error e = {0};
        if (cases[i].problem ? !problem || strcmp(problem, cases[i].problem) : problem != NULL)
            fail_msg("case %zu: %s", i, problem ? problem : "no problem");
        assert_true(id_check(cases[i].id, "x.tsv", 7, &e) == !problem);
        if (problem)
            assert_error(e, SP_FORMAT, cases[i].id.n ? "x.tsv:7: the id \"" : "x.tsv:7: the id is empty");
    }
    static const char *const FIELDS[][2] = {{"a\"b", "a\"b"}, {"\"a\" b", "\"\"\"a\"\" b\""}, {"x", "x"}};
    for (size_t i = 0; i < COUNT(FIELDS); i++) {
        char *text = NULL;
        size_t n = 0;
        FILE *f = open_memstream(&text, &n);
        tsv_print_field(f, text_of(FIELDS[i][0]));
        fclose(f);
        assert_string_equal(text, FIELDS[i][1]);
        free(text);
    }
}

static void hashes_spread(void **state)
{
    (void)state;
    char zeros[64] = {0};
    uint64_t seen[65 * 2];
    for (size_t n = 0; n <= 64; n++) {
        seen[2 * n] = hash_bytes(zeros, n, 0);
        seen[2 * n + 1] = hash_bytes(zeros, n, 1);
    }
    for (size_t i = 0; i < COUNT(seen); i++)
        for (size_t j = 0; j < i; j++)
            assert_true(seen[i] != seen[j]);
    assert_true(hash_bytes("abc", 3, 5) == hash_bytes("abc", 3, 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_compare_and_cut),  cmocka_unit_test(whole_numbers_are_strict),
        cmocka_unit_test(real_numbers_are_exact), cmocka_unit_test(utf8_is_checked),
        cmocka_unit_test(indexes_number_texts),   cmocka_unit_test(hashes_spread),
        cmocka_unit_test(valid_and_invalid_ids),
    };
    return cmocka_run_group_tests_name("base_text", tests, NULL, NULL);
}
