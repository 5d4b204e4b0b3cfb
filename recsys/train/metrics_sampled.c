/* recsys/train/metrics_sampled.c: sampled evaluation: a user's part among drawn items (recipes.md 6.1). */
// flags: -Os
#include "recsys/train/metrics.h"

const char *sampled_words(const EvalConfig *c, Arena *a, Error *e)
{
#ifndef SAPOR_MINIMAL
    if (c->negative_files[0] || c->negative_files[1])
        return " (sampled by file)";
    if (c->negatives)
        return arena_printf(a, e, " (%s%lld sampled)", c->negatives_each ? "uni" : "", (long long)c->negatives);
#endif
    (void)c, (void)a, (void)e;
    return "";
}
