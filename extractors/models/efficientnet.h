/* extractors/models/efficientnet.h: the block of EfficientNet (Tan & Le 2019), which other models use under other names
 * (defined in efficientnet.c). */
#ifndef SAPOR_EFFICIENTNET_H
#define SAPOR_EFFICIENTNET_H

#include "extractors/loading.h"

/* numbers of inner outputs: the results of a block's parts; `project` is before the residual is added */
typedef struct MbNodes {
    int expand, depthwise, excite, project;
} MbNodes;
/* A mobile inverted bottleneck (Sandler et al. 2018): a 1 x 1 convolution to more channels, a depthwise convolution,
 * squeeze and excitation (Hu et al. 2018), a 1 x 1 convolution to fewer channels. */
typedef struct MbConv {
    Conv2d expand, depthwise, squeeze, excite, project;
    bool has_expand, residual;
    bool same;            /* the depthwise convolution pads like TensorFlow's SAME */
    const MbNodes *nodes; /* or NULL */
} MbConv;
typedef struct MbConvNames { /* names of the layers; expand NULL: the block has no such convolution */
    const char *expand, *expand_norm, *depthwise, *depthwise_norm, *squeeze, *excite, *project, *project_norm;
} MbConvNames;
/* Loads a square convolution of odd size to O channels (-1: any) with its batch norm. The padding keeps the size at
 * stride 1. */
bool efficientnet_layer(Loader *l, Conv2d *to, int64_t O, int64_t C, const char *name, const char *norm, double eps,
                        int64_t stride, int64_t groups);
/* Loads a block with C channels in and project.O channels out. The caller sets `residual`. */
bool mbconv_load(Loader *l, MbConv *b, const MbConvNames *n, int64_t C, double eps, int64_t stride);
/* Returns the result of a block for x [B, h, w, C], and stores its nodes. */
Tensor *mbconv(Tape *t, const MbConv *b, Tensor *x, Pass *p, Act act);

/* ---- efficientnet_hf.c ----------------------------------------------------------------------- */

/* Hugging Face's EfficientNetModel. Without its last convolution, the top, it is ALIGN's tower of images. */
typedef struct HfEfficientNet {
    Conv2d stem, top;
    MbConv *block;
    int64_t all, blocks; /* numbers of blocks: of the model, and loaded (fewer if calls need only the first) */
    Linear classifier;
    bool has_top;
    Act act;
    int pooled, logits, last, hidden; /* numbers of outputs; `hidden` + i: the map of the first i blocks */
} HfEfficientNet;
extern const Preset efficientnet_preset; /* EfficientNetImageProcessor's defaults */
/* Returns the number of channels of the map that is pooled. `top`: the model has the last convolution. */
int64_t efficientnet_hf_width(Loader *l, bool top);
/* Adds pooler_output, logits (if the file has a classifier), last_hidden_state and hidden_states.N, and loads what they
 * need. */
bool efficientnet_hf_load(Loader *l, HfEfficientNet *m, bool top);
/* Stores these outputs. Returns the pooled map [B, C]; NULL if `pool` is false and no output needs it. */
Tensor *efficientnet_hf_forward(Tape *t, const HfEfficientNet *m, Pass *p, bool pool);

#endif
