/* One band of rows of squares at a time. The band is chosen so that its transformed inputs and its products, 36 places
 * each, stay in three quarters of a 1 MB L2 cache. */
#include "bench/ladder/conv/winograd.h"

enum { BAND_FLOATS = 3 << 16 };

static void pack(Case *c)
{
    pack_weights(c, 0.6875, 1.5);
}

static void conv(Case *c)
{
    const int64_t high = div_up(c->H, OUT), wide = div_up(c->W, OUT);
    const int64_t row = PLACES * wide * (c->C + c->O + 2 * SLACK), bands = MIN(div_up(high * row, BAND_FLOATS), high);
    winograd(c, 0.6875, 1.5, div_up(high, bands));
}
STEP("squares in bands that stay in the L2 cache", pack, conv)
