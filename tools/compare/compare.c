/* tools/compare/compare.c: sapor compare RUN RUN ... */
// flags: -Os
#include "tools/compare/compare.h"

const Option compare_options[] = {
    {"metrics", 0, "M@K,...", "figures to compare, such as Recall@20,nDCG@20 (default: all that every RUN has)"},
    {"test", 0, "W", "t, wilcoxon or both: the tests of each pair of runs (default both)"},
    {"alpha", 0, "P", "a difference is significant if its adjusted p is below P (default 0.05)"},
    {"csv", 0, NULL, "print the pairs as CSV"},
    {NULL, 0, NULL, NULL},
};

static bool read_options(Compare *x, Error *e)
{
    static const char *const TESTS[] = {"t", "wilcoxon", "both"};
    int test = 2;
    x->alpha = 0.05;
    if (!option_choice(x->c, "test", TESTS, COUNT(TESTS), &test, e) || !option_f64(x->c, "alpha", 0, 1, &x->alpha, e))
        return false;
    x->t = test != 1;
    x->w = test != 0;
    if (option_given(x->c, "csv") && x->c->json)
        return fail(e, SP_USAGE, "--csv and --json: choose one of them");
    return x->runs <= MOST_RUNS ||
           fail(e, SP_USAGE, "compare: %zu runs are too many; at most %d are supported", x->runs, MOST_RUNS);
}

bool compare_command(Context *c, Error *e)
{
    Compare x = {.c = c, .runs = c->arg_count};
    if (!read_options(&x, e) || !(x.run = NEW(c->arena, ComparedRun, x.runs, e)))
        return false;
    for (size_t i = 0; i < x.runs; i++)
        if (!compared_run_read(&x.run[i], c->args[i], c->arena, e))
            return false;
    if (!compared_runs_join(&x, e) || !compared_pairs_test(&x, e))
        return false;
    return c->json ? compare_json(&x, e) : option_given(c, "csv") ? compare_csv(&x, e) : compare_show(&x, e);
}
