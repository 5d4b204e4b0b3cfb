/* kernels/cpu/table.c: The table of one level: the kernels that list.h names. */
#include "kernels/cpu/gemm/tile.h"

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

static void cpu_copy(const Run *run, void *to, const void *from, size_t bytes)
{
    (void)run;
    if (bytes > 0)
        memmove(to, from, bytes);
}

static void cpu_zero(const Run *run, void *p, size_t bytes)
{
    (void)run;
    if (bytes > 0)
        memset(p, 0, bytes);
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
    .copy = cpu_copy,
    .zero = cpu_zero,

#define LIST_KERNEL(name) .name = FN(name),
    KERNEL_LIST(LIST_KERNEL)};
