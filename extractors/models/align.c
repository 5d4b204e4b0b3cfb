/* extractors/models/align.c: ALIGN (Jia et al. 2021) as Hugging Face's AlignModel computes it: kakaobrain/align-base.
 * The feature of an image is the pooled map of an EfficientNet-B7. The feature of a text is a projection of BERT's
 * first token. */
// flags: -Os
#include "extractors/models/efficientnet.h"
#include "extractors/models/postnorm.h"

typedef struct AlignTexts {
    PostNormModel blocks;
    Linear projection;
    int embeds;
} AlignTexts;
typedef struct Align {
    HfEfficientNet image;
    int embeds; /* number of the output of images */
    AlignTexts text;
} Align;

static int matches(const ModelSource *s)
{
    return model_has(s, "vision_model.embeddings.convolution.weight", NULL) &&
                   model_has(s, "text_model.embeddings.word_embeddings.weight", NULL) &&
                   model_has(s, "temperature", NULL)
               ? 3
               : 0;
}

/* ---- images ---------------------------------------------------------------------------------- */

static bool load_image(Loader *whole, Align *m)
{
    Loader l = loader_part(whole, "vision_config", "vision_model.");
    m->embeds = output_unit(&l, MODALITY_IMAGE, "image_embeds", efficientnet_hf_width(&l, false));
    return efficientnet_hf_load(&l, &m->image, false);
}

static void forward_image(Tape *t, const void *model, Pass *p)
{
    const Align *m = model;
    Tensor *pooled = efficientnet_hf_forward(t, &m->image, p, pass_requests(p, m->embeds));
    if (pooled)
        pass_put(p, m->embeds, pooled);
}

/* ---- texts ----------------------------------------------------------------------------------- */

static bool load_text(Loader *whole, AlignTexts *m)
{
    Loader l = loader_part(whole, "text_config", "text_model.");
    PostNormNames names = bert_names;
    double eps = config_f64(&l, "layer_norm_eps", 1e-12);
    int64_t width = config_i64(whole, "projection_dim", 640);
    if (width < 1)
        return config_bad(whole, config_get(whole, "projection_dim"), "projection_dim", "a number above 0");
    if (!loader_has(&l, "%s.weight", names.pooler))
        names.pooler = NULL;
    if (!postnorm_config(&l, &m->blocks, 12, 12) || !postnorm_weights(&l, &m->blocks, &names, eps, 0))
        return false;
    m->embeds = output_unit(&l, MODALITY_TEXT, "text_embeds", width);
    return postnorm_outputs(&l, &m->blocks, &names) &&
           (m->embeds < 0 ||
            load_linear(whole, &m->projection, width, m->blocks.words->shape[1], true, "text_projection"));
}

static void forward_text(Tape *t, const void *model, Pass *p)
{
    const AlignTexts *m = &((const Align *)model)->text;
    Tensor *x = postnorm_run(t, &m->blocks, p);
    bool pooled = pass_requests(p, m->blocks.pooled), embeds = pass_requests(p, m->embeds);
    if (!pooled && !embeds)
        return;
    x = pool_ragged(t, x, &p->texts->ragged, REDUCE_FIRST);
    if (pooled)
        pass_put(p, m->blocks.pooled, linear_act(t, x, &m->blocks.pooler, ACT_TANH, 0));
    if (embeds)
        pass_put(p, m->embeds, linear(t, x, &m->projection));
}

static bool load(Encoder *en, const ModelSource *s, Error *e)
{
    Loader l;
    Align *m = NEW(en->arena, Align, 1, e);
    en->model = m;
    if (!m || !loader_start(&l, en, s, "temperature", e))
        return false;
    en->logit_scale = 1 / (double)load_number(&l, "temperature");
    return e->code == SP_OK && (!(en->towers & MODALITY_IMAGE) || load_image(&l, m)) &&
           (!(en->towers & MODALITY_TEXT) || load_text(&l, &m->text));
}

const EncoderKind encoder_align = {.name = "align",
                                   .about = "ALIGN: kakaobrain/align-base (folder)",
                                   .checked = "transformers 5.23: 4e-6",
                                   .model_type = "align",
                                   .modalities = MODALITY_IMAGE | MODALITY_TEXT,
                                   .usual = &efficientnet_preset,
                                   .matches = matches,
                                   .load = load,
                                   .forward_text = forward_text,
                                   .forward_image = forward_image};
