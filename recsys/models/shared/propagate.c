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

Reach reach(Tape *t, const Propagation *p, Tensor *low, Tensor *high, Tensor *ids)
{
    Hop *hop = ids ? tape_scratch(t, p->layers + 1, sizeof *hop) : NULL;
    Reach r = {.hop = hop};
    if (!hop)
        return r;
    hop[p->layers].ids = ids;
    for (int64_t n = p->layers; n > 0; n--)
        hop[n].graph = csr_rows(t, p->graphs ? p->graphs[n - 1] : p->graph, hop[n].ids, &hop[n - 1].ids, &hop[n].at);
    r.low = hop[0].ids;
    if (high && r.low)
        r.low = ids_split(t, r.low, rows_of(low), &r.high);
    return r;
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

Tensor *propagate(Tape *t, const Propagation *p, Tensor *low, Tensor *high, const Reach *of)
{
    const Hop *hop = of ? of->hop : NULL;
    for (int64_t l = 1; l <= p->layers; l++) /* before the mark: other ops read them too */
        csr_values(t, hop ? hop[l].graph : p->graphs ? p->graphs[l - 1] : p->graph);
    int64_t mark = tape_mark(t), combined = p->layers + !p->skip_input;
    if (combined == 0)
        tape_fail(t, SP_USAGE, "propagate: no layer is left to combine");
    Tensor *x = pick(t, low, of ? of->low : NULL);
    if (high)
        x = stack_rows(t, x, pick(t, high, of ? of->high : NULL));
    Tensor *sum = x;
    for (int64_t l = 1; l <= p->layers; l++) {
        x = spmm(t, hop ? hop[l].graph : p->graphs ? p->graphs[l - 1] : p->graph, x);
        if (p->noise > 0)
            x = disturbed(t, x, p->noise);
        if (p->normalize)
            x = row_normalize(t, x, 1e-12f);
        if (p->combine == COMBINE_LAST || (p->skip_input && l == 1))
            sum = x;
        else
            sum = add(t, pick(t, sum, hop ? hop[l].at : NULL), x);
        tape_drop(t, mark, 2, (Tensor *[]){x, sum});
    }
    return p->combine == COMBINE_MEAN ? scale(t, sum, 1.0f / (float)combined) : sum;
}

void split_nodes(Tape *t, const Model *m, Tensor *x, Tensor **users, Tensor **items)
{
    *users = rows(t, x, 0, m->data->U);
    *items = rows(t, x, m->data->U, m->data->I);
}

void light_gcn(Tape *t, const Model *m, const Csr *graph, int64_t layers, const Tables *x, Tensor **users,
               Tensor **items)
{
    const Propagation mean = {.graph = graph, .layers = layers};
    split_nodes(t, m, propagate(t, &mean, x->user, x->item, NULL), users, items);
}

void light_gcn_views(Tape *t, const Model *m, const Views *v, int64_t layers, const Tables *x, Tensor *users[2],
                     Tensor *items[2])
{
    for (int i = 0; i < 2; i++) {
        const Propagation mean = {.graphs = v->view[i], .layers = layers};
        split_nodes(t, m, propagate(t, &mean, x->user, x->item, NULL), &users[i], &items[i]);
    }
}

void two_graphs_reach(Tape *t, const Model *m, TwoGraphs *g, const Tables *x, Tensor *users, Tensor *items)
{
    Tensor *nodes = users && items ? ids_join(t, users, m->data->U, items) : NULL;
    g->item_reach = reach(t, &g->items, x->item, NULL, items);
    g->node_reach = reach(t, &g->nodes, x->user, x->item, nodes);
    ids_together(t, 2, (Tensor *[]){g->item_reach.low, g->node_reach.high});
    g->user_count = users ? rows_of(users) : m->data->U;
    g->item_count = users ? rows_of(items) : m->data->I;
}

Tensor *two_graphs(Tape *t, const TwoGraphs *g, const Tables *x, Tensor **users, Tensor **items)
{
    Reach of_items = g->item_reach, of_nodes = g->node_reach;
    Tensor *near = propagate(t, &g->items, x->item, NULL, &of_items);
    Tensor *nodes = propagate(t, &g->nodes, x->user, x->item, &of_nodes);
    *users = rows(t, nodes, 0, g->user_count);
    *items = rows(t, nodes, g->user_count, g->item_count);
    return near;
}
