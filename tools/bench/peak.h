/* tools/bench/peak.h: what the machine can do at most, by measuring: the yardstick of every other figure. */
#ifndef SAPOR_PEAK_H
#define SAPOR_PEAK_H

#include "base/base.h"

/* A loop of multiply-adds that live in registers: of one type of numbers, at a level of instructions, on all threads of
 * a pool together. */
typedef struct Peak {
    const char *dtype, *level, *instruction;
    bool here;          /* the machine has the instruction; else the figures are 0 */
    double gflops, ghz; /* all threads; one thread's clock, 0 where it cannot be measured */
    /* instructions per cycle and thread, and as a share of the whole number (or 1 in n) that it is nearest to */
    double per_cycle, share;
} Peak;
size_t peak_count(void);
/* Loop i, for about `seconds` (0: only what it is and whether the machine has it). */
Peak peak_measure(size_t i, Pool *pool, double seconds);
/* GFLOP/s of a level and type ("f32", "bf16", "f16", "int8"): 0 where there is no such loop or the machine lacks it. */
double peak_gflops(const char *level, const char *dtype, Pool *pool, double seconds);
/* GB/s of reading `bytes` again and again, from whichever cache or memory holds them, shared out among the pool's
 * threads. `data` must hold that much; 0 where it is too little to share out. */
double peak_read_gbs(const char *level, const float *data, size_t bytes, Pool *pool, double seconds);

#endif
