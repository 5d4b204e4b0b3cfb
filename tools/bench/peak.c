/* tools/bench/peak.c: loops of multiply-adds in registers, one per level of instructions and type of numbers, and a
 * read loop.
 *
 * Twelve independent sums hide the latency of the multiply-add (4 or 5 cycles, two per cycle). Nothing is loaded or
 * stored. An empty asm statement that claims to change a register prevents the compiler from folding the loop.
 *
 * The clock rate is measured by a chain of additions, each of which takes one cycle after the one before. The chain
 * runs between the rounds of a loop, because wide instructions may lower the clock rate. The share of the possible rate
 * is computed from both. */
#include <math.h>
#include <sched.h>
#include <unistd.h>

#include "kernels/cpu/forms.h"
#include "tools/bench/bench.h"
#include "tools/bench/peak.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

enum { SUMS = 12, ROUNDS = 4096 };

/* The two loops of a level. The first computes ROUNDS x SUMS x lanes multiply-adds, and returns the number of
 * floating-point operations. The second reads `count` floats, except a remainder of less than 8 vectors. The sums are
 * variables, not an array, so that they stay in registers with every compiler. */
typedef double FmaLoop(void);
typedef void ReadLoop(const float *p, size_t count);
#define ALL_SUMS(DO) DO(s0) DO(s1) DO(s2) DO(s3) DO(s4) DO(s5) DO(s6) DO(s7) DO(s8) DO(s9) DO(s10) DO(s11)
#define DECLARE(s)   s = b,
#define KEEP(s)      __asm__ volatile("" : KEPT(s));
#define STEPS        ALL_SUMS(STEP)
#define FMA_LOOP(Vector, set, lanes)                                                                                   \
    Vector a = set(0.999f), b = set(0.001f);                                                                           \
    KEEP(a) KEEP(b) Vector ALL_SUMS(DECLARE) unused = a;                                                               \
    (void)unused;                                                                                                      \
    for (int r = 0; r < ROUNDS; r++) {                                                                                 \
        STEPS                                                                                                          \
    }                                                                                                                  \
    return 2.0 * (lanes)*SUMS * ROUNDS
#define READ_LOOP(Vector, set, load, add, lanes)                                                                       \
    Vector s0 = set(0.0f), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;                              \
    for (size_t i = 0; i + 8 * (lanes) <= count; i += 8 * (lanes), p += 8 * (lanes)) {                                 \
        s0 = add(s0, load(p)), s1 = add(s1, load(p + (lanes))), s2 = add(s2, load(p + 2 * (lanes))),                   \
        s3 = add(s3, load(p + 3 * (lanes)));                                                                           \
        s4 = add(s4, load(p + 4 * (lanes))), s5 = add(s5, load(p + 5 * (lanes))), s6 = add(s6, load(p + 6 * (lanes))); \
        s7 = add(s7, load(p + 7 * (lanes)));                                                                           \
    }                                                                                                                  \
    KEEP(s0) KEEP(s1) KEEP(s2) KEEP(s3) KEEP(s4) KEEP(s5) KEEP(s6) KEEP(s7)

#if defined(__x86_64__)
#define KEPT(s) "+x"(s)
/* SSE2 has no fused multiply-add. Half of the sums are multiplied while the others are added, in pairs, because the
 * units come in pairs. */
#define TIMES(s)                                                                                                       \
    s = _mm_mul_ps(s, a);                                                                                              \
    KEEP(s)
#define PLUS(s)                                                                                                        \
    s = _mm_add_ps(s, b);                                                                                              \
    KEEP(s)
#define FOUR(s, t, u, v) TIMES(s) TIMES(t) PLUS(u) PLUS(v)
#undef STEPS
#define STEPS                                                                                                          \
    FOUR(s0, s1, s6, s7)                                                                                               \
    FOUR(s2, s3, s8, s9)                                                                                               \
    FOUR(s4, s5, s10, s11) FOUR(s6, s7, s0, s1) FOUR(s8, s9, s2, s3) FOUR(s10, s11, s4, s5)
static double fma_baseline(void)
{
    FMA_LOOP(__m128, _mm_set1_ps, 4);
}
static void read_baseline(const float *p, size_t count)
{
    READ_LOOP(__m128, _mm_set1_ps, _mm_loadu_ps, _mm_add_ps, 4)
}
#undef STEPS
#define STEPS ALL_SUMS(STEP)
#define STEP(s)                                                                                                        \
    s = _mm256_fmadd_ps(s, a, b);                                                                                      \
    KEEP(s)
__attribute__((target("avx2,fma"))) static double fma_avx2(void)
{
    FMA_LOOP(__m256, _mm256_set1_ps, 8);
}
__attribute__((target("avx2,fma"))) static void read_avx2(const float *p, size_t count)
{
    READ_LOOP(__m256, _mm256_set1_ps, _mm256_loadu_ps, _mm256_add_ps, 8)
}
/* AVX2 has no instruction for groups of four bytes. The kernels use five instructions for the products of two
 * groups (v_dot_int8_two in vec.h). */
#undef STEP
#define STEP(s)                                                                                                        \
    __asm__ volatile("vpmaddubsw %3, %3, %1\n\tvpmaddubsw %3, %3, %2\n\tvpaddw %2, %1, %1\n\t"                         \
                     "vpmaddwd %3, %1, %1\n\tvpaddd %1, %0, %0"                                                        \
                     : "+x"(s), "=&x"(products), "=&x"(more)                                                           \
                     : "x"(a));
__attribute__((target("avx2"))) static double dot_int8_avx2(void)
{
    const __m256i a = _mm256_set1_epi16(1), b = _mm256_setzero_si256();
    __m256i ALL_SUMS(DECLARE) products = a, more = a;
    for (int r = 0; r < ROUNDS; r++) {
        STEPS
    }
    return 2.0 * 64 * SUMS * ROUNDS;
}
#ifndef SAPOR_MINIMAL /* MINIMAL has no AVX-512 */
#undef STEP
#undef KEPT
#define KEPT(s) "+v"(s)
#define STEP(s)                                                                                                        \
    s = _mm512_fmadd_ps(s, a, b);                                                                                      \
    KEEP(s)
__attribute__((target("avx512f"))) static double fma_avx512(void)
{
    FMA_LOOP(__m512, _mm512_set1_ps, 16);
}
__attribute__((target("avx512f"))) static void read_avx512(const float *p, size_t count)
{
    READ_LOOP(__m512, _mm512_set1_ps, _mm512_loadu_ps, _mm512_add_ps, 16)
}
/* Loops for narrow types, in assembly: products of pairs of bfloat16, multiply-adds of float16, products of groups of
 * four bytes. */
#define NARROW_LOOP(ones, products)                                                                                    \
    const __m512i a = _mm512_set1_epi32(ones), b = _mm512_setzero_si512();                                             \
    __m512i ALL_SUMS(DECLARE) unused = a;                                                                              \
    (void)unused;                                                                                                      \
    for (int r = 0; r < ROUNDS; r++) {                                                                                 \
        STEPS                                                                                                          \
    }                                                                                                                  \
    return 2.0 * (products)*SUMS * ROUNDS
#undef STEP
#define STEP(s) __asm__ volatile("vdpbf16ps %2, %1, %0" : "+v"(s) : "v"(a), "v"(b));
__attribute__((target("avx512f,avx512bf16"))) static double dot_bf16(void)
{
    NARROW_LOOP(0x3f803f80, 32);
}
#undef STEP
#define STEP(s) __asm__ volatile("vfmadd231ph %2, %1, %0" : "+v"(s) : "v"(a), "v"(b));
__attribute__((target("avx512f,avx512fp16"))) static double fma_f16(void)
{
    NARROW_LOOP(0x3c003c00, 32);
}
#undef STEP
#define STEP(s) __asm__ volatile("vpdpbusd %2, %1, %0" : "+v"(s) : "v"(a), "v"(b));
__attribute__((target("avx512f,avx512vnni"))) static double dot_int8(void)
{
    NARROW_LOOP(0x01010101, 64);
}
/* AMX, Intel's matrix unit: 16 rows by 16 columns of sums. Each sum adds the products of 16 groups of 4 bytes. Six of
 * the eight registers are sums. */
#define AMX_LOOP(product, products)                                                                                    \
    static const struct {                                                                                              \
        uint8_t palette, begin, reserved[14];                                                                          \
        uint16_t row_bytes[16];                                                                                        \
        uint8_t rows[16];                                                                                              \
    } shape = {1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};                         \
    __asm__ volatile("ldtilecfg %0" : : "m"(shape));                                                                   \
    for (int r = 0; r < 2 * ROUNDS; r++)                                                                               \
        __asm__ volatile(product " %tmm7, %tmm6, %tmm0\n\t" product " %tmm7, %tmm6, %tmm1\n\t" product                 \
                                 " %tmm7, %tmm6, %tmm2\n\t" product " %tmm7, %tmm6, %tmm3\n\t" product                 \
                                 " %tmm7, %tmm6, %tmm4\n\t" product " %tmm7, %tmm6, %tmm5");                           \
    __asm__ volatile("tilerelease");                                                                                   \
    return 2.0 * 256 * (products)*SUMS * ROUNDS
static double amx_bf16(void)
{
    AMX_LOOP("tdpbf16ps", 32);
}
static double amx_int8(void)
{
    AMX_LOOP("tdpbusd", 64);
}
/* Returns a feature bit of CPUID leaf 7, EDX (Intel's Software Developer's Manual). The compilers do not have tests for
 * all features. */
static bool has_bit(int bit)
{
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && d >> bit & 1;
}
#undef KEPT
#define KEPT(s) "+x"(s)
#endif
#elif defined(__aarch64__)
#define KEPT(s) "+w"(s)
#define STEP(s)                                                                                                        \
    s = vfmaq_f32(b, s, a);                                                                                            \
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
#define STEP(s)                                                                                                        \
    s = s * a + b;                                                                                                     \
    KEEP(s)
#define VALUE(p)     (*(p))
#define PLUS_F(a, b) ((a) + (b))
static double fma_baseline(void)
{
    FMA_LOOP(float, (float), 1);
}
static void read_baseline(const float *p, size_t count)
{
    READ_LOOP(float, (float), VALUE, PLUS_F, 1)
}
#endif

#ifndef SAPOR_MINIMAL
/* Bytes at the baseline level. The kernels multiply each byte as a 32-bit number (v_dot_int8 in vec.h). So does this
 * loop. */
typedef int32_t FourInts __attribute__((vector_size(16)));
#undef STEP
#define STEP(s)                                                                                                        \
    s += a * b;                                                                                                        \
    KEEP(a) KEEP(s)
static double dot_int8_baseline(void)
{
    FourInts a = {1, 1, 1, 1}, b = {0};
    KEEP(b) FourInts ALL_SUMS(DECLARE) unused = a;
    (void)unused;
    for (int r = 0; r < ROUNDS; r++) {
        ALL_SUMS(STEP)
    }
    return 2.0 * 4 * SUMS * ROUNDS;
}
#endif

typedef struct Loop {
    const char *dtype, *level, *instruction;
    FmaLoop *fma;
    ReadLoop *read; /* only in the float32 loop of a level */
    Pack packs;     /* a form that the level must be able to pack: its products need the same instruction */
    int bit;        /* for an instruction that no product uses: the bit for has_bit; 0: none */
    int multiplies; /* multiply instructions of a STEP */
} Loop;
static const Loop LOOPS[] = {
#if defined(__x86_64__)
    {"f32", "baseline", "mulps, addps", fma_baseline, read_baseline, PACK_F32, 0, 1},
#ifndef SAPOR_MINIMAL
    {"int8", "baseline", "pmuludq, pmuludq, paddd", dot_int8_baseline, NULL, PACK_INT8_DOTS, 0, 2},
#endif
    {"f32", "avx2", "vfmadd, ymm", fma_avx2, read_avx2, PACK_F32, 0, 1},
    {"int8", "avx2", "2 vpmaddubsw, vpaddw, vpmaddwd, vpaddd", dot_int8_avx2, NULL, PACK_INT8_DOTS, 0, 3},
#ifndef SAPOR_MINIMAL
    {"f32", "avx512", "vfmadd, zmm", fma_avx512, read_avx512, PACK_F32, 0, 1},
    {"bf16", "avx512", "vdpbf16ps, zmm", dot_bf16, NULL, PACK_BF16_DOTS, 0, 1},
    {"f16", "avx512", "vfmadd231ph, zmm", fma_f16, NULL, PACK_F32, 23, 1},
    {"int8", "avx512", "vpdpbusd, zmm", dot_int8, NULL, PACK_INT8_DOTS, 0, 1},
    {"bf16", "avx512", "tdpbf16ps, tmm", amx_bf16, NULL, PACK_BF16_AMX, 0, 1},
    {"int8", "avx512", "tdpbusd, tmm", amx_int8, NULL, PACK_INT8_AMX, 0, 1},
#endif
#elif defined(__aarch64__)
    {"f32", "baseline", "fmla", fma_baseline, read_baseline, PACK_F32, 0, 1},
#ifndef SAPOR_MINIMAL
    {"int8", "baseline", "mla", dot_int8_baseline, NULL, PACK_INT8_DOTS, 0, 1},
#endif
#else
    {"f32", "baseline", "multiply, add", fma_baseline, read_baseline, PACK_F32, 0, 1},
#ifndef SAPOR_MINIMAL
    {"int8", "baseline", "multiply, add", dot_int8_baseline, NULL, PACK_INT8_DOTS, 0, 1},
#endif
#endif
};

static bool loop_is_here(const Loop *l)
{
    const char *names[8], *why[8];
    bool usable[8], here = false;
    for (size_t i = 0, n = kernels_levels(names, usable, why); i < n; i++)
        here = here || (usable[i] && strcmp(names[i], l->level) == 0);
#if defined(__x86_64__) && !defined(SAPOR_MINIMAL)
    here = here && (!l->bit || has_bit(l->bit));
#endif
    return here && kernels_cpu(l->level, NULL)->gemm_packs(l->packs);
}

static const Loop *f32_loop(const char *level)
{
    for (size_t i = 0; i < COUNT(LOOPS); i++)
        if (LOOPS[i].read && strcmp(LOOPS[i].level, level) == 0)
            return &LOOPS[i];
    return NULL;
}

/* A peak is measured in windows of about half a millisecond, short enough to run between interruptions. All threads
 * begin a window together, and the best window counts. A window does not count if a thread ended it before another
 * thread began it. The threads do not sleep between windows, so that the system gives each its own processor. */
/* CONFIRMED: this number of windows close to the best one confirms it. ENOUGH: this number ends the measurement. */
enum { WINDOWS = 1024, CONFIRMED = 3, ENOUGH = 16 };
static const double WINDOW_SECONDS = 5e-4, CLOSE = 0.97; /* CLOSE: a share of the best rate */

typedef struct PeakRun {
    const Loop *loop;
    int times, threads;
    const float *data;
    size_t count;                                  /* floats per task */
    _Atomic size_t arrived, begun_count, finished; /* of all windows: how often a thread arrived, began, and finished */
    _Atomic bool apart, stop;                      /* apart: not all threads ran at the same time in this window */
    bool yields;                                   /* there are more threads than processors */
    double begun;                                  /* the time when the last thread arrived */
    _Atomic double ended;                          /* the time when the last thread ended */
    double seconds, flops;                         /* of the measurement; of one run of the loop */
    double alone;                                  /* the best rate of the windows that do not count */
    double rates[WINDOWS];                         /* of the last windows that count */
    double top[ENOUGH];                            /* the largest rates of all windows that count */
    size_t counted;                                /* number of windows that count */
    Peak *peak;
    CoreWatch watch;
} PeakRun;

/* CHAIN dependent additions: each takes one cycle on all processors that were tried. The operands are registers,
 * because some processors fold additions of constants. */
enum { CHAIN = 1 << 20 };
static void chain(void)
{
#if defined(__x86_64__) || defined(__aarch64__)
    long sum = 1, step = 3;
    for (int i = 0; i < CHAIN / 16; i++)
#if defined(__x86_64__)
        __asm__ volatile(".rept 16\n\tadd %1, %0\n\t.endr" : "+r"(sum) : "r"(step));
#else
        __asm__ volatile(".rept 16\n\tadd %0, %0, %1\n\t.endr" : "+r"(sum) : "r"(step));
#endif
#endif
}

#ifndef SAPOR_MINIMAL
/* Moves the calling thread to its own processor if there are as many threads as processors. The system often keeps two
 * threads on one processor for some time. *old receives the processors that the thread may use otherwise. */
static void spread_thread(const PeakRun *r, size_t task, cpu_set_t *old)
{
    cpu_set_t own;
    size_t n = 0;
    CPU_ZERO(&own);
    if (r->threads == 1 || sched_getaffinity(0, sizeof *old, old) != 0 || CPU_COUNT(old) != r->threads)
        return;
    for (size_t i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, old) && n++ == task)
            CPU_SET(i, &own);
    sched_setaffinity(0, sizeof own, &own);
}
#endif

static void wait_until(const PeakRun *r, const _Atomic size_t *counter, size_t count)
{
    while (atomic_load(counter) < count)
        if (r->yields)
            sched_yield();
}

/* Returns how many of the largest rates are close to the best one. */
static size_t close_to(double best, const double top[ENOUGH])
{
    size_t close = 0;
    for (size_t i = 0; i < ENOUGH; i++)
        close += top[i] > 0 && top[i] >= CLOSE * best;
    return close;
}

static void keep_rate(PeakRun *r, double rate)
{
    size_t least = 0;
    for (size_t i = 1; i < ENOUGH; i++)
        least = r->top[i] < r->top[least] ? i : least;
    r->top[least] = MAX(r->top[least], rate);
    r->rates[r->counted++ % WINDOWS] = rate;
}

/* Keeps the result of a window. Stops if the time is over and several windows confirm the best one, or if four times
 * the time is over. Only the thread of task 0 calls this function. */
static void note_window(PeakRun *r, double chained, double spent)
{
    double rate = r->flops * r->times * r->threads / (atomic_load(&r->ended) - r->begun) / 1e9;
    bool counts = !atomic_load(&r->apart), best = counts && rate > r->peak->gflops;
    core_window(&r->watch, best);
    if (best)
        r->peak->gflops = rate;
    if (counts)
        keep_rate(r, rate);
    else
        r->alone = MAX(r->alone, rate);
#if defined(__x86_64__) || defined(__aarch64__)
    r->peak->ghz = MAX(r->peak->ghz, CHAIN / chained / 1e9);
#else
    (void)chained;
#endif
    size_t close = close_to(r->peak->gflops, r->top);
    atomic_store(&r->apart, false);
    if (spent >= (close < ENOUGH ? 4 : 1) * r->seconds)
        atomic_store(&r->stop, true);
}

/* Runs all windows of one thread. */
static void run_windows(PeakRun *r, size_t task)
{
    double since = now_seconds();
    for (size_t all = (size_t)r->threads;; all += (size_t)r->threads) {
        double now = now_seconds();
        if (atomic_fetch_add(&r->arrived, 1) + 1 == all)
            r->begun = now;
        wait_until(r, &r->arrived, all);
        if (atomic_load(&r->stop))
            return;
        atomic_fetch_add(&r->begun_count, 1);
        core_ran(&r->watch);
        for (int i = 0; i < r->times; i++)
            r->loop->fma();
        double ended = now_seconds();
        if (atomic_load(&r->begun_count) < all)
            atomic_store(&r->apart, true);
        double latest = atomic_load(&r->ended);
        while (latest < ended && !atomic_compare_exchange_weak(&r->ended, &latest, ended))
            ;
        chain();
        double chained = now_seconds() - ended;
        atomic_fetch_add(&r->finished, 1);
        if (task == 0) {
            wait_until(r, &r->finished, all);
            note_window(r, chained, now_seconds() - since);
        }
    }
}

/* The tasks wait for each other, so each thread of the pool runs one of them. */
static void peak_task(void *arg, size_t task, int worker)
{
    (void)worker;
#ifndef SAPOR_MINIMAL
    cpu_set_t old;
    CPU_ZERO(&old);
    spread_thread(arg, task, &old);
    run_windows(arg, task);
    if (CPU_COUNT(&old) > 1)
        sched_setaffinity(0, sizeof old, &old);
#else
    run_windows(arg, task);
#endif
}

/* Returns how many runs of the loop take WINDOW_SECONDS. The fastest of some runs counts. */
static int runs_per_window(const Loop *l)
{
    double least = WINDOW_SECONDS;
    for (int i = 0; i < 8; i++) {
        double start = now_seconds();
        l->fma();
        least = MIN(now_seconds() - start, least);
    }
    return (int)(WINDOW_SECONDS / MAX(least, 1e-7)) + 1;
}

static void measure(const Loop *l, Pool *pool, double seconds, Peak *p)
{
    PeakRun r = {.loop = l, .times = runs_per_window(l), .threads = pool_threads(pool), .seconds = seconds, .peak = p};
    r.flops = l->fma();
    r.yields = r.threads > threads_available();
    core_begin(&r.watch, "");
    pool_run(pool, (size_t)r.threads, peak_task, &r);
    size_t n = MIN(r.counted, (size_t)WINDOWS);
    p->confirmed = close_to(p->gflops, r.top) >= CONFIRMED;
    p->spread = n >= CONFIRMED ? 1 - times_of(r.rates, n).median / p->gflops : 1;
    p->gflops = n > 0 ? p->gflops : r.alone;
    core_end(&r.watch, &p->core);
    if (p->ghz <= 0)
        return;
    double lanes = r.flops / ((double)SUMS * ROUNDS * l->multiplies); /* operations per instruction */
    p->per_cycle = p->gflops / r.threads / p->ghz / lanes;
    /* The units do a whole number of instructions per cycle, or one instruction in a whole number of cycles. No share
     * is above 105 %. */
    double units = p->per_cycle > 1.05 ? ceil(p->per_cycle / 1.05) : 1 / floor(1.05 / p->per_cycle);
    p->share = p->per_cycle / units;
    if (l->read && p->confirmed) { /* float32 */
        p->core.level = l->level;
        p->core.per_cycle = p->per_cycle;
        p->core.ghz = p->ghz;
    }
}

size_t peak_count(void)
{
    return COUNT(LOOPS);
}

Peak peak_measure(size_t i, Pool *pool, double seconds)
{
    const Loop *l = &LOOPS[i];
    Peak p = {.dtype = l->dtype, .level = l->level, .instruction = l->instruction, .here = loop_is_here(l)};
    if (p.here && seconds > 0)
        measure(l, pool, seconds, &p);
    return p;
}

Peak peak_of_products(const char *level, const char *dtype, Pool *pool, double seconds)
{
    Peak most = {0};
    for (size_t i = 0; i < COUNT(LOOPS); i++)
        if (!LOOPS[i].bit && strcmp(LOOPS[i].level, level) == 0 && strcmp(LOOPS[i].dtype, dtype) == 0) {
            Peak p = peak_measure(i, pool, seconds);
            most = p.gflops > most.gflops ? p : most;
        }
    return most;
}

double peak_gflops(const char *level, const char *dtype, Pool *pool, double seconds)
{
    return peak_of_products(level, dtype, pool, seconds).gflops;
}

/* Reads the task's part of the data r->times times. */
static void read_task(void *arg, size_t task, int worker)
{
    const PeakRun *r = arg;
    (void)worker;
    for (int t = 0; t < r->times; t++)
        r->loop->read(r->data + task * r->count, r->count);
}

double peak_read_gbs(const char *level, const float *data, size_t bytes, Pool *pool, double seconds)
{
    enum { ROUND = 8 << 20 }; /* bytes per round: larger data is read in parts, one part per round */
    size_t threads = (size_t)pool_threads(pool), parts = (bytes + ROUND - 1) / ROUND, part = bytes / MAX(parts, 1),
           at = 0;
    PeakRun r = {.loop = f32_loop(level), .count = part / sizeof *data / threads, .times = 1};
    double best = 0, begun = now_seconds();
    if (!r.loop || r.count < 128 || !parts)
        return 0;
    while (at < 2 * parts || now_seconds() - begun < seconds) {
        r.data = data + at++ % parts * (part / sizeof *data);
        double start = now_seconds();
        pool_run(pool, threads, read_task, &r);
        double took = now_seconds() - start, gbs = (double)(r.count * sizeof *data * threads) * r.times / took / 1e9;
        if (at > parts) /* the first pass over the parts only fills the caches */
            best = MAX(best, gbs);
        if (took < 3e-4 && parts == 1)
            r.times *= 2;
    }
    return best;
}
