/* At first everything enters. An initial threshold: the scores in 4 K groups; the K-th largest of the groups' maxima
 * is exceeded or met by at least K scores, and not much below the K-th largest of all. Found by bisection over 4 K
 * numbers, until few more than K of them are above. */
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
