/* C[M,N] = A[M,K] B[K,N], row-major, contiguous. M and K are arbitrary, N is a multiple of 64. */
#ifndef SAPOR_LADDER_CASE_H
#define SAPOR_LADDER_CASE_H

#include "bench/ladder/ladder.h"

struct Case {
    int64_t M, N, K;
    const float *A, *B; /* B is a weight: a step may convert it to another layout beforehand */
    float *C;
    float *packed; /* room for the converted B: K N floats */
    float *work;   /* room for a copy of A: M K floats or more */
    double *expected;
    Gemm gemm; /* for Sapor's kernel */
    Run run;
};

#endif
