/* extractors/models/clip.c: CLIP (Radford et al. 2021) as Hugging Face's CLIPModel computes it:
 * openai/clip-vit-base-patch32, laion/CLIP-ViT-B-32-laion2B-s34B-b79K. Two pre-norm transformers. An image's feature is
 * its class token, a text's its end-of-text token; each has a projection into one space. */
// flags: -Os
#include "extractors/models/prenorm.h"

typedef struct Tower {
    PreNormModel blocks;
    Linear projection;
    int embeds, pooled; /* numbers of outputs, besides those of the blocks */
} Tower;
typedef struct Clip {
    Tower image, text;
    PatchTokens patches;
    Norm before; /* of the first block's input, for images */
    Tensor *words, *positions;
    int64_t end; /* the id of the end-of-text token, for text_rows */
} Clip;
typedef struct TowerNames { /* of what the towers have both, under different names */
    unsigned modality;
    const char *embeds, *norm, *projection;
} TowerNames;

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
static const TowerNames IMAGE = {MODALITY_IMAGE, "image_embeds", "post_layernorm", "visual_projection"},
                        TEXT = {MODALITY_TEXT, "text_embeds", "final_layer_norm", "text_projection"};

/* CLIPImageProcessor's defaults. */
static const Preset PRESET = {.fit = FIT_SHORT_SIDE,
                              .crop = CROP_FLOOR,
                              .resize = 224,
                              .width = 224,
                              .height = 224,
                              .how = {.filter = FILTER_BICUBIC},
                              .mean = {0.48145466f, 0.4578275f, 0.40821073f},
                              .std = {0.26862954f, 0.26130258f, 0.27577711f}};

/* The published name of the first norm is misspelt, which distinguishes CLIP from SigLIP and others. */
static bool matches(const ModelSource *s)
{
    return model_has(s, "vision_model.pre_layrnorm.weight", NULL) &&
           model_has(s, "text_model.embeddings.token_embedding.weight", NULL) && model_has(s, "logit_scale", NULL);
}

/* What both towers have. The projections are `whole`'s: their names have no prefix of a tower. */
static bool load_tower(Loader *l, Loader *whole, Tower *w, const TowerNames *names, int64_t C, int64_t heads)
{
    double eps = config_f64(l, "layer_norm_eps", 1e-5);
    w->blocks.H = config_heads(l, "num_attention_heads", heads);
    w->blocks.layers = config_i64(l, "num_hidden_layers", 12);
    if (!config_act(l, "hidden_act", ACT_QUICK_GELU, &w->blocks.act) ||
        !prenorm_load(l, &w->blocks, &BLOCKS, C, eps, true) || !load_norm(l, &w->blocks.norm, C, eps, names->norm))
        return false;
    w->embeds = output_unit(l, names->modality, names->embeds, loader_rows(whole, names->projection));
    w->pooled = output_vector(l, names->modality, "pooler_output", C);
    w->blocks.last = output_tokens(l, names->modality, "last_hidden_state", C);
    w->blocks.hidden = output_add_hidden(l, names->modality, w->blocks.layers, C);
    int64_t width = config_i64(whole, "projection_dim", 512);
    if (width < 1)
        return config_bad(whole, config_get(whole, "projection_dim"), "projection_dim", "a number above 0");
    return w->embeds < 0 || load_linear(whole, &w->projection, width, C, false, names->projection);
}

/* The loader of a tower. Old files have a second section, as "text_config_dict"; transformers then reads this alone. */
static Loader part(Loader *whole, const char *section, const char *old, const char *prefix)
{
    return loader_part(whole, config_get(whole, old) ? old : section, prefix);
}

static bool load_image(Loader *whole, Clip *m)
{
    Loader l = part(whole, "vision_config", "vision_config_dict", "vision_model.");
    m->image.blocks.last_before = true;
    return patch_tokens_load(&l, &m->patches, &PATCHES) && patch_tokens_preset(&l, &m->patches) &&
           load_norm(&l, &m->before, m->patches.C, config_f64(&l, "layer_norm_eps", 1e-5), "pre_layrnorm") &&
           load_tower(&l, whole, &m->image, &IMAGE, m->patches.C, 12);
}

static bool load_text(Loader *whole, Clip *m)
{
    Loader l = part(whole, "text_config", "text_config_dict", "text_model.");
    m->text.blocks.causal = true;
    m->end = config_i64(&l, "eos_token_id", 49407);
    if (m->end < 0)
        return config_bad(&l, config_get(&l, "eos_token_id"), "eos_token_id", "the id of a token");
    if (m->end == 2) /* as OpenAI's files state it, wrongly: the end of text is the last entry of the vocabulary */
        m->end = LARGEST_ID;
    return (m->words = load_words(&l, "embeddings.token_embedding")) &&
           (m->positions = load_positions(&l, m->words->shape[1], 0, "embeddings.position_embedding")) &&
           load_tower(&l, whole, &m->text, &TEXT, m->words->shape[1], 8);
}

static bool load(Encoder *en, const ModelSource *s, Error *e)
{
    Loader l;
    Clip *m = NEW(en->arena, Clip, 1, e);
    en->model = m;
    return m && loader_start(&l, en, s, "logit_scale", e) && (!(en->towers & MODALITY_IMAGE) || load_image(&l, m)) &&
           (!(en->towers & MODALITY_TEXT) || load_text(&l, m));
}

static void put_vectors(Tape *t, const Tower *w, Pass *p, Tensor *pooled)
{
    pass_put(p, w->pooled, pooled);
    if (pass_asks(p, w->embeds))
        pass_put(p, w->embeds, linear(t, pooled, &w->projection));
}

static void forward_image(Tape *t, const void *model, Pass *p)
{
    const Clip *m = model;
    Ragged r;
    Tensor *x = layer_norm(t, patch_tokens(t, &m->patches, p->images, &r), &m->before);
    put_vectors(t, &m->image, p, prenorm_run(t, &m->image.blocks, p, x, &r, NULL));
}

static void forward_text(Tape *t, const void *model, Pass *p)
{
    const Clip *m = model;
    const TextBatch *b = p->texts;
    Tensor *words = gather(t, m->words, input_i32(t, b->ids, b->ragged.total));
    Tensor *positions = gather(t, m->positions, input_i32(t, b->positions, b->ragged.total));
    Tensor *ends = text_rows(t, b, m->end);
    put_vectors(t, &m->text, p, prenorm_run(t, &m->text.blocks, p, add(t, words, positions), &b->ragged, ends));
}

const EncoderKind encoder_clip = {.name = "clip",
                                  .about = "CLIP: openai/clip-vit-base-patch32, laion/CLIP-ViT-B-32-* (folders)",
                                  .model_type = "clip",
                                  .modalities = MODALITY_IMAGE | MODALITY_TEXT,
                                  .narrow = true,
                                  .usual = &PRESET,
                                  .matches = matches,
                                  .load = load,
                                  .forward_text = forward_text,
                                  .forward_image = forward_image};
