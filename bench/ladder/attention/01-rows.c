/* Both products as row operations. The exponential is that of libm, one number at a time. */
#include "bench/ladder/attention/rows.h"

static float exponentials(float *s, int64_t T)
{
    float largest = s[0], sum = 0;
    for (int64_t j = 1; j < T; j++)
        largest = s[j] > largest ? s[j] : largest;
    for (int64_t j = 0; j < T; j++) {
        s[j] = expf(s[j] - largest);
        sum += s[j];
    }
    return sum;
}

static void attention(Case *c)
{
    by_rows(c, exponentials);
}
STEP("keys transposed, both products by rows", NULL, attention)
