/* The exponential in vectors (its polynomial is in kernels/cpu/vec.h). There is one exponential per head and pair of
 * tokens. One number at a time, they take more time than both products would take at the peak. */
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
