/* recsys/search/points.c: the points of a model, in the order in which they are tried. */
// flags: -Os
#include "recsys/search/study.h"

enum { SEARCH_SEED = 42 /* Elliot's rstate */, DRAWS_MOST = 200 };

bool points_most(const StudyModel *m, size_t *most, Error *e)
{
    int64_t all = 1;
    bool ok = true;
    for (size_t i = 0; ok && i < m->dim_count; i++) {
        const Dimension *d = &m->dims[i];
        ok = space_check(d, e) && (m->search != SEARCH_GRID || d->distribution == DIST_CHOICE ||
                                   fail(e, SP_USAGE, "setting %s: a grid needs lists of values, not %s", d->key,
                                        distribution_names[d->distribution]));
    }
    if (ok && m->search == SEARCH_GRID)
        ok = grid_points(m->dims, m->dim_count, &all, e);
    else if (ok)
        all = space_points(m->dims, m->dim_count);
    if (ok && m->evals <= 0 && all == INT64_MAX)
        ok = fail(e, SP_USAGE, "the space has no end; say how many points to try");
    all = m->evals > 0 ? MIN(m->evals, all) : all;
    *most = (size_t)all;
    ok = ok && (all <= TRIALS_MOST || fail(e, SP_USAGE, "more than %d points; try fewer", TRIALS_MOST));
    if (!ok)
        error_prefix(e, "%s: ", m->name);
    return ok;
}

/* Adds a point, unless there is one with this name. *new: it was added. */
static bool add_point(Points *p, const StudyModel *m, const char *const *values, bool *new, Arena *a, Error *e)
{
    const char *name = point_name(m->dims, m->dim_count, values, ' ', a, e);
    const char **copy = NEW(a, const char *, m->dim_count, e);
    int64_t at = name && copy ? text_index_add(p->index, text_of(name), e) : -1;
    if (at < 0)
        return false;
    *new = (size_t)at == p->count;
    if (!*new)
        return true;
    for (size_t i = 0; i < m->dim_count; i++)
        copy[i] = values[i];
    p->values[p->count] = copy;
    p->names[p->count++] = name;
    return true;
}

bool points_draw(Points *p, const StudyModel *m, const TpeResult *results, Arena *a, Error *e)
{
    const Space space = {m->name, m->dims, m->dim_count, SEARCH_SEED};
    const char **values = NEW(a, const char *, m->dim_count, e);
    bool new = false, ok = values != NULL;
    for (uint32_t attempt = 0; ok && !new &&attempt < DRAWS_MOST; attempt++) {
        /* the second half of the attempts are random draws */
        bool by_tpe = results && attempt < DRAWS_MOST / 2;
        int64_t number = (int64_t)p->count;
        ok = (by_tpe ? tpe_draw(&space, results, p->count, number, attempt, values, a, e)
                     : space_draw(&space, number, attempt, values, a, e)) &&
             add_point(p, m, values, &new, a, e);
    }
    p->ended = ok && !new;
    return ok;
}

static Points *new_points(size_t most, Arena *a, Error *e)
{
    Points *p = NEW(a, Points, 1, e);
    if (!p || !(p->values = NEW(a, const char *const *, most, e)) || !(p->names = NEW(a, const char *, most, e)) ||
        !(p->figures = NEW(a, double, most, e)) || !(p->index = text_index_new(a, e)))
        return NULL;
    return p;
}

Points *points_first(const StudyModel *m, size_t most, Arena *a, Error *e)
{
    Points *p = new_points(most, a, e);
    const char **values = NEW(a, const char *, m->dim_count, e);
    size_t first = m->search == SEARCH_TPE ? MIN(most, (size_t)TPE_STARTUP) : most;
    bool ok = p && values, new;
    while (ok && p->count < first && !p->ended) {
        if (m->search != SEARCH_GRID) {
            ok = points_draw(p, m, NULL, a, e);
            continue;
        }
        grid_point(m->dims, m->dim_count, (int64_t)p->count, values);
        ok = add_point(p, m, values, &new, a, e) &&
             (new || fail(e, SP_USAGE, "%s: the grid has the point %s twice", m->name,
                          point_name(m->dims, m->dim_count, values, ' ', a, e)));
    }
    return ok ? p : NULL;
}
