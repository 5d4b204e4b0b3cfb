/* Other points for the same work. Of the pairs in a grid whose constants are float32 numbers, 0.6875 and 1.5 round
 * best, by simulation in float32. */
#include "bench/ladder/conv/winograd.h"

static void pack(Case *c)
{
    pack_weights(c, 0.6875, 1.5);
}

static void conv(Case *c)
{
    winograd(c, 0.6875, 1.5, c->H);
}
STEP("points 0, 0.6875, 1.5: the same work, less rounding", pack, conv)
