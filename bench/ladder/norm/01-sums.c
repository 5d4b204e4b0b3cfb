/* Each sum is computed in four vectors. */
#include "bench/ladder/norm/rows.h"

static void norm(Case *c)
{
    const float inverse_C = 1.0f / (float)c->C;
    for (int64_t m = 0; m < c->M; m++) {
        float *y = c->y + m * c->C;
        for (int64_t i = 0; i < c->C; i += VW)
            v_store(y + i, v_load(c->x + m * c->C + i) + v_load(c->residual + m * c->C + i));
        const float mean = sum_of(c->C, y) * inverse_C;
        scale_row(c, y, mean, squares_of(c->C, y, mean) * inverse_C);
    }
}
STEP("sums in four vectors", NULL, norm)
