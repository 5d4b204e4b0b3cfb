/* recsys/models/itemknn.c: ItemKNN, as Elliot computes it (recipes.md 7.3): Sarwar et al. 2001 (standard), and Aiolli
 * 2013 in Ferrari Dacrema's form (aiolli).
 *
 * S [I, I] are the similarities of the columns of the ratings R [U, I]. W keeps the `neighbors` largest entries of each
 * column of S (standard: only nonzero entries). scores = R W. */
#include "recsys/models/shared/knn.h"

static bool init(Model *m, Error *e)
{
    return knn_init(m, SIDE_ITEMS, e);
}

static bool restore(Model *m, const Weights *file, Error *e)
{
    return knn_restore(m, SIDE_ITEMS, file, e);
}

const Recommender recommender_itemknn = {
    .name = "ItemKNN",
    .paper = "Item-based Collaborative Filtering Recommendation Algorithms (Sarwar et al., WWW 2001)",
    .settings = knn_settings,
    .settings_size = sizeof(KnnSettings),
    .sampling = sampling_none,
    .init = init,
    .score = knn_score,
    .score_new = knn_score_new,
    .arrays = knn_arrays,
    .restore = restore,
};
