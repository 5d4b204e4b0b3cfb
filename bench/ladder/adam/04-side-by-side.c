/* Four vectors of a row at the same time, to hide the latency of root and division. It gains nothing: a step depends
 * only on m of the step before, so the processor already overlaps several steps. */
#include "bench/ladder/adam/rows.h"

static void adam(Case *c)
{
    adam_by_rows(c, 4, false);
}
ASIDE("four vectors of a row side by side", NULL, adam)
