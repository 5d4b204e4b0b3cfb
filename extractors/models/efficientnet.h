/* extractors/models/efficientnet.h: the block of EfficientNet (Tan & Le 2019), which other models have under other
 * names (efficientnet.c defines it). */
#ifndef SAPOR_EFFICIENTNET_H
#define SAPOR_EFFICIENTNET_H

#include "extractors/loading.h"

typedef struct MbNodes { /* numbers of inner outputs: what the parts of a block give; project: before the residual */
    int expand, depthwise, excite, project;
} MbNodes;
/* A mobile inverted bottleneck (Sandler et al. 2018): a 1 x 1 convolution to more channels, a depthwise one, squeeze
 * and excitation (Hu et al. 2018), a 1 x 1 convolution to fewer channels. */
typedef struct MbConv {
    Conv2d expand, depthwise, squeeze, excite, project;
    bool has_expand, residual;
    bool same;            /* the depthwise one pads as TensorFlow's SAME */
    const MbNodes *nodes; /* or NULL */
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
/* x [B, h, w, C]; its nodes are put. */
Tensor *mbconv(Tape *t, const MbConv *b, Tensor *x, Pass *p, Act act);

#endif
