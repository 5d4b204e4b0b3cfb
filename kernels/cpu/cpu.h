/* kernels/cpu/cpu.h: the names of the CPU kernels. Every file of this folder is compiled once per level. At the AVX-512
 * level FN(gemm) is gemm_avx512. kernels.h describes the functions. */
#ifndef SAPOR_CPU_H
#define SAPOR_CPU_H

#include "kernels/list.h"
#include "kernels/cpu/vec.h"

#define FN_PASTE_(name, level) name##_##level
#define FN_PASTE(name, level)  FN_PASTE_(name, level)
#define FN(name)               FN_PASTE(name, LEVEL)

extern const Kernels FN(kernels);

/* Declares each kernel with the type of its member in Kernels. table.c lists the kernels. */
#define DECLARE_KERNEL(name) extern __typeof__(*((const Kernels *)0)->name) FN(name);
KERNEL_LIST(DECLARE_KERNEL)

/* Returns the number of threads. On the CPU the context of a Run is a pool; NULL means one thread. */
static inline int threads_of(const Run *run)
{
    return pool_threads(run->context);
}

/* y = act(x) for n numbers, computed by one thread. y may be x (elementwise.c) */
void FN(act_span)(Act act, float param, int64_t n, const float *x, float *y);

#endif
