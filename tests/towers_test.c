/* tests/towers_test.c: a model with two towers, CLIP. The program has a registry of its own. Features and gradients
 * equal those of transformers (tests/golden/make_towers.py). A folder without the files of one tower can be used for
 * the other. Errors of options that do not apply and of hostile settings name the tower. */
#include <math.h>

#include "tests/encoder_testing.h" /* before cmocka, which has a macro named fail */

#include "tests/device_testing.h"

#define TOWERS   "tests/golden/towers/"
#define ENCODERS "tests/golden/encoders/"

/* ---- the registry ---------------------------------------------------------------------------- */

extern const EncoderKind encoder_vit, encoder_bert, encoder_clip;
static const EncoderKind *const KINDS[] = {&encoder_vit, &encoder_bert, &encoder_clip};

/* These replace extractors/registry.c: the linker leaves it out if a program defines both functions. */
size_t encoder_kind_count(void)
{
    return COUNT(KINDS);
}

const EncoderKind *encoder_kind_at(size_t i)
{
    return i < COUNT(KINDS) ? KINDS[i] : NULL;
}

/* ---- folders and inputs ---------------------------------------------------------------------- */

enum { SIDE = 24, IMAGES = 3, MOST = 8 };

typedef struct Golden {
    Weights *expected;
    Text texts[MOST];
    size_t count;
    Image images[IMAGES];
} Golden;

static int set_up(void **state)
{
    return bench_open(state, 2);
}

static Golden golden_open(TestBench *b)
{
    Golden g = {.expected = weights_open(TOWERS "expected.safetensors", b->a, &b->e)};
    Text rest;
    assert_ok(g.expected && file_read(&rest, b->a, TOWERS "texts.txt", 0, &b->e), b->e);
    while (g.count < MOST && text_line(&rest, &g.texts[g.count]))
        g.count++;
    const Array *images = weights_find(g.expected, "images");
    assert_true(images && images->type == U8 && images->count == IMAGES * SIDE * SIDE * 3);
    for (size_t i = 0; i < IMAGES; i++)
        g.images[i] =
            (Image){.width = SIDE, .height = SIDE, .pixels = (unsigned char *)images->data + i * SIDE * SIDE * 3};
    return g;
}

/* Makes a folder with the sample's files. One file is left out (`without`, or NULL: none), and config.json is replaced
 * (or NULL: unchanged). */
static void make_folder(TestBench *b, char folder[256], const char *without, const char *config)
{
    static const char *const FILES[] = {"config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json"};
    test_folder(folder);
    for (size_t i = 0; i < COUNT(FILES); i++) {
        Text bytes;
        assert_ok(file_read(&bytes, b->a, drawn(arena_printf(b->a, &b->e, TOWERS "%s", FILES[i])), 0, &b->e), b->e);
        if (!without || strcmp(without, FILES[i]) != 0)
            test_write(folder, FILES[i], bytes);
    }
    if (config)
        test_write(folder, "config.json", text_of(config));
}

static Encoder *open_towers(TestBench *b, const char *folder, unsigned towers)
{
    return encoder_open(&b->d, drawn(folder), &(EncoderOptions){.towers = towers}, &b->e);
}

/* Returns the result of a call for n texts or images from `first` on. It is in the arena; *floats is the number of
 * floats. */
static float *encode(TestBench *b, const Call *c, const Golden *g, size_t first, size_t n, size_t *floats)
{
    Tape *t = tape_new(&b->d, false, &b->e);
    TokenLists lists = {0};
    ImageInput images[IMAGES] = {0};
    bool text = c->modality == MODALITY_TEXT;
    Results r = {0};
    if (text)
        assert_ok(call_tokenize(c, t, g->texts + first, n, &lists, &r, b->a, &b->e), b->e);
    for (size_t i = 0; !text && i < n; i++)
        images[i].pixels = g->images[first + i];
    *floats = (c->outputs[0].per_token ? lists.start[n] : n) * (size_t)c->outputs[0].floats;
    float *x = NEW(b->a, float, *floats, &b->e);
    r.out = &x;
    assert_ok(text ? encode_tokens(c, t, &lists, &r, &b->e) : encode_images(c, t, images, n, &r, &b->e), b->e);
    tape_free(t);
    return x;
}

/* Checks that numbers are within a part of the largest magnitude. */
static void assert_near(const char *name, const float *x, const Array *expected, size_t n, double part)
{
    double worst = 0, largest = 0;
    if (!expected)
        fail_msg("%s: expected.safetensors has no such tensor", name);
    assert_int_equal(expected->count, n);
    for (size_t i = 0; i < n; i++) {
        float single = 0;
        if (expected->type != F64)
            array_f32(expected, (int64_t)i, 1, &single);
        double y = expected->type == F64 ? ((const double *)expected->data)[i] : (double)single;
        worst = fmax(worst, x[i] == x[i] ? fabs((double)x[i] - y) : 1e30);
        largest = fmax(largest, fabs(y));
    }
    if (!(worst <= part * largest))
        fail_msg("%s: off by %g, the largest is %g", name, worst, largest);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void outputs_are_transformers(void **state)
{
    static const struct {
        TestOptions wish;
        const char *expected;
    } cases[] = {
        {{.modality = MODALITY_IMAGE}, "image_embeds"},
        {{.modality = MODALITY_TEXT}, "text_embeds"},
        {{.modality = MODALITY_IMAGE, .layer = "pooler_output"}, "image.pooler_output"},
        {{.modality = MODALITY_TEXT, .layer = "pooler_output"}, "text.pooler_output"},
        {{.modality = MODALITY_IMAGE, .layer = "last_hidden_state"}, "image.last_hidden_state"},
        {{.modality = MODALITY_TEXT, .layer = "last_hidden_state", .pool = POOL_NONE}, "text.last_hidden_state"},
        {{.modality = MODALITY_TEXT, .layer = "last_hidden_state"}, "text.mean"},
        {{.modality = MODALITY_IMAGE, .layer = "hidden_states.0"}, "image.hidden_states.0"},
        {{.modality = MODALITY_IMAGE, .layer = "hidden_states.2"}, "image.hidden_states.2"},
        {{.modality = MODALITY_TEXT, .layer = "hidden_states.1", .pool = POOL_NONE}, "text.hidden_states.1"},
    };
    TestBench *b = *state;
    Golden g = golden_open(b);
    for (size_t i = 0; i < COUNT(cases); i++) {
        OpenModel o = open_encoder(&b->d, TOWERS, &cases[i].wish, b->a, &b->e);
        assert_ok(o.en != NULL, b->e);
        bool text = o.call->modality == MODALITY_TEXT;
        size_t n = text ? g.count : IMAGES, floats, one;
        assert_int_equal(o.en->towers, cases[i].wish.modality);
        float *x = encode(b, o.call, &g, 0, n, &floats), *last = encode(b, o.call, &g, n - 1, 1, &one);
        assert_near(cases[i].expected, x, weights_find(g.expected, cases[i].expected), floats, 1e-5);
        assert_memory_equal(x + floats - one, last, one * sizeof *x); /* an input alone has the same bits */
        encoder_close(o.en);
    }
    weights_close(g.expected);
}

/* Checks one encoder: the outputs of both towers, and each output together with the others of its tower in one pass. */
static void both_towers_are_open(void **state)
{
    static const char *const USUAL[] = {"image_embeds", "text_embeds"};
    static const unsigned MODALITIES[] = {MODALITY_IMAGE, MODALITY_TEXT};
    TestBench *b = *state;
    Golden g = golden_open(b);
    Encoder *en = open_towers(b, TOWERS, 0);
    assert_ok(en != NULL, b->e);
    assert_int_equal(en->towers, MODALITY_IMAGE | MODALITY_TEXT);
    assert_null(en->image.missing);
    assert_null(en->text.missing);
    assert_int_equal(en->image.preset.resize, SIDE);
    assert_int_equal(en->text.max_tokens, 16);
    assert_int_equal(en->output_count, 2 * 6);
    for (size_t i = 0; i < COUNT(MODALITIES); i++) {
        const Output *usual = &en->outputs[output_find(en, MODALITIES[i], NULL)];
        OutputOptions all[] = {{0}, {.name = "last_hidden_state", .pool = POOL_CLS}, {.name = "pooler_output"}};
        Call *together = call_new(en, MODALITIES[i], &(CallOptions){.outputs = all, .output_count = 3}, b->a, &b->e);
        Call *alone = call_new(en, MODALITIES[i], &(CallOptions){0}, b->a, &b->e);
        assert_ok(together && alone, b->e);
        assert_string_equal(usual->name, USUAL[i]);
        assert_true(usual->normalized && usual->width == 6 && usual->rows == ROWS_VECTOR);
        float whole[3][6 * 12], *out[] = {whole[0], whole[1], whole[2]};
        size_t n;
        float *one = encode(b, alone, &g, 0, 2, &n);
        Tape *t = tape_new(&b->d, false, &b->e);
        ImageInput images[2] = {{.pixels = g.images[0]}, {.pixels = g.images[1]}};
        Results r = {.out = out};
        assert_ok(i ? encode_texts(together, t, g.texts, 2, &r, &b->e)
                    : encode_images(together, t, images, 2, &r, &b->e),
                  b->e);
        assert_memory_equal(one, whole[0], n * sizeof *one);
        tape_free(t);
    }
    encoder_close(en);
    weights_close(g.expected);
}

static void check_embeds(TestBench *b, const Encoder *en, unsigned modality, const Golden *g)
{
    bool text = modality == MODALITY_TEXT;
    const char *name = text ? "text_embeds" : "image_embeds";
    size_t n;
    Call *c = call_new(en, modality, &(CallOptions){0}, b->a, &b->e);
    assert_ok(c != NULL, b->e);
    float *x = encode(b, c, g, 0, text ? g->count : IMAGES, &n);
    assert_near(name, x, weights_find(g->expected, name), n, 1e-5);
}

/* Checks that a tower with missing or damaged files is left out, unless it is named. */
static void one_tower_serves(void **state)
{
    TestBench *b = *state;
    Golden g = golden_open(b);
    char folder[256];
    make_folder(b, folder, "vocab.txt", NULL);
    Encoder *en = open_towers(b, folder, 0);
    assert_ok(en != NULL, b->e);
    assert_int_equal(en->towers, MODALITY_IMAGE);
    assert_non_null(strstr(en->text.missing, "tokenizer"));
    check_embeds(b, en, MODALITY_IMAGE, &g);
    assert_null(call_new(en, MODALITY_TEXT, &(CallOptions){0}, b->a, &b->e));
    assert_error(b->e, SP_USAGE, "cannot encode texts: ");
    encoder_close(en);
    assert_null(open_towers(b, folder, MODALITY_TEXT));
    assert_error(b->e, SP_IO, "tokenizer");
    test_folder_remove(folder);

    make_folder(b, folder, NULL, NULL);
    test_write(folder, "preprocessor_config.json", TEXT("{\"size\": 0}"));
    en = open_towers(b, folder, 0);
    assert_ok(en != NULL, b->e);
    assert_int_equal(en->towers, MODALITY_TEXT);
    check_embeds(b, en, MODALITY_TEXT, &g);
    assert_null(call_new(en, MODALITY_IMAGE, &(CallOptions){0}, b->a, &b->e));
    assert_error(b->e, SP_USAGE, "cannot encode images: ");
    encoder_close(en);
    assert_null(open_towers(b, folder, MODALITY_IMAGE));
    assert_error(b->e, SP_FORMAT, "preprocessor_config.json:1:2");
    test_write(folder, "preprocessor_config.json", TEXT("{\"size\": 24, \"crop_size\": 24, \"do_center_crop\": true}"));
    en = open_towers(b, folder, MODALITY_IMAGE); /* OpenAI's layout; the other keys have the family's defaults */
    assert_ok(en != NULL, b->e);
    assert_true(en->image.preset.fit == FIT_SHORT_SIDE && en->image.preset.resize == SIDE);
    check_embeds(b, en, MODALITY_IMAGE, &g);
    encoder_close(en);
    test_write(folder, "preprocessor_config.json", TEXT("{\"size\": 32, \"crop_size\": 32}"));
    assert_null(open_towers(b, folder, MODALITY_IMAGE));
    assert_error(b->e, SP_USAGE, "expected images of 24 x 24, not 32 x 32");
    test_folder_remove(folder);
    weights_close(g.expected);
}

/* Checks that the kind follows from model_type of config.json, and without it from the tensors. */
static void the_model_type_decides(void **state)
{
    TestBench *b = *state;
    static const struct {
        const char *config, *why; /* `why` NULL: opening succeeds */
    } cases[] = {
        {"{\"projection_dim\": 6, \"vision_config\": {\"num_attention_heads\": 2, \"num_hidden_layers\": 2},"
         " \"text_config\": {\"num_attention_heads\": 3, \"num_hidden_layers\": 2}}",
         NULL},
        {"{\"model_type\": \"vit\"}", "states vit, but these tensors (logit_scale, ...) are not those of a vit"},
        {"{\"model_type\": \"align\"}", "states align, which is not supported (supported: vit, bert, clip)"},
    };
    char folder[256];
    for (size_t i = 0; i < COUNT(cases); i++) {
        make_folder(b, folder, NULL, cases[i].config);
        Encoder *en = open_towers(b, folder, 0);
        if (cases[i].why)
            assert_error(b->e, b->e.code, cases[i].why);
        else
            assert_ok(en && en->kind == &encoder_clip, b->e);
        encoder_close(en);
        test_folder_remove(folder);
    }
    Encoder *en = open_towers(b, ENCODERS "vit", 0);
    assert_ok(en && en->kind == &encoder_vit, b->e);
    encoder_close(en);
}

static void options_name_the_tower(void **state)
{
    static const Preset SMALL = {.width = 8, .height = 8, .std = {1, 1, 1}};
    static const struct {
        unsigned towers, modality;
        OutputOptions output;
        CallOptions call;
        const char *why;
    } cases[] = {
        {0, MODALITY_IMAGE, {.name = "text_embeds"}, {0}, "has no layer text_embeds for images; it has image_embeds, "},
        {0, MODALITY_TEXT, {.name = "layer4"}, {0}, "has no layer layer4 for texts; it has text_embeds, pooler_output"},
        {0, MODALITY_TEXT, {.pool = POOL_NONE}, {0}, "text_embeds for texts gives one row per input"},
        {0, MODALITY_IMAGE, {.pool = POOL_NONE}, {0}, "image_embeds for images gives one row per input"},
        {0, MODALITY_IMAGE, {.pool = POOL_MEAN}, {0}, "image_embeds for images has no tokens to pool"},
        {0, MODALITY_IMAGE, {0}, {.max_tokens = 8}, "max_tokens is for texts"},
        {0, MODALITY_TEXT, {0}, {.preset = &SMALL}, "sizes of images are not for texts"},
        {0, MODALITY_IMAGE, {.name = "last_hidden_state"}, {.preset = &SMALL}, "expected images of 24 x 24, not 8 x 8"},
        {0,
         MODALITY_TEXT,
         {.name = "last_hidden_state", .pool = POOL_NONE, .normalize = 1},
         {0},
         "last_hidden_state for texts gives a row per token, which is not normalized"},
        {MODALITY_IMAGE, MODALITY_TEXT, {0}, {0}, "was opened without its tower for texts"},
        {MODALITY_TEXT, MODALITY_IMAGE, {0}, {0}, "was opened without its tower for images"},
    };
    TestBench *b = *state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        Encoder *en = open_towers(b, TOWERS, cases[i].towers);
        CallOptions o = cases[i].call;
        assert_ok(en != NULL, b->e);
        o.outputs = &cases[i].output;
        o.output_count = 1;
        if (call_new(en, cases[i].modality, &o, b->a, &b->e))
            fail_msg("case %zu is accepted", i);
        assert_error(b->e, SP_USAGE, cases[i].why);
        encoder_close(en);
    }
    const char *name = "text_embeds"; /* tensors that only the outputs of the other tower need are not loaded */
    EncoderOptions one = {.outputs = &name, .output_count = 1};
    Encoder *en = encoder_open(&b->d, drawn(TOWERS), &one, &b->e);
    assert_ok(en != NULL, b->e);
    assert_null(call_new(en, MODALITY_IMAGE, &(CallOptions){0}, b->a, &b->e));
    assert_error(b->e, SP_USAGE, "image_embeds for images was not loaded");
    encoder_close(en);
    one.towers = MODALITY_IMAGE;
    assert_null(encoder_open(&b->d, drawn(TOWERS), &one, &b->e));
    assert_error(b->e, SP_USAGE, "has no layer text_embeds for images");
}

#define IMAGE_HEADS "\"projection_dim\": 6, \"vision_config\": {\"num_attention_heads\": 2, \"num_hidden_layers\": 2"
#define TEXT_HEADS  "\"text_config\": {\"num_attention_heads\": 3, \"num_hidden_layers\": 2"

static void hostile_settings_name_the_section(void **state)
{
    static const struct {
        const char *config, *why; /* `why` NULL: opening succeeds */
    } cases[] = {
        {"{" IMAGE_HEADS "}, " TEXT_HEADS "}}", NULL},
        {"{\"vision_config\": [2], " TEXT_HEADS "}}",
         "config.json:1:2: vision_config: expected an object with the settings of a tower"},
        {"{" IMAGE_HEADS "}, \"text_config\": \"bert\"}", "text_config: expected an object"},
        {"{\"vision_config\": null, " TEXT_HEADS "}}",
         "12 layers and 12 heads (vision_config of config.json, or the family's default) do not fit the tensors, "
         "which have 2 layers of width 8"},
        {"{" IMAGE_HEADS "}}", "12 layers and 8 heads (text_config of config.json, or the family's default)"},
        {"{\"vision_config\": {\"num_attention_heads\": \"2\"}}",
         "vision_config.num_attention_heads: expected a whole"},
        {"{" IMAGE_HEADS ", \"hidden_act\": \"mish\"}}", "vision_config.hidden_act: expected gelu"},
        {"{" IMAGE_HEADS ", \"image_size\": []}}", "vision_config.image_size: expected a whole number, or height"},
        {"{" IMAGE_HEADS ", \"image_size\": 32}}", "images of 32 x 32 in patches of 8 x 8 do not fit its 9 positions"},
        {"{" IMAGE_HEADS ", \"layer_norm_eps\": -1}}", "vision_model.pre_layrnorm: expected a norm's epsilon"},
        {"{" IMAGE_HEADS "}, " TEXT_HEADS ", \"layer_norm_eps\": 7}}",
         "text_model.encoder.layers.0.layer_norm1: expected a norm's epsilon"},
        {"{" IMAGE_HEADS "}, " TEXT_HEADS ", \"eos_token_id\": [3]}}", "text_config.eos_token_id: expected a whole"},
    };
    TestBench *b = *state;
    char folder[256];
    for (size_t i = 0; i < COUNT(cases); i++) {
        make_folder(b, folder, NULL, cases[i].config);
        Encoder *en = open_towers(b, folder, 0);
        if (!cases[i].why)
            assert_ok(en != NULL, b->e);
        else if (en)
            fail_msg("%s opens", cases[i].config);
        else
            assert_error(b->e, b->e.code, cases[i].why);
        encoder_close(en);
        test_folder_remove(folder);
    }
    make_folder(b, folder, "config.json", NULL);
    assert_null(open_towers(b, folder, MODALITY_TEXT));
    assert_error(
        b->e, SP_FORMAT,
        "config.json is missing: the tensors do not state the number of heads (text_config.num_attention_heads)");
    test_folder_remove(folder);
}

static void refused_memory_is_an_error(void **state)
{
    TestBench *b = *state;
    bool opens = false;
    for (size_t at = 1; !opens; at++) {
        TestHeap h;
        Device d = b->d;
        test_heap(&h, at);
        d.heap = &h.heap;
        Encoder *en = encoder_open(&d, drawn(TOWERS), &(EncoderOptions){0}, &b->e);
        if ((opens = en != NULL))
            encoder_close(en);
        else
            assert_error(b->e, SP_MEMORY, "memory");
        assert_int_equal(h.live, 0);
    }
}

/* ---- gradients ------------------------------------------------------------------------------- */

static Tensor *embeds(TestBench *b, Tape *t, const Encoder *en, unsigned modality, const TextBatch *texts,
                      const ImageBatch *images)
{
    OutputOptions o = {.normalize = -1};
    Call *c = call_new(en, modality, &(CallOptions){.outputs = &o, .output_count = 1}, b->a, &b->e);
    Tensor *x;
    assert_ok(c != NULL, b->e);
    call_forward(t, c, texts, images, &x);
    return x;
}

static void gradients_are_torch(void **state)
{
    TestBench *b = *state;
    Golden g = golden_open(b);
    Encoder *en = encoder_open(&b->d, drawn(TOWERS), &(EncoderOptions){.train = {.weights = "*"}}, &b->e);
    if (b->e.code == SP_UNSUPPORTED) {
        print_message("skipped: %s\n", b->e.message);
        skip();
    }
    assert_ok(en != NULL, b->e);
    Tape *t = tape_new(&b->d, true, &b->e), *scratch = tape_new(&b->d, false, &b->e);
    TokenLists lists;
    Call *c = call_new(en, MODALITY_TEXT, &(CallOptions){0}, b->a, &b->e);
    assert_ok(c && call_tokenize(c, scratch, g.texts, 2, &lists, &(Results){0}, b->a, &b->e), b->e);
    int32_t offsets[] = {0, (int32_t)lists.start[1], (int32_t)lists.start[2]}, positions[2 * 16];
    for (int32_t i = 0; i < offsets[2]; i++)
        positions[i] = i < offsets[1] ? i : i - offsets[1];
    TextBatch texts = {
        .ragged = {.B = 2, .total = offsets[2], .offsets = offsets}, .ids = lists.ids.ids, .positions = positions};
    float pixels[IMAGES * SIDE * SIDE * 3], weights[6], rows[IMAGES][6];
    for (size_t i = 0; i < IMAGES; i++)
        image_values(&g.images[i], &en->image.preset, pixels + i * SIDE * SIDE * 3);
    ImageBatch images = {.B = IMAGES, .height = SIDE, .width = SIDE, .pixels = pixels};
    array_f32(weights_find(g.expected, "c"), 0, 6, weights);
    for (size_t i = 0; i < IMAGES; i++)
        memcpy(rows[i], weights, sizeof weights);
    Tensor *x = embeds(b, t, en, MODALITY_TEXT, &texts, NULL), *y = embeds(b, t, en, MODALITY_IMAGE, NULL, &images);
    Tensor *loss = add(t, sum(t, mul(t, x, input_f32(t, rows[0], 2, (int64_t[]){2, 6}))),
                       sum(t, mul(t, y, input_f32(t, rows[0], 2, (int64_t[]){IMAGES, 6}))));
    assert_ok(backward(t, loss, &b->e), b->e);
    size_t checked = 0;
    for (size_t i = 0; i < weights_count(g.expected); i++) {
        const Array *one = weights_at(g.expected, i);
        if (strncmp(one->name.p, "grad.", 5) != 0)
            continue;
        Tensor *p = store_find(en->store, one->name.p + 5);
        float *got = p ? NEW(b->a, float, p->count, &b->e) : NULL;
        assert_ok(got && tensor_grad(t, p, got, &b->e), b->e);
        assert_near(one->name.p, got, one, (size_t)p->count, 1e-4);
        checked++;
    }
    assert_int_equal(checked, 8);
    tape_free(t);
    tape_free(scratch);
    encoder_close(en);
    weights_close(g.expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outputs_are_transformers),   cmocka_unit_test(both_towers_are_open),
        cmocka_unit_test(one_tower_serves),           cmocka_unit_test(the_model_type_decides),
        cmocka_unit_test(options_name_the_tower),     cmocka_unit_test(hostile_settings_name_the_section),
        cmocka_unit_test(refused_memory_is_an_error), cmocka_unit_test(gradients_are_torch),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
