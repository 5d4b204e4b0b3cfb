/* recsys/data/core.c: the k-core of interactions: recipes.md 3.3. */
// flags: -Os
#include "recsys/data/data.h"

/* Users and items are nodes, users first. A node is removed if too few of its rows remain; its rows are removed too. */
typedef struct Node {
    int64_t rows; /* 1 + the first row of the node's list of rows; 0: the list is empty */
    int64_t left; /* number of remaining rows */
    int64_t next; /* the node below this one in the stack of nodes to remove; -1: none */
    bool removed; /* the node is removed, or is in the stack */
} Node;

bool core_rows(const int32_t *user, const int32_t *item, size_t n, int64_t users, int64_t items, int64_t min_user_rows,
               int64_t min_item_rows, bool *out, Arena *a, Error *e)
{
    ArenaMark mark = arena_mark(a);
    int64_t nodes = users + items, top = -1; /* top of the stack of nodes to remove; -1: the stack is empty */
    Node *node = NEW(a, Node, nodes, e);
    /* [n, 2]: row r is in two linked lists, the list of its user and the list of its item. The two numbers next[2 r]
     * and next[2 r + 1] are 1 + the row that follows r in these lists; 0: no row follows */
    int64_t *next = NEW(a, int64_t, 2 * n, e);
    if (!node || !next)
        return false;
    for (size_t r = 0; r < n; r++)
        for (int side = 0; side < 2 && !out[r]; side++) {
            Node *x = &node[side ? users + item[r] : user[r]];
            next[2 * r + (size_t)side] = x->rows;
            x->rows = (int64_t)r + 1;
            x->left++;
        }
    for (int64_t i = 0; i < nodes || top >= 0;) {
        int64_t at = top >= 0 ? top : i++;
        Node *x = &node[at];
        int side = at >= users;
        if (top >= 0)
            top = x->next;
        if (x->left >= (side ? min_item_rows : min_user_rows))
            continue;
        x->removed = true;
        for (int64_t k = x->rows; k; k = next[2 * (k - 1) + side]) {
            size_t r = (size_t)k - 1;
            if (out[r])
                continue;
            out[r] = true;
            x->left--;
            int64_t other = side ? user[r] : users + item[r];
            Node *y = &node[other];
            if (--y->left < (side ? min_user_rows : min_item_rows) && !y->removed) {
                y->removed = true; /* each node is pushed once */
                y->next = top;
                top = other;
            }
        }
    }
    arena_rewind(a, mark);
    return true;
}
