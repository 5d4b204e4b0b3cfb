/* tests/cases/attention.c: Cases of kernels/cpu/attention.c. The projections lie as layers make them: q, k and v side
 * by side in a row. */
#include <math.h>
#include <stdlib.h>

#include "tests/kernel_cases.h"

/* B texts of up to T tokens, the last of T, the second empty; R 0: no relative bias */
enum { B_, T_, H_, D_, R_, CAUSAL };
enum { AT_OFFSETS, AT_QKV, AT_RELATIVE, AT_OUT, AT_LSE, AT_DOUT, AT_DQKV };

static int64_t texts_make(Job *j, const int64_t *s)
{
    int32_t *offsets = case_i32(j, "offsets", IN, s[B_] + 1);
    int64_t rows = 0;
    for (int64_t b = 0; j->ok && b <= s[B_]; b++) {
        offsets[b] = (int32_t)rows;
        rows += b + 1 == s[B_] ? s[T_] : b == 1 || b == s[B_] ? 0 : 1 + case_draw(j, (uint64_t)b, (uint32_t)s[T_]);
    }
    case_f32(j, "qkv", IN, rows * 3 * s[H_] * s[D_]);
    case_f32(j, "relative", IN, s[H_] * (2 * s[R_] + 1));
    for (int64_t b = 0; j->ok && b < s[B_]; b++) {
        const double n = offsets[b + 1] - offsets[b];
        j->flops += 4 * n * n * (double)(s[H_] * s[D_]) * (s[CAUSAL] ? 0.5 : 1);
    }
    j->bytes = 16.0 * (double)(rows * s[H_] * s[D_]);
    return rows;
}
static Attention attention_of(const Job *j, const int64_t *s)
{
    const int64_t C = s[H_] * s[D_];
    const float *qkv = F32(j, AT_QKV);
    const bool whole = j->n > AT_LSE;
    return (Attention){s[B_],
                       s[H_],
                       s[D_],
                       I32(j, AT_OFFSETS),
                       qkv,
                       qkv + C,
                       qkv + 2 * C,
                       3 * C,
                       whole ? F32(j, AT_OUT) : NULL,
                       C,
                       (float)(1 / sqrt((double)s[D_])),
                       s[R_] ? F32(j, AT_RELATIVE) : NULL,
                       s[R_],
                       s[CAUSAL] != 0,
                       whole ? F32(j, AT_LSE) : NULL};
}

/* out and lse (NULL: not wanted) in double; false when out of memory. */
static bool attend(const Job *j, const int64_t *s, double *out, double *lse)
{
    const Attention t = attention_of(j, s);
    const int64_t C = s[H_] * s[D_], D = s[D_], rows = t.offsets[t.B];
    const double *q = EXACT(j, AT_QKV), *k = q + C, *v = q + 2 * C, scale = (double)t.scale;
    double *p = malloc((size_t)(s[T_] + 1) * sizeof *p);
    for (int64_t at = 0; p && at < rows * t.H; at++) {
        const int64_t i = at / t.H, h = at % t.H;
        int64_t b = 0;
        while (t.offsets[b + 1] <= i)
            b++;
        const int64_t first = t.offsets[b], n = (s[CAUSAL] ? i + 1 : t.offsets[b + 1]) - first;
        double most = -INFINITY, sum = 0;
        for (int64_t key = 0; key < n; key++) {
            double score = 0;
            for (int64_t d = h * D; d < h * D + D; d++)
                score += q[i * t.ld + d] * k[(first + key) * t.ld + d];
            const int64_t away = MIN(MAX(first + key - i, -t.R), t.R) + t.R;
            p[key] = score * scale + (t.relative ? EXACT(j, AT_RELATIVE)[h * (2 * t.R + 1) + away] : 0);
            most = fmax(most, p[key]);
        }
        for (int64_t key = 0; key < n; key++) {
            p[key] = exp(p[key] - most);
            sum += p[key];
        }
        for (int64_t d = h * D; d < h * D + D; d++) {
            double o = 0;
            for (int64_t key = 0; key < n; key++)
                o += p[key] * v[(first + key) * t.ld + d];
            out[i * C + d] = o / sum;
        }
        if (lse)
            lse[h * rows + i] = most + log(sum);
    }
    free(p);
    return p != NULL;
}

/* ---- attention ------------------------------------------------------------------------------- */

static const Case attention_cases[] = {
    CASE(0, 1, 2, 8, 0, 0),       CASE(1, 1, 1, 5, 0, 1),      CASE(5, 40, 2, 32, 0, 0),    CASE(5, 31, 3, 64, 4, 0),
    CASE(4, 48, 1, 5, 0, 1),      CASE(4, 33, 2, 40, 9, 1),    CASE(1, 128, 12, 32, 0, 0),  CASE(3, 300, 1, 32, 20, 0),
    CASE(2, 530, 1, 16, 0, 1),    CASE(3, 520, 1, 64, 300, 0), TIMED(1, 128, 12, 32, 0, 0), TIMED(1, 197, 12, 64, 0, 0),
    TIMED(1, 512, 12, 64, 128, 0)};
static void attention_make(Job *j, const int64_t *s)
{
    const int64_t rows = texts_make(j, s);
    if (!j->ok)
        return;
    case_f32(j, "out", OUT, rows * s[H_] * s[D_]);
    case_f32(j, "lse", OUT, rows * s[H_]);
    const Attention t = attention_of(j, s);
    case_work(j, j->k->attention_work(&t, j->threads));
}
static void attention_call(Job *j, const int64_t *s)
{
    const Attention t = attention_of(j, s);
    j->k->attention(&j->run, &t);
}
static void attention_reference(Job *j, const int64_t *s)
{
    if (!attend(j, s, EXACT(j, AT_OUT), EXACT(j, AT_LSE)))
        EXACT(j, AT_OUT)[0] = NAN;
}
const Family family_attention = {.kernel = "attention",
                                 .letters = "B T H D R causal",
                                 .cases = attention_cases,
                                 .count = COUNT(attention_cases),
                                 .make = attention_make,
                                 .call = attention_call,
                                 .reference = attention_reference};

/* ---- attention_back -------------------------------------------------------------------------- */

static const Case attention_back_cases[] = {
    CASE(1, 1, 1, 5, 0, 1),    CASE(4, 20, 2, 32, 0, 0),  CASE(3, 31, 3, 5, 4, 0),     CASE(3, 33, 1, 40, 9, 1),
    CASE(1, 270, 1, 16, 0, 0), CASE(1, 262, 1, 8, 30, 1), TIMED(1, 128, 12, 32, 0, 0), TIMED(1, 512, 12, 64, 0, 0)};
static AttentionBack attention_back_of(const Job *j, const int64_t *s)
{
    const int64_t C = s[H_] * s[D_];
    float *d = F32(j, AT_DQKV);
    return (AttentionBack){attention_of(j, s), F32(j, AT_DOUT), d, d + C, d + 2 * C, 3 * C};
}
static void attention_back_make(Job *j, const int64_t *s)
{
    const int64_t rows = texts_make(j, s);
    if (!j->ok)
        return;
    case_f32(j, "out", IN, rows * s[H_] * s[D_]);
    case_f32(j, "lse", IN, rows * s[H_]);
    case_f32(j, "dout", IN, rows * s[H_] * s[D_]);
    case_f32(j, "dqkv", OUT, rows * 3 * s[H_] * s[D_]);
    if (!j->ok)
        return;
    const AttentionBack t = attention_back_of(j, s);
    case_work(j, MAX(j->k->attention_work(&t.forward, j->threads), j->k->attention_back_work(&t, j->threads)));
    if (j->ok) {
        j->k->attention(&j->run, &t.forward);
        case_set(j, AT_OUT);
        case_set(j, AT_LSE);
    }
    j->flops *= 2.5;
    j->bytes *= 2;
}
static void attention_back_call(Job *j, const int64_t *s)
{
    const AttentionBack t = attention_back_of(j, s);
    j->k->attention_back(&j->run, &t);
}
/* sum of dout out: EXACT of out serves as scratch, its numbers are not asked for */
static double attention_loss(const Job *j, const int64_t *s)
{
    double sum = 0;
    if (!attend(j, s, EXACT(j, AT_OUT), NULL))
        return NAN;
    for (size_t i = 0; i < j->b[AT_OUT].count; i++)
        sum += EXACT(j, AT_DOUT)[i] * EXACT(j, AT_OUT)[i];
    return sum;
}
const Family family_attention_back = {.kernel = "attention_back",
                                      .letters = "B T H D R causal",
                                      .cases = attention_back_cases,
                                      .count = COUNT(attention_back_cases),
                                      .make = attention_back_make,
                                      .call = attention_back_call,
                                      .loss = attention_loss,
                                      .by = {{AT_QKV, AT_DQKV}},
                                      .by_count = 1,
                                      .tolerance = 3e-5};
