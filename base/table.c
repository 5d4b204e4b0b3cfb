/* base/table.c: reads rows of fields with separators (RFC 4180). */
#include "base/base.h"

Table table_open(Text content, char separator, const char *name, Arena *a)
{
    return (Table){.rest = content,
                   .separator = separator,
                   .quotes = separator && separator != ' ',
                   .name = name,
                   .arena = a,
                   .next = 1,
                   .has_quotes = content.n && memchr(content.p, '"', content.n)};
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r' && c != '\n');
}

static bool add_field(Table *t, Text field, Error *e)
{
    if (t->count >= MOST_FIELDS)
        return fail(e, SP_FORMAT, "%s:%zu: has more than %d columns", t->name, t->line, MOST_FIELDS);
    if (t->count == t->room) {
        Text *grown = arena_grow(t->arena, t->field, t->count, &t->room, sizeof *grown, e);
        if (!grown)
            return false;
        t->field = grown;
    }
    t->field[t->count++] = field;
    return true;
}

/* Returns the first separator of a text without quotes, or NULL. */
static const char *find_cut(const Table *t, Text text)
{
    if (!text.n || !t->separator)
        return NULL;
    return t->separator == ':' ? memmem(text.p, text.n, "::", 2) : memchr(text.p, t->separator, text.n);
}

static bool at_cut(const Table *t, const char *p, size_t n)
{
    return t->separator && n && *p == t->separator && (t->separator != ':' || (n > 1 && p[1] == ':'));
}

static bool cut_blanks(Table *t, Text line, Error *e)
{
    for (size_t i = 0; i < line.n;) {
        size_t from = i;
        while (i < line.n && !is_blank(line.p[i]))
            i++;
        if (i > from && !add_field(t, (Text){line.p + from, i - from}, e))
            return false;
        i += i < line.n;
    }
    return true;
}

static bool cut_plain(Table *t, Text line, Error *e)
{
    if (t->separator == ' ')
        return cut_blanks(t, line, e);
    size_t width = t->separator == ':' ? 2 : 1;
    for (;;) {
        const char *cut = find_cut(t, line);
        Text field = {line.p, cut ? (size_t)(cut - line.p) : line.n};
        if (!add_field(t, t->trim ? text_trim(field) : field, e))
            return false;
        if (!cut)
            return true;
        line = (Text){cut + width, line.n - field.n - width};
    }
}

/* Reads the quoted field at the start of `rest`. *taken: its bytes up to the separator or the line end. */
static bool take_quoted(Table *t, Text rest, Text *field, size_t *taken, Error *e)
{
    size_t from = t->next, doubled = 0, i = 1;
    for (;;) {
        const char *quote = i < rest.n ? memchr(rest.p + i, '"', rest.n - i) : NULL;
        if (!quote)
            return fail(e, SP_FORMAT, "%s:%zu: a field opens a double quote that is never closed", t->name, from);
        for (const char *p = rest.p + i; (p = memchr(p, '\n', (size_t)(quote - p))) != NULL; p++)
            t->next++;
        i = (size_t)(quote - rest.p);
        if (i + 1 == rest.n || rest.p[i + 1] != '"')
            break;
        doubled++;
        i += 2;
    }
    size_t end = i + 1, tail = end;
    while (tail < rest.n && rest.p[tail] != '\n' && !at_cut(t, rest.p + tail, rest.n - tail))
        tail++;
    *taken = tail;
    Text after = {rest.p + end, tail - end};
    if (after.n && (tail == rest.n || rest.p[tail] == '\n') && after.p[after.n - 1] == '\r')
        after.n--;
    if (t->trim)
        after = text_trim(after);
    if (after.n && !t->loose)
        return fail(e, SP_FORMAT,
                    "%s:%zu: \"%.*s\" follows a closing double quote; a quote inside a field is written \"\"", t->name,
                    t->next, (int)MIN(after.n, (size_t)40), after.p);
    *field = (Text){rest.p + 1, i - 1};
    if (!doubled && !after.n)
        return true;
    char *copy = arena_alloc(t->arena, i - 1 - doubled + after.n + 1, 1, e);
    if (!copy)
        return false;
    size_t n = 0;
    for (size_t k = 1; k < i; k++) {
        copy[n++] = rest.p[k];
        k += rest.p[k] == '"';
    }
    if (after.n)
        memcpy(copy + n, after.p, after.n);
    *field = (Text){copy, n + after.n};
    return true;
}

/* Splits a row that may have quoted fields. *taken: its bytes without the line end. */
static bool cut_quoted(Table *t, size_t *taken, Error *e)
{
    Text rest = t->rest;
    const char *end = rest.p; /* the end of the line that contains rest.p; searched only once per line */
    for (;;) {
        Text field;
        size_t n = 0;
        while (t->trim && n < rest.n && is_blank(rest.p[n]) && !at_cut(t, rest.p + n, rest.n - n))
            n++;
        Text at = {rest.p + n, rest.n - n};
        if (at.n && *at.p == '"') {
            size_t quoted = 0;
            if (!take_quoted(t, at, &field, &quoted, e))
                return false;
            n += quoted;
        } else {
            if (end <= rest.p) {
                end = rest.n ? memchr(rest.p, '\n', rest.n) : NULL;
                end = end ? end : rest.p + rest.n;
            }
            Text line = {rest.p, (size_t)(end - rest.p)};
            const char *cut = find_cut(t, line);
            n = cut ? (size_t)(cut - rest.p) : line.n;
            field = (Text){rest.p, n};
            if (!cut && field.n && field.p[field.n - 1] == '\r')
                field.n--;
            if (t->trim)
                field = text_trim(field);
        }
        if (!add_field(t, field, e))
            return false;
        rest = (Text){rest.p + n, rest.n - n};
        if (!at_cut(t, rest.p, rest.n))
            break;
        size_t width = t->separator == ':' ? 2 : 1;
        rest = (Text){rest.p + width, rest.n - width};
    }
    *taken = t->rest.n - rest.n;
    return true;
}

static bool next_row(Table *t, bool fields, Error *e)
{
    while (t->rest.n) {
        Text rest = t->rest, line;
        text_line(&rest, &line);
        t->line = t->next;
        t->count = 0;
        bool quoted = t->quotes && t->has_quotes && memchr(line.p, '"', line.n);
        size_t taken = t->rest.n - rest.n;
        if (!quoted && (line.n == 0 || (t->trim && text_trim(line).n == 0))) {
            t->next++;
            t->rest = rest;
            continue;
        }
        if (quoted) {
            if (!cut_quoted(t, &taken, e))
                return false;
            taken += taken < t->rest.n; /* the \n */
        } else if (fields && !cut_plain(t, line, e)) {
            return false;
        }
        t->next++;
        t->raw = (Text){t->rest.p, taken};
        t->rest = (Text){t->rest.p + taken, t->rest.n - taken};
        return true;
    }
    return false;
}

bool table_next(Table *t, Error *e)
{
    return next_row(t, true, e);
}

bool table_skip(Table *t, Error *e)
{
    return next_row(t, false, e);
}

int table_separators(Text line, char found[3])
{
    bool inside = false, tab = false, colons = false, comma = false, semicolon = false;
    int n = 0;
    for (size_t i = 0; i < line.n; i++) {
        char c = line.p[i];
        inside ^= c == '"';
        tab |= !inside && c == '\t';
        colons |= !inside && c == ':' && i + 1 < line.n && line.p[i + 1] == ':';
        comma |= !inside && c == ',';
        semicolon |= !inside && c == ';';
    }
    if (tab) {
        found[0] = '\t';
        return 1;
    }
    if (colons)
        found[n++] = ':';
    if (comma)
        found[n++] = ',';
    if (semicolon)
        found[n++] = ';';
    if (n == 0)
        found[n++] = ' ';
    return n;
}
