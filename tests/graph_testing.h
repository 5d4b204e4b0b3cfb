/* tests/graph_testing.h: the device and the graph of nn_graph_test.c and nn_subgraph_test.c. */
#ifndef SAPOR_GRAPH_TESTING_H
#define SAPOR_GRAPH_TESTING_H

#include "tests/nn_testing.h"

static Device device;

static int setup(void **state)
{
    (void)state;
    device = test_device(NULL, 2);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    device_close(&device);
    return 0;
}

/* The pairs of U users and I items: user u has the items pairs_item[pairs_start[u]] up to, not including,
 * pairs_item[pairs_start[u + 1]]. The graph has N nodes: the users, then the items. */
enum { U = 5, I = 7, N = U + I };
static const int64_t pairs_start[] = {0, 3, 3, 5, 6, 9}; /* user 1 and item 5 have no pairs */
static const int32_t pairs_item[] = {0, 2, 6, 1, 2, 4, 0, 3, 6};

#endif
