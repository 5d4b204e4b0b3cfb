/* tests/fuzz/text_fuzz.c: Hostile texts through a tokenizer that reads cased words, one that does not, and the cleaning
 * of Ducho's tables. */
#include "tests/fuzz/fuzz.h"

#include "tokenizers/tokenizers.h"
#include "tools/ducho/extract.h"

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
    }
    bool ok = clear_text(&text, a, &e);
    check_end(ok, &e);
    arena_free(a);
    return 0;
}
