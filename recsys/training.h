/* recsys/training.h: a training run (train/train.c): its inputs, its events, and the contents of its folder. */
#ifndef SAPOR_TRAINING_H
#define SAPOR_TRAINING_H

#include "recsys/evaluation.h"

typedef struct TrainResult {    /* in the arena of train_run */
    int64_t best_epoch, epochs; /* 0 for models without training */
    Scores valid, test;
    double epoch_seconds, eval_seconds; /* medians (of an even count: the upper) */
    double op_seconds;                  /* seconds spent in ops, sum of all epochs, if the device has a trace */
} TrainResult;
/* The events of a run, in order of time. */
typedef enum TrainEventKind {
    TRAIN_DATA, /* the data were read; not sent if the caller gave the data */
    TRAIN_NOTE, /* `note` is a message of the model about its work; sent before TRAIN_BEGIN or during an epoch */
    /* the model is being made, before TRAIN_BEGIN: `made` of `parts` parts are done; sent at least once per second */
    TRAIN_MAKE,
    TRAIN_BEGIN, /* training starts after `epoch` epochs: 0, or the epoch of a checkpoint */
    TRAIN_BATCH, /* batch `batch` of epoch `epoch` was trained; both count from 0 */
    TRAIN_EPOCH, /* `epoch` epochs were trained: loss, seconds; valid and test if the epoch was evaluated */
    TRAIN_END    /* result, valid, test */
} TrainEventKind;
struct TrainEvent {
    TrainEventKind kind;
    const Recommender *recommender;
    const DataSet *data;
    const CommonSettings *settings;
    int64_t epoch, batch;
    int64_t batches; /* number of batches per epoch; 0: the model has no training */
    bool finished;   /* no epoch follows */
    double loss, seconds;
    const Scores *valid, *test; /* mean is NULL if there are none */
    /* `best` is the value of this metric at `cutoff` in the best epoch; 0 before the first evaluation */
    const char *metric;
    int64_t cutoff;
    double best;
    const TrainResult *result;
    const char *note; /* a sentence without a full stop, for people */
    int64_t made, parts;
};
typedef struct Trained Trained;
typedef struct TrainConfig {
    const char *model;
    const Recommender *kind; /* the model, if it is not in the registry; or NULL */
    DataConfig data;
    const DataSet *given;   /* the data, with their protocol, if they are not in files; or NULL. Owned by the caller */
    const char *const *set; /* "key=value" */
    size_t set_count;
    const char *out; /* output folder; NULL: nothing is written */
    Trained *keep;   /* from trained_new: receives what the run learned. Not together with `out`; NULL: none */
    /* Elliot's benchmark uses 123, MMRec 999, RecBole 2020. The draws of a seed are not those of these systems */
    uint64_t seed;
    TrainVisit *visit; /* called for each event, or NULL */
    void *arg;
} TrainConfig;
bool train_run(const Device *d, const TrainConfig *c, TrainResult *r, Arena *a, Error *e);
/* Checks what train_run checks before it reads data: the recommender, its settings, and that there are features if it
 * needs them. */
bool train_check(const TrainConfig *c, Arena *a, Error *e);

/* The run as its folder describes it. The files are checked like any other input: errors name the file, the line and
 * the key (run_config.c). */
typedef struct RunConfig {
    const char *path; /* path of config.json */
    const Recommender *kind;
    TrainConfig train; /* model, data, settings and seed; train.data.train is NULL if the data were not in files */
    const CommonSettings *settings;
    int64_t users, items, pairs; /* numbers of users and items of the data; number of train pairs */
} RunConfig;
bool run_config_read(RunConfig *c, const char *dir, Arena *a, Error *e);
typedef struct RunResult {
    const Json *object; /* the contents of result.json */
    int64_t best_epoch, epochs;
    const Json *valid, *test; /* objects of figures: {"Recall@20": 0.1} */
    /* Two keys of result.json. Both members are NULL for a run of an older version, and in MINIMAL.
     * - evaluated_part, the key judged_by: "test" or "valid". by_user.tsv has the figures per user of this part.
     * - truth_hash, the key of the same name: a hash of the users, items and ratings of this part. */
    const char *evaluated_part, *truth_hash;
} RunResult;
/* Reads result.json. A folder without it belongs to a run that was killed or is still training: SP_IO. */
bool run_result_read(RunResult *r, const RunConfig *c, const char *dir, Arena *a, Error *e);
/* Checks history.tsv (`path` is for messages). If `visit` is not NULL, it is called for each row, with the epoch and
 * the figure in `column`, such as "valid Recall@20". It is never called if there is no such column. */
typedef bool HistoryVisit(void *arg, double epoch, double figure, Error *e);
bool history_read(Text history, const char *path, const char *column, HistoryVisit *visit, void *arg, Error *e);

/* ---- figures by user (by_user.c): by_user.tsv of a run, and of `sapor evaluate --by-user` ---- */

#ifdef SAPOR_MINIMAL
enum { RUNS_HAVE_BY_USER = 0 }; /* MINIMAL also leaves out `sapor compare`, which reads the file */
#else
enum { RUNS_HAVE_BY_USER = 1 };
#endif
typedef struct ByUser {
    const char *path;
    TextIndex *users; /* in the order of the rows */
    size_t figures;
    const char **names; /* [figures] such as "Recall@20" */
    TextIndex *numbers; /* finds the number of a figure by its name */
    double *value;      /* [figures, users], finite, at most 1e100 in magnitude */
} ByUser;
/* Reads a by_user.tsv: the first line has `user` and the names of the figures, then each user has a row. Tabs separate
 * fields. */
bool by_user_read(ByUser *b, const char *path, Arena *a, Error *e);
/* Writes Scores with by_user to such a file; the caller commits it. `ids`: ids of all users, by number. Returns NULL on
 * failure. */
Out *by_user_write(const char *path, const Scores *s, const TextIndex *ids, const Heap *heap, Error *e);
/* Returns a hash of the pairs (as ids of users and items) and their ratings. It does not depend on the order of the
 * pairs, on the train part or on the build of Sapor. */
uint64_t truth_hash(const DataSet *d, const Pairs *truth);

#endif
