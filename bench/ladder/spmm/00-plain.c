/* As written, one number at a time. y is loaded and stored at every entry. */
// flags: -fno-tree-vectorize
#include "bench/ladder/spmm/plain.h"

STEP("as written, scalar", NULL, spmm_plain)
