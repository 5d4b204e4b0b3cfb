/* extractors/models/prenorm.h: the pre-norm transformer (prenorm.c) of ViT, Dosovitskiy et al. 2021, of CLIP's two
 * towers and of similar models. */
#ifndef SAPOR_PRENORM_H
#define SAPOR_PRENORM_H

#include "extractors/loading.h"

/* One block: x += out(attention(qkv(norm1(x)))), x += fc2(act(fc1(norm2(x)))). */
typedef struct PreNorm {
    Linear qkv, out, fc1, fc2;
    Norm norm1, norm2;
} PreNorm;
typedef struct PreNormNames { /* a family's names of the parts of a block; they follow LAYER.i. */
    const char *layer, *norm1, *q, *k, *v, *out, *norm2, *fc1, *fc2;
    /* q NULL: queries, keys and values are one tensor [3 C, C], and one [3 C] of biases; whole names */
    const char *qkv_weight, *qkv_bias;
    const char *between; /* what is between LAYER and i; NULL: "." */
} PreNormNames;
/* Numbers of inner outputs: what the parts of a block give, in their order. */
typedef struct PreNormNodes {
    int norm1, attended, sum, norm2, fc1, act, mlp;
} PreNormNodes;
typedef struct PreNormNodeNames { /* several between spaces; NULL: the family has no name for it */
    const char *norm1, *attended, *sum, *norm2, *fc1, *act, *mlp;
} PreNormNodeNames;
typedef struct PreNormModel {
    int64_t layers, H, C;
    Act act;
    bool causal; /* a token attends to those before it only */
    PreNorm *layer;
    const PreNormNodes *nodes; /* [layers] (prenorm_nodes), or NULL */
    Norm norm;                 /* of the last block's result */
    bool last_before;          /* last_hidden_state is what comes before this norm, as of CLIP's images */
    int last, hidden;          /* numbers of outputs: last_hidden_state and hidden_states.0 */
} PreNormModel;
/* Loads all blocks of a model whose H, layers, act and causal are set, of width C; `layers` is checked against the
 * tensors. qkv_bias: queries, keys and values have biases. The rest is loaded by the encoder. */
bool prenorm_load(Loader *l, PreNormModel *m, const PreNormNames *names, int64_t C, double eps, bool qkv_bias);
/* Adds the nodes inside the blocks as inner outputs BLOCK.NAME, with BLOCK as layer and between say it. */
bool prenorm_nodes(Loader *l, PreNormModel *m, unsigned modality, const PreNormNames *names,
                   const PreNormNodeNames *nodes);
/* The blocks that the pass needs, from x [total, C] on, with last_hidden_state and the hidden states put. The result is
 * one row of each text or image behind the last norm, [B, C]: rows at [B] (text_rows), or with `at` NULL those of the
 * first tokens. Where no other row is asked for, the last block computes these alone. NULL where the pass ends at an
 * earlier block: then no other output is asked for. */
Tensor *prenorm_run(Tape *t, const PreNormModel *m, Pass *p, Tensor *x, const Ragged *r, Tensor *at);

/* The tokens of images: a class token, or none, then the patches, row by row, with a position each. */
typedef struct PatchTokens {
    Conv2d patches;
    Tensor *cls, *positions; /* C numbers, or NULL; T C */
    int64_t C, T;
    int64_t height, width; /* of images */
} PatchTokens;
typedef struct PatchNames {
    const char *patches;         /* a layer: .weight and .bias follow */
    const char *cls, *positions; /* whole names of tensors; cls NULL: the family has none */
    bool bias;                   /* the convolution has one */
    bool flat; /* a class token of [C] and positions [T, C], as CLIP's; else [1, 1, C] and [1, T, C] */
} PatchNames;
/* Image sizes come from config.json's image_size; where it is absent, they are the square that the positions make. */
bool patch_tokens_load(Loader *l, PatchTokens *p, const PatchNames *names);
/* Where the folder has no preprocessor_config.json: the family's preset (EncoderKind.usual), at the size that this
 * model reads; `resize` changes in proportion. A folder's preset of another size is a failure. */
bool patch_tokens_preset(Loader *l, const PatchTokens *p);
/* [B T, C] of a batch, and *r: T tokens per image. */
Tensor *patch_tokens(Tape *t, const PatchTokens *p, const ImageBatch *b, Ragged *r);

#endif
