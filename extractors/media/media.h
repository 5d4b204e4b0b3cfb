/* extractors/media/media.h: images decoded (image.c and a file for each format) and resized (resize.c): pixels equal
 * Pillow's. */
#ifndef SAPOR_MEDIA_H
#define SAPOR_MEDIA_H

#include "base/base.h"

typedef struct Image { /* RGB, 8 bits, rows without padding */
    int64_t width, height;
    unsigned char *pixels; /* [height, width, 3] */
} Image;
/* JPEG, PNG, WebP (if the build has them), recognised by content. RGB as Pillow's convert("RGB") gives it: grey, CMYK,
 * palette, alpha and 16 bit included; EXIF rotation is not applied. max_pixels guards against bombs (0: 178,956,970 as
 * Pillow; a side has at most 1,000,000). Time and memory follow from the pixels and the bytes of the file: each decoder
 * states its bounds. */
bool image_decode(Image *im, Text bytes, const char *name, int64_t max_pixels, Arena *a, Error *e);
bool image_open(Image *im, const char *path, Arena *a, Error *e);
typedef enum Filter { FILTER_BILINEAR, FILTER_BICUBIC } Filter;
/* The two passes round to 8 bits between them, so their order shows in the last bit. Pillow to 12 always goes across
 * first; Pillow 13 goes down first where the height loses more than twice the pixels that the width loses (a poster
 * squashed to a square). */
typedef enum Passes { PASSES_PILLOW_13, PASSES_PILLOW_12 } Passes;
typedef struct Resampling {
    Filter filter;
    Passes passes;
} Resampling;
/* Pillow's antialiased fixed-point resampling to the last bit. */
bool image_resize(Image *out, const Image *in, int64_t width, int64_t height, Resampling r, Arena *a, Error *e);
/* The part [left, left+width) x [top, top+height) of the image resized to full_w x full_h, without making the
 * rest. */
bool image_resize_part(Image *out, const Image *in, int64_t full_w, int64_t full_h, int64_t left, int64_t top,
                       int64_t width, int64_t height, Resampling r, Arena *a, Error *e);
/* The part [left, left+width) x [top, top+height); what lies outside is black. */
bool image_crop(Image *out, const Image *in, int64_t left, int64_t top, int64_t width, int64_t height, Arena *a,
                Error *e);
/* To exactly width x height; or the short side to `resize`, then a centre crop. */
typedef enum Fit { FIT_SQUASH, FIT_SHORT_SIDE } Fit;
typedef enum CropRounding { CROP_HALF_EVEN /* torchvision */, CROP_FLOOR /* Hugging Face */ } CropRounding;
typedef struct Preset { /* how pixels become a tensor */
    Fit fit;
    CropRounding crop;
    int64_t resize, width, height; /* SHORT_SIDE: resize; then crop to width x height */
    Resampling how;
    float mean[3], std[3];                                 /* of values / 255 */
    enum { SCALE_ZSCORE, SCALE_MINMAX, SCALE_UNIT } scale; /* minmax over the whole image, as Ducho */
} Preset;
/* From an image to what an encoder reads, in two steps: resized and cropped to the preset's width x height, still in
 * bytes; then its values [height, width, 3]. Between the two steps an image is small, even if its file is large.
 * image_prepare does both. */
bool image_fit(Image *out, const Image *im, const Preset *p, Arena *a, Error *e);
void image_values(const Image *fitted, const Preset *p, float *out);
bool image_prepare(const Image *im, const Preset *p, float *out, Arena *scratch, Error *e);

#endif
