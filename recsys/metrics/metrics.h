/* recsys/metrics/metrics.h: declarations that the files of recsys/metrics/ share.
 *
 *   metrics.c       the table of metrics; parses a metric such as "DSC:beta=2"
 *   lists.c         computes figures from lists
 *   accuracy.c      hits and their ranks
 *   ranks.c         AUC and errors of predicted scores
 *   beyond.c        coverage, diversity, novelty, popularity
 *   groups.c        clusters of users and items
 *   sampled.c       candidates of a sampled evaluation
 *   significance.c  tests whether two systems differ
 *
 * A new metric is a function (a Figure, or Begin, Add and End) and a row of the table. */
#ifndef SAPOR_METRICS_H
#define SAPOR_METRICS_H

#include "recsys/evaluation.h"

/* The systems whose definition a row of the table follows. A name may have several rows; "recbole.MAP" selects one. */
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

typedef struct EvalState { /* shared by all metrics of a configuration */
    Protocol protocol;
    const EvalConfig *config;
    const DataSet *data; /* NULL if no metric needs it */
    int64_t items;       /* all item numbers in lists and truth are below it; set if there are data */
    const int64_t *at;   /* [n] cutoffs in ascending order */
    size_t n;            /* number of cutoffs */
    double *discount;    /* [longest cutoff]: 1 / log2(rank + 1), rank from 1 */
    double *harmonic;    /* [longest cutoff + 1]: 1 + 1/2 + ... + 1/k */
    int64_t *popularity; /* [items] number of users who have the item in train; NULL if no metric needs it */
    /* [n, items]: how often each item is listed; NULL if no metric needs it. While lists are added, row c counts the
     * ranks at[c - 1] + 1 to at[c]; row 0 counts the ranks 1 to at[0]. scorer_end adds to each row the rows before it.
     * When `end` is called, row c counts the ranks 1 to at[c]. */
    int64_t *times_listed;
    int64_t all_users;      /* number of users whose lists were added: see scorer_add */
    int64_t relevant_users; /* number of these users with at least one relevant item; set before `end` is called */
} EvalState;

/* The list of one user, prepared for the metrics. Under Elliot a user may have no relevant item: `relevant` is 0. */
typedef struct UserList {
    int64_t user;
    int64_t relevant;     /* number of relevant items of the user in the truth */
    int64_t length;       /* number of ranks of the list */
    const int32_t *item;  /* [length]; -1: no item at that rank */
    const double *score;  /* [length], or NULL */
    const int32_t *liked; /* [relevant] numbers of the relevant items; NULL in MINIMAL */
    const int64_t *hits;  /* [length + 1] hits[k]: number of hits among the first k ranks */
    const int64_t *held;  /* [length + 1] held[k]: number of items among the first k ranks */
    const bool *hit;      /* [length] the item at the rank is relevant */
    const double *gain;   /* [length] 2^(rating - threshold + 1) - 1 for a hit, else 0 */
    const float *rating;  /* [length] rating of a hit, else 0; NULL in MINIMAL */
    const double *ideal;  /* [relevant] gains of the relevant items, largest first */
} UserList;

typedef struct Use Use;
/* Computes the values of one user at all cutoffs, out [n]. The cutoffs are in ascending order, so one pass over the
 * list is enough. */
typedef void Figure(const Use *u, const UserList *list, double *out);
/* The three functions of a metric that is computed over all lists together. Begin is called once. Add is called for
 * each user with a relevant item, or for all users if Row.all_users is set. End is called once. `value`: the user's
 * values by `figure`, NULL if the row has no `figure`. */
typedef bool Begin(Use *u, Arena *a, Error *e);
typedef void Add(Use *u, const UserList *list, const double *value);
typedef void End(const Use *u, double *out /* [figures, cutoffs] */);

typedef struct Row {
    Metric metric;
    int systems;
    bool all_users; /* users without a relevant item are included in the mean and in the calls of `add` */
    bool inner;     /* the values of single users are intermediate results, not figures */
    Figure *figure; /* NULL: no values per user */
    /* For a metric with parameters: the texts before the first and the second parameter in a figure's name. The name
     * ExtendedF1_m0:Precision-m1:Recall has "ExtendedF1_m0:" and "-m1:" */
    const char *label[2];
    Begin *begin; /* NULL: one figure, with the name of the metric */
    Add *add;     /* NULL: nothing to add */
    End *end;     /* NULL: the mean of the users' values */
} Row;

struct Use { /* a metric of a configuration, with its parameters and its state */
    const Row *row;
    const char *name;
    const char *value[PARAMETERS]; /* as given; NULL: the default */
    EvalState *state;
    double number;      /* the value of beta, pop_ratio or tail_ratio */
    Use *part[2];       /* the metrics that metric_0 and metric_1 name; NULL: the metric has no such parameters */
    const char **names; /* [figures] */
    size_t figures;     /* number of figures per cutoff */
    double *one, *sum;  /* [n] the values of one user, and their sum over users */
    void *own;          /* state of begin, add and end */
};

/* Returns the row of the table (metrics.c) with this name, with or without a system before it, for protocol `p`. NULL
 * if the name is unknown. */
const Row *row_find(Text name, Protocol p);
/* sampled.c */
const char *sampled_words(const EvalConfig *c, Arena *a, Error *e); /* text for Scores.sampled */
#ifndef SAPOR_MINIMAL
bool sampled_read(EvalConfig *c, const TextList *words, Error *e); /* reads the setting `negatives` */
/* The items that are ranked for each user, if not all items are: item[start[user]] to item[start[user + 1] - 1], in
 * ascending order. They include the user's items of the evaluated part that are below I. A user without items in this
 * part has no candidates. */
typedef struct Candidates {
    int64_t *start;              /* [U+1] */
    int32_t *item;               /* [count] */
    int64_t count, max_per_user; /* number of candidates of all users; largest number of candidates of a user */
} Candidates;
/* Draws the candidates of all users, or reads them from a file. test: the evaluated part is test, else valid. */
bool candidates_make(Candidates *x, const DataSet *data, const EvalConfig *c, bool test, Arena *a, Error *e);
/* The items that are not ranked, for some of the users: all items that are not candidates. Those of user u are
 * item[start[u]] to item[start[u + 1] - 1]. */
typedef struct Excluded {
    int64_t *start; /* [U+1] */
    int32_t *item;
} Excluded;
/* Fills `out` for n users. ids [n]: the numbers of these users, in ascending order. Other users get no items. The
 * caller allocates out->start [U+1] and out->item [n * I]. */
void candidates_exclude(const Candidates *x, const DataSet *data, const int32_t *ids, int64_t n, Excluded *out);
#endif
/* Parses "NAME:key=value:key=value" into `u`. It does not read any file. */
bool use_read(Use *u, const char *text, Protocol p, Arena *a, Error *e);
/* Reports whether entry `at` of `truth` is relevant. Under Elliot an item with a rating below
 * config->relevance_threshold is not relevant. MMRec ignores ratings: every item of the truth is relevant. */
bool is_relevant(const EvalConfig *c, Protocol p, const Pairs *truth, int64_t at);

/* Returns the number of hits in the list after it is cut off at k. */
static inline int64_t hits_at(const UserList *list, int64_t k)
{
    return list->hits[MIN(k, list->length)];
}
/* Returns the number of items in the list after it is cut off at k. */
static inline int64_t held_at(const UserList *list, int64_t k)
{
    return list->held[MIN(k, list->length)];
}

/* metrics.c, in addition to the functions in recsys/evaluation.h */
/* Fails with "unknown metric ..." and names that are similar. where: the begin of the message, such as "metrics: ". */
bool metric_unknown(const char *where, const char *name, Arena *a, Error *e);
/* lists.c: computes the same as score_lists_of, but gets the lists in blocks. `users` is an upper bound of the number
 * of users. `data` is described at Lists. `c`, `truth` and `data` must stay valid until scorer_end. */
typedef struct Scorer Scorer;
Scorer *scorer_new(Scores *s, Protocol p, const EvalConfig *c, const Pairs *truth, const DataSet *data, int64_t users,
                   Arena *a, Error *e);
/* Adds lists. Users without truth are left out. Under Elliot without `count_empty`, users with an empty list are left
 * out too. */
bool scorer_add(Scorer *s, const Lists *l, Error *e);
bool scorer_end(Scorer *s, Error *e);
/* Allocates the names of the figures and space for their values, without values. */
bool scores_make(Scores *s, Protocol p, const EvalConfig *c, const DataSet *data, Arena *a, Error *e);

/* accuracy.c */
Figure recall, precision, hit_rate, reciprocal_rank, ndcg_graded, ndcg_binary, mean_precision, mean_recall,
    average_precision, f1, f_beta;
Begin f_beta_begin, two_sums_begin;
Add pooled_recall_add;
End ratio_end; /* for metrics that begin with two_sums_begin */

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
/* Returns Elliot's Gini index of counts [items]. It sorts the counts in place. */
double gini_of(const EvalState *state, int64_t *count);
/* Returns [items]:
 *
 * - 0 for the head: the most popular items, taken one by one until they have at least the share `ratio` of the train
 *   pairs;
 * - 1 for the tail: the other items below I, even if they have no train pair;
 * - -1 for items from I on, which occur only in valid or test. */
int32_t *head_and_tail(EvalState *state, double ratio, Arena *a, Error *e);
bool count_popularity(EvalState *state, Arena *a, Error *e);     /* makes state->popularity, if it is NULL */
bool open_table(Table *t, const char *path, Arena *a, Error *e); /* fields are separated by tabs */

/* groups.c */
Figure mean_score, group_tail_share;
Begin head_tail_begin, item_groups_begin, user_groups_begin, user_groups_tail_begin, user_difference_begin,
    item_difference_begin, group_gini_begin, disparity_begin;
Add parity_add, opportunity_add, user_groups_add, item_gain_add, item_score_add, group_gini_add, disparity_add;
End spread_end, shares_end, user_groups_end, user_difference_end, item_difference_end, group_gini_end,
    disparity_lists_end, disparity_train_end, disparity_change_end;
#endif

#endif
