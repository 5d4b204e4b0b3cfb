/* tools/bench/core.h: reports whether another hyperthread used the cores of a measurement. Two hyperthreads share the
 * units of a core, so even the best window of a peak is then too slow. */
#ifndef SAPOR_CORE_H
#define SAPOR_CORE_H

#include <stdatomic.h>

#include "base/base.h"

enum { CORE_CPUS = 1024 };
typedef struct CpuSet { /* processors, by their numbers in Linux */
    _Atomic uint64_t bits[CORE_CPUS / 64];
} CpuSet;

/* What was measured on a core. */
typedef struct CoreFacts {
    const char *level;     /* the level of the float32 multiply-adds that were measured */
    double per_cycle, ghz; /* multiply-adds per cycle and thread, and the clock rate; 0: unknown */
    int processor;         /* the number of the processor whose sibling was the busiest */
    double sibling;        /* the busy share of this sibling, from 0 to 1; below 0: no sibling is visible */
    bool shared;           /* two threads of this process used one core at the same time */
} CoreFacts;
typedef enum CoreVerdict {
    CORE_UNKNOWN,
    CORE_QUIET,
    CORE_SUSPECT, /* fewer multiply-adds per cycle than processors of this level compute */
    CORE_BUSY,    /* a sibling was busy */
    CORE_SHARED
} CoreVerdict;

#ifndef SAPOR_MINIMAL
/* Returns the verdict on these facts. It reads nothing else. */
CoreVerdict core_verdict(const CoreFacts *f);
const char *core_word(CoreVerdict v); /* for JSON */
/* Writes one line about the facts, or an empty text if there is no problem. */
void core_describe(const CoreFacts *f, char *line, size_t size);

/* Parses a list of processors such as 0,2-5. Returns false if the text is not such a list. */
bool cpus_parse(Text list, CpuSet *set);
bool cpus_has(const CpuSet *set, int cpu);
/* Pins the threads of the pool: thread i to processor i of the set, from the beginning again if there are fewer
 * processors than threads. The calling thread is thread 0. */
bool cpus_pin(const CpuSet *set, Pool *pool, Error *e);
/* Limits the process to the processors of --pin, before it starts other threads. */
bool cpus_limit(const char *list, CpuSet *set, Error *e);

/* The processors that the threads of a measurement used. */
typedef struct CoreWatch {
    const char *root;      /* the folder that contains proc and sys: "" except in tests */
    CpuSet now, best, all; /* the processors of this window, of the best window, and of all windows */
    uint64_t busy[CORE_CPUS], total[CORE_CPUS]; /* the times of /proc/stat at the begin */
} CoreWatch;
void core_begin(CoreWatch *w, const char *root);
void core_ran(CoreWatch *w); /* adds the processor of the calling thread to this window */
void core_window(CoreWatch *w, bool best);
/* Sets processor, sibling and shared. The siblings of the best window's processors are compared; a sibling on which a
 * thread of the measurement ran has no share. */
void core_end(const CoreWatch *w, CoreFacts *f);
#else
typedef struct CoreWatch {
    int unused;
} CoreWatch;
static inline void core_begin(CoreWatch *w, const char *root)
{
    (void)w, (void)root;
}
static inline void core_ran(CoreWatch *w)
{
    (void)w;
}
static inline void core_window(CoreWatch *w, bool best)
{
    (void)w, (void)best;
}
static inline void core_end(const CoreWatch *w, CoreFacts *f)
{
    (void)w, (void)f;
}
#endif

#endif
