/* tools/bench/variants.h: which way a kernel goes for a shape, by asking the table: what the companions of a kernel say
 * that it packs, and how much scratch it needs, differs with the way. Nothing here decides anything. */
#ifndef SAPOR_VARIANTS_H
#define SAPOR_VARIANTS_H

#include "kernels/kernels.h"

enum { VARIANT = 32 }; /* bytes of a text, NUL included */
/* Both return why, in some words. */
const char *variant_of_gemm(const Kernels *k, const Gemm *g, char text[VARIANT]);
const char *variant_of_conv(const Kernels *k, const Conv *c, char text[VARIANT]);
/* Rows and columns of the register tile; rows 0 where the table does not show. */
void variant_tile(const Kernels *k, int64_t *rows, int64_t *cols);

#endif
