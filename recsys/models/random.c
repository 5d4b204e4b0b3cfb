/* recsys/models/random.c: Random: an independent random score for every user and item. Every other recommender should
 * be better. Elliot draws the items of a list with replacement; here a list has each item once. */
#include "recsys/models/models.h"

static bool init(Model *m, Error *e)
{
    (void)m;
    (void)e;
    return true;
}

static bool score(Model *m, const int32_t *ids, int64_t n, float *scores, Error *e)
{
    (void)e;
    const Draw d = {m->seed, DRAW_SCORE, 0};
    int64_t I = m->data->I;
    for (int64_t b = 0; b < n; b++)
        for (int64_t i = 0; i < I; i++)
            scores[b * I + i] = draw_uniform(d, (uint64_t)ids[b] * (uint64_t)I + (uint64_t)i);
    return true;
}

const Recommender recommender_random = {
    .name = "Random",
    .paper = "random scores",
    .sampling = sampling_none,
    .init = init,
    .score = score,
};
