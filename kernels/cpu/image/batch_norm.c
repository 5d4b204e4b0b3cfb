/* kernels/cpu/image/batch_norm.c: batch normalisation (Ioffe & Szegedy 2015). Each column c of x [M, C] is normalised
 * with its own mean and variance, or with given ones:
 *
 *   y = (x - mean) rstd gamma + beta,  rstd = 1 / sqrt(variance + eps)
 *
 * The sum of a column is computed in parts of rows, one task per part; then the parts are added in order. The number of
 * parts depends on M alone, so the bits do not depend on the threads. Vectors run along the columns. */
#include "kernels/cpu/loops.h"

enum { PARTS = 64, PART_ROWS = 32 };

static int64_t part_count(int64_t M)
{
    return MIN(div_up(M, PART_ROWS), PARTS);
}

size_t FN(batch_norm_work)(const Run *run, const BatchNorm *t)
{
    (void)run;
    return t->batch ? (size_t)(part_count(t->M) * t->C) * sizeof(float) : 0;
}

typedef struct Job {
    const BatchNorm *t;
    const BatchNormBack *back;
    float *sums;  /* [parts, C]; in the backward pass [parts, 2 C]: the sums of dy and of dy times the normalised x */
    bool squares; /* sum the squared distances from the mean instead of x */
} Job;

static void sum_rows(void *arg, size_t part, int worker)
{
    (void)worker;
    const Job *j = arg;
    const BatchNorm *t = j->t;
    const int64_t parts = part_count(t->M), C = t->C;
    float *sum = j->sums + (int64_t)part * C;
    memset(sum, 0, (size_t)C * sizeof(float));
    for (int64_t m = part_begin(t->M, parts, (int64_t)part); m < part_begin(t->M, parts, (int64_t)part + 1); m++) {
        const float *x = t->x + m * C;
        if (j->squares) {
            FOR_VECTORS(0, C, {
                const vf away = load_part(x + i, n) - load_part(t->mean + i, n);
                store_part(sum + i, v_fma(away, away, load_part(sum + i, n)), n);
            })
        } else {
            FOR_VECTORS(0, C, store_part(sum + i, load_part(sum + i, n) + load_part(x + i, n), n))
        }
    }
}

/* Adds the rows of parts [count, C] to row 0. */
static void add_parts(float *parts, int64_t count, int64_t C)
{
    for (int64_t p = 1; p < count; p++) {
        const float *next = parts + p * C;
        FOR_VECTORS(0, C, store_part(parts + i, load_part(parts + i, n) + load_part(next + i, n), n))
    }
}

/* y += x */
static void add_row(int64_t C, const float *x, float *y)
{
    FOR_VECTORS(0, C, store_part(y + i, load_part(y + i, n) + load_part(x + i, n), n))
}

static void normalise(const void *arg, int64_t first, int64_t last)
{
    const BatchNorm *t = arg;
    for (int64_t m = first; m < last; m++) {
        const float *x = t->x + m * t->C;
        float *y = t->y + m * t->C;
        FOR_VECTORS(0, t->C, {
            const vf normal = (load_part(x + i, n) - load_part(t->mean + i, n)) * load_part(t->rstd + i, n);
            store_part(y + i, v_fma(normal, load_part(t->gamma + i, n), load_part(t->beta + i, n)), n);
        })
    }
}

void FN(batch_norm)(const Run *run, const BatchNorm *t)
{
    const int64_t C = t->C, parts = part_count(t->M);
    if (t->M == 0 || C == 0)
        return;
    Job j = {.t = t, .sums = run->work};
    if (t->batch) {
        const float by = 1.0f / (float)t->M, unbiased = (float)t->M / (float)MAX(t->M - 1, 1);
        pool_run(run->context, (size_t)parts, sum_rows, &j);
        add_parts(j.sums, parts, C);
        FOR_VECTORS(0, C, store_part(t->mean + i, load_part(j.sums + i, n) * by, n))
        j.squares = true;
        pool_run(run->context, (size_t)parts, sum_rows, &j);
        add_parts(j.sums, parts, C);
        FOR_VECTORS(0, C, {
            const vf mean = load_part(t->mean + i, n), var = load_part(j.sums + i, n) * by,
                     old_mean = load_part(t->running_mean + i, n), old_var = load_part(t->running_var + i, n);
            store_part(t->rstd + i, 1.0f / v_sqrt(var + t->eps), n);
            store_part(t->running_mean + i, v_fma(mean - old_mean, v_set(t->momentum), old_mean), n);
            store_part(t->running_var + i, v_fma(var * unbiased - old_var, v_set(t->momentum), old_var), n);
        })
    } else {
        FOR_VECTORS(0, C, {
            store_part(t->mean + i, load_part(t->running_mean + i, n), n);
            store_part(t->rstd + i, 1.0f / v_sqrt(load_part(t->running_var + i, n) + t->eps), n);
        })
    }
    run_rows(run, t->M, C, normalise, t);
}

/* ---- backward -------------------------------------------------------------------------------- */

size_t FN(batch_norm_back_work)(const Run *run, const BatchNormBack *b)
{
    (void)run;
    return (size_t)(MAX(part_count(b->forward.M), 1) * 2 * b->forward.C) * sizeof(float);
}

static void sum_slopes(void *arg, size_t part, int worker)
{
    (void)worker;
    const Job *j = arg;
    const BatchNorm *t = j->t;
    const int64_t parts = part_count(t->M), C = t->C;
    float *sum = j->sums + (int64_t)part * 2 * C;
    memset(sum, 0, (size_t)(2 * C) * sizeof(float));
    for (int64_t m = part_begin(t->M, parts, (int64_t)part); m < part_begin(t->M, parts, (int64_t)part + 1); m++) {
        const float *x = t->x + m * C, *dy = j->back->dy + m * C;
        FOR_VECTORS(0, C, {
            const vf d = load_part(dy + i, n),
                     normal = (load_part(x + i, n) - load_part(t->mean + i, n)) * load_part(t->rstd + i, n);
            store_part(sum + i, load_part(sum + i, n) + d, n);
            store_part(sum + C + i, v_fma(d, normal, load_part(sum + C + i, n)), n);
        })
    }
}

/* With given statistics:
 *
 *   dx = gamma rstd dy
 *
 * With the statistics of the batch (z: the normalised x):
 *
 *   dx = gamma rstd (dy - mean(dy) - z mean(dy z)) */
static void slope_rows(const void *arg, int64_t first, int64_t last)
{
    const Job *j = arg;
    const BatchNorm *t = j->t;
    const int64_t C = t->C;
    const float by = t->batch ? 1.0f / (float)t->M : 0.0f;
    for (int64_t m = first; m < last; m++) {
        const float *x = t->x + m * C, *dy = j->back->dy + m * C;
        float *dx = j->back->dx + m * C;
        FOR_VECTORS(0, C, {
            const vf rstd = load_part(t->rstd + i, n),
                     normal = (load_part(x + i, n) - load_part(t->mean + i, n)) * rstd;
            const vf mean = v_fma(normal, load_part(j->sums + C + i, n), load_part(j->sums + i, n)) * by;
            store_part(dx + i, (load_part(dy + i, n) - mean) * (load_part(t->gamma + i, n) * rstd), n);
        })
    }
}

void FN(batch_norm_back)(const Run *run, const BatchNormBack *b)
{
    const BatchNorm *t = &b->forward;
    const int64_t C = t->C, parts = part_count(t->M);
    if (t->M == 0 || C == 0)
        return;
    Job j = {.t = t, .back = b, .sums = run->work};
    pool_run(run->context, (size_t)parts, sum_slopes, &j);
    add_parts(j.sums, parts, 2 * C);
    if (b->dbeta)
        add_row(C, j.sums, b->dbeta);
    if (b->dgamma)
        add_row(C, j.sums + C, b->dgamma);
    if (b->dx)
        run_rows(run, t->M, C, slope_rows, &j);
}
