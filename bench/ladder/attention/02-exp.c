/* The exponential by vectors (kernels/cpu/vec.h has its polynomial): one a token pair and head, it cost more than both
 * products. */
#include "bench/ladder/attention/rows.h"
#include "bench/ladder/attention/softmax.h"

static float exponentials(float *s, int64_t T)
{
    float top = -INFINITY;
    pad(s, T);
    return exponentials_of(s, T, &top);
}

static void attention(Case *c)
{
    by_rows(c, exponentials);
}
STEP("the exponential by vectors", NULL, attention)
