/* extractors/media/axis.h: the weights of one axis of a resampling. Private to this folder. */
#ifndef SAPOR_AXIS_H
#define SAPOR_AXIS_H

#include "extractors/media/decode.h"

/* One axis: positions first .. first+n-1 of `out` that `in` is resampled to. */
typedef struct Stretch {
    int64_t in, out, first, n;
    Filter filter;
    int bits; /* behind the point of a weight */
} Stretch;

enum { HALF_BITS = 12 };

/* Output position i of one axis = sum over j < count[i] of weight[i size + j] * input[start[i] + j], weights with
 * `bits` bits behind the point. */
typedef struct Axis {
    int64_t n, size;
    int64_t *start, *count;
    int32_t *weight;
    /* [n, size + 1]: of weights 2 j and 2 j + 1 the upper parts (>> HALF_BITS), 16 bits each, then the lower parts */
    int32_t *pairs;
    int bits;
} Axis;

bool stretch_make(Stretch *s, int64_t in, int64_t out, int64_t first, int64_t n, Resampling r, Arena *a, Error *e);
/* The next positions behind the first `done` whose table is small enough. */
Stretch stretch_block(const Stretch *s, int64_t done);
/* The inputs of all its positions. */
void stretch_range(const Stretch *s, int64_t *start, int64_t *end);
bool axis_make(Axis *ax, const Stretch *s, Arena *a, Error *e);

#endif
