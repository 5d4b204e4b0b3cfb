/* recsys/evaluation.h: how good recommendations are: metrics of ranked lists, tests of significance, and a model's
 * evaluation. */
#ifndef SAPOR_EVALUATION_H
#define SAPOR_EVALUATION_H

#include "recsys/recsys.h"

/* ---- metrics (metrics.h): recipes.md 6.2, 6.3 ------------------------------------------------ */

/* MINIMAL has the metrics of hits and ranks alone. */
#ifdef SAPOR_MINIMAL
#define ALL_METRICS 0
#else
#define ALL_METRICS 1
#endif
/* What a metric needs beside lists and truth */
enum {
    METRIC_GAINS = 1,        /* ratings that 2^(rating + 1) does not overflow with */
    METRIC_SCORES = 2,       /* the scores of the lists */
    METRIC_WHOLE = 4,        /* lists of all items, whatever the cutoff */
    METRIC_LISTED_ITEMS = 8, /* how many items there are in lists and truth */
    METRIC_CATALOGUE = 16,   /* how many items train has */
    METRIC_TRAIN = 32,       /* the train pairs */
    METRIC_FILE = 64         /* a file that a parameter names */
};
typedef struct Metric {
    const char *name, *about, *group;
    const char *systems;    /* whose definition it is: "elliot", "mmrec recbole"; "" of Sapor's own */
    const char *parameters; /* "beta=1 metric_0=Precision": with their defaults; "" */
    unsigned needs;
} Metric;
size_t metric_count(void); /* rows of the table: a name has several where systems define it differently */
const Metric *metric_at(size_t i);
/* A row of this name, in any case, with or without a system ("recbole.MAP") and parameters; -1 when unknown */
int metric_find(const char *name);
typedef struct Scores {
    size_t metrics, cutoffs; /* metrics: figures at a cutoff; a metric of clusters has several */
    const char **names;
    bool *has_users;     /* [metrics] users have values */
    int64_t *at;         /* cutoffs */
    double *mean;        /* [metrics, cutoffs]; NaN where it is 0 / 0 */
    bool keep_by_user;   /* asks for by_user */
    double *by_user;     /* [metrics, cutoffs, users], in the lists' order, NaN where users have none; or NULL */
    int32_t *user;       /* [users] who, where by_user is there */
    int64_t users;       /* those that count: with a relevant item */
    const char *sampled; /* behind every name: " (99 sampled)"; "" */
} Scores;
typedef struct EvalConfig {
    /* "Recall", "recbole.MAP", "DSC:beta=2", "RSP:clustering_name=age:clustering_file=ages.tsv": a metric by the
     * protocol's definition or, with a system before it, by that system's; and its parameters. Behind a colon that no
     * parameter follows a value goes on. */
    const char *const *metrics;
    size_t metric_count;
    const int64_t *cutoffs;
    size_t cutoff_count;
    double relevance_threshold; /* elliot: ratings below it are not relevant */
    /* What evaluate_model ranks instead of all items: those of the part and so many drawn ones (sampled.c),
     * for each user or, as RecBole's uni99, for each item of the user's part. 0: all items */
    int64_t negatives;
    bool negatives_each;
    const char *negative_files[2]; /* of valid and of test: instead of drawing; both or none */
} EvalConfig;
enum { MANY_CUTOFFS = 1000, LONGEST_CUTOFF = 1 << 20, SCORE_NAME_BYTES = 320 };
/* "metrics: ..." or "cutoffs: ...": unknown, out of range, given twice, more than MANY_CUTOFFS. Callers put "--" or
 * "setting " before it. */
bool measures_check(const EvalConfig *c, Arena *scratch, Error *e);
/* Puts the metrics of a group in the place of its name ("accuracy"), those of all groups in that of "all": what needs
 * no file and, for all, neither scores nor whole lists */
bool metrics_expand(const char *const **names, size_t *count, Protocol p, Arena *a, Error *e);
/* The name of a metric's figure, by any name of the metric; false, perhaps without an error: there is none */
bool measures_name(const EvalConfig *c, Text name, const char **figure, Arena *a, Error *e);
/* The next file that a parameter of a metric names: *rest begins as the metric's text, and is what is behind it. False:
 * there is no other. */
bool metric_file(Text *rest, Text *path);
/* Whether a word of the setting negatives is a file, not none, N or uniN */
bool negatives_file(const char *word);
/* What the metrics of a checked configuration need together */
unsigned measures_needs(const EvalConfig *c, Protocol p);
/* Refuses ratings whose gains are too large for Elliot's nDCG, where it is among the metrics. name: of the truth, for
 * the message. */
bool ratings_check(const EvalConfig *c, Protocol p, const Pairs *truth, const char *name, Error *e);
/* Lists of item numbers (-1: none), the best first, of users [n]. */
typedef struct Lists {
    const int32_t *users;
    int64_t n, K;
    const int64_t *start; /* [n+1]: list i is top[start[i]] to top[start[i+1]]; NULL: top [n, K] */
    const int32_t *top;
    const double *score; /* as top, or NULL */
    /* Train pairs, ids and numbers of users and items, for metrics that need them; train.start NULL, items NULL: not
     * known. NULL: nothing is known */
    const DataSet *data;
    bool empty_count; /* under Elliot, too, users with an empty list count */
} Lists;
/* Judges lists by `truth`. A user counts who has truth and, under Elliot, a list that is not empty and a relevant item
 * (rating 0 or more). Elliot fills the list of a user who has every item with items left out, and counts a 0 for that
 * user; here such a user has no list. Time and memory grow with the lists, users x cutoffs and the longest cutoff;
 * metrics that count how often items are listed take 8 bytes for each item and cutoff. */
bool score_lists_of(Scores *s, Protocol p, const Lists *l, const Pairs *truth, const EvalConfig *config, Arena *a,
                    Error *e);
/* The same of lists top [n, K]. */
bool score_lists(Scores *s, Protocol p, const int32_t *users, int64_t n, int64_t K, const int32_t *top,
                 const Pairs *truth, const char *const *metrics, size_t metric_count, const int64_t *cutoffs,
                 size_t cutoff_count, Arena *a, Error *e);
/* Everything but by_user; `to` is zero, or a copy of scores of the same metrics. */
bool scores_copy(Scores *to, const Scores *from, Arena *a, Error *e);
/* How many of U users have a relevant item in `truth`: those that count where each has a list. */
int64_t relevant_users_of(const EvalConfig *c, const Pairs *truth, Protocol p, int64_t U);
int64_t relevant_users(const Pairs *truth, Protocol p, int64_t U); /* at the threshold 0 */

/* ---- significance (significance.c): recipes.md 6.8 ------------------------------------------- */

/* A test of two systems by a figure of each for the same n users, a[i] and b[i]; both sides. */
typedef struct PairedTest {
    double statistic, p; /* p is NaN where the test says nothing: no difference at all, or one pair (t) */
} PairedTest;
/* As ttest_rel and wilcoxon of scipy 1.17.1 with their defaults. The t test's p is within 1e-12 of the exact one, where
 * scipy's is not for |t| < 1e-4. Wilcoxon's statistic is the smaller sum of ranks; its p is exact for n of at most 50
 * without ties and zeros, and for n of at most 13, else by the normal distribution with a correction for ties and none
 * for continuity. Without pairs, and with a figure that is NaN or over 1e100: SP_USAGE. */
bool paired_t_test(PairedTest *out, const double *a, const double *b, int64_t n, Arena *scratch, Error *e);
bool wilcoxon_test(PairedTest *out, const double *a, const double *b, int64_t n, Arena *scratch, Error *e);
double student_tail(double t, double df); /* P(|T| >= |t|); relative error about 1e-13 */
/* Holm's step-down p (1979) of a family of n tests. A NaN counts as a test with p = 1, and stays NaN. */
bool holm_adjust(double *adjusted, const double *p, size_t n, Arena *scratch, Error *e);

/* ---- evaluation (evaluate.c) ----------------------------------------------------------------- */

/* Ranks all items but a user's train items (recipes.md 6.1) for every user with a pair in `truth` and scores the
 * lists. valid and test are filled where the data set has the part; users and items NULL for a model that scores by
 * itself. */
bool evaluate_model(Model *m, const Tensor *users, const Tensor *items, const EvalConfig *c, Scores *valid,
                    Scores *test, Arena *a, Error *e);
/* The k best items for users ids [n], train items left out; top, scores [n, k] host (scores may be NULL). */
bool rank_users(Model *m, const Tensor *users, const Tensor *items, const int32_t *ids, int64_t n, int64_t k,
                int32_t *top, float *scores, Error *e);
double score_of(const Scores *s, const char *metric, int64_t cutoff); /* the mean; NaN when absent */
/* Members "valid" and "test": {"Recall@20":0.1,...}, empty where there is no such part. */
void scores_json(JsonWriter *w, const Scores *valid, const Scores *test);
/* The name of mean[i]: "Recall@20", "Recall@20 (99 sampled)"; buffer: SCORE_NAME_BYTES */
const char *score_name(const Scores *s, size_t i, char *buffer, size_t size);

#endif
