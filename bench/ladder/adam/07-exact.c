/* Every operation is rounded separately, so that every instruction level gives the same bits. Numbers below the normal
 * range count as zero. Otherwise a momentum without new gradients would stay at the smallest number, and its row would
 * never count as a row without momentum. */
// flags: -ffp-contract=off
#define FLUSH_TO_ZERO
#include "bench/ladder/adam/rows.h"

static void adam(Case *c)
{
    adam_by_rows(c, 4, true);
}
STEP("each operation rounded separately, tiny numbers are zero", NULL, adam)
