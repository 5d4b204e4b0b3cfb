/* recsys/models/shared/sparse.c: sparse matrices in host memory: see sparse.h. */
#include "recsys/models/shared/sparse.h"

SparseRows train_rows(const Model *m, const float *rating)
{
    const Pairs *train = &m->data->train;
    return (SparseRows){m->data->U, m->data->I, train->start, train->item, rating};
}

bool sparse_transpose(SparseRows *t, const SparseRows *x, Arena *a, Error *e)
{
    /* Before the filling below, at[c + 1] is the start of row c of t. The filling moves it to the end of row c, which
     * is the start of row c + 1. So at[c] is the start of row c afterwards. */
    int64_t n = x->start[x->rows], *at = NEW(a, int64_t, x->cols + 2, e);
    int32_t *col = NEW(a, int32_t, n, e);
    float *value = x->value ? NEW(a, float, n, e) : NULL;
    if (!at || !col || (x->value && !value))
        return false;
    for (int64_t k = 0; k < n; k++)
        at[x->col[k] + 2]++;
    for (int64_t c = 0; c <= x->cols; c++)
        at[c + 1] += at[c];
    for (int64_t r = 0; r < x->rows; r++)
        for (int64_t k = x->start[r]; k < x->start[r + 1]; k++) {
            int64_t to = at[x->col[k] + 1]++;
            col[to] = (int32_t)r;
            if (value)
                value[to] = x->value[k];
        }
    *t = (SparseRows){x->cols, x->rows, at, col, value};
    return true;
}

typedef struct Products {
    const SparseRows *a, *b;
    const int32_t *ids;
    float *scores;
    double *sum; /* [workers, columns of B] */
} Products;

static void product_of_row(void *arg, size_t task, int worker)
{
    const Products *s = arg;
    const SparseRows *a = s->a, *b = s->b;
    int64_t n = b->cols, r = s->ids ? s->ids[task] : (int64_t)task;
    double *sum = s->sum + worker * n;
    memset(sum, 0, sizeof *sum * (size_t)n);
    for (int64_t k = a->start[r]; k < a->start[r + 1]; k++) {
        double x = a->value ? (double)a->value[k] : 1;
        for (int64_t l = b->start[a->col[k]]; l < b->start[a->col[k] + 1]; l++)
            sum[b->col[l]] += x * (b->value ? (double)b->value[l] : 1);
    }
    for (int64_t i = 0; i < n; i++)
        s->scores[(int64_t)task * n + i] = (float)sum[i];
}

bool sparse_products(const Device *d, const SparseRows *a, const SparseRows *b, const int32_t *ids, int64_t n,
                     float *scores, Error *e)
{
    size_t bytes = sizeof(double) * (size_t)pool_threads(d->pool) * (size_t)b->cols;
    /* separate scratch, because threads may share the model */
    Products s = {a, b, ids, scores, heap_alloc(d->heap, bytes)};
    if (!s.sum)
        return fail_memory(e, bytes, "scores");
    pool_run(d->pool, (size_t)n, product_of_row, &s);
    heap_free(d->heap, s.sum, bytes);
    return true;
}
