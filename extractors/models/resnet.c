/* extractors/models/resnet.c: ResNet-18, 34, 50, 101, 152 (He et al. 2016; the stride sits in the 3x3, as
 * torchvision's) with the tensor names of torchvision or of Hugging Face's ResNetModel. Depth and widths are read from
 * the tensors. */
// flags: -Os
#include "extractors/loading.h"

enum { STAGES = 4 };

typedef struct Block {
    Conv2d conv[3], shortcut;
    int convs; /* 2: basic, 3: bottleneck */
    bool has_shortcut;
} Block;

typedef struct ResNet {
    Conv2d stem;
    Block *block;
    int64_t blocks; /* that are loaded: all, or up to the last one that calls may ask for */
    Linear fc;
    int pool, logits, maps; /* numbers of outputs; maps + i: the map of the first i blocks */
} ResNet;

static const char TORCHVISION[] = "layer1.0.conv1.weight",
                  HUGGING_FACE[] = "encoder.stages.0.layers.0.layer.0.convolution.weight";

/* Convolution i (or its norm) of a block, both counted from 0; i -1: the shortcut. */
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

static bool matches(const ModelSource *s)
{
    return model_has(s, TORCHVISION, NULL) || model_has(s, HUGGING_FACE, NULL);
}

/* *C: channels in, then out */
static bool load_block(Loader *l, bool hf, bool early_stride, int stage, int at, Block *b, int64_t *C)
{
    int64_t stride = stage > 0 && at == 0 ? 2 : 1, in = *C;
    b->convs = loader_has(l, "%s.weight", part(l, hf, stage, at, 2, false)) ? 3 : 2;
    for (int i = 0; i < b->convs; i++) {
        bool strided = i == (b->convs == 2 || early_stride ? 0 : 1), wide = b->convs == 2 || i == 1; /* 3x3 */
        if (!load_conv(l, &b->conv[i], *C, part(l, hf, stage, at, i, false), part(l, hf, stage, at, i, true), 1e-5,
                       strided ? stride : 1, wide, 1))
            return false;
        *C = b->conv[i].O;
    }
    b->has_shortcut = loader_has(l, "%s.weight", part(l, hf, stage, at, -1, false));
    if (b->has_shortcut && !load_conv(l, &b->shortcut, in, part(l, hf, stage, at, -1, false),
                                      part(l, hf, stage, at, -1, true), 1e-5, stride, 0, 1))
        return false;
    return (b->has_shortcut ? b->shortcut.O
            : stride == 1   ? in
                            : -1) == *C ||
           fail(l->error, SP_FORMAT, "%s: block %d of stage %d has no shortcut of the expected shape", l->source->path,
                at, stage + 1);
}

/* The channels that a block gives: of its last convolution. */
static int64_t block_width(Loader *l, bool hf, int stage, int at)
{
    int64_t third = loader_rows(l, part(l, hf, stage, at, 2, false));
    return third ? third : loader_rows(l, part(l, hf, stage, at, 1, false));
}

/* avgpool, fc, the map before the blocks and that of each block; the last block of a stage has the stage's name too. */
static bool add_outputs(Loader *l, ResNet *m, bool hf, const int count[STAGES])
{
    Output o = {.modality = MODALITY_IMAGE, .rows = ROWS_VECTOR};
    Arena *a = l->encoder->arena;
    const char *inner = l->prefix;
    o.width = block_width(l, hf, STAGES - 1, count[STAGES - 1] - 1);
    o.name = "avgpool";
    o.also = "flatten pooler_output 1";
    m->pool = output_add(l, o);
    m->logits = -1;
    o.name = "fc";
    o.also = "logits";
    l->prefix = hf ? "" : inner; /* the classifier has no prefix "resnet." */
    if ((o.width = loader_rows(l, hf ? "classifier.1" : "fc")) > 0)
        m->logits = output_add(l, o);
    l->prefix = inner;
    o.rows = ROWS_MAP;
    o.width = m->stem.O;
    o.name = "maxpool";
    o.also = NULL;
    m->maps = (int)l->encoder->output_count;
    output_add(l, o);
    for (int stage = 0; stage < STAGES; stage++)
        for (int i = 0; i < count[stage]; i++) {
            const char *name = arena_printf(a, l->error, "layer%d.%d", stage + 1, i);
            bool last = i == count[stage] - 1;
            o.width = block_width(l, hf, stage, i);
            o.name = last ? arena_printf(a, l->error, "layer%d", stage + 1) : name;
            o.also = !last                ? NULL
                     : stage < STAGES - 1 ? name
                                          : arena_printf(a, l->error, "%s last_hidden_state", name ? name : "");
            if (o.name && (!last || o.also))
                output_add(l, o);
        }
    return l->error->code == SP_OK;
}

/* torchvision's preset of its default weights (V2 for 50, 101, 152), or of the V1 weights where the file has their
 * name; Hugging Face's models were trained on 224 of 256, bicubic. */
static Preset preset_of(const ModelSource *s, bool hf, bool bottleneck)
{
    static const char *const v1[] = {"-0676ba61", "-19c8e357", "-63fe2227", "-5d3b4d8f", "-394f9c45", "-b121ed2d"};
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

static bool check_arch(const ModelSource *s, const int count[STAGES], bool bottleneck, Error *e)
{
    static const struct {
        const char *name;
        bool bottleneck;
        int count[STAGES];
    } known[] = {{"resnet18", false, {2, 2, 2, 2}},
                 {"resnet34", false, {3, 4, 6, 3}},
                 {"resnet50", true, {3, 4, 6, 3}},
                 {"resnet101", true, {3, 4, 23, 3}},
                 {"resnet152", true, {3, 8, 36, 3}}};
    if (!s->arch || strcmp(s->arch, "resnet") == 0)
        return true;
    for (size_t i = 0; i < COUNT(known); i++)
        if (strcmp(s->arch, known[i].name) == 0)
            return (known[i].bottleneck == bottleneck && memcmp(known[i].count, count, sizeof known[i].count) == 0) ||
                   fail(e, SP_FORMAT, "%s: is not a %s: it has %d, %d, %d, %d %s blocks", s->path, s->arch, count[0],
                        count[1], count[2], count[3], bottleneck ? "bottleneck" : "basic");
    return fail(e, SP_USAGE, "unknown architecture %s; known are resnet18, 34, 50, 101 and 152", s->arch);
}

static bool load(Encoder *en, const ModelSource *s, Error *e)
{
    Loader l;
    bool hf = model_has(s, HUGGING_FACE, NULL),
         early = s->config && json_is_true(json_get(s->config, "downsample_in_bottleneck"));
    ResNet *m = NEW(en->arena, ResNet, 1, e);
    int count[STAGES] = {0};
    if (!m || !loader_start(&l, en, s, hf ? "embedder.embedder.convolution.weight" : "conv1.weight", e) ||
        !load_conv(&l, &m->stem, 3, hf ? "embedder.embedder.convolution" : "conv1",
                   hf ? "embedder.embedder.normalization" : "bn1", 1e-5, 2, 3, 1))
        return false;
    for (int stage = 0; stage < STAGES; stage++) {
        while (loader_has(&l, "%s.weight", part(&l, hf, stage, count[stage], 0, false)))
            count[stage]++;
        if (count[stage] == 0)
            return fail(e, SP_FORMAT, "%s: has no tensor %s%s.weight", s->path, l.prefix,
                        part(&l, hf, stage, 0, 0, false));
        m->blocks += count[stage];
    }
    m->block = NEW(en->arena, Block, m->blocks, e);
    int64_t C = m->stem.O, at = 0;
    encoder_preset(en, preset_of(s, hf, loader_has(&l, "%s.weight", part(&l, hf, 0, 0, 2, false))));
    if (!m->block || !add_outputs(&l, m, hf, count))
        return false;
    m->blocks = load_blocks(&l, m->maps, m->blocks);
    for (int stage = 0; stage < STAGES && at < m->blocks; stage++)
        for (int i = 0; i < count[stage] && at < m->blocks; i++, at++)
            if (!load_block(&l, hf, early, stage, i, &m->block[at], &C))
                return false;
    if (!check_arch(s, count, loader_has(&l, "%s.weight", part(&l, hf, 0, 0, 2, false)), e))
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
    x = max_pool(t, conv(t, x, &m->stem, NULL, ACT_RELU), 3, 2, 1);
    pass_put(p, m->maps, x);
    for (int64_t i = 0; i < blocks; i++) {
        const Block *k = &m->block[i];
        Tensor *h = x;
        if (k->has_shortcut)
            x = conv(t, x, &k->shortcut, NULL, ACT_NONE);
        for (int j = 0; j < k->convs; j++)
            h = conv(t, h, &k->conv[j], j == k->convs - 1 ? x : NULL, ACT_RELU);
        x = h;
        pass_put(p, m->maps + (int)i + 1, x);
    }
    if (!pass_asks(p, m->pool) && !pass_asks(p, m->logits))
        return;
    x = mean_pool(t, x);
    pass_put(p, m->pool, x);
    if (pass_asks(p, m->logits))
        pass_put(p, m->logits, linear(t, x, &m->fc));
}

const EncoderKind encoder_resnet = {
    .name = "resnet",
    .about = "ResNet-18, 34, 50, 101, 152: torchvision files (resnet50-11ad3fa6.pth), microsoft/resnet-50",
    .model_type = "resnet",
    .modalities = MODALITY_IMAGE,
    .narrow = true,
    .winograd = true,
    .sized = true,
    .usual = &PROCESSOR,
    .matches = matches,
    .load = load,
    .forward_image = forward};
