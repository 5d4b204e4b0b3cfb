/* kernels/cpu/cpu.h: names of the CPU kernels. Every file of this folder is compiled once a level; K(gemm) is gemm_avx512 there.
 * The functions are as kernels.h declares their members. */
#ifndef SAPOR_CPU_H
#define SAPOR_CPU_H

#include "kernels/cpu/vec.h"

#define K_PASTE_(name, level) name##_##level
#define K_PASTE(name, level)  K_PASTE_(name, level)
#define K(name)               K_PASTE(name, LEVEL)

extern const Kernels K(kernels);

/* gemm.c */
size_t K(gemm_pack_bytes)(int64_t K, int64_t N);
void K(gemm_pack)(const Run *run, int64_t K, int64_t N, const float *B, int64_t b_row, int64_t b_col, void *packed);
size_t K(gemm_work)(const Gemm *g, int threads);
void K(gemm)(const Run *run, const Gemm *g);

/* conv.c, pool.c */
size_t K(conv_pack_bytes)(const Conv *c);
void K(conv_pack)(const Run *run, const Conv *c, const float *weights, void *packed);
size_t K(conv_work)(const Conv *c, int threads);
void K(conv)(const Run *run, const Conv *c);
void K(max_pool)(const Run *run, int64_t B, int64_t H, int64_t W, int64_t C, int64_t k, int64_t stride, int64_t pad,
                 const float *x, float *y);
void K(mean_pool)(const Run *run, int64_t B, int64_t HW, int64_t C, const float *x, float *y);

/* attention.c */
size_t K(attention_work)(const Attention *t, int threads);
void K(attention)(const Run *run, const Attention *t);
size_t K(attention_back_work)(const AttentionBack *t, int threads);
void K(attention_back)(const Run *run, const AttentionBack *t);

/* The rest is declared with the types of the table's members. */
#define KERNEL(name) extern __typeof__(*((const Kernels *)0)->name) K(name)
/* elementwise.c */
KERNEL(act);
KERNEL(act_back);
KERNEL(binary);
KERNEL(axpby);
KERNEL(add_bias);
KERNEL(dropout);
KERNEL(fill);
KERNEL(sum_work);
KERNEL(sum);
KERNEL(sum_squares);
/* norm.c */
KERNEL(layer_norm);
KERNEL(layer_norm_back_work);
KERNEL(layer_norm_back);
KERNEL(softmax);
KERNEL(softmax_back);
KERNEL(row_normalize);
KERNEL(row_normalize_back);
KERNEL(row_dot);
KERNEL(row_scale);
KERNEL(row_sum);
KERNEL(col_sum_work);
KERNEL(col_sum);
KERNEL(copy_cols);
/* rows.c */
KERNEL(gather);
KERNEL(segment_sum);
KERNEL(segment_pool);
KERNEL(segment_pool_back);
KERNEL(group_ids);
/* sparse.c */
KERNEL(spmm);
KERNEL(sddmm);
KERNEL(edge_softmax);
KERNEL(edge_softmax_back);
KERNEL(edge_row_sum);
KERNEL(edge_scale);
/* topk.c */
KERNEL(knn_work);
KERNEL(knn);
KERNEL(topk_work);
KERNEL(topk);
KERNEL(topk_rows);
/* loss.c */
KERNEL(bpr);
/* optim.c */
KERNEL(adam);
KERNEL(adam_replay);
KERNEL(adam_rows);
KERNEL(adam_factored_work);
KERNEL(adam_factored);
KERNEL(sgd);
#endif
