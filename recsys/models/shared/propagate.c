/* recsys/models/shared/propagate.c: layers on a graph, of all nodes or of those that a batch reads: see models.h. */
#include "recsys/models/models.h"

BatchRows batch_rows(Tape *t, const Batch *b)
{
    BatchRows r = {0};
    r.users = distinct(t, b->user, NULL, &r.user, NULL);
    r.items = distinct(t, b->pos, b->neg, &r.pos, &r.neg);
    return r;
}

typedef struct Hop { /* of one layer: the graph's rows `ids`, where these stand in the layer below */
    const Csr *graph;
    Tensor *ids, *at;
} Hop;

/* hop[n] to hop[1]: what each layer of n reads of the one below, to end with rows ids (NULL: all). */
static Hop *plan_hops(Tape *t, const Propagation *p, Tensor *ids)
{
    Hop *hop = tape_scratch(t, p->layers + 1, sizeof *hop);
    if (!hop)
        return NULL;
    hop[p->layers].ids = ids;
    for (int64_t n = p->layers; n > 0; n--)
        hop[n].graph = csr_rows(t, p->graphs ? p->graphs[n - 1] : p->graph, hop[n].ids, &hop[n - 1].ids, &hop[n].at);
    return hop;
}

static Tensor *pick(Tape *t, Tensor *x, Tensor *ids)
{
    return ids ? gather(t, x, ids) : x;
}

static Tensor *disturbed(Tape *t, Tensor *x, float by)
{
    Tensor *direction = row_normalize(t, noise(t, NOISE_UNIFORM, x->dims, x->shape), 1e-12f);
    return add_scaled(t, x, mul(t, unary(t, x, UN_SIGN), direction), by);
}

Tensor *propagate(Tape *t, const Propagation *p, Tensor *low, Tensor *high, Tensor *ids)
{
    Hop *hop = plan_hops(t, p, ids);
    int64_t mark = tape_mark(t), combined = p->layers + !p->skip_input;
    if (!hop || combined == 0) {
        tape_fail(t, SP_USAGE, "propagate: no layer is left to combine");
        return scale(t, low, 1); /* the failed tensor */
    }
    Tensor *low_ids = hop[0].ids, *high_ids = NULL;
    if (high && low_ids)
        low_ids = ids_split(t, hop[0].ids, rows_of(low), &high_ids);
    Tensor *x = pick(t, low, low_ids);
    if (high)
        x = stack_rows(t, x, pick(t, high, high_ids));
    Tensor *sum = p->skip_input ? NULL : x;
    for (int64_t l = 1; l <= p->layers; l++) {
        x = spmm(t, hop[l].graph, x);
        if (p->noise > 0)
            x = disturbed(t, x, p->noise);
        if (p->normalize)
            x = row_normalize(t, x, 1e-12f);
        sum = p->combine == COMBINE_LAST || !sum ? x : add(t, pick(t, sum, hop[l].at), x);
        tape_drop(t, mark, 2, (Tensor *[]){x, sum});
    }
    return p->combine == COMBINE_MEAN ? scale(t, sum, 1.0f / (float)combined) : sum;
}

void split_nodes(Tape *t, const Model *m, Tensor *x, Tensor **users, Tensor **items)
{
    *users = rows(t, x, 0, m->data->U);
    *items = rows(t, x, m->data->U, m->data->I);
}
