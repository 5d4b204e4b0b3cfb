/* x begins 16 bytes after the start of a cache line. A row is then parts of five lines instead of four whole ones. */
#include "bench/ladder/spmm/rows.h"

static void shift(Case *c)
{
    memcpy((float *)c->work + 4, c->x, (size_t)(c->nodes * D) * sizeof(float));
}

static void spmm(Case *c)
{
    rows(c, 8, false, (const float *)c->work + 4);
}
ASIDE("x not at the beginning of a cache line", shift, spmm)
