/* The pass down with explicit vectors of sums: 16 contiguous bytes at a time. One instruction narrows the results. */
#include "bench/ladder/resize/lanes.h"

static void resize(Case *c)
{
    for (int64_t y = 0; y < c->down.in; y++)
        row_across(c, y);
    for (int64_t i = 0; i < c->down.out; i++)
        line_down(c, i);
}
STEP("down: explicit vectors of sums", NULL, resize)
