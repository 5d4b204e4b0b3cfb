/* base/progress.c: the clock, the peak of memory, and lines of progress. */
// flags: -Os
#include "base/base.h"

#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

double now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Reads VmHWM. ru_maxrss is used only if there is no VmHWM. exec does not reset ru_maxrss, so ru_maxrss also counts the
 * memory that this process had before exec: a copy of its parent's memory. */
size_t peak_rss_bytes(void)
{
    Arena *a = arena_new(NULL, 0);
    Error ignored = {0};
    Text status, line;
    int64_t kilobytes = -1;
    if (a && file_read(&status, a, "/proc/self/status", 1 << 20, &ignored))
        while (kilobytes < 0 && text_line(&status, &line))
            if (text_starts(line, "VmHWM:") && text_ends(line, " kB"))
                text_i64(text_trim((Text){line.p + 6, line.n - 9}), &kilobytes);
    arena_free(a);
    struct rusage usage;
    if (kilobytes < 0)
        kilobytes = getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_maxrss : 0;
    return (size_t)kilobytes * 1024;
}

/* "4:05" or "1:02:03" */
static void print_time(FILE *to, double seconds)
{
    long s = (long)(seconds + 0.5);
    if (s >= 3600)
        fprintf(to, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        fprintf(to, "%ld:%02ld", s / 60, s % 60);
}

/* Draws the line. `last`: the job has ended, perhaps before its total. A job without a count shows only the time. */
static void draw(Progress *p, double now, bool last, const char *note)
{
    enum { WIDTH = 24 };
    double spent = now - p->started, here = p->done - p->before, rate = spent > 0 ? here / spent : 0;
    double share = p->total > 0 ? MIN(p->done / p->total, 1.0) : 0;
    if (p->is_terminal)
        fputs("\r\033[K", p->to);
    fprintf(p->to, "%s", p->label);
    if (p->is_terminal && p->total > 0) {
        char bar[WIDTH + 1] = {0};
        for (int i = 0; i < WIDTH; i++)
            bar[i] = i < (int)(share * WIDTH) ? '=' : ' ';
        fprintf(p->to, " [%s]", bar);
    }
    if (p->total > 0)
        fprintf(p->to, " %.0f/%.0f %s (%.0f %%)", p->done, p->total, p->unit, 100 * share);
    else if (p->done > 0)
        fprintf(p->to, " %.0f %s", p->done, p->unit);
    if (here > 0)
        fprintf(p->to, rate >= 100 ? ", %.0f %s/s" : ", %.3g %s/s", rate, p->unit);
    if (rate > 0 && p->done < p->total && !last) {
        fputs(", ", p->to);
        print_time(p->to, (p->total - p->done) / rate);
        fputs(" left", p->to);
    } else {
        fputs(here > 0 || p->done == 0 ? " in " : ", done before, in ", p->to);
        print_time(p->to, spent);
    }
    if (note && *note)
        fprintf(p->to, ", %s", note);
    if (!p->is_terminal)
        fputc('\n', p->to);
    fflush(p->to);
    p->drawn = now;
}

void progress_start(Progress *p, FILE *to, const char *label, const char *unit, double total)
{
    double now = now_seconds();
    *p = (Progress){.to = to, .label = label, .unit = unit, .total = total, .started = now, .drawn = now};
    p->is_terminal = to && isatty(fileno(to)) == 1;
}

void progress_step(Progress *p, double done, const char *note)
{
    p->done = done;
    if (!p->to)
        return;
    double now = now_seconds();
    /* in a log, the intervals grow */
    if (now - p->drawn >= (p->is_terminal ? 0.1 : MAX(10.0, 0.1 * (now - p->started))))
        draw(p, now, false, note);
}

void progress_end(Progress *p, const char *note)
{
    if (!p->to)
        return;
    draw(p, now_seconds(), true, note);
    if (p->is_terminal)
        fputc('\n', p->to);
    fflush(p->to);
}
