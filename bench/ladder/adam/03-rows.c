/* Rows without a gradient are updated later. The arithmetic is the same, but a row is read and written once for many
 * steps. */
#include "bench/ladder/adam/rows.h"

static void adam(Case *c)
{
    adam_by_rows(c, 1, false);
}
STEP("rows without a gradient wait and catch up later", NULL, adam)
