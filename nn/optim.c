/* nn/optim.c: one step of an optimiser, for gradients of three kinds:
 *
 *   dense     g [rows, D]
 *   rows      ids [n] and g [n, D]: the gradient of gather. Ids are sorted and equal ids summed; only these rows change
 *   factors   dy [rows, K] and w [K, D]: the gradient of linear on a table that is trained. The kernel computes the
 *             product tile by tile. For gathered rows of a table, dy and w belong to rows ids
 *
 * A single pair of factors, or rows only, are used without conversion if the optimiser's entry in `methods` supports
 * it. Everything else is converted to a dense gradient. Adam also updates rows without a gradient, by their momentum.
 * These steps are recorded in a history and replayed when the row is next read (delayed steps). All ways of Adam give
 * the bits of the dense step. */
#include <math.h>

#include "nn/tape.h"

/* All row parts merged and sorted: segment i of `groups` has the positions in g of row groups->device.unique[i]. */
typedef struct Merged {
    const Groups *groups;
    int64_t n;
    float *g, *own; /* own: g, if it is a copy that must be released; otherwise NULL */
} Merged;

/* Returns the groups of several parts, whose lists of ids are concatenated. If the parts have exactly the lists of one
 * call of input_ids or ids_together, in its order, the groups of this call are returned. */
static const Groups *groups_of_parts(Tape *t, const RowPart *p, int64_t n)
{
    const IdSet *set = p->ids->id >= 0 ? t->nodes[p->ids->id]->set : NULL;
    int same = 0;
    for (const RowPart *q = p; set && q; q = q->next)
        same = same >= 0 && same < set->n && q->ids == set->ids[same] ? same + 1 : -1;
    if (set && same == set->n)
        return set->groups;
    int32_t *ids = tape_scratch(t, n, sizeof *ids);
    int64_t at = 0;
    for (const RowPart *q = p; q && ids; at += q->ids->count, q = q->next) {
        const int32_t *host = tape_host(t, q->ids);
        if (host)
            memcpy(ids + at, host, (size_t)q->ids->count * sizeof *ids);
    }
    return ids && t->error.code == SP_OK ? list_group(t, n, ids) : NULL;
}

static bool merge_rows(Tape *t, const ParamGrad *grad, Merged *m)
{
    const RowPart *p = grad->rows;
    int64_t D = param_width(grad->param);
    *m = (Merged){.n = p->ids->count, .g = p->g};
    for (const RowPart *q = p->next; q; q = q->next) /* several gathers of one table are concatenated */
        m->n += q->ids->count;
    m->groups = p->next ? groups_of_parts(t, p, m->n) : ids_groups(t, p->ids);
    lists_send(t);
    if (p->next)
        m->g = m->own = step_floats(t, m->n * D);
    int64_t at = 0;
    for (const RowPart *q = p; q && m->own; at += q->ids->count, q = q->next)
        t->k->copy(&t->run, m->g + at * D, q->g, (size_t)(q->ids->count * D) * sizeof(float));
    return m->groups && m->g;
}

/* Computes table[ids] += a g. */
static bool add_rows(Tape *t, const ParamGrad *grad, float a, float *table)
{
    Merged m;
    int64_t D = param_width(grad->param);
    if (!merge_rows(t, grad, &m))
        return false;
    t->k->segment_sum(&t->run, m.groups->count, D, m.groups->device.start, m.groups->device.order,
                      m.groups->device.unique, F32, m.g, a, 1, table);
    step_release_floats(t, m.own, m.n * D);
    return true;
}

/* Converts factors of some rows to gradients of rows. */
static void multiply_rows(Tape *t, ParamGrad *g)
{
    int64_t D = param_width(g->param);
    for (FactorPart **at = &g->factors; *at;) {
        const FactorPart *f = *at;
        int64_t n = f->ids ? f->ids->count : 0;
        RowPart *r = f->ids ? tape_scratch(t, 1, sizeof *r) : NULL;
        if (r) {
            *r = (RowPart){g->rows, f->ids, step_floats(t, n * D)};
            tape_product(t, n, D, f->K, f->dy, f->K, 1, f->w, D, 1, r->g, 0);
            g->rows = r;
            *at = f->next;
        } else {
            at = &(*at)->next;
        }
    }
}

bool grad_dense(Tape *t, ParamGrad *g, float *into)
{
    int64_t D = param_width(g->param);
    multiply_rows(t, g);
    for (const FactorPart *f = g->factors; f; f = f->next)
        tape_product(t, rows_of(g->param->x), D, f->K, f->dy, f->K, 1, f->w, D, 1, into, 1);
    return (!g->rows || add_rows(t, g, 1, into)) && t->error.code == SP_OK;
}

/* ---- one parameter --------------------------------------------------------------------------- */

typedef enum Kind { KIND_DENSE, KIND_ROWS, KIND_FACTORS, KIND_ROW_FACTORS } Kind;

static Kind kind_of(const ParamGrad *g)
{
    if (!g->dense && !g->rows && g->factors && !g->factors->next)
        return g->factors->ids ? KIND_ROW_FACTORS : KIND_FACTORS;
    return !g->dense && g->rows && !g->factors ? KIND_ROWS : KIND_DENSE;
}

/* ---- Adam ------------------------------------------------------------------------------------ */

static AdamStep adam_numbers(const Optim *o, const Param *p)
{
    return (o->kind == OPTIM_ADAMW ? adamw_step : adam_step)(o->lr, o->beta1, o->beta2, o->eps, o->weight_decay,
                                                             p->steps + 1);
}

/* Appends this step to the parameter's history. Returns its number there. */
static int32_t history_push(Tape *t, const Optim *o, Param *p)
{
    if (p->pending == HISTORY)
        param_settle(p);
    AdamStep s = adam_numbers(o, p);
    t->k->adam_note(&t->run, &s, ++p->pending, p->history);
    return p->pending;
}

/* Computes the gradients of the distinct rows m->groups->device.unique: *sum [m->groups->count, D]. */
static bool sum_rows(Tape *t, const ParamGrad *g, Merged *m, float **sum)
{
    int64_t D = param_width(g->param);
    if (!merge_rows(t, g, m))
        return false;
    const Groups *r = m->groups;
    if (r->distinct)
        return (*sum = m->g);
    if ((*sum = step_floats(t, r->count * D)))
        t->k->segment_sum(&t->run, r->count, D, r->device.start, r->device.order, NULL, F32, m->g, 1, 0, *sum);
    return *sum;
}

static void give_rows(Tape *t, const ParamGrad *g, Merged *m, float *sum)
{
    int64_t D = param_width(g->param);
    if (sum != m->g)
        step_release_floats(t, sum, m->groups->count * D);
    step_release_floats(t, m->own, m->n * D);
}

static void step_adam(Tape *t, const Optim *o, ParamGrad *g, Kind kind)
{
    Param *p = g->param;
    int64_t rows = rows_of(p->x), D = param_width(p), n = p->x->count;
    double begun = tape_clock(t, "adam");
    if (!param_state(p, STATES_ADAM, kind != KIND_DENSE, &t->error))
        return;
    float *m = p->state[STATE_M], *v = p->state[STATE_V];
    if (kind == KIND_DENSE) {
        AdamStep s = adam_numbers(o, p);
        param_settle(p);
        t->k->adam(&t->run, n, &s, g->dense, p->x->data, m, v);
        tape_trace(t, begun, "adam", 12.0 * (double)n, 28.0 * (double)n);
    } else if (kind == KIND_ROWS) {
        Merged r;
        float *sum;
        if (!sum_rows(t, g, &r, &sum))
            return;
        int64_t count = r.groups->count;
        t->k->adam_rows(&t->run, count, D, r.groups->device.unique, p->history, history_push(t, o, p), sum, p->last,
                        p->x->data, m, v);
        give_rows(t, g, &r, sum);
        tape_trace(t, begun, "adam rows", 12.0 * (double)(count * D), 28.0 * (double)(count * D));
    } else {
        const FactorPart *f = g->factors;
        const Groups *some = f->ids ? ids_groups(t, f->ids) : NULL;
        int64_t count = some ? some->count : rows;
        lists_send(t);
        if ((f->ids && !some) || !tape_work(t, t->k->adam_factored_work(&t->run, count, D, f->K)))
            return;
        t->k->adam_factored(&t->run, count, D, f->K, some ? some->device.unique : NULL, p->history,
                            history_push(t, o, p), f->dy, f->w, p->last, p->x->data, m, v);
        if (!some)
            param_mark_settled(&t->run, p); /* every row was stepped */
        n = count * D;
        tape_trace(t, begun, "adam factored", (12.0 + 2.0 * (double)f->K) * (double)n, 24.0 * (double)n);
    }
    p->steps++;
}

/* Handles a parameter that has no gradient in this step, but had one in an earlier step: the step is delayed for every
 * row. */
static void skip_adam(Tape *t, const Optim *o, Param *p)
{
    if (param_state(p, STATES_ADAM, true, &t->error)) {
        history_push(t, o, p);
        p->steps++;
    }
}

/* ---- SGD, Adagrad, RMSprop ------------------------------------------------------------------- */

static void step_sgd(Tape *t, const Optim *o, ParamGrad *g, Kind kind)
{
    Param *p = g->param;
    float lr = (float)o->lr;
    SgdStep s = {.lr = lr,
                 .weight_decay = (float)o->weight_decay,
                 .momentum = (float)o->momentum,
                 .damped = p->steps ? (float)(1 - o->dampening) : 1.0f,
                 .nesterov = o->nesterov};
    double begun = tape_clock(t, "sgd");
    if (!param_state(p, o->momentum != 0 ? 1u << STATE_MOMENTUM : 0, false, &t->error))
        return;
    if (kind == KIND_DENSE)
        t->k->sgd(&t->run, p->x->count, &s, g->dense, p->x->data, o->momentum != 0 ? p->state[STATE_MOMENTUM] : NULL);
    else if (kind == KIND_FACTORS)
        tape_gemm(t, &(Gemm){.M = rows_of(p->x),
                             .N = param_width(p),
                             .K = g->factors->K,
                             .A = g->factors->dy,
                             .a_row = g->factors->K,
                             .a_col = 1,
                             .B = g->factors->w,
                             .b_row = param_width(p),
                             .b_col = 1,
                             .C = p->x->data,
                             .ldc = param_width(p),
                             .alpha = -lr,
                             .beta = 1});
    else
        add_rows(t, g, -lr, p->x->data);
    tape_trace(t, begun, "sgd", 2.0 * (double)p->x->count, 12.0 * (double)p->x->count);
    p->steps++;
}

static void step_adagrad(Tape *t, const Optim *o, ParamGrad *g, Kind kind)
{
    Param *p = g->param;
    int64_t D = param_width(p), count = rows_of(p->x);
    AdagradStep s = {.lr = (float)(o->lr / (1 + (double)p->steps * o->lr_decay)),
                     .eps = (float)o->eps,
                     .weight_decay = (float)o->weight_decay};
    double begun = tape_clock(t, "adagrad");
    if (!param_state(p, 1u << STATE_SQUARE, false, &t->error))
        return;
    if (kind == KIND_ROWS) {
        Merged r;
        float *sum;
        if (!sum_rows(t, g, &r, &sum))
            return;
        count = r.groups->count;
        t->k->adagrad(&t->run, count, D, r.groups->device.unique, &s, sum, p->x->data, p->state[STATE_SQUARE]);
        give_rows(t, g, &r, sum);
    } else {
        t->k->adagrad(&t->run, count, D, NULL, &s, g->dense, p->x->data, p->state[STATE_SQUARE]);
    }
    tape_trace(t, begun, "adagrad", 7.0 * (double)(count * D), 20.0 * (double)(count * D));
    p->steps++;
}

static void step_rmsprop(Tape *t, const Optim *o, ParamGrad *g, Kind kind)
{
    (void)kind;
    Param *p = g->param;
    RmspropStep s = {.lr = (float)o->lr,
                     .alpha = (float)o->alpha,
                     .fresh = (float)(1 - o->alpha),
                     .eps = (float)o->eps,
                     .weight_decay = (float)o->weight_decay,
                     .momentum = (float)o->momentum};
    unsigned states =
        1u << STATE_SQUARE | (o->momentum != 0 ? 1u << STATE_MOMENTUM : 0) | (o->centred ? 1u << STATE_MEAN : 0);
    double begun = tape_clock(t, "rmsprop");
    if (!param_state(p, states, false, &t->error))
        return;
    t->k->rmsprop(&t->run, p->x->count, &s, g->dense, p->x->data, p->state[STATE_SQUARE],
                  o->centred ? p->state[STATE_MEAN] : NULL, o->momentum != 0 ? p->state[STATE_MOMENTUM] : NULL);
    tape_trace(t, begun, "rmsprop", 10.0 * (double)p->x->count, 20.0 * (double)p->x->count);
    p->steps++;
}

/* ---- the table of optimisers ----------------------------------------------------------------- */

enum { TAKES_ROWS = 1 << KIND_ROWS, TAKES_FACTORS = 1 << KIND_FACTORS, TAKES_ROW_FACTORS = 1 << KIND_ROW_FACTORS };
static unsigned all_kinds(const Optim *o)
{
    (void)o;
    return TAKES_ROWS | TAKES_FACTORS | TAKES_ROW_FACTORS;
}
static unsigned sgd_kinds(const Optim *o)
{
    return o->weight_decay == 0 && o->momentum == 0 ? TAKES_ROWS | TAKES_FACTORS : 0;
}
static unsigned adagrad_kinds(const Optim *o)
{
    return o->weight_decay == 0 ? TAKES_ROWS : 0;
}
static unsigned dense_only(const Optim *o)
{
    (void)o;
    return 0;
}

typedef struct Method {
    unsigned (*takes)(const Optim *o); /* the kinds of gradients that need no conversion to dense */
    /* takes one step and counts it */
    void (*step)(Tape *t, const Optim *o, ParamGrad *g, Kind kind);
    /* takes a step without a gradient; NULL: as with a gradient of zeros (an optimiser that supports rows changes
     * nothing) */
    void (*skip)(Tape *t, const Optim *o, Param *p);
} Method;
static const Method methods[OPTIM_COUNT] = {
    [OPTIM_ADAM] = {all_kinds, step_adam, skip_adam},   [OPTIM_ADAMW] = {all_kinds, step_adam, skip_adam},
    [OPTIM_SGD] = {sgd_kinds, step_sgd, NULL},          [OPTIM_ADAGRAD] = {adagrad_kinds, step_adagrad, NULL},
    [OPTIM_RMSPROP] = {dense_only, step_rmsprop, NULL},
};
const char *const optim_names[OPTIM_COUNT] = {[OPTIM_ADAM] = "adam",
                                              [OPTIM_ADAMW] = "adamw",
                                              [OPTIM_SGD] = "sgd",
                                              [OPTIM_ADAGRAD] = "adagrad",
                                              [OPTIM_RMSPROP] = "rmsprop"};

int optim_find(const char *name)
{
    for (int i = 0; i < OPTIM_COUNT; i++)
        if (!strcmp(optim_names[i], name))
            return i;
    return -1;
}

Optim optim_default(OptimKind kind, double lr)
{
    return (Optim){.kind = kind,
                   .lr = lr,
                   .eps = kind == OPTIM_ADAGRAD ? 1e-10 : 1e-8,
                   .weight_decay = kind == OPTIM_ADAMW ? 1e-2 : 0,
                   .beta1 = 0.9,
                   .beta2 = 0.999,
                   .alpha = 0.99};
}

Optim optim_adam(double lr)
{
    return optim_default(OPTIM_ADAM, lr);
}

double schedule_rate(const Schedule *s, int64_t step)
{
    static const double pi = 3.14159265358979323846;
    if (step < s->warm_up)
        return (double)step / (double)s->warm_up;
    double period = (double)MAX(s->period, (int64_t)1);
    double span = (double)MAX(s->period - s->warm_up, (int64_t)1);
    double done = MIN((double)(step - s->warm_up) / span, 1.0); /* share of the schedule's steps that are done */
    switch (s->kind) {
    case RATE_STEP: return pow(s->factor, floor((double)(step - s->warm_up) / period));
    case RATE_EXPONENTIAL: return pow(s->factor, (double)(step - s->warm_up));
    case RATE_COSINE: return s->factor + (1 - s->factor) * (1 + cos(pi * done)) / 2;
    case RATE_LINEAR: return 1 + (s->factor - 1) * done;
    case RATE_CONSTANT: break;
    }
    return 1;
}

/* ---- one step -------------------------------------------------------------------------------- */

static bool clips(const Optim *o)
{
    return o->clip_norm > 0 || o->clip_value > 0;
}

/* Converts a gradient that the optimiser does not support to a dense sum. */
static void densify(Tape *t, const Optim *o, ParamGrad *g)
{
    for (int tries = 0; tries < 2; tries++) {
        Kind kind = kind_of(g);
        if (kind != KIND_DENSE && !clips(o) && methods[o->kind].takes(o) >> kind & 1)
            return;
        multiply_rows(t, g);
    }
    if (!g->rows && !g->factors)
        return;
    if (!g->dense) {
        if (!(g->dense = step_floats(t, g->param->x->count)))
            return;
        t->k->zero(&t->run, g->dense, (size_t)g->param->x->count * sizeof *g->dense);
    }
    grad_dense(t, g, g->dense);
    g->rows = NULL;
    g->factors = NULL;
}

/* Clips the store's gradients, which are dense. The factor stays on the device. */
static void clip(Tape *t, const Optim *o, const Store *s)
{
    int64_t count = 0, i = 0;
    for (const ParamGrad *g = t->grads; g; g = g->next)
        count += g->param->store == s;
    float *squares = o->clip_norm > 0 ? step_floats(t, count + 1) : NULL, *factor = squares ? squares + count : NULL;
    for (const ParamGrad *g = t->grads; squares && g; g = g->next)
        if (g->param->store == s && tape_work(t, t->k->sum_work(&t->run, g->param->x->count)))
            t->k->sum_squares(&t->run, g->param->x->count, g->dense, squares + i++);
    if (squares && t->error.code == SP_OK)
        t->k->clip_factor(&t->run, count, squares, (float)o->clip_norm, factor);
    for (const ParamGrad *g = t->grads; g && t->error.code == SP_OK; g = g->next) {
        int64_t n = g->param->x->count;
        if (g->param->store != s)
            continue;
        if (factor)
            t->k->broadcast(&t->run, n, 1, BIN_MUL, SPREAD_NUMBER, g->dense, factor, g->dense);
        if (o->clip_value > 0)
            t->k->unary(&t->run, n, UN_CLAMP, -(float)o->clip_value, (float)o->clip_value, g->dense, g->dense);
    }
    step_release_floats(t, squares, count + 1);
}

/* Reports whether this build has the optimiser's kernels; if not, the tape fails. MINIMAL has only those of optimisers
 * that recommenders use. */
static bool has_kernels(Tape *t, const Optim *o)
{
    bool missing = (o->kind == OPTIM_ADAGRAD && !t->k->adagrad) || (o->kind == OPTIM_RMSPROP && !t->k->rmsprop) ||
                   (o->clip_norm > 0 && !t->k->clip_factor);
    return !missing || tape_fail(t, SP_UNSUPPORTED, "%s%s: not in this build (MINIMAL)", optim_names[o->kind],
                                 o->clip_norm > 0 ? " with clip_norm" : "");
}

/* Takes a step for a parameter without a gradient. */
static void step_without_gradient(Tape *t, const Optim *o, Param *p)
{
    const Method *m = &methods[o->kind];
    if (m->skip) {
        m->skip(t, o, p);
    } else if (m->takes(o) & TAKES_ROWS) {
        p->steps++;
    } else {
        ParamGrad zeros = {.param = p, .dense = step_floats(t, p->x->count)};
        if (!zeros.dense)
            return;
        t->k->zero(&t->run, zeros.dense, (size_t)p->x->count * sizeof *zeros.dense);
        m->step(t, o, &zeros, KIND_DENSE);
        step_release_floats(t, zeros.dense, p->x->count);
    }
}

/* Sets *own to the optimiser with the rate for a parameter. Returns false if the parameter is in none of its groups. */
static bool optim_of(const Optim *o, const Param *p, Optim *own)
{
    *own = *o;
    const char *name = o->group_count ? store_name(p->store, p->x) : "";
    for (size_t i = 0; i < o->group_count; i++)
        if (text_starts(text_of(name), o->groups[i].prefix)) {
            own->lr *= o->groups[i].rate;
            return true;
        }
    return o->group_count == 0;
}

/* Removes gradients of the store's parameters from the tape: those that o does not step, or all if o is NULL. */
static void drop_grads(Tape *t, const Store *s, const Optim *o)
{
    Optim own;
    for (ParamGrad **g = &t->grads; *g;)
        if ((*g)->param->store == s && !(o && optim_of(o, (*g)->param, &own)))
            *g = (*g)->next;
        else
            g = &(*g)->next;
}

bool optim_step(const Optim *o, Store *s, Tape *t, Error *e)
{
    Optim own;
    if (!tape_ok(t, e) || !has_kernels(t, o))
        return tape_ok(t, e);
    drop_grads(t, s, o);
    for (ParamGrad *g = t->grads; g; g = g->next)
        if (g->param->store == s)
            densify(t, o, g);
    if (clips(o))
        clip(t, o, s);
    /* Gradients of factors are used first: their product reads parameters that the other steps change. */
    for (int pass = 0; pass < 2; pass++)
        for (ParamGrad *g = t->grads; g && t->error.code == SP_OK; g = g->next)
            if (g->param->store == s && (kind_of(g) >= KIND_FACTORS) == (pass == 0) && optim_of(o, g->param, &own))
                methods[o->kind].step(t, &own, g, kind_of(g));
    for (size_t i = 0; i < store_count(s) && !o->skip_missing && t->error.code == SP_OK; i++) {
        Param *p = store_at(s, i)->param;
        if (p && p->steps && !grad_of_param(t, p, false) && optim_of(o, p, &own))
            step_without_gradient(t, &own, p);
    }
    drop_grads(t, s, NULL);
    return tape_ok(t, e);
}
