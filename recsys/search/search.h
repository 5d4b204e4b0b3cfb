/* recsys/search/search.h: a study: many trials of training, the ledger of their results, and the best of them.
 *
 * A configuration (recsys/protocols, tools/run) becomes a Study: data sets, models, and for each model a space: the
 * values that each of its settings (hyper-parameters) may have. A point is one choice of these values. A trial is one
 * training run: data, model, point, seed. The trials of one data set, one choice of extractors (`setting`) and one
 * model are a group. The result of a group is its best point.
 *
 *   grid.c          the points of a grid, their names
 *   space.c         the points of other spaces: distributions, random search
 *   tpe.c           the tree-structured Parzen estimator (Bergstra et al., NIPS 2011)
 *   points.c        the points of a model in the order in which they are tried
 *   row.c           a trial as a row: its columns and their bounds
 *   ledger.c        trials in an SQLite file
 *   study_json.c    the study in that file
 *   export.c        a ledger as TSV, written and read
 *   ledger_check.c  checks a file before SQLite opens it
 *   study.c         the trials of a study, and which one is next
 *   trial.c         one trial: its settings, its key, its run, its row
 *   recs.c          the best items of each user, of a trial
 *   view.c          a ledger summarised: groups, their points, the best ones
 *   view_tests.c    tests of significance between groups */
#ifndef SAPOR_SEARCH_H
#define SAPOR_SEARCH_H

#include "recsys/training.h"

/* ---- the search space ------------------------------------------------------------------------ */

/* Distributions with hyperopt's names, in lower case (hp.quniform). Those with q give multiples of q. */
typedef enum Distribution {
    DIST_CHOICE,      /* one of `values` */
    DIST_RANDINT,     /* a whole number from low to high - 1 */
    DIST_UNIFORM,     /* from low to high */
    DIST_QUNIFORM,    /* round(uniform / q) q */
    DIST_LOGUNIFORM,  /* exp(uniform(low, high)) */
    DIST_QLOGUNIFORM, /* round(exp(uniform) / q) q */
    DIST_NORMAL,      /* low is the mean, high the standard deviation */
    DIST_QNORMAL,     /* round(normal / q) q */
    DIST_LOGNORMAL,   /* exp(normal) */
    DIST_QLOGNORMAL,  /* round(exp(normal) / q) q */
    DIST_COUNT
} Distribution;
extern const char *const distribution_names[DIST_COUNT]; /* "choice", "randint", ... */
typedef struct Dimension {
    const char *key; /* key of a setting */
    Distribution distribution;
    const char *const *values; /* DIST_CHOICE: the values as texts, in order */
    size_t count;
    double low, high, q; /* numbers of the other distributions, see Distribution; q is 0 if there is none */
} Dimension;
typedef enum SearchKind {
    SEARCH_GRID,   /* every point of DIST_CHOICE dimensions; the last dimension changes fastest */
    SEARCH_RANDOM, /* independent draws without repetition */
    SEARCH_TPE     /* each point depends on the results of earlier points */
} SearchKind;

/* ---- a study --------------------------------------------------------------------------------- */

typedef struct StudyModel {
    const char *name; /* name in the configuration: "external.VBPR"; unique in the study */
    const Recommender *kind;
    const char *const *set; /* "key=value" of settings that do not vary */
    size_t set_count;
    const Dimension *dims; /* [dim_count]; none: a single point */
    size_t dim_count;
    SearchKind search;
    int64_t evals;         /* largest number of points to try; 0: all points, if their number is finite */
    const uint64_t *seeds; /* [seed_count] every point is trained with each seed; the mean decides */
    size_t seed_count;     /* at least 1 */
    int64_t save_recs;     /* K: write the K best items of each user for the best point; 0: none */
    bool save_weights;     /* keep the vectors of the best point */
} StudyModel;
typedef struct StudyData {
    const char *name; /* "baby" */
    /* the extractors that made the features: "CLIP"; "" if the study has only one choice. Not a setting of a model */
    const char *setting;
    const char *fold; /* "0", "1", ...; "" without folds. The folds of a data set and `setting` are consecutive */
    /* why these data are not available: no trial uses them, and tables say so. NULL: they are available */
    const char *absent;
    DataConfig config; /* a model that needs no features is trained without them, unless gaps is GAPS_DROP */
} StudyData;
typedef enum StudySelect { SELECT_VALID, SELECT_TEST } StudySelect;
extern const char *const study_selects[2]; /* "valid", "test" */
typedef struct Study {
    const char *name;   /* name for people: of the data set or of the benchmark */
    const char *system; /* "elliot", "mmrec", "benchmark" */
    const char *source; /* path of the configuration */
    const char *out;    /* output folder: ledger.sqlite, trials/, and the files of the protocol */
    const StudyData *data;
    size_t data_count;
    const StudyModel *models;
    size_t model_count;
    EvalConfig eval;    /* metrics and cutoffs of every trial */
    const char *metric; /* metric@cutoff selects the best epoch and the best point */
    int64_t cutoff;
    StudySelect select; /* how the point is selected: by the validation figure, or, as MMRec does, by the test figure */
    bool t_test, wilcoxon;
    const void *own; /* data of the protocol, for the function that writes its files; or NULL */
} Study;

/* ---- the ledger ------------------------------------------------------------------------------ */

typedef enum TrialState { TRIAL_OPEN, TRIAL_RUNNING, TRIAL_DONE, TRIAL_FAILED } TrialState;
extern const char *const trial_states[4]; /* "open", "running", "done", "failed" */
/* One row. (data, setting, fold, model, point, seed) is unique. Texts are never NULL. */
typedef struct TrialRow {
    const char *data, *setting, *fold, *model; /* data, setting, fold: see StudyData */
    const char *point; /* "lr=0.001 l_w=1e-05": the settings that vary, in the order of the dimensions; or "" */
    uint64_t seed;
    int64_t number; /* number of the point in its group, from 0, in the order in which points were proposed */
    /* 32 hex digits: hash of the whole configuration and of the data; the run folder is trials/<key> */
    const char *key;
    TrialState state;
    const char *message;  /* the error, if TRIAL_FAILED */
    const char *settings; /* JSON object of all settings of the model as texts, including defaults */
    int64_t best_epoch, epochs;
    /* JSON objects of the best epoch's figures: {"Recall@20":0.1,...}; "{}" if there is no such part */
    const char *valid, *test;
    const char *history; /* history.tsv of the run: the figures of each evaluated epoch */
    /* the members from here on differ between machines and are not exported */
    const char *worker;                 /* "host:pid" */
    int64_t started;                    /* seconds since 1970 */
    double seconds;                     /* of the whole trial, summed over all attempts */
    double epoch_seconds, eval_seconds; /* medians */
    int64_t peak_bytes;                 /* peak memory of the trial's process */
} TrialRow;
/* Features that were extracted for a study. */
typedef struct ExtractionRow {
    const char *data, *setting, *modality, *model; /* "office", "CLIP", "visual", "openai/clip-vit-base-patch16" */
    int64_t items, width;
    double seconds;
    int64_t peak_bytes;
} ExtractionRow;
typedef struct Ledger Ledger;
/* Opens or makes the file. Any number of processes may have it open. A file of another application, or of another
 * version, is an error. If this build has no SQLite: SP_UNSUPPORTED. */
Ledger *ledger_open(const char *path, Error *e);
void ledger_close(Ledger *l);
/* Replaces the row with the same (data, setting, fold, model, point, seed), or adds a row. */
bool ledger_put(Ledger *l, const TrialRow *row, Error *e);
/* Find a row by its unique columns, or a row in the state TRIAL_DONE by its key. *found is false if there is none. */
bool ledger_get(Ledger *l, const TrialRow *which, TrialRow *row, bool *found, Arena *a, Error *e);
bool ledger_done(Ledger *l, const char *key, TrialRow *row, bool *found, Arena *a, Error *e);
/* Returns all rows, sorted by data, setting, fold and model in the order of the study, then by number and seed. Names
 * that are not in the study come last, sorted by bytes. */
bool ledger_rows(Ledger *l, TrialRow **rows, size_t *count, Arena *a, Error *e);
bool ledger_put_extraction(Ledger *l, const ExtractionRow *row, Error *e);
bool ledger_extractions(Ledger *l, ExtractionRow **rows, size_t *count, Arena *a, Error *e);
/* Stores the study as JSON, so that a ledger can be read without its configuration: name, system, data sets, settings,
 * models in order, dimensions, metric, select, tests, and why data are absent. */
bool ledger_put_study(Ledger *l, const Study *s, Error *e);
/* Writes finished rows (done, failed) as TSV, sorted by the bytes of the line, without columns that differ between
 * machines: the same trials give the same bytes on every machine. */
bool ledger_export(Ledger *l, const char *path, Error *e);
/* Adds the finished rows of an exported TSV, or of another ledger. An existing finished row stays, but a done row
 * replaces a failed one. If both rows are done, they must be equal; the error names the trial and the column. *added:
 * number of rows that were added or replaced. */
bool ledger_import(Ledger *l, const char *path, int64_t *added, Error *e);

/* ---- running (study.c; trial.c: study_trial, study_figure, study_prune; recs.c) -------------- */

/* A share of the trials: those whose index modulo `of` is `worker`. A group with TPE counts as one trial. */
typedef struct TrialShare {
    int64_t worker, of;
} TrialShare;
typedef struct StudyRun StudyRun;
/* Plans the trials, and writes the study to the ledger. */
StudyRun *study_open(const Study *s, TrialShare share, Arena *a, Error *e);
void study_close(StudyRun *r);
typedef struct Trial { /* a trial to run */
    const StudyData *data;
    const StudyModel *model;
    const char *const *point; /* [dim_count] values as texts */
    int64_t number;
    uint64_t seed;
} Trial;
typedef struct StudyCounts {
    int64_t all; /* number of trials of this share; in a TPE group also those whose points are not known yet */
    int64_t done, failed, running;
} StudyCounts;
bool study_counts(StudyRun *r, StudyCounts *c, Error *e);
/* Counts the trials of the whole study, for every share. `running` counts trials whose locks are held. */
bool study_counts_all(StudyRun *r, StudyCounts *c, Error *e);
/* Makes the failed trials of the share open again. */
bool study_retry(StudyRun *r, Error *e);
/* Returns the next trial of the share that is not finished and was not returned before. *found false: there is none
 * now. More may follow when a running trial of a TPE group ends, or when another process ends. */
bool study_next(StudyRun *r, Trial *t, bool *found, Error *e);
/* Reports that the process of this trial has ended. If the trial is not finished (OUTCOME_BUSY), study_next may return
 * it again. */
void study_over(StudyRun *r, const Trial *t);
typedef enum TrialOutcome { OUTCOME_DONE, OUTCOME_FAILED, OUTCOME_BUSY, OUTCOME_COPIED } TrialOutcome;
/* Runs a trial, in any process: locks it (BUSY: another process has the lock), trains it in OUT/trials/<key>, and
 * records it. If the ledger already has a finished trial with this key, its result is copied. An error of the trial is
 * recorded (FAILED, true). Returns false if the ledger or the folder cannot be written, or if `visit` ended the run. */
bool study_trial(const Device *d, const Study *s, const Trial *t, TrainVisit *visit, void *arg, TrialOutcome *outcome,
                 TrialRow *row, Arena *a, Error *e);
/* Returns the figure by which points are compared: that of the part that s->select names. If the row has no figure of
 * this part, returns the figure of the other part. NaN: the row has no figure. */
double study_figure(const Study *s, const TrialRow *row);
/* Returns the ledger's row of a trial. *found false: there is none for these settings and data. */
bool study_row(StudyRun *r, const Trial *t, TrialRow *row, bool *found, Arena *a, Error *e);
/* Writes the k best items of each user to OUT/trials/<key>/recs-K.tsv: lines of user, item and score (recs.c). The
 * scores are computed from the vectors in this folder, which a trial with save_recs keeps. *path NULL: the folder has
 * no vectors, because they are on another machine, or save_recs was not set when the trial was trained. */
bool study_recs(const Study *s, const TrialRow *row, int64_t k, const char **path, Arena *a, Error *e);
/* Records a trial as failed because its process died. */
bool study_died(StudyRun *r, const Trial *t, const char *message, Error *e);

/* Removes the vectors of a trial. With save_recs or save_weights, study_trial keeps the vectors of every trial, because
 * the best point is not known yet. */
void study_prune(const Study *s, const TrialRow *row);

/* ---- results (view.c) ------------------------------------------------------------------------ */

typedef struct GroupPoint { /* a point of a group: the mean over its seeds and folds */
    const char *point;
    int64_t number;
    size_t trials, finished; /* number of all its trials; of those with figures */
    double *valid, *test;    /* [figures]; NaN if there is none */
    double *deviation;       /* [figures] sample deviation of test over seeds and folds; NaN for a single trial */
    double seconds;          /* sum over its trials */
    const TrialRow **rows;   /* [finished] */
} GroupPoint;
typedef struct Group {
    const char *data, *setting, *model; /* setting: the extractors, see StudyData */
    const char *absent;                 /* why the group has no result; NULL: it has one, or may get one */
    GroupPoint *points;                 /* points with at least one started trial */
    size_t count;
    size_t planned; /* number of trials of all points, also those not started; 0 if the data are absent */
    /* index of the best point, by the study's metric and select; the first of equal ones. -1: no complete point has a
     * figure */
    int64_t best;
} Group;
typedef struct PairTest {  /* a test between the best points of two groups of a data set, on common users */
    size_t first, second;  /* indices of groups */
    size_t figure;         /* index of the figure */
    int64_t users;         /* number of common users */
    double t, t_p, w, w_p; /* statistic and p of the t test and of Wilcoxon's; NaN: not requested, or no result */
    double t_holm, w_holm; /* p values adjusted over all pairs of one data set and figure */
} PairTest;
typedef struct StudyView {              /* all memory is in the arena */
    const char *name, *system, *metric; /* metric: "Recall@20" */
    StudySelect select;
    const char **data, **settings, **models; /* in the order of the study */
    size_t data_count, setting_count, model_count;
    const char **figures; /* "Recall@20", ..., in the order of the rows */
    size_t figure_count;
    TrialRow *rows;
    size_t row_count;
    Group *groups; /* sorted by data, then setting, then model */
    size_t group_count;
    PairTest *tests; /* filled by view_tests */
    size_t test_count;
    ExtractionRow *extractions;
    size_t extraction_count;
} StudyView;
bool study_view(StudyView *v, Ledger *l, Arena *a, Error *e);
/* Computes the tests from the figures per user in OUT/trials/<key>/by_user.tsv. *missing: number of groups whose file
 * is not in `out`. */
bool view_tests(StudyView *v, const char *out, bool t_test, bool wilcoxon, size_t *missing, Arena *a, Error *e);

#endif
