/* The ten rounds are inlined, and the compiler may make vectors of them. Its vectors multiply 64-bit numbers, although
 * the products need only 32-bit numbers. */
#include "bench/ladder/dropout/case.h"

static void dropout(Case *c)
{
    const float scale = 1.0f / (1.0f - c->p);
    const uint32_t low = (uint32_t)c->draw.seed, high = (uint32_t)(c->draw.seed >> 32);
    for (int64_t i = 0; i < c->n; i++) {
        uint32_t k0 = low, k1 = high, c0 = (uint32_t)i, c1 = (uint32_t)(i >> 32), c2 = c->draw.epoch,
                 c3 = c->draw.purpose << 24;
        for (int r = 0; r < ROUNDS; r++) {
            const uint64_t a = (uint64_t)c0 * 0xd2511f53u, b = (uint64_t)c2 * 0xcd9e8d57u;
            c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
            c1 = (uint32_t)b;
            c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
            c3 = (uint32_t)a;
            k0 += 0x9e3779b9u;
            k1 += 0xbb67ae85u;
        }
        c->y[i] = (float)(c0 >> 8) * 0x1p-24f >= c->p ? c->x[i] * scale : 0.0f;
    }
}
STEP("the ten rounds inlined, the compiler's vectors", NULL, dropout)
