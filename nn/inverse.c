/* nn/inverse.c: the inverse of a symmetric matrix, in place, by products of blocks. */
#include <math.h>

#include "nn/tape.h"

/* Goodnight 1979, "A Tutorial on the SWEEP Operator", by blocks. A step sweeps columns [at, at + w) with the block D
 * of the diagonal and the columns P of the other rows:
 *
 *     D -> -D^-1,  P -> P D^-1,  the rest A -> A - P D^-1 P'
 *
 * After all steps the matrix is minus the inverse. It stays symmetric, so the lower triangle is computed alone: n^3
 * operations, as many as by a Cholesky factor, and nearly all of them in one product per step. Unlike that factor it
 * does not need a positive definite matrix. D is inverted in double precision, with pivots. */
enum { WIDE = 128, TALL = 512, EDGE = 64 };

typedef struct Inverse {
    const Kernels *k;
    Run run;
    bool dry; /* only work_bytes is found: the scratch of the products */
    size_t work_bytes;
    int64_t n, at, w; /* w: columns of this step, at most WIDE */
    float *x;         /* [n, n]; the lower triangle counts */
    float *p, *t;     /* [n, w]: P, 0 in the rows of D; P D^-1 */
    float *one, *d;   /* [w, w]: the identity, D^-1 */
} Inverse;

typedef struct Operand {
    const float *p;
    int64_t row, col;
} Operand;

/* C [M, N] with rows of ldc = alpha A B + beta C */
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

static void multiply(Inverse *v, Gemm g)
{
    if (v->dry)
        v->work_bytes = MAX(v->work_bytes, v->k->gemm_work(&v->run, &g));
    else if (g.M > 0 && g.N > 0)
        v->k->gemm(&v->run, &g);
}

/* C = A, A [M, w] with any strides: the product by an identity is exact */
static void copy(Inverse *v, int64_t M, Operand a, float *c, int64_t ldc)
{
    multiply(v, product(M, v->w, v->w, a, (Operand){v->one, v->w, 1}, c, ldc, 1, 0));
}

/* x [w, w] becomes its inverse, by Gauss and Jordan with the largest pivot of each column; false: it has none. */
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

/* D^-1 to v->d, and -D^-1 into the matrix. */
static bool sweep_diagonal(const Inverse *v, double *block, double *rest, float *row)
{
    const Kernels *k = v->k;
    int64_t w = v->w;
    float *diagonal = v->x + v->at * v->n + v->at;
    for (int64_t r = 0; r < w; r++) {
        k->download(&v->run, row, diagonal + r * v->n, (size_t)(r + 1) * sizeof *row);
        for (int64_t c = 0; c <= r; c++)
            block[r * w + c] = block[c * w + r] = (double)row[c];
    }
    if (!invert_block(block, rest, w))
        return false;
    for (int64_t r = 0; r < w; r++) {
        for (int64_t c = 0; c < w; c++) /* both triangles from the lower one */
            row[c] = (float)block[MAX(r, c) * w + MIN(r, c)];
        k->upload(&v->run, v->d + r * w, row, (size_t)w * sizeof *row);
        for (int64_t c = 0; c < w; c++)
            row[c] = -row[c];
        k->upload(&v->run, diagonal + r * v->n, row, (size_t)w * sizeof *row);
    }
    return true;
}

static void set_identity(const Inverse *v, float *row)
{
    memset(row, 0, sizeof *row * (size_t)v->w);
    for (int64_t r = 0; r < v->w; r++) {
        row[r] = 1;
        v->k->upload(&v->run, v->one + r * v->w, row, sizeof *row * (size_t)v->w);
        row[r] = 0;
    }
}

static bool sweep(Inverse *v, double *block, double *rest, float *row)
{
    int64_t n = v->n, at = v->at, w = v->w, end = at + w;
    Operand p = {v->p, w, 1}, turned = {v->p, 1, w};
    if (!v->dry)
        set_identity(v, row);
    copy(v, at, (Operand){v->x + at * n, 1, n}, v->p, w); /* the rows above D: from the lower triangle, turned */
    copy(v, n - end, (Operand){v->x + end * n + at, n, 1}, v->p + end * w, w);
    if (!v->dry) {
        v->k->zero(&v->run, v->p + at * w, (size_t)(w * w) * sizeof(float));
        if (!sweep_diagonal(v, block, rest, row))
            return false;
    }
    multiply(v, product(n, w, w, p, (Operand){v->d, w, 1}, v->t, w, 1, 0));
    for (int64_t r = 0; r < n; r += TALL) {
        int64_t rows = MIN(n - r, (int64_t)TALL);
        multiply(v, product(rows, r + rows, w, (Operand){v->t + r * w, w, 1}, turned, v->x + r * n, n, -1, 1));
    }
    multiply(v, product(w, at, w, (Operand){v->one, w, 1}, (Operand){v->t, 1, w}, v->x + at * n, n, 1, 0));
    copy(v, n - end, (Operand){v->t + end * w, w, 1}, v->x + end * n + at, n);
    return true;
}

static bool sweep_all(Inverse *v, double *block)
{
    bool ok = true;
    for (v->at = 0; ok && v->at < v->n; v->at += v->w) {
        v->w = MIN(v->n - v->at, (int64_t)WIDE);
        ok = sweep(v, block, block + v->w * v->w, (float *)(block + 2 * v->w * v->w));
    }
    return ok;
}

/* a = -lower triangle of a, mirrored; tile by tile, as the mirror image is read by columns */
static void mirror_negated(float *a, int64_t n)
{
    for (int64_t r = 0; r < n; r += EDGE)
        for (int64_t c = 0; c <= r; c += EDGE)
            for (int64_t i = r; i < MIN(r + EDGE, n); i++)
                for (int64_t j = c; j <= MIN(c + EDGE - 1, i); j++)
                    a[j * n + i] = a[i * n + j] = -a[i * n + j];
}

static bool all_finite(const float *a, int64_t n)
{
    bool ok = true;
    for (int64_t i = 0; i < n * n; i++)
        ok = ok && isfinite(a[i]);
    return ok;
}

/* Memory of the device for `count` floats, in whole cache lines. */
static size_t room(size_t count)
{
    return (count * sizeof(float) + ALIGN - 1) / ALIGN * ALIGN;
}

bool invert_symmetric(const Device *d, int64_t n, float *a, Error *e)
{
    Run run = device_run(d);
    Inverse v = {.k = d->k, .run = run, .n = n, .dry = true};
    size_t w = (size_t)MIN(n, (int64_t)WIDE), bytes = (size_t)n * (size_t)n * sizeof(float);
    size_t panel = room((size_t)n * w), square = room(w * w), own_bytes = 2 * panel + 2 * square;
    size_t host_bytes = w * w * 2 * sizeof(double) + w * sizeof(float);
    bool host = device_is_host(d);
    if (n == 0)
        return true;
    double *block = heap_alloc(d->heap, host_bytes);
    unsigned char *own = d->k->alloc(&run, d->heap, own_bytes);
    v.x = host ? a : d->k->alloc(&run, d->heap, bytes);
    if (block && own && v.x) {
        v.p = (float *)own;
        v.t = (float *)(own + panel);
        v.one = (float *)(own + 2 * panel);
        v.d = (float *)(own + 2 * panel + square);
        sweep_all(&v, block);
        v.run.work_bytes = MAX(v.work_bytes, (size_t)1);
        v.run.work = d->k->alloc(&run, d->heap, v.run.work_bytes);
    }
    bool ok = v.run.work || fail_memory(e, own_bytes + v.work_bytes + (host ? 0 : bytes), "the inverse of a matrix");
    if (ok) {
        if (!host)
            d->k->upload(&run, v.x, a, bytes);
        v.dry = false;
        double begun = trace_begin(d->trace);
        ok = sweep_all(&v, block);
        trace_end(d->trace, begun, "inverse", (double)n * (double)n * (double)n, 2.0 * (double)bytes);
        if (!host)
            d->k->download(&run, a, v.x, bytes);
        mirror_negated(a, n);
        ok = (ok && all_finite(a, n)) || fail(e, SP_FORMAT, "the matrix has no inverse in float32");
    }
    if (v.run.work)
        d->k->free(&run, d->heap, v.run.work, v.run.work_bytes);
    if (!host && v.x)
        d->k->free(&run, d->heap, v.x, bytes);
    if (own)
        d->k->free(&run, d->heap, own, own_bytes);
    heap_free(d->heap, block, host_bytes);
    return ok;
}
