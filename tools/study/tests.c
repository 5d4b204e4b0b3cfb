/* tools/study/tests.c: tests of significance between the best points of groups, as a matrix and as a list. */
// flags: -Os
#include "tools/study/study.h"

#include <math.h>

/* most rows of a matrix; if there are more groups, only the best group of each model has a row */
enum { MANY_GROUPS = 24 };

typedef struct Matrix {
    size_t *row;   /* [n]: indices into s->rows */
    size_t *place; /* [group_count]: the row of a group in the matrix, from 1; 0: none */
    size_t n;
    bool only_best;        /* only the best group of each model */
    const PairTest **test; /* [n, n], or NULL */
} Matrix;

/* Returns p as text without the zero before the point, to save space in the matrix. */
static const char *p_text(StudyPage *s, double p)
{
    return p < 0.001 ? "<.001" : p >= 0.9995 ? "1" : report_text(s, "%.3f", p) + 1;
}

/* Returns which row is better: 1: a, -1: b, 0: neither. */
static int compare(const StudyPage *s, const Group *a, const Group *b, size_t figure)
{
    bool lower;
    report_direction(s->v->figures[figure], &lower);
    double x = report_figure(s, report_best(a), figure), y = report_figure(s, report_best(b), figure);
    int order = (x > y) - (x < y);
    return lower ? -order : order;
}

static size_t group_number(const StudyPage *s, const StudyRow *r)
{
    return (size_t)(r->group - s->v->groups);
}

/* Chooses the rows that have a result and a test; with `only_best`, only the best row of each model. */
static size_t choose_rows(StudyPage *s, size_t d, const bool *tested, bool only_best, size_t *row)
{
    size_t n = 0;
    for (size_t i = s->first[d], end; i < s->first[d + 1]; i = end) {
        size_t begin = n;
        end = report_family_end(s, i);
        for (size_t k = i; k < end; k++) {
            const StudyRow *r = &s->rows[k];
            if (!r->shown || !report_best(r->group) || !tested[group_number(s, r)])
                continue;
            if (!only_best || n == begin)
                row[n++] = k;
            else if (compare(s, r->group, s->rows[row[begin]].group, s->metric) > 0)
                row[begin] = k;
        }
    }
    return n;
}

static bool fill_matrix(StudyPage *s, Matrix *m, size_t d, size_t figure)
{
    const StudyView *v = s->v;
    bool *tested = NEW(s->a, bool, v->group_count + 1, s->e);
    m->row = NEW(s->a, size_t, s->first[d + 1] - s->first[d] + 1, s->e);
    m->place = NEW(s->a, size_t, v->group_count + 1, s->e);
    if (!tested || !m->row || !m->place)
        return false;
    for (size_t i = 0; i < v->test_count; i++)
        if (v->tests[i].figure == figure && v->tests[i].first < v->group_count && v->tests[i].second < v->group_count)
            tested[v->tests[i].first] = tested[v->tests[i].second] = true;
    m->n = choose_rows(s, d, tested, false, m->row);
    m->only_best = m->n > MANY_GROUPS;
    if (m->only_best)
        m->n = choose_rows(s, d, tested, true, m->row);
    for (size_t i = 0; i < m->n; i++)
        m->place[group_number(s, &s->rows[m->row[i]])] = i + 1;
    if (!(m->test = NEW(s->a, const PairTest *, m->n * m->n + 1, s->e)))
        return false;
    for (size_t i = 0; i < v->test_count; i++) {
        const PairTest *t = &v->tests[i];
        if (t->figure != figure || t->first >= v->group_count || t->second >= v->group_count)
            continue;
        size_t a = m->place[t->first], b = m->place[t->second];
        if (a && b && a != b)
            m->test[(a - 1) * m->n + b - 1] = m->test[(b - 1) * m->n + a - 1] = t;
    }
    return true;
}

/* Fills a cell: an arrow up if its row is the better one, down if not. The colour depends on the size of p. */
static void fill_cell(StudyPage *s, Cell *c, double p, int order)
{
    if (!isfinite(p))
        return;
    int strong = p < 0.001 ? 3 : p < 0.01 ? 2 : p < 0.05 ? 1 : 0;
    c->text = report_text(s, "%s%s", order > 0 ? "\xE2\x86\x91" : order < 0 ? "\xE2\x86\x93" : "", p_text(s, p));
    c->exact = report_text(s, "%.9g", p);
    c->shade = order < 0 ? -strong : strong;
}

static void put_matrix(StudyPage *s, size_t d, size_t figure, bool both, bool wilcoxon)
{
    Matrix m = {0};
    if (!fill_matrix(s, &m, d, figure) || m.n < 2)
        return;
    Sheet t = report_sheet(s, &s->rows[s->first[d]], "significance");
    t.class = "matrix";
    t.title = report_text(s, "%s: p values of %s, adjusted by Holm's method: %s", s->v->data[d], s->v->figures[figure],
                          both       ? "t-test above the diagonal, Wilcoxon's test below"
                          : wilcoxon ? "Wilcoxon's test"
                                     : "t-test");
    sheet_column(&t, "group", 'l');
    for (size_t i = 0; i < m.n; i++)
        sheet_column(&t, report_text(s, "%zu", i + 1), 'r');
    for (size_t i = 0; i < m.n; i++) {
        const StudyRow *r = &s->rows[m.row[i]];
        Cell *c = sheet_row(&t, false);
        if (!c)
            return;
        c->text = report_text(s, "%zu %s", i + 1, r->name);
        for (size_t k = 0; k < m.n; k++) {
            const PairTest *x = m.test[i * m.n + k];
            bool second = both ? k < i : wilcoxon;
            if (x)
                fill_cell(s, &c[k + 1], second ? x->w_holm : x->t_holm,
                          compare(s, r->group, s->rows[m.row[k]].group, figure));
        }
    }
    report_heading(s, d);
    if (m.only_best)
        put(&s->page, "<p class=\"soft\">The best setting of each model.</p>\n");
    report_show(s, &t, t.rows);
}

/* Writes every pair and figure to the files. */
static void write_pairs(StudyPage *s, size_t d)
{
    static const char *const HEADS[] = {"figure", "first",        "second", "first mean", "second mean", "users", "t",
                                        "p of t", "p of t, Holm", "W",      "p of W",     "p of W, Holm"};
    const StudyView *v = s->v;
    Sheet t = report_sheet(s, &s->rows[s->first[d]], "pairs");
    const char **names = NEW(s->a, const char *, v->group_count + 1, s->e);
    for (size_t i = s->first[d]; names && i < s->first[d + 1]; i++)
        names[group_number(s, &s->rows[i])] = s->rows[i].name;
    for (size_t i = 0; i < COUNT(HEADS); i++)
        sheet_column(&t, HEADS[i], i < 3 ? 'l' : 'r');
    for (size_t i = 0; names && i < v->test_count; i++) {
        const PairTest *x = &v->tests[i];
        if (x->first >= v->group_count || x->second >= v->group_count || x->figure >= v->figure_count ||
            !names[x->first] || !names[x->second])
            continue;
        Cell *c = sheet_row(&t, false);
        if (!c)
            return;
        double mean[] = {report_figure(s, report_best(&v->groups[x->first]), x->figure),
                         report_figure(s, report_best(&v->groups[x->second]), x->figure)};
        double values[] = {mean[0], mean[1], (double)x->users, x->t, x->t_p, x->t_holm, x->w, x->w_p, x->w_holm};
        c[0].text = v->figures[x->figure];
        c[1].text = names[x->first];
        c[2].text = names[x->second];
        for (size_t k = 0; k < COUNT(values); k++) {
            c[3 + k] = report_cell(s, k < 2 ? s->decimals[x->figure] : k == 2 ? 0 : 4, values[k]);
            if (k > 3 && k != 6 && values[k] < 0.0001) /* the value is a probability */
                c[3 + k].text = "<0.0001";
        }
    }
    if (t.rows)
        report_show(s, &t, 0);
}

/* Finds the computed tests and the figure to show: the study's metric if it is tested. Returns false if there is no
 * test. */
static bool find_tests(const StudyPage *s, bool *t_test, bool *wilcoxon, size_t *figure)
{
    const StudyView *v = s->v;
    *t_test = *wilcoxon = false;
    *figure = s->metric;
    for (size_t i = 0; i < v->test_count; i++) {
        *t_test |= isfinite(v->tests[i].t_holm);
        *wilcoxon |= isfinite(v->tests[i].w_holm);
        if (*figure >= v->figure_count)
            *figure = v->tests[i].figure;
    }
    return (*t_test || *wilcoxon) && *figure < v->figure_count;
}

bool report_has_significance(const StudyPage *s)
{
    bool t_test, wilcoxon;
    size_t figure;
    return find_tests(s, &t_test, &wilcoxon, &figure) || s->untested;
}

void report_significance(StudyPage *s)
{
    const StudyView *v = s->v;
    bool t_test, wilcoxon;
    size_t figure;
    if (!find_tests(s, &t_test, &wilcoxon, &figure)) {
        if (s->untested)
            put(&s->page,
                "<h2 id=\"significance\">Significance</h2>\n<p>No groups are tested: the figures by user of "
                "%zu groups are not in this folder.</p>\n",
                s->untested);
        return;
    }
    put(&s->page, "<h2 id=\"significance\">Significance</h2>\n<p class=\"soft\">p values of ");
    put_text(&s->page, text_of(v->figures[figure]));
    put(&s->page,
        " by user, between the best points, adjusted by Holm's method over all pairs of a data set: %s. "
        "\xE2\x86\x91 the row is better than the column, \xE2\x86\x93 it is worse.</p>\n<p class=\"shades\"><span "
        "class=\"s3\">p &lt; 0.001</span> <span "
        "class=\"s2\">p &lt; 0.01</span> <span class=\"s1\">p &lt; 0.05</span> better <span class=\"n3\">p &lt; "
        "0.001</span> <span class=\"n2\">p &lt; 0.01</span> <span class=\"n1\">p &lt; 0.05</span> worse</p>\n",
        t_test && wilcoxon ? "the paired t-test above the diagonal, Wilcoxon's signed-rank test below"
        : t_test           ? "the paired t-test"
                           : "Wilcoxon's signed-rank test");
    if (s->untested)
        put(&s->page, "<p>%zu groups are not tested: their figures by user are not in this folder.</p>\n", s->untested);
    for (size_t d = 0; d < v->data_count && s->e->code == SP_OK; d++) {
        if (s->first[d] == s->first[d + 1])
            continue;
        put_matrix(s, d, figure, t_test && wilcoxon, wilcoxon);
        if (s->tables)
            write_pairs(s, d);
    }
}
