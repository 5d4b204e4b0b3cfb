/* A 3 x 3 convolution of stride 1 with a border of one zero:
 *
 *   y[h,w,o] = sum over i, j, c of x[h+i-1, w+j-1, c] weights[o,c,i,j]
 *
 * x [H,W,C] and y [H,W,O], channels last. C and O are multiples of 16. */
#ifndef SAPOR_LADDER_CASE_H
#define SAPOR_LADDER_CASE_H

#include "bench/ladder/ladder.h"

struct Case {
    int64_t H, W, C, O;
    const float *x, *weights;
    float *y;
    float *packed; /* room for the packed weights of a step: 64 C (O + 64) numbers */
    float *work;   /* scratch of a step: (H + 4) (W + 4) (6 (C + O) + 64) numbers */
    double *expected;
    Run run;
    Conv conv; /* for Sapor's kernel */
    Run conv_run;
};

#endif
