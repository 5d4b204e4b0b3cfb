/* The weights are transposed once, so that output channels are contiguous. The inner loop runs along them, in the
 * weights and in y. This is a matrix product in the loop order i k j (bench/ladder/gemm/01-ikj.c), with the same speed.
 */
#include "bench/ladder/conv/taps.h"

static void transpose(Case *c)
{
    rows_of_b(c, c->packed);
}

static void conv(Case *c)
{
    for (int64_t h = 0; h < c->H; h++) {
        for (int64_t w = 0; w < c->W; w++) {
            float *restrict y = c->y + (h * c->W + w) * c->O;
            memset(y, 0, (size_t)c->O * sizeof *y);
            for (int64_t i = MAX(1 - h, 0); i < MIN(3, c->H + 1 - h); i++) {
                for (int64_t j = MAX(1 - w, 0); j < MIN(3, c->W + 1 - w); j++) {
                    const float *x = c->x + ((h + i - 1) * c->W + w + j - 1) * c->C;
                    for (int64_t ch = 0; ch < c->C; ch++) {
                        const float *k = c->packed + ((i * 3 + j) * c->C + ch) * c->O;
                        for (int64_t o = 0; o < c->O; o++)
                            y[o] += x[ch] * k[o];
                    }
                }
            }
        }
    }
}
STEP("weights transposed: the inner loop runs along output channels", transpose, conv)
