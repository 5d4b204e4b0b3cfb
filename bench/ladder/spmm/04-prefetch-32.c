/* Further ahead: no better, so the distance is not delicate. */
#include "bench/ladder/spmm/rows.h"

static void spmm(Case *c)
{
    rows(c, 32, true, c->x);
}
ASIDE("32 entries early", NULL, spmm)
