/* kernels/cpu/cpu.h: names of the CPU kernels. Every file of this folder is compiled once a level; K(gemm) is gemm_avx512 there.
 * The functions are as kernels.h declares their members. */
#ifndef SAPOR_CPU_H
#define SAPOR_CPU_H

#include "kernels/cpu/vec.h"

#define K_PASTE_(name, level) name##_##level
#define K_PASTE(name, level)  K_PASTE_(name, level)
#define K(name)               K_PASTE(name, LEVEL)

extern const Kernels K(kernels);

#endif
