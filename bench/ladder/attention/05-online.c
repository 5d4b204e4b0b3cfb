/* Keys in blocks of 256 with a running maximum (Milakov & Gimelshein 2018). When a block raises the maximum, the sums
 * so far are multiplied by e^(old - new). The scores are 14 x 256 numbers for a text of any length. */
#include "bench/ladder/attention/softmax.h"

enum { QUERIES = VW == 16 ? 14 : 6, KEYS = 256, LD = KEYS + 16 };

static void attention(Case *c)
{
    const int64_t T = c->T, D = c->D, ldo = c->H * D, blocks = div_up(T, KEYS);
    float *keys = c->keys, *values = c->values;
    const size_t key_floats = ladder_kernels()->gemm_pack_bytes(PACK_F32, D, KEYS) / sizeof(float);
    const size_t value_floats = ladder_kernels()->gemm_pack_bytes(PACK_F32, KEYS, D) / sizeof(float);
    for (int64_t h = 0; h < c->H; h++) {
        for (int64_t b = 0; b < blocks; b++) {
            c->keys = keys + (size_t)b * key_floats;
            c->values = values + (size_t)b * value_floats;
            pack_head(c, h, b * KEYS, MIN(KEYS, T - b * KEYS));
        }
        for (int64_t i0 = 0; i0 < T; i0 += QUERIES) {
            const int64_t rows = MIN(QUERIES, T - i0);
            float sum[QUERIES], top[QUERIES], *out = c->out + i0 * ldo + h * D;
            for (int64_t b = 0; b < blocks; b++) {
                const int64_t n = MIN(KEYS, T - b * KEYS);
                ladder_product(&c->run, rows, n, D, c->scale, c->q + i0 * c->ld + h * D, c->ld,
                               keys + (size_t)b * key_floats, c->scores, LD, false);
                for (int64_t i = 0; i < rows; i++) {
                    const float before = b == 0 ? -INFINITY : top[i];
                    top[i] = before;
                    pad(c->scores + i * LD, n);
                    const float block_sum = exponentials_of(c->scores + i * LD, n, &top[i]),
                                shrink = expf(before - top[i]);
                    sum[i] = b == 0 ? block_sum : sum[i] * shrink + block_sum;
                    for (int64_t d = 0; d < D && b > 0; d++)
                        out[i * ldo + d] *= shrink;
                }
                ladder_product(&c->run, rows, D, n, 1.0f, c->scores, LD, values + (size_t)b * value_floats, out, ldo,
                               b > 0);
            }
            for (int64_t i = 0; i < rows; i++) {
                for (int64_t d = 0; d < D; d++)
                    out[i * ldo + d] /= sum[i];
            }
        }
    }
    c->keys = keys;
    c->values = values;
}
STEP("keys in blocks of 256 with a running maximum", NULL, attention)
