/* tests/cases/attention.c: cases of kernels/cpu/attention.c. If a case has no Tk and no Hk, q, k and v are next to each
 * other in a row, as layers make them. Otherwise each has its own memory and its own row stride. */
#include <math.h>
#include <stdlib.h>

#include "tests/kernel_cases.h"

/* A case has B texts of up to T tokens and H heads of D numbers. The last text has T tokens; the second of three or
 * more is empty.
 * - R: 0 means no relative bias.
 * - Tk: a text has up to Tk keys. The last text has Tk, the third none. 0: as many keys as queries.
 * - Hk: heads of keys; 0: H. */
enum {
    AT_OFFSETS,
    AT_KEY_OFFSETS,
    AT_Q,
    AT_K,
    AT_V,
    AT_RELATIVE,
    AT_OUT,
    AT_LSE,
    AT_DOUT,
    AT_DQ,
    AT_DK,
    AT_DV,
    AT_DRELATIVE,
    AT_NARROW_Q = AT_DOUT, /* the forward pass has these four instead of AT_DOUT to AT_DV: q, k, v and out in 16 bits */
    AT_NARROW_K,
    AT_NARROW_V,
    AT_NARROW_OUT
};

typedef struct Shape {
    bool separate;            /* q, k and v are in three buffers; otherwise in one, [rows, 3 C] */
    int64_t C, Ck;            /* numbers per row of q, and of k and v */
    int64_t q_ld, k_ld, v_ld; /* row strides */
    int64_t longest_keys;
} Shape;
static Shape shape_of(const Case *s)
{
    const int64_t D = s->attention.D, C = s->attention.H * D,
                  Ck = (s->attention.Hk ? s->attention.Hk : s->attention.H) * D;
    const bool separate = s->attention.Tk || s->attention.Hk;
    return (Shape){.separate = separate,
                   .C = C,
                   .Ck = Ck,
                   .q_ld = separate ? C + 3 : 3 * C,
                   .k_ld = separate ? Ck + 1 : 3 * C,
                   .v_ld = separate ? Ck + 5 : 3 * C,
                   .longest_keys = s->attention.Tk ? s->attention.Tk : s->attention.T};
}

/* Makes the offsets of the rows of queries or keys, with up to T rows per text. T 0: an empty buffer. Returns the
 * number of rows. */
static int64_t offsets_make(Job *j, const Case *s, const char *name, int64_t T, bool keys)
{
    int32_t *offsets = case_i32(j, name, ROLE_IN, T ? s->attention.B + 1 : 0);
    int64_t rows = 0;
    for (int64_t b = 0; j->ok && T && b <= s->attention.B; b++) {
        const uint32_t drawn = 1 + case_draw(j, (uint64_t)(b + (keys ? 100 : 0)), (uint32_t)T);
        offsets[b] = (int32_t)rows;
        rows += b + 1 == s->attention.B ? T : b == s->attention.B || b == (keys ? 2 : 1) ? 0 : drawn;
    }
    return rows;
}
/* Makes a buffer with the numbers of q, k or v in the 16-bit type of the case; an empty one for F32. Rounds the numbers
 * of the first buffer too. */
static void narrow_make(Job *j, const Case *s, int buffer, const char *name)
{
    const int64_t count = s->attention.type == F32 ? 0 : (int64_t)j->b[buffer].count;
    uint16_t *narrow = case_bytes(j, name, ROLE_IN, (size_t)count * sizeof *narrow);
    float *x = host_f32(j, buffer);
    for (int64_t i = 0; j->ok && i < count; i++)
        x[i] = case_narrow((DType)s->attention.type, x[i], &narrow[i]);
    if (j->ok && count)
        case_set(j, buffer);
}
static DType type_of(const Job *j, const Case *s)
{
    const DType type = (DType)s->attention.type;
    return j->k->supports("attention", "q", type) ? type : F32;
}
static DType out_type_of(const Job *j, const Case *s)
{
    return s->attention.narrow && j->k->supports("attention", "out", type_of(j, s)) ? type_of(j, s) : F32;
}
static int64_t texts_make(Job *j, const Case *s)
{
    const Shape z = shape_of(s);
    const int64_t rows = offsets_make(j, s, "q_offsets", s->attention.T, false),
                  keys = offsets_make(j, s, "k_offsets", s->attention.Tk, true), k_rows = s->attention.Tk ? keys : rows;
    case_f32(j, "q", ROLE_IN, rows * z.q_ld);
    case_f32(j, "k", ROLE_IN, z.separate ? k_rows * z.k_ld : 0);
    case_f32(j, "v", ROLE_IN, z.separate ? k_rows * z.v_ld : 0);
    case_f32(j, "relative", ROLE_IN, s->attention.R ? s->attention.H * (2 * s->attention.R + 1) : 0);
    for (int64_t b = 0; j->ok && b < s->attention.B; b++) {
        const int32_t *o = host_i32(j, AT_OFFSETS), *ko = s->attention.Tk ? host_i32(j, AT_KEY_OFFSETS) : o;
        j->flops +=
            4 * (double)(o[b + 1] - o[b]) * (double)(ko[b + 1] - ko[b]) * (double)z.C * (s->attention.causal ? 0.5 : 1);
    }
    j->bytes = 8.0 * (double)(rows * z.C + k_rows * z.Ck);
    return rows;
}
static Attention attention_of(const Job *j, const Case *s)
{
    const Shape z = shape_of(s);
    const bool whole = j->n > AT_LSE;
    const DType type = type_of(j, s), out_type = out_type_of(j, s);
    const char *q = device_of(j, type == F32 ? AT_Q : AT_NARROW_Q);
    const size_t fused = (size_t)z.C * dtype_bytes(type);
    return (Attention){.B = s->attention.B,
                       .H = s->attention.H,
                       .Hk = s->attention.Hk,
                       .D = s->attention.D,
                       .q_offsets = i32_of(j, AT_OFFSETS),
                       .k_offsets = s->attention.Tk ? i32_of(j, AT_KEY_OFFSETS) : NULL,
                       .q_longest = s->attention.T,
                       .k_longest = s->attention.Tk,
                       .q = q,
                       .k = z.separate ? device_of(j, type == F32 ? AT_K : AT_NARROW_K) : q + fused,
                       .v = z.separate ? device_of(j, type == F32 ? AT_V : AT_NARROW_V) : q + 2 * fused,
                       .type = type,
                       .q_ld = z.q_ld,
                       .k_ld = z.k_ld,
                       .v_ld = z.v_ld,
                       .out = whole ? device_of(j, out_type == F32 ? AT_OUT : AT_NARROW_OUT) : NULL,
                       .out_type = out_type,
                       .out_ld = z.C,
                       .scale = (float)(1 / sqrt((double)s->attention.D)),
                       .relative = s->attention.R ? f32_of(j, AT_RELATIVE) : NULL,
                       .R = s->attention.R,
                       .causal = s->attention.causal != 0,
                       .window = s->attention.window,
                       .lse = whole ? f32_of(j, AT_LSE) : NULL};
}

/* Returns the largest relative change of a number that is rounded to the type. */
static double rounding_of(DType type)
{
    return type == BF16 ? 0x1p-8 : type == F16 ? 0x1p-11 : 0;
}

/* Writes out and lse (NULL: not computed) in double. Returns false if memory ran out. rounding (or NULL): the largest
 * change of a number by 16-bit weights (if q, k and v have 16 bits) and by a 16-bit out. */
static bool attend(const Job *j, const Case *s, double *out, double *lse, double *rounding)
{
    const Attention t = attention_of(j, s);
    const Shape z = shape_of(s);
    const int32_t *offsets = host_i32(j, AT_OFFSETS),
                  *key_offsets = s->attention.Tk ? host_i32(j, AT_KEY_OFFSETS) : offsets;
    const int64_t C = z.C, D = t.D, rows = offsets[t.B], shared = z.C / z.Ck;
    const double *q = exact_of(j, AT_Q), *k = z.separate ? exact_of(j, AT_K) : q + C,
                 *v = z.separate ? exact_of(j, AT_V) : q + 2 * C, scale = (double)t.scale;
    double *p = malloc((size_t)(z.longest_keys + 1) * sizeof *p);
    for (int64_t at = 0; p && at < rows * t.H; at++) {
        const int64_t i = at / t.H, h = at % t.H, kd = h / shared * D;
        int64_t b = 0;
        while (offsets[b + 1] <= i)
            b++;
        const int64_t first = key_offsets[b], n = key_offsets[b + 1] - first, place = i - offsets[b + 1] + n;
        double most = -INFINITY, sum = 0;
        for (int64_t key = 0; key < n; key++) {
            double score = 0;
            for (int64_t d = 0; d < D; d++)
                score += q[i * t.q_ld + h * D + d] * k[(first + key) * t.k_ld + kd + d];
            const int64_t away = MIN(MAX(key - place, -t.R), t.R) + t.R,
                          distance = key < place ? place - key : key - place;
            p[key] = score * scale + (t.relative ? exact_of(j, AT_RELATIVE)[h * (2 * t.R + 1) + away] : 0);
            if ((t.causal && key > place) || (t.window && distance >= t.window))
                p[key] = -INFINITY;
            most = fmax(most, p[key]);
        }
        for (int64_t key = 0; key < n; key++) {
            p[key] = p[key] == -INFINITY ? 0 : exp(p[key] - most);
            sum += p[key];
        }
        for (int64_t d = 0; d < D; d++) {
            double o = 0, size = 0;
            for (int64_t key = 0; key < n; key++) {
                const double value = p[key] * v[(first + key) * t.v_ld + kd + d];
                o += value;
                if (rounding)
                    size += fabs(value); /* p is not negative */
            }
            out[i * C + h * D + d] = sum > 0 ? o / sum : 0;
            if (rounding && sum > 0)
                rounding[i * C + h * D + d] =
                    rounding_of(t.type) * size / sum + rounding_of(t.out_type) * fabs(o / sum);
        }
        if (lse)
            lse[h * rows + i] = sum > 0 ? most + log(sum) : -INFINITY;
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
    {.attention = {.B = 4, .T = 17, .H = 2, .D = 12, .Tk = 40}},
    {.attention = {.B = 4, .T = 30, .H = 2, .D = 32, .causal = 1, .Tk = 20}},
    {.attention = {.B = 3, .T = 1, .H = 4, .D = 16, .R = 5, .causal = 1, .Tk = 300, .Hk = 2}},
    {.attention = {.B = 1, .T = 3, .H = 1, .D = 4, .Tk = 150}},
    {.attention = {.B = 1, .T = 3, .H = 1, .D = 8, .Tk = 150, .type = BF16}},
    {.attention = {.B = 4, .T = 25, .H = 6, .D = 20, .Hk = 2}},
    {.attention = {.B = 3, .T = 33, .H = 4, .D = 8, .R = 3, .causal = 1, .Hk = 1}},
    {.attention = {.B = 4, .T = 40, .H = 2, .D = 24, .window = 9}},
    {.attention = {.B = 2, .T = 600, .H = 1, .D = 16, .R = 30, .causal = 1, .window = 70}},
    {.attention = {.B = 1, .T = 560, .H = 2, .D = 8, .window = 257, .Hk = 1}},
    {.attention = {.B = 4, .T = 50, .H = 2, .D = 12, .causal = 1, .Tk = 30, .Hk = 1, .window = 4}},
    {.attention = {.B = 1, .T = 9, .H = 1, .D = 64, .R = 2}},
    {.attention = {.B = 1, .T = 8, .H = 1, .D = 68}},
    {.attention = {.B = 1, .T = 7, .H = 1, .D = 128, .window = 3}},
    {.attention = {.B = 1, .T = 5, .H = 1, .D = 132, .causal = 1}},
    {.attention = {.B = 2, .T = 9, .H = 1, .D = 16, .type = BF16}},
    {.attention = {.B = 1, .T = 8, .H = 1, .D = 33, .R = 1, .causal = 1, .type = F16}},
    {.attention = {.B = 3, .T = 37, .H = 2, .D = 80, .R = 5}},
    {.attention = {.B = 3, .T = 70, .H = 1, .D = 128, .causal = 1}},
    {.attention = {.B = 3, .T = 40, .H = 2, .D = 150, .R = 3, .Tk = 35, .Hk = 1}},
    {.attention = {.B = 3, .T = 33, .H = 1, .D = 260, .window = 6}},
    {.attention = {.B = 3, .T = 20, .H = 1, .D = 32, .type = F16}},
    {.attention = {.B = 5, .T = 40, .H = 2, .D = 32, .type = BF16}},
    {.attention = {.B = 4, .T = 70, .H = 2, .D = 64, .R = 9, .causal = 1, .type = F16}},
    {.attention = {.B = 3, .T = 200, .H = 1, .D = 64, .R = 4, .type = BF16, .narrow = 1}},
    {.attention = {.B = 4, .T = 25, .H = 6, .D = 20, .Tk = 90, .Hk = 2, .type = BF16}},
    {.attention = {.B = 4, .T = 50, .H = 2, .D = 13, .causal = 1, .Tk = 30, .Hk = 1, .window = 4, .type = F16}},
    {.attention = {.B = 2, .T = 300, .H = 1, .D = 40, .window = 70, .type = BF16}},
    {.attention = {.B = 3, .T = 35, .H = 2, .D = 96, .type = F16, .narrow = 1}},
    {.attention = {.B = 2, .T = 66, .H = 1, .D = 128, .type = BF16}},
    {.attention = {.B = 3, .T = 20, .H = 1, .D = 140, .R = 2, .type = BF16, .narrow = 1}},
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
    narrow_make(j, s, AT_Q, "narrow q");
    narrow_make(j, s, AT_K, "narrow k");
    narrow_make(j, s, AT_V, "narrow v");
    if (j->ok)
        case_bytes(j, "narrow out", ROLE_OUT, out_type_of(j, s) == F32 ? 0 : 2 * j->b[AT_OUT].count);
    if (!j->ok)
        return;
    const Attention t = attention_of(j, s);
    case_work(j, j->k->attention_work(&j->run, &t));
}
static void attention_call(Job *j, const Case *s)
{
    const Attention t = attention_of(j, s);
    j->k->attention(&j->run, &t);
    if (t.out_type != F32)
        j->k->convert(&j->run, (int64_t)j->b[AT_OUT].count, t.out_type, t.out, F32, f32_of(j, AT_OUT));
}
static void attention_reference(Job *j, const Case *s)
{
    if (!attend(j, s, exact_of(j, AT_OUT), exact_of(j, AT_LSE), case_rounding(j, AT_OUT)))
        exact_of(j, AT_OUT)[0] = NAN;
}
const Family family_attention = {.kernel = "attention",
                                 .names = "B T H D R causal Tk Hk window type narrow",
                                 .cases = attention_cases,
                                 .count = COUNT(attention_cases),
                                 .make = attention_make,
                                 .call = attention_call,
                                 .reference = attention_reference,
                                 .optional = {AT_LSE},
                                 .optional_count = 1};

/* ---- attention_back -------------------------------------------------------------------------- */

static const Case attention_back_cases[] = {
    {.attention = {.B = 1, .T = 1, .H = 1, .D = 5, .causal = 1}},
    {.attention = {.B = 4, .T = 20, .H = 2, .D = 32}},
    {.attention = {.B = 3, .T = 31, .H = 3, .D = 5, .R = 4}},
    {.attention = {.B = 3, .T = 33, .H = 1, .D = 40, .R = 9, .causal = 1}},
    {.attention = {.B = 1, .T = 270, .H = 1, .D = 16}},
    {.attention = {.B = 1, .T = 262, .H = 1, .D = 8, .R = 30, .causal = 1}},
    {.attention = {.B = 4, .T = 12, .H = 2, .D = 8, .Tk = 21}},
    {.attention = {.B = 4, .T = 18, .H = 4, .D = 12, .R = 3, .causal = 1, .Tk = 11, .Hk = 2}},
    {.attention = {.B = 3, .T = 20, .H = 3, .D = 20, .Hk = 1}},
    {.attention = {.B = 1, .T = 5, .H = 4, .D = 4, .Hk = 2}},
    {.attention = {.B = 3, .T = 24, .H = 2, .D = 16, .R = 4, .window = 5}},
    {.attention = {.B = 1, .T = 290, .H = 2, .D = 4, .causal = 1, .Hk = 1, .window = 7}},
    {.attention = {.B = 4, .T = 30, .H = 1, .D = 8, .causal = 1, .Tk = 18, .window = 3}},
    {.attention = {.B = 1, .T = 7, .H = 1, .D = 36, .R = 2}},
    {.attention = {.B = 1, .T = 5, .H = 1, .D = 66, .causal = 1}},
    {.attention = {.B = 1, .T = 4, .H = 1, .D = 130, .R = 1}},
    {.attention = {.B = 3, .T = 35, .H = 2, .D = 64, .R = 6}},
    {.attention = {.B = 3, .T = 34, .H = 1, .D = 100, .R = 3, .causal = 1}},
    {.attention = {.B = 3, .T = 20, .H = 2, .D = 150, .R = 2, .Tk = 40, .Hk = 1}},
    {.attention = {.B = 1, .T = 128, .H = 12, .D = 32}, .timed = true},
    {.attention = {.B = 1, .T = 512, .H = 12, .D = 64}, .timed = true},
};
static AttentionBack attention_back_of(const Job *j, const Case *s)
{
    const Shape z = shape_of(s);
    float *dq = f32_of(j, AT_DQ);
    return (AttentionBack){.forward = attention_of(j, s),
                           .dout = f32_of(j, AT_DOUT),
                           .dq = dq,
                           .dk = z.separate ? f32_of(j, AT_DK) : dq + z.C,
                           .dv = z.separate ? f32_of(j, AT_DV) : dq + 2 * z.C,
                           .dq_ld = z.q_ld,
                           .dk_ld = z.k_ld,
                           .dv_ld = z.v_ld,
                           .drelative = s->attention.R ? f32_of(j, AT_DRELATIVE) : NULL};
}
static void attention_back_make(Job *j, const Case *s)
{
    const int64_t rows = texts_make(j, s);
    if (!j->ok)
        return;
    case_f32(j, "out", ROLE_IN, rows * s->attention.H * s->attention.D);
    case_f32(j, "lse", ROLE_IN, rows * s->attention.H);
    case_f32(j, "dout", ROLE_IN, rows * s->attention.H * s->attention.D);
    for (int i = 0; j->ok && i < 3; i++) { /* the gaps between separate rows are not written */
        float *d = case_f32(j, (const char *[]){"dq", "dk", "dv"}[i], ROLE_OUT, (int64_t)j->b[AT_Q + i].count);
        if (j->ok && shape_of(s).separate)
            memset(d, 0, j->b[AT_Q + i].count * sizeof *d);
    }
    case_f32(j, "drelative", ROLE_INOUT, s->attention.R ? s->attention.H * (2 * s->attention.R + 1) : 0);
    if (!j->ok)
        return;
    const AttentionBack t = attention_back_of(j, s);
    case_work(j, MAX(j->k->attention_work(&j->run, &t.forward), j->k->attention_back_work(&j->run, &t)));
    if (j->ok) {
        for (int i = AT_OFFSETS; i <= AT_LSE; i++) /* including the bytes round the outputs */
            case_send(j, i);
        j->k->attention(&j->run, &t.forward);
        case_fetch(j, AT_OUT);
        case_fetch(j, AT_LSE);
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
/* Returns the sum of dout out. The exact numbers of out serve as scratch: they are not needed otherwise. */
static double attention_loss(const Job *j, const Case *s)
{
    double sum = 0;
    if (!attend(j, s, exact_of(j, AT_OUT), NULL, NULL))
        return NAN;
    for (size_t i = 0; i < j->b[AT_OUT].count; i++)
        sum += exact_of(j, AT_DOUT)[i] * exact_of(j, AT_OUT)[i];
    return sum;
}
const Family family_attention_back = {.kernel = "attention_back",
                                      .names = "B T H D R causal Tk Hk window",
                                      .cases = attention_back_cases,
                                      .count = COUNT(attention_back_cases),
                                      .make = attention_back_make,
                                      .call = attention_back_call,
                                      .loss = attention_loss,
                                      .by = {{AT_Q, AT_DQ}, {AT_K, AT_DK}, {AT_V, AT_DV}, {AT_RELATIVE, AT_DRELATIVE}},
                                      .by_count = 4,
                                      .tolerance = 3e-5,
                                      .optional = {AT_DRELATIVE},
                                      .optional_count = 1};
