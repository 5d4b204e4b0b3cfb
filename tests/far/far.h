/* tests/far/far.h: the far device. The host cannot access its memory. With this device,
 * code for devices can be tested on a machine that has no GPU.
 *
 * The memory has two addresses. The address that `alloc` returns is never readable or writable: a host access is a
 * SIGSEGV. Only this folder uses the other address. A wrapper round every entry of the CPU's table (entries.h) checks
 * that each pointer argument is a pointer of the device, replaces it by the other address, and calls the CPU's kernel.
 * So results have the CPU's bits, kernels and threads are as fast as on the CPU, and the first address stays
 * inaccessible while a kernel runs.
 *
 * Each allocation has pages of its own, with an inaccessible page after them. It is filled with 0xff at first, and its
 * pages become inaccessible when it is freed. A kernel that reads or writes outside of these pages, or after the free,
 * faults too. */
#ifndef SAPOR_TESTS_FAR_H
#define SAPOR_TESTS_FAR_H

#include "nn/nn.h"

typedef struct FarCounts { /* since far_reset */
    uint64_t kernels;      /* calls */
    uint64_t uploads, upload_bytes, downloads, download_bytes, copies, allocations;
    uint64_t host_pointers; /* arguments that should be pointers to memory of the device but are not */
    char first[160];        /* the first of the arguments that `host_pointers` counts: "axpby: x" */
} FarCounts;

/* Replaces an open CPU device by the far device. A program may have one far device at a time.
 *
 * If the environment variable SAPOR_TEST_DEVICE is "far", device_open does this for every device that a test program
 * opens (the linker replaces device_open by __wrap_device_open). A program that passed a pointer of the host to a
 * kernel then ends with status 1. */
void far_device(Device *d);
void far_reset(void);
FarCounts far_counts(void);
uint64_t far_live_bytes(void); /* allocated and not freed */

#endif
