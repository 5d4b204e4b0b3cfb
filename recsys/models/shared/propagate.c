/* recsys/models/shared/propagate.c: layers on a graph, for all nodes or for the nodes that a batch depends on: see
 * models.h. */
#include "recsys/models/models.h"

BatchRows batch_rows(Tape *t, const Batch *b)
{
    BatchRows r = {0};
    r.users = distinct(t, b->user, NULL, &r.user, NULL);
    r.items = distinct(t, b->pos, b->neg, &r.pos, &r.neg);
    return r;
}

typedef struct Hop { /* the nodes of one layer */
    const Csr *graph;
    Tensor *ids;    /* the nodes that are computed; NULL: all */
    Tensor *result; /* indices of the nodes that are rows of the result; NULL: all are */
} Hop;

Reach reach(Tape *t, const Propagation *p, Tensor *low, Tensor *high, Tensor *ids)
{
    Hop *hop = ids ? tape_scratch(t, p->layers + 1, sizeof *hop) : NULL;
    Reach r = {.hop = hop};
    if (!hop)
        return r;
    hop[p->layers].ids = ids;
    for (int64_t n = p->layers; n > 0; n--) {
        Tensor *at; /* positions of layer n's nodes in the layer below */
        hop[n].graph = csr_rows(t, p->graphs ? p->graphs[n - 1] : p->graph, hop[n].ids, &hop[n - 1].ids, &at);
        if (!at) /* all nodes: positions do not change */
            hop[n - 1].result = hop[n].result;
        else
            hop[n - 1].result = hop[n].result ? ids_pick(t, at, hop[n].result) : at;
    }
    r.low_rows = hop[0].ids;
    if (high && r.low_rows)
        r.low_rows = ids_split(t, r.low_rows, rows_of(low), &r.high_rows);
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

static bool is_combined(const Propagation *p, int64_t layer)
{
    return p->combine == COMBINE_LAST ? layer == p->layers : layer > 0 || !p->skip_input;
}

/* Returns `sum` plus the rows of x that the result needs, if this layer is combined. Otherwise returns `sum`.
 * - x: the layer's vectors.
 * - sum: the sum of the layers before; NULL: there is none. */
static Tensor *combine(Tape *t, const Propagation *p, const Hop *hop, int64_t layer, Tensor *sum, Tensor *x)
{
    if (!is_combined(p, layer))
        return sum;
    Tensor *part = pick(t, x, hop ? hop[layer].result : NULL);
    return sum ? add(t, sum, part) : part;
}

Tensor *propagate(Tape *t, const Propagation *p, Tensor *low, Tensor *high, const Reach *of)
{
    const Hop *hop = of ? of->hop : NULL;
    /* The values of the graphs are computed before the mark. Otherwise tape_drop would free them with the tensors of
     * the layers, but other ops read them too. */
    for (int64_t l = 1; l <= p->layers; l++)
        csr_values(t, hop ? hop[l].graph : p->graphs ? p->graphs[l - 1] : p->graph);
    int64_t mark = tape_mark(t), combined = p->layers + !p->skip_input;
    if (combined == 0) {
        tape_fail(t, SP_USAGE, "propagate: no layer is left to combine");
        return low;
    }
    Tensor *x = pick(t, low, of ? of->low_rows : NULL);
    if (high)
        x = stack_rows(t, x, pick(t, high, of ? of->high_rows : NULL));
    Tensor *sum = combine(t, p, hop, 0, NULL, x);
    for (int64_t l = 1; l <= p->layers; l++) {
        x = spmm(t, hop ? hop[l].graph : p->graphs ? p->graphs[l - 1] : p->graph, x);
        if (p->noise > 0)
            x = disturbed(t, x, p->noise);
        if (p->normalize)
            x = row_normalize(t, x, 1e-12f);
        sum = combine(t, p, hop, l, sum, x);
        tape_drop(t, mark, 2, (Tensor *[]){x, sum ? sum : x});
    }
    return p->combine == COMBINE_MEAN ? scale(t, sum, 1.0f / (float)combined) : sum;
}

void split_nodes(Tape *t, const Model *m, Tensor *x, Tensor **users, Tensor **items)
{
    *users = rows(t, x, 0, m->data->U);
    *items = rows(t, x, m->data->U, m->data->I);
}

void light_gcn(Tape *t, const Model *m, const Csr *graph, int64_t layers, const Tables *x, const BatchRows *r,
               Tensor **users, Tensor **items)
{
    const Propagation mean = {.graph = graph, .layers = layers};
    int64_t user_count = r ? rows_of(r->users) : m->data->U, item_count = r ? rows_of(r->items) : m->data->I;
    Reach of = reach(t, &mean, x->user, x->item, r ? ids_join(t, r->users, m->data->U, r->items) : NULL);
    Tensor *nodes = propagate(t, &mean, x->user, x->item, &of);
    *users = rows(t, nodes, 0, user_count);
    *items = rows(t, nodes, user_count, item_count);
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
    ids_together(t, 2, (Tensor *[]){g->item_reach.low_rows, g->node_reach.high_rows});
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
