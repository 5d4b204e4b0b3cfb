/* VW draws side by side. A 64-bit lane holds a 32-bit word, so that a product's two halves are a shift and a mask away; two such vectors make
 * VW draws. */
#include "bench/ladder/dropout/case.h"

typedef uint64_t wide __attribute__((vector_size(4 * VW))); /* VW / 2 words, upper halves zero or not looked at */
typedef uint32_t words __attribute__((vector_size(4 * VW)));

/* The product of the lower halves: 32 by 32 bits */
INLINE wide multiply(wide a, uint32_t b)
{
#if VW == 16
    return (wide)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi64((int64_t)b));
#elif VW == 8
    return (wide)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x((int64_t)b));
#else
    return (a & 0xffffffffu) * b;
#endif
}

/* Word 0 of the draws whose counters begin with `index` */
INLINE wide philox_lanes(const Draw *d, wide index)
{
    uint32_t k0 = (uint32_t)d->seed, k1 = (uint32_t)(d->seed >> 32);
    wide c0 = index, c1 = index >> 32, c2 = (wide){0} + d->epoch, c3 = (wide){0} + (uint64_t)(d->purpose << 24);
    UNROLL
    for (int r = 0; r < ROUNDS; r++) {
        const wide a = multiply(c0, 0xd2511f53u), b = multiply(c2, 0xcd9e8d57u);
        c0 = (b >> 32) ^ c1 ^ k0; /* upper halves hold leftovers of c1: multiply does not look at them */
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
    const float kept = 1.0f / (1.0f - c->p);
    wide even = {0};
    for (int k = 0; k < VW / 2; k++) {
        even[k] = 2 * (uint64_t)k;
    }
    int64_t i = 0;
    for (; i + VW <= c->n; i += VW) {
        const wide a = philox_lanes(&c->draw, even + (uint64_t)i), b = philox_lanes(&c->draw, even + (uint64_t)(i + 1));
        const words w = (words)((a & 0xffffffffu) | b << 32); /* draws 0, 1, 2, ... of both */
        const vf u = v_from_int((vi)(w >> 8)) * 0x1p-24f;
        v_store(c->y + i, v_select(u >= c->p, kept * v_load(c->x + i), v_zero()));
    }
    for (; i < c->n; i++) {
        c->y[i] = draw_uniform(c->draw, (uint64_t)i) >= c->p ? c->x[i] * kept : 0.0f;
    }
}
STEP("VW draws side by side in 64-bit lanes", NULL, dropout)
