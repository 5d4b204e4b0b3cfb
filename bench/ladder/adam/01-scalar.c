/* One loop, one number at a time: each array is read and written once, but a root and a division a number take longer
 * than that. */
// flags: -fno-tree-vectorize
#include "bench/ladder/adam/fused.h"

STEP("one loop, scalar", NULL, fused)
