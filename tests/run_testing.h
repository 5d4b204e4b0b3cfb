/* tests/run_testing.h: shared by tests of run folders: small data, two finished runs, and a check that a run folder can
 * be opened. */
#ifndef SAPOR_RUN_TESTING_H
#define SAPOR_RUN_TESTING_H

#include "tests/testing.h"

#include <math.h>

#include "recsys/trained.h"

enum { USERS = 12, ITEMS = 15 };
typedef struct TestBench {
    Arena *arena;
    Device device;
    char folder[256];
    const char *train, *test;
} TestBench;

/* Returns the path of the file `name` in the run folder `run`. name NULL: the path of `run` itself. The path is in the
 * arena of b. */
static inline const char *in(TestBench *b, const char *run, const char *name)
{
    return arena_printf(b->arena, &(Error){0}, "%s/%s%s%s", b->folder, run, name ? "/" : "", name ? name : "");
}

/* Writes n pairs per user, one row per pair: user u and the items (u + j j) mod ITEMS, for j from `first` on. `row` is
 * the format of a row: the numbers of the user and the item, and the rating. rating 0: ratings from 1 to 5 in turn. */
static inline void write_rows(const char *path, const char *row, int rating, int first, int n)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (int u = 0; u < USERS; u++)
        for (int j = first; j < first + n; j++)
            fprintf(f, row, u, (u + j * j) % ITEMS, rating ? rating : 1 + (u + j) % 5);
    fclose(f);
}

static inline void write_data(const char *path, int first, int n)
{
    write_rows(path, "u%d\ti%d\t%d\n", 5, first, n);
}

/* Trains a model for two epochs into the run folder `out`. extra: one more setting, or NULL. */
static inline bool run(TestBench *b, const char *model, const char *out, const char *extra, Protocol p, TrainResult *r,
                       Error *e)
{
    const char *set[] = {"epochs=2", "validation_rate=1", "checkpoint_seconds=0", extra};
    TrainConfig c = {.model = model,
                     .data = {.train = b->train, .valid = b->test, .test = b->test, .protocol = p},
                     .set = set,
                     .set_count = extra ? 4 : 3,
                     .out = out,
                     .seed = 3};
    return train_run(&b->device, &c, r, b->arena, e);
}

static inline int setup(void **state)
{
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    TestBench *b = NEW(a, TestBench, 1, &e);
    TrainResult r;
    b->arena = a;
    assert_ok(device_open(&b->device, NULL, 1, NULL, NULL, &e), e);
    test_folder(b->folder);
    b->train = in(b, "train.tsv", NULL);
    b->test = in(b, "test.tsv", NULL);
    write_data(b->train, 0, 3);
    write_data(b->test, 3, 1);
    assert_ok(run(b, "BPRMF", in(b, "bprmf", NULL), "factors=4", PROTOCOL_ELLIOT, &r, &e), e);
    assert_ok(run(b, "ItemKNN", in(b, "knn", NULL), NULL, PROTOCOL_ELLIOT, &r, &e), e);
    *state = b;
    return 0;
}

static inline int teardown(void **state)
{
    TestBench *b = *state;
    test_folder_remove(b->folder);
    device_close(&b->device);
    arena_free(b->arena);
    return 0;
}

static inline Text read_all(TestBench *b, const char *path)
{
    Error e = {0};
    Text t;
    assert_ok(file_read(&t, b->arena, path, 0, &e), e);
    return t;
}

/* Writes a file. If it exists, a new file replaces it. The old file is unlinked, not overwritten, because it may be
 * mapped in memory. */
static inline void put(const char *path, Text bytes)
{
    unlink(path);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes.p, 1, bytes.n, f), bytes.n);
    assert_int_equal(fclose(f), 0);
}

/* Returns in_text with the first `old` replaced by `new`. */
static inline Text replaced(TestBench *b, Text in_text, const char *old, const char *new)
{
    const char *at = strstr(in_text.p, old);
    if (!at)
        fail_msg("\"%s\" is not there", old);
    size_t before = (size_t)(at - in_text.p), n = in_text.n - strlen(old) + strlen(new);
    char *p = NEW(b->arena, char, n + 1, &(Error){0});
    memcpy(p, in_text.p, before);
    memcpy(p + before, new, strlen(new));
    memcpy(p + before + strlen(new), at + strlen(old), in_text.n - before - strlen(old));
    return (Text){p, n};
}

static inline bool count_user(void *arg, Text user, int64_t k, const Text *items, const float *scores, Error *e)
{
    (void)user, (void)items, (void)e;
    assert_int_equal(k, 3);
    assert_true(isfinite(scores[0]));
    ++*(int *)arg;
    return true;
}

/* Opens a run folder and requests recommendations for all users. `why` NULL: opening and recommending must succeed.
 * Otherwise opening must fail with an error of one line that contains `why`. */
static inline void opens(TestBench *b, const char *folder, bool unfinished, const char *why)
{
    Error e = {0};
    int users = 0;
    Trained *t = trained_open(&b->device, folder, unfinished, &e);
    if (!why) {
        assert_ok(t && trained_recommend(t, NULL, 0, 3, count_user, &users, &e), e);
        assert_int_equal(users, USERS);
    } else if (t || !strstr(e.message, why) || strchr(e.message, '\n')) {
        fail_msg("\"%s\" is not in \"%s\"", why, t ? "(opened)" : e.message);
    }
    trained_close(t);
}

#endif
