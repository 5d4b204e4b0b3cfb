/* extractors/media/image_webp.c: decodes WebP by libwebp with its defaults, which are Pillow's. From an animation, the
 * first frame is decoded, as in Pillow. The canvas outside the frame is black, and it is transparent if the file states
 * alpha. */
#include "extractors/media/decode.h"

#ifdef HAVE_WEBP
#include <webp/decode.h>

/* Bounds. A side has at most 16,383 pixels. In addition to the result, lossy images need a few rows, lossless images 4
 * bytes per pixel, and images with alpha 9 bytes per pixel. One frame of an animation is decoded; other chunks (ICC,
 * EXIF, XMP) are not read. */

typedef struct Frame { /* what WebPDecodeRGBInto reads, and its place on the canvas */
    Text bytes;
    int64_t left, top, width, height;
} Frame;

static uint32_t little_endian(const char *p, int bytes)
{
    uint32_t v = 0;
    for (int i = 0; i < bytes; i++)
        v |= (uint32_t)(unsigned char)p[i] << 8 * i;
    return v;
}

/* Finds the first ANMF chunk (WebP container specification, "Animation"): a head of 16 bytes, then the frame's own
 * chunks. */
static bool first_frame(Text file, Frame *f)
{
    enum { CHUNK = 8, HEAD = 16 };
    Text rest = {file.p + 12, file.n - 12}; /* after RIFF, its size and WEBP */
    while (rest.n >= CHUNK) {
        size_t n = little_endian(rest.p + 4, 4), step = CHUNK + n + n % 2;
        const char *p = rest.p + CHUNK;
        if (n > rest.n - CHUNK)
            return false;
        if (memcmp(rest.p, "ANMF", 4) == 0 && n > HEAD) {
            *f = (Frame){.bytes = {p + HEAD, n - HEAD},
                         .left = 2 * (int64_t)little_endian(p, 3),
                         .top = 2 * (int64_t)little_endian(p + 3, 3),
                         .width = 1 + (int64_t)little_endian(p + 6, 3),
                         .height = 1 + (int64_t)little_endian(p + 9, 3)};
            return true;
        }
        rest = (Text){rest.p + MIN(step, rest.n), rest.n - MIN(step, rest.n)};
    }
    return false;
}

static bool decode_alpha(Image *im, const Frame *frame, Arena *a, Error *e)
{
    size_t n = (size_t)(frame->width * frame->height);
    unsigned char *rgba = arena_alloc(a, n, 4, e);
    im->alpha = NEW(a, unsigned char, im->width * im->height, e);
    if (!rgba || !im->alpha ||
        !WebPDecodeRGBAInto((const uint8_t *)frame->bytes.p, frame->bytes.n, rgba, 4 * n, (int)(4 * frame->width)))
        return false;
    for (int64_t y = 0; y < frame->height; y++)
        for (int64_t x = 0; x < frame->width; x++, rgba += 4) {
            int64_t at = (frame->top + y) * im->width + frame->left + x;
            memcpy(im->pixels + 3 * at, rgba, 3);
            im->alpha[at] = rgba[3];
        }
    return true;
}

bool decode_webp(Image *im, Text bytes, const char *name, int64_t max_pixels, Arena *a, Error *e)
{
    WebPBitstreamFeatures f;
    if (WebPGetFeatures((const uint8_t *)bytes.p, bytes.n, &f) != VP8_STATUS_OK)
        return fail(e, SP_FORMAT, "%s: damaged WebP: its header cannot be read; fetch the file again", name);
    if (!image_room(im, f.width, f.height, name, max_pixels, a, e))
        return false;
    Frame frame = {.bytes = bytes, .width = f.width, .height = f.height};
    bool has_alpha = f.has_alpha;
    if (f.has_animation &&
        (!first_frame(bytes, &frame) || frame.left + frame.width > im->width || frame.top + frame.height > im->height ||
         WebPGetFeatures((const uint8_t *)frame.bytes.p, frame.bytes.n, &f) != VP8_STATUS_OK || f.has_animation ||
         f.width != frame.width || f.height != frame.height))
        return fail(e, SP_FORMAT, "%s: damaged WebP: its first frame cannot be read; fetch the file again", name);
    uint8_t *to = im->pixels + (frame.top * im->width + frame.left) * 3;
    size_t room = (size_t)(((frame.height - 1) * im->width + frame.width) * 3);
    if (has_alpha ? !decode_alpha(im, &frame, a, e)
                  : !WebPDecodeRGBInto((const uint8_t *)frame.bytes.p, frame.bytes.n, to, room, (int)(im->width * 3)))
        return fail(e, SP_FORMAT, "%s: damaged or truncated WebP; fetch the file again", name);
    return true;
}

#else

bool decode_webp(Image *im, Text bytes, const char *name, int64_t max_pixels, Arena *a, Error *e)
{
    (void)im, (void)bytes, (void)max_pixels, (void)a;
    return fail(e, SP_UNSUPPORTED, "%s: is a WebP image and this build has no libwebp; convert it to PNG", name);
}

#endif
