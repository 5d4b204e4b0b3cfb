/* tools/bench/counters.c: hardware counters, by perf_event_open(2). Many containers and virtual machines refuse it:
 * then a line says why. */
#include "tools/bench/counters.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"

#if defined(__linux__) && __has_include(<linux/perf_event.h>) && __has_include(<asm/types.h>)
#include <linux/perf_event.h>
#include <sys/syscall.h>
#endif

const char *const counter_names[COUNTERS] = {"instructions", "cycles", "cache_references", "cache_misses"};

void counters_open(Counters *c)
{
    *c = (Counters){.refused = ENOSYS};
#ifdef PERF_FLAG_FD_CLOEXEC
    static const uint64_t EVENTS[COUNTERS] = {PERF_COUNT_HW_INSTRUCTIONS, PERF_COUNT_HW_CPU_CYCLES,
                                              PERF_COUNT_HW_CACHE_REFERENCES, PERF_COUNT_HW_CACHE_MISSES};
    c->refused = 0;
    for (int i = 0; i < COUNTERS; i++) {
        struct perf_event_attr a = {.type = PERF_TYPE_HARDWARE,
                                    .size = sizeof a,
                                    .config = EVENTS[i],
                                    .inherit = 1,
                                    .exclude_kernel = 1,
                                    .exclude_hv = 1,
                                    .read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING};
        c->fd[i] = descriptor_high((int)syscall(SYS_perf_event_open, &a, 0, -1, -1, PERF_FLAG_FD_CLOEXEC));
        if (c->fd[i] < 0 && !c->refused)
            c->refused = errno;
    }
#else
    for (int i = 0; i < COUNTERS; i++)
        c->fd[i] = -1;
#endif
}

bool counters_read(Counters *c)
{
    bool any = false;
    for (int i = 0; i < COUNTERS; i++) {
        uint64_t v[3]; /* count, time enabled, time running: if events share a counter, the count is scaled up */
        c->value[i] = 0;
        if (c->fd[i] < 0)
            continue;
        if (read(c->fd[i], v, sizeof v) == (ssize_t)sizeof v && v[2] > 0)
            c->value[i] = (double)v[0] * ((double)v[1] / (double)v[2]);
        any = any || c->value[i] > 0;
        close(c->fd[i]);
    }
    return any;
}

const char *counters_why(const Counters *c)
{
    return c->refused == EACCES || c->refused == EPERM
               ? "the system or the container refuses access; see kernel.perf_event_paranoid"
           : c->refused == ENOSYS ? "this build or system has no perf_event_open"
           : c->refused           ? "this machine gives no access to counters, as many virtual machines"
                                  : "nothing was counted";
}
