/* y[r,:] = sum over the entries e of row r of val[e] x[col[e],:], with x and y [nodes, 64]. This is LightGCN's
 * propagation over the graph of users and items. Its values are val[e] = scale[r] scale[col[e]], with scale = 1 /
 * sqrt(degree). */
#ifndef SAPOR_LADDER_CASE_H
#define SAPOR_LADDER_CASE_H

#include "bench/ladder/ladder.h"

enum { D = 64, VECTORS = D / VW };

struct Case {
    int64_t nodes;
    int64_t *start; /* [nodes + 1] */
    int32_t *col;   /* in ascending order in each row */
    float *val, *scale;
    const float *x;
    float *y;
    int32_t *place; /* The result of node r is in row place[r] of y, if a step renumbers the nodes. NULL: row r */
    void *work;     /* room for a copy of all of the above, and for two arrays of starts */
    double *expected;
    Sparse sparse; /* for Sapor's kernel */
};

#endif
