/* nn/backward.c: the backward pass: gradients of inputs and parameters. */
#include "nn/tape.h"

ParamGrad *grad_of_param(Tape *t, Param *p, bool make)
{
    for (ParamGrad *g = t->grads; g; g = g->next)
        if (g->param == p)
            return g;
    ParamGrad *g = make ? tape_scratch(t, 1, sizeof *g) : NULL;
    if (g) {
        *g = (ParamGrad){.next = t->grads, .param = p};
        t->grads = g;
    }
    return g;
}

/* Returns where the dense gradient of a tensor with parts is stored. The pointer that is stored there is NULL at first.
 * Returns NULL if memory ran out. */
static float **stack_slot(Tape *t, Stored *x)
{
    for (StackGrad *g = t->stacks; g; g = g->next)
        if (g->x == x)
            return &g->g;
    StackGrad *g = tape_scratch(t, 1, sizeof *g);
    if (!g)
        return NULL;
    *g = (StackGrad){.next = t->stacks, .x = x};
    t->stacks = g;
    return &g->g;
}

/* Splits the gradients of stacked parameters among their parts. */
static void split_stacks(Tape *t)
{
    for (StackGrad *s = t->stacks; s && s->g && t->error.code == SP_OK; s = s->next) {
        float *g = s->g;
        for (int i = 0; i < s->x->parts; i++) {
            Tensor *part = s->x->part[i];
            ParamGrad *to = part->param ? grad_of_param(t, part->param, true) : NULL;
            if (to && to->dense)
                t->k->axpby(&t->run, part->count, 1, g, 1, to->dense);
            else if (to)
                to->dense = g;
            g += part->count;
        }
    }
    t->stacks = NULL;
}

/* Returns where the gradient of x is stored. NULL if x needs no gradient or the tape has failed. */
static float **grad_slot(Tape *t, Tensor *x)
{
    if (!grad_needed(x) || t->error.code != SP_OK)
        return NULL;
    if (x->id >= 0)
        return &t->nodes[x->id]->grad;
    if (!x->param)
        return stack_slot(t, (Stored *)x);
    ParamGrad *g = grad_of_param(t, x->param, true);
    return g ? &g->dense : NULL;
}

float *grad_into(Tape *t, Tensor *x, float *beta)
{
    float **slot = grad_slot(t, x);
    if (!slot)
        return NULL;
    *beta = *slot ? 1.0f : 0.0f;
    if (!*slot)
        *slot = step_floats(t, x->count);
    return *slot;
}

float *grad_zeroed(Tape *t, Tensor *x)
{
    float beta, *g = grad_into(t, x, &beta);
    if (g && beta == 0)
        t->k->zero(&t->run, g, (size_t)x->count * sizeof *g);
    return g;
}

void grad_axpy(Tape *t, Tensor *x, float a, const float *p)
{
    float beta, *g = p ? grad_into(t, x, &beta) : NULL;
    if (g)
        t->k->axpby(&t->run, x->count, a, p, beta, g);
}

void grad_put(Tape *t, Tensor *x, float *p)
{
    float **slot = p ? grad_slot(t, x) : NULL;
    if (slot && !*slot) {
        *slot = p;
        return;
    }
    if (slot)
        grad_axpy(t, x, 1, p);
    step_release_floats(t, p, x ? x->count : 0);
}

float *grad_take(Node *n)
{
    float *g = n->grad;
    n->grad = NULL;
    return g;
}

bool backward(Tape *t, Tensor *loss, Error *e)
{
    if (t->error.code == SP_OK && (!t->training || loss->id < 0 || loss->count != 1 || !loss->needs_grad))
        tape_fail(t, SP_USAGE,
                  "backward: expected a training tape and a loss of one number that depends on a parameter");
    lists_send(t);
    if (t->error.code == SP_OK) {
        Node *last = t->nodes[loss->id];
        if (!last->grad && (last->grad = step_floats(t, 1)))
            t->k->fill(&t->run, 1, 1.0f, last->grad);
        for (int64_t i = loss->id; i >= 0 && t->error.code == SP_OK; i--) {
            Node *n = t->nodes[i];
            if (!n->grad)
                continue;
            if (n->passed) { /* the memory that its backward pass reads was already freed */
                tape_fail(t, SP_USAGE, "backward: %s belongs to an earlier loss, too: each loss needs ops of its own",
                          n->op->name);
                break;
            }
            n->passed = true;
            int needed = 0;
            for (int j = 0; j < n->inputs; j++)
                needed += grad_needed(n->in[j]);
            double begun = tape_clock(t, n->op->back_name);
            n->op->back(t, n);
            tape_trace(t, begun, n->op->back_name, needed * n->flops, needed * n->bytes);
            step_release_floats(t, grad_take(n), n->out.count);
            if (i != loss->id && !n->pinned) /* all nodes that read it are done */
                node_release(t, n);
        }
        split_stacks(t);
    }
    return tape_ok(t, e);
}

bool tensor_grad(Tape *t, const Tensor *x, float *host, Error *e)
{
    if (!x->param)
        return fail(e, SP_USAGE, "tensor_grad: only parameters keep their gradient");
    ParamGrad *g = grad_of_param(t, x->param, false);
    size_t bytes = (size_t)x->count * sizeof *host;
    if (!g)
        memset(host, 0, bytes);
    float *sum = g ? step_floats(t, x->count) : NULL;
    if (sum) {
        if (g->dense)
            t->k->copy(&t->run, sum, g->dense, bytes);
        else
            t->k->zero(&t->run, sum, bytes);
        if (grad_dense(t, g, sum))
            t->k->download(&t->run, host, sum, bytes);
        step_release(t, sum, bytes);
    }
    return tape_ok(t, e);
}
