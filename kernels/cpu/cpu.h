/* kernels/cpu/cpu.h: names of the CPU kernels. Every file of this folder is compiled once a level; K(gemm) is gemm_avx512 there.
 * The functions are as kernels.h declares their members. */
#ifndef SAPOR_CPU_H
#define SAPOR_CPU_H

#include "kernels/cpu/vec.h"

#define K_PASTE_(name, level) name##_##level
#define K_PASTE(name, level)  K_PASTE_(name, level)
#define K(name)               K_PASTE(name, LEVEL)

extern const Kernels K(kernels);

/* gemm.c */
size_t K(gemm_pack_bytes)(int64_t K, int64_t N);
void K(gemm_pack)(const Run *run, int64_t K, int64_t N, const float *B, int64_t b_row, int64_t b_col, void *packed);
size_t K(gemm_work)(const Gemm *g, int threads);
void K(gemm)(const Run *run, const Gemm *g);

/* attention.c */
size_t K(attention_work)(const Attention *t, int threads);
void K(attention)(const Run *run, const Attention *t);

#endif
