/* tools/study/curves.c: learning curves of the best points. */
// flags: -Os
#include "tools/study/study.h"

enum { MANY_POINTS = 100 };

typedef struct Curve {
    StudyPage *s;
    double *x, *y;
    size_t n, room_x, room_y;
} Curve;

static bool add_point(void *arg, double epoch, double figure, Error *e)
{
    Curve *c = arg;
    Arena *a = c->s->a;
    if ((c->n == c->room_x && !(c->x = arena_grow(a, c->x, c->n, &c->room_x, sizeof *c->x, e))) ||
        (c->n == c->room_y && !(c->y = arena_grow(a, c->y, c->n, &c->room_y, sizeof *c->y, e))))
        return false;
    c->x[c->n] = epoch;
    c->y[c->n++] = figure;
    return true;
}

/* Reads the curve of the figure that chooses epochs, for the first finished trial of the best point. At most
 * MANY_POINTS points are kept. */
static bool read_curve(StudyPage *s, const StudyRow *r, Series *line)
{
    const GroupPoint *p = report_best(r->group);
    const char *parts[] = {"valid", "test"};
    if (!p || !p->finished || !*p->rows[0]->history)
        return false;
    for (size_t i = 0; i < COUNT(parts); i++) {
        Curve c = {.s = s};
        const char *path = report_text(s, "history of trial %s", p->rows[0]->key);
        const char *column = report_text(s, "%s %s", parts[i], s->v->metric);
        if (!history_read(text_of(p->rows[0]->history), path, column, add_point, &c, s->e))
            return false;
        if (c.n < 2)
            continue;
        size_t n = MIN(c.n, (size_t)MANY_POINTS);
        for (size_t k = 0; k < n; k++) { /* keep the first and the last point */
            size_t from = k * (c.n - 1) / (n - 1);
            c.x[k] = c.x[from];
            c.y[k] = c.y[from];
        }
        *line = (Series){.name = r->extractors, .n = n, .x = c.x, .y = c.y, .colour = report_colour(r)};
        return true;
    }
    return false;
}

static void put_curves_of(StudyPage *s, size_t d)
{
    bool open = false, titled = false;
    for (size_t i = s->first[d], end; i < s->first[d + 1]; i = end) {
        end = report_family_end(s, i);
        size_t n = 0;
        Series *lines = NEW(s->a, Series, end - i, s->e);
        for (size_t k = i; lines && k < end; k++)
            n += s->rows[k].shown && read_curve(s, &s->rows[k], &lines[n]);
        if (!n || s->e->code != SP_OK)
            continue;
        if (!titled)
            report_heading(s, d);
        titled = true;
        const char *model = s->models[s->rows[i].model];
        Chart c = {.about = report_text(s, "%s on %s: %s by epoch", model, s->v->data[d], s->v->metric),
                   .x_label = "epoch",
                   .y_label = s->v->metric,
                   .small = true};
        report_card(s, &open, model);
        put_chart(&s->page, &c, lines, n);
        put(&s->page, "</div>\n");
    }
    put(&s->page, open ? "</div>\n" : "");
}

void report_curves(StudyPage *s)
{
    put(&s->page, "<h2 id=\"curves\">Learning curves</h2>\n<p class=\"soft\">");
    put_text(&s->page, text_of(s->v->metric));
    put(&s->page,
        " of the validation part by epoch, for the best point of each model%s: the trial of its first "
        "seed.</p>\n",
        s->has_extractors ? " and setting" : "");
    report_legend(s);
    for (size_t d = 0; d < s->v->data_count; d++)
        put_curves_of(s, d);
}
