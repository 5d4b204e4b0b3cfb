/* N is divided into blocks of 320. The part of B of a step, 384 x 320 numbers or 480 KB, stays in the L2 cache while
 * all rows of A are read. */
#include "bench/ladder/gemm/tile.h"

enum { N_BLOCK = 320 };

static void gemm(Case *c)
{
    const int64_t tiles = div_up(c->M, ROWS), steps = div_up(c->K, K_STEP);
    for (int64_t n0 = 0; n0 < c->N; n0 += N_BLOCK) {
        for (int64_t s = 0; s < steps; s++) {
            const int64_t k = part_begin(c->K, steps, s), len = part_begin(c->K, steps, s + 1) - k;
            for (int64_t t = 0; t < tiles; t++) {
                const int64_t m = part_begin(c->M, tiles, t), rows = part_begin(c->M, tiles, t + 1) - m;
                for (int64_t n = n0; n < MIN(n0 + N_BLOCK, c->N); n += COLS)
                    tile(rows, len, c->A + m * c->K + k, c->K, c->packed + n * c->K + k * COLS, COLS,
                         c->C + m * c->N + n, c->N, s == 0);
            }
        }
    }
}
STEP("N in blocks of 320: a step's part of B stays in the L2 cache", pack, gemm)
