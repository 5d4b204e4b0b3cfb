/* tools/bench/counters.h: the processor's own counters, of this process and the threads it starts later, where the
 * system lends them. */
#ifndef SAPOR_COUNTERS_H
#define SAPOR_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>

enum { COUNTERS = 4 };
typedef struct Counters {
    int fd[COUNTERS];
    int refused;            /* errno of the first that could not be opened; 0: none */
    double value[COUNTERS]; /* after counters_read */
} Counters;
extern const char *const counter_names[COUNTERS]; /* "instructions", "cycles", "cache_references", "cache_misses" */
void counters_open(Counters *c);
/* Reads and closes; false where nothing was counted. What is not there is 0. */
bool counters_read(Counters *c);
const char *counters_why(const Counters *c); /* in words: why there are none */

#endif
