/* tests/cuda_models_test.c: tests of the CUDA plug-in as programs use it, on the emulator (tests/cuda_emu) or on the
 * device of SAPOR_CUDA: memory, steps as graphs, errors, and the agreement of recommenders and encoders with the CPU.
 * SAPOR_TEST_ALL=1 runs every recommender and encoder; otherwise one of each kind is run. */
#include <dlfcn.h>
#include <libgen.h>
#include <math.h>
#include <unistd.h>

#include "tests/trial_testing.h" /* before cmocka, which has a macro named fail */

#include "tests/cuda_models.h"

static bool all(void)
{
    const char *text = getenv("SAPOR_TEST_ALL");
    return text && !strcmp(text, "1");
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void copies_of_all_sizes(void **state)
{
    (void)state;
    Device d;
    open_gpu(&d);
    const Run run = device_run(&d);
    static const size_t sizes[] = {1, 3, 4096, (1 << 20) + 5, (9 << 20) + 3};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        unsigned char *x = malloc(sizes[i]), *y = malloc(sizes[i]);
        char *p = d.k->alloc(&run, NULL, sizes[i] + 7);
        assert_non_null(p);
        for (size_t b = 0; b < sizes[i]; b++)
            x[b] = (unsigned char)(b * 31 + i);
        d.k->upload(&run, p, x, sizes[i]);
        d.k->copy(&run, p + 7, p, sizes[i]); /* source and destination overlap */
        d.k->download(&run, y, p + 7, sizes[i]);
        assert_memory_equal(x, y, sizes[i]);
        d.k->copy(&run, p + 2, p + 7, sizes[i]);
        d.k->download(&run, y, p + 2, sizes[i]);
        assert_memory_equal(x, y, sizes[i]);
        d.k->free(&run, NULL, p, sizes[i] + 7);
        free(x);
        free(y);
    }
    device_close(&d);
}

/* Uploads more than the pinned memory holds, in a step and outside. Checks that no upload is overwritten before it is
 * copied. */
static void uploads_wait_for_earlier_ones(void **state)
{
    (void)state;
    enum { PIECES = 40 };
    /* a segment of pinned memory has 4 MB, so it has room for only one upload */
    static const size_t bytes = (2 << 20) + 4096;
    Device d;
    Error e = {0};
    open_gpu(&d);
    const Run run = device_run(&d);
    char *p = d.k->alloc(&run, NULL, PIECES * bytes);
    unsigned char *x = malloc(bytes);
    assert_non_null(p);
    assert_non_null(x);
    for (int stepped = 0; stepped < 2; stepped++) {
        if (stepped)
            d.k->step_begin(&run);
        for (int i = 0; i < PIECES; i++) {
            memset(x, stepped * PIECES + i, bytes);
            d.k->upload(&run, p + (size_t)i * bytes, x, bytes);
        }
        if (stepped)
            d.k->step_end(&run);
        for (int i = 0; i < PIECES; i++) {
            d.k->download(&run, x, p + (size_t)i * bytes, bytes);
            assert_int_equal(x[0], stepped * PIECES + i);
            assert_int_equal(x[bytes - 1], stepped * PIECES + i);
        }
    }
    d.k->free(&run, NULL, p, PIECES * bytes);
    free(x);
    assert_ok(device_check(&d, &e), e);
    device_close(&d);
}

/* One context frees a block while its work still uses it, and another context gets the block. Checks that the work of
 * the two contexts does not overlap. */
static void a_block_goes_to_another_context(void **state)
{
    (void)state;
    /* larger than a piece of the arena, so that both contexts get the same block */
    static const size_t bytes = 65 << 20;
    Device one, other;
    Error e = {0};
    float got = 0;
    open_gpu(&one);
    open_gpu(&other);
    const Run a = device_run(&one), b = device_run(&other);
    float *p = one.k->alloc(&a, NULL, bytes), *last = one.k->alloc(&a, NULL, 4);
    assert_non_null(p);
    one.k->fill(&a, 1000, 1, p);
    one.k->fill(&a, 1, 3, last);
    one.k->free(&a, NULL, p, bytes);
    p = other.k->alloc(&b, NULL, bytes);
    assert_non_null(p);
    other.k->fill(&b, 1000, 2, p);
    other.k->download(&b, &got, p, 4);
    one.k->download(&a, &got, last, 4); /* all work of this context is done now */
    assert_float_equal(got, 3, 0);
    other.k->download(&b, &got, p, 4);
    assert_float_equal(got, 2, 0);
    one.k->free(&a, NULL, last, 4);
    other.k->free(&b, NULL, p, bytes);
    assert_ok(device_check(&one, &e) && device_check(&other, &e), e);
    device_close(&one);
    device_close(&other);
}

/* Allocates blocks of many sizes at the same time. No two may overlap, and each keeps its numbers. */
static void blocks_do_not_overlap(void **state)
{
    (void)state;
    enum { BLOCKS = 60, TURNS = 600 };
    Device d;
    open_gpu(&d);
    const Run run = device_run(&d);
    struct {
        int32_t *p;
        size_t bytes;
        int32_t first;
    } block[BLOCKS] = {{0}};
    for (uint32_t t = 0; t < TURNS; t++) {
        size_t i = draw_below((Draw){1, DRAW_TEST, 0}, t, BLOCKS);
        if (block[i].p) {
            int32_t got = 0;
            d.k->download(&run, &got, block[i].p, 4);
            assert_int_equal(got, block[i].first);
            d.k->download(&run, &got, (char *)block[i].p + block[i].bytes - 4, 4);
            assert_int_equal(got, block[i].first + 1);
            d.k->free(&run, NULL, block[i].p, block[i].bytes);
            block[i].p = NULL;
            continue;
        }
        block[i].bytes = 8 + 4 * (size_t)draw_below((Draw){2, DRAW_TEST, 0}, t, t % 7 ? 3000 : 900000);
        block[i].first = (int32_t)t * 2;
        block[i].p = d.k->alloc(&run, NULL, block[i].bytes);
        assert_non_null(block[i].p);
        assert_int_equal((uintptr_t)block[i].p % 64, 0);
        d.k->upload(&run, block[i].p, &block[i].first, 4);
        int32_t last = block[i].first + 1;
        d.k->upload(&run, (char *)block[i].p + block[i].bytes - 4, &last, 4);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        if (block[i].p)
            d.k->free(&run, NULL, block[i].p, block[i].bytes);
    device_close(&d);
}

static void out_of_memory_is_an_error(void **state)
{
    (void)state;
    Device d;
    Error e = {0};
    open_gpu(&d);
    emulator_only(&d, "only the emulator has a limit of memory");
    emu_limit((size_t)80 << 20);
    Store *s = store_new(&d, &e);
    assert_ok(s != NULL, e);
    assert_ok(store_f32(s, "small", 1, &(int64_t){1000}, NULL, &e) != NULL, e);
    assert_null(store_f32(s, "large", 1, &(int64_t){50 << 20}, NULL, &e));
    assert_int_equal(e.code, SP_MEMORY);
    assert_non_null(strstr(e.message, "large needs 209715200 bytes"));
    assert_non_null(strstr(e.message, "are available"));
    error_clear(&e);
    assert_ok(store_f32(s, "another", 1, &(int64_t){1000}, NULL, &e) != NULL, e); /* the device can still be used */
    emu_limit((size_t)-1);
    store_free(s);
    device_close(&d);
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* Adds x to y three times in each step, after an upload of x: with one graph per step, and with single calls. */
static void steps_are_graphs(void **state)
{
    (void)state;
    enum { N = 1000, STEPS = 12 };
    float x[N], got[2][N];
    uint64_t graphs = 0, waits = 0;
    for (int stepped = 0; stepped < 2; stepped++) {
        Device d;
        open_gpu(&d);
        const Run run = device_run(&d);
        float *dx = d.k->alloc(&run, NULL, sizeof x), *dy = d.k->alloc(&run, NULL, sizeof x);
        d.k->zero(&run, dy, sizeof x);
        const EmuCounts before = emu_count ? emu_count() : (EmuCounts){0};
        for (int s = 0; s < STEPS; s++) {
            if (stepped)
                d.k->step_begin(&run);
            for (int i = 0; i < N; i++)
                x[i] = (float)(s * i);
            d.k->upload(&run, dx, x, sizeof x);
            for (int i = 0; i < (s == 5 ? 4 : 3); i++) /* one step has another shape */
                d.k->axpby(&run, N, 1.0f, dx, 1.0f, dy);
            if (stepped)
                d.k->step_end(&run);
        }
        if (emu_count) {
            graphs = emu_count().graphs - before.graphs;
            waits = emu_count().waits - before.waits;
        }
        d.k->download(&run, got[stepped], dy, sizeof x);
        d.k->free(&run, NULL, dx, sizeof x);
        d.k->free(&run, NULL, dy, sizeof x);
        Error e = {0};
        assert_ok(device_check(&d, &e), e);
        device_close(&d);
    }
    assert_memory_equal(got[0], got[1], sizeof x);
    assert_float_equal(got[0][1], 3 * 66 + 5, 0);
    if (emu_count) {
        assert_int_equal(graphs, STEPS);
        assert_int_equal(waits, 0);
    }
}

/* Checks a download inside a step: the calls before it are done first, and the step continues. */
static void a_step_may_download(void **state)
{
    (void)state;
    Device d;
    Error e = {0};
    open_gpu(&d);
    const Run run = device_run(&d);
    float *x = d.k->alloc(&run, NULL, 16), got[4] = {0};
    d.k->step_begin(&run);
    d.k->fill(&run, 4, 3.0f, x);
    d.k->download(&run, got, x, sizeof got);
    assert_float_equal(got[3], 3, 0);
    d.k->fill(&run, 4, 4.0f, x);
    d.k->step_end(&run);
    d.k->download(&run, got, x, sizeof got);
    assert_float_equal(got[0], 4, 0);
    double begun = d.k->clock(&run);
    d.k->fill(&run, 4, 5.0f, x);
    assert_true(d.k->clock(&run) >= begun);
    assert_true(fabs(begun - now_seconds()) < 60);
    d.k->free(&run, NULL, x, 16);
    assert_ok(device_check(&d, &e), e);
    device_close(&d);
}

/* A block that a context freed in a step may be in use by work that is not submitted yet. Another context must not wait
 * for this work, which would break the capture of the step (its recording as a CUDA graph), and must not get the block.
 * */
static void a_step_keeps_what_it_freed(void **state)
{
    (void)state;
    size_t bytes = (size_t)150 << 20; /* larger than any piece of the earlier tests */
    Device d, other;
    Error e = {0};
    open_gpu(&d);
    emulator_only(&d, "only the emulator has a limit of memory");
    assert_ok(device_open(&other, "cuda", 1, NULL, NULL, &e), e);
    const Run run = device_run(&d), run_other = device_run(&other);
    float *x = d.k->alloc(&run, NULL, bytes), *y = d.k->alloc(&run, NULL, 16), got[4] = {0};
    assert_non_null(x);
    emu_limit(1); /* no more memory from the device */
    d.k->step_begin(&run);
    d.k->fill(&run, 4, 3.0f, x);
    d.k->copy(&run, y, x, 16);
    d.k->free(&run, NULL, x, bytes);
    assert_null(other.k->alloc(&run_other, NULL, bytes));
    d.k->step_end(&run);
    float *z = other.k->alloc(&run_other, NULL, bytes);
    assert_ptr_equal(z, x);
    other.k->fill(&run_other, 4, 5.0f, z);
    d.k->download(&run, got, y, sizeof got);
    assert_float_equal(got[3], 3, 0);
    assert_ok(device_check(&d, &e), e);
    assert_ok(device_check(&other, &e), e);
    emu_limit((size_t)-1);
    other.k->free(&run_other, NULL, z, bytes);
    d.k->free(&run, NULL, y, 16);
    device_close(&other);
    device_close(&d);
}

/* ---- errors ---------------------------------------------------------------------------------- */

static void errors_are_kept(void **state)
{
    (void)state;
    Device d;
    Error e = {0};
    open_gpu(&d);
    emulator_only(&d, "a card that has met a fault is lost for the process");
    const Run run = device_run(&d);
    float *x = d.k->alloc(&run, NULL, 64), got[16] = {1, 1};
    d.k->fill(&run, 1000, 1.0f, x); /* beyond its end */
    d.k->download(&run, got, x, sizeof got);
    assert_float_equal(got[0], 0, 0);
    assert_false(device_check(&d, &e));
    assert_non_null(strstr(e.message, "device cuda: "));
    assert_non_null(strstr(e.message, "out of bounds"));
    error_clear(&e);
    Tape *t = tape_new(&d, false, &e);
    assert_non_null(t);
    assert_false(tape_ok(t, &e)); /* a model gets the error */
    tape_free(t);
    error_clear(&e);
    Store *s = store_new(&d, &e);
    assert_ok(s != NULL, e);
    assert_null(store_f32(s, "large", 1, &(int64_t){50 << 20}, NULL, &e));
    assert_non_null(strstr(e.message, "out of bounds")); /* memory is not reported as missing */
    error_clear(&e);
    store_free(s);
    d.k->free(&run, NULL, x, 64);
    device_close(&d);
    emu_forget();
}

static void plugins_that_do_not_fit(void **state)
{
    (void)state;
    Device d;
    Error e = {0};
    char *old_path = getenv("SAPOR_CUDA") ? strdup(getenv("SAPOR_CUDA")) : NULL;
    setenv("SAPOR_CUDA", "/nothing/here.so", 1);
    assert_false(device_open(&d, "cuda", 1, NULL, NULL, &e));
    assert_non_null(strstr(e.message, "/nothing/here.so"));
    error_clear(&e);
    setenv("SAPOR_CUDA", "libm.so.6", 1);
    assert_false(device_open(&d, "cuda", 1, NULL, NULL, &e));
    assert_non_null(strstr(e.message, "of another version"));
    error_clear(&e);
    assert_ok(device_open(&d, "auto", 1, NULL, NULL, &e), e);
    assert_true(device_is_host(&d));
    assert_non_null(strstr(d.why_cpu.message, "of another version"));
    device_close(&d);
    if (old_path)
        setenv("SAPOR_CUDA", old_path, 1);
    else
        unsetenv("SAPOR_CUDA");
    free(old_path);
    assert_false(device_open(&d, "cuda:nonsense", 1, NULL, NULL, &e));
    assert_int_equal(e.code, SP_USAGE);
    error_clear(&e);
    if (is_emulator()) {
        setenv("EMU_DEVICES", "0", 1);
        assert_false(device_open(&d, "cuda", 1, NULL, NULL, &e));
        assert_non_null(strstr(e.message, "no GPU can be used"));
        unsetenv("EMU_DEVICES");
        error_clear(&e);
        setenv("EMU_CAPABILITY", "7", 1);
        assert_false(device_open(&d, "cuda", 1, NULL, NULL, &e));
        assert_non_null(strstr(e.message, "compute capability 7.0"));
        unsetenv("EMU_CAPABILITY");
        error_clear(&e);
    }
}

/* ---- models ---------------------------------------------------------------------------------- */

/* Training multiplies the rounding differences of two devices, in some models (DGCF) a thousand times in three epochs.
 * Two instruction levels of the CPU differ in this way, too. A device may differ from the CPU four times as much as
 * they do. */
static void recommenders_agree_with_the_cpu(void **state)
{
    (void)state;
    for (size_t i = 0; i < recommender_count(); i++) {
        const Recommender *kind = recommender_at(i);
        if (kind->step || !(all() || !strcmp(kind->name, "LATTICE")))
            continue;
        Device cpu, baseline, gpu;
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        DataSet data;
        Trial one = {0}, base = {0}, other = {0};
        open_gpu(&gpu);
        assert_ok(device_open(&cpu, "cpu", 2, NULL, NULL, &e), e);
        assert_ok(device_open(&baseline, "cpu:baseline", 2, NULL, NULL, &e), e);
        make_data(&data, a);
        try_recommender(&cpu, kind, NULL, &data, &one, a);
        try_recommender(&baseline, kind, NULL, &data, &base, a);
        const EmuCounts before = emu_count ? emu_count() : (EmuCounts){0};
        try_recommender(&gpu, kind, NULL, &data, &other, a);
        assert_ok(device_check(&gpu, &e), e);
        if (emu_count) { /* The host waits only for what it reads and for pinned memory. A step is one graph. */
            enum { TURNS = 4 };
            EmuCounts c = emu_count();
            assert_true(c.waits - before.waits <= c.downloads - before.downloads + TURNS);
            assert_true(c.graphs - before.graphs >= other.losses_count);
        }
        double levels = fmax(largest_difference(one.users, base.users, one.users_count),
                             largest_difference(one.items, base.items, one.items_count)),
               usual = fmax(1e-3, 4 * levels);
        assert_near(kind->name, "first loss",
                    largest_difference(one.losses, other.losses, MIN(one.losses_count, (size_t)1)), 1e-6);
        assert_near(kind->name, "losses", largest_difference(one.losses, other.losses, one.losses_count),
                    fmax(1e-4, 4 * largest_difference(one.losses, base.losses, one.losses_count)));
        assert_near(kind->name, "users", largest_difference(one.users, other.users, one.users_count), usual);
        assert_near(kind->name, "items", largest_difference(one.items, other.items, one.items_count), usual);
        size_t same = 0, usual_same = 0;
        for (size_t j = 0; j < one.top_count; j++) {
            same += one.top[j] == other.top[j];
            usual_same += one.top[j] == base.top[j];
        }
        assert_true((double)same >= 0.9 * (double)usual_same);
        arena_free(a);
        device_close(&cpu);
        device_close(&baseline);
        device_close(&gpu);
    }
}

static void encoders_agree_with_the_cpu(void **state)
{
    (void)state;
    for (size_t i = 0; i < (all() ? COUNT(trial_encoders) : 2); i++) {
        Device cpu, gpu;
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        size_t n, m;
        open_gpu(&gpu);
        assert_ok(device_open(&cpu, "cpu", 2, NULL, NULL, &e), e);
        const float *x = encode(&cpu, trial_encoders[i].name, trial_encoders[i].tower, &n, a),
                    *y = encode(&gpu, trial_encoders[i].name, trial_encoders[i].tower, &m, a);
        assert_int_equal(n, m);
        assert_ok(device_check(&gpu, &e), e);
        assert_near(trial_encoders[i].name, "features", largest_difference(x, y, n), 1e-5);
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
        cmocka_unit_test(copies_of_all_sizes),
        cmocka_unit_test(blocks_do_not_overlap),
        cmocka_unit_test(uploads_wait_for_earlier_ones),
        cmocka_unit_test(a_block_goes_to_another_context),
        cmocka_unit_test(out_of_memory_is_an_error),
        cmocka_unit_test(steps_are_graphs),
        cmocka_unit_test(a_step_may_download),
        cmocka_unit_test(a_step_keeps_what_it_freed),
        cmocka_unit_test(errors_are_kept),
        cmocka_unit_test(plugins_that_do_not_fit),
        cmocka_unit_test(recommenders_agree_with_the_cpu),
        cmocka_unit_test(encoders_agree_with_the_cpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
