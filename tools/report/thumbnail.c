/* tools/report/thumbnail.c: reduces an image and writes it as PNG into the page. Without libpng, a small image file is
 * written unchanged, and a large one is left out. */
// flags: -Os
#include "extractors/extractors.h"
#include "tools/report/page.h"

#ifdef HAVE_PNG
#include <png.h>
#endif

static void put_base64(Page *p, const unsigned char *data, size_t n)
{
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char line[4 * 64 + 1];
    for (size_t i = 0; i < n;) {
        size_t at = 0;
        for (; i < n && at + 4 < sizeof line; i += 3, at += 4) {
            unsigned bits =
                (unsigned)data[i] << 16 | (i + 1 < n ? (unsigned)data[i + 1] << 8 : 0) | (i + 2 < n ? data[i + 2] : 0u);
            for (int k = 0; k < 4; k++)
                line[at + (size_t)k] = DIGITS[bits >> (18 - 6 * k) & 63];
            if (i + 2 >= n)
                line[at + 3] = '=';
            if (i + 1 >= n)
                line[at + 2] = '=';
        }
        put(p, "%.*s", (int)at, line);
    }
}

bool put_thumbnail(Page *p, const char *path, int64_t number)
{
    Arena *a = p->out ? arena_new(p->heap, 0) : NULL;
    Error ignored = {0};
    Image im, small;
    bool ok = a && image_open(&im, path, a, &ignored);
    if (ok) {
        int64_t longer = MAX(im.width, im.height), w = MAX(im.width * THUMBNAIL / longer, 1),
                h = MAX(im.height * THUMBNAIL / longer, 1);
        small = im;
        ok =
            longer <= THUMBNAIL || image_resize(&small, &im, w, h, (Resampling){.filter = FILTER_BICUBIC}, a, &ignored);
    }
    Text file = {0};
    const char *type = "png";
#ifdef HAVE_PNG
    png_image png = {.version = PNG_IMAGE_VERSION, .format = PNG_FORMAT_RGB};
    png_alloc_size_t bytes = 0;
    if (ok) {
        png.width = (png_uint_32)small.width;
        png.height = (png_uint_32)small.height;
    }
    char *data = NULL;
    if (ok && png_image_write_get_memory_size(png, bytes, 0, small.pixels, 0, NULL) &&
        (data = arena_alloc(a, 1, bytes, &ignored)) &&
        png_image_write_to_memory(&png, data, &bytes, 0, small.pixels, 0, NULL))
        file = (Text){data, bytes};
    png_image_free(&png);
#else
    ok = ok && file_read(&file, a, path, 1 << 16, &ignored); /* only small files, which are written unchanged */
    type = text_starts(file, "\x89PNG") ? type : text_starts(file, "RIFF") ? "webp" : "jpeg";
#endif
    if (file.n) {
        put(p, ".p%lld{background-image:url(data:image/%s;base64,", (long long)number, type);
        put_base64(p, (const unsigned char *)file.p, file.n);
        put(p, ")}\n");
    }
    ok = file.n > 0;
    arena_free(a);
    return ok;
}
