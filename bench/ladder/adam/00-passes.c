/* One pass over the table per operation, with temporaries, as a framework computes it with tensors. */
#include "bench/ladder/adam/case.h"

/* Each use is a separate loop, which the compiler turns into vector code. */
#define PASS(expression)                                                                                               \
    for (int64_t i = 0; i < n; i++) {                                                                                  \
        expression;                                                                                                    \
    }

static void adam(Case *c)
{
    const int64_t n = c->R * c->D;
    float *restrict p = c->p, *restrict m = c->m, *restrict v = c->v, *restrict a = c->temporary[0],
                    *restrict b = c->temporary[1];
    for (int64_t t = 1; t <= c->S; t++) {
        const AdamStep s = c->history[t];
        const float *g = dense_gradient(c, t);
        PASS(a[i] = g[i] - m[i])
        PASS(m[i] += (1.0f - s.beta1) * a[i])
        PASS(v[i] *= s.beta2)
        PASS(a[i] = g[i] * g[i])
        PASS(v[i] += (1.0f - s.beta2) * a[i])
        PASS(b[i] = __builtin_sqrtf(v[i]))
        PASS(b[i] *= s.root_scale)
        PASS(b[i] += s.eps)
        PASS(a[i] = m[i] / b[i])
        PASS(p[i] -= s.step_size * a[i])
        clear_gradient(c, t);
    }
}
STEP("one pass over the table per operation", NULL, adam)
