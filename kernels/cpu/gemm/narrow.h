/* kernels/cpu/gemm/narrow.h: packed weights of 16 and 8 bits. Panels of TILE_COLS columns as in float32, of
 *   F16, BF16_WIDE [K, TILE_COLS] 16-bit numbers
 *   BF16_DOTS      [units, TILE_COLS] pairs: rows 2u (low half) and 2u + 1 of B
 *   INT8_DOTS      [units, TILE_COLS] of four signed bytes; behind the panels scale [N'] and sum [N'], N'
 *                  columns in whole panels: B[k,n] = scale[n] byte, |byte| <= 127; sum[n] is the sum of column n's
 *                  bytes
 *   BF16_AMX       as BF16_DOTS, INT8_AMX as INT8_DOTS, with zeros up to a multiple of AMX_UNITS units
 * A meets all but the first in its own units, made once a product: bf16 pairs, or bytes: A[m,k] = scale[m] (byte -
 * zero[m]). */
#ifndef SAPOR_NARROW_H
#define SAPOR_NARROW_H

#include "kernels/cpu/forms.h"
#include "kernels/cpu/gemm/tile.h"

/* The form in which this processor has weights of a type; of a form, itself. */
Pack FN(pack_form)(Pack type);

/* Of a product whose `pack` is a form */
static inline Pack pack_of(const Gemm *g)
{
    return g->packed ? g->pack : PACK_F32;
}
static inline bool is_bytes(Pack p)
{
    return p == PACK_INT8_DOTS || p == PACK_INT8_AMX;
}
static inline bool is_amx(Pack p)
{
    return p == PACK_BF16_AMX || p == PACK_INT8_AMX;
}
static inline Unit narrow_unit(Pack p)
{
    return p == PACK_F16         ? UNIT_HALF_F16
           : p == PACK_BF16_WIDE ? UNIT_HALF_BF16
           : p == PACK_BF16_DOTS ? UNIT_BF16
           : p == PACK_BF16_AMX  ? UNIT_BF16_AMX
           : p == PACK_INT8_DOTS ? UNIT_INT8
           : p == PACK_INT8_AMX  ? UNIT_INT8_AMX
                                 : UNIT_F32;
}
/* 32-bit units of A that are taken together, and their numbers */
static inline int64_t narrow_units(Pack p)
{
    return is_amx(p) ? AMX_UNITS : 1;
}
static inline int64_t narrow_group(Pack p)
{
    return narrow_units(p) * (p == PACK_BF16_DOTS || p == PACK_BF16_AMX ? 2 : is_bytes(p) ? 4 : 1);
}
static inline bool narrows(const Gemm *g) /* A is made narrow, too */
{
    return narrow_group(pack_of(g)) > 1;
}
/* Units that K numbers of A take */
static inline int64_t narrow_count(Pack p, int64_t K)
{
    const int64_t group = narrow_group(p);
    return div_up(K, group) * narrow_units(p);
}

/* A in units. */
typedef struct NarrowA {
    int64_t ld;    /* units from row to row */
    float *units;  /* [M, ld] */
    float *scale;  /* [M], INT8 */
    int32_t *zero; /* [M], INT8 */
} NarrowA;
size_t FN(narrow_a_bytes)(const Gemm *g);
NarrowA FN(narrow_a)(const Gemm *g, void *work); /* where it goes */
/* Rows m0 .. m1-1 */
void FN(narrow_rows)(const Gemm *g, const NarrowA *to, int64_t m0, int64_t m1);

/* Exact sums to numbers, in place: c[i,j] = (sum - zero[m0 + i] sum_b[n0 + j]) scale[m0 + i] scale_b[n0 + j] */
void FN(narrow_scale)(const Gemm *g, const NarrowA *a, int64_t m0, int64_t rows, int64_t n0, int64_t n, float *c,
                      int64_t ldc);

#endif
