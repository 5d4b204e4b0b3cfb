/* recsys/data/prepare/tables.c: reads tables of items: MovieLens, RecBole's .item, and any table with column names. */
// flags: -Os
#include "recsys/data/prepare/prepare.h"

static const size_t LARGEST_TABLE = (size_t)1 << 34;

typedef enum ItemColumn { COLUMN_ITEM, COLUMN_TITLE, COLUMN_DESCRIPTION, COLUMN_URL, COLUMN_MORE, COLUMNS } ItemColumn;

/* Names in lower case, without '_', '-', '.', blanks and RecBole's type. If several columns of the file fit, the one
 * whose name is first here is used. */
static const char *const NAMES[COLUMNS] = {
    [COLUMN_ITEM] = "itemid item iid asin parentasin productid movieid id",
    [COLUMN_TITLE] = "title movietitle itemname name",
    [COLUMN_DESCRIPTION] = "description overview plot text",
    [COLUMN_URL] = "imurl imageurl imageurlhighres image url poster posterurl",
    [COLUMN_MORE] = "genres genre class categories category brand",
};

/* The columns after the first five of MovieLens 100K's u.item. */
static const char *const GENRES[] = {"unknown",   "Action",   "Adventure",   "Animation", "Children's",
                                     "Comedy",    "Crime",    "Documentary", "Drama",     "Fantasy",
                                     "Film-Noir", "Horror",   "Musical",     "Mystery",   "Romance",
                                     "Sci-Fi",    "Thriller", "War",         "Western"};

/* Copies genres that are separated by '|'. In the copy, each genre is followed by a blank. */
static bool blank_separated(Arena *a, Text text, Text *out, Error *e)
{
    char *copy = arena_strndup(a, text.n ? text.p : "", text.n, e);
    for (size_t i = 0; copy && i < text.n; i++)
        if (copy[i] == '|')
            copy[i] = ' ';
    *out = (Text){copy, text.n};
    return copy && (!text.n || (out->p = arena_printf(a, e, "%s ", copy), out->n++, out->p != NULL));
}

/* Makes the genres whose flags [19] are 1, each followed by a blank. */
static bool genres_of(Arena *a, const Text *flags, Text *out, Error *e)
{
    const char *text = "";
    for (size_t i = 0; text && i < COUNT(GENRES); i++)
        if (text_is(flags[i], "1"))
            text = arena_printf(a, e, "%s%s ", text, GENRES[i]);
    *out = text_of(text ? text : "");
    return text != NULL;
}

/* Reads a row of MovieLens, whose columns have no names: id|title|...|19 flags, or id::title::genres. */
static bool movielens_row(Preparation *p, const Table *t, Arena *scratch, Error *e)
{
    size_t columns = t->separator == '|' ? 5 + COUNT(GENRES) : 3;
    if (t->count != columns)
        return fail(e, SP_FORMAT, "%s:%zu: has %zu columns, %zu are expected", t->name, t->line, t->count, columns);
    ItemInfo in = {.title = t->field[1]};
    return (t->separator == '|' ? genres_of(scratch, t->field + 5, &in.more, e)
                                : blank_separated(scratch, t->field[2], &in.more, e)) &&
           item_note(p, t->field[0], &in, e);
}

/* Finds the column of each ItemColumn by the names in the first row; NO_COLUMN: none. Only an item column must exist.
 */
static bool find_columns(int at[COLUMNS], const Table *t, Error *e)
{
    char names[256];
    for (int k = 0; k < COLUMNS; k++) {
        int best = INT32_MAX;
        at[k] = NO_COLUMN;
        for (size_t i = 0; i < t->count; i++) {
            int place = column_place(NAMES[k], t->field[i]);
            if (place >= 0 && place < best) {
                best = place;
                at[k] = (int)i;
            }
        }
    }
    return at[COLUMN_ITEM] != NO_COLUMN ||
           fail(e, SP_FORMAT, "%s:%zu: the first line names no column of items (item, asin, movieId, ...): %s", t->name,
                t->line, fields_text(t->field, t->count, names, sizeof names));
}

static bool named_row(Preparation *p, const Table *t, const int at[COLUMNS], size_t columns, Arena *scratch, Error *e)
{
    if (t->count != columns)
        return fail(e, SP_FORMAT, "%s:%zu: has %zu column%s, unlike the first line", t->name, t->line, t->count,
                    t->count == 1 ? "" : "s");
    Text value[COLUMNS] = {{0}};
    for (int k = 0; k < COLUMNS; k++)
        if (at[k] != NO_COLUMN)
            value[k] = t->field[at[k]];
    ItemInfo in = {.title = value[COLUMN_TITLE], .description = value[COLUMN_DESCRIPTION], .url = value[COLUMN_URL]};
    return blank_separated(scratch, value[COLUMN_MORE], &in.more, e) && item_note(p, value[COLUMN_ITEM], &in, e);
}

/* Converts Latin-1: each byte is a code point. */
static bool from_latin1(Text *content, Arena *a, Error *e)
{
    char *out = arena_alloc(a, 2 * content->n + 1, 1, e);
    size_t n = 0;
    for (size_t i = 0; out && i < content->n; i++)
        n += utf8_encode((unsigned char)content->p[i], out + n);
    *content = (Text){out, n};
    return out != NULL;
}

/* Files of MovieLens, which are recognised by their first line, may be Latin-1. All others are UTF-8. */
static bool decode(Preparation *p, Text *content, bool movielens, Arena *a, Error *e)
{
    if (movielens && !utf8_valid(*content, NULL) && !memchr(content->p, 0, content->n)) {
        p->result.latin1 = true;
        return from_latin1(content, a, e);
    }
    return text_decode(content, p->c->meta, a, e);
}

static bool read_rows(Preparation *p, Text content, char separator, bool movielens, Arena *a, Error *e)
{
    Table t = table_open(content, separator, p->c->meta, a);
    t.quotes = !movielens;
    t.loose = true;
    t.trim = true;
    int at[COLUMNS];
    size_t columns = 0;
    while (table_next(&t, e)) {
        ArenaMark mark = arena_mark(p->scratch);
        if (!movielens && !columns) {
            columns = t.count;
            if (!find_columns(at, &t, e))
                return false;
        } else if (!(movielens ? movielens_row(p, &t, p->scratch, e) : named_row(p, &t, at, columns, p->scratch, e))) {
            return false;
        }
        arena_rewind(p->scratch, mark);
    }
    return e->code == SP_OK;
}

bool metadata_table(Preparation *p, const char *path, Error *e)
{
    Arena *a = arena_new(arena_heap(p->arena), 0);
    Text content = {0}, rest, line = {0};
    bool ok = a ? stream_read(&content, a, path, LARGEST_TABLE, e) && text_unpack(&content, path, a, e)
                : fail_memory(e, 4096, path);
    if (ok) {
        rest = content;
        while (!text_trim(line).n && text_line(&rest, &line))
            continue;
        char found[3] = {0};
        /* u.item of MovieLens 100K is recognised by "|0|" in its first line: a film has a flag for each genre, and
         * several flags of the first film are 0. */
        bool piped = !memchr(line.n ? line.p : "", '\t', line.n) && memmem(line.n ? line.p : "", line.n, "|0|", 3);
        if (!piped)
            table_separators(line, found);
        char separator = piped ? '|' : found[0];
        bool movielens = piped || separator == ':';
        ok = (text_trim(line).n || fail(e, SP_FORMAT, "%s: is empty; a table of items is expected", path)) &&
             decode(p, &content, movielens, a, e) && read_rows(p, content, separator, movielens, a, e);
    }
    arena_free(a);
    return ok;
}
