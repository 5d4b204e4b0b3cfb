/* nn/rank.c: finds the best items of users, for evaluation and recommendation. The matrix of all scores is never
 * stored. */
#include "nn/tape.h"

/* The vectors of B users on the device: rows `row` of `users`, or rows 0 to B - 1 if row is NULL. `start` and `item`
 * are indexed by user number, or by row of the call. */
typedef struct Ranking {
    const float *users;
    const int32_t *row; /* on the host */
    int64_t B, U;       /* U + 1 is the length of start */
    const int64_t *start;
    const int32_t *item;
} Ranking;

static bool rank(const Device *d, const Ranking *r, const Tensor *items, int64_t k, int32_t *top, float *scores,
                 Error *e)
{
    int64_t B = r->B, U = r->U, I = rows_of(items), D = cols_of(items);
    const int64_t *start = r->start && r->start[U] > r->start[0] ? r->start : NULL;
    if (items->param)
        param_settle(items->param);
    size_t count = (size_t)(B * k), own_bytes = MAX(count, (size_t)1) * sizeof(float);
    Run run = device_run(d);
    size_t work_bytes = run.work_bytes = d->k->topk_work(&run, B, I, D, k);
    run.work = d->k->alloc(&run, d->heap, MAX(work_bytes, (size_t)1));
    float *own = scores ? NULL : heap_alloc(d->heap, own_bytes); /* the kernel always writes scores */
    if (!run.work || !(scores || own))
        fail_memory(e, work_bytes + own_bytes, "ranking");
    Mirror m = {.d = d};
    Exclude exclude = {0};
    const int32_t *row = NULL;
    int32_t *best = NULL;
    float *score = NULL;
    if (run.work && (scores || own) &&
        (!start || (exclude.start = mirror_in(&m, start, (size_t)(U + 1) * sizeof *start, e))) &&
        (!start || (exclude.item = mirror_in(&m, r->item, (size_t)start[U] * sizeof *r->item, e))) &&
        (!r->row || (row = mirror_in(&m, r->row, (size_t)B * sizeof *row, e))) &&
        (best = mirror_out(&m, top, count * sizeof *best, e)) &&
        (score = mirror_out(&m, scores ? scores : own, count * sizeof *score, e))) {
        exclude.row = row;
        double begun = begin_op(d->k, &run);
        d->k->topk(&run, B, I, D, k, F32, r->users, row, items->data, NULL, &exclude, best, score);
        end_op(d->k, &run, begun, "topk", 2.0 * (double)B * (double)I * (double)D, 4.0 * (double)((B + I) * D));
    }
    mirror_close(&m);
    if (run.work)
        d->k->free(&run, d->heap, run.work, MAX(work_bytes, (size_t)1));
    if (own)
        heap_free(d->heap, own, own_bytes);
    return e->code == SP_OK && device_check(d, e);
}

bool rank_items(const Device *d, const Tensor *users, const Tensor *items, const int32_t *ids, int64_t B, int64_t k,
                const int64_t *start, const int32_t *item, int32_t *top, float *scores, Error *e)
{
    int64_t U = rows_of(users), D = cols_of(users);
    if (cols_of(items) != D || k < 1 || B < 0)
        return fail(e, SP_SHAPE, "ranking: users have %lld features, items have %lld; k is %lld", (long long)D,
                    (long long)cols_of(items), (long long)k);
    for (int64_t b = 0; b < B; b++)
        if (ids[b] < 0 || ids[b] >= U)
            return fail(e, SP_USAGE, "ranking: user %d is out of range: there are %lld users", ids[b], (long long)U);
    if (users->param)
        param_settle(users->param);
    return rank(d, &(Ranking){users->data, ids, B, U, start, item}, items, k, top, scores, e);
}

bool rank_rows(const Device *d, const float *users, const Tensor *items, int64_t B, int64_t k, const int64_t *start,
               const int32_t *item, int32_t *top, float *scores, Error *e)
{
    Mirror m = {.d = d};
    const float *x = mirror_in(&m, users, (size_t)(B * cols_of(items)) * sizeof *users, e);
    bool ok = x && rank(d, &(Ranking){x, NULL, B, B, start, item}, items, k, top, scores, e);
    mirror_close(&m);
    return ok;
}

bool rank_scores(const Device *d, int64_t I, const float *scores, const int32_t *ids, int64_t B, int64_t k, int64_t U,
                 const int64_t *start, const int32_t *item, int32_t *top, float *best, Error *e)
{
    size_t count = (size_t)(B * k), own_bytes = MAX(count, (size_t)1) * sizeof(float);
    float *own = best ? NULL : heap_alloc(d->heap, own_bytes); /* the kernel always writes scores */
    if (!best && !own)
        return fail_memory(e, own_bytes, "ranking");
    if (start && start[U] == 0)
        start = NULL;
    Mirror m = {.d = d};
    Exclude exclude = {0};
    const float *x = NULL;
    int32_t *to = NULL;
    float *values = NULL;
    if ((!start || (exclude.start = mirror_in(&m, start, (size_t)(U + 1) * sizeof *start, e))) &&
        (!start || (exclude.item = mirror_in(&m, item, (size_t)start[U] * sizeof *item, e))) &&
        (!ids || (exclude.row = mirror_in(&m, ids, (size_t)B * sizeof *ids, e))) &&
        (x = mirror_in(&m, scores, (size_t)(B * I) * sizeof *scores, e)) &&
        (to = mirror_out(&m, top, count * sizeof *to, e)) &&
        (values = mirror_out(&m, best ? best : own, count * sizeof *values, e))) {
        Run run = device_run(d);
        d->k->topk_rows(&run, B, I, k, x, &exclude, to, values);
    }
    mirror_close(&m);
    if (own)
        heap_free(d->heap, own, own_bytes);
    return e->code == SP_OK;
}
