/* tools/bench/bench_notes.c: the lines under a table of `sapor bench` that say which figures are not reliable. */
// flags: -Os
#include "tools/bench/bench.h"
#include "tools/bench/peak.h"

void bench_note_peak(Bench *b, const Peak *p)
{
    CoreVerdict v = core_verdict(&p->core);
    b->unconfirmed = b->unconfirmed || (p->gflops > 0 && !p->confirmed);
    if (b->core.level || v == CORE_UNKNOWN || v == CORE_QUIET)
        return;
    b->core = p->core;
    b->core.level = p->level;
}

void bench_json_core(JsonWriter *w, const Peak *p)
{
    json_put_string(w, "core", core_word(core_verdict(&p->core)));
    if (p->core.sibling >= 0)
        json_put_number(w, "sibling_busy", "%.3f", p->core.sibling);
}

static const double NOISY = 0.3; /* a larger spread is marked */

bool bench_noisy(Bench *b, double spread)
{
    b->noisy += spread > NOISY;
    return spread > NOISY;
}

bool bench_above_peak(Bench *b, const Figure *f, double share, bool keep)
{
    enum { LARGEST_PERCENT = 101 }; /* the clock rate is not the same all the time */
    bool above = !bench_on_gpu(b) && strcmp(f->bench, "conv") != 0 && 100 * share > LARGEST_PERCENT;
    b->above = b->above || (above && keep);
    return above;
}

void bench_show_difference(const Bench *b, const Figure *f, const Contender list[2], const Times times[2])
{
    static const char *const VERDICTS[] = {[BENCH_SAME] = "same", [BENCH_SLOWER] = "slower", [BENCH_FASTER] = "faster"};
    double ratio = times[0].least / times[1].least, margin = MAX(times[0].quartiles, times[1].quartiles);
    BenchVerdict v = bench_verdict(ratio, margin);
    if (b->c->json) {
        JsonWriter w = json_record(stdout, "compared", f->bench);
        json_members(&w, "shape %s dtype %s variant %s with %s verdict %s times_as_fast %.4f margin %.4f", f->shape,
                     f->dtype ? f->dtype : "f32", list[1].variant, list[0].variant, VERDICTS[v], ratio, margin);
        json_finish(&w);
    } else if (v == BENCH_SAME) {
        printf("%9s no difference between %s and %s (margin %.1f%%)\n", "", list[1].variant, list[0].variant,
               100 * margin);
    } else {
        printf("%9s %s is %.3f times as fast as %s (margin %.1f%%)\n", "", list[1].variant, ratio, list[0].variant,
               100 * margin);
    }
}

/* Prints a note in lines of at most 100 columns. The lines after the first are indented. */
static void print_note(const char *note)
{
    enum { COLUMNS = 100, INDENT = 2 };
    for (size_t room = COLUMNS, left = strlen(note); left > 0; room = COLUMNS - INDENT) {
        size_t n = left;
        if (left > room)
            for (n = room; note[n] != ' ';)
                n--;
        printf("%s%.*s\n", room < COLUMNS ? "  " : "", (int)n, note);
        n += n < left; /* the space */
        note += n;
        left -= n;
    }
}

void bench_notes(const Bench *b)
{
    char line[256];
    if (b->c->json)
        return;
    if (b->noisy) {
        snprintf(line, sizeof line,
                 "! in %zu row%s the times differ by more than %.0f%%: other programs used the processors; stop them, "
                 "measure longer (--seconds), or use fewer threads",
                 b->noisy, b->noisy == 1 ? "" : "s", 100 * NOISY);
        print_note(line);
    }
    if (b->above)
        print_note("> faster than the measured peak, which is therefore too low: other programs used the processors; "
                   "stop them, and measure again");
    if (b->core.level) {
        core_describe(&b->core, line, sizeof line);
        print_note(line);
    }
    if (b->unconfirmed)
        print_note("a peak is too low: other programs used the processors, and too few windows confirmed the best one; "
                   "stop the programs, use fewer threads, or measure longer (--seconds)");
}
