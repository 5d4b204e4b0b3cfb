/* Every operation rounded by itself, so that each level of instructions gives the same bits, and numbers below the
 * normal range taken for zero: momentum without new gradients would stay at the smallest number for ever, and its
 * rows would never count as rows without momentum. */
// flags: -ffp-contract=off
#define FLUSH_TO_ZERO
#include "bench/ladder/adam/rows.h"

static void adam(Case *c)
{
    adam_by_rows(c, 4, true);
}
STEP("each operation rounded by itself, tiny numbers are zero", NULL, adam)
