/* tests/fuzz/processor_fuzz.c: preprocessor_config.json. The first byte chooses the defaults and the library that
 * resizes, the second the size of an image; the rest is the file. If the image is not too large, it is then prepared.
 */
#include "tests/fuzz/fuzz.h"

#include "extractors/loading.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const Preset USUAL[] = {{.width = 24, .height = 24, .std = {1, 1, 1}},
                                   {.fit = FIT_SHORT_SIDE, .resize = 26, .width = 24, .height = 24, .std = {1, 1, 1}}};
    static unsigned char pixels[16 * 16 * 16 * 3];
    if (size < 2)
        return 0;
    Error e = {0};
    Preset p = {0};
    const sp_file file = {"preprocessor_config.json", data + 2, size - 2};
    const Files files = {.folder = "fuzz", .list = &file, .count = 1};
    Arena *a = arena_new(fuzz_heap(size), 0);
    bool ok = preset_from_folder(&p, &USUAL[data[0] & 1], &files, a, &e);
    check_end(ok, &e);
    ok = ok && preset_resizer(&p, data[0] & 2 ? RESIZE_TORCHVISION : RESIZE_PILLOW, &e);
    if (ok) {
        REQUIRE(p.width > 0 && p.height > 0 && p.across >= 0 && p.down >= 0);
        Image im = {.width = 1 + data[1] % 16, .height = 1 + data[1] / 16, .pixels = pixels};
        size_t n = (size_t)(p.width * p.height * 3);
        float *x = n <= 3 << 18 ? NEW(a, float, n, &e) : NULL, sum = 0;
        for (size_t i = 0; i < sizeof pixels; i++)
            pixels[i] = (unsigned char)(i * 2654435761u >> 13);
        ok = x && image_prepare(&im, &p, x, a, &e);
        check_end(ok || !x, &e);
        for (size_t i = 0; ok && i < n; i++)
            sum += x[i] * 0.0f;
        REQUIRE(sum == 0.0f); /* finite */
    }
    arena_free(a);
    return 0;
}
