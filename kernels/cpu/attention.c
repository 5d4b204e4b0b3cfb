/* kernels/cpu/attention.c: attention over ragged batches.
 *
 *   O = softmax(scale Q K' + bias) V    (K' is K transposed)
 *
 * How the loop is arranged: a task has one text and one head of keys, or a part of their queries (parts_of); K and V
 * are packed once per task. For TILE_ROWS queries at a time, the scores against a block of KEYS keys are computed in
 * register tiles (gemm/tile.h) and stay in the L1 cache. There they become weights P, which are immediately multiplied
 * by V. The matrix of all scores is never stored. If a text has several blocks of keys, the softmax is computed with a
 * running maximum m and a running sum l (Milakov & Gimelshein 2018; Dao et al. 2022). For each block:
 *
 *   S = scale Q K_block' + bias
 *   m_new = max(m, the maximum of S per row)
 *   P = e^(S - m_new)
 *   l_new = e^(m - m_new) l + the sum of P per row
 *   O_new = e^(m - m_new) O + P V_block
 *
 * After the last block, O is divided by l, and lse = m + ln l. Blocks begin at multiples of KEYS, so the bits of a row
 * depend on its own text only. A block in which a query attends to no key does not change the query's row. */
// flags baseline: -Os
#include <float.h>
#include <math.h>

#include "kernels/cpu/loops.h"
#include "kernels/cpu/gemm/tile.h"

enum { KEYS = 256, SCORE_LD = KEYS + 16 /* rows a power of two apart would share cache sets */ };

static int64_t key_heads(const Attention *t)
{
    return t->Hk ? t->Hk : t->H;
}

/* The rows of one text: its queries are the rows q .. q+queries-1, its keys the rows k .. k+keys-1. */
typedef struct Rows {
    int64_t q, queries, k, keys;
} Rows;

static Rows text_rows(const Attention *t, int64_t b)
{
    const int32_t *k = t->k_offsets ? t->k_offsets : t->q_offsets;
    return (Rows){t->q_offsets[b], t->q_offsets[b + 1] - t->q_offsets[b], k[b], k[b + 1] - k[b]};
}

/* Query i of a text attends to the keys begin .. end-1. `position`: i + keys - queries, its position among the keys. */
typedef struct Visible {
    int64_t position, begin, end;
} Visible;

static Visible visible(const Attention *t, const Rows *r, int64_t i)
{
    Visible v = {.position = i + r->keys - r->queries, .end = r->keys};
    if (t->window) {
        v.begin = MIN(MAX(v.position - t->window + 1, 0), r->keys);
        v.end = MIN(v.position + t->window, v.end);
    }
    if (t->causal)
        v.end = MIN(v.position + 1, v.end);
    v.end = MAX(v.end, v.begin);
    return v;
}

/* The range of keys that the queries first .. last of a text (inclusive) need; `begin` is rounded down to a block. No
 * keys: end <= begin */
typedef struct Span {
    int64_t begin, end;
} Span;

static Span span_of(const Attention *t, const Rows *r, int64_t first, int64_t last)
{
    return (Span){visible(t, r, first).begin / KEYS * KEYS, visible(t, r, last).end};
}

/* The sizes of the parts of a worker's scratch, in floats: packed K, packed V, the scaled queries of a tile, and its
 * sums P V. `all` also has the scores of a tile. */
typedef struct Sizes {
    size_t keys, values, query, out, all;
} Sizes;

static Sizes scratch(const Attention *t)
{
    const int64_t T = t->k_offsets ? t->k_longest : t->q_longest;
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

/* Returns the number of tasks per text and head of keys. If there are few texts and heads, their queries are split. */
static int64_t parts_of(const Run *run, const Attention *t)
{
    const int64_t threads = threads_of(run), pairs = t->B * key_heads(t);
    return threads > 1 && pairs > 0 && pairs < 2 * threads ? div_up(2 * threads, pairs) : 1;
}

Way FN(attention_way)(const Run *run, const Attention *t)
{
    const int64_t T = t->k_offsets ? t->k_longest : t->q_longest, parts = parts_of(run, t);
    Way way = {.why = parts > 1 ? "few texts and heads: queries are tasks, too"
                                : "a text and a head per task; scores stay in L1"};
    snprintf(way.name, sizeof way.name, T > KEYS ? "blocks of %d" : "one block", KEYS);
    return way;
}

/* Returns the tile C (+)= A B with K = len. The panels of B are `panel` rows of TILE_COLS numbers apart. */
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

/* s += from, or s += x if `from` is NULL */
INLINE void add_row(float *s, int64_t count, vf x, const float *from)
{
    FOR_VECTORS(0, count, store_part(s + i, load_part(s + i, n) + (from ? load_part(from + i, n) : x), n));
}

/* to = by x */
INLINE void scale_row(float *to, const float *x, int64_t count, float by)
{
    FOR_VECTORS(0, count, store_part(to + i, load_part(x + i, n) * by, n))
}

/* Adds the relative bias to the scores of a query against the keys j0 .. j0+n-1. `query` is the position of the query.
 * table[r + R] belongs to the difference r = key - query, from -R to R. Keys further to the left get table[0], keys
 * further to the right get table[2 R]. */
static void add_relative(float *s, const float *table, int64_t R, int64_t query, int64_t j0, int64_t n)
{
    const int64_t left = MIN(MAX(query - R - j0, 0), n), right = MIN(MAX(query + R + 1 - j0, 0), n);
    add_row(s, left, v_set(table[0]), NULL);
    add_row(s + left, right - left, v_zero(), table + (j0 + left - query + R));
    add_row(s + right, n - right, v_set(table[2 * R]), NULL);
}

/* Returns the maximum of `before` and s [n]; s is padded with -inf to whole vectors. */
static float largest(const float *s, int64_t n, float before)
{
    vf top = v_set(before);
    for (int64_t j = 0; j < n; j += VW)
        top = v_max(top, v_load(s + j));
    return v_max_lane(top);
}

/* Replaces s [n] by e^(s - top), in whole vectors, and returns the sum. */
INTERLEAVED static float exponentials(float *s, int64_t n, float top)
{
    vf sum = v_zero();
    int64_t j = 0;
    for (; CHAINS > 1 && n - j >= CHAINS * VW; j += CHAINS * VW) {
        vf e[CHAINS];
        UNROLL
        for (int c = 0; c < CHAINS; c++)
            e[c] = v_exp(v_load(s + j + c * VW) - top);
        UNROLL
        for (int c = 0; c < CHAINS; c++) {
            v_store(s + j + c * VW, e[c]);
            sum = sum + e[c];
        }
    }
    for (; j < n; j += VW) {
        const vf e = v_exp(v_load(s + j) - top);
        v_store(s + j, e);
        sum = sum + e;
    }
    return v_sum(sum);
}

/* Sets the scores of keys to which the query does not attend to -inf. The scores begin at key j0; n are valid, `whole`
 * includes the padding. */
static void hide(float *s, const Visible *v, int64_t j0, int64_t n, int64_t whole)
{
    for (int64_t j = 0; j < MIN(v->begin - j0, n); j++)
        s[j] = -INFINITY;
    for (int64_t j = MIN(MAX(v->end - j0, 0), n); j < whole; j++)
        s[j] = -INFINITY;
}

typedef struct Job {
    const Attention *t;
    Sizes sizes;
    int64_t parts; /* tasks per text and head of keys */
    float *work;   /* sizes.all floats per worker */
} Job;

static void task(void *arg, size_t number, int worker)
{
    const Job *job = arg;
    const Attention *t = job->t;
    const int64_t part = (int64_t)number % job->parts, shared = t->H / key_heads(t),
                  kh = (int64_t)number / job->parts % key_heads(t), b = (int64_t)number / job->parts / key_heads(t);
    const Rows r = text_rows(t, b);
    const int64_t D = t->D, T = r.keys, out_ld = round_up(D, TILE_COLS);
    const int64_t q_begin = r.queries * part / job->parts, q_end = r.queries * (part + 1) / job->parts;
    float *keys = job->work + job->sizes.all * (size_t)worker, *values = keys + job->sizes.keys,
          *query = values + job->sizes.values;
    float *out = query + job->sizes.query, *scores = out + job->sizes.out;
    const float *k = (const float *)t->k + r.k * t->k_ld + kh * D, *v = (const float *)t->v + r.k * t->v_ld + kh * D;
    if (q_begin == q_end)
        return;
    const Span packed = span_of(t, &r, q_begin, q_end - 1);
    for (int64_t j = packed.begin; j < packed.end; j += TILE_COLS)
        FN(tile_pack)(D, MIN(T - j, TILE_COLS), k + j * t->k_ld, 1, t->k_ld, keys + j * D);
    for (int64_t d = 0; d < D && packed.begin < packed.end; d += TILE_COLS)
        FN(tile_pack)
    (packed.end - packed.begin, MIN(D - d, TILE_COLS), v + packed.begin * t->v_ld + d, t->v_ld, 1,
     values + d * T + packed.begin * TILE_COLS);
    for (int64_t h = kh * shared; h < (kh + 1) * shared; h++) {
        const float *Q = (const float *)t->q + r.q * t->q_ld + h * D;
        for (int64_t i0 = q_begin, rows; i0 < q_end; i0 += rows) {
            rows = MIN(q_end - i0, TILE_ROWS);
            for (int64_t i = 0; i < rows; i++)
                scale_row(query + i * D, Q + (i0 + i) * t->q_ld, D, t->scale);
            float top[TILE_ROWS], before[TILE_ROWS], sum[TILE_ROWS] = {0};
            const Span span = span_of(t, &r, i0, i0 + rows - 1);
            for (int64_t j0 = span.begin; j0 < span.end; j0 += KEYS) {
                const int64_t n = MIN(span.end - j0, KEYS), whole = round_up(n, VW);
                const bool first = j0 == span.begin;
                const Tile score = product(query, D, D, keys + j0 * D, D, scores, SCORE_LD, true);
                FN(tile_row)(score, (int)rows, whole);
                /* All maxima are computed before all exponentials. Otherwise the exponentials of a row would wait for
                 * the maximum of this row. */
                for (int64_t i = 0; i < rows; i++) {
                    float *s = scores + i * SCORE_LD;
                    const Visible sees = visible(t, &r, i0 + i);
                    if (t->relative)
                        add_relative(s, t->relative + h * (2 * t->R + 1), t->R, sees.position, j0, n);
                    hide(s, &sees, j0, n, whole);
                    before[i] = first ? -FLT_MAX : top[i]; /* finite, because a row may have no key in this block */
                    top[i] = largest(s, whole, before[i]);
                }
                for (int64_t i = 0; i < rows; i++) {
                    const float e = exponentials(scores + i * SCORE_LD, whole, top[i]);
                    if (first) {
                        sum[i] = e;
                    } else {
                        const float shrink = v_exp(v_set(before[i] - top[i]))[0];
                        sum[i] = sum[i] * shrink + e;
                        scale_row(out + i * out_ld, out + i * out_ld, D, shrink);
                    }
                }
                const Tile value = product(scores, SCORE_LD, n, values + j0 * TILE_COLS, T, out, out_ld, first);
                FN(tile_row)(value, (int)rows, out_ld);
            }
            for (int64_t i = 0; i < rows; i++) {
                const int64_t row = r.q + i0 + i;
                float *to = (float *)t->out + row * t->out_ld + h * D;
                if (sum[i] == 0.0f)
                    memset(to, 0, (size_t)D * sizeof *to);
                else
                    scale_row(to, out + i * out_ld, D, 1.0f / sum[i]);
                if (t->lse)
                    t->lse[h * t->q_offsets[t->B] + row] =
                        sum[i] == 0.0f ? -INFINITY : top[i] + v_log(v_set(sum[i]))[0];
            }
        }
    }
}

void FN(attention)(const Run *run, const Attention *t)
{
    if (t->B == 0 || t->H == 0)
        return;
    Job job = {t, scratch(t), parts_of(run, t), run->work};
    pool_run(run->context, (size_t)(t->B * key_heads(t) * job.parts), task, &job);
}

/* ---- backward -------------------------------------------------------------------------------- */

/* The backward pass (Dao et al. 2022). P is recomputed block by block from lse:
 *
 *   P = e^(S - lse)
 *   dV = P' dO
 *   dP = dO V'
 *   dS = P (dP - delta),  delta = the sum of dO O per row
 *   dQ = scale dS K
 *   dK = scale dS' Q
 *
 * A task has one text and one head of keys. dK and dV are summed in scratch over the query heads of this key head and
 * over the queries in order, TILE_ROWS at a time. The gradient of the relative bias is the sum of dS per distance. Each
 * text and head has its own sums; the sums of the texts are added in order. */

typedef struct BackSizes {
    /* in floats. A worker needs `keys` and `dk` twice (K and V; dK and dV), `tile` four times (query, dout, dq, scaled)
     * and `scores` twice (scores, slopes) */
    size_t keys, k_rows, dk, tile, scores, all;
} BackSizes;

static BackSizes back_scratch(const Attention *t)
{
    const Sizes f = scratch(t);
    BackSizes s = {.keys = f.keys, .k_rows = f.values, .dk = f.values, .tile = f.out, .scores = TILE_ROWS * SCORE_LD};
    s.all = size_round_up(2 * s.keys + s.k_rows + 2 * s.dk + 4 * s.tile + 2 * s.scores, 16);
    return s;
}

/* Returns the number of floats for the gradients of the relative bias: one table per text and head. */
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
    float *tables; /* [B, H, 2 R + 1] */
    float *work;   /* sizes.all floats per worker */
} BackJob;

/* Returns the sum of s [count]. */
static float row_sum(const float *s, int64_t count)
{
    vf sum = v_zero();
    FOR_VECTORS(0, count, sum = sum + load_part(s + i, n))
    return v_sum(sum);
}

/* Adds the dS of a query against the keys j0 .. j0+n-1 to the table, by distance. */
static void sum_relative(float *table, const float *s, int64_t R, int64_t query, int64_t j0, int64_t n)
{
    const int64_t left = MIN(MAX(query - R - j0, 0), n), right = MIN(MAX(query + R + 1 - j0, 0), n);
    table[0] += row_sum(s, left);
    add_row(table + (j0 + left - query + R), right - left, v_zero(), s + left);
    table[2 * R] += row_sum(s + right, n - right);
}

/* Packs x [rows, D], multiplied by `scale`, as panels of B: [rows, TILE_COLS], TILE_ROWS TILE_COLS numbers apart. The
 * columns after D are zeros. */
static void pack_rows(int64_t rows, int64_t D, const float *x, int64_t ld, float scale, float *to)
{
    for (int64_t d = 0; d < D; d += TILE_COLS) {
        float *panel = to + d * TILE_ROWS;
        FN(tile_pack)(rows, MIN(D - d, TILE_COLS), x + d, ld, 1, panel);
        scale_row(panel, panel, rows * TILE_COLS, scale);
    }
}

/* sums [keys, ld] += W' B, where W [rows, keys] are the weights and B [rows, ld] is packed by pack_rows. */
static void add_transposed(const float *weights, int64_t rows, int64_t keys, const float *B, float *sums, int64_t ld)
{
    for (int64_t j = 0, count; j < keys; j += count) {
        count = MIN(keys - j, TILE_ROWS);
        Tile t = product(weights + j, 1, rows, B, TILE_ROWS, sums + j * ld, ld, false);
        t.a_step = SCORE_LD; /* W is read by columns */
        FN(tile_row)(t, (int)count, ld);
    }
}

/* A task, and the parts of its worker's scratch:
 * - for all query heads of the task: K and V, packed as K' and V' (`keys`, `values`), K packed as it is (`k_rows`), and
 *   the sums dK and dV.
 * - for a tile of queries: scale Q and dO, packed (`query`, `dout`), dS K (`dq`), scale Q in rows (`scaled`), P
 *   (`scores`) and dS (`slopes`).
 * - `table` [2 R + 1]: the sums for the relative bias of head h; NULL: not computed. */
typedef struct BackTask {
    const AttentionBack *back;
    Rows r;
    int64_t h;
    float *keys, *values, *k_rows, *dk, *dv, *query, *dout, *dq, *scaled, *scores, *slopes, *table;
} BackTask;

/* Computes the queries i0 .. i0+rows-1 of one head: writes dQ, adds to dK and dV. */
static void back_tile(const BackTask *w, int64_t i0, int64_t rows)
{
    const AttentionBack *back = w->back;
    const Attention *t = &back->forward;
    const Rows *r = &w->r;
    const int64_t D = t->D, T = r->keys, h = w->h, wide = round_up(D, TILE_COLS), row0 = r->q + i0;
    const float *dO = (const float *)back->dout + row0 * t->out_ld + h * D,
                *O = (const float *)t->out + row0 * t->out_ld + h * D, *lse = t->lse + h * t->q_offsets[t->B] + row0,
                *Q = (const float *)t->q + row0 * t->q_ld + h * D;
    float *dQ = (float *)back->dq + row0 * back->dq_ld + h * D;
    pack_rows(rows, D, Q, t->q_ld, t->scale, w->query);
    pack_rows(rows, D, dO, t->out_ld, 1.0f, w->dout);
    float delta[TILE_ROWS];
    for (int64_t i = 0; i < rows; i++) {
        vf sum = v_zero();
        for (int64_t d = 0; d < D; d += VW) {
            const int n = (int)MIN(D - d, VW);
            sum = v_fma(v_load_n(dO + i * t->out_ld + d, n), v_load_n(O + i * t->out_ld + d, n), sum);
        }
        delta[i] = v_sum(sum);
        scale_row(w->scaled + i * D, Q + i * t->q_ld, D, t->scale);
    }
    const Span span = span_of(t, r, i0, i0 + rows - 1);
    for (int64_t j0 = span.begin; j0 < span.end; j0 += KEYS) {
        const int64_t n = MIN(span.end - j0, KEYS), whole = round_up(n, VW);
        const Tile score = product(w->scaled, D, D, w->keys + j0 * D, D, w->scores, SCORE_LD, true);
        FN(tile_row)(score, (int)rows, whole);
        const Tile slope = product(dO, t->out_ld, D, w->values + j0 * D, D, w->slopes, SCORE_LD, true);
        FN(tile_row)(slope, (int)rows, whole);
        for (int64_t i = 0; i < rows; i++) {
            float *s = w->scores + i * SCORE_LD, *ds = w->slopes + i * SCORE_LD;
            const Visible sees = visible(t, r, i0 + i);
            /* a query that attends to no key: its weights are 0 */
            const float log_sum = lse[i] == -INFINITY ? 0.0f : lse[i];
            if (t->relative)
                add_relative(s, t->relative + h * (2 * t->R + 1), t->R, sees.position, j0, n);
            hide(s, &sees, j0, n, whole);
            for (int64_t j = 0; j < n; j += VW) {
                const vf p = v_exp(v_load(s + j) - log_sum);
                v_store(s + j, p);
                v_store(ds + j, p * (v_load(ds + j) - delta[i]));
            }
            if (w->table)
                sum_relative(w->table, ds, t->R, sees.position, j0, n);
        }
        const Tile to_query =
            product(w->slopes, SCORE_LD, n, w->k_rows + j0 * TILE_COLS, T, w->dq, wide, j0 == span.begin);
        FN(tile_row)(to_query, (int)rows, wide);
        add_transposed(w->scores, rows, n, w->dout, w->dv + j0 * wide, wide);
        add_transposed(w->slopes, rows, n, w->query, w->dk + j0 * wide, wide);
    }
    for (int64_t i = 0; i < rows; i++, dQ += back->dq_ld) {
        if (span.begin < span.end)
            scale_row(dQ, w->dq + i * wide, D, t->scale);
        else
            memset(dQ, 0, (size_t)D * sizeof *dQ);
    }
}

static void back_task(void *arg, size_t number, int worker)
{
    const BackJob *job = arg;
    const AttentionBack *back = job->t;
    const Attention *t = &back->forward;
    const BackSizes *z = &job->sizes;
    const int64_t shared = t->H / key_heads(t), kh = (int64_t)number % key_heads(t), b = (int64_t)number / key_heads(t);
    BackTask w = {.back = back, .r = text_rows(t, b)};
    const int64_t T = w.r.keys, D = t->D, wide = round_up(D, TILE_COLS);
    const float *k = (const float *)t->k + w.r.k * t->k_ld + kh * D,
                *v = (const float *)t->v + w.r.k * t->v_ld + kh * D;
    w.keys = job->work + z->all * (size_t)worker;
    w.values = w.keys + z->keys;
    w.k_rows = w.values + z->keys;
    w.dk = w.k_rows + z->k_rows;
    w.dv = w.dk + z->dk;
    w.query = w.dv + z->dk;
    w.dout = w.query + z->tile;
    w.dq = w.dout + z->tile;
    w.scaled = w.dq + z->tile;
    w.scores = w.scaled + z->tile;
    w.slopes = w.scores + z->scores;
    for (int64_t j = 0; j < T; j += TILE_COLS) {
        FN(tile_pack)(D, MIN(T - j, TILE_COLS), k + j * t->k_ld, 1, t->k_ld, w.keys + j * D);
        FN(tile_pack)(D, MIN(T - j, TILE_COLS), v + j * t->v_ld, 1, t->v_ld, w.values + j * D);
    }
    for (int64_t d = 0; d < D && T > 0; d += TILE_COLS)
        FN(tile_pack)(T, MIN(D - d, TILE_COLS), k + d, t->k_ld, 1, w.k_rows + d * T);
    memset(w.dk, 0, (size_t)(T * wide) * sizeof(float));
    memset(w.dv, 0, (size_t)(T * wide) * sizeof(float));
    for (w.h = kh * shared; w.h < (kh + 1) * shared; w.h++) {
        const size_t table = (size_t)(2 * t->R + 1);
        w.table = back->drelative ? job->tables + (size_t)(b * t->H + w.h) * table : NULL;
        if (w.table)
            memset(w.table, 0, table * sizeof(float));
        for (int64_t i0 = 0; i0 < w.r.queries; i0 += TILE_ROWS)
            back_tile(&w, i0, MIN(w.r.queries - i0, TILE_ROWS));
    }
    for (int64_t j = 0; j < T; j++) {
        memcpy((float *)back->dk + (w.r.k + j) * back->dk_ld + kh * D, w.dk + j * wide, (size_t)D * sizeof(float));
        memcpy((float *)back->dv + (w.r.k + j) * back->dv_ld + kh * D, w.dv + j * wide, (size_t)D * sizeof(float));
    }
}

void FN(attention_back)(const Run *run, const AttentionBack *t)
{
    if (t->forward.B == 0 || t->forward.H == 0)
        return;
    BackJob job = {t, back_scratch(&t->forward), run->work, (float *)run->work + tables(t)};
    pool_run(run->context, (size_t)(t->forward.B * key_heads(&t->forward)), back_task, &job);
    const int64_t entries = t->forward.H * (2 * t->forward.R + 1);
    for (int64_t b = 0; t->drelative && b < t->forward.B; b++)
        add_row(t->drelative, entries, v_zero(), job.tables + b * entries);
}
