/* N is divided into blocks of 1024. Each row of tiles then reads B from the L3 cache, which the hardware prefetch
 * hides. A is copied a third as often as with blocks of 320, and nothing hides the time of that copy. */
#include "bench/ladder/gemm/tile.h"

enum { N_BLOCK = 1024 };

static void gemm(Case *c)
{
    const int64_t tiles = div_up(c->M, ROWS), steps = div_up(c->K, K_STEP);
    for (int64_t n0 = 0; n0 < c->N; n0 += N_BLOCK) {
        for (int64_t s = 0; s < steps; s++) {
            const int64_t k = part_begin(c->K, steps, s), len = part_begin(c->K, steps, s + 1) - k;
            for (int64_t t = 0; t < tiles; t++) {
                const int64_t m = part_begin(c->M, tiles, t), rows = part_begin(c->M, tiles, t + 1) - m;
                for (int64_t i = 0; i < rows; i++)
                    memcpy(c->work + i * LDA, c->A + (m + i) * c->K + k, (size_t)len * sizeof *c->A);
                for (int64_t n = n0; n < MIN(n0 + N_BLOCK, c->N); n += COLS)
                    tile(rows, len, c->work, LDA, c->packed + n * c->K + k * COLS, COLS, c->C + m * c->N + n, c->N,
                         s == 0);
            }
        }
    }
}
STEP("N in blocks of 1024: rows of A are copied a third as often", pack, gemm)
