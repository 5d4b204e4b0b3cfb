/* A fifth of the vectors of sixteen scores contain a score above the threshold. Which vectors do is unpredictable, so
 * this loop does not branch on it. The comparisons of 64 scores become one word of bits. The loop always writes the
 * positions of the first three set bits to the buffer; the next word overwrites the unused ones. The sort counts the
 * ranks of sixteen scores together, in the lanes of one register. */
#include "bench/ladder/topk/threshold.h"

enum { BATCH = 64, FEW = 3 };

/* Sorts the n scores s[at[.]] and writes the first K to the list of user u. */
static void place_all(const Case *c, const float *s, const int32_t *at, int n, int64_t u)
{
    float x[MAX_CANDIDATES + VW], sorted[MAX_CANDIDATES];
    int32_t id[MAX_CANDIDATES], to[VW];
    for (int i = 0; i < n; i++)
        x[i] = s[at[i]];
    v_store(x + n, v_set(-__builtin_inff()));
    for (int first = 0; first < n; first += VW) {
        const vf current = v_load(x + first);
        vi place = {0}; /* a true comparison is -1 in its lane */
        for (int i = 0; i < first; i++)
            place -= v_set(x[i]) >= current;
        for (int i = first; i < n; i++) { /* after these sixteen scores the second term is false in every lane */
            place -= (v_set(x[i]) > current) | ((v_set(x[i]) == current) & (v_lanes() > i - first));
        }
        vi_store(to, place);
        for (int i = first; i < MIN(first + VW, n); i++) {
            sorted[to[i - first]] = x[i];
            id[to[i - first]] = at[i];
        }
    }
    /* cppcheck-suppress uninitvar; places are a permutation: all n were written */
    memcpy(c->scores + u * c->K, sorted, (size_t)MIN(n, c->K) * sizeof *sorted);
    /* cppcheck-suppress uninitvar */
    memcpy(c->ids + u * c->K, id, (size_t)MIN(n, c->K) * sizeof *id);
}

static void select_without_branches(const Case *c, const float *s, int64_t u)
{
    const float threshold = initial_threshold(s, c->I, c->K);
    int32_t at[MAX_CANDIDATES];
    int n = 0;
    for (int64_t i = 0; i < c->I; i += BATCH) {
        uint64_t above = 0;
        for (int v = 0; v < BATCH && i + v < c->I; v += VW)
            above |= (uint64_t)v_mask(v_load(s + i + v) > threshold) << v;
        const int found = __builtin_popcountll(above);
        /* too many candidates for the buffer: uses the list of the step before */
        if (n + MAX(found, FEW) > MAX_CANDIDATES) {
            select_list(c, s, u, threshold);
            return;
        }
        /* ctzll(0) is undefined, so the highest bit is always set */
        for (int j = 0; j < FEW; j++, above &= above - 1)
            at[n + j] = (int32_t)i + __builtin_ctzll(above | 1ull << (BATCH - 1));
        for (int j = FEW; j < found; j++, above &= above - 1)
            at[n + j] = (int32_t)i + __builtin_ctzll(above);
        n += found;
    }
    place_all(c, s, at, n, u);
}

static void topk(Case *c)
{
    by_tiles(c, select_without_branches);
}
STEP("no branches that cannot be predicted", NULL, topk)
