/* bench/ladder/ladder.h: a kernel from its definition to Sapor's own, one file a step. `make ladder KERNEL=gemm` builds
 * a folder of steps for this machine (-march=native), holds each against a reference in double precision, times them in
 * turn and prints a table.
 *
 * docs/kernels/README.md says how to read the table.
 *
 * Shapes are a ladder's own, not those of tests/kernel_cases.h: few, and chosen so that the steps differ on them.
 *
 * A folder has case.h (the kernel's inputs and outputs: struct Case, the one argument of every step), main.c (shapes,
 * reference, and Sapor's kernel as the last step), and NN-name.c, the steps in order. A new file is found by itself. A
 * step is plain C, or speaks the vectors of kernels/cpu/vec.h, which are those of GCC and clang; a line "// flags: ..."
 * in it adds compiler flags. */
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
    void (*prepare)(Case *); /* not timed: what is done once, when a model is loaded; or NULL */
    void (*run)(Case *);
    bool aside; /* tried and not kept: the next step is compared with the one before */
} Step;

/* At the end of a step's file. The linker gathers the steps, in the order of their files. */
#define LADDER_STEP(what, prepare, run, aside)                                                                         \
    static const Step ladder_step = {__FILE__, what, prepare, run, aside};                                             \
    static const Step *const ladder_place __attribute__((used, section("ladder_steps"))) = &ladder_step;
#define STEP(what, prepare, run)  LADDER_STEP(what, prepare, run, false)
#define ASIDE(what, prepare, run) LADDER_STEP(what, prepare, run, true)

/* What one run of a shape is: its bound is the larger of flops / peak and bytes / the bandwidth of the cache
 * or memory that holds `working_set` bytes, those that are read again and again. */
typedef struct Work {
    char name[64];
    double flops, bytes, working_set;
    double limit; /* the largest error that passes */
} Work;

typedef struct Ladder {
    int shapes;
    /* Inputs and expected results of shape i, or of shape -1, which is tiny: for the tests */
    Case *(*make)(int shape, Work *work);
    void (*reset)(
        Case *); /* before a step is prepared and checked: outputs become NaN, what is updated in place starts anew */
    /* The largest difference from what was expected, as a share of the largest number expected; NaN or infinity if
     * anything is wrong */
    double (*error)(const Case *);
} Ladder;
extern const Ladder ladder; /* main.c's */

/* For main.c. Memory is 64-byte aligned, zeroed, and taken back after the shape; the program ends where there is
 * none. */
void *ladder_room(size_t count, size_t size);
float *ladder_numbers(size_t n); /* uniform in [-1, 1), others at each call */
double ladder_difference(const float *x, const double *expected, size_t n);
Arena *ladder_arena(void);           /* what ladder_room takes from */
const Kernels *ladder_kernels(void); /* Sapor's, of this machine */
/* C[M,N] = or += alpha A[M,K] times a B that gemm_pack has packed, by Sapor's kernel: for the ladders of what stands on
 * products */
void ladder_product(const Run *run, int64_t M, int64_t N, int64_t K, float alpha, const float *A, int64_t lda,
                    const float *packed, float *C, int64_t ldc, bool adds);

#endif
