/* extractors/models/clip.h: the parts that CLIP shares with similar models (defined in clip.c): the tower of images and
 * the projections into the common space. */
#ifndef SAPOR_CLIP_H
#define SAPOR_CLIP_H

#include "extractors/models/prenorm.h"

/* pooler_output, one row per input, and its projection into the common space (image_embeds, text_embeds). */
typedef struct ClipHead {
    Linear projection;
    int embeds, pooled; /* numbers of outputs */
} ClipHead;
/* Loads a head and adds both outputs; pooler_output has K numbers. `whole` is the loader of the whole model, because
 * the names of the projections have no tower prefix. If config.json states no projection_dim, it is `width`. */
bool clip_head_load(Loader *whole, ClipHead *h, unsigned modality, int64_t K, int64_t width);
/* Stores the requested outputs of a head from the pooled rows [B, K]. */
void clip_head_put(Tape *t, const ClipHead *h, Pass *p, Tensor *pooled);

typedef struct ClipImages { /* a pre-norm transformer with an additional norm before its first block */
    PreNormModel blocks;
    ClipHead head;
    PatchTokens patches;
    Norm before;
} ClipImages;
extern const Preset clip_preset; /* CLIPImageProcessor's defaults */
/* Returns the loader of a tower. Old files have a second section, such as "text_config_dict"; if it is present, only
 * this section is read, as in transformers. */
Loader clip_part(Loader *whole, const char *section, const char *old, const char *prefix);
bool clip_scale(Loader *whole); /* sets the encoder's logit_scale from the tensor that has its logarithm */
/* Loads the tower of images and adds its outputs. width: the common space's, if config.json states no projection_dim.
 */
bool clip_images_load(Loader *whole, ClipImages *m, int64_t width);
TowerForward clip_forward_image; /* for a model whose struct begins with ClipImages */

#endif
