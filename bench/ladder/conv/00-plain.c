/* As written, with the weights in their original layout, [O, C, 3, 3]. The innermost loop over channels reads weights
 * that are nine numbers apart. */
#include "bench/ladder/conv/case.h"

static void conv(Case *c)
{
    for (int64_t h = 0; h < c->H; h++) {
        for (int64_t w = 0; w < c->W; w++) {
            for (int64_t o = 0; o < c->O; o++) {
                float sum = 0;
                for (int64_t i = MAX(1 - h, 0); i < MIN(3, c->H + 1 - h); i++) {
                    for (int64_t j = MAX(1 - w, 0); j < MIN(3, c->W + 1 - w); j++) {
                        const float *x = c->x + ((h + i - 1) * c->W + w + j - 1) * c->C,
                                    *k = c->weights + o * c->C * 9 + i * 3 + j;
                        for (int64_t ch = 0; ch < c->C; ch++)
                            sum += x[ch] * k[ch * 9];
                    }
                }
                c->y[(h * c->W + w) * c->O + o] = sum;
            }
        }
    }
}
STEP("as written", NULL, conv)
