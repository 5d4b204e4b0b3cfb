/* recsys/train/evaluate.c: from a model to the lists it recommends, and from the lists to figures. */
#include "recsys/recsys.h"

#include <math.h>

enum {
    BLOCK = 1024,
    BLOCK_SCORES = 1 << 24
}; /* at most: users ranked at once by models that score densely, and their scores */

/* Models without vectors: dense scores of a block of users, ranked by the device. */
static bool rank_by_scores(Model *m, const int32_t *ids, int64_t n, int64_t k, int32_t *top, float *scores,
                           Arena *scratch, Error *e)
{
    const Device *d = store_device(m->store);
    int64_t I = m->data->I, rows = MAX(MIN(MIN(n, (int64_t)BLOCK), BLOCK_SCORES / I), (int64_t)1);
    const Pairs *seen = &m->data->train;
    float *host = NEW(scratch, float, rows *I, e);
    if (!host)
        return false;
    for (int64_t first = 0; first < n; first += rows) {
        int64_t now = MIN(rows, n - first);
        if (!m->kind->score(m, ids + first, now, host, e) ||
            !rank_scores(d, I, host, ids + first, now, k, m->data->U, seen->start, seen->item, top + first * k,
                         scores ? scores + first * k : NULL, e))
            return false;
    }
    return true;
}

bool rank_users(Model *m, const Tensor *users, const Tensor *items, const int32_t *ids, int64_t n, int64_t k,
                int32_t *top, float *scores, Error *e)
{
    const Pairs *train = &m->data->train;
    if (users)
        return rank_items(store_device(m->store), users, items, ids, n, k, train->start, train->item, top, scores, e);
    Arena *scratch = arena_new(store_device(m->store)->heap, 0);
    bool ok = scratch ? rank_by_scores(m, ids, n, k, top, scores, scratch, e) : fail_memory(e, (size_t)n, "ranking");
    arena_free(scratch);
    return ok;
}

static bool has_pairs(const Pairs *p, int64_t user)
{
    return p->start && p->start[user + 1] > p->start[user];
}

/* How long the lists are, and how many users are ranked at once */
typedef struct Block {
    int64_t K, users;
    int32_t *top;
    float *score;   /* NULL: not asked for */
    double *scores; /* the same */
} Block;

static bool block_make(Block *b, const EvalConfig *c, const DataSet *d, int64_t n, Arena *a, Error *e)
{
    enum { CELLS = 1 << 22, SCORES = METRIC_SCORES | METRIC_WHOLE };
    unsigned needs = measures_needs(c, d->protocol);
    int64_t I = MAX(d->I, (int64_t)1);
    size_t cells;
    b->K = needs & METRIC_WHOLE ? I : 1;
    for (size_t i = 0; i < c->cutoff_count; i++)
        b->K = MAX(b->K, c->cutoffs[i]);
    b->K = MIN(b->K, I); /* no list is longer */
    b->users = needs & METRIC_WHOLE ? MIN(n, MAX(CELLS / b->K, (int64_t)1)) : n;
    if (!size_mul((size_t)b->users, (size_t)b->K, &cells))
        return fail_memory(e, SIZE_MAX, "lists");
    return (b->top = NEW(a, int32_t, cells, e)) &&
           (!(needs & SCORES) || ((b->score = NEW(a, float, cells, e)) && (b->scores = NEW(a, double, cells, e))));
}

static bool rank_block(Model *m, const Tensor *users, const Tensor *items, const int32_t *ids, int64_t n,
                       const Block *b, Error *e)
{
    if (!rank_users(m, users, items, ids, n, b->K, b->top, b->score, e))
        return false;
    for (int64_t i = 0; b->scores && i < n * b->K; i++)
        b->scores[i] = (double)b->score[i];
    return true;
}

bool evaluate_model(Model *m, const Tensor *users, const Tensor *items, const EvalConfig *c, Scores *valid,
                    Scores *test, Arena *a, Error *e)
{
    const DataSet *d = m->data;
    const struct {
        const Pairs *truth;
        Scores *out;
    } parts[] = {{&d->valid, valid}, {&d->test, test}};
    Scorer *scorer[COUNT(parts)] = {NULL};
    Block b = {0};
    int64_t n = 0;
    int32_t *ids = NEW(a, int32_t, d->U, e);
    for (int64_t u = 0; ids && u < d->U; u++)
        if (has_pairs(&d->valid, u) || has_pairs(&d->test, u))
            ids[n++] = (int32_t)u;
    if (!ids || !block_make(&b, c, d, n, a, e))
        return false;
    for (size_t i = 0; i < COUNT(parts); i++)
        if (parts[i].truth->start &&
            !(scorer[i] = scorer_new(parts[i].out, d->protocol, c, parts[i].truth, d, n, a, e)))
            return false;
    for (int64_t first = 0; first < n; first += b.users) {
        const Lists l = {ids + first, MIN(b.users, n - first), b.K, NULL, b.top, b.scores, d, false};
        if (!rank_block(m, users, items, l.users, l.n, &b, e))
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
