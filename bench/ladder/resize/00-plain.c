/* The definition in two dimensions. Each output is the weighted sum of a window, in floating point, rounded once.
 * Pillow rounds twice, so some bytes differ by one: this is the error in the table. */
#include "bench/ladder/resize/case.h"

static void resize(Case *c)
{
    const Axis *x = &c->across, *y = &c->down;
    for (int64_t i = 0; i < y->out; i++) {
        for (int64_t j = 0; j < x->out; j++) {
            for (int ch = 0; ch < 3; ch++) {
                double sum = 0;
                for (int64_t k = 0; k < y->count[i]; k++) {
                    for (int64_t l = 0; l < x->count[j]; l++)
                        sum += (double)y->weight[i * y->size + k] * (double)x->weight[j * x->size + l] *
                               c->in[((y->start[i] + k) * x->in + x->start[j] + l) * 3 + ch];
                }
                c->out[(i * x->out + j) * 3 + ch] = (unsigned char)(sum * 0x1p-44 + 0.5);
            }
        }
    }
}
STEP("a window for each output, in floating point", NULL, resize)
