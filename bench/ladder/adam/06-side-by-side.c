/* A row without momentum is one chain of products: v times beta2 for each missed step. Four vectors at the same time
 * now hide the latency of this chain. */
#include "bench/ladder/adam/rows.h"

static void adam(Case *c)
{
    adam_by_rows(c, 4, true);
}
STEP("rows without momentum: four vectors side by side", NULL, adam)
