/* nn/ops/graph.c: products with sparse graphs, and graphs whose values have gradients.
 *
 * Patterns are made on the host and have no gradient. Values are tensors [entries] of the tape. On a device that does
 * not read host memory, an op makes its pattern immediately, and its values when they are first read: all patterns of a
 * step are then one upload. */
#include <math.h>

#include "nn/tape.h"

static bool has_graph(Tape *t, const char *op, const Csr *g)
{
    if (!g && t->error.code == SP_OK)
        tape_fail(t, SP_USAGE, "%s: the graph is missing", op);
    return g && t->error.code == SP_OK;
}

/* Like has_graph; also sends the lists, so that kernels can read the pattern. */
static bool reads_graph(Tape *t, const char *op, const Csr *g)
{
    if (has_graph(t, op, g))
        lists_send(t);
    return g && t->error.code == SP_OK;
}

Csr *graph_later(Tape *t, Csr *g, Values v)
{
    Values *own = g ? tape_scratch(t, 1, sizeof *own) : NULL;
    const Csr **from = own ? tape_scratch(t, v.n, sizeof *from) : NULL;
    Tensor **weights = from && v.weights ? tape_scratch(t, v.n, sizeof *weights) : NULL;
    if (!from || (v.weights && !weights))
        return NULL;
    *own = v;
    own->tape = t;
    own->from = from;
    own->weights = weights;
    for (int i = 0; i < v.n; i++) {
        from[i] = v.from[i];
        if (weights)
            weights[i] = v.weights[i];
    }
    g->later = own;
    /* there is no upload to wait for, so the values are computed now and their inputs can be freed early */
    if (t->host_memory)
        csr_values(t, g);
    return t->error.code == SP_OK ? g : NULL;
}

Tensor *csr_values(Tape *t, const Csr *g)
{
    if (!has_graph(t, "csr_values", g))
        return tape_failed(t);
    if (g->later) {
        /* the cast is safe: `later` is set only for graphs of a tape, which are not const */
        Csr *own = (Csr *)(uintptr_t)g;
        const Values *v = g->later;
        own->later = NULL;
        own->val = v->make(t, g, v);
    }
    return g->val;
}

/* ---- spmm: y = A x --------------------------------------------------------------------------- */

static void spmm_back(Tape *t, Node *n)
{
    const Csr *a = n->spec;
    Tensor *x = n->in[0], *val = n->in[1];
    int64_t D = cols_of(x);
    float beta;
    Sparse s;
    if (grad_needed(x) && sparse_of_transpose(t, a, NULL, &s)) {
        float *dx = grad_into(t, x, &beta);
        lists_send(t);
        if (dx)
            t->k->spmm(&t->run, &s, D, F32, n->grad, D, 1, beta, dx, D);
    }
    if (grad_needed(val)) {
        float *dval = grad_into(t, val, &beta);
        s = csr_sparse(a);
        if (dval)
            t->k->sddmm(&t->run, &s, D, n->grad, x->data, 1, beta, dval);
    }
}

Tensor *spmm(Tape *t, const Csr *a, Tensor *x)
{
    static const Op op = {.name = "spmm", .back_name = "spmm back", .back = spmm_back, .optional = 2};
    Tensor *val = has_graph(t, op.name, a) ? csr_values(t, a) : NULL;
    Node *n = reads_graph(t, op.name, a) ? node_new(t, &op, INPUTS(x, val)) : NULL;
    if (!n || !node_fits(t, n, rows_of(x) == a->cols) || !node_out(t, n, F32, SHAPE(a->rows, cols_of(x))))
        return tape_failed(t);
    int64_t D = cols_of(x);
    Sparse s = csr_sparse(a);
    n->spec = a;
    n->unread = UNREAD(RESULT) | (grad_needed(val) ? 0 : UNREAD(0));
    if (n->out.needs_grad)
        csr_pin(t, a);
    if (tape_live(t))
        t->k->spmm(&t->run, &s, D, F32, x->data, D, 1, 0, n->out.data, D);
    return node_done(t, n, 2.0 * (double)a->entries * (double)D,
                     (double)a->entries * (8.0 + 4.0 * (double)D) + 4.0 * (double)n->out.count);
}

/* ---- sddmm: out[e] = x[row of e] . y[col of e] ----------------------------------------------- */

static Sparse pattern_of(const Csr *g)
{
    return (Sparse){
        .rows = g->rows, .cols = g->cols, .entries = g->entries, .start = g->start->data, .col = g->col->data};
}

/* Sets *s to the pattern of g with the values val, and *back to its transpose. */
static bool pattern_back(Tape *t, const Csr *g, const float *val, Sparse *s, Sparse *back)
{
    Csr bare = *g;
    bare.val = bare.val_index = bare.row_scale = bare.col_scale = NULL;
    *s = pattern_of(g);
    s->val = val;
    bool ok = sparse_of_transpose(t, &bare, val, back);
    lists_send(t);
    return ok;
}

static void sddmm_back(Tape *t, Node *n)
{
    const Csr *g = n->spec;
    Tensor *x = n->in[0], *y = n->in[1];
    int64_t D = cols_of(x);
    Sparse s, back;
    float beta;
    if (!pattern_back(t, g, n->grad, &s, &back))
        return;
    float *dx = grad_into(t, x, &beta);
    if (dx)
        t->k->spmm(&t->run, &s, D, F32, y->data, D, 1, beta, dx, D);
    float *dy = grad_into(t, y, &beta);
    if (dy)
        t->k->spmm(&t->run, &back, D, F32, x->data, D, 1, beta, dy, D);
}

Tensor *sddmm(Tape *t, const Csr *g, Tensor *x, Tensor *y)
{
    static const Op op = {.name = "sddmm", .back_name = "sddmm back", .back = sddmm_back};
    Node *n = x && y && reads_graph(t, op.name, g) ? node_new(t, &op, INPUTS(x, y)) : NULL;
    if (!n || !node_fits(t, n, rows_of(x) == g->rows && rows_of(y) == g->cols && cols_of(x) == cols_of(y)) ||
        !node_out(t, n, F32, SHAPE(g->entries)))
        return tape_failed(t);
    n->spec = g;
    n->unread = UNREAD(RESULT);
    if (n->out.needs_grad)
        csr_pin(t, g);
    Sparse s = pattern_of(g);
    if (tape_live(t))
        t->k->sddmm(&t->run, &s, cols_of(x), x->data, y->data, 1, 0, n->out.data);
    return node_done(t, n, 2.0 * (double)g->entries * (double)cols_of(x),
                     (double)g->entries * (8.0 + 4.0 * (double)cols_of(x)));
}

static void edge_softmax_op_back(Tape *t, Node *n)
{
    Sparse s = pattern_of(n->spec);
    float *dx = step_floats(t, n->out.count);
    if (!dx)
        return;
    t->k->edge_softmax_back(&t->run, &s, n->out.data, n->grad, dx);
    grad_put(t, n->in[0], dx);
}

Tensor *edge_softmax(Tape *t, const Csr *g, Tensor *x)
{
    static const Op op = {.name = "edge_softmax", .back_name = "edge_softmax back", .back = edge_softmax_op_back};
    Node *n = reads_graph(t, op.name, g) ? node_new(t, &op, INPUTS(x)) : NULL;
    if (!n || !node_fits(t, n, x->count == g->entries) || !node_out(t, n, F32, x->dims, x->shape))
        return tape_failed(t);
    n->spec = g;
    if (n->out.needs_grad)
        csr_pin(t, g);
    Sparse s = pattern_of(g);
    if (tape_live(t))
        t->k->edge_softmax(&t->run, &s, x->data, n->out.data);
    return node_done(t, n, 5.0 * (double)x->count, 8.0 * (double)x->count);
}

static void edge_transpose_back(Tape *t, Node *n)
{
    const Csr *transposed = n->spec;
    float beta, *dx = grad_into(t, n->in[0], &beta);
    if (dx)
        t->k->gather(&t->run, transposed->entries, 1, F32, n->grad, transposed->tentry->data, beta, dx);
}

Tensor *edge_transpose(Tape *t, const Csr *g, const Csr *transposed, Tensor *x)
{
    static const Op op = {.name = "edge_transpose", .back_name = "edge_transpose back", .back = edge_transpose_back};
    Node *n = reads_graph(t, op.name, g) && reads_graph(t, op.name, transposed) ? node_new(t, &op, INPUTS(x)) : NULL;
    if (!n || !node_fits(t, n, x->count == g->entries && x->count == transposed->entries))
        return tape_failed(t);
    if (!g->tentry || !transposed->tentry) {
        tape_fail(t, SP_USAGE, "edge_transpose: both graphs need an index: call csr_index");
        return tape_failed(t);
    }
    if (!node_out(t, n, F32, x->dims, x->shape))
        return tape_failed(t);
    n->spec = transposed;
    n->unread = UNREAD_ALL;
    if (tape_live(t))
        t->k->gather(&t->run, g->entries, 1, F32, x->data, g->tentry->data, 0, n->out.data);
    return node_done(t, n, 0, 12.0 * (double)x->count);
}

/* ---- values ---------------------------------------------------------------------------------- */

static void scaled_values(Tape *t, const Csr *g, const float *val, float *out)
{
    Sparse s = pattern_of(g);
    t->k->edge_scale(&t->run, &s, val, g->row_scale ? g->row_scale->data : NULL,
                     g->col_scale ? g->col_scale->data : NULL, out);
}

static void edge_values_back(Tape *t, Node *n)
{
    float *d = step_floats(t, n->out.count);
    if (!d)
        return;
    scaled_values(t, n->spec, n->grad, d);
    grad_put(t, n->in[0], d);
}

Tensor *edge_values(Tape *t, const Csr *g)
{
    static const Op op = {
        .name = "edge_values", .back_name = "edge_values back", .back = edge_values_back, .optional = 1};
    if (!has_graph(t, op.name, g))
        return tape_failed(t);
    Tensor *val = csr_values(t, g);
    if (val && g->val_index)
        val = reshape(t, gather(t, reshape(t, val, SHAPE(val->count, 1)), g->val_index), SHAPE(g->entries));
    if (val && !g->row_scale && !g->col_scale)
        return val;
    Node *n = reads_graph(t, op.name, g) ? node_new(t, &op, INPUTS(val)) : NULL;
    if (!n || !node_out(t, n, F32, SHAPE(g->entries)))
        return tape_failed(t);
    n->spec = g;
    n->unread = UNREAD_ALL;
    if (n->out.needs_grad)
        csr_pin(t, g);
    if (tape_live(t) && !val)
        t->k->fill(&t->run, g->entries, 1, n->out.data);
    if (tape_live(t))
        scaled_values(t, g, val ? val->data : n->out.data, n->out.data);
    return node_done(t, n, 2.0 * (double)g->entries, 8.0 * (double)g->entries);
}

Csr *graph_with(Tape *t, const Csr *g, Tensor *val)
{
    Csr *out = has_graph(t, "graph_with", g) ? tape_scratch(t, 1, sizeof *out) : NULL;
    if (!out)
        return NULL;
    if (val && val->count != g->entries) {
        tape_fail(t, SP_SHAPE, "graph_with: the graph has %lld entries; %lld values are given", (long long)g->entries,
                  (long long)val->count);
        return NULL;
    }
    *out = *g;
    out->val = val;
    out->later = NULL;
    out->val_index = out->row_scale = out->col_scale = NULL;
    out->symmetric = false;
    return out;
}

/* ---- unions of patterns ---------------------------------------------------------------------- */

typedef struct Pattern { /* arrays of the host */
    const int64_t *start;
    const int32_t *col;
} Pattern;

/* Merges the rows of n patterns, and returns the number of entries of the union. col NULL: only counts. next [n] is
 * scratch. map[g][e]: entry of pattern g at entry e of the union, or -1. back[g][i]: entry of the union for entry i of
 * pattern g. */
static int64_t merge(int n, const Pattern *p, int64_t rows, int64_t *next, int64_t *start, int32_t *col,
                     int32_t *const *map, int32_t *const *back)
{
    int64_t e = 0;
    for (int64_t r = 0; r < rows; r++) {
        for (int g = 0; g < n; g++)
            next[g] = p[g].start[r];
        for (;;) {
            int32_t c = INT32_MAX;
            for (int g = 0; g < n; g++)
                if (next[g] < p[g].start[r + 1])
                    c = MIN(c, p[g].col[next[g]]);
            if (c == INT32_MAX)
                break;
            for (int g = 0; g < n; g++) {
                bool here = next[g] < p[g].start[r + 1] && p[g].col[next[g]] == c;
                if (col) {
                    map[g][e] = here ? (int32_t)next[g] : -1;
                    if (here)
                        back[g][next[g]] = (int32_t)e;
                }
                next[g] += here;
            }
            if (col)
                col[e] = c;
            e++;
        }
        if (col)
            start[r + 1] = e;
    }
    return e;
}

/* The lists `map` and `back` of merge for each input, in host memory; in a node, their copies for the kernels. */
typedef struct Places {
    int32_t **map, **back;
} Places;

/* Adds to the gradient of in[g][i] the gradient of the entry back[g][i] of the union. */
static void place_values_back(Tape *t, Node *n)
{
    const Places *p = n->spec;
    for (int g = 0; g < n->inputs; g++) {
        float beta, *d = grad_into(t, n->in[g], &beta);
        if (d)
            t->k->gather(&t->run, n->in[g]->count, 1, F32, n->grad, p->back[g], beta, d);
    }
}

/* Computes out[e] = sum over g of in[g][map[g][e]]. */
static Tensor *place_values(Tape *t, int n_in, Tensor *const *in, int64_t entries, const Places *host)
{
    static const Op op = {.name = "graph_mix", .back_name = "graph_mix back", .back = place_values_back};
    Node *n = node_new(t, &op, n_in, in);
    Places *p = n ? tape_scratch(t, 1, sizeof *p) : NULL;
    if (!p || !(p->map = tape_scratch(t, n_in, sizeof *p->map)) ||
        !(p->back = tape_scratch(t, n_in, sizeof *p->back)) || !node_out(t, n, F32, SHAPE(entries)))
        return tape_failed(t);
    n->spec = p;
    n->unread = UNREAD_ALL;
    lists_send(t);
    for (int g = 0; g < n_in && t->error.code == SP_OK; g++) {
        p->map[g] = list_device(t, host->map[g]);
        p->back[g] = list_device(t, host->back[g]);
        t->k->gather(&t->run, entries, 1, F32, in[g]->data, p->map[g], g ? 1 : 0, n->out.data);
        if (!grad_needed(in[g]))
            list_trim(t, host->back[g], (size_t)in[g]->count * sizeof(int32_t), 0);
        list_trim(t, host->map[g], (size_t)entries * sizeof(int32_t), 0);
    }
    return node_done(t, n, (double)entries * n_in, 12.0 * (double)entries * n_in);
}

static bool check_eager(Tape *t, const char *op)
{
    if (t->error.code == SP_OK && t->mode != MODE_EAGER)
        tape_fail(t, SP_UNSUPPORTED, "%s: a graph made from values is not supported in infer", op);
    return t->error.code == SP_OK;
}

/* Makes the union of n patterns, with positions. The caller adds values. The first call of merge only counts the
 * entries. */
static Csr *unite(Tape *t, int n, const Pattern *p, int64_t rows, int64_t cols, Places *places)
{
    int64_t *next = tape_scratch(t, n, sizeof *next), *start = list_alloc(t, rows + 1, sizeof *start);
    places->map = tape_scratch(t, n, sizeof *places->map);
    places->back = tape_scratch(t, n, sizeof *places->back);
    if (!next || !start || !places->map || !places->back)
        return NULL;
    int64_t entries = merge(n, p, rows, next, NULL, NULL, NULL, NULL);
    int32_t *col = list_alloc(t, entries, sizeof *col);
    for (int g = 0; g < n; g++) {
        places->map[g] = list_alloc(t, entries, sizeof(int32_t));
        places->back[g] = list_alloc(t, p[g].start[rows], sizeof(int32_t));
    }
    if (t->error.code != SP_OK)
        return NULL;
    start[0] = 0;
    merge(n, p, rows, next, start, col, places->map, places->back);
    return csr_on_tape(t, rows, cols, start, col);
}

static Pattern host_pattern(Tape *t, const Csr *g)
{
    return (Pattern){tape_host(t, g->start), tape_host(t, g->col)};
}

static Tensor *mixed_values(Tape *t, const Csr *g, const Values *v)
{
    Tensor **val = tape_scratch(t, v->n, sizeof *val);
    for (int i = 0; val && i < v->n; i++) {
        int64_t entries = v->from[i]->entries;
        val[i] = edge_values(t, v->from[i]);
        if (v->weights && v->weights[i] && t->error.code == SP_OK)
            val[i] = reshape(t, row_scale(t, reshape(t, val[i], SHAPE(1, entries)), v->weights[i]), SHAPE(entries));
    }
    return val ? place_values(t, v->n, val, g->entries, v->places) : tape_failed(t);
}

Csr *graph_mix(Tape *t, int n, Csr *const *graphs, Tensor *const *weights)
{
    Pattern *p = check_eager(t, "graph_mix") ? tape_scratch(t, n, sizeof *p) : NULL;
    Places *places = p ? tape_scratch(t, 1, sizeof *places) : NULL;
    for (int i = 0; places && i < n; i++) {
        const Csr *g = graphs[i];
        if (!has_graph(t, "graph_mix", g))
            return NULL;
        if (g->rows != graphs[0]->rows || g->cols != graphs[0]->cols)
            tape_fail(t, SP_SHAPE, "graph_mix: the sizes differ: %lld x %lld and %lld x %lld", (long long)g->rows,
                      (long long)g->cols, (long long)graphs[0]->rows, (long long)graphs[0]->cols);
        p[i] = host_pattern(t, g);
    }
    if (t->error.code != SP_OK || n < 1)
        return NULL;
    const Csr *const *from = (const Csr *const *)graphs;
    return graph_later(t, places ? unite(t, n, p, from[0]->rows, from[0]->cols, places) : NULL,
                       (Values){.make = mixed_values, .n = n, .from = from, .weights = weights, .places = places});
}

static Tensor *diagonal_values(Tape *t, const Csr *g, const Values *v)
{
    Tensor *own = edge_values(t, v->from[0]), *diagonal = filled(t, v->number, SHAPE(MIN(g->rows, g->cols)));
    return place_values(t, 2, (Tensor *[]){own, diagonal}, g->entries, v->places);
}

Csr *graph_set_diagonal(Tape *t, Csr *g, float value)
{
    if (!check_eager(t, "graph_set_diagonal") || !has_graph(t, "graph_set_diagonal", g))
        return NULL;
    int64_t n = MIN(g->rows, g->cols);
    Places *places = tape_scratch(t, 1, sizeof *places);
    int64_t *start = tape_scratch(t, g->rows + 1, sizeof *start);
    int32_t *col = tape_scratch(t, n, sizeof *col);
    if (!places || !start || !col)
        return NULL;
    for (int64_t r = 0; r < g->rows; r++)
        start[r + 1] = MIN(r + 1, n);
    for (int64_t r = 0; r < n; r++)
        col[r] = (int32_t)r;
    Pattern p[2] = {host_pattern(t, g), {start, col}};
    Csr *out = unite(t, 2, p, g->rows, g->cols, places);
    if (!out)
        return NULL;
    for (int64_t e = 0; e < out->entries; e++) /* the old diagonal of g is not read and gets no gradient */
        if (places->map[1][e] >= 0 && places->map[0][e] >= 0) {
            places->back[0][places->map[0][e]] = -1;
            places->map[0][e] = -1;
        }
    const Csr *from = g;
    return graph_later(t, out,
                       (Values){.make = diagonal_values, .n = 1, .from = &from, .number = value, .places = places});
}

/* ---- the graph of nearest neighbours --------------------------------------------------------- */

static Tensor *cosine_values(Tape *t, const Csr *g, const Values *v)
{
    return sddmm(t, g, v->x, v->x);
}

static Csr *cosines_later(Tape *t, Csr *g, Tensor *z)
{
    if (g && grad_needed(z))
        csr_back_lists(t, g);
    return graph_later(t, g, (Values){.make = cosine_values, .x = z});
}

Csr *knn_graph(Tape *t, Tensor *x, int64_t k, KnnPlan *plan)
{
    Tensor *z = check_eager(t, "knn_graph") ? row_normalize(t, x, 1e-12f) : NULL;
    if (!z || t->error.code != SP_OK)
        return NULL;
    if (k < 1) {
        tape_fail(t, SP_USAGE, "knn_graph: k is %lld, expected at least 1", (long long)k);
        return NULL;
    }
    KnnPlan exact = {.search = SEARCH_EXACT};
    return cosines_later(t, knn_pattern(t, z, MIN(k, MAX(rows_of(z), (int64_t)1)), plan ? plan : &exact), z);
}

Csr *cosine_graph(Tape *t, Tensor *x, const Csr *pattern)
{
    Csr *g = has_graph(t, "cosine_graph", pattern) ? tape_scratch(t, 1, sizeof *g) : NULL;
    if (!g)
        return NULL;
    *g = (Csr){.rows = pattern->rows,
               .cols = pattern->cols,
               .entries = pattern->entries,
               .start = pattern->start,
               .col = pattern->col};
    return cosines_later(t, g, row_normalize(t, x, 1e-12f));
}

/* ---- normalisation by row sums at both ends: w_ij = v_ij r_i r_j with r_i = (sum_j v_ij)^-1/2 ---- */

static void graph_normalize_back(Tape *t, Node *n)
{
    const Csr *g = n->spec;
    const float *r = n->keep[0];
    Sparse s, back;
    float *d = step_floats(t, g->entries), *dr = step_floats(t, g->rows), *ones = step_floats(t, g->cols);
    if (!d || !dr || !ones)
        return;
    t->k->binary(&t->run, g->entries, BIN_MUL, n->grad, n->in[0]->data, d);
    if (!pattern_back(t, g, d, &s, &back)) /* dr_i = sum_j q_ij r_j + sum_j q_ji r_j with q = dw v */
        return;
    t->k->spmm(&t->run, &s, 1, F32, r, 1, 1, 0, dr, 1);
    t->k->spmm(&t->run, &back, 1, F32, r, 1, 1, 1, dr, 1);
    t->k->inverse_root_back(&t->run, g->rows, r, dr);
    s = pattern_of(g);
    t->k->edge_scale(&t->run, &s, n->grad, r, r, d);
    t->k->fill(&t->run, g->cols, 1, ones);
    t->k->sddmm(&t->run, &s, 1, dr, ones, 1, 1, d);
    grad_put(t, n->in[0], d);
    step_release_floats(t, dr, g->rows);
    step_release_floats(t, ones, g->cols);
}

static Tensor *normalized_values(Tape *t, const Csr *out, const Values *v)
{
    static const Op op = {.name = "graph_normalize", .back_name = "graph_normalize back", .back = graph_normalize_back};
    const Csr *g = v->from[0];
    Tensor *val = edge_values(t, g);
    Node *n = reads_graph(t, op.name, g) ? node_new(t, &op, INPUTS(val)) : NULL;
    if (!n || !node_out(t, n, F32, SHAPE(out->entries)))
        return tape_failed(t);
    float *sums = step_floats(t, g->rows);
    n->keep[0] = step_floats(t, g->rows);
    n->spec = g;
    n->unread = UNREAD(RESULT);
    if (n->out.needs_grad)
        csr_pin(t, g);
    if (!sums || !n->keep[0])
        return tape_failed(t);
    Sparse s = pattern_of(g);
    t->k->edge_row_sum(&t->run, &s, n->in[0]->data, sums);
    t->k->inverse_root(&t->run, g->rows, sums, n->keep[0]);
    t->k->edge_scale(&t->run, &s, n->in[0]->data, n->keep[0], n->keep[0], n->out.data);
    step_release_floats(t, sums, g->rows);
    return node_done(t, n, 4.0 * (double)g->entries, 16.0 * (double)g->entries);
}

Csr *graph_normalize(Tape *t, Csr *g)
{
    if (!has_graph(t, "graph_normalize", g) || !check_eager(t, "graph_normalize"))
        return NULL;
    if (g->rows != g->cols)
        tape_fail(t, SP_SHAPE, "graph_normalize: a square graph is expected; the graph is %lld x %lld",
                  (long long)g->rows, (long long)g->cols);
    Csr *out = tape_scratch(t, 1, sizeof *out);
    if (!out)
        return NULL;
    *out = (Csr){.rows = g->rows,
                 .cols = g->cols,
                 .entries = g->entries,
                 .start = g->start,
                 .col = g->col,
                 .tstart = g->tstart,
                 .tcol = g->tcol,
                 .tentry = g->tentry};
    if (g->later || grad_needed(g->val))
        csr_back_lists(t, g);
    const Csr *from = g;
    return graph_later(t, out, (Values){.make = normalized_values, .n = 1, .from = &from});
}
