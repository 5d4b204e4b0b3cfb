/* recsys/train/train.h: declarations that the files of a run share. train.c runs the training. The other files:
 *
 *   measures.c   metrics and cutoffs, from the settings
 *   loop.c       the steps of an epoch
 *   sampler.c    the draws of an epoch: positives and negatives
 *   vectors.c    vectors and figures of an epoch
 *   evaluate.c   the ranks of items for each user, and the figures of these lists
 *   stopping.c   the best epoch, and when to stop
 *   history.c    history.tsv
 *   by_user.c    by_user.tsv, written and read
 *   checkpoint.c checkpoint.safetensors
 *   run_files.c  writes the other files of the run folder
 *   run_config.c reads them
 *   trained.c    opens a run folder for recommendations
 *   kept.c       the same from memory
 *   answer.c     computes lists, similar items, scores and vectors of an open recommender */
#ifndef SAPOR_TRAIN_H
#define SAPOR_TRAIN_H

#include "recsys/trained.h"

/* The value of a common setting as text, as the user gave it, for messages. */
#define TEXT_AS_GIVEN(settings, member) settings_text(settings, offsetof(CommonSettings, member))
#define LR_AS_GIVEN(model)              TEXT_AS_GIVEN((const CommonSettings *)(model)->settings, lr)

/* ---- measures.c ------------------------------------------------------------------------------ */

typedef struct Measures {
    EvalConfig eval;
    const char *metric; /* the metric that selects the best epoch */
    int64_t cutoff;
} Measures;
bool measures_read(Measures *m, const CommonSettings *s, Protocol p, Arena *a, Error *e);

/* ---- loop.c ---------------------------------------------------------------------------------- */

typedef struct Loop Loop;
typedef bool AfterBatch(void *arg, int64_t batch, Error *e); /* returning false ends the epoch */
/* Makes the sampler and the optimiser that the settings name. */
Loop *loop_new(Model *m, const CommonSettings *s, Arena *a, Error *e);
int64_t loop_batches(const Loop *l); /* number of batches per epoch; 0: nothing to train */
/* Trains one epoch. *loss is the mean of the losses of the batches. A loss that is not finite is an error, and so is a
 * parameter that is not finite at the end of the epoch. Then nothing is evaluated or saved. */
bool loop_epoch(Loop *l, int64_t epoch, AfterBatch *after, void *arg, double *loss, Error *e);

/* ---- vectors.c ------------------------------------------------------------------------------- */

typedef struct Evaluation {
    Tape *tape;            /* owns the vectors */
    Tensor *users, *items; /* NULL for a model that scores by itself */
    Scores valid, test;    /* `mean` is NULL if there is no such part */
} Evaluation;
/* Computes the vectors and the figures after `epoch` epochs. Call evaluation_free afterwards, also after a failure. The
 * scores are in `scratch`. `by_user`: also computes the figures of each user for evaluation_by_user. */
bool evaluation_make(Evaluation *v, Model *m, int64_t epoch, const EvalConfig *c, bool by_user, Arena *scratch,
                     Error *e);
void evaluation_free(Evaluation *v);
/* Returns the scores whose figures of each user are written to by_user.tsv: the scores of the test part. Without a test
 * part, those of the validation part. Without both, NULL. */
const Scores *evaluation_by_user(const Evaluation *v);
/* Refuses vectors of D numbers whose dot products may exceed float32. `user` and `item` are the largest magnitudes of
 * their numbers. Both a run that writes vectors and a reader of vectors call it. */
bool products_fit(double user, double item, int64_t D);

/* ---- stopping.c ------------------------------------------------------------------------------ */

typedef struct Stopping {
    Protocol rules;
    bool validates;     /* there is a validation part */
    int64_t patience;   /* number of evaluations without improvement until the run stops (MMRec: one more); 0: none */
    int64_t best_epoch; /* counted from 1; 0: none yet */
    int64_t unimproved; /* number of evaluations in a row below the best figure (MMRec: not above it) */
    double best;        /* figure of the best epoch; -1 before the first */
    /* True if the loss of the last evaluated epoch is 0, under Elliot with a validation part. Then the run stops if
     * patience is above 0. */
    bool done;
} Stopping;
/* Records the figure of an evaluation and the loss of its epoch. Returns true if the figure is the best so far. Without
 * a validation part every epoch counts as the best. */
bool stopping_note(Stopping *s, int64_t epoch, double figure, double loss);
bool stopping_due(const Stopping *s);

/* ---- history.c ------------------------------------------------------------------------------- */

typedef struct History { /* in an arena; NUL-terminated; NULL before the first line */
    char *text;
    size_t bytes, room;
} History;
bool history_add(History *h, const char *text, Arena *a, Error *e);
bool history_note(History *h, int64_t epoch, double loss, const Evaluation *v, Arena *a, Error *e);

/* ---- the run --------------------------------------------------------------------------------- */

typedef struct RunState { /* what a checkpoint contains, in addition to the tensors of the store */
    int64_t epoch;        /* the next epoch to train */
    Stopping stopping;
    bool finished;
    Scores valid, test; /* of the best epoch */
    History history;
} RunState;
typedef struct Trainer {
    const Device *device;
    const TrainConfig *config;
    Arena *arena;   /* valid during the whole run */
    Arena *scratch; /* reset after each epoch */
    DataSet data;
    const CommonSettings *settings; /* the model's */
    Measures measures;
    Model model;
    Loop *loop;
    RunState state;
    double checkpointed; /* time of the last checkpoint (clock), at first the start of the run */
    bool reported;       /* the data, and the notes so far, were reported */
    const char **notes;  /* notes that were already reported */
    size_t note_count, note_room;
    double op_seconds; /* for TrainResult */
} Trainer;

/* ---- checkpoint.c ---------------------------------------------------------------------------- */

bool checkpoint_save(const char *path, const Model *m, const RunState *s, Arena *scratch, Error *e);
/* Reads a checkpoint. It checks the whole file before it changes the model. `last`: the largest possible number of
 * epochs. */
bool checkpoint_load(const char *path, Model *m, const EvalConfig *eval, int64_t last, RunState *s, Arena *a,
                     Arena *scratch, Error *e);

/* ---- run_files.c ----------------------------------------------------------------------------- */

/* Returns the text of config.json: the whole run, with every default filled in, and a hash of the data. */
const char *run_describe(const Trainer *t, Error *e);
/* Refuses an output folder if a file that this run would write there is an input of the run. It also refuses paths that
 * config.json cannot contain. */
bool run_check_outputs(const Trainer *t, Error *e);
/* Opens the locked run folder: refuses the folder of another run, writes config.json, and loads a checkpoint if there
 * is one. */
bool run_open(Trainer *t, Error *e);
bool run_checkpoint(Trainer *t, Error *e);
/* Writes the files of the best epoch:
 * - user.npy and item.npy, or model.safetensors of a model with `arrays`;
 * - the ids;
 * - seen.safetensors: the train pairs, which recommendations leave out;
 * - by_user.tsv. */
bool run_write_best(Trainer *t, const Evaluation *v, Error *e);
/* Sets *missing to the first file that recommendations need and that the folder does not have, or to NULL. Returns
 * false if memory runs out. */
bool run_find_missing(const char *dir, const Recommender *kind, const char **missing, Arena *a, Error *e);
/* Writes result.json and history.tsv. They contain no times, so that the same run gives the same bytes. */
bool run_write_result(const Trainer *t, Error *e);

/* ---- trained.c, kept.c ----------------------------------------------------------------------- */

struct Trained {
    const Device *device;
    Arena *arena;
    RunConfig config;
    Store *store;
    Npy files[2];           /* the open user.npy and item.npy */
    Weights *seen, *arrays; /* the open seen.safetensors and model.safetensors; NULL: none */
    Tensor *user, *item;    /* NULL if `model` scores by itself */
    Array vectors[2];       /* the vectors of users and items, in host memory */
    Model model;
    /* users, items, and train pairs without ratings; `features` has only names and widths, for new items */
    DataSet data;
    const char **name; /* [data.feature_count] names of the features, for callers */
    size_t *width;
    double *largest;     /* [data.feature_count] the largest magnitude in the weights of each projection */
    double largest_bias; /* the largest magnitude in the bias of the projections */
    Arena *kept;         /* arena of TrainConfig.keep: the results of the best epoch */
    const Array *state;  /* [state_count] the copied model_arrays */
    size_t state_count;
};
/* Lists the arrays of model.safetensors in the run folder. *n is 0 if the model has none.
 * - A model with kind->arrays: the list is the result of kind->arrays, and the arrays are not copied.
 * - Otherwise, a model with kind->new_items: copies of the parameters that new_items reads. They are made in the arena
 *   `a`. */
bool model_arrays(const Model *m, const Array **list, size_t *n, Arena *a, Error *e);
/* Builds the recommender from its parts: `vectors` (if the model has them), config, data, and `arrays` (or NULL). */
bool trained_build(Trained *t, const Weights *arrays, Error *e);
/* trained_keep copies an evaluated model that is the best so far. trained_kept builds the recommender from the last
 * copy, after the run. */
bool trained_keep(Trained *t, const Model *m, const Tensor *users, const Tensor *items, Error *e);
bool trained_kept(Trained *t, Error *e);

#endif
