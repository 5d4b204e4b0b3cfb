/* extractors/models/efficientnet_lite.c: EfficientNet-Lite 0 to 4 (Tan & Le 2019 without squeeze-and-excitation and
 * swish) with the tensor names of lukemelas' EfficientNet-PyTorch, which the package efficientnet_lite_pytorch uses
 * (efficientnet-lite0-57934424.pth). Convolutions pad like TensorFlow's "SAME". Widths, kernels and depth are read from
 * the tensors. */
// flags: -Os
#include "extractors/models/convnorm.h"

typedef struct Block {
    Conv2d expand, depthwise, project;
    bool has_expand, residual;
} Block;

typedef struct EffNet {
    Conv2d stem, head;
    Block *block;
    int64_t blocks;
    Linear fc;
    int pool, logits, map; /* numbers of outputs */
} EffNet;

static const double EPS = 1e-3;

static int matches(const ModelSource *s)
{
    return model_has(s, "_blocks.0._depthwise_conv.weight", NULL) && !model_has(s, "_blocks.0._se_reduce.weight", NULL);
}

static bool load_block(Loader *l, Block *b, int at, int64_t stride, int64_t *C)
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
    *C = b->project.O;
    b->residual = stride == 1 && in == *C;
    return true;
}

/* Returns the input size for a depth and a width: 224, 240, 260, 280, 300 for Lite 0 to 4. */
static int64_t input_size(int64_t blocks, int64_t last_width)
{
    return blocks < 21 ? 224 : blocks < 24 ? (last_width <= 320 ? 240 : 260) : blocks < 30 ? 280 : 300;
}

static bool load(Encoder *en, const ModelSource *s, Error *e)
{
    Loader l;
    EffNet *m = NEW(en->arena, EffNet, 1, e);
    if (!m || !loader_start(&l, en, s, "_conv_stem.weight", e) ||
        !load_conv(&l, &m->stem, 3, "_conv_stem", "_bn0", EPS, 2, 0, 1))
        return false;
    while (loader_has(&l, "_blocks.%d._depthwise_conv.weight", (int)m->blocks))
        m->blocks++;
    const Array *head = load_array(&l, 4, (int64_t[]){-1, -1, 1, 1}, "_conv_head.weight");
    if (!head || !(m->block = NEW(en->arena, Block, m->blocks, e)))
        return false;
    /* The geometry is that of torchvision's EfficientNet-B0: the short side is resized to size / 0.875, bicubic, and
     * the centre is cropped. */
    int64_t size = input_size(m->blocks, head->shape[1]);
    encoder_preset(en, preset_imagenet(size * 8 / 7, size, FILTER_BICUBIC));
    static const int strides[] = {1, 2, 2, 2, 1, 2, 1};
    int64_t C = m->stem.O;
    size_t stage = 0;
    for (int64_t i = 0; i < m->blocks; i++) { /* the first block of a stage is the one that changes the width */
        const Array *p = load_array(&l, 4, (int64_t[]){-1, -1, 1, 1}, "_blocks.%d._project_conv.weight", (int)i);
        bool first = p && p->shape[0] != C;
        if (!p)
            return false;
        if (first && stage >= COUNT(strides))
            return fail(e, SP_FORMAT, "%s: has more than %zu stages: not an EfficientNet-Lite", s->path,
                        COUNT(strides));
        if (!load_block(&l, &m->block[i], (int)i, first ? strides[stage++] : 1, &C))
            return false;
    }
    if (!load_conv(&l, &m->head, C, "_conv_head", "_bn1", EPS, 1, 0, 1))
        return false;
    en->model = m;
    Output o = {.name = "avgpool",
                .also = "_avg_pooling 1",
                .modality = MODALITY_IMAGE,
                .rows = ROWS_VECTOR,
                .width = m->head.O};
    m->pool = output_add(&l, o);
    m->logits = -1;
    o.name = "fc";
    o.also = "_fc";
    if ((o.width = loader_rows(&l, "_fc")) > 0)
        m->logits = output_add(&l, o);
    o.name = "features";
    o.also = NULL;
    o.rows = ROWS_MAP;
    o.width = m->head.O;
    m->map = output_add(&l, o);
    return e->code == SP_OK && (m->logits < 0 || load_linear(&l, &m->fc, -1, m->head.O, true, "_fc"));
}

static void forward(Tape *t, const void *model, Pass *p)
{
    const EffNet *m = model;
    const ImageBatch *b = p->images;
    Tensor *x = input_f32(t, b->pixels, 4, (int64_t[]){b->B, b->height, b->width, 3});
    x = conv(t, x, conv_same(t, x, &m->stem), NULL, ACT_RELU6);
    for (int64_t i = 0; i < m->blocks; i++) {
        const Block *k = &m->block[i];
        Tensor *y = k->has_expand ? conv(t, x, &k->expand, NULL, ACT_RELU6) : x;
        y = conv(t, y, conv_same(t, y, &k->depthwise), NULL, ACT_RELU6);
        x = conv(t, y, &k->project, k->residual ? x : NULL, ACT_NONE);
    }
    x = conv(t, x, &m->head, NULL, ACT_RELU6);
    pass_put(p, m->map, x);
    convnorm_head(t, p, x, false, m->pool, m->logits, &m->fc);
}

const EncoderKind encoder_efficientnet_lite = {
    .name = "efficientnet-lite",
    .about = "EfficientNet-Lite0 to Lite4: efficientnet-lite0-57934424.pth (lukemelas' names)",
    .checked = "torch 2.15, tiny: below 5e-5",
    .modalities = MODALITY_IMAGE,
    .families = "efficientnet_lite",
    .usual = &preset_224,
    .matches = matches,
    .load = load,
    .forward_image = forward};
