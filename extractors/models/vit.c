/* extractors/models/vit.c: ViT (Dosovitskiy et al. 2021) as Hugging Face's ViTModel and ViTForImageClassification
 * compute it: google/vit-base-patch16-224, facebook/dino-vitb16. Pre-norm blocks over a class token and one token a
 * patch; the feature is the class token after the last norm. Tensors have the names of published checkpoints, or those
 * that transformers 5 gives its modules. */
// flags: -Os
#include "extractors/models/prenorm.h"

typedef struct ViT {
    PatchTokens tokens;
    PreNormModel blocks;
    Act pooler_act;
    Linear pooler, classifier;
    int cls, pooled, logits; /* numbers of outputs, besides those of the blocks */
} ViT;

static const PatchNames TOKENS = {.patches = "embeddings.patch_embeddings.projection",
                                  .cls = "embeddings.cls_token",
                                  .positions = "embeddings.position_embeddings",
                                  .bias = true};
static const PreNormNames PUBLISHED = {.layer = "encoder.layer",
                                       .norm1 = "layernorm_before",
                                       .q = "attention.attention.query",
                                       .k = "attention.attention.key",
                                       .v = "attention.attention.value",
                                       .out = "attention.output.dense",
                                       .norm2 = "layernorm_after",
                                       .fc1 = "intermediate.dense",
                                       .fc2 = "output.dense"},
                          MODULES = {.layer = "layers",
                                     .norm1 = "layernorm_before",
                                     .q = "attention.q_proj",
                                     .k = "attention.k_proj",
                                     .v = "attention.v_proj",
                                     .out = "attention.o_proj",
                                     .norm2 = "layernorm_after",
                                     .fc1 = "mlp.fc1",
                                     .fc2 = "mlp.fc2"};

/* DeiT, YOLOS, BEiT and similar models have these names too; config.json's model_type distinguishes them. */
static bool matches(const ModelSource *s)
{
    return model_has(s, "embeddings.patch_embeddings.projection.weight", NULL) &&
           (model_has(s, "encoder.layer.0.layernorm_before.weight", NULL) ||
            model_has(s, "layers.0.layernorm_before.weight", NULL));
}

/* ViTImageProcessor's defaults. */
static const Preset PRESET = {.fit = FIT_SQUASH,
                              .width = 224,
                              .height = 224,
                              .how = {.filter = FILTER_BILINEAR},
                              .mean = {0.5f, 0.5f, 0.5f},
                              .std = {0.5f, 0.5f, 0.5f}};

static bool load_outputs(Loader *l, ViT *m)
{
    int64_t C = m->tokens.C, pooled = loader_rows(l, "pooler.dense");
    m->cls = output_vector(l, MODALITY_IMAGE, "cls", C); /* the class token's row of last_hidden_state */
    m->blocks.last = output_tokens(l, MODALITY_IMAGE, "last_hidden_state", C);
    m->pooled = pooled > 0 ? output_vector(l, MODALITY_IMAGE, "pooler_output", pooled) : -1;
    if (m->pooled >= 0 && !load_linear(l, &m->pooler, -1, C, true, "pooler.dense"))
        return false;
    Loader bare = *l; /* the classifier has no prefix "vit." */
    bare.prefix = "";
    int64_t classes = loader_rows(&bare, "classifier");
    m->logits = classes > 0 ? output_vector(l, MODALITY_IMAGE, "logits", classes) : -1;
    if (m->logits >= 0 && !load_linear(&bare, &m->classifier, -1, C, true, "classifier"))
        return false;
    m->blocks.hidden = output_add_hidden(l, MODALITY_IMAGE, m->blocks.layers, C);
    return l->error->code == SP_OK;
}

static bool load(Encoder *en, const ModelSource *s, Error *e)
{
    Loader l;
    ViT *m = NEW(en->arena, ViT, 1, e);
    if (!m || !loader_start(&l, en, s, "embeddings.patch_embeddings.projection.weight", e))
        return false;
    const PreNormNames *names = loader_has(&l, "layers.0.layernorm_before.weight") ? &MODULES : &PUBLISHED;
    const Json *bias = config_get(&l, "qkv_bias");
    double eps = config_f64(&l, "layer_norm_eps", 1e-12);
    m->blocks.H = config_heads(&l, "num_attention_heads", 12);
    m->blocks.layers = config_i64(&l, "num_hidden_layers", 12);
    if (!config_act(&l, "hidden_act", ACT_GELU, &m->blocks.act) ||
        !config_act(&l, "pooler_act", ACT_TANH, &m->pooler_act) || !patch_tokens_load(&l, &m->tokens, &TOKENS) ||
        !patch_tokens_preset(&l, &m->tokens) ||
        !prenorm_load(&l, &m->blocks, names, m->tokens.C, eps, !bias || json_is_true(bias)) ||
        !load_norm(&l, &m->blocks.norm, m->tokens.C, eps, "layernorm"))
        return false;
    en->model = m;
    return load_outputs(&l, m);
}

static void forward(Tape *t, const void *model, Pass *p)
{
    const ViT *m = model;
    Ragged r;
    Tensor *x = patch_tokens(t, &m->tokens, p->images, &r);
    x = prenorm_run(t, &m->blocks, p, x, &r, NULL);
    pass_put(p, m->cls, x);
    if (pass_asks(p, m->pooled))
        pass_put(p, m->pooled, linear_act(t, x, &m->pooler, m->pooler_act, 0));
    if (pass_asks(p, m->logits))
        pass_put(p, m->logits, linear(t, x, &m->classifier));
}

const EncoderKind encoder_vit = {.name = "vit",
                                 .about = "ViT: google/vit-base-patch16-224, facebook/dino-vitb16 (folders)",
                                 .model_type = "vit",
                                 .modalities = MODALITY_IMAGE,
                                 .narrow = true,
                                 .usual = &PRESET,
                                 .matches = matches,
                                 .load = load,
                                 .forward_image = forward};
