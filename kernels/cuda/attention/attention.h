/* kernels/cuda/attention/attention.h: what the attention kernels share: the rows of a text, the keys that a query
 * attends to, blocks of rows in shared memory, and the products of a warp in float32.
 *
 * A warp has ROWS rows of scores. The rows are queries, or keys in the kernel for dK and dV. Lane l has 4 rows, and in
 * each row every eighth column:
 *
 *   rows     lane_row() + 4 i   (i = 0 .. 3)       lane_row() = l % 2 + 2 (l / 16)
 *   columns  lane_col() + 8 j   (j = 0, 1, ...)    lane_col() = l / 2 % 8
 *
 * The ids of the 8 lanes that share a row differ in bits 1, 2 and 3 only. So the shuffles that xor the lane id with 2,
 * 4 and 8 reach all of these lanes. The hardware serves the 16-byte loads of a warp in two accesses of shared memory:
 * lanes 0 to 15, then lanes 16 to 31. Each access reads only 2 different rows and 8 different columns. Lanes with the
 * same row, or with the same column, load from the same address. */
#ifndef SAPOR_CUDA_ATTENTION_H
#define SAPOR_CUDA_ATTENTION_H

#include "kernels/cuda/cuda.h"

enum {
    WARPS = 4, /* warps per block */
    THREADS = WARPS * 32,
    ROWS = 16, /* rows of scores per warp */
    QUERIES = WARPS * ROWS,
    LANE_ROWS = 4,   /* rows per lane */
    ROW_LANES = 8,   /* lanes per row */
    PAD = 4,         /* floats between rows in shared memory: 8 rows begin in 8 different groups of 4 banks */
    WEIGHTS_PAD = 8, /* floats between rows of weights: 4 rows begin in 4 different groups of 8 banks */
    STATIC_SHARED = 48 << 10
};
#define LOG2E     1.44269504088896341f
#define LN2       0.693147180559945309f
#define FAR_APART (1 << 30) /* more than the rows of any text */

/* Computes attention by tensor cores (mma.cu), for 16-bit q, k and v and heads of at most MMA_D numbers. */
enum { MMA_D = 128 };
void attention_mma(const Run *run, const Attention *t);

static __host__ __device__ inline int64_t key_heads(const Attention *t)
{
    return t->Hk ? t->Hk : t->H;
}
/* Returns the head of keys that belongs to head h of queries. */
static __device__ inline int64_t key_head(const Attention *t, int64_t h)
{
    return h / (t->H / key_heads(t));
}
static inline int64_t longest_keys(const Attention *t)
{
    return t->k_offsets ? t->k_longest : t->q_longest;
}
/* Reports whether every row of every head begins at a multiple of 16 bytes and its size is a multiple of 16 bytes. Such
 * rows can be copied by 16 bytes. */
static inline bool rows_aligned(const void *x, DType type, int64_t ld, int64_t D)
{
    const int64_t count = 16 / (int64_t)dtype_bytes(type);
    return aligned16(x) && ld % count == 0 && D % count == 0;
}

/* ---- texts ----------------------------------------------------------------------------------- */

/* The rows of one text. q and k: its first row of queries and of keys. queries and keys: the number of its rows. The
 * last query has the position of the last key. */
typedef struct TextRows {
    int64_t q, k;
    int queries, keys;
} TextRows;

static __device__ inline TextRows text_rows(const Attention *t, int64_t b)
{
    const int32_t *q = t->q_offsets, *k = t->k_offsets ? t->k_offsets : q;
    const TextRows r = {q[b], k[b], q[b + 1] - q[b], k[b + 1] - k[b]};
    return r;
}
/* Returns the position of query 0 among the keys. Query i has the position first_position + i. */
static __device__ inline int first_position(const TextRows *r)
{
    return r->keys - r->queries;
}

/* The work of a block: part `part` of text b and head h. The blocks of one head have neighbouring numbers, because they
 * read the same keys. */
typedef struct Task {
    int64_t b, h;
    int part;
} Task;

static __device__ inline Task task_of(int64_t parts, int64_t heads)
{
    const int64_t n = blockIdx.x;
    const Task task = {n / parts / heads, n / parts % heads, (int)(n % parts)};
    return task;
}

/* Returns the first query of a block of `queries` queries; a text has `parts` blocks. With a causal mask, the last
 * queries attend to the most keys. Their blocks take longest, so they come first. */
static __device__ inline int first_query(const Attention *t, int part, int64_t parts, int queries)
{
    return (t->causal ? (int)parts - 1 - part : part) * queries;
}

/* A query attends to a key if the key's position minus the query's position is from `min_offset` to `max_offset`. Other
 * pairs are masked. R: the largest distance of the relative bias (kernels.h: Attention). */
typedef struct MaskRange {
    int min_offset, max_offset, R;
    const float *relative; /* [2 R + 1] of the head, or NULL */
    /* Attention.scale times log2(e). exp2 of a product scaled by it is exp of the product scaled by Attention.scale. */
    float scale;
} MaskRange;

static __device__ inline MaskRange mask_of(const Attention *t, int64_t h)
{
    const int far = t->window > 0 && t->window < FAR_APART ? (int)t->window - 1 : FAR_APART, R = (int)t->R;
    const float *relative = t->relative ? t->relative + h * (2 * t->R + 1) : NULL;
    const MaskRange s = {-far, t->causal ? 0 : far, R, relative, t->scale * LOG2E};
    return s;
}

/* Rows begin .. end-1; `begin` is a multiple of a step. Empty if end <= begin. */
typedef struct Span {
    int begin, end;
} Span;

static __device__ inline Span span_of(int64_t from, int64_t to, int count, int step)
{
    const int begin = (int)(from < 0 ? 0 : from > count ? count : from), end = (int)(to > count ? count : to);
    const Span s = {begin / step * step, end > begin ? end : 0};
    return s;
}
/* Returns the keys that queries i .. i+n-1 attend to. The span begins at a multiple of `step`, and masked keys add
 * nothing to a row, so the sums of a row do not depend on the other rows. */
static __device__ inline Span unmasked_keys(const MaskRange *s, const TextRows *r, int i, int n, int step)
{
    const int64_t first = (int64_t)first_position(r) + i, last = first + MIN(n, r->queries - i) - 1;
    return span_of(first + s->min_offset, last + s->max_offset + 1, r->keys, step);
}
/* Returns the queries that attend to at least one of the keys j .. j+n-1. */
static __device__ inline Span unmasked_queries(const MaskRange *s, const TextRows *r, int j, int n, int step)
{
    const int64_t first = (int64_t)j - first_position(r), last = first + MIN(n, r->keys - j) - 1;
    return span_of(first - s->max_offset, last - s->min_offset + 1, r->queries, step);
}

typedef struct Unmasked { /* whether some, or all, of a warp's scores are unmasked */
    bool some, all;
} Unmasked;

/* Reports which of a warp's scores are unmasked. `min_offset` and `max_offset` are the smallest and the largest offset
 * (position of the key minus position of the query) of these scores. */
static __device__ inline Unmasked unmasked_between(const MaskRange *s, int min_offset, int max_offset)
{
    const Unmasked unmasked = {max_offset >= s->min_offset && min_offset <= s->max_offset,
                               min_offset >= s->min_offset && max_offset <= s->max_offset};
    return unmasked;
}

/* `offset` is the position of the key minus the position of the query. is_unmasked reports, without a branch, whether
 * the query attends to the key. bias_at returns the number that is added to the score. */
static __device__ inline bool is_unmasked(const MaskRange *s, int offset)
{
    return (offset >= s->min_offset) & (offset <= s->max_offset);
}
static __device__ inline float bias_at(const MaskRange *s, int offset)
{
    return s->relative[MIN(MAX(offset, -s->R), s->R) + s->R] * LOG2E;
}

/* ---- rows in shared memory ------------------------------------------------------------------- */

/* The rows of one head, beginning with the first row of a text. */
typedef struct HeadRows {
    void *x;
    DType type;
    int64_t ld;
} HeadRows;

static __device__ inline HeadRows head_rows(const void *x, DType type, int64_t ld, int64_t row, int64_t col)
{
    const HeadRows r = {(char *)x + (row * ld + col) * (type == F32 ? 4 : 2), type, ld};
    return r;
}
static __device__ inline void copy_number(float *to, const float *from, bool in)
{
    cp_async4(to, from, in ? 4 : 0);
}
template <class T> static __device__ inline void copy_number(float *to, const T *from, bool in)
{
    *to = in ? to_f32(*from) : 0.0f;
}
/* load_rows for unaligned rows or 16-bit numbers: one warp per row, neighbouring lanes copy neighbouring numbers. */
template <int COUNT, int WIDE, int BY, class T>
static __device__ inline void load_numbers(float *to, const T *from, int64_t ld, int rows, int cols)
{
    const T *at = from + (int)threadIdx.x / WARP * ld + lane_id();
    to += (int)threadIdx.x / WARP * (WIDE + PAD) + lane_id();
    for (int row = (int)threadIdx.x / WARP; row < COUNT; row += BY / WARP) {
        UNROLL
        for (int c = 0; c < WIDE; c += WARP) {
            const bool in = row < rows && lane_id() + c < cols;
            copy_number(to + c, in ? at + c : from, in);
        }
        at += BY / WARP * ld;
        to += BY / WARP * (WIDE + PAD);
    }
}
/* Writes columns d .. d+WIDE-1 of the rows of x, from row `first` on, to `to` [COUNT, WIDE + PAD]. Rows from `count` on
 * and columns from D on become zeros. All BY threads of the block must call it. The numbers are valid after
 * cp_async_wait and a barrier. 16-bit numbers become float32. `aligned` is the result of rows_aligned. If it is true,
 * eight neighbouring threads copy 128 bytes of a row, 16 bytes each. */
template <int COUNT, int WIDE, int BY = THREADS>
static __device__ inline void load_rows(float *to, const HeadRows *x, int first, int count, int d, int D, bool aligned)
{
    const int rows = count - first, cols = D - d;
    if (x->type != F32 || !aligned) {
        WITH_TYPE(x->type, T,
                  load_numbers<COUNT, WIDE, BY>(to, (const T *)x->x + first * x->ld + d, x->ld, rows, cols));
        return;
    }
    const int begin = (int)threadIdx.x / 8, col = (int)threadIdx.x % 8 * 4;
    const float *from = (const float *)x->x + first * x->ld + d, *at = from + begin * x->ld + col;
    to += begin * (WIDE + PAD) + col;
    UNROLL
    for (int row = 0; row < COUNT; row += BY / 8) {
        UNROLL
        for (int c = 0; c < WIDE; c += 32) {
            const bool in = begin + row < rows && col + c < cols;
            cp_async16(to + row * (WIDE + PAD) + c, in ? at + c : from, in ? 16 : 0);
        }
        at += BY / 8 * x->ld;
    }
}

/* ---- a warp's products ----------------------------------------------------------------------- */

static __device__ inline int lane_row(void)
{
    return (lane_id() & 1) + lane_id() / 16 * 2;
}
static __device__ inline int lane_col(void)
{
    return lane_id() / 2 % ROW_LANES;
}
/* Return the maximum and the sum over the 8 lanes of a row. */
static __device__ inline float row_max(float x)
{
    for (int bit = 2; bit <= 8; bit *= 2)
        x = fmaxf(x, __shfl_xor_sync(FULL_MASK, x, bit));
    return x;
}
static __device__ inline float row_add(float x)
{
    for (int bit = 2; bit <= 8; bit *= 2)
        x += __shfl_xor_sync(FULL_MASK, x, bit);
    return x;
}

static __device__ inline void unpack(float to[4], float4 x)
{
    to[0] = x.x, to[1] = x.y, to[2] = x.z, to[3] = x.w;
}

/* s[i][j] += the dot product of row lane_row() + 4 i of `rows` and row lane_col() + 8 j of `cols`, over `len` features
 * in order. Both have WIDE + PAD floats per row, with zeros up to a multiple of 4 features. Four features need
 * LANE_ROWS + COLS loads of 16 bytes for 16 COLS fused multiply-adds. */
template <int COLS, int WIDE>
static __device__ inline void add_scores(float s[LANE_ROWS][COLS], const float *rows, const float *cols, int len)
{
    rows += lane_row() * (WIDE + PAD);
    cols += lane_col() * (WIDE + PAD);
    for (int d = 0; d < len; d += 4) {
        float a[LANE_ROWS][4], b[4];
        for (int i = 0; i < LANE_ROWS; i++)
            unpack(a[i], load4(rows + i * LANE_ROWS * (WIDE + PAD) + d));
        for (int j = 0; j < COLS; j++) {
            unpack(b, load4(cols + j * ROW_LANES * (WIDE + PAD) + d));
            for (int i = 0; i < LANE_ROWS; i++)
                for (int e = 0; e < 4; e++)
                    s[i][j] = fmaf(a[i][e], b[e], s[i][j]);
        }
    }
}

/* y[i][4 m + e] += the product of row lane_row() + 4 i of weights [ROWS, COUNT + WEIGHTS_PAD] and column 32 m + 4
 * lane_col() + e of x [COUNT, WIDE + PAD], summed over COUNT in order. Four steps of COUNT need LANE_ROWS + WIDE / 8
 * loads of 16 bytes for 2 WIDE fused multiply-adds. */
template <int COUNT, int WIDE>
static __device__ inline void add_weighted(float y[LANE_ROWS][WIDE / 8], const float *weights, const float *x)
{
    weights += lane_row() * (COUNT + WEIGHTS_PAD);
    x += 4 * lane_col();
    for (int j = 0; j < COUNT; j += 4) {
        float a[LANE_ROWS][4], b[4];
        for (int i = 0; i < LANE_ROWS; i++)
            unpack(a[i], load4(weights + i * LANE_ROWS * (COUNT + WEIGHTS_PAD) + j));
        for (int k = 0; k < 4; k++)
            for (int m = 0; m < WIDE / 32; m++) {
                unpack(b, load4(x + (j + k) * (WIDE + PAD) + 32 * m));
                for (int i = 0; i < LANE_ROWS; i++)
                    for (int e = 0; e < 4; e++)
                        y[i][4 * m + e] = fmaf(a[i][k], b[e], y[i][4 * m + e]);
            }
    }
}

/* Writes a lane's part of its warp's scores or weights to [ROWS, 8 COLS + WEIGHTS_PAD]. The other lanes may read it
 * after __syncwarp. */
template <int COLS> static __device__ inline void put_weights(float *weights, const float s[LANE_ROWS][COLS])
{
    weights += lane_row() * (8 * COLS + WEIGHTS_PAD) + lane_col();
    for (int i = 0; i < LANE_ROWS; i++)
        for (int j = 0; j < COLS; j++)
            weights[i * LANE_ROWS * (8 * COLS + WEIGHTS_PAD) + ROW_LANES * j] = s[i][j];
}

/* Turns products into scores for exp2: scaled, with the relative bias, both times log2(e) (MaskRange), and -inf if the
 * key is masked.
 *
 * - `offset`: the position of the key minus that of the query, for the lane's first row and column.
 * - SIGN: 1 if rows are queries, -1 if rows are keys.
 * - `rows`, `cols`: how many rows and columns exist from the lane's first on.
 * - `all`: all scores of the warp are unmasked.
 *
 * A lane has 4 COLS scores. The bias of a score depends on the difference of the two positions only. The scores of a
 * lane have 2 COLS + 2 different differences, so the bias is read 2 COLS + 2 times. */
template <int COLS, int SIGN>
static __device__ inline void finish_scores(float s[LANE_ROWS][COLS], const MaskRange *w, int offset, int rows,
                                            int cols, bool all)
{
    if (w->relative) {
        float bias[2 * COLS + 2];
        for (int n = 0; n < 2 * COLS + 2; n++)
            bias[n] = bias_at(w, offset + SIGN * 4 * (n - 3));
        for (int i = 0; i < LANE_ROWS; i++)
            for (int j = 0; j < COLS; j++)
                s[i][j] = fmaf(s[i][j], w->scale, bias[2 * j - i + 3]);
    } else {
        for (int i = 0; i < LANE_ROWS; i++)
            for (int j = 0; j < COLS; j++)
                s[i][j] *= w->scale;
    }
    for (int i = 0; !all && i < LANE_ROWS; i++)
        for (int j = 0; j < COLS; j++) {
            const bool unmasked = is_unmasked(w, offset + SIGN * 4 * (2 * j - i)) & (4 * i < rows) & (8 * j < cols);
            s[i][j] = unmasked ? s[i][j] : -INFINITY;
        }
}

/* Writes a lane's part of a result: columns d + 32 m + 4 lane_col() + e of row lane_row() + 4 i, with m >= 0 and e < 4.
 * The destination begins at the warp's first row; `rows` rows exist from that row on. */
template <int WIDE, class T>
static __device__ inline void put_rows_as(T *to, int64_t ld, const float y[LANE_ROWS][WIDE / 8], int rows, int cols)
{
    UNROLL
    for (int i = 0; i < LANE_ROWS; i++) {
        const int row = lane_row() + LANE_ROWS * i;
        UNROLL
        for (int c = 0; c < WIDE / 8; c++) {
            const int col = c / 4 * 32 + 4 * lane_col() + c % 4;
            if (row < rows && col < cols)
                from_f32(y[i][c], to + row * ld + col);
        }
    }
}
template <int WIDE>
static __device__ inline void put_rows(const HeadRows *to, const float y[LANE_ROWS][WIDE / 8], int rows, int d, int D,
                                       bool aligned)
{
    if (to->type != F32 || !aligned) {
        WITH_TYPE(to->type, T, put_rows_as<WIDE>((T *)to->x + d, to->ld, y, rows, D - d));
        return;
    }
    float *at = (float *)to->x + lane_row() * to->ld + d + 4 * lane_col();
    UNROLL
    for (int i = 0; i < LANE_ROWS; i++) {
        UNROLL
        for (int c = 0; c < WIDE / 8; c += 4)
            if (lane_row() + LANE_ROWS * i < rows && d + c * 8 + 4 * lane_col() < D)
                store4(at + c * 8, make_float4(y[i][c], y[i][c + 1], y[i][c + 2], y[i][c + 3]));
        at += LANE_ROWS * to->ld;
    }
}

#endif
