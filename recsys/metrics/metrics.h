/* recsys/metrics/metrics.h: what the files of metrics share.
 *
 *   metrics.c       the table of metrics, and how one is asked for: "DSC:beta=2"
 *   lists.c         from lists to figures
 *   accuracy.c      hits and their ranks
 *   ranks.c         AUC and errors of predicted scores
 *   beyond.c        coverage, diversity, novelty, popularity
 *   groups.c        clusters of users and items
 *   sampled.c       candidates of a sampled evaluation
 *   significance.c  whether two systems differ
 *
 * A new metric is a function (Figure, or an end of sums that others made) and a row of the table. */
#ifndef SAPOR_METRICS_H
#define SAPOR_METRICS_H

#include "recsys/evaluation.h"

/* Whose definition a row of the table is. A name may have several rows; "recbole.MAP" asks for one of them. */
enum { ELLIOT = 1, MMREC = 2, RECBOLE = 4 };

typedef enum Parameter {
    P_BETA,
    P_METRIC_0,
    P_METRIC_1,
    P_POP_RATIO,
    P_TAIL_RATIO,
    P_RELEVANCE,
    P_FEATURE_DATA,
    P_CLUSTERING_NAME,
    P_CLUSTERING_FILE,
    P_USER_CLUSTERING_NAME,
    P_USER_CLUSTERING_FILE,
    P_ITEM_CLUSTERING_NAME,
    P_ITEM_CLUSTERING_FILE,
    PARAMETERS
} Parameter;

typedef struct Judge { /* what all metrics of a configuration share */
    Protocol protocol;
    const EvalConfig *config;
    const DataSet *data; /* NULL: no metric needs it */
    int64_t items;       /* numbers of items in lists and truth are below it, where there are data */
    const int64_t *at;   /* [n] cutoffs, ascending */
    size_t n;
    double *discount;    /* [longest cutoff]: 1 / log2(rank + 1), rank from 1 */
    double *harmonic;    /* [longest cutoff + 1]: 1 + 1/2 + ... + 1/k */
    int64_t *popularity; /* [items] users who have it in train; NULL: not asked for */
    int64_t *count;      /* [n, items] how often it is listed above a cutoff and below the one before; NULL: as above */
    int64_t listed;      /* users with a list and truth */
    int64_t judged;      /* those of them with a relevant item */
} Judge;

/* One user's list as metrics need it. Under Elliot some of its users have no relevant item: `relevant` is 0. */
typedef struct Judged {
    int64_t user, relevant;
    int64_t length;       /* of the list */
    const int32_t *item;  /* [length]; -1: none at that rank */
    const double *score;  /* [length], or NULL */
    const int32_t *liked; /* [relevant] the relevant items */
    const int64_t *hits;  /* [length+1]: hits among the first k */
    const int64_t *held;  /* [length+1]: items among the first k */
    const bool *hit;      /* [length] */
    const double *gain;   /* [length]: 2^(rating - threshold + 1) - 1 of a hit, else 0 */
    const float *rating;  /* [length] of a hit, else 0 */
    const double *ideal;  /* [relevant]: the user's gains, largest first */
} Judged;

typedef struct Use Use;
/* A user's values at the cutoffs, which ascend; the list is walked once for all of them. */
typedef void Figure(const Use *u, const Judged *j, double *out);
/* What a metric of all lists together is made by. value: the figure's, NULL where there is none. */
typedef bool Begin(Use *u, Arena *a, Error *e);
typedef void Add(Use *u, const Judged *j, const double *value);
typedef void End(const Use *u, double *out /* [figures, cutoffs] */);

typedef struct Row {
    Metric metric;
    int systems;
    bool listed;          /* users without a relevant item count, too */
    bool inner;           /* users' values are a means only */
    Figure *figure;       /* NULL: users have no values */
    const char *label[2]; /* of a name with parameters: "RSP_items:", "-m1:" */
    Begin *begin;         /* NULL: one figure, named as the metric */
    Add *add;             /* NULL: nothing to add */
    End *end;             /* NULL: the mean of users' values */
} Row;

struct Use { /* a metric of a configuration at work */
    const Row *row;
    const char *name;
    const char *value[PARAMETERS]; /* as given; NULL: the default holds */
    Judge *judge;
    double number;      /* of beta, pop_ratio or tail_ratio */
    Use *part[2];       /* of metric_0 and metric_1 */
    const char **names; /* [figures] */
    size_t figures;
    double *one, *sum; /* [n] a user's values, and the sum of them */
    void *own;         /* of begin, add and end */
};

/* Rows of the table (metrics.c), by a name with or without its system, and by the protocol. NULL when unknown. */
const Row *row_find(Text name, Protocol p);
/* sampled.c */
const char *sampled_words(const EvalConfig *c, Arena *a, Error *e); /* Scores.sampled */
#ifndef SAPOR_MINIMAL
bool sampled_read(EvalConfig *c, const TextList *words, Error *e); /* of the setting negatives */
/* What is ranked for a user, where that is not every item: [start[user], start[user + 1]) of item, ascending; at most
 * `most` for one. The user's items of the part are among them. */
typedef struct Candidates {
    int64_t *start; /* [U+1] */
    int32_t *item;
    int64_t count, most;
} Candidates;
bool candidates_make(Candidates *x, const DataSet *data, const EvalConfig *c, bool test, Arena *a, Error *e);
/* All others, of users ids [n], which ascend */
typedef struct Excluded {
    int64_t *start; /* [U+1] */
    int32_t *item;  /* [n, I] */
} Excluded;
void candidates_exclude(const Candidates *x, const DataSet *data, const int32_t *ids, int64_t n, Excluded *out);
#endif
/* "NAME:key=value:key=value". Nothing is read from files. */
bool use_read(Use *u, const char *text, Protocol p, Arena *a, Error *e);
/* A rating below config->relevance_threshold says under Elliot that the item is not relevant. MMRec reads no ratings:
 * every item of the truth is. */
bool is_relevant(const EvalConfig *c, Protocol p, const Pairs *truth, int64_t at);

static inline int64_t hits_at(const Judged *j, int64_t k)
{
    return j->hits[MIN(k, j->length)];
}
/* The length of the list that is cut off at k */
static inline int64_t held_at(const Judged *j, int64_t k)
{
    return j->held[MIN(k, j->length)];
}

/* metrics.c, beside what recsys/evaluation.h declares */
/* "unknown metric ..." with near names, for an unknown name */
bool metric_unknown(const char *where, const char *name, Arena *a, Error *e);
/* lists.c: score_lists_of in blocks of lists. `users`: at most so many in all; `data` as in Lists. c, truth and data
 * stay the caller's until the end. */
typedef struct Scorer Scorer;
Scorer *scorer_new(Scores *s, Protocol p, const EvalConfig *c, const Pairs *truth, const DataSet *data, int64_t users,
                   Arena *a, Error *e);
bool scorer_add(Scorer *s, const Lists *l, Error *e);
bool scorer_end(Scorer *s, Error *e);
/* Names of the figures and room for them, without values */
bool scores_make(Scores *s, Protocol p, const EvalConfig *c, const DataSet *data, Arena *a, Error *e);

/* accuracy.c */
Figure recall, precision, hit_rate, reciprocal_rank, ndcg_graded, ndcg_binary, mean_precision, mean_recall,
    average_precision, f1, f_beta;
Begin f_beta_begin, two_sums_begin;
Add pooled_recall_add;
End ratio_end; /* of two_sums_begin's */

#ifndef SAPOR_MINIMAL
/* ranks.c */
Figure limited_auc, group_auc, absolute_error, squared_error, root_squared_error;
Add pooled_auc_add, weighted_auc_add, absolute_error_add, squared_error_add;
End root_ratio_end;

/* beyond.c */
Figure list_length, mean_popularity, popularity_per_rank, tail_share, tail_count, tail_per_rank, novelty,
    feature_recall;
Begin popularity_begin, tail_begin, least_popular_begin, efd_begin, epc_begin, count_begin, sorted_begin, entropy_begin,
    features_begin;
Add entropy_add, users_add, full_lists_add;
End coverage_end, coverage_share_end, gini_end, inequality_end, entropy_end, natural_entropy_end, sum_end;
/* Elliot's Gini of counts [items], which it sorts */
double gini_of(const Judge *judge, int64_t *count);
/* [items] 0: the most popular items, which have `ratio` of the train pairs; 1: the others of train; -1: unknown to it.
 */
int32_t *head_and_tail(Judge *judge, double ratio, Arena *a, Error *e);
bool count_popularity(Judge *judge, Arena *a, Error *e);
bool open_table(Table *t, const char *path, Arena *a, Error *e); /* tabs between fields */

/* groups.c */
Figure mean_score, group_tail_share;
Begin head_tail_begin, item_groups_begin, user_groups_begin, user_groups_tail_begin, user_difference_begin,
    item_difference_begin, group_gini_begin, disparity_begin;
Add parity_add, opportunity_add, user_groups_add, item_gain_add, item_score_add, group_gini_add, disparity_add;
End spread_end, shares_end, user_groups_end, user_difference_end, item_difference_end, group_gini_end,
    disparity_lists_end, disparity_train_end, disparity_change_end;
#endif

#endif
