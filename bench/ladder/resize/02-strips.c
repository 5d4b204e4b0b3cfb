/* The same source with the compiler's vectors: the pass down is 64 bytes side by side. The pass across is not helped:
 * three numbers a pixel. */
#include "bench/ladder/resize/passes.h"

static void resize(Case *c)
{
    for (int64_t y = 0; y < c->down.in; y++)
        row_across(c, y);
    for (int64_t i = 0; i < c->down.out; i++)
        row_down(c, i);
}
STEP("the compiler's vectors", NULL, resize)
