/* tests/fuzz/table_fuzz.c: Ducho's tables of texts. */
#include "tests/fuzz/fuzz.h"

#include "tools/ducho/extract.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Error e = {0};
    Input *rows;
    size_t n;
    Arena *a = arena_new(fuzz_heap(size), 0);
    bool ok = table_read(&rows, &n, as_file(data, size), "asin", "description", a, &e);
    check_end(ok, &e);
    for (size_t i = 0; ok && i < n; i++)
        REQUIRE(rows[i].name[0] && !strchr(rows[i].name, '/'));
    arena_free(a);
    return 0;
}
