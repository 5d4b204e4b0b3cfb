/* One axis after the other: a + b multiplications per output instead of a b, for a filter of a x b places. In whole
 * numbers, with bytes between the passes, as in Pillow. */
// flags: -fno-tree-vectorize
#include "bench/ladder/resize/passes.h"

static void resize(Case *c)
{
    for (int64_t y = 0; y < c->down.in; y++)
        row_across(c, y);
    for (int64_t i = 0; i < c->down.out; i++)
        row_down(c, i);
}
STEP("one axis after the other, in whole numbers, scalar", NULL, resize)
