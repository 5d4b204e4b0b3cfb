/* recsys/models/shared/knn.h: what ItemKNN, UserKNN and AttributeItemKNN share: settings, similarities, neighbours,
 * scores, and what a run folder holds of them. recipes.md 7.3.
 *
 * S [n, n] holds the similarities of n things, which are items or users; each is a sparse row of ratings. W keeps the
 * largest entries of each column of S. S never exists: each column is computed in a row of n numbers. */
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
    SIM_TVERSKY, /* from here on: aiolli alone */
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
extern const Setting knn_settings[]; /* of ItemKNN and UserKNN */
#define NEIGHBORS_SETTING(S, member, about)                                                                            \
    {                                                                                                                  \
        "neighbors", "40", "40", about, I64_OF(S, member), 1, INT32_MAX, ALIASES(SAME_AS("k"))                         \
    }

/* ---- similarities ---------------------------------------------------------------------------- */

/* How S[i, j] is computed from a sum over what the things i and j share, and a number of each thing: the sum is that of
 * products, for MEASURE_MANHATTAN of |a| + |b| - |a - b|. */
typedef struct Measure {
    enum MeasureForm {
        MEASURE_DOT,            /* sum, divided by shrink where that is not 0 */
        MEASURE_COSINE,         /* sum / (own[j] other[i]), 0 where that is 0: lengths */
        MEASURE_SHRUNK,         /* sum / (own[j] other[i] + shrink + 1e-6): lengths, or powers of them */
        MEASURE_EUCLIDEAN,      /* 1 / (1 + distance): squares of lengths */
        MEASURE_MANHATTAN,      /* 1 / (1 + distance): sums of magnitudes */
        MEASURE_JACCARD,        /* 1 / (1 + distance): counts, as in the next four */
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
/* The neighbours that W keeps of each of n things: of thing j `count[j]` from kept[first[j]] on, in any order. */
typedef struct Nearest {
    int64_t n;
    int64_t *first; /* [n+1]: first[j+1] - first[j] is the most that j may have */
    int64_t *count; /* [n] */
    Neighbour *kept;
} Nearest;
/* Room for neighbours, where x->first holds the most that each thing may have: most[j] in first[j + 1]. */
bool nearest_new(Nearest *x, Arena *a, Error *e);
/* Adds a neighbour to the `n` of a heap, or puts it in the worst one's place where there are `most`. Returns the new n.
 * Of equal values the lower id is the better one. */
int64_t nearest_put(Neighbour *heap, int64_t n, int64_t most, Neighbour x);

/* The neighbours of all users, or items, by their ratings [U, I] and m's KnnSettings; in arena a, which holds the
 * scratch too. Time: over what things share, the sum of the square of how many have it. Memory: 16 bytes per neighbour,
 * and 16 per thing and thread. Distances cost no more: of pairs that share nothing only the nearest are looked at. */
bool knn_find(Nearest *x, const Model *m, const SparseRows *ratings, Side side, Arena *a, Error *e);

/* ---- a model --------------------------------------------------------------------------------- */

/* Scores are R W with items' neighbours, W R with users'. */
typedef struct Knn {
    Side side;
    SparseRows weights;  /* W by row: [I, I] or [U, U] */
    const float *rating; /* of each train pair; NULL: all are 1 */
} Knn;
/* ItemKNN and UserKNN: Recommender.init, with settings KnnSettings. */
bool knn_init(Model *m, Side side, Error *e);
/* The model m->own from the neighbours that were found. rating: of each train pair, or NULL. */
bool knn_new(Model *m, Side side, const float *rating, const Nearest *x, Error *e);
/* Of items' neighbours. Ratings count where those of training do. */
bool knn_score_new(const Model *m, const Pairs *liked, int64_t n, float *scores, Error *e);
bool knn_score(Model *m, const int32_t *ids, int64_t n, float *scores, Error *e);
const Array *knn_arrays(const Model *m, size_t *count, Error *e);
bool knn_restore(Model *m, Side side, const Weights *file, Error *e);

#endif
