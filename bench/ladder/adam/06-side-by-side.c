/* A row that stands still has one chain left, v times beta2 for each step owed, and nothing else to do meanwhile. Now
 * four vectors side by side pay. */
#include "bench/ladder/adam/rows.h"

static void adam(Case *c)
{
    adam_by_rows(c, 4, true);
}
STEP("still rows four vectors side by side", NULL, adam)
