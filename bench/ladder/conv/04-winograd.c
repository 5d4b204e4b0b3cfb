/* Winograd with the points of the literature, 0, +-1, +-2, infinity, on all squares of the image together. A quarter of
 * the products; 15 to 23 times the error of step 03. */
#include "bench/ladder/conv/winograd.h"

static void pack(Case *c)
{
    pack_weights(c, 1.0, 2.0);
}

static void conv(Case *c)
{
    winograd(c, 1.0, 2.0, c->H);
}
STEP("Winograd F(4,3): 36 products instead of 144; points 0, 1, 2", pack, conv)
