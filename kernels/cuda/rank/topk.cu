/* kernels/cuda/rank/topk.cu: ranking: the k best of each row of a product that is never stored as a whole, and of dense
 * scores.
 *
 * There are three ways. The choice depends on k and on the input (docs/kernels/topk.md):
 *   lists    products, k up to 128: a block ranks tiles while they are in registers. If the rows alone give too few
 *            blocks for a card, the items are divided among blocks, too, and a second kernel joins the blocks' lists
 *   strips   products, larger k: the scores of some rows (32 rows, or more if the L2 cache holds them) are stored in
 *            scratch and are then ranked as dense scores
 *   dense    scores in memory: lists for k up to 128; otherwise the k-th best number is found digit by digit
 * All ways order scores by value, then by the lower id, and compute a score with the same bits. So results do not
 * depend on the way. Unlike on the CPU, the product of rows with themselves is computed completely: with only one half
 * of it, many blocks would write to each list. */
#include "kernels/cuda/rank/rank.h"

enum { MOST_IN_SHARED = 128 }; /* the largest k whose lists are in shared memory */

/* ---- lists of a product ---------------------------------------------------------------------- */

typedef struct Ranking {
    Product product;
    int64_t first, last, I; /* the rows of the batch that are ranked; the number of items */
    int64_t range;          /* items per block, a multiple of TILE: blockIdx.y is the number of the range */
    const int32_t *row;     /* row b of the batch is row[b] of the matrix; NULL: b */
    Exclude exclude;
    int64_t B;
    int k;
    float *value; /* [parts of the items, B, k], as id; for a strip [last - first, I] */
    int32_t *id;
} Ranking;

/* Block (x, y) ranks the items of range y for 8 R rows of the batch, the rows from `first` + 8 R x on. If D is large,
 * the multiply-adds take most of the time. At D = 64, 3,260 items and k = 50, ranking takes about as many instructions
 * as the multiply-adds. Registers and shared memory suffice for two blocks per multiprocessor: one block multiplies
 * while the other ranks. */
template <int R, class T, bool STORE> static __global__ void __launch_bounds__(RANK_THREADS, 2) rank_kernel(Ranking x)
{
    DYNAMIC_SHARED(RankShared<R>, s);
    enum { ROWS = RANK_WARPS * R };
    float *value = (float *)(s + 1);
    const Lists lists = {x.k, value, (int32_t *)(value + ROWS * x.k)};
    const int warp = (int)threadIdx.x / WARP;
    const int64_t begin = x.first + blockIdx.x * (int64_t)ROWS, first = blockIdx.y * x.range;
    const int64_t warp_first = begin + warp * R, copied = begin + threadIdx.x / 4,
                  marked = warp_first + lane_id() / (WARP / R);
    const T *row = NULL;
    if (threadIdx.x / 4 < ROWS && copied < x.last)
        row = (const T *)x.product.rows.data + (x.row ? x.row[copied] : copied) * x.product.rows.D;
    Skip skip = skip_from<WARP / R>(&x.exclude, MIN(marked, x.last - 1), first);
    const int rows = (int)MAX(MIN(x.last - warp_first, (int64_t)R), (int64_t)0); /* of the warp */
    if (!STORE)
        lists_begin(s, &lists, rows);
    const Strip strip = {x.value + (begin - x.first) * x.I, x.I, (int)MIN(x.last - begin, (int64_t)ROWS)};
    rank_range<R, T>(&x.product, s, &lists, STORE ? &strip : NULL, row, &skip, first, MIN(first + x.range, x.I),
                     (1u << rows) - 1);
    const int64_t to = (blockIdx.y * x.B + begin) * x.k;
    if (!STORE)
        lists_end(s, &lists, rows, x.value + to, x.id + to);
}

/* Joins the lists of `parts` blocks, [parts, B, k]. One warp per row. The first list enters the empty list completely.
 */
enum { JOIN_WARPS = 4 };
typedef struct WarpShared {
    float candidate[WARP];
    int32_t candidate_id[WARP];
    BestState state;
    uint32_t excluded[TILE / 32];
    float scores[TILE]; /* scores of a tile that is ranked */
} WarpShared;

/* Returns the list of a warp of the block. In dynamic shared memory are the WarpShared of all warps, then k scores per
 * warp, then k ids per warp. */
static __device__ inline Best warp_best(WarpShared *s, int warps, int warp, int k)
{
    float *value = (float *)(s + warps) + warp * k;
    int32_t *id = (int32_t *)((float *)(s + warps) + warps * k) + warp * k;
    return Best{k, value, id, s[warp].candidate, s[warp].candidate_id, &s[warp].state};
}
static size_t warps_shared(int warps, int64_t k)
{
    return (size_t)warps * (sizeof(WarpShared) + (size_t)k * (sizeof(float) + sizeof(int32_t)));
}

static __global__ void __launch_bounds__(JOIN_WARPS *WARP)
    join_kernel(int64_t B, int k, int parts, const float *values, const int32_t *all_ids, float *value, int32_t *id)
{
    DYNAMIC_SHARED(WarpShared, s);
    const Best best = warp_best(s, JOIN_WARPS, (int)threadIdx.x / WARP, k);
    for (int64_t b = first_warp(); b < B; b += all_warps()) {
        best_begin(&best);
        for (int part = 0; part < parts; part++)
            best_join(&best, k, values + (part * B + b) * k, all_ids + (part * B + b) * k);
        best_end(&best, value + b * k, id + b * k);
        __syncwarp();
    }
}

/* ---- dense scores ---------------------------------------------------------------------------- */

typedef struct Dense {
    int64_t B, I;
    int64_t k;
    const float *scores; /* [B, I] */
    Exclude exclude;
    int64_t first; /* row 0 is row `first` of the batch */
    int32_t *id;   /* [B, k] */
    float *value;
} Dense;
enum { DENSE_WARPS = 8, DENSE_THREADS = DENSE_WARPS * WARP };

/* Reads the lane's four scores of a tile: the items first + lane, + 32, + 64 and + 96, so that reads are coalesced.
 * Excluded items and items from `last` on get LOWEST. */
static __device__ inline void read_scores(const Dense *x, int64_t b, int64_t first, int64_t last, Skip *skip,
                                          uint32_t *excluded, float to[4])
{
    for (int c = 0; c < 4; c++) {
        const int64_t item = first + c * WARP + lane_id();
        to[c] = item < last ? x->scores[b * x->I + item] : LOWEST;
    }
    if (x->exclude.start) {
        mark_excluded<WARP>(skip, first, excluded);
        for (int c = 0; c < 4; c++)
            to[c] = excluded[c] >> lane_id() & 1 ? LOWEST : to[c];
    }
}
/* Returns the first item of a part if the items are divided into `parts` parts: a multiple of TILE. */
static __device__ inline int64_t part_first(int64_t I, int parts, int part)
{
    const int64_t tiles = (I + TILE - 1) / TILE;
    return MIN(tiles * part / parts * TILE, I);
}

/* Ranks dense scores by lists. `share` warps (1 or 8) have a row. Each warp ranks a part of the items, then the first
 * warp joins the lists. Each score is read once (coalesced): memory-bound. */
static __global__ void __launch_bounds__(DENSE_THREADS) dense_lists_kernel(Dense x, int share)
{
    DYNAMIC_SHARED(WarpShared, s);
    const int warp = (int)threadIdx.x / WARP, part = warp % share, k = (int)x.k;
    const int64_t b = ((int64_t)blockIdx.x * DENSE_WARPS + warp) / share;
    const Best best = warp_best(s, DENSE_WARPS, warp, k);
    best_begin(&best);
    if (b < x.B) {
        const int64_t begin = part_first(x.I, share, part), end = part_first(x.I, share, part + 1);
        Skip skip = skip_from<WARP>(&x.exclude, x.first + b, begin);
        for (int64_t first = begin; first < end; first += TILE) {
            float score[4];
            read_scores(&x, b, first, end, &skip, s[warp].excluded, score);
            bool may = false;
            for (int c = 0; c < 4; c++) {
                may |= score[c] >= s[warp].state.worst;
                s[warp].scores[c * WARP + lane_id()] = score[c];
            }
            __syncwarp();
            if (__any_sync(FULL_MASK, may))
                best_offer_tile(&best, s[warp].scores, first, NULL);
            __syncwarp();
        }
        best_end(&best, best.value, best.id);
    }
    __syncthreads();
    if (b < x.B && part == 0) {
        for (int other = 1; other < share; other++) {
            const Best theirs = warp_best(s, DENSE_WARPS, warp + other, k);
            best_join(&best, k, theirs.value, theirs.id);
        }
        best_end(&best, x.value + b * x.k, x.id + b * x.k);
    }
}

/* Returns a score and its id as one integer. A larger integer is better, all are different, and 0 means no score. */
static __device__ inline uint64_t key_of(float score, int32_t id)
{
    if (!(score > LOWEST))
        return 0;
    const uint32_t bits = f32_bits(score + 0.0f); /* -0 becomes 0 */
    return (uint64_t)(bits >> 31 ? ~bits : bits | 0x80000000u) << 32 | (uint32_t)~id;
}
enum { LANE_BINS = 8, BINS = WARP * LANE_BINS, SORT_IN_SHARED = 4096 };
typedef struct Digit {
    int32_t bin, left, inside; /* the digit; how many keys with this digit belong to the result; how many there are */
} Digit;

/* Finds the digit of the `left`-th largest key. Called by warp 0. bins[d] is the count of keys with the digit d.
 * Each lane has 8 bins; a scan over the lanes adds up the bins of the higher lanes. `left` must be at most the sum of
 * all bins. */
static __device__ inline void find_digit(const int32_t *bins, int32_t left, Digit *found)
{
    const int lane = lane_id();
    int32_t lane_sum = 0;
    for (int i = 0; i < LANE_BINS; i++)
        lane_sum += bins[lane * LANE_BINS + i];
    int32_t sum = lane_sum; /* of this lane and the higher lanes */
    for (int apart = 1; apart < WARP; apart *= 2) {
        const int32_t other = __shfl_down_sync(FULL_MASK, sum, (unsigned)apart);
        sum += lane + apart < WARP ? other : 0;
    }
    int32_t above = sum - lane_sum;
    if (above >= left || sum < left)
        return;
    int bin = (lane + 1) * LANE_BINS - 1;
    for (; above + bins[bin] < left; bin--)
        above += bins[bin];
    *found = Digit{bin, left - above, bins[bin]};
}

/* Returns a key such that exactly `needed` keys of the row are not below it. Returns 1 if at most `needed` keys are not
 * 0. Each pass over the row finds 8 more bits (a digit) of the returned key, the highest bits first. The search stops
 * early if all keys that begin with the digits found so far belong to the result. Four passes find the digits of the
 * score. More passes are made only if several items have the score of the last place. */
static __device__ inline uint64_t find_limit(const Dense *x, int64_t b, int32_t needed, int32_t *bins, Digit *found,
                                             int32_t *total, uint32_t *excluded)
{
    const int warp = (int)threadIdx.x / WARP;
    const int64_t begin = part_first(x->I, DENSE_WARPS, warp), end = part_first(x->I, DENSE_WARPS, warp + 1);
    uint64_t limit = 0;
    for (int shift = 56; shift >= 0; shift -= 8) {
        bins[threadIdx.x] = 0;
        if (threadIdx.x == 0)
            *total = 0;
        __syncthreads();
        int32_t valid = 0;
        Skip skip = skip_from<WARP>(&x->exclude, x->first + b, begin);
        for (int64_t first = begin; first < end; first += TILE) {
            float score[4];
            read_scores(x, b, first, end, &skip, excluded, score);
            for (int c = 0; c < 4; c++) {
                const uint64_t key = key_of(score[c], (int32_t)(first + c * WARP + lane_id()));
                const bool counts = key != 0 && (shift == 56 || key >> (shift + 8) == limit >> (shift + 8));
                valid += counts;
                if (counts)
                    atomicAdd(&bins[key >> shift & (BINS - 1)], 1);
            }
            __syncwarp();
        }
        valid = warp_sum(valid);
        if (lane_id() == 0)
            atomicAdd(total, valid);
        __syncthreads();
        if (shift == 56 && *total <= needed)
            return 1;
        if (warp == 0)
            find_digit(bins, needed, found);
        __syncthreads();
        limit |= (uint64_t)found->bin << shift;
        needed = found->left;
        if (found->inside == needed)
            break;
        __syncthreads();
    }
    return limit;
}

/* Sorts n places by all threads of the block, with a bitonic network. Each comparison puts the better number at the
 * lower place. So the places after n, which would hold the worst numbers, need not exist. */
static __device__ inline void block_sort(float *value, int32_t *id, int n)
{
    int pairs = 1;
    while (2 * pairs < n)
        pairs *= 2;
    for (int size = 1; size <= pairs && n > 1; size *= 2) {
        for (int apart = size; apart > 0; apart /= 2) {
            for (int i = (int)threadIdx.x; i < pairs; i += (int)blockDim.x) {
                const int in = i & (apart - 1), low = 2 * (i - in) + in;
                const int high = apart == size ? 2 * (i - in) + 2 * apart - 1 - in : low + apart;
                if (high < n && better(value[high], id[high], value[low], id[low])) {
                    const float v = value[low];
                    const int32_t which = id[low];
                    value[low] = value[high];
                    id[low] = id[high];
                    value[high] = v;
                    id[high] = which;
                }
            }
            __syncthreads();
        }
    }
}

/* One block per row. Finds the k-th best number, collects the numbers that are not below it, and sorts them. The row is
 * read about five times, from the caches. The sort of k numbers takes about log2(k)^2 / 2 steps, in shared memory up to
 * 4,096 numbers, otherwise in the result. */
static __global__ void __launch_bounds__(DENSE_THREADS, 4) dense_select_kernel(Dense x)
{
    DYNAMIC_SHARED(float, sorted);
    SHARED(int32_t, bins, [BINS]);
    SHARED(uint32_t, excluded, [DENSE_WARPS][TILE / 32]);
    SHARED(Digit, found, [1]);
    SHARED(int32_t, taken, [1]);
    const int warp = (int)threadIdx.x / WARP, n = (int)MIN(x.k, x.I);
    const int64_t begin = part_first(x.I, DENSE_WARPS, warp), end = part_first(x.I, DENSE_WARPS, warp + 1);
    for (int64_t b = blockIdx.x; b < x.B; b += gridDim.x) {
        float *value = n <= SORT_IN_SHARED ? sorted : x.value + b * x.k;
        int32_t *id = n <= SORT_IN_SHARED ? (int32_t *)(sorted + n) : x.id + b * x.k;
        const uint64_t limit = find_limit(&x, b, n, bins, found, taken, excluded[warp]);
        __syncthreads();
        if (threadIdx.x == 0)
            *taken = 0;
        __syncthreads();
        Skip skip = skip_from<WARP>(&x.exclude, x.first + b, begin);
        for (int64_t first = begin; first < end; first += TILE) {
            float score[4];
            read_scores(&x, b, first, end, &skip, excluded[warp], score);
            for (int c = 0; c < 4; c++) {
                const int32_t item = (int32_t)(first + c * WARP + lane_id());
                const uint64_t key = key_of(score[c], item);
                if (key >= limit && key != 0) { /* in any order: they are sorted below */
                    const int at = atomicAdd(taken, 1);
                    value[at] = score[c];
                    id[at] = item;
                }
            }
            __syncwarp();
        }
        __syncthreads();
        const int count = *taken;
        block_sort(value, id, count);
        for (int64_t i = threadIdx.x; i < x.k; i += DENSE_THREADS) {
            x.value[b * x.k + i] = i < count ? value[i] : LOWEST;
            x.id[b * x.k + i] = i < count ? id[i] : EMPTY;
        }
        __syncthreads();
    }
}

static void rank_dense(const Run *run, const Dense *x)
{
    enum { LONG = 2048 }; /* the least number of items of a row that is divided among warps */
    if (x->k <= MOST_IN_SHARED) {
        const int share = x->I >= LONG ? DENSE_WARPS : 1;
        LAUNCH(run, dense_lists_kernel, div_up(x->B * share, DENSE_WARPS), DENSE_THREADS,
               warps_shared(DENSE_WARPS, x->k), *x, share);
    } else {
        const int64_t n = MIN(x->k, x->I);
        const size_t sorted = n <= SORT_IN_SHARED ? (size_t)n * (sizeof(float) + sizeof(int32_t)) : 0;
        LAUNCH(run, dense_select_kernel, MIN(x->B, (int64_t)MOST_BLOCKS), DENSE_THREADS, sorted, *x);
    }
}

void cuda_topk_rows(const Run *run, int64_t B, int64_t I, int64_t k, const float *scores, const Exclude *exclude,
                    int32_t *ids, float *values)
{
    const Dense x = {B, I, k, scores, exclude ? *exclude : Exclude{}, 0, ids, values};
    if (k > 0 && B > 0)
        rank_dense(run, &x);
}

/* ---- how a product is divided ---------------------------------------------------------------- */

/* ENOUGH_BLOCKS: two blocks for each of the 132 multiprocessors of the largest cards of today. The number of
 * multiprocessors of the actual card is not used, so that scratch has the same size on all cards. Results do not depend
 * on it. STRIP scores are 32 MB, which fit into the L2 cache of an A100 or H100. MOST_IN_LARGE: the largest k of lists
 * with R = 8. */
enum { ENOUGH_BLOCKS = 264, STRIP = 8 << 20, MOST_IN_LARGE = 64 };

typedef struct Plan {
    int R;             /* rows per warp */
    int64_t strip;     /* how many rows' scores are stored at a time, at least min(B, 32); 0: lists */
    int64_t parts;     /* parts of the items */
    int64_t range;     /* items per part */
    size_t work_bytes; /* of the parts' lists, or of the strip */
} Plan;

static Plan plan_for(int64_t B, int64_t I, int64_t D, int64_t k)
{
    Plan p = {4, 0, 1, 0, 0};
    if (k > MOST_IN_SHARED)
        p.strip = MAX(MIN(B, STRIP / MAX(I, (int64_t)1)), MIN(B, (int64_t)32));
    /* For wide rows the product takes most of the time, and it needs fewer reads of shared memory if a warp has more
     * rows. */
    const int64_t rows = p.strip ? p.strip : B;
    if ((p.strip || k <= MOST_IN_LARGE) && rows >= (D >= 256 ? 4096 : 8192))
        p.R = 8;
    /* Each part begins with an empty list, which costs about k candidates. */
    const int64_t shortest = p.strip ? (int64_t)TILE : MAX((int64_t)512, 8 * k),
                  blocks = div_up(rows, RANK_WARPS * p.R);
    p.parts = MAX(MIN(ENOUGH_BLOCKS / MAX(blocks, (int64_t)1), I / shortest), (int64_t)1);
    p.range = MAX(div_up(div_up(I, p.parts), TILE), (int64_t)1) * TILE;
    p.parts = MAX(div_up(I, p.range), (int64_t)1);
    if (p.strip)
        p.work_bytes = (size_t)(p.strip * I) * sizeof(float);
    else if (p.parts > 1)
        p.work_bytes = (size_t)(p.parts * B * k) * (sizeof(float) + sizeof(int32_t));
    return p;
}

template <int R, class T> static void launch_rank(const Run *run, const Ranking *x, int64_t parts)
{
    const dim3 grid((unsigned)div_up(x->last - x->first, RANK_WARPS * R), (unsigned)parts);
    typedef RankShared<R> Shared;
    const size_t shared = sizeof(Shared) + (size_t)(RANK_WARPS * R * x->k) * (sizeof(float) + sizeof(int32_t));
    if (x->k > 0) {
        allow_shared((rank_kernel<R, T, false>), shared);
        LAUNCH(run, (rank_kernel<R, T, false>), grid, RANK_THREADS, shared, *x);
    } else {
        allow_shared((rank_kernel<R, T, true>), shared);
        LAUNCH(run, (rank_kernel<R, T, true>), grid, RANK_THREADS, shared, *x);
    }
}
template <class T> static void launch_rows(const Run *run, const Ranking *x, const Plan *p)
{
    if (p->R == 8)
        launch_rank<8, T>(run, x, p->parts);
    else
        launch_rank<4, T>(run, x, p->parts);
}

/* Ranks a product. `x` has no plan yet: value and id are the places of the result. */
static void rank_product(const Run *run, Ranking x, int64_t k, DType type)
{
    if (k == 0 || x.B == 0)
        return;
    const Plan p = plan_for(x.B, x.I, x.product.rows.D, k);
    float *value = x.value;
    int32_t *id = x.id;
    x.range = p.range;
    if (p.strip) {
        x.k = 0;
        x.value = (float *)run->work;
        const Exclude exclude = x.exclude;
        x.exclude = Exclude{};
        for (x.first = 0; x.first < x.B; x.first += p.strip) {
            x.last = MIN(x.first + p.strip, x.B);
            WITH_TYPE(type, T, launch_rows<T>(run, &x, &p));
            const Dense dense = {x.last - x.first,   x.I, k, x.value, exclude, x.first, id + x.first * k,
                                 value + x.first * k};
            rank_dense(run, &dense);
        }
        return;
    }
    x.k = (int)k;
    x.last = x.B;
    if (p.parts > 1) {
        x.value = (float *)run->work;
        x.id = (int32_t *)(x.value + p.parts * x.B * k);
    }
    WITH_TYPE(type, T, launch_rows<T>(run, &x, &p));
    if (p.parts > 1)
        LAUNCH(run, join_kernel, blocks_for(x.B, JOIN_WARPS), (int)JOIN_WARPS * WARP, warps_shared(JOIN_WARPS, k), x.B,
               x.k, (int)p.parts, x.value, x.id, value, id);
}

size_t cuda_knn_work(const Run *run, int64_t Q, int64_t I, int64_t D, int64_t k)
{
    (void)run;
    return plan_for(Q, I, D, k).work_bytes;
}
void cuda_knn(const Run *run, int64_t Q, int64_t I, int64_t D, int64_t k, DType type, const void *q, const void *x,
              int32_t *ids, float *values)
{
    Ranking r = {};
    r.product.rows = rows_of(q, D);
    r.product.items = rows_of(x, D);
    r.B = Q;
    r.I = I;
    r.value = values;
    r.id = ids;
    rank_product(run, r, k, type);
}

size_t cuda_topk_work(const Run *run, int64_t B, int64_t I, int64_t D, int64_t k)
{
    (void)run;
    return plan_for(B, I, D, k).work_bytes;
}
Way cuda_topk_way(const Run *run, int64_t B, int64_t I, int64_t D, int64_t k)
{
    (void)run;
    const Plan p = plan_for(B, I, D, k);
    const char *lists = p.R == 8 ? "lists 64x128" : "lists 32x128";
    Way way = {{}, "tiles are ranked in registers; the lists are in shared memory"};
    if (p.strip) {
        snprintf(way.name, sizeof way.name, "strips of %lld", (long long)p.strip);
        way.why = "k above 128: scores of some rows are stored, then their k-th best is found digit by digit";
    } else if (p.parts > 1) {
        snprintf(way.name, sizeof way.name, "%d x %s", (int)p.parts, lists);
        way.why = "few rows: items are divided among blocks, and their lists are joined";
    } else {
        snprintf(way.name, sizeof way.name, "%s", lists);
    }
    return way;
}
void cuda_topk(const Run *run, int64_t B, int64_t I, int64_t D, int64_t k, DType type, const void *users,
               const int32_t *row, const void *items, const float *bias, const Exclude *exclude, int32_t *ids,
               float *scores)
{
    Ranking r = {};
    r.product.rows = rows_of(users, D);
    r.product.items = rows_of(items, D);
    r.product.bias = bias;
    r.product.excludes = exclude && exclude->start;
    r.exclude = exclude ? *exclude : Exclude{};
    r.B = B;
    r.I = I;
    r.row = row;
    r.value = scores;
    r.id = ids;
    rank_product(run, r, k, type);
}
