/* tests/grid_test.c: the part of a grid without files: texts are split into values; their product and its order; names
 * of points and of their folders. */
#include "recsys/search/grid.h"

#include "tests/testing.h"

static size_t words(const char *list, char cut, const char **out, Arena *a)
{
    Error e = {0};
    size_t n = 0;
    for (Text rest = text_of(list), word; *list && text_next(&rest, cut, &word);)
        out[n++] = arena_strndup(a, word.p, word.n, &e);
    return n;
}

/* Returns a grid as one text: the fixed settings, then each dimension: "epochs=3 | lr: 0.1 0.2 | l_w: 1 2". */
static const char *shown(const Grid *g, Arena *a)
{
    Error e = {0};
    const char *text = "";
    for (size_t i = 0; i < g->fixed_count; i++)
        text = arena_printf(a, &e, "%s%s%s", text, i ? " " : "", g->fixed[i]);
    for (size_t i = 0; i < g->dim_count; i++) {
        text = arena_printf(a, &e, "%s | %s:", text, g->dims[i].key);
        for (size_t v = 0; v < g->dims[i].count; v++)
            text = arena_printf(a, &e, "%s %s", text, g->dims[i].values[v]);
    }
    return text;
}

static void texts_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *model, *set; /* texts separated by ';' */
        const char *grid;
        int64_t points;
    } cases[] = {
        {"BPRMF", "", "", 1},
        {"BPRMF", "lr=0.1;epochs=3", "lr=0.1 epochs=3", 1},
        {"BPRMF", "lr=0.1,0.2", " | lr: 0.1 0.2", 2},
        {"BPRMF", "epochs=3;lr=0.001, 0.01;l_w=1e-5,1e-2,1", "epochs=3 | lr: 0.001 0.01 | l_w: 1e-5 1e-2 1", 6},
        {"BPRMF", "mg=true,false;zero_grad=none,zeros", " | mg: true false | zero_grad: none zeros", 4},
        {"BPRMF", "learning_rate=0.1,0.2", " | learning_rate: 0.1 0.2", 2}, /* an alias */
        {"BPRMF", "variant=elliot,paper", " | variant: elliot paper", 2},
        /* lists, texts and pairs keep their commas */
        {"BPRMF", "cutoffs=5,10;metrics=Recall,HR", "cutoffs=5,10 metrics=Recall,HR", 1},
        {"BPRMF", "topk=[5,10]", "topk=[5,10]", 1},
        {"BPRMF", "lr_sched=0.96,50", "lr_sched=0.96,50", 1},
        {"BPRMF", "learning_rate_scheduler=[0.96, 50]", "learning_rate_scheduler=[0.96, 50]", 1},
        {"LATTICE", "knn_file=visual=a.npy,textual=b.npy", "knn_file=visual=a.npy,textual=b.npy", 1},
        {"BPRMF", "validation_metric=Recall@5,HR@5", "validation_metric=Recall@5,HR@5", 1},
        /* commas in brackets do not separate values: the settings refuse values that they do not support */
        {"BPRMF", "lr=[0.1,0.2]", "lr=[0.1,0.2]", 1},
        {"BPRMF", "lr=(0.1,0.2),0.3", " | lr: (0.1,0.2) 0.3", 2},
        /* if a key is given twice, the last text is used */
        {"BPRMF", "lr=0.1,0.2;lr=0.3", "lr=0.3", 1},
        {"BPRMF", "lr=0.3;epochs=1;lr=0.1,0.2", "epochs=1 | lr: 0.1 0.2", 2},
        /* not checked by the grid */
        {"BPRMF", "nonsense=1,2", "nonsense=1,2", 1},
        {"BPRMF", "early_stopping=1", "early_stopping=1", 1},
    };
    Arena *a = arena_new(NULL, 0);
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *set[8];
        size_t n = words(cases[i].set, ';', set, a);
        Error e = {0};
        Grid g;
        if (!grid_read(&g, recommender_find(cases[i].model), set, n, a, &e))
            fail_msg("%s: %s", cases[i].set, e.message);
        assert_string_equal(shown(&g, a), cases[i].grid);
        assert_int_equal(g.points, cases[i].points);
    }
    arena_free(a);
}

static void wrong_texts_are_errors(void **state)
{
    (void)state;
    static const struct {
        const char *set, *message;
    } cases[] = {
        {"lr=0.1,,0.2", "setting lr=0.1,,0.2: a value between commas is empty"},
        {"lr=0.1,", "a value between commas is empty"},
        {"lr=0.1,0.2,0.10", "setting lr=0.1,0.2,0.10: the value 0.1 is given twice"},
        {"mg=true,True", "the value true is given twice"},
        {"cutoffs=[5,10],[20]", "setting cutoffs=[5,10],[20]: several lists"},
        {"metrics=['Recall'],['HR']", "several lists"},
    };
    Arena *a = arena_new(NULL, 0);
    for (size_t i = 0; i < COUNT(cases); i++) {
        Error e = {0};
        Grid g;
        assert_false(grid_read(&g, recommender_find("BPRMF"), &cases[i].set, 1, a, &e));
        assert_int_equal(e.code, SP_USAGE);
        if (!strstr(e.message, cases[i].message))
            fail_msg("%s: %s", cases[i].set, e.message);
    }
    arena_free(a);
}

static void the_last_key_changes_fastest(void **state)
{
    (void)state;
    const char *const set[] = {"lr=0.001,0.01", "epochs=3", "l_w=1e-5,1e-2,0"};
    static const char *const points[] = {"epochs=3 lr=0.001 l_w=1e-5", "epochs=3 lr=0.001 l_w=1e-2",
                                         "epochs=3 lr=0.001 l_w=0",    "epochs=3 lr=0.01 l_w=1e-5",
                                         "epochs=3 lr=0.01 l_w=1e-2",  "epochs=3 lr=0.01 l_w=0"};
    static const char *const folders[] = {"lr=0.001,l_w=1e-05", "lr=0.001,l_w=0.01", "lr=0.001,l_w=0",
                                          "lr=0.01,l_w=1e-05",  "lr=0.01,l_w=0.01",  "lr=0.01,l_w=0"};
    Arena *a = arena_new(NULL, 0);
    Error e = {0};
    Grid g;
    assert_true(grid_read(&g, recommender_find("BPRMF"), set, COUNT(set), a, &e));
    assert_int_equal(g.points, COUNT(points));
    for (int64_t p = 0; p < g.points; p++) {
        const char *const *texts;
        const char *values[2], *text = "";
        size_t n;
        assert_true(grid_set(&g, p, &texts, &n, a, &e));
        for (size_t i = 0; i < n; i++)
            text = arena_printf(a, &e, "%s%s%s", text, i ? " " : "", texts[i]);
        assert_string_equal(text, points[p]);
        grid_point(g.dims, g.dim_count, p, values);
        assert_string_equal(point_folder(g.dims, g.dim_count, values, a, &e), folders[p]);
    }
    arena_free(a);
}

static void values_have_one_spelling(void **state)
{
    (void)state;
    static const struct {
        const char *given, *spelling;
    } cases[] = {
        {"0.001", "0.001"},
        {"1e-3", "0.001"},
        {"1e-5", "1e-05"},
        {"0.00001", "1e-05"},
        {"64", "64"},
        {"2000000", "2000000"}, /* not 2e+06 */
        {"1.0", "1"},
        {"1e2", "100"},
        {"0.1234567", "0.1234567"},
        {"0.30000000000000004", "0.30000000000000004"},
        {"True", "true"},
        {"false", "false"},
        {"elliot", "elliot"},
        {"nan", "nan"},
        {"", ""},
        {"9223372036854775807", "9223372036854775807"},
    };
    Arena *a = arena_new(NULL, 0);
    Error e = {0};
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_string_equal(point_value(cases[i].given, a, &e), cases[i].spelling);
    arena_free(a);
}

static void folders_are_safe(void **state)
{
    (void)state;
    Arena *a = arena_new(NULL, 0);
    Error e = {0};
    char long_value[400] = "";
    memset(long_value, 'x', sizeof long_value - 1);
    const char *values[] = {"../a b", "..+a b", long_value, "plain"};
    const Dimension dim = {.key = "k", .distribution = DIST_CHOICE, .values = values, .count = COUNT(values)};
    const char *name[COUNT(values)];
    for (size_t i = 0; i < COUNT(values); i++) {
        name[i] = point_folder(&dim, 1, &values[i], a, &e);
        assert_non_null(name[i]);
        assert_true(strlen(name[i]) <= 120);
        assert_null(strpbrk(name[i], "/ "));
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(name[i], name[k]);
    }
    assert_string_equal(name[0], "k=.._a_b-b0101977");
    assert_string_equal(name[3], "k=plain");
    assert_int_equal(strlen(name[2]), 120);
    assert_string_equal(point_folder(NULL, 0, NULL, a, &e), "");
    assert_string_equal(point_name(&dim, 1, &values[0], ' ', a, &e), "k=../a b");
    arena_free(a);
}

static void too_many_points_are_an_error(void **state)
{
    (void)state;
    Arena *a = arena_new(NULL, 0);
    Dimension dims[3];
    int64_t points;
    Error e = {0};
    for (size_t i = 0; i < COUNT(dims); i++)
        dims[i] = (Dimension){.key = "lr", .distribution = DIST_CHOICE, .count = 1024};
    assert_true(grid_points(dims, 2, &points, &e));
    assert_int_equal(points, GRID_MOST);
    assert_false(grid_points(dims, 3, &points, &e));
    assert_non_null(strstr(e.message, "setting lr: with its 1024 values there are more than 1048576 combinations"));
    dims[0].count = 0;
    e = (Error){0};
    assert_false(grid_points(dims, 2, &points, &e));
    assert_non_null(strstr(e.message, "setting lr: has no values"));
    assert_true(grid_points(dims, 0, &points, &(Error){0}));
    assert_int_equal(points, 1);
    arena_free(a);
}

static void refused_memory_is_an_error(void **state)
{
    (void)state;
    const char *const set[] = {"lr=0.001,0.01", "epochs=3", "zero_grad=none,zeros"};
    bool ok = false;
    for (size_t most = 256; !ok && most < 1 << 20; most += 64) {
        Arena *a = arena_new(NULL, most);
        Error e = {0};
        Grid g;
        const char *const *texts;
        const char *values[2];
        size_t n;
        ok =
            a && grid_read(&g, recommender_find("BPRMF"), set, COUNT(set), a, &e) && grid_set(&g, 3, &texts, &n, a, &e);
        if (ok) {
            grid_point(g.dims, g.dim_count, 3, values);
            ok = point_folder(g.dims, g.dim_count, values, a, &e) != NULL;
        }
        assert_true(ok || e.code == SP_MEMORY);
        arena_free(a);
    }
    assert_true(ok);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_read),
        cmocka_unit_test(wrong_texts_are_errors),
        cmocka_unit_test(the_last_key_changes_fastest),
        cmocka_unit_test(values_have_one_spelling),
        cmocka_unit_test(folders_are_safe),
        cmocka_unit_test(too_many_points_are_an_error),
        cmocka_unit_test(refused_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
