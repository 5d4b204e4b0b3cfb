/* tests/cases/topk.c: cases of kernels/cpu/topk.c and knn_lists.c. Factors are multiples of 1/4, so that every product
 * is exact: ties are true ties, and the ids must be equal to the reference's. */
#include <math.h>
#include <stdlib.h>

#include "tests/kernel_cases.h"

static void coarse_values(Job *j, int buffer)
{
    for (size_t i = 0; j->ok && i < j->b[buffer].count; i++)
        host_f32(j, buffer)[i] = (float)floor(4 * exact_of(j, buffer)[i]) / 4;
    case_set(j, buffer);
}

/* Makes a buffer with the numbers of another buffer, multiples of 1/4, as F16 or BF16. It is empty for F32. */
static void narrow_values(Job *j, int buffer, int64_t type)
{
    const size_t count = j->ok && type != F32 ? j->b[buffer].count : 0;
    uint16_t *narrow = case_bytes(j, "narrow", ROLE_IN, count * sizeof *narrow);
    for (size_t i = 0; j->ok && i < count; i++)
        case_narrow((DType)type, host_f32(j, buffer)[i], &narrow[i]);
}
static DType type_of(const Job *j, const char *entry, const char *operand, int64_t type)
{
    return j->k->supports(entry, operand, (DType)type) ? (DType)type : F32;
}

/* Writes the k best of score [I], best first, ties to the lower id. Excluded items have the score -infinity; if fewer
 * than k others exist, the last ids are -1 and their values -infinity. Changes `score`. */
static void best_of(double *score, int64_t I, int64_t k, int32_t *ids, double *values)
{
    for (int64_t n = 0; n < k; n++) {
        int64_t best = -1;
        double most = -INFINITY;
        for (int64_t i = 0; i < I; i++) {
            if (score[i] > most) {
                most = score[i];
                best = i;
            }
        }
        ids[n] = (int32_t)best;
        values[n] = most;
        if (best >= 0)
            score[best] = -INFINITY;
    }
}

/* ---- knn ------------------------------------------------------------------------------------- */

static const Case knn_cases[] = {
    {.knn = {.Q = 0, .I = 5, .D = 3, .k = 2}},
    {.knn = {.Q = 3, .I = 0, .D = 3, .k = 2}},
    {.knn = {.Q = 3, .I = 5, .D = 3, .k = 0}},
    {.knn = {.Q = 3, .I = 5, .D = 0, .k = 2}},
    {.knn = {.Q = 5, .I = 3, .D = 4, .k = 5}},
    {.knn = {.Q = 50, .I = 70, .D = 8, .k = 10}},
    {.knn = {.Q = 100, .I = 600, .D = 17, .k = 10}},
    {.knn = {.Q = 45, .I = 5000, .D = 8, .k = 20}},
    {.knn = {.Q = 200, .I = 700, .D = 300, .k = 5}},
    {.knn = {.Q = 9, .I = 9, .D = 4, .k = 12, .itself = 1}},
    {.knn = {.Q = 70, .I = 70, .D = 8, .k = 10, .itself = 1}},
    {.knn = {.Q = 600, .I = 600, .D = 8, .k = 10}},
    {.knn = {.Q = 1200, .I = 1200, .D = 5, .k = 40, .itself = 1}},
    {.knn = {.Q = 1100, .I = 1100, .D = 300, .k = 7, .itself = 1}},
    {.knn = {.Q = 9, .I = 200, .D = 5, .k = 150}},
    {.knn = {.Q = 15, .I = 200, .D = 8, .k = 9, .type = F16}},
    {.knn = {.Q = 50, .I = 50, .D = 7, .k = 40, .itself = 1, .type = BF16}},
    {.knn = {.Q = 7050, .I = 7050, .D = 384, .k = 10, .itself = 1}, .timed = true},
    {.knn = {.Q = 1000, .I = 7050, .D = 4096, .k = 10}, .timed = true},
};
enum { KNN_Q, KNN_X, KNN_IDS, KNN_VALUES, KNN_SCORE, KNN_Q16, KNN_X16 };
static void knn_make(Job *j, const Case *s)
{
    case_f32(j, "q", ROLE_IN, s->knn.Q * s->knn.D);
    coarse_values(j, KNN_Q);
    case_f32(j, "x", ROLE_IN, s->knn.I * s->knn.D);
    coarse_values(j, KNN_X);
    case_i32(j, "ids", ROLE_OUT, s->knn.Q * s->knn.k);
    case_f32(j, "values", ROLE_OUT, s->knn.Q * s->knn.k);
    case_f32(j, "score", ROLE_IN, s->knn.I); /* scratch of the reference */
    narrow_values(j, KNN_Q, s->knn.type);
    narrow_values(j, KNN_X, s->knn.type);
    case_work(j, j->k->knn_work(&j->run, s->knn.Q, s->knn.I, s->knn.D, s->knn.k));
    j->flops =
        /* each pair is computed once */
        (s->knn.itself ? 1.0 : 2.0) * (double)s->knn.Q * (double)s->knn.I * (double)s->knn.D;
    j->bytes = (double)(s->knn.Q + s->knn.I) * (double)s->knn.D * 4;
}
static int knn_rows(const Case *s)
{
    return s->knn.itself ? KNN_X : KNN_Q;
}
static void knn_call(Job *j, const Case *s)
{
    const DType type = type_of(j, "knn", "x", s->knn.type);
    const int narrow = type == F32 ? 0 : KNN_Q16 - KNN_Q;
    j->k->knn(&j->run, s->knn.Q, s->knn.I, s->knn.D, s->knn.k, type, device_of(j, knn_rows(s) + narrow),
              device_of(j, KNN_X + narrow), i32_of(j, KNN_IDS), f32_of(j, KNN_VALUES));
}
static void knn_reference(Job *j, const Case *s)
{
    double *score = exact_of(j, KNN_SCORE);
    for (int64_t q = 0; q < s->knn.Q; q++) {
        for (int64_t i = 0; i < s->knn.I; i++) {
            const double *x = exact_of(j, KNN_X) + i * s->knn.D, *y = exact_of(j, knn_rows(s)) + q * s->knn.D;
            double sum = 0;
            for (int64_t d = 0; d < s->knn.D; d++)
                sum += y[d] * x[d];
            score[i] = sum;
        }
        best_of(score, s->knn.I, s->knn.k, expected_of(j, KNN_IDS) + q * s->knn.k,
                exact_of(j, KNN_VALUES) + q * s->knn.k);
    }
}
const Family family_knn = {.kernel = "knn",
                           .names = "Q I D k itself type",
                           .cases = knn_cases,
                           .count = COUNT(knn_cases),
                           .make = knn_make,
                           .call = knn_call,
                           .reference = knn_reference,
                           .tolerance = 1e-6};

/* ---- knn_lists ------------------------------------------------------------------------------- */

#ifndef SAPOR_MINIMAL
static const Case knn_lists_cases[] = {
    {.knn_lists = {.Q = 0, .I = 5, .L = 2, .D = 3, .P = 1, .k = 2}},
    {.knn_lists = {.Q = 3, .I = 0, .L = 2, .D = 3, .P = 1, .k = 2}},
    {.knn_lists = {.Q = 3, .I = 5, .L = 2, .D = 3, .P = 0, .k = 2}},
    {.knn_lists = {.Q = 3, .I = 5, .L = 2, .D = 3, .P = 1, .k = 0}},
    {.knn_lists = {.Q = 3, .I = 5, .L = 2, .D = 0, .P = 2, .k = 2}},
    {.knn_lists = {.Q = 5, .I = 3, .L = 9, .D = 4, .P = 9, .k = 5}},
    {.knn_lists = {.Q = 1, .I = 40, .L = 1, .D = 4, .P = 1, .k = 41}},
    {.knn_lists = {.Q = 50, .I = 700, .L = 7, .D = 8, .P = 3, .k = 10}},
    {.knn_lists = {.Q = 301, .I = 900, .L = 2, .D = 5, .P = 2, .k = 10}},
    {.knn_lists = {.Q = 40, .I = 700, .L = 90, .D = 33, .P = 20, .k = 1}},
    {.knn_lists = {.Q = 99, .I = 400, .L = 5, .D = 300, .P = 4, .k = 30}},
    {.knn_lists = {.Q = 12, .I = 250, .L = 3, .D = 7, .P = 3, .k = 150}},
    {.knn_lists = {.Q = 20, .I = 200, .L = 5, .D = 7, .P = 3, .k = 8, .type = F16}},
    {.knn_lists = {.Q = 20, .I = 200, .L = 5, .D = 8, .P = 3, .k = 8, .type = BF16}},
    {.knn_lists = {.Q = 4096, .I = 100000, .L = 300, .D = 64, .P = 30, .k = 10}, .timed = true},
};
enum { KL_Q, KL_X, KL_PROBE, KL_START, KL_NUMBER, KL_IDS, KL_VALUES, KL_SCORE, KL_Q16, KL_X16 };
static void knn_lists_make(Job *j, const Case *s)
{
    const int64_t I = s->knn_lists.I, L = s->knn_lists.L, P = s->knn_lists.P;
    case_f32(j, "q", ROLE_IN, s->knn_lists.Q * s->knn_lists.D);
    coarse_values(j, KL_Q);
    case_f32(j, "x", ROLE_IN, I * s->knn_lists.D);
    coarse_values(j, KL_X);
    int32_t *probe = case_i32(j, "probe", ROLE_IN, s->knn_lists.Q * P);
    for (int64_t q = 0; j->ok && q < s->knn_lists.Q; q++) {
        for (int64_t i = 0; i < P; i++) /* distinct lists, and some probes without a list */
            probe[q * P + i] = i % 7 == 6 ? -1 : (int32_t)((q * 5 + i) % L);
    }
    int64_t *start = case_i64(j, "start", ROLE_IN, L + 1);
    int32_t *number = case_i32(j, "number", ROLE_IN, I);
    for (int64_t l = 0; j->ok && l <= L; l++)
        start[l] = 0;
    for (int64_t i = 0; j->ok && i < I; i++) /* counts the items of list l in start[l + 1] */
        start[1 + (int64_t)(case_uniform(j, (uint64_t)i) * (double)L)]++;
    for (int64_t l = 0; j->ok && l < L; l++)
        start[l + 1] += start[l];
    for (int64_t i = 0; j->ok && i < I; i++) /* moves start[l] from the first item of list l behind its last */
        number[start[(int64_t)(case_uniform(j, (uint64_t)i) * (double)L)]++] = (int32_t)i;
    for (int64_t l = L; j->ok && l > 0; l--)
        start[l] = start[l - 1];
    if (j->ok)
        start[0] = 0;
    case_i32(j, "ids", ROLE_OUT, s->knn_lists.Q * s->knn_lists.k);
    case_f32(j, "values", ROLE_OUT, s->knn_lists.Q * s->knn_lists.k);
    case_f32(j, "score", ROLE_IN, I); /* scratch of the reference */
    narrow_values(j, KL_Q, s->knn_lists.type);
    narrow_values(j, KL_X, s->knn_lists.type);
    case_work(j, j->k->knn_lists_work(&j->run, s->knn_lists.Q, L, s->knn_lists.D, P));
    j->flops = 2.0 * (double)s->knn_lists.Q * (double)I * (double)P / (double)L * (double)s->knn_lists.D;
    j->bytes = (double)(s->knn_lists.Q + I) * (double)s->knn_lists.D * 4;
}
static void knn_lists_call(Job *j, const Case *s)
{
    const DType type = type_of(j, "knn_lists", "x", s->knn_lists.type);
    j->k->knn_lists(&j->run, s->knn_lists.Q, s->knn_lists.L, s->knn_lists.D, s->knn_lists.P, s->knn_lists.k, type,
                    device_of(j, type == F32 ? KL_Q : KL_Q16), i32_of(j, KL_PROBE), i64_of(j, KL_START),
                    device_of(j, type == F32 ? KL_X : KL_X16), i32_of(j, KL_NUMBER), i32_of(j, KL_IDS),
                    f32_of(j, KL_VALUES));
}
static void knn_lists_reference(Job *j, const Case *s)
{
    const int64_t I = s->knn_lists.I, D = s->knn_lists.D, P = s->knn_lists.P, k = s->knn_lists.k;
    double *score = exact_of(j, KL_SCORE);
    for (int64_t q = 0; q < s->knn_lists.Q; q++) {
        for (int64_t i = 0; i < I; i++)
            score[i] = -INFINITY;
        for (int64_t p = 0; p < P; p++) {
            const int32_t l = host_i32(j, KL_PROBE)[q * P + p];
            for (int64_t r = l < 0 ? 0 : host_i64(j, KL_START)[l]; l >= 0 && r < host_i64(j, KL_START)[l + 1]; r++) {
                const double *x = exact_of(j, KL_X) + r * D, *y = exact_of(j, KL_Q) + q * D;
                double sum = 0;
                for (int64_t d = 0; d < D; d++)
                    sum += y[d] * x[d];
                score[host_i32(j, KL_NUMBER)[r]] = sum;
            }
        }
        best_of(score, I, k, expected_of(j, KL_IDS) + q * k, exact_of(j, KL_VALUES) + q * k);
    }
}
const Family family_knn_lists = {.kernel = "knn_lists",
                                 .names = "Q I L D P k type",
                                 .cases = knn_lists_cases,
                                 .count = COUNT(knn_lists_cases),
                                 .make = knn_lists_make,
                                 .call = knn_lists_call,
                                 .reference = knn_lists_reference,
                                 .tolerance = 1e-6};
#endif

/* ---- topk, topk_rows ------------------------------------------------------------------------- */

enum { BY_ROW = 1, WITH_BIAS = 2, WITH_EXCLUDE = 4, HEAVY_EXCLUDE = 8 };
/* The timed cases have the sizes of the evaluation on movielens-1m. */
static const Case topk_cases[] = {
    {.topk = {.B = 0, .I = 9, .D = 4, .k = 3}},
    {.topk = {.B = 3, .I = 0, .D = 4, .k = 3}},
    {.topk = {.B = 3, .I = 9, .D = 4, .k = 0}},
    {.topk = {.B = 2, .I = 0, .D = 4, .k = 130}},
    {.topk = {.B = 5, .I = 9, .D = 4, .k = 3}},
    {.topk = {.B = 5, .I = 9, .D = 4, .k = 9, .flags = BY_ROW | WITH_BIAS | WITH_EXCLUDE}},
    {.topk = {.B = 50, .I = 100, .D = 8, .k = 10, .flags = BY_ROW | WITH_BIAS | WITH_EXCLUDE}},
    {.topk = {.B = 100, .I = 3000, .D = 16, .k = 50, .flags = WITH_BIAS | WITH_EXCLUDE}},
    {.topk = {.B = 44, .I = 2100, .D = 16, .k = 20, .flags = BY_ROW | WITH_BIAS | WITH_EXCLUDE | HEAVY_EXCLUDE}},
    {.topk = {.B = 60, .I = 900, .D = 16, .k = 200, .flags = BY_ROW | WITH_EXCLUDE}},
    {.topk = {.B = 90, .I = 4100, .D = 3, .k = 50, .flags = BY_ROW | WITH_BIAS | WITH_EXCLUDE | HEAVY_EXCLUDE}},
    {.topk = {.B = 3, .I = 4300, .D = 2, .k = 4200, .flags = WITH_EXCLUDE}},
    {.topk = {.B = 3, .I = 1100, .D = 3, .k = 4, .flags = WITH_EXCLUDE}},
    {.topk = {.B = 8200, .I = 140, .D = 2, .k = 3, .flags = BY_ROW | WITH_BIAS | WITH_EXCLUDE}},
    {.topk = {.B = 15, .I = 200, .D = 8, .k = 9, .flags = BY_ROW | WITH_BIAS, .type = F16}},
    {.topk = {.B = 15, .I = 200, .D = 7, .k = 9, .flags = BY_ROW | WITH_EXCLUDE, .type = BF16}},
    {.topk = {.B = 6040, .I = 3260, .D = 64, .k = 50, .flags = WITH_EXCLUDE}, .timed = true},
    {.topk = {.B = 6040, .I = 3260, .D = 64, .k = 20}, .timed = true},
};
enum { TK_USERS, TK_ROW, TK_ITEMS, TK_BIAS, TK_START, TK_ITEM, TK_IDS, TK_SCORES, TK_SCRATCH, TK_USERS16, TK_ITEMS16 };
static int64_t users_of(const Case *s)
{
    return s->topk.flags & BY_ROW ? s->topk.B + 3 : s->topk.B;
}
/* Makes buffers `start` and `item`: for each of `lists` users some items below I, sorted in ascending order. */
static void make_exclude(Job *j, int64_t lists, int64_t I, int64_t flags)
{
    int64_t *start = case_i64(j, "start", ROLE_IN, lists + 1);
    const int64_t most = I == 0 || !(flags & WITH_EXCLUDE) ? 0 : flags & HEAVY_EXCLUDE ? I : I / 4;
    for (int64_t u = 0, n = 0; j->ok && u <= lists; u++) {
        start[u] = n;
        n += (int64_t)(case_uniform(j, (uint64_t)u) * (double)most);
    }
    int32_t *item = case_i32(j, "item", ROLE_IN, j->ok ? start[lists] : 0);
    for (int64_t u = 0; j->ok && u < lists; u++) {
        const int64_t count = start[u + 1] - start[u];
        for (int64_t i = 0; i < count; i++)
            item[start[u] + i] = (int32_t)(i * I / count);
    }
}
static void topk_make(Job *j, const Case *s)
{
    case_f32(j, "users", ROLE_IN, users_of(s) * s->topk.D);
    coarse_values(j, TK_USERS);
    int32_t *row = case_i32(j, "row", ROLE_IN, s->topk.B);
    for (int64_t b = 0; j->ok && b < s->topk.B; b++)
        row[b] = (int32_t)((b * 7 + 2) % users_of(s));
    case_f32(j, "items", ROLE_IN, s->topk.I * s->topk.D);
    coarse_values(j, TK_ITEMS);
    case_f32(j, "bias", ROLE_IN, s->topk.I);
    coarse_values(j, TK_BIAS);
    make_exclude(j, users_of(s), s->topk.I, s->topk.flags);
    case_i32(j, "ids", ROLE_OUT, s->topk.B * s->topk.k);
    case_f32(j, "scores", ROLE_OUT, s->topk.B * s->topk.k);
    case_f32(j, "scratch", ROLE_IN, s->topk.I);
    narrow_values(j, TK_USERS, s->topk.type);
    narrow_values(j, TK_ITEMS, s->topk.type);
    case_work(j, j->k->topk_work(&j->run, s->topk.B, s->topk.I, s->topk.D, s->topk.k));
    j->flops = 2.0 * (double)s->topk.B * (double)s->topk.I * (double)s->topk.D;
    j->bytes = (double)(s->topk.B + s->topk.I) * (double)s->topk.D * 4;
}
static Exclude exclude_of(const Job *j, int64_t flags, int start, const int32_t *row)
{
    return (Exclude){flags & WITH_EXCLUDE ? i64_of(j, start) : NULL, i32_of(j, start + 1), flags & BY_ROW ? row : NULL};
}
static void topk_call(Job *j, const Case *s)
{
    const Exclude x = exclude_of(j, s->topk.flags, TK_START, i32_of(j, TK_ROW));
    const DType type = type_of(j, "topk", "items", s->topk.type);
    j->k->topk(&j->run, s->topk.B, s->topk.I, s->topk.D, s->topk.k, type,
               device_of(j, type == F32 ? TK_USERS : TK_USERS16), s->topk.flags & BY_ROW ? i32_of(j, TK_ROW) : NULL,
               device_of(j, type == F32 ? TK_ITEMS : TK_ITEMS16), s->topk.flags & WITH_BIAS ? f32_of(j, TK_BIAS) : NULL,
               s->topk.flags & WITH_EXCLUDE ? &x : NULL, i32_of(j, TK_IDS), f32_of(j, TK_SCORES));
}
static void leave_out(const Job *j, int64_t flags, int start, int64_t list, double *score)
{
    for (int64_t e = host_i64(j, start)[list]; flags & WITH_EXCLUDE && e < host_i64(j, start)[list + 1]; e++)
        score[host_i32(j, start + 1)[e]] = -INFINITY;
}
static void topk_reference(Job *j, const Case *s)
{
    double *score = exact_of(j, TK_SCRATCH);
    for (int64_t b = 0; b < s->topk.B; b++) {
        const int64_t u = s->topk.flags & BY_ROW ? host_i32(j, TK_ROW)[b] : b;
        for (int64_t i = 0; i < s->topk.I; i++) {
            score[i] = s->topk.flags & WITH_BIAS ? exact_of(j, TK_BIAS)[i] : 0;
            for (int64_t d = 0; d < s->topk.D; d++)
                score[i] += exact_of(j, TK_USERS)[u * s->topk.D + d] * exact_of(j, TK_ITEMS)[i * s->topk.D + d];
        }
        leave_out(j, s->topk.flags, TK_START, u, score);
        best_of(score, s->topk.I, s->topk.k, expected_of(j, TK_IDS) + b * s->topk.k,
                exact_of(j, TK_SCORES) + b * s->topk.k);
    }
}
const Family family_topk = {.kernel = "topk",
                            .names = "B I D k flags type",
                            .cases = topk_cases,
                            .count = COUNT(topk_cases),
                            .make = topk_make,
                            .call = topk_call,
                            .reference = topk_reference,
                            .tolerance = 1e-6};

static const Case topk_rows_cases[] = {CASE(0, 9, 3, 0),      CASE(3, 0, 3, 0),       CASE(3, 9, 0, 0),
                                       CASE(5, 9, 9, 4),      CASE(50, 100, 10, 5),   CASE(40, 3000, 20, 4),
                                       CASE(40, 3000, 20, 0), CASE(2, 2100, 20, 4),   CASE(33, 2100, 100, 12),
                                       CASE(5, 1500, 300, 5), CASE(2, 4500, 4300, 0), TIMED(1000, 7050, 50, 0)};
enum { TR_SCORES, TR_ROW, TR_START, TR_ITEM, TR_IDS, TR_VALUES, TR_SCRATCH };
static void topk_rows_make(Job *j, const Case *s)
{
    case_f32(j, "scores", ROLE_IN, s->n[0] * s->n[1]);
    for (int64_t i = 0; j->ok && i < s->n[0] * s->n[1]; i++) { /* exact ties, and some scores that are never kept */
        const double x = exact_of(j, TR_SCORES)[i];
        host_f32(j, TR_SCORES)[i] = i % 13 == 4    ? -INFINITY
                                    : i % 101 == 7 ? NAN
                                    : i % 2        ? (float)x
                                                   : (float)floor(64 * x) / 64;
    }
    case_set(j, TR_SCORES);
    int32_t *row = case_i32(j, "row", ROLE_IN, s->n[0]);
    for (int64_t b = 0; j->ok && b < s->n[0]; b++)
        row[b] = (int32_t)((b * 7 + 2) % (s->n[0] + 3));
    make_exclude(j, s->n[0] + 3, s->n[1], s->n[3]);
    case_i32(j, "ids", ROLE_OUT, s->n[0] * s->n[2]);
    case_f32(j, "values", ROLE_OUT, s->n[0] * s->n[2]);
    case_f32(j, "scratch", ROLE_IN, s->n[1]);
    j->flops = (double)(s->n[0] * s->n[1]);
    j->bytes = (double)(s->n[0] * s->n[1]) * 4;
}
static void topk_rows_call(Job *j, const Case *s)
{
    const Exclude x = exclude_of(j, s->n[3], TR_START, i32_of(j, TR_ROW));
    j->k->topk_rows(&j->run, s->n[0], s->n[1], s->n[2], f32_of(j, TR_SCORES), s->n[3] & WITH_EXCLUDE ? &x : NULL,
                    i32_of(j, TR_IDS), f32_of(j, TR_VALUES));
}
static void topk_rows_reference(Job *j, const Case *s)
{
    double *score = exact_of(j, TR_SCRATCH);
    for (int64_t b = 0; b < s->n[0]; b++) {
        memcpy(score, exact_of(j, TR_SCORES) + b * s->n[1], (size_t)s->n[1] * sizeof(double));
        leave_out(j, s->n[3], TR_START, s->n[3] & BY_ROW ? host_i32(j, TR_ROW)[b] : b, score);
        best_of(score, s->n[1], s->n[2], expected_of(j, TR_IDS) + b * s->n[2], exact_of(j, TR_VALUES) + b * s->n[2]);
    }
}
const Family family_topk_rows = {.kernel = "topk_rows",
                                 .names = "B I k flags",
                                 .cases = topk_rows_cases,
                                 .count = COUNT(topk_rows_cases),
                                 .make = topk_rows_make,
                                 .call = topk_rows_call,
                                 .reference = topk_rows_reference,
                                 .tolerance = 1e-6};
