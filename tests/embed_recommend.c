/* tests/embed_recommend.c: like tests/embed.c, for recommenders: embed_recommend RUN USER. RUN is a run of MostPop that
 * has this user. Exit status 0: every call does what the header states. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sapor.h"

static int failures = 0;
#define CHECK(x)                                                                                                       \
    ((x) ? (void)0 : (void)(failures++, fprintf(stderr, "embed_recommend.c:%d: not so: %s\n", __LINE__, #x)))

enum { USERS = 20, ITEMS = 12, WIDTH = 4, ROWS = 80, TOP = 3 };
static int32_t user_of[ROWS], item_of[ROWS];
static float features[ITEMS * WIDTH];

static bool says(const sp_error *e, sp_status code, const char *what)
{
    bool right = e->code == code && strstr(e->message, what) && !strchr(e->message, '\n');
    if (!right)
        fprintf(stderr, "embed_recommend.c: expected %s and \"%s\", got %s: %s\n", sp_status_name(code), what,
                sp_status_name(e->code), e->message);
    return right;
}

static bool watch(void *user, const sp_train_event *event)
{
    ++*(size_t *)user;
    return event->batches > 0;
}

static void check_folder(const char *folder, const char *user)
{
    sp_error e;
    sp_recommender *r = sp_recommender_open(folder, NULL, &e);
    sp_session *s = sp_session_open(1, NULL, &e);
    CHECK(r && s);
    if (!r || !s)
        return;
    sp_recommender_info info;
    memset(&info, 0, sizeof info);
    CHECK(!sp_recommender_describe(r, &info, &e) && says(&e, SP_USAGE, "its size is 0"));
    info.size = sizeof info;
    CHECK(sp_recommender_describe(r, &info, &e) && !strcmp(info.model, "MostPop") && info.width == 0);
    CHECK(info.new_users && !info.new_items && info.feature_count == 0);
    int32_t number = sp_recommender_number(r, SP_USERS, user), best[TOP];
    float scores[TOP];
    CHECK(number >= 0 && !strcmp(sp_recommender_id(r, SP_USERS, number), user));
    CHECK(sp_recommender_number(r, SP_USERS, "nobody") == -1 && !sp_recommender_id(r, SP_ITEMS, -1));
    CHECK(sp_recommend(r, s, &number, 1, TOP, NULL, best, scores, &e));
    for (int i = 0; i < TOP; i++)
        CHECK(sp_recommender_id(r, SP_ITEMS, best[i]) && (i == 0 || scores[i] <= scores[i - 1]));
    CHECK(!sp_recommend(r, s, &number, 1, 0, NULL, best, scores, &e) && says(&e, SP_USAGE, "K: 0"));
    CHECK(!sp_vectors(r, s, SP_USERS, &number, 1, scores, &e) && says(&e, SP_UNSUPPORTED, "no vectors"));
    sp_session_close(s);
    sp_recommender_close(r);
}

static void check_answers(const sp_recommender *r, sp_session *s)
{
    sp_error e;
    int32_t users[2] = {0, 5}, best[2 * TOP], again[TOP], liked[2] = {3, 4};
    float scores[2 * TOP], alone[TOP];
    sp_liked fresh = {liked, NULL, 2};
    sp_recommend_options o;
    memset(&o, 0, sizeof o);
    o.size = sizeof o;
    CHECK(sp_recommend(r, s, users, 2, TOP, NULL, best, scores, &e));
    CHECK(sp_recommend(r, s, users + 1, 1, TOP, &o, again, alone, &e));
    for (int i = 0; i < TOP; i++)
        CHECK(again[i] == best[TOP + i] && alone[i] == scores[TOP + i]);
    CHECK(sp_scores(r, s, users, best, 1, alone, &e) && alone[0] == scores[0]);
    o.exclude = best;
    o.exclude_count = 1;
    CHECK(sp_recommend(r, s, users, 1, TOP, &o, again, NULL, &e) && again[0] == best[1]);
    CHECK(sp_recommend_new(r, s, &fresh, 1, TOP, NULL, best, scores, &e) && best[0] >= 0 && best[0] != 3);
    CHECK(sp_similar_items(r, s, liked, 2, TOP, NULL, best, scores, &e) && best[0] != 3 && best[TOP] != 4);
    users[1] = USERS;
    CHECK(!sp_recommend(r, s, users, 2, TOP, NULL, best, scores, &e) && says(&e, SP_USAGE, "users[1] is 20"));
    fresh.count = 0;
    CHECK(!sp_recommend_new(r, s, &fresh, 1, TOP, NULL, best, scores, &e) && says(&e, SP_USAGE, "likes no item"));
}

static void check_vectors(const sp_recommender *r, sp_session *s, const sp_feature *f)
{
    sp_error e;
    sp_recommender_info info;
    memset(&info, 0, sizeof info);
    info.size = sizeof info;
    CHECK(sp_recommender_describe(r, &info, &e) && info.width > 0 && info.new_items && info.feature_count == 1);
    CHECK(!strcmp(info.feature_names[0], "visual") && info.feature_widths[0] == WIDTH);
    size_t D = info.width;
    float *x = (float *)malloc((ITEMS + 2) * D * sizeof(float)), similarity[TOP];
    int32_t items[ITEMS], liked[1] = {2}, ids[TOP];
    const sp_liked one = {liked, NULL, 1};
    for (int i = 0; i < ITEMS; i++)
        items[i] = i;
    CHECK(sp_vectors(r, s, SP_ITEMS, items, ITEMS, x, &e));
    CHECK(sp_new_user_vectors(r, s, &one, 1, x + ITEMS * D, &e));
    CHECK(memcmp(x + 2 * D, x + ITEMS * D, D * sizeof(float)) == 0); /* the mean of one vector */
    CHECK(sp_new_item_vectors(r, s, f, 1, 1, x + (ITEMS + 1) * D, &e));
    sp_nearest_options o;
    memset(&o, 0, sizeof o);
    o.size = sizeof o;
    o.dot = true;
    CHECK(sp_nearest(s, x, ITEMS + 2, D, x, 1, TOP, &o, ids, similarity, &e) && ids[TOP - 1] >= 0);
    CHECK(sp_nearest(s, x, ITEMS, D, x, 1, TOP, NULL, ids, similarity, &e) && ids[0] == 0);
    free(x);
}

static void check_figures(const sp_recommender *r, sp_session *s, const sp_interactions *truth)
{
    const char *metrics[1] = {"Recall"};
    const size_t cutoffs[1] = {TOP};
    double figure = -1, again = -1;
    sp_error e;
    int32_t users[USERS], best[USERS * TOP];
    sp_measures m;
    memset(&m, 0, sizeof m);
    m.size = sizeof m;
    m.metrics = metrics;
    m.cutoffs = cutoffs;
    m.metric_count = m.cutoff_count = 1;
    for (int u = 0; u < USERS; u++)
        users[u] = u;
    CHECK(sp_evaluate(r, s, truth, &m, &figure, &e) && figure >= 0 && figure <= 1);
    CHECK(sp_recommend(r, s, users, USERS, TOP, NULL, best, NULL, &e));
    CHECK(sp_evaluate_lists(s, USERS, ITEMS, users, USERS, best, TOP, truth, &m, &again, &e) && again == figure);
    metrics[0] = "Luck";
    CHECK(!sp_evaluate(r, s, truth, &m, &figure, &e) && says(&e, SP_USAGE, "unknown metric"));
}

/* Splits into train and test parts by sp_split; the rows of the test part follow those of the train part. */
static size_t check_split(sp_interactions part[2], int32_t *user, int32_t *item)
{
    sp_error e;
    sp_interactions all;
    sp_split_options o;
    unsigned char to[ROWS];
    size_t n = 0, first = 0;
    memset(&o, 0, sizeof o);
    memset(&all, 0, sizeof all);
    o.size = sizeof o;
    o.test_ratio = 0.3;
    all.count = ROWS;
    all.user = user_of;
    all.item = item_of;
    CHECK(sp_split(&all, USERS, ITEMS, &o, NULL, to, &e));
    for (int p = 0; p < 2; p++, first = n) {
        for (int r = 0; r < ROWS; r++)
            if (to[r] == (p ? SP_TEST : SP_TRAIN)) {
                user[n] = user_of[r];
                item[n++] = item_of[r];
            }
        memset(&part[p], 0, sizeof part[p]);
        part[p].user = user + first;
        part[p].item = item + first;
        part[p].count = n - first;
    }
    o.strategy = "temporal";
    CHECK(!sp_split(&all, USERS, ITEMS, &o, NULL, to, &e) && says(&e, SP_USAGE, "no times"));
    return n;
}

static void check_training(void)
{
    static const char *const SETTINGS[2] = {"epochs=3", "factors=8"};
    static int32_t user[ROWS], item[ROWS];
    sp_error e;
    sp_interactions part[2];
    sp_feature visual = {"visual", WIDTH, features};
    sp_data d;
    sp_train_options o;
    size_t calls = 0;
    sp_session *s = sp_session_open(2, NULL, &e);
    CHECK(s && check_split(part, user, item) == ROWS);
    memset(&d, 0, sizeof d);
    memset(&o, 0, sizeof o);
    d.size = sizeof d;
    d.users = USERS;
    d.items = ITEMS;
    d.train = &part[0];
    d.features = &visual;
    d.feature_count = 1;
    o.size = sizeof o;
    o.model = "VBPR";
    o.settings = SETTINGS;
    o.setting_count = 2;
    o.progress = watch;
    o.user = &calls;
    sp_recommender *r = sp_train(s, &d, &o, NULL, &e);
    CHECK(r && calls >= 6);
    if (r) {
        check_answers(r, s);
        check_vectors(r, s, &visual);
        check_figures(r, s, &part[1]);
    }
    item[0] = ITEMS;
    CHECK(!sp_train(s, &d, &o, NULL, &e) && says(&e, SP_USAGE, "item[0] is 12"));
    sp_recommender_close(r);
    sp_session_close(s);
}

int main(int argc, char **argv)
{
    sp_error e;
    if (argc != 3)
        return 2;
    for (int r = 0; r < ROWS; r++) {
        user_of[r] = r / 4;
        item_of[r] = (r / 4 + (r % 4) * (r % 4)) % ITEMS;
    }
    for (int i = 0; i < ITEMS * WIDTH; i++)
        features[i] = (float)((i * 37) % 19) / 19;
    check_folder(argv[1], argv[2]);
    check_training();
    CHECK(!sp_recommender_open("absent", NULL, &e) && e.code == SP_IO);
    CHECK(!sp_train(NULL, NULL, NULL, NULL, &e) && e.code == SP_USAGE);
    sp_recommender_close(NULL);
    return failures ? 1 : 0;
}
