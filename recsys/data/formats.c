/* recsys/data/formats.c: reads interactions from text files. docs/formats.md describes how each format is recognised.
 */
#include "recsys/data/data.h"

#include <math.h>

static const size_t LARGEST_FILE = (size_t)1 << 38; /* bytes */

typedef struct FormatName {
    const char *name;
    Format format;
    const char *words;
} FormatName;
#define ENTRY(link, name, format, words) {name, format, words},
static const FormatName FORMATS[] = {FORMAT_NAMES(ENTRY)};
#undef ENTRY

Format format_find(const char *name)
{
    for (size_t i = 0; i < COUNT(FORMATS); i++)
        if (!strcmp(name, FORMATS[i].name))
            return FORMATS[i].format;
    return (Format)-1;
}

static const FormatName *entry_of(Format f)
{
    const FormatName *entry = FORMATS;
    while (entry->format != f)
        entry++;
    return entry;
}

const char *format_name(Format f)
{
    return entry_of(f)->name;
}

const char *format_words(Format f, char separator)
{
    if (entry_of(f)->words)
        return entry_of(f)->words;
    switch (separator) {
    case '\t': return "tab-separated table";
    case ',': return "comma-separated table";
    case ';': return "semicolon-separated table";
    case ':': return "table separated by ::";
    default: return "space-separated table";
    }
}

bool layout_separator(const char *word, char *separator)
{
    static const struct {
        const char *word, *character;
        char separator;
    } SEPARATORS[] = {
        {"tab", "\t", '\t'}, {"comma", ",", ','}, {"semicolon", ";", ';'}, {"colons", "::", ':'}, {"blank", " ", ' '}};
    for (size_t i = 0; i < COUNT(SEPARATORS); i++)
        if (!strcmp(word, SEPARATORS[i].word) || !strcmp(word, SEPARATORS[i].character)) {
            *separator = SEPARATORS[i].separator;
            return true;
        }
    return false;
}

/* ---- the first row --------------------------------------------------------------------------- */

/* Returns the format of a text that is not a table, by its first line; NULL if it may be a table. */
static const char *other_text(Text line)
{
    static const struct {
        const char *begins, *kind;
    } KINDS[] = {
        {"{\"", "JSON"},
        {"{'", "JSON"}, /* as printed by Python: Amazon's reviews of 2014 */
        {"{ ", "JSON"},
        {"[{", "JSON"},
        {"<?xml", "XML"},
        {"<html", "HTML"},
        {"<!DOCTYPE", "HTML"},
        {"%%MatrixMarket", "Matrix Market text, with comment lines"},
        {"% ", "KONECT text, with comment lines"},
    };
    for (size_t i = 0; i < COUNT(KINDS); i++)
        if (text_starts(line, KINDS[i].begins))
            return KINDS[i].kind;
    if (text_is(line, "{") || text_is(line, "["))
        return "JSON";
    int64_t movie;
    if (line.n > 1 && line.p[line.n - 1] == ':' && text_i64((Text){line.p, line.n - 1}, &movie))
        return "Netflix Prize text, with a line 'movie:' above each movie's rows";
    return NULL;
}

/* Splits the first `most` words off a line. Returns their number, or most + 1 if there are more. */
static size_t words_of(Text line, Text *word, size_t most)
{
    size_t n = 0;
    for (Text rest = line, part; n <= most && text_next(&rest, ' ', &part);) {
        part = text_trim(part);
        if (part.n && n++ < most)
            word[n - 1] = part;
    }
    return n;
}

/* What the lines of a space-separated text have in common. */
typedef struct Blanks {
    size_t columns;
    bool alike;          /* every line has the same number of words, 2 to 4; all words after the second are numbers */
    bool whole, natural; /* all words are whole numbers; and >= 0 */
    bool repeats;        /* a first word occurs twice; LightGCN text has one line per user */
} Blanks;

/* Reports whether a word is a whole number, maybe negative, of any length. A number that is too large for an id counts,
 * too: it must not make the text look like a table with ratings. */
static bool is_whole(Text word)
{
    size_t i = word.n > 1 && *word.p == '-';
    while (i < word.n && word.p[i] >= '0' && word.p[i] <= '9')
        i++;
    return i == word.n;
}

/* Reads lines until one differs from the first, or repeats a user. */
static bool compare_lines(Blanks *b, Text content, Arena *scratch, Error *e)
{
    TextIndex *users = text_index_new(scratch, e);
    Text line, word[4];
    *b = (Blanks){.alike = true, .whole = true, .natural = true};
    while (users && b->alike && !b->repeats && text_line(&content, &line)) {
        size_t n = words_of(line, word, COUNT(word));
        if (n == 0)
            continue;
        b->columns = b->columns ? b->columns : n;
        b->alike = n == b->columns && n > 1 && n <= COUNT(word);
        for (size_t i = 0; b->alike && i < n; i++) {
            double number;
            int64_t value;
            b->whole = b->whole && is_whole(word[i]);
            b->natural = b->natural && text_i64(word[i], &value) && value >= 0;
            b->alike = i < 2 || text_f64(word[i], &number);
        }
        int64_t before = text_index_count(users), user = text_index_add(users, word[0], e);
        if (user < 0)
            return false;
        b->repeats = user < before;
    }
    return users != NULL;
}

/* Sets r->format to FORMAT_LIGHTGCN or FORMAT_TSV, for a text whose words are separated by blanks. If the text may be
 * either, this is an error. */
static bool lists_or_table(Ratings *r, Arena *a, Error *e)
{
    Blanks b = {0};
    Arena *scratch = arena_new(arena_heap(a), 0);
    bool ok = scratch ? compare_lines(&b, r->content, scratch, e) : fail_memory(e, 4096, "comparing lines");
    arena_free(scratch);
    if (!ok)
        return false;
    if (!b.alike || (b.columns == 2 && b.natural)) /* with two columns, both readings give the same pairs */
        r->format = FORMAT_LIGHTGCN;
    else if (!b.whole || b.repeats)
        r->format = FORMAT_TSV;
    else if (!b.natural)
        r->format = FORMAT_LIGHTGCN; /* this format's error names the number that is no id */
    else
        return fail(e, SP_FORMAT,
                    "%s: may be LightGCN text (user item item ...) or a space-separated table (user item rating%s): "
                    "choose with --format lightgcn or --format tsv",
                    r->path, b.columns > 3 ? " time" : "");
    return true;
}

/* Sets r->separator: to the given one, or the only one in `line`, or the one that makes `line` a header.
 * - `line`: the first line that is not blank, with number `number`.
 * - `rows`: the text from this line on. */
static bool choose_separator(Ratings *r, const Layout *layout, Text line, Text rows, size_t number, Arena *a, Error *e)
{
    char found[3];
    int n = table_separators(line, found), headers = 0;
    r->separator = layout->separator ? layout->separator : found[0];
    for (int i = 0; !layout->separator && n > 1 && i < n; i++) {
        Table t = table_open(rows, found[i], r->path, a);
        Columns c = {0};
        Error ignored = {0};
        t.trim = true;
        if (table_next(&t, &ignored) &&
            columns_find(&c, t.field, t.count, layout->columns, r->path, number, &ignored) && c.header) {
            r->separator = found[i];
            headers++;
        }
        if (ignored.code == SP_MEMORY) {
            *e = ignored;
            return false;
        }
    }
    if (!layout->separator && n > 1 && headers != 1)
        return fail(e, SP_FORMAT,
                    "%s:%zu: the separator may be \"%s\" or \"%s\": choose with --separator colons, comma or semicolon",
                    r->path, number, found[0] == ':' ? "::" : ",", found[n - 1] == ',' ? "," : ";");
    return true;
}

/* Finds the columns, and the format of the table if it is not given, by the first row, which is in t. */
static bool first_row(Ratings *r, const Layout *layout, const Table *t, Columns *c, Error *e)
{
    char names[256];
    if (!columns_find(c, t->field, t->count, layout->columns, r->path, t->line, e))
        return false;
    if (r->format == FORMAT_AUTO)
        r->format = c->header && c->typed                        ? FORMAT_RECBOLE
                    : c->header && c->at[ROLE_PART] != NO_COLUMN ? FORMAT_INTER
                                                                 : FORMAT_TSV;
    if (!c->header && r->format != FORMAT_TSV)
        return fail(e, SP_FORMAT, "%s:%zu: the first line must name the columns, %s", r->path, t->line,
                    r->format == FORMAT_INTER ? "userID and itemID among them"
                                              : "user_id:token and item_id:token among them");
    if (!c->header && !c->given && (t->count < 2 || t->count > 4))
        return fail(e, SP_FORMAT,
                    "%s:%zu: has %zu column%s; a file without column names has user, item[, rating[, time]], separated "
                    "by tabs, commas, semicolons or \"::\"; if the first line has the column names, or the columns are "
                    "others, name them with --columns (%s)",
                    r->path, t->line, t->count, t->count == 1 ? "" : "s",
                    fields_text(t->field, t->count, names, sizeof names));
    return true;
}

/* Sets r->columns, for messages: "user_id, book_id, rating". */
static bool describe_columns(Ratings *r, const Columns *c, const Table *t, Arena *a, Error *e)
{
    r->columns = "";
    for (int role = 0; role < ROLES && r->columns; role++) {
        if (c->at[role] == NO_COLUMN)
            continue;
        Text name = c->header ? t->field[c->at[role]] : text_of(role_names[role]);
        r->columns =
            arena_printf(a, e, "%s%s%.*s", r->columns, *r->columns ? ", " : "", (int)MIN(name.n, (size_t)40), name.p);
    }
    return r->columns != NULL;
}

/* ---- rows ------------------------------------------------------------------------------------ */

typedef struct RatingsReader {
    Ratings *r;
    Columns c;
    size_t rated, timed; /* numbers of rows with a rating, with a time */
    Arena *a;
    Error *e;
} RatingsReader;

/* Allocates space for all rows that the file can have, counted by line ends, or by blanks in LightGCN text. */
static bool make_room(RatingsReader *in)
{
    Ratings *r = in->r;
    bool table = r->format != FORMAT_LIGHTGCN;
    char end = table ? '\n' : ' ';
    size_t rows = 1;
    for (const char *p = r->content.p, *stop = p + r->content.n; (p = memchr(p, end, (size_t)(stop - p))) != NULL; p++)
        rows++;
    return (r->users = text_index_new(in->a, in->e)) && (r->items = text_index_new(in->a, in->e)) &&
           (r->user = NEW(in->a, int32_t, rows, in->e)) && (r->item = NEW(in->a, int32_t, rows, in->e)) &&
           (r->line = NEW(in->a, uint32_t, rows, in->e)) &&
           (!table || in->c.at[ROLE_RATING] == NO_COLUMN || (r->rating = NEW(in->a, float, rows, in->e))) &&
           (!table || in->c.at[ROLE_TIME] == NO_COLUMN || (r->time = NEW(in->a, int64_t, rows, in->e))) &&
           (!table || in->c.at[ROLE_PART] == NO_COLUMN || (r->part = NEW(in->a, int8_t, rows, in->e)));
}

/* Returns the number of an id. A new id must satisfy id_check, because it is written to other files. -1 on failure. */
static int32_t number_id(const RatingsReader *in, TextIndex *ids, Text id, size_t line)
{
    int64_t before = text_index_count(ids), number = text_index_add(ids, id, in->e);
    if (number >= before && !id_check(id, in->r->path, line, in->e))
        return -1;
    if (number > INT32_MAX) {
        fail(in->e, SP_UNSUPPORTED, "%s:%zu: more than %d users or items", in->r->path, line, INT32_MAX);
        return -1;
    }
    return (int32_t)number;
}

/* Fails with the message "file:line: what 'value'". first: the fields of a first row that may be a header, or NULL. */
static bool fail_value(RatingsReader *in, size_t line, const char *what, Text value, const Table *first)
{
    char names[256] = "";
    if (first)
        fields_text(first->field, first->count, names, sizeof names);
    return fail(in->e, SP_FORMAT, "%s:%zu: %s '%.*s'%s%s", in->r->path, line, what, (int)MIN(value.n, (size_t)60),
                value.p, first ? "; if the first line names the columns, --columns must say which: " : "", names);
}

static bool table_row(RatingsReader *in, const Table *t)
{
    Ratings *r = in->r;
    const int *at = in->c.at;
    size_t row = r->count;
    if (t->count != (size_t)in->c.count)
        return fail(in->e, SP_FORMAT, "%s:%zu: has %zu column%s, %s", r->path, t->line, t->count,
                    t->count == 1 ? "" : "s",
                    (size_t)in->c.count == t->count + 1 ? "one fewer than the first line" : "unlike the first line");
    const Table *first = row == 0 && !r->header ? t : NULL;
    Text user = t->field[at[ROLE_USER]], item = t->field[at[ROLE_ITEM]];
    r->line[row] = (uint32_t)t->line;
    if (!user.n || !item.n)
        return fail(in->e, SP_FORMAT, "%s:%zu: the %s id is empty", r->path, t->line, user.n ? "item" : "user");
    if (at[ROLE_RATING] != NO_COLUMN && t->field[at[ROLE_RATING]].n) {
        double rating;
        if (!text_f64(t->field[at[ROLE_RATING]], &rating) || !isfinite((float)rating))
            return fail_value(in, t->line, "the rating is not a number:", t->field[at[ROLE_RATING]], first);
        r->rating[row] = (float)rating;
        r->decimal = r->decimal || memchr(t->field[at[ROLE_RATING]].p, '.', t->field[at[ROLE_RATING]].n);
        in->rated++;
    }
    if (at[ROLE_TIME] != NO_COLUMN && t->field[at[ROLE_TIME]].n) {
        if (!time_parse(t->field[at[ROLE_TIME]], &r->time[row]))
            return fail_value(in, t->line, "the time is not a number:", t->field[at[ROLE_TIME]], first);
        in->timed++;
    }
    if (at[ROLE_PART] != NO_COLUMN) {
        int64_t part;
        if (!text_i64(t->field[at[ROLE_PART]], &part) || part < 0 || part > 2)
            return fail_value(in, t->line, "x_label is not 0, 1 or 2:", t->field[at[ROLE_PART]], NULL);
        r->part[row] = (int8_t)part;
    }
    r->count++;
    return (r->user[row] = number_id(in, r->users, user, t->line)) >= 0 &&
           (r->item[row] = number_id(in, r->items, item, t->line)) >= 0;
}

static bool lightgcn_line(RatingsReader *in, Text line, size_t number)
{
    Ratings *r = in->r;
    Text rest = line, user = {0}, id;
    int32_t u = -1;
    while (text_next(&rest, ' ', &id)) {
        id = text_trim(id);
        int64_t value;
        if (!id.n)
            continue;
        if (!text_i64(id, &value) || value < 0)
            return fail_value(
                in, number, "a line is 'user item item ...' in whole numbers (other formats have tabs or commas), not",
                id, NULL);
        if (!user.n) {
            user = id;
            continue;
        }
        size_t row = r->count++;
        if (u < 0 && (u = number_id(in, r->users, user, number)) < 0)
            return false;
        r->user[row] = u;
        r->line[row] = (uint32_t)number;
        if ((r->item[row] = number_id(in, r->items, id, number)) < 0)
            return false;
    }
    return true;
}

/* ---- a first row that may be a header -------------------------------------------------------- */

static bool all_letters(Text id)
{
    for (size_t i = 0; i < id.n; i++) {
        char c = id.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              (i && (c == '_' || c == '-' || c == ' ' || c == '.'))))
            return false;
    }
    return id.n > 1;
}

static bool occurs_again(const int32_t *id, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (id[i] == id[0])
            return true;
    return false;
}

/* Reports whether the first row's id is not a whole number while the ids of all other rows are. id [n]: numbers in ids.
 */
static bool unlike_the_rest(const int32_t *id, size_t n, const TextIndex *ids)
{
    int64_t value;
    if (n < 2 || text_i64(text_index_at(ids, 0), &value) || occurs_again(id, n))
        return false;
    for (int64_t i = 1; i < text_index_count(ids); i++)
        if (!text_i64(text_index_at(ids, i), &value))
            return false;
    return true;
}

/* Sets Ratings.doubt if the first row may be a header of unknown names. In a file without ratings and times only the
 * ids can show it. Returns false if memory runs out. */
static bool note_doubt(RatingsReader *in, Error *e)
{
    Ratings *r = in->r;
    const Columns *c = &in->c;
    if (r->format == FORMAT_LIGHTGCN || r->header || c->given || in->rated || in->timed)
        return true;
    Text user = text_index_at(r->users, 0), item = text_index_at(r->items, 0);
    bool names = c->half_header || (all_letters(user) && all_letters(item));
    if (!unlike_the_rest(r->user, r->count, r->users) && !unlike_the_rest(r->item, r->count, r->items) &&
        (r->count < 2 || !names || occurs_again(r->user, r->count) || occurs_again(r->item, r->count)))
        return true;
    char text[256];
    fields_text((Text[]){user, item}, 2, text, sizeof text);
    r->doubt = arena_printf(in->a, e,
                            "%s:%u: the first line may name the columns or be an interaction: choose with --columns %s "
                            "(names) or --columns user,item%s (an interaction)",
                            r->path, r->line[0], text,
                            c->count == 3   ? ",rating"
                            : c->count == 4 ? ",rating,time"
                                            : "");
    return r->doubt != NULL;
}

bool ratings_sure(const Ratings *r, Error *e)
{
    return !r->doubt || fail(e, SP_FORMAT, "%s", r->doubt);
}

/* ---- files ----------------------------------------------------------------------------------- */

static bool read_rows(RatingsReader *in, const Layout *layout, Arena *a, Error *e)
{
    Ratings *r = in->r;
    Table t = table_open(r->content, r->separator, r->path, a);
    t.trim = true;
    for (bool begun = false; table_next(&t, e);) {
        if (t.next > UINT32_MAX)
            return fail(e, SP_UNSUPPORTED, "%s: has more than %u lines, the limit", r->path, UINT32_MAX);
        if (!begun) {
            if (!first_row(r, layout, &t, &in->c, e) || !make_room(in) || !describe_columns(r, &in->c, &t, a, e))
                return false;
            begun = true;
            r->header = in->c.header ? (uint32_t)t.line : 0;
            if (r->header)
                continue;
        }
        if (!table_row(in, &t))
            return false;
    }
    return e->code == SP_OK;
}

static bool read_lists(RatingsReader *in, Error *e)
{
    Ratings *r = in->r;
    size_t number = 0;
    r->columns = "user, items";
    if (!make_room(in))
        return false;
    for (Text rest = r->content, line; text_line(&rest, &line);) {
        if (++number > UINT32_MAX)
            return fail(e, SP_UNSUPPORTED, "%s: has more than %u lines, the limit", r->path, UINT32_MAX);
        if (!lightgcn_line(in, line, number))
            return false;
    }
    return true;
}

/* Chooses between lists and a table, and finds the table's separator, by the first line that is not blank. */
static bool choose_format(Ratings *r, const Layout *layout, Arena *a, Error *e)
{
    enum { MOST = 64 };
    size_t number = 0;
    Text rest = r->content, rows = rest, line = {0}, word[MOST];
    while (!text_trim(line).n && text_line(&rest, &line))
        if (number++, !text_trim(line).n)
            rows = rest;
    if (r->format == FORMAT_LIGHTGCN || !text_trim(line).n)
        return true;
    const char *kind = other_text(line);
    if (kind)
        return fail(e, SP_FORMAT,
                    "%s: is %s; a table with a row for each interaction is expected: user, item[, rating[, time]]",
                    r->path, kind);
    if (!choose_separator(r, layout, line, rows, number, a, e))
        return false;
    if (r->format != FORMAT_AUTO || r->separator != ' ' || layout->separator || layout->columns)
        return true;
    /* A table of words separated by blanks has a header with known names. Otherwise lists_or_table decides. */
    Columns c = {0};
    size_t n = words_of(line, word, MOST);
    if (n <= MOST && !columns_find(&c, word, n, NULL, r->path, number, e))
        return false;
    return c.header || lists_or_table(r, a, e);
}

bool ratings_read_as(Ratings *r, const char *path, Format f, const Layout *layout, Arena *a, Error *e)
{
    *r = (Ratings){.path = path, .format = f};
    if (!stream_read(&r->content, a, path, LARGEST_FILE, e) || !text_decode(&r->content, path, a, e) ||
        !choose_format(r, layout, a, e))
        return false;
    RatingsReader in = {.r = r, .a = a, .e = e};
    if (!(r->format == FORMAT_LIGHTGCN ? read_lists(&in, e) : read_rows(&in, layout, a, e)))
        return false;
    if (r->count == 0)
        return fail(e, SP_FORMAT, "%s: holds no interactions", path);
    if (in.rated != 0 && in.rated != r->count)
        return fail(e, SP_FORMAT, "%s: %zu of %zu rows have no rating", path, r->count - in.rated, r->count);
    if (in.timed != 0 && in.timed != r->count)
        return fail(e, SP_FORMAT, "%s: %zu of %zu rows have no time", path, r->count - in.timed, r->count);
    if (!in.timed)
        r->time = NULL;
    if (!in.rated)
        r->rating = NULL;
    return note_doubt(&in, e);
}

bool ratings_read(Ratings *r, const char *path, Format f, Arena *a, Error *e)
{
    return ratings_read_as(r, path, f, &(Layout){0}, a, e) && ratings_sure(r, e);
}

Table ratings_rows(const Ratings *r, Arena *a)
{
    Table t = table_open(r->content, r->format == FORMAT_LIGHTGCN ? 0 : r->separator, r->path, a);
    t.trim = true;
    return t;
}
