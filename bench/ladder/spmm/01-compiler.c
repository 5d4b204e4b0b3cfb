/* The same source; the compiler may make vectors of it. */
#include "bench/ladder/spmm/plain.h"

STEP("the compiler's vectors", NULL, spmm_plain)
