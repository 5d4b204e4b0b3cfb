/* kernels/cpu/gemm/tile.h: the register tile, used by gemm, convolution and attention. docs/kernels/gemm.md explains
 * it.
 *
 * A tile is a part of C: up to TILE_ROWS rows, and one or more vectors per row. It stays in registers during the loop
 * over k. Each element of C is one chain of multiply-adds that begins at zero and adds the products of k = 0, 1, 2, ...
 * At the end the sum is added to C. The bits are the same in every tile, block and thread. A long K may be split, but
 * the split must depend on K alone. Shorter chains also round less: for K = 4480 numbers in (-1, 1), the error is
 * 2.4e-5 instead of 6.1e-5. (amx.c adds directly to the old C, in the order of the instruction, which depends on K
 * alone too.) */
#ifndef SAPOR_TILE_H
#define SAPOR_TILE_H

#include "kernels/cpu/cpu.h"

/* A tile of TILE_ROWS rows has two vectors of C per row, and as many rows as the registers allow: two registers are
 * needed for B and one for A. */
#if VW == 16
#define TILE_ROWS 14
#elif defined(__aarch64__)
#define TILE_ROWS 12
#else
#define TILE_ROWS 6
#endif
#define TILE_COLS (2 * VW) /* the width of a panel of packed B */

enum { TILE_PANELS_MAX = 4 }; /* tiles of few rows use up to four panels */

/* Long products are cut into blocks that fit into a cache (gemm.c, conv.c). */
enum {
    K_STEP = 384, /* the panel of A, TILE_ROWS x K_STEP: 21 KB of the L1 cache */
    N_BLOCK = 320 /* the block of B, K_STEP x N_BLOCK: 480 KB of the L2 cache */
};

/* Tiles for a column-major A and tiles of dots.c exist only for one row and for even numbers of rows, to halve the
 * code. Another number of rows is computed as two tiles. */
#if TILE_ROWS == 14
#define TILE_EVEN_ROWS(X) X(1) X(2) X(4) X(6) X(8) X(10) X(12) X(14)
#elif TILE_ROWS == 12
#define TILE_EVEN_ROWS(X) X(1) X(2) X(4) X(6) X(8) X(10) X(12)
#else
#define TILE_EVEN_ROWS(X) X(1) X(2) X(4) X(6)
#endif

/* The content of a 32-bit unit of A and B: one float32, two bf16, or four bytes (unsigned in A, signed in B; C is
 * int32). For UNIT_HALF_*, A is float32 and B has 16-bit numbers, which are converted to float32 when they are loaded.
 * b_row and b_panel still count 32-bit units. */
typedef enum Unit { UNIT_F32, UNIT_BF16, UNIT_INT8, UNIT_BF16_AMX, UNIT_INT8_AMX, UNIT_HALF_F16, UNIT_HALF_BF16 } Unit;

typedef struct Tile {
    const float *a;
    int64_t a_row, a_step; /* A[i,k] is at i a_row + k a_step; one of the two is 1 */
    int64_t len, segs;     /* K = segs len: a row of A has segs segments of len numbers, which begin a_seg apart */
    int64_t a_seg;
    const float *b;
    int64_t b_row, b_panel; /* B[k,n] is at k b_row + (n / TILE_COLS) b_panel + n % TILE_COLS */
    float *c;
    int64_t ldc;
    bool first; /* C is written, not added to */
    Unit unit;  /* the unit of all counts above */
    /* For a B of 16-bit numbers: where its numbers are stored as float32, in panels [len, TILE_COLS], so that the next
     * rows of tiles need not convert them; or NULL */
    float *wide;
    /* The residual of this row of tiles, in rows prefetch_ld apart; or NULL. Each tile prefetches its part, which the
     * epilogue reads later */
    const float *prefetch;
    int64_t prefetch_ld;
    /* What is needed later: for a column-major A, its next rows; for a panel of B that stays in the L1 cache, the next
     * panel. One prefetch per k, ahead_step numbers apart; a step below 16 prefetches a
     * cache line several times. NULL: nothing */
    const float *ahead;
    int64_t ahead_step;
    /* The rows of A for the next row of tiles, a_next_row apart, or NULL. Each tile prefetches a part into the L2
     * cache. */
    const float *a_next;
    int64_t a_next_row;
    int64_t a_next_part; /* numbers of each row per tile; set by tile_sweep */
} Tile;

typedef void TileFn(const Tile *t); /* computes one tile */

/* Reports whether tiles with this number of rows write `wide`. Tiles of few rows do not: this keeps the code small. K
 * must be one segment. */
static inline bool tile_widens(int64_t rows)
{
    return 2 * rows >= TILE_ROWS;
}

/* Computes C[rows, n] (+)= A B in tiles, for rows <= TILE_ROWS (AMX_ROWS for AMX units) and any n. B's last panel is
 * padded to its full width. Writes exactly n columns. */
void FN(tile_row)(Tile t, int rows, int64_t n);

/* Returns the first row of the r-th row of tiles, out of `tiles`. If `even`, each row of tiles has an even number of
 * rows, except the last one. This is for a packed A and for 16-bit and 8-bit units: their tiles exist only for even
 * numbers of rows and for one row (above). */
static inline int64_t tile_begin(int64_t M, int64_t tiles, int64_t r, bool even)
{
    return !even ? part_begin(M, tiles, r) : r == tiles ? M : part_begin(M / 2, tiles, r) * 2;
}

/* Whether the loops over rows of tiles and over panels of B may change places, so that a panel is read once: with AVX2,
 * whose tile reads less of A than of B. MINIMAL has no room for the second order of the loops. */
#if VW == 8 && !defined(SAPOR_MINIMAL)
#define BY_PANEL 1
#else
#define BY_PANEL 0
#endif
/* Computes C[M, n] (+)= A B with the panel t.b of B, n <= TILE_COLS, in `tiles` rows of tiles. A is row-major. The
 * panel stays in the L1 cache meanwhile, and the next one is prefetched. t.prefetch and t.a_next must be NULL. */
void FN(tile_panel)(Tile t, int64_t M, int64_t tiles, int64_t n);

/* The same as tile_row with the given functions, each of which computes one tile.
 * - fn[0]: a tile of one vector per row, or fn[1] again if there is no such tile.
 * - fn[1]: a tile of two vectors per row.
 * - fn[2]: a tile of the most vectors per row for this number of rows.
 * - fns[i]: such a set for the i-th number of rows of TILE_EVEN_ROWS. */
void FN(tile_sweep)(Tile t, int rows, int64_t n, TileFn *const fn[3]);
void FN(tile_sweep_even)(Tile t, int rows, int64_t n, TileFn *const fns[][3]);
/* The part of tile_row for UNIT_BF16 and UNIT_INT8 (dots.c). For all units except UNIT_F32, A is row-major (a_step is
 * 1). */
void FN(dots_row)(Tile t, int rows, int64_t n);
TileFn *FN(dots_tile)(int64_t rows); /* the tile of UNIT_INT8 with two vectors; rows: 1, or even; only BY_PANEL */

/* The part of tile_row for AMX units, for up to AMX_ROWS rows (amx.c). len is a multiple of AMX_UNITS. */
enum { AMX_ROWS = 32, AMX_UNITS = 16 };
void FN(amx_row)(Tile t, int rows, int64_t n);
bool FN(amx_available)(void); /* the processor has AMX, and the system lets this process use it */

/* Packs the columns 0 .. n-1 (n <= TILE_COLS) of B[K,:] into one panel [K, TILE_COLS], padded with zeros. */
void FN(tile_pack)(int64_t K, int64_t n, const float *B, int64_t b_row, int64_t b_col, float *panel);

/* The epilogue of a product, on [rows, n]: y = act(alpha x + beta y + bias + residual). If beta is 0, y may be x. */
typedef struct Finish {
    float alpha, beta;
    const float *bias;     /* begins at column 0; or NULL */
    const float *residual; /* begins at row 0, column 0; or NULL */
    int64_t ldr;
    Act act;
    float act_param;
} Finish;
void FN(tile_finish)(const Finish *f, int64_t rows, int64_t n, const float *x, int64_t ldx, float *y, int64_t ldy);

#endif
