/* Users in tiles of 28, which are two rows of register tiles with AVX-512. The scores of a tile (28 x 3,260 numbers,
 * 365 KB) stay in the L2 cache between the product and the selection, and the U x I scores are never stored. A larger
 * catalogue would also need blocks of items. */
#ifndef SAPOR_LADDER_TILES_H
#define SAPOR_LADDER_TILES_H

#include "bench/ladder/topk/case.h"

enum { USERS = 28 };

/* Writes the K best of s [I] to the list of user u. s is padded with -infinity to whole vectors. */
typedef void Select(const Case *c, const float *s, int64_t u);

INLINE void by_tiles(Case *c, Select *select)
{
    const int64_t ld = round_up(c->I, VW);
    ladder_kernels()->gemm_pack(&c->run, PACK_F32, c->D, c->I, c->items, 1, c->D, c->packed);
    for (int64_t u = 0; u < c->U; u += USERS) {
        const int64_t n = MIN(USERS, c->U - u);
        score(c, u, n, 0, c->I, c->packed, c->work, ld);
        for (int64_t r = 0; r < n; r++) {
            for (int64_t i = c->I; i < ld; i++)
                c->work[r * ld + i] = -__builtin_inff();
            select(c, c->work + r * ld, u + r);
        }
    }
}

#endif
