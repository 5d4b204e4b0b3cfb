/* At first everything enters. A floor to begin with: the scores in 4 K groups; the K-th largest of the groups' maxima is exceeded or met by at least K scores, and
 * not much below the K-th largest of all. Found by bisection over 4 K numbers, until few more than K of them are above. */
#include "bench/ladder/topk/list.h"

enum { GROUPS = 4 * K_MAX / VW };

static float floor_of(const float *s, int64_t I, int64_t K)
{
    const int64_t groups = MIN(4 * K / VW + 1, I / VW); /* in vectors */
    vf most[GROUPS + 1], high = v_set(-__builtin_inff()), low = v_set(__builtin_inff());
    for (int64_t v = 0; v < groups; v++) {
        most[v] = v_load(s + v * VW);
    }
    for (int64_t i = groups * VW, v = 0; i < I; i += VW, v = v + 1 < groups ? v + 1 : 0) {
        most[v] = v_max(most[v], v_load(s + i));
    }
    for (int64_t v = 0; v < groups; v++) {
        high = v_max(high, most[v]);
        low = v_min(low, v_select(most[v] > -__builtin_inff(), most[v], low));
    }
    float least = -v_max_lane(-low), largest = v_max_lane(high), found = -__builtin_inff();
    for (int step = 0; step < 8; step++) {
        const float middle = least + 0.5f * (largest - least);
        int64_t above = 0;
        for (int64_t v = 0; v < groups; v++) {
            above += __builtin_popcount(v_mask(most[v] > middle));
        }
        if (above >= K) {
            found = least = middle;
        } else {
            largest = middle;
        }
    }
    return found;
}

static void select_above_floor(const Case *c, const float *s, int64_t u)
{
    select_list(c, s, u, floor_of(s, c->I, c->K));
}

static void topk(Case *c)
{
    by_tiles(c, select_above_floor);
}
STEP("a floor to begin with: the K-th of 4 K groups' maxima", NULL, topk)
