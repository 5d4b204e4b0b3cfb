/* tests/api_train_test.c: the calls of sapor.h that split, train and evaluate arrays give the results of files. Also
 * nearest rows, and cancelled calls. */
#include "tests/recommend_testing.h"

/* ---- arrays are files without a file --------------------------------------------------------- */

static const char *write_part(const TestBench *b, int part, const char *folder, Arena *a)
{
    const char *path = arena_printf(a, &(Error){0}, "%s/%d.tsv", folder, part);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (size_t r = 0; r < b->part[part].count; r++)
        fprintf(f, "%d\t%d\t%g\n", b->user[part][r], b->item[part][r], (double)b->rating[part][r]);
    fclose(f);
    return path;
}

static void arrays_train_as_files_do(void **state)
{
    static const char *const MODELS[] = {"ItemKNN", "BPRMF", "LightGCN"};
    TestBench *b = *state;
    Error e = {0};
    char folder[256];
    Arena *a = arena_new(NULL, 0);
    Device d;
    static List here, opened_list;
    test_folder(folder);
    assert_ok(device_open(&d, NULL, 1, NULL, NULL, &e), e);
    for (size_t m = 0; m < COUNT(MODELS); m++) {
        TrainResult result = {0};
        const char *out = arena_printf(a, &e, "%s/run%zu", folder, m);
        TrainConfig c = {.model = MODELS[m],
                         .data = {.train = write_part(b, 0, folder, a),
                                  .valid = write_part(b, 1, folder, a),
                                  .test = write_part(b, 2, folder, a)},
                         .set = SHORT,
                         .set_count = COUNT(SHORT),
                         .out = out,
                         .seed = 7};
        assert_ok(train_run(&d, &c, &result, a, &e), e);
        sp_recommender *f = sp_recommender_open(out, NULL, &e), *r = train(b, MODELS[m]);
        assert_ok(f != NULL, e);
        lists_of_all(b, r, TOP, &here);
        lists_of_all(b, f, TOP, &opened_list);
        assert_memory_equal(&here, &opened_list, sizeof here);
        sp_recommender_close(f);
        sp_recommender_close(r);
        test_folder_remove(out);
    }
    device_close(&d);
    arena_free(a);
    test_folder_remove(folder);
}

/* Checks that the rows of a file and of arrays are split into the same parts. */
static void arrays_are_split_as_files_are(void **state)
{
    static const sp_split_options WAYS[] = {
        {.test_ratio = 0.2, .validation_ratio = 0.1, .seed = 42},
        {.strategy = "temporal", .test_ratio = 0.3, .k_core = 4},
        {.strategy = "leave-n-out", .leave_n = 2, .validation_ratio = 0.1},
        {.leave_n = 1, .seed = 3},
    };
    static const int CODES[] = {SPLIT_RANDOM, SPLIT_TEMPORAL, SPLIT_LEAVE_N_OUT, SPLIT_RANDOM};
    TestBench *b = *state;
    sp_error e;
    char folder[256], path[300], line[80];
    int64_t time[ROWS];
    sp_interactions x = b->part[0];
    x.time = time;
    test_folder(folder);
    snprintf(path, sizeof path, "%s/all.tsv", folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (size_t r = 0; r < x.count; r++) {
        time[r] = draw_below((Draw){5, DRAW_TEST, 4}, r, 9); /* some times are equal */
        fprintf(f, "%d\t%d\t%g\t%d\n", x.user[r], x.item[r], (double)x.rating[r], (int)time[r]);
    }
    fclose(f);
    for (size_t w = 0; w < COUNT(WAYS); w++) {
        sp_split_options o = WAYS[w];
        o.size = sizeof o;
        unsigned char part[ROWS];
        size_t counts[3] = {0}, array_counts[4] = {0};
        char out[300];
        snprintf(out, sizeof out, "%s/%zu", folder, w);
        SplitConfig c = {.strategy = CODES[w],
                         .test_ratio = o.test_ratio,
                         .validation_ratio = o.validation_ratio,
                         .leave_n = (int64_t)o.leave_n,
                         .k_core = (int64_t)o.k_core,
                         .seed = o.seed};
        assert_ok(sp_split(&x, USERS, ITEMS, &o, NULL, part, &e), e);
        assert_ok(split_file(path, out, &c, counts, &e), e);
        for (size_t r = 0; r < x.count; r++)
            array_counts[part[r]]++;
        for (int p = 0; p < 3; p++) {
            static const char *const NAMES[] = {"train", "val", "test"};
            char name[400];
            assert_int_equal(array_counts[p], counts[p]);
            snprintf(name, sizeof name, "%s/%s.tsv", out, NAMES[p]);
            FILE *g = counts[p] ? fopen(name, "r") : NULL;
            for (size_t r = 0; r < x.count; r++) {
                int user, item;
                if (part[r] != p)
                    continue;
                assert_non_null(g);
                assert_non_null(fgets(line, sizeof line, g));
                assert_int_equal(sscanf(line, "%d %d", &user, &item), 2);
                assert_true(user == x.user[r] && item == x.item[r]);
            }
            if (g)
                fclose(g);
        }
        test_folder_remove(out);
    }
    test_folder_remove(folder);
}

/* ---- figures --------------------------------------------------------------------------------- */

typedef struct Watched {
    size_t batches, epochs, stop_at; /* stop_at > 0: the call-back cancels at call number stop_at */
    double test[8];
    size_t figures;
    char name[32];
} Watched;

static bool watch(void *user, const sp_train_event *e)
{
    Watched *w = user;
    assert_int_equal(e->size, sizeof *e);
    assert_true(e->batch >= 1 && e->batch <= e->batches);
    w->batches++;
    if (e->evaluated) {
        w->epochs++;
        w->figures = e->figure_count;
        assert_in_range(e->figure_count, 1, COUNT(w->test));
        assert_true(e->valid && e->test && isfinite(e->loss));
        memcpy(w->test, e->test, e->figure_count * sizeof *e->test);
        snprintf(w->name, sizeof w->name, "%s", e->names[1]);
    }
    return !w->stop_at || w->batches < w->stop_at;
}

static void figures_are_those_of_training(void **state)
{
    static const char *const METRICS[] = {"Recall", "nDCG"};
    static const size_t CUTOFFS[] = {5, 10};
    static List l;
    TestBench *b = *state;
    sp_error e;
    const char *set[COUNT(SHORT)];
    memcpy(set, SHORT, sizeof set);
    set[0] = "epochs=1";
    for (int protocol = 0; protocol < 2; protocol++) {
        Watched w = {0};
        b->data.protocol = protocol ? "mmrec" : NULL;
        sp_train_options o = short_run("BPRMF");
        o.settings = set;
        o.progress = watch;
        o.user = &w;
        sp_recommender *r = sp_train(b->session, &b->data, &o, NULL, &e);
        assert_ok(r != NULL, e);
        assert_int_equal(w.epochs, 1);
        assert_string_equal(w.name, "Recall@10");
        sp_measures m = {
            .size = sizeof m, .metrics = METRICS, .metric_count = 2, .cutoffs = CUTOFFS, .cutoff_count = 2};
        double figures[4];
        assert_ok(sp_evaluate(r, b->session, &b->part[2], &m, figures, &e), e);
        assert_int_equal(w.figures, 4);
        assert_memory_equal(figures, w.test, sizeof figures);
        assert_true(figures[0] > 0 && figures[0] <= figures[1] && figures[1] <= 1);
        int32_t all[USERS];
        for (int32_t u = 0; u < USERS; u++)
            all[u] = u;
        lists_of_all(b, r, 10, &l);
        m.protocol = b->data.protocol;
        assert_ok(sp_evaluate_lists(b->session, USERS, ITEMS, all, USERS, l.item, 10, &b->part[2], &m, figures, &e), e);
        assert_memory_equal(figures, w.test, sizeof figures);
        sp_recommender_close(r);
    }
    b->data.protocol = NULL;
}

/* ---- cancelling ------------------------------------------------------------------------------ */

static bool refuse(void *user, size_t done, size_t n)
{
    *(size_t *)user = done;
    return done > n;
}

static void calls_are_cancelled(void **state)
{
    TestBench *b = *state;
    sp_error e;
    size_t done = 0;
    int32_t users[2] = {0, 1}, item[2 * TOP];
    Watched w = {.stop_at = 2};
    sp_train_options o = short_run("BPRMF");
    o.progress = watch;
    o.user = &w;
    assert_null(sp_train(b->session, &b->data, &o, NULL, &e));
    assert_error(e, SP_CANCELLED, "training was cancelled after 0 epochs");
    assert_int_equal(w.batches, 2);
    sp_recommender *r = train(b, "BPRMF"); /* the session can still be used */
    sp_recommend_options ask = {.size = sizeof ask, .progress = refuse, .user = &done};
    assert_false(sp_recommend(r, b->session, users, 2, TOP, &ask, item, NULL, &e));
    assert_error(e, SP_CANCELLED, "cancelled after 2 of 2");
    assert_int_equal(done, 2);
    const sp_nearest_options near = {.size = sizeof near, .progress = refuse, .user = &done};
    assert_false(sp_nearest(b->session, b->visual, ITEMS, WIDE, b->visual, 3, 2, &near, item, NULL, &e));
    assert_error(e, SP_CANCELLED, "cancelled after 3 of 3 queries");
    sp_recommender_close(r);
}

typedef struct Making {
    size_t calls, made, parts, notes, stop_at; /* stop_at > 0: the call-back cancels at call number stop_at */
} Making;

static bool watch_making(void *user, const sp_train_event *e)
{
    Making *m = user;
    if (e->note) {
        assert_string_equal(e->note, "the weights of 24 x 24 items take 0.0 MB");
        m->notes++;
    } else if (e->parts) {
        assert_true(e->made >= m->made && e->made <= e->parts && (!m->parts || e->parts == m->parts) && !e->batches);
        m->made = e->made;
        m->parts = e->parts;
        m->calls++;
    }
    return m->calls != m->stop_at || !m->stop_at;
}

/* Checks that models without epochs report their progress, and that each report can cancel them. */
static void models_without_epochs_are_followed(void **state)
{
    static const char *const MODELS[] = {"ItemKNN", "UserKNN", "AttributeItemKNN", "EASER"};
    TestBench *b = *state;
    sp_error e;
    for (size_t i = 0; i < COUNT(MODELS); i++) {
        bool ease = !strcmp(MODELS[i], "EASER");
        Making whole = {0};
        sp_train_options o = {.size = sizeof o, .model = MODELS[i], .progress = watch_making, .user = &whole};
        sp_recommender *r = sp_train(b->session, &b->data, &o, NULL, &e);
        assert_ok(r != NULL, e);
        sp_recommender_close(r);
        assert_int_equal(whole.parts, ease ? 2 * ITEMS : !strcmp(MODELS[i], "UserKNN") ? USERS : ITEMS);
        assert_int_equal(whole.made, whole.parts);
        assert_int_equal(whole.notes, ease);
        assert_true(whole.calls >= 2);
        Making cut = {.stop_at = whole.calls - 1};
        o.user = &cut;
        assert_null(sp_train(b->session, &b->data, &o, NULL, &e));
        assert_error(e, SP_CANCELLED, "training was cancelled after 0 epochs");
        assert_int_equal(cut.calls, whole.calls - 1);
    }
}

/* ---- nearest neighbours ---------------------------------------------------------------------- */

static double likeness(const float *x, const float *y, bool dot)
{
    double product = 0, xx = 0, yy = 0;
    for (int c = 0; c < WIDE; c++) {
        product += (double)x[c] * (double)y[c];
        xx += (double)x[c] * (double)x[c];
        yy += (double)y[c] * (double)y[c];
    }
    return dot ? product : product / sqrt(xx * yy);
}

static void nearest_rows(void **state)
{
    enum { N = 700, Q = 5, K = 9 };
    TestBench *b = *state;
    sp_error e;
    static float rows[N * WIDE];
    float similarity[Q * K];
    int32_t ids[Q * K], one[K], except[Q] = {-1, 4, 600, -1, 0};
    for (uint64_t i = 0; i < N * WIDE; i++)
        rows[i] = draw_normal((Draw){6, DRAW_TEST, 0}, i);
    memset(rows + 8 * WIDE, 0, WIDE * sizeof *rows);
    memcpy(rows + 9 * WIDE, rows + 4 * WIDE, WIDE * sizeof *rows); /* a tie with row 4 */
    const float *queries = rows + 3 * WIDE;                        /* rows 3 to 7 */
    for (int dot = 0; dot < 2; dot++) {
        sp_nearest_options o = {.size = sizeof o, .dot = dot, .except = except};
        assert_ok(sp_nearest(b->session, rows, N, WIDE, queries, Q, K, &o, ids, similarity, &e), e);
        for (int q = 0; q < Q; q++) {
            for (int k = 0; k < K; k++) {
                int32_t id = ids[q * K + k];
                assert_in_range(id, 0, N - 1);
                assert_true(id != except[q] && (dot || id != 8));
                double expected = likeness(queries + q * WIDE, rows + id * WIDE, dot);
                assert_true(fabs(expected - (double)similarity[q * K + k]) <= 1e-6 * (1 + fabs(expected)));
                assert_true(k == 0 || similarity[q * K + k] < similarity[q * K + k - 1] ||
                            (similarity[q * K + k] == similarity[q * K + k - 1] && id > ids[q * K + k - 1]));
            }
            int better = 0;
            for (int r = 0; r < N; r++)
                better += r != except[q] && (dot || r != 8) &&
                          (float)likeness(queries + q * WIDE, rows + r * WIDE, dot) > similarity[q * K + K - 1];
            assert_true(better < K);
            o.except = except + q;
            assert_ok(sp_nearest(b->session, rows, N, WIDE, queries + q * WIDE, 1, K, &o, one, NULL, &e), e);
            assert_memory_equal(one, ids + q * K, sizeof one);
            o.except = except;
        }
    }
    /* a query of zeros has no cosine; more places than rows */
    assert_ok(sp_nearest(b->session, rows, 4, WIDE, rows + 8 * WIDE, 1, K, NULL, ids, similarity, &e), e);
    assert_true(ids[0] == -1 && isinf(similarity[0]));
    assert_ok(sp_nearest(b->session, rows, 4, WIDE, queries, 1, K, NULL, ids, similarity, &e), e);
    assert_true(ids[0] == 3 && ids[3] >= 0 && ids[4] == -1 && ids[K - 1] == -1);
}

/* ---- many queries are compared by products --------------------------------------------------- */

static bool count_calls(void *user, size_t done, size_t n)
{
    assert_true(done <= n);
    ++*(int *)user;
    return true;
}

/* Checks that a query has the same rows, with the same bits, alone and among others. Alone, it is compared in float64.
 */
static void check_many(const Device *d, const float *rows, int64_t N, int64_t D, const float *queries, int64_t n,
                       int64_t k, const int64_t *start, const int32_t *left_out)
{
    Error e = {0};
    const Array table = {.type = F32, .dims = 2, .shape = {N, D}, .count = N * D, .data = rows};
    int32_t *many = calloc((size_t)(n * k), sizeof *many), *one = calloc((size_t)k, sizeof *one);
    float *value = calloc((size_t)(n * k), sizeof *value), *own = calloc((size_t)k, sizeof *own);
    for (int dot = 0; dot < 2; dot++) {
        int calls = 0;
        NearestRows x = {.rows = &table,
                         .queries = queries,
                         .n = n,
                         .k = k,
                         .dot = dot,
                         .start = start,
                         .left_out = left_out,
                         .ids = many,
                         .similarity = value,
                         .progress = count_calls,
                         .user = &calls};
        assert_ok(rows_nearest(&x, d, &e), e);
        assert_true(calls > 0);
        int64_t zeros = x.zeros;
        for (int64_t q = 0; q < n; q++) {
            NearestRows alone = x;
            alone.queries = queries + q * D;
            alone.n = 1;
            alone.start = start ? start + q : NULL;
            alone.ids = one;
            alone.similarity = own;
            assert_ok(rows_nearest(&alone, d, &e), e);
            assert_memory_equal(one, many + q * k, (size_t)k * sizeof *one);
            assert_memory_equal(own, value + q * k, (size_t)k * sizeof *own);
            assert_int_equal(alone.zeros, zeros);
        }
    }
    free(many);
    free(one);
    free(value);
    free(own);
}

static void many_queries(void **state)
{
    enum { N = 900, Q = 70, K = 9 };
    static const float SCALES[] = {1, 1e-38f, 1e-20f, 1e19f, 3e37f};
    (void)state;
    Error e = {0};
    Device d;
    static float rows[N * WIDE], queries[Q * WIDE];
    static int64_t start[Q + 1];
    static int32_t left_out[Q * Q];
    assert_ok(device_open(&d, NULL, 2, NULL, NULL, &e), e);
    for (int64_t q = 0; q < Q; q++) { /* query q excludes q rows: 0, 13, 26, ... */
        start[q + 1] = start[q] + q;
        for (int64_t i = 0; i < q; i++)
            left_out[start[q] + i] = (int32_t)(13 * i);
    }
    for (size_t i = 0; i < 2 * COUNT(SCALES); i++) {
        float scale = SCALES[i / 2];
        for (uint64_t c = 0; c < N * WIDE; c++) { /* whole numbers: most scores occur in several rows */
            float x = draw_normal((Draw){6, DRAW_TEST, 1}, c);
            rows[c] = scale * (i % 2 ? roundf(x) : x);
        }
        for (uint64_t c = 0; c < Q * WIDE; c++)
            queries[c] =
                i % 2 ? roundf(draw_normal((Draw){6, DRAW_TEST, 2}, c)) : draw_normal((Draw){6, DRAW_TEST, 2}, c);
        memset(rows + 8 * WIDE, 0, WIDE * sizeof *rows);
        memset(queries + 5 * WIDE, 0, WIDE * sizeof *queries);
        for (int r = 100; r < 150; r++) /* more equal rows than the products find at first */
            memcpy(rows + r * WIDE, rows + 4 * WIDE, WIDE * sizeof *rows);
        memcpy(queries + 6 * WIDE, rows + 4 * WIDE, WIDE * sizeof *queries);
        for (uint64_t c = 0; c < 300 * WIDE; c++) /* rows whose order float32 cannot decide */
            rows[500 * WIDE + c] = rows[4 * WIDE + c % WIDE] + scale * 3e-4f * draw_normal((Draw){6, DRAW_TEST, 4}, c);
        for (int c = 0; c < WIDE; c++) /* one row is much longer than the others */
            rows[7 * WIDE + c] *= 8;
        check_many(&d, rows, N, WIDE, queries, Q, K, NULL, NULL);
        check_many(&d, rows, N, WIDE, queries, Q, K, start, left_out);
    }
    memset(rows, 0, sizeof rows);
    check_many(&d, rows, N, WIDE, queries, Q, K, NULL, NULL);
    device_close(&d);
}

/* Checks rows and queries that do not fit into one block each. */
static void wide_queries(void **state)
{
    enum { N = 300, Q = 40, K = 2, D = 1 << 16 };
    (void)state;
    Error e = {0};
    Device d;
    float *rows = calloc((N + Q) * (size_t)D, sizeof *rows), *queries = rows + (size_t)N * D;
    static int64_t start[Q + 1];
    static int32_t left_out[2 * Q];
    uint32_t x = 1;
    assert_non_null(rows);
    for (size_t c = 0; c < (N + Q) * (size_t)D; c++) {
        x = x * 1664525 + 1013904223;
        rows[c] = (float)(int32_t)x * 0x1p-31f;
    }
    for (size_t q = 0; q < Q; q++) {
        const float *near[] = {rows + q * D, rows + (299 - q) * D, rows + (100 + q) * D, rows + (259 - q) * D};
        for (size_t c = 0; c < D; c++) /* four rows are near the query, two of them are left out */
            queries[q * D + c] = near[0][c] + near[1][c] + near[2][c] + near[3][c];
        start[q + 1] = start[q] + 2;
        left_out[2 * q] = (int32_t)q;
        left_out[2 * q + 1] = 299 - (int32_t)q;
    }
    assert_ok(device_open(&d, NULL, 2, NULL, NULL, &e), e);
    check_many(&d, rows, N, D, queries, Q, K, start, left_out);
    device_close(&d);
    free(rows);
}

static void many_queries_are_checked(void **state)
{
    enum { N = 200, Q = 40, K = 4 };
    (void)state;
    static float rows[(N + Q) * WIDE];
    const float *queries = rows + N * WIDE;
    int32_t ids[Q * K];
    bool ok = false;
    for (uint64_t c = 0; c < COUNT(rows); c++)
        rows[c] = draw_normal((Draw){6, DRAW_TEST, 3}, c);
    const Array table = {.type = F32, .dims = 2, .shape = {N, WIDE}, .count = N * WIDE, .data = rows};
    NearestRows x = {.rows = &table, .queries = queries, .n = Q, .k = K, .ids = ids};
    for (size_t n = 1; !ok; n++) {
        TestHeap heap;
        Device d;
        Error e = {0};
        assert_ok(device_open(&d, NULL, 1, NULL, NULL, &e), e);
        test_heap(&heap, n);
        d.heap = &heap.heap;
        ok = rows_nearest(&x, &d, &e);
        assert_true(ok || e.code == SP_MEMORY);
        assert_int_equal(heap.live, 0);
        assert_true(n < 200);
        if (ok) {
            heap.refuse_at = 0;
            rows[150 * WIDE] = NAN;
            rows[151 * WIDE] = INFINITY;
            assert_false(rows_nearest(&x, &d, &e));
            assert_error(e, SP_FORMAT, "row 150 contains a number that is not finite");
            rows[(N + 39) * WIDE] = NAN;
            assert_false(rows_nearest(&x, &d, &e));
            assert_error(e, SP_FORMAT, "query 39 holds a number that is not finite");
        }
        d.heap = NULL;
        device_close(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrays_train_as_files_do),
        cmocka_unit_test(arrays_are_split_as_files_are),
        cmocka_unit_test(figures_are_those_of_training),
        cmocka_unit_test(calls_are_cancelled),
        cmocka_unit_test(models_without_epochs_are_followed),
        cmocka_unit_test(nearest_rows),
        cmocka_unit_test(many_queries),
        cmocka_unit_test(wide_queries),
        cmocka_unit_test(many_queries_are_checked),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
