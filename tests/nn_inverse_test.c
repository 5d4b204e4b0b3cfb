/* tests/nn_inverse_test.c: the inverse of matrices equals plain code in double precision. */
#include "tests/nn_testing.h"

#include <math.h>

enum { INNER = 40 };
/* Kinds of matrices. The first three are M M' / n, with M [n, INNER] of numbers around 0, plus a diagonal.
 * - DEFINITE: the diagonal is 1.
 * - INDEFINITE: the diagonal is 1 and -1 in turn, so about half of the eigenvalues are negative if n is large.
 * - REVERSED: the diagonal is 1 and the rows are in reverse order, so every pivot is far from the diagonal.
 * - DRAWN: numbers without structure. */
typedef enum Kind { DEFINITE, INDEFINITE, REVERSED, DRAWN, KINDS } Kind;

static float *matrix(int64_t n, Kind kind)
{
    float *m = test_numbers(7, n * MAX(n, (int64_t)INNER)), *a = malloc((size_t)(n * n) * sizeof *a);
    assert_non_null(a);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = i != j ? 0 : kind == INDEFINITE && i % 2 ? -1 : 1;
            for (int64_t k = 0; k < INNER; k++)
                sum += (double)m[i * INNER + k] * (double)m[j * INNER + k] / (double)n;
            a[(kind == REVERSED ? n - 1 - i : i) * n + j] = kind == DRAWN ? m[i * n + j] : (float)sum;
        }
    free(m);
    return a;
}

/* Returns the largest element of |A X - I|. */
static double largest_error(const float *a, const float *x, int64_t n)
{
    double largest = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = i == j ? -1 : 0;
            for (int64_t k = 0; k < n; k++)
                sum += (double)a[i * n + k] * (double)x[k * n + j];
            largest = fmax(largest, fabs(sum));
        }
    return largest;
}

static void inverses(void **state)
{
    (void)state;
    static const int64_t sizes[] = {1, 2, 5, 127, 128, 129, 300};
    Device one = test_device(NULL, 1), three = test_device(NULL, 3);
    for (size_t i = 0; i < KINDS * COUNT(sizes); i++) {
        int64_t n = sizes[i / KINDS];
        float *a = matrix(n, i % KINDS), *x = malloc((size_t)(n * n) * sizeof *x),
              *y = malloc((size_t)(n * n) * sizeof *y);
        memcpy(x, a, (size_t)(n * n) * sizeof *x);
        memcpy(y, a, (size_t)(n * n) * sizeof *y);
        assert_ok(invert_matrix(&one, n, x, NULL, NULL, &error), error);
        assert_ok(invert_matrix(&three, n, y, NULL, NULL, &error), error);
        assert_memory_equal(x, y, (size_t)(n * n) * sizeof *x);
        double wrong = largest_error(a, x, n);
        printf("  %lld x %lld, kind %zu: %.2g\n", (long long)n, (long long)n, i % KINDS, wrong);
        assert_true(wrong < (i % KINDS == DRAWN ? 1e-3 : 1e-5));
        free(a);
        free(x);
        free(y);
    }
    device_close(&one);
    device_close(&three);
}

static void no_inverse(void **state)
{
    (void)state;
    Device d = test_device(NULL, 2);
    enum { N = 200 };
    float *a = matrix(N, DEFINITE);
    assert_ok(invert_matrix(&d, 0, NULL, NULL, NULL, &error), error);
    float zero = 0;
    assert_false(invert_matrix(&d, 1, &zero, NULL, NULL, &error));
    assert_error(error, SP_FORMAT, "the matrix has no inverse in float32");
    for (int i = 0; i < N; i++) /* a row and a column of zeros, in the second block */
        a[i * N + 150] = a[150 * N + i] = 0;
    assert_false(invert_matrix(&d, N, a, NULL, NULL, &error));
    assert_error(error, SP_FORMAT, "the matrix has no inverse in float32");
    a[0] = INFINITY;
    assert_false(invert_matrix(&d, N, a, NULL, NULL, &error));
    assert_error(error, SP_FORMAT, "the matrix has no inverse in float32");
    free(a);
    device_close(&d);
}

static void refused_memory(void **state)
{
    (void)state;
    enum { N = 130 };
    float *a = matrix(N, DEFINITE), *x = malloc(sizeof *x * N * N);
    bool done = false;
    for (size_t refuse_at = 1; !done; refuse_at++) {
        TestHeap h;
        Device d;
        Error e = {0};
        test_heap(&h, refuse_at);
        memcpy(x, a, sizeof *x * N * N);
        if (device_open(&d, NULL, 2, &h.heap, NULL, &e)) {
            done = invert_matrix(&d, N, x, NULL, NULL, &e);
            device_close(&d);
        }
        assert_true(done || e.code == SP_MEMORY);
        assert_int_equal(h.live, 0);
    }
    assert_true(largest_error(a, x, N) < 1e-5);
    free(a);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(inverses), cmocka_unit_test(no_inverse),
                                       cmocka_unit_test(refused_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
