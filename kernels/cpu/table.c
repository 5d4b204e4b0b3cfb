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
    .attention_back_work = K(attention_back_work),
    .attention_back = K(attention_back),

    .act = K(act),
    .act_back = K(act_back),
    .binary = K(binary),
    .axpby = K(axpby),
    .add_bias = K(add_bias),
    .dropout = K(dropout),
    .fill = K(fill),
    .sum_work = K(sum_work),
    .sum = K(sum),
    .sum_squares = K(sum_squares),

    .layer_norm = K(layer_norm),
    .layer_norm_back_work = K(layer_norm_back_work),
    .layer_norm_back = K(layer_norm_back),
    .softmax = K(softmax),
    .softmax_back = K(softmax_back),
    .row_normalize = K(row_normalize),
    .row_normalize_back = K(row_normalize_back),
    .row_dot = K(row_dot),
    .row_scale = K(row_scale),
    .row_sum = K(row_sum),
    .col_sum_work = K(col_sum_work),
    .col_sum = K(col_sum),
    .copy_cols = K(copy_cols),

    .gather = K(gather),
    .segment_sum = K(segment_sum),
    .segment_pool = K(segment_pool),
    .segment_pool_back = K(segment_pool_back),
    .group_ids = K(group_ids),

    .spmm = K(spmm),
    .sddmm = K(sddmm),
    .edge_softmax = K(edge_softmax),
    .edge_softmax_back = K(edge_softmax_back),
    .edge_row_sum = K(edge_row_sum),
    .edge_scale = K(edge_scale),

    .knn_work = K(knn_work),
    .knn = K(knn),
    .topk_work = K(topk_work),
    .topk = K(topk),
    .topk_rows = K(topk_rows),

    .bpr = K(bpr),

    .adam = K(adam),
    .adam_replay = K(adam_replay),
    .adam_rows = K(adam_rows),
    .adam_factored_work = K(adam_factored_work),
    .adam_factored = K(adam_factored),
    .sgd = K(sgd),
};
