/* tests/calls_test.c: calls of an encoder: any outputs in one pass, options that do not apply, failing inputs among
 * good ones, files in memory, and the threads that compute. */
#include <pthread.h>
#include <unistd.h>

#include "tests/encoder_testing.h" /* before cmocka, which has a macro named fail */

#include "tests/testing.h"

#define ENCODERS "tests/golden/encoders/"
#define IMAGES   "tests/golden/images/"

static const char *const MODELS[] = {"bert",
                                     "distilbert",
                                     "mpnet",
                                     "vit",
                                     "vit_pooler",
                                     "resnet_basic",
                                     "resnet_basic.safetensors",
                                     "resnet_bottleneck",
                                     "efficientnet_lite.safetensors",
                                     "xlm_roberta",
                                     "efficientnet",
                                     "efficientnet_hf",
                                     "clip",
                                     "altclip",
                                     "align"};
static const Text TEXTS[] = {{"a small red leather bag", 23}, {"lamp", 4}, {"", 0}, {"the new light of the lamp", 25}};
static const char *const FILES[] = {IMAGES "RGB.png", IMAGES "interlaced.png", IMAGES "progressive.jpg"};

typedef struct TestBench {
    Error e;
    Arena *a;
    Device d;
    Tape *t;
} TestBench;

static int set_up(void **state)
{
    TestBench *b = calloc(1, sizeof *b);
    b->a = arena_new(NULL, 0);
    if (!device_open(&b->d, NULL, 2, NULL, NULL, &b->e) || !(b->t = tape_new(&b->d, false, &b->e)))
        return -1;
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    TestBench *b = *state;
    tape_free(b->t);
    device_close(&b->d);
    arena_free(b->a);
    free(b);
    return 0;
}

/* Opens a model with all outputs, including nodes inside a block, which are loaded only if they are named. */
static Encoder *open_all(TestBench *b, const char *model)
{
    const char *path = drawn(arena_printf(b->a, &b->e, ENCODERS "%s", model));
    Encoder *usual = encoder_open(&b->d, path, &(EncoderOptions){0}, &b->e);
    if (!usual)
        fail_msg("%s", b->e.message);
    const char **names = NEW(b->a, const char *, usual->output_count, &b->e);
    EncoderOptions all = {.outputs = names, .output_count = usual->output_count};
    for (size_t i = 0; i < usual->output_count; i++)
        names[i] = usual->outputs[i].name;
    Encoder *en = encoder_open(&b->d, path, &all, &b->e);
    if (!en)
        fail_msg("%s", b->e.message);
    encoder_close(usual);
    return en;
}

/* The results of a call for the golden inputs: output i of the call, and its size in bytes. */
typedef struct Encoded {
    float **out;
    size_t *bytes;
} Encoded;

static Encoded encode(TestBench *b, const Call *c)
{
    TokenLists lists;
    ImageInput images[COUNT(FILES)] = {0};
    bool texts = c->modality == MODALITY_TEXT;
    Encoded g = {NEW(b->a, float *, c->count, &b->e), NEW(b->a, size_t, c->count, &b->e)};
    Results r = {.out = g.out};
    if (texts)
        assert_ok(call_tokenize(c, b->t, TEXTS, COUNT(TEXTS), &lists, &r, b->a, &b->e), b->e);
    for (size_t i = 0; i < c->count; i++) {
        size_t rows = !texts ? COUNT(FILES) : c->outputs[i].per_token ? lists.start[COUNT(TEXTS)] : COUNT(TEXTS);
        g.bytes[i] = rows * (size_t)c->outputs[i].floats * sizeof(float);
        g.out[i] = arena_alloc(b->a, g.bytes[i], 1, &b->e);
    }
    for (size_t i = 0; i < COUNT(FILES); i++)
        images[i].path = FILES[i];
    assert_ok(texts ? encode_tokens(c, b->t, &lists, &r, &b->e)
                    : encode_images(c, b->t, images, COUNT(FILES), &r, &b->e),
              b->e);
    return g;
}

/* Checks that all outputs of a tower in one pass have the bits that each has alone, and the shapes of the table. */
static void check_tower(TestBench *b, const char *model, const Encoder *en, unsigned tower)
{
    OutputOptions *all = NEW(b->a, OutputOptions, 2 * en->output_count, &b->e);
    size_t requested = 0;
    for (size_t i = 0; i < en->output_count; i++) {
        const Output *o = &en->outputs[i];
        if (o->modality != tower)
            continue;
        all[requested++].name = o->name;
        if (o->rows == ROWS_TOKENS) /* the same output twice: as rows, and pooled */
            all[requested++] = (OutputOptions){.name = o->name, .pool = o->pool == POOL_NONE ? POOL_MEAN : POOL_NONE};
    }
    Call *together = call_new(en, tower, &(CallOptions){.outputs = all, .output_count = requested}, b->a, &b->e);
    assert_ok(together != NULL, b->e);
    Encoded whole = encode(b, together);
    for (size_t i = 0; i < requested; i++) {
        Call *one = call_new(en, tower, &(CallOptions){.outputs = &all[i], .output_count = 1}, b->a, &b->e);
        assert_ok(one != NULL, b->e);
        Encoded alone = encode(b, one);
        const Output *o = &en->outputs[one->outputs[0].number];
        assert_int_equal(alone.bytes[0], whole.bytes[i]);
        if (memcmp(alone.out[0], whole.out[i], alone.bytes[0]) != 0)
            fail_msg("%s: %s has other bits with the other outputs", model, o->name);
        assert_true(one->outputs[0].floats >= o->width && one->outputs[0].floats % o->width == 0);
        if (o->rows == ROWS_VECTOR || one->outputs[0].pool != POOL_NONE)
            assert_int_equal(one->outputs[0].floats, o->width);
    }
}

static void outputs_of_one_pass(void **state)
{
    static const unsigned TOWERS[] = {MODALITY_IMAGE, MODALITY_TEXT};
    TestBench *b = *state;
    for (size_t m = 0; m < COUNT(MODELS); m++) {
        Encoder *en = open_all(b, MODELS[m]);
        for (size_t i = 0; i < COUNT(TOWERS); i++)
            if (en->towers & TOWERS[i])
                check_tower(b, MODELS[m], en, TOWERS[i]);
        encoder_close(en);
    }
}

static float *output_of(TestBench *b, const Encoder *en, const char *name, Pooling pool, size_t *bytes)
{
    OutputOptions o = {.name = name, .pool = pool, .normalize = -1};
    Call *c = call_new(en, en->towers, &(CallOptions){.outputs = &o, .output_count = 1}, b->a, &b->e);
    assert_ok(c != NULL, b->e);
    Encoded g = encode(b, c);
    *bytes = g.bytes[0];
    return g.out[0];
}

/* Pairs of outputs where both are the same tensor, or one is computed from the other. */
static void outputs_fit_together(void **state)
{
    static const struct {
        const char *model, *one, *other;
        Pooling pool, other_pool;
    } cases[] = {{"bert", "hidden_states.2", "last_hidden_state", POOL_NONE, POOL_NONE},
                 {"distilbert", "1", "last_hidden_state", POOL_CLS, POOL_CLS},
                 {"vit", "cls", "last_hidden_state", POOL_MODEL, POOL_CLS},
                 {"resnet_basic", "layer4", "last_hidden_state", POOL_MODEL, POOL_MODEL},
                 {"resnet_basic", "layer2.1", "layer2", POOL_MODEL, POOL_MODEL},
                 {"resnet_basic", "pooler_output", "1", POOL_MODEL, POOL_MODEL}};
    TestBench *b = *state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        Encoder *en = open_all(b, cases[i].model);
        size_t n, m;
        float *x = output_of(b, en, cases[i].one, cases[i].pool, &n),
              *y = output_of(b, en, cases[i].other, cases[i].other_pool, &m);
        assert_int_equal(n, m);
        assert_memory_equal(x, y, n);
        encoder_close(en);
    }
}

/* Checks that each of these options ends in an error of one line before anything is computed. */
static void options_that_do_not_apply(void **state)
{
    static const Preset SMALL = {.width = 8, .height = 8, .std = {1, 1, 1}};
    static const struct {
        const char *model;
        unsigned modality; /* 0: the model's only one */
        OutputOptions output;
        CallOptions call;
        const char *why;
    } cases[] = {
        {"bert", MODALITY_IMAGE, {0}, {0}, "bert models encode texts, not images"},
        {"vit", MODALITY_TEXT, {0}, {0}, "vit models encode images, not texts"},
        {"bert", 0, {.name = "layer4"}, {0}, "has no layer layer4; it has last_hidden_state, pooler_output"},
        {"bert", 0, {.name = "pooler_output", .pool = POOL_NONE}, {0}, "gives one row per input"},
        {"bert", 0, {.name = "pooler_output", .pool = POOL_CLS}, {0}, "has no tokens to pool; remove pool cls"},
        {"bert", 0, {.pool = POOL_NONE, .normalize = 1}, {0}, "gives a row per token, which is not normalized"},
        {"bert", 0, {0}, {.preset = &SMALL}, "sizes of images are not for texts"},
        {"bert", 0, {0}, {.keep_size = true}, "sizes of images are not for texts"},
        {"bert", 0, {0}, {.max_tokens = -1}, "max_tokens: -1"},
        {"resnet_basic", 0, {.pool = POOL_MEAN}, {0}, "has no tokens to pool; remove pool mean"},
        {"resnet_basic", 0, {.name = "layer1", .pool = POOL_MAX}, {0}, "has no tokens to pool"},
        {"resnet_basic", 0, {.name = "layer1", .normalize = 1}, {0}, "gives a feature map, which is not normalized"},
        {"resnet_basic", 0, {0}, {.max_tokens = 8}, "max_tokens is for texts"},
        {"vit", 0, {0}, {.preset = &SMALL}, "expected images of 32 x 32, not 8 x 8"},
        {"vit", 0, {.name = "last_hidden_state", .normalize = 1}, {0}, "a row per token, which is not normalized"},
    };
    TestBench *b = *state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        Encoder *en = open_all(b, cases[i].model);
        CallOptions o = cases[i].call;
        o.outputs = &cases[i].output;
        o.output_count = 1;
        unsigned modality = cases[i].modality ? cases[i].modality : en->towers;
        if (call_new(en, modality, &o, b->a, &b->e))
            fail_msg("%s, case %zu: is accepted", cases[i].model, i);
        assert_error(b->e, SP_USAGE, cases[i].why);
        encoder_close(en);
    }
}

/* Checks that only named outputs are loaded, and that a call can request only those. */
static void named_outputs_are_loaded(void **state)
{
    TestBench *b = *state;
    const char *names[] = {"layer2", NULL};
    Encoder *en = encoder_open(&b->d, drawn(ENCODERS "resnet_basic"),
                               &(EncoderOptions){.outputs = names, .output_count = 1}, &b->e);
    assert_ok(en != NULL, b->e);
    size_t few = store_bytes(en->store);
    OutputOptions fc = {.name = "fc"};
    assert_null(call_new(en, MODALITY_IMAGE, &(CallOptions){.outputs = &fc, .output_count = 1}, b->a, &b->e));
    assert_error(b->e, SP_USAGE, "fc was not loaded; name it when the model is opened");
    assert_null(call_new(en, MODALITY_IMAGE, &(CallOptions){0}, b->a, &b->e));
    assert_error(b->e, SP_USAGE, "avgpool was not loaded");
    encoder_close(en);
    en = encoder_open(&b->d, drawn(ENCODERS "resnet_basic"), &(EncoderOptions){.outputs = names, .output_count = 2},
                      &b->e);
    assert_ok(en != NULL, b->e);
    assert_true(store_bytes(en->store) > few);
    assert_non_null(call_new(en, MODALITY_IMAGE, &(CallOptions){0}, b->a, &b->e));
    encoder_close(en);
}

/* Checks that a text or an image that fails has zeros and an error, and that the other inputs keep their bits. */
static void failures_among_others(void **state)
{
    TestBench *b = *state;
    char folder[256], path[512];
    Error status[4];
    test_folder(folder);
    static const char *const NAMES[] = {"model.safetensors", "config.json"};
    for (size_t i = 0; i < COUNT(NAMES); i++) {
        Text bytes;
        snprintf(path, sizeof path, ENCODERS "bert/%s", NAMES[i]);
        assert_ok(file_read(&bytes, b->a, drawn(path), 0, &b->e), b->e);
        test_write(folder, NAMES[i], bytes);
    }
    char vocabulary[4096] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nbag\n";
    for (int i = 6; i < 304; i++)
        sprintf(vocabulary + strlen(vocabulary), "x%d\n", i);
    strcat(vocabulary, "cat\n"); /* number 304: the model has no row for it */
    test_write(folder, "vocab.txt", text_of(vocabulary));
    OpenModel m = open_encoder(&b->d, folder, &(TestOptions){0}, b->a, &b->e);
    assert_ok(m.en != NULL, b->e);
    const Text texts[] = {TEXT("bag"), TEXT("cat"), TEXT("bag bag")};
    float *x = NEW(b->a, float, 4 * m.D, &b->e), *y = NEW(b->a, float, 4 * m.D, &b->e);
    Results r = {.out = &x, .status = status};
    memset(status, 0, sizeof status);
    assert_ok(encode_texts(m.call, b->t, texts, 3, &r, &b->e), b->e);
    assert_true(status[0].code == SP_OK && status[2].code == SP_OK && r.refused == 1);
    assert_error(status[1], SP_FORMAT, "token 'cat' has id 304");
    assert_ok(encode_some_texts(&m, b->t, texts, 1, y, &b->e), b->e);
    assert_memory_equal(x, y, m.D * sizeof *x);
    for (size_t i = 0; i < m.D; i++)
        assert_true(x[m.D + i] == 0.0f);
    encoder_close(m.en);

    m = open_encoder(&b->d, ENCODERS "resnet_basic", &(TestOptions){0}, b->a, &b->e);
    assert_ok(m.en != NULL, b->e);
    const ImageInput images[] = {
        {.path = FILES[0]}, {.path = "absent.png"}, {.bytes = TEXT("GIF89a")}, {.path = FILES[0]}};
    x = NEW(b->a, float, 4 * m.D, &b->e);
    r.refused = 0;
    assert_ok(encode_images(m.call, b->t, images, 4, &r, &b->e), b->e);
    assert_true(status[0].code == SP_OK && status[3].code == SP_OK && r.refused == 0);
    assert_error(status[1], SP_IO, "absent.png");
    assert_error(status[2], SP_FORMAT, "image 3: is not a JPEG");
    assert_memory_equal(x, x + 3 * m.D, m.D * sizeof *x);
    r.status = NULL;
    assert_false(encode_images(m.call, b->t, images + 2, 2, &r, &b->e));
    assert_error(b->e, SP_FORMAT, "image 1: is not a JPEG");
    encoder_close(m.en);
    test_folder_remove(folder);
}

/* Images that keep their sizes: a vector has one width for all sizes; a map must have one size. */
static void kept_sizes(void **state)
{
    static const char *const layers[] = {NULL, "layer1"};
    TestBench *b = *state;
    Encoder *en = open_all(b, "resnet_basic");
    unsigned char pixels[3 * 40 * 40];
    memset(pixels, 100, sizeof pixels);
    const ImageInput images[] = {{.pixels = {.width = 32, .height = 32, .pixels = pixels}},
                                 {.pixels = {.width = 24, .height = 32, .pixels = pixels}},
                                 {.pixels = {.width = 40, .height = 40, .pixels = pixels}}};
    const Preset preset = {.width = 32, .height = 32, .std = {1, 1, 1}};
    for (size_t i = 0; i < COUNT(layers); i++) {
        OutputOptions o = {.name = layers[i]};
        CallOptions options = {.outputs = &o, .output_count = 1, .preset = &preset, .keep_size = true};
        Call *c = call_new(en, MODALITY_IMAGE, &options, b->a, &b->e);
        assert_ok(c != NULL, b->e);
        Error status[COUNT(images)] = {{0}};
        float *x = NEW(b->a, float, COUNT(images) * (size_t)c->outputs[0].floats, &b->e);
        Results r = {.out = &x, .status = status};
        assert_ok(encode_images(c, b->t, images, COUNT(images), &r, &b->e), b->e);
        for (size_t k = 0; k < COUNT(images); k++)
            if (i && k)
                assert_error(status[k], SP_USAGE, "this output needs images of one size, 32 x 32");
            else
                assert_ok(status[k].code == SP_OK, status[k]);
    }
    encoder_close(en);
}

/* ---- threads --------------------------------------------------------------------------------- */

typedef struct Seen {
    pthread_mutex_t lock;
    pthread_t threads[8];
    size_t count;
} Seen;

static bool see_thread(void *arg, size_t i, const Image *image, Arena *scratch, Error *e)
{
    Seen *s = arg;
    (void)i, (void)image, (void)scratch, (void)e;
    usleep(2000); /* long enough for the others to begin */
    pthread_mutex_lock(&s->lock);
    bool known = false;
    for (size_t k = 0; k < s->count; k++)
        known = known || pthread_equal(s->threads[k], pthread_self());
    if (!known && s->count < COUNT(s->threads))
        s->threads[s->count++] = pthread_self();
    pthread_mutex_unlock(&s->lock);
    return true;
}

/* Checks that an encoder opened by one thread uses the threads of the tape: the bits are the same, and every thread
 * works. */
static void the_tapes_threads_work(void **state)
{
    TestBench *b = *state;
    Device one, four;
    assert_ok(device_open(&one, NULL, 1, NULL, NULL, &b->e), b->e);
    assert_ok(device_open(&four, NULL, 4, NULL, NULL, &b->e), b->e);
    OpenModel m = open_encoder(&one, ENCODERS "resnet_basic", &(TestOptions){0}, b->a, &b->e);
    assert_ok(m.en != NULL, b->e);
    Tape *alone = tape_new(&one, false, &b->e), *together = tape_new(&four, false, &b->e);
    enum { N = 40 };
    ImageInput images[N] = {0};
    for (size_t i = 0; i < N; i++)
        images[i].path = FILES[i % COUNT(FILES)];
    float *x = NEW(b->a, float, N *m.D, &b->e), *y = NEW(b->a, float, N *m.D, &b->e);
    assert_ok(encode_images(m.call, alone, images, N, &(Results){.out = &x}, &b->e), b->e);
    assert_ok(encode_images(m.call, together, images, N, &(Results){.out = &y}, &b->e), b->e);
    assert_memory_equal(x, y, N * m.D * sizeof *x);
    Seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER};
    Error *errors = NEW(b->a, Error, N, &b->e);
    assert_ok(images_each(together, images, N, see_thread, &seen, errors, &b->e), b->e);
    assert_true(seen.count > 1 && seen.count <= 4);
    seen.count = 0;
    assert_ok(images_each(alone, images, N, see_thread, &seen, errors, &b->e), b->e);
    assert_int_equal(seen.count, 1);
    tape_free(alone);
    tape_free(together);
    encoder_close(m.en);
    device_close(&one);
    device_close(&four);
}

static bool stop_at_once(void *arg, size_t done, size_t n)
{
    size_t *calls = arg;
    return done <= n && ++*calls > 1;
}

static void a_call_is_cancelled(void **state)
{
    TestBench *b = *state;
    static const char *const models[] = {"bert", "vit"};
    for (size_t i = 0; i < COUNT(models); i++) {
        Encoder *en = open_all(b, models[i]);
        Call *c = call_new(en, en->towers, &(CallOptions){0}, b->a, &b->e);
        size_t calls = 0, D = (size_t)c->outputs[0].floats;
        ImageInput image = {.path = FILES[0]};
        float *x = NEW(b->a, float, COUNT(TEXTS) * D, &b->e);
        Results r = {.out = &x};
        c->progress = stop_at_once;
        c->progress_arg = &calls;
        assert_false(i ? encode_images(c, b->t, &image, 1, &r, &b->e)
                       : encode_texts(c, b->t, TEXTS, COUNT(TEXTS), &r, &b->e));
        assert_error(b->e, SP_CANCELLED, "cancelled after");
        assert_int_equal(calls, 1);
        encoder_close(en);
    }
}

/* Checks that a text's row is its first token with the given id, or with the largest id. */
static void rows_of_texts(void **state)
{
    static const int32_t ids[] = {5, 9, 3, 9, 3, 7, 8, 3}, offsets[] = {0, 5, 7, 8};
    static const struct {
        int64_t id;
        int32_t rows[3];
    } cases[] = {{3, {2, 5, 7}}, {9, {1, 5, 7}}, {5, {0, 5, 7}}, {8, {0, 6, 7}}, {LARGEST_ID, {1, 6, 7}}};
    const TextBatch texts = {.ragged = {.B = 3, .total = 8, .offsets = offsets}, .ids = ids};
    TestBench *b = *state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        int32_t got[3];
        Tape *t = tape_new(&b->d, false, &b->e);
        Tensor *at = row_numbers_of_token(t, &texts, cases[i].id);
        assert_ok(tape_ok(t, &b->e), b->e);
        assert_int_equal(at->count, 3);
        tensor_read(&b->d, at, 0, 3, got);
        assert_memory_equal(got, cases[i].rows, sizeof got);
        tape_free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outputs_of_one_pass),
        cmocka_unit_test(outputs_fit_together),
        cmocka_unit_test(options_that_do_not_apply),
        cmocka_unit_test(named_outputs_are_loaded),
        cmocka_unit_test(failures_among_others),
        cmocka_unit_test(kept_sizes),
        cmocka_unit_test(rows_of_texts),
        cmocka_unit_test(the_tapes_threads_work),
        cmocka_unit_test(a_call_is_cancelled),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
