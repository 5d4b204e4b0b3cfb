/* tests/far/far.h: a device whose memory the host cannot touch, for tests without a GPU.
 *
 * Its memory has two addresses. The one that `alloc` gives is never readable or writable: a host access is a SIGSEGV.
 * The other is known to this folder alone: a wrapper round every entry of the CPU's table (entries.h) checks that each
 * pointer it was given is the device's, replaces it by the other address, and calls the CPU's kernel. So results have
 * the CPU's bits, kernels and threads are as fast as on the CPU, and nothing is opened while a kernel runs.
 *
 * Each allocation has pages of its own, is full of 0xff at first, and is gone when it is freed: a kernel that reads or
 * writes outside of one, or after its end, faults too. */
#ifndef SAPOR_TESTS_FAR_H
#define SAPOR_TESTS_FAR_H

#include "nn/nn.h"

typedef struct FarCounts { /* since far_reset */
    uint64_t kernels;      /* calls */
    uint64_t uploads, upload_bytes, downloads, download_bytes, copies, allocations;
    uint64_t host_pointers; /* arguments that had to be pointers of the device and were not */
    char first[160];        /* the first of these: "axpby: x" */
} FarCounts;

/* Puts the far device in the place of an open CPU device. One at a time in a program.
 *
 * Where the environment's SAPOR_TEST_DEVICE is "far", device_open does so for every device that a test program opens
 * (the linker puts __wrap_device_open in its place), and a program that gave a kernel a pointer of the host ends with
 * status 1. */
void far_device(Device *d);
void far_reset(void);
FarCounts far_counts(void);
uint64_t far_live_bytes(void); /* allocated and not freed */

#endif
