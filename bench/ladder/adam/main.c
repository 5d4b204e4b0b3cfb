/* Adam on a table whose rows all have a gradient in each step, and on two tables of which only some rows have a
 * gradient in a step. Reference, and Sapor's kernel as the last step. */
#include <math.h>

#include "bench/ladder/adam/case.h"

typedef struct Size {
    int64_t R, D, S, n;
} Size;
/* LightGCN's embeddings of movielens-1m; a trainable table of features with batches of 2,048; a table that is read once
 * per epoch */
static const Size SIZES[] = {{9300, 64, 4, 9300}, {28224, 384, 8, 2048}, {7050, 256, 57, 124}}, TINY = {40, 64, 6, 9};

static void reference(const Case *c, const double lr, double *m, double *v)
{
    for (int64_t t = 1; t <= c->S; t++) {
        const double b1 = (double)0.9f, b2 = (double)0.999f, size = lr / (1 - pow(b1, (double)t)),
                     scale = 1 / sqrt(1 - pow(b2, (double)t));
        const float *gradient = dense_gradient(c, t);
        for (int64_t i = 0; i < c->R * c->D; i++) {
            const double g = (double)gradient[i];
            m[i] += (1 - b1) * (g - m[i]);
            v[i] = b2 * v[i] + (1 - b2) * g * g;
            c->expected[i] -= size * m[i] / (sqrt(v[i]) * scale + 1e-8);
        }
        clear_gradient(c, t);
    }
}

static Case *make(int shape, Work *work)
{
    const Size *z = shape < 0 ? &TINY : &SIZES[shape];
    const int64_t R = z->R, D = z->D, S = z->S, n = z->n;
    const size_t all = (size_t)(R * D);
    const double lr = 1e-3;
    int32_t *ids = ladder_room((size_t)(S * n), sizeof *ids);
    AdamStep *history = ladder_room((size_t)(S + 1), sizeof *history);
    for (int64_t t = 0; t < S; t++) {
        history[t + 1] = adam_step(lr, 0.9, 0.999, 1e-8, 0, t + 1);
        for (int64_t i = 0; i < n; i++) { /* the same rows come again after four steps */
            ids[t * n + i] = (int32_t)(n == R ? i : (i * R / n + t % 4 * 3) % R);
        }
    }
    Case *c = ladder_room(1, sizeof *c);
    *c = (Case){.R = R,
                .D = D,
                .S = S,
                .n = n,
                .ids = ids,
                .g = ladder_numbers((size_t)(S * n * D)),
                .p = ladder_room(all, sizeof(float)),
                .m = ladder_room(all, sizeof(float)),
                .v = ladder_room(all, sizeof(float)),
                .dense = ladder_room(all, sizeof(float)),
                .temporary = {ladder_room(all, sizeof(float)), ladder_room(all, sizeof(float))},
                .last = ladder_room((size_t)R, sizeof(int32_t)),
                .history = history,
                .start = ladder_numbers(all),
                .expected = ladder_room(all, sizeof(double))};
    for (size_t i = 0; i < all; i++)
        c->expected[i] = (double)c->start[i];
    reference(c, lr, ladder_room(all, sizeof(double)), ladder_room(all, sizeof(double)));
    *work = (Work){.bytes = 28.0 * (double)all * (double)S,
                   .working_set = 16.0 * (double)all,
                   .limit = 1e-6}; /* 28 bytes per number: reads g, p, m and v, writes p, m and v */
    snprintf(work->name, sizeof work->name, "%lld x %lld, %lld rows a step, %lld steps", (long long)R, (long long)D,
             (long long)n, (long long)S);
    return c;
}

static void reset(Case *c)
{
    const size_t bytes = (size_t)(c->R * c->D) * sizeof(float);
    memcpy(c->p, c->start, bytes);
    memset(c->m, 0, bytes);
    memset(c->v, 0, bytes);
}

static double error_of(const Case *c)
{
    return ladder_difference(c->p, c->expected, (size_t)(c->R * c->D));
}

const Ladder ladder = {COUNT(SIZES), make, reset, error_of};

static void sapor(Case *c)
{
    const Run run = {0};
    memset(c->last, 0, (size_t)c->R * sizeof *c->last);
    for (int32_t t = 1; t <= c->S; t++)
        ladder_kernels()->adam_rows(&run, c->n, c->D, c->ids + (t - 1) * c->n, c->history, t,
                                    c->g + (t - 1) * c->n * c->D, c->last, c->p, c->m, c->v);
    ladder_kernels()->adam_replay(&run, c->R, c->D, NULL, c->history, (int32_t)c->S, c->last, c->p, c->m, c->v);
}
STEP("Sapor", NULL, sapor)
