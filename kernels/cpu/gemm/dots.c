/* kernels/cpu/gemm/dots.c: Products of units that hold two bf16 or four bytes: their tiles, and A's rows made narrow,
 * for these tiles and amx.c's. Compiled at the AVX-512 level for processors with VNNI and BF16 instructions; gemm_packs
 * says which of the two this one has, and nothing here is called without. */
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

static void pairs_row(int64_t K, const float *x, uint16_t *to)
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

typedef uint8_t vb __attribute__((vector_size(VW)));
typedef uint8_t vb_any __attribute__((vector_size(VW), aligned(1), may_alias));

/* Zero is a byte of its own, so that zeros stay zeros. A row with an infinity or a NaN has a scale that is NaN. */
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
    const float by = finite < __builtin_inff() ? finite : 0; /* 0, and what is next to it, is all zeros */
    const vf begin = v_round(v_set(by > 0 ? -from * by : 0));
    *scale = range / V_BYTE_TOP + v_sum(probe);
    *zero = v_to_int(begin)[0];
    for (int64_t k = 0; k < K; k += VW) {
        const vf part = K - k >= VW ? v_load(x + k) : v_load_n(x + k, (int)(K - k));
        const vf byte = v_round(v_min(v_max(part * by + begin, v_zero()), v_set(V_BYTE_TOP)));
        *(vb_any *)(to + k) = __builtin_convertvector(v_to_int(byte), vb);
    }
}

void FN(narrow_rows)(const Gemm *g, const NarrowA *to, int64_t m0, int64_t m1)
{
    const int64_t units = narrow_count(g->pack, g->K);
    for (int64_t m = m0; m < m1; m++) {
        float *row = to->units + m * to->ld;
        if (is_amx(g->pack) && units > 0) { /* what the last group of AMX_UNITS reads behind K */
            memset(row + (units - AMX_UNITS), 0, AMX_UNITS * sizeof *row);
        }
        if (is_bytes(g->pack))
            bytes_row(g->K, (const float *)g->A + m * g->a_row, (uint8_t *)row, to->scale + m, to->zero + m);
        else
            pairs_row(g->K, (const float *)g->A + m * g->a_row, (uint16_t *)(void *)row);
    }
}
