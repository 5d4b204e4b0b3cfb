/* A row whose momentum is zero does not change: of rows that never had a gradient only v is computed. */
#include "bench/ladder/adam/rows.h"

static void adam(Case *c)
{
    adam_by_rows(c, 1, true);
}
STEP("rows without momentum: p is left as it is", NULL, adam)
