/* kernels/cuda/act.h: the activation functions of kernels/act.h and their derivatives, for kernels that end with an
 * activation.
 *
 *     act_of(act, param, x)         act(x). If `act` is constant, as a template's argument, no branch remains
 *     slope_of(act, param, x)       its derivative; x is the input or, for act_from_result(act, param), the result
 *     act_each<N>(act, param, x)    act of x[0 .. N-1] in registers, with one branch for all of them
 *     slope_each<N>(act, param, x)  the same for the derivative
 *
 * `act` is the same for all threads, so a branch costs instructions but no divergence. The errors are those of CUDA's
 * functions (CUDA Programming Guide, "Mathematical Functions"): 1 unit in the last place for expf, tanhf and log1pf, 2
 * for erff. A NaN stays NaN. */
#ifndef SAPOR_CUDA_ACT_H
#define SAPOR_CUDA_ACT_H

#include "kernels/cuda/cuda.h"

static __device__ inline float sigmoid_of(float x)
{
    return 1.0f / (expf(-x) + 1.0f);
}
static __device__ inline float gelu_of(float x) /* x Phi(x): within 2e-7 + 2e-7 |x| */
{
    return fmaf(0.5f * x, erff(x * 0.707106781f), 0.5f * x);
}
static __device__ inline float gelu_slope(float x) /* Phi(x) + x phi(x) */
{
    return fmaf(x * 0.398942280f, expf(x * x * -0.5f), fmaf(0.5f, erff(x * 0.707106781f), 0.5f));
}
/* The tanh form of GELU is 0.5 x (1 + tanh u) = x sigmoid(2 u), which needs one exponential. Returns 2 u. */
static __device__ inline float gelu_tanh_argument(float x)
{
    return x * 1.595769122f * fmaf(x * x, 0.044715f, 1.0f);
}
static __device__ inline float gelu_tanh_slope(float x)
{
    const float s = sigmoid_of(gelu_tanh_argument(x)), du = 1.595769122f * fmaf(x * x, 3 * 0.044715f, 1.0f);
    return fmaf(x * du, s * (1.0f - s), s);
}
static __device__ inline float swish_slope(float x, float k) /* the derivative of x sigmoid(k x) */
{
    const float s = sigmoid_of(k * x);
    return fmaf(k * x * s, 1.0f - s, s);
}
static __device__ inline float sigmoid_slope(float x)
{
    const float s = sigmoid_of(x);
    return s * (1.0f - s);
}
static __device__ inline float tanh_slope(float x)
{
    const float t = tanhf(x);
    return 1.0f - t * t;
}
static __device__ inline float relu_of(float x)
{
    return x < 0.0f ? 0.0f : x;
}
static __device__ inline float softplus_of(float x)
{
    return fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x)));
}

/* Defines act_NAME(param, x), which returns act(x), and slope_NAME(param, x), which returns the derivative of act at x.
 */
#define ACT(NAME, value, slope)                                                                                        \
    static __device__ inline float act_##NAME(float param, float x)                                                    \
    {                                                                                                                  \
        (void)param;                                                                                                   \
        return value;                                                                                                  \
    }                                                                                                                  \
    static __device__ inline float slope_##NAME(float param, float x)                                                  \
    {                                                                                                                  \
        (void)param, (void)x;                                                                                          \
        return slope;                                                                                                  \
    }
/* clang-format off */
ACT(NONE, x, 1.0f)
ACT(RELU, relu_of(x), x > 0.0f ? 1.0f : 0.0f)
ACT(RELU6, x > 6.0f ? 6.0f : relu_of(x), x > 0.0f && x < 6.0f ? 1.0f : 0.0f)
ACT(LEAKY_RELU, x > 0.0f ? x : param * x, x > 0.0f ? 1.0f : param)
ACT(GELU, gelu_of(x), gelu_slope(x))
ACT(GELU_TANH, x * sigmoid_of(gelu_tanh_argument(x)), gelu_tanh_slope(x))
ACT(QUICK_GELU, x * sigmoid_of(1.702f * x), swish_slope(x, 1.702f))
ACT(SWISH, x * sigmoid_of(x), swish_slope(x, 1.0f))
ACT(SIGMOID, sigmoid_of(x), sigmoid_slope(x))
ACT(TANH, tanhf(x), tanh_slope(x))
ACT(SOFTPLUS, softplus_of(x), sigmoid_of(x))
/* clang-format on */
#undef ACT

static __device__ inline float act_of(Act act, float param, float x)
{
    switch (act) {
#define ACT_CASE(NAME, ...)                                                                                            \
    case ACT_##NAME: return act_##NAME(param, x);
        ACT_LIST(ACT_CASE)
#undef ACT_CASE
    case ACT_COUNT: break;
    }
    return x;
}
static __device__ inline float slope_of(Act act, float param, float x)
{
    switch (act) {
#define ACT_CASE(NAME, ...)                                                                                            \
    case ACT_##NAME: return slope_##NAME(param, x);
        ACT_LIST(ACT_CASE)
#undef ACT_CASE
    case ACT_COUNT: break;
    }
    return 1.0f;
}
/* Replaces x[i] by act(x[i]), or by the derivative of act, for i < N. x is an array in registers. */
template <int N> static __device__ inline void act_each(Act act, float param, float *x)
{
    switch (act) {
#define ACT_CASE(NAME, ...)                                                                                            \
    case ACT_##NAME:                                                                                                   \
        for (int i = 0; i < N; i++)                                                                                    \
            x[i] = act_##NAME(param, x[i]);                                                                            \
        break;
        ACT_LIST(ACT_CASE)
#undef ACT_CASE
    case ACT_COUNT: break;
    }
}
template <int N> static __device__ inline void slope_each(Act act, float param, float *x)
{
    switch (act) {
#define ACT_CASE(NAME, ...)                                                                                            \
    case ACT_##NAME:                                                                                                   \
        for (int i = 0; i < N; i++)                                                                                    \
            x[i] = slope_##NAME(param, x[i]);                                                                          \
        break;
        ACT_LIST(ACT_CASE)
#undef ACT_CASE
    case ACT_COUNT: break;
    }
}

#endif
