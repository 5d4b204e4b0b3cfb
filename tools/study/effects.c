/* tools/study/effects.c: the effect of each hyper-parameter. */
// flags: -Os
#include "tools/study/study.h"

#include <math.h>
#include <stdlib.h>

/* MANY_VALUES: most ticks of an axis; MANY_EFFECTS, MANY_ROWS: most charts and most table rows of a data set */
enum { MANY_VALUES = 12, MANY_EFFECTS = 400, MANY_ROWS = 1000 };

/* One value of one key in one group, with all points that have the value. */
typedef struct Value {
    const char *text;
    size_t id;     /* id in the index of texts */
    double number; /* position on the axis */
    size_t points;
    double best, sum;
} Value;
typedef struct Effect { /* one key, in the groups of one model on one data set */
    const char *key;
    TextIndex *texts; /* texts of the values; order: the index of each text in `values` */
    size_t *order;
    /* [count], over all groups: sorted in ascending order, or in the order of the points if the values are not numbers
     */
    Value *values;
    size_t count;
    bool numbers;
} Effect;

/* Reads the next "key=value" of a point. A word without "=" belongs to the previous value. */
static bool next_setting(Text *rest, Text *key, Text *value)
{
    Text word;
    do {
        if (!text_next(rest, ' ', &word))
            return false;
    } while (!word.n || !memchr(word.p, '=', word.n));
    size_t n = (size_t)((const char *)memchr(word.p, '=', word.n) - word.p);
    *key = (Text){word.p, n};
    *value = (Text){word.p + n + 1, word.n - n - 1};
    for (Text ahead = *rest; text_next(&ahead, ' ', &word) && (!word.n || !memchr(word.p, '=', word.n)); *rest = ahead)
        value->n = (size_t)(word.p + word.n - value->p);
    *value = text_trim(*value);
    return true;
}

static bool value_of(const char *point, const char *key, Text *value)
{
    Text rest = text_of(point), k;
    while (next_setting(&rest, &k, value))
        if (text_is(k, key))
            return true;
    return false;
}

static int by_number(const void *a, const void *b)
{
    double x = ((const Value *)a)->number, y = ((const Value *)b)->number;
    return (x > y) - (x < y);
}

/* Collects the values of a key in the shown rows begin .. end - 1. */
static bool collect_values(StudyPage *s, Effect *e, size_t begin, size_t end)
{
    TextIndex *texts = e->texts = text_index_new(s->a, s->e);
    Text value;
    for (size_t i = begin; texts && i < end; i++)
        for (size_t k = 0; s->rows[i].shown && k < s->rows[i].group->count; k++)
            if (value_of(s->rows[i].group->points[k].point, e->key, &value) && text_index_add(texts, value, s->e) < 0)
                return false;
    if (!texts)
        return false;
    e->count = (size_t)text_index_count(texts);
    e->numbers = true;
    e->values = NEW(s->a, Value, e->count + 1, s->e);
    e->order = NEW(s->a, size_t, e->count + 1, s->e);
    if (!e->values || !e->order)
        return false;
    for (size_t i = 0; i < e->count; i++) {
        Value *v = &e->values[i];
        v->text = text_index_at(texts, (int64_t)i).p;
        v->id = i;
        e->numbers = e->numbers && text_f64(text_of(v->text), &v->number) && isfinite(v->number);
    }
    for (size_t i = 0; i < e->count && !e->numbers; i++)
        e->values[i].number = (double)i;
    if (e->numbers)
        qsort(e->values, e->count, sizeof *e->values, by_number);
    for (size_t i = 0; i < e->count; i++)
        e->order[e->values[i].id] = i;
    return true;
}

/* Reports whether the axis is logarithmic: all values are above 0, and the largest is at least 20 times the smallest or
 * the values grow by a constant factor. If a value is 0 and the others are that far apart, the positions on the axis
 * become 0, 1, 2, ..., and the function returns false. */
static bool axis_is_log(Effect *e)
{
    double low = INFINITY, high = 0;
    bool zero = false, negative = false, powers = e->count > 2;
    for (size_t i = 0; i < e->count; i++) {
        double v = e->values[i].number;
        negative |= v < 0;
        zero |= v == 0;
        low = v > 0 ? fmin(low, v) : low;
        high = fmax(high, v);
        if (i + 2 < e->count && !zero)
            powers = powers && fabs(e->values[i + 1].number * e->values[i + 1].number - v * e->values[i + 2].number) <
                                   1e-6 * high * high;
    }
    if (!e->numbers || negative || !(high > 0))
        return false;
    bool wide = high / low >= 20;
    if (!zero)
        return wide || powers;
    for (size_t i = 0; wide && e->count <= MANY_VALUES && i < e->count; i++)
        e->values[i].number = (double)i;
    return false;
}

/* Computes the figures of one group by value: `points`, `best` and `sum` of every Value are written again. x, y [*n]:
 * one dot per point that has a figure. */
static void fill_values(StudyPage *s, Effect *e, const StudyRow *r, double *x, double *y, size_t *n)
{
    Text text;
    *n = 0;
    for (size_t i = 0; i < e->count; i++)
        e->values[i].points = 0;
    for (size_t k = 0; k < r->group->count; k++) {
        const GroupPoint *p = &r->group->points[k];
        double figure = report_metric(s, p);
        if (!isfinite(figure) || !value_of(p->point, e->key, &text))
            continue;
        int64_t at = text_index_find(e->texts, text);
        if (at < 0)
            continue;
        Value *v = &e->values[e->order[at]];
        v->best = v->points ? fmax(v->best, figure) : figure;
        v->sum = v->points ? v->sum + figure : figure;
        v->points++;
        x[*n] = v->number;
        y[(*n)++] = figure;
    }
}

static void add_effect_rows(StudyPage *s, Sheet *t, const Effect *e, const StudyRow *r)
{
    int decimals = s->metric < s->v->figure_count ? s->decimals[s->metric] : 4;
    for (size_t i = 0; i < e->count; i++) {
        const Value *v = &e->values[i];
        Cell *c = v->points ? sheet_row(t, false) : NULL;
        if (!c)
            continue;
        c = report_name_cells(s, c, r);
        c[0].text = e->key;
        c[1].text = v->text;
        c[2].text = report_text(s, "%zu", v->points);
        c[3] = report_cell(s, decimals, v->best);
        c[4] = report_cell(s, decimals, v->sum / (double)v->points);
    }
}

/* Makes the series of a chart. Lines connect the best point of each value; small dots are all points. */
static size_t effect_series(StudyPage *s, Effect *e, size_t begin, size_t end, Series *series, Sheet *t)
{
    size_t n = 0;
    for (size_t i = begin; i < end; i++) {
        const StudyRow *r = &s->rows[i];
        size_t count = r->group->count, dots, line = 0;
        double *x = NEW(s->a, double, count + 1, s->e), *y = NEW(s->a, double, count + 1, s->e),
               *lx = NEW(s->a, double, e->count + 1, s->e), *ly = NEW(s->a, double, e->count + 1, s->e);
        const char **labels = NEW(s->a, const char *, count + 1, s->e);
        if (!r->shown || !x || !y || !lx || !ly || !labels)
            continue;
        fill_values(s, e, r, x, y, &dots);
        add_effect_rows(s, t, e, r);
        for (size_t k = 0; k < dots; k++)
            labels[k] = "";
        for (size_t k = 0; k < e->count && e->count <= MANY_VALUES; k++)
            if (e->values[k].points) {
                lx[line] = e->values[k].number;
                ly[line++] = e->values[k].best;
            }
        Series joined = {.name = r->extractors, .n = line, .x = lx, .y = ly, .colour = report_colour(r)}, all = joined;
        all.n = dots;
        all.x = x;
        all.y = y;
        all.labels = labels;
        if (line > 1)
            series[n++] = joined;
        if (dots)
            series[n++] = all;
    }
    return n;
}

typedef struct EffectGrid {
    Sheet *sheet;
    bool open, titled;
    size_t charts;
} EffectGrid;

static void put_effect(StudyPage *s, const char *key, size_t begin, size_t end, EffectGrid *grid)
{
    Effect e = {.key = key};
    Series *series = NEW(s->a, Series, 2 * (end - begin), s->e);
    if (!series || !collect_values(s, &e, begin, end))
        return;
    double *ticks = NEW(s->a, double, e.count + 1, s->e);
    const char **names = NEW(s->a, const char *, e.count + 1, s->e), *model = s->models[s->rows[begin].model];
    bool is_log = axis_is_log(&e);
    size_t n = effect_series(s, &e, begin, end, series, grid->sheet), d = s->rows[begin].data;
    if (!ticks || !names || e.count < 2 || !n || grid->charts++ >= MANY_EFFECTS)
        return;
    for (size_t i = 0; i < e.count; i++) {
        ticks[i] = e.values[i].number;
        names[i] = e.values[i].text;
    }
    Chart c = {.about = report_text(s, "%s on %s: %s by %s", model, s->v->data[d], s->v->metric, key),
               /* the names of the ticks need the place of the label; the title of the card has the key */
               .x_label = e.count <= MANY_VALUES ? "" : key,
               .y_label = s->v->metric,
               .log_x = is_log,
               .small = true,
               .tick = ticks,
               .tick_name = names,
               .ticks = e.count <= MANY_VALUES ? e.count : 0};
    if (!grid->titled)
        report_heading(s, d);
    grid->titled = true;
    report_card(s, &grid->open, report_text(s, "%s: %s", model, key));
    put_chart(&s->page, &c, series, n);
    put(&s->page, "</div>\n");
}

/* Writes a chart for every key that a point of these rows has. */
static void put_model_effects(StudyPage *s, size_t begin, size_t end, EffectGrid *grid)
{
    TextIndex *keys = text_index_new(s->a, s->e);
    Text key, value;
    for (size_t i = begin; keys && i < end; i++)
        for (size_t k = 0; s->rows[i].shown && k < s->rows[i].group->count; k++)
            for (Text rest = text_of(s->rows[i].group->points[k].point); next_setting(&rest, &key, &value);)
                if (text_index_add(keys, key, s->e) < 0)
                    return;
    for (int64_t k = 0; keys && k < text_index_count(keys); k++)
        put_effect(s, text_index_at(keys, k).p, begin, end, grid);
}

void report_effects(StudyPage *s)
{
    static const char *const HEADS[] = {"hyper-parameter", "value", "points", "best", "mean"};
    put(&s->page, "<h2 id=\"effects\">Hyper-parameters</h2>\n<p class=\"soft\">");
    put_text(&s->page, text_of(s->v->metric));
    put(&s->page,
        " of the %s part by the value of each hyper-parameter. A small dot is a point; a line joins the best points "
        "of the values.</p>\n",
        s->v->select == SELECT_TEST ? "test" : "validation");
    report_legend(s);
    for (size_t d = 0; d < s->v->data_count && s->e->code == SP_OK; d++) {
        if (s->first[d] == s->first[d + 1])
            continue;
        Sheet t = report_sheet(s, &s->rows[s->first[d]], "hyper-parameters");
        EffectGrid grid = {.sheet = &t};
        report_name_columns(s, &t);
        for (size_t i = 0; i < COUNT(HEADS); i++)
            sheet_column(&t, HEADS[i], i < 2 ? 'l' : 'r');
        for (size_t i = s->first[d], end; i < s->first[d + 1]; i = end) {
            end = report_family_end(s, i);
            put_model_effects(s, i, end, &grid);
        }
        put(&s->page, grid.open ? "</div>\n" : "");
        if (grid.charts > MANY_EFFECTS)
            put(&s->page, "<p class=\"soft\">The first %d of %zu charts.</p>\n", MANY_EFFECTS, grid.charts);
        if (!t.rows)
            continue;
        put(&s->page, "<details><summary>Table of hyper-parameters</summary>\n");
        report_show(s, &t, MANY_ROWS);
        put(&s->page, "</details>\n");
    }
}
