/* A heap of the K best scores, instead of sorting all I scores. */
#include "bench/ladder/topk/heap.h"
#include "bench/ladder/topk/plain.h"

static void topk(Case *c)
{
    for (int64_t u = 0; u < c->U; u++) {
        Best best = {c->scores + u * c->K, c->ids + u * c->K, 0};
        plain_scores(c, u, c->work);
        for (int64_t i = 0; i < c->I; i++)
            enter(&best, c->K, c->work[i], (int32_t)i);
        in_order(&best);
    }
}
STEP("a heap of K instead of the sort", NULL, topk)
