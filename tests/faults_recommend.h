/* tests/faults_recommend.h: the subjects of faults_subjects.h that train from arrays and request recommendations. */
#ifndef SAPOR_FAULTS_RECOMMEND_H
#define SAPOR_FAULTS_RECOMMEND_H

/* Splits a small data set, trains the model on all of its rows, into the run folder `folder` (NULL: in memory only),
 * and calls each function that recommends. The digest includes the split, the lists and some of the scores. */
static bool train_and_recommend(const char *model, const char *folder, uint64_t *digest, Error *e)
{
    enum { USERS = 6, ITEMS = 5, ROWS = 18, TOP = 3 };
    static const char *const SET[] = {"epochs=1", "factors=4"};
    int32_t user[ROWS], item[ROWS], every_user[USERS], top[USERS * TOP], likes[] = {1, 3};
    float visual[ITEMS * 2], scores[USERS * TOP], vectors[2 * 16];
    unsigned char part[ROWS];
    for (int r = 0; r < ROWS; r++) {
        user[r] = r / 3;
        item[r] = (r / 3 + r % 3 * 2) % ITEMS;
    }
    for (int i = 0; i < ITEMS * 2; i++)
        visual[i] = (float)(i * 7 % 5) - 1.5f;
    for (int u = 0; u < USERS; u++)
        every_user[u] = u;
    const sp_interactions train = {.count = ROWS, .user = user, .item = item};
    const sp_feature features = {"visual", 2, visual};
    const sp_data data = {.size = sizeof data,
                          .users = USERS,
                          .items = ITEMS,
                          .train = &train,
                          .features = &features,
                          .feature_count = 1};
    const sp_split_options split = {.size = sizeof split, .test_ratio = 0.3};
    const sp_train_options o = {.size = sizeof o,
                                .model = model,
                                .settings = SET,
                                .setting_count = strcmp(model, "ItemKNN") ? 2 : 1,
                                .out = folder};
    const sp_liked liked = {likes, NULL, 2};
    sp_session *s = sp_session_open(1, NULL, e);
    sp_recommender *r = NULL;
    bool ok = s && sp_split(&train, USERS, ITEMS, &split, NULL, part, e) && (r = sp_train(s, &data, &o, NULL, e)) &&
              sp_recommend(r, s, every_user, USERS, TOP, NULL, top, scores, e);
    if (ok) {
        mix(digest, part, sizeof part);
        mix(digest, top, sizeof top);
        mix(digest, scores, sizeof scores);
    }
    ok = ok && sp_recommend_new(r, s, &liked, 1, TOP, NULL, top, NULL, e) &&
         sp_similar_items(r, s, likes, 2, TOP, NULL, top + TOP, NULL, e) &&
         sp_scores(r, s, every_user, likes, 2, scores, e) &&
         sp_nearest(s, visual, ITEMS, 2, visual, 1, TOP, NULL, top + 3 * TOP, NULL, e) &&
         (!strcmp(model, "ItemKNN") || sp_new_item_vectors(r, s, &features, 1, 2, vectors, e));
    if (ok)
        mix(digest, top, 4 * TOP * sizeof *top);
    sp_recommender_close(r);
    sp_session_close(s);
    return ok;
}

static bool arrays_in_memory(uint64_t *digest, Error *e)
{
    return train_and_recommend("ItemKNN", NULL, digest, e) && train_and_recommend("VBPR", NULL, digest, e);
}

static bool arrays_into_a_folder(uint64_t *digest, Error *e)
{
    return train_and_recommend("VBPR", out, digest, e);
}

READER(figures_by_user)
{
    ByUser b;
    PairedTest t, w;
    if (!by_user_read(&b, in("by_user.tsv"), a, e))
        return false;
    int64_t n = text_index_count(b.users);
    mix(digest, b.value, b.figures * (size_t)n * sizeof *b.value);
    if (!paired_t_test(&t, b.value, b.value + n, n, a, e) || !wilcoxon_test(&w, b.value, b.value + n, n, a, e) ||
        !holm_adjust(b.value, (const double[]){t.p, w.p}, 2, a, e))
        return false;
    mix(digest, b.value, 2 * sizeof *b.value);
    return true;
}

#endif
