/* extractors/models/vit.c: ViT (Dosovitskiy et al. 2021) as Hugging Face's ViTModel and ViTForImageClassification
 * compute it: google/vit-base-patch16-224, facebook/dino-vitb16; torchvision's vit_b_16 (vit_b_16-c867db91.pth); timm's
 * vit_base_patch16_224. The tokens are a class token and one token per patch; the blocks are pre-norm. The feature is
 * the class token after the last norm. Hugging Face's tensors have the names of published checkpoints, or the names
 * that transformers 5 gives its modules. */
// flags: -Os
#include "extractors/models/prenorm.h"

typedef struct ViT {
    PatchTokens tokens;
    PreNormModel blocks;
    Act pooler_act;
    Linear pooler, classifier;
    bool classifies_pooled;  /* the classifier reads the pooler's result */
    int cls, pooled, logits; /* numbers of outputs other than those of the blocks */
} ViT;

/* The names that one source of weights gives its tensors and outputs. */
typedef struct Layout {
    PatchNames tokens;
    PreNormNames blocks;
    const char *norm, *pooler, *classifier;
    const char *cls_names, *last_names, *logits_names; /* names of outputs in addition to Hugging Face's */
    const char *first_names;                           /* names of the first block's input */
    const char *block_names; /* name of a block's last node, put after the block's name; NULL: Hugging Face's layout */
    PreNormNodeNames nodes;
    /* The only words that may begin names of tensors, and that may follow the name of a block. NULL: not checked. */
    const char *const *parts, *const *block_parts;
} Layout;

static const char PATCHES[] = "embeddings.patch_embeddings.projection.weight";
static const char PUBLISHED[] = "encoder.layer.0.layernorm_before.weight",
                  MODULES[] = "layers.0.layernorm_before.weight",
                  TORCHVISION[] = "encoder.layers.encoder_layer_0.ln_1.weight", TIMM[] = "blocks.0.attn.qkv.weight";

/* for each layout, a tensor that only this layout has */
static const char *const MARKS[] = {PUBLISHED, MODULES, TORCHVISION, TIMM};
enum { TORCHVISION_LAYOUT = 2, TIMM_LAYOUT, LAYOUT_COUNT }; /* smaller numbers are Hugging Face's layouts */

#define HUGGING_FACE_TOKENS                                                                                            \
    {                                                                                                                  \
        .patches = "embeddings.patch_embeddings.projection", .cls = "embeddings.cls_token",                            \
        .positions = "embeddings.position_embeddings", .bias = true                                                    \
    }
static const Layout LAYOUTS[LAYOUT_COUNT] = {
    {.tokens = HUGGING_FACE_TOKENS,
     .blocks = {.layer = "encoder.layer",
                .norm1 = "layernorm_before",
                .q = "attention.attention.query",
                .k = "attention.attention.key",
                .v = "attention.attention.value",
                .out = "attention.output.dense",
                .norm2 = "layernorm_after",
                .fc1 = "intermediate.dense",
                .fc2 = "output.dense"},
     .norm = "layernorm",
     .pooler = "pooler.dense",
     .classifier = "classifier"},
    {.tokens = HUGGING_FACE_TOKENS,
     .blocks = {.layer = "layers",
                .norm1 = "layernorm_before",
                .q = "attention.q_proj",
                .k = "attention.k_proj",
                .v = "attention.v_proj",
                .out = "attention.o_proj",
                .norm2 = "layernorm_after",
                .fc1 = "mlp.fc1",
                .fc2 = "mlp.fc2"},
     .norm = "layernorm",
     .pooler = "pooler.dense",
     .classifier = "classifier"},
    {.tokens = {.patches = "conv_proj", .cls = "class_token", .positions = "encoder.pos_embedding", .bias = true},
     .blocks = {.layer = "encoder.layers",
                .between = ".encoder_layer_",
                .norm1 = "ln_1",
                .qkv_weight = "self_attention.in_proj_weight",
                .qkv_bias = "self_attention.in_proj_bias",
                .out = "self_attention.out_proj",
                .norm2 = "ln_2",
                .fc1 = "mlp.0",
                .fc2 = "mlp.3"},
     .norm = "encoder.ln",
     .pooler = "heads.pre_logits",
     .classifier = "heads.head",
     .cls_names = "getitem_5",
     .last_names = "encoder.ln encoder",
     .logits_names = "heads.head heads",
     .first_names = "encoder.dropout encoder.add",
     .block_names = "add_1",
     .nodes =
         {.norm1 = "ln", .attended = "dropout self_attention getitem", .sum = "add", .norm2 = "ln_1", .mlp = "mlp"},
     .parts = (const char *const[]){"class_token", "conv_proj", "encoder", "heads", NULL},
     .block_parts = (const char *const[]){"ln_1", "self_attention", "ln_2", "mlp", NULL}},
    {.tokens = {.patches = "patch_embed.proj", .cls = "cls_token", .positions = "pos_embed", .bias = true},
     .blocks = {.layer = "blocks",
                .norm1 = "norm1",
                .qkv_weight = "attn.qkv.weight",
                .qkv_bias = "attn.qkv.bias",
                .out = "attn.proj",
                .norm2 = "norm2",
                .fc1 = "mlp.fc1",
                .fc2 = "mlp.fc2"},
     .norm = "norm",
     .pooler = "pre_logits.fc",
     .classifier = "head",
     .last_names = "norm",
     .logits_names = "head",
     .first_names = "pos_drop norm_pre",
     .block_names = "add_1",
     .nodes = {.norm1 = "norm1",
               .attended = "attn attn.proj attn.proj_drop",
               .sum = "add",
               .norm2 = "norm2",
               .fc1 = "mlp.fc1",
               .act = "mlp.act",
               .mlp = "mlp mlp.fc2 mlp.drop2"},
     .parts =
         (const char *const[]){"cls_token", "pos_embed", "patch_embed", "blocks", "norm", "head", "pre_logits", NULL},
     .block_parts = (const char *const[]){"norm1", "attn", "norm2", "mlp", NULL}},
};
/* Returns the layout of the tensors, or -1: none of these. Every layout needs its tensor in MARKS. In addition:
 *
 * - Hugging Face's layouts need the tensor PATCHES.
 * - timm's layout needs patch_embed.proj.weight.
 * - torchvision's layout needs no other tensor.
 *
 * DeiT, YOLOS, BEiT and similar models also have Hugging Face's names; config.json's model_type distinguishes them. */
static int layout_of(const ModelSource *s)
{
    bool hugging_face = model_has(s, PATCHES, NULL);
    for (int i = 0; i < LAYOUT_COUNT; i++) {
        bool has_patches = i < TORCHVISION_LAYOUT
                               ? hugging_face
                               : i == TORCHVISION_LAYOUT || model_has(s, "patch_embed.proj.weight", NULL);
        if (has_patches && model_has(s, MARKS[i], NULL))
            return i;
    }
    return -1;
}

static int matches(const ModelSource *s)
{
    return layout_of(s) >= 0;
}

/* ViTImageProcessor's defaults. */
static const Preset PRESET = {.fit = FIT_SQUASH,
                              .width = 224,
                              .height = 224,
                              .how = {.filter = FILTER_BILINEAR},
                              .mean = {0.5f, 0.5f, 0.5f},
                              .std = {0.5f, 0.5f, 0.5f}};

/* Adds torchvision's and timm's names of the hidden states: names of a block's result and of its last node, or of the
 * module before the blocks. */
static void name_blocks(Loader *l, const ViT *m, const Layout *names)
{
    const PreNormNames *n = &names->blocks;
    if (names->block_names)
        output_also(l, m->blocks.hidden, names->first_names);
    for (int64_t i = 0; names->block_names && i < m->blocks.layers; i++) {
        const char *block = load_name(l, "%s%s%lld", n->layer, n->between ? n->between : ".", (long long)i);
        bool last = i + 1 == m->blocks.layers;
        output_also(
            l, m->blocks.hidden + (int)i + 1,
            load_name(l, "%s %s.%s%s%s", block, block, names->block_names, last ? " " : "", last ? n->layer : ""));
    }
}

static bool load_outputs(Loader *l, ViT *m, const Layout *names)
{
    int64_t C = m->tokens.C, pooled = loader_rows(l, names->pooler);
    Output o = {.modality = MODALITY_IMAGE, .rows = ROWS_VECTOR, .width = C, .name = "cls", .also = names->cls_names};
    m->cls = output_add(l, o); /* the class token's row of last_hidden_state */
    o.rows = ROWS_TOKENS;
    o.name = "last_hidden_state";
    o.also = names->last_names;
    m->blocks.last = output_add(l, o);
    o.rows = ROWS_VECTOR;
    o.name = "pooler_output";
    o.also = names->pooler;
    o.width = pooled;
    m->pooled = pooled > 0 ? output_add(l, o) : -1;
    Loader head = *l;
    head.prefix = names->block_names ? l->prefix : ""; /* Hugging Face's classifier has no prefix "vit." */
    o.name = "logits";
    o.also = names->logits_names;
    o.width = loader_rows(&head, names->classifier);
    m->logits = o.width > 0 ? output_add(l, o) : -1;
    m->classifies_pooled = names->block_names && pooled > 0;
    if ((m->pooled >= 0 || (m->logits >= 0 && m->classifies_pooled)) &&
        !load_linear(l, &m->pooler, -1, C, true, names->pooler))
        return false;
    if (m->logits >= 0 &&
        !load_linear(&head, &m->classifier, -1, m->classifies_pooled ? pooled : C, true, names->classifier))
        return false;
    m->blocks.hidden = output_add_hidden(l, MODALITY_IMAGE, m->blocks.layers, C);
    name_blocks(l, m, names);
    return !names->block_names || prenorm_nodes(l, &m->blocks, MODALITY_IMAGE, &names->blocks, &names->nodes);
}

/* Sets heads, layers and the activation from config.json. The models of torchvision and timm have one head
 * per 64 numbers but at most 16 heads, unless timm's config.json has other arguments. */
static bool read_config(Loader *l, ViT *m, const Layout *names, int64_t C)
{
    if (!names->block_names) {
        m->blocks.H = config_heads(l, "num_attention_heads", 12);
        m->blocks.layers = config_i64(l, "num_hidden_layers", 12);
        return config_act(l, "hidden_act", ACT_GELU, &m->blocks.act) &&
               config_act(l, "pooler_act", ACT_TANH, &m->pooler_act);
    }
    Loader arguments = loader_part(l, "model_args", "");
    m->blocks.act = ACT_GELU;
    m->pooler_act = ACT_TANH;
    m->blocks.H = config_i64(&arguments, "num_heads", MAX(MIN(C / 64, 16), 1));
    while (loader_has(l, "%s%s%lld.%s.weight", names->blocks.layer, names->blocks.between ? names->blocks.between : ".",
                      (long long)m->blocks.layers, names->blocks.norm1))
        m->blocks.layers++;
    return l->error->code == SP_OK;
}

/* Fails if there are tensors that this encoder would not use: tokens, norms and scales of similar models. */
static bool check_parts(Loader *l, const Layout *names)
{
    const PreNormNames *n = &names->blocks;
    const char *block = load_name(l, "%s%s#.", n->layer, n->between ? n->between : ".");
    return !names->parts || (load_only(l, "", names->parts) && load_only(l, block, names->block_parts));
}

/* Sets the preset. torchvision evaluates vit_l_16 at 224 of 242, the other models at 224 of 256, and larger images
 * (SWAG) without a border. timm's models without config.json use 0.9 of the image, as most of timm's ViTs do. */
static void set_preset(Encoder *en, const PatchTokens *p, int layout)
{
    int64_t side = MIN(p->width, p->height);
    Preset usual = preset_imagenet(side, side, FILTER_BICUBIC);
    if (layout == TORCHVISION_LAYOUT && side == 224) {
        usual.resize = p->C == 1024 && p->patches.kh == 16 ? 242 : 256;
        usual.how.filter = FILTER_BILINEAR;
    } else if (layout == TIMM_LAYOUT) {
        usual.resize = side * 10 / 9;
        memcpy(usual.mean, PRESET.mean, sizeof usual.mean);
        memcpy(usual.std, PRESET.std, sizeof usual.std);
    }
    if (layout == TORCHVISION_LAYOUT || layout == TIMM_LAYOUT)
        encoder_preset(en, usual);
}

static bool load(Encoder *en, const ModelSource *s, Error *e)
{
    Loader l;
    ViT *m = NEW(en->arena, ViT, 1, e);
    int layout = MAX(layout_of(s), 0);
    Layout names = LAYOUTS[layout];
    en->model = m;
    if (!m || !loader_start(&l, en, s, layout < TORCHVISION_LAYOUT ? PATCHES : MARKS[layout], e) ||
        !patch_tokens_load(&l, &m->tokens, &names.tokens) || !read_config(&l, m, &names, m->tokens.C) ||
        !check_parts(&l, &names))
        return false;
    if (loader_has(&l, "encoder.layers.encoder_layer_0.mlp.linear_1.weight")) { /* torchvision's first names */
        names.blocks.fc1 = "mlp.linear_1";
        names.blocks.fc2 = "mlp.linear_2";
    }
    const Json *bias = config_get(&l, "qkv_bias");
    bool biased = layout == TIMM_LAYOUT ? loader_has(&l, "blocks.0.attn.qkv.bias") : !bias || json_is_true(bias);
    double eps = layout < TORCHVISION_LAYOUT ? config_f64(&l, "layer_norm_eps", 1e-12) : 1e-6;
    set_preset(en, &m->tokens, layout);
    return patch_tokens_preset(&l, &m->tokens) &&
           prenorm_load(&l, &m->blocks, &names.blocks, m->tokens.C, eps, biased) &&
           load_norm(&l, &m->blocks.norm, m->tokens.C, eps, names.norm) && load_outputs(&l, m, &names);
}

static void forward(Tape *t, const void *model, Pass *p)
{
    const ViT *m = model;
    Ragged r;
    Tensor *x = patch_tokens(t, &m->tokens, p->images, &r);
    x = prenorm_run(t, &m->blocks, p, x, &r, NULL);
    pass_put(p, m->cls, x);
    if (pass_requests(p, m->pooled) || (pass_requests(p, m->logits) && m->classifies_pooled)) {
        Tensor *pooled = linear_act(t, x, &m->pooler, m->pooler_act, 0);
        pass_put(p, m->pooled, pooled);
        x = m->classifies_pooled ? pooled : x;
    }
    if (pass_requests(p, m->logits))
        pass_put(p, m->logits, linear(t, x, &m->classifier));
}

const EncoderKind encoder_vit = {
    .name = "vit",
    .about = "ViT: google/vit-base-patch16-224, facebook/dino-vitb16 (folders), torchvision's and timm's files",
    .checked = "torchvision 0.29, timm 1.0, transformers 5.23: 2e-6",
    .model_type = "vit",
    .modalities = MODALITY_IMAGE,
    .narrow = true,
    .usual = &PRESET,
    .matches = matches,
    .load = load,
    .forward_image = forward};
