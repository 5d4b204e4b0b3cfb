/* kernels/cpu/gemm/gemm.c: the general matrix product, with an epilogue.
 *
 *   C[M,N] = act(alpha A[M,K] B[K,N] + beta C + bias[N] + residual[M,N])
 *
 * How the loop is arranged:
 * - Task of the pool: a block of C. Its size depends on the shape and on the number of threads.
 * - Step of K (K_STEP): a block is computed in steps of K. Per step, A and B are packed into the worker's scratch if
 *   necessary.
 * - Row of tiles: its part of A, TILE_ROWS x K_STEP, stays in the L1 cache.
 * - Block of B: K_STEP x COLUMNS, stays in the L2 cache. All rows of tiles of the block of C read it.
 * - Tile: TILE_ROWS x 2 vectors of C, stays in registers (tile.h).
 *
 * This is the scheme of Goto & van de Geijn 2008 with the roles of A and B exchanged: A's thin panel stays in the L1
 * cache, and B is streamed.
 *
 * The tile of AVX2 is 6 x 16: a step of k reads 24 bytes of A and 64 bytes of B. So A is streamed there. If B is
 * packed, the loops over rows of tiles and over panels change places (by_panel): a panel of B, K_STEP x 16, stays in
 * the L1 cache, and A's part of the block stays in the L2 cache.
 *
 * docs/kernels/gemm.md explains each step with measurements. The blocks depend on the number of threads; the bits of
 * the result do not (tile.h). */
// flags: -O3
#include "kernels/cpu/gemm/narrow.h"

enum {
    /* columns of a block. AVX2 processors have an L2 cache of 512 KB or less: 192 columns of B are 288 KB */
    COLUMNS = VW == 16 ? N_BLOCK : 192,
    /* columns of a block if A is copied: A is copied less often. With AVX-512, the block of B still fits into the L2
     * cache. If the loops are by_panel, only A has to fit */
    COLUMNS_COPIES = VW == 16 ? 512 : COLUMNS,
    COLUMNS_BY_PANEL = 384,
    /* rows of a block with COLUMNS columns; narrower blocks have more rows: then there are fewer blocks, and B is
     * packed fewer times */
    M_BLOCK = 32 * TILE_ROWS,
    /* the largest M for which the loops may be by_panel: A's part, 256 x K_STEP, is 384 KB of the L2 cache */
    PANEL_M = 256,
    /* the number of rows of tiles that are packed together if A is transposed: whole cache lines of A are read */
    A_CHUNK = 8,
    LINE = 16,               /* floats per cache line */
    SMALL_M = 2 * TILE_ROWS, /* up to this M, B is read in place if its rows are contiguous */
    MIN_TASK = 1 << 20       /* about the smallest number of multiply-adds per task */
};

typedef struct Plan {
    int64_t panels; /* panels of B */
    int64_t tile;   /* the largest number of rows of a tile */
    int64_t group;  /* K is split only at multiples of `group` */
    int64_t m_blocks, n_blocks;
    int64_t rows, cols;      /* of the largest block; cols is a number of whole panels */
    int64_t k_blocks, k_len; /* k_len: the length of the longest step */
    bool a_packs, b_packs;   /* packed per block and step of K */
    /* A's rows are a multiple of 2 KB apart and would evict each other from the L1 cache: they are copied */
    bool a_copies;
    bool b_direct; /* the full panels of B are read in place, and the last one is packed */
    bool b_widens; /* 16-bit weights are converted to float32 while the first row of tiles of a block is computed */
    bool by_panel; /* BY_PANEL: all rows of tiles of a panel of B are computed before the next panel */
    bool partial;  /* the partial sums are in scratch, because the old C is read at the end */
    size_t a_floats, b_floats, c_floats;
} Plan;

static bool accumulates(const Gemm *g) /* C += A B: the tiles add to C themselves */
{
    return g->beta == 1.0f && g->alpha == 1.0f && g->residual != g->C && !is_bytes(pack_of(g));
}

static bool is_half(const Gemm *g)
{
    return pack_of(g) == PACK_F16 || pack_of(g) == PACK_BF16_WIDE;
}

static Plan make_plan(const Gemm *g, int threads)
{
    Plan p = {.panels = div_up(g->N, TILE_COLS),
              .tile = is_amx(pack_of(g)) ? AMX_ROWS : TILE_ROWS,
              .group = narrow_group_units(pack_of(g))};
    const int64_t tile_rows = div_up(g->M, p.tile);
    p.a_packs = g->a_col != 1 && g->K > 1;
    p.a_copies = !p.a_packs && g->a_row % 512 == 0 && g->M > 4;
    p.by_panel = BY_PANEL && g->packed && !p.a_packs && tile_rows > 2 && g->M <= PANEL_M;
    p.n_blocks = MAX(div_up(g->N, !p.a_copies ? COLUMNS : p.by_panel ? COLUMNS_BY_PANEL : COLUMNS_COPIES), 1);
    p.m_blocks =
        p.by_panel ? 1 : MAX(div_up(g->M, (int64_t)M_BLOCK * COLUMNS / MIN(MAX(p.panels, 1) * TILE_COLS, COLUMNS)), 1);
    /* About four tasks per thread, if there is enough work. M is split first, because B is packed once per block. */
    if (threads > 1) {
        const double work = (double)g->M * (double)g->N * (double)g->K;
        const int64_t most = (int64_t)MIN((double)(4 * threads), work / MIN_TASK) + 1;
        if (p.m_blocks * p.n_blocks < most)
            p.m_blocks = MAX(MIN(div_up(most, p.n_blocks), tile_rows / 2), p.m_blocks);
        if (p.m_blocks * p.n_blocks < most)
            p.n_blocks = MAX(MIN(div_up(most, p.m_blocks), p.panels / 2), p.n_blocks);
    }
    p.rows = div_up(tile_rows, p.m_blocks) * p.tile;
    p.cols = div_up(p.panels, p.n_blocks) * TILE_COLS;
    p.k_blocks = MAX(div_up(g->K, K_STEP), 1);
    p.k_len = div_up(g->K / p.group, p.k_blocks) * p.group;
    p.b_direct = !g->packed && (g->b_col == 1 || g->N == 1) && g->M <= SMALL_M;
    p.b_packs = !g->packed && !p.b_direct;
    p.b_widens = is_half(g) && g->M > TILE_ROWS;
    p.partial = (g->beta != 0.0f && !accumulates(g)) || g->residual == g->C;
    p.a_floats = p.a_packs    ? size_round_up((size_t)(MIN(A_CHUNK * TILE_ROWS, p.rows) * p.k_len + A_CHUNK * VW), LINE)
                 : p.a_copies ? size_round_up((size_t)((p.by_panel ? p.rows : p.tile) * (p.k_len + 16)), LINE)
                              : 0;
    const bool one_panel = p.b_direct || (p.b_widens && p.by_panel); /* at a time */
    const int64_t b_columns = one_panel ? TILE_COLS : p.b_packs || p.b_widens ? p.cols : 0;
    p.b_floats = size_round_up((size_t)(p.k_len * b_columns), LINE);
    p.c_floats =
        p.partial ? size_round_up((size_t)((p.k_blocks > 1 || p.by_panel ? p.rows : p.tile) * p.cols), LINE) : 0;
    return p;
}

/* Returns the product with K and A in 32-bit units: packed weights of 16 or 8 bits are multiplied with an A of the same
 * type. If `a` is empty, only the sizes are valid. */
static Gemm in_units(const Gemm *g, const NarrowA *a)
{
    Gemm u = *g;
    if (narrows(g)) {
        u.K = narrow_count(g->pack, g->K);
        u.A = a->units;
        u.a_row = a->ld;
    }
    return u;
}

static Gemm with_form(const Gemm *product)
{
    Gemm g = *product;
    g.pack = FN(pack_form)(g.pack);
    return g;
}

size_t FN(gemm_work)(const Run *run, const Gemm *product)
{
    if (product->M == 0 || product->N == 0)
        return 0;
    const Gemm g = with_form(product);
    const bool narrow = narrows(&g);
    const NarrowA a = narrow ? FN(narrow_a)(&g, NULL) : (NarrowA){0};
    const Gemm u = in_units(&g, &a);
    const Plan p = make_plan(&u, threads_of(run));
    return (p.a_floats + p.b_floats + p.c_floats) * sizeof(float) * (size_t)threads_of(run) +
           (narrow ? FN(narrow_a_bytes)(&g) : 0);
}

Way FN(gemm_way)(const Run *run, const Gemm *product)
{
    static const struct {
        const char *name, *why;
    } PACKED[PACK_FORMS] = {
        [PACK_F32] = {"packed", "B is a weight: packed once, at load"},
        [PACK_F16] = {"widened", "half the bytes; converted to f32 once per block"},
        [PACK_BF16_WIDE] = {"widened", "half the bytes; converted to f32 once per block"},
        [PACK_BF16_DOTS] = {"dots", "pairs of bf16: twice f32's rate on this processor"},
        [PACK_BF16_AMX] = {"amx", "pairs of bf16 on the matrix unit"},
        [PACK_INT8_DOTS] = {"bytes", "groups of 4 bytes, exact sums, then scales"},
        [PACK_INT8_AMX] = {"amx", "groups of 4 bytes on the matrix unit, then scales"},
    };
    const Gemm g = with_form(product);
    const Plan p = make_plan(&g, threads_of(run));
    Way way = {.why = g.packed         ? PACKED[g.pack].why
                      : p.b_direct     ? "few rows: packing B would cost more than it saves"
                      : g.M <= SMALL_M ? "B is not contiguous: packed even for few rows"
                                       : "many rows: each thread packs the block of B it uses"};
    snprintf(way.name, sizeof way.name, "%s %dx%d",
             g.packed     ? PACKED[g.pack].name
             : p.b_direct ? "in place"
                          : "packs B",
             (int)p.tile, TILE_COLS);
    return way;
}

/* Packs `len` columns of A for the rows of tiles r0 .. r1-1 out of `tile_rows`. Each row of tiles is written as [len,
 * rows], followed by one vector of padding. Transposed A is read in cache lines, with prefetches: the lines are too far
 * apart for the hardware prefetcher. While the block has enough rows, whole vectors are loaded: the last lanes may
 * belong to the next row of tiles. */
static void pack_a(int64_t M, int64_t tile_rows, int64_t r0, int64_t r1, int64_t len, const float *a, int64_t a_row,
                   int64_t a_col, float *to)
{
    const int64_t prefetch_distance = 8 * a_col, first = tile_begin(M, tile_rows, r0, true);
    int64_t at[A_CHUNK + 1] = {0};
    for (int64_t r = r0; r <= r1; r++)
        at[r - r0] = tile_begin(M, tile_rows, r, true) - first;
    for (int64_t k = 0; k < len; k++) {
        float *panel = to;
        for (int64_t r = 0; r < r1 - r0; r++) {
            const int64_t rows = at[r + 1] - at[r], left = M - first - at[r];
            const float *from = a + k * a_col + at[r] * a_row;
            float *row = panel + k * rows;
            if (a_row == 1) {
                if (k + 8 < len)
                    __builtin_prefetch(from + prefetch_distance);
                for (int64_t i = 0; i < rows; i += VW) { /* extra lanes: overwritten by the next row, or padding */
                    v_store(row + i, left - i >= VW ? v_load(from + i) : v_load_n(from + i, (int)(left - i)));
                }
            } else {
                for (int64_t i = 0; i < rows; i++)
                    row[i] = from[i * a_row];
            }
            panel += rows * len + VW;
        }
    }
}

/* Packs the whole panels of a B with contiguous rows, row by row. It prefetches, because the hardware prefetcher does
 * not follow strides above a page. Returns the number of packed columns. */
static int64_t pack_rows(int64_t len, int64_t N, const float *B, int64_t b_row, int64_t b_col, float *to)
{
    enum { PREFETCH_DISTANCE = 4 };
    const int64_t full = b_col == 1 ? N / TILE_COLS * TILE_COLS : 0;
    for (int64_t k = 0; full > 0 && k < len; k++) {
        const float *row = B + k * b_row;
        for (int64_t n = 0; n < full; n += TILE_COLS) {
            if (k + PREFETCH_DISTANCE < len) {
                __builtin_prefetch(row + PREFETCH_DISTANCE * b_row + n);
                __builtin_prefetch(row + PREFETCH_DISTANCE * b_row + n + VW);
            }
            v_store(to + n * len + k * TILE_COLS, v_load(row + n));
            v_store(to + n * len + k * TILE_COLS + VW, v_load(row + n + VW));
        }
    }
    return full;
}

typedef struct Job {
    const Gemm *g;          /* the product with K and A in 32-bit units */
    const Gemm *in_numbers; /* the same product: K counts numbers, and A is not converted yet */
    NarrowA a;
    Plan p;
    float *work;
} Job;

enum { ROWS_EACH = 16 }; /* rows of A that a task converts */

static void narrow(void *arg, size_t task, int worker)
{
    (void)worker;
    const Job *job = arg;
    const int64_t m = (int64_t)task * ROWS_EACH;
    FN(narrow_rows)(job->in_numbers, &job->a, m, MIN(m + ROWS_EACH, job->in_numbers->M));
}

/* A block of C: rows m0 .. m0+M-1, columns n0 .. n0+N-1 */
typedef struct Block {
    const Job *job;
    int64_t m0, M, n0, N;
    int64_t tile_rows; /* the number of rows of tiles */
    bool even;         /* rows of tiles have even numbers of rows (tile_begin) */
    float *a_work, *b_work, *c_work;
} Block;

/* Makes rows m .. m+rows-1 of the block complete: x has their sums, in rows ldx apart. */
static void finish(const Block *b, int64_t m, int64_t rows, float *x, int64_t ldx)
{
    const Gemm *g = b->job->g;
    const int64_t row = b->m0 + m;
    if (is_bytes(pack_of(g)))
        FN(narrow_scale)(b->job->in_numbers, &b->job->a, row, rows, b->n0, b->N, x, ldx);
    if (b->job->p.partial || g->alpha != 1.0f || g->bias || g->residual || g->act != ACT_NONE) {
        const Finish f = {.alpha = g->alpha,
                          .beta = accumulates(g) ? 0.0f : g->beta,
                          .bias = g->bias ? g->bias + b->n0 : NULL,
                          .residual = g->residual ? (const float *)g->residual + row * g->ldr + b->n0 : NULL,
                          .ldr = g->ldr,
                          .act = g->act,
                          .act_param = g->act_param};
        FN(tile_finish)(&f, rows, b->N, x, ldx, (float *)g->C + row * g->ldc + b->n0, g->ldc);
    }
}

#if BY_PANEL
/* Computes a step of K of a block, panel by panel. t: the tile at the block's first panel, without A and C. A: the
 * first row of the block, at the first k of the step */
static void step_by_panels(const Block *b, Tile t, const float *A, bool last)
{
    const Gemm *g = b->job->g;
    const Plan *p = &b->job->p;
    t.a = A;
    t.a_row = g->a_row;
    t.a_step = 1;
    if (p->a_copies) {
        t.a = b->a_work;
        t.a_row = t.len + 16;
        for (int64_t i = 0; i < b->M; i++)
            memcpy(b->a_work + i * t.a_row, A + i * g->a_row, (size_t)t.len * sizeof(float));
    }
    float *C = p->partial ? b->c_work : (float *)g->C + b->m0 * g->ldc + b->n0;
    t.ldc = p->partial ? p->cols : g->ldc;
    for (int64_t n = 0; n < b->N; n += TILE_COLS, t.b += t.b_panel) {
        t.c = C + n;
        FN(tile_panel)(t, b->M, b->tile_rows, MIN(b->N - n, TILE_COLS));
    }
    for (int64_t r = 0; last && r < b->tile_rows; r++) {
        const int64_t m = tile_begin(b->M, b->tile_rows, r, b->even);
        finish(b, m, tile_begin(b->M, b->tile_rows, r + 1, b->even) - m, C + m * t.ldc, t.ldc);
    }
}

#endif

/* Computes a step of K of a block, row of tiles by row of tiles. The step begins at k0. t: as in step_by_panels; B: the
 * first column of the block, at k0, if it is not packed */
static void step_by_rows(const Block *b, Tile t, int64_t k0, const float *B, bool last)
{
    const Gemm *g = b->job->g;
    const Plan *p = &b->job->p;
    const int64_t M = b->M, N = b->N, len = t.len, tile_rows = b->tile_rows, full = N / TILE_COLS * TILE_COLS;
    const float *A = (const float *)g->A + b->m0 * g->a_row + k0 * g->a_col;
    const float *a_next = b->a_work; /* the packed rows of A for the next tile */
    for (int64_t r = 0; r < tile_rows; r++) {
        const int64_t m = tile_begin(M, tile_rows, r, b->even), rows = tile_begin(M, tile_rows, r + 1, b->even) - m;
        if (p->a_copies) {
            t.a = b->a_work;
            t.a_row = len + 16;
            t.a_step = 1;
            for (int64_t i = 0; i < rows; i++)
                memcpy(b->a_work + i * t.a_row, A + (m + i) * g->a_row, (size_t)len * sizeof(float));
        } else if (!p->a_packs) {
            t.a = A + m * g->a_row;
            t.a_row = g->a_row;
            t.a_step = 1;
        } else {
            if (r % A_CHUNK == 0) {
                pack_a(M, tile_rows, r, MIN(r + A_CHUNK, tile_rows), len, A + m * g->a_row, g->a_row, g->a_col,
                       b->a_work);
                a_next = b->a_work;
            }
            /* Each tile prefetches one cache line of the next chunk. */
            const int64_t next = (r / A_CHUNK + 1) * A_CHUNK, line = r % A_CHUNK * LINE;
            const bool prefetches = g->a_row == 1 && next < tile_rows && line < A_CHUNK * TILE_ROWS + LINE;
            t.ahead = prefetches ? A + tile_begin(M, tile_rows, next, true) + line : NULL;
            t.ahead_step = g->a_col;
            t.a = a_next;
            a_next += rows * len + VW;
            t.a_row = 1;
            t.a_step = rows;
        }
        if (!p->a_packs) {
            t.a_next = r + 1 < tile_rows ? A + (m + rows) * g->a_row : last ? NULL : A + len;
            t.a_next_row = g->a_row;
        }
        const int64_t row = b->m0 + m;
        t.c = p->partial ? b->c_work + (p->k_blocks > 1 ? m * p->cols : 0) : (float *)g->C + row * g->ldc + b->n0;
        t.ldc = p->partial ? p->cols : g->ldc;
        t.prefetch = last && g->residual ? (const float *)g->residual + row * g->ldr + b->n0 : NULL;
        if (p->b_direct) {
            Tile d = t;
            d.b = B;
            d.b_row = g->b_row;
            d.b_panel = TILE_COLS;
            FN(tile_row)(d, (int)rows, full);
            d = t;
            d.c += full;
            d.prefetch = NULL;
            FN(tile_row)(d, (int)rows, N - full);
        } else {
            FN(tile_row)(t, (int)rows, N);
        }
        if (t.wide) { /* the first row of tiles has converted the block to float32 for all others */
            t.unit = UNIT_F32;
            t.b = t.wide;
            t.b_row = TILE_COLS;
            t.b_panel = len * TILE_COLS;
            t.wide = NULL;
        }
        if (last)
            finish(b, m, rows, t.c, t.ldc);
    }
}

static void block(void *arg, size_t task, int worker)
{
    const Job *job = arg;
    const Gemm *g = job->g;
    const Plan *p = &job->p;
    const Unit unit = narrow_unit(pack_of(g));
    const int64_t m_block = (int64_t)task % p->m_blocks, n_block = (int64_t)task / p->m_blocks;
    Block b = {.job = job, .even = p->a_packs || unit != UNIT_F32};
    b.m0 = MIN(part_begin(div_up(g->M, p->tile), p->m_blocks, m_block) * p->tile, g->M);
    b.M = MIN(part_begin(div_up(g->M, p->tile), p->m_blocks, m_block + 1) * p->tile, g->M) - b.m0;
    b.n0 = MIN(part_begin(p->panels, p->n_blocks, n_block) * TILE_COLS, g->N);
    b.N = MIN(part_begin(p->panels, p->n_blocks, n_block + 1) * TILE_COLS, g->N) - b.n0;
    b.tile_rows = div_up(b.M, p->tile);
    b.a_work = job->work + (p->a_floats + p->b_floats + p->c_floats) * (size_t)worker;
    b.b_work = b.a_work + p->a_floats;
    b.c_work = b.b_work + p->b_floats;
    const int64_t full = b.N / TILE_COLS * TILE_COLS;
    for (int64_t kb = 0; kb < p->k_blocks; kb++) {
        const int64_t k0 = part_begin(g->K / p->group, p->k_blocks, kb) * p->group;
        const int64_t len = part_begin(g->K / p->group, p->k_blocks, kb + 1) * p->group - k0;
        const bool last = kb == p->k_blocks - 1;
        Tile t = {.unit = unit,
                  .len = len,
                  .segs = 1,
                  .first = kb == 0 && !accumulates(g),
                  .b_row = TILE_COLS,
                  .b_panel = len * TILE_COLS,
                  .b = b.b_work,
                  .prefetch_ld = g->ldr};
        const float *B = g->packed ? NULL : (const float *)g->B + k0 * g->b_row + b.n0 * g->b_col;
        if (g->packed) {
            t.b_row = is_half(g) ? TILE_COLS / 2 : TILE_COLS;
            t.b_panel = g->K * t.b_row;
            t.b = (const float *)g->packed + b.n0 / TILE_COLS * t.b_panel + k0 * t.b_row;
            t.wide = p->b_widens && tile_widens(tile_begin(b.M, b.tile_rows, 1, b.even)) ? b.b_work : NULL;
        } else if (p->b_packs) {
            for (int64_t n = pack_rows(len, b.N, B, g->b_row, g->b_col, b.b_work); n < b.N; n += TILE_COLS) {
                float *panel = b.b_work + n * len;
                FN(tile_pack)(len, MIN(b.N - n, TILE_COLS), B + n * g->b_col, g->b_row, g->b_col, panel);
            }
        } else if (full < b.N) {
            FN(tile_pack)(len, b.N - full, B + full * g->b_col, g->b_row, g->b_col, b.b_work);
        }
#if BY_PANEL
        if (p->by_panel) {
            step_by_panels(&b, t, (const float *)g->A + b.m0 * g->a_row + k0, last);
            continue;
        }
#endif
        step_by_rows(&b, t, k0, B, last);
    }
}

void FN(gemm)(const Run *run, const Gemm *product)
{
    if (product->M == 0 || product->N == 0)
        return;
    const Gemm g = with_form(product);
    const bool units = narrows(&g);
    float none = 0; /* without scratch: an address to which an offset of 0 may be added */
    Job job = {.in_numbers = &g, .work = run->work ? run->work : &none};
    if (units)
        job.a = FN(narrow_a)(&g, run->work);
    const Gemm u = in_units(&g, &job.a);
    job.g = &u;
    job.p = make_plan(&u, threads_of(run));
    if (units) {
        pool_run(run->context, (size_t)div_up(g.M, ROWS_EACH), narrow, &job);
        job.work += FN(narrow_a_bytes)(&g) / sizeof(float);
    }
    pool_run(run->context, (size_t)(job.p.m_blocks * job.p.n_blocks), block, &job);
}
