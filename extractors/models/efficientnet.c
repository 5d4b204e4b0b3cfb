/* extractors/models/efficientnet.c: EfficientNet-B0 to B7 (Tan & Le 2019) with the tensor names of torchvision
 * (efficientnet_b0_rwightman-7f5810bc.pth). Widths, kernels and depth are read from the tensors; strides, and what
 * differs between the sizes, are torchvision's. */
// flags: -Os
#include "extractors/models/efficientnet.h"

enum { STAGES = 7 };

typedef struct EfficientNet {
    Conv2d stem, head;
    MbConv *block;
    int64_t blocks; /* that are loaded: all, or up to the last one that calls may ask for */
    Linear classifier;
    int pool, logits, last, maps; /* numbers of outputs; maps + i: the map of the first i blocks */
} EfficientNet;

/* torchvision's sizes: the number of blocks in all, and how its default weights were evaluated. B1 and B2 are equally
 * deep: B2's last convolution is wider. */
typedef struct Size {
    const char *arch;
    int64_t blocks, width; /* width: of the last convolution of B1; 0: any */
    int64_t resize, crop;
    Filter filter;
    double eps; /* of batch norms */
} Size;
static const Size SIZES[] = {{"efficientnet_b0", 16, 0, 256, 224, FILTER_BICUBIC, 1e-5},
                             {"efficientnet_b1", 23, 1280, 255, 240, FILTER_BILINEAR, 1e-5},
                             {"efficientnet_b2", 23, 0, 288, 288, FILTER_BICUBIC, 1e-5},
                             {"efficientnet_b3", 26, 0, 320, 300, FILTER_BICUBIC, 1e-5},
                             {"efficientnet_b4", 32, 0, 384, 380, FILTER_BICUBIC, 1e-5},
                             {"efficientnet_b5", 39, 0, 456, 456, FILTER_BICUBIC, 1e-3},
                             {"efficientnet_b6", 45, 0, 528, 528, FILTER_BICUBIC, 1e-3},
                             {"efficientnet_b7", 55, 0, 600, 600, FILTER_BICUBIC, 1e-3}};

/* EfficientNetV2 begins with blocks of another kind, which have no squeeze and excitation. */
static bool matches(const ModelSource *s)
{
    return model_has(s, "features.1.0.block.1.fc1.weight", NULL);
}

static const Size *size_of(Loader *l, int64_t blocks, int64_t width)
{
    const char *arch = l->source->arch;
    const Size *size = NULL, *asked = NULL;
    for (size_t i = 0; i < COUNT(SIZES); i++) {
        if (!size && SIZES[i].blocks == blocks && (!SIZES[i].width || SIZES[i].width == width))
            size = &SIZES[i];
        if (arch && strcmp(SIZES[i].arch, arch) == 0)
            asked = &SIZES[i];
    }
    if (!size)
        fail(l->error, SP_UNSUPPORTED, "%s: an EfficientNet of %lld blocks is not supported; B0 has 16, B7 55",
             l->source->path, (long long)blocks);
    else if (arch && !asked && strcmp(arch, l->encoder->kind->name) != 0)
        fail(l->error, SP_USAGE, "unknown architecture %s; known are efficientnet_b0 to efficientnet_b7", arch);
    else if (asked && asked != size)
        fail(l->error, SP_FORMAT, "%s: is not an %s: it has the %lld blocks of an %s", l->source->path, arch,
             (long long)blocks, size->arch);
    return l->error->code == SP_OK ? size : NULL;
}

/* Part i of a block; without an expansion (of the first stage) the parts are numbered from 0 all the same. */
static const char *part(Loader *l, int stage, int at, int i, const char *name)
{
    return load_name(l, "features.%d.%d.block.%d%s", stage + 1, at, i, name);
}

/* The width of what a block gives. */
static int64_t block_width(Loader *l, int stage, int at)
{
    int64_t fourth = loader_rows(l, part(l, stage, at, 3, ".0"));
    return fourth ? fourth : loader_rows(l, part(l, stage, at, 2, ".0"));
}

bool efficientnet_layer(Loader *l, Conv2d *to, int64_t O, int64_t C, const char *name, const char *norm, double eps,
                        int64_t stride, int64_t groups)
{
    const Array *w = load_array(l, 4, (int64_t[]){O, C / groups, -1, -1}, "%s.weight", name);
    if (w && (w->shape[2] != w->shape[3] || w->shape[2] % 2 == 0))
        return fail(l->error, SP_FORMAT, "%s: tensor %s: expected a square kernel of odd size, found %lld x %lld",
                    w->file, w->name.p, (long long)w->shape[2], (long long)w->shape[3]);
    return w && load_conv(l, to, C, name, norm, eps, stride, w->shape[2] / 2, groups);
}

/* A 1 x 1 convolution with a bias. */
static bool load_pointwise(Loader *l, Conv2d *to, int64_t O, int64_t C, const char *name)
{
    const Array *w = load_array(l, 4, (int64_t[]){O, C, 1, 1}, "%s.weight", name);
    return w && load_array(l, 1, w->shape, "%s.bias", name) && load_conv(l, to, C, name, NULL, 0, 1, 0, 1);
}

bool mbconv_load(Loader *l, MbConv *b, const MbConvNames *n, int64_t C, double eps, int64_t stride)
{
    int64_t wide = C;
    b->has_expand = n->expand != NULL;
    if (b->has_expand) {
        if (!efficientnet_layer(l, &b->expand, -1, C, n->expand, n->expand_norm, eps, 1, 1))
            return false;
        wide = b->expand.O;
    }
    return efficientnet_layer(l, &b->depthwise, wide, wide, n->depthwise, n->depthwise_norm, eps, stride, wide) &&
           load_pointwise(l, &b->squeeze, -1, wide, n->squeeze) &&
           load_pointwise(l, &b->excite, wide, b->squeeze.O, n->excite) &&
           efficientnet_layer(l, &b->project, -1, wide, n->project, n->project_norm, eps, 1, 1);
}

/* *C: channels in, then out */
static bool load_block(Loader *l, MbConv *b, int stage, int at, double eps, int64_t *C)
{
    static const int STRIDES[STAGES] = {1, 2, 2, 2, 1, 2, 1};
    int64_t in = *C, stride = at == 0 ? STRIDES[stage] : 1;
    bool expands = loader_has(l, "%s", part(l, stage, at, 3, ".0.weight"));
    int i = expands ? 1 : 0;
    MbConvNames n = {.expand = expands ? part(l, stage, at, 0, ".0") : NULL,
                     .expand_norm = part(l, stage, at, 0, ".1"),
                     .depthwise = part(l, stage, at, i, ".0"),
                     .depthwise_norm = part(l, stage, at, i, ".1"),
                     .squeeze = part(l, stage, at, i + 1, ".fc1"),
                     .excite = part(l, stage, at, i + 1, ".fc2"),
                     .project = part(l, stage, at, i + 2, ".0"),
                     .project_norm = part(l, stage, at, i + 2, ".1")};
    if (!mbconv_load(l, b, &n, in, eps, stride))
        return false;
    *C = b->project.O;
    b->residual = stride == 1 && in == *C;
    return true;
}

/* avgpool, classifier, the map before the blocks, that of each block and that of the last convolution; the last block
 * of a stage has the stage's name too. */
static bool add_outputs(Loader *l, EfficientNet *m, const int count[STAGES])
{
    Arena *a = l->encoder->arena;
    Output o = {.name = "avgpool", .also = "flatten 1", .modality = MODALITY_IMAGE, .rows = ROWS_VECTOR};
    o.width = loader_rows(l, "features.8.0");
    m->pool = output_add(l, o);
    m->logits = -1;
    int64_t classes = loader_rows(l, "classifier.1");
    if (classes > 0) {
        o.width = classes;
        o.name = "classifier.1";
        o.also = "classifier";
        m->logits = output_add(l, o);
    }
    o.rows = ROWS_MAP;
    m->maps = (int)l->encoder->output_count;
    o.width = m->stem.O;
    o.name = "features.0";
    o.also = NULL;
    output_add(l, o);
    for (int stage = 0; stage < STAGES; stage++)
        for (int i = 0; i < count[stage]; i++) {
            const char *name = arena_printf(a, l->error, "features.%d.%d", stage + 1, i);
            bool last = i == count[stage] - 1;
            o.width = block_width(l, stage, i);
            o.name = last ? arena_printf(a, l->error, "features.%d", stage + 1) : name;
            o.also = last ? name : NULL;
            if (o.name && name)
                output_add(l, o);
        }
    o.width = loader_rows(l, "features.8.0");
    o.name = "features.8";
    o.also = "features";
    m->last = output_add(l, o);
    return l->error->code == SP_OK;
}

/* B1's first weights, recognised by the name of their file, were evaluated as the others. */
static Preset preset_of(const ModelSource *s, const Size *size)
{
    return strstr(s->path, "-bac287d4") ? preset_imagenet(256, 240, FILTER_BICUBIC)
                                        : preset_imagenet(size->resize, size->crop, size->filter);
}

static bool load(Encoder *en, const ModelSource *s, Error *e)
{
    Loader l;
    EfficientNet *m = NEW(en->arena, EfficientNet, 1, e);
    int count[STAGES] = {0};
    en->model = m;
    if (!m || !loader_start(&l, en, s, "features.0.0.weight", e))
        return false;
    for (int stage = 0; stage < STAGES; stage++) {
        while (loader_has(&l, "%s", part(&l, stage, count[stage], 0, ".0.weight")))
            count[stage]++;
        if (count[stage] == 0)
            return fail(e, SP_FORMAT, "%s: has no tensor %s%s", s->path, l.prefix, part(&l, stage, 0, 0, ".0.weight"));
        m->blocks += count[stage];
    }
    const Size *size = size_of(&l, m->blocks, loader_rows(&l, "features.8.0"));
    int64_t all = m->blocks, at = 0;
    if (!size || !efficientnet_layer(&l, &m->stem, -1, 3, "features.0.0", "features.0.1", size->eps, 2, 1) ||
        !add_outputs(&l, m, count) || !(m->block = NEW(en->arena, MbConv, all, e)))
        return false;
    encoder_preset(en, preset_of(s, size));
    m->blocks = load_blocks(&l, m->maps, all);
    int64_t C = m->stem.O;
    for (int stage = 0; stage < STAGES && at < m->blocks; stage++)
        for (int i = 0; i < count[stage] && at < m->blocks; i++, at++)
            if (!load_block(&l, &m->block[at], stage, i, size->eps, &C))
                return false;
    if (m->blocks < all)
        return true;
    return efficientnet_layer(&l, &m->head, -1, C, "features.8.0", "features.8.1", size->eps, 1, 1) &&
           (m->logits < 0 || load_linear(&l, &m->classifier, -1, m->head.O, true, "classifier.1"));
}

/* Each channel is scaled by a function of the means of all channels. */
static Tensor *squeeze_excite(Tape *t, const MbConv *b, Tensor *x, int64_t B, Act act)
{
    Tensor *s = mean_pool(t, x);
    s = reshape(t, s, 4, (int64_t[]){B, 1, 1, b->squeeze.C});
    s = conv(t, conv(t, s, &b->squeeze, NULL, act), &b->excite, NULL, ACT_SIGMOID);
    return channel_scale(t, x, reshape(t, s, 2, (int64_t[]){B, b->excite.O}));
}

Tensor *mbconv(Tape *t, const MbConv *b, Tensor *x, int64_t B, Act act)
{
    Tensor *y = b->has_expand ? conv(t, x, &b->expand, NULL, act) : x;
    y = squeeze_excite(t, b, conv(t, y, &b->depthwise, NULL, act), B, act);
    return conv(t, y, &b->project, b->residual ? x : NULL, ACT_NONE);
}

static void forward(Tape *t, const void *model, Pass *p)
{
    const EfficientNet *m = model;
    const ImageBatch *b = p->images;
    int64_t blocks = pass_blocks(p, m->maps, m->blocks);
    Tensor *x = input_f32(t, b->pixels, 4, (int64_t[]){b->B, b->height, b->width, 3});
    x = conv(t, x, &m->stem, NULL, ACT_SWISH);
    pass_put(p, m->maps, x);
    for (int64_t i = 0; i < blocks; i++) {
        x = mbconv(t, &m->block[i], x, b->B, ACT_SWISH);
        pass_put(p, m->maps + (int)i + 1, x);
    }
    if (!pass_asks(p, m->last) && !pass_asks(p, m->pool) && !pass_asks(p, m->logits))
        return;
    x = conv(t, x, &m->head, NULL, ACT_SWISH);
    pass_put(p, m->last, x);
    if (!pass_asks(p, m->pool) && !pass_asks(p, m->logits))
        return;
    x = mean_pool(t, x);
    pass_put(p, m->pool, x);
    if (pass_asks(p, m->logits))
        pass_put(p, m->logits, linear(t, x, &m->classifier));
}

/* transformers has no image processor for torchvision's files: where a preprocessor_config.json lacks a key, the size
 * and the numbers of B0 hold, without a crop. */
static const Preset PROCESSOR = {.fit = FIT_SQUASH,
                                 .width = 224,
                                 .height = 224,
                                 .how = {.filter = FILTER_BICUBIC},
                                 .mean = {0.485f, 0.456f, 0.406f},
                                 .std = {0.229f, 0.224f, 0.225f}};

const EncoderKind encoder_efficientnet = {
    .name = "efficientnet",
    .about = "EfficientNet-B0 to B7: torchvision files (efficientnet_b0_rwightman-7f5810bc.pth)",
    .modalities = MODALITY_IMAGE,
    .sized = "efficientnet_b tf_efficientnet_b",
    .usual = &PROCESSOR,
    .matches = matches,
    .load = load,
    .forward_image = forward};
