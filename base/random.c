/* base/random.c: numbers that are functions of what they are for: Philox4x32-10 (Salmon et al., Parallel Random
 * Numbers: As Easy as 1, 2, 3, SC 2011), and MT19937 (Matsumoto and Nishimura 1998) where others' splits must be
 * met. */
#include "base/base.h"

#include <math.h>

void philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4])
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

uint32_t draw_name(const char *name)
{
    uint32_t h = 2166136261u;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 16777619u;
    return h;
}

/* The key is the seed; the counter holds index, epoch, then purpose and attempt in one word: no two uses meet. */
void draw4(Draw d, uint64_t index, uint32_t attempt, uint32_t out[4])
{
    const uint32_t key[2] = {(uint32_t)d.seed, (uint32_t)(d.seed >> 32)};
    const uint32_t counter[4] = {(uint32_t)index, (uint32_t)(index >> 32), d.epoch,
                                 d.purpose << 24 | (attempt & 0xffffff)};
    philox(key, counter, out);
}

/* Lemire 2019: the high half of x n, drawn again for the few x that would favour small results. */
uint32_t draw_below(Draw d, uint64_t index, uint32_t n)
{
    uint32_t x[4], surplus = (uint32_t)-n % n; /* 2^32 mod n */
    for (uint32_t attempt = 0;; attempt++) {
        draw4(d, index, attempt, x);
        for (int i = 0; i < 4; i++) {
            uint64_t product = (uint64_t)x[i] * n;
            if ((uint32_t)product >= surplus)
                return (uint32_t)(product >> 32);
        }
    }
}

float draw_uniform(Draw d, uint64_t index)
{
    uint32_t x[4];
    draw4(d, index, 0, x);
    return (float)(x[0] >> 8) * 0x1p-24f;
}

float draw_normal(Draw d, uint64_t index)
{
    uint32_t x[4];
    draw4(d, index, 0, x);
    double u = (double)(((uint64_t)x[0] << 21 | x[1] >> 11) + 1) * 0x1p-53; /* (0, 1] */
    double v = (double)((uint64_t)x[2] << 21 | x[3] >> 11) * 0x1p-53;
    return (float)(sqrt(-2.0 * own_log(u)) * own_cos2pi(v));
}

void draw_subset(Draw d, uint64_t first, uint32_t of, uint32_t n, int32_t *out, bool *taken)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t top = of - n + i, x = draw_below(d, first + i, top + 1);
        x = taken[x] ? top : x;
        taken[x] = true;
        out[i] = (int32_t)x;
    }
    for (uint32_t i = 0; i < n; i++)
        taken[out[i]] = false;
}

/* Orders positions whose 32-bit keys are equal by the draw's other words, so that ties favour nobody. */
static bool comes_before(Draw d, uint64_t i, uint64_t j)
{
    uint32_t a[4], b[4];
    draw4(d, i, 0, a);
    draw4(d, j, 0, b);
    for (int w = 1; w < 4; w++)
        if (a[w] != b[w])
            return a[w] < b[w];
    return i < j;
}

void draw_shuffle(Draw d, uint32_t *items, size_t n, uint64_t *scratch)
{
    uint64_t *from = scratch, *to = scratch + n;
    for (size_t i = 0; i < n; i++) {
        uint32_t x[4];
        draw4(d, i, 0, x);
        from[i] = (uint64_t)x[0] << 32 | (uint32_t)i;
    }
    for (int shift = 32; shift < 64; shift += 8) { /* radix sort by the upper half; four passes end where they began */
        size_t start[257] = {0};
        for (size_t i = 0; i < n; i++)
            start[(from[i] >> shift & 0xff) + 1]++;
        for (int b = 0; b < 256; b++)
            start[b + 1] += start[b];
        for (size_t i = 0; i < n; i++)
            to[start[from[i] >> shift & 0xff]++] = from[i];
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
    for (size_t i = 1; i < n; i++)
        for (size_t j = i;
             j > 0 && from[j] >> 32 == from[j - 1] >> 32 && comes_before(d, (uint32_t)from[j], (uint32_t)from[j - 1]);
             j--) {
            uint64_t swap = from[j];
            from[j] = from[j - 1];
            from[j - 1] = swap;
        }
    for (size_t i = 0; i < n; i++)
        to[i] = items[i];
    for (size_t i = 0; i < n; i++)
        items[i] = (uint32_t)to[(uint32_t)from[i]];
}

void mt_seed(Mt19937 *m, uint32_t seed)
{
    for (uint32_t i = 0; i < 624; i++) {
        m->state[i] = seed;
        seed = 1812433253u * (seed ^ seed >> 30) + i + 1;
    }
    m->at = 624;
}

uint32_t mt_u32(Mt19937 *m)
{
    if (m->at == 624) {
        for (int i = 0; i < 624; i++) {
            uint32_t y = (m->state[i] & 0x80000000u) | (m->state[(i + 1) % 624] & 0x7fffffffu);
            m->state[i] = m->state[(i + 397) % 624] ^ y >> 1 ^ (y & 1 ? 0x9908b0dfu : 0);
        }
        m->at = 0;
    }
    uint32_t y = m->state[m->at++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c5680u;
    y ^= y << 15 & 0xefc60000u;
    return y ^ y >> 18;
}

uint32_t mt_interval(Mt19937 *m, uint32_t max)
{
    if (max == 0)
        return 0;
    uint32_t mask = UINT32_MAX >> __builtin_clz(max), value;
    do
        value = mt_u32(m) & mask;
    while (value > max);
    return value;
}

/* x = 2^k m with m in [sqrt 1/2, sqrt 2); log m = 2 artanh s, s = (m - 1) / (m + 1), |s| < 0.172: eleven terms of
 * s^(2i+1) / (2i+1) leave 1e-17. ln 2 in two parts, the first with 20 zero bits at its end, so that k times it is
 * exact. */
double own_log(double x)
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

/* Turns are exact: x less its nearest integer, then the nearest quarter; what is left is an angle of at most pi / 4. */
double own_cos2pi(double x)
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
