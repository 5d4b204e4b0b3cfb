/* kernels/cuda/attention/mma.cu: the forward pass of attention for 16-bit q, k and v, by tensor cores, as in
 * FlashAttention-2 (Dao 2023). Products are of 16-bit numbers, sums are float32. The weights are rounded to the same
 * 16-bit type before they are multiplied by the values. */
#include <float.h>

#include "kernels/cuda/attention/attention.h"

static constexpr int KEYS = 64, TILES = KEYS / 8, HALF_PAD = 8;

static __device__ inline uint32_t pack_pair(Brain, float low, float high)
{
    return pack_bf16(low, high);
}
static __device__ inline uint32_t pack_pair(Half, float low, float high)
{
    return pack_f16(low, high);
}

/* load_halves for unaligned rows: one warp per row; neighbouring lanes copy neighbouring numbers. */
template <int WIDE>
static __device__ inline void load_each(uint16_t *to, const uint16_t *from, int64_t ld, int rows, int D)
{
    const uint16_t *at = from + (int)threadIdx.x / WARP * ld + lane_id();
    to += (int)threadIdx.x / WARP * (WIDE + HALF_PAD) + lane_id();
    for (int row = (int)threadIdx.x / WARP; row < KEYS; row += WARPS) {
        UNROLL
        for (int c = 0; c < WIDE; c += WARP)
            to[c] = row < rows && lane_id() + c < D ? at[c] : (uint16_t)0;
        at += WARPS * ld;
        to += WARPS * (WIDE + HALF_PAD);
    }
}
/* Writes KEYS rows of x, from row `first` on, to `to` [KEYS, WIDE + HALF_PAD]. Rows from `count` on and columns from D
 * on become zeros. The rest is as in load_rows. If `aligned`, 8 or 4 neighbouring threads copy one row, 16 bytes each
 * at a time. */
template <int WIDE>
static __device__ inline void load_halves(uint16_t *to, const HeadRows *x, int first, int count, int D, bool aligned)
{
    constexpr int EACH = WIDE % 64 == 0 ? 8 : 4;
    const int rows = count - first, begin = (int)threadIdx.x / EACH, col = (int)threadIdx.x % EACH * 8;
    const uint16_t *from = (const uint16_t *)x->x + first * x->ld, *at = from + begin * x->ld + col;
    if (!aligned) {
        load_each<WIDE>(to, from, x->ld, rows, D);
        return;
    }
    to += begin * (WIDE + HALF_PAD) + col;
    UNROLL
    for (int row = 0; row < KEYS; row += THREADS / EACH) {
        UNROLL
        for (int c = 0; c < WIDE; c += 8 * EACH) {
            const bool in = begin + row < rows && col + c < D;
            cp_async16(to + row * (WIDE + HALF_PAD) + c, in ? at + c : from, in ? 16 : 0);
        }
        at += THREADS / EACH * x->ld;
    }
}

/* Returns the address that a lane passes to ldmatrix for a [16, 16] part of a matrix with `ld` numbers per row. The
 * four 8 x 8 matrices begin at these rows and columns, in this order:
 *
 *   part_down     (0, 0), (8, 0), (0, 8), (8, 8)
 *   part_across   (0, 0), (0, 8), (8, 0), (8, 8) */
static __device__ inline const uint16_t *part_down(const uint16_t *x, int ld)
{
    return x + lane_id() % 16 * ld + lane_id() / 16 * 8;
}
static __device__ inline const uint16_t *part_across(const uint16_t *x, int ld)
{
    return x + (lane_id() % 8 + lane_id() / 16 * 8) * ld + lane_id() / 8 % 2 * 8;
}

/* Turns a warp's products [16, KEYS] into scores for exp2: scaled, with the relative bias, both times log2(e)
 * (MaskRange), and -inf if the key is masked. The products are tiles of 8 columns. A lane has rows g and g + 8, with g
 * = lane / 4, and columns 8 n + 2 (lane % 4) and the next column.
 *
 * - `offset`: the position of the key minus that of the query, for the lane's first row and column.
 * - `cols`: how many keys exist from the lane's first column on.
 * - `all`: all scores of the warp are unmasked. */
static __device__ inline void finish_tiles(float s[TILES][4], const MaskRange *w, int offset, int cols, bool all)
{
    if (w->relative) {
        float bias[TILES + 1][2];
        for (int n = 0; n <= TILES; n++)
            for (int e = 0; e < 2; e++)
                bias[n][e] = bias_at(w, offset + 8 * (n - 1) + e);
        for (int n = 0; n < TILES; n++)
            for (int c = 0; c < 4; c++)
                s[n][c] = fmaf(s[n][c], w->scale, bias[n - c / 2 + 1][c % 2]);
    } else {
        for (int n = 0; n < TILES; n++)
            for (int c = 0; c < 4; c++)
                s[n][c] *= w->scale;
    }
    for (int n = 0; !all && n < TILES; n++)
        for (int c = 0; c < 4; c++) {
            const bool unmasked = is_unmasked(w, offset + 8 * (n - c / 2) + c % 2) & (8 * n + c % 2 < cols);
            s[n][c] = unmasked ? s[n][c] : -INFINITY;
        }
}

/* The maximum and the sum over the 4 lanes of a row. */
static __device__ inline float quad_max(float x)
{
    x = fmaxf(x, __shfl_xor_sync(FULL_MASK, x, 1));
    return fmaxf(x, __shfl_xor_sync(FULL_MASK, x, 2));
}
static __device__ inline float quad_add(float x)
{
    x += __shfl_xor_sync(FULL_MASK, x, 1);
    return x + __shfl_xor_sync(FULL_MASK, x, 2);
}

/* Writes a lane's part of a result: columns 8 n and 8 n + 1 of rows 0 and 8. `to` is the place of the lane's first
 * number; `rows` rows and `cols` columns exist from there on. */
template <int WIDE, class T>
static __device__ inline void put_tiles(T *to, int64_t ld, const float y[WIDE / 8][4], int rows, int cols)
{
    UNROLL
    for (int n = 0; n < WIDE / 8; n++)
        for (int c = 0; c < 4; c++)
            if (c / 2 * 8 < rows && 8 * n + c % 2 < cols)
                from_f32(y[n][c], to + c / 2 * 8 * ld + 8 * n + c % 2);
}

/* One block per 64 queries of one head of one text; each warp has 16 queries. Blocks after the end of their text return
 * immediately.
 *
 * - Q is loaded once and stays in registers as fragments.
 * - 64 keys, and then their values, are copied to shared memory asynchronously, 16 bytes per thread. The values are
 *   copied while the scores are computed, and the next keys while the values are added up.
 * - Rows in shared memory are WIDE + 8 numbers apart, so that the 8 rows of an ldmatrix are in different banks.
 * - The accumulators of the first product, packed to 16 bits, are an operand of the second product. No weight goes
 *   through shared memory.
 * - 64 x 64 scores and 64 x WIDE sums fill the registers of the 4 warps.
 *
 * The kernel is limited by the tensor cores, and with a small D by the exponentials.
 *
 * The order of the sums: features and keys are added in steps of 16, in order; the tensor core adds each step. A lane
 * adds its weights of a row in order. Then two steps add the sums of 4 lanes. */
template <class T, int WIDE>
static __global__ void __launch_bounds__(THREADS, WIDE <= 64 ? 4 : 2)
    attention_mma_kernel(const Attention t, int64_t parts, bool aligned)
{
    enum { STEPS = WIDE / 16, LD = WIDE + HALF_PAD };
    SHARED(uint16_t, k, [KEYS * LD]);
    SHARED(uint16_t, v, [KEYS * LD]);
    const int warp_row = (int)threadIdx.x / WARP * ROWS, D = (int)t.D, g = lane_id() / 4, c0 = lane_id() % 4 * 2;
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
    load_halves<WIDE>(v, &Q, i0, r.queries, D, aligned);
    load_halves<WIDE>(k, &K, span.begin, r.keys, D, aligned);
    cp_async_commit();
    cp_async_wait<0>();
    __syncthreads();
    uint32_t q[STEPS][4];
    for (int n = 0; n < STEPS; n++)
        ldmatrix_x4(q[n], part_down(v + warp_row * LD + 16 * n, LD));
    float out[2 * STEPS][4] = {}, top[2] = {-FLT_MAX, -FLT_MAX}, sum[2] = {};
    for (int j0 = span.begin; j0 < span.end; j0 += KEYS) {
        const Unmasked unmasked = unmasked_between(&mask, j0 - position - (ROWS - 1), j0 + KEYS - 1 - position);
        cp_async_wait<0>();
        __syncthreads(); /* the keys are in k; no warp reads the old v any more */
        load_halves<WIDE>(v, &V, j0, r.keys, D, aligned);
        cp_async_commit();
        uint32_t weights[KEYS / 16][4];
        if (unmasked.some) {
            float s[TILES][4] = {};
            for (int d = 0; d < STEPS; d++)
                for (int n = 0; n < KEYS / 16; n++) {
                    uint32_t b[4];
                    ldmatrix_x4(b, part_across(k + 16 * n * LD + 16 * d, LD));
                    multiply(T(), s[2 * n], q[d], b);
                    multiply(T(), s[2 * n + 1], q[d], b + 2);
                }
            finish_tiles(s, &mask, j0 + c0 - position - g, r.keys - j0 - c0, unmasked.all && j0 + KEYS <= r.keys);
            for (int i = 0; i < 2; i++) {
                float most = top[i];
                for (int n = 0; n < TILES; n++)
                    most = fmaxf(most, fmaxf(s[n][2 * i], s[n][2 * i + 1]));
                most = quad_max(most);
                const float shrink = exp2_fast(top[i] - most);
                top[i] = most;
                sum[i] *= shrink;
                for (int n = 0; n < TILES; n++)
                    for (int c = 2 * i; c < 2 * i + 2; c++) {
                        s[n][c] = exp2_fast(s[n][c] - most);
                        sum[i] += s[n][c];
                    }
                for (int n = 0; n < 2 * STEPS; n++)
                    for (int c = 2 * i; c < 2 * i + 2; c++)
                        out[n][c] *= shrink;
            }
            for (int n = 0; n < KEYS / 16; n++)
                for (int i = 0; i < 4; i++)
                    weights[n][i] = pack_pair(T(), s[2 * n + i / 2][i % 2 * 2], s[2 * n + i / 2][i % 2 * 2 + 1]);
        }
        cp_async_wait<0>();
        __syncthreads(); /* the values are in v; no warp reads the old k any more */
        if (j0 + KEYS < span.end)
            load_halves<WIDE>(k, &K, j0 + KEYS, r.keys, D, aligned);
        cp_async_commit();
        for (int n = 0; unmasked.some && n < KEYS / 16; n++)
            for (int d = 0; d < STEPS; d++) {
                uint32_t b[4];
                ldmatrix_x4_trans(b, part_down(v + 16 * n * LD + 16 * d, LD));
                multiply(T(), out[2 * d], weights[n], b);
                multiply(T(), out[2 * d + 1], weights[n], b + 2);
            }
    }
    const int64_t rows = t.q_offsets[t.B], first = r.q + i0 + warp_row;
    const HeadRows to = head_rows(t.out, t.out_type, t.out_ld, first, task.h * D64);
    const int left = r.queries - i0 - warp_row;
    for (int i = 0; i < 2; i++) {
        const float all = quad_add(sum[i]), over = all == 0.0f ? 0.0f : 1.0f / all;
        const int row = g + 8 * i;
        for (int n = 0; n < 2 * STEPS; n++)
            for (int c = 2 * i; c < 2 * i + 2; c++)
                out[n][c] = all == 0.0f ? 0.0f : out[n][c] * over;
        if (t.lse && c0 == 0 && row < left)
            t.lse[task.h * rows + first + row] = all == 0.0f ? -INFINITY : fmaf(top[i], LN2, logf(all));
    }
    WITH_TYPE(t.out_type, O, put_tiles<WIDE>((O *)to.x + g * to.ld + c0, to.ld, out, left - g, D - c0));
}

template <class T, int WIDE> static void mma_by(const Run *run, const Attention *t)
{
    const int64_t parts = div_up(t->q_longest, QUERIES);
    const bool aligned = rows_aligned(t->q, t->type, t->q_ld, t->D) && rows_aligned(t->k, t->type, t->k_ld, t->D) &&
                         rows_aligned(t->v, t->type, t->v_ld, t->D);
    LAUNCH(run, (attention_mma_kernel<T, WIDE>), t->B * t->H * parts, THREADS, 0, *t, parts, aligned);
}
template <class T> static void mma_of(const Run *run, const Attention *t)
{
    if (t->D <= 32)
        mma_by<T, 32>(run, t);
    else if (t->D <= 64)
        mma_by<T, 64>(run, t);
    else if (t->D <= 96)
        mma_by<T, 96>(run, t);
    else
        mma_by<T, 128>(run, t);
}

void attention_mma(const Run *run, const Attention *t)
{
    if (t->type == BF16)
        mma_of<Brain>(run, t);
    else
        mma_of<Half>(run, t);
}
