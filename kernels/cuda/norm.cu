/* kernels/cuda/norm.cu: layer norm, softmax, and the logarithm of a sum of exponentials, for each row of x [M, C].
 * loops.h chooses the number of threads per row. Up to C = 4096 (1024 if C is not a multiple of 4), a row is read once
 * and stays in registers between the passes over it. Loads are coalesced. All kernels are memory-bound. */
#include "kernels/cuda/loops.h"

/* ---- layer norm ------------------------------------------------------------------------------ */

/* Adds the row `more` to the row that load_row loaded into `pieces`. */
template <int V, int W, int T, int K>
static __device__ inline void add_row(const float *more, int64_t n, float (*pieces)[V])
{
    for (int k = 0; k < K; k++) {
        const int64_t c = V * (thread_of_row<T>() + T * k);
        float v[V];
        if (c < n) {
            load_numbers<V, W>(more + c, v);
            for (int j = 0; j < V; j++)
                pieces[k][j] += v[j];
        }
    }
}
/* Sets v to piece k (at column c) of the sum of the rows x and `more`. `more` is as long as x, or
 * NULL: then v is the piece of x. If K > 0, `pieces` has the sum already (add_row). */
template <int V, int W, int K>
static __device__ inline void load_with(const float *x, const float *more, int64_t c, int64_t k,
                                        const float (*pieces)[V], float *v)
{
    load_piece<V, W, K>(x + c, k, pieces, v);
    if (K == 0 && more) {
        float w[V];
        load_numbers<V, W>(more + c, w);
        for (int j = 0; j < V; j++)
            v[j] += w[j];
    }
}

/* Computes, with s = x + residual (x if residual is NULL) and the mean and the variance of a row of s,
 *
 *   y[m, c] = (s[m, c] - mean) / sqrt(variance + eps) * gamma[c] + beta[c]
 *
 * The variance is computed from the differences to the mean, in a second pass. A mean far from 0 therefore does not
 * cancel digits. mean[m] and rstd[m] = 1 / sqrt(variance + eps) are written unless NULL. */
template <int V, int W, int T, int K>
static __global__ void __launch_bounds__(256)
    layer_norm_kernel(int64_t M, int64_t C, const float *x, const float *residual, const float *__restrict__ gamma,
                      const float *__restrict__ beta, float eps, float *y, float *mean, float *rstd)
{
    const float scale = 1.0f / (float)MAX(C, (int64_t)1);
    for (int64_t m = first_row<T>(); any_row<T>(m, M); m += all_rows<T>()) {
        const int64_t n = m < M ? C : 0;
        const float *row = x + m * C, *more = residual ? residual + m * C : NULL;
        float pieces[MAX(K, 1)][V], sum[V] = {0.0f}, squares[V] = {0.0f}, v[V];
        load_row<V, W, T, K>(row, n, pieces);
        if (more)
            add_row<V, W, T, K>(more, n, pieces);
        FOR_PIECES(V, T, K, n)
        {
            load_with<V, W, K>(row, more, c, k, pieces, v);
            for (int j = 0; j < V; j++)
                sum[j] += v[j];
        }
        const float centre = row_total<T>(thread_total<V>(sum)) * scale;
        FOR_PIECES(V, T, K, n)
        {
            load_with<V, W, K>(row, more, c, k, pieces, v);
            for (int j = 0; j < V; j++)
                squares[j] = fmaf(v[j] - centre, v[j] - centre, squares[j]);
        }
        const float factor = 1.0f / sqrtf(fmaf(row_total<T>(thread_total<V>(squares)), scale, eps));
        FOR_PIECES(V, T, K, n)
        {
            float g[V], b[V];
            load_with<V, W, K>(row, more, c, k, pieces, v);
            load_numbers<V, W>(gamma + c, g);
            load_numbers<V, W>(beta + c, b);
            for (int j = 0; j < V; j++)
                v[j] = fmaf((v[j] - centre) * factor, g[j], b[j]);
            store_numbers<V, W>(v, y + m * C + c);
        }
        if (m < M && thread_of_row<T>() == 0) {
            if (mean)
                mean[m] = centre;
            if (rstd)
                rstd[m] = factor;
        }
    }
}
void cuda_layer_norm(const Run *run, int64_t M, int64_t C, DType type, const void *x, const void *residual,
                     const float *gamma, const float *beta, float eps, void *y, float *mean, float *rstd)
{
    (void)type;
    /* NULL counts as aligned. */
    const bool aligned = aligned16(x) && aligned16(residual) && aligned16(gamma) && aligned16(beta) && aligned16(y);
    LAUNCH_ROWS(run, layer_norm_kernel, M, C, aligned, M, C, (const float *)x, (const float *)residual, gamma, beta,
                eps, (float *)y, mean, rstd);
}

/* The gradients of gamma and beta are sums over rows. The sum is first computed over the rows of each part, then over
 * the parts. The rows per part depend only on M. */
enum { BACK_PARTS = 1024, BACK_ROWS = 8 };

static int64_t back_rows(int64_t M)
{
    return MAX((int64_t)BACK_ROWS, div_up(M, BACK_PARTS));
}

typedef struct NormBack {
    int64_t M, C, part_rows, count; /* count: parts of part_rows rows; the last may have fewer */
    const float *x, *residual, *mean, *rstd, *dy;
    float *dx, *parts; /* parts [count, 2 C]: dgamma and dbeta of each part; NULL: not computed */
} NormBack;

/* Computes, with s = x + residual, hat = (s - mean) rstd and averages over the columns of a row,
 *
 *   dx = rstd (dy gamma - average(dy gamma) - hat average(dy gamma hat))
 *   dgamma = the sum over the rows of dy hat, dbeta = the sum over the rows of dy
 *
 * The T threads of a row process the rows of a part one after the other and keep the sums dgamma and dbeta of their
 * columns in registers until they write them to `parts`. With K = 0 these sums are in `parts` from the beginning. The
 * kernel is memory-bound: x, residual and dy are read once from memory, and `parts` has at most about an eighth of the
 * size of x and dy. */
template <int V, int W, int T, int K>
static __global__ void __launch_bounds__(256) layer_norm_back_kernel(NormBack b, const float *__restrict__ gamma)
{
    const float scale = 1.0f / (float)b.C;
    for (int64_t p = first_row<T>(); any_row<T>(p, b.count); p += all_rows<T>()) {
        float *parts = b.parts ? b.parts + p * 2 * b.C : NULL;
        float dgamma[MAX(K, 1)][V] = {}, dbeta[MAX(K, 1)][V] = {};
        for (int64_t r = 0; r < b.part_rows; r++) {
            const int64_t m = p * b.part_rows + r, n = m < b.M ? b.C : 0;
            const float *row = b.x + m * b.C, *more = b.residual ? b.residual + m * b.C : NULL, *dy = b.dy + m * b.C;
            const float centre = m < b.M ? b.mean[m] : 0.0f, factor = m < b.M ? b.rstd[m] : 0.0f;
            float pieces[MAX(K, 1)][V], pieces_d[MAX(K, 1)][V], sum[V] = {0.0f}, sum_x[V] = {0.0f}, v[V], d[V], g[V];
            load_row<V, W, T, K>(row, n, pieces);
            load_row<V, W, T, K>(dy, n, pieces_d);
            if (more)
                add_row<V, W, T, K>(more, n, pieces);
            FOR_PIECES(V, T, K, n)
            {
                load_with<V, W, K>(row, more, c, k, pieces, v);
                load_piece<V, W, K>(dy + c, k, pieces_d, d);
                load_numbers<V, W>(gamma + c, g);
                for (int j = 0; j < V; j++) {
                    sum[j] = fmaf(d[j], g[j], sum[j]);
                    sum_x[j] = fmaf(d[j] * g[j], (v[j] - centre) * factor, sum_x[j]);
                }
            }
            const float mean_d = row_total<T>(thread_total<V>(sum)) * scale,
                        mean_dx = row_total<T>(thread_total<V>(sum_x)) * scale;
            FOR_PIECES(V, T, K, n)
            {
                load_with<V, W, K>(row, more, c, k, pieces, v);
                load_piece<V, W, K>(dy + c, k, pieces_d, d);
                load_numbers<V, W>(gamma + c, g);
                for (int j = 0; j < V; j++) {
                    const float hat = (v[j] - centre) * factor;
                    if (K == 0 && parts) {
                        parts[c + j] = fmaf(d[j], hat, r == 0 ? 0.0f : parts[c + j]);
                        parts[b.C + c + j] = d[j] + (r == 0 ? 0.0f : parts[b.C + c + j]);
                    } else {
                        dgamma[K ? k : 0][j] = fmaf(d[j], hat, dgamma[K ? k : 0][j]);
                        dbeta[K ? k : 0][j] += d[j];
                    }
                    v[j] = (fmaf(d[j], g[j], -hat * mean_dx) - mean_d) * factor;
                }
                store_numbers<V, W>(v, b.dx + m * b.C + c);
            }
        }
        if (K > 0 && parts && p < b.count) {
            FOR_PIECES(V, T, K, b.C)
            {
                store_numbers<V, 1>(dgamma[k], parts + c);
                store_numbers<V, 1>(dbeta[k], parts + b.C + c);
            }
        }
    }
}

size_t cuda_layer_norm_back_work(const Run *run, int64_t M, int64_t C)
{
    (void)run;
    return (size_t)(div_up(M, back_rows(M)) * 2 * C) * sizeof(float);
}

void cuda_layer_norm_back(const Run *run, int64_t M, int64_t C, const float *x, const float *residual,
                          const float *gamma, const float *mean, const float *rstd, const float *dy, float *dx,
                          float *dgamma, float *dbeta)
{
    if (M == 0 || C == 0)
        return;
    const int64_t rows = back_rows(M), count = div_up(M, rows);
    float *parts = dgamma || dbeta ? (float *)run->work : NULL;
    const NormBack b = {M, C, rows, count, x, residual, mean, rstd, dy, dx, parts};
    const bool aligned = aligned16(x) && aligned16(residual) && aligned16(gamma) && aligned16(dy) && aligned16(dx);
    LAUNCH_ROWS(run, layer_norm_back_kernel, count, C, aligned, b, gamma);
    if (dgamma)
        add_rows(run, count, C, parts, 2 * C, 1.0f, dgamma);
    if (dbeta)
        add_rows(run, count, C, parts + C, 2 * C, 1.0f, dbeta);
}

/* ---- softmax --------------------------------------------------------------------------------- */

/* Computes y[m, c] = exp(x[m, c] - max) / the sum over c of exp(x[m, c] - max). With K > 0 the exponentials stay in
 * registers. With K = 0 they are computed twice, which is cheaper than a write and a read. */
template <int V, int W, int T, int K>
static __global__ void __launch_bounds__(256) softmax_kernel(int64_t M, int64_t C, const float *x, float *y)
{
    for (int64_t m = first_row<T>(); any_row<T>(m, M); m += all_rows<T>()) {
        const int64_t n = m < M ? C : 0;
        float pieces[MAX(K, 1)][V], sum[V] = {0.0f}, v[V], top = -INFINITY;
        load_row<V, W, T, K>(x + m * C, n, pieces);
        FOR_PIECES(V, T, K, n)
        {
            load_piece<V, W, K>(x + m * C + c, k, pieces, v);
            for (int j = 0; j < V; j++)
                top = fmaxf(top, v[j]);
        }
        top = row_largest<T>(top);
        FOR_PIECES(V, T, K, n)
        {
            load_piece<V, W, K>(x + m * C + c, k, pieces, v);
            for (int j = 0; j < V; j++) {
                v[j] = expf(v[j] - top);
                sum[j] += v[j];
                if (K > 0)
                    pieces[K ? k : 0][j] = v[j];
            }
        }
        const float scale = 1.0f / row_total<T>(thread_total<V>(sum));
        FOR_PIECES(V, T, K, n)
        {
            load_piece<V, W, K>(x + m * C + c, k, pieces, v);
            for (int j = 0; j < V; j++)
                v[j] = (K > 0 ? v[j] : expf(v[j] - top)) * scale;
            store_numbers<V, W>(v, y + m * C + c);
        }
    }
}
void cuda_softmax(const Run *run, int64_t M, int64_t C, const float *x, float *y)
{
    LAUNCH_ROWS(run, softmax_kernel, M, C, aligned16(x) && aligned16(y), M, C, x, y);
}

/* Computes dx = y (dy - the sum over the row of y dy). */
template <int V, int W, int T, int K>
static __global__ void __launch_bounds__(256)
    softmax_back_kernel(int64_t M, int64_t C, const float *y, const float *dy, float *dx)
{
    for (int64_t m = first_row<T>(); any_row<T>(m, M); m += all_rows<T>()) {
        const int64_t n = m < M ? C : 0;
        float pieces[MAX(K, 1)][V], pieces_d[MAX(K, 1)][V], v[V], d[V];
        const float total = dot_of_rows<V, W, T, K>(y + m * C, dy + m * C, n, pieces, pieces_d);
        FOR_PIECES(V, T, K, n)
        {
            load_piece<V, W, K>(y + m * C + c, k, pieces, v);
            load_piece<V, W, K>(dy + m * C + c, k, pieces_d, d);
            for (int j = 0; j < V; j++)
                d[j] = v[j] * (d[j] - total);
            store_numbers<V, W>(d, dx + m * C + c);
        }
    }
}
void cuda_softmax_back(const Run *run, int64_t M, int64_t C, const float *y, const float *dy, float *dx)
{
    LAUNCH_ROWS(run, softmax_back_kernel, M, C, aligned16(y) && aligned16(dy) && aligned16(dx), M, C, y, dy, dx);
}

/* Computes y[m] = log(exp(y[m]) + the sum over c of exp(x[m, c])). The old y[m] is one more number of the row and is
 * added last, by the first thread of the row. If all these numbers are -inf, y[m] stays -inf. */
template <int V, int W, int T, int K>
static __global__ void __launch_bounds__(256) log_sum_exp_kernel(int64_t M, int64_t C, const float *x, float *y)
{
    for (int64_t m = first_row<T>(); any_row<T>(m, M); m += all_rows<T>()) {
        const int64_t n = m < M ? C : 0;
        const bool first = m < M && thread_of_row<T>() == 0;
        const float before = first ? y[m] : -INFINITY;
        float pieces[MAX(K, 1)][V], sum[V] = {0.0f}, v[V], top = before;
        load_row<V, W, T, K>(x + m * C, n, pieces);
        FOR_PIECES(V, T, K, n)
        {
            load_piece<V, W, K>(x + m * C + c, k, pieces, v);
            for (int j = 0; j < V; j++)
                top = fmaxf(top, v[j]);
        }
        top = row_largest<T>(top);
        FOR_PIECES(V, T, K, n)
        {
            load_piece<V, W, K>(x + m * C + c, k, pieces, v);
            for (int j = 0; j < V; j++)
                sum[j] += expf(v[j] - top);
        }
        const float total = row_total<T>(thread_total<V>(sum));
        if (first && top > -INFINITY)
            y[m] = top + logf(total + expf(before - top));
    }
}
void cuda_log_sum_exp(const Run *run, int64_t M, int64_t C, const float *x, float *y)
{
    LAUNCH_ROWS(run, log_sum_exp_kernel, M, C, aligned16(x), M, C, x, y);
}
