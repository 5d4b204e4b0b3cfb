/* kernels/cpu/act.h: the activation functions of kernels/act.h and their derivatives, for vectors. */
#ifndef SAPOR_CPU_ACT_H
#define SAPOR_CPU_ACT_H

#include "kernels/cpu/vec.h"

/* Phi(x) + x phi(x), with the normal distribution's cumulative function Phi and density phi */
INLINE vf gelu_slope(vf x)
{
    return v_fma(x * 0.398942280f, v_exp(x * x * -0.5f), 0.5f * (v_erf(x * 0.707106781f) + 1.0f));
}
INLINE vf gelu_tanh_slope(vf x)
{
    const vf one = v_set(1.0f), xx = x * x, t = v_tanh(x * 0.797884561f * v_fma(xx, v_set(0.044715f), one));
    const vf du = 0.797884561f * v_fma(xx, v_set(3 * 0.044715f), one);
    return 0.5f * (t + 1.0f) + 0.5f * x * (1.0f - t * t) * du;
}
INLINE vf sigmoid_slope(vf x)
{
    const vf s = v_sigmoid(x);
    return s * (1.0f - s);
}
INLINE vf tanh_slope(vf x)
{
    const vf t = v_tanh(x);
    return 1.0f - t * t;
}
INLINE vf swish_slope(vf x, float k) /* derivative of x sigmoid(k x) */
{
    const vf s = v_sigmoid(k * x);
    return v_fma(k * x * s, 1.0f - s, s);
}

/* act_NAME(x, param) is act(x), slope_NAME(x, param) is act'(x). */
#define ACT(NAME, value, slope)                                                                                        \
    INLINE vf act_##NAME(vf x, float param)                                                                            \
    {                                                                                                                  \
        (void)param;                                                                                                   \
        return value;                                                                                                  \
    }                                                                                                                  \
    INLINE vf slope_##NAME(vf x, float param)                                                                          \
    {                                                                                                                  \
        (void)x;                                                                                                       \
        (void)param;                                                                                                   \
        return slope;                                                                                                  \
    }
/* clang-format off */
ACT(NONE, x, v_set(1.0f))
ACT(RELU, v_max(v_zero(), x), v_select(x > 0.0f, v_set(1.0f), v_zero()))
ACT(RELU6, v_min(v_set(6.0f), v_max(v_zero(), x)), v_select((x > 0.0f) & (x < 6.0f), v_set(1.0f), v_zero()))
ACT(LEAKY_RELU, v_select(x > 0.0f, x, x * param), v_select(x > 0.0f, v_set(1.0f), v_set(param)))
ACT(GELU, v_gelu(x), gelu_slope(x))
ACT(GELU_TANH, 0.5f * x * (v_tanh(x * 0.797884561f * v_fma(x * x, v_set(0.044715f), v_set(1.0f))) + 1.0f),
    gelu_tanh_slope(x))
ACT(QUICK_GELU, x * v_sigmoid(x * 1.702f), swish_slope(x, 1.702f))
ACT(SWISH, x * v_sigmoid(x), swish_slope(x, 1.0f))
ACT(SIGMOID, v_sigmoid(x), sigmoid_slope(x))
ACT(TANH, v_tanh(x), tanh_slope(x))
ACT(SOFTPLUS, v_softplus(x), v_sigmoid(x))
/* clang-format on */
#undef ACT

#endif
