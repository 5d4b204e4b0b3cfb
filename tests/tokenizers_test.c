/* tests/tokenizers_test.c: ids, places and decoded texts equal those of Hugging Face (tests/golden/make_tokenizer.py).
 *
 * With arguments, the program is a filter for tests/golden/check_tokenizer.py: `tokenizers_test MODEL MAX_LENGTH MODE`
 * reads texts from standard input (a file); each follows its length in 4 bytes. Modes:
 * - `ids` writes one line of ids per text.
 * - `words` writes the words, each after its length.
 * - `normal` writes the normal form.
 * - `places` writes a line of tokens with their places; `places-pair` writes it for every two texts. More words in the
 *   mode: first, second, left, bare.
 * - `decode` reads ids and writes texts. More words: special, clean. */
#include "tokenizers/pipeline.h" /* before cmocka, which has a macro named fail */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

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
    if (!out || !bert_normalize(t, text, out, &rest.n, a, e))
        return;
    for (Text r = rest; bert_next_word(t, &r, &word);)
        write_block(word);
    write_block(TEXT("")); /* an empty block ends the words of a text */
}

/* Returns every token as ID:BEGIN:END:WORD:TYPE:TEXT:SPECIAL, in code points. */
static char *places_line(const Tokenizer *t, const Text *texts, size_t n, const TokenOptions *o, TokenList *list,
                         Arena *a, Error *e)
{
    enum { ROOM = 100 };
    bool ok = tokenize_texts(t, texts, n, o, list, a, e);
    for (size_t i = 0; i < n && ok; i++)
        ok = token_code_points(list, (int)i, texts[i], a, e);
    char *line = ok ? NEW(a, char, ROOM *(list->count + 1), e) : NULL, *end = line;
    for (size_t i = 0; line && i < list->count; i++) {
        TokenPlace p = list->places[i];
        end += snprintf(end, ROOM, "%s%d:%zu:%zu:%d:%d:%d:%d", i ? " " : "", (int)list->ids[i], p.begin, p.end,
                        (int)p.word, (int)p.type, (int)p.text, p.special);
    }
    return line;
}

static void write_decoded(const Tokenizer *t, Text ids, const DecodeOptions *o, Arena *a, Error *e)
{
    Text out;
    int32_t *copy = NEW(a, int32_t, ids.n / 4 + 1, e);
    if (copy && ids.n)
        memcpy(copy, ids.p, ids.n);
    if (copy && detokenize(t, copy, ids.n / 4, o, &out, a, e))
        write_block(out);
}

static int filter(char **argv)
{
    const char *mode = argv[3];
    Error e = {0};
    Arena *a = arena_new(NULL, 0), *scratch = arena_new(NULL, 0);
    Text in, texts[2] = {{0}};
    double begun = now_seconds(), spent = 0;
    Tokenizer *t = tokenizer_load(argv[1], a, &e);
    fprintf(stderr, "loaded in %.2f ms\n", 1e3 * (now_seconds() - begun));
    TokenOptions o = {.max_length = (size_t)atol(argv[2]),
                      .cut = strstr(mode, "first")    ? CUT_FIRST
                             : strstr(mode, "second") ? CUT_SECOND
                                                      : CUT_LONGEST,
                      .from_left = strstr(mode, "left"),
                      .bare = strstr(mode, "bare")};
    DecodeOptions d = {.keep_special = strstr(mode, "special"), .clean_up = strstr(mode, "clean")};
    size_t bytes = 0, count = 0, each = strstr(mode, "pair") ? 2 : 1;
    ArenaMark mark = arena_mark(scratch);
    if (t && input_read(&in, a, stdin, "standard input", 0, &e))
        for (uint32_t n; in.n >= 4 && !e.code; in.p += n, in.n -= n, bytes += n) {
            memcpy(&n, in.p, 4);
            in.p += 4;
            in.n -= 4;
            if (n > in.n) {
                (fail)(&e, SP_FORMAT, "standard input ends inside a text; give it as a file");
                break;
            }
            texts[count++ % each] = (Text){in.p, n};
            if (count % each)
                continue;
            TokenIds ids = {0};
            arena_rewind(scratch, mark);
            if (strstr(mode, "words")) {
                write_words(t, texts[0], scratch, &e);
            } else if (strstr(mode, "places")) {
                TokenList list;
                char *line = places_line(t, texts, each, &o, &list, scratch, &e);
                printf("%s\n", line ? line : "");
            } else if (strstr(mode, "normal")) {
                Work w = {.t = t, .a = scratch, .e = &e};
                Text normal;
                if (pipeline_normalize(&w, texts[0], &normal))
                    write_block(normal);
                work_end(&w);
            } else if (strstr(mode, "decode")) {
                write_decoded(t, texts[0], &d, scratch, &e);
            } else {
                begun = now_seconds();
                tokenize(t, texts[0], o.max_length, &ids, scratch, &e);
                spent += now_seconds() - begun;
                for (size_t i = 0; i < ids.count; i++)
                    printf("%d ", (int)ids.ids[i]);
                printf("\n");
            }
        }
    fprintf(stderr, "%zu texts, %.1f MB/s %s\n", count, 1e-6 * (double)bytes / (spent > 0 ? spent : 1), e.message);
    arena_free(scratch);
    arena_free(a);
    return e.code != SP_OK;
}

/* ---- tests ----------------------------------------------------------------------------------- */

#define GOLDEN "tests/golden/tokenizer/"

static Tokenizer *load(const char *path, Arena *a)
{
    Error e = {0};
    Tokenizer *t = tokenizer_load(path, a, &e);
    if (!t)
        fail_msg("%s", e.message);
    return t;
}

/* A file of cases, and the tokenizer of the next case. */
typedef struct Cases {
    Arena *a;
    const char *name, *loaded;
    const Json *next;
    Tokenizer *t;
} Cases;

static const Json *next_case(Cases *c)
{
    Error e = {0};
    Text source;
    if (!c->a) {
        c->a = arena_new(NULL, 0);
        c->loaded = "";
        assert_true(file_read(&source, c->a, arena_printf(c->a, &e, GOLDEN "%s", c->name), 0, &e));
        const Json *all = json_parse(c->a, source, c->name, &e);
        assert_non_null(all);
        c->next = all->first;
    }
    const Json *j = c->next;
    if (!j) {
        arena_free(c->a);
        return NULL;
    }
    c->next = j->next;
    const char *model = json_cstring(json_get(j, "model"));
    if (strcmp(model, c->loaded))
        c->t = load(arena_printf(c->a, &e, GOLDEN "%s", model), c->a);
    c->loaded = model;
    return j;
}

static size_t number_of(const Json *j, const char *key)
{
    int64_t value = -1;
    assert_true(json_i64(json_get(j, key), &value));
    return (size_t)value;
}

static void same_ids(const Cases *c, const Json *j, const TokenIds *ids)
{
    const Json *expect = json_get(j, "ids");
    bool same = ids->count == expect->count;
    size_t i = 0;
    int64_t id;
    for (const Json *x = expect->first; x && same; x = x->next, i++)
        same = json_i64(x, &id) && ids->ids[i] == id;
    if (!same)
        fail_msg("%s:%u: %s gives other ids", c->name, (unsigned)j->line, c->loaded);
}

static void goldens(void **state)
{
    (void)state;
    Error e = {0};
    Cases c = {.name = "cases.json"};
    for (const Json *j; (j = next_case(&c));) {
        Text text = json_get(j, "text")->text;
        size_t limit = number_of(j, "max");
        TokenIds ids = {0}, whole = {0}, slow = {0};
        assert_true(tokenize(c.t, text, limit, &ids, c.a, &e));
        same_ids(&c, j, &ids);
        assert_true(tokenize(c.t, text, 0, &whole, c.a, &e));
        assert_int_equal(ids.truncated, ids.count < whole.count);
        assert_false(whole.truncated);
        Tokenizer stages = *c.t;
        assert_true(stages.fused);
        stages.fused = false;
        assert_true(tokenize(&stages, text, limit, &slow, c.a, &e));
        same_ids(&c, j, &slow);
        assert_int_equal(slow.truncated, ids.truncated);
    }
}

static void same_places(const char *name)
{
    Error e = {0};
    Cases c = {.name = name};
    for (const Json *j; (j = next_case(&c));) {
        const Json *input = json_get(j, "input");
        size_t n = input->count;
        Text texts[2] = {input->first->text, n > 1 ? input->first->next->text : TEXT("")};
        TokenOptions o = {.max_length = number_of(j, "max"),
                          .cut = (TokenCut)number_of(j, "cut"),
                          .from_left = json_is_true(json_get(j, "left")),
                          .bare = json_is_true(json_get(j, "bare"))};
        TokenList list, ids;
        char *line = places_line(c.t, texts, n, &o, &list, c.a, &e);
        Text expect = json_get(j, "tokens")->text;
        if (!line || !text_is(expect, line))
            fail_msg("%s:%u: %s gives\n%s, not\n%.*s %s", c.name, (unsigned)j->line, c.loaded, line ? line : "",
                     (int)expect.n, expect.p, e.message);
        o.ids_only = true;
        assert_true(tokenize_texts(c.t, texts, n, &o, &ids, c.a, &e));
        assert_null(ids.places);
        assert_int_equal(ids.count, list.count);
        assert_int_equal(ids.total, list.total);
        assert_int_equal(ids.truncated, list.truncated);
        assert_memory_equal(ids.ids, list.ids, list.count * sizeof *ids.ids);
    }
}

static void places(void **state)
{
    (void)state;
    same_places("places.json");
    same_places("sentencepiece/places.json");
    same_places("classes/places.json");
#ifdef HAVE_ONIGURUMA
    same_places("classes/regex.json");
#endif
}

static void same_decoded(const char *name)
{
    Error e = {0};
    Cases c = {.name = name};
    for (const Json *j; (j = next_case(&c));) {
        const Json *list = json_get(j, "ids"), *cleaned = json_get(j, "cleaned");
        int32_t *ids = NEW(c.a, int32_t, list->count + 1, &e);
        size_t n = 0;
        for (const Json *x = list->first; x; x = x->next)
            ids[n++] = (int32_t)x->number;
        DecodeOptions o = {.keep_special = !json_is_true(json_get(j, "skip"))};
        Text out, part, expect = json_get(j, "text")->text;
        assert_true(detokenize(c.t, ids, n, &o, &out, c.a, &e));
        if (!text_equal(out, expect))
            fail_msg("%s:%u: gives '%.*s', not '%.*s'", c.name, (unsigned)j->line, (int)out.n, out.p, (int)expect.n,
                     expect.p);
        TokenStream s = {.tokenizer = c.t, .keep_special = o.keep_special};
        size_t at = 0;
        for (size_t i = 0; i <= n && !c.t->word_end.n; i++, at += part.n) {
            assert_true(i < n ? token_stream_next(&s, ids[i], &part, c.a, &e) : token_stream_end(&s, &part, c.a, &e));
            assert_true(part.n <= out.n - at && !memcmp(part.p, out.p + at, part.n));
        }
        assert_true(token_stream_end(&s, &part, c.a, &e));
        assert_true(part.n <= out.n - at && !memcmp(part.p, out.p + at, part.n));
        assert_int_equal(at + part.n, c.t->word_end.n ? 0 : out.n);
        o.clean_up = true;
        assert_true(detokenize(c.t, ids, n, &o, &out, c.a, &e));
        assert_true(text_equal(out, cleaned ? cleaned->text : expect));
    }
}

static void decoded(void **state)
{
    (void)state;
    same_decoded("decoded.json");
    same_decoded("sentencepiece/decoded.json");
    same_decoded("classes/decoded.json");
}

static void same_plain(const char *name)
{
    Error e = {0};
    Cases c = {.name = name};
    for (const Json *j; (j = next_case(&c));) {
        TokenIds ids = {0};
        Text out;
        assert_true(tokenize(c.t, json_get(j, "text")->text, 0, &ids, c.a, &e));
        same_ids(&c, j, &ids);
        assert_true(detokenize(c.t, ids.ids, ids.count, &(DecodeOptions){0}, &out, c.a, &e));
        assert_true(text_equal(out, json_get(j, "decoded")->text));
    }
}

/* Checks a .model file alone: ids and texts equal those of sentencepiece; ranks equal those of tiktoken. */
static void plain(void **state)
{
    (void)state;
    same_plain("sentencepiece/plain.json");
    same_plain("classes/plain.json");
}

/* Checks that CLIP's list of merges gives the same ids compressed by gzip and uncompressed. */
static void packed(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    TokenIds packed_ids = {0}, ids = {0};
    Text text = TEXT("The caf\xc3\xa9 of the tokens, 12 red bags <|endoftext|>");
    Tokenizer *t = tokenizer_load(GOLDEN "classes/clip_gz", a, &e);
#ifdef HAVE_ZLIB
    assert_non_null(t);
    assert_true(tokenize(t, text, 0, &packed_ids, a, &e));
    assert_true(tokenize(load(GOLDEN "classes/clip_list", a), text, 0, &ids, a, &e));
    assert_int_equal(packed_ids.count, ids.count);
    assert_memory_equal(packed_ids.ids, ids.ids, ids.count * sizeof *ids.ids);
#else
    (void)packed_ids, (void)ids, (void)text;
    assert_null(t);
    assert_non_null(strstr(e.message, "this build has no zlib"));
#endif
    arena_free(a);
}

/* Returns a text of pieces, added tokens, code points of every kind, and bytes that are not UTF-8. */
static Text random_text(const Tokenizer *t, uint32_t number, Arena *a)
{
    enum { MOST = 30 };
    static const uint32_t FIRST[] = {0x20, 0x41, 0x61, 0x300, 0x4e00, 0xac00, 0x1d158, 0x1f600, 0xf900, 0x590, 0x0};
    Draw d = {.seed = 1, .purpose = DRAW_TEST, .epoch = number};
    Error e = {0};
    char *p = NEW(a, char, MOST *(MAX_ADDED_BYTES + 4), &e);
    size_t n = 0, parts = draw_below(d, 0, MOST);
    for (uint64_t i = 1; i < 4 * parts; i += 4) {
        Text piece = token_text(t, (int32_t)draw_below(d, i, (uint32_t)t->ids));
        uint32_t kind = draw_below(d, i + 1, 4), value = draw_below(d, i + 2, 128);
        if (!kind) {
            memcpy(p + n, piece.p, piece.n);
            n += piece.n;
        } else if (kind == 1) {
            p[n++] = value % 5 ? ' ' : (char)(0x80 + value);
        } else {
            n += utf8_encode(FIRST[draw_below(d, i + 3, COUNT(FIRST))] + value % 40, p + n);
        }
    }
    return (Text){p, n};
}

/* Checks that the fused pass (or words of bytes) and the separate stages give the same ids. Places are inside the text,
 * and in order within a word. */
static void fused_and_stages(void **state)
{
    (void)state;
    static const char *const FILES[] = {"bert.json", "odd.json",  "mpnet.json", "plain.json", "cased",
                                        "gpt2.json", "clip.json", "qwen.json",  "mixed.json", "roberta"};
    Error e = {0};
    for (size_t f = 0; f < COUNT(FILES); f++) {
        Arena *a = arena_new(NULL, 0), *scratch = arena_new(NULL, 0);
        Tokenizer *t = load(arena_printf(a, &e, GOLDEN "%s", FILES[f]), a), stages = *t;
        assert_true(t->fused || t->bytes);
        stages.fused = stages.bytes = false;
        stages.cache = NULL;
        ArenaMark mark = arena_mark(scratch);
        for (uint32_t i = 0; i < 400; i++) {
            arena_rewind(scratch, mark);
            Text text = random_text(t, i, scratch);
            size_t limit = i % 4 ? 0 : 2 + i % 32;
            TokenIds fast = {0}, slow = {0};
            TokenList list;
            bool ok = tokenize(t, text, limit, &fast, scratch, &e) &&
                      tokenize(&stages, text, limit, &slow, scratch, &e) &&
                      tokenize_texts(t, &text, 1, &(TokenOptions){.max_length = limit}, &list, scratch, &e);
            assert_true(ok);
            assert_int_equal(fast.count, slow.count);
            assert_int_equal(fast.count, list.count);
            assert_int_equal(fast.truncated, slow.truncated);
            assert_int_equal(fast.truncated, list.truncated);
            assert_memory_equal(fast.ids, slow.ids, fast.count * sizeof *fast.ids);
            assert_memory_equal(fast.ids, list.ids, fast.count * sizeof *fast.ids);
            for (size_t k = 0; k < list.count; k++) {
                TokenPlace p = list.places[k];
                assert_true(p.begin <= p.end && p.end <= text.n && (p.special || p.word >= 0));
                if (k && !p.special && !list.places[k - 1].special && list.places[k - 1].word == p.word)
                    assert_true(list.places[k - 1].end <= p.end);
            }
        }
        arena_free(scratch);
        arena_free(a);
    }
}

static void kind_limit_and_ids(void **state)
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

/* Checks bytes that are not UTF-8: they are read as with Python's errors="replace". clean_text drops U+FFFD; without
 * clean_text it is an unknown token. */
static void broken_utf8(void **state)
{
    (void)state;
    static const char *const PARTS[][2] = {/* bytes, and Python's result: '-' for a U+FFFD, 'a' for a character */
                                           {"\xff\xc3"
                                            "a",
                                            "--a"},
                                           {"\xf0\x9f\x98", "-"},
                                           {"\xf0\x9f\x98"
                                            "a\xe2\x82",
                                            "-a-"},
                                           {"\xed\xa0\x80", "---"},
                                           {"\xe0\x80\x80\xc0\xaf", "-----"},
                                           {"\xf4\x90\x80\x80", "----"},
                                           {"\xf1\x80\x80\xf1\x80\xc2\x80\xf5\x80", "--a--"}};
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
    for (size_t i = 0; i < COUNT(PARTS); i++) {
        const char *p = PARTS[i][0];
        size_t n = strlen(p), at = 0;
        for (const char *is = PARTS[i][1]; *is; is++) {
            size_t length = 0;
            assert_true(at < n && (next_code(p + at, n - at, &length) == 0xfffd) == (*is == '-'));
            at += length;
            assert_int_equal(code_length_before(p, at), length);
        }
        assert_int_equal(at, n);
    }
    arena_free(a);
}

/* Checks that empty texts have their special tokens, and that NUL bytes are control characters, which clean_text drops.
 */
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

/* Checks that a megabyte of misplaced combining marks which are not dropped, and a megabyte of one word, need
 * reasonable time. */
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

/* Checks wrong calls, and limits that leave no room. */
static void refused(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Tokenizer *cased = load(GOLDEN "cased", a), one = *cased;
    Text texts[2] = {TEXT("the of"), TEXT("the running")};
    one.two.count = 0;
    static const struct {
        size_t n;
        TokenOptions options;
        sp_status code;
        const char *why;
    } table[] = {
        {0, {0}, SP_USAGE, "0 texts; one or two are expected"},
        {3, {0}, SP_USAGE, "3 texts; one or two are expected"},
        {1, {.max_length = 1}, SP_USAGE, "1 tokens is too short for the 2 special tokens"},
        {2, {.max_length = 2}, SP_USAGE, "2 tokens is too short for the 3 special tokens"},
        {2, {.max_length = 5, .cut = CUT_FIRST}, SP_USAGE, "cannot be taken from the first text, which has 2"},
        {2, {.max_length = 4, .cut = CUT_SECOND}, SP_USAGE, "cannot be taken from the second text, which has 3"},
        {1, {.max_length = 3, .cut = CUT_SECOND}, SP_USAGE, "cannot be taken from the second text, which has 0"},
    };
    TokenList list;
    for (size_t i = 0; i < COUNT(table); i++) {
        error_clear(&e);
        if (tokenize_texts(cased, texts, table[i].n, &table[i].options, &list, a, &e) || e.code != table[i].code ||
            !strstr(e.message, table[i].why))
            fail_msg("row %zu: expected \"%s\", got \"%s\"", i, table[i].why, e.message);
    }
    error_clear(&e);
    assert_false(tokenize_texts(&one, texts, 2, &(TokenOptions){0}, &list, a, &e));
    assert_non_null(strstr(e.message, "has no template for two texts"));
    error_clear(&e);
    assert_true(tokenize_texts(cased, texts, 2, &(TokenOptions){.max_length = 3, .cut = CUT_FIRST}, &list, a, &e));
    assert_int_equal(list.count, 3); /* no room for any of the texts */
    assert_int_equal(list.total, 8);
    arena_free(a);
}

int main(int argc, char **argv)
{
    if (argc == 4)
        return filter(argv);
    const struct CMUnitTest tests[] = {cmocka_unit_test(goldens),
                                       cmocka_unit_test(places),
                                       cmocka_unit_test(decoded),
                                       cmocka_unit_test(plain),
                                       cmocka_unit_test(fused_and_stages),
                                       cmocka_unit_test(kind_limit_and_ids),
                                       cmocka_unit_test(broken_utf8),
                                       cmocka_unit_test(empty_and_nul),
                                       cmocka_unit_test(long_texts),
                                       cmocka_unit_test(refused),
                                       cmocka_unit_test(packed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
