/* kernels/cpu/vec.h: the vector types and functions of all CPU kernels, built on the vector types of GCC and clang.
 *
 * A `vf` has VW floats: 16 at the AVX-512 level, 8 at the AVX2 level, 4 at the baseline. The baseline is SSE2, or NEON
 * on 64-bit ARM, or what the compiler generates elsewhere. (NEON of 32-bit ARM is not used: it flushes denormals and
 * has no division.) Loads and stores need no alignment. The `_n` variants access only the first n lanes (0 <= n <= VW);
 * the other lanes are loaded as 0. The kernels are compiled with -ffp-contract=off, so the compiler fuses and reorders
 * nothing. v_fma rounds once if the level has a fused instruction, otherwise twice. v_sum always adds the lanes in the
 * same order. The errors of the functions are in units in the last place (ulp). They were measured against float64 on
 * every 61st float. */
#ifndef SAPOR_VEC_H
#define SAPOR_VEC_H

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include "kernels/cpu/intrinsics.h"
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "kernels/kernels.h"

#ifndef LEVEL
#define LEVEL baseline
#define LEVEL_baseline
#endif

#if defined(LEVEL_avx512)
#define VW 16
#elif defined(LEVEL_avx2)
#define VW 8
#else
#define VW 4
#endif

/* vf, vi: VW numbers of 32 bits. vl: VW / 2 numbers of 64 bits. The types `_any` are for memory: they need only the
 * alignment of one number, and may access numbers of any type. */
typedef float vf __attribute__((vector_size(4 * VW)));
typedef int32_t vi __attribute__((vector_size(4 * VW)));
typedef uint64_t vl __attribute__((vector_size(4 * VW)));
typedef float vf_any __attribute__((vector_size(4 * VW), aligned(4), may_alias));
typedef int32_t vi_any __attribute__((vector_size(4 * VW), aligned(4), may_alias));
typedef int32_t int32_any __attribute__((may_alias));

#define INLINE   static inline __attribute__((always_inline, unused))
#define NOINLINE __attribute__((noinline)) /* for long functions: one copy instead of a copy per call */
/* Hides the value of p from the compiler, which then reloads everything that depends on p. */
#define HIDE_FROM_OPTIMIZER(p) __asm__ volatile("" : "+r"(p))

/* ---- loads, stores, lanes -------------------------------------------------------------------- */

INLINE vf v_load(const float *p)
{
    return *(const vf_any *)p;
}
INLINE void v_store(float *p, vf x)
{
    *(vf_any *)p = x;
}
INLINE vi vi_load(const int32_t *p)
{
    return *(const vi_any *)p;
}
INLINE void vi_store(int32_t *p, vi x)
{
    *(vi_any *)p = x;
}
INLINE vf v_set(float x)
{
    return x - (vf){0}; /* x - 0 is x for every x, -0 too */
}
INLINE vi vi_set(int32_t x)
{
    return x - (vi){0};
}
INLINE vf v_zero(void)
{
    return (vf){0};
}
INLINE vi v_lanes(void) /* 0, 1, 2, ... */
{
#if VW == 16
    return (vi){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#elif VW == 8
    return (vi){0, 1, 2, 3, 4, 5, 6, 7};
#else
    return (vi){0, 1, 2, 3};
#endif
}

INLINE vf v_load_n(const float *p, int n)
{
#if VW == 16
    return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#elif VW == 8
    return (vf)_mm256_maskload_ps(p, (__m256i)(v_lanes() < n));
#else
    vf x = {0};
    for (int i = 0; i < VW; i++) {
        if (i < n)
            x[i] = p[i];
    }
    return x;
#endif
}
INLINE void v_store_n(float *p, vf x, int n)
{
#if VW == 16
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)x);
#elif VW == 8
    _mm256_maskstore_ps(p, (__m256i)(v_lanes() < n), (__m256)x);
#else
    for (int i = 0; i < VW; i++) {
        if (i < n)
            p[i] = x[i];
    }
#endif
}

/* ---- four by four ---------------------------------------------------------------------------- */

typedef float v4 __attribute__((vector_size(16)));
typedef float v4_any __attribute__((vector_size(16), aligned(4), may_alias));

/* to[k,n] = from[n,k], 4 x 4 */
INLINE void transpose4(const float *from, int64_t ld_from, float *to, int64_t ld_to)
{
    const v4 a = *(const v4_any *)from, b = *(const v4_any *)(from + ld_from);
    const v4 c = *(const v4_any *)(from + 2 * ld_from), d = *(const v4_any *)(from + 3 * ld_from);
    const v4 ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), AB = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    const v4 cd = __builtin_shufflevector(c, d, 0, 4, 1, 5), CD = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    *(v4_any *)to = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
    *(v4_any *)(to + ld_to) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
    *(v4_any *)(to + 2 * ld_to) = __builtin_shufflevector(AB, CD, 0, 1, 4, 5);
    *(v4_any *)(to + 3 * ld_to) = __builtin_shufflevector(AB, CD, 2, 3, 6, 7);
}

/* ---- arithmetic: + - * / and comparisons are the operators of the compiler ------------------- */

/* a b + c */
INLINE vf v_fma(vf a, vf b, vf c)
{
#if VW == 16
    return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif VW == 8
    return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
    return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return a * b + c;
#endif
}
/* Selects a or b per lane: a if m is all ones, b if m is all zeros. Comparisons give such an m. */
INLINE vf v_select(vi m, vf a, vf b)
{
#if VW == 16
    return (vf)_mm512_mask_blend_ps(_mm512_movepi32_mask((__m512i)m), (__m512)b, (__m512)a);
#elif VW == 8
    return (vf)_mm256_blendv_ps((__m256)b, (__m256)a, (__m256)m);
#else
    return (vf)((m & (vi)a) | (~m & (vi)b));
#endif
}
/* Returns a mask: bit i is set if lane i of m is all ones. */
INLINE uint32_t v_mask(vi m)
{
#if VW == 16
    return _mm512_movepi32_mask((__m512i)m);
#elif VW == 8
    return (uint32_t)_mm256_movemask_ps((__m256)m);
#elif defined(__x86_64__)
    return (uint32_t)_mm_movemask_ps((__m128)m);
#else
    uint32_t bits = 0;
    for (int i = 0; i < VW; i++)
        bits |= (uint32_t)(m[i] & 1) << i;
    return bits;
#endif
}
/* Returns the maximum per lane, or b if a or b is NaN. Therefore v_max(limit, x) is NaN if x is NaN. */
INLINE vf v_max(vf a, vf b)
{
#if VW == 16
    return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif VW == 8
    return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(__x86_64__)
    return (vf)_mm_max_ps((__m128)a, (__m128)b);
#else
    return v_select(a > b, a, b);
#endif
}
/* Returns the minimum per lane, or b if a or b is NaN. */
INLINE vf v_min(vf a, vf b)
{
#if VW == 16
    return (vf)_mm512_min_ps((__m512)a, (__m512)b);
#elif VW == 8
    return (vf)_mm256_min_ps((__m256)a, (__m256)b);
#elif defined(__x86_64__)
    return (vf)_mm_min_ps((__m128)a, (__m128)b);
#else
    return v_select(a < b, a, b);
#endif
}
INLINE vf v_sqrt(vf x)
{
#if VW == 16
    return (vf)_mm512_sqrt_ps((__m512)x);
#elif VW == 8
    return (vf)_mm256_sqrt_ps((__m256)x);
#elif defined(__x86_64__)
    return (vf)_mm_sqrt_ps((__m128)x);
#elif defined(__aarch64__)
    return (vf)vsqrtq_f32((float32x4_t)x);
#else
    for (int i = 0; i < VW; i++)
        x[i] = __builtin_sqrtf(x[i]);
    return x;
#endif
}
INLINE vf v_abs(vf x)
{
    return (vf)((vi)x & vi_set(0x7fffffff));
}
INLINE vf v_copysign(vf x, vf sign)
{
    return (vf)(((vi)x & vi_set(0x7fffffff)) | ((vi)sign & vi_set(INT32_MIN)));
}
/* Rounds to the nearest whole number, ties to even; |x| < 2^22 */
INLINE vf v_round(vf x)
{
    vf magic = v_set(12582912.0f); /* 1.5 * 2^23: after the addition no bit is left for a fraction */
    return (x + magic) - magic;
}
INLINE vi v_to_int(vf x) /* rounds toward zero; |x| < 2^31 */
{
    return __builtin_convertvector(x, vi);
}
INLINE vf v_from_int(vi x)
{
    return __builtin_convertvector(x, vf);
}

/* Multiplies the lower half of each of VW / 2 64-bit lanes by b: 32 by 32 bits to 64 bits. The upper halves are
 * ignored. */
INLINE vl vl_multiply(vl a, uint32_t b)
{
#if VW == 16
    return (vl)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi64((int64_t)b));
#elif VW == 8
    return (vl)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x((int64_t)b));
#elif defined(__x86_64__)
    return (vl)_mm_mul_epu32((__m128i)a, _mm_set1_epi64x((int64_t)b));
#else
    return (a & 0xffffffffu) * b;
#endif
}

/* Adds dot products of bytes: returns acc + the sum over the four bytes of each lane of a (unsigned) times b (signed).
 * A byte of a must be at most V_BYTE_TOP: AVX2 adds two products in 16 bits. */
#define V_BYTE_TOP (VW == 8 ? 127 : 255)
INLINE vi v_dot_int8(vi acc, vi a, vi b)
{
#if defined(__AVX512VNNI__) && VW == 16
    return (vi)_mm512_dpbusd_epi32((__m512i)acc, (__m512i)a, (__m512i)b);
#elif VW == 8
    const __m256i pairs = _mm256_maddubs_epi16((__m256i)a, (__m256i)b);
    return acc + (vi)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
#else
    for (int shift = 0; shift < 32; shift += 8)
        acc += (a >> shift & 255) * (b << (24 - shift) >> 24);
    return acc;
#endif
}

/* ---- 16-bit numbers: a vh has VW of them ----------------------------------------------------- */

typedef uint16_t vh __attribute__((vector_size(2 * VW)));
typedef uint16_t vh_any __attribute__((vector_size(2 * VW), aligned(2), may_alias));

INLINE vh vh_load(const uint16_t *p)
{
    return *(const vh_any *)p;
}
INLINE void vh_store(uint16_t *p, vh x)
{
    *(vh_any *)p = x;
}
/* Rounds to the nearest bf16, ties to even, in the upper half of each lane. NaN stays NaN. */
INLINE vi v_to_bf16(vf x)
{
    const vi bits = (vi)x;
    /* NOLINTNEXTLINE(misc-redundant-expression): false for NaN */
    return (vi)v_select(x == x, (vf)(bits + 0x7fff + (bits >> 16 & 1)), (vf)(bits | 1 << 22)) & (int32_t)0xffff0000;
}
INLINE vf v_from_bf16(vh x)
{
    return (vf)(__builtin_convertvector(x, vi) << 16);
}
/* Rounds to the nearest f16, in the lower half of each lane; subnormal results are rounded twice. Finite numbers beyond
 * +-65504 become +-65504; infinity and NaN do not change. Multiplication by 2^-112 changes the exponent's bias from 127
 * to 15: a number that is subnormal as f16 becomes a subnormal float. */
INLINE vi v_to_f16(vf x)
{
    const vi y = (vi)(v_min(v_set(65504.0f), v_abs(x)) * 0x1p-112f), sign = (vi)x >> 16 & 0x8000;
    const vf near = (vf)((y + 0xfff + (y >> 13 & 1)) >> 13);
    /* NOLINTNEXTLINE(misc-redundant-expression): false for NaN */
    const vf ends = v_select(x == x, (vf)vi_set(0x7c00), (vf)vi_set(0x7e00));
    return sign | (vi)v_select(v_abs(x) < __builtin_inff(), near, ends);
}
INLINE vf v_from_f16(vh x)
{
#if VW == 16
    return (vf)_mm512_cvtph_ps((__m256i)x);
#elif VW == 8
    return (vf)_mm256_cvtph_ps((__m128i)x);
#else
    const vi h = __builtin_convertvector(x, vi), moved = (h & 0x7fff) << 13;
    const vf y = v_select(moved < 0x7c00 << 13, (vf)moved * 0x1p112f, (vf)(moved + (0x70 << 24))); /* infinity, NaN */
    return (vf)((vi)y | (h << 16 & INT32_MIN));
#endif
}

/* Returns the sum or the maximum over the lanes. The upper half of the lanes is combined with the lower half until one
 * lane is left. For eight lanes: ((l0+l4)+(l2+l6)) + ((l1+l5)+(l3+l7)). */
#if defined(__x86_64__)
INLINE float v_reduce(vf x, bool max)
{
#if VW == 16
    const __m256 a = _mm512_castps512_ps256((__m512)x), b = _mm512_extractf32x8_ps((__m512)x, 1);
    const __m256 y = max ? _mm256_max_ps(a, b) : _mm256_add_ps(a, b);
#elif VW == 8
    const __m256 y = (__m256)x;
#endif
#if VW == 4
    __m128 q = (__m128)x;
#else
    const __m128 c = _mm256_castps256_ps128(y), d = _mm256_extractf128_ps(y, 1);
    __m128 q = max ? _mm_max_ps(c, d) : _mm_add_ps(c, d);
#endif
    const __m128 high = _mm_movehl_ps(q, q);
    q = max ? _mm_max_ps(q, high) : _mm_add_ps(q, high);
    const __m128 second = _mm_shuffle_ps(q, q, 1);
    return _mm_cvtss_f32(max ? _mm_max_ss(q, second) : _mm_add_ss(q, second));
}
#else
INLINE float v_reduce(vf x, bool max)
{
    float t[VW];
    memcpy(t, &x, sizeof t);
    for (int half = VW / 2; half > 0; half /= 2) {
        for (int i = 0; i < half; i++)
            t[i] = !max ? t[i] + t[i + half] : t[i] > t[i + half] ? t[i] : t[i + half];
    }
    return t[0];
}
#endif
INLINE float v_sum(vf x)
{
    return v_reduce(x, false);
}
INLINE float v_max_lane(vf x)
{
    return v_reduce(x, true);
}

/* ---- functions: the coefficients are weighted least squares fits on Chebyshev points, refined to minimax ---- */

/* e^x with an error of 1.1 ulp, also for subnormal results; 0 below -104, infinity above 88.73; NaN stays NaN.
 *
 *   x = n ln 2 + r, |r| <= ln 2 / 2 */
INLINE vf v_exp(vf x)
{
    x = v_max(v_set(-105.0f), v_min(v_set(89.0f), x));
    /* As in v_round; the low bits of the sum are n + 254 */
    const vf magic = v_set(12582912.0f + 254.0f), sum = x * 1.44269504f + magic;
    const vf n = sum - magic;
    /* ln 2 as the sum of two numbers; the first has few bits, so that the product is exact */
    vf r = v_fma(n, v_set(-0.693359375f), x);
    r = v_fma(n, v_set(2.12194440e-4f), r);
    vf q = v_set(1.395059400e-03f);
    q = v_fma(q, r, v_set(8.368954062e-03f));
    q = v_fma(q, r, v_set(4.166620597e-02f));
    q = v_fma(q, r, v_set(1.666651815e-01f));
    q = v_fma(q, r, v_set(0.5f));
    vf p = v_fma(q, r * r, r) + 1.0f;
#if VW == 16
    return (vf)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
    /* 2^n is the product of two factors, so that 2^128 and subnormal results are correct. The exponents with their bias
     * of 127 are the two halves of n + 254. The shift by 23 removes the upper bits of the sum. */
    const vi both = (vi)sum, half = both >> 1;
    return p * (vf)(half << 23) * (vf)((both - half) << 23);
#endif
}

/* ln x with an error of 0.9 ulp; -infinity at 0, NaN for x < 0.
 *
 *   x = 2^e (1 + f), sqrt(1/2) <= 1 + f < sqrt(2) */
INLINE vf v_log(vf x)
{
    vi tiny = x < 1.17549435e-38f;
    vf y = v_select(tiny, x * 8388608.0f, x);
    vi bits = (vi)y - 0x3f3504f3; /* sqrt(1/2) */
    vf e = v_from_int(bits >> 23) - v_select(tiny, v_set(23.0f), v_zero());
    vf f = (vf)((bits & 0x7fffff) + 0x3f3504f3) - 1.0f;
    vf r = v_set(-7.859932631e-02f);
    r = v_fma(r, f, v_set(1.288129985e-01f));
    r = v_fma(r, f, v_set(-1.312845796e-01f));
    r = v_fma(r, f, v_set(1.418123096e-01f));
    r = v_fma(r, f, v_set(-1.662459224e-01f));
    r = v_fma(r, f, v_set(2.000228465e-01f));
    r = v_fma(r, f, v_set(-2.500080764e-01f));
    r = v_fma(r, f, v_set(3.333331645e-01f));
    vf ff = f * f;
    r = v_fma(r, ff * f, e * -2.12194440e-4f);
    r = v_fma(ff, v_set(-0.5f), r);
    r = v_fma(e, v_set(0.693359375f), r + f);
    r = v_select(x == __builtin_inff(), x, r);
    r = v_select(x == 0.0f, v_set(-__builtin_inff()), r);
    return v_select(x >= 0.0f, r, v_set(__builtin_nanf("")));
}
/* ln(1 + x) for x >= 0 with an error of 1.3 ulp; accurate for small x */
INLINE vf v_log1p(vf x)
{
    vf u = x + 1.0f;
    return v_log(u) + (x - (u - 1.0f)) / u;
}
/* tanh x with an error of 1.4 ulp: x + x^3 P(x^2) for |x| < 0.625, else 1 - 2 / (e^(2|x|) + 1) */
INLINE vf v_tanh(vf x)
{
    vf a = v_abs(x), z = x * x;
    vf p = v_set(-5.721605849e-03f);
    p = v_fma(p, z, v_set(2.065519430e-02f));
    p = v_fma(p, z, v_set(-5.374513566e-02f));
    p = v_fma(p, z, v_set(1.333151460e-01f));
    p = v_fma(p, z, v_set(-3.333328366e-01f));
    vf small = v_fma(p * z, x, x);
    vf big = 1.0f - 2.0f / (v_exp(a + a) + 1.0f);
    return v_select(a < 0.625f, small, v_copysign(big, x));
}
/* The error function, with an error of 2 ulp: x P(x^2) for |x| < 1, else 1 - e^Q(|x|), where Q approximates ln erfc */
INLINE vf v_erf(vf x)
{
    vf t = v_min(v_set(4.0f), v_abs(x)), z = x * x;
    vf p = v_set(7.889109111e-05f);
    p = v_fma(p, z, v_set(-8.020838141e-04f));
    p = v_fma(p, z, v_set(5.189535208e-03f));
    p = v_fma(p, z, v_set(-2.685444430e-02f));
    p = v_fma(p, z, v_set(1.128360033e-01f));
    p = v_fma(p, z, v_set(-3.761262596e-01f));
    p = v_fma(p, z, v_set(1.283791070e-01f)); /* 2 / sqrt(pi) - 1; the 1 is added below, exactly */
    vf q = v_set(-2.149632564e-05f);
    q = v_fma(q, t, v_set(4.391086986e-04f));
    q = v_fma(q, t, v_set(-4.193622153e-03f));
    q = v_fma(q, t, v_set(2.517899498e-02f));
    q = v_fma(q, t, v_set(-1.083725169e-01f));
    q = v_fma(q, t, v_set(-6.332625747e-01f));
    q = v_fma(q, t, v_set(-1.129556894e+00f));
    q = v_fma(q, t, v_set(1.834475697e-04f));
    return v_select(t < 1.0f, v_fma(p, x, x), v_copysign(1.0f - v_exp(q), x));
}
/* GELU, without cancellation:
 *
 *   x Phi(x) = max(x, 0) - |x| erfc(|x| / sqrt 2) / 2
 *
 * The error is 2 ulp for x > 0, and 6e-8 for x < 0. ln erfc is approximated by a polynomial up to |x| = 5.5; beyond,
 * the polynomial keeps decreasing. This needs a third less work than v_erf, which computes both of its formulas for
 * every x. */
INLINE vf v_gelu(vf x)
{
    const vf u = v_min(v_set(40.0f), v_abs(x));
    vf q = v_set(-1.214072654e-06f);
    q = v_fma(q, u, v_set(1.883021105e-05f));
    q = v_fma(q, u, v_set(-9.165021766e-05f));
    q = v_fma(q, u, v_set(-1.775515557e-04f));
    q = v_fma(q, u, v_set(4.992411006e-03f));
    q = v_fma(q, u, v_set(-3.644509986e-02f));
    q = v_fma(q, u, v_set(-3.182834089e-01f));
    q = v_fma(q, u, v_set(-7.978866696e-01f));
    return v_fma(u * -0.5f, v_exp(q * u), v_max(v_zero(), x));
}
INLINE vf v_sigmoid(vf x)
{
    return 1.0f / (v_exp(-x) + 1.0f);
}
/* ln(1 + e^x), exact for large |x| */
INLINE vf v_softplus(vf x)
{
    return v_max(v_zero(), x) + v_log1p(v_exp(-v_abs(x)));
}

#endif
