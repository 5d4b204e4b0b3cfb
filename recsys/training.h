/* recsys/training.h: a training run (train/train.c): what it is given, what happens in it, what its folder says. */
#ifndef SAPOR_TRAINING_H
#define SAPOR_TRAINING_H

#include "recsys/evaluation.h"

typedef struct TrainResult {    /* in the arena of train_run */
    int64_t best_epoch, epochs; /* 0 for models that learn nothing */
    Scores valid, test;
    double epoch_seconds, eval_seconds; /* medians */
    double op_seconds;                  /* of all epochs together: in ops, where the device has a trace */
} TrainResult;
/* What happens in a run, as it happens. */
typedef enum TrainEventKind {
    TRAIN_DATA,  /* the data have been read; not where they were given */
    TRAIN_NOTE,  /* the model says something about its work: `note`. Before TRAIN_BEGIN or in an epoch */
    TRAIN_MAKE,  /* the model is made, before TRAIN_BEGIN: `made` parts of `parts`; at least once a second */
    TRAIN_BEGIN, /* training starts after `epoch` epochs: 0, or where a checkpoint left off */
    TRAIN_BATCH, /* `batch` of epoch `epoch`, both from 0, is trained */
    TRAIN_EPOCH, /* `epoch` epochs are trained: loss, seconds; valid, test where it was evaluated */
    TRAIN_END    /* result, valid, test */
} TrainEventKind;
struct TrainEvent {
    TrainEventKind kind;
    const Recommender *recommender;
    const DataSet *data;
    const CommonSettings *settings;
    int64_t epoch, batch;
    int64_t batches; /* in an epoch; 0: the model learns nothing */
    bool finished;   /* no epoch follows */
    double loss, seconds;
    const Scores *valid, *test; /* mean NULL where there are none */
    const char *metric;         /* the best epoch's is `best` at `cutoff`; 0 before the first */
    int64_t cutoff;
    double best;
    const TrainResult *result;
    const char *note; /* a sentence without a full stop, for people */
    int64_t made, parts;
};
typedef struct Trained Trained;
typedef struct TrainConfig {
    const char *model;
    const Recommender *kind; /* the model where the registry does not list it, or NULL */
    DataConfig data;
    const DataSet *given;   /* the data where it is not in files, with its protocol, or NULL; stays the caller's */
    const char *const *set; /* "key=value" */
    size_t set_count;
    const char *out;   /* folder, or NULL: nothing is written */
    Trained *keep;     /* of trained_new: becomes what the run learned; not together with out. NULL: none */
    uint64_t seed;     /* Elliot's benchmark takes 123, MMRec 999, RecBole 2020; none makes Sapor draw what they draw */
    TrainVisit *visit; /* called for each event; NULL: none */
    void *arg;
} TrainConfig;
bool train_run(const Device *d, const TrainConfig *c, TrainResult *r, Arena *a, Error *e);
/* What train_run checks before it reads data: the recommender, its settings, that there are features where it needs
 * some. */
bool train_check(const TrainConfig *c, Arena *a, Error *e);

/* What a run's folder says about the run, checked like any input: errors name the file, the line and the key
 * (run_config.c). */
typedef struct RunConfig {
    const char *path; /* of config.json */
    const Recommender *kind;
    TrainConfig train; /* model, data, settings and seed; train.data.train is NULL where the data were not in files */
    const CommonSettings *settings;
    int64_t users, items, pairs; /* of the data, pairs of train */
} RunConfig;
bool run_config_read(RunConfig *c, const char *dir, Arena *a, Error *e);
typedef struct RunResult {
    const Json *object; /* the file's */
    int64_t best_epoch, epochs;
    const Json *valid, *test; /* objects of figures: "Recall@20": 0.1 */
    /* The part that by_user.tsv is about, "test" or "valid", and its truth_hash. NULL where there is none, and in runs
     * of versions without them */
    const char *judged_by, *truth_hash;
} RunResult;
/* A folder without result.json is that of a run that was killed or still trains: SP_IO. */
bool run_result_read(RunResult *r, const RunConfig *c, const char *dir, Arena *a, Error *e);
/* Checks history.tsv (`path` is for messages) and calls `visit`, where there is one, with each row's epoch and its
 * figure in `column`, such as "valid Recall@20"; never where there is no such column. */
typedef bool HistoryVisit(void *arg, double epoch, double figure, Error *e);
bool history_read(Text history, const char *path, const char *column, HistoryVisit *visit, void *arg, Error *e);

/* ---- figures by user (by_user.c): by_user.tsv of a run, and of `sapor evaluate --by-user` ---- */

#ifdef SAPOR_MINIMAL
enum { RUNS_HAVE_BY_USER = 0 }; /* `sapor compare`, which reads it, is left out too */
#else
enum { RUNS_HAVE_BY_USER = 1 };
#endif
typedef struct ByUser {
    const char *path;
    TextIndex *users; /* in the order of the rows */
    size_t figures;
    const char **names; /* "Recall@20" */
    TextIndex *numbers; /* of the names */
    double *value;      /* [figures, users], finite, at most 1e100 in magnitude */
} ByUser;
/* The first line is `user` and the names of figures, then a row for each user, between tabs. */
bool by_user_read(ByUser *b, const char *path, Arena *a, Error *e);
/* Scores with by_user, as such a file, written and not yet committed. ids: of all users, by number. NULL on failure. */
Out *by_user_write(const char *path, const Scores *s, const TextIndex *ids, const Heap *heap, Error *e);
/* Of the pairs of users and items, by their ids, and of the ratings, in any order: equal for the same truth, whatever
 * the train part is and whoever built Sapor. */
uint64_t truth_hash(const DataSet *d, const Pairs *truth);

#endif
