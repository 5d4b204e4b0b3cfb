/* The tile gets all the rows that the registers allow: 14 x 2 vectors of C (6 x 2 with 16 registers). 28 multiply-adds
 * need 16 loads. The rows are divided evenly: 50 rows are 13 + 13 + 12 + 12, not 14 + 14 + 14 + 8. */
#include "bench/ladder/gemm/tile.h"

static void gemm(Case *c)
{
    const int64_t tiles = div_up(c->M, ROWS);
    for (int64_t t = 0; t < tiles; t++) {
        const int64_t m = part_begin(c->M, tiles, t), rows = part_begin(c->M, tiles, t + 1) - m;
        for (int64_t n = 0; n < c->N; n += COLS)
            tile(rows, c->K, c->A + m * c->K, c->K, c->B + n, c->N, c->C + m * c->N + n, c->N, true);
    }
}
STEP("as many rows as registers hold: 14 x 2 (6 x 2)", NULL, gemm)
