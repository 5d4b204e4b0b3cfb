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

bool evaluate_model(Model *m, const Tensor *users, const Tensor *items, const EvalConfig *c, Scores *valid,
                    Scores *test, Arena *a, Error *e)
{
    const DataSet *d = m->data;
    int64_t K = 1, n = 0;
    for (size_t i = 0; i < c->cutoff_count; i++)
        K = MAX(K, c->cutoffs[i]);
    K = MIN(K, MAX(d->I, (int64_t)1)); /* no list is longer */
    int32_t *ids = NEW(a, int32_t, d->U, e);
    for (int64_t u = 0; ids && u < d->U; u++)
        if (has_pairs(&d->valid, u) || has_pairs(&d->test, u))
            ids[n++] = (int32_t)u;
    size_t cells;
    int32_t *top = ids && size_mul((size_t)n, (size_t)K, &cells) ? NEW(a, int32_t, cells, e) : NULL;
    if (!top || !rank_users(m, users, items, ids, n, K, top, NULL, e))
        return false;
    struct {
        const Pairs *truth;
        Scores *out;
    } parts[] = {{&d->valid, valid}, {&d->test, test}};
    for (size_t i = 0; i < COUNT(parts); i++)
        if (parts[i].truth->start && !score_lists(parts[i].out, d->protocol, ids, n, K, top, parts[i].truth, c->metrics,
                                                  c->metric_count, c->cutoffs, c->cutoff_count, a, e))
            return false;
    return true;
}

const char *score_name(const Scores *s, size_t i, char *buffer, size_t size)
{
    snprintf(buffer, size, "%s@%lld", s->names[i / s->cutoffs], (long long)s->at[i % s->cutoffs]);
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
