/* recsys/data/prepare/write.c: writes the files of a preparation (docs/formats.md). All files appear together. */
// flags: -Os
#include "recsys/data/prepare/prepare.h"

typedef struct Writer { /* the state of writing a file */
    const Preparation *p;
    Out *o;
    Error *e;
    char rating[32]; /* the text of a rating, with 2 bytes for ".0" */
} Writer;

/* ---- fields ---------------------------------------------------------------------------------- */

/* Writes a text as a field of a TSV, as pandas does (RFC 4180): in quotes if it contains a separator, a quote or a line
 * end. */
static bool write_text(Writer *w, Text text)
{
    bool quoted = false;
    for (size_t i = 0; i < text.n && !quoted; i++)
        quoted = text.p[i] == '\t' || text.p[i] == '"' || text.p[i] == '\n' || text.p[i] == '\r';
    if (!quoted)
        return out_write(w->o, text.p, text.n, w->e);
    bool ok = out_write(w->o, "\"", 1, w->e);
    for (Text rest = text, part; ok && rest.n;) {
        const char *quote = memchr(rest.p, '"', rest.n);
        part = (Text){rest.p, quote ? (size_t)(quote - rest.p) + 1 : rest.n};
        ok = out_write(w->o, part.p, part.n, w->e) && (!quote || out_write(w->o, "\"", 1, w->e));
        rest = (Text){rest.p + part.n, rest.n - part.n};
    }
    return ok && out_write(w->o, "\"", 1, w->e);
}

/* Returns the shortest digits that give the same float, as pandas prints them: with a decimal point if the source has
 * one. */
static const char *rating_text(Writer *w, float rating)
{
    double back = 0;
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(w->rating, sizeof w->rating - 2, "%.*g", digits, (double)rating);
        for (char *c = w->rating; *c; c++)
            if (*c == ',')
                *c = '.'; /* the decimal point of a locale */
        if (text_f64(text_of(w->rating), &back) && (float)back == rating)
            break;
    }
    if (w->p->decimal && !strpbrk(w->rating, ".e"))
        strcat(w->rating, ".0");
    return w->rating;
}

static bool write_id(Writer *w, const TextIndex *ids, const int32_t *number, int32_t id)
{
    return number ? out_printf(w->o, w->e, "%d", number[id]) : out_tsv_field(w->o, text_index_at(ids, id), w->e);
}

/* Reports whether times are written; Ducho's files have none. */
static bool writes_times(const Preparation *p)
{
    return p->r.time && p->c->recipe != RECIPE_DUCHO;
}

static bool write_row(Writer *w, size_t row)
{
    const Preparation *p = w->p;
    const Ratings *r = &p->r;
    bool times = writes_times(p);
    bool ok = write_id(w, r->users, p->user_number, r->user[row]) && out_write(w->o, "\t", 1, w->e) &&
              write_id(w, r->items, p->item_number, r->item[row]);
    if (ok && (p->rated || times))
        ok = out_printf(w->o, w->e, "\t%s", rating_text(w, r->rating[row]));
    if (ok && times)
        ok = out_printf(w->o, w->e, "\t%lld", (long long)r->time[row]);
    return ok;
}

/* ---- files ----------------------------------------------------------------------------------- */

static bool write_rows(Writer *w, int part)
{
    bool ok = true;
    for (size_t i = 0; ok && i < w->p->r.count; i++)
        if (part < 0 || w->p->part[i] == part)
            ok = write_row(w, i) && out_write(w->o, "\n", 1, w->e);
    return ok;
}

static bool write_all(Writer *w)
{
    return write_rows(w, -1);
}

static bool write_train(Writer *w)
{
    return write_rows(w, 0);
}

static bool write_valid(Writer *w)
{
    return write_rows(w, 1);
}

static bool write_test(Writer *w)
{
    return write_rows(w, 2);
}

static bool write_inter(Writer *w)
{
    const Preparation *p = w->p;
    bool times = writes_times(p);
    bool ok = out_printf(w->o, w->e, "userID\titemID%s%s\tx_label\n", p->rated || times ? "\trating" : "",
                         times ? "\ttimestamp" : "");
    for (size_t i = 0; ok && i < p->r.count; i++)
        ok = write_row(w, p->order[i]) && out_printf(w->o, w->e, "\t%d\n", p->part[p->order[i]]);
    return ok;
}

/* Returns the text that MMRec encodes: title, brand, categories and description. A missing text and a line end become a
 * blank. */
static const char *sentence(const Preparation *p, const ItemInfo *in, Error *e)
{
    Text title = in->title.n ? in->title : TEXT(" "), about = in->description.n ? in->description : TEXT(" ");
    char *text = arena_alloc(p->scratch, title.n + in->more.n + about.n + 2, 1, e);
    if (!text)
        return NULL;
    memcpy(text, title.p, title.n);
    text[title.n] = ' ';
    if (in->more.n)
        memcpy(text + title.n + 1, in->more.p, in->more.n);
    memcpy(text + title.n + 1 + in->more.n, about.p, about.n);
    for (char *c = text; *c; c++)
        if (*c == '\n')
            *c = ' ';
    return text;
}

static bool write_item(Writer *w, int32_t item, bool urls)
{
    const Preparation *p = w->p;
    const ItemInfo *in = &p->info[p->origin[item]];
    bool ducho = p->c->recipe == RECIPE_DUCHO;
    if (urls && !in->url.n)
        return true;
    bool ok = write_id(w, p->r.items, p->item_number, item);
    Text fields[] = {in->title, in->description, in->url};
    for (size_t i = urls ? 2 : ducho ? 1 : 0; ok && i < COUNT(fields); i++)
        ok = out_write(w->o, "\t", 1, w->e) && write_text(w, fields[i]);
    ArenaMark mark = arena_mark(p->scratch);
    if (ok && !ducho && !urls) {
        const char *text = sentence(p, in, w->e);
        ok = text && out_write(w->o, "\t", 1, w->e) && write_text(w, text_of(text));
    }
    arena_rewind(p->scratch, mark);
    return ok && out_write(w->o, "\n", 1, w->e);
}

/* Writes one line per item, in the order of the numbers that are written. urls: only ids and image urls. */
static bool write_each(Writer *w, bool urls, const char *header)
{
    const Preparation *p = w->p;
    int64_t items = text_index_count(p->r.items);
    ArenaMark mark = arena_mark(p->scratch);
    int32_t *at = NEW(p->scratch, int32_t, items, w->e);
    bool ok = at && out_printf(w->o, w->e, "%s\n", header);
    for (int32_t i = 0; ok && i < items; i++) /* in the order of their numbers */
        at[p->item_number ? p->item_number[i] : i] = i;
    for (int64_t i = 0; ok && i < items; i++)
        ok = write_item(w, at[i], urls);
    arena_rewind(p->scratch, mark);
    return ok;
}

static bool write_items(Writer *w)
{
    return write_each(w, false,
                      w->p->c->recipe == RECIPE_DUCHO   ? "asin\tdescription\timUrl"
                      : w->p->c->recipe == RECIPE_MMREC ? "itemID\ttitle\tdescription\timUrl\ttext"
                                                        : "item\ttitle\tdescription\timUrl\ttext");
}

static bool write_urls(Writer *w)
{
    return write_each(w, true, "item\turl");
}

/* Writes the items without an image (if `image` is true) or without a text: their ids, and the reason. The items are
 * those of the output and those that prepare_filter left out. */
static bool write_missing(Writer *w, bool image)
{
    const Preparation *p = w->p;
    int64_t all = text_index_count(p->all), kept = text_index_count(p->r.items);
    ArenaMark mark = arena_mark(p->scratch);
    bool *is_kept = NEW(p->scratch, bool, all, w->e), ok = is_kept != NULL;
    for (int64_t i = 0; ok && i < kept; i++)
        is_kept[p->origin[i]] = true;
    for (int64_t i = 0; ok && i < all; i++) {
        uint8_t lack = image ? p->info[i].image_lack : p->info[i].text_lack;
        if (lack && (is_kept[i] || p->dropped[i]))
            ok = out_tsv_field(w->o, text_index_at(p->all, i), w->e) &&
                 out_printf(w->o, w->e, "\t%s\n", lack_names[lack]);
    }
    arena_rewind(p->scratch, mark);
    return ok;
}

static bool write_no_image(Writer *w)
{
    return write_missing(w, true);
}

static bool write_no_text(Writer *w)
{
    return write_missing(w, false);
}

/* Writes the table from ids to their numbers, in the order of the numbers. */
static bool write_map(Writer *w, const TextIndex *ids, const int32_t *number, const char *header)
{
    int64_t n = text_index_count(ids);
    ArenaMark mark = arena_mark(w->p->scratch);
    int32_t *at = NEW(w->p->scratch, int32_t, n, w->e);
    bool ok = at && out_printf(w->o, w->e, "%s\n", header);
    for (int32_t i = 0; ok && i < n; i++)
        at[number[i]] = i;
    for (int32_t i = 0; ok && i < n; i++)
        ok = out_tsv_field(w->o, text_index_at(ids, at[i]), w->e) && out_printf(w->o, w->e, "\t%d\n", i);
    arena_rewind(w->p->scratch, mark);
    return ok;
}

static bool write_user_map(Writer *w)
{
    return write_map(w, w->p->r.users, w->p->user_number,
                     w->p->c->recipe == RECIPE_MMREC ? "user_id\tuserID" : "user\tnumber");
}

static bool write_item_map(Writer *w)
{
    return write_map(w, w->p->r.items, w->p->item_number,
                     w->p->c->recipe == RECIPE_MMREC ? "asin\titemID" : "item\tnumber");
}

/* ---- the set --------------------------------------------------------------------------------- */

typedef struct OutFile {
    const char *name;
    bool (*write)(Writer *w);
    bool written; /* this preparation writes the file */
} OutFile;
enum { MOST_FILES = 12 };

/* Lists the files of a preparation. The first one appears last. Files that this preparation does not write may exist
 * from an earlier one. */
static size_t list_files(OutFile list[MOST_FILES], const Preparation *p, const char *inter)
{
    const PrepareConfig *c = p->c;
    bool ducho = c->recipe == RECIPE_DUCHO, mmrec = c->recipe == RECIPE_MMREC;
    bool parts = p->part && !c->inter;
    const OutFile files[] = {
        {ducho ? "reviews.tsv" : "interactions.tsv", write_all, !c->inter},
        {inter, write_inter, c->inter},
        {"train.tsv", write_train, parts},
        {"val.tsv", write_valid, parts && p->result.parts[1]},
        {"test.tsv", write_test, parts && p->result.parts[2]},
        {ducho ? "meta.tsv" : "items.tsv", write_items, c->meta},
        {"images.tsv", write_urls, c->meta},
        {"missing_visual.tsv", write_no_image, p->info},
        {"missing_textual.tsv", write_no_text, c->meta},
        {mmrec ? "u_id_mapping.csv" : "users.tsv", write_user_map, c->number},
        {mmrec ? "i_id_mapping.csv" : "item_numbers.tsv", write_item_map, c->number},
    };
    memcpy(list, files, sizeof files);
    return COUNT(files);
}

/* Returns the name of MMRec's file: that of its folder, or data.inter if the folder has no name of its own ("." or
 * ".."). */
static const char *inter_name(Preparation *p, Error *e)
{
    Text base = text_of(p->c->out);
    while (base.n > 1 && base.p[base.n - 1] == '/')
        base.n--;
    const char *slash = base.n ? memrchr(base.p, '/', base.n) : NULL;
    if (slash)
        base = (Text){slash + 1, base.n - (size_t)(slash + 1 - base.p)};
    bool plain = base.n && !text_is(base, ".") && !text_is(base, "..");
    return plain ? arena_printf(p->arena, e, "%.*s.inter", (int)base.n, base.p) : "data.inter";
}

/* Makes the paths of the files. Fails if an input would be overwritten, or if a file of an earlier preparation exists
 * that this one does not write. */
static bool check_files(Preparation *p, const OutFile *list, const char **path, size_t n, Error *e)
{
    const PrepareConfig *c = p->c;
    FileSet *inputs = file_set_new(p->arena, e);
    if (!inputs || (c->meta && !file_set_add(inputs, c->meta, e)))
        return false;
    for (size_t i = 0; i < c->source_count; i++)
        if (!file_set_add(inputs, c->sources[i], e))
            return false;
    for (size_t i = 0; i < n; i++) {
        if (!(path[i] = path_join(p->arena, c->out, list[i].name, e)) ||
            (list[i].written && !file_set_check(inputs, path[i], e)))
            return false;
        bool input = !list[i].written && file_exists(path[i]) && !file_set_check(inputs, path[i], &(Error){0});
        if (!list[i].written && !input && file_exists(path[i]))
            return fail(e, SP_USAGE,
                        "%s: is a file of an earlier preparation, and this one has no such file; remove it first",
                        path[i]);
    }
    return true;
}

bool prepare_write(Preparation *p, Error *e)
{
    OutFile list[MOST_FILES];
    const char *path[MOST_FILES], *inter = inter_name(p, e);
    Out *out[MOST_FILES] = {NULL};
    FolderLock lock;
    size_t n = inter ? list_files(list, p, inter) : 0;
    if (!inter || !folder_make(p->c->out, e) || !check_files(p, list, path, n, e) || !folder_lock(&lock, p->c->out, e))
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++) {
        Writer w = {.p = p, .e = e};
        if (list[i].written)
            ok = (out[i] = w.o = out_open(path[i], arena_heap(p->arena), e)) != NULL && list[i].write(&w);
    }
    if (ok)
        ok = out_commit_set(out, n, e);
    else
        for (size_t i = 0; i < n; i++)
            out_discard(out[i]);
    folder_unlock(&lock);
    return ok;
}
