/* tests/nn_ops_test.c: the gradient of every op is compared with central differences. One line per op in the table
 * below. */
#include "tests/nn_testing.h"

#include <math.h>

enum { INPUTS = 6 };
typedef struct Case {
    const char *name;
    Tensor *(*build)(Tape *t, Tensor **p);
    int64_t shape[INPUTS][2]; /* of the parameters p[0], p[1], ...; cols 0: a vector */
} Case;

static Csr *graph_sym, *graph_row, *graph_values; /* [7, 7], [7, 7], [5, 7] of the case's store */
static Tensor *running_mean, *running_var;        /* [3] */
static Csr *graph_indexed;                        /* graph_sym with csr_index */
static Csr *graph_block, *graph_turned;           /* its block [3, 4] and the transpose, with csr_index */
static Act act_now;

static Tensor *ids(Tape *t)
{
    static const int32_t of[] = {3, 0, 3, 4, 3, 0};
    return input_i32(t, of, COUNT(of));
}

static const Ragged *texts(void)
{
    static const int32_t offsets[] = {0, 2, 2, 7};
    static const Ragged r = {3, 7, offsets};
    return &r;
}

static Linear layer(Tensor *w, Tensor *b)
{
    return (Linear){.w = w, .b = b, .N = w->shape[0], .K = w->shape[1]};
}

/* Returns a tensor of the tape as input, whose gradient is dense. */
static Tensor *made(Tape *t, Tensor *x)
{
    return scale(t, x, 1.5f);
}

#define BUILD(name, ...)                                                                                               \
    static Tensor *name(Tape *t, Tensor **p)                                                                           \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }
BUILD(b_linear, Linear l = layer(p[1], p[2]); return linear(t, p[0], &l);)
BUILD(b_linear_made, Linear l = layer(p[1], NULL); return linear(t, made(t, p[0]), &l);)
BUILD(b_linear_twice, Linear l = layer(p[1], NULL); return add(t, linear(t, p[0], &l), linear(t, p[0], &l));)
BUILD(b_linear_act, Linear l = layer(p[1], p[2]); return linear_act(t, p[0], &l, act_now, 0.1f);)
BUILD(b_linear_add, Linear l = layer(p[1], p[2]); return linear_add(t, p[0], &l, p[3]);)
BUILD(b_linear_add_made, Linear l = layer(p[1], p[2]); Tensor *x = made(t, p[0]); return linear_add(t, x, &l, x);)
/* Makes two adapters of rank 2, for the first three rows of the layer and for its last two. */
static Linear adapted(Tape *t, Tensor **p)
{
    Linear l = layer(p[1], NULL);
    Adapter *a = tape_scratch(t, 2, sizeof *a);
    a[0] = (Adapter){p[2], p[3], 0, 0.7f, 0};
    a[1] = (Adapter){p[4], p[5], 4, -1.5f, 0};
    l.adapter = a;
    l.adapters = 2;
    return l;
}
BUILD(b_adapters, Linear l = adapted(t, p); return linear(t, p[0], &l);)
BUILD(b_adapters_act, Linear l = adapted(t, p); return linear_act(t, made(t, p[0]), &l, ACT_GELU, 0);)
BUILD(b_adapters_add, Linear l = adapted(t, p); Tensor *y = linear(t, p[0], &l); return linear_add(t, p[0], &l, y);)
BUILD(b_swap_axes, return mul(t, swap_axes(t, made(t, p[0])), swap_axes(t, p[0]));)
BUILD(b_matmul_nn, return matmul(t, p[0], false, p[1], false);)
BUILD(b_matmul_nt, return matmul(t, p[0], false, p[1], true);)
BUILD(b_matmul_tn, return matmul(t, p[0], true, p[1], false);)
BUILD(b_matmul_tt, return matmul(t, p[0], true, p[1], true);)
BUILD(b_add, return add(t, p[0], p[1]);)
BUILD(b_add_self, Tensor *x = made(t, p[0]); return add(t, x, x);)
BUILD(b_sub, return sub(t, p[0], p[1]);)
BUILD(b_mul, return mul(t, p[0], p[1]);)
BUILD(b_mul_self, Tensor *x = made(t, p[0]); return mul(t, x, x);)
BUILD(b_scale, return scale(t, p[0], -2.5f);)
BUILD(b_add_scaled, return add_scaled(t, p[0], p[1], 0.3f);)
BUILD(b_activate, return activate(t, p[0], act_now, 0.1f);)
BUILD(b_dropout, return dropout(t, dropout(t, p[0], 0.3f), 0.2f);)
BUILD(b_gather, return gather(t, p[0], ids(t));)
BUILD(b_gather_twice, return concat(t, gather(t, p[0], ids(t)), gather(t, p[0], ids(t)));)
BUILD(b_gather_made, return gather(t, made(t, p[0]), ids(t));)
BUILD(b_gather_and_dense, return stack_rows(t, gather(t, p[0], ids(t)), scale(t, p[0], 2));)
BUILD(b_rows, Tensor *x = made(t, p[0]); return stack_rows(t, rows(t, x, 3, 2), rows(t, x, 0, 4));)
BUILD(b_rows_of_param, return rows(t, p[0], 1, 3);)
BUILD(b_stack_rows, return stack_rows(t, p[0], p[1]);)
BUILD(b_stack_aligned, return mul(t, stack_rows(t, made(t, p[0]), p[1]), stack_rows(t, p[1], p[0]));)
BUILD(b_concat, return concat(t, p[0], p[1]);)
BUILD(b_cols, Tensor *x = made(t, p[0]); return concat(t, cols(t, x, 2, 4), cols(t, x, 1, 3));)
BUILD(b_reshape, return reshape(t, p[0], 3, (int64_t[]){7, 1, 5});)
BUILD(b_row_dot, return row_dot(t, p[0], p[1]);)
BUILD(b_row_dot_self, return row_dot(t, p[0], p[0]);)
BUILD(b_row_scale, return row_scale(t, p[0], p[1]);)
BUILD(b_row_normalize, return row_normalize(t, p[0], 1e-12f);)
BUILD(b_softmax, return softmax(t, p[0]);)
BUILD(b_softmax_vector, return softmax(t, p[0]);)
BUILD(b_layer_norm, Norm n = {p[1], p[2], 1e-5f}; return layer_norm(t, p[0], &n);)
BUILD(b_layer_norm_add, Norm n = {p[2], p[3], 1e-5f}; return layer_norm_add(t, p[0], p[1], &n);)
BUILD(b_sum, return sum(t, p[0]);)
BUILD(b_mean, return mean(t, made(t, p[0]));)
BUILD(b_sum_squares, return sum_squares(t, p[0]);)
BUILD(b_frobenius, return frobenius(t, p[0]);)
BUILD(b_bpr_loss, return bpr_loss(t, 1, &(Triples){p[0], p[1], p[2], 0}, 0);)
BUILD(b_bpr_parts, return bpr_loss(t, 2, (Triples[]){{p[0], p[1], p[2], 0}, {p[3], p[4], p[5], 1e-12f}}, 0.3f);)
BUILD(b_bpr_shared, Tensor *x = made(t, p[0]);
      return bpr_loss(t, 2, (Triples[]){{x, p[1], x, 0}, {x, x, p[1], 0.1f}}, 0.2f);)
#ifndef SAPOR_MINIMAL
BUILD(b_attention, return attention(t, p[0], texts(), 2, (Relative){0}, false);)
BUILD(b_attention_causal, return attention(t, made(t, p[0]), texts(), 3, (Relative){0}, true);)
BUILD(b_attention_relative, return attention(t, p[0], texts(), 2, (Relative){p[1], 2}, false);)
BUILD(b_attention_bias, Relative r = {scale(t, p[1], 0.5f), 6}; Tensor *x = attention(t, p[0], texts(), 3, r, true);
      return add(t, x, attention(t, p[0], texts(), 3, r, false));)

/* p[0]: images of C channels; p[1]: weights of O x kernel x kernel; then the bias and the residual. */
static Tensor *images(Tape *t, Tensor *x, int64_t H, int64_t W, int64_t C)
{
    return reshape(t, x, 4, (int64_t[]){x->count / (H * W * C), H, W, C});
}
#define CONV(...) Conv2d c = {.w = p[1], __VA_ARGS__}
BUILD(b_conv, CONV(.bias = p[2], .O = 3, .C = 2, .kh = 3, .kw = 3, .stride = 1, .groups = 1, .top = 1, .left = 1);
      return conv(t, images(t, p[0], 4, 5, 2), &c, p[3], ACT_NONE);)
BUILD(b_conv_relu, CONV(.bias = p[2], .O = 3, .C = 2, .kh = 2, .kw = 3, .stride = 2, .groups = 1, .right = 1);
      return conv(t, images(t, p[0], 4, 5, 2), &c, p[3], ACT_RELU);)
BUILD(b_conv_gelu, CONV(.O = 5, .C = 4, .kh = 1, .kw = 1, .stride = 1, .groups = 1);
      return conv(t, images(t, p[0], 3, 3, 4), &c, p[2], ACT_GELU);)
BUILD(b_conv_depthwise, CONV(.bias = p[2], .O = 5, .C = 5, .kh = 3, .kw = 3, .stride = 2, .groups = 5, .top = 1);
      return conv(t, images(t, p[0], 3, 4, 5), &c, NULL, ACT_SWISH);)
BUILD(b_conv_groups,
      CONV(.bias = p[2], .O = 9, .C = 6, .kh = 3, .kw = 2, .stride = 2, .groups = 3, .top = 1, .right = 1);
      return conv(t, images(t, p[0], 3, 4, 6), &c, p[3], ACT_TANH);)
BUILD(b_conv_constant, static const int64_t shape[] = {3, 2, 2, 2}; float *w = test_numbers(7, 24);
      Conv2d c = {.w = input_f32(t, w, 4, shape), .O = 3, .C = 2, .kh = 2, .kw = 2, .stride = 1, .groups = 1}; free(w);
      return conv(t, images(t, p[0], 3, 4, 2), &c, NULL, ACT_NONE);)
BUILD(b_batch_norm, Norm2d n = {p[1], p[2], running_mean, running_var, 1e-3, 0.1, true};
      return batch_norm(t, p[0], &n);)
BUILD(b_batch_norm_frozen, Norm2d n = {p[1], p[2], running_mean, running_var, 1e-3, 0.1, false};
      return batch_norm(t, made(t, p[0]), &n);)
BUILD(b_conv_norm, CONV(.O = 3, .C = 2, .kh = 2, .kw = 2, .stride = 1, .groups = 1);
      c.norm = (Norm2d){p[2], p[3], running_mean, running_var, 1e-3, 0.1, true};
      return conv(t, images(t, p[0], 3, 4, 2), &c, p[4], ACT_TANH);)
BUILD(b_max_pool, return max_pool(t, images(t, p[0], 4, 3, 2), 2, 1, 1);)
BUILD(b_channel_scale, return channel_scale(t, images(t, p[0], 3, 3, 4), p[1]);)
BUILD(b_mean_pool, return mean_pool(t, images(t, p[0], 2, 3, 4));)
#endif
BUILD(b_pool_sum, return pool_ragged(t, p[0], texts(), REDUCE_SUM);)
BUILD(b_pool_mean, return pool_ragged(t, p[0], texts(), REDUCE_MEAN);)
BUILD(b_pool_max, return pool_ragged(t, p[0], texts(), REDUCE_MAX);)
BUILD(b_pool_first, return pool_ragged(t, p[0], texts(), REDUCE_FIRST);)
BUILD(b_spmm_symmetric, return spmm(t, graph_sym, p[0]);)
BUILD(b_spmm_rows, return spmm(t, graph_row, spmm(t, graph_row, p[0]));)
BUILD(b_spmm_values, return spmm(t, graph_values, p[0]);)
BUILD(b_spmm_to_values, Csr g = *graph_values; g.val = p[1]; Csr *on = tape_scratch(t, 1, sizeof g); *on = g;
      return spmm(t, on, p[0]);)
BUILD(b_spmm_scaled, Csr g = *graph_row; g.val = p[1]; g.tentry = NULL; Csr *on = tape_scratch(t, 1, sizeof g); *on = g;
      return spmm(t, on, p[0]);)
BUILD(b_graph_with, return spmm(t, graph_with(t, graph_sym, p[1]), p[0]);)
BUILD(b_graph_with_indexed, return spmm(t, graph_with(t, graph_indexed, p[1]), p[0]);)
BUILD(b_edge_attention, Tensor *x = made(t, p[0]);
      Tensor *alpha = edge_softmax(t, graph_indexed, sddmm(t, graph_indexed, x, x));
      Tensor *trust = reshape(t, gather(t, p[1], graph_indexed->row), 1, &graph_indexed->entries);
      return add(t, x, spmm(t, graph_with(t, graph_indexed, mul(t, alpha, trust)), x));)
BUILD(b_sddmm, return sddmm(t, graph_values, p[0], p[1]);)
BUILD(b_sddmm_self, return sddmm(t, graph_sym, p[0], p[0]);)
BUILD(b_edge_softmax, return edge_softmax(t, graph_values, p[0]);)
BUILD(b_edge_turn, return edge_transpose(t, graph_block, graph_turned, p[0]);)
/* GRCN's sum over the users of each item: the scores are computed for the entries of graph_block and put into the order
 * of its transpose. The softmax is over the rows of the transpose. */
BUILD(b_edge_turn_attention,
      Tensor *score = edge_transpose(t, graph_block, graph_turned, sddmm(t, graph_block, p[0], p[1]));
      return spmm(t, graph_with(t, graph_turned, edge_softmax(t, graph_turned, score)), p[0]);)
BUILD(b_knn, return spmm(t, knn_graph(t, p[0], 3, NULL), p[1]);)
BUILD(b_knn_normal, return spmm(t, graph_normalize(t, knn_graph(t, p[0], 4, NULL)), p[1]);)
BUILD(b_graph_mix, Csr *g[] = {knn_graph(t, p[0], 3, NULL), graph_row, knn_graph(t, p[1], 2, NULL)};
      Tensor *w = softmax(t, p[2]), *by[] = {rows(t, w, 0, 1), NULL, rows(t, w, 1, 1)};
      return spmm(t, graph_mix(t, 3, g, by), p[0]);)
BUILD(b_set_diagonal, return spmm(t, graph_set_diagonal(t, knn_graph(t, p[0], 3, NULL), 0.5f), p[1]);)
BUILD(b_lattice, Csr *g[] = {knn_graph(t, p[0], 3, NULL), knn_graph(t, p[1], 3, NULL)}; Tensor *w = softmax(t, p[2]);
      Tensor * by[] = {rows(t, w, 0, 1), rows(t, w, 1, 1)}; Csr *mixed = graph_normalize(t, graph_mix(t, 2, g, by));
      return add(t, spmm(t, graph_sym, p[3]), row_normalize(t, spmm(t, mixed, p[3]), 1e-12f));)

BUILD(b_divide, return divide(t, p[0], p[1]);)
BUILD(b_maximum, return maximum(t, made(t, p[0]), p[1]);)
BUILD(b_log, return unary(t, mul(t, p[0], p[0]), UN_LOG);)
BUILD(b_sqrt, return unary(t, mul(t, p[0], p[0]), UN_SQRT);)
BUILD(b_exp, return unary(t, made(t, p[0]), UN_EXP);)
BUILD(b_sign, return mul(t, unary(t, p[0], UN_SIGN), p[0]);)
BUILD(b_clamp, return clamp(t, made(t, p[0]), -0.61f, 0.73f);)
BUILD(b_row_sum, return row_sum(t, made(t, p[0]));)
BUILD(b_col_sum, return col_sum(t, made(t, p[0]));)
BUILD(b_filled, return add_number(t, mul(t, made(t, p[0]), filled(t, 1.5f, 2, p[0]->shape)), -2);)
BUILD(b_noise, return mul(t, noise(t, NOISE_NORMAL, 2, p[0]->shape), p[0]);)
BUILD(b_log_sum_exp, return log_sum_exp(t, p[0], p[1], 3.0f);)
BUILD(b_log_sum_exp_self, Tensor *x = row_normalize(t, p[0], 1e-12f); return log_sum_exp(t, x, x, 5.0f);)

static Binary binary_now;
BUILD(b_broadcast_row, return broadcast(t, binary_now, SPREAD_ROW, made(t, p[0]), p[1]);)
BUILD(b_broadcast_column, return broadcast(t, binary_now, SPREAD_COLUMN, p[0], scale(t, p[1], 0.8f));)
BUILD(b_broadcast_number, return broadcast(t, binary_now, SPREAD_NUMBER, p[0], p[1]);)

static Tensor *b_bpr_many(Tape *t, Tensor **p) /* more inputs than an op's masks have bits */
{
    Triples x[12];
    for (int i = 0; i < 12; i++)
        x[i] = (Triples){p[i % 2], p[1 - i % 2], p[2], i % 3 == 0 ? 0.01f : 0};
    return bpr_loss(t, 12, x, 0.05f);
}

static const Case cases[] = {
    {"linear", b_linear, {{5, 7}, {3, 7}, {3, 0}}},
    {"linear of an op", b_linear_made, {{5, 7}, {3, 7}}},
    {"linear twice", b_linear_twice, {{5, 7}, {3, 7}}},
    {"linear_add", b_linear_add, {{5, 7}, {3, 7}, {3, 0}, {5, 3}}},
    {"linear_add of an op", b_linear_add_made, {{5, 6}, {6, 6}, {6, 0}}},
    {"adapters", b_adapters, {{5, 7}, {6, 7}, {2, 7}, {3, 2}, {2, 7}, {2, 2}}},
    {"adapters before an activation", b_adapters_act, {{5, 7}, {6, 7}, {2, 7}, {3, 2}, {2, 7}, {2, 2}}},
    {"adapters and a residual", b_adapters_add, {{5, 7}, {6, 7}, {2, 7}, {3, 2}, {2, 7}, {2, 2}}},
    {"swap_axes", b_swap_axes, {{5, 3}}},
    {"matmul", b_matmul_nn, {{5, 7}, {7, 3}}},
    {"matmul b'", b_matmul_nt, {{5, 7}, {3, 7}}},
    {"matmul a'", b_matmul_tn, {{7, 5}, {7, 3}}},
    {"matmul a' b'", b_matmul_tt, {{7, 5}, {3, 7}}},
    {"add", b_add, {{5, 7}, {5, 7}}},
    {"add to itself", b_add_self, {{5, 7}}},
    {"sub", b_sub, {{5, 7}, {5, 7}}},
    {"mul", b_mul, {{5, 7}, {5, 7}}},
    {"mul by itself", b_mul_self, {{5, 7}}},
    {"scale", b_scale, {{5, 7}}},
    {"add_scaled", b_add_scaled, {{5, 7}, {5, 7}}},
    {"dropout", b_dropout, {{5, 7}}},
    {"gather", b_gather, {{5, 7}}},
    {"gather twice", b_gather_twice, {{5, 7}}},
    {"gather of an op", b_gather_made, {{5, 7}}},
    {"gather and a dense use", b_gather_and_dense, {{5, 7}}},
    {"rows", b_rows, {{5, 7}}},
    {"rows of a parameter", b_rows_of_param, {{5, 7}}},
    {"stack_rows", b_stack_rows, {{5, 7}, {2, 7}}},
    {"stack_rows, aligned", b_stack_aligned, {{4, 16}, {4, 16}}},
    {"concat", b_concat, {{5, 7}, {5, 2}}},
    {"cols", b_cols, {{5, 7}}},
    {"reshape", b_reshape, {{5, 7}}},
    {"row_dot", b_row_dot, {{5, 7}, {5, 7}}},
    {"row_dot with itself", b_row_dot_self, {{5, 7}}},
    {"row_scale", b_row_scale, {{5, 7}, {5, 0}}},
    {"row_normalize", b_row_normalize, {{5, 7}}},
    {"softmax", b_softmax, {{5, 7}}},
    {"softmax of a vector", b_softmax_vector, {{6, 0}}},
    {"layer_norm", b_layer_norm, {{5, 7}, {7, 0}, {7, 0}}},
    {"layer_norm_add", b_layer_norm_add, {{5, 7}, {5, 7}, {7, 0}, {7, 0}}},
    {"sum", b_sum, {{5, 7}}},
    {"mean", b_mean, {{5, 7}}},
    {"sum_squares", b_sum_squares, {{5, 7}}},
    {"frobenius", b_frobenius, {{5, 7}}},
    {"divide", b_divide, {{5, 7}, {5, 7}}},
    {"maximum", b_maximum, {{5, 7}, {5, 7}}},
    {"log", b_log, {{5, 7}}},
    {"sqrt", b_sqrt, {{5, 7}}},
    {"exp", b_exp, {{5, 7}}},
    {"sign", b_sign, {{5, 7}}},
    {"clamp", b_clamp, {{5, 7}}},
    {"row_sum", b_row_sum, {{5, 7}}},
    {"col_sum", b_col_sum, {{5, 7}}},
    {"filled, add_number", b_filled, {{5, 7}}},
    {"noise", b_noise, {{5, 7}}},
    {"log_sum_exp", b_log_sum_exp, {{4, 5}, {6, 5}}},
    {"log_sum_exp with itself", b_log_sum_exp_self, {{5, 4}}},
    {"bpr_loss", b_bpr_loss, {{5, 7}, {5, 7}, {5, 7}}},
    {"bpr_loss, two parts", b_bpr_parts, {{3, 7}, {3, 7}, {3, 7}, {3, 5}, {3, 5}, {3, 5}}},
    {"bpr_loss, many parts", b_bpr_many, {{3, 5}, {3, 5}, {3, 5}}},
    {"bpr_loss, shared rows", b_bpr_shared, {{4, 6}, {4, 6}}},
#ifndef SAPOR_MINIMAL /* MINIMAL has no kernels that only the training of encoders needs */
    {"attention", b_attention, {{7, 24}}},
    {"attention, causal", b_attention_causal, {{7, 27}}},
    {"attention, relative", b_attention_relative, {{7, 24}, {2, 5}}},
    {"attention, relative, twice", b_attention_bias, {{7, 27}, {3, 13}}},
    {"conv", b_conv, {{2, 40}, {3, 18}, {3, 0}, {2, 36}}},
    {"conv, relu", b_conv_relu, {{2, 40}, {3, 12}, {3, 0}, {2, 12}}},
    {"conv, gelu", b_conv_gelu, {{2, 36}, {5, 4}, {2, 45}}},
    {"conv, depthwise", b_conv_depthwise, {{2, 60}, {5, 9}, {5, 0}}},
    {"conv, groups", b_conv_groups, {{2, 72}, {9, 12}, {9, 0}, {2, 18}}},
    {"conv, constant weights", b_conv_constant, {{2, 24}}},
    {"batch_norm", b_batch_norm, {{9, 3}, {3, 0}, {3, 0}}},
    {"batch_norm, frozen", b_batch_norm_frozen, {{9, 3}, {3, 0}, {3, 0}}},
    {"conv and its norm", b_conv_norm, {{2, 24}, {3, 8}, {3, 0}, {3, 0}, {2, 18}}},
    {"max_pool", b_max_pool, {{2, 24}}},
    {"mean_pool", b_mean_pool, {{3, 24}}},
    {"channel_scale", b_channel_scale, {{2, 36}, {2, 4}}},
#endif
    {"pool_ragged sum", b_pool_sum, {{7, 5}}},
    {"pool_ragged mean", b_pool_mean, {{7, 5}}},
    {"pool_ragged max", b_pool_max, {{7, 5}}},
    {"pool_ragged first", b_pool_first, {{7, 5}}},
    {"spmm, symmetric", b_spmm_symmetric, {{7, 5}}},
    {"spmm, by rows", b_spmm_rows, {{7, 5}}},
    {"spmm, values", b_spmm_values, {{7, 5}}},
    {"spmm to values", b_spmm_to_values, {{7, 5}, {9, 0}}},
    {"spmm to values, scaled", b_spmm_scaled, {{7, 5}, {19, 0}}},
    {"graph_with", b_graph_with, {{7, 5}, {12, 0}}},
    {"graph_with, indexed", b_graph_with_indexed, {{7, 5}, {12, 0}}},
    {"attention over edges", b_edge_attention, {{7, 5}, {7, 1}}},
    {"sddmm", b_sddmm, {{5, 6}, {7, 6}}},
    {"sddmm with itself", b_sddmm_self, {{7, 6}}},
    {"edge_softmax", b_edge_softmax, {{9, 0}}},
    {"edge_transpose", b_edge_turn, {{6, 0}}},
    {"edge_transpose, attention", b_edge_turn_attention, {{3, 5}, {4, 5}}},
    {"knn_graph", b_knn, {{7, 5}, {7, 4}}},
    {"graph_normalize", b_knn_normal, {{7, 5}, {7, 4}}},
    {"graph_mix", b_graph_mix, {{7, 5}, {7, 6}, {2, 0}}},
    {"graph_set_diagonal", b_set_diagonal, {{7, 5}, {7, 4}}},
    {"the graphs of LATTICE", b_lattice, {{7, 8}, {7, 5}, {2, 0}, {7, 4}}},
};

static void make_graphs(Store *s)
{
    static const int64_t start[] = {0, 3, 4, 6}, values_start[] = {0, 2, 2, 5, 6, 9};
    static const int32_t item[] = {0, 1, 3, 2, 0, 3}, values_col[] = {1, 6, 0, 3, 4, 2, 0, 5, 6};
    float *val = test_numbers(77, 9);
    graph_sym = csr_bipartite(s, "symmetric", 3, 4, start, item, ADJ_SYM, &error);
    graph_indexed = csr_bipartite(s, "indexed", 3, 4, start, item, ADJ_SYM, &error);
    assert_true(graph_indexed && csr_index(s, graph_indexed, &error));
    graph_block = csr_new(s, "block", &(HostGraph){.rows = 3, .cols = 4, .start = start, .col = item}, &error);
    assert_true(graph_block && csr_index(s, graph_block, &error));
    graph_turned = csr_transpose(s, graph_block, &error);
    assert_true(graph_turned && csr_index(s, graph_turned, &error));
    graph_row = csr_bipartite(s, "rows", 3, 4, start, item, ADJ_ROW_SELF, &error);
    graph_values = csr_new(
        s, "values", &(HostGraph){.rows = 5, .cols = 7, .start = values_start, .col = values_col, .val = val}, &error);
    free(val);
    assert_true(graph_sym && graph_row && graph_values);
    static const float mean[] = {0.1f, -0.3f, 0.2f}, var[] = {0.5f, 1.5f, 0.8f};
    running_mean = store_f32(s, "mean", 1, (int64_t[]){3}, mean, &error);
    running_var = store_f32(s, "var", 1, (int64_t[]){3}, var, &error);
    assert_true(running_mean && running_var);
}

static double weighted(Tape *t, const Case *c, Tensor **p, const float *weight)
{
    tape_reset(t, (Draw){5, DRAW_DROPOUT, 0});
    Tensor *y = c->build(t, p);
    tape_must(t);
    float *host = test_read(t->d, y);
    double sum = 0;
    for (int64_t i = 0; i < y->count; i++)
        sum += (double)host[i] * weight[i];
    free(host);
    return sum;
}

static void check_case(const Device *d, const Case *c)
{
    Store *s = store_new(d, &error);
    Tape *t = tape_new(d, true, &error);
    make_graphs(s);
    Tensor *p[INPUTS] = {0};
    for (int i = 0; i < INPUTS && c->shape[i][0]; i++) {
        char name[] = {'p', (char)('0' + i), 0};
        p[i] = test_param(s, name, c->shape[i][0], c->shape[i][1], 11 + (uint64_t)i);
    }
    tape_reset(t, (Draw){5, DRAW_DROPOUT, 0});
    Tensor *y = c->build(t, p);
    tape_must(t);
    float *weight = test_numbers(99, y->count);
    Tensor *loss = sum(t, mul(t, y, input_f32(t, weight, y->dims, y->shape)));
    if (!backward(t, loss, &error))
        fail_msg("%s: %s", c->name, error.message);
    float *grad[INPUTS] = {0};
    for (int i = 0; i < INPUTS && p[i]; i++) {
        grad[i] = malloc((size_t)p[i]->count * sizeof(float));
        assert_true(tensor_grad(t, p[i], grad[i], &error));
    }
    for (int i = 0; i < INPUTS && p[i]; i++)
        for (int64_t j = 0; j < p[i]->count; j++) {
            float at, up, down, h = 1.0f / 512;
            tensor_read(d, p[i], j, 1, &at);
            up = at + h;
            down = at - h;
            tensor_write(d, p[i], j, 1, &up);
            double more = weighted(t, c, p, weight);
            tensor_write(d, p[i], j, 1, &down);
            double less = weighted(t, c, p, weight);
            tensor_write(d, p[i], j, 1, &at);
            double difference = (more - less) / ((double)up - (double)down);
            if (fabs(difference - grad[i][j]) > 2e-3 * fmax(1, fabs(difference)))
                fail_msg("%s: p%d[%lld]: gradient %g, by differences %g", c->name, i, (long long)j, (double)grad[i][j],
                         difference);
        }
    for (int i = 0; i < INPUTS; i++)
        free(grad[i]);
    free(weight);
    tape_free(t);
    store_free(s);
}

static void gradients(void **state)
{
    (void)state;
    Device d = test_device(NULL, 2);
    for (size_t i = 0; i < COUNT(cases); i++)
        check_case(&d, &cases[i]);
    for (binary_now = BIN_ADD; binary_now <= BIN_MAX; binary_now++) {
        check_case(&d, &(Case){"broadcast, row", b_broadcast_row, {{5, 7}, {7, 0}}});
        check_case(&d, &(Case){"broadcast, column", b_broadcast_column, {{5, 7}, {5, 0}}});
        check_case(&d, &(Case){"broadcast, number", b_broadcast_number, {{5, 7}, {1, 0}}});
    }
    for (act_now = ACT_NONE; act_now < ACT_COUNT; act_now++) {
        char name[64];
        snprintf(name, sizeof name, "linear_act %d", act_now);
        check_case(&d, &(Case){name, b_linear_act, {{5, 7}, {3, 7}, {3, 0}}});
        snprintf(name, sizeof name, "activate %d", act_now);
        check_case(&d, &(Case){name, b_activate, {{5, 7}}});
    }
    device_close(&d);
}

/* Checks tensors without a gradient: the rest of the expression still has one. */
static void detached(void **state)
{
    (void)state;
    Device d = test_device(NULL, 1);
    Store *s = store_new(&d, &error);
    Tape *t = tape_new(&d, true, &error);
    Tensor *x = test_param(s, "x", 3, 4, 1);
    float g[12], *v = test_read(&d, x);
    Tensor *loss = sum(t, mul(t, x, detach(t, x)));
    assert_true(backward(t, loss, &error));
    assert_true(tensor_grad(t, x, g, &error));
    assert_memory_equal(g, v, sizeof g);
    free(v);
    tape_free(t);
    store_free(s);
    device_close(&d);
}

/* Checks gradients at zero: a zero tensor has norm 0 and no direction; a zero row stays zero. */
static void at_zero(void **state)
{
    (void)state;
    Device d = test_device(NULL, 1);
    Store *s = store_new(&d, &error);
    Tape *t = tape_new(&d, true, &error);
    Tensor *x = param_new(s, "x", 3, 4, (Init){INIT_ZERO, 0}, 0, &error);
    float g[12], zero[12] = {0};
    assert_true(backward(t, frobenius(t, row_normalize(t, x, 1e-12f)), &error));
    assert_true(tensor_grad(t, x, g, &error));
    assert_memory_equal(g, zero, sizeof g);
    tape_free(t);
    store_free(s);
    device_close(&d);
}

/* Checks sorted ids against the definition: every id once, in ascending order, with its places in order. */
static void groups_of_ids(void **state)
{
    (void)state;
    Device device = test_device(NULL, 2);
    static const struct {
        int64_t n;
        uint32_t below;
    } sizes[] = {{0, 1}, {1, 1}, {50, 1}, {7, 100}, {1000, 30}, {3000, 5000}, {5000, 2000000000}};
    Tape *t = tape_new(&device, true, &error);
    for (size_t k = 0; k < COUNT(sizes); k++) {
        int64_t n = sizes[k].n, seen = 0;
        int32_t *ids = malloc((size_t)(n + 1) * sizeof *ids);
        for (int64_t i = 0; i < n; i++)
            ids[i] = (int32_t)draw_below((Draw){k, DRAW_TEST, 1}, (uint64_t)i, sizes[k].below);
        tape_reset(t, (Draw){0});
        Tensor *list;
        assert_true(input_ids(t, 1, (const int32_t *const[]){ids}, n, &list));
        const Groups *g = ids_groups(t, list);
        tape_must(t);
        for (int64_t s = 0; s < g->count; s++) {
            assert_true(s == 0 || g->host.unique[s] > g->host.unique[s - 1]);
            assert_true(g->host.start[s + 1] > g->host.start[s] && g->host.start[s] == seen);
            for (; seen < g->host.start[s + 1]; seen++) {
                assert_int_equal(ids[g->host.order[seen]], g->host.unique[s]);
                assert_true(seen == g->host.start[s] || g->host.order[seen] > g->host.order[seen - 1]);
            }
        }
        assert_int_equal(seen, n);
        free(ids);
    }
    tape_free(t);
    device_close(&device);
}

/* Checks that lists declared as of one table give the same bits as other lists. */
static void ids_of_one_table(void **state)
{
    (void)state;
    Device device = test_device(NULL, 2);
    static const int32_t pos[] = {3, 1, 3, 0}, neg[] = {1, 4, 4, 3};
    enum { R = 5, D = 3 };
    float after[2][R * D];
    for (int together = 0; together < 2; together++) {
        Store *s = store_new(&device, &error);
        Tensor *x = test_param(s, "x", R, D, 3), *ids[2];
        Tape *t = tape_new(&device, true, &error);
        Optim o = optim_adam(0.1);
        for (int step = 0; step < 3; step++) {
            tape_reset(t, (Draw){0});
            if (together) {
                assert_true(input_ids(t, 2, (const int32_t *const[]){pos, neg}, 4, ids));
            } else {
                ids[0] = input_i32(t, pos, 4);
                ids[1] = input_i32(t, neg, 4);
            }
            Tensor *a = gather(t, x, ids[0]), *b = gather(t, x, ids[1]);
            assert_true(backward(t, sum_squares(t, sub(t, scale(t, a, 2), mul(t, b, b))), &error));
            assert_true(optim_step(&o, s, t, &error));
        }
        tensor_read(&device, x, 0, R * D, after[together]);
        tape_free(t);
        store_free(s);
    }
    assert_memory_equal(after[0], after[1], sizeof after[0]);
    device_close(&device);
}

/* Checks that `distinct` lists each id once, and that it gives the places of both lists' ids. */
static void distinct_ids(void **state)
{
    (void)state;
    Device device = test_device(NULL, 1);
    static const int32_t a[] = {7, 2, 7, 0}, b[] = {2, 5000, 7}, once[] = {0, 2, 7, 5000}, a_is[] = {2, 1, 2, 0},
                         b_is[] = {1, 3, 2};
    Tape *t = tape_new(&device, true, &error);
    Tensor *a_at, *b_at, *ids = distinct(t, input_i32(t, a, 4), input_i32(t, b, 3), &a_at, &b_at);
    int32_t got[4];
    assert_true(tape_ok(t, &error));
    assert_int_equal(ids->count, 4);
    tensor_read(&device, ids, 0, 4, got);
    assert_memory_equal(got, once, sizeof once);
    tensor_read(&device, a_at, 0, 4, got);
    assert_memory_equal(got, a_is, sizeof a_is);
    tensor_read(&device, b_at, 0, 3, got);
    assert_memory_equal(got, b_is, sizeof b_is);
    ids = distinct(t, input_i32(t, NULL, 0), input_i32(t, NULL, 0), &a_at, &b_at);
    assert_true(tape_ok(t, &error) && ids->count == 0 && a_at->count == 0 && b_at->count == 0);
    tape_free(t);
    device_close(&device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(gradients),        cmocka_unit_test(detached),
                                       cmocka_unit_test(at_zero),          cmocka_unit_test(groups_of_ids),
                                       cmocka_unit_test(ids_of_one_table), cmocka_unit_test(distinct_ids)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
