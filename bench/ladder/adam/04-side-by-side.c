/* Four vectors of a row side by side, to hide the root and the division. But all that a step waits for is m of the one
 * before: the processor runs several steps at once by itself. */
#include "bench/ladder/adam/rows.h"

static void adam(Case *c)
{
    adam_by_rows(c, 4, false);
}
ASIDE("four vectors of a row side by side", NULL, adam)
