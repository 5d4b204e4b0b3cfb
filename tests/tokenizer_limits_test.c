/* tests/tokenizer_limits_test.c: truncation and padding of tokenizer.json equal Hugging Face's Tokenizer.from_file
 * (tests/golden/make_tokenizer.py); the side at which transformers truncates; malformed sections. */
#include "tests/testing.h"

#include "tokenizers/tokenizers.h"

#define GOLDEN "tests/golden/tokenizer/"

/* Returns the tokenizer of bert.json with other sections. */
static Tokenizer *with_limits(Text truncation, Text padding, const char *config, Arena *a, Error *e)
{
    static const char ABSENT[] = "\"truncation\": null, \"padding\": null";
    Text source;
    assert_true(file_read(&source, a, GOLDEN "bert.json", 0, e));
    const char *at = strstr(source.p, ABSENT);
    assert_non_null(at);
    char *json = arena_printf(a, e, "%.*s\"truncation\": %.*s, \"padding\": %.*s%.*s", (int)(at - source.p), source.p,
                              (int)truncation.n, truncation.p, (int)padding.n, padding.p,
                              (int)(source.n - (size_t)(at - source.p) - strlen(ABSENT)), at + strlen(ABSENT));
    sp_file *files = NEW(a, sp_file, 2, e);
    files[0] = (sp_file){"tokenizer.json", json, strlen(json)};
    files[1] = (sp_file){"tokenizer_config.json", config, strlen(config)};
    return tokenizer_load_files(&(Files){"model", files, 2}, a, e);
}

/* Writes a list in the form of the golden file, with a mask that is 0 for padding. */
static char *line_of(const TokenList *list, Arena *a, Error *e)
{
    char *line = arena_printf(a, e, "%s", "");
    for (size_t i = 0; i < list->count; i++) {
        TokenPlace p = list->places[i];
        line = arena_printf(a, e, "%s%s%d:%zu:%zu:%d:%d:%d:%d", line, i ? " " : "", (int)list->ids[i], p.begin, p.end,
                            (int)p.word, (int)p.type, (int)p.text, p.special);
    }
    line = arena_printf(a, e, "%s|", line);
    for (size_t i = 0; i < list->count; i++)
        line = arena_printf(a, e, "%s%d", line, !list->places[i].padding);
    return line;
}

static void goldens(void **state)
{
    (void)state;
    enum { BATCH = 6 };
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Text source;
    assert_true(file_read(&source, a, GOLDEN "limits.json", 0, &e));
    const Json *all = json_parse(a, source, "limits.json", &e);
    assert_non_null(all);
    for (const Json *j = all->first; j; j = j->next) {
        Tokenizer *t = with_limits(json_get(j, "truncation")->text, json_get(j, "padding")->text, "{}", a, &e);
        assert_non_null(t);
        TokenOptions o = tokenizer_truncation(t);
        const TokenPadding *p = tokenizer_padding(t);
        TokenList lists[BATCH], ids[BATCH];
        const Json *inputs = json_get(j, "inputs"), *tokens = json_get(j, "tokens")->first,
                   *masks = json_get(j, "masks")->first;
        assert_int_equal(inputs->count, BATCH);
        size_t n = 0;
        for (const Json *x = inputs->first; x; x = x->next, n++) {
            Text texts[2] = {x->first->text, x->count > 1 ? x->first->next->text : TEXT("")};
            TokenOptions only = o;
            only.ids_only = true;
            assert_true(tokenize_texts(t, texts, x->count, &o, &lists[n], a, &e));
            assert_true(tokenize_texts(t, texts, x->count, &only, &ids[n], a, &e));
            for (int i = 0; i < 2; i++)
                assert_true(token_code_points(&lists[n], i, texts[i], a, &e));
        }
        assert_true(!p || (pad_tokens(lists, n, p, a, &e) && pad_tokens(ids, n, p, a, &e)));
        for (size_t i = 0; i < n; i++, tokens = tokens->next, masks = masks->next) {
            char *expect = arena_printf(a, &e, "%.*s|%.*s", (int)tokens->text.n, tokens->text.p, (int)masks->text.n,
                                        masks->text.p);
            assert_string_equal(line_of(&lists[i], a, &e), expect);
            assert_int_equal(ids[i].count, lists[i].count);
            assert_memory_equal(ids[i].ids, lists[i].ids, ids[i].count * sizeof *ids[i].ids);
        }
    }
    arena_free(a);
}

#define CUT(side)  "{" side "\"max_length\":6,\"strategy\":\"LongestFirst\",\"stride\":0}"
#define FILL(more) "{\"strategy\":\"BatchLongest\",\"direction\":\"Right\",\"pad_id\":0,\"pad_type_id\":0" more "}"
#define LEFT       "\"direction\":\"Left\","

/* Checks that tokenize truncates on the side that transformers uses: tokenizer_config.json has precedence. The sections
 * change nothing else. */
static void sides(void **state)
{
    (void)state;
    static const struct {
        const char *truncation, *config;
        bool left;
    } table[] = {
        {"null", "{}", false},
        {CUT(""), "{}", false},
        {CUT(LEFT), "{}", true},
        {CUT(LEFT), "{\"truncation_side\":\"right\"}", false},
        {"null", "{\"truncation_side\":\"left\"}", true},
        {CUT(""), "{\"truncation_side\":null}", false},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        Tokenizer *t = with_limits(text_of(table[i].truncation), TEXT(FILL("")), table[i].config, a, &e);
        assert_non_null(t);
        assert_int_equal(tokenizer_from_left(t), table[i].left);
        Text text = TEXT("the of and to in the of and to in");
        TokenIds whole = {0}, ids = {0};
        TokenList list;
        assert_true(tokenize(t, text, 0, &whole, a, &e));
        assert_int_equal(whole.count, 12);
        assert_true(tokenize(t, TEXT("the"), 0, &ids, a, &e));
        for (size_t most = 2; most <= 13; most++) {
            TokenOptions o = {.max_length = most, .from_left = table[i].left, .ids_only = true};
            ids.count = 3; /* earlier ids stay */
            assert_true(tokenize(t, text, most, &ids, a, &e));
            assert_true(tokenize_texts(t, &text, 1, &o, &list, a, &e));
            assert_int_equal(ids.count - 3, list.count);
            assert_memory_equal(ids.ids + 3, list.ids, list.count * sizeof *list.ids);
            assert_int_equal(ids.truncated, most < 12);
        }
        arena_free(a);
    }
}

static void malformed(void **state)
{
    (void)state;
    static const struct {
        const char *truncation, *padding, *config, *why;
    } table[] = {
        {"1", "null", "{}", "model/tokenizer.json:1: truncation: expected max_length"},
        {"{}", "null", "{}", "truncation: expected max_length"},
        {"{\"max_length\":0,\"strategy\":\"LongestFirst\",\"stride\":0}", "null", "{}", "max_length from 1 on"},
        {"{\"max_length\":1e30,\"strategy\":\"LongestFirst\",\"stride\":0}", "null", "{}", "max_length from 1 on"},
        {"{\"max_length\":8,\"strategy\":\"longest\",\"stride\":0}", "null", "{}", "strategy (LongestFirst"},
        {"{\"max_length\":8,\"strategy\":\"LongestFirst\",\"stride\":-1}", "null", "{}", "stride"},
        {CUT("\"direction\":\"left\","), "null", "{}", "direction (Left or Right)"},
        {"null", "[]", "{}", "padding: expected strategy"},
        {"null", "{\"strategy\":{\"Fixed\":1048577},\"pad_id\":0,\"pad_type_id\":0}", "{}", "a length up to 1048576"},
        {"null", "{\"strategy\":{\"Fixed\":-1},\"pad_id\":0,\"pad_type_id\":0}", "{}", "padding: expected strategy"},
        {"null", "{\"strategy\":\"BatchLongest\",\"pad_id\":4294967296,\"pad_type_id\":0}", "{}", "pad_id"},
        {"null", "{\"strategy\":\"BatchLongest\",\"pad_id\":0}", "{}", "pad_type_id"},
        {"null", FILL(",\"pad_to_multiple_of\":\"8\""), "{}", "pad_to_multiple_of"},
        {"null", FILL(",\"pad_to_multiple_of\":1048577"), "{}", "pad_to_multiple_of"},
        {"null", "null", "{\"truncation_side\":\"Left\"}",
         "model/tokenizer_config.json:1: truncation_side: expected left or right"},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        if (with_limits(text_of(table[i].truncation), text_of(table[i].padding), table[i].config, a, &e) ||
            !strstr(e.message, table[i].why))
            fail_msg("%s %s: expected \"%s\", got \"%s\"", table[i].truncation, table[i].padding, table[i].why,
                     e.message);
        arena_free(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(goldens), cmocka_unit_test(sides), cmocka_unit_test(malformed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
