/* tools/bench/bench.c: `sapor bench [WHAT]`: measures speed, and compares it with the peak of the machine. */
// flags: -Os
#include <math.h>
#include <stdlib.h>

#include "tools/bench/bench.h"
#include "tools/bench/peak.h"

const Option bench_options[] = {
    {"seconds", 0, "S", "time per measurement (default 0.3)"},
    {"shape", 0, "TEXT", "only shapes that contain TEXT; gemm: any MxNxK; extract: models whose names contain it"},
    {"against", 0, "FILE", "output of an earlier run with --json; shows what is slower or faster"},
    {"margin", 0, "PERCENT", "with --against: ignore smaller changes (default 5)"},
    {"pairs", 0, "FILE", "spmm, train: file of users and their items (default: random, of the size of movielens-1m)"},
    {"features", 0, "NAME=A,...",
     "train: features of the items of --pairs, as in `sapor train`; data: names and widths to draw, such as "
     "visual=4096,textual=384"},
    {"steps", 0, "N", "train: no epochs; measure data loading, model setup, N steps (not step 1), peak memory"},
    {"batch", 0, "N", "encoder: inputs per batch (default 1); extract: only this batch size"},
    {"tokens", 0, "N", "encoder: tokens per text (default 128)"},
    {"texts", 0, "FILE", "tokenizer: texts, one per line (default: drawn texts)"},
    {"arch", 0, "NAME", "encoder: architecture of a weights file without config.json"},
    {"dtype", 0, "T", "f32 (default), f16, bf16 or int8: number type of the weights; for encoder and gemm"},
    {"winograd", 0, "N", "4 (default) or 6: tile of Winograd 3x3 convolutions; for conv and encoder"},
    {"check", 0, NULL, "encoder: show how much --dtype and --winograd change the features"},
    {"items", 0, "N",
     "extract: the first N items of the configuration (default 50); data: number of items (default a "
     "twentieth of --interactions; a user has at most half of the items)"},
    {"users", 0, "N", "data: users (default a tenth of --interactions)"},
    {"interactions", 0, "N", "data: interactions of all parts (default 1000000)"},
    {"least", 0, "N", "data: minimum number of interactions per user (default 5)"},
    {"out", 'o', "PATH", "data: output folder of train.tsv, val.tsv, test.tsv and NAME.npy; plot: an SVG file"},
#ifndef SAPOR_MINIMAL
    {"rounds", 0, "N", "rounds per figure, instead of --seconds; a round of a short figure is many runs"},
    {"warm-up", 0, "N", "runs before the first round (default 2; train: 0)"},
    {"pin", 0, "CPUS", "run on these processors only, such as 0 or 0,1 or 0-3 (Linux)"},
    {"format", 0, "F", "text (default), csv or markdown: how the table is printed"},
#endif
    {"set", 0, "KEY=VALUE", "train: a setting of the model, as in `sapor train`"},
    {NULL, 0, NULL, NULL},
};

bool bench_selects(Bench *b, const char *shape)
{
    bool selected = !b->filter || strstr(shape, b->filter);
    b->found = b->found || selected;
    return selected;
}

struct BenchMemory { /* a list of memory of the device */
    struct BenchMemory *next;
    void *p;
    size_t bytes;
};

void *bench_memory(Bench *b, size_t bytes, Error *e)
{
    struct BenchMemory *m = NEW(b->arena, struct BenchMemory, 1, e);
    if (!m)
        return NULL;
    *m = (struct BenchMemory){b->memory, NULL, MAX(bytes, (size_t)1)};
    const Run run = device_run(b->d);
    if (!(m->p = b->d->k->alloc(&run, b->d->heap, m->bytes))) {
        fail_memory(e, bytes, "a benchmark");
        return NULL;
    }
    b->memory = m;
    b->d->k->zero(&run, m->p, m->bytes);
    return m->p;
}

void *bench_copy(Bench *b, const void *host, size_t bytes, Error *e)
{
    void *p = host ? bench_memory(b, bytes, e) : NULL;
    const Run run = device_run(b->d);
    if (p)
        b->d->k->upload(&run, p, host, bytes);
    return p;
}

void bench_release(Bench *b)
{
    if (!b->d) /* the device could not be opened */
        return;
    const Run run = device_run(b->d);
    for (; b->memory; b->memory = b->memory->next)
        b->d->k->free(&run, b->d->heap, b->memory->p, b->memory->bytes);
    if (b->arena)
        arena_rewind(b->arena, (ArenaMark){0});
}

float *bench_floats(Bench *b, size_t n, Error *e)
{
    ArenaMark mark = arena_mark(b->arena);
    const Run run = device_run(b->d);
    float *host = bench_draws(b, n, e), *x = NULL;
    if (host && (x = b->d->k->alloc(&run, b->d->heap, MAX(n, (size_t)1) * sizeof *x)))
        b->d->k->upload(&run, x, host, n * sizeof *x);
    arena_rewind(b->arena, mark);
    struct BenchMemory *m = x ? NEW(b->arena, struct BenchMemory, 1, e) : NULL;
    if (!m) {
        fail_memory(e, n * sizeof *x, "a benchmark");
        b->d->k->free(&run, b->d->heap, x, MAX(n, (size_t)1) * sizeof *x);
        return NULL;
    }
    *m = (struct BenchMemory){b->memory, x, MAX(n, (size_t)1) * sizeof *x};
    b->memory = m;
    return x;
}

float *bench_draws(Bench *b, size_t n, Error *e)
{
    float *x = NEW(b->arena, float, n, e);
    for (size_t i = 0; x && i < n; i += 4) {
        uint32_t four[4];
        draw4((Draw){1, DRAW_TEST, 0}, i / 4, 0, four);
        for (size_t k = 0; k < 4 && i + k < n; k++)
            x[i + k] = (float)(four[k] >> 8) / 8388608.0f - 1.0f;
    }
    return x;
}

Text bench_text(Bench *b, int64_t words, size_t which, Error *e)
{
    static const char *const WORDS[] = {"the ",     "bag ",   "red ", "with ", "and ",
                                        "leather ", "small ", "for ", "new ",  "light "};
    char *p = arena_alloc(b->arena, 8 * (size_t)words + 1, 1, e);
    size_t n = 0;
    for (int64_t i = 0; p && i < words; i++) {
        const char *w = WORDS[draw_below((Draw){1, DRAW_TEST, (uint32_t)which}, (uint64_t)i, COUNT(WORDS))];
        memcpy(p + n, w, strlen(w));
        n += strlen(w);
    }
    return (Text){p, n};
}

bool bench_run(Bench *b, const Device *d, Run *r, size_t work_bytes, Error *e)
{
    *r = device_run(d);
    r->work_bytes = work_bytes;
    r->work = bench_memory(b, MAX(work_bytes, 64), e);
    return r->work && (d == b->d || bench_settle(b));
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

Times times_of(double *times, size_t n)
{
    qsort(times, n, sizeof *times, ascending);
    double median = times[n / 2];
    return (Times){times[0], median, (times[3 * n / 4] - times[n / 4]) / median};
}

/* ---- peaks: measured at the first use -------------------------------------------------------- */

/* Returns the GB/s of the cache or memory that holds `bytes`, or 0 if the memory for the measurement is missing. */
static double bandwidth(Bench *b, double bytes)
{
    Error ignored = {0};
    int i = 4 * 15;
    while (i < 4 * BENCH_LARGEST && exp2(i / 4.0) < bytes)
        i++;
    if (bench_on_gpu(b))
        return bench_gpu_bandwidth(b, i);
    if (!b->data && (b->data = arena_alloc(b->c->arena, (size_t)1 << BENCH_LARGEST, 1, &ignored)))
        memset(b->data, 0, (size_t)1 << BENCH_LARGEST); /* so that all pages are mapped */
    if (b->data && b->gbs[i] == 0)
        b->gbs[i] = peak_read_gbs(b->d->k->level, b->data, (size_t)exp2(i / 4.0), b->d->pool, 0.03);
    return b->gbs[i];
}

/* Returns the GFLOP/s of a type of numbers. If the machine has no products of this type, returns that of float32. */
static double peak_of(Bench *b, const char *dtype)
{
    static const char *const TYPES[] = {"f32", "bf16", "f16", "int8", "tf32"};
    size_t i = COUNT(TYPES) - 1;
    while (i > 0 && strcmp(TYPES[i], dtype) != 0)
        i--;
    if (b->peak[i] == 0 && bench_on_gpu(b)) {
        b->peak[i] = bench_gpu_peak(b, TYPES[i], 0, 0.1) / 1e9;
    } else if (b->peak[i] == 0) {
        Peak p = peak_of_products(b->d->k->level, TYPES[i], b->d->pool, 0.1);
        b->peak[i] = p.gflops;
        bench_note_peak(b, &p);
    }
    return b->peak[i] > 0 || i == 0 ? b->peak[i] : peak_of(b, "f32");
}

/* ---- one figure ------------------------------------------------------------------------------ */

void bench_print_device(const Bench *b)
{
    if (bench_on_gpu(b))
        printf("%s on %s%s; f32 unless another type is named\n", b->d->k->device, b->d->k->about,
               b->emulated ? ": shapes are small, and times mean nothing" : "");
    else
        printf("%s kernels, %d thread%s; f32 unless another type is named\n", b->d->k->level, pool_threads(b->d->pool),
               pool_threads(b->d->pool) == 1 ? "" : "s");
}

/* Prints the heading of the table if it differs from the last one: two columns and the last column depend on the
 * figure. */
static void print_heading(Bench *b, const Figure *f)
{
    const char *speed = f->megabytes > 0 ? "MB/s" : "GFLOP/s",
               *rate = f->item        ? f->item
                       : f->items > 0 ? "items/s"
                                      : "GB/s",
               *last = f->outside > 0     ? "not in kernels"
                       : f->megabytes > 0 ? ""
                                          : "of peak";
    int heading = 1 + (f->megabytes > 0) + 2 * (f->items > 0) + 4 * (f->outside > 0) + 8 * (f->item != NULL);
    if (b->heading == heading)
        return;
    if (!b->heading)
        bench_print_device(b);
    printf("%-9s %-24s %-13s %8s %8s %6s %8s %8s %s\n", "bench", "shape", "variant", "ms min", "median", "spread",
           speed, rate, last);
    b->heading = heading;
}

static void print_number(int width, double value)
{
    if (value > 0)
        printf("%*.*f", width, value < 1000 ? 1 : 0, value);
    else
        printf("%*s", width, "");
}

static void print_time(double seconds)
{
    printf(seconds < 1e-6 ? " %8.5f" : seconds < 10 ? " %8.4g" : " %8.0f", 1e3 * seconds);
}

static void print_text(Bench *b, const Figure *f, double least, double median, double spread, double share, bool memory)
{
    char variant[40];
    const char *v = f->variant ? f->variant : "";
    if (strcmp(f->dtype, "f32") == 0)
        snprintf(variant, sizeof variant, "%s", v);
    else
        snprintf(variant, sizeof variant, "%s %.*s", f->dtype, (int)strcspn(v, " "), v);
    printf("%-9s %-24.24s %-13.13s", f->bench, f->shape, variant);
    print_time(least);
    print_time(median);
    printf(" %5.1f%%%s", MIN(100 * spread, 999.9), bench_noisy(b, spread) ? "!" : " ");
    print_number(8, f->megabytes > 0 ? f->megabytes / least : f->flops / least / 1e9);
    printf(" ");
    print_number(8, f->items > 0 ? f->items / least : f->bytes / least / 1e9);
    if (f->outside > 0)
        printf(" %5.1f%%", 100 * f->outside);
    else if (share > 0)
        printf(" %5.1f%%%s%s", 100 * share,
               bench_above_peak(b, f, share, true) ? ">"
               : memory                            ? " "
                                                   : "",
               memory ? "m" : "");
    printf("\n");
}

static void print_json(Bench *b, const Figure *f, double least, double median, double spread, double share, bool memory)
{
    JsonWriter w = json_record(stdout, "bench", f->bench);
    json_members(&w, "shape %s dtype %s threads %lld level %s variant %s ms_min %.6g ms_median %.6g spread %.4f",
                 f->shape, f->dtype, (long long)pool_threads(b->d->pool), b->d->k->level,
                 f->variant ? f->variant : b->d->k->level, least * 1e3, median * 1e3, spread);
    if (bench_on_gpu(b))
        json_members(&w, "device %s", b->d->k->about);
    if (f->flops > 0)
        json_put_number(&w, "gflops", "%.5g", f->flops / least / 1e9);
    if (f->bytes > 0)
        json_put_number(&w, "gbs", "%.5g", f->bytes / least / 1e9);
    if (f->megabytes > 0)
        json_put_number(&w, "mbs", "%.5g", f->megabytes / least);
    if (share > 0)
        json_members(&w, "share_of_peak %.4f bound %s", share, memory ? "memory" : "compute");
    if (bench_above_peak(b, f, share, false))
        json_put_bool(&w, "above_peak", true);
    if (f->items > 0)
        json_put_number(&w, "items_per_second", "%.5g", f->items / least);
    if (f->outside > 0)
        json_put_number(&w, "outside_kernels", "%.4f", f->outside);
    json_finish(&w);
}

/* Returns the shortest possible time of a figure. *memory: the bytes need it, not the operations. */
static double shortest_time(Bench *b, const Figure *f, bool *memory)
{
    double at_compute = f->flops > 0 ? f->flops / peak_of(b, f->dtype) / 1e9 : 0, at_memory = 0;
    if (f->bytes > 0) {
        double gbs = bandwidth(b, f->working_set > 0 ? f->working_set : f->bytes);
        at_memory = gbs > 0 ? f->bytes / gbs / 1e9 : 0;
    }
    *memory = at_memory > at_compute;
    return MAX(at_compute, at_memory);
}

#ifndef SAPOR_MINIMAL
/* Measures the peaks of a figure again, and keeps the larger ones: other programs may have used the processors. */
static void measure_peaks_again(Bench *b, const Figure *f)
{
    double peak[COUNT(b->peak)], gbs[COUNT(b->gbs)];
    bool memory;
    memcpy(peak, b->peak, sizeof peak);
    memcpy(gbs, b->gbs, sizeof gbs);
    memset(b->peak, 0, sizeof b->peak);
    memset(b->gbs, 0, sizeof b->gbs);
    shortest_time(b, f, &memory);
    for (size_t i = 0; i < COUNT(peak); i++)
        b->peak[i] = MAX(b->peak[i], peak[i]);
    for (size_t i = 0; i < COUNT(gbs); i++)
        b->gbs[i] = MAX(b->gbs[i], gbs[i]);
}
#endif

bool bench_print(Bench *b, const Figure *figure, double *times, size_t n, Error *e)
{
    Figure f = *figure;
    f.dtype = f.dtype ? f.dtype : "f32";
    Times s = times_of(times, n);
    double least = s.least, median = s.median, spread = s.quartiles;
    bool memory;
    double share = shortest_time(b, &f, &memory) / least;
#ifndef SAPOR_MINIMAL
    if (bench_above_peak(b, &f, share, false)) {
        measure_peaks_again(b, &f);
        share = shortest_time(b, &f, &memory) / least;
    }
#endif
    share = isfinite(share) ? share : 0;
    if (b->c->json) {
        print_json(b, &f, least, median, spread, share, memory);
#ifndef SAPOR_MINIMAL
    } else if (b->format) {
        bench_export(b,
                     &(BenchRow){f.bench, f.shape, f.variant, f.dtype, share > 0 ? memory ? "memory" : "compute" : NULL,
                                 pool_threads(b->d->pool), least, median, spread, f.flops / least / 1e9,
                                 f.bytes / least / 1e9, f.megabytes / least, f.items / least, share, f.outside});
        bench_above_peak(b, &f, share, true);
#endif
    } else {
        print_heading(b, &f);
        print_text(b, &f, least, median, spread, share, memory);
    }
    fflush(stdout);
    b->figures++;
    return against_note(b, &f, pool_threads(b->d->pool), 1 / least, spread, e);
}

/* Returns the time of `inner` runs by the clock of the device. */
static double time_runs(const Device *d, BenchBody *body, void *arg, size_t inner)
{
    const Run run = device_run(d);
    double begun = d->k->clock(&run);
    for (size_t i = 0; i < inner; i++)
        body(arg);
    return d->k->clock(&run) - begun;
}

enum { MOST = 2000 };
typedef struct Timing {
    double *times; /* [MOST], or [--rounds] if this is larger */
    size_t inner;
} Timing;

static bool warm_up(Bench *b, const Contender *c, BenchBody *body, Timing *t, Error *e)
{
    /* long enough that the clock and the call do not matter: the clock of a GPU waits for the GPU */
    double least = !bench_on_gpu(b) ? 2e-4 : b->emulated ? 0 : 2e-3, once;
    if (!(t->times = NEW(b->arena, double, MAX((size_t)MOST, bench_rounds(b, 0)), e)))
        return false;
    for (size_t i = bench_warm_up(b, 2); i > 1; i--)
        body(c->arg); /* maps the pages and fills the caches */
    once = time_runs(c->d, body, c->arg, 1);
    t->inner = once > 0 && once < least ? (size_t)(least / MAX(once, 1e-8)) + 1 : 1;
    return true;
}

bool bench_compare(Bench *b, const Figure *figure, BenchBody *body, const Contender *list, size_t count, Error *e)
{
    Timing t[CONTENDERS] = {{0}};
    double begun = now_seconds();
    size_t n = 0;
    count = MIN(count, (size_t)CONTENDERS);
    for (size_t i = 0; i < count; i++)
        if (!warm_up(b, &list[i], body, &t[i], e))
            return false;
    bench_progress_start(b, figure);
    for (; bench_continues(b, n, MOST, now_seconds() - begun, b->seconds * (double)count); n++) {
        bench_progress_step(b, n);
        for (size_t i = 0; i < count; i++)
            t[i].times[n] = time_runs(list[i].d, body, list[i].arg, t[i].inner) / (double)t[i].inner;
    }
    bench_progress_end(b);
    for (size_t i = 0; i < count; i++) {
        Figure f = *figure;
        f.variant = list[i].variant;
        f.dtype = i > 0 ? bench_rounded(list[i].d, f.dtype) : f.dtype;
        if (!device_check(list[i].d, e) || !bench_print(b, &f, t[i].times, n, e))
            return false;
    }
#ifndef SAPOR_MINIMAL
    if (count == 2)
        bench_show_difference(b, figure, list, (const Times[2]){times_of(t[0].times, n), times_of(t[1].times, n)});
#endif
    return true;
}

bool bench_measure(Bench *b, const Figure *f, BenchBody *body, void *arg, Error *e)
{
    return bench_compare(b, f, body, &(Contender){b->d, arg, f->variant}, 1, e);
}

/* ---- peaks of the machine -------------------------------------------------------------------- */

bool bench_print_peak(Bench *b, const char *shape, const char *dtype, const char *level, const Peak *p, double gbs,
                      int threads, Error *e)
{
    char clock[120] = "";
    double value = p ? p->gflops : gbs;
#ifndef SAPOR_MINIMAL
    if (b->format) {
        bench_export(b, &(BenchRow){.bench = "peak",
                                    .shape = shape,
                                    .variant = p ? p->instruction : level,
                                    .dtype = dtype,
                                    .threads = threads,
                                    .spread = p && p->ghz > 0 ? p->spread : -1,
                                    .gflops = p ? value : 0,
                                    .gbs = gbs,
                                    .share = !p                           ? 1
                                             : p->ghz > 0 && p->confirmed ? p->share
                                                                          : 0});
        return true;
    }
#endif
    if (p && p->ghz > 0 && !p->confirmed)
        snprintf(clock, sizeof clock, "not confirmed: %s", p->instruction);
    else if (p && p->ghz > 0)
        snprintf(clock, sizeof clock, "%.1f%% of %.3g instructions/cycle at %.2f GHz, spread %.1f%%: %s",
                 100 * p->share, p->per_cycle / p->share, p->ghz, 100 * p->spread, p->instruction);
    if (b->c->json) {
        JsonWriter w = json_record(stdout, "bench", "peak");
        json_members(&w, "shape %s dtype %s threads %lld level %s variant %s ms_min %.6g ms_median %.6g", shape, dtype,
                     (long long)threads, level, level, 1e3 * b->seconds, 1e3 * b->seconds);
        json_put_number(&w, p ? "gflops" : "gbs", "%.5g", value);
        if (!p || p->confirmed)
            json_put_number(&w, "share_of_peak", "%.4f", p && p->ghz > 0 ? p->share : 1);
        if (p && p->ghz > 0) {
            json_members(&w, "ghz %.4g per_cycle %.4g instruction %s window_spread %.4f", p->ghz, p->per_cycle,
                         p->instruction, p->spread);
            json_put_bool(&w, "confirmed", p->confirmed);
            bench_json_core(&w, p);
        }
        json_finish(&w);
    } else {
        if (threads > 0)
            printf("peak  %-5s %-15s %3d thread%s", dtype, shape, threads, threads == 1 ? " " : "s");
        else
            printf("peak  %-5s %-15s %11s", dtype, shape, "");
        printf(" %9.1f %-7s %s\n", value, p ? "GFLOP/s" : "GB/s", clock);
    }
    fflush(stdout);
    return against_note(b, &(Figure){.bench = "peak", .shape = shape, .dtype = dtype}, threads, value, 0, e);
}

/* Measures a loop of multiply-adds for each level and type that this machine can run, and the reading of caches and of
 * memory. Memory is also measured with one thread. */
static bool bench_peak(Bench *b, Error *e)
{
    if (bench_on_gpu(b))
        return bench_gpu_peaks(b, e);
    int threads = pool_threads(b->d->pool);
    bool ok = true;
    for (size_t i = 0; ok && i < peak_count(); i++) {
        Peak p = peak_measure(i, NULL, 0);
        if (!bench_selects(b, p.level))
            continue;
        if (p.here) {
            p = peak_measure(i, b->d->pool, b->seconds);
            bench_note_peak(b, &p);
            ok = bench_print_peak(b, p.level, p.dtype, p.level, &p, 0, threads, e);
        } else if (!b->c->json && bench_is_text(b)) {
            printf("peak  %-5s %-15s not available: this processor or build has no %s\n", p.dtype, p.level,
                   p.instruction);
        }
    }
    bandwidth(b, 1);
    for (int i = 15; ok && b->data && i <= BENCH_LARGEST; i += i < 18 ? 3 : 5) {
        char shape[32];
        snprintf(shape, sizeof shape, i < 20 ? "read-%zuKiB" : "read-%zuMiB", ((size_t)1 << i) >> (i < 20 ? 10 : 20));
        if (!bench_selects(b, shape))
            continue;
        for (int all = i < BENCH_LARGEST || threads == 1; ok && all < 2; all++) {
            double gbs = peak_read_gbs(b->d->k->level, b->data, (size_t)1 << i, all ? b->d->pool : NULL, b->seconds);
            ok = bench_print_peak(b, shape, "bytes", b->d->k->level, NULL, gbs, all ? threads : 1, e);
        }
    }
    return ok;
}

/* ---- the command ----------------------------------------------------------------------------- */

typedef struct Job {
    const char *name;
    /* arg: the name of the job, or its second argument if it takes one */
    bool (*run)(Bench *b, const char *arg, Error *e);
    bool takes_arg; /* the job takes a second argument */
    /* the meaning of a required second argument; "all" leaves out such a job */
    const char *needs;
    bool writes; /* the job writes files; "all" leaves it out */
} Job;

static bool peak_job(Bench *b, const char *arg, Error *e)
{
    (void)arg;
    return bench_peak(b, e);
}

static const Job JOBS[] = {
    {"peak", peak_job, false, NULL, false},
    {"gemm", bench_dense, false, NULL, false},
    {"conv", bench_dense, false, NULL, false},
    {"attention", bench_dense, false, NULL, false},
    {"norm", bench_dense, false, NULL, false},
    {"spmm", bench_sparse, false, NULL, false},
    {"topk", bench_sparse, false, NULL, false},
    {"optimizer", bench_sparse, false, NULL, false},
    {"tokenizer", bench_tokenizer, true, NULL, false},
    {"image", bench_image, true, NULL, false},
    {"encoder", bench_encoder, true, "model", false},
    {"train", bench_train, true, "model", false},
    {"extract", bench_extract, true, "configuration", false},
    {"data", bench_data, false, NULL, true},
    {"plot", bench_plot, true, "table of points", true},
};

size_t bench_job_count(void)
{
    return COUNT(JOBS);
}

const char *bench_job_name(size_t i)
{
    return JOBS[i].name;
}

static bool run_jobs(Bench *b, const char *what, const char *arg, Error *e)
{
    bool all = strcmp(what, "all") == 0, known = all;
    for (size_t i = 0; i < COUNT(JOBS); i++) {
        const Job *j = &JOBS[i];
        if (strcmp(what, j->name) != 0 && (!all || j->needs || j->writes || (j->takes_arg && bench_on_gpu(b))))
            continue; /* tokenizer and image run on the host */
        known = true;
        if (arg && (all || !j->takes_arg))
            return fail(e, SP_USAGE, "bench %s: \"%s\" is one argument too many", what, arg);
        if (j->needs && !arg)
            return fail(e, SP_USAGE, "bench %s: name the %s", what, j->needs);
        b->arena = b->arena ? b->arena : arena_new(b->c->heap, 0);
        if (!b->arena)
            return fail_memory(e, 1, "a benchmark");
        bench_release(b);
        if (!j->run(b, j->takes_arg ? arg : j->name, e))
            return false;
    }
    if (!known)
        return fail(
            e, SP_USAGE,
            "bench: unknown benchmark \"%s\"; choose one of peak, gemm, conv, attention, norm, spmm, topk, optimizer, "
            "tokenizer, image, encoder, train, extract, data, plot",
            what);
    if (b->filter && !b->found)
        return fail(e, SP_USAGE, "--shape: no shape of bench %s contains \"%s\"; without --shape all are listed", what,
                    b->filter);
    bench_notes(b);
    return !b->against || against_show(b, e);
}

bool bench_command(Context *c, Error *e)
{
    Bench b = {.c = c, .seconds = 0.3, .filter = option_text(c, "shape")};
    const char *against = option_text(c, "against"), *what = c->arg_count ? c->args[0] : "all";
    double margin = 5;
    bool ok = bench_setup(&b, what, e) && (b.d = context_device(c, e)) && bench_gpu_open(&b, e) &&
              option_f64(c, "seconds", 0.001, 600, &b.seconds, e) && option_f64(c, "margin", 0, 1000, &margin, e) &&
              bench_pin(&b, e) && (!against || against_open(&b, against, margin / 100, e)) &&
              run_jobs(&b, what, c->arg_count > 1 ? c->args[1] : NULL, e);
    bench_release(&b);
    bench_gpu_close(&b);
    arena_free(b.arena);
    return ok;
}
