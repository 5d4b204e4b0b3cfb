/* Queries are processed in groups of 14 (6 without AVX-512), the number of rows of a register tile. While the scores of
 * a group [14, T] are in the L1 cache, they are turned into weights and multiplied by V. The division by the sum comes
 * last, on D numbers per query instead of T. */
#include "bench/ladder/attention/softmax.h"

enum { QUERIES = VW == 16 ? 14 : 6 };

static void attention(Case *c)
{
    const int64_t T = c->T, D = c->D, ld = T + 16, ldo = c->H * D;
    for (int64_t h = 0; h < c->H; h++) {
        pack_head(c, h, 0, T);
        for (int64_t i0 = 0; i0 < T; i0 += QUERIES) {
            const int64_t rows = MIN(QUERIES, T - i0);
            float sum[QUERIES], *out = c->out + i0 * ldo + h * D;
            ladder_product(&c->run, rows, T, D, c->scale, c->q + i0 * c->ld + h * D, c->ld, c->keys, c->scores, ld,
                           false);
            for (int64_t i = 0; i < rows; i++) {
                float top = -INFINITY;
                pad(c->scores + i * ld, T);
                sum[i] = exponentials_of(c->scores + i * ld, T, &top);
            }
            ladder_product(&c->run, rows, D, T, 1.0f, c->scores, ld, c->values, out, ldo, false);
            for (int64_t i = 0; i < rows; i++) {
                for (int64_t d = 0; d < D; d++)
                    out[i * ldo + d] /= sum[i];
            }
        }
    }
}
STEP("14 queries at a time: scores stay in the L1 cache", NULL, attention)
