/* recsys/search/view_tests.c: tests of significance between the best points of a study, with the figures of each user
 * in the trial folders. */
// flags: -Os
#include "recsys/search/study.h"

#include <math.h>

typedef struct GroupUsers { /* of the best point: the mean of each user over the trials that have the user */
    TextIndex *users;       /* NULL: a file is missing, or there is no best point */
    double **value;         /* [figures][users]; NULL if the files do not have the figure */
    int32_t *trials;        /* [users] number of trials with the user */
} GroupUsers;
typedef struct Tester {
    StudyView *view;
    const char *out;
    bool t_test, wilcoxon;
    GroupUsers *of_group; /* [groups] */
    Arena *arena, *scratch;
} Tester;

/* ---- reading --------------------------------------------------------------------------------- */

static const char *by_user_path(const Tester *x, const TrialRow *row, Error *e)
{
    return arena_printf(x->scratch, e, "%s/trials/%s/by_user.tsv", x->out, row->key);
}

/* Adds the values of a file. Users and figures are already numbered. */
static bool add_file(const Tester *x, GroupUsers *g, const ByUser *b, Error *e)
{
    int64_t n = text_index_count(b->users);
    for (size_t f = 0; f < x->view->figure_count; f++) {
        int64_t at = text_index_find(b->numbers, text_of(x->view->figures[f]));
        if (at < 0)
            continue;
        if (!g->value[f] && !(g->value[f] = NEW(x->scratch, double, text_index_count(g->users), e)))
            return false;
        for (int64_t u = 0; u < n; u++)
            g->value[f][text_index_find(g->users, text_index_at(b->users, u))] += b->value[at * n + u];
    }
    for (int64_t u = 0; u < n; u++)
        g->trials[text_index_find(g->users, text_index_at(b->users, u))]++;
    return true;
}

static bool read_group(const Tester *x, const GroupPoint *p, GroupUsers *g, bool *missing, Error *e)
{
    ByUser *files = NEW(x->scratch, ByUser, p->finished, e);
    TextIndex *users = text_index_new(x->scratch, e);
    *missing = false;
    if (!files || !users)
        return false;
    for (size_t i = 0; i < p->finished; i++) {
        const char *path = by_user_path(x, p->rows[i], e);
        if (!path)
            return false;
        if (!file_exists(path)) {
            *missing = true;
            return true;
        }
        if (!by_user_read(&files[i], path, x->scratch, e))
            return false;
        for (int64_t u = 0; u < text_index_count(files[i].users); u++)
            if (text_index_add(users, text_index_at(files[i].users, u), e) < 0)
                return false;
    }
    int64_t n = text_index_count(users);
    g->users = users;
    if (!(g->value = NEW(x->scratch, double *, x->view->figure_count, e)) ||
        !(g->trials = NEW(x->scratch, int32_t, n, e)))
        return false;
    for (size_t i = 0; i < p->finished; i++)
        if (!add_file(x, g, &files[i], e))
            return false;
    for (size_t f = 0; f < x->view->figure_count; f++)
        for (int64_t u = 0; g->value[f] && u < n; u++)
            g->value[f][u] /= g->trials[u];
    return true;
}

static bool read_groups(Tester *x, size_t *missing, Error *e)
{
    StudyView *v = x->view;
    *missing = 0;
    if (!(x->of_group = NEW(x->scratch, GroupUsers, v->group_count, e)))
        return false;
    for (size_t i = 0; i < v->group_count; i++) {
        bool gone = false;
        if (v->groups[i].best >= 0 &&
            !read_group(x, &v->groups[i].points[v->groups[i].best], &x->of_group[i], &gone, e))
            return false;
        *missing += gone;
    }
    return true;
}

/* ---- testing --------------------------------------------------------------------------------- */

/* Tests one pair by one figure. If t->users is 0, there is nothing to compare. */
static bool test_pair(const Tester *x, PairTest *t, Error *e)
{
    const GroupUsers *a = &x->of_group[t->first], *b = &x->of_group[t->second];
    const double *p = a->value[t->figure], *q = b->value[t->figure];
    int64_t n = p && q ? text_index_count(a->users) : 0;
    ArenaMark mark = arena_mark(x->scratch);
    double *left = NEW(x->scratch, double, n, e), *right = NEW(x->scratch, double, n, e);
    PairedTest result;
    bool ok = left && right;
    for (int64_t u = 0; ok && u < n; u++) {
        int64_t at = text_index_find(b->users, text_index_at(a->users, u));
        if (at >= 0) {
            left[t->users] = p[u];
            right[t->users++] = q[at];
        }
    }
    if (ok && t->users && x->t_test && (ok = paired_t_test(&result, left, right, t->users, x->scratch, e))) {
        t->t = result.statistic;
        t->t_p = result.p;
    }
    if (ok && t->users && x->wilcoxon && (ok = wilcoxon_test(&result, left, right, t->users, x->scratch, e))) {
        t->w = result.statistic;
        t->w_p = result.p;
    }
    arena_rewind(x->scratch, mark);
    return ok;
}

/* Applies Holm's adjustment to the n tests of one data set and figure. */
static bool adjust(const Tester *x, PairTest *tests, size_t n, Error *e)
{
    ArenaMark mark = arena_mark(x->scratch);
    double *p = NEW(x->scratch, double, n, e), *adjusted = NEW(x->scratch, double, n, e);
    bool ok = p && adjusted;
    for (int w = 0; ok && w < 2; w++) {
        if (!(w ? x->wilcoxon : x->t_test))
            continue;
        for (size_t i = 0; i < n; i++)
            p[i] = w ? tests[i].w_p : tests[i].t_p;
        ok = holm_adjust(adjusted, p, n, x->scratch, e);
        for (size_t i = 0; ok && i < n; i++)
            *(w ? &tests[i].w_holm : &tests[i].t_holm) = adjusted[i];
    }
    arena_rewind(x->scratch, mark);
    return ok;
}

/* Tests all pairs of the groups [begin, end) of one data set by one figure. The tests are appended. */
static bool test_all(Tester *x, size_t begin, size_t end, size_t figure, size_t *room, Error *e)
{
    StudyView *v = x->view;
    size_t first = v->test_count;
    for (size_t i = begin; i < end; i++)
        for (size_t k = i + 1; x->of_group[i].users && k < end; k++) {
            PairTest t = {i, k, figure, 0, NAN, NAN, NAN, NAN, NAN, NAN};
            if (!x->of_group[k].users)
                continue;
            if (!test_pair(x, &t, e))
                return false;
            PairTest *grown = t.users ? arena_grow(x->arena, v->tests, v->test_count, room, sizeof *grown, e) : NULL;
            if (!t.users)
                continue;
            if (!grown)
                return false;
            v->tests = grown;
            v->tests[v->test_count++] = t;
        }
    return v->test_count == first || adjust(x, v->tests + first, v->test_count - first, e);
}

/* Returns the end of the groups of a data set; they are consecutive. */
static size_t data_end(const StudyView *v, size_t begin)
{
    size_t end = begin;
    while (end < v->group_count && !strcmp(v->groups[end].data, v->groups[begin].data))
        end++;
    return end;
}

bool view_tests(StudyView *v, const char *out, bool t_test, bool wilcoxon, size_t *missing, Arena *a, Error *e)
{
    size_t room = 0;
    Tester x = {v, out, t_test, wilcoxon, NULL, a, arena_new(arena_heap(a), 0)};
    v->tests = NULL;
    v->test_count = 0;
    *missing = 0;
    bool ok = x.scratch ? read_groups(&x, missing, e) : fail_memory(e, 1, "an arena");
    for (size_t begin = 0, end; ok && begin < v->group_count; begin = end) {
        end = data_end(v, begin);
        for (size_t f = 0; ok && f < v->figure_count; f++)
            ok = test_all(&x, begin, end, f, &room, e);
    }
    arena_free(x.scratch);
    return ok;
}
