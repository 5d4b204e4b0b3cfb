/* tests/fuzz/by_user_fuzz.c: figures by user, and the significance tests of two such files. */
#include "tests/fuzz/fuzz.h"

#include "recsys/training.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Error e = {0};
    ByUser b;
    PairedTest t, w;
    Arena *a = arena_new(fuzz_heap(size), 0);
    bool ok = a && by_user_read(&b, as_file(data, size), a, &e);
    check_end(ok, &e);
    if (ok) {
        int64_t n = text_index_count(b.users);
        REQUIRE(n > 0 && b.figures > 0);
        for (size_t i = 0; i < b.figures * (size_t)n; i++)
            REQUIRE(fabs(b.value[i]) <= 1e100);
        for (size_t f = 0; f < b.figures; f++)
            REQUIRE(text_index_find(b.numbers, text_of(b.names[f])) == (int64_t)f);
        const double *last = b.value + (b.figures - 1) * (size_t)n;
        Arena *scratch = arena_new(NULL, 0);
        REQUIRE(paired_t_test(&t, b.value, last, n, scratch, &e) && wilcoxon_test(&w, b.value, last, n, scratch, &e));
        REQUIRE((isnan(t.p) || (t.p >= 0 && t.p <= 1)) && (isnan(w.p) || (w.p >= 0 && w.p <= 1)));
        arena_free(scratch);
    }
    arena_free(a);
    return 0;
}
