/* The scores stay in the L2 cache between the product and the selection. */
#include "bench/ladder/topk/heap.h"
#include "bench/ladder/topk/tiles.h"

static void select_by_heap(const Case *c, const float *s, int64_t u)
{
    Best best = {c->scores + u * c->K, c->ids + u * c->K, 0};
    for (int64_t i = 0; i < c->I; i++)
        enter(&best, c->K, s[i], (int32_t)i);
    in_order(&best);
}

static void topk(Case *c)
{
    by_tiles(c, select_by_heap);
}
STEP("28 users at a time: scores stay in the L2 cache", NULL, topk)
