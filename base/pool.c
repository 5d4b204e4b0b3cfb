/* base/pool.c: a pool of threads that run numbered tasks.
 *
 * `job` is a counter: odd while a job is open, even while no job is. A worker that finds a new odd number adds itself
 * to `inside`, then reads `job` again and works only if the number is unchanged. When no task is left, the caller
 * closes the job and waits until no worker is inside. Therefore the caller does not wait for a worker that wakes too
 * late, and no worker reads a job while it is being replaced. Idle workers spin for SPIN_SECONDS, then sleep: parallel
 * regions of 20 microseconds in close succession are then still faster than one thread.
 *
 * A traced pool records what each thread does. Consecutive tasks share a span until the span lasts SPAN_SECONDS, so
 * that recording takes little of their time. */
#include "base/base.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

static const double SPIN_SECONDS = 50e-6, SPAN_SECONDS = 20e-6;
enum { LEAST_STACK = 1 << 20, SPANS = 32 };

typedef struct Worker {
    Pool *pool;
    int number;
    pthread_t thread;
} Worker;

struct Pool {
    _Alignas(64) _Atomic uint64_t job;
    _Alignas(64) _Atomic size_t next; /* the next task */
    _Alignas(64) _Atomic int inside;  /* workers that may read the job */
    _Alignas(64) _Atomic int sleepers;
    _Atomic bool caller_sleeps, stop, taken; /* taken: a thread is in pool_run */
    PoolTask *fn;
    void *arg;
    size_t tasks;
    Trace *trace; /* NULL: nothing is recorded */
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    const Heap *heap;
    Heap heap_copy;
    int threads, started; /* threads includes the calling thread */
    Worker *workers;
};

/* The pool whose task this thread runs: a call from inside a task must not wait for its own pool. */
static _Thread_local struct {
    const Pool *pool;
    int worker;
} inside_task;

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Returns the number of the job if it is open and not the one seen last, otherwise 0. */
static uint64_t open_job(Pool *p, uint64_t seen)
{
    uint64_t job = atomic_load(&p->job);
    return (job & 1) && job != seen ? job : 0;
}

/* Runs tasks and records them. `waited` is the wait before this job: its kind and its begin; the kind NULL means no
 * wait. */
static void work_traced(Pool *p, int worker, TraceSpan waited)
{
    TraceSpan spans[SPANS];
    size_t task, n = waited.wait != NULL;
    double now = waited.ended = now_seconds();
    spans[0] = waited;
    while ((task = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed)) < p->tasks) {
        double begun = now;
        p->fn(p->arg, task, worker);
        now = now_seconds();
        if (n == 0 || spans[n - 1].wait || spans[n - 1].ended - spans[n - 1].begun >= SPAN_SECONDS) {
            if (n == SPANS) {
                trace_spans(p->trace, worker, spans, n);
                n = 0;
            }
            spans[n++] = (TraceSpan){.begun = begun};
        }
        spans[n - 1].ended = now;
        spans[n - 1].tasks++;
    }
    trace_spans(p->trace, worker, spans, n);
}

/* Runs tasks of the open job until none is left. With a trace, work_traced runs and records them, and the loop below
 * finds no task. */
static void work(Pool *p, int worker, TraceSpan waited)
{
    const Pool *outer_pool = inside_task.pool;
    int outer_worker = inside_task.worker;
    inside_task.pool = p;
    inside_task.worker = worker;
    size_t task;
    if (p->trace)
        work_traced(p, worker, waited);
    while ((task = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed)) < p->tasks)
        p->fn(p->arg, task, worker);
    inside_task.pool = outer_pool;
    inside_task.worker = outer_worker;
}

static uint64_t wait_for_job(Pool *p, uint64_t seen, TraceSpan *waited)
{
    double until = (waited->begun = now_seconds()) + SPIN_SECONDS;
    uint64_t job;
    do
        for (int i = 0; i < 32; i++, relax())
            if ((job = open_job(p, seen)) != 0 || atomic_load(&p->stop))
                return job;
    while (now_seconds() < until);
    waited->wait = "asleep";
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->sleepers, 1);
    while ((job = open_job(p, seen)) == 0 && !atomic_load(&p->stop))
        pthread_cond_wait(&p->wake, &p->lock);
    atomic_fetch_sub(&p->sleepers, 1);
    pthread_mutex_unlock(&p->lock);
    return job;
}

static void *worker_main(void *arg)
{
    Worker *w = arg;
    Pool *p = w->pool;
    char name[16];
    snprintf(name, sizeof name, "sapor %d", w->number);
    pthread_setname_np(pthread_self(), name); /* the name in perf, top and gdb */
    uint64_t seen = 0;
    while (!atomic_load(&p->stop)) {
        TraceSpan waited = {.wait = "spinning"};
        uint64_t job = wait_for_job(p, seen, &waited);
        if (!job)
            continue;
        atomic_fetch_add(&p->inside, 1);
        if (atomic_load(&p->job) == job)
            work(p, w->number, waited);
        seen = job;
        if (atomic_fetch_sub(&p->inside, 1) == 1 && atomic_load(&p->caller_sleeps)) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->done);
            pthread_mutex_unlock(&p->lock);
        }
    }
    return NULL;
}

int threads_available(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    Arena *a = arena_new(NULL, 0);
    Error ignored = {0};
    Text text, quota, period;
    double q, t;
    if (a && file_read(&text, a, "/sys/fs/cgroup/cpu.max", 4096, &ignored) && text_next(&text, ' ', &quota) &&
        text_line(&text, &period) && text_f64(quota, &q) && text_f64(period, &t) && t > 0)
        n = MIN(n, (int)(q / t + 0.999));
    arena_free(a);
    return MAX(n, 1);
}

Pool *pool_new(const Heap *heap, int threads, Error *e)
{
    if (threads < 0 || threads > 4096) {
        fail(e, SP_USAGE, "%d threads: a number from 1 to 4096 is expected, or 0 for all that are available", threads);
        return NULL;
    }
    if (threads == 0)
        threads = threads_available();
    size_t bytes = sizeof(Pool) + (size_t)threads * sizeof(Worker);
    Pool *p = heap_alloc(heap, bytes);
    if (!p) {
        fail_memory(e, bytes, "a thread pool");
        return NULL;
    }
    memset(p, 0, bytes);
    if (heap) {
        p->heap_copy = *heap;
        p->heap = &p->heap_copy;
    }
    p->threads = threads;
    p->workers = (Worker *)(p + 1);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->done, NULL);
    static const int FAULTS[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL};
    /* Signals are handled by the main program's threads, except faults: a blocked fault would end the process without
     * its handler. */
    sigset_t all, old;
    sigfillset(&all);
    for (size_t i = 0; i < COUNT(FAULTS); i++)
        sigdelset(&all, FAULTS[i]);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_attr_t attributes;
    size_t stack = 0;
    int failed = pthread_attr_init(&attributes);
    /* the default of musl is 128 KB */
    if (!failed && !pthread_attr_getstacksize(&attributes, &stack) && stack < LEAST_STACK)
        pthread_attr_setstacksize(&attributes, LEAST_STACK);
    for (; p->started < threads - 1 && !failed; p->started += !failed) {
        Worker *w = &p->workers[p->started];
        *w = (Worker){.pool = p, .number = p->started + 1};
        failed = pthread_create(&w->thread, &attributes, worker_main, w);
    }
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (!failed)
        return p;
    fail_system(e, "threads", "start another one", failed);
    pool_free(p);
    return NULL;
}

int pool_threads(const Pool *p)
{
    return p ? p->threads : 1;
}

static void wait_for_workers(Pool *p)
{
    double until = now_seconds() + SPIN_SECONDS;
    do
        for (int i = 0; i < 32; i++, relax())
            if (atomic_load(&p->inside) == 0)
                return;
    while (now_seconds() < until);
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->caller_sleeps, true);
    while (atomic_load(&p->inside) != 0)
        pthread_cond_wait(&p->done, &p->lock);
    atomic_store(&p->caller_sleeps, false);
    pthread_mutex_unlock(&p->lock);
}

void pool_run(Pool *p, size_t tasks, PoolTask *fn, void *arg)
{
    bool nested = p && inside_task.pool == p;
    if (!p || p->threads == 1 || tasks < 2 || nested || atomic_exchange(&p->taken, true)) {
        for (size_t i = 0; i < tasks; i++)
            fn(arg, i, nested ? inside_task.worker : 0);
        return;
    }
    p->fn = fn;
    p->arg = arg;
    p->tasks = tasks;
    atomic_store(&p->next, 0);
    atomic_fetch_add(&p->job, 1); /* the job is open */
    int sleepers = atomic_load(&p->sleepers);
    if (sleepers > 0) {
        pthread_mutex_lock(&p->lock);
        if ((size_t)sleepers < tasks)
            pthread_cond_broadcast(&p->wake);
        else
            for (size_t i = 1; i < tasks; i++)
                pthread_cond_signal(&p->wake);
        pthread_mutex_unlock(&p->lock);
    }
    work(p, 0, (TraceSpan){0});
    atomic_fetch_add(&p->job, 1); /* the job is closed */
    TraceSpan waited = {.begun = p->trace ? now_seconds() : 0, .wait = "waiting for workers"};
    wait_for_workers(p);
    if (p->trace && (waited.ended = now_seconds()) - waited.begun > 1e-6)
        trace_spans(p->trace, 0, &waited, 1);
    atomic_store(&p->taken, false);
}

void pool_trace(Pool *p, Trace *t)
{
    p->trace = trace_keeps_events(t) ? t : NULL;
}

void pool_free(Pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->stop, true);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->started; i++)
        pthread_join(p->workers[i].thread, NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->wake);
    pthread_cond_destroy(&p->done);
    Heap copy = p->heap_copy;
    heap_free(p->heap ? &copy : NULL, p, sizeof(Pool) + (size_t)p->threads * sizeof(Worker));
}
