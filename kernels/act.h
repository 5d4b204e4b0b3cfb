/* kernels/act.h: the activation functions. To add one, add a line here and its ACT lines in kernels/cpu/act.h and
 * kernels/cuda/act.h. The enum, the loops of the kernels, the names in config.json, and the cases and the reference of
 * the tests are generated from these lines. */
#ifndef SAPOR_ACT_H
#define SAPOR_ACT_H

#include "base/base.h"

/* Each line has:
 * - NAME.
 * - Its names in Hugging Face's config.json, each followed by a comma.
 * - Whether act'(x) can be computed from act(x) alone, so that the backward pass does not need x.
 * - act(x) in double.
 *
 * `param` is the slope of LEAKY_RELU. */
/* clang-format off */
#define ACT_LIST(LINE) \
    LINE(NONE, "", true, x) \
    LINE(GELU, "gelu, gelu_python, ", false, 0.5 * x * erfc(-x * sqrt(0.5))) \
    LINE(GELU_TANH, "gelu_new, gelu_pytorch_tanh, gelu_fast, ", false, \
         0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)))) \
    LINE(QUICK_GELU, "quick_gelu, ", false, x / (1 + exp(-1.702 * x))) \
    LINE(RELU, "relu, ", true, x > 0 ? x : 0) \
    LINE(RELU6, "relu6, ", true, fmin(fmax(x, 0), 6)) \
    LINE(LEAKY_RELU, "", param > 0, x > 0 ? x : param * x) \
    LINE(SWISH, "silu, swish, ", false, x / (1 + exp(-x))) \
    LINE(SIGMOID, "sigmoid, ", false, 1 / (1 + exp(-x))) \
    LINE(TANH, "tanh, ", false, tanh(x)) \
    LINE(SOFTPLUS, "", false, fmax(x, 0) + log1p(exp(-fabs(x))))
/* clang-format on */

#define ACT_ENUM(NAME, ...) ACT_##NAME,
typedef enum Act { ACT_LIST(ACT_ENUM) ACT_COUNT } Act;

/* Finds the function with this name in config.json. Returns false if no function has the name. */
bool act_find(Text name, Act *act);
Text act_names(void); /* the names of all functions, separated by ", " */
/* Reports whether act'(x) can be computed from act(x) alone (the third column of ACT_LIST). */
bool act_from_result(Act act, float param);

#endif
