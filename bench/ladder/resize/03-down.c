/* Down by vectors of sums that are called so: 16 bytes side by side, results narrowed by one instruction. */
#include "bench/ladder/resize/lanes.h"

static void resize(Case *c)
{
    for (int64_t y = 0; y < c->down.in; y++)
        row_across(c, y);
    for (int64_t i = 0; i < c->down.out; i++)
        line_down(c, i);
}
STEP("down: vectors of sums by name", NULL, resize)
