/* As written: one function call per draw. */
#include "bench/ladder/dropout/case.h"

static void dropout(Case *c)
{
    const float scale = 1.0f / (1.0f - c->p);
    for (int64_t i = 0; i < c->n; i++)
        c->y[i] = draw_uniform(c->draw, (uint64_t)i) >= c->p ? c->x[i] * scale : 0.0f;
}
STEP("one call per draw", NULL, dropout)
