/* tests/cases/gemm.c: cases of kernels/cpu/gemm/gemm.c:
 *
 *   C [M,N] = act(alpha A [M,K] B [K,N] + beta C + bias [N] + residual [M,N])
 *
 * `pad` is the number of unused numbers between rows. */
#include <math.h>

#include "kernels/cpu/forms.h"
#include "tests/kernel_cases.h"

/* ---- gemm ------------------------------------------------------------------------------------ */

/* Layouts of A and B: rows are contiguous, columns are contiguous, neither is, or (B only) packed. PACKED + p: packed
 * as the Pack p. */
enum { BY_ROWS, BY_COLUMNS, STRIDED, PACKED };
/* clang-format off */
#define NARROW(pack) \
    {.gemm = {.M = 0, .N = 5, .K = 5, .B = PACKED + (pack), .alpha4 = 4}}, \
    {.gemm = {.M = 5, .N = 7, .K = 0, .B = PACKED + (pack), .alpha4 = 4, .bias = 1}}, \
    {.gemm = {.M = 1, .N = 70, .K = 33, .B = PACKED + (pack), .alpha4 = 4, .bias = 1}}, \
    {.gemm = {.M = 5, .N = 31, .K = 7, .B = PACKED + (pack), .alpha4 = 2, .beta4 = 1, .bias = 1, .residual = 1, \
              .act = ACT_RELU, .pad = 3}}, \
    {.gemm = {.M = 13, .N = 63, .K = 41, .B = PACKED + (pack), .alpha4 = 4, .beta4 = 4, .residual = 2}}, \
    {.gemm = {.M = 29, .N = 40, .K = 70, .B = PACKED + (pack), .alpha4 = 4, .beta4 = 4, .bias = 1, .residual = 1, \
              .act = ACT_GELU, .pad = 1}}, \
    {.gemm = {.M = 40, .N = 70, .K = 1001, .B = PACKED + (pack), .alpha4 = 4, .bias = 1, .residual = 2, .pad = 3}}, \
    {.gemm = {.M = 130, .N = 700, .K = 50, .B = PACKED + (pack), .alpha4 = 4}}, \
    {.gemm = {.M = 6, .N = 33, .K = 3072, .B = PACKED + (pack), .alpha4 = 4, .beta4 = 2, .bias = 1}}, \
    {.gemm = {.M = 15, .N = 32, .K = 1025, .B = PACKED + (pack), .alpha4 = 4}}
static const Case gemm_cases[] = {
    {.gemm = {.M = 0, .N = 5, .K = 5, .alpha4 = 4}},
    {.gemm = {.M = 5, .N = 0, .K = 5, .alpha4 = 4}},
    {.gemm = {.M = 5, .N = 7, .K = 0, .alpha4 = 4, .bias = 1}},
    {.gemm = {.M = 3, .N = 5, .K = 0, .alpha4 = 4, .beta4 = 4}},
    {.gemm = {.M = 1, .N = 1, .K = 1, .alpha4 = 4}},
    {.gemm = {.M = 1, .N = 70, .K = 33, .alpha4 = 4}},
    {.gemm = {.M = 1, .N = 70, .K = 33, .B = BY_COLUMNS, .alpha4 = 4}},
    {.gemm = {.M = 1, .N = 300, .K = 40, .B = PACKED, .alpha4 = 4, .bias = 1, .act = ACT_GELU}},
    {.gemm = {.M = 2, .N = 67, .K = 20, .B = PACKED, .alpha4 = 4}},
    {.gemm = {.M = 3, .N = 133, .K = 9, .A = BY_COLUMNS, .alpha4 = 4}},
    {.gemm = {.M = 3, .N = 5, .K = 401, .alpha4 = 4}},
    {.gemm = {.M = 4, .N = 64, .K = 100, .alpha4 = 4, .residual = 1}},
    {.gemm = {.M = 5, .N = 31, .K = 7, .A = STRIDED, .B = STRIDED, .alpha4 = 2, .beta4 = 1, .bias = 1, .residual = 1,
              .act = ACT_RELU, .pad = 3}},
    {.gemm = {.M = 6, .N = 33, .K = 64, .B = PACKED, .alpha4 = 4, .bias = 1, .act = ACT_RELU6}},
    {.gemm = {.M = 7, .N = 129, .K = 50, .A = BY_COLUMNS, .B = BY_COLUMNS, .alpha4 = 4, .beta4 = 4, .pad = 1}},
    {.gemm = {.M = 8, .N = 17, .K = 5, .alpha4 = 4, .beta4 = 2, .act = ACT_TANH, .pad = 2}},
    {.gemm = {.M = 9, .N = 100, .K = 31, .B = BY_COLUMNS, .alpha4 = 2, .bias = 1, .act = ACT_SIGMOID}},
    {.gemm = {.M = 10, .N = 65, .K = 16, .A = BY_COLUMNS, .B = PACKED, .alpha4 = 4, .beta4 = 4, .bias = 1, .pad = 5}},
    {.gemm = {.M = 11, .N = 15, .K = 2, .alpha4 = 4, .bias = 1, .residual = 2, .act = ACT_SWISH, .pad = 1}},
    {.gemm = {.M = 12, .N = 16, .K = 3, .B = STRIDED, .alpha4 = 4}},
    {.gemm = {.M = 13, .N = 63, .K = 40, .B = PACKED, .alpha4 = 4, .beta4 = 4, .residual = 2}},
    {.gemm = {.M = 14, .N = 64, .K = 64, .alpha4 = 4, .bias = 1, .residual = 1, .act = ACT_GELU_TANH}},
    {.gemm = {.M = 15, .N = 96, .K = 33, .A = STRIDED, .B = BY_COLUMNS, .alpha4 = 4, .act = ACT_LEAKY_RELU}},
    {.gemm = {.M = 29, .N = 40, .K = 70, .B = PACKED, .alpha4 = 4, .bias = 1, .residual = 1, .act = ACT_SOFTPLUS}},
    {.gemm = {.M = 40, .N = 3, .K = 70, .alpha4 = 4}},
    {.gemm = {.M = 40, .N = 70, .K = 1000, .B = PACKED, .alpha4 = 4, .bias = 1, .residual = 2, .pad = 3}},
    {.gemm = {.M = 40, .N = 70, .K = 1000, .A = BY_COLUMNS, .alpha4 = 4, .beta4 = 2}},
    {.gemm = {.M = 130, .N = 700, .K = 50, .B = BY_COLUMNS, .alpha4 = 4}},
    {.gemm = {.M = 130, .N = 700, .K = 50, .A = BY_COLUMNS, .B = PACKED, .alpha4 = 4, .beta4 = 4}},
    {.gemm = {.M = 600, .N = 20, .K = 40, .A = BY_COLUMNS, .alpha4 = 4}},
    {.gemm = {.M = 17, .N = 33, .K = 512, .B = BY_COLUMNS, .alpha4 = 4, .beta4 = 4, .pad = 1}},
    {.gemm = {.M = 40, .N = 1100, .K = 512, .B = PACKED, .alpha4 = 4, .bias = 1, .residual = 1}},
    {.gemm = {.M = 40, .N = 1100, .K = 512, .B = PACKED, .alpha4 = 4, .beta4 = 2, .residual = 2}},
    {.gemm = {.M = 40, .N = 40, .K = 1024, .alpha4 = 4}},
    {.gemm = {.M = 260, .N = 350, .K = 400, .alpha4 = 4, .beta4 = 1}},
    NARROW(PACK_F16),
    NARROW(PACK_BF16_WIDE),
    NARROW(PACK_BF16_DOTS),
    NARROW(PACK_BF16_AMX),
    NARROW(PACK_INT8_DOTS),
    NARROW(PACK_INT8_AMX),
    {.gemm = {.M = 197, .N = 768, .K = 768, .B = PACKED, .alpha4 = 4, .bias = 1}, .timed = true},
    {.gemm = {.M = 197, .N = 3072, .K = 768, .B = PACKED, .alpha4 = 4, .bias = 1, .act = ACT_GELU}, .timed = true},
    {.gemm = {.M = 197, .N = 768, .K = 3072, .B = PACKED, .alpha4 = 4, .bias = 1, .residual = 1}, .timed = true},
    {.gemm = {.M = 128, .N = 1152, .K = 384, .B = PACKED, .alpha4 = 4, .bias = 1}, .timed = true},
    {.gemm = {.M = 128, .N = 384, .K = 384, .B = PACKED, .alpha4 = 4, .bias = 1, .residual = 1}, .timed = true},
    {.gemm = {.M = 128, .N = 1536, .K = 384, .B = PACKED, .alpha4 = 4, .bias = 1, .act = ACT_GELU}, .timed = true},
    {.gemm = {.M = 128, .N = 384, .K = 1536, .B = PACKED, .alpha4 = 4, .bias = 1, .residual = 1}, .timed = true},
    {.gemm = {.M = 1024, .N = 1024, .K = 1024, .alpha4 = 4}, .timed = true},
    {.gemm = {.M = 1, .N = 768, .K = 768, .B = PACKED, .alpha4 = 4}, .timed = true},
    {.gemm = {.M = 2048, .N = 7050, .K = 64, .B = BY_COLUMNS, .alpha4 = 4}, .timed = true},
    {.gemm = {.M = 2800, .N = 64, .K = 4480, .alpha4 = 4}, .timed = true},
    {.gemm = {.M = 4480, .N = 64, .K = 2800, .A = BY_COLUMNS, .alpha4 = 4}, .timed = true},
    {.gemm = {.M = 2800, .N = 4480, .K = 64, .B = BY_COLUMNS, .alpha4 = 4}, .timed = true},
};
/* clang-format on */
enum { GEMM_A, GEMM_B, GEMM_C, GEMM_BIAS, GEMM_RESIDUAL, GEMM_PACKED };
static const float LEAK = 0.1f;

static Pack pack_of(const Case *s)
{
    return s->gemm.B > PACKED ? (Pack)(s->gemm.B - PACKED) : PACK_F32;
}
/* M is 0 if this level or this processor does not support the packed type. */
static Gemm gemm_of(const Job *j, const Case *s)
{
    Gemm g = {.M = j->k->gemm_packs(pack_of(s)) ? s->gemm.M : 0,
              .N = s->gemm.N,
              .K = s->gemm.K,
              .alpha = (float)s->gemm.alpha4 / 4,
              .beta = (float)s->gemm.beta4 / 4,
              .act = (Act)s->gemm.act,
              .act_param = LEAK};
    g.a_row = s->gemm.A == BY_COLUMNS ? 1 : s->gemm.A == STRIDED ? 2 * s->gemm.K + 3 : s->gemm.K + s->gemm.pad;
    g.a_col = s->gemm.A == BY_COLUMNS ? s->gemm.M + s->gemm.pad : s->gemm.A == STRIDED ? 2 : 1;
    g.b_row = s->gemm.B == BY_COLUMNS ? 1 : s->gemm.B == STRIDED ? 3 : s->gemm.N + s->gemm.pad;
    g.b_col = s->gemm.B == BY_COLUMNS ? s->gemm.K + s->gemm.pad : s->gemm.B == STRIDED ? 3 * s->gemm.K + 1 : 1;
    g.ldc = s->gemm.N + s->gemm.pad;
    g.ldr = s->gemm.N + s->gemm.pad;
    if (j->n > GEMM_PACKED) {
        g.A = f32_of(j, GEMM_A);
        g.B = s->gemm.B >= PACKED ? NULL : f32_of(j, GEMM_B);
        g.packed = s->gemm.B >= PACKED ? device_of(j, GEMM_PACKED) : NULL;
        g.pack = pack_of(s);
        g.C = f32_of(j, GEMM_C);
        g.bias = s->gemm.bias ? f32_of(j, GEMM_BIAS) : NULL;
        g.residual = s->gemm.residual == 2 ? f32_of(j, GEMM_C) : s->gemm.residual ? f32_of(j, GEMM_RESIDUAL) : NULL;
    }
    return g;
}
/* Returns how much memory, in numbers, an n x m matrix covers whose strides are `step` and `other`. */
static int64_t span(int64_t n, int64_t step, int64_t m, int64_t other)
{
    return n && m ? (n - 1) * step + (m - 1) * other + 1 : 0;
}
static void gemm_make(Job *j, const Case *s)
{
    const Gemm shape = gemm_of(j, s);
    const int64_t M = shape.M, N = s->gemm.N, K = s->gemm.K;
    case_f32(j, "A", ROLE_IN, span(M, shape.a_row, K, shape.a_col));
    case_f32(j, "B", ROLE_IN, span(K, shape.b_row, N, shape.b_col));
    case_f32(j, "C", s->gemm.beta4 || s->gemm.residual == 2 ? ROLE_INOUT : ROLE_OUT, span(M, shape.ldc, N, 1));
    case_f32(j, "bias", ROLE_IN, N);
    case_f32(j, "residual", ROLE_IN, span(M, shape.ldr, N, 1));
    case_bytes(j, "packed", ROLE_IN, s->gemm.B >= PACKED ? j->k->gemm_pack_bytes(pack_of(s), K, N) : 0);
    const Gemm g = gemm_of(j, s);
    case_work(j, j->k->gemm_work(&j->run, &g));
    if (j->ok && s->gemm.B >= PACKED) {
        case_send(j, GEMM_B);
        case_send(j, GEMM_PACKED); /* with the filler round it */
        j->k->gemm_pack(&j->run, pack_of(s), K, N, f32_of(j, GEMM_B), shape.b_row, shape.b_col,
                        device_of(j, GEMM_PACKED));
        case_fetch(j, GEMM_PACKED);
    }
    j->flops = 2.0 * (double)M * (double)N * (double)K;
    j->bytes = 4.0 * (double)(M * K + K * N + M * N);
}
static void gemm_call(Job *j, const Case *s)
{
    const Gemm g = gemm_of(j, s);
    j->k->gemm(&j->run, &g);
}
/* Rounds to the nearest number of `bits` significant bits; the step is at least 2^low. Ties to even, as nearbyint. */
static double round_bits(double x, int bits, int low)
{
    int exponent;
    frexp(x, &exponent);
    const double step = ldexp(1, MAX(exponent - bits, low));
    return nearbyint(x / step) * step;
}
static bool is_bytes(Pack p)
{
    return p == PACK_INT8 || p == PACK_INT8_DOTS || p == PACK_INT8_AMX;
}
/* Returns the smallest scale of a column of B with which AVX2's 16-bit sums of four products do not overflow. The sums
 * are of the rows k, k + 1, k + 4 and k + 5, where k is 0 or 2 above a multiple of 8. The positive bytes of four rows
 * have a sum of at most 256, and of 2 more after rounding; so do the absolute values of the negative bytes. */
static float scale_of_four(const double *B, int64_t K, int64_t b_row)
{
    float scale = 0;
    for (int64_t k = 0; k < K; k += k % 8 == 0 ? 2 : 6) {
        float positive = 0, negative = 0;
        for (int i = 0; i < 4; i++) {
            const int64_t row = k + i % 2 + i / 2 * 4;
            const float x = row < K ? (float)B[row * b_row] : 0;
            positive += fmaxf(x, 0) / 256;
            negative -= fminf(x, 0) / 256;
        }
        scale = fmaxf(scale, fmaxf(positive, negative));
    }
    return scale;
}
/* Replaces B [K,N] by its numbers after packing. int8 numbers are computed by the same float32 steps as in the kernel.
 */
static void packed_exact(const Job *j, double *B, Pack pack, int64_t K, int64_t N, int64_t b_row, int64_t b_col)
{
    const bool bytes = is_bytes(pack), bf16 = !bytes && pack != PACK_F16;
    for (int64_t n = 0; n < N && pack != PACK_F32; n++) {
        float most = 0;
        for (int64_t k = 0; k < K; k++)
            most = fmaxf(most, fabsf((float)B[k * b_row + n * b_col]));
        const bool avx2 = strcmp(j->k->level, "avx2") == 0;
        const float scale = fmaxf(most / 127, avx2 ? scale_of_four(B + n * b_col, K, b_row) : 0);
        for (int64_t k = 0; k < K; k++) {
            double *b = &B[k * b_row + n * b_col];
            const float x = (float)*b;
            *b = !bytes ? round_bits(*b, bf16 ? 8 : 11, bf16 ? -133 : -24)
                        : (double)scale * (double)nearbyintf(avx2 ? x / scale : x / most * 127);
        }
    }
}
/* Replaces B by its numbers after packing, and A by its rounded numbers if the product of this Pack rounds A
 * (kernels.h, Pack). int8 numbers are computed by the same float32 steps as in the kernel. */
static void narrow_exact(Job *j, const Case *s, const Gemm *g)
{
    double *A = exact_of(j, GEMM_A), *B = exact_of(j, GEMM_B);
    const Pack pack = pack_of(s);
    const bool bytes = is_bytes(pack), bf16 = !bytes && pack != PACK_F16;
    packed_exact(j, B, pack, g->K, g->N, g->b_row, g->b_col);
    const float largest = strcmp(j->k->level, "avx2") == 0 ? 127 : 255;
    for (int64_t m = 0; m < g->M && (pack == PACK_BF16_DOTS || pack == PACK_BF16_AMX || bytes); m++) {
        float low = 0, high = 0;
        for (int64_t k = 0; k < g->K; k++) {
            low = fminf(low, (float)A[m * g->a_row + k]);
            high = fmaxf(high, (float)A[m * g->a_row + k]);
        }
        const float range = high - low, scale_a = range > 0 ? largest / range : 0, zero = nearbyintf(-low * scale_a);
        for (int64_t k = 0; k < g->K; k++) {
            double *a = &A[m * g->a_row + k];
            *a = bf16 ? round_bits(*a, 8, -133)
                      : (double)(range / largest) *
                            (double)(nearbyintf(fminf(fmaxf((float)*a * scale_a + zero, 0), largest)) - zero);
        }
    }
}
static void gemm_reference(Job *j, const Case *s)
{
    const Gemm g = gemm_of(j, s);
    narrow_exact(j, s, &g);
    const double *A = exact_of(j, GEMM_A), *B = exact_of(j, GEMM_B),
                 *residual = s->gemm.residual == 2 ? exact_of(j, GEMM_C) : exact_of(j, GEMM_RESIDUAL);
    double *C = exact_of(j, GEMM_C), *rounding = case_rounding(j, GEMM_C);
    for (int64_t m = 0; m < g.M; m++) {
        for (int64_t n = 0; n < g.N; n++) {
            double x = 0, squares = 0;
            for (int64_t k = 0; k < g.K; k++) {
                const double term = A[m * g.a_row + k * g.a_col] * B[k * g.b_row + n * g.b_col];
                x += term;
                squares += term * term;
            }
            rounding[m * g.ldc + n] = ldexp(sqrt((double)g.K * squares), -24);
            x = (double)g.alpha * x + (s->gemm.beta4 ? (double)g.beta * C[m * g.ldc + n] : 0) +
                (s->gemm.bias ? exact_of(j, GEMM_BIAS)[n] : 0);
            x += s->gemm.residual ? residual[m * g.ldr + n] : 0;
            C[m * g.ldc + n] = case_act(g.act, (double)LEAK, x);
        }
    }
}
const Family family_gemm = {.kernel = "gemm",
                            .names = "M N K A B alpha/4 beta/4 bias residual act pad",
                            .cases = gemm_cases,
                            .count = COUNT(gemm_cases),
                            .make = gemm_make,
                            .call = gemm_call,
                            .reference = gemm_reference,
                            .tolerance = 5e-6};

/* ---- gemm_unpack ----------------------------------------------------------------------------- */

/* clang-format off */
#define UNPACK(of) \
    {.unpack = {.pack = (of), .K = 1, .N = 1, .n = 1}}, \
    {.unpack = {.pack = (of), .K = 7, .N = 31, .n = 31, .pad = 2}}, \
    {.unpack = {.pack = (of), .K = 65, .N = 70, .first = 5, .n = 60}}, \
    {.unpack = {.pack = (of), .K = 130, .N = 97, .first = 64, .n = 33, .pad = 1}}, \
    {.unpack = {.pack = (of), .K = 5, .N = 40, .first = 33}}, \
    {.unpack = {.pack = (of), .K = 0, .N = 40, .first = 3, .n = 9}}
static const Case gemm_unpack_cases[] = {UNPACK(PACK_F32), UNPACK(PACK_F16), UNPACK(PACK_BF16),
    UNPACK(PACK_INT8), UNPACK(PACK_BF16_WIDE), UNPACK(PACK_BF16_DOTS), UNPACK(PACK_BF16_AMX),
    UNPACK(PACK_INT8_DOTS), UNPACK(PACK_INT8_AMX)};
/* clang-format on */
enum { UNPACK_B, UNPACK_OUT, UNPACK_PACKED };

static void gemm_unpack_make(Job *j, const Case *s)
{
    const Pack pack = (Pack)s->unpack.pack;
    const int64_t K = s->unpack.K, N = s->unpack.N, n = s->unpack.n;
    case_f32(j, "B", ROLE_IN, K * N);
    case_f32(j, "out", s->unpack.pad ? ROLE_INOUT : ROLE_OUT, span(K, n + s->unpack.pad, n, 1));
    case_bytes(j, "packed", ROLE_IN, j->k->gemm_pack_bytes(pack, K, N));
    if (j->ok) {
        case_send(j, UNPACK_B);
        case_send(j, UNPACK_PACKED);
        j->k->gemm_pack(&j->run, pack, K, N, f32_of(j, UNPACK_B), N, 1, device_of(j, UNPACK_PACKED));
        case_fetch(j, UNPACK_PACKED);
    }
    j->bytes = 6.0 * (double)(K * n);
}
static void gemm_unpack_call(Job *j, const Case *s)
{
    j->k->gemm_unpack(&j->run, (Pack)s->unpack.pack, s->unpack.K, s->unpack.N, device_of(j, UNPACK_PACKED),
                      s->unpack.first, s->unpack.n, f32_of(j, UNPACK_OUT), s->unpack.n + s->unpack.pad);
}
static void gemm_unpack_reference(Job *j, const Case *s)
{
    const int64_t K = s->unpack.K, N = s->unpack.N, n = s->unpack.n;
    double *B = exact_of(j, UNPACK_B);
    packed_exact(j, B, (Pack)s->unpack.pack, K, N, N, 1);
    for (int64_t k = 0; k < K; k++)
        for (int64_t i = 0; i < n; i++)
            exact_of(j, UNPACK_OUT)[k * (n + s->unpack.pad) + i] = B[k * N + s->unpack.first + i];
}
const Family family_gemm_unpack = {.kernel = "gemm_unpack",
                                   .names = "pack K N first n pad",
                                   .cases = gemm_unpack_cases,
                                   .count = COUNT(gemm_unpack_cases),
                                   .make = gemm_unpack_make,
                                   .call = gemm_unpack_call,
                                   .reference = gemm_unpack_reference,
                                   .tolerance = 1e-6};
