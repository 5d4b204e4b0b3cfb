/* tools/report/report_figures.c: figures, rare and popular items, learning curves, time and memory, roofline. */
// flags: -Os
#include "tools/report/report_parts.h"

#include <math.h>
#include <stdlib.h>

#include "tools/bench/peak.h"

/* QUARTERS: groups of items by popularity; OPS: most dots of the roofline. */
enum { QUARTERS = 4, OPS = 12 };

static double figure(const ReportRun *run, Text metric)
{
    const Json *test = json_get(run->result, "test");
    for (const Json *j = test ? test->first : NULL; j; j = j->next)
        if (j->type == JSON_NUMBER && j->key.n == metric.n && !memcmp(j->key.p, metric.p, metric.n))
            return j->number;
    return NAN;
}

void put_figures(Report *r)
{
    Page *p = &r->page;
    const Json *metrics = json_get(r->run[0].result, "test");
    double best = -1;
    for (size_t i = 0; i < r->runs; i++)
        best = fmax(best, figure(&r->run[i], text_of(r->metric)));
    put(p,
        "<h2>Metrics</h2>\n<p class=\"soft\">Trained on %lld interactions of %lld users with %lld items; evaluated on "
        "%lld held-out interactions. Each value is the mean over the users.</p>\n"
        "<div class=\"wide\"><table><tr><th>model</th><th class=\"l more\">features</th>",
        (long long)r->data.train.count, (long long)r->data.U, (long long)r->data.I, (long long)r->data.test.count);
    for (const Json *m = metrics ? metrics->first : NULL; m; m = m->next) {
        size_t at = 0; /* a narrow screen may break the line before the cutoff */
        while (at < m->key.n && m->key.p[at] != '@')
            at++;
        put(p, "<th>");
        put_text(p, (Text){m->key.p, at});
        put(p, "<wbr>");
        put_text(p, (Text){m->key.p + at, m->key.n - at});
        put(p, "</th>");
    }
    put(p, "<th>best epoch</th></tr>\n");
    for (size_t i = 0; i < r->runs; i++) {
        const ReportRun *run = &r->run[i];
        const Json *epoch = json_get(run->result, "best_epoch");
        put(p, "<tr%s><td", figure(run, text_of(r->metric)) >= best ? " class=\"best\"" : "");
        if (strcmp(run->features, "-") != 0) { /* on a narrow screen the features are below the name */
            put(p, " data-more=\"");
            put_text(p, text_of(run->features));
            put(p, "\"");
        }
        put(p, ">");
        put_text(p, text_of(run->name));
        put(p, "</td><td class=\"l more\">");
        put_text(p, text_of(run->features));
        put(p, "</td>");
        for (const Json *m = metrics ? metrics->first : NULL; m; m = m->next)
            put(p, "<td>%.4f</td>", figure(run, m->key));
        if (epoch && run->config.kind->represent)
            put(p, "<td>%.0f</td></tr>\n", epoch->number);
        else
            put(p, "<td>-</td></tr>\n"); /* the model is not trained */
    }
    put(p, "</table></div>\n");
}

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Writes, for held-out pairs, the share whose item is among the first K. The pairs are in four groups of about equal
 * size, by the number of training interactions of the item. */
bool put_popularity(Report *r, Error *e)
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
        if (!(group[q] = q + 1 == QUARTERS ? arena_printf(a, e, "%lld+", (long long)low)
                                           : arena_printf(a, e, "%lld to %lld", (long long)low, (long long)edge[q])))
            return false;
    }
    for (size_t m = 0; m < r->runs; m++) {
        names[m] = r->run[m].name;
        memset(pairs, 0, sizeof pairs);
        for (int64_t u = 0; u < r->test_user_count; u++)
            for (int64_t i = test->start[r->test_users[u]]; i < test->start[r->test_users[u] + 1]; i++) {
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
        "<h2>Rare and popular items</h2>\n<p class=\"soft\">Share of the held-out items that are among the "
        "first %d recommendations, by the number of training interactions of the item.</p>\n",
        K);
    put_bars(&r->page,
             &(Chart){.about = "Share of held-out items found, by training interactions",
                      .x_label = "training interactions of the item",
                      .y_label = "share found"},
             names, r->runs, group, QUARTERS, share);
    return true;
}

void put_curves(Report *r)
{
    Series s[MANY_RUNS];
    size_t n = 0;
    for (size_t i = 0; i < r->runs; i++) {
        const ReportRun *run = &r->run[i];
        if (run->points > 1) {
            s[n] = (Series){.name = run->name, .n = run->points, .x = run->epoch, .y = run->curve, .colour = (int)i};
            n++;
        }
    }
    if (!n)
        return;
    put(&r->page, "<h2>Learning curves</h2>\n<p class=\"soft\">%s on the validation part.</p>\n", r->metric);
    put_chart(&r->page,
              &(Chart){.about = "Validation metric after each epoch", .x_label = "epoch", .y_label = r->metric}, s, n);
    put_legend(&r->page, s, n);
}

bool put_stages(Report *r, Error *e)
{
    Text rest, line, cell;
    if (!r->config->stages)
        return true;
    if (!stream_read(&rest, r->c->arena, r->config->stages, 1 << 20, e))
        return false;
    put(&r->page,
        "<h2>Time and memory</h2>\n<p class=\"soft\">Wall-clock seconds. MB is the peak memory of the process so "
        "far.</p>\n<div class=\"wide\"><table>\n");
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

/* Sums the profile lines of a log per op. Other lines are skipped. */
static bool read_ops(Report *r, TraceTotal **out, size_t *count, Error *e)
{
    static const char *const KEYS[] = {"calls", "seconds", "flops", "bytes"};
    Arena *a = r->c->arena;
    Text rest, line;
    TextIndex *ops = text_index_new(a, e);
    TraceTotal *list = NULL;
    size_t room = 0;
    if (!ops || !stream_read(&rest, a, r->config->ops, 0, e))
        return false;
    while (text_line(&rest, &line)) {
        Error ignored = {0};
        const Json *j =
            text_starts(line, "{\"event\":\"profile\"") ? json_parse(a, line, r->config->ops, &ignored) : NULL;
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

/* Draws one dot for each op with arithmetic: x is its operations per byte, y is its speed. Only the OPS ops with the
 * longest total time are drawn. A line shows the limits of this machine. */
bool put_roofline(Report *r, Error *e)
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
    Series s[] = {{.name = "limit of this machine", .n = 3, .x = roof_x, .y = roof_y, .colour = 7},
                  {.name = "ops", .n = shown, .x = x, .y = y, .labels = labels}};
    put(&r->page,
        "<h2>Roofline</h2>\n<p class=\"soft\">The %zu ops with the longest total time: %s kernels, %d threads. The "
        "line is the limit of "
        "this "
        "machine: %.0f GFLOP/s in registers, %.1f GB/s from memory. Ops above the line read their data from "
        "caches.</p>\n",
        shown, d->k->level, pool_threads(d->pool), peak, speed);
    put_chart(&r->page,
              &(Chart){.about = "Speed of the ops by operations per byte",
                       .x_label = "operations per byte",
                       .y_label = "GFLOP/s",
                       .log_x = true,
                       .log_y = true},
              s, COUNT(s));
    return true;
}
