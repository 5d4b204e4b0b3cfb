/* recsys/evaluation.h: how good recommendations are: metrics of ranked lists, tests of significance, and the evaluation
 * of a model. */
#ifndef SAPOR_EVALUATION_H
#define SAPOR_EVALUATION_H

#include "recsys/recsys.h"

/* ---- metrics (metrics.h): recipes.md 6.2, 6.3 ------------------------------------------------ */

/* MINIMAL has only the metrics of hits and ranks. */
#ifdef SAPOR_MINIMAL
#define ALL_METRICS 0
#else
#define ALL_METRICS 1
#endif
/* What a metric needs in addition to lists and truth */
enum {
    METRIC_GAINS = 1,        /* ratings for which 2^(rating - threshold + 1) is finite */
    METRIC_SCORES = 2,       /* the scores of the lists */
    METRIC_WHOLE = 4,        /* lists of all items, whatever the cutoffs are */
    METRIC_LISTED_ITEMS = 8, /* a number above all item numbers in lists and truth */
    METRIC_CATALOGUE = 16,   /* the number of items in train */
    METRIC_TRAIN = 32,       /* the train pairs */
    METRIC_FILE = 64         /* a file named by a parameter */
};
typedef struct Metric {
    const char *name, *about, *group;
    const char *systems;    /* the systems with this definition: "elliot", "mmrec recbole"; "" if it is Sapor's own */
    const char *parameters; /* parameters with their defaults: "beta=1 metric_0=Precision"; "" if there are none */
    unsigned needs;
} Metric;
size_t metric_count(void); /* number of rows of the table; a name has several rows if systems define it differently */
const Metric *metric_at(size_t i);
/* Returns the row of this name, in upper or lower case, with or without a system ("recbole.MAP") and parameters. -1 if
 * the name is unknown. */
int metric_find(const char *name);
typedef struct Scores {
    size_t metrics, cutoffs; /* metrics: number of figures per cutoff; a metric of clusters has several figures */
    const char **names;
    bool *has_users;   /* [metrics] the figure has a value per user */
    int64_t *at;       /* [cutoffs] the cutoffs */
    double *mean;      /* [metrics, cutoffs]; NaN if it is 0 / 0 */
    bool keep_by_user; /* input: whether by_user is computed */
    /* [metrics, cutoffs, users] in the order of the lists; NaN for a figure without values per user. Or NULL */
    double *by_user;
    int32_t *user; /* [users] the user of each column of by_user, if by_user is set */
    int64_t users; /* number of users who count (score_lists_of) and have a relevant item: divisor of most means */
    const char *sampled; /* suffix of every name: " (99 sampled)", " (uni99 sampled)", " (sampled by file)" or "" */
} Scores;
typedef struct EvalConfig {
    /* Metrics: "Recall", "recbole.MAP", "DSC:beta=2", "RSP:clustering_name=age:clustering_file=ages.tsv". A name means
     * the definition of the protocol; with a system before it, the definition of that system. Parameters follow after
     * colons. A colon that is not followed by the name of a parameter belongs to the value. */
    const char *const *metrics;
    size_t metric_count;
    const int64_t *cutoffs;
    size_t cutoff_count;
    double relevance_threshold; /* elliot: items with a lower rating are not relevant */
    /* If above 0, evaluate_model does not rank all items. It ranks the user's items of the part and this number of
     * drawn items (sampled.c): per user or, as RecBole's uni99, for each item of the user's part. 0: all items */
    int64_t negatives;
    bool negatives_each;
    /* candidates of valid and of test, read from files instead of drawn; both are set or neither */
    const char *negative_files[2];
} EvalConfig;
enum { MANY_CUTOFFS = 1000, LONGEST_CUTOFF = 1 << 20, SCORE_NAME_BYTES = 320 };
/* Checks metrics and cutoffs. Errors begin with "metrics: " or "cutoffs: ": unknown, out of range, given twice, more
 * than MANY_CUTOFFS. The caller puts "--" or "setting " before the message. */
bool measures_check(const EvalConfig *c, Arena *scratch, Error *e);
/* Replaces the name of a group ("accuracy") by its metrics, and "all" by the metrics of all groups. Metrics that need a
 * file are left out. For "all", metrics that need scores or whole lists are left out too. MINIMAL has no groups, and
 * changes nothing. */
bool metrics_expand(const char *const **names, size_t *count, Protocol p, Arena *a, Error *e);
/* Finds the figure of a metric by any name of the metric. False without an error: no metric of c has this name. False
 * with an error: memory ran out, or a metric of c is invalid. */
bool measures_name(const EvalConfig *c, Text name, const char **figure, Arena *a, Error *e);
/* Finds the next file that a parameter of a metric names. *rest is the text of the metric at first; each call removes
 * what it has read. Returns false if there is no other file. */
bool metric_file(Text *rest, Text *path);
/* Reports whether a word of the setting `negatives` is a file, and not none, N or uniN. */
bool negatives_file(const char *word);
/* Returns the union of the needs (METRIC_...) of all metrics of a checked configuration. */
unsigned measures_needs(const EvalConfig *c, Protocol p);
/* Refuses ratings whose gains are too large for Elliot's nDCG, if nDCG is among the metrics. `name` is the name of the
 * truth, for the message. */
bool ratings_check(const EvalConfig *c, Protocol p, const Pairs *truth, const char *name, Error *e);
/* Lists of item numbers (-1: no item), the best item first, of users [n]. K: the length of each list, if `start` is
 * NULL. */
typedef struct Lists {
    const int32_t *users;
    int64_t n, K;
    const int64_t *start; /* [n + 1] list i is top[start[i]] to top[start[i + 1] - 1]; NULL: top is [n, K] */
    const int32_t *top;
    const double *score; /* same shape as top, or NULL */
    /* Train pairs, and ids and numbers of users and items, for metrics that need them. train.start or items is NULL if
     * it is not known; `data` is NULL if nothing is known. */
    const DataSet *data;
    bool count_empty; /* true: under Elliot, users with an empty list count too */
} Lists;
/* Compares lists with `truth`. A user counts if the user has truth and, under Elliot, a list that is not empty (with
 * count_empty, an empty list counts too). Most means are over the users who count and have a relevant item: an item
 * whose rating is at least config->relevance_threshold. A few metrics are means over all users who count. If every item
 * is a train item of a user, no item can be recommended. Elliot fills the list of such a user with excluded items, and
 * the user counts with 0. Here such a user has no list. Time and memory grow with the lists, users x cutoffs and the
 * longest cutoff. Metrics that count how often items are listed need 8 bytes per item and cutoff. */
bool score_lists_of(Scores *s, Protocol p, const Lists *l, const Pairs *truth, const EvalConfig *config, Arena *a,
                    Error *e);
/* The same as score_lists_of, for lists top [n, K]. */
bool score_lists(Scores *s, Protocol p, const int32_t *users, int64_t n, int64_t K, const int32_t *top,
                 const Pairs *truth, const char *const *metrics, size_t metric_count, const int64_t *cutoffs,
                 size_t cutoff_count, Arena *a, Error *e);
/* Copies all scores except by_user. `to` must be zero, or a copy of scores of the same metrics. */
bool scores_copy(Scores *to, const Scores *from, Arena *a, Error *e);
/* Returns how many of U users have a relevant item in `truth`. This number is equal to Scores.users if all these users
 * have a list. */
int64_t relevant_users_of(const EvalConfig *c, const Pairs *truth, Protocol p, int64_t U);
int64_t relevant_users(const Pairs *truth, Protocol p, int64_t U); /* for a relevance threshold of 0 */

/* ---- significance (significance.c): recipes.md 6.8 ------------------------------------------- */

/* The result of a two-sided test of two systems. a[i] and b[i] are their figures for user i of n users. */
typedef struct PairedTest {
    double statistic, p; /* p is NaN if the test has no result: all differences are 0, or there is one pair (t test) */
} PairedTest;
/* Compute the same as ttest_rel and wilcoxon of scipy 1.17.1 with their defaults. The p of the t test is within 1e-12
 * of the exact value, also for |t| < 1e-4, where scipy's error is larger.
 *
 * Wilcoxon's statistic is the smaller sum of ranks. Its p depends on n:
 *
 * - n <= 13: exact.
 * - n <= 50, without ties and without zeros: exact.
 * - Otherwise: from the normal distribution, corrected for ties but not for continuity.
 *
 * No pairs, or a figure that is NaN or above 1e100, is SP_USAGE. */
bool paired_t_test(PairedTest *out, const double *a, const double *b, int64_t n, Arena *scratch, Error *e);
bool wilcoxon_test(PairedTest *out, const double *a, const double *b, int64_t n, Arena *scratch, Error *e);
double student_tail(double t, double df); /* P(|T| >= |t|); relative error about 1e-13 */
/* Computes Holm's step-down p values (1979) of a family of n tests. A NaN counts as a test with p = 1, and stays NaN.
 */
bool holm_adjust(double *adjusted, const double *p, size_t n, Arena *scratch, Error *e);

/* ---- evaluation (evaluate.c) ----------------------------------------------------------------- */

/* Ranks all items except a user's train items (recipes.md 6.1), for every user with a pair in the part, and computes
 * the figures of the lists. `valid` and `test` are filled if the data set has that part. `users` and `items` are NULL
 * for a model that scores by itself. */
bool evaluate_model(Model *m, const Tensor *users, const Tensor *items, const EvalConfig *c, Scores *valid,
                    Scores *test, Arena *a, Error *e);
/* Writes the k best items of users ids [n], without their train items. top and scores are [n, k] in host memory; scores
 * may be NULL. */
bool rank_users(Model *m, const Tensor *users, const Tensor *items, const int32_t *ids, int64_t n, int64_t k,
                int32_t *top, float *scores, Error *e);
/* Returns the mean of a metric at a cutoff; NaN if there is no such figure. */
double score_of(const Scores *s, const char *metric, int64_t cutoff);
/* Writes the members "valid" and "test": {"Recall@20":0.1,...}. A part that does not exist is an empty object. */
void scores_json(JsonWriter *w, const Scores *valid, const Scores *test);
/* Returns the name of mean[i]: "Recall@20", "Recall@20 (99 sampled)". `buffer` has SCORE_NAME_BYTES. */
const char *score_name(const Scores *s, size_t i, char *buffer, size_t size);

#endif
