/* tools/study/accuracy.c: sections about what was run and its best results, the figures of the best points, and failed
 * trials. */
// flags: -Os
#include "tools/study/study.h"

#include <math.h>

enum { MANY_FAILURES = 200 }; /* most rows of failed trials on the page */

/* ---- what was run ---------------------------------------------------------------------------- */

static void put_fact(StudyPage *s, const char *name, const char *value)
{
    put(&s->page, "<div><dt>%s</dt><dd>", name);
    put_text(&s->page, text_of(value));
    put(&s->page, "</dd></div>\n");
}

static void put_list(StudyPage *s, const char *name, const char *const *list, size_t count)
{
    put(&s->page, "<p><b>%s:</b> ", name);
    for (size_t i = 0; i < count; i++) {
        put(&s->page, i ? ", " : "");
        put_text(&s->page, text_of(*list[i] ? list[i] : "-"));
    }
    put(&s->page, "</p>\n");
}

static void put_facts(StudyPage *s)
{
    const StudyView *v = s->v;
    size_t points = 0, planned = 0, done = 0, failed = 0;
    double seconds = 0;
    for (size_t g = 0; g < v->group_count; g++) {
        size_t finished;
        points += v->groups[g].count;
        planned += report_planned(&v->groups[g], &finished);
        done += finished;
    }
    for (size_t i = 0; i < v->row_count; i++)
        if (report_has(s, &v->rows[i])) {
            failed += v->rows[i].state == TRIAL_FAILED;
            seconds += v->rows[i].seconds > 0 ? v->rows[i].seconds : 0;
        }
    put(&s->page, "<p class=\"soft\">System: ");
    put_text(&s->page, text_of(v->system));
    put(&s->page, ". All trials together took %s.</p>\n<dl class=\"facts\">\n", report_duration(s, seconds));
    put_fact(s, "data sets", report_text(s, "%zu", v->data_count));
    put_fact(s, "settings", report_text(s, "%zu", v->setting_count));
    put_fact(s, "models", report_text(s, "%zu", v->model_count));
    put_fact(s, "points", report_text(s, "%zu", points));
    put_fact(s, "trials done", report_text(s, "%zu", done));
    put_fact(s, "failed", report_text(s, "%zu", failed));
    put_fact(s, "missing", report_text(s, "%zu", planned > done + failed ? planned - done - failed : 0));
    put(&s->page, "</dl>\n");
    put_list(s, "Data sets", v->data, v->data_count);
    if (s->has_extractors)
        put_list(s, "Settings of the extractors", v->settings, v->setting_count);
    put_list(s, "Models", s->models, v->model_count);
}

void report_summary(StudyPage *s)
{
    const StudyView *v = s->v;
    const char *part = s->on_test ? "test" : "validation";
    put_facts(s);
    put(&s->page, "<h2 id=\"best\">Best results</h2>\n<p class=\"soft\">Points are chosen by ");
    put_text(&s->page, text_of(v->metric));
    put(&s->page,
        " on the %s part; the table shows the %s part. A point is one choice of the hyper-parameters; its "
        "figure is the mean over its seeds and folds.</p>\n",
        v->select == SELECT_TEST ? "test" : "validation", part);
    Sheet t = report_sheet(s, NULL, "best");
    sheet_column(&t, "data", 'l');
    report_name_columns(s, &t);
    for (size_t i = 0; i < t.cols; i++)
        t.columns[i].more = false;
    sheet_column(&t, v->metric, 'r');
    sheet_column(&t, "point", 'l');
    for (size_t d = 0; d < v->data_count; d++) {
        const StudyRow *best = NULL;
        double most = NAN;
        for (size_t i = s->first[d]; i < s->first[d + 1]; i++) {
            const GroupPoint *p = s->rows[i].shown ? report_best(s->rows[i].group) : NULL;
            double figure = report_metric(s, p);
            if (p && (!best || figure > most)) {
                best = &s->rows[i];
                most = figure;
            }
        }
        Cell *c = sheet_row(&t, false);
        if (!c)
            return;
        c->text = v->data[d];
        if (best) {
            const GroupPoint *p = report_best(best->group);
            c = report_name_cells(s, c + 1, best);
            *c = report_cell(s, s->metric < v->figure_count ? s->decimals[s->metric] : 4,
                             report_figure(s, p, s->metric));
            c[1].text = *p->point ? p->point : "-";
        } else {
            c[1].text = "-";
            bool absent = s->first[d] < s->first[d + 1] && s->rows[s->first[d]].group->absent;
            c[1].note = sheet_note(&t, absent ? s->rows[s->first[d]].group->absent : "no trial has a result");
        }
    }
    report_show(s, &t, v->data_count);
}

/* tables of figures, as in papers */

/* Returns why a group has no result or fewer results than planned. NULL: the group is complete. */
static const char *reason(StudyPage *s, const Group *g)
{
    const char *message = NULL;
    size_t finished, trials = report_planned(g, &finished), failed = 0;
    if (g->absent || (finished >= trials && report_best(g)))
        return g->absent;
    for (size_t i = 0; i < s->v->row_count; i++) {
        const TrialRow *r = &s->v->rows[i];
        if (r->state != TRIAL_FAILED || strcmp(r->model, g->model) || strcmp(r->data, g->data) ||
            strcmp(r->setting, g->setting) || !report_has(s, r))
            continue;
        failed++;
        message = message ? message : r->message;
    }
    if (failed)
        return report_text(s, "%zu of %zu trials failed: %s", failed, MAX(trials, failed), message);
    return report_text(s, "%zu of %zu trials are finished", finished, trials);
}

static void fill_figures(StudyPage *s, Sheet *t, Cell *c, const StudyRow *r)
{
    const GroupPoint *p = report_best(r->group);
    const char *why = reason(s, r->group);
    size_t note = why ? sheet_note(t, why) : 0;
    for (size_t f = 0; f < s->v->figure_count; f++) {
        double value = report_figure(s, p, f), spread = p && s->on_test && p->deviation ? p->deviation[f] : NAN;
        c[f] = report_cell(s, s->decimals[f], value);
        if (isfinite(spread) && isfinite(value))
            c[f].spread = report_text(s, "%.*f", s->decimals[f], spread);
        if (!isfinite(value))
            c[f].note = note ? note : sheet_note(t, "the trials have no such figure");
    }
    if (p && note) /* a result from only some of the trials */
        c[-1].note = note;
}

static void put_accuracy(StudyPage *s, size_t d)
{
    const StudyView *v = s->v;
    size_t rows = s->first[d + 1] - s->first[d], shown = 0, names;
    Sheet t = report_sheet(s, &s->rows[s->first[d]], "accuracy");
    double *value = NEW(s->a, double, rows * v->figure_count + 1, s->e);
    t.class = "groups";
    report_name_columns(s, &t);
    names = t.cols;
    for (size_t f = 0; f < v->figure_count; f++)
        sheet_column(&t, v->figures[f], 'r');
    for (size_t i = s->first[d]; value && i < s->first[d + 1]; i++) {
        const StudyRow *r = &s->rows[i];
        Cell *c = r->shown ? sheet_row(&t, r->begins) : NULL;
        if (!c)
            continue;
        c = report_name_cells(s, c, r);
        fill_figures(s, &t, c, r);
        for (size_t f = 0; f < v->figure_count; f++) {
            value[f * rows + shown] = report_figure(s, report_best(r->group), f);
            t.columns[names + f].spread |= c[f].spread != NULL;
        }
        shown++;
    }
    for (size_t f = 0; value && f < v->figure_count; f++) {
        bool lower;
        if (report_direction(v->figures[f], &lower))
            sheet_mark(&t, names + f, value + f * rows, lower);
    }
    report_show(s, &t, t.rows);
}

void report_accuracy(StudyPage *s)
{
    put(&s->page,
        "<h2 id=\"accuracy\">Accuracy</h2>\n<p class=\"soft\">Figures of the %s part for the best point of each "
        "model%s. In each column the best figure is bold, the second is underlined. \xC2\xB1 is the standard deviation "
        "over seeds and folds.</p>\n",
        s->on_test ? "test" : "validation", s->has_extractors ? " and setting of the extractors" : "");
    for (size_t d = 0; d < s->v->data_count; d++) {
        report_heading(s, d);
        if (s->first[d] < s->first[d + 1])
            put_accuracy(s, d);
        else
            put(&s->page, "<p>No trials.</p>\n");
    }
}

/* ---- failed trials --------------------------------------------------------------------------- */

typedef struct Failure {
    const TrialRow *first;
    size_t count;
} Failure;

/* Collects the failed trials by data set, model and message, in the order of the rows. */
static Failure *collect(StudyPage *s, size_t *count)
{
    const StudyView *v = s->v;
    TextIndex *known = text_index_new(s->a, s->e);
    Failure *list = NEW(s->a, Failure, v->row_count + 1, s->e);
    *count = 0;
    for (size_t i = 0; known && list && i < v->row_count; i++) {
        const TrialRow *r = &v->rows[i];
        if (r->state != TRIAL_FAILED || !report_has(s, r))
            continue;
        const char *key = report_text(s, "%s\t%s\t%s", r->data, r->model, r->message);
        int64_t at = text_index_add(known, text_of(key), s->e);
        if (at < 0)
            return NULL;
        if (!list[at].count++)
            list[at].first = r;
    }
    *count = known ? (size_t)text_index_count(known) : 0;
    return list;
}

void report_failures(StudyPage *s)
{
    static const char *const HEADS[] = {"data", "model", "trials", "message", "the first of them"};
    size_t count;
    Failure *list = collect(s, &count);
    if (!list || !count)
        return;
    put(&s->page, "<h2 id=\"failed\">Failed trials</h2>\n<p class=\"soft\">Trials of one model that failed "
                  "with the same message are one row.</p>\n");
    Sheet t = report_sheet(s, NULL, "failed");
    t.class = "failed";
    for (size_t i = 0; i < COUNT(HEADS); i++)
        sheet_column(&t, HEADS[i], i == 2 ? 'r' : 'l');
    for (size_t i = 0; i < count; i++) {
        const TrialRow *r = list[i].first;
        Cell *c = sheet_row(&t, false);
        if (!c)
            return;
        const char *place = report_text(s, "%s%s%s%s%s%s%sseed %llu", r->setting, *r->setting ? "; " : "", r->point,
                                        *r->point ? "; " : "", *r->fold ? "fold " : "", r->fold, *r->fold ? "; " : "",
                                        (unsigned long long)r->seed);
        const char *texts[] = {r->data, r->model, report_text(s, "%zu", list[i].count), r->message, place};
        for (size_t k = 0; k < COUNT(texts); k++)
            c[k].text = *texts[k] ? texts[k] : "-";
    }
    report_show(s, &t, MANY_FAILURES);
}
