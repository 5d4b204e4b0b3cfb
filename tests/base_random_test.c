/* tests/base_random_test.c: random numbers, and the functions that make them. */
#include "tests/testing.h"

#include <math.h>

/* Known answers of Random123 (tests/kat_vectors, philox4x32 10). */
static void philox_gives_the_published_numbers(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], want[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < COUNT(known); i++) {
        uint32_t out[4];
        philox(known[i].key, known[i].counter, out);
        assert_memory_equal(out, known[i].want, sizeof out);
    }
}

static void draws_have_their_distribution(void **state)
{
    (void)state;
    enum { N = 200000 };
    Draw d = {42, DRAW_TEST, 3};
    double sum = 0, squares = 0, fourth = 0, uniform = 0;
    int counts[7] = {0};
    for (uint64_t i = 0; i < N; i++) {
        double z = draw_normal(d, i), u = draw_uniform(d, i);
        assert_true(isfinite(z) && u >= 0 && u < 1);
        sum += z;
        squares += z * z;
        fourth += z * z * z * z;
        uniform += u;
        counts[draw_below(d, i, 7)]++;
    }
    assert_true(fabs(sum / N) < 0.01 && fabs(squares / N - 1) < 0.015 && fabs(fourth / N - 3) < 0.1);
    assert_true(fabs(uniform / N - 0.5) < 0.003);
    for (int i = 0; i < 7; i++)
        assert_true(abs(counts[i] - N / 7) < 700);
    for (uint64_t i = 0; i < 1000; i++) {
        assert_true(draw_below(d, i, 1) == 0);
        assert_true(draw_below(d, i, UINT32_MAX) < UINT32_MAX);
    }
    assert_true(draw_uniform(d, 5) == draw_uniform(d, 5));
    assert_true(draw_uniform(d, 5) != draw_uniform((Draw){43, DRAW_TEST, 3}, 5));
    assert_true(draw_uniform(d, 5) != draw_uniform((Draw){42, DRAW_INIT, 3}, 5));
    assert_true(draw_uniform(d, 5) != draw_uniform((Draw){42, DRAW_TEST, 4}, 5));
}

/* Checks that the numbers of a subset are distinct, that each number is equally likely, and that the marks are
 * restored. */
static void subsets_are_uniform(void **state)
{
    (void)state;
    enum { OF = 11, N = 4, ROUNDS = 20000 };
    int counts[OF] = {0};
    bool taken[OF] = {false};
    int32_t out[OF], again[OF];
    for (uint64_t r = 0; r < ROUNDS; r++) {
        draw_subset((Draw){7, DRAW_TEST, 4}, r * N, OF, N, out, taken);
        for (int i = 0; i < N; i++) {
            counts[out[i]]++;
            for (int j = 0; j < i; j++)
                assert_int_not_equal(out[i], out[j]);
        }
        for (int i = 0; i < OF; i++)
            assert_false(taken[i]);
    }
    for (int i = 0; i < OF; i++)
        assert_true(abs(counts[i] - ROUNDS * N / OF) < 350);
    draw_subset((Draw){7, DRAW_TEST, 4}, (ROUNDS - 1) * N, OF, N, again, taken);
    assert_memory_equal(again, out, N * sizeof *out);
    draw_subset((Draw){7, DRAW_TEST, 5}, 0, OF, OF, out, taken); /* a subset of all numbers */
    int sum = 0;
    for (int i = 0; i < OF; i++)
        sum += out[i];
    assert_int_equal(sum, OF * (OF - 1) / 2);
    draw_subset((Draw){7, DRAW_TEST, 5}, 0, OF, 0, out, taken);
}

static void shuffles_are_permutations(void **state)
{
    (void)state;
    enum { N = 100000 };
    Arena *a = arena_new(NULL, 0);
    Error e = {0};
    uint32_t *x = NEW(a, uint32_t, N, &e), *seen = NEW(a, uint32_t, N, &e);
    uint64_t *scratch = NEW(a, uint64_t, 2 * N, &e);
    for (uint32_t i = 0; i < N; i++)
        x[i] = i;
    draw_shuffle((Draw){7, DRAW_SHUFFLE, 0}, x, N, scratch);
    double moved = 0;
    for (uint32_t i = 0; i < N; i++) {
        seen[x[i]]++;
        moved += fabs((double)x[i] - i) / N;
    }
    for (uint32_t i = 0; i < N; i++)
        assert_int_equal(seen[i], 1);
    assert_true(fabs(moved / N - 1.0 / 3) < 0.01);
    int orders[6] = {0}; /* every order of three numbers is equally likely */
    for (uint32_t epoch = 0; epoch < 6000; epoch++) {
        uint32_t three[3] = {0, 1, 2};
        draw_shuffle((Draw){7, DRAW_SHUFFLE, epoch}, three, 3, scratch);
        orders[2 * three[0] + (three[1] > three[2])]++;
    }
    for (int i = 0; i < 6; i++)
        assert_true(abs(orders[i] - 1000) < 150);
    draw_shuffle((Draw){7, DRAW_SHUFFLE, 0}, x, 0, scratch);
    arena_free(a);
}

/* Compares with numpy 2.4: value number 1,000 of RandomState(seed).randint(0, 2**32, dtype=uint32), and
 * shuffle(arange(12)). */
static void mt19937_draws_as_numpy(void **state)
{
    (void)state;
    static const struct {
        uint32_t seed, first[5], thousandth;
    } known[] = {{0, {2357136044, 2546248239, 3071714933, 3626093760, 2588848963}, 3043451800},
                 {42, {1608637542, 3421126067, 4083286876, 787846414, 3143890026}, 1946654618},
                 {123456789, {2288500408, 4254805660, 2294099250, 56498137, 2188513626}, 3871123946},
                 {4294967295, {419326371, 479346978, 3918654476, 2416749639, 3388880820}, 2673539693}};
    Mt19937 m;
    for (size_t k = 0; k < COUNT(known); k++) {
        mt_seed(&m, known[k].seed);
        for (int i = 0; i < 1000; i++) {
            uint32_t x = mt_u32(&m);
            if (i < 5)
                assert_true(x == known[k].first[i]);
            if (i == 999)
                assert_true(x == known[k].thousandth);
        }
    }
    static const uint32_t want[12] = {10, 9, 0, 8, 5, 2, 1, 11, 4, 7, 3, 6};
    uint32_t x[12];
    for (uint32_t i = 0; i < 12; i++)
        x[i] = i;
    mt_seed(&m, 42);
    for (uint32_t i = 11; i > 0; i--) {
        uint32_t j = mt_interval(&m, i), swap = x[i];
        x[i] = x[j];
        x[j] = swap;
    }
    assert_memory_equal(x, want, sizeof x);
    assert_int_equal(mt_interval(&m, 0), 0);
}

static void own_functions_are_accurate(void **state)
{
    (void)state;
    double worst_log = 0, worst_cos = 0;
    for (uint64_t i = 0; i < 300000; i++) {
        uint32_t r[4];
        draw4((Draw){9, DRAW_TEST, 0}, i, 0, r);
        double x = i % 3 == 0 ? 1 + ldexp((double)r[0] - 0x1p31, -33 - (int)(i % 20))
                              : ldexp(1 + r[0] * 0x1p-32, (int)(r[1] % 2140) - 1070);
        long double want = logl((long double)x);
        worst_log = fmax(worst_log, want != 0 ? (double)fabsl((own_log(x) - want) / want) : fabs(own_log(x)));
        double turns = ldexp((double)r[2] - 0x1p31, (int)(r[3] % 40) - 50);
        worst_cos = fmax(worst_cos, (double)fabsl(own_cos2pi(turns) -
                                                  cosl(2 * 3.14159265358979323846264338328L * (turns - floor(turns)))));
    }
    if (sizeof(long double) > sizeof(double))
        assert_true(worst_log < 1e-15 && worst_cos < 1e-15);
    assert_true(own_log(1) == 0 && own_log(0) == -INFINITY && isnan(own_log(-1)) && isnan(own_log(NAN)));
    assert_true(own_log(INFINITY) == INFINITY && fabs(own_log(0x1p-1074) + 744.44007192138126) < 1e-12);
    static const double quarters[] = {1, 0, -1, 0};
    for (int i = -9; i < 9; i++)
        assert_true(own_cos2pi(0.25 * i) == quarters[i & 3]);
    assert_true(own_cos2pi(0x1p60) == 1 && isnan(own_cos2pi(INFINITY)) && isnan(own_cos2pi(NAN)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_gives_the_published_numbers),
        cmocka_unit_test(draws_have_their_distribution),
        cmocka_unit_test(subsets_are_uniform),
        cmocka_unit_test(shuffles_are_permutations),
        cmocka_unit_test(mt19937_draws_as_numpy),
        cmocka_unit_test(own_functions_are_accurate),
    };
    return cmocka_run_group_tests_name("base_random", tests, NULL, NULL);
}
