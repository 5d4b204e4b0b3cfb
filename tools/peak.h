/* tools/peak.h: what the machine can do at most, by measuring: the yardstick of every other figure. */
#ifndef SAPOR_PEAK_H
#define SAPOR_PEAK_H

#include "base/base.h"

/* GFLOP/s of float32 multiply-adds that live in registers, at a level of instructions ("baseline", "avx2", "avx512"), on all threads of the pool
 * together; measured for about `seconds`. 0 where the level is unknown. The machine must have the level. */
double peak_gflops(const char *level, Pool *pool, double seconds);
/* GB/s of reading `bytes` again and again, from whichever cache or memory holds them, shared out among the pool's threads. `data` must hold that much;
 * 0 where it is too little to share out. */
double peak_read_gbs(const char *level, const float *data, size_t bytes, Pool *pool, double seconds);

#endif
