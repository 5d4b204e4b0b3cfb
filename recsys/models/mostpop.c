/* recsys/models/mostpop.c: MostPop: every user gets the same scores: an item's score is its number of users in train.
 * Elliot gives no list to a user if the number of the user's train items plus the cutoff reaches the number of all
 * items. Here every user has a list. */
#include "recsys/models/models.h"

static bool init(Model *m, Error *e)
{
    const Pairs *train = &m->data->train;
    float *count = m->own = NEW(m->arena, float, m->data->I, e);
    for (int64_t k = 0; count && k < train->count; k++)
        count[train->item[k]]++;
    return count != NULL;
}

static bool score_new(const Model *m, const Pairs *liked, int64_t n, float *scores, Error *e)
{
    (void)liked;
    (void)e;
    for (int64_t b = 0; b < n; b++)
        memcpy(scores + b * m->data->I, m->own, sizeof(float) * (size_t)m->data->I);
    return true;
}

static bool score(Model *m, const int32_t *ids, int64_t n, float *scores, Error *e)
{
    (void)ids;
    return score_new(m, NULL, n, scores, e);
}

const Recommender recommender_mostpop = {
    .name = "MostPop",
    .alias = "Pop",
    .paper = "popularity in the train part",
    .sampling = sampling_none,
    .init = init,
    .score = score,
    .score_new = score_new,
};
