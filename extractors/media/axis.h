/* extractors/media/axis.h: the weights of one axis of a resampling. Private to this folder. */
#ifndef SAPOR_AXIS_H
#define SAPOR_AXIS_H

#include "extractors/media/decode.h"

/* One axis of a resampling from `in` to `out` positions; only the output positions first .. first+n-1 are computed. */
typedef struct Stretch {
    int64_t in, out, first, n;
    Filter filter;
    int bits; /* fractional bits of a weight */
} Stretch;

enum { HALF_BITS = 12 };

/* The weights of one axis; each has `bits` fractional bits:
 *
 *   output[i] = sum over j < count[i] of weight[i size + j] * input[start[i] + j] */
typedef struct Axis {
    int64_t n, size;
    int64_t *start, *count;
    int32_t *weight;
    /* [n, size + 1]: for weights 2 j and 2 j + 1, first their upper parts (>> HALF_BITS), 16 bits each, then their
     * lower parts */
    int32_t *pairs;
    int bits;
} Axis;

bool stretch_make(Stretch *s, int64_t in, int64_t out, int64_t first, int64_t n, Resampling r, Arena *a, Error *e);
/* Returns the next positions after the first `done`, limited so that their table is small. */
Stretch stretch_block(const Stretch *s, int64_t done);
/* Returns the range of inputs that its positions read. */
void stretch_range(const Stretch *s, int64_t *start, int64_t *end);
bool axis_make(Axis *ax, const Stretch *s, Arena *a, Error *e);

#endif
