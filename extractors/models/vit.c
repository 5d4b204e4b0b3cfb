/* extractors/models/vit.c: ViT (Dosovitskiy et al. 2021) as Hugging Face's ViTModel and ViTForImageClassification
 * compute it: google/vit-base-patch16-224, facebook/dino-vitb16. Pre-norm blocks over a class token and one token a
 * patch; the feature is the class token after the last norm. Tensors have the names of published checkpoints, or those
 * that transformers 5 gives its modules. */
#include "extractors/loading.h"

enum { MAX_TOKENS = 1 << 20 };

typedef struct Block { /* x += out(attention(qkv(norm1(x)))), x += fc2(act(fc1(norm2(x)))) */
    Norm norm1, norm2;
    Linear qkv, out, fc1, fc2;
} Block;

typedef struct ViT {
    Conv2d patches;
    Tensor *first, *positions; /* [1, C] class token and its position, [1, N C] of the patches */
    Block *block;
    int64_t blocks, H, C, T; /* T: tokens per image, N + 1 */
    Act act, pooler_act;
    Norm norm;
    Linear pooler, classifier;
    int64_t height, width;                 /* of its images */
    int cls, last, pooled, logits, hidden; /* numbers of outputs; `hidden`: of hidden_states.0 */
} ViT;

typedef struct Names { /* of a block's parts; they follow LAYER.i. */
    const char *layer, *q, *k, *v, *out, *fc1, *fc2;
} Names;
static const Names PUBLISHED = {.layer = "encoder.layer",
                                .q = "attention.attention.query",
                                .k = "attention.attention.key",
                                .v = "attention.attention.value",
                                .out = "attention.output.dense",
                                .fc1 = "intermediate.dense",
                                .fc2 = "output.dense"},
                   MODULES = {.layer = "layers",
                              .q = "attention.q_proj",
                              .k = "attention.k_proj",
                              .v = "attention.v_proj",
                              .out = "attention.o_proj",
                              .fc1 = "mlp.fc1",
                              .fc2 = "mlp.fc2"};

/* DeiT, YOLOS, BEiT and similar models have these names too; config.json's model_type distinguishes them. */
static bool matches(const ModelSource *s)
{
    return model_has(s, "embeddings.patch_embeddings.projection.weight", NULL) &&
           (model_has(s, "encoder.layer.0.layernorm_before.weight", NULL) ||
            model_has(s, "layers.0.layernorm_before.weight", NULL));
}

/* image_size: a number or [height, width]; where absent, the square that the positions make. */
static bool image_size(Loader *l, int64_t patch, int64_t N, int64_t *height, int64_t *width)
{
    const Json *j = config_has(l->source, "image_size") ? json_get(l->source->config, "image_size") : NULL, *w = j;
    if (j && j->type == JSON_ARRAY) {
        w = json_at(j, 1);
        j = json_at(j, 0);
    }
    int64_t side = 1;
    while (side * side < N)
        side++;
    *height = *width = side * patch;
    if (j && (!w || !json_i64(j, height) || !json_i64(w, width)))
        return fail(l->error, SP_FORMAT,
                    "%s/config.json:%u:%u: image_size: expected a whole number, or height and width", l->source->folder,
                    j->line, j->column);
    int64_t down = *height / patch, across = *width / patch;
    return (down > 0 && across > 0 && N % down == 0 && N / down == across) ||
           fail(l->error, SP_FORMAT,
                "%s: images of %lld x %lld in patches of %lld x %lld do not fit its %lld positions", l->source->path,
                (long long)*width, (long long)*height, (long long)patch, (long long)patch, (long long)N);
}

/* Patches, class token and positions; the preset is set or, if it is set already, checked. */
static bool load_embeddings(Loader *l, ViT *m)
{
    Encoder *en = l->encoder;
    Store *s = en->store;
    const Array *w = load_array(l, 4, (int64_t[]){-1, 3, -1, -1}, "embeddings.patch_embeddings.projection.weight");
    const Array *bias = load_array(l, 1, w ? w->shape : NULL, "embeddings.patch_embeddings.projection.bias");
    const Array *cls = load_array(l, 3, (int64_t[]){1, 1, w ? w->shape[0] : 0}, "embeddings.cls_token");
    const Array *p = load_array(l, 3, (int64_t[]){1, -1, w ? w->shape[0] : 0}, "embeddings.position_embeddings");
    if (!w || !bias || !cls || !p)
        return false;
    int64_t C = m->C = w->shape[0], patch = w->shape[2], height, width, N = p->shape[1] - 1;
    m->T = N + 1;
    if (C < 1 || patch < 1 || patch != w->shape[3] || N < 1 || m->T > MAX_TOKENS)
        return fail(l->error, SP_UNSUPPORTED, "%s: %lld positions of width %lld, patches of %lld x %lld: not supported",
                    l->source->path, (long long)m->T, (long long)C, (long long)w->shape[3], (long long)patch);
    if (!image_size(l, patch, N, &height, &width))
        return false;
    m->height = height;
    m->width = width;
    encoder_preset(en, (Preset){.fit = FIT_SQUASH, /* ViTImageProcessor's defaults, at the model's size */
                                .width = width,
                                .height = height,
                                .mean = {0.5f, 0.5f, 0.5f},
                                .std = {0.5f, 0.5f, 0.5f}});
    const Preset *preset = &en->image.preset;
    if (preset->width != width || preset->height != height)
        return fail(l->error, SP_USAGE, "%s: expected images of %lld x %lld, not %lld x %lld", l->source->path,
                    (long long)width, (long long)height, (long long)preset->width, (long long)preset->height);
    ArenaMark mark = arena_mark(en->arena);
    float *table = NEW(en->arena, float, m->T *C, l->error), *first = NEW(en->arena, float, C, l->error);
    if (table && first) {
        array_f32(p, 0, m->T * C, table);
        array_f32(cls, 0, C, first);
        for (int64_t c = 0; c < C; c++)
            first[c] += table[c];
        m->first = store_f32(s, "", 2, (int64_t[]){1, C}, first, l->error);
        m->positions = store_f32(s, "", 2, (int64_t[]){1, N * C}, table + C, l->error);
    }
    arena_rewind(en->arena, mark);
    return m->first && m->positions &&
           conv_load(&m->patches, s, w, bias, NULL, NULL, NULL, NULL, 0, patch, 0, 1, l->error);
}

static bool load_block(Loader *l, Block *b, const Names *n, int64_t C, double eps, bool qkv_bias, int64_t at)
{
    const char *block = load_name(l, "%s.%lld", n->layer, (long long)at);
    const char *qkv[3] = {load_name(l, "%s.%s", block, n->q), load_name(l, "%s.%s", block, n->k),
                          load_name(l, "%s.%s", block, n->v)};
    return load_norm(l, &b->norm1, C, eps, load_name(l, "%s.layernorm_before", block)) &&
           load_stacked(l, &b->qkv, 3, C, C, qkv_bias, qkv) &&
           load_linear(l, &b->out, C, C, load_name(l, "%s.%s", block, n->out)) &&
           load_norm(l, &b->norm2, C, eps, load_name(l, "%s.layernorm_after", block)) &&
           load_linear(l, &b->fc1, -1, C, load_name(l, "%s.%s", block, n->fc1)) &&
           load_linear(l, &b->fc2, C, b->fc1.N, load_name(l, "%s.%s", block, n->fc2));
}

static bool load_outputs(Loader *l, ViT *m)
{
    const char *inner = l->prefix;
    Output o = {.modality = MODALITY_IMAGE, .rows = ROWS_VECTOR, .width = m->C, .name = "cls"};
    m->cls = output_add(l, o); /* the class token's row of last_hidden_state */
    o.name = "last_hidden_state";
    o.rows = ROWS_TOKENS;
    m->last = output_add(l, o);
    m->pooled = m->logits = -1;
    o.rows = ROWS_VECTOR;
    o.name = "pooler_output";
    if ((o.width = loader_rows(l, "pooler.dense")) > 0)
        m->pooled = output_add(l, o);
    if (m->pooled >= 0 && !load_linear(l, &m->pooler, -1, m->C, "pooler.dense"))
        return false;
    l->prefix = ""; /* the classifier has no prefix "vit." */
    o.name = "logits";
    if ((o.width = loader_rows(l, "classifier")) > 0)
        m->logits = output_add(l, o);
    if (m->logits >= 0 && !load_linear(l, &m->classifier, -1, m->C, "classifier"))
        return false;
    l->prefix = inner;
    m->hidden = output_add_hidden(l, MODALITY_IMAGE, m->blocks, m->C);
    return l->error->code == SP_OK;
}

static bool load(Encoder *en, const ModelSource *s, Error *e)
{
    Loader l;
    ViT *m = NEW(en->arena, ViT, 1, e);
    if (!m || !loader_start(&l, en, s, "embeddings.patch_embeddings.projection.weight", e))
        return false;
    const Names *names = loader_has(&l, "layers.0.layernorm_before.weight") ? &MODULES : &PUBLISHED;
    bool qkv_bias = !config_has(s, "qkv_bias") || json_is_true(json_get(s->config, "qkv_bias"));
    double eps = config_f64(&l, "layer_norm_eps", 1e-12);
    int64_t found = 0;
    m->H = config_heads(&l, "num_attention_heads", 12);
    m->blocks = config_i64(&l, "num_hidden_layers", 12);
    if (!config_act(&l, "hidden_act", ACT_GELU, &m->act) || !config_act(&l, "pooler_act", ACT_TANH, &m->pooler_act) ||
        !load_embeddings(&l, m))
        return false;
    while (loader_has(&l, "%s.%lld.layernorm_before.weight", names->layer, (long long)found))
        found++;
    if (!config_fits(&l, m->blocks, found, m->H, m->C))
        return false;
    if (!(m->block = NEW(en->arena, Block, m->blocks, e)) || !load_norm(&l, &m->norm, m->C, eps, "layernorm"))
        return false;
    for (int64_t i = 0; i < m->blocks; i++)
        if (!load_block(&l, &m->block[i], names, m->C, eps, qkv_bias, i))
            return false;
    en->model = m;
    return load_outputs(&l, m);
}

/* [B, T C] of pixels: patches and their positions by one convolution, the class token's row before them */
static Tensor *embed(Tape *t, const ViT *m, const ImageBatch *b)
{
    const int32_t *zeros = tape_scratch(t, b->B, sizeof *zeros); /* the same row for every image */
    Tensor *each = input_i32(t, zeros, b->B);
    Tensor *x = input_f32(t, b->pixels, 4, (int64_t[]){b->B, b->height, b->width, 3});
    x = conv(t, x, &m->patches, gather(t, m->positions, each), ACT_NONE);
    return concat(t, gather(t, m->first, each), reshape(t, x, 2, (int64_t[]){b->B, (m->T - 1) * m->C}));
}

static void forward(Tape *t, const void *model, Pass *p)
{
    const ViT *m = model;
    const ImageBatch *b = p->images;
    int32_t *offsets = tape_scratch(t, b->B + 1, sizeof *offsets);
    Ragged r = {.B = b->B, .total = b->B * m->T, .longest = m->T, .offsets = offsets};
    if (b->height != m->height || b->width != m->width)
        tape_fail(t, SP_USAGE, "expected images of %lld x %lld, not %lld x %lld", (long long)m->width,
                  (long long)m->height, (long long)b->width, (long long)b->height);
    if (r.total > INT32_MAX)
        tape_fail(t, SP_UNSUPPORTED, "%lld images of %lld patches are too many for one batch", (long long)b->B,
                  (long long)m->T - 1);
    for (int64_t i = 0; offsets && i <= b->B; i++)
        offsets[i] = (int32_t)(i * m->T);
    int64_t blocks = pass_blocks(p, m->hidden, m->blocks);
    bool rows = pass_asks(p, m->last) || pass_asks(p, m->hidden + (int)m->blocks); /* of all tokens, to the end */
    Tensor *x = reshape(t, embed(t, m, b), 2, (int64_t[]){r.total, m->C});
    pass_put(p, m->hidden, x);
    for (int64_t i = 0; i < blocks; i++) {
        const Block *k = &m->block[i];
        Tensor *h = attention(t, linear(t, layer_norm(t, x, &k->norm1), &k->qkv), &r, m->H, (Relative){0}, false);
        if (i == m->blocks - 1 && !rows) { /* from here on only the class token is asked for */
            x = pool_ragged(t, x, &r, REDUCE_FIRST);
            h = pool_ragged(t, h, &r, REDUCE_FIRST);
        }
        x = linear_add(t, h, &k->out, x);
        h = linear_act(t, layer_norm(t, x, &k->norm2), &k->fc1, m->act, 0);
        x = linear_add(t, h, &k->fc2, x);
        pass_put(p, m->hidden + (int)i + 1, x);
    }
    if (blocks < m->blocks)
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
