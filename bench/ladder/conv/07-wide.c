/* Sapor's kernel with squares of 6 x 6 outputs: F(6,3), points 0, +-0.5, +-1, +-2, infinity. With more than 128
 * channels it uses the default. */
#include "bench/ladder/conv/case.h"

static void pack(Case *c)
{
    c->conv.winograd = 6;
    ladder_kernels()->conv_pack(&c->conv_run, &c->conv, c->weights, c->packed);
}

static void conv(Case *c)
{
    c->conv.winograd = 6;
    ladder_kernels()->conv(&c->conv_run, &c->conv);
}
ASIDE("F(6,3) in Sapor's kernel: 64 products instead of 324", pack, conv)
