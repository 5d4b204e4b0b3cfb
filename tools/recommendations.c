/* tools/recommendations.c: reads the lists that `sapor evaluate` evaluates. */
#include "tools/recommendations.h"

#include <math.h>
#include <stdlib.h>

static int by_user_item(const void *a, const void *b)
{
    const Rec *x = a, *y = b;
    if (x->user != y->user)
        return x->user < y->user ? -1 : 1;
    if (x->item != y->item)
        return x->item < y->item ? -1 : 1;
    return x->line < y->line ? -1 : x->line > y->line;
}

/* Sorts by user, then by score, best first. Equal scores stay in the order of the file. */
static int by_user_score(const void *a, const void *b)
{
    const Rec *x = a, *y = b;
    if (x->user != y->user)
        return x->user < y->user ? -1 : 1;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->line < y->line ? -1 : x->line > y->line;
}

/* The columns of a file. */
typedef struct Shape {
    bool header; /* the first row has the names of the columns */
    bool lists;  /* MMRec's table: id, top_0, top_1, ... */
    size_t columns;
    int at[3]; /* columns of user, item and score; score -1: the order in the file is the ranking */
} Shape;

static bool names_lists(const Text *field, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (!text_starts(field[i], "top_"))
            return false;
    return n > 1;
}

/* Finds the columns from the first row. Returns false if the row fits no known shape. */
static bool shape_of(Shape *s, const Text *field, size_t n)
{
    double score;
    *s = (Shape){.columns = n, .at = {0, 1, 2}};
    s->lists = names_lists(field, n);
    s->header = s->lists || recommendations_header(field, n, s->at);
    return s->header || (n == 3 && text_f64(field[2], &score));
}

/* Opens the table with the only separator for which the first row has a known shape. Several such separators are an
 * error. If no separator fits, the first that table_separators found is used: the rows then give the error. */
static bool open_recs(Table *t, Shape *s, Text content, const char *path, Arena *a, Error *e)
{
    char found[3];
    Text rest = content, line = {0};
    while (!text_trim(line).n && text_line(&rest, &line))
        continue;
    int n = table_separators(line, found), fits = 0;
    char cut = found[0];
    for (int i = 0; i < n; i++) {
        Table first = table_open(content, found[i], path, a);
        Error ignored = {0};
        if (table_next(&first, &ignored) && shape_of(s, first.field, first.count)) {
            cut = found[i];
            fits++;
        }
        if (ignored.code == SP_MEMORY) {
            *e = ignored;
            return false;
        }
    }
    *t = table_open(content, cut, path, a);
    t->trim = cut == ' ';
    if (fits > 1)
        return fail(e, SP_FORMAT, "%s:1: the separator is ambiguous; separate user, item and score by tabs", path);
    return true;
}

static bool add_rec(Recs *r, int64_t user, Text item, double score, size_t line, DataSet *d, Arena *a, Error *e)
{
    if (user < 0) {
        r->unknown++;
        return true;
    }
    int64_t i = text_index_add(d->items, item, e);
    if (i < 0 || (r->count == r->room && !(r->list = arena_grow(a, r->list, r->count, &r->room, sizeof *r->list, e))))
        return false;
    r->list[r->count++] = (Rec){score, (int32_t)user, (int32_t)i, line};
    return true;
}

static bool add_row(Recs *r, const Table *t, const Shape *s, DataSet *d, Arena *a, Error *e)
{
    if (t->count != s->columns || (!s->header && t->count != 3))
        return s->header
                   ? fail(e, SP_FORMAT, "%s:%zu: has %zu columns, the header has %zu", t->name, t->line, t->count,
                          s->columns)
                   : fail(e, SP_FORMAT,
                          "%s:%zu: has %zu columns; without a header, three columns are expected: user, item, score",
                          t->name, t->line, t->count);
    Text user = t->field[s->lists ? 0 : s->at[0]];
    int64_t u = text_index_find(d->users, user);
    if (s->lists) {
        for (size_t i = 1; i < t->count; i++)
            if (t->field[i].n && !add_rec(r, u, t->field[i], -(double)i, t->line, d, a, e))
                return false;
        return user.n || fail(e, SP_FORMAT, "%s:%zu: the user id is empty", t->name, t->line);
    }
    Text item = t->field[s->at[1]];
    double score = -(double)t->line;
    if (user.n == 0 || item.n == 0)
        return fail(e, SP_FORMAT, "%s:%zu: the %s id is empty", t->name, t->line, user.n ? "item" : "user");
    if (s->at[2] >= 0) {
        Text text = t->field[s->at[2]];
        if (!text_f64(text, &score) || isnan(score))
            return fail(e, SP_FORMAT, "%s:%zu: the score \"%.*s\" is not a number%s", t->name, t->line,
                        (int)MIN(text.n, (size_t)40), text.p,
                        s->header ? "" : "; a header names the columns user, item, score");
    }
    return add_rec(r, u, item, score, t->line, d, a, e);
}

bool recommendations_read(Recs *r, const char *path, DataSet *d, Arena *a, Error *e)
{
    Text content;
    Table t;
    Shape s = {0};
    if (!text_file_read(&content, a, path, e) || !open_recs(&t, &s, content, path, a, e))
        return false;
    for (bool first = true; table_next(&t, e); first = false) {
        if (first)
            shape_of(&s, t.field, t.count);
        r->scored = !s.lists && s.at[2] >= 0;
        if ((!first || !s.header) && !add_row(r, &t, &s, d, a, e))
            return false;
    }
    if (e->code)
        return false;
    if (r->count == 0)
        return fail(e, SP_FORMAT,
                    r->unknown ? "%s: all its users are unknown; use --test and --train of the same data"
                               : "%s: holds no recommendations",
                    path);
    qsort(r->list, r->count, sizeof *r->list, by_user_item);
    for (size_t i = 1; i < r->count; i++)
        if (r->list[i].user == r->list[i - 1].user && r->list[i].item == r->list[i - 1].item)
            return fail(e, SP_FORMAT, "%s:%zu: has the same user and item as line %zu; remove one of the lines", path,
                        r->list[i].line, r->list[i - 1].line);
    qsort(r->list, r->count, sizeof *r->list, by_user_score);
    return true;
}
