/* tools/bench/bench_gpu.c: `sapor bench` on a GPU: prints the peak rates that the plug-in measures, and compares
 * Sapor's kernels with those of libraries (--blas). */
// flags: -Os
#include <math.h>

#include "tools/bench/bench.h"
#include "tools/bench/peak.h"

bool bench_gpu_open(Bench *b, Error *e)
{
    if (!bench_on_gpu(b))
        return true;
    b->emulated = strncmp(b->d->k->about, "emulator", 8) == 0;
    if (strcmp(b->d->k->level, "f32") == 0)
        return true;
    Device *plain = NEW(b->c->arena, Device, 1, e);
    if (!plain || !device_open(plain, "cuda", pool_threads(b->d->pool), b->c->heap, NULL, e))
        return false;
    b->plain = plain;
    return true;
}

void bench_gpu_close(Bench *b)
{
    if (b->plain)
        device_close(b->plain);
}

size_t bench_devices(const Bench *b, size_t member, const Device *list[2])
{
    list[0] = b->plain ? b->plain : b->d;
    list[1] = b->d;
    return !b->plain || memcmp((const char *)b->plain->k + member, (const char *)b->d->k + member, sizeof(void *)) == 0
               ? 1
               : 2;
}

const char *bench_rounded(const Device *d, const char *dtype)
{
    return strstr(d->k->level, "tf32") && (!dtype || strcmp(dtype, "f32") == 0) ? "tf32" : dtype;
}

bool bench_settle(const Bench *b)
{
    const Run run = device_run(b->d);
    b->d->k->clock(&run);
    return true;
}

int64_t bench_size(const Bench *b, int64_t n, int64_t part)
{
    return b->emulated ? MAX(n / part, (int64_t)1) : n;
}

double bench_gpu_peak(Bench *b, const char *what, size_t bytes, double seconds)
{
    const Plugin *plugin = b->d->plugin.plugin;
    Run run = device_run(b->d);
    if (!plugin || !plugin->peak)
        return 0;
    run.work_bytes = MAX(bytes, (size_t)64);
    run.work = b->d->k->alloc(&run, b->d->heap, run.work_bytes);
    if (!run.work)
        return 0;
    b->d->k->zero(&run, run.work, run.work_bytes);
    double peak = plugin->peak(&run, what, seconds);
    b->d->k->free(&run, b->d->heap, run.work, run.work_bytes);
    return peak;
}

double bench_gpu_bandwidth(Bench *b, int i)
{
    size_t most = (size_t)1 << (b->emulated ? 16 : 30);
    size_t bytes = i < 4 * BENCH_LARGEST ? (size_t)exp2(i / 4.0) : most;
    if (b->gbs[i] == 0)
        b->gbs[i] = bench_gpu_peak(b, "copy", MIN(bytes, most), 0.03) / 1e9;
    return b->gbs[i];
}

bool bench_gpu_peaks(Bench *b, Error *e)
{
    static const char *const TYPES[] = {"f32", "tf32", "bf16", "f16", "int8"};
    bool ok = true;
    if (!b->c->json && bench_is_text(b))
        bench_print_device(b);
    for (size_t i = 0; ok && i < COUNT(TYPES); i++) {
        const char *shape = i ? "tensor-cores" : "multiply-adds";
        if (!bench_selects(b, shape))
            continue;
        const Peak p = {.gflops = bench_gpu_peak(b, TYPES[i], 0, b->seconds) / 1e9};
        ok = bench_print_peak(b, shape, TYPES[i], b->d->k->device, &p, 0, 0, e);
    }
    for (int i = b->emulated ? 12 : 20; ok && i <= (b->emulated ? 12 : 30); i += 2) {
        char shape[32];
        snprintf(shape, sizeof shape, i < 20 ? "copy-%zuKiB" : "copy-%zuMiB", (size_t)1 << (i < 20 ? i - 10 : i - 20));
        if (bench_selects(b, shape))
            ok = bench_print_peak(b, shape, "bytes", b->d->k->device, NULL,
                                  bench_gpu_peak(b, "copy", (size_t)1 << i, b->seconds) / 1e9, 0, e);
    }
    return ok && device_check(b->d, e);
}
