/* A tile reads 2 vectors from each row of B. Each row is another memory page, and if N is a power of two, the rows are
 * in the same cache sets. B is packed into panels once, when the model is loaded. A tile then reads B as one contiguous
 * piece. */
#include "bench/ladder/gemm/tile.h"

static void gemm(Case *c)
{
    const int64_t tiles = div_up(c->M, ROWS);
    for (int64_t t = 0; t < tiles; t++) {
        const int64_t m = part_begin(c->M, tiles, t), rows = part_begin(c->M, tiles, t + 1) - m;
        for (int64_t n = 0; n < c->N; n += COLS)
            tile(rows, c->K, c->A + m * c->K, c->K, c->packed + n * c->K, COLS, c->C + m * c->N + n, c->N, true);
    }
}
STEP("B packed into panels beforehand", pack, gemm)
