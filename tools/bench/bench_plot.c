/* tools/bench/bench_plot.c: draws a table of points as lines in an SVG file, with logarithmic axes. */
// flags: -Os
#include "tools/bench/bench.h"
#include "tools/report/page.h"

enum { NAME, X, Y, COLUMNS, MOST_SERIES = 16 };

typedef struct Points {
    Series series[MOST_SERIES];
    size_t count, total;
    double *x, *y; /* [total] */
    const char *label[COLUMNS];
} Points;

static bool read_point(Points *p, const Table *t, size_t *x_room, size_t *y_room, Error *e)
{
    Arena *a = t->arena;
    double at[2];
    for (int k = 0; k < 2; k++)
        if (!text_f64(t->field[X + k], &at[k]) || !(at[k] > 0 && at[k] < 1e300))
            return fail(e, SP_FORMAT, "%s:%zu: %s is '%.*s'; a number above 0 is expected", t->name, t->line,
                        p->label[X + k], (int)MIN(t->field[X + k].n, (size_t)60), t->field[X + k].p);
    if (!p->count || !text_is(t->field[NAME], p->series[p->count - 1].name)) {
        if (p->count == MOST_SERIES)
            return fail(e, SP_FORMAT, "%s:%zu: more than %d lines in one chart", t->name, t->line, MOST_SERIES);
        const char *name = arena_strndup(a, t->field[NAME].p, t->field[NAME].n, e);
        p->series[p->count] = (Series){.name = name, .colour = (int)p->count};
        p->count++;
    }
    p->x = arena_grow(a, p->x, p->total, x_room, sizeof *p->x, e);
    p->y = p->x ? arena_grow(a, p->y, p->total, y_room, sizeof *p->y, e) : NULL;
    if (!p->y || e->code)
        return false;
    p->x[p->total] = at[0];
    p->y[p->total++] = at[1];
    p->series[p->count - 1].n++;
    return true;
}

/* Reads the table. The first row has the names of the columns: the name of the line, x, y. The rows of a line are
 * consecutive. */
static bool read_points(Points *p, Bench *b, const char *path, Error *e)
{
    Text content;
    size_t x_room = 0, y_room = 0;
    if (!text_file_read(&content, b->arena, path, e))
        return false;
    Table t = table_open(content, '\t', path, b->arena);
    while (table_next(&t, e)) {
        if (t.count != COLUMNS)
            return fail(e, SP_FORMAT, "%s:%zu: has %zu columns; three are expected: line, x, y", path, t.line, t.count);
        if (!p->label[NAME]) {
            for (int k = 0; k < COLUMNS; k++)
                if (!(p->label[k] = arena_strndup(b->arena, t.field[k].p, t.field[k].n, e)))
                    return false;
        } else if (!read_point(p, &t, &x_room, &y_room, e)) {
            return false;
        }
    }
    if (e->code)
        return false;
    size_t before = 0;
    for (size_t i = 0; i < p->count; before += p->series[i++].n) {
        p->series[i].x = p->x + before;
        p->series[i].y = p->y + before;
    }
    return p->count > 0 || fail(e, SP_FORMAT, "%s: has no points", path);
}

bool bench_plot(Bench *b, const char *points, Error *e)
{
    const char *out = option_text(b->c, "out"), *about;
    Points p = {0};
    if (!out)
        return fail(e, SP_USAGE, "bench plot: --out FILE.svg is missing");
    if (!read_points(&p, b, points, e) ||
        !(about = arena_printf(b->arena, e, "%s by %s, both on logarithmic scales", p.label[Y], p.label[X])))
        return false;
    Chart chart = {.about = about, .x_label = p.label[X], .y_label = p.label[Y], .log_x = true, .log_y = true};
    return chart_write(out, &chart, p.series, p.count, b->c->heap, e);
}
