/* tests/recommend_testing.h: shared by tests of sapor.h's recommenders: small data in arrays, training, lists. */
#ifndef SAPOR_RECOMMEND_TESTING_H
#define SAPOR_RECOMMEND_TESTING_H

#include "tests/testing.h"

#include <float.h>
#include <math.h>

#include "recsys/trained.h"

/* WIDE and NARROW are the widths of the features "visual" and "textual". ROWS is the room for rows of a part. TOP is
 * the length of a list. */
enum { USERS = 30, ITEMS = 24, WIDE = 7, NARROW = 5, ROWS = 400, TOP = 6 };

/* Small drawn data in arrays, and a session. Ratings are 1 to 5. Every user and every item is in the train part. Rows
 * are sorted by user, then by item in ascending order. */
typedef struct TestBench {
    int32_t user[3][ROWS], item[3][ROWS];
    float rating[3][ROWS];
    sp_interactions part[3]; /* train, validation, test */
    float visual[ITEMS * WIDE], textual[ITEMS * NARROW];
    sp_feature features[2];
    sp_data data;
    sp_session *session;
} TestBench;

static inline void bench_open(TestBench *b)
{
    sp_error e;
    memset(b, 0, sizeof *b);
    for (uint32_t u = 0; u < USERS; u++)
        for (uint32_t i = 0; i < ITEMS; i++) {
            uint32_t draw = draw_below((Draw){5, DRAW_TEST, 0}, u * ITEMS + i, 12);
            int p = i == u % ITEMS || draw < 3 ? 0 : draw == 3 ? 1 : draw == 4 ? 2 : -1;
            if (p < 0)
                continue;
            size_t at = b->part[p].count++;
            b->user[p][at] = (int32_t)u;
            b->item[p][at] = (int32_t)i;
            b->rating[p][at] = 1 + (float)draw_below((Draw){5, DRAW_TEST, 1}, u * ITEMS + i, 5);
        }
    for (int p = 0; p < 3; p++) {
        assert_in_range(b->part[p].count, 10, ROWS);
        b->part[p].user = b->user[p];
        b->part[p].item = b->item[p];
        b->part[p].rating = b->rating[p];
    }
    for (uint64_t i = 0; i < ITEMS * WIDE; i++)
        b->visual[i] = draw_normal((Draw){5, DRAW_TEST, 2}, i);
    for (uint64_t i = 0; i < ITEMS * NARROW; i++)
        b->textual[i] = draw_normal((Draw){5, DRAW_TEST, 3}, i);
    b->features[0] = (sp_feature){"visual", WIDE, b->visual};
    b->features[1] = (sp_feature){"textual", NARROW, b->textual};
    b->data = (sp_data){.size = sizeof b->data,
                        .users = USERS,
                        .items = ITEMS,
                        .train = &b->part[0],
                        .valid = &b->part[1],
                        .test = &b->part[2],
                        .features = b->features,
                        .feature_count = 2};
    assert_ok((b->session = sp_session_open(2, NULL, &e)) != NULL, e);
}

static inline void bench_close(TestBench *b)
{
    sp_session_close(b->session);
}

static const char *const SHORT[] = {"epochs=2", "batch_size=64", "metrics=Recall,nDCG", "cutoffs=5,10",
                                    "validation_metric=Recall@10"};

static inline sp_train_options short_run(const char *model)
{
    sp_train_options o = {.size = sizeof o, .model = model, .seed = 7};
    o.settings = SHORT;
    o.setting_count = COUNT(SHORT);
    return o;
}

static inline sp_recommender *train(TestBench *b, const char *model)
{
    sp_error e;
    sp_train_options o = short_run(model);
    sp_recommender *r = sp_train(b->session, &b->data, &o, NULL, &e);
    if (!r)
        fail_msg("%s: %s", model, e.message);
    return r;
}

static inline bool has_pair(const TestBench *b, int32_t user, int32_t item)
{
    for (size_t r = 0; r < b->part[0].count; r++)
        if (b->user[0][r] == user && b->item[0][r] == item)
            return true;
    return false;
}

/* Returns the items that a user has in the train part, in ascending order, and their ratings. The user must have an
 * item. */
static inline sp_liked likes_of(const TestBench *b, int32_t user)
{
    size_t first = 0, n = 0;
    while (b->user[0][first] != user)
        first++;
    while (first + n < b->part[0].count && b->user[0][first + n] == user)
        n++;
    return (sp_liked){&b->item[0][first], &b->rating[0][first], n};
}

/* lists of all users, [USERS, k] */
typedef struct List {
    int32_t item[USERS * ITEMS];
    float score[USERS * ITEMS];
} List;

/* Recommends k items to every user. Unused places of a list are 0. */
static inline void lists_of_all(TestBench *b, const sp_recommender *r, size_t k, List *l)
{
    sp_error e;
    int32_t all[USERS];
    for (int32_t u = 0; u < USERS; u++)
        all[u] = u;
    memset(l, 0, sizeof *l);
    assert_ok(sp_recommend(r, b->session, all, USERS, k, NULL, l->item, l->score, &e), e);
}

static inline int setup(void **state)
{
    bench_open(*state = calloc(1, sizeof(TestBench)));
    return 0;
}

static inline int teardown(void **state)
{
    bench_close(*state);
    free(*state);
    return 0;
}

#endif
