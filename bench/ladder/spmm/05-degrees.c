/* No stored values: an entry's value is scale[r] scale[col], from one number per node. So 37 KB are read in addition to
 * col, instead of 6.4 MB, and a dropped edge needs no new values. Rows of x are prefetched 8 entries early, as in step
 * 04. */
#include "bench/ladder/spmm/rows.h"

static void spmm(Case *c)
{
    rows(c, 8, false, c->x);
}
STEP("values from degrees instead of stored ones", NULL, spmm)
