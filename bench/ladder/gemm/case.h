/* C[M,N] = A[M,K] B[K,N], row-major, contiguous. M and K are any, N is a multiple of 64. */
#ifndef SAPOR_LADDER_CASE_H
#define SAPOR_LADDER_CASE_H

#include "bench/ladder/ladder.h"

struct Case {
    int64_t M, N, K;
    const float *A, *B; /* B is a weight: a step may bring it into a form of its own beforehand */
    float *C;
    float *packed; /* room for that: K N floats */
    float *work;   /* room for M K floats */
    double *expected;
    Gemm gemm; /* for Sapor's kernel */
    Run run;
};

#endif
