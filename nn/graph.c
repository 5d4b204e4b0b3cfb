/* nn/graph.c: sparse patterns: made from host arrays, transposed by counting, stored, read. */
#include <math.h>

#include "nn/tape.h"

Sparse csr_sparse(const Csr *g)
{
    return (Sparse){.rows = g->rows,
                    .cols = g->cols,
                    .entries = g->entries,
                    .start = g->start->data,
                    .col = g->col->data,
                    .val = g->val ? g->val->data : NULL,
                    .val_index = g->val_index ? g->val_index->data : NULL,
                    .row_scale = g->row_scale ? g->row_scale->data : NULL,
                    .col_scale = g->col_scale ? g->col_scale->data : NULL};
}

void pattern_transpose(int64_t rows, int64_t cols, const int64_t *start, const int32_t *col, int64_t *tstart,
                       int32_t *tcol, int32_t *tentry)
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
            if (tentry)
                tentry[at] = (int32_t)e;
        }
    /* each start was moved to the start of the next column */
    memmove(tstart + 1, tstart, (size_t)cols * sizeof *tstart);
    tstart[0] = 0;
}

/* ---- graphs in a store ----------------------------------------------------------------------- */

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

typedef struct FillPart {
    void *to;
    const void *host;
    size_t bytes;
} FillPart;
typedef struct Fill { /* arrays of the host that become parts of a graph */
    FillPart part[10];
    int count;
} Fill;

/* Returns memory of *x for n numbers: its present memory if they fit, else new memory. `more`: new memory is an eighth
 * larger, so that the next graph probably fits. */
static Stored *refit(Store *s, Tensor **x, DType type, int64_t n, bool more, Error *e)
{
    size_t bytes = (size_t)n * dtype_bytes(type);
    Stored *own = *x ? (Stored *)*x : store_tensor(s, "", type, 1, &n, e);
    if (!own)
        return NULL;
    *x = &own->x;
    if (own->bytes < bytes || !own->x.data) {
        store_release(s, own->x.data);
        own->bytes = 0;
        bytes += more ? bytes / 8 : 0;
        if (!(own->x.data = store_alloc(s, bytes, "a graph", e)))
            return NULL;
        own->bytes = bytes;
    }
    own->x.shape[0] = own->x.count = n;
    return own;
}

/* Allocates *x for n numbers of the host, which fill_parts uploads. *x becomes NULL if host is NULL. */
static bool fill_from(Store *s, Fill *f, Tensor **x, DType type, int64_t n, const void *host, Error *e)
{
    if (!host) {
        *x = NULL;
        return true;
    }
    Stored *own = refit(s, x, type, n, *x && n > (*x)->count, e);
    if (!own)
        return false;
    if (type == I32)
        stored_range(own, host);
    f->part[f->count++] = (FillPart){own->x.data, host, (size_t)n * dtype_bytes(type)};
    return stored_host(s, own, host, e);
}

/* Uploads the parts of f, in one piece if the device does not read host memory. */
static bool fill_parts(Store *s, Fill *f, Error *e)
{
    const Device *d = store_device(s);
    Run run = store_run(s);
    size_t bytes = 0;
    for (int i = 0; i < f->count; i++)
        bytes += aligned_bytes(f->part[i].bytes);
    bool whole = !device_is_host(d) && f->count > 1;
    unsigned char *host = whole ? heap_alloc(d->heap, bytes) : NULL,
                  *device = host ? d->k->alloc(&run, d->heap, bytes) : NULL;
    for (int i = 0; i < f->count && !whole; i++)
        d->k->upload(&run, f->part[i].to, f->part[i].host, f->part[i].bytes);
    if (device) {
        size_t at = 0;
        for (int i = 0; i < f->count; at += aligned_bytes(f->part[i++].bytes)) {
            memset(host + at, 0, aligned_bytes(f->part[i].bytes));
            memcpy(host + at, f->part[i].host, f->part[i].bytes);
        }
        d->k->upload(&run, device, host, bytes);
        at = 0;
        for (int i = 0; i < f->count; at += aligned_bytes(f->part[i++].bytes))
            d->k->copy(&run, f->part[i].to, device + at, f->part[i].bytes);
        d->k->free(&run, d->heap, device, bytes);
    }
    if (host)
        heap_free(d->heap, host, bytes);
    return !whole || device || fail_memory(e, bytes, "a graph");
}

/* Call it before a refill: two members that share a tensor may need two tensors afterwards. */
static void unshare(Csr *g)
{
    if (g->col_scale == g->row_scale)
        g->col_scale = NULL;
    if (g->tstart == g->start)
        g->tstart = g->tcol = NULL;
}

/* Adds the index of g's transpose, computed on the host from the pattern (start, col). The arrays on the host are
 * allocated from `h`.
 *
 * - symmetric_pattern: the pattern is equal to its transpose, so tstart and tcol are `start` and `col` of g.
 * - `places`: tentry is made too. It gives for each entry of the transpose its position in g. */
static bool add_transpose(Store *s, Csr *g, Fill *f, Host *h, const int64_t *start, const int32_t *col,
                          bool symmetric_pattern, bool places, Error *e)
{
    int64_t *tstart = host_take(h, g->cols + 1, sizeof *tstart, e);
    int32_t *tcol = tstart ? host_take(h, g->entries, sizeof *tcol, e) : NULL,
            *tentry = tcol ? host_take(h, g->entries, sizeof *tentry, e) : NULL;
    if (!tentry)
        return false;
    pattern_transpose(g->rows, g->cols, start, col, tstart, tcol, tentry);
    if (symmetric_pattern) {
        g->tstart = g->start;
        g->tcol = g->col;
    } else if (!fill_from(s, f, &g->tstart, I64, g->cols + 1, tstart, e) ||
               !fill_from(s, f, &g->tcol, I32, g->entries, tcol, e)) {
        return false;
    }
    return fill_from(s, f, &g->tentry, I32, g->entries, places ? tentry : NULL, e);
}

/* Adds to g the row number of each entry (g->row), and the index of the transposed pattern. The index includes tentry,
 * the position in g of each entry of the transpose. */
static bool add_index(Store *s, Csr *g, Fill *f, Host *h, const int64_t *start, const int32_t *col, Error *e)
{
    int32_t *row = host_take(h, g->entries, sizeof *row, e);
    for (int64_t r = 0; row && r < g->rows; r++)
        for (int64_t i = start[r]; i < start[r + 1]; i++)
            row[i] = (int32_t)r;
    return row && fill_from(s, f, &g->row, I32, g->entries, row, e) &&
           add_transpose(s, g, f, h, start, col, g->symmetric || g->tstart == g->start, true, e);
}

Csr *csr_new(Store *s, const char *name, const HostGraph *h, Error *e)
{
    if (!check_pattern(name, h->rows, h->cols, h->start, h->col, e))
        return NULL;
    Csr *g = name[0] ? store_kept(s, name, e) : NEW(store_arena(s), Csr, 1, e);
    if (!g)
        return NULL;
    bool indexed = g->row != NULL;
    unshare(g);
    g->rows = h->rows;
    g->cols = h->cols;
    g->entries = h->start[h->rows];
    Fill f = {.count = 0};
    Host scratch = {.heap = store_device(s)->heap};
    bool ok = fill_from(s, &f, &g->start, I64, g->rows + 1, h->start, e) &&
              fill_from(s, &f, &g->col, I32, g->entries, h->col, e) &&
              fill_from(s, &f, &g->val, F32, g->entries, h->val, e) &&
              fill_from(s, &f, &g->row_scale, F32, g->rows, h->row_scale, e);
    if (ok && h->col_scale == h->row_scale && g->rows == g->cols)
        g->col_scale = g->row_scale;
    else
        ok = ok && fill_from(s, &f, &g->col_scale, F32, g->cols, h->col_scale, e);
    g->symmetric = h->symmetric && g->rows == g->cols;
    if (ok && indexed) {
        ok = add_index(s, g, &f, &scratch, h->start, h->col, e);
    } else if (ok && h->symmetric_pattern && !h->symmetric && !h->val) {
        g->tstart = g->start;
        g->tcol = g->col;
    } else if (ok && !g->symmetric) {
        ok = add_transpose(s, g, &f, &scratch, h->start, h->col, h->symmetric_pattern, h->val != NULL, e);
    }
    ok = ok && fill_parts(s, &f, e);
    host_free(&scratch);
    return ok ? g : NULL;
}

bool csr_index(Store *s, Csr *g, Error *e)
{
    Host h = {.heap = store_device(s)->heap};
    Fill f = {.count = 0};
    int64_t *start = host_take(&h, g->rows + 1, sizeof *start, e);
    int32_t *col = start ? host_take(&h, g->entries, sizeof *col, e) : NULL;
    bool ok = col && csr_read(store_device(s), g, start, col, NULL, e) && add_index(s, g, &f, &h, start, col, e) &&
              fill_parts(s, &f, e);
    host_free(&h);
    return ok;
}

Csr *csr_transpose(Store *s, const Csr *g, Error *e)
{
    Csr *transposed = NEW(store_arena(s), Csr, 1, e);
    if (!transposed)
        return NULL;
    *transposed = (Csr){.rows = g->cols,
                        .cols = g->rows,
                        .entries = g->entries,
                        .start = g->symmetric ? g->start : g->tstart,
                        .col = g->symmetric ? g->col : g->tcol,
                        .row_scale = g->col_scale,
                        .col_scale = g->row_scale,
                        .tstart = g->symmetric ? NULL : g->start,
                        .tcol = g->symmetric ? NULL : g->col,
                        .symmetric = g->symmetric};
    if (g->val || !transposed->start) {
        fail(e, SP_UNSUPPORTED, "a graph with values, or without its transpose's index, cannot be transposed");
        return NULL;
    }
    return transposed;
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
        /* in ascending order, the column of a user itself is before the columns of items; that of an item is after the
         * columns of users */
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
        bool symmetric = how != ADJ_ROW_SELF;
        g = csr_new(s, name,
                    &(HostGraph){.rows = N,
                                 .cols = N,
                                 .start = from,
                                 .col = col,
                                 .row_scale = scale,
                                 .col_scale = symmetric ? scale : NULL,
                                 .symmetric = symmetric,
                                 .symmetric_pattern = true},
                    e);
    }
    host_free(&h);
    return g;
}

/* ---- graphs on a tape ------------------------------------------------------------------------ */

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
    tape_pin(t, g->val_index);
    tape_pin(t, g->tstart);
    tape_pin(t, g->tcol);
    tape_pin(t, g->row_scale);
    tape_pin(t, g->col_scale);
}

/* Returns the index of g's transpose with positions of values: the stored one, or one that is made once per step. */
static const Transposed *transposed(Tape *t, const Csr *g)
{
    for (const Transposed *k = t->transposed; k; k = k->next)
        if (k->col == g->col && k->val_index == g->val_index)
            return k;
    Transposed *k = tape_scratch(t, 1, sizeof *k);
    if (!k)
        return NULL;
    *k = (Transposed){.next = t->transposed,
                      .col = g->col,
                      .val_index = g->val_index,
                      .start = g->tstart,
                      .tcol = g->tcol,
                      .tval_index = g->tentry};
    if (!g->tstart || !g->tcol || !g->tentry || g->val_index) {
        const int64_t *start = tape_host(t, g->start);
        const int32_t *col = tape_host(t, g->col), *places = g->val_index ? tape_host(t, g->val_index) : NULL;
        int64_t *tstart = list_alloc(t, g->cols + 1, sizeof *tstart);
        int32_t *tcol = list_alloc(t, g->entries, sizeof *tcol), *tentry = list_alloc(t, g->entries, sizeof *tentry);
        if (!start || !col || !tstart || !tcol || !tentry)
            return NULL;
        pattern_transpose(g->rows, g->cols, start, col, tstart, tcol, tentry);
        for (int64_t e = 0; places && e < g->entries; e++)
            tentry[e] = places[tentry[e]];
        k->start = list_tensor(t, I64, g->cols + 1, tstart);
        k->tcol = list_tensor(t, I32, g->entries, tcol);
        k->tval_index = list_tensor(t, I32, g->entries, tentry);
        tape_pin(t, k->start);
        tape_pin(t, k->tcol);
        tape_pin(t, k->tval_index);
    }
    t->transposed = k;
    return t->error.code == SP_OK ? k : NULL;
}

void csr_back_lists(Tape *t, const Csr *g)
{
    Csr bare = *g;
    bare.val = bare.val_index = NULL;
    if (t->training && !t->host_memory)
        transposed(t, &bare);
}

bool sparse_of_transpose(Tape *t, const Csr *g, const float *val, Sparse *out)
{
    *out = csr_sparse(g);
    if (!val && g->symmetric)
        return true;
    out->rows = g->cols;
    out->cols = g->rows;
    out->row_scale = g->col_scale ? g->col_scale->data : NULL;
    out->col_scale = g->row_scale ? g->row_scale->data : NULL;
    if (!val && !g->val && g->tstart && g->tcol) { /* without values, their positions are not needed */
        out->start = g->tstart->data;
        out->col = g->tcol->data;
        return true;
    }
    const Transposed *k = transposed(t, g);
    if (!k)
        return false;
    out->start = k->start->data;
    out->col = k->tcol->data;
    out->val_index = k->tval_index->data;
    if (val)
        out->val = val;
    return true;
}

/* ---- kept graphs ----------------------------------------------------------------------------- */

/* Copies the numbers of `from` to x. */
static bool refill(Tape *t, Store *s, Tensor **x, const Tensor *from, Error *e)
{
    Stored *own = refit(s, x, from->type, from->count, true, e);
    if (!own)
        return false;
    Run run = store_run(s);
    store_device(s)->k->copy(&run, own->x.data, from->data, (size_t)from->count * dtype_bytes(from->type));
    const void *host = from->type == F32 ? NULL : tape_host(t, from);
    if (host && from->type == I32)
        stored_range(own, host);
    return from->type == F32 || (host ? stored_host(s, own, host, e) : tape_ok(t, e));
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
    unshare(k);
    k->row_scale = k->col_scale = k->row = NULL;
    k->symmetric = false;
    lists_send(t);
    bool ok = refill(t, s, &k->start, g->start, e) && refill(t, s, &k->col, g->col, e) && refill(t, s, &k->val, val, e);
    if (back)
        ok = ok && refill(t, s, &k->tstart, back->start, e) && refill(t, s, &k->tcol, back->tcol, e) &&
             refill(t, s, &k->tentry, back->tval_index, e);
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

/* Returns the numbers of x on the host: the host's copy, or a download. NULL if x is NULL or memory runs out. */
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
    Tape *t = val && g->later ? g->later->tape : NULL;
    if (t && csr_values(t, g) && !tape_ok(t, e))
        return false;
    const int64_t *from = numbers(&h, d, g->start, e);
    const int32_t *to = numbers(&h, d, g->col, e), *index = val ? numbers(&h, d, g->val_index, e) : NULL;
    const float *x = val ? numbers(&h, d, g->val, e) : NULL, *row_scale = val ? numbers(&h, d, g->row_scale, e) : NULL,
                *col_scale = val ? numbers(&h, d, g->col_scale, e) : NULL;
    bool ok = e->code == SP_OK;
    if (ok && start)
        memcpy(start, from, (size_t)(g->rows + 1) * sizeof *start);
    if (ok && col)
        memcpy(col, to, (size_t)g->entries * sizeof *col);
    for (int64_t r = 0; ok && val && r < g->rows; r++)
        for (int64_t i = from[r]; i < from[r + 1]; i++)
            val[i] = (x ? x[index ? index[i] : i] : 1) *
                     ((row_scale ? row_scale[r] : 1) * (col_scale ? col_scale[to[i]] : 1));
    host_free(&h);
    return ok;
}
