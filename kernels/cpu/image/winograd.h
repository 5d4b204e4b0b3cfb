/* kernels/cpu/image/winograd.h: the functions that conv.c calls for convolutions that Winograd's method supports. They
 * correspond to the conv members of Kernels. */
#ifndef SAPOR_WINOGRAD_H
#define SAPOR_WINOGRAD_H

#include "kernels/cpu/gemm/tile.h"

/* Reports whether Winograd's method supports the convolution. The answer depends only on the kernel size, stride,
 * groups, C and O, which are known when the weights are packed. */
bool FN(winograd_supports)(const Conv *c);
size_t FN(winograd_pack_bytes)(const Conv *c);
void FN(winograd_pack)(const Run *run, const Conv *c, const float *weights, void *packed);
size_t FN(winograd_work)(const Run *run, const Conv *c);
/* Returns m of F(m, 3): the side of the square of outputs that is computed together */
int FN(winograd_outputs)(const Conv *c);
void FN(winograd)(const Run *run, const Conv *c);

#endif
