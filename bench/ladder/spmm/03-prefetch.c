/* `col` contains the next rows of x long before they are read, but the processor begins to load a row only when it
 * reaches the load instruction. So the row of x of the entry 24 places ahead is prefetched. */
#include "bench/ladder/spmm/rows.h"

static void spmm(Case *c)
{
    rows(c, 24, true, c->x);
}
STEP("rows of x are prefetched 24 entries early", NULL, spmm)
