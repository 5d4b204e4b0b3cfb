/* recsys/protocols/elliot_source.c: a file of interactions as pandas reads and writes it, and the files of its parts. */
// flags: -Os
#include "recsys/protocols/elliot.h"

#include <time.h>

typedef enum Column { COLUMN_INT, COLUMN_FLOAT, COLUMN_TEXT } Column;
static Column column_with(Column c, Text field)
{
    int64_t whole;
    double number;
    return text_i64(field, &whole) ? c : text_f64(field, &number) ? MAX(c, COLUMN_FLOAT) : COLUMN_TEXT;
}

/* What pandas makes of the third and fourth column: whole numbers if all are. */
static bool find_columns(ElliotSource *s, Column kind[2], Error *e)
{
    kind[0] = kind[1] = COLUMN_INT;
    Table t = ratings_rows(s->ratings, s->arena);
    while (table_next(&t, e))
        for (size_t i = 0; i < 2 && i + 2 < t.count; i++)
            kind[i] = column_with(kind[i], t.field[i + 2]);
    return e->code == SP_OK;
}

static const char *as_written(Text field, Column kind, Arena *a, Error *e)
{
    return python_str(kind == COLUMN_INT ? PYTHON_INT : kind == COLUMN_FLOAT ? PYTHON_FLOAT : PYTHON_STR, field, a, e);
}

/* A field that has double quotes is written between them, each twice. */
static const char *quoted(Text field, Arena *a, Error *e)
{
    if (!memchr(field.p, '"', field.n))
        return arena_strndup(a, field.p, field.n, e);
    char *text = arena_alloc(a, field.n * 2 + 3, 1, e), *to = text;
    if (!text)
        return NULL;
    *to++ = '"';
    for (size_t i = 0; i < field.n; i++) {
        if (field.p[i] == '"')
            *to++ = '"';
        *to++ = field.p[i];
    }
    *to = '"';
    return text;
}

/* A row as pandas writes it: 5 becomes 5.0 in a column that has 4.5. */
static bool write_line(Text *line, const ElliotSource *s, const Table *t, const Column kind[2], bool binary, Arena *a,
                       Error *e)
{
    const Ratings *r = s->ratings;
    size_t width = r->time ? 4 : 3;
    const char *rating = binary || !r->rating ? "1" : as_written(t->field[2], kind[0], a, e);
    const char *time = r->time ? as_written(t->field[3], kind[1], a, e) : "";
    if (!rating || !time)
        return false;
    Text raw = t->raw;
    while (raw.n && strchr("\r\n", raw.p[raw.n - 1]))
        raw.n--;
    if (t->count == width && t->raw.n && !memchr(raw.p, '"', raw.n) && text_is(t->field[2], rating) &&
        (!r->time || text_is(t->field[3], time))) {
        *line = raw;
        return true;
    }
    const char *user = quoted(t->field[0], a, e), *item = quoted(t->field[1], a, e), *text = NULL;
    if (user && item)
        text = arena_printf(a, e, "%s\t%s\t%s%s%s", user, item, rating, r->time ? "\t" : "", time);
    *line = text ? text_of(text) : (Text){0};
    return text != NULL;
}

static bool read_lines(ElliotSource *s, bool binary, Arena *a, Error *e)
{
    Column kind[2];
    size_t row = 0;
    if (!find_columns(s, kind, e))
        return false;
    Table t = ratings_rows(s->ratings, a);
    while (row < s->ratings->count && table_next(&t, e)) {
        if (s->rating && !text_f64(t.field[2], &s->rating[row]))
            s->rating[row] = (double)s->ratings->rating[row];
        if (!write_line(&s->line[row++], s, &t, kind, binary, a, e))
            return false;
    }
    return e->code == SP_OK;
}

bool elliot_source(ElliotSource *s, const char *path, bool binary, Arena *a, Error *e)
{
    Ratings *r = NEW(a, Ratings, 1, e);
    if (!r || !ratings_read_as(r, path, FORMAT_TSV, &(Layout){.cut = '\t'}, a, e) || !ratings_sure(r, e))
        return false;
    if (r->header)
        return fail(e, SP_FORMAT, "%s:%u: names of columns; Elliot's files have rows of user, item, rating and time alone: "
                    "remove this line", path, (unsigned)r->header);
    *s = (ElliotSource){.ratings = r,
                        .rating = r->rating ? NEW(a, double, r->count, e) : NULL,
                        .line = NEW(a, Text, r->count + 1, e),
                        .users = NEW(a, int32_t, text_index_count(r->users) + 1, e),
                        .arena = a};
    return (s->rating || !r->rating) && s->line && s->users && split_users(s->users, r, a, e) &&
           read_lines(s, binary, a, e);
}

bool elliot_rows_all(ElliotRows *rows, const ElliotSource *s, Error *e)
{
    *rows = (ElliotRows){NEW(s->arena, uint32_t, s->ratings->count + 1, e), s->ratings->count};
    for (size_t i = 0; rows->row && i < rows->count; i++)
        rows->row[i] = (uint32_t)i;
    return rows->row != NULL;
}

/* Whether the file has these rows already. */
static bool is_written(const ElliotSource *s, const char *path, const ElliotRows *rows)
{
    Error none = {0};
    Map map;
    if (!file_exists(path) || !map_open(&map, path, &none))
        return false;
    size_t at = 0;
    bool same = true;
    for (size_t i = 0; same && i < rows->count; i++) {
        Text line = s->line[rows->row[i]];
        same = map.bytes - at > line.n && !memcmp(map.data + at, line.p, line.n) && map.data[at + line.n] == '\n';
        at += line.n + 1;
    }
    same = same && at == map.bytes;
    map_close(&map);
    return same;
}

/* Several processes may read one configuration at once: they write the same bytes, and only one of them at a time. */
static Out *open_shared(const ElliotSource *s, const char *path, const ElliotRows *rows, bool *written, Error *e)
{
    enum { TRIES = 600, WAIT = 100 * 1000 * 1000 };
    for (int i = 0;; i++) {
        Error own = {0};
        if ((*written = is_written(s, path, rows)))
            return NULL;
        Out *o = out_open(path, arena_heap(s->arena), &own);
        if (!o && (i == TRIES || !strstr(own.message, "is being written")))
            fail(e, own.code, "%s", own.message);
        if (o || e->code)
            return o;
        nanosleep(&(struct timespec){.tv_nsec = WAIT}, NULL);
    }
}

bool elliot_write_rows(const ElliotSource *s, const char *path, const ElliotRows *rows, Error *e)
{
    bool written;
    Out *o = open_shared(s, path, rows, &written, e);
    bool ok = o != NULL;
    for (size_t i = 0; ok && i < rows->count; i++) {
        Text line = s->line[rows->row[i]];
        ok = out_write(o, line.p, line.n, e) && out_write(o, "\n", 1, e);
    }
    if (!ok)
        out_discard(o);
    return written || (ok && out_commit(o, e));
}
