/* extractors/models/convnorm.h: a convolution with its batch norm and activation, computed by one op. If a call
 * requests an intermediate result, an additional convolution computes it (convnorm.c). */
#ifndef SAPOR_CONVNORM_H
#define SAPOR_CONVNORM_H

#include "extractors/loading.h"

/* act(norm(conv(x)) + residual). The members `conv`, `norm`, `sum` and `act` are the numbers of the outputs that give
 * these intermediate results, or -1. Set all to -1 by convnorm_none, then set those that have a name. */
typedef struct ConvNorm {
    Conv2d whole;
    Conv2d bare; /* without the norm: set if the norm is not folded, or if the output `conv` is needed */
    int conv, norm, sum, act;
} ConvNorm;
void convnorm_none(ConvNorm *c);
/* Loads by load_conv. Must be called after the numbers are set. */
bool convnorm_load(Loader *l, ConvNorm *to, int64_t C, const char *conv, const char *norm, double eps, int64_t stride,
                   int64_t pad, int64_t groups);
/* Returns the result, and stores the requested intermediate results. An additional convolution computes each of them,
 * except `act`, which is the result. The convolution of the result is therefore always the same, and so are its
 * bits. */
Tensor *convnorm(Tape *t, Pass *p, Tensor *x, const ConvNorm *c, Tensor *residual, Act act);

/* Computes the end of the network: the mean of a map x [B, h, w, C] as output `pool`, and `fc` of the mean as output
 * `logits`. Returns the mean; NULL if neither output is requested and `need_mean` is false. */
Tensor *convnorm_head(Tape *t, Pass *p, Tensor *x, bool need_mean, int pool, int logits, const Linear *fc);

/* Returns the convolution with the padding of TensorFlow's SAME for this input: the output size is 1 / stride of the
 * input size, rounded up; if the padding of an axis is odd, the bottom or right side has one pixel more. Valid until
 * the tape is reset. */
const Conv2d *conv_same(Tape *t, const Tensor *x, const Conv2d *c);

#endif
