/* nn/subgraph.c: what a batch needs of a graph: some rows, and the nodes that they read. Lists of ids depend on values,
 * so infer does not support any of this. */
#include "nn/tape.h"

static bool check_lists(Tape *t, const char *op, const Tensor *a, const Tensor *b)
{
    if (t->error.code == SP_OK && (a == &t->failed || b == &t->failed || a->type != I32 || (b && b->type != I32)))
        tape_fail(t, SP_USAGE, "%s: expected lists of ids", op);
    if (t->error.code == SP_OK && t->mode != MODE_EAGER)
        tape_fail(t, SP_UNSUPPORTED, "%s: the result depends on values, which is not supported in infer", op);
    return t->error.code == SP_OK;
}

Tensor *distinct(Tape *t, Tensor *a, Tensor *b, Tensor **a_at, Tensor **b_at)
{
    int64_t n = a->count, m = b ? b->count : 0;
    int32_t *ids = check_lists(t, "distinct", a, b) ? tape_scratch(t, 8 * (n + m), sizeof *ids) : NULL;
    int64_t *start = tape_scratch(t, n + m + 1, sizeof *start);
    *a_at = tape_failed(t);
    if (b)
        *b_at = tape_failed(t);
    if (!ids || !start)
        return tape_failed(t);
    int32_t *unique = ids + n + m, *order = unique + n + m, *at = order + n + m;
    t->k->download(&t->run, ids, a->data, (size_t)n * sizeof *ids);
    if (b)
        t->k->download(&t->run, ids + n, b->data, (size_t)m * sizeof *ids);
    int64_t count = t->k->group_ids(&t->run, n + m, ids, unique, start, order, at + n + m);
    for (int64_t g = 0; g < count; g++)
        for (int64_t i = start[g]; i < start[g + 1]; i++)
            at[order[i]] = (int32_t)g;
    *a_at = tape_constant(t, I32, n, at);
    if (b)
        *b_at = tape_constant(t, I32, m, at + n);
    return tape_constant(t, I32, count, unique);
}

Tensor *ids_join(Tape *t, Tensor *low, int64_t first, Tensor *high)
{
    int64_t n = low->count, m = high->count;
    int32_t *ids = check_lists(t, "ids_join", low, high) ? tape_scratch(t, n + m, sizeof *ids) : NULL;
    if (!ids)
        return tape_failed(t);
    t->k->download(&t->run, ids, low->data, (size_t)n * sizeof *ids);
    t->k->download(&t->run, ids + n, high->data, (size_t)m * sizeof *ids);
    for (int64_t i = n; i < n + m; i++)
        ids[i] += (int32_t)first;
    return tape_constant(t, I32, n + m, ids);
}

Tensor *ids_split(Tape *t, Tensor *ids, int64_t first, Tensor **high)
{
    int64_t n = ids->count, low = 0;
    int32_t *host = check_lists(t, "ids_split", ids, NULL) ? tape_scratch(t, n, sizeof *host) : NULL;
    *high = tape_failed(t);
    if (!host)
        return tape_failed(t);
    t->k->download(&t->run, host, ids->data, (size_t)n * sizeof *host);
    while (low < n && host[low] < first)
        low++;
    for (int64_t i = low; i < n; i++)
        host[i] -= (int32_t)first;
    *high = tape_constant(t, I32, n - low, host + low);
    return tape_constant(t, I32, low, host);
}

/* x[ids] of a vector x */
static Tensor *pick(Tape *t, Tensor *x, Tensor *ids)
{
    return reshape(t, gather(t, reshape(t, x, SHAPE(x->count, 1)), ids), SHAPE(ids->count));
}

/* Numbers the marked columns in order and lists them. Returns how many there are. */
static int64_t number_marked(int64_t n, int32_t *mark, int32_t *list)
{
    int64_t count = 0;
    for (int64_t c = 0; c < n; c++)
        if (mark[c]) {
            list[count] = (int32_t)c;
            mark[c] = (int32_t)count++;
        }
    return count;
}

/* Whether the marked rows have half of all entries: then all rows of the layer below are cheaper than a selection. */
static bool reads_most(int64_t rows, const int64_t *start, const int32_t *mark)
{
    int64_t entries = 0;
    for (int64_t r = 0; r < rows; r++)
        entries += mark[r] ? start[r + 1] - start[r] : 0;
    return 2 * entries >= start[rows];
}

static int64_t number_all(int64_t n, int32_t *mark)
{
    for (int64_t c = 0; c < n; c++)
        mark[c] = (int32_t)c;
    return n;
}

/* The transpose of rows row[0 .. n-1] of g, of its columns list[0 .. count-1] (NULL: all), sifted from g's own: quicker
 * than sorting. */
static void sift_transposed(Tape *t, const Csr *g, int64_t n, const int32_t *row, int64_t count, const int32_t *list,
                            Csr *sub)
{
    const Tensor *from = g->symmetric ? g->start : g->tstart, *rows_of_column = g->symmetric ? g->col : g->tcol;
    if (g->val || !from || !rows_of_column || !tape_training(t))
        return;
    const int64_t *start = tape_host(t, from);
    const int32_t *col = tape_host(t, rows_of_column);
    int32_t *nth = tape_scratch(t, g->rows, sizeof *nth); /* 1 + i for row[i], 0 for other rows */
    int64_t *tstart = tape_stage(t, count + 1, sizeof *tstart), to = 0;
    /* one more: an entry of a row that is not selected is written too, and then overwritten */
    int32_t *tcol = tape_stage(t, sub->entries + 1, sizeof *tcol);
    if (!start || !col || !nth || !tstart || !tcol)
        return;
    for (int64_t i = 0; i < n; i++)
        nth[row[i]] = (int32_t)i + 1;
    for (int64_t c = 0; c < count; c++) {
        tstart[c] = to;
        int64_t whole = list ? list[c] : c;
        for (int64_t e = start[whole]; e < start[whole + 1]; e++) {
            int32_t r = nth[col[e]] - 1;
            tcol[to] = r;
            to += r >= 0;
        }
    }
    tstart[count] = to;
    sub->tstart = tape_adopt(t, I64, count + 1, tstart);
    sub->tcol = tape_adopt(t, I32, sub->entries, tcol);
}

const Csr *csr_rows(Tape *t, const Csr *g, Tensor *ids, Tensor **from, Tensor **at)
{
    *from = *at = ids ? tape_failed(t) : NULL;
    if (!g || !ids)
        return g;
    if (!check_lists(t, "csr_rows", ids, NULL))
        return NULL;
    int32_t lo, hi;
    tape_range(ids, &lo, &hi);
    if (g->rows != g->cols || (ids->count && (lo < 0 || hi >= g->rows))) {
        tape_fail(t, SP_SHAPE, "csr_rows: rows %d to %d are out of range of a square graph; the graph is %lld x %lld",
                  lo, hi, (long long)g->rows, (long long)g->cols);
        return NULL;
    }
    double begun = trace_begin(t->run.trace);
    const int64_t *start = tape_host(t, g->start);
    const int32_t *col = tape_host(t, g->col), *row = tape_host(t, ids);
    int64_t n = ids->count, entries = 0;
    int64_t *sub_start = tape_stage(t, n + 1, sizeof *sub_start);
    int32_t *mark = tape_scratch(t, g->cols, sizeof *mark), *list = tape_stage(t, g->cols, sizeof *list),
            *where = tape_stage(t, n, sizeof *where);
    if (!start || !col || !row || !sub_start || !mark || !list || !where)
        return NULL;
    sub_start[0] = 0;
    for (int64_t i = 0; i < n; i++) {
        mark[row[i]] = 1;
        for (int64_t e = start[row[i]]; e < start[row[i] + 1]; e++)
            mark[col[e]] = 1;
        entries += start[row[i] + 1] - start[row[i]];
        sub_start[i + 1] = entries;
    }
    bool all = reads_most(g->cols, start, mark);
    int64_t count = all ? number_all(g->cols, mark) : number_marked(g->cols, mark, list);
    int32_t *sub_col = tape_stage(t, entries, sizeof *sub_col),
            *place = g->val ? tape_stage(t, entries, sizeof *place) : NULL;
    if (!sub_col || (g->val && !place))
        return NULL;
    for (int64_t i = 0, to = 0; i < n; i++) {
        where[i] = mark[row[i]];
        for (int64_t e = start[row[i]]; e < start[row[i] + 1]; e++, to++) {
            sub_col[to] = mark[col[e]];
            if (place)
                place[to] = (int32_t)e;
        }
    }
    Csr *sub = csr_on_tape(t, n, count, sub_start, sub_col);
    if (!sub)
        return NULL;
    sift_transposed(t, g, n, row, count, all ? NULL : list, sub);
    tape_trace(t, begun, "graph rows", 0, 12.0 * (double)entries);
    if (all)
        tape_unstage(t, list, (size_t)g->cols * sizeof *list);
    *from = all ? NULL : tape_adopt(t, I32, count, list);
    *at = tape_adopt(t, I32, n, where);
    sub->val = g->val ? pick(t, g->val, tape_adopt(t, I32, entries, place)) : NULL;
    sub->row_scale = g->row_scale ? pick(t, g->row_scale, ids) : NULL;
    sub->col_scale = g->col_scale && *from ? pick(t, g->col_scale, *from) : g->col_scale;
    return t->error.code == SP_OK ? sub : NULL;
}
