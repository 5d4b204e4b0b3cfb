/* The initial threshold. The scores are divided into groups: about 4 K, or fewer for few items. One lane of a vector
 * has the maximum of one group. The threshold is a number just below the K-th largest of these maxima, so at least K
 * scores exceed it. If the search finds no such number, the threshold is -infinity. */
#ifndef SAPOR_LADDER_THRESHOLD_H
#define SAPOR_LADDER_THRESHOLD_H

#include "bench/ladder/topk/list.h"

enum { VECTORS_MAX = 4 * K_MAX / VW + 1 };

static inline float initial_threshold(const float *s, int64_t I, int64_t K)
{
    const int64_t vectors = MIN(4 * K / VW + 1, I / VW); /* each lane of a vector is a group */
    vf maximum[VECTORS_MAX], high = v_set(-__builtin_inff()), low = v_set(__builtin_inff());
    for (int64_t v = 0; v < vectors; v++)
        maximum[v] = v_load(s + v * VW);
    for (int64_t i = vectors * VW, v = 0; i < I; i += VW, v = v + 1 < vectors ? v + 1 : 0)
        maximum[v] = v_max(maximum[v], v_load(s + i));
    for (int64_t v = 0; v < vectors; v++) {
        high = v_max(high, maximum[v]);
        low = v_min(low, v_select(maximum[v] > -__builtin_inff(), maximum[v], low));
    }
    float lowest = -v_max_lane(-low), largest = v_max_lane(high), found = -__builtin_inff();
    for (int step = 0; step < 8; step++) {
        const float middle = lowest + 0.5f * (largest - lowest);
        int64_t above = 0;
        for (int64_t v = 0; v < vectors; v++)
            above += __builtin_popcount(v_mask(maximum[v] > middle));
        if (above >= K)
            found = lowest = middle;
        else
            largest = middle;
    }
    return found;
}

#endif
