/* kernels/cpu/table.c: the table of one level, with the kernels that list.h names, and the memory functions of the CPU.
 */
#include "kernels/cpu/gemm/tile.h"
#include "kernels/cpu/loops.h"

#define TEXT_OF_(x) #x
#define TEXT_OF(x)  TEXT_OF_(x)

static void *cpu_alloc(const Run *run, const Heap *heap, size_t bytes)
{
    (void)run;
    return heap_alloc(heap, bytes);
}

static void cpu_free(const Run *run, const Heap *heap, void *p, size_t bytes)
{
    (void)run;
    heap_free(heap, p, bytes);
}

enum { PIECE = 1 << 20 }; /* bytes per task */

typedef struct Bytes {
    char *to;
    const char *from;
} Bytes;

static void copy_range(const void *arg, int64_t first, int64_t last)
{
    const Bytes *b = arg;
    memcpy(b->to + first, b->from + first, (size_t)(last - first));
}

static void zero_range(const void *arg, int64_t first, int64_t last)
{
    const Bytes *b = arg;
    memset(b->to + first, 0, (size_t)(last - first));
}

static void cpu_copy(const Run *run, void *to, const void *from, size_t bytes)
{
    const Bytes b = {to, from};
    const uintptr_t a = (uintptr_t)to, z = (uintptr_t)from;
    if (bytes == 0)
        return;
    if (a > z ? a - z < bytes : z - a < bytes) /* they overlap */
        memmove(to, from, bytes);
    else
        run_ranges(run, (int64_t)bytes, PIECE, copy_range, &b);
}

static void cpu_zero(const Run *run, void *p, size_t bytes)
{
    const Bytes b = {.to = p};
    run_ranges(run, (int64_t)bytes, PIECE, zero_range, &b);
}

static bool cpu_check(const Run *run, Error *e)
{
    (void)run, (void)e;
    return true;
}

static void cpu_memory(const Run *run, size_t *available, size_t *total)
{
    (void)run;
    *available = *total = 0;
}

static void cpu_arrive(const Run *run, const void *host)
{
    (void)run, (void)host;
}

static void cpu_step(const Run *run)
{
    (void)run;
}

static double cpu_clock(const Run *run)
{
    (void)run;
    return now_seconds();
}

static void cpu_range(const Run *run, const char *op)
{
    (void)run, (void)op;
}

const Kernels FN(kernels) = {
    .bytes = sizeof(Kernels),
    .version = KERNELS_VERSION,
    .device = "cpu",
    .level = TEXT_OF(LEVEL),
    .about = "vectors of " TEXT_OF(VW) " floats; a register tile is " TEXT_OF(TILE_ROWS) " rows by 2 vectors",

    .alloc = cpu_alloc,
    .free = cpu_free,
    .upload = cpu_copy,
    .download = cpu_copy,
    .download_later = cpu_copy,
    .arrive = cpu_arrive,
    .copy = cpu_copy,
    .zero = cpu_zero,
    .check = cpu_check,
    .memory = cpu_memory,
    .step_begin = cpu_step,
    .step_end = cpu_step,
    .clock = cpu_clock,
    .range = cpu_range,

#define LIST_KERNEL(name) .name = FN(name),
    KERNEL_LIST(LIST_KERNEL)};
