/* tests/metrics_test.c: every metric equals float64 NumPy (tests/golden/metrics_float64.py); how metrics are requested.
 */
#include "recsys/metrics/metrics.h"

#include "tests/testing.h"

#include <math.h>

static const int64_t CUTOFFS[] = {1, 3, 8, 50};

/* The data and the lists of tests/golden/metrics. */
typedef struct Given {
    Arena *arena;
    DataSet data;
    Lists recs, full;
} Given;

/* Reads lists of user, item, score. Users are in the file's order, which is the order of their numbers here. */
static void read_lists(Given *g, Lists *l, const char *path)
{
    Error e = {0};
    Text content;
    assert_ok(file_read(&content, g->arena, path, 0, &e), e);
    Table t = table_open(content, '\t', path, g->arena);
    int64_t room = (int64_t)content.n, n = 0;
    int32_t *users = NEW(g->arena, int32_t, room, &e), *top = NEW(g->arena, int32_t, room, &e);
    int64_t *start = NEW(g->arena, int64_t, room, &e);
    double *score = NEW(g->arena, double, room, &e);
    *l = (Lists){.users = users, .start = start, .top = top, .score = score, .data = &g->data};
    while (table_next(&t, &e)) {
        int32_t user = (int32_t)text_index_find(g->data.users, t.field[0]);
        assert_true(user >= 0);
        if (l->n == 0 || users[l->n - 1] != user)
            users[l->n++] = user;
        top[n] = (int32_t)text_index_add(g->data.items, t.field[1], &e);
        assert_true(text_f64(t.field[2], &score[n]));
        start[l->n] = ++n;
    }
    assert_ok(e.code == SP_OK, e);
}

/* Adds users with empty lists: MMRec's protocol counts them too. */
static Lists with_empty(Given *g, const Lists *l)
{
    Error e = {0};
    int32_t *users = NEW(g->arena, int32_t, g->data.U, &e);
    int64_t *start = NEW(g->arena, int64_t, g->data.U + 1, &e), at = 0;
    Lists all = *l;
    for (int64_t u = 0; u < g->data.U; u++) {
        users[u] = (int32_t)u;
        start[u] = at;
        for (int64_t i = 0; i < l->n; i++)
            if (l->users[i] == u) {
                start[u] = l->start[i];
                at = l->start[i + 1];
            }
    }
    start[g->data.U] = at;
    all.users = users;
    all.start = start;
    all.n = g->data.U;
    return all;
}

/* Opens the data in the folder of the files, because the names of files are values of parameters. */
static void open_given(Given *g)
{
    Error e = {0};
    assert_int_equal(chdir("tests/golden/metrics"), 0);
    g->arena = arena_new(NULL, 0);
    const DataConfig config = {.train = "train.tsv", .test = "test.tsv"};
    assert_ok(dataset_load(&g->data, &config, g->arena, &e), e);
    read_lists(g, &g->recs, "recs.tsv");
    read_lists(g, &g->full, "full.tsv");
}

static void close_given(Given *g)
{
    dataset_close(&g->data);
    arena_free(g->arena);
    assert_int_equal(chdir("../../.."), 0);
}

static void check_value(double got, Text expected, const char *what, int64_t cutoff)
{
    double expected_value = 0;
    assert_true(text_f64(expected, &expected_value));
    if (isnan(expected_value) ? !isnan(got) : !(fabs(got - expected_value) <= 1e-12 * fmax(1, fabs(expected_value))))
        fail_msg("%s@%d is %.17g, not %.17g", what, (int)cutoff, got, expected_value);
}

static void all_metrics_as_numpy(void **state)
{
    (void)state;
    Error e = {0};
    Given g = {0};
    Text content;
    bool covered[128] = {false};
    open_given(&g);
    assert_ok(file_read(&content, g.arena, "figures.tsv", 0, &e), e);
    const Lists mmrec = with_empty(&g, &g.recs);
    Table t = table_open(content, '\t', "figures.tsv", g.arena);
    int rows = 0;
    while (table_next(&t, &e)) {
        if (t.count == 1) /* the line of versions */
            continue;
        assert_int_equal(t.count, 5 + COUNT(CUTOFFS));
        ArenaMark mark = arena_mark(g.arena);
        Protocol p = text_is(t.field[0], "mmrec") ? PROTOCOL_MMREC : PROTOCOL_ELLIOT;
        const Lists *l = text_is(t.field[1], "full") ? &g.full : p == PROTOCOL_MMREC ? &mmrec : &g.recs;
        const char *metric = arena_strndup(g.arena, t.field[3].p, t.field[3].n, &e);
        const char *name = arena_strndup(g.arena, t.field[4].p, t.field[4].n, &e);
        EvalConfig c = {.metrics = &metric, .metric_count = 1, .cutoffs = CUTOFFS, .cutoff_count = COUNT(CUTOFFS)};
        assert_true(text_f64(t.field[2], &c.relevance_threshold));
        Scores s = {0};
        g.data.protocol = p;
        assert_ok(score_lists_of(&s, p, l, &g.data.test, &c, g.arena, &e), e);
        for (size_t k = 0; k < COUNT(CUTOFFS); k++)
            check_value(score_of(&s, name, CUTOFFS[k]), t.field[5 + k], name, CUTOFFS[k]);
        assert_true(metric_find(metric) >= 0);
        for (size_t m = 0; m < metric_count(); m++)
            covered[m] = covered[m] || !strcasecmp(metric_at(m)->name, metric_at((size_t)metric_find(metric))->name);
        arena_rewind(g.arena, mark);
        rows++;
    }
    assert_ok(e.code == SP_OK, e);
    assert_true(rows > 300);
    for (size_t m = 0; m < metric_count(); m++)
        if (!covered[m])
            fail_msg("%s is not compared", metric_at(m)->name);
    close_given(&g);
}

static void users_as_numpy(void **state)
{
    (void)state;
    Error e = {0};
    Given g = {0};
    Text content;
    open_given(&g);
    assert_ok(file_read(&content, g.arena, "by_user.tsv", 0, &e), e);
    Table t = table_open(content, '\t', "by_user.tsv", g.arena);
    while (table_next(&t, &e)) {
        ArenaMark mark = arena_mark(g.arena);
        const Lists *l = text_is(t.field[0], "full") ? &g.full : &g.recs;
        const char *metric = arena_strndup(g.arena, t.field[2].p, t.field[2].n, &e);
        const EvalConfig c = {
            .metrics = &metric, .metric_count = 1, .cutoffs = CUTOFFS, .cutoff_count = COUNT(CUTOFFS)};
        Scores s = {.keep_by_user = true};
        int64_t user = text_index_find(g.data.users, t.field[1]), at = 0;
        assert_ok(score_lists_of(&s, PROTOCOL_ELLIOT, l, &g.data.test, &c, g.arena, &e), e);
        assert_true(s.has_users[0] && s.metrics == 1);
        while (at < s.users && s.user[at] != user)
            at++;
        assert_true(at < s.users);
        for (size_t k = 0; k < COUNT(CUTOFFS); k++)
            check_value(s.by_user[(int64_t)k * s.users + at], t.field[3 + k], metric, CUTOFFS[k]);
        arena_rewind(g.arena, mark);
    }
    assert_ok(e.code == SP_OK, e);
    close_given(&g);
}

/* Checks that each metric has the same value alone and together with all others, with cutoffs in any order and with
 * lists in blocks. */
static void together_and_in_blocks(void **state)
{
    (void)state;
    Error e = {0};
    Given g = {0};
    open_given(&g);
    const int64_t cutoffs[] = {8, 50, 1, 3};
    const char *const given[] = {"all", "rating", "DSC:beta=2.5", "UserMADranking:clustering_file=users.tsv"};
    const char *const *metrics = given;
    size_t n = COUNT(given);
    assert_ok(metrics_expand(&metrics, &n, PROTOCOL_ELLIOT, g.arena, &e), e);
    metrics++; /* leaves out the first metric of "all", which is Recall */
    n--;
    for (size_t m = 0; m < n; m++)
        assert_true(metric_find(metrics[m]) >= 0);
    EvalConfig c = {.metrics = metrics, .metric_count = 0, .cutoffs = cutoffs, .cutoff_count = 4};
    const char *some[64];
    for (size_t m = 0; m < n; m++)
        if (strcmp(metrics[m], "DSC") != 0) /* "all" includes DSC; here it has a parameter instead */
            some[c.metric_count++] = metrics[m];
    c.metrics = some;
    assert_true(c.metric_count > 30 && c.metric_count < 64);
    Scores all = {.keep_by_user = true}, parts = {.keep_by_user = true};
    assert_ok(score_lists_of(&all, PROTOCOL_ELLIOT, &g.full, &g.data.test, &c, g.arena, &e), e);
    Scorer *s = scorer_new(&parts, PROTOCOL_ELLIOT, &c, &g.data.test, &g.data, g.full.n, g.arena, &e);
    for (int64_t i = 0; i < g.full.n; i += 3) {
        Lists block = g.full;
        block.users += i;
        block.start += i;
        block.n = MIN(g.full.n - i, 3);
        assert_ok(s && scorer_add(s, &block, &e), e);
    }
    assert_ok(scorer_end(s, &e), e);
    assert_int_equal(parts.users, all.users);
    assert_memory_equal(parts.mean, all.mean, all.metrics * all.cutoffs * sizeof(double));
    assert_memory_equal(parts.by_user, all.by_user, all.metrics * all.cutoffs * (size_t)all.users * sizeof(double));
    for (size_t m = 0; m < c.metric_count; m++) {
        Scores one = {0};
        const EvalConfig alone = {.metrics = c.metrics + m, .metric_count = 1, .cutoffs = CUTOFFS, .cutoff_count = 4};
        assert_ok(score_lists_of(&one, PROTOCOL_ELLIOT, &g.full, &g.data.test, &alone, g.arena, &e), e);
        for (size_t k = 0; k < COUNT(CUTOFFS); k++) {
            double x = score_of(&one, one.names[0], CUTOFFS[k]), y = score_of(&all, one.names[0], CUTOFFS[k]);
            assert_true(x == y || (isnan(x) && isnan(y)));
        }
    }
    close_given(&g);
}

static void what_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *metric, *words;
    } cases[] = {
        {"Recal", "unknown metric 'Recal'; did you mean \"Recall\""},
        {"recbole.", "unknown metric 'recbole.'"},
        {"elliot.GiniIndex", "unknown metric"},
        {"Recall:beta=2", "Recall has no parameter beta"},
        {"DSC:pop_ratio=2", "DSC has no parameter pop_ratio; it has beta=1"},
        {"DSC:beta=2:beta=3", "DSC: beta is given twice"},
        {"DSC:beta=x", "DSC: beta=x: a number from 0"},
        {"DSC:beta=nan", "a number from 0"},
        {"DSC:bta=2", "unknown metric 'DSC:bta=2'"},
        {"DSC:metric_0=Gini", "metric_0=Gini: is not a mean of users' values"},
        {"DSC:metric_1=nothing", "unknown metric 'nothing'"},
        {"ExtendedF1", "metric_0 is missing"},
        {"ExtendedPopRSP:pop_ratio=1.5", "a number from 0 to 1"},
        {"ExtendedEFD:relevance=graded", "binary or discounted"},
        {"RSP", "RSP: clustering_file is missing"},
        {"SRecall", "SRecall: feature_data is missing"},
        {"clustered_nDCG:user_clustering_name=a", "user_clustering_file is missing"},
        {"RSP:clustering_file=none.tsv", "none.tsv"},
        {"RSP:clustering_file=a:b.tsv", "a:b.tsv"}, /* the colon belongs to the path */
        {"RSP:clustering_file=train.tsv", "train.tsv:1: an id, a tab and the number of a cluster"},
        {"RSP:clustering_name=a\tb:clustering_file=items.tsv", "without control characters"},
    };
    Error e = {0};
    Given g = {0};
    open_given(&g);
    for (size_t i = 0; i < COUNT(cases); i++) {
        const EvalConfig c = {.metrics = &cases[i].metric, .metric_count = 1, .cutoffs = CUTOFFS, .cutoff_count = 4};
        Scores s = {0};
        assert_false(score_lists_of(&s, PROTOCOL_ELLIOT, &g.recs, &g.data.test, &c, g.arena, &e));
        assert_error(e, e.code, cases[i].words);
    }
    close_given(&g);
}

static void wrong_cluster_files(void **state)
{
    (void)state;
    static const struct {
        const char *file, *words;
    } cases[] = {
        {"1\t0\n2\t-1\n", "c.tsv:2: an id, a tab and the number"},
        {"1\t0\n2\t0.5\n", "c.tsv:2: an id"},
        {"1\t0\n1\t1\n", "c.tsv:2: the id 1 is given twice"},
        {"1\t0\n2\t7\n", "clusters 0, 1, 2, ... are expected"},
        {"1\t0\n2\t2\n3\t0\n", "cluster 1 has no id"},
        {"", "clusters 0, 1, 2"},
        {"1\t0\t0\n", "c.tsv:1: an id"},
    };
    char folder[256], was[512];
    Error e = {0};
    Given g = {0};
    open_given(&g);
    assert_non_null(getcwd(was, sizeof was));
    assert_int_equal(chdir(test_folder(folder)), 0);
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *metric = "RSP:clustering_file=c.tsv";
        const EvalConfig c = {.metrics = &metric, .metric_count = 1, .cutoffs = CUTOFFS, .cutoff_count = 4};
        Scores s = {0};
        test_write(".", "c.tsv", text_of(cases[i].file));
        assert_false(score_lists_of(&s, PROTOCOL_ELLIOT, &g.recs, &g.data.test, &c, g.arena, &e));
        assert_error(e, SP_FORMAT, cases[i].words);
    }
    assert_int_equal(chdir(was), 0);
    test_folder_remove(folder);
    close_given(&g);
}

static void what_is_not_known(void **state)
{
    (void)state;
    static const struct {
        const char *metric, *words;
    } cases[] = {{"ARP", "ARP needs the train interactions"},
                 {"Gini", "Gini needs the numbers of users and items"},
                 {"DSC:metric_0=EPC", "DSC needs the train interactions"},
                 {"MAE", "need the scores of the lists"}};
    Error e = {0};
    Given g = {0};
    open_given(&g);
    Lists bare = g.recs;
    bare.data = NULL;
    bare.score = NULL;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const EvalConfig c = {.metrics = &cases[i].metric, .metric_count = 1, .cutoffs = CUTOFFS, .cutoff_count = 4};
        Scores s = {0};
        assert_false(score_lists_of(&s, PROTOCOL_ELLIOT, &bare, &g.data.test, &c, g.arena, &e));
        assert_error(e, SP_USAGE, cases[i].words);
    }
    close_given(&g);
}

int main(void)
{
    if (!ALL_METRICS) {
        printf("skipped: MINIMAL has the metrics of hits and ranks alone\n");
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_metrics_as_numpy),   cmocka_unit_test(users_as_numpy),
        cmocka_unit_test(together_and_in_blocks), cmocka_unit_test(what_is_refused),
        cmocka_unit_test(wrong_cluster_files),    cmocka_unit_test(what_is_not_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
