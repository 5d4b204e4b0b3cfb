/* extractors/media/decode.h: what the image decoders share. Private to this folder. */
#ifndef SAPOR_DECODE_H
#define SAPOR_DECODE_H

#include "extractors/media/media.h"

/* A decoder gets bytes that begin with its format's mark. It leaves RGB pixels in the arena, or fails with one line
 * that begins with name. */
typedef bool ImageDecoder(Image *im, Text bytes, const char *name, int64_t max_pixels, Arena *a, Error *e);
ImageDecoder decode_jpeg, decode_png, decode_webp, decode_stb;

/* Checks width x height against max_pixels; image_room gives im zeroed pixels too. image_decode removes an alpha of
 * 255s. */
bool image_size(Image *im, int64_t width, int64_t height, const char *name, int64_t max_pixels, Error *e);
bool image_room(Image *im, int64_t width, int64_t height, const char *name, int64_t max_pixels, Arena *a, Error *e);

#endif
