/* tests/nn_subgraph_test.c: the part of a graph that a batch needs: rows, the nodes that they read, lists of ids. */
#include "tests/graph_testing.h"

#include <math.h>

/* Computes the `chosen` rows of A x from the nodes that they read. Checks that the bits and the gradients are those of
 * the whole product. all: csr_rows must use all rows of x, and return no list of nodes. */
static void rows_of_graph(Csr *g, Tensor *x, int64_t n, const int32_t *chosen, bool all)
{
    int64_t D = cols_of(x);
    Tape *t = tape_new(&device, true, &error);
    Tensor *ids = input_i32(t, chosen, n), *from, *at;
    float *whole = calloc((size_t)x->count, sizeof *whole), *part = calloc((size_t)x->count, sizeof *part);
    assert_true(backward(t, sum_squares(t, gather(t, spmm(t, g, x), ids)), &error) && tensor_grad(t, x, whole, &error));
    tape_reset(t, (Draw){0});
    ids = input_i32(t, chosen, n);
    Tensor *direct = gather(t, spmm(t, g, x), ids);
    const Csr *few = csr_rows(t, g, ids, &from, &at);
    assert_non_null(few);
    assert_int_equal(from == NULL, all);
    assert_int_equal(at == NULL, g->rows != g->cols);
    Tensor *below = from ? gather(t, x, from) : x, *y = spmm(t, few, below), *self_rows = at ? gather(t, below, at) : y,
           *own_rows = at ? gather(t, x, ids) : y;
    tape_must(t);
    float *a = test_read(&device, direct), *b = test_read(&device, y), *c = test_read(&device, self_rows),
          *d = test_read(&device, own_rows);
    assert_memory_equal(a, b, (size_t)(n * D) * sizeof *a);
    assert_memory_equal(c, d, (size_t)(n * D) * sizeof *c);
    assert_true(backward(t, sum_squares(t, y), &error) && tensor_grad(t, x, part, &error));
    for (int64_t i = 0; i < x->count; i++)
        assert_true(fabsf(whole[i] - part[i]) <= 1e-6f);
    assert_ptr_equal(csr_rows(t, g, NULL, &from, &at), g);
    free(a);
    free(b);
    free(c);
    free(d);
    free(whole);
    free(part);
    tape_free(t);
}

static void rows_of_graphs(void **state)
{
    (void)state;
    /* The rows of `many` and of the nodes that they read have 15 of the 18 entries (without the diagonal), so csr_rows
     * uses all rows of x. Those of `one` and of `few` have 2. */
    static const int32_t one[] = {3}, few[] = {3, 9}, many[] = {1, 4, 7, 11};
    Store *s = store_new(&device, &error);
    Tensor *x = test_param(s, "x", N, 6, 21);
    for (Adjacency how = ADJ_SYM; how <= ADJ_SYM_SELF; how++) {
        Csr *g = csr_bipartite(s, "pairs", U, I, pairs_start, pairs_item, how, &error);
        rows_of_graph(g, x, COUNT(one), one, false);
        rows_of_graph(g, x, COUNT(few), few, false);
        rows_of_graph(g, x, COUNT(many), many, true);
    }
    store_free(s);
}

/* Checks ids at given places of a list; places outside of the list are refused. */
static void picked_ids(void **state)
{
    (void)state;
    static const int32_t ids[] = {2, 3, 5, 9}, places[] = {3, 0, 0}, outside[] = {4};
    Tape *t = tape_new(&device, true, &error);
    Tensor *list = input_i32(t, ids, COUNT(ids));
    const float values[] = {0, 10, 20, 30, 40, 50, 60, 70, 80, 90};
    Tensor *x = input_f32(t, values, 2, (int64_t[]){COUNT(values), 1});
    Tensor *picked = gather(t, x, ids_pick(t, list, input_i32(t, places, COUNT(places))));
    tape_must(t);
    float *at = test_read(&device, picked);
    assert_true(at[0] == 90 && at[1] == 20 && at[2] == 20);
    free(at);
    ids_pick(t, list, input_i32(t, outside, COUNT(outside)));
    Error e = {0};
    assert_false(tape_ok(t, &e));
    assert_error(e, SP_SHAPE, "ids_pick: places 4 to 4 are out of range; the list has 4 ids");
    tape_free(t);
}

/* Checks rows_of_graph for a graph that is not square, with values or with scales. User 1 has no pairs. */
static void rows_of_blocks(void **state)
{
    (void)state;
    static const int32_t few[] = {1, 3}, many[] = {0, 2, 4}, without_pairs[] = {1};
    static const float value[] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, scales[N] = {2, 1, 3, 1, 2, 1, 2, 3, 4, 5, 6, 7};
    HostGraph h = {.rows = U, .cols = I, .start = pairs_start, .col = pairs_item};
    for (int scaled = 0; scaled < 2; scaled++) {
        Store *s = store_new(&device, &error);
        Tensor *x = test_param(s, "x", I, 6, 21);
        h.val = scaled ? NULL : value;
        h.row_scale = scaled ? scales : NULL;
        h.col_scale = scaled ? scales + U : NULL;
        Csr *g = csr_new(s, "block", &h, &error);
        rows_of_graph(g, x, COUNT(few), few, false);
        rows_of_graph(g, x, COUNT(many), many, true);
        rows_of_graph(g, x, COUNT(without_pairs), without_pairs, false);
        store_free(s);
    }
}

/* Takes rows of a graph whose values have a gradient, and drops everything else. Checks that the gradient is that of
 * the whole graph, and that a dropped tensor is refused. */
static void dropped(void **state)
{
    (void)state;
    enum { n = 40, D = 5 };
    static const int32_t chosen[] = {0, 3, 17, 39};
    Store *s = store_new(&device, &error);
    Tensor *x = test_param(s, "x", n, D, 31), *y = test_param(s, "y", n, D, 32);
    float gx[3][n * D], gy[3][n * D];
    Tape *t = tape_new(&device, true, &error);
    /* 0: nothing is dropped; 1: dropped before the rows are taken; 2: the rows are taken first, before the values are
     * computed */
    for (int drops = 0; drops < 3; drops++) {
        tape_reset(t, (Draw){0});
        Tensor *ids = input_i32(t, chosen, COUNT(chosen)), *from, *at;
        int64_t mark = tape_mark(t);
        Csr *two[] = {knn_graph(t, x, 4, NULL), knn_graph(t, scale(t, x, -2), 3, NULL)};
        Csr *g = graph_normalize(t, graph_set_diagonal(t, graph_mix(t, 2, two, NULL), 1));
        assert_non_null(g);
        if (drops == 1)
            tape_drop(t, mark, 3, (Tensor *[]){g->start, g->col, csr_values(t, g)});
        const Csr *few = csr_rows(t, g, ids, &from, &at);
        Tensor *h = spmm(t, few, from ? gather(t, y, from) : y);
        if (drops)
            tape_drop(t, mark, 1, &h);
        for (int i = 0; drops && i < 8; i++) /* overwrites the freed memory */
            input_f32(t, gx[0], 2, (int64_t[]){n, D});
        assert_true(backward(t, sum_squares(t, h), &error));
        assert_true(tensor_grad(t, x, gx[drops], &error) && tensor_grad(t, y, gy[drops], &error));
    }
    for (int drops = 1; drops < 3; drops++) {
        assert_memory_equal(gx[0], gx[drops], sizeof gx[0]);
        assert_memory_equal(gy[0], gy[drops], sizeof gy[0]);
    }
    tape_reset(t, (Draw){0});
    int64_t mark = tape_mark(t);
    Tensor *a = scale(t, x, 2), *b = scale(t, a, 2);
    tape_drop(t, mark, 1, &b);
    add(t, b, b);
    tape_must(t);
    add(t, a, b);
    Error e = {0};
    assert_false(tape_ok(t, &e));
    assert_error(e, SP_USAGE, "add: input 0 was dropped");
    tape_free(t);
    store_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_of_graphs), cmocka_unit_test(picked_ids),
                                       cmocka_unit_test(rows_of_blocks), cmocka_unit_test(dropped)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
