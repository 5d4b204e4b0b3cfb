/* kernels/cuda/attention/forward.cu: the forward pass of attention in float32, over ragged texts (K' is the transposed
 * K):
 *
 *   out = softmax(scale Q K' + bias) V
 *
 * The scores are never stored. Keys are processed in blocks, and each row keeps a running maximum and a running sum
 * (Milakov & Gimelshein 2018; Dao et al. 2022; Dao 2023). */
#include <float.h>

#include "kernels/cuda/attention/attention.h"

/* One block per 64 queries of one head of one text; each warp has 16 queries. Blocks after the end of their text return
 * immediately.
 *
 * - Shared memory: Q stays in it. KEYS keys and values are loaded at a time, in whole rows of 4 WIDE bytes, so a head's
 *   rows are read once per 64 queries. The values are copied while the scores are computed, and the next keys while the
 *   values are added up.
 * - Registers: a lane has 4 x KEYS / 8 scores and 4 x WIDE / 8 numbers of the result. The weights go through shared
 *   memory, because the lanes of a row need each other's weights.
 * - KEYS: 64 if two blocks then fit into each multiprocessor of an A100, otherwise 32.
 * - WIDE: D rounded up to a multiple of 32. LONG: D is larger than WIDE = 128. A block then has WIDE columns of the
 *   result, and computes the scores from WIDE features at a time: Q, keys and values are then loaded again for each
 *   block of keys.
 *
 * The kernel is limited by fused multiply-adds. For 32 of them, the scores need 3 loads of 16 bytes from shared memory
 * with KEYS = 64, and 4 with KEYS = 32. The result needs from 4 loads (WIDE = 32) to 2.5 (WIDE = 128).
 *
 * The order of the sums: a score is added over the features in order, the result over the keys in order. A lane adds
 * its weights of a row in the order of the keys, and a tree adds the sums of the lanes. A block of keys that is
 * masked for a row multiplies the row's sums by 1 and adds 0. */
template <int WIDE, int KEYS, bool LONG>
static __global__ void __launch_bounds__(THREADS, WIDE <= 64 ? 3 : 2)
    attention_kernel(const Attention t, int64_t parts, bool aligned)
{
    enum { COLS = KEYS / ROW_LANES, OUT = WIDE / ROW_LANES };
    DYNAMIC_SHARED(float, q);
    float *k = q + QUERIES * (WIDE + PAD), *v = k + KEYS * (WIDE + PAD);
    const int warp = (int)threadIdx.x / WARP, warp_row = warp * ROWS, D = (int)t.D,
              d = LONG ? (int)blockIdx.y * WIDE : 0;
    float *weights = v + KEYS * (WIDE + PAD) + warp_row * (KEYS + WEIGHTS_PAD);
    const Task task = task_of(parts, t.H);
    const TextRows r = text_rows(&t, task.b);
    const int i0 = first_query(&t, task.part, parts, QUERIES);
    if (i0 >= r.queries)
        return;
    const int64_t kh = key_head(&t, task.h), D64 = t.D;
    const HeadRows Q = head_rows(t.q, t.type, t.q_ld, r.q, task.h * D64),
                   K = head_rows(t.k, t.type, t.k_ld, r.k, kh * D64), V = head_rows(t.v, t.type, t.v_ld, r.k, kh * D64);
    const MaskRange mask = mask_of(&t, task.h);
    const Span span = unmasked_keys(&mask, &r, i0, QUERIES, KEYS);
    const int position = first_position(&r) + i0 + warp_row;
    float out[LANE_ROWS][OUT] = {}, top[LANE_ROWS], sum[LANE_ROWS] = {};
    for (int i = 0; i < LANE_ROWS; i++)
        top[i] = -FLT_MAX; /* finite: -inf - (-inf) is a NaN if the first block is masked for a row */
    if (!LONG && span.begin < span.end) {
        load_rows<QUERIES, WIDE>(q, &Q, i0, r.queries, 0, D, aligned);
        load_rows<KEYS, WIDE>(k, &K, span.begin, r.keys, 0, D, aligned);
        cp_async_commit();
    }
    for (int j0 = span.begin; j0 < span.end; j0 += KEYS) {
        const Unmasked unmasked = unmasked_between(&mask, j0 - position - (ROWS - 1), j0 + KEYS - 1 - position);
        float s[LANE_ROWS][COLS] = {};
        for (int from = 0; LONG && from < D; from += WIDE) {
            __syncthreads(); /* no warp reads the old q and k any more */
            load_rows<QUERIES, WIDE>(q, &Q, i0, r.queries, from, D, aligned);
            load_rows<KEYS, WIDE>(k, &K, j0, r.keys, from, D, aligned);
            cp_async_commit();
            cp_async_wait<0>();
            __syncthreads();
            if (unmasked.some)
                add_scores<COLS, WIDE>(s, q + warp_row * (WIDE + PAD), k, MIN(D - from, WIDE));
        }
        if (!LONG) {
            cp_async_wait<0>();
            __syncthreads(); /* the keys are in k; no warp reads the old v any more */
        }
        load_rows<KEYS, WIDE>(v, &V, j0, r.keys, d, D, aligned);
        cp_async_commit();
        if (!LONG && unmasked.some)
            add_scores<COLS, WIDE>(s, q + warp_row * (WIDE + PAD), k, D);
        if (unmasked.some) {
            finish_scores<COLS, 1>(s, &mask, j0 + lane_col() - position - lane_row(), ROWS, r.keys - j0 - lane_col(),
                                   unmasked.all && j0 + KEYS <= r.keys);
            for (int i = 0; i < LANE_ROWS; i++) {
                float most = top[i];
                for (int j = 0; j < COLS; j++)
                    most = fmaxf(most, s[i][j]);
                most = row_max(most);
                const float shrink = exp2_fast(top[i] - most);
                top[i] = most;
                sum[i] *= shrink;
                for (int j = 0; j < COLS; j++) {
                    s[i][j] = exp2_fast(s[i][j] - most);
                    sum[i] += s[i][j];
                }
                for (int c = 0; c < OUT; c++)
                    out[i][c] *= shrink;
            }
            put_weights<COLS>(weights, s);
        }
        cp_async_wait<0>();
        __syncthreads(); /* the values are in v; no warp reads the old k any more */
        if (!LONG && j0 + KEYS < span.end) {
            load_rows<KEYS, WIDE>(k, &K, j0 + KEYS, r.keys, 0, D, aligned);
            cp_async_commit();
        }
        if (unmasked.some)
            add_weighted<KEYS, WIDE>(out, weights, v);
    }
    const int64_t rows = t.q_offsets[t.B], first = r.q + i0 + warp_row;
    const int left = r.queries - i0 - warp_row;
    for (int i = 0; i < LANE_ROWS; i++) {
        const float all = row_add(sum[i]), over = all == 0.0f ? 0.0f : 1.0f / all;
        for (int c = 0; c < OUT; c++)
            out[i][c] = all == 0.0f ? 0.0f : out[i][c] * over;
        const int row = lane_row() + LANE_ROWS * i;
        if (t.lse && lane_col() == 0 && d == 0 && row < left)
            t.lse[task.h * rows + first + row] = all == 0.0f ? -INFINITY : fmaf(top[i], LN2, logf(all));
    }
    const HeadRows to = head_rows(t.out, t.out_type, t.out_ld, first, task.h * D64);
    put_rows<WIDE>(&to, out, left, d, D, aligned);
}

template <int WIDE, int KEYS, bool LONG> static void attention_by(const Run *run, const Attention *t)
{
    const size_t shared = ((QUERIES + 2 * KEYS) * (WIDE + PAD) + QUERIES * (KEYS + WEIGHTS_PAD)) * sizeof(float);
    const int64_t parts = div_up(t->q_longest, QUERIES);
    const bool aligned = rows_aligned(t->q, t->type, t->q_ld, t->D) && rows_aligned(t->k, t->type, t->k_ld, t->D) &&
                         rows_aligned(t->v, t->type, t->v_ld, t->D) &&
                         rows_aligned(t->out, t->out_type, t->out_ld, t->D);
    const dim3 grid((unsigned)(t->B * t->H * parts), LONG ? (unsigned)div_up(t->D, WIDE) : 1);
    if (shared > STATIC_SHARED)
        allow_shared((attention_kernel<WIDE, KEYS, LONG>), shared);
    LAUNCH(run, (attention_kernel<WIDE, KEYS, LONG>), grid, THREADS, shared, *t, parts, aligned);
}

static bool by_mma(const Attention *t)
{
    return t->type != F32 && t->D <= MMA_D;
}

void cuda_attention(const Run *run, const Attention *t)
{
    if (by_mma(t))
        attention_mma(run, t);
    else if (t->D <= 32)
        attention_by<32, 64, false>(run, t);
    else if (t->D <= 64)
        attention_by<64, 64, false>(run, t);
    else if (t->D <= 96)
        attention_by<96, 32, false>(run, t);
    else if (t->D <= 128)
        attention_by<128, 32, false>(run, t);
    else
        attention_by<128, 32, true>(run, t);
}

size_t cuda_attention_work(const Run *run, const Attention *t)
{
    (void)run, (void)t;
    return 0;
}

Way cuda_attention_way(const Run *run, const Attention *t)
{
    (void)run;
    Way way = {};
    if (by_mma(t)) {
        snprintf(way.name, sizeof way.name, "mma, %d keys", 64);
        way.why = "16-bit operands: products by tensor cores, weights rounded to 16 bits";
        return way;
    }
    snprintf(way.name, sizeof way.name, "float32, %d keys", t->D <= 64 ? 64 : 32);
    way.why = t->D <= 128 ? "exact products; scores stay in registers" : "a head of more than 128 numbers, by parts";
    return way;
}
