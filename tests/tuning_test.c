/* tests/tuning_test.c: encoders with trained weights or adapters: the architectures are the same, the weights are held
 * in other ways. Gradients of adapters over packed weights equal PyTorch's in float64 (tests/golden/adapters.py). */
#include <math.h>

#include "extractors/extractors.h" /* before cmocka, which has a macro named fail */

#include "tests/device_testing.h"

#define GOLDEN   "tests/golden/"
#define ENCODERS GOLDEN "encoders/"

static int set_up(void **state)
{
    return bench_open(state, 2);
}

static void must(const Error *e)
{
    if (e->code != SP_OK)
        fail_msg("%s", e->message);
}

/* Reports whether the build trains encoders: MINIMAL does not. */
static bool trains(TestBench *b)
{
    Error e = {0};
    EncoderOptions o = {.train = {.weights = "*"}};
    Encoder *en = encoder_open(&b->d, drawn(ENCODERS "bert"), &o, &e);
    encoder_close(en);
    if (e.code == SP_UNSUPPORTED)
        print_message("skipped: %s\n", e.message);
    return e.code != SP_UNSUPPORTED;
}

static Encoder *open_at(TestBench *b, const char *path, Pack dtype, TrainOptions train)
{
    EncoderOptions o = {.dtype = dtype, .train = train};
    Encoder *en = encoder_open(&b->d, drawn(path), &o, &b->e);
    must(&b->e);
    return en;
}

static Encoder *open_model(TestBench *b, const char *name, Pack dtype, TrainOptions train)
{
    return open_at(b, arena_printf(b->a, &b->e, ENCODERS "%s", name), dtype, train);
}

/* ---- a batch of a text or an image model ----------------------------------------------------- */

enum { TEXTS = 3, TOKENS = 15, SIDE = 56, IMAGES = 2 };
typedef struct Batch {
    TextBatch texts;
    ImageBatch images;
    int32_t ids[TOKENS], positions[TOKENS], offsets[TEXTS + 1];
    float pixels[IMAGES * SIDE * SIDE * 3];
    bool is_text; /* false: the images are the input */
} Batch;

static void batch_positions(Batch *b, const Encoder *en)
{
    for (int i = 0; i < TEXTS; i++)
        for (int32_t j = b->offsets[i]; j < b->offsets[i + 1]; j++)
            b->positions[j] = en->text.first_position + j - b->offsets[i];
    b->texts = (TextBatch){{TEXTS, TOKENS, b->offsets}, b->ids, b->positions};
    b->images = (ImageBatch){IMAGES, en->image.preset.height, en->image.preset.width, b->pixels};
    assert_true(b->is_text || b->images.height * b->images.width <= SIDE * SIDE);
}

/* Makes a batch for the tower of a modality (0: the model's only one), from the golden files, or drawn if they are
 * NULL. */
static void batch_of(Batch *b, const Encoder *en, unsigned modality, const Weights *golden, const Weights *inputs)
{
    static const int32_t offsets[] = {0, 5, 6, TOKENS};
    Draw d = {5, DRAW_TEST, 0};
    memcpy(b->offsets, offsets, sizeof offsets);
    b->is_text = (modality ? modality : en->towers) & MODALITY_TEXT;
    for (int i = 0; i < TOKENS; i++)
        b->ids[i] = (int32_t)draw_below(d, (uint64_t)i, 20) + 2;
    for (size_t i = 0; i < COUNT(b->pixels); i++)
        b->pixels[i] = (float)draw_uniform(d, 100 + i) * 2 - 1;
    const Array *ids = golden ? weights_find(golden, "ids") : NULL,
                *pixels = inputs ? weights_find(inputs, "pixels") : NULL;
    if (ids)
        memcpy(b->ids, ids->data, sizeof b->ids);
    if (pixels)
        memcpy(b->pixels, pixels->data, (size_t)pixels->count * sizeof b->pixels[0]);
    batch_positions(b, en);
}

/* Returns the usual output of the model for a batch, without pooling. */
static Tensor *features(Tape *t, const Encoder *en, const Batch *b, Arena *a, Error *e)
{
    unsigned modality = b->is_text ? MODALITY_TEXT : MODALITY_IMAGE;
    bool tokens = en->outputs[output_find(en, modality, NULL)].rows == ROWS_TOKENS;
    OutputOptions o = {.pool = tokens ? POOL_NONE : POOL_MODEL, .normalize = -1};
    CallOptions options = {.outputs = &o, .output_count = 1};
    Call *c = call_new(en, modality, &options, a, e);
    Tensor *x = NULL;
    must(e);
    call_forward(t, c, b->is_text ? &b->texts : NULL, b->is_text ? NULL : &b->images, &x);
    tape_ok(t, e);
    must(e);
    return x;
}

static Tensor *loss_of(Tape *t, const Encoder *en, const Batch *b, const float *c, Arena *a, Error *e)
{
    Tensor *x = features(t, en, b, a, e);
    return sum(t, mul(t, x, input_f32(t, c, x->dims, x->shape)));
}

/* Returns the numbers of `features` by inference, in the arena. */
static const float *inferred(TestBench *b, const Encoder *en, const Batch *batch, int64_t *n)
{
    Tape *t = tape_new(&b->d, false, &b->e);
    Tensor *x = features(t, en, batch, b->a, &b->e);
    float *out = NEW(b->a, float, x->count, &b->e);
    tensor_read(&b->d, x, 0, x->count, out);
    *n = x->count;
    tape_free(t);
    return out;
}

/* Checks that numbers are within a part of the largest magnitude. */
static void assert_close(const float *x, const float *y, int64_t n, double tolerance, const char *what)
{
    double largest = 0;
    for (int64_t i = 0; i < n; i++)
        largest = fmax(largest, fabs((double)y[i]));
    for (int64_t i = 0; i < n; i++)
        if (!(fabs((double)x[i] - (double)y[i]) <= tolerance * largest))
            fail_msg("%s: number %lld is %g, not %g", what, (long long)i, (double)x[i], (double)y[i]);
}

/* ---- gradients of adapters ------------------------------------------------------------------- */

/* Returns |got - expected| / |expected| of a tensor. */
static double distance(const float *got, const Array *expected)
{
    double off = 0, all = 0;
    const double *y = expected->data;
    assert_int_equal(expected->type, F64);
    for (int64_t i = 0; i < expected->count; i++) {
        off += ((double)got[i] - y[i]) * ((double)got[i] - y[i]);
        all += y[i] * y[i];
    }
    return sqrt(off / all);
}

static void set_adapters(TestBench *b, Encoder *en, const Weights *inputs, float factor_of_b)
{
    static const char START[] = "start.";
    for (size_t i = 0; i < weights_count(inputs); i++) {
        const Array *a = weights_at(inputs, i);
        if (strncmp(a->name.p, START, strlen(START)) != 0)
            continue;
        Tensor *p = store_find(en->store, a->name.p + strlen(START));
        assert_true(p && p->param && p->count == a->count);
        float *x = NEW(b->a, float, a->count, &b->e);
        array_f32(a, 0, a->count, x);
        for (int64_t k = 0; k < a->count && strstr(a->name.p, "lora_B"); k++)
            x[k] *= factor_of_b;
        tensor_write(&b->d, p, 0, a->count, x);
    }
}

static void check_adapters(TestBench *b, const char *name, Pack dtype, const char *type, const Weights *golden,
                           const Weights *inputs)
{
    TrainOptions train = {.adapters = "query, key, value, layer.*.dense", .rank = 3, .alpha = 2};
    Encoder *en = open_model(b, name, dtype, train);
    Batch batch;
    batch_of(&batch, en, 0, golden, inputs);
    set_adapters(b, en, inputs, 0);
    int64_t n;
    const float *before = inferred(b, en, &batch, &n), *after;
    set_adapters(b, en, inputs, 1);
    Tape *t = tape_new(&b->d, true, &b->e);
    const float *c = weights_find(inputs, "c")->data;
    Optim adam = optim_adam(0.01);
    size_t checked = 0;
    for (int step = 0; step < 3; step++) {
        tape_reset(t, (Draw){0});
        Tensor *loss = loss_of(t, en, &batch, c, b->a, &b->e);
        assert_true(backward(t, loss, &b->e));
        for (size_t i = 0; step == 0 && i < store_count(en->store); i++) {
            Tensor *p = store_at(en->store, i);
            const char *of = store_name(en->store, p);
            if (!p->param)
                continue;
            const Array *expected = weights_find(golden, arena_printf(b->a, &b->e, "%s.grad.%s", type, of));
            assert_non_null(expected);
            float *got = NEW(b->a, float, p->count, &b->e);
            assert_true(tensor_grad(t, p, got, &b->e));
            double off = distance(got, expected);
            if (!(off <= 1e-4))
                fail_msg("%s, %s: the gradient of %s is off by %g", name, type, of, off);
            checked++;
        }
        assert_true(optim_step(&adam, en->store, t, &b->e));
    }
    assert_int_equal(checked, 2 * 2 * 6); /* A and B of six layers in two blocks */
    set_adapters(b, en, inputs, 0);       /* the weights below the adapters are unchanged */
    after = inferred(b, en, &batch, &n);
    assert_memory_equal(before, after, (size_t)n * sizeof *before);
    tape_free(t);
    encoder_close(en);
}

static void adapters_over_packed_weights(void **state)
{
    TestBench *b = *state;
    if (!trains(b))
        skip();
    static const struct {
        Pack dtype;
        const char *name;
    } types[] = {{PACK_F32, "f32"}, {PACK_BF16, "bf16"}, {PACK_INT8, "int8"}};
    static const char *const models[] = {"bert", "vit"};
    for (size_t m = 0; m < COUNT(models); m++) {
        const char *path = arena_printf(b->a, &b->e, GOLDEN "adapters_%s.safetensors", models[m]);
        Weights *golden = weights_open(path, b->a, &b->e);
        path = arena_printf(b->a, &b->e, GOLDEN "gradients/adapters_%s.safetensors", models[m]);
        Weights *inputs = weights_open(drawn(path), b->a, &b->e);
        must(&b->e);
        for (size_t i = 0; i < COUNT(types); i++) {
            bool avx2 = types[i].dtype == PACK_INT8 && strcmp(b->d.k->level, "avx2") == 0;
            check_adapters(b, models[m], types[i].dtype, avx2 ? "int8_avx2" : types[i].name, golden, inputs);
        }
        weights_close(golden);
        weights_close(inputs);
    }
}

/* ---- packed, adapted, trained ---------------------------------------------------------------- */

typedef struct Example {
    const char *model;
    const char *adapters; /* or NULL */
    const char *weights;  /* names of trained weights, a part of all, or NULL */
    unsigned modality;    /* of the trained tower; 0: the model's only one */
    bool f32_only;        /* the weights cannot be packed as another type */
} Example;
static const Example EXAMPLES[] = {
    {"bert", "query, output.dense", "encoder.layer.1.*, !*.key.*", 0, false},
    {"bert_prefixed", "dense", "*.LayerNorm.*, *.bias", 0, false},
    {"distilbert", "q_lin, v_lin, lin1", "transformer.layer.0.*", 0, false},
    {"mpnet", "attn.q, attn.o", "word_embeddings.weight, relative_attention_bias.weight, *.attn.v.*", 0, false},
    {"vit", "query, value, intermediate.dense", "cls_token, layernorm_*, encoder.layer.1.*", 0, false},
    {"vit_modules", "q_proj, fc1", "position_embeddings, layers.?.attention.*", 0, false},
    {"resnet_basic", NULL, "*.convolution.weight", 0, false},
    {"resnet_bottleneck", NULL, "*.normalization.*", 0, false},
    {"efficientnet", NULL, "*.fc1.*, features.4.*", 0, true},
    {"xlm_roberta", "query, output.dense", "token_type_embeddings.weight, *.value.*, encoder.layer.0.*", 0, false},
    {"clip", "q_proj, fc1, visual_projection", "vision_model.encoder.layers.1.*, class_embedding, pre_layrnorm.*",
     MODALITY_IMAGE, false},
    {"clip", "k_proj, out_proj, text_projection", "text_model.encoder.layers.?.mlp.*, token_embedding.weight",
     MODALITY_TEXT, false},
    {"altclip", "q_proj, fc1, visual_projection", "vision_model.encoder.layer.0.*, class_embedding", MODALITY_IMAGE,
     false},
    {"altclip", "query, transformation, text_projection", "pre_LN.*, roberta.encoder.layer.1.*", MODALITY_TEXT, false},
    {"align", NULL, "text_model.encoder.layer.1.*, text_projection.*", MODALITY_TEXT, true},
    {"align", NULL, "*.squeeze_excite.*, encoder.blocks.3.*", MODALITY_IMAGE, true},
    {"efficientnet_hf", NULL, "*.squeeze_excite.*, encoder.top_*, encoder.blocks.3.*", 0, true}};

static float *factors(TestBench *b, int64_t n)
{
    float *c = NEW(b->a, float, n, &b->e);
    for (int64_t i = 0; i < n; i++)
        c[i] = (float)draw_normal((Draw){3, DRAW_TEST, 1}, (uint64_t)i);
    return c;
}

/* Takes steps of SGD. Returns the last loss. */
static float train(TestBench *b, Encoder *en, const Batch *batch, const float *c, int steps, double lr)
{
    Tape *t = tape_new(&b->d, true, &b->e);
    Optim sgd = {.kind = OPTIM_SGD, .lr = lr};
    float last = 0;
    for (int i = 0; i < steps; i++) {
        tape_reset(t, (Draw){9, DRAW_DROPOUT, (uint32_t)i});
        Tensor *loss = loss_of(t, en, batch, c, b->a, &b->e);
        assert_true(backward(t, loss, &b->e));
        tensor_read(&b->d, loss, 0, 1, &last);
        assert_true(optim_step(&sgd, en->store, t, &b->e));
    }
    tape_free(t);
    return last;
}

/* Copies the model with other weights into the test's folder. */
static const char *copy_model(TestBench *b, const char *to, const char *model, const Encoder *en)
{
    static const char *const files[] = {"config.json", "tokenizer_config.json", "vocab.txt", "tokenizer.json",
                                        "preprocessor_config.json"};
    const char *folder = arena_printf(b->a, &b->e, "%s/%s", to, model);
    assert_true(folder_make(folder, &b->e));
    for (size_t i = 0; i < COUNT(files); i++) {
        const char *from = arena_printf(b->a, &b->e, ENCODERS "%s/%s", model, files[i]);
        Text bytes;
        if (!file_exists(from))
            continue;
        assert_true(file_read(&bytes, b->a, from, 0, &b->e));
        test_write(folder, files[i], bytes);
    }
    assert_true(encoder_save(en, arena_printf(b->a, &b->e, "%s/model.safetensors", folder), &b->e));
    return folder;
}

/* Checks which tensors of the saved file differ from the published file: only those for which `changed` is true, and at
 * least one. */
static void check_saved(TestBench *b, const char *model, const char *folder, bool changed(const char *name))
{
    Weights *old = weights_open(drawn(arena_printf(b->a, &b->e, ENCODERS "%s", model)), b->a, &b->e),
            *new = weights_open(folder, b->a, &b->e);
    must(&b->e);
    assert_int_equal(weights_count(old), weights_count(new));
    size_t count = 0;
    for (size_t i = 0; i < weights_count(old); i++) {
        const Array *x = weights_at(old, i), *y = weights_find(new, x->name.p);
        assert_non_null(y);
        assert_int_equal(x->dims, y->dims);
        assert_memory_equal(x->shape, y->shape, (size_t)x->dims * sizeof x->shape[0]);
        bool differs = x->type != y->type || memcmp(x->data, y->data, (size_t)x->count * dtype_bytes(x->type)) != 0;
        if (differs && !changed(x->name.p))
            fail_msg("%s: %s has changed", model, x->name.p);
        count += differs;
    }
    assert_true(count > 0);
    weights_close(old);
    weights_close(new);
}

static bool any(const char *name)
{
    (void)name;
    return true;
}

static bool is_weight(const char *name)
{
    return strstr(name, ".weight") != NULL;
}

/* Checks that an adapted model has the features of the model at first, that it can be trained, and that its adapters
 * are merged when it is saved. */
static void adapted(TestBench *b, const char *folder, const Example *w, Pack dtype)
{
    Encoder *plain = open_model(b, w->model, dtype, (TrainOptions){0}),
            *en = open_model(b, w->model, dtype, (TrainOptions){.adapters = w->adapters, .rank = 2, .dropout = 0.1f});
    Batch batch;
    int64_t n;
    batch_of(&batch, plain, w->modality, NULL, NULL);
    const float *x = inferred(b, plain, &batch, &n), *y = inferred(b, en, &batch, &n), *c = factors(b, n);
    assert_memory_equal(x, y, (size_t)n * sizeof *x);
    float first = train(b, en, &batch, c, 1, 0.01), last = train(b, en, &batch, c, 10, 0.01);
    assert_true(last < first);
    const char *saved = copy_model(b, folder, w->model, en);
    check_saved(b, w->model, saved, is_weight);
    Encoder *again = open_at(b, saved, PACK_F32, (TrainOptions){0});
    if (dtype == PACK_F32)
        assert_close(inferred(b, again, &batch, &n), inferred(b, en, &batch, &n), n, 1e-5, w->model);
    encoder_close(again);
    encoder_close(en);
    encoder_close(plain);
}

/* Checks training of all weights, or of some. SUMS: the tolerance of float32 sums in another order, as in
 * encoders_test: a trained batch norm is not folded. */
#define SUMS 5e-5
static void trained(TestBench *b, const char *folder, const Example *w, const char *weights)
{
    Encoder *plain = open_model(b, w->model, PACK_F32, (TrainOptions){0}),
            *en = open_model(b, w->model, PACK_F32, (TrainOptions){.weights = weights});
    Batch batch;
    int64_t n;
    batch_of(&batch, plain, w->modality, NULL, NULL);
    const float *x = inferred(b, plain, &batch, &n), *c = factors(b, n);
    assert_close(inferred(b, en, &batch, &n), x, n, SUMS, w->model);
    double lr = w->adapters ? 1e-3 : 1e-6; /* convolutions with drawn weights give large features */
    float first = train(b, en, &batch, c, 1, lr), last = train(b, en, &batch, c, 10, lr);
    assert_true(last < first);
    const char *saved = copy_model(b, folder, w->model, en);
    check_saved(b, w->model, saved, any);
    for (Pack dtype = PACK_F32; dtype < PACK_COUNT; dtype++) { /* also packed when it is opened again */
        if (w->f32_only && dtype != PACK_F32) {
            assert_null(encoder_open(&b->d, saved, &(EncoderOptions){.dtype = dtype}, &b->e));
            assert_error(b->e, SP_UNSUPPORTED, "f32 only");
        } else {
            encoder_close(open_at(b, saved, dtype, (TrainOptions){0}));
        }
    }
    Encoder *again = open_at(b, saved, PACK_F32, (TrainOptions){0});
    assert_close(inferred(b, again, &batch, &n), inferred(b, en, &batch, &n), n, SUMS, w->model);
    encoder_close(again);
    encoder_close(en);
    encoder_close(plain);
}

static void one_forward_function(void **state)
{
    TestBench *b = *state;
    if (!trains(b))
        skip();
    char path[256];
    const char *folder = test_folder(path);
    for (size_t i = 0; i < COUNT(EXAMPLES); i++) {
        if (EXAMPLES[i].adapters) {
            adapted(b, folder, &EXAMPLES[i], PACK_F32);
            adapted(b, folder, &EXAMPLES[i], PACK_INT8);
        }
        trained(b, folder, &EXAMPLES[i], EXAMPLES[i].weights);
        trained(b, folder, &EXAMPLES[i], "*");
    }
    test_folder_remove(folder);
}

/* Reports whether a tensor is of the queries. Queries are trained, keys and values are not: one part of the fused
 * projection changes. */
static bool is_query(const char *name)
{
    return strstr(name, "query") != NULL;
}

static void parts_of_a_fused_projection(void **state)
{
    TestBench *b = *state;
    if (!trains(b))
        skip();
    char path[256];
    const char *folder = test_folder(path);
    Encoder *en = open_model(b, "bert", PACK_F32, (TrainOptions){.weights = "query.*"});
    Batch batch;
    int64_t n;
    batch_of(&batch, en, 0, NULL, NULL);
    inferred(b, en, &batch, &n);
    train(b, en, &batch, factors(b, n), 2, 0.01);
    check_saved(b, "bert", copy_model(b, folder, "bert", en), is_query);
    assert_non_null(store_find(en->store, "encoder.layer.1.attention.self.query.weight")->param);
    encoder_close(en);
    test_folder_remove(folder);
}

static void wrong_options(void **state)
{
    TestBench *b = *state;
    if (!trains(b))
        skip();
    static const struct {
        TrainOptions train;
        const char *error;
    } wrong[] = {{{.weights = "encoder.layer.7.*"}, "no weight that the encoder uses matches encoder.layer.7.*"},
                 {{.weights = "*, !decoder.*"}, "matches decoder.*"},
                 {{.adapters = "query, q_proj"}, "no linear layer that the encoder uses matches q_proj"},
                 {{.adapters = "LayerNorm"}, "matches LayerNorm"},
                 {{.adapters = "query", .rank = -1}, "expected a rank"},
                 {{.adapters = "query", .alpha = NAN}, "alpha"},
                 {{.adapters = "query", .dropout = 1}, "dropout"}};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        Error e = {0};
        assert_null(encoder_open(&b->d, drawn(ENCODERS "bert"), &(EncoderOptions){.train = wrong[i].train}, &e));
        assert_int_equal(e.code, SP_USAGE);
        if (!strstr(e.message, wrong[i].error))
            fail_msg("%s", e.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(adapters_over_packed_weights),
                                       cmocka_unit_test(one_forward_function),
                                       cmocka_unit_test(parts_of_a_fused_projection), cmocka_unit_test(wrong_options)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
