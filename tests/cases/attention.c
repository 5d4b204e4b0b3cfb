/* tests/cases/attention.c: Cases of kernels/cpu/attention.c. The projections lie as layers make them: q, k and v side
 * by side in a row. */
#include <math.h>
#include <stdlib.h>

#include "tests/kernel_cases.h"

/* A case has B texts of up to T tokens, the last of T, the second empty; R 0: no relative bias. */
enum { AT_OFFSETS, AT_QKV, AT_RELATIVE, AT_OUT, AT_LSE, AT_DOUT, AT_DQKV, AT_DRELATIVE };

static int64_t texts_make(Job *j, const Case *s)
{
    int32_t *offsets = case_i32(j, "offsets", ROLE_IN, s->attention.B + 1);
    int64_t rows = 0;
    for (int64_t b = 0; j->ok && b <= s->attention.B; b++) {
        offsets[b] = (int32_t)rows;
        rows += b + 1 == s->attention.B         ? s->attention.T
                : b == 1 || b == s->attention.B ? 0
                                                : 1 + case_draw(j, (uint64_t)b, (uint32_t)s->attention.T);
    }
    case_f32(j, "qkv", ROLE_IN, rows * 3 * s->attention.H * s->attention.D);
    case_f32(j, "relative", ROLE_IN, s->attention.H * (2 * s->attention.R + 1));
    for (int64_t b = 0; j->ok && b < s->attention.B; b++) {
        const double n = offsets[b + 1] - offsets[b];
        j->flops += 4 * n * n * (double)(s->attention.H * s->attention.D) * (s->attention.causal ? 0.5 : 1);
    }
    j->bytes = 16.0 * (double)(rows * s->attention.H * s->attention.D);
    return rows;
}
static Attention attention_of(const Job *j, const Case *s)
{
    const int64_t C = s->attention.H * s->attention.D;
    const float *qkv = f32_of(j, AT_QKV);
    const bool whole = j->n > AT_LSE;
    return (Attention){s->attention.B,
                       s->attention.H,
                       s->attention.D,
                       i32_of(j, AT_OFFSETS),
                       qkv,
                       qkv + C,
                       qkv + 2 * C,
                       3 * C,
                       whole ? f32_of(j, AT_OUT) : NULL,
                       C,
                       (float)(1 / sqrt((double)s->attention.D)),
                       s->attention.R ? f32_of(j, AT_RELATIVE) : NULL,
                       s->attention.R,
                       s->attention.causal != 0,
                       whole ? f32_of(j, AT_LSE) : NULL};
}

/* out and lse (NULL: not computed) in double; false when out of memory. */
static bool attend(const Job *j, const Case *s, double *out, double *lse)
{
    const Attention t = attention_of(j, s);
    const int64_t C = s->attention.H * s->attention.D, D = s->attention.D, rows = t.offsets[t.B];
    const double *q = exact_of(j, AT_QKV), *k = q + C, *v = q + 2 * C, scale = (double)t.scale;
    double *p = malloc((size_t)(s->attention.T + 1) * sizeof *p);
    for (int64_t at = 0; p && at < rows * t.H; at++) {
        const int64_t i = at / t.H, h = at % t.H;
        int64_t b = 0;
        while (t.offsets[b + 1] <= i)
            b++;
        const int64_t first = t.offsets[b], n = (s->attention.causal ? i + 1 : t.offsets[b + 1]) - first;
        double most = -INFINITY, sum = 0;
        for (int64_t key = 0; key < n; key++) {
            double score = 0;
            for (int64_t d = h * D; d < h * D + D; d++)
                score += q[i * t.ld + d] * k[(first + key) * t.ld + d];
            const int64_t away = MIN(MAX(first + key - i, -t.R), t.R) + t.R;
            p[key] = score * scale + (t.relative ? exact_of(j, AT_RELATIVE)[h * (2 * t.R + 1) + away] : 0);
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
    {.attention = {.B = 0, .T = 1, .H = 2, .D = 8}},
    {.attention = {.B = 1, .T = 1, .H = 1, .D = 5, .causal = 1}},
    {.attention = {.B = 5, .T = 40, .H = 2, .D = 32}},
    {.attention = {.B = 5, .T = 31, .H = 3, .D = 64, .R = 4}},
    {.attention = {.B = 4, .T = 48, .H = 1, .D = 5, .causal = 1}},
    {.attention = {.B = 4, .T = 33, .H = 2, .D = 40, .R = 9, .causal = 1}},
    {.attention = {.B = 1, .T = 128, .H = 12, .D = 32}},
    {.attention = {.B = 3, .T = 300, .H = 1, .D = 32, .R = 20}},
    {.attention = {.B = 2, .T = 530, .H = 1, .D = 16, .causal = 1}},
    {.attention = {.B = 3, .T = 520, .H = 1, .D = 64, .R = 300}},
    {.attention = {.B = 1, .T = 128, .H = 12, .D = 32}, .timed = true},
    {.attention = {.B = 1, .T = 197, .H = 12, .D = 64}, .timed = true},
    {.attention = {.B = 1, .T = 512, .H = 12, .D = 64, .R = 128}, .timed = true},
};
static void attention_make(Job *j, const Case *s)
{
    const int64_t rows = texts_make(j, s);
    if (!j->ok)
        return;
    case_f32(j, "out", ROLE_OUT, rows * s->attention.H * s->attention.D);
    case_f32(j, "lse", ROLE_OUT, rows * s->attention.H);
    const Attention t = attention_of(j, s);
    case_work(j, j->k->attention_work(&j->run, &t));
}
static void attention_call(Job *j, const Case *s)
{
    const Attention t = attention_of(j, s);
    j->k->attention(&j->run, &t);
}
static void attention_reference(Job *j, const Case *s)
{
    if (!attend(j, s, exact_of(j, AT_OUT), exact_of(j, AT_LSE)))
        exact_of(j, AT_OUT)[0] = NAN;
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
    {.attention = {.B = 1, .T = 1, .H = 1, .D = 5, .causal = 1}},
    {.attention = {.B = 4, .T = 20, .H = 2, .D = 32}},
    {.attention = {.B = 3, .T = 31, .H = 3, .D = 5, .R = 4}},
    {.attention = {.B = 3, .T = 33, .H = 1, .D = 40, .R = 9, .causal = 1}},
    {.attention = {.B = 1, .T = 270, .H = 1, .D = 16}},
    {.attention = {.B = 1, .T = 262, .H = 1, .D = 8, .R = 30, .causal = 1}},
    {.attention = {.B = 1, .T = 128, .H = 12, .D = 32}, .timed = true},
    {.attention = {.B = 1, .T = 512, .H = 12, .D = 64}, .timed = true},
};
static AttentionBack attention_back_of(const Job *j, const Case *s)
{
    const int64_t C = s->attention.H * s->attention.D;
    float *d = f32_of(j, AT_DQKV);
    return (AttentionBack){attention_of(j, s),
                           f32_of(j, AT_DOUT),
                           d,
                           d + C,
                           d + 2 * C,
                           3 * C,
                           s->attention.R ? f32_of(j, AT_DRELATIVE) : NULL};
}
static void attention_back_make(Job *j, const Case *s)
{
    const int64_t rows = texts_make(j, s);
    if (!j->ok)
        return;
    case_f32(j, "out", ROLE_IN, rows * s->attention.H * s->attention.D);
    case_f32(j, "lse", ROLE_IN, rows * s->attention.H);
    case_f32(j, "dout", ROLE_IN, rows * s->attention.H * s->attention.D);
    case_f32(j, "dqkv", ROLE_OUT, rows * 3 * s->attention.H * s->attention.D);
    case_f32(j, "drelative", ROLE_INOUT, s->attention.H * (2 * s->attention.R + 1));
    if (!j->ok)
        return;
    const AttentionBack t = attention_back_of(j, s);
    case_work(j, MAX(j->k->attention_work(&j->run, &t.forward), j->k->attention_back_work(&j->run, &t)));
    if (j->ok) {
        j->k->attention(&j->run, &t.forward);
        case_set(j, AT_OUT);
        case_set(j, AT_LSE);
    }
    j->flops *= 2.5;
    j->bytes *= 2;
}
static void attention_back_call(Job *j, const Case *s)
{
    const AttentionBack t = attention_back_of(j, s);
    j->k->attention_back(&j->run, &t);
}
/* sum of dout out: the exact numbers of out serve as scratch, its numbers are not asked for */
static double attention_loss(const Job *j, const Case *s)
{
    double sum = 0;
    if (!attend(j, s, exact_of(j, AT_OUT), NULL))
        return NAN;
    for (size_t i = 0; i < j->b[AT_OUT].count; i++)
        sum += exact_of(j, AT_DOUT)[i] * exact_of(j, AT_OUT)[i];
    return sum;
}
const Family family_attention_back = {.kernel = "attention_back",
                                      .letters = "B T H D R causal",
                                      .cases = attention_back_cases,
                                      .count = COUNT(attention_back_cases),
                                      .make = attention_back_make,
                                      .call = attention_back_call,
                                      .loss = attention_loss,
                                      .by = {{AT_QKV, AT_DQKV}, {AT_RELATIVE, AT_DRELATIVE}},
                                      .by_count = 2,
                                      .tolerance = 3e-5};
