/* For each of U users, the K items with the largest scores users[u,:] . items[i,:], best first, without the items that
 * the user already has (`exclude`). users [U,D], items [I,D]; ids and scores are [U,K]. K is the length of the result
 * lists, at most 128; D is the inner dimension, a multiple of 16. */
#ifndef SAPOR_LADDER_CASE_H
#define SAPOR_LADDER_CASE_H

#include "bench/ladder/ladder.h"

struct Case {
    int64_t U, I, D, K;
    const float *users, *items;
    Exclude exclude;
    int32_t *ids;
    float *scores;
    float *work;      /* room for U x (I + 16) numbers, at least 4 KB */
    void *packed;     /* room for the items, packed by gemm_pack */
    double *expected; /* [U,K] scores */
    Run run, topk_run;
};

/* Writes the scores of users u .. u+n-1 with items i .. i+m-1 to s [n, ld]. `packed`: these items, packed by gemm_pack.
 * Excluded items get -infinity. */
static inline void score(const Case *c, int64_t u, int64_t n, int64_t i, int64_t m, const void *packed, float *s,
                         int64_t ld)
{
    const Gemm g = {.M = n,
                    .N = m,
                    .K = c->D,
                    .A = c->users + u * c->D,
                    .a_row = c->D,
                    .a_col = 1,
                    .packed = packed,
                    .C = s,
                    .ldc = ld,
                    .alpha = 1};
    ladder_kernels()->gemm(&c->run, &g);
    for (int64_t r = 0; r < n; r++) {
        for (int64_t e = c->exclude.start[u + r]; e < c->exclude.start[u + r + 1]; e++) {
            const int64_t item = c->exclude.item[e] - i;
            if (item >= 0 && item < m)
                s[r * ld + item] = -__builtin_inff();
        }
    }
}

#endif
