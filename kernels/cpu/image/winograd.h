/* kernels/cpu/image/winograd.h: how conv.c hands on the 3 x 3 convolutions that Winograd's transform serves. All as
 * the members of Kernels. */
#ifndef SAPOR_WINOGRAD_H
#define SAPOR_WINOGRAD_H

#include "kernels/cpu/gemm/tile.h"

/* By kernel, stride, groups, C and O: what is known when weights are packed */
bool FN(winograd_supports)(const Conv *c);
size_t FN(winograd_pack_bytes)(const Conv *c);
void FN(winograd_pack)(const Run *run, const Conv *c, const float *weights, void *packed);
size_t FN(winograd_work)(const Run *run, const Conv *c);
int FN(winograd_outputs)(const Conv *c); /* m of F(m, 3) */
void FN(winograd)(const Run *run, const Conv *c);

#endif
