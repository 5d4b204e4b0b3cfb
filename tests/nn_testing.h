/* tests/nn_testing.h: shared by the tests of nn/: a device, parameters with known numbers, host copies. */
#ifndef SAPOR_NN_TESTING_H
#define SAPOR_NN_TESTING_H

#include "tests/testing.h"

#include "nn/tape.h"

static Error error;

static inline Device test_device(const Heap *heap, int threads)
{
    Device d;
    assert_ok(device_open(&d, NULL, threads, heap, NULL, &error), error);
    return d;
}

/* Returns number i of the stream `seed`. Its magnitude is at least 0.2, so that a kink at 0 does not disturb finite
 * differences. */
static inline float test_number(uint64_t seed, int64_t i)
{
    float u = 2 * draw_uniform((Draw){seed, DRAW_TEST, 0}, (uint64_t)i) - 1;
    return u < 0 ? u * 0.8f - 0.2f : u * 0.8f + 0.2f;
}

/* Returns the first n numbers of the stream `seed`. The caller frees them. */
static inline float *test_numbers(uint64_t seed, int64_t n)
{
    float *x = malloc((size_t)MAX(n, 1) * sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < n; i++)
        x[i] = test_number(seed, i);
    return x;
}

/* Makes a parameter from the first numbers of the stream `seed`. cols 0: a vector of `rows` numbers. */
static inline Tensor *test_param(Store *s, const char *name, int64_t rows, int64_t cols, uint64_t seed)
{
    float *x = test_numbers(seed, rows * MAX(cols, 1));
    Tensor *p = param_from(s, name, rows, cols, x, &error);
    free(x);
    assert_non_null(p);
    return p;
}

/* Copies a tensor to host memory. The caller frees the copy. */
static inline float *test_read(const Device *d, const Tensor *x)
{
    float *host = malloc((size_t)MAX(x->count, 1) * sizeof *host);
    assert_non_null(host);
    tensor_read(d, x, 0, x->count, host);
    return host;
}

/* Fails the test if an op of the tape failed. */
static inline void tape_must(Tape *t)
{
    Error e = {0};
    if (!tape_ok(t, &e))
        fail_msg("%s", e.message);
}

#endif
