/* tests/api_test.c: sapor.h as a program that links the library uses it: several threads with one model, the caller's
 * memory, wrong calls. */
#include "tests/testing.h"

#include <pthread.h>

#include "recsys/training.h"

#define GOLDEN   "tests/golden/"
#define ENCODERS GOLDEN "encoders/"
#define IMAGES   GOLDEN "images/"

enum { THREADS = 4, ROUNDS = 3 };

static const char *const TEXTS[] = {"the red shirt", "A soft, warm cotton shirt for women.", "",
                                    "blue leathers unknownword", "the shoe of the kids"};
static const char *const IMAGE_FILES[] = {IMAGES "RGB.png", IMAGES "L.png", IMAGES "RGBA.png"};
static const unsigned char PIXELS[12] = {10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120};

typedef struct Models {
    sp_encoder *text, *image;
    sp_tokenizer *tokenizer;
} Models;

/* The results of one thread: all features and token ids, compared as bytes. */
typedef struct Result {
    float texts[COUNT(TEXTS)][64], images[COUNT(IMAGE_FILES) + 2][64];
    int32_t ids[COUNT(TEXTS)][64];
    size_t counts[COUNT(TEXTS)];
} Result;

typedef struct Caller {
    pthread_t thread;
    const Models *models;
    int session_threads;
    bool whole; /* all texts in one call, otherwise one by one: the bits must be the same */
    Result result;
    sp_error e;
    bool ok;
} Caller;

static bool compute(const Models *m, sp_session *s, bool whole, Result *r, sp_error *e)
{
    size_t D = sp_encoder_features(m->text);
    float x[COUNT(TEXTS) * 64] = {0};
    Text file;
    bool ok = true;
    for (size_t i = 0; ok && i < COUNT(TEXTS); i++) {
        if (whole ? i == 0 : true)
            ok = sp_encode_texts(m->text, s, TEXTS + i, whole ? COUNT(TEXTS) : 1, whole ? x : x + i * D, e);
        memcpy(r->texts[i], x + i * D, D * sizeof(float));
        ok = ok && sp_tokenize(m->tokenizer, TEXTS[i], strlen(TEXTS[i]), 0, r->ids[i], 64, &r->counts[i], e);
    }
    for (size_t i = 0; ok && i < COUNT(IMAGE_FILES); i++)
        ok = sp_encode_image_files(m->image, s, IMAGE_FILES + i, 1, r->images[i], e);
    Arena *a = arena_new(NULL, 0);
    ok = ok && a && file_read(&file, a, IMAGE_FILES[0], 0, e) &&
         sp_encode_image(m->image, s, file.p, file.n, r->images[COUNT(IMAGE_FILES)], e) &&
         sp_encode_pixels(m->image, s, PIXELS, 2, 2, r->images[COUNT(IMAGE_FILES) + 1], e);
    arena_free(a);
    return ok;
}

static void *call(void *arg)
{
    Caller *c = arg;
    sp_session *s = sp_session_open(c->session_threads, NULL, &c->e);
    c->ok = s != NULL;
    for (int i = 0; c->ok && i < ROUNDS; i++)
        c->ok = compute(c->models, s, c->whole, &c->result, &c->e);
    sp_session_close(s);
    return NULL;
}

static void open_models(Models *m, const sp_allocator *memory)
{
    sp_error e = {0};
    assert_ok((m->text = sp_encoder_open(drawn(ENCODERS "bert"), memory, &e)) != NULL, e);
    assert_ok((m->image = sp_encoder_open(drawn(ENCODERS "resnet_basic"), memory, &e)) != NULL, e);
    assert_ok((m->tokenizer = sp_tokenizer_open(ENCODERS "bert", memory, &e)) != NULL, e);
    assert_in_range(sp_encoder_features(m->text), 1, 64);
    assert_in_range(sp_encoder_features(m->image), 1, 64);
}

static void close_models(Models *m)
{
    sp_encoder_close(m->text);
    sp_encoder_close(m->image);
    sp_tokenizer_close(m->tokenizer);
}

static void threads_share_a_model(void **state)
{
    (void)state;
    Models m;
    static Caller callers[THREADS + 1];
    open_models(&m, NULL);
    memset(callers, 0, sizeof callers);
    callers[THREADS] = (Caller){.models = &m, .session_threads = 1, .whole = true};
    call(&callers[THREADS]);
    for (int i = 0; i < THREADS; i++) {
        callers[i] = (Caller){.models = &m, .session_threads = 1 + i % 3, .whole = i % 2};
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call, &callers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(callers[i].thread, NULL);
    for (int i = 0; i <= THREADS; i++) {
        assert_ok(callers[i].ok, callers[i].e);
        assert_memory_equal(&callers[i].result, &callers[THREADS].result, sizeof(Result));
    }
    /* A file and its bytes in memory are the same image. */
    assert_memory_equal(callers[0].result.images[0], callers[0].result.images[COUNT(IMAGE_FILES)],
                        sizeof callers[0].result.images[0]);
    close_models(&m);
}

static void memory_is_the_callers(void **state)
{
    (void)state;
    TestHeap heap;
    Models m;
    sp_error e = {0};
    static Result once, again;
    test_heap(&heap, 0);
    open_models(&m, &heap.heap);
    sp_session *s = sp_session_open(1, &heap.heap, &e);
    /* the first call allocates room, the second also for the order of images of several sizes */
    for (int i = 0; s && i < 2; i++)
        assert_ok(compute(&m, s, true, &once, &e), e);
    size_t live = heap.live;
    for (int i = 0; i < 3; i++)
        assert_ok(compute(&m, s, true, &again, &e), e);
    assert_int_equal(heap.live, live); /* repeated calls allocate nothing more */
    assert_memory_equal(&once, &again, sizeof once);
    sp_session_close(s);
    close_models(&m);
    assert_int_equal(heap.live, 0);
}

static void wrong_calls_are_told(void **state)
{
    (void)state;
    Models m;
    sp_error e = {0};
    float x[64];
    size_t count;
    open_models(&m, NULL);
    sp_session *s = sp_session_open(1, NULL, &e);
    assert_string_equal(sp_version(), SAPOR_VERSION);
    assert_null(sp_session_open(-1, NULL, &e));
    assert_error(e, SP_USAGE, "threads");
    assert_null(sp_encoder_open_as(drawn(ENCODERS "bert"), "f64", NULL, &e));
    assert_error(e, SP_USAGE, "f32, f16, bf16, int8");
    sp_encoder *half = sp_encoder_open_as(drawn(ENCODERS "bert"), "bf16", NULL, &e);
    assert_ok(half != NULL, e);
    sp_encoder_close(half);
    assert_null(sp_encoder_open("no such model", NULL, &e));
    assert_true(e.code != SP_OK && strstr(e.message, "no such model") && !strchr(e.message, '\n'));
    assert_false(sp_encode_texts(m.image, s, TEXTS, 1, x, &e));
    assert_error(e, SP_USAGE, "does not read texts");
    assert_false(sp_encode_image_files(m.text, s, IMAGE_FILES, 1, x, &e));
    assert_error(e, SP_USAGE, "does not read images");
    assert_false(sp_encode_image(m.image, s, "GIF89a", 6, x, &e));
    assert_error(e, SP_FORMAT, "is not a JPEG");
    assert_false(sp_encode_pixels(m.image, s, PIXELS, 0, 2, x, &e));
    assert_error(e, SP_USAGE, "0 x 2");
    const char *absent[] = {IMAGE_FILES[0], IMAGES "absent.png"};
    assert_false(sp_encode_image_files(m.image, s, absent, 2, x, &e));
    assert_error(e, SP_IO, "absent.png");
    assert_ok(sp_encode_texts(m.text, s, TEXTS, 0, x, &e), e);
    assert_ok(sp_encode_image_files(m.image, s, IMAGE_FILES, 0, x, &e), e);
    assert_int_equal(sp_encoder_features(NULL), 0);
    int32_t ids[2] = {-1, -1};
    assert_ok(sp_tokenize(m.tokenizer, TEXTS[0], strlen(TEXTS[0]), 0, ids, 1, &count, &e), e);
    assert_true(count > 2 && ids[0] >= 0 && ids[1] == -1); /* ids beyond the given room are not written */
    assert_null(sp_tokenizer_open(IMAGES, NULL, &e));
    assert_true(e.code != SP_OK);
    assert_null(sp_recommender_open(IMAGES, NULL, &e));
    assert_true(e.code != SP_OK);
    sp_session_close(s);
    sp_session_close(NULL);
    sp_recommender_close(NULL);
    close_models(&m);
    close_models(&(Models){0});
}

static void a_run_folder_opens_as_recommender(void **state)
{
    (void)state;
    Error e = {0};
    char folder[256];
    Arena *a = arena_new(NULL, 0);
    Device d;
    assert_ok(device_open(&d, NULL, 1, NULL, NULL, &e), e);
    TestHeap heap;
    test_folder(folder);
    const char *train = arena_printf(a, &e, "%s/train.tsv", folder), *out = arena_printf(a, &e, "%s/run", folder);
    FILE *f = fopen(train, "w");
    for (int u = 0; u < 12; u++)
        for (int i = 0; i < 5; i++)
            fprintf(f, "u%d\ti%d\n", u, (u * 3 + i * i) % 17);
    fclose(f);
    const char *set[] = {"epochs=2"};
    TrainConfig c = {.model = "BPRMF",
                     .data = {.train = train, .protocol = PROTOCOL_ELLIOT},
                     .out = out,
                     .set = set,
                     .set_count = 1,
                     .seed = 1};
    TrainResult trained = {0};
    assert_ok(train_run(&d, &c, &trained, a, &e), e);
    test_heap(&heap, 0);
    sp_recommender *r = sp_recommender_open(out, &heap.heap, &e);
    assert_ok(r != NULL, e);
    sp_session *s = sp_session_open(2, &heap.heap, &e);
    int32_t best[20], user = sp_recommender_number(r, SP_USERS, "u3");
    float score[20];
    assert_int_equal(sp_recommender_number(r, SP_USERS, "nobody"), -1);
    assert_string_equal(sp_recommender_id(r, SP_USERS, user), "u3");
    for (int round = 0; round < 3; round++) {
        assert_ok(sp_recommend(r, s, &user, 1, 20, NULL, best, score, &e), e);
        size_t count = 0;
        for (; count < 20 && best[count] >= 0; count++) {
            assert_true(count == 0 || score[count - 1] >= score[count]);
            for (int j = 0; j < 5; j++) /* items that u3 has are left out */
                assert_string_not_equal(sp_recommender_id(r, SP_ITEMS, best[count]),
                                        arena_printf(a, &e, "i%d", (9 + j * j) % 17));
        }
        assert_in_range(count, 1, 17 - 4); /* there are at most 17 items */
    }
    sp_session_close(s);
    sp_recommender_close(r);
    assert_int_equal(heap.live, 0);
    device_close(&d);
    arena_free(a);
    test_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_share_a_model),
        cmocka_unit_test(memory_is_the_callers),
        cmocka_unit_test(wrong_calls_are_told),
        cmocka_unit_test(a_run_folder_opens_as_recommender),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
