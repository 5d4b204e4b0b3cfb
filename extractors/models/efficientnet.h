/* extractors/models/efficientnet.h: the block of EfficientNet (Tan & Le 2019), which other models have under other
 * names (efficientnet.c defines it). */
#ifndef SAPOR_EFFICIENTNET_H
#define SAPOR_EFFICIENTNET_H

#include "extractors/loading.h"

/* A mobile inverted bottleneck (Sandler et al. 2018): a 1 x 1 convolution to more channels, a depthwise one, squeeze
 * and excitation (Hu et al. 2018), a 1 x 1 convolution to fewer channels. */
typedef struct MbConv {
    Conv2d expand, depthwise, squeeze, excite, project;
    bool has_expand, residual;
} MbConv;
typedef struct MbConvNames { /* of the layers; expand NULL: the block has no such convolution */
    const char *expand, *expand_norm, *depthwise, *depthwise_norm, *squeeze, *excite, *project, *project_norm;
} MbConvNames;
/* A square convolution of odd size to O channels (-1: any) with its batch norm, padded so that stride 1 keeps the
 * size. */
bool efficientnet_layer(Loader *l, Conv2d *to, int64_t O, int64_t C, const char *name, const char *norm, double eps,
                        int64_t stride, int64_t groups);
/* A block of C channels in and project.O out. `residual` is the caller's to set. */
bool mbconv_load(Loader *l, MbConv *b, const MbConvNames *n, int64_t C, double eps, int64_t stride);
/* x [B, h, w, C] */
Tensor *mbconv(Tape *t, const MbConv *b, Tensor *x, int64_t B, Act act);

#endif
