/* recsys/data/prepare/items.c: collects information about items: Amazon's metadata, a table, a folder of images. */
// flags: -Os
#include "recsys/data/prepare/prepare.h"

const char *const nan_names[NAN_COUNT] = {"off", "whole", "anywhere"};
const char *const lack_names[LACK_COUNT] = {
    [LACK_NOTHING] = "nothing",
    [LACK_METADATA] = "no_metadata",
    [LACK_DESCRIPTION] = "no_description",
    [LACK_DESCRIPTION_IS_NAN] = "nan_description",
    [LACK_URL] = "no_image_url",
    [LACK_URL_IS_NAN] = "nan_image_url",
    [LACK_FILE] = "no_image_file",
    [LACK_READABLE_FILE] = "broken_image",
};
const char *const lack_words[LACK_COUNT] = {
    [LACK_NOTHING] = "nothing is missing",
    [LACK_METADATA] = "items without metadata",
    [LACK_DESCRIPTION] = "items without a description",
    [LACK_DESCRIPTION_IS_NAN] = "items whose description is or contains nan or n/a",
    [LACK_URL] = "items without an image url",
    [LACK_URL_IS_NAN] = "items whose image url is or contains nan or n/a",
    [LACK_FILE] = "items without an image file",
    [LACK_READABLE_FILE] = "items whose image file cannot be read",
};

/* ---- texts ----------------------------------------------------------------------------------- */

/* Copies a text. NUL bytes become blanks, because tables with NUL bytes cannot be read again. */
static bool copy_text(Preparation *p, Text *to, Text from, Error *e)
{
    char *copy = arena_strndup(p->arena, from.n ? from.p : "", from.n, e);
    if (!copy)
        return false;
    for (size_t i = 0; i < from.n; i++)
        if (!copy[i])
            copy[i] = ' ';
    *to = (Text){copy, from.n};
    return true;
}

bool item_note(Preparation *p, Text id, const ItemInfo *found, Error *e)
{
    int64_t item = text_index_find(p->r.items, id);
    if (item < 0)
        return true;
    ItemInfo *old = &p->info[item], in = {.found = true};
    /* Of several entries, the first with a description and a url is used; if there is none, the first. */
    if (old->found && ((old->description.n && old->url.n) || !found->description.n || !found->url.n))
        return true;
    if (!copy_text(p, &in.title, found->title, e) || !copy_text(p, &in.description, found->description, e) ||
        !copy_text(p, &in.url, found->url, e) || !copy_text(p, &in.more, found->more, e))
        return false;
    *old = in;
    return true;
}

/* ---- Amazon's metadata ----------------------------------------------------------------------- */

/* Joins the texts of a JSON value (a text or a list of texts), separated by blanks. Any other value, or NULL, is empty.
 */
static bool join_texts(Arena *a, const Json *j, Text *out, Error *e)
{
    *out = (Text){0};
    if (!j || j->type == JSON_STRING) {
        *out = j ? j->text : *out;
        return true;
    }
    if (j->type != JSON_ARRAY)
        return true;
    size_t n = 0;
    for (const Json *k = j->first; k; k = k->next)
        n += k->type == JSON_STRING ? k->text.n + 1 : 0;
    char *text = arena_alloc(a, n + 1, 1, e), *at = text;
    if (!text)
        return false;
    for (const Json *k = j->first; k; k = k->next)
        if (k->type == JSON_STRING) {
            if (at > text)
                *at++ = ' ';
            memcpy(at, k->text.p, k->text.n);
            at += k->text.n;
        }
    *out = (Text){text, (size_t)(at - text)};
    return true;
}

/* Returns the url of an item's picture; empty if the item has none. The key depends on the year of the Amazon data:
 * - 2014: imUrl, a url.
 * - 2018: imageURLHighRes, or else imageURL, a list of urls. The first url is returned.
 * - 2023: images, a list of maps. The url of the first picture is its `large`, or else `hi_res`, or else `thumb`. */
static Text image_url(const Json *o)
{
    static const char *const KEYS[] = {"imUrl", "imageURLHighRes", "imageURL", "images"};
    static const char *const SIZES[] = {"large", "hi_res", "thumb"};
    for (size_t i = 0; i < COUNT(KEYS); i++) {
        const Json *j = json_get(o, KEYS[i]);
        if (j && j->type == JSON_ARRAY)
            j = j->first;
        const Json *sized = NULL;
        for (size_t k = 0; j && j->type == JSON_OBJECT && k < COUNT(SIZES); k++)
            sized = sized && sized->type == JSON_STRING ? sized : json_get(j, SIZES[k]);
        j = sized ? sized : j;
        if (j && j->type == JSON_STRING && j->text.n)
            return j->text;
    }
    return (Text){0};
}

/* Makes MMRec's text between title and description: the brand (in 2023: the store), then the first list of categories,
 * each followed by a blank. A missing brand is a blank. */
static bool brand_and_categories(Arena *a, const Json *o, Text *out, Error *e)
{
    const Json *brand = json_get(o, "brand"), *store = json_get(o, "store"), *list = json_get(o, "categories");
    if (!brand || brand->type != JSON_STRING)
        brand = store;
    if (!list || list->type != JSON_ARRAY || !list->first)
        list = json_get(o, "category");
    if (list && list->first && list->first->type == JSON_ARRAY)
        list = list->first;
    Text categories;
    if (!join_texts(a, list && list->type == JSON_ARRAY ? list : NULL, &categories, e))
        return false;
    Text name = brand && brand->type == JSON_STRING ? brand->text : TEXT(" ");
    char *text = arena_alloc(a, name.n + categories.n + 3, 1, e);
    if (!text)
        return false;
    memcpy(text, name.p, name.n);
    text[name.n] = ' ';
    if (categories.n) {
        memcpy(text + name.n + 1, categories.p, categories.n);
        text[name.n + 1 + categories.n] = ' ';
    }
    *out = (Text){text, name.n + 1 + (categories.n ? categories.n + 1 : 0)};
    return true;
}

static bool add_metadata(Preparation *p, const Json *o, const char *path, size_t line, Error *e)
{
    const Json *id = json_get(o, "parent_asin"), *title = json_get(o, "title");
    if (!id || id->type == JSON_NULL)
        id = json_get(o, "asin");
    p->entries++;
    if (!id || id->type == JSON_NULL)
        return true; /* Ducho ignores such an entry */
    if (id->type != JSON_STRING)
        return fail(e, SP_FORMAT, "%s:%zu: %.*s is not a text", path, line, (int)id->key.n, id->key.p);
    if (text_index_find(p->r.items, id->text) < 0)
        return true;
    ItemInfo in = {.title = title && title->type == JSON_STRING ? title->text : (Text){0}, .url = image_url(o)};
    ArenaMark mark = arena_mark(p->scratch);
    bool ok = join_texts(p->scratch, json_get(o, "description"), &in.description, e) &&
              brand_and_categories(p->scratch, o, &in.more, e) && item_note(p, id->text, &in, e);
    arena_rewind(p->scratch, mark);
    return ok;
}

/* ---- images ---------------------------------------------------------------------------------- */

/* Returns the file name without its extension: the id of its item. */
static Text without_ending(const char *name)
{
    const char *dot = strrchr(name, '.');
    return (Text){name, dot && dot > name ? (size_t)(dot - name) : strlen(name)};
}

/* Finds file [items], the name of each item's file in the folder of images; the first of several; NULL: none. */
static bool find_images(Preparation *p, const char **file, Arena *scratch, Error *e)
{
    FolderEntry *entries;
    size_t n;
    if (!folder_list(&entries, &n, scratch, p->c->images, e))
        return false;
    for (size_t i = 0; i < n; i++) {
        int64_t item = entries[i].is_folder ? -1 : text_index_find(p->r.items, without_ending(entries[i].name));
        if (item >= 0 && !file[item])
            file[item] = entries[i].name;
    }
    return true;
}

static bool check_images(Preparation *p, Error *e)
{
    const PrepareConfig *c = p->c;
    int64_t items = text_index_count(p->r.items);
    ArenaMark mark = arena_mark(p->scratch);
    const char **file = NEW(p->scratch, const char *, items, e);
    bool ok = file && find_images(p, file, p->scratch, e);
    for (int64_t i = 0; ok && i < items; i++) {
        const char *path = file[i] ? path_join(p->scratch, c->images, file[i], e) : NULL;
        ok = !file[i] || path;
        p->info[i].image_lack = !path                                                     ? LACK_FILE
                                : c->readable && !c->readable(path, arena_heap(p->arena)) ? LACK_READABLE_FILE
                                                                                          : LACK_NOTHING;
    }
    arena_rewind(p->scratch, mark);
    return ok;
}

/* ---- missing texts and images ---------------------------------------------------------------- */

static bool is_nan(Text text, NanRule rule)
{
    static const char *const WORDS[] = {"nan", "Nan", "NaN", "naN", "n/a", "N/A"};
    for (size_t i = 0; i < COUNT(WORDS); i++)
        if (rule == NAN_WHOLE ? text_is(text_trim(text), WORDS[i])
                              : rule == NAN_ANYWHERE && text.n && memmem(text.p, text.n, WORDS[i], strlen(WORDS[i])))
            return true;
    return false;
}

static void set_lacks(ItemInfo *in, const PrepareConfig *c)
{
    if (c->meta)
        in->text_lack = !in->found                             ? LACK_METADATA
                        : !in->description.n                   ? LACK_DESCRIPTION
                        : is_nan(in->description, c->nan_rule) ? LACK_DESCRIPTION_IS_NAN
                                                               : LACK_NOTHING;
    if (c->meta && !c->images)
        in->image_lack = !in->found                     ? LACK_METADATA
                         : !in->url.n                   ? LACK_URL
                         : is_nan(in->url, c->nan_rule) ? LACK_URL_IS_NAN
                                                        : LACK_NOTHING;
}

static bool read_metadata(Preparation *p, Error *e)
{
    const char *path = p->c->meta;
    bool records;
    if (!is_records(&records, path, arena_heap(p->arena), e))
        return false;
    if (!records)
        return metadata_table(p, path, e);
    return records_read(p, path, add_metadata, e) && (p->entries || fail(e, SP_FORMAT, "%s: holds no records", path));
}

bool prepare_items(Preparation *p, Error *e)
{
    const PrepareConfig *c = p->c;
    int64_t items = text_index_count(p->r.items);
    p->all = p->r.items;
    if (!c->meta && !c->images)
        return true;
    if (!(p->info = NEW(p->arena, ItemInfo, items, e)) || !(p->dropped = NEW(p->arena, bool, items, e)) ||
        (c->meta && !read_metadata(p, e)) || (c->images && !check_images(p, e)))
        return false;
    bool any_found = !c->meta;
    for (int64_t i = 0; i < items; i++) {
        set_lacks(&p->info[i], c);
        any_found = any_found || p->info[i].found;
    }
    return any_found ||
           fail(e, SP_FORMAT, "%s: none of its items is in %s; use files of the same data", c->meta, c->sources[0]);
}
