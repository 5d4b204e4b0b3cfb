/* tests/fuzz/npy_fuzz.c: NumPy's files. */
#include "tests/fuzz/fuzz.h"

#include "weights/weights.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Error e = {0};
    Npy npy;
    Arena *a = arena_new(fuzz_heap(size), 0);
    bool ok = npy_open(&npy, as_file(data, size), a, &e);
    check_end(ok, &e);
    for (int64_t k = 0; ok && k < npy.array.count; k += 1 + npy.array.count / 64) {
        float f;
        array_f32(&npy.array, k, 1, &f);
    }
    if (ok)
        npy_close(&npy);
    arena_free(a);
    return 0;
}
