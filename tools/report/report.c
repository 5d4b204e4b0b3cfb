/* tools/report/report.c: sapor report RUN... -o FILE.html: reads finished runs and their data, and writes the page. The
 * page of a study is in tools/study/command.c. */
// flags: -Os
#include "tools/report/report_parts.h"

#include "tools/ducho/extract.h"

const Option report_options[] = {
    {"out", 'o', "FILE", "output page (default report.html)"},
    {"title", 0, "TEXT", "heading of the page"},
    {"tables", 0, "DIR", "folder for the tables of `sapor run`, as CSV, LaTeX and Markdown"},
    {"items", 0, "FILE", "table with a column `item` and a column of titles"},
    {"text-column", 0, "NAME", "column of titles in that table (default title)"},
    {"pictures", 0, "DIR", "folder of item images: <item>.jpg, .png or .webp"},
    {"stages", 0, "FILE", "times of earlier steps: columns stage, seconds, MB"},
    {"ops", 0, "FILE", "output of train or encode with --json --profile, for the roofline"},
    {NULL, 0, NULL, NULL},
};

/* ---- reading --------------------------------------------------------------------------------- */

typedef struct Curve {
    ReportRun *run;
    Arena *arena;
    size_t room, curve_room;
} Curve;

static bool add_point(void *arg, double epoch, double figure, Error *e)
{
    Curve *c = arg;
    ReportRun *run = c->run;
    size_t n = run->points;
    if ((n == c->room && !(run->epoch = arena_grow(c->arena, run->epoch, n, &c->room, sizeof *run->epoch, e))) ||
        (n == c->curve_room &&
         !(run->curve = arena_grow(c->arena, run->curve, n, &c->curve_room, sizeof *run->curve, e))))
        return false;
    run->epoch[n] = epoch;
    run->curve[n] = figure;
    run->points++;
    return true;
}

/* Reads the epochs and the curve of the metric on validation data. A run without a validation part has no such column.
 */
static bool read_history(Report *r, ReportRun *run, Error *e)
{
    Arena *a = r->c->arena;
    const char *path = path_join(a, run->folder, "history.tsv", e), *column = arena_printf(a, e, "valid %s", r->metric);
    Curve c = {run, a, 0, 0};
    Text history;
    if (!path || !column || !file_exists(path))
        return e->code == SP_OK;
    return file_read(&history, a, path, 0, e) && history_read(history, path, column, add_point, &c, e);
}

static bool read_run(Report *r, ReportRun *run, const char *folder, Error *e)
{
    *run = (ReportRun){.folder = folder, .features = "-"};
    RunResult result;
    if (!run_config_read(&run->config, folder, r->c->arena, e) ||
        !run_result_read(&result, &run->config, folder, r->c->arena, e))
        return false;
    const DataConfig *d = &run->config.train.data;
    run->result = result.object;
    run->name = run->config.kind->name;
    if (!d->train || !d->test)
        return fail(e, SP_FORMAT, "%s: has no train or no test file; a report needs both", run->config.path);
    for (size_t i = 0; i < d->feature_count; i++) {
        int n = (int)(strchr(d->features[i], '=') - d->features[i]);
        const char *name = arena_strndup(r->c->arena, d->features[i], (size_t)n, e);
        const char *mode = name && knocks(&d->knock, name) ? knock_modes[d->knock.mode] : NULL;
        if (!name ||
            !(run->features = arena_printf(r->c->arena, e, "%s%s%s%s%s%s", i ? run->features : "", i ? ", " : "", name,
                                           mode ? " (" : "", mode ? mode : "", mode ? ")" : "")))
            return false;
    }
    return read_history(r, run, e);
}

/* Checks that all runs have the same data, and reads the data of the run with the most modalities. */
static bool read_data(Report *r, Error *e)
{
    const ReportRun *with = &r->run[0];
    Arena *a = r->c->arena;
    for (size_t i = 0; i < r->runs; i++) {
        const ReportRun *run = &r->run[i];
        const DataConfig *other = &run->config.train.data, *most = &with->config.train.data;
        if (strcmp(other->train, most->train) || strcmp(other->test, most->test))
            return fail(e, SP_USAGE, "%s and %s use different data; write one report for each", with->folder,
                        run->folder);
        if (other->protocol != most->protocol)
            return fail(e, SP_USAGE, "%s uses protocol %s, but %s uses %s; write one report for each", with->folder,
                        protocol_names[most->protocol], run->folder, protocol_names[other->protocol]);
        if (other->gaps != most->gaps)
            return fail(e, SP_USAGE, "%s uses --missing-features %s, but %s uses %s; write one report for each",
                        with->folder, gap_names[most->gaps], run->folder, gap_names[other->gaps]);
        if (other->feature_count > most->feature_count)
            with = run;
    }
    DataConfig config = with->config.train.data;
    config.knock.count = 0; /* show items with their own features, without knock-outs */
    if (!dataset_load(&r->data, &config, a, e))
        return false;
    const DataSet *s = &r->data;
    r->test_users = NEW(a, int32_t, s->U, e);
    r->test_user_name = NEW(a, Text, s->U, e);
    r->count = NEW(a, int64_t, s->I, e);
    r->title = NEW(a, Text, s->I, e);
    r->has_thumbnail = NEW(a, bool, s->I, e);
    if (e->code != SP_OK)
        return false;
    for (int64_t u = 0; u < s->U; u++)
        if (s->test.start && s->test.start[u + 1] > s->test.start[u]) {
            r->test_users[r->test_user_count] = (int32_t)u;
            r->test_user_name[r->test_user_count++] = text_index_at(s->users, u);
        }
    for (int64_t i = 0; i < s->train.count; i++)
        r->count[s->train.item[i]]++;
    return r->test_user_count > 0 || fail(e, SP_FORMAT, "%s: no user has a test item", with->folder);
}

static bool read_titles(Report *r, Error *e)
{
    Input *rows;
    size_t n;
    if (!r->config->items)
        return true;
    if (!table_read(&rows, &n, r->config->items, "item", r->config->text_column, r->c->arena, e))
        return false;
    for (size_t i = 0; i < n; i++) {
        int64_t item = text_index_find(r->data.items, text_of(rows[i].name));
        if (item >= 0 && item < r->data.I)
            r->title[item] = rows[i].text;
    }
    return true;
}

typedef struct Listing {
    const Report *r;
    int32_t *next;
} Listing;

static bool keep_list(void *arg, Text user, int64_t k, const Text *items, const float *scores, Error *e)
{
    Listing *l = arg;
    (void)user, (void)scores, (void)e;
    for (int64_t i = 0; i < K; i++) {
        int64_t item = i < k ? text_index_find(l->r->data.items, items[i]) : -1;
        l->next[i] = item < l->r->data.I ? (int32_t)item : -1;
    }
    l->next += K;
    return true;
}

static bool read_lists(Report *r, ReportRun *run, const Device *d, Error *e)
{
    Trained *t = trained_open(d, run->folder, false, e);
    Listing l = {r, run->top = NEW(r->c->arena, int32_t, r->test_user_count * K, e)};
    bool ok = t && l.next && trained_recommend(t, r->test_user_name, (size_t)r->test_user_count, K, keep_list, &l, e);
    trained_close(t);
    return ok;
}

/* the whole page */

static bool write_sections(Report *r, Error *e)
{
    Page *p = &r->page;
    put(p, "<h1>");
    put_text(p, text_of(r->config->title));
    put(p, "</h1>\n");
    if (r->config->about) {
        put(p, "<p>");
        put_text(p, text_of(r->config->about));
        put(p, "</p>\n");
    }
    put_figures(r);
    put_users(r);
    put_neighbours(r);
    if (!put_popularity(r, e))
        return false;
    put_curves(r);
    if (!put_stages(r, e) || !put_roofline(r, e))
        return false;
    put(p, "<p><small>Written by sapor " SAPOR_VERSION ".</small></p>\n");
    return true;
}

bool report_write(Context *c, const ReportConfig *config, Error *e)
{
    Report r = {.c = c, .config = config, .runs = config->run_count};
    const Device *d = context_device(c, e);
    if (config->run_count > MANY_RUNS)
        return fail(e, SP_USAGE, "report: %zu runs are too many; at most %d are supported", config->run_count,
                    MANY_RUNS);
    if (!d || !(r.run = NEW(c->arena, ReportRun, r.runs, e)) || !(r.metric = arena_printf(c->arena, e, "Recall@%d", K)))
        return false;
    for (size_t i = 0; i < r.runs; i++)
        if (!read_run(&r, &r.run[i], config->runs[i], e))
            return false;
    bool ok = read_data(&r, e) && read_titles(&r, e);
    for (size_t i = 0; ok && i < r.runs; i++)
        ok = read_lists(&r, &r.run[i], d, e);
    ok = ok && page_open(&r.page, config->out, config->title, "", c->heap, e);
    if (ok && (!write_sections(&r, e) || e->code != SP_OK)) {
        out_discard(r.page.out);
        ok = false;
    } else if (ok) {
        ok = page_close(&r.page);
    }
    dataset_close(&r.data);
    return ok;
}

static bool write_runs(Context *c, ReportConfig *r, Error *e)
{
    r->title = r->title ? r->title : "Recommenders and their metrics";
    r->text_column = r->text_column ? r->text_column : "title";
    if (r->pictures && !folder_exists(r->pictures))
        return fail(e, SP_IO, "%s: no such folder of images", r->pictures);
    if (option_given(c, "tables"))
        return fail(e, SP_USAGE, "report: --tables is for a folder of `sapor run`");
    return report_write(c, r, e);
}

#ifdef SAPOR_MINIMAL
bool report_study(Context *c, const ReportConfig *r, Error *e)
{
    (void)r;
    return fail(e, SP_UNSUPPORTED, "%s: this build has no report of `sapor run` (MINIMAL=1)", c->args[0]);
}
#endif

/* Reports whether an argument is a folder of `sapor run`. */
static bool has_study(const Context *c, Error *e)
{
    for (size_t i = 0; i < c->arg_count; i++) {
        const char *path = path_join(c->arena, c->args[i], STUDY_LEDGER, e);
        if (path && file_exists(path))
            return true;
    }
    return false;
}

bool report_command(Context *c, Error *e)
{
    ReportConfig r = {.title = option_text(c, "title"),
                      .runs = c->args,
                      .run_count = c->arg_count,
                      .out = option_text(c, "out"),
                      .items = option_text(c, "items"),
                      .text_column = option_text(c, "text-column"),
                      .pictures = option_text(c, "pictures"),
                      .stages = option_text(c, "stages"),
                      .ops = option_text(c, "ops")};
    r.out = r.out ? r.out : "report.html";
    if (has_study(c, e) ? !report_study(c, &r, e) : e->code != SP_OK || !write_runs(c, &r, e))
        return false;
    if (c->json) {
        JsonWriter w = json_record(stdout, "event", "result");
        json_put_string(&w, "page", r.out);
        if (option_given(c, "tables"))
            json_put_string(&w, "tables", option_text(c, "tables"));
        json_finish(&w);
    } else if (!c->quiet) {
        fprintf(stderr, "%s\n", r.out);
    }
    return true;
}
