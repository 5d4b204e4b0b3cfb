/* tests/cases/norm.c: cases of kernels/cpu/norm.c. */
#include <math.h>

#include "tests/kernel_cases.h"

/* ---- layer_norm, layer_norm_back ------------------------------------------------------------- */

static const Case layer_norm_cases[] = {CASE(0, 8, 0),     CASE(3, 1, 0),    CASE(5, 7, 0),     CASE(5, 7, 1),
                                        CASE(2, 16, 1),    CASE(40, 67, 1),  CASE(130, 384, 0), CASE(3, 301, 1),
                                        CASE(2, 1200, 0),  CASE(2, 1031, 1), CASE(2, 4104, 1),  TIMED(197, 768, 0),
                                        TIMED(128, 384, 1)};
enum { LN_X, LN_RESIDUAL, LN_GAMMA, LN_BETA, LN_Y, LN_MEAN, LN_RSTD };
static void norm_of_row(const Job *j, int64_t m, int64_t C, bool residual, double eps, double *row, double *mean,
                        double *rstd)
{
    double sum = 0, squares = 0;
    for (int64_t c = 0; c < C; c++) {
        row[c] = exact_of(j, LN_X)[m * C + c] + (residual ? exact_of(j, LN_RESIDUAL)[m * C + c] : 0);
        sum += row[c];
    }
    *mean = sum / (double)C;
    for (int64_t c = 0; c < C; c++)
        squares += (row[c] - *mean) * (row[c] - *mean);
    *rstd = 1 / sqrt(squares / (double)C + eps);
}
static const double EPS = (double)1e-5f;
static void layer_norm_make(Job *j, const Case *s)
{
    case_f32(j, "x", ROLE_IN, s->n[0] * s->n[1]);
    case_f32(j, "residual", ROLE_IN, s->n[2] ? s->n[0] * s->n[1] : 0);
    case_f32(j, "gamma", ROLE_IN, s->n[1]);
    case_f32(j, "beta", ROLE_IN, s->n[1]);
    case_f32(j, "y", ROLE_OUT, s->n[0] * s->n[1]);
    case_f32(j, "mean", ROLE_OUT, s->n[0]);
    case_f32(j, "rstd", ROLE_OUT, s->n[0]);
    j->flops = (double)(s->n[0] * s->n[1]) * 8;
    j->bytes = (double)(s->n[0] * s->n[1]) * (s->n[2] ? 12 : 8);
}
static void layer_norm_call(Job *j, const Case *s)
{
    j->k->layer_norm(&j->run, s->n[0], s->n[1], F32, f32_of(j, LN_X), s->n[2] ? f32_of(j, LN_RESIDUAL) : NULL,
                     f32_of(j, LN_GAMMA), f32_of(j, LN_BETA), 1e-5f, f32_of(j, LN_Y), f32_of(j, LN_MEAN),
                     f32_of(j, LN_RSTD));
}
static void layer_norm_reference(Job *j, const Case *s)
{
    for (int64_t m = 0; m < s->n[0]; m++) {
        double *y = exact_of(j, LN_Y) + m * s->n[1], *mean = &exact_of(j, LN_MEAN)[m], *rstd = &exact_of(j, LN_RSTD)[m];
        norm_of_row(j, m, s->n[1], s->n[2] != 0, EPS, y, mean, rstd);
        for (int64_t c = 0; c < s->n[1]; c++)
            y[c] = (y[c] - *mean) * *rstd * exact_of(j, LN_GAMMA)[c] + exact_of(j, LN_BETA)[c];
    }
}
const Family family_layer_norm = {.kernel = "layer_norm",
                                  .names = "M C residual",
                                  .cases = layer_norm_cases,
                                  .count = COUNT(layer_norm_cases),
                                  .make = layer_norm_make,
                                  .call = layer_norm_call,
                                  .reference = layer_norm_reference,
                                  .in_place = {{LN_Y, LN_X}},
                                  .in_place_count = 1,
                                  .optional = {LN_MEAN, LN_RSTD},
                                  .optional_count = 2};

static const Case layer_norm_back_cases[] = {CASE(0, 8, 0),   CASE(1, 5, 0),    CASE(5, 7, 1),    CASE(33, 16, 0),
                                             CASE(70, 19, 1), CASE(2500, 3, 0), CASE(3, 100, 1),  CASE(9, 380, 0),
                                             CASE(9, 301, 1), CASE(9, 644, 1),  CASE(9, 1200, 0), CASE(2, 1031, 1),
                                             CASE(9, 4104, 0)};
enum { LB_MEAN = 4, LB_RSTD, LB_DY, LB_DX, LB_DGAMMA, LB_DBETA, LB_ROW };
static void layer_norm_back_make(Job *j, const Case *s)
{
    case_f32(j, "x", ROLE_IN, s->n[0] * s->n[1]);
    case_f32(j, "residual", ROLE_IN, s->n[2] ? s->n[0] * s->n[1] : 0);
    case_f32(j, "gamma", ROLE_IN, s->n[1]);
    case_f32(j, "beta", ROLE_IN, s->n[1]);
    float *mean = case_f32(j, "mean", ROLE_IN, s->n[0]), *rstd = case_f32(j, "rstd", ROLE_IN, s->n[0]);
    case_f32(j, "dy", ROLE_IN, s->n[0] * s->n[1]);
    case_f32(j, "dx", ROLE_OUT, s->n[0] * s->n[1]);
    case_f32(j, "dgamma", ROLE_INOUT, s->n[1]);
    case_f32(j, "dbeta", ROLE_INOUT, s->n[1]);
    case_f32(j, "row", ROLE_IN, s->n[1]); /* scratch of the reference */
    case_work(j, j->k->layer_norm_back_work(&j->run, s->n[0], s->n[1]));
    for (int64_t m = 0; j->ok && m < s->n[0]; m++) {
        double mu, r;
        norm_of_row(j, m, s->n[1], s->n[2] != 0, EPS, exact_of(j, LB_ROW), &mu, &r);
        mean[m] = (float)mu;
        rstd[m] = (float)r;
    }
    j->flops = (double)(s->n[0] * s->n[1]) * 14;
    j->bytes = (double)(s->n[0] * s->n[1]) * (s->n[2] ? 16 : 12);
}
static void layer_norm_back_call(Job *j, const Case *s)
{
    j->k->layer_norm_back(&j->run, s->n[0], s->n[1], f32_of(j, LN_X), s->n[2] ? f32_of(j, LN_RESIDUAL) : NULL,
                          f32_of(j, LN_GAMMA), f32_of(j, LB_MEAN), f32_of(j, LB_RSTD), f32_of(j, LB_DY),
                          f32_of(j, LB_DX), f32_of(j, LB_DGAMMA), f32_of(j, LB_DBETA));
}
static double layer_norm_back_loss(const Job *j, const Case *s)
{
    double loss = 0, mean, rstd, *row = exact_of(j, LB_ROW);
    for (int64_t m = 0; m < s->n[0]; m++) {
        norm_of_row(j, m, s->n[1], s->n[2] != 0, EPS, row, &mean, &rstd);
        for (int64_t c = 0; c < s->n[1]; c++)
            loss += exact_of(j, LB_DY)[m * s->n[1] + c] *
                    ((row[c] - mean) * rstd * exact_of(j, LN_GAMMA)[c] + exact_of(j, LN_BETA)[c]);
    }
    return loss;
}
const Family family_layer_norm_back = {.kernel = "layer_norm_back",
                                       .names = "M C residual",
                                       .cases = layer_norm_back_cases,
                                       .count = COUNT(layer_norm_back_cases),
                                       .make = layer_norm_back_make,
                                       .call = layer_norm_back_call,
                                       .loss = layer_norm_back_loss,
                                       .by = {{LN_X, LB_DX}, {LN_GAMMA, LB_DGAMMA}, {LN_BETA, LB_DBETA}},
                                       .by_count = 3,
                                       .in_place = {{LB_DX, LB_DY}},
                                       .in_place_count = 1,
                                       .optional = {LB_DGAMMA, LB_DBETA},
                                       .optional_count = 2};

/* ---- softmax, softmax_back ------------------------------------------------------------------- */

static const Case softmax_cases[] = {CASE(0, 5),    CASE(4, 1),     CASE(5, 7),          CASE(3, 16),
                                     CASE(64, 50),  CASE(500, 197), CASE(3, 301),        CASE(2, 1200),
                                     CASE(2, 1031), CASE(2, 4104),  TIMED(12 * 197, 197)};
static void softmax_of_row(const double *x, double *y, int64_t C)
{
    double top = x[0], sum = 0;
    for (int64_t c = 0; c < C; c++)
        top = fmax(top, x[c]);
    for (int64_t c = 0; c < C; c++) {
        y[c] = exp(x[c] - top);
        sum += y[c];
    }
    for (int64_t c = 0; c < C; c++)
        y[c] /= sum;
}
static void softmax_make(Job *j, const Case *s)
{
    float *x = case_f32(j, "x", ROLE_IN, s->n[0] * s->n[1]);
    for (int64_t i = 0; j->ok && i < s->n[0] * s->n[1]; i++) { /* some are masked, some distant */
        x[i] = i % 11 == 3 && s->n[1] > 1 ? -INFINITY : x[i] * (float)(1 + i % 5 * 8);
    }
    case_set(j, 0);
    case_f32(j, "y", ROLE_OUT, s->n[0] * s->n[1]);
    j->flops = (double)(s->n[0] * s->n[1]) * 12;
    j->bytes = (double)(s->n[0] * s->n[1]) * 8;
}
static void softmax_call(Job *j, const Case *s)
{
    j->k->softmax(&j->run, s->n[0], s->n[1], f32_of(j, 0), f32_of(j, 1));
}
static void softmax_reference(Job *j, const Case *s)
{
    for (int64_t m = 0; m < s->n[0]; m++)
        softmax_of_row(exact_of(j, 0) + m * s->n[1], exact_of(j, 1) + m * s->n[1], s->n[1]);
}
const Family family_softmax = {.kernel = "softmax",
                               .names = "M C",
                               .cases = softmax_cases,
                               .count = COUNT(softmax_cases),
                               .make = softmax_make,
                               .call = softmax_call,
                               .reference = softmax_reference,
                               .tolerance = 1e-6,
                               .in_place = {{1, 0}},
                               .in_place_count = 1};

static const Case softmax_back_cases[] = {CASE(0, 5),   CASE(4, 1),   CASE(5, 7),    CASE(6, 33),   CASE(300, 70),
                                          CASE(3, 200), CASE(3, 301), CASE(2, 1200), CASE(2, 1031), CASE(2, 4104)};
static void softmax_back_make(Job *j, const Case *s)
{
    case_f32(j, "x", ROLE_IN, s->n[0] * s->n[1]);
    float *y = case_f32(j, "y", ROLE_IN, s->n[0] * s->n[1]);
    case_f32(j, "dy", ROLE_IN, s->n[0] * s->n[1]);
    case_f32(j, "dx", ROLE_OUT, s->n[0] * s->n[1]);
    case_f32(j, "row", ROLE_IN, s->n[1]);
    for (int64_t m = 0; j->ok && m < s->n[0]; m++) {
        softmax_of_row(exact_of(j, 0) + m * s->n[1], exact_of(j, 4), s->n[1]);
        for (int64_t c = 0; c < s->n[1]; c++)
            y[m * s->n[1] + c] = (float)exact_of(j, 4)[c];
    }
}
static void softmax_back_call(Job *j, const Case *s)
{
    j->k->softmax_back(&j->run, s->n[0], s->n[1], f32_of(j, 1), f32_of(j, 2), f32_of(j, 3));
}
static double softmax_back_loss(const Job *j, const Case *s)
{
    double loss = 0, *row = exact_of(j, 4);
    for (int64_t m = 0; m < s->n[0]; m++) {
        softmax_of_row(exact_of(j, 0) + m * s->n[1], row, s->n[1]);
        for (int64_t c = 0; c < s->n[1]; c++)
            loss += row[c] * exact_of(j, 2)[m * s->n[1] + c];
    }
    return loss;
}
const Family family_softmax_back = {.kernel = "softmax_back",
                                    .names = "M C",
                                    .cases = softmax_back_cases,
                                    .count = COUNT(softmax_back_cases),
                                    .make = softmax_back_make,
                                    .call = softmax_back_call,
                                    .loss = softmax_back_loss,
                                    .by = {{0, 3}},
                                    .by_count = 1,
                                    .tolerance = 1e-6,
                                    .in_place = {{3, 2}},
                                    .in_place_count = 1};

/* ---- row_normalize, row_normalize_back ------------------------------------------------------- */

static const Case normalize_cases[] = {CASE(0, 5),   CASE(4, 1),    CASE(5, 7),    CASE(9, 64),   CASE(300, 100),
                                       CASE(3, 301), CASE(2, 1200), CASE(2, 1031), CASE(2, 4104), TIMED(9300, 64)};
static const float NORM_EPS = 0.25f; /* large, so that the norms of some rows are below it */
static double norm_of(const double *x, int64_t C)
{
    double squares = 0;
    for (int64_t c = 0; c < C; c++)
        squares += x[c] * x[c];
    return fmax(sqrt(squares), (double)NORM_EPS);
}
static void small_rows(Job *j, const Case *s) /* every fourth row is short, the row before it is zero */
{
    float *x = host_f32(j, 0);
    for (int64_t i = 0; j->ok && i < s->n[0] * s->n[1]; i++)
        x[i] *= i / s->n[1] % 4 == 3 ? 0.01f : i / s->n[1] % 4 == 2 ? 0.0f : 1.0f;
    case_set(j, 0);
}
static void row_normalize_make(Job *j, const Case *s)
{
    case_f32(j, "x", ROLE_IN, s->n[0] * s->n[1]);
    small_rows(j, s);
    case_f32(j, "y", ROLE_OUT, s->n[0] * s->n[1]);
    case_f32(j, "norm", ROLE_OUT, s->n[0]);
    j->flops = (double)(s->n[0] * s->n[1]) * 3;
    j->bytes = (double)(s->n[0] * s->n[1]) * 8;
}
static void row_normalize_call(Job *j, const Case *s)
{
    j->k->row_normalize(&j->run, s->n[0], s->n[1], NORM_EPS, f32_of(j, 0), f32_of(j, 1), f32_of(j, 2));
}
static void row_normalize_reference(Job *j, const Case *s)
{
    for (int64_t m = 0; m < s->n[0]; m++) {
        exact_of(j, 2)[m] = norm_of(exact_of(j, 0) + m * s->n[1], s->n[1]);
        for (int64_t c = 0; c < s->n[1]; c++)
            exact_of(j, 1)[m * s->n[1] + c] = exact_of(j, 0)[m * s->n[1] + c] / exact_of(j, 2)[m];
    }
}
const Family family_row_normalize = {.kernel = "row_normalize",
                                     .names = "M C",
                                     .cases = normalize_cases,
                                     .count = COUNT(normalize_cases),
                                     .make = row_normalize_make,
                                     .call = row_normalize_call,
                                     .reference = row_normalize_reference,
                                     .tolerance = 1e-6,
                                     .in_place = {{1, 0}},
                                     .in_place_count = 1,
                                     .optional = {2},
                                     .optional_count = 1};

static const Case normalize_back_cases[] = {CASE(0, 5),   CASE(5, 1),   CASE(6, 7),    CASE(9, 64),   CASE(300, 33),
                                            CASE(4, 200), CASE(4, 301), CASE(4, 1200), CASE(4, 1031), CASE(4, 4104)};
static void row_normalize_back_make(Job *j, const Case *s)
{
    case_f32(j, "x", ROLE_IN, s->n[0] * s->n[1]);
    small_rows(j, s);
    float *y = case_f32(j, "y", ROLE_IN, s->n[0] * s->n[1]), *norm = case_f32(j, "norm", ROLE_IN, s->n[0]);
    case_f32(j, "dy", ROLE_IN, s->n[0] * s->n[1]);
    case_f32(j, "dx", ROLE_OUT, s->n[0] * s->n[1]);
    for (int64_t i = 0; j->ok && i < s->n[0] * s->n[1]; i++) {
        const int64_t m = i / s->n[1];
        norm[m] = (float)norm_of(exact_of(j, 0) + m * s->n[1], s->n[1]);
        y[i] = host_f32(j, 0)[i] / norm[m];
    }
}
static void row_normalize_back_call(Job *j, const Case *s)
{
    j->k->row_normalize_back(&j->run, s->n[0], s->n[1], NORM_EPS, f32_of(j, 1), f32_of(j, 2), f32_of(j, 3),
                             f32_of(j, 4));
}
static double row_normalize_back_loss(const Job *j, const Case *s)
{
    double loss = 0;
    for (int64_t m = 0; m < s->n[0]; m++) {
        const double *x = exact_of(j, 0) + m * s->n[1], norm = norm_of(x, s->n[1]);
        for (int64_t c = 0; c < s->n[1]; c++)
            loss += x[c] / norm * exact_of(j, 3)[m * s->n[1] + c];
    }
    return loss;
}
const Family family_row_normalize_back = {.kernel = "row_normalize_back",
                                          .names = "M C",
                                          .cases = normalize_back_cases,
                                          .count = COUNT(normalize_back_cases),
                                          .make = row_normalize_back_make,
                                          .call = row_normalize_back_call,
                                          .loss = row_normalize_back_loss,
                                          .by = {{0, 4}},
                                          .by_count = 1,
                                          .in_place = {{4, 3}},
                                          .in_place_count = 1};

/* ---- row_dot, row_scale, row_sum, col_sum, copy_cols ----------------------------------------- */

static const Case row_cases[] = {CASE(0, 5),    CASE(3, 0),     CASE(4, 1),     CASE(5, 7),
                                 CASE(9, 64),   CASE(700, 100), CASE(3, 301),   CASE(2, 1200),
                                 CASE(2, 1031), CASE(2, 4104),  TIMED(2048, 64)};
static void row_dot_make(Job *j, const Case *s)
{
    case_f32(j, "a", ROLE_IN, s->n[0] * s->n[1]);
    case_f32(j, "b", ROLE_IN, s->n[0] * s->n[1]);
    case_f32(j, "y", ROLE_OUT, s->n[0]);
    j->flops = (double)(s->n[0] * s->n[1]) * 2;
    j->bytes = (double)(s->n[0] * s->n[1]) * 8;
}
static void row_dot_call(Job *j, const Case *s)
{
    j->k->row_dot(&j->run, s->n[0], s->n[1], f32_of(j, 0), f32_of(j, 1), f32_of(j, 2));
}
static void row_dot_reference(Job *j, const Case *s)
{
    for (int64_t m = 0; m < s->n[0]; m++) {
        exact_of(j, 2)[m] = 0;
        for (int64_t c = 0; c < s->n[1]; c++)
            exact_of(j, 2)[m] += exact_of(j, 0)[m * s->n[1] + c] * exact_of(j, 1)[m * s->n[1] + c];
    }
}
const Family family_row_dot = {.kernel = "row_dot",
                               .names = "M C",
                               .cases = row_cases,
                               .count = COUNT(row_cases),
                               .make = row_dot_make,
                               .call = row_dot_call,
                               .reference = row_dot_reference};

static const Case row_scale_cases[] = {CASE(0, 5, 0), CASE(3, 0, 1),    CASE(5, 7, 0),
                                       CASE(5, 7, 1), CASE(700, 67, 3), TIMED(2048, 64, 0)};
static void row_scale_make(Job *j, const Case *s)
{
    case_f32(j, "x", ROLE_IN, s->n[0] * s->n[1]);
    case_f32(j, "s", ROLE_IN, s->n[0]);
    case_f32(j, "y", s->n[2] ? ROLE_INOUT : ROLE_OUT, s->n[0] * s->n[1]);
    j->flops = (double)(s->n[0] * s->n[1]);
    j->bytes = (double)(s->n[0] * s->n[1]) * 8;
}
static void row_scale_call(Job *j, const Case *s)
{
    j->k->row_scale(&j->run, s->n[0], s->n[1], f32_of(j, 0), f32_of(j, 1), 0.5f * (float)s->n[2], f32_of(j, 2));
}
static void row_scale_reference(Job *j, const Case *s)
{
    for (int64_t i = 0; i < s->n[0] * s->n[1]; i++)
        exact_of(j, 2)[i] =
            exact_of(j, 1)[i / s->n[1]] * exact_of(j, 0)[i] + (s->n[2] ? 0.5 * (double)s->n[2] * exact_of(j, 2)[i] : 0);
}
const Family family_row_scale = {.kernel = "row_scale",
                                 .names = "M C 2beta",
                                 .cases = row_scale_cases,
                                 .count = COUNT(row_scale_cases),
                                 .make = row_scale_make,
                                 .call = row_scale_call,
                                 .reference = row_scale_reference,
                                 .tolerance = 1e-6};

static void row_sum_make(Job *j, const Case *s)
{
    case_f32(j, "x", ROLE_IN, s->n[0] * s->n[1]);
    case_f32(j, "y", ROLE_OUT, s->n[0]);
    j->flops = (double)(s->n[0] * s->n[1]);
    j->bytes = (double)(s->n[0] * s->n[1]) * 4;
}
static void row_sum_call(Job *j, const Case *s)
{
    j->k->row_sum(&j->run, s->n[0], s->n[1], f32_of(j, 0), f32_of(j, 1));
}
static void row_sum_reference(Job *j, const Case *s)
{
    for (int64_t m = 0; m < s->n[0]; m++) {
        exact_of(j, 1)[m] = 0;
        for (int64_t c = 0; c < s->n[1]; c++)
            exact_of(j, 1)[m] += exact_of(j, 0)[m * s->n[1] + c];
    }
}
const Family family_row_sum = {.kernel = "row_sum",
                               .names = "M C",
                               .cases = row_cases,
                               .count = COUNT(row_cases),
                               .make = row_sum_make,
                               .call = row_sum_call,
                               .reference = row_sum_reference};

/* `width` spreads the numbers, so that exp alone would overflow. If width is 0, all numbers are -inf. Odd rows begin
 * with -inf. */
static const Case log_sum_exp_cases[] = {CASE(4, 3, 0),    CASE(0, 5, 1),    CASE(4, 0, 1),     CASE(4, 1, 1),
                                         CASE(5, 7, 300),  CASE(9, 64, 100), CASE(700, 100, 4), CASE(3, 301, 9),
                                         CASE(2, 1200, 1), CASE(2, 1031, 4), CASE(2, 4104, 2),  TIMED(256, 1024, 5)};
static void log_sum_exp_make(Job *j, const Case *s)
{
    case_f32(j, "x", ROLE_IN, s->n[0] * s->n[1]);
    for (int64_t i = 0; j->ok && i < s->n[0] * s->n[1]; i++)
        host_f32(j, 0)[i] = s->n[2] ? host_f32(j, 0)[i] * (float)s->n[2] : -INFINITY;
    case_set(j, 0);
    case_f32(j, "y", ROLE_INOUT, s->n[0]);
    for (int64_t m = 1; j->ok && s->n[1] && m < s->n[0]; m += 2)
        host_f32(j, 1)[m] = -INFINITY;
    case_set(j, 1);
    j->flops = (double)(s->n[0] * s->n[1]) * 20;
    j->bytes = (double)(s->n[0] * s->n[1]) * 4;
}
static void log_sum_exp_call(Job *j, const Case *s)
{
    j->k->log_sum_exp(&j->run, s->n[0], s->n[1], f32_of(j, 0), f32_of(j, 1));
}
static void log_sum_exp_reference(Job *j, const Case *s)
{
    for (int64_t m = 0; m < s->n[0]; m++) {
        const double *x = exact_of(j, 0) + m * s->n[1], before = exact_of(j, 1)[m];
        double top = before, sum = 0;
        for (int64_t c = 0; c < s->n[1]; c++)
            top = fmax(top, x[c]);
        for (int64_t c = 0; c < s->n[1]; c++)
            sum += exp(x[c] - top);
        exact_of(j, 1)[m] = isinf(top) ? top : top + log(sum + exp(before - top));
    }
}
const Family family_log_sum_exp = {.kernel = "log_sum_exp",
                                   .names = "M C width",
                                   .cases = log_sum_exp_cases,
                                   .count = COUNT(log_sum_exp_cases),
                                   .make = log_sum_exp_make,
                                   .call = log_sum_exp_call,
                                   .reference = log_sum_exp_reference,
                                   .tolerance = 1e-6};

static const Case col_sum_cases[] = {CASE(0, 5, 1),     CASE(0, 5, 0),     CASE(3, 0, 0),
                                     CASE(1, 3, 0),     CASE(32, 7, 1),    CASE(33, 20, 0),
                                     CASE(2100, 19, 1), CASE(17000, 2, 0), TIMED(2048, 256, 0)};
static void col_sum_make(Job *j, const Case *s)
{
    case_f32(j, "x", ROLE_IN, s->n[0] * s->n[1]);
    case_f32(j, "y", s->n[2] ? ROLE_INOUT : ROLE_OUT, s->n[1]);
    case_work(j, j->k->col_sum_work(&j->run, s->n[0], s->n[1]));
    j->flops = (double)(s->n[0] * s->n[1]);
    j->bytes = (double)(s->n[0] * s->n[1]) * 4;
}
static void col_sum_call(Job *j, const Case *s)
{
    j->k->col_sum(&j->run, s->n[0], s->n[1], f32_of(j, 0), (float)s->n[2], f32_of(j, 1));
}
static void col_sum_reference(Job *j, const Case *s)
{
    for (int64_t c = 0; c < s->n[1]; c++) {
        exact_of(j, 1)[c] = s->n[2] ? exact_of(j, 1)[c] : 0;
        for (int64_t m = 0; m < s->n[0]; m++)
            exact_of(j, 1)[c] += exact_of(j, 0)[m * s->n[1] + c];
    }
}
const Family family_col_sum = {.kernel = "col_sum",
                               .names = "M C beta",
                               .cases = col_sum_cases,
                               .count = COUNT(col_sum_cases),
                               .make = col_sum_make,
                               .call = col_sum_call,
                               .reference = col_sum_reference};

static const Case copy_cols_cases[] = {
    {.copy_cols = {.M = 0, .C = 5}},
    {.copy_cols = {.M = 4, .C = 0, .skip_x = 3, .skip_y = 3}},
    {.copy_cols = {.M = 5, .C = 7, .skip_y = 4}},
    {.copy_cols = {.M = 5, .C = 7, .skip_x = 9, .beta = 1}},
    {.copy_cols = {.M = 300, .C = 64, .skip_x = 64, .skip_y = 1}},
    {.copy_cols = {.M = 2048, .C = 64, .skip_x = 64}, .timed = true},
};
static void copy_cols_make(Job *j, const Case *s)
{
    case_f32(j, "x", ROLE_IN,
             s->copy_cols.M > 0 ? s->copy_cols.M * (s->copy_cols.C + s->copy_cols.skip_x) - s->copy_cols.skip_x : 0);
    case_f32(j, "y", ROLE_INOUT,
             s->copy_cols.M > 0 ? s->copy_cols.M * (s->copy_cols.C + s->copy_cols.skip_y) - s->copy_cols.skip_y : 0);
    /* these numbers must not be read */
    for (int64_t i = 0; j->ok && s->copy_cols.beta == 0 && i < s->copy_cols.M * s->copy_cols.C; i++)
        host_f32(j, 1)[i + i / s->copy_cols.C * s->copy_cols.skip_y] = NAN;
    j->bytes = (double)(s->copy_cols.M * s->copy_cols.C) * 8;
}
static void copy_cols_call(Job *j, const Case *s)
{
    j->k->copy_cols(&j->run, s->copy_cols.M, s->copy_cols.C, f32_of(j, 0), s->copy_cols.C + s->copy_cols.skip_x,
                    (float)s->copy_cols.beta, f32_of(j, 1), s->copy_cols.C + s->copy_cols.skip_y);
}
static void copy_cols_reference(Job *j, const Case *s)
{
    for (int64_t m = 0; m < s->copy_cols.M; m++) {
        for (int64_t c = 0; c < s->copy_cols.C; c++) {
            double *y = &exact_of(j, 1)[m * (s->copy_cols.C + s->copy_cols.skip_y) + c];
            *y = exact_of(j, 0)[m * (s->copy_cols.C + s->copy_cols.skip_x) + c] + (s->copy_cols.beta ? *y : 0);
        }
    }
}
const Family family_copy_cols = {.kernel = "copy_cols",
                                 .names = "M C skip_x skip_y beta",
                                 .cases = copy_cols_cases,
                                 .count = COUNT(copy_cols_cases),
                                 .make = copy_cols_make,
                                 .call = copy_cols_call,
                                 .reference = copy_cols_reference,
                                 .tolerance = 1e-6};
