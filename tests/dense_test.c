/* Dense kernels (gemm, attention, convolution, pooling) at every level that this machine can run, against plain double precision. */
#include <math.h>

#include "testing.h"

#include "kernels/kernels.h"

static const Draw DRAW = {.seed = 1, .purpose = DRAW_TEST};

/* Exactly as big as asked, so that the sanitizer sees a step too far. Values in (-1, 1), or small whole numbers. */
static float *numbers(size_t n, uint32_t which)
{
    float *x = malloc((n ? n : 1) * sizeof *x);
    assert_non_null(x);
    Draw d = DRAW;
    d.epoch = which;
    for (size_t i = 0; i < n; i++)
        x[i] = 2 * draw_uniform(d, i) - 1;
    return x;
}

static int64_t pick(uint32_t which, uint64_t i, const int64_t *from, size_t n)
{
    Draw d = DRAW;
    d.epoch = which;
    return from[draw_below(d, i, (uint32_t)n)];
}

static double reference_act(Act act, double p, double x)
{
    switch (act) {
    case ACT_RELU: return x > 0 ? x : 0;
    case ACT_RELU6: return fmin(fmax(x, 0), 6);
    case ACT_LEAKY_RELU: return x > 0 ? x : p * x;
    case ACT_GELU: return 0.5 * x * (1 + erf(x * sqrt(0.5)));
    case ACT_GELU_TANH: return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1.0)) * (x + 0.044715 * x * x * x)));
    case ACT_SIGMOID: return 1 / (1 + exp(-x));
    case ACT_TANH: return tanh(x);
    case ACT_SOFTPLUS: return log1p(exp(x));
    case ACT_SWISH: return x / (1 + exp(-x));
    default: return x;
    }
}

static void check_close(const char *what, const Kernels *k, size_t i, double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance))
        fail_msg("%s %s: element %zu is %.9g, not %.9g (tolerance %.2g)", k->level, what, i, got, want, tolerance);
}

/* ---- workspaces and pools --------------------------------------------------------------------------------------------- */

static Pool *pools[4]; /* [threads], 1: none */

static Run run_with(int threads, size_t bytes)
{
    Run r = {.pool = pools[threads], .work_bytes = bytes};
    r.work = heap_alloc(NULL, bytes ? bytes : 64);
    assert_non_null(r.work);
    memset(r.work, 0xff, bytes); /* NaNs: reading what was not written shows */
    return r;
}

static void run_done(Run *r)
{
    heap_free(NULL, r->work, r->work_bytes ? r->work_bytes : 64);
}

typedef void Check(const Kernels *k);
static void at_every_level(Check *check)
{
    const char *names[8], *why[8];
    bool usable[8];
    Error e = {0};
    for (size_t i = 0, n = kernels_levels(names, usable, why); i < n; i++) {
        if (!usable[i]) {
            print_message("skipped: %s: %s\n", names[i], why[i]);
            continue;
        }
        const Kernels *k = kernels_cpu(names[i], &e);
        assert_non_null(k);
        check(k);
    }
}

/* ---- gemm ----------------------------------------------------------------------------------------------------------------- */

typedef struct GemmCase {
    Gemm g;
    float *A, *B, *C, *bias, *residual;
    size_t c_size;
} GemmCase;

static void gemm_run(const Kernels *k, const Gemm *g, int threads)
{
    Run r = run_with(threads, k->gemm_work(g, threads));
    k->gemm(&r, g);
    run_done(&r);
}

static void gemm_shape(const Kernels *k, uint32_t id, int64_t M, int64_t N, int64_t K)
{
    static const float scales[] = {1, 1, 0.5f}, betas[] = {0, 0, 1, 0.25f};
    const int kind_a = id % 3, kind_b = id / 3 % 4, in_place = id % 5 == 0;
    Gemm g = {.M = M,
              .N = N,
              .K = K,
              .alpha = scales[id % COUNT(scales)],
              .beta = betas[id / 2 % COUNT(betas)],
              .act_param = 0.1f};
    g.act = id % 2 ? ACT_NONE : (Act)(id / 2 % ACT_COUNT);
    /* A: rows, columns, or both strided; B: rows, columns, strided, packed */
    g.a_row = kind_a == 1 ? 1 : kind_a == 2 ? 2 * K + 3 : K + (id % 2);
    g.a_col = kind_a == 1 ? M + 2 : kind_a == 2 ? 2 : 1;
    g.b_row = kind_b == 1 ? 1 : kind_b == 2 ? 3 : N + (id % 4);
    g.b_col = kind_b == 1 ? K + 1 : kind_b == 2 ? 3 * K + 1 : 1;
    g.ldc = N + id % 7;
    g.ldr = in_place ? g.ldc : N + 1;
    size_t a_size = M && K ? (size_t)((M - 1) * g.a_row + (K - 1) * g.a_col + 1) : 0;
    size_t b_size = N && K ? (size_t)((K - 1) * g.b_row + (N - 1) * g.b_col + 1) : 0;
    size_t c_size = M ? (size_t)((M - 1) * g.ldc + N) : 0, r_size = M ? (size_t)((M - 1) * g.ldr + N) : 0;
    float *A = numbers(a_size, 3 * id), *B = numbers(b_size, 3 * id + 1), *bias = numbers((size_t)N, 7),
          *C0 = numbers(c_size, 3 * id + 2);
    float *residual = numbers(r_size, 9), *C = malloc(c_size * sizeof *C + 4), *again = malloc(c_size * sizeof *C + 4);
    g.A = A;
    g.B = B;
    if (id % 3)
        g.bias = bias;
    void *packed = NULL;
    if (kind_b == 3) {
        packed = heap_alloc(NULL, k->gemm_pack_bytes(K, N) + 64);
        Run r = {.pool = pools[2]};
        k->gemm_pack(&r, K, N, B, g.b_row, g.b_col, packed);
        g.packed = packed;
        g.B = NULL;
    }
    g.C = C;
    if (id % 4 == 1 || in_place)
        g.residual = in_place ? C : residual;
    memcpy(C, C0, c_size * sizeof *C);
    gemm_run(k, &g, 1);
    for (int64_t m = 0; m < M; m++)
        for (int64_t n = 0; n < g.ldc && m * g.ldc + n < (int64_t)c_size; n++) {
            const size_t at = (size_t)(m * g.ldc + n);
            if (n >= N) { /* between rows stands what is not the kernel's */
                assert_true(C[at] == C0[at]);
                continue;
            }
            double s = 0, size = 0;
            for (int64_t q = 0; q < K; q++) {
                const double ab = (double)A[m * g.a_row + q * g.a_col] * B[q * g.b_row + n * g.b_col];
                s += ab;
                size += fabs(ab);
            }
            s = s * g.alpha + g.beta * C0[at] + (g.bias ? bias[n] : 0);
            s += !g.residual ? 0 : in_place ? C0[at] : residual[m * g.ldr + n];
            check_close("gemm", k, at, C[at], reference_act(g.act, g.act_param, s), 1e-6 + 3e-7 * (size + fabs(s)));
        }
    /* the same bits for other threads, and for rows alone or in other company */
    for (int threads = 2; threads <= 3; threads++) {
        memcpy(again, C0, c_size * sizeof *C);
        Gemm h = g;
        h.C = again;
        h.residual = in_place ? again : g.residual;
        gemm_run(k, &h, threads);
        assert_memory_equal(again, C, c_size * sizeof *C);
    }
    memcpy(again, C0, c_size * sizeof *C);
    for (int64_t m = 0, step = 1; m < M; m += step, step = step % 9 + 1) {
        Gemm h = g;
        h.M = MIN(step, M - m);
        h.A += m * g.a_row;
        h.C = again + m * g.ldc;
        h.residual = in_place ? h.C : g.residual ? residual + m * g.ldr : NULL;
        gemm_run(k, &h, 1);
    }
    assert_memory_equal(again, C, c_size * sizeof *C);
    if (packed)
        heap_free(NULL, packed, k->gemm_pack_bytes(K, N) + 64);
    free(A), free(B), free(C0), free(C), free(bias), free(residual), free(again);
}

static void check_gemm(const Kernels *k)
{
    static const int64_t m[] = {1, 2, 3, 5, 7, 13, 14, 15, 29, 31, 64},
                         n[] = {1, 3, 4, 8, 15, 16, 17, 31, 33, 63, 64, 65, 100};
    static const int64_t kk[] = {0, 1, 2, 3, 7, 16, 33, 64, 100};
    for (uint32_t id = 0; id < 120; id++)
        gemm_shape(k, id, pick(100, id, m, COUNT(m)), pick(101, id, n, COUNT(n)), pick(102, id, kk, COUNT(kk)));
    uint32_t id = 200;
    static const int64_t big[][3] = {{40, 70, 1000}, {3, 40, 900},  {130, 700, 50},
                                     {600, 20, 40},  {17, 33, 512}, {40, 40, 1024}};
    for (size_t i = 0; i < COUNT(big); i++)
        for (int variant = 0; variant < 4; variant++)
            gemm_shape(k, id++, big[i][0], big[i][1], big[i][2]);
    gemm_shape(k, 1, 0, 5, 5);
    gemm_shape(k, 1, 5, 0, 5);
}

static void gemm_test(void **state)
{
    (void)state;
    at_every_level(check_gemm);
}

/* ---- attention -------------------------------------------------------------------------------------------------------------- */

static void attention_run(const Kernels *k, const Attention *t, int threads)
{
    Run r = run_with(threads, k->attention_work(t, threads));
    k->attention(&r, t);
    run_done(&r);
}

static void attention_shape(const Kernels *k, int64_t H, int64_t D, int64_t R, bool causal, const int32_t *offsets,
                            int64_t B)
{
    const int64_t rows = offsets[B], ld = 3 * H * D + 1, ldo = H * D + 2;
    float *qkv = numbers((size_t)(rows * ld), 1), *relative = numbers((size_t)(H * (2 * R + 1)), 2),
          *lse = numbers((size_t)(H * rows), 3);
    float *out = numbers((size_t)(rows * ldo), 4), *again = numbers((size_t)(rows * ldo), 4);
    for (int64_t i = 0; i < rows * ld; i++)
        qkv[i] *= 3;
    Attention t = {
        B, H,      D,  offsets, qkv, qkv + H * D, qkv + 2 * H * D, ld, out, ldo, 1 / sqrtf((float)D), R ? relative : NULL,
        R, causal, lse};
    attention_run(k, &t, 1);
    double *p = malloc((size_t)rows * sizeof *p);
    for (int64_t b = 0; b < B; b++)
        for (int64_t h = 0; h < H; h++)
            for (int64_t i = offsets[b]; i < offsets[b + 1]; i++) {
                const int64_t first = offsets[b], end = causal ? i + 1 : offsets[b + 1];
                double most = -INFINITY, sum = 0;
                for (int64_t j = first; j < end; j++) {
                    double s = 0;
                    for (int64_t d = 0; d < D; d++)
                        s += (double)t.q[i * ld + h * D + d] * t.k[j * ld + h * D + d];
                    p[j] = s * t.scale + (R ? relative[h * (2 * R + 1) + MIN(MAX(j - i, -R), R) + R] : 0);
                    most = fmax(most, p[j]);
                }
                for (int64_t j = first; j < end; j++)
                    sum += p[j] = exp(p[j] - most);
                check_close("attention lse", k, (size_t)i, lse[h * rows + i], most + log(sum), 1e-5);
                for (int64_t d = 0; d < D; d++) {
                    double o = 0;
                    for (int64_t j = first; j < end; j++)
                        o += p[j] / sum * t.v[j * ld + h * D + d];
                    check_close("attention", k, (size_t)(i * ldo + h * D + d), out[i * ldo + h * D + d], o, 1e-5);
                }
            }
    for (int threads = 2; threads <= 3; threads++) { /* other threads, same bits; nothing written beside out's columns */
        t.out = again;
        attention_run(k, &t, threads);
        assert_memory_equal(again, out, (size_t)(rows * ldo) * sizeof *out);
    }
    for (int64_t b = 0; b < B; b++) { /* each text alone, same bits */
        const int32_t alone[2] = {0, offsets[b + 1] - offsets[b]};
        Attention one = t;
        one.B = 1;
        one.offsets = alone;
        one.q += offsets[b] * ld;
        one.k += offsets[b] * ld;
        one.v += offsets[b] * ld;
        one.out = again + offsets[b] * ldo;
        one.lse = NULL;
        attention_run(k, &one, 1);
    }
    assert_memory_equal(again, out, (size_t)(rows * ldo) * sizeof *out);
    free(qkv), free(relative), free(lse), free(out), free(again), free(p);
}

static void attention_back_run(const Kernels *k, const AttentionBack *t, int threads)
{
    Run r = run_with(threads, k->attention_back_work(t, threads));
    k->attention_back(&r, t);
    run_done(&r);
}

/* Gradients by the formulas, from probabilities in double. */
static void attention_back_shape(const Kernels *k, int64_t H, int64_t D, int64_t R, bool causal, const int32_t *offsets,
                                 int64_t B)
{
    const int64_t rows = offsets[B], C = H * D, ld = 3 * C, ldd = 3 * C + 1;
    const size_t size = (size_t)(rows * ldd);
    float *qkv = numbers((size_t)(rows * ld), 1), *relative = numbers((size_t)(H * (2 * R + 1)), 2),
          *lse = numbers((size_t)(H * rows), 3);
    float *out = numbers((size_t)(rows * C), 4), *dout = numbers((size_t)(rows * C), 5), *d = numbers(size, 6),
          *again = numbers(size, 6);
    Attention f = {B, H,      D,  offsets, qkv, qkv + C, qkv + 2 * C, ld, out, C, 1 / sqrtf((float)D), R ? relative : NULL,
                   R, causal, lse};
    attention_run(k, &f, 1);
    AttentionBack t = {f, dout, d, d + C, d + 2 * C, ldd};
    attention_back_run(k, &t, 1);
    double *want = calloc(size + 1, sizeof *want), *p = malloc((size_t)rows * sizeof *p + 8),
           *dp = malloc((size_t)rows * sizeof *dp + 8);
    for (int64_t b = 0; b < B; b++)
        for (int64_t h = 0; h < H; h++)
            for (int64_t i = offsets[b]; i < offsets[b + 1]; i++) {
                const int64_t first = offsets[b], end = causal ? i + 1 : offsets[b + 1];
                double most = -INFINITY, sum = 0, delta = 0;
                for (int64_t j = first; j < end; j++) {
                    double s = 0, slope = 0;
                    for (int64_t e = h * D; e < h * D + D; e++) {
                        s += (double)f.q[i * ld + e] * f.k[j * ld + e];
                        slope += (double)dout[i * C + e] * f.v[j * ld + e];
                    }
                    p[j] = s * f.scale + (R ? relative[h * (2 * R + 1) + MIN(MAX(j - i, -R), R) + R] : 0);
                    dp[j] = slope;
                    most = fmax(most, p[j]);
                }
                for (int64_t j = first; j < end; j++)
                    sum += p[j] = exp(p[j] - most);
                for (int64_t j = first; j < end; j++) {
                    p[j] /= sum;
                    delta += p[j] * dp[j];
                }
                for (int64_t j = first; j < end; j++)
                    for (int64_t e = h * D; e < h * D + D; e++) {
                        const double ds = p[j] * (dp[j] - delta) * f.scale;
                        want[i * ldd + e] += ds * f.k[j * ld + e];
                        want[j * ldd + C + e] += ds * f.q[i * ld + e];
                        want[j * ldd + 2 * C + e] += p[j] * dout[i * C + e];
                    }
            }
    for (size_t at = 0; at < size; at++)
        if ((int64_t)at % ldd < 3 * C)
            check_close("attention_back", k, at, d[at], want[at], 1e-5 + 1e-5 * fabs(want[at]));
        else
            assert_true(d[at] == again[at]);
    t.dq = again, t.dk = again + C, t.dv = again + 2 * C;
    for (int threads = 2; threads <= 3; threads++) {
        attention_back_run(k, &t, threads);
        assert_memory_equal(again, d, size * sizeof *d);
    }
    free(qkv), free(relative), free(lse), free(out), free(dout), free(d), free(again), free(want), free(p), free(dp);
}

static void check_attention(const Kernels *k)
{
    static const int32_t few[] = {0, 1, 1, 14, 31, 48}, long_text[] = {0, 300, 600, 605}, one[] = {0, 128}, none[] = {0, 0};
    attention_shape(k, 2, 32, 0, false, few, 5);
    attention_shape(k, 3, 64, 4, false, few, 5);
    attention_shape(k, 1, 5, 0, true, few, 5);
    attention_shape(k, 2, 40, 9, true, few, 5);
    attention_shape(k, 1, 32, 20, false, long_text, 3);
    attention_shape(k, 2, 16, 0, true, long_text, 3);
    attention_shape(k, 12, 32, 0, false, one, 1);
    attention_shape(k, 2, 8, 0, false, none, 1);
    attention_shape(k, 2, 8, 0, false, none, 0);
    attention_back_shape(k, 2, 32, 0, false, few, 5);
    attention_back_shape(k, 3, 5, 4, false, few, 5);
    attention_back_shape(k, 2, 40, 9, true, few, 5);
    attention_back_shape(k, 1, 64, 0, true, long_text, 3);
    attention_back_shape(k, 1, 16, 30, false, long_text, 3);
    attention_back_shape(k, 1, 16, 0, false, none, 1);
}

static void attention_test(void **state)
{
    (void)state;
    at_every_level(check_attention);
}

/* ---- convolution and pooling ---------------------------------------------------------------------------------------------------- */

static void conv_run(const Kernels *k, const Conv *c, int threads)
{
    Run r = run_with(threads, k->conv_work(c, threads));
    k->conv(&r, c);
    run_done(&r);
}

static void conv_shape(const Kernels *k, Conv c, Act act)
{
    static uint32_t id;
    const int64_t group = c.C / c.groups, oh = conv_out(c.H, c.kh, c.stride, c.top + c.bottom),
                  ow = conv_out(c.W, c.kw, c.stride, c.left + c.right);
    const size_t size = (size_t)(c.B * oh * ow * c.O), x_size = (size_t)(c.B * c.H * c.W * c.C),
                 w_size = (size_t)(c.O * group * c.kh * c.kw);
    float *x = numbers(x_size, 1), *w = numbers(w_size, 2), *bias = numbers((size_t)c.O, 3), *residual = numbers(size, 4);
    float *y = malloc(size * sizeof *y + 4), *again = malloc(size * sizeof *y + 4);
    void *packed = heap_alloc(NULL, k->conv_pack_bytes(&c));
    Run r = {.pool = pools[2]};
    k->conv_pack(&r, &c, w, packed);
    c.x = x;
    c.packed = packed;
    c.y = y;
    c.act = act;
    c.bias = id % 3 ? bias : NULL;
    c.residual = id++ % 2 ? residual : NULL;
    conv_run(k, &c, 1);
    for (size_t at = 0; at < size; at++) {
        const int64_t o = (int64_t)at % c.O, q = (int64_t)at / c.O % ow, p = (int64_t)at / c.O / ow % oh,
                      b = (int64_t)at / c.O / ow / oh;
        double s = 0, sum = 0;
        for (int64_t i = 0; i < c.kh; i++)
            for (int64_t j = 0; j < c.kw; j++) {
                const int64_t h = p * c.stride + i - c.top, l = q * c.stride + j - c.left;
                if (h < 0 || h >= c.H || l < 0 || l >= c.W)
                    continue;
                for (int64_t ch = 0; ch < group; ch++) {
                    const double xw = (double)x[((b * c.H + h) * c.W + l) * c.C + (c.groups > 1 ? o : ch)] *
                                      w[((o * group + ch) * c.kh + i) * c.kw + j];
                    s += xw;
                    sum += fabs(xw);
                }
            }
        s += (c.bias ? bias[o] : 0) + (c.residual ? residual[at] : 0);
        check_close("conv", k, at, y[at], reference_act(act, 0, s), 1e-6 + 3e-7 * sum);
    }
    for (int threads = 2; threads <= 3; threads++) {
        c.y = again;
        conv_run(k, &c, threads);
        assert_memory_equal(again, y, size * sizeof *y);
    }
    for (int64_t b = 0; b < c.B; b++) { /* each image alone, same bits */
        Conv one = c;
        one.B = 1;
        one.x += b * c.H * c.W * c.C;
        one.y += b * oh * ow * c.O;
        one.residual += c.residual ? b * oh * ow * c.O : 0;
        conv_run(k, &one, 1);
    }
    assert_memory_equal(again, y, size * sizeof *y);
    heap_free(NULL, packed, k->conv_pack_bytes(&c));
    free(x), free(w), free(bias), free(residual), free(y), free(again);
}

static Conv conv_of(const int64_t n[13]) /* B H W C O, kh kw stride groups, top left bottom right */
{
    return (Conv){.B = n[0],
                  .H = n[1],
                  .W = n[2],
                  .C = n[3],
                  .O = n[4],
                  .kh = n[5],
                  .kw = n[6],
                  .stride = n[7],
                  .groups = n[8],
                  .top = n[9],
                  .left = n[10],
                  .bottom = n[11],
                  .right = n[12]};
}
#define CONV(...) conv_of((const int64_t[13]){__VA_ARGS__})

static void check_conv(const Kernels *k)
{
    conv_shape(k, CONV(2, 9, 11, 3, 20, 7, 7, 2, 1, 3, 3, 3, 3), ACT_RELU);
    conv_shape(k, CONV(1, 14, 14, 16, 40, 3, 3, 1, 1, 1, 1, 1, 1), ACT_RELU);
    conv_shape(k, CONV(2, 7, 7, 130, 33, 3, 3, 1, 1, 1, 1, 1, 1), ACT_NONE);
    conv_shape(k, CONV(1, 10, 9, 512, 35, 3, 3, 2, 1, 1, 1, 1, 1), ACT_RELU6);
    conv_shape(k, CONV(1, 6, 5, 600, 17, 1, 1, 1, 1, 0, 0, 0, 0), ACT_SWISH);
    conv_shape(k, CONV(2, 9, 7, 256, 64, 1, 1, 2, 1, 0, 0, 0, 0), ACT_NONE);
    conv_shape(k, CONV(1, 8, 8, 24, 100, 1, 1, 2, 1, 0, 0, 0, 0), ACT_RELU);
    conv_shape(k, CONV(1, 8, 8, 5, 7, 1, 1, 1, 1, 1, 2, 0, 1), ACT_NONE);
    conv_shape(k, CONV(1, 13, 6, 8, 350, 2, 3, 3, 1, 0, 1, 1, 0), ACT_GELU);
    conv_shape(k, CONV(1, 60, 90, 64, 10, 5, 1, 1, 1, 2, 0, 2, 0), ACT_NONE);
    conv_shape(k, CONV(1, 32, 32, 3, 48, 16, 16, 16, 1, 0, 0, 0, 0), ACT_NONE);
    conv_shape(k, CONV(2, 12, 13, 32, 32, 3, 3, 1, 32, 1, 1, 1, 1), ACT_RELU6);
    conv_shape(k, CONV(1, 11, 12, 37, 37, 5, 5, 2, 37, 1, 1, 2, 2), ACT_RELU);
    conv_shape(k, CONV(1, 3, 2, 9, 9, 5, 5, 1, 9, 2, 2, 2, 2), ACT_NONE);
    conv_shape(k, CONV(1, 4, 4, 6, 6, 3, 3, 1, 6, 0, 3, 4, 3), ACT_NONE);
    conv_shape(k, CONV(0, 4, 4, 6, 6, 3, 3, 1, 1, 1, 1, 1, 1), ACT_NONE);
}

static void conv_test(void **state)
{
    (void)state;
    at_every_level(check_conv);
}

static void pool_shape(const Kernels *k, int64_t B, int64_t H, int64_t W, int64_t C, int64_t size, int64_t stride,
                       int64_t pad)
{
    const int64_t oh = conv_out(H, size, stride, 2 * pad), ow = conv_out(W, size, stride, 2 * pad);
    float *x = numbers((size_t)(B * H * W * C), 1), *y = malloc((size_t)(B * oh * ow * C) * sizeof *y),
          *mean = malloc((size_t)(B * C) * sizeof *mean);
    for (int threads = 1; threads <= 2; threads++) {
        Run r = {.pool = pools[threads]};
        k->max_pool(&r, B, H, W, C, size, stride, pad, x, y);
        k->mean_pool(&r, B, H * W, C, x, mean);
        for (int64_t at = 0; at < B * oh * ow * C; at++) {
            const int64_t c = at % C, q = at / C % ow, p = at / C / ow % oh, b = at / C / ow / oh;
            double most = -INFINITY;
            for (int64_t h = MAX(p * stride - pad, 0); h < MIN(p * stride - pad + size, H); h++)
                for (int64_t w = MAX(q * stride - pad, 0); w < MIN(q * stride - pad + size, W); w++)
                    most = fmax(most, x[((b * H + h) * W + w) * C + c]);
            assert_true(y[at] == (float)most);
        }
        for (int64_t at = 0; at < B * C; at++) {
            double s = 0;
            for (int64_t i = 0; i < H * W; i++)
                s += x[(at / C * H * W + i) * C + at % C];
            check_close("mean_pool", k, (size_t)at, mean[at], s / (double)(H * W), 1e-6);
        }
    }
    free(x), free(y), free(mean);
}

static void check_pool(const Kernels *k)
{
    pool_shape(k, 2, 13, 11, 19, 3, 2, 1);
    pool_shape(k, 1, 7, 7, 64, 2, 2, 0);
    pool_shape(k, 1, 20, 10, 5, 5, 1, 2);
}

static void pool_test(void **state)
{
    (void)state;
    at_every_level(check_pool);
}

static int set_up(void **state)
{
    (void)state;
    Error e = {0};
    for (int threads = 2; threads <= 3; threads++)
        if (!(pools[threads] = pool_new(NULL, threads, &e)))
            return -1;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int threads = 2; threads <= 3; threads++)
        pool_free(pools[threads]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gemm_test),
        cmocka_unit_test(attention_test),
        cmocka_unit_test(conv_test),
        cmocka_unit_test(pool_test),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
