/* tests/cases/loss.c: Cases of kernels/cpu/loss.c. */
#include <math.h>

#include "tests/kernel_cases.h"

/* Two parts, of D and E numbers, the second's items normalised (E 0: one part). Buffers: user, pos, neg of each part,
 * then the rest. */
enum { B_, D_, E_, WIDTH_, L2_ };
enum { LOSS = 6, SLOPE, DX = 6, SLOPES = 12, DLOSS };
static const float eps = 0.5f; /* some rows are shorter, in cases of few numbers */

static int parts_of(const int64_t *s)
{
    return s[E_] > 0 ? 2 : 1;
}
static float l2_of(const int64_t *s)
{
    return 0.01f * (float)s[L2_];
}

static const Case bpr_cases[] = {CASE(0, 4, 0, 1, 0),    CASE(1, 1, 0, 1, 0),     CASE(45, 64, 0, 3, 0),
                                 CASE(16, 128, 0, 1, 5), CASE(33, 7, 2, 1, 3),    CASE(100, 20, 64, 2, 0),
                                 CASE(19, 3, 1, 40, 1),  CASE(700, 64, 33, 1, 2), TIMED(2048, 64, 0, 1, 1)};

static void inputs(Job *j, const int64_t *s)
{
    static const char *const names[] = {"user", "pos", "neg", "user 2", "pos 2", "neg 2"};
    for (int i = 0; i < 6; i++) {
        const int64_t n = s[B_] * s[i < 3 ? D_ : E_];
        case_f32(j, names[i], IN, n);
        for (int64_t k = 0; k < n; k++) { /* a row of zeros now and then */
            F32(j, i)[k] *= k / MAX(s[i < 3 ? D_ : E_], 1) % 11 == 7 ? 0 : (float)s[WIDTH_];
        }
        case_set(j, i);
    }
}
static void parts(const Job *j, const int64_t *s, BprPart part[2])
{
    for (int i = 0; i < 6; i++) {
        part[i / 3].D = s[i / 3 ? E_ : D_];
        part[i / 3].eps = i / 3 ? eps : 0;
        part[i / 3].x[i % 3] = F32(j, i);
    }
}
/* Scores, and the penalty's squares, of row b */
static double score(const Job *j, const int64_t *s, int64_t b, int side, double *squares)
{
    double sum = 0;
    for (int k = 0; k < parts_of(s); k++) {
        const int64_t D = s[k ? E_ : D_];
        const double *u = EXACT(j, 3 * k) + b * D, *x = EXACT(j, 3 * k + side) + b * D;
        double dot = 0, uu = 0, xx = 0;
        for (int64_t d = 0; d < D; d++) {
            dot += u[d] * x[d];
            uu += u[d] * u[d];
            xx += x[d] * x[d];
        }
        const double scale = k ? 1 / fmax(sqrt(xx), eps) : 1;
        sum += dot * scale;
        *squares += xx * scale * scale + (side == BPR_POS ? uu : 0); /* the user's once */
    }
    return sum;
}
static double row_loss(const Job *j, const int64_t *s, int64_t b, double *slope)
{
    double squares = 0;
    const double pos = score(j, s, b, BPR_POS, &squares), neg = score(j, s, b, BPR_NEG, &squares);
    *slope = -1 / (1 + exp(pos - neg));
    return case_act(ACT_SOFTPLUS, 0, neg - pos) + (double)l2_of(s) * squares;
}

static void bpr_make(Job *j, const int64_t *s)
{
    inputs(j, s);
    case_f32(j, "loss", OUT, s[B_]);
    case_f32(j, "slope", OUT, s[B_]);
    j->flops = (double)s[B_] * (4.0 * (double)(s[D_] + s[E_]) + 20);
    j->bytes = (double)s[B_] * (12.0 * (double)(s[D_] + s[E_]) + 8);
}
static void bpr_call(Job *j, const int64_t *s)
{
    BprPart part[2] = {{0}};
    parts(j, s, part);
    j->k->bpr(&j->run, s[B_], parts_of(s), part, l2_of(s), F32(j, LOSS), F32(j, SLOPE));
}
static void bpr_reference(Job *j, const int64_t *s)
{
    for (int64_t b = 0; b < s[B_]; b++)
        EXACT(j, LOSS)[b] = row_loss(j, s, b, &EXACT(j, SLOPE)[b]);
}
const Family family_bpr = {.kernel = "bpr",
                           .letters = "B D E width l2",
                           .cases = bpr_cases,
                           .count = COUNT(bpr_cases),
                           .make = bpr_make,
                           .call = bpr_call,
                           .reference = bpr_reference,
                           .tolerance = 1e-5};

/* ---- bpr_back: the first part's gradients are added, the second's written -------------------- */

static const float scale = 0.25f;
static void bpr_back_make(Job *j, const int64_t *s)
{
    static const char *const names[] = {"duser", "dpos", "dneg", "duser 2", "dpos 2", "dneg 2"};
    inputs(j, s);
    for (int i = 0; i < 6; i++) {
        case_f32(j, names[i], i < 3 ? INOUT : OUT, s[B_] * s[i < 3 ? D_ : E_]);
    }
    case_f32(j, "slope", IN, s[B_]);
    for (int64_t b = 0; b < s[B_]; b++) {
        double slope;
        row_loss(j, s, b, &slope);
        F32(j, SLOPES)[b] = (float)slope;
    }
    case_set(j, SLOPES);
    case_f32(j, "dloss", IN, 1);
    j->flops = (double)s[B_] * 9.0 * (double)(s[D_] + s[E_]);
    j->bytes = (double)s[B_] * 24.0 * (double)(s[D_] + s[E_]);
}
static void bpr_back_call(Job *j, const int64_t *s)
{
    BprPart part[2] = {{0}};
    parts(j, s, part);
    for (int i = 0; i < 6; i++) {
        part[i / 3].dx[i % 3] = F32(j, DX + i);
        part[i / 3].beta[i % 3] = i < 3 ? 1 : 0;
    }
    j->k->bpr_back(&j->run, s[B_], parts_of(s), part, l2_of(s), F32(j, SLOPES), scale, F32(j, DLOSS));
}
static double bpr_back_loss(const Job *j, const int64_t *s)
{
    double sum = 0, slope;
    for (int64_t b = 0; b < s[B_]; b++)
        sum += row_loss(j, s, b, &slope);
    return sum * (double)scale * EXACT(j, DLOSS)[0];
}
const Family family_bpr_back = {.kernel = "bpr_back",
                                .letters = "B D E width l2",
                                .cases = bpr_cases,
                                .count = COUNT(bpr_cases),
                                .make = bpr_back_make,
                                .call = bpr_back_call,
                                .loss = bpr_back_loss,
                                .by = {{0, DX}, {1, DX + 1}, {2, DX + 2}, {3, DX + 3}, {4, DX + 4}, {5, DX + 5}},
                                .by_count = 6,
                                .tolerance = 1e-5};
