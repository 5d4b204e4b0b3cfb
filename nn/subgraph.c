/* nn/subgraph.c: the part of a graph that a batch depends on: some rows, and the nodes that they read. Lists of ids
 * depend on values, so infer does not support these functions. */
#include "nn/tape.h"

static bool check_lists(Tape *t, const char *op, const Tensor *a, const Tensor *b)
{
    if (t->error.code == SP_OK && (a == &t->failed || b == &t->failed || a->type != I32 || (b && b->type != I32)))
        tape_fail(t, SP_USAGE, "%s: expected lists of ids", op);
    if (t->error.code == SP_OK && t->mode != MODE_EAGER)
        tape_fail(t, SP_UNSUPPORTED, "%s: the result depends on values, which is not supported in infer", op);
    return t->error.code == SP_OK;
}

/* Makes the list of the positions of `ids` among the distinct ids, copied from `at`. Its groups are those of `ids`,
 * because equal ids have equal positions. */
static Tensor *places(Tape *t, const Tensor *ids, const int32_t *at)
{
    int64_t n = ids->count;
    int32_t *list = list_alloc(t, n, sizeof *list);
    if (!list)
        return tape_failed(t);
    memcpy(list, at, (size_t)n * sizeof *list);
    Tensor *x = list_tensor(t, I32, n, list);
    const Groups *of = t->training && t->error.code == SP_OK ? ids_groups(t, ids) : NULL;
    return of ? list_renumbered(t, x, of) : x;
}

/* Returns the groups of the ids of a and b together: a's list, followed by b's list. */
static const Groups *groups_of_both(Tape *t, const Tensor *a, const Tensor *b)
{
    if (!b)
        return ids_groups(t, a);
    const IdSet *set = a->id >= 0 ? t->nodes[a->id]->set : NULL;
    if (set && set->n == 2 && set->ids[0] == a && set->ids[1] == b)
        return set->groups;
    int32_t *ids = tape_scratch(t, a->count + b->count, sizeof *ids);
    const int32_t *of_a = tape_host(t, a), *of_b = tape_host(t, b);
    if (!ids || !of_a || !of_b)
        return NULL;
    memcpy(ids, of_a, (size_t)a->count * sizeof *ids);
    memcpy(ids + a->count, of_b, (size_t)b->count * sizeof *ids);
    return list_group(t, a->count + b->count, ids);
}

Tensor *distinct(Tape *t, Tensor *a, Tensor *b, Tensor **a_at, Tensor **b_at)
{
    int64_t n = a->count, m = b ? b->count : 0;
    int32_t lo = 0, lo_b = 0, hi;
    bool ok = check_lists(t, "distinct", a, b);
    if (ok)
        tape_range(a, &lo, &hi);
    if (ok && b)
        tape_range(b, &lo_b, &hi);
    if (MIN(lo, lo_b) < 0)
        tape_fail(t, SP_USAGE, "distinct: id %d is below 0", MIN(lo, lo_b));
    const Groups *g = ok && t->error.code == SP_OK ? groups_of_both(t, a, b) : NULL;
    int32_t *at = tape_scratch(t, n + m, sizeof *at), *unique = g ? list_alloc(t, g->count, sizeof *unique) : NULL;
    *a_at = tape_failed(t);
    if (b)
        *b_at = tape_failed(t);
    if (!at || !unique)
        return tape_failed(t);
    for (int64_t s = 0; s < g->count; s++)
        for (int64_t i = g->host.start[s]; i < g->host.start[s + 1]; i++)
            at[g->host.order[i]] = (int32_t)s;
    *a_at = places(t, a, at);
    if (b)
        *b_at = places(t, b, at + n);
    memcpy(unique, g->host.unique, (size_t)g->count * sizeof *unique);
    return list_ascending(t, list_tensor(t, I32, g->count, unique));
}

static bool ascends(int64_t n, const int32_t *ids)
{
    for (int64_t i = 1; i < n; i++)
        if (ids[i] <= ids[i - 1])
            return false;
    return true;
}

/* Makes a list ids [n] of the tape. If the ids are in ascending order, the list gets its groups immediately. */
static Tensor *ids_tensor(Tape *t, int64_t n, int32_t *ids)
{
    Tensor *x = list_tensor(t, I32, n, ids);
    return ascends(n, ids) ? list_ascending(t, x) : x;
}

Tensor *ids_join(Tape *t, Tensor *low, int64_t first, Tensor *high)
{
    int64_t n = low->count, m = high->count;
    bool ok = check_lists(t, "ids_join", low, high);
    const int32_t *a = ok ? tape_host(t, low) : NULL, *b = ok ? tape_host(t, high) : NULL;
    int32_t *ids = a && b ? list_alloc(t, n + m, sizeof *ids) : NULL;
    if (!ids)
        return tape_failed(t);
    memcpy(ids, a, (size_t)n * sizeof *ids);
    for (int64_t i = 0; i < m; i++)
        ids[n + i] = b[i] + (int32_t)first;
    return ids_tensor(t, n + m, ids);
}

Tensor *ids_split(Tape *t, Tensor *ids, int64_t first, Tensor **high)
{
    int64_t n = ids->count, low = 0;
    const int32_t *host = check_lists(t, "ids_split", ids, NULL) ? tape_host(t, ids) : NULL;
    *high = tape_failed(t);
    while (host && low < n && host[low] < first)
        low++;
    int32_t *a = host ? list_alloc(t, low, sizeof *a) : NULL, *b = a ? list_alloc(t, n - low, sizeof *b) : NULL;
    if (!b)
        return tape_failed(t);
    memcpy(a, host, (size_t)low * sizeof *a);
    for (int64_t i = low; i < n; i++)
        b[i - low] = host[i] - (int32_t)first;
    *high = ids_tensor(t, n - low, b);
    return ids_tensor(t, low, a);
}

Tensor *ids_pick(Tape *t, Tensor *ids, Tensor *at)
{
    bool ok = check_lists(t, "ids_pick", ids, at);
    const int32_t *from = ok ? tape_host(t, ids) : NULL, *place = ok ? tape_host(t, at) : NULL;
    int32_t lo = 0, hi = 0, *list = from && place ? list_alloc(t, at->count, sizeof *list) : NULL;
    if (ok)
        tape_range(at, &lo, &hi);
    if (list && at->count && (lo < 0 || hi >= ids->count))
        tape_fail(t, SP_SHAPE, "ids_pick: places %d to %d are out of range; the list has %lld ids", lo, hi,
                  (long long)ids->count);
    if (!list || t->error.code != SP_OK)
        return tape_failed(t);
    for (int64_t i = 0; i < at->count; i++)
        list[i] = from[place[i]];
    return ids_tensor(t, at->count, list);
}

/* Returns x[ids] of a vector x: computed by the host if it has a copy of x, else by a kernel. */
static Tensor *pick(Tape *t, Tensor *x, Tensor *ids)
{
    bool stored = x->id < 0 && ((const Stored *)x)->host;
    if (!stored || grad_needed(x))
        return reshape(t, gather(t, reshape(t, x, SHAPE(x->count, 1)), ids), SHAPE(ids->count));
    const float *from = tape_host(t, x);
    const int32_t *at = tape_host(t, ids);
    float *list = at ? list_alloc(t, ids->count, sizeof *list) : NULL;
    if (!list)
        return tape_failed(t);
    for (int64_t i = 0; i < ids->count; i++)
        list[i] = from[at[i]];
    return list_tensor(t, F32, ids->count, list);
}

/* Numbers the marked columns in order, and lists them. Returns their number. */
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

/* Reports whether using all nodes of the previous layer is cheaper than selecting the marked ones. In a square graph,
 * node i is both row i and column i: all nodes are used if the rows of the marked nodes have at least half of the
 * entries. In other graphs, a column has no row with its number, so the marked columns are counted: all are used if at
 * least half of them are marked. */
static bool reads_most(const Csr *g, const int64_t *start, const int32_t *mark)
{
    bool square = g->rows == g->cols;
    int64_t some = 0;
    for (int64_t c = 0; c < g->cols; c++)
        some += !mark[c] ? 0 : square ? start[c + 1] - start[c] : 1;
    return 2 * some >= (square ? start[g->rows] : g->cols);
}

/* Gives sub, which has no values, its transpose now, as a list of the step, instead of in the backward pass. */
static void list_transpose(Tape *t, Csr *sub)
{
    int64_t *tstart = list_alloc(t, sub->cols + 1, sizeof *tstart);
    int32_t *tcol = list_alloc(t, sub->entries, sizeof *tcol);
    const int64_t *start = tape_host(t, sub->start);
    const int32_t *col = tape_host(t, sub->col);
    if (!tstart || !tcol || !start || !col)
        return;
    pattern_transpose(sub->rows, sub->cols, start, col, tstart, tcol, NULL);
    sub->tstart = list_tensor(t, I64, sub->cols + 1, tstart);
    sub->tcol = list_tensor(t, I32, sub->entries, tcol);
}

static Tensor *picked_values(Tape *t, const Csr *g, const Values *v)
{
    (void)g;
    return pick(t, csr_values(t, v->from[0]), v->x);
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
    if (ids->count && (lo < 0 || hi >= g->rows)) {
        tape_fail(t, SP_SHAPE, "csr_rows: rows %d to %d are out of range; the graph is %lld x %lld", lo, hi,
                  (long long)g->rows, (long long)g->cols);
        return NULL;
    }
    double begun = tape_clock(t, "graph rows");
    bool valued = g->val || g->later, square = g->rows == g->cols;
    const int64_t *start = tape_host(t, g->start);
    const int32_t *col = tape_host(t, g->col), *row = tape_host(t, ids);
    int64_t n = ids->count, entries = 0;
    int64_t *sub_start = list_alloc(t, n + 1, sizeof *sub_start);
    int32_t *mark = tape_scratch(t, g->cols, sizeof *mark), *where = list_alloc(t, n, sizeof *where),
            *list = list_alloc(t, g->cols, sizeof *list);
    if (!start || !col || !row || !sub_start || !mark || !list || !where)
        return NULL;
    sub_start[0] = 0;
    for (int64_t i = 0; i < n; i++) {
        if (square)
            mark[row[i]] = 1;
        for (int64_t e = start[row[i]]; e < start[row[i] + 1]; e++)
            mark[col[e]] = 1;
        entries += start[row[i] + 1] - start[row[i]];
        sub_start[i + 1] = entries;
    }
    bool all = reads_most(g, start, mark);
    int64_t count = all ? g->cols : number_marked(g->cols, mark, list);
    list_trim(t, list, (size_t)g->cols * sizeof *list, all ? 0 : (size_t)count * sizeof *list);
    int32_t *sub_col = list_alloc(t, entries, sizeof *sub_col),
            *place = valued ? list_alloc(t, entries, sizeof *place) : NULL;
    if (!sub_col || (valued && !place))
        return NULL;
    for (int64_t i = 0, to = 0; i < n; i++) {
        where[i] = !square ? 0 : all ? row[i] : mark[row[i]];
        for (int64_t e = start[row[i]]; e < start[row[i] + 1]; e++, to++) {
            sub_col[to] = all ? col[e] : mark[col[e]];
            if (place)
                place[to] = (int32_t)e;
        }
    }
    Csr *sub = csr_on_tape(t, n, count, sub_start, sub_col);
    if (!sub)
        return NULL;
    if (!valued && tape_training(t))
        list_transpose(t, sub);
    *from = all ? NULL : list_ascending(t, list_tensor(t, I32, count, list));
    *at = square ? list_ascending(t, list_tensor(t, I32, n, where)) : NULL;
    sub->row_scale = g->row_scale ? pick(t, g->row_scale, ids) : NULL;
    sub->col_scale = g->col_scale && *from ? pick(t, g->col_scale, *from) : g->col_scale;
    bool gathered = valued && (g->later || grad_needed(g->val));
    Tensor *places = valued ? list_tensor(t, I32, entries, place) : NULL;
    if (gathered && !t->host_memory && ascends(entries, place)) /* the groups for the gradient are lists too */
        list_ascending(t, places);
    if (g->later) {
        sub = graph_later(t, sub, (Values){.make = picked_values, .n = 1, .from = &g, .x = places});
    } else if (places && !gathered) { /* the values are not copied */
        sub->val = g->val;
        sub->val_index = places;
    } else if (places) {
        sub->val = pick(t, g->val, places);
    }
    Sparse unused;
    if (t->training && valued && sub) /* made with the lists of the step, not in the backward pass */
        sparse_of_transpose(t, sub, NULL, &unused);
    tape_trace(t, begun, "graph rows", 0, 12.0 * (double)entries);
    return t->error.code == SP_OK ? sub : NULL;
}
