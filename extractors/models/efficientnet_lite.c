/* extractors/models/efficientnet_lite.c: EfficientNet-Lite 0 to 4 (Tan & Le 2019 without squeeze-and-excitation and
 * swish) with the tensor names of lukemelas' EfficientNet-PyTorch, as the efficientnet_lite_pytorch package has them
 * (efficientnet-lite0-57934424.pth). Convolutions pad as TensorFlow's "SAME"; widths, kernels and depth are read from
 * the tensors. */
#include "extractors/loading.h"

typedef struct Block {
    Conv2d expand, depthwise, project;
    bool has_expand, residual;
} Block;

typedef struct EffNet {
    Conv2d stem, head;
    Block *block;
    int64_t blocks;
    Linear fc;
    enum { OUT_POOL, OUT_LOGITS, OUT_MAP } output;
} EffNet;

static const double EPS = 1e-3;

static bool matches(const ModelSource *s)
{
    if (s->arch)
        return strncmp(s->arch, "efficientnet-lite", 17) == 0;
    return model_has(s, "_blocks.0._depthwise_conv.weight", NULL) && !model_has(s, "_blocks.0._se_reduce.weight", NULL);
}

/* Pads as TensorFlow's SAME does for an input of *h x *w, the odd pixel at the end; then *h, *w are the output's. */
static void pad_same(Conv2d *c, int64_t *h, int64_t *w)
{
    int64_t out_h = (*h + c->stride - 1) / c->stride, out_w = (*w + c->stride - 1) / c->stride;
    int64_t down = MAX((out_h - 1) * c->stride + c->kh - *h, 0), across = MAX((out_w - 1) * c->stride + c->kw - *w, 0);
    c->top = down / 2;
    c->bottom = down - c->top;
    c->left = across / 2;
    c->right = across - c->left;
    *h = out_h;
    *w = out_w;
}

static bool load_block(Loader *l, Block *b, int at, int64_t stride, int64_t *C, int64_t *h, int64_t *w)
{
    int64_t in = *C, wide = in;
    b->has_expand = loader_has(l, "_blocks.%d._expand_conv.weight", at);
    if (b->has_expand) {
        if (!load_conv(l, &b->expand, in, load_name(l, "_blocks.%d._expand_conv", at),
                       load_name(l, "_blocks.%d._bn0", at), EPS, 1, 0, 1))
            return false;
        wide = b->expand.O;
    }
    if (!load_conv(l, &b->depthwise, wide, load_name(l, "_blocks.%d._depthwise_conv", at),
                   load_name(l, "_blocks.%d._bn1", at), EPS, stride, 0, wide) ||
        !load_conv(l, &b->project, wide, load_name(l, "_blocks.%d._project_conv", at),
                   load_name(l, "_blocks.%d._bn2", at), EPS, 1, 0, 1))
        return false;
    pad_same(&b->depthwise, h, w);
    *C = b->project.O;
    b->residual = stride == 1 && in == *C;
    return true;
}

/* Input size by depth and width: 224, 240, 260, 280, 300 for Lite 0 to 4. */
static int64_t input_size(int64_t blocks, int64_t last_width)
{
    return blocks < 21 ? 224 : blocks < 24 ? (last_width <= 320 ? 240 : 260) : blocks < 30 ? 280 : 300;
}

static bool choose_output(Loader *l, EffNet *m, const char *layer)
{
    static const struct {
        const char *name;
        int output;
    } known[] = {{"avgpool", OUT_POOL}, {"_avg_pooling", OUT_POOL}, {"1", OUT_POOL},
                 {"fc", OUT_LOGITS},    {"_fc", OUT_LOGITS},        {"features", OUT_MAP}};
    m->output = OUT_POOL;
    for (size_t i = 0; layer && i < COUNT(known); i++)
        if (strcmp(layer, known[i].name) == 0) {
            m->output = known[i].output;
            return true;
        }
    return !layer ||
           fail(l->error, SP_USAGE, "%s: has no layer %s; it has avgpool, fc and features", l->source->path, layer);
}

static bool load(Encoder *en, const ModelSource *s, Error *e)
{
    Loader l;
    EffNet *m = NEW(en->arena, EffNet, 1, e);
    if (!m || !loader_start(&l, en, s, "_conv_stem.weight", e) || !choose_output(&l, m, en->options.layer) ||
        !load_conv(&l, &m->stem, 3, "_conv_stem", "_bn0", EPS, 2, 0, 1))
        return false;
    while (loader_has(&l, "_blocks.%d._depthwise_conv.weight", (int)m->blocks))
        m->blocks++;
    const Array *head = load_array(&l, 4, (int64_t[]){-1, -1, 1, 1}, "_conv_head.weight");
    if (!head || !(m->block = NEW(en->arena, Block, m->blocks, e)))
        return false;
    /* The geometry is torchvision's for EfficientNet-B0: the short side to size / 0.875, bicubic, then the centre. */
    int64_t size = input_size(m->blocks, head->shape[1]);
    encoder_preset(en, preset_imagenet(size * 8 / 7, size, FILTER_BICUBIC));
    static const int strides[] = {1, 2, 2, 2, 1, 2, 1};
    int64_t C = m->stem.O, h = en->preset.height, w = en->preset.width;
    size_t stage = 0;
    pad_same(&m->stem, &h, &w);
    for (int64_t i = 0; i < m->blocks; i++) { /* a stage's first block is the one that changes the width */
        const Array *p = load_array(&l, 4, (int64_t[]){-1, -1, 1, 1}, "_blocks.%d._project_conv.weight", (int)i);
        bool first = p && p->shape[0] != C;
        if (!p)
            return false;
        if (first && stage >= COUNT(strides))
            return fail(e, SP_FORMAT, "%s: has more than %zu stages: not an EfficientNet-Lite", s->path,
                        COUNT(strides));
        if (!load_block(&l, &m->block[i], (int)i, first ? strides[stage++] : 1, &C, &h, &w))
            return false;
    }
    if (!load_conv(&l, &m->head, C, "_conv_head", "_bn1", EPS, 1, 0, 1))
        return false;
    en->model = m;
    en->features = m->head.O;
    if (m->output == OUT_MAP) {
        memcpy(en->map, (int64_t[]){m->head.O, h, w}, sizeof en->map);
        en->features = m->head.O * h * w;
    } else if (m->output == OUT_LOGITS) {
        if (!load_linear(&l, &m->fc, -1, m->head.O, "_fc"))
            return false;
        en->features = m->fc.N;
    }
    return true;
}

static Tensor *forward(Tape *t, const void *model, const void *input)
{
    const EffNet *m = model;
    const ImageBatch *b = input;
    Tensor *x = input_f32(t, b->pixels, 4, (int64_t[]){b->B, b->height, b->width, 3});
    x = conv(t, x, &m->stem, NULL, ACT_RELU6);
    for (int64_t i = 0; i < m->blocks; i++) {
        const Block *k = &m->block[i];
        Tensor *h = k->has_expand ? conv(t, x, &k->expand, NULL, ACT_RELU6) : x;
        h = conv(t, h, &k->depthwise, NULL, ACT_RELU6);
        x = conv(t, h, &k->project, k->residual ? x : NULL, ACT_NONE);
    }
    x = conv(t, x, &m->head, NULL, ACT_RELU6);
    if (m->output == OUT_MAP)
        return x;
    x = mean_pool(t, x);
    return m->output == OUT_LOGITS ? linear(t, x, &m->fc) : x;
}

const EncoderKind encoder_efficientnet_lite = {
    .name = "efficientnet-lite",
    .about = "EfficientNet-Lite0 to Lite4: efficientnet-lite0-57934424.pth (lukemelas' names)",
    .modalities = MODALITY_IMAGE,
    .matches = matches,
    .load = load,
    .forward_image = forward};
