/* A row with zero momentum does not change. Only v is computed for rows that never had a gradient. */
#include "bench/ladder/adam/rows.h"

static void adam(Case *c)
{
    adam_by_rows(c, 1, true);
}
STEP("rows without momentum: p is not changed", NULL, adam)
