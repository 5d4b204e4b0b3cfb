/* plain_scores writes the scores of user u with all items to s [I], as in the definition, for the first two steps.
 * Excluded items get -infinity. */
#include "bench/ladder/topk/case.h"

static inline void plain_scores(const Case *c, int64_t u, float *s)
{
    for (int64_t i = 0; i < c->I; i++) {
        float dot = 0;
        for (int64_t d = 0; d < c->D; d++) {
            dot += c->users[u * c->D + d] * c->items[i * c->D + d];
        }
        s[i] = dot;
    }
    for (int64_t e = c->exclude.start[u]; e < c->exclude.start[u + 1]; e++)
        s[c->exclude.item[e]] = -__builtin_inff();
}
