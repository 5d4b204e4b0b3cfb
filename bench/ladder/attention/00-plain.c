/* As written: the scores of a query, their softmax, and the weighted sum of values. Each addition of the dot product
 * waits for the one before. */
#include <math.h>

#include "bench/ladder/attention/case.h"

static void attention(Case *c)
{
    float *s = c->scores;
    for (int64_t h = 0; h < c->H; h++) {
        const float *Q = c->q + h * c->D, *K = c->k + h * c->D, *V = c->v + h * c->D;
        for (int64_t i = 0; i < c->T; i++) {
            float *out = c->out + (i * c->H + h) * c->D, largest = -INFINITY, sum = 0;
            for (int64_t j = 0; j < c->T; j++) {
                float dot = 0;
                for (int64_t d = 0; d < c->D; d++) {
                    dot += Q[i * c->ld + d] * K[j * c->ld + d];
                }
                s[j] = dot * c->scale;
                largest = s[j] > largest ? s[j] : largest;
            }
            for (int64_t j = 0; j < c->T; j++) {
                s[j] = expf(s[j] - largest);
                sum += s[j];
            }
            for (int64_t d = 0; d < c->D; d++) {
                float dot = 0;
                for (int64_t j = 0; j < c->T; j++) {
                    dot += s[j] * V[j * c->ld + d];
                }
                out[d] = dot / sum;
            }
        }
    }
}
STEP("as written", NULL, attention)
