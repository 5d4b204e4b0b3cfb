/* extractors/media/media.h: images decoded (image.c and a file for each format) and resized (resize.c): pixels equal
 * Pillow's. */
#ifndef SAPOR_MEDIA_H
#define SAPOR_MEDIA_H

#include "base/base.h"

typedef struct Image { /* RGB, 8 bits, rows without padding */
    int64_t width, height;
    unsigned char *pixels; /* [height, width, 3] */
    unsigned char *alpha;  /* [height, width] as Pillow's convert("RGBA") gives it; NULL: 255 at every place */
} Image;
/* JPEG, PNG, WebP (if the build has them), recognised by content. RGB as Pillow's convert("RGB") gives it: grey, CMYK,
 * palette and 16 bit included; it does not depend on alpha. EXIF rotation is not applied. max_pixels guards against
 * bombs (0: 178,956,970 as Pillow; a side has at most 1,000,000). Time and memory follow from the pixels and the bytes
 * of the file: each decoder states its bounds. */
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
/* Whose pixels a resize gives, to the last bit. Pillow and torchvision round to 8 bits between two passes, so the order
 * of the passes shows. Pillow to 12 always goes across first; Pillow 13 goes down first where the height loses more
 * than twice the pixels that the width loses (a poster squashed to a square). torchvision is its path for tensors of
 * uint8 with antialias, which transformers 5 uses by default: across first, weights of 15 bits. A processor without
 * AVX2 (x86) makes torchvision compute bilinear in float32 instead; these pixels are not matched. It has no box and no
 * hamming. */
typedef enum Resizer { RESIZE_PILLOW, RESIZE_PILLOW_12, RESIZE_TORCHVISION } Resizer;
typedef struct Resampling {
    Filter filter;
    Resizer resizer;
} Resampling;
/* Antialiased, but for FILTER_NEAREST. */
bool image_resize(Image *out, const Image *in, int64_t width, int64_t height, Resampling r, Arena *a, Error *e);
/* The part [left, left+width) x [top, top+height) of the image resized to full_w x full_h, without making the
 * rest. */
bool image_resize_part(Image *out, const Image *in, int64_t full_w, int64_t full_h, int64_t left, int64_t top,
                       int64_t width, int64_t height, Resampling r, Arena *a, Error *e);
/* The part [left, left+width) x [top, top+height); what lies outside is black. */
bool image_crop(Image *out, const Image *in, int64_t left, int64_t top, int64_t width, int64_t height, Arena *a,
                Error *e);
/* What comes before the centre crop to width x height: a resize to across x down (0: to width x height, no crop), a
 * resize of the short side to `resize`, or nothing. Where the image is smaller than the crop, black is put around. */
typedef enum Fit { FIT_SQUASH, FIT_SHORT_SIDE, FIT_OWN } Fit;
/* Where half a pixel is left: torchvision rounds to even, transformers down. Where black is put around, transformers
 * puts more of it before (PIL) or behind (its processors on torchvision). */
typedef enum CropRounding { CROP_HALF_EVEN, CROP_FLOOR, CROP_FLOOR_BEHIND } CropRounding;
typedef enum Scale {
    SCALE_ZSCORE,   /* (v / 255 - mean) / std, as torchvision's presets and Ducho */
    SCALE_MINMAX,   /* to 0 .. 1 over the whole image, as Ducho */
    SCALE_UNIT,     /* v / 255 */
    SCALE_PROCESSOR /* as transformers' image processors: v factor, then what the members of Preset say */
} Scale;
typedef struct Preset { /* how pixels become a tensor */
    Fit fit;
    CropRounding crop;
    int64_t resize, across, down, width, height;
    Resampling how;
    float mean[3], std[3];
    Scale scale;
    /* Transparent images are put on white, as do_convert_rgb of transformers 5 (convert_to_rgb of image_transforms.py)
     * does it by Pillow; false: their alpha has no effect, as with Pillow's convert("RGB"). */
    bool white;
    /* SCALE_PROCESSOR, in this order; of EfficientNetImageProcessor the offset and the second division */
    double factor;  /* 0: 1 / 255 */
    bool offset;    /* - 1 */
    bool normalize; /* (x - mean) / std */
    bool again;     /* / std */
} Preset;
/* The preset with another resizer, as the image processor on that library. Fails where the library has not the
 * filter. */
bool preset_resizer(Preset *p, Resizer resizer, Error *e);
/* The image without alpha, as Preset.white says; it may be in the memory of `in`. */
bool image_opaque(Image *out, const Image *in, bool white, Arena *a, Error *e);
/* From an image to what an encoder reads, in two steps: resized and cropped to the preset's width x height, still in
 * bytes; then its values [height, width, 3]. Between the two steps an image is small, even if its file is large.
 * image_prepare does both. */
bool image_fit(Image *out, const Image *im, const Preset *p, Arena *a, Error *e);
void image_values(const Image *fitted, const Preset *p, float *out);
bool image_prepare(const Image *im, const Preset *p, float *out, Arena *scratch, Error *e);

#endif
