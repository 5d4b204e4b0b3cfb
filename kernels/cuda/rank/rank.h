/* kernels/cuda/rank/rank.h: what the ranking kernels share: the k best scores of a row, the excluded items of a tile,
 * and tiles of a product that are ranked while they are in registers.
 *
 * Scores are ordered by value, and equal scores by the lower id. Each id is offered to a row at most once. So the k
 * best do not depend on the order in which scores arrive, and a product may be divided into tiles, ranges of items and
 * blocks in any way. */
#ifndef SAPOR_CUDA_RANK_H
#define SAPOR_CUDA_RANK_H

#include "kernels/cuda/cuda.h"

static const float LOWEST = -INFINITY;
enum { EMPTY = -1 }; /* the id of a free place of a list, whose score is LOWEST */

/* Reports whether (value, id) comes before (than, than_id). False if value is NaN. Also false if value is LOWEST
 * and (than, than_id) is a place of a list: an occupied place has a score above LOWEST, a free place has LOWEST and id
 * -1, and no id is below -1. So NaN and LOWEST enter no list. */
static __device__ inline bool better(float value, int32_t id, float than, int32_t than_id)
{
    return value > than || (value == than && id < than_id);
}

/* ---- the k best of a row --------------------------------------------------------------------- */

/* A copy of the worst of the k best, and the number of candidates. */
typedef struct BestState {
    float worst;
    int32_t worst_id, candidate_count;
} BestState;

/* A sorted list of the k best scores of a row, kept by one warp. Each score that is better than the worst of the list
 * becomes a candidate. 32 candidates at a time are merged into the list. In a row of random order about k + k ln(n / k)
 * of n scores become candidates. */
typedef struct Best {
    int k;
    float *value; /* `value` and `id` [k]: the list, in shared memory or in the result. Free places have the id EMPTY */
    int32_t *id;
    float *candidate; /* `candidate` and `candidate_id` [WARP]: the candidates, in shared memory */
    int32_t *candidate_id;
    BestState *state; /* in shared memory */
} Best;

static __device__ inline void best_begin(const Best *b)
{
    for (int i = lane_id(); i < b->k; i += WARP) {
        b->value[i] = LOWEST;
        b->id[i] = EMPTY;
    }
    if (lane_id() == 0)
        *b->state = BestState{LOWEST, EMPTY, 0};
    __syncwarp();
}

/* Returns how many elements of a sorted list [n] are better than (than, than_id). */
static __device__ inline int count_better(const float *value, const int32_t *id, int n, float than, int32_t than_id)
{
    int low = 0;
    for (int high = n; low < high;) {
        const int middle = (low + high) / 2;
        if (better(value[middle], id[middle], than, than_id))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Sorts the first n candidates. A candidate's place is the number of better candidates. All lanes read the same
 * candidate in the same access, and no lane waits for another. */
static __device__ inline void sort_candidates(const Best *b, int n)
{
    const int lane = lane_id();
    const float value = lane < n ? b->candidate[lane] : LOWEST;
    const int32_t id = lane < n ? b->candidate_id[lane] : EMPTY;
    int place = 0;
    for (int i = 0; i < n; i++)
        place += better(b->candidate[i], b->candidate_id[i], value, id);
    __syncwarp();
    if (lane < n) {
        b->candidate[place] = value;
        b->candidate_id[place] = id;
    }
    __syncwarp();
}

/* Merges the n candidates into the list. The new place of an element is its old place plus the number of better
 * elements in the other list, which a binary search finds. The list is moved in place, from its end to its front, 32
 * places at a time. Elements that are better than all candidates are not moved. */
static __device__ inline void best_merge(const Best *b, int n)
{
    const int lane = lane_id(), k = b->k;
    sort_candidates(b, n);
    const float value = lane < n ? b->candidate[lane] : LOWEST;
    const int32_t id = lane < n ? b->candidate_id[lane] : EMPTY;
    const int before = lane < n ? count_better(b->value, b->id, k, value, id) : k;
    const int first = __shfl_sync(FULL_MASK, before, 0);
    for (int begin = (k - 1) / WARP * WARP; begin + WARP > first; begin -= WARP) {
        const int i = begin + lane;
        const bool moves = i >= first && i < k;
        const float old = moves ? b->value[i] : LOWEST;
        const int32_t old_id = moves ? b->id[i] : EMPTY;
        const int to = i + count_better(b->candidate, b->candidate_id, n, old, old_id);
        __syncwarp();
        if (moves && to < k) {
            b->value[to] = old;
            b->id[to] = old_id;
        }
        __syncwarp();
    }
    if (lane < n && before + lane < k) {
        b->value[before + lane] = value;
        b->id[before + lane] = id;
    }
    __syncwarp();
    if (lane == 0)
        *b->state = BestState{b->value[k - 1], b->id[k - 1], 0};
    __syncwarp();
}

/* Offers one score per lane. LOWEST and NaN never enter. Returns false if no lane's score entered. */
static __device__ inline bool best_offer(const Best *b, float value, int32_t id)
{
    const BestState state = *b->state;
    const bool enters = better(value, id, state.worst, state.worst_id);
    const uint32_t who = __ballot_sync(FULL_MASK, enters);
    if (who == 0)
        return false;
    const int all = state.candidate_count + __popc(who);
    const int at = state.candidate_count + __popc(who & ((1u << lane_id()) - 1));
    if (enters && at < WARP) {
        b->candidate[at] = value;
        b->candidate_id[at] = id;
    }
    __syncwarp();
    if (all >= WARP) {
        best_merge(b, WARP);
        if (enters && at >= WARP) {
            b->candidate[at - WARP] = value;
            b->candidate_id[at - WARP] = id;
        }
    }
    if (lane_id() == 0)
        b->state->candidate_count = all % WARP;
    __syncwarp();
    return true;
}

/* Merges the candidates that remain, so that the list is complete and sorted. Copies the list to `value` and `id` if
 * these are not the list itself. */
static __device__ inline void best_end(const Best *b, float *value, int32_t *id)
{
    const int count = b->state->candidate_count;
    __syncwarp();
    if (count > 0)
        best_merge(b, count);
    for (int i = lane_id(); i < b->k && value != b->value; i += WARP) {
        value[i] = b->value[i];
        id[i] = b->id[i];
    }
}

/* Offers another list [n], sorted with the best first. If none of 32 elements enters, all later ones are worse, and the
 * loop ends. */
static __device__ inline void best_join(const Best *b, int n, const float *value, const int32_t *id)
{
    bool enters = true;
    for (int begin = 0; begin < n && enters; begin += WARP) {
        const int i = begin + lane_id();
        enters = best_offer(b, i < n ? value[i] : LOWEST, i < n ? id[i] : EMPTY);
    }
}

enum { TILE = 4 * WARP }; /* items per tile: each lane has four scores of a row */

/* Offers scores [TILE] of the items first, first + 1, ..., or, if `number` is given, number[first], number[first + 1],
 * ... */
static __device__ inline void best_offer_tile(const Best *b, const float *scores, int64_t first, const int32_t *number)
{
    const float worst = b->state->worst;
    for (int at = lane_id(); at < TILE; at += WARP) {
        const float value = scores[at];
        if (__any_sync(FULL_MASK, value >= worst))
            best_offer(b, value, value > LOWEST && number ? number[first + at] : (int32_t)(first + at));
    }
    __syncwarp();
}

/* ---- excluded items -------------------------------------------------------------------------- */

/* The excluded items of a row that are in the next tile or after it: item[at .. end-1], in ascending order. `next` is
 * item[at + lane], or INT32_MAX after the end. GROUP neighbouring lanes work on the same row, and `lane` is the lane's
 * number among them. `next` is loaded early, so that no lane waits for it. */
typedef struct Skip {
    const int32_t *item;
    int64_t at, end;
    int32_t next;
} Skip;

template <int GROUP> static __device__ inline void skip_read(Skip *s)
{
    const int64_t at = s->at + lane_id() % GROUP;
    s->next = at < s->end ? s->item[at] : INT32_MAX;
}

/* Returns the excluded items of row b of a batch, from item `first` on. */
template <int GROUP> static __device__ inline Skip skip_from(const Exclude *x, int64_t b, int64_t first)
{
    if (!x->start)
        return Skip{NULL, 0, 0, INT32_MAX};
    const int64_t list = x->row ? x->row[b] : b, end = x->start[list + 1];
    int64_t low = x->start[list];
    for (int64_t high = end; low < high;) {
        const int64_t middle = low + (high - low) / 2;
        if (x->item[middle] < first)
            low = middle + 1;
        else
            high = middle;
    }
    Skip s = {x->item, low, end, 0};
    skip_read<GROUP>(&s);
    return s;
}

/* Sets bit i of bits [4] (shared memory) if item first + i is excluded, for i < TILE, and clears the others. The GROUP
 * lanes of a row have the same Skip and the same `bits`, and read one item per lane at a time. The items for the next
 * tile are loaded while this tile is multiplied. Tiles come in ascending order, so that each item is read about
 * once. */
template <int GROUP> static __device__ inline void mark_excluded(Skip *s, int64_t first, uint32_t *bits)
{
    const int lane = lane_id() % GROUP;
    const uint32_t group = (GROUP < WARP ? (1u << GROUP % WARP) - 1 : FULL_MASK) << (lane_id() - lane);
    if (lane < TILE / 32)
        bits[lane] = 0;
    __syncwarp();
    for (bool more = true; __any_sync(FULL_MASK, more);) {
        const int64_t place = s->next - first;
        if (place < TILE)
            atomicOr(&bits[place / 32], 1u << place % 32);
        const uint32_t inside = __ballot_sync(FULL_MASK, place < TILE) & group;
        s->at += __popc(inside);
        if (inside)
            skip_read<GROUP>(s);
        more = inside == group;
    }
    __syncwarp();
}

/* ---- tiles of a product ---------------------------------------------------------------------- */

/* A block of 8 warps computes 8 R rows x TILE items at a time. A warp has R whole rows of the tile: each lane has 4
 * neighbouring items of each row, in 4 R registers. So a warp ranks its rows without the other warps.
 *
 * For each of K_PART features, a lane computes 4 R multiply-adds, and the warp reads from shared memory:
 *
 * - R numbers of its rows, the same for all lanes. A load reads four of them: R / 4 accesses.
 * - 128 numbers of the items: 4 accesses of 128 bytes.
 *
 * With R = 8 these multiply-adds keep the arithmetic units of a multiprocessor busy. R = 4 makes smaller blocks, for
 * few rows or if the lists need the memory. */
enum { RANK_WARPS = 8, RANK_THREADS = RANK_WARPS * WARP, K_PART = 16 };

/* The dynamic shared memory of a block. The lists come after it: k scores of each row, then k ids of each row, unless
 * the lists are in the result. In `a` and `b`, each feature has a row of numbers, with 4 unused numbers at its end. A
 * warp stores into four of these rows in one instruction: with the unused numbers, at most two of its lanes use the
 * same bank. */
template <int R> struct RankShared {
    /* features of the rows, transposed: one buffer is filled while the other is multiplied */
    float a[2][K_PART][RANK_WARPS * R + 4];
    float b[2][K_PART][TILE + 4];   /* features of the items */
    float scores[RANK_WARPS][TILE]; /* of the row that a warp ranks */
    float candidate[RANK_WARPS * R][WARP];
    int32_t candidate_id[RANK_WARPS * R][WARP];
    BestState state[RANK_WARPS * R];
    uint32_t excluded[RANK_WARPS * R][TILE / 32];
};

/* The lists of the block's rows: k places per row, one row after the other */
typedef struct Lists {
    int k;
    float *value;
    int32_t *id;
} Lists;

template <int R> static __device__ inline Best best_of(RankShared<R> *s, const Lists *lists, int row)
{
    return Best{lists->k,
                lists->value + (int64_t)row * lists->k,
                lists->id + (int64_t)row * lists->k,
                s->candidate[row],
                s->candidate_id[row],
                &s->state[row]};
}

/* Empties the lists of the warp's first `rows` rows. The lists of its other rows are never offered a score. */
template <int R> static __device__ inline void lists_begin(RankShared<R> *s, const Lists *lists, int rows)
{
    for (int r = 0; r < R; r++) {
        Best best = best_of(s, lists, (int)threadIdx.x / WARP * R + r);
        best.k = r < rows ? best.k : 0;
        best_begin(&best);
    }
}
/* Completes the lists of the warp's rows and copies them to the result. `value` and `id` belong to the block's first
 * row. */
template <int R>
static __device__ inline void lists_end(RankShared<R> *s, const Lists *lists, int rows, float *value, int32_t *id)
{
    for (int r = 0; r < rows; r++) {
        const int row = (int)threadIdx.x / WARP * R + r;
        const Best best = best_of(s, lists, row);
        best_end(&best, value + (int64_t)row * best.k, id + (int64_t)row * best.k);
    }
}

/* Rows of D numbers of type T. `wide`: all rows begin at multiples of 16 bytes, and D is a multiple of 4 */
typedef struct Rows {
    const void *data;
    int D;
    bool wide;
} Rows;

static inline Rows rows_of(const void *data, int64_t D)
{
    return Rows{data, (int)D, D % 4 == 0 && aligned16(data)};
}

/* Loads features d .. d+3 of a row. Features after the row's end are zeros, and so are all of them if row is NULL. */
template <class T> static __device__ inline void load_features(const T *row, int d, const Rows *x, float to[4])
{
    for (int i = 0; i < 4; i++)
        to[i] = row && d + i < x->D ? to_f32(row[d + i]) : 0.0f;
}
static __device__ inline void load_features(const float *row, int d, const Rows *x, float to[4])
{
    if (x->wide) { /* D is a multiple of four */
        const float4 f = row && d < x->D ? load4(row + d) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        to[0] = f.x;
        to[1] = f.y;
        to[2] = f.z;
        to[3] = f.w;
    } else {
        load_features<float>(row, d, x, to);
    }
}

/* The numbers that a thread copies to shared memory per K_PART features: four features of one row (zeros if the thread
 * has none), and four features of each of two items */
typedef struct Part {
    float a[4], b[2][4];
} Part;

/* Loads the thread's share of features d .. d + K_PART - 1: four features of `row` (NULL: zeros) and of two items.
 * Items from `last` on are zeros. Four neighbouring threads read 64 bytes of a row of floats. */
template <class T>
static __device__ inline Part fetch_part(const Rows *rows, const T *row, const Rows *items, int64_t first, int64_t last,
                                         int d)
{
    Part p;
    d += (int)threadIdx.x % 4 * 4;
    load_features(row, d, rows, p.a);
    for (int i = 0; i < 2; i++) {
        const int64_t item = first + threadIdx.x / 4 + i * (RANK_THREADS / 4);
        load_features(item < last ? (const T *)items->data + item * items->D : NULL, d, items, p.b[i]);
    }
    return p;
}
template <int R> static __device__ inline void put_part(RankShared<R> *s, int buffer, const Part *p)
{
    const int row = (int)threadIdx.x / 4, k = (int)threadIdx.x % 4 * 4;
    for (int i = 0; i < 4; i++) {
        if (row < RANK_WARPS * R)
            s->a[buffer][k + i][row] = p->a[i];
        s->b[buffer][k + i][row] = p->b[0][i];
        s->b[buffer][k + i][row + RANK_THREADS / 4] = p->b[1][i];
    }
}

template <int R>
static __device__ inline void multiply_part(const RankShared<R> *s, int buffer, int count, float sum[R][4])
{
    const int row = (int)threadIdx.x / WARP * R, item = 4 * lane_id();
    for (int k = 0; k < count; k++) {
        const float4 b = load4(&s->b[buffer][k][item]);
        for (int r = 0; r < R; r += 4) {
            const float4 four = load4(&s->a[buffer][k][row + r]);
            const float a[4] = {four.x, four.y, four.z, four.w};
            for (int i = 0; i < 4; i++) {
                sum[r + i][0] = fmaf(a[i], b.x, sum[r + i][0]);
                sum[r + i][1] = fmaf(a[i], b.y, sum[r + i][1]);
                sum[r + i][2] = fmaf(a[i], b.z, sum[r + i][2]);
                sum[r + i][3] = fmaf(a[i], b.w, sum[r + i][3]);
            }
        }
    }
}

/* The operands of a block's product */
typedef struct Product {
    Rows rows, items;
    const float *bias; /* [items], or NULL */
    bool excludes;
    const int32_t *number; /* the ids of the items, or NULL: the id of an item is its row in `items` */
} Product;

/* Adds the bias. Sets the scores of excluded items and of items from `last` on to LOWEST. */
template <int R>
static __device__ inline void finish_scores(const Product *p, RankShared<R> *s, bool excludes, int64_t first,
                                            int64_t last, float sum[R][4])
{
    const int row = (int)threadIdx.x / WARP * R, lane = lane_id();
    for (int c = 0; c < 4; c++) {
        const int64_t item = first + 4 * lane + c;
        const float bias = item >= last ? LOWEST : p->bias ? p->bias[item] : 0.0f;
        for (int r = 0; r < R && (p->bias || item >= last); r++)
            sum[r][c] = item >= last ? LOWEST : sum[r][c] + bias;
    }
    for (int r = 0; r < R && excludes; r++) {
        const uint32_t bits = s->excluded[row + r][lane / 8] >> lane % 8 * 4;
        for (int c = 0; c < 4; c++)
            sum[r][c] = bits >> c & 1 ? LOWEST : sum[r][c];
    }
}

/* Enters the scores of a warp's rows into their lists. Most rows have no score above the worst score of their list:
 * they need only one comparison per score. The other rows are ranked one after the other through shared memory, so that
 * the code and its registers exist only once. Bit r of `active` is set if row r of the warp is ranked. */
template <int R>
static __device__ inline void rank_scores(const Product *p, RankShared<R> *s, const Lists *lists, int64_t first,
                                          float sum[R][4], uint32_t active)
{
    const int warp = (int)threadIdx.x / WARP, lane = lane_id();
    uint32_t pending = 0;
    for (int r = 0; r < R; r++) {
        const float worst = s->state[warp * R + r].worst;
        const bool may = sum[r][0] >= worst || sum[r][1] >= worst || sum[r][2] >= worst || sum[r][3] >= worst;
        pending |= __any_sync(FULL_MASK, may) ? 1u << r : 0;
    }
    for (pending &= active; pending; pending &= pending - 1) {
        const int row = __ffs((int)pending) - 1;
        /* Finds sum[row] with constant indices: registers cannot be indexed by a variable, so with sum[row] the array
         * would be in local memory. With the test r == row the compiler would replace this loop by sum[row]. So the
         * loop tests whether bit r is the lowest set bit of `pending`. */
        for (int r = 0; r < R; r++)
            if (pending >> r & ~(pending - 1) >> r & 1)
                store4(&s->scores[warp][4 * lane], make_float4(sum[r][0], sum[r][1], sum[r][2], sum[r][3]));
        __syncwarp();
        const Best best = best_of(s, lists, warp * R + row);
        best_offer_tile(&best, s->scores[warp], first, p->number);
    }
}

/* The matrix to which all scores of the block's rows are written: [rows, ld] */
typedef struct Strip {
    float *scores;
    int64_t ld;
    int rows;
} Strip;
template <int R>
static __device__ inline void store_scores(const Strip *to, int64_t first, int64_t last, float sum[R][4])
{
    const int row = (int)threadIdx.x / WARP * R;
    for (int r = 0; r < R; r++)
        for (int c = 0; c < 4; c++) {
            const int64_t item = first + 4 * lane_id() + c;
            if (row + r < to->rows && item < last)
                to->scores[(row + r) * to->ld + item] = sum[r][c];
        }
}

/* Computes the scores of the block's rows and of the items first .. last-1, tile by tile. The scores are entered into
 * `lists`, or stored in `strip` if it is not NULL.
 * - `row`: the row whose features this thread copies. NULL: none.
 * - `skip`: the excluded items of the row that this lane marks. NULL: none.
 *
 * A score is one chain of fmaf over the features 0 .. D-1, beginning with 0, so it does not depend on the tile. While
 * one part of the features is multiplied, the next part is loaded into registers, even if it belongs to the next tile.
 * So there is one barrier per part. Warps without an active row copy features for the others. */
template <int R, class T>
static __device__ inline void rank_range(const Product *p, RankShared<R> *s, const Lists *lists, const Strip *strip,
                                         const T *row, Skip *skip, int64_t first, int64_t last, uint32_t active)
{
    if (first >= last)
        return;
    float sum[R][4] = {};
    const int D = p->rows.D;
    const bool excludes = skip && p->excludes;
    Part part = fetch_part(&p->rows, row, &p->items, first, last, 0);
    put_part(s, 0, &part);
    __syncthreads();
    int64_t tile = first;
    for (int buffer = 0, d = 0; tile < last; buffer ^= 1) {
        const bool ends = d + K_PART >= D;
        const int64_t next_tile = ends ? tile + TILE : tile;
        const int next_d = ends ? 0 : d + K_PART;
        if (next_tile < last)
            part = fetch_part(&p->rows, row, &p->items, next_tile, last, next_d);
        if (active)
            multiply_part(s, buffer, MIN(D - d, (int)K_PART), sum);
        if (next_tile < last)
            put_part(s, buffer ^ 1, &part);
        __syncthreads();
        if (ends && active) {
            if (excludes)
                mark_excluded<WARP / R>(skip, tile, s->excluded[threadIdx.x / WARP * R + lane_id() / (WARP / R)]);
            finish_scores(p, s, excludes, tile, last, sum);
            if (strip)
                store_scores<R>(strip, tile, last, sum);
            else
                rank_scores(p, s, lists, tile, sum, active);
            for (int r = 0; r < R; r++)
                sum[r][0] = sum[r][1] = sum[r][2] = sum[r][3] = 0.0f;
        }
        tile = next_tile;
        d = next_d;
    }
}

#endif
