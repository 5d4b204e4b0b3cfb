/* tools/study/costs.c: time and memory of extraction and of training, against accuracy. */
// flags: -Os
#include "tools/study/study.h"

#include <math.h>

static double peak_mb(const GroupPoint *p)
{
    int64_t most = 0;
    for (size_t i = 0; p && i < p->finished; i++)
        most = MAX(most, p->rows[i]->peak_bytes);
    return most > 0 ? 1e-6 * (double)most : NAN;
}

/* Returns the mean over the trials of a point; NaN if no trial has the value. */
static double mean_of(const GroupPoint *p, double (*value)(const TrialRow *))
{
    double sum = 0, n = 0;
    for (size_t i = 0; p && i < p->finished; i++) {
        double x = value(p->rows[i]);
        sum += x > 0 ? x : 0;
        n += x > 0;
    }
    return n > 0 ? sum / n : NAN;
}

static double seconds_of(const TrialRow *r)
{
    return r->seconds;
}

static double epoch_of(const TrialRow *r)
{
    return r->epoch_seconds;
}

static double epochs_of(const TrialRow *r)
{
    return (double)r->epochs;
}

static bool is_setting(const StudyPage *s, const ExtractionRow *x, size_t data, const char *setting)
{
    return !strcmp(x->data, s->v->data[data]) && (!setting || !strcmp(x->setting, setting));
}

/* ---- extraction ------------------------------------------------------------------------------ */

static void put_extraction(StudyPage *s)
{
    static const char *const HEADS[] = {"data",  "modality", "encoder", "items",
                                        "width", "seconds",  "items/s", "peak MB"};
    Sheet t = report_sheet(s, NULL, "extraction");
    for (size_t i = 0; i < COUNT(HEADS); i++) {
        sheet_column(&t, HEADS[i], i < 3 ? 'l' : 'r');
        if (i == 0 && s->has_extractors)
            sheet_column(&t, "extractors", 'l');
    }
    for (size_t i = 0; i < s->v->extraction_count; i++) {
        const ExtractionRow *x = &s->v->extractions[i];
        Cell *c = sheet_row(&t, i && strcmp(x->data, x[-1].data) != 0);
        if (!c)
            return;
        c->text = x->data;
        if (s->has_extractors)
            (++c)->text = *x->setting ? x->setting : "-";
        c[1].text = x->modality;
        c[2].text = x->model;
        c[3].text = report_text(s, "%lld", (long long)x->items);
        c[4].text = report_text(s, "%lld", (long long)x->width);
        c[5] = report_cell(s, 1, x->seconds > 0 ? x->seconds : NAN);
        c[6] = report_cell(s, 1, x->seconds > 0 ? (double)x->items / x->seconds : NAN);
        c[7] = report_cell(s, 0, x->peak_bytes > 0 ? 1e-6 * (double)x->peak_bytes : NAN);
    }
    put(&s->page, "<h3>Extraction</h3>\n<p class=\"soft\">One row for each encoder that ran for this study.</p>\n");
    report_show(s, &t, t.rows);
}

/* ---- charts ---------------------------------------------------------------------------------- */

typedef struct Cloud { /* the dots of one chart */
    Series *series;
    const char **labels;
    double *x, *y;
    size_t n;
} Cloud;

static bool cloud_new(StudyPage *s, Cloud *c, size_t room)
{
    c->n = 0;
    c->series = NEW(s->a, Series, room + 1, s->e);
    c->labels = NEW(s->a, const char *, room + 1, s->e);
    c->x = NEW(s->a, double, room + 1, s->e);
    c->y = NEW(s->a, double, room + 1, s->e);
    return c->series && c->labels && c->x && c->y;
}

static void add_dot(Cloud *c, double x, double y, const char *label, int colour)
{
    if (!isfinite(x) || !isfinite(y) || x <= 0)
        return;
    size_t n = c->n++;
    c->x[n] = x;
    c->y[n] = y;
    c->labels[n] = label;
    c->series[n] =
        (Series){.name = label, .n = 1, .x = c->x + n, .y = c->y + n, .labels = c->labels + n, .colour = colour};
}

static void put_cloud(StudyPage *s, Cloud *c, size_t data, const char *title, const char *x_label, bool *open)
{
    double low = INFINITY, high = 0;
    for (size_t i = 0; i < c->n; i++) {
        low = fmin(low, c->x[i]);
        high = fmax(high, c->x[i]);
    }
    if (!c->n)
        return;
    Chart chart = {.about = report_text(s, "%s on %s: %s by %s", title, s->v->data[data], s->v->metric, x_label),
                   .x_label = x_label,
                   .y_label = s->v->metric,
                   .log_x = high / low >= 10,
                   .small = true};
    report_card(s, open, title);
    put_chart(&s->page, &chart, c->series, c->n);
    put(&s->page, "</div>\n");
}

/* Training: one dot per row. The best dot of each model has its name. */
static void training_dots(StudyPage *s, size_t d, Cloud *time, Cloud *memory)
{
    for (size_t i = s->first[d], end; i < s->first[d + 1]; i = end) {
        size_t best = i;
        double most = NAN;
        end = report_family_end(s, i);
        for (size_t k = i; k < end; k++) {
            double figure = s->rows[k].shown ? report_figure(s, report_best(s->rows[k].group), s->metric) : NAN;
            if (isfinite(figure) && !(figure <= most)) {
                best = k;
                most = figure;
            }
        }
        for (size_t k = i; k < end; k++) {
            const StudyRow *r = &s->rows[k];
            const GroupPoint *p = r->shown ? report_best(r->group) : NULL;
            const char *label = k == best ? s->models[r->model] : "";
            double figure = report_figure(s, p, s->metric);
            add_dot(time, mean_of(p, seconds_of), figure, label, report_colour(r));
            add_dot(memory, peak_mb(p), figure, label, report_colour(r));
        }
    }
}

/* Extraction: one dot per setting, with the best figure of any model in that setting. */
static void extraction_dots(StudyPage *s, size_t d, Cloud *time)
{
    for (size_t t = 0; t < s->v->setting_count; t++) {
        double seconds = 0, most = NAN;
        for (size_t i = 0; i < s->v->extraction_count; i++)
            if (is_setting(s, &s->v->extractions[i], d, s->v->settings[t]))
                seconds += s->v->extractions[i].seconds;
        for (size_t i = s->first[d]; i < s->first[d + 1]; i++)
            if (s->rows[i].shown && s->rows[i].setting == t && !s->rows[i].alike)
                most = fmax(most, report_figure(s, report_best(s->rows[i].group), s->metric));
        add_dot(time, seconds, most, *s->v->settings[t] ? s->v->settings[t] : "-", (int)(t % (CHART_COLOURS - 1)));
    }
}

static void put_charts(StudyPage *s, size_t d)
{
    Cloud extraction, time, memory;
    bool open = false;
    if (!cloud_new(s, &extraction, s->v->setting_count) || !cloud_new(s, &time, s->v->group_count) ||
        !cloud_new(s, &memory, s->v->group_count))
        return;
    training_dots(s, d, &time, &memory);
    extraction_dots(s, d, &extraction);
    put_cloud(s, &time, d, "Training: time", "seconds of a trial", &open);
    put_cloud(s, &memory, d, "Training: memory", "peak MB of a trial", &open);
    put_cloud(s, &extraction, d, "Extraction: time", "seconds of extraction", &open);
    put(&s->page, open ? "</div>\n" : "");
}

/* ---- training -------------------------------------------------------------------------------- */

static void put_training(StudyPage *s, size_t d)
{
    static const char *const HEADS[] = {"epochs", "s/epoch", "s/trial", "s of all points", "peak MB"};
    Sheet t = report_sheet(s, &s->rows[s->first[d]], "time");
    t.class = "groups";
    report_name_columns(s, &t);
    sheet_column(&t, s->v->metric, 'r');
    for (size_t i = 0; i < COUNT(HEADS); i++)
        sheet_column(&t, HEADS[i], 'r');
    for (size_t i = s->first[d]; i < s->first[d + 1]; i++) {
        const StudyRow *r = &s->rows[i];
        const GroupPoint *p = report_best(r->group);
        Cell *c = r->shown && p ? sheet_row(&t, r->begins) : NULL;
        double all = 0;
        if (!c)
            continue;
        for (size_t k = 0; k < r->group->count; k++)
            all += r->group->points[k].seconds;
        c = report_name_cells(s, c, r);
        c[0] =
            report_cell(s, s->metric < s->v->figure_count ? s->decimals[s->metric] : 4, report_figure(s, p, s->metric));
        c[1] = report_cell(s, 0, mean_of(p, epochs_of));
        c[2] = report_cell(s, 2, mean_of(p, epoch_of));
        c[3] = report_cell(s, 1, mean_of(p, seconds_of));
        c[4] = report_cell(s, 1, all > 0 ? all : NAN);
        c[5] = report_cell(s, 0, peak_mb(p));
    }
    if (!t.rows)
        return;
    report_heading(s, d);
    put_charts(s, d);
    report_show(s, &t, t.rows);
}

void report_costs(StudyPage *s)
{
    put(&s->page, "<h2 id=\"costs\">Time and memory</h2>\n<p class=\"soft\">Means over the trials of the best point of "
                  "each model; wall-clock seconds, and the peak memory of the trial's process. Charts name the best "
                  "result of each model.</p>\n");
    if (s->v->extraction_count)
        put_extraction(s);
    report_legend(s);
    for (size_t d = 0; d < s->v->data_count; d++)
        if (s->first[d] < s->first[d + 1])
            put_training(s, d);
}
