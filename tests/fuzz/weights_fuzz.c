/* tests/fuzz/weights_fuzz.c: safetensors, its index, torch's archives and legacy streams. They are recognised by
 * content, so one target tests all. */
#include "tests/fuzz/fuzz.h"

#include "weights/weights.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Error e = {0};
    Arena *a = arena_new(fuzz_heap(size), 0);
    Weights *w = weights_open(as_file(data, size), a, &e);
    check_end(w != NULL, &e);
    for (size_t i = 0; w && i < weights_count(w); i++) {
        const Array *t = weights_at(w, i);
        float f;
        int64_t n;
        REQUIRE(weights_find(w, t->name.p) == t && t->count >= 0);
        for (int64_t k = 0; k < t->count; k += 1 + t->count / 64) {
            array_f32(t, k, 1, &f);
            array_i64(t, t->count - 1 - k, 1, &n);
        }
    }
    for (size_t i = 0; w && i < weights_module_count(w); i++) {
        const PickledModule *m = weights_module_at(w, i);
        REQUIRE(strlen(m->name.p) <= m->name.n && strlen(m->class.p) <= m->class.n && m->class.n < 512);
        REQUIRE(m->stride >= SETTING_OTHER && m->padding >= SETTING_OTHER && m->dilation >= SETTING_OTHER);
    }
    weights_close(w);
    arena_free(a);
    return 0;
}
