/* kernels/cpu/topk.c: ranking: finds the k largest scores of each row of the product of rows [B, D] and transposed
 * items [I, D]. The product is never stored.
 *
 * How the loop is arranged: the items are cut into blocks, each packed once; the rows are cut into tiles, one per task.
 * The scores of a tile of rows against a block of items stay in the L2 cache. There they are masked, and read once more
 * by the selection.
 *
 * Selection in a row: the list of the k best so far is kept in the output, best first. The scores are compared with the
 * last score of the list, 64 at a time. The larger ones are candidates: their places are written to a small buffer.
 * When the buffer is full, and at the end of a block, the candidates are sorted and merged into the list. Ids are in
 * ascending order and sorting is stable, so an equal score never moves before an earlier one: of equal scores the lower
 * id comes first.
 *
 * If the list is empty, an initial threshold is computed first: the scores are cut into at least 4 k groups, and the
 * threshold is a little below the k-th largest of the maxima of the groups. At least k scores are above it, and usually
 * only a few more. */
// flags baseline: -Os
#include "kernels/cpu/loops.h"
#include "kernels/cpu/gemm/tile.h"

static const float LOWEST = -__builtin_inff();

/* ---- the list and its buffer ----------------------------------------------------------------- */

enum { MAX_CANDIDATES = 256, BATCH = 64 };

typedef struct Best {
    float *value; /* [k], in the output; the first `count` places are used */
    int32_t *id;
    int64_t k, count;
    float threshold; /* a score above this enters the list */
} Best;

typedef struct Candidates {
    int32_t at[MAX_CANDIDATES]; /* the places of candidates among the current scores, in ascending order */
    int n;
} Candidates;

/* Sorts the scores s[w->at[.]] into `value`, in descending order and stable, and writes their ids. The place of a
 * number is the count of numbers that come before it, computed for VW numbers at a time. For few numbers this is fast.
 */
INLINE void sort(const Candidates *w, const float *s, int32_t first_id, float *value, int32_t *id)
{
    float x[MAX_CANDIDATES];
    for (int i = 0; i < w->n; i++)
        x[i] = s[w->at[i]];
    for (int i = w->n; i % VW != 0; i++)
        x[i] = LOWEST;
    for (int first = 0; first < w->n; first += VW) {
        const vf current = v_load(x + first);
        const int next = MIN(first + VW, w->n);
        vi place = {0}; /* a comparison gives -1 if it is true */
        for (int i = 0; i < first; i++)
            place -= v_set(x[i]) >= current;
        for (int i = first; i < next; i++)
            place -= (v_set(x[i]) > current) | ((v_set(x[i]) == current) & (v_lanes() > i - first));
        for (int i = next; i < w->n; i++)
            place -= v_set(x[i]) > current;
        int32_t to[VW];
        vi_store(to, place);
        for (int i = first; i < next; i++) {
            value[to[i - first]] = x[i];
            id[to[i - first]] = first_id + w->at[i];
        }
    }
}

/* Merges the candidates into the list in place, from the end. */
static void merge(Best *b, Candidates *w, const float *s, int32_t first_id)
{
    float value[MAX_CANDIDATES];
    int32_t id[MAX_CANDIDATES];
    sort(w, s, first_id, value, id);
    int64_t old = b->count, new = w->n;
    while (old + new > b->k) { /* remove the smallest; of equal scores the new one */
        if (new > 0 && (old == 0 || value[new - 1] <= b->value[old - 1]))
            new --;
        else
            old--;
    }
    b->count = old + new;
    if (old == 0) {
        memcpy(b->value, value, (size_t) new * sizeof *value);
        memcpy(b->id, id, (size_t) new * sizeof *id);
        new = 0;
    }
    for (int64_t to = b->count; new > 0;) {
        to--;
        if (old > 0 && b->value[old - 1] < value[new - 1]) {
            old--;
            b->value[to] = b->value[old];
            b->id[to] = b->id[old];
        } else {
            new --;
            b->value[to] = value[new];
            b->id[to] = id[new];
        }
    }
    if (b->count == b->k)
        b->threshold = b->value[b->k - 1];
    w->n = 0;
}

/* Sets the unused places of the list to id -1 and score LOWEST. */
static void fill_empty(Best *b)
{
    for (int64_t i = b->count; i < b->k; i++) {
        b->value[i] = LOWEST;
        b->id[i] = -1;
    }
}

/* ---- the initial threshold ------------------------------------------------------------------- */

enum { GROUP_VECTORS = 1024 / VW, HELD = 8 /* vectors of maxima that are in registers at the same time */ };

/* Returns the next smaller float. */
static float just_below(float x)
{
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits = x > 0.0f ? bits - 1 : x < 0.0f ? bits + 1 : (int32_t)0x80000001u;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Returns a number that is smaller than at least k of the scores s [n], or LOWEST if none is found. It is below the
 * k-th largest of the group maxima, and close to it. It is found by bisection: up to eight halvings of the range of the
 * maxima. */
static float initial_threshold(const float *s, int64_t n, int64_t k)
{
    const int64_t vectors = div_up(4 * k, HELD * VW) * HELD, step = vectors * VW;
    if (vectors > GROUP_VECTORS || n < 2 * step)
        return LOWEST;
    vf group[GROUP_VECTORS];
    const int64_t whole = n / step * step;
    int64_t first = 0;
    do {
        vf held[HELD];
        UNROLL
        for (int v = 0; v < HELD; v++)
            held[v] = v_load(s + (first + v) * VW);
        for (int64_t i = first * VW + step; i < whole; i += step) {
            UNROLL
            for (int v = 0; v < HELD; v++)
                held[v] = v_max(held[v], v_load(s + i + v * VW));
        }
        memcpy(group + first, held, sizeof held);
        first += HELD;
    } while (first < vectors);
    for (int64_t v = 0, i = whole; i + VW <= n; i += VW, v++)
        group[v] = v_max(group[v], v_load(s + i));
    vf highest = group[0], lowest = v_set(-LOWEST);
    for (int64_t v = 1; v < vectors; v++)
        highest = v_max(highest, group[v]);
    for (int64_t v = 0; v < vectors; v++) { /* groups without any score above LOWEST do not count */
        lowest = v_min(lowest, v_select(group[v] > LOWEST, group[v], highest));
    }
    float low = -v_max_lane(-lowest), high = v_max_lane(highest);
    for (int round = 0; round < 9; round++) {
        /* Round 0 tests `low` itself. Fewer than k maxima may reach it: some may be NaN or not above LOWEST. */
        const float middle = round == 0 ? low : 0.5f * low + 0.5f * high;
        int64_t sum = 0;
        for (int64_t v = 0; v < vectors; v++)
            sum += __builtin_popcount(v_mask(group[v] >= middle));
        if (sum < k) {
            if (round == 0)
                return LOWEST;
            high = middle;
        } else {
            low = middle;
            if (sum == k)
                break;
        }
    }
    return low > LOWEST ? just_below(low) : LOWEST;
}

/* Removes the candidates whose ids are in *skip [*skips]. Both are in ascending order, so each id is compared once.
 * Moves the pointer *skip forward to the first id that is not below the id of the last candidate, and subtracts from
 * *skips the number of ids before it. */
static void drop_excluded(Candidates *w, int32_t first_id, const int32_t **skip, int64_t *skips)
{
    int count = 0;
    for (int i = 0; i < w->n; i++) {
        const int32_t id = first_id + w->at[i];
        while (*skips > 0 && **skip < id) {
            ++*skip;
            --*skips;
        }
        if (*skips == 0 || **skip != id)
            w->at[count++] = w->at[i];
    }
    w->n = count;
}

/* Updates the list with the scores s [I] of the ids first_id, first_id + 1, ... The ids skip [skips], in ascending
 * order, are left out. The comparison with the threshold is unpredictable, so this loop does not branch on it. It
 * always writes FEW candidates out of 64 scores, and counts the real ones. More than FEW are rare and are handled
 * separately. */
static NOINLINE void select_from(Best *b, const float *s, int64_t I, int32_t first_id, const int32_t *skip,
                                 int64_t skips)
{
    enum { FEW = 3 };
    if (b->count == 0)
        b->threshold = initial_threshold(s, I, b->k + skips);
    Candidates w;
    w.n = 0;
    for (int64_t i = 0; i < I; i += BATCH) {
        uint64_t above = 0; /* bit j: score i + j is above the threshold */
        if (i + BATCH <= I) {
            for (int v = 0; v < BATCH; v += VW)
                above |= (uint64_t)v_mask(v_load(s + i + v) > b->threshold) << v;
        } else {
            for (int v = 0; i + v < I; v += VW) {
                const int n = (int)MIN(I - i - v, VW);
                above |= (uint64_t)v_mask((v_load_n(s + i + v, n) > b->threshold) & (v_lanes() < n)) << v;
            }
        }
        const int n = __builtin_popcountll(above);
        for (int j = 0; j < FEW; j++, above &= above - 1)
            w.at[w.n + j] = (int32_t)i + __builtin_ctzll(above | 1ull << (BATCH - 1));
        for (int j = FEW; j < n; j++, above &= above - 1)
            w.at[w.n + j] = (int32_t)i + __builtin_ctzll(above);
        w.n += n;
        if (w.n > MAX_CANDIDATES - BATCH || (w.n > 0 && i + BATCH >= I)) {
            drop_excluded(&w, first_id, &skip, &skips);
            merge(b, &w, s, first_id);
        }
    }
}

/* ---- products, tile by tile ------------------------------------------------------------------ */

/* The arguments of a kernel and the place in its loops. topk_rows uses `rows` for the scores [B, I]. */
typedef struct Ranking {
    int64_t B, I, D, k;
    const float *rows;  /* batch row b is row[b] of `rows` [., D] */
    const int32_t *row; /* NULL: batch row b is row b */
    const float *items, *bias;
    const Exclude *exclude;
    int32_t *ids;
    float *scores;
    bool symmetric; /* the rows are the items */
    int threads;
    int64_t block, block_items; /* the first item of the current block, and its number of items */
    /* the slab: the rows that are multiplied by the current block now; its first row and its number of rows */
    int64_t slab, slab_rows;
    int64_t tile;   /* rows per task */
    void *packed;   /* the current block */
    int32_t *count; /* [B]: used places of each list */
    /* [block_items, transposed_ld]: the scores of the slab, transposed; only if the product is symmetric */
    float *transposed;
    char *scratch;
} Ranking;

/* The sizes of a task: the rows of a tile are whole register tiles, and the scores of a tile stay in the L2 cache. (The
 * packed block may be larger than this cache. Smaller blocks were slower.) If D is large, the product is faster with
 * larger tiles. */
static int64_t max_rows(const Ranking *r)
{
    return r->D <= 256 ? 2 * TILE_ROWS : 24 * TILE_ROWS;
}
static int64_t max_items(const Ranking *r)
{
    const int64_t most = r->D > 256 ? 320 : r->symmetric ? 512 : 4096, blocks = div_up(r->I, most);
    return blocks == 0 ? 0 : round_up(div_up(r->I, blocks), 64);
}

static Gemm tile_product(const Ranking *r, int64_t M, const float *A, float *C)
{
    return (Gemm){.M = M,
                  .N = r->block_items,
                  .K = r->D,
                  .A = A,
                  .a_row = r->D,
                  .a_col = 1,
                  .packed = r->packed,
                  .C = C,
                  .ldc = r->block_items,
                  .alpha = 1.0f,
                  .bias = r->bias ? r->bias + r->block : NULL};
}

/* Returns the number of rows that are kept together in `transposed`: 1,008 per thread if a register tile has 14 rows.
 * At most four threads are counted, because the rows of all threads share the cache. */
static int64_t max_slab_rows(const Ranking *r)
{
    return MIN((int64_t)72 * TILE_ROWS * MIN(r->threads, 4), r->B);
}
/* Returns the distance between the rows of `transposed`: an odd number of cache lines, so that the rows do not share
 * cache sets. */
static int64_t transposed_ld(const Ranking *r)
{
    return max_slab_rows(r) / 32 * 32 + 48;
}

/* The bytes of the parts of the scratch. All workers share `packed`, `count` and `transposed`. Each worker has its own
 * rows, scores, and scratch of gemm (`product`). */
typedef struct Space {
    size_t packed, count, transposed, rows, scores, product;
} Space;

static Space space_for(const Ranking *r)
{
    const char any = 0; /* stands for the packed block: only whether it is NULL is checked */
    const int64_t M = max_rows(r);
    const Ranking largest = {.D = r->D, .block_items = max_items(r), .packed = (void *)&any};
    const Gemm g = tile_product(&largest, M, NULL, NULL);
    return (Space){
        .packed = size_round_up(FN(gemm_pack_bytes)(PACK_F32, r->D, g.N), 64),
        .count = size_round_up((size_t)r->B * sizeof(int32_t), 64),
        .transposed = r->symmetric ? size_round_up((size_t)(g.N * transposed_ld(r)) * sizeof(float), 64) : 0,
        .rows = r->row ? size_round_up((size_t)(M * r->D) * sizeof(float), 64) : 0,
        .scores = size_round_up((size_t)(M * g.N) * sizeof(float), 64),
        .product = size_round_up(FN(gemm_work)(&(Run){0}, &g), 64),
    };
}

static size_t work_for(const Ranking *r)
{
    const Space s = space_for(r);
    return s.packed + s.count + s.transposed + (s.rows + s.scores + s.product) * (size_t)r->threads;
}

/* Sets the scores [r->block_items] of batch row b that `exclude` names to LOWEST. */
static void mask(const Ranking *r, int64_t b, float *scores)
{
    const Exclude *x = r->exclude;
    const int64_t list = x->row ? x->row[b] : b, end = x->start[list + 1];
    int64_t low = x->start[list], high = end;
    while (low < high) { /* finds the first excluded item in this block */
        const int64_t middle = low + (high - low) / 2;
        if (x->item[middle] < r->block)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < end && x->item[low] < r->block + r->block_items; low++)
        scores[x->item[low] - r->block] = LOWEST;
}

/* to[j,m] = from[m,j] for M x n scores, in squares of whole cache lines */
static void transpose(int64_t M, int64_t n, const float *from, float *to, int64_t ld)
{
    enum { LINE = 16 };
    for (int64_t m0 = 0; m0 < M; m0 += LINE) {
        for (int64_t j0 = 0; j0 < n; j0 += LINE) {
            const int64_t m1 = MIN(m0 + LINE, M), j1 = MIN(j0 + LINE, n), m4 = m1 - m1 % 4, j4 = j1 - j1 % 4;
            for (int64_t j = j0; j < j4; j += 4) {
                for (int64_t m = m0; m < m4; m += 4)
                    transpose4(from + m * n + j, n, to + j * ld + m, ld);
            }
            for (int64_t j = j0; j < j1; j++) {
                for (int64_t m = j < j4 ? m4 : m0; m < m1; m++)
                    to[j * ld + m] = from[m * n + j];
            }
        }
    }
}

/* Updates the list of batch row b with new scores s [n]; their ids begin at first_id. */
static void update_row(const Ranking *r, int64_t b, const float *s, int64_t n, int64_t first_id)
{
    Best best = {r->scores + b * r->k, r->ids + b * r->k, r->k, r->count[b], LOWEST};
    if (best.count == best.k)
        best.threshold = best.value[best.k - 1];
    select_from(&best, s, n, (int32_t)first_id, NULL, 0);
    r->count[b] = (int32_t)best.count;
    if (first_id + n == r->I)
        fill_empty(&best);
}

static void rank_tile(void *arg, size_t task, int worker)
{
    const Ranking *r = arg;
    const Space space = space_for(r);
    char *scratch = r->scratch + (space.rows + space.scores + space.product) * (size_t)worker;
    float *scores = (float *)(void *)(scratch + space.rows);
    const int64_t first = (int64_t)task * r->tile, M = MIN(r->tile, r->slab_rows - first),
                  block_end = r->block + r->block_items;
    const float *A = r->rows + (r->slab + first) * r->D;
    if (r->row) {
        A = (const float *)(void *)scratch;
        for (int64_t m = 0; m < M; m++)
            memcpy(scratch + (size_t)(m * r->D) * sizeof(float), r->rows + r->row[r->slab + first + m] * r->D,
                   (size_t)r->D * sizeof(float));
    }
    const Gemm product = tile_product(r, M, A, scores);
    const Run inner = {.work = scratch + space.rows + space.scores, .work_bytes = space.product};
    FN(gemm)(&inner, &product);
    for (int64_t m = 0; m < M; m++) {
        if (r->exclude && r->exclude->start)
            mask(r, r->slab + first + m, scores + m * r->block_items);
        update_row(r, r->slab + first + m, scores + m * r->block_items, r->block_items, r->block);
    }
    if (r->symmetric && r->slab + first + M > block_end)
        transpose(M, r->block_items, scores, r->transposed + first, transposed_ld(r));
}

/* Updates the lists of the block's items `first` .. `last` - 1. The candidates are the rows of the slab whose numbers
 * are larger than those of the block's items. */
static void rank_transposed(const void *arg, int64_t first, int64_t last)
{
    const Ranking *r = arg;
    const int64_t first_row = MAX(r->block + r->block_items, r->slab);
    for (int64_t j = first; j < last; j++)
        update_row(r, r->block + j, r->transposed + j * transposed_ld(r) + (first_row - r->slab),
                   r->slab + r->slab_rows - first_row, first_row);
}

/* Ranks all rows. If the product is symmetric, both halves have equal bits. So a block of items is multiplied only with
 * the rows of the same items and with later rows. The scores of a tile update the lists of its rows; the transposed
 * scores update the lists of its columns. Each item gets its neighbours in ascending order of their ids: first those of
 * earlier blocks (where the item was a row), then those of its own block, then the later rows. */
static void rank(const Run *run, Ranking r)
{
    if (r.k == 0 || r.B == 0)
        return;
    if (r.I == 0) {
        for (int64_t b = 0; b < r.B; b++)
            fill_empty(&(Best){r.scores + b * r.k, r.ids + b * r.k, r.k, 0, LOWEST});
        return;
    }
    r.threads = threads_of(run);
    const Space space = space_for(&r);
    r.packed = run->work;
    r.count = (int32_t *)(void *)((char *)run->work + space.packed);
    r.transposed = (float *)(void *)((char *)r.count + space.count);
    r.scratch = (char *)r.transposed + space.transposed;
    memset(r.count, 0, (size_t)r.B * sizeof *r.count);
    for (r.block = 0; r.block < r.I; r.block += r.block_items) {
        r.block_items = MIN(max_items(&r), r.I - r.block);
        FN(gemm_pack)(run, PACK_F32, r.D, r.block_items, r.items + r.block * r.D, 1, r.D, r.packed);
        for (r.slab = r.symmetric ? r.block : 0; r.slab < r.B; r.slab += r.slab_rows) {
            r.slab_rows = r.symmetric ? MIN(max_slab_rows(&r), r.B - r.slab) : r.B;
            /* small enough that every thread gets about two tiles */
            const int64_t fair = (r.slab_rows / (2 * r.threads) / TILE_ROWS + 1) * TILE_ROWS;
            r.tile = r.threads == 1 ? max_rows(&r) : MIN(max_rows(&r), fair);
            pool_run(run->context, (size_t)div_up(r.slab_rows, r.tile), rank_tile, &r);
            if (r.symmetric && r.block + r.block_items < r.slab + r.slab_rows)
                run_rows(run, r.block_items, r.slab_rows, rank_transposed, &r);
        }
    }
}

size_t FN(knn_work)(const Run *run, int64_t Q, int64_t I, int64_t D, int64_t k)
{
    (void)k;
    Ranking r = {.B = Q, .I = I, .D = D, .threads = threads_of(run)};
    const size_t any = work_for(&r);
    /* If Q is I, the queries may be the rows themselves. knn then needs other scratch: for half of the product. */
    r.symmetric = Q == I;
    return MAX(any, work_for(&r));
}

void FN(knn)(const Run *run, int64_t Q, int64_t I, int64_t D, int64_t k, DType type, const void *q, const void *x,
             int32_t *ids, float *values)
{
    (void)type; /* F32: the only type that `supports` reports */

    rank(run, (Ranking){.B = Q,
                        .I = I,
                        .D = D,
                        .k = k,
                        .rows = q,
                        .items = x,
                        .ids = ids,
                        .scores = values,
                        .symmetric = q == x && Q == I});
}

size_t FN(topk_work)(const Run *run, int64_t B, int64_t I, int64_t D, int64_t k)
{
    (void)k;
    const int32_t row = 0; /* stands for the batch: only whether it is NULL is checked */
    return work_for(&(Ranking){.B = B, .I = I, .D = D, .row = &row, .threads = threads_of(run)});
}

Way FN(topk_way)(const Run *run, int64_t B, int64_t I, int64_t D, int64_t k)
{
    (void)run;
    (void)k;
    const Ranking r = {.B = B, .I = I, .D = D};
    Way way = {.why = D > 256 ? "wide rows: larger tiles make the product faster"
                              : "a tile of scores is ranked while L2 holds it"};
    snprintf(way.name, sizeof way.name, "tiles %lldx%lld", (long long)max_rows(&r), (long long)max_items(&r));
    return way;
}

void FN(topk)(const Run *run, int64_t B, int64_t I, int64_t D, int64_t k, DType type, const void *users,
              const int32_t *row, const void *items, const float *bias, const Exclude *exclude, int32_t *ids,
              float *scores)
{
    (void)type; /* F32: the only type that `supports` reports */

    rank(run, (Ranking){.B = B,
                        .I = I,
                        .D = D,
                        .k = k,
                        .rows = users,
                        .row = row,
                        .items = items,
                        .bias = bias,
                        .exclude = exclude,
                        .ids = ids,
                        .scores = scores});
}

/* ---- given scores ---------------------------------------------------------------------------- */

static void topk_rows_range(const void *arg, int64_t first, int64_t last)
{
    const Ranking *r = arg;
    const Exclude *x = r->exclude;
    for (int64_t b = first; b < last; b++) {
        Best best = {r->scores + b * r->k, r->ids + b * r->k, r->k, 0, LOWEST};
        const int64_t list = x && x->start ? (x->row ? x->row[b] : b) : 0;
        const int64_t begin = x && x->start ? x->start[list] : 0, end = x && x->start ? x->start[list + 1] : 0;
        select_from(&best, r->rows + b * r->I, r->I, 0, begin < end ? x->item + begin : NULL, end - begin);
        fill_empty(&best);
    }
}

void FN(topk_rows)(const Run *run, int64_t B, int64_t I, int64_t k, const float *scores, const Exclude *exclude,
                   int32_t *ids, float *values)
{
    const Ranking r = {.I = I, .k = k, .rows = scores, .exclude = exclude, .ids = ids, .scores = values};
    if (k > 0)
        run_rows(run, B, I, topk_rows_range, &r);
}
