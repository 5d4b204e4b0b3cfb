/* bench.c: sapor bench [WHAT]: how fast, against what the machine can do at most. */
#include <math.h>
#include <stdlib.h>

#include "tools/bench.h"
#include "tools/peak.h"

const Option bench_options[] = {
    {"seconds", 0, "S", "for each figure (default 0.3)"},
    {"shape", 0, "TEXT", "only shapes that contain TEXT"},
    {"pairs", 0, "FILE", "spmm: users and their items, as train reads them (default: drawn, of movielens-1m's size)"},
    {"batch", 0, "N", "encoder: inputs at a time (default 1)"},
    {"tokens", 0, "N", "encoder: tokens of a text (default 128)"},
    {"arch", 0, "NAME", "encoder: architecture of a bare weights file"},
    {NULL, 0, NULL, NULL},
};

bool bench_wants(const Bench *b, const char *shape)
{
    return !b->filter || strstr(shape, b->filter);
}

float *bench_floats(Bench *b, size_t n, Error *e)
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

bool bench_run(Bench *b, Run *r, size_t work_bytes, Error *e)
{
    *r = (Run){.pool = b->d->pool, .work_bytes = work_bytes, .work = arena_alloc(b->arena, MAX(work_bytes, 64), 1, e)};
    return r->work != NULL;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

enum { LARGEST = 28 }; /* 256 MB count as memory */

/* GB/s where `bytes` live, measured when first asked for. */
static double bandwidth(Bench *b, double bytes)
{
    int i = 15;
    while (i < LARGEST && (double)((size_t)1 << i) < bytes)
        i++;
    if (b->gbs[i] == 0)
        b->gbs[i] = peak_read_gbs(b->d->k->level, b->data, (size_t)1 << i, b->d->pool, 0.03);
    return b->gbs[i];
}

static void print_figure(Bench *b, const Figure *f, double least, double median)
{
    double gflops = f->flops / least / 1e9, gbs = f->bytes / least / 1e9;
    double at_compute = b->peak_gflops > 0 ? f->flops / b->peak_gflops : 0,
           at_memory = f->bytes > 0 ? f->bytes / bandwidth(b, f->lives > 0 ? f->lives : f->bytes) : 0;
    bool memory = at_memory > at_compute;
    double share = MAX(at_compute, at_memory) / 1e9 / least;
    int threads = pool_threads(b->d->pool);
    if (b->c->json) {
        printf("{\"bench\":\"%s\",\"shape\":", f->bench);
        json_print_string(stdout, text_of(f->shape));
        printf(",\"dtype\":\"f32\",\"threads\":%d,\"variant\":\"%s\",\"ms_min\":%.6g,\"ms_median\":%.6g", threads,
               b->d->k->level, least * 1e3, median * 1e3);
        if (f->flops > 0)
            printf(",\"gflops\":%.5g", gflops);
        if (f->bytes > 0)
            printf(",\"gbs\":%.5g", gbs);
        if (share > 0)
            printf(",\"share_of_peak\":%.4f,\"bound\":\"%s\"", share, memory ? "memory" : "compute");
        if (f->items > 0)
            printf(",\"items_per_second\":%.5g", f->items / least);
        printf("}\n");
    } else {
        if (b->figures == 0)
            printf("%-10s %-34s %10s %10s %9s %8s %7s\n", "bench", "shape", "ms min", "median", "GFLOP/s", "GB/s",
                   "of peak");
        printf("%-10s %-34s %10.4f %10.4f", f->bench, f->shape, least * 1e3, median * 1e3);
        printf(f->flops > 0 ? " %9.1f" : "          ", gflops);
        printf(f->bytes > 0 ? " %8.1f" : "         ", gbs);
        if (share > 0)
            printf(" %5.1f %%%s", 100 * share, memory ? " of bandwidth" : "");
        if (f->items > 0)
            printf("  %.1f items/s", f->items / least);
        printf("\n");
    }
    fflush(stdout);
    b->figures++;
}

bool bench_measure(Bench *b, const Figure *f, BenchBody *body, void *arg, Error *e)
{
    enum { MOST = 2000 };
    double *times = NEW(b->arena, double, MOST, e), begun, once;
    size_t n = 0, inner = 1;
    if (!times)
        return false;
    begun = now_seconds();
    body(arg); /* pages and caches */
    once = now_seconds();
    body(arg);
    once = now_seconds() - once;
    inner = once > 0 && once < 2e-4 ? (size_t)(2e-4 / MAX(once, 1e-8)) + 1 : 1; /* the clock and the call must not count */
    while (n < MOST && (n < 3 || now_seconds() - begun < b->seconds)) {
        double start = now_seconds();
        for (size_t i = 0; i < inner; i++)
            body(arg);
        times[n++] = (now_seconds() - start) / (double)inner;
    }
    qsort(times, n, sizeof *times, ascending);
    print_figure(b, f, times[0], times[n / 2]);
    return true;
}

static void print_peak(Bench *b, const char *shape, const char *level, const char *unit, double value, double ms)
{
    int threads = pool_threads(b->d->pool);
    if (b->c->json)
        printf("{\"bench\":\"peak\",\"shape\":\"%s\",\"dtype\":\"f32\",\"threads\":%d,\"variant\":\"%s\",\"ms_min\":%.6g,"
               "\"ms_median\":%.6g,\"%s\":%.5g,"
               "\"share_of_peak\":1}\n",
               shape, threads, level, ms, ms, unit, value);
    else
        printf("peak       %-16s %-10s %2d thread%s %10.1f %s\n", shape, level, threads, threads == 1 ? " " : "s", value,
               strcmp(unit, "gbs") == 0 ? "GB/s" : "GFLOP/s");
}

/* One multiply-add loop for each level that this machine can run, and reading memory. */
static bool bench_peak(Bench *b)
{
    const char *names[8], *why[8];
    bool usable[8];
    size_t levels = kernels_levels(names, usable, why);
    for (size_t i = 0; i < levels; i++)
        if (usable[i])
            print_peak(b, "fma", names[i], "gflops", peak_gflops(names[i], b->d->pool, b->seconds), 1e3 * b->seconds);
    for (int i = 15; i <= LARGEST; i += i < 18 ? 3 : 5) {
        char shape[32];
        snprintf(shape, sizeof shape, "read-%zuKiB", ((size_t)1 << i) / 1024);
        print_peak(b, shape, b->d->k->level, "gbs",
                   peak_read_gbs(b->d->k->level, b->data, (size_t)1 << i, b->d->pool, b->seconds), 1e3 * b->seconds);
    }
    return true;
}

/* The yardsticks that every figure is held against. */
static bool measure_peaks(Bench *b, Error *e)
{
    size_t bytes = (size_t)1 << LARGEST;
    if (!(b->data = arena_alloc(b->c->arena, bytes, 1, e)))
        return false;
    memset(b->data, 0, bytes);
    b->peak_gflops = peak_gflops(b->d->k->level, b->d->pool, 0.15);
    return true;
}

bool bench_command(Context *c, Error *e)
{
    static const char *const DENSE[] = {"gemm", "conv", "attention", "norm"}, *const SPARSE[] = {"spmm", "topk",
                                                                                                 "optimizer"};
    const char *what = c->arg_count ? c->args[0] : "all";
    Bench b = {
        .c = c, .seconds = 0.3, .filter = option_text(c, "shape"), .d = context_device(c, e), .arena = arena_new(NULL, 0)};
    bool all = strcmp(what, "all") == 0, known = all || strcmp(what, "peak") == 0;
    bool ok = b.d && b.arena && option_f64(c, "seconds", 0.001, 600, &b.seconds, e) && measure_peaks(&b, e);
    if (ok && strcmp(what, "encoder") == 0) {
        ok = c->arg_count == 2 ? bench_encoder(&b, c->args[1], e) : fail(e, SP_USAGE, "bench encoder: name the model");
        known = true;
    } else if (ok && c->arg_count == 2) {
        ok = fail(e, SP_USAGE, "bench %s: \"%s\" is one argument too many", what, c->args[1]);
    }
    if (ok && known && strcmp(what, "encoder") != 0)
        ok = bench_peak(&b);
    for (size_t i = 0; ok && i < COUNT(DENSE); i++)
        if (all || strcmp(what, DENSE[i]) == 0) {
            known = true;
            ok = bench_dense(&b, DENSE[i], e);
        }
    for (size_t i = 0; ok && i < COUNT(SPARSE); i++)
        if (all || strcmp(what, SPARSE[i]) == 0) {
            known = true;
            ok = bench_sparse(&b, SPARSE[i], e);
        }
    if (ok && !known)
        ok = fail(
            e, SP_USAGE,
            "bench: there is no \"%s\"; choose one of peak, gemm, conv, attention, norm, spmm, topk, optimizer, encoder",
            what);
    arena_free(b.arena);
    return ok;
}
