/* recsys/models/shared/knn.h: what ItemKNN, UserKNN and AttributeItemKNN share: settings, similarities, neighbours,
 * scores, and the files in a run folder (recipes.md 7.3).
 *
 * S [n, n] are the similarities of n things. A thing is an item or a user; it is a sparse row of ratings. The entries
 * of this row are its features: the users who rated an item, or the items that a user rated. W keeps the largest
 * entries of each column of S. S is never stored: each column is computed in a buffer of n numbers. */
#ifndef SAPOR_KNN_H
#define SAPOR_KNN_H

#include "recsys/models/shared/sparse.h"

/* ---- settings -------------------------------------------------------------------------------- */

typedef enum Similarity {
    SIM_COSINE,
    SIM_DOT,
    SIM_EUCLIDEAN,
    SIM_MANHATTAN,
    SIM_JACCARD,
    SIM_DICE,
    SIM_TVERSKY, /* from here on: only implementation 1, aiolli (Aiolli 2013) */
    SIM_PEARSON,
    SIM_ADJUSTED,
    SIM_ASYMMETRIC,
    SIM_COUNT
} Similarity;
static inline bool similarity_is_centred(Similarity s)
{
    return s == SIM_PEARSON || s == SIM_ADJUSTED;
}

typedef struct KnnSettings {
    CommonSettings common;
    int64_t neighbors;
    int similarity;     /* a Similarity */
    int implementation; /* 0: standard, 1: aiolli */
    bool implicit, normalize;
    double shrink, asymmetric_alpha, tversky_alpha, tversky_beta;
} KnnSettings;
extern const Setting knn_settings[]; /* settings of ItemKNN and UserKNN */
#define NEIGHBORS_SETTING(S, member, about)                                                                            \
    {                                                                                                                  \
        "neighbors", "40", "40", about, I64_OF(S, member), 1, INT32_MAX, ALIASES(SAME_AS("k"))                         \
    }

/* ---- similarities ---------------------------------------------------------------------------- */

/* The formula of S[i, j], the similarity of things i and j. S is computed column by column: j is the thing whose column
 * is computed, and i is another thing. `own` and `other` have one value per thing: a length, a sum or a count, as each
 * formula says. own[j] is the value of thing j, other[i] that of thing i. `sum` is the sum over the features that both
 * things share: of a b, or for MEASURE_MANHATTAN of |a| + |b| - |a - b|. a and b: the feature's values in j and i. */
typedef struct Measure {
    enum MeasureForm {
        MEASURE_DOT,            /* sum, divided by shrink if shrink is not 0 */
        MEASURE_COSINE,         /* sum / (own[j] other[i]), or 0 if that product is 0; own, other: lengths */
        MEASURE_SHRUNK,         /* sum / (own[j] other[i] + shrink + 1e-6); own, other: lengths, or powers of them */
        MEASURE_EUCLIDEAN,      /* 1 / (1 + distance); own: squares of lengths */
        MEASURE_MANHATTAN,      /* 1 / (1 + distance); own: sums of magnitudes */
        MEASURE_JACCARD,        /* 1 / (1 + distance); own: counts, also for the next four */
        MEASURE_DICE,           /* 1 / (1 + distance) */
        MEASURE_AIOLLI_JACCARD, /* sum / (own[j] + other[i] - sum + shrink + 1e-6) */
        MEASURE_AIOLLI_DICE,    /* sum / (own[j] + other[i] + shrink + 1e-6): half of Dice's coefficient */
        MEASURE_TVERSKY         /* sum / (sum + alpha (own[j] - sum) + beta (other[i] - sum) + shrink + 1e-6) */
    } form;
    double shrink, alpha, beta;
    double *own, *other; /* [n] */
} Measure;
double measure(const Measure *m, int64_t i, int64_t j, double sum);

/* ---- neighbours ------------------------------------------------------------------------------ */

typedef struct Neighbour {
    double value;
    int32_t id;
} Neighbour;
/* The neighbours in W of each of n things. Thing j has `count[j]` neighbours from kept[first[j]] on, in any order. */
typedef struct Nearest {
    int64_t n;
    int64_t *first; /* [n + 1] first[j + 1] - first[j] is the largest possible number of neighbours of j */
    int64_t *count; /* [n] */
    Neighbour *kept;
} Nearest;
/* Allocates neighbours. On entry first[j + 1] is the largest possible number of neighbours of thing j; the function
 * replaces these counts by their sums. */
bool nearest_new(Nearest *x, Arena *a, Error *e);
/* Adds a neighbour to a heap of n, or replaces the worst one if there are already `most`. Returns the new n. If values
 * are equal, the lower id is better. */
int64_t nearest_put(Neighbour *heap, int64_t n, int64_t most, Neighbour x);

/* Finds the neighbours of all users or items, by their ratings [U, I] and the KnnSettings of m. The result and the
 * scratch are in arena `a`. Time: the sum, over shared features, of the square of the number of things that have the
 * feature. Memory: 16 bytes per neighbour, and 16 per thing and thread. With a distance, things that share nothing have
 * a similarity above 0 too. Only the nearest of these things are visited, so the time is about the same. */
bool knn_find(Nearest *x, const Model *m, const SparseRows *ratings, Side side, Arena *a, Error *e);

/* ---- a model --------------------------------------------------------------------------------- */

/* Scores are R W for neighbours of items, W R for neighbours of users. */
typedef struct Knn {
    Side side;
    SparseRows weights;  /* rows of W: [I, I] or [U, U] */
    const float *rating; /* [pairs] rating of each train pair; NULL: all are 1 */
} Knn;
/* Recommender.init of ItemKNN and UserKNN, with KnnSettings. */
bool knn_init(Model *m, Side side, Error *e);
/* Makes the model m->own from the neighbours. rating: of each train pair, or NULL. */
bool knn_new(Model *m, Side side, const float *rating, const Nearest *x, Error *e);
/* Recommender.score_new for neighbours of items. The ratings of new users are used if those of training are used. */
bool knn_score_new(const Model *m, const Pairs *liked, int64_t n, float *scores, Error *e);
bool knn_score(Model *m, const int32_t *ids, int64_t n, float *scores, Error *e);
const Array *knn_arrays(const Model *m, size_t *count, Error *e);
bool knn_restore(Model *m, Side side, const Weights *file, Error *e);

#endif
