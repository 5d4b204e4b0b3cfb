/* kernels/cuda/gemm/gemm.cu: the matrix product of the table: how a product is computed, which operands are converted
 * in scratch memory, and in what order. */
#include "kernels/cuda/gemm/gemm.h"

/* How a product is computed. Operands that a kernel cannot read in place are first converted or copied in scratch
 * memory:
 * - A, to the type and the line length of packed weights.
 * - A 16-bit operand whose other operand has another type, to float32.
 * - A 16-bit operand that cannot be copied by 16 bytes, to aligned lines with K inner. */
typedef struct Plan {
    Unit unit;
    int parts; /* parts of A, 1 or 2 */
    /* numbers between the beginnings of two lines in scratch memory; 0: the operand is always read in place */
    int64_t a_line, b_line;
    size_t a_bytes, b_bytes; /* in scratch memory; the scales of A come after the operands */
    size_t scale_bytes, zero_bytes;
    size_t partial_bytes; /* of f32_product */
    Tile tile;
} Plan;

static Plan make_plan(const Gemm *g, Unit f32_unit)
{
    const Pack pack = g->packed ? pack_type(g->pack) : PACK_F32;
    const bool both_narrow = !g->packed && g->A_type == g->B_type && g->A_type != F32;
    Plan p = {};
    p.parts = 1;
    p.unit = both_narrow         ? (g->A_type == F16 ? UNIT_F16 : UNIT_BF16)
             : pack == PACK_F16  ? UNIT_F16
             : pack == PACK_BF16 ? UNIT_BF16
             : pack == PACK_INT8 ? UNIT_INT8
                                 : f32_unit;
    p.tile = p.unit == UNIT_F32 ? f32_tile(g->M, g->N) : tensor_tile(g->M, g->N);
    if (p.unit == UNIT_F32 || p.unit == UNIT_TF32) {
        p.partial_bytes = p.unit == UNIT_F32 ? f32_partial_bytes(g->M, g->N, g->K, p.tile) : 0;
        p.a_line = g->A_type == F32 ? 0 : round_up(g->K, 4);
        p.b_line = g->packed || g->B_type == F32 ? 0 : round_up(g->N, 4);
        p.a_bytes = (size_t)g->M * (size_t)p.a_line * sizeof(float);
        p.b_bytes = (size_t)g->K * (size_t)p.b_line * sizeof(float);
        return p;
    }
    p.parts = p.unit == UNIT_F16 && g->A_type != F16 ? 2 : 1;
    p.a_line = pack_line(p.unit == UNIT_INT8 ? PACK_INT8 : PACK_BF16, g->K, g->N);
    p.b_line = both_narrow ? p.a_line : 0;
    p.a_bytes = (size_t)(g->M * p.a_line * p.parts) * (p.unit == UNIT_INT8 ? 1 : sizeof(uint16_t));
    p.b_bytes = (size_t)(g->N * p.b_line) * sizeof(uint16_t);
    p.scale_bytes = p.unit == UNIT_INT8 || p.parts == 2 ? size_round_up((size_t)g->M * sizeof(float), STEP_BYTES) : 0;
    p.zero_bytes = p.unit == UNIT_INT8 ? size_round_up((size_t)g->M * sizeof(int32_t), STEP_BYTES) : 0;
    return p;
}

/* The size is for UNIT_F32, and is enough for UNIT_TF32. It does not depend on addresses: if an operand turns out to be
 * readable in place, its scratch memory is not used. */
size_t cuda_gemm_work(const Run *run, const Gemm *g)
{
    (void)run;
    if (g->M == 0 || g->N == 0)
        return 0;
    const Plan p = make_plan(g, UNIT_F32);
    return size_round_up(p.a_bytes, STEP_BYTES) + size_round_up(p.b_bytes, STEP_BYTES) + p.scale_bytes + p.zero_bytes +
           p.partial_bytes;
}

static bool by_wgmma(const Plan *p) /* if the level has wgmma */
{
    return p->tile == TILE_128 && (p->unit == UNIT_F16 || p->unit == UNIT_BF16);
}

static Way way_of(const Gemm *g, Unit f32_unit, bool wgmma)
{
    static const char *const TILES[TILE_COUNT] = {"128x128", "64x64", "32x32", "8x32", "32x8", "16x64"};
    static const struct {
        const char *name, *why;
    } UNITS[] = {{"f32", "multiply-adds, one chain per element"},
                 {"tf32", "tensor cores, operands rounded to 10 bits of fraction: cuda:tf32"},
                 {"f16", "tensor cores; a float32 A is two numbers of f16"},
                 {"bf16", "tensor cores; A is rounded to bf16"},
                 {"int8", "tensor cores, exact sums, then scales"}};
    const Plan p = make_plan(g, f32_unit);
    Way way = {};
    way.why = UNITS[p.unit].why;
    if (p.unit == UNIT_F32)
        way.why =
            p.tile == TILE_8_ROWS || p.tile == TILE_8_COLUMNS ? "few rows or columns: the other operand is read once"
            : p.tile == TILE_128                              ? "enough large tiles to fill the card"
                                 : "a smaller tile, as larger ones would leave multiprocessors idle: K is not split";
    const bool asynchronous = wgmma && by_wgmma(&p);
    way.why = asynchronous ? "tensor cores by wgmma on an H100, else by mma.sync: cuda:wgmma" : way.why;
    snprintf(way.name, sizeof way.name, "%s %s%s", UNITS[p.unit].name, asynchronous ? "wgmma " : "", TILES[p.tile]);
    return way;
}
Way cuda_gemm_way(const Run *run, const Gemm *g)
{
    (void)run;
    return way_of(g, UNIT_F32, false);
}
Way cuda_gemm_way_tf32(const Run *run, const Gemm *g)
{
    (void)run;
    return way_of(g, UNIT_TF32, false);
}
Way cuda_gemm_way_wgmma(const Run *run, const Gemm *g)
{
    (void)run;
    return way_of(g, UNIT_F32, true);
}

Finish finish_of(const Gemm *g)
{
    Finish f = {};
    f.M = g->M;
    f.N = g->N;
    f.alpha = g->alpha;
    f.beta = g->beta;
    f.bias = g->bias;
    f.residual = g->residual;
    f.residual_type = g->residual_type;
    f.C_type = g->C_type;
    f.ldr = g->ldr;
    f.ldc = g->ldc;
    f.C = g->C;
    f.act = g->act;
    f.act_param = g->act_param;
    f.vectors = g->C_type == F32 && aligned16(g->C) && g->ldc % 4 == 0 &&
                (!g->residual || (g->residual_type == F32 && aligned16(g->residual) && g->ldr % 4 == 0));
    return f;
}

/* Returns an operand. k_inner: the kernel copies groups of 16 bytes along K; otherwise along `count`. */
static Side side_of(const void *p, DType type, int64_t step, int64_t k_step, int64_t count, int64_t K, bool k_inner)
{
    const int64_t bytes = (int64_t)dtype_bytes(type), across = k_inner ? step : k_step;
    Side s = {p, step, k_step, count, K, false};
    s.wide = (k_inner ? k_step : step) == 1 && aligned16(p) && across * bytes % 16 == 0;
    return s;
}

/* Returns the operand [count, K] in float32. The steps may have any size. If its type is not float32, it is first
 * converted to `work`.
 *
 * - k_inner: as in side_of.
 * - k_lines: `work` is [count, line], with K numbers used in each line. Otherwise it is [K, line], with `count` numbers
 *   used in each line. */
static Side f32_side(const Run *run, const void *p, DType type, int64_t step, int64_t k_step, int64_t count, int64_t K,
                     bool k_inner, bool k_lines, float *work, int64_t line)
{
    if (type == F32)
        return side_of(p, F32, step, k_step, count, K, k_inner);
    if (k_lines)
        copy_matrix(run, count, K, type, p, step, k_step, F32, work, line);
    else
        copy_matrix(run, K, count, type, p, k_step, step, F32, work, line);
    return side_of(work, F32, k_lines ? line : 1, k_lines ? 1 : line, count, K, k_inner);
}
static void wide_product(const Run *run, const Gemm *g, const Plan *p)
{
    const bool k_inner = p->unit == UNIT_TF32;
    float *a_work = (float *)run->work;
    float *b_work = (float *)((char *)run->work + size_round_up(p->a_bytes, STEP_BYTES));
    const int64_t line = pack_line(PACK_F32, g->K, g->N);
    const Side a = f32_side(run, g->A, g->A_type, g->a_row, g->a_col, g->M, g->K, k_inner, true, a_work, p->a_line);
    const Side b =
        g->packed ? side_of(g->packed, F32, 1, line, g->N, g->K, k_inner)
                  : f32_side(run, g->B, g->B_type, g->b_col, g->b_row, g->N, g->K, k_inner, false, b_work, p->b_line);
    if (p->unit == UNIT_TF32)
        tensor_product(run, UNIT_TF32, a, b, finish_of(g), p->tile);
    else
        f32_product(run, a, b, finish_of(g), p->tile,
                    (float *)((char *)b_work + size_round_up(p->b_bytes, STEP_BYTES)));
}

/* Returns the operand [count, K] in the 16-bit type `type`, for a kernel that copies groups of 16 bytes along K. If the
 * operand has another type, or if its rows cannot be copied in such groups, it is first copied to `work` [count, line].
 */
static Side half_side(const Run *run, DType type, const void *p, DType p_type, int64_t step, int64_t k_step,
                      int64_t count, int64_t K, void *work, int64_t line)
{
    const Side s = side_of(p, type, step, k_step, count, K, true);
    if (p_type == type && s.wide)
        return s;
    copy_matrix(run, count, K, p_type, p, step, k_step, type, work, line);
    return side_of(work, type, line, 1, count, K, true);
}
static void narrow_product(const Run *run, const Gemm *g, const Plan *p, bool wgmma)
{
    const DType type = p->unit == UNIT_F16 ? F16 : BF16;
    char *work = (char *)run->work, *b_work = work + size_round_up(p->a_bytes, STEP_BYTES);
    char *scale = b_work + size_round_up(p->b_bytes, STEP_BYTES);
    Finish f = finish_of(g);
    Side a, b;
    if (p->unit == UNIT_INT8) {
        const float *column_scale = (const float *)((const int8_t *)g->packed + g->N * p->a_line);
        f.row_scale = (float *)scale;
        f.row_zero = (int32_t *)(scale + p->scale_bytes);
        f.column_scale = column_scale;
        f.column_sum = (const int32_t *)(column_scale + g->N);
        quantise_rows(run, g->M, g->K, g->A_type, g->A, g->a_row, g->a_col, (int8_t *)work, p->a_line, (float *)scale,
                      (int32_t *)(scale + p->scale_bytes));
        a = side_of(work, I8, p->a_line, 1, g->M, p->a_line, true);
    } else if (p->parts == 2) {
        f.row_scale = (float *)scale;
        split_rows(run, g->M, g->K, g->A_type, g->A, g->a_row, g->a_col, (Half *)work, p->a_line, (float *)scale);
        a = side_of(work, F16, 2 * p->a_line, 1, g->M, 2 * p->a_line, true);
    } else {
        a = half_side(run, type, g->A, g->A_type, g->a_row, g->a_col, g->M, g->K, work, p->a_line);
    }
    if (g->packed)
        b = side_of(g->packed, p->unit == UNIT_INT8 ? I8 : type, p->a_line, 1, g->N, p->parts == 2 ? p->a_line : a.K,
                    true);
    else
        b = half_side(run, type, g->B, g->B_type, g->b_col, g->b_row, g->N, g->K, b_work, p->b_line);
    if (!wgmma || !by_wgmma(p) || !wgmma_product(run, p->unit, a, b, f))
        tensor_product(run, p->unit, a, b, f, p->tile);
}

static void product(const Run *run, const Gemm *g, Unit f32_unit, bool wgmma)
{
    const Plan p = make_plan(g, f32_unit);
    if (g->M == 0 || g->N == 0)
        return;
    if (p.unit == UNIT_F32 || p.unit == UNIT_TF32)
        wide_product(run, g, &p);
    else
        narrow_product(run, g, &p, wgmma);
}
void cuda_gemm(const Run *run, const Gemm *g)
{
    product(run, g, UNIT_F32, false);
}
void cuda_gemm_tf32(const Run *run, const Gemm *g)
{
    product(run, g, UNIT_TF32, false);
}
void cuda_gemm_wgmma(const Run *run, const Gemm *g)
{
    product(run, g, UNIT_F32, true);
}
