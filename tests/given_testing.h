/* tests/given_testing.h: a small data set in memory, for tests that pass their data and recommender to a run. */
#ifndef SAPOR_GIVEN_TESTING_H
#define SAPOR_GIVEN_TESTING_H

#include "recsys/training.h"
#include "tests/folder_testing.h"

/* PER_USER: items of a user in all three parts */
enum { USERS = 40, ITEMS = 50, PER_USER = 9 };

typedef struct TestBench {
    Arena *arena;
    char folder[256];
    DataSet data;
} TestBench;

static inline const char *in(TestBench *b, const char *name)
{
    return arena_printf(b->arena, &(Error){0}, "%s/%s", b->folder, name);
}

/* Makes a part with n items per user: the items (u + 5 j) mod ITEMS of user u, for j from `first` to first + n - 1. All
 * ratings are 1. */
static inline void make_part(TestBench *b, Pairs *p, int first, int n)
{
    Error e = {0};
    *p = (Pairs){.count = (int64_t)USERS * n,
                 .start = NEW(b->arena, int64_t, USERS + 1, &e),
                 .item = NEW(b->arena, int32_t, USERS * n, &e),
                 .rating = NEW(b->arena, float, USERS *n, &e)};
    for (int i = 0; i < USERS * n; i++)
        p->rating[i] = 1;
    for (int u = 0; u <= USERS; u++)
        p->start[u] = (int64_t)u * n;
    for (int u = 0; u < USERS; u++)
        for (int j = 0; j < n; j++) { /* sorted in ascending order */
            int32_t x = (int32_t)((u + 5 * (first + j)) % ITEMS);
            int at = u * n + j;
            for (; at > u * n && p->item[at - 1] > x; at--)
                p->item[at] = p->item[at - 1];
            p->item[at] = x;
        }
}

static inline int setup(void **state)
{
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    TestBench *b = NEW(a, TestBench, 1, &e);
    b->arena = a;
    b->data = (DataSet){.U = USERS, .I = ITEMS, .arena = a};
    make_part(b, &b->data.train, 0, PER_USER - 2);
    make_part(b, &b->data.valid, PER_USER - 2, 1);
    make_part(b, &b->data.test, PER_USER - 1, 1);
    b->data.users = text_index_new(a, &e);
    b->data.items = text_index_new(a, &e);
    for (int i = 0; i < ITEMS; i++) {
        const char *id = arena_printf(a, &e, "%d", i);
        assert_true(text_index_add(b->data.items, text_of(id), &e) == i);
        assert_true(i >= USERS || text_index_add(b->data.users, text_of(id), &e) == i);
    }
    test_folder(b->folder);
    *state = b;
    return 0;
}

static inline int teardown(void **state)
{
    TestBench *b = *state;
    test_folder_remove(b->folder);
    arena_free(b->arena);
    return 0;
}

#endif
