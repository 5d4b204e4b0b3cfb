/* A row without momentum has one chain of operations left, v times beta2 for each missed step. Now four vectors side
 * by side pay. */
#include "bench/ladder/adam/rows.h"

static void adam(Case *c)
{
    adam_by_rows(c, 4, true);
}
STEP("rows without momentum: four vectors side by side", NULL, adam)
