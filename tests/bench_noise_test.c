/* tests/bench_noise_test.c: how `sapor bench` measures: the loops of the peaks, and tables with noise. */
#include "tests/testing.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_have_peaks),
        cmocka_unit_test(peak_of_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
