/* tests/layers_test.c: outputs by name, including nodes inside a block, equal torchvision's create_feature_extractor
 * and timm (tests/golden/make_layers.py). Models in the layouts of torchvision, timm and MMFashion load, and pickled
 * modules. */
#include "tests/encoder_testing.h" /* before cmocka, which has a macro named fail */

#include "tests/device_testing.h"

#define ENCODERS "tests/golden/encoders/"
#define LAYERS   "tests/golden/layers/"

static const Preset SQUARE = {.width = 32,
                              .height = 32,
                              .how = {.filter = FILTER_BICUBIC},
                              .mean = {0.485f, 0.456f, 0.406f},
                              .std = {0.229f, 0.224f, 0.225f}};
static Weights *expected;

static int set_up(void **state)
{
    if (bench_open(state, 2))
        return -1;
    TestBench *b = *state;
    return (expected = weights_open(LAYERS "expected.safetensors", b->a, &b->e)) ? 0 : -1;
}

static int close_all(void **state)
{
    weights_close(expected);
    return tear_down(state);
}

/* Checks that numbers are within 5e-5 of the largest magnitude: the float32 sums have another order. */
static void assert_near(TestBench *b, const char *name, const float *x, size_t count)
{
    const Array *want = weights_find(expected, name);
    if (!want || (size_t)want->count != count)
        fail_msg("%s: %lld expected numbers, %zu found", name, want ? (long long)want->count : -1, count);
    float *y = NEW(b->a, float, count, &b->e), worst = 0, largest = 0;
    array_f32(want, 0, want->count, y);
    for (size_t i = 0; i < count; i++) {
        float difference = x[i] > y[i] ? x[i] - y[i] : y[i] - x[i];
        worst = difference >= 0 ? MAX(worst, difference) : 1e30f; /* NaN */
        largest = MAX(largest, y[i] > 0 ? y[i] : -y[i]);
    }
    if (!(worst <= 5e-5f * largest))
        fail_msg("%s: off by %g, the largest is %g", name, (double)worst, (double)largest);
}

/* Checks the features of the image by one layer. The usual outputs, requested in the same pass, have the bits that they
 * have alone. */
static void check_layer(TestBench *b, const char *model, const char *arch, const char *layer, const Preset *preset,
                        const char *name)
{
    const char *const both[] = {layer, NULL};
    EncoderOptions options = {.arch = arch, .outputs = both, .output_count = 2};
    OutputOptions two[] = {{.name = layer}, {0}};
    Encoder *en = encoder_open(&b->d, drawn(model), &options, &b->e);
    Image image;
    if (!en)
        fail_msg("%s: %s", model, b->e.message);
    Call *alone = call_new(en, MODALITY_IMAGE, &(CallOptions){.preset = preset}, b->a, &b->e);
    Call *call =
        call_new(en, MODALITY_IMAGE, &(CallOptions){.outputs = two, .output_count = 2, .preset = preset}, b->a, &b->e);
    if (!alone || !call)
        fail_msg("%s, %s: %s", model, layer, b->e.message);
    size_t D = (size_t)call->outputs[0].floats, usual = (size_t)call->outputs[1].floats;
    float *out[] = {NEW(b->a, float, D, &b->e), NEW(b->a, float, usual, &b->e)}, *one = NEW(b->a, float, usual, &b->e);
    Tape *t = tape_new(&b->d, false, &b->e);
    assert_ok(image_open(&image, "tests/golden/images/RGB.png", b->a, &b->e), b->e);
    ImageInput input = {.pixels = image};
    assert_ok(encode_images(call, t, &input, 1, &(Results){.out = out}, &b->e), b->e);
    assert_ok(encode_images(alone, t, &input, 1, &(Results){.out = &one}, &b->e), b->e);
    assert_near(b, name, out[0], D);
    assert_memory_equal(one, out[1], usual * sizeof *one);
    tape_free(t);
    encoder_close(en);
}

/* Checks every expected tensor GROUP.LAYER. */
static void check_all(TestBench *b, const char *group, const char *model, const char *arch)
{
    size_t checked = 0;
    for (size_t i = 0; i < weights_count(expected); i++) {
        const char *name = weights_at(expected, i)->name.p, *layer = name + strlen(group) + 1;
        if (strncmp(name, group, strlen(group)) == 0 && layer[-1] == '.' && strcmp(layer, "preset") != 0) {
            check_layer(b, model, arch, layer, &SQUARE, name);
            checked++;
        }
    }
    assert_true(checked > 0);
}

static void nodes_are_torchvision(void **state)
{
    TestBench *b = *state;
    check_all(b, "basic", ENCODERS "resnet_basic.safetensors", NULL);
    check_all(b, "bottleneck", ENCODERS "resnet_bottleneck.safetensors", NULL);
    check_all(b, "bottleneck", ENCODERS "resnet_bottleneck", NULL);
    check_all(b, "resnext", LAYERS "resnext.safetensors", "resnet");
    check_all(b, "basic_timm", ENCODERS "resnet_basic.safetensors", NULL);
    check_all(b, "bottleneck_timm", ENCODERS "resnet_bottleneck.safetensors", NULL);
    check_all(b, "resnext_timm", LAYERS "resnext.safetensors", "resnet");
    check_all(b, "efficientnet", ENCODERS "efficientnet/model.safetensors", NULL);
    check_all(b, "vit_torchvision", LAYERS "vit_torchvision.safetensors", NULL);
    check_all(b, "vit_timm", LAYERS "vit_timm", NULL);
    check_layer(b, LAYERS "vit_timm", NULL, "logits", NULL, "vit_timm.preset");
}

/* Checks that other names give the same outputs. */
static void names_have_synonyms(void **state)
{
    static const struct {
        const char *model, *layer, *name;
    } cases[] = {
        {ENCODERS "resnet_bottleneck.safetensors", "layer3.1.act3", "bottleneck.layer3.1.relu_2"},
        {ENCODERS "resnet_bottleneck.safetensors", "hidden_states.-1", "bottleneck.layer4"},
        {ENCODERS "resnet_bottleneck.safetensors", "hidden_states.0", "bottleneck.maxpool"},
        {ENCODERS "resnet_bottleneck.safetensors", "layer2.0.act2", "bottleneck.layer2.0.relu_1"},
        {ENCODERS "resnet_bottleneck.safetensors", "layer2.0.downsample", "bottleneck.layer2.0.downsample.1"},
        {ENCODERS "efficientnet/model.safetensors", "blocks.2.1.se", "efficientnet.features.3.1.block.2"},
        {ENCODERS "efficientnet/model.safetensors", "features.3.1.block", "efficientnet.features.3.1.block.3"},
        {ENCODERS "efficientnet/model.safetensors", "blocks.4", "efficientnet.features.5"},
        {LAYERS "vit_torchvision.safetensors", "encoder.layers",
         "vit_torchvision.encoder.layers.encoder_layer_1.add_1"},
        {LAYERS "vit_torchvision.safetensors", "hidden_states.-2", "vit_torchvision.encoder.layers.encoder_layer_0"},
        {LAYERS "vit_torchvision.safetensors", "cls", "vit_torchvision.getitem_5"},
        {LAYERS "vit_timm", "last_hidden_state", "vit_timm.norm"},
        {LAYERS "vit_timm", "blocks.0.add_1", "vit_timm.blocks.0"},
    };
    TestBench *b = *state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check_layer(b, cases[i].model, NULL, cases[i].layer, &SQUARE, cases[i].name);
}

typedef void Rename(char *to, size_t size, const char *from);

static void behind_backbone(char *to, size_t size, const char *from)
{
    snprintf(to, size, "backbone.%s", from);
}

/* Writes timm's name of a tensor of torchvision's EfficientNet. */
static void timm_name(char *to, size_t size, const char *from)
{
    static const char *const WIDE[] = {"conv_pw", "conv_dw", "", "conv_pwl"};
    const char *last = strrchr(from, '.') + 1;
    int stage, at, part, which;
    if (sscanf(from, "features.%d.%d.block.%d.fc%d", &stage, &at, &part, &which) == 4)
        snprintf(to, size, "blocks.%d.%d.se.conv_%s.%s", stage - 1, at, which == 1 ? "reduce" : "expand", last);
    else if (sscanf(from, "features.%d.%d.block.%d.%d", &stage, &at, &part, &which) == 4 && which == 1)
        snprintf(to, size, "blocks.%d.%d.bn%d.%s", stage - 1, at,
                 stage == 1  ? part / 2 + 1
                 : part == 3 ? 3
                             : part + 1,
                 last);
    else if (sscanf(from, "features.%d.%d.block.%d", &stage, &at, &part) == 3)
        snprintf(to, size, "blocks.%d.%d.%s.%s", stage - 1, at,
                 stage > 1 ? WIDE[part]
                 : part    ? "conv_pw"
                           : "conv_dw",
                 last);
    else if (sscanf(from, "features.%d.%d", &stage, &part) == 2)
        snprintf(to, size, "%s.%s", part ? (stage ? "bn2" : "bn1") : stage ? "conv_head" : "conv_stem", last);
    else
        snprintf(to, size, "classifier.%s", last);
}

/* Writes a copy of a file of tensors with other names. */
static void write_renamed(TestBench *b, const char *from, const char *to, Rename *rename)
{
    Weights *w = weights_open(drawn(from), b->a, &b->e);
    SafetensorsOut *out = safetensors_open(to, NULL, &b->e);
    assert_true(w && out);
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < weights_count(w); i++) {
            const Array *x = weights_at(w, i);
            char name[256];
            rename(name, sizeof name, x->name.p);
            assert_ok(pass ? safetensors_data(out, x->data, (size_t)x->count * dtype_bytes(x->type), &b->e)
                           : safetensors_declare(out, name, x->type, x->dims, x->shape, &b->e),
                      b->e);
        }
    assert_ok(safetensors_commit(out, &b->e), b->e);
    weights_close(w);
}

static void other_layouts_load(void **state)
{
    TestBench *b = *state;
    char folder[256], path[512];
    test_folder(folder);
    snprintf(path, sizeof path, "%s/mmfashion.safetensors", folder);
    write_renamed(b, ENCODERS "resnet_bottleneck.safetensors", path, behind_backbone);
    check_layer(b, path, NULL, "avgpool", &SQUARE, "bottleneck.flatten");
    check_layer(b, path, NULL, "layer2.0.conv3", &SQUARE, "bottleneck.layer2.0.conv3");
    snprintf(path, sizeof path, "%s/b0.safetensors", folder);
    write_renamed(b, ENCODERS "efficientnet/model.safetensors", path, timm_name);
    check_all(b, "efficientnet_timm", path, NULL);
    check_all(b, "efficientnet_tensorflow", path, "tf_efficientnet_b0");
    snprintf(path, sizeof path, "%s/tf_efficientnet_b0.safetensors", folder);
    write_renamed(b, ENCODERS "efficientnet/model.safetensors", path, timm_name);
    check_all(b, "efficientnet_tensorflow", path, NULL);
    test_folder_remove(folder);
}

static void unknown_layers_are_named(void **state)
{
    static const struct {
        const char *model, *layer, *why;
    } cases[] = {
        {ENCODERS "resnet_bottleneck.safetensors", "layer2.0.conv4", "near: \"layer2.0.conv"},
        {ENCODERS "resnet_bottleneck.safetensors", "layer9", "or \"layer3\"); it has avgpool, "},
        {ENCODERS "resnet_bottleneck.safetensors", "blocks.3", "layer4; and nodes inside blocks, as layer1.0.conv1"},
        {ENCODERS "clip", "text_model_output.text_embed", "(near: \"text_embeds\")"},
        {ENCODERS "resnet_bottleneck.safetensors", "x", "has no layer x; it has avgpool, fc, maxpool, layer1"},
        {ENCODERS "resnet_bottleneck.safetensors", "layer1.9.conv1", "has no layer layer1.9.conv1"},
        {ENCODERS "resnet_bottleneck.safetensors", "hidden_states.-6", "has no layer hidden_states.-6"},
        {LAYERS "vit_torchvision.safetensors", "encoder.layers.encoder_layer_2",
         "it has cls, last_hidden_state, logits"},
        {LAYERS "vit_timm", "blocks.1.attn.q_norm", "has no layer blocks.1.attn.q_norm"},
        {ENCODERS "clip", "text_model_output.image_embeds", "has no layer text_model_output.image_embeds"},
    };
    TestBench *b = *state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        EncoderOptions o = {.outputs = &cases[i].layer, .output_count = 1};
        if (encoder_open(&b->d, drawn(cases[i].model), &o, &b->e))
            fail_msg("%s of %s opens", cases[i].layer, cases[i].model);
        assert_error(b->e, SP_USAGE, cases[i].why);
    }
    Encoder *en = encoder_open(&b->d, drawn(ENCODERS "resnet_bottleneck.safetensors"), &(EncoderOptions){0}, &b->e);
    assert_non_null(en);
    OutputOptions o = {.name = "layer1.0.conv2"};
    assert_null(call_new(en, MODALITY_IMAGE, &(CallOptions){.outputs = &o, .output_count = 1}, b->a, &b->e));
    assert_error(b->e, SP_USAGE, "layer1.0.conv2 was not loaded; name it when the model is opened");
    encoder_close(en);
}

/* Writes the pickled module with a change in its pickle. Finds the first text `after` in it. Then overwrites n bytes
 * with `bytes`. The first overwritten byte is `at` bytes behind the begin of the text. */
static void write_changed(TestBench *b, const char *path, const char *after, size_t at, const char *bytes, size_t n)
{
    Text whole;
    assert_ok(file_read(&whole, b->a, LAYERS "module.pt", 0, &b->e), b->e);
    char *copy = arena_strndup(b->a, whole.p, whole.n, &b->e);
    size_t length = strlen(after), i = 0;
    while (i + length < whole.n && memcmp(copy + i, after, length) != 0)
        i++;
    assert_true(i + length + at + n < whole.n);
    memcpy(copy + i + at, bytes, n);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(copy, 1, whole.n, f), whole.n);
    fclose(f);
}

static void pickled_modules_are_read_by_class(void **state)
{
    static const struct {
        const char *after, *bytes, *arch, *why; /* `bytes` replace the beginning of the first `after` */
    } cases[] = {
        {"torchvision.models.resnet\nResNet", "torchvision.models.redent", NULL,
         "the model is a pickled module of class torchvision.models.redent.ResNet, which is not supported"},
        {"torch.nn.modules.activation\nReLU", "torch.nn.modules.activation\nGELU", NULL,
         "its part relu is a pickled module of class torch.nn.modules.activation.GELU"},
        {"torch.nn.modules.activation\nReLU", "torch.nn.modules.activation\nGELU", "resnet", NULL},
    };
    TestBench *b = *state;
    char folder[256], path[512];
    check_all(b, "bottleneck", LAYERS "module.pt", NULL);
    test_folder(folder);
    snprintf(path, sizeof path, "%s/x.pt", folder);
    for (size_t i = 0; i < COUNT(cases); i++) {
        write_changed(b, path, cases[i].after, 0, cases[i].bytes, strlen(cases[i].bytes));
        Encoder *en = encoder_open(&b->d, path, &(EncoderOptions){.arch = cases[i].arch}, &b->e);
        if (!en != (cases[i].why != NULL))
            fail_msg("%s: %s", cases[i].bytes, en ? "opens" : b->e.message);
        if (!en)
            assert_error(b->e, SP_UNSUPPORTED, cases[i].why);
        encoder_close(en);
    }
    /* the first number after "stride" is a part of the stem's tuple (2, 2); the first after "eps" is the 1e-5 of the
     * stem's norm */
    static const struct {
        const char *after, *op, *why;
    } settings[] = {{"stride", "K", "module conv1: expected stride 2, found "},
                    {"eps", "G", "module bn1: expected eps 1e-05, found "}};
    for (size_t i = 0; i < COUNT(settings); i++) {
        Text whole;
        assert_ok(file_read(&whole, b->a, LAYERS "module.pt", 0, &b->e), b->e);
        size_t at = 0, n = strlen(settings[i].after);
        while (memcmp(whole.p + at, settings[i].after, n) != 0)
            at++;
        const char *number = memchr(whole.p + at + n, settings[i].op[0], 16);
        assert_non_null(number);
        write_changed(b, path, settings[i].after, (size_t)(number + 1 - whole.p) - at, "\3", 1);
        assert_null(encoder_open(&b->d, path, &(EncoderOptions){0}, &b->e));
        assert_error(b->e, SP_UNSUPPORTED, settings[i].why);
    }
    test_folder_remove(folder);
}

/* Checks transformers' names of a tower's results, and hidden states counted from the end. */
static void outputs_have_transformers_names(void **state)
{
    static const struct {
        unsigned modality;
        const char *name, *same;
    } cases[] = {{MODALITY_IMAGE, "vision_model_output.pooler_output", "pooler_output"},
                 {MODALITY_TEXT, "text_model_output.last_hidden_state", "last_hidden_state"},
                 {MODALITY_TEXT, "hidden_states.-1", "hidden_states.2"},
                 {MODALITY_TEXT, "text_model_output.hidden_states.-3", "hidden_states.0"},
                 {MODALITY_IMAGE, "text_model_output.pooler_output", NULL},
                 {MODALITY_TEXT, "vision_model_output.pooler_output", NULL},
                 {MODALITY_TEXT, "hidden_states.-4", NULL}};
    TestBench *b = *state;
    Encoder *en = encoder_open(&b->d, drawn(ENCODERS "clip"), &(EncoderOptions){0}, &b->e);
    assert_non_null(en);
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(output_find(en, cases[i].modality, cases[i].name),
                         cases[i].same ? output_find(en, cases[i].modality, cases[i].same) : -1);
    encoder_close(en);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_are_torchvision),
        cmocka_unit_test(names_have_synonyms),
        cmocka_unit_test(other_layouts_load),
        cmocka_unit_test(unknown_layers_are_named),
        cmocka_unit_test(outputs_have_transformers_names),
        cmocka_unit_test(pickled_modules_are_read_by_class),
    };
    return cmocka_run_group_tests(tests, set_up, close_all);
}
