/* tests/tokenizers_test.c: WordPiece against ids made by Hugging Face (tests/golden/make_tokenizer.py), and malformed
 * files. With arguments it is a filter for tests/golden/check_tokenizer.py: `tokenizers_test MODEL MAX_LENGTH
 * ids|words` reads texts from standard input, each behind its length in 4 bytes, and writes a line of ids, or the
 * words, each behind its length. */
#include "tokenizers/private.h" /* before cmocka, which has a macro named fail */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- the filter ------------------------------------------------------------------------------ */

static void write_block(Text t)
{
    uint32_t n = (uint32_t)t.n;
    fwrite(&n, 4, 1, stdout);
    fwrite(t.p, 1, t.n, stdout);
}

static void write_words(const Tokenizer *t, Text text, Arena *a, Error *e)
{
    char *out = NEW(a, char, NORMAL_ROOM(text.n), e);
    Text rest = {out, 0}, word;
    if (!out || !normalize(t, text, out, &rest.n, a, e))
        return;
    for (Text r = rest; next_word(t, &r, &word);)
        write_block(word);
    write_block(TEXT("")); /* ends the list */
}

static int filter(char **argv)
{
    Error e = {0};
    Arena *a = arena_new(NULL, 0), *scratch = arena_new(NULL, 0);
    Text in, text;
    double begun = now_seconds(), spent = 0;
    Tokenizer *t = tokenizer_load(argv[1], a, &e);
    fprintf(stderr, "loaded in %.2f ms\n", 1e3 * (now_seconds() - begun));
    bool words = !strcmp(argv[3], "words");
    size_t bytes = 0, texts = 0;
    ArenaMark mark = arena_mark(scratch);
    if (t && input_read(&in, a, stdin, "standard input", 0, &e))
        for (uint32_t n; in.n >= 4 && !e.code; in.p += n, in.n -= n, bytes += n, texts++) {
            memcpy(&n, in.p, 4);
            in.p += 4;
            in.n -= 4;
            text = (Text){in.p, n};
            TokenIds ids = {0};
            arena_rewind(scratch, mark);
            if (words) {
                write_words(t, text, scratch, &e);
                continue;
            }
            begun = now_seconds();
            tokenize(t, text, (size_t)atol(argv[2]), &ids, scratch, &e);
            spent += now_seconds() - begun;
            for (size_t i = 0; i < ids.count; i++)
                printf("%d ", (int)ids.ids[i]);
            printf("\n");
        }
    fprintf(stderr, "%zu texts, %.1f MB/s %s\n", texts, 1e-6 * (double)bytes / (spent > 0 ? spent : 1), e.message);
    arena_free(scratch);
    arena_free(a);
    return e.code != SP_OK;
}

/* ---- tests ----------------------------------------------------------------------------------- */

#define GOLDEN "tests/golden/tokenizer/"

static char folder[] = "/tmp/sapor-tokenizers-XXXXXX";

static const char *put(const char *name, const char *data, size_t n)
{
    static char path[600];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    fclose(f);
    return path;
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[600];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static Tokenizer *load(const char *path, Arena *a)
{
    Error e = {0};
    Tokenizer *t = tokenizer_load(path, a, &e);
    if (!t)
        fail_msg("%s", e.message);
    return t;
}

static void goldens(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Text source;
    assert_true(file_read(&source, a, GOLDEN "cases.json", 0, &e));
    const Json *cases = json_parse(a, source, "cases.json", &e);
    assert_non_null(cases);
    const char *loaded = "";
    Tokenizer *t = NULL;
    for (const Json *j = cases->first; j; j = j->next) {
        const char *model = json_cstring(json_get(j, "model"));
        if (strcmp(model, loaded))
            t = load(arena_printf(a, &e, GOLDEN "%s", model), a);
        loaded = model;
        int64_t limit, id;
        TokenIds ids = {0};
        const Json *expect = json_get(j, "ids");
        json_i64(json_get(j, "max"), &limit);
        assert_true(tokenize(t, json_get(j, "text")->text, (size_t)limit, &ids, a, &e));
        bool same = ids.count == expect->count;
        size_t i = 0;
        for (const Json *x = expect->first; x && same; x = x->next, i++)
            same = json_i64(x, &id) && ids.ids[i] == id;
        if (!same)
            fail_msg("cases.json:%u: %s gives other ids", (unsigned)j->line, model);
    }
    arena_free(a);
}

static void faces(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Tokenizer *t = load(GOLDEN "cased", a);
    assert_string_equal(tokenizer_kind(t), "WordPiece");
    assert_int_equal(tokenizer_max_length(t), 512);
    assert_int_equal(tokenizer_max_length(load(GOLDEN "mpnet", a)), 0); /* 1e30 means none */
    assert_int_equal(token_id(t, TEXT("[MASK]")), 4);
    assert_int_equal(token_id(t, TEXT("##ning")), 12);
    assert_int_equal(token_id(t, TEXT("absent")), -1);
    assert_true(text_is(token_text(t, 12), "##ning"));
    assert_int_equal(token_text(t, -1).n + token_text(t, 1 << 30).n, 0);
    TokenIds ids = {0};
    assert_false(tokenize(t, TEXT("a"), 1, &ids, a, &e));
    assert_non_null(strstr(e.message, "too short for the 2 special tokens"));
    arena_free(a);
}

/* Bytes that are not UTF-8 read as U+FFFD each: clean_text drops them, without it they are unknown. */
static void broken_utf8(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Tokenizer *bert = load(GOLDEN "bert.json", a), *plain = load(GOLDEN "plain.json", a);
    TokenIds ids = {0};
    Text text = TEXT("t\xff\xc3he\xf0\x9f\x98");
    assert_true(tokenize(bert, text, 0, &ids, a, &e));
    assert_int_equal(ids.count, 3);
    assert_int_equal(ids.ids[1], token_id(bert, TEXT("the")));
    ids.count = 0;
    assert_true(tokenize(plain, text, 0, &ids, a, &e));
    assert_int_equal(ids.count, 1);
    assert_int_equal(ids.ids[0], 1);
    arena_free(a);
}

/* Empty texts have their special tokens; NUL bytes count as any control character, which clean_text drops. */
static void empty_and_nul(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Tokenizer *bert = load(GOLDEN "bert.json", a);
    static const Text texts[] = {{"", 0}, {"\0", 1}, {" \t\n", 3}, {"\0t\0he\0", 6}};
    for (size_t i = 0; i < COUNT(texts); i++) {
        TokenIds ids = {0};
        char *exact = malloc(texts[i].n + !texts[i].n);
        memcpy(exact, texts[i].p, texts[i].n);
        assert_true(tokenize(bert, (Text){exact, texts[i].n}, 0, &ids, a, &e));
        assert_int_equal(ids.count, i < 3 ? 2 : 3);
        assert_true(i < 3 || ids.ids[1] == token_id(bert, TEXT("the")));
        free(exact);
    }
    arena_free(a);
}

/* A megabyte of misplaced combining marks that are not dropped, and of one word, in reasonable time. */
static void long_texts(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Tokenizer *t = load(GOLDEN "bert.json", a);
    size_t n = 1 << 20;
    char *text = NEW(a, char, n, &e);
    for (size_t i = 0; i < n; i += 4)
        memcpy(text + i, i / 4 % 2 ? "\xf0\x9d\x85\xa5" : "\xf0\x9d\x85\xae", 4);
    TokenIds ids = {0};
    assert_true(tokenize(t, (Text){text, n}, 0, &ids, a, &e));
    assert_int_equal(ids.count, 3);
    memset(text, 'a', n);
    assert_true(tokenize(t, (Text){text, n}, 0, &ids, a, &e));
    assert_int_equal(ids.ids[4], 1);
    memset(text, '.', n);
    ids.count = 0;
    assert_true(tokenize(t, (Text){text, n}, 256, &ids, a, &e));
    assert_int_equal(ids.count, 256);
    assert_int_equal(ids.ids[255], 3);
    arena_free(a);
}

/* A tokenizer.json with one part replaced. */
static char *json_with(Arena *a, const char *normalizer, const char *split, const char *post, const char *added,
                       const char *model)
{
    Error e = {0};
    return arena_printf(
        a, &e, "{\"normalizer\":%s,\"pre_tokenizer\":%s,\"post_processor\":%s,\"added_tokens\":%s,\"model\":%s}",
        normalizer ? normalizer : "null", split ? split : "{\"type\":\"BertPreTokenizer\"}", post ? post : "null",
        added ? added : "[]",
        model ? model : "{\"type\":\"WordPiece\",\"unk_token\":\"u\",\"vocab\":{\"u\":0,\"a\":1}}");
}

static void malformed(void **state)
{
    (void)state;
    static const struct {
        const char *normalizer, *split, *post, *added, *model, *why;
    } table[] = {
        {.normalizer = "{\"type\":\"NFKC\"}", .why = "normalizer NFKC is not supported (supported: BertNormalizer)"},
        {.normalizer = "{\"type\":\"Sequence\",\"normalizers\":[]}", .why = "normalizer Sequence"},
        {.normalizer = "[]", .why = "normalizer (no type)"},
        {.split = "{\"type\":\"ByteLevel\"}", .why = "pre_tokenizer ByteLevel is not supported"},
        {.split = "null", .why = "pre_tokenizer (no type)"},
        {.post = "{\"type\":\"ByteLevel\"}", .why = "post_processor ByteLevel"},
        {.post = "{\"type\":\"BertProcessing\",\"cls\":[\"a\"],\"sep\":[\"a\",1]}", .why = "has no id"},
        {.post = "{\"type\":\"BertProcessing\",\"cls\":[\"a\",-1],\"sep\":[\"a\",1]}", .why = "has no id"},
        {.post = "{\"type\":\"BertProcessing\",\"cls\":[\"a\",2],\"sep\":[\"a\",1]}",
         .why = "id 2 is not in the vocabulary"},
        {.post = "{\"type\":\"TemplateProcessing\"}", .why = "does not contain the text"},
        {.post = "{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"B\"}}]}",
         .why = "special tokens around A"},
        {.post = "{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"A\"}},{\"Sequence\":{\"id\":"
                 "\"A\"}}]}",
         .why = "special tokens around A"},
        {.post = "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"x\"}}]}", .why = "names x"},
        {.post = "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"x\"}}],\"special_tokens\":{"
                 "\"x\":"
                 "{\"ids\":"
                 "[\"1\"]}}}",
         .why = "has no id"},
        {.added = "[{\"id\":1}]", .why = "added token has no content"},
        {.added = "[3]", .why = "added token has no content"},
        {.model = "{\"type\":\"BPE\",\"vocab\":{},\"merges\":[]}",
         .why = "model BPE is not supported (supported: WordPiece)"},
        {.model = "{\"vocab\":{\"a\":0}}", .why = "model (no type)"},
        {.model = "{\"type\":\"WordPiece\",\"unk_token\":\"u\",\"vocab\":{}}", .why = "expected vocab"},
        {.model = "{\"type\":\"WordPiece\",\"vocab\":{\"a\":0}}", .why = "expected vocab, unk_token"},
        {.model = "{\"type\":\"WordPiece\",\"unk_token\":\"u\",\"vocab\":[\"a\"]}", .why = "expected vocab"},
        {.model = "{\"type\":\"WordPiece\",\"unk_token\":\"u\",\"vocab\":{\"a\":\"0\"}}", .why = "token 'a' has no id"},
        {.model = "{\"type\":\"WordPiece\",\"unk_token\":\"u\",\"vocab\":{\"a\":0.5}}", .why = "token 'a' has no id"},
        {.model = "{\"type\":\"WordPiece\",\"unk_token\":\"u\",\"vocab\":{\"a\":-1}}",
         .why = "token id -1 is out of range"},
        {.model = "{\"type\":\"WordPiece\",\"unk_token\":\"u\",\"vocab\":{\"a\":2147483647}}",
         .why = "out of range for 1 tokens"},
        {.model = "{\"type\":\"WordPiece\",\"unk_token\":\"u\",\"vocab\":{\"a\":0,\"b\":0}}",
         .why = "'a' and 'b' have the same id"},
        {.model = "{\"type\":\"WordPiece\",\"unk_token\":\"u\",\"vocab\":{\"a\":0,\"a\":1}}", .why = "t.json:1:"},
        {.model = "{\"type\":\"WordPiece\",\"unk_token\":\"u\",\"max_input_chars_per_word\":-1,\"vocab\":{\"a\":0}}",
         .why = "is -1"},
        {.model = "{\"type\":\"WordPiece\",\"unk_token\":\"u\",\"max_input_chars_per_word\":1e9,\"vocab\":{\"a\":0}}",
         .why = "max_input_chars_per_word is 1000000000"},
        {.model = "null", .why = "no \"model\""},
        {.model = "{\"type\":\"WordPiece\",\"unk_token\":\"u\",\"vocab\":{\"u\":0,\"a\":2}}",
         .added = "[{\"content\":\"b\"}]",
         .why = "gets id 2, which the vocabulary already uses"},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        char *text = json_with(a, table[i].normalizer, table[i].split, table[i].post, table[i].added, table[i].model);
        if (tokenizer_load(put("t.json", text, strlen(text)), a, &e) || !strstr(e.message, table[i].why))
            fail_msg("%s: wanted \"%s\", got \"%s\"", text, table[i].why, e.message);
        arena_free(a);
    }
    static const struct {
        const char *name, *text, *why;
    } files[] = {
        {"t.json", "", "t.json:1:"},
        {"t.json", "{\"a\":[1,", "t.json:1:"},
        {"t.json", "[]", "no \"model\""},
        {"vocab.txt", "", "is empty"},
        {"vocab.txt", "a\nb\n", "the special token '[CLS]' is missing"},
        {"vocab.txt", "a\n\xff\n", "byte 2 is not UTF-8"},
    };
    for (size_t i = 0; i < COUNT(files); i++) {
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        if (tokenizer_load(put(files[i].name, files[i].text, strlen(files[i].text)), a, &e) ||
            !strstr(e.message, files[i].why))
            fail_msg("%s: wanted \"%s\", got \"%s\"", files[i].text, files[i].why, e.message);
        arena_free(a);
    }
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    put("vocab.txt", "[CLS]\n[SEP]\n", 12);
    put("tokenizer_config.json", "{\"tokenizer_class\":\"XLNetTokenizer\"}", 36);
    assert_null(tokenizer_load(folder, a, &e));
    assert_non_null(strstr(e.message, "tokenizer_class XLNetTokenizer is not supported"));
    error_clear(&e);
    put("tokenizer_config.json", "{", 1);
    assert_null(tokenizer_load(folder, a, &e));
    assert_non_null(strstr(e.message, "tokenizer_config.json:1:"));
    error_clear(&e);
    assert_null(tokenizer_load("tests/golden", a, &e));
    assert_non_null(strstr(e.message, "contains neither tokenizer.json nor vocab.txt; fetch the whole folder"));
    error_clear(&e);
    assert_null(tokenizer_load("tests/golden/absent", a, &e));
    assert_non_null(strstr(e.message, "No such file"));
    error_clear(&e);
    /* no [UNK] in the vocabulary: fails only where it is needed */
    put("tokenizer_config.json", "{}", 2);
    Tokenizer *t = load(folder, a);
    TokenIds ids = {0};
    assert_true(tokenize(t, TEXT("[SEP]"), 0, &ids, a, &e));
    assert_int_equal(ids.count, 3);
    arena_free(a);
    a = arena_new(NULL, 0);
    char *text =
        json_with(a, NULL, NULL, NULL, NULL, "{\"type\":\"WordPiece\",\"unk_token\":\"u\",\"vocab\":{\"a\":0}}");
    t = load(put("t.json", text, strlen(text)), a);
    ids = (TokenIds){0};
    assert_false(tokenize(t, TEXT("b"), 0, &ids, a, &e));
    assert_non_null(strstr(e.message, "no token for unknown words"));
    arena_free(a);
}

int main(int argc, char **argv)
{
    if (argc == 4)
        return filter(argv);
    const struct CMUnitTest tests[] = {cmocka_unit_test(goldens),     cmocka_unit_test(faces),
                                       cmocka_unit_test(broken_utf8), cmocka_unit_test(empty_and_nul),
                                       cmocka_unit_test(long_texts),  cmocka_unit_test(malformed)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
