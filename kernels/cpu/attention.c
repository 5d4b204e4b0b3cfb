/* kernels/cpu/attention.c: Attention over ragged batches: for TILE_ROWS queries at a time, scores against KEYS keys
 * stand in the first level of cache, are turned into weights, and multiply V at once. Long texts go on block after
 * block with a running maximum (Milakov & Gimelshein 2018; Dao et al. 2022). Blocks begin at multiples of KEYS: a row's
 * bits depend on its own text alone. */
#include <math.h>

#include "kernels/cpu/loops.h"
#include "kernels/cpu/gemm/tile.h"

enum { KEYS = 256, SCORE_LD = KEYS + 16 /* rows a power of two apart would share cache sets */ };

typedef struct Sizes { /* of a worker's scratch, in floats */
    size_t keys, values, query, out, all;
} Sizes;

static Sizes scratch(const Attention *t)
{
    int64_t T = 0;
    for (int64_t b = 0; b < t->B; b++)
        T = MAX(T, (int64_t)t->offsets[b + 1] - t->offsets[b]);
    Sizes s = {
        .keys = (size_t)(round_up(T, TILE_COLS) * t->D),
        .values = (size_t)(T * round_up(t->D, TILE_COLS)),
        .query = (size_t)(TILE_ROWS * t->D),
        .out = (size_t)(TILE_ROWS * round_up(t->D, TILE_COLS)),
    };
    s.all = (size_t)round_up((int64_t)(s.keys + s.values + s.query + s.out) + TILE_ROWS * SCORE_LD, 16);
    return s;
}

size_t FN(attention_work)(const Run *run, const Attention *t)
{
    return scratch(t).all * sizeof(float) * (size_t)threads_of(run);
}

/* C (+)= A B; B's panels lie `panel` rows of TILE_COLS numbers apart and give `len` of them. */
static Tile product(const float *a, int64_t a_row, int64_t len, const float *b, int64_t panel, float *c, int64_t ldc,
                    bool first)
{
    return (Tile){.a = a,
                  .a_row = a_row,
                  .a_step = 1,
                  .len = len,
                  .segs = 1,
                  .b = b,
                  .b_row = TILE_COLS,
                  .b_panel = panel * TILE_COLS,
                  .c = c,
                  .ldc = ldc,
                  .first = first};
}

/* s += x, or + from where it is not NULL */
INLINE void add_row(float *s, int64_t count, vf x, const float *from)
{
    FOR_VECTORS(0, count, store_part(s + i, load_part(s + i, n) + (from ? load_part(from + i, n) : x), n));
}

/* to = x times by */
INLINE void scale_row(float *to, const float *x, int64_t count, float by)
{
    FOR_VECTORS(0, count, store_part(to + i, load_part(x + i, n) * by, n))
}

/* scores of a query against keys j0 .. j0+n-1: adds what stands in the table for their distance */
static void add_relative(float *s, const float *table, int64_t R, int64_t query, int64_t j0, int64_t n)
{
    const int64_t near = MIN(MAX(query - R - j0, 0), n), far = MIN(MAX(query + R + 1 - j0, 0), n);
    add_row(s, near, v_set(table[0]), NULL);
    add_row(s + near, far - near, v_zero(), table + (j0 + near - query + R));
    add_row(s + far, n - far, v_set(table[2 * R]), NULL);
}

/* The largest of `least` and s [n, padded with -inf to whole vectors] */
static float largest(const float *s, int64_t n, float least)
{
    vf most = v_set(least);
    for (int64_t j = 0; j < n; j += VW)
        most = v_max(most, v_load(s + j));
    return v_max_lane(most);
}

/* s [n, in whole vectors] becomes e^(s - top) in place. Returns the sum. */
static float exponentials(float *s, int64_t n, float top)
{
    vf sum = v_zero();
    for (int64_t j = 0; j < n; j += VW) {
        const vf e = v_exp(v_load(s + j) - top);
        v_store(s + j, e);
        sum = sum + e;
    }
    return v_sum(sum);
}

Way FN(attention_way)(const Run *run, const Attention *t)
{
    (void)run;
    (void)t;
    return (Way){"online softmax", "scores of 256 keys at a time stay in the first-level cache"};
}

typedef struct Job {
    const Attention *t;
    Sizes sizes;
    int64_t parts; /* queries of a text and head are cut into so many tasks */
    float *work;
} Job;

static void task(void *arg, size_t number, int worker)
{
    const Job *job = arg;
    const Attention *t = job->t;
    const int64_t part = (int64_t)number % job->parts, h = (int64_t)number / job->parts % t->H,
                  b = (int64_t)number / job->parts / t->H;
    const int64_t row0 = t->offsets[b], T = t->offsets[b + 1] - row0, D = t->D, out_ld = round_up(D, TILE_COLS);
    const int64_t q_end = T * (part + 1) / job->parts;
    float *keys = job->work + job->sizes.all * (size_t)worker, *values = keys + job->sizes.keys,
          *query = values + job->sizes.values;
    float *out = query + job->sizes.query, *scores = out + job->sizes.out;
    const float *Q = t->q + row0 * t->ld + h * D, *k = t->k + row0 * t->ld + h * D, *v = t->v + row0 * t->ld + h * D;
    const int64_t last_key = t->causal ? q_end : T;
    for (int64_t j = 0; j < last_key; j += TILE_COLS)
        FN(tile_pack)(D, MIN(T - j, TILE_COLS), k + j * t->ld, 1, t->ld, keys + j * D);
    for (int64_t d = 0; d < D; d += TILE_COLS)
        FN(tile_pack)(last_key, MIN(D - d, TILE_COLS), v + d, t->ld, 1, values + d * T);
    for (int64_t i0 = T * part / job->parts, rows; i0 < q_end; i0 += rows) {
        rows = MIN(q_end - i0, TILE_ROWS);
        for (int64_t i = 0; i < rows; i++)
            scale_row(query + i * D, Q + (i0 + i) * t->ld, D, t->scale);
        float top[TILE_ROWS], before[TILE_ROWS], sum[TILE_ROWS] = {0};
        const int64_t end = t->causal ? i0 + rows : T;
        for (int64_t j0 = 0; j0 < end; j0 += KEYS) {
            const int64_t n = MIN(end - j0, KEYS), whole = round_up(n, VW);
            const Tile score = product(query, D, D, keys + j0 * D, D, scores, SCORE_LD, true);
            FN(tile_row)(score, (int)rows, whole);
            /* all maxima before all exponentials: else each row waits for its own */
            for (int64_t i = 0; i < rows; i++) {
                float *s = scores + i * SCORE_LD;
                if (t->relative)
                    add_relative(s, t->relative + h * (2 * t->R + 1), t->R, i0 + i, j0, n);
                for (int64_t j = t->causal ? MIN(MAX(i0 + i + 1 - j0, 0), n) : n; j < whole; j++)
                    s[j] = -INFINITY;
                before[i] = j0 ? top[i] : -INFINITY;
                top[i] = largest(s, whole, before[i]);
            }
            for (int64_t i = 0; i < rows; i++) {
                const float e = exponentials(scores + i * SCORE_LD, whole, top[i]);
                if (j0 == 0) {
                    sum[i] = e;
                } else {
                    const float shrink = v_exp(v_set(before[i] - top[i]))[0];
                    sum[i] = sum[i] * shrink + e;
                    scale_row(out + i * out_ld, out + i * out_ld, D, shrink);
                }
            }
            const Tile value = product(scores, SCORE_LD, n, values + j0 * TILE_COLS, T, out, out_ld, j0 == 0);
            FN(tile_row)(value, (int)rows, out_ld);
        }
        for (int64_t i = 0; i < rows; i++) {
            float *to = t->out + (row0 + i0 + i) * t->ldo + h * D;
            scale_row(to, out + i * out_ld, D, 1.0f / sum[i]);
            if (t->lse)
                t->lse[h * t->offsets[t->B] + row0 + i0 + i] = top[i] + v_log(v_set(sum[i]))[0];
        }
    }
}

void FN(attention)(const Run *run, const Attention *t)
{
    if (t->B == 0 || t->H == 0)
        return;
    const int threads = threads_of(run);
    const int64_t pairs = t->B * t->H;
    Job job = {t, scratch(t), threads > 1 && pairs < 2 * threads ? div_up(2 * threads, pairs) : 1, run->work};
    pool_run(run->context, (size_t)(pairs * job.parts), task, &job);
}

/* ---- backward -------------------------------------------------------------------------------- */

/* P = e^(S - lse) is made again tile by tile. dV = P' dO, dP = dO V', dS = P (dP - dO.O), dQ = scale dS K,
 * dK = scale dS' Q. Text and head are one task: dK and dV add up over the queries in order, TILE_ROWS at a time. The
 * relative bias' gradient is dS by distance: each task has its own sums, and those of the texts are added in order. */

typedef struct BackSizes {
    /* floats; keys, k_rows and dk are each there for K (or dK) and V (or dV) */
    size_t keys, k_rows, dk, tile, scores, all;
} BackSizes;

static BackSizes back_scratch(const Attention *t)
{
    const Sizes f = scratch(t);
    BackSizes s = {.keys = f.keys, .k_rows = f.values, .dk = f.values, .tile = f.out, .scores = TILE_ROWS * SCORE_LD};
    s.all = size_round_up(2 * s.keys + s.k_rows + 2 * s.dk + 4 * s.tile + 2 * s.scores, 16);
    return s;
}

/* Floats of the relative bias' gradient: one table per text. */
static size_t tables(const AttentionBack *t)
{
    const Attention *f = &t->forward;
    return t->drelative ? (size_t)round_up(f->B * f->H * (2 * f->R + 1), 16) : 0;
}

size_t FN(attention_back_work)(const Run *run, const AttentionBack *t)
{
    return (tables(t) + back_scratch(&t->forward).all * (size_t)threads_of(run)) * sizeof(float);
}

typedef struct BackJob {
    const AttentionBack *t;
    BackSizes sizes;
    float *tables, *work;
} BackJob;

/* Adds up s [n]. */
static float row_sum(const float *s, int64_t n)
{
    vf sum = v_zero();
    FOR_VECTORS(0, n, sum = sum + load_part(s + i, n))
    return v_sum(sum);
}

/* The slopes of a query against keys j0 .. j0+n-1, added to the table by distance */
static void sum_relative(float *table, const float *s, int64_t R, int64_t query, int64_t j0, int64_t n)
{
    const int64_t near = MIN(MAX(query - R - j0, 0), n), far = MIN(MAX(query + R + 1 - j0, 0), n);
    table[0] += row_sum(s, near);
    add_row(table + (j0 + near - query + R), far - near, v_zero(), s + near);
    table[2 * R] += row_sum(s + far, n - far);
}

/* rows x D numbers times `scale`, as B's panels [rows, TILE_COLS] at distance TILE_ROWS TILE_COLS; zeros behind D */
static void pack_rows(int64_t rows, int64_t D, const float *x, int64_t ld, float scale, float *to)
{
    for (int64_t d = 0; d < D; d += TILE_COLS) {
        float *panel = to + d * TILE_ROWS;
        FN(tile_pack)(rows, MIN(D - d, TILE_COLS), x + d, ld, 1, panel);
        scale_row(panel, panel, rows * TILE_COLS, scale);
    }
}

/* sums [keys, ld] += weights' [keys, rows] B, B by pack_rows */
static void add_transposed(const float *weights, int64_t rows, int64_t keys, const float *B, float *sums, int64_t ld)
{
    for (int64_t j = 0, many; j < keys; j += many) {
        many = MIN(keys - j, TILE_ROWS);
        Tile t = product(weights + j, 1, rows, B, TILE_ROWS, sums + j * ld, ld, false);
        t.a_step = SCORE_LD; /* by columns */
        FN(tile_row)(t, (int)many, ld);
    }
}

static void back_task(void *arg, size_t number, int worker)
{
    const BackJob *job = arg;
    const AttentionBack *back = job->t;
    const Attention *t = &back->forward;
    const BackSizes *z = &job->sizes;
    const int64_t h = (int64_t)number % t->H, b = (int64_t)number / t->H, row0 = t->offsets[b],
                  T = t->offsets[b + 1] - row0, D = t->D;
    const int64_t wide = round_up(D, TILE_COLS), from = row0 * t->ld + h * D;
    float *keys = job->work + z->all * (size_t)worker, *values = keys + z->keys, *k_rows = values + z->keys,
          *dk = k_rows + z->k_rows;
    float *dv = dk + z->dk, *query = dv + z->dk, *dout = query + z->tile, *dq = dout + z->tile, *scaled = dq + z->tile;
    float *scores = scaled + z->tile, *slopes = scores + z->scores;
    float *table = back->drelative ? job->tables + (b * t->H + h) * (2 * t->R + 1) : NULL;
    if (table)
        memset(table, 0, (size_t)(2 * t->R + 1) * sizeof(float));
    for (int64_t j = 0; j < T; j += TILE_COLS) {
        FN(tile_pack)(D, MIN(T - j, TILE_COLS), t->k + from + j * t->ld, 1, t->ld, keys + j * D);
        FN(tile_pack)(D, MIN(T - j, TILE_COLS), t->v + from + j * t->ld, 1, t->ld, values + j * D);
    }
    for (int64_t d = 0; d < D; d += TILE_COLS)
        FN(tile_pack)(T, MIN(D - d, TILE_COLS), t->k + from + d, t->ld, 1, k_rows + d * T);
    memset(dk, 0, (size_t)(T * wide) * sizeof(float));
    memset(dv, 0, (size_t)(T * wide) * sizeof(float));
    for (int64_t i0 = 0, rows; i0 < T; i0 += rows) {
        rows = MIN(T - i0, TILE_ROWS);
        const float *dO = back->dout + (row0 + i0) * t->ldo + h * D, *O = t->out + (row0 + i0) * t->ldo + h * D;
        const float *lse = t->lse + h * t->offsets[t->B] + row0 + i0, *Q = t->q + from + i0 * t->ld;
        pack_rows(rows, D, Q, t->ld, t->scale, query);
        pack_rows(rows, D, dO, t->ldo, 1.0f, dout);
        float delta[TILE_ROWS];
        for (int64_t i = 0; i < rows; i++) {
            vf sum = v_zero();
            for (int64_t d = 0; d < D; d += VW) {
                const int n = (int)MIN(D - d, VW);
                sum = v_fma(v_load_n(dO + i * t->ldo + d, n), v_load_n(O + i * t->ldo + d, n), sum);
            }
            delta[i] = v_sum(sum);
            scale_row(scaled + i * D, Q + i * t->ld, D, t->scale);
        }
        const int64_t end = t->causal ? i0 + rows : T;
        for (int64_t j0 = 0; j0 < end; j0 += KEYS) {
            const int64_t n = MIN(end - j0, KEYS), whole = round_up(n, VW);
            const Tile score = product(scaled, D, D, keys + j0 * D, D, scores, SCORE_LD, true);
            FN(tile_row)(score, (int)rows, whole);
            const Tile slope = product(dO, t->ldo, D, values + j0 * D, D, slopes, SCORE_LD, true);
            FN(tile_row)(slope, (int)rows, whole);
            for (int64_t i = 0; i < rows; i++) {
                float *s = scores + i * SCORE_LD, *ds = slopes + i * SCORE_LD;
                if (t->relative)
                    add_relative(s, t->relative + h * (2 * t->R + 1), t->R, i0 + i, j0, n);
                for (int64_t j = t->causal ? MIN(MAX(i0 + i + 1 - j0, 0), n) : n; j < whole; j++)
                    s[j] = -INFINITY;
                for (int64_t j = 0; j < n; j += VW) {
                    const vf p = v_exp(v_load(s + j) - lse[i]);
                    v_store(s + j, p);
                    v_store(ds + j, p * (v_load(ds + j) - delta[i]));
                }
                if (table)
                    sum_relative(table, ds, t->R, i0 + i, j0, n);
            }
            const Tile to_query = product(slopes, SCORE_LD, n, k_rows + j0 * TILE_COLS, T, dq, wide, j0 == 0);
            FN(tile_row)(to_query, (int)rows, wide);
            add_transposed(scores, rows, n, dout, dv + j0 * wide, wide);
            add_transposed(slopes, rows, n, query, dk + j0 * wide, wide);
        }
        for (int64_t i = 0; i < rows; i++)
            scale_row(back->dq + (row0 + i0 + i) * back->ldd + h * D, dq + i * wide, D, t->scale);
    }
    for (int64_t j = 0; j < T; j++) {
        const int64_t at = (row0 + j) * back->ldd + h * D;
        memcpy(back->dk + at, dk + j * wide, (size_t)D * sizeof(float));
        memcpy(back->dv + at, dv + j * wide, (size_t)D * sizeof(float));
    }
}

void FN(attention_back)(const Run *run, const AttentionBack *t)
{
    if (t->forward.B == 0 || t->forward.H == 0)
        return;
    BackJob job = {t, back_scratch(&t->forward), run->work, (float *)run->work + tables(t)};
    pool_run(run->context, (size_t)(t->forward.B * t->forward.H), back_task, &job);
    const int64_t entries = t->forward.H * (2 * t->forward.R + 1);
    for (int64_t b = 0; t->drelative && b < t->forward.B; b++)
        add_row(t->drelative, entries, v_zero(), job.tables + b * entries);
}
