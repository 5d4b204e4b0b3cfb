/* Without a threshold, the first scores all enter the list. To compute an initial threshold, the scores are divided
 * into at least 4 K groups (fewer if there are few items). The K-th largest of the group maxima is met or exceeded by
 * at least K scores, and is close to the K-th largest score. Eight steps of bisection find a number that at least K of
 * the maxima exceed, and usually few more. */
#include "bench/ladder/topk/threshold.h"

static void select_above_threshold(const Case *c, const float *s, int64_t u)
{
    select_list(c, s, u, initial_threshold(s, c->I, c->K));
}

static void topk(Case *c)
{
    by_tiles(c, select_above_threshold);
}
STEP("an initial threshold: the K-th of 4 K groups' maxima", NULL, topk)
