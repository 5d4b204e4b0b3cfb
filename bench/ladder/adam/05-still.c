/* What has no momentum does not move: rows that no gradient has ever reached only need to be looked at. */
#include "bench/ladder/adam/rows.h"

static void adam(Case *c)
{
    adam_by_rows(c, 1, true);
}
STEP("rows without momentum stand still", NULL, adam)
