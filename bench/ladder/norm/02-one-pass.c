/* Mean and variance in one pass, with variance = mean of squares - square of mean. If the mean is large, this is the
 * difference of two large numbers: the column `error` shows the loss. */
#include "bench/ladder/norm/rows.h"

static void norm(Case *c)
{
    const float inverse_C = 1.0f / (float)c->C;
    for (int64_t m = 0; m < c->M; m++) {
        float *y = c->y + m * c->C;
        vf sum[4] = {v_zero(), v_zero(), v_zero(), v_zero()}, squares[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
        for (int64_t i = 0; i < c->C; i += 4 * VW) {
            UNROLL
            for (int k = 0; k < 4; k++) {
                const vf s = v_load(c->x + m * c->C + i + k * VW) + v_load(c->residual + m * c->C + i + k * VW);
                sum[k] += s;
                squares[k] = v_fma(s, s, squares[k]);
                v_store(y + i + k * VW, s);
            }
        }
        const float mean = total(sum) * inverse_C;
        scale_row(c, y, mean, total(squares) * inverse_C - mean * mean);
    }
}
ASIDE("one pass: mean of squares less the square of the mean", NULL, norm)
