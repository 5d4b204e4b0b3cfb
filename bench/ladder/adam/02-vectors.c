/* The same source, with the compiler's vectors. */
#include "bench/ladder/adam/fused.h"

STEP("one loop, the compiler's vectors", NULL, fused)
