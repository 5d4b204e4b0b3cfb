/* tests/fuzz/tokenizer_fuzz.c: tokenizer.json, or vocab.txt. Then a text with many kinds of characters is tokenised. */
#include "tests/fuzz/fuzz.h"

#include "tokenizers/tokenizers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Error e = {0};
    TokenIds ids = {0};
    Arena *a = arena_new(fuzz_heap(size), 0);
    Tokenizer *t = tokenizer_load(as_file(data, size), a, &e);
    check_end(t != NULL, &e);
    if (t) {
        const char text[] = "The caf\xc3\xa9 [MASK] 12,5\xe4\xbd\xa0\xe5\xa5\xbd e\xcc\x81\xff\0 a\tb";
        bool ok = tokenize(t, (Text){text, sizeof text - 1}, 16, &ids, a, &e);
        check_end(ok, &e);
        REQUIRE(ids.count <= 16);
        error_clear(&e);
        Text texts[2] = {{text, sizeof text - 1}, {text + 9, 12}}, back;
        TokenList list = {0};
        TokenOptions o = {.max_length = 200, .cut = (TokenCut)(size % 3), .from_left = size % 2};
        ok = tokenize_texts(t, texts, 1 + size % 2, &o, &list, a, &e) &&
             detokenize(t, list.ids, list.count, &(DecodeOptions){.keep_special = size % 4}, &back, a, &e);
        check_end(ok, &e);
        REQUIRE(list.count <= 200);
        error_clear(&e);
        const TokenPadding *p = tokenizer_padding(t);
        o = tokenizer_truncation(t);
        ok = tokenize_texts(t, texts, 1, &o, &list, a, &e) && (!p || pad_tokens(&list, 1, p, a, &e));
        check_end(ok, &e);
        REQUIRE(!ok || !p || list.count >= p->length);
    }
    arena_free(a);
    return 0;
}
