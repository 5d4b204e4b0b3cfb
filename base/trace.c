/* base/trace.c: what ran, for how long and how fast. Totals for --profile; single events for --trace. */
#include "base.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct Event {
    const char *op;
    double begun, seconds, flops, bytes;
    int thread; /* the system's number */
} Event;

struct Trace {
    Arena *arena;
    pthread_mutex_t lock;
    bool keep_events;
    double started;
    TraceTotal *totals;
    size_t total_count, total_capacity;
    Event *events;
    size_t event_count, event_capacity, lost; /* lost: for want of memory */
};

Trace *trace_new(const Heap *heap, bool keep_events, Error *e)
{
    Arena *a = arena_new(heap, 0);
    Trace *t = a ? NEW(a, Trace, 1, e) : NULL;
    if (!t) {
        fail_memory(e, sizeof(*t), "a trace");
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
    TraceTotal *grown = arena_grow(t->arena, t->totals, t->total_count, &t->total_capacity, sizeof(*grown), &ignored);
    if (!grown)
        return NULL;
    t->totals = grown;
    TraceTotal *new = &grown[t->total_count++];
    *new = (TraceTotal){.op = op};
    return new;
}

void trace_end(Trace *t, double begun, const char *op, double flops, double bytes)
{
    if (!t)
        return;
    double seconds = now_seconds() - begun;
    pthread_mutex_lock(&t->lock);
    TraceTotal *total = total_of(t, op);
    if (total) {
        total->calls++;
        total->seconds += seconds;
        total->flops += flops;
        total->bytes += bytes;
    }
    if (t->keep_events) {
        Error ignored = {0};
        Event *grown = arena_grow(t->arena, t->events, t->event_count, &t->event_capacity, sizeof(*grown), &ignored);
        if (grown) {
            t->events = grown;
            grown[t->event_count++] = (Event){op, begun, seconds, flops, bytes, gettid()};
        } else {
            t->lost++;
        }
    }
    pthread_mutex_unlock(&t->lock);
}

/* The Trace Event Format's complete events ("X", microseconds), as chrome://tracing and ui.perfetto.dev read them. */
bool trace_write(const Trace *t, const char *path, Error *e)
{
    Out *o = out_open(path, arena_heap(t->arena), e);
    if (!o)
        return false;
    long process = (long)getpid();
    bool ok =
        out_printf(o, e, "{\"displayTimeUnit\":\"ms\",\"otherData\":{\"lost_events\":%zu},\"traceEvents\":[\n", t->lost);
    ok = ok &&
         out_printf(o, e, "{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":%ld,\"args\":{\"name\":\"sapor\"}}", process);
    for (size_t i = 0; ok && i < t->event_count; i++) {
        const Event *v = &t->events[i];
        ok = out_printf(o, e, ",\n{\"name\":") && out_json_string(o, text_of(v->op), e) &&
             out_printf(o, e, ",\"ph\":\"X\",\"pid\":%ld,\"tid\":%d,\"ts\":%.3f,\"dur\":%.3f", process, v->thread,
                        1e6 * (v->begun - t->started), 1e6 * v->seconds) &&
             out_printf(o, e, ",\"args\":{\"flops\":%.17g,\"bytes\":%.17g}}", v->flops, v->bytes);
    }
    ok = ok && out_printf(o, e, "\n]}\n");
    if (ok)
        return out_commit(o, e);
    out_discard(o);
    return false;
}

static int by_seconds(const void *a, const void *b)
{
    const TraceTotal *x = a, *y = b;
    return x->seconds != y->seconds ? (x->seconds < y->seconds) - (x->seconds > y->seconds) : strcmp(x->op, y->op);
}

/* A number in `width` columns, or a dash where there is nothing to say. */
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
    fprintf(to, "%-34.34s%10llu%12.3f", x->op, (unsigned long long)x->calls, 1e3 * x->seconds);
    print_cell(to, 9, 1, all_seconds > 0 ? 100 * x->seconds / all_seconds : 0);
    print_cell(to, 12, 2, gflops);
    print_cell(to, 11, 2, x->seconds > 0 ? 1e-9 * x->bytes / x->seconds : 0);
    print_cell(to, 12, 1, peak_gflops > 0 ? 100 * gflops / peak_gflops : 0);
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
    qsort(sorted, t->total_count, sizeof(*sorted), by_seconds);
    fprintf(to, "%-34s%10s%12s%9s%12s%11s%12s\n", "op", "calls", "ms", "% time", "GFLOP/s", "GB/s", "% of peak");
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
