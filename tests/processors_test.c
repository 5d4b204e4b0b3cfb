/* tests/processors_test.c: preprocessor_config.json as transformers reads it: all layouts of size and crop_size, the
 * defaults of each family for missing keys, malformed files; timm's settings. */
#include <math.h>

#include "extractors/loading.h" /* before cmocka, which has a macro named fail */
#include "tests/encoder_testing.h"

#include "tests/device_testing.h"

#define GOLDEN   "tests/golden/"
#define ENCODERS GOLDEN "encoders/"
#define NAME     "preprocessor_config.json"

static int set_up(void **state)
{
    return bench_open(state, 1);
}

static void copy_model(TestBench *b, const char *model, const char *folder)
{
    static const char *const FILES[] = {"config.json", "model.safetensors"};
    for (size_t i = 0; i < COUNT(FILES); i++) {
        Text bytes = {0};
        const char *from = drawn(arena_printf(b->a, &b->e, ENCODERS "%s/%s", model, FILES[i]));
        assert_ok(from && file_read(&bytes, b->a, from, 0, &b->e), b->e);
        test_write(folder, FILES[i], bytes);
    }
}

/* Checks that keys missing in preprocessor_config.json have the defaults of the family's class. */
static void processors_without_all_keys(void **state)
{
    TestBench *b = *state;
    char folder[256];
    test_folder(folder);
    copy_model(b, "vit", folder);
    test_write(folder, NAME, text_of("{\"size\": 32}"));
    OpenModel m = open_encoder(&b->d, folder, &(TestOptions){0}, b->a, &b->e);
    assert_ok(m.en != NULL, b->e);
    Image im;
    assert_ok(image_open(&im, GOLDEN "images/RGB.png", b->a, &b->e), b->e);
    Tape *t = tape_new(&b->d, false, &b->e);
    float *x = NEW(b->a, float, m.D, &b->e);
    assert_ok(encode_some_images(&m, t, &im, 1, x, &b->e), b->e);
    Weights *w = weights_open(ENCODERS "expected.safetensors", b->a, &b->e);
    const Array *expected = w ? weights_find(w, "vit.size_only") : NULL;
    float *y = NEW(b->a, float, m.D, &b->e);
    assert_true(expected && expected->count == (int64_t)m.D);
    array_f32(expected, 0, (int64_t)m.D, y);
    for (size_t i = 0; i < m.D; i++)
        assert_float_equal(x[i], y[i], 1e-4);
    weights_close(w);
    tape_free(t);
    encoder_close(m.en);
    test_write(folder, NAME, text_of("{\"size\": null}"));
    assert_null(encoder_open(&b->d, folder, &(EncoderOptions){0}, &b->e));
    assert_error(b->e, SP_USAGE, "expected images of 32 x 32, not 224 x 224");
    copy_model(b, "resnet_basic", folder);
    Encoder *en = encoder_open(&b->d, folder, &(EncoderOptions){0}, &b->e);
    assert_ok(en != NULL, b->e);
    const Preset *p = &en->image.preset; /* the defaults of ConvNextImageProcessor */
    assert_true(p->fit == FIT_SQUASH && p->width == 384 && p->how.filter == FILTER_BICUBIC);
    assert_true(p->mean[0] == 0.5f && p->std[2] == 0.5f);
    encoder_close(en);
    test_folder_remove(folder);
}

static void processors_of_hugging_face(void **state)
{
    static const struct {
        const char *json, *why; /* `why` NULL: opening succeeds */
        Fit fit;
        int64_t resize, width, height;
    } cases[] = {
        {"{\"size\": 224, \"crop_pct\": 0.875}", NULL, FIT_SHORT_SIDE, 256, 224, 224},
        {"{\"size\": {\"shortest_edge\": 384}, \"crop_pct\": null, \"resample\": 2}", NULL, FIT_SQUASH, 438, 384, 384},
        {"{\"size\": {\"height\": 40, \"width\": 60}, \"do_normalize\": false}", NULL, FIT_SQUASH, 256, 60, 40},
        {"{\"size\": {\"shortest_edge\": 70}, \"crop_size\": {\"height\": 64, \"width\": 66}, \"do_center_crop\": "
         "true}",
         NULL, FIT_SHORT_SIDE, 70, 66, 64},
        {"{\"size\": {\"shortest_edge\": 70}}", "different sizes", 0, 0, 0, 0},
        {"{\"size\": {\"longest\": 70}}", "expected a size", 0, 0, 0, 0},
        {"{\"size\": 0}", "from 1 to 16384", 0, 0, 0, 0},
        {"{\"size\": 4611686018427387904, \"crop_pct\": 0.5}", "from 1 to 16384", 0, 0, 0, 0},
        {"{\"size\": {\"height\": -3, \"width\": 5}}", "from 1 to 16384", 0, 0, 0, 0},
        {"{\"image_std\": [1, 0, 1]}", "above 0", 0, 0, 0, 0},
        {"{\"rescale_factor\": 0}", "above 0", 0, 0, 0, 0},
        {"{\"image_std\": [1, 1e300, 1]}", "image_std: expected numbers above 0, from 1e-06 to 1e+06", 0, 0, 0, 0},
        {"{\"image_std\": [1, 1, 1e-300]}", "image_std: expected numbers above 0, from 1e-06 to 1e+06", 0, 0, 0, 0},
        {"{\"image_mean\": [-1e39, 0, 0]}", "image_mean: expected numbers from -1e+06 to 1e+06", 0, 0, 0, 0},
        {"{\"rescale_factor\": 1e-300}", "rescale_factor: expected a number above 0, from 1e-06 to 1e+06", 0, 0, 0, 0},
        {"{\"rescale_factor\": \"1\"}", "rescale_factor: expected a number", 0, 0, 0, 0},
        {"{\"size\": 224, \"crop_pct\": 1e-9}", "crop_pct: expected a number above 0, from 0.05 to 1", 0, 0, 0, 0},
        {"{\"size\": 16384}", "more than 16,777,216 pixels", 0, 0, 0, 0},
        {"{\"do_resize\": false}", "do_resize: false without a crop", 0, 0, 0, 0},
        {"{\"do_resize\": 1}", "do_resize: expected true or false", 0, 0, 0, 0},
        {"{\"size\": [40, 60]}", NULL, FIT_SQUASH, 256, 60, 40},
        {"{\"size\": {\"shortest_edge\": 70, \"longest_edge\": 90}}", "longest_edge: sizes that depend", 0, 0, 0, 0},
        {"{\"size\": {\"max_height\": 70, \"max_width\": 90}}", "max_height: sizes that depend", 0, 0, 0, 0},
        {"{\"size\": [40, 60, 70]}", "expected a size", 0, 0, 0, 0},
        {"{\"do_pad\": true}", "do_pad: images that are padded", 0, 0, 0, 0},
        {"{\"do_center_crop\": true, \"crop_pct\": 0.5}", "a second crop", 0, 0, 0, 0},
        {"{\"image_processor_type\": \"ConvNextImageProcessor\", \"size\": 70}", NULL, FIT_SHORT_SIDE, 80, 70, 70},
        {"{\"feature_extractor_type\": \"ConvNextFeatureExtractor\", \"size\": 384}", NULL, FIT_SQUASH, 0, 384, 384},
        {"{\"rescale_offset\": \"no\"}", "rescale_offset: expected true or false", 0, 0, 0, 0},
        {"{\"do_convert_rgb\": \"no\"}", "do_convert_rgb: expected true or false", 0, 0, 0, 0},
        {"[]", "expected an object", 0, 0, 0, 0},
        {"{\"resample\": 6}", "resample: expected 0 (nearest)", 0, 0, 0, 0},
        {"{\"resample\": -1}", "resample: expected 0 (nearest)", 0, 0, 0, 0},
        {"{\"resample\": \"box\"}", "resample: expected 0 (nearest)", 0, 0, 0, 0},
        {"{\"image_mean\": [1, 2]}", "expected three numbers", 0, 0, 0, 0},
        {"{\"size\": 64, \"crop_size\": 32, \"do_center_crop\": true}", NULL, FIT_SQUASH, 0, 32, 32},
        {"{\"do_resize\": false, \"crop_size\": 32, \"do_center_crop\": true}", NULL, FIT_OWN, 0, 32, 32},
    };
    TestBench *b = *state;
    char folder[256];
    test_folder(folder);
    copy_model(b, "resnet_basic", folder);
    for (size_t i = 0; i < COUNT(cases); i++) {
        test_write(folder, NAME, text_of(cases[i].json));
        if (cases[i].why) {
            Encoder *en = encoder_open(&b->d, folder, &(EncoderOptions){0}, &b->e);
            assert_null(en);
            assert_error(b->e, b->e.code, cases[i].why);
            continue;
        }
        Encoder *en = encoder_open(&b->d, folder, &(EncoderOptions){0}, &b->e);
        if (!en)
            fail_msg("%s: %s", cases[i].json, b->e.message);
        const Preset *p = &en->image.preset;
        if (p->fit != cases[i].fit || p->resize != (p->fit == FIT_SQUASH ? p->resize : cases[i].resize) ||
            p->width != cases[i].width || p->height != cases[i].height || p->crop != CROP_FLOOR)
            fail_msg("%s: read as %d, %d to %d x %d", cases[i].json, p->fit, (int)p->resize, (int)p->width,
                     (int)p->height);
        encoder_close(en);
    }
    test_folder_remove(folder);
}

/* The defaults of CLIPImageProcessor. */
static const Preset CLIP = {.fit = FIT_SHORT_SIDE,
                            .crop = CROP_FLOOR,
                            .resize = 224,
                            .width = 224,
                            .height = 224,
                            .how = {.filter = FILTER_BICUBIC},
                            .mean = {0.48145466f, 0.4578275f, 0.40821073f},
                            .std = {0.26862954f, 0.26130258f, 0.27577711f}};

#define OPENAI                                                                                                         \
    "{\"crop_size\": 24, \"do_center_crop\": true, \"do_normalize\": true, \"do_resize\": true, "                      \
    "\"feature_extractor_type\": \"CLIPFeatureExtractor\", \"image_mean\": [0.48145466, 0.4578275, "                   \
    "0.40821073], \"image_std\": [0.26862954, 0.26130258, 0.27577711], \"resample\": 3, \"size\": 24}"

/* Checks preprocessor_config.json in the layouts of CLIP's files; missing keys have the family's defaults. */
static void processors_of_clip(void **state)
{
    static const struct {
        const char *json, *why; /* `why` NULL: opening succeeds */
        Fit fit;
        int64_t resize, side;
    } cases[] = {
        {OPENAI, NULL, FIT_SHORT_SIDE, 24, 24},
        {"{\"size\": 24, \"crop_size\": 24}", NULL, FIT_SHORT_SIDE, 24, 24},
        {"{\"size\": 24, \"crop_size\": 24, \"do_center_crop\": null, \"image_mean\": null, \"resample\": null}", NULL,
         FIT_SHORT_SIDE, 24, 24},
        {"{\"size\": {\"shortest_edge\": 24}, \"crop_size\": {\"height\": 24, \"width\": 24}}", NULL, FIT_SHORT_SIDE,
         24, 24},
        {"{\"size\": {\"height\": 24, \"width\": 24}, \"crop_size\": 24, \"do_center_crop\": true}", NULL, FIT_SQUASH,
         0, 24},
        {"{\"size\": 30, \"crop_size\": 24}", NULL, FIT_SHORT_SIDE, 30, 24},
        {"{\"crop_size\": 24}", NULL, FIT_SHORT_SIDE, 224, 24},
        {"{\"size\": 24}", NULL, FIT_SHORT_SIDE, 24, 224},
        {"{}", NULL, FIT_SHORT_SIDE, 224, 224},
        {"{\"size\": 24, \"do_center_crop\": false}", "shortest_edge without a crop", 0, 0, 0},
        {"{\"size\": {\"height\": 24, \"width\": 24}}", NULL, FIT_SQUASH, 0, 224},
        {"{\"size\": 24, \"crop_size\": -1}", "from 1 to 16384", 0, 0, 0},
        {"{\"size\": 24, \"crop_size\": []}", "expected a size", 0, 0, 0},
    };
    TestBench *b = *state;
    char folder[256];
    const Files files = {.folder = folder};
    test_folder(folder);
    for (size_t i = 0; i < COUNT(cases); i++) {
        Preset p = {0};
        test_write(folder, NAME, text_of(cases[i].json));
        if (!preset_from_folder(&p, &CLIP, &files, b->a, &b->e)) {
            if (!cases[i].why)
                fail_msg("%s: %s", cases[i].json, b->e.message);
            assert_error(b->e, b->e.code, cases[i].why);
            continue;
        }
        if (cases[i].why)
            fail_msg("%s is accepted", cases[i].json);
        if (p.fit != cases[i].fit || p.resize != cases[i].resize || p.width != cases[i].side ||
            p.height != cases[i].side || p.crop != CROP_FLOOR || p.how.filter != FILTER_BICUBIC)
            fail_msg("%s: read as %d, %d to %d x %d", cases[i].json, p.fit, (int)p.resize, (int)p.width, (int)p.height);
        for (size_t c = 0; c < 3; c++)
            assert_true(fabsf(p.mean[c] - CLIP.mean[c]) < 1e-7f && fabsf(p.std[c] - CLIP.std[c]) < 1e-7f);
    }
    Preset empty = {0};
    test_folder_remove(folder);
    test_folder(folder);
    assert_true(preset_from_folder(&empty, &CLIP, &files, b->a, &b->e) && empty.width == 0); /* no such file */
    test_folder_remove(folder);
}

/* Checks pretrained_cfg in timm's config.json. */
static void settings_of_timm(void **state)
{
#define SIZE(height, width) "\"input_size\": [3, " #height ", " #width "]"
    static const struct {
        const char *json, *why; /* `why` NULL: opening succeeds */
        Fit fit;
        int64_t resize, width, height;
    } cases[] = {
        {"{" SIZE(224, 224) "}", NULL, FIT_SHORT_SIDE, 256, 224, 224},
        {"{" SIZE(224, 224) ", \"crop_pct\": 0.9, \"crop_mode\": \"center\"}", NULL, FIT_SHORT_SIDE, 248, 224, 224},
        {"{" SIZE(20, 30) ", \"crop_pct\": 1, \"crop_mode\": \"squash\"}", NULL, FIT_SQUASH, 20, 30, 20},
        {"{" SIZE(224, 224) ", \"crop_pct\": null, \"mean\": [0, 0, 0], \"std\": [1, 1, 1]}", NULL, FIT_SHORT_SIDE, 256,
         224, 224},
        {"7", "pretrained_cfg.input_size: expected three numbers", 0, 0, 0, 0},
        {"{}", "pretrained_cfg.input_size: expected three numbers", 0, 0, 0, 0},
        {"{\"input_size\": 224}", "pretrained_cfg.input_size: expected three numbers", 0, 0, 0, 0},
        {"{\"input_size\": [3, 224]}", "pretrained_cfg.input_size: expected three numbers", 0, 0, 0, 0},
        {"{" SIZE(0, 224) "}", "pretrained_cfg.input_size: expected three numbers", 0, 0, 0, 0},
        {"{" SIZE(-224, 224) "}", "pretrained_cfg.input_size: expected three numbers", 0, 0, 0, 0},
        {"{" SIZE(224.5, 224) "}", "pretrained_cfg.input_size: expected three numbers", 0, 0, 0, 0},
        {"{" SIZE(16384, 16384) "}", "more than 16,777,216 pixels are not supported", 0, 0, 0, 0},
        {"{" SIZE(9007199254740991, 1) "}", "more than 16,777,216 pixels are not supported", 0, 0, 0, 0},
        {"{" SIZE(2048, 2048) ", \"crop_pct\": 0.05}", "crop_pct: more than 16,777,216 pixels before the crop", 0, 0, 0,
         0},
        {"{" SIZE(4096, 4096) "}", "crop_pct: more than 16,777,216 pixels before the crop", 0, 0, 0, 0},
        {"{" SIZE(224, 224) ", \"crop_pct\": 0}", "crop_pct: expected a number from 0.05 to 1", 0, 0, 0, 0},
        {"{" SIZE(224, 224) ", \"crop_pct\": \"1\"}", "crop_pct: expected a number from 0.05 to 1", 0, 0, 0, 0},
        {"{" SIZE(224, 200) "}", "only squares cropped from the centre, and crop_mode squash", 0, 0, 0, 0},
        {"{" SIZE(224, 224) ", \"crop_mode\": \"border\"}", "only squares cropped from the centre", 0, 0, 0, 0},
        {"{" SIZE(224, 224) ", \"crop_mode\": 1}", "only squares cropped from the centre", 0, 0, 0, 0},
        {"{" SIZE(224, 224) ", \"interpolation\": \"random\"}", "interpolation: expected bilinear", 0, 0, 0, 0},
        {"{" SIZE(224, 224) ", \"interpolation\": 3}", "interpolation: expected bilinear", 0, 0, 0, 0},
        {"{" SIZE(224, 224) ", \"mean\": 0.5}", "pretrained_cfg.mean: expected three numbers", 0, 0, 0, 0},
        {"{" SIZE(224, 224) ", \"mean\": [0, 1e300, 0]}", "pretrained_cfg.mean: expected three numbers", 0, 0, 0, 0},
        {"{" SIZE(224, 224) ", \"std\": [1, 1]}", "pretrained_cfg.std: expected three numbers above 0", 0, 0, 0, 0},
        {"{" SIZE(224, 224) ", \"std\": [1, 0, 1]}", "pretrained_cfg.std: expected three numbers above 0", 0, 0, 0, 0},
        {"{" SIZE(224, 224) ", \"std\": [1, 1, \"1\"]}", "pretrained_cfg.std: expected three numbers above 0", 0, 0, 0,
         0},
    };
    TestBench *b = *state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *text = arena_printf(b->a, &b->e, "{\"pretrained_cfg\": %s}", cases[i].json);
        Preset p = {0};
        ModelSource s = {.path = "m", .folder = "m", .config = json_parse(b->a, text_of(text), "m/config.json", &b->e)};
        assert_ok(s.config != NULL, b->e);
        if (preset_from_timm(&p, &s, &b->e) == (cases[i].why != NULL))
            fail_msg("%s: %s", cases[i].json, cases[i].why ? "opens" : b->e.message);
        if (cases[i].why) {
            assert_true(strncmp(b->e.message, "m/config.json:1:", 16) == 0 && p.width == 0);
            assert_error(b->e, b->e.code, cases[i].why);
        } else if (p.fit != cases[i].fit || p.resize != cases[i].resize || p.width != cases[i].width ||
                   p.height != cases[i].height) {
            fail_msg("%s: read as %d, %d to %d x %d", cases[i].json, p.fit, (int)p.resize, (int)p.width, (int)p.height);
        }
    }
}

/* Checks EncoderOptions.resizer: it selects the image processor on torchvision. */
static void the_resizer_is_an_option(void **state)
{
    static const EncoderOptions TORCHVISION = {.resizer = RESIZE_TORCHVISION};
    TestBench *b = *state;
    char folder[256];
    test_folder(folder);
    copy_model(b, "vit", folder);
    test_write(folder, NAME, text_of("{\"size\": 40, \"crop_size\": 32, \"do_center_crop\": true}"));
    Encoder *en = encoder_open(&b->d, folder, &TORCHVISION, &b->e);
    assert_ok(en != NULL, b->e);
    const Preset *p = &en->image.preset;
    assert_true(p->how.resizer == RESIZE_TORCHVISION && p->crop == CROP_FLOOR_PAD_AFTER);
    encoder_close(en);
    test_write(folder, NAME, text_of("{\"size\": 32, \"resample\": 4}"));
    assert_null(encoder_open(&b->d, folder, &TORCHVISION, &b->e));
    assert_error(b->e, SP_UNSUPPORTED, "torchvision has no box filter");
    test_write(folder, NAME, text_of("{\"size\": 32, \"resample\": 5}"));
    assert_null(encoder_open(&b->d, folder, &TORCHVISION, &b->e));
    assert_error(b->e, SP_UNSUPPORTED, "torchvision has no hamming filter");
    assert_null(encoder_open(&b->d, drawn(ENCODERS "bert"), &TORCHVISION, &b->e));
    assert_error(b->e, SP_USAGE, "resize torchvision is for images");
    /* torchvision's preset */
    en = encoder_open(&b->d, drawn(ENCODERS "efficientnet_lite.safetensors"), &TORCHVISION, &b->e);
    assert_ok(en != NULL, b->e);
    assert_true(en->image.preset.how.resizer == RESIZE_TORCHVISION && en->image.preset.crop == CROP_HALF_EVEN);
    encoder_close(en);
    test_folder_remove(folder);
}

/* Checks that an image with alpha is composed on white for CLIP. RGBA.png is RGB.png with an alpha channel. */
static void transparent_images_are_on_white_for_clip(void **state)
{
    TestBench *b = *state;
    static const char *const MODELS[] = {"clip", "altclip", "vit"};
    for (size_t i = 0; i < COUNT(MODELS); i++) {
        const char *path = arena_printf(b->a, &b->e, ENCODERS "%s", MODELS[i]);
        Encoder *en = encoder_open(&b->d, drawn(path), &(EncoderOptions){.towers = MODALITY_IMAGE}, &b->e);
        assert_ok(en != NULL, b->e);
        Preset dropped = en->image.preset;
        dropped.white = false;
        const CallOptions wishes[] = {{0}, {.preset = &dropped}, {.reshape_width = 30, .reshape_height = 20}};
        for (size_t k = 0; k < COUNT(wishes); k++) {
            Call *c = call_new(en, MODALITY_IMAGE, &wishes[k], b->a, &b->e);
            assert_ok(c != NULL, b->e);
            size_t bytes = (size_t)c->outputs[0].floats * sizeof(float);
            const ImageInput files[] = {{.path = GOLDEN "images/RGB.png"}, {.path = GOLDEN "images/RGBA.png"}};
            float *rows = arena_alloc(b->a, 2, bytes, &b->e);
            Tape *t = tape_new(&b->d, false, &b->e);
            assert_ok(rows && encode_images(c, t, files, 2, &(Results){.out = &rows}, &b->e), b->e);
            bool same = memcmp(rows, (char *)rows + bytes, bytes) == 0;
            if (same != (k > 0 || i == 2))
                fail_msg("%s, call %zu: alpha has %s effect", MODELS[i], k, same ? "no" : "an");
            tape_free(t);
        }
        encoder_close(en);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(processors_without_all_keys),
        cmocka_unit_test(processors_of_hugging_face),
        cmocka_unit_test(processors_of_clip),
        cmocka_unit_test(transparent_images_are_on_white_for_clip),
        cmocka_unit_test(settings_of_timm),
        cmocka_unit_test(the_resizer_is_an_option),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
