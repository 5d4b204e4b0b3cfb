/* tests/steady_test.c: after warm-up, training steps and encoding allocate nothing from the heap of their device. If
 * the calls of malloc can be counted (SEES_MALLOC), nothing in the program calls malloc, either: qsort of the C
 * library, for example, calls it. Inputs are repeated; the number of allocations must not grow. */
#include "tests/testing.h"

#include <stdatomic.h>

#include "tests/encoder_testing.h"
#include "recsys/recsys.h"

/* These replace the C library's functions, so that its own calls are counted too. Sanitizers have functions of their
 * own. */
static atomic_size_t mallocs;
#if defined(__GLIBC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
enum { SEES_MALLOC = 1 };
extern void *__libc_malloc(size_t bytes), *__libc_calloc(size_t n, size_t size), *__libc_realloc(void *p, size_t bytes),
    *__libc_memalign(size_t align, size_t bytes);
void *malloc(size_t bytes)
{
    mallocs++;
    return __libc_malloc(bytes);
}
void *calloc(size_t n, size_t size)
{
    mallocs++;
    return __libc_calloc(n, size);
}
void *realloc(void *p, size_t bytes)
{
    mallocs++;
    return __libc_realloc(p, bytes);
}
void *aligned_alloc(size_t align, size_t bytes)
{
    mallocs++;
    return __libc_memalign(align, bytes);
}
int posix_memalign(void **p, size_t align, size_t bytes)
{
    mallocs++;
    *p = __libc_memalign(align, bytes);
    return *p ? 0 : 12;
}
#else
enum { SEES_MALLOC = 0 };
#endif

/* ---- training -------------------------------------------------------------------------------- */

enum { USERS = 300, ITEMS = 200, PER_USER = 8, BATCHES = 4, ROUNDS = 4 };

static void make_data(DataSet *d, Arena *a)
{
    static const int64_t widths[] = {40, 24};
    static const char *const names[] = {"visual", "textual"};
    Error e = {0};
    *d = (DataSet){.U = USERS, .I = ITEMS, .arena = a, .feature_count = 2, .features = NEW(a, Feature, 2, &e)};
    d->train = (Pairs){.count = (int64_t)USERS * PER_USER,
                       .start = NEW(a, int64_t, USERS + 1, &e),
                       .item = NEW(a, int32_t, USERS * PER_USER, &e)};
    for (int u = 0; u <= USERS; u++)
        d->train.start[u] = (int64_t)u * PER_USER;
    for (int i = 0; i < USERS * PER_USER; i++)
        d->train.item[i] = i % PER_USER * (ITEMS / PER_USER) + i / PER_USER % (ITEMS / PER_USER);
    for (int f = 0; f < 2; f++) {
        float *x = NEW(a, float, ITEMS *widths[f], &e);
        for (int64_t i = 0; i < ITEMS * widths[f]; i++)
            x[i] = draw_uniform((Draw){1, DRAW_TEST, (uint32_t)f}, (uint64_t)i) - 0.5f;
        d->features[f] = (Feature){.name = names[f], .D = widths[f], .data = x};
    }
}

static void train_step(Model *m, Sampler *s, Optim *o, Tape *t, int64_t b, Error *e)
{
    Batch batch = {.index = b};
    float loss;
    batch.B = sampler_batch(s, b, &batch.users, &batch.positives, &batch.negatives);
    tape_reset(t, (Draw){1, DRAW_DROPOUT, (uint32_t)b});
    batch_inputs(t, &batch);
    Tensor *x = m->kind->loss(t, m, &batch);
    assert_ok(tape_ok(t, e), *e);
    tensor_read(store_device(m->store), x, 0, 1, &loss);
    assert_ok(backward(t, x, e) && optim_step(o, m->store, t, e), *e);
}

static void steps_allocate_nothing(void **state)
{
    const Recommender *kind = *state;
    static const char *const set[] = {"batch_size=512"};
    Error e = {0};
    TestHeap heap;
    test_heap(&heap, 0);
    Arena *a = arena_new(NULL, 0);
    DataSet data;
    make_data(&data, a);
    Device d;
    assert_ok(device_open(&d, NULL, 2, &heap.heap, NULL, &e), e);
    Model m = {.kind = kind, .data = &data, .arena = a, .seed = 1};
    m.settings = settings_make(kind, PROTOCOL_ELLIOT, set, COUNT(set), a, &e);
    m.store = store_new(&d, &e);
    assert_ok(m.settings && m.store && kind->init(&m, &e), e);
    Sampler *s = sampler_new(&data, kind->sampling(&m), 512, 1, a, &e);
    assert_ok(s, e);
    if (sampler_batches(s) == 0) {
        print_message("skipped: %s learns nothing\n", kind->name);
    } else {
        Optim o = optim_adam(0.001);
        Tape *t = tape_new(&d, true, &e);
        assert_ok(!kind->epoch || kind->epoch(&m, &e), e);
        sampler_epoch(s, d.pool, 0);
        size_t heap_requests = 0, malloc_calls = 0;
        for (int64_t step = 0; step < BATCHES * ROUNDS; step++) {
            size_t before = heap.requests, malloced = mallocs;
            train_step(&m, s, &o, t, step % MIN(sampler_batches(s), BATCHES), &e);
            if (step >= BATCHES * (ROUNDS - 2)) {
                heap_requests += heap.requests - before;
                malloc_calls += mallocs - malloced;
            }
        }
        print_message("%s: %zu requests to the heap, %zu to malloc in %d steps\n", kind->name, heap_requests,
                      malloc_calls, 2 * BATCHES);
        assert_int_equal(heap_requests, 0);
        assert_true(malloc_calls == 0);
        tape_free(t);
    }
    store_free(m.store);
    device_close(&d);
    arena_free(a);
    assert_int_equal(heap.live, 0);
}

/* ---- encoding -------------------------------------------------------------------------------- */

static void encoding_allocates_nothing(void **state)
{
    /* One thread for images: with several, it is random which thread decodes an image, and each thread keeps scratch
     * memory after its first image. */
    static const struct {
        const char *name;
        int threads;
        unsigned modality; /* of a model with two towers; 0: the usual one */
    } MODELS[] = {{"encoders/bert", 2, 0},
                  {"encoders/distilbert", 2, 0},
                  {"encoders/mpnet", 2, 0},
                  {"encoders/vit", 1, 0},
                  {"encoders/resnet_basic", 1, 0},
                  {"encoders/efficientnet_lite.safetensors", 1, 0},
                  {"encoders/efficientnet", 1, 0},
                  {"encoders/roberta", 2, 0},
                  {"encoders/xlm_roberta", 2, 0},
                  {"encoders/clip", 2, 0},
                  {"encoders/clip", 1, MODALITY_IMAGE},
                  {"encoders/altclip", 2, 0},
                  {"encoders/altclip", 1, MODALITY_IMAGE},
                  {"encoders/align", 2, 0},
                  {"encoders/align", 1, MODALITY_IMAGE},
                  {"layers/resnext.safetensors", 1, 0},
                  {"layers/vit_timm", 1, 0},
                  {"layers/vit_torchvision.safetensors", 1, 0}};
    enum { N = 100 };
    (void)state;
    for (size_t i = 0; i < COUNT(MODELS); i++) {
        Error e = {0};
        TestHeap heap;
        test_heap(&heap, 0);
        char path[256];
        snprintf(path, sizeof path, "tests/golden/%s", MODELS[i].name);
        Device d;
        assert_ok(device_open(&d, NULL, MODELS[i].threads, &heap.heap, NULL, &e), e);
        Arena *a = arena_new(NULL, 0);
        OpenModel m = open_encoder(&d, path, &(TestOptions){.modality = MODELS[i].modality}, a, &e);
        assert_ok(m.en, e);
        Tape *t = tape_new(&d, false, &e);
        float *out = NEW(a, float, N *m.D, &e);
        Text texts[N];
        unsigned char pixels[40 * 30 * 3];
        ImageInput images[N] = {0};
        for (size_t p = 0; p < sizeof pixels; p++)
            pixels[p] = (unsigned char)(p * 7);
        for (size_t k = 0; k < N; k++) {
            texts[k] = (Text){"a small red leather bag for the new light", 8 + k % 30};
            images[k].pixels = (Image){.width = 40, .height = 30, .pixels = pixels};
        }
        bool is_text = m.call->modality == MODALITY_TEXT;
        Results to = {.out = &out};
        size_t before = 0, malloced = 0;
        for (int round = 0; round < 4; round++) {
            if (round == 2) {
                before = heap.requests;
                malloced = mallocs;
            }
            assert_ok(is_text ? encode_texts(m.call, t, texts, N, &to, &e)
                              : encode_images(m.call, t, images, 20, &to, &e),
                      e);
        }
        print_message("%s: %zu requests to the heap, %zu to malloc\n", MODELS[i].name, heap.requests - before,
                      mallocs - malloced);
        assert_int_equal(heap.requests - before, 0);
        assert_true(mallocs == malloced);
        arena_free(a);
        tape_free(t);
        encoder_close(m.en);
        device_close(&d);
        assert_int_equal(heap.live, 0);
    }
}

int main(void)
{
    struct CMUnitTest tests[32] = {cmocka_unit_test(encoding_allocates_nothing)};
    size_t n = 1;
    if (!SEES_MALLOC)
        print_message("skipped: malloc itself is not counted here, only the heap\n");
    for (size_t i = 0; i < recommender_count() && n < COUNT(tests); i++) {
        const Recommender *kind = recommender_at(i);
        tests[n++] =
            (struct CMUnitTest){.name = kind->name, .test_func = steps_allocate_nothing, .initial_state = (void *)kind};
    }
    return _cmocka_run_group_tests("steady", tests, n, NULL, NULL);
}
