/* nn/optim.c: one step of Adam or SGD over gradients of three kinds.
 *
 *   dense     g [rows, D]
 *   rows      ids [n] and g [n, D]: what gather leaves. Sorted and summed by segments; only these rows are touched
 *   factors   dy [rows, K] and w [K, D]: what linear leaves for a trainable table. Formed tile by tile inside
 *             the kernel
 *
 * One factor alone, or rows alone, are used as they are; everything else becomes dense. Adam moves rows without
 * gradient too (by their momentum): these steps are kept in a history and done when the row is next read. Every path
 * gives the bits of the dense step. */
#include "nn/tape.h"

Optim optim_adam(double lr)
{
    return (Optim){.kind = OPTIM_ADAM, .lr = lr, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
}

/* All row parts as one, sorted: segment i of `groups` holds the places in g of row groups->device.unique[i]. */
typedef struct Merged {
    const Groups *groups;
    int64_t n;
    float *g, *own; /* own: g where it is a copy */
} Merged;

/* The groups of several parts, one behind the other: those of input_ids where the parts are its lists in order. */
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
    for (const RowPart *q = p->next; q; q = q->next) /* several gathers of one table: one behind the other */
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

/* table[ids] += a g */
static bool add_rows(Tape *t, const ParamGrad *grad, float a, float *table)
{
    Merged m;
    int64_t D = param_width(grad->param);
    if (!merge_rows(t, grad, &m))
        return false;
    t->k->segment_sum(&t->run, m.groups->count, D, m.groups->device.start, m.groups->device.order,
                      m.groups->device.unique, m.g, a, 1, table);
    step_give_floats(t, m.own, m.n * D);
    return true;
}

bool grad_dense(Tape *t, const ParamGrad *g, float *into)
{
    int64_t D = param_width(g->param);
    for (const FactorPart *f = g->factors; f; f = f->next)
        tape_product(t, rows_of(g->param->x), D, f->K, f->dy, f->K, 1, f->w, D, 1, into, 1);
    return (!g->rows || add_rows(t, g, 1, into)) && t->error.code == SP_OK;
}

/* ---- one parameter --------------------------------------------------------------------------- */

typedef enum Kind { KIND_DENSE, KIND_ROWS, KIND_FACTORS } Kind;

static Kind kind_of(const ParamGrad *g)
{
    if (!g->dense && !g->rows && g->factors && !g->factors->next)
        return KIND_FACTORS;
    return !g->dense && g->rows && !g->factors ? KIND_ROWS : KIND_DENSE;
}

/* Appends this step to the parameter's history; its number there. */
static int32_t history_push(Tape *t, const Optim *o, Param *p)
{
    if (p->pending == HISTORY)
        param_settle(p);
    AdamStep s = adam_step(o->lr, o->beta1, o->beta2, o->eps, o->weight_decay, p->steps + 1);
    t->k->adam_note(&t->run, &s, ++p->pending, p->history);
    return p->pending;
}

static void step_adam(Tape *t, const Optim *o, ParamGrad *g)
{
    Param *p = g->param;
    int64_t rows = rows_of(p->x), D = param_width(p), n = p->x->count;
    Kind kind = kind_of(g);
    double begun = trace_begin(t->run.trace);
    if (!param_state(p, kind != KIND_DENSE, &t->error))
        return;
    if (kind == KIND_DENSE) {
        AdamStep s = adam_step(o->lr, o->beta1, o->beta2, o->eps, o->weight_decay, p->steps + 1);
        param_settle(p);
        t->k->adam(&t->run, n, &s, g->dense, p->x->data, p->m, p->v);
        tape_trace(t, begun, "adam", 12.0 * (double)n, 28.0 * (double)n);
    } else if (kind == KIND_ROWS) {
        Merged r;
        if (!merge_rows(t, g, &r))
            return;
        int64_t count = r.groups->count;
        float *sum = r.groups->distinct ? r.g : step_floats(t, count * D);
        if (!sum)
            return;
        if (sum != r.g)
            t->k->segment_sum(&t->run, count, D, r.groups->device.start, r.groups->device.order, NULL, r.g, 1, 0, sum);
        t->k->adam_rows(&t->run, count, D, r.groups->device.unique, p->history, history_push(t, o, p), sum, p->last,
                        p->x->data, p->m, p->v);
        if (sum != r.g)
            step_give_floats(t, sum, count * D);
        step_give_floats(t, r.own, r.n * D);
        tape_trace(t, begun, "adam rows", 12.0 * (double)(count * D), 28.0 * (double)(count * D));
    } else {
        const FactorPart *f = g->factors;
        if (!tape_work(t, t->k->adam_factored_work(&t->run, rows, D, f->K)))
            return;
        t->k->adam_factored(&t->run, rows, D, f->K, NULL, p->history, history_push(t, o, p), f->dy, f->w, p->last,
                            p->x->data, p->m, p->v);
        param_settled(&t->run, p); /* every row was stepped */
        tape_trace(t, begun, "adam factored", (12.0 + 2.0 * (double)f->K) * (double)n, 24.0 * (double)n);
    }
    p->steps++;
}

/* No gradient in this step, but one before: the step is pending for every row. */
static void skip_adam(Tape *t, const Optim *o, Param *p)
{
    if (param_state(p, true, &t->error)) {
        history_push(t, o, p);
        p->steps++;
    }
}

static void step_sgd(Tape *t, const Optim *o, ParamGrad *g)
{
    Param *p = g->param;
    Kind kind = o->weight_decay == 0 ? kind_of(g) : KIND_DENSE;
    float lr = (float)o->lr;
    double begun = trace_begin(t->run.trace);
    if (kind == KIND_DENSE)
        t->k->sgd(&t->run, p->x->count, &(SgdStep){.lr = lr, .weight_decay = (float)o->weight_decay}, g->dense,
                  p->x->data, NULL);
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

/* Several kinds, or several factors: one dense sum. */
static void densify(Tape *t, const Optim *o, ParamGrad *g)
{
    bool sgd_decay = o->kind == OPTIM_SGD && o->weight_decay != 0;
    if ((kind_of(g) != KIND_DENSE && !sgd_decay) || (!g->rows && !g->factors))
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

/* The optimiser as it is for a parameter; false: the parameter is in none of its groups. */
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

/* Takes the store's gradients off the tape: all, or those of parameters that o does not step. */
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
    if (!tape_ok(t, e))
        return false;
    drop_grads(t, s, o);
    for (ParamGrad *g = t->grads; g; g = g->next)
        if (g->param->store == s)
            densify(t, o, g);
    for (int late = 0; late < 2; late++) /* factors first: they read weights that are about to be stepped */
        for (ParamGrad *g = t->grads; g && t->error.code == SP_OK; g = g->next)
            if (g->param->store == s && (kind_of(g) == KIND_FACTORS) == !late && optim_of(o, g->param, &own)) {
                if (o->kind == OPTIM_ADAM)
                    step_adam(t, &own, g);
                else
                    step_sgd(t, &own, g);
            }
    for (size_t i = 0; i < store_count(s) && !o->skip_missing; i++) {
        Param *p = store_at(s, i)->param;
        if (!p || !p->steps || grad_of_param(t, p, false) || !optim_of(o, p, &own))
            continue;
        if (o->kind == OPTIM_ADAM)
            skip_adam(t, &own, p);
        else if (o->weight_decay != 0)
            t->k->axpby(&t->run, p->x->count, 0, p->x->data, (float)(1 - own.lr * o->weight_decay), p->x->data);
    }
    drop_grads(t, s, NULL);
    return tape_ok(t, e);
}
