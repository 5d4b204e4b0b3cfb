/* tests/cases/loss.c: cases of kernels/cpu/loss.c. */
#include <math.h>

#include "tests/kernel_cases.h"

/* Two parts, with D and E numbers; the items of the second are normalised. E 0: one part. The parts are given `again`
 * more times. Buffers 0 to 5 are user, pos and neg of the first part, then of the second. The enum has the other
 * buffers. */
enum { LOSS = 6, SLOPE, DX = 6, SLOPES = 12, DLOSS, MOST_PARTS = 10 };
static const float eps = 0.5f; /* some rows are shorter than eps in cases of few numbers */

static int different(const Case *s) /* the number of distinct parts */
{
    return s->bpr.E > 0 ? 2 : 1;
}
static int parts_of(const Case *s)
{
    return different(s) * (1 + (int)s->bpr.repeats);
}
static float l2_of(const Case *s)
{
    return 0.01f * (float)s->bpr.l2;
}

static const Case bpr_cases[] = {
    {.bpr = {.B = 0, .D = 4, .E = 0, .width = 1, .l2 = 0}},
    {.bpr = {.B = 1, .D = 1, .E = 0, .width = 1, .l2 = 0}},
    {.bpr = {.B = 45, .D = 64, .E = 0, .width = 3, .l2 = 0}},
    {.bpr = {.B = 16, .D = 128, .E = 0, .width = 1, .l2 = 5}},
    {.bpr = {.B = 33, .D = 7, .E = 2, .width = 1, .l2 = 3}},
    {.bpr = {.B = 100, .D = 20, .E = 64, .width = 2, .l2 = 0}},
    {.bpr = {.B = 5, .D = 131, .E = 200, .width = 1, .l2 = 2}},
    {.bpr = {.B = 19, .D = 3, .E = 1, .width = 40, .l2 = 1}},
    {.bpr = {.B = 9, .D = 8, .E = 5, .width = 1, .l2 = 2, .repeats = 4}},
    {.bpr = {.B = 700, .D = 64, .E = 33, .width = 1, .l2 = 2}},
    {.bpr = {.B = 2048, .D = 64, .E = 0, .width = 1, .l2 = 1}, .timed = true},
};

static void inputs(Job *j, const Case *s)
{
    static const char *const names[] = {"user", "pos", "neg", "user 2", "pos 2", "neg 2"};
    for (int i = 0; i < 6; i++) {
        const int64_t n = s->bpr.B * (i < 3 ? s->bpr.D : s->bpr.E);
        case_f32(j, names[i], ROLE_IN, n);
        for (int64_t k = 0; k < n; k++) { /* some rows are zeros */
            host_f32(j, i)[k] *= k / MAX(i < 3 ? s->bpr.D : s->bpr.E, 1) % 11 == 7 ? 0 : (float)s->bpr.width;
        }
        case_set(j, i);
    }
}
/* If `back`: the gradients of the first part are added, those of the second written, and those of later parts added. */
static void parts(const Job *j, const Case *s, bool back, BprPart part[MOST_PARTS])
{
    for (int k = 0; k < parts_of(s); k++) {
        const int which = k % different(s);
        part[k] = (BprPart){.D = which ? s->bpr.E : s->bpr.D, .eps = which ? eps : 0};
        for (int i = 0; i < 3; i++) {
            part[k].x[i] = f32_of(j, 3 * which + i);
            part[k].dx[i] = back ? f32_of(j, DX + 3 * which + i) : NULL;
            part[k].beta[i] = back && (which == 0 || k > 1) ? 1 : 0;
        }
    }
}
/* Returns the score of row b for the item of `side` (BPR_POS or BPR_NEG). Adds to *squares the squares of the vectors
 * that the penalty l2 weighs. */
static double score(const Job *j, const Case *s, int64_t b, int side, double *squares)
{
    double sum = 0;
    for (int k = 0; k < different(s); k++) {
        const int64_t D = k ? s->bpr.E : s->bpr.D;
        const double *u = exact_of(j, 3 * k) + b * D, *x = exact_of(j, 3 * k + side) + b * D;
        double dot = 0, uu = 0, xx = 0;
        for (int64_t d = 0; d < D; d++) {
            dot += u[d] * x[d];
            uu += u[d] * u[d];
            xx += x[d] * x[d];
        }
        const double scale = k ? 1 / fmax(sqrt(xx), eps) : 1;
        sum += dot * scale;
        *squares += xx * scale * scale + (side == BPR_POS ? uu : 0); /* the squares of the user once */
    }
    return sum;
}
static double row_loss(const Job *j, const Case *s, int64_t b, double *slope)
{
    double squares = 0;
    const double times = 1 + (double)s->bpr.repeats, pos = times * score(j, s, b, BPR_POS, &squares),
                 neg = times * score(j, s, b, BPR_NEG, &squares);
    *slope = -1 / (1 + exp(pos - neg));
    return case_act(ACT_SOFTPLUS, 0, neg - pos) + (double)l2_of(s) * times * squares;
}

static void bpr_make(Job *j, const Case *s)
{
    inputs(j, s);
    case_f32(j, "loss", ROLE_OUT, s->bpr.B);
    case_f32(j, "slope", ROLE_OUT, s->bpr.B);
    j->flops = (double)s->bpr.B * (4.0 * (double)(s->bpr.D + s->bpr.E) + 20);
    j->bytes = (double)s->bpr.B * (12.0 * (double)(s->bpr.D + s->bpr.E) + 8);
}
static void bpr_call(Job *j, const Case *s)
{
    BprPart part[MOST_PARTS];
    parts(j, s, false, part);
    j->k->bpr(&j->run, s->bpr.B, parts_of(s), part, l2_of(s), f32_of(j, LOSS), f32_of(j, SLOPE));
}
static void bpr_reference(Job *j, const Case *s)
{
    for (int64_t b = 0; b < s->bpr.B; b++)
        exact_of(j, LOSS)[b] = row_loss(j, s, b, &exact_of(j, SLOPE)[b]);
}
const Family family_bpr = {.kernel = "bpr",
                           .names = "B D E width l2 again",
                           .cases = bpr_cases,
                           .count = COUNT(bpr_cases),
                           .make = bpr_make,
                           .call = bpr_call,
                           .reference = bpr_reference,
                           .tolerance = 1e-5,
                           .optional = {SLOPE},
                           .optional_count = 1};

/* ---- bpr_back -------------------------------------------------------------------------------- */

static const float scale = 0.25f;
static void bpr_back_make(Job *j, const Case *s)
{
    static const char *const names[] = {"duser", "dpos", "dneg", "duser 2", "dpos 2", "dneg 2"};
    inputs(j, s);
    for (int i = 0; i < 6; i++) {
        case_f32(j, names[i], i < 3 ? ROLE_INOUT : ROLE_OUT, s->bpr.B * (i < 3 ? s->bpr.D : s->bpr.E));
    }
    case_f32(j, "slope", ROLE_IN, s->bpr.B);
    for (int64_t b = 0; b < s->bpr.B; b++) {
        double slope;
        row_loss(j, s, b, &slope);
        host_f32(j, SLOPES)[b] = (float)slope;
    }
    case_set(j, SLOPES);
    case_f32(j, "dloss", ROLE_IN, 1);
    j->flops = (double)s->bpr.B * 9.0 * (double)(s->bpr.D + s->bpr.E);
    j->bytes = (double)s->bpr.B * 24.0 * (double)(s->bpr.D + s->bpr.E);
}
static void bpr_back_call(Job *j, const Case *s)
{
    BprPart part[MOST_PARTS];
    parts(j, s, true, part);
    j->k->bpr_back(&j->run, s->bpr.B, parts_of(s), part, l2_of(s), f32_of(j, SLOPES), scale, f32_of(j, DLOSS));
}
static double bpr_back_loss(const Job *j, const Case *s)
{
    double sum = 0, slope;
    for (int64_t b = 0; b < s->bpr.B; b++)
        sum += row_loss(j, s, b, &slope);
    return sum * (double)scale * exact_of(j, DLOSS)[0];
}
const Family family_bpr_back = {.kernel = "bpr_back",
                                .names = "B D E width l2 again",
                                .cases = bpr_cases,
                                .count = COUNT(bpr_cases),
                                .make = bpr_back_make,
                                .call = bpr_back_call,
                                .loss = bpr_back_loss,
                                .by = {{0, DX}, {1, DX + 1}, {2, DX + 2}, {3, DX + 3}, {4, DX + 4}, {5, DX + 5}},
                                .by_count = 6,
                                .tolerance = 1e-5,
                                .optional = {DX, DX + 1, DX + 2},
                                .optional_count = 3};
