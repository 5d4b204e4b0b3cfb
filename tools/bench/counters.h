/* tools/bench/counters.h: the hardware counters of the processor, for this process and the threads it starts later.
 * They are available only if the system allows it. */
#ifndef SAPOR_COUNTERS_H
#define SAPOR_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>

enum { COUNTERS = 4 };
typedef struct Counters {
    int fd[COUNTERS];
    int refused;            /* errno of the first counter that could not be opened; 0: none */
    double value[COUNTERS]; /* set by counters_read */
} Counters;
extern const char *const counter_names[COUNTERS]; /* "instructions", "cycles", "cache_references", "cache_misses" */
void counters_open(Counters *c);
/* Reads and closes the counters. Returns false if nothing was counted. Unavailable counters are 0. */
bool counters_read(Counters *c);
const char *counters_why(const Counters *c); /* describes why there are no counters */

#endif
