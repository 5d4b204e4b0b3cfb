/* recsys/train/evaluate.c: ranks the items for each user, and computes the figures of the lists. */
#include "recsys/metrics/metrics.h"
#include "recsys/train/train.h"

#include <math.h>

enum {
    BLOCK = 1024,
    BLOCK_SCORES = 1 << 24
}; /* limits: users per block of a model with dense scores; numbers in a block */

/* The items of each user that are not ranked, by user number. */
typedef struct Without {
    const int64_t *start; /* [U+1] */
    const int32_t *item;
} Without;

/* Ranks for models without vectors: the model computes dense scores of a block of users, and the device ranks them. */
static bool rank_by_scores(Model *m, const int32_t *ids, int64_t n, int64_t k, const Without *x, int32_t *top,
                           float *scores, Arena *scratch, Error *e)
{
    const Device *d = store_device(m->store);
    int64_t I = m->data->I, rows = MAX(MIN(MIN(n, (int64_t)BLOCK), BLOCK_SCORES / I), (int64_t)1);
    float *host = NEW(scratch, float, rows *I, e);
    if (!host)
        return false;
    for (int64_t first = 0; first < n; first += rows) {
        int64_t now = MIN(rows, n - first);
        if (!m->kind->score(m, ids + first, now, host, e) ||
            !rank_scores(d, I, host, ids + first, now, k, m->data->U, x->start, x->item, top + first * k,
                         scores ? scores + first * k : NULL, e))
            return false;
    }
    return true;
}

static bool rank_without(Model *m, const Tensor *users, const Tensor *items, const int32_t *ids, int64_t n, int64_t k,
                         const Without *x, int32_t *top, float *scores, Error *e)
{
    if (users)
        return rank_items(store_device(m->store), users, items, ids, n, k, x->start, x->item, top, scores, e);
    Arena *scratch = arena_new(store_device(m->store)->heap, 0);
    bool ok = scratch ? rank_by_scores(m, ids, n, k, x, top, scores, scratch, e) : fail_memory(e, (size_t)n, "ranking");
    arena_free(scratch);
    return ok;
}

bool rank_users(Model *m, const Tensor *users, const Tensor *items, const int32_t *ids, int64_t n, int64_t k,
                int32_t *top, float *scores, Error *e)
{
    const Without train = {m->data->train.start, m->data->train.item};
    return rank_without(m, users, items, ids, n, k, &train, top, scores, e);
}

static bool has_pairs(const Pairs *p, int64_t user)
{
    return p->start && p->start[user + 1] > p->start[user];
}

/* The length of the lists, and the number of users per block. */
typedef struct Block {
    int64_t K, users;
    int32_t *top;
    float *score;   /* NULL if no metric needs it */
    double *scores; /* the same numbers in double */
} Block;

/* Makes a block for n users. `most`: the largest number of items in a user's list. `wide`: each user needs d->I more
 * numbers (the items that are not ranked), so a block has fewer users. */
static bool block_make(Block *b, const EvalConfig *c, const DataSet *d, int64_t n, int64_t most, bool wide, Arena *a,
                       Error *e)
{
    enum { CELLS = 1 << 22, SCORES = METRIC_SCORES | METRIC_WHOLE };
    unsigned needs = ALL_METRICS ? measures_needs(c, d->protocol) : 0;
    int64_t I = MAX(most, (int64_t)1);
    size_t cells;
    b->K = needs & METRIC_WHOLE ? I : 1;
    for (size_t i = 0; i < c->cutoff_count; i++)
        b->K = MAX(b->K, c->cutoffs[i]);
    b->K = MIN(b->K, I); /* no list is longer than the catalogue */
    b->users = n;
    if (wide || needs & METRIC_WHOLE)
        b->users = MIN(n, MAX(CELLS / MAX(wide ? d->I : b->K, (int64_t)1), (int64_t)1));
    if (!size_mul((size_t)b->users, (size_t)b->K, &cells))
        return fail_memory(e, SIZE_MAX, "lists");
    return (b->top = NEW(a, int32_t, cells, e)) &&
           (!(needs & SCORES) || ((b->score = NEW(a, float, cells, e)) && (b->scores = NEW(a, double, cells, e))));
}

static bool rank_block(Model *m, const Tensor *users, const Tensor *items, const int32_t *ids, int64_t n,
                       const Without *x, const Block *b, Error *e)
{
    if (!rank_without(m, users, items, ids, n, b->K, x, b->top, b->score, e))
        return false;
    for (int64_t i = 0; b->scores && i < n * b->K; i++)
        b->scores[i] = (double)b->score[i];
    return true;
}

static int32_t *users_with(const Pairs *p, const Pairs *q, int64_t U, int64_t *n, Arena *a, Error *e)
{
    int32_t *ids = NEW(a, int32_t, U, e);
    *n = 0;
    for (int64_t u = 0; ids && u < U; u++)
        if (has_pairs(p, u) || has_pairs(q, u))
            ids[(*n)++] = (int32_t)u;
    return ids;
}

#ifndef SAPOR_MINIMAL
/* Evaluates one part of the data. Each part has its own candidates. */
static bool evaluate_sampled(Model *m, const Tensor *users, const Tensor *items, const EvalConfig *c, bool test,
                             Scores *out, Arena *a, Error *e)
{
    const DataSet *d = m->data;
    const Pairs *truth = test ? &d->test : &d->valid;
    Candidates x;
    Block b = {0};
    int64_t n;
    size_t cells;
    int32_t *ids = users_with(truth, truth, d->U, &n, a, e);
    Scorer *s = ids ? scorer_new(out, d->protocol, c, truth, d, n, a, e) : NULL;
    if (!s || !candidates_make(&x, d, c, test, a, e) || !block_make(&b, c, d, n, x.max_per_user, true, a, e))
        return false;
    Excluded without = {.start = NEW(a, int64_t, d->U + 1, e)};
    if (!without.start || !size_mul((size_t)b.users, (size_t)d->I, &cells) ||
        !(without.item = NEW(a, int32_t, cells, e)))
        return e->code ? false : fail_memory(e, SIZE_MAX, "ranking");
    for (int64_t first = 0; first < n; first += b.users) {
        const Lists l = {ids + first, MIN(b.users, n - first), b.K, NULL, b.top, b.scores, d, false};
        candidates_exclude(&x, d, l.users, l.n, &without);
        if (!rank_block(m, users, items, l.users, l.n, &(Without){without.start, without.item}, &b, e) ||
            !scorer_add(s, &l, e))
            return false;
    }
    return scorer_end(s, e);
}
#endif

bool evaluate_model(Model *m, const Tensor *users, const Tensor *items, const EvalConfig *c, Scores *valid,
                    Scores *test, Arena *a, Error *e)
{
    const DataSet *d = m->data;
    const struct {
        const Pairs *truth;
        Scores *out;
    } parts[] = {{&d->valid, valid}, {&d->test, test}};
    const Without train = {d->train.start, d->train.item};
    Scorer *scorer[COUNT(parts)] = {NULL};
    Block b = {0};
    int64_t n;
#ifndef SAPOR_MINIMAL
    if (c->negatives || c->negative_files[0])
        return (!valid || !d->valid.start || evaluate_sampled(m, users, items, c, false, valid, a, e)) &&
               (!test || !d->test.start || evaluate_sampled(m, users, items, c, true, test, a, e));
#endif
    int32_t *ids = users_with(&d->valid, &d->test, d->U, &n, a, e);
    if (!ids || !block_make(&b, c, d, n, d->I, false, a, e))
        return false;
    for (size_t i = 0; i < COUNT(parts); i++)
        if (parts[i].truth->start &&
            !(scorer[i] = scorer_new(parts[i].out, d->protocol, c, parts[i].truth, d, n, a, e)))
            return false;
    for (int64_t first = 0; first < n; first += b.users) {
        const Lists l = {ids + first, MIN(b.users, n - first), b.K, NULL, b.top, b.scores, d, false};
        if (!rank_block(m, users, items, l.users, l.n, &train, &b, e))
            return false;
        for (size_t i = 0; i < COUNT(parts); i++)
            if (scorer[i] && !scorer_add(scorer[i], &l, e))
                return false;
    }
    for (size_t i = 0; i < COUNT(parts); i++)
        if (scorer[i] && !scorer_end(scorer[i], e))
            return false;
    return true;
}

const char *score_name(const Scores *s, size_t i, char *buffer, size_t size)
{
    snprintf(buffer, size, "%s@%lld%s", s->names[i / s->cutoffs], (long long)s->at[i % s->cutoffs],
             s->sampled ? s->sampled : "");
    return buffer;
}

double score_of(const Scores *s, const char *metric, int64_t cutoff)
{
    for (size_t i = 0; i < s->metrics; i++)
        for (size_t j = 0; j < s->cutoffs; j++)
            if (!strcmp(s->names[i], metric) && s->at[j] == cutoff)
                return s->mean[i * s->cutoffs + j];
    return NAN;
}
