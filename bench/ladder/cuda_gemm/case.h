/* bench/ladder/cuda_gemm/case.h: C[M,N] = A[M,K] B[K,N] on a GPU, step by step. Matrices are row-major, contiguous,
 * and aligned to 64 bytes; M and N are multiples of 128, K is one of 32. Steps are as short as they can be for that;
 * Sapor's kernels (kernels/cuda/gemm), the last ones, take any shape. docs/kernels/cuda-gemm.md says why each step
 * was taken. */
#ifndef SAPOR_LADDER_CUDA_GEMM_H
#define SAPOR_LADDER_CUDA_GEMM_H

#include "kernels/cuda/cuda.h"

typedef struct Case {
    Run run;
    int64_t M, N, K;
    const float *A, *B; /* memory of the device, as all below */
    float *C;
    void *packed; /* B, by gemm_pack: PACK_F32 */
} Case;

/* Step, file, what it does, the largest error that passes. Each is a function step_NAME(const Case *). */
#define CUDA_GEMM_STEPS(LINE)                                                                                          \
    LINE(naive, "00-naive", "a thread an element, a warp down a column of C", 1e-5)                                    \
    LINE(coalesced, "01-coalesced", "a warp along a row of C", 1e-5)                                                   \
    LINE(shared, "02-shared", "squares of 32 x 32 of A and B in shared memory", 1e-5)                                  \
    LINE(registers, "03-registers", "128 x 128 of C a block, 8 x 8 a thread, in registers", 1e-5)                      \
    LINE(vectors, "04-vectors", "16 bytes a load, A turned on its way to shared memory", 1e-5)                         \
    LINE(warps, "05-warps", "32 x 64 of C a warp, the next part copied meanwhile", 1e-5)                               \
    LINE(tensor_cores, "06-tensor-cores", "mma.sync in tf32, fragments straight from shared memory", 1e-3)             \
    LINE(sapor, "sapor", "Sapor, float32", 1e-5)                                                                       \
    LINE(sapor_tf32, "sapor-tf32", "Sapor, tf32", 1e-3)
#define DECLARE_STEP(name, ...) void step_##name(const Case *c);
CUDA_GEMM_STEPS(DECLARE_STEP)

#endif
