/* tests/cases/topk.c: Cases of kernels/cpu/topk.c. Factors are multiples of 1/4: every product is exact, so that ties
 * are true ties and the ids must be the reference's. */
#include <math.h>
#include <stdlib.h>

#include "tests/kernel_cases.h"

static void coarse_values(Job *j, int buffer)
{
    for (size_t i = 0; j->ok && i < j->b[buffer].count; i++)
        F32(j, buffer)[i] = (float)floor(4 * EXACT(j, buffer)[i]) / 4;
    case_set(j, buffer);
}

/* The k best of score [I], left-out ones being -infinity, best first, ties to the lower id. */
static void best_of(double *score, int64_t I, int64_t k, int32_t *ids, double *values)
{
    for (int64_t n = 0; n < k; n++) {
        int64_t best = -1;
        for (int64_t i = 0; i < I; i++) {
            if (score[i] > -INFINITY && (best < 0 || score[i] > score[best]))
                best = i;
        }
        ids[n] = (int32_t)best;
        values[n] = best < 0 ? -INFINITY : score[best];
        if (best >= 0)
            score[best] = -INFINITY;
    }
}

/* ---- knn ------------------------------------------------------------------------------------- */

enum { ITSELF = 4 /* q is x */ };
static const Case knn_cases[] = {
    CASE(0, 5, 3, 2, 0),           CASE(3, 0, 3, 2, 0),         CASE(3, 5, 3, 0, 0),
    CASE(3, 5, 0, 2, 0),           CASE(5, 3, 4, 5, 0),         CASE(50, 70, 8, 10, 0),
    CASE(100, 600, 17, 10, 0),     CASE(45, 5000, 8, 20, 0),    CASE(200, 700, 300, 5, 0),
    CASE(9, 9, 4, 12, 1),          CASE(70, 70, 8, 10, 1),      CASE(600, 600, 8, 10, 0),
    CASE(1200, 1200, 5, 40, 1),    CASE(1100, 1100, 300, 7, 1), TIMED(7050, 7050, 384, 10, 1),
    TIMED(1000, 7050, 4096, 10, 0)};
enum { KNN_Q, KNN_X, KNN_IDS, KNN_VALUES, KNN_SCORE };
static void knn_make(Job *j, const int64_t *s)
{
    case_f32(j, "q", IN, s[0] * s[2]);
    coarse_values(j, KNN_Q);
    case_f32(j, "x", IN, s[1] * s[2]);
    coarse_values(j, KNN_X);
    case_i32(j, "ids", OUT, s[0] * s[3]);
    case_f32(j, "values", OUT, s[0] * s[3]);
    case_f32(j, "score", IN, s[1]); /* the reference's scratch */
    case_work(j, j->k->knn_work(s[0], s[1], s[2], j->threads));
    j->flops = (s[ITSELF] ? 1.0 : 2.0) * (double)s[0] * (double)s[1] * (double)s[2]; /* each pair once */
    j->bytes = (double)(s[0] + s[1]) * (double)s[2] * 4;
}
static int knn_rows(const int64_t *s)
{
    return s[ITSELF] ? KNN_X : KNN_Q;
}
static void knn_call(Job *j, const int64_t *s)
{
    j->k->knn(&j->run, s[0], s[1], s[2], s[3], F32(j, knn_rows(s)), F32(j, KNN_X), I32(j, KNN_IDS), F32(j, KNN_VALUES));
}
static void knn_reference(Job *j, const int64_t *s)
{
    double *score = EXACT(j, KNN_SCORE);
    for (int64_t q = 0; q < s[0]; q++) {
        for (int64_t i = 0; i < s[1]; i++) {
            const double *x = EXACT(j, KNN_X) + i * s[2], *y = EXACT(j, knn_rows(s)) + q * s[2];
            double sum = 0;
            for (int64_t d = 0; d < s[2]; d++)
                sum += y[d] * x[d];
            score[i] = sum;
        }
        best_of(score, s[1], s[3], WANT(j, KNN_IDS) + q * s[3], EXACT(j, KNN_VALUES) + q * s[3]);
    }
}
const Family family_knn = {.kernel = "knn",
                           .letters = "Q I D k itself",
                           .cases = knn_cases,
                           .count = COUNT(knn_cases),
                           .make = knn_make,
                           .call = knn_call,
                           .reference = knn_reference,
                           .tolerance = 1e-6};

/* ---- topk, topk_rows ------------------------------------------------------------------------- */

enum { BY_ROW = 1, WITH_BIAS = 2, WITH_EXCLUDE = 4, HEAVY_EXCLUDE = 8 };
/* bench: evaluation on movielens-1m */
static const Case topk_cases[] = {
    CASE(0, 9, 4, 3, 0),       CASE(3, 0, 4, 3, 0),       CASE(3, 9, 4, 0, 0),          CASE(5, 9, 4, 3, 0),
    CASE(5, 9, 4, 9, 7),       CASE(50, 100, 8, 10, 7),   CASE(100, 3000, 16, 50, 6),   CASE(44, 2100, 16, 20, 15),
    CASE(60, 900, 16, 200, 5), CASE(90, 4100, 3, 50, 15), TIMED(6040, 3260, 64, 50, 4), TIMED(6040, 3260, 64, 20, 0),
};
enum { TK_USERS, TK_ROW, TK_ITEMS, TK_BIAS, TK_START, TK_ITEM, TK_IDS, TK_SCORES, TK_SCRATCH };
static int64_t users_of(const int64_t *s)
{
    return s[4] & BY_ROW ? s[0] + 3 : s[0];
}
/* Buffers start and item: for each of `lists` users some ascending items below I. */
static void make_exclude(Job *j, int64_t lists, int64_t I, int64_t flags)
{
    int64_t *start = case_i64(j, "start", IN, lists + 1);
    const int64_t most = I == 0 || !(flags & WITH_EXCLUDE) ? 0 : flags & HEAVY_EXCLUDE ? I : I / 4;
    for (int64_t u = 0, n = 0; j->ok && u <= lists; u++) {
        start[u] = n;
        n += (int64_t)(case_uniform(j, (uint64_t)u) * (double)most);
    }
    int32_t *item = case_i32(j, "item", IN, j->ok ? start[lists] : 0);
    for (int64_t u = 0; j->ok && u < lists; u++) {
        const int64_t many = start[u + 1] - start[u];
        for (int64_t i = 0; i < many; i++)
            item[start[u] + i] = (int32_t)(i * I / many);
    }
}
static void topk_make(Job *j, const int64_t *s)
{
    case_f32(j, "users", IN, users_of(s) * s[2]);
    coarse_values(j, TK_USERS);
    int32_t *row = case_i32(j, "row", IN, s[0]);
    for (int64_t b = 0; j->ok && b < s[0]; b++)
        row[b] = (int32_t)((b * 7 + 2) % users_of(s));
    case_f32(j, "items", IN, s[1] * s[2]);
    coarse_values(j, TK_ITEMS);
    case_f32(j, "bias", IN, s[1]);
    coarse_values(j, TK_BIAS);
    make_exclude(j, users_of(s), s[1], s[4]);
    case_i32(j, "ids", OUT, s[0] * s[3]);
    case_f32(j, "scores", OUT, s[0] * s[3]);
    case_f32(j, "scratch", IN, s[1]);
    case_work(j, j->k->topk_work(s[0], s[1], s[2], j->threads));
    j->flops = 2.0 * (double)s[0] * (double)s[1] * (double)s[2];
    j->bytes = (double)(s[0] + s[1]) * (double)s[2] * 4;
}
static Exclude exclude_of(const Job *j, int64_t flags, int start, const int32_t *row)
{
    return (Exclude){flags & WITH_EXCLUDE ? I64(j, start) : NULL, I32(j, start + 1), flags & BY_ROW ? row : NULL};
}
static void topk_call(Job *j, const int64_t *s)
{
    const Exclude x = exclude_of(j, s[4], TK_START, I32(j, TK_ROW));
    j->k->topk(&j->run, s[0], s[1], s[2], s[3], F32(j, TK_USERS), s[4] & BY_ROW ? I32(j, TK_ROW) : NULL,
               F32(j, TK_ITEMS), s[4] & WITH_BIAS ? F32(j, TK_BIAS) : NULL, s[4] & WITH_EXCLUDE ? &x : NULL,
               I32(j, TK_IDS), F32(j, TK_SCORES));
}
static void leave_out(const Job *j, int64_t flags, int start, int64_t list, double *score)
{
    for (int64_t e = I64(j, start)[list]; flags & WITH_EXCLUDE && e < I64(j, start)[list + 1]; e++)
        score[I32(j, start + 1)[e]] = -INFINITY;
}
static void topk_reference(Job *j, const int64_t *s)
{
    double *score = EXACT(j, TK_SCRATCH);
    for (int64_t b = 0; b < s[0]; b++) {
        const int64_t u = s[4] & BY_ROW ? I32(j, TK_ROW)[b] : b;
        for (int64_t i = 0; i < s[1]; i++) {
            score[i] = s[4] & WITH_BIAS ? EXACT(j, TK_BIAS)[i] : 0;
            for (int64_t d = 0; d < s[2]; d++)
                score[i] += EXACT(j, TK_USERS)[u * s[2] + d] * EXACT(j, TK_ITEMS)[i * s[2] + d];
        }
        leave_out(j, s[4], TK_START, u, score);
        best_of(score, s[1], s[3], WANT(j, TK_IDS) + b * s[3], EXACT(j, TK_SCORES) + b * s[3]);
    }
}
const Family family_topk = {.kernel = "topk",
                            .letters = "B I D k flags",
                            .cases = topk_cases,
                            .count = COUNT(topk_cases),
                            .make = topk_make,
                            .call = topk_call,
                            .reference = topk_reference,
                            .tolerance = 1e-6};

static const Case topk_rows_cases[] = {CASE(0, 9, 3, 0),      CASE(3, 0, 3, 0),        CASE(3, 9, 0, 0),
                                       CASE(5, 9, 9, 4),      CASE(50, 100, 10, 5),    CASE(40, 3000, 20, 4),
                                       CASE(40, 3000, 20, 0), CASE(33, 2100, 100, 12), TIMED(1000, 7050, 50, 0)};
enum { TR_SCORES, TR_ROW, TR_START, TR_ITEM, TR_IDS, TR_VALUES, TR_SCRATCH };
static void topk_rows_make(Job *j, const int64_t *s)
{
    case_f32(j, "scores", IN, s[0] * s[1]);
    for (int64_t i = 0; j->ok && i < s[0] * s[1]; i++) { /* exact ties, and some that are never kept */
        const double x = EXACT(j, TR_SCORES)[i];
        F32(j, TR_SCORES)
        [i] = i % 13 == 4 ? -INFINITY : i % 101 == 7 ? NAN : i % 2 ? (float)x : (float)floor(64 * x) / 64;
    }
    case_set(j, TR_SCORES);
    int32_t *row = case_i32(j, "row", IN, s[0]);
    for (int64_t b = 0; j->ok && b < s[0]; b++)
        row[b] = (int32_t)((b * 7 + 2) % (s[0] + 3));
    make_exclude(j, s[0] + 3, s[1], s[3]);
    case_i32(j, "ids", OUT, s[0] * s[2]);
    case_f32(j, "values", OUT, s[0] * s[2]);
    case_f32(j, "scratch", IN, s[1]);
    j->flops = (double)(s[0] * s[1]);
    j->bytes = (double)(s[0] * s[1]) * 4;
}
static void topk_rows_call(Job *j, const int64_t *s)
{
    const Exclude x = exclude_of(j, s[3], TR_START, I32(j, TR_ROW));
    j->k->topk_rows(&j->run, s[0], s[1], s[2], F32(j, TR_SCORES), s[3] & WITH_EXCLUDE ? &x : NULL, I32(j, TR_IDS),
                    F32(j, TR_VALUES));
}
static void topk_rows_reference(Job *j, const int64_t *s)
{
    double *score = EXACT(j, TR_SCRATCH);
    for (int64_t b = 0; b < s[0]; b++) {
        memcpy(score, EXACT(j, TR_SCORES) + b * s[1], (size_t)s[1] * sizeof(double));
        leave_out(j, s[3], TR_START, s[3] & BY_ROW ? I32(j, TR_ROW)[b] : b, score);
        best_of(score, s[1], s[2], WANT(j, TR_IDS) + b * s[2], EXACT(j, TR_VALUES) + b * s[2]);
    }
}
const Family family_topk_rows = {.kernel = "topk_rows",
                                 .letters = "B I k flags",
                                 .cases = topk_rows_cases,
                                 .count = COUNT(topk_rows_cases),
                                 .make = topk_rows_make,
                                 .call = topk_rows_call,
                                 .reference = topk_rows_reference,
                                 .tolerance = 1e-6};
