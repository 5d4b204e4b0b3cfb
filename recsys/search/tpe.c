/* recsys/search/tpe.c: the tree-structured Parzen estimator (Bergstra et al., Algorithms for Hyper-Parameter
 * Optimization, NIPS 2011), with the constants of hyperopt.
 *
 * The results are divided into the best ones and the others. For each dimension, l is a mixture of normal distributions
 * around the best values, and g one around the other values; both include the prior as a component. 24 candidates are
 * drawn from l, and the one with the largest l / g is taken. There are two differences from hyperopt: the draws are
 * Philox's, and the density of a quantised dimension is that of the number before rounding. */
// flags: -Os
#include "recsys/search/space.h"

#include <math.h>
#include <stdlib.h>

/* BEST_MOST: largest number of best results. REMEMBERED: the number of newest results with full weight. TRIES: draws of
 * a number until it is within the bounds. SIGMA_PARTS: limits the smallest width of a component (set_widths). */
enum { CANDIDATES = 24, BEST_MOST = 25, REMEMBERED = 25, TRIES = 100, SIGMA_PARTS = 100 };
static const double GAMMA = 0.25; /* of n results, ceil(GAMMA sqrt(n)) are the best */

/* ---- the results, divided -------------------------------------------------------------------- */

typedef struct Ordered {
    double figure;
    size_t at; /* index in the results, which are in the order of time */
} Ordered;

static int by_figure(const void *a, const void *b)
{
    const Ordered *x = a, *y = b;
    return x->figure != y->figure ? (x->figure > y->figure ? -1 : 1) : (x->at > y->at) - (x->at < y->at);
}

static int by_time(const void *a, const void *b)
{
    const Ordered *x = a, *y = b;
    return (x->at > y->at) - (x->at < y->at);
}

/* Writes to list [*n] the best results, then the others, each in the order of time. Results without a figure are left
 * out. Returns the number of the best. */
static size_t split_results(const TpeResult *results, size_t count, Ordered *list, size_t *n)
{
    *n = 0;
    for (size_t i = 0; i < count; i++)
        if (isfinite(results[i].figure))
            list[(*n)++] = (Ordered){results[i].figure, i};
    size_t best = MIN((size_t)ceil(GAMMA * sqrt((double)*n)), (size_t)BEST_MOST);
    if (*n) {
        qsort(list, *n, sizeof *list, by_figure);
        qsort(list, best, sizeof *list, by_time);
        qsort(list + best, *n - best, sizeof *list, by_time);
    }
    return best;
}

/* Returns the weight of result i of n, in the order of time. Old results have a lower weight: hyperopt's linear
 * forgetting. */
static double weight_of(size_t i, size_t n)
{
    if (n <= REMEMBERED || i >= n - REMEMBERED)
        return 1;
    size_t old = n - REMEMBERED;
    double first = 1.0 / (double)n;
    return old == 1 ? first : first + (1 - first) * (double)i / (double)(old - 1);
}

/* ---- a mixture for one dimension ------------------------------------------------------------- */

typedef struct Component {
    double mean, sigma, weight;
} Component;
typedef struct Mixture {
    Component *list;
    size_t count;
    double total;     /* sum of the weights */
    double low, high; /* bounds of the draws; infinite for normal distributions */
} Mixture;

static int by_mean(const void *a, const void *b)
{
    const Component *x = a, *y = b;
    return (x->mean > y->mean) - (x->mean < y->mean);
}

/* Returns the value for which the prior is an untransformed uniform or normal distribution. */
static double inner(const Dimension *d, const char *text)
{
    double x = 0;
    text_f64(text_of(text), &x);
    if (is_log(d->distribution))
        return own_log(fmax(x, d->q > 0 ? d->q / 2 : 1e-300));
    return d->distribution == DIST_RANDINT ? x + 0.5 : x;
}

/* Computes the widths from the distances to the neighbours, with limits that shrink with the number of components. */
static void set_widths(Mixture *m, double prior_sigma)
{
    double least = prior_sigma / (double)MIN((size_t)SIGMA_PARTS, 1 + m->count);
    for (size_t i = 0; i < m->count; i++) {
        double left = i ? m->list[i].mean - m->list[i - 1].mean : 0;
        double right = i + 1 < m->count ? m->list[i + 1].mean - m->list[i].mean : 0;
        bool is_prior = m->list[i].sigma > 0;
        m->list[i].sigma = is_prior ? prior_sigma : fmin(fmax(fmax(left, right), least), prior_sigma);
    }
}

/* Makes the mixture of dimension d, number `dim`, from results list [n] and the prior. */
static bool make_mixture(Mixture *m, const Dimension *d, size_t dim, const TpeResult *results, const Ordered *list,
                         size_t n, Arena *a, Error *e)
{
    bool normal = is_normal(d->distribution);
    double prior = normal ? d->low : (d->low + d->high) / 2, sigma = normal ? d->high : d->high - d->low;
    *m = (Mixture){NEW(a, Component, n + 1, e), n + 1, 1, normal ? -INFINITY : d->low, normal ? INFINITY : d->high};
    if (!m->list)
        return false;
    sigma = fmax(sigma, 1e-12);
    for (size_t i = 0; i < n; i++) {
        m->list[i] = (Component){inner(d, results[list[i].at].values[dim]), 0, weight_of(i, n)};
        m->total += m->list[i].weight;
    }
    m->list[n] = (Component){prior, sigma, 1};
    qsort(m->list, m->count, sizeof *m->list, by_mean);
    set_widths(m, sigma);
    return true;
}

/* Computes the density without the constant factors, which are the same in l and g for all x. */
static double density(const Mixture *m, double x)
{
    double sum = 0;
    for (size_t i = 0; i < m->count; i++) {
        const Component *c = &m->list[i];
        double z = (x - c->mean) / c->sigma;
        sum += c->weight / m->total / c->sigma * own_exp(-0.5 * z * z);
    }
    return sum;
}

static double draw_mixture(const Mixture *m, Draw which, Draw value, uint64_t index, uint32_t attempt)
{
    double at = draw_f64(which, index, attempt) * m->total;
    size_t i = 0;
    while (i + 1 < m->count && at >= m->list[i].weight)
        at -= m->list[i++].weight;
    const Component *c = &m->list[i];
    double x = c->mean;
    for (uint32_t t = 0; t < TRIES; t++) {
        x = c->mean + c->sigma * draw_normal_f64(value, index, attempt * TRIES + t);
        if (x >= m->low && x < m->high)
            return x;
    }
    return fmin(fmax(x, m->low), m->high);
}

/* ---- a dimension ----------------------------------------------------------------------------- */

/* Reports whether log(l / g) is above *best; if so, *best becomes this number. */
static bool better(double l, double g, double *best)
{
    double gain = own_log(fmax(l, 1e-300)) - own_log(fmax(g, 1e-300));
    if (!(gain > *best))
        return false;
    *best = gain;
    return true;
}

typedef struct TpeDraw { /* the draw of one dimension */
    const TpeResult *results;
    const Ordered *list; /* [count] as split_results orders it: the first `best` are the best results */
    size_t best, count, dim;
    Draw which, value; /* which component or choice; the value of a component */
    uint64_t first;    /* index of the first candidate */
    uint32_t attempt;
} TpeDraw;

/* Draws candidates from l and chooses the one with the largest l / g. For dimensions of numbers. */
static bool draw_between(const TpeDraw *t, const Dimension *d, const char **value, Arena *a, Error *e)
{
    Mixture l, g;
    double best = -INFINITY, chosen = 0;
    if (!make_mixture(&l, d, t->dim, t->results, t->list, t->best, a, e) ||
        !make_mixture(&g, d, t->dim, t->results, t->list + t->best, t->count - t->best, a, e))
        return false;
    for (uint64_t c = 0; c < CANDIDATES; c++) {
        double x = draw_mixture(&l, t->which, t->value, t->first + c, t->attempt);
        if (better(density(&l, x), density(&g, x), &best))
            chosen = x;
    }
    chosen = is_log(d->distribution) ? own_exp(chosen) : chosen;
    if (d->distribution == DIST_RANDINT)
        chosen = fmin(floor(chosen), d->high - 1);
    return (*value = space_text(d, chosen, a, e)) != NULL;
}

/* Computes share [d->count], the shares of the values among the results list [n]. Each value counts once more; this is
 * the prior. */
static void shares_of(const TpeDraw *t, const Dimension *d, const Ordered *list, size_t n, double *share)
{
    double total = (double)d->count;
    for (size_t v = 0; v < d->count; v++)
        share[v] = 1;
    for (size_t i = 0; i < n; i++)
        for (size_t v = 0; v < d->count; v++)
            if (!strcmp(t->results[list[i].at].values[t->dim], d->values[v])) {
                share[v] += weight_of(i, n);
                total += weight_of(i, n);
                break;
            }
    for (size_t v = 0; v < d->count; v++)
        share[v] /= total;
}

static bool draw_choice(const TpeDraw *t, const Dimension *d, const char **value, Arena *a, Error *e)
{
    double *l = NEW(a, double, d->count, e), *g = NEW(a, double, d->count, e), best = -INFINITY;
    if (!l || !g)
        return false;
    shares_of(t, d, t->list, t->best, l);
    shares_of(t, d, t->list + t->best, t->count - t->best, g);
    for (uint64_t c = 0; c < CANDIDATES; c++) {
        double at = draw_f64(t->which, t->first + c, t->attempt);
        size_t v = 0;
        while (v + 1 < d->count && at >= l[v])
            at -= l[v++];
        if (better(l[v], g[v], &best))
            *value = d->values[v];
    }
    return true;
}

bool tpe_draw(const Space *s, const TpeResult *results, size_t count, int64_t number, uint32_t attempt,
              const char **values, Arena *a, Error *e)
{
    if (number < TPE_STARTUP)
        return space_draw(s, number, attempt, values, a, e);
    size_t n;
    Ordered *list = NEW(a, Ordered, count, e);
    if (!list)
        return false;
    size_t best = split_results(results, count, list, &n);
    for (size_t i = 0; i < s->count; i++) {
        const char *which = arena_printf(a, e, "%s %s which", s->name, s->dims[i].key);
        const char *value = arena_printf(a, e, "%s %s value", s->name, s->dims[i].key);
        if (!which || !value)
            return false;
        TpeDraw t = {.results = results,
                     .list = list,
                     .best = best,
                     .count = n,
                     .dim = i,
                     .which = {s->seed, DRAW_SEARCH, draw_name(which)},
                     .value = {s->seed, DRAW_SEARCH, draw_name(value)},
                     .first = (uint64_t)number * CANDIDATES,
                     .attempt = attempt};
        if (!(s->dims[i].distribution == DIST_CHOICE ? draw_choice(&t, &s->dims[i], &values[i], a, e)
                                                     : draw_between(&t, &s->dims[i], &values[i], a, e)))
            return false;
    }
    return true;
}
