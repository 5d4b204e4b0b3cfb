/* extractors/models/postnorm.h: post-norm text encoders (postnorm.c): BERT, Devlin et al. 2019, and similar models. */
#ifndef SAPOR_POSTNORM_H
#define SAPOR_POSTNORM_H

#include "extractors/loading.h"

/* One block:
 *
 *   x = norm1(x + out(attention(x)))
 *   x = norm2(x + fc2(act(fc1(x)))) */
typedef struct PostNorm {
    Linear qkv, out, fc1, fc2;
    Norm norm1, norm2;
} PostNorm;
typedef struct PostNormModel {
    Tensor *words, *positions; /* [V, C], [P, C]: V words, P positions, C numbers per token */
    Tensor *types;             /* [kinds of token, C], or NULL. Every text is one segment, of the first kind. */
    Norm norm;                 /* of words + (positions + the first row of types) */
    PostNorm *layer;
    /* blocks, heads */
    int64_t layers, H;
    Act act;
    /* MPNet's bias by relative position: [buckets, H] or NULL; and the bucket of each distance from -R to R */
    Tensor *bias;
    const int32_t *bucket;
    int64_t R;
    Linear pooler;            /* pooler_output: tanh(pooler(first token)) */
    int last, pooled, hidden; /* numbers of outputs; `hidden` is that of hidden_states.0 */
} PostNormModel;
typedef struct PostNormNames { /* a family's names of the parts; the names of a block's parts follow LAYER.i. */
    const char *words, *positions, *types, *norm, *layer, *q, *k, *v, *out, *norm1, *fc1, *fc2, *norm2;
    const char *pooler; /* types or pooler NULL: the family has none */
} PostNormNames;
extern const PostNormNames bert_names; /* BERT's names, which many families use */
/* Sets H, layers and act by BERT's keys of config.json; the arguments H and layers are the family's defaults. */
bool postnorm_config(Loader *l, PostNormModel *m, int64_t H, int64_t layers);
/* Sets *first_position to pad_token_id of config.json + 1: RoBERTa counts positions from there. */
bool postnorm_after_padding(Loader *l, int32_t *first_position);
/* Loads a model and adds its outputs: postnorm_weights, then postnorm_outputs. H, layers, act and bias must be set. An
 * encoder with another usual output calls both functions itself and adds its output between them. */
bool postnorm_load(Loader *l, PostNormModel *m, const PostNormNames *names, double eps, int32_t first_position);
/* Loads everything except the pooler and adds no outputs. The encoder must set `last`, `pooled` and `hidden` if it does
 * not call postnorm_outputs. */
bool postnorm_weights(Loader *l, PostNormModel *m, const PostNormNames *names, double eps, int32_t first_position);
bool postnorm_outputs(Loader *l, PostNormModel *m, const PostNormNames *names);
/* Runs the blocks that the pass needs and stores their outputs. Returns last_hidden_state [total, C]; NULL if the pass
 * ends at an earlier block, because no output needs the later ones. */
Tensor *postnorm_run(Tape *t, const PostNormModel *m, Pass *p);
TowerForward postnorm_forward; /* postnorm_run, then the pooler */

#endif
