/* K, the inner dimension, is divided into steps of at most 384. For a row of tiles, the part of A, 14 x 384 numbers or
 * 21 KB, stays in the L1 cache while all panels of B are read. C is loaded and stored once per step. */
#include "bench/ladder/gemm/tile.h"

static void gemm(Case *c)
{
    const int64_t tiles = div_up(c->M, ROWS), steps = div_up(c->K, K_STEP);
    for (int64_t s = 0; s < steps; s++) {
        const int64_t k = part_begin(c->K, steps, s), len = part_begin(c->K, steps, s + 1) - k;
        for (int64_t t = 0; t < tiles; t++) {
            const int64_t m = part_begin(c->M, tiles, t), rows = part_begin(c->M, tiles, t + 1) - m;
            for (int64_t n = 0; n < c->N; n += COLS)
                tile(rows, len, c->A + m * c->K + k, c->K, c->packed + n * c->K + k * COLS, COLS, c->C + m * c->N + n,
                     c->N, s == 0);
        }
    }
}
STEP("K in steps of 384: a tile row's part of A stays in the L1 cache", pack, gemm)
