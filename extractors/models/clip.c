/* extractors/models/clip.c: CLIP (Radford et al. 2021) as Hugging Face's CLIPModel computes it:
 * openai/clip-vit-base-patch32, laion/CLIP-ViT-B-32-laion2B-s34B-b79K. Both towers are pre-norm transformers. The
 * feature of an image is its class token, and the feature of a text its end-of-text token; each has a projection into
 * one space. */
// flags: -Os
#include "extractors/models/clip.h"

#include <math.h>

typedef struct Clip {
    ClipImages image; /* must be the first member, for clip_forward_image */
    PreNormModel text;
    ClipHead head; /* of texts */
    Tensor *words, *positions;
    int64_t end; /* the id of the end-of-text token, for row_numbers_of_token */
} Clip;

static const PreNormNames BLOCKS = {.layer = "encoder.layers",
                                    .norm1 = "layer_norm1",
                                    .q = "self_attn.q_proj",
                                    .k = "self_attn.k_proj",
                                    .v = "self_attn.v_proj",
                                    .out = "self_attn.out_proj",
                                    .norm2 = "layer_norm2",
                                    .fc1 = "mlp.fc1",
                                    .fc2 = "mlp.fc2"};
static const PatchNames PATCHES = {.patches = "embeddings.patch_embedding",
                                   .cls = "embeddings.class_embedding",
                                   .positions = "embeddings.position_embedding.weight",
                                   .flat = true};

const Preset clip_preset = {.white = true,
                            .fit = FIT_SHORT_SIDE,
                            .crop = CROP_FLOOR,
                            .resize = 224,
                            .width = 224,
                            .height = 224,
                            .how = {.filter = FILTER_BICUBIC},
                            .mean = {0.48145466f, 0.4578275f, 0.40821073f},
                            .std = {0.26862954f, 0.26130258f, 0.27577711f}};

/* The published name of the first norm is misspelt. This distinguishes CLIP from SigLIP and others. */
static int matches(const ModelSource *s)
{
    return model_has(s, "vision_model.pre_layrnorm.weight", NULL) &&
                   model_has(s, "text_model.embeddings.token_embedding.weight", NULL) &&
                   model_has(s, "logit_scale", NULL)
               ? 3
               : 0;
}

/* ---- parts that similar models share --------------------------------------------------------- */

Loader clip_part(Loader *whole, const char *section, const char *old, const char *prefix)
{
    return loader_part(whole, config_get(whole, old) ? old : section, prefix);
}

bool clip_head_load(Loader *whole, ClipHead *h, unsigned modality, int64_t K, int64_t width)
{
    bool image = modality == MODALITY_IMAGE;
    const char *projection = image ? "visual_projection" : "text_projection";
    int64_t N = config_i64(whole, "projection_dim", width);
    h->embeds = output_unit(whole, modality, image ? "image_embeds" : "text_embeds", loader_rows(whole, projection));
    h->pooled = output_vector(whole, modality, "pooler_output", K);
    if (N < 1)
        return config_bad(whole, config_get(whole, "projection_dim"), "projection_dim", "a number above 0");
    return h->embeds < 0 || load_linear(whole, &h->projection, N, K, false, projection);
}

void clip_head_put(Tape *t, const ClipHead *h, Pass *p, Tensor *pooled)
{
    pass_put(p, h->pooled, pooled);
    if (pass_requests(p, h->embeds))
        pass_put(p, h->embeds, linear(t, pooled, &h->projection));
}

/* Loads the blocks of a tower, its last norm and its head, and adds its outputs. */
static bool load_tower(Loader *l, Loader *whole, PreNormModel *m, ClipHead *head, unsigned modality, int64_t C,
                       int64_t heads, int64_t width)
{
    double eps = config_f64(l, "layer_norm_eps", 1e-5);
    PreNormNames names = BLOCKS;
    if (loader_has(l, "encoder.layer.0.%s.weight", names.norm1)) /* as transformers 5 saves AltCLIP */
        names.layer = "encoder.layer";
    m->H = config_heads(l, "num_attention_heads", heads);
    m->layers = config_i64(l, "num_hidden_layers", 12);
    if (!config_act(l, "hidden_act", ACT_QUICK_GELU, &m->act) || !prenorm_load(l, m, &names, C, eps, true) ||
        !load_norm(l, &m->norm, C, eps, modality == MODALITY_IMAGE ? "post_layernorm" : "final_layer_norm") ||
        !clip_head_load(whole, head, modality, C, width))
        return false;
    m->last = output_tokens(l, modality, "last_hidden_state", C);
    m->hidden = output_add_hidden(l, modality, m->layers, C);
    return l->error->code == SP_OK;
}

bool clip_scale(Loader *whole)
{
    whole->encoder->logit_scale = exp((double)load_number(whole, "logit_scale"));
    return whole->error->code == SP_OK;
}

bool clip_images_load(Loader *whole, ClipImages *m, int64_t width)
{
    Loader l = clip_part(whole, "vision_config", "vision_config_dict", "vision_model.");
    m->blocks.last_before = true;
    return patch_tokens_load(&l, &m->patches, &PATCHES) && patch_tokens_preset(&l, &m->patches) &&
           load_norm(&l, &m->before, m->patches.C, config_f64(&l, "layer_norm_eps", 1e-5), "pre_layrnorm") &&
           load_tower(&l, whole, &m->blocks, &m->head, MODALITY_IMAGE, m->patches.C, 12, width);
}

void clip_forward_image(Tape *t, const void *model, Pass *p)
{
    const ClipImages *m = model;
    Ragged r;
    Tensor *x = layer_norm(t, patch_tokens(t, &m->patches, p->images, &r), &m->before);
    clip_head_put(t, &m->head, p, prenorm_run(t, &m->blocks, p, x, &r, NULL));
}

/* ---- CLIP ------------------------------------------------------------------------------------ */

static bool load_text(Loader *whole, Clip *m)
{
    Loader l = clip_part(whole, "text_config", "text_config_dict", "text_model.");
    m->text.causal = true;
    m->end = config_i64(&l, "eos_token_id", 49407);
    if (m->end < 0)
        return config_bad(&l, config_get(&l, "eos_token_id"), "eos_token_id", "the id of a token");
    if (m->end == 2) /* OpenAI's files state 2, which is wrong: the end of text is the last entry of the vocabulary */
        m->end = LARGEST_ID;
    return (m->words = load_words(&l, "embeddings.token_embedding")) &&
           (m->positions = load_positions(&l, m->words->shape[1], 0, "embeddings.position_embedding")) &&
           load_tower(&l, whole, &m->text, &m->head, MODALITY_TEXT, m->words->shape[1], 8, 512);
}

static bool load(Encoder *en, const ModelSource *s, Error *e)
{
    Loader l;
    Clip *m = NEW(en->arena, Clip, 1, e);
    en->model = m;
    return m && loader_start(&l, en, s, "logit_scale", e) && clip_scale(&l) &&
           (!(en->towers & MODALITY_IMAGE) || clip_images_load(&l, &m->image, 512)) &&
           (!(en->towers & MODALITY_TEXT) || load_text(&l, m));
}

static void forward_text(Tape *t, const void *model, Pass *p)
{
    const Clip *m = model;
    const TextBatch *b = p->texts;
    Tensor *words = gather(t, m->words, input_i32(t, b->ids, b->ragged.total));
    Tensor *positions = gather(t, m->positions, input_i32(t, b->positions, b->ragged.total));
    Tensor *ends = row_numbers_of_token(t, b, m->end);
    clip_head_put(t, &m->head, p, prenorm_run(t, &m->text, p, add(t, words, positions), &b->ragged, ends));
}

const EncoderKind encoder_clip = {.name = "clip",
                                  .about = "CLIP: openai/clip-vit-base-patch32, laion/CLIP-ViT-B-32-* (folders)",
                                  .checked = "transformers 5.23: 3e-6",
                                  .model_type = "clip",
                                  .modalities = MODALITY_IMAGE | MODALITY_TEXT,
                                  .narrow = true,
                                  .usual = &clip_preset,
                                  .matches = matches,
                                  .load = load,
                                  .forward_text = forward_text,
                                  .forward_image = clip_forward_image};
