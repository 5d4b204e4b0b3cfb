/* tests/far/entries.h: the kernels of the far device, one line per kernel. The far device (far.h) is a device of the
 * tests, whose memory the host cannot read. Each of its kernels is a wrapper round a kernel of the CPU. A kernel
 * without a line does not compile (far.c).
 *
 *   LINE(name, (parameters), (arguments))
 *
 * An argument that is a pointer to memory of the device is in DEV(). An argument of type `Run`, or of another struct
 * with such pointers, is in a macro of its own (far.c). All other arguments are passed unchanged.
 *
 * By contract, these values are in host memory: the descriptors themselves (Run, Gemm, Conv, Attention, Sparse,
 * Exclude, BprPart, ...; a launch copies them), the numbers of an optimiser's step (AdamStep, SgdStep, ...), and the
 * host's side of upload and download.
 *
 * FAR_UNWRAPPED lists entries that compute nothing: the CPU's own functions are used. Their descriptors have the
 * device's addresses, so that an entry that reads such an address causes a fault. */
#ifndef SAPOR_TESTS_FAR_ENTRIES_H
#define SAPOR_TESTS_FAR_ENTRIES_H

/* clang-format off */
#define FAR_UNWRAPPED(LINE) \
    LINE(check) LINE(memory) LINE(step_begin) LINE(step_end) LINE(clock) LINE(range) \
    LINE(supports) \
    LINE(gemm_packs) LINE(gemm_pack_bytes) LINE(gemm_work) LINE(gemm_way) \
    LINE(conv_pack_bytes) LINE(conv_work) LINE(conv_way) LINE(conv_back_work) \
    LINE(batch_norm_work) LINE(batch_norm_back_work) \
    LINE(layer_norm_back_work) LINE(col_sum_work) LINE(sum_work) \
    LINE(attention_work) LINE(attention_way) LINE(attention_back_work) \
    LINE(knn_work) LINE(knn_lists_work) LINE(topk_work) LINE(topk_way) LINE(adam_factored_work)

#define FAR_MEMORY(LINE) \
    LINE(alloc) LINE(free) LINE(upload) LINE(download) LINE(download_later) LINE(arrive) LINE(copy) LINE(zero)

#define FAR_ENTRIES(LINE) \
    LINE(convert, (const Run *run, int64_t n, DType x_type, const void *x, DType y_type, void *y), \
          (RUN(run), n, x_type, DEV(x), y_type, DEV(y))) \
    LINE(gemm_pack, (const Run *run, Pack pack, int64_t K, int64_t N, const float *B, int64_t b_row, int64_t b_col, \
                      void *packed), (RUN(run), pack, K, N, DEV(B), b_row, b_col, DEV(packed))) \
    LINE(gemm_unpack, (const Run *run, Pack pack, int64_t K, int64_t N, const void *packed, int64_t first, \
                        int64_t n, float *B, int64_t ldb), \
          (RUN(run), pack, K, N, DEV(packed), first, n, DEV(B), ldb)) \
    LINE(gemm, (const Run *run, const Gemm *g), (RUN(run), GEMM(g))) \
    LINE(conv_pack, (const Run *run, const Conv *c, const float *weights, void *packed), \
          (RUN(run), CONV(c), DEV(weights), DEV(packed))) \
    LINE(conv, (const Run *run, const Conv *c), (RUN(run), CONV(c))) \
    LINE(max_pool, (const Run *run, int64_t B, int64_t H, int64_t W, int64_t C, int64_t k, int64_t stride, \
                     int64_t pad, const float *x, float *y), (RUN(run), B, H, W, C, k, stride, pad, DEV(x), DEV(y))) \
    LINE(mean_pool, (const Run *run, int64_t B, int64_t HW, int64_t C, const float *x, float *y), \
          (RUN(run), B, HW, C, DEV(x), DEV(y))) \
    LINE(channel_scale, (const Run *run, int64_t B, int64_t HW, int64_t C, const float *x, const float *s, float *y), \
          (RUN(run), B, HW, C, DEV(x), DEV(s), DEV(y))) \
    LINE(channel_dot, (const Run *run, int64_t B, int64_t HW, int64_t C, const float *a, const float *b, float *y), \
          (RUN(run), B, HW, C, DEV(a), DEV(b), DEV(y))) \
    LINE(conv_back, (const Run *run, const ConvBack *c), (RUN(run), CONV_BACK(c))) \
    LINE(max_pool_back, (const Run *run, int64_t B, int64_t H, int64_t W, int64_t C, int64_t k, int64_t stride, \
                          int64_t pad, const float *x, const float *y, const float *dy, float *dx), \
          (RUN(run), B, H, W, C, k, stride, pad, DEV(x), DEV(y), DEV(dy), DEV(dx))) \
    LINE(mean_pool_back, (const Run *run, int64_t B, int64_t HW, int64_t C, const float *dy, float *dx), \
          (RUN(run), B, HW, C, DEV(dy), DEV(dx))) \
    LINE(batch_norm, (const Run *run, const BatchNorm *b), (RUN(run), BATCH_NORM(b))) \
    LINE(batch_norm_back, (const Run *run, const BatchNormBack *b), (RUN(run), BATCH_NORM_BACK(b))) \
    LINE(layer_norm, (const Run *run, int64_t M, int64_t C, DType type, const void *x, const void *residual, \
          const float *gamma, const float *beta, float eps, void *y, float *mean, float *rstd), (RUN(run), \
          M, C, type, DEV(x), DEV(residual), DEV(gamma), DEV(beta), eps, DEV(y), DEV(mean), DEV(rstd))) \
    LINE(layer_norm_back, (const Run *run, int64_t M, int64_t C, const float *x, const float *residual, \
                            const float *gamma, const float *mean, const float *rstd, const float *dy, float *dx, \
                            float *dgamma, float *dbeta), \
          (RUN(run), M, C, DEV(x), DEV(residual), DEV(gamma), DEV(mean), DEV(rstd), DEV(dy), DEV(dx), DEV(dgamma), \
           DEV(dbeta))) \
    LINE(softmax, (const Run *run, int64_t M, int64_t C, const float *x, float *y), (RUN(run), M, C, DEV(x), DEV(y))) \
    LINE(softmax_back, (const Run *run, int64_t M, int64_t C, const float *y, const float *dy, float *dx), \
          (RUN(run), M, C, DEV(y), DEV(dy), DEV(dx))) \
    LINE(row_normalize, (const Run *run, int64_t M, int64_t C, float eps, const float *x, float *y, float *norm), \
          (RUN(run), M, C, eps, DEV(x), DEV(y), DEV(norm))) \
    LINE(row_normalize_back, (const Run *run, int64_t M, int64_t C, float eps, const float *y, const float *norm, \
                               const float *dy, float *dx), \
          (RUN(run), M, C, eps, DEV(y), DEV(norm), DEV(dy), DEV(dx))) \
    LINE(row_dot, (const Run *run, int64_t M, int64_t C, const float *a, const float *b, float *y), \
          (RUN(run), M, C, DEV(a), DEV(b), DEV(y))) \
    LINE(row_scale, (const Run *run, int64_t M, int64_t C, const float *x, const float *s, float beta, float *y), \
          (RUN(run), M, C, DEV(x), DEV(s), beta, DEV(y))) \
    LINE(row_sum, (const Run *run, int64_t M, int64_t C, const float *x, float *y), (RUN(run), M, C, DEV(x), DEV(y))) \
    LINE(log_sum_exp, (const Run *run, int64_t M, int64_t C, const float *x, float *y), \
          (RUN(run), M, C, DEV(x), DEV(y))) \
    LINE(col_sum, (const Run *run, int64_t M, int64_t C, const float *x, float beta, float *y), \
          (RUN(run), M, C, DEV(x), beta, DEV(y))) \
    LINE(copy_cols, (const Run *run, int64_t M, int64_t C, const float *x, int64_t ldx, float beta, float *y, \
                      int64_t ldy), (RUN(run), M, C, DEV(x), ldx, beta, DEV(y), ldy)) \
    LINE(attention, (const Run *run, const Attention *a), (RUN(run), ATTENTION(a))) \
    LINE(attention_back, (const Run *run, const AttentionBack *a), (RUN(run), ATTENTION_BACK(a))) \
    LINE(act, (const Run *run, int64_t n, Act act, float param, DType type, const void *x, void *y), (RUN(run), \
          n, act, param, type, DEV(x), DEV(y))) \
    LINE(act_back, (const Run *run, int64_t n, Act act, float param, const float *x, const float *dy, float *dx), \
          (RUN(run), n, act, param, DEV(x), DEV(dy), DEV(dx))) \
    LINE(binary, (const Run *run, int64_t n, Binary op, const float *a, const float *b, float *y), \
          (RUN(run), n, op, DEV(a), DEV(b), DEV(y))) \
    LINE(broadcast, (const Run *run, int64_t M, int64_t C, Binary op, Spread how, const float *x, const float *v, \
                      float *y), (RUN(run), M, C, op, how, DEV(x), DEV(v), DEV(y))) \
    LINE(unary, (const Run *run, int64_t n, Unary op, float lo, float hi, const float *x, float *y), \
          (RUN(run), n, op, lo, hi, DEV(x), DEV(y))) \
    LINE(noise, (const Run *run, int64_t n, Noise kind, Draw d, uint64_t first, float *y), \
          (RUN(run), n, kind, d, first, DEV(y))) \
    LINE(axpby, (const Run *run, int64_t n, float a, const float *x, float b, float *y), \
          (RUN(run), n, a, DEV(x), b, DEV(y))) \
    LINE(add_bias, (const Run *run, int64_t M, int64_t C, DType type, const void *x, const float *bias, Act act, \
          float param, void *y), (RUN(run), M, C, type, DEV(x), DEV(bias), act, param, DEV(y))) \
    LINE(dropout, (const Run *run, int64_t n, float p, Draw d, uint64_t first, const float *x, float *y), \
          (RUN(run), n, p, d, first, DEV(x), DEV(y))) \
    LINE(fill, (const Run *run, int64_t n, float value, float *y), (RUN(run), n, value, DEV(y))) \
    LINE(sum, (const Run *run, int64_t n, const float *x, float *out), (RUN(run), n, DEV(x), DEV(out))) \
    LINE(sum_squares, (const Run *run, int64_t n, const float *x, float *out), (RUN(run), n, DEV(x), DEV(out))) \
    LINE(gather, (const Run *run, int64_t n, int64_t D, DType type, const void *table, const int32_t *ids, float \
          beta, float *y), (RUN(run), n, D, type, DEV(table), DEV(ids), beta, DEV(y))) \
    LINE(segment_sum, (const Run *run, int64_t S, int64_t D, const int64_t *start, const int32_t *order, const \
          int32_t *to, DType type, const void *x, float scale, float beta, float *y), (RUN(run), S, D, \
          DEV(start), DEV(order), DEV(to), type, DEV(x), scale, beta, DEV(y))) \
    LINE(segment_pool, (const Run *run, int64_t B, int64_t D, const int32_t *offsets, Reduce how, const float *x, \
                         float *y, int32_t *arg), (RUN(run), B, D, DEV(offsets), how, DEV(x), DEV(y), DEV(arg))) \
    LINE(segment_pool_back, (const Run *run, int64_t B, int64_t D, const int32_t *offsets, Reduce how, \
                              const int32_t *arg, const float *dy, float *dx), \
          (RUN(run), B, D, DEV(offsets), how, DEV(arg), DEV(dy), DEV(dx))) \
    LINE(spmm, (const Run *run, const Sparse *A, int64_t D, DType type, const void *x, int64_t ldx, float alpha, \
          float beta, void *y, int64_t ldy), (RUN(run), SPARSE(A), D, type, DEV(x), ldx, alpha, beta, \
          DEV(y), ldy)) \
    LINE(sddmm, (const Run *run, const Sparse *A, int64_t D, const float *x, const float *y, float alpha, float beta, \
                  float *out), (RUN(run), SPARSE(A), D, DEV(x), DEV(y), alpha, beta, DEV(out))) \
    LINE(edge_softmax, (const Run *run, const Sparse *A, const float *x, float *y), \
          (RUN(run), SPARSE(A), DEV(x), DEV(y))) \
    LINE(edge_softmax_back, (const Run *run, const Sparse *A, const float *y, const float *dy, float *dx), \
          (RUN(run), SPARSE(A), DEV(y), DEV(dy), DEV(dx))) \
    LINE(edge_row_sum, (const Run *run, const Sparse *A, const float *val, float *out), \
          (RUN(run), SPARSE(A), DEV(val), DEV(out))) \
    LINE(edge_scale, (const Run *run, const Sparse *A, const float *val, const float *rs, const float *cs, \
                       float *out), \
          (RUN(run), SPARSE(A), DEV(val), DEV(rs), DEV(cs), DEV(out))) \
    LINE(inverse_root, (const Run *run, int64_t n, const float *x, float *y), (RUN(run), n, DEV(x), DEV(y))) \
    LINE(inverse_root_back, (const Run *run, int64_t n, const float *y, float *d), (RUN(run), n, DEV(y), DEV(d))) \
    LINE(knn, (const Run *run, int64_t Q, int64_t I, int64_t D, int64_t k, DType type, const void *q, const void \
          *x, int32_t *ids, float *values), (RUN(run), Q, I, D, k, type, DEV(q), DEV(x), DEV(ids), \
          DEV(values))) \
    LINE(knn_lists, (const Run *run, int64_t Q, int64_t L, int64_t D, int64_t P, int64_t k, DType type, const void *q, \
          const int32_t *probe, const int64_t *start, const void *x, const int32_t *number, int32_t *ids, float \
          *values), (RUN(run), Q, L, D, P, k, type, DEV(q), DEV(probe), DEV(start), DEV(x), DEV(number), DEV(ids), \
          DEV(values))) \
    LINE(topk, (const Run *run, int64_t B, int64_t I, int64_t D, int64_t k, DType type, const void *users, const \
          int32_t *row, const void *items, const float *bias, const Exclude *exclude, int32_t *ids, float \
          *scores), (RUN(run), B, I, D, k, type, DEV(users), DEV(row), DEV(items), DEV(bias), \
          EXCLUDE(exclude), DEV(ids), DEV(scores))) \
    LINE(topk_rows, (const Run *run, int64_t B, int64_t I, int64_t k, const float *scores, const Exclude *exclude, \
                      int32_t *ids, float *values), \
          (RUN(run), B, I, k, DEV(scores), EXCLUDE(exclude), DEV(ids), DEV(values))) \
    LINE(bpr, (const Run *run, int64_t B, int parts, const BprPart *part, float l2, float *loss, float *slope), \
          (RUN(run), B, parts, BPR(parts, part), l2, DEV(loss), DEV(slope))) \
    LINE(bpr_back, (const Run *run, int64_t B, int parts, const BprPart *part, float l2, const float *slope, \
                     float scale, const float *dloss), \
          (RUN(run), B, parts, BPR(parts, part), l2, DEV(slope), scale, DEV(dloss))) \
    LINE(adam, (const Run *run, int64_t n, const AdamStep *s, const float *g, float *p, float *m, float *v), \
          (RUN(run), n, s, DEV(g), DEV(p), DEV(m), DEV(v))) \
    LINE(adam_replay, (const Run *run, int64_t n, int64_t D, const int32_t *ids, const AdamStep *history, \
                        int32_t now, int32_t *last, float *p, float *m, float *v), \
          (RUN(run), n, D, DEV(ids), DEV(history), now, DEV(last), DEV(p), DEV(m), DEV(v))) \
    LINE(adam_note, (const Run *run, const AdamStep *s, int32_t now, AdamStep *history), \
          (RUN(run), s, now, DEV(history))) \
    LINE(adam_rows, (const Run *run, int64_t n, int64_t D, const int32_t *ids, const AdamStep *history, int32_t now, \
                      const float *g, int32_t *last, float *p, float *m, float *v), \
          (RUN(run), n, D, DEV(ids), DEV(history), now, DEV(g), DEV(last), DEV(p), DEV(m), DEV(v))) \
    LINE(adam_factored, (const Run *run, int64_t n, int64_t D, int64_t K, const int32_t *ids, \
                          const AdamStep *history, int32_t now, const float *dy, const float *w, int32_t *last, \
                          float *p, float *m, float *v), \
          (RUN(run), n, D, K, DEV(ids), DEV(history), now, DEV(dy), DEV(w), DEV(last), DEV(p), DEV(m), DEV(v))) \
    LINE(sgd, (const Run *run, int64_t n, const SgdStep *s, const float *g, float *p, float *buffer), \
          (RUN(run), n, s, DEV(g), DEV(p), DEV(buffer))) \
    LINE(adagrad, (const Run *run, int64_t n, int64_t D, const int32_t *ids, const AdagradStep *s, const float *g, \
                    float *p, float *sum), (RUN(run), n, D, DEV(ids), s, DEV(g), DEV(p), DEV(sum))) \
    LINE(rmsprop, (const Run *run, int64_t n, const RmspropStep *s, const float *g, float *p, float *v, float *mean, \
                    float *buffer), (RUN(run), n, s, DEV(g), DEV(p), DEV(v), DEV(mean), DEV(buffer))) \
    LINE(clip_factor, (const Run *run, int64_t n, const float *squares, float most, float *out), \
          (RUN(run), n, DEV(squares), most, DEV(out)))
/* clang-format on */

#endif
