/* A whole vector of scores is compared with the worst score of the heap (its root). Most vectors contain no score above
 * it. */
#include "bench/ladder/topk/heap.h"
#include "bench/ladder/topk/tiles.h"

static void select_above(const Case *c, const float *s, int64_t u)
{
    Best best = {c->scores + u * c->K, c->ids + u * c->K, 0};
    int64_t i = 0;
    for (; best.n < c->K; i++)
        enter(&best, c->K, s[i], (int32_t)i);
    for (; i % VW != 0; i++)
        enter(&best, c->K, s[i], (int32_t)i);
    for (; i < c->I; i += VW) {
        for (uint32_t above = v_mask(v_load(s + i) > best.score[0]); above != 0; above &= above - 1) {
            const int at = __builtin_ctz(above);
            enter(&best, c->K, s[i + at], (int32_t)i + at);
        }
    }
    in_order(&best);
}

static void topk(Case *c)
{
    by_tiles(c, select_above);
}
STEP("16 scores compared with the heap's worst in one vector", NULL, topk)
