/* tests/tokenizer_classes_test.c: malformed folders of the classes of transformers, with the words of their errors. */
#include "tests/testing.h"

#include "tokenizers/tokenizers.h"

/* A folder of one file of tokens and a tokenizer_config.json. */
static void classes(void **state)
{
    (void)state;
    char folder[256];
    test_folder(folder);
#define PIECES                                                                                                         \
    "\x0a\x05\x0a\x01"                                                                                                 \
    "a\x18\x02\x0a\x03\x0a\x01"                                                                                        \
    "b"
#define SPIECE(config, why)                                                                                            \
    {                                                                                                                  \
        "spiece.model", PIECES, config, why                                                                            \
    }
#define RANKS(text, why)                                                                                               \
    {                                                                                                                  \
        "qwen.tiktoken", text, "{}", why                                                                               \
    }
#define CLIP_LIST(text, why)                                                                                           \
    {                                                                                                                  \
        "bpe_simple_vocab_16e6.txt", text, "{}", why                                                                   \
    }
    static const struct {
        const char *file, *text, *config, *why;
    } table[] = {
        SPIECE("{\"tokenizer_class\":\"SiglipTokenizer\"}", "tokenizer_class SiglipTokenizer is not supported with"),
        SPIECE("{\"tokenizer_class\":\"XLMRobertaTokenizer\"}", "2 pieces; XLMRobertaTokenizer expects at least 3"),
        SPIECE("{\"tokenizer_class\":\"T5Tokenizer\",\"extra_ids\":0}", "T5Tokenizer expects the unknown one as num"),
        SPIECE("{\"tokenizer_class\":\"T5Tokenizer\",\"extra_ids\":-1}",
               "extra_ids of tokenizer_config.json: expected"),
        SPIECE("{\"tokenizer_class\":\"T5Tokenizer\",\"extra_ids\":1e9}",
               "extra_ids of tokenizer_config.json: expected"),
        SPIECE("{\"tokenizer_class\":\"T5Tokenizer\"}", "the special token '</s>' is missing from the vocabulary"),
        SPIECE("{\"tokenizer_class\":\"XLMRobertaTokenizer\",\"mask_token\":null}", "expects a mask_token"),
        SPIECE("{\"tokenizer_class\":\"XLMRobertaTokenizer\",\"pad_token\":null}", "expects a pad_token"),
        SPIECE("{\"tokenizer_class\":\"AlbertTokenizer\",\"additional_special_tokens\":[1]}", "is no string"),
        SPIECE("{\"tokenizer_class\":\"LlamaTokenizer\",\"add_bos_token\":true}", "special token '<s>' is missing"),
        RANKS("", "is empty"),
        RANKS("YQ== 0\nYg== 0\n", "qwen.tiktoken:2: rank 0 is a duplicate, or out of range"),
        RANKS("YQ== 0\nYg== 7\n", "rank 7 is a duplicate, or out of range"),
        RANKS("YQ== -1\n", "rank -1 is a duplicate"),
        RANKS("YQ== 1\n\n", "rank 0 is missing"),
        RANKS("YQ== 0\n", "the byte 0x00 has no rank"),
        RANKS("YQ== x\n", "qwen.tiktoken:1: expected a token of 1 to 1024 bytes in base64"),
        RANKS("YQ=\n", "expected a token of 1 to 1024"),
        RANKS("Y!== 0\n", "expected a token of 1 to 1024"),
        RANKS(" 0\n", "expected a token of 1 to 1024"),
        RANKS("YQ== 0 0\n", "expected a token of 1 to 1024"),
        {"cl100k.tiktoken", "YQ== 0\n", "{}", "ranks do not say how a text is split; those of Qwen are supported"},
        CLIP_LIST("title\na\n", "bpe_simple_vocab_16e6.txt:2: expected a merge of two tokens"),
        CLIP_LIST("title\na b c\n", "expected a merge of two tokens"),
        CLIP_LIST("title\n b\n", "expected a merge of two tokens"),
        CLIP_LIST("title\na \xff\n", "is not valid UTF-8"),
        CLIP_LIST("title\nab c\n", "the merge 'ab' 'c' has or makes a token that the vocabulary lacks"),
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        test_write(folder, "tokenizer_config.json", text_of(table[i].config));
        test_write(folder, table[i].file, text_of(table[i].text));
        if (tokenizer_load(arena_printf(a, &e, "%s/%s", folder, table[i].file), a, &e) ||
            !strstr(e.message, table[i].why))
            fail_msg("%s: expected \"%s\", got \"%s\"", table[i].config, table[i].why, e.message);
        arena_free(a);
    }
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    test_write(folder, "tokenizer_config.json", TEXT("{}"));
    test_write(folder, "config.json", TEXT("{\"model_type\":\"siglip\"}"));
    assert_null(tokenizer_load(arena_printf(a, &e, "%s/spiece.model", folder), a, &e));
    assert_non_null(strstr(e.message, "model_type siglip of config.json names no tokenizer; expected XLMR"));
    arena_free(a);
    test_folder_remove(folder);
}

/* Regular expressions that go back again and again end with an error, soon; a build without Oniguruma names them. */
static void expressions(void **state)
{
    (void)state;
    enum { LONG = 100000 };
    static const struct {
        const char *pattern, *text, *why; /* text: many times, then an exclamation mark; why NULL: it is no error */
    } table[] = {
        {"(a+)+$", "a", "the regular expression '(a+)+$' takes too many steps on a text of 100001 bytes"},
        {"(a|a)*b", "a", ""},
        {"(?:a?){50}a{50}$", "a", ""},
        {"(?>a+)x", "a", ""},
        {"[a-z]+(?=,)", "ab ", NULL},
        {"\\\\p{L}+|\\\\s+(?!\\\\S)|\\\\s+", "ab  ", NULL},
        {"a\\\\Gb", "a", "a regular expression with \\G is not supported"},
        {"[", "a", "the regular expression '[': "},
        {"(?<n>\\\\g<n>)", "a", "never ending recursion"},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        char folder[256], *text = NEW(a, char, LONG + 1, &e);
        for (size_t n = strlen(table[i].text), k = 0; k < LONG; k++)
            text[k] = table[i].text[k % n];
        text[LONG] = '!';
        test_folder(folder);
        char *json =
            arena_printf(a, &e,
                         "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"%s\"},\"behavior\":"
                         "\"Isolated\",\"invert\":false},\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"u\","
                         "\"vocab\":{\"u\":0,\"a\":1}}}",
                         table[i].pattern);
        test_write(folder, "tokenizer.json", text_of(json));
        double begun = now_seconds();
        TokenIds ids = {0};
        const Tokenizer *t = tokenizer_load(folder, a, &e);
        bool ok = t && tokenize(t, (Text){text, LONG + 1}, 0, &ids, a, &e);
        test_folder_remove(folder);
        const char *why = table[i].why;
#ifndef HAVE_ONIGURUMA
        why = "this build has no Oniguruma";
#endif
        if (why && !*why ? !ok && !strstr(e.message, "too many steps") : why ? ok || !strstr(e.message, why) : !ok)
            fail_msg("%s: expected \"%s\", got \"%s\"", table[i].pattern, why ? why : "", e.message);
        assert_true(now_seconds() - begun < 60);
        arena_free(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(classes), cmocka_unit_test(expressions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
