/* The K best so far as a list, best first, in the output itself, and behind it a buffer of scores that were above the
 * list's last when they came by. A full buffer is sorted and merged into the list. */
#ifndef SAPOR_LADDER_LIST_H
#define SAPOR_LADDER_LIST_H

#include "bench/ladder/topk/tiles.h"

enum { WAITING = 128, K_MAX = 128 };

typedef struct List {
    float *score;
    int32_t *id;
    int64_t K, n;
    float above; /* what a score must exceed */
    int waiting;
    float wait_score[WAITING + VW];
    int32_t wait_id[WAITING];
} List;

/* A waiting score's place is the number of those before it: counted by vectors. Ids ascend, so of equal ones the
 * earlier goes first. */
static inline void merge(List *l)
{
    if (l->waiting == 0)
        return;
    float sorted[WAITING], old[K_MAX];
    int32_t sorted_id[WAITING], old_id[K_MAX];
    v_store(l->wait_score + l->waiting, v_set(-__builtin_inff()));
    for (int i = 0; i < l->waiting; i++) {
        const vf x = v_set(l->wait_score[i]);
        int place = 0;
        for (int j = 0; j < l->waiting; j += VW) {
            const vf y = v_load(l->wait_score + j);
            place += __builtin_popcount(v_mask((y > x) | ((y == x) & (v_lanes() < i - j))));
        }
        sorted[place] = l->wait_score[i];
        sorted_id[place] = l->wait_id[i];
    }
    memcpy(old, l->score, (size_t)l->n * sizeof *old);
    memcpy(old_id, l->id, (size_t)l->n * sizeof *old_id);
    int64_t from_old = 0, from_new = 0, n = MIN(l->K, l->n + l->waiting);
    for (int64_t k = 0; k < n; k++) {
        /* cppcheck-suppress uninitvar; each of the first `waiting` was written above */
        if (from_new == l->waiting || (from_old < l->n && old[from_old] >= sorted[from_new])) {
            l->score[k] = old[from_old];
            l->id[k] = old_id[from_old++];
        } else {
            l->score[k] = sorted[from_new];
            l->id[k] = sorted_id[from_new++];
        }
    }
    l->n = n;
    l->waiting = 0;
    if (n == l->K)
        l->above = l->score[n - 1];
}

/* `floor`: a number that at least K scores exceed, or -infinity */
INLINE void select_list(const Case *c, const float *s, int64_t u, float floor)
{
    List l = {.score = c->scores + u * c->K, .id = c->ids + u * c->K, .K = c->K, .above = floor};
    for (int64_t i = 0; i < c->I; i += VW) {
        for (uint32_t above = v_mask(v_load(s + i) > l.above); above != 0; above &= above - 1) {
            const int at = __builtin_ctz(above);
            l.wait_score[l.waiting] = s[i + at];
            l.wait_id[l.waiting++] = (int32_t)i + at;
        }
        if (l.waiting > WAITING - VW)
            merge(&l);
    }
    merge(&l);
}

#endif
