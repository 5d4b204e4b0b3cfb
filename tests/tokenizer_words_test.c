/* tests/tokenizer_words_test.c: byte pair encoding splits words into parts, and keeps the ids of earlier words in a
 * cache. The tokens must be the same without the parts and without the cache. */
#include "tokenizers/models/bpe.h" /* before cmocka, which has a macro named fail */

#include "tests/testing.h"

enum { MOST_TEXT = 120 };

static Draw draw_of(uint32_t number)
{
    return (Draw){.seed = 7, .purpose = DRAW_TEST, .epoch = number};
}

/* ---- parts ----------------------------------------------------------------------------------- */

/* Pieces from drawn merges. No merge joins a character and a mark after it. */
typedef struct Drawn {
    char pieces[64][64];
    size_t count, merges;
    size_t left[64], right[64];
} Drawn;

static bool has_piece(const Drawn *d, const char *text)
{
    for (size_t i = 0; i < d->count; i++)
        if (!strcmp(d->pieces[i], text))
            return true;
    return false;
}

static void draw_pieces(Drawn *d, uint32_t number)
{
    static const char *const FIRST[] = {"<unk>", MARK, "a", "b", "c", "q", "q\xe2\x96\x81"};
    *d = (Drawn){.count = COUNT(FIRST)};
    for (size_t i = 0; i < COUNT(FIRST); i++)
        snprintf(d->pieces[i], sizeof d->pieces[i], "%s", FIRST[i]);
    for (uint64_t i = 0; i < 120 && d->count < COUNT(d->pieces); i++) {
        size_t left = 1 + draw_below(draw_of(number), 2 * i, (uint32_t)d->count - 1),
               right = 1 + draw_below(draw_of(number), 2 * i + 1, (uint32_t)d->count - 1);
        const char *a = d->pieces[left], *b = d->pieces[right];
        char both[sizeof d->pieces[0]];
        if (strlen(a) + strlen(b) > 20 || strchr(a, 'q') || strchr(b, 'q') ||
            (text_starts(text_of(b), MARK) && !text_ends(text_of(a), MARK)))
            continue;
        snprintf(both, sizeof both, "%.20s%.20s", a, b);
        if (has_piece(d, both))
            continue;
        memcpy(d->pieces[d->count], both, sizeof both);
        d->left[d->merges] = left;
        d->right[d->merges++] = right;
        d->count++;
    }
}

/* Makes a tokenizer of the drawn pieces. joins: adds a merge of "q" and a MARK after it. A token may then contain MARK
 * after another character, so the tokenizer must not split words before MARK (Bpe.marked is false). */
static Tokenizer *drawn_tokenizer(const Drawn *d, bool joins, uint32_t number, Arena *a)
{
    Error e = {0};
    char *vocab = arena_printf(a, &e, "%s", ""), *merges = vocab, folder[256];
    const char *fuse = number % 2 ? "true" : "false";
    for (size_t i = 0; i < d->count; i++)
        vocab = arena_printf(a, &e, "%s%s\"%s\":%zu", vocab, i ? "," : "", d->pieces[i], i);
    for (size_t i = 0; i < d->merges; i++)
        merges = arena_printf(a, &e, "%s%s[\"%s\",\"%s\"]", merges, i ? "," : "", d->pieces[d->left[i]],
                              d->pieces[d->right[i]]);
    if (joins)
        merges = arena_printf(a, &e, "[\"q\",\"" MARK "\"]%s%s", d->merges ? "," : "", merges);
    test_folder(folder);
    test_write(folder, "tokenizer.json",
               text_of(arena_printf(
                   a, &e,
                   "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"" MARK
                   "\"},{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"" MARK "\"}]},"
                   "\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"fuse_unk\":%s,\"vocab\":{%s},"
                   "\"merges\":[%s]}}",
                   fuse, vocab, merges)));
    Tokenizer *t = tokenizer_load(folder, a, &e);
    test_folder_remove(folder);
    if (!t)
        fail_msg("%s", e.message);
    assert_int_equal(((const Bpe *)t->model)->marked, !joins);
    return t;
}

/* Returns a random text of `letters` and marks. Each e has an acute accent. */
static Text drawn_text(uint32_t number, const char *letters, Arena *a)
{
    Error e = {0};
    char *p = NEW(a, char, 4 * MOST_TEXT, &e);
    size_t n = 0, count = draw_below(draw_of(number), 0, MOST_TEXT);
    for (uint64_t i = 1; i <= count; i++) {
        uint32_t k = draw_below(draw_of(number), i, (uint32_t)strlen(letters) + 1);
        const char *put = k == strlen(letters) ? MARK : letters[k] == 'e' ? "\xc3\xa9" : NULL;
        if (put)
            n += (size_t)snprintf(p + n, 4, "%s", put);
        else
            p[n++] = letters[k];
    }
    return (Text){p, n};
}

static void same_tokens(const Tokenizer *x, const Tokenizer *y, Text text, Arena *a)
{
    Error e = {0};
    TokenIds one = {0}, other = {0};
    TokenList list[2];
    TokenOptions o = {0};
    assert_true(tokenize(x, text, 0, &one, a, &e) && tokenize(y, text, 0, &other, a, &e) &&
                tokenize_texts(x, &text, 1, &o, &list[0], a, &e) && tokenize_texts(y, &text, 1, &o, &list[1], a, &e));
    assert_int_equal(one.count, other.count);
    assert_int_equal(one.count, list[0].count);
    assert_int_equal(one.count, list[1].count);
    assert_memory_equal(one.ids, other.ids, one.count * sizeof *one.ids);
    for (size_t i = 0; i < one.count; i++) {
        TokenPlace p = list[0].places[i], q = list[1].places[i];
        assert_true(list[0].ids[i] == one.ids[i] && list[1].ids[i] == one.ids[i]);
        assert_true(p.begin == q.begin && p.end == q.end && p.word == q.word);
    }
}

static void parts_of_a_word(void **state)
{
    (void)state;
    for (uint32_t number = 0; number < 60; number++) {
        Arena *a = arena_new(NULL, 0), *scratch = arena_new(NULL, 0);
        Drawn d;
        draw_pieces(&d, number);
        Tokenizer *cut = drawn_tokenizer(&d, false, number, a), *whole = drawn_tokenizer(&d, true, number, a);
        for (uint32_t i = 0; i < 60; i++) {
            arena_rewind(scratch, (ArenaMark){0});
            same_tokens(cut, whole, drawn_text(1000 * number + i, "aabbcc  ze", scratch), scratch);
        }
        TokenIds ids = {0};
        Error e = {0};
        static const int32_t JOINED[] = {1, 6, 5}; /* a mark, "q" with a mark, "q" */
        assert_true(tokenize(whole, TEXT("q q"), 0, &ids, scratch, &e));
        assert_int_equal(ids.count, COUNT(JOINED));
        assert_memory_equal(ids.ids, JOINED, sizeof JOINED);
        arena_free(scratch);
        arena_free(a);
    }
}

/* ---- kept words ------------------------------------------------------------------------------ */

#define GOLDEN "tests/golden/tokenizer/"
static const char *const FILES[] = {"gpt2.json", "clip.json", "qwen.json", "nfkc.json", "sentencepiece/xlmr.json"};

typedef struct CacheTest {
    const Tokenizer *t, *uncached;
    bool differs[8];
} CacheTest;

/* Tokenises more words than the cache holds, with the cache and without it. The words have few letters, and some occur
 * several times. */
static void use_words(void *arg, size_t task, int worker)
{
    CacheTest *u = arg;
    Arena *a = arena_new(NULL, 0);
    Error e = {0};
    (void)worker;
    for (uint32_t i = 0; i < 4000 && !u->differs[task]; i++) {
        TokenIds cached_ids = {0}, plain_ids = {0};
        arena_rewind(a, (ArenaMark){0});
        Text text = drawn_text(i % 2 ? i : (uint32_t)task * 10000 + i, "theringaes  ", a);
        u->differs[task] =
            !tokenize(u->t, text, 0, &cached_ids, a, &e) || !tokenize(u->uncached, text, 0, &plain_ids, a, &e) ||
            cached_ids.count != plain_ids.count ||
            (cached_ids.count && memcmp(cached_ids.ids, plain_ids.ids, cached_ids.count * sizeof *cached_ids.ids) != 0);
    }
    arena_free(a);
}

static void words_met_before(void **state)
{
    (void)state;
    Pool *pool = pool_new(NULL, 4, &(Error){0});
    for (size_t f = 0; f < COUNT(FILES); f++) {
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        const char *path = arena_printf(a, &e, GOLDEN "%s", FILES[f]);
        Tokenizer *t = tokenizer_load(path, a, &e), *uncached = tokenizer_load(path, a, &e);
        if (!t || !uncached)
            fail_msg("%s", e.message);
        assert_non_null(t->cache);
        tokenizer_no_cache(uncached);
        CacheTest test = {.t = t, .uncached = uncached};
        pool_run(pool, COUNT(test.differs), use_words, &test);
        for (size_t i = 0; i < COUNT(test.differs); i++)
            assert_false(test.differs[i]);
        arena_free(a);
    }
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(parts_of_a_word), cmocka_unit_test(words_met_before)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
