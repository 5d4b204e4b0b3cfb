/* kernels/cpu/gemm/tile.c: the register tiles for float32 A (tile.h). One inlined body (tile_body.h) is compiled for
 * every number of rows and of vectors; tables list the resulting functions. */
// flags: -O3
#include "kernels/cpu/gemm/tile_body.h"

#define BY_ROW(rows)                                                                                                   \
    TILE(rows, by_row_1, 1, false, UNIT_F32)                                                                           \
    TILE(rows, by_row_2, 2, false, UNIT_F32)                                                                           \
    TILE(rows, by_row_widest, WIDEST(rows), false, UNIT_F32)
/* tiles whose panel of B is in the L1 cache */
#define IN_CACHE(rows)                                                                                                 \
    static void in_cache_##rows(const Tile *t)                                                                         \
    {                                                                                                                  \
        tile_body(t, rows, 2, false, UNIT_F32, true);                                                                  \
    }
#define IN_CACHE_ENTRY(rows) in_cache_##rows,
#define BY_COLUMN(rows)                                                                                                \
    TILE(rows, by_column_1, 1, true, UNIT_F32)                                                                         \
    TILE(rows, by_column_2, 2, true, UNIT_F32)                                                                         \
    TILE(rows, by_column_widest, WIDEST(rows), true, UNIT_F32)
#define ROW_ENTRY(rows)    {by_row_1_##rows, by_row_2_##rows, by_row_widest_##rows},
#define COLUMN_ENTRY(rows) {by_column_1_##rows, by_column_2_##rows, by_column_widest_##rows},

#define UP_TO_6(X) X(1) X(2) X(3) X(4) X(5) X(6)
#if TILE_ROWS == 14
#define EVERY_ROWS(X) UP_TO_6(X) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#elif TILE_ROWS == 12
#define EVERY_ROWS(X) UP_TO_6(X) X(7) X(8) X(9) X(10) X(11) X(12)
#else
#define EVERY_ROWS(X) UP_TO_6(X)
#endif
EVERY_ROWS(BY_ROW)
#if BY_PANEL
EVERY_ROWS(IN_CACHE)
static TileFn *const in_cache[] = {EVERY_ROWS(IN_CACHE_ENTRY)};
#endif
TILE_EVEN_ROWS(BY_COLUMN)
#define F16(rows)      TILE_KIND(rows, f16, UNIT_HALF_F16)
#define BF16(rows)     TILE_KIND(rows, bf16, UNIT_HALF_BF16)
#define F16_SET(rows)  TILE_SET(rows, f16)
#define BF16_SET(rows) TILE_SET(rows, bf16)
TILE_EVEN_ROWS(F16)
TILE_EVEN_ROWS(BF16)
static TileFn *const of_f16[][3] = {TILE_EVEN_ROWS(F16_SET)};
static TileFn *const of_bf16[][3] = {TILE_EVEN_ROWS(BF16_SET)};
static TileFn *const by_row[][3] = {EVERY_ROWS(ROW_ENTRY)};
static TileFn *const by_column[][3] = {TILE_EVEN_ROWS(COLUMN_ENTRY)};

enum { LINE = 16 }; /* floats per cache line */

/* Computes one tile of `cols` columns and moves `t` to the next. */
static NOINLINE void make_tile(Tile *t, int rows, int64_t cols, TileFn *fn)
{
    if (t->prefetch) {
        for (int i = 0; i < rows; i++) {
            for (int64_t j = 0; j < cols; j += LINE)
                __builtin_prefetch(t->prefetch + i * t->prefetch_ld + j);
        }
    }
    if (t->a_next) {
        for (int i = 0; i < rows; i++) {
            for (int64_t k = 0; k < t->a_next_part; k += LINE)
                __builtin_prefetch(t->a_next + i * t->a_next_row + k, 0, 2);
        }
        t->a_next += t->a_next_part;
    }
    fn(t);
    t->c += cols;
    t->b += cols / TILE_COLS * t->b_panel;
    t->wide = t->wide ? t->wide + cols * t->len : NULL;
    t->prefetch = t->prefetch ? t->prefetch + cols : NULL;
}

void FN(tile_sweep)(Tile t, int rows, int64_t n, TileFn *const fn[3])
{
    const int64_t widest = WIDEST(rows) * VW;
    if (t.a_next)
        t.a_next_part = div_up(div_up(t.len, LINE), MAX(n / widest, 1)) * LINE;
    for (; n >= widest; n -= widest)
        make_tile(&t, rows, widest, fn[2]);
    for (; n >= TILE_COLS; n -= TILE_COLS)
        make_tile(&t, rows, TILE_COLS, fn[1]);
    if (n == VW && fn[0] != fn[1]) {
        fn[0](&t);
    } else if (n > 0) { /* the last columns, in a buffer: memory right of C must not be written */
        float edge[TILE_ROWS * TILE_COLS];
        float *c = t.c;
        const int64_t ldc = t.ldc;
        for (int i = 0; i < rows && !t.first; i++) {
            memcpy(edge + i * TILE_COLS, c + i * ldc, (size_t)n * sizeof *c);
            memset(edge + i * TILE_COLS + n, 0, (size_t)(TILE_COLS - n) * sizeof *c);
        }
        t.c = edge;
        t.ldc = TILE_COLS;
        fn[n > VW](&t);
        for (int i = 0; i < rows; i++)
            memcpy(c + i * ldc, edge + i * TILE_COLS, (size_t)n * sizeof *c);
    }
}

void FN(tile_sweep_even)(Tile t, int rows, int64_t n, TileFn *const fns[][3])
{
    const int even = rows > 1 ? rows / 2 * 2 : 1;
    FN(tile_sweep)(t, even, n, fns[even / 2]);
    if (even < rows) {
        t.a += even * t.a_row;
        t.c += even * t.ldc;
        t.wide = NULL;
        t.prefetch = t.prefetch ? t.prefetch + even * t.prefetch_ld : NULL;
        t.a_next = t.a_next ? t.a_next + even * t.a_next_row : NULL;
        FN(tile_sweep)(t, 1, n, fns[0]);
    }
}

void FN(tile_row)(Tile t, int rows, int64_t n)
{
    if (t.unit == UNIT_BF16_AMX || t.unit == UNIT_INT8_AMX)
        FN(amx_row)(t, rows, n);
    else if (t.unit == UNIT_BF16 || t.unit == UNIT_INT8)
        FN(dots_row)(t, rows, n);
    else if (t.unit != UNIT_F32)
        FN(tile_sweep_even)(t, rows, n, t.unit == UNIT_HALF_F16 ? of_f16 : of_bf16);
    else if (t.a_step != 1)
        FN(tile_sweep_even)(t, rows, n, by_column);
    else
        FN(tile_sweep)(t, rows, n, by_row[rows - 1]);
}

#if BY_PANEL
void FN(tile_panel)(Tile t, int64_t M, int64_t tiles, int64_t n)
{
    const float *next = t.b + t.b_panel;
    const int64_t lines = t.len * t.b_row / LINE;
    const bool even = t.unit != UNIT_F32;
    for (int64_t r = 0; r < tiles; r++) {
        const int64_t m = tile_begin(M, tiles, r, even), rows = tile_begin(M, tiles, r + 1, even) - m;
        if (t.unit == UNIT_F32 && r > 0) {
            t.ahead = next + part_begin(lines, tiles - 1, r - 1) * LINE;
            t.ahead_step = div_up(LINE, tiles - 1);
        }
        for (int64_t i = part_begin(lines, tiles, r); t.unit != UNIT_F32 && i < part_begin(lines, tiles, r + 1); i++)
            __builtin_prefetch(next + i * LINE, 0, 2);
        if (n == TILE_COLS && t.unit == UNIT_F32)
            (r > 0 ? in_cache[rows - 1] : by_row[rows - 1][1])(&t);
        else if (n == TILE_COLS && t.unit == UNIT_INT8 && (rows % 2 == 0 || rows == 1))
            FN(dots_tile)(rows)(&t);
        else
            FN(tile_row)(t, (int)rows, n);
        t.a += rows * t.a_row;
        t.c += rows * t.ldc;
        if (t.wide) { /* the first tile has converted the panel to float32 for all others */
            t.unit = UNIT_F32;
            t.b = t.wide;
            t.b_row = TILE_COLS;
            t.wide = NULL;
        }
    }
}
#endif

void FN(tile_pack)(int64_t K, int64_t n, const float *B, int64_t b_row, int64_t b_col, float *panel)
{
    if (b_col == 1 && n == TILE_COLS) {
        for (int64_t k = 0; k < K; k++) {
            v_store(panel + k * TILE_COLS, v_load(B + k * b_row));
            v_store(panel + k * TILE_COLS + VW, v_load(B + k * b_row + VW));
        }
        return;
    }
    int64_t squares_k = 0, squares_n = 0; /* the part that is packed by 4 x 4 transposes */
    if (b_row == 1) {
        squares_k = K / 4 * 4;
        squares_n = n / 4 * 4;
        for (int64_t j = 0; j < squares_n; j += 4) {
            for (int64_t k = 0; k < squares_k; k += 4)
                transpose4(B + k + j * b_col, b_col, panel + k * TILE_COLS + j, TILE_COLS);
        }
    }
    for (int64_t k = 0; k < K; k++) {
        for (int64_t j = k < squares_k ? squares_n : 0; j < TILE_COLS; j++)
            panel[k * TILE_COLS + j] = j < n ? B[k * b_row + j * b_col] : 0.0f;
    }
}

/* The part of the epilogue that needs one instruction per vector and operand, with the activations that only limit the
 * value. */
INLINE vf finish_vector(const Finish *f, vf low, vf high, vf x, vf y, vf bias, vf residual)
{
    x = x * f->alpha;
    if (f->beta != 0.0f)
        x = v_fma(v_set(f->beta), y, x);
    if (f->bias)
        x = x + bias;
    if (f->residual)
        x = x + residual;
    return v_min(high, v_max(low, x));
}

void FN(tile_finish)(const Finish *finish, int64_t rows, int64_t n, const float *x, int64_t ldx, float *y, int64_t ldy)
{
    const Finish f = *finish; /* a local copy: a store to y cannot change it */
    const bool limits = f.act == ACT_NONE || f.act == ACT_RELU || f.act == ACT_RELU6;
    const vf none = v_zero(), low = limits && f.act != ACT_NONE ? none : v_set(-__builtin_inff());
    const vf high = v_set(f.act == ACT_RELU6 ? 6.0f : __builtin_inff());
    for (int64_t i = 0; i < rows; i++, x += ldx, y += ldy) {
        const float *residual = f.residual ? f.residual + i * f.ldr : NULL;
        int64_t j = 0;
        for (; j + VW <= n; j += VW)
            v_store(y + j, finish_vector(&f, low, high, v_load(x + j), f.beta != 0.0f ? v_load(y + j) : none,
                                         f.bias ? v_load(f.bias + j) : none, residual ? v_load(residual + j) : none));
        if (j < n) {
            const int rest = (int)(n - j);
            v_store_n(y + j,
                      finish_vector(&f, low, high, v_load_n(x + j, rest), f.beta != 0.0f ? v_load_n(y + j, rest) : none,
                                    f.bias ? v_load_n(f.bias + j, rest) : none,
                                    residual ? v_load_n(residual + j, rest) : none),
                      rest);
        }
        if (!limits)
            FN(act_span)(f.act, f.act_param, n, y, y);
    }
}
