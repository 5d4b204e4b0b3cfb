/* recsys/search/search.h: a study: many trials of training, the ledger of what they gave, the best of them.
 *
 * A configuration (recsys/protocols, tools/run) becomes a Study: data, models, and for each model a space of settings.
 * A point is one choice of a model's settings; a trial is one training run: data, model, point, seed. The trials of one
 * data set, one setting of extractors and one model are a group; the best point of a group is its result.
 *
 *   grid.c        the points of a grid, their names
 *   space.c       the points of other spaces: distributions, random search
 *   tpe.c         the tree-structured Parzen estimator: Bergstra et al., NIPS 2011
 *   points.c      the points of a model in the order in which they are tried
 *   row.c         a trial as a row: its columns and their bounds
 *   ledger.c      trials in an SQLite file
 *   study_json.c  the study in that file
 *   export.c      a ledger as TSV, written and read
 *   study.c       the trials of a study: which one is next
 *   trial.c       one trial: its settings, its key, its run, its row
 *   view.c        a ledger read for people: groups, their points, the best ones
 *   view_tests.c  tests of significance between them */
#ifndef SAPOR_SEARCH_H
#define SAPOR_SEARCH_H

#include "recsys/training.h"

/* ---- what is searched ------------------------------------------------------------------------ */

/* hyperopt's names, in lower case: hp.quniform. Those with q give multiples of q. */
typedef enum Distribution {
    DIST_CHOICE,      /* one of `values` */
    DIST_RANDINT,     /* a whole number from low to high - 1 */
    DIST_UNIFORM,     /* from low to high */
    DIST_QUNIFORM,    /* round(uniform / q) q */
    DIST_LOGUNIFORM,  /* exp(uniform(low, high)) */
    DIST_QLOGUNIFORM, /* round(exp(uniform) / q) q */
    DIST_NORMAL,      /* low is the mean, high the standard deviation */
    DIST_QNORMAL,
    DIST_LOGNORMAL, /* exp(normal) */
    DIST_QLOGNORMAL,
    DIST_COUNT
} Distribution;
extern const char *const distribution_names[DIST_COUNT]; /* "choice", "randint", ... */
typedef struct Dimension {
    const char *key; /* of a setting */
    Distribution how;
    const char *const *values; /* DIST_CHOICE: as texts, in order */
    size_t count;
    double low, high, q;
} Dimension;
typedef enum SearchKind {
    SEARCH_GRID,   /* every point of DIST_CHOICE dimensions, the last dimension fastest */
    SEARCH_RANDOM, /* independent draws; a point that was drawn before is drawn again */
    SEARCH_TPE     /* each point follows from the results of those before it */
} SearchKind;

/* ---- a study --------------------------------------------------------------------------------- */

typedef struct StudyModel {
    const char *name; /* as in the configuration: "external.VBPR"; unique in the study */
    const Recommender *kind;
    const char *const *set; /* "key=value": settings that do not vary */
    size_t set_count;
    const Dimension *dims; /* none: one point */
    size_t dim_count;
    SearchKind search;
    int64_t evals;         /* points to try, at most; 0: all of a grid */
    const uint64_t *seeds; /* every point is trained with each; the mean decides */
    size_t seed_count;     /* at least 1 */
    int64_t save_recs;     /* the K best items of each user of the best point are written; 0: none */
    bool save_weights;     /* the vectors of the best point stay */
} StudyModel;
typedef struct StudyData {
    const char *name;    /* "baby" */
    const char *setting; /* of the extractors: "CLIP"; "" where there is one alone */
    const char *fold;    /* "0", "1", ...; "" without folds. The folds of a data set and setting follow each other */
    const char *absent;  /* why these data are not here: no trial runs on them, tables say so. NULL: they are here */
    DataConfig config;   /* a model that needs no features is trained without, unless gaps is GAPS_DROP */
} StudyData;
typedef enum StudySelect { SELECT_VALID, SELECT_TEST } StudySelect;
extern const char *const study_selects[2]; /* "valid", "test" */
typedef struct Study {
    const char *name;   /* for people: of the data set or the benchmark */
    const char *system; /* "elliot", "mmrec", "benchmark" */
    const char *source; /* path of the configuration */
    const char *out;    /* folder: ledger.sqlite, trials/, what the protocol writes */
    const StudyData *data;
    size_t data_count;
    const StudyModel *models;
    size_t model_count;
    EvalConfig eval;    /* metrics and cutoffs of every trial */
    const char *metric; /* the best epoch and the best point are chosen by metric@cutoff */
    int64_t cutoff;
    StudySelect select; /* of the point: by the figure of validation, or, as MMRec does, by that of the test */
    bool t_test, wilcoxon;
    const void *own; /* of the protocol that made it, for the function that writes its files; or NULL */
} Study;

/* ---- the ledger ------------------------------------------------------------------------------ */

typedef enum TrialState { TRIAL_OPEN, TRIAL_RUNNING, TRIAL_DONE, TRIAL_FAILED } TrialState;
extern const char *const trial_states[4]; /* "open", "running", "done", "failed" */
/* One row. (data, setting, fold, model, point, seed) is unique. Texts are never NULL. */
typedef struct TrialRow {
    const char *data, *setting, *fold, *model;
    const char *point; /* "lr=0.001 l_w=1e-05": the settings that vary, in the order of the dimensions; "" */
    uint64_t seed;
    int64_t number;  /* of the point in its group, from 0: the order in which points were proposed */
    const char *key; /* 32 hex digits: hash of the whole configuration and of the data; names trials/<key> */
    TrialState state;
    const char *message;  /* TRIAL_FAILED: the error */
    const char *settings; /* JSON object of all settings as texts, defaults filled in */
    int64_t best_epoch, epochs;
    const char *valid, *test; /* JSON objects of the best epoch: {"Recall@20":0.1,...}; "{}" without such a part */
    const char *history;      /* history.tsv of the run: figures of each evaluated epoch */
    /* what differs between machines; not exported */
    const char *worker;                 /* "host:pid" */
    int64_t started;                    /* seconds since 1970 */
    double seconds;                     /* of the whole trial, all attempts together */
    double epoch_seconds, eval_seconds; /* medians */
    int64_t peak_bytes;                 /* of the trial's process */
} TrialRow;
/* Features that were extracted for a study. */
typedef struct ExtractionRow {
    const char *data, *setting, *modality, *model; /* "office", "CLIP", "visual", "openai/clip-vit-base-patch16" */
    int64_t items, width;
    double seconds;
    int64_t peak_bytes;
} ExtractionRow;
typedef struct Ledger Ledger;
/* Opens or makes the file; any number of processes may have it open. Another application's file, or one of another
 * version, is an error. Without SQLite in this build: SP_UNSUPPORTED. */
Ledger *ledger_open(const char *path, Error *e);
void ledger_close(Ledger *l);
/* Replaces the row with the same (data, setting, fold, model, point, seed), or adds one. */
bool ledger_put(Ledger *l, const TrialRow *row, Error *e);
/* *found false: there is none. By the unique columns; or by key, a row that is done. */
bool ledger_get(Ledger *l, const TrialRow *which, TrialRow *row, bool *found, Arena *a, Error *e);
bool ledger_done(Ledger *l, const char *key, TrialRow *row, bool *found, Arena *a, Error *e);
/* All rows, in the order data, setting, fold, model, number, seed as the study lists them (else by text). */
bool ledger_rows(Ledger *l, TrialRow **rows, size_t *count, Arena *a, Error *e);
bool ledger_put_extraction(Ledger *l, const ExtractionRow *row, Error *e);
bool ledger_extractions(Ledger *l, ExtractionRow **rows, size_t *count, Arena *a, Error *e);
/* The study, as JSON, so that a ledger can be read alone: name, system, data sets, settings, models in their order,
 * dimensions, metric, select, tests, reasons of absent data. */
bool ledger_put_study(Ledger *l, const Study *s, Error *e);
/* Finished rows (done, failed) as TSV, sorted by the bytes of the line, without what differs between machines: the same
 * trials give the same bytes whoever ran them. */
bool ledger_export(Ledger *l, const char *path, Error *e);
/* Adds the finished rows of an exported TSV, or of another ledger file. A row that is there already must be equal, else
 * it is an error that names both. *added: how many were new. */
bool ledger_import(Ledger *l, const char *path, int64_t *added, Error *e);

/* ---- running (study.c) ----------------------------------------------------------------------- */

typedef struct Share { /* of the trials: those whose index modulo `of` is `worker`; a group of TPE counts as one */
    int64_t worker, of;
} Share;
typedef struct StudyRun StudyRun;
/* Plans the trials and writes the study to the ledger. */
StudyRun *study_open(const Study *s, Share share, Arena *a, Error *e);
void study_close(StudyRun *r);
typedef struct Trial { /* one to run */
    const StudyData *data;
    const StudyModel *model;
    const char *const *point; /* [dim_count] values as texts */
    int64_t number;
    uint64_t seed;
} Trial;
typedef struct StudyCounts {
    int64_t all; /* trials of this share; of TPE as many as `evals` allows */
    int64_t done, failed, running;
} StudyCounts;
bool study_counts(StudyRun *r, StudyCounts *c, Error *e);
/* Of the whole study, whatever the share is; running: their locks are held. */
bool study_counts_all(StudyRun *r, StudyCounts *c, Error *e);
/* The failed trials of the share become open again. */
bool study_retry(StudyRun *r, Error *e);
/* The next trial of the share that is neither finished nor given out by this call before. *found false: none now; more
 * may come when a running trial of a TPE group ends, or another process with a trial ends. */
bool study_next(StudyRun *r, Trial *t, bool *found, Error *e);
/* The process that had this trial has ended: where it is not finished (OUTCOME_BUSY), it may be given out again. */
void study_over(StudyRun *r, const Trial *t);
typedef enum TrialOutcome { OUTCOME_DONE, OUTCOME_FAILED, OUTCOME_BUSY, OUTCOME_COPIED } TrialOutcome;
/* In any process: locks the trial (BUSY: another process has it), trains it in OUT/trials/<key>, and records it. A
 * trial whose key is done elsewhere in the ledger is copied. An error of the trial itself is recorded (FAILED, true);
 * false: the ledger or the folder cannot be written, or the visit ended the run. */
bool study_trial(const Device *d, const Study *s, const Trial *t, TrainVisit *visit, void *arg, TrialOutcome *outcome,
                 TrialRow *row, Arena *a, Error *e);
/* The figure of a trial that points are compared by: that of the part that is selected, else, where there is no such
 * part, that of the other. NaN: there is none. */
double study_figure(const Study *s, const TrialRow *row);
/* What the ledger has of a trial; *found false: nothing that is of these settings and data. */
bool study_row(StudyRun *r, const Trial *t, TrialRow *row, bool *found, Arena *a, Error *e);
/* The k best items of each user, by the vectors that a trial with save_recs keeps: OUT/trials/<key>/recs-K.tsv, lines
 * of user, item and score (recs.c). *path NULL: the folder has no vectors: another machine has them, or save_recs was
 * not asked for when the trial was trained. */
bool study_recs(const Study *s, const TrialRow *row, int64_t k, const char **path, Arena *a, Error *e);
/* For a trial whose process died by itself: recorded as failed. */
bool study_died(StudyRun *r, const Trial *t, const char *message, Error *e);

/* Removes the vectors of a trial that were kept for save_recs and save_weights (study_trial keeps all until the best
 * point is known). */
void study_prune(const Study *s, const TrialRow *row);

/* ---- results (view.c) ------------------------------------------------------------------------ */

typedef struct GroupPoint { /* one point of a group: the mean over its seeds and folds */
    const char *point;
    int64_t number;
    size_t trials, finished; /* expected; with figures */
    double *valid, *test;    /* [figures], NaN where there is none */
    double *deviation;       /* [figures] of test over seeds and folds, n - 1; NaN for one */
    double seconds;          /* sum of its trials' */
    const TrialRow **rows;   /* [finished] */
} GroupPoint;
typedef struct Group {
    const char *data, *setting, *model;
    const char *absent; /* why it has no result; NULL: it has one or may get one */
    GroupPoint *points; /* that have begun */
    size_t count;
    size_t planned; /* trials of all points, begun or not; 0 where the data are absent */
    int64_t best;   /* of points, by the study's metric and select, first on ties; -1: none is complete */
} Group;
typedef struct PairTest { /* between the best points of two groups of one data set, on common users */
    size_t first, second; /* groups */
    size_t figure;
    int64_t users;
    double t, t_p, w, w_p; /* NaN where the test was not asked for or says nothing */
    double t_holm, w_holm; /* adjusted over all pairs of one data set and figure */
} PairTest;
typedef struct StudyView {              /* in the arena */
    const char *name, *system, *metric; /* metric: "Recall@20" */
    StudySelect select;
    const char **data, **settings, **models; /* in the study's order */
    size_t data_count, setting_count, model_count;
    const char **figures; /* "Recall@20", ... as in the rows */
    size_t figure_count;
    TrialRow *rows;
    size_t row_count;
    Group *groups; /* data, then setting, then model */
    size_t group_count;
    PairTest *tests; /* filled by view_tests */
    size_t test_count;
    ExtractionRow *extractions;
    size_t extraction_count;
} StudyView;
bool study_view(StudyView *v, Ledger *l, Arena *a, Error *e);
/* The tests, by the per-user figures in OUT/trials/<key>/by_user.tsv; *missing: groups whose file is not in `out`. */
bool view_tests(StudyView *v, const char *out, bool t_test, bool wilcoxon, size_t *missing, Arena *a, Error *e);

#endif
