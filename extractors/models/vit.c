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
    Norm norm;
    Linear pooler, classifier;
    int cls, last, pooled, logits, hidden; /* numbers of outputs; `hidden`: of hidden_states.0 */
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

/* The preset is set or, if it is set already, checked. */
static bool check_preset(Loader *l, const PatchTokens *p)
{
    Encoder *en = l->encoder;
    encoder_preset(en, (Preset){.fit = FIT_SQUASH, /* ViTImageProcessor's defaults, at the model's size */
                                .width = p->width,
                                .height = p->height,
                                .mean = {0.5f, 0.5f, 0.5f},
                                .std = {0.5f, 0.5f, 0.5f}});
    const Preset *set = &en->image.preset;
    return (set->width == p->width && set->height == p->height) ||
           fail(l->error, SP_USAGE, "%s: expected images of %lld x %lld, not %lld x %lld", l->source->path,
                (long long)p->width, (long long)p->height, (long long)set->width, (long long)set->height);
}

static bool load_outputs(Loader *l, ViT *m)
{
    const char *inner = l->prefix;
    Output o = {.modality = MODALITY_IMAGE, .rows = ROWS_VECTOR, .width = m->tokens.C, .name = "cls"};
    m->cls = output_add(l, o); /* the class token's row of last_hidden_state */
    o.name = "last_hidden_state";
    o.rows = ROWS_TOKENS;
    m->last = output_add(l, o);
    m->pooled = m->logits = -1;
    o.rows = ROWS_VECTOR;
    o.name = "pooler_output";
    if ((o.width = loader_rows(l, "pooler.dense")) > 0)
        m->pooled = output_add(l, o);
    if (m->pooled >= 0 && !load_linear(l, &m->pooler, -1, m->tokens.C, "pooler.dense"))
        return false;
    l->prefix = ""; /* the classifier has no prefix "vit." */
    o.name = "logits";
    if ((o.width = loader_rows(l, "classifier")) > 0)
        m->logits = output_add(l, o);
    if (m->logits >= 0 && !load_linear(l, &m->classifier, -1, m->tokens.C, "classifier"))
        return false;
    l->prefix = inner;
    m->hidden = output_add_hidden(l, MODALITY_IMAGE, m->blocks.layers, m->tokens.C);
    return l->error->code == SP_OK;
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
    return load_outputs(&l, m);
}

static void forward(Tape *t, const void *model, Pass *p)
{
    const ViT *m = model;
    int64_t blocks = pass_blocks(p, m->hidden, m->blocks.layers), last = m->blocks.layers - 1;
    bool rows = pass_asks(p, m->last) || pass_asks(p, m->hidden + (int)last + 1); /* of all tokens, to the end */
    Ragged r;
    Tensor *x = patch_tokens(t, &m->tokens, p->images, &r);
    pass_put(p, m->hidden, x);
    for (int64_t i = 0; i < blocks; i++) {
        x = i == last && !rows ? prenorm_last(t, &m->blocks, x, &r) : prenorm_block(t, &m->blocks, i, x, &r);
        pass_put(p, m->hidden + (int)i + 1, x);
    }
    if (blocks <= last)
        return;
    x = layer_norm(t, x, &m->norm);
    pass_put(p, m->last, x);
    if (rows)
        x = pool_ragged(t, x, &r, REDUCE_FIRST);
    pass_put(p, m->cls, x);
    if (pass_asks(p, m->pooled))
        pass_put(p, m->pooled, linear_act(t, x, &m->pooler, m->pooler_act, 0));
    if (pass_asks(p, m->logits))
        pass_put(p, m->logits, linear_act(t, x, &m->classifier, ACT_NONE, 0));
}

const EncoderKind encoder_vit = {.name = "vit",
                                 .about = "ViT: google/vit-base-patch16-224, facebook/dino-vitb16 (folders)",
                                 .model_type = "vit",
                                 .modalities = MODALITY_IMAGE,
                                 .narrow = true,
                                 .matches = matches,
                                 .load = load,
                                 .forward_image = forward};
