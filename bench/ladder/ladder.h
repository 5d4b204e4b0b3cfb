/* bench/ladder/ladder.h: a kernel from its definition to Sapor's own version, one file per step. `make ladder
 * KERNEL=gemm` builds a folder of steps for this machine (-march=native), compares each result with a reference in
 * double precision, times the steps in turn and prints a table.
 *
 * docs/kernels/README.md explains the table.
 *
 * A ladder has its own shapes, not those of tests/kernel_cases.h: few shapes, on which the steps differ.
 *
 * A folder contains:
 * - case.h: the kernel's inputs and outputs in struct Case, the one argument of every step.
 * - main.c: shapes, reference, and Sapor's kernel as the last step.
 * - NN-name.c: the steps, in order. The Makefile finds a new file automatically.
 *
 * A step is plain C, or uses the vectors of kernels/cpu/vec.h (vector extensions of GCC and clang). A line "// flags:
 * ..." in a step adds compiler flags. */
#ifndef SAPOR_LADDER_H
#define SAPOR_LADDER_H

#if !defined(LEVEL) && defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#define LEVEL avx512
#define LEVEL_avx512
#elif !defined(LEVEL) && defined(__AVX2__) && defined(__FMA__)
#define LEVEL avx2
#define LEVEL_avx2
#endif
#include "kernels/cpu/vec.h"

typedef struct Case Case;

typedef struct Step {
    const char *file, *what;
    void (*prepare)(Case *); /* not timed: work that is done once, when a model is loaded. NULL: none */
    void (*run)(Case *);
    bool aside; /* tried and not kept: the next step is compared with the step before this one (column `gain`) */
} Step;

/* Registers a step. Used at the end of the step's file. The linker collects the steps in the order of their files. */
#define LADDER_STEP(what, prepare, run, aside)                                                                         \
    static const Step ladder_step = {__FILE__, what, prepare, run, aside};                                             \
    static const Step *const ladder_place __attribute__((used, section("ladder_steps"))) = &ladder_step;
#define STEP(what, prepare, run)  LADDER_STEP(what, prepare, run, false)
#define ASIDE(what, prepare, run) LADDER_STEP(what, prepare, run, true)

/* The work of one run of a shape. Its bound in seconds is the larger of flops / peak and bytes / bandwidth. The
 * bandwidth is that of the cache or memory that holds `working_set` bytes, the data that is read repeatedly. */
typedef struct Work {
    char name[64];
    double flops, bytes, working_set;
    double limit; /* the largest error that passes */
} Work;

typedef struct Ladder {
    int shapes;
    /* Makes the inputs and expected results of a shape. Shape -1 is tiny, for the tests. */
    Case *(*make)(int shape, Work *work);
    /* Sets the outputs to NaN. If a step updates data in place, gives these data their initial values again. Called
     * before a step is prepared and checked. */
    void (*reset)(Case *);
    /* Returns the largest difference from the expected result, divided by the largest expected number. NaN or infinity:
     * the result is wrong. */
    double (*error)(const Case *);
} Ladder;
extern const Ladder ladder; /* defined in main.c */

/* Allocates zeroed memory, aligned to 64 bytes, for main.c. The memory is freed after the shape. If memory runs out,
 * the program ends. */
void *ladder_room(size_t count, size_t size);
float *ladder_numbers(size_t n); /* uniform in [-1, 1); different numbers at each call */
/* Returns the largest difference between x and `expected` [n], divided by the largest expected number; or NaN. */
double ladder_difference(const float *x, const double *expected, size_t n);
Arena *ladder_arena(void);           /* the arena that ladder_room allocates from */
const Kernels *ladder_kernels(void); /* Sapor's kernels for this machine */
/* Computes C[M,N] = alpha A[M,K] B, or adds it to C, by Sapor's kernel. `packed` is B, packed by gemm_pack. For ladders
 * of kernels that use matrix products. */
void ladder_product(const Run *run, int64_t M, int64_t N, int64_t K, float alpha, const float *A, int64_t lda,
                    const float *packed, float *C, int64_t ldc, bool adds);

#endif
