/* bench/ladder/cuda_gemm/case.h: C[M,N] = A[M,K] B[K,N] on a GPU, step by step. Matrices are row-major, contiguous, and
 * aligned to 64 bytes. M and N are multiples of 128, K is a multiple of 32. The steps are short because they accept
 * only such shapes. Sapor's kernels (kernels/cuda/gemm), the last steps, accept any shape. docs/kernels/cuda-gemm.md
 * gives the reason for each step. */
#ifndef SAPOR_LADDER_CUDA_GEMM_H
#define SAPOR_LADDER_CUDA_GEMM_H

#include "kernels/cuda/cuda.h"

typedef struct Case {
    Run run;
    int64_t M, N, K;
    const float *A, *B; /* in memory of the device, like all pointers below */
    float *C;
    void *packed; /* B, packed by gemm_pack as PACK_F32 */
} Case;

/* Name, file, title, and the largest error that passes, for each step. Each step is a function step_NAME(const Case *).
 */
#define CUDA_GEMM_STEPS(LINE)                                                                                          \
    LINE(naive, "00-naive", "one thread per element, a warp has 32 elements of a column", 1e-5)                        \
    LINE(coalesced, "01-coalesced", "a warp has 32 elements of a row of C", 1e-5)                                      \
    LINE(shared, "02-shared", "squares of 32 x 32 of A and B in shared memory", 1e-5)                                  \
    LINE(registers, "03-registers", "128 x 128 of C per block, 8 x 8 per thread, in registers", 1e-5)                  \
    LINE(vectors, "04-vectors", "16 bytes per load, A transposed into shared memory", 1e-5)                            \
    LINE(warps, "05-warps", "32 x 64 of C per warp, the next parts of K are copied early", 1e-5)                       \
    LINE(tensor_cores, "06-tensor-cores", "mma.sync in tf32, fragments read from shared memory", 1e-3)                 \
    LINE(sapor, "sapor", "Sapor, float32", 1e-5)                                                                       \
    LINE(sapor_tf32, "sapor-tf32", "Sapor, tf32", 1e-3)
#define DECLARE_STEP(name, ...) void step_##name(const Case *c);
CUDA_GEMM_STEPS(DECLARE_STEP)

#endif
