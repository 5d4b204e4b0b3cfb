/* One loop, one number at a time. Each array is read and written once, but one square root and one division per number
 * take longer than these reads and writes. */
// flags: -fno-tree-vectorize
#include "bench/ladder/adam/fused.h"

STEP("one loop, scalar", NULL, fused)
