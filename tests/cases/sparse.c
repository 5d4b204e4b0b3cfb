/* tests/cases/sparse.c: Cases of kernels/cpu/sparse.c. Rows have from none to many entries, one row most of them: what
 * a graph of users and items looks like. */
#include <math.h>
#include <stdlib.h>

#include "tests/kernel_cases.h"

enum { A_START, A_COL, A_VAL, A_AT, A_ROW_SCALE, A_COL_SCALE, A_COUNT };
enum { HAS_VAL = 1, HAS_AT = 2, HAS_ROW_SCALE = 4, HAS_COL_SCALE = 8 };

/* About `mean` entries a row: buffers 0 .. A_COUNT-1. Returns how many entries. */
static int64_t make_graph(Job *j, int64_t rows, int64_t cols, int64_t mean)
{
    int64_t *start = case_i64(j, "start", IN, rows + 1);
    for (int64_t r = 0, n = 0; j->ok && r <= rows; r++) { /* squares of a uniform draw: many small rows, few large */
        const double u = case_uniform(j, (uint64_t)r);
        start[r] = n;
        n += MIN(cols, r == rows / 2 ? cols : (int64_t)(u * u * 3 * (double)mean));
    }
    const int64_t E = j->ok ? start[rows] : 0;
    int32_t *col = case_i32(j, "col", IN, E);
    /* ascending: `many` of `cols` by an even stride and a draw inside it */
    for (int64_t r = 0; j->ok && r < rows; r++) {
        const int64_t many = start[r + 1] - start[r];
        for (int64_t i = 0; i < many; i++) {
            const int64_t low = i * cols / many, high = (i + 1) * cols / many;
            col[start[r] + i] = (int32_t)(low + case_draw(j, (uint64_t)(start[r] + i), (uint32_t)(high - low)));
        }
    }
    case_f32(j, "val", IN, E);
    int32_t *at = case_i32(j, "at", IN, E);
    for (int64_t e = 0; j->ok && e < E; e++)
        at[e] = (int32_t)(E - 1 - e);
    case_f32(j, "row_scale", IN, rows);
    case_f32(j, "col_scale", IN, cols);
    return E;
}

static Sparse graph_of(const Job *j, int64_t rows, int64_t cols, int64_t has)
{
    return (Sparse){rows,
                    cols,
                    I64(j, A_START),
                    I32(j, A_COL),
                    has & HAS_VAL ? F32(j, A_VAL) : NULL,
                    has & HAS_AT ? I32(j, A_AT) : NULL,
                    has & HAS_ROW_SCALE ? F32(j, A_ROW_SCALE) : NULL,
                    has & HAS_COL_SCALE ? F32(j, A_COL_SCALE) : NULL};
}

static double value_of(const Job *j, int64_t has, int64_t r, int64_t e)
{
    return (has & HAS_VAL ? EXACT(j, A_VAL)[has & HAS_AT ? I32(j, A_AT)[e] : e] : 1) *
           (has & HAS_ROW_SCALE ? EXACT(j, A_ROW_SCALE)[r] : 1) *
           (has & HAS_COL_SCALE ? EXACT(j, A_COL_SCALE)[I32(j, A_COL)[e]] : 1);
}

/* ---- spmm: movielens-1m's shape is 9,300 rows with 172 entries on average -------------------- */

enum { SCALES = HAS_ROW_SCALE | HAS_COL_SCALE, ALL = 15 };
static const Case spmm_cases[] = {
    CASE(0, 5, 3, 64, 0, 0, 0),
    CASE(5, 5, 0, 0, 0, 0, 0),
    CASE(1, 1, 1, 1, SCALES, 0, 0),
    CASE(7, 9, 2, 3, HAS_VAL, 0, 0),
    CASE(50, 40, 6, 64, SCALES, 0, 0),
    CASE(50, 40, 6, 64, 0, 0, 1),
    CASE(50, 40, 6, 64, HAS_VAL, 3, 1),
    CASE(50, 40, 6, 64, HAS_VAL | HAS_AT, 0, 0),
    CASE(50, 40, 6, 128, ALL, 5, 2),
    CASE(50, 40, 6, 128, HAS_COL_SCALE, 0, 0),
    CASE(31, 300, 20, 100, SCALES, 1, 0),
    CASE(31, 300, 20, 33, ALL, 0, 1),
    CASE(31, 300, 20, 17, HAS_VAL | HAS_ROW_SCALE, 0, 0),
    CASE(700, 500, 12, 64, SCALES, 0, 0),
    CASE(700, 500, 12, 200, HAS_VAL, 0, 0),
    TIMED(9300, 9300, 172, 64, SCALES, 0, 0),
    TIMED(9300, 9300, 172, 64, HAS_VAL, 0, 0),
    TIMED(9300, 9300, 172, 128, SCALES, 0, 0),
};
enum { SP_X = A_COUNT, SP_Y };
static void spmm_make(Job *j, const int64_t *s)
{
    const int64_t E = make_graph(j, s[0], s[1], s[2]), D = s[3], pad = s[5];
    case_f32(j, "x", IN, s[1] > 0 ? s[1] * (D + pad) - pad : 0);
    case_f32(j, "y", s[6] || pad ? INOUT : OUT, s[0] > 0 ? s[0] * (D + pad) - pad : 0);
    j->flops = 2.0 * (double)(E * D);
    j->bytes = (double)E * 4 + (double)(s[0] + s[1]) * (double)D * 4;
}
static void spmm_call(Job *j, const int64_t *s)
{
    const Sparse A = graph_of(j, s[0], s[1], s[4]);
    j->k->spmm(&j->run, &A, s[3], F32(j, SP_X), s[3] + s[5], 0.75f, 0.5f * (float)s[6], F32(j, SP_Y), s[3] + s[5]);
}
static void spmm_reference(Job *j, const int64_t *s)
{
    const int64_t D = s[3], ld = D + s[5];
    for (int64_t r = 0; r < s[0]; r++) {
        for (int64_t d = 0; d < D; d++) {
            double sum = 0, *y = &EXACT(j, SP_Y)[r * ld + d];
            for (int64_t e = I64(j, A_START)[r]; e < I64(j, A_START)[r + 1]; e++)
                sum += value_of(j, s[4], r, e) * EXACT(j, SP_X)[I32(j, A_COL)[e] * ld + d];
            *y = 0.75 * sum + (s[6] ? 0.5 * (double)s[6] * *y : 0);
        }
    }
}
const Family family_spmm = {.kernel = "spmm",
                            .letters = "rows cols mean D has pad 2beta",
                            .cases = spmm_cases,
                            .count = COUNT(spmm_cases),
                            .make = spmm_make,
                            .call = spmm_call,
                            .reference = spmm_reference};

/* ---- sddmm: also the derivative of spmm's result by its values ------------------------------- */

static const Case sddmm_cases[] = {CASE(0, 5, 3, 64, 0, 0),
                                   CASE(7, 9, 2, 0, 0, 0),
                                   CASE(7, 9, 2, 3, 0, 0),
                                   CASE(50, 40, 6, 64, SCALES, 1),
                                   CASE(50, 40, 6, 64, HAS_VAL, 0),
                                   CASE(31, 300, 20, 100, HAS_COL_SCALE, 1),
                                   CASE(300, 500, 12, 128, SCALES, 0),
                                   TIMED(9300, 9300, 172, 64, SCALES, 0)};
enum { SD_X = A_COUNT, SD_Y, SD_OUT };
static void sddmm_make(Job *j, const int64_t *s)
{
    const int64_t E = make_graph(j, s[0], s[1], s[2]), D = s[3];
    case_f32(j, "x", IN, s[0] * D);
    case_f32(j, "y", IN, s[1] * D);
    case_f32(j, "out", s[5] ? INOUT : OUT, E);
    j->flops = 2.0 * (double)(E * D);
    j->bytes = (double)E * 8 + (double)(s[0] + s[1]) * (double)D * 4;
}
static void sddmm_call(Job *j, const int64_t *s)
{
    const Sparse A = graph_of(j, s[0], s[1], s[4]);
    j->k->sddmm(&j->run, &A, s[3], F32(j, SD_X), F32(j, SD_Y), 0.75f, (float)s[5], F32(j, SD_OUT));
}
static void sddmm_reference(Job *j, const int64_t *s)
{
    for (int64_t r = 0; r < s[0]; r++) {
        for (int64_t e = I64(j, A_START)[r]; e < I64(j, A_START)[r + 1]; e++) {
            double dot = 0, *out = &EXACT(j, SD_OUT)[e];
            for (int64_t d = 0; d < s[3]; d++) {
                dot += EXACT(j, SD_X)[r * s[3] + d] * EXACT(j, SD_Y)[I32(j, A_COL)[e] * s[3] + d];
            }
            *out = 0.75 * dot * value_of(j, s[4] & ~(int64_t)(HAS_VAL | HAS_AT), r, e) + (s[5] ? *out : 0);
        }
    }
}
static double sddmm_loss(const Job *j, const int64_t *s) /* 0.75 x . (A y), by A's values */
{
    double loss = 0;
    for (int64_t r = 0; r < s[0]; r++) {
        for (int64_t e = I64(j, A_START)[r]; e < I64(j, A_START)[r + 1]; e++) {
            double dot = 0;
            for (int64_t d = 0; d < s[3]; d++) {
                dot += EXACT(j, SD_X)[r * s[3] + d] * EXACT(j, SD_Y)[I32(j, A_COL)[e] * s[3] + d];
            }
            loss += 0.75 * value_of(j, (s[4] | HAS_VAL) & ~(int64_t)HAS_AT, r, e) * dot;
        }
    }
    return loss;
}
const Family family_sddmm = {.kernel = "sddmm",
                             .letters = "rows cols mean D has beta",
                             .cases = sddmm_cases,
                             .count = COUNT(sddmm_cases),
                             .make = sddmm_make,
                             .call = sddmm_call,
                             .reference = sddmm_reference,
                             .loss = sddmm_loss,
                             .by = {{A_VAL, SD_OUT}},
                             .by_count = 1};

/* ---- edge_softmax, edge_softmax_back --------------------------------------------------------- */

static const Case edge_cases[] = {CASE(0, 5, 3, 0), CASE(1, 1, 1, 0), CASE(7, 9, 2, 0), CASE(500, 300, 12, 0),
                                  TIMED(9300, 9300, 172, 0)};
enum { ED_X = A_COUNT, ED_Y, ED_DY, ED_DX };
static void softmax_entries(const Job *j, int64_t rows, const double *x, double *y)
{
    for (int64_t r = 0; r < rows; r++) {
        double sum = 0;
        for (int64_t e = I64(j, A_START)[r]; e < I64(j, A_START)[r + 1]; e++)
            sum += y[e] = exp(x[e]);
        for (int64_t e = I64(j, A_START)[r]; e < I64(j, A_START)[r + 1]; e++)
            y[e] /= sum;
    }
}
static void edge_softmax_make(Job *j, const int64_t *s)
{
    const int64_t E = make_graph(j, s[0], s[1], s[2]);
    case_f32(j, "x", IN, E);
    case_f32(j, "y", OUT, E);
    j->flops = (double)E * 12;
    j->bytes = (double)E * 8;
}
static void edge_softmax_call(Job *j, const int64_t *s)
{
    const Sparse A = graph_of(j, s[0], s[1], 0);
    j->k->edge_softmax(&j->run, &A, F32(j, ED_X), F32(j, ED_Y));
}
static void edge_softmax_reference(Job *j, const int64_t *s)
{
    softmax_entries(j, s[0], EXACT(j, ED_X), EXACT(j, ED_Y));
}
const Family family_edge_softmax = {.kernel = "edge_softmax",
                                    .letters = "rows cols mean",
                                    .cases = edge_cases,
                                    .count = COUNT(edge_cases),
                                    .make = edge_softmax_make,
                                    .call = edge_softmax_call,
                                    .reference = edge_softmax_reference,
                                    .tolerance = 1e-6,
                                    .in_place = {{ED_Y, ED_X}},
                                    .in_place_count = 1};

static const Case edge_softmax_back_cases[] = {CASE(0, 5, 3), CASE(1, 1, 1), CASE(7, 9, 2), CASE(200, 100, 12)};
static void edge_softmax_back_make(Job *j, const int64_t *s)
{
    const int64_t E = make_graph(j, s[0], s[1], s[2]);
    case_f32(j, "x", IN, E);
    float *y = case_f32(j, "y", IN, E);
    case_f32(j, "dy", IN, E);
    case_f32(j, "dx", OUT, E);
    if (j->ok)
        softmax_entries(j, s[0], EXACT(j, ED_X), EXACT(j, ED_Y));
    for (int64_t e = 0; j->ok && e < E; e++)
        y[e] = (float)EXACT(j, ED_Y)[e];
}
static void edge_softmax_back_call(Job *j, const int64_t *s)
{
    const Sparse A = graph_of(j, s[0], s[1], 0);
    j->k->edge_softmax_back(&j->run, &A, F32(j, ED_Y), F32(j, ED_DY), F32(j, ED_DX));
}
static double edge_softmax_back_loss(const Job *j, const int64_t *s)
{
    double loss = 0;
    softmax_entries(j, s[0], EXACT(j, ED_X), EXACT(j, ED_Y));
    for (int64_t e = 0; e < I64(j, A_START)[s[0]]; e++)
        loss += EXACT(j, ED_Y)[e] * EXACT(j, ED_DY)[e];
    return loss;
}
const Family family_edge_softmax_back = {.kernel = "edge_softmax_back",
                                         .letters = "rows cols mean",
                                         .cases = edge_softmax_back_cases,
                                         .count = COUNT(edge_softmax_back_cases),
                                         .make = edge_softmax_back_make,
                                         .call = edge_softmax_back_call,
                                         .loss = edge_softmax_back_loss,
                                         .by = {{ED_X, ED_DX}},
                                         .by_count = 1,
                                         .tolerance = 1e-6,
                                         .in_place = {{ED_DX, ED_DY}},
                                         .in_place_count = 1};

/* ---- edge_row_sum, edge_scale ---------------------------------------------------------------- */

static const Case edge_row_sum_cases[] = {CASE(0, 5, 3, 0), CASE(7, 9, 2, 0), CASE(7, 9, 2, HAS_AT),
                                          CASE(500, 300, 12, 0), CASE(500, 300, 12, HAS_AT)};
static void edge_row_sum_make(Job *j, const int64_t *s)
{
    make_graph(j, s[0], s[1], s[2]);
    case_f32(j, "out", OUT, s[0]);
}
static void edge_row_sum_call(Job *j, const int64_t *s)
{
    const Sparse A = graph_of(j, s[0], s[1], s[3]);
    j->k->edge_row_sum(&j->run, &A, F32(j, A_VAL), F32(j, A_COUNT));
}
static void edge_row_sum_reference(Job *j, const int64_t *s)
{
    for (int64_t r = 0; r < s[0]; r++) {
        EXACT(j, A_COUNT)[r] = 0;
        for (int64_t e = I64(j, A_START)[r]; e < I64(j, A_START)[r + 1]; e++)
            EXACT(j, A_COUNT)[r] += value_of(j, HAS_VAL | s[3], r, e);
    }
}
const Family family_edge_row_sum = {.kernel = "edge_row_sum",
                                    .letters = "rows cols mean has",
                                    .cases = edge_row_sum_cases,
                                    .count = COUNT(edge_row_sum_cases),
                                    .make = edge_row_sum_make,
                                    .call = edge_row_sum_call,
                                    .reference = edge_row_sum_reference};

static const Case edge_scale_cases[] = {CASE(0, 5, 3, SCALES), CASE(7, 9, 2, 0), CASE(7, 9, 2, HAS_ROW_SCALE),
                                        CASE(500, 300, 12, SCALES)};
static void edge_scale_make(Job *j, const int64_t *s)
{
    case_f32(j, "out", OUT, make_graph(j, s[0], s[1], s[2]));
}
static void edge_scale_call(Job *j, const int64_t *s)
{
    const Sparse A = graph_of(j, s[0], s[1], 0);
    j->k->edge_scale(&j->run, &A, F32(j, A_VAL), s[3] & HAS_ROW_SCALE ? F32(j, A_ROW_SCALE) : NULL,
                     s[3] & HAS_COL_SCALE ? F32(j, A_COL_SCALE) : NULL, F32(j, A_COUNT));
}
static void edge_scale_reference(Job *j, const int64_t *s)
{
    for (int64_t r = 0; r < s[0]; r++) {
        for (int64_t e = I64(j, A_START)[r]; e < I64(j, A_START)[r + 1]; e++)
            EXACT(j, A_COUNT)[e] = value_of(j, HAS_VAL | s[3], r, e);
    }
}
const Family family_edge_scale = {.kernel = "edge_scale",
                                  .letters = "rows cols mean has",
                                  .cases = edge_scale_cases,
                                  .count = COUNT(edge_scale_cases),
                                  .make = edge_scale_make,
                                  .call = edge_scale_call,
                                  .reference = edge_scale_reference,
                                  .tolerance = 1e-6,
                                  .in_place = {{A_COUNT, A_VAL}},
                                  .in_place_count = 1};
