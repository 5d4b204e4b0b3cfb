/* kernels/cpu/gather.c: rows by index: gathers, segment sums, and pooling of rows. A task has some output rows. The
 * kernels are memory-bound, so `gather` prefetches the row of the table that is needed PREFETCH_DISTANCE rows later. */
// flags baseline: -Os
#include "kernels/cpu/sparse.h"

enum { PREFETCH_DISTANCE = 8 }; /* in rows */

typedef struct Gather {
    int64_t n, D;
    const void *table;
    const int32_t *ids;
    float beta;
    float *y;
} Gather;

INLINE void gather_rows(const Gather *g, const DType type, int64_t first, int64_t last)
{
    const size_t size = type == F32 ? sizeof(float) : sizeof(uint16_t);
    const int64_t D = g->D;
    const vf beta = v_set(g->beta);
    for (int64_t r = first; r < last; r++) {
        const int32_t prefetch_id = g->ids[MIN(r + PREFETCH_DISTANCE, g->n - 1)], id = g->ids[r];
        const char *table = g->table, *next = table + (size_t)(MAX(prefetch_id, 0) * D) * size;
        /* at most the first 256 numbers of the row */
        for (int64_t d = 0; d < MIN(D, 256); d += 16)
            __builtin_prefetch(next + (size_t)d * size);
        const void *row = table + (size_t)(MAX(id, 0) * D) * size;
        float *y = g->y + r * D;
        if (g->beta == 0.0f) {
            if (id < 0) {
                memset(y, 0, (size_t)D * sizeof(float));
            } else {
                FOR_VECTORS(0, D, store_part(y + i, load_as(type, row, i, n), n))
            }
        } else if (id < 0) {
            FOR_VECTORS(0, D, store_part(y + i, beta * LOAD(y), n))
        } else {
            FOR_VECTORS(0, D, store_part(y + i, v_fma(beta, LOAD(y), load_as(type, row, i, n)), n))
        }
    }
}

static void gather_f32(const void *g, int64_t first, int64_t last)
{
    gather_rows(g, F32, first, last);
}
#ifndef SAPOR_MINIMAL
static void gather_f16(const void *g, int64_t first, int64_t last)
{
    gather_rows(g, F16, first, last);
}
static void gather_bf16(const void *g, int64_t first, int64_t last)
{
    gather_rows(g, BF16, first, last);
}
#else
#define gather_f16  gather_f32 /* never called: `supports` returns false */
#define gather_bf16 gather_f32
#endif

void FN(gather)(const Run *run, int64_t n, int64_t D, DType type, const void *table, const int32_t *ids, float beta,
                float *y)
{
    Gather g = {n, D, table, ids, beta, y};
    if (D > 0)
        run_rows(run, n, D, type == F16 ? gather_f16 : type == BF16 ? gather_bf16 : gather_f32, &g);
}

void FN(segment_sum)(const Run *run, int64_t S, int64_t D, const int64_t *start, const int32_t *order,
                     const int32_t *to, DType type, const void *x, float scale, float beta, float *y)
{
    (void)type; /* F32: the only type that `supports` reports */

    GatherSum g = {.rows = S,
                   .D = D,
                   .start = start,
                   .col = order,
                   .to = to,
                   .x = x,
                   .ldx = D,
                   .alpha = scale,
                   .beta = beta,
                   .y = y,
                   .ldy = D};
    FN(gather_sum)(run, &g);
}

/* ---- pooling of ragged rows ------------------------------------------------------------------ */

/* The arguments of segment_pool, and of its backward pass, for which x is dy, y is dx, and arg_in is the arg of the
 * forward pass. */
typedef struct PoolRows {
    int64_t B, D;
    const int32_t *offsets, *arg_in;
    Reduce how;
    const float *x;
    float *y;
    int32_t *arg;
} PoolRows;

static void max_pool_segment(const PoolRows *p, int64_t b)
{
    const int64_t D = p->D, first = p->offsets[b], last = p->offsets[b + 1];
    for (int64_t d = 0; d < D; d++) {
        float best = first < last ? p->x[first * D + d] : 0.0f;
        int64_t at = first < last ? first : -1;
        for (int64_t r = first + 1; r < last; r++) {
            if (p->x[r * D + d] > best) { /* of equal values the lower row is kept */
                best = p->x[r * D + d];
                at = r;
            }
        }
        p->y[b * D + d] = best;
        if (p->arg)
            p->arg[b * D + d] = (int32_t)at;
    }
}

static void segment_pool_rows(const void *arg, int64_t first, int64_t last)
{
    const PoolRows *p = arg;
    const int64_t D = p->D;
    for (int64_t b = first; b < last; b++) {
        const int64_t begin = p->offsets[b],
                      end = p->how == REDUCE_FIRST ? MIN(begin + 1, p->offsets[b + 1]) : p->offsets[b + 1];
        if (p->how == REDUCE_MAX) {
            max_pool_segment(p, b);
            continue;
        }
        const float scale = p->how == REDUCE_MEAN ? 1.0f / (float)MAX(end - begin, 1) : 1.0f;
        const float *x = p->x;
        float *y = p->y + b * D;
        FOR_VECTORS(0, D, {
            vf sum = v_zero();
            for (int64_t r = begin; r < end; r++)
                sum += load_part(x + r * D + i, n);
            store_part(y + i, sum * scale, n);
        })
    }
}

void FN(segment_pool)(const Run *run, int64_t B, int64_t D, const int32_t *offsets, Reduce how, const float *x,
                      float *y, int32_t *arg)
{
    PoolRows p = {.B = B, .D = D, .offsets = offsets, .how = how, .x = x, .y = y, .arg = arg};
    if (D > 0)
        run_ranges(run, B, 1, segment_pool_rows, &p);
}

static void segment_pool_back_rows(const void *arg, int64_t first, int64_t last)
{
    const PoolRows *p = arg;
    const int64_t D = p->D;
    for (int64_t b = first; b < last; b++) {
        const int64_t begin = p->offsets[b], end = p->offsets[b + 1];
        const float scale = p->how == REDUCE_MEAN ? 1.0f / (float)MAX(end - begin, 1) : 1.0f;
        const float *dy = p->x + b * D;
        for (int64_t r = begin; r < end; r++) {
            float *dx = p->y + r * D;
            if (p->how == REDUCE_SUM || p->how == REDUCE_MEAN || (p->how == REDUCE_FIRST && r == begin)) {
                FOR_VECTORS(0, D, store_part(dx + i, LOAD(dy) * scale, n))
            } else {
                memset(dx, 0, (size_t)D * sizeof(float));
            }
        }
        if (p->how == REDUCE_MAX && begin < end) {
            for (int64_t d = 0; d < D; d++)
                p->y[p->arg_in[b * D + d] * D + d] = dy[d];
        }
    }
}

void FN(segment_pool_back)(const Run *run, int64_t B, int64_t D, const int32_t *offsets, Reduce how, const int32_t *arg,
                           const float *dy, float *dx)
{
    PoolRows p = {.B = B, .D = D, .offsets = offsets, .how = how, .arg_in = arg, .x = dy, .y = dx};
    if (D > 0)
        run_ranges(run, B, 1, segment_pool_back_rows, &p);
}
