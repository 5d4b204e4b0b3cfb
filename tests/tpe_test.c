/* tests/tpe_test.c: spaces that are not grids: distributions, random search, and TPE, which finds the optimum of a
 * simple function with fewer points than random search. */
#include "tests/testing.h"

#include <math.h>

#include "recsys/search/space.h"

static double number(const char *text)
{
    double x = NAN;
    assert_true(text_f64(text_of(text), &x));
    return x;
}

static void functions_are_exact(void **state)
{
    (void)state;
    for (int i = -600; i <= 600; i++)
        assert_true(fabs(own_exp(i * 0.731) / exp(i * 0.731) - 1) < 4e-16);
    assert_true(own_exp(0) == 1);
    double sum = 0, squares = 0;
    for (uint64_t i = 0; i < 20000; i++) {
        double x = draw_normal_f64((Draw){1, DRAW_TEST, 0}, i, 0);
        sum += x;
        squares += x * x;
    }
    assert_true(fabs(sum / 20000) < 0.03 && fabs(squares / 20000 - 1) < 0.03);
}

/* Checks the bounds, the steps and the median of each distribution. */
static void draws_follow_their_distributions(void **state)
{
    (void)state;
    enum { DRAWS = 2000 };
    static const char *const VALUES[] = {"a", "b", "c"};
    static const struct {
        Dimension d;
        double least, most, median, near;
    } CASES[] = {
        {{.key = "x", .distribution = DIST_RANDINT, .low = 3, .high = 8}, 3, 7, 5, 0.5},
        {{.key = "x", .distribution = DIST_UNIFORM, .low = -1, .high = 3}, -1, 3, 1, 0.15},
        {{.key = "x", .distribution = DIST_QUNIFORM, .low = 5, .high = 1000, .q = 5}, 5, 1000, 500, 40},
        {{.key = "x", .distribution = DIST_LOGUNIFORM, .low = -9, .high = -1}, 1.2e-4, 0.37, 0.0067, 0.0015},
        {{.key = "x", .distribution = DIST_QLOGUNIFORM, .low = 0, .high = 6, .q = 2}, 0, 404, 20, 4},
        {{.key = "x", .distribution = DIST_NORMAL, .low = 2, .high = 0.5}, -1, 5, 2, 0.05},
        {{.key = "x", .distribution = DIST_QNORMAL, .low = 20, .high = 5, .q = 0.5}, -10, 50, 20, 0.6},
        {{.key = "x", .distribution = DIST_LOGNORMAL, .low = 0, .high = 1}, 0, 100, 1, 0.1},
        {{.key = "x", .distribution = DIST_QLOGNORMAL, .low = 3, .high = 1, .q = 1}, 0, 2000, 20, 2},
    };
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    for (size_t i = 0; i < COUNT(CASES); i++) {
        Space s = {"m", &CASES[i].d, 1, 42};
        const char *value;
        int below = 0, above = 0;
        assert_ok(space_check(&CASES[i].d, &e), e);
        for (int n = 0; n < DRAWS; n++) {
            assert_ok(space_draw(&s, n, 0, &value, a, &e), e);
            double x = number(value), q = CASES[i].d.q;
            assert_true(x >= CASES[i].least && x <= CASES[i].most);
            assert_true(q == 0 || fabs(x / q - round(x / q)) < 1e-9);
            below += x < CASES[i].median - CASES[i].near;
            above += x > CASES[i].median + CASES[i].near;
        }
        assert_true(below <= DRAWS / 2 && above <= DRAWS / 2);
    }
    const Dimension choice = {.key = "x", .values = VALUES, .count = 3};
    int seen[3] = {0};
    for (int n = 0; n < DRAWS; n++) {
        const char *value;
        assert_ok(space_draw(&(Space){"m", &choice, 1, 42}, n, 0, &value, a, &e), e);
        seen[value[0] - 'a']++;
    }
    for (int i = 0; i < 3; i++)
        assert_true(abs(seen[i] - DRAWS / 3) < 100);
    arena_free(a);
}

static void wrong_bounds_are_refused(void **state)
{
    (void)state;
    static const struct {
        Dimension d;
        const char *why;
    } CASES[] = {
        {{.key = "lr"}, "setting lr: choice has no values"},
        {{.key = "lr", .distribution = DIST_UNIFORM, .low = 1, .high = 1},
         "the upper bound must be above the lower one"},
        {{.key = "lr", .distribution = DIST_QUNIFORM, .low = 1, .high = 2}, "the step q must be above 0"},
        {{.key = "lr", .distribution = DIST_NORMAL, .low = 1, .high = -2}, "the deviation is below 0"},
        {{.key = "lr", .distribution = DIST_LOGUNIFORM, .low = 1, .high = 1000}, "takes the logarithms of its bounds"},
        {{.key = "lr", .distribution = DIST_RANDINT, .low = 0.5, .high = 3},
         "the bounds of randint must be whole numbers"},
        {{.key = "lr", .distribution = DIST_UNIFORM, .low = 0, .high = INFINITY},
         "the numbers of uniform must be finite"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        Error e = {0};
        assert_false(space_check(&CASES[i].d, &e));
        assert_error(e, SP_USAGE, CASES[i].why);
    }
    const Dimension two[] = {{.key = "a", .distribution = DIST_RANDINT, .low = 0, .high = 4},
                             {.key = "b", .distribution = DIST_QUNIFORM, .low = 0, .high = 1, .q = 0.5}};
    assert_int_equal(space_points(two, 2), 12);
    const Dimension open = {.key = "a", .distribution = DIST_UNIFORM, .low = 0, .high = 4};
    assert_true(space_points(&open, 1) == INT64_MAX);
}

/* ---- a search -------------------------------------------------------------------------------- */

enum { POINTS = 60 };
static const char *const LAYERS[] = {"1", "2", "3", "4"};
static const Dimension SPACE[] = {
    {.key = "lr", .distribution = DIST_LOGUNIFORM, .low = -12, .high = 0},
    {.key = "dropout", .distribution = DIST_UNIFORM, .low = 0, .high = 1},
    {.key = "factors", .distribution = DIST_QUNIFORM, .low = 8, .high = 256, .q = 8},
    {.key = "layers", .values = LAYERS, .count = 4},
};

/* Returns a figure that is largest, 0, at lr = 0.003, dropout 0.7, factors 64, layers 3. */
static double figure_at(const char *const *values)
{
    double lr = log(number(values[0])) - log(0.003), dropout = number(values[1]) - 0.7;
    double factors = (number(values[2]) - 64) / 64, layers = number(values[3]) - 3;
    return -(lr * lr / 9 + 4 * dropout * dropout + factors * factors + layers * layers / 4);
}

/* Returns the best figure after POINTS points, and the hash of all texts in *trace. */
static double search(uint64_t seed, bool tpe, bool some_fail, uint64_t *trace)
{
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Space s = {"m", SPACE, COUNT(SPACE), seed};
    TpeResult results[POINTS];
    double best = -INFINITY;
    for (int n = 0; n < POINTS; n++) {
        const char **values = NEW(a, const char *, COUNT(SPACE), &e);
        assert_ok(tpe ? tpe_draw(&s, results, (size_t)n, n, 0, values, a, &e) : space_draw(&s, n, 0, values, a, &e), e);
        results[n] = (TpeResult){values, some_fail && n % 5 == 4 ? (double)NAN : figure_at(values)};
        best = fmax(best, figure_at(values));
        for (size_t i = 0; i < COUNT(SPACE); i++)
            *trace = hash_own(values[i], strlen(values[i]), *trace);
    }
    arena_free(a);
    return best;
}

/* Runs 20 searches. Checks the mean best figure, and how often TPE is better than the same number of random points.
 * hyperopt 0.3.0 gives means of -0.20 and -0.36, and is better in 15. */
static void tpe_is_faster_than_random(void **state)
{
    (void)state;
    double tpe = 0, random = 0;
    int won = 0;
    uint64_t trace = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        double t = search(seed, true, false, &trace), r = search(seed, false, false, &trace);
        tpe += t / 20;
        random += r / 20;
        won += t > r;
    }
    if (!(tpe > random * 2 / 3 && won >= 15))
        fail_msg("TPE %g, random %g, better in %d of 20", tpe, random, won);
}

static void tpe_is_a_function_of_the_results(void **state)
{
    (void)state;
    uint64_t a = 0, b = 0, c = 0;
    search(7, true, false, &a);
    search(7, true, false, &b);
    search(7, true, true, &c);
    assert_true(a == b && a != c);
    /* failed points do not prevent a good result */
    assert_int_equal(search(7, true, true, &(uint64_t){0}) > -0.5, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_are_exact),
        cmocka_unit_test(draws_follow_their_distributions),
        cmocka_unit_test(wrong_bounds_are_refused),
        cmocka_unit_test(tpe_is_faster_than_random),
        cmocka_unit_test(tpe_is_a_function_of_the_results),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
