/* recsys/data/arrays.c: makes a data set from arrays of the caller. Every number is checked before it is used. */
// flags: -Os
#include "recsys/data/data.h"

#include <math.h>

bool interactions_check(const sp_interactions *x, const char *name, int64_t users, int64_t items, Error *e)
{
    if (!x->count)
        return true;
    if (!x->user || !x->item)
        return fail(e, SP_USAGE, "%s: has %zu interactions, but %s is NULL", name, x->count, x->user ? "item" : "user");
    if (x->count > UINT32_MAX)
        return fail(e, SP_UNSUPPORTED, "%s: more than %u interactions", name, UINT32_MAX);
    for (size_t r = 0; r < x->count; r++) {
        bool bad_user = x->user[r] < 0 || x->user[r] >= users;
        if (bad_user || x->item[r] < 0 || x->item[r] >= items)
            return fail(e, SP_USAGE, "%s: %s[%zu] is %d; a number from 0 to %lld is expected", name,
                        bad_user ? "user" : "item", r, bad_user ? x->user[r] : x->item[r],
                        (long long)(bad_user ? users : items) - 1);
        if (x->rating && !isfinite(x->rating[r]))
            return fail(e, SP_USAGE, "%s: rating[%zu] is %g; finite numbers are expected", name, r,
                        (double)x->rating[r]);
    }
    return true;
}

bool pairs_make(Pairs *p, const sp_interactions *from, const char *name, int64_t users, int64_t items,
                const Pairs *train, Arena *a, Error *e)
{
    *p = (Pairs){0};
    if (!interactions_check(from, name, users, items, e))
        return false;
    Arena *scratch = arena_new(arena_heap(a), 0);
    Row *rows = scratch ? NEW(scratch, Row, from->count, e) : NULL;
    size_t n = 0;
    for (size_t r = 0; rows && r < from->count; r++) {
        int32_t u = from->user[r];
        if (!train || train->start[u + 1] > train->start[u])
            rows[n++] = (Row){u, from->item[r], from->rating ? from->rating[r] : 1};
    }
    bool ok = scratch ? rows && pairs_build(p, users, items, rows, n, a, e)
                      : fail_memory(e, from->count * sizeof(Row), "interactions");
    arena_free(scratch);
    return ok;
}

static bool check_feature(const sp_data *x, size_t i, Error *e)
{
    const sp_feature *f = &x->features[i];
    const char *problem = f->name ? id_problem(text_of(f->name)) : "is NULL";
    if (problem || strchr(f->name, '='))
        return fail(e, SP_USAGE, "features[%zu]: its name %s; a word such as visual is expected", i,
                    problem ? problem : "holds =");
    for (size_t k = 0; k < i; k++)
        if (!strcmp(x->features[k].name, f->name))
            return fail(e, SP_USAGE, "features '%s' are given twice", f->name);
    size_t cells;
    if (!f->data || !f->width || f->width > INT32_MAX || !size_mul(f->width, x->items, &cells) ||
        cells > PTRDIFF_MAX / sizeof(float))
        return fail(e, SP_USAGE, "features '%s': %s", f->name,
                    !f->data    ? "data is NULL"
                    : !f->width ? "their width is 0"
                                : "their width is too large");
    for (size_t k = 0; k < cells; k++)
        if (!isfinite(f->data[k]))
            return fail(e, SP_USAGE, "features '%s': item %zu contains %g in column %zu; finite numbers are expected",
                        f->name, k / f->width, (double)f->data[k], k % f->width);
    return true;
}

bool catalogue_check(size_t users, size_t items, Error *e)
{
    if (!users || !items)
        return fail(e, SP_USAGE, "the number of %s is 0", users ? "items" : "users");
    return (users <= INT32_MAX / 2 && items <= INT32_MAX / 2 - users) ||
           fail(e, SP_UNSUPPORTED, "more than %d users and items", INT32_MAX / 2);
}

/* Makes valid or test. If the caller gives no interactions, the part does not exist (*p is unchanged). If no user of
 * the interactions is in train, this is an error. */
static bool make_part(Pairs *p, const DataSet *d, const sp_interactions *from, const char *name, Arena *a, Error *e)
{
    if (!from || !from->count)
        return true;
    if (!pairs_make(p, from, name, d->U, d->I, &d->train, a, e))
        return false;
    return p->count || fail(e, SP_USAGE, "%s: none of its users has interactions in train", name);
}

bool dataset_make(DataSet *d, const sp_data *from, Arena *a, Error *e)
{
    *d = (DataSet){.arena = a, .U = (int64_t)from->users, .I = (int64_t)from->items};
    if (!catalogue_check(from->users, from->items, e) || !protocol_find(from->protocol, &d->protocol, e))
        return false;
    if (from->feature_count && !from->features)
        return fail(e, SP_USAGE, "sp_data: feature_count is %zu, but features is NULL", from->feature_count);
    if (!from->train || !from->train->count)
        return fail(e, SP_USAGE, "sp_data: train has no interactions");
    if (!pairs_make(&d->train, from->train, "train", d->U, d->I, NULL, a, e) ||
        !make_part(&d->valid, d, from->valid, "valid", a, e) || !make_part(&d->test, d, from->test, "test", a, e) ||
        !ids_count(&d->users, d->U, a, e) || !ids_count(&d->items, d->I, a, e) ||
        !(d->features = NEW(a, Feature, from->feature_count, e)))
        return false;
    for (; d->feature_count < from->feature_count; d->feature_count++) {
        const sp_feature *f = &from->features[d->feature_count];
        if (!check_feature(from, d->feature_count, e))
            return false;
        d->features[d->feature_count] = (Feature){.name = f->name, .D = (int64_t)f->width, .data = f->data};
    }
    return true;
}
