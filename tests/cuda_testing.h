/* tests/cuda_testing.h: finds the plug-in for the tests of CUDA (SAPOR_CUDA, otherwise the emulator of this build) and
 * the emulator's own functions in it. */
#ifndef SAPOR_CUDA_TESTING_H
#define SAPOR_CUDA_TESTING_H

#include <dlfcn.h>
#include <libgen.h>
#include <stdlib.h>
#include <unistd.h>

#include "kernels/kernels.h"

typedef struct EmuCounts { /* as in tests/cuda_emu/cuda_runtime.h */
    uint64_t launches, uploads, downloads, waits, graphs;
} EmuCounts;

/* functions of the emulator (tests/cuda_emu/cuda_runtime.h); NULL if the plug-in is for a card */
static int (*emu_fault_count)(void);
static const char *(*emu_fault)(void);
static void (*emu_forget)(void);
static EmuCounts (*emu_count)(void);
static void (*emu_limit)(size_t bytes);

/* Reports whether the plug-in that was given to emu_find is the emulator. */
static inline bool is_emulator(void)
{
    return emu_fault_count != NULL;
}

/* Sets SAPOR_CUDA to the emulator of this build if it is not set: build/tests/NAME has its emulator in build/cuda_emu.
 * If there is none, prints a skipped test and returns false. */
static inline bool use_emulator(void)
{
    if (getenv("SAPOR_CUDA"))
        return true;
    char path[4096], plugin[4200];
    const ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    snprintf(plugin, sizeof plugin, "%s/../cuda_emu/libsapor_cuda.so", dirname(path));
    if (access(plugin, R_OK) == 0)
        return setenv("SAPOR_CUDA", plugin, 1) == 0;
    puts("1..1\nok 1 # SKIP skipped: the emulator is not in this build (it needs g++, and is not in sanitized builds)");
    return false;
}

/* Finds the emulator's functions in an open plug-in. */
static inline void emu_find(const OpenPlugin *o)
{
    *(void **)&emu_fault_count = dlsym(o->library, "emu_faults");
    *(void **)&emu_fault = dlsym(o->library, "emu_first_fault");
    *(void **)&emu_forget = dlsym(o->library, "emu_forget_faults");
    *(void **)&emu_count = dlsym(o->library, "emu_counts");
    *(void **)&emu_limit = dlsym(o->library, "emu_memory_limit");
}

#endif
