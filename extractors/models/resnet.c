/* extractors/models/resnet.c: ResNet-18, 34, 50, 101, 152 (He et al. 2016; the stride is in the 3 x 3 convolution, as
 * in torchvision), ResNeXt (Xie et al. 2017) and Wide ResNet (Zagoruyko & Komodakis 2016). The tensor names are those
 * of torchvision, which timm and MMFashion's backbone also use, or of Hugging Face's ResNetModel. Depth, widths and
 * groups are read from the tensors. Nodes inside a block always have torchvision's names. */
// flags: -Os
#include "extractors/models/convnorm.h"

enum { STAGES = 4, MAX_BLOCKS = 4096 };

typedef struct Block {
    ConvNorm conv[3], shortcut;
    int convs; /* 2: basic block; 3: bottleneck */
    bool has_shortcut;
} Block;

typedef struct ResNet {
    ConvNorm stem;
    Block *block;
    int64_t blocks; /* the number that is loaded: all, or up to the last one that calls may need */
    Linear fc;
    int pool, logits, maps; /* numbers of outputs; maps + i: the map of the first i blocks */
} ResNet;

static const char TORCHVISION[] = "layer1.0.conv1.weight",
                  HUGGING_FACE[] = "encoder.stages.0.layers.0.layer.0.convolution.weight";

/* Returns the name of convolution i of a block (or of its norm). `block` and i count from 0; i -1 is the shortcut. */
static const char *part(Loader *l, bool hf, int stage, int block, int i, bool norm)
{
    if (hf && i < 0)
        return load_name(l, "encoder.stages.%d.layers.%d.shortcut.%s", stage, block,
                         norm ? "normalization" : "convolution");
    if (hf)
        return load_name(l, "encoder.stages.%d.layers.%d.layer.%d.%s", stage, block, i,
                         norm ? "normalization" : "convolution");
    if (i < 0)
        return load_name(l, "layer%d.%d.downsample.%d", stage + 1, block, norm);
    return load_name(l, "layer%d.%d.%s%d", stage + 1, block, norm ? "bn" : "conv", i + 1);
}

static int matches(const ModelSource *s)
{
    return model_has(s, TORCHVISION, NULL) || model_has(s, HUGGING_FACE, NULL);
}

/* Loads a block. *C is the number of input channels before the call, and of output channels after it. */
static bool load_block(Loader *l, bool hf, bool early_stride, int stage, int at, Block *b, int64_t *C)
{
    int64_t stride = stage > 0 && at == 0 ? 2 : 1, in = *C;
    for (int i = 0; i < b->convs; i++) {
        bool strided = i == (b->convs == 2 || early_stride ? 0 : 1), is_3x3 = b->convs == 2 || i == 1;
        const char *conv = part(l, hf, stage, at, i, false);
        if (!convnorm_load(l, &b->conv[i], *C, conv, part(l, hf, stage, at, i, true), 1e-5, strided ? stride : 1,
                           is_3x3, b->convs == 3 && i == 1 ? load_groups(l, *C, conv) : 1))
            return false;
        *C = b->conv[i].whole.O;
    }
    if (b->has_shortcut && !convnorm_load(l, &b->shortcut, in, part(l, hf, stage, at, -1, false),
                                          part(l, hf, stage, at, -1, true), 1e-5, stride, 0, 1))
        return false;
    return (b->has_shortcut ? b->shortcut.whole.O
            : stride == 1   ? in
                            : -1) == *C ||
           fail(l->error, SP_FORMAT, "%s: block %d of stage %d has no shortcut of the expected shape", l->source->path,
                at, stage + 1);
}

/* Returns the output channels of a block: those of its last convolution. */
static int64_t block_width(Loader *l, bool hf, int stage, int at)
{
    int64_t third = loader_rows(l, part(l, hf, stage, at, 2, false));
    return third ? third : loader_rows(l, part(l, hf, stage, at, 1, false));
}

/* Adds the nodes inside a block, except its result: conv, bn and relu of each convolution, downsample.0 and .1, add.
 * timm calls an activation act1. */
static void add_nodes(Loader *l, bool hf, int stage, int at, int64_t depth, Block *b)
{
    Output o = {.modality = MODALITY_IMAGE, .rows = ROWS_MAP, .depth = depth};
    const char *block = load_name(l, "layer%d.%d", stage + 1, at);
    for (int i = 0; i < b->convs; i++) {
        bool last = i == b->convs - 1;
        o.width = loader_rows(l, part(l, hf, stage, at, i, false));
        b->conv[i].conv = output_inner(l, o, "%s.conv%d", block, i + 1);
        b->conv[i].norm = output_inner(l, o, "%s.bn%d", block, i + 1);
        b->conv[i].sum = last ? output_inner(l, o, "%s.add", block) : -1;
        o.also = load_name(l, "%s.act%d", block, i + 1);
        b->conv[i].act = last ? -1 : output_inner(l, o, "%s.%s", block, i ? "relu_1" : "relu");
        o.also = NULL;
    }
    convnorm_none(&b->shortcut);
    if (!b->has_shortcut)
        return;
    b->shortcut.conv = output_inner(l, o, "%s.downsample.0", block);
    o.also = load_name(l, "%s.downsample", block);
    b->shortcut.act = output_inner(l, o, "%s.downsample.1", block);
}

/* Returns other names of a block's result: those of its last node. For the last block of a stage, also the block's name
 * and those of the hidden state. */
static const char *block_names(Loader *l, int stage, int at, int convs, bool last)
{
    const char *names =
        load_name(l, "layer%d.%d.relu_%d layer%d.%d.act%d", stage + 1, at, convs - 1, stage + 1, at, convs);
    return !last ? names
                 : load_name(l, "%s layer%d.%d hidden_states.%d hidden_states.-%d%s", names, stage + 1, at, stage + 1,
                             STAGES - stage, stage == STAGES - 1 ? " last_hidden_state" : "");
}

/* Adds avgpool, fc, the map before the blocks, the map of each block, and the nodes inside the blocks. */
static bool add_outputs(Loader *l, ResNet *m, bool hf, const int count[STAGES])
{
    Output o = {.modality = MODALITY_IMAGE, .rows = ROWS_VECTOR};
    Loader head = *l;
    o.width = block_width(l, hf, STAGES - 1, count[STAGES - 1] - 1);
    o.name = "avgpool";
    o.also = "flatten pooler_output global_pool 1";
    m->pool = output_add(l, o);
    m->logits = -1;
    o.name = "fc";
    o.also = "logits";
    head.prefix = hf ? "" : l->prefix; /* the classifier has no prefix "resnet." */
    if ((o.width = loader_rows(&head, hf ? "classifier.1" : "fc")) > 0)
        m->logits = output_add(l, o);
    o.rows = ROWS_MAP;
    o.width = loader_rows(l, hf ? "embedder.embedder.convolution" : "conv1");
    o.name = "maxpool";
    o.also = "hidden_states.0 hidden_states.-5";
    m->maps = (int)l->encoder->output_count;
    output_add(l, o);
    for (int stage = 0; stage < STAGES; stage++)
        for (int i = 0; i < count[stage]; i++) {
            bool last = i == count[stage] - 1;
            const char *third = part(l, hf, stage, i, 2, false);
            o.width = block_width(l, hf, stage, i);
            o.name = last ? load_name(l, "layer%d", stage + 1) : load_name(l, "layer%d.%d", stage + 1, i);
            o.also = block_names(l, stage, i, loader_has(l, "%s.weight", third) ? 3 : 2, last);
            output_add(l, o);
        }
    o = (Output){.modality = MODALITY_IMAGE, .rows = ROWS_MAP};
    o.width = loader_rows(l, hf ? "embedder.embedder.convolution" : "conv1");
    m->stem.conv = output_inner(l, o, "conv1");
    m->stem.norm = output_inner(l, o, "bn1");
    m->stem.sum = -1;
    o.also = "act1";
    m->stem.act = output_inner(l, o, "relu");
    int64_t at = 0;
    for (int stage = 0; stage < STAGES; stage++)
        for (int i = 0; i < count[stage]; i++, at++) {
            Block *b = &m->block[at];
            b->convs = loader_has(l, "%s.weight", part(l, hf, stage, i, 2, false)) ? 3 : 2;
            b->has_shortcut = loader_has(l, "%s.weight", part(l, hf, stage, i, -1, false));
            add_nodes(l, hf, stage, i, at + 1, b);
        }
    return l->error->code == SP_OK;
}

/* Returns the preset of torchvision's default weights (for bottleneck blocks, a resize to 232), or of its V1 weights if
 * the path contains the hash of their file name. Hugging Face's models were trained with a crop of 224 pixels from a
 * short side of 256, bicubic. */
static Preset preset_of(const ModelSource *s, bool hf, bool bottleneck)
{
    static const char *const v1[] = {"-0676ba61", "-19c8e357", "-63fe2227", "-5d3b4d8f", "-394f9c45",
                                     "-b121ed2d", "-7cdf4587", "-8ba56ff5", "-95faca4d", "-32ee1156"};
    int64_t resize = bottleneck ? 232 : 256;
    for (size_t i = 0; i < COUNT(v1); i++)
        if (strstr(s->path, v1[i]))
            resize = 256;
    return hf ? preset_imagenet(256, 224, FILTER_BICUBIC) : preset_imagenet(resize, 224, FILTER_BILINEAR);
}

/* ConvNextImageProcessor's defaults, for a preprocessor_config.json without these keys. */
static const Preset PROCESSOR = {.fit = FIT_SQUASH,
                                 .width = 384,
                                 .height = 384,
                                 .how = {.filter = FILTER_BICUBIC},
                                 .mean = {0.5f, 0.5f, 0.5f},
                                 .std = {0.5f, 0.5f, 0.5f}};

typedef struct Size { /* groups and mid: of the 3 x 3 convolution of the first block */
    const char *name;
    int convs, count[STAGES];
    int64_t groups, mid;
} Size;
static const Size SIZES[] = {{"resnet18", 2, {2, 2, 2, 2}, 1, 64},
                             {"resnet34", 2, {3, 4, 6, 3}, 1, 64},
                             {"resnet50", 3, {3, 4, 6, 3}, 1, 64},
                             {"resnet101", 3, {3, 4, 23, 3}, 1, 64},
                             {"resnet152", 3, {3, 8, 36, 3}, 1, 64},
                             {"resnext50_32x4d", 3, {3, 4, 6, 3}, 32, 128},
                             {"resnext101_32x8d", 3, {3, 4, 23, 3}, 32, 256},
                             {"resnext101_64x4d", 3, {3, 4, 23, 3}, 64, 256},
                             {"wide_resnet50_2", 3, {3, 4, 6, 3}, 1, 128},
                             {"wide_resnet101_2", 3, {3, 4, 23, 3}, 1, 128}};

/* Checks that the tensors have the size that --arch names. */
static bool check_arch(const ModelSource *s, const Block *first, const int count[STAGES], Error *e)
{
    const Conv2d *square = &first->conv[first->convs == 3].whole;
    if (!s->arch || strcmp(s->arch, "resnet") == 0)
        return true;
    for (size_t i = 0; i < COUNT(SIZES); i++)
        if (strcmp(s->arch, SIZES[i].name) == 0)
            return (SIZES[i].convs == first->convs && memcmp(SIZES[i].count, count, sizeof SIZES[i].count) == 0 &&
                    SIZES[i].groups == square->groups && SIZES[i].mid == square->O) ||
                   fail(e, SP_FORMAT,
                        "%s: is not a %s: it has %d, %d, %d, %d %s blocks of %lld channels in %lld groups", s->path,
                        s->arch, count[0], count[1], count[2], count[3], first->convs == 3 ? "bottleneck" : "basic",
                        (long long)square->O, (long long)square->groups);
    return fail(e, SP_USAGE,
                "unknown architecture %s; known are resnet18, 34, 50, 101, 152, resnext50_32x4d, resnext101_32x8d, "
                "resnext101_64x4d, wide_resnet50_2 and wide_resnet101_2",
                s->arch);
}

static bool load(Encoder *en, const ModelSource *s, Error *e)
{
    static const char *const PARTS[] = {"conv1", "conv2", "conv3", "bn1", "bn2", "bn3", "downsample", NULL};
    Loader l;
    bool hf = model_has(s, HUGGING_FACE, NULL),
         early = s->config && json_is_true(json_get(s->config, "downsample_in_bottleneck"));
    ResNet *m = NEW(en->arena, ResNet, 1, e);
    int count[STAGES] = {0};
    if (!m || !loader_start(&l, en, s, hf ? HUGGING_FACE : TORCHVISION, e))
        return false;
    for (int stage = 0; stage < STAGES; stage++) {
        while (loader_has(&l, "%s.weight", part(&l, hf, stage, count[stage], 0, false)))
            count[stage]++;
        if (count[stage] == 0)
            return fail(e, SP_FORMAT, "%s: has no tensor %s%s.weight", s->path, l.prefix,
                        part(&l, hf, stage, 0, 0, false));
        m->blocks += count[stage];
    }
    if (m->blocks > MAX_BLOCKS)
        return fail(e, SP_UNSUPPORTED, "%s: a ResNet of %lld blocks is not supported; at most %d are", s->path,
                    (long long)m->blocks, MAX_BLOCKS);
    m->block = NEW(en->arena, Block, m->blocks, e);
    if (!m->block || (!hf && !load_only(&l, "layer#.#.", PARTS)) || !add_outputs(&l, m, hf, count) ||
        !convnorm_load(&l, &m->stem, 3, hf ? "embedder.embedder.convolution" : "conv1",
                       hf ? "embedder.embedder.normalization" : "bn1", 1e-5, 2, 3, 1))
        return false;
    encoder_preset(en, preset_of(s, hf, m->block->convs == 3));
    m->blocks = load_blocks(&l, m->maps, m->blocks);
    int64_t C = m->stem.whole.O, at = 0;
    for (int stage = 0; stage < STAGES && at < m->blocks; stage++)
        for (int i = 0; i < count[stage] && at < m->blocks; i++, at++)
            if (!load_block(&l, hf, early, stage, i, &m->block[at], &C))
                return false;
    if (m->blocks && !check_arch(s, m->block, count, e))
        return false;
    en->model = m;
    l.prefix = hf ? "" : l.prefix;
    return m->logits < 0 || load_linear(&l, &m->fc, -1, C, true, hf ? "classifier.1" : "fc");
}

static void forward(Tape *t, const void *model, Pass *p)
{
    const ResNet *m = model;
    const ImageBatch *b = p->images;
    int64_t blocks = pass_blocks(p, m->maps, m->blocks);
    Tensor *x = input_f32(t, b->pixels, 4, (int64_t[]){b->B, b->height, b->width, 3});
    x = max_pool(t, convnorm(t, p, x, &m->stem, NULL, ACT_RELU), 3, 2, 1);
    pass_put(p, m->maps, x);
    for (int64_t i = 0; i < blocks; i++) {
        const Block *k = &m->block[i];
        Tensor *h = x;
        if (k->has_shortcut)
            x = convnorm(t, p, x, &k->shortcut, NULL, ACT_NONE);
        for (int j = 0; j < k->convs; j++)
            h = convnorm(t, p, h, &k->conv[j], j == k->convs - 1 ? x : NULL, ACT_RELU);
        x = h;
        pass_put(p, m->maps + (int)i + 1, x);
    }
    convnorm_head(t, p, x, false, m->pool, m->logits, &m->fc);
}

const EncoderKind encoder_resnet = {
    .name = "resnet",
    .about = "ResNet, ResNeXt, Wide ResNet: torchvision and timm files (resnet50-11ad3fa6.pth), microsoft/resnet-50",
    .checked = "torchvision 0.29, timm 1.0, transformers 5.23: 3e-6",
    .model_type = "resnet",
    .modalities = MODALITY_IMAGE,
    .classes = "torchvision.models.resnet.ResNet torchvision.models.resnet.Bottleneck "
               "torchvision.models.resnet.BasicBlock torch.nn.modules.conv.Conv2d "
               "torch.nn.modules.batchnorm.BatchNorm2d torch.nn.modules.activation.ReLU "
               "torch.nn.modules.pooling.MaxPool2d torch.nn.modules.pooling.AdaptiveAvgPool2d "
               "torch.nn.modules.linear.Linear torch.nn.modules.container.Sequential",
    .narrow = true,
    .winograd = true,
    .families = "resnet resnext wide_resnet",
    .usual = &PROCESSOR,
    .matches = matches,
    .load = load,
    .forward_image = forward};
