/* tests/bench_noise_test.c: how `sapor bench` measures: the loops of the peaks, and tables with noise. */
#include "tests/testing.h"

#include <math.h>
#include <sys/stat.h>

#include "kernels/cpu/forms.h"
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_have_peaks),    cmocka_unit_test(peak_of_bytes),
        cmocka_unit_test(peak_has_spread),      cmocka_unit_test(verdicts),
        cmocka_unit_test(descriptions),         cmocka_unit_test(lists_of_processors),
        cmocka_unit_test(siblings_of_a_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
