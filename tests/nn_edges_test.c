/* tests/nn_edges_test.c: empty tensors, freed memory of a step, parameters shared by ops, wrong use. */
#include "tests/nn_testing.h"

#include <math.h>

enum { D = 16 }; /* a row has 64 bytes: one piece of a step's memory */

typedef struct Edges {
    Device d;
    Store *s;
    Tape *t;
} Edges;

static int edges_open(void **state)
{
    Edges *x = calloc(1, sizeof *x);
    assert_non_null(x);
    x->d = test_device(NULL, 2);
    x->s = store_new(&x->d, &error);
    x->t = tape_new(&x->d, true, &error);
    tape_reset(x->t, (Draw){5, DRAW_DROPOUT, 0});
    *state = x;
    return 0;
}

static int edges_close(void **state)
{
    Edges *x = *state;
    tape_free(x->t);
    store_free(x->s);
    device_close(&x->d);
    free(x);
    return 0;
}

static void failed_with(Edges *x, sp_status code, const char *words)
{
    Error e = {0};
    assert_false(tape_ok(x->t, &e));
    assert_error(e, code, words);
    tape_reset(x->t, (Draw){0});
}

/* Checks the gradient of two stacked tensors if one of them is empty. The stack's gradient is in one piece of memory.
 * If both tensors used their part of it without a copy, the backward pass would free 64 bytes for the empty tensor,
 * because a piece of 0 numbers counts as 64 bytes. These bytes may belong to another gradient. */
static void empty_parts(void **state)
{
    Edges *x = *state;
    Tape *t = x->t;
    static const int32_t ids[] = {0};
    for (int below = 0; below < 2; below++) {
        tape_reset(t, (Draw){0});
        char name[] = {'p', (char)('0' + below), 0};
        Tensor *p = test_param(x->s, name, 1, D, 7);
        Tensor *empty = cols(t, gather(t, p, input_i32(t, ids, 0)), 0, D), *all = gather(t, p, input_i32(t, ids, 1));
        float *factor = test_numbers(9, D), got[D];
        Tensor *stacked = below ? stack_rows(t, all, empty) : stack_rows(t, empty, all);
        Tensor *y = mul(t, scale(t, stacked, 1), input_f32(t, factor, SHAPE(1, D)));
        /* `more` adds 3 to the gradient of p, in memory of its own. tensor_grad allocates the sum of both gradients: if
         * the gradient of the gathered row had been freed by mistake, the sum could overwrite it. */
        Tensor *more = scale(t, scale(t, p, 3), 1);
        assert_ok(backward(t, add(t, sum(t, more), sum(t, y)), &error), error);
        assert_ok(tensor_grad(t, p, got, &error), error);
        for (int i = 0; i < D; i++)
            assert_true(fabsf(got[i] - 3 - factor[i]) < 1e-6f);
        free(factor);
    }
}

/* The gradient of `table` is a product of two factors, and one of them is the weights. Weights that are made on the
 * tape are freed in the backward pass. Checks that the gradient is right after the freed memory was overwritten. */
static void weights_of_the_tape(void **state)
{
    Edges *x = *state;
    Tape *t = x->t;
    enum { M = 8, K = 4 };
    Tensor *table = test_param(x->s, "table", M, K, 1), *w = test_param(x->s, "w", M, K, 2);
    float *factor = test_numbers(3, M * M), got[2][M * K];
    for (int made = 0; made < 2; made++) {
        tape_reset(t, (Draw){0});
        Linear l = {.w = made ? scale(t, w, 1) : w, .N = M, .K = K};
        Tensor *y = linear(t, table, &l);
        assert_ok(backward(t, sum(t, mul(t, y, input_f32(t, factor, SHAPE(M, M)))), &error), error);
        for (int i = 0; i < 8; i++) /* overwrites the freed memory */
            x->d.k->fill(&t->run, M * K, NAN, step_floats(t, M * K));
        assert_ok(tensor_grad(t, table, got[made], &error), error);
    }
    for (int i = 0; i < M * K; i++)
        assert_true(fabsf(got[0][i] - got[1][i]) < 1e-5f);
    free(factor);
}

/* Checks a linear layer without input columns (K = 0): its result is the bias. */
static void no_features(void **state)
{
    Edges *x = *state;
    Tape *t = x->t;
    Tensor *w = test_param(x->s, "w0", 3, 1, 1), *b = test_param(x->s, "b0", 3, 0, 2);
    Linear l = {.w = cols(t, w, 0, 0), .b = b, .N = 3, .K = 0};
    Tensor *y = linear(t, input_f32(t, NULL, SHAPE(2, 0)), &l);
    float *got = test_read(&x->d, y), *bias = test_read(&x->d, b);
    assert_ok(tape_ok(t, &error), error);
    for (int i = 0; i < 6; i++)
        assert_true(got[i] == bias[i % 3]);
    free(got);
    free(bias);
}

/* Checks an empty batch: every parameter in the loss has a gradient of zeros. */
static void empty_batch(void **state)
{
    Edges *x = *state;
    Tape *t = x->t;
    Tensor *w = test_param(x->s, "w", 3, D, 1), *b = test_param(x->s, "b", 3, 0, 2),
           *g = test_param(x->s, "g", D, 0, 3), *h = test_param(x->s, "h", D, 0, 4),
           *table = test_param(x->s, "table", 5, D, 5);
    Linear l = {.w = w, .b = b, .N = 3, .K = D};
    Norm n = {g, h, 1e-5f};
    Tensor *in = layer_norm(t, row_normalize(t, gather(t, table, input_i32(t, NULL, 0)), 1e-12f), &n);
    Tensor *y = softmax(t, linear_act(t, dropout(t, in, 0.5f), &l, ACT_GELU, 0));
    Tensor *loss = add(t, add(t, sum_squares(t, row_sum(t, y)), mean(t, col_sum(t, y))), frobenius(t, in));
    loss = add(t, loss, sum(t, log_sum_exp(t, y, input_f32(t, (float[]){1, 2, 3}, SHAPE(1, 3)), 2)));
    assert_ok(backward(t, loss, &error), error);
    Tensor *all[] = {w, b, g, h, table};
    for (size_t k = 0; k < COUNT(all); k++) {
        float got[5 * D];
        assert_ok(tensor_grad(t, all[k], got, &error), error);
        for (int64_t i = 0; i < all[k]->count; i++)
            assert_true(got[i] == 0);
    }
    Optim o = optim_adam(0.1);
    o.clip_norm = x->d.k->clip_factor ? 1 : 0; /* of a norm of zero */
    float *before = test_read(&x->d, w);
    assert_ok(optim_step(&o, x->s, t, &error), error);
    float *after = test_read(&x->d, w);
    assert_memory_equal(before, after, sizeof *before * 3 * D);
    free(before);
    free(after);
}

/* Lists that were given together may have ids of several tables. Checks that each list brings the rows of its own table
 * up to date. */
static void lists_of_two_tables(void **state)
{
    Edges *x = *state;
    Tape *t = x->t;
    Optim o = optim_adam(0.1);
    static const int32_t of_small[] = {1, 0}, of_large[] = {700, 2};
    float got[2][3 * D];
    for (int together = 0; together < 2; together++) {
        Store *s = store_new(&x->d, &error);
        Tensor *small = test_param(s, "small", 3, D, 1), *large = test_param(s, "large", 800, D, 2), *ids[2];
        for (int step = 0; step < 4; step++) {
            tape_reset(t, (Draw){0});
            if (together) {
                assert_true(input_ids(t, 2, (const int32_t *const[]){of_small, of_large}, 2, ids));
            } else {
                ids[0] = input_i32(t, of_small, 2);
                ids[1] = input_i32(t, of_large, 2);
            }
            Tensor *y = mul(t, gather(t, small, ids[0]), gather(t, large, ids[1]));
            assert_ok(backward(t, sum_squares(t, y), &error) && optim_step(&o, s, t, &error), error);
        }
        tensor_read(&x->d, small, 0, small->count, got[together]);
        store_free(s);
    }
    assert_memory_equal(got[0], got[1], sizeof got[0]);
}

static void wrong_use(void **state)
{
    Edges *x = *state;
    Tape *t = x->t;
    Error e = {0};
    Tensor *p = test_param(x->s, "p", 3, D, 1), *kept = kept_new(x->s, "kept", 3, D, &error);
    Tensor *y = scale(t, p, 2), *first = sum_squares(t, y), *second = sum(t, mul(t, y, y));
    assert_ok(backward(t, first, &error), error);
    assert_false(backward(t, second, &e)); /* y's memory is freed */
    failed_with(x, SP_USAGE, "each loss needs ops of its own");
    y = scale(t, p, 2);
    assert_ok(backward(t, sum_squares(t, y), &error), error);
    tape_keep(t, y, kept, 0);
    failed_with(x, SP_USAGE, "before backward");
    static const int32_t falls[] = {0, 3, 2, 3};
    pool_ragged(t, p, &(Ragged){.B = 3, .total = 3, .offsets = falls}, REDUCE_SUM);
    failed_with(x, SP_USAGE, "ascend");
    Tensor *at;
    distinct(t, input_i32(t, (int32_t[]){3, -1}, 2), NULL, &at, NULL);
    failed_with(x, SP_USAGE, "distinct: id -1");
    static const int32_t inside[] = {0, 2}, outside[] = {3};
    Tensor *list = store_i32(x->s, "list", SHAPE(2), inside, &error);
    tensor_write(&x->d, list, 1, 1, outside);
    gather(t, p, list);
    failed_with(x, SP_USAGE, "gather: row 3");
    error_clear(&e);
    assert_null(store_f32(x->s, "large", SHAPE(0, INT64_MAX / 2, 4), NULL, &e));
    assert_error(e, SP_SHAPE, "fit in memory");
    error_clear(&e);
    reshape(t, input_f32(t, NULL, SHAPE(0, 4)), SHAPE(0, INT64_MAX / 2, 4));
    failed_with(x, SP_SHAPE, "reshape");
}

int main(void)
{
#define EDGE(name) cmocka_unit_test_setup_teardown(name, edges_open, edges_close)
    const struct CMUnitTest tests[] = {EDGE(empty_parts), EDGE(weights_of_the_tape), EDGE(no_features),
                                       EDGE(empty_batch), EDGE(lists_of_two_tables), EDGE(wrong_use)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
