/* y[i] = x[i] / (1 - p) if draw i is at least p, otherwise 0. Draw i is word 0 of Philox4x32-10 (Salmon et al. 2011) at
 * the counter (i, epoch, purpose), with the seed as its key. Any thread can compute any part again, in any order. */
#ifndef SAPOR_LADDER_CASE_H
#define SAPOR_LADDER_CASE_H

#include "bench/ladder/ladder.h"

enum { ROUNDS = 10 };

struct Case {
    int64_t n;
    float p;
    Draw draw;
    const float *x;
    float *y;
    double *expected;
};

#endif
