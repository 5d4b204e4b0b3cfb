/* nn/rank.c: the best items of users, for evaluation and recommendation. Scores are never stored as a whole. */
#include "nn/tape.h"

typedef struct Block { /* device memory of one call */
    const Device *d;
    Run run;
    void *p[8];
    size_t bytes[8];
    int count;
} Block;

static void *take(Block *b, size_t bytes, const void *host, Error *e)
{
    bytes = MAX(bytes, (size_t)1);
    void *p = b->d->k->alloc(b->d->heap, bytes);
    if (!p) {
        fail_memory(e, bytes, "ranking");
        return NULL;
    }
    b->p[b->count] = p;
    b->bytes[b->count++] = bytes;
    if (host)
        b->d->k->upload(&b->run, p, host, bytes);
    return p;
}

bool rank_items(const Device *d, const Tensor *users, const Tensor *items, const int32_t *ids, int64_t B, int64_t k,
                const int64_t *start, const int32_t *item, int32_t *top, float *scores, Error *e)
{
    int64_t U = rows_of(users), I = rows_of(items), D = cols_of(users), skipped = 0;
    if (cols_of(items) != D || k < 1 || B < 0)
        return fail(e, SP_SHAPE, "ranking: users have %lld features, items %lld; k is %lld", (long long)D,
                    (long long)cols_of(items), (long long)k);
    for (int64_t b = 0; b < B; b++) {
        if (ids[b] < 0 || ids[b] >= U)
            return fail(e, SP_USAGE, "ranking: user %d is asked for, there are %lld", ids[b], (long long)U);
        skipped += start ? start[ids[b] + 1] - start[ids[b]] : 0;
    }
    const Tensor *read[] = {users, items};
    for (int i = 0; i < 2; i++)
        if (read[i]->param)
            param_settle(read[i]->param);
    Block m = {.d = d, .run = {.pool = d->pool, .trace = d->trace}};
    int64_t *host_start =
        heap_alloc(d->heap, (size_t)(B + 1) * sizeof *host_start); /* the batch's own rows of the train lists */
    int32_t *host_item = heap_alloc(d->heap, (size_t)MAX(skipped, 1) * sizeof *host_item);
    bool ok = (host_start && host_item) || fail_memory(e, (size_t)(B + skipped) * 8, "ranking");
    if (ok && start) {
        host_start[0] = 0;
        for (int64_t b = 0; b < B; b++) {
            int64_t n = start[ids[b] + 1] - start[ids[b]];
            memcpy(host_item + host_start[b], item + start[ids[b]], (size_t)n * sizeof *item);
            host_start[b + 1] = host_start[b] + n;
        }
    }
    Exclude exclude = {0};
    int32_t *row = NULL, *best = NULL;
    float *score = NULL;
    if (ok && start)
        ok = (exclude.start = take(&m, (size_t)(B + 1) * sizeof *start, host_start, e)) &&
             (exclude.item = take(&m, (size_t)skipped * sizeof *item, host_item, e));
    m.run.work_bytes = d->k->topk_work(B, I, D, k, pool_threads(d->pool));
    ok = ok && (row = take(&m, (size_t)B * sizeof *ids, ids, e)) &&
         (best = take(&m, (size_t)(B * k) * sizeof *best, NULL, e)) &&
         (score = take(&m, (size_t)(B * k) * sizeof *score, NULL, e)) && (m.run.work = take(&m, m.run.work_bytes, NULL, e));
    if (ok) {
        double begun = trace_begin(d->trace);
        d->k->topk(&m.run, B, I, D, k, users->data, row, items->data, NULL, &exclude, best, score);
        trace_end(d->trace, begun, "topk", 2.0 * (double)B * (double)I * (double)D, 4.0 * (double)((B + I) * D));
        d->k->download(&m.run, top, best, (size_t)(B * k) * sizeof *best);
        if (scores)
            d->k->download(&m.run, scores, score, (size_t)(B * k) * sizeof *score);
    }
    while (m.count-- > 0)
        d->k->free(d->heap, m.p[m.count], m.bytes[m.count]);
    if (host_start)
        heap_free(d->heap, host_start, (size_t)(B + 1) * sizeof *host_start);
    if (host_item)
        heap_free(d->heap, host_item, (size_t)MAX(skipped, 1) * sizeof *host_item);
    return ok;
}
