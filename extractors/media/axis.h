/* extractors/media/axis.h: the weights of one axis of a resampling. Private to this folder. */
#ifndef SAPOR_AXIS_H
#define SAPOR_AXIS_H

#include "extractors/media/decode.h"

/* One axis of a resampling from `in` to `out` positions; only the output positions first .. first+n-1 are computed. */
typedef struct AxisResize {
    int64_t in, out, first, n;
    Filter filter;
    int bits; /* fractional bits of a weight */
} AxisResize;

/* bits in the lower part of a weight (Axis.pairs) */
enum { HALF_BITS = 12 };

/* The weights of one axis; each has `bits` fractional bits:
 *
 *   output[i] = sum over j < count[i] of weight[i size + j] * input[start[i] + j] */
typedef struct Axis {
    int64_t n, size;
    int64_t *start, *count;
    int32_t *weight;
    /* [n, size + 1]: the same weights in pairs, for a multiplication of 16-bit numbers. For an even j, number j of a
     * row has the upper parts (>> HALF_BITS) of weights j and j + 1, 16 bits each; number j + 1 has their lower parts.
     * If `count` is odd, the second weight of the last pair is 0, so a row may need size + 1 numbers. */
    int32_t *pairs;
    int bits;
} Axis;

/* Prepares the resize of an axis. For RESIZE_TORCHVISION, computes all weights of the axis to find `bits`. */
bool axis_resize_make(AxisResize *s, int64_t in, int64_t out, int64_t first, int64_t n, Resampling r, Arena *a,
                      Error *e);
/* Returns the next block of output positions, if the positions first .. first+done-1 of `s` are done. The block is so
 * short that its table of weights is small. It has at least one position. */
AxisResize axis_resize_block(const AxisResize *s, int64_t done);
/* Finds the inputs that the positions of `s` read: *start .. *end - 1. */
void axis_resize_range(const AxisResize *s, int64_t *start, int64_t *end);
bool axis_make(Axis *ax, const AxisResize *s, Arena *a, Error *e);

#endif
