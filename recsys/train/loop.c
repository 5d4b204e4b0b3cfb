/* recsys/train/loop.c: the steps of an epoch, and the loss that it reports.
 *
 * A step does not wait for the device. The losses are copied into a list on the device. The list is read every
 * LOSSES_READ steps and at the end of the epoch; the losses are added up in the order of the steps. If kernels read
 * host memory, a loss is read immediately: if it is not finite, no step is taken, and the error names the cause. */
#include "recsys/train/train.h"

#include <math.h>

enum { LOSSES_READ = 16, LOSS_ROOM = 4 * LOSSES_READ };
typedef struct Losses {
    Tensor *list; /* [LOSS_ROOM] */
    int64_t batch[LOSS_ROOM];
    bool again[LOSS_ROOM]; /* Mirror Gradient's second loss: it is checked, but not added up */
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
    l->optim = m->kind->optim ? m->kind->optim(m) : optim_adam(s->lr);
    l->optim.weight_decay = s->weight_decay;
    /* the zero_grad of torch 2 leaves no gradient; that of torch 1 (MMRec) leaves zeros: recipes.md 5.1 */
    l->optim.skip_missing = s->zero_grad == ZERO_GRAD_NONE;
    if (s->mg && m->kind->step) {
        fail(e, SP_USAGE, "%s: makes its steps itself, so mg=true has no meaning: leave it out", m->kind->name);
        return NULL;
    }
    l->sampler = sampler_new(m->data, m->kind->sampling(m), s->batch_size, m->seed, a, e);
    l->losses.list = l->sampler ? store_f32(m->store, "", 1, (int64_t[]){LOSS_ROOM}, NULL, e) : NULL;
    return l->losses.list ? l : NULL;
}

int64_t loop_batches(const Loop *l)
{
    return sampler_batches(l->sampler);
}

/* ---- losses ---------------------------------------------------------------------------------- */

/* Checks that all parameters are finite. `loss`: a loss that is not finite, or NULL. With a loss the function always
 * fails, and the error names the loss and the first parameter that is not finite. NaN is printed without its sign,
 * which depends on the machine. */
static bool check_numbers(const Loop *l, const float *loss, int64_t batch, Error *e)
{
    const Model *m = l->model;
    const char *name = m->kind->name, *lr = TEXT_AS_GIVEN(l->settings, lr);
    long long epoch = (long long)m->epoch + 1, step = (long long)batch + 1;
    char number[24] = "nan";
    NotFinite bad;
    if (!store_find_not_finite(m->store, &bad, e))
        return false;
    if (loss && !isnan(*loss))
        snprintf(number, sizeof number, "%g", (double)*loss);
    if (loss && !bad.name && epoch == 1 && step == 1) /* no step was taken yet, so lr cannot be the cause */
        return fail(e, SP_FORMAT,
                    "%s: the loss is %s in epoch 1, step 1; all parameters are finite; scale features with large "
                    "numbers, or set smaller weights",
                    name, number);
    if (loss && !bad.name)
        return fail(e, SP_FORMAT,
                    "%s: the loss is %s in epoch %lld, step %lld; all parameters are finite; try a smaller lr than %s",
                    name, number, epoch, step, lr);
    if (loss)
        return fail(e, SP_FORMAT,
                    "%s: the loss is %s in epoch %lld, step %lld: %sparameter %s is not finite (row %lld); try a "
                    "smaller lr than %s",
                    name, number, epoch, step, bad.state ? "the optimiser's state of " : "", bad.name,
                    (long long)bad.row, lr);
    return !bad.name ||
           fail(e, SP_FORMAT,
                "%s: %sparameter %s is not finite (row %lld) at the end of epoch %lld, step %lld; try a smaller "
                "lr than %s",
                name, bad.state ? "the optimiser's state of " : "", bad.name, (long long)bad.row, epoch, step, lr);
}

static bool read_losses(Loop *l, Error *e)
{
    Losses *s = &l->losses;
    float value[LOSS_ROOM];
    if (s->count) {
        const Device *d = store_device(l->model->store);
        tensor_read(d, s->list, 0, s->count, value);
        if (!device_check(d, e))
            return false;
    }
    for (int64_t i = 0; i < s->count; i++) {
        if (!isfinite(value[i]))
            return check_numbers(l, &value[i], s->batch[i], e);
        s->sum += s->again[i] ? 0 : value[i];
    }
    s->count = 0;
    return true;
}

static bool report(StepContext *c, Tape *t, const Tensor *loss, bool again, Error *e)
{
    Losses *s = &c->loop->losses;
    if (!tape_ok(t, e) || (s->count == LOSS_ROOM && !read_losses(c->loop, e)))
        return false;
    if (loss->count != 1)
        return fail(e, SP_USAGE, "%s: its loss has %lld numbers, one is expected", c->loop->model->kind->name,
                    (long long)loss->count);
    tape_keep(t, loss, s->list, s->count);
    s->again[s->count] = again;
    s->batch[s->count++] = c->batch;
    return tape_ok(t, e) && (!device_is_host(tape_device(t)) || read_losses(c->loop, e));
}

bool step_report(StepContext *c, Tape *t, const Tensor *loss, Error *e)
{
    return report(c, t, loss, false, e);
}

bool step_learn(StepContext *c, Tape *t, Tensor *loss, const Optim *o, Error *e)
{
    return step_report(c, t, loss, e) && backward(t, loss, e) && optim_step(o, c->loop->model->store, t, e);
}

/* ---- an epoch -------------------------------------------------------------------------------- */

/* Mirror Gradient (Zhong et al. 2024), as in MMRec's trainer (recipes.md 5.8). First a descent step on alpha1 times the
 * loss of the batch; then an ascent step on alpha2 times its loss at the new parameters. */
static bool mirror_step(Loop *l, StepContext *c, Tape *t, Batch *b, Error *e)
{
    const CommonSettings *s = l->settings;
    Model *m = l->model;
    for (int again = 0; again < 2; again++) {
        b->again = again;
        Tensor *loss = m->kind->loss(t, m, b);
        if (!report(c, t, loss, again, e) ||
            !backward(t, scale(t, loss, again ? -(float)s->alpha2 : (float)s->alpha1), e) ||
            !optim_step(c->optim, m->store, t, e))
            return false;
    }
    return true;
}

static bool step_once(Loop *l, StepContext *c, Tape *tape, Error *e)
{
    Model *m = l->model;
    Batch batch = {.index = c->batch};
    batch.B = sampler_batch(l->sampler, c->batch, &batch.users, &batch.positives, &batch.negatives);
    tape_reset(tape, (Draw){m->seed, DRAW_DROPOUT, (uint32_t)c->step});
    batch_inputs(tape, &batch);
    if (m->kind->step)
        return m->kind->step(tape, m, &batch, c, e) && tape_ok(tape, e);
    if (l->settings->mg && c->batch % l->settings->beta == 0)
        return mirror_step(l, c, tape, &batch, e);
    return step_learn(c, tape, m->kind->loss(tape, m, &batch), c->optim, e);
}

/* All calls of a step follow each other without waiting, so that a device may submit them together. */
static bool step(Loop *l, StepContext *c, Tape *tape, Error *e)
{
    const Kernels *k = tape_device(tape)->k;
    const Run run = device_run(tape_device(tape));
    k->step_begin(&run);
    bool ok = step_once(l, c, tape, e);
    k->step_end(&run);
    return ok;
}

/* The tape is freed after each epoch, so that its memory is available for the evaluation. */
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
    c.decay = pow(l->settings->lr_decay, (double)epoch / 50); /* LambdaLR with a^(epoch / 50): recipes.md 5.2 */
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
    ok = ok && check_numbers(l, NULL, batches - 1, e);
    *loss = batches ? l->losses.sum / (double)batches : 0;
    return ok;
}
