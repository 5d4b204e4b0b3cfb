/* extractors/models/vit.c: ViT (Dosovitskiy et al. 2021) as Hugging Face's ViTModel and ViTForImageClassification
 * compute it: google/vit-base-patch16-224, facebook/dino-vitb16. Pre-norm blocks over a class token and one token a
 * patch; the feature is the class token after the last norm. Tensors have the names of published checkpoints, or those
 * that transformers 5 gives its modules. */
#include "extractors/models/prenorm.h"

typedef struct ViT {
    PatchTokens tokens;
    PreNormModel blocks;
    Act pooler_act;
    Norm norm;
    Linear head; /* pooler or classifier */
    enum { OUT_CLS, OUT_HIDDEN, OUT_POOLER, OUT_LOGITS } output;
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

/* DeiT, YOLOS, BEiT and similar models have these names too; config.json or other tensors distinguish them. */
static bool matches(const ModelSource *s)
{
    if (s->arch)
        return strcmp(s->arch, "vit") == 0;
    return model_has(s, "embeddings.patch_embeddings.projection.weight", NULL) &&
           (model_has(s, "encoder.layer.0.layernorm_before.weight", NULL) ||
            model_has(s, "layers.0.layernorm_before.weight", NULL)) &&
           !model_has(s, "embeddings.distillation_token", NULL) && !model_has(s, "encoder.layer.0.lambda_1", NULL) &&
           (!config_has(s, "model_type") || config_is(s, "model_type", "vit"));
}

/* The preset is set or, if it is set already, checked. */
static bool check_preset(Loader *l, const PatchTokens *p)
{
    Encoder *en = l->encoder;
    encoder_preset(en, (Preset){.fit = FIT_SQUASH, /* ViTImageProcessor's defaults, at the model's size */
                                .width = p->width,
                                .height = p->height,
                                .mean = {0.5f, 0.5f, 0.5f},
                                .std = {0.5f, 0.5f, 0.5f}});
    return (en->preset.width == p->width && en->preset.height == p->height) ||
           fail(l->error, SP_USAGE, "%s: expected images of %lld x %lld, not %lld x %lld", l->source->path,
                (long long)p->width, (long long)p->height, (long long)en->preset.width, (long long)en->preset.height);
}

static bool load_output(Loader *l, ViT *m, const char *layer)
{
    Encoder *en = l->encoder;
    const char *inner = l->prefix;
    bool pooler = loader_has(l, "pooler.dense.weight"), ok = true;
    l->prefix = ""; /* the classifier has no prefix "vit." */
    bool classifier = loader_has(l, "classifier.weight");
    en->features = m->tokens.C;
    if (layer && strcmp(layer, "last_hidden_state") == 0) {
        m->output = OUT_HIDDEN;
        en->features = m->tokens.T * m->tokens.C;
    } else if (layer &&
               ((classifier && strcmp(layer, "logits") == 0) || (pooler && strcmp(layer, "pooler_output") == 0))) {
        m->output = strcmp(layer, "logits") ? OUT_POOLER : OUT_LOGITS;
        l->prefix = m->output == OUT_POOLER ? inner : "";
        ok = load_linear(l, &m->head, -1, m->tokens.C, m->output == OUT_POOLER ? "pooler.dense" : "classifier");
        en->features = m->head.N;
    } else if (layer) {
        ok = fail(l->error, SP_USAGE, "%s: has no layer %s; it has last_hidden_state%s%s (none: its first token)",
                  l->source->path, layer, pooler ? ", pooler_output" : "", classifier ? ", logits" : "");
    }
    l->prefix = inner;
    return ok;
}

static bool load(Encoder *en, const ModelSource *s, Error *e)
{
    Loader l;
    ViT *m = NEW(en->arena, ViT, 1, e);
    if (!m || !loader_start(&l, en, s, "embeddings.patch_embeddings.projection.weight", e))
        return false;
    const PreNormNames *names = loader_has(&l, "layers.0.layernorm_before.weight") ? &MODULES : &PUBLISHED;
    bool qkv_bias = !config_has(s, "qkv_bias") || json_is_true(json_get(s->config, "qkv_bias"));
    double eps = config_f64(&l, "layer_norm_eps", 1e-12);
    m->blocks.H = config_heads(&l, "num_attention_heads", 12);
    m->blocks.layers = config_i64(&l, "num_hidden_layers", 12);
    if (!config_act(&l, "hidden_act", ACT_GELU, &m->blocks.act) ||
        !config_act(&l, "pooler_act", ACT_TANH, &m->pooler_act) || !patch_tokens_load(&l, &m->tokens, &TOKENS) ||
        !check_preset(&l, &m->tokens) || !prenorm_load(&l, &m->blocks, names, m->tokens.C, eps, qkv_bias) ||
        !load_norm(&l, &m->norm, m->tokens.C, eps, "layernorm"))
        return false;
    en->model = m;
    return load_output(&l, m, en->options.layer);
}

static Tensor *forward(Tape *t, const void *model, const void *input)
{
    const ViT *m = model;
    const ImageBatch *b = input;
    bool all = m->output == OUT_HIDDEN;
    Ragged r;
    Tensor *x = patch_tokens(t, &m->tokens, b, &r);
    for (int64_t i = 0; i < m->blocks.layers - !all; i++)
        x = prenorm_block(t, &m->blocks, i, x, &r);
    x = layer_norm(t, all ? x : prenorm_last(t, &m->blocks, x, &r), &m->norm);
    if (all)
        return reshape(t, x, 2, (int64_t[]){b->B, m->tokens.T * m->tokens.C});
    if (m->output == OUT_CLS)
        return x;
    return linear_act(t, x, &m->head, m->output == OUT_POOLER ? m->pooler_act : ACT_NONE, 0);
}

const EncoderKind encoder_vit = {.name = "vit",
                                 .about = "ViT: google/vit-base-patch16-224, facebook/dino-vitb16 (folders)",
                                 .modalities = MODALITY_IMAGE,
                                 .narrow = true,
                                 .matches = matches,
                                 .load = load,
                                 .forward_image = forward};
