/* extractors/models/postnorm.h: post-norm text encoders (postnorm.c): BERT, Devlin et al. 2019, and similar models. */
#ifndef SAPOR_POSTNORM_H
#define SAPOR_POSTNORM_H

#include "extractors/loading.h"

/* One block: x = norm1(x + out(attention(x))), x = norm2(x + fc2(act(fc1(x)))). */
typedef struct PostNorm {
    Linear qkv, out, fc1, fc2;
    Norm norm1, norm2;
} PostNorm;
typedef struct PostNormModel {
    Tensor *words, *positions; /* [V, C], [P, C] */
    Tensor *types;             /* [kinds of token, C]; every text is one segment, of the first kind. Or NULL */
    Norm norm;                 /* of words + (positions + the first of types) */
    PostNorm *layer;
    int64_t layers, H;
    Act act;
    /* MPNet's bias by relative position: [buckets, H] or NULL, and the bucket of each distance from -R to R */
    Tensor *bias;
    const int32_t *bucket;
    int64_t R;
    Linear pooler;            /* pooler_output: tanh(pooler(first token)) */
    int last, pooled, hidden; /* numbers of outputs; `hidden`: of hidden_states.0 */
} PostNormModel;
typedef struct PostNormNames { /* a family's names of the parts; those of a block follow LAYER.i. */
    const char *words, *positions, *types, *norm, *layer, *q, *k, *v, *out, *norm1, *fc1, *fc2, *norm2;
    const char *pooler; /* types, pooler NULL: the family has none */
} PostNormNames;
extern const PostNormNames bert_names; /* BERT's, which many families have */
/* H, layers and act by BERT's keys of config.json; H and layers: the family's defaults. */
bool postnorm_config(Loader *l, PostNormModel *m, int64_t H, int64_t layers);
/* pad_token_id of config.json + 1: RoBERTa's positions are counted from there. */
bool postnorm_after_padding(Loader *l, int32_t *first_position);
/* Loads a model whose H, layers, act and bias are set, and adds its outputs: postnorm_weights, then
 * postnorm_outputs. An encoder whose usual output is another one adds that between them. */
bool postnorm_load(Loader *l, PostNormModel *m, const PostNormNames *names, double eps, int32_t first_position);
/* All but the pooler; no outputs: `last`, `pooled` and `hidden` are for the encoder to set. */
bool postnorm_weights(Loader *l, PostNormModel *m, const PostNormNames *names, double eps, int32_t first_position);
bool postnorm_outputs(Loader *l, PostNormModel *m, const PostNormNames *names);
/* The blocks that the pass needs, with their outputs put. The result is last_hidden_state [total, C], or NULL where the
 * pass ends at an earlier block: then no other output is asked for. */
Tensor *postnorm_run(Tape *t, const PostNormModel *m, Pass *p);
TowerForward postnorm_forward; /* postnorm_run, then the pooler */

#endif
