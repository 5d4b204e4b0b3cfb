/* kernels/cpu/gemm/tile.h: the register tile under gemm, convolution and attention. See docs/kernels/gemm.md.
 *
 * A tile is up to TILE_ROWS rows by some vectors of C. Each element is one chain of multiply-adds from zero, k = 0, 1,
 * 2, ..., added to C at its end: the same bits whatever tile, block or thread it falls into. Whoever cuts a long K does
 * so by K alone; short chains also round less: K = 4480 numbers in (-1, 1) end 2.4e-5 off instead of 6.1e-5. (amx.c
 * goes on from what C holds, in the unit's own order, which is by K alone, too.) */
#ifndef SAPOR_TILE_H
#define SAPOR_TILE_H

#include "kernels/cpu/cpu.h"

/* C wants two vectors by as many rows as registers allow, with two left for B and one for A. */
#if VW == 16
#define TILE_ROWS 14
#elif defined(__aarch64__)
#define TILE_ROWS 12
#else
#define TILE_ROWS 6
#endif
#define TILE_COLS (2 * VW) /* a panel of packed B */

enum { TILE_PANELS_MAX = 4 }; /* few rows take several panels at once */

/* Long products are cut into blocks that stay in a cache (gemm.c, conv.c). */
enum {
    K_STEP = 384, /* A's panel of TILE_ROWS x K_STEP: 21 KB of the first level */
    N_BLOCK = 320 /* B's block of K_STEP x N_BLOCK: 480 KB of the second */
};

/* Tiles over an A by columns, and dots.c's, are there for one row and for even numbers of rows only, to halve their
 * code; another number goes as two. */
#if TILE_ROWS == 14
#define TILE_EVEN_ROWS(X) X(1) X(2) X(4) X(6) X(8) X(10) X(12) X(14)
#elif TILE_ROWS == 12
#define TILE_EVEN_ROWS(X) X(1) X(2) X(4) X(6) X(8) X(10) X(12)
#else
#define TILE_EVEN_ROWS(X) X(1) X(2) X(4) X(6)
#endif

/* What a 32-bit unit of A and B holds: one float32, two bf16 or four bytes (A's unsigned, B's signed; C's units are
 * int32). Or A's are float32, and B has 16-bit numbers, which become float32 on their way to the registers; b_row and
 * b_panel count 32 bits all the same. */
typedef enum Unit { UNIT_F32, UNIT_BF16, UNIT_INT8, UNIT_BF16_AMX, UNIT_INT8_AMX, UNIT_HALF_F16, UNIT_HALF_BF16 } Unit;

typedef struct Tile {
    const float *a;
    int64_t a_row, a_step; /* A[i,k] at i a_row + k a_step; one of them is 1 */
    int64_t len, segs;     /* K = segs len; a segment begins a_seg after the one before */
    int64_t a_seg;
    const float *b;
    int64_t b_row, b_panel; /* B[k,n] at k b_row + (n / TILE_COLS) b_panel + n % TILE_COLS */
    float *c;
    int64_t ldc;
    bool first; /* C is written, not added to */
    Unit unit;  /* what all of this counts */
    /* panels [len, TILE_COLS] where 16-bit numbers of B go as float32, for whoever comes next; or NULL */
    float *wide;
    /* prefetched while C's tiles are made: what is read next at the places of C, its rows prefetch_ld apart; or NULL */
    const float *prefetch;
    int64_t prefetch_ld;
    /* prefetched where A lies by columns: a line with each k, a_prefetch_step apart; or NULL */
    const float *a_prefetch;
    int64_t a_prefetch_step;
    /* The rows of A for the next row of tiles, a_next_row apart, or NULL. They are prefetched into the L2 cache: each
     * tile prefetches a part. */
    const float *a_next;
    int64_t a_next_row;
    int64_t a_next_part; /* numbers of a row for each tile: tile_sweep's own */
} Tile;

/* Tiles of so many rows fill `wide`: fewer are not worth the code. K is one segment then. */
static inline bool tile_widens(int64_t rows)
{
    return 2 * rows >= TILE_ROWS;
}

/* C[rows, n] (+)= A B by tiles: rows <= TILE_ROWS (AMX_ROWS for its units), any n. B's last panel is whole (padded).
 * Writes n columns, no more. */
void FN(tile_row)(Tile t, int rows, int64_t n);

/* The same with one set of tiles, by vectors: 1 (or 2 again), 2, widest; and by TILE_EVEN_ROWS of such sets. */
typedef void TileFn(const Tile *t);
void FN(tile_sweep)(Tile t, int rows, int64_t n, TileFn *const fn[3]);
void FN(tile_sweep_even)(Tile t, int rows, int64_t n, TileFn *const fns[][3]);
/* dots.c's part of tile_row, UNIT_BF16 and UNIT_INT8. Of all units but UNIT_F32, A lies by rows (a_step 1). */
void FN(dots_row)(Tile t, int rows, int64_t n);

/* amx.c's, for up to AMX_ROWS rows; len is a multiple of AMX_UNITS. */
enum { AMX_ROWS = 32, AMX_UNITS = 16 };
void FN(amx_row)(Tile t, int rows, int64_t n);
bool FN(amx_available)(void); /* the processor has it, and the system lets this process use it */

/* Packs columns 0 .. n-1 (n <= TILE_COLS) of B[K,:] into one panel [K, TILE_COLS], padded with zeros. */
void FN(tile_pack)(int64_t K, int64_t n, const float *B, int64_t b_row, int64_t b_col, float *panel);

/* What follows the product, on rows x n: y = act(alpha x + beta y + bias + residual). y may be x where beta is 0. */
typedef struct Finish {
    float alpha, beta;
    const float *bias;     /* of column 0, or NULL */
    const float *residual; /* of row 0, column 0, or NULL */
    int64_t ldr;
    Act act;
    float act_param;
} Finish;
void FN(tile_finish)(const Finish *f, int64_t rows, int64_t n, const float *x, int64_t ldx, float *y, int64_t ldy);

#endif
