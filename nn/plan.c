/* nn/plan.c: inference with planned memory.
 *
 * The dry run records the size of every tensor, and the first and last node that use it. The plan gives each tensor an
 * offset in one block, so that tensors that are in use at the same time never overlap. The method is greedy by size
 * (Pisarchyk & Lee 2020, arXiv 2001.03288). */
#include <stdlib.h>

#include "nn/tape.h"

static void drop(const Heap *heap, Plan *p)
{
    if (p->buffer)
        heap_free(heap, p->buffer, MAX(p->buffers, (size_t)1) * sizeof *p->buffer);
    if (p->offset)
        heap_free(heap, p->offset, MAX(p->buffers, (size_t)1) * sizeof *p->offset);
    *p = (Plan){0};
}

void plan_forget(Tape *t)
{
    for (size_t i = 0; i < PLANS; i++)
        drop(t->heap, &t->plans[i]);
    if (t->block)
        t->k->free(&t->run, t->heap, t->block, t->block_bytes);
    if (t->buffers)
        heap_free(t->heap, t->buffers, t->buffer_room * sizeof *t->buffers);
    t->block = NULL;
    t->plan = NULL;
}

typedef struct Placed {
    size_t offset, end; /* bytes in the block; during the sort by size, `end` is the buffer's size */
    size_t buffer;      /* number of the buffer */
} Placed;

static int larger_first(const void *a, const void *b)
{
    const Placed *x = a, *y = b; /* here `end` is the size; of equal sizes, the lower number is first */
    return x->end != y->end ? (x->end < y->end ? 1 : -1) : (x->buffer > y->buffer) - (x->buffer < y->buffer);
}

/* Computes the offsets of all buffers. order: scratch [2 n]; its first entries are the placed buffers, sorted by
 * offset. */
static void place(Plan *p, Placed *order)
{
    size_t n = p->buffers, placed = 0;
    Placed *by_size = order + n;
    for (size_t i = 0; i < n; i++)
        by_size[i] = (Placed){.end = p->buffer[i].bytes, .buffer = i};
    qsort(by_size, n, sizeof *by_size, larger_first);
    p->bytes = 0;
    for (size_t i = 0; i < n; i++) {
        const Buffer *b = &p->buffer[by_size[i].buffer];
        size_t at = 0;
        /* finds the lowest gap between buffers that are in use at the same time */
        for (size_t j = 0; j < placed; j++) {
            const Buffer *o = &p->buffer[order[j].buffer];
            if (o->last < b->first || b->last < o->first)
                continue;
            if (order[j].offset >= at && order[j].offset - at >= b->bytes)
                break;
            at = MAX(at, order[j].end);
        }
        size_t j = placed++;
        for (; j > 0 && order[j - 1].offset > at; j--)
            order[j] = order[j - 1];
        order[j] = (Placed){at, at + b->bytes, by_size[i].buffer};
        p->offset[by_size[i].buffer] = at;
        p->bytes = MAX(p->bytes, at + b->bytes);
    }
}

/* Returns the plan of the dry run: a cached one, or a new one that replaces the least recently used one. */
static const Plan *find_plan(Tape *t)
{
    size_t n = t->buffer_count, bytes = n * sizeof *t->buffers;
    uint64_t hash = hash_bytes(t->buffers, bytes, n);
    Plan *p = &t->plans[0];
    t->clock++;
    for (size_t i = 0; i < PLANS; i++) {
        Plan *q = &t->plans[i];
        if (q->buffer && q->hash == hash && q->buffers == n && memcmp(q->buffer, t->buffers, bytes) == 0) {
            q->used = t->clock;
            return q;
        }
        if (q->used < p->used)
            p = q;
    }
    drop(t->heap, p);
    Placed *order = tape_scratch(t, 2 * (int64_t)n, sizeof *order);
    size_t room = MAX(n, (size_t)1);
    p->buffers = n;
    p->buffer = heap_alloc(t->heap, room * sizeof *p->buffer);
    p->offset = heap_alloc(t->heap, room * sizeof *p->offset);
    if (!order || !p->buffer || !p->offset) {
        drop(t->heap, p);
        fail_memory(&t->error, room * sizeof *order, "an inference plan");
        return NULL;
    }
    p->hash = hash;
    p->used = t->clock;
    memcpy(p->buffer, t->buffers, bytes);
    place(p, order);
    return p;
}

/* Runs the pass that finds shapes, last uses and a plan. With `shapes`, it finds only the shapes. */
static bool run_dry(Tape *t, ForwardAll *forward, const void *model, const void *input, size_t n, Inferred *results,
                    bool shapes, Tensor **out, Error *e)
{
    t->mode = MODE_DRY;
    forward(t, model, input, out);
    for (size_t i = 0; i < n && t->error.code == SP_OK; i++) {
        const Tensor *y = out[i];
        if (!y || y->type != F32) {
            tape_fail(t, SP_USAGE, "infer: the model has no result %zu", i);
            break;
        }
        for (int k = 0; k < 4; k++)
            results[i].shape[k] = k < y->dims ? y->shape[k] : 1;
        if (y->id >= 0 && t->nodes[y->id]->buffer >= 0)
            t->buffers[t->nodes[y->id]->buffer].last = (int64_t)t->count; /* a result is in use until the end */
    }
    if (shapes)
        return tape_ok(t, e);
    t->plan = t->error.code == SP_OK ? find_plan(t) : NULL;
    if (t->plan && t->plan->bytes > t->block_bytes) {
        if (t->block)
            t->k->free(&t->run, t->heap, t->block, t->block_bytes);
        t->block_bytes = t->plan->bytes;
        if (!(t->block = t->k->alloc(&t->run, t->heap, t->block_bytes))) {
            device_fail_memory(t->k, &t->run, t->block_bytes, "the tensors of a model", &t->error);
            t->block_bytes = 0;
        }
    }
    return tape_ok(t, e);
}

#ifdef SAPOR_MINIMAL /* MINIMAL has the CPU only, where a download is finished when the call returns */
#define download_later download
#endif
static bool run_planned(Tape *t, ForwardAll *forward, const void *model, const void *input, size_t n,
                        const Inferred *results, Tensor **out, Error *e)
{
    t->mode = MODE_PLANNED;
    forward(t, model, input, out);
    for (size_t i = 0; i < n && t->error.code == SP_OK; i++) {
        const Tensor *y = out[i];
        if ((size_t)y->count > results[i].room)
            tape_fail(t, SP_SHAPE, "infer: the result has %lld numbers, the buffer has room for %zu",
                      (long long)y->count, results[i].room);
        else if (tape_live(t) && results[i].to)
            t->k->download_later(&t->run, results[i].to, y->data, (size_t)y->count * sizeof(float));
    }
    return tape_ok(t, e);
}

bool infer_all(Tape *t, ForwardAll *forward, const void *model, const void *input, size_t n, Inferred *results,
               Error *e)
{
    Draw draw = t->draw;
    bool shapes = true;
    if (t->training)
        return fail(e, SP_USAGE, "infer: the tape was made for training; expected one made for inference");
    for (size_t i = 0; i < n; i++)
        shapes = shapes && !results[i].to;
    bool ok = false;
    for (int planned = 0; planned < 2; planned++) {
        tape_reset(t, draw);
        Tensor **out = tape_scratch(t, (int64_t)n, sizeof(Tensor *));
        if (!out) {
            ok = tape_ok(t, e);
            break;
        }
        ok = planned ? run_planned(t, forward, model, input, n, results, out, e)
                     : run_dry(t, forward, model, input, n, results, shapes, out, e);
        if (!ok || shapes)
            break;
    }
    t->mode = MODE_EAGER;
    return ok;
}

#ifndef SAPOR_MINIMAL
bool infer_arrive(Tape *t, const float *to, Error *e)
{
    t->k->arrive(&t->run, to);
    return t->k->check(&t->run, e);
}
#endif

typedef struct OneResult { /* the arguments of infer, as one result of infer_all */
    Forward *forward;
    const void *model;
} OneResult;

static void forward_one(Tape *t, const void *model, const void *input, Tensor **out)
{
    const OneResult *one = model;
    out[0] = one->forward(t, one->model, input);
}

bool infer(Tape *t, Forward *forward, const void *model, const void *input, float *out, size_t capacity,
           int64_t shape[4], Error *e)
{
    Inferred result = {.to = out, .room = capacity};
    bool ok = infer_all(t, forward_one, &(OneResult){forward, model}, input, 1, &result, e) && infer_arrive(t, NULL, e);
    if (ok)
        memcpy(shape, result.shape, sizeof result.shape);
    return ok;
}

size_t plan_bytes(const Tape *t)
{
    return t->plan ? t->plan->bytes : 0;
}
