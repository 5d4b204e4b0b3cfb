/* An RGB picture is made smaller as in Pillow, first along the rows (`across`), then along the columns (`down`). The
 * filter is a triangle (bilinear with antialiasing). It reaches s input pixels to each side of its centre, where s =
 * `in` / `out` is the scale of an axis. Each axis is rounded to bytes. Output i of an axis is
 *
 *   sum over k < count[i] of weight[i size + k] input[start[i] + k] / 2^22
 *
 * The weights are whole numbers. */
#ifndef SAPOR_LADDER_CASE_H
#define SAPOR_LADDER_CASE_H

#include "bench/ladder/ladder.h"
#include "extractors/extractors.h"
#include "extractors/media/decode.h"

enum { BITS = 22, HALF = 1 << (BITS - 1) };

typedef struct Axis {
    int64_t in, out, size; /* size: the largest number of weights of an output */
    int64_t *start, *count;
    int32_t *weight;
} Axis;

struct Case {
    Axis across, down;
    unsigned char *in, *out; /* [down.in, across.in, 3], [down.out, across.out, 3] */
    unsigned char *middle;   /* [down.in, across.out, 3], the result of the first pass, and room for 64 more bytes */
    unsigned char *room;     /* room for 16 rows of `in` and of `out` */
    unsigned char *expected;
    Image picture;
    Arena *arena;
};

static inline unsigned char to_byte(int32_t sum)
{
    sum >>= BITS;
    return (unsigned char)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

#endif
