/* kernels/cpu/gemm/narrow.c: packs weights into 16 and 8 bits, and applies the scales of INT8 after a product
 * (narrow.h). One panel is one task of the pool. A panel is packed in chunks of CHUNK rows, which are read as float32
 * into a buffer in the L1 cache and then converted. */
#include "kernels/cpu/gemm/narrow.h"

enum { CHUNK = 64 }; /* rows of a panel in the float32 buffer */

static bool has_form(Pack p)
{
#if defined(LEVEL_avx512)
    __builtin_cpu_init();
    const bool bytes = __builtin_cpu_supports("avx512vnni"), pairs = __builtin_cpu_supports("avx512bf16");
#else
    const bool bytes = true, pairs = false;
#endif
    /* AMX also needs VNNI and BF16: dots.c converts A for amx.c */
    return is_amx(p)             ? bytes && pairs && FN(amx_available)()
           : p == PACK_BF16_DOTS ? pairs
                                 : p != PACK_INT8_DOTS || bytes;
}

Pack FN(pack_form)(Pack type)
{
    if (type == PACK_INT8)
        return has_form(PACK_INT8_AMX) ? PACK_INT8_AMX : PACK_INT8_DOTS;
    if (type != PACK_BF16)
        return type;
    if (has_form(PACK_BF16_AMX)) /* at least eight times as fast as BF16_DOTS */
        return PACK_BF16_AMX;
#if defined(LEVEL_avx512)
    /* Compared with the float32 multiply-add, vdpbf16ps runs at twice the rate on AMD processors (Zen 4), but at half
     * the rate on Intel processors (Emerald Rapids): docs/kernels/narrow.md */
    if (has_form(PACK_BF16_DOTS) && !__builtin_cpu_is("intel"))
        return PACK_BF16_DOTS;
#endif
    return PACK_BF16_WIDE;
}

bool FN(gemm_packs)(Pack type)
{
    return has_form(FN(pack_form)(type));
}

static int64_t whole_columns(int64_t N) /* N, rounded up to whole panels */
{
    return round_up(N, TILE_COLS);
}

size_t FN(gemm_pack_bytes)(Pack type, int64_t K, int64_t N)
{
    const Pack pack = FN(pack_form)(type);
    const size_t n = (size_t)whole_columns(N), units = n * (size_t)narrow_count(pack, K) * sizeof(float);
    return pack == PACK_F16 || pack == PACK_BF16_WIDE ? units / 2
           : is_bytes(pack)                           ? units + 2 * n * sizeof(float)
                                                      : units;
}

typedef struct Packing {
    Pack pack;
    int64_t K, N;
    const float *B;
    int64_t b_row, b_col;
    void *packed;
} Packing;

typedef struct Panel {
    int64_t n, columns; /* n: the first column; columns: the number of columns */
    float rows[CHUNK * TILE_COLS];
} Panel;

/* Reads up to CHUNK rows of the panel from row k on and pads them with zeros to whole groups. Returns the number of
 * rows, with the padding. */
static int64_t take_rows(const Packing *p, Panel *panel, int64_t k)
{
    const int64_t rows = MIN(p->K - k, CHUNK), group = narrow_group(p->pack), whole_groups = round_up(rows, group);
    FN(tile_pack)(rows, panel->columns, p->B + k * p->b_row + panel->n * p->b_col, p->b_row, p->b_col, panel->rows);
    for (int64_t i = rows * TILE_COLS; i < whole_groups * TILE_COLS; i++)
        panel->rows[i] = 0;
    return whole_groups;
}

static void pack_16(const Packing *p, Panel *panel, uint16_t *to)
{
    for (int64_t k = 0; k < p->K; k += CHUNK) {
        const int64_t rows = take_rows(p, panel, k);
        for (int64_t i = 0; i < rows * TILE_COLS; i += VW) {
            const vf x = v_load(panel->rows + i);
            vh_store(to + k * TILE_COLS + i,
                     __builtin_convertvector(p->pack == PACK_F16 ? v_to_f16(x) : v_to_bf16(x) >> 16, vh));
        }
    }
}

static void pack_pairs(const Packing *p, Panel *panel, int32_t *to)
{
    for (int64_t k = 0; k < p->K; k += CHUNK) {
        const int64_t rows = take_rows(p, panel, k);
        for (int64_t i = 0; i < rows; i += 2) {
            const float *x = panel->rows + i * TILE_COLS;
            for (int64_t j = 0; j < TILE_COLS; j += VW, to += VW)
                vi_store(to, (v_to_bf16(v_load(x + j)) >> 16 & 0xffff) | v_to_bf16(v_load(x + TILE_COLS + j)));
        }
    }
}

/* Packs one panel to INT8. The scale of a column with an infinity or a NaN is infinite or NaN. With AVX2, the scale is
 * also large enough for the 16-bit sums (vec.h, V_FOUR_BYTES), and bytes are 0 if the scale is below LEAST: the
 * smallest floats have fewer bits, and the limit could be missed. */
#define LEAST (V_BYTE_UNITS == 2 ? 1e-37f : 0.0f)
static void pack_bytes(const Packing *p, Panel *panel, int32_t *to, float *scale, int32_t *sum)
{
    vf most[2] = {v_zero(), v_zero()}, probe[2] = {v_zero(), v_zero()}, step[2], four[2] = {v_zero(), v_zero()};
    vi sums[2] = {vi_set(0), vi_set(0)};
    for (int64_t k = 0; k < p->K; k += CHUNK) {
        const int64_t rows = take_rows(p, panel, k);
        for (int64_t i = 0; i < 2 * rows; i++) {
            const vf x = v_load(panel->rows + i * VW);
            most[i % 2] = v_max(v_abs(x), most[i % 2]);
            probe[i % 2] = probe[i % 2] + x * 0.0f;
        }
#if V_BYTE_UNITS == 2
        /* Rows i, i + 1, i + 4 and i + 5 are added in 16 bits. Rounding adds at most 2 to the sum of four bytes. */
        for (int64_t i = 0; i < rows; i += i % 8 == 0 ? 2 : 6) {
            for (int half = 0; half < 2; half++) {
                vf positive = v_zero(), negative = v_zero();
                for (int b = 0; b < 4; b++) {
                    const vf x = v_load(panel->rows + (i + b % 2 + b / 2 * 4) * TILE_COLS + half * VW);
                    positive = positive + v_max(x, v_zero()) * (1.0f / (V_FOUR_BYTES - 2));
                    negative = negative - v_min(x, v_zero()) * (1.0f / (V_FOUR_BYTES - 2));
                }
                four[half] = v_max(v_max(positive, negative), four[half]);
            }
        }
#endif
    }
    for (int half = 0; half < 2; half++)
        step[half] = v_max(most[half] / 127.0f, four[half]);
    for (int64_t k = 0; k < p->K; k += CHUNK) {
        const int64_t rows = take_rows(p, panel, k);
        for (int64_t i = 0; i < rows; i += 4) {
            for (int half = 0; half < 2; half++, to += VW) {
                vi unit = vi_set(0);
                for (int b = 0; b < 4; b++) {
                    const vf x = v_load(panel->rows + (i + b) * TILE_COLS + half * VW);
                    const vf byte = V_BYTE_UNITS == 2 ? x / step[half] : x / most[half] * 127.0f;
                    const vf bound = v_min(v_max(byte, v_set(-127.0f)), v_set(127.0f));
                    const vi whole_byte = v_to_int(v_round(v_select(step[half] > LEAST, bound, v_zero())));
                    sums[half] += whole_byte;
                    unit |= (whole_byte & 255) << 8 * b;
                }
                vi_store(to, unit);
            }
        }
    }
    for (int half = 0; half < 2; half++) {
        v_store(scale + half * VW, step[half] + probe[half]);
        vi_store(sum + half * VW, sums[half]);
    }
}

static void pack_panel(void *arg, size_t number, int worker)
{
    (void)worker;
    const Packing *p = arg;
    Panel panel = {.n = (int64_t)number * TILE_COLS};
    panel.columns = MIN(p->N - panel.n, TILE_COLS);
    const int64_t at = panel.n * narrow_count(p->pack, p->K), units = whole_columns(p->N) * narrow_count(p->pack, p->K);
    switch ((int)p->pack) {
    case PACK_F32:
        FN(tile_pack)
        (p->K, panel.columns, p->B + panel.n * p->b_col, p->b_row, p->b_col, (float *)p->packed + at);
        break;
    case PACK_F16:
    case PACK_BF16_WIDE: pack_16(p, &panel, (uint16_t *)p->packed + at); break;
    case PACK_BF16_DOTS:
    case PACK_BF16_AMX: pack_pairs(p, &panel, (int32_t *)p->packed + at); break;
    case PACK_INT8_DOTS:
    case PACK_INT8_AMX:
        pack_bytes(p, &panel, (int32_t *)p->packed + at, (float *)p->packed + units + panel.n,
                   (int32_t *)p->packed + units + whole_columns(p->N) + panel.n);
        break;
    }
}

void FN(gemm_pack)(const Run *run, Pack type, int64_t K, int64_t N, const float *B, int64_t b_row, int64_t b_col,
                   void *packed)
{
    Packing p = {FN(pack_form)(type), K, N, B, b_row, b_col, packed};
    pool_run(run->context, (size_t)(whole_columns(N) / TILE_COLS), pack_panel, &p);
}

size_t FN(narrow_a_bytes)(const Gemm *g)
{
    const NarrowA a = FN(narrow_a)(g, NULL);
    return size_round_up((size_t)g->M * (size_t)(a.ld + 2) * sizeof(float), 64);
}

NarrowA FN(narrow_a)(const Gemm *g, void *work)
{
    NarrowA a = {.ld = round_up(narrow_count(g->pack, g->K), 16), .units = work};
    /* rows that are a multiple of 2 KB apart would evict each other from the L1 cache */
    a.ld += a.ld % 512 == 0 ? 16 : 0;
    if (work) {
        a.scale = a.units + g->M * a.ld;
        a.zero = (int32_t *)(void *)(a.scale + g->M);
    }
    return a;
}

void FN(narrow_scale)(const Gemm *g, const NarrowA *a, int64_t m0, int64_t rows, int64_t n0, int64_t n, float *c,
                      int64_t ldc)
{
    const float *scale = (const float *)g->packed + whole_columns(g->N) * narrow_count(g->pack, g->K) + n0;
    const int32_t *sum = (const int32_t *)(const void *)scale + whole_columns(g->N);
    for (int64_t i = 0; i < rows; i++, c += ldc) {
        for (int64_t j = 0; j < n; j += VW) {
            const int lanes = (int)MIN(n - j, VW);
            const vi dot =
                (vi)(lanes == VW ? v_load(c + j) : v_load_n(c + j, lanes)) - a->zero[m0 + i] * vi_load(sum + j);
            const vf x = v_from_int(dot) * (v_load(scale + j) * a->scale[m0 + i]);
            if (lanes == VW)
                v_store(c + j, x);
            else
                v_store_n(c + j, x, lanes);
        }
    }
}
