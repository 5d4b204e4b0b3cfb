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

/* A cp.async of a thread: `valid` of the `bytes` are copied, the others become zero. */
typedef struct CopyAsync {
    void *shared;
    const void *global;
    int bytes, valid, group; /* group: the number of commits before it */
} CopyAsync;
enum { EMU_COPIES = 256 };

typedef struct Fiber {
    EmuThread at;
    int number; /* number in the block */
    FiberState state;
    const char *file; /* file and line of the barrier at which it waits */
    int line;
    /* the operation of a warp in which it takes part */
    WarpOp op;
    int kind; /* EmuShuffle, EmuMma, or of ldmatrix: 1 if transposed */
    uint32_t mask;
    uint64_t value, result;
    int which, width;             /* of a shuffle: the lane, distance or XOR mask; the lanes of a group */
    const void *a, *b;            /* of mma: fragments; of ldmatrix: `a` is the row's address */
    void *c;                      /* of mma: the sums; of ldmatrix: the result */
    CopyAsync copies[EMU_COPIES]; /* copies that the thread has not waited for */
    int copy_count, group;        /* group: the number of commits so far */
    void *stack_pointer;          /* while the fiber does not run */
    unsigned char *stack;         /* [EMU_STACK] */
} Fiber;

typedef struct Launch {
    const char *name;
    dim3 grid, block;
    size_t dynamic; /* bytes of dynamic shared memory */
    EmuKernel *kernel;
    size_t kernel_bytes; /* of *kernel, which holds the arguments */
    uint32_t number;     /* counts the launches, from 1 */
} Launch;

typedef struct Emu {
    bool inside; /* true while a kernel runs */
    const Launch *launch;
    uint32_t block; /* number of the block in the grid, from 1 */
    int threads;
    uint32_t barriers;                           /* barriers of the block so far */
    uint32_t syncs[EMU_MOST_THREADS / EMU_WARP]; /* __syncwarp of all lanes of each warp so far */
    Fiber *fiber;                                /* the fiber that runs */
    uint64_t order;                              /* emu_order */
    int faults;                                  /* since emu_forget_faults */
    char first[1024];                            /* the text of the first one */
    EmuCounts counts;
    uint64_t downloads; /* since the program began */
} Emu;
extern Emu emu;

void emu_run(const Launch *l);
/* Reports whether p points into the Fiber of a thread, which has threadIdx and the other built-in variables. A kernel
 * may read these. */
bool emu_in_fiber(const void *p);
/* Counts a fault and keeps the text of the first one. Inside a kernel it ends the launch and does not return. */
void emu_fault(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- memory (memory.cc) ---------------------------------------------------------------------- */

void emu_block_begins(const Launch *l);
/* Checks and records an access that the emulator itself makes for the running fiber, as the compiler's calls do for
 * other accesses. */
void emu_access(const void *p, size_t bytes, bool writes, bool atomic, const void *caller);
/* Records that a copy to these bytes begins, which is a write. The bytes may not be read until the copy is done. */
void emu_write_begins(const void *p, size_t bytes, const void *caller);
/* emu_is_device reports whether all bytes belong to one cudaMalloc. emu_in_use reports whether they are also in use
 * now: emu_show declares a part as in use, emu_hide ends this (MEMORY_SHOW and MEMORY_HIDE in memory.cu). */
bool emu_is_device(const void *p, size_t bytes);
bool emu_in_use(const void *p, size_t bytes);
void emu_show(void *p, size_t bytes);
void emu_hide(void *p, size_t bytes);
void emu_written(const void *p, size_t bytes); /* Records that the host wrote these bytes. */

/* ---- the run-time library (runtime.cc) ------------------------------------------------------- */

cudaError_t emu_failed(cudaError_t code); /* cudaGetLastError then returns the code */

#endif
