/* extractors/models/convnorm.h: a convolution with its batch norm and activation, one op until a call asks for a node
 * inside of it (convnorm.c). */
#ifndef SAPOR_CONVNORM_H
#define SAPOR_CONVNORM_H

#include "extractors/loading.h"

/* act(norm(conv(x)) + residual). The numbers are of inner outputs, or -1: convnorm_none, then those that a name has. */
typedef struct ConvNorm {
    Conv2d whole;
    Conv2d bare; /* without the norm: loaded where `conv` is asked for */
    int conv, norm, sum, act;
} ConvNorm;
void convnorm_none(ConvNorm *c);
/* load_conv, after the numbers are set */
bool convnorm_load(Loader *l, ConvNorm *to, int64_t C, const char *conv, const char *norm, double eps, int64_t stride,
                   int64_t pad, int64_t groups);
/* The result, with the nodes put that are asked for: each of them is a convolution of its own, so that the result's
 * bits do not depend on them. */
Tensor *convnorm(Tape *t, Pass *p, Tensor *x, const ConvNorm *c, Tensor *residual, Act act);

/* The end of the network: the mean of a map x [B, h, w, C] as output `pool`, and fc of it as output `logits`. Returns
 * the mean, or NULL where neither is asked for and it is not `wanted`. */
Tensor *convnorm_head(Tape *t, Pass *p, Tensor *x, bool wanted, int pool, int logits, const Linear *fc);

/* The convolution with the padding of TensorFlow's SAME for this input: outputs are 1 / stride of it, rounded up, the
 * odd pixel at the end. Valid until the tape is reset. */
const Conv2d *conv_same(Tape *t, const Tensor *x, const Conv2d *c);

#endif
