/* tools/bench/bench_against.c: `sapor bench --against FILE`: compares the figures of this run with those of an earlier
 * run, which --json wrote. */
// flags: -Os
#include <math.h>

#include "tools/bench/bench.h"

typedef struct Change {
    const char *bench, *shape, *dtype;
    double before, now; /* speeds: larger is better */
    double noise;       /* the larger spread of the two runs, as a share of the median */
} Change;
struct BenchAgainst {
    const char *path;
    const Json **figures;
    size_t count, room;
    double margin;   /* as a share: 0.05 */
    Change *changes; /* [changed]: the figures of this run that the earlier run has, too */
    size_t changed, change_room;
    size_t unknown; /* number of figures that the earlier run does not have */
};

static double number(const Json *j, const char *key)
{
    const Json *value = json_get(j, key);
    return value && value->type == JSON_NUMBER ? value->number : 0;
}

/* Returns the speed of a figure. A peak is a speed itself; for all other figures the fastest run counts. */
static double speed_of(const Json *j)
{
    double gflops = number(j, "gflops"), ms = number(j, "ms_min");
    if (strcmp(json_cstring(json_get(j, "bench")), "peak") == 0)
        return gflops > 0 ? gflops : number(j, "gbs");
    return ms > 0 ? 1e3 / ms : 0;
}

bool against_open(Bench *b, const char *path, double margin, Error *e)
{
    Arena *a = b->c->arena;
    struct BenchAgainst *g = b->against = NEW(a, struct BenchAgainst, 1, e);
    Text rest, line;
    if (!g || !text_file_read(&rest, a, path, e))
        return false;
    *g = (struct BenchAgainst){.path = path, .margin = margin};
    for (size_t number = 1; text_line(&rest, &line); number++) {
        if (text_trim(line).n == 0)
            continue;
        const char *where = arena_printf(a, e, "%s:%zu", path, number);
        const Json *j = where ? json_parse(a, line, where, e) : NULL;
        if (!j)
            return false;
        /* skips profiles, results of --check, and lines of an earlier comparison */
        if (!json_get(j, "bench") || json_get(j, "cosine_min"))
            continue;
        const char *name = json_cstring(json_get(j, "bench")), *shape = json_cstring(json_get(j, "shape"));
        if (!name || !shape || !json_cstring(json_get(j, "dtype")) || speed_of(j) <= 0)
            return fail(e, SP_FORMAT, "%s:%zu: a line of `sapor bench --json` has bench, shape, dtype and ms_min", path,
                        number);
        if (!(g->figures = arena_grow(a, g->figures, g->count, &g->room, sizeof *g->figures, e)))
            return false;
        g->figures[g->count++] = j;
    }
    if (!g->count)
        return fail(e, SP_FORMAT, "%s: contains no measurements; `sapor bench --json >FILE` writes them", path);
    return true;
}

static const Json *find(const struct BenchAgainst *g, const Figure *f, int threads)
{
    for (size_t i = g->count; i-- > 0;) { /* if there are several, the last one counts */
        const Json *j = g->figures[i];
        if (strcmp(json_cstring(json_get(j, "bench")), f->bench) == 0 &&
            strcmp(json_cstring(json_get(j, "shape")), f->shape) == 0 &&
            strcmp(json_cstring(json_get(j, "dtype")), f->dtype) == 0 && (int)number(j, "threads") == threads)
            return j;
    }
    return NULL;
}

bool against_note(Bench *b, const Figure *f, int threads, double speed, double spread, Error *e)
{
    struct BenchAgainst *g = b->against;
    Arena *a = b->c->arena;
    if (!g)
        return true;
    const Json *j = find(g, f, threads);
    if (!j) {
        g->unknown++;
        return true;
    }
    if (!(g->changes = arena_grow(a, g->changes, g->changed, &g->change_room, sizeof *g->changes, e)))
        return false;
    const char *shape = arena_strndup(a, f->shape, strlen(f->shape), e); /* a copy: the memory of the figure is freed */
    g->changes[g->changed++] = (Change){f->bench,    shape, json_cstring(json_get(j, "dtype")),
                                        speed_of(j), speed, MAX(spread, number(j, "spread"))};
    return shape != NULL;
}

bool against_show(Bench *b, Error *e)
{
    const struct BenchAgainst *g = b->against;
    static const char *const WORDS[] = {
        [BENCH_SAME] = "no difference", [BENCH_SLOWER] = "slower", [BENCH_FASTER] = "faster"};
    size_t slower = 0, faster = 0;
    if (!b->c->json)
        printf("\nagainst %s\n", g->path);
    for (size_t i = 0; i < g->changed; i++) {
        const Change *c = &g->changes[i];
        double ratio = c->now / c->before, margin = MAX(g->margin, c->noise);
        BenchVerdict v = bench_verdict(ratio, margin);
        slower += v == BENCH_SLOWER;
        faster += v == BENCH_FASTER;
        if (b->c->json) {
            JsonWriter w = json_record(stdout, "against", c->bench);
            json_members(&w, "shape %s dtype %s verdict %s times_as_fast %.4f margin %.4f", c->shape, c->dtype,
                         v == BENCH_SAME ? "same" : WORDS[v], ratio, margin);
            json_finish(&w);
        } else {
            printf("  %-13s  %-9s %-30.30s %-5s %.3f times as fast (margin %.1f%%)\n", WORDS[v], c->bench, c->shape,
                   c->dtype, ratio, 100 * margin);
        }
    }
    if (!b->c->json)
        printf("  %zu slower, %zu faster, %zu with no difference; %zu not in that file\n", slower, faster,
               g->changed - slower - faster, g->unknown);
    if (slower)
        return fail(e, SP_FORMAT,
                    "%zu of %zu measurements are slower than in %s, by more than %g%% and by more than their spread",
                    slower, g->changed, g->path, 100 * g->margin);
    return true;
}
