/* kernels/cuda/attention/back.cu: the backward pass of attention (Dao et al. 2022; Dao 2023). S are the scores, lse is
 * their log-sum-exp in each row, from the forward pass. The weights P are computed again. A' is the transposed A; P (dP
 * - delta) is a product by element.
 *
 *   P = e^(S - lse)
 *   delta = the dot product of a row of dO and the same row of O
 *   dP = dO V'          dS = P (dP - delta)
 *   dQ = scale dS K     dK = scale dS' Q     dV = P' dO
 *
 * In the code, `slope` holds the lane's part of dP, and then dS takes its place.
 *
 * There are two kernels. A block of the first one has rows of queries and computes their dQ. A block of the second one
 * has rows of keys and computes their dK and dV. The scores are therefore computed twice, but no two blocks add to the
 * same number. */
#include "kernels/cuda/attention/attention.h"

enum {
    COLS = 32,                /* columns of a block's scores */
    SHARE = COLS / 8,         /* columns of a lane's scores */
    WEIGHTS_LD = COLS + 8,    /* floats between the rows of a warp's weights */
    DIAGONALS = COLS + 16 - 1 /* diagonals of a warp's scores */
};

/* One side of the score matrix: the rows x and y of one text and head, and their blocks in shared memory. The rows are
 * Q and dO, or K and V. */
typedef struct Side {
    HeadRows x, y;
    float *x_block, *y_block;
    int count;
} Side;

/* The parts of the scratch memory.
 *
 * - `delta` [B, H, q_longest].
 * - `relative` [B, H, pieces, 2 R + 1]: the gradient of the relative bias in pieces, one piece per ROWS queries. */
typedef struct BackWork {
    float *delta, *relative;
    int64_t pieces;
} BackWork;

/* The threads of a block, its rows, and its floats of shared memory (at most 80 KB), if the shared memory has WIDE
 * features of both sides. */
template <int WIDE> static constexpr int back_threads = WIDE <= 64 ? 128 : 64;
template <int WIDE> static constexpr int back_rows = back_threads<WIDE> / 32 * ROWS;
template <int WIDE>
static constexpr int back_floats = 2 * (back_rows<WIDE> + COLS) * (WIDE + PAD) + back_rows<WIDE> *WEIGHTS_LD;

template <int WIDE, int COUNT>
static __device__ inline void load_side(const Side *side, int first, int d, int D, bool aligned)
{
    load_rows<COUNT, WIDE, back_threads<WIDE>>(side->x_block, &side->x, first, side->count, d, D, aligned);
    load_rows<COUNT, WIDE, back_threads<WIDE>>(side->y_block, &side->y, first, side->count, d, D, aligned);
    cp_async_commit();
}

/* Computes the two products of one block of columns:
 *
 *   s += rows.x cols.x'
 *   slope += rows.y cols.y'
 *
 * If not LONG, shared memory has all features of the rows already. If LONG, WIDE features of the rows and columns are
 * loaded at a time. After the last ones, the features d .. d+WIDE-1 of the columns are loaded again, because the caller
 * then multiplies P or dS by them.
 *
 * some: the warp has unmasked scores. If it has none, it computes nothing, but it still helps to load. */
template <int WIDE, bool LONG>
static __device__ inline void two_products(float s[LANE_ROWS][SHARE], float slope[LANE_ROWS][SHARE], const Side *rows,
                                           const Side *cols, int row, int col, int d, int D, bool aligned, bool some)
{
    const int warp_rows = (int)threadIdx.x / WARP * ROWS * (WIDE + PAD);
    for (int from = 0; from < (LONG ? D : 1); from += WIDE) {
        if (LONG) {
            __syncthreads(); /* no warp reads the old blocks any more */
            load_side<WIDE, back_rows<WIDE>>(rows, row, from, D, aligned);
        }
        load_side<WIDE, COLS>(cols, col, from, D, aligned);
        cp_async_wait<0>();
        __syncthreads();
        if (some) {
            add_scores<SHARE, WIDE>(s, rows->x_block + warp_rows, cols->x_block, MIN(D - from, WIDE));
            add_scores<SHARE, WIDE>(slope, rows->y_block + warp_rows, cols->y_block, MIN(D - from, WIDE));
        }
    }
    if (LONG) {
        __syncthreads();
        load_side<WIDE, COLS>(cols, col, d, D, aligned);
        cp_async_wait<0>();
        __syncthreads();
    }
}

static __device__ inline float log2_sum(const Attention *t, int64_t h, int64_t row)
{
    const float lse = t->lse[h * t->q_offsets[t->B] + row];
    return lse == -INFINITY ? 0.0f : lse * LOG2E; /* the row has no unmasked key: its scores are -inf */
}

template <class T> static __device__ inline float product_at(const T *dout, const HeadRows *out, int64_t at, float sum)
{
    return fmaf(to_f32(dout[at]), to_f32(((const T *)out->x)[at]), sum);
}
/* Computes delta for the lane's rows. The warp processes its rows one after the other. A lane adds features 32 apart,
 * then a tree adds the sums of the lanes. */
static __device__ inline void row_deltas(float delta[LANE_ROWS], const HeadRows *dout, const HeadRows *out, int first,
                                         int rows, int D)
{
    for (int row = 0; row < MIN(rows, (int)ROWS); row++) {
        float sum = 0;
        for (int d = lane_id(); d < D; d += WARP)
            WITH_TYPE(out->type, T, sum = product_at((const T *)dout->x, out, (first + row) * out->ld + d, sum));
        sum = warp_sum(sum);
        for (int i = 0; i < LANE_ROWS; i++)
            delta[i] = lane_row() + LANE_ROWS * i == row ? sum : delta[i];
    }
}

/* Adds up a warp's dS, `slopes` [ROWS, COLS], per distance: the position of the key minus the position of the query.
 * `first` is the distance of row 0 and column 0. The numbers with the same distance are a diagonal. One lane adds one
 * diagonal, row by row, so neighbouring lanes read neighbouring banks. Sums of distances between -R and R are added to
 * the warp's own `table`. Sums of distances up to -R and from R on are added to the lane's ends[0] and ends[1]. */
static __device__ inline void add_distances(const float *slopes, int first, int R, float *table, float ends[2])
{
    for (int n = lane_id(); n < DIAGONALS; n += WARP) {
        const int skew = n - (ROWS - 1), distance = first + skew;
        float sum = 0;
        for (int row = 0; row < ROWS; row++) {
            const int col = row + skew;
            sum += col >= 0 && col < COLS ? slopes[row * WEIGHTS_LD + col] : 0.0f;
        }
        ends[0] += distance <= -R ? sum : 0.0f;
        ends[1] += distance > -R && distance >= R ? sum : 0.0f;
        if (distance > -R && distance < R)
            table[distance + R] += sum;
    }
}

/* Computes dQ. One block per 64 queries (32 if WIDE is 128) of one head of one text; each warp has 16 queries.
 *
 * - Shared memory: the rows of Q and dO stay in it, unless LONG. 32 keys and values are loaded at a time, in whole
 *   rows.
 * - Registers: a lane has 4 x 4 numbers of S, 4 x 4 numbers of dP and later dS (`slope`), and 4 x WIDE / 8 numbers of
 *   dQ. dS goes through shared memory, because each lane of a row needs the whole row of dS for the product dS K.
 * - Two or three blocks share a multiprocessor. While one block waits for its copies, another one computes.
 * - WIDE: D rounded up to 32, 64 or 128. LONG: D is above 128, WIDE is 64, and a block has WIDE columns of dQ.
 *
 * The kernel is limited by fused multiply-adds: 3 D for each pair of a query and a key. 16 of them need at most 2 loads
 * of 16 bytes from shared memory.
 *
 * The kernel also writes delta, which the other kernel reads, and the gradient of the relative bias, in a separate
 * table per warp. Sums are over features in order and over keys in order. */
template <int WIDE, bool LONG>
static __global__ void __launch_bounds__(back_threads<WIDE>, WIDE <= 32 ? 3 : 2)
    attention_dq_kernel(const AttentionBack back, const BackWork work, int64_t parts, bool aligned)
{
    enum { COUNT = back_rows<WIDE> };
    DYNAMIC_SHARED(float, q);
    float *dout = q + COUNT * (WIDE + PAD), *k = dout + COUNT * (WIDE + PAD), *v = k + COLS * (WIDE + PAD);
    const Attention *t = &back.forward;
    const int warp_row = (int)threadIdx.x / WARP * ROWS, D = (int)t->D, d = LONG ? (int)blockIdx.y * WIDE : 0;
    float *slopes = v + COLS * (WIDE + PAD) + warp_row * WEIGHTS_LD;
    const Task task = task_of(parts, t->H);
    const TextRows r = text_rows(t, task.b);
    const int i0 = task.part * COUNT, first = i0 + warp_row, left = r.queries - first,
              position = first_position(&r) + first;
    if (i0 >= r.queries)
        return;
    const int64_t h = task.h, kh = key_head(t, h);
    const Side rows = {head_rows(t->q, t->type, t->q_ld, r.q, h * D),
                       head_rows(back.dout, t->out_type, t->out_ld, r.q, h * D), q, dout, r.queries};
    const Side cols = {head_rows(t->k, t->type, t->k_ld, r.k, kh * D), head_rows(t->v, t->type, t->v_ld, r.k, kh * D),
                       k, v, r.keys};
    const HeadRows out = head_rows(t->out, t->out_type, t->out_ld, r.q, h * D);
    const MaskRange mask = mask_of(t, h);
    const Span span = unmasked_keys(&mask, &r, i0, COUNT, COLS);
    float delta[LANE_ROWS] = {}, lse[LANE_ROWS] = {}, dq[LANE_ROWS][WIDE / 8] = {}, ends[2] = {};
    row_deltas(delta, &rows.y, &out, first, left, D);
    for (int i = 0; i < LANE_ROWS; i++) {
        const int row = lane_row() + LANE_ROWS * i;
        if (row < left) {
            lse[i] = log2_sum(t, h, r.q + first + row);
            if (d == 0 && lane_col() == 0)
                work.delta[(task.b * t->H + h) * t->q_longest + first + row] = delta[i];
        }
    }
    const int64_t entries = 2 * t->R + 1;
    float *table = back.drelative && d == 0 && left > 0
                       ? work.relative + ((task.b * t->H + h) * work.pieces + first / ROWS) * entries
                       : NULL;
    for (int64_t n = lane_id(); table && n < entries; n += WARP)
        table[n] = 0;
    if (!LONG && span.begin < span.end)
        load_side<WIDE, COUNT>(&rows, i0, 0, D, aligned);
    for (int j0 = span.begin; j0 < span.end; j0 += COLS) {
        const Unmasked unmasked = unmasked_between(&mask, j0 - position - (ROWS - 1), j0 + COLS - 1 - position);
        float s[LANE_ROWS][SHARE] = {}, slope[LANE_ROWS][SHARE] = {};
        two_products<WIDE, LONG>(s, slope, &rows, &cols, i0, j0, d, D, aligned, unmasked.some);
        if (unmasked.some) {
            finish_scores<SHARE, 1>(s, &mask, j0 + lane_col() - position - lane_row(), left - lane_row(),
                                    r.keys - j0 - lane_col(), unmasked.all && left >= ROWS && j0 + COLS <= r.keys);
            for (int i = 0; i < LANE_ROWS; i++)
                for (int j = 0; j < SHARE; j++)
                    slope[i][j] = exp2_fast(s[i][j] - lse[i]) * (slope[i][j] - delta[i]);
            put_weights<SHARE>(slopes, slope);
            __syncwarp();
            if (table)
                add_distances(slopes, j0 - position, (int)t->R, table, ends);
            add_weighted<COLS, WIDE>(dq, slopes, k);
        }
        __syncthreads(); /* no warp reads k and v any more */
    }
    for (int i = 0; i < LANE_ROWS; i++)
        for (int c = 0; c < WIDE / 8; c++)
            dq[i][c] *= t->scale;
    const HeadRows to = head_rows(back.dq, t->type, back.dq_ld, r.q + first, h * D);
    put_rows<WIDE>(&to, dq, left, d, D, aligned);
    if (table) {
        const float before = warp_sum(ends[0]), behind = warp_sum(ends[1]);
        __syncwarp(); /* wait until the other lanes have written table[0] and table[2 R] */
        if (lane_id() == 0) {
            table[0] += before;
            table[2 * t->R] += behind;
        }
    }
}

/* Computes dK and dV. One block per 64 keys (32 if WIDE is 128) of one head of keys of one text; each warp has 16 keys.
 * The kernel is attention_dq_kernel with the sides exchanged: the keys and values stay in shared memory, unless LONG,
 * and 32 queries with their dO are loaded at a time. If several heads of queries have these keys, the block processes
 * one head after the other.
 *
 * The kernel is limited by fused multiply-adds: 4 D for each pair. Sums are over features in order, and over heads and
 * their queries in order. */
template <int WIDE, bool LONG>
static __global__ void __launch_bounds__(back_threads<WIDE>, WIDE <= 32 ? 3 : 2)
    attention_dkv_kernel(const AttentionBack back, const BackWork work, int64_t parts, bool aligned)
{
    enum { COUNT = back_rows<WIDE> };
    DYNAMIC_SHARED(float, k);
    float *v = k + COUNT * (WIDE + PAD), *q = v + COUNT * (WIDE + PAD), *dout = q + COLS * (WIDE + PAD);
    const Attention *t = &back.forward;
    const int warp_row = (int)threadIdx.x / WARP * ROWS, D = (int)t->D, d = LONG ? (int)blockIdx.y * WIDE : 0;
    float *weights = dout + COLS * (WIDE + PAD) + warp_row * WEIGHTS_LD;
    const int64_t heads = key_heads(t), shared = t->H / heads;
    const Task task = task_of(parts, heads);
    const TextRows r = text_rows(t, task.b);
    const int j0 = task.part * COUNT, first = j0 + warp_row, left = r.keys - first;
    if (j0 >= r.keys)
        return;
    const int64_t kh = task.h;
    const Side rows = {head_rows(t->k, t->type, t->k_ld, r.k, kh * D), head_rows(t->v, t->type, t->v_ld, r.k, kh * D),
                       k, v, r.keys};
    float dk[LANE_ROWS][WIDE / 8] = {}, dv[LANE_ROWS][WIDE / 8] = {};
    if (!LONG)
        load_side<WIDE, COUNT>(&rows, j0, 0, D, aligned);
    for (int64_t h = kh * shared; h < (kh + 1) * shared; h++) {
        const MaskRange mask = mask_of(t, h);
        const Span span = unmasked_queries(&mask, &r, j0, COUNT, COLS);
        const float *deltas = work.delta + (task.b * t->H + h) * t->q_longest;
        const Side cols = {head_rows(t->q, t->type, t->q_ld, r.q, h * D),
                           head_rows(back.dout, t->out_type, t->out_ld, r.q, h * D), q, dout, r.queries};
        for (int i0 = span.begin; i0 < span.end; i0 += COLS) {
            /* key - query, the difference of the positions of the warp's first row and column */
            const int offset = first - first_position(&r) - i0;
            const Unmasked unmasked = unmasked_between(&mask, offset - (COLS - 1), offset + ROWS - 1);
            float s[LANE_ROWS][SHARE] = {}, slope[LANE_ROWS][SHARE] = {};
            two_products<WIDE, LONG>(s, slope, &rows, &cols, j0, i0, d, D, aligned, unmasked.some);
            if (unmasked.some) {
                finish_scores<SHARE, -1>(s, &mask, offset + lane_row() - lane_col(), left - lane_row(),
                                         r.queries - i0 - lane_col(),
                                         unmasked.all && left >= ROWS && i0 + COLS <= r.queries);
                for (int j = 0; j < SHARE; j++) {
                    const int query = i0 + lane_col() + ROW_LANES * j;
                    const float lse = query < r.queries ? log2_sum(t, h, r.q + query) : 0.0f,
                                delta = query < r.queries ? deltas[query] : 0.0f;
                    for (int i = 0; i < LANE_ROWS; i++) {
                        s[i][j] = exp2_fast(s[i][j] - lse);
                        slope[i][j] = s[i][j] * (slope[i][j] - delta);
                    }
                }
                put_weights<SHARE>(weights, s);
                __syncwarp();
                add_weighted<COLS, WIDE>(dv, weights, dout);
                __syncwarp();
                put_weights<SHARE>(weights, slope);
                __syncwarp();
                add_weighted<COLS, WIDE>(dk, weights, q);
            }
            __syncthreads(); /* no warp reads q and dout any more */
        }
    }
    cp_async_wait<0>(); /* if these keys are masked for all queries, the copies of load_side are still in flight */
    for (int i = 0; i < LANE_ROWS; i++)
        for (int c = 0; c < WIDE / 8; c++)
            dk[i][c] *= t->scale;
    const HeadRows to_k = head_rows(back.dk, t->type, back.dk_ld, r.k + first, kh * D),
                   to_v = head_rows(back.dv, t->type, back.dv_ld, r.k + first, kh * D);
    put_rows<WIDE>(&to_k, dk, left, d, D, aligned);
    put_rows<WIDE>(&to_v, dv, left, d, D, aligned);
}

/* Adds the pieces of the relative bias' gradient of one text and head, in order, into the first piece. One block per
 * text and head, one thread per entry. Reads are coalesced; the kernel is memory-bound. */
static __global__ void __launch_bounds__(THREADS) relative_text_kernel(const Attention t, const BackWork work)
{
    const int64_t b = blockIdx.x / t.H, entries = 2 * t.R + 1;
    const int rows = t.q_offsets[b + 1] - t.q_offsets[b];
    float *piece = work.relative + blockIdx.x * work.pieces * entries;
    for (int64_t n = threadIdx.x; n < entries; n += THREADS) {
        float sum = 0;
        for (int p = 0; p * ROWS < rows; p++)
            sum += piece[p * entries + n];
        piece[n] = sum;
    }
}
/* Adds the sums of the texts, in order, to drelative [H, 2 R + 1]. One thread per entry; reads are coalesced. */
static __global__ void __launch_bounds__(THREADS)
    relative_kernel(const Attention t, const BackWork work, float *drelative)
{
    const int64_t entries = 2 * t.R + 1, n = first_index();
    if (n >= t.H * entries)
        return;
    float sum = 0;
    for (int64_t b = 0; b < t.B; b++)
        sum += work.relative[(b * t.H + n / entries) * work.pieces * entries + n % entries];
    drelative[n] += sum;
}

static BackWork back_work(const AttentionBack *back, void *work)
{
    const Attention *t = &back->forward;
    BackWork w = {};
    w.delta = (float *)work;
    w.relative = w.delta + round_up(t->B * t->H * t->q_longest, 16);
    w.pieces = div_up(t->q_longest, ROWS);
    return w;
}

size_t cuda_attention_back_work(const Run *run, const AttentionBack *back)
{
    (void)run;
    const Attention *t = &back->forward;
    const BackWork w = back_work(back, NULL);
    const int64_t relative = back->drelative ? t->B * t->H * w.pieces * (2 * t->R + 1) : 0;
    return (size_t)(round_up(t->B * t->H * t->q_longest, 16) + relative) * sizeof(float);
}

template <int WIDE, bool LONG> static void back_by(const Run *run, const AttentionBack *back, const BackWork *w)
{
    const Attention *t = &back->forward;
    const int64_t D = t->D, q_parts = div_up(t->q_longest, back_rows<WIDE>),
                  k_parts = div_up(longest_keys(t), back_rows<WIDE>);
    const bool aligned =
        rows_aligned(t->q, t->type, t->q_ld, D) && rows_aligned(t->k, t->type, t->k_ld, D) &&
        rows_aligned(t->v, t->type, t->v_ld, D) && rows_aligned(back->dout, t->out_type, t->out_ld, D) &&
        rows_aligned(back->dq, t->type, back->dq_ld, D) && rows_aligned(back->dk, t->type, back->dk_ld, D) &&
        rows_aligned(back->dv, t->type, back->dv_ld, D);
    const size_t shared = back_floats<WIDE> * sizeof(float);
    const unsigned columns = LONG ? (unsigned)div_up(D, WIDE) : 1;
    if (shared > STATIC_SHARED) {
        allow_shared((attention_dq_kernel<WIDE, LONG>), shared);
        allow_shared((attention_dkv_kernel<WIDE, LONG>), shared);
    }
    LAUNCH(run, (attention_dq_kernel<WIDE, LONG>), dim3((unsigned)(t->B * t->H * q_parts), columns), back_threads<WIDE>,
           shared, *back, *w, q_parts, aligned);
    LAUNCH(run, (attention_dkv_kernel<WIDE, LONG>), dim3((unsigned)(t->B * key_heads(t) * k_parts), columns),
           back_threads<WIDE>, shared, *back, *w, k_parts, aligned);
}

void cuda_attention_back(const Run *run, const AttentionBack *back)
{
    const Attention *t = &back->forward;
    const BackWork w = back_work(back, run->work);
    if (t->D <= 32)
        back_by<32, false>(run, back, &w);
    else if (t->D <= 64)
        back_by<64, false>(run, back, &w);
    else if (t->D <= 128)
        back_by<128, false>(run, back, &w);
    else
        back_by<64, true>(run, back, &w);
    if (back->drelative && t->q_longest > 0) {
        LAUNCH(run, relative_text_kernel, t->B * t->H, THREADS, 0, *t, w);
        LAUNCH(run, relative_kernel, div_up(t->H * (2 * t->R + 1), THREADS), THREADS, 0, *t, w, back->drelative);
    }
}
