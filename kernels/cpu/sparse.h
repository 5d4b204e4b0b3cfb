/* kernels/cpu/sparse.h: what the sparse kernels and the segment sums share: weighted sums of rows, and tasks of equal
 * work. */
#ifndef SAPOR_CPU_SPARSE_H
#define SAPOR_CPU_SPARSE_H

#include "kernels/cpu/row_sum.h"

/* Weighted sums of rows. For each row r, with its entries e = start[r] .. start[r+1] - 1:
 *
 *   y[to ? to[r] : r, :] = alpha row_scale[r] (sum over e of w(e) x[c(e), :]) + beta y
 *   c(e) = col ? col[e] : e
 *   w(e) = val[val_index ? val_index[e] : e] col_scale[c(e)]
 *
 * If `val`, `row_scale` or `col_scale` is NULL, it means ones. If `col` is NULL, `val` and `col_scale` must be NULL.
 * The rows of x are ldx apart, those of y ldy. The sum is computed from the first entry to the last. */
typedef struct GatherSum {
    int64_t rows, D;
    const int64_t *start;
    const int32_t *col, *to, *val_index;
    const float *val, *row_scale, *col_scale;
    const float *x;
    int64_t ldx;
    float alpha, beta;
    float *y;
    int64_t ldy;
} GatherSum;
void FN(gather_sum)(const Run *run, const GatherSum *g);

/* The arguments of a call of run_balanced, for its tasks. */
typedef struct Balanced {
    RangeFn *fn;
    const void *arg;
    int64_t rows, pieces; /* pieces: the number of tasks */
    const int64_t *start; /* [rows+1] */
} Balanced;

/* Returns the first row with at least part/pieces of the total work before it. The work of a row is its number of
 * entries plus two. */
static inline int64_t balanced_begin(const Balanced *b, int64_t part)
{
    const int64_t base = b->start[0];
    const int64_t work = b->start[b->rows] - base + 2 * b->rows,
                  target = (int64_t)((double)work * (double)part / (double)b->pieces);
    int64_t low = 0, high = b->rows;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (b->start[middle] - base + 2 * middle < target)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static inline void balanced_task(void *arg, size_t task, int worker)
{
    (void)worker;
    const Balanced *b = arg;
    int64_t first = balanced_begin(b, (int64_t)task),
            last = (int64_t)task + 1 == b->pieces ? b->rows : balanced_begin(b, (int64_t)task + 1);
    if (first < last)
        b->fn(b->arg, first, last);
}

/* Calls fn for all rows, in pieces with about the same work (balanced_begin). `cost` is the number of multiply-adds per
 * entry; the number of pieces depends on it. */
INLINE void run_balanced(const Run *run, int64_t rows, const int64_t *start, int64_t cost, RangeFn *fn, const void *arg)
{
    if (rows <= 0)
        return;
    const int64_t threads = threads_of(run), work = (start[rows] - start[0] + rows) * cost;
    const int64_t pieces = MIN(threads * 8, work / 32768 + 1);
    if (threads == 1 || pieces == 1) {
        fn(arg, 0, rows);
        return;
    }
    Balanced b = {fn, arg, rows, pieces, start};
    pool_run(run->context, (size_t)pieces, balanced_task, &b);
}

#endif
