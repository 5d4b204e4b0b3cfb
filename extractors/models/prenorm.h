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
} PreNormNames;
typedef struct PreNormModel {
    int64_t layers, H, C;
    Act act;
    bool causal; /* a token attends to those before it only */
    PreNorm *layer;
} PreNormModel;
/* Loads the blocks of a model whose H, layers, act and causal are set, of width C; `layers` is checked against the
 * tensors. qkv_bias: queries, keys and values have biases. */
bool prenorm_load(Loader *l, PreNormModel *m, const PreNormNames *names, int64_t C, double eps, bool qkv_bias);
/* Block i of [total, C]. */
Tensor *prenorm_block(Tape *t, const PreNormModel *m, int64_t i, Tensor *x, const Ragged *r);
/* The last block where only the first token of each text or image is asked for: [B, C]. */
Tensor *prenorm_last(Tape *t, const PreNormModel *m, Tensor *x, const Ragged *r);

/* The tokens of images: a class token, or none, then the patches, row by row, with a position each. */
typedef struct PatchTokens {
    Conv2d patches;
    Tensor *cls, *positions; /* C numbers, or NULL; T C */
    int64_t C, T;
    int64_t height, width; /* of images */
} PatchTokens;
typedef struct PatchNames {
    const char *patches, *cls, *positions; /* cls NULL: the family has none */
    bool bias;                             /* the convolution has one */
    bool flat; /* a class token of [C] and positions [T, C], as CLIP's; else [1, 1, C] and [1, T, C] */
} PatchNames;
/* Image sizes come from config.json's image_size; where it is absent, they are the square that the positions make. */
bool patch_tokens_load(Loader *l, PatchTokens *p, const PatchNames *names);
/* [B T, C] of a batch, and *r: T tokens per image. */
Tensor *patch_tokens(Tape *t, const PatchTokens *p, const ImageBatch *b, Ragged *r);

#endif
