/* base/random.c: random numbers as functions of their purpose (draw.h). Philox4x32-10 (Salmon et al., Parallel Random
 * Numbers: As Easy as 1, 2, 3, SC 2011), and MT19937 (Matsumoto and Nishimura 1998) to reproduce the splits of other
 * programs. */
#include "base/draw.h"

void philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4])
{
    philox_words(key, counter, out);
}

uint32_t draw_name(const char *name)
{
    uint32_t h = 2166136261u;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 16777619u;
    return h;
}

void draw4(Draw d, uint64_t index, uint32_t attempt, uint32_t out[4])
{
    draw_words(d, index, attempt, out);
}

uint32_t draw_below(Draw d, uint64_t index, uint32_t n)
{
    return below_of(d, index, n);
}

float draw_uniform(Draw d, uint64_t index)
{
    return uniform_of(d, index);
}

float draw_normal(Draw d, uint64_t index)
{
    return normal_of(d, index);
}

double own_log(double x)
{
    return log_of(x);
}

double own_cos2pi(double x)
{
    return cos2pi_of(x);
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

/* Compares positions whose 32-bit keys are equal, by the other words of their draws, so that the order of ties is
 * random too. */
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
    /* radix sort by the upper 32 bits; after four passes the result is in `from` */
    for (int shift = 32; shift < 64; shift += 8) {
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
