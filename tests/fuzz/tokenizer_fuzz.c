/* tests/fuzz/tokenizer_fuzz.c: tokenizer.json, or vocab.txt; then a text with a little of everything through what was
 * read. */
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
    }
    arena_free(a);
    return 0;
}
