/* tests/cuda_models.h: shared by the tests that compare a GPU, or the emulator, with the CPU. Include it after cmocka's
 * header. */
#ifndef SAPOR_TESTS_CUDA_MODELS_H
#define SAPOR_TESTS_CUDA_MODELS_H

#include <math.h>

#include "tests/cuda_testing.h"
#include "tests/testing.h"

/* Opens the device "cuda": a card or the emulator. */
static inline void open_gpu(Device *d)
{
    Error e = {0};
    assert_ok(device_open(d, "cuda", 2, NULL, NULL, &e), e);
    emu_find(&d->plugin);
}

/* Skips the test if the device is a card, after closing the device and printing `why`. Returns if it is the emulator.
 */
static inline void emulator_only(Device *d, const char *why)
{
    if (is_emulator())
        return;
    device_close(d);
    print_message("skipped: %s\n", why);
    skip();
}

/* Returns the largest |x - y| / (1 + |x|) of n numbers. Infinity: one of these is NaN. */
static inline double largest_difference(const float *x, const float *y, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        double difference = fabs((double)x[i] - (double)y[i]) / (1 + fabs((double)x[i]));
        most = isnan(difference) ? INFINITY : fmax(most, difference);
    }
    return most;
}

static inline void assert_near(const char *name, const char *what, double most, double tolerance)
{
    print_message("  %-40s %s: largest difference %.2g\n", name, what, most);
    if (!(most <= tolerance))
        fail_msg("%s: %s: differs by %g from the CPU, expected %g", name, what, most, tolerance);
}

#endif
