/* tests/json_test.c: the JSON reader on valid, malformed, deep and huge input, and the writer. */
#include "tests/testing.h"

#include <math.h>

static void values_are_read(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    const char *source = " {\"a\" : [1, -2.5e3, 0.1, \"x\\u00e9\\ud83d\\ude00\\n\\\"\\/\", true, false, null, {}],\r\n"
                         "\t\"\" : -0, \"n\\u0000l\": \"z\\u0000\" , \"big\": 9223372036854775807}\n";
    const Json *root = json_parse(a, text_of(source), "t.json", &e);
    assert_ok(root, e);
    assert_true(root->type == JSON_OBJECT && root->count == 4 && root->line == 1 && root->column == 2);
    const Json *list = json_get(root, "a");
    int64_t v;
    assert_int_equal(list->count, 8);
    assert_true(json_i64(json_at(list, 0), &v) && v == 1);
    assert_true(json_i64(json_at(list, 1), &v) && v == -2500 && text_is(json_at(list, 1)->text, "-2.5e3"));
    assert_false(json_i64(json_at(list, 2), &v));
    assert_true(json_at(list, 2)->number == 0.1);
    assert_string_equal(json_cstring(json_at(list, 3)), "x\xc3\xa9\xf0\x9f\x98\x80\n\"/");
    assert_true(json_is_true(json_at(list, 4)) && !json_is_true(json_at(list, 5)) && !json_is_true(json_at(list, 6)));
    assert_int_equal(json_at(list, 6)->type, JSON_NULL);
    assert_int_equal(json_at(list, 7)->count, 0);
    assert_null(json_at(list, 8));
    assert_null(json_at(root, 0));
    const Json *zero = json_get(root, "");
    assert_true(zero->number == 0 && signbit(zero->number) && zero->line == 2 && zero->column == 2);
    assert_true(json_i64(json_get(root, "big"), &v) && v == INT64_MAX);
    const Json *nul = json_at(list, 0);
    for (const Json *j = root->first; j; j = j->next)
        if (j->key.n == 3 && !memcmp(j->key.p, "n\0l", 3))
            nul = j;
    assert_int_equal(nul->text.n, 2);
    assert_null(json_cstring(nul));
    assert_null(json_cstring(list));
    assert_null(json_cstring(NULL));
    assert_null(json_get(NULL, "a"));
    assert_null(json_get(list, "a"));
    assert_null(json_get(root, "b"));
    assert_false(json_i64(NULL, &v) || json_is_true(NULL));
    for (const char *const *word = (const char *const[]){"7", "\"s\"", "null", "[]", "{}", " true ", NULL}; *word;
         word++)
        assert_non_null(json_parse(a, text_of(*word), "t", &e));
    arena_free(a);
}

static void malformed_texts_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *source, *message;
    } bad[] = {
        {"", "j:1:1: a value is expected here"},
        {"  \n ", "j:2:2: a value is expected here"},
        {"nul", "j:1:1: a value is expected"},
        {"True", "j:1:1: a value is expected"},
        {"NaN", "j:1:1: a value is expected"},
        {"Infinity", "j:1:1: a value is expected"},
        {"'a'", "j:1:1: a value is expected"},
        {"// c\n1", "j:1:1: a value is expected"},
        {"\xef\xbb\xbf{}", "j:1:1: a value is expected"},
        {"{} x", "j:1:4: unexpected text after the value"},
        {"1 2", "j:1:3: unexpected text after the value"},
        {"truex", "j:1:5: unexpected text after the value"},
        {"]", "j:1:1: a value is expected"},
        {"[", "j:1:2: a value is expected"},
        {"[1", "j:1:3: a comma or ] is expected"},
        {"[1 2]", "j:1:4: a comma or ]"},
        {"[1,]", "j:1:4: a value is expected"},
        {"[,1]", "j:1:2: a value is expected"},
        {"[1}", "j:1:3: a comma or ]"},
        {"{", "j:1:2: a key in double quotes"},
        {"{,}", "j:1:2: a key"},
        {"{1:2}", "j:1:2: a key"},
        {"{\"a\"}", "j:1:5: a colon"},
        {"{\"a\":}", "j:1:6: a value"},
        {"{\"a\":1,}", "j:1:8: a key"},
        {"{\"a\":1 \"b\":2}", "j:1:8: a comma or }"},
        {"{\"a\":1,\n \"a\":2}", "j:2:2: duplicate key \"a\""},
        {"{\"\\u0061\":1,\"a\":2}", "j:1:13: duplicate key \"a\""},
        {"\"abc", "j:1:1: this string is not closed"},
        {"\"abc\\", "j:1:5: unknown escape"},
        {"\"a\nb\"", "j:1:3: a control character"},
        {"\"a\tb\"", "j:1:3: a control character"},
        {"\"\\x41\"", "j:1:2: unknown escape"},
        {"\"\\u12\"", "j:1:2: \\u needs four"},
        {"\"\\u12g4\"", "j:1:2: \\u needs four"},
        {"\"\\u", "j:1:2: \\u needs four"},
        {"\"\\ud800\"", "j:1:2: an unpaired surrogate"},
        {"\"\\udc00\"", "j:1:2: an unpaired surrogate"},
        {"\"\\ud800\\u0041\"", "j:1:2: an unpaired surrogate"},
        {"\"\\ud800x\"", "j:1:2: an unpaired surrogate"},
        {"[01]", "j:1:2: not a valid JSON number"},
        {"[-]", "j:1:2: not a valid JSON number"},
        {"[+1]", "j:1:2: a value is expected"},
        {"[.5]", "j:1:2: a value is expected"},
        {"[5.]", "j:1:2: not a valid JSON number"},
        {"[1e]", "j:1:2: not a valid JSON number"},
        {"[1e+]", "j:1:2: not a valid JSON number"},
        {"[-01]", "j:1:2: not a valid JSON number"},
        {"[0x10]", "j:1:3: a comma or ]"},
        {"[1e999]", "j:1:2: this number is too large"},
        {"[1]\xff", "j:1:4: not UTF-8"},
        {"[\n\"\xc0\x80\"]", "j:2:2: not UTF-8"},
        {"\"\xed\xa0\x80\"", "j:1:2: not UTF-8"},
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        size_t n = strlen(bad[i].source);
        char *exact = malloc(n ? n : 1); /* no NUL after the text: the sanitizer detects a read after the end */
        memcpy(exact, bad[i].source, n);
        assert_null(json_parse(a, (Text){exact, n}, "j", &e));
        assert_error(e, SP_FORMAT, bad[i].message);
        free(exact);
        arena_free(a);
    }
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    assert_null(json_parse(a, (Text){"\"a\0b\"", 5}, "j", &e));
    assert_error(e, SP_FORMAT, "j:1:3: a control character");
    assert_null(json_parse(a, (Text){"1\0", 2}, "j", &e));
    assert_error(e, SP_FORMAT, "unexpected text after the value");
    assert_null(json_parse(a, (Text){"\"\\\0\"", 4}, "j", &e));
    assert_error(e, SP_FORMAT, "unknown escape");
    arena_free(a);
}

/* Checks that every child of a folded container equals that of the tree without folding. */
static void same_children(const Json *folded, const Json *tree, Arena *a)
{
    Error e = {0};
    JsonItems *items = json_items(folded, a, &e);
    assert_ok(items, e);
    assert_int_equal(folded->count, tree->count);
    assert_int_equal(folded->type, tree->type);
    const Json *child = tree->first, *item;
    for (; (item = json_next(items)); child = child->next) {
        assert_non_null(child);
        assert_int_equal(item->type, child->type);
        assert_int_equal(item->line, child->line);
        assert_int_equal(item->column, child->column);
        assert_true(!item->key.n == !child->key.n && (!item->key.n || text_equal(item->key, child->key)));
        if (item->type >= JSON_ARRAY)
            same_children(item, child, a);
        else
            assert_true(item->text.n == child->text.n && !memcmp(item->text.p, child->text.p, item->text.n));
    }
    assert_true(!child && !e.code);
    json_items_free(items);
}

static const char *const FOLDED[] = {"vocab", "merges", NULL};

static void folded_containers_are_read(void **state)
{
    (void)state;
    static const char NESTED[] = "{\"a\":1,\"vocab\":{\"x\":1,\"y\\u00e9\":[1,{\"z\":2},\"]}\\\"\"],\"e\":{}},\n "
                                 "\"merges\":[\"a b\",\n[\"c\",\"d\"]],\"b\":[]}";
    static const char *const WHOLE[] = {
        NESTED,
        "{\"vocab\":[],\"merges\":{}}",
        "{\"vocab\":[ \n ],\"merges\":{ \n }, \"c\":\"vocab\"}",
        "{\"vocab\": [ 1 ] ,\"merges\":7}",
        "[{\"vocab\":{\"merges\":[[[]],{\"a\":[1,2]}]}}]",
    };
    Arena *a = arena_new(NULL, 0);
    for (size_t i = 0; i < COUNT(WHOLE); i++) {
        Error e = {0};
        const Json *folded = json_parse_folded(a, text_of(WHOLE[i]), "j", FOLDED, &e);
        const Json *tree = json_parse(a, text_of(WHOLE[i]), "j", &e);
        assert_ok(folded && tree, e);
        same_children(folded, tree, a);
    }
    Error e = {0};
    const Json *j = json_get(json_parse_folded(a, text_of(WHOLE[0]), "j", FOLDED, &e), "vocab");
    assert_true(j->folded && !j->first && !json_get(j, "x") && !json_at(j, 0));
    arena_free(a);
}

static void malformed_folds_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } bad[] = {
        {"{\"vocab\":[", "j:1:10: this bracket is not closed"},
        {"{\"vocab\":[\"]", "j:1:10: this bracket is not closed"},
        {"{\"vocab\":[1 2]}", "j:1:13: a comma or ]"},
        {"{\"vocab\":[1,]}", "j:1:13: a value is expected"},
        {"{\"vocab\":[,1]}", "j:1:11: a value is expected"},
        {"{\"vocab\":[1}}", "j:1:12: a comma or ]"},
        {"{\"vocab\":[}}", "j:1:11: a value is expected"},
        {"{\"vocab\":{\n\"a\"}}", "j:2:4: a colon"},
        {"{\"vocab\":{\n\"a\":1,\n \"b\":[1}}}", "j:3:8: a comma or ]"},
        {"{\"vocab\":[\"a\tb\"]}", "j:1:13: a control character"},
        {"{\"vocab\":[1]] ", "j:1:13: a comma or }"},
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        const Json *j = json_parse_folded(a, text_of(bad[i].text), "j", FOLDED, &e);
        JsonItems *items = j ? json_items(json_get(j, "vocab"), a, &e) : NULL;
        while (items && json_next(items))
            continue;
        json_items_free(items);
        assert_error(e, SP_FORMAT, bad[i].why);
        arena_free(a);
    }
}

/* Checks that the reader returns a value or an error of one line for any truncated or changed text. */
static void damaged_texts_do_not_crash(void **state)
{
    (void)state;
    const char *source =
        "{\"w\": {\"dtype\": \"F32\", \"shape\": [3, -1.5e2], \"x\": \"\\ud83d\\ude00\\n\"}, \"b\": [true, null, {}]}";
    size_t n = strlen(source);
    for (size_t cut = 0; cut < n; cut++) {
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        assert_null(json_parse(a, (Text){source, cut}, "j", &e));
        assert_int_equal(e.code, SP_FORMAT);
        arena_free(a);
    }
    for (uint64_t i = 0; i < 5000; i++) {
        uint32_t r[4];
        draw4((Draw){1, DRAW_TEST, 1}, i, 0, r);
        char *copy = malloc(n);
        memcpy(copy, source, n);
        copy[r[0] % n] = (char)r[1];
        copy[r[2] % n] = "{}[]\",:\\0e-\n"[r[3] % 12];
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        const Json *j = json_parse(a, (Text){copy, n}, "j", &e);
        assert_true(j ? e.code == SP_OK : e.code == SP_FORMAT);
        arena_free(a);
        free(copy);
    }
}

static void depth_is_limited(void **state)
{
    (void)state;
    enum { DEEP = 100000 };
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    char *source = arena_alloc(a, 2 * DEEP, 1, &e);
    memset(source, '[', DEEP);
    assert_null(json_parse(a, (Text){source, DEEP}, "j", &e));
    assert_error(e, SP_FORMAT, "j:1:65: nested more than 64 deep");
    memset(source + 64, ']', 64);
    assert_ok(json_parse(a, (Text){source, 128}, "j", &e), e);
    arena_free(a);
}

static void big_containers_are_fast(void **state)
{
    (void)state;
    enum { KEYS = 50000 };
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    char *source = arena_alloc(a, KEYS, 32, &e), *p = source;
    *p++ = '{';
    for (int i = 0; i < KEYS; i++)
        p += sprintf(p, "%s\"token%d\":%d", i ? "," : "", i, i);
    *p++ = '}';
    double begun = now_seconds();
    const Json *root = json_parse(a, (Text){source, (size_t)(p - source)}, "vocab", &e);
    assert_ok(root, e);
    int64_t v;
    for (int i = 0; i < KEYS; i++) {
        char key[32];
        snprintf(key, sizeof key, "token%d", i);
        assert_true(json_i64(json_get(root, key), &v) && v == i);
    }
    assert_null(json_get(root, "token50000"));
    p += sprintf(p - 1, ",\"token7\":1}") - 1;
    assert_null(json_parse(a, (Text){source, (size_t)(p - source)}, "vocab", &e));
    assert_error(e, SP_FORMAT, "duplicate key \"token7\"");
    p = source;
    *p++ = '[';
    for (int i = 0; i < KEYS; i++)
        p += sprintf(p, "%s%d", i ? "," : "", i);
    *p++ = ']';
    const Json *list = json_parse(a, (Text){source, (size_t)(p - source)}, "list", &e);
    for (size_t i = 0; i < KEYS; i++)
        assert_true(json_at(list, i)->number == (double)i);
    assert_true(now_seconds() - begun < 5); /* milliseconds if linear, minutes if quadratic */
    arena_free(a);
}

static void strings_are_written_back(void **state)
{
    (void)state;
    static const Text strings[] = {{"", 0},     {"plain", 5},    {"q\"b\\s/", 6},          {"\n\t\x01\x1f", 4},
                                   {"a\0b", 3}, {"\xc3\xa9", 2}, {"\xf0\x9f\x98\x80!", 5}, {"bad \xff end", 9}};
    for (size_t i = 0; i < COUNT(strings); i++) {
        char *text = NULL;
        size_t n = 0;
        FILE *to = open_memstream(&text, &n);
        JsonWriter w = {.to = to};
        json_put_text(&w, NULL, strings[i]);
        json_finish(&w);
        fclose(to);
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        const Json *j = json_parse(a, (Text){text, n}, "j", &e);
        assert_ok(j, e);
        assert_true(text_equal(j->text, i == COUNT(strings) - 1 ? TEXT("bad \xef\xbf\xbd end") : strings[i]));
        arena_free(a);
        free(text);
    }
}

/* Checks keys and values whose length is near the size of the writer's buffer (256 bytes) or above it. Each text ends
 * with a line end and with two of the three bytes of a character. The writer makes three escapes of them: one for the
 * line end, and U+FFFD for each of the two bytes. For some of the lengths the buffer becomes full at these escapes. */
static void long_strings_are_written_back(void **state)
{
    (void)state;
    static char text[801], expected[804];
    for (size_t length = 240; length < 800; length++) {
        memset(text, 'a' + (int)(length % 26), length);
        memcpy(text + length - 3, "\n\xe2\x82", 4);
        memcpy(expected, text, length - 2);
        memcpy(expected + length - 2, "\xef\xbf\xbd\xef\xbf\xbd", 7);
        char *written = NULL;
        size_t n = 0;
        FILE *to = open_memstream(&written, &n);
        JsonWriter w = json_record(to, "short", "value");
        json_put_string(&w, text, text);
        json_finish(&w);
        fclose(to);
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        const Json *j = json_parse(a, (Text){written, n}, "j", &e);
        assert_ok(j, e);
        assert_string_equal(json_cstring(json_get(j, "short")), "value");
        assert_non_null(json_get(j, expected));
        assert_string_equal(json_cstring(json_get(j, expected)), expected);
        arena_free(a);
        free(written);
    }
}

/* Checks that `write` writes `expected`, to a stream and to a file. */
static void check_written(void (*write)(JsonWriter *w), const char *expected)
{
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    char *text = NULL, folder[256];
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);
    JsonWriter stream = {.to = to};
    write(&stream);
    fclose(to);
    assert_string_equal(text, expected);
    free(text);
    const char *path = path_join(a, test_folder(folder), "written.json", &e);
    assert_ok(path, e);
    Out *out = out_open(path, NULL, &e);
    assert_ok(out, e);
    JsonWriter file = {.out = out};
    write(&file);
    assert_ok(out_commit(out, &e), e);
    Text got;
    assert_ok(file_read(&got, a, path, 0, &e), e);
    assert_string_equal(got.p, expected);
    assert_ok(json_parse(a, got, path, &e), e);
    test_folder_remove(folder);
    arena_free(a);
}

static void write_compact(JsonWriter *w)
{
    json_object(w, NULL);
    json_put_string(w, "a \"key\"", "\x01\\");
    json_put_string(w, "none", NULL);
    json_put_bool(w, "yes", true);
    json_put_i64(w, "least", INT64_MIN);
    json_put_number(w, "most", "%llu", (unsigned long long)UINT64_MAX);
    json_put_number(w, "x", "%.3g", 0.5);
    json_put_number(w, "large", "%.0f", 0x1p70);
    json_put_number(w, "nan", "%g", (double)NAN);
    json_put_number(w, "inf", "%g", -(double)INFINITY);
    json_array(w, "empty");
    json_end(w);
    json_array(w, "list");
    json_put_bool(w, NULL, false);
    json_object(w, NULL);
    json_end(w);
    json_put_i64(w, NULL, 2);
    json_end(w);
    json_members(w, "name %s users %lld rows %zu share %.2g", "a\tb", -7LL, (size_t)9, 0.25);
    json_finish(w);
}

static void write_lines(JsonWriter *w)
{
    w->spaced = true;
    json_object(w, NULL);
    json_lines(w, 2);
    json_array(w, "list");
    json_put_i64(w, NULL, 1);
    json_put_i64(w, NULL, 2);
    json_end(w);
    json_object(w, "more");
    json_lines(w, 4);
    json_put_text(w, "b", TEXT("c"));
    json_put_text(w, "d", TEXT("e"));
    json_end(w);
    json_array(w, "rows");
    json_lines(w, 0);
    json_put_i64(w, NULL, 3);
    json_finish(w);
}

static void values_are_written(void **state)
{
    (void)state;
    check_written(write_compact,
                  "{\"a \\\"key\\\"\":\"\\u0001\\\\\",\"none\":null,\"yes\":true,"
                  "\"least\":-9223372036854775808,\"most\":18446744073709551615,\"x\":0.5,"
                  "\"large\":1180591620717411303424,\"nan\":null,\"inf\":null,\"empty\":[],"
                  "\"list\":[false,{},2],\"name\":\"a\\u0009b\",\"users\":-7,\"rows\":9,\"share\":0.25}\n");
    check_written(write_lines, "{\n  \"list\": [1, 2],\n  \"more\": {\n    \"b\": \"c\",\n    \"d\": \"e\"\n  },\n"
                               "  \"rows\": [\n3\n]\n}\n");
    FILE *to = tmpfile();
    JsonWriter w = json_record(to, "event", "end");
    json_finish(&w);
    char line[32] = "";
    rewind(to);
    assert_non_null(fgets(line, sizeof line, to));
    assert_string_equal(line, "{\"event\":\"end\"}\n");
    fclose(to);
}

static void refused_memory_is_an_error(void **state)
{
    (void)state;
    Arena *own = arena_new(NULL, 0);
    Error e = {0};
    char *source = arena_alloc(own, 40000, 1, &e), *p = source;
    *p++ = '[';
    for (int i = 0; i < 300; i++)
        p += sprintf(p, "%s{\"a%d\":[1,2,3,4,5,6,7,8,9,10]}", i ? "," : "", i);
    *p++ = ']';
    bool whole = false;
    for (size_t refuse = 1; !whole; refuse++) {
        TestHeap heap;
        test_heap(&heap, refuse);
        Arena *a = arena_new(&heap.heap, 0);
        error_clear(&e);
        whole = a && json_parse(a, (Text){source, (size_t)(p - source)}, "j", &e);
        assert_true(whole || !a || e.code == SP_MEMORY);
        arena_free(a);
        assert_int_equal(heap.live, 0);
    }
    arena_free(own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_read),
        cmocka_unit_test(malformed_texts_are_refused),
        cmocka_unit_test(folded_containers_are_read),
        cmocka_unit_test(malformed_folds_are_refused),
        cmocka_unit_test(damaged_texts_do_not_crash),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(big_containers_are_fast),
        cmocka_unit_test(strings_are_written_back),
        cmocka_unit_test(long_strings_are_written_back),
        cmocka_unit_test(values_are_written),
        cmocka_unit_test(refused_memory_is_an_error),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
