/* S steps of Adam on a table p of R rows of D numbers, as in a training run. In step t only the n rows ids[t] have a
 * gradient, g[t] [n, D]. The gradient of all other rows is zero, but Adam changes them too while their momentum lasts.
 * At the end all rows are up to date.
 *
 *   m += (1 - beta1) (g - m);  v = beta2 v + (1 - beta2) g g;  p -= step_size m / (sqrt(v) root_scale + eps)
 *
 * Here step_size = lr / (1 - beta1^t) and root_scale = 1 / sqrt(1 - beta2^t) (Kingma & Ba 2015, as torch.optim.Adam
 * computes it). */
#ifndef SAPOR_LADDER_CASE_H
#define SAPOR_LADDER_CASE_H

#include "bench/ladder/ladder.h"

struct Case {
    int64_t R, D, S, n;
    const int32_t *ids;      /* [S, n], distinct in a step */
    const float *g;          /* [S, n, D] */
    float *p, *m, *v;        /* [R, D] */
    float *dense;            /* [R, D]: room for a step's gradient as a table; all zeros before and after a run */
    float *temporary[2];     /* [R, D] each */
    int32_t *last;           /* [R]: room for the last step applied to each row */
    const AdamStep *history; /* [S + 1]: the numbers of step t at t = 1 .. S */
    const float *start;      /* p before the first step */
    double *expected;        /* p after the last step */
};

/* Returns the gradient of step t as a table [R, D]: g itself if all rows have a gradient (ids are then 0, 1, 2, ...),
 * otherwise `dense` with the rows of g written into its zeros. */
static inline const float *dense_gradient(const Case *c, int64_t t)
{
    const float *g = c->g + (t - 1) * c->n * c->D;
    for (int64_t i = 0; i < c->n && c->n < c->R; i++)
        memcpy(c->dense + c->ids[(t - 1) * c->n + i] * c->D, g + i * c->D, (size_t)c->D * sizeof *g);
    return c->n < c->R ? c->dense : g;
}

/* Sets the rows that dense_gradient wrote to zero again. */
static inline void clear_gradient(const Case *c, int64_t t)
{
    for (int64_t i = 0; i < c->n && c->n < c->R; i++)
        memset(c->dense + c->ids[(t - 1) * c->n + i] * c->D, 0, (size_t)c->D * sizeof(float));
}

#endif
