/* recsys/train/train.h: what the files of a run share. train.c is the run; its pieces:
 *
 *   measures.c   what is measured, from the settings
 *   loop.c       an epoch of steps
 *   vectors.c    an epoch's vectors and figures
 *   stopping.c   the best epoch, and when to stop
 *   history.c    history.tsv
 *   by_user.c    by_user.tsv, written and read
 *   checkpoint.c checkpoint.safetensors
 *   run_files.c  the other files of the folder, written
 *   run_config.c the same, read
 *   trained.c    a folder opened to recommend from
 *   kept.c       the same from memory
 *   answer.c     what it answers */
#ifndef SAPOR_TRAIN_H
#define SAPOR_TRAIN_H

#include "recsys/trained.h"

/* The text that a common setting was given as, for messages. */
#define TEXT_AS_GIVEN(settings, member) settings_text(settings, offsetof(CommonSettings, member))
#define LR_AS_GIVEN(model)              TEXT_AS_GIVEN((const CommonSettings *)(model)->settings, lr)

/* ---- measures.c ------------------------------------------------------------------------------ */

typedef struct Measures {
    EvalConfig eval;
    const char *metric; /* what the best epoch is chosen by */
    int64_t cutoff;
} Measures;
bool measures_read(Measures *m, const CommonSettings *s, Protocol p, Arena *a, Error *e);

/* ---- loop.c ---------------------------------------------------------------------------------- */

typedef struct Loop Loop;
typedef bool AfterBatch(void *arg, int64_t batch, Error *e); /* false ends the epoch */
/* The sampler and the optimiser as the settings say. */
Loop *loop_new(Model *m, const CommonSettings *s, Arena *a, Error *e);
int64_t loop_batches(const Loop *l); /* in an epoch; 0: nothing to train */
/* *loss: the mean of the batches' losses. A loss that is not finite is an error, and so is a parameter at the end of
 * the epoch: nothing is evaluated or saved then. */
bool loop_epoch(Loop *l, int64_t epoch, AfterBatch *after, void *arg, double *loss, Error *e);

/* ---- vectors.c ------------------------------------------------------------------------------- */

typedef struct Evaluation {
    Tape *tape;            /* owns the vectors */
    Tensor *users, *items; /* NULL for a model that scores by itself */
    Scores valid, test;    /* mean NULL where there is no such part */
} Evaluation;
/* After `epoch` epochs. evaluation_free is to follow, also after a failure; the scores are in `scratch`. by_user: with
 * the figures of each user of evaluation_judged. */
bool evaluation_make(Evaluation *v, Model *m, int64_t epoch, const EvalConfig *c, bool by_user, Arena *scratch,
                     Error *e);
void evaluation_free(Evaluation *v);
/* The figures that runs are compared by: of the test part, where there is none of valid; NULL without both. */
const Scores *evaluation_judged(const Evaluation *v);
/* Refuses vectors of D numbers, at most `user` and `item` in magnitude, whose dot products may be beyond float32: for a
 * run that would write them and for one that is read. */
bool products_fit(double user, double item, int64_t D);

/* ---- stopping.c ------------------------------------------------------------------------------ */

typedef struct Stopping {
    Protocol rules;
    bool validates;     /* there is a validation part */
    int64_t patience;   /* 0: no early stopping */
    int64_t best_epoch; /* from 1; 0: none yet */
    int64_t unimproved; /* evaluations in a row */
    double best;        /* the best epoch's figure; -1 before the first */
    bool done;          /* Elliot: there is nothing more to learn */
} Stopping;
/* Takes note of an evaluation's figure and its epoch's loss; true where the figure is the best so far. */
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

typedef struct RunState { /* what a checkpoint holds, beside the store's tensors */
    int64_t epoch;        /* the next one to train */
    Stopping stopping;
    bool finished;
    Scores valid, test; /* of the best epoch */
    History history;
} RunState;
typedef struct Trainer {
    const Device *device;
    const TrainConfig *config;
    Arena *arena;   /* the run's */
    Arena *scratch; /* an evaluation's */
    DataSet data;
    const CommonSettings *settings; /* the model's */
    Measures measures;
    Model model;
    Loop *loop;
    RunState state;
    double checkpointed; /* clock; at first when the run began */
    bool told;           /* the data */
    const char **notes;  /* said before */
    size_t note_count, note_room;
    double op_seconds; /* TrainResult's */
} Trainer;

/* ---- checkpoint.c ---------------------------------------------------------------------------- */

bool checkpoint_save(const char *path, const Model *m, const RunState *s, Arena *scratch, Error *e);
/* Checks the whole file before the model changes. `last`: the largest number of epochs there can be. */
bool checkpoint_load(const char *path, Model *m, const EvalConfig *eval, int64_t last, RunState *s, Arena *a,
                     Arena *scratch, Error *e);

/* ---- run_files.c ----------------------------------------------------------------------------- */

/* config.json's text: the whole run with every default filled in, and a hash of the data. */
const char *run_describe(const Trainer *t, Error *e);
/* Refuses a folder whose files, as this run would write them, are inputs of the run; and paths that config.json cannot
 * hold. */
bool run_spares_inputs(const Trainer *t, Error *e);
/* In the locked folder: refuses one that another run made, writes config.json, loads a checkpoint where there is one.
 */
bool run_open(Trainer *t, Error *e);
bool run_checkpoint(Trainer *t, Error *e);
/* What the best epoch gives. What recommends: user.npy, item.npy, or model.safetensors of a model with `arrays`; the
 * ids; seen.safetensors, the train pairs that recommendations leave out. And by_user.tsv. */
bool run_write_best(Trainer *t, const Evaluation *v, Error *e);
/* *missing: the first file that recommendations need and the folder does not have, or NULL. False: no memory. */
bool run_find_missing(const char *dir, const Recommender *kind, const char **missing, Arena *a, Error *e);
/* result.json and history.tsv, without times: the same bytes for the same run. */
bool run_write_result(const Trainer *t, Error *e);

/* ---- trained.c, kept.c ----------------------------------------------------------------------- */

struct Trained {
    const Device *device;
    Arena *arena;
    RunConfig config;
    Store *store;
    Npy files[2];
    Weights *seen, *arrays;
    Tensor *user, *item; /* NULL: `model` scores by itself */
    Array vectors[2];    /* the numbers of user and item, in host memory */
    Model model;
    DataSet data;      /* users, items, train pairs without ratings; `features` of new items, without data */
    const char **name; /* [data.feature_count]: the features', for callers */
    size_t *width;
    double *largest;     /* [data.feature_count]: the largest magnitude in the weights of each projection */
    double largest_bias; /* the same in their bias */
    Arena *kept;         /* of TrainConfig.keep: what the best epoch gave */
    const Array *state;  /* [state_count] model_arrays there */
    size_t state_count;
};
/* What the run folder's model.safetensors holds: kind->arrays, or the parameters that kind->new_items reads, copied
 * into the arena; *n 0: neither. */
bool model_arrays(const Model *m, const Array **list, size_t *n, Arena *a, Error *e);
/* The recommender from its parts: `vectors` (of a model that has them), config, data, and its arrays (NULL: none). */
bool trained_build(Trained *t, const Weights *arrays, Error *e);
/* Copies an evaluated model that is the best so far; after the run trained_kept. */
bool trained_keep(Trained *t, const Model *m, const Tensor *users, const Tensor *items, Error *e);
bool trained_kept(Trained *t, Error *e);

#endif
