/* extractors/models/altclip.c: AltCLIP (Chen et al. 2022) as Hugging Face's AltCLIPModel computes it: BAAI/AltCLIP. The
 * tower of images is CLIP's. The tower of texts is XLM-R, followed by a norm and a linear layer to the width of the
 * teacher's texts. */
// flags: -Os
#include "extractors/models/clip.h"
#include "extractors/models/postnorm.h"

typedef struct AltClip {
    ClipImages image; /* must be the first member, for clip_forward_image */
    PostNormModel text;
    Norm norm;     /* of XLM-R's last states */
    Linear mapped; /* applied after `norm`; gives last_hidden_state */
    ClipHead head; /* of texts */
    int last;      /* number of the output */
} AltClip;

static int matches(const ModelSource *s)
{
    return model_has(s, "vision_model.pre_layrnorm.weight", NULL) &&
                   model_has(s, "text_model.transformation.weight", NULL) && model_has(s, "logit_scale", NULL)
               ? 3
               : 0;
}

static bool load_text(Loader *whole, AltClip *m)
{
    Loader l = clip_part(whole, "text_config", "text_config_dict", "text_model."), roberta = l;
    roberta.prefix = load_name(&l, "%sroberta.", l.prefix);
    int32_t first;
    double eps = config_f64(&l, "layer_norm_eps", 1e-5);
    int64_t width = config_i64(&l, "project_dim", 768);
    if (width < 1)
        return config_bad(&l, config_get(&l, "project_dim"), "project_dim", "a number above 0");
    if (!postnorm_after_padding(&l, &first) || !postnorm_config(&l, &m->text, 16, 24) ||
        !postnorm_weights(&roberta, &m->text, &bert_names, eps, first))
        return false;
    int64_t C = m->text.words->shape[1];
    m->text.last = m->text.pooled =
        -1; /* last_hidden_state is after the mapping; the last of the hidden states is before it */
    if (!clip_head_load(whole, &m->head, MODALITY_TEXT, width, 768))
        return false;
    m->last = output_tokens(&l, MODALITY_TEXT, "last_hidden_state", width);
    m->text.hidden = output_add_hidden(&l, MODALITY_TEXT, m->text.layers, C);
    return load_norm(&l, &m->norm, C, eps, "pre_LN") && load_linear(&l, &m->mapped, width, C, true, "transformation");
}

static bool load(Encoder *en, const ModelSource *s, Error *e)
{
    Loader l;
    AltClip *m = NEW(en->arena, AltClip, 1, e);
    en->model = m;
    return m && loader_start(&l, en, s, "logit_scale", e) && clip_scale(&l) &&
           (!(en->towers & MODALITY_IMAGE) || clip_images_load(&l, &m->image, 768)) &&
           (!(en->towers & MODALITY_TEXT) || load_text(&l, m));
}

static void forward_text(Tape *t, const void *model, Pass *p)
{
    const AltClip *m = model;
    Tensor *x = postnorm_run(t, &m->text, p);
    bool all = pass_requests(p, m->last);
    if (!all && !pass_requests(p, m->head.pooled) && !pass_requests(p, m->head.embeds))
        return;
    if (!all) /* only the first token */
        x = pool_ragged(t, x, &p->texts->ragged, REDUCE_FIRST);
    x = linear(t, layer_norm(t, x, &m->norm), &m->mapped);
    pass_put(p, m->last, x);
    clip_head_put(t, &m->head, p, all ? pool_ragged(t, x, &p->texts->ragged, REDUCE_FIRST) : x);
}

const EncoderKind encoder_altclip = {.name = "altclip",
                                     .about = "AltCLIP: BAAI/AltCLIP (folder)",
                                     .checked = "transformers 5.23: 3e-6",
                                     .model_type = "altclip",
                                     .modalities = MODALITY_IMAGE | MODALITY_TEXT,
                                     .narrow = true,
                                     .usual = &clip_preset,
                                     .matches = matches,
                                     .load = load,
                                     .forward_text = forward_text,
                                     .forward_image = clip_forward_image};
