/* tests/cases/sparse.c: cases of kernels/cpu/sparse.c. A row has from zero to many entries, and one row has most of
 * them, as in a graph of users and items. */
#include <math.h>
#include <stdlib.h>

#include "tests/kernel_cases.h"

enum { A_START, A_COL, A_VAL, A_VAL_INDEX, A_ROW_SCALE, A_COL_SCALE, A_COUNT };
enum { HAS_VAL = 1, HAS_VAL_INDEX = 2, HAS_ROW_SCALE = 4, HAS_COL_SCALE = 8 };

/* Makes about `mean` entries per row in buffers 0 .. A_COUNT-1. Returns the number of entries. */
static int64_t make_graph(Job *j, int64_t rows, int64_t cols, int64_t mean)
{
    int64_t *start = case_i64(j, "start", ROLE_IN, rows + 1);
    /* The length of a row is 3 u u mean, for a uniform draw u: many short rows, few long ones. The middle row has all
     * columns. */
    for (int64_t r = 0, n = 0; j->ok && r <= rows; r++) {
        const double u = case_uniform(j, (uint64_t)r);
        start[r] = n;
        n += MIN(cols, r == rows / 2 ? cols : (int64_t)(u * u * 3 * (double)mean));
    }
    const int64_t E = j->ok ? start[rows] : 0;
    int32_t *col = case_i32(j, "col", ROLE_IN, E);
    /* sorted in ascending order: `count` of `cols` by an even stride, with a draw inside each stride */
    for (int64_t r = 0; j->ok && r < rows; r++) {
        const int64_t count = start[r + 1] - start[r];
        for (int64_t i = 0; i < count; i++) {
            const int64_t low = i * cols / count, high = (i + 1) * cols / count;
            col[start[r] + i] = (int32_t)(low + case_draw(j, (uint64_t)(start[r] + i), (uint32_t)(high - low)));
        }
    }
    case_f32(j, "val", ROLE_IN, E);
    int32_t *val_index = case_i32(j, "val_index", ROLE_IN, E);
    for (int64_t e = 0; j->ok && e < E; e++)
        val_index[e] = (int32_t)(E - 1 - e);
    case_f32(j, "row_scale", ROLE_IN, rows);
    case_f32(j, "col_scale", ROLE_IN, cols);
    return E;
}

static Sparse graph_of(const Job *j, int64_t rows, int64_t cols, int64_t has)
{
    return (Sparse){rows,
                    cols,
                    (int64_t)j->b[A_COL].count,
                    i64_of(j, A_START),
                    i32_of(j, A_COL),
                    has & HAS_VAL ? f32_of(j, A_VAL) : NULL,
                    has & HAS_VAL_INDEX ? i32_of(j, A_VAL_INDEX) : NULL,
                    has & HAS_ROW_SCALE ? f32_of(j, A_ROW_SCALE) : NULL,
                    has & HAS_COL_SCALE ? f32_of(j, A_COL_SCALE) : NULL};
}

/* Returns the value of entry e in row r: the product of the factors that `has` names. */
static double value_of(const Job *j, int64_t has, int64_t r, int64_t e)
{
    return (has & HAS_VAL ? exact_of(j, A_VAL)[has & HAS_VAL_INDEX ? host_i32(j, A_VAL_INDEX)[e] : e] : 1) *
           (has & HAS_ROW_SCALE ? exact_of(j, A_ROW_SCALE)[r] : 1) *
           (has & HAS_COL_SCALE ? exact_of(j, A_COL_SCALE)[host_i32(j, A_COL)[e]] : 1);
}

/* ---- spmm: the shape of movielens-1m is 9,300 rows with 172 entries on average --------------- */

enum {
    SCALES = HAS_ROW_SCALE | HAS_COL_SCALE,
    ALL = 15,
    NAN_FIRST = 16 /* row 0 of x is NaN; rows of A that do not read it must not get NaN */
};
static const Case spmm_cases[] = {
    {.spmm = {.rows = 0, .cols = 5, .mean = 3, .D = 64}},
    {.spmm = {.rows = 5, .cols = 5, .mean = 0, .D = 0}},
    {.spmm = {.rows = 1, .cols = 1, .mean = 1, .D = 1, .has = SCALES}},
    {.spmm = {.rows = 7, .cols = 9, .mean = 2, .D = 3, .has = HAS_VAL}},
    {.spmm = {.rows = 9, .cols = 40, .mean = 2, .D = 8, .has = HAS_VAL | NAN_FIRST}},
    {.spmm = {.rows = 50, .cols = 40, .mean = 6, .D = 64, .has = SCALES}},
    {.spmm = {.rows = 50, .cols = 40, .mean = 6, .D = 64, .beta2 = 1}},
    {.spmm = {.rows = 50, .cols = 40, .mean = 6, .D = 64, .has = HAS_VAL, .pad = 3, .beta2 = 1}},
    {.spmm = {.rows = 50, .cols = 40, .mean = 6, .D = 64, .has = HAS_VAL | HAS_VAL_INDEX}},
    {.spmm = {.rows = 50, .cols = 40, .mean = 6, .D = 128, .has = ALL, .pad = 5, .beta2 = 2}},
    {.spmm = {.rows = 50, .cols = 40, .mean = 6, .D = 128, .has = HAS_COL_SCALE}},
    {.spmm = {.rows = 31, .cols = 300, .mean = 20, .D = 100, .has = SCALES, .pad = 1}},
    {.spmm = {.rows = 31, .cols = 300, .mean = 20, .D = 33, .has = ALL, .beta2 = 1}},
    {.spmm = {.rows = 31, .cols = 300, .mean = 20, .D = 17, .has = HAS_VAL | HAS_ROW_SCALE}},
    {.spmm = {.rows = 7, .cols = 9, .mean = 2, .D = 5, .has = SCALES, .pad = 3}},
    /* rows that are long enough for a device to cut them */
    {.spmm = {.rows = 5, .cols = 700, .mean = 900, .D = 3, .has = SCALES}},
    {.spmm = {.rows = 5, .cols = 1100, .mean = 3, .D = 130, .has = ALL, .beta2 = 1}},
    {.spmm = {.rows = 700, .cols = 500, .mean = 12, .D = 64, .has = SCALES}},
    {.spmm = {.rows = 700, .cols = 500, .mean = 12, .D = 200, .has = HAS_VAL}},
    {.spmm = {.rows = 9300, .cols = 9300, .mean = 172, .D = 64, .has = SCALES}, .timed = true},
    {.spmm = {.rows = 9300, .cols = 9300, .mean = 172, .D = 64, .has = HAS_VAL}, .timed = true},
    {.spmm = {.rows = 9300, .cols = 9300, .mean = 172, .D = 128, .has = SCALES}, .timed = true},
};
enum { SP_X = A_COUNT, SP_Y };
static void spmm_make(Job *j, const Case *s)
{
    const int64_t E = make_graph(j, s->spmm.rows, s->spmm.cols, s->spmm.mean), D = s->spmm.D, pad = s->spmm.pad;
    float *x = case_f32(j, "x", ROLE_IN, s->spmm.cols > 0 ? s->spmm.cols * (D + pad) - pad : 0);
    for (int64_t d = 0; j->ok && s->spmm.has & NAN_FIRST && d < D; d++)
        x[d] = NAN;
    if (j->ok)
        case_set(j, SP_X);
    case_f32(j, "y", s->spmm.beta2 || pad ? ROLE_INOUT : ROLE_OUT,
             s->spmm.rows > 0 ? s->spmm.rows * (D + pad) - pad : 0);
    j->flops = 2.0 * (double)(E * D);
    j->bytes = (double)E * 4 + (double)(s->spmm.rows + s->spmm.cols) * (double)D * 4;
}
static void spmm_call(Job *j, const Case *s)
{
    const Sparse A = graph_of(j, s->spmm.rows, s->spmm.cols, s->spmm.has);
    j->k->spmm(&j->run, &A, s->spmm.D, F32, f32_of(j, SP_X), s->spmm.D + s->spmm.pad, 0.75f,
               0.5f * (float)s->spmm.beta2, f32_of(j, SP_Y), s->spmm.D + s->spmm.pad);
}
static void spmm_reference(Job *j, const Case *s)
{
    const int64_t D = s->spmm.D, ld = D + s->spmm.pad;
    for (int64_t r = 0; r < s->spmm.rows; r++) {
        for (int64_t d = 0; d < D; d++) {
            double sum = 0, *y = &exact_of(j, SP_Y)[r * ld + d];
            for (int64_t e = host_i64(j, A_START)[r]; e < host_i64(j, A_START)[r + 1]; e++)
                sum += value_of(j, s->spmm.has, r, e) * exact_of(j, SP_X)[host_i32(j, A_COL)[e] * ld + d];
            *y = 0.75 * sum + (s->spmm.beta2 ? 0.5 * (double)s->spmm.beta2 * *y : 0);
        }
    }
}
const Family family_spmm = {.kernel = "spmm",
                            .names = "rows cols mean D has pad 2beta",
                            .cases = spmm_cases,
                            .count = COUNT(spmm_cases),
                            .make = spmm_make,
                            .call = spmm_call,
                            .reference = spmm_reference};

/* ---- sddmm: it is also the derivative of spmm's result by the values ------------------------- */

static const Case sddmm_cases[] = {
    {.sddmm = {.rows = 0, .cols = 5, .mean = 3, .D = 64}},
    {.sddmm = {.rows = 7, .cols = 9, .mean = 2, .D = 0}},
    {.sddmm = {.rows = 7, .cols = 9, .mean = 2, .D = 3}},
    {.sddmm = {.rows = 50, .cols = 40, .mean = 6, .D = 64, .has = SCALES, .beta = 1}},
    {.sddmm = {.rows = 50, .cols = 40, .mean = 6, .D = 64, .has = HAS_VAL}},
    {.sddmm = {.rows = 31, .cols = 300, .mean = 20, .D = 100, .has = HAS_COL_SCALE, .beta = 1}},
    {.sddmm = {.rows = 7, .cols = 9, .mean = 2, .D = 140, .has = SCALES}},
    {.sddmm = {.rows = 5, .cols = 700, .mean = 900, .D = 3, .has = SCALES}},
    {.sddmm = {.rows = 300, .cols = 500, .mean = 12, .D = 128, .has = SCALES}},
    {.sddmm = {.rows = 9300, .cols = 9300, .mean = 172, .D = 64, .has = SCALES}, .timed = true},
};
enum { SD_X = A_COUNT, SD_Y, SD_OUT };
static void sddmm_make(Job *j, const Case *s)
{
    const int64_t E = make_graph(j, s->sddmm.rows, s->sddmm.cols, s->sddmm.mean), D = s->sddmm.D;
    case_f32(j, "x", ROLE_IN, s->sddmm.rows * D);
    case_f32(j, "y", ROLE_IN, s->sddmm.cols * D);
    case_f32(j, "out", s->sddmm.beta ? ROLE_INOUT : ROLE_OUT, E);
    j->flops = 2.0 * (double)(E * D);
    j->bytes = (double)E * 8 + (double)(s->sddmm.rows + s->sddmm.cols) * (double)D * 4;
}
static void sddmm_call(Job *j, const Case *s)
{
    const Sparse A = graph_of(j, s->sddmm.rows, s->sddmm.cols, s->sddmm.has);
    j->k->sddmm(&j->run, &A, s->sddmm.D, f32_of(j, SD_X), f32_of(j, SD_Y), 0.75f, (float)s->sddmm.beta,
                f32_of(j, SD_OUT));
}
static void sddmm_reference(Job *j, const Case *s)
{
    for (int64_t r = 0; r < s->sddmm.rows; r++) {
        for (int64_t e = host_i64(j, A_START)[r]; e < host_i64(j, A_START)[r + 1]; e++) {
            double dot = 0, *out = &exact_of(j, SD_OUT)[e];
            for (int64_t d = 0; d < s->sddmm.D; d++) {
                dot +=
                    exact_of(j, SD_X)[r * s->sddmm.D + d] * exact_of(j, SD_Y)[host_i32(j, A_COL)[e] * s->sddmm.D + d];
            }
            *out = 0.75 * dot * value_of(j, s->sddmm.has & ~(int64_t)(HAS_VAL | HAS_VAL_INDEX), r, e) +
                   (s->sddmm.beta ? *out : 0);
        }
    }
}
static double sddmm_loss(const Job *j, const Case *s) /* 0.75 x . (A y); its derivative is by the values of A */
{
    double loss = 0;
    for (int64_t r = 0; r < s->sddmm.rows; r++) {
        for (int64_t e = host_i64(j, A_START)[r]; e < host_i64(j, A_START)[r + 1]; e++) {
            double dot = 0;
            for (int64_t d = 0; d < s->sddmm.D; d++) {
                dot +=
                    exact_of(j, SD_X)[r * s->sddmm.D + d] * exact_of(j, SD_Y)[host_i32(j, A_COL)[e] * s->sddmm.D + d];
            }
            loss += 0.75 * value_of(j, (s->sddmm.has | HAS_VAL) & ~(int64_t)HAS_VAL_INDEX, r, e) * dot;
        }
    }
    return loss;
}
const Family family_sddmm = {.kernel = "sddmm",
                             .names = "rows cols mean D has beta",
                             .cases = sddmm_cases,
                             .count = COUNT(sddmm_cases),
                             .make = sddmm_make,
                             .call = sddmm_call,
                             .reference = sddmm_reference,
                             .loss = sddmm_loss,
                             .by = {{A_VAL, SD_OUT}},
                             .by_count = 1};

/* ---- edge_softmax, edge_softmax_back --------------------------------------------------------- */

static const Case edge_cases[] = {CASE(0, 5, 3, 0),      CASE(1, 1, 1, 0),     CASE(7, 9, 2, 0),
                                  CASE(500, 300, 12, 0), CASE(5, 700, 900, 0), TIMED(9300, 9300, 172, 0)};
enum { ED_X = A_COUNT, ED_Y, ED_DY, ED_DX };
static void softmax_entries(const Job *j, int64_t rows, const double *x, double *y)
{
    for (int64_t r = 0; r < rows; r++) {
        double sum = 0;
        for (int64_t e = host_i64(j, A_START)[r]; e < host_i64(j, A_START)[r + 1]; e++)
            sum += y[e] = exp(x[e]);
        for (int64_t e = host_i64(j, A_START)[r]; e < host_i64(j, A_START)[r + 1]; e++)
            y[e] /= sum;
    }
}
static void edge_softmax_make(Job *j, const Case *s)
{
    const int64_t E = make_graph(j, s->n[0], s->n[1], s->n[2]);
    case_f32(j, "x", ROLE_IN, E);
    case_f32(j, "y", ROLE_OUT, E);
    j->flops = (double)E * 12;
    j->bytes = (double)E * 8;
}
static void edge_softmax_call(Job *j, const Case *s)
{
    const Sparse A = graph_of(j, s->n[0], s->n[1], 0);
    j->k->edge_softmax(&j->run, &A, f32_of(j, ED_X), f32_of(j, ED_Y));
}
static void edge_softmax_reference(Job *j, const Case *s)
{
    softmax_entries(j, s->n[0], exact_of(j, ED_X), exact_of(j, ED_Y));
}
const Family family_edge_softmax = {.kernel = "edge_softmax",
                                    .names = "rows cols mean",
                                    .cases = edge_cases,
                                    .count = COUNT(edge_cases),
                                    .make = edge_softmax_make,
                                    .call = edge_softmax_call,
                                    .reference = edge_softmax_reference,
                                    .tolerance = 1e-6,
                                    .in_place = {{ED_Y, ED_X}},
                                    .in_place_count = 1};

static const Case edge_softmax_back_cases[] = {CASE(0, 5, 3), CASE(1, 1, 1), CASE(7, 9, 2), CASE(200, 100, 12),
                                               CASE(5, 700, 900)};
static void edge_softmax_back_make(Job *j, const Case *s)
{
    const int64_t E = make_graph(j, s->n[0], s->n[1], s->n[2]);
    case_f32(j, "x", ROLE_IN, E);
    float *y = case_f32(j, "y", ROLE_IN, E);
    case_f32(j, "dy", ROLE_IN, E);
    case_f32(j, "dx", ROLE_OUT, E);
    if (j->ok)
        softmax_entries(j, s->n[0], exact_of(j, ED_X), exact_of(j, ED_Y));
    for (int64_t e = 0; j->ok && e < E; e++)
        y[e] = (float)exact_of(j, ED_Y)[e];
}
static void edge_softmax_back_call(Job *j, const Case *s)
{
    const Sparse A = graph_of(j, s->n[0], s->n[1], 0);
    j->k->edge_softmax_back(&j->run, &A, f32_of(j, ED_Y), f32_of(j, ED_DY), f32_of(j, ED_DX));
}
static double edge_softmax_back_loss(const Job *j, const Case *s)
{
    double loss = 0;
    softmax_entries(j, s->n[0], exact_of(j, ED_X), exact_of(j, ED_Y));
    for (int64_t e = 0; e < host_i64(j, A_START)[s->n[0]]; e++)
        loss += exact_of(j, ED_Y)[e] * exact_of(j, ED_DY)[e];
    return loss;
}
const Family family_edge_softmax_back = {.kernel = "edge_softmax_back",
                                         .names = "rows cols mean",
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

static const Case edge_row_sum_cases[] = {CASE(0, 5, 3, 0),
                                          CASE(7, 9, 2, 0),
                                          CASE(7, 9, 2, HAS_VAL_INDEX),
                                          CASE(500, 300, 12, 0),
                                          CASE(500, 300, 12, HAS_VAL_INDEX),
                                          CASE(5, 700, 900, HAS_VAL_INDEX)};
static void edge_row_sum_make(Job *j, const Case *s)
{
    make_graph(j, s->n[0], s->n[1], s->n[2]);
    case_f32(j, "out", ROLE_OUT, s->n[0]);
}
static void edge_row_sum_call(Job *j, const Case *s)
{
    const Sparse A = graph_of(j, s->n[0], s->n[1], s->n[3]);
    j->k->edge_row_sum(&j->run, &A, f32_of(j, A_VAL), f32_of(j, A_COUNT));
}
static void edge_row_sum_reference(Job *j, const Case *s)
{
    for (int64_t r = 0; r < s->n[0]; r++) {
        exact_of(j, A_COUNT)[r] = 0;
        for (int64_t e = host_i64(j, A_START)[r]; e < host_i64(j, A_START)[r + 1]; e++)
            exact_of(j, A_COUNT)[r] += value_of(j, HAS_VAL | s->n[3], r, e);
    }
}
const Family family_edge_row_sum = {.kernel = "edge_row_sum",
                                    .names = "rows cols mean has",
                                    .cases = edge_row_sum_cases,
                                    .count = COUNT(edge_row_sum_cases),
                                    .make = edge_row_sum_make,
                                    .call = edge_row_sum_call,
                                    .reference = edge_row_sum_reference};

static const Case edge_scale_cases[] = {CASE(0, 5, 3, SCALES), CASE(7, 9, 2, 0), CASE(7, 9, 2, HAS_ROW_SCALE),
                                        CASE(500, 300, 12, SCALES)};
static void edge_scale_make(Job *j, const Case *s)
{
    case_f32(j, "out", ROLE_OUT, make_graph(j, s->n[0], s->n[1], s->n[2]));
}
static void edge_scale_call(Job *j, const Case *s)
{
    const Sparse A = graph_of(j, s->n[0], s->n[1], 0);
    j->k->edge_scale(&j->run, &A, f32_of(j, A_VAL), s->n[3] & HAS_ROW_SCALE ? f32_of(j, A_ROW_SCALE) : NULL,
                     s->n[3] & HAS_COL_SCALE ? f32_of(j, A_COL_SCALE) : NULL, f32_of(j, A_COUNT));
}
static void edge_scale_reference(Job *j, const Case *s)
{
    for (int64_t r = 0; r < s->n[0]; r++) {
        for (int64_t e = host_i64(j, A_START)[r]; e < host_i64(j, A_START)[r + 1]; e++)
            exact_of(j, A_COUNT)[e] = value_of(j, HAS_VAL | s->n[3], r, e);
    }
}
const Family family_edge_scale = {.kernel = "edge_scale",
                                  .names = "rows cols mean has",
                                  .cases = edge_scale_cases,
                                  .count = COUNT(edge_scale_cases),
                                  .make = edge_scale_make,
                                  .call = edge_scale_call,
                                  .reference = edge_scale_reference,
                                  .tolerance = 1e-6,
                                  .in_place = {{A_COUNT, A_VAL}},
                                  .in_place_count = 1};

/* ---- inverse_root, inverse_root_back --------------------------------------------------------- */

static const Case inverse_root_cases[] = {CASE(0), CASE(1), CASE(77), CASE(9001), TIMED(1 << 20)};
static void inverse_root_make(Job *j, const Case *s) /* sums of values: some are zero or negative */
{
    case_f32(j, "x", ROLE_IN, s->n[0]);
    for (int64_t i = 0; j->ok && i < s->n[0]; i += 5)
        host_f32(j, 0)[i] = 0;
    case_set(j, 0);
    case_f32(j, "y", ROLE_OUT, s->n[0]);
    j->flops = (double)s->n[0] * 2;
    j->bytes = (double)s->n[0] * 8;
}
static void inverse_root_call(Job *j, const Case *s)
{
    j->k->inverse_root(&j->run, s->n[0], f32_of(j, 0), f32_of(j, 1));
}
static void inverse_root_reference(Job *j, const Case *s)
{
    for (int64_t i = 0; i < s->n[0]; i++)
        exact_of(j, 1)[i] = exact_of(j, 0)[i] > 0 ? 1 / sqrt(exact_of(j, 0)[i]) : 0;
}
const Family family_inverse_root = {.kernel = "inverse_root",
                                    .names = "n",
                                    .cases = inverse_root_cases,
                                    .count = COUNT(inverse_root_cases),
                                    .make = inverse_root_make,
                                    .call = inverse_root_call,
                                    .reference = inverse_root_reference,
                                    .tolerance = 1e-7,
                                    .in_place = {{1, 0}},
                                    .in_place_count = 1};

static void inverse_root_back_make(Job *j, const Case *s)
{
    case_f32(j, "y", ROLE_IN, s->n[0]);
    case_f32(j, "d", ROLE_INOUT, s->n[0]);
    j->flops = (double)s->n[0] * 4;
    j->bytes = (double)s->n[0] * 12;
}
static void inverse_root_back_call(Job *j, const Case *s)
{
    j->k->inverse_root_back(&j->run, s->n[0], f32_of(j, 0), f32_of(j, 1));
}
static void inverse_root_back_reference(Job *j, const Case *s)
{
    for (int64_t i = 0; i < s->n[0]; i++) {
        const double y = exact_of(j, 0)[i];
        exact_of(j, 1)[i] *= -0.5 * y * y * y;
    }
}
const Family family_inverse_root_back = {.kernel = "inverse_root_back",
                                         .names = "n",
                                         .cases = inverse_root_cases,
                                         .count = COUNT(inverse_root_cases),
                                         .make = inverse_root_back_make,
                                         .call = inverse_root_back_call,
                                         .reference = inverse_root_back_reference,
                                         .tolerance = 1e-7};
