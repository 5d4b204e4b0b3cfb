/* tests/device_testing.h: an arena and an open device for a whole program, for tests of encoders. */
#ifndef SAPOR_DEVICE_TESTING_H
#define SAPOR_DEVICE_TESTING_H

#include "nn/nn.h" /* before cmocka, which has a macro named fail */

#include "tests/testing.h"

typedef struct Bench {
    Error e;
    Arena *a;
    Device d;
} Bench;

static inline int bench_open(void **state, int threads)
{
    Bench *b = calloc(1, sizeof *b);
    b->a = arena_new(NULL, 0);
    *state = b;
    return device_open(&b->d, NULL, threads, NULL, NULL, &b->e) ? 0 : -1;
}

static inline int tear_down(void **state)
{
    Bench *b = *state;
    device_close(&b->d);
    arena_free(b->a);
    free(b);
    return 0;
}

#endif
