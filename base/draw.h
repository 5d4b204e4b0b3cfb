/* base/draw.h: the functions that compute draws. They are shared by base/random.c and the kernels of other devices,
 * which therefore give the same bits. DRAW_FUNCTION is the storage class of each function; it may be defined before
 * this header is included. No function fuses or reorders operations. The only library function is sqrt, which IEEE 754
 * rounds exactly. */
#ifndef SAPOR_DRAW_H
#define SAPOR_DRAW_H

#include <math.h>

#include "base/base.h"

#ifndef DRAW_FUNCTION
#define DRAW_FUNCTION static inline
#endif

DRAW_FUNCTION void philox_words(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4])
{
    uint32_t k0 = key[0], k1 = key[1];
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)c0 * 0xd2511f53u, b = (uint64_t)c2 * 0xcd9e8d57u;
        c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)b;
        c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)a;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

/* The key is the seed. The counter holds the index, the epoch, and one word of purpose and attempt. Therefore two uses
 * never share numbers. */
DRAW_FUNCTION void draw_words(Draw d, uint64_t index, uint32_t attempt, uint32_t out[4])
{
    const uint32_t key[2] = {(uint32_t)d.seed, (uint32_t)(d.seed >> 32)};
    const uint32_t counter[4] = {(uint32_t)index, (uint32_t)(index >> 32), d.epoch,
                                 d.purpose << 24 | (attempt & 0xffffff)};
    philox_words(key, counter, out);
}

/* Lemire 2019: returns the high 32 bits of the 64-bit product x n. A few x are drawn again, because without this
 * some results would be more frequent than others. */
DRAW_FUNCTION uint32_t below_of(Draw d, uint64_t index, uint32_t n)
{
    uint32_t x[4], surplus = (uint32_t)-n % n; /* 2^32 mod n */
    for (uint32_t attempt = 0;; attempt++) {
        draw_words(d, index, attempt, x);
        for (int i = 0; i < 4; i++) {
            uint64_t product = (uint64_t)x[i] * n;
            if ((uint32_t)product >= surplus)
                return (uint32_t)(product >> 32);
        }
    }
}

DRAW_FUNCTION float uniform_of(Draw d, uint64_t index)
{
    uint32_t x[4];
    draw_words(d, index, 0, x);
    return (float)(x[0] >> 8) * 0x1p-24f;
}

/* Natural logarithm. x = 2^k m, with m in [sqrt 1/2, sqrt 2).
 *
 *   s = (m - 1) / (m + 1),  |s| < 0.172
 *   log m = 2 artanh s = 2 (s + s^3 / 3 + s^5 / 5 + ...)
 *
 * The terms up to s^23 / 23 are enough: the rest is below 1e-20. ln 2 is the sum of two constants. The first constant
 * ends in 17 zero bits, so that its product with k (at most 11 bits) is exact. */
DRAW_FUNCTION double log_of(double x)
{
    if (x != x || x < 0)
        return NAN;
    if (x == 0)
        return -INFINITY;
    if (x > 0x1.fffffffffffffp+1023)
        return x;
    int k = 0;
    if (x < 0x1p-1022) {
        x *= 0x1p54;
        k = -54;
    }
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    k += (int)(bits >> 52) - 1023;
    bits = (bits & UINT64_C(0xfffffffffffff)) | UINT64_C(0x3ff0000000000000);
    double m;
    memcpy(&m, &bits, sizeof m);
    if (m > 0x1.6a09e667f3bcdp+0) {
        m *= 0.5;
        k++;
    }
    double s = (m - 1) / (m + 1), z = s * s, tail = 0;
    for (int i = 11; i >= 1; i--)
        tail = (tail + 1.0 / (2 * i + 1)) * z;
    double low = 2 * s * tail + k * 0x1.cf79abc9e3b3ap-40, top = k * 0x1.62e42fefap-1;
    return top + (2 * s + low);
}

/* cos(2 pi x). The reduction is exact: x minus its integer part, then minus the nearest quarter. The remaining angle is
 * at most pi / 4. */
DRAW_FUNCTION double cos2pi_of(double x)
{
    if (x != x || x - x != 0)
        return NAN;
    if (x < 0)
        x = -x;
    if (x >= 0x1p52)
        return 1;
    x -= (double)(int64_t)x;
    int quarter = (int)(4 * x + 0.5);
    double a = (x - 0.25 * quarter) * 6.283185307179586476925, z = a * a, sum = 0;
    if (quarter % 2 == 0) { /* +-cos a = 1 - a^2 / 2! + a^4 / 4! - ... */
        for (int i = 18; i >= 2; i -= 2)
            sum = (1 - sum) * z / (double)(i * (i - 1));
        sum = 1 - sum;
        return quarter == 2 ? -sum : sum;
    }
    for (int i = 19; i >= 3; i -= 2) /* -+sin a = a (1 - a^2 / 3! + ...) */
        sum = (1 - sum) * z / (double)(i * (i - 1));
    sum = a - a * sum;
    return quarter == 1 ? -sum : sum;
}

/* Box-Muller */
DRAW_FUNCTION float normal_of(Draw d, uint64_t index)
{
    uint32_t x[4];
    draw_words(d, index, 0, x);
    double u = (double)(((uint64_t)x[0] << 21 | x[1] >> 11) + 1) * 0x1p-53; /* (0, 1] */
    double v = (double)((uint64_t)x[2] << 21 | x[3] >> 11) * 0x1p-53;
    return (float)(sqrt(-2.0 * log_of(u)) * cos2pi_of(v));
}

#endif
