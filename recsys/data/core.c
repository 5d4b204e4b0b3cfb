/* recsys/data/core.c: the k-core of interactions: recipes.md 3.3. */
// flags: -Os
#include "recsys/data/data.h"

/* Users and items are nodes, users first. A node is removed if too few of its rows remain; its rows are removed too. */
typedef struct Node {
    int64_t rows;   /* 1 + the first row in its list; 0: none */
    int64_t left;   /* number of remaining rows */
    int64_t behind; /* the next node in the stack of nodes to remove */
    bool goes;
} Node;

bool core_rows(const int32_t *user, const int32_t *item, size_t n, int64_t users, int64_t items, int64_t user_least,
               int64_t item_least, bool *out, Arena *a, Error *e)
{
    ArenaMark mark = arena_mark(a);
    int64_t nodes = users + items, queued = -1; /* top of the stack of nodes to remove */
    Node *node = NEW(a, Node, nodes, e);
    int64_t *next = NEW(a, int64_t, 2 * n, e); /* 1 + the next row in the list of the row's user, and of its item */
    if (!node || !next)
        return false;
    for (size_t r = 0; r < n; r++)
        for (int side = 0; side < 2 && !out[r]; side++) {
            Node *x = &node[side ? users + item[r] : user[r]];
            next[2 * r + (size_t)side] = x->rows;
            x->rows = (int64_t)r + 1;
            x->left++;
        }
    for (int64_t i = 0; i < nodes || queued >= 0;) {
        int64_t at = queued >= 0 ? queued : i++;
        Node *x = &node[at];
        int side = at >= users;
        if (queued >= 0)
            queued = x->behind;
        if (x->left >= (side ? item_least : user_least))
            continue;
        x->goes = true;
        for (int64_t k = x->rows; k; k = next[2 * (k - 1) + side]) {
            size_t r = (size_t)k - 1;
            if (out[r])
                continue;
            out[r] = true;
            x->left--;
            int64_t other = side ? user[r] : users + item[r];
            Node *y = &node[other];
            if (--y->left < (side ? user_least : item_least) && !y->goes) {
                y->goes = true; /* each node is pushed once */
                y->behind = queued;
                queued = other;
            }
        }
    }
    arena_rewind(a, mark);
    return true;
}
