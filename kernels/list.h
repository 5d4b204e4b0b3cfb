/* kernels/list.h: the list of all kernels that compute. Each kernel has the name of its member in Kernels; comments
 * name its file in kernels/cpu/. The tables of the CPU and of CUDA are generated from this list; their entries for
 * memory and the device are written by hand. */
#ifndef SAPOR_KERNEL_LIST_H
#define SAPOR_KERNEL_LIST_H

/* clang-format off */
#define KERNEL_LIST(LINE) \
    /* types.c */ LINE(supports) LINE(convert) \
    /* gemm/narrow.c, gemm/gemm.c */ LINE(gemm_packs) LINE(gemm_pack_bytes) LINE(gemm_pack) LINE(gemm_work) \
        LINE(gemm_way) LINE(gemm) \
    /* image/ */ LINE(conv_pack_bytes) LINE(conv_pack) LINE(conv_work) LINE(conv_way) LINE(conv) \
        LINE(max_pool) LINE(mean_pool) LINE(channel_scale) \
    /* attention.c */ LINE(attention_work) LINE(attention_way) LINE(attention) \
    /* elementwise.c */ LINE(act) LINE(act_back) LINE(binary) LINE(broadcast) LINE(unary) LINE(noise) LINE(axpby) \
        LINE(add_bias) LINE(dropout) LINE(fill) LINE(sum_work) LINE(sum) LINE(sum_squares) \
    /* norm.c */ LINE(layer_norm) LINE(layer_norm_back_work) LINE(layer_norm_back) LINE(softmax) LINE(softmax_back) \
        LINE(row_normalize) LINE(row_normalize_back) LINE(row_dot) LINE(row_scale) LINE(row_sum) LINE(log_sum_exp) \
        LINE(col_sum_work) LINE(col_sum) LINE(copy_cols) \
    /* gather.c */ LINE(gather) LINE(segment_sum) LINE(segment_pool) LINE(segment_pool_back) \
    /* sparse.c */ LINE(spmm) LINE(sddmm) LINE(edge_softmax) LINE(edge_softmax_back) LINE(edge_row_sum) \
        LINE(edge_scale) LINE(inverse_root) LINE(inverse_root_back) \
    /* topk.c */ LINE(knn_work) LINE(knn) LINE(topk_work) LINE(topk_way) LINE(topk) LINE(topk_rows) \
    /* loss.c */ LINE(bpr) LINE(bpr_back) \
    /* optim.c */ LINE(adam) LINE(adam_replay) LINE(adam_note) LINE(adam_rows) LINE(adam_factored_work) \
        LINE(adam_factored) LINE(sgd) \
    KERNEL_TRAINING_LIST(LINE)

/* Kernels for the training of encoders and for the index of large item graphs, and optimisers that no recommender uses
 * yet. A MINIMAL build does not have these kernels: the members of its table are NULL. */
#ifdef SAPOR_MINIMAL
#define KERNEL_TRAINING_LIST(LINE)
#else
#define KERNEL_TRAINING_LIST(LINE) \
    /* image/ */ LINE(conv_back_work) LINE(conv_back) LINE(max_pool_back) LINE(mean_pool_back) LINE(channel_dot) \
        LINE(batch_norm_work) LINE(batch_norm) LINE(batch_norm_back_work) LINE(batch_norm_back) \
    /* attention.c */ LINE(attention_back_work) LINE(attention_back) \
    /* gemm/unpack.c */ LINE(gemm_unpack) \
    /* knn_lists.c */ LINE(knn_lists_work) LINE(knn_lists) \
    /* optim.c */ LINE(adagrad) LINE(rmsprop) LINE(clip_factor)
#endif
/* clang-format on */

#endif
