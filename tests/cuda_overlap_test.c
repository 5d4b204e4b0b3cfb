/* tests/cuda_overlap_test.c: tests of copies that do not wait for a GPU (or the emulator), and of extraction, in which
 * the host works while the device computes. */
#include "tests/encoder_testing.h" /* before cmocka, which has a macro named fail */

#include "tests/cuda_models.h"

/* Checks that download_later copies the numbers that the device has at the call, in whatever order the copies are
 * awaited. This also holds for a copy that is larger than the pinned memory, or for which the pinned memory has no
 * room. */
static void later_downloads(void **state)
{
    (void)state;
    enum { COPIES = 90, N = 60000 };
    Device d;
    Error e = {0};
    open_gpu(&d);
    const Run run = device_run(&d);
    float *x = d.k->alloc(&run, NULL, N * sizeof *x), *got = malloc(COPIES * N * sizeof *got);
    const EmuCounts before = emu_count ? emu_count() : (EmuCounts){0};
    for (int i = 0; i < 8; i++) {
        d.k->fill(&run, N, (float)i, x);
        d.k->download_later(&run, got + i * N, x, N * sizeof *x);
    }
    if (emu_count)
        assert_int_equal(emu_count().waits, before.waits);
    d.k->arrive(&run, got + 3 * N);
    for (int i = 0; i < 4; i++)
        assert_true(got[i * N] == (float)i && got[(i + 1) * N - 1] == (float)i);
    d.k->arrive(&run, got); /* has arrived already */
    d.k->arrive(&run, NULL);
    if (emu_count)
        assert_int_equal(emu_count().waits, before.waits + 2);
    for (int i = 0; i < COPIES; i++) { /* more than the pinned memory holds */
        d.k->fill(&run, N, (float)i, x);
        d.k->download_later(&run, got + i * N, x, (size_t)(i % 7 ? N : 100) * sizeof *x);
    }
    d.k->arrive(&run, NULL);
    for (int i = 0; i < COPIES; i++)
        assert_true(got[i * N] == (float)i && got[i * N + (i % 7 ? N : 100) - 1] == (float)i);
    d.k->free(&run, NULL, x, N * sizeof *x);
    size_t large = 9 << 20;
    char *y = d.k->alloc(&run, NULL, large);
    d.k->zero(&run, y, large);
    memset(got, 1, large);
    d.k->download_later(&run, got, y, large);
    d.k->arrive(&run, got);
    assert_true(got[0] == 0 && ((char *)got)[large - 1] == 0);
    d.k->free(&run, NULL, y, large);
    free(got);
    assert_ok(device_check(&d, &e), e);
    device_close(&d);
}

/* Uploads more than the ring of pinned memory holds at first, while the device has not begun. No upload may wait. */
static void uploads_do_not_wait(void **state)
{
    (void)state;
    size_t bytes = (size_t)40 << 20;
    Device d;
    Error e = {0};
    open_gpu(&d);
    const Run run = device_run(&d);
    unsigned char *x = malloc(bytes), *y = malloc(bytes);
    for (size_t i = 0; i < bytes; i++)
        x[i] = (unsigned char)(i * 7 + (i >> 12));
    char *p = d.k->alloc(&run, NULL, bytes);
    const EmuCounts before = emu_count ? emu_count() : (EmuCounts){0};
    d.k->upload(&run, p, x, bytes);
    if (emu_count)
        assert_int_equal(emu_count().waits, before.waits);
    for (int round = 0; round < 4; round++) { /* the ring is bounded: 128 MiB */
        d.k->upload(&run, p, x, bytes);
        d.k->download(&run, y, p, bytes);
        assert_memory_equal(x, y, bytes);
    }
    d.k->free(&run, NULL, p, bytes);
    free(x);
    free(y);
    assert_ok(device_check(&d, &e), e);
    device_close(&d);
}

typedef struct ProgressCalls { /* recorded by the progress callback */
    size_t done[64], count, cancel_at;
    EmuCounts first; /* the counts when the first inputs are done */
} ProgressCalls;

static bool record_progress(void *arg, size_t done, size_t n)
{
    ProgressCalls *s = arg;
    (void)n;
    if (done > 0 && (s->count == 0 || s->done[s->count - 1] == 0) && emu_count)
        s->first = emu_count();
    if (s->count < COUNT(s->done))
        s->done[s->count++] = done;
    return !s->cancel_at || done < s->cancel_at;
}

typedef struct Encoding {
    float *rows;
    size_t count;
    Error status[256], error;
    ProgressCalls seen;
    EmuCounts before, after;
} Encoding;

/* KEPT images keep their own sizes */
enum { PICTURES = 40, KEPT = 12, SENTENCES = 256 };
typedef enum What { A_TEXT, AN_IMAGE, A_KEPT_IMAGE } What;

/* Encodes texts, or images of which one is damaged: in the size of the preset, or in their own sizes (keep_size). */
static void encode_many(const Device *d, What what, size_t cancel_at, Encoding *to, Arena *a)
{
    static const char *const MODELS[] = {"bert", "vit", "resnet_basic"};
    static unsigned char pixels[PICTURES][32 * 32 * 3];
    ImageInput image[PICTURES];
    Text text[SENTENCES];
    Error e = {0};
    OpenModel o =
        open_encoder(d, arena_printf(a, &e, "tests/golden/encoders/%s", MODELS[what]), &(TestOptions){0}, a, &e);
    assert_ok(o.en != NULL, e);
    Tape *t = tape_new(d, false, &e);
    size_t n = what == A_TEXT ? SENTENCES : what == AN_IMAGE ? PICTURES : KEPT;
    *to = (Encoding){.rows = NEW(a, float, n *o.D, &e), .count = n * o.D, .seen = {.cancel_at = cancel_at}};
    for (size_t i = 0; i < PICTURES; i++) {
        for (size_t p = 0; p < sizeof pixels[i]; p++)
            pixels[i][p] = (unsigned char)(p * (7 + i) + i);
        image[i] = (ImageInput){.pixels = {.width = 32, .height = 20 + (int64_t)(i % 3), .pixels = pixels[i]}};
    }
    image[n / 2 % PICTURES] = (ImageInput){.bytes = TEXT("GIF89a")};
    for (size_t i = 0; i < SENTENCES; i++)
        text[i] = (Text){"a small red leather bag for the new light", 8 + i % 30};
    o.call->keep_size = what == A_KEPT_IMAGE;
    o.call->progress = record_progress;
    o.call->progress_arg = &to->seen;
    Results r = {.out = &to->rows, .status = to->status};
    if (emu_count)
        to->before = emu_count();
    bool ok = what == A_TEXT ? encode_texts(o.call, t, text, n, &r, &to->error)
                             : encode_images(o.call, t, image, n, &r, &to->error);
    if (emu_count)
        to->after = emu_count();
    assert_int_equal(ok, !cancel_at);
    tape_free(t);
    encoder_close(o.en);
}

/* Checks that the host works while the device computes. It must wait less often than there are batches, and the device
 * must have the next batch when the rows of the first batch arrive. Rows, errors and callbacks must be those of the
 * CPU. */
static void extraction_overlaps(void **state)
{
    static const char *const NAMES[] = {"texts", "images", "images of their own sizes"};
    (void)state;
    for (int run = 0; run < 6; run++) {
        const What what = (What)(run % 3);
        bool whole = run < 3;
        Device cpu, gpu;
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        Encoding *x = NEW(a, Encoding, 2, &e), *y = x + 1;
        open_gpu(&gpu);
        assert_ok(device_open(&cpu, "cpu", 2, NULL, NULL, &e), e);
        encode_many(&cpu, what, whole ? 0 : 6, x, a);
        encode_many(&gpu, what, whole ? 0 : 6, y, a);
        assert_ok(device_check(&gpu, &e), e);
        assert_string_equal(x->error.message, y->error.message);
        assert_int_equal(x->seen.count, y->seen.count);
        assert_memory_equal(x->seen.done, y->seen.done, sizeof x->seen.done);
        for (size_t i = 0; i < COUNT(x->status); i++)
            assert_string_equal(x->status[i].message, y->status[i].message);
        if (whole)
            assert_near(NAMES[what], "features", largest_difference(x->rows, y->rows, x->count), 1e-6);
        if (whole && emu_count) {
            uint64_t batches = y->after.downloads - y->before.downloads, waits = y->after.waits - y->before.waits,
                     begun = y->seen.first.downloads - y->before.downloads;
            print_message("  %-40s %llu batches, %llu waits, %llu begun before the first is kept\n", NAMES[what],
                          (unsigned long long)batches, (unsigned long long)waits, (unsigned long long)begun);
            if (what == AN_IMAGE) /* a group of these small images is one batch */
                assert_true(batches == 2 && waits == 2);
            else
                assert_true(batches > 4 && waits < batches && begun > 1);
        }
        arena_free(a);
        device_close(&cpu);
        device_close(&gpu);
    }
}

int main(void)
{
    unsetenv("SAPOR_TEST_DEVICE"); /* the tests open both devices */
    if (!use_emulator())
        return 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(later_downloads),
        cmocka_unit_test(uploads_do_not_wait),
        cmocka_unit_test(extraction_overlaps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
