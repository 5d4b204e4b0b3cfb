/* kernels/cpu/gemm/amx.c: matrix products on AMX, the matrix unit of Intel's server processors since Sapphire Rapids
 * (Intel's Software Developer's Manual, volume 1, chapter 18). AMX has eight registers of 16 rows of 64 bytes. One
 * instruction multiplies 16 rows of A (16 words of 32 bits each) by 16 rows of B (16 such words each), and adds the
 * result to a register of C. narrow.h calls such a word a unit: it has two bf16 numbers, or four bytes. One instruction
 * does sixteen times the work of a vector instruction of dots.c in the same number of cycles.
 *
 * How the loop is arranged: a tile of C has 2 x 2 registers, so that each register of A and B is loaded once and used
 * in two products. B is a panel in the layout of dots.c, which is also the layout of AMX. The order of a sum is fixed
 * by the instruction: it depends on K only, not on the rows. */
// flags avx512: -mamx-tile -mamx-bf16 -mamx-int8
#if defined(LEVEL_avx512)
#include <immintrin.h> /* before vec.h (kernels/cpu/intrinsics.h) */
#endif

#include "kernels/cpu/gemm/narrow.h"

#if defined(LEVEL_avx512) && defined(__linux__)
#include <cpuid.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The compiler must finish all stores to memory before this line. The tiles are loaded after it, and gcc's _tile_loadd
 * does not declare that it reads memory. Sanitizers do not check the reads of _tile_loadd; the guard pages of the tests
 * do. */
#define STORE_BEFORE_TILE_LOADS() __asm__ volatile("" ::: "memory")

enum { ROWS = AMX_ROWS / 2, COLS = TILE_COLS / 2 }; /* of one register */

/* Requests the AMX registers for this process, once and for its lifetime (Linux, Documentation/arch/x86/xstate.rst).
 * After the request, Linux refuses signal stacks (sigaltstack) of less than 12 KB. If a thread already has a smaller
 * one, Linux refuses the request. */
static bool request_registers(void)
{
    enum { REQUEST = 0x1023, TILE_DATA = 18, LEAF = 7, BF16_BIT = 22, TILE_BIT = 24, INT8_BIT = 25 };
    unsigned a, b, c, d;
    const unsigned all = 1u << BF16_BIT | 1u << TILE_BIT | 1u << INT8_BIT;
    return __get_cpuid_count(LEAF, 0, &a, &b, &c, &d) && (d & all) == all &&
           syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
}

/* Set once, so that the value cannot change while the process runs: weights that are packed for AMX must be multiplied
 * by AMX. */
static bool available;
static void find_available(void)
{
    available = request_registers();
}

bool FN(amx_available)(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, find_available);
    return available;
}

/* Configures the registers: 0 .. 3 are C (2 x 2), 4 and 5 are A, 6 and 7 are B. */
static void configure(int rows)
{
    struct {
        uint8_t palette, begin, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } to = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        const bool lower = i == 2 || i == 3 || i == 5;
        to.row_bytes[i] = ROWS * sizeof(float);
        to.rows[i] = (uint8_t)(i > 5 ? AMX_UNITS : lower ? MAX(rows - ROWS, 1) : MIN(rows, ROWS));
    }
    __asm__ volatile("ldtilecfg %0" : : "m"(to));
}

/* To be called between two AMX instructions. It prefetches four cache lines of B, 4 KB ahead, and adds four nops. If
 * the other thread of the core is busy, consecutive AMX instructions take three times as long as on an idle core. With
 * other instructions between them they take twice as long (docs/kernels/narrow.md). On an idle core the speed does not
 * change. */
INLINE void prefetch_with_nops(const float *b, const int part)
{
    enum { PREFETCH_DISTANCE = 1024, LINES = 4 * 16 }; /* in floats */
    __asm__ volatile(
        "prefetcht0 (%0)\n\tprefetcht0 64(%0)\n\tprefetcht0 128(%0)\n\tprefetcht0 192(%0)\n\tnop\n\tnop\n\tnop\n\tnop"
        :
        : "r"(b + PREFETCH_DISTANCE + part * LINES));
}

/* Adds products of the registers of A and B to the four registers of C. Without `has_lower`, only to the upper two. */
#define MULTIPLY(dot)                                                                                                  \
    prefetch_with_nops(b, 4);                                                                                          \
    dot(0, 4, 6);                                                                                                      \
    prefetch_with_nops(b, 5);                                                                                          \
    dot(1, 4, 7);                                                                                                      \
    prefetch_with_nops(b, 6);                                                                                          \
    if (has_lower) {                                                                                                   \
        dot(2, 5, 6);                                                                                                  \
    }                                                                                                                  \
    prefetch_with_nops(b, 7);                                                                                          \
    if (has_lower) {                                                                                                   \
        dot(3, 5, 7);                                                                                                  \
    }

/* Computes one panel. `has_lower`: the tile has more than ROWS rows, so the lower two registers of C are used. */
INLINE void panel(const Tile *t, float *c, int64_t ldc, const bool bytes, const bool has_lower)
{
    enum { B_STEP = TILE_COLS * sizeof(float) };
    const int64_t c_step = ldc * (int64_t)sizeof *c, a_step = t->a_row * (int64_t)sizeof *c;
    const float *a = t->a, *b = t->b;
    float *c_lower = c + ROWS * ldc;
    if (t->first) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    } else {
        _tile_loadd(0, c, c_step);
        _tile_loadd(1, c + COLS, c_step);
        if (has_lower) {
            _tile_loadd(2, c_lower, c_step);
            _tile_loadd(3, c_lower + COLS, c_step);
        }
    }
    for (int64_t k = 0; k < t->len; k += AMX_UNITS, a += AMX_UNITS, b += AMX_UNITS * TILE_COLS) {
        prefetch_with_nops(b, 0);
        _tile_loadd(4, a, a_step);
        prefetch_with_nops(b, 1);
        _tile_loadd(6, b, B_STEP);
        prefetch_with_nops(b, 2);
        _tile_loadd(7, b + COLS, B_STEP);
        prefetch_with_nops(b, 3);
        if (has_lower)
            _tile_loadd(5, a + ROWS * t->a_row, a_step);
        if (bytes) {
            MULTIPLY(_tile_dpbusd)
        } else {
            MULTIPLY(_tile_dpbf16ps)
        }
    }
    _tile_stored(0, c, c_step);
    _tile_stored(1, c + COLS, c_step);
    if (has_lower) {
        _tile_stored(2, c_lower, c_step);
        _tile_stored(3, c_lower + COLS, c_step);
    }
}

void FN(amx_row)(Tile t, int rows, int64_t n)
{
    const bool has_lower = rows > ROWS, bytes = t.unit == UNIT_INT8_AMX;
    float edge[AMX_ROWS * TILE_COLS];
    configure(rows);
    for (; n > 0; n -= TILE_COLS, t.c += TILE_COLS, t.b += t.b_panel) {
        const bool whole = n >= TILE_COLS; /* the last columns use a buffer: memory right of C must not be written */
        float *c = whole ? t.c : edge;
        const int64_t ldc = whole ? t.ldc : TILE_COLS;
        for (int i = 0; i < rows && !whole && !t.first; i++) {
            memcpy(edge + i * TILE_COLS, t.c + i * t.ldc, (size_t)n * sizeof *c);
            memset(edge + i * TILE_COLS + n, 0, (size_t)(TILE_COLS - n) * sizeof *c);
        }
        STORE_BEFORE_TILE_LOADS();
        if (bytes)
            has_lower ? panel(&t, c, ldc, true, true) : panel(&t, c, ldc, true, false);
        else
            has_lower ? panel(&t, c, ldc, false, true) : panel(&t, c, ldc, false, false);
        for (int i = 0; i < rows && !whole; i++)
            memcpy(t.c + i * t.ldc, edge + i * TILE_COLS, (size_t)n * sizeof *c);
    }
    _tile_release();
}
#else
bool FN(amx_available)(void)
{
    return false;
}

void FN(amx_row)(Tile t, int rows, int64_t n) /* never called */
{
    (void)t, (void)rows, (void)n;
}
#endif
