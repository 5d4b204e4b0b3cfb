/* nn/inverse.c: the inverse of a matrix, in place, by products of blocks. */
// flags: -O3
#include <math.h>

#include "nn/tape.h"

/* Gauss-Jordan elimination by blocks of columns [at, at + w), with the pivots of an LU factorisation. A step first
 * swaps rows, so that the diagonal block D has the pivots of its columns. P are these columns in the other rows; R are
 * these rows in the other columns; A is the rest of the matrix:
 *
 *   D -> D^-1,  R -> D^-1 R,  P -> -P D^-1,  A -> A - P D^-1 R
 *
 * This takes 2 n^3 operations, the same as with LU factors, and nearly all of them are one product per step. After the
 * last step, columns are swapped as the rows were, in reverse order. D is inverted in double precision. */
enum { WIDE = 128 };
static const int64_t MOST_PRODUCTS = (int64_t)1 << 33; /* multiply-adds per band */

typedef struct Inverse {
    const Kernels *k;
    Run run;
    bool dry; /* true: computes only work_bytes, the scratch of the products */
    size_t work_bytes;
    int64_t n, at, w; /* w: columns of this step, at most WIDE */
    float *x;         /* [n, n]: the matrix, in memory of the device */
    float *p, *r;     /* [n, w]: P, 0 in the rows of D; [w, n]: R */
    float *one, *d;   /* [w, w]: the identity, D^-1 */
    bool (*after)(void *arg, int64_t columns, Error *e);
    void *arg;
    /* host memory: */
    float *panel;         /* [n, w] */
    int64_t *from;        /* [n] the row that row i was swapped with */
    double *block, *rest; /* [w, w]: D in double precision, and the scratch of invert_block */
} Inverse;

typedef struct Operand {
    const float *p;
    int64_t row, col;
} Operand;

/* Describes C [M, N] = alpha A B + beta C; rows of C are ldc apart. */
static Gemm product(int64_t M, int64_t N, int64_t K, Operand a, Operand b, float *c, int64_t ldc, float alpha,
                    float beta)
{
    return (Gemm){.M = M,
                  .N = N,
                  .K = K,
                  .A = a.p,
                  .a_row = a.row,
                  .a_col = a.col,
                  .B = b.p,
                  .b_row = b.row,
                  .b_col = b.col,
                  .C = c,
                  .ldc = ldc,
                  .alpha = alpha,
                  .beta = beta};
}

/* Multiplies in bands of rows. Between two bands the caller may end the work. */
static bool multiply(Inverse *v, Gemm g, Error *e)
{
    int64_t band = MAX((int64_t)WIDE, MOST_PRODUCTS / MAX(g.N * g.K, (int64_t)1) / WIDE * WIDE), M = g.M;
    for (int64_t from = 0; from < M && g.N > 0; from += band) {
        g.M = MIN(band, M - from);
        if (v->dry)
            v->work_bytes = MAX(v->work_bytes, v->k->gemm_work(&v->run, &g));
        else
            v->k->gemm(&v->run, &g);
        g.A = (const float *)g.A + g.M * g.a_row;
        g.C = (float *)g.C + g.M * g.ldc;
        if (!v->dry && v->after && !v->after(v->arg, v->at, e))
            return false;
    }
    return true;
}

/* Replaces x [w, w] by its inverse, by Gauss-Jordan with the largest pivot of each column. Returns false if it has
 * none. */
static bool invert_block(double *x, double *rest, int64_t w)
{
    memset(rest, 0, sizeof *rest * (size_t)(w * w));
    for (int64_t r = 0; r < w; r++)
        rest[r * w + r] = 1;
    for (int64_t c = 0; c < w; c++) {
        int64_t best = c;
        for (int64_t r = c; r < w; r++)
            best = fabs(x[r * w + c]) > fabs(x[best * w + c]) ? r : best;
        double pivot = x[best * w + c];
        if (!isfinite(pivot) || pivot == 0)
            return false;
        for (int64_t i = 0; i < w; i++) {
            double a = x[best * w + i], b = rest[best * w + i];
            x[best * w + i] = x[c * w + i];
            rest[best * w + i] = rest[c * w + i];
            x[c * w + i] = a / pivot;
            rest[c * w + i] = b / pivot;
        }
        for (int64_t r = 0; r < w; r++) {
            double factor = x[r * w + c];
            for (int64_t i = 0; r != c && factor != 0 && i < w; i++) {
                x[r * w + i] -= factor * x[c * w + i];
                rest[r * w + i] -= factor * rest[c * w + i];
            }
        }
    }
    memcpy(x, rest, sizeof *x * (size_t)(w * w));
    return true;
}

/* Finds the pivots of the columns in `panel`, in rows `at` and below, as an LU factorisation does. Sets v->from[at ..
 * at + w - 1], the rows to swap with. */
static void find_pivots(const Inverse *v)
{
    int64_t n = v->n, w = v->w;
    float *x = v->panel;
    for (int64_t c = 0; c < w; c++) {
        int64_t best = v->at + c;
        for (int64_t r = best; r < n; r++)
            best = fabsf(x[r * w + c]) > fabsf(x[best * w + c]) ? r : best;
        float *row = x + (v->at + c) * w, *other = x + best * w;
        v->from[v->at + c] = best;
        for (int64_t i = 0; i < w; i++) {
            float moved = row[i];
            row[i] = other[i];
            other[i] = moved;
        }
        for (int64_t r = v->at + c + 1; r < n && row[c] != 0; r++) {
            float *below = x + r * w, factor = below[c] / row[c];
            for (int64_t i = c; i < w; i++)
                below[i] -= factor * row[i];
        }
    }
}

/* Swaps the rows of x and of p as find_pivots says. The first row of r is scratch. */
static void swap_rows(const Inverse *v)
{
    const Kernels *k = v->k;
    struct {
        float *x;
        int64_t width;
    } parts[] = {{v->x, v->n}, {v->p, v->w}};
    for (int64_t a = v->at; a < v->at + v->w; a++)
        for (size_t i = 0; i < COUNT(parts) && v->from[a] != a; i++) {
            size_t bytes = (size_t)parts[i].width * sizeof(float);
            float *x = parts[i].x + a * parts[i].width, *y = parts[i].x + v->from[a] * parts[i].width;
            k->copy(&v->run, v->r, x, bytes);
            k->copy(&v->run, x, y, bytes);
            k->copy(&v->run, y, v->r, bytes);
        }
}

/* Computes D^-1 into v->d. Returns false if D has no inverse. */
static bool invert_diagonal(const Inverse *v)
{
    int64_t w = v->w, count = w * w;
    v->k->download(&v->run, v->panel, v->p + v->at * w, (size_t)count * sizeof *v->panel);
    for (int64_t i = 0; i < count; i++)
        v->block[i] = (double)v->panel[i];
    if (!invert_block(v->block, v->rest, w))
        return false;
    for (int64_t i = 0; i < count; i++)
        v->panel[i] = (float)v->block[i];
    v->k->upload(&v->run, v->d, v->panel, (size_t)count * sizeof *v->panel);
    return true;
}

static void set_identity(const Inverse *v)
{
    memset(v->panel, 0, sizeof *v->panel * (size_t)(v->w * v->w));
    for (int64_t r = 0; r < v->w; r++)
        v->panel[r * v->w + r] = 1;
    v->k->upload(&v->run, v->one, v->panel, sizeof *v->panel * (size_t)(v->w * v->w));
}

static const char NO_INVERSE[] = "the matrix has no inverse in float32";

static bool step(Inverse *v, Error *e)
{
    const Kernels *k = v->k;
    int64_t n = v->n, at = v->at, w = v->w, end = at + w;
    Operand p = {v->p, w, 1}, one = {v->one, w, 1}, d = {v->d, w, 1}, r = {v->r, n, 1};
    float *row = v->x + at * n;
    if (!v->dry)
        set_identity(v);
    /* multiplication by the identity: an exact copy */
    if (!multiply(v, product(n, w, w, (Operand){v->x + at, n, 1}, one, v->p, w, 1, 0), e))
        return false;
    if (!v->dry) {
        k->download(&v->run, v->panel, v->p, (size_t)(n * w) * sizeof *v->panel);
        find_pivots(v);
        swap_rows(v);
        if (!invert_diagonal(v))
            return fail(e, SP_FORMAT, NO_INVERSE);
        k->zero(&v->run, v->p + at * w, (size_t)(w * w) * sizeof(float));
        k->copy(&v->run, v->r, row, (size_t)(w * n) * sizeof(float));
    }
    if (!multiply(v, product(w, n, w, d, r, row, n, 1, 0), e))
        return false;
    if (!v->dry)
        k->copy(&v->run, v->r, row, (size_t)(w * n) * sizeof(float));
    return multiply(v, product(n, at, w, p, r, v->x, n, -1, 1), e) &&
           multiply(v, product(n, n - end, w, p, (Operand){v->r + end, n, 1}, v->x + end, n, -1, 1), e) &&
           multiply(v, product(n, w, w, p, d, v->x + at, n, -1, 0), e) &&
           /* D^-1 is written last: the product above set these numbers to 0 */
           multiply(v, product(w, w, w, one, d, row + at, n, 1, 0), e);
}

static bool all_steps(Inverse *v, Error *e)
{
    bool ok = true;
    for (v->at = 0; ok && v->at < v->n; v->at += v->w) {
        v->w = MIN(v->n - v->at, (int64_t)WIDE);
        ok = step(v, e);
    }
    return ok;
}

/* Swaps column c with column from[c], the last c first. This undoes the row swaps of the steps. Returns false if a
 * number of the result is not finite. */
static bool swap_columns(const Inverse *v, float *a)
{
    bool ok = true;
    for (int64_t r = 0; r < v->n; r++) {
        float *row = a + r * v->n;
        for (int64_t c = v->n - 1; c >= 0; c--) {
            float moved = row[c];
            row[c] = row[v->from[c]];
            row[v->from[c]] = moved;
        }
        for (int64_t c = 0; c < v->n; c++)
            ok = ok && isfinite(row[c]);
    }
    return ok;
}

static bool run_steps(Inverse *v, float *a, bool host, Trace *trace, Error *e)
{
    size_t bytes = (size_t)v->n * (size_t)v->n * sizeof(float);
    if (!host)
        v->k->upload(&v->run, v->x, a, bytes);
    v->dry = false;
    double begun = trace_begin(trace);
    bool ok = all_steps(v, e);
    trace_end(trace, begun, "inverse", 2.0 * (double)v->n * (double)v->n * (double)v->n, 2.0 * (double)bytes);
    if (!host)
        v->k->download(&v->run, a, v->x, bytes);
    return ok && (swap_columns(v, a) || fail(e, SP_FORMAT, NO_INVERSE));
}

/* Rounds `count` floats up to whole cache lines. */
static size_t room(size_t count)
{
    return size_round_up(count, ALIGN / sizeof(float));
}

/* Allocates host memory; v->n is above 0. */
static bool host_memory(Inverse *v, size_t w, Arena *a, Error *e)
{
    v->block = NEW(a, double, w *w, e);
    v->rest = NEW(a, double, w *w, e);
    v->from = NEW(a, int64_t, v->n, e);
    v->panel = NEW(a, float, (size_t)v->n *w, e);
    return v->block && v->rest && v->from && v->panel;
}

static bool invert(Inverse *v, const Device *d, float *a, Arena *scratch, Error *e)
{
    Run run = device_run(d);
    size_t w = (size_t)MIN(v->n, (int64_t)WIDE), rows = (size_t)v->n, bytes = rows * rows * sizeof(float);
    size_t panel = room(rows * w), square = room(w * w), own_bytes = 2 * (panel + square) * sizeof(float);
    bool host = device_is_host(d);
    if (!host_memory(v, w, scratch, e))
        return false;
    float *own = d->k->alloc(&run, d->heap, own_bytes);
    v->x = host ? a : d->k->alloc(&run, d->heap, bytes);
    if (own && v->x) {
        v->p = own;
        v->r = own + panel;
        v->one = own + 2 * panel;
        v->d = own + 2 * panel + square;
        all_steps(v, e); /* a run without numbers, to find work_bytes */
        v->run.work_bytes = MAX(v->work_bytes, (size_t)1);
        v->run.work = d->k->alloc(&run, d->heap, v->run.work_bytes);
    }
    bool ok = v->run.work ? run_steps(v, a, host, d->trace, e)
                          : fail_memory(e, own_bytes + v->work_bytes + (host ? 0 : bytes), "an inverse");
    if (v->run.work)
        d->k->free(&run, d->heap, v->run.work, v->run.work_bytes);
    if (!host && v->x)
        d->k->free(&run, d->heap, v->x, bytes);
    if (own)
        d->k->free(&run, d->heap, own, own_bytes);
    return ok;
}

bool invert_matrix(const Device *d, int64_t n, float *a, bool (*after)(void *arg, int64_t columns, Error *e), void *arg,
                   Error *e)
{
    Inverse v = {.k = d->k, .run = device_run(d), .dry = true, .n = n, .after = after, .arg = arg};
    if (n == 0)
        return true;
    Arena *scratch = arena_new(d->heap, 0);
    bool ok = scratch ? invert(&v, d, a, scratch, e) : fail_memory(e, 1, "an inverse");
    arena_free(scratch);
    return ok;
}
