/* out = softmax(scale Q K' ) V for each of H heads of a text of T tokens. Row t, head h, feature d of q, k and v is at
 * t ld + h D + d: a fused projection has ld 3 H D. out is [T, H D]. D is a multiple of 16, T is any. */
#ifndef SAPOR_LADDER_CASE_H
#define SAPOR_LADDER_CASE_H

#include "bench/ladder/ladder.h"

struct Case {
    int64_t T, H, D, ld;
    const float *q, *k, *v;
    float scale;
    float *out;
    float *scores;        /* room for T x T (T + 64) numbers */
    float *keys, *values; /* room for a head's, packed */
    double *expected;
    Run run; /* of Sapor's gemm */
    Attention attention;
    Run attention_run;
};

#endif
