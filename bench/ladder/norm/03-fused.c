/* The residual is added in the pass that sums: the same sums with one pass less. */
#include "bench/ladder/norm/rows.h"

static void norm(Case *c)
{
    const float inverse_C = 1.0f / (float)c->C;
    for (int64_t m = 0; m < c->M; m++) {
        float *y = c->y + m * c->C;
        vf sum[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
        for (int64_t i = 0; i < c->C; i += 4 * VW) {
            UNROLL
            for (int k = 0; k < 4; k++) {
                const vf s = v_load(c->x + m * c->C + i + k * VW) + v_load(c->residual + m * c->C + i + k * VW);
                sum[k] += s;
                v_store(y + i + k * VW, s);
            }
        }
        const float mean = total(sum) * inverse_C;
        scale_row(c, y, mean, squares_of(c->C, y, mean) * inverse_C);
    }
}
STEP("the residual is added in the pass that sums", NULL, norm)
