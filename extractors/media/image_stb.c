/* extractors/media/image_stb.c: decodes by stb_image in builds without libjpeg or libpng (MINIMAL). Its JPEG pixels are
 * close to Pillow's, but not equal. */
#include "extractors/media/decode.h"

#if !defined(HAVE_JPEG) || !defined(HAVE_PNG)

#if __has_include(<stb/stb_image.h>)
#define STB_HEADER <stb/stb_image.h>
#elif __has_include(<stb_image.h>)
#define STB_HEADER <stb_image.h>
#endif

#ifdef STB_HEADER
#include <stdlib.h>

/* The most bytes of one allocation by stb_image in this thread's call. This stops small files that claim or inflate to
 * a large size. */
static _Thread_local size_t most;

/* Allocates zeroed memory, because stb_image before 2.28 reads a table even if it is missing from the file. */
static void *resize(void *p, size_t n)
{
    return n > most ? NULL : p ? realloc(p, n) : calloc(1, n);
}

#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_ASSERT(x)     ((void)0) /* a damaged image must not end the program */
#define STBI_MALLOC(n)     resize(NULL, n)
#define STBI_REALLOC(p, n) resize(p, n)
#define STBI_FREE(p)       free(p)
#define STBI_NO_HDR
#define STBI_NO_LINEAR
#pragma GCC diagnostic ignored "-Wunused-function" /* gcc reports it at the end of the file */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wsign-compare"
#include STB_HEADER
#pragma GCC diagnostic pop

/* Bounds. stb_image holds the whole image several times, and the inflated data of the file: up to 20 bytes per pixel
 * together. Therefore images have at most PIXELS, 33 million, and JPEGs have at most 100 scans, because each scan reads
 * all coefficients. */
enum { PIXELS = 1 << 25, MAX_SCANS = 100 };

/* Checks the Huffman tables of a JPEG. stb_image before 2.28 writes past the end of its table if a file's table has
 * more than 256 codes, and it reads a whole table even if its segment ends earlier. This function therefore reads the
 * markers in the same way as stb_image. Returns NULL, or what is wrong. */
static const char *jpeg_problem(const stbi_uc *p, size_t n)
{
    int scans = 0;
    for (size_t i = 2; i < n;) {
        if (p[i++] != 0xff)
            continue;
        while (i < n && p[i] == 0xff)
            i++;
        if (n - i < 3)
            return NULL;
        int marker = p[i++];
        if (marker == 0xda && ++scans > MAX_SCANS)
            return "it has more than 100 scans";
        if (marker == 0x00 || (marker >= 0xd0 && marker <= 0xd8)) /* inside the data of a scan */
            continue;
        size_t end = i + (size_t)(p[i] << 8 | p[i + 1]);
        for (size_t at = i + 2; marker == 0xc4 && at < MIN(end, n);) {
            size_t codes = 0;
            for (size_t k = at + 1; k < MIN(at + 17, n); k++)
                codes += p[k];
            if (codes > 256)
                return "a Huffman table of more than 256 codes";
            at += 17 + codes;
        }
        i = MAX(end, i + 1);
    }
    return NULL;
}

bool decode_stb(Image *im, Text bytes, const char *name, int64_t max_pixels, Arena *a, Error *e)
{
    int width, height, channels;
    if (bytes.n > INT32_MAX)
        return fail(e, SP_FORMAT, "%s: is larger than 2 GiB, the limit", name);
    const stbi_uc *data = (const stbi_uc *)bytes.p;
    const char *kind = data[0] == 0xff ? "JPEG" : data[0] == 0x89 ? "PNG" : "image";
    const char *problem = data[0] == 0xff ? jpeg_problem(data, bytes.n) : NULL;
    if (problem)
        return fail(e, SP_FORMAT, "%s: damaged %s: %s", name, kind, problem);
    if (max_pixels <= 0 || max_pixels > PIXELS)
        max_pixels = PIXELS;
    most = 2 * bytes.n + (1 << 20);
    if (!stbi_info_from_memory(data, (int)bytes.n, &width, &height, &channels))
        return fail(e, SP_FORMAT, "%s: damaged %s: %s", name, kind, stbi_failure_reason());
    if (!image_room(im, width, height, name, max_pixels, a, e))
        return false;
    /* 16-bit RGBA, in a buffer that grows by doubling; sizes padded to blocks */
    most += 20 * (size_t)(im->width + 64) * (size_t)(im->height + 64);
    int step = data[0] == 0x89 ? 4 : 3;
    im->alpha = step == 4 ? NEW(a, unsigned char, im->width * im->height, e) : NULL;
    if (step == 4 && !im->alpha)
        return false;
    stbi_uc *pixels = stbi_load_from_memory(data, (int)bytes.n, &width, &height, &channels, step);
    if (!pixels)
        return fail(e, SP_FORMAT, "%s: damaged %s: %s", name, kind, stbi_failure_reason());
    for (int64_t i = 0; i < im->width * im->height; i++) {
        memcpy(im->pixels + 3 * i, pixels + step * i, 3);
        if (im->alpha)
            im->alpha[i] = pixels[4 * i + 3];
    }
    stbi_image_free(pixels);
    return true;
}

#else

bool decode_stb(Image *im, Text bytes, const char *name, int64_t max_pixels, Arena *a, Error *e)
{
    (void)im, (void)bytes, (void)max_pixels, (void)a;
    return fail(e, SP_UNSUPPORTED,
                "%s: this build does not read this format: it was made without libjpeg, libpng and stb_image", name);
}

#endif
#else
typedef int stb_image_is_not_needed; /* a translation unit may not be empty */
#endif
