/* Sums of bytes times whole-number weights, VW at a time */
#ifndef SAPOR_LADDER_LANES_H
#define SAPOR_LADDER_LANES_H

#include "bench/ladder/resize/passes.h"

enum { SIDE = 16, PARTS = SIDE / VW }; /* 16 bytes are PARTS vectors of sums */
typedef unsigned char bytes __attribute__((vector_size(SIDE), aligned(1), may_alias));

/* Widens VW bytes. The compiler's own conversion would widen them one by one. */
INLINE vi widen(const unsigned char *p)
{
#if VW == 16
    return (vi)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
#elif VW == 8
    return (vi)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
#else
    return (vi){p[0], p[1], p[2], p[3]};
#endif
}

/* Narrows 16 sums to 16 bytes. The weights of a triangle are not negative and add up to one, so no sum is below 0 or
 * above 255. */
INLINE void narrow(const vi sum[PARTS], unsigned char *to)
{
    UNROLL
    for (int v = 0; v < PARTS; v++) {
        typedef unsigned char part __attribute__((vector_size(VW), aligned(1), may_alias));
        *(part *)(to + v * VW) = __builtin_convertvector(sum[v] >> BITS, part);
    }
}

/* Computes 16 sums: `to`[i] = sum over k < n of weight[k] p[k step + i], i = 0 .. 15, as bytes. */
INLINE void weighted_sum(const unsigned char *p, int64_t step, const int32_t *weight, int64_t n, unsigned char *to)
{
    vi sum[PARTS];
    UNROLL
    for (int v = 0; v < PARTS; v++)
        sum[v] = vi_set(HALF);
    for (int64_t k = 0; k < n; k++) {
        UNROLL
        for (int v = 0; v < PARTS; v++)
            sum[v] += widen(p + k * step + v * VW) * vi_set(weight[k]);
    }
    narrow(sum, to);
}

/* Transposes a square of 16 x 16 bytes: to[j,r] = from[r,j]. The address of a byte in the square has 8 bits: four for
 * the row, then four for the column. Each round interleaves rows 0 .. 7 with rows 8 .. 15, which rotates these bits to
 * the left by one. After four rounds, row and column are exchanged. */
INLINE void transpose(const unsigned char *from, int64_t ld_from, unsigned char *to, int64_t ld_to)
{
    bytes a[SIDE], b[SIDE];
    UNROLL
    for (int r = 0; r < SIDE; r++)
        a[r] = *(const bytes *)(from + r * ld_from);
    UNROLL
    for (int round = 0; round < 4; round++) {
        UNROLL
        for (int r = 0; r < SIDE / 2; r++) {
            b[2 * r] = __builtin_shufflevector(a[r], a[r + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            b[2 * r + 1] =
                __builtin_shufflevector(a[r], a[r + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        }
        UNROLL
        for (int r = 0; r < SIDE; r++)
            a[r] = b[r];
    }
    UNROLL
    for (int r = 0; r < SIDE; r++)
        *(bytes *)(to + r * ld_to) = a[r];
}

/* Computes rows y .. y + 15 of the pass across. The last square of a row overlaps the one before, so that it is a whole
 * square. */
INLINE void band_across(const Case *c, int64_t y)
{
    const Axis *x = &c->across;
    const int64_t in = x->in * 3, out = x->out * 3;
    unsigned char *transposed = c->room, *results = transposed + in * SIDE;
    for (int64_t j = 0; j < in; j += SIDE) {
        const int64_t at = MIN(j, in - SIDE);
        transpose(c->in + y * in + at, in, transposed + at * SIDE, SIDE);
    }
    for (int64_t j = 0; j < out; j++)
        weighted_sum(transposed + (x->start[j / 3] * 3 + j % 3) * SIDE, 3 * SIDE, x->weight + j / 3 * x->size,
                     x->count[j / 3], results + j * SIDE);
    for (int64_t j = 0; j < out; j += SIDE) {
        const int64_t at = MIN(j, out - SIDE);
        transpose(results + at * SIDE, SIDE, c->middle + y * out + at, out);
    }
}

/* Computes row i of the pass down. */
INLINE void line_down(const Case *c, int64_t i)
{
    const Axis *y = &c->down;
    const int64_t line = c->across.out * 3;
    for (int64_t x = 0; x < line; x += SIDE) {
        const int64_t at = MIN(x, line - SIDE);
        weighted_sum(c->middle + y->start[i] * line + at, line, y->weight + i * y->size, y->count[i],
                     c->out + i * line + at);
    }
}

#endif
