/* tests/cases/optim.c: cases of kernels/cpu/optim.c. kernels_test.c also compares the lazy forms with the dense form,
 * bit for bit. */
#include <math.h>
#include <stdlib.h>

#include "tests/kernel_cases.h"

enum { DECAY_NONE, DECAY_ADAM, DECAY_ADAMW };
static AdamStep step_at(int64_t t, int64_t decay)
{
    const double lr = 0.01 / (double)(1 + t / 50);
    return decay == DECAY_ADAMW ? adamw_step(lr, 0.9, 0.999, 1e-8, 0.1, t)
                                : adam_step(lr, 0.9, 0.999, 1e-8, decay == DECAY_ADAM ? 0.01 : 0, t);
}

/* Computes step t as the paper does, in double but with the floats of AdamStep. */
static void adam_in_double(const AdamStep *s, double g, double *p, double *m, double *v)
{
    g += (double)s->weight_decay * *p;
    *p *= (double)s->shrink;
    *m += (1 - (double)s->beta1) * (g - *m);
    *v = (double)s->beta2 * *v + (1 - (double)s->beta2) * g * g;
    *p -= (double)s->step_size * *m / (sqrt(*v) * (double)s->root_scale + (double)s->eps);
}

static void positive(Job *j, int buffer)
{
    for (size_t i = 0; j->ok && i < j->b[buffer].count; i++)
        host_f32(j, buffer)[i] *= host_f32(j, buffer)[i];
    case_set(j, buffer);
}

/* ---- adam ------------------------------------------------------------------------------------ */

static const Case adam_cases[] = {CASE(0, 1, 0),           CASE(1, 1, 0),
                                  CASE(77, 3, DECAY_ADAM), CASE(78, 3, DECAY_ADAMW),
                                  CASE(40001, 100, 0),     TIMED(9300 * 64, 10, 0)};
enum { AD_G, AD_P, AD_M, AD_V };
static void adam_make(Job *j, const Case *s)
{
    case_f32(j, "g", ROLE_IN, s->n[0]);
    case_f32(j, "p", ROLE_INOUT, s->n[0]);
    case_f32(j, "m", ROLE_INOUT, s->n[0]);
    case_f32(j, "v", ROLE_INOUT, s->n[0]);
    positive(j, AD_V);
    j->flops = (double)s->n[0] * 14;
    j->bytes = (double)s->n[0] * 28;
}
static void adam_call(Job *j, const Case *s)
{
    const AdamStep step = step_at(s->n[1], s->n[2]);
    j->k->adam(&j->run, s->n[0], &step, f32_of(j, AD_G), f32_of(j, AD_P), f32_of(j, AD_M), f32_of(j, AD_V));
}
static void adam_reference(Job *j, const Case *s)
{
    const AdamStep step = step_at(s->n[1], s->n[2]);
    for (int64_t i = 0; i < s->n[0]; i++)
        adam_in_double(&step, exact_of(j, AD_G)[i], exact_of(j, AD_P) + i, exact_of(j, AD_M) + i,
                       exact_of(j, AD_V) + i);
}
const Family family_adam = {.kernel = "adam",
                            .names = "n step decay",
                            .cases = adam_cases,
                            .count = COUNT(adam_cases),
                            .make = adam_make,
                            .call = adam_call,
                            .reference = adam_reference,
                            .tolerance = 1e-6};

/* ---- the lazy forms: `now` earlier steps; named 1: every third row from 1 is listed, else all ---- */

static const Case lazy_cases[] = {
    {.lazy_adam = {.n = 0, .D = 8, .rows = 5, .now = 4, .K = 3, .named = 1}},
    {.lazy_adam = {.n = 3, .D = 0, .rows = 9, .now = 4, .K = 3, .named = 1}},
    {.lazy_adam = {.n = 1, .D = 1, .rows = 3, .now = 2, .K = 0, .named = 1}},
    {.lazy_adam = {.n = 5, .D = 7, .rows = 20, .now = 9, .K = 3, .named = 1}},
    {.lazy_adam = {.n = 5, .D = 7, .rows = 20, .now = 9, .K = 3, .decay = DECAY_ADAM, .named = 1}},
    {.lazy_adam = {.n = 5, .D = 7, .rows = 20, .now = 9, .K = 3, .decay = DECAY_ADAMW, .named = 1}},
    {.lazy_adam = {.n = 100, .D = 67, .rows = 301, .now = 40, .K = 5, .named = 1}},
    {.lazy_adam = {.n = 60, .D = 64, .rows = 181, .now = 30, .K = 17, .decay = DECAY_ADAM, .named = 1}},
    {.lazy_adam = {.n = 90, .D = 20, .rows = 90, .now = 12, .K = 6}},
    {.lazy_adam = {.n = 3, .D = 5, .rows = 10, .now = 1500, .K = 4, .named = 1}},
    {.lazy_adam = {.n = 2048, .D = 64, .rows = 9300, .now = 8, .K = 64, .named = 1}, .timed = true},
};
enum { LZ_IDS, LZ_HISTORY, LZ_LAST, LZ_P, LZ_M, LZ_V, LZ_G, LZ_DY, LZ_W };
static void lazy_make(Job *j, const Case *s)
{
    int32_t *ids = case_i32(j, "ids", ROLE_IN, s->lazy_adam.n);
    for (int64_t i = 0; j->ok && i < s->lazy_adam.n; i++)
        ids[i] = s->lazy_adam.named ? (int32_t)(3 * (s->lazy_adam.n - 1 - i) + 1) : (int32_t)i;
    AdamStep *history = case_bytes(j, "history", ROLE_IN, (size_t)(s->lazy_adam.now + 1) * sizeof *history);
    for (int64_t t = 0; j->ok && t <= s->lazy_adam.now; t++)
        history[t] = step_at(MAX(t, 1), s->lazy_adam.decay);
    int32_t *last = case_i32(j, "last", ROLE_INOUT, s->lazy_adam.rows);
    case_f32(j, "p", ROLE_INOUT, s->lazy_adam.rows * s->lazy_adam.D);
    case_f32(j, "m", ROLE_INOUT, s->lazy_adam.rows * s->lazy_adam.D);
    case_f32(j, "v", ROLE_INOUT, s->lazy_adam.rows * s->lazy_adam.D);
    positive(j, LZ_V);
    for (int64_t r = 0; j->ok && r < s->lazy_adam.rows; r++) { /* every fourth row has never had a gradient */
        last[r] = r % 4 == 0 ? 0 : (int32_t)case_draw(j, (uint64_t)r, (uint32_t)s->lazy_adam.now);
        for (int64_t d = 0; r % 4 == 0 && d < s->lazy_adam.D; d++)
            host_f32(j, LZ_M)[r * s->lazy_adam.D + d] = host_f32(j, LZ_V)[r * s->lazy_adam.D + d] = 0.0f;
    }
    case_set(j, LZ_M);
    case_set(j, LZ_V);
    j->flops = (double)(s->lazy_adam.n * s->lazy_adam.D) * 14;
    j->bytes = (double)(s->lazy_adam.n * s->lazy_adam.D) * 28;
}
static void lazy_reference(Job *j, const Case *s, const double *g, int64_t now)
{
    const AdamStep *history = j->b[LZ_HISTORY].data;
    const int32_t *last = j->b[LZ_LAST].before;
    for (int64_t r = 0; r < s->lazy_adam.rows; r++)
        expected_of(j, LZ_LAST)[r] = last[r];
    for (int64_t i = 0; i < s->lazy_adam.n * s->lazy_adam.D; i++) {
        const int64_t id = host_i32(j, LZ_IDS)[i / s->lazy_adam.D], at = id * s->lazy_adam.D + i % s->lazy_adam.D;
        double *p = exact_of(j, LZ_P) + at, *m = exact_of(j, LZ_M) + at, *v = exact_of(j, LZ_V) + at;
        for (int32_t t = last[id] + 1; t <= now; t++)
            adam_in_double(&history[t], 0, p, m, v);
        if (g)
            adam_in_double(&history[now + 1], g[i], p, m, v);
    }
    for (int64_t i = 0; i < s->lazy_adam.n; i++) {
        const int32_t id = host_i32(j, LZ_IDS)[i];
        expected_of(j, LZ_LAST)[id] = (int32_t)MAX(g ? now + 1 : now, last[id]);
    }
}
static const int32_t *named(const Job *j, const Case *s)
{
    return s->lazy_adam.named ? i32_of(j, LZ_IDS) : NULL;
}

/* ---- adam_note ------------------------------------------------------------------------------- */

static const Case adam_note_cases[] = {CASE(1, 4), CASE(3, 4), CASE(512, 513)};
static void adam_note_make(Job *j, const Case *s)
{
    case_f32(j, "history", ROLE_INOUT, s->n[1] * (int64_t)(sizeof(AdamStep) / sizeof(float)));
}
static void adam_note_call(Job *j, const Case *s)
{
    const AdamStep step = step_at(s->n[0], true);
    j->k->adam_note(&j->run, &step, (int32_t)s->n[0], device_of(j, 0));
}
static void adam_note_reference(Job *j, const Case *s)
{
    enum { NUMBERS = sizeof(AdamStep) / sizeof(float) };
    const AdamStep step = step_at(s->n[0], true);
    float number[NUMBERS];
    memcpy(number, &step, sizeof step);
    for (int64_t i = 0; i < NUMBERS; i++)
        exact_of(j, 0)[s->n[0] * NUMBERS + i] = (double)number[i];
}
const Family family_adam_note = {.kernel = "adam_note",
                                 .names = "now steps",
                                 .cases = adam_note_cases,
                                 .count = COUNT(adam_note_cases),
                                 .make = adam_note_make,
                                 .call = adam_note_call,
                                 .reference = adam_note_reference};

static void adam_replay_call(Job *j, const Case *s)
{
    j->k->adam_replay(&j->run, s->lazy_adam.n, s->lazy_adam.D, named(j, s), device_of(j, LZ_HISTORY),
                      (int32_t)s->lazy_adam.now, i32_of(j, LZ_LAST), f32_of(j, LZ_P), f32_of(j, LZ_M), f32_of(j, LZ_V));
}
static void adam_replay_reference(Job *j, const Case *s)
{
    lazy_reference(j, s, NULL, s->lazy_adam.now);
}
const Family family_adam_replay = {.kernel = "adam_replay",
                                   .names = "n D rows now K decay named",
                                   .cases = lazy_cases,
                                   .count = COUNT(lazy_cases),
                                   .make = lazy_make,
                                   .call = adam_replay_call,
                                   .reference = adam_replay_reference,
                                   .tolerance = 3e-6};

static void adam_rows_make(Job *j, const Case *s)
{
    lazy_make(j, s);
    case_f32(j, "g", ROLE_IN, s->lazy_adam.n * s->lazy_adam.D);
}
static void adam_rows_call(Job *j, const Case *s)
{
    j->k->adam_rows(&j->run, s->lazy_adam.n, s->lazy_adam.D, named(j, s), device_of(j, LZ_HISTORY),
                    (int32_t)s->lazy_adam.now, f32_of(j, LZ_G), i32_of(j, LZ_LAST), f32_of(j, LZ_P), f32_of(j, LZ_M),
                    f32_of(j, LZ_V));
}
static void adam_rows_reference(Job *j, const Case *s)
{
    lazy_reference(j, s, exact_of(j, LZ_G), s->lazy_adam.now - 1);
}
const Family family_adam_rows = {.kernel = "adam_rows",
                                 .names = "n D rows now K decay named",
                                 .cases = lazy_cases,
                                 .count = COUNT(lazy_cases),
                                 .make = adam_rows_make,
                                 .call = adam_rows_call,
                                 .reference = adam_rows_reference,
                                 .tolerance = 3e-6};

static const Case factored_cases[] = {
    {.lazy_adam = {.n = 0, .D = 8, .rows = 5, .now = 4, .K = 3, .named = 1}},
    {.lazy_adam = {.n = 3, .D = 0, .rows = 9, .now = 4, .K = 3, .named = 1}},
    {.lazy_adam = {.n = 1, .D = 1, .rows = 3, .now = 2, .K = 0, .named = 1}},
    {.lazy_adam = {.n = 5, .D = 7, .rows = 20, .now = 9, .K = 3, .decay = DECAY_ADAM, .named = 1}},
    {.lazy_adam = {.n = 5, .D = 7, .rows = 20, .now = 9, .K = 3, .decay = DECAY_ADAMW, .named = 1}},
    {.lazy_adam = {.n = 100, .D = 67, .rows = 301, .now = 40, .K = 5, .named = 1}},
    {.lazy_adam = {.n = 3, .D = 5, .rows = 10, .now = 3, .K = 37, .named = 1}},
    {.lazy_adam = {.n = 90, .D = 40, .rows = 90, .now = 12, .K = 64}},
    {.lazy_adam = {.n = 50, .D = 2100, .rows = 50, .now = 3, .K = 6}},
    {.lazy_adam = {.n = 2800, .D = 4480, .rows = 2800, .now = 4, .K = 64}, .timed = true},
};
static void adam_factored_make(Job *j, const Case *s)
{
    lazy_make(j, s);
    case_f32(j, "g", ROLE_IN, s->lazy_adam.n * s->lazy_adam.D); /* the product dy w, for the reference */
    case_f32(j, "dy", ROLE_IN, s->lazy_adam.n * s->lazy_adam.K);
    case_f32(j, "w", ROLE_IN, s->lazy_adam.K * s->lazy_adam.D);
    case_work(j, j->k->adam_factored_work(&j->run, s->lazy_adam.n, s->lazy_adam.D, s->lazy_adam.K));
    for (int64_t i = 0; j->ok && i < s->lazy_adam.n * s->lazy_adam.D; i++) {
        exact_of(j, LZ_G)[i] = 0;
        for (int64_t k = 0; k < s->lazy_adam.K; k++)
            exact_of(j, LZ_G)[i] += exact_of(j, LZ_DY)[i / s->lazy_adam.D * s->lazy_adam.K + k] *
                                    exact_of(j, LZ_W)[k * s->lazy_adam.D + i % s->lazy_adam.D];
    }
    j->flops += 2.0 * (double)(s->lazy_adam.n * s->lazy_adam.D * s->lazy_adam.K);
}
static void adam_factored_call(Job *j, const Case *s)
{
    j->k->adam_factored(&j->run, s->lazy_adam.n, s->lazy_adam.D, s->lazy_adam.K, named(j, s), device_of(j, LZ_HISTORY),
                        (int32_t)s->lazy_adam.now, f32_of(j, LZ_DY), f32_of(j, LZ_W), i32_of(j, LZ_LAST),
                        f32_of(j, LZ_P), f32_of(j, LZ_M), f32_of(j, LZ_V));
}
const Family family_adam_factored = {.kernel = "adam_factored",
                                     .names = "n D rows now K decay named",
                                     .cases = factored_cases,
                                     .count = COUNT(factored_cases),
                                     .make = adam_factored_make,
                                     .call = adam_factored_call,
                                     .reference = adam_rows_reference};

/* ---- sgd ------------------------------------------------------------------------------------- */

static const Case sgd_cases[] = {
    {.sgd = {.n = 0}},
    {.sgd = {.n = 1, .decay = 1}},
    {.sgd = {.n = 77}},
    {.sgd = {.n = 40001, .decay = 3}},
    {.sgd = {.n = 77, .momentum = 1}},
    {.sgd = {.n = 78, .decay = 1, .momentum = 1, .nesterov = 1}},
    {.sgd = {.n = 40001, .decay = 1, .momentum = 1, .nesterov = 1}},
    {.sgd = {.n = 9300 * 64}, .timed = true},
};
static SgdStep sgd_step(const Case *s)
{
    return (SgdStep){.lr = 0.1f,
                     .weight_decay = 0.25f * (float)s->sgd.decay,
                     .momentum = 0.875f * (float)s->sgd.momentum,
                     .damped = s->sgd.nesterov ? 1.0f : 0.75f,
                     .nesterov = s->sgd.nesterov};
}
enum { SG_G, SG_P, SG_BUFFER };
static void sgd_make(Job *j, const Case *s)
{
    case_f32(j, "g", ROLE_IN, s->sgd.n);
    case_f32(j, "p", ROLE_INOUT, s->sgd.n);
    case_f32(j, "buffer", ROLE_INOUT, s->sgd.momentum ? s->sgd.n : 0);
    j->flops = (double)s->sgd.n * 4;
    j->bytes = (double)s->sgd.n * 12;
}
static void sgd_call(Job *j, const Case *s)
{
    const SgdStep step = sgd_step(s);
    j->k->sgd(&j->run, s->sgd.n, &step, f32_of(j, SG_G), f32_of(j, SG_P),
              s->sgd.momentum ? f32_of(j, SG_BUFFER) : NULL);
}
static void sgd_reference(Job *j, const Case *s)
{
    const SgdStep step = sgd_step(s);
    for (int64_t i = 0; i < s->sgd.n; i++) {
        double *p = &exact_of(j, SG_P)[i], d = exact_of(j, SG_G)[i] + (double)step.weight_decay * *p;
        if (s->sgd.momentum) {
            double *buffer = &exact_of(j, SG_BUFFER)[i];
            *buffer = (double)step.momentum * *buffer + (double)step.damped * d;
            d = step.nesterov ? d + (double)step.momentum * *buffer : *buffer;
        }
        *p -= (double)step.lr * d;
    }
}
const Family family_sgd = {.kernel = "sgd",
                           .names = "n 4decay momentum nesterov",
                           .cases = sgd_cases,
                           .count = COUNT(sgd_cases),
                           .make = sgd_make,
                           .call = sgd_call,
                           .reference = sgd_reference,
                           .tolerance = 1e-6};

/* ---- adagrad: named 1: every third row from 1 is listed, else all rows ----------------------- */

static const Case adagrad_cases[] = {
    {.adagrad = {.n = 0, .D = 8, .rows = 3}},
    {.adagrad = {.n = 3, .D = 0, .rows = 9, .named = 1}},
    {.adagrad = {.n = 5, .D = 7, .rows = 20, .named = 1}},
    {.adagrad = {.n = 5, .D = 7, .rows = 20, .decay = 1, .named = 1}},
    {.adagrad = {.n = 301, .D = 67, .rows = 301, .decay = 1}},
    {.adagrad = {.n = 2048, .D = 64, .rows = 9300, .named = 1}, .timed = true},
};
enum { AG_IDS, AG_G, AG_P, AG_SUM };
static AdagradStep adagrad_step(const Case *s)
{
    return (AdagradStep){.lr = 0.05f, .eps = 1e-6f, .weight_decay = 0.25f * (float)s->adagrad.decay};
}
static void adagrad_make(Job *j, const Case *s)
{
    const int64_t n = s->adagrad.n, count = s->adagrad.rows * s->adagrad.D;
    int32_t *ids = case_i32(j, "ids", ROLE_IN, n);
    for (int64_t i = 0; j->ok && i < n; i++)
        ids[i] = s->adagrad.named ? (int32_t)(3 * (n - 1 - i) + 1) : (int32_t)i;
    case_f32(j, "g", ROLE_IN, n * s->adagrad.D);
    case_f32(j, "p", ROLE_INOUT, count);
    case_f32(j, "sum", ROLE_INOUT, count);
    positive(j, AG_SUM);
    j->flops = (double)(n * s->adagrad.D) * 7;
    j->bytes = (double)(n * s->adagrad.D) * 20;
}
static void adagrad_call(Job *j, const Case *s)
{
    const AdagradStep step = adagrad_step(s);
    j->k->adagrad(&j->run, s->adagrad.n, s->adagrad.D, s->adagrad.named ? i32_of(j, AG_IDS) : NULL, &step,
                  f32_of(j, AG_G), f32_of(j, AG_P), f32_of(j, AG_SUM));
}
static void adagrad_reference(Job *j, const Case *s)
{
    const AdagradStep step = adagrad_step(s);
    for (int64_t i = 0; i < s->adagrad.n * s->adagrad.D; i++) {
        const int64_t at = host_i32(j, AG_IDS)[i / s->adagrad.D] * s->adagrad.D + i % s->adagrad.D;
        double *p = &exact_of(j, AG_P)[at], *sum = &exact_of(j, AG_SUM)[at];
        const double d = exact_of(j, AG_G)[i] + (double)step.weight_decay * *p;
        *sum += d * d;
        *p -= (double)step.lr * d / (sqrt(*sum) + (double)step.eps);
    }
}
const Family family_adagrad = {.kernel = "adagrad",
                               .names = "n D rows 4decay named",
                               .cases = adagrad_cases,
                               .count = COUNT(adagrad_cases),
                               .make = adagrad_make,
                               .call = adagrad_call,
                               .reference = adagrad_reference,
                               .tolerance = 1e-6};

/* ---- rmsprop --------------------------------------------------------------------------------- */

static const Case rmsprop_cases[] = {
    {.rmsprop = {.n = 0}},
    {.rmsprop = {.n = 1, .decay = 1}},
    {.rmsprop = {.n = 77, .centred = 1}},
    {.rmsprop = {.n = 78, .momentum = 1}},
    {.rmsprop = {.n = 40001, .decay = 1, .centred = 1, .momentum = 1}},
    {.rmsprop = {.n = 9300 * 64}, .timed = true},
};
enum { RM_G, RM_P, RM_V, RM_MEAN, RM_BUFFER };
static RmspropStep rmsprop_step(const Case *s)
{
    return (RmspropStep){.lr = 0.01f,
                         .alpha = 0.9f,
                         .fresh = 0.1f,
                         .eps = 1e-3f,
                         .weight_decay = 0.25f * (float)s->rmsprop.decay,
                         .momentum = 0.875f * (float)s->rmsprop.momentum};
}
static void rmsprop_make(Job *j, const Case *s)
{
    case_f32(j, "g", ROLE_IN, s->rmsprop.n);
    case_f32(j, "p", ROLE_INOUT, s->rmsprop.n);
    case_f32(j, "v", ROLE_INOUT, s->rmsprop.n);
    case_f32(j, "mean", ROLE_INOUT, s->rmsprop.centred ? s->rmsprop.n : 0);
    case_f32(j, "buffer", ROLE_INOUT, s->rmsprop.momentum ? s->rmsprop.n : 0);
    for (int64_t i = 0; j->ok && i < s->rmsprop.n; i++) { /* v must be above mean^2 */
        host_f32(j, RM_V)[i] = 0.25f + host_f32(j, RM_V)[i] * host_f32(j, RM_V)[i];
        if (s->rmsprop.centred)
            host_f32(j, RM_MEAN)[i] *= 0.25f;
    }
    case_set(j, RM_V);
    case_set(j, RM_MEAN);
    j->flops = (double)s->rmsprop.n * 10;
    j->bytes = (double)s->rmsprop.n * 20;
}
static void rmsprop_call(Job *j, const Case *s)
{
    const RmspropStep step = rmsprop_step(s);
    j->k->rmsprop(&j->run, s->rmsprop.n, &step, f32_of(j, RM_G), f32_of(j, RM_P), f32_of(j, RM_V),
                  s->rmsprop.centred ? f32_of(j, RM_MEAN) : NULL, s->rmsprop.momentum ? f32_of(j, RM_BUFFER) : NULL);
}
static void rmsprop_reference(Job *j, const Case *s)
{
    const RmspropStep step = rmsprop_step(s);
    for (int64_t i = 0; i < s->rmsprop.n; i++) {
        double *p = &exact_of(j, RM_P)[i], *v = &exact_of(j, RM_V)[i], mean = 0;
        const double d = exact_of(j, RM_G)[i] + (double)step.weight_decay * *p;
        *v = (double)step.alpha * *v + (double)step.fresh * d * d;
        if (s->rmsprop.centred)
            mean = exact_of(j, RM_MEAN)[i] = (double)step.alpha * exact_of(j, RM_MEAN)[i] + (double)step.fresh * d;
        double u = d / (sqrt(*v - mean * mean) + (double)step.eps);
        if (s->rmsprop.momentum)
            u = exact_of(j, RM_BUFFER)[i] = (double)step.momentum * exact_of(j, RM_BUFFER)[i] + u;
        *p -= (double)step.lr * u;
    }
}
const Family family_rmsprop = {.kernel = "rmsprop",
                               .names = "n 4decay centred momentum",
                               .cases = rmsprop_cases,
                               .count = COUNT(rmsprop_cases),
                               .make = rmsprop_make,
                               .call = rmsprop_call,
                               .reference = rmsprop_reference,
                               .tolerance = 3e-6};

/* ---- clip_factor: n sums, the limit in tenths; nan 1: the last sum is NaN -------------------- */

static const Case clip_factor_cases[] = {CASE(0, 10), CASE(1, 1),   CASE(1, 100),
                                         CASE(5, 10), CASE(100, 3), CASE(5, 10, 1)};
static void clip_factor_make(Job *j, const Case *s)
{
    case_f32(j, "squares", ROLE_IN, s->n[0]);
    positive(j, 0);
    if (j->ok && s->n[2]) {
        host_f32(j, 0)[s->n[0] - 1] = NAN;
        case_set(j, 0);
    }
    case_f32(j, "out", ROLE_OUT, 1);
}
static void clip_factor_call(Job *j, const Case *s)
{
    j->k->clip_factor(&j->run, s->n[0], f32_of(j, 0), 0.1f * (float)s->n[1], f32_of(j, 1));
}
static void clip_factor_reference(Job *j, const Case *s)
{
    double sum = 0;
    for (int64_t i = 0; i < s->n[0]; i++)
        sum += exact_of(j, 0)[i];
    const double factor = (double)(0.1f * (float)s->n[1]) / (sqrt(sum) + 1e-6);
    exact_of(j, 1)[0] = factor > 1 ? 1 : factor;
}
const Family family_clip_factor = {.kernel = "clip_factor",
                                   .names = "n 10most nan",
                                   .cases = clip_factor_cases,
                                   .count = COUNT(clip_factor_cases),
                                   .make = clip_factor_make,
                                   .call = clip_factor_call,
                                   .reference = clip_factor_reference,
                                   .tolerance = 1e-6};
