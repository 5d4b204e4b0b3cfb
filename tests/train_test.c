/* tests/train_test.c: the folder of a run. It has the same bytes for 1 and 2 threads and after any number of kills;
 * other settings are refused; a run that cannot start writes no files; recommendations need the folder alone. */
#include "tests/folder_testing.h"

#include <math.h>
#include <signal.h>
#include <sys/wait.h>

#include "recsys/trained.h"

enum { USERS = 60, ITEMS = 80, PER_USER = 12, VISUAL = 16, TEXTUAL = 8 };

typedef struct TestBench {
    Arena *arena;
    char folder[256];
    const char *train, *valid, *test, *features[2];
} TestBench;

static const char *in(TestBench *b, const char *name)
{
    return arena_printf(b->arena, &(Error){0}, "%s/%s", b->folder, name);
}

/* Writes users who like items near a place of their own, so that a model can learn something. */
static void write_part(TestBench *b, const char *path, int first, int n)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (int u = 0; u < USERS; u++)
        for (int j = first; j < first + n; j++)
            fprintf(f, "%d\t%d\t%d\n", u, (u * 4 / 3 + j * j) % ITEMS, 1 + (u + j) % 5);
    fclose(f);
    (void)b;
}

static int setup(void **state)
{
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    TestBench *b = NEW(a, TestBench, 1, &e);
    b->arena = a;
    test_folder(b->folder);
    b->train = in(b, "train.tsv");
    b->valid = in(b, "valid.tsv");
    b->test = in(b, "test.tsv");
    write_part(b, b->train, 0, PER_USER - 4);
    write_part(b, b->valid, PER_USER - 4, 2);
    write_part(b, b->test, PER_USER - 2, 2);
    FILE *f = fopen(b->test, "a"); /* an item that the train part does not have is always missed, and has no vector */
    assert_non_null(f);
    fputs("0\t999\t5\n", f);
    fclose(f);
    const struct {
        const char *name;
        int64_t D;
    } kinds[] = {{"visual", VISUAL}, {"textual", TEXTUAL}};
    for (uint32_t k = 0; k < 2; k++) {
        float *x = NEW(a, float, ITEMS *kinds[k].D, &e);
        for (int64_t i = 0; i < ITEMS * kinds[k].D; i++)
            x[i] = 0.2f + draw_normal((Draw){7, DRAW_TEST, k}, (uint64_t)i);
        const char *path = arena_printf(a, &e, "%s/%s.npy", b->folder, kinds[k].name);
        assert_true(npy_write_f32(path, 2, (int64_t[]){ITEMS, kinds[k].D}, x, NULL, &e));
        b->features[k] = arena_printf(a, &e, "%s=%s", kinds[k].name, path);
    }
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    TestBench *b = *state;
    test_folder_remove(b->folder);
    arena_free(b->arena);
    return 0;
}

static bool run(TestBench *b, const char *model, const char *out, int threads, const char *extra, TrainResult *r,
                Arena *a, Error *e)
{
    const char *set[] = {"epochs=20", "validation_rate=4", "batch_size=64", "checkpoint_seconds=0", "lr=0.01", extra};
    TrainConfig c = {
        .model = model,
        .data = {.train = b->train, .valid = b->valid, .test = b->test, .features = b->features, .feature_count = 2},
        .set = set,
        .set_count = extra ? 6 : 5,
        .out = out,
        .seed = 3};
    Device d;
    bool ok = device_open(&d, NULL, threads, NULL, NULL, e) && train_run(&d, &c, r, a, e);
    device_close(&d);
    return ok;
}

static void run_well(TestBench *b, const char *model, const char *out, int threads, TrainResult *r)
{
    Error e = {0};
    if (!run(b, model, out, threads, NULL, r, b->arena, &e))
        fail_msg("%s: %s", model, e.message);
}

static void same_bytes_for_any_threads(void **state)
{
    TestBench *b = *state;
    for (size_t i = 0; i < recommender_count(); i++) {
        TrainResult one, two;
        const char *x = arena_printf(b->arena, &(Error){0}, "%s/%s-1", b->folder, recommender_at(i)->name);
        const char *y = arena_printf(b->arena, &(Error){0}, "%s/%s-2", b->folder, recommender_at(i)->name);
        run_well(b, recommender_at(i)->name, x, 1, &one);
        run_well(b, recommender_at(i)->name, y, 2, &two);
        assert_same_folders(b->arena, x, y);
        assert_int_equal(one.best_epoch, two.best_epoch);
        printf("  %-8s Recall@20 %.4f, epoch %d\n", recommender_at(i)->name, score_of(&one.test, "Recall", 20),
               (int)one.best_epoch);
    }
}

/* Starts the run in a child and kills it after some milliseconds. Returns whether it had finished before. */
static bool run_and_kill(TestBench *b, const char *model, const char *out, unsigned milliseconds)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        TrainResult r;
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        bool ok = run(b, model, out, 2, NULL, &r, a, &e);
        if (!ok)
            fprintf(stderr, "%s: %s\n", model, e.message);
        arena_free(a);
        _exit(ok ? 0 : 1);
    }
    usleep(milliseconds * 1000);
    kill(child, SIGKILL);
    int status;
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
        fail_msg("%s failed in a child", model);
    return WIFEXITED(status);
}

static const char *cut_folder(TestBench *b, size_t i)
{
    return arena_printf(b->arena, &(Error){0}, "%s/%s-cut", b->folder, recommender_at(i)->name);
}

/* Comes before the tests that train in this process: a fork takes longer if a sanitizer holds much memory. */
static void runs_are_killed(void **state)
{
    TestBench *b = *state;
    for (size_t i = 0; i < recommender_count(); i++) {
        int kills = 0;
        for (unsigned k = 0; k < 12; k++)
            kills += !run_and_kill(b, recommender_at(i)->name, cut_folder(b, i),
                                   1 + draw_below((Draw){9, DRAW_TEST, (uint32_t)i}, k, 40));
        printf("  %-8s %d kills\n", recommender_at(i)->name, kills);
    }
}

static void same_bytes_after_kills(void **state)
{
    TestBench *b = *state;
    for (size_t i = 0; i < recommender_count(); i++) {
        TrainResult r;
        const char *whole = arena_printf(b->arena, &(Error){0}, "%s/%s-1", b->folder, recommender_at(i)->name);
        run_well(b, recommender_at(i)->name, cut_folder(b, i), 1, &r);
        assert_same_folders(b->arena, whole, cut_folder(b, i));
    }
}

enum { MOST = 20 };

/* Trains a run that is evaluated after each epoch. figures: Recall@20 of the validation part, as in history.tsv.
 * Returns the number of epochs. */
static int64_t run_patiently(TestBench *b, const char *out, const char *patience, Protocol p, bool valid,
                             TrainResult *r, double *figures)
{
    Error e = {0};
    const char *set[] = {"epochs=20", "validation_rate=1", "batch_size=64", "lr=0.05", "cutoffs=20", patience};
    TrainConfig c = {.model = "BPRMF",
                     .data = {.train = b->train, .valid = valid ? b->valid : NULL, .test = b->test, .protocol = p},
                     .set = set,
                     .set_count = COUNT(set),
                     .out = out,
                     .seed = 3};
    Device d;
    assert_ok(device_open(&d, NULL, 1, NULL, NULL, &e), e);
    assert_ok(train_run(&d, &c, r, b->arena, &e), e);
    device_close(&d);
    Text history, line, cell;
    assert_true(file_read(&history, b->arena, path_join(b->arena, out, "history.tsv", &e), 0, &e));
    text_line(&history, &line);
    for (int n = 0; text_line(&history, &line); n++) {
        for (int column = 0; column < 3; column++)
            assert_true(text_next(&line, '\t', &cell));
        assert_true(n < MOST && text_f64(cell, &figures[n]));
    }
    return r->epochs;
}

/* Returns the epoch at which Elliot's window stops: the first of the last patience + 1 figures is above all others. */
static int64_t elliot_stops(const double *x, int64_t n, int64_t patience)
{
    for (int64_t epoch = patience + 1; epoch <= n; epoch++) {
        bool all = true;
        for (int64_t i = epoch - patience; i < epoch; i++)
            all = all && x[epoch - patience - 1] > x[i];
        if (all)
            return epoch;
    }
    return n;
}

/* Returns the epoch at which MMRec stops: it counts figures, rounded to four decimals, that are not above the best, and
 * stops at more than `patience` of them. */
static int64_t mmrec_stops(const double *x, int64_t n, int64_t patience)
{
    double best = -1;
    for (int64_t epoch = 1, steps = 0; epoch <= n; epoch++) {
        double rounded = nearbyint(x[epoch - 1] * 1e4) / 1e4;
        steps = rounded > best ? 0 : steps + 1;
        best = rounded > best ? rounded : best;
        if (steps > patience)
            return epoch;
    }
    return n;
}

static void each_system_has_its_patience(void **state)
{
    TestBench *b = *state;
    TrainResult r;
    double figures[MOST], ignored[MOST];
    for (Protocol p = PROTOCOL_ELLIOT; p <= PROTOCOL_MMREC; p++) {
        const char *name = p == PROTOCOL_ELLIOT ? "elliot" : "mmrec";
        const char *whole = arena_printf(b->arena, &(Error){0}, "%s/patience-%s", b->folder, name);
        assert_int_equal(run_patiently(b, whole, "patience=0", p, true, &r, figures), MOST);
        for (int64_t patience = 1; patience <= 3; patience++) {
            const char *set = arena_printf(b->arena, &(Error){0}, "patience=%lld", (long long)patience);
            const char *out = arena_printf(b->arena, &(Error){0}, "%s-%lld", whole, (long long)patience);
            int64_t expected = (p == PROTOCOL_ELLIOT ? elliot_stops : mmrec_stops)(figures, MOST, patience);
            int64_t seen = run_patiently(b, out, set, p, true, &r, ignored);
            printf("  %s, patience %d: epoch %d\n", name, (int)patience, (int)seen);
            assert_int_equal(seen, expected);
            assert_true(expected < MOST);
        }
    }
    /* without a validation part: the last epoch is used, and there is no early stop */
    assert_int_equal(run_patiently(b, in(b, "no-valid"), "patience=1", PROTOCOL_ELLIOT, false, &r, ignored), MOST);
    assert_int_equal(r.best_epoch, MOST);
}

static void other_settings_are_refused(void **state)
{
    TestBench *b = *state;
    TrainResult r;
    Error e = {0};
    const char *out = in(b, "BPRMF-1");
    assert_false(run(b, "BPRMF", out, 1, "lr=0.02", &r, b->arena, &e));
    assert_error(e, SP_USAGE,
                 "config.json:13: a run with other settings or data made this folder (there \"lr\": \"0.01\", "
                 "here \"lr\": \"0.02\"); choose another folder");
}

static void what_cannot_start_leaves_nothing(void **state)
{
    TestBench *b = *state;
    const struct {
        const char *model, *set, *says;
    } cases[] = {{"NoSuchModel", NULL, "choose one of"},
                 {"BPRMF", "learn_rate=1", "unknown setting"},
                 {"BPRMF", "lr=fast", "a number"},
                 {"BPRMF", "factors=0", "at least 1"},
                 {"BPRMF", "lr=1e300", "lr=1e300: is too large"},
                 {"BPRMF", "factors=1.5", "whole number"},
                 {"BPRMF", "novalue", "key=value"},
                 {"BPRMF", "validation_metric=F1@20", "among"},
                 {"BPRMF", "variant=other", "elliot"},
                 {"BPRMF", "cutoffs=0", "cutoffs"},
                 {"BPRMF", "metrics=Recal", "unknown metric 'Recal'"}};
    const char *out = in(b, "nothing");
    for (size_t i = 0; i < COUNT(cases); i++) {
        TrainResult r;
        Error e = {0};
        assert_false(run(b, cases[i].model, out, 1, cases[i].set, &r, b->arena, &e));
        if (!strstr(e.message, cases[i].says))
            fail_msg("'%s' does not say '%s'", e.message, cases[i].says);
        assert_false(folder_exists(out));
    }
}

static void a_nan_loss_ends_the_training(void **state)
{
    TestBench *b = *state;
    TrainResult r;
    Error e = {0};
    assert_false(run(b, "BPRMF", NULL, 1, "lr=1e38", &r, b->arena, &e));
    assert_non_null(strstr(e.message, "smaller lr"));
}

/* Trains one epoch without a folder, on a heap that refuses one request. */
static bool run_refused(TestBench *b, const char *model, TestHeap *heap, double *recall, Error *e)
{
    const char *set[] = {"epochs=1", "validation_rate=1", "batch_size=512", "lr=0.01"};
    TrainConfig c = {
        .model = model,
        .data = {.train = b->train, .valid = b->valid, .test = b->test, .features = b->features, .feature_count = 2},
        .set = set,
        .set_count = COUNT(set),
        .seed = 3};
    TrainResult r;
    Arena *a = arena_new(&heap->heap, 0);
    Device d;
    bool ok = device_open(&d, NULL, 1, &heap->heap, NULL, e) && a && train_run(&d, &c, &r, a, e);
    *recall = ok ? score_of(&r.test, "Recall", 20) : 0;
    device_close(&d);
    arena_free(a);
    return ok;
}

/* Checks that no memory is leaked. A run that does not need the refused memory has the usual result. */
static void refused_memory_is_an_error(void **state)
{
    TestBench *b = *state;
    for (size_t i = 0; i < recommender_count(); i++) {
        const char *model = recommender_at(i)->name;
        TestHeap heap;
        Error e = {0};
        double whole, recall;
        test_heap(&heap, 0);
        assert_ok(run_refused(b, model, &heap, &whole, &e), e);
        size_t requests = heap.requests;
        /* the first request is the arena itself, which has no error message */
        for (size_t refuse = 2; refuse <= requests; refuse++) {
            test_heap(&heap, refuse);
            bool ok = run_refused(b, model, &heap, &recall, &e);
            if (ok ? recall != whole : e.code != SP_MEMORY)
                fail_msg("%s: request %zu of %zu was refused: %s", model, refuse, requests,
                         ok ? "other results" : e.message);
            if (heap.live != 0)
                fail_msg("%s: request %zu of %zu was refused: %zu bytes are left", model, refuse, requests, heap.live);
            error_clear(&e);
        }
        printf("  %-8s %zu requests\n", model, requests);
    }
}

static bool ignore(void *arg, Text user, int64_t k, const Text *items, const float *scores, Error *e)
{
    (void)arg, (void)user, (void)k, (void)items, (void)scores, (void)e;
    return true;
}

typedef struct Seen {
    int users;
    TestBench *bench;
} Seen;
static bool look(void *arg, Text user, int64_t k, const Text *items, const float *scores, Error *e)
{
    (void)e;
    Seen *s = arg;
    int64_t u, item;
    assert_true(text_i64(user, &u));
    assert_int_equal(k, 10);
    for (int64_t i = 0; i < k; i++) {
        assert_true(text_i64(items[i], &item));
        assert_true(i == 0 || scores[i] <= scores[i - 1]);
        for (int j = 0; j < PER_USER - 4; j++) /* no item of the train part */
            assert_int_not_equal(item, (u * 4 / 3 + j * j) % ITEMS);
    }
    s->users++;
    return true;
}

static void recommends_from_the_folder(void **state)
{
    TestBench *b = *state;
    Error e = {0};
    Device d;
    assert_ok(device_open(&d, NULL, 2, NULL, NULL, &e), e);
    const char *const folders[] = {"LATTICE-1", "ItemKNN-1"};
    for (size_t i = 0; i < COUNT(folders); i++) {
        Trained *t = trained_open(&d, in(b, folders[i]), false, &e);
        if (!t)
            fail_msg("%s", e.message);
        Seen seen = {0, b};
        assert_true(trained_recommend(t, NULL, 0, 10, look, &seen, &e));
        assert_int_equal(seen.users, USERS);
        assert_true(trained_recommend(t, (Text[]){TEXT("5"), TEXT("7")}, 2, 10, look, &seen, &e));
        assert_int_equal(seen.users, USERS + 2);
        assert_false(trained_recommend(t, (Text[]){TEXT("nobody")}, 1, 10, look, &seen, &e));
        assert_non_null(strstr(e.message, "nobody"));
        error_clear(&e);
        trained_close(t);
    }
    assert_null(trained_open(&d, in(b, "no such folder"), false, &e));
    device_close(&d);
}

/* Deletes, empties, truncates and overwrites each file of a trained folder: there is an error of one line with the
 * cause, or a resumed run repairs the file. */
static void damaged_folders_are_refused(void **state)
{
    TestBench *b = *state;
    Error e = {0};
    Device d;
    assert_ok(device_open(&d, NULL, 1, NULL, NULL, &e), e);
    static const char *const DAMAGE[] = {NULL, "", "{\"model\": \"NoSuch\"}", "0\n1\n\xff\n", "\x93NUMPY\1\0\1\0{"};
    const char *folder = in(b, "BPRMF-1");
    FolderEntry *entries;
    size_t n, refused = 0;
    assert_true(folder_list(&entries, &n, b->arena, folder, &e));
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k <= COUNT(DAMAGE); k++) {
            const char *path = path_join(b->arena, folder, entries[i].name, &e);
            Text whole;
            assert_true(file_read(&whole, b->arena, path, 0, &e));
            unlink(path);
            FILE *f = k ? fopen(path, "wb") : NULL;
            if (f && k == COUNT(DAMAGE))
                fwrite(whole.p, 1, whole.n / 2, f);
            else if (f)
                fputs(DAMAGE[k], f);
            if (f)
                fclose(f);
            Trained *t = trained_open(&d, folder, false, &e);
            assert_true(t ? e.code == SP_OK : e.message[0] && !strchr(e.message, '\n'));
            if (t && whole.n && !trained_recommend(t, NULL, 0, 10, ignore, NULL, &e))
                assert_true(e.message[0] && !strchr(e.message, '\n'));
            trained_close(t);
            refused += e.code != SP_OK;
            error_clear(&e);
            TrainResult r;
            if (!strcmp(entries[i].name, "checkpoint.safetensors") && k > 0) {
                assert_false(run(b, "BPRMF", folder, 1, NULL, &r, b->arena, &e));
                assert_non_null(strstr(e.message, "checkpoint.safetensors"));
                error_clear(&e);
            }
            f = fopen(path, "wb");
            assert_non_null(f);
            fwrite(whole.p, 1, whole.n, f);
            fclose(f);
        }
    assert_true(refused >= 20);
    device_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(runs_are_killed),
                                       cmocka_unit_test(each_system_has_its_patience),
                                       cmocka_unit_test(same_bytes_for_any_threads),
                                       cmocka_unit_test(same_bytes_after_kills),
                                       cmocka_unit_test(other_settings_are_refused),
                                       cmocka_unit_test(what_cannot_start_leaves_nothing),
                                       cmocka_unit_test(a_nan_loss_ends_the_training),
                                       cmocka_unit_test(refused_memory_is_an_error),
                                       cmocka_unit_test(recommends_from_the_folder),
                                       cmocka_unit_test(damaged_folders_are_refused)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
