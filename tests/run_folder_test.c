/* tests/run_folder_test.c: the folder of a run as input. A file that is changed in one place is refused with an error
 * of one line that names the file and the place. An unchanged folder of a finished run gives recommendations. */
#include "tests/run_testing.h"

static void whole_folders_answer(void **state)
{
    TestBench *b = *state;
    opens(b, in(b, "bprmf", NULL), false, NULL);
    opens(b, in(b, "knn", NULL), false, NULL);
}

static void config_is_checked(void **state)
{
    TestBench *b = *state;
    static const struct {
        const char *old, *new, *says;
    } cases[] = {
        {"\"seed\": 3", "\"seed\": -1", "config.json:5: key seed: -1, a whole number of at least 0"},
        {"\"seed\": 3", "\"seed\": 3.5", "key seed: 3.5"},
        {"\"seed\": 3", "\"seed\": \"3\"", "key seed: is a string"},
        {"\"seed\": 3", "\"sede\": 3", "key seed is missing"},
        {"\"features\": []", "\"features\": \"visual=x.npy\"", "key features: is a string, a list is expected"},
        {"\"features\": []", "\"features\": [\"visual\"]", "key features: each must be a string NAME=PATH"},
        {"\"features\": []", "\"features\": [7]", "key features: each must"},
        {"\"protocol\": \"elliot\"", "\"protocol\": \"elliott\"", "key protocol: \"elliott\", elliot or mmrec"},
        {"\"protocol\": \"elliot\"", "\"protocol\": null", "key protocol: is null"},
        {"\"format\": \"auto\"", "\"format\": \"cvs\"", "key format: unknown format \"cvs\""},
        {"\"train\": \"", "\"train\": 7, \"was\": \"", "key train: 7, a string is expected"},
        {"\"users\": 12", "\"users\": 0", "key data.users: 0, a whole number of at least 1"},
        {"\"users\": 12", "\"users\": 13", "has 12 ids, config.json says 13"},
        {"\"items\": 15", "\"items\": 1e99", "key data.items: 1e99"},
        {"\"data\": {", "\"data\": 5, \"was\": {", "key data: 5, an object"},
        {"\"epochs\": \"2\"", "\"epochs\": \"0\"", "config.json: setting epochs=0: must be at least 1"},
        {"\"epochs\": \"2\"", "\"epochs\": \"two\"", "setting epochs=two"},
        {"\"epochs\": \"2\"", "\"epochs\": 2", "setting epochs: its value must be a string"},
        {"\"epochs\": \"2\"", "\"epochz\": \"2\"", "unknown setting epochz"},
        {"\"metrics\": \"Recall,", "\"metrics\": \"Recall,Recall,",
         "config.json: setting metrics: Recall is given twice"},
        {"\"metrics\": \"Recall,", "\"metrics\": \"Recal,", "unknown metric 'Recal'"},
        {"\"cutoffs\": \"20\"", "\"cutoffs\": \"20,20\"", "config.json: setting cutoffs: 20 is given twice"},
        {"\"settings\": {", "\"settings\": [], \"was\": {", "key settings: is a list, an object"},
        {"{", "[{", "config.json:"},
        {"{", "[7]", "config.json:"},
    };
    static const char *const runs[] = {"bprmf", "knn"};
    for (size_t k = 0; k < COUNT(runs); k++) {
        const char *path = in(b, runs[k], "config.json");
        Text whole = read_all(b, path);
        for (size_t i = 0; i < COUNT(cases); i++) {
            put(path, replaced(b, whole, cases[i].old, cases[i].new));
            opens(b, in(b, runs[k], NULL), false, cases[i].says);
        }
        put(path, replaced(b, whole, k ? "ItemKNN" : "BPRMF", "BPX"));
        opens(b, in(b, runs[k], NULL), false, "key model: unknown recommender \"BPX\"");
        put(path, replaced(b, whole, k ? "ItemKNN" : "BPRMF", k ? "BPRMF" : "ItemKNN"));
        opens(b, in(b, runs[k], NULL), false, "");
        put(path, (Text){"7", 1});
        opens(b, in(b, runs[k], NULL), false, "config.json: is a number, an object is expected");
        put(path, whole);
    }
}

static void vectors_are_checked(void **state)
{
    TestBench *b = *state;
    Error e = {0};
    static const struct {
        const char *file, *says;
        int64_t rows, D, at; /* at: the index of `value`; the other numbers are 1 */
        float value;
    } cases[] = {{"user.npy", "user.npy: row 2 contains nan in column 1", USERS, 4, 9, NAN},
                 {"item.npy", "item.npy: row 14 contains inf in column 3", ITEMS, 4, 59, INFINITY},
                 {"item.npy", "item.npy: row 0 contains -inf in column 0", ITEMS, 4, 0, -INFINITY},
                 {"user.npy", "user.npy: has shape [12, 0]", USERS, 0, -1, 0},
                 {"item.npy", "item.npy: has shape [15, 0]", ITEMS, 0, -1, 0},
                 {"item.npy", "user.npy has vectors of 4, item.npy of 5", ITEMS, 5, -1, 0},
                 {"user.npy", "user.npy: has shape [11, 4], config.json says 12 rows", USERS - 1, 4, -1, 0},
                 {"item.npy", "item.npy: has shape [16, 4], config.json says 15 rows", ITEMS + 1, 4, -1, 0},
                 {"item.npy", "too large for float32", ITEMS, 4, 7, 1e38f}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *path = in(b, "bprmf", cases[i].file);
        Text whole = read_all(b, path);
        if (i + 1 == COUNT(cases)) { /* both vectors are large */
            float x[USERS * 4] = {1e10f};
            Text user = read_all(b, in(b, "bprmf", "user.npy"));
            float y[ITEMS * 4] = {0, 0, cases[i].value};
            assert_true(npy_write_f32(in(b, "bprmf", "user.npy"), 2, (int64_t[]){USERS, 4}, x, NULL, &e));
            assert_true(npy_write_f32(path, 2, (int64_t[]){ITEMS, 4}, y, NULL, &e));
            opens(b, in(b, "bprmf", NULL), false, cases[i].says);
            put(in(b, "bprmf", "user.npy"), user);
        } else {
            float x[(ITEMS + 1) * 5];
            for (size_t k = 0; k < COUNT(x); k++)
                x[k] = (int64_t)k == cases[i].at ? cases[i].value : 1;
            assert_ok(npy_write_f32(path, 2, (int64_t[]){cases[i].rows, cases[i].D}, x, NULL, &e), e);
            opens(b, in(b, "bprmf", NULL), false, cases[i].says);
        }
        put(path, whole);
    }
    const char *path = in(b, "bprmf", "user.npy");
    Text whole = read_all(b, path);
    put(path, replaced(b, (Text){whole.p + 10, whole.n - 10}, "<f4", "<i4")); /* the magic is missing */
    opens(b, in(b, "bprmf", NULL), false, "user.npy");
    char *copy = arena_strndup(b->arena, whole.p, whole.n, &e);
    memcpy(strstr(copy + 10, "<f4"), "<i4", 3);
    put(path, (Text){copy, whole.n});
    opens(b, in(b, "bprmf", NULL), false, "user.npy: holds I32, floating-point numbers are expected");
    put(path, whole);
    opens(b, in(b, "bprmf", NULL), false, NULL);
}

/* Checks scores of new users. A new user's vector is a mean of items' vectors, which are large here. */
static void scores_of_new_users_are_checked(void **state)
{
    TestBench *b = *state;
    Error e = {0};
    const char *dir = in(b, "bprmf", NULL), *path[] = {in(b, "bprmf", "user.npy"), in(b, "bprmf", "item.npy")};
    const Text whole[] = {read_all(b, path[0]), read_all(b, path[1])};
    float x[ITEMS * 4] = {0}, scores[3];
    assert_ok(npy_write_f32(path[0], 2, (int64_t[]){USERS, 4}, x, NULL, &e), e);
    for (size_t k = 0; k < COUNT(x); k++)
        x[k] = 1e30f;
    assert_ok(npy_write_f32(path[1], 2, (int64_t[]){ITEMS, 4}, x, NULL, &e), e);
    Trained *t = trained_open(&b->device, dir, false, &e);
    assert_ok(t != NULL, e);
    int32_t user = 0, item = 1;
    sp_liked liked = {.items = &item, .count = 1};
    int32_t top[3];
    assert_ok(trained_rank(t, &b->device, &user, 1, 3, NULL, top, scores, &e), e);
    assert_false(trained_rank_new(t, &b->device, &liked, 1, 3, NULL, top, NULL, &e));
    assert_error(e, SP_USAGE, "users[0]: scores of a new user are too large for float32");
    trained_close(t);
    put(path[0], whole[0]);
    put(path[1], whole[1]);
}

static void ids_and_train_pairs_are_checked(void **state)
{
    TestBench *b = *state;
    Error e = {0};
    static const struct {
        const char *file, *old, *new, *says;
    } cases[] = {{"user.ids.txt", "u1\n", "u0\n", "user.ids.txt:2: an earlier line has the same id"},
                 {"user.ids.txt", "u1\n", "\n", "user.ids.txt:2: the id is empty"},
                 {"user.ids.txt", "u1\n", "", "user.ids.txt: has 11 ids, config.json says 12"},
                 {"item.ids.txt", "i3\n", "i3\nx\n", "item.ids.txt: has 16 ids, config.json says 15"}};
    static const char *const runs[] = {"bprmf", "knn"};
    for (size_t k = 0; k < COUNT(runs); k++) {
        for (size_t i = 0; i < COUNT(cases); i++) {
            const char *path = in(b, runs[k], cases[i].file);
            Text whole = read_all(b, path);
            put(path, replaced(b, whole, cases[i].old, cases[i].new));
            opens(b, in(b, runs[k], NULL), false, cases[i].says);
            put(path, whole);
        }
        const char *path = in(b, runs[k], "seen.safetensors");
        Text whole = read_all(b, path);
        int64_t start[USERS + 1];
        int32_t item[USERS * 3];
        for (int broken = 0; broken < 4; broken++) {
            for (int u = 0; u <= USERS; u++)
                start[u] = 3 * u;
            for (int i = 0; i < USERS * 3; i++)
                item[i] = i % 3;
            start[4] += broken == 1 ? 5 : 0;
            item[5] = broken == 2 ? ITEMS : broken == 3 ? 0 : item[5];
            SafetensorsOut *o = safetensors_open(path, NULL, &e);
            assert_true(o && safetensors_declare(o, "start", I64, 1, (int64_t[]){USERS + !!broken}, &e) &&
                        safetensors_declare(o, "item", I32, 1, (int64_t[]){USERS * 3}, &e) &&
                        safetensors_data(o, start, sizeof *start * (size_t)(USERS + !!broken), &e) &&
                        safetensors_data(o, item, sizeof item, &e) && safetensors_commit(o, &e));
            opens(b, in(b, runs[k], NULL), false, broken ? "do not fit" : "has shape [12], expected [13]");
        }
        put(path, whole);
        opens(b, in(b, runs[k], NULL), false, NULL);
    }
}

static bool add_list(void *arg, Text user, int64_t k, const Text *items, const float *scores, Error *e)
{
    uint64_t *hash = arg;
    (void)e;
    *hash = hash_bytes(user.p, user.n, hash_bytes(scores, (size_t)k * sizeof *scores, *hash));
    for (int64_t i = 0; i < k; i++)
        *hash = hash_bytes(items[i].p, items[i].n, *hash);
    return true;
}

/* Returns a hash of the users, items and scores of a folder. */
static uint64_t hash_lists(TestBench *b, const char *folder)
{
    Error e = {0};
    uint64_t hash = 1;
    Trained *t = trained_open(&b->device, folder, false, &e);
    assert_ok(t && trained_recommend(t, NULL, 0, ITEMS, add_list, &hash, &e), e);
    trained_close(t);
    return hash;
}

/* Checks that only the folder is read: the data may have changed or may be missing. */
static void folders_answer_without_the_data(void **state)
{
    TestBench *b = *state;
    static const struct {
        const char *model, *set;
    } cases[] = {{"ItemKNN", NULL}, {"ItemKNN", "implicit=true"}, {"UserKNN", NULL}, {"UserKNN", "implicit=true"},
                 {"EASER", NULL},   {"EASER", "implicit=true"},   {"MostPop", NULL}, {"Random", NULL},
                 {"BPRMF", NULL}};
    static const char numbers[] = "%d\t%d\t%d\n";
    Text train = read_all(b, b->train), test = read_all(b, b->test);
    for (int p = 0; p < 2; p++)
        for (size_t i = 0; i < COUNT(cases); i++) {
            Error e = {0};
            TrainResult r;
            const char *out = arena_printf(b->arena, &e, "%s/alone%d%zu", b->folder, p, i);
            write_rows(b->train, numbers, 0, 0, 3);
            write_rows(b->test, numbers, 0, 3, 1);
            assert_ok(run(b, cases[i].model, out, cases[i].set, p ? PROTOCOL_MMREC : PROTOCOL_ELLIOT, &r, &e), e);
            uint64_t lists = hash_lists(b, out);
            write_rows(b->train, numbers, 0, 1, 3);
            assert_true(hash_lists(b, out) == lists);
            assert_int_equal(unlink(b->train) + unlink(b->test), 0);
            assert_true(hash_lists(b, out) == lists);
        }
    put(b->train, train);
    put(b->test, test);
}

/* Checks model.safetensors of ItemKNN: I + 1 starts, n items and weights, a rating for each train pair. */
static void neighbours_are_checked(void **state)
{
    TestBench *b = *state;
    Error e = {0};
    enum { PAIRS = USERS * 3, WRONG = 8 };
    const char *path = in(b, "knn", "model.safetensors");
    Text whole = read_all(b, path);
    for (int wrong = 0; wrong <= WRONG; wrong++) {
        int64_t start[ITEMS + 1], pairs = PAIRS - (wrong == 7), weights = 2 - (wrong == 8);
        int32_t item[2] = {1, 2};
        float weight[2] = {0.5f, 0.25f}, rating[PAIRS];
        for (int i = 0; i < PAIRS; i++) {
            rating[i] = 5;
            start[i % (ITEMS + 1)] = i % (ITEMS + 1) < 3 ? 0 : 2;
        }
        start[2] = wrong == 1 ? 3 : start[2];
        start[0] = wrong == 2 ? -1 : start[0];
        item[1] = wrong == 3 ? ITEMS : wrong == 4 ? -1 : item[1];
        weight[0] = wrong == 5 ? NAN : weight[0];
        rating[7] = wrong == 6 ? INFINITY : rating[7];
        SafetensorsOut *o = safetensors_open(path, NULL, &e);
        assert_true(o && safetensors_declare(o, "start", I64, 1, (int64_t[]){ITEMS + 1}, &e) &&
                    safetensors_declare(o, "item", I32, 1, (int64_t[]){2}, &e) &&
                    safetensors_declare(o, "weight", F32, 1, &weights, &e) &&
                    safetensors_declare(o, "rating", F32, 1, &pairs, &e) &&
                    safetensors_data(o, start, sizeof start, &e) && safetensors_data(o, item, sizeof item, &e) &&
                    safetensors_data(o, weight, sizeof *weight * (size_t)weights, &e) &&
                    safetensors_data(o, rating, sizeof *rating * (size_t)pairs, &e) && safetensors_commit(o, &e));
        opens(b, in(b, "knn", NULL), false, wrong ? "model.safetensors: its neighbours do not fit" : NULL);
    }
    unlink(path);
    opens(b, in(b, "knn", NULL), false, "model.safetensors: is missing");
    put(path, whole);
    opens(b, in(b, "knn", NULL), false, NULL);
}

static void results_and_histories_are_checked(void **state)
{
    TestBench *b = *state;
    static const struct {
        const char *old, *new, *says;
    } cases[] = {{"\"best_epoch\":", "\"best_epoch\":-", "key best_epoch: -"},
                 {"\"model\":\"BPRMF\"", "\"model\":\"VBPR\"", "key model: \"VBPR\", but config.json says BPRMF"},
                 {"\"test\":{", "\"test\":7,\"was\":{", "key test: 7, an object is expected"},
                 {"\"Recall@20\":", "\"Recall@20\":\"x\",\"was\":", "key valid.Recall@20: a number is expected"}};
    const char *path = in(b, "bprmf", "result.json");
    Text whole = read_all(b, path);
    for (size_t i = 0; i < COUNT(cases); i++) {
        put(path, replaced(b, whole, cases[i].old, cases[i].new));
        opens(b, in(b, "bprmf", NULL), false, cases[i].says);
    }
    put(path, whole);
    static const struct {
        const char *text, *says;
    } history[] = {{"loss\tepoch\n", ":1: does not begin with the columns epoch and loss"},
                   {"epoch\tloss\tvalid Recall@20\n1\t0.5\n", ":2: has 2 columns, the first line names 3"},
                   {"epoch\tloss\n1\t0.5\n2\tnan\n", ":3: column 2: \"nan\" is not a number"},
                   {"epoch\tloss\n2\t0.5\n2\t0.5\n", ":3: epoch 2 does not follow epoch 2"},
                   {"epoch\tloss\n1.5\t0.5\n", ":2: epoch 1.5"}};
    for (size_t i = 0; i < COUNT(history); i++) {
        Error e = {0};
        assert_false(history_read(text_of(history[i].text), "history.tsv", "valid Recall@20", NULL, NULL, &e));
        assert_error(e, SP_FORMAT, history[i].says);
    }
}

static void checkpoints_are_checked(void **state)
{
    TestBench *b = *state;
    static const struct {
        const char *old, *new, *says; /* of equal length, because the header has a fixed length */
    } cases[] = {
        {"\"epoch\":\"2\"", "\"epoch\":\"3\"", "metadata epoch: 3, a whole number from 0 to 2"},
        {"\"finished\":\"1\"", "\"finished\":\"7\"", "metadata finished: 7"},
        {"\"unimproved\":\"", "\"unimproved\":\"-", "unimproved"},
        {"\"model\":\"BPRMF\"", "\"model\":\"BPRMG\"", "metadata model is missing or is not BPRMF"},
        {"\"valid\":\"", "\"volid\":\"", "metadata valid is missing"},
        {"\"test\":\"", "\"tost\":\"", "metadata test is missing"},
        {"\"dtype\":\"F32\"", "\"dtype\":\"F33\"", "cannot be loaded (tensor user: dtype F33 is not supported"},
        {"\"__metadata__\":", "\"__metadata__\";", "checkpoint.safetensors: cannot be loaded (1:"},
        {"\\u0009loss", "\\u0009lass", "metadata history:1"}};
    const char *path = in(b, "bprmf", "checkpoint.safetensors"), *out = in(b, "bprmf", NULL);
    Text whole = read_all(b, path);
    for (size_t n = 0; n < whole.n; n += 97) { /* truncated */
        TrainResult r;
        Error e = {0};
        put(path, (Text){whole.p, n});
        assert_false(run(b, "BPRMF", out, "factors=4", PROTOCOL_ELLIOT, &r, &e));
        assert_non_null(strstr(e.message, "checkpoint.safetensors: cannot be loaded ("));
        assert_non_null(strstr(e.message, "); remove the file to train from the start"));
        assert_null(strstr(e.message, "(:"));
    }
    for (size_t i = 0; i <= COUNT(cases); i++) {
        char *copy = arena_strndup(b->arena, whole.p, whole.n, &(Error){0});
        size_t old = i < COUNT(cases) ? strlen(cases[i].old) : 0;
        char *at = i < COUNT(cases) ? memmem(copy, whole.n, cases[i].old, old) : NULL;
        if (i == COUNT(cases)) { /* the first number of the first tensor */
            uint64_t header;
            memcpy(&header, copy, sizeof header);
            memcpy(copy + 8 + header, &(float){NAN}, 4);
        } else if (!at) {
            fail_msg("%s is not in the checkpoint", cases[i].old);
        } else if (strlen(cases[i].new) == old) {
            memcpy(at, cases[i].new, old);
        } else { /* "0" becomes "-" */
            at[old] = '-';
        }
        put(path, (Text){copy, whole.n});
        TrainResult r;
        Error e = {0};
        assert_false(run(b, "BPRMF", out, "factors=4", PROTOCOL_ELLIOT, &r, &e));
        assert_error(e, i < COUNT(cases) && strstr(cases[i].says, "dtype") ? SP_UNSUPPORTED : SP_FORMAT,
                     i < COUNT(cases) ? cases[i].says : "contains nan");
    }
    put(path, whole);
}

/* Checks that a number of steps that no run takes is refused. */
static void counts_of_steps_are_checked(void **state)
{
    TestBench *b = *state;
    Error e = {0};
    TrainResult r;
    const char *path = in(b, "bprmf", "checkpoint.safetensors"), *from = "\"data_offsets\":[";
    Text whole = read_all(b, path);
    char *copy = arena_strndup(b->arena, whole.p, whole.n, &e);
    uint64_t header;
    memcpy(&header, copy, sizeof header);
    const char *at = memmem(copy, whole.n, "\"optim.step.", 12);
    assert_non_null(at);
    assert_non_null(at = strstr(at, from));
    memcpy(copy + 8 + header + strtoull(at + strlen(from), NULL, 10), &(int64_t){INT64_MAX}, sizeof(int64_t));
    put(path, (Text){copy, whole.n});
    assert_false(run(b, "BPRMF", in(b, "bprmf", NULL), "factors=4", PROTOCOL_ELLIOT, &r, &e));
    assert_error(e, SP_FORMAT, "its optimiser state is incomplete or out of range");
    put(path, whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(whole_folders_answer),
                                       cmocka_unit_test(config_is_checked),
                                       cmocka_unit_test(vectors_are_checked),
                                       cmocka_unit_test(scores_of_new_users_are_checked),
                                       cmocka_unit_test(ids_and_train_pairs_are_checked),
                                       cmocka_unit_test(folders_answer_without_the_data),
                                       cmocka_unit_test(neighbours_are_checked),
                                       cmocka_unit_test(results_and_histories_are_checked),
                                       cmocka_unit_test(checkpoints_are_checked),
                                       cmocka_unit_test(counts_of_steps_are_checked)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
