/* The pass across for 16 rows together. A band of rows is transposed in squares of 16 x 16 bytes, so that the bytes of
 * the same place in 16 rows are contiguous. A weight times 16 bytes is then one vector operation, as in the pass down.
 * The results are transposed back. */
#include "bench/ladder/resize/lanes.h"

static void resize(Case *c)
{
    for (int64_t y = 0; y < c->down.in; y += SIDE)
        band_across(c, MIN(y, c->down.in - SIDE));
    for (int64_t i = 0; i < c->down.out; i++)
        line_down(c, i);
}
STEP("across: 16 rows transposed into lanes", NULL, resize)
