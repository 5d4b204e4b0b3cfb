/* kernels/cpu/cpu.h: names of the CPU kernels. Every file of this folder is compiled once a level; K(gemm) is
 * gemm_avx512 there. The functions are as kernels.h declares their members. */
#ifndef SAPOR_CPU_H
#define SAPOR_CPU_H

#include "kernels/cpu/list.h"
#include "kernels/cpu/vec.h"

#define K_PASTE_(name, level) name##_##level
#define K_PASTE(name, level)  K_PASTE_(name, level)
#define K(name)               K_PASTE(name, LEVEL)

extern const Kernels K(kernels);

/* Declared here with the type of its member in Kernels, listed by table.c. */
#define DECLARE_KERNEL(name) extern __typeof__(*((const Kernels *)0)->name) K(name);
KERNEL_LIST(DECLARE_KERNEL)

/* y = act(x), n numbers by one thread; y may be x (elementwise.c) */
void K(act_span)(Act act, float param, int64_t n, const float *x, float *y);

#endif
