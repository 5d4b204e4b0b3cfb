/* extractors/models/efficientnet.c: EfficientNet-B0 to B7 (Tan & Le 2019) with the tensor names of torchvision
 * (efficientnet_b0_rwightman-7f5810bc.pth) or timm (efficientnet_b0_ra-3dd342df.pth). Widths, kernels and depth are
 * read from the tensors; strides, and what differs between the sizes, are torchvision's. timm's models with weights
 * from TensorFlow (tf_efficientnet_b0) use TensorFlow's padding and epsilon. efficientnet_hf.c has Hugging Face's
 * models (google/efficientnet-b0). */
// flags: -Os
#include "extractors/models/convnorm.h"
#include "extractors/models/efficientnet.h"

enum { STAGES = 7 };

typedef struct EfficientNet {
    Conv2d stem, head;
    MbConv *block;
    int64_t blocks; /* the number that is loaded: all, or up to the last one that calls may need */
    Linear classifier;
    bool timm, tensorflow;
    int pool, logits, last, maps; /* numbers of outputs; maps + i: the map of the first i blocks */
    HfEfficientNet *hf;           /* or NULL; if set, nothing else in this struct is used */
} EfficientNet;
typedef struct Names { /* names of the layers outside the blocks */
    const char *stem, *stem_norm, *head, *head_norm, *classifier;
} Names;
static const Names TORCHVISION = {"features.0.0", "features.0.1", "features.8.0", "features.8.1", "classifier.1"},
                   TIMM = {"conv_stem", "bn1", "conv_head", "bn2", "classifier"};

/* torchvision's sizes: the number of blocks in all, and how its default weights were evaluated. B1 and B2 have the same
 * depth, but B2's last convolution is wider. */
typedef struct Size {
    const char *arch;
    int64_t blocks, width; /* width of the last convolution, to recognise B1; 0: any */
    int64_t resize, crop;
    Filter filter;
    double eps; /* of torchvision's batch norms */
} Size;
static const Size SIZES[] = {{"efficientnet_b0", 16, 0, 256, 224, FILTER_BICUBIC, 1e-5},
                             {"efficientnet_b1", 23, 1280, 255, 240, FILTER_BILINEAR, 1e-5},
                             {"efficientnet_b2", 23, 0, 288, 288, FILTER_BICUBIC, 1e-5},
                             {"efficientnet_b3", 26, 0, 320, 300, FILTER_BICUBIC, 1e-5},
                             {"efficientnet_b4", 32, 0, 384, 380, FILTER_BICUBIC, 1e-5},
                             {"efficientnet_b5", 39, 0, 456, 456, FILTER_BICUBIC, 1e-3},
                             {"efficientnet_b6", 45, 0, 528, 528, FILTER_BICUBIC, 1e-3},
                             {"efficientnet_b7", 55, 0, 600, 600, FILTER_BICUBIC, 1e-3}};

static const char FIRST[] = "features.1.0.block.1.fc1.weight", FIRST_TIMM[] = "blocks.0.0.se.conv_reduce.weight",
                  TOP[] = "encoder.top_bn.running_mean";

/* The checks exclude similar models. EfficientNetV2 begins with blocks of another kind, without squeeze and excitation.
 * MobileNetV3 has no norm after its last convolution. ALIGN has no last convolution. */
static int matches(const ModelSource *s)
{
    return model_has(s, FIRST, NULL) || model_has(s, TOP, NULL) ||
           (model_has(s, FIRST_TIMM, NULL) && model_has(s, "bn2.running_mean", NULL) &&
            model_has(s, "conv_head.weight", NULL));
}

/* Reports whether timm's name of the model begins with tf_. The name is --arch, else the architecture in config.json,
 * else the file's name. */
static bool from_tensorflow(const ModelSource *s)
{
    const char *stated = json_cstring(json_get(s->config, "architecture"));
    return s->arch && strcmp(s->arch, "efficientnet") != 0 ? strncmp(s->arch, "tf_", 3) == 0
           : stated                                        ? strncmp(stated, "tf_", 3) == 0
                                                           : strstr(path_base(s->path).p, "tf_efficientnet") != NULL;
}

static const Size *size_of(Loader *l, int64_t blocks, int64_t width)
{
    const char *arch =
        l->source->arch && strncmp(l->source->arch, "tf_", 3) == 0 ? l->source->arch + 3 : l->source->arch;
    /* size: the size of the tensors; named: the size that --arch names */
    const Size *size = NULL, *named = NULL;
    for (size_t i = 0; i < COUNT(SIZES); i++) {
        if (!size && SIZES[i].blocks == blocks && (!SIZES[i].width || SIZES[i].width == width))
            size = &SIZES[i];
        if (arch && strcmp(SIZES[i].arch, arch) == 0)
            named = &SIZES[i];
    }
    if (!size)
        fail(l->error, SP_UNSUPPORTED, "%s: an EfficientNet of %lld blocks is not supported; B0 has 16, B7 55",
             l->source->path, (long long)blocks);
    else if (arch && !named && strcmp(arch, l->encoder->kind->name) != 0)
        fail(l->error, SP_USAGE, "unknown architecture %s; known are efficientnet_b0 to efficientnet_b7", arch);
    else if (named && named != size)
        fail(l->error, SP_FORMAT, "%s: is not an %s: it has the %lld blocks of an %s", l->source->path, arch,
             (long long)blocks, size->arch);
    return l->error->code == SP_OK ? size : NULL;
}

/* Returns the names of a block's layers. */
static MbConvNames block_names(Loader *l, const EfficientNet *m, int stage, int at)
{
    if (m->timm) {
        const char *b = load_name(l, "blocks.%d.%d", stage, at);
        bool expands = loader_has(l, "%s.conv_pwl.weight", b);
        return (MbConvNames){.expand = expands ? load_name(l, "%s.conv_pw", b) : NULL,
                             .expand_norm = load_name(l, "%s.bn1", b),
                             .depthwise = load_name(l, "%s.conv_dw", b),
                             .depthwise_norm = load_name(l, expands ? "%s.bn2" : "%s.bn1", b),
                             .squeeze = load_name(l, "%s.se.conv_reduce", b),
                             .excite = load_name(l, "%s.se.conv_expand", b),
                             .project = load_name(l, expands ? "%s.conv_pwl" : "%s.conv_pw", b),
                             .project_norm = load_name(l, expands ? "%s.bn3" : "%s.bn2", b)};
    }
    const char *b = load_name(l, "features.%d.%d.block", stage + 1, at);
    int i = loader_has(l, "%s.3.0.weight", b) ? 1 : 0; /* the first stage has no expansion, so its numbers begin at 0 */
    return (MbConvNames){.expand = i ? load_name(l, "%s.0.0", b) : NULL,
                         .expand_norm = load_name(l, "%s.0.1", b),
                         .depthwise = load_name(l, "%s.%d.0", b, i),
                         .depthwise_norm = load_name(l, "%s.%d.1", b, i),
                         .squeeze = load_name(l, "%s.%d.fc1", b, i + 1),
                         .excite = load_name(l, "%s.%d.fc2", b, i + 1),
                         .project = load_name(l, "%s.%d.0", b, i + 2),
                         .project_norm = load_name(l, "%s.%d.1", b, i + 2)};
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

/* Loads a 1 x 1 convolution with a bias. */
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

/* Loads a block. *C is the number of input channels before the call, and of output channels after it. */
static bool load_block(Loader *l, const EfficientNet *m, MbConv *b, int stage, int at, double eps, int64_t *C)
{
    static const int STRIDES[STAGES] = {1, 2, 2, 2, 1, 2, 1};
    int64_t in = *C, stride = at == 0 ? STRIDES[stage] : 1;
    MbConvNames n = block_names(l, m, stage, at);
    if (!mbconv_load(l, b, &n, in, eps, stride))
        return false;
    *C = b->project.O;
    b->residual = stride == 1 && in == *C;
    b->same = m->tensorflow;
    return true;
}

/* Adds the nodes inside a block: its parts, numbered in their order. If the block has no residual, the result of the
 * last part is also the result of the block. The parts also get the names that timm uses: bn1, bn2, ... for the results
 * of its norms, and se. */
static const MbNodes *add_nodes(Loader *l, const MbConvNames *n, int stage, int at, int64_t depth)
{
    MbNodes *nodes = NEW(l->encoder->arena, MbNodes, 1, l->error);
    Output o = {.modality = MODALITY_IMAGE, .rows = ROWS_MAP, .depth = depth};
    const char *block = load_name(l, "features.%d.%d.block", stage + 1, at),
               *timm = load_name(l, "blocks.%d.%d", stage, at);
    int i = 0;
    if (!nodes)
        return NULL;
    *nodes = (MbNodes){.expand = -1};
    o.width = loader_rows(l, n->depthwise);
    if (n->expand) {
        o.also = load_name(l, "%s.bn1", timm);
        nodes->expand = output_inner(l, o, "%s.%d", block, i++);
    }
    o.also = load_name(l, "%s.bn%d", timm, i + 1);
    nodes->depthwise = output_inner(l, o, "%s.%d", block, i++);
    o.also = load_name(l, "%s.se", timm);
    nodes->excite = output_inner(l, o, "%s.%d", block, i++);
    o.width = loader_rows(l, n->project);
    o.also = load_name(l, "%s features.%d.%d.stochastic_depth %s.bn%d", block, stage + 1, at, timm, i);
    nodes->project = output_inner(l, o, "%s.%d", block, i);
    return nodes;
}

/* Adds avgpool, classifier, the map before the blocks, and the maps of each block and of the last convolution. The last
 * block of a stage also has the stage's name. The name "1" of avgpool is output_layers: 1 of a Ducho configuration. */
static bool add_outputs(Loader *l, EfficientNet *m, const Names *names, const int count[STAGES])
{
    Output o = {
        .name = "avgpool", .also = "flatten classifier.0 global_pool pooler_output 1", .modality = MODALITY_IMAGE};
    o.width = loader_rows(l, names->head);
    m->pool = output_add(l, o);
    m->logits = -1;
    int64_t classes = loader_rows(l, names->classifier);
    if (classes > 0) {
        o.width = classes;
        o.name = "classifier.1";
        o.also = "classifier logits";
        m->logits = output_add(l, o);
    }
    o.rows = ROWS_MAP;
    m->maps = (int)l->encoder->output_count;
    o.width = loader_rows(l, names->stem);
    o.name = "features.0";
    o.also = "bn1";
    output_add(l, o);
    for (int stage = 0; stage < STAGES; stage++)
        for (int i = 0; i < count[stage]; i++) {
            MbConvNames n = block_names(l, m, stage, i);
            bool last = i == count[stage] - 1;
            const char *node_names = load_name(l, "features.%d.%d.add blocks.%d.%d", stage + 1, i, stage, i);
            o.width = loader_rows(l, n.project);
            o.name = last ? load_name(l, "features.%d", stage + 1) : load_name(l, "features.%d.%d", stage + 1, i);
            o.also = last ? load_name(l, "features.%d.%d blocks.%d %s", stage + 1, i, stage, node_names) : node_names;
            output_add(l, o);
        }
    o.width = loader_rows(l, names->head);
    o.name = "features.8";
    o.also = "features bn2";
    m->last = output_add(l, o);
    int64_t at = 0;
    for (int stage = 0; stage < STAGES; stage++)
        for (int i = 0; i < count[stage]; i++, at++) {
            MbConvNames n = block_names(l, m, stage, i);
            m->block[at].nodes = add_nodes(l, &n, stage, i, at + 1);
        }
    return l->error->code == SP_OK;
}

/* Returns the preset of a size. B1's first weights are recognised by the name of their file; they were evaluated like
 * the other sizes. */
static Preset preset_of(const ModelSource *s, const Size *size)
{
    return strstr(s->path, "-bac287d4") ? preset_imagenet(256, 240, FILTER_BICUBIC)
                                        : preset_imagenet(size->resize, size->crop, size->filter);
}

static bool load_hf(Encoder *en, EfficientNet *m, const ModelSource *s, Error *e)
{
    Loader l;
    m->hf = NEW(en->arena, HfEfficientNet, 1, e);
    if (!m->hf || !loader_start(&l, en, s, TOP, e) || !efficientnet_hf_load(&l, m->hf, true))
        return false;
    bool sized = s->arch && strcmp(s->arch, en->kind->name) != 0;
    return !sized || size_of(&l, m->hf->all, efficientnet_hf_width(&l, true));
}

static bool load(Encoder *en, const ModelSource *s, Error *e)
{
    Loader l;
    EfficientNet *m = NEW(en->arena, EfficientNet, 1, e);
    int count[STAGES] = {0};
    en->model = m;
    if (m && model_has(s, TOP, NULL))
        return load_hf(en, m, s, e);
    if (!m || !loader_start(&l, en, s, model_has(s, FIRST, NULL) ? FIRST : FIRST_TIMM, e))
        return false;
    m->timm = !loader_has(&l, "%s", FIRST);
    m->tensorflow = m->timm && from_tensorflow(s);
    const Names *names = m->timm ? &TIMM : &TORCHVISION;
    for (int stage = 0; stage < STAGES; stage++) {
        while (loader_has(&l, "%s.weight", block_names(&l, m, stage, count[stage]).depthwise))
            count[stage]++;
        if (count[stage] == 0)
            return fail(e, SP_FORMAT, "%s: has no tensor %s%s.weight", s->path, l.prefix,
                        block_names(&l, m, stage, 0).depthwise);
        m->blocks += count[stage];
    }
    const Size *size = size_of(&l, m->blocks, loader_rows(&l, names->head));
    double eps = m->tensorflow ? 1e-3 : m->timm || !size ? 1e-5 : size->eps;
    int64_t all = m->blocks, at = 0;
    if (!size || !(m->block = NEW(en->arena, MbConv, all, e)) ||
        !efficientnet_layer(&l, &m->stem, -1, 3, names->stem, names->stem_norm, eps, 2, 1) ||
        !add_outputs(&l, m, names, count))
        return false;
    encoder_preset(en, preset_of(s, size));
    m->blocks = load_blocks(&l, m->maps, all);
    int64_t C = m->stem.O;
    for (int stage = 0; stage < STAGES && at < m->blocks; stage++)
        for (int i = 0; i < count[stage] && at < m->blocks; i++, at++)
            if (!load_block(&l, m, &m->block[at], stage, i, eps, &C))
                return false;
    if (m->blocks < all)
        return true;
    return efficientnet_layer(&l, &m->head, -1, C, names->head, names->head_norm, eps, 1, 1) &&
           (m->logits < 0 || load_linear(&l, &m->classifier, -1, m->head.O, true, names->classifier));
}

/* Scales each channel by a function of the means of all channels. */
static Tensor *squeeze_excite(Tape *t, const MbConv *b, Tensor *x, int64_t B, Act act)
{
    Tensor *s = mean_pool(t, x);
    s = reshape(t, s, 4, (int64_t[]){B, 1, 1, b->squeeze.C});
    s = conv(t, conv(t, s, &b->squeeze, NULL, act), &b->excite, NULL, ACT_SIGMOID);
    return channel_scale(t, x, reshape(t, s, 2, (int64_t[]){B, b->excite.O}));
}

Tensor *mbconv(Tape *t, const MbConv *b, Tensor *x, Pass *p, Act act)
{
    const MbNodes none = {-1, -1, -1, -1}, *n = b->nodes ? b->nodes : &none;
    Tensor *y = b->has_expand ? conv(t, x, &b->expand, NULL, act) : x;
    pass_put(p, n->expand, y);
    y = conv(t, y, b->same ? conv_same(t, y, &b->depthwise) : &b->depthwise, NULL, act);
    pass_put(p, n->depthwise, y);
    y = squeeze_excite(t, b, y, p->images->B, act);
    pass_put(p, n->excite, y);
    if (pass_requests(p, n->project))
        pass_put(p, n->project, conv(t, y, &b->project, NULL, ACT_NONE));
    return conv(t, y, &b->project, b->residual ? x : NULL, ACT_NONE);
}

static void forward(Tape *t, const void *model, Pass *p)
{
    const EfficientNet *m = model;
    const ImageBatch *b = p->images;
    if (m->hf) {
        efficientnet_hf_forward(t, m->hf, p, false);
        return;
    }
    int64_t blocks = pass_blocks(p, m->maps, m->blocks);
    Tensor *x = input_f32(t, b->pixels, 4, (int64_t[]){b->B, b->height, b->width, 3});
    x = conv(t, x, m->tensorflow ? conv_same(t, x, &m->stem) : &m->stem, NULL, ACT_SWISH);
    pass_put(p, m->maps, x);
    for (int64_t i = 0; i < blocks; i++) {
        x = mbconv(t, &m->block[i], x, p, ACT_SWISH);
        pass_put(p, m->maps + (int)i + 1, x);
    }
    if (!pass_requests(p, m->last) && !pass_requests(p, m->pool) && !pass_requests(p, m->logits))
        return;
    x = conv(t, x, &m->head, NULL, ACT_SWISH);
    pass_put(p, m->last, x);
    convnorm_head(t, p, x, false, m->pool, m->logits, &m->classifier);
}

const EncoderKind encoder_efficientnet = {
    .name = "efficientnet",
    .about = "EfficientNet-B0 to B7: torchvision and timm files (efficientnet_b0_rwightman-7f5810bc.pth), "
             "google/efficientnet-b0 (folder)",
    .checked = "torchvision 0.29, timm 1.0, transformers 5.23: 6e-6",
    .model_type = "efficientnet",
    .modalities = MODALITY_IMAGE,
    .families = "efficientnet_b tf_efficientnet_b",
    .usual = &efficientnet_preset,
    .unstated = &preset_224,
    .matches = matches,
    .load = load,
    .forward_image = forward};
