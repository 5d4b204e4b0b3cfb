/* tools/bench/bench_table.c: the lines under a table of `sapor bench` that say which figures are not reliable, tables
 * as CSV and Markdown, and the options of measurements: --rounds, --warm-up, --pin, --format. */
// flags: -Os
#include <unistd.h>

#include "tools/bench/bench.h"
#include "tools/bench/peak.h"

/* ---- options --------------------------------------------------------------------------------- */

/* Refuses an option for the benchmark `what` if it measures no figures, or has its own table. */
static bool has_figures(const char *what, const char *option, const char *value, Error *e)
{
    static const char *const OTHERS[] = {"extract", "data", "plot"};
    for (size_t i = 0; i < COUNT(OTHERS); i++)
        if (strcmp(what, OTHERS[i]) == 0)
            return fail(e, SP_USAGE, "--%s%s%s: not for bench %s", option, *value ? " " : "", value, what);
    return true;
}

static bool read_bench_format(Bench *b, const char *what, Error *e)
{
    static const char *const FORMATS[] = {"text", "csv", "markdown"}, *const OPTIONS[] = {"against", "check", "steps"};
    if (!option_choice(b->c, "format", FORMATS, COUNT(FORMATS), &b->format, e))
        return false;
    if (b->format == 0)
        return true;
    if (b->c->json)
        return fail(e, SP_USAGE, "--format %s: not with --json", FORMATS[b->format]);
    for (size_t i = 0; i < COUNT(OPTIONS); i++)
        if (option_given(b->c, OPTIONS[i]))
            return fail(e, SP_USAGE, "--format %s: not with --%s", FORMATS[b->format], OPTIONS[i]);
    return has_figures(what, "format", FORMATS[b->format], e);
}

bool bench_setup(Bench *b, const char *what, Error *e)
{
    int64_t rounds = 0, warm_up = 0;
    const char *pin = option_text(b->c, "pin");
    if (!option_i64(b->c, "rounds", 1, 1000000, &rounds, e) || !option_i64(b->c, "warm-up", 1, 1000000, &warm_up, e) ||
        !read_bench_format(b, what, e) || (pin && !cpus_limit(pin, &b->pinned, e)))
        return false;
    const char *given = rounds ? "rounds" : warm_up ? "warm-up" : NULL;
    if (given && strcmp(what, "peak") == 0)
        return fail(e, SP_USAGE, "--%s: not for bench peak", given); /* a peak has windows, not rounds */
    if (given && !has_figures(what, given, "", e))
        return false;
    b->processors = threads_available(); /* with --pin: those of the list */
    b->rounds = (size_t)rounds;
    b->warm_up = (size_t)warm_up;
    return true;
}

bool bench_pin(Bench *b, Error *e)
{
    return !option_given(b->c, "pin") || cpus_pin(&b->pinned, b->d->pool, e);
}

/* ---- progress -------------------------------------------------------------------------------- */

void bench_progress_start(Bench *b, const Figure *f)
{
    static const double DELAY = 1; /* seconds before the first drawing: short figures have no progress */
    FILE *to = b->c->progress && isatty(fileno(b->c->progress)) == 1 ? b->c->progress : NULL;
    snprintf(b->label, sizeof b->label, "%s %s", f->bench, f->shape);
    progress_start(&b->progress, to, b->label, "rounds", (double)b->rounds);
    b->progress.drawn += DELAY;
}

void bench_progress_end(Bench *b)
{
    if (b->progress.to && b->progress.drawn < now_seconds()) { /* the line was drawn: the next row replaces it */
        fputs("\r\033[K", b->progress.to);
        fflush(b->progress.to);
    }
    b->progress.to = NULL;
}

/* ---- CSV and Markdown ------------------------------------------------------------------------ */

enum { CSV = 1, MARKDOWN };
static const struct {
    const char *name, *alignment; /* alignment: in Markdown */
} COLUMNS_OF_TABLE[] = {{"bench", "---"},          {"shape", "---"},    {"variant", "---"},
                        {"dtype", "---"},          {"threads", "---:"}, {"ms_min", "---:"},
                        {"ms_median", "---:"},     {"spread", "---:"},  {"gflops", "---:"},
                        {"gbs", "---:"},           {"mbs", "---:"},     {"items_per_second", "---:"},
                        {"share_of_peak", "---:"}, {"bound", "---"},    {"outside_kernels", "---:"}};

/* Prints a cell and what separates it from the previous one. CSV: RFC 4180. */
static void print_cell(const Bench *b, bool is_first, const char *text)
{
    bool quoted = b->format == CSV && strpbrk(text, ",\"\r\n");
    fputs(b->format == MARKDOWN ? is_first ? "| " : " | " : is_first ? "" : ",", stdout);
    if (quoted)
        putchar('"');
    for (; *text; text++) {
        if (quoted && *text == '"')
            putchar('"');
        if (b->format == MARKDOWN && *text == '|')
            putchar('\\');
        putchar(*text);
    }
    if (quoted)
        putchar('"');
}

static void end_row(const Bench *b)
{
    puts(b->format == MARKDOWN ? " |" : "");
}

static void print_value(const Bench *b, const char *format, double value)
{
    char text[40] = "";
    if (value > 0)
        snprintf(text, sizeof text, format, value);
    print_cell(b, false, text);
}

void bench_export(Bench *b, const BenchRow *r)
{
    char text[40];
    for (size_t i = 0; !b->heading && i < COUNT(COLUMNS_OF_TABLE); i++)
        print_cell(b, i == 0, COLUMNS_OF_TABLE[i].name);
    if (!b->heading) {
        end_row(b);
        for (size_t i = 0; b->format == MARKDOWN && i < COUNT(COLUMNS_OF_TABLE); i++)
            print_cell(b, i == 0, COLUMNS_OF_TABLE[i].alignment);
        if (b->format == MARKDOWN)
            end_row(b);
    }
    b->heading = 1;
    print_cell(b, true, r->bench);
    print_cell(b, false, r->shape);
    print_cell(b, false, r->variant ? r->variant : b->d->k->level);
    print_cell(b, false, r->dtype);
    print_value(b, "%.0f", r->threads);
    print_value(b, "%.6g", 1e3 * r->least);
    print_value(b, "%.6g", 1e3 * r->median);
    snprintf(text, sizeof text, "%.4f", r->spread);
    print_cell(b, false, r->spread >= 0 ? text : "");
    print_value(b, "%.5g", r->gflops);
    print_value(b, "%.5g", r->gbs);
    print_value(b, "%.5g", r->mbs);
    print_value(b, "%.5g", r->items_per_second);
    print_value(b, "%.4f", r->share);
    print_cell(b, false, r->bound ? r->bound : "");
    print_value(b, "%.4f", r->outside);
    end_row(b);
    fflush(stdout);
    bench_noisy(b, r->least > 0 ? r->spread : 0);
}

/* ---- notes ----------------------------------------------------------------------------------- */

/* Returns the stream of notes: they are no part of a table in CSV or Markdown. NULL: --quiet */
static FILE *notes_to(const Bench *b)
{
    return b->format ? b->c->progress : stdout;
}

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
    bool above = !bench_on_gpu(b) && pool_threads(b->d->pool) <= b->processors && strcmp(f->bench, "conv") != 0 &&
                 100 * share > LARGEST_PERCENT;
    b->above = b->above || (above && keep);
    return above;
}

void bench_show_difference(const Bench *b, const Figure *f, const Contender list[2], const Times times[2])
{
    static const char *const VERDICTS[] = {[BENCH_SAME] = "same", [BENCH_SLOWER] = "slower", [BENCH_FASTER] = "faster"};
    double ratio = times[0].least / times[1].least, margin = MAX(times[0].quartiles, times[1].quartiles);
    BenchVerdict v = bench_verdict(ratio, margin);
    FILE *to = notes_to(b);
    if (!to)
        return;
    if (b->c->json) {
        JsonWriter w = json_record(stdout, "compared", f->bench);
        json_members(&w, "shape %s dtype %s variant %s with %s verdict %s times_as_fast %.4f margin %.4f", f->shape,
                     f->dtype ? f->dtype : "f32", list[1].variant, list[0].variant, VERDICTS[v], ratio, margin);
        json_finish(&w);
    } else if (v == BENCH_SAME) {
        fprintf(to, "%9s no difference between %s and %s (margin %.1f%%)\n", "", list[1].variant, list[0].variant,
                100 * margin);
    } else {
        fprintf(to, "%9s %s is %.3f times as fast as %s (margin %.1f%%)\n", "", list[1].variant, ratio, list[0].variant,
                100 * margin);
    }
}

/* Prints the note to a mark of rows. In CSV and Markdown the rows have no marks. */
static void print_note(const Bench *b, FILE *to, const char *mark, const char *note)
{
    mark = b->format ? "" : mark;
    fputs(mark, to);
    print_wrapped(to, note, (int)strlen(mark));
}

void bench_notes(const Bench *b)
{
    char line[256];
    FILE *to = notes_to(b);
    if (b->c->json || !to)
        return;
    if (pool_threads(b->d->pool) > b->processors) {
        snprintf(line, sizeof line,
                 "%d threads share %d processor%s: the times and peaks of one thread depend on the others",
                 pool_threads(b->d->pool), b->processors, b->processors == 1 ? "" : "s");
        print_note(b, to, "", line);
    }
    if (b->noisy) {
        snprintf(line, sizeof line,
                 "in %zu row%s the times differ by more than %.0f%%: other programs used the processors; stop them, "
                 "measure longer (--seconds), or use fewer threads",
                 b->noisy, b->noisy == 1 ? "" : "s", 100 * NOISY);
        print_note(b, to, "! ", line);
    }
    if (b->above)
        print_note(b, to, "> ",
                   "a row is faster than the measured peak, which is therefore too low: other programs used the "
                   "processors; stop them, and measure again");
    if (b->core.level) {
        core_describe(&b->core, line, sizeof line);
        print_note(b, to, "", line);
    }
    if (b->unconfirmed)
        print_note(b, to, "",
                   "a peak is too low: other programs used the processors, and too few windows confirmed the best one; "
                   "stop the programs, use fewer threads, or measure longer (--seconds)");
}
