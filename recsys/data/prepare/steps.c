/* recsys/data/prepare/steps.c: leaves out rows, numbers ids, and makes the parts. */
// flags: -Os
#include "recsys/data/prepare/prepare.h"

#include <stdlib.h>

const char *const unique_names[UNIQUE_COUNT] = {"none", "pair", "rating", "time"};

/* ---- remaining rows, and rows to leave out --------------------------------------------------- */

static int64_t count_used(const int32_t *id, size_t n, bool *seen)
{
    int64_t used = 0;
    for (size_t i = 0; i < n; i++) {
        used += !seen[id[i]];
        seen[id[i]] = true;
    }
    return used;
}

bool prepare_note(Preparation *p, const char *name, const char *words, int64_t dropped, Error *e)
{
    const Ratings *r = &p->r;
    ArenaMark mark = arena_mark(p->scratch);
    bool *users = NEW(p->scratch, bool, text_index_count(r->users), e);
    bool *items = NEW(p->scratch, bool, text_index_count(r->items), e);
    if (!users || !items)
        return false;
    p->result.step[p->result.steps++] = (PrepareStep){.name = name,
                                                      .words = words,
                                                      .dropped = dropped,
                                                      .rows = (int64_t)r->count,
                                                      .users = count_used(r->user, r->count, users),
                                                      .items = count_used(r->item, r->count, items)};
    arena_rewind(p->scratch, mark);
    return true;
}

bool prepare_drop(Preparation *p, const bool *out, const char *name, const char *words, bool always, Error *e)
{
    Ratings *r = &p->r;
    size_t n = 0, before = r->count;
    for (size_t i = 0; i < before; i++) {
        if (out[i])
            continue;
        r->user[n] = r->user[i];
        r->item[n] = r->item[i];
        r->rating[n] = r->rating[i];
        if (r->time)
            r->time[n] = r->time[i];
        n++;
    }
    r->count = n;
    return (n == before && !always) || prepare_note(p, name, words, (int64_t)(before - n), e);
}

/* ---- duplicates ------------------------------------------------------------------------------ */

typedef struct RowKey {
    int32_t user, item;
    int64_t value; /* the time, or the bits of the rating */
    size_t row;
} RowKey;

static int compare_keys(const void *a, const void *b)
{
    const RowKey *x = a, *y = b;
    if (x->user != y->user)
        return x->user < y->user ? -1 : 1;
    if (x->item != y->item)
        return x->item < y->item ? -1 : 1;
    if (x->value != y->value)
        return x->value < y->value ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

static bool same_key(const RowKey *x, const RowKey *y)
{
    return x->user == y->user && x->item == y->item && x->value == y->value;
}

bool prepare_unique(Preparation *p, Error *e)
{
    static const char *const WORDS[UNIQUE_COUNT] = {NULL, "duplicates: equal user and item",
                                                    "duplicates: equal user, item and rating",
                                                    "duplicates: equal user, item and time"};
    const Ratings *r = &p->r;
    Unique u = p->c->unique;
    if (u == UNIQUE_NONE)
        return true;
    if (u == UNIQUE_TIME && !r->time)
        u = UNIQUE_PAIR;
    ArenaMark mark = arena_mark(p->scratch);
    RowKey *key = NEW(p->scratch, RowKey, r->count, e);
    bool *out = NEW(p->scratch, bool, r->count, e);
    if (!key || !out)
        return false;
    for (size_t i = 0; i < r->count; i++) {
        float rating = r->rating[i] + 0.0f; /* -0 becomes 0 */
        int32_t bits;
        memcpy(&bits, &rating, sizeof bits);
        key[i] = (RowKey){r->user[i], r->item[i], u == UNIQUE_TIME ? r->time[i] : u == UNIQUE_RATING ? bits : 0, i};
    }
    qsort(key, r->count, sizeof *key, compare_keys);
    for (size_t i = 1; i < r->count; i++)
        out[key[i].row] = same_key(&key[i], &key[i - 1]);
    bool ok = prepare_drop(p, out, "duplicates", WORDS[u], true, e);
    arena_rewind(p->scratch, mark);
    return ok;
}

/* ---- items and core -------------------------------------------------------------------------- */

bool prepare_filter(Preparation *p, Error *e)
{
    const PrepareConfig *c = p->c;
    Ratings *r = &p->r;
    ArenaMark mark = arena_mark(p->scratch);
    bool *out = NEW(p->scratch, bool, r->count, e);
    if (!out)
        return false;
    for (int lack = LACK_METADATA; p->info && lack < LACK_COUNT; lack++) {
        for (size_t i = 0; i < r->count; i++) {
            const ItemInfo *in = &p->info[r->item[i]];
            out[i] = (c->need_text && in->text_lack == lack) || (c->need_image && in->image_lack == lack);
            p->dropped[r->item[i]] = p->dropped[r->item[i]] || out[i];
        }
        if (!prepare_drop(p, out, lack_names[lack], lack_words[lack], false, e))
            return false;
    }
    arena_rewind(p->scratch, mark);
    return true;
}

bool prepare_core(Preparation *p, Error *e)
{
    const PrepareConfig *c = p->c;
    const Ratings *r = &p->r;
    if (c->user_core < 1 && c->item_core < 1)
        return true;
    ArenaMark mark = arena_mark(p->scratch);
    bool *out = NEW(p->scratch, bool, r->count, e);
    bool ok = out &&
              core_rows(r->user, r->item, r->count, text_index_count(r->users), text_index_count(r->items),
                        c->user_core, c->item_core, out, p->scratch, e) &&
              prepare_drop(p, out, "core", "users and items with too few rows", true, e);
    arena_rewind(p->scratch, mark);
    return ok;
}

/* ---- numbers --------------------------------------------------------------------------------- */

/* Numbers ids again by their first appearance in the n rows, and changes of_row [n] to the new numbers. *origin [new
 * ids]: the old number of each id; `origin` may be NULL. */
static bool renumber(TextIndex **ids, int32_t *of_row, size_t n, int32_t **origin, Preparation *p, Error *e)
{
    TextIndex *old = *ids;
    int64_t count = text_index_count(old);
    ArenaMark mark = arena_mark(p->scratch);
    int32_t *number = NEW(p->scratch, int32_t, count, e), *from = NEW(p->arena, int32_t, count, e);
    if (!number || !from || !(*ids = text_index_new(p->arena, e)))
        return false;
    for (size_t i = 0; i < n; i++) {
        int32_t *to = &number[of_row[i]]; /* its number + 1 */
        if (!*to) {
            int64_t added = text_index_add(*ids, text_index_at(old, of_row[i]), e);
            if (added < 0)
                return false;
            from[added] = of_row[i];
            *to = (int32_t)added + 1;
        }
        of_row[i] = *to - 1;
    }
    if (origin)
        *origin = from;
    arena_rewind(p->scratch, mark);
    return true;
}

bool prepare_number(Preparation *p, Error *e)
{
    Ratings *r = &p->r;
    return renumber(&r->users, r->user, r->count, NULL, p, e) &&
           renumber(&r->items, r->item, r->count, &p->origin, p, e);
}

/* Computes the numbers of users and items that are written. Ids are numbered in the order in which they first appear in
 * train, then in validation, then in test. People who prepare data for Elliot number ids in this way. For an .inter
 * file, or without a split, the order is that of the first appearance in all rows. */
static bool number_by_part(Preparation *p, Error *e)
{
    const Ratings *r = &p->r;
    int64_t users = text_index_count(r->users), items = text_index_count(r->items);
    int32_t next_user = 0, next_item = 0;
    p->user_number = NEW(p->arena, int32_t, users, e);
    p->item_number = NEW(p->arena, int32_t, items, e);
    if (!p->user_number || !p->item_number)
        return false;
    memset(p->user_number, -1, sizeof *p->user_number * (size_t)users);
    memset(p->item_number, -1, sizeof *p->item_number * (size_t)items);
    for (int part = 0; part < 3; part++)
        for (size_t i = 0; i < r->count; i++) {
            if ((p->part && !p->c->inter ? p->part[i] : 0) != part)
                continue;
            int32_t *u = &p->user_number[r->user[i]], *k = &p->item_number[r->item[i]];
            *u = *u < 0 ? next_user++ : *u;
            *k = *k < 0 ? next_item++ : *k;
        }
    return true;
}

/* ---- parts ----------------------------------------------------------------------------------- */

/* Sorts order [rows] by the user or by the part of the rows: a stable counting sort. */
static bool sort_rows(const Preparation *p, uint32_t *order, bool by_user, Error *e)
{
    const Ratings *r = &p->r;
    int64_t keys = by_user ? text_index_count(r->users) : 3;
    ArenaMark mark = arena_mark(p->scratch);
    uint32_t *from = NEW(p->scratch, uint32_t, r->count, e);
    int64_t *at = NEW(p->scratch, int64_t, keys + 1, e);
    if (!from || !at)
        return false;
    memcpy(from, order, r->count * sizeof *from);
    for (size_t i = 0; i < r->count; i++)
        at[(by_user ? r->user[i] : p->part[i]) + 1]++;
    for (int64_t k = 0; k < keys; k++)
        at[k + 1] += at[k];
    for (size_t i = 0; i < r->count; i++)
        order[at[by_user ? r->user[from[i]] : p->part[from[i]]]++] = from[i];
    arena_rewind(p->scratch, mark);
    return true;
}

/* Sorts the rows of an .inter by user, then part. With a split by time, by part only, as MMRec writes them. */
static bool order_rows(Preparation *p, Error *e)
{
    if (p->c->split.strategy == SPLIT_V4)
        return true; /* already in the order of the draws */
    for (size_t i = 0; i < p->r.count; i++)
        p->order[i] = (uint32_t)i;
    return sort_rows(p, p->order, false, e) &&
           (p->c->split.strategy == SPLIT_GLOBAL_TIME || sort_rows(p, p->order, true, e));
}

bool prepare_split(Preparation *p, Error *e)
{
    const PrepareConfig *c = p->c;
    const Ratings *r = &p->r;
    if (c->splits) {
        p->part = NEW(p->arena, int8_t, r->count, e);
        p->order = NEW(p->arena, uint32_t, r->count, e);
        if (!p->part || !p->order || !split_ratings(r, &c->split, p->part, p->order, p->scratch, e) ||
            !order_rows(p, e))
            return false;
        for (size_t i = 0; i < r->count; i++)
            p->result.parts[p->part[i]]++;
        p->result.has_parts = true;
        if (!p->result.parts[0])
            return fail(e, SP_USAGE, "%s: the split leaves no training rows", r->path);
    }
    return !c->number || number_by_part(p, e);
}
