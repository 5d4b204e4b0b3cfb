/* Every operation rounded by itself, so that each level of instructions gives the same bits, and numbers below the
 * normal range taken for zero: momentum that nothing feeds would stop at the smallest number for good, and rows with it
 * would never stand still. */
// flags: -ffp-contract=off
#define FLUSH
#include "bench/ladder/adam/rows.h"

static void adam(Case *c)
{
    adam_by_rows(c, 4, true);
}
STEP("each operation rounded by itself, tiny numbers are zero", NULL, adam)
