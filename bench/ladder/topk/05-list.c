/* An insertion into a heap takes about log2 K steps with unpredictable branches. Instead, scores above the last of a
 * sorted list go into a small buffer. A full buffer is merged into the list. */
#include "bench/ladder/topk/list.h"

static void select_by_list(const Case *c, const float *s, int64_t u)
{
    select_list(c, s, u, -__builtin_inff());
}

static void topk(Case *c)
{
    by_tiles(c, select_by_list);
}
STEP("a sorted list and a small buffer instead of the heap", NULL, topk)
