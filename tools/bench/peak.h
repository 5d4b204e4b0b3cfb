/* tools/bench/peak.h: measures the peak rates of the machine. Other figures are shown as a share of them. */
#ifndef SAPOR_PEAK_H
#define SAPOR_PEAK_H

#include "tools/bench/core.h"

/* The result of a loop of multiply-adds in registers, for one type of numbers and one level of instructions. All
 * threads of a pool run the loop together. */
typedef struct Peak {
    const char *dtype, *level, *instruction;
    bool here;          /* the machine has the instruction; else all figures are 0 */
    double gflops, ghz; /* gflops: of all threads; ghz: the clock rate of one thread, 0 if it cannot be measured */
    /* per_cycle: the measured number of multiply instructions per cycle and thread. The true rate of a processor is 1,
     * 2, 3, ... or 1/2, 1/3, ... instructions per cycle. share: per_cycle divided by the nearest of these rates */
    double per_cycle, share;
    double spread;  /* (best window - median window) / best window; 1: there were too few windows */
    bool confirmed; /* several windows, in which all threads ran, were close to the best one; else gflops is too low */
    CoreFacts core; /* per_cycle and ghz are set for confirmed peaks of float32 only */
} Peak;
size_t peak_count(void);
/* Measures loop i for about `seconds`, and for at most four times as long until several windows confirm the best one.
 * 0: only describes the loop and whether the machine has the instruction. */
Peak peak_measure(size_t i, Pool *pool, double seconds);
/* Return the peak, or only its GFLOP/s, of a level and type ("f32", "bf16", "f16", "int8"), or 0 if the machine has no
 * instruction that the products of this type use. Products that convert their numbers to float32 use the instruction of
 * "f32". */
Peak peak_of_products(const char *level, const char *dtype, Pool *pool, double seconds);
double peak_gflops(const char *level, const char *dtype, Pool *pool, double seconds);
/* Returns the GB/s of reading `bytes` repeatedly, from the cache or memory that holds them. The pool's threads share
 * the bytes. `data` must have at least `bytes`. Returns 0 if `bytes` is too small to share. */
double peak_read_gbs(const char *level, const float *data, size_t bytes, Pool *pool, double seconds);

#endif
