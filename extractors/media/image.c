/* extractors/media/image.c: decodes the bytes of an image to RGB, and converts RGB to the tensor that an encoder reads.
 * image_jpeg.c, image_png.c and image_webp.c decode the formats; resize.c resamples.
 *
 * Images count as damaged if Pillow treats them as damaged: truncated data is an error, but a PNG that lacks only its
 * end, or a JPEG followed by garbage, is read. There are these differences from Pillow:
 *
 * - Stricter: a palette PNG whose palette is missing or malformed is an error. Inputs that need too much time or memory
 *   are errors: sides of more than a million pixels, 16-bit PNGs of more than 716 MB of samples, JPEGs of more than 100
 *   scans or with too many coefficients.
 * - More tolerant: of a PNG, only the palette, the transparency and the pixels are checked; the other chunks are
 *   skipped.
 * - GIF, BMP, TIFF and AVIF are not supported. */
#include "extractors/media/decode.h"

#include <math.h>

/* PILLOW_MAX_PIXELS: Pillow refuses images of more than twice its MAX_IMAGE_PIXELS (1 GiB / 4 / 3). MAX_SIDE: libpng
 * refuses longer sides by default, but Pillow reads them. MAX_FILE: more bytes than an image of that many pixels has
 * without compression, with 8 bits per channel. Each decoder states the memory that it needs in addition to the pixels
 * (3 bytes per pixel). */
enum { PILLOW_MAX_PIXELS = 178956970, MAX_SIDE = 1000000, MAX_FILE = 1 << 30 };

bool image_size(Image *im, int64_t width, int64_t height, const char *name, int64_t max_pixels, Error *e)
{
    int64_t limit = max_pixels > 0 ? max_pixels : PILLOW_MAX_PIXELS;
    *im = (Image){.width = width, .height = height};
    if (width <= 0 || height <= 0)
        return fail(e, SP_FORMAT, "%s: has no pixels (%lld x %lld)", name, (long long)width, (long long)height);
    if (width > limit / height)
        return fail(e, SP_FORMAT, "%s: %lld x %lld pixels are more than the limit of %lld", name, (long long)width,
                    (long long)height, (long long)limit);
    return MAX(width, height) <= MAX_SIDE ||
           fail(e, SP_FORMAT, "%s: %lld x %lld pixels: a side of more than %d is not supported; crop the image", name,
                (long long)width, (long long)height, MAX_SIDE);
}

bool image_room(Image *im, int64_t width, int64_t height, const char *name, int64_t max_pixels, Arena *a, Error *e)
{
    return image_size(im, width, height, name, max_pixels, e) &&
           (im->pixels = NEW(a, unsigned char, width *height * 3, e));
}

static bool decode(Image *im, Text bytes, const char *name, int64_t max_pixels, Arena *a, Error *e)
{
    if (text_starts(bytes, "\xff\xd8\xff"))
        return decode_jpeg(im, bytes, name, max_pixels, a, e);
    if (text_starts(bytes, "\x89PNG\r\n\x1a\n"))
        return decode_png(im, bytes, name, max_pixels, a, e);
    if (text_starts(bytes, "RIFF") && bytes.n >= 12 && memcmp(bytes.p + 8, "WEBP", 4) == 0)
        return decode_webp(im, bytes, name, max_pixels, a, e);
    return bytes.n ? fail(e, SP_FORMAT, "%s: is not a JPEG, PNG or WebP image; convert it to one of these", name)
                   : fail(e, SP_FORMAT, "%s: is empty; fetch the file again", name);
}

bool image_decode(Image *im, Text bytes, const char *name, int64_t max_pixels, Arena *a, Error *e)
{
    *im = (Image){0};
    if (!decode(im, bytes, name, max_pixels, a, e))
        return false;
    int64_t n = im->alpha ? im->width * im->height : 0, i = 0;
    while (i < n && im->alpha[i] == 255)
        i++;
    im->alpha = i < n ? im->alpha : NULL;
    return true;
}

bool image_open(Image *im, const char *path, Arena *a, Error *e)
{
    Text bytes; /* read, not mapped: another process may truncate the file */
    Arena *file = arena_new(arena_heap(a), 0);
    bool ok = file ? file_read(&bytes, file, path, MAX_FILE, e) && image_decode(im, bytes, path, 0, a, e)
                   : fail_memory(e, sizeof bytes, path);
    arena_free(file);
    return ok;
}

bool image_crop(Image *out, const Image *in, int64_t left, int64_t top, int64_t width, int64_t height, Arena *a,
                Error *e)
{
    if (!image_room(out, width, height, "crop", 0, a, e))
        return false;
    int64_t x0 = MAX(left, 0), x1 = MIN(left + width, in->width);
    for (int64_t y = MAX(top, 0); x0 < x1 && y < MIN(top + height, in->height); y++)
        memcpy(out->pixels + ((y - top) * width + x0 - left) * 3, in->pixels + (y * in->width + x0) * 3,
               (size_t)(x1 - x0) * 3);
    return true;
}

bool image_opaque(Image *out, const Image *in, bool white, Arena *a, Error *e)
{
    Image im = *in;
    im.alpha = NULL;
    if (!white || !in->alpha) {
        *out = im;
        return true;
    }
    if (!image_room(&im, in->width, in->height, "an image", 0, a, e))
        return false;
    for (int64_t i = 0; i < 3 * in->width * in->height; i++) {
        /* Pillow's alpha_composite (libImaging/AlphaComposite.c) on opaque white; it rounds with 7 more bits */
        uint32_t alpha = in->alpha[i / 3], sum = (in->pixels[i] * alpha + 255 * (255 - alpha) + 128) << 7;
        im.pixels[i] = (unsigned char)((((sum >> 8) + sum) >> 8) >> 7);
    }
    *out = im;
    return true;
}

/* Returns where a centre crop of `crop` pixels begins in `size` pixels: (size - crop) / 2. The position is negative if
 * the image is smaller than the crop. If it ends in .5, it is rounded:
 *
 * - A positive position: CROP_HALF_EVEN rounds to the even number, the others round down.
 * - A negative position: CROP_FLOOR rounds down, the others round towards 0. */
static int64_t crop_start(int64_t size, int64_t crop, CropRounding rounding)
{
    int64_t room = size - crop;
    if (rounding == CROP_FLOOR && room < 0)
        return -((1 - room) / 2);
    return room >= 0 && rounding == CROP_HALF_EVEN ? room / 2 + (room % 4 == 3) : room / 2;
}

bool preset_resizer(Preset *p, Resizer resizer, Error *e)
{
    if (resizer == RESIZE_TORCHVISION && (p->how.filter == FILTER_BOX || p->how.filter == FILTER_HAMMING))
        return fail(e, SP_UNSUPPORTED, "torchvision has no %s filter; resize by pil",
                    p->how.filter == FILTER_BOX ? "box" : "hamming");
    p->how.resizer = resizer;
    if (p->crop != CROP_HALF_EVEN)
        p->crop = resizer == RESIZE_TORCHVISION ? CROP_FLOOR_PAD_AFTER : CROP_FLOOR;
    return true;
}

bool image_fit(Image *out, const Image *im, const Preset *p, Arena *a, Error *e)
{
    Image opaque;
    int64_t W = p->width, H = p->height, full_w = p->across ? p->across : W, full_h = p->across ? p->down : H;
    if (W <= 0 || H <= 0 || full_w <= 0 || full_h <= 0 ||
        (p->fit == FIT_SHORT_SIDE && (p->resize <= 0 || p->resize > INT32_MAX)))
        return fail(e, SP_USAGE, "an image cannot be resized to %lld x %lld (short side %lld)", (long long)W,
                    (long long)H, (long long)p->resize);
    if (!image_opaque(&opaque, im, p->white, a, e))
        return false;
    im = &opaque;
    if (p->fit == FIT_SHORT_SIDE) { /* int(size * long / short), as in torchvision and Hugging Face */
        int64_t short_side = MIN(im->width, im->height), long_side = MAX(im->width, im->height);
        int64_t longer = (int64_t)((double)(p->resize * long_side) / (double)short_side);
        full_w = im->width <= im->height ? p->resize : longer;
        full_h = im->width <= im->height ? longer : p->resize;
    } else if (p->fit == FIT_OWN) {
        full_w = im->width;
        full_h = im->height;
    }
    int64_t left = crop_start(full_w, W, p->crop), top = crop_start(full_h, H, p->crop);
    if (full_w == im->width && full_h == im->height) /* no filter changes an image that keeps its size */
        return image_crop(out, im, left, top, W, H, a, e);
    Image part;
    int64_t x0 = MAX(left, 0), y0 = MAX(top, 0), x1 = MIN(left + W, full_w), y1 = MIN(top + H, full_h);
    if (!image_resize_part(&part, im, full_w, full_h, x0, y0, x1 - x0, y1 - y0, p->how, a, e))
        return false;
    if (part.width != W || part.height != H)
        return image_crop(out, &part, left - x0, top - y0, W, H, a, e);
    *out = part;
    return true;
}

/* Returns the value of channel c for the byte v, as transformers computes it.
 * - NumPy computes v * factor in float64 and rounds the product to float32.
 * - torch multiplies in float32. If the preset normalizes and has no offset, torch does not multiply v: it multiplies
 *   the mean and the deviation by 1 / factor. */
static float processed(const Preset *p, int c, int v)
{
    double factor = p->factor > 0 ? p->factor : 1.0 / 255.0;
    bool torch = p->how.resizer == RESIZE_TORCHVISION;
    float x = torch ? (float)v * (float)factor : (float)((double)v * factor), mean = p->mean[c], std = p->std[c];
    if (torch && p->normalize && !p->offset) {
        x = (float)v;
        mean *= (float)(1.0 / factor);
        std *= (float)(1.0 / factor);
    }
    if (p->offset)
        x -= 1.0f;
    if (p->normalize)
        x = (x - mean) / std;
    return p->again ? x / p->std[c] : x;
}

void image_values(const Image *fitted, const Preset *p, float *out)
{
    const unsigned char *pixels = fitted->pixels;
    int64_t n = fitted->width * fitted->height;
    unsigned char low = 255, high = 0;
    for (int64_t i = 0; p->scale == SCALE_MINMAX && i < 3 * n; i++) {
        low = MIN(low, pixels[i]);
        high = MAX(high, pixels[i]);
    }
    float table[3][256]; /* a byte has 256 values: torchvision's divisions, each computed once */
    for (int c = 0; c < 3; c++)
        for (int v = 0; v < 256; v++) {
            float x = (float)v / 255.0f;
            if (p->scale == SCALE_PROCESSOR)
                x = processed(p, c, v);
            else if (p->scale == SCALE_ZSCORE)
                x = (x - p->mean[c]) / p->std[c];
            /* an image of one colour has no range: all values are zero (Ducho divides by zero) */
            else if (p->scale == SCALE_MINMAX)
                x = high > low ? (x - (float)low / 255.0f) / ((float)high / 255.0f - (float)low / 255.0f) : 0.0f;
            table[c][v] = x;
        }
    for (int64_t i = 0; i < n; i++)
        for (int c = 0; c < 3; c++)
            out[3 * i + c] = table[c][pixels[3 * i + c]];
}

bool image_prepare(const Image *im, const Preset *p, float *out, Arena *scratch, Error *e)
{
    Image fitted = {0};
    if (!image_fit(&fitted, im, p, scratch, e))
        return false;
    image_values(&fitted, p, out);
    return true;
}
