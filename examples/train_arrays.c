/* examples/train_arrays.c: Trains a recommender on arrays in memory and prints its metrics. Then it recommends items to
 * a user of the training data and to a new user.
 *
 *     cc train_arrays.c -o train_arrays $(pkg-config --cflags --libs sapor)
 *     ./train_arrays LightGCN */
#include <stdio.h>
#include <stdlib.h>

#include <sapor.h>

enum { USERS = 200, ITEMS = 60, ITEMS_PER_USER = 12, ROWS = USERS * ITEMS_PER_USER, TOP = 5 };
static int32_t user[ROWS], item[ROWS], part_user[2][ROWS], part_item[2][ROWS];

/* Draws users with two tastes: most items of a user are from one half of the items. */
static void make_data(void)
{
    unsigned state = 1;
    for (int r = 0; r < ROWS; r++) {
        int u = r / ITEMS_PER_USER;
        state = state * 1103515245u + 12345u;
        int other = (state >> 16) % 8 == 0;
        state = state * 1103515245u + 12345u;
        user[r] = u;
        item[r] = (int)(state >> 16) % (ITEMS / 2) + ((u % 2) ^ other ? ITEMS / 2 : 0);
    }
}

static bool print_epoch(void *arg, const sp_train_event *event)
{
    (void)arg;
    if (event->evaluated)
        fprintf(stderr, "epoch %zu: loss %.4f, %s %.4f\n", event->epoch, event->loss, event->names[0],
                event->test ? event->test[0] : 0.0);
    return true; /* false ends the training */
}

static void print_list(const char *whose, const int32_t *list)
{
    printf("%s:", whose);
    for (int i = 0; i < TOP && list[i] >= 0; i++)
        printf(" %d", list[i]);
    printf("\n");
}

int main(int argc, char **argv)
{
    static const char *const settings[] = {"epochs=20", "factors=16", "lr=0.01", "validation_rate=5"};
    sp_error e = {0};
    unsigned char part[ROWS];
    make_data();
    sp_interactions all = {.count = ROWS, .user = user, .item = item}, parts[2] = {{0}, {0}};
    sp_split_options how = {.size = sizeof how, .test_ratio = 0.2, .seed = 42};
    sp_session *session = sp_session_open(0, NULL, &e); /* all processors */
    bool ok = session && sp_split(&all, USERS, ITEMS, &how, NULL, part, &e);
    for (int r = 0; ok && r < ROWS; r++) {
        int p = part[r] == SP_TEST;
        part_user[p][parts[p].count] = user[r];
        part_item[p][parts[p].count++] = item[r];
    }
    for (int p = 0; p < 2; p++) {
        parts[p].user = part_user[p];
        parts[p].item = part_item[p];
    }
    sp_data data = {.size = sizeof data, .users = USERS, .items = ITEMS, .train = &parts[0], .test = &parts[1]};
    sp_train_options options = {.size = sizeof options,
                                .model = argc > 1 ? argv[1] : "LightGCN",
                                .settings = settings,
                                .setting_count = sizeof settings / sizeof *settings,
                                .seed = 123,
                                .progress = print_epoch};
    sp_recommender *model = ok ? sp_train(session, &data, &options, NULL, &e) : NULL;

    const char *const metrics[] = {"Recall", "nDCG"};
    const size_t cutoffs[] = {TOP};
    sp_measures measures = {
        .size = sizeof measures, .metrics = metrics, .metric_count = 2, .cutoffs = cutoffs, .cutoff_count = 1};
    double figures[2];
    int32_t known = 7, list[TOP], likes[] = {1, 4, 9};
    sp_liked fresh = {.items = likes, .count = 3};
    ok = model && sp_evaluate(model, session, &parts[1], &measures, figures, &e);
    if (ok)
        printf("Recall@%d %.4f, nDCG@%d %.4f\n", TOP, figures[0], TOP, figures[1]);
    if ((ok = ok && sp_recommend(model, session, &known, 1, TOP, NULL, list, NULL, &e)))
        print_list("user 7", list);
    if ((ok = ok && sp_recommend_new(model, session, &fresh, 1, TOP, NULL, list, NULL, &e)))
        print_list("who likes 1, 4 and 9", list);
    if ((ok = ok && sp_similar_items(model, session, likes, 1, TOP, NULL, list, NULL, &e)))
        print_list("like item 1", list);
    if (!ok)
        fprintf(stderr, "%s: %s\n", argv[0], e.message);
    sp_recommender_close(model);
    sp_session_close(session);
    return ok ? 0 : 1;
}
