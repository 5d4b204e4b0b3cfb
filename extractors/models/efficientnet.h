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

/* ---- efficientnet_hf.c ----------------------------------------------------------------------- */

/* Hugging Face's EfficientNetModel, or without its last convolution, the top: ALIGN's tower of images. */
typedef struct HfEfficientNet {
    Conv2d stem, top;
    MbConv *block;
    int64_t all, blocks; /* blocks: that are loaded: all, or up to the last one that calls may ask for */
    Linear classifier;
    bool has_top;
    Act act;
    int pooled, logits, last, hidden; /* numbers of outputs; `hidden` + i: the map of the first i blocks */
} HfEfficientNet;
extern const Preset efficientnet_preset; /* EfficientNetImageProcessor's defaults */
/* The channels of the map that is pooled. */
int64_t efficientnet_hf_width(Loader *l, bool top);
/* Adds pooler_output, logits where the file has a classifier, last_hidden_state, hidden_states.N. */
bool efficientnet_hf_load(Loader *l, HfEfficientNet *m, bool top);
/* Puts these outputs. The pooled map [B, C] if `pool` or an output asks for it, else NULL. */
Tensor *efficientnet_hf_forward(Tape *t, const HfEfficientNet *m, Pass *p, bool pool);

#endif
