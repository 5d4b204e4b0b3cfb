/* The same source with the compiler's vectors. The pass down is 64 contiguous bytes at a time. The pass across does not
 * become faster, because a pixel is three numbers. */
#include "bench/ladder/resize/passes.h"

static void resize(Case *c)
{
    for (int64_t y = 0; y < c->down.in; y++)
        row_across(c, y);
    for (int64_t i = 0; i < c->down.out; i++)
        row_down(c, i);
}
STEP("the compiler's vectors", NULL, resize)
