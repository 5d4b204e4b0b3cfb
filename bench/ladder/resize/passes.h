/* The two passes of steps 01 and 02, and the pass across of step 03 */
#ifndef SAPOR_LADDER_PASSES_H
#define SAPOR_LADDER_PASSES_H

#include "bench/ladder/resize/case.h"

/* Computes row y of the pass across, the sums of the three colours of a pixel at a time. */
static inline void row_across(const Case *c, int64_t y)
{
    const Axis *x = &c->across;
    const unsigned char *in = c->in + y * x->in * 3;
    unsigned char *out = c->middle + y * x->out * 3;
    for (int64_t j = 0; j < x->out; j++) {
        const unsigned char *p = in + 3 * x->start[j];
        int32_t r = HALF, g = HALF, b = HALF;
        for (int64_t k = 0; k < x->count[j]; k++) {
            const int32_t w = x->weight[j * x->size + k];
            r += p[3 * k] * w;
            g += p[3 * k + 1] * w;
            b += p[3 * k + 2] * w;
        }
        out[3 * j] = to_byte(r);
        out[3 * j + 1] = to_byte(g);
        out[3 * j + 2] = to_byte(b);
    }
}

/* Computes row i of the result. STRIP sums stay in registers while the rows of the window are added. The last strip may
 * read past the last row, into the extra room of `middle`. */
static inline void row_down(const Case *c, int64_t i)
{
    enum { STRIP = 64 };
    const Axis *y = &c->down;
    const int64_t bytes = c->across.out * 3;
    for (int64_t x = 0; x < bytes; x += STRIP) {
        const int64_t n = MIN(STRIP, bytes - x);
        int32_t sum[STRIP];
        for (int s = 0; s < STRIP; s++)
            sum[s] = HALF;
        for (int64_t k = 0; k < y->count[i]; k++) {
            const unsigned char *p = c->middle + (y->start[i] + k) * bytes + x;
            const int32_t w = y->weight[i * y->size + k];
            for (int s = 0; s < STRIP; s++)
                sum[s] += p[s] * w;
        }
        for (int64_t s = 0; s < n; s++)
            c->out[i * bytes + x + s] = to_byte(sum[s]);
    }
}

#endif
