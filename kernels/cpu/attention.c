/* Attention over ragged batches: for TILE_ROWS queries at a time, scores against KEYS keys stand in the first level of cache, are
 * turned into weights, and multiply V at once. Long texts go on block after block with a running maximum (Milakov & Gimelshein 2018;
 * Dao et al. 2022). Blocks begin at multiples of KEYS: a row's bits depend on its own text alone. */
#include <math.h>

#include "kernels/cpu/tile.h"

enum { KEYS = 256, SCORE_LD = KEYS + 16 /* rows a power of two apart would share cache sets */ };

typedef struct Sizes { /* of a worker's scratch, in floats */
    size_t keys, values, query, out, all;
} Sizes;

static int64_t up(int64_t a, int64_t b)
{
    return (a + b - 1) / b * b;
}

static Sizes scratch(const Attention *t)
{
    int64_t T = 0;
    for (int64_t b = 0; b < t->B; b++) {
        T = MAX(T, (int64_t)t->offsets[b + 1] - t->offsets[b]);
    }
    Sizes s = {
        .keys = (size_t)(up(T, TILE_COLS) * t->D),
        .values = (size_t)(T * up(t->D, TILE_COLS)),
        .query = (size_t)(TILE_ROWS * t->D),
        .out = (size_t)(TILE_ROWS * up(t->D, TILE_COLS)),
    };
    s.all = (size_t)up((int64_t)(s.keys + s.values + s.query + s.out) + TILE_ROWS * SCORE_LD, 16);
    return s;
}

size_t K(attention_work)(const Attention *t, int threads)
{
    return scratch(t).all * sizeof(float) * (size_t)threads;
}

/* scores of query i against keys j0 .. j0+n-1: adds what stands in the table for their distance */
static void add_relative(float *s, const float *table, int64_t R, int64_t i, int64_t j0, int64_t n)
{
    const int64_t near = MIN(MAX(i - R - j0, 0), n), far = MIN(MAX(i + R + 1 - j0, 0), n);
    for (int64_t j = 0; j < near; j++) {
        s[j] += table[0];
    }
    for (int64_t j = near; j < far; j++) {
        s[j] += table[j0 + j - i + R];
    }
    for (int64_t j = far; j < n; j++) {
        s[j] += table[2 * R];
    }
}

/* s [n, padded with -inf to whole vectors] becomes e^(s - max) in place; max is at least `top`, what came before. Returns the sum. */
static float exponentials(float *s, int64_t n, float *top)
{
    vf most = v_set(*top);
    for (int64_t j = 0; j < n; j += VW) {
        most = v_max(most, v_load(s + j));
    }
    *top = v_max_lane(most);
    const vf m = v_set(*top);
    vf sum = v_zero();
    for (int64_t j = 0; j < n; j += VW) {
        const vf e = v_exp(v_load(s + j) - m);
        v_store(s + j, e);
        sum = sum + e;
    }
    return v_sum(sum);
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
    const int64_t part = (int64_t)number % job->parts, h = (int64_t)number / job->parts % t->H, b = (int64_t)number / job->parts / t->H;
    const int64_t row0 = t->offsets[b], T = t->offsets[b + 1] - row0, D = t->D, out_ld = up(D, TILE_COLS);
    const int64_t q_end = T * (part + 1) / job->parts;
    float *keys = job->work + job->sizes.all * (size_t)worker, *values = keys + job->sizes.keys, *query = values + job->sizes.values;
    float *out = query + job->sizes.query, *scores = out + job->sizes.out;
    const float *Q = t->q + row0 * t->ld + h * D, *k = t->k + row0 * t->ld + h * D, *v = t->v + row0 * t->ld + h * D;
    const int64_t last_key = t->causal ? q_end : T;
    for (int64_t j = 0; j < last_key; j += TILE_COLS) {
        K(tile_pack)(D, MIN(T - j, TILE_COLS), k + j * t->ld, 1, t->ld, keys + j * D);
    }
    for (int64_t d = 0; d < D; d += TILE_COLS) {
        K(tile_pack)(last_key, MIN(D - d, TILE_COLS), v + d, t->ld, 1, values + d * T);
    }
    for (int64_t i0 = T * part / job->parts, rows; i0 < q_end; i0 += rows) {
        rows = MIN(q_end - i0, TILE_ROWS);
        for (int64_t i = 0; i < rows; i++) {
            for (int64_t d = 0; d < D; d++) {
                query[i * D + d] = Q[(i0 + i) * t->ld + d] * t->scale;
            }
        }
        float top[TILE_ROWS], sum[TILE_ROWS];
        const int64_t end = t->causal ? i0 + rows : T;
        for (int64_t j0 = 0; j0 < end; j0 += KEYS) {
            const int64_t n = MIN(end - j0, KEYS), whole = up(n, VW);
            Tile score = {query, D, 1, D, 1, 0, keys + j0 * D, TILE_COLS, D * TILE_COLS, scores, SCORE_LD, true};
            K(tile_row)(score, (int)rows, up(n, TILE_COLS));
            for (int64_t i = 0; i < rows; i++) {
                float *s = scores + i * SCORE_LD;
                if (t->relative) {
                    add_relative(s, t->relative + h * (2 * t->R + 1), t->R, i0 + i, j0, n);
                }
                for (int64_t j = t->causal ? MIN(MAX(i0 + i + 1 - j0, 0), n) : n; j < whole; j++) {
                    s[j] = -INFINITY;
                }
                const float before = j0 ? top[i] : -INFINITY;
                top[i] = before;
                const float e = exponentials(s, whole, &top[i]);
                if (j0 == 0) {
                    sum[i] = e;
                } else {
                    const float shrink = v_exp(v_set(before - top[i]))[0];
                    sum[i] = sum[i] * shrink + e;
                    for (int64_t d = 0; d < D; d++) {
                        out[i * out_ld + d] *= shrink;
                    }
                }
            }
            Tile value = {scores, SCORE_LD, 1, n, 1, 0, values + j0 * TILE_COLS, TILE_COLS, T * TILE_COLS, out, out_ld, j0 == 0};
            K(tile_row)(value, (int)rows, out_ld);
        }
        for (int64_t i = 0; i < rows; i++) {
            float *to = t->out + (row0 + i0 + i) * t->ldo + h * D;
            const float share = 1.0f / sum[i];
            for (int64_t d = 0; d < D; d++) {
                to[d] = out[i * out_ld + d] * share;
            }
            if (t->lse) {
                t->lse[h * t->offsets[t->B] + row0 + i0 + i] = top[i] + v_log(v_set(sum[i]))[0];
            }
        }
    }
}

void K(attention)(const Run *run, const Attention *t)
{
    if (t->B == 0 || t->H == 0) {
        return;
    }
    const int threads = pool_threads(run->pool);
    const int64_t pairs = t->B * t->H;
    Job job = {t, scratch(t), threads > 1 && pairs < 2 * threads ? (2 * threads + pairs - 1) / pairs : 1, run->work};
    pool_run(run->pool, (size_t)(pairs * job.parts), task, &job);
}
