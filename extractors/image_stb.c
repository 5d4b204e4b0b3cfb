/* extractors/image_stb.c: stb_image for builds without libjpeg or libpng (MINIMAL). Its JPEG pixels are near Pillow's, not equal. */
#include "extractors/image.h"

#if !defined(HAVE_JPEG) || !defined(HAVE_PNG)

#if __has_include(<stb/stb_image.h>)
#define STB_HEADER <stb/stb_image.h>
#elif __has_include(<stb_image.h>)
#define STB_HEADER <stb_image.h>
#endif

#ifdef STB_HEADER
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_NO_HDR
#define STBI_NO_LINEAR
#pragma GCC diagnostic ignored "-Wunused-function" /* told at the end of the file */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wsign-compare"
#include STB_HEADER
#pragma GCC diagnostic pop

bool decode_stb(Image *im, Text bytes, const char *name, int64_t max_pixels, Arena *a, Error *e)
{
    int width, height, channels;
    if (bytes.n > INT32_MAX)
        return fail(e, SP_FORMAT, "%s: is larger than 2 GiB", name);
    const stbi_uc *data = (const stbi_uc *)bytes.p;
    if (!stbi_info_from_memory(data, (int)bytes.n, &width, &height, &channels))
        return fail(e, SP_FORMAT, "%s: damaged picture: %s", name, stbi_failure_reason());
    if (!image_room(im, width, height, name, max_pixels, a, e))
        return false;
    stbi_uc *pixels = stbi_load_from_memory(data, (int)bytes.n, &width, &height, &channels, 3);
    if (!pixels)
        return fail(e, SP_FORMAT, "%s: damaged picture: %s", name, stbi_failure_reason());
    memcpy(im->pixels, pixels, (size_t)(im->width * im->height * 3));
    stbi_image_free(pixels);
    return true;
}

#else

bool decode_stb(Image *im, Text bytes, const char *name, int64_t max_pixels, Arena *a, Error *e)
{
    (void)im, (void)bytes, (void)max_pixels, (void)a;
    return fail(e, SP_UNSUPPORTED, "%s: this build reads no such picture: it was made without libjpeg, libpng and stb_image",
                name);
}

#endif
#else
typedef int stb_image_is_not_needed; /* a translation unit may not be empty */
#endif
