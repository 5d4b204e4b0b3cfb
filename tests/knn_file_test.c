/* tests/knn_file_test.c: the setting knn_file, a file of nearest items that another program wrote: its rows, refused
 * files, the same model as by exact search, resumed runs. */
#include "tests/recommend_testing.h"

enum { SPARE = 4, TABLE = ITEMS + SPARE, MOST = TABLE + 1, KEEP = 5 };

static char dir[256];

static int open_all(void **state)
{
    test_folder(dir);
    return setup(state);
}

static int close_all(void **state)
{
    test_folder_remove(dir);
    return teardown(state);
}

/* Returns a path in the folder. It is valid until the eighth call after this one. */
static const char *at(const char *name)
{
    static char path[8][400];
    static int turn;
    char *p = path[turn++ % 8];
    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

static void put_text(const char *name, const char *text)
{
    test_write(dir, name, text_of(text));
}

static void put_numbers(const char *name, DType type, int64_t rows, int64_t width, const void *data)
{
    Error e = {0};
    NpyOut *n = npy_create(at(name), type, 2, (int64_t[]){rows, width}, NULL, &e);
    assert_ok(n && npy_data(n, data, (size_t)(rows * width) * dtype_bytes(type), &e) && npy_commit(n, &e), e);
}

static double cosine(const float *x, int D, int i, int j)
{
    double product = 0, own = 0, other = 0;
    for (int c = 0; c < D; c++) {
        double a = (double)x[i * D + c], b = (double)x[j * D + c];
        product += a * b;
        own += a * a;
        other += b * b;
    }
    return product / sqrt(own * other);
}

/* Writes the k nearest rows of each of n rows, as FAISS does: its own row comes first. */
static void put_nearest(const char *name, const float *x, int D, int n, int k, DType type)
{
    static int64_t wide[MOST * MOST];
    static int32_t narrow[MOST * MOST];
    for (int i = 0; i < n; i++) {
        bool taken[MOST] = {false};
        for (int c = 0; c < k; c++) {
            int best = 0;
            while (taken[best])
                best++;
            for (int j = best + 1; j < n; j++)
                if (!taken[j] && best != i && (j == i || cosine(x, D, i, j) > cosine(x, D, i, best)))
                    best = j;
            taken[best] = true;
            wide[i * k + c] = narrow[i * k + c] = best;
        }
    }
    put_numbers(name, type, n, k, type == I64 ? (const void *)wide : narrow);
}

/* ---- arrays ---------------------------------------------------------------------------------- */

typedef struct Notes {
    char text[4][400];
    size_t count;
} Notes;

static bool take_note(void *user, const sp_train_event *e)
{
    Notes *n = user;
    if (e->note && n->count < COUNT(n->text))
        snprintf(n->text[n->count++], sizeof n->text[0], "%s", e->note);
    return true;
}

static sp_recommender *train_with(TestBench *b, const char *model, const char *out, const char *file, Notes *notes,
                                  sp_error *e)
{
    const char *set[16], *k = !strcmp(model, "MGCN") ? "knn_k=5" : "top_k=5";
    sp_train_options o = short_run(model);
    memcpy(set, o.settings, o.setting_count * sizeof *set);
    set[o.setting_count++] = k;
    if (file)
        set[o.setting_count++] = file;
    o.settings = set;
    o.out = out;
    o.progress = notes ? take_note : NULL;
    o.user = notes;
    return sp_train(b->session, &b->data, &o, NULL, e);
}

static const char *const MODELS[] = {"FREEDOM", "MGCN", "LATTICE"};

static void a_file_is_what_comparing_all_finds(void **state)
{
    TestBench *b = *state;
    sp_error e;
    char set[1000], note[500];
    put_nearest("visual.npy", b->visual, WIDE, ITEMS, KEEP, I64);
    put_nearest("textual.npy", b->textual, NARROW, ITEMS, KEEP + 3, I32); /* more than are kept */
    for (size_t m = 0; m < COUNT(MODELS); m++) {
        static List exact, read;
        Notes notes = {0};
        sp_recommender *r = train_with(b, MODELS[m], NULL, NULL, NULL, &e);
        assert_ok(r != NULL, e);
        lists_of_all(b, r, ITEMS, &exact);
        sp_recommender_close(r);
        for (int both = 0; both < 2; both++) {
            snprintf(set, sizeof set, "knn_file=visual=%s%s%s", at("visual.npy"), both ? ",textual=" : "",
                     both ? at("textual.npy") : "");
            notes.count = 0;
            assert_ok((r = train_with(b, MODELS[m], NULL, set, &notes, &e)) != NULL, e);
            lists_of_all(b, r, ITEMS, &read);
            assert_memory_equal(&exact, &read, sizeof exact);
            sp_recommender_close(r);
            snprintf(note, sizeof note, "the 5 nearest of 24 items by visual: read from %s", at("visual.npy"));
            assert_int_equal(notes.count, 2);
            assert_string_equal(notes.text[0], note);
            assert_non_null(strstr(notes.text[1], both ? "by textual: read from " : "by textual: all are compared"));
        }
    }
}

static void settings_are_checked(void **state)
{
    static const struct {
        const char *set, *why;
    } CASES[] = {
        {"knn_file=near.npy", "knn_file=near.npy: NAME=PATH is expected, such as visual=near.npy"},
        {"knn_file=visual=", "NAME=PATH is expected"},
        {"knn_file=audio=near.npy", "no features have the name before '='"},
        {"knn_file=visual=a.npy,visual=b.npy", "visual is given twice"},
        {"knn_file=visual=\xff.npy", "not valid UTF-8"},
        {"knn_file=visual=/nowhere/near.npy", "/nowhere/near.npy"},
    };
    TestBench *b = *state;
    sp_error e;
    for (size_t m = 0; m < COUNT(MODELS); m++)
        for (size_t i = 0; i < COUNT(CASES); i++) {
            assert_null(train_with(b, MODELS[m], NULL, CASES[i].set, NULL, &e));
            if (!strstr(e.message, CASES[i].why) || strchr(e.message, '\n'))
                fail_msg("%s: %s", CASES[i].set, e.message);
        }
    sp_recommender *r = train_with(b, MODELS[0], NULL, "knn_file=none", NULL, &e);
    assert_ok(r != NULL, e);
    sp_recommender_close(r);
}

/* Checks that a finished run opens without the file, and that a run resumes only with the same neighbours. */
static void runs_know_their_neighbours(void **state)
{
    TestBench *b = *state;
    sp_error e;
    char set[500], out[300];
    for (size_t m = 0; m < COUNT(MODELS); m++) {
        snprintf(out, sizeof out, "%s/run", dir);
        snprintf(set, sizeof set, "knn_file=visual=%s", at("near.npy"));
        put_nearest("near.npy", b->visual, WIDE, ITEMS, KEEP, I64);
        sp_recommender *r = train_with(b, MODELS[m], out, set, NULL, &e);
        assert_ok(r != NULL, e);
        sp_recommender_close(r);
        put_nearest("near.npy", b->visual, WIDE, ITEMS, KEEP + 1, I32); /* the same neighbours, then more */
        assert_ok((r = train_with(b, MODELS[m], out, set, NULL, &e)) != NULL, e);
        sp_recommender_close(r);
        put_nearest("near.npy", b->textual, NARROW, ITEMS, KEEP, I64);
        assert_null(train_with(b, MODELS[m], out, set, NULL, &e));
        assert_error(e, SP_USAGE, "a run with other settings or data made this folder");
        assert_int_equal(unlink(at("near.npy")), 0);
        assert_ok((r = sp_recommender_open(out, NULL, &e)) != NULL, e);
        sp_recommender_close(r);
        test_folder_remove(out);
    }
}

/* ---- files ----------------------------------------------------------------------------------- */

/* Writes interactions of ITEMS items with names of this format, "i%d" or "%d". */
static const char *put_train(const char *name, const char *id)
{
    FILE *f = fopen(at(name), "w");
    assert_non_null(f);
    for (int i = 0; i < ITEMS; i++) {
        fprintf(f, "u%d\t", i % 7);
        fprintf(f, id, (i * 5) % ITEMS);
        fprintf(f, "\n");
    }
    fclose(f);
    return at(name);
}

/* Returns the row of item number `id` in the shuffled table. Rows without an item come last. */
static int row_of(int id)
{
    return (id * 11 + 3) % TABLE;
}

static void put_names(const char *name)
{
    char text[TABLE * 8] = "";
    for (int r = 0; r < TABLE; r++)
        for (int id = 0; id < TABLE; id++)
            if (row_of(id) == r)
                sprintf(text + strlen(text), "i%d\n", id);
    put_text(name, text);
}

/* Writes rows of neighbours: row r has the `width` numbers r, r + 1, ... */
static void put_ring(const char *name, int rows, int width)
{
    int32_t ring[TABLE * TABLE];
    for (int i = 0; i < rows * width; i++)
        ring[i] = (i / width + i % width) % rows;
    put_numbers(name, I32, rows, width, ring);
}

static bool load(DataSet *d, const char *train, const char *features, Gaps gaps, Arena *a, Error *e)
{
    const char *spec = arena_printf(a, e, "visual=%s", features);
    const DataConfig c = {.train = train, .features = &spec, .feature_count = 1, .gaps = gaps};
    return dataset_load(d, &c, a, e);
}

/* Checks the k neighbours of each item: the item itself and the items of the rows after it in the table; rows without
 * an item are skipped. id: the format of item names. */
static void check_ring(const DataSet *d, const char *id, bool shuffled, int64_t k, const int32_t *neighbours)
{
    char name[16];
    for (int i = 0; i < ITEMS; i++) {
        snprintf(name, sizeof name, id, i);
        int64_t number = text_index_find(d->items, text_of(name)), n = 0;
        for (int step = 0; n < k; step++) {
            int row = ((shuffled ? row_of(i) : i) + step) % TABLE;
            for (int other = 0; other < ITEMS; other++)
                if ((shuffled ? row_of(other) : other) == row) {
                    snprintf(name, sizeof name, id, other);
                    assert_int_equal(neighbours[number * k + n++], text_index_find(d->items, text_of(name)));
                }
        }
    }
}

static void rows_are_those_of_the_features(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    DataSet d;
    int32_t neighbours[ITEMS * KEEP];
    int64_t few;
    float x[TABLE * WIDE] = {1};
    assert_ok(npy_write_f32(at("x.npy"), 2, (int64_t[]){TABLE, WIDE}, x, NULL, &e), e);
    put_ring("near.npy", TABLE, TABLE);
    /* by number; some rows have no item */
    assert_ok(load(&d, put_train("train.tsv", "%d"), at("x.npy"), GAPS_ERROR, a, &e), e);
    assert_ok(neighbour_file_read(neighbours, &d, d.features, at("near.npy"), KEEP, &few, a, &e), e);
    check_ring(&d, "%d", false, KEEP, neighbours);
    assert_int_equal(few, 0);
    dataset_close(&d);
    /* by the features' names */
    put_names("x.ids.txt");
    assert_ok(load(&d, put_train("train.tsv", "i%d"), at("x.npy"), GAPS_ERROR, a, &e), e);
    assert_ok(neighbour_file_read(neighbours, &d, d.features, at("near.npy"), KEEP, &few, a, &e), e);
    check_ring(&d, "i%d", true, KEEP, neighbours);
    /* fewer neighbours: some of the five rows have no item */
    put_ring("near.npy", TABLE, KEEP);
    assert_ok(neighbour_file_read(neighbours, &d, d.features, at("near.npy"), KEEP, &few, a, &e), e);
    assert_in_range(few, SPARE, ITEMS - 1);
    for (int i = 0; i < ITEMS; i++)
        assert_int_equal(neighbours[i * KEEP], i);
    dataset_close(&d);
    /* a file of names for the neighbours: the features are a folder, which has no rows */
    assert_ok(folder_make(at("items"), &e), e);
    for (int i = 0; i < ITEMS; i++) {
        char name[32];
        snprintf(name, sizeof name, "items/i%d.npy", i);
        assert_ok(npy_write_f32(at(name), 1, (int64_t[]){WIDE}, x, NULL, &e), e);
    }
    put_ring("near.npy", TABLE, TABLE);
    assert_ok(load(&d, at("train.tsv"), at("items"), GAPS_ERROR, a, &e), e);
    assert_false(neighbour_file_read(neighbours, &d, d.features, at("near.npy"), KEEP, &few, a, &e));
    assert_error(e, SP_SHAPE, "is not a row number; put the row names in ");
    put_names("near.ids.txt");
    assert_ok(neighbour_file_read(neighbours, &d, d.features, at("near.npy"), KEEP, &few, a, &e), e);
    check_ring(&d, "i%d", true, KEEP, neighbours);
    dataset_close(&d);
    unlink(at("near.ids.txt"));
    unlink(at("x.ids.txt"));
    arena_free(a);
}

/* ---- what is refused ------------------------------------------------------------------------- */

enum { R = 6, W = 3 };

static bool read_of_arrays(const char *name, int64_t k, int32_t neighbours[R * (W + 1)], Arena *a, Error *e)
{
    static const float x[R];
    const Feature f = {.name = "visual", .D = 1, .data = x};
    DataSet d = {.I = R};
    int64_t few;
    assert_true(ids_count(&d.items, R, a, e));
    return neighbour_file_read(neighbours, &d, &f, at(name), k, &few, a, e);
}

static void malformed_rows(void **state)
{
    (void)state;
    static const struct {
        int64_t k, row, line[W];
        sp_status code;
        const char *why; /* NULL: no error */
    } CASES[] = {
        {3, 2, {3, 6, 0}, SP_FORMAT, "row 2 has 6 in column 1; a row from 0 to 5 is expected, or -1 behind the last"},
        {3, 2, {3, -2, 0}, SP_FORMAT, "row 2 has -2 in column 1"},
        {3, 5, {0, 1, INT64_MAX}, SP_FORMAT, "row 5 has 9223372036854775807 in column 2"},
        {3, 0, {INT64_MIN, 1, 2}, SP_FORMAT, "row 0 has -9223372036854775808 in column 0"},
        {3, 3, {4, 5, 4}, SP_FORMAT, "row 3 has row 4 twice; list each neighbour once"},
        {3, 3, {3, 3, 4}, SP_FORMAT, "row 3 has row 3 twice"},
        {3, 1, {-1, 2, 3}, SP_FORMAT, "row 1 has 2 in column 1, behind a -1"},
        {4, 4, {5, 4, 0}, SP_SHAPE, "row 4 has 2 neighbours, 3 are needed; add some, or lower knn_k"},
        {3, 4, {5, 4, 0}, SP_OK, NULL},
        {4, 4, {5, 4, -1}, SP_OK, NULL},
        {4, 4, {-1, -1, -1}, SP_OK, NULL},
        {1, 4, {5, 0, 1}, SP_OK, NULL},
    };
    Arena *a = arena_new(NULL, 0);
    for (size_t i = 0; i < COUNT(CASES); i++) {
        Error e = {0};
        int64_t table[R * W];
        int32_t neighbours[R * (W + 1)];
        for (int64_t c = 0; c < R * W; c++)
            table[c] = (c / W + c % W + 1) % R;
        memcpy(table + CASES[i].row * W, CASES[i].line, sizeof CASES[i].line);
        put_numbers("bad.npy", I64, R, W, table);
        bool ok = read_of_arrays("bad.npy", CASES[i].k, neighbours, a, &e);
        assert_int_equal(ok, !CASES[i].why);
        if (CASES[i].why)
            assert_error(e, CASES[i].code, CASES[i].why);
    }
    arena_free(a);
}

static void malformed_files(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    DataSet d;
    int64_t few, table[TABLE] = {0};
    float x[TABLE * WIDE] = {1};
    int32_t neighbours[ITEMS * KEEP];
    NpyOut *n = npy_create(at("bad.npy"), I64, 1, (int64_t[]){R}, NULL, &e);
    assert_ok(n && npy_data(n, table, R * sizeof *table, &e) && npy_commit(n, &e), e);
    assert_false(read_of_arrays("bad.npy", W, neighbours, a, &e));
    assert_error(e, SP_SHAPE, "bad.npy: has 1 dimensions and 6 numbers; neighbours are [rows, k]");
    put_numbers("bad.npy", I64, R, 0, table);
    assert_false(read_of_arrays("bad.npy", W, neighbours, a, &e));
    assert_error(e, SP_SHAPE, "has 2 dimensions and 0 numbers");
    put_numbers("bad.npy", F32, R, 2, x);
    assert_false(read_of_arrays("bad.npy", W, neighbours, a, &e));
    assert_error(e, SP_FORMAT, "bad.npy: holds F32; numbers of rows are expected, such as int64");
    put_numbers("bad.npy", I64, R + 1, 2, table);
    assert_false(read_of_arrays("bad.npy", W, neighbours, a, &e));
    assert_error(e, SP_SHAPE,
                 "bad.npy: has 7 rows, the features visual have 6; row r must have the neighbours of row r");
    put_text("bad.npy", "0\t1\n");
    assert_false(read_of_arrays("bad.npy", W, neighbours, a, &e));
    assert_error(e, SP_FORMAT, "bad.npy");
    /* numbers of rows of a file */
    put_ring("near.npy", TABLE, KEEP);
    put_names("x.ids.txt");
    assert_ok(npy_write_f32(at("x.npy"), 2, (int64_t[]){TABLE, WIDE}, x, NULL, &e), e);
    assert_ok(load(&d, put_train("train.tsv", "i%d"), at("x.npy"), GAPS_ERROR, a, &e), e);
    put_ring("short.npy", TABLE - 1, KEEP);
    assert_false(neighbour_file_read(neighbours, &d, d.features, at("short.npy"), KEEP, &few, a, &e));
    assert_error(e, SP_SHAPE, "short.npy: has 27 rows, the features ");
    put_text("near.ids.txt", "i0\ni1\n");
    assert_false(neighbour_file_read(neighbours, &d, d.features, at("near.npy"), KEEP, &few, a, &e));
    assert_error(e, SP_SHAPE, "near.ids.txt: names 2 rows, but ");
    put_text("short.ids.txt", "i0\ni1\ni2\n");
    put_ring("short.npy", 3, 3);
    assert_false(neighbour_file_read(neighbours, &d, d.features, at("short.npy"), 3, &few, a, &e));
    assert_error(e, SP_SHAPE, " has no row (in its .ids.txt the first row is 'i0'); write one for each item");
    unlink(at("near.ids.txt"));
    dataset_close(&d);
    /* an item whose features were filled has no row; two items may not share a row */
    put_text("train.tsv", "u\ti1\nu\ti2\nv\tj9\n");
    assert_ok(load(&d, at("train.tsv"), at("x.npy"), GAPS_ZERO, a, &e), e);
    assert_false(neighbour_file_read(neighbours, &d, d.features, at("near.npy"), 2, &few, a, &e));
    assert_error(e, SP_SHAPE, "near.npy: item j9 has no row");
    dataset_close(&d);
    put_text("train.tsv", "u\ta\nu\ta.b\n");
    put_text("near.ids.txt", "a.b\nc\nd\n");
    put_ring("near.npy", 3, 3);
    put_text("x.ids.txt", "a\na.b\n");
    assert_ok(npy_write_f32(at("x.npy"), 2, (int64_t[]){2, WIDE}, x, NULL, &e), e);
    assert_ok(load(&d, at("train.tsv"), at("x.npy"), GAPS_ERROR, a, &e), e);
    assert_false(neighbour_file_read(neighbours, &d, d.features, at("near.npy"), 2, &few, a, &e));
    assert_error(e, SP_FORMAT, "near.npy: row 0 is of item ");
    dataset_close(&d);
    static const char *const NAMES[] = {"near.ids.txt", "short.ids.txt", "x.ids.txt"};
    for (size_t i = 0; i < COUNT(NAMES); i++)
        unlink(at(NAMES[i]));
    arena_free(a);
}

/* Checks that features replaced by a knock-out have other neighbours. */
static void replaced_features(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"visual"}, *const SET[] = {NULL, "epochs=1", "top_k=2"};
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Device device;
    TrainResult r;
    float x[ITEMS * WIDE];
    for (uint64_t i = 0; i < ITEMS * WIDE; i++)
        x[i] = draw_normal((Draw){8, DRAW_TEST, 0}, i);
    assert_ok(npy_write_f32(at("x.npy"), 2, (int64_t[]){ITEMS, WIDE}, x, NULL, &e), e);
    put_ring("near.npy", ITEMS, KEEP);
    assert_ok(device_open(&device, NULL, 1, NULL, NULL, &e), e);
    const char *spec = arena_printf(a, &e, "visual=%s", at("x.npy")), *set[COUNT(SET)];
    memcpy(set, SET, sizeof set);
    set[0] = arena_printf(a, &e, "knn_file=visual=%s", at("near.npy"));
    TrainConfig c = {.model = "FREEDOM",
                     .data = {.train = put_train("train.tsv", "%d"),
                              .features = &spec,
                              .feature_count = 1,
                              .knock = {NAMES, 1, KNOCK_SHUFFLE, 1}},
                     .set = set,
                     .set_count = COUNT(set)};
    assert_false(train_run(&device, &c, &r, a, &e));
    assert_error(e, SP_USAGE, "knn_file: leave it out: --knock replaces the features visual");
    c.data.knock.count = 0;
    assert_ok(train_run(&device, &c, &r, a, &e), e);
    device_close(&device);
    arena_free(a);
}

static void refused_memory(void **state)
{
    (void)state;
    bool done = false;
    put_ring("near.npy", R, W);
    for (size_t n = 1; !done; n++) {
        TestHeap heap;
        test_heap(&heap, n);
        Error e = {0};
        int32_t neighbours[R * (W + 1)];
        Arena *a = arena_new(&heap.heap, 0);
        if (a) {
            static const float x[R];
            const Feature f = {.name = "visual", .D = 1, .data = x};
            DataSet d = {.I = R};
            int64_t few;
            done = ids_count(&d.items, R, a, &e) &&
                   neighbour_file_read(neighbours, &d, &f, at("near.npy"), W, &few, a, &e);
            assert_true(done || e.code == SP_MEMORY);
        }
        assert_true(n < 200);
        arena_free(a);
        assert_int_equal(heap.live, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_what_comparing_all_finds),
        cmocka_unit_test(settings_are_checked),
        cmocka_unit_test(runs_know_their_neighbours),
        cmocka_unit_test(rows_are_those_of_the_features),
        cmocka_unit_test(malformed_rows),
        cmocka_unit_test(malformed_files),
        cmocka_unit_test(replaced_features),
        cmocka_unit_test(refused_memory),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
