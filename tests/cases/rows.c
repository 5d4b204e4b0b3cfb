/* tests/cases/rows.c: cases of kernels/cpu/gather.c. */
#include <math.h>

#include "tests/kernel_cases.h"

/* ---- gather ---------------------------------------------------------------------------------- */

static const Case gather_cases[] = {CASE(0, 8, 5, 0),           CASE(5, 0, 5, 0),        CASE(7, 3, 4, 0),
                                    CASE(7, 3, 4, 1),           CASE(1000, 67, 50, 0),   CASE(900, 33, 50, 3),
                                    CASE(20, 200, 9, 1),        CASE(7, 3, 4, 0, F16),   CASE(1000, 67, 50, 0, F16),
                                    CASE(900, 32, 50, 3, F16),  CASE(7, 3, 4, 1, BF16),  CASE(1000, 67, 50, 0, BF16),
                                    CASE(900, 32, 50, 3, BF16), TIMED(6144, 64, 9300, 0)};
enum { GATHER_TABLE, GATHER_IDS, GATHER_Y, GATHER_NARROW };
static void gather_make(Job *j, const Case *s)
{
    float *table = case_f32(j, "table", ROLE_IN, s->n[2] * s->n[1]);
    int32_t *ids = case_i32(j, "ids", ROLE_IN, s->n[0]);
    for (int64_t i = 0; j->ok && i < s->n[0]; i++)
        ids[i] = i % 7 == 5 ? -1 : (int32_t)case_draw(j, (uint64_t)i, (uint32_t)s->n[2]);
    case_f32(j, "y", s->n[3] ? ROLE_INOUT : ROLE_OUT, s->n[0] * s->n[1]);
    const DType type = (DType)s->n[4];
    const int64_t count = type == F32 ? 0 : s->n[2] * s->n[1];
    uint16_t *narrow = case_bytes(j, "narrow", ROLE_IN, (size_t)count * sizeof *narrow);
    for (int64_t i = 0; j->ok && i < count; i++)
        table[i] = case_narrow(type, table[i], &narrow[i]);
    if (j->ok && count)
        case_set(j, GATHER_TABLE);
    j->bytes = (double)(s->n[0] * s->n[1]) * 8;
}
static void gather_call(Job *j, const Case *s)
{
    /* MINIMAL supports F32 only */
    const DType type = j->k->supports("gather", "table", (DType)s->n[4]) ? (DType)s->n[4] : F32;
    j->k->gather(&j->run, s->n[0], s->n[1], type, device_of(j, type == F32 ? GATHER_TABLE : GATHER_NARROW),
                 i32_of(j, GATHER_IDS), 0.5f * (float)s->n[3], f32_of(j, GATHER_Y));
}
static void gather_reference(Job *j, const Case *s)
{
    for (int64_t i = 0; i < s->n[0]; i++) {
        for (int64_t d = 0; d < s->n[1]; d++) {
            double *y = &exact_of(j, 2)[i * s->n[1] + d];
            *y = (host_i32(j, 1)[i] < 0 ? 0 : exact_of(j, 0)[host_i32(j, 1)[i] * s->n[1] + d]) +
                 (s->n[3] ? 0.5 * (double)s->n[3] * *y : 0);
        }
    }
}
const Family family_gather = {.kernel = "gather",
                              .names = "n D rows 2beta type",
                              .cases = gather_cases,
                              .count = COUNT(gather_cases),
                              .make = gather_make,
                              .call = gather_call,
                              .reference = gather_reference,
                              .tolerance = 1e-6};

/* ---- segment_sum: about `mean` rows per segment; with order 1, `order` and `to` are not NULL ---- */

static const Case segment_sum_cases[] = {
    {.segment_sum = {.S = 0, .D = 8, .mean = 2, .order = 1}},
    {.segment_sum = {.S = 5, .D = 0, .mean = 2, .order = 1}},
    {.segment_sum = {.S = 5, .D = 3, .mean = 2}},
    {.segment_sum = {.S = 5, .D = 7, .mean = 3, .order = 1, .beta = 1}},
    {.segment_sum = {.S = 40, .D = 64, .mean = 5, .order = 1, .beta = 2}},
    {.segment_sum = {.S = 300, .D = 67, .mean = 9, .order = 1}},
    {.segment_sum = {.S = 300, .D = 130, .mean = 9, .beta = 1}},
    {.segment_sum = {.S = 3000, .D = 64, .mean = 2, .order = 1}, .timed = true},
};
enum { SEG_START, SEG_ORDER, SEG_TO, SEG_X, SEG_Y };
static void segment_sum_make(Job *j, const Case *s)
{
    int64_t *start = case_i64(j, "start", ROLE_IN, s->segment_sum.S + 1), n = 0;
    for (int64_t i = 0; j->ok && i <= s->segment_sum.S; i++) {
        start[i] = n;
        n += case_draw(j, (uint64_t)i, (uint32_t)(2 * s->segment_sum.mean + 1));
    }
    n = j->ok ? start[s->segment_sum.S] : 0;
    int32_t *order = case_i32(j, "order", ROLE_IN, n), *to = case_i32(j, "to", ROLE_IN, s->segment_sum.S);
    for (int64_t i = 0; j->ok && i < n; i++)
        order[i] = (int32_t)(n - 1 - i);
    for (int64_t i = 0; j->ok && i < s->segment_sum.S; i++)
        to[i] = (int32_t)(s->segment_sum.S - 1 - i);
    case_f32(j, "x", ROLE_IN, n * s->segment_sum.D);
    case_f32(j, "y", s->segment_sum.beta ? ROLE_INOUT : ROLE_OUT, s->segment_sum.S * s->segment_sum.D);
    j->flops = (double)(n * s->segment_sum.D);
    j->bytes = (double)(n + s->segment_sum.S) * (double)s->segment_sum.D * 4;
}
static void segment_sum_call(Job *j, const Case *s)
{
    j->k->segment_sum(&j->run, s->segment_sum.S, s->segment_sum.D, i64_of(j, SEG_START),
                      s->segment_sum.order ? i32_of(j, SEG_ORDER) : NULL,
                      s->segment_sum.order ? i32_of(j, SEG_TO) : NULL, F32, f32_of(j, SEG_X), 0.5f,
                      (float)s->segment_sum.beta, f32_of(j, SEG_Y));
}
static void segment_sum_reference(Job *j, const Case *s)
{
    for (int64_t seg = 0; seg < s->segment_sum.S; seg++) {
        for (int64_t d = 0; d < s->segment_sum.D; d++) {
            double sum = 0,
                   *y = &exact_of(
                       j, SEG_Y)[(s->segment_sum.order ? host_i32(j, SEG_TO)[seg] : seg) * s->segment_sum.D + d];
            for (int64_t i = host_i64(j, SEG_START)[seg]; i < host_i64(j, SEG_START)[seg + 1]; i++)
                sum +=
                    exact_of(j, SEG_X)[(s->segment_sum.order ? host_i32(j, SEG_ORDER)[i] : i) * s->segment_sum.D + d];
            *y = 0.5 * sum + (s->segment_sum.beta ? (double)s->segment_sum.beta * *y : 0);
        }
    }
}
const Family family_segment_sum = {.kernel = "segment_sum",
                                   .names = "S D mean order beta",
                                   .cases = segment_sum_cases,
                                   .count = COUNT(segment_sum_cases),
                                   .make = segment_sum_make,
                                   .call = segment_sum_call,
                                   .reference = segment_sum_reference};

/* ---- segment_pool, segment_pool_back --------------------------------------------------------- */

static const Case segment_pool_cases[] = {
    CASE(0, 8, REDUCE_SUM),        CASE(3, 0, REDUCE_MEAN),      CASE(5, 7, REDUCE_SUM),     CASE(5, 7, REDUCE_MEAN),
    CASE(5, 7, REDUCE_MAX),        CASE(5, 7, REDUCE_FIRST),     CASE(60, 67, REDUCE_MAX),   CASE(60, 67, REDUCE_MEAN),
    CASE(3, 132, REDUCE_MEAN, 60), CASE(3, 132, REDUCE_MAX, 60), TIMED(32, 384, REDUCE_MEAN)};
enum { POOL_OFFSETS, POOL_X, POOL_Y, POOL_ARG };
/* Makes the offsets of B segments, each with fewer than `longest` rows (0: fewer than 12). Returns the number of all
 * rows. */
static int64_t make_offsets(Job *j, int64_t B, int64_t longest)
{
    int32_t *offsets = case_i32(j, "offsets", ROLE_IN, B + 1), n = 0;
    for (int64_t b = 0; j->ok && b <= B; b++) {
        offsets[b] = n;
        n += (int32_t)case_draw(j, (uint64_t)b, longest > 0 ? (uint32_t)longest : 12);
    }
    return j->ok ? offsets[B] : 0;
}
static void segment_pool_make(Job *j, const Case *s)
{
    const int64_t T = make_offsets(j, s->n[0], s->n[3]);
    float *x = case_f32(j, "x", ROLE_IN, T * s->n[1]);
    for (int64_t i = 0; j->ok && s->n[2] == REDUCE_MAX && i < T * s->n[1]; i++)
        x[i] = (float)(int)(4 * x[i]); /* ties */
    case_set(j, POOL_X);
    case_f32(j, "y", ROLE_OUT, s->n[0] * s->n[1]);
    case_i32(j, "arg", s->n[2] == REDUCE_MAX ? ROLE_OUT : ROLE_IN, s->n[0] * s->n[1]);
    j->flops = (double)(T * s->n[1]);
    j->bytes = (double)(T + s->n[0]) * (double)s->n[1] * 4;
}
static void segment_pool_call(Job *j, const Case *s)
{
    j->k->segment_pool(&j->run, s->n[0], s->n[1], i32_of(j, POOL_OFFSETS), (Reduce)s->n[2], f32_of(j, POOL_X),
                       f32_of(j, POOL_Y), s->n[2] == REDUCE_MAX ? i32_of(j, POOL_ARG) : NULL);
}
/* Returns the reduced number of segment b and column d. *arg: the row of the maximum; for other reductions the first
 * row; -1 if the segment is empty. */
static double pool_of(const Job *j, const Case *s, int64_t b, int64_t d, int32_t *arg)
{
    const int32_t first = host_i32(j, POOL_OFFSETS)[b], last = host_i32(j, POOL_OFFSETS)[b + 1];
    const double *x = exact_of(j, POOL_X);
    double y = 0;
    *arg = first < last ? first : -1;
    for (int32_t r = first; r < last; r++) {
        if (s->n[2] == REDUCE_MAX && x[r * s->n[1] + d] > x[*arg * s->n[1] + d])
            *arg = r;
        y += x[r * s->n[1] + d];
    }
    return first == last            ? 0
           : s->n[2] == REDUCE_SUM  ? y
           : s->n[2] == REDUCE_MEAN ? y / (last - first)
                                    : x[*arg * s->n[1] + d];
}
static void segment_pool_reference(Job *j, const Case *s)
{
    for (int64_t i = 0; i < s->n[0] * s->n[1]; i++)
        exact_of(j, POOL_Y)[i] = pool_of(j, s, i / s->n[1], i % s->n[1], &expected_of(j, POOL_ARG)[i]);
}
const Family family_segment_pool = {.kernel = "segment_pool",
                                    .names = "B D how longest",
                                    .cases = segment_pool_cases,
                                    .count = COUNT(segment_pool_cases),
                                    .make = segment_pool_make,
                                    .call = segment_pool_call,
                                    .reference = segment_pool_reference,
                                    .optional = {3},
                                    .optional_count = 1};

static const Case segment_pool_back_cases[] = {
    CASE(0, 8, REDUCE_SUM),   CASE(5, 7, REDUCE_SUM),    CASE(5, 7, REDUCE_MEAN),     CASE(5, 7, REDUCE_MAX),
    CASE(5, 7, REDUCE_FIRST), CASE(40, 33, REDUCE_MEAN), CASE(3, 132, REDUCE_MAX, 60)};
enum { PB_DY = 2, PB_ARG, PB_DX };
static void segment_pool_back_make(Job *j, const Case *s)
{
    const int64_t T = make_offsets(j, s->n[0], s->n[3]);
    case_f32(j, "x", ROLE_IN, T * s->n[1]);
    case_f32(j, "dy", ROLE_IN, s->n[0] * s->n[1]);
    int32_t *arg = case_i32(j, "arg", ROLE_IN, s->n[0] * s->n[1]);
    case_f32(j, "dx", ROLE_OUT, T * s->n[1]);
    for (int64_t i = 0; j->ok && i < s->n[0] * s->n[1]; i++)
        pool_of(j, s, i / s->n[1], i % s->n[1], &arg[i]);
}
static void segment_pool_back_call(Job *j, const Case *s)
{
    j->k->segment_pool_back(&j->run, s->n[0], s->n[1], i32_of(j, POOL_OFFSETS), (Reduce)s->n[2],
                            s->n[2] == REDUCE_MAX ? i32_of(j, PB_ARG) : NULL, f32_of(j, PB_DY), f32_of(j, PB_DX));
}
static double segment_pool_back_loss(const Job *j, const Case *s)
{
    double loss = 0;
    for (int64_t i = 0; i < s->n[0] * s->n[1]; i++) {
        int32_t arg;
        loss += exact_of(j, PB_DY)[i] * pool_of(j, s, i / s->n[1], i % s->n[1], &arg);
    }
    return loss;
}
const Family family_segment_pool_back = {.kernel = "segment_pool_back",
                                         .names = "B D how longest",
                                         .cases = segment_pool_back_cases,
                                         .count = COUNT(segment_pool_back_cases),
                                         .make = segment_pool_back_make,
                                         .call = segment_pool_back_call,
                                         .loss = segment_pool_back_loss,
                                         .by = {{POOL_X, PB_DX}},
                                         .by_count = 1};
