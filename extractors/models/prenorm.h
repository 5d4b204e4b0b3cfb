/* extractors/models/prenorm.h: the pre-norm transformer (prenorm.c) of ViT (Dosovitskiy et al. 2021), of both towers of
 * CLIP, and of similar models. */
#ifndef SAPOR_PRENORM_H
#define SAPOR_PRENORM_H

#include "extractors/loading.h"

/* One block:
 *
 *   x += out(attention(qkv(norm1(x))))
 *   x += fc2(act(fc1(norm2(x)))) */
typedef struct PreNorm {
    Linear qkv, out, fc1, fc2;
    Norm norm1, norm2;
} PreNorm;
typedef struct PreNormNames { /* a family's names of the parts of a block; they follow LAYER.i. */
    const char *layer, *norm1, *q, *k, *v, *out, *norm2, *fc1, *fc2;
    /* If q is NULL, queries, keys and values are one tensor [3 C, C] with biases [3 C]; these are their whole names. */
    const char *qkv_weight, *qkv_bias;
    const char *between; /* the text between LAYER and i; NULL: "." */
} PreNormNames;
/* Numbers of inner outputs: the results of a block's parts, in their order. */
typedef struct PreNormNodes {
    int norm1, attended, sum, norm2, fc1, act, mlp;
} PreNormNodes;
typedef struct PreNormNodeNames { /* several separated by spaces; NULL: the family has no name for the node */
    const char *norm1, *attended, *sum, *norm2, *fc1, *act, *mlp;
} PreNormNodeNames;
typedef struct PreNormModel {
    /* blocks, heads, width of a row */
    int64_t layers, H, C;
    Act act;
    bool causal; /* a token attends only to itself and the tokens before it */
    PreNorm *layer;
    const PreNormNodes *nodes; /* [layers] (prenorm_nodes), or NULL */
    Norm norm;                 /* applied to the last block's result */
    bool last_before;          /* last_hidden_state is the input of this norm, as for CLIP's images */
    int last, hidden;          /* numbers of outputs: last_hidden_state and hidden_states.0 */
} PreNormModel;
/* Loads all blocks of a model of width C. H, layers, act and causal must be set; `layers` is checked against the
 * tensors. qkv_bias: queries, keys and values have biases. The encoder loads the other parts. */
bool prenorm_load(Loader *l, PreNormModel *m, const PreNormNames *names, int64_t C, double eps, bool qkv_bias);
/* Adds the nodes inside the blocks as inner outputs BLOCK.NAME; `layer` and `between` of PreNormNames give BLOCK. */
bool prenorm_nodes(Loader *l, PreNormModel *m, unsigned modality, const PreNormNames *names,
                   const PreNormNodeNames *nodes);
/* Runs the blocks that the pass needs on x [total, C], and stores last_hidden_state and the hidden states. Returns one
 * row [B, C] per text or image after the last norm: the rows with the numbers `at` [B] (from row_numbers_of_token), or,
 * if `at` is NULL, the rows of the first tokens. If no other row is needed, the last block computes only these rows
 * after its attention. Returns NULL if the pass ends at an earlier block, because no output needs the later blocks. */
Tensor *prenorm_run(Tape *t, const PreNormModel *m, Pass *p, Tensor *x, const Ragged *r, Tensor *at);

/* The tokens of images: a class token (not in all families), then the patches, row by row, each with a position. */
typedef struct PatchTokens {
    Conv2d patches;
    Tensor *cls, *positions; /* cls: C numbers, or NULL; positions: T C numbers */
    /* width of a token; tokens per image */
    int64_t C, T;
    int64_t height, width; /* of images */
} PatchTokens;
typedef struct PatchNames {
    const char *patches;         /* the name of a layer; .weight and .bias follow */
    const char *cls, *positions; /* whole names of tensors; cls NULL: the family has no class token */
    bool bias;                   /* the convolution has a bias */
    bool flat; /* the class token is [C] and positions are [T, C], as CLIP's; otherwise [1, 1, C] and [1, T, C] */
} PatchNames;
/* Loads the tokens. The size of images is config.json's image_size; if absent, it is the square that the positions
 * make. */
bool patch_tokens_load(Loader *l, PatchTokens *p, const PatchNames *names);
/* Sets the preset if the folder has no preprocessor_config.json: the family's preset (EncoderKind.usual), with the
 * image size of this model. Its `resize` is scaled by the same factor as the short side. A folder's preset of another
 * size is a failure. */
bool patch_tokens_preset(Loader *l, const PatchTokens *p);
/* Returns the tokens [B T, C] of a batch, and sets *r: T tokens per image. */
Tensor *patch_tokens(Tape *t, const PatchTokens *p, const ImageBatch *b, Ragged *r);

#endif
