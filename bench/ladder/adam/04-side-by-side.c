/* A step waits for the one before it, through a root and a division. Four vectors go side by side. */
#include "bench/ladder/adam/rows.h"

static void adam(Case *c)
{
    adam_by_rows(c, 4, false);
}
STEP("four vectors of a row side by side", NULL, adam)
