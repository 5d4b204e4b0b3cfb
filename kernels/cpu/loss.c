/* Losses over a batch. */
#include "kernels/cpu/loops.h"

typedef struct Pairs {
    const float *pos, *neg;
    float *loss, *slope;
} Pairs;

static void bpr_range(const void *arg, int64_t first, int64_t last)
{
    const Pairs *p = arg;
    FOR_VECTORS(first, last, {
        const vf d = load_part(p->neg + i, n) - load_part(p->pos + i, n);
        if (p->loss) {
            store_part(p->loss + i, v_softplus(d), n);
        }
        if (p->slope) {
            store_part(p->slope + i, -v_sigmoid(d), n);
        }
    })
}

void K(bpr)(const Run *run, int64_t B, const float *pos, const float *neg, float *loss, float *slope)
{
    Pairs p = {pos, neg, loss, slope};
    run_ranges(run, B, 4096, bpr_range, &p);
}
