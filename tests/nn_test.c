/* tests/nn_test.c: the tape, loaded layers, inference plans. */
#include "tests/nn_testing.h"

#include <math.h>

static Device device;
static WeightForm form; /* packed as float32 */

/* Returns a named array of test numbers. The caller frees `data`. */
static Array array(const char *name, uint64_t seed, int dims, const int64_t *shape)
{
    Array a = {.name = {name, strlen(name)}, .type = F32, .dims = dims, .count = 1, .file = "model.safetensors"};
    for (int i = 0; i < dims; i++) {
        a.shape[i] = shape[i];
        a.count *= shape[i];
    }
    a.data = test_numbers(seed, a.count);
    return a;
}
static float at(const Array *a, int64_t i)
{
    return ((const float *)a->data)[i];
}

static void near_all(const float *a, const float *b, int64_t n, double tolerance)
{
    for (int64_t i = 0; i < n; i++)
        if (!(fabs((double)a[i] - (double)b[i]) <= tolerance))
            fail_msg("number %lld: %g, not %g", (long long)i, (double)a[i], (double)b[i]);
}

/* ---- planned inference: an example of each op that encoders use ------------------------------ */

enum { WIDTH = 12, VOCABULARY = 9 };
typedef struct Net {
    Store *s;
    Tensor *words;
    Linear qkv, out, wide, narrow;
    Norm norm;
    Conv2d first, depth, last;
} Net;
typedef struct Texts {
    const int32_t *ids;
    Ragged r;
} Texts;

static Array linear_array(uint64_t seed, int64_t N, int64_t K)
{
    return array("w", seed, SHAPE(N, K));
}

static void load(Linear *l, Store *s, uint64_t seed, int64_t N, int64_t K)
{
    Array w = linear_array(seed, N, K), b = array("b", seed + 1, SHAPE(N));
    assert_true(linear_load(l, s, 1, (const Array *[]){&w}, (const Array *[]){&b}, &form, &error));
    free((void *)w.data);
    free((void *)b.data);
}

static void load_conv(Conv2d *c, Store *s, uint64_t seed, int64_t O, int64_t C, int64_t k, int64_t stride,
                      int64_t groups)
{
    Array w = array("w", seed, SHAPE(O, C / groups, k, k)), b = array("b", seed + 1, SHAPE(O));
    assert_true(conv_load(c, s, &w, &b, NULL, NULL, NULL, NULL, 0, stride, k / 2, groups, &form, &error));
    free((void *)w.data);
    free((void *)b.data);
}

static Net net_new(const Device *d)
{
    Net m = {.s = store_new(d, &error)};
    m.words = test_param(m.s, "words", VOCABULARY, WIDTH, 1);
    load(&m.qkv, m.s, 10, 3 * WIDTH, WIDTH);
    load(&m.out, m.s, 20, WIDTH, WIDTH);
    load(&m.wide, m.s, 30, 4 * WIDTH, WIDTH);
    load(&m.narrow, m.s, 40, WIDTH, 4 * WIDTH);
    m.norm = (Norm){test_param(m.s, "gamma", WIDTH, 0, 2), test_param(m.s, "beta", WIDTH, 0, 3), 1e-5f};
    load_conv(&m.first, m.s, 50, 16, 3, 3, 2, 1);
    load_conv(&m.depth, m.s, 60, 16, 16, 3, 1, 16);
    load_conv(&m.last, m.s, 70, 16, 16, 1, 1, 1);
    return m;
}

static Tensor *encode_texts(Tape *t, const void *model, const void *input)
{
    const Net *m = model;
    const Texts *x = input;
    Tensor *h = gather(t, m->words, input_i32(t, x->ids, x->r.total));
    for (int layer = 0; layer < 3; layer++) {
        Tensor *a = attention(t, linear(t, h, &m->qkv), &x->r, 3, (Relative){0}, layer == 1);
        h = layer_norm(t, linear_add(t, a, &m->out, h), &m->norm);
        h = layer_norm_add(t, linear(t, linear_act(t, h, &m->wide, ACT_GELU, 0), &m->narrow), h, &m->norm);
    }
    return row_normalize(t, pool_ragged(t, h, &x->r, REDUCE_MEAN), 1e-12f);
}

static Tensor *encode_images(Tape *t, const void *model, const void *input)
{
    const Net *m = model;
    const int64_t *B = input;
    float *pixels = test_numbers(5, *B * 13 * 11 * 3);
    Tensor *x = conv(t, input_f32(t, pixels, SHAPE(*B, 13, 11, 3)), &m->first, NULL, ACT_RELU);
    free(pixels);
    x = max_pool(t, x, 3, 2, 1);
    x = conv(t, conv(t, x, &m->depth, NULL, ACT_RELU6), &m->last, x, ACT_RELU);
    return softmax(t, reshape(t, mean_pool(t, x), SHAPE(*B * 16)));
}

/* Checks that planned results have the bits of plain results, and that tensors that are valid at the same time share no
 * memory. */
static void plan_equals_plain(Tape *planned, Tape *plain, Forward *forward, const Net *m, const void *input)
{
    int64_t shape[4];
    float a[256];
    assert_true(infer(planned, forward, m, input, a, COUNT(a), shape, &error));
    tape_reset(plain, (Draw){0});
    Tensor *y = forward(plain, m, input);
    tape_must(plain);
    float *b = test_read(plain->d, y);
    assert_int_equal(shape[0], y->shape[0]);
    assert_memory_equal(a, b, (size_t)y->count * sizeof *a);
    free(b);
    const Plan *p = planned->plan;
    size_t all = 0;
    for (size_t i = 0; i < p->buffers; i++) {
        all += p->buffer[i].bytes;
        assert_true(p->offset[i] + p->buffer[i].bytes <= p->bytes);
        for (size_t j = 0; j < i; j++)
            if (p->buffer[i].first <= p->buffer[j].last && p->buffer[j].first <= p->buffer[i].last)
                assert_true(p->offset[i] + p->buffer[i].bytes <= p->offset[j] ||
                            p->offset[j] + p->buffer[j].bytes <= p->offset[i]);
    }
    assert_int_equal(plan_bytes(planned), p->bytes);
    assert_true(p->bytes < all * 2 / 3); /* memory is reused */
}

static void planned_inference(void **state)
{
    (void)state;
    TestHeap h = {.heap = {test_resize, &h}};
    Device d = test_device(&h.heap, 2);
    Net m = net_new(&d);
    Tape *planned = tape_new(&d, false, &error), *plain = tape_new(&d, false, &error);
    static const int32_t ids[] = {3, 1, 4, 1, 5, 8, 2, 6, 5, 3, 5, 8}, a[] = {0, 5, 12}, b[] = {0, 1, 1, 9},
                         c[] = {0, 12};
    const Texts texts[] = {{ids, {2, 12, a}}, {ids, {3, 9, b}}, {ids, {1, 12, c}}};
    size_t requests = 0;
    for (int round = 0; round < 3; round++) {
        if (round == 2) /* all plans exist and the block is large enough */
            requests = h.requests;
        for (size_t i = 0; i < COUNT(texts); i++)
            plan_equals_plain(planned, plain, encode_texts, &m, &texts[i]);
        for (int64_t B = 1; B < 4; B++)
            plan_equals_plain(planned, plain, encode_images, &m, &B);
    }
    assert_int_equal(h.requests, requests);
    Error e = {0};
    int64_t shape[4];
    float few[3];
    assert_false(infer(planned, encode_texts, &m, &texts[0], few, COUNT(few), shape, &e));
    assert_error(e, SP_SHAPE, "room for 3");
    int32_t unknown[] = {9};
    Texts wrong = {unknown, {1, 1, (int32_t[]){0, 1}}};
    assert_false(infer(planned, encode_texts, &m, &wrong, few, COUNT(few), shape, &e));
    assert_error(e, SP_USAGE, "gather: row 9");
    wrong.r.total = 2;
    assert_false(infer(planned, encode_texts, &m, &wrong, few, COUNT(few), shape, &e));
    assert_error(e, SP_USAGE, "ragged rows");
    tape_free(planned);
    tape_free(plain);
    store_free(m.s);
    device_close(&d);
    assert_int_equal(h.live, 0);
}

/* More shapes than the number of kept plans: the least recently used plan is removed. */
static void many_shapes(void **state)
{
    (void)state;
    Net m = net_new(&device);
    Tape *planned = tape_new(&device, false, &error), *plain = tape_new(&device, false, &error);
    for (int round = 0; round < 2; round++)
        for (int32_t n = 1; n < PLANS + 8; n++) {
            int32_t ids[PLANS + 8] = {0}, offsets[] = {0, n};
            plan_equals_plain(planned, plain, encode_texts, &m, &(Texts){ids, {1, n, offsets}});
        }
    tape_free(planned);
    tape_free(plain);
    store_free(m.s);
}

/* ---- layers ---------------------------------------------------------------------------------- */

/* Checks that the choice of wider squares is passed to the kernel. */
static void wider_squares(void **state)
{
    (void)state;
    enum { C = 32, H = 13, N = H * H * C };
    Store *s = store_new(&device, &error);
    Conv2d c[3];
    load_conv(&c[0], s, 5, C, C, 3, 1, 1);
    form.winograd = 6;
    load_conv(&c[1], s, 5, C, C, 3, 1, 1);
    form.winograd = 0;
    load_conv(&c[2], s, 5, C, C, 3, 1, 1);
    Tape *t = tape_new(&device, false, &error);
    float *x = test_numbers(6, N), *got[3];
    for (int i = 0; i < 3; i++) {
        Tensor *y = conv(t, input_f32(t, x, SHAPE(1, H, H, C)), &c[i], NULL, ACT_NONE);
        tape_must(t);
        got[i] = test_read(&device, y);
    }
    assert_memory_equal(got[0], got[2], N * sizeof *x);
    assert_memory_not_equal(got[0], got[1], N * sizeof *x);
    near_all(got[1], got[0], N, 1e-3);
    for (int i = 0; i < 3; i++)
        free(got[i]);
    free(x);
    tape_free(t);
    store_free(s);
}

static void folded_convolution(void **state)
{
    (void)state;
    enum { O = 5, C = 3, K = 3, H = 6, W = 7 };
    Store *s = store_new(&device, &error);
    Array w = array("w", 1, SHAPE(O, C, K, K)), gamma = array("gamma", 2, SHAPE(O)), beta = array("beta", 3, SHAPE(O)),
          mean = array("mean", 4, SHAPE(O)), var = array("var", 5, SHAPE(O));
    for (int o = 0; o < O; o++)
        ((float *)var.data)[o] = fabsf(at(&var, o));
    Conv2d c;
    assert_true(conv_load(&c, s, &w, NULL, &gamma, &beta, &mean, &var, 1e-3, 1, 1, 1, &form, &error));
    Tape *t = tape_new(&device, false, &error);
    float *x = test_numbers(6, H * W * C), want[H * W * O];
    for (int h = 0; h < H; h++)
        for (int v = 0; v < W; v++)
            for (int o = 0; o < O; o++) {
                double sum = 0;
                for (int i = 0; i < K * K * C; i++) {
                    int ch = i / (K * K), y = h + i % (K * K) / K - 1, z = v + i % K - 1;
                    if (y >= 0 && y < H && z >= 0 && z < W)
                        sum += (double)at(&w, o * C * K * K + i) * x[(y * W + z) * C + ch];
                }
                want[(h * W + v) * O + o] =
                    (float)fmax(0, at(&gamma, o) * (sum - at(&mean, o)) / sqrt(at(&var, o) + 1e-3) + at(&beta, o));
            }
    Tensor *y = conv(t, input_f32(t, x, SHAPE(1, H, W, C)), &c, NULL, ACT_RELU);
    tape_must(t);
    float *got = test_read(&device, y);
    near_all(got, want, H * W * O, 1e-5);
    Error e = {0};
    mean.count = 4;
    assert_false(conv_load(&c, s, &w, NULL, &gamma, &beta, &mean, &var, 1e-3, 1, 1, 1, &form, &e));
    assert_error(e, SP_SHAPE, "tensor mean");
    assert_false(conv_load(&c, s, &gamma, NULL, NULL, NULL, NULL, NULL, 0, 1, 1, 1, &form, &e));
    assert_error(e, SP_SHAPE, "tensor gamma");
    /* O is not a multiple of 3 groups */
    assert_false(conv_load(&c, s, &w, NULL, NULL, NULL, NULL, NULL, 0, 1, 1, 3, &form, &e));
    assert_error(e, SP_USAGE, "tensor w");
    free(got);
    free(x);
    free((void *)w.data);
    free((void *)gamma.data);
    free((void *)beta.data);
    free((void *)mean.data);
    free((void *)var.data);
    tape_free(t);
    store_free(s);
}

/* Checks that three stacked weights, one without bias, equal three layers. */
static void stacked_linear(void **state)
{
    (void)state;
    Store *s = store_new(&device, &error);
    Array w[3], b = array("b", 9, SHAPE(4));
    const Array *ws[3], *bs[3] = {NULL, &b, NULL};
    float *x = test_numbers(8, 5 * 7), want[5][9];
    int64_t N[] = {2, 4, 3}, n = 0;
    for (int i = 0; i < 3; i++) {
        w[i] = linear_array(30 + (uint64_t)i, N[i], 7);
        ws[i] = &w[i];
        for (int64_t j = 0; j < N[i]; j++, n++)
            for (int m = 0; m < 5; m++) {
                double sum = i == 1 ? at(&b, j) : 0;
                for (int k = 0; k < 7; k++)
                    sum += (double)x[m * 7 + k] * at(&w[i], j * 7 + k);
                want[m][n] = (float)sum;
            }
    }
    Linear l;
    assert_true(linear_load(&l, s, 3, ws, bs, &form, &error));
    assert_true(l.N == 9 && l.K == 7);
    Tape *t = tape_new(&device, false, &error);
    Tensor *y = linear(t, input_f32(t, x, SHAPE(5, 7)), &l);
    tape_must(t);
    float *got = test_read(&device, y);
    near_all(got, want[0], 45, 1e-5);
    Error e = {0};
    w[2].shape[1] = 6;
    w[2].count = 18;
    assert_false(linear_load(&l, s, 3, ws, bs, &form, &e));
    assert_error(e, SP_SHAPE, "expected 7 numbers per row");
    for (int i = 0; i < 3; i++)
        free((void *)w[i].data);
    free((void *)b.data);
    free(got);
    free(x);
    tape_free(t);
    store_free(s);
}

/* Checks that an array of aligned float32 is used without a copy; other types and addresses are converted. */
static void arrays_in_the_store(void **state)
{
    (void)state;
    Store *s = store_new(&device, &error);
    Array a = array("a", 1, SHAPE(3, 4));
    Tensor *view = store_array(s, &a, &error);
    assert_non_null(view);
    if (device_is_host(&device))
        assert_ptr_equal(view->data, a.data);
    assert_ptr_equal(store_find(s, "a"), view);
    unsigned char bytes[49];
    memcpy(bytes + 1, a.data, 48);
    Array odd = a, half = {.name = TEXT("half"), .type = F16, .dims = 1, .shape = {2}, .count = 2, .file = "f"};
    odd.data = bytes + 1;
    const uint16_t halves[] = {0x3c00, 0xc000};
    half.data = halves;
    /* both names are new copies */
    Tensor *copy = store_array(s, &odd, &error), *wide = store_array(s, &half, &error);
    float *x = test_read(&device, copy), *y = test_read(&device, wide);
    assert_memory_equal(x, a.data, 48);
    assert_true(y[0] == 1 && y[1] == -2);
    assert_int_equal(store_count(s), 3);
    assert_string_equal(store_name(s, store_at(s, 2)), "half");
    Norm norm;
    Error e = {0};
    assert_false(norm_load(&norm, s, &a, &half, 1e-5f, &form, &e));
    assert_error(e, SP_SHAPE, "tensor half");
    a.dims = 5;
    assert_null(store_array(s, &a, &e));
    assert_error(e, SP_SHAPE, "5 dimensions");
    free(x);
    free(y);
    free((void *)a.data);
    store_free(s);
}

/* Checks that the gradient to the input of a packed layer equals that of a plain layer with the weights after packing.
 */
static void gradients_through_packed_weights(void **state)
{
    if (!device.k->gemm_unpack)
        skip(); /* MINIMAL does not train encoders */
    (void)state;
    enum { M = 5, N = 600, K = 37 }; /* N: more than one part of the weights */
    float *c = test_numbers(9, M * N);
    for (Pack pack = PACK_F32; pack <= PACK_INT8; pack++) {
        Store *s = store_new(&device, &error);
        Tape *t = tape_new(&device, true, &error);
        Array w = linear_array(3, N, K), b = array("b", 4, SHAPE(N));
        Tensor *x = test_param(s, "x", M, K, 5), *factor = store_f32(s, "c", SHAPE(M, N), c, &error);
        Linear l[2];
        assert_true(linear_load(&l[0], s, 1, (const Array *[]){&w}, (const Array *[]){&b}, &(WeightForm){.pack = pack},
                                &error));
        float *left = malloc(sizeof *left * N * K), got[2][M * K], *bytes = malloc(sizeof *left * N * K), *y[2];
        Run run = device_run(&device);
        void *unpacked = device.k->alloc(&run, NULL, sizeof *left * N * K);
        device.k->gemm_unpack(&run, pack, K, N, l[0].packed, 0, N, unpacked, N); /* [K, N] */
        device.k->download(&run, left, unpacked, sizeof *left * N * K);
        device.k->free(&run, NULL, unpacked, sizeof *left * N * K);
        for (int64_t i = 0; i < N * K; i++)
            bytes[i] = left[i % K * N + i / K];
        l[1] = (Linear){.w = store_f32(s, "left", SHAPE(N, K), bytes, &error), .b = l[0].b, .N = N, .K = K};
        for (int i = 0; i < 2; i++) {
            tape_reset(t, (Draw){0});
            Tensor *z = linear_act(t, scale(t, x, 1), &l[i], ACT_GELU, 0);
            y[i] = test_read(&device, z);
            assert_true(backward(t, sum(t, mul(t, z, factor)), &error));
            assert_true(tensor_grad(t, x, got[i], &error));
        }
        near_all(y[0], y[1], M * N, 1e-5);
        near_all(got[0], got[1], M * K, 1e-3);
        free(y[0]);
        free(y[1]);
        free(left);
        free(bytes);
        free((void *)w.data);
        free((void *)b.data);
        tape_free(t);
        store_free(s);
    }
    free(c);
}

/* A fused layer has three arrays, two of them trained. Checks that each has its name, its gradient and its optimiser
 * state. */
static void stacked_parameters(void **state)
{
    (void)state;
    enum { M = 4, N = 3, K = 5 };
    Store *s = store_new(&device, &error);
    Array w[3] = {array("q", 1, SHAPE(N, K)), array("k", 2, SHAPE(N, K)), array("v", 3, SHAPE(N, K))},
          b[2] = {array("q.bias", 4, SHAPE(N)), array("v.bias", 5, SHAPE(N))};
    const Array *ws[] = {&w[0], &w[1], &w[2]}, *bs[] = {&b[0], NULL, &b[1]};
    Linear fused, alone;
    assert_true(linear_load(&fused, s, 3, ws, bs, &(WeightForm){.train_w = 5, .train_b = 4}, &error));
    Tensor *q = store_find(s, "q"), *v = store_find(s, "v"), *bias = store_find(s, "v.bias");
    assert_true(q && q->param && v && v->param && bias && bias->param && !store_find(s, "k") &&
                !store_find(s, "q.bias"));
    assert_true(fused.w->needs_grad && !fused.w->param && fused.w->data == q->data);
    Store *other = store_new(&device, &error); /* v alone, as a layer */
    assert_true(linear_load(&alone, other, 1, &ws[2], &bs[2], &(WeightForm){.train_w = 1, .train_b = 1}, &error));
    Tape *t = tape_new(&device, true, &error);
    float *x = test_numbers(6, M * K), got[N * K], expected[N * K], *before = test_read(&device, fused.w);
    Tensor *in = input_f32(t, x, SHAPE(M, K));
    Tensor *loss = sum_squares(t, linear(t, in, &fused));
    loss = add(t, loss, sum_squares(t, q)); /* a part that is also read separately */
    assert_true(backward(t, loss, &error));
    assert_true(tensor_grad(t, v, got, &error));
    Optim sgd = {.kind = OPTIM_SGD, .lr = 0.5};
    float of_bias[N], expected_bias[N];
    assert_true(tensor_grad(t, bias, of_bias, &error));
    assert_true(optim_step(&sgd, s, t, &error));
    float *after = test_read(&device, fused.w);
    for (int64_t i = 0; i < N * K; i++) {
        assert_true(after[i] != before[i]);                                         /* q */
        assert_true(after[N * K + i] == before[N * K + i]);                         /* k, a constant */
        assert_true(after[2 * N * K + i] == before[2 * N * K + i] - 0.5f * got[i]); /* v */
    }
    tape_reset(t, (Draw){0});
    assert_true(backward(t, sum_squares(t, linear(t, input_f32(t, x, SHAPE(M, K)), &alone)), &error));
    assert_true(tensor_grad(t, alone.w, expected, &error));
    assert_true(tensor_grad(t, alone.b, expected_bias, &error));
    near_all(got, expected, N * K, 1e-5);
    near_all(of_bias, expected_bias, N, 1e-5);
    free(before);
    free(after);
    free(x);
    for (int i = 0; i < 3; i++)
        free((void *)w[i].data);
    free((void *)b[0].data);
    free((void *)b[1].data);
    tape_free(t);
    store_free(other);
    store_free(s);
}

/* ---- failures -------------------------------------------------------------------------------- */

static void failures_stick(void **state)
{
    (void)state;
    Error e = {0};
    Store *s = store_new(&device, &error);
    Tape *t = tape_new(&device, true, &error), *other = tape_new(&device, true, &error);
    Tensor *x = test_param(s, "x", 3, 4, 1), *y = test_param(s, "y", 4, 3, 2);
    float *before = test_read(&device, x);
    Tensor *bad = add(t, x, y);
    assert_non_null(bad);
    assert_false(tape_ok(t, &e));
    assert_error(e, SP_SHAPE, "add: shapes do not fit: [3,4] [4,3]");
    size_t nodes = t->count;
    Tensor *later = sum(t, mul(t, row_normalize(t, bad, 1), activate(t, x, ACT_RELU, 0)));
    tape_fail(t, SP_USAGE, "something else");
    assert_int_equal(t->count, nodes);
    assert_false(backward(t, later, &e));
    assert_error(e, SP_SHAPE, "add"); /* the first cause */
    Optim o = optim_adam(1);
    assert_false(optim_step(&o, s, t, &e));
    error_clear(&e);
    float *after = test_read(&device, x);
    assert_memory_equal(before, after, 48);
    tape_reset(t, (Draw){0});
    assert_true(tape_ok(t, &e));

    /* a tensor of another tape, of an earlier step, a missing tensor, a tensor of another type */
    Tensor *a = scale(t, x, 2);
    add(other, a, a);
    assert_false(tape_ok(other, &e));
    assert_error(e, SP_USAGE, "add: input 0 belongs to another tape");
    tape_reset(t, (Draw){0});
    scale(t, a, 2);
    assert_false(tape_ok(t, &e));
    assert_error(e, SP_USAGE, "an earlier step");
    tape_reset(t, (Draw){0});
    add(t, x, NULL);
    assert_false(tape_ok(t, &e));
    assert_error(e, SP_USAGE, "add: input 1 is missing");
    tape_reset(t, (Draw){0});
    add(t, x, input_i32(t, (int32_t[]){1}, 1));
    assert_false(tape_ok(t, &e));
    assert_error(e, SP_SHAPE, "add: input 1 has type I32");
    tape_reset(t, (Draw){0});
    gather(t, x, input_i32(t, (int32_t[]){1, -1}, 2));
    assert_false(tape_ok(t, &e));
    assert_error(e, SP_USAGE, "gather: row -1");
    tape_reset(t, (Draw){0});
    assert_false(backward(t, x, &e));
    assert_error(e, SP_USAGE, "backward");
    tape_reset(t, (Draw){0});
    static const Op forward_only = {.name = "forward_only"};
    assert_null(node_new(t, &forward_only, INPUTS(x)));
    assert_false(tape_ok(t, &e));
    assert_error(e, SP_UNSUPPORTED, "forward_only has no gradient");
    tape_reset(t, (Draw){0});
    float g[12];
    assert_false(tensor_grad(t, scale(t, x, 1), g, &e));
    assert_error(e, SP_USAGE, "only parameters");
    free(before);
    free(after);
    tape_free(t);
    tape_free(other);
    store_free(s);
}

/* Checks that every op and every backward pass is in the trace with its work. */
static void traced(void **state)
{
    (void)state;
    Device d = device;
    d.trace = trace_new(NULL, false, &error);
    Store *s = store_new(&d, &error);
    Tape *t = tape_new(&d, true, &error);
    Tensor *x = test_param(s, "x", 30, 4, 1), *w = test_param(s, "w", 5, 4, 2);
    Optim o = optim_adam(0.1);
    assert_true(backward(t, sum_squares(t, matmul(t, gather(t, x, input_i32(t, (int32_t[]){3, 3}, 2)), false, w, true)),
                         &error));
    assert_true(optim_step(&o, s, t, &error));
    char *text = NULL;
    size_t bytes = 0;
    FILE *to = open_memstream(&text, &bytes);
    trace_table(d.trace, to, 0);
    fclose(to);
    static const char *const names[] = {"matmul", "matmul back", "gather", "sum_squares back", "adam", "adam rows"};
    for (size_t i = 0; i < COUNT(names); i++)
        assert_non_null(strstr(text, names[i]));
    free(text);
    tape_free(t);
    store_free(s);
    trace_free(d.trace);
}

static int setup(void **state)
{
    (void)state;
    device = test_device(NULL, 2);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    device_close(&device);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(planned_inference),
                                       cmocka_unit_test(many_shapes),
                                       cmocka_unit_test(folded_convolution),
                                       cmocka_unit_test(wider_squares),
                                       cmocka_unit_test(gradients_through_packed_weights),
                                       cmocka_unit_test(stacked_parameters),
                                       cmocka_unit_test(stacked_linear),
                                       cmocka_unit_test(arrays_in_the_store),
                                       cmocka_unit_test(failures_stick),
                                       cmocka_unit_test(traced)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
