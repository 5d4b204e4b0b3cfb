/* Layer norm after a residual, separately for each row of C numbers: s = x + residual, y = (s - mean(s)) /
 * sqrt(variance(s) + eps) gamma + beta. C is a multiple of 64. */
#ifndef SAPOR_LADDER_CASE_H
#define SAPOR_LADDER_CASE_H

#include "bench/ladder/ladder.h"

struct Case {
    int64_t M, C;
    const float *x, *residual, *gamma, *beta;
    float eps;
    float *y;
    double *expected;
};

#endif
