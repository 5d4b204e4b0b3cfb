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

enum { SUMS = 12, ROUNDS = 4096 };

/* A level's two loops. The first does ROUNDS x SUMS x lanes multiply-adds and returns how many floating-point operations that is; the second reads
 * count floats (what is left over of 8 vectors is not read). Sums have names, not places in an array, so that they are registers whatever the
 * compiler does. */
typedef double FmaLoop(void);
typedef void ReadLoop(const float *p, size_t count);
#define ALL_SUMS(DO) DO(s0) DO(s1) DO(s2) DO(s3) DO(s4) DO(s5) DO(s6) DO(s7) DO(s8) DO(s9) DO(s10) DO(s11)
#define DECLARE(s)   s = b,
#define KEEP(s)      __asm__ volatile("" : KEPT(s));
#define FMA_LOOP(Vector, set, lanes)                                                                                        \
    Vector a = set(0.999f), b = set(0.001f);                                                                                \
    KEEP(a) KEEP(b) Vector ALL_SUMS(DECLARE) unused = a;                                                                    \
    (void)unused;                                                                                                           \
    for (int r = 0; r < ROUNDS; r++) {                                                                                      \
        ALL_SUMS(STEP)                                                                                                      \
    }                                                                                                                       \
    return 2.0 * (lanes)*SUMS * ROUNDS
#define READ_LOOP(Vector, set, load, add, lanes)                                                                            \
    Vector s0 = set(0.0f), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;                                   \
    for (size_t i = 0; i + 8 * (lanes) <= count; i += 8 * (lanes), p += 8 * (lanes)) {                                      \
        s0 = add(s0, load(p)), s1 = add(s1, load(p + (lanes))), s2 = add(s2, load(p + 2 * (lanes))),                        \
        s3 = add(s3, load(p + 3 * (lanes)));                                                                                \
        s4 = add(s4, load(p + 4 * (lanes))), s5 = add(s5, load(p + 5 * (lanes))), s6 = add(s6, load(p + 6 * (lanes)));      \
        s7 = add(s7, load(p + 7 * (lanes)));                                                                                \
    }                                                                                                                       \
    KEEP(s0) KEEP(s1) KEEP(s2) KEEP(s3) KEEP(s4) KEEP(s5) KEEP(s6) KEEP(s7)

#if defined(__x86_64__)
#define KEPT(s) "+x"(s)
#define STEP(s)                                                                                                             \
    s = _mm_add_ps(_mm_mul_ps(s, a), b);                                                                                    \
    KEEP(s) /* SSE2 has no fused one */
static double fma_baseline(void)
{
    FMA_LOOP(__m128, _mm_set1_ps, 4);
}
static void read_baseline(const float *p, size_t count)
{
    READ_LOOP(__m128, _mm_set1_ps, _mm_loadu_ps, _mm_add_ps, 4)
}
#undef STEP
#define STEP(s)                                                                                                             \
    s = _mm256_fmadd_ps(s, a, b);                                                                                           \
    KEEP(s)
__attribute__((target("avx2,fma"))) static double fma_avx2(void)
{
    FMA_LOOP(__m256, _mm256_set1_ps, 8);
}
__attribute__((target("avx2,fma"))) static void read_avx2(const float *p, size_t count)
{
    READ_LOOP(__m256, _mm256_set1_ps, _mm256_loadu_ps, _mm256_add_ps, 8)
}
#undef STEP
#undef KEPT
#define KEPT(s) "+v"(s)
#define STEP(s)                                                                                                             \
    s = _mm512_fmadd_ps(s, a, b);                                                                                           \
    KEEP(s)
__attribute__((target("avx512f"))) static double fma_avx512(void)
{
    FMA_LOOP(__m512, _mm512_set1_ps, 16);
}
__attribute__((target("avx512f"))) static void read_avx512(const float *p, size_t count)
{
    READ_LOOP(__m512, _mm512_set1_ps, _mm512_loadu_ps, _mm512_add_ps, 16)
}
#elif defined(__aarch64__)
#define KEPT(s) "+w"(s)
#define STEP(s)                                                                                                             \
    s = vfmaq_f32(b, s, a);                                                                                                 \
    KEEP(s)
static double fma_baseline(void)
{
    FMA_LOOP(float32x4_t, vdupq_n_f32, 4);
}
static void read_baseline(const float *p, size_t count)
{
    READ_LOOP(float32x4_t, vdupq_n_f32, vld1q_f32, vaddq_f32, 4)
}
#else
#define KEPT(s) "+m"(s)
#define STEP(s)                                                                                                             \
    s = s * a + b;                                                                                                          \
    KEEP(s)
#define VALUE(p)   (*(p))
#define PLUS(a, b) ((a) + (b))
static double fma_baseline(void)
{
    FMA_LOOP(float, (float), 1);
}
static void read_baseline(const float *p, size_t count)
{
    READ_LOOP(float, (float), VALUE, PLUS, 1)
}
#endif

typedef struct Level {
    const char *name;
    FmaLoop *fma;
    ReadLoop *read;
} Level;
static const Level LEVELS[] = {
    {"baseline", fma_baseline, read_baseline},
#if defined(__x86_64__)
    {"avx2", fma_avx2, read_avx2},
    {"avx512", fma_avx512, read_avx512},
#endif
};

static const Level *level_of(const char *name)
{
    for (size_t i = 0; i < COUNT(LEVELS); i++)
        if (strcmp(LEVELS[i].name, name) == 0)
            return &LEVELS[i];
    return NULL;
}

typedef struct PeakRun {
    const Level *level;
    int times;
    const float *data;
    size_t count; /* floats of each task */
} PeakRun;

static void fma_task(void *arg, size_t task, int worker)
{
    const PeakRun *r = arg;
    (void)task;
    (void)worker;
    for (int i = 0; i < r->times; i++)
        r->level->fma();
}

double peak_gflops(const char *level, Pool *pool, double seconds)
{
    PeakRun r = {.level = level_of(level), .times = 1};
    if (!r.level)
        return 0;
    size_t threads = (size_t)pool_threads(pool);
    double best = 0, begun = now_seconds(), flops = r.level->fma();
    while (now_seconds() - begun <
           seconds) { /* rounds long enough for the clock, short enough to fall between interruptions; the best counts */
        double start = now_seconds();
        pool_run(pool, threads, fma_task, &r);
        double took = now_seconds() - start;
        best = MAX(best, flops * r.times * (double)threads / took / 1e9);
        if (took < 5e-4)
            r.times *= 2;
    }
    return best;
}

/* Reads this task's part of the data r->times over. */
static void read_task(void *arg, size_t task, int worker)
{
    const PeakRun *r = arg;
    (void)worker;
    for (int t = 0; t < r->times; t++)
        r->level->read(r->data + task * r->count, r->count);
}

double peak_read_gbs(const char *level, const float *data, size_t bytes, Pool *pool, double seconds)
{
    enum { ROUND = 8 << 20 }; /* bytes of a round: what is larger is read a part after the other, round and round */
    size_t threads = (size_t)pool_threads(pool), part = MAX(MIN(bytes, (size_t)ROUND), 1), parts = bytes / part, at = 0;
    PeakRun r = {.level = level_of(level), .count = part / sizeof *data / threads, .times = 1};
    double best = 0, begun = now_seconds();
    if (!r.level || r.count < 128 || !parts)
        return 0;
    while (at < 2 * parts || now_seconds() - begun < seconds) {
        r.data = data + at++ % parts * (part / sizeof *data);
        double start = now_seconds();
        pool_run(pool, threads, read_task, &r);
        double took = now_seconds() - start, gbs = (double)(r.count * sizeof *data * threads) * r.times / took / 1e9;
        if (at > parts) /* the first time round only fills caches */
            best = MAX(best, gbs);
        if (took < 3e-4 && parts == 1)
            r.times *= 2;
    }
    return best;
}
