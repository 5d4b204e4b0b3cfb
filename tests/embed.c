/* tests/embed.c: a program that uses only sapor.h and a library, as a program outside of the tree does.
 * tests/build_test.sh compiles it as C and as C++, against libsapor.so and libsapor.a, and runs it: embed TEXT_MODEL
 * IMAGE_MODEL IMAGE. tests/embed_recommend.c tests the recommenders. Exit status 0: every call does what the header
 * states. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sapor.h"

static int failures = 0;
#define CHECK(x) ((x) ? (void)0 : (void)(failures++, fprintf(stderr, "embed.c:%d: not so: %s\n", __LINE__, #x)))

/* An allocator that counts, to check at the end that all memory was freed. */
typedef struct Meter {
    pthread_mutex_t lock;
    size_t bytes, calls;
} Meter;

static void *metered(void *user, void *p, size_t old_bytes, size_t new_bytes)
{
    Meter *m = (Meter *)user;
    void *q = NULL;
    if (new_bytes)
        q = realloc(p, new_bytes);
    else
        free(p);
    if (q || !new_bytes) {
        pthread_mutex_lock(&m->lock);
        m->bytes += new_bytes - old_bytes;
        m->calls++;
        pthread_mutex_unlock(&m->lock);
    }
    return q;
}

static const char *const TEXTS[] = {"a red leather bag", "a brass lamp"};

static float *new_rows(size_t n, size_t D)
{
    return (float *)malloc((n * D + 1) * sizeof(float));
}

/* One of two threads: the same encoder, its own session. */
typedef struct Task {
    const sp_encoder *encoder;
    float *out;
    bool ok;
} Task;

static void *encode(void *arg)
{
    Task *t = (Task *)arg;
    sp_error e;
    sp_session *s = sp_session_open(1, NULL, &e);
    t->ok = s && sp_encode_texts(t->encoder, s, TEXTS, 2, t->out, &e);
    sp_session_close(s);
    return NULL;
}

static void check_texts(const char *model, const sp_allocator *memory)
{
    sp_error e;
    sp_session *s = sp_session_open(2, memory, &e);
    sp_encoder *m = sp_encoder_open(model, memory, &e);
    CHECK(s && m && e.code == SP_OK && e.message[0] == '\0');
    CHECK(sp_encoder_reads_texts(m) && !sp_encoder_reads_images(m));
    CHECK(sp_encoder_logit_scale(m) == 0 && sp_encoder_logit_scale(NULL) == 0);
    size_t D = sp_encoder_features(m);
    CHECK(D > 0);
    if (s && m && D) {
        float *both = new_rows(2, D), *one = new_rows(1, D), *shared = new_rows(4, D);
        Task tasks[2] = {{m, shared, false}, {m, shared + 2 * D, false}};
        pthread_t threads[2];
        CHECK(sp_encode_texts(m, s, TEXTS, 2, both, &e));
        CHECK(sp_encode_texts(m, s, TEXTS + 1, 1, one, &e));
        CHECK(memcmp(both + D, one, D * sizeof *one) == 0); /* the bits do not depend on the other texts of the call */
        for (int i = 0; i < 2; i++)
            CHECK(pthread_create(&threads[i], NULL, encode, &tasks[i]) == 0);
        for (int i = 0; i < 2; i++)
            pthread_join(threads[i], NULL);
        CHECK(tasks[0].ok && tasks[1].ok);
        CHECK(memcmp(shared, both, 2 * D * sizeof *both) == 0 &&
              memcmp(shared + 2 * D, both, 2 * D * sizeof *both) == 0);
        CHECK(sp_encode_texts(m, s, TEXTS, 0, NULL, &e));
        CHECK(!sp_encode_image(m, s, "x", 1, one, &e) && e.code == SP_USAGE); /* the model does not read images */
        /* an error does not affect the next call */
        CHECK(sp_encode_texts(m, s, TEXTS, 1, one, &e) && e.code == SP_OK);
        free(both);
        free(one);
        free(shared);
    }
    sp_encoder_close(m);
    sp_session_close(s);
}

static void check_images(const char *model, const char *path, const sp_allocator *memory)
{
    sp_error e;
    sp_session *s = sp_session_open(1, memory, &e);
    sp_encoder *m = sp_encoder_open(model, memory, &e);
    size_t D = sp_encoder_features(m);
    CHECK(s && m && D > 0 && sp_encoder_reads_images(m));
    FILE *f = fopen(path, "rb");
    static char data[1 << 20];
    size_t bytes = f ? fread(data, 1, sizeof data, f) : 0;
    if (f)
        fclose(f);
    CHECK(bytes > 0);
    if (s && m && D) {
        const char *absent = "absent.png";
        float *a = new_rows(1, D), *b = new_rows(1, D);
        static const unsigned char grey[3 * 8 * 8] = {0};
        CHECK(sp_encode_image_files(m, s, &path, 1, a, &e));
        CHECK(sp_encode_image(m, s, data, bytes, b, &e));
        CHECK(memcmp(a, b, D * sizeof *a) == 0);
        CHECK(sp_encode_pixels(m, s, grey, 8, 8, b, &e));
        CHECK(!sp_encode_pixels(m, s, grey, 0, 8, b, &e) && e.code == SP_USAGE);
        CHECK(!sp_encode_image_files(m, s, &absent, 1, a, &e) && e.code == SP_IO && strstr(e.message, "absent.png"));
        CHECK(!sp_encode_image(m, s, data, bytes / 2, a, &e) && e.code == SP_FORMAT);
        free(a);
        free(b);
    }
    sp_encoder_close(m);
    sp_session_close(s);
}

/* ---- options, outputs, batches --------------------------------------------------------------- */

static bool says(const sp_error *e, sp_status code, const char *what)
{
    bool right = e->code == code && strstr(e->message, what) && !strchr(e->message, '\n');
    if (!right)
        fprintf(stderr, "embed.c: expected %s and \"%s\", got %s: %s\n", sp_status_name(code), what,
                sp_status_name(e->code), e->message);
    return right;
}

static sp_encoder_options no_options(void)
{
    sp_encoder_options o = {sizeof o, NULL, NULL, NULL, 0, NULL, 0, SP_POOL_MODEL, 0, 0, NULL};
    return o;
}

static sp_call_options one_output(sp_output_options *output, const char *name, sp_pool pool, int normalize)
{
    sp_output_options asked = {name, pool, normalize};
    *output = asked;
    sp_call_options o = {sizeof o, output, 1, 0, NULL, NULL};
    return o;
}

static void check_names(void)
{
    CHECK(strcmp(sp_version(), SAPOR_VERSION) == 0 && sp_version_number() == SAPOR_VERSION_NUMBER);
    CHECK(strcmp(sp_status_name(SP_OK), "SP_OK") == 0 && strcmp(sp_status_name(SP_CANCELLED), "SP_CANCELLED") == 0);
    CHECK(strcmp(sp_status_name((sp_status)99), "unknown") == 0 &&
          strcmp(sp_status_name((sp_status)-1), "unknown") == 0);
}

/* Checks the options with which a model is opened. */
static void check_encoder_options(const char *text_model, const char *image_model, const sp_allocator *memory)
{
    sp_error e;
    sp_encoder_options o = no_options();
    sp_encoder *m = sp_encoder_open_with(text_model, &o, memory, &e);
    CHECK(m && sp_encoder_reads_texts(m));
    sp_encoder_close(m);
    CHECK((m = sp_encoder_open_with(text_model, NULL, memory, &e)) != NULL);
    sp_encoder_close(m);
    o.dtype = "bf16";
    o.device = "cpu";
    o.arch = "bert";
    o.modalities = SP_TEXTS;
    o.pool = SP_POOL_CLS;
    o.normalize = -1;
    o.max_length = 8;
    CHECK((m = sp_encoder_open_with(text_model, &o, memory, &e)) != NULL);
    sp_encoder_close(m);
    o = no_options();
    o.size = 3;
    CHECK(!sp_encoder_open_with(text_model, &o, memory, &e) && says(&e, SP_USAGE, "its size is 3"));
    struct {
        sp_encoder_options o;
        size_t later;
    } longer;
    memset(&longer, 0, sizeof longer);
    longer.o.size = sizeof longer;
    /* the members that this version does not know are 0 */
    CHECK((m = sp_encoder_open_with(text_model, &longer.o, memory, &e)) != NULL);
    sp_encoder_close(m);
    longer.later = 1;
    CHECK(!sp_encoder_open_with(text_model, &longer.o, memory, &e) && says(&e, SP_UNSUPPORTED, "does not have"));
    o = no_options();
    o.size = offsetof(sp_encoder_options, device); /* the size in a version without later members */
    o.dtype = "f99";
    CHECK(!sp_encoder_open_with(text_model, &o, memory, &e) && says(&e, SP_USAGE, "f32, f16, bf16, int8"));
    o = no_options();
    o.device = "abacus";
    CHECK(!sp_encoder_open_with(text_model, &o, memory, &e) && strstr(e.message, "abacus"));
    o = no_options();
    o.modalities = 8;
    CHECK(!sp_encoder_open_with(text_model, &o, memory, &e) && says(&e, SP_USAGE, "modalities: 8"));
    o = no_options();
    o.arch = "vgg";
    CHECK(!sp_encoder_open_with(text_model, &o, memory, &e) && says(&e, SP_USAGE, "unknown architecture vgg"));
    o = no_options();
    o.pool = (sp_pool)77;
    CHECK(!sp_encoder_open_with(text_model, &o, memory, &e) && says(&e, SP_USAGE, "pool: 77"));
    o = no_options();
    o.pool = SP_POOL_MEAN; /* the output has one row per image already */
    CHECK(!sp_encoder_open_with(image_model, &o, memory, &e) && says(&e, SP_USAGE, "no tokens to pool"));
    o = no_options();
    o.max_length = 5;
    CHECK(!sp_encoder_open_with(image_model, &o, memory, &e) && says(&e, SP_USAGE, "max_length"));
    const char *none = "no such layer";
    o = no_options();
    o.outputs = &none;
    o.output_count = 1;
    CHECK(!sp_encoder_open_with(text_model, &o, memory, &e) &&
          says(&e, SP_USAGE, "has no layer no such layer; it has "));
}

static void check_outputs(const char *text_model, const sp_allocator *memory)
{
    sp_error e;
    sp_encoder_options o = no_options();
    sp_encoder *m = sp_encoder_open_with(text_model, &o, memory, &e), *few = sp_encoder_open(text_model, memory, &e);
    size_t n = sp_encoder_output_count(m), usual = 0, hidden = 0, vectors = 0, floats = 0;
    CHECK(m && few && n > 2 && sp_encoder_output_count(NULL) == 0);
    for (size_t i = 0; i < n; i++) {
        sp_output out;
        out.size = sizeof out;
        CHECK(sp_encoder_output(m, i, &out, &e) && out.name[0] && out.width > 0 && out.modality == SP_TEXTS);
        CHECK(out.loaded);
        usual += out.usual;
        vectors += out.rows == SP_ROWS_VECTOR;
        hidden += strncmp(out.name, "hidden_states.", 14) == 0 && out.rows == SP_ROWS_TOKENS;
        if (out.usual)
            CHECK(out.pool == SP_POOL_MEAN && out.normalized && out.width == sp_encoder_features(m));
    }
    CHECK(usual == 1 && hidden > 1 && vectors == 1);
    sp_output out;
    out.size = sizeof out;
    CHECK(!sp_encoder_output(m, n, &out, &e) && e.code == SP_USAGE);
    out.size = 1;
    CHECK(!sp_encoder_output(m, 0, &out, &e) && says(&e, SP_USAGE, "its size is 1"));
    sp_output_options pooler;
    sp_call_options call = one_output(&pooler, "pooler_output", SP_POOL_MODEL, 0);
    CHECK(sp_row_sizes(m, SP_TEXTS, &call, &floats, &e) && floats == sp_encoder_features(m));
    CHECK(sp_row_sizes(m, SP_TEXTS, NULL, &floats, &e) && floats == sp_encoder_features(m));
    CHECK(!sp_row_sizes(few, SP_TEXTS, &call, &floats, &e) && says(&e, SP_USAGE, "was not loaded"));
    CHECK(!sp_row_sizes(m, SP_IMAGES, NULL, &floats, &e) && says(&e, SP_USAGE, "does not read images"));
    CHECK(!sp_row_sizes(m, 7, NULL, &floats, &e) && says(&e, SP_USAGE, "modality: 7"));
    call.size = 0;
    CHECK(!sp_row_sizes(m, SP_TEXTS, &call, &floats, &e) && says(&e, SP_USAGE, "its size is 0"));
    sp_encoder_close(few);
    sp_encoder_close(m);
}

typedef struct Watch {
    size_t calls, stop_at;
} Watch;

static bool watch(void *user, size_t done, size_t n)
{
    Watch *w = (Watch *)user;
    return done <= n && ++w->calls != w->stop_at;
}

static double length_of(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return sum;
}

enum { LISTED = 3 };
static const sp_text LIST[LISTED] = {{"a red leather bag, and no more", 17}, {"a brass lamp", 12}, {"", 0}};

/* Checks several outputs of one pass; the rows of tokens are those of all texts, one after the other.
 * - usual [LISTED, D]: the result of a call without options.
 * - total: the tokens of all texts. */
static void check_text_outputs(const sp_encoder *m, sp_session *s, const float *usual, const sp_text_info *info,
                               size_t total)
{
    sp_error e;
    size_t floats[3], D = sp_encoder_features(m);
    sp_output_options three[3];
    sp_call_options call = one_output(&three[0], NULL, SP_POOL_MODEL, -1);
    one_output(&three[1], "last_hidden_state", SP_POOL_NONE, 0);
    one_output(&three[2], "pooler_output", SP_POOL_MODEL, 1);
    call.outputs = three;
    call.output_count = 3;
    CHECK(sp_row_sizes(m, SP_TEXTS, &call, floats, &e) && floats[0] == D && floats[1] == D && floats[2] == D);
    float *mean = new_rows(LISTED, D), *tokens = new_rows(total, D), *pooler = new_rows(LISTED, D),
          *cls = new_rows(LISTED, D), *out[3] = {mean, tokens, pooler};
    CHECK(sp_encode_text_batch(m, s, LIST, LISTED, &call, out, NULL, NULL, &e));
    double longest = length_of(mean, D) - 1, unit = length_of(pooler, D) - 1, both = length_of(usual, D) - 1;
    CHECK((longest > 1e-3 || longest < -1e-3) && unit < 1e-4 && unit > -1e-4 && both < 1e-4 && both > -1e-4);
    call = one_output(&three[0], "hidden_states.1", SP_POOL_CLS, 0);
    CHECK(sp_encode_text_batch(m, s, LIST, LISTED, &call, &cls, NULL, NULL, &e));
    call = one_output(&three[0], "last_hidden_state", SP_POOL_CLS, -1);
    CHECK(sp_encode_text_batch(m, s, LIST, LISTED, &call, &cls, NULL, NULL, &e));
    CHECK(memcmp(cls, tokens, D * sizeof(float)) == 0); /* the first text's first token */
    CHECK(memcmp(cls + D, tokens + info[0].tokens * D, D * sizeof(float)) == 0);
    free(mean);
    free(tokens);
    free(pooler);
    free(cls);
}

/* Checks that a text which is too long is truncated, and that the call reports it. rows: [LISTED, D]. */
static void check_cut_texts(const sp_encoder *m, sp_session *s, float *rows)
{
    sp_error e, status[LISTED];
    sp_text_info info[LISTED];
    sp_output_options usual;
    sp_call_options call = one_output(&usual, NULL, SP_POOL_MODEL, 0);
    call.max_length = 4;
    CHECK(sp_text_lengths(m, s, LIST, LISTED, &call, info, status, &e) && info[0].tokens == 4 && info[0].truncated);
    CHECK(info[2].tokens == 2 && !info[2].truncated);
    call.max_length = 1;
    CHECK(!sp_text_lengths(m, s, LIST, LISTED, &call, info, NULL, &e) && says(&e, SP_USAGE, "too short"));
    CHECK(sp_text_lengths(m, s, LIST, LISTED, &call, info, status, &e));
    CHECK(status[1].code == SP_USAGE && info[1].tokens == 0);
    CHECK(sp_encode_text_batch(m, s, LIST, LISTED, &call, &rows, info, status, &e));
    CHECK(length_of(rows, LISTED * sp_encoder_features(m)) == 0);
}

/* Checks options that do not apply, and outputs that do not exist. */
static void check_wrong_texts(const sp_encoder *m, sp_session *s, float *rows)
{
    static const struct {
        const char *output;
        sp_pool pool;
        int normalize;
        const char *why;
    } wrong[] = {{"pooler_output", SP_POOL_NONE, 0, "one row per input"},
                 {"pooler_output", SP_POOL_MAX, 0, "no tokens to pool"},
                 {NULL, SP_POOL_NONE, 1, "normalize"},
                 {"nothing", SP_POOL_MODEL, 0, "no layer nothing"}};
    sp_error e;
    sp_output_options one;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        sp_call_options call = one_output(&one, wrong[i].output, wrong[i].pool, wrong[i].normalize);
        CHECK(!sp_encode_text_batch(m, s, LIST, LISTED, &call, &rows, NULL, NULL, &e) &&
              says(&e, SP_USAGE, wrong[i].why));
    }
    CHECK(sp_encode_text_batch(m, s, NULL, 0, NULL, NULL, NULL, NULL, &e));
    sp_image image;
    memset(&image, 0, sizeof image);
    CHECK(!sp_encode_image_batch(m, s, &image, 1, NULL, &rows, NULL, &e) && says(&e, SP_USAGE, "does not read images"));
}

/* Checks progress calls, and that they can cancel the call. */
static void check_progress(const sp_encoder *m, sp_session *s)
{
    enum { MANY = 300 };
    static sp_text many[MANY];
    sp_error e;
    float *rows = new_rows(MANY, sp_encoder_features(m));
    sp_output_options usual;
    sp_call_options call = one_output(&usual, NULL, SP_POOL_MODEL, 0);
    Watch w = {0, 0};
    for (int i = 0; i < MANY; i++)
        many[i] = LIST[i % LISTED];
    call.progress = watch;
    call.user = &w;
    CHECK(sp_encode_text_batch(m, s, many, MANY, &call, &rows, NULL, NULL, &e) && w.calls > 1);
    w.calls = 0;
    w.stop_at = 1;
    CHECK(!sp_encode_text_batch(m, s, many, MANY, &call, &rows, NULL, NULL, &e) && says(&e, SP_CANCELLED, "cancelled"));
    CHECK(w.calls == 1);
    CHECK(sp_encode_texts(m, s, TEXTS, 2, rows, &e)); /* the session can still be used */
    free(rows);
}

static void check_text_batch(const char *model, const sp_allocator *memory)
{
    sp_error e, status[LISTED];
    sp_text_info info[LISTED];
    sp_encoder_options options = no_options();
    sp_session *s = sp_session_open(2, memory, &e);
    sp_encoder *m = sp_encoder_open_with(model, &options, memory, &e);
    size_t D = sp_encoder_features(m), total = 0;
    CHECK(s && m && D > 0);
    if (!s || !m || !D)
        return;
    float *usual = new_rows(LISTED, D), *again = new_rows(LISTED, D);
    CHECK(sp_encode_texts(m, s, TEXTS, 2, again, &e));
    CHECK(sp_encode_text_batch(m, s, LIST, LISTED, NULL, &usual, info, status, &e));
    CHECK(memcmp(usual, again, 2 * D * sizeof(float)) == 0); /* the length is used, not the bytes after it */
    for (int i = 0; i < LISTED; i++) {
        CHECK(status[i].code == SP_OK && info[i].tokens >= 2 && !info[i].truncated);
        total += info[i].tokens;
    }
    CHECK(sp_text_lengths(m, s, LIST, LISTED, NULL, info, NULL, &e) && info[0].tokens > info[1].tokens);
    check_text_outputs(m, s, usual, info, total);
    check_cut_texts(m, s, again);
    check_wrong_texts(m, s, again);
    check_progress(m, s);
    free(usual);
    free(again);
    sp_encoder_close(m);
    sp_session_close(s);
}

static size_t read_file(const char *folder, const char *name, char *to, size_t room)
{
    char path[1024];
    snprintf(path, sizeof path, "%s%s%s", folder, *folder ? "/" : "", name);
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(to, 1, room, f) : 0;
    if (f)
        fclose(f);
    CHECK(n > 0 && n < room);
    return n;
}

/* Checks outputs of one pass, and options that do not apply; list: [1]. */
static void check_image_outputs(const sp_encoder *m, sp_session *s, const sp_image *list)
{
    sp_error e;
    size_t floats[2] = {0, 0}, D = sp_encoder_features(m);
    sp_output_options two[2];
    sp_call_options call = one_output(&two[0], "avgpool", SP_POOL_MODEL, 0);
    one_output(&two[1], "layer2", SP_POOL_MODEL, 0);
    call.outputs = two;
    call.output_count = 2;
    CHECK(sp_row_sizes(m, SP_IMAGES, &call, floats, &e) && floats[0] == D && floats[1] > D);
    float *rows = new_rows(1, D), *one = new_rows(1, D), *map = new_rows(1, floats[1]), *out[2] = {one, map};
    CHECK(sp_encode_image_files(m, s, &list->path, 1, rows, &e));
    CHECK(sp_encode_image_batch(m, s, list, 1, &call, out, NULL, &e) && memcmp(rows, one, D * sizeof(float)) == 0);
    call = one_output(&two[0], "layer2", SP_POOL_MODEL, 1);
    CHECK(!sp_encode_image_batch(m, s, list, 1, &call, &map, NULL, &e) && says(&e, SP_USAGE, "feature map"));
    call = one_output(&two[0], NULL, SP_POOL_MEAN, 0);
    CHECK(!sp_encode_image_batch(m, s, list, 1, &call, &rows, NULL, &e) && says(&e, SP_USAGE, "no tokens to pool"));
    call = one_output(&two[0], NULL, SP_POOL_MODEL, 0);
    call.max_length = 7;
    CHECK(!sp_encode_image_batch(m, s, list, 1, &call, &rows, NULL, &e) && says(&e, SP_USAGE, "max_length"));
    Watch w = {0, 1};
    call = one_output(&two[0], NULL, SP_POOL_MODEL, 0);
    call.progress = watch;
    call.user = &w;
    CHECK(!sp_encode_image_batch(m, s, list, 1, &call, &rows, NULL, &e) && e.code == SP_CANCELLED);
    free(map);
    free(rows);
    free(one);
}

static void check_image_batch(const char *model, const char *path, const sp_allocator *memory)
{
    enum { N = 5 };
    static char data[1 << 20];
    static const unsigned char grey[3 * 8 * 8] = {0};
    sp_error e, status[N];
    sp_encoder_options options = no_options();
    sp_session *s = sp_session_open(3, memory, &e);
    sp_encoder *m = sp_encoder_open_with(model, &options, memory, &e);
    size_t D = sp_encoder_features(m), bytes = read_file("", path, data, sizeof data);
    CHECK(s && m && D > 0);
    if (!s || !m || !D)
        return;
    sp_image list[N];
    memset(list, 0, sizeof list);
    list[0].path = path;
    list[1].path = "absent.png";
    list[2].data = data;
    list[2].bytes = bytes;
    list[3].data = data;
    list[3].bytes = bytes / 2;
    list[4].data = grey;
    list[4].width = list[4].height = 8;
    float *rows = new_rows(N, D), *one = new_rows(1, D);
    CHECK(sp_encode_image_batch(m, s, list, N, NULL, &rows, status, &e));
    CHECK(status[0].code == SP_OK && status[2].code == SP_OK && status[4].code == SP_OK);
    CHECK(says(&status[1], SP_IO, "absent.png") && status[3].code == SP_FORMAT);
    CHECK(sp_encode_image_files(m, s, &path, 1, one, &e) && memcmp(rows, one, D * sizeof(float)) == 0);
    CHECK(memcmp(rows + 2 * D, one, D * sizeof(float)) == 0 && length_of(rows + D, D) == 0);
    CHECK(sp_encode_pixels(m, s, grey, 8, 8, one, &e) && memcmp(rows + 4 * D, one, D * sizeof(float)) == 0);
    CHECK(!sp_encode_image_batch(m, s, list, N, NULL, &rows, NULL, &e) && says(&e, SP_IO, "absent.png"));

    check_image_outputs(m, s, list);
    memset(list, 0, sizeof list); /* no path and no data */
    CHECK(!sp_encode_image_batch(m, s, list, 1, NULL, &rows, status, &e) && says(&e, SP_USAGE, "set path or data"));
    list[0].data = grey;
    list[0].width = 8;
    CHECK(!sp_encode_image_batch(m, s, list, 1, NULL, &rows, status, &e) && says(&e, SP_USAGE, "8 x 0"));
    list[0].height = 8;
    list[0].bytes = 5;
    CHECK(!sp_encode_image_batch(m, s, list, 1, NULL, &rows, status, &e) && says(&e, SP_USAGE, "5 bytes"));
    free(rows);
    free(one);
    sp_encoder_close(m);
    sp_session_close(s);
}

static void check_model_in_memory(const char *folder, const sp_allocator *memory)
{
    enum { FILES = 7, ROOM = 1 << 20 };
    static const char *const NAMES[FILES] = {
        "config.json",           "model.safetensors",        "vocab.txt", "tokenizer_config.json", "modules.json",
        "1_Pooling/config.json", "sentence_bert_config.json"};
    static char data[FILES][ROOM];
    sp_error e;
    sp_file files[FILES];
    for (int i = 0; i < FILES; i++) {
        files[i].name = NAMES[i];
        files[i].data = data[i];
        files[i].bytes = read_file(folder, NAMES[i], data[i], ROOM);
    }
    sp_session *s = sp_session_open(1, memory, &e);
    sp_encoder *there = sp_encoder_open(folder, memory, &e), *here;
    CHECK((here = sp_encoder_open_memory(files, FILES, NULL, memory, &e)) != NULL);
    size_t D = sp_encoder_features(there);
    CHECK(D > 0 && sp_encoder_features(here) == D);
    if (D && here) {
        float *a = new_rows(2, D), *b = new_rows(2, D);
        CHECK(sp_encode_texts(there, s, TEXTS, 2, a, &e) && sp_encode_texts(here, s, TEXTS, 2, b, &e));
        CHECK(memcmp(a, b, 2 * D * sizeof *a) == 0);
        free(a);
        free(b);
    }
    sp_encoder_close(here);
    sp_encoder_close(there);
    CHECK(!sp_encoder_open_memory(NULL, 0, NULL, memory, &e) && says(&e, SP_IO, "contains no model.safetensors"));
    CHECK(!sp_encoder_open_memory(files, 2, NULL, memory, &e) && says(&e, SP_IO, "tokenizer"));
    files[5].name = "elsewhere.json";
    CHECK(!sp_encoder_open_memory(files, FILES, NULL, memory, &e) && says(&e, SP_IO, "modules.json names it"));
    files[5].name = NULL;
    CHECK(!sp_encoder_open_memory(files, FILES, NULL, memory, &e) && says(&e, SP_USAGE, "has no name"));
    files[1].bytes /= 2;
    CHECK(!sp_encoder_open_memory(files, 5, NULL, memory, &e) && e.code == SP_FORMAT && strstr(e.message, "in memory"));
    sp_session_close(s);
}

static void check_tokens(const char *model, const sp_allocator *memory)
{
    sp_error e;
    sp_tokenizer *t = sp_tokenizer_open(model, memory, &e);
    size_t count = 0, again = 0;
    int32_t ids[64], few[2];
    CHECK(t != NULL);
    if (!t)
        return;
    /* without room: only the number of ids */
    CHECK(sp_tokenize(t, TEXTS[0], strlen(TEXTS[0]), 0, NULL, 0, &count, &e));
    CHECK(count > 2 && count <= 64);
    CHECK(sp_tokenize(t, TEXTS[0], strlen(TEXTS[0]), 0, ids, 64, &again, &e) && again == count);
    CHECK(sp_tokenize(t, TEXTS[0], strlen(TEXTS[0]), 0, few, 2, &again, &e) && again == count && few[0] == ids[0] &&
          few[1] == ids[1]);
    CHECK(sp_tokenize(t, TEXTS[0], strlen(TEXTS[0]), 3, ids, 64, &again, &e) && again == 3);
    CHECK(!sp_tokenize(t, TEXTS[0], strlen(TEXTS[0]), 1, ids, 64, &again, &e) && e.code == SP_USAGE && again == 0);
    sp_tokenizer_close(t);
}

int main(int argc, char **argv)
{
    sp_error e;
    Meter meter = {PTHREAD_MUTEX_INITIALIZER, 0, 0};
    sp_allocator memory = {metered, &meter};
    if (argc != 4)
        return 2;
    check_names();
    check_texts(argv[1], &memory);
    check_images(argv[2], argv[3], &memory);
    check_encoder_options(argv[1], argv[2], &memory);
    check_outputs(argv[1], &memory);
    check_text_batch(argv[1], &memory);
    check_image_batch(argv[2], argv[3], &memory);
    check_model_in_memory(argv[1], &memory);
    check_tokens(argv[1], &memory);
    CHECK(meter.calls > 0 && meter.bytes == 0);
    CHECK(!sp_encoder_open("absent/model", NULL, &e) && e.code == SP_IO && strchr(e.message, '\n') == NULL);
    CHECK(!sp_tokenizer_open("absent", NULL, &e) && e.code == SP_IO);
    CHECK(!sp_session_open(-1, NULL, &e) && e.code == SP_USAGE);
    sp_session_close(NULL);
    sp_encoder_close(NULL);
    sp_tokenizer_close(NULL);
    CHECK(sp_encoder_features(NULL) == 0);
    return failures ? 1 : 0;
}
