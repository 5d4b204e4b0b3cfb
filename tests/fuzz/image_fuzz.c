/* tests/fuzz/image_fuzz.c: images: JPEG, PNG and WebP are recognised by content. */
#include "tests/fuzz/fuzz.h"

#include "extractors/extractors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Error e = {0};
    Image im;
    Arena *a = arena_new(NULL, (size_t)256 << 20);
    bool ok = image_decode(&im, (Text){(const char *)data, size}, "fuzz", 1 << 16, a, &e);
    check_end(ok, &e);
    if (ok) {
        static const Preset PRESET = {
            .fit = FIT_SHORT_SIDE, .resize = 10, .width = 8, .height = 8, .scale = SCALE_MINMAX, .white = true};
        float x[8 * 8 * 3];
        unsigned sum = 0;
        for (int64_t i = 0; i < im.width * im.height * 3; i++)
            sum += im.pixels[i] + (im.alpha ? im.alpha[i / 3] : 0u);
        REQUIRE(sum <= (1u << 16) * 6 * 255);
        ok = image_prepare(&im, &PRESET, x, a, &e);
        check_end(ok, &e);
    }
    arena_free(a);
    return 0;
}
