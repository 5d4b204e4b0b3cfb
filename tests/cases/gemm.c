/* tests/cases/gemm.c: Cases of kernels/cpu/gemm/gemm.c. */
#include <math.h>

#include "tests/kernel_cases.h"

/* ---- gemm ------------------------------------------------------------------------------------ */

enum { BY_ROWS, BY_COLUMNS, STRIDED, PACKED }; /* how A and B lie; PACKED + p: packed to Pack p */
enum {
    M_,
    N_,
    K_,
    A_LIES,
    B_LIES,
    ALPHA,
    BETA,
    BIAS,
    RESIDUAL,
    ACT,
    PAD
}; /* alpha and beta in quarters; residual 2: C itself */
#define NARROW(pack)                                                                                                   \
    CASE(0, 5, 5, 0, PACKED + (pack), 4, 0, 0, 0, 0, 0), CASE(5, 7, 0, 0, PACKED + (pack), 4, 0, 1, 0, 0, 0),          \
        CASE(1, 70, 33, 0, PACKED + (pack), 4, 0, 1, 0, 0, 0),                                                         \
        CASE(5, 31, 7, 0, PACKED + (pack), 2, 1, 1, 1, ACT_RELU, 3),                                                   \
        CASE(13, 63, 41, 0, PACKED + (pack), 4, 4, 0, 2, 0, 0),                                                        \
        CASE(29, 40, 70, 0, PACKED + (pack), 4, 4, 1, 1, ACT_GELU, 1),                                                 \
        CASE(40, 70, 1001, 0, PACKED + (pack), 4, 0, 1, 2, 0, 3),                                                      \
        CASE(130, 700, 50, 0, PACKED + (pack), 4, 0, 0, 0, 0, 0),                                                      \
        CASE(6, 33, 3072, 0, PACKED + (pack), 4, 2, 1, 0, 0, 0),                                                       \
        CASE(15, 32, 1025, 0, PACKED + (pack), 4, 0, 0, 0, 0, 0)
static const Case gemm_cases[] = {CASE(0, 5, 5, 0, 0, 4, 0, 0, 0, 0, 0),
                                  CASE(5, 0, 5, 0, 0, 4, 0, 0, 0, 0, 0),
                                  CASE(5, 7, 0, 0, 0, 4, 0, 1, 0, 0, 0),
                                  CASE(3, 5, 0, 0, 0, 4, 4, 0, 0, 0, 0),
                                  CASE(1, 1, 1, 0, 0, 4, 0, 0, 0, 0, 0),
                                  CASE(1, 70, 33, 0, 0, 4, 0, 0, 0, 0, 0),
                                  CASE(1, 70, 33, 0, 1, 4, 0, 0, 0, 0, 0),
                                  CASE(1, 300, 40, 0, 3, 4, 0, 1, 0, ACT_GELU, 0),
                                  CASE(2, 67, 20, 0, 3, 4, 0, 0, 0, 0, 0),
                                  CASE(3, 133, 9, 1, 0, 4, 0, 0, 0, 0, 0),
                                  CASE(4, 64, 100, 0, 0, 4, 0, 0, 1, 0, 0),
                                  CASE(5, 31, 7, 2, 2, 2, 1, 1, 1, ACT_RELU, 3),
                                  CASE(6, 33, 64, 0, 3, 4, 0, 1, 0, ACT_RELU6, 0),
                                  CASE(7, 129, 50, 1, 1, 4, 4, 0, 0, 0, 1),
                                  CASE(8, 17, 5, 0, 0, 4, 2, 0, 0, ACT_TANH, 2),
                                  CASE(9, 100, 31, 0, 1, 2, 0, 1, 0, ACT_SIGMOID, 0),
                                  CASE(10, 65, 16, 1, 3, 4, 4, 1, 0, 0, 5),
                                  CASE(11, 15, 2, 0, 0, 4, 0, 1, 2, ACT_SWISH, 1),
                                  CASE(12, 16, 3, 0, 2, 4, 0, 0, 0, 0, 0),
                                  CASE(13, 63, 40, 0, 3, 4, 4, 0, 2, 0, 0),
                                  CASE(14, 64, 64, 0, 0, 4, 0, 1, 1, ACT_GELU_TANH, 0),
                                  CASE(15, 96, 33, 2, 1, 4, 0, 0, 0, ACT_LEAKY_RELU, 0),
                                  CASE(29, 40, 70, 0, 3, 4, 0, 1, 1, ACT_SOFTPLUS, 0),
                                  CASE(40, 3, 70, 0, 0, 4, 0, 0, 0, 0, 0),
                                  CASE(40, 70, 1000, 0, 3, 4, 0, 1, 2, 0, 3),
                                  CASE(40, 70, 1000, 1, 0, 4, 2, 0, 0, 0, 0),
                                  CASE(130, 700, 50, 0, 1, 4, 0, 0, 0, 0, 0),
                                  CASE(130, 700, 50, 1, 3, 4, 4, 0, 0, 0, 0),
                                  CASE(600, 20, 40, 1, 0, 4, 0, 0, 0, 0, 0),
                                  CASE(17, 33, 512, 0, 1, 4, 4, 0, 0, 0, 1),
                                  CASE(40, 1100, 512, 0, 3, 4, 0, 1, 1, 0, 0),
                                  CASE(40, 1100, 512, 0, 3, 4, 2, 0, 2, 0, 0),
                                  CASE(40, 40, 1024, 0, 0, 4, 0, 0, 0, 0, 0),
                                  CASE(260, 350, 400, 0, 0, 4, 1, 0, 0, 0, 0),
                                  NARROW(PACK_F16),
                                  NARROW(PACK_BF16),
                                  NARROW(PACK_BF16_DOTS),
                                  NARROW(PACK_BF16_AMX),
                                  NARROW(PACK_INT8),
                                  NARROW(PACK_INT8_AMX),
                                  TIMED(197, 768, 768, 0, 3, 4, 0, 1, 0, 0, 0),
                                  TIMED(197, 3072, 768, 0, 3, 4, 0, 1, 0, ACT_GELU, 0),
                                  TIMED(197, 768, 3072, 0, 3, 4, 0, 1, 1, 0, 0),
                                  TIMED(128, 1152, 384, 0, 3, 4, 0, 1, 0, 0, 0),
                                  TIMED(128, 384, 384, 0, 3, 4, 0, 1, 1, 0, 0),
                                  TIMED(128, 1536, 384, 0, 3, 4, 0, 1, 0, ACT_GELU, 0),
                                  TIMED(128, 384, 1536, 0, 3, 4, 0, 1, 1, 0, 0),
                                  TIMED(1024, 1024, 1024, 0, 0, 4, 0, 0, 0, 0, 0),
                                  TIMED(1, 768, 768, 0, 3, 4, 0, 0, 0, 0, 0),
                                  TIMED(2048, 7050, 64, 0, 1, 4, 0, 0, 0, 0, 0),
                                  TIMED(2800, 64, 4480, 0, 0, 4, 0, 0, 0, 0, 0),
                                  TIMED(4480, 64, 2800, 1, 0, 4, 0, 0, 0, 0, 0),
                                  TIMED(2800, 4480, 64, 0, 1, 4, 0, 0, 0, 0, 0)};
enum { GEMM_A, GEMM_B, GEMM_C, GEMM_BIAS, GEMM_RESIDUAL, GEMM_PACKED };
static const float LEAK = 0.1f;

static Pack pack_of(const int64_t *s)
{
    return s[B_LIES] > PACKED ? (Pack)(s[B_LIES] - PACKED) : PACK_F32;
}
/* Of no rows where this level, or this processor, lacks the packed type. */
static Gemm gemm_of(const Job *j, const int64_t *s)
{
    Gemm g = {.M = j->k->gemm_packs(pack_of(s)) ? s[M_] : 0,
              .N = s[N_],
              .K = s[K_],
              .alpha = (float)s[ALPHA] / 4,
              .beta = (float)s[BETA] / 4,
              .act = (Act)s[ACT],
              .act_param = LEAK};
    g.a_row = s[A_LIES] == BY_COLUMNS ? 1 : s[A_LIES] == STRIDED ? 2 * s[K_] + 3 : s[K_] + s[PAD];
    g.a_col = s[A_LIES] == BY_COLUMNS ? s[M_] + s[PAD] : s[A_LIES] == STRIDED ? 2 : 1;
    g.b_row = s[B_LIES] == BY_COLUMNS ? 1 : s[B_LIES] == STRIDED ? 3 : s[N_] + s[PAD];
    g.b_col = s[B_LIES] == BY_COLUMNS ? s[K_] + s[PAD] : s[B_LIES] == STRIDED ? 3 * s[K_] + 1 : 1;
    g.ldc = s[N_] + s[PAD];
    g.ldr = s[N_] + s[PAD];
    if (j->n > GEMM_PACKED) {
        g.A = F32(j, GEMM_A);
        g.B = s[B_LIES] >= PACKED ? NULL : F32(j, GEMM_B);
        g.packed = s[B_LIES] >= PACKED ? j->b[GEMM_PACKED].data : NULL;
        g.pack = pack_of(s);
        g.C = F32(j, GEMM_C);
        g.bias = s[BIAS] ? F32(j, GEMM_BIAS) : NULL;
        g.residual = s[RESIDUAL] == 2 ? F32(j, GEMM_C) : s[RESIDUAL] ? F32(j, GEMM_RESIDUAL) : NULL;
    }
    return g;
}
static int64_t span(int64_t n, int64_t step, int64_t m, int64_t other)
{
    return n && m ? (n - 1) * step + (m - 1) * other + 1 : 0;
}
static void gemm_make(Job *j, const int64_t *s)
{
    const Gemm shape = gemm_of(j, s);
    const int64_t M = shape.M, N = s[N_], K = s[K_];
    case_f32(j, "A", IN, span(M, shape.a_row, K, shape.a_col));
    const float *B = case_f32(j, "B", IN, span(K, shape.b_row, N, shape.b_col));
    case_f32(j, "C", s[BETA] || s[RESIDUAL] == 2 ? INOUT : OUT, span(M, shape.ldc, N, 1));
    case_f32(j, "bias", IN, N);
    case_f32(j, "residual", IN, span(M, shape.ldr, N, 1));
    void *packed = case_bytes(j, "packed", IN, s[B_LIES] >= PACKED ? j->k->gemm_pack_bytes(pack_of(s), K, N) : 0);
    const Gemm g = gemm_of(j, s);
    case_work(j, j->k->gemm_work(&g, j->threads));
    if (j->ok && s[B_LIES] >= PACKED)
        j->k->gemm_pack(&j->run, pack_of(s), K, N, B, shape.b_row, shape.b_col, packed);
    j->flops = 2.0 * (double)M * (double)N * (double)K;
    j->bytes = 4.0 * (double)(M * K + K * N + M * N);
}
static void gemm_call(Job *j, const int64_t *s)
{
    const Gemm g = gemm_of(j, s);
    j->k->gemm(&j->run, &g);
}
/* The nearest number of `bits` significant ones, at least 2^low apart; ties to even, as nearbyint. */
static double round_bits(double x, int bits, int low)
{
    int exponent;
    frexp(x, &exponent);
    const double step = ldexp(1, MAX(exponent - bits, low));
    return nearbyint(x / step) * step;
}
/* What narrow weights leave of B, and of A where it meets them narrow: kernels.h, Pack. The bytes by the same float32
 * steps. */
static void narrow_exact(Job *j, const int64_t *s, const Gemm *g)
{
    double *A = EXACT(j, GEMM_A), *B = EXACT(j, GEMM_B);
    const Pack pack = pack_of(s);
    const bool bytes = pack == PACK_INT8 || pack == PACK_INT8_AMX, bf16 = !bytes && pack != PACK_F16;
    for (int64_t n = 0; n < g->N && pack != PACK_F32; n++) {
        float most = 0;
        for (int64_t k = 0; k < g->K; k++)
            most = fmaxf(most, fabsf((float)B[k * g->b_row + n * g->b_col]));
        for (int64_t k = 0; k < g->K; k++) {
            double *b = &B[k * g->b_row + n * g->b_col];
            *b = !bytes ? round_bits(*b, bf16 ? 8 : 11, bf16 ? -133 : -24)
                        : (double)(most / 127.0f) * (double)nearbyintf((float)*b / most * 127.0f);
        }
    }
    const float top = strcmp(j->k->level, "avx2") == 0 ? 127 : 255;
    for (int64_t m = 0; m < g->M && (pack == PACK_BF16_DOTS || pack == PACK_BF16_AMX || bytes); m++) {
        float low = 0, high = 0;
        for (int64_t k = 0; k < g->K; k++) {
            low = fminf(low, (float)A[m * g->a_row + k]);
            high = fmaxf(high, (float)A[m * g->a_row + k]);
        }
        const float range = high - low, by = range > 0 ? top / range : 0, zero = nearbyintf(-low * by);
        for (int64_t k = 0; k < g->K; k++) {
            double *a = &A[m * g->a_row + k];
            *a = bf16
                     ? round_bits(*a, 8, -133)
                     : (double)(range / top) * (double)(nearbyintf(fminf(fmaxf((float)*a * by + zero, 0), top)) - zero);
        }
    }
}
static void gemm_reference(Job *j, const int64_t *s)
{
    const Gemm g = gemm_of(j, s);
    narrow_exact(j, s, &g);
    const double *A = EXACT(j, GEMM_A), *B = EXACT(j, GEMM_B),
                 *residual = s[RESIDUAL] == 2 ? EXACT(j, GEMM_C) : EXACT(j, GEMM_RESIDUAL);
    double *C = EXACT(j, GEMM_C);
    for (int64_t m = 0; m < g.M; m++) {
        for (int64_t n = 0; n < g.N; n++) {
            double x = 0;
            for (int64_t k = 0; k < g.K; k++)
                x += A[m * g.a_row + k * g.a_col] * B[k * g.b_row + n * g.b_col];
            x = (double)g.alpha * x + (s[BETA] ? (double)g.beta * C[m * g.ldc + n] : 0) +
                (s[BIAS] ? EXACT(j, GEMM_BIAS)[n] : 0);
            x += s[RESIDUAL] ? residual[m * g.ldr + n] : 0;
            C[m * g.ldc + n] = case_act(g.act, (double)LEAK, x);
        }
    }
}
const Family family_gemm = {.kernel = "gemm",
                            .letters = "M N K A B alpha/4 beta/4 bias residual act pad",
                            .cases = gemm_cases,
                            .count = COUNT(gemm_cases),
                            .make = gemm_make,
                            .call = gemm_call,
                            .reference = gemm_reference,
                            .tolerance = 2e-5};
