/* report.c: sapor report RUN... -o FILE.html: figures, what users liked and what models recommend, neighbours, rare and popular items, learning
 * curves, time and memory, roofline. */
#include "tools/report.h"

#include <math.h>
#include <stdlib.h>

#include "tools/features.h"
#include "tools/extract.h"
#include "tools/page.h"
#include "tools/peak.h"

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

enum { K = 20, SHOWN = 6, USERS = 4, NEIGHBOURS = 4, QUARTERS = 4, OPS = 12, MANY_RUNS = 64 };

typedef struct Contender {
    const char *folder, *name, *features; /* features: "visual, textual", or "-" */
    const Json *config, *result;
    int32_t *top;          /* [judged, K] item numbers, -1: none */
    double *epoch, *curve; /* [points] validation figure after an epoch */
    size_t points;
} Contender;

typedef struct Report {
    Context *c;
    const ReportConfig *config;
    Page page;
    Contender *run;
    size_t runs;
    DataSet data;
    int32_t *judged; /* users with a test item */
    Text *judged_name;
    int64_t judged_count;
    int64_t *count;     /* [I] training interactions of an item */
    Text *title;        /* [I] n 0: unknown */
    bool *pictured;     /* [I] its picture is in the page */
    const char *metric; /* of the curves: "Recall@20" */
} Report;

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

/* ---- pictures ------------------------------------------------------------------------------------------------------------- */

static void want_picture(Report *r, int64_t item)
{
    static const char *const ENDS[] = {"jpg", "png", "webp", "jpeg"};
    if (item < 0 || item >= r->data.I || r->pictured[item] || !r->config->pictures)
        return;
    for (size_t i = 0; i < COUNT(ENDS) && !r->pictured[item]; i++) {
        Error ignored = {0};
        Text id = text_index_at(r->data.items, item);
        const char *path = arena_printf(r->c->arena, &ignored, "%s/%.*s.%s", r->config->pictures, (int)id.n, id.p, ENDS[i]);
        if (path && file_exists(path))
            r->pictured[item] = put_thumbnail(&r->page, path, item);
    }
}

/* Its title, or its id; of a long one the beginning. */
static Text title_of(const Report *r, int64_t item)
{
    enum { MOST = 80 };
    Text title = r->title[item].n ? r->title[item] : text_index_at(r->data.items, item);
    if (title.n > MOST) /* not inside a character */
        for (title.n = MOST; title.n && ((unsigned char)title.p[title.n] & 0xc0) == 0x80;)
            title.n--;
    return title;
}

static void put_item(Report *r, int64_t item, bool hit)
{
    Page *p = &r->page;
    Text title = title_of(r, item);
    put(p, "<span class=\"pic%s", hit ? " hit" : "");
    if (r->pictured[item])
        put(p, " p%lld\" role=\"img\" aria-label=\"", (long long)item);
    else
        put(p, "\" aria-label=\"");
    put_text(p, title);
    put(p, "\" title=\"");
    put_text(p, title);
    put(p, "\">");
    if (!r->pictured[item])
        put_text(p, title);
    put(p, "</span>");
}

static bool in_test(const Report *r, int32_t user, int32_t item)
{
    const Pairs *t = &r->data.test;
    for (int64_t i = t->start[user]; i < t->start[user + 1]; i++)
        if (t->item[i] == item)
            return true;
    return false;
}

/* ---- sections ------------------------------------------------------------------------------------------------------------- */

static double figure(const Contender *run, Text metric)
{
    const Json *test = json_get(run->result, "test");
    for (const Json *j = test ? test->first : NULL; j; j = j->next)
        if (j->type == JSON_NUMBER && j->key.n == metric.n && !memcmp(j->key.p, metric.p, metric.n))
            return j->number;
    return NAN;
}

static void put_figures(Report *r)
{
    Page *p = &r->page;
    const Json *metrics = json_get(r->run[0].result, "test");
    double best = -1;
    for (size_t i = 0; i < r->runs; i++)
        best = fmax(best, figure(&r->run[i], text_of(r->metric)));
    put(p,
        "<h2>Figures</h2>\n<p class=\"soft\">%lld interactions of %lld users with %lld items to learn from; judged on "
        "%lld held out. Means over users.</p>\n"
        "<div class=\"wide\"><table><tr><th>model</th><th class=\"l\">features</th>",
        (long long)r->data.train.count, (long long)r->data.U, (long long)r->data.I, (long long)r->data.test.count);
    for (const Json *m = metrics ? metrics->first : NULL; m; m = m->next) {
        put(p, "<th>");
        put_text(p, m->key);
        put(p, "</th>");
    }
    put(p, "<th>best epoch</th></tr>\n");
    for (size_t i = 0; i < r->runs; i++) {
        const Contender *run = &r->run[i];
        const Json *epoch = json_get(run->result, "best_epoch");
        put(p, "<tr%s><td>", figure(run, text_of(r->metric)) >= best ? " class=\"best\"" : "");
        put_text(p, text_of(run->name));
        put(p, "</td><td class=\"l\">");
        put_text(p, text_of(run->features));
        put(p, "</td>");
        for (const Json *m = metrics ? metrics->first : NULL; m; m = m->next)
            put(p, "<td>%.4f</td>", figure(run, m->key));
        if (epoch && (run->points > 1 || epoch->number > 1))
            put(p, "<td>%.0f</td></tr>\n", epoch->number);
        else
            put(p, "<td>-</td></tr>\n"); /* learns nothing */
    }
    put(p, "</table></div>\n");
}

static int64_t shown_user(const Report *r, int i)
{
    return r->judged_count * (2 * i + 1) / (2 * USERS);
}

/* A few users, evenly spaced: nobody chose them. */
static void put_users(Report *r)
{
    Page *p = &r->page;
    const Pairs *train = &r->data.train;
    put(p, "<style>\n");
    for (int i = 0; i < USERS; i++) {
        int64_t at = shown_user(r, i), user = r->judged[at];
        for (int64_t k = train->start[user]; k < MIN(train->start[user + 1], train->start[user] + SHOWN); k++)
            want_picture(r, train->item[k]);
        for (size_t m = 0; m < r->runs; m++)
            for (int k = 0; k < SHOWN; k++)
                want_picture(r, r->run[m].top[at * K + k]);
    }
    put(p, "</style>\n<h2>What users liked, and what is recommended to them</h2>\n<p class=\"soft\">Users evenly spaced in "
           "the list. Framed in green: held out, and "
           "found.</p>\n<div class=\"cards\">\n");
    for (int i = 0; i < USERS && i < r->judged_count; i++) {
        int64_t at = shown_user(r, i);
        int32_t user = r->judged[at];
        put(p, "<div class=\"card\"><h3>user ");
        put_text(p, r->judged_name[at]);
        put(p, "</h3>\n<div class=\"row\"><b>liked</b><div>");
        for (int64_t k = train->start[user]; k < MIN(train->start[user + 1], train->start[user] + SHOWN); k++)
            put_item(r, train->item[k], false);
        put(p, "</div></div>\n");
        for (size_t m = 0; m < r->runs; m++) {
            put(p, "<div class=\"row\"><b>");
            put_text(p, text_of(r->run[m].name));
            put(p, "</b><div>");
            for (int k = 0; k < SHOWN; k++) {
                int32_t item = r->run[m].top[at * K + k];
                if (item >= 0)
                    put_item(r, item, in_test(r, user, item));
            }
            put(p, "</div></div>\n");
        }
        put(p, "</div>\n");
    }
    put(p, "</div>\n");
}

/* The items most alike by cosine; best[0] is the item itself or its like. */
static void nearest(const Report *r, const Feature *f, int64_t item, int64_t best[SHOWN])
{
    double score[SHOWN], own = 0;
    const float *x = f->data + item * f->D;
    for (int64_t d = 0; d < f->D; d++)
        own += (double)x[d] * x[d];
    for (int k = 0; k < SHOWN; k++)
        score[k] = -INFINITY, best[k] = -1;
    for (int64_t i = 0; i < r->data.I; i++) {
        double dot = 0, length = 0;
        const float *y = f->data + i * f->D;
        for (int64_t d = 0; d < f->D; d++) {
            dot += (double)x[d] * y[d];
            length += (double)y[d] * y[d];
        }
        double s = i == item ? -INFINITY : own > 0 && length > 0 ? dot / sqrt(own * length) : 0;
        int at = SHOWN;
        while (at > 0 && s > score[at - 1])
            at--;
        for (int k = SHOWN - 1; k > at; k--)
            score[k] = score[k - 1], best[k] = best[k - 1];
        if (at < SHOWN)
            score[at] = s, best[at] = i;
    }
}

static void put_neighbours(Report *r)
{
    Page *p = &r->page;
    const DataSet *d = &r->data;
    if (!d->feature_count)
        return;
    int64_t(*best)[SHOWN] = arena_alloc(r->c->arena, (size_t)NEIGHBOURS * d->feature_count, sizeof *best, p->e);
    if (!best)
        return;
    put(p, "<style>\n");
    for (int n = 0; n < NEIGHBOURS; n++)
        for (size_t f = 0; f < d->feature_count; f++) {
            int64_t item = d->I * (2 * n + 1) / (2 * NEIGHBOURS), *list = best[(size_t)n * d->feature_count + f];
            nearest(r, &d->features[f], item, list);
            want_picture(r, item);
            for (int k = 0; k < SHOWN; k++)
                want_picture(r, list[k]);
        }
    put(p, "</style>\n<h2>What the features say is alike</h2>\n<p class=\"soft\">Nearest neighbours by cosine, each "
           "modality by itself.</p>\n<div class=\"cards\">\n");
    for (int n = 0; n < NEIGHBOURS; n++) {
        int64_t item = d->I * (2 * n + 1) / (2 * NEIGHBOURS);
        put(p, "<div class=\"card\"><h3>");
        put_text(p, title_of(r, item));
        put(p, "</h3><div class=\"row\"><b>item</b><div>");
        put_item(r, item, false);
        put(p, "</div></div>\n");
        for (size_t f = 0; f < d->feature_count; f++) {
            put(p, "<div class=\"row\"><b>");
            put_text(p, text_of(d->features[f].name));
            put(p, "</b><div>");
            for (int k = 0; k < SHOWN; k++)
                if (best[(size_t)n * d->feature_count + f][k] >= 0)
                    put_item(r, best[(size_t)n * d->feature_count + f][k], false);
            put(p, "</div></div>\n");
        }
        put(p, "</div>\n");
    }
    put(p, "</div>\n");
}

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Of held-out pairs, by how often their item was seen in training, the share that stands in the first K. Four groups of about equal size. */
static bool put_popularity(Report *r, Error *e)
{
    Arena *a = r->c->arena;
    const Pairs *test = &r->data.test;
    int64_t n = 0, *seen = NEW(a, int64_t, test->count, e), edge[QUARTERS];
    double *share = NEW(a, double, r->runs *QUARTERS, e), pairs[QUARTERS] = {0};
    const char **names = NEW(a, const char *, r->runs, e), *group[QUARTERS];
    if (!seen || !share || !names)
        return false;
    for (int64_t i = 0; i < test->count; i++)
        if (test->item[i] < r->data.I)
            seen[n++] = r->count[test->item[i]];
    qsort(seen, (size_t)n, sizeof *seen, by_number);
    for (int q = 0; q < QUARTERS; q++) {
        edge[q] = n ? seen[MAX(n * (q + 1) / QUARTERS - 1, 0)] : 0;
        int64_t low = q ? edge[q - 1] + 1 : n ? seen[0] : 0;
        if (!(group[q] = q + 1 == QUARTERS ? arena_printf(a, e, "%lld and more", (long long)low)
                                           : arena_printf(a, e, "%lld to %lld", (long long)low, (long long)edge[q])))
            return false;
    }
    for (size_t m = 0; m < r->runs; m++) {
        names[m] = r->run[m].name;
        memset(pairs, 0, sizeof pairs);
        for (int64_t u = 0; u < r->judged_count; u++)
            for (int64_t i = test->start[r->judged[u]]; i < test->start[r->judged[u] + 1]; i++) {
                int q = 0;
                if (test->item[i] >= r->data.I)
                    continue;
                while (q + 1 < QUARTERS && r->count[test->item[i]] > edge[q])
                    q++;
                pairs[q]++;
                for (int k = 0; k < K; k++)
                    share[m * QUARTERS + (size_t)q] += r->run[m].top[u * K + k] == test->item[i];
            }
        for (size_t q = 0; q < QUARTERS; q++)
            share[m * QUARTERS + q] /= pairs[q] > 0 ? pairs[q] : 1;
    }
    put(&r->page,
        "<h2>Seldom and often chosen</h2>\n<p class=\"soft\">The share of held-out items found among the first %d, by how "
        "many training interactions the item "
        "has.</p>\n",
        K);
    put_bars(&r->page,
             &(Chart){"Share of held-out items found, by training interactions", "training interactions of the item",
                      "found", false, false},
             names, r->runs, group, QUARTERS, share);
    return true;
}

static void put_curves(Report *r)
{
    Series s[MANY_RUNS];
    size_t n = 0;
    for (size_t i = 0; i < r->runs; i++) {
        const Contender *run = &r->run[i];
        if (run->points > 1) {
            s[n] = (Series){.name = run->name, .n = run->points, .x = run->epoch, .y = run->curve, .colour = (int)i};
            n++;
        }
    }
    if (!n)
        return;
    put(&r->page, "<h2>Learning curves</h2>\n<p class=\"soft\">%s on the validation part.</p>\n", r->metric);
    put_chart(&r->page, &(Chart){"Validation figure after each epoch", "epoch", r->metric, false, false}, s, n);
    put_legend(&r->page, s, n);
}

static bool put_stages(Report *r, Error *e)
{
    Text rest, line, cell;
    if (!r->config->stages)
        return true;
    if (!file_read(&rest, r->c->arena, r->config->stages, 1 << 20, e))
        return false;
    put(&r->page, "<h2>Time and memory</h2>\n<p class=\"soft\">Wall-clock seconds; MB are the largest that the process had "
                  "held by then.</p>\n<div class=\"wide\"><table>\n");
    for (bool head = true; text_line(&rest, &line); head = false) {
        put(&r->page, "<tr>");
        while (text_next(&line, '\t', &cell)) {
            put(&r->page, head ? "<th>" : "<td>");
            put_text(&r->page, cell);
            put(&r->page, head ? "</th>" : "</td>");
        }
        put(&r->page, "</tr>\n");
    }
    put(&r->page, "</table></div>\n");
    return true;
}

static int by_seconds(const void *a, const void *b)
{
    const TraceTotal *x = a, *y = b;
    return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

/* The profile lines of a log, one total an op; lines that are no such objects are passed over. */
static bool read_ops(Report *r, TraceTotal **out, size_t *count, Error *e)
{
    static const char *const KEYS[] = {"calls", "seconds", "flops", "bytes"};
    Arena *a = r->c->arena;
    Text rest, line;
    TextIndex *ops = text_index_new(a, e);
    TraceTotal *list = NULL;
    size_t room = 0;
    if (!ops || !file_read(&rest, a, r->config->ops, 0, e))
        return false;
    while (text_line(&rest, &line)) {
        Error ignored = {0};
        const Json *j = text_starts(line, "{\"event\":\"profile\"") ? json_parse(a, line, r->config->ops, &ignored) : NULL;
        const Json *op = json_get(j, "op");
        double v[COUNT(KEYS)] = {0};
        if (!op || op->type != JSON_STRING)
            continue;
        for (size_t k = 0; k < COUNT(KEYS); k++) {
            const Json *x = json_get(j, KEYS[k]);
            v[k] = x && x->type == JSON_NUMBER ? x->number : 0;
        }
        int64_t known = text_index_count(ops), at = text_index_add(ops, op->text, e);
        if (at < 0 ||
            (at == known && (size_t)at == room && !(list = arena_grow(a, list, (size_t)at, &room, sizeof *list, e))))
            return false;
        if (at == known)
            list[at] = (TraceTotal){.op = text_index_at(ops, at).p};
        list[at].calls += (uint64_t)v[0];
        list[at].seconds += v[1];
        list[at].flops += v[2];
        list[at].bytes += v[3];
    }
    *count = (size_t)text_index_count(ops);
    *out = list;
    return true;
}

/* Each op that computes at its operations a byte and its speed, under what this machine can do. */
static bool put_roofline(Report *r, Error *e)
{
    enum { BYTES = 1 << 28 };
    TraceTotal *op = NULL;
    size_t n = 0, shown = 0;
    const char *labels[OPS];
    double x[OPS], y[OPS];
    const Device *d = context_device(r->c, e);
    if ((!r->config->ops && !r->config->trace) || !d)
        return e->code == SP_OK;
    if (r->config->ops && !read_ops(r, &op, &n, e))
        return false;
    if (!r->config->ops) {
        const TraceTotal *list;
        n = trace_totals(r->config->trace, &list);
        if (!(op = NEW(r->c->arena, TraceTotal, n, e)))
            return false;
        if (n)
            memcpy(op, list, n * sizeof *op);
    }
    if (op)
        qsort(op, n, sizeof *op, by_seconds);
    for (size_t i = 0; op && i < n && shown < OPS; i++)
        if (op[i].flops > 0 && op[i].bytes > 0 && op[i].seconds > 0) {
            labels[shown] = op[i].op;
            x[shown] = op[i].flops / op[i].bytes;
            y[shown++] = 1e-9 * op[i].flops / op[i].seconds;
        }
    float *memory = heap_alloc(r->c->heap, BYTES);
    if (!memory)
        return fail_memory(e, BYTES, "measuring the machine");
    memset(memory, 0, BYTES);
    double peak = peak_gflops(d->k->level, "f32", d->pool, 0.1),
           speed = peak_read_gbs(d->k->level, memory, BYTES, d->pool, 0.2);
    heap_free(r->c->heap, memory, BYTES);
    if (!shown || peak <= 0 || speed <= 0)
        return true;
    double low = peak / speed, high = low;
    for (size_t i = 0; i < shown; i++) {
        low = fmin(low, x[i]);
        high = fmax(high, x[i]);
    }
    double roof_x[] = {low / 2, peak / speed, high * 2}, roof_y[] = {low / 2 * speed, peak, peak};
    Series s[] = {{.name = "what this machine can do", .n = 3, .x = roof_x, .y = roof_y, .colour = 7},
                  {.name = "ops", .n = shown, .x = x, .y = y, .labels = labels}};
    put(&r->page,
        "<h2>Roofline</h2>\n<p class=\"soft\">The %zu ops that took longest: %s kernels, %d threads. The line: %.0f GFLOP/s "
        "in registers, %.1f GB/s from memory. "
        "Above it: data that stayed in caches.</p>\n",
        shown, d->k->level, pool_threads(d->pool), peak, speed);
    put_chart(&r->page, &(Chart){"Speed of the ops against operations a byte", "operations a byte", "GFLOP/s", true, true},
              s, COUNT(s));
    return true;
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
    if (!c->quiet)
        fprintf(stderr, "%s\n", r.out);
    return true;
}
