/* kernels/cpu/gemm/tile_body.h: the body of the register tile. It is inlined with constant numbers of rows and vectors:
 * in tile.c if A is float32, in dots.c if a 32-bit unit of A has several numbers. */
#ifndef SAPOR_TILE_BODY_H
#define SAPOR_TILE_BODY_H

#include "kernels/cpu/gemm/tile.h"

enum { VECS_MAX = 2 * TILE_PANELS_MAX };

/* Returns acc + a b per lane. a and b have one float32 per lane, or two bf16 or four bytes; then a b is their dot
 * product. */
INLINE vf unit_multiply_add(const Unit unit, vf a, vf b, vf acc)
{
#if defined(__AVX512BF16__)
    if (unit == UNIT_BF16)
        return (vf)_mm512_dpbf16_ps((__m512)acc, (__m512bh)a, (__m512bh)b);
#endif
    return unit == UNIT_INT8 ? (vf)v_dot_int8((vi)acc, (vi)a, (vi)b) : v_fma(a, b, acc);
}

/* Loads vector `half` of a row of B's panel; 16-bit numbers are converted to float32. */
INLINE vf load_b(const Unit unit, const float *row, const int half)
{
    const uint16_t *narrow = (const uint16_t *)(const void *)row + half * VW;
    return unit == UNIT_HALF_F16    ? v_from_f16(vh_load(narrow))
           : unit == UNIT_HALF_BF16 ? v_from_bf16(vh_load(narrow))
                                    : v_load(row + half * VW);
}

/* Returns acc + *a b, with a load and broadcast of *a inside the instruction. Two such instructions decode faster than
 * one broadcast and two multiply-adds. This saves time if another thread uses half of the core's decoders
 * (docs/kernels/gemm.md). */
INLINE vf v_fma_broadcast(const float *a, vf b, vf acc)
{
#if VW == 16
    /* the address has no index: with an index the processor splits the instruction into two */
    __asm__("vfmadd231ps (%1)%{1to16%}, %2, %0" : "+v"(acc) : "r"(a), "v"(b), "m"(*a));
    return acc;
#else
    return v_fma(v_set(*a), b, acc);
#endif
}

/* With AVX2, a step of k of the 6 x 2 tile has 12 multiply-adds and 14 other instructions. Five of them are for the
 * pointers and the loop: four unrolled steps share them. MINIMAL has no room for the longer code. With sanitizers it
 * would take three times as long to compile. */
#if VW == 8 && defined(__GNUC__) && !defined(__clang__) && !defined(SAPOR_MINIMAL) && !defined(__SANITIZE_ADDRESS__)
#define UNROLL_K _Pragma("GCC unroll 4")
#else
#define UNROLL_K
#endif

/* MINIMAL has no room for the code that multiplies two units of bytes together. The sums are the same. */
#if defined(SAPOR_MINIMAL)
#define BYTE_STEP 1
#else
#define BYTE_STEP V_BYTE_UNITS
#endif

/* Computes one tile; acc stays in registers. rows, vecs and by_column are constants after inlining. Three rows of A
 * share one pointer: x86 addressing reaches them as 0, a_row and 2 a_row, so that few general registers are needed. */
INLINE void tile_body(const Tile *t, const int rows, const int vecs, const bool by_column, const Unit unit,
                      const bool in_l1)
{
    enum { GROUPS = (TILE_ROWS + 2) / 3, PREFETCH_DISTANCE = 32, LINE = 16 /* floats per cache line */ };
    vf acc[TILE_ROWS][VECS_MAX];
    const int64_t ldc = t->ldc, a_row = by_column ? 1 : t->a_row, a_step = by_column ? t->a_step : 1;
    const int64_t b_row = t->b_row, b_panel = t->b_panel;
    const bool widens = (unit == UNIT_HALF_F16 || unit == UNIT_HALF_BF16) && tile_widens(rows);
    const bool embedded_broadcast = VW == 16 && unit == UNIT_F32 && vecs == 2 && rows > TILE_ROWS / 2 && !by_column;
    const int step = unit == UNIT_INT8 ? BYTE_STEP : 1; /* units per iteration; t->len is a multiple of it */
    float *c = t->c, *wide = t->wide;
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int v = 0; v < vecs; v++)
            acc[i][v] = v_zero();
    }
    UNROLL
    for (int i = 0; i < rows; i++) { /* prefetch C while the products are computed */
        UNROLL
        for (int v = 0; v < vecs; v += 16 / VW)
            __builtin_prefetch(c + v * VW, 1);
        c += ldc;
    }
    const float *b = t->b, *segment = t->a, *prefetch = t->ahead ? t->ahead : segment;
    const int64_t prefetch_step = t->ahead ? t->ahead_step : 0;
    for (int64_t s = 0; s < t->segs; s++, segment += t->a_seg) {
        const float *a[GROUPS], *column = segment;
        UNROLL
        for (int g = 0; g < GROUPS; g++)
            a[g] = segment + (3 * g < rows ? 3 * g : 0) * a_row;
        UNROLL_K
        for (int64_t k = t->len; k > 0; k -= step) {
            vf bk[2][VECS_MAX];
            UNROLL
            for (int u = 0; u < step; u++) {
                UNROLL
                for (int v = 0; v < vecs; v++) {
                    const float *row = b + u * b_row + v / 2 * b_panel;
                    /* B may be in no cache yet. A prefetch after the last panel does no harm. */
                    if (!by_column && !in_l1 && v * VW % LINE == 0)
                        __builtin_prefetch(row + v % 2 * VW + PREFETCH_DISTANCE * b_row);
                    bk[u][v] = load_b(unit, row, v % 2);
                    if (widens && wide)
                        v_store(wide + v / 2 * t->len * TILE_COLS + v % 2 * VW, bk[u][v]);
                }
            }
            if (widens && wide)
                wide += TILE_COLS;
            UNROLL
            for (int i = 0; i < rows; i++) {
                const float *one = by_column ? &column[i] : &a[i / 3][i % 3 * a_row];
                /* only every third row: the processor does at most two loads per cycle */
                if (embedded_broadcast && i % 3 == 0) {
                    UNROLL
                    for (int v = 0; v < vecs; v++)
                        acc[i][v] = v_fma_broadcast(one, bk[0][v], acc[i][v]);
                    continue;
                }
                const bool narrow = unit == UNIT_BF16 || unit == UNIT_INT8;
                const vf ai = narrow ? (vf)vi_set(*(const int32_any *)(const void *)one) : v_set(*one);
                const vi ai_next = step == 2 ? vi_set(*(const int32_any *)(const void *)(one + 1)) : vi_set(0);
                UNROLL
                for (int v = 0; v < vecs; v++)
                    acc[i][v] = step == 2
                                    ? (vf)v_dot_int8_two((vi)acc[i][v], (vi)ai, (vi)bk[0][v], ai_next, (vi)bk[1][v])
                                    : unit_multiply_add(unit, ai, bk[0][v], acc[i][v]);
            }
            b += step * b_row;
            if (by_column || in_l1) {
                __builtin_prefetch(prefetch, 0, 2);
                prefetch += prefetch_step;
            }
            if (by_column) {
                column += a_step;
            } else {
                UNROLL
                for (int g = 0; g < GROUPS; g++)
                    a[g] += step;
            }
        }
    }
    /* Without this line the compiler keeps the addresses of C from the prefetches, and spills those of A and B. */
    HIDE_FROM_OPTIMIZER(t);
    c = t->c;
    if (t->first) {
        UNROLL
        for (int i = 0; i < rows; i++, c += t->ldc) {
            UNROLL
            for (int v = 0; v < vecs; v++)
                v_store(c + v * VW, acc[i][v]);
        }
        return;
    }
    UNROLL
    for (int i = 0; i < rows; i++, c += t->ldc) {
        UNROLL
        for (int v = 0; v < vecs; v++) {
            const vf old = v_load(c + v * VW);
            v_store(c + v * VW, unit == UNIT_INT8 ? (vf)((vi)old + (vi)acc[i][v]) : old + acc[i][v]);
        }
    }
}

/* The number of vectors of the widest tile with this number of rows: at most 2 x TILE_ROWS accumulators. */
#define WIDEST(rows) ((rows)*8 <= 2 * TILE_ROWS ? 8 : (rows)*4 <= 2 * TILE_ROWS ? 4 : 2)

#define TILE(rows, name, vecs, by_column, unit)                                                                        \
    static void name##_##rows(const Tile *t)                                                                           \
    {                                                                                                                  \
        tile_body(t, rows, vecs, by_column, unit, false);                                                              \
    }

/* TILE_KIND defines the tiles of both widths for a unit that needs no tile of a single vector. TILE_SET lists them for
 * tile_sweep; the tile of two vectors is listed twice, because there is no tile of one vector (tile.h: tile_sweep). */
#define TILE_KIND(rows, name, unit)                                                                                    \
    TILE(rows, name, 2, false, unit)                                                                                   \
    TILE(rows, name##_widest, WIDEST(rows), false, unit)
#define TILE_SET(rows, name) {name##_##rows, name##_##rows, name##_widest_##rows},

#endif
