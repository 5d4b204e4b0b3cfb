/* extractors/models/clip.h: the parts of CLIP that similar models have too (clip.c defines them): the tower of images
 * and the projections into the common space. */
#ifndef SAPOR_CLIP_H
#define SAPOR_CLIP_H

#include "extractors/models/prenorm.h"

/* pooler_output, one row per input, and its projection into the common space (image_embeds, text_embeds). */
typedef struct ClipHead {
    Linear projection;
    int embeds, pooled; /* numbers of outputs */
} ClipHead;
/* Adds both outputs, K numbers the second; the names of the projections have no prefix of a tower: `whole` is the
 * loader of the model. Its projection_dim is `width` where config.json states none. */
bool clip_head_load(Loader *whole, ClipHead *h, unsigned modality, int64_t K, int64_t width);
void clip_head_put(Tape *t, const ClipHead *h, Pass *p, Tensor *pooled);

typedef struct ClipImages { /* a pre-norm transformer whose first block's input has a norm of its own */
    PreNormModel blocks;
    ClipHead head;
    PatchTokens patches;
    Norm before;
} ClipImages;
extern const Preset clip_preset; /* CLIPImageProcessor's defaults */
/* The loader of a tower. Old files have a second section, as "text_config_dict"; transformers then reads this alone. */
Loader clip_part(Loader *whole, const char *section, const char *old, const char *prefix);
bool clip_scale(Loader *whole); /* the encoder's logit_scale, from the tensor with its logarithm */
bool clip_images_load(Loader *whole, ClipImages *m, int64_t width);
TowerForward clip_forward_image; /* of a model whose struct begins with ClipImages */

#endif
