/* kernels/cpu/cpu.h: names of the CPU kernels. Every file of this folder is compiled once a level; K(gemm) is gemm_avx512 there.
 * The functions are as kernels.h declares their members. */
#ifndef SAPOR_CPU_H
#define SAPOR_CPU_H

#include "kernels/cpu/vec.h"

#define K_PASTE_(name, level) name##_##level
#define K_PASTE(name, level)  K_PASTE_(name, level)
#define K(name)               K_PASTE(name, LEVEL)

extern const Kernels K(kernels);

/* Every kernel, by the name of its member in Kernels: declared here with the member's type, listed by table.c. */
/* clang-format off */
#define KERNEL_LIST(LINE)                                                                                                 \
    /* narrow.c, gemm.c */ LINE(gemm_packs) LINE(gemm_pack_bytes) LINE(gemm_pack) LINE(gemm_work) LINE(gemm)                                         \
    /* conv.c, pool.c */ LINE(conv_pack_bytes) LINE(conv_pack) LINE(conv_work) LINE(conv) LINE(max_pool) LINE(mean_pool)  \
    /* attention.c */ LINE(attention_work) LINE(attention) LINE(attention_back_work) LINE(attention_back)                 \
    /* elementwise.c */ LINE(act) LINE(act_back) LINE(binary) LINE(axpby) LINE(add_bias) LINE(dropout) LINE(fill)         \
        LINE(sum_work) LINE(sum) LINE(sum_squares)                                                                        \
    /* norm.c */ LINE(layer_norm) LINE(layer_norm_back_work) LINE(layer_norm_back) LINE(softmax) LINE(softmax_back)       \
        LINE(row_normalize) LINE(row_normalize_back) LINE(row_dot) LINE(row_scale) LINE(row_sum) LINE(col_sum_work)       \
        LINE(col_sum) LINE(copy_cols)                                                                                     \
    /* rows.c */ LINE(gather) LINE(segment_sum) LINE(segment_pool) LINE(segment_pool_back) LINE(group_ids)                \
    /* sparse.c */ LINE(spmm) LINE(sddmm) LINE(edge_softmax) LINE(edge_softmax_back) LINE(edge_row_sum) LINE(edge_scale)  \
    /* topk.c */ LINE(knn_work) LINE(knn) LINE(topk_work) LINE(topk) LINE(topk_rows)                                      \
    /* loss.c */ LINE(bpr)                                                                                                \
    /* optim.c */ LINE(adam) LINE(adam_replay) LINE(adam_rows) LINE(adam_factored_work) LINE(adam_factored) LINE(sgd)
/* clang-format on */

#define DECLARE_KERNEL(name) extern __typeof__(*((const Kernels *)0)->name) K(name);
KERNEL_LIST(DECLARE_KERNEL)

/* y = act(x), n numbers by one thread; y may be x (elementwise.c) */
void K(act_span)(Act act, float param, int64_t n, const float *x, float *y);

#endif
