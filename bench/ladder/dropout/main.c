/* Dropout: a layer of NGCF on movielens-1m, reference, and Sapor's kernel as the last step. */
#include <math.h>

#include "bench/ladder/dropout/case.h"

static const int64_t SIZES[] = {9300 * 64}, TINY = 1003;

static Case *make(int shape, Work *work)
{
    const int64_t n = shape < 0 ? TINY : SIZES[shape];
    Case *c = ladder_room(1, sizeof *c);
    *c = (Case){.n = n,
                .p = 0.1f,
                .draw = {0x123456789abcdefu, DRAW_DROPOUT, 3},
                .x = ladder_numbers((size_t)n),
                .y = ladder_room((size_t)n, sizeof(float)),
                .expected = ladder_room((size_t)n, sizeof(double))};
    for (int64_t i = 0; i < n; i++)
        c->expected[i] = draw_uniform(c->draw, (uint64_t)i) >= c->p ? (double)c->x[i] / (1.0 - (double)c->p) : 0.0;
    *work = (Work){.bytes = 8.0 * (double)n, .working_set = 8.0 * (double)n, .limit = 1e-6};
    snprintf(work->name, sizeof work->name, "%lld numbers", (long long)n);
    return c;
}

static void reset(Case *c)
{
    for (int64_t i = 0; i < c->n; i++)
        c->y[i] = NAN;
}

static double error_of(const Case *c)
{
    return ladder_difference(c->y, c->expected, (size_t)c->n);
}

const Ladder ladder = {COUNT(SIZES), make, reset, error_of};

static void sapor(Case *c)
{
    const Run run = {0};
    ladder_kernels()->dropout(&run, c->n, c->p, c->draw, 0, c->x, c->y);
}
STEP("Sapor", NULL, sapor)
