/* As written, one loop per formula. Each addition of a sum waits for the one before. */
#include <math.h>

#include "bench/ladder/norm/case.h"

static void norm(Case *c)
{
    for (int64_t m = 0; m < c->M; m++) {
        const float *x = c->x + m * c->C, *residual = c->residual + m * c->C;
        float *y = c->y + m * c->C, mean = 0, variance = 0;
        for (int64_t i = 0; i < c->C; i++)
            y[i] = x[i] + residual[i];
        for (int64_t i = 0; i < c->C; i++)
            mean += y[i];
        mean /= (float)c->C;
        for (int64_t i = 0; i < c->C; i++)
            variance += (y[i] - mean) * (y[i] - mean);
        const float rstd = 1.0f / sqrtf(variance / (float)c->C + c->eps);
        for (int64_t i = 0; i < c->C; i++)
            y[i] = (y[i] - mean) * rstd * c->gamma[i] + c->beta[i];
    }
}
STEP("as written", NULL, norm)
