/* tests/device_testing.h: an arena and an open device, which all tests of a program share. For tests of encoders. */
#ifndef SAPOR_DEVICE_TESTING_H
#define SAPOR_DEVICE_TESTING_H

#include "nn/nn.h" /* before cmocka, which has a macro named fail */

#include "tests/testing.h"

typedef struct TestBench {
    Error e;
    Arena *a;
    Device d;
} TestBench;

/* Opens the device with this number of threads. A test program calls it in its setup function. */
static inline int bench_open(void **state, int threads)
{
    TestBench *b = calloc(1, sizeof *b);
    b->a = arena_new(NULL, 0);
    *state = b;
    return device_open(&b->d, NULL, threads, NULL, NULL, &b->e) ? 0 : -1;
}

static inline int tear_down(void **state)
{
    TestBench *b = *state;
    device_close(&b->d);
    arena_free(b->a);
    free(b);
    return 0;
}

#endif
