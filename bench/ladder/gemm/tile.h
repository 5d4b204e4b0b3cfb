/* The register tile of the later steps: a part of C, `rows` x VECS vectors, stays in registers while k runs. */
#ifndef SAPOR_LADDER_TILE_H
#define SAPOR_LADDER_TILE_H

#include "bench/ladder/gemm/case.h"

/* With 32 registers (AVX-512): 14 x 2 sums, 2 vectors of B, 1 number of A. With 16 registers: 6 x 2 sums. */
enum { ROWS = VW == 16 ? 14 : 6, VECS = 2, COLS = VECS * VW };
/* From step 06 on, K is divided into steps of at most K_STEP, so that 14 rows of A, 21 KB, stay in the L1 cache. From
 * step 08 on, A is copied to rows of LDA numbers. */
enum { K_STEP = 384, LDA = K_STEP + 16 };

/* Computes C[rows, COLS] = A[rows, len] B[len, COLS] if `first`, otherwise adds the product to C. `rows` is a constant
 * after inlining. */
INLINE void tile_of(int rows, int64_t len, const float *a, int64_t lda, const float *b, int64_t ldb, float *c,
                    int64_t ldc, bool first)
{
    vf sum[ROWS][VECS];
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int v = 0; v < VECS; v++)
            sum[i][v] = v_zero();
    }
    for (int64_t k = 0; k < len; k++, a++, b += ldb) {
        const vf b0 = v_load(b), b1 = v_load(b + VW);
        UNROLL
        for (int i = 0; i < rows; i++) {
            const vf ai = v_set(a[i * lda]);
            sum[i][0] = v_fma(ai, b0, sum[i][0]);
            sum[i][1] = v_fma(ai, b1, sum[i][1]);
        }
    }
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int v = 0; v < VECS; v++) {
            float *to = c + i * ldc + v * VW;
            v_store(to, first ? sum[i][v] : v_load(to) + sum[i][v]);
        }
    }
}

/* Calls the copy of tile_of for this number of rows. */
static inline void tile(int64_t rows, int64_t len, const float *a, int64_t lda, const float *b, int64_t ldb, float *c,
                        int64_t ldc, bool first)
{
#define OF(n)                                                                                                          \
    case n: tile_of(n, len, a, lda, b, ldb, c, ldc, first); break
    switch (rows) {
        OF(1);
        OF(2);
        OF(3);
        OF(4);
        OF(5);
        OF(6);
#if VW == 16
        OF(7);
        OF(8);
        OF(9);
        OF(10);
        OF(11);
        OF(12);
        OF(13);
        OF(14);
#endif
    }
#undef OF
}

/* Packs B into panels of COLS columns, each [K, COLS], so that a tile reads one contiguous piece. */
static inline void pack(Case *c)
{
    float *to = c->packed;
    for (int64_t n = 0; n < c->N; n += COLS) {
        for (int64_t k = 0; k < c->K; k++, to += COLS) {
            v_store(to, v_load(c->B + k * c->N + n));
            v_store(to + VW, v_load(c->B + k * c->N + n + VW));
        }
    }
}

#endif
