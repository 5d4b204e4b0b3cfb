/* All scores by one product: U x I numbers in memory (79 MB here), then masked, then ranked. This is the usual way of
 * frameworks. */
#include "bench/ladder/topk/heap.h"

static void topk(Case *c)
{
    ladder_kernels()->gemm_pack(&c->run, PACK_F32, c->D, c->I, c->items, 1, c->D, c->packed);
    score(c, 0, c->U, 0, c->I, c->packed, c->work, c->I);
    for (int64_t u = 0; u < c->U; u++) {
        Best best = {c->scores + u * c->K, c->ids + u * c->K, 0};
        for (int64_t i = 0; i < c->I; i++)
            enter(&best, c->K, c->work[u * c->I + i], (int32_t)i);
        in_order(&best);
    }
}
STEP("all scores by one product, stored", NULL, topk)
