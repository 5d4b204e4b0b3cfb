/* Nodes are renumbered by degree, so that the popular ones are next to each other. But a row of x is four whole cache
 * lines at any place, so in no order do two nodes share a line. */
#include <stdlib.h>

#include "bench/ladder/spmm/rows.h"

typedef struct Node {
    int64_t degree;
    int32_t id;
} Node;

static int by_degree(const void *a, const void *b)
{
    const Node *x = a, *y = b;
    return x->degree != y->degree ? (x->degree < y->degree) - (x->degree > y->degree)
                                  : (x->id > y->id) - (x->id < y->id);
}

static Case *renumbered(const Case *c)
{
    return (Case *)((float *)c->work + c->nodes * D);
}

/* Writes x, the graph and its scales in the new order of nodes, all to c->work. */
static void renumber(Case *c)
{
    const int64_t n = c->nodes;
    float *x = c->work; /* first in c->work, because its rows must be whole cache lines */
    Case *new = renumbered(c);
    *new = *c;
    new->x = x;
    new->start = (int64_t *)(new + 1);
    int64_t *next = new->start + n + 1;
    Node *node = (Node *)(next + n);
    new->scale = (float *)(node + n);
    c->place = (void *)(new->scale + n);
    new->col = c->place + n;
    for (int64_t i = 0; i < n; i++)
        node[i] = (Node){c->start[i + 1] - c->start[i], (int32_t)i};
    qsort(node, (size_t)n, sizeof *node, by_degree);
    new->start[0] = 0;
    for (int64_t i = 0; i < n; i++) {
        c->place[node[i].id] = (int32_t)i;
        new->start[i + 1] = new->start[i] + node[i].degree;
        new->scale[i] = c->scale[node[i].id];
        memcpy(x + i * D, c->x + (int64_t)node[i].id * D, D * sizeof *x);
    }
    memcpy(next, new->start, (size_t)n * sizeof *next);
    for (int64_t i = 0; i < n;
         /* The graph is its own transpose: the new node i is appended to the rows of its neighbours, in ascending
          * order. */
         i++) {
        const int64_t old = node[i].id;
        for (int64_t e = c->start[old]; e < c->start[old + 1]; e++)
            new->col[next[c->place[c->col[e]]]++] = (int32_t)i;
    }
}

static void spmm(Case *c)
{
    const Case *new = renumbered(c);
    rows(new, 8, false, new->x);
}
ASIDE("nodes renumbered by degree (beforehand)", renumber, spmm)
