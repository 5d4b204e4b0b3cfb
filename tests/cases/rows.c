/* tests/cases/rows.c: Cases of kernels/cpu/gather.c. */
#include <math.h>

#include "tests/kernel_cases.h"

/* ---- gather ---------------------------------------------------------------------------------- */

static const Case gather_cases[] = {CASE(0, 8, 5, 0),        CASE(5, 0, 5, 0),      CASE(7, 3, 4, 0),
                                    CASE(7, 3, 4, 1),        CASE(1000, 67, 50, 0), CASE(900, 33, 50, 3),
                                    TIMED(6144, 64, 9300, 0)};
static void gather_make(Job *j, const int64_t *s)
{
    case_f32(j, "table", IN, s[2] * s[1]);
    int32_t *ids = case_i32(j, "ids", IN, s[0]);
    for (int64_t i = 0; j->ok && i < s[0]; i++)
        ids[i] = i % 7 == 5 ? -1 : (int32_t)case_draw(j, (uint64_t)i, (uint32_t)s[2]);
    case_f32(j, "y", s[3] ? INOUT : OUT, s[0] * s[1]);
    j->bytes = (double)(s[0] * s[1]) * 8;
}
static void gather_call(Job *j, const int64_t *s)
{
    j->k->gather(&j->run, s[0], s[1], F32(j, 0), I32(j, 1), 0.5f * (float)s[3], F32(j, 2));
}
static void gather_reference(Job *j, const int64_t *s)
{
    for (int64_t i = 0; i < s[0]; i++) {
        for (int64_t d = 0; d < s[1]; d++) {
            double *y = &EXACT(j, 2)[i * s[1] + d];
            *y = (I32(j, 1)[i] < 0 ? 0 : EXACT(j, 0)[I32(j, 1)[i] * s[1] + d]) + (s[3] ? 0.5 * (double)s[3] * *y : 0);
        }
    }
}
const Family family_gather = {.kernel = "gather",
                              .letters = "n D rows 2beta",
                              .cases = gather_cases,
                              .count = COUNT(gather_cases),
                              .make = gather_make,
                              .call = gather_call,
                              .reference = gather_reference,
                              .tolerance = 1e-6};

/* ---- segment_sum: about `mean` rows a segment, some none; with order and to where asked ------ */

static const Case segment_sum_cases[] = {CASE(0, 8, 2, 1, 0),     CASE(5, 0, 2, 1, 0),     CASE(5, 3, 2, 0, 0),
                                         CASE(5, 7, 3, 1, 1),     CASE(40, 64, 5, 1, 2),   CASE(300, 67, 9, 1, 0),
                                         CASE(300, 130, 9, 0, 1), TIMED(3000, 64, 2, 1, 0)};
enum { SEG_START, SEG_ORDER, SEG_TO, SEG_X, SEG_Y };
static void segment_sum_make(Job *j, const int64_t *s)
{
    int64_t *start = case_i64(j, "start", IN, s[0] + 1), n = 0;
    for (int64_t i = 0; j->ok && i <= s[0]; i++) {
        start[i] = n;
        n += case_draw(j, (uint64_t)i, (uint32_t)(2 * s[2] + 1));
    }
    n = j->ok ? start[s[0]] : 0;
    int32_t *order = case_i32(j, "order", IN, n), *to = case_i32(j, "to", IN, s[0]);
    for (int64_t i = 0; j->ok && i < n; i++)
        order[i] = (int32_t)(n - 1 - i);
    for (int64_t i = 0; j->ok && i < s[0]; i++)
        to[i] = (int32_t)(s[0] - 1 - i);
    case_f32(j, "x", IN, n * s[1]);
    case_f32(j, "y", s[4] ? INOUT : OUT, s[0] * s[1]);
    j->flops = (double)(n * s[1]);
    j->bytes = (double)(n + s[0]) * (double)s[1] * 4;
}
static void segment_sum_call(Job *j, const int64_t *s)
{
    j->k->segment_sum(&j->run, s[0], s[1], I64(j, SEG_START), s[3] ? I32(j, SEG_ORDER) : NULL,
                      s[3] ? I32(j, SEG_TO) : NULL, F32(j, SEG_X), 0.5f, (float)s[4], F32(j, SEG_Y));
}
static void segment_sum_reference(Job *j, const int64_t *s)
{
    for (int64_t seg = 0; seg < s[0]; seg++) {
        for (int64_t d = 0; d < s[1]; d++) {
            double sum = 0, *y = &EXACT(j, SEG_Y)[(s[3] ? I32(j, SEG_TO)[seg] : seg) * s[1] + d];
            for (int64_t i = I64(j, SEG_START)[seg]; i < I64(j, SEG_START)[seg + 1]; i++)
                sum += EXACT(j, SEG_X)[(s[3] ? I32(j, SEG_ORDER)[i] : i) * s[1] + d];
            *y = 0.5 * sum + (s[4] ? (double)s[4] * *y : 0);
        }
    }
}
const Family family_segment_sum = {.kernel = "segment_sum",
                                   .letters = "S D mean order beta",
                                   .cases = segment_sum_cases,
                                   .count = COUNT(segment_sum_cases),
                                   .make = segment_sum_make,
                                   .call = segment_sum_call,
                                   .reference = segment_sum_reference};

/* ---- segment_pool, segment_pool_back --------------------------------------------------------- */

static const Case segment_pool_cases[] = {
    CASE(0, 8, REDUCE_SUM),   CASE(3, 0, REDUCE_MEAN),   CASE(5, 7, REDUCE_SUM),
    CASE(5, 7, REDUCE_MEAN),  CASE(5, 7, REDUCE_MAX),    CASE(5, 7, REDUCE_FIRST),
    CASE(60, 67, REDUCE_MAX), CASE(60, 67, REDUCE_MEAN), TIMED(32, 384, REDUCE_MEAN)};
enum { POOL_OFFSETS, POOL_X, POOL_Y, POOL_ARG };
static int64_t make_offsets(Job *j, int64_t B)
{
    int32_t *offsets = case_i32(j, "offsets", IN, B + 1), n = 0;
    for (int64_t b = 0; j->ok && b <= B; b++) {
        offsets[b] = n;
        n += (int32_t)case_draw(j, (uint64_t)b, 12);
    }
    return j->ok ? offsets[B] : 0;
}
static void segment_pool_make(Job *j, const int64_t *s)
{
    const int64_t T = make_offsets(j, s[0]);
    float *x = case_f32(j, "x", IN, T * s[1]);
    for (int64_t i = 0; j->ok && s[2] == REDUCE_MAX && i < T * s[1]; i++)
        x[i] = (float)(int)(4 * x[i]); /* ties */
    case_set(j, POOL_X);
    case_f32(j, "y", OUT, s[0] * s[1]);
    case_i32(j, "arg", s[2] == REDUCE_MAX ? OUT : IN, s[0] * s[1]);
    j->flops = (double)(T * s[1]);
    j->bytes = (double)(T + s[0]) * (double)s[1] * 4;
}
static void segment_pool_call(Job *j, const int64_t *s)
{
    j->k->segment_pool(&j->run, s[0], s[1], I32(j, POOL_OFFSETS), (Reduce)s[2], F32(j, POOL_X), F32(j, POOL_Y),
                       s[2] == REDUCE_MAX ? I32(j, POOL_ARG) : NULL);
}
static double pool_of(const Job *j, const int64_t *s, int64_t b, int64_t d, int32_t *arg)
{
    const int32_t first = I32(j, POOL_OFFSETS)[b], last = I32(j, POOL_OFFSETS)[b + 1];
    const double *x = EXACT(j, POOL_X);
    double y = 0;
    *arg = first < last ? first : -1;
    for (int32_t r = first; r < last; r++) {
        if (s[2] == REDUCE_MAX && x[r * s[1] + d] > x[*arg * s[1] + d])
            *arg = r;
        y += x[r * s[1] + d];
    }
    return first == last ? 0 : s[2] == REDUCE_SUM ? y : s[2] == REDUCE_MEAN ? y / (last - first) : x[*arg * s[1] + d];
}
static void segment_pool_reference(Job *j, const int64_t *s)
{
    for (int64_t i = 0; i < s[0] * s[1]; i++)
        EXACT(j, POOL_Y)[i] = pool_of(j, s, i / s[1], i % s[1], &WANT(j, POOL_ARG)[i]);
}
const Family family_segment_pool = {.kernel = "segment_pool",
                                    .letters = "B D how",
                                    .cases = segment_pool_cases,
                                    .count = COUNT(segment_pool_cases),
                                    .make = segment_pool_make,
                                    .call = segment_pool_call,
                                    .reference = segment_pool_reference};

static const Case segment_pool_back_cases[] = {CASE(0, 8, REDUCE_SUM),   CASE(5, 7, REDUCE_SUM),
                                               CASE(5, 7, REDUCE_MEAN),  CASE(5, 7, REDUCE_MAX),
                                               CASE(5, 7, REDUCE_FIRST), CASE(40, 33, REDUCE_MEAN)};
enum { PB_DY = 2, PB_ARG, PB_DX };
static void segment_pool_back_make(Job *j, const int64_t *s)
{
    const int64_t T = make_offsets(j, s[0]);
    case_f32(j, "x", IN, T * s[1]);
    case_f32(j, "dy", IN, s[0] * s[1]);
    int32_t *arg = case_i32(j, "arg", IN, s[0] * s[1]);
    case_f32(j, "dx", OUT, T * s[1]);
    for (int64_t i = 0; j->ok && i < s[0] * s[1]; i++)
        pool_of(j, s, i / s[1], i % s[1], &arg[i]);
}
static void segment_pool_back_call(Job *j, const int64_t *s)
{
    j->k->segment_pool_back(&j->run, s[0], s[1], I32(j, POOL_OFFSETS), (Reduce)s[2],
                            s[2] == REDUCE_MAX ? I32(j, PB_ARG) : NULL, F32(j, PB_DY), F32(j, PB_DX));
}
static double segment_pool_back_loss(const Job *j, const int64_t *s)
{
    double loss = 0;
    for (int64_t i = 0; i < s[0] * s[1]; i++) {
        int32_t arg;
        loss += EXACT(j, PB_DY)[i] * pool_of(j, s, i / s[1], i % s[1], &arg);
    }
    return loss;
}
const Family family_segment_pool_back = {.kernel = "segment_pool_back",
                                         .letters = "B D how",
                                         .cases = segment_pool_back_cases,
                                         .count = COUNT(segment_pool_back_cases),
                                         .make = segment_pool_back_make,
                                         .call = segment_pool_back_call,
                                         .loss = segment_pool_back_loss,
                                         .by = {{POOL_X, PB_DX}},
                                         .by_count = 1};

/* ---- group_ids ------------------------------------------------------------------------------- */

static const Case group_ids_cases[] = {
    CASE(0, 1),       CASE(1, 1), CASE(50, 1), CASE(7, 100), CASE(1000, 30), CASE(3000, 5000), CASE(5000, 2000000000),
    TIMED(6144, 9300)};
enum { GR_IDS, GR_UNIQUE, GR_START, GR_ORDER, GR_COUNT };
static void group_ids_make(Job *j, const int64_t *s)
{
    int32_t *ids = case_i32(j, "ids", IN, s[0]);
    for (int64_t i = 0; j->ok && i < s[0]; i++)
        ids[i] = (int32_t)case_draw(j, (uint64_t)i, (uint32_t)s[1]);
    case_i32(j, "unique", OUT, s[0]);
    case_i64(j, "start", OUT, s[0] + 1);
    case_i32(j, "order", OUT, s[0]);
    case_i32(j, "count", OUT, 1);
    case_i32(j, "scratch", WORK, 4 * s[0]);
    j->bytes = (double)s[0] * 4;
}
static void group_ids_call(Job *j, const int64_t *s)
{
    int64_t groups = j->k->group_ids(&j->run, s[0], I32(j, GR_IDS), I32(j, GR_UNIQUE), I64(j, GR_START),
                                     I32(j, GR_ORDER), I32(j, 5));
    I32(j, GR_COUNT)[0] = (int32_t)groups;
    for (int64_t i = groups; i < s[0]; i++) { /* what follows the groups means nothing */
        I32(j, GR_UNIQUE)[i] = -1;
        I64(j, GR_START)[i + 1] = -1;
    }
}
static void group_ids_reference(Job *j, const int64_t *s)
{
    const int32_t *ids = I32(j, GR_IDS);
    int64_t groups = 0, placed = 0;
    for (int64_t smallest = -1;;) {
        int64_t next = INT64_MAX;
        for (int64_t i = 0; i < s[0]; i++)
            next = ids[i] > smallest ? MIN(next, ids[i]) : next;
        if (next == INT64_MAX)
            break;
        smallest = next;
        WANT(j, GR_UNIQUE)[groups] = (int32_t)next;
        WANT(j, GR_START)[groups++] = (int32_t)placed;
        for (int64_t i = 0; i < s[0]; i++) {
            if (ids[i] == next)
                WANT(j, GR_ORDER)[placed++] = (int32_t)i;
        }
    }
    WANT(j, GR_START)[groups] = (int32_t)s[0];
    WANT(j, GR_COUNT)[0] = (int32_t)groups;
    for (int64_t i = groups; i < s[0]; i++) {
        WANT(j, GR_UNIQUE)[i] = -1;
        WANT(j, GR_START)[i + 1] = -1;
    }
}
const Family family_group_ids = {.kernel = "group_ids",
                                 .letters = "n below",
                                 .cases = group_ids_cases,
                                 .count = COUNT(group_ids_cases),
                                 .make = group_ids_make,
                                 .call = group_ids_call,
                                 .reference = group_ids_reference};
