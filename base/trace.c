/* base/trace.c: records which ops ran, for how long and how fast. Totals for --profile, single events for --trace. */
#include "base/base.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct Event {
    const char *op; /* the name of the op or of the wait; NULL: the event is tasks of a worker */
    double begun, seconds;
    double flops; /* of the op; if the event is tasks: the number of tasks */
    double bytes;
    int thread; /* the thread id of the system */
    int worker; /* the worker of a pool that ran the tasks or waited; -1: the event is an op */
} Event;

struct Trace {
    Arena *arena;
    pthread_mutex_t lock;
    bool keep_events;
    double started;
    TraceTotal *totals;
    size_t total_count, total_capacity;
    Event *events;
    size_t event_count, event_capacity, lost; /* lost: events dropped because memory ran out */
};

Trace *trace_new(const Heap *heap, bool keep_events, Error *e)
{
    Arena *a = arena_new(heap, 0);
    Trace *t = a ? NEW(a, Trace, 1, e) : NULL;
    if (!t) {
        fail_memory(e, sizeof *t, "a trace");
        arena_free(a);
        return NULL;
    }
    t->arena = a;
    t->keep_events = keep_events;
    t->started = now_seconds();
    pthread_mutex_init(&t->lock, NULL);
    return t;
}

double trace_begin(Trace *t)
{
    return t ? now_seconds() : 0;
}

static TraceTotal *total_of(Trace *t, const char *op)
{
    for (size_t i = 0; i < t->total_count; i++)
        if (t->totals[i].op == op || !strcmp(t->totals[i].op, op))
            return &t->totals[i];
    Error ignored = {0};
    TraceTotal *grown = arena_grow(t->arena, t->totals, t->total_count, &t->total_capacity, sizeof *grown, &ignored);
    if (!grown)
        return NULL;
    t->totals = grown;
    TraceTotal *new = &grown[t->total_count++];
    *new = (TraceTotal){.op = op};
    return new;
}

static void add_event(Trace *t, const Event *v)
{
    Error ignored = {0};
    Event *grown = arena_grow(t->arena, t->events, t->event_count, &t->event_capacity, sizeof *grown, &ignored);
    if (grown) {
        t->events = grown;
        grown[t->event_count++] = *v;
    } else {
        t->lost++;
    }
}

void trace_end(Trace *t, double begun, const char *op, double flops, double bytes)
{
    if (t)
        trace_add(t, begun, now_seconds(), op, flops, bytes);
}

void trace_add(Trace *t, double begun, double ended, const char *op, double flops, double bytes)
{
    double seconds = ended - begun;
    pthread_mutex_lock(&t->lock);
    TraceTotal *total = total_of(t, op);
    if (total) {
        total->calls++;
        total->seconds += seconds;
        total->flops += flops;
        total->bytes += bytes;
    }
    if (t->keep_events)
        add_event(t, &(Event){op, begun, seconds, flops, bytes, gettid(), -1});
    pthread_mutex_unlock(&t->lock);
}

bool trace_keeps_events(const Trace *t)
{
    return t && t->keep_events;
}

void trace_spans(Trace *t, int worker, const TraceSpan *span, size_t n)
{
    int thread = gettid();
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < n; i++) {
        double begun = MAX(span[i].begun, t->started);
        add_event(t, &(Event){span[i].wait, begun, span[i].ended - begun, span[i].tasks, 0, thread, worker});
    }
    pthread_mutex_unlock(&t->lock);
}

/* ---- the trace file -------------------------------------------------------------------------- */

static int by_begin(const void *a, const void *b)
{
    const Event *x = a, *y = b;
    return (x->begun > y->begun) - (x->begun < y->begun);
}

/* Returns the name of the op that the tasks `v` belong to. It is the innermost op that was running, on any thread, in
 * the middle of the time of the tasks. ops [n] are sorted by their begin. Of the ops that begin before the middle, only
 * the NESTED latest ones are searched. If none of them was still running, the name is "tasks". */
static const char *op_around(const Event *v, const Event *ops, size_t n)
{
    enum { NESTED = 16 };
    double middle = v->begun + v->seconds / 2;
    size_t low = 0, high = n;
    while (low < high) {
        size_t half = low + (high - low) / 2;
        if (ops[half].begun <= middle)
            low = half + 1;
        else
            high = half;
    }
    for (size_t i = low; i-- > 0 && low - i <= NESTED;)
        if (ops[i].begun + ops[i].seconds >= middle)
            return ops[i].op;
    return "tasks";
}

/* Begins an event. Its `args` may follow. */
static void begin_event(JsonWriter *w, const char *name, const char *category, const char *phase, long process)
{
    json_object(w, NULL);
    json_put_string(w, "name", name);
    if (category)
        json_put_string(w, "cat", category);
    json_members(w, "ph %s pid %lld", phase, (long long)process);
}

/* Closes the event and its args. */
static void end_event(JsonWriter *w)
{
    enum { EVENTS = 2 }; /* depth of the list of events */
    while (w->depth > EVENTS)
        json_end(w);
}

/* Writes two events about a thread. The first one gives the thread its name. The second one gives its position among
 * the threads that the viewer shows.
 *
 * - thread: its id in the file
 * - worker: its number in the pool; 0 is the calling thread */
static void name_thread(JsonWriter *w, long process, int thread, int worker)
{
    char name[32] = "caller";
    if (worker > 0)
        snprintf(name, sizeof name, "worker %d", worker);
    begin_event(w, "thread_name", NULL, "M", process);
    json_put_i64(w, "tid", thread);
    json_object(w, "args");
    json_put_string(w, "name", name);
    end_event(w);
    begin_event(w, "thread_sort_index", NULL, "M", process);
    json_put_i64(w, "tid", thread);
    json_object(w, "args");
    json_put_i64(w, "sort_index", worker);
    end_event(w);
}

static void write_event(JsonWriter *w, const Trace *t, long process, const Event *v, const Event *ops, size_t op_count)
{
    bool tasks = v->worker >= 0 && !v->op, wait = v->worker >= 0 && v->op;
    begin_event(w, tasks ? op_around(v, ops, op_count) : v->op, tasks ? "tasks" : wait ? "wait" : "op", "X", process);
    json_members(w, "tid %lld ts %.3f dur %.3f", (long long)v->thread, 1e6 * (v->begun - t->started), 1e6 * v->seconds);
    if (!wait)
        json_object(w, "args");
    if (tasks)
        json_put_number(w, "tasks", "%.0f", v->flops); /* the number of tasks, see Event */
    else if (!wait)
        json_members(w, "flops %.17g bytes %.17g", v->flops, v->bytes);
    end_event(w);
}

/* Writes complete events of the Trace Event Format ("X", microseconds), for chrome://tracing and ui.perfetto.dev. The
 * events are the ops, and the tasks and waits of traced pools, each on the thread that ran it. */
bool trace_write(const Trace *t, const char *path, Error *e)
{
    Arena *a = arena_new(arena_heap(t->arena), 0);
    Event *ops = a ? NEW(a, Event, t->event_count, e) : NULL;
    Out *o = ops ? out_open(path, arena_heap(t->arena), e) : NULL;
    size_t op_count = 0;
    long process = (long)getpid();
    if (!o) {
        arena_free(a);
        return fail_memory(e, t->event_count * sizeof *ops, "writing a trace"); /* keeps an earlier error */
    }
    JsonWriter w = {.out = o};
    json_object(&w, NULL);
    json_put_string(&w, "displayTimeUnit", "ms");
    json_object(&w, "otherData");
    json_put_i64(&w, "lost_events", (int64_t)t->lost);
    json_end(&w);
    json_array(&w, "traceEvents");
    json_lines(&w, 0);
    begin_event(&w, "process_name", NULL, "M", process);
    json_object(&w, "args");
    json_put_string(&w, "name", "sapor");
    end_event(&w);
    int last_worker = -1; /* the largest number of a worker; workers occur in any order */
    for (size_t i = 0; i < t->event_count; i++) {
        if (t->events[i].worker < 0)
            ops[op_count++] = t->events[i];
        last_worker = MAX(last_worker, t->events[i].worker);
    }
    qsort(ops, op_count, sizeof *ops, by_begin);
    for (int worker = 0; worker <= last_worker; worker++)
        for (size_t i = 0, done = 0; i < t->event_count && !done; i++)
            if ((done = t->events[i].worker == worker))
                name_thread(&w, process, t->events[i].thread, worker);
    for (size_t i = 0; i < t->event_count; i++)
        write_event(&w, t, process, &t->events[i], ops, op_count);
    json_finish(&w);
    arena_free(a);
    return out_commit(o, e);
}

/* ---- the table ------------------------------------------------------------------------------- */

static int by_seconds(const void *a, const void *b)
{
    const TraceTotal *x = a, *y = b;
    return x->seconds != y->seconds ? (x->seconds < y->seconds) - (x->seconds > y->seconds) : strcmp(x->op, y->op);
}

/* Prints a number in `width` columns, or a dash if it is not positive. */
static void print_cell(FILE *to, int width, int decimals, double value)
{
    if (value > 0)
        fprintf(to, "%*.*f", width, decimals, value);
    else
        fprintf(to, "%*s", width, "-");
}

static void print_row(FILE *to, const TraceTotal *x, double all_seconds, double peak_gflops)
{
    double gflops = x->seconds > 0 ? 1e-9 * x->flops / x->seconds : 0;
    fprintf(to, "%-27.27s%10llu%12.3f", x->op, (unsigned long long)x->calls, 1e3 * x->seconds);
    print_cell(to, 8, 1, all_seconds > 0 ? 100 * x->seconds / all_seconds : 0);
    print_cell(to, 11, 2, gflops);
    print_cell(to, 10, 2, x->seconds > 0 ? 1e-9 * x->bytes / x->seconds : 0);
    print_cell(to, 11, 1, peak_gflops > 0 ? 100 * gflops / peak_gflops : 0);
    print_cell(to, 11, 1, 1e-6 * x->bytes);
    fputc('\n', to);
}

size_t trace_totals(const Trace *t, const TraceTotal **list)
{
    *list = t ? t->totals : NULL;
    return t ? t->total_count : 0;
}

void trace_table(const Trace *t, FILE *to, double peak_gflops)
{
    Error ignored = {0};
    Arena *a = arena_new(arena_heap(t->arena), 0);
    TraceTotal *sorted = a ? NEW(a, TraceTotal, t->total_count, &ignored) : NULL;
    if (!sorted) {
        arena_free(a);
        return;
    }
    TraceTotal all = {.op = "all"};
    for (size_t i = 0; i < t->total_count; i++) {
        sorted[i] = t->totals[i];
        all.calls += sorted[i].calls;
        all.seconds += sorted[i].seconds;
        all.flops += sorted[i].flops;
        all.bytes += sorted[i].bytes;
    }
    qsort(sorted, t->total_count, sizeof *sorted, by_seconds);
    fprintf(to, "%-27s%10s%12s%8s%11s%10s%11s%11s\n", "op", "calls", "ms", "% time", "GFLOP/s", "GB/s", "% of peak",
            "MB");
    for (size_t i = 0; i < t->total_count; i++)
        print_row(to, &sorted[i], all.seconds, peak_gflops);
    print_row(to, &all, all.seconds, peak_gflops);
    arena_free(a);
}

void trace_free(Trace *t)
{
    if (!t)
        return;
    pthread_mutex_destroy(&t->lock);
    arena_free(t->arena);
}
