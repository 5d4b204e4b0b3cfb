/* The K best scores so far as a list in the output, best first, and a buffer of candidates, which are scores above the
 * last of the list. A full buffer is sorted and merged into the list. */
#ifndef SAPOR_LADDER_LIST_H
#define SAPOR_LADDER_LIST_H

#include "bench/ladder/topk/tiles.h"

enum { MAX_CANDIDATES = 128, K_MAX = 128 };

typedef struct List {
    float *score;
    int32_t *id;
    int64_t K, n;
    float threshold; /* a score must exceed it to enter */
    int candidates;
    float candidate_score[MAX_CANDIDATES + VW];
    int32_t candidate_id[MAX_CANDIDATES];
} List;

/* Sorts the candidates and merges them into the list. The place of a candidate is the number of candidates before it,
 * counted with vectors. Ids ascend, so the earlier of two equal scores comes first. */
static inline void merge(List *l)
{
    if (l->candidates == 0)
        return;
    float sorted[MAX_CANDIDATES], old[K_MAX];
    int32_t sorted_id[MAX_CANDIDATES], old_id[K_MAX];
    v_store(l->candidate_score + l->candidates, v_set(-__builtin_inff()));
    for (int i = 0; i < l->candidates; i++) {
        const vf x = v_set(l->candidate_score[i]);
        int place = 0;
        for (int j = 0; j < l->candidates; j += VW) {
            const vf y = v_load(l->candidate_score + j);
            place += __builtin_popcount(v_mask((y > x) | ((y == x) & (v_lanes() < i - j))));
        }
        sorted[place] = l->candidate_score[i];
        sorted_id[place] = l->candidate_id[i];
    }
    memcpy(old, l->score, (size_t)l->n * sizeof *old);
    memcpy(old_id, l->id, (size_t)l->n * sizeof *old_id);
    int64_t from_old = 0, from_new = 0, n = MIN(l->K, l->n + l->candidates);
    for (int64_t k = 0; k < n; k++) {
        /* cppcheck-suppress uninitvar; each of the first `candidates` was written above */
        if (from_new == l->candidates || (from_old < l->n && old[from_old] >= sorted[from_new])) {
            l->score[k] = old[from_old];
            l->id[k] = old_id[from_old++];
        } else {
            l->score[k] = sorted[from_new];
            l->id[k] = sorted_id[from_new++];
        }
    }
    l->n = n;
    l->candidates = 0;
    if (n == l->K)
        l->threshold = l->score[n - 1];
}

/* Writes the K best of s [I] to the list of user u. `threshold`: a number that at least K scores exceed, or -infinity.
 */
INLINE void select_list(const Case *c, const float *s, int64_t u, float threshold)
{
    List l = {.score = c->scores + u * c->K, .id = c->ids + u * c->K, .K = c->K, .threshold = threshold};
    for (int64_t i = 0; i < c->I; i += VW) {
        for (uint32_t above = v_mask(v_load(s + i) > l.threshold); above != 0; above &= above - 1) {
            const int at = __builtin_ctz(above);
            l.candidate_score[l.candidates] = s[i + at];
            l.candidate_id[l.candidates++] = (int32_t)i + at;
        }
        if (l.candidates > MAX_CANDIDATES - VW)
            merge(&l);
    }
    merge(&l);
}

#endif
