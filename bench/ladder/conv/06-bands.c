/* A band of rows of squares at a time, so many that inputs and products taken apart, 36 places each, stay in three
 * quarters of a 1 MB second-level cache. */
#include "bench/ladder/conv/winograd.h"

enum { BAND_FLOATS = 3 << 16 };

static void pack(Case *c)
{
    pack_weights(c, 0.6875, 1.5);
}

static void conv(Case *c)
{
    const int64_t high = (c->H + OUT - 1) / OUT, wide = (c->W + OUT - 1) / OUT;
    const int64_t row = PLACES * wide * (c->C + c->O + 2 * SLACK),
                  bands = MIN((high * row + BAND_FLOATS - 1) / BAND_FLOATS, high);
    winograd(c, 0.6875, 1.5, (high + bands - 1) / bands);
}
STEP("squares in bands that stay in the second level", pack, conv)
