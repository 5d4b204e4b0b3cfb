/* recsys/search/view.c: summarises a ledger: the groups of a study, their points, the best ones. */
// flags: -Os
#include "recsys/search/study.h"

#include <math.h>
#include <stdlib.h>

enum { CELLS_MOST = 1 << 22 };

/* ---- names ----------------------------------------------------------------------------------- */

typedef struct Names { /* distinct texts, in the order of their first appearance */
    TextIndex *index;
    Arena *arena;
} Names;

/* Sets *list to the names, in the arena. */
static bool names_list(const Names *n, const char ***list, size_t *count, Error *e)
{
    *count = (size_t)text_index_count(n->index);
    if (!(*list = NEW(n->arena, const char *, *count, e)))
        return false;
    for (size_t i = 0; i < *count; i++)
        (*list)[i] = text_index_at(n->index, (int64_t)i).p;
    return true;
}

static bool names_new(Names *n, Arena *a, Error *e)
{
    *n = (Names){text_index_new(a, e), a};
    return n->index != NULL;
}

static bool study_names(StudyView *v, const Study *s, Arena *a, Error *e)
{
    Names data, settings;
    if (!names_new(&data, a, e) || !names_new(&settings, a, e) ||
        !(v->models = NEW(a, const char *, s->model_count, e)))
        return false;
    for (size_t i = 0; i < s->data_count; i++)
        if (text_index_add(data.index, text_of(s->data[i].name), e) < 0 ||
            text_index_add(settings.index, text_of(s->data[i].setting), e) < 0)
            return false;
    for (size_t i = 0; i < s->model_count; i++)
        v->models[v->model_count++] = s->models[i].name;
    return names_list(&data, &v->data, &v->data_count, e) && names_list(&settings, &v->settings, &v->setting_count, e);
}

/* ---- figures --------------------------------------------------------------------------------- */

typedef struct RowFigures {
    double *part[2]; /* [figures] of valid and of test; NaN if there is none */
} RowFigures;

/* Adds the names of an object's members. */
static bool add_names(TextIndex *names, const char *json, size_t *members, Arena *scratch, Error *e)
{
    ArenaMark mark = arena_mark(scratch);
    const Json *j = json_parse(scratch, text_of(json), "figures of a trial", e);
    bool ok = j != NULL;
    for (const Json *f = j ? j->first : NULL; ok && f; f = f->next, ++*members)
        ok = text_index_add(names, f->key, e) >= 0;
    arena_rewind(scratch, mark);
    return ok;
}

static double *read_figures(const char *json, const StudyView *v, Arena *a, Arena *scratch, Error *e)
{
    ArenaMark mark = arena_mark(scratch);
    double *figures = NEW(a, double, v->figure_count, e);
    const Json *j = figures ? json_parse(scratch, text_of(json), "figures of a trial", e) : NULL;
    for (size_t i = 0; j && i < v->figure_count; i++)
        figures[i] = figure_of(j, v->figures[i]);
    arena_rewind(scratch, mark);
    return j ? figures : NULL;
}

/* Collects the names of all figures, and the figures of each finished row. */
static bool row_figures(StudyView *v, RowFigures **of_row, const char *path, Arena *a, Arena *scratch, Error *e)
{
    enum { SPARSE = 8 }; /* a large table must have a figure in one of this many cells */
    Names names;
    size_t members = 0, cells;
    bool ok = names_new(&names, a, e) && (*of_row = NEW(scratch, RowFigures, v->row_count, e));
    for (size_t i = 0; ok && i < v->row_count; i++)
        ok = v->rows[i].state != TRIAL_DONE || (add_names(names.index, v->rows[i].test, &members, scratch, e) &&
                                                add_names(names.index, v->rows[i].valid, &members, scratch, e));
    ok = ok && names_list(&names, &v->figures, &v->figure_count, e);
    /* Refuses a ledger whose rows have many different figures: the table would be huge and nearly empty. All rows of a
     * study have the same figures, except rows of an earlier configuration. */
    if (ok && (!size_mul(v->figure_count, v->row_count, &cells) || cells > CELLS_MOST) && cells / SPARSE > members)
        ok = fail(e, SP_FORMAT, "%s: has %zu figures of different names, and most trials have a few of them only", path,
                  v->figure_count);
    Arena *parsed = ok ? arena_new(arena_heap(a), 0) : NULL;
    if (ok && !parsed)
        ok = fail_memory(e, 1, "an arena");
    for (size_t i = 0; ok && i < v->row_count; i++)
        if (v->rows[i].state == TRIAL_DONE)
            ok = ((*of_row)[i].part[0] = read_figures(v->rows[i].valid, v, scratch, parsed, e)) &&
                 ((*of_row)[i].part[1] = read_figures(v->rows[i].test, v, scratch, parsed, e));
    arena_free(parsed);
    return ok;
}

/* ---- points ---------------------------------------------------------------------------------- */

/* The points of a model, shared by all its groups. With TPE, the points after the first ones are not known here. */
typedef struct ModelPoints {
    size_t most; /* number of points that are tried at most */
    const Points *points;
} ModelPoints;
typedef struct DataCell { /* a data set with a setting */
    const StudyData *first;
    int64_t data, setting; /* indices in the view */
    size_t folds;
} DataCell;
typedef struct Viewer {
    StudyView *view;
    const char *path; /* path of the ledger */
    const Study *study;
    const RowFigures *of_row;
    ModelPoints *points; /* [models] */
    DataCell *cells;     /* [cell_count], in the order of the view */
    size_t cell_count;
    TextIndex *folds;     /* index of data, setting and fold */
    TextIndex *groups;    /* index of data, setting and model of the rows */
    size_t *first, *next; /* [groups], [rows]: the rows of a group as a linked list; SIZE_MAX ends it */
    Arena *arena, *scratch;
} Viewer;

static bool is_seed(const StudyModel *m, uint64_t seed)
{
    for (size_t i = 0; i < m->seed_count; i++)
        if (m->seeds[i] == seed)
            return true;
    return false;
}

/* Joins three names; names have no line ends, so the result is unique. */
static const char *joined(const char *a, const char *b, const char *c, Arena *arena, Error *e)
{
    return arena_printf(arena, e, "%s\n%s\n%s", a, b, c);
}

static int by_place(const void *a, const void *b)
{
    const DataCell *x = a, *y = b;
    if (x->data != y->data)
        return x->data < y->data ? -1 : 1;
    return x->setting != y->setting ? (x->setting < y->setting ? -1 : 1) : 0;
}

/* Makes an index of names; duplicates are not added. */
static TextIndex *index_of(const char *const *names, size_t n, Arena *a, Error *e)
{
    TextIndex *index = text_index_new(a, e);
    for (size_t i = 0; index && i < n; i++)
        if (text_index_add(index, text_of(names[i]), e) < 0)
            return NULL;
    return index;
}

static bool find_cells(Viewer *w, Error *e)
{
    const Study *s = w->study;
    TextIndex *pairs = text_index_new(w->scratch, e);
    TextIndex *data = index_of(w->view->data, w->view->data_count, w->scratch, e);
    TextIndex *settings = index_of(w->view->settings, w->view->setting_count, w->scratch, e);
    w->folds = text_index_new(w->scratch, e);
    w->cells = NEW(w->scratch, DataCell, s->data_count, e);
    if (!pairs || !data || !settings || !w->folds || !w->cells)
        return false;
    for (size_t i = 0; i < s->data_count; i++) {
        const StudyData *d = &s->data[i];
        const char *pair = joined(d->name, d->setting, "", w->scratch, e);
        const char *fold = pair ? joined(d->name, d->setting, d->fold, w->scratch, e) : NULL;
        int64_t at =
            fold && text_index_add(w->folds, text_of(fold), e) >= 0 ? text_index_add(pairs, text_of(pair), e) : -1;
        if (at < 0)
            return false;
        if ((size_t)at == w->cell_count)
            w->cells[w->cell_count++] = (DataCell){.first = d,
                                                   .data = text_index_find(data, text_of(d->name)),
                                                   .setting = text_index_find(settings, text_of(d->setting))};
        w->cells[at].folds++;
    }
    if (w->cell_count)
        qsort(w->cells, w->cell_count, sizeof *w->cells, by_place);
    return true;
}

static bool is_fold(const Viewer *w, const TrialRow *row)
{
    Error ignored = {0};
    ArenaMark mark = arena_mark(w->scratch);
    const char *fold = joined(row->data, row->setting, row->fold, w->scratch, &ignored);
    bool is = fold && text_index_find(w->folds, text_of(fold)) >= 0;
    arena_rewind(w->scratch, mark);
    return is;
}

/* Makes the lists of rows: w->groups, w->first, w->next. */
static bool chain_rows(Viewer *w, Error *e)
{
    const StudyView *v = w->view;
    w->groups = text_index_new(w->scratch, e);
    w->first = NEW(w->scratch, size_t, v->row_count, e);
    w->next = NEW(w->scratch, size_t, v->row_count, e);
    if (!w->groups || !w->first || !w->next)
        return false;
    for (size_t i = v->row_count; i-- > 0;) {
        const TrialRow *row = &v->rows[i];
        int64_t known = text_index_count(w->groups);
        const char *name = joined(row->data, row->setting, row->model, w->scratch, e);
        int64_t at = name ? text_index_add(w->groups, text_of(name), e) : -1;
        if (at < 0)
            return false;
        w->next[i] = at == known ? SIZE_MAX : w->first[at];
        w->first[at] = i;
    }
    return true;
}

static bool make_points(Viewer *w, Error *e)
{
    const Study *s = w->study;
    size_t all = 0;
    bool ok = (w->points = NEW(w->scratch, ModelPoints, s->model_count, e)) != NULL;
    for (size_t i = 0; ok && i < s->model_count; i++) {
        ModelPoints *p = &w->points[i];
        ok = points_most(&s->models[i], &p->most, e);
        if (ok && p->most > TRIALS_MOST - all)
            ok = fail(e, SP_FORMAT, "the study has more than %d points", TRIALS_MOST);
        all += ok ? p->most : 0;
        ok = ok && (p->points = points_first(&s->models[i], p->most, w->scratch, e));
        if (ok && s->models[i].search != SEARCH_TPE)
            p->most = p->points->count;
    }
    if (!ok)
        error_prefix(e, "%s: ", w->path);
    return ok;
}

/* Returns the number of a row's point. With TPE, a point after the known ones has the number of the row. -1: the row
 * belongs to an earlier configuration, and this one has no such point. */
static int64_t number_of(const ModelPoints *p, const TrialRow *row)
{
    int64_t at = text_index_find(p->points->index, text_of(row->point));
    bool after_known = p->points->count < p->most && row->number >= (int64_t)p->points->count;
    return at < 0 && after_known && row->number < (int64_t)p->most ? row->number : at;
}

/* Collects the rows of the group by point. trials: number of trials per point. */
static bool collect(Viewer *w, Group *g, const StudyModel *m, const ModelPoints *points, size_t trials, Error *e)
{
    StudyView *v = w->view;
    TextIndex *names = text_index_new(w->scratch, e);
    size_t capacity = 0;
    const char *key = names ? joined(g->data, g->setting, g->model, w->scratch, e) : NULL;
    int64_t chain = key ? text_index_find(w->groups, text_of(key)) : -1;
    for (size_t i = chain < 0 ? SIZE_MAX : w->first[chain]; i != SIZE_MAX; i = w->next[i]) {
        const TrialRow *row = &v->rows[i];
        if (!is_fold(w, row) || !is_seed(m, row->seed))
            continue;
        int64_t number = number_of(points, row);
        if (number < 0)
            continue;
        int64_t at = text_index_add(names, text_of(row->point), e);
        if (at < 0)
            return false;
        if ((size_t)at >= g->count) {
            GroupPoint *grown = arena_grow(w->arena, g->points, g->count, &capacity, sizeof *grown, e);
            if (!grown)
                return false;
            g->points = grown;
            g->points[g->count++] = (GroupPoint){.point = row->point,
                                                 .number = number,
                                                 .trials = trials,
                                                 .rows = NEW(w->arena, const TrialRow *, trials, e)};
        }
        GroupPoint *p = &g->points[at];
        if (!p->rows)
            return false;
        p->seconds += row->seconds;
        if (row->state == TRIAL_DONE && p->finished < trials)
            p->rows[p->finished++] = row;
    }
    return key != NULL;
}

static double mean_of(const Viewer *w, const GroupPoint *p, int part, size_t figure)
{
    double sum = 0;
    for (size_t i = 0; i < p->finished; i++)
        sum += w->of_row[p->rows[i] - w->view->rows].part[part][figure];
    return p->finished ? sum / (double)p->finished : (double)NAN;
}

static double deviation_of(const Viewer *w, const GroupPoint *p, size_t figure, double mean)
{
    double sum = 0;
    for (size_t i = 0; i < p->finished; i++) {
        double far = w->of_row[p->rows[i] - w->view->rows].part[1][figure] - mean;
        sum += far * far;
    }
    return p->finished > 1 ? sqrt(sum / (double)(p->finished - 1)) : (double)NAN;
}

static bool set_figures(const Viewer *w, GroupPoint *p, Error *e)
{
    size_t n = w->view->figure_count;
    p->valid = NEW(w->arena, double, n, e);
    p->test = NEW(w->arena, double, n, e);
    p->deviation = NEW(w->arena, double, n, e);
    if (!p->valid || !p->test || !p->deviation)
        return false;
    for (size_t i = 0; i < n; i++) {
        p->valid[i] = mean_of(w, p, 0, i);
        p->test[i] = mean_of(w, p, 1, i);
        p->deviation[i] = deviation_of(w, p, i, p->test[i]);
    }
    return true;
}

/* Chooses the first point with the largest figure among the complete points. */
static void choose(const Viewer *w, Group *g)
{
    const StudyView *v = w->view;
    size_t figure = 0;
    double best = -INFINITY;
    while (figure < v->figure_count && strcmp(v->figures[figure], v->metric) != 0)
        figure++;
    g->best = -1;
    if (figure == v->figure_count)
        return;
    /* all points are compared by the same part: the selected one, if any point has it */
    bool test = v->select == SELECT_TEST, has = false;
    for (size_t i = 0; i < g->count; i++)
        has = has || isfinite(test ? g->points[i].test[figure] : g->points[i].valid[figure]);
    test = has ? test : !test;
    for (size_t i = 0; i < g->count; i++) {
        const GroupPoint *p = &g->points[i];
        double value = test ? p->test[figure] : p->valid[figure];
        if (p->finished == p->trials && value > best) {
            best = value;
            g->best = (int64_t)i;
        }
    }
}

static int by_number(const void *a, const void *b)
{
    const GroupPoint *x = a, *y = b;
    return x->number != y->number ? (x->number > y->number ? 1 : -1) : strcmp(x->point, y->point);
}

static bool view_group(Viewer *w, const DataCell *cell, size_t model, Error *e)
{
    const StudyModel *m = &w->study->models[model];
    const ModelPoints *points = &w->points[model];
    const StudyData *d = cell->first;
    Group *g = &w->view->groups[w->view->group_count++];
    *g = (Group){.data = d->name, .setting = d->setting, .model = m->name, .absent = d->absent, .best = -1};
    ArenaMark mark = arena_mark(w->scratch);
    size_t trials = cell->folds * m->seed_count;
    g->planned = d->absent ? 0 : points->most * trials;
    bool ok = collect(w, g, m, points, trials, e);
    if (ok && g->count) /* until here the points are in the order of the rows, which are sorted by fold first */
        qsort(g->points, g->count, sizeof *g->points, by_number);
    for (size_t i = 0; ok && i < g->count; i++)
        ok = set_figures(w, &g->points[i], e);
    if (ok)
        choose(w, g);
    arena_rewind(w->scratch, mark);
    return ok;
}

/* Makes one group per data set, setting and model, in this order; folds are joined. */
static bool view_groups(Viewer *w, Error *e)
{
    StudyView *v = w->view;
    const Study *s = w->study;
    size_t most;
    if (!find_cells(w, e) || !chain_rows(w, e))
        return false;
    if (!size_mul(w->cell_count, s->model_count, &most) || most > GROUPS_MOST)
        return fail(e, SP_FORMAT, "%s: the study's description has %zu data sets and settings x %zu models; at most %d",
                    w->path, w->cell_count, s->model_count, GROUPS_MOST);
    bool ok = (v->groups = NEW(w->arena, Group, most, e)) != NULL;
    for (size_t i = 0; ok && i < w->cell_count; i++)
        for (size_t m = 0; ok && m < s->model_count; m++)
            ok = view_group(w, &w->cells[i], m, e);
    return ok;
}

bool study_view(StudyView *v, Ledger *l, Arena *a, Error *e)
{
    Study *s = NEW(a, Study, 1, e);
    RowFigures *of_row = NULL;
    bool found = false;
    *v = (StudyView){0};
    if (!s || !ledger_study(l, s, &found, a, e))
        return false;
    if (!found)
        return fail(e, SP_FORMAT, "%s: no `sapor run` has written its study into this ledger", ledger_path(l));
    v->name = s->name;
    v->system = s->system;
    v->select = s->select;
    Arena *scratch = arena_new(arena_heap(a), 0);
    bool ok = scratch || fail_memory(e, 1, "an arena");
    ok = ok && (v->metric = arena_printf(a, e, "%s@%lld", s->metric, (long long)s->cutoff)) &&
         ledger_rows(l, &v->rows, &v->row_count, a, e) &&
         ledger_extractions(l, &v->extractions, &v->extraction_count, a, e) && study_names(v, s, a, e) &&
         row_figures(v, &of_row, ledger_path(l), a, scratch, e);
    for (size_t i = 0; ok && i < v->figure_count; i++)
        if (is_figure(text_of(v->figures[i]), v->metric)) {
            v->metric = v->figures[i];
            break;
        }
    Viewer w = {.view = v, .path = ledger_path(l), .study = s, .of_row = of_row, .arena = a, .scratch = scratch};
    ok = ok && make_points(&w, e) && view_groups(&w, e);
    arena_free(scratch);
    return ok;
}
