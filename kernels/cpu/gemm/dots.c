/* kernels/cpu/gemm/dots.c: the register tiles for units of two bf16 or four bytes, and the conversion of A's rows to
 * such units, also for amx.c. The loop is that of tile_body.h, with a dot product of a unit instead of a multiply-add.
 * At the AVX-512 level this file is compiled for processors with the VNNI and BF16 instructions. gemm_packs reports
 * which of them the processor has, and no function here that needs a missing one is called. */
// flags: -O3
// flags avx512: -mavx512vnni -mavx512bf16
#include "kernels/cpu/gemm/narrow.h"
#include "kernels/cpu/gemm/tile_body.h"

#define BYTES(rows)     TILE_KIND(rows, bytes, UNIT_INT8)
#define BYTES_SET(rows) TILE_SET(rows, bytes)
TILE_EVEN_ROWS(BYTES)
static TileFn *const of_bytes[][3] = {TILE_EVEN_ROWS(BYTES_SET)};
#if defined(__AVX512BF16__)
#define PAIRS(rows)     TILE_KIND(rows, pairs, UNIT_BF16)
#define PAIRS_SET(rows) TILE_SET(rows, pairs)
TILE_EVEN_ROWS(PAIRS)
static TileFn *const of_pairs[][3] = {TILE_EVEN_ROWS(PAIRS_SET)};
#else
#define of_pairs of_bytes /* never used */
#endif

void FN(dots_row)(Tile t, int rows, int64_t n)
{
    FN(tile_sweep_even)(t, rows, n, t.unit == UNIT_BF16 ? of_pairs : of_bytes);
}

#if BY_PANEL
TileFn *FN(dots_tile)(int64_t rows)
{
    return of_bytes[rows / 2][1];
}
#endif

/* Converts a row of A to bf16. Two neighbouring numbers are one unit. */
static void bf16_row(int64_t K, const float *x, uint16_t *to)
{
    for (int64_t k = 0; k < K; k += VW) {
        const vf part = K - k >= VW ? v_load(x + k) : v_load_n(x + k, (int)(K - k));
#if defined(__AVX512BF16__)
        vh_store(to + k, (vh)_mm512_cvtneps_pbh((__m512)part));
#else
        vh_store(to + k, __builtin_convertvector((v_to_bf16(part) >> 16), vh));
#endif
    }
}

/* Stores a vector of numbers from 0 to 255 as bytes. */
static inline void store_bytes(uint8_t *to, vi x)
{
#if VW == 8 /* GCC converts number by number */
    const __m128i halves =
        _mm_packus_epi32(_mm256_castsi256_si128((__m256i)x), _mm256_extracti128_si256((__m256i)x, 1));
    _mm_storeu_si64(to, _mm_packus_epi16(halves, halves));
#else
    typedef uint8_t vb __attribute__((vector_size(VW)));
    typedef uint8_t vb_any __attribute__((vector_size(VW), aligned(1), may_alias));
    *(vb_any *)to = __builtin_convertvector(x, vb);
#endif
}

/* Converts a row of A to bytes. Zero has an exact byte value, so that zeros stay zeros. The scale of a row with an
 * infinity or a NaN is NaN. */
static void bytes_row(int64_t K, const float *x, uint8_t *to, float *scale, int32_t *zero)
{
    vf low = v_zero(), high = v_zero(), probe = v_zero();
    for (int64_t k = 0; k < K; k += VW) {
        const vf part = K - k >= VW ? v_load(x + k) : v_load_n(x + k, (int)(K - k));
        low = v_min(part, low);
        high = v_max(part, high);
        probe = probe + part * 0.0f;
    }
    const float from = -v_max_lane(-low), range = v_max_lane(high) - from;
    const float finite = range < __builtin_inff() ? V_BYTE_TOP / range : 0;
    const float by = finite < __builtin_inff() ? finite : 0; /* for a range of 0, or close to 0, all bytes are zero */
    const vf begin = v_round(v_set(by > 0 ? -from * by : 0));
    *scale = range / V_BYTE_TOP + v_sum(probe);
    *zero = v_to_int(begin)[0];
    for (int64_t k = 0; k < K; k += VW) {
        const vf part = K - k >= VW ? v_load(x + k) : v_load_n(x + k, (int)(K - k));
        const vf byte = v_round(v_min(v_max(part * by + begin, v_zero()), v_set(V_BYTE_TOP)));
        store_bytes(to + k, v_to_int(byte));
    }
}

void FN(narrow_rows)(const Gemm *g, const NarrowA *to, int64_t m0, int64_t m1)
{
    const int64_t units = narrow_count(g->pack, g->K);
    for (int64_t m = m0; m < m1; m++) {
        float *row = to->units + m * to->ld;
        if (is_amx(g->pack) && units > 0) { /* the padding that the last group of AMX_UNITS reads after K */
            memset(row + (units - AMX_UNITS), 0, AMX_UNITS * sizeof *row);
        }
        if (is_bytes(g->pack))
            bytes_row(g->K, (const float *)g->A + m * g->a_row, (uint8_t *)row, to->scale + m, to->zero + m);
        else
            bf16_row(g->K, (const float *)g->A + m * g->a_row, (uint16_t *)(void *)row);
    }
}
