/* Both products by gemm, one head at a time. The T x T scores of the head are stored between the products: written by
 * the first, read and written by the softmax, and read by the second. */
#include "bench/ladder/attention/softmax.h"

static void attention(Case *c)
{
    const int64_t T = c->T, ld = T + 16;
    for (int64_t h = 0; h < c->H; h++) {
        pack_head(c, h, 0, T);
        ladder_product(&c->run, T, T, c->D, c->scale, c->q + h * c->D, c->ld, c->keys, c->scores, ld, false);
        for (int64_t i = 0; i < T; i++) {
            float *s = c->scores + i * ld, top = -INFINITY;
            pad(s, T);
            const float inverse_sum = 1.0f / exponentials_of(s, T, &top);
            for (int64_t j = 0; j < T; j++)
                s[j] *= inverse_sum;
        }
        ladder_product(&c->run, T, c->D, T, 1.0f, c->scores, ld, c->values, c->out + h * c->D, c->H * c->D, false);
    }
}
STEP("both products by gemm, a head's T x T scores in between", NULL, attention)
