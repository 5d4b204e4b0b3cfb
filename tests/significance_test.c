/* tests/significance_test.c: paired tests and Student's tail equal scipy and mpmath (golden/significance_scipy.py). */
#include "recsys/evaluation.h"
#include "tests/testing.h"

#include <math.h>

/* ---- the golden file ------------------------------------------------------------------------- */

static double draw(uint64_t *x)
{
    *x = *x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(*x >> 11) / 9007199254740992.0;
}

/* Draws the same figures as pair() of the script. */
static void draw_pairs(int kind, uint64_t x, int64_t n, double c, double *a, double *b)
{
    for (int64_t i = 0; i < n; i++) {
        double u = draw(&x), v = draw(&x);
        switch (kind) {
        case 0: a[i] = u, b[i] = v + c; break;
        case 1: a[i] = u + c, b[i] = u + (v - 0.5); break;
        case 2: a[i] = floor(20 * u) / 20, b[i] = floor(20 * v + c) / 20; break;
        case 3: a[i] = u < 0.5, b[i] = v < 0.5 + c; break;
        default: a[i] = c, b[i] = 0; break;
        }
    }
}

static bool near(double got, double expected)
{
    if (isnan(expected) || isinf(expected) || expected == 0)
        return isnan(expected) ? isnan(got) : got == expected;
    return fabs(got - expected) <= 1e-12 * fabs(expected);
}

static void check_pair(const double x[8], Arena *a, const char *line)
{
    Error e = {0};
    int64_t n = (int64_t)x[2];
    double *u = NEW(a, double, n, &e), *v = NEW(a, double, n, &e);
    assert_true(u && v);
    draw_pairs((int)x[0], (uint64_t)x[1], n, x[3], u, v);
    PairedTest t, w, other;
    assert_ok(paired_t_test(&t, u, v, n, a, &e), e);
    assert_ok(wilcoxon_test(&w, u, v, n, a, &e), e);
    bool smaller_is_near = x[5] >= 1e-300 || x[5] == 0;
    if (!near(t.statistic, x[4]) || (smaller_is_near && fabs(x[4]) >= 1e-4 && !near(t.p, x[5])))
        fail_msg("%s: t %.17g, p %.17g", line, t.statistic, t.p);
    if (!near(w.statistic, x[6]) || !near(w.p, x[7]))
        fail_msg("%s: W %.17g, p %.17g", line, w.statistic, w.p);
    assert_ok(wilcoxon_test(&other, v, u, n, a, &e), e); /* with the two sides exchanged */
    assert_true(near(other.p, w.p) && near(other.statistic, w.statistic));
    assert_ok(paired_t_test(&other, v, u, n, a, &e), e);
    assert_true(near(other.p, t.p) && near(other.statistic, -t.statistic));
}

static void as_scipy(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Text rest, line, field;
    int pairs = 0, tails = 0;
    assert_ok(file_read(&rest, a, "tests/golden/significance.tsv", 0, &e), e);
    while (text_line(&rest, &line)) {
        double x[8] = {0};
        size_t n = 0;
        Text left = line;
        if (!text_next(&left, '\t', &field) || text_starts(field, "#"))
            continue;
        bool pair = text_is(field, "pair");
        for (; text_next(&left, '\t', &field); n++)
            assert_true(n < COUNT(x) && text_f64(field, &x[n]));
        ArenaMark mark = arena_mark(a);
        const char *copy = arena_strndup(a, line.p, line.n, &e);
        if (pair) {
            assert_int_equal(n, 8);
            check_pair(x, a, copy);
        } else if (!near(student_tail(x[1], x[0]), x[2])) {
            fail_msg("%s: %.17g", copy, student_tail(x[1], x[0]));
        }
        pairs += pair;
        tails += !pair;
        arena_rewind(a, mark);
    }
    assert_true(pairs > 100 && tails > 200);
    arena_free(a);
}

/* ---- exact results, refused inputs ----------------------------------------------------------- */

static void tails_with_a_closed_form(void **state)
{
    (void)state;
    for (double t = 1.0 / 1024; t < 1e12; t *= 1.7) {
        assert_true(near(student_tail(t, 1), t > 1 ? M_2_PI * atan(1 / t) : 1 - M_2_PI * atan(t)));
        assert_true(near(student_tail(-t, 2), 2 / ((t * t + 2) * (1 + t / sqrt(t * t + 2)))));
    }
    assert_true(student_tail(0, 7) == 1 && student_tail(INFINITY, 7) == 0);
    assert_true(isnan(student_tail(NAN, 7)) && isnan(student_tail(1, 0)));
}

/* Computes Wilcoxon's p of few pairs from all combinations of signs. */
static void wilcoxon_of_few(void **state)
{
    (void)state;
    enum { N = 9 };
    double zero[N] = {0};
    Arena *a = arena_new(NULL, 0);
    Error e = {0};
    static const double magnitude[][N] = {{1, 2, 3, 4, 5, 6, 7, 8, 9},
                                          {1, 1, 1, 2, 2, 3, 3, 3, 3},
                                          {0, 0, 1, 2, 3, 4, 5, 6, 6},
                                          {0, 0, 0, 0, 0, 0, 0, 0, 1}};
    for (size_t k = 0; k < COUNT(magnitude); k++)
        for (unsigned signs = 0; signs < 1 << N; signs += 7) {
            double d[N], sums[1 << N], observed = 0;
            int below = 0, above = 0;
            for (unsigned s = 0; s < 1 << N; s++) {
                sums[s] = 0;
                for (int i = 0; i < N; i++) {
                    double rank = 0.5, same = 0;
                    for (int j = 0; j < N && magnitude[k][i] != 0; j++) {
                        rank += magnitude[k][j] != 0 && magnitude[k][j] < magnitude[k][i];
                        same += magnitude[k][j] == magnitude[k][i];
                    }
                    sums[s] += s >> i & 1 && magnitude[k][i] != 0 ? rank + same / 2 : 0;
                }
            }
            for (int i = 0; i < N; i++)
                d[i] = signs >> i & 1 ? magnitude[k][i] : -magnitude[k][i];
            observed = sums[signs];
            for (unsigned s = 0; s < 1 << N; s++) {
                below += sums[s] <= observed;
                above += sums[s] >= observed;
            }
            PairedTest w;
            assert_ok(wilcoxon_test(&w, d, zero, N, a, &e), e);
            assert_true(w.p == fmin(1, 2 * fmin(below, above) / (1 << N)));
        }
    arena_free(a);
}

static void refused(void **state)
{
    (void)state;
    PairedTest t;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    double x[] = {0.5, 0.25, 1}, bad[] = {0.5, NAN, 1}, far[] = {0.5, 1, 2e100};
    assert_false(paired_t_test(&t, x, x, 0, a, &e));
    assert_error(e, SP_USAGE, "no pairs");
    assert_false(paired_t_test(&t, x, bad, 3, a, &e));
    assert_error(e, SP_USAGE, "pair 1 of figures");
    assert_false(wilcoxon_test(&t, bad, x, 3, a, &e));
    assert_error(e, SP_USAGE, "pair 1 of figures");
    assert_false(wilcoxon_test(&t, x, far, 3, a, &e));
    assert_error(e, SP_USAGE, "pair 2 of figures");
    bad[1] = -INFINITY;
    assert_false(wilcoxon_test(&t, x, bad, 3, a, &e));
    assert_error(e, SP_USAGE, "pair 1 of figures");
    assert_ok(paired_t_test(&t, x, far, 1, a, &e), e); /* one pair has no standard deviation */
    assert_true(isnan(t.p) && isnan(t.statistic));
    assert_ok(wilcoxon_test(&t, x, bad + 2, 1, a, &e), e);
    assert_true(t.p == 1);
    arena_free(a);
    a = arena_new(NULL, 4096); /* memory runs out */
    static double many[10000];
    assert_false(wilcoxon_test(&t, many, many, COUNT(many), a, &e));
    assert_error(e, SP_MEMORY, "memory");
    assert_false(holm_adjust(many, many, COUNT(many), a, &e));
    assert_error(e, SP_MEMORY, "memory");
    arena_free(a);
}

/* Checks Holm's definition: the adjusted p is the maximum, over all p that are not larger, of p times the number of p
 * that are at least as large, and at most 1. */
static void holm(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    double p[] = {0.01, 0.04, 0.03, 0.005}, q[4];
    assert_ok(holm_adjust(q, p, 4, a, &e), e);
    assert_true(near(q[0], 0.03) && near(q[1], 0.06) && near(q[2], 0.06) && near(q[3], 0.02));
    double with_nan[] = {0.01, NAN, 0.03};
    assert_ok(holm_adjust(q, with_nan, 3, a, &e), e);
    assert_true(near(q[0], 0.03) && isnan(q[1]) && near(q[2], 0.06));
    uint64_t x = 9;
    for (size_t n = 1; n < 40; n++) {
        double many[40], got[40];
        for (size_t i = 0; i < n; i++)
            many[i] = floor(draw(&x) * 50) / 500;
        assert_ok(holm_adjust(got, many, n, a, &e), e);
        for (size_t i = 0; i < n; i++) {
            double expected = 0;
            for (size_t j = 0; j < n; j++) {
                size_t from = 0;
                for (size_t k = 0; k < n; k++)
                    from += many[k] >= many[j];
                expected = many[j] <= many[i] ? fmax(expected, fmin(1, (double)from * many[j])) : expected;
            }
            assert_true(near(got[i], expected));
        }
    }
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_scipy), cmocka_unit_test(tails_with_a_closed_form),
                                       cmocka_unit_test(wilcoxon_of_few), cmocka_unit_test(refused),
                                       cmocka_unit_test(holm)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
