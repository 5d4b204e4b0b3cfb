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

void bench_notes(Bench *b)
{
    char line[256];
    if (b->c->json)
        return;
    if (b->core.level) {
        core_describe(&b->core, line, sizeof line);
        printf("note: %s\n", line);
    }
    if (b->unconfirmed)
        printf(
            "note: a peak is too low: too few windows confirmed it, because other programs used the processors; stop "
            "them, use fewer threads, or measure longer (--seconds)\n");
}
