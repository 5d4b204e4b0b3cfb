/* Whether the next sixteen scores have one above the floor, and how many, no branch predictor foresees: a fifth of them
 * do. So nothing branches on it: comparisons of 64 scores make one word of bits, and the places of its first three are
 * written to the buffer, there or not; what was written too much is overwritten. In the sort a score's place is counted
 * by lanes, for sixteen scores at a time, and never leaves its register before the end. */
#include "bench/ladder/topk/floor.h"

enum { AT_ONCE = 64, FEW = 3 };

/* Sorts the n scores s[at[.]] into the list of user u; K of them stay. */
static void place_all(const Case *c, const float *s, const int32_t *at, int n, int64_t u)
{
    float x[WAITING + VW], sorted[WAITING];
    int32_t id[WAITING], to[VW];
    for (int i = 0; i < n; i++)
        x[i] = s[at[i]];
    v_store(x + n, v_set(-__builtin_inff()));
    for (int own = 0; own < n; own += VW) {
        const vf mine = v_load(x + own);
        vi place = {0}; /* comparisons give -1 */
        for (int i = 0; i < own; i++)
            place -= v_set(x[i]) >= mine;
        for (int i = own; i < n; i++) { /* behind the sixteen, no lane is */
            place -= (v_set(x[i]) > mine) | ((v_set(x[i]) == mine) & (v_lanes() > i - own));
        }
        vi_store(to, place);
        for (int i = own; i < MIN(own + VW, n); i++) {
            sorted[to[i - own]] = x[i];
            id[to[i - own]] = at[i];
        }
    }
    /* cppcheck-suppress uninitvar; places are a permutation: all n were written */
    memcpy(c->scores + u * c->K, sorted, (size_t)MIN(n, c->K) * sizeof *sorted);
    /* cppcheck-suppress uninitvar */
    memcpy(c->ids + u * c->K, id, (size_t)MIN(n, c->K) * sizeof *id);
}

static void select_without_branches(const Case *c, const float *s, int64_t u)
{
    const float floor = floor_of(s, c->I, c->K);
    int32_t at[WAITING];
    int n = 0;
    for (int64_t i = 0; i < c->I; i += AT_ONCE) {
        uint64_t above = 0;
        for (int v = 0; v < AT_ONCE && i + v < c->I; v += VW)
            above |= (uint64_t)v_mask(v_load(s + i + v) > floor) << v;
        const int more = __builtin_popcountll(above);
        if (n + MAX(more, FEW) > WAITING) { /* a floor that does not hold back enough: as before */
            select_list(c, s, u, floor);
            return;
        }
        for (int j = 0; j < FEW; j++, above &= above - 1)
            at[n + j] = (int32_t)i + __builtin_ctzll(above | 1ull << (AT_ONCE - 1));
        for (int j = FEW; j < more; j++, above &= above - 1)
            at[n + j] = (int32_t)i + __builtin_ctzll(above);
        n += more;
    }
    place_all(c, s, at, n, u);
}

static void topk(Case *c)
{
    by_tiles(c, select_without_branches);
}
STEP("nothing branches on what cannot be foreseen", NULL, topk)
