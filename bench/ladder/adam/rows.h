/* Rows without a gradient are not updated. When a row gets a gradient again, and at the end, its missed steps are
 * computed, each with its own step size and scale. The result is that of dense Adam. */
#ifndef SAPOR_LADDER_ROWS_H
#define SAPOR_LADDER_ROWS_H

#include "bench/ladder/adam/case.h"

/* Returns x. If FLUSH_TO_ZERO is defined, numbers below the normal range become zero. */
INLINE vf flush_to_zero(vf x)
{
#ifdef FLUSH_TO_ZERO
    return v_select(v_abs(x) < 1.17549435e-38f, v_zero(), x);
#else
    return x;
#endif
}

INLINE void step(const AdamStep *s, vf g, vf *p, vf *m, vf *v)
{
    *m = flush_to_zero(*m + (1.0f - s->beta1) * (g - *m));
    *v = flush_to_zero(s->beta2 * *v + (1.0f - s->beta2) * (g * g));
    *p -= s->step_size * *m / (v_sqrt(*v) * s->root_scale + s->eps);
}

/* Computes the steps `from` + 1, ..., `to` without a gradient for V vectors of a row. Then, if g is not NULL, computes
 * the step `to` + 1 with the gradient g. The vectors begin at number `at` of p, m and v. V is a constant after
 * inlining. `skip_zero_m`: if m is zero, only v is computed, because p does not change (there is no weight decay). */
INLINE void catch_up(const Case *c, const int V, const bool skip_zero_m, int32_t from, int32_t to, int64_t at,
                     const float *g)
{
    vf p[4], m[4], v[4];
    vi m_nonzero = {0};
    UNROLL
    for (int k = 0; k < V; k++) {
        p[k] = v_load(c->p + at + k * VW);
        m[k] = v_load(c->m + at + k * VW);
        v[k] = v_load(c->v + at + k * VW);
        m_nonzero |= m[k] != 0.0f;
    }
    if (skip_zero_m && v_mask(m_nonzero) == 0) {
        for (int32_t t = from + 1; t <= to; t++) {
            UNROLL
            for (int k = 0; k < V; k++)
                v[k] *= c->history[t].beta2;
        }
    } else {
        for (int32_t t = from + 1; t <= to; t++) {
            UNROLL
            for (int k = 0; k < V; k++)
                step(&c->history[t], v_zero(), &p[k], &m[k], &v[k]);
        }
    }
    UNROLL
    for (int k = 0; k < V; k++) {
        if (g)
            step(&c->history[to + 1], v_load(g + k * VW), &p[k], &m[k], &v[k]);
        v_store(c->p + at + k * VW, p[k]);
        v_store(c->m + at + k * VW, m[k]);
        v_store(c->v + at + k * VW, v[k]);
    }
}

/* Computes all steps, V vectors of a row at the same time. D is a multiple of 4 VW. */
INLINE void adam_by_rows(const Case *c, const int V, const bool skip_zero_m)
{
    memset(c->last, 0, (size_t)c->R * sizeof *c->last);
    for (int32_t t = 1; t <= c->S; t++) {
        for (int64_t i = 0; i < c->n; i++) {
            const int64_t row = c->ids[(t - 1) * c->n + i];
            for (int64_t d = 0; d < c->D; d += V * VW)
                catch_up(c, V, skip_zero_m, c->last[row], t - 1, row * c->D + d,
                         c->g + ((t - 1) * c->n + i) * c->D + d);
            c->last[row] = t;
        }
    }
    for (int64_t row = 0; row < c->R; row++) {
        for (int64_t d = 0; d < c->D && c->last[row] < c->S; d += V * VW)
            catch_up(c, V, skip_zero_m, c->last[row], (int32_t)c->S, row * c->D + d, NULL);
    }
}

#endif
