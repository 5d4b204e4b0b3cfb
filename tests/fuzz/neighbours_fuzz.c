/* tests/fuzz/neighbours_fuzz.c: a file of the nearest items of six items, as another program may write it. */
#include "tests/fuzz/fuzz.h"

#include "recsys/recsys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { I = 6, K = 3 };
    const float x[I] = {0};
    const Feature f = {.name = "visual", .D = 1, .data = x};
    Error e = {0};
    DataSet d = {.I = I};
    int32_t near[I * K];
    int64_t few;
    Arena *a = arena_new(fuzz_heap(size), 0);
    REQUIRE(ids_count(&d.items, I, a, &e));
    bool ok = neighbour_file_read(near, &d, &f, as_file(data, size), K, &few, a, &e);
    check_end(ok, &e);
    for (int32_t i = 0; ok && i < I; i++) {
        REQUIRE(near[i * K] == i && few >= 0 && few <= I);
        for (int k = 1; k < K; k++)
            REQUIRE(near[i * K + k] >= -1 && near[i * K + k] < I && near[i * K + k] != i);
    }
    arena_free(a);
    return 0;
}
