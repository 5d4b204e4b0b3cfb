/* tests/nn_test.c: the tape, stored tensors and inference plans. */
#include "tests/testing.h"

#include "nn/tape.h"

static Device device;
static Error error;

static const float *ramp(int64_t n, float a, float b)
{
    static float x[4096];
    for (int64_t i = 0; i < n; i++)
        x[i] = a * (float)i + b;
    return x;
}

static Array array(int64_t rows, int64_t cols, const float *data)
{
    return (Array){.name = TEXT("w"),
                   .type = F32,
                   .dims = cols ? 2 : 1,
                   .shape = {rows, cols},
                   .count = cols ? rows * cols : rows,
                   .data = data,
                   .file = "test"};
}

typedef struct Net {
    Linear first, second, third;
} Net;

static Tensor *net_forward(Tape *t, const void *model, const void *input)
{
    const Net *m = model;
    const int64_t *rows = input;
    Tensor *x = input_f32(t, ramp(*rows * 8, 0.01f, -0.1f), SHAPE(*rows, 8));
    Tensor *h = linear(t, linear(t, x, &m->first), &m->second);
    return linear_add(t, h, &m->third, h);
}

static void planned_inference(void **state)
{
    (void)state;
    Store *s = store_new(&device, &error);
    Net m;
    Array w1 = array(16, 8, ramp(128, 0.003f, -0.2f)), b1 = array(16, 0, ramp(16, 0.1f, 0));
    assert_true(linear_load(&m.first, s, 1, (const Array *[]){&w1}, (const Array *[]){&b1}, &error));
    Array w2 = array(5, 16, ramp(80, -0.002f, 0.1f)), w3 = array(5, 5, ramp(25, 0.01f, -0.1f));
    assert_true(linear_load(&m.second, s, 1, (const Array *[]){&w2}, NULL, &error));
    assert_true(linear_load(&m.third, s, 1, (const Array *[]){&w3}, NULL, &error));
    Tape *t = tape_new(&device, false, &error), *eager = tape_new(&device, false, &error);
    for (int64_t rows = 1; rows < 20; rows += 6) {
        float planned[128], plain[128];
        int64_t shape[4];
        assert_true(infer(t, net_forward, &m, &rows, planned, COUNT(planned), shape, &error));
        assert_int_equal(shape[0], rows);
        assert_int_equal(shape[1], 5);
        tape_reset(eager, (Draw){0});
        Tensor *y = net_forward(eager, &m, &rows);
        assert_true(tape_ok(eager, &error));
        tensor_read(&device, y, 0, y->count, plain);
        assert_memory_equal(planned, plain, (size_t)y->count * sizeof(float));
        const Plan *p = t->plan;
        for (size_t i = 0; i < p->buffers; i++)
            for (size_t j = 0; j < i; j++)
                if (p->buffer[i].first <= p->buffer[j].last && p->buffer[j].first <= p->buffer[i].last)
                    assert_true(p->offset[i] + p->buffer[i].bytes <= p->offset[j] ||
                                p->offset[j] + p->buffer[j].bytes <= p->offset[i]);
    }
    tape_free(t);
    tape_free(eager);
    store_free(s);
}

static int setup(void **state)
{
    (void)state;
    const Kernels *k = kernels_cpu(NULL, &error);
    device = (Device){.k = k, .pool = pool_new(NULL, 2, &error)};
    return k && device.pool ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    pool_free(device.pool);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(planned_inference)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
