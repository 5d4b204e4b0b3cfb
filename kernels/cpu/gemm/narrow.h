/* kernels/cpu/gemm/narrow.h: packed weights of 16 and 8 bits. They are stored in panels of TILE_COLS columns, like
 * float32 weights.
 *
 * A unit is a 32-bit word with consecutive numbers of K: a pair of bf16 numbers, or four bytes. One instruction
 * multiplies all numbers of a unit of A by those of a unit of B and adds the products.
 *
 * The content of a panel, by form:
 * - F16, BF16_WIDE: [K, TILE_COLS] 16-bit numbers.
 * - BF16_DOTS: [units, TILE_COLS] pairs. `units` is the number of units in K. Pair u has the rows 2u (low half) and 2u
 *   + 1 of B.
 * - INT8_DOTS: [units, TILE_COLS] units of four signed bytes. After the last panel follow scale [P] and sum [P], where
 *   P is N rounded up to whole panels: B[k,n] = scale[n] byte, |byte| <= 127. sum[n] is the sum of the bytes of column
 *   n. With AVX2, `units` is even, and the scale obeys one more limit, so that 16-bit sums cannot overflow (vec.h,
 *   V_FOUR_BYTES).
 * - BF16_AMX: like BF16_DOTS, INT8_AMX: like INT8_DOTS, padded with zeros to a multiple of AMX_UNITS units.
 *
 * For the forms with units, A is converted to the same units once per product. For bytes: A[m,k] = scale[m] (byte -
 * zero[m]). */
#ifndef SAPOR_NARROW_H
#define SAPOR_NARROW_H

#include "kernels/cpu/forms.h"
#include "kernels/cpu/gemm/tile.h"

/* Returns the form that this processor uses for a type. If `type` is already a form, returns it. */
Pack FN(pack_form)(Pack type);

/* The following functions take a form, or a product whose `pack` is a form. */
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
/* A group is the smallest step along K, and K is padded to whole groups:
 * - AMX: AMX_UNITS units, because an instruction multiplies this number of units of a row of A.
 * - BF16_DOTS: one unit. INT8_DOTS: V_BYTE_UNITS units, which are multiplied together.
 * - Forms without units: one number of A, which is float32 and counts as one unit.
 *
 * In a row of A, narrow_group_units returns how many units a group has, and narrow_group how many numbers of A these
 * units hold. */
static inline int64_t narrow_group_units(Pack p)
{
    return is_amx(p) ? AMX_UNITS : p == PACK_INT8_DOTS ? V_BYTE_UNITS : 1;
}
static inline int64_t narrow_group(Pack p)
{
    return narrow_group_units(p) * (p == PACK_BF16_DOTS || p == PACK_BF16_AMX ? 2 : is_bytes(p) ? 4 : 1);
}
static inline bool narrows(const Gemm *g) /* whether A is converted to units, too */
{
    return narrow_group(pack_of(g)) > 1;
}
/* Returns the number of units for K numbers of a row of A. */
static inline int64_t narrow_count(Pack p, int64_t K)
{
    const int64_t group = narrow_group(p);
    return div_up(K, group) * narrow_group_units(p);
}

/* A, converted to 32-bit units. */
typedef struct NarrowA {
    int64_t ld;    /* units between the starts of two rows */
    float *units;  /* [M, ld] */
    float *scale;  /* [M]; INT8 only */
    int32_t *zero; /* [M]; INT8 only */
} NarrowA;
size_t FN(narrow_a_bytes)(const Gemm *g);
NarrowA FN(narrow_a)(const Gemm *g, void *work); /* the places of the arrays in `work` */
/* Converts the rows m0 .. m1-1 of A. */
void FN(narrow_rows)(const Gemm *g, const NarrowA *to, int64_t m0, int64_t m1);

/* Converts exact integer sums to float32, in place:
 *
 *   c[i,j] = (dot - a.zero[m0 + i] b.sum[n0 + j]) a.scale[m0 + i] b.scale[n0 + j]
 *
 * `dot` is the int32 sum that c[i,j] holds before. b.scale and b.sum are the arrays `scale` and `sum` after the last
 * panel of packed B (see the top of this file). */
void FN(narrow_scale)(const Gemm *g, const NarrowA *a, int64_t m0, int64_t rows, int64_t n0, int64_t n, float *c,
                      int64_t ldc);

#endif
