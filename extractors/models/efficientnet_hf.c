/* extractors/models/efficientnet_hf.c: EfficientNet as Hugging Face's EfficientNetModel computes it
 * (google/efficientnet-b0), and ALIGN's tower of images, which has no last convolution. Strides and padding are in
 * config.json; widths and kernels are read from the tensors. */
// flags: -Os
#include "extractors/models/convnorm.h"
#include "extractors/models/efficientnet.h"

#include <math.h>

enum { STAGES = 7, MOST_STAGES = 64 };

/* EfficientNetImageProcessor's defaults; the published preprocessor_config.json files have other values. */
const Preset efficientnet_preset = {.fit = FIT_SQUASH,
                                    .crop = CROP_FLOOR,
                                    .width = 346,
                                    .height = 346,
                                    .how = {.filter = FILTER_BICUBIC},
                                    .mean = {0.5f, 0.5f, 0.5f},
                                    .std = {0.5f, 0.5f, 0.5f},
                                    .scale = SCALE_PROCESSOR,
                                    .normalize = true,
                                    .again = true};

/* ---- config.json ----------------------------------------------------------------------------- */

/* Returns entry i of a list in config.json. If there is no list: entry i of `fallback`, which has STAGES entries. */
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

/* Returns for each of `all` blocks whether config.json lists it under depthwise_padding; NULL on failure. */
static bool *pads_evenly(Loader *l, int64_t all)
{
    const Json *list = config_get(l, "depthwise_padding");
    bool *even = NEW(l->encoder->arena, bool, all, l->error);
    int64_t n;
    if (list && list->type != JSON_ARRAY)
        config_bad(l, list, "depthwise_padding", "a list of blocks");
    for (const Json *j = list ? list->first : NULL; even && j; j = j->next)
        if (json_i64(j, &n) && n >= 0 && n < all)
            even[n] = true;
    return l->error->code == SP_OK ? even : NULL;
}

/* Sets TensorFlow's padding for inputs of even size: one less above and on the left. A 1 x 1 kernel has no padding to
 * reduce and fails. */
static bool pad_below(Loader *l, Conv2d *c, const char *name)
{
    if (c->kh < 3 || c->kw < 3)
        return fail(l->error, SP_UNSUPPORTED,
                    "%s: tensor %s%s.weight: a kernel of %lld x %lld with stride 2 is not "
                    "supported",
                    l->source->path, l->prefix, name, (long long)c->kh, (long long)c->kw);
    c->top = c->kh / 2 - 1;
    c->left = c->kw / 2 - 1;
    return true;
}

/* Returns the number of blocks in stage i: its number in config.json times the depth coefficient, rounded up; 0 on
 * failure. */
static int64_t stage_blocks(Loader *l, int64_t i)
{
    static const int64_t USUAL[STAGES] = {1, 2, 2, 3, 3, 4, 1};
    double n = ceil(config_f64(l, "depth_coefficient", 3.1) * (double)list_at(l, "num_block_repeats", USUAL, i));
    return n >= 1 && n <= 1 << 20 ? (int64_t)n : 0;
}

/* Sets stride[i] of each of `all` blocks: the stage's stride for its first block; 0 for the others, which have stride 1
 * and a residual. */
static bool plan_stages(Loader *l, int64_t *stride, int64_t all)
{
    static const int64_t STRIDES[STAGES] = {1, 2, 2, 2, 1, 2, 1};
    const Json *list = config_get(l, "num_block_repeats"), *strides = config_get(l, "strides");
    int64_t stages = list && list->type == JSON_ARRAY ? (int64_t)list->count : STAGES, at = 0, blocks = 1;
    if (stages > MOST_STAGES)
        return config_bad(l, list, "num_block_repeats", "a list of at most 64 stages");
    for (int64_t i = 0; i < stages && blocks > 0; i++, at += blocks) {
        int64_t first = list_at(l, "strides", STRIDES, i);
        blocks = stage_blocks(l, i);
        if (l->error->code != SP_OK)
            return false;
        if (first != 1 && first != 2) /* without `strides`, the default list may have fewer stages than `list` */
            return config_bad(l, strides ? strides : list, "strides", "a list of 1 and 2 for each stage");
        if (blocks > all - at)
            blocks = 0;
        if (blocks > 0)
            stride[at] = first;
    }
    return (at == all && blocks > 0) ||
           fail(l->error, SP_FORMAT,
                "%s: the tensors have %lld blocks of images; %sconfig.json (num_block_repeats, depth_coefficient), or "
                "its defaults, have another number",
                l->source->path, (long long)all, l->section ? "vision_config of " : "");
}

/* ---- loading --------------------------------------------------------------------------------- */

/* Loads block number `at`, whose input has C channels.
 *
 * - stride: 1 or 2 for the first block of a stage. 0 for the other blocks: stride 1 and a residual.
 * - even: config.json lists the block under depthwise_padding. The padding is then the same on all sides; otherwise a
 *   block of stride 2 has TensorFlow's padding (pad_below). */
static bool load_block(Loader *l, MbConv *b, int64_t at, int64_t C, int64_t stride, bool even, double eps)
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
    if (stride == 2 && !even && !pad_below(l, &b->depthwise, n.depthwise))
        return false;
    return !b->residual || b->project.O == C ||
           fail(l->error, SP_FORMAT, "%s: %s%s has %lld channels, the block before it %lld", l->source->path, l->prefix,
                block, (long long)b->project.O, (long long)C);
}

/* Returns the number of blocks in the file. A block counts if it has either tensor: a file without the other one then
 * fails to load, instead of losing its last blocks. */
static int64_t count_blocks(const Loader *l)
{
    int64_t all = 0;
    while (loader_has(l, "encoder.blocks.%lld.projection.project_conv.weight", (long long)all) ||
           loader_has(l, "encoder.blocks.%lld.projection.project_bn.weight", (long long)all))
        all++;
    return all;
}

/* Returns the output channels of block i. */
static int64_t block_width(Loader *l, int64_t i)
{
    return loader_rows(l, load_name(l, "encoder.blocks.%lld.projection.project_conv", (long long)i));
}

int64_t efficientnet_hf_width(Loader *l, bool top)
{
    return top ? loader_rows(l, "encoder.top_conv") : block_width(l, count_blocks(l) - 1);
}

/* Adds pooler_output, logits (if the file has a classifier), last_hidden_state, and the maps before each block and
 * after the last. */
static bool add_outputs(Loader *l, HfEfficientNet *m, int64_t all, int64_t width, int64_t classes)
{
    Arena *a = l->encoder->arena;
    Output o = {.name = "last_hidden_state", .modality = MODALITY_IMAGE, .rows = ROWS_MAP, .width = width};
    m->pooled = output_vector(l, MODALITY_IMAGE, "pooler_output", width);
    m->logits = classes > 0 ? output_vector(l, MODALITY_IMAGE, "logits", classes) : -1;
    m->last = output_add(l, o);
    m->hidden = (int)l->encoder->output_count;
    for (int64_t i = 0; i <= all; i++) {
        o.width = i == 0 ? m->stem.O : block_width(l, i - 1);
        o.name = arena_printf(a, l->error, "hidden_states.%lld", (long long)i);
        o.also = load_name(l, "hidden_states.-%lld", (long long)(all + 1 - i));
        if (o.name)
            output_add(l, o);
    }
    return l->error->code == SP_OK;
}

bool efficientnet_hf_load(Loader *l, HfEfficientNet *m, bool top)
{
    Arena *a = l->encoder->arena;
    Loader head = *l;
    double eps = config_f64(l, "batch_norm_eps", 1e-3);
    int64_t all = m->all = count_blocks(l);
    head.prefix = ""; /* the classifier has no prefix "efficientnet." */
    if (config_get(l, "pooling_type") && !config_is(l, "pooling_type", "mean"))
        return config_bad(l, config_get(l, "pooling_type"), "pooling_type", "mean");
    const bool *even = pads_evenly(l, all);
    int64_t *stride = NEW(a, int64_t, all, l->error);
    if (!even || !stride || !config_act(l, "hidden_act", ACT_SWISH, &m->act) || !plan_stages(l, stride, all) ||
        !efficientnet_layer(l, &m->stem, -1, 3, "embeddings.convolution", "embeddings.batchnorm", eps, 2, 1) ||
        !add_outputs(l, m, all, efficientnet_hf_width(l, top), top ? loader_rows(&head, "classifier") : 0) ||
        !(m->block = NEW(a, MbConv, all, l->error)) || !pad_below(l, &m->stem, "embeddings.convolution"))
        return false;
    encoder_preset(l->encoder, efficientnet_preset);
    m->blocks = load_blocks(l, m->hidden, all);
    m->has_top = top && (m->pooled >= 0 || m->logits >= 0 || m->last >= 0);
    int64_t C = m->stem.O;
    for (int64_t i = 0; i < m->blocks; C = m->block[i++].project.O)
        if (!load_block(l, &m->block[i], i, C, stride[i], even[i], eps))
            return false;
    return (!m->has_top || efficientnet_layer(l, &m->top, -1, C, "encoder.top_conv", "encoder.top_bn", eps, 1, 1)) &&
           (m->logits < 0 || load_linear(&head, &m->classifier, -1, m->top.O, true, "classifier"));
}

/* ---- the forward pass ------------------------------------------------------------------------ */

Tensor *efficientnet_hf_forward(Tape *t, const HfEfficientNet *m, Pass *p, bool pool)
{
    const ImageBatch *b = p->images;
    int64_t blocks = pass_blocks(p, m->hidden, m->blocks);
    Tensor *x = input_f32(t, b->pixels, 4, (int64_t[]){b->B, b->height, b->width, 3});
    x = conv(t, x, &m->stem, NULL, m->act);
    pass_put(p, m->hidden, x);
    for (int64_t i = 0; i < blocks; i++) {
        x = mbconv(t, &m->block[i], x, p, m->act);
        pass_put(p, m->hidden + (int)i + 1, x);
    }
    if (!pool && !pass_requests(p, m->pooled) && !pass_requests(p, m->logits) && !pass_requests(p, m->last))
        return NULL;
    if (m->has_top)
        x = conv(t, x, &m->top, NULL, m->act);
    pass_put(p, m->last, x);
    return convnorm_head(t, p, x, pool, m->pooled, m->logits, &m->classifier);
}
