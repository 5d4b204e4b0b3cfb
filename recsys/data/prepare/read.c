/* recsys/data/prepare/read.c: reads the sources of a preparation one after the other, into one list of rows. */
// flags: -Os
#include "recsys/data/prepare/prepare.h"

#include <math.h>

typedef struct NewRow {
    Text user, item; /* n is 0 if the id is missing */
    float rating;
    int64_t time;
    bool rated, timed; /* the row has a rating, a time */
} NewRow;

static bool copy_into(void *to, const void *from, size_t n)
{
    if (to && from && n)
        memcpy(to, from, n);
    return to != NULL;
}

/* Makes space for `more` rows. For one row, the capacity is at least doubled, because records come one by one. */
static bool grow(Preparation *p, size_t more, Error *e)
{
    Ratings *r = &p->r;
    size_t n = r->count, room = MAX(n + more, more == 1 ? MAX(2 * p->room, (size_t)1024) : 0);
    if (r->user && n + more <= p->room)
        return true;
    if (n + more > INT32_MAX)
        return fail(e, SP_UNSUPPORTED, "more than %d interactions", INT32_MAX);
    int32_t *user = NEW(p->arena, int32_t, room, e), *item = NEW(p->arena, int32_t, room, e);
    float *rating = NEW(p->arena, float, room, e);
    int64_t *time = NEW(p->arena, int64_t, room, e);
    bool *untimed = NEW(p->arena, bool, room, e);
    if (!copy_into(user, r->user, n * sizeof *user) || !copy_into(item, r->item, n * sizeof *item) ||
        !copy_into(rating, r->rating, n * sizeof *rating) || !copy_into(time, r->time, n * sizeof *time) ||
        !copy_into(untimed, p->untimed, n))
        return false;
    r->user = user;
    r->item = item;
    r->rating = rating;
    r->time = time;
    p->untimed = untimed;
    p->room = room;
    return true;
}

/* Returns the number of an id; a new one must satisfy id_check. -1 on failure. */
static int32_t number_id(TextIndex *ids, Text id, const char *path, size_t line, Error *e)
{
    int64_t before = text_index_count(ids);
    if (text_index_find(ids, id) < 0 && !id_check(id, path, line, e))
        return -1;
    if (before >= INT32_MAX / 4) {
        fail(e, SP_UNSUPPORTED, "%s:%zu: more than %d users or items", path, line, INT32_MAX / 4);
        return -1;
    }
    return (int32_t)text_index_add(ids, id, e);
}

/* Adds a row. A row without a user, an item or a rating is counted in p->read and left out. */
static bool add_row(Preparation *p, const NewRow *x, const char *path, size_t line, Error *e)
{
    Ratings *r = &p->r;
    p->read++;
    if (!x->user.n || !x->item.n || !x->rated)
        return true;
    int32_t user, item;
    if (!grow(p, 1, e) || (user = number_id(r->users, x->user, path, line, e)) < 0 ||
        (item = number_id(r->items, x->item, path, line, e)) < 0)
        return false;
    r->user[r->count] = user;
    r->item[r->count] = item;
    r->rating[r->count] = x->rating;
    r->time[r->count] = x->time;
    p->untimed[r->count] = !x->timed;
    p->timed += x->timed;
    r->count++;
    return true;
}

/* ---- reviews of Amazon ----------------------------------------------------------------------- */

/* Returns the first of the named members that exists and is not null. */
static const Json *member(const Json *o, const char *const *names)
{
    for (; *names; names++) {
        const Json *j = json_get(o, *names);
        if (j && j->type != JSON_NULL)
            return j;
    }
    return NULL;
}

static bool take_id(const Json *o, const char *const *names, Text *id, const char *path, size_t line, Error *e)
{
    const Json *j = member(o, names);
    *id = j ? j->text : (Text){0};
    return !j || j->type == JSON_STRING ||
           fail(e, SP_FORMAT, "%s:%zu: %.*s is not a text", path, line, (int)j->key.n, j->key.p);
}

/* Reads a number, or a text that is a number. *exists: the member exists and is not nan. *text: the number as it is
 * written. */
static bool take_number(const Json *o, const char *const *names, double *value, bool *exists, Text *text,
                        const char *path, size_t line, Error *e)
{
    const Json *j = member(o, names);
    *exists = false;
    *text = j ? j->text : (Text){0};
    if (!j || (j->type == JSON_STRING && !j->text.n))
        return true;
    if ((j->type != JSON_NUMBER && j->type != JSON_STRING) || !text_f64(j->text, value) || isinf(*value))
        return fail(e, SP_FORMAT, "%s:%zu: %.*s is not a number", path, line, (int)j->key.n, j->key.p);
    *exists = !isnan(*value);
    return true;
}

static bool is_decimal(Text number)
{
    for (size_t i = 0; i < number.n; i++)
        if (number.p[i] == '.' || number.p[i] == 'e' || number.p[i] == 'E')
            return true;
    return false;
}

static bool add_review(Preparation *p, const Json *o, const char *path, size_t line, Error *e)
{
    static const char *const USER[] = {"reviewerID", "user_id", NULL}, *const ITEM[] = {"parent_asin", "asin", NULL},
                             *const RATING[] = {"overall", "rating", NULL},
                             *const TIME[] = {"unixReviewTime", "timestamp", NULL};
    NewRow x = {0};
    double rating = 0, time = 0;
    Text text, ignored;
    if (!take_id(o, USER, &x.user, path, line, e) || !take_id(o, ITEM, &x.item, path, line, e) ||
        !take_number(o, RATING, &rating, &x.rated, &text, path, line, e) ||
        !take_number(o, TIME, &time, &x.timed, &ignored, path, line, e))
        return false;
    if (x.rated && !isfinite((float)rating))
        return fail(e, SP_FORMAT, "%s:%zu: the rating %g is too large", path, line, rating);
    if (x.timed && !(fabs(time) < 0x1p62))
        return fail(e, SP_FORMAT, "%s:%zu: the time %g is too large", path, line, time);
    x.rating = (float)rating;
    x.time = x.timed ? (int64_t)floor(time) : 0;
    p->decimal = p->decimal || (x.rated && is_decimal(text));
    return add_row(p, &x, path, line, e);
}

static bool read_reviews(Preparation *p, const char *path, Error *e)
{
    size_t before = p->r.count;
    p->result.read_as = "Amazon reviews";
    p->rated = true;
    if (!records_read(p, path, add_review, e))
        return false;
    return p->r.count > before || fail(e, SP_FORMAT,
                                       "%s: no record has a user (reviewerID, user_id), an item (asin, parent_asin) "
                                       "and a rating (overall, rating)",
                                       path);
}

/* ---- tables ---------------------------------------------------------------------------------- */

static bool read_table(Preparation *p, const char *path, bool first, Arena *scratch, Error *e)
{
    const PrepareConfig *c = p->c;
    Ratings r;
    if (!ratings_read_as(&r, path, c->format, &c->layout, scratch, e) || !ratings_sure(&r, e))
        return false;
    if (!first && (r.rating != NULL) != p->rated)
        return fail(e, SP_FORMAT, "%s: %s, unlike the files before it", path,
                    r.rating ? "has ratings" : "has no ratings");
    p->rated = r.rating != NULL;
    p->decimal = p->decimal || r.decimal;
    p->result.read_as = format_words(r.format, r.separator);
    if (!grow(p, r.count, e))
        return false;
    for (size_t i = 0; i < r.count; i++) {
        NewRow x = {text_index_at(r.users, r.user[i]),
                    text_index_at(r.items, r.item[i]),
                    r.rating ? r.rating[i] : 1,
                    r.time ? r.time[i] : 0,
                    true,
                    r.time != NULL};
        if (!add_row(p, &x, path, r.line[i], e))
            return false;
    }
    return true;
}

static bool read_source(Preparation *p, const char *path, bool first, Error *e)
{
    const PrepareConfig *c = p->c;
    bool given = c->format != FORMAT_AUTO || c->layout.columns || c->layout.separator, records = c->amazon;
    if (!c->amazon && !given && !is_records(&records, path, arena_heap(p->arena), e))
        return false;
    if (records)
        return (first || p->rated || fail(e, SP_FORMAT, "%s: has ratings, unlike the files before it", path)) &&
               read_reviews(p, path, e);
    Arena *scratch = arena_new(arena_heap(p->arena), 0);
    bool ok = scratch ? read_table(p, path, first, scratch, e) : fail_memory(e, 4096, path);
    arena_free(scratch);
    return ok;
}

/* If some rows have a time, rows without one are left out, as in MMRec. Ducho does not read times, so it keeps all
 * rows. */
static bool settle_times(Preparation *p, Error *e)
{
    if (p->timed == (int64_t)p->r.count)
        return true;
    if (p->timed && p->c->recipe != RECIPE_DUCHO)
        return prepare_drop(p, p->untimed, "no_time", "rows without a time", true, e);
    p->r.time = NULL;
    return true;
}

bool prepare_read(Preparation *p, Error *e)
{
    Ratings *r = &p->r;
    const PrepareConfig *c = p->c;
    *r = (Ratings){.users = text_index_new(p->arena, e), .items = text_index_new(p->arena, e)};
    if (!r->users || !r->items)
        return false;
    r->path = c->sources[0];
    for (size_t i = 0; i < c->source_count; i++)
        if (!read_source(p, c->sources[i], i == 0, e))
            return false;
    r->format = FORMAT_TSV;
    if (!prepare_note(p, "read", "rows that were read", 0, e))
        return false;
    if (p->read > (int64_t)r->count &&
        !prepare_note(p, "incomplete", "rows without a user, an item or a rating", p->read - (int64_t)r->count, e))
        return false;
    return settle_times(p, e);
}
