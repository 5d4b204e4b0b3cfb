/* Other points for the same work: 0, +-0.6875, +-1.5, infinity. Pairs of numbers were compared by simulation in
 * float32, among those in a grid whose transforms have only float32 constants. This pair has the smallest rounding
 * error. */
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
