/* tests/api_hostile_test.c: sapor.h with arguments that are wrong on purpose: sizes of structs, NULL, a session in two
 * calls at the same time, models in memory that are cut, unaligned or damaged, failing inputs among good ones. Each
 * must end in an error and never in a crash. */
#include "tests/testing.h"

#include <pthread.h>

#define ENCODERS "tests/golden/encoders/"
#define IMAGE    "tests/golden/images/RGB.png"

static sp_encoder *open_model(const char *name, const sp_encoder_options *o)
{
    sp_error e;
    char path[200];
    snprintf(path, sizeof path, ENCODERS "%s", name);
    sp_encoder *m = sp_encoder_open_with(drawn(path), o, NULL, &e);
    assert_ok(m != NULL, e);
    return m;
}

static sp_session *open_session(int threads)
{
    sp_error e;
    sp_session *s = sp_session_open(threads, NULL, &e);
    assert_ok(s != NULL, e);
    return s;
}

/* ---- structs and NULL ------------------------------------------------------------------------ */

/* For every size, a struct is read completely or refused: a pointer is never cut in half. */
static void sizes_of_structs(void **state)
{
    (void)state;
    enum { MOST = 4200 };
    _Alignas(max_align_t) static char bytes[MOST];
    sp_error e;
    sp_output known;
    size_t floats;
    const char *usual = NULL;
    const sp_output_options output = {.name = NULL};
    const sp_encoder_options full = {.dtype = "f32", .device = "cpu", .outputs = &usual, .output_count = 1};
    const sp_call_options call = {.outputs = &output, .output_count = 1};
    sp_encoder *m = open_model("bert", NULL);
    for (size_t size = 0; size < MOST; size += size < 200 ? 1 : 977) {
        bool whole = size >= sizeof size && size % sizeof size == 0 && size <= 4096;
        memset(bytes, 0, sizeof bytes);
        memcpy(bytes, &full, MIN(size, sizeof full));
        memcpy(bytes, &size, sizeof size);
        sp_encoder *opened =
            sp_encoder_open_with(drawn(ENCODERS "bert"), (const sp_encoder_options *)(void *)bytes, NULL, &e);
        assert_int_equal(opened != NULL, whole);
        assert_true(whole || strstr(e.message, "sp_encoder_options: its size is "));
        sp_encoder_close(opened);
        memset(bytes, 0, sizeof bytes);
        memcpy(bytes, &call, MIN(size, sizeof call));
        memcpy(bytes, &size, sizeof size);
        assert_int_equal(sp_row_sizes(m, SP_TEXTS, (const sp_call_options *)(void *)bytes, &floats, &e), whole);
        memset(bytes, 0x55, sizeof bytes);
        memcpy(bytes, &size, sizeof size);
        assert_int_equal(sp_encoder_output(m, 0, (sp_output *)(void *)bytes, &e), whole);
        assert_true(bytes[MAX(size, sizeof size)] == 0x55); /* no byte after the struct is written */
        for (size_t i = sizeof known; whole && i < size; i++)
            assert_int_equal(bytes[i], 0);
    }
    sp_encoder_close(m);
}

static void null_is_an_error(void **state)
{
    (void)state;
    sp_error e;
    size_t count = 7, floats;
    float x[64], *out = x, *none = NULL;
    int32_t ids[4];
    const sp_text texts[] = {{NULL, 3}, {NULL, 0}};
    const char *null = NULL, *path = IMAGE, *word = "lamp";
    sp_encoder *m = open_model("bert", NULL), *image_encoder = open_model("resnet_basic", NULL);
    sp_session *s = open_session(1);
    const sp_image pixels = {.data = x, .width = 1, .height = 1};
    sp_call_options call = {.size = sizeof call, .output_count = 2};
    sp_encoder_options o = {.size = sizeof o, .output_count = 2};
    const sp_allocator empty = {NULL, NULL};
#define WRONG(what, why)                                                                                               \
    do {                                                                                                               \
        assert_false(what);                                                                                            \
        assert_error(e, SP_USAGE, why);                                                                                \
    } while (0)
    WRONG(sp_encoder_open(NULL, NULL, &e), "name or path is missing");
    WRONG(sp_encoder_open("", NULL, &e), "name or path is missing");
    WRONG(sp_encoder_open(drawn(ENCODERS "bert"), &empty, &e), "resize of the sp_allocator is NULL");
    WRONG(sp_encoder_open_with(drawn(ENCODERS "bert"), &o, NULL, &e), "output_count: 2, but outputs is NULL");
    o = (sp_encoder_options){.size = sizeof o, .resize = "opencv"};
    WRONG(sp_encoder_open_with(drawn(ENCODERS "vit"), &o, NULL, &e),
          "unknown library opencv; choose pil or torchvision");
    o.resize = "torchvision";
    WRONG(sp_encoder_open_with(drawn(ENCODERS "bert"), &o, NULL, &e), "resize torchvision is for images");
    WRONG(sp_encoder_open_memory(NULL, 1, NULL, NULL, &e), "list of files is NULL");
    WRONG(sp_tokenizer_open(NULL, NULL, &e), "path of the tokenizer is NULL");
    WRONG(sp_encoder_output(NULL, 0, NULL, &e), "this encoder has 0");
    WRONG(sp_encoder_output(m, 0, NULL, &e), "out is NULL");
    WRONG(sp_row_sizes(NULL, SP_TEXTS, NULL, &floats, &e), "the encoder is NULL");
    WRONG(sp_row_sizes(m, SP_TEXTS, &call, &floats, &e), "output_count: 2, but outputs is NULL");
    WRONG(sp_encode_texts(NULL, s, &word, 1, x, &e), "the encoder is NULL");
    WRONG(sp_encode_texts(m, NULL, &word, 1, x, &e), "the session is NULL");
    WRONG(sp_encode_texts(m, s, NULL, 1, x, &e), "list of texts is NULL");
    WRONG(sp_encode_texts(m, s, &null, 1, x, &e), "text 1 is NULL");
    WRONG(sp_encode_texts(m, s, &word, 1, NULL, &e), "out: has no memory for output 1");
    WRONG(sp_text_lengths(m, s, NULL, 1, NULL, NULL, NULL, &e), "list of texts is NULL");
    WRONG(sp_encode_text_batch(m, s, texts, 2, NULL, &out, NULL, NULL, &e), "text 1 is NULL");
    WRONG(sp_encode_text_batch(m, s, texts + 1, 1, NULL, NULL, NULL, NULL, &e), "out: has no memory");
    WRONG(sp_encode_text_batch(m, s, texts + 1, 1, NULL, &none, NULL, NULL, &e), "out: has no memory");
    WRONG(sp_encode_image_files(image_encoder, s, NULL, 1, x, &e), "list of paths is NULL");
    WRONG(sp_encode_image_files(image_encoder, s, &null, 1, x, &e), "image 1: set path or data");
    WRONG(sp_encode_image_files(image_encoder, s, &path, 1, NULL, &e), "out: has no memory");
    WRONG(sp_encode_image(image_encoder, s, NULL, 5, x, &e), "image 1: set path or data");
    WRONG(sp_encode_pixels(image_encoder, s, NULL, 5, 5, x, &e), "image 1: set path or data");
    WRONG(sp_encode_image_batch(image_encoder, s, NULL, 1, NULL, &out, NULL, &e), "list of images is NULL");
    WRONG(sp_encode_image_batch(image_encoder, s, &pixels, 1, NULL, NULL, NULL, &e), "out: has no memory");
    WRONG(sp_encode_image_batch(image_encoder, s, &(sp_image){.path = path, .width = 4}, 1, NULL, &out, NULL, &e),
          "are for data, not for a path");
    WRONG(sp_tokenize(NULL, word, 4, 0, ids, 4, &count, &e), "the tokenizer is NULL");
    assert_int_equal(count, 0);
    assert_ok(sp_encode_text_batch(m, s, texts + 1, 1, NULL, &out, NULL, NULL, &e), e); /* no bytes: an empty text */
    sp_tokenizer *t = sp_tokenizer_open(ENCODERS "bert", NULL, &e);
    WRONG(sp_tokenize(t, NULL, 4, 0, ids, 4, &count, &e), "the text is NULL");
    WRONG(sp_tokenize(t, word, 4, 0, NULL, 4, &count, &e), "ids is NULL");
    assert_ok(sp_tokenize(t, NULL, 0, 0, NULL, 0, &count, &e) && count == 2, e);
    sp_tokenizer_close(t);
    sp_session_close(s);
    sp_encoder_close(image_encoder);
    sp_encoder_close(m);
}

/* ---- options --------------------------------------------------------------------------------- */

static void options_of_calls(void **state)
{
    (void)state;
    sp_error e;
    sp_text_info info;
    const sp_text text = {"the small red leather bag of the lamp", 37};
    const char *pooler = "pooler_output";
    sp_encoder_options o = {.size = sizeof o, .max_length = 4, .pool = SP_POOL_NONE};
    sp_encoder *m = open_model("bert", &o);
    sp_session *s = open_session(1);
    sp_call_options call = {.size = sizeof call, .max_length = 7};
    assert_int_equal(sp_encoder_features(m), 0);
    assert_ok(sp_text_lengths(m, s, &text, 1, NULL, &info, NULL, &e), e);
    assert_int_equal(info.tokens, 4);
    assert_ok(sp_text_lengths(m, s, &text, 1, &call, &info, NULL, &e), e); /* a call can change the default */
    assert_int_equal(info.tokens, 7);
    float x[4 * 64];
    assert_false(sp_encode_texts(m, s, &text.text, 1, x, &e));
    assert_error(e, SP_USAGE, "use sp_encode_text_batch");
    sp_output_options output = {.normalize = 2};
    call = (sp_call_options){.size = sizeof call, .outputs = &output, .output_count = 1};
    assert_false(sp_text_lengths(m, s, &text, 1, &call, &info, NULL, &e));
    assert_error(e, SP_USAGE, "normalize: 2");
    sp_encoder_close(m);
    o = (sp_encoder_options){.size = sizeof o, .outputs = &pooler, .output_count = 1, .normalize = 1};
    assert_null(sp_encoder_open_with(drawn(ENCODERS "bert"), &o, NULL, &e));
    assert_error(e, SP_USAGE, "pool and normalize are for the usual output");
    o.normalize = 0;
    sp_encoder_close(open_model("bert", &o));
    o = (sp_encoder_options){.size = sizeof o, .modalities = SP_TEXTS};
    assert_null(sp_encoder_open_with(drawn(ENCODERS "vit"), &o, NULL, &e));
    assert_error(e, SP_USAGE, "vit models do not read texts");
    o.modalities = SP_TEXTS | SP_IMAGES;
    assert_null(sp_encoder_open_with(drawn(ENCODERS "bert"), &o, NULL, &e));
    assert_error(e, SP_USAGE, "bert models do not read images");
    sp_session_close(s);
}

/* ---- one session, two calls ------------------------------------------------------------------ */

typedef struct Again {
    const sp_encoder *m;
    sp_session *s;
    size_t refused, done;
} Again;

static bool call_again(void *user, size_t done, size_t n)
{
    Again *a = user;
    sp_error e;
    float x[64];
    const char *text = "bag";
    a->refused += !sp_encode_texts(a->m, a->s, &text, 1, x, &e) && e.code == SP_USAGE && done <= n;
    a->done = done;
    return true;
}

static void *use_session(void *arg)
{
    Again *a = arg;
    sp_error e;
    float x[64];
    const char *text = "the small red bag";
    for (int i = 0; i < 50; i++) {
        bool ok = sp_encode_texts(a->m, a->s, &text, 1, x, &e);
        a->done += ok;
        a->refused += !ok && e.code == SP_USAGE && strstr(e.message, "in another call");
    }
    return NULL;
}

static void a_session_is_in_one_call(void **state)
{
    (void)state;
    enum { THREADS = 3, N = 3 };
    sp_error e, status[N];
    float rows[N * 64], *out = rows;
    const sp_text texts[N] = {{"bag", 3}, {"the lamp", 8}, {"", 0}};
    Again again = {.m = open_model("bert", NULL), .s = open_session(2)};
    sp_call_options call = {.size = sizeof call, .progress = call_again, .user = &again};
    assert_ok(sp_encode_text_batch(again.m, again.s, texts, N, &call, &out, NULL, status, &e), e);
    assert_true(again.refused > 0);
    assert_int_equal(again.done, N);
    pthread_t threads[THREADS];
    Again each[THREADS];
    for (int i = 0; i < THREADS; i++) {
        each[i] = (Again){.m = again.m, .s = again.s};
        assert_int_equal(pthread_create(&threads[i], NULL, use_session, &each[i]), 0);
    }
    size_t calls = 0;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        calls += each[i].done + each[i].refused;
    }
    assert_int_equal(calls, THREADS * 50);
    sp_session_close(again.s);
    sp_encoder_close((sp_encoder *)again.m);
}

typedef struct Stop {
    size_t calls, done, n;
    bool now;
} Stop;

static bool stop(void *user, size_t done, size_t n)
{
    Stop *s = user;
    s->calls++;
    s->done = done;
    s->n = n;
    return !s->now;
}

/* Checks that the call-back is also called while texts are tokenised, and that it counts the inputs that fail. */
static void progress_counts_all(void **state)
{
    (void)state;
    enum { N = 1000 };
    sp_error e, *status = calloc(N, sizeof *status);
    sp_text *texts = calloc(N, sizeof *texts);
    sp_encoder *m = open_model("bert", NULL);
    sp_session *s = open_session(1);
    size_t D = sp_encoder_features(m);
    float *x = calloc(N * D, sizeof *x);
    Stop at = {.now = true};
    sp_call_options call = {.size = sizeof call, .progress = stop, .user = &at};
    for (size_t i = 0; i < N; i++)
        texts[i] = (sp_text){"bag", 3};
    assert_false(sp_text_lengths(m, s, texts, N, &call, NULL, NULL, &e));
    assert_error(e, SP_CANCELLED, "cancelled after");
    assert_int_equal(at.calls, 1);
    at = (Stop){.now = false};
    call.max_length = 1; /* too short for the special tokens: all inputs fail */
    assert_ok(sp_encode_text_batch(m, s, texts, N, &call, &x, NULL, status, &e), e);
    assert_true(status[N - 1].code == SP_USAGE && at.n == N);
    free(x);
    free(texts);
    free(status);
    sp_session_close(s);
    sp_encoder_close(m);
}

/* ---- models in memory ------------------------------------------------------------------------ */

enum { FILES = 7 };
static const char *const NAMES[FILES] = {
    "config.json",           "model.safetensors",        "vocab.txt", "tokenizer_config.json", "modules.json",
    "1_Pooling/config.json", "sentence_bert_config.json"};

/* Copies each file into a block of its own. The copy begins `shift` bytes after an aligned address. The block ends with
 * the last byte of the file. */
static void copy_files(sp_file files[FILES], size_t shift)
{
    for (size_t i = 0; i < FILES; i++) {
        char path[200];
        snprintf(path, sizeof path, ENCODERS "bert/%s", NAMES[i]);
        sp_error e = {0};
        Map m;
        assert_ok(map_open(&m, drawn(path), &e), e);
        char *copy = malloc(m.bytes + shift);
        memcpy(copy + shift, m.data, m.bytes);
        files[i] = (sp_file){strdup(NAMES[i]), copy + shift, m.bytes};
        map_close(&m);
    }
}

static void free_files(sp_file files[FILES], size_t shift)
{
    for (size_t i = 0; i < FILES; i++) {
        free((char *)(uintptr_t)files[i].data - shift);
        free((char *)(uintptr_t)files[i].name);
    }
}

static void encode_bag(const sp_encoder *m, float *x)
{
    sp_error e;
    sp_session *s = open_session(1);
    const char *text = "a small red leather bag";
    assert_ok(sp_encode_texts(m, s, &text, 1, x, &e), e);
    sp_session_close(s);
}

/* Checks that files in memory may have any alignment, and that the list and the names may be freed after the call. */
static void bytes_at_any_place(void **state)
{
    (void)state;
    float x[64], y[64];
    sp_encoder *opened = open_model("bert", NULL);
    size_t D = sp_encoder_features(opened);
    encode_bag(opened, x);
    for (size_t shift = 0; shift < 5; shift++) {
        sp_error e;
        sp_file *files = calloc(FILES, sizeof *files), kept[FILES];
        copy_files(files, shift);
        sp_encoder *m = sp_encoder_open_memory(files, FILES, NULL, NULL, &e);
        assert_ok(m != NULL, e);
        memcpy(kept, files, sizeof kept);
        for (size_t i = 0; i < FILES; i++) {
            free((char *)(uintptr_t)files[i].name);
            kept[i].name = NULL;
        }
        free(files);
        encode_bag(m, y);
        assert_memory_equal(x, y, D * sizeof *x);
        sp_encoder_close(m);
        free_files(kept, shift);
    }
    sp_encoder_close(opened);
}

/* Opens every prefix of every file: the result is an encoder or an error of one line. */
static void cut_anywhere(void **state)
{
    (void)state;
    sp_file files[FILES];
    copy_files(files, 0);
    for (size_t i = 0; i < FILES; i++) {
        sp_file whole = files[i];
        for (size_t n = 0; n < whole.bytes; n += n < 400 ? 1 : 997) {
            sp_error e;
            char *cut = malloc(n + 1);
            memcpy(cut + 1, whole.data, n);
            files[i] = (sp_file){whole.name, n ? cut + 1 : NULL, n};
            sp_encoder *m = sp_encoder_open_memory(files, FILES, NULL, NULL, &e);
            assert_true((m != NULL) == (e.code == SP_OK));
            assert_true(m || (e.code != SP_MEMORY && e.message[0] && !strchr(e.message, '\n')));
            sp_encoder_close(m);
            free(cut);
        }
        files[i] = whole;
    }
    free_files(files, 0);
}

/* Writes NaN into row `row` of a table [rows, width] of float32. */
static void spoil_row(sp_file *weights, const char *tensor, size_t row, size_t width)
{
    unsigned char *bytes = (unsigned char *)(uintptr_t)weights->data;
    uint64_t header;
    memcpy(&header, bytes, 8);
    char *name = strstr((char *)bytes + 8, tensor), *at = name ? strstr(name, "data_offsets\":[") : NULL;
    assert_non_null(at);
    size_t begin = strtoul(at + 15, NULL, 10);
    memset(bytes + 8 + header + begin + row * width * 4, 0xff, width * 4);
}

/* Checks that a text on which the model fails has zeros in all its rows, also if the rows are tokens. */
static void rows_of_a_text_that_fails(void **state)
{
    (void)state;
    enum { N = 3 };
    sp_error e, status[N];
    sp_text_info info[N];
    sp_file files[FILES];
    int32_t ids[8];
    size_t count, total = 0, at = 0;
    copy_files(files, 0);
    sp_tokenizer *t = sp_tokenizer_open(ENCODERS "bert", NULL, &e);
    assert_ok(sp_tokenize(t, "shoe", 4, 0, ids, 8, &count, &e) && count >= 3, e);
    sp_encoder *m = open_model("bert", NULL);
    size_t D = sp_encoder_features(m);
    sp_encoder_close(m);
    spoil_row(&files[1], "embeddings.word_embeddings.weight", (size_t)ids[1], D);
    m = sp_encoder_open_memory(files, FILES, NULL, NULL, &e);
    assert_ok(m != NULL, e);
    sp_session *s = open_session(2);
    const sp_text texts[N] = {{"the shirt", 9}, {"the shoe", 8}, {"soft leather of the", 19}};
    const sp_output_options two[2] = {{.pool = SP_POOL_NONE}, {.name = NULL}};
    sp_call_options call = {.size = sizeof call, .outputs = two, .output_count = 2};
    assert_ok(sp_text_lengths(m, s, texts, N, &call, info, NULL, &e), e);
    for (size_t i = 0; i < N; i++)
        total += info[i].tokens;
    float *rows = malloc(total * D * sizeof *rows), pooled[N * 64], *out[2] = {rows, pooled};
    memset(rows, 0x41, total * D * sizeof *rows);
    assert_ok(sp_encode_text_batch(m, s, texts, N, &call, out, info, status, &e), e);
    assert_true(status[0].code == SP_OK && status[2].code == SP_OK);
    assert_error(status[1], SP_FORMAT, "NaN or infinite");
    for (size_t i = 0; i < N; at += info[i++].tokens) {
        double sum = 0;
        for (size_t k = 0; k < info[i].tokens * D; k++)
            sum += (double)rows[at * D + k] * (double)rows[at * D + k];
        assert_true(i == 1 ? sum == 0 : sum > 0 && sum < 1e6);
    }
    assert_false(sp_encode_text_batch(m, s, texts, N, &call, out, info, NULL, &e));
    assert_error(e, SP_FORMAT, "text 2: its features are NaN");
    free(rows);
    sp_session_close(s);
    sp_encoder_close(m);
    sp_tokenizer_close(t);
    free_files(files, 0);
}

/* ---- images ---------------------------------------------------------------------------------- */

/* Checks that the number of an image in a message is its number in the call, also in later groups of the call. */
static void numbers_of_images(void **state)
{
    (void)state;
    enum { N = 70 };
    static sp_image images[N];
    static sp_error status[N];
    sp_error e;
    sp_encoder *m = open_model("resnet_basic", NULL);
    sp_session *s = open_session(2);
    size_t D = sp_encoder_features(m);
    float *x = calloc(N * D, sizeof *x);
    for (size_t i = 0; i < N; i++)
        images[i] = (sp_image){.data = "GIF89a", .bytes = 6};
    assert_ok(sp_encode_image_batch(m, s, images, N, NULL, &x, status, &e), e);
    for (size_t i = 0; i < N; i++) {
        char start[40];
        snprintf(start, sizeof start, "image %zu: is not a JPEG", i + 1);
        assert_error(status[i], SP_FORMAT, start);
    }
    free(x);
    sp_session_close(s);
    sp_encoder_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_of_structs),    cmocka_unit_test(null_is_an_error),
        cmocka_unit_test(options_of_calls),    cmocka_unit_test(a_session_is_in_one_call),
        cmocka_unit_test(progress_counts_all), cmocka_unit_test(bytes_at_any_place),
        cmocka_unit_test(cut_anywhere),        cmocka_unit_test(rows_of_a_text_that_fails),
        cmocka_unit_test(numbers_of_images),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
