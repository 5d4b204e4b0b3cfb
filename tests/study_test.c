/* tests/study_test.c: the trials of a study: each is trained once, by any process; the state after a kill. */
#include "tests/study_testing.h"

#include <signal.h>
#include <sys/wait.h>

static void every_trial_once(void **state)
{
    (void)state;
    Error e = {0};
    StudyFixture b;
    study_fixture(&b);
    TrialRow *rows;
    size_t n;
    assert_int_equal(study_all(&b, (TrialShare){0, 1}), 16);
    assert_int_equal(study_all(&b, (TrialShare){0, 1}), 0);
    Ledger *l = study_ledger_of(&b);
    assert_ok(ledger_rows(l, &rows, &n, b.arena, &e), e);
    assert_int_equal(n, 16);
    assert_string_equal(rows[0].model, "BPRMF");
    assert_string_equal(rows[0].point, "factors=4 lr=0.01");
    assert_int_equal(rows[0].number, 0);
    assert_int_equal(rows[0].seed, 1);
    assert_true(rows[1].seed == UINT64_MAX);
    assert_string_equal(rows[2].point, "factors=4 lr=0.001");
    assert_string_equal(rows[8].model, "external.LightGCN");
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(rows[i].state, TRIAL_DONE);
        assert_non_null(strstr(rows[i].valid, "\"Recall@5\":"));
        assert_non_null(strstr(rows[i].settings, "\"epochs\":\"4\""));
        assert_true(text_starts(text_of(rows[i].history), "epoch\tloss\tvalid Recall@3"));
        const char *folder = arena_printf(b.arena, &e, "%s/trials/%s", b.out, rows[i].key);
        FolderEntry *entries;
        size_t files;
        assert_ok(folder_list(&entries, &files, b.arena, folder, &e), e);
        for (size_t k = 0; k < files; k++)
            assert_true(strstr(entries[k].name, ".json") || strstr(entries[k].name, ".tsv"));
    }
    ledger_close(l);
    study_fixture_end(&b);
}

/* ---- several processes ----------------------------------------------------------------------- */

static void export_to(StudyFixture *b, const char *name)
{
    Error e = {0};
    Ledger *l = study_ledger_of(b);
    assert_ok(ledger_export(l, arena_printf(b->arena, &e, "%s/%s", b->folder, name), &e), e);
    ledger_close(l);
}

static void same_exports(StudyFixture *b, const char *x, const char *y)
{
    Error e = {0};
    Text first, second;
    assert_ok(file_read(&first, b->arena, arena_printf(b->arena, &e, "%s/%s", b->folder, x), 0, &e), e);
    assert_ok(file_read(&second, b->arena, arena_printf(b->arena, &e, "%s/%s", b->folder, y), 0, &e), e);
    assert_true(text_equal(first, second));
}

/* Checks that four folders with one share each, joined, equal one folder of one process. */
static void shares_join(void **state)
{
    (void)state;
    Error e = {0};
    StudyFixture b;
    study_fixture(&b);
    int n = 0;
    study_all(&b, (TrialShare){0, 1});
    export_to(&b, "one.tsv");
    for (int i = 0; i < 4; i++) {
        snprintf(b.out, sizeof b.out, "%s/part%d", b.folder, i);
        n += study_all(&b, (TrialShare){i, 4});
    }
    assert_int_equal(n, 16);
    Ledger *l = study_ledger_of(&b);
    int64_t added;
    for (int i = 0; i < 3; i++) {
        const char *path = arena_printf(b.arena, &e, "%s/part%d/ledger.sqlite", b.folder, i);
        assert_ok(ledger_import(l, path, &added, &e), e);
        assert_int_equal(added, 4);
    }
    ledger_close(l);
    export_to(&b, "joined.tsv");
    same_exports(&b, "one.tsv", "joined.tsv");
    study_fixture_end(&b);
}

typedef struct Stop { /* kills the process at the end of the epoch that comes after `epochs` other epochs */
    int epochs;
} Stop;

static bool stop_after(void *arg, const TrainEvent *event, Error *e)
{
    Stop *s = arg;
    (void)e;
    if (event->kind == TRAIN_EPOCH && s->epochs-- == 0)
        kill(getpid(), SIGKILL);
    return true;
}

/* Trains in a child that is killed after some epochs. Returns whether it was killed. */
static bool killed_after(StudyFixture *b, int epochs)
{
    pid_t child = fork();
    int status = 0;
    if (child == 0) {
        Error e = {0};
        Trial t;
        TrialRow row;
        TrialOutcome outcome;
        Stop stop = {epochs};
        bool found = true;
        StudyRun *r = study_open(&b->study, (TrialShare){0, 1}, b->arena, &e);
        while (r && study_next(r, &t, &found, &e) && found)
            if (!study_trial(&b->device, &b->study, &t, stop_after, &stop, &outcome, &row, b->arena, &e))
                break;
        _exit(e.code ? 1 : 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status);
}

static void a_killed_search_goes_on(void **state)
{
    (void)state;
    Error e = {0};
    StudyFixture b;
    study_fixture(&b);
    TrialRow *rows;
    size_t n;
    study_all(&b, (TrialShare){0, 1});
    export_to(&b, "whole.tsv");
    snprintf(b.out, sizeof b.out, "%s/killed", b.folder);
    int kills = 0;
    while (killed_after(&b, 7)) {
        Ledger *l = study_ledger_of(&b);
        assert_ok(ledger_rows(l, &rows, &n, b.arena, &e), e);
        ledger_close(l);
        assert_int_equal(rows[n - 1].state, TRIAL_RUNNING); /* the next trials are not started */
        StudyCounts c;
        StudyRun *r = study_open(&b.study, (TrialShare){0, 1}, b.arena, &e);
        assert_ok(r && study_counts(r, &c, &e), e);
        assert_true(c.all == 16 && c.done == (int64_t)n - 1 && c.running == 0 && c.failed == 0);
        study_close(r);
        kills++;
    }
    assert_true(kills > 5);
    export_to(&b, "killed.tsv");
    same_exports(&b, "whole.tsv", "killed.tsv");
    study_fixture_end(&b);
}

/* A search whose points follow from results. Checks that its points do not depend on kills, and that one worker trains
 * all points of a group. */
static void tpe_goes_on(void **state)
{
    (void)state;
    static const Dimension DIMS[] = {{.key = "factors", .distribution = DIST_QUNIFORM, .low = 2, .high = 16, .q = 2},
                                     {.key = "lr", .distribution = DIST_LOGUNIFORM, .low = -9, .high = -2}};
    Error e = {0};
    StudyFixture b;
    TrialRow *rows;
    size_t n;
    study_fixture(&b);
    for (int i = 0; i < 2; i++) {
        b.models[i].dims = DIMS;
        b.models[i].search = SEARCH_TPE;
        b.models[i].evals = 25;
        b.models[i].seed_count = 1;
    }
    assert_int_equal(study_all(&b, (TrialShare){0, 2}), 25);
    Ledger *l = study_ledger_of(&b);
    assert_ok(ledger_rows(l, &rows, &n, b.arena, &e), e);
    ledger_close(l);
    assert_int_equal(n, 25);
    assert_string_equal(rows[24].model, "BPRMF");
    assert_int_equal(rows[24].number, 24);
    assert_int_equal(study_all(&b, (TrialShare){1, 2}), 25);
    export_to(&b, "whole.tsv");
    snprintf(b.out, sizeof b.out, "%s/killed", b.folder);
    int kills = 0;
    while (killed_after(&b, 60))
        kills++;
    assert_true(kills >= 3);
    export_to(&b, "killed.tsv");
    same_exports(&b, "whole.tsv", "killed.tsv");
    study_fixture_end(&b);
}

/* Checks four processes with one ledger: each trial is trained once. */
static void processes_share_a_ledger(void **state)
{
    (void)state;
    Error e = {0};
    StudyFixture b;
    study_fixture(&b);
    study_all(&b, (TrialShare){0, 1});
    export_to(&b, "one.tsv");
    snprintf(b.out, sizeof b.out, "%s/shared", b.folder);
    pid_t child[4];
    int trained = 0;
    for (int i = 0; i < 4; i++)
        if (!(child[i] = fork())) {
            Trial t;
            TrialRow row;
            TrialOutcome outcome;
            bool found = true;
            int done = 0;
            StudyRun *r = study_open(&b.study, (TrialShare){0, 1}, b.arena, &e);
            while (r && study_next(r, &t, &found, &e) && found &&
                   study_trial(&b.device, &b.study, &t, NULL, NULL, &outcome, &row, b.arena, &e)) {
                done += outcome == OUTCOME_DONE;
                study_over(r, &t);
            }
            if (e.code)
                fprintf(stderr, "%s\n", e.message);
            _exit(e.code ? 100 : done);
        }
    for (int i = 0; i < 4; i++) {
        int status;
        assert_int_equal(waitpid(child[i], &status, 0), child[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 16);
        trained += WEXITSTATUS(status);
    }
    assert_int_equal(trained, 16);
    export_to(&b, "shared.tsv");
    same_exports(&b, "one.tsv", "shared.tsv");
    study_fixture_end(&b);
}

/* ---- trials that fail, change, or are equal -------------------------------------------------- */

static void failures_are_kept(void **state)
{
    (void)state;
    Error e = {0};
    StudyFixture b;
    study_fixture(&b);
    Trial t;
    TrialRow *rows;
    size_t n;
    bool found;
    StudyCounts c;
    b.study.model_count = 1;
    b.data.config.test = "/nowhere/test.tsv";
    assert_int_equal(study_all(&b, (TrialShare){0, 1}), 8);
    assert_int_equal(study_all(&b, (TrialShare){0, 1}), 0);
    Ledger *l = study_ledger_of(&b);
    assert_ok(ledger_rows(l, &rows, &n, b.arena, &e), e);
    ledger_close(l);
    assert_int_equal(n, 8);
    assert_int_equal(rows[7].state, TRIAL_FAILED);
    assert_non_null(strstr(rows[7].message, "/nowhere/test.tsv"));
    b.data.config.test = b.test; /* other data give other trials */
    StudyRun *r = study_open(&b.study, (TrialShare){0, 1}, b.arena, &e);
    assert_ok(r && study_next(r, &t, &found, &e), e);
    assert_true(found);
    assert_ok(study_died(r, &t, "killed by signal 9 (Killed)", &e), e);
    study_close(r);
    assert_int_equal(study_all(&b, (TrialShare){0, 1}), 7);
    r = study_open(&b.study, (TrialShare){0, 1}, b.arena, &e);
    assert_ok(r && study_counts(r, &c, &e), e);
    assert_true(c.all == 8 && c.done == 7 && c.failed == 1);
    assert_ok(study_retry(r, &e) && study_next(r, &t, &found, &e), e);
    assert_true(found && t.number == 0 && t.seed == 1);
    study_close(r);
    assert_int_equal(study_all(&b, (TrialShare){0, 1}), 1);
    study_fixture_end(&b);
}

/* Checks that a fixed setting is not in the name of a trial, but that a trial with another value of it is a different
 * trial. */
static void other_settings_are_other_trials(void **state)
{
    (void)state;
    static const char *const SET[] = {"epochs=2", "validation_rate=2"};
    StudyFixture b;
    study_fixture(&b);
    b.study.model_count = 1;
    assert_int_equal(study_all(&b, (TrialShare){0, 1}), 8);
    b.models[0].set = SET;
    b.models[0].set_count = 2;
    assert_int_equal(study_all(&b, (TrialShare){0, 1}), 8);
    assert_int_equal(study_all(&b, (TrialShare){0, 1}), 0);
    study_fixture_end(&b);
}

/* Checks that a model without features is trained once for all settings of extractors. */
static void equal_trials_are_copied(void **state)
{
    (void)state;
    Error e = {0};
    StudyFixture b;
    study_fixture(&b);
    StudyData data[2] = {b.data, b.data};
    Trial t;
    TrialRow row;
    TrialOutcome outcome = OUTCOME_BUSY;
    bool found = true;
    int copied = 0;
    data[0].setting = "CLIP";
    data[1].setting = "ResNet50";
    b.study.data = data;
    b.study.data_count = 2;
    b.study.model_count = 1;
    StudyRun *r = study_open(&b.study, (TrialShare){0, 1}, b.arena, &e);
    assert_ok(r, e);
    for (;;) {
        assert_ok(study_next(r, &t, &found, &e), e);
        if (!found)
            break;
        assert_ok(study_trial(&b.device, &b.study, &t, NULL, NULL, &outcome, &row, b.arena, &e), e);
        assert_int_equal(outcome, t.data == data ? OUTCOME_DONE : OUTCOME_COPIED);
        assert_string_equal(row.setting, t.data->setting);
        copied += outcome == OUTCOME_COPIED;
    }
    assert_int_equal(copied, 8);
    study_close(r);
    study_fixture_end(&b);
}

/* Checks the view of a ledger: means over seeds and folds, the best point. */
static void views_have_the_best(void **state)
{
    (void)state;
    Error e = {0};
    StudyFixture b;
    StudyView v;
    study_fixture(&b);
    StudyData data[3] = {b.data, b.data, b.data};
    data[0].fold = "0";
    data[1].fold = "1";
    data[1].config.valid = data[1].config.test = b.train;
    data[2] = (StudyData){.name = "office", .setting = "", .fold = "", .absent = "its images are not to be had"};
    b.study.data = data;
    b.study.data_count = 3;
    assert_int_equal(study_all(&b, (TrialShare){0, 1}), 32);
    Ledger *l = study_ledger_of(&b);
    assert_ok(study_view(&v, l, b.arena, &e), e);
    ledger_close(l);
    assert_string_equal(v.metric, "Recall@5");
    assert_int_equal(v.group_count, 4);
    assert_int_equal(v.figure_count, 4);
    assert_string_equal(v.figures[1], "Recall@5");
    assert_string_equal(v.groups[2].absent, "its images are not to be had");
    assert_int_equal(v.groups[3].count, 0);
    for (size_t g = 0; g < 2; g++) {
        const Group *x = &v.groups[g];
        assert_int_equal(x->count, 4);
        double best = -1;
        int64_t at = -1;
        for (size_t i = 0; i < 4; i++) {
            const GroupPoint *p = &x->points[i];
            double sum = 0, figure;
            assert_true(p->trials == 4 && p->finished == 4 && p->number == (int64_t)i);
            for (size_t k = 0; k < 4; k++) {
                const char *found = strstr(p->rows[k]->valid, "\"Recall@5\":");
                assert_non_null(found);
                assert_int_equal(sscanf(found, "\"Recall@5\":%lf", &figure), 1);
                sum += figure;
            }
            assert_true(fabs(sum / 4 - p->valid[1]) < 1e-15);
            if (sum / 4 > best) {
                best = sum / 4;
                at = (int64_t)i;
            }
        }
        assert_int_equal(x->best, at);
    }
    study_fixture_end(&b);
}

/* Trains the remaining trials, then reads the ledger. Returns the only group of the first model. */
static const Group *viewed(StudyFixture *b, StudyView *v, int trained)
{
    Error e = {0};
    assert_int_equal(study_all(b, (TrialShare){0, 1}), trained);
    Ledger *l = study_ledger_of(b);
    assert_ok(study_view(v, l, b->arena, &e), e);
    ledger_close(l);
    return &v->groups[0];
}

/* A larger grid gives finished points other numbers. Checks that they are not trained again, and that none is lost. */
static void grids_may_grow(void **state)
{
    (void)state;
    static const char *const FACTORS[] = {"4", "8"}, *const RATES[] = {"0.1", "0.01", "0.001"};
    static const Dimension DIMS[] = {{.key = "factors", .values = FACTORS, .count = 2},
                                     {.key = "lr", .values = RATES, .count = 3}};
    StudyFixture b;
    StudyView v;
    study_fixture(&b);
    b.study.model_count = 1;
    assert_int_equal(viewed(&b, &v, 8)->count, 4);
    b.models[0].dims = DIMS;
    const Group *g = viewed(&b, &v, 4);
    assert_int_equal(g->count, 6);
    assert_int_equal(v.row_count, 12);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(g->points[i].number, i);
        assert_int_equal(g->points[i].finished, 2);
        assert_int_equal(g->points[i].rows[0]->number, i);
    }
    study_fixture_end(&b);
}

/* Checks that points of a random search with other bounds stay in the ledger, but are not points of this search. */
static void random_searches_may_change(void **state)
{
    (void)state;
    Dimension dim = {.key = "lr", .distribution = DIST_LOGUNIFORM, .low = -7, .high = -5};
    StudyFixture b;
    StudyView v;
    study_fixture(&b);
    b.study.model_count = 1;
    b.models[0].search = SEARCH_RANDOM;
    b.models[0].evals = 3;
    b.models[0].dims = &dim;
    b.models[0].dim_count = 1;
    assert_int_equal(viewed(&b, &v, 6)->count, 3);
    dim.high = -4;
    const Group *g = viewed(&b, &v, 6);
    assert_int_equal(v.row_count, 12);
    assert_int_equal(g->count, 3);
    assert_int_equal(g->planned, 6);
    study_fixture_end(&b);
}

/* Checks the file of a metric or of the setting `negatives`: other bytes give other trials. */
static void files_of_measures_count(void **state)
{
    (void)state;
    StudyFixture b;
    char file[400], metric[500];
    study_fixture(&b);
    b.study.model_count = 1;
    b.models[0].dim_count = 0;
    snprintf(file, sizeof file, "%s/clusters.tsv", b.folder);
    snprintf(metric, sizeof metric, "clustered_Recall:user_clustering_name=age:user_clustering_file=%s", file);
    const char *metrics[] = {"Recall", metric};
    b.study.eval.metrics = metrics;
    test_write(b.folder, "clusters.tsv", TEXT("u0\t0\nu1\t1\n"));
    assert_int_equal(study_all(&b, (TrialShare){0, 1}), 2);
    assert_int_equal(study_all(&b, (TrialShare){0, 1}), 0);
    test_write(b.folder, "clusters.tsv", TEXT("u0\t1\nu1\t1\n"));
    assert_int_equal(study_all(&b, (TrialShare){0, 1}), 2);
    b.study.eval.metric_count = 1;
    b.study.eval.negative_files[0] = b.study.eval.negative_files[1] = file;
    test_write(b.folder, "clusters.tsv", TEXT("u0\ti1\nu1\ti1\n"));
    assert_int_equal(study_all(&b, (TrialShare){0, 1}), 2);
    test_write(b.folder, "clusters.tsv", TEXT("u0\ti1\nu1\ti2\n"));
    assert_int_equal(study_all(&b, (TrialShare){0, 1}), 2);
    assert_int_equal(study_all(&b, (TrialShare){0, 1}), 0);
    study_fixture_end(&b);
}

/* Checks that all points of a group are compared by the same part. A point without a figure in this part is not chosen
 * by the other part. */
static void points_are_compared_by_one_part(void **state)
{
    (void)state;
    Error e = {0};
    StudyFixture b;
    StudyView v;
    TrialRow *rows;
    size_t n;
    study_fixture(&b);
    b.study.model_count = 1;
    assert_int_equal(viewed(&b, &v, 8)->count, 4);
    Ledger *l = study_ledger_of(&b);
    assert_ok(ledger_rows(l, &rows, &n, b.arena, &e), e);
    for (size_t i = 0; i < n; i++) {
        bool without = rows[i].number == 3;
        const char *figure = rows[i].number == 1 ? "{\"Recall@5\":0.2}" : "{\"Recall@5\":0.1}";
        rows[i].valid = without ? "{\"Recall@5\":null}" : figure;
        rows[i].test = without ? "{\"Recall@5\":0.9}" : "{\"Recall@5\":0.5}";
        assert_true(study_figure(&b.study, &rows[i]) < 0.3 || (without && isnan(study_figure(&b.study, &rows[i]))));
        assert_ok(ledger_put(l, &rows[i], &e), e);
    }
    ledger_close(l);
    assert_int_equal(viewed(&b, &v, 0)->best, 1);
    study_fixture_end(&b);
}

/* Tests the best points of two models by the users of by_user.tsv: the result is that of the tests for the files
 * themselves. */
static void best_points_are_tested(void **state)
{
    (void)state;
    Error e = {0};
    StudyFixture b;
    StudyView v;
    ByUser files[2];
    PairedTest t;
    size_t missing;
    study_fixture(&b);
    b.models[0].seed_count = b.models[1].seed_count = 1;
    study_all(&b, (TrialShare){0, 1});
    Ledger *l = study_ledger_of(&b);
    assert_ok(study_view(&v, l, b.arena, &e), e);
    ledger_close(l);
    assert_ok(view_tests(&v, b.out, true, false, &missing, b.arena, &e), e);
    assert_int_equal(missing, 0);
    assert_int_equal(v.test_count, v.figure_count);
    for (size_t i = 0; i < 2; i++) {
        const char *key = v.groups[i].points[v.groups[i].best].rows[0]->key;
        const char *path = arena_printf(b.arena, &e, "%s/trials/%s/by_user.tsv", b.out, key);
        assert_ok(by_user_read(&files[i], path, b.arena, &e), e);
    }
    for (size_t i = 0; i < v.test_count; i++) {
        const PairTest *p = &v.tests[i];
        int64_t users = text_index_count(files[0].users), at = text_index_find(files[0].numbers, text_of(v.figures[i]));
        assert_true(p->first == 0 && p->second == 1 && p->figure == i && p->users == users && at >= 0);
        assert_ok(paired_t_test(&t, files[0].value + at * users, files[1].value + at * users, users, b.arena, &e), e);
        assert_true((isnan(t.p) && isnan(p->t_p)) || (p->t == t.statistic && p->t_p == t.p && p->t_holm == t.p));
        assert_true(isnan(p->w_p) && isnan(p->w_holm));
    }
    assert_int_equal(unlink(files[1].path), 0);
    assert_ok(view_tests(&v, b.out, true, true, &missing, b.arena, &e), e);
    assert_true(missing == 1 && v.test_count == 0);
    study_fixture_end(&b);
}

static void wrong_studies_are_refused(void **state)
{
    (void)state;
    static const char *const WORDS[] = {"0.1", "many"};
    const Dimension word = {.key = "lr", .values = WORDS, .count = 2};
    const Dimension range = {.key = "lr", .distribution = DIST_UNIFORM, .low = 0, .high = 1};
    Error e = {0};
    StudyFixture b;
    study_fixture(&b);
    b.models[0].dims = &word;
    b.models[0].dim_count = 1;
    assert_null(study_open(&b.study, (TrialShare){0, 1}, b.arena, &e));
    assert_error(e, SP_USAGE, "BPRMF lr=many: setting lr=many");
    b.models[0].dims = &range;
    assert_null(study_open(&b.study, (TrialShare){0, 1}, b.arena, &e));
    assert_error(e, SP_USAGE, "BPRMF: setting lr: a grid needs lists of values, not uniform");
    b.models[0].search = SEARCH_RANDOM;
    assert_null(study_open(&b.study, (TrialShare){0, 1}, b.arena, &e));
    assert_error(e, SP_USAGE, "BPRMF: the space has no end; say how many points to try");
    assert_null(study_open(&b.study, (TrialShare){4, 4}, b.arena, &e));
    error_clear(&e);
    study_fixture_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_trial_once),
        cmocka_unit_test(shares_join),
        cmocka_unit_test(a_killed_search_goes_on),
        cmocka_unit_test(processes_share_a_ledger),
        cmocka_unit_test(tpe_goes_on),
        cmocka_unit_test(failures_are_kept),
        cmocka_unit_test(other_settings_are_other_trials),
        cmocka_unit_test(equal_trials_are_copied),
        cmocka_unit_test(views_have_the_best),
        cmocka_unit_test(grids_may_grow),
        cmocka_unit_test(random_searches_may_change),
        cmocka_unit_test(files_of_measures_count),
        cmocka_unit_test(points_are_compared_by_one_part),
        cmocka_unit_test(best_points_are_tested),
        cmocka_unit_test(wrong_studies_are_refused),
    };
    test_folders_in_memory();
#ifndef HAVE_SQLITE3
    printf("skipped: this build has no SQLite\n");
    return 0;
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}
