/* extractors/image_webp.c: WebP by libwebp with its defaults, which are Pillow's; alpha is dropped without blending. */
#include "extractors/image.h"

#ifdef HAVE_WEBP
#include <webp/decode.h>

bool decode_webp(Image *im, Text bytes, const char *name, int64_t max_pixels, Arena *a, Error *e)
{
    WebPBitstreamFeatures f;
    if (WebPGetFeatures((const uint8_t *)bytes.p, bytes.n, &f) != VP8_STATUS_OK)
        return fail(e, SP_FORMAT, "%s: damaged WebP: its header does not read", name);
    if (f.has_animation)
        return fail(e, SP_UNSUPPORTED, "%s: is an animated WebP; give a still picture", name);
    if (!image_room(im, f.width, f.height, name, max_pixels, a, e))
        return false;
    if (!WebPDecodeRGBInto((const uint8_t *)bytes.p, bytes.n, im->pixels, (size_t)(im->width * im->height * 3),
                           (int)(im->width * 3)))
        return fail(e, SP_FORMAT, "%s: damaged or truncated WebP; fetch the file again", name);
    return true;
}

#else

bool decode_webp(Image *im, Text bytes, const char *name, int64_t max_pixels, Arena *a, Error *e)
{
    (void)im, (void)bytes, (void)max_pixels, (void)a;
    return fail(e, SP_UNSUPPORTED, "%s: is a WebP picture and this build has no libwebp; convert it to PNG", name);
}

#endif
