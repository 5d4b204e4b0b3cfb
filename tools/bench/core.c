/* tools/bench/core.c: the hyperthreads of the cores that a measurement used (Linux), and pinned threads (--pin). */
// flags: -Os
#include "tools/bench/core.h"

#include <errno.h>
#include <sched.h>

/* ---- sets of processors ---------------------------------------------------------------------- */

bool cpus_has(const CpuSet *set, int cpu)
{
    return cpu >= 0 && cpu < CORE_CPUS && set->bits[cpu / 64] >> cpu % 64 & 1;
}

static void add(CpuSet *set, int cpu)
{
    if (cpu >= 0 && cpu < CORE_CPUS)
        atomic_fetch_or(&set->bits[cpu / 64], (uint64_t)1 << cpu % 64);
}

bool cpus_parse(Text list, CpuSet *set)
{
    Text rest = text_trim(list), part;
    bool some = false;
    *set = (CpuSet){0};
    while (text_next(&rest, ',', &part)) {
        Text high, low;
        int64_t from, to;
        if (!text_next(&part, '-', &low) || !text_i64(low, &from))
            return false;
        to = from;
        if (text_next(&part, '-', &high) && (!text_i64(high, &to) || part.p))
            return false;
        if (from < 0 || to < from || to >= CORE_CPUS)
            return false;
        for (; from <= to; from++)
            add(set, (int)from);
        some = true;
    }
    return some;
}

/* ---- siblings -------------------------------------------------------------------------------- */

/* Reads the hyperthreads of a processor's core, which include the processor. Returns false if they are not known. */
static bool read_siblings(const char *root, int cpu, CpuSet *set)
{
    char path[512];
    Arena *a = arena_new(NULL, 0);
    Error ignored = {0};
    Text text;
    snprintf(path, sizeof path, "%s/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", root, cpu);
    bool ok = a && file_read(&text, a, path, 4096, &ignored) && cpus_parse(text, set);
    arena_free(a);
    return ok;
}

/* Reads the times of all processors since the system started, in ticks: the lines "cpuN user nice system idle iowait
 * irq softirq steal ..." of /proc/stat. A processor without a line has zeros. */
static void read_times(const char *root, uint64_t busy[CORE_CPUS], uint64_t total[CORE_CPUS])
{
    enum { FIELDS = 8, IDLE = 3, WAITING = 4 };
    char path[512];
    Arena *a = arena_new(NULL, 0);
    Error ignored = {0};
    Text text, line, word;
    memset(busy, 0, CORE_CPUS * sizeof *busy);
    memset(total, 0, CORE_CPUS * sizeof *total);
    snprintf(path, sizeof path, "%s/proc/stat", root);
    if (a && file_read(&text, a, path, 4 << 20, &ignored))
        while (text_line(&text, &line)) {
            int64_t cpu, ticks;
            if (!text_starts(line, "cpu") || !text_next(&line, ' ', &word) ||
                !text_i64((Text){word.p + 3, word.n - 3}, &cpu) || cpu < 0 || cpu >= CORE_CPUS)
                continue;
            for (int i = 0; i < FIELDS && text_next(&line, ' ', &word) && text_i64(word, &ticks); i++) {
                total[cpu] += (uint64_t)ticks;
                busy[cpu] += i == IDLE || i == WAITING ? 0 : (uint64_t)ticks;
            }
        }
    arena_free(a);
}

void core_begin(CoreWatch *w, const char *root)
{
    *w = (CoreWatch){.root = root};
    read_times(root, w->busy, w->total);
}

void core_ran(CoreWatch *w)
{
    int cpu = sched_getcpu();
    add(&w->now, cpu);
    add(&w->all, cpu);
}

void core_window(CoreWatch *w, bool best)
{
    for (size_t i = 0; i < COUNT(w->now.bits); i++) {
        if (best)
            w->best.bits[i] = w->now.bits[i];
        w->now.bits[i] = 0;
    }
}

void core_end(const CoreWatch *w, CoreFacts *f)
{
    enum { LEAST_TICKS = 5 }; /* a share of fewer ticks says nothing */
    static _Thread_local uint64_t busy[CORE_CPUS], total[CORE_CPUS];
    read_times(w->root, busy, total);
    f->sibling = -1;
    f->shared = false;
    for (int cpu = 0; cpu < CORE_CPUS; cpu++) {
        CpuSet siblings;
        if (!cpus_has(&w->best, cpu) || !read_siblings(w->root, cpu, &siblings))
            continue;
        for (int other = 0; other < CORE_CPUS; other++) {
            if (other == cpu || !cpus_has(&siblings, other))
                continue;
            f->shared = f->shared || cpus_has(&w->best, other);
            uint64_t ticks = total[other] - w->total[other];
            if (cpus_has(&w->all, other) || w->total[other] == 0 || total[other] < w->total[other] ||
                busy[other] < w->busy[other] || ticks < LEAST_TICKS)
                continue;
            double share = MIN((double)(busy[other] - w->busy[other]) / (double)ticks, 1.0);
            if (share > f->sibling) {
                f->sibling = share;
                f->processor = cpu;
            }
        }
    }
}

/* ---- the verdict ----------------------------------------------------------------------------- */

static bool near(double per_cycle, double units)
{
    return per_cycle > 0.9 * units && per_cycle < 1.1 * units;
}

CoreVerdict core_verdict(const CoreFacts *f)
{
    enum { BUSY_PERCENT = 10 };
    if (f->shared)
        return CORE_SHARED;
    if (f->sibling >= 0)
        return 100 * f->sibling >= BUSY_PERCENT ? CORE_BUSY : CORE_QUIET;
    if (f->per_cycle <= 0 || f->ghz <= 0 || !f->level)
        return CORE_UNKNOWN;
    /* Processors with AVX2 have two units, except Zen 1. Processors with AVX-512 have one or two units. */
    if (strcmp(f->level, "avx2") == 0)
        return f->per_cycle > 0.9 * 2 ? CORE_QUIET : CORE_SUSPECT;
    if (strcmp(f->level, "avx512") == 0)
        return near(f->per_cycle, 1) || f->per_cycle > 0.9 * 2 ? CORE_QUIET : CORE_SUSPECT;
    return CORE_UNKNOWN;
}

const char *core_word(CoreVerdict v)
{
    static const char *const WORDS[] = {"unknown", "quiet", "sibling may be busy", "sibling busy", "shared"};
    return WORDS[v];
}

void core_describe(const CoreFacts *f, char *line, size_t size)
{
    CoreVerdict v = core_verdict(f);
    if (v == CORE_SHARED)
        snprintf(line, size,
                 "two threads of this run shared a core, so each had about half of its units; use fewer threads, or "
                 "--pin");
    else if (v == CORE_BUSY)
        snprintf(line, size,
                 "another hyperthread of the core of processor %d was busy for %.0f%% of the time, so the peak is too "
                 "low; stop other programs, or choose another processor with --pin",
                 f->processor, 100 * f->sibling);
    else if (v == CORE_SUSPECT)
        snprintf(line, size,
                 "another hyperthread of this core may be busy, or the processor has one unit: %.2f multiply-adds per "
                 "cycle (%s, %.2f GHz)",
                 f->per_cycle, f->level, f->ghz);
    else if (size > 0)
        *line = '\0';
}

/* ---- pinned threads -------------------------------------------------------------------------- */

#if defined(__linux__)
static bool limit(cpu_set_t *set, Error *e)
{
    return sched_setaffinity(0, sizeof *set, set) == 0 || fail_system(e, "--pin", "set the processors", errno);
}

bool cpus_limit(const char *list, CpuSet *set, Error *e)
{
    cpu_set_t usable, chosen;
    CPU_ZERO(&chosen);
    if (!cpus_parse(text_of(list), set))
        return fail(e, SP_USAGE, "--pin %s: expected numbers of processors, such as 0,1 or 0-3", list);
    if (sched_getaffinity(0, sizeof usable, &usable) != 0)
        return fail_system(e, "--pin", "read the processors of this process", errno);
    for (int i = 0; i < CORE_CPUS; i++) {
        if (!cpus_has(set, i))
            continue;
        if (i >= CPU_SETSIZE || !CPU_ISSET((size_t)i, &usable))
            return fail(e, SP_USAGE, "--pin %s: this process may not use processor %d", list, i);
        CPU_SET((size_t)i, &chosen);
    }
    return limit(&chosen, e);
}

typedef struct Pinning {
    const CpuSet *set;
    int threads;
    _Atomic int arrived, failed; /* failed: an errno */
} Pinning;

/* Pins one thread. It waits for the other tasks, so that no thread runs two of them. */
static void pin_task(void *arg, size_t task, int worker)
{
    Pinning *p = arg;
    int cpu = -1;
    (void)task;
    atomic_fetch_add(&p->arrived, 1);
    while (atomic_load(&p->arrived) < p->threads)
        sched_yield();
    for (int i = 0; i <= worker; i++)
        do
            cpu = (cpu + 1) % CORE_CPUS;
        while (!cpus_has(p->set, cpu));
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0)
        atomic_store(&p->failed, errno);
}

bool cpus_pin(const CpuSet *set, Pool *pool, Error *e)
{
    Pinning p = {.set = set, .threads = pool_threads(pool)};
    pool_run(pool, (size_t)p.threads, pin_task, &p);
    return !p.failed || fail_system(e, "--pin", "set the processor of a thread", p.failed);
}
#else
bool cpus_limit(const char *list, CpuSet *set, Error *e)
{
    (void)list, (void)set;
    return fail(e, SP_UNSUPPORTED, "--pin: only Linux can pin threads");
}
bool cpus_pin(const CpuSet *set, Pool *pool, Error *e)
{
    (void)set, (void)pool, (void)e;
    return true;
}
#endif
