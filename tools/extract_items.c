/* extract_items.c: what an extraction runs over: pictures of a folder, rows of a table. */
#include "tools/extract.h"

/* One field of a table at rest: up to `cut` (a tab or a comma) or the line's end; in double quotes it may hold both, and "" is one quote
 * (pandas' reading). */
static bool next_field(Text *rest, char cut, size_t *line, Text *field, bool *last, const char *path, Arena *a, Error *e)
{
    size_t i = 0, from = *line;
    if (rest->n && rest->p[0] == '"') {
        size_t n = 0, end = 1;
        while (end < rest->n && (rest->p[end] != '"' || (end + 1 < rest->n && rest->p[end + 1] == '"')))
            end += rest->p[end] == '"' ? 2 : 1;
        while (end < rest->n && rest->p[end] != cut && rest->p[end] != '\n')
            end++;
        char *copy = arena_alloc(a, end + 1, 1, e);
        if (!copy)
            return false;
        for (i = 1; i < rest->n && (rest->p[i] != '"' || (i + 1 < rest->n && rest->p[i + 1] == '"')); i++) {
            i += rest->p[i] == '"';
            *line += rest->p[i] == '\n';
            copy[n++] = rest->p[i];
        }
        if (i == rest->n)
            return fail(e, SP_FORMAT, "%s:%zu: a field opens a double quote that is never closed", path, from);
        for (i++; i < rest->n && rest->p[i] != cut && rest->p[i] != '\n';
             i++) /* what follows the closing quote belongs to the field */
            if (rest->p[i] != '\r' || i + 1 >= rest->n || rest->p[i + 1] != '\n')
                copy[n++] = rest->p[i];
        *field = (Text){copy, n};
    } else {
        while (i < rest->n && rest->p[i] != cut && rest->p[i] != '\n')
            i++;
        *field = (Text){rest->p, i};
        if (i > 0 && (i == rest->n || rest->p[i] == '\n') && rest->p[i - 1] == '\r')
            field->n--;
    }
    *last = i == rest->n || rest->p[i] == '\n';
    size_t eaten = MIN(i + 1, rest->n);
    *rest = (Text){rest->p + eaten, rest->n - eaten};
    return true;
}

/* The fields of one row; how many there are goes to *n. `keep` are the places wanted, out their fields. */
static bool next_row(Text *rest, char cut, size_t *line, const size_t keep[2], Text out[2], size_t *n, const char *path,
                     Arena *a, Error *e)
{
    Text field;
    bool last = false;
    for (*n = 0; !last; ++*n) {
        if (!next_field(rest, cut, line, &field, &last, path, a, e))
            return false;
        for (int k = 0; k < 2; k++)
            if (*n == keep[k])
                out[k] = field;
    }
    ++*line;
    return true;
}

static bool find_columns(Text *rest, char cut, size_t *line, const char *const names[2], size_t at[2], size_t *columns,
                         const char *path, Arena *a, Error *e)
{
    Text field = {"", 0};
    bool last = false, found[2] = {false, false};
    for (*columns = 0; !last; ++*columns) {
        if (!next_field(rest, cut, line, &field, &last, path, a, e))
            return false;
        for (int k = 0; k < 2; k++)
            if (!found[k] && text_is(field, names[k])) {
                at[k] = *columns;
                found[k] = true;
            }
    }
    ++*line;
    for (int k = 0; k < 2; k++)
        if (!found[k])
            return fail(e, SP_FORMAT, "%s:1: there is no column \"%s\" in the header", path, names[k]);
    return true;
}

/* A header with a tab is cut at tabs, another one at commas. */
static char cut_of(Text rest)
{
    Text header = rest;
    text_line(&rest, &header);
    return memchr(header.p, '\t', header.n) || !memchr(header.p, ',', header.n) ? '\t' : ',';
}

static const char *text_problem(Text text)
{
    return text.n && memchr(text.p, 0, text.n) ? "holds a NUL byte: not a text file"
           : utf8_valid(text, NULL)            ? NULL
                                               : "is not valid UTF-8; convert it (iconv -t UTF-8)";
}

bool table_rows(Input **rows, size_t *count, const char *path, const char *item, const char *text, Arena *a, Error *e)
{
    Text rest, fields[2] = {{"", 0}, {"", 0}};
    const char *const names[2] = {item, text};
    bool in = strcmp(path, "-") == 0;
    size_t at[2] = {0, 0}, columns, line = 1, n = 0, room = 0, got;
    Input *list = NULL;
    if (in)
        path = "standard input";
    if (!(in ? input_read(&rest, a, stdin, path, 0, e) : file_read(&rest, a, path, 0, e)))
        return false;
    if (text_starts(rest, "\xEF\xBB\xBF"))
        rest = (Text){rest.p + 3, rest.n - 3};
    char cut = rest.n ? cut_of(rest) : '\t';
    if (!find_columns(&rest, cut, &line, names, at, &columns, path, a, e))
        return false;
    while (rest.n) {
        size_t here = line;
        if (rest.p[0] == '\n' || text_starts(rest, "\r\n")) { /* pandas skips empty lines */
            size_t eaten = rest.p[0] == '\n' ? 1 : 2;
            rest = (Text){rest.p + eaten, rest.n - eaten};
            line++;
            continue;
        }
        if (!next_row(&rest, cut, &line, at, fields, &got, path, a, e))
            return false;
        if (got != columns)
            return fail(e, SP_FORMAT, "%s:%zu: has %zu columns, the header has %zu", path, here, got, columns);
        if (n == room && !(list = arena_grow(a, list, n, &room, sizeof *list, e)))
            return false;
        if (fields[0].n == 0)
            return fail(e, SP_FORMAT, "%s:%zu: the column \"%s\" is empty", path, here, item);
        if (!id_check(fields[0], path, here, e))
            return false;
        list[n] = (Input){.name = arena_strndup(a, fields[0].p, fields[0].n, e),
                          .text = fields[1],
                          .source = path,
                          .line = here,
                          .problem = text_problem(fields[1])};
        if (!list[n++].name)
            return false;
    }
    if (n == 0)
        return fail(e, SP_FORMAT, "%s: has a header and no rows", path);
    *rows = list;
    *count = n;
    return true;
}

/* Ids that are to be names of files in one folder. */
static bool check_file_names(const Input *rows, size_t n, Error *e)
{
    for (size_t i = 0; i < n; i++) {
        const char *id = rows[i].name;
        if (strchr(id, '/') || strlen(id) > 240 || strcmp(id, ".") == 0 || strcmp(id, "..") == 0)
            return fail(e, SP_FORMAT, "%s:%zu: the id \"%.60s\" cannot be a file's name", rows[i].source, rows[i].line, id);
    }
    return true;
}

bool table_read(Input **rows, size_t *count, const char *path, const char *item, const char *text, Arena *a, Error *e)
{
    if (!table_rows(rows, count, path, item, text, a, e) || !check_file_names(*rows, *count, e))
        return false;
    for (size_t i = 0; i < *count; i++)
        if ((*rows)[i].problem)
            return fail(e, SP_FORMAT, "%s:%zu: %s", path, (*rows)[i].line, (*rows)[i].problem);
    return true;
}

/* Rows whose id came before are left out: Ducho looks rows up by id and takes the first. */
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
        fprintf(notes, "%s: rows that repeat an item: %zu; an item's first row counts\n", x->input, *count - kept);
    *count = kept;
    return seen != NULL;
}

static bool list_pictures(Input **items, size_t *count, const Extraction *x, FILE *notes, Arena *a, Error *e)
{
    FolderEntry *entries;
    size_t n, kept = 0;
    if (!folder_list(&entries, &n, a, x->input, e))
        return false;
    Input *list = NEW(a, Input, n, e);
    TextIndex *ids = text_index_new(a, e);
    if (!list || !ids)
        return false;
    for (size_t i = 0; i < n; i++) {
        const char *name = entries[i].name;
        if (entries[i].is_folder || !is_picture_name(name))
            continue;
        size_t length = strcspn(name, "."); /* Ducho's id: up to the first dot */
        Input *in = &list[kept];
        if (length == 0)
            continue; /* a hidden file */
        if (!(in->picture = path_join(a, x->input, name, e)) || !id_check((Text){name, length}, in->picture, 0, e))
            return false;
        int64_t number = text_index_add(ids, (Text){name, length}, e);
        if (number < 0)
            return false;
        if (number < (int64_t)kept)
            return fail(e, SP_FORMAT, "%s: %s and %s are both item \"%.*s\" (names count up to their first dot)", x->input,
                        path_base(list[number].picture).p, name, (int)length, name);
        in->name = text_index_at(ids, number).p;
        kept++;
    }
    if (kept == 0)
        return fail(e, SP_IO, "%s: holds no picture (.jpg, .jpeg, .png, .webp)", x->input);
    if (notes && kept < n)
        fprintf(notes, "%s: left out, no pictures: %zu\n", x->input, n - kept);
    *items = list;
    *count = kept;
    return true;
}

bool extraction_items(Input **items, size_t *count, const Extraction *x, FILE *notes, Arena *a, Error *e)
{
    if (x->modality == MODALITY_IMAGE)
        return list_pictures(items, count, x, notes, a, e);
    if (!table_rows(items, count, x->input, x->item_column, x->text_column, a, e) || !check_file_names(*items, *count, e) ||
        !drop_repeats(*items, count, x, notes, a, e))
        return false;
    for (size_t i = 0; x->clear_text && i < *count; i++)
        if (!(*items)[i].problem && !clear_text(&(*items)[i].text, a, e))
            return false;
    return true;
}
