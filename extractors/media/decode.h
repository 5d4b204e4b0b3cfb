/* extractors/media/decode.h: declarations shared by the image decoders. Private to this folder. */
#ifndef SAPOR_DECODE_H
#define SAPOR_DECODE_H

#include "extractors/media/media.h"

/* Decodes bytes that begin with the format's signature. Leaves RGB pixels in the arena, or fails with one line that
 * begins with `name`. A decoder may leave an alpha that is 255 everywhere: image_decode then sets im->alpha to NULL. */
typedef bool ImageDecoder(Image *im, Text bytes, const char *name, int64_t max_pixels, Arena *a, Error *e);
ImageDecoder decode_jpeg, decode_png, decode_webp, decode_stb;

/* Sets the size of `im` and checks width x height against max_pixels. image_room also allocates zeroed pixels. */
bool image_size(Image *im, int64_t width, int64_t height, const char *name, int64_t max_pixels, Error *e);
bool image_room(Image *im, int64_t width, int64_t height, const char *name, int64_t max_pixels, Arena *a, Error *e);

#endif
