/* tests/encoders_test.c: encoders equal transformers and torch on the tiny models of tests/golden/encoders
 * (make_encoders.py). */
#include <math.h>

#include "tests/encoder_testing.h" /* before cmocka, which has a macro named fail */

#include "tests/testing.h"

#define GOLDEN   "tests/golden/"
#define ENCODERS GOLDEN "encoders/"

typedef struct TestBench {
    Error e;
    Arena *a;
    Device d;
    Weights *expected;
    Text *texts;
    size_t count, room;
} TestBench;

static int set_up(void **state)
{
    TestBench *b = calloc(1, sizeof *b);
    Text rest, line;
    b->a = arena_new(NULL, 0);
    bool opened = device_open(&b->d, NULL, 2, NULL, NULL, &b->e);
    b->expected = weights_open(ENCODERS "expected.safetensors", b->a, &b->e);
    if (!opened || !b->expected || !file_read(&rest, b->a, ENCODERS "texts.txt", 0, &b->e))
        return -1;
    while (text_line(&rest, &line)) {
        b->texts = arena_grow(b->a, b->texts, b->count, &b->room, sizeof(Text), &b->e);
        b->texts[b->count++] = line;
    }
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    TestBench *b = *state;
    weights_close(b->expected);
    device_close(&b->d);
    arena_free(b->a);
    free(b);
    return 0;
}

/* Checks that numbers are within 5e-5 of the largest magnitude: the float32 sums have another order and pass up to
 * sixteen blocks. */
static void assert_near(TestBench *b, const char *name, const float *x, int64_t count)
{
    const Array *want = weights_find(b->expected, name);
    assert_non_null(want);
    assert_int_equal(want->count, count);
    float *y = NEW(b->a, float, count, &b->e), worst = 0, largest = 0;
    array_f32(want, 0, count, y);
    for (int64_t i = 0; i < count; i++) {
        worst = x[i] == x[i] ? MAX(worst, x[i] > y[i] ? x[i] - y[i] : y[i] - x[i]) : 1e30f;
        largest = MAX(largest, y[i] > 0 ? y[i] : -y[i]);
    }
    if (!(worst <= 5e-5f * largest))
        fail_msg("%s: off by %g, the largest is %g", name, (double)worst, (double)largest);
}

static OpenModel open_model(TestBench *b, const char *name, TestOptions w)
{
    char path[256];
    snprintf(path, sizeof path, ENCODERS "%s", name);
    OpenModel o = open_encoder(&b->d, path, &w, b->a, &b->e);
    if (!o.en)
        fail_msg("%s", b->e.message);
    return o;
}

static void check_texts(TestBench *b, const char *model, TestOptions w, const char *expected)
{
    w.modality = MODALITY_TEXT;
    OpenModel m = open_model(b, model, w);
    Tape *t = tape_new(&b->d, false, &b->e);
    size_t D = m.D;
    float *x = NEW(b->a, float, b->count *D, &b->e), *one = NEW(b->a, float, D, &b->e);
    assert_ok(encode_some_texts(&m, t, b->texts, b->count, x, &b->e), b->e);
    assert_near(b, expected, x, (int64_t)(b->count * D));
    for (size_t i = 0; i < b->count; i++) { /* a text has the same bits alone and among others */
        assert_ok(encode_some_texts(&m, t, &b->texts[i], 1, one, &b->e), b->e);
        assert_memory_equal(one, x + i * D, D * sizeof *one);
    }
    tape_free(t);
    encoder_close(m.en);
}

static void texts_are_transformers(void **state)
{
    TestBench *b = *state;
    check_texts(b, "bert", (TestOptions){0}, "bert.unit");
    check_texts(b, "bert/model.safetensors", (TestOptions){.normalize = -1}, "bert.mean");
    check_texts(b, "bert", (TestOptions){.pool = POOL_CLS, .normalize = -1}, "bert.cls");
    check_texts(b, "bert", (TestOptions){.pool = POOL_MAX, .arch = "bert", .normalize = -1}, "bert.max");
    check_texts(b, "bert", (TestOptions){.layer = "pooler_output"}, "bert.pooler");
    check_texts(b, "bert_prefixed", (TestOptions){.max_tokens = 32}, "bert_prefixed.mean");
    check_texts(b, "distilbert", (TestOptions){0}, "distilbert.cls");
    check_texts(b, "distilbert", (TestOptions){.pool = POOL_MEAN, .normalize = 1, .arch = "distilbert"},
                "distilbert.unit");
    check_texts(b, "distilbert_prefixed", (TestOptions){0}, "distilbert_relu.mean");
    check_texts(b, "distilbert_prefixed", (TestOptions){.pool = POOL_MAX, .normalize = -1}, "distilbert_relu.max");
    check_texts(b, "mpnet", (TestOptions){0}, "mpnet.max");
    check_texts(b, "mpnet", (TestOptions){.pool = POOL_MEAN, .normalize = 1}, "mpnet.unit");
    check_texts(b, "mpnet", (TestOptions){.layer = "pooler_output", .normalize = -1}, "mpnet.pooler");
    check_texts(b, "roberta", (TestOptions){.pool = POOL_MEAN, .normalize = 1}, "roberta.unit");
    check_texts(b, "roberta", (TestOptions){.pool = POOL_MAX}, "roberta.max");
    check_texts(b, "xlm_roberta", (TestOptions){.pool = POOL_CLS, .arch = "roberta"}, "xlm_roberta.cls");
    check_texts(b, "xlm_roberta", (TestOptions){0}, "xlm_roberta.mean");
    check_texts(b, "xlm_roberta", (TestOptions){.layer = "pooler_output"}, "xlm_roberta.pooler");
    check_texts(b, "clip", (TestOptions){0}, "clip.text_embeds");
    check_texts(b, "clip", (TestOptions){.layer = "pooler_output"}, "clip.text_pooled");
    check_texts(b, "clip", (TestOptions){.layer = "last_hidden_state", .pool = POOL_MEAN}, "clip.text_mean");
    check_texts(b, "clip_old", (TestOptions){0}, "clip_old.text_embeds");
}

static void hidden_states_of_one_text(void **state)
{
    TestBench *b = *state;
    OpenModel m = open_model(b, "bert", (TestOptions){.pool = POOL_NONE});
    Tape *t = tape_new(&b->d, false, &b->e);
    TokenLists lists;
    Results r = {0};
    assert_ok(call_tokenize(m.call, t, b->texts + 1, 1, &lists, &r, b->a, &b->e), b->e);
    float *x = NEW(b->a, float, lists.start[1] * m.D, &b->e);
    r.out = &x;
    assert_ok(encode_tokens(m.call, t, &lists, &r, &b->e), b->e);
    assert_near(b, "bert.hidden", x, (int64_t)(lists.start[1] * m.D));
    assert_false(encode_some_texts(&m, t, b->texts, 1, x, &b->e));
    assert_error(b->e, SP_USAGE, "rows per token");
    encoder_close(m.en);
    m = open_model(b, "bert", (TestOptions){0});
    assert_ok(encode_some_texts(&m, t, NULL, 0, NULL, &b->e), b->e);
    assert_null(call_new(m.en, MODALITY_IMAGE, &(CallOptions){0}, b->a, &b->e));
    assert_error(b->e, SP_USAGE, "texts, not images");
    assert_false(encode_some_images(&m, t, NULL, 0, NULL, &b->e));
    assert_error(b->e, SP_USAGE, "this call is for texts");
    tape_free(t);
    encoder_close(m.en);
}

static void check_image(TestBench *b, const char *model, const char *layer, int64_t w, int64_t h, const char *expected)
{
    Preset p = {.width = w,
                .height = h,
                .how = {FILTER_BICUBIC, RESIZE_PILLOW},
                .mean = {0.485f, 0.456f, 0.406f},
                .std = {0.229f, 0.224f, 0.225f}};
    OpenModel m =
        open_model(b, model, (TestOptions){.modality = MODALITY_IMAGE, .layer = layer, .preset = w ? &p : NULL});
    Tape *t = tape_new(&b->d, false, &b->e);
    Image im;
    assert_ok(image_open(&im, GOLDEN "images/RGB.png", b->a, &b->e), b->e);
    Image five[5] = {im, im, im, im, im};
    size_t D = m.D;
    float *x = NEW(b->a, float, 5 * D, &b->e);
    assert_ok(encode_some_images(&m, t, five, 5, x, &b->e), b->e);
    assert_near(b, expected, x, (int64_t)D);
    for (size_t i = 1; i < 5; i++) /* a batch of four and a batch of one have the same bits */
        assert_memory_equal(x, x + i * D, D * sizeof *x);
    tape_free(t);
    encoder_close(m.en);
}

static void images_are_torch(void **state)
{
    static const char *const kinds[] = {"resnet_basic", "resnet_bottleneck"};
    TestBench *b = *state;
    for (size_t i = 0; i < COUNT(kinds); i++)
        for (int bare = 0; bare < 2; bare++) {
            char model[64], expected[64];
            snprintf(model, sizeof model, "%s%s", kinds[i], bare ? ".safetensors" : "");
            const char *const cases[][3] = {
                {NULL, NULL, "pooled"},         {"avgpool", "pooler_output", "pooled"},
                {"fc", "logits", "fc"},         {"layer4", "last_hidden_state", "map"},
                {"layer2", "layer2", "layer2"}, {i ? "layer2.0" : "layer2.1", "layer2", "layer2"}};
            for (size_t c = 0; c < COUNT(cases); c++) {
                snprintf(expected, sizeof expected, "%s.%s", kinds[i], cases[c][2]);
                check_image(b, model, cases[c][!bare], 40, 56, expected);
            }
            snprintf(expected, sizeof expected, "%s.preset", kinds[i]);
            if (!bare)
                check_image(b, model, NULL, 0, 0, expected);
        }
    check_image(b, "vit", NULL, 0, 0, "vit.cls");
    check_image(b, "vit", "last_hidden_state", 0, 0, "vit.hidden");
    check_image(b, "vit", "logits", 0, 0, "vit.logits");
    for (int modules = 0; modules < 2; modules++) {
        check_image(b, modules ? "vit_modules" : "vit_pooler", NULL, 0, 0, "vit_pooler.cls");
        check_image(b, modules ? "vit_modules" : "vit_pooler", "last_hidden_state", 0, 0, "vit_pooler.hidden");
        check_image(b, modules ? "vit_modules" : "vit_pooler", "pooler_output", 0, 0, "vit_pooler.pooler");
    }
    check_image(b, "clip", NULL, 0, 0, "clip.image_embeds");
    check_image(b, "clip", "last_hidden_state", 0, 0, "clip.image_hidden");
    check_image(b, "efficientnet_lite.safetensors", NULL, 37, 50, "lite.pooled");
    check_image(b, "efficientnet_lite.safetensors", "features", 37, 50, "lite.features");
    check_image(b, "efficientnet_lite.safetensors", "fc", 37, 50, "lite.fc");
}

static void efficientnets_are_torchvision(void **state)
{
    static const char *const LAYERS[] = {"features.0", "features.1", "features.3", "features.4.0", "features.8"};
    TestBench *b = *state;
    char expected[64];
    check_image(b, "efficientnet", NULL, 37, 50, "efficientnet.pooled");
    check_image(b, "efficientnet", "classifier.1", 37, 50, "efficientnet.logits");
    check_image(b, "efficientnet", "features.3.1", 37, 50, "efficientnet.features.3");
    for (size_t i = 0; i < COUNT(LAYERS); i++) {
        snprintf(expected, sizeof expected, "efficientnet.%s", LAYERS[i]);
        check_image(b, "efficientnet", LAYERS[i], 37, 50, expected);
    }
}

static void efficientnets_of_hugging_face_are_transformers(void **state)
{
    static const char *const LAYERS[][2] = {
        {NULL, "pooled"}, {"logits", "logits"}, {"last_hidden_state", "hidden"}, {"hidden_states.5", "fifth"}};
    char expected[64];
    for (size_t i = 0; i < COUNT(LAYERS); i++) {
        snprintf(expected, sizeof expected, "efficientnet_hf.%s", LAYERS[i][1]);
        check_image(*state, "efficientnet_hf", LAYERS[i][0], 0, 0, expected);
    }
}

static void altclip_and_align_are_transformers(void **state)
{
    static const char *const CASES[][2] = {{NULL, "text_embeds"},
                                           {"pooler_output", "text_pooled"},
                                           {"last_hidden_state", "text_mean"},
                                           {"hidden_states.1", "text_hidden"},
                                           {NULL, "image_embeds"},
                                           {"pooler_output", "image_pooled"},
                                           {"last_hidden_state", "image_hidden"},
                                           {"hidden_states.1", "image_first"}};
    for (size_t i = 0; i < 2 * COUNT(CASES); i++) {
        const char *kind = i < COUNT(CASES) ? "altclip" : "align", *const *one = CASES[i % COUNT(CASES)];
        char expected[64];
        snprintf(expected, sizeof expected, "%s.%s", kind, one[1]);
        Pooling pool = one[0] && strstr(one[0], "hidden") ? POOL_MEAN : POOL_MODEL;
        if (one[1][0] == 't')
            check_texts(*state, kind, (TestOptions){.layer = one[0], .pool = pool, .max_tokens = 32}, expected);
        else
            check_image(*state, kind, one[0], 0, 0, expected);
    }
}

/* Checks the logits_per_image of transformers: the number of the model times the products of the usual outputs. */
static void logits_are_transformers(void **state)
{
    TestBench *b = *state;
    Image im;
    assert_ok(image_open(&im, GOLDEN "images/RGB.png", b->a, &b->e), b->e);
    for (int align = 0; align < 2; align++) {
        TestOptions texts = {.modality = MODALITY_TEXT, .max_tokens = 32}, images = {.modality = MODALITY_IMAGE};
        OpenModel m = open_model(b, align ? "align" : "altclip", texts), n = open_model(b, m.en->kind->name, images);
        Tape *t = tape_new(&b->d, false, &b->e);
        float x[256], y[64], logits[32] = {0};
        assert_true(m.D == n.D && b->count * m.D <= COUNT(x) && m.D <= COUNT(y) && b->count <= COUNT(logits));
        assert_ok(encode_some_texts(&m, t, b->texts, b->count, x, &b->e), b->e);
        assert_ok(encode_some_images(&n, t, &im, 1, y, &b->e), b->e);
        for (size_t i = 0; i < b->count * m.D; i++)
            logits[i / m.D] += (float)n.en->logit_scale * x[i] * y[i % m.D];
        assert_near(b, align ? "align.logits" : "altclip.logits", logits, (int64_t)b->count);
        tape_free(t);
        encoder_close(m.en);
        encoder_close(n.en);
    }
}

static void presets_of_bare_files(void **state)
{
    TestBench *b = *state;
    OpenModel m = open_model(b, "resnet_bottleneck.safetensors", (TestOptions){0});
    const Preset *p = &m.en->image.preset;
    assert_true(p->fit == FIT_SHORT_SIDE && p->resize == 232 && p->width == 224);
    encoder_close(m.en);
    m = open_model(b, "resnet_basic.safetensors", (TestOptions){0});
    p = &m.en->image.preset;
    assert_true(p->resize == 256 && p->how.filter == FILTER_BILINEAR);
    encoder_close(m.en);
    m = open_model(b, "efficientnet_lite.safetensors", (TestOptions){0});
    p = &m.en->image.preset;
    assert_true(p->resize == 256 && p->height == 224 && p->how.filter == FILTER_BICUBIC);
    encoder_close(m.en);
    m = open_model(b, "efficientnet/model.safetensors", (TestOptions){.arch = "efficientnet_b0"});
    p = &m.en->image.preset;
    assert_true(p->resize == 256 && p->height == 224 && p->how.filter == FILTER_BICUBIC);
    encoder_close(m.en);
}

static double cosine(const float *a, const float *b, size_t D)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < D; i++) {
        ab += (double)a[i] * b[i];
        aa += (double)a[i] * a[i];
        bb += (double)b[i] * b[i];
    }
    return ab / sqrt(aa * bb);
}

enum { NARROW_INPUTS = 3 };
/* Computes features of the first texts, or of one image several times, in one call and then one by one: the bits must
 * be the same. */
static void features_alone_and_together(TestBench *b, const OpenModel *m, const Device *d, float *out)
{
    bool texts = m->call->modality == MODALITY_TEXT;
    Tape *tape = tape_new(d, false, &b->e);
    Image im[NARROW_INPUTS];
    float *one = NEW(b->a, float, m->D, &b->e);
    for (size_t i = 0; i < NARROW_INPUTS; i++)
        assert_ok(image_open(&im[i], GOLDEN "images/RGB.png", b->a, &b->e), b->e);
    assert_ok(texts ? encode_some_texts(m, tape, b->texts, NARROW_INPUTS, out, &b->e)
                    : encode_some_images(m, tape, im, NARROW_INPUTS, out, &b->e),
              b->e);
    for (size_t i = 0; i < NARROW_INPUTS; i++) {
        assert_ok(texts ? encode_some_texts(m, tape, b->texts + i, 1, one, &b->e)
                        : encode_some_images(m, tape, im, 1, one, &b->e),
                  b->e);
        assert_memory_equal(one, out + i * m->D, m->D * sizeof *one);
    }
    tape_free(tape);
}

static void narrow_types_are_near(void **state)
{
    static const struct {
        const char *name;
        unsigned modality;
    } models[] = {{"bert", 0},    {"distilbert", 0},        {"mpnet", 0},
                  {"vit", 0},     {"resnet_bottleneck", 0}, {"clip", MODALITY_IMAGE},
                  {"roberta", 0}, {"clip", MODALITY_TEXT},  {"altclip", MODALITY_TEXT}};
    static const struct {
        Pack dtype;
        double min_cosine;
    } types[] = {{PACK_F16, 0.99999}, {PACK_BF16, 0.9995}, {PACK_INT8, 0.99}};
    TestBench *b = *state;
    const Device one_thread = {.k = b->d.k};
    for (size_t m = 0; m < COUNT(models); m++) {
        OpenModel exact = open_model(b, models[m].name, (TestOptions){.modality = models[m].modality});
        size_t D = exact.D, bytes = NARROW_INPUTS * D * sizeof(float);
        float *want = malloc(bytes), *got = malloc(bytes), *again = malloc(bytes);
        features_alone_and_together(b, &exact, &b->d, want);
        encoder_close(exact.en);
        for (size_t t = 0; t < COUNT(types) && b->d.k->gemm_packs(types[t].dtype); t++) {
            OpenModel en =
                open_model(b, models[m].name, (TestOptions){.modality = models[m].modality, .dtype = types[t].dtype});
            features_alone_and_together(b, &en, &b->d, got);
            features_alone_and_together(b, &en, &one_thread, again);
            assert_memory_equal(got, again, bytes);
            for (size_t i = 0; i < NARROW_INPUTS; i++)
                if (!(cosine(got + i * D, want + i * D, D) >= types[t].min_cosine))
                    fail_msg("%s, type %zu: cosine %.6f", models[m].name, t, cosine(got + i * D, want + i * D, D));
            encoder_close(en.en);
        }
        free(want);
        free(got);
        free(again);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_transformers),
        cmocka_unit_test(hidden_states_of_one_text),
        cmocka_unit_test(images_are_torch),
        cmocka_unit_test(efficientnets_are_torchvision),
        cmocka_unit_test(efficientnets_of_hugging_face_are_transformers),
        cmocka_unit_test(altclip_and_align_are_transformers),
        cmocka_unit_test(logits_are_transformers),
        cmocka_unit_test(narrow_types_are_near),
        cmocka_unit_test(presets_of_bare_files),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
