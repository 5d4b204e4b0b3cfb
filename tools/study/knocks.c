/* tools/study/knocks.c: how much the figures lose without a modality. */
// flags: -Os
#include "tools/study/study.h"

#include <math.h>

static bool is_knock(const StudyPage *s, size_t i)
{
    return s->rows[i].base != i;
}

static Cell change_cell(StudyPage *s, double with, double without)
{
    double change = with > 0 ? 100 * (without - with) / with : NAN;
    Cell c = report_cell(s, 1, change);
    if (isfinite(change))
        c.text = report_text(s, "%+.1f", change);
    return c;
}

static void put_knocks(StudyPage *s, size_t d)
{
    const StudyView *v = s->v;
    Sheet t = report_sheet(s, &s->rows[s->first[d]], "knock-outs");
    bool begins = false;
    t.class = "groups";
    report_name_columns(s, &t);
    sheet_column(&t, "without", 'l');
    sheet_column(&t, v->metric, 'r');
    sheet_column(&t, report_text(s, "%s without", v->metric), 'r');
    for (size_t f = 0; f < v->figure_count; f++)
        sheet_column(&t, report_text(s, "%s, %%", v->figures[f]), 'r');
    for (size_t i = s->first[d]; i < s->first[d + 1]; i++) {
        const StudyRow *r = &s->rows[i], *base = &s->rows[r->base];
        const GroupPoint *p = report_best(r->group), *with = report_best(base->group);
        begins |= i > s->first[d] && r->model != r[-1].model;
        /* a model without features has the same trials with and without a modality */
        if (!is_knock(s, i) || r->alike)
            continue;
        Cell *c = sheet_row(&t, begins);
        begins = false;
        if (!c)
            return;
        c = report_name_cells(s, c, base);
        c[0].text = r->knocked;
        c[1].text = report_number(s, report_figure(s, with, s->metric), s->metric);
        c[2].text = report_number(s, report_figure(s, p, s->metric), s->metric);
        if (!p || !with)
            c[2].note = sheet_note(&t, r->group->absent ? r->group->absent : "no trial has a result");
        for (size_t f = 0; f < v->figure_count; f++)
            c[3 + f] = change_cell(s, report_figure(s, with, f), report_figure(s, p, f));
    }
    if (!t.rows)
        return;
    report_heading(s, d);
    report_show(s, &t, t.rows);
}

bool report_has_knocks(const StudyPage *s)
{
    for (size_t i = 0; i < s->v->group_count; i++)
        if (is_knock(s, i))
            return true;
    return false;
}

void report_knocks(StudyPage *s)
{
    if (!report_has_knocks(s))
        return;
    put(&s->page, "<h2 id=\"knocks\">Knock-outs</h2>\n<p class=\"soft\">The features of a modality are replaced; "
                  "the brackets say how. Change of each figure in %%, compared with all features.</p>\n");
    for (size_t d = 0; d < s->v->data_count; d++)
        if (s->first[d] < s->first[d + 1])
            put_knocks(s, d);
}
