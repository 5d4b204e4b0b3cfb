/* out = softmax(scale Q K') V for each of H heads of a text of T tokens. K' is K transposed. Row t, head h, feature d
 * of q, k and v is at t ld + h D + d. A fused projection has ld = 3 H D. out is [T, H D]. D is a multiple of 16; T is
 * arbitrary. */
#ifndef SAPOR_LADDER_CASE_H
#define SAPOR_LADDER_CASE_H

#include "bench/ladder/ladder.h"

struct Case {
    int64_t T, H, D, ld;
    const float *q, *k, *v;
    float scale;
    float *out;
    float *scores;        /* room for (T + 16) (T + 64) numbers */
    float *keys, *values; /* room for the packed keys and values of a head */
    double *expected;
    Run run; /* of Sapor's gemm */
    Attention attention;
    Run attention_run;
};

#endif
