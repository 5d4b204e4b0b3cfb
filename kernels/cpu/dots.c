/* Products with narrow weights: the tiles, and A's rows made narrow where they must be. Compiled at the AVX-512 level for processors
 * with VNNI and BF16 instructions; gemm_packs says which of the two this one has, and nothing here runs without. */
#include "kernels/cpu/narrow.h"
#include "kernels/cpu/tile_body.h"

#define KIND(rows, name, unit)                                                                                              \
    TILE(rows, name, 2, false, unit)                                                                                        \
    TILE(rows, name##_wide, WIDE(rows), false, unit)
#define TABLE(rows, name) {name##_##rows, name##_##rows, name##_wide_##rows},
#define TILES(rows)                                                                                                         \
    KIND(rows, bytes, UNIT_INT8)                                                                                            \
    KIND(rows, f16, UNIT_HALF_F16)                                                                                          \
    KIND(rows, bf16, UNIT_HALF_BF16)
#define BYTES(rows) TABLE(rows, bytes)
#define F16(rows)   TABLE(rows, f16)
#define BF16(rows)  TABLE(rows, bf16)
TILE_EVEN_ROWS(TILES)
static TileFn *const of_bytes[][3] = {TILE_EVEN_ROWS(BYTES)};
static TileFn *const of_f16[][3] = {TILE_EVEN_ROWS(F16)};
static TileFn *const of_bf16[][3] = {TILE_EVEN_ROWS(BF16)};
#if defined(__AVX512BF16__)
#define PAIRS(rows) KIND(rows, pairs, UNIT_BF16)
#define PAIR(rows)  TABLE(rows, pairs)
TILE_EVEN_ROWS(PAIRS)
static TileFn *const of_pairs[][3] = {TILE_EVEN_ROWS(PAIR)};
#else
#define of_pairs of_bytes /* never asked for */
#endif

void K(dots_row)(Tile t, int rows, int64_t n)
{
    K(tile_sweep_even)
    (t, rows, n,
     t.unit == UNIT_BF16       ? of_pairs
     : t.unit == UNIT_INT8     ? of_bytes
     : t.unit == UNIT_HALF_F16 ? of_f16
                               : of_bf16);
}

size_t K(narrow_a_bytes)(const Gemm *g)
{
    const NarrowA a = K(narrow_a)(g, NULL);
    return ((size_t)g->M * (size_t)(a.ld + 2) * sizeof(float) + 63) / 64 * 64;
}

NarrowA K(narrow_a)(const Gemm *g, void *work)
{
    NarrowA a = {.ld = (narrow_count(g->pack, g->K) + 15) / 16 * 16, .units = work};
    a.ld += a.ld % 512 == 0 ? 16 : 0; /* rows 2 KB apart would evict each other */
    if (work) {
        a.scale = a.units + g->M * a.ld;
        a.zero = (int32_t *)(void *)(a.scale + g->M);
    }
    return a;
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
    const float by = range > 0 && range < __builtin_inff() ? V_BYTE_TOP / range : 0;
    const vf begin = v_round(v_set(by > 0 ? -from * by : 0));
    *scale = range / V_BYTE_TOP + v_sum(probe);
    *zero = v_to_int(begin)[0];
    for (int64_t k = 0; k < K; k += VW) {
        const vf part = K - k >= VW ? v_load(x + k) : v_load_n(x + k, (int)(K - k));
        const vf byte = v_round(v_min(v_max(part * by + begin, v_zero()), v_set(V_BYTE_TOP)));
        *(vb_any *)(to + k) = __builtin_convertvector(v_to_int(byte), vb);
    }
}

void K(narrow_rows)(const Gemm *g, const NarrowA *to, int64_t m0, int64_t m1)
{
    for (int64_t m = m0; m < m1; m++) {
        void *row = to->units + m * to->ld;
        if (g->pack == PACK_INT8) {
            bytes_row(g->K, g->A + m * g->a_row, row, to->scale + m, to->zero + m);
        } else {
            pairs_row(g->K, g->A + m * g->a_row, row);
        }
    }
}
