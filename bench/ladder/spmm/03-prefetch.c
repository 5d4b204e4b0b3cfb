/* Which row of x comes next is in col, far ahead of its use, but the processor sees an address only when the load is in
 * its window. The row of the entry 24 further on is prefetched. */
#include "bench/ladder/spmm/rows.h"

static void spmm(Case *c)
{
    rows(c, 24, true, c->x);
}
STEP("rows of x are prefetched 24 entries early", NULL, spmm)
