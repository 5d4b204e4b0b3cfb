/* kernels/cpu/cpu.h: names of the CPU kernels. Every file of this folder is compiled once per level; FN(gemm) is
 * gemm_avx512 there. The functions are as kernels.h declares their members. */
#ifndef SAPOR_CPU_H
#define SAPOR_CPU_H

#include "kernels/list.h"
#include "kernels/cpu/vec.h"

#define FN_PASTE_(name, level) name##_##level
#define FN_PASTE(name, level)  FN_PASTE_(name, level)
#define FN(name)               FN_PASTE(name, LEVEL)

extern const Kernels FN(kernels);

/* Declared here with the type of its member in Kernels, listed by table.c. */
#define DECLARE_KERNEL(name) extern __typeof__(*((const Kernels *)0)->name) FN(name);
KERNEL_LIST(DECLARE_KERNEL)

/* The context of a Run is a pool here; NULL: one thread. */
static inline int threads_of(const Run *run)
{
    return pool_threads(run->context);
}

/* y = act(x), n numbers by one thread; y may be x (elementwise.c) */
void FN(act_span)(Act act, float param, int64_t n, const float *x, float *y);

#endif
