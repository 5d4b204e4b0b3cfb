/* tests/bench_noise_test.c: how `sapor bench` measures: the loops of the peaks, and tables with noise. */
#include "tests/testing.h"

#include <math.h>
#include <sys/stat.h>

#include "kernels/cpu/forms.h"
#include "tools/bench/bench.h"
#include "tools/bench/peak.h"

/* Every level that this machine has measures a peak of each type that its products multiply as units. */
static void levels_have_peaks(void **state)
{
    static const struct {
        Pack form;
        const char *dtype;
    } UNITS[] = {{PACK_F32, "f32"},
                 {PACK_BF16_DOTS, "bf16"},
                 {PACK_BF16_AMX, "bf16"},
                 {PACK_INT8_DOTS, "int8"},
                 {PACK_INT8_AMX, "int8"}};
    const char *names[8], *why[8];
    bool usable[8];
    (void)state;
    for (size_t i = 0, n = kernels_levels(names, usable, why); i < n; i++)
        for (size_t u = 0; usable[i] && u < COUNT(UNITS); u++)
            if (kernels_cpu(names[i], NULL)->gemm_packs(UNITS[u].form) &&
                peak_gflops(names[i], UNITS[u].dtype, NULL, 0.002) <= 0)
                fail_msg("%s has no peak of %s", names[i], UNITS[u].dtype);
}

/* The loop of bytes counts all three instructions of AVX2: it is at most four times as fast as float32. */
static void peak_of_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < peak_count(); i++) {
        Peak p = peak_measure(i, NULL, 0);
        if (p.here && strcmp(p.dtype, "int8") == 0 && strcmp(p.level, "avx512") != 0)
            assert_true(peak_measure(i, NULL, 0.05).gflops < 4 * peak_gflops(p.level, "f32", NULL, 0.05));
    }
}

/* A peak has a spread from 0 to 1, also if there are more threads than processors. */
static void peak_has_spread(void **state)
{
    Error e = {0};
    (void)state;
    for (int threads = 1; threads <= 2 * threads_available(); threads++) {
        Pool *pool = pool_new(NULL, threads, &e);
        assert_non_null(pool);
        Peak p = peak_measure(0, pool, 0.01);
        assert_true(p.here && p.gflops > 0 && p.spread >= 0 && p.spread <= 1);
        pool_free(pool);
    }
}

/* ---- hyperthreads ---------------------------------------------------------------------------- */

static CoreVerdict verdict(const char *level, double per_cycle, double ghz, double sibling, bool shared)
{
    return core_verdict(&(CoreFacts){level, per_cycle, ghz, 0, sibling, shared});
}

static void verdicts(void **state)
{
    (void)state;
    /* a visible sibling decides alone */
    assert_int_equal(verdict("avx2", 2, 3, 0.02, false), CORE_QUIET);
    assert_int_equal(verdict("avx2", 1, 3, 0.02, false), CORE_QUIET); /* Zen 1 */
    assert_int_equal(verdict("avx2", 2, 3, 0.5, false), CORE_BUSY);
    assert_int_equal(verdict("avx2", 2, 3, 0.02, true), CORE_SHARED);
    /* without a visible sibling, the multiply-adds per cycle decide */
    assert_int_equal(verdict("avx2", 1.97, 3, -1, false), CORE_QUIET);
    assert_int_equal(verdict("avx2", 1.4, 3, -1, false), CORE_SUSPECT);
    assert_int_equal(verdict("avx2", 1, 3, -1, false), CORE_SUSPECT);
    assert_int_equal(verdict("avx512", 1.02, 3, -1, false), CORE_QUIET);
    assert_int_equal(verdict("avx512", 1.95, 3, -1, false), CORE_QUIET);
    assert_int_equal(verdict("avx512", 1.5, 3, -1, false), CORE_SUSPECT);
    assert_int_equal(verdict("avx512", 0.6, 3, -1, false), CORE_SUSPECT);
    assert_int_equal(verdict("baseline", 1.5, 3, -1, false), CORE_UNKNOWN);
    assert_int_equal(verdict("avx2", 1.4, 0, -1, false), CORE_UNKNOWN);
    assert_int_equal(verdict(NULL, 0, 0, -1, false), CORE_UNKNOWN);
}

static void descriptions(void **state)
{
    char line[256];
    (void)state;
    core_describe(&(CoreFacts){"avx2", 2, 3, 5, 0.97, false}, line, sizeof line);
    assert_non_null(strstr(line, "core of processor 5 was busy for 97% of the time"));
    core_describe(&(CoreFacts){"avx2", 1.25, 3, 0, -1, false}, line, sizeof line);
    assert_non_null(strstr(line, "may be busy, or the processor has one unit: 1.25 multiply-adds per cycle"));
    core_describe(&(CoreFacts){"avx2", 2, 3, 0, -1, true}, line, sizeof line);
    assert_non_null(strstr(line, "two threads of this run shared a core"));
    core_describe(&(CoreFacts){"avx2", 2, 3, 0, 0.01, false}, line, sizeof line);
    assert_string_equal(line, "");
}

static void lists_of_processors(void **state)
{
    static const char *const WRONG[] = {"", "a", "1,", "-1", "3-1", "1-2-3", "1-", "1024", "0-1023,x"};
    CpuSet set;
    (void)state;
    assert_true(cpus_parse(text_of("0,2-4,63-65\n"), &set));
    for (int i = -1; i < 70; i++)
        assert_int_equal(cpus_has(&set, i), i == 0 || (i >= 2 && i <= 4) || (i >= 63 && i <= 65));
    for (size_t i = 0; i < COUNT(WRONG); i++)
        if (cpus_parse(text_of(WRONG[i]), &set))
            fail_msg("\"%s\" is a list", WRONG[i]);
}

static void write_file(const char *root, const char *path, const char *content)
{
    char whole[512];
    snprintf(whole, sizeof whole, "%s/%s", root, path);
    for (char *p = whole + strlen(root) + 1; (p = strchr(p, '/')) != NULL; *p++ = '/') {
        *p = '\0';
        mkdir(whole, 0700);
    }
    test_write(root, path, text_of(content));
}

/* Processors 0 and 2 are a core, 1 and 3 another one. 4 has no file. */
static void siblings_of_a_folder(void **state)
{
    char root[256];
    static CoreWatch w;
    CoreFacts f = {0};
    (void)state;
    test_folder(root);
    write_file(root, "sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0,2\n");
    write_file(root, "sys/devices/system/cpu/cpu1/topology/thread_siblings_list", "1,3\n");
    write_file(root, "proc/stat",
               "cpu  1 2 3 4\ncpu0 100 0 0 100 0 0 0 0 0 0\ncpu1 0 0 0 100 0 0 0 0\n"
               "cpu2 50 0 0 100 0 0 0 0\ncpu3 10 0 0 5\ncpu4 1 1 1 1 1 1 1 1\nintr 5\n");
    core_begin(&w, root);
    write_file(root, "proc/stat",
               "cpu0 200 0 0 100 0 0 0 0 0 0\ncpu1 100 0 0 100 0 0 0 0\n"
               "cpu2 60 5 10 150 20 2 3 0\ncpu3 10 0 0 105\ncpu4 1 1 1 1 1 1 1 1\n");
    w.best.bits[0] = w.all.bits[0] = 1 << 0;
    core_end(&w, &f);
    assert_false(f.shared);
    assert_int_equal(f.processor, 0);
    assert_true(fabs(f.sibling - 30.0 / 100) < 1e-9); /* 10 + 5 + 10 + 2 + 3 of 100 ticks */
    w.best.bits[0] = w.all.bits[0] = 1 << 1;
    core_end(&w, &f);
    assert_true(!f.shared && f.sibling == 0);
    w.best.bits[0] = w.all.bits[0] = 1 << 0 | 1 << 1; /* the busier sibling counts */
    core_end(&w, &f);
    assert_true(!f.shared && f.processor == 0 && fabs(f.sibling - 0.3) < 1e-9);
    w.best.bits[0] = w.all.bits[0] = 1 << 0 | 1 << 2;
    core_end(&w, &f);
    assert_true(f.shared && f.sibling < 0);
    w.best.bits[0] = 1 << 0; /* the thread used both hyperthreads, one after the other */
    core_end(&w, &f);
    assert_true(!f.shared && f.sibling < 0);
    w.best.bits[0] = w.all.bits[0] = 1 << 4;
    core_end(&w, &f);
    assert_true(!f.shared && f.sibling < 0);
    test_folder_remove(root);
    core_end(&w, &f); /* no files */
    assert_true(!f.shared && f.sibling < 0);
}

/* ---- noise: devices whose clocks return scripted times --------------------------------------- */

typedef struct Script {
    double rounds[8], now;
    size_t calls;
} Script;
static Script first, second;

/* Each call of `rounds` is measured by two calls of the clock. The first pair is the warm-up. */
static double script_clock(Script *s)
{
    size_t round = s->calls / 2;
    if (s->calls++ % 2)
        s->now += round ? s->rounds[round - 1] : s->rounds[0];
    return s->now;
}
static double first_clock(const Run *run)
{
    (void)run;
    return script_clock(&first);
}
static double second_clock(const Run *run)
{
    (void)run;
    return script_clock(&second);
}
static void no_body(void *arg)
{
    (void)arg;
}

/* Compares two contenders in five rounds and returns what is printed. The caller frees the text. */
static char *compare(const double a[5], const double b[5], bool json)
{
    Kernels fast = *kernels_cpu("baseline", NULL), other = fast;
    fast.clock = first_clock;
    other.clock = second_clock;
    const Device device[2] = {{.k = &fast}, {.k = &other}};
    const Contender list[2] = {{&device[0], NULL, "own"}, {&device[1], NULL, "library"}};
    const Figure figure = {.bench = "gemm", .shape = "3x5x7"};
    Context c = {.json = json};
    Bench bench = {.c = &c, .d = &device[0], .arena = arena_new(NULL, 0), .rounds = 5};
    Error e = {0};
    first = second = (Script){0};
    memcpy(first.rounds, a, 5 * sizeof *a);
    memcpy(second.rounds, b, 5 * sizeof *b);
    fflush(stdout);
    int old = dup(STDOUT_FILENO);
    FILE *file = tmpfile();
    assert_non_null(file);
    dup2(fileno(file), STDOUT_FILENO);
    bool ok = bench_compare(&bench, &figure, no_body, list, 2, &e);
    bench_notes(&bench);
    fflush(stdout);
    dup2(old, STDOUT_FILENO);
    close(old);
    arena_free(bench.arena);
    assert_ok(ok, e);
    long n = lseek(fileno(file), 0, SEEK_END);
    char *text = calloc(1, (size_t)n + 1);
    assert_non_null(text);
    assert_int_equal(pread(fileno(file), text, (size_t)n, 0), n);
    fclose(file);
    assert_int_equal(first.calls, 12); /* five rounds and the warm-up */
    return text;
}

static void contains(char *text, const char *expected, bool contained)
{
    if (!strstr(text, expected) == contained)
        fail_msg("\"%s\" is %s in:\n%s", expected, contained ? "not" : "", text);
}

static size_t bodies;
static void count_body(void *arg)
{
    (void)arg;
    bodies++;
}

/* Rounds and runs before the first round are exact. The clock is not: each run is longer than the shortest round. */
static void rounds_are_exact(void **state)
{
    Kernels k = *kernels_cpu("baseline", NULL);
    Context c = {.json = true};
    Error e = {0};
    (void)state;
    k.clock = first_clock;
    const Device device = {.k = &k};
    for (size_t rounds = 1; rounds < 8; rounds += 3)
        for (size_t warm_up = 0; warm_up < 6; warm_up++) {
            Bench bench = {.c = &c, .d = &device, .arena = arena_new(NULL, 0), .rounds = rounds, .warm_up = warm_up};
            const Figure figure = {.bench = "gemm", .shape = "3x5x7"};
            first = (Script){{.01, .01, .01, .01, .01, .01, .01, .01}, 0, 0};
            bodies = 0;
            assert_ok(bench_measure(&bench, &figure, count_body, NULL, &e), e);
            assert_int_equal(bodies, rounds + (warm_up ? warm_up : 2));
            arena_free(bench.arena);
        }
}

/* The fastest times are 10 and 9.5 ms. The quartiles of the second contender differ by 20 %. */
static void noise_is_no_difference(void **state)
{
    static const double A[] = {.010, .010, .011, .012, .012}, B[] = {.0095, .0100, .0110, .0122, .0125};
    (void)state;
    char *text = compare(A, B, false);
    contains(text, "no difference between library and own (margin 20.0%)", true);
    contains(text, "times as fast", false);
    contains(text, "!", false);
    free(text);
    text = compare(A, B, true);
    contains(text,
             "{\"compared\":\"gemm\",\"shape\":\"3x5x7\",\"dtype\":\"f32\",\"variant\":\"library\",\"with\":\"own\","
             "\"verdict\":\"same\",\"times_as_fast\":1.0526,\"margin\":0.2000}",
             true);
    free(text);
}

static void clear_differences(void **state)
{
    static const double SLOW[] = {.0100, .0101, .0102, .0103, .0104}, FAST[] = {.0050, .0051, .0052, .0051, .0050};
    (void)state;
    char *text = compare(SLOW, FAST, false);
    contains(text, "library is 2.000 times as fast as own (margin 2.0%)", true);
    contains(text, "no difference", false);
    free(text);
    text = compare(FAST, SLOW, false);
    contains(text, "library is 0.500 times as fast as own", true);
    free(text);
    text = compare(FAST, SLOW, true);
    contains(text, "\"verdict\":\"slower\"", true);
    free(text);
}

/* The quartiles differ by more than 30 % of the median. */
static void noisy_rows_are_marked(void **state)
{
    static const double CALM[] = {.010, .010, .010, .010, .010}, NOISY[] = {.010, .010, .020, .090, .500};
    (void)state;
    char *text = compare(CALM, NOISY, false);
    contains(text, "400.0%!", true);
    contains(text, " 0.0%!", false);
    contains(text, "! in 1 row the times differ by more than 30%", true);
    free(text);
    text = compare(NOISY, NOISY, false);
    contains(text, "! in 2 rows the times differ", true);
    free(text);
}

static void margins(void **state)
{
    (void)state;
    assert_int_equal(bench_verdict(1.04, 0.05), BENCH_SAME);
    assert_int_equal(bench_verdict(1.06, 0.05), BENCH_FASTER);
    assert_int_equal(bench_verdict(0.96, 0.05), BENCH_SAME);
    assert_int_equal(bench_verdict(0.95, 0.05), BENCH_SLOWER);
    assert_int_equal(bench_verdict(1, 0), BENCH_SAME);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_have_peaks),
        cmocka_unit_test(peak_of_bytes),
        cmocka_unit_test(peak_has_spread),
        cmocka_unit_test(verdicts),
        cmocka_unit_test(descriptions),
        cmocka_unit_test(lists_of_processors),
        cmocka_unit_test(siblings_of_a_folder),
        cmocka_unit_test(noise_is_no_difference),
        cmocka_unit_test(clear_differences),
        cmocka_unit_test(noisy_rows_are_marked),
        cmocka_unit_test(margins),
        cmocka_unit_test(rounds_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
