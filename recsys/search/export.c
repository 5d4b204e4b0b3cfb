/* recsys/search/export.c: writes and reads a ledger as TSV (docs/formats.md).
 *
 * A line is a finished trial: the columns of row.c that do not differ between machines, separated by tabs. Tabs, line
 * ends and backslashes of a text are written as \t, \n, \r and \\. */
// flags: -Os
#include "recsys/search/ledger.h"

#include <stdlib.h>

static const char SPECIAL[] = "\t\n\r\\", LETTERS[] = "tnr\\";

/* ---- writing --------------------------------------------------------------------------------- */

static void put_escaped(FILE *f, const char *text)
{
    for (; *text; text++) {
        const char *at = strchr(SPECIAL, *text);
        if (at)
            fprintf(f, "\\%c", LETTERS[at - SPECIAL]);
        else
            fputc(*text, f);
    }
}

static void put_value(FILE *f, const Column *c, const TrialRow *row)
{
    const void *value = column_of(c, row);
    if (column_is_text(c))
        put_escaped(f, *(const char *const *)value);
    else if (c->kind == COLUMN_STATE)
        fputs(trial_states[row->state], f);
    else if (c->kind == COLUMN_U64)
        fprintf(f, "%llu", (unsigned long long)*(const uint64_t *)value);
    else
        fprintf(f, "%lld", (long long)*(const int64_t *)value);
}

/* Writes the line of a trial, a TrialRow; NULL: the first line, with the names of the columns. */
static void put_line(FILE *f, const void *trial)
{
    const TrialRow *row = trial;
    const char *before = "";
    for (size_t i = 0; i < TRIAL_COLUMNS; i++)
        if (trial_columns[i].exported) {
            fputs(before, f);
            if (row)
                put_value(f, &trial_columns[i], row);
            else
                fputs(trial_columns[i].name, f);
            before = "\t";
        }
    fputc('\n', f);
}

static bool is_finished(const TrialRow *row)
{
    return row->state == TRIAL_DONE || row->state == TRIAL_FAILED;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool write_lines(const char *path, const TrialRow *rows, size_t count, Arena *a, Error *e)
{
    const char **lines = NEW(a, const char *, count, e), *names = lines ? arena_written(put_line, NULL, a, e) : NULL;
    size_t n = 0;
    if (!names)
        return false;
    for (size_t i = 0; i < count; i++)
        if (is_finished(&rows[i]) && !(lines[n++] = arena_written(put_line, &rows[i], a, e)))
            return false;
    if (n)
        qsort(lines, n, sizeof *lines, by_bytes);
    Out *o = out_open(path, NULL, e);
    bool ok = o && out_write(o, names, strlen(names), e);
    for (size_t i = 0; ok && i < n; i++)
        ok = out_write(o, lines[i], strlen(lines[i]), e);
    if (ok)
        return out_commit(o, e);
    out_discard(o);
    return false;
}

bool ledger_export(Ledger *l, const char *path, Error *e)
{
    Arena *a = arena_new(NULL, 0);
    TrialRow *rows;
    size_t count;
    bool ok =
        a ? ledger_rows(l, &rows, &count, a, e) && write_lines(path, rows, count, a, e) : fail_memory(e, 1, "an arena");
    arena_free(a);
    return ok;
}

/* ---- adding to a ledger ---------------------------------------------------------------------- */

static bool same_value(const Column *c, const TrialRow *x, const TrialRow *y)
{
    const void *a = column_of(c, x), *b = column_of(c, y);
    if (column_is_text(c))
        return !strcmp(*(const char *const *)a, *(const char *const *)b);
    return c->kind == COLUMN_STATE ? x->state == y->state : *(const int64_t *)a == *(const int64_t *)b;
}

static bool check_equal(const Ledger *l, const TrialRow *stored, const TrialRow *row, const char *where, Arena *a,
                        Error *e)
{
    for (size_t i = 0; i < TRIAL_COLUMNS; i++)
        if (trial_columns[i].exported && !same_value(&trial_columns[i], stored, row)) {
            const char *name = row_name(row, a, e);
            return name &&
                   fail(e, SP_FORMAT,
                        "%s: the trial %s is in %s too, with another %s: they come from different data, settings "
                        "or machines, and only one of them can be kept",
                        where, name, ledger_path(l), trial_columns[i].name);
        }
    return true;
}

/* Adds a finished row. An existing row stays if it is finished, except that a done row replaces a failed one. Two done
 * rows must be equal. */
static bool add_row(Ledger *l, const TrialRow *row, const char *where, int64_t *added, Arena *a, Error *e)
{
    TrialRow stored;
    bool found;
    ArenaMark mark = arena_mark(a);
    bool ok = ledger_get(l, row, &stored, &found, a, e), new = !found || !is_finished(&stored);
    if (ok && !new &&stored.state == row->state && row->state == TRIAL_DONE)
        ok = check_equal(l, &stored, row, where, a, e);
    if (ok && (new || (stored.state == TRIAL_FAILED && row->state == TRIAL_DONE))) {
        ok = ledger_put(l, row, e);
        ++*added;
    }
    arena_rewind(a, mark);
    return ok;
}

/* ---- reading TSV ----------------------------------------------------------------------------- */

/* Reverses put_escaped. */
static char *unescape(Text field, const char *where, const char *column, Arena *a, Error *e)
{
    char *text = NEW(a, char, field.n + 1, e);
    size_t n = 0;
    for (size_t i = 0; text && i < field.n; i++) {
        char c = field.p[i];
        if (c == '\\') {
            const char *at = i + 1 < field.n && field.p[i + 1] ? strchr(LETTERS, field.p[i + 1]) : NULL;
            if (!at) {
                fail(e, SP_FORMAT, "%s: column %s: only t, n, r or a backslash may follow a backslash", where, column);
                return NULL;
            }
            c = SPECIAL[at - LETTERS];
            i++;
        }
        text[n++] = c;
    }
    return text;
}

static bool read_u64(Text field, uint64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < field.n; i++) {
        unsigned digit = (unsigned)(unsigned char)field.p[i] - '0';
        if (digit > 9 || *value > (UINT64_MAX - digit) / 10)
            return false;
        *value = *value * 10 + digit;
    }
    return field.n > 0;
}

static bool read_value(const Column *c, Text field, TrialRow *row, const char *where, Arena *a, Error *e)
{
    void *value = column_of(c, row);
    if (column_is_text(c))
        return (*(const char **)value = unescape(field, where, c->name, a, e)) != NULL;
    if (c->kind == COLUMN_STATE) {
        row->state = text_is(field, trial_states[TRIAL_DONE]) ? TRIAL_DONE : TRIAL_FAILED;
        return text_is(field, trial_states[row->state]) ||
               fail(e, SP_FORMAT, "%s: column state: \"%.*s\", done or failed is expected", where,
                    (int)MIN(field.n, (size_t)20), field.p);
    }
    if (c->kind == COLUMN_U64 ? read_u64(field, value) : text_i64(field, value))
        return true;
    return fail(e, SP_FORMAT, "%s: column %s: \"%.*s\" is no whole number", where, c->name,
                (int)MIN(field.n, (size_t)20), field.p);
}

static bool check_names(const Table *t, Error *e)
{
    size_t at = 0;
    for (size_t i = 0; i < TRIAL_COLUMNS; i++)
        if (trial_columns[i].exported) {
            if (at >= t->count || !text_is(t->field[at], trial_columns[i].name))
                return fail(e, SP_FORMAT,
                            "%s:1: column %zu is not %s: this is no file of `sapor run --export` of this version",
                            t->name, at + 1, trial_columns[i].name);
            at++;
        }
    return at == t->count || fail(e, SP_FORMAT, "%s:1: has %zu columns, %zu are expected", t->name, t->count, at);
}

static bool read_line(const Table *t, TrialRow *row, const char *where, Arena *a, Error *e)
{
    size_t at = 0, expected = 0;
    *row = (TrialRow){.worker = ""};
    for (size_t i = 0; i < TRIAL_COLUMNS; i++)
        expected += trial_columns[i].exported;
    if (t->count != expected)
        return fail(e, SP_FORMAT, "%s: has %zu columns, the first line names %zu", where, t->count, expected);
    for (size_t i = 0; i < TRIAL_COLUMNS; i++)
        if (trial_columns[i].exported && !read_value(&trial_columns[i], t->field[at++], row, where, a, e))
            return false;
    return row_check(row, true, where, e);
}

static bool import_text(Ledger *l, Text content, const char *path, int64_t *added, Arena *a, Error *e)
{
    Arena *scratch = arena_new(arena_heap(a), 0);
    if (!scratch)
        return fail_memory(e, 1, "an arena");
    Table t = table_open(content, '\t', path, a);
    t.quotes = false;
    bool ok = table_next(&t, e) ? check_names(&t, e) : e->code == SP_OK && fail(e, SP_FORMAT, "%s: is empty", path);
    while (ok && table_next(&t, e)) {
        TrialRow row;
        const char *where = arena_printf(scratch, e, "%s:%zu", path, t.line);
        ok = where && read_line(&t, &row, where, scratch, e) && add_row(l, &row, where, added, scratch, e);
        arena_rewind(scratch, (ArenaMark){0});
    }
    arena_free(scratch);
    return ok && e->code == SP_OK;
}

/* ---- reading another ledger ------------------------------------------------------------------ */

static bool import_ledger(Ledger *l, const char *path, int64_t *added, Arena *a, Error *e)
{
    TrialRow *rows;
    ExtractionRow *extractions;
    size_t count = 0, n = 0;
    Ledger *from = ledger_open(path, e);
    bool ok = from && ledger_rows(from, &rows, &count, a, e) && ledger_extractions(from, &extractions, &n, a, e);
    ledger_close(from);
    for (size_t i = 0; ok && i < count; i++)
        if (is_finished(&rows[i]))
            ok = row_check(&rows[i], true, path, e) && add_row(l, &rows[i], path, added, a, e);
    for (size_t i = 0; ok && i < n; i++)
        ok = ledger_put_extraction(l, &extractions[i], e);
    return ok;
}

bool ledger_import(Ledger *l, const char *path, int64_t *added, Error *e)
{
    static const char MAGIC[] = "SQLite format 3"; /* including its NUL */
    Arena *a = arena_new(NULL, 0);
    Text content = {NULL, 0};
    Map m;
    *added = 0;
    if (!a || !map_open(&m, path, e)) {
        arena_free(a);
        return a ? false : fail_memory(e, 1, "an arena");
    }
    bool is_ledger = m.bytes >= sizeof MAGIC && !memcmp(m.data, MAGIC, sizeof MAGIC);
    bool ok = m.bytes > 0 || fail(e, SP_FORMAT, "%s: is empty", path);
    map_close(&m);
    if (ok && (ok = is_ledger || (file_read(&content, a, path, 0, e) && text_decode(&content, path, a, e))) &&
        (ok = ledger_begin(l, e))) {
        ok = is_ledger ? import_ledger(l, path, added, a, e) : import_text(l, content, path, added, a, e);
        ok = ledger_end(l, ok, e) && ok;
    }
    arena_free(a);
    return ok;
}
