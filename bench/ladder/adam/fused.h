/* One loop in plain C, for the steps that compile it with different flags */
#include "bench/ladder/adam/case.h"

static inline void fused(Case *c)
{
    float *restrict p = c->p, *restrict m = c->m, *restrict v = c->v;
    for (int64_t t = 1; t <= c->S; t++) {
        const AdamStep s = c->history[t];
        const float *g = dense_gradient(c, t);
        for (int64_t i = 0; i < c->R * c->D; i++) {
            m[i] += (1.0f - s.beta1) * (g[i] - m[i]);
            v[i] = s.beta2 * v[i] + (1.0f - s.beta2) * (g[i] * g[i]);
            p[i] -= s.step_size * m[i] / (__builtin_sqrtf(v[i]) * s.root_scale + s.eps);
        }
        clear_gradient(c, t);
    }
}
