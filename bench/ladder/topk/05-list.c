/* Each entry into a heap costs about log2 K steps whose branches cannot be predicted. A small buffer takes what is
 * above the last of a sorted list instead, and is merged in when it is full. */
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
