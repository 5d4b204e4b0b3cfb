/* tests/tokenizer_classes_test.c: malformed folders of the classes of transformers, with the words of their errors;
 * settings that would never end: regular expressions, growth of texts, charsmaps. */
#include "tests/testing.h"

#include <time.h>

#include "tokenizers/tokenizers.h"

/* Tests folders with one file of tokens and a tokenizer_config.json. */
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

/* Checks that regular expressions with excessive backtracking end early, with an error. A build without Oniguruma names
 * the expression in its error. */
static void expressions(void **state)
{
    (void)state;
    enum { LONG = 100000 };
#define CALLS "\\\\g<n>\\\\g<n>\\\\g<n>\\\\g<n>\\\\g<n>\\\\g<n>\\\\g<n>\\\\g<n>"
    static const struct {
        const char *pattern, *text, *why; /* text: repeated many times, then an exclamation mark; why NULL: no error */
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
        {"(?<n>a)" CALLS CALLS "\\\\g<n>", "a", "a regular expression with \\g 17 times; at most 16 are supported"},
        {"(a|a)*b|.", "aaaaaaaaaaaaaaaaac ", "takes too many steps on a text of 100001 bytes"}, /* in 5000 words */
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
                         "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"},"
                         "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"%s\"},\"behavior\":\"Isolated\",\"invert\":"
                         "false}]},\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"u\",\"vocab\":{\"u\":0,\"a\":1}}}",
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

static Tokenizer *from_memory(const char *name, Text bytes, Arena *a, Error *e)
{
    sp_file *file = NEW(a, sp_file, 1, e);
    *file = (sp_file){name, bytes.p, bytes.n};
    return tokenizer_load_files(&(Files){"model", file, 1}, a, e);
}

static Text times(size_t n, const char *part, Arena *a)
{
    Error e = {0};
    size_t each = strlen(part);
    char *p = NEW(a, char, n *each + 1, &e);
    for (size_t i = 0; i < n; i++)
        memcpy(p + i * each, part, each);
    return (Text){p, n * each};
}

static char *json_of(const char *normalizers, const char *added, const char *decoders, Arena *a)
{
    Error e = {0};
    return arena_printf(
        a, &e,
        "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[%s]},\"pre_tokenizer\":{\"type\":"
        "\"WhitespaceSplit\"},\"added_tokens\":[%s],\"decoder\":{\"type\":\"Sequence\",\"decoders\":[%s]}"
        ",\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"u\",\"vocab\":{\"u\":0,\"a\":1}}}",
        normalizers, added, decoders);
}

#define REPLACE(pattern, content) "{\"type\":\"Replace\",\"pattern\":" pattern ",\"content\":\"" content "\"}"
#define PREPEND                   "{\"type\":\"Prepend\",\"prepend\":\"a b c d e f g h i j k l m n o p q r s t u v \"}"
#define FUSE                      "{\"type\":\"Fuse\"}"

/* Checks the bounds on the growth of a whole text, of each added token, and of a decoded token. */
static void growth(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    TokenIds ids = {0};
    Text out, many = times(16, PREPEND ",", a);
    char *prepend = arena_printf(a, &e, "%.*s" PREPEND, (int)many.n, many.p);
    Tokenizer *t = from_memory("tokenizer.json", text_of(json_of(prepend, "{\"content\":\" \"}", FUSE, a)), a, &e);
    assert_non_null(t);
    assert_true(tokenize(t, TEXT("ab ab"), 0, &ids, a, &e));
    assert_false(tokenize(t, times(1000, "ab ", a), 0, &ids, a, &e));
    assert_non_null(strstr(e.message, "its normalizers make a text more than 16 times as long"));
    error_clear(&e);
    /* short parts after a long part, whose memory they reuse */
    char *replace = arena_printf(a, &e, REPLACE("{\"String\":\"b\"}", "%s"), times(20000, "a", a).p);
    t = from_memory("tokenizer.json", text_of(json_of(replace, "{\"content\":\" \"}", FUSE, a)), a, &e);
    assert_non_null(t);
    Text text = {arena_printf(a, &e, "%s%s", times(20000, "a", a).p, times(100, " b", a).p), 20200};
    assert_false(tokenize(t, text, 0, &ids, a, &e));
    assert_non_null(strstr(e.message, "its normalizers make a text more than 16 times as long"));
    error_clear(&e);
    char *added = json_of(prepend, "{\"content\":\"x\",\"normalized\":true}", FUSE, a);
    assert_null(from_memory("tokenizer.json", text_of(added), a, &e));
    assert_non_null(strstr(e.message, "the normal form of added token 'x' has "));
    error_clear(&e);
    static const char *const DOUBLE[] = {REPLACE("{\"String\":\"a\"}", "aa"), REPLACE("{\"Regex\":\"a|aaa\"}", "aa")};
    for (size_t i = 0; i < COUNT(DOUBLE); i++) {
        many = times(29, arena_printf(a, &e, "%s,", DOUBLE[i]), a);
        char *decoders = arena_printf(a, &e, "%.*s%s", (int)many.n, many.p, DOUBLE[i]);
        t = from_memory("tokenizer.json", text_of(json_of("{\"type\":\"NFC\"}", "", decoders, a)), a, &e);
        assert_non_null(t);
        assert_false(detokenize(t, &(int32_t){1}, 1, &(DecodeOptions){0}, &out, a, &e));
        assert_true(strstr(e.message, "its decoders make a token more than 16 times as long") ||
                    strstr(e.message, "this build has no Oniguruma"));
        error_clear(&e);
    }
    /* the longest compatibility form, with marks for its blanks, is valid */
    char *marks = json_of("{\"type\":\"NFKC\"}," REPLACE("{\"String\":\" \"}", "\xe2\x96\x81"), "", FUSE, a);
    t = from_memory("tokenizer.json", text_of(marks), a, &e);
    assert_non_null(t);
    assert_true(tokenize(t, times(3000, "\xef\xb7\xba", a), 0, &ids, a, &e));
    arena_free(a);
}

static void put_u32(char *to, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        to[i] = (char)(uint8_t)(value >> 8 * i);
}

/* Returns a .model with the pieces <unk> and a, and a charsmap: in its trie, the byte a leads to index 353 (256 +
 * 'a'), whose value is `unit`. */
static Text charsmap_model(uint32_t unit, Text contents, Arena *a)
{
    enum { UNITS = 512, AT = 256 + 'a' };
    Error e = {0};
    size_t map = 4 + 4 * UNITS + contents.n, spec = map + 4;
    char *p = NEW(a, char, spec + 100, &e);
    size_t n = (size_t)sprintf(p, "\x1a%c%c%c\x12%c%c%c", (char)(spec % 128 | 128), (char)(spec / 128 % 128 | 128),
                               (char)(spec / 16384), (char)(map % 128 | 128), (char)(map / 128 % 128 | 128),
                               (char)(map / 16384));
    put_u32(p + n, 4 * UNITS);
    put_u32(p + n + 4, 256 << 10);
    put_u32(p + n + 4 + 4 * AT, unit);
    memcpy(p + n + 4 + 4 * UNITS, contents.p, contents.n);
    n += map;
    memcpy(p + n,
           "\x0a\x05\x0a\x01u\x18\x02\x0a\x03\x0a\x01"
           "a",
           12);
    return (Text){p, n + 12};
}

/* Checks two limits of the rules of a charsmap:
 *
 * - If the trie has a cycle, each search still stops after MAX_RULE bytes. So the time is not quadratic.
 * - A rule with an output of more than 1024 bytes is refused. */
static void rules(void **state)
{
    (void)state;
    enum { CYCLE = 'a' | 'a' << 10, LEAF = 'a' | 0x100 | 1 << 10 };
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    TokenIds ids = {0};
    Tokenizer *t = from_memory("tokenizer.model", charsmap_model(CYCLE, (Text){"x", 2}, a), a, &e);
    if (!t)
        fail_msg("%s", e.message);
    clock_t begun = clock(); /* CPU time: the machine may be busy */
    assert_true(tokenize(t, times(100000, "a", a), 0, &ids, a, &e));
    assert_true(clock() - begun < 10 * CLOCKS_PER_SEC);
    for (size_t n = 1024; n <= 1025; n++) {
        Text blanks = times(n, " ", a);
        t = from_memory("tokenizer.model", charsmap_model(LEAF, (Text){blanks.p, n + 1}, a), a, &e);
        assert_int_equal(t != NULL, n == 1024);
    }
    assert_non_null(strstr(e.message, "precompiled_charsmap: a replacement of 1025 bytes; at most 1024 are supported"));
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(classes), cmocka_unit_test(expressions),
                                       cmocka_unit_test(growth), cmocka_unit_test(rules)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
