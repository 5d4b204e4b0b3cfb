/* tools/compare/compare_tests.c: compares each pair of runs, over the users that both have. */
// flags: -Os
#include "tools/compare/compare.h"

#include <stdlib.h>

typedef struct Common { /* the users that two runs share: user i is row a[i] of one and row b[i] of the other */
    int64_t count, *a, *b;
    double *x, *y; /* a figure of each run, per user */
} Common;

static bool find_common(Common *c, const ComparedRun *a, const ComparedRun *b, Error *e)
{
    c->count = 0;
    for (int64_t u = 0; u < text_index_count(a->figures.users); u++) {
        int64_t at = text_index_find(b->figures.users, text_index_at(a->figures.users, u));
        if (at >= 0) {
            c->a[c->count] = u;
            c->b[c->count++] = at;
        }
    }
    return c->count || fail(e, SP_USAGE, "%s and %s have no common users", a->path, b->path);
}

/* Copies the figure of the shared users and returns its mean. */
static double copy_figure(double *to, const ByUser *b, const char *metric, const int64_t *rows, int64_t n)
{
    const double *from = b->value + text_index_find(b->numbers, text_of(metric)) * text_index_count(b->users);
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += to[i] = from[rows[i]];
    return sum / (double)n;
}

static bool test_pair(const Compare *x, ComparedPair *p, const char *metric, const Common *c, Arena *scratch, Error *e)
{
    p->users = c->count;
    p->mean_a = copy_figure(c->x, &x->run[p->a].figures, metric, c->a, c->count);
    p->mean_b = copy_figure(c->y, &x->run[p->b].figures, metric, c->b, c->count);
    return (!x->t || paired_t_test(&p->t, c->x, c->y, c->count, scratch, e)) &&
           (!x->w || wilcoxon_test(&p->w, c->x, c->y, c->count, scratch, e));
}

/* Adjusts p by Holm's method: the pairs of each metric are one family for each test. */
static bool adjust(Compare *x, Arena *scratch, Error *e)
{
    double *p = NEW(scratch, double, x->pairs, e), *holm = NEW(scratch, double, x->pairs, e);
    bool ok = p && holm;
    for (size_t m = 0; ok && m < x->metrics; m++)
        for (int test = 0; ok && test < 2; test++) {
            ComparedPair *pair = x->pair + m * x->pairs;
            for (size_t i = 0; i < x->pairs; i++)
                p[i] = test ? pair[i].w.p : pair[i].t.p;
            ok = holm_adjust(holm, p, x->pairs, scratch, e);
            for (size_t i = 0; ok && i < x->pairs; i++)
                *(test ? &pair[i].w_holm : &pair[i].t_holm) = holm[i];
        }
    return ok;
}

static bool test_all(Compare *x, Common *c, Arena *scratch, Error *e)
{
    Progress progress;
    size_t n = 0;
    bool ok = true;
    progress_start(&progress, x->c->progress, "compare", "pairs", (double)x->pairs);
    for (size_t a = 0; ok && a < x->runs; a++)
        for (size_t b = a + 1; ok && b < x->runs; b++, n++) {
            ok = find_common(c, &x->run[a], &x->run[b], e);
            for (size_t m = 0; ok && m < x->metrics; m++) {
                ComparedPair *p = &x->pair[m * x->pairs + n];
                *p = (ComparedPair){.a = a, .b = b};
                ok = test_pair(x, p, x->metric[m], c, scratch, e);
            }
            progress_step(&progress, (double)n + 1, NULL);
        }
    if (progress.drawn > progress.started) /* a short task has drawn no bar */
        progress_end(&progress, NULL);
    return ok && adjust(x, scratch, e);
}

bool compared_pairs_test(Compare *x, Error *e)
{
    int64_t most = 0;
    size_t cells;
    for (size_t i = 0; i < x->runs; i++)
        most = MAX(most, text_index_count(x->run[i].figures.users));
    x->pairs = x->runs * (x->runs - 1) / 2;
    if (!size_mul(x->metrics, x->pairs, &cells) || !(x->pair = NEW(x->c->arena, ComparedPair, cells, e)))
        return false;
    Arena *scratch = arena_new(x->c->heap, 0);
    if (!scratch)
        return fail_memory(e, sizeof(Common), "tests");
    Common c = {0, NEW(scratch, int64_t, most, e), NEW(scratch, int64_t, most, e), NEW(scratch, double, most, e),
                NEW(scratch, double, most, e)};
    bool ok = c.a && c.b && c.x && c.y && test_all(x, &c, scratch, e);
    arena_free(scratch);
    return ok;
}
