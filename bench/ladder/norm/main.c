/* Layer norm: rows of MiniLM and of a ViT, whose means are not small. Reference, and Sapor's kernel as the last step.
 */
#include <math.h>

#include "bench/ladder/norm/case.h"

static const int64_t SHAPES[][2] = {{128, 384}, {197, 768}}, TINY[2] = {5, 192};

static Case *make(int shape, Work *work)
{
    const int64_t M = shape < 0 ? TINY[0] : SHAPES[shape][0], C = shape < 0 ? TINY[1] : SHAPES[shape][1];
    float *x = ladder_numbers((size_t)(M * C));
    Case *c = ladder_room(1, sizeof *c);
    *c = (Case){.M = M,
                .C = C,
                .x = x,
                .residual = ladder_numbers((size_t)(M * C)),
                .gamma = ladder_numbers((size_t)C),
                .beta = ladder_numbers((size_t)C),
                .eps = 1e-12f,
                .y = ladder_room((size_t)(M * C), sizeof(float)),
                .expected = ladder_room((size_t)(M * C), sizeof(double))};
    for (int64_t m = 0; m < M; m++) {
        double mean = 0, variance = 0;
        double *s = c->expected + m * C;
        for (int64_t i = 0; i < C; i++) {
            x[m * C + i] += 10;
            s[i] = (double)x[m * C + i] + (double)c->residual[m * C + i];
            mean += s[i] / (double)C;
        }
        for (int64_t i = 0; i < C; i++)
            variance += (s[i] - mean) * (s[i] - mean) / (double)C;
        for (int64_t i = 0; i < C; i++)
            s[i] = (s[i] - mean) / sqrt(variance + (double)c->eps) * (double)c->gamma[i] + (double)c->beta[i];
    }
    *work = (Work){.bytes = 12.0 * (double)(M * C), .working_set = 12.0 * (double)(M * C), .limit = 1e-3};
    snprintf(work->name, sizeof work->name, "%lld rows of %lld", (long long)M, (long long)C);
    return c;
}

static void reset(Case *c)
{
    for (int64_t i = 0; i < c->M * c->C; i++)
        c->y[i] = NAN;
}

static double error_of(const Case *c)
{
    return ladder_difference(c->y, c->expected, (size_t)(c->M * c->C));
}

const Ladder ladder = {COUNT(SHAPES), make, reset, error_of};

static void sapor(Case *c)
{
    const Run run = {0};
    ladder_kernels()->layer_norm(&run, c->M, c->C, F32, c->x, c->residual, c->gamma, c->beta, c->eps, c->y, NULL, NULL);
}
STEP("Sapor", NULL, sapor)
