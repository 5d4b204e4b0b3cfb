/* tests/cases/optim.c: Cases of kernels/cpu/optim.c. kernels_test.c also compares the lazy forms bit for bit with the
 * dense one. */
#include <math.h>
#include <stdlib.h>

#include "tests/kernel_cases.h"

static AdamStep step_at(int64_t t, bool decays)
{
    return adam_step(0.01 / (double)(1 + t / 50), 0.9, 0.999, 1e-8, decays ? 0.01 : 0, t);
}

/* Step t by the paper, in double but with the floats that a step is made of. */
static void adam_in_double(const AdamStep *s, double g, double *p, double *m, double *v)
{
    g += (double)s->weight_decay * *p;
    *m += (1 - (double)s->beta1) * (g - *m);
    *v = (double)s->beta2 * *v + (1 - (double)s->beta2) * g * g;
    *p -= (double)s->step_size * *m / (sqrt(*v) * (double)s->root_scale + (double)s->eps);
}

static void positive(Job *j, int buffer)
{
    for (size_t i = 0; j->ok && i < j->b[buffer].count; i++)
        F32(j, buffer)[i] *= F32(j, buffer)[i];
    case_set(j, buffer);
}

/* ---- adam ------------------------------------------------------------------------------------ */

static const Case adam_cases[] = {CASE(0, 1, 0), CASE(1, 1, 0), CASE(77, 3, 1), CASE(40001, 100, 0),
                                  TIMED(9300 * 64, 10, 0)};
enum { AD_G, AD_P, AD_M, AD_V };
static void adam_make(Job *j, const int64_t *s)
{
    case_f32(j, "g", IN, s[0]);
    case_f32(j, "p", INOUT, s[0]);
    case_f32(j, "m", INOUT, s[0]);
    case_f32(j, "v", INOUT, s[0]);
    positive(j, AD_V);
    j->flops = (double)s[0] * 14;
    j->bytes = (double)s[0] * 28;
}
static void adam_call(Job *j, const int64_t *s)
{
    const AdamStep step = step_at(s[1], s[2] != 0);
    j->k->adam(&j->run, s[0], &step, F32(j, AD_G), F32(j, AD_P), F32(j, AD_M), F32(j, AD_V));
}
static void adam_reference(Job *j, const int64_t *s)
{
    const AdamStep step = step_at(s[1], s[2] != 0);
    for (int64_t i = 0; i < s[0]; i++)
        adam_in_double(&step, EXACT(j, AD_G)[i], EXACT(j, AD_P) + i, EXACT(j, AD_M) + i, EXACT(j, AD_V) + i);
}
const Family family_adam = {.kernel = "adam",
                            .letters = "n step decay",
                            .cases = adam_cases,
                            .count = COUNT(adam_cases),
                            .make = adam_make,
                            .call = adam_call,
                            .reference = adam_reference,
                            .tolerance = 1e-6};

/* ---- the lazy forms. rows of the table, n of them named (every third from 1), `now` steps of history ---- */

static const Case lazy_cases[] = {CASE(0, 8, 5, 4, 3, 0, 1),       CASE(3, 0, 9, 4, 3, 0, 1),
                                  CASE(1, 1, 3, 2, 0, 0, 1),       CASE(5, 7, 20, 9, 3, 0, 1),
                                  CASE(5, 7, 20, 9, 3, 1, 1),      CASE(100, 67, 301, 40, 5, 0, 1),
                                  CASE(60, 64, 181, 30, 17, 1, 1), CASE(90, 20, 90, 12, 6, 0, 0),
                                  CASE(3, 5, 10, 1500, 4, 0, 1),   TIMED(2048, 64, 9300, 8, 64, 0, 1)};
enum { LZ_IDS, LZ_HISTORY, LZ_LAST, LZ_P, LZ_M, LZ_V, LZ_G, LZ_DY, LZ_W };
enum { N, WIDTH, ROWS, NOW, FACTORS, DECAY, NAMED };
static void lazy_make(Job *j, const int64_t *s)
{
    int32_t *ids = case_i32(j, "ids", IN, s[N]);
    for (int64_t i = 0; j->ok && i < s[N]; i++)
        ids[i] = s[NAMED] ? (int32_t)(3 * (s[N] - 1 - i) + 1) : (int32_t)i;
    AdamStep *history = case_bytes(j, "history", IN, (size_t)(s[NOW] + 1) * sizeof *history);
    for (int64_t t = 0; j->ok && t <= s[NOW]; t++)
        history[t] = step_at(MAX(t, 1), s[DECAY] != 0);
    int32_t *last = case_i32(j, "last", INOUT, s[ROWS]);
    case_f32(j, "p", INOUT, s[ROWS] * s[WIDTH]);
    case_f32(j, "m", INOUT, s[ROWS] * s[WIDTH]);
    case_f32(j, "v", INOUT, s[ROWS] * s[WIDTH]);
    positive(j, LZ_V);
    for (int64_t r = 0; j->ok && r < s[ROWS]; r++) { /* every fourth row has never had a gradient */
        last[r] = r % 4 == 0 ? 0 : (int32_t)case_draw(j, (uint64_t)r, (uint32_t)s[NOW]);
        for (int64_t d = 0; r % 4 == 0 && d < s[WIDTH]; d++)
            F32(j, LZ_M)[r * s[WIDTH] + d] = F32(j, LZ_V)[r * s[WIDTH] + d] = 0.0f;
    }
    case_set(j, LZ_M);
    case_set(j, LZ_V);
    j->flops = (double)(s[N] * s[WIDTH]) * 14;
    j->bytes = (double)(s[N] * s[WIDTH]) * 28;
}
static void lazy_reference(Job *j, const int64_t *s, const double *g, int64_t now)
{
    const AdamStep *history = j->b[LZ_HISTORY].data;
    const int32_t *last = j->b[LZ_LAST].before;
    for (int64_t r = 0; r < s[ROWS]; r++)
        WANT(j, LZ_LAST)[r] = last[r];
    for (int64_t i = 0; i < s[N] * s[WIDTH]; i++) {
        const int64_t id = I32(j, LZ_IDS)[i / s[WIDTH]], at = id * s[WIDTH] + i % s[WIDTH];
        double *p = EXACT(j, LZ_P) + at, *m = EXACT(j, LZ_M) + at, *v = EXACT(j, LZ_V) + at;
        for (int32_t t = last[id] + 1; t <= now; t++)
            adam_in_double(&history[t], 0, p, m, v);
        if (g)
            adam_in_double(&history[now + 1], g[i], p, m, v);
    }
    for (int64_t i = 0; i < s[N]; i++) {
        const int32_t id = I32(j, LZ_IDS)[i];
        WANT(j, LZ_LAST)[id] = (int32_t)MAX(g ? now + 1 : now, last[id]);
    }
}
static const int32_t *named(const Job *j, const int64_t *s)
{
    return s[NAMED] ? I32(j, LZ_IDS) : NULL;
}

static void adam_replay_call(Job *j, const int64_t *s)
{
    j->k->adam_replay(&j->run, s[N], s[WIDTH], named(j, s), j->b[LZ_HISTORY].data, (int32_t)s[NOW], I32(j, LZ_LAST),
                      F32(j, LZ_P), F32(j, LZ_M), F32(j, LZ_V));
}
static void adam_replay_reference(Job *j, const int64_t *s)
{
    lazy_reference(j, s, NULL, s[NOW]);
}
const Family family_adam_replay = {.kernel = "adam_replay",
                                   .letters = "n D rows now K decay named",
                                   .cases = lazy_cases,
                                   .count = COUNT(lazy_cases),
                                   .make = lazy_make,
                                   .call = adam_replay_call,
                                   .reference = adam_replay_reference,
                                   .tolerance = 3e-6};

static void adam_rows_make(Job *j, const int64_t *s)
{
    lazy_make(j, s);
    case_f32(j, "g", IN, s[N] * s[WIDTH]);
}
static void adam_rows_call(Job *j, const int64_t *s)
{
    j->k->adam_rows(&j->run, s[N], s[WIDTH], named(j, s), j->b[LZ_HISTORY].data, (int32_t)s[NOW], F32(j, LZ_G),
                    I32(j, LZ_LAST), F32(j, LZ_P), F32(j, LZ_M), F32(j, LZ_V));
}
static void adam_rows_reference(Job *j, const int64_t *s)
{
    lazy_reference(j, s, EXACT(j, LZ_G), s[NOW] - 1);
}
const Family family_adam_rows = {.kernel = "adam_rows",
                                 .letters = "n D rows now K decay named",
                                 .cases = lazy_cases,
                                 .count = COUNT(lazy_cases),
                                 .make = adam_rows_make,
                                 .call = adam_rows_call,
                                 .reference = adam_rows_reference,
                                 .tolerance = 3e-6};

static const Case factored_cases[] = {CASE(0, 8, 5, 4, 3, 0, 1),       CASE(3, 0, 9, 4, 3, 0, 1),
                                      CASE(1, 1, 3, 2, 0, 0, 1),       CASE(5, 7, 20, 9, 3, 1, 1),
                                      CASE(100, 67, 301, 40, 5, 0, 1), CASE(90, 40, 90, 12, 64, 0, 0),
                                      CASE(50, 2100, 50, 3, 6, 0, 0),  TIMED(2800, 4480, 2800, 4, 64, 0, 0)};
static void adam_factored_make(Job *j, const int64_t *s)
{
    lazy_make(j, s);
    case_f32(j, "g", IN, s[N] * s[WIDTH]); /* what dy w comes to, for the reference */
    case_f32(j, "dy", IN, s[N] * s[FACTORS]);
    case_f32(j, "w", IN, s[FACTORS] * s[WIDTH]);
    case_work(j, j->k->adam_factored_work(s[N], s[WIDTH], s[FACTORS], j->threads));
    for (int64_t i = 0; j->ok && i < s[N] * s[WIDTH]; i++) {
        EXACT(j, LZ_G)[i] = 0;
        for (int64_t k = 0; k < s[FACTORS]; k++) {
            EXACT(j, LZ_G)
            [i] += EXACT(j, LZ_DY)[i / s[WIDTH] * s[FACTORS] + k] * EXACT(j, LZ_W)[k * s[WIDTH] + i % s[WIDTH]];
        }
    }
    j->flops += 2.0 * (double)(s[N] * s[WIDTH] * s[FACTORS]);
}
static void adam_factored_call(Job *j, const int64_t *s)
{
    j->k->adam_factored(&j->run, s[N], s[WIDTH], s[FACTORS], named(j, s), j->b[LZ_HISTORY].data, (int32_t)s[NOW],
                        F32(j, LZ_DY), F32(j, LZ_W), I32(j, LZ_LAST), F32(j, LZ_P), F32(j, LZ_M), F32(j, LZ_V));
}
const Family family_adam_factored = {.kernel = "adam_factored",
                                     .letters = "n D rows now K decay named",
                                     .cases = factored_cases,
                                     .count = COUNT(factored_cases),
                                     .make = adam_factored_make,
                                     .call = adam_factored_call,
                                     .reference = adam_rows_reference};

/* ---- sgd ------------------------------------------------------------------------------------- */

static const Case sgd_cases[] = {CASE(0, 0), CASE(1, 1), CASE(77, 0), CASE(40001, 3), TIMED(9300 * 64, 0)};
static void sgd_make(Job *j, const int64_t *s)
{
    case_f32(j, "g", IN, s[0]);
    case_f32(j, "p", INOUT, s[0]);
    j->flops = (double)s[0] * 4;
    j->bytes = (double)s[0] * 12;
}
static void sgd_call(Job *j, const int64_t *s)
{
    j->k->sgd(&j->run, s[0], 0.1f, 0.25f * (float)s[1], F32(j, 0), F32(j, 1));
}
static void sgd_reference(Job *j, const int64_t *s)
{
    for (int64_t i = 0; i < s[0]; i++) {
        double *p = &EXACT(j, 1)[i];
        *p -= (double)0.1f * (EXACT(j, 0)[i] + 0.25 * (double)s[1] * *p);
    }
}
const Family family_sgd = {.kernel = "sgd",
                           .letters = "n 4decay",
                           .cases = sgd_cases,
                           .count = COUNT(sgd_cases),
                           .make = sgd_make,
                           .call = sgd_call,
                           .reference = sgd_reference,
                           .tolerance = 1e-6};
