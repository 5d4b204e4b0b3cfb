/* tests/elliot_files_test.c: the results of a study as Elliot's files equal the files that Elliot's own code writes. */
#include "tests/elliot_testing.h"

#include <math.h>
#include <time.h>

static const char results[] = "tests/golden/elliot/results", time_stamp[] = "2026_01_02_03_04_05";

/* A view of a study with the figures and p-values of figures.txt. */
typedef struct Given {
    StudyView view;
    Group groups[32];
    GroupPoint points[100];
    TrialRow rows[100];
    const TrialRow *row[100];
    PairTest tests[200];
    double test[400];
    size_t point_count;
} Given;
static const char *const figures[] = {"Recall@2", "nDCG@2", "Recall@5", "nDCG@5"};

static double number_at(Text *rest)
{
    Text part;
    double x = NAN;
    assert_true(text_next(rest, '\t', &part));
    if (!text_is(part, "nan"))
        assert_true(text_f64(part, &x));
    return x;
}

static void read_pair(Given *g, Text rest)
{
    PairTest *t = &g->tests[g->view.test_count++];
    t->first = (size_t)number_at(&rest);
    t->second = (size_t)number_at(&rest);
    t->figure = (size_t)number_at(&rest);
    t->t_p = number_at(&rest);
    t->w_p = number_at(&rest);
}

static void read_point(Given *g, Text model, Text rest, Arena *a)
{
    Error e = {0};
    Text point;
    size_t n = g->view.group_count, at = g->point_count++;
    assert_true(text_next(&rest, '\t', &point));
    if (!n || !text_is(model, g->groups[n - 1].model)) {
        g->groups[n] = (Group){.data = "r",
                               .setting = "",
                               .model = arena_strndup(a, model.p, model.n, &e),
                               .points = &g->points[at],
                               .best = -1};
        n = ++g->view.group_count;
    }
    Group *group = &g->groups[n - 1];
    bool best = point.n && *point.p == '*';
    if (best) {
        group->best = (int64_t)group->count;
        point = (Text){point.p + 1, point.n - 1};
    }
    const char *key = arena_printf(a, &e, "key%zu", at);
    g->row[at] = &g->rows[at];
    g->rows[at] = (TrialRow){.key = key, .best_epoch = 2};
    for (size_t f = 0; f < COUNT(figures); f++)
        g->test[at * COUNT(figures) + f] = number_at(&rest);
    g->points[at] = (GroupPoint){.point = arena_strndup(a, point.p, point.n, &e),
                                 .number = (int64_t)group->count++,
                                 .trials = 1,
                                 .finished = 1,
                                 .test = &g->test[at * COUNT(figures)],
                                 .rows = &g->row[at]};
}

static void read_figures(Given *g, Arena *a)
{
    Error e = {0};
    Text rest, line, first;
    *g = (Given){.view = {.groups = g->groups, .tests = g->tests, .figure_count = COUNT(figures)}};
    g->view.figures = NEW(a, const char *, COUNT(figures), &e);
    for (size_t i = 0; i < COUNT(figures); i++)
        g->view.figures[i] = figures[i];
    assert_ok(file_read(&rest, a, path_join(a, results, "figures.txt", &e), 0, &e), e);
    while (text_line(&rest, &line)) {
        assert_true(text_next(&line, '\t', &first));
        if (text_is(first, "p"))
            read_pair(g, line);
        else
            read_point(g, first, line, a);
    }
}

static void put_data(Arena *a)
{
    static const char *const parts[] = {"train", "val", "test"};
    Error e = {0};
    assert_true(folder_make(in_dir(a, "data/r/visual.features"), &e) &&
                folder_make(in_dir(a, "data/r/textual.features"), &e));
    static const char npy[] = "\x93NUMPY\1\0\x46\0{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1), }          "
                              "\n\0\0\x80?";
    for (int i = 1; i <= 3; i++)
        for (int f = 0; f < 2; f++)
            put_bytes(arena_printf(a, &e, "data/r/%s.features/%d.npy", f ? "visual" : "textual", i), npy,
                      sizeof npy - 1);
    for (size_t i = 0; i < COUNT(parts); i++)
        put(arena_printf(a, &e, "data/r/%s.tsv", parts[i]), i ? "1\t3\t4\n" : "1\t1\t5\n1\t2\t3\n2\t3\t4\n");
}

static int64_t time_of_stamp(void)
{
    struct tm tm = {.tm_year = 126, .tm_mday = 2, .tm_hour = 3, .tm_min = 4, .tm_sec = 5, .tm_isdst = -1};
    return (int64_t)mktime(&tm);
}

static void files_are_elliots(void **state)
{
    (void)state;
    Arena *a = arena_new(NULL, 0);
    Error e = {0};
    Study s;
    Text yaml, text, expected;
    Given *g = NEW(a, Given, 1, &e);
    put_data(a);
    assert_ok(file_read(&yaml, a, "tests/golden/elliot/results.yml", 0, &e), e);
    assert_ok(read_elliot(&s, yaml.p, NULL, a, &e), e);
    read_figures(g, a);
    assert_int_equal(g->view.group_count, s.model_count);
    assert_true(folder_make(in_dir(a, "results/r/trials/key2"), &e));
    put(arena_printf(a, &e, "results/r/trials/key2/recs-%lld.tsv", (long long)s.models[0].save_recs), "1\t3\t0.5\n");
    put("results/r/trials/key2/item.npy", "numbers");
    assert_ok(elliot_write(&s, &g->view, time_of_stamp(), a, &e), e);
    FolderEntry *written, *expect;
    size_t n, m, compared = 0;
    assert_ok(folder_list(&written, &n, a, in_dir(a, "results/r/performance"), &e), e);
    assert_ok(folder_list(&expect, &m, a, results, &e), e);
    assert_int_equal(n, m - 1); /* figures.txt */
    for (size_t i = 0; i < m; i++) {
        if (!strstr(expect[i].name, time_stamp))
            continue;
        assert_ok(file_read(&expected, a, path_join(a, results, expect[i].name, &e), 0, &e), e);
        assert_ok(file_read(&text, a, path_join(a, in_dir(a, "results/r/performance"), expect[i].name, &e), 0, &e), e);
        if (!text_equal(text, expected))
            fail_msg("%s is\n%s\nbut expected is\n%s", expect[i].name, text.p, expected.p);
        compared++;
    }
    assert_int_equal(compared, 29);
    static const char name[] = "BPRMF_seed=123_e=4_bs=8_factors=10_lr=0$01_l_w=1e-05";
    assert_file(a, in_dir(a, arena_printf(a, &e, "results/r/recs/%s_it=2.tsv", name)), "1\t3\t0.5\n");
    assert_file(a, in_dir(a, arena_printf(a, &e, "results/r/weights/%s/item.npy", name)), "numbers");
    assert_ok(file_read(&text, a, in_dir(a, "log/elliot.log"), 0, &e), e);
    assert_non_null(strstr(text.p, "MostPop: Best Model results:\t{2: {'Recall': 0.0175"));
    arena_free(a);
}

static void a_model_without_a_result(void **state)
{
    (void)state;
    Arena *a = arena_new(NULL, 0);
    Error e = {0};
    Study s;
    Text text;
    put_data(a);
    static const char yaml[] =
        "experiment:\n  dataset: r\n  top_k: 2\n  data_config: {strategy: fixed, train_path: "
        "../data/r/train.tsv, test_path: ../data/r/test.tsv}\n  evaluation: {simple_metrics: [Recall]}\n"
        "  models: {MostPop: {}, Random: {}}\n";
    assert_ok(read_elliot(&s, yaml, in_dir(a, "out"), a, &e), e);
    double none = NAN;
    GroupPoint point = {.point = "", .test = &none};
    Group groups[] = {{.data = "r", .setting = "", .model = "MostPop", .best = -1},
                      {.data = "r", .setting = "", .model = "Random", .points = &point, .count = 1}};
    const char *names[] = {"Recall@2"};
    StudyView v = {.groups = groups, .group_count = 2, .figures = names, .figure_count = 1};
    assert_ok(elliot_write(&s, &v, time_of_stamp(), a, &e), e);
    assert_file(a, in_dir(a, "out/performance/rec_cutoff_2_relthreshold_0_2026_01_02_03_04_05.tsv"),
                "model\tRecall\nRandom_seed=42\t\n");
    assert_ok(file_read(&text, a, in_dir(a, "out/log/elliot.log"), 0, &e), e);
    assert_non_null(strstr(text.p, "E MostPop: no result"));
    arena_free(a);
}

/* Refuses the first request for memory, then the second, and so on, until everything is read and written. */
static void refused_memory(void **state)
{
    (void)state;
    Arena *a = arena_new(NULL, 0);
    Error none = {0};
    Text yaml;
    Given *g = NEW(a, Given, 1, &none);
    bool ok = false;
    put_data(a);
    read_figures(g, a);
    assert_ok(file_read(&yaml, a, "tests/golden/elliot/results.yml", 0, &none), none);
    for (size_t n = 1; !ok; n += 1 + n / 8) {
        TestHeap h;
        test_heap(&h, n);
        Error e = {0};
        Study s;
        Arena *small = arena_new(&h.heap, 0);
        if (small) {
            ok = read_elliot(&s, yaml.p, NULL, small, &e) && elliot_write(&s, &g->view, time_of_stamp(), small, &e);
            assert_true(ok || e.code == SP_MEMORY);
            arena_free(small);
        }
        assert_int_equal(h.live, 0);
    }
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_elliots),
        cmocka_unit_test(a_model_without_a_result),
        cmocka_unit_test(refused_memory),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
