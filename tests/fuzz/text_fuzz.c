/* tests/fuzz/text_fuzz.c: hostile texts for three tokenizers (cased, uncased, and one of odd settings), and for the
 * cleaning of Ducho's tables. */
#include "tests/fuzz/fuzz.h"

#include "tokenizers/tokenizers.h"
#include "tools/ducho/extract.h"

/* Checks that the separate stages give the ids of the fused pass, and that places are inside the text. The text in two
 * parts is a pair. */
static void check_places(const Tokenizer *t, Text text, const TokenIds *ids, Arena *a, Error *e)
{
    TokenList list = {0};
    Text halves[2] = {{text.p, text.n / 2}, {text.p + text.n / 2, text.n - text.n / 2}}, back;
    TokenOptions o = {.max_length = 0};
    bool ok = tokenize_texts(t, &text, 1, &o, &list, a, e);
    check_end(ok, e);
    if (!ok)
        return;
    REQUIRE(list.count == ids->count && !memcmp(list.ids, ids->ids, ids->count * sizeof *ids->ids));
    for (size_t i = 0; i < list.count; i++)
        REQUIRE(list.places[i].begin <= list.places[i].end && list.places[i].end <= text.n);
    ok = detokenize(t, list.ids, list.count, &(DecodeOptions){.clean_up = true}, &back, a, e) &&
         token_code_points(&list, 0, text, a, e);
    check_end(ok, e);
    error_clear(e);
    o = (TokenOptions){.max_length = 3 + text.n % 8, .from_left = text.n % 3 == 0};
    ok = tokenize_texts(t, halves, 2, &o, &list, a, e);
    check_end(ok, e);
    REQUIRE(!ok || list.count <= o.max_length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const FILES[] = {"tests/golden/tokenizer/cased", "tests/golden/tokenizer/bert.json",
                                        "tests/golden/tokenizer/odd.json"};
    static Tokenizer *loaded[COUNT(FILES)];
    static Arena *keep;
    Error e = {0};
    Text text = {(const char *)data, size};
    for (size_t i = 0; i < COUNT(FILES) && !keep; i++) {
        Arena *a = arena_new(NULL, 0);
        loaded[i] = tokenizer_load(FILES[i], a, &e);
        REQUIRE(loaded[i]);
        keep = i + 1 == COUNT(FILES) ? a : NULL;
    }
    Arena *a = arena_new(fuzz_heap(size), 0);
    for (size_t i = 0; i < COUNT(FILES); i++) {
        TokenIds ids = {0};
        bool ok = tokenize(loaded[i], text, 0, &ids, a, &e);
        check_end(ok, &e);
        for (size_t k = 0; k < ids.count; k++)
            REQUIRE(token_text(loaded[i], ids.ids[k]).n > 0);
        error_clear(&e);
        check_places(loaded[i], text, &ids, a, &e);
        error_clear(&e);
    }
    bool ok = clear_text(&text, a, &e);
    check_end(ok, &e);
    arena_free(a);
    return 0;
}
