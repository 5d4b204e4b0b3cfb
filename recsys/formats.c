/* recsys/formats.c: who took what, from the text files that people have. */
#include "recsys/recsys.h"

#include <math.h>
#include <stdlib.h>

enum { NO_COLUMN = -1, MAX_COLUMNS = 256 };
static const size_t LARGEST_FILE = (size_t)1 << 38;

/* Where the columns stand; NO_COLUMN where absent. */
typedef struct Columns {
    char cut; /* '\t', ',' or ' ' */
    int count;
    int user, item, rating, time, part;
} Columns;

Format format_find(const char *name)
{
    static const char *const names[] = {"auto", "tsv", "inter", "recbole", "lightgcn"};
    for (size_t i = 0; i < COUNT(names); i++)
        if (!strcmp(name, names[i]))
            return (Format)i;
    return !strcmp(name, "csv") ? FORMAT_TSV : (Format)-1;
}

/* Takes the next column from the line; a quoted one ends at its closing quote, which must be followed by a cut. */
static bool next_column(Text *rest, char cut, Text *column)
{
    if (!rest->p)
        return false;
    if (cut == ',' && rest->n > 1 && rest->p[0] == '"') {
        const char *end = memchr(rest->p + 1, '"', rest->n - 1);
        size_t taken = end ? (size_t)(end - rest->p) + 1 : 0;
        if (end && (taken == rest->n || rest->p[taken] == cut)) {
            *column = (Text){rest->p + 1, taken - 2};
            *rest = taken == rest->n ? (Text){NULL, 0} : (Text){rest->p + taken + 1, rest->n - taken - 1};
            return true;
        }
    }
    bool some = text_next(rest, cut, column);
    if (some)
        *column = text_trim(*column);
    return some;
}

static char cut_of(Text line)
{
    return memchr(line.p, '\t', line.n) ? '\t' : memchr(line.p, ',', line.n) ? ',' : ' ';
}

/* ---- headers -------------------------------------------------------------------------------------------------------------
 */

static bool is_one_of(Text name, const char *const *names)
{
    for (; *names; names++)
        if (name.n == strlen(*names) && !strncasecmp(name.p, *names, name.n))
            return true;
    return false;
}

/* Reads the line as column names. False where it names no user and item: then it is a row. A RecBole name ends in its type.
 */
static bool read_header(Text line, Columns *c, bool *typed)
{
    static const char *const users[] = {"user", "userid", "user_id", "uid", "reviewerid", "reviewer_id", NULL};
    static const char *const items[] = {"item",     "itemid",  "item_id",   "iid",        "asin",        "movie", "movieid",
                                        "movie_id", "product", "productid", "product_id", "parent_asin", NULL};
    static const char *const ratings[] = {"rating", "ratings", "score", "overall", "stars", NULL};
    static const char *const times[] = {"timestamp", "time", "unixreviewtime", NULL};
    static const char *const parts[] = {"x_label", NULL};
    struct {
        const char *const *names;
        int *at;
    } known[] = {{users, &c->user}, {items, &c->item}, {ratings, &c->rating}, {times, &c->time}, {parts, &c->part}};
    *c = (Columns){cut_of(line), 0, NO_COLUMN, NO_COLUMN, NO_COLUMN, NO_COLUMN, NO_COLUMN};
    *typed = false;
    for (Text rest = line, name; c->count < MAX_COLUMNS && next_column(&rest, c->cut, &name); c->count++) {
        const char *colon = name.n ? memchr(name.p, ':', name.n) : NULL;
        if (colon) {
            *typed = true;
            name.n = (size_t)(colon - name.p);
        }
        for (size_t k = 0; k < COUNT(known); k++)
            if (*known[k].at == NO_COLUMN && is_one_of(name, known[k].names))
                *known[k].at = c->count;
    }
    return c->user != NO_COLUMN && c->item != NO_COLUMN;
}

/* ---- rows
 * ------------------------------------------------------------------------------------------------------------------ */

typedef struct Reader {
    Ratings *r;
    size_t rated, timed; /* rows that have one */
    Arena *a;
    Error *e;
} Reader;

/* Room for all rows that the file can hold, counted by its line ends or, of LightGCN's, its blanks. */
static bool make_room(Reader *in, const Columns *c)
{
    Ratings *r = in->r;
    char end = r->format == FORMAT_LIGHTGCN ? ' ' : '\n';
    size_t most = 1;
    for (const char *p = r->content.p, *stop = p + r->content.n; (p = memchr(p, end, (size_t)(stop - p))) != NULL; p++)
        most++;
    bool table = r->format != FORMAT_LIGHTGCN;
    return (r->user = NEW(in->a, Text, most, in->e)) && (r->item = NEW(in->a, Text, most, in->e)) &&
           (r->rating = NEW(in->a, double, most, in->e)) && (r->line = NEW(in->a, uint32_t, most, in->e)) &&
           (!table || c->time == NO_COLUMN || (r->time = NEW(in->a, int64_t, most, in->e))) &&
           (!table || c->part == NO_COLUMN || (r->part = NEW(in->a, int8_t, most, in->e)));
}

static bool at_line(Reader *in, uint32_t line, const char *what, Text value)
{
    int shown = (int)MIN(value.n, (size_t)60);
    return fail(in->e, SP_FORMAT, "%s:%u: %s '%.*s'", in->r->path, line, what, shown, value.p);
}

static bool table_row(Reader *in, const Columns *c, Text line, uint32_t number)
{
    Text column[MAX_COLUMNS] = {0};
    int n = 0;
    for (Text rest = line, x; next_column(&rest, c->cut, &x); n++)
        if (n < MAX_COLUMNS)
            column[n] = x;
    Ratings *r = in->r;
    if (n != c->count)
        return fail(in->e, SP_FORMAT, "%s:%u: has %d column%s, %s", r->path, number, n, n == 1 ? "" : "s",
                    c->count == n + 1 ? "one fewer than the first line" : "unlike the first line");
    size_t at = r->count;
    r->user[at] = column[c->user];
    r->item[at] = column[c->item];
    r->rating[at] = 1;
    r->line[at] = number;
    if (!r->user[at].n || !r->item[at].n)
        return fail(in->e, SP_FORMAT, "%s:%u: the %s id is empty", r->path, number, r->user[at].n ? "item" : "user");
    if (c->rating != NO_COLUMN && column[c->rating].n) {
        if (!text_f64(column[c->rating], &r->rating[at]) || !isfinite((float)r->rating[at]))
            return at_line(in, number, "the rating is not a number:", column[c->rating]);
        in->rated++;
    }
    if (c->time != NO_COLUMN && column[c->time].n) {
        double seconds;
        if (!text_i64(column[c->time], &r->time[at])) {
            if (!text_f64(column[c->time], &seconds) || !(fabs(seconds) < 0x1p62))
                return at_line(in, number, "the time is not a number:", column[c->time]);
            r->time[at] = (int64_t)floor(seconds);
        }
        in->timed++;
    }
    if (c->part != NO_COLUMN) {
        int64_t part;
        if (!text_i64(column[c->part], &part) || part < 0 || part > 2)
            return at_line(in, number, "x_label is not 0, 1 or 2:", column[c->part]);
        r->part[at] = (int8_t)part;
    }
    r->count++;
    return true;
}

static bool lightgcn_line(Reader *in, Text line, uint32_t number)
{
    Ratings *r = in->r;
    Text rest = line, user = {0}, id;
    while (text_next(&rest, ' ', &id)) {
        id = text_trim(id);
        int64_t value;
        if (!id.n)
            continue;
        if (!text_i64(id, &value) || value < 0)
            return at_line(in, number,
                           "a line is 'user item item ...' in whole numbers (other formats have tabs or commas), not", id);
        if (!user.n) {
            user = id;
            continue;
        }
        r->user[r->count] = user;
        r->item[r->count] = id;
        r->rating[r->count] = 1;
        r->line[r->count++] = number;
    }
    return true;
}

/* Refuses bytes that no id may hold, with the line where they stand. */
static bool check_bytes(const Ratings *r, Error *e)
{
    const char *nul = r->content.n ? memchr(r->content.p, 0, r->content.n) : NULL;
    size_t bad = nul ? (size_t)(nul - r->content.p) : 0;
    if (!nul && utf8_valid(r->content, &bad))
        return true;
    size_t line = 1;
    for (size_t i = 0; i < bad; i++)
        line += r->content.p[i] == '\n';
    return fail(e, SP_FORMAT, "%s:%zu: %s", r->path, line, nul ? "holds a NUL byte: not a text file" : "is not valid UTF-8");
}

/* What the first line says: the format, where the columns are, whether it is a header. */
static bool first_line(Ratings *r, Text line, Columns *c, bool *header, Error *e)
{
    bool typed;
    *header = read_header(line, c, &typed);
    if (r->format == FORMAT_AUTO)
        r->format = *header               ? typed                  ? FORMAT_RECBOLE
                                            : c->part != NO_COLUMN ? FORMAT_INTER
                                                                   : FORMAT_TSV
                    : cut_of(line) == ' ' ? FORMAT_LIGHTGCN
                                          : FORMAT_TSV;
    if (r->format == FORMAT_LIGHTGCN)
        return true;
    if (!*header && r->format != FORMAT_TSV)
        return fail(e, SP_FORMAT, "%s:1: the first line must name the columns, %s", r->path,
                    r->format == FORMAT_INTER ? "userID and itemID among them"
                                              : "user_id:token and item_id:token among them");
    if (*header)
        return true;
    if (c->count < 2 || c->count > 4)
        return fail(
            e, SP_FORMAT,
            "%s:1: has %d column%s; a file without column names has user, item[, rating[, time]] between tabs or commas",
            r->path, c->count, c->count == 1 ? "" : "s");
    *c = (Columns){c->cut, c->count, 0, 1, c->count > 2 ? 2 : NO_COLUMN, c->count > 3 ? 3 : NO_COLUMN, NO_COLUMN};
    return true;
}

bool ratings_read(Ratings *r, const char *path, Format f, Arena *a, Error *e)
{
    *r = (Ratings){.path = path, .format = f};
    if (!file_read(&r->content, a, path, LARGEST_FILE, e))
        return false;
    if (text_starts(r->content, "\xEF\xBB\xBF"))
        r->content = (Text){r->content.p + 3, r->content.n - 3};
    if (!check_bytes(r, e))
        return false;
    Reader in = {.r = r, .a = a, .e = e};
    Columns c = {0};
    uint32_t number = 0;
    bool begun = false;
    for (Text rest = r->content, line; text_line(&rest, &line);) {
        if (number == UINT32_MAX)
            return fail(e, SP_UNSUPPORTED, "%s: has more than %u lines", path, UINT32_MAX);
        number++;
        if (!text_trim(line).n)
            continue;
        if (!begun) {
            bool header;
            if (!first_line(r, line, &c, &header, e))
                return false;
            if (!make_room(&in, &c))
                return false;
            begun = true;
            r->header = header && r->format != FORMAT_LIGHTGCN ? number : 0;
            if (r->header)
                continue;
        }
        if (!(r->format == FORMAT_LIGHTGCN ? lightgcn_line(&in, line, number) : table_row(&in, &c, line, number)))
            return false;
    }
    if (r->count == 0)
        return fail(e, SP_FORMAT, "%s: holds no interactions", path);
    if (in.rated != 0 && in.rated != r->count)
        return fail(e, SP_FORMAT, "%s: %zu of %zu rows have no rating", path, r->count - in.rated, r->count);
    if (in.timed != 0 && in.timed != r->count)
        return fail(e, SP_FORMAT, "%s: %zu of %zu rows have no time", path, r->count - in.timed, r->count);
    if (!in.timed)
        r->time = NULL;
    return true;
}
