/* No values: scale[r] scale[col] from one number a node. 37 KB beside x instead of 6.4 MB read along with col, and a
 * dropped edge needs no new values. */
#include "bench/ladder/spmm/rows.h"

static void spmm(Case *c)
{
    rows(c, 8, false, c->x);
}
STEP("values from degrees instead of stored ones", NULL, spmm)
