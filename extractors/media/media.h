/* extractors/media/media.h: decodes images (image.c and one file per format) and resizes them (resize.c). The pixels
 * are equal to Pillow's. */
#ifndef SAPOR_MEDIA_H
#define SAPOR_MEDIA_H

#include "base/base.h"

typedef struct Image { /* RGB, 8 bits, rows without padding */
    int64_t width, height;
    unsigned char *pixels; /* [height, width, 3] */
    unsigned char *alpha;  /* [height, width], as Pillow's convert("RGBA") gives it; NULL: 255 everywhere */
} Image;
/* Decodes JPEG, PNG, and WebP (if the build supports it), recognised by content. RGB is as Pillow's convert("RGB")
 * gives it, also from grey, CMYK, palette and 16 bit; it does not depend on alpha. EXIF rotation is not applied.
 *
 * max_pixels limits the size, against decompression bombs; 0: 178,956,970 as Pillow. A side has at most 1,000,000
 * pixels. Time and memory are bounded by the pixels and the bytes of the file; each decoder states its bounds. */
bool image_decode(Image *im, Text bytes, const char *name, int64_t max_pixels, Arena *a, Error *e);
bool image_open(Image *im, const char *path, Arena *a, Error *e);
typedef enum Filter {
    FILTER_BILINEAR,
    FILTER_BICUBIC,
    FILTER_NEAREST,
    FILTER_BOX,
    FILTER_HAMMING,
    FILTER_LANCZOS
} Filter;
/* The library whose resized pixels are reproduced exactly. Pillow and torchvision round to 8 bits between two passes,
 * so the order of the passes changes the result.
 *
 * - RESIZE_PILLOW_12: Pillow up to version 12 computes the horizontal pass first.
 * - RESIZE_PILLOW: Pillow 13 computes the vertical pass first if the height loses more than twice the pixels that the
 *   width loses (a poster squashed to a square).
 * - RESIZE_TORCHVISION: torchvision's path for uint8 tensors with antialias, which transformers 5 uses by default. The
 *   horizontal pass is first, and weights are int16: axis.c chooses the number of fractional bits. Box and hamming are
 *   not supported. On an x86 processor without AVX2, torchvision computes bilinear in float32 instead; these pixels are
 *   not reproduced. */
typedef enum Resizer { RESIZE_PILLOW, RESIZE_PILLOW_12, RESIZE_TORCHVISION } Resizer;
typedef struct Resampling {
    Filter filter;
    Resizer resizer;
} Resampling;
/* Resizes an image, antialiased except for FILTER_NEAREST. */
bool image_resize(Image *out, const Image *in, int64_t width, int64_t height, Resampling r, Arena *a, Error *e);
/* Computes the part [left, left+width) x [top, top+height) of the image resized to full_w x full_h. The rest is not
 * computed. */
bool image_resize_part(Image *out, const Image *in, int64_t full_w, int64_t full_h, int64_t left, int64_t top,
                       int64_t width, int64_t height, Resampling r, Arena *a, Error *e);
/* Copies the part [left, left+width) x [top, top+height). Pixels outside the image are black. */
bool image_crop(Image *out, const Image *in, int64_t left, int64_t top, int64_t width, int64_t height, Arena *a,
                Error *e);
/* The step before the centre crop to `width` x `height`. If the image is smaller than the crop, black is added around
 * it.
 *
 * - FIT_SQUASH: a resize to `across` x `down` (if 0: to `width` x `height`, without a crop).
 * - FIT_SHORT_SIDE: a resize of the short side to `resize`.
 * - FIT_OWN: no resize. */
typedef enum Fit { FIT_SQUASH, FIT_SHORT_SIDE, FIT_OWN } Fit;
/* How a centre crop is placed if the number of pixels to remove, or of black pixels to add, is odd.
 *
 *   |                      | as                          | crop: a position that ends in .5 | additional black pixel |
 *   |----------------------|-----------------------------|----------------------------------|------------------------|
 *   | CROP_HALF_EVEN       | torchvision                 | is rounded to the even number    | right, bottom          |
 *   | CROP_FLOOR           | transformers on PIL         | is rounded down                  | left, top              |
 *   | CROP_FLOOR_PAD_AFTER | transformers on torchvision | is rounded down                  | right, bottom          |
 */
typedef enum CropRounding { CROP_HALF_EVEN, CROP_FLOOR, CROP_FLOOR_PAD_AFTER } CropRounding;
typedef enum Scale {
    SCALE_ZSCORE,   /* (v / 255 - mean) / std, as torchvision's presets and Ducho */
    SCALE_MINMAX,   /* to 0 .. 1 over the whole image, as Ducho */
    SCALE_UNIT,     /* v / 255 */
    SCALE_PROCESSOR /* as transformers' image processors: v times `factor`, then the steps in the members of Preset */
} Scale;
typedef struct Preset { /* how pixels become a tensor */
    Fit fit;
    CropRounding crop;
    int64_t resize, across, down, width, height;
    Resampling how;
    float mean[3], std[3];
    Scale scale;
    /* true: transparent images are put on white, as do_convert_rgb of transformers 5 does (convert_to_rgb of
     * image_transforms.py, by Pillow). false: alpha has no effect, as with Pillow's convert("RGB"). */
    bool white;
    /* The steps of SCALE_PROCESSOR, in this order. `offset` and `again` belong to EfficientNetImageProcessor. */
    double factor;  /* multiply by it; 0: 1 / 255 */
    bool offset;    /* subtract 1 */
    bool normalize; /* subtract mean, divide by std */
    bool again;     /* divide by std again */
} Preset;
/* Makes the preset resize as the model's image processor does with that library. Fails if the library does not have the
 * filter. */
bool preset_resizer(Preset *p, Resizer resizer, Error *e);
/* Returns the image without alpha, as Preset.white says. The result may use the memory of `in`. */
bool image_opaque(Image *out, const Image *in, bool white, Arena *a, Error *e);
/* Convert an image to the input of an encoder in two steps. image_fit resizes and crops to the preset's width x height,
 * still in bytes. image_values computes the values [height, width, 3]. Between the steps, an image is small, even if
 * its file is large. image_prepare does both steps. */
bool image_fit(Image *out, const Image *im, const Preset *p, Arena *a, Error *e);
void image_values(const Image *fitted, const Preset *p, float *out);
bool image_prepare(const Image *im, const Preset *p, float *out, Arena *scratch, Error *e);

#endif
