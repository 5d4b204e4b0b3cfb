/* tests/recsys_metrics_test.c: every metric equals figures computed by hand. */
#include "recsys/evaluation.h"

#include "tests/testing.h"

#include <math.h>

/* Two users have a truth, one has none. u0 likes 1 (rating 5), 3 (1) and 7 (3); u1 likes 2 (4); u2 has nothing. Lists
 * have five items. */
static int64_t start[] = {0, 3, 4, 4};
static int32_t item[] = {1, 3, 7, 2};
static float rating[] = {5, 1, 3, 4};
static const Pairs truth = {4, start, item, rating};
static const int32_t users[] = {0, 1, 2};
static const int32_t top[] = {3, 9, 1, 8, 6, 9, 8, 2, 5, -1, 1, 2, 3, 4, 5};

typedef struct Expected {
    const char *name;
    double u0[2], u1[2]; /* at cutoffs 2 and 4 */
} Expected;

/* Reports whether a metric needs only lists and truth, without parameters. */
static bool is_plain(size_t m)
{
    return !(metric_at(m)->needs & ~(unsigned)METRIC_GAINS) && !strstr(metric_at(m)->parameters, "METRIC");
}

static void check_table(Protocol p, const Expected *x, size_t n)
{
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Scores s = {.keep_by_user = true};
    const int64_t cutoffs[] = {2, 4};
    for (size_t m = 0; m < n; m++) {
        assert_ok(score_lists(&s, p, users, 3, 5, top, &truth, &x[m].name, 1, cutoffs, 2, a, &e), e);
        assert_int_equal(s.users, 2);
        for (int c = 0; c < 2; c++) {
            double figures[] = {s.by_user[c * 2], s.by_user[c * 2 + 1], s.mean[c]};
            double expected[] = {x[m].u0[c], x[m].u1[c], (x[m].u0[c] + x[m].u1[c]) / 2};
            for (int f = 0; f < 3; f++)
                if (!(figures[f] - expected[f] < 1e-9 && expected[f] - figures[f] < 1e-9))
                    fail_msg("%s@%d: figure %d is %.12f, not %.12f", x[m].name, (int)cutoffs[c], f, figures[f],
                             expected[f]);
        }
    }
    arena_free(a);
}

/* Discounts: 1, 0.6309297536 (1/log2 3), 0.5, 0.4306765581 (1/log2 5). u0's gains by rating: 5 -> 63, 3 -> 15, 1 -> 3;
 * u1's 4 -> 31. u0 hits at ranks 1 (gain 3) and 3 (gain 63), u1 at rank 3. */
static void elliot_as_by_hand(void **state)
{
    (void)state;
    double ideal2 = 63 + 15 * 0.63092975357145743, ideal3 = ideal2 + 3 * 0.5;
    const Expected table[] = {
        {"Recall", {1.0 / 3, 2.0 / 3}, {0, 1}},
        {"Precision", {0.5, 0.5}, {0, 0.25}},
        {"HR", {1, 1}, {0, 1}},
        {"MRR", {1, 1}, {0, 1.0 / 3}},
        {"ndcg", {3 / ideal2, (3 + 63 * 0.5) / ideal3}, {0, 0.5}},
        {"nDCGRendle2020", {1 / 1.63092975357145743, 1.5 / 2.13092975357145743}, {0, 0.5}},
        {"MAP", {(1 + 0.5) / 2, (1 + 0.5 + 2.0 / 3 + 0.5) / 4}, {0, (1.0 / 3 + 0.25) / 4}},
        {"MAR", {1.0 / 3, (1.0 / 3 + 1.0 / 3 + 2.0 / 3 + 2.0 / 3) / 4}, {0, 0.5}},
        {"F1", {2 * 0.5 / 3 / (0.5 + 1.0 / 3), 2 * 0.5 * (2.0 / 3) / (0.5 + 2.0 / 3)}, {0, 0.4}},
        {"AP", {0.5, (1 + 2.0 / 3) / 3}, {0, 1.0 / 3}},
    };
    check_table(PROTOCOL_ELLIOT, table, COUNT(table));
}

static void mmrec_as_by_hand(void **state)
{
    (void)state;
    const Expected table[] = {
        {"Recall", {1.0 / 3, 2.0 / 3}, {0, 1}},
        {"Precision", {0.5, 0.5}, {0, 0.25}},
        {"NDCG", {1 / 1.63092975357145743, 1.5 / 2.13092975357145743}, {0, 0.5}},
        {"MAP", {0.5, (1 + 2.0 / 3) / 3}, {0, 1.0 / 3}},
    };
    check_table(PROTOCOL_MMREC, table, COUNT(table));
}

static void who_counts(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Scores s = {0};
    const int32_t empty[] = {-1, -1, 2, 5};
    const char *names[] = {"Recall", "HR"};
    const int64_t cutoffs[] = {1};
    assert_ok(score_lists(&s, PROTOCOL_ELLIOT, users, 2, 2, empty, &truth, names, 2, cutoffs, 1, a, &e), e);
    assert_int_equal(s.users, 1); /* a user without recommendations does not count */
    assert_true(s.mean[0] == 1 && s.mean[1] == 1);
    assert_ok(score_lists(&s, PROTOCOL_MMREC, users, 2, 2, empty, &truth, names, 2, cutoffs, 1, a, &e), e);
    assert_int_equal(s.users, 2);
    assert_true(s.mean[0] == 0.5);
    assert_ok(score_lists(&s, PROTOCOL_ELLIOT, users + 2, 1, 2, empty, &truth, names, 2, cutoffs, 1, a, &e), e);
    assert_true(s.users == 0 && s.mean[0] == 0);
    arena_free(a);
}

/* Elliot: an item with a rating below 0 is not a hit and not part of the truth. A user with such items alone does not
 * count. */
static void ratings_below_zero(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Scores s = {0};
    float ratings[] = {5, -1, 0, -0.5f};
    const Pairs rated = {4, start, item, ratings};
    const char *names[] = {"Recall", "Precision", "nDCG", "nDCGRendle2020"};
    const int64_t cutoffs[] = {4};
    assert_ok(score_lists(&s, PROTOCOL_ELLIOT, users, 3, 5, top, &rated, names, 4, cutoffs, 1, a, &e), e);
    assert_int_equal(s.users, 1);
    assert_true(relevant_users(&rated, PROTOCOL_ELLIOT, 3) == 1 && relevant_users(&rated, PROTOCOL_MMREC, 3) == 2);
    /* the hit is item 1, at rank 3; item 7 is relevant but not in the list */
    assert_true(s.mean[0] == 0.5 && s.mean[1] == 0.25);
    assert_true(fabs(s.mean[2] - 63 * 0.5 / (63 + 0.63092975357145743)) < 1e-12);
    assert_true(fabs(s.mean[3] - 0.5 / 1.63092975357145743) < 1e-12);
    assert_ok(score_lists(&s, PROTOCOL_MMREC, users, 3, 5, top, &rated, names, 4, cutoffs, 1, a, &e), e);
    assert_int_equal(s.users, 2); /* MMRec does not read ratings */
    assert_true(fabs(s.mean[0] - (2.0 / 3 + 1) / 2) < 1e-12);
    arena_free(a);
}

/* Checks that a missing rating is 1. */
static void ratings_that_are_missing(void **state)
{
    (void)state;
    Error e = {0};
    float ones[] = {1, 1, 1, 1};
    Pairs rated = truth, unrated = truth;
    Arena *a = arena_new(NULL, 0);
    rated.rating = ones;
    unrated.rating = NULL;
    for (Protocol p = PROTOCOL_ELLIOT; p <= PROTOCOL_MMREC; p++)
        for (size_t m = 0; m < metric_count(); m++) {
            Scores x = {0}, y = {0};
            const char *name = metric_at(m)->name;
            if (!is_plain(m))
                continue;
            assert_ok(score_lists(&x, p, users, 3, 5, top, &rated, &name, 1, (int64_t[]){4}, 1, a, &e), e);
            assert_ok(score_lists(&y, p, users, 3, 5, top, &unrated, &name, 1, (int64_t[]){4}, 1, a, &e), e);
            assert_true(x.users == 2 && y.users == 2 && x.mean[0] == y.mean[0]);
        }
    assert_int_equal(relevant_users(&unrated, PROTOCOL_ELLIOT, 3), 2);
    const EvalConfig config = {.metrics = (const char *[]){"nDCG"}, .metric_count = 1};
    assert_ok(ratings_check(&config, PROTOCOL_ELLIOT, &unrated, "test.tsv", &e), e);
    arena_free(a);
}

/* Checks gains that overflow double: they are refused if Elliot's nDCG is requested. Below this limit, figures are
 * finite. */
static void ratings_that_are_large(void **state)
{
    (void)state;
    static const struct {
        float rating;
        const char *metric;
        Protocol p;
        bool ok;
    } cases[] = {{1001, "nDCG", PROTOCOL_ELLIOT, false},
                 {3e38f, "nDCG", PROTOCOL_ELLIOT, false},
                 {3e38f, "nDCG", PROTOCOL_MMREC, true},
                 {3e38f, "Recall", PROTOCOL_ELLIOT, true},
                 {3e38f, "nDCGRendle2020", PROTOCOL_ELLIOT, true},
                 {1000, "nDCG", PROTOCOL_ELLIOT, true}};
    Arena *a = arena_new(NULL, 0);
    for (size_t i = 0; i < COUNT(cases); i++) {
        Error e = {0};
        float large[] = {cases[i].rating, cases[i].rating, cases[i].rating, 1};
        Pairs rated = truth;
        rated.rating = large;
        const EvalConfig config = {
            .metrics = &cases[i].metric, .metric_count = 1, .cutoffs = (int64_t[]){4}, .cutoff_count = 1};
        Scores s = {0};
        assert_true(ratings_check(&config, cases[i].p, &rated, "test.tsv", &e) == cases[i].ok);
        if (!cases[i].ok) {
            assert_error(e, SP_FORMAT, "test.tsv: a rating is ");
            continue;
        }
        assert_ok(score_lists(&s, cases[i].p, users, 3, 5, top, &rated, config.metrics, 1, config.cutoffs, 1, a, &e),
                  e);
        assert_true(isfinite(s.mean[0]) && s.mean[0] > 0 && s.mean[0] <= 1);
    }
    arena_free(a);
}

/* Checks that several cutoffs in any order, also above the length of the lists, give the figures of one cutoff at a
 * time. */
static void many_cutoffs_at_once(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    const int64_t cutoffs[] = {4, 1, 7, 2, 5, 3, 6};
    for (size_t m = 0; m < metric_count(); m++)
        for (int p = PROTOCOL_ELLIOT; p <= PROTOCOL_MMREC; p++) {
            Scores all = {0}, one = {0};
            const char *name = metric_at(m)->name;
            if (!is_plain(m))
                continue;
            assert_ok(
                score_lists(&all, (Protocol)p, users, 3, 5, top, &truth, &name, 1, cutoffs, COUNT(cutoffs), a, &e), e);
            for (size_t c = 0; c < COUNT(cutoffs); c++) {
                assert_ok(score_lists(&one, (Protocol)p, users, 3, 5, top, &truth, &name, 1, &cutoffs[c], 1, a, &e), e);
                assert_true(all.at[c] == cutoffs[c] && all.mean[c] == one.mean[0]);
            }
            if (!strcmp(name, "Recall"))
                assert_true(all.mean[2] == all.mean[4]); /* cutoff 7 gives the figure of cutoff 5 */
        }
    arena_free(a);
}

/* Checks that lists of different lengths have the figures of the same lists filled with empty places. */
static void lists_of_any_length(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    const int64_t cutoffs[] = {1, 2, 3, 5, 9, 1000};
    int32_t ragged[15], filled[15];
    int64_t first[4] = {0};
    const int lengths[] = {2, 5, 0};
    for (int i = 0; i < 3; i++) {
        first[i + 1] = first[i] + lengths[i];
        for (int k = 0; k < 5; k++) {
            filled[i * 5 + k] = k < lengths[i] ? top[i * 5 + k] : -1;
            if (k < lengths[i])
                ragged[first[i] + k] = top[i * 5 + k];
        }
    }
    const Lists lists = {.users = users, .n = 3, .start = first, .top = ragged};
    for (size_t m = 0; m < metric_count(); m++)
        for (int p = PROTOCOL_ELLIOT; p <= PROTOCOL_MMREC; p++) {
            Scores x = {0}, y = {0};
            const char *name = metric_at(m)->name;
            if (!is_plain(m))
                continue;
            const EvalConfig config = {
                .metrics = &name, .metric_count = 1, .cutoffs = cutoffs, .cutoff_count = COUNT(cutoffs)};
            assert_ok(score_lists_of(&x, (Protocol)p, &lists, &truth, &config, a, &e), e);
            assert_ok(
                score_lists(&y, (Protocol)p, users, 3, 5, filled, &truth, &name, 1, cutoffs, COUNT(cutoffs), a, &e), e);
            assert_int_equal(x.users, y.users);
            for (size_t c = 0; c < COUNT(cutoffs); c++)
                assert_float_equal(x.mean[c], y.mean[c], 1e-15);
        }
    arena_free(a);
}

static void wrong_metrics_and_cutoffs(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Scores s = {0};
    const char *wrong = "Recal", *right = "recall";
    int64_t zero = 0, long_one = (1 << 20) + 1, one = 1, twice[] = {3, 1, 3};
    int64_t many[MANY_CUTOFFS + 1];
    for (int64_t i = 0; i <= MANY_CUTOFFS; i++)
        many[i] = i + 1;
    assert_false(score_lists(&s, PROTOCOL_ELLIOT, users, 3, 5, top, &truth, &wrong, 1, &one, 1, a, &e));
    assert_error(e, SP_USAGE, "unknown metric 'Recal'");
    assert_false(score_lists(&s, PROTOCOL_ELLIOT, users, 3, 5, top, &truth, &right, 1, &zero, 1, a, &e));
    assert_error(e, SP_USAGE, "cutoffs: 0");
    assert_false(score_lists(&s, PROTOCOL_ELLIOT, users, 3, 5, top, &truth, &right, 1, &long_one, 1, a, &e));
    assert_error(e, SP_USAGE, "cutoffs: 1048577 is not");
    assert_false(score_lists(&s, PROTOCOL_ELLIOT, users, 3, 5, top, &truth, &right, 1, twice, 3, a, &e));
    assert_error(e, SP_USAGE, "cutoffs: 3 is given twice");
    assert_false(score_lists(&s, PROTOCOL_ELLIOT, users, 3, 5, top, &truth, &right, 1, many, COUNT(many), a, &e));
    assert_error(e, SP_USAGE, "cutoffs: 1001 are given, at most 1000");
    assert_false(
        score_lists(&s, PROTOCOL_ELLIOT, users, 3, 5, top, &truth, (const char *[]){"HR", "hr"}, 2, &one, 1, a, &e));
    assert_error(e, SP_USAGE, "metrics: HR is given twice");
    assert_false(score_lists(&s, PROTOCOL_ELLIOT, users, 3, 0, top, &truth, &right, 1, &one, 1, a, &e));
    assert_error(e, SP_USAGE, "empty");
    assert_string_equal(metric_at((size_t)metric_find("NDCG"))->name, "nDCG");
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elliot_as_by_hand),
        cmocka_unit_test(mmrec_as_by_hand),
        cmocka_unit_test(who_counts),
        cmocka_unit_test(ratings_that_are_missing),
        cmocka_unit_test(ratings_that_are_large),
        cmocka_unit_test(ratings_below_zero),
        cmocka_unit_test(many_cutoffs_at_once),
        cmocka_unit_test(lists_of_any_length),
        cmocka_unit_test(wrong_metrics_and_cutoffs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
