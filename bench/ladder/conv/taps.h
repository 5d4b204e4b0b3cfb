/* The weights as matrix B[(i, j, channel), o] of a product, packed for gemm: in one piece, or in one piece for each row
 * i of the kernel. A tap is a place (i, j) in the kernel: tap = 3 i + j. */
#include "bench/ladder/conv/case.h"

static inline float *rows_of_b(const Case *c, float *to) /* [9 C, O] */
{
    for (int64_t tap = 0; tap < 9; tap++) {
        for (int64_t ch = 0; ch < c->C; ch++) {
            for (int64_t o = 0; o < c->O; o++)
                to[(tap * c->C + ch) * c->O + o] = c->weights[(o * c->C + ch) * 9 + tap];
        }
    }
    return to;
}

static inline void pack_rows_of_b(Case *c, int pieces)
{
    const Kernels *k = ladder_kernels();
    const float *B = rows_of_b(c, c->work);
    const int64_t K = 9 * c->C / pieces;
    for (int64_t i = 0; i < pieces; i++)
        k->gemm_pack(&c->run, PACK_F32, K, c->O, B + i * K * c->O, c->O, 1,
                     c->packed + i * (int64_t)(k->gemm_pack_bytes(PACK_F32, K, c->O) / sizeof(float)));
}
