/* recsys/models/userknn.c: UserKNN: Resnick et al. 1994, as Elliot computes it (recipes.md 7.20).
 *
 * It is ItemKNN of the transposed ratings. S [U, U] are the similarities of the rows of R [U, I]. W keeps the
 * `neighbors` largest entries of each column of S (standard: only nonzero entries). scores = W R.
 *
 * The scores of a user therefore come from the users who have this user among their neighbours, as in Elliot and in
 * Ferrari Dacrema's code. In the paper, they come from the user's own neighbours. */
#include "recsys/models/shared/knn.h"

static bool init(Model *m, Error *e)
{
    return knn_init(m, SIDE_USERS, e);
}

static bool restore(Model *m, const Weights *file, Error *e)
{
    return knn_restore(m, SIDE_USERS, file, e);
}

const Recommender recommender_userknn = {
    .name = "UserKNN",
    .paper = "GroupLens: An Open Architecture for Collaborative Filtering of Netnews (Resnick et al., CSCW 1994)",
    .settings = knn_settings,
    .settings_size = sizeof(KnnSettings),
    .sampling = sampling_none,
    .init = init,
    .score = knn_score,
    .arrays = knn_arrays,
    .restore = restore,
};
