/* peak.c: register-only multiply-add loops, one a level of instructions, and a read loop.
 *
 * Twelve or more independent sums hide the latency of the multiply-add (4 or 5 cycles, two a cycle); nothing is loaded or stored. The empty
 * asm keeps the compiler from folding the loop: it claims to change a register without doing so. */
#include "tools/peak.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

enum { SUMS = 14, ROUNDS = 4096 };
#define KEEP(x) __asm__ volatile("" : "+w"(x))

/* Each loop does ROUNDS x SUMS x lanes multiply-adds and returns how many floating-point operations that is. */
typedef double PeakLoop(void);

#if defined(__x86_64__)
#undef KEEP
#define KEEP(x) __asm__ volatile("" : "+x"(x))
static double loop_baseline(void)
{
    __m128 sum[12], a = _mm_set1_ps(0.999f), b = _mm_set1_ps(0.001f);
    KEEP(a);
    KEEP(b);
    for (int i = 0; i < 12; i++)
        sum[i] = b;
    for (int r = 0; r < ROUNDS; r++)
#pragma GCC unroll 12
        for (int i = 0; i < 12; i++) {
            sum[i] = _mm_add_ps(_mm_mul_ps(sum[i], a), b); /* SSE2 has no fused one */
            KEEP(sum[i]);
        }
    return 2.0 * 4 * 12 * ROUNDS;
}

__attribute__((target("avx2,fma"))) static double loop_avx2(void)
{
    __m256 sum[SUMS], a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(0.001f);
    KEEP(a);
    KEEP(b);
    for (int i = 0; i < SUMS; i++)
        sum[i] = b;
    for (int r = 0; r < ROUNDS; r++)
#pragma GCC unroll 14
        for (int i = 0; i < SUMS; i++) {
            sum[i] = _mm256_fmadd_ps(sum[i], a, b);
            KEEP(sum[i]);
        }
    return 2.0 * 8 * SUMS * ROUNDS;
}

#undef KEEP
#define KEEP(x) __asm__ volatile("" : "+v"(x))
__attribute__((target("avx512f"))) static double loop_avx512(void)
{
    __m512 sum[SUMS], a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(0.001f);
    KEEP(a);
    KEEP(b);
    for (int i = 0; i < SUMS; i++)
        sum[i] = b;
    for (int r = 0; r < ROUNDS; r++)
#pragma GCC unroll 14
        for (int i = 0; i < SUMS; i++) {
            sum[i] = _mm512_fmadd_ps(sum[i], a, b);
            KEEP(sum[i]);
        }
    return 2.0 * 16 * SUMS * ROUNDS;
}
#elif defined(__aarch64__)
static double loop_baseline(void)
{
    float32x4_t sum[SUMS], a = vdupq_n_f32(0.999f), b = vdupq_n_f32(0.001f);
    KEEP(a);
    KEEP(b);
    for (int i = 0; i < SUMS; i++)
        sum[i] = b;
    for (int r = 0; r < ROUNDS; r++)
#pragma GCC unroll 14
        for (int i = 0; i < SUMS; i++) {
            sum[i] = vfmaq_f32(b, sum[i], a);
            KEEP(sum[i]);
        }
    return 2.0 * 4 * SUMS * ROUNDS;
}
#else
static double loop_baseline(void)
{
    float sum[8], a = 0.999f, b = 0.001f;
    for (int i = 0; i < 8; i++)
        sum[i] = b;
    for (int r = 0; r < ROUNDS; r++)
        for (int i = 0; i < 8; i++) {
            sum[i] = sum[i] * a + b;
            __asm__ volatile("" : "+m"(sum[i]));
        }
    return 2.0 * 8 * ROUNDS;
}
#endif

static PeakLoop *loop_of(const char *level)
{
#if defined(__x86_64__)
    if (strcmp(level, "avx512") == 0)
        return loop_avx512;
    if (strcmp(level, "avx2") == 0)
        return loop_avx2;
#endif
    return strcmp(level, "baseline") == 0 ? loop_baseline : NULL;
}

typedef struct PeakRun {
    PeakLoop *loop;
    int times;
    const float *data;
    size_t count; /* floats of each task */
} PeakRun;

static void peak_task(void *arg, size_t task, int worker)
{
    const PeakRun *r = arg;
    (void)task;
    (void)worker;
    for (int i = 0; i < r->times; i++)
        r->loop();
}

double peak_gflops(const char *level, Pool *pool, double seconds)
{
    PeakRun r = {.loop = loop_of(level), .times = 1};
    if (!r.loop)
        return 0;
    size_t threads = (size_t)pool_threads(pool);
    double best = 0, begun = now_seconds(), flops = r.loop();
    while (now_seconds() - begun < seconds) { /* tasks grow until one lasts a few milliseconds; the best of all rounds counts */
        double start = now_seconds();
        pool_run(pool, threads, peak_task, &r);
        double took = now_seconds() - start;
        best = MAX(best, flops * r.times * (double)threads / took / 1e9);
        if (took < 0.004)
            r.times *= 2;
    }
    return best;
}

typedef float Lanes __attribute__((vector_size(32), aligned(4)));

static void read_task(void *arg, size_t task, int worker)
{
    const PeakRun *r = arg;
    const float *p = r->data + task * r->count;
    Lanes sum[4] = {{0}};
    (void)worker;
    for (size_t i = 0; i + 32 <= r->count; i += 32)
        for (int l = 0; l < 4; l++)
            sum[l] += *(const Lanes *)(p + i + 8 * l);
    __asm__ volatile("" : : "m"(sum));
}

double peak_read_gbs(const float *data, size_t bytes, Pool *pool, double seconds)
{
    size_t threads = (size_t)pool_threads(pool);
    PeakRun r = {.data = data, .count = bytes / sizeof *data / threads};
    double best = 0, begun = now_seconds();
    do {
        double start = now_seconds();
        pool_run(pool, threads, read_task, &r);
        best = MAX(best, (double)(r.count * sizeof *data * threads) / (now_seconds() - start) / 1e9);
    } while (now_seconds() - begun < seconds);
    return best;
}
