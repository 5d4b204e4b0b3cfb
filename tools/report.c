/* report.c: sapor report RUN... -o FILE.html: finished runs and their data read, the page put together. */
#include "tools/report_parts.h"

#include "tools/extract.h"

const Option report_options[] = {
    {"out", 'o', "FILE", "the page (default report.html)"},
    {"title", 0, "TEXT", "its heading"},
    {"items", 0, "FILE", "table with a column `item` and one of titles"},
    {"text-column", 0, "NAME", "the column of titles (default title)"},
    {"pictures", 0, "DIR", "folder of <item>.jpg, .png or .webp"},
    {"stages", 0, "FILE", "table with the columns stage, seconds, MB"},
    {"ops", 0, "FILE", "what train or encode printed with --json --profile, for the roofline"},
    {NULL, 0, NULL, NULL},
};

/* ---- reading ------------------------------------------------------------------------------------------------------------- */

static const Json *read_json_in(Report *r, const char *folder, const char *name, Error *e)
{
    Arena *a = r->c->arena;
    const char *path = path_join(a, folder, name, e);
    Text text;
    return path && file_read(&text, a, path, 16 << 20, e) ? json_parse(a, text, path, e) : NULL;
}

/* Epoch and the column of the curve's metric on validation data; runs that learn nothing have no such table. */
static bool read_history(Report *r, Contender *run, Error *e)
{
    Arena *a = r->c->arena;
    const char *path = path_join(a, run->folder, "history.tsv", e);
    Text rest, line, cell;
    size_t column = 0, at = 0, room = 0, room2 = 0;
    if (!path || !file_exists(path))
        return path != NULL;
    if (!file_read(&rest, a, path, 0, e) || !text_line(&rest, &line))
        return e->code == SP_OK;
    for (; text_next(&line, '\t', &cell); at++)
        if (!column && text_starts(cell, "valid ") && text_is((Text){cell.p + 6, cell.n - 6}, r->metric))
            column = at;
    while (column && text_line(&rest, &line)) {
        double epoch = 0, value = 0;
        bool has = false;
        for (at = 0; text_next(&line, '\t', &cell); at++)
            has = (at == 0 ? text_f64(cell, &epoch) : has) && (at != column || text_f64(cell, &value));
        if (!has)
            continue;
        size_t n = run->points;
        if ((n == room && !(run->epoch = arena_grow(a, run->epoch, n, &room, sizeof *run->epoch, e))) ||
            (n == room2 && !(run->curve = arena_grow(a, run->curve, n, &room2, sizeof *run->curve, e))))
            return false;
        run->epoch[n] = epoch;
        run->curve[n] = value;
        run->points++;
    }
    return true;
}

static const char *text_in(const Json *j, const char *key)
{
    return json_cstring(json_get(j, key));
}

static bool read_run(Report *r, Contender *run, const char *folder, Error *e)
{
    *run = (Contender){.folder = folder, .features = "-"};
    if (!(run->config = read_json_in(r, folder, "config.json", e)) ||
        !(run->result = read_json_in(r, folder, "result.json", e)))
        return fail(e, SP_IO, "%s: is not the folder of a finished run", folder);
    run->name = text_in(run->config, "model");
    if (!run->name || !text_in(run->config, "train") || !text_in(run->config, "test"))
        return fail(e, SP_FORMAT, "%s/config.json: names no model, train or test; a report needs a run with a test part",
                    folder);
    const Json *features = json_get(run->config, "features");
    for (const Json *f = features ? features->first : NULL; f; f = f->next) {
        const char *equals = memchr(f->text.p, '=', f->text.n);
        int n = equals ? (int)(equals - f->text.p) : 0;
        run->features = f == features->first ? arena_printf(r->c->arena, e, "%.*s", n, f->text.p)
                                             : arena_printf(r->c->arena, e, "%s, %.*s", run->features, n, f->text.p);
        if (!run->features)
            return false;
    }
    return read_history(r, run, e);
}

/* The data of the run with the most modalities stands for all. */
static bool read_data(Report *r, Error *e)
{
    static const char *const FORMATS[] = {"auto", "tsv", "inter", "recbole", "lightgcn"};
    const Contender *with = &r->run[0];
    Arena *a = r->c->arena;
    for (size_t i = 0; i < r->runs; i++) {
        const Contender *run = &r->run[i];
        if (strcmp(text_in(run->config, "train"), text_in(with->config, "train")) ||
            strcmp(text_in(run->config, "test"), text_in(with->config, "test")))
            return fail(e, SP_USAGE, "%s and %s are of different data; make a report of each", with->folder, run->folder);
        const Json *own = json_get(run->config, "features"), *most = json_get(with->config, "features");
        if (own && own->count > (most ? most->count : 0))
            with = run;
    }
    const Json *features = json_get(with->config, "features");
    const char *protocol = text_in(with->config, "protocol"), *format = text_in(with->config, "format");
    DataConfig d = {.train = text_in(with->config, "train"),
                    .valid = text_in(with->config, "valid"),
                    .test = text_in(with->config, "test"),
                    .protocol = protocol && !strcmp(protocol, "mmrec") ? PROTOCOL_MMREC : PROTOCOL_ELLIOT};
    const char **paths = NEW(a, const char *, features ? features->count : 0, e);
    for (size_t i = 0; format && i < COUNT(FORMATS); i++)
        if (!strcmp(format, FORMATS[i]))
            d.format = format_find(FORMATS[i]);
    for (const Json *f = features && paths ? features->first : NULL; f; f = f->next)
        if ((paths[d.feature_count] = json_cstring(f)))
            d.feature_count++;
    d.features = paths;
    if (!paths || !dataset_load(&r->data, &d, a, e))
        return false;
    const DataSet *s = &r->data;
    r->judged = NEW(a, int32_t, s->U, e);
    r->judged_name = NEW(a, Text, s->U, e);
    r->count = NEW(a, int64_t, s->I, e);
    r->title = NEW(a, Text, s->I, e);
    r->pictured = NEW(a, bool, s->I, e);
    if (e->code != SP_OK)
        return false;
    for (int64_t u = 0; u < s->U; u++)
        if (s->test.start && s->test.start[u + 1] > s->test.start[u]) {
            r->judged[r->judged_count] = (int32_t)u;
            r->judged_name[r->judged_count++] = text_index_at(s->users, u);
        }
    for (int64_t i = 0; i < s->train.count; i++)
        r->count[s->train.item[i]]++;
    return r->judged_count > 0 || fail(e, SP_FORMAT, "%s: no user has a test item", with->folder);
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

static bool take_list(void *arg, Text user, int64_t k, const Text *items, const float *scores, Error *e)
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

static bool read_lists(Report *r, Contender *run, const Device *d, Error *e)
{
    Trained *t = trained_open(d, run->folder, e);
    Listing l = {r, run->top = NEW(r->c->arena, int32_t, r->judged_count * K, e)};
    bool ok = t && l.next && trained_recommend(t, r->judged_name, (size_t)r->judged_count, K, take_list, &l, e);
    trained_close(t);
    return ok;
}

/* ---- all together --------------------------------------------------------------------------------------------------------- */

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
        return fail(e, SP_USAGE, "report: %zu runs are more than a page holds (%d)", config->run_count, MANY_RUNS);
    if (!d || !(r.run = NEW(c->arena, Contender, r.runs, e)) || !(r.metric = arena_printf(c->arena, e, "Recall@%d", K)))
        return false;
    for (size_t i = 0; i < r.runs; i++)
        if (!read_run(&r, &r.run[i], config->runs[i], e))
            return false;
    bool ok = read_data(&r, e) && read_titles(&r, e);
    for (size_t i = 0; ok && i < r.runs; i++)
        ok = read_lists(&r, &r.run[i], d, e);
    ok = ok && page_open(&r.page, config->out, config->title, c->heap, e);
    if (ok && (!write_sections(&r, e) || e->code != SP_OK)) {
        out_discard(r.page.out);
        ok = false;
    } else if (ok) {
        ok = page_close(&r.page);
    }
    dataset_close(&r.data);
    return ok;
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
    r.title = r.title ? r.title : "What was recommended, and how well";
    r.out = r.out ? r.out : "report.html";
    r.text_column = r.text_column ? r.text_column : "title";
    if (r.pictures && !folder_exists(r.pictures))
        return fail(e, SP_IO, "%s: there is no such folder of pictures", r.pictures);
    if (!report_write(c, &r, e))
        return false;
    if (c->json) {
        printf("{\"event\":\"result\",\"page\":");
        json_print_string(stdout, text_of(r.out));
        printf("}\n");
    } else if (!c->quiet) {
        fprintf(stderr, "%s\n", r.out);
    }
    return true;
}
