/* tests/cases/elementwise.c: cases of kernels/cpu/elementwise.c. */
#include <math.h>

#include "tests/kernel_cases.h"

/* Scales the numbers so that they reach both branches and both ends of every function. Some are 0 and -0. */
static void spread(Job *j, int buffer, double width)
{
    float *x = host_f32(j, buffer);
    for (size_t i = 0; j->ok && i < j->b[buffer].count; i++)
        x[i] = (float)(width * j->b[buffer].exact[i]);
    if (j->ok && j->b[buffer].count > 2) {
        x[0] = 0.0f;
        x[1] = -0.0f;
    }
    case_set(j, buffer);
}

double case_act(Act act, double param, double x)
{
    switch (act) {
#define ACT_VALUE(NAME, names, from_result, formula)                                                                   \
    case ACT_##NAME: return formula;
        ACT_LIST(ACT_VALUE)
#undef ACT_VALUE
    case ACT_COUNT: break;
    }
    return x;
}

/* ---- act, act_back --------------------------------------------------------------------------- */

enum { LONG = 40003, SHORT = 77 };
static const Case act_cases[] = {
    CASE(0, ACT_GELU, 3),
    CASE(1, ACT_TANH, 3),
#define ACT_CASES(NAME, ...) CASE(SHORT, ACT_##NAME, 4), CASE(LONG, ACT_##NAME, 4), CASE(LONG, ACT_##NAME, 60),
    ACT_LIST(ACT_CASES)
#undef ACT_CASES
        TIMED(197 * 3072, ACT_GELU, 4),
};
static void act_make(Job *j, const Case *s)
{
    case_f32(j, "x", ROLE_IN, s->n[0]);
    spread(j, 0, (double)s->n[2]);
    if (j->ok && s->n[0] == SHORT) { /* a NaN stays a NaN */
        host_f32(j, 0)[5] = NAN;
        case_set(j, 0);
    }
    case_f32(j, "y", ROLE_OUT, s->n[0]);
    j->flops = (double)s->n[0] * 20;
    j->bytes = (double)s->n[0] * 8;
}
static void act_call(Job *j, const Case *s)
{
    j->k->act(&j->run, s->n[0], (Act)s->n[1], 0.2f, F32, f32_of(j, 0), f32_of(j, 1));
}
static void act_reference(Job *j, const Case *s)
{
    for (int64_t i = 0; i < s->n[0]; i++)
        exact_of(j, 1)[i] = isnan(exact_of(j, 0)[i]) ? NAN : case_act((Act)s->n[1], (double)0.2f, exact_of(j, 0)[i]);
}
const Family family_act = {.kernel = "act",
                           .names = "n act width",
                           .cases = act_cases,
                           .count = COUNT(act_cases),
                           .make = act_make,
                           .call = act_call,
                           .reference = act_reference,
                           .tolerance = 6e-7,
                           .in_place = {{1, 0}},
                           .in_place_count = 1};

static const Case act_back_cases[] = {
    CASE(0, ACT_GELU, 1),
#define ACT_CASES(NAME, ...) CASE(51, ACT_##NAME, 1), CASE(51, ACT_##NAME, 3), CASE(51, ACT_##NAME, 6),
    ACT_LIST(ACT_CASES)
#undef ACT_CASES
        CASE(33333, ACT_GELU, 2),
};
static void act_back_make(Job *j, const Case *s)
{
    float *x = case_f32(j, "x", ROLE_IN, s->n[0]);
    for (int64_t i = 0; j->ok && i < s->n[0]; i++) { /* no number near a kink: a kink has no derivative */
        x[i] = fabsf(x[i]) < 0.01f ? 0.5f : (float)s->n[2] * x[i];
    }
    case_set(j, 0);
    case_f32(j, "dy", ROLE_IN, s->n[0]);
    case_f32(j, "dx", ROLE_OUT, s->n[0]);
}
static void act_back_call(Job *j, const Case *s)
{
    j->k->act_back(&j->run, s->n[0], (Act)s->n[1], 0.2f, f32_of(j, 0), f32_of(j, 1), f32_of(j, 2));
}
static double act_back_loss(const Job *j, const Case *s)
{
    double sum = 0;
    for (int64_t i = 0; i < s->n[0]; i++)
        sum += case_act((Act)s->n[1], (double)0.2f, exact_of(j, 0)[i]) * exact_of(j, 1)[i];
    return sum;
}
const Family family_act_back = {.kernel = "act_back",
                                .names = "n act width",
                                .cases = act_back_cases,
                                .count = COUNT(act_back_cases),
                                .make = act_back_make,
                                .call = act_back_call,
                                .loss = act_back_loss,
                                .by = {{0, 2}},
                                .by_count = 1,
                                .in_place = {{2, 0}, {2, 1}},
                                .in_place_count = 2};

/* ---- binary, axpby, add_bias ----------------------------------------------------------------- */

static const Case binary_cases[] = {CASE(0, BIN_ADD),    CASE(3, BIN_ADD),       CASE(40001, BIN_SUB),
                                    CASE(77, BIN_MUL),   CASE(77, BIN_DIV),      CASE(77, BIN_MAX),
                                    CASE(77, BIN_ABOVE), TIMED(1 << 18, BIN_ADD)};
static void binary_make(Job *j, const Case *s)
{
    case_f32(j, "a", ROLE_IN, s->n[0]);
    case_f32(j, "b", ROLE_IN, s->n[0]);
    case_f32(j, "y", ROLE_OUT, s->n[0]);
    j->flops = (double)s->n[0];
    j->bytes = (double)s->n[0] * 12;
}
static void binary_call(Job *j, const Case *s)
{
    j->k->binary(&j->run, s->n[0], (Binary)s->n[1], f32_of(j, 0), f32_of(j, 1), f32_of(j, 2));
}
static double binary_of(int64_t op, double a, double b)
{
    switch ((Binary)op) {
    case BIN_ADD: return a + b;
    case BIN_SUB: return a - b;
    case BIN_MUL: return a * b;
    case BIN_DIV: return a / b;
    case BIN_MAX: return fmax(a, b);
    case BIN_ABOVE: return a > b ? 1 : a == b ? 0.5 : 0;
    }
    return 0;
}
static void binary_reference(Job *j, const Case *s)
{
    for (int64_t i = 0; i < s->n[0]; i++)
        exact_of(j, 2)[i] = binary_of(s->n[1], exact_of(j, 0)[i], exact_of(j, 1)[i]);
}
const Family family_binary = {.kernel = "binary",
                              .names = "n op",
                              .cases = binary_cases,
                              .count = COUNT(binary_cases),
                              .make = binary_make,
                              .call = binary_call,
                              .reference = binary_reference,
                              .tolerance = 2e-7,
                              .in_place = {{2, 0}, {2, 1}},
                              .in_place_count = 2};

static const Case axpby_cases[] = {CASE(0, 1), CASE(5, 0), CASE(1003, 1), CASE(50000, -2), TIMED(1 << 18, 1)};
static void axpby_make(Job *j, const Case *s)
{
    case_f32(j, "x", ROLE_IN, s->n[0]);
    case_f32(j, "y", s->n[1] == 0 ? ROLE_OUT : ROLE_INOUT, s->n[0]);
    j->flops = (double)s->n[0] * 3;
    j->bytes = (double)s->n[0] * 12;
}
static void axpby_call(Job *j, const Case *s)
{
    j->k->axpby(&j->run, s->n[0], 0.7f, f32_of(j, 0), 0.5f * (float)s->n[1], f32_of(j, 1));
}
static void axpby_reference(Job *j, const Case *s)
{
    for (int64_t i = 0; i < s->n[0]; i++)
        exact_of(j, 1)[i] =
            (double)0.7f * exact_of(j, 0)[i] + (s->n[1] == 0 ? 0 : 0.5 * (double)s->n[1] * exact_of(j, 1)[i]);
}
const Family family_axpby = {.kernel = "axpby",
                             .names = "n 2b",
                             .cases = axpby_cases,
                             .count = COUNT(axpby_cases),
                             .make = axpby_make,
                             .call = axpby_call,
                             .reference = axpby_reference,
                             .tolerance = 2e-7};

/* ---- broadcast, unary, noise ----------------------------------------------------------------- */

static const Case broadcast_cases[] = {
    CASE(0, 5, BIN_ADD, SPREAD_ROW),        CASE(5, 0, BIN_ADD, SPREAD_COLUMN),
    CASE(7, 33, BIN_ADD, SPREAD_ROW),       CASE(700, 67, BIN_SUB, SPREAD_ROW),
    CASE(700, 300, BIN_DIV, SPREAD_COLUMN), CASE(9, 600, BIN_MUL, SPREAD_COLUMN),
    CASE(33, 1, BIN_MAX, SPREAD_COLUMN),    CASE(33, 1, BIN_SUB, SPREAD_ROW),
    CASE(1, 40001, BIN_MUL, SPREAD_NUMBER), CASE(80, 500, BIN_ABOVE, SPREAD_NUMBER),
    CASE(9, 64, BIN_SUB, SPREAD_ROW),       CASE(30, 20, BIN_MAX, SPREAD_ROW),
    CASE(31, 12, BIN_DIV, SPREAD_ROW),      CASE(3, 8, BIN_MUL, SPREAD_ROW),
    TIMED(2048, 64, BIN_ADD, SPREAD_ROW),   TIMED(2048, 64, BIN_MUL, SPREAD_COLUMN),
};
static void broadcast_make(Job *j, const Case *s)
{
    case_f32(j, "x", ROLE_IN, s->n[0] * s->n[1]);
    case_f32(j, "v", ROLE_IN, s->n[3] == SPREAD_ROW ? s->n[1] : s->n[3] == SPREAD_COLUMN ? s->n[0] : 1);
    case_f32(j, "y", ROLE_OUT, s->n[0] * s->n[1]);
    j->flops = (double)(s->n[0] * s->n[1]);
    j->bytes = (double)(s->n[0] * s->n[1]) * 8;
}
static void broadcast_call(Job *j, const Case *s)
{
    j->k->broadcast(&j->run, s->n[0], s->n[1], (Binary)s->n[2], (Spread)s->n[3], f32_of(j, 0), f32_of(j, 1),
                    f32_of(j, 2));
}
static void broadcast_reference(Job *j, const Case *s)
{
    for (int64_t i = 0; i < s->n[0] * s->n[1]; i++) {
        const int64_t at = s->n[3] == SPREAD_ROW ? i % s->n[1] : s->n[3] == SPREAD_COLUMN ? i / s->n[1] : 0;
        exact_of(j, 2)[i] = binary_of(s->n[2], exact_of(j, 0)[i], exact_of(j, 1)[at]);
    }
}
const Family family_broadcast = {.kernel = "broadcast",
                                 .names = "M C op how",
                                 .cases = broadcast_cases,
                                 .count = COUNT(broadcast_cases),
                                 .make = broadcast_make,
                                 .call = broadcast_call,
                                 .reference = broadcast_reference,
                                 .tolerance = 2e-7,
                                 .in_place = {{2, 0}},
                                 .in_place_count = 1};

static const Case unary_cases[] = {CASE(0, UN_EXP, 1),     CASE(LONG, UN_EXP, 20),   CASE(LONG, UN_LOG, 3),
                                   CASE(LONG, UN_SQRT, 9), CASE(77, UN_SIGN, 1),     CASE(77, UN_CLAMP, 1),
                                   CASE(77, UN_INSIDE, 1), TIMED(1 << 18, UN_EXP, 3)};
enum { UNARY_LO = -1, UNARY_HI = 1 }; /* in quarters of `width`: some numbers are below or above them */
static void unary_make(Job *j, const Case *s)
{
    case_f32(j, "x", ROLE_IN, s->n[0]);
    spread(j, 0, (double)s->n[2]);
    if (s->n[1] == UN_LOG || s->n[1] == UN_SQRT) {
        for (int64_t i = 0; j->ok && i < s->n[0]; i++)
            host_f32(j, 0)[i] = fabsf(host_f32(j, 0)[i]) + (s->n[1] == UN_LOG ? 1e-3f : 0.0f);
        case_set(j, 0);
    }
    case_f32(j, "y", ROLE_OUT, s->n[0]);
    j->flops = (double)s->n[0] * 20;
    j->bytes = (double)s->n[0] * 8;
}
static void unary_call(Job *j, const Case *s)
{
    j->k->unary(&j->run, s->n[0], (Unary)s->n[1], 0.25f * UNARY_LO, 0.25f * UNARY_HI, f32_of(j, 0), f32_of(j, 1));
}
static double unary_of(int64_t op, double x)
{
    const double lo = 0.25 * UNARY_LO, hi = 0.25 * UNARY_HI;
    switch ((Unary)op) {
    case UN_EXP: return exp(x);
    case UN_LOG: return log(x);
    case UN_SQRT: return sqrt(x);
    case UN_SIGN: return (x > 0) - (x < 0);
    case UN_CLAMP: return fmin(hi, fmax(lo, x));
    case UN_INSIDE: return x >= lo && x <= hi;
    }
    return 0;
}
static void unary_reference(Job *j, const Case *s)
{
    for (int64_t i = 0; i < s->n[0]; i++)
        exact_of(j, 1)[i] = unary_of(s->n[1], exact_of(j, 0)[i]);
}
const Family family_unary = {.kernel = "unary",
                             .names = "n op width",
                             .cases = unary_cases,
                             .count = COUNT(unary_cases),
                             .make = unary_make,
                             .call = unary_call,
                             .reference = unary_reference,
                             .tolerance = 6e-7,
                             .in_place = {{1, 0}},
                             .in_place_count = 1};

static const Case noise_cases[] = {
    CASE(0, NOISE_UNIFORM, 0),
    CASE(7, NOISE_UNIFORM, 4294967270),
    CASE(40001, NOISE_UNIFORM, 1000003),
    CASE(501, NOISE_NORMAL, 3),
    CASE(501, NOISE_GUMBEL, 4294967270),
    CASE(33, NOISE_NORMAL, 1099511627779),
    CASE(33, NOISE_UNIFORM, 1099511627779),
    TIMED(1 << 18, NOISE_UNIFORM, 0),
    TIMED(1 << 18, NOISE_NORMAL, 0),
};
static Draw noise_draw(const Job *j)
{
    return (Draw){j->seed, DRAW_NOISE, 2};
}
static void noise_make(Job *j, const Case *s)
{
    case_f32(j, "y", ROLE_OUT, s->n[0]);
    j->bytes = (double)s->n[0] * 4;
}
static void noise_call(Job *j, const Case *s)
{
    j->k->noise(&j->run, s->n[0], (Noise)s->n[1], noise_draw(j), (uint64_t)s->n[2], f32_of(j, 0));
}
static void noise_reference(Job *j, const Case *s)
{
    for (int64_t i = 0; i < s->n[0]; i++) {
        const uint64_t at = (uint64_t)(s->n[2] + i);
        const double u = (double)draw_uniform(noise_draw(j), at);
        exact_of(j, 0)[i] = s->n[1] == NOISE_UNIFORM  ? u
                            : s->n[1] == NOISE_NORMAL ? (double)draw_normal(noise_draw(j), at)
                                                      : (double)(float)-log(-log(u + 0x1p-25));
    }
}
const Family family_noise = {.kernel = "noise",
                             .names = "n kind first",
                             .cases = noise_cases,
                             .count = COUNT(noise_cases),
                             .make = noise_make,
                             .call = noise_call,
                             .reference = noise_reference,
                             .tolerance = 1e-12}; /* the same floats on every device */

static const Case add_bias_cases[] = {CASE(0, 5, ACT_NONE),     CASE(5, 0, ACT_NONE),   CASE(3, 7, ACT_NONE),
                                      CASE(700, 67, ACT_RELU),  CASE(9, 33, ACT_GELU),  CASE(5, 1, ACT_GELU),
                                      CASE(40000, 1, ACT_NONE), CASE(9, 64, ACT_SWISH), CASE(30, 20, ACT_NONE),
                                      CASE(31, 12, ACT_TANH),   CASE(3, 8, ACT_RELU6),  TIMED(197, 768, ACT_NONE)};
static void add_bias_make(Job *j, const Case *s)
{
    case_f32(j, "x", ROLE_IN, s->n[0] * s->n[1]);
    case_f32(j, "bias", ROLE_IN, s->n[1]);
    case_f32(j, "y", ROLE_OUT, s->n[0] * s->n[1]);
    j->flops = (double)(s->n[0] * s->n[1]);
    j->bytes = (double)(s->n[0] * s->n[1]) * 8;
}
static void add_bias_call(Job *j, const Case *s)
{
    j->k->add_bias(&j->run, s->n[0], s->n[1], F32, f32_of(j, 0), f32_of(j, 1), (Act)s->n[2], 0.0f, f32_of(j, 2));
}
static void add_bias_reference(Job *j, const Case *s)
{
    for (int64_t i = 0; i < s->n[0] * s->n[1]; i++)
        exact_of(j, 2)[i] = case_act((Act)s->n[2], 0, exact_of(j, 0)[i] + exact_of(j, 1)[i % s->n[1]]);
}
const Family family_add_bias = {.kernel = "add_bias",
                                .names = "M C act",
                                .cases = add_bias_cases,
                                .count = COUNT(add_bias_cases),
                                .make = add_bias_make,
                                .call = add_bias_call,
                                .reference = add_bias_reference,
                                .tolerance = 1e-6,
                                .in_place = {{2, 0}},
                                .in_place_count = 1};

/* ---- dropout, fill --------------------------------------------------------------------------- */

static const Case dropout_cases[] = {CASE(0, 10, 0),           CASE(7, 50, 0), CASE(40, 30, 4294967270),
                                     CASE(40001, 10, 1000003), CASE(50, 0, 7), CASE(33, 50, 1099511627779),
                                     TIMED(1 << 18, 10, 0)};
static Draw dropout_draw(const Job *j)
{
    return (Draw){j->seed, DRAW_DROPOUT, 3};
}
static void dropout_make(Job *j, const Case *s)
{
    case_f32(j, "x", ROLE_IN, s->n[0]);
    case_f32(j, "y", ROLE_OUT, s->n[0]);
    j->bytes = (double)s->n[0] * 8;
}
static void dropout_call(Job *j, const Case *s)
{
    j->k->dropout(&j->run, s->n[0], 0.01f * (float)s->n[1], dropout_draw(j), (uint64_t)s->n[2], f32_of(j, 0),
                  f32_of(j, 1));
}
static void dropout_reference(Job *j, const Case *s)
{
    const float p = 0.01f * (float)s->n[1];
    for (int64_t i = 0; i < s->n[0]; i++)
        exact_of(j, 1)[i] =
            draw_uniform(dropout_draw(j), (uint64_t)(s->n[2] + i)) >= p ? exact_of(j, 0)[i] / (1 - (double)p) : 0;
}
const Family family_dropout = {.kernel = "dropout",
                               .names = "n percent first",
                               .cases = dropout_cases,
                               .count = COUNT(dropout_cases),
                               .make = dropout_make,
                               .call = dropout_call,
                               .reference = dropout_reference,
                               .tolerance = 1e-6,
                               .in_place = {{1, 0}},
                               .in_place_count = 1};

static const Case fill_cases[] = {CASE(0), CASE(1), CASE(100), CASE(50001)};
static void fill_make(Job *j, const Case *s)
{
    case_f32(j, "y", ROLE_OUT, s->n[0]);
    j->bytes = (double)s->n[0] * 4;
}
static void fill_call(Job *j, const Case *s)
{
    j->k->fill(&j->run, s->n[0], -0.25f, f32_of(j, 0));
}
static void fill_reference(Job *j, const Case *s)
{
    for (int64_t i = 0; i < s->n[0]; i++)
        exact_of(j, 0)[i] = -0.25;
}
const Family family_fill = {.kernel = "fill",
                            .names = "n",
                            .cases = fill_cases,
                            .count = COUNT(fill_cases),
                            .make = fill_make,
                            .call = fill_call,
                            .reference = fill_reference};

/* ---- sum, sum_squares ------------------------------------------------------------------------ */

static const Case sum_cases[] = {CASE(0),    CASE(1),     CASE(63),     CASE(64),      CASE(4096),
                                 CASE(4097), CASE(20001), CASE(123457), TIMED(1 << 20)};
static void sum_make(Job *j, const Case *s)
{
    case_f32(j, "x", ROLE_IN, s->n[0]);
    case_f32(j, "out", ROLE_OUT, 1);
    case_work(j, j->k->sum_work(&j->run, s->n[0]));
    j->flops = (double)s->n[0];
    j->bytes = (double)s->n[0] * 4;
}
static void sum_call(Job *j, const Case *s)
{
    j->k->sum(&j->run, s->n[0], f32_of(j, 0), f32_of(j, 1));
}
static void sum_squares_call(Job *j, const Case *s)
{
    j->k->sum_squares(&j->run, s->n[0], f32_of(j, 0), f32_of(j, 1));
}
static void sum_reference(Job *j, const Case *s)
{
    exact_of(j, 1)[0] = 0;
    for (int64_t i = 0; i < s->n[0]; i++)
        exact_of(j, 1)[0] += exact_of(j, 0)[i];
}
static void sum_squares_reference(Job *j, const Case *s)
{
    exact_of(j, 1)[0] = 0;
    for (int64_t i = 0; i < s->n[0]; i++)
        exact_of(j, 1)[0] += exact_of(j, 0)[i] * exact_of(j, 0)[i];
}
const Family family_sum = {.kernel = "sum",
                           .names = "n",
                           .cases = sum_cases,
                           .count = COUNT(sum_cases),
                           .make = sum_make,
                           .call = sum_call,
                           .reference = sum_reference,
                           .tolerance = 3e-6};
const Family family_sum_squares = {.kernel = "sum_squares",
                                   .names = "n",
                                   .cases = sum_cases,
                                   .count = COUNT(sum_cases),
                                   .make = sum_make,
                                   .call = sum_squares_call,
                                   .reference = sum_squares_reference,
                                   .tolerance = 1e-6};
