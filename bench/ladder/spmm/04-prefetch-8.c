/* A shorter distance hides less of the latency of the L3 cache and of memory. */
#include "bench/ladder/spmm/rows.h"

static void spmm(Case *c)
{
    rows(c, 8, true, c->x);
}
ASIDE("8 entries early", NULL, spmm)
