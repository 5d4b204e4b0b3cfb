/* kernels/cuda/elementwise.cu: kernels that compute each number separately. A thread has four consecutive numbers, or
 * one if a pointer is not aligned to 16 bytes (loops.h). Accesses are coalesced.
 *
 * The kernels are memory-bound. A card has time for 60 instructions per number while the memory moves the number. The
 * longest computations, the derivative of GELU and a division, need fewer. The exceptions are inverse_root and
 * inverse_root_back on a card with few units for float64. */
#include "kernels/cuda/act.h"
#include "kernels/cuda/loops.h"

/* ---- activations ----------------------------------------------------------------------------- */

/* Computes y = act(x) for n numbers. */
template <int V>
static __global__ void __launch_bounds__(256) act_kernel(int64_t n, Act act, float param, const float *x, float *y)
{
    for (int64_t i = V * first_index(); i < n; i += V * all_threads()) {
        float v[V];
        load_part<V>(x, i, n, v);
        act_each<V>(act, param, v);
        store_part<V>(v, y, i, n);
    }
}
void cuda_act(const Run *run, int64_t n, Act act, float param, DType type, const void *x, void *y)
{
    (void)type;
    LAUNCH_NUMBERS(run, act_kernel, n, aligned16(x) && aligned16(y), n, act, param, (const float *)x, (float *)y);
}

/* Computes dx = slope dy for n numbers. The slope is the derivative of act, computed from x (kernels.h: act_back). */
template <int V>
static __global__ void __launch_bounds__(256)
    act_back_kernel(int64_t n, Act act, float param, const float *x, const float *dy, float *dx)
{
    for (int64_t i = V * first_index(); i < n; i += V * all_threads()) {
        float v[V], d[V];
        load_part<V>(x, i, n, v);
        load_part<V>(dy, i, n, d);
        slope_each<V>(act, param, v);
        for (int j = 0; j < V; j++)
            d[j] *= v[j];
        store_part<V>(d, dx, i, n);
    }
}
void cuda_act_back(const Run *run, int64_t n, Act act, float param, const float *x, const float *dy, float *dx)
{
    LAUNCH_NUMBERS(run, act_back_kernel, n, aligned16(x) && aligned16(dy) && aligned16(dx), n, act, param, x, dy, dx);
}

/* Computes y[m, c] = act(x[m, c] + bias[c]). n is M C. */
template <int V>
static __global__ void __launch_bounds__(256)
    add_bias_kernel(int64_t n, int64_t C, const float *x, const float *bias, Act act, float param, float *y)
{
    for (int64_t i = V * first_index(); i < n; i += V * all_threads()) {
        float v[V], b[V];
        load_numbers<V, V>(x + i, v);
        load_numbers<V, V>(bias + (i - row_of(i, C) * C), b);
        for (int j = 0; j < V; j++)
            v[j] += b[j];
        act_each<V>(act, param, v);
        store_numbers<V, V>(v, y + i);
    }
}
void cuda_add_bias(const Run *run, int64_t M, int64_t C, DType type, const void *x, const float *bias, Act act,
                   float param, void *y)
{
    (void)type;
    LAUNCH_NUMBERS(run, add_bias_kernel, M * C, C % 4 == 0 && aligned16(x) && aligned16(bias) && aligned16(y), M * C, C,
                   (const float *)x, bias, act, param, (float *)y);
}

/* ---- two operands ---------------------------------------------------------------------------- */

/* Sets a[j] = a[j] op b[j] for j < V. */
template <int V> static __device__ inline void binary_each(Binary op, float *a, const float *b)
{
#define EACH(expression)                                                                                               \
    for (int j = 0; j < V; j++)                                                                                        \
        a[j] = (expression);                                                                                           \
    break
    switch (op) {
    case BIN_ADD: EACH(a[j] + b[j]);
    case BIN_SUB: EACH(a[j] - b[j]);
    case BIN_MUL: EACH(a[j] * b[j]);
    case BIN_DIV: EACH(a[j] / b[j]);
    case BIN_MAX: EACH(a[j] > b[j] ? a[j] : b[j]);
    case BIN_ABOVE: EACH(a[j] > b[j] ? 1.0f : a[j] == b[j] ? 0.5f : 0.0f);
    }
#undef EACH
}

/* Computes y = a op b for n numbers. */
template <int V>
static __global__ void __launch_bounds__(256)
    binary_kernel(int64_t n, Binary op, const float *a, const float *b, float *y)
{
    for (int64_t i = V * first_index(); i < n; i += V * all_threads()) {
        float v[V], w[V];
        load_part<V>(a, i, n, v);
        load_part<V>(b, i, n, w);
        binary_each<V>(op, v, w);
        store_part<V>(v, y, i, n);
    }
}
void cuda_binary(const Run *run, int64_t n, Binary op, const float *a, const float *b, float *y)
{
    LAUNCH_NUMBERS(run, binary_kernel, n, aligned16(a) && aligned16(b) && aligned16(y), n, op, a, b, y);
}

/* Computes y[m, c] = x[m, c] op v. The operand `v` is v[0] (SPREAD_NUMBER), v[c] (SPREAD_ROW) or v[m] (SPREAD_COLUMN).
 * With V = 4 the four numbers are in one row, because C is a multiple of 4. */
template <int V>
static __global__ void __launch_bounds__(256)
    broadcast_kernel(int64_t n, int64_t C, Binary op, Spread how, const float *x, const float *v, float *y)
{
    for (int64_t i = V * first_index(); i < n; i += V * all_threads()) {
        const int64_t m = how == SPREAD_NUMBER ? 0 : row_of(i, C);
        float a[V], b[V];
        load_numbers<V, V>(x + i, a);
        if (how == SPREAD_ROW) {
            load_numbers<V, V>(v + (i - m * C), b);
        } else {
            for (int j = 0; j < V; j++)
                b[j] = v[m];
        }
        binary_each<V>(op, a, b);
        store_numbers<V, V>(a, y + i);
    }
}
void cuda_broadcast(const Run *run, int64_t M, int64_t C, Binary op, Spread how, const float *x, const float *v,
                    float *y)
{
    const bool aligned = C % 4 == 0 && aligned16(x) && aligned16(y) && (how != SPREAD_ROW || aligned16(v));
    LAUNCH_NUMBERS(run, broadcast_kernel, M * C, aligned, M * C, C, op, how, x, v, y);
}

/* Computes y = a x + b y for n numbers. If b is 0, the old y is not read. */
template <int V>
static __global__ void __launch_bounds__(256) axpby_kernel(int64_t n, float a, const float *x, float b, float *y)
{
    for (int64_t i = V * first_index(); i < n; i += V * all_threads()) {
        float v[V], w[V];
        load_part<V>(x, i, n, v);
        if (b == 0.0f) {
            for (int j = 0; j < V; j++)
                v[j] *= a;
        } else {
            load_part<V>(y, i, n, w);
            for (int j = 0; j < V; j++)
                v[j] = fmaf(a, v[j], b * w[j]);
        }
        store_part<V>(v, y, i, n);
    }
}
void cuda_axpby(const Run *run, int64_t n, float a, const float *x, float b, float *y)
{
    LAUNCH_NUMBERS(run, axpby_kernel, n, aligned16(x) && aligned16(y), n, a, x, b, y);
}

/* ---- one operand, and none ------------------------------------------------------------------- */

/* Sets x[j] = op(x[j]) for j < V. UN_CLAMP keeps a NaN. */
template <int V> static __device__ inline void unary_each(Unary op, float lo, float hi, float *x)
{
#define EACH(expression)                                                                                               \
    for (int j = 0; j < V; j++)                                                                                        \
        x[j] = (expression);                                                                                           \
    break
    switch (op) {
    case UN_EXP: EACH(expf(x[j]));
    case UN_LOG: EACH(logf(x[j]));
    case UN_SQRT: EACH(sqrtf(x[j]));
    case UN_SIGN: EACH(x[j] == 0.0f ? 0.0f : copysignf(1.0f, x[j]));
    case UN_CLAMP: EACH(x[j] < lo ? lo : x[j] > hi ? hi : x[j]);
    case UN_INSIDE: EACH(x[j] >= lo && x[j] <= hi ? 1.0f : 0.0f);
    }
#undef EACH
}

/* Computes y = op(x) for n numbers. `lo` and `hi` are the bounds of UN_CLAMP and UN_INSIDE. */
template <int V>
static __global__ void __launch_bounds__(256)
    unary_kernel(int64_t n, Unary op, float lo, float hi, const float *x, float *y)
{
    for (int64_t i = V * first_index(); i < n; i += V * all_threads()) {
        float v[V];
        load_part<V>(x, i, n, v);
        unary_each<V>(op, lo, hi, v);
        store_part<V>(v, y, i, n);
    }
}
void cuda_unary(const Run *run, int64_t n, Unary op, float lo, float hi, const float *x, float *y)
{
    LAUNCH_NUMBERS(run, unary_kernel, n, aligned16(x) && aligned16(y), n, op, lo, hi, x, y);
}

/* Sets n numbers y to `value`. */
template <int V> static __global__ void __launch_bounds__(256) fill_kernel(int64_t n, float value, float *y)
{
    float v[V];
    for (int j = 0; j < V; j++)
        v[j] = value;
    for (int64_t i = V * first_index(); i < n; i += V * all_threads())
        store_part<V>(v, y, i, n);
}
void cuda_fill(const Run *run, int64_t n, float value, float *y)
{
    LAUNCH_NUMBERS(run, fill_kernel, n, aligned16(y), n, value, y);
}

/* Computes y = 1 / sqrt(x), or 0 if x <= 0. Each number needs a square root and a division in float64. These limit the
 * kernel on a card with few units for float64. */
template <int V> static __global__ void __launch_bounds__(256) inverse_root_kernel(int64_t n, const float *x, float *y)
{
    for (int64_t i = V * first_index(); i < n; i += V * all_threads()) {
        float v[V];
        load_part<V>(x, i, n, v);
        for (int j = 0; j < V; j++)
            v[j] = v[j] > 0.0f ? (float)(1 / sqrt((double)v[j])) : 0.0f;
        store_part<V>(v, y, i, n);
    }
}
void cuda_inverse_root(const Run *run, int64_t n, const float *x, float *y)
{
    LAUNCH_NUMBERS(run, inverse_root_kernel, n, aligned16(x) && aligned16(y), n, x, y);
}

/* Computes d = -1/2 y^3 d in place, the backward pass of y = 1 / sqrt(x), in float64. */
template <int V>
static __global__ void __launch_bounds__(256) inverse_root_back_kernel(int64_t n, const float *y, float *d)
{
    for (int64_t i = V * first_index(); i < n; i += V * all_threads()) {
        float v[V], w[V];
        load_part<V>(y, i, n, v);
        load_part<V>(d, i, n, w);
        for (int j = 0; j < V; j++)
            w[j] = (float)(-0.5 * (double)v[j] * (double)v[j] * (double)v[j] * (double)w[j]);
        store_part<V>(w, d, i, n);
    }
}
void cuda_inverse_root_back(const Run *run, int64_t n, const float *y, float *d)
{
    LAUNCH_NUMBERS(run, inverse_root_back_kernel, n, aligned16(y) && aligned16(d), n, y, d);
}
