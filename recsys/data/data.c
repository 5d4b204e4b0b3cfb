/* recsys/data/data.c: numbers the users and items of rows, as Elliot (recipes.md 2.1) and MMRec (recipes.md 2.2) do. */
#include "recsys/data/data.h"

#include <stdlib.h>

const char *const protocol_names[2] = {[PROTOCOL_ELLIOT] = "elliot", [PROTOCOL_MMREC] = "mmrec"};

bool all_whole(const Text *ids, size_t n, int64_t *numbers)
{
    for (size_t i = 0; i < n; i++) {
        int64_t v;
        if (!text_i64(ids[i], &v) || ids[i].p[0] == '-' || ids[i].p[0] == '+' || (ids[i].n > 1 && ids[i].p[0] == '0'))
            return false;
        if (numbers)
            numbers[i] = v;
    }
    return true;
}

/* Sorts the n rows by user or item: a stable counting sort. order [n]: the current order of the rows; NULL: 0 to n - 1.
 * sorted [n] receives the new order. count [keys + 1] is scratch. */
static void sort_by(const Row *rows, bool by_item, size_t n, const uint32_t *order, uint32_t *sorted, int64_t *count,
                    int64_t keys)
{
    memset(count, 0, sizeof *count * (size_t)(keys + 1));
    for (size_t r = 0; r < n; r++)
        count[(by_item ? rows[r].item : rows[r].user) + 1]++;
    for (int64_t k = 0; k < keys; k++)
        count[k + 1] += count[k];
    for (size_t r = 0; r < n; r++) {
        uint32_t at = order ? order[r] : (uint32_t)r;
        sorted[count[by_item ? rows[at].item : rows[at].user]++] = at;
    }
}

bool pairs_build(Pairs *p, int64_t users, int64_t items, const Row *rows, size_t n, Arena *a, Error *e)
{
    if (n > UINT32_MAX)
        return fail(e, SP_UNSUPPORTED, "more than %u interactions in one part of the data", UINT32_MAX);
    *p = (Pairs){.start = NEW(a, int64_t, users + 1, e), .item = NEW(a, int32_t, n, e), .rating = NEW(a, float, n, e)};
    Arena *scratch = arena_new(arena_heap(a), 0);
    if (!scratch)
        return fail_memory(e, n * 8, "sorting interactions");
    uint32_t *by_item = NEW(scratch, uint32_t, n, e), *order = NEW(scratch, uint32_t, n, e);
    int64_t *count = NEW(scratch, int64_t, MAX(users, items) + 1, e);
    bool ok = p->start && p->item && p->rating && by_item && order && count;
    if (ok) {
        sort_by(rows, true, n, NULL, by_item, count, items);
        sort_by(rows, false, n, by_item, order, count, users);
        const Row *last = NULL;
        for (size_t r = 0; r < n; r++) {
            const Row *x = &rows[order[r]];
            if (!last || x->user != last->user || x->item != last->item) {
                p->item[p->count++] = x->item;
                p->start[x->user + 1]++;
            }
            p->rating[p->count - 1] = x->rating;
            last = x;
        }
        for (int64_t u = 0; u < users; u++)
            p->start[u + 1] += p->start[u];
    }
    arena_free(scratch);
    return ok;
}

/* ---- numbering ------------------------------------------------------------------------------- */

enum { TRAIN, VALID, TEST, PARTS };
/* the rows of one part before they are numbered: all rows of a file, or those with one x_label */
typedef struct Source {
    const Ratings *r; /* NULL: the part does not exist */
    int8_t part;      /* the x_label of the rows; not used if r->part is NULL */
    /* [items of r] true: the item has no features, so its rows are left out; NULL: no item is left out */
    const bool *lacks;
} Source;

static bool in_part(const Source *s, size_t row)
{
    return !s->r->part || s->r->part[row] == s->part;
}

static bool lacks_features(const Source *s, size_t row)
{
    return s->lacks && s->lacks[s->r->item[row]];
}

static bool is_kept(const Source *s, size_t row)
{
    return in_part(s, row) && !lacks_features(s, row);
}

static int compare_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Maps the numbers of ids in a file to their numbers in the data set. Each id is looked up once. */
typedef struct Renumber {
    const TextIndex *from; /* the ids of the file */
    TextIndex *to;         /* the ids of the data set */
    int32_t *number;       /* [ids of `from`] the number in `to`; -1: not looked up yet */
} Renumber;

static bool renumber_new(Renumber *n, const TextIndex *from, TextIndex *to, Arena *a, Error *e)
{
    int64_t count = text_index_count(from);
    *n = (Renumber){from, to, NEW(a, int32_t, count, e)};
    for (int64_t i = 0; n->number && i < count; i++)
        n->number[i] = -1;
    return n->number != NULL;
}

/* Returns the number in `to` of the file's id number `id`. An id that is new in `to` gets the next number. -1 on
 * failure. */
static int32_t renumber(Renumber *n, int32_t id, Error *e)
{
    if (n->number[id] < 0) {
        int64_t number = text_index_add(n->to, text_index_at(n->from, id), e);
        if (number > INT32_MAX)
            fail(e, SP_UNSUPPORTED, "more than %d users or items", INT32_MAX);
        n->number[id] = number > INT32_MAX ? -1 : (int32_t)number;
    }
    return n->number[id];
}

/* Numbers the items `found`, which are in the order of appearance, as the data set's items. Whole numbers are in
 * ascending order. Texts are numbered in the reverse order of their first appearance: Elliot's order of texts is that
 * of a Python set, so it is undefined. The order matters because equal scores go to the lower number. This order
 * gives the lists from which the figures of recipes.md 6.4 were computed. */
static bool order_items(DataSet *d, const TextIndex *found, Arena *scratch, Error *e)
{
    size_t n = (size_t)text_index_count(found);
    Text *ids = NEW(scratch, Text, n, e);
    int64_t *numbers = NEW(scratch, int64_t, n, e);
    if (!ids || !numbers)
        return false;
    for (size_t i = 0; i < n; i++)
        ids[i] = text_index_at(found, (int64_t)(n - 1 - i));
    bool whole = all_whole(ids, n, numbers);
    if (whole)
        qsort(numbers, n, sizeof *numbers, compare_number);
    if (!(d->items = text_index_new(d->arena, e)) || !text_index_reserve(d->items, n, e))
        return false;
    for (size_t i = 0; i < n; i++) {
        char text[24];
        if (whole)
            ids[i] = (Text){text, (size_t)snprintf(text, sizeof text, "%lld", (long long)numbers[i])};
        if (text_index_add(d->items, ids[i], e) < 0)
            return false;
    }
    return true;
}

/* Numbers the users of train by first appearance, and the items as order_items does. */
static bool number_rows(DataSet *d, const Source *train, Arena *scratch, Error *e)
{
    const Ratings *r = train->r;
    TextIndex *items = text_index_new(scratch, e);
    Renumber user, item;
    if (!items || !(d->users = text_index_new(d->arena, e)) || !renumber_new(&user, r->users, d->users, scratch, e) ||
        !renumber_new(&item, r->items, items, scratch, e))
        return false;
    for (size_t row = 0; row < r->count; row++)
        if (is_kept(train, row) && (renumber(&user, r->user[row], e) < 0 || renumber(&item, r->item[row], e) < 0))
            return false;
    return order_items(d, items, scratch, e);
}

static bool number_elliot(DataSet *d, const Source *train, Error *e)
{
    Arena *scratch = arena_new(arena_heap(d->arena), 0);
    bool ok =
        scratch ? number_rows(d, train, scratch, e) : fail_memory(e, train->r->count, "numbering users and items");
    arena_free(scratch);
    if (!ok)
        return false;
    d->U = text_index_count(d->users);
    d->I = text_index_count(d->items);
    return true;
}

/* Returns the line of the first row that has this user or item number. */
static uint32_t first_line(const Ratings *r, bool of_items, int64_t number)
{
    const int32_t *of_row = of_items ? r->item : r->user;
    size_t row = 0;
    while (of_row[row] != number)
        row++;
    return r->line[row];
}

/* Raises *n to the largest id + 1 of users or items in a file. An id far above the number of rows is an error: it is
 * not a number from 0 on, and memory for all smaller ids would be allocated. */
static bool largest_id(const Ratings *r, bool of_items, int64_t *n, Error *e)
{
    const TextIndex *ids = of_items ? r->items : r->users;
    const char *what = of_items ? "item" : "user";
    for (int64_t i = 0; i < text_index_count(ids); i++) {
        Text text = text_index_at(ids, i);
        int64_t id;
        if (!all_whole(&text, 1, &id))
            return fail(e, SP_FORMAT,
                        "%s:%u: %s id '%.*s' is not a whole number, which protocol mmrec requires; use protocol elliot",
                        r->path, first_line(r, of_items, i), what, (int)MIN(text.n, (size_t)60), text.p);
        if (id > (int64_t)r->count * 100 + 1000000 || id > INT32_MAX / 2)
            return fail(e, SP_FORMAT,
                        "%s:%u: %s id %lld is too large: with protocol mmrec ids are used as numbers from 0 on; use "
                        "protocol elliot",
                        r->path, first_line(r, of_items, i), what, (long long)id);
        *n = MAX(*n, id + 1);
    }
    return true;
}

bool protocol_find(const char *name, Protocol *p, Error *e)
{
    *p = PROTOCOL_ELLIOT;
    if (!name || !strcmp(name, protocol_names[PROTOCOL_ELLIOT]))
        return true;
    *p = PROTOCOL_MMREC;
    return !strcmp(name, protocol_names[PROTOCOL_MMREC]) ||
           fail(e, SP_USAGE, "unknown protocol %.60s; choose elliot or mmrec", name);
}

bool ids_count(TextIndex **ix, int64_t n, Arena *a, Error *e)
{
    if (!(*ix = text_index_new(a, e)) || !text_index_reserve(*ix, (size_t)n, e))
        return false;
    for (int64_t i = 0; i < n; i++) {
        char text[24];
        int length = snprintf(text, sizeof text, "%lld", (long long)i);
        if (text_index_add(*ix, (Text){text, (size_t)length}, e) < 0)
            return false;
    }
    return true;
}

/* Reports whether an id of a role is not a whole number that MMRec accepts. Then all ids of the role are tokens: they
 * get numbers by first appearance. Only RecBole files may have tokens. */
static bool is_tokens(const Source *source, bool of_items)
{
    for (int p = 0; p < PARTS; p++) {
        const Ratings *r = source[p].r;
        if (!r || (p != TRAIN && r == source[TRAIN].r))
            continue;
        if (r->format != FORMAT_RECBOLE)
            return false;
        int64_t n = 0;
        Error ignored = {0};
        if (!largest_id(r, of_items, &n, &ignored))
            return true;
    }
    return false;
}

/* Numbers ids by first appearance in train, valid and test, as RecBole numbers tokens. */
static bool number_tokens(TextIndex **ix, int64_t *count, const Source *source, bool of_items, Arena *a, Error *e)
{
    if (!(*ix = text_index_new(a, e)))
        return false;
    for (int p = 0; p < PARTS; p++) {
        const Ratings *r = source[p].r;
        if (!r || (p != TRAIN && r == source[TRAIN].r))
            continue;
        const TextIndex *ids = of_items ? r->items : r->users;
        for (int64_t i = 0; i < text_index_count(ids); i++)
            if (text_index_add(*ix, text_index_at(ids, i), e) < 0)
                return false;
    }
    *count = text_index_count(*ix);
    return true;
}

static bool number_role(DataSet *d, const Source *source, bool of_items, Error *e)
{
    TextIndex **ix = of_items ? &d->items : &d->users;
    int64_t *n = of_items ? &d->I : &d->U;
    if (is_tokens(source, of_items))
        return number_tokens(ix, n, source, of_items, d->arena, e);
    for (int p = 0; p < PARTS; p++) {
        const Ratings *r = source[p].r;
        if (r && (p == TRAIN || r != source[TRAIN].r) && !largest_id(r, of_items, n, e))
            return false;
    }
    return ids_count(ix, *n, d->arena, e);
}

static bool number_mmrec(DataSet *d, const Source *source, Error *e)
{
    return number_role(d, source, false, e) && number_role(d, source, true, e);
}

/* Makes the pairs of one part: replaces ids by the numbers of the data set. Rows of valid and test are left out if
 * their user is not in train; an item that only they have gets a new number. in_train [I]: the items that train has;
 * NULL for train itself. */
static bool load_part(Pairs *p, DataSet *d, const Source *s, int part, const bool *in_train, Error *e)
{
    bool is_train = part == TRAIN;
    Counted *counted = &d->counted[part];
    Arena *scratch = arena_new(arena_heap(d->arena), 0);
    if (!scratch)
        return fail_memory(e, s->r->count * sizeof(Row), "numbering interactions");
    const Ratings *r = s->r;
    Row *rows = NEW(scratch, Row, r->count, e);
    int64_t *user_of = NEW(scratch, int64_t, text_index_count(r->users), e);
    Renumber renumbered;
    size_t n = 0;
    bool ok = rows && user_of && renumber_new(&renumbered, r->items, d->items, scratch, e);
    for (int64_t i = 0; ok && i < text_index_count(r->users); i++)
        user_of[i] = text_index_find(d->users, text_index_at(r->users, i));
    for (size_t row = 0; ok && row < r->count; row++) {
        if (!in_part(s, row))
            continue;
        counted->rows++;
        counted->no_features += lacks_features(s, row);
        if (lacks_features(s, row))
            continue;
        int64_t user = user_of[r->user[row]];
        if (!is_train && (user < 0 || d->train.start[user] == d->train.start[user + 1])) {
            d->cold++;
            counted->cold++;
            continue;
        }
        int32_t item = renumber(&renumbered, r->item[row], e);
        ok = item >= 0;
        counted->unknown += !is_train && ok && (item >= d->I || !in_train[item]);
        rows[n++] = (Row){(int32_t)user, item, r->rating ? r->rating[row] : 1};
    }
    ok = ok && pairs_build(p, d->U, text_index_count(d->items), rows, n, d->arena, e);
    counted->repeated = ok ? (int64_t)n - p->count : 0;
    for (int64_t k = 0; ok && !is_train && d->protocol == PROTOCOL_ELLIOT && k < p->count; k++)
        counted->below += p->rating[k] < 0;
    arena_free(scratch);
    return ok;
}

/* Checks the x_label column of a separate valid or test file, if it has one: all rows must have the label of this part.
 * The labels are then removed. */
static bool check_labels(Ratings *r, int part, Error *e)
{
    for (size_t row = 0; r->part && row < r->count; row++)
        if (r->part[row] != part)
            return fail(e, SP_USAGE, "%s: is split by its own x_label column: give it only as the train file", r->path);
    r->part = NULL;
    return true;
}

/* Returns [I]: whether the item occurs in train. */
static const bool *mark_items(const DataSet *d, Arena *scratch, Error *e)
{
    bool *in_train = NEW(scratch, bool, d->I, e);
    for (int64_t k = 0; in_train && k < d->train.count; k++)
        in_train[d->train.item[k]] = true;
    return in_train;
}

static bool read_parts(Ratings r[PARTS], Source source[PARTS], const DataConfig *c, Arena *scratch, Error *e)
{
    const char *const path[PARTS] = {c->train, c->valid, c->test};
    for (int p = 0; p < PARTS; p++) {
        if (p != TRAIN && !path[p])
            continue;
        if (p != TRAIN && !strcmp(path[p], path[TRAIN])) { /* each file is read once, because it may be a pipe */
            source[p] = (Source){.r = &r[TRAIN]};
            continue; /* labels are handled below */
        }
        if (!ratings_read_as(&r[p], path[p], c->format, &c->layout, scratch, e) ||
            (p == TRAIN && !ratings_sure(&r[p], e)))
            return false;
        if (p != TRAIN && r[TRAIN].part)
            return fail(e, SP_USAGE, "%s: is split by its own x_label column: leave %s out, or remove that column",
                        path[TRAIN], path[p]);
        if (p != TRAIN && !check_labels(&r[p], p, e))
            return false;
        source[p] = (Source){.r = &r[p]};
    }
    if (r[TRAIN].part)
        for (int p = VALID; p < PARTS; p++)
            source[p] = (Source){.r = &r[TRAIN], .part = (int8_t)p};
    return true;
}

/* GAPS_DROP: leaves out the items that lack features in at least one source of features, as Elliot does. */
static bool drop_items(DataSet *d, Source source[PARTS], const DataConfig *c, Arena *scratch, Error *e)
{
    for (int p = 0; p < PARTS; p++) {
        const Ratings *r = source[p].r;
        if (!r || (p != TRAIN && r == source[TRAIN].r)) {
            source[p].lacks = source[TRAIN].lacks;
            continue;
        }
        int64_t n = text_index_count(r->items);
        bool *lacks = NEW(scratch, bool, n, e);
        for (size_t f = 0; lacks && f < c->feature_count; f++)
            if (!feature_lacks(c->features[f], r->items, n, lacks, scratch, e))
                return false;
        if (!lacks)
            return false;
        source[p].lacks = lacks;
        for (int64_t i = 0; p == TRAIN && i < n; i++)
            d->dropped += lacks[i];
        if (p == TRAIN && d->dropped == n)
            return fail(e, SP_SHAPE,
                        "%s: no item has features in all of the sources of --features: are these the right "
                        "ones?",
                        r->path);
    }
    return true;
}

static bool load(DataSet *d, const DataConfig *c, Arena *scratch, Error *e)
{
    Ratings *r = NEW(scratch, Ratings, PARTS, e);
    Source source[PARTS] = {{0}};
    const bool *in_train = NULL;
    if (!c->train)
        return fail(e, SP_USAGE, "data: a train file is missing");
    if (!r || !read_parts(r, source, c, scratch, e))
        return false;
    d->format = r[TRAIN].format;
    d->separator = r[TRAIN].separator;
    if (!(d->columns = arena_strndup(d->arena, r[TRAIN].columns, strlen(r[TRAIN].columns), e)))
        return false;
    if (c->gaps == GAPS_DROP && c->protocol == PROTOCOL_MMREC)
        return fail(e, SP_USAGE,
                    "missing features: with protocol mmrec items keep their numbers, so that none can be "
                    "dropped; choose zero or mean, or protocol elliot");
    if (c->gaps == GAPS_DROP && c->feature_count && !drop_items(d, source, c, scratch, e))
        return false;
    bool ok = c->protocol == PROTOCOL_MMREC ? number_mmrec(d, source, e) : number_elliot(d, &source[TRAIN], e);
    if (!ok)
        return false;
    if (d->U + d->I > INT32_MAX / 2)
        return fail(e, SP_UNSUPPORTED, "%s: more than %d users and items", c->train, INT32_MAX / 2);
    Pairs *pairs[PARTS] = {&d->train, &d->valid, &d->test};
    for (int p = 0; p < PARTS; p++) {
        /* A first row with a known user is not a header. */
        if (p != TRAIN && source[p].r && text_index_find(d->users, text_index_at(source[p].r->users, 0)) < 0 &&
            !ratings_sure(source[p].r, e))
            return false;
        if (source[p].r && !load_part(pairs[p], d, &source[p], p, in_train, e))
            return false;
        if (p == TRAIN && !d->train.count && d->counted[p].no_features)
            return fail(e, SP_FORMAT, "%s: no train row has an item with features", c->train);
        if (p == TRAIN && !d->train.count)
            return fail(e, SP_FORMAT, "%s: holds no train rows (x_label 0)", c->train);
        if (p == TRAIN && !(in_train = mark_items(d, scratch, e)))
            return false;
        if (p != TRAIN && source[p].r && pairs[p]->start && !pairs[p]->count) {
            if (source[p].r != source[TRAIN].r)
                return fail(e, SP_FORMAT, "%s: none of its users has interactions in %s%s; use files of the same data",
                            source[p].r->path, c->train,
                            d->counted[p].no_features ? " with items that have features" : "");
            *pairs[p] = (Pairs){0}; /* no row has this x_label */
        }
    }
    return true;
}

bool dataset_load(DataSet *d, const DataConfig *c, Arena *a, Error *e)
{
    *d = (DataSet){.protocol = c->protocol, .gaps = c->gaps, .arena = a};
    Arena *scratch = arena_new(arena_heap(a), 0);
    if (!scratch)
        return fail_memory(e, sizeof *d, "reading interactions");
    bool ok = load(d, c, scratch, e);
    arena_free(scratch);
    if (!ok)
        return false;
    d->features = NEW(a, Feature, c->feature_count, e);
    if (!d->features)
        return false;
    for (size_t f = 0; f < c->feature_count; f++) {
        if (!feature_load(&d->features[f], d, c->features[f], a, e)) {
            dataset_close(d);
            return false;
        }
        d->feature_count = f + 1;
        for (size_t g = 0; g < f; g++)
            if (!strcmp(d->features[g].name, d->features[f].name)) {
                fail(e, SP_USAGE, "features '%s' are given twice", d->features[f].name);
                dataset_close(d);
                return false;
            }
    }
    if (!c->knock.count || features_knock(d, &c->knock, a, e))
        return true;
    dataset_close(d);
    return false;
}

void dataset_close(DataSet *d)
{
    for (size_t f = 0; f < d->feature_count; f++)
        npy_close(&d->features[f].file);
    d->feature_count = 0;
}
