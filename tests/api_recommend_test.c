/* tests/api_recommend_test.c: the recommenders of sapor.h: trained from arrays and used by many threads, for users and
 * items of training and for new ones. Every recommender of the registry is tested. */
#include "tests/recommend_testing.h"

#include <pthread.h>

/* ---- lists ----------------------------------------------------------------------------------- */

/* Checks that lists are best first with ties by number, complete, and without items of the train part. */
static void check_lists(TestBench *b, const char *model, const List *l)
{
    for (int32_t u = 0; u < USERS; u++) {
        int listed = 0, owned = 0;
        for (int32_t i = 0; i < ITEMS; i++)
            owned += has_pair(b, u, i);
        for (int k = 0; k < ITEMS; k++) {
            int32_t item = l->item[u * ITEMS + k];
            float score = l->score[u * ITEMS + k], before = k ? l->score[u * ITEMS + k - 1] : 0;
            if (item < 0) {
                assert_true(isinf(score) && score < 0);
                continue;
            }
            assert_int_equal(listed, k); /* no item after an empty place */
            listed++;
            assert_in_range(item, 0, ITEMS - 1);
            if (has_pair(b, u, item) || !isfinite(score) ||
                (k && (score > before || (score == before && item < l->item[u * ITEMS + k - 1]))))
                fail_msg("%s: user %d, place %d: item %d, score %g", model, u, k, item, (double)score);
        }
        assert_int_equal(listed, ITEMS - owned);
    }
}

/* Checks that a user's list does not depend on the other users, on the number of threads or on the length of the list.
 */
static void check_alone(const sp_recommender *r, const List *l)
{
    sp_error e;
    int32_t item[TOP];
    float score[TOP];
    sp_session *s = sp_session_open(1, NULL, &e);
    for (int32_t u = 0; u < USERS; u += 7) {
        assert_ok(sp_recommend(r, s, &u, 1, TOP, NULL, item, score, &e), e);
        assert_memory_equal(item, l->item + u * ITEMS, sizeof item);
        assert_memory_equal(score, l->score + u * ITEMS, sizeof score);
        assert_ok(sp_recommend(r, s, &u, 1, 2, NULL, item, NULL, &e), e);
        assert_memory_equal(item, l->item + u * ITEMS, 2 * sizeof *item);
    }
    sp_session_close(s);
}

/* Checks that a list with more places than items has empty places at its end. */
static void check_long_lists(TestBench *b, const sp_recommender *r, const List *l)
{
    enum { LONG = ITEMS + 9 };
    static int32_t item[USERS * LONG];
    static float score[USERS * LONG];
    sp_error e;
    int32_t all[USERS];
    for (int32_t u = 0; u < USERS; u++)
        all[u] = u;
    assert_ok(sp_recommend(r, b->session, all, USERS, LONG, NULL, item, score, &e), e);
    for (int u = 0; u < USERS; u++)
        for (int k = 0; k < LONG; k++) {
            assert_int_equal(item[u * LONG + k], k < ITEMS ? l->item[u * ITEMS + k] : -1);
            assert_true(k < ITEMS || isinf(score[u * LONG + k]));
        }
}

/* Checks that scores of pairs equal those of lists, for any order of the pairs. */
static void check_scores(TestBench *b, const sp_recommender *r, const List *l)
{
    int32_t user[USERS * ITEMS], item[USERS * ITEMS], n = 0;
    float score[USERS * ITEMS], expected[USERS * ITEMS];
    sp_error e;
    for (int turn = 0; turn < 2; turn++, n = 0) {
        for (int at = 0; at < USERS * ITEMS; at++) {
            int place = turn ? at * 7 % (USERS * ITEMS) : at; /* sorted by user, then mixed */
            if (l->item[place] < 0)
                continue;
            user[n] = place / ITEMS;
            item[n] = l->item[place];
            expected[n++] = l->score[place];
        }
        assert_ok(sp_scores(r, b->session, user, item, (size_t)n, score, &e), e);
        assert_memory_equal(score, expected, (size_t)n * sizeof *score);
    }
}

static void check_options(TestBench *b, const sp_recommender *r, const List *l)
{
    sp_error e;
    int32_t user = 4, item[ITEMS], left_out[3] = {l->item[4 * ITEMS + 1], l->item[4 * ITEMS], l->item[4 * ITEMS + 1]};
    sp_recommend_options o = {.size = sizeof o, .exclude = left_out, .exclude_count = 3};
    assert_ok(sp_recommend(r, b->session, &user, 1, TOP, &o, item, NULL, &e), e);
    assert_memory_equal(item, l->item + 4 * ITEMS + 2, sizeof *item * TOP);
    o = (sp_recommend_options){.size = sizeof o, .keep_seen = true};
    assert_ok(sp_recommend(r, b->session, &user, 1, ITEMS, &o, item, NULL, &e), e);
    bool seen[ITEMS] = {false};
    for (int k = 0; k < ITEMS; k++) {
        assert_in_range(item[k], 0, ITEMS - 1);
        assert_false(seen[item[k]]);
        seen[item[k]] = true;
    }
}

/* ---- new users, similar items, vectors ------------------------------------------------------- */

static void check_new_users(TestBench *b, const sp_recommender *r, const sp_recommender_info *info)
{
    sp_error e;
    int32_t item[2 * TOP], one[TOP], liked[] = {3, 1, 3, 9}, sorted[] = {1, 3, 9};
    float score[2 * TOP];
    const sp_liked users[] = {{liked, NULL, 4}, likes_of(b, 2)}, again = {sorted, NULL, 3};
    bool ok = sp_recommend_new(r, b->session, users, 2, TOP, NULL, item, score, &e);
    assert_int_equal(ok, info->new_users);
    if (!ok) {
        assert_error(e, SP_UNSUPPORTED, "new users");
        assert_false(sp_similar_items(r, b->session, liked, 4, TOP, NULL, item, NULL, &e));
        assert_error(e, SP_UNSUPPORTED, "new users");
        return;
    }
    for (int k = 0; k < TOP; k++)
        assert_true(item[k] >= 0 && item[k] != 1 && item[k] != 3 && item[k] != 9 && isfinite(score[k]));
    /* the order of items and duplicates do not change the list */
    assert_ok(sp_recommend_new(r, b->session, &again, 1, TOP, NULL, one, NULL, &e), e);
    assert_memory_equal(one, item, sizeof one);
    assert_ok(sp_similar_items(r, b->session, liked, 2, TOP, NULL, item, score, &e), e);
    assert_ok(sp_similar_items(r, b->session, liked + 1, 1, TOP, NULL, one, NULL, &e), e);
    assert_memory_equal(one, item + TOP, sizeof one);
    for (int k = 0; k < TOP; k++)
        assert_true(item[k] != liked[0] && item[TOP + k] != liked[1]);
    sp_recommend_options o = {.size = sizeof o, .exclude = item, .exclude_count = 1};
    assert_ok(sp_similar_items(r, b->session, liked, 1, TOP, &o, one, NULL, &e), e);
    assert_memory_equal(one, item + 1, sizeof *one * (TOP - 1));
}

/* Checks that a new user's vector is the mean of the items' vectors, and that scores are products of vectors. */
static void check_vectors(TestBench *b, const sp_recommender *r, const sp_recommender_info *info, const List *l)
{
    sp_error e;
    size_t D = MAX(info->width, (size_t)1);
    float *user = calloc(2 * D, sizeof *user), *item = calloc(ITEMS * D, sizeof *item), *mean = calloc(D, sizeof *mean);
    int32_t users[] = {4, 0}, items[ITEMS], liked[] = {6, 2};
    for (int32_t i = 0; i < ITEMS; i++)
        items[i] = i;
    const sp_liked new_user = {liked, NULL, 2};
    bool ok = sp_vectors(r, b->session, SP_USERS, users, 2, user, &e) &&
              sp_vectors(r, b->session, SP_ITEMS, items, ITEMS, item, &e) &&
              sp_new_user_vectors(r, b->session, &new_user, 1, mean, &e);
    assert_int_equal(ok, info->width > 0);
    if (!ok) {
        assert_error(e, SP_UNSUPPORTED, "have no vectors");
        assert_false(sp_new_user_vectors(r, b->session, &new_user, 1, mean, &e));
        assert_error(e, SP_UNSUPPORTED, "have no vectors");
    }
    for (size_t c = 0; ok && c < D; c++)
        assert_true(fabsf(mean[c] - (item[2 * D + c] + item[6 * D + c]) / 2) <= 1e-6f * (1 + fabsf(mean[c])));
    for (int u = 0; ok && u < 2; u++) {
        double sum = 0, size = 0;
        const float *x = user + (size_t)u * D, *y = item + (size_t)l->item[users[u] * ITEMS] * D;
        for (size_t c = 0; c < D; c++) {
            sum += (double)x[c] * (double)y[c];
            size += fabs((double)x[c] * (double)y[c]);
        }
        assert_true(fabs(sum - (double)l->score[users[u] * ITEMS]) <= 1e-5 * size);
    }
    free(user);
    free(item);
    free(mean);
}

static void check_new_items(TestBench *b, const sp_recommender *r, const sp_recommender_info *info)
{
    sp_error e;
    float *out = calloc(ITEMS * MAX(info->width, (size_t)1), sizeof *out);
    bool ok = sp_new_item_vectors(r, b->session, b->features, 2, ITEMS, out, &e);
    assert_int_equal(ok, info->new_items);
    if (!ok)
        assert_error(e, SP_UNSUPPORTED, info->width ? "new items have none" : "have no vectors");
    free(out);
}

/* ---- every recommender ----------------------------------------------------------------------- */

static void every_recommender_answers(void **state)
{
    TestBench *b = *state;
    sp_error e;
    char folder[256], out[300];
    test_folder(folder);
    for (size_t m = 0; m < recommender_count(); m++) {
        const char *model = recommender_at(m)->name;
        static List trained_list, opened_list;
        sp_recommender *r = train(b, model);
        sp_recommender_info info = {.size = sizeof info};
        assert_ok(sp_recommender_describe(r, &info, &e), e);
        assert_string_equal(info.model, model);
        assert_true(info.users == USERS && info.items == ITEMS);
        lists_of_all(b, r, ITEMS, &trained_list);
        check_lists(b, model, &trained_list);
        check_alone(r, &trained_list);
        check_long_lists(b, r, &trained_list);
        check_scores(b, r, &trained_list);
        check_options(b, r, &trained_list);
        check_new_users(b, r, &info);
        check_vectors(b, r, &info, &trained_list);
        check_new_items(b, r, &info);
        /* the same training into a folder; the folder is then opened */
        snprintf(out, sizeof out, "%s/%s", folder, model);
        sp_train_options o = short_run(model);
        o.out = out;
        for (int turn = 0; turn < 2; turn++) {
            sp_recommender *f =
                turn ? sp_recommender_open(out, NULL, &e) : sp_train(b->session, &b->data, &o, NULL, &e);
            if (!f)
                fail_msg("%s: %s", model, e.message);
            lists_of_all(b, f, ITEMS, &opened_list);
            assert_memory_equal(&trained_list, &opened_list, sizeof trained_list);
            assert_int_equal(sp_recommender_number(f, SP_USERS, "17"), 17);
            assert_string_equal(sp_recommender_id(f, SP_ITEMS, 9), "9");
            sp_recommender_info again = {.size = sizeof again};
            assert_ok(sp_recommender_describe(f, &again, &e), e);
            assert_true(again.new_items == info.new_items && again.feature_count == info.feature_count);
            for (size_t i = 0; i < info.feature_count; i++)
                assert_true(!strcmp(again.feature_names[i], info.feature_names[i]) &&
                            again.feature_widths[i] == info.feature_widths[i]);
            sp_recommender_close(f);
        }
        sp_recommender_close(r);
        test_folder_remove(out);
    }
    test_folder_remove(folder);
}

static void ids_and_numbers(void **state)
{
    sp_recommender *r = train(*state, "MostPop");
    assert_int_equal(sp_recommender_number(r, SP_ITEMS, "23"), 23);
    assert_int_equal(sp_recommender_number(r, SP_ITEMS, "24"), -1);
    assert_int_equal(sp_recommender_number(r, SP_USERS, "u1"), -1);
    assert_int_equal(sp_recommender_number(r, SP_USERS, NULL), -1);
    assert_int_equal(sp_recommender_number(NULL, SP_USERS, "1"), -1);
    assert_null(sp_recommender_id(r, SP_USERS, USERS));
    assert_null(sp_recommender_id(r, SP_USERS, -1));
    assert_null(sp_recommender_id(NULL, SP_USERS, 0));
    sp_recommender_close(r);
}

/* ---- what new users and items are made of ---------------------------------------------------- */

/* ItemKNN scores by a user's items alone. So a user of training has the same list if it is given as a new user. */
static void a_known_user_as_a_new_one(void **state)
{
    TestBench *b = *state;
    sp_error e;
    static List l;
    int32_t item[TOP];
    float score[TOP];
    sp_recommender *r = train(b, "ItemKNN");
    lists_of_all(b, r, ITEMS, &l);
    for (int32_t u = 0; u < USERS; u++) {
        const sp_liked liked = likes_of(b, u);
        assert_ok(sp_recommend_new(r, b->session, &liked, 1, TOP, NULL, item, score, &e), e);
        assert_memory_equal(item, l.item + u * ITEMS, sizeof item);
        assert_memory_equal(score, l.score + u * ITEMS, sizeof score);
    }
    sp_recommender_close(r);
}

/* VBPR and NGCF-M compute a part of an item's vector from features. Checks that this part equals the part of a train
 * item with the same features. */
static void items_by_features_alone(void **state)
{
    TestBench *b = *state;
    sp_error e;
    int32_t items[ITEMS];
    for (int32_t i = 0; i < ITEMS; i++)
        items[i] = i;
    for (int turn = 0; turn < 4; turn++) {
        b->data.protocol = turn % 2 ? "mmrec" : "elliot";
        sp_recommender *r = train(b, turn < 2 ? "VBPR" : "NGCF-M");
        sp_recommender_info info = {.size = sizeof info};
        assert_ok(sp_recommender_describe(r, &info, &e), e);
        size_t D = info.width, half = D / 2;
        assert_true(info.new_items && info.feature_count == 2 && D % 2 == 0);
        assert_string_equal(info.feature_names[1], "textual");
        float *known = calloc(ITEMS * D, sizeof *known), *new = calloc(ITEMS * D, sizeof *new);
        float *one = calloc(D, sizeof *one);
        assert_ok(sp_vectors(r, b->session, SP_ITEMS, items, ITEMS, known, &e), e);
        assert_ok(sp_new_item_vectors(r, b->session, b->features, 2, ITEMS, new, &e), e);
        for (size_t i = 0; i < ITEMS; i++) {
            for (size_t c = 0; c < half; c++)
                assert_true(new[i * D + c] == 0);
            assert_memory_equal(new + i *D + half, known + i * D + half, half * sizeof *new);
        }
        /* features in any order, and one alone */
        const sp_feature turned[] = {{"textual", NARROW, b->textual + 5 * NARROW},
                                     {"visual", WIDE, b->visual + 5 * WIDE}};
        assert_ok(sp_new_item_vectors(r, b->session, turned, 2, 1, one, &e), e);
        assert_memory_equal(one, new + 5 * D, D * sizeof *one);
        free(known);
        free(new);
        free(one);
        sp_recommender_close(r);
    }
    b->data.protocol = NULL;
}

/* ---- threads, memory ------------------------------------------------------------------------- */

enum { THREADS = 4 };
typedef struct Asker {
    pthread_t thread;
    const sp_recommender *r;
    TestBench *b;
    int threads;
    List list;
    int32_t similar[ITEMS * 3], fresh[TOP];
    sp_error e;
    bool ok;
} Asker;

static void *ask(void *arg)
{
    Asker *a = arg;
    int32_t all[USERS];
    const sp_liked liked = likes_of(a->b, 3);
    for (int32_t u = 0; u < USERS; u++)
        all[u] = u;
    sp_session *s = sp_session_open(a->threads, NULL, &a->e);
    a->ok = s != NULL;
    for (int round = 0; a->ok && round < 5; round++)
        a->ok = sp_recommend(a->r, s, all, USERS, ITEMS, NULL, a->list.item, a->list.score, &a->e) &&
                sp_similar_items(a->r, s, all, ITEMS, 3, NULL, a->similar, NULL, &a->e) &&
                sp_recommend_new(a->r, s, &liked, 1, TOP, NULL, a->fresh, NULL, &a->e);
    sp_session_close(s);
    return NULL;
}

static void threads_share_a_recommender(void **state)
{
    static const char *const MODELS[] = {"ItemKNN", "BPRMF"};
    static Asker askers[THREADS];
    for (size_t m = 0; m < COUNT(MODELS); m++) {
        sp_recommender *r = train(*state, MODELS[m]);
        memset(askers, 0, sizeof askers);
        for (int i = 0; i < THREADS; i++) {
            askers[i].r = r;
            askers[i].b = *state;
            askers[i].threads = 1 + i % 3;
            assert_int_equal(pthread_create(&askers[i].thread, NULL, ask, &askers[i]), 0);
        }
        for (int i = 0; i < THREADS; i++)
            pthread_join(askers[i].thread, NULL);
        for (int i = 0; i < THREADS; i++) {
            assert_ok(askers[i].ok, askers[i].e);
            assert_memory_equal(&askers[i].list, &askers[0].list, sizeof(List));
            assert_memory_equal(askers[i].similar, askers[0].similar, sizeof askers[0].similar);
            assert_memory_equal(askers[i].fresh, askers[0].fresh, sizeof askers[0].fresh);
        }
        sp_recommender_close(r);
    }
}

/* Checks that a recommender can be used after the data and the session of its training are freed. All memory is from
 * the caller's allocators, and is freed. */
static void nothing_is_kept(void **state)
{
    (void)state;
    static const char *const MODELS[] = {"ItemKNN", "VBPR"};
    static List before, after;
    for (size_t m = 0; m < COUNT(MODELS); m++) {
        sp_error e;
        TestHeap owned, work;
        TestBench *b = calloc(1, sizeof *b);
        test_heap(&owned, 0);
        test_heap(&work, 0);
        bench_open(b);
        sp_session *s = sp_session_open(2, &work.heap, &e);
        sp_train_options o = short_run(MODELS[m]);
        sp_recommender *r = sp_train(s, &b->data, &o, &owned.heap, &e);
        assert_ok(r != NULL, e);
        lists_of_all(b, r, ITEMS, &before);
        sp_session_close(s);
        assert_int_equal(work.live, 0);
        memset(b->user, 0x55, sizeof b->user);
        memset(b->visual, 0x55, sizeof b->visual);
        memset(b->textual, 0x55, sizeof b->textual);
        lists_of_all(b, r, ITEMS, &after);
        assert_memory_equal(&before, &after, sizeof before);
        assert_true(owned.live > 0);
        sp_recommender_close(r);
        assert_int_equal(owned.live, 0);
        bench_close(b);
        free(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_recommender_answers),   cmocka_unit_test(ids_and_numbers),
        cmocka_unit_test(a_known_user_as_a_new_one),   cmocka_unit_test(items_by_features_alone),
        cmocka_unit_test(threads_share_a_recommender), cmocka_unit_test(nothing_is_kept),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
