/* extractors/models/align.c: ALIGN (Jia et al. 2021) as Hugging Face's AlignModel computes it: kakaobrain/align-base.
 * An EfficientNet-B7 whose pooled map is the image's feature, and a BERT whose first token has a projection. */
// flags: -Os
#include "extractors/models/efficientnet.h"
#include "extractors/models/postnorm.h"

#include <math.h>

enum { STAGES = 7 };

typedef struct AlignImages {
    Conv2d stem;
    MbConv *block;
    int64_t blocks; /* that are loaded: all, or up to the last one that calls may ask for */
    Act act;
    int embeds, pooled, last, hidden; /* numbers of outputs; `hidden` + i: the map of the first i blocks */
} AlignImages;
typedef struct AlignTexts {
    PostNormModel blocks;
    Linear projection;
    int embeds;
} AlignTexts;
typedef struct Align {
    AlignImages image;
    AlignTexts text;
} Align;

static bool matches(const ModelSource *s)
{
    return model_has(s, "vision_model.embeddings.convolution.weight", NULL) &&
           model_has(s, "text_model.embeddings.word_embeddings.weight", NULL) && model_has(s, "temperature", NULL);
}

/* EfficientNetImageProcessor's defaults; the published preprocessor_config.json has other values. */
static const Preset PROCESSOR = {.fit = FIT_SQUASH,
                                 .crop = CROP_FLOOR,
                                 .width = 346,
                                 .height = 346,
                                 .how = {.filter = FILTER_BICUBIC},
                                 .mean = {0.5f, 0.5f, 0.5f},
                                 .std = {0.5f, 0.5f, 0.5f},
                                 .scale = SCALE_PROCESSOR,
                                 .normalize = true,
                                 .again = true};

/* ---- images ---------------------------------------------------------------------------------- */

/* Entry i of a list of config.json; `fallback`, which has STAGES entries, where there is no list. */
static int64_t list_at(Loader *l, const char *key, const int64_t *fallback, int64_t i)
{
    const Json *list = config_get(l, key), *j = list && list->type == JSON_ARRAY ? json_at(list, (size_t)i) : NULL;
    int64_t n = 0;
    if (!list)
        return i < STAGES ? fallback[i] : 0;
    if (!j || !json_i64(j, &n))
        config_bad(l, j ? j : list, key, "a list with a whole number for each stage");
    return n;
}

/* Whether config.json lists this block under depthwise_padding. */
static bool pads_evenly(Loader *l, int64_t block)
{
    const Json *list = config_get(l, "depthwise_padding");
    int64_t n;
    for (const Json *j = list ? list->first : NULL; j; j = j->next)
        if (json_i64(j, &n) && n == block)
            return true;
    return false;
}

/* TensorFlow's padding for inputs of even size: one less above and on the left. */
static void pad_below(Conv2d *c)
{
    c->top = c->kh / 2 - 1;
    c->left = c->kw / 2 - 1;
}

/* How many blocks stage i has: its number in config.json times the depth coefficient, rounded up; 0 on failure. */
static int64_t stage_blocks(Loader *l, int64_t i)
{
    static const int64_t USUAL[STAGES] = {1, 2, 2, 3, 3, 4, 1};
    double n = ceil(config_f64(l, "depth_coefficient", 3.1) * (double)list_at(l, "num_block_repeats", USUAL, i));
    return n >= 1 && n <= 1 << 20 ? (int64_t)n : 0;
}

/* stride[i] of each of `all` blocks: the stage's for its first block; 0 for the others, which have stride 1 and give
 * the sum with their input. */
static bool plan_stages(Loader *l, int64_t *stride, int64_t all)
{
    static const int64_t STRIDES[STAGES] = {1, 2, 2, 2, 1, 2, 1};
    const Json *list = config_get(l, "num_block_repeats");
    int64_t stages = list && list->type == JSON_ARRAY ? (int64_t)list->count : STAGES, at = 0, blocks = 1;
    for (int64_t i = 0; i < stages && blocks > 0; i++, at += blocks) {
        int64_t first = list_at(l, "strides", STRIDES, i);
        blocks = stage_blocks(l, i);
        if (l->error->code != SP_OK)
            return false;
        if (first != 1 && first != 2)
            return config_bad(l, config_get(l, "strides"), "strides", "a list of 1 and 2");
        if (blocks > all - at)
            blocks = 0;
        if (blocks > 0)
            stride[at] = first;
    }
    return (at == all && blocks > 0) ||
           fail(l->error, SP_FORMAT,
                "%s: the tensors have %lld blocks of images; vision_config of config.json (num_block_repeats, "
                "depth_coefficient), or its defaults, have another number",
                l->source->path, (long long)all);
}

static bool load_block(Loader *l, MbConv *b, int64_t at, int64_t C, int64_t stride, double eps)
{
    const char *block = load_name(l, "encoder.blocks.%lld", (long long)at);
    bool expands = loader_has(l, "%s.expansion.expand_conv.weight", block) ||
                   loader_has(l, "%s.expansion.expand_bn.weight", block);
    MbConvNames n = {.expand = expands ? load_name(l, "%s.expansion.expand_conv", block) : NULL,
                     .expand_norm = load_name(l, "%s.expansion.expand_bn", block),
                     .depthwise = load_name(l, "%s.depthwise_conv.depthwise_conv", block),
                     .depthwise_norm = load_name(l, "%s.depthwise_conv.depthwise_norm", block),
                     .squeeze = load_name(l, "%s.squeeze_excite.reduce", block),
                     .excite = load_name(l, "%s.squeeze_excite.expand", block),
                     .project = load_name(l, "%s.projection.project_conv", block),
                     .project_norm = load_name(l, "%s.projection.project_bn", block)};
    b->residual = stride == 0;
    if (!mbconv_load(l, b, &n, C, eps, MAX(stride, 1)))
        return false;
    if (stride == 2 && !pads_evenly(l, at))
        pad_below(&b->depthwise);
    return !b->residual || b->project.O == C ||
           fail(l->error, SP_FORMAT, "%s: %s%s has %lld channels, the block before it %lld", l->source->path, l->prefix,
                block, (long long)b->project.O, (long long)C);
}

/* image_embeds, pooler_output, last_hidden_state, and the map before each block and behind the last. */
static bool add_outputs(Loader *l, AlignImages *m, int64_t all)
{
    Arena *a = l->encoder->arena;
    int64_t C = loader_rows(l, load_name(l, "encoder.blocks.%lld.projection.project_conv", (long long)all - 1));
    Output o = {.name = "last_hidden_state", .modality = MODALITY_IMAGE, .rows = ROWS_MAP, .width = C};
    m->embeds = output_unit(l, MODALITY_IMAGE, "image_embeds", C);
    m->pooled = output_vector(l, MODALITY_IMAGE, "pooler_output", C);
    m->last = output_add(l, o);
    m->hidden = (int)l->encoder->output_count;
    for (int64_t i = 0; i <= all; i++) {
        const char *block = load_name(l, "encoder.blocks.%lld.projection.project_conv", (long long)i - 1);
        o.width = i == 0 ? m->stem.O : loader_rows(l, block);
        o.name = arena_printf(a, l->error, "hidden_states.%lld", (long long)i);
        o.also = load_name(l, "hidden_states.-%lld", (long long)(all + 1 - i));
        if (o.name)
            output_add(l, o);
    }
    return l->error->code == SP_OK;
}

static bool load_image(Loader *whole, AlignImages *m)
{
    Loader l = loader_part(whole, "vision_config", "vision_model.");
    Arena *a = l.encoder->arena;
    double eps = config_f64(&l, "batch_norm_eps", 1e-3);
    int64_t all = 0;
    while (loader_has(&l, "encoder.blocks.%lld.projection.project_conv.weight", (long long)all) ||
           loader_has(&l, "encoder.blocks.%lld.projection.project_bn.weight", (long long)all))
        all++;
    if (config_get(&l, "pooling_type") && !config_is(&l, "pooling_type", "mean"))
        return config_bad(&l, config_get(&l, "pooling_type"), "pooling_type", "mean");
    const Json *even = config_get(&l, "depthwise_padding");
    if (even && (even->type != JSON_ARRAY || even->count > (size_t)all))
        return config_bad(&l, even, "depthwise_padding", "a list of blocks");
    int64_t *stride = NEW(a, int64_t, all, l.error);
    if (!stride || !config_act(&l, "hidden_act", ACT_SWISH, &m->act) || !plan_stages(&l, stride, all) ||
        !efficientnet_layer(&l, &m->stem, -1, 3, "embeddings.convolution", "embeddings.batchnorm", eps, 2, 1) ||
        !add_outputs(&l, m, all) || !(m->block = NEW(a, MbConv, all, l.error)))
        return false;
    pad_below(&m->stem);
    encoder_preset(l.encoder, PROCESSOR);
    m->blocks = load_blocks(&l, m->hidden, all);
    int64_t C = m->stem.O;
    for (int64_t i = 0; i < m->blocks; C = m->block[i++].project.O)
        if (!load_block(&l, &m->block[i], i, C, stride[i], eps))
            return false;
    return true;
}

static void forward_image(Tape *t, const void *model, Pass *p)
{
    const AlignImages *m = &((const Align *)model)->image;
    const ImageBatch *b = p->images;
    int64_t blocks = pass_blocks(p, m->hidden, m->blocks);
    Tensor *x = input_f32(t, b->pixels, 4, (int64_t[]){b->B, b->height, b->width, 3});
    x = conv(t, x, &m->stem, NULL, m->act);
    pass_put(p, m->hidden, x);
    for (int64_t i = 0; i < blocks; i++) {
        x = mbconv(t, &m->block[i], x, p, m->act);
        pass_put(p, m->hidden + (int)i + 1, x);
    }
    pass_put(p, m->last, x);
    if (!pass_asks(p, m->pooled) && !pass_asks(p, m->embeds))
        return;
    x = mean_pool(t, x);
    pass_put(p, m->pooled, x);
    pass_put(p, m->embeds, x);
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
    bool pooled = pass_asks(p, m->blocks.pooled), embeds = pass_asks(p, m->embeds);
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
    return e->code == SP_OK && (!(en->towers & MODALITY_IMAGE) || load_image(&l, &m->image)) &&
           (!(en->towers & MODALITY_TEXT) || load_text(&l, &m->text));
}

const EncoderKind encoder_align = {.name = "align",
                                   .about = "ALIGN: kakaobrain/align-base (folder)",
                                   .checked = "transformers 5.23: 4e-6",
                                   .model_type = "align",
                                   .modalities = MODALITY_IMAGE | MODALITY_TEXT,
                                   .usual = &PROCESSOR,
                                   .matches = matches,
                                   .load = load,
                                   .forward_text = forward_text,
                                   .forward_image = forward_image};
