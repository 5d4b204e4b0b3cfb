/* recsys/train/loop.c: an epoch: its steps, and the loss that it reports.
 *
 * A step reads nothing back. The losses are copied into a list on the device; it is read every LOSSES_READ steps and at
 * the end of the epoch, and added up in the order of the steps. */
#include "recsys/train/train.h"

#include <math.h>

enum { LOSSES_READ = 16, LOSS_ROOM = 4 * LOSSES_READ };
typedef struct Losses {
    Tensor *list; /* [LOSS_ROOM] */
    int64_t batch[LOSS_ROOM];
    int64_t count;
    double sum;
} Losses;
struct Loop {
    Model *model;
    const CommonSettings *settings;
    Sampler *sampler;
    Optim optim;
    Losses losses;
};

Loop *loop_new(Model *m, const CommonSettings *s, Arena *a, Error *e)
{
    Loop *l = NEW(a, Loop, 1, e);
    if (!l)
        return NULL;
    l->model = m;
    l->settings = s;
    l->optim = optim_adam(s->lr);
    l->optim.weight_decay = s->weight_decay;
    /* torch 2's zero_grad leaves no gradient behind, torch 1's (MMRec) leaves zeros: recipes.md 5.1 */
    l->optim.skip_missing = s->variant == PROTOCOL_ELLIOT;
    l->sampler = sampler_new(m->data, m->kind->sampling(m), s->batch_size, m->seed, a, e);
    l->losses.list = l->sampler ? store_f32(m->store, "", 1, (int64_t[]){LOSS_ROOM}, NULL, e) : NULL;
    return l->losses.list ? l : NULL;
}

int64_t loop_batches(const Loop *l)
{
    return sampler_batches(l->sampler);
}

/* ---- losses ---------------------------------------------------------------------------------- */

static bool read_losses(Loop *l, Error *e)
{
    Losses *s = &l->losses;
    const Model *m = l->model;
    float value[LOSS_ROOM];
    if (s->count)
        tensor_read(store_device(m->store), s->list, 0, s->count, value);
    for (int64_t i = 0; i < s->count; i++) {
        if (!isfinite(value[i]))
            return fail(e, SP_FORMAT, "%s: the loss is %f in epoch %lld, batch %lld; try a smaller lr than %s",
                        m->kind->name, (double)value[i], (long long)m->epoch + 1, (long long)s->batch[i] + 1,
                        TEXT_AS_GIVEN(l->settings, lr));
        s->sum += value[i];
    }
    s->count = 0;
    return true;
}

bool step_report(StepContext *c, Tape *t, const Tensor *loss, Error *e)
{
    Losses *s = &c->loop->losses;
    if (!tape_ok(t, e) || (s->count == LOSS_ROOM && !read_losses(c->loop, e)))
        return false;
    if (loss->count != 1)
        return fail(e, SP_USAGE, "%s: its loss has %lld numbers, one is expected", c->loop->model->kind->name,
                    (long long)loss->count);
    tape_keep(t, loss, s->list, s->count);
    s->batch[s->count++] = c->batch;
    return tape_ok(t, e);
}

bool step_learn(StepContext *c, Tape *t, Tensor *loss, const Optim *o, Error *e)
{
    return step_report(c, t, loss, e) && backward(t, loss, e) && optim_step(o, c->loop->model->store, t, e);
}

/* ---- an epoch -------------------------------------------------------------------------------- */

static bool step(Loop *l, StepContext *c, Tape *tape, Error *e)
{
    Model *m = l->model;
    Batch batch = {.index = c->batch};
    batch.B = sampler_batch(l->sampler, c->batch, &batch.users, &batch.positives, &batch.negatives);
    tape_reset(tape, (Draw){m->seed, DRAW_DROPOUT, (uint32_t)c->step});
    batch_inputs(tape, &batch);
    if (m->kind->step)
        return m->kind->step(tape, m, &batch, c, e) && tape_ok(tape, e);
    return step_learn(c, tape, m->kind->loss(tape, m, &batch), c->optim, e);
}

/* The tape is freed after the epoch: its memory is free when the model is evaluated. */
bool loop_epoch(Loop *l, int64_t epoch, AfterBatch *after, void *arg, double *loss, Error *e)
{
    Model *m = l->model;
    m->epoch = epoch;
    l->losses.count = 0;
    l->losses.sum = 0;
    if (m->kind->epoch && !m->kind->epoch(m, e))
        return false;
    sampler_epoch(l->sampler, store_device(m->store)->pool, epoch);
    StepContext c = {.optim = &l->optim, .loop = l};
    c.decay = pow(l->settings->lr_decay, (double)epoch / 50); /* LambdaLR with a^(epoch/50): recipes.md 5.2 */
    l->optim.lr = l->settings->lr * c.decay;
    int64_t batches = sampler_batches(l->sampler);
    Tape *tape = tape_new(store_device(m->store), true, e);
    bool ok = tape != NULL;
    for (c.batch = 0; ok && c.batch < batches; c.batch++) {
        bool read = (c.batch + 1) % LOSSES_READ == 0 || c.batch + 1 == batches;
        c.step = epoch * batches + c.batch;
        ok = step(l, &c, tape, e) && (!read || read_losses(l, e)) && after(arg, c.batch, e);
    }
    tape_free(tape);
    *loss = batches ? l->losses.sum / (double)batches : 0;
    return ok;
}
