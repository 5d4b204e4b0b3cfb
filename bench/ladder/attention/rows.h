/* Shared by the steps before the register tile. The keys of a head are transposed once, so that both products are row
 * operations, which the compiler turns into vector code. */
#include <math.h>

#include "bench/ladder/attention/case.h"

/* Replaces s [T] by e^(s - max) and returns the sum of these numbers. */
typedef float Exponentials(float *s, int64_t T);

INLINE void by_rows(Case *c, Exponentials *exponentials)
{
    float *restrict s = c->scores, *restrict keys = c->keys;
    for (int64_t h = 0; h < c->H; h++) {
        const float *Q = c->q + h * c->D, *V = c->v + h * c->D;
        for (int64_t j = 0; j < c->T; j++) {
            for (int64_t d = 0; d < c->D; d++)
                keys[d * c->T + j] = c->k[j * c->ld + h * c->D + d];
        }
        for (int64_t i = 0; i < c->T; i++) {
            float *restrict out = c->out + (i * c->H + h) * c->D;
            memset(s, 0, (size_t)c->T * sizeof *s);
            memset(out, 0, (size_t)c->D * sizeof *out);
            for (int64_t d = 0; d < c->D; d++) {
                const float q = Q[i * c->ld + d] * c->scale;
                for (int64_t j = 0; j < c->T; j++)
                    s[j] += q * keys[d * c->T + j];
            }
            const float sum = exponentials(s, c->T);
            for (int64_t j = 0; j < c->T; j++) {
                const float weight = s[j];
                for (int64_t d = 0; d < c->D; d++)
                    out[d] += weight * V[j * c->ld + d];
            }
            for (int64_t d = 0; d < c->D; d++)
                out[d] /= sum;
        }
    }
}
