/* tests/cuda_emu/emu.h: what the parts of the emulator share. Nothing here is compiled with -fsanitize=thread. */
#ifndef SAPOR_EMU_H
#define SAPOR_EMU_H

#include <cuda_runtime.h>

#include "tests/cuda_emu/ptx_emu.h"

enum { EMU_MOST_THREADS = 1024, EMU_WARP = 32, EMU_STACK = 64 << 10 };
enum { EMU_STATIC_SHARED = 48 << 10, EMU_MOST_SHARED = 227 << 10 };

/* ---- a launch (fibers.cc) -------------------------------------------------------------------- */

typedef enum FiberState { FIBER_READY, FIBER_BARRIER, FIBER_WARP, FIBER_DONE } FiberState;
typedef enum WarpOp { OP_NONE, OP_SYNC, OP_SHUFFLE, OP_BALLOT, OP_MMA, OP_LDMATRIX } WarpOp;

typedef struct CopyAsync {
    void *shared;
    const void *global;
    int bytes, valid, group;
} CopyAsync;
enum { EMU_COPIES = 256 };

typedef struct Fiber {
    EmuThread at;
    int number; /* in the block */
    FiberState state;
    const char *file; /* of the barrier it waits at */
    int line;
    WarpOp op;
    int kind;
    uint32_t mask;
    uint64_t value, result;
    int which, width;
    const void *a, *b;
    void *c;
    CopyAsync copies[EMU_COPIES]; /* that were not waited for */
    int copy_count, group;
    void *stack_pointer;
    unsigned char *stack;
} Fiber;

typedef struct Launch {
    const char *name;
    dim3 grid, block;
    size_t dynamic;
    EmuKernel *kernel;
    size_t kernel_bytes;
    uint32_t number; /* of launches, from 1 */
} Launch;

typedef struct Emu {
    bool inside; /* a kernel runs */
    const Launch *launch;
    uint32_t block; /* its number in the grid, from 1 */
    int threads;
    uint32_t barriers;                           /* of the block, so far */
    uint32_t syncs[EMU_MOST_THREADS / EMU_WARP]; /* of each warp */
    Fiber *fiber;                                /* that runs */
    uint64_t order;
    int faults;
    char first[1024];
    EmuCounts counts;
    uint64_t downloads; /* since the program began */
} Emu;
extern Emu emu;

void emu_run(const Launch *l);
bool emu_is_fiber(const void *p); /* a built-in variable of a thread */
/* Keeps the words; inside a kernel it ends the launch and does not return. */
void emu_fault(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- memory (memory.cc) ---------------------------------------------------------------------- */

void emu_block_begins(const Launch *l);
/* What the hooks of the compiler do, for accesses of the emulator's own on behalf of the fiber that runs. */
void emu_access(const void *p, size_t bytes, bool writes, bool atomic, const void *caller);
/* A copy to them begins, which is a write; they may not be read until it is done. */
void emu_write_begins(const void *p, size_t bytes, const void *caller);
/* Whether all bytes are of one cudaMalloc; and in use now, which an arena says. */
bool emu_is_device(const void *p, size_t bytes);
bool emu_in_use(const void *p, size_t bytes);
void emu_show(void *p, size_t bytes);
void emu_hide(void *p, size_t bytes);
void emu_written(const void *p, size_t bytes); /* by the host */

/* ---- the run-time library (runtime.cc) ------------------------------------------------------- */

cudaError_t emu_failed(cudaError_t code); /* which cudaGetLastError then finds */

#endif
