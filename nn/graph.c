/* nn/graph.c: sparse patterns: made from host arrays, transposed by counting, kept, read. */
#include <math.h>

#include "nn/tape.h"

Sparse csr_sparse(const Csr *g)
{
    return (Sparse){.rows = g->rows,
                    .cols = g->cols,
                    .start = g->start->data,
                    .col = g->col->data,
                    .val = g->val ? g->val->data : NULL,
                    .at = g->at ? g->at->data : NULL,
                    .row_scale = g->row_scale ? g->row_scale->data : NULL,
                    .col_scale = g->col_scale ? g->col_scale->data : NULL};
}

/* The pattern's transpose by counting sort: entry e of column c gets a place in tstart[c] .. tstart[c+1], in order of
 * rows; tcol is its row, tat is e. */
static void transpose(int64_t rows, int64_t cols, const int64_t *start, const int32_t *col, int64_t *tstart,
                      int32_t *tcol, int32_t *tat)
{
    memset(tstart, 0, (size_t)(cols + 1) * sizeof *tstart);
    for (int64_t e = 0; e < start[rows]; e++)
        tstart[col[e] + 1]++;
    for (int64_t c = 0; c < cols; c++)
        tstart[c + 1] += tstart[c];
    for (int64_t r = 0; r < rows; r++)
        for (int64_t e = start[r]; e < start[r + 1]; e++) {
            int64_t at = tstart[col[e]]++;
            tcol[at] = (int32_t)r;
            tat[at] = (int32_t)e;
        }
    memmove(tstart + 1, tstart, (size_t)cols * sizeof *tstart); /* each start has moved to the next one's */
    tstart[0] = 0;
}

/* ---- in a store ------------------------------------------------------------------------------ */

static bool check_pattern(const char *name, int64_t rows, int64_t cols, const int64_t *start, const int32_t *col,
                          Error *e)
{
    if (rows < 0 || cols < 0 || rows > INT32_MAX || cols > INT32_MAX || start[0] != 0)
        return fail(e, SP_SHAPE, "graph %s: a size of %lld x %lld is out of range, or start[0] is not 0", name,
                    (long long)rows, (long long)cols);
    for (int64_t r = 0; r < rows; r++) {
        if (start[r + 1] < start[r] || start[r + 1] > INT32_MAX)
            return fail(e, SP_SHAPE, "graph %s: row %lld: start[] decreases or is above 2^31", name, (long long)r);
        for (int64_t i = start[r]; i < start[r + 1]; i++)
            if (col[i] < 0 || col[i] >= cols || (i > start[r] && col[i] <= col[i - 1]))
                return fail(e, SP_SHAPE, "graph %s: row %lld: column %d is out of range or not in ascending order",
                            name, (long long)r, col[i]);
    }
    return true;
}

typedef struct Host { /* host scratch of one function */
    const Heap *heap;
    void *p[6];
    size_t bytes[6];
    int count;
} Host;

static void *host_take(Host *h, int64_t n, size_t size, Error *e)
{
    size_t bytes;
    if (!size_mul((size_t)MAX(n, 1), size, &bytes) || !(h->p[h->count] = heap_alloc(h->heap, bytes))) {
        fail_memory(e, (size_t)n * size, "a graph");
        return NULL;
    }
    h->bytes[h->count] = bytes;
    return h->p[h->count++];
}

static void host_free(Host *h)
{
    while (h->count-- > 0)
        heap_free(h->heap, h->p[h->count], h->bytes[h->count]);
}

static Csr *csr_stored(Store *s, int64_t rows, int64_t cols, const int64_t *start, const int32_t *col, Error *e)
{
    int64_t entries = start[rows], starts = rows + 1;
    Csr *g = NEW(store_arena(s), Csr, 1, e);
    if (!g || !(g->start = store_i64(s, "", 1, &starts, start, e)) || !(g->col = store_i32(s, "", 1, &entries, col, e)))
        return NULL;
    g->rows = rows;
    g->cols = cols;
    g->entries = entries;
    return g;
}

Csr *csr_new(Store *s, const char *name, int64_t rows, int64_t cols, const int64_t *start, const int32_t *col,
             const float *val, bool symmetric, Error *e)
{
    Csr *g = check_pattern(name, rows, cols, start, col, e) ? csr_stored(s, rows, cols, start, col, e) : NULL;
    if (!g || (val && !(g->val = store_f32(s, "", 1, &g->entries, val, e))))
        return NULL;
    g->symmetric = symmetric && rows == cols;
    if (g->symmetric)
        return g;
    Host h = {.heap = store_device(s)->heap};
    int64_t *tstart = host_take(&h, cols + 1, sizeof *tstart, e), starts = cols + 1;
    int32_t *tcol = tstart ? host_take(&h, g->entries, sizeof *tcol, e) : NULL,
            *tat = tcol ? host_take(&h, g->entries, sizeof *tat, e) : NULL;
    if (tat) {
        transpose(rows, cols, start, col, tstart, tcol, tat);
        g->tstart = store_i64(s, "", 1, &starts, tstart, e);
        g->tcol = store_i32(s, "", 1, &g->entries, tcol, e);
        g->tat = store_i32(s, "", 1, &g->entries, tat, e);
    }
    host_free(&h);
    return g->tstart && g->tcol && g->tat ? g : NULL;
}

Csr *csr_bipartite(Store *s, const char *name, int64_t U, int64_t I, const int64_t *start, const int32_t *item,
                   Adjacency how, Error *e)
{
    if (!check_pattern(name, U, I, start, item, e))
        return NULL;
    bool self = how == ADJ_ROW_SELF || how == ADJ_BOTH_SELF || how == ADJ_SYM_SELF;
    int64_t N = U + I, pairs = start[U], entries = 2 * pairs + (self ? N : 0);
    if (N > INT32_MAX || entries > INT32_MAX) {
        fail(e, SP_SHAPE, "graph %s: %lld nodes and %lld entries are above the limit of 2^31", name, (long long)N,
             (long long)entries);
        return NULL;
    }
    Host h = {.heap = store_device(s)->heap};
    int64_t *from = host_take(&h, N + 1, sizeof *from, e);
    int64_t *at = from ? host_take(&h, N, sizeof *at, e) : NULL;
    int32_t *col = at ? host_take(&h, entries, sizeof *col, e) : NULL;
    float *scale = col ? host_take(&h, N, sizeof *scale, e) : NULL;
    Csr *g = NULL;
    if (scale) {
        memset(from, 0, (size_t)(N + 1) * sizeof *from);
        for (int64_t u = 0; u < U; u++)
            from[u + 1] = start[u + 1] - start[u] + self;
        for (int64_t i = 0; i < I; i++)
            from[U + i + 1] = self;
        for (int64_t p = 0; p < pairs; p++)
            from[U + item[p] + 1]++;
        for (int64_t n = 0; n < N; n++) {
            double degree = (double)from[n + 1];
            if (how == ADJ_SYM_EPS)
                scale[n] = (float)(1 / sqrt(degree + 1e-7));
            else if (how == ADJ_ROW_SELF || how == ADJ_BOTH_SELF)
                scale[n] = (float)(1 / degree);
            else
                scale[n] = degree > 0 ? (float)(1 / sqrt(degree)) : 0;
            from[n + 1] += from[n];
            at[n] = from[n];
        }
        /* a user's own column is before its items' columns, an item's own is after its users' */
        for (int64_t u = 0; u < U; u++) {
            if (self)
                col[at[u]++] = (int32_t)u;
            for (int64_t p = start[u]; p < start[u + 1]; p++) {
                col[at[u]++] = (int32_t)(U + item[p]);
                col[at[U + item[p]]++] = (int32_t)u;
            }
        }
        for (int64_t i = U; self && i < N; i++)
            col[at[i]++] = (int32_t)i;
        g = csr_stored(s, N, N, from, col, e);
    }
    if (g && (g->row_scale = store_scale(s, N, scale, e))) {
        g->symmetric = how != ADJ_ROW_SELF;
        if (g->symmetric) {
            g->col_scale = g->row_scale;
        } else { /* the pattern is its own transpose */
            g->tstart = g->start;
            g->tcol = g->col;
        }
    }
    host_free(&h);
    return g && g->row_scale ? g : NULL;
}

/* ---- on a tape ------------------------------------------------------------------------------- */

Csr *csr_on_tape(Tape *t, int64_t rows, int64_t cols, int64_t *start, int32_t *col)
{
    Csr *g = tape_scratch(t, 1, sizeof *g);
    if (!g)
        return NULL;
    *g = (Csr){.rows = rows, .cols = cols, .entries = start[rows]};
    g->start = list_tensor(t, I64, rows + 1, start);
    g->col = list_tensor(t, I32, g->entries, col);
    return t->error.code == SP_OK ? g : NULL;
}

void csr_pin(Tape *t, const Csr *g)
{
    tape_pin(t, g->start);
    tape_pin(t, g->col);
    tape_pin(t, g->at);
    tape_pin(t, g->tstart);
    tape_pin(t, g->tcol);
    tape_pin(t, g->row_scale);
    tape_pin(t, g->col_scale);
}

/* The index of g's transpose with places of values: g's own, or made once a step. */
static const Transposed *transposed(Tape *t, const Csr *g)
{
    for (const Transposed *k = t->transposed; k; k = k->next)
        if (k->col == g->col && k->places == g->at)
            return k;
    Transposed *k = tape_scratch(t, 1, sizeof *k);
    if (!k)
        return NULL;
    *k = (Transposed){
        .next = t->transposed, .col = g->col, .places = g->at, .start = g->tstart, .tcol = g->tcol, .at = g->tat};
    if (!g->tstart || !g->tcol || !g->tat || g->at) {
        const int64_t *start = tape_host(t, g->start);
        const int32_t *col = tape_host(t, g->col), *places = g->at ? tape_host(t, g->at) : NULL;
        int64_t *tstart = list_alloc(t, g->cols + 1, sizeof *tstart);
        int32_t *tcol = list_alloc(t, g->entries, sizeof *tcol), *tat = list_alloc(t, g->entries, sizeof *tat);
        if (!start || !col || !tstart || !tcol || !tat)
            return NULL;
        transpose(g->rows, g->cols, start, col, tstart, tcol, tat);
        for (int64_t e = 0; places && e < g->entries; e++)
            tat[e] = places[tat[e]];
        k->start = list_tensor(t, I64, g->cols + 1, tstart);
        k->tcol = list_tensor(t, I32, g->entries, tcol);
        k->at = list_tensor(t, I32, g->entries, tat);
        tape_pin(t, k->start);
        tape_pin(t, k->tcol);
        tape_pin(t, k->at);
    }
    t->transposed = k;
    return t->error.code == SP_OK ? k : NULL;
}

bool csr_transposed(Tape *t, const Csr *g, const float *val, Sparse *out)
{
    *out = csr_sparse(g);
    if (!val && g->symmetric)
        return true;
    out->rows = g->cols;
    out->cols = g->rows;
    out->row_scale = g->col_scale ? g->col_scale->data : NULL;
    out->col_scale = g->row_scale ? g->row_scale->data : NULL;
    if (!val && !g->val && g->tstart && g->tcol) { /* no values: their places are not needed */
        out->start = g->tstart->data;
        out->col = g->tcol->data;
        return true;
    }
    const Transposed *k = transposed(t, g);
    if (!k)
        return false;
    out->start = k->start->data;
    out->col = k->tcol->data;
    out->at = k->at->data;
    if (val)
        out->val = val;
    return true;
}

/* ---- kept graphs ----------------------------------------------------------------------------- */

/* Copies n numbers of `from` to x, into its memory if they fit. Else it gets an eighth more than it needs, so that the
 * next graph fits too. */
static bool refill(Tape *t, Store *s, Tensor **x, const Tensor *from, Error *e)
{
    DType type = from->type;
    int64_t n = from->count;
    size_t bytes = (size_t)n * dtype_bytes(type);
    const Device *d = store_device(s);
    Run run = store_run(s);
    if (!*x) {
        Stored *made = store_tensor(s, "", type, 1, &n, e);
        if (!made)
            return false;
        *x = &made->x;
    }
    Stored *own = (Stored *)*x;
    if (own->bytes < bytes || !own->x.data) {
        store_release(s, own->x.data);
        own->bytes = 0;
        if (!(own->x.data = store_alloc(s, bytes + bytes / 8, "a graph", e)))
            return false;
        own->bytes = bytes + bytes / 8;
    }
    own->x.shape[0] = own->x.count = n;
    d->k->copy(&run, own->x.data, from->data, bytes);
    const void *host = type == F32 ? NULL : tape_host(t, from);
    return type == F32 || (host ? stored_host(s, own, host, e) : tape_ok(t, e));
}

static Csr *keep(Tape *t, Store *s, const char *name, const Csr *g, bool transposes, Error *e)
{
    Tensor *val = g ? edge_values(t, g) : NULL;
    if (!tape_ok(t, e) || !val) {
        fail(e, SP_USAGE, "graph %s: the graph is missing", name);
        return NULL;
    }
    Csr *k = store_kept(s, name, e);
    const Transposed *back = k && transposes ? transposed(t, g) : NULL;
    if (!k || (transposes && !back)) {
        tape_ok(t, e);
        return NULL;
    }
    k->rows = g->rows;
    k->cols = g->cols;
    k->entries = g->entries;
    lists_send(t);
    bool ok = refill(t, s, &k->start, g->start, e) && refill(t, s, &k->col, g->col, e) && refill(t, s, &k->val, val, e);
    if (back)
        ok = ok && refill(t, s, &k->tstart, back->start, e) && refill(t, s, &k->tcol, back->tcol, e) &&
             refill(t, s, &k->tat, back->at, e);
    return ok ? k : NULL;
}

Csr *csr_keep(Tape *t, Store *s, const char *name, const Csr *g, Error *e)
{
    return keep(t, s, name, g, true, e);
}

Csr *csr_keep_rows(Tape *t, Store *s, const char *name, const Csr *g, Error *e)
{
    return keep(t, s, name, g, false, e);
}

/* The numbers of x: the host's copy, or one download. NULL: x is NULL, or out of memory. */
static const void *numbers(Host *h, const Device *d, const Tensor *x, Error *e)
{
    if (!x)
        return NULL;
    const void *host = x->id < 0 ? ((const Stored *)x)->host : ((const Node *)x)->host;
    void *own = host ? NULL : host_take(h, x->count, dtype_bytes(x->type), e);
    if (own)
        tensor_read(d, x, 0, x->count, own);
    return host ? host : own;
}

bool csr_read(const Device *d, const Csr *g, int64_t *start, int32_t *col, float *val, Error *e)
{
    Host h = {.heap = d->heap};
    const int64_t *from = numbers(&h, d, g->start, e);
    const int32_t *to = numbers(&h, d, g->col, e), *at = val ? numbers(&h, d, g->at, e) : NULL;
    const float *x = val ? numbers(&h, d, g->val, e) : NULL, *by = val ? numbers(&h, d, g->row_scale, e) : NULL,
                *too = val ? numbers(&h, d, g->col_scale, e) : NULL;
    bool ok = e->code == SP_OK;
    if (ok && start)
        memcpy(start, from, (size_t)(g->rows + 1) * sizeof *start);
    if (ok && col)
        memcpy(col, to, (size_t)g->entries * sizeof *col);
    for (int64_t r = 0; ok && val && r < g->rows; r++)
        for (int64_t i = from[r]; i < from[r + 1]; i++)
            val[i] = (x ? x[at ? at[i] : i] : 1) * ((by ? by[r] : 1) * (too ? too[to[i]] : 1));
    host_free(&h);
    return ok;
}
