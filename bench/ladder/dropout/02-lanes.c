/* VW draws at the same time. A 64-bit lane holds a 32-bit word, so that a shift and a mask give the two halves of a
 * product. Two such vectors make VW draws. */
#include "bench/ladder/dropout/case.h"

/* Returns word 0 of the draws at the counters `index`. */
INLINE vl philox_lanes(const Draw *d, vl index)
{
    uint32_t k0 = (uint32_t)d->seed, k1 = (uint32_t)(d->seed >> 32);
    vl c0 = index, c1 = index >> 32, c2 = (vl){0} + d->epoch, c3 = (vl){0} + (uint64_t)(d->purpose << 24);
    UNROLL
    for (int r = 0; r < ROUNDS; r++) {
        const vl a = vl_multiply(c0, 0xd2511f53u), b = vl_multiply(c2, 0xcd9e8d57u);
        c0 = (b >> 32) ^ c1 ^ k0; /* upper halves hold remains of c1; vl_multiply does not read them */
        c1 = b;
        c2 = (a >> 32) ^ c3 ^ k1;
        c3 = a;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    return c0;
}

static void dropout(Case *c)
{
    const float scale = 1.0f / (1.0f - c->p);
    vl even = {0};
    for (int k = 0; k < VW / 2; k++)
        even[k] = 2 * (uint64_t)k;
    int64_t i = 0;
    for (; i + VW <= c->n; i += VW) {
        const vl a = philox_lanes(&c->draw, even + (uint64_t)i), b = philox_lanes(&c->draw, even + (uint64_t)(i + 1));
        const vl bits = (a >> 8 & 0xffffffu) | b >> 8 << 32; /* 24 bits of each draw, alternately from a and b */
        const vf u = v_from_int((vi)bits & 0xffffff) * 0x1p-24f;
        v_store(c->y + i, v_select(u >= c->p, scale * v_load(c->x + i), v_zero()));
    }
    for (; i < c->n; i++)
        c->y[i] = draw_uniform(c->draw, (uint64_t)i) >= c->p ? c->x[i] * scale : 0.0f;
}
STEP("VW draws side by side in 64-bit lanes", NULL, dropout)
