/* tools/ducho/extract_items.c: lists the inputs of an extraction: images of a folder, rows of a table. */
// flags: -Os
#include "tools/ducho/extract.h"

static bool find_columns(Table *t, const char *const names[2], size_t at[2], Error *e)
{
    char have[160] = "";
    bool found[2] = {false, false}, some = table_next(t, e);
    if (e->code)
        return false;
    for (size_t i = 0; some && i < t->count; i++)
        for (int k = 0; k < 2; k++)
            if (!found[k] && text_is(t->field[i], names[k])) {
                at[k] = i;
                found[k] = true;
            }
    size_t used = 0;
    for (size_t i = 0; some && i < t->count && used < sizeof have; i++)
        used += (size_t)snprintf(have + used, sizeof have - used, "%s%.*s", i ? ", " : "",
                                 (int)MIN(t->field[i].n, (size_t)40), t->field[i].p);
    for (int k = 0; k < 2; k++)
        if (!found[k])
            return fail(e, SP_FORMAT, "%s:1: the header has no column \"%s\" (%s)", t->name, names[k], have);
    return true;
}

/* Returns the separator of a table of texts: a tab, as in Ducho; a comma or semicolon if the header has both names only
 * with that separator, and no tab. */
static char texts_cut(Text content, const char *path, const char *const names[2], Arena *a)
{
    for (const char *cut = ",;"; *cut; cut++) {
        Error ignored = {0}; /* an error is found again when the table is read */
        Table t = table_open(content, *cut, path, a);
        size_t at[2];
        t.loose = true;
        if (find_columns(&t, names, at, &ignored) && !memchr(t.raw.p, '\t', t.raw.n))
            return *cut;
    }
    return '\t';
}

bool table_rows(Input **rows, size_t *count, const char *path, const char *item, const char *text, Arena *a, Error *e)
{
    Text content;
    const char *const names[2] = {item, text};
    size_t at[2] = {0, 0}, n = 0, room = 1;
    bool in = strcmp(path, "-") == 0;
    Input *list = NULL;
    if (in)
        path = "standard input";
    if (!(in ? input_read(&content, a, stdin, path, 0, e) : stream_read(&content, a, path, 0, e)) ||
        !text_unpack(&content, path, a, e))
        return false;
    Table t = table_open(content, texts_cut(content, path, names, a), path, a);
    t.loose = true;
    if (!find_columns(&t, names, at, e))
        return false;
    size_t columns = t.count;
    for (const char *p = content.p, *end = p + content.n; (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++)
        room++;
    if (!(list = NEW(a, Input, room, e))) /* room for the largest possible number of rows */
        return false;
    while (table_next(&t, e)) {
        if (t.next > UINT32_MAX)
            return fail(e, SP_UNSUPPORTED, "%s: has more than %u lines, the limit", path, UINT32_MAX);
        if (t.count != columns)
            return fail(e, SP_FORMAT, "%s:%zu: has %zu columns, the header has %zu", path, t.line, t.count, columns);
        Text id = t.field[at[0]], words = t.field[at[1]];
        if (id.n == 0)
            return fail(e, SP_FORMAT, "%s:%zu: the column \"%s\" is empty", path, t.line, item);
        if (!id_check(id, path, t.line, e))
            return false;
        list[n] =
            (Input){.name = arena_strndup(a, id.p, id.n, e), .text = words, .source = path, .line = (uint32_t)t.line};
        if (!list[n++].name)
            return false;
    }
    if (e->code)
        return false;
    if (n == 0)
        return fail(e, SP_FORMAT, "%s: has a header but no rows", path);
    *rows = list;
    *count = n;
    return true;
}

/* Checks that ids are valid file names: they become files of one folder. */
static bool check_file_names(const Input *rows, size_t n, Error *e)
{
    for (size_t i = 0; i < n; i++) {
        const char *id = rows[i].name;
        if (strchr(id, '/') || strlen(id) > 240 || strcmp(id, ".") == 0 || strcmp(id, "..") == 0)
            return fail(e, SP_FORMAT, "%s:%u: the id \"%.60s\" cannot be a file name", rows[i].source, rows[i].line,
                        id);
    }
    return true;
}

bool table_read(Input **rows, size_t *count, const char *path, const char *item, const char *text, Arena *a, Error *e)
{
    if (!table_rows(rows, count, path, item, text, a, e) || !check_file_names(*rows, *count, e))
        return false;
    for (size_t i = 0; i < *count; i++)
        if (input_problem(&(*rows)[i]))
            return fail(e, SP_FORMAT, "%s:%u: %s", path, (*rows)[i].line, input_problem(&(*rows)[i]));
    return true;
}

/* ---- texts ----------------------------------------------------------------------------------- */

/* Drops rows with a duplicate id: Ducho looks rows up by their id and uses the first. */
static bool drop_repeats(Input *list, size_t *count, const Extraction *x, FILE *notes, Arena *a, Error *e)
{
    TextIndex *seen = text_index_new(a, e);
    size_t kept = 0;
    for (size_t i = 0; seen && i < *count; i++) {
        int64_t before = text_index_count(seen), number = text_index_add(seen, text_of(list[i].name), e);
        if (number < 0)
            return false;
        if (number == before)
            list[kept++] = list[i];
    }
    if (notes && kept < *count)
        fprintf(notes, "%s: skipped rows with a duplicate item: %zu; the first row of an item is used\n", x->texts,
                *count - kept);
    *count = kept;
    return seen != NULL;
}

/* Reports whether pandas would read the ids as whole numbers and print them unchanged. */
static bool are_numbers(const Input *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *id = rows[i].name, *digits = id + (id[0] == '-');
        int64_t value;
        if (!text_i64(text_of(id), &value) || id[0] == '+' || (digits[0] == '0' && (digits[1] || digits > id)))
            return false;
    }
    return true;
}

/* Returns a text as Python's repr shows it: 'a', or "a'b" if it has a single quote and no double quote. */
static const char *python_text(const char *id, Arena *a, Error *e)
{
    size_t n = strlen(id), m = 0;
    char quote = strchr(id, '\'') && !strchr(id, '"') ? '"' : '\'', *out = arena_alloc(a, 2 * n + 3, 1, e);
    if (!out)
        return NULL;
    out[m++] = quote;
    for (size_t i = 0; i < n; i++) {
        if (id[i] == '\\' || id[i] == quote)
            out[m++] = '\\';
        out[m++] = id[i];
    }
    out[m++] = quote;
    out[m] = 0;
    return out;
}

/* Names interactions as Ducho does: by Python's str((user, item)), such as ('U1', 'I7') or (1, 7). */
static bool name_interactions(Input *rows, size_t n, const Extraction *x, Arena *a, Error *e)
{
    Input *items = NULL;
    size_t item_count = 0;
    if (!table_rows(&items, &item_count, x->texts, x->id_columns[1], x->text_column, a, e))
        return false;
    if (item_count != n)
        return fail(e, SP_IO, "%s: changed while it was read", x->texts);
    bool plain[2] = {are_numbers(rows, n), are_numbers(items, n)};
    for (size_t i = 0; i < n; i++) {
        const char *user = plain[0] ? rows[i].name : python_text(rows[i].name, a, e);
        const char *item = plain[1] ? items[i].name : python_text(items[i].name, a, e);
        if (!user || !item || !(rows[i].name = arena_printf(a, e, "(%s, %s)", user, item)))
            return false;
    }
    return true;
}

static bool clear_texts(Input *rows, size_t n, const Extraction *x, Arena *a, Error *e)
{
    for (size_t i = 0; x->clear_text && i < n; i++)
        if (rows[i].source && !input_problem(&rows[i]) && !clear_text(&rows[i].text, a, e))
            return false;
    return true;
}

static bool list_texts(Input **rows, size_t *count, const Extraction *x, Arena *a, Error *e)
{
    return table_rows(rows, count, x->texts, x->id_columns[0], x->text_column, a, e) &&
           (!x->id_columns[1] || name_interactions(*rows, *count, x, a, e)) && check_file_names(*rows, *count, e);
}

bool extraction_texts(Input **items, size_t *count, const Extraction *x, FILE *notes, Arena *a, Error *e)
{
    return list_texts(items, count, x, a, e) && drop_repeats(*items, count, x, notes, a, e) &&
           clear_texts(*items, *count, x, a, e);
}

bool extraction_pairs(PairedTexts *p, const Input *images, size_t n, const Extraction *x, FILE *notes, Arena *a,
                      Error *e)
{
    Input *rows = NULL;
    size_t count = 0, alone = 0;
    TextIndex *ids = text_index_new(a, e);
    if (!ids || !list_texts(&rows, &count, x, a, e) || (!x->as_ducho && !drop_repeats(rows, &count, x, notes, a, e)))
        return false;
    Input *texts = NEW(a, Input, n, e), *first = NEW(a, Input, count, e);
    bool *used = NEW(a, bool, count, e);
    if (!texts || !first || !used)
        return false;
    /* Ducho takes the id of the row at a position and reads the first row with that id */
    for (size_t i = 0; i < count; i++) {
        int64_t number = text_index_add(ids, text_of(rows[i].name), e);
        if (number < 0)
            return false;
        if (number + 1 == text_index_count(ids) && !first[number].name)
            first[number] = rows[i];
    }
    for (size_t i = 0; i < n; i++) {
        const char *id = x->as_ducho ? i < count ? rows[i].name : NULL : images[i].name;
        int64_t number = id ? text_index_find(ids, text_of(id)) : -1;
        if (number >= 0) {
            texts[i] = first[number];
            used[x->as_ducho ? i : (size_t)number] = true;
        }
        texts[i].name = images[i].name;
    }
    for (size_t i = 0; i < count; i++)
        if (!used[i])
            rows[alone++] = rows[i];
    *p = (PairedTexts){texts, rows, alone};
    return clear_texts(texts, n, x, a, e);
}

/* ---- images ---------------------------------------------------------------------------------- */

/* Returns the length of an image's id in the name of its file. */
static size_t id_length(const char *name, bool as_ducho)
{
    const char *last = strrchr(name, '.');
    return as_ducho ? strcspn(name, ".") : last ? (size_t)(last - name) : strlen(name);
}

bool extraction_images(Input **items, size_t *count, const Extraction *x, FILE *notes, Arena *a, Error *e)
{
    FolderEntry *entries;
    size_t n, kept = 0;
    if (!folder_list(&entries, &n, a, x->images, e))
        return false;
    Input *list = NEW(a, Input, n, e);
    TextIndex *ids = text_index_new(a, e);
    if (!list || !ids)
        return false;
    for (size_t i = 0; i < n; i++) {
        const char *name = entries[i].name;
        if (entries[i].is_folder || !is_image_name(name))
            continue;
        size_t length = id_length(name, x->as_ducho);
        Input *in = &list[kept];
        if (name[0] == '.')
            continue; /* a hidden file */
        if (!(in->image = path_join(a, x->images, name, e)) || !id_check((Text){name, length}, in->image, 0, e))
            return false;
        int64_t number = text_index_add(ids, (Text){name, length}, e);
        if (number < 0)
            return false;
        if (number < (int64_t)kept)
            return fail(e, SP_FORMAT,
                        "%s: %s and %s have the same item id \"%.*s\" (the file name %s); rename one of them",
                        x->images, path_base(list[number].image).p, name, (int)length, name,
                        x->as_ducho ? "up to the first dot" : "without its ending");
        in->name = text_index_at(ids, number).p;
        kept++;
    }
    if (kept == 0)
        return fail(e, SP_IO, "%s: holds no image (.jpg, .jpeg, .png, .webp)", x->images);
    if (notes && kept < n)
        fprintf(notes, "%s: skipped files that are not images: %zu\n", x->images, n - kept);
    *items = list;
    *count = kept;
    return true;
}
