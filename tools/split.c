/* tools/split.c: sapor split RATINGS.tsv --out DIR. */
#include "tools/tools.h"

const Option split_options[] = {
    {"out", 'o', "DIR", "output folder of train.tsv, val.tsv and test.tsv"},
    {"strategy", 0, "S",
     "random, temporal, leave-n-out, v4 (MMRec: random rows, fixed shares) or global-time (default random)"},
    {"test-ratio", 0, "R", "share of each user's rows for testing (default 0.2); global-time: of all rows"},
    {"validation-ratio", 0, "R",
     "share of the remaining rows (global-time: of all) for validation (default 0: no val.tsv)"},
    {"leave-n", 0, "N", "hold out N rows of each user per part, not a share (default 1 with leave-n-out)"},
    {"k-core", 0, "N", "first remove users and items with fewer than N rows, until all have N rows"},
    FORMAT_OPTIONS(""),
    {NULL, 0, NULL, NULL},
};

bool split_command(Context *c, Error *e)
{
    static const char *const STRATEGIES[] = {"random", "temporal", "leave-n-out", "v4", "global-time"};
    static const int CODES[] = {SPLIT_RANDOM, SPLIT_TEMPORAL, SPLIT_LEAVE_N_OUT, SPLIT_V4, SPLIT_GLOBAL_TIME};
    SplitConfig s = {.strategy = SPLIT_RANDOM, .test_ratio = 0.2, .seed = (uint32_t)c->seed, .heap = c->heap};
    s.visit = print_split;
    s.arg = c;
    const char *out = option_text(c, "out");
    int strategy = 0;
    size_t counts[3] = {0};
    if (!out)
        return fail(e, SP_USAGE, "split: --out DIR (output folder) is missing");
    if (c->seed > UINT32_MAX)
        return fail(e, SP_USAGE, "--seed: split needs a seed below 4294967296");
    if (!option_choice(c, "strategy", STRATEGIES, COUNT(STRATEGIES), &strategy, e) ||
        !read_format(c, &s.format, &s.layout, e) || !option_f64(c, "test-ratio", 0, 1, &s.test_ratio, e) ||
        !option_f64(c, "validation-ratio", 0, 1, &s.validation_ratio, e) ||
        !option_i64(c, "leave-n", 1, INT64_MAX, &s.leave_n, e) || !option_i64(c, "k-core", 0, INT64_MAX, &s.k_core, e))
        return false;
    s.strategy = CODES[strategy];
    if (s.strategy == SPLIT_V4 &&
        (option_given(c, "test-ratio") || option_given(c, "validation-ratio") || option_given(c, "leave-n")))
        return fail(e, SP_USAGE, "split: the strategy v4 has fixed shares; remove the options of shares");
    if (s.strategy == SPLIT_LEAVE_N_OUT && s.leave_n == 0)
        s.leave_n = 1;
    if (!split_file(c->args[0], out, &s, counts, e))
        return false;
    if (c->json) {
        JsonWriter w = json_record(stdout, "event", "result");
        json_members(&w, "train %zu val %zu test %zu", counts[0], counts[1], counts[2]);
        json_finish(&w);
    } else if (!c->quiet) {
        fprintf(stderr, "%s: %zu rows for training, %zu for validation, %zu for testing\n", out, counts[0], counts[1],
                counts[2]);
    }
    return true;
}
