/* The table of one level: one line a kernel. */
#include "kernels/cpu/cpu.h"

#define TEXT_OF_(x) #x
#define TEXT_OF(x)  TEXT_OF_(x)

static void *cpu_alloc(const Heap *heap, size_t bytes)
{
    return heap_alloc(heap, bytes);
}

static void cpu_free(const Heap *heap, void *p, size_t bytes)
{
    heap_free(heap, p, bytes);
}

static void cpu_copy(const Run *run, void *to, const void *from, size_t bytes)
{
    (void)run;
    if (bytes > 0) {
        memmove(to, from, bytes);
    }
}

static void cpu_zero(const Run *run, void *p, size_t bytes)
{
    (void)run;
    if (bytes > 0) {
        memset(p, 0, bytes);
    }
}

const Kernels K(kernels) = {
    .bytes = sizeof(Kernels),
    .version = KERNELS_VERSION,
    .device = "cpu",
    .level = TEXT_OF(LEVEL),

    .alloc = cpu_alloc,
    .free = cpu_free,
    .upload = cpu_copy,
    .download = cpu_copy,
    .copy = cpu_copy,
    .zero = cpu_zero,

    .gemm_pack_bytes = K(gemm_pack_bytes),
    .gemm_pack = K(gemm_pack),
    .gemm_work = K(gemm_work),
    .gemm = K(gemm),

    .conv_pack_bytes = K(conv_pack_bytes),
    .conv_pack = K(conv_pack),
    .conv_work = K(conv_work),
    .conv = K(conv),
    .max_pool = K(max_pool),
    .mean_pool = K(mean_pool),

    .attention_work = K(attention_work),
    .attention = K(attention),
};
