/* recsys/train/train.h: what the files of a run share: train.c trains, run_files.c keeps its folder, trained.c reads it
 * again. */
#ifndef SAPOR_TRAIN_H
#define SAPOR_TRAIN_H

#include "recsys/recsys.h"

typedef struct Trainer {
    const Device *device;
    const TrainConfig *config;
    Arena *arena;   /* the run's */
    Arena *scratch; /* an evaluation's */
    DataSet data;
    const CommonSettings *settings; /* the model's */
    EvalConfig eval;
    const char *metric; /* what the best epoch is chosen by */
    int64_t metric_cutoff;
    Model model;
    Sampler *sampler;
    Optim optim;

    /* the state that a checkpoint keeps, beside the store's */
    int64_t epoch;                  /* the next one to train */
    int64_t best_epoch, unimproved; /* best_epoch counts from 1; 0: none yet; unimproved: evaluations in a row */
    double best;                    /* its validation figure; -1 before the first */
    bool finished;
    Scores best_valid, best_test;
    Text history; /* history.tsv: a line for each evaluation */
    size_t history_room;

    double checkpointed; /* clock */
    double op_seconds;   /* TrainResult's */
} Trainer;

/* The text that a common setting was given as, for messages. */
#define TEXT_AS_GIVEN(t, member) settings_text((t)->settings, offsetof(CommonSettings, member))

/* config.json's text: the whole run with every default filled in, and a hash of the data. */
const char *run_describe(const Trainer *t, Error *e);
/* Refuses a folder whose files, as this run would write them, are inputs of the run; and paths that config.json cannot
 * hold. */
bool run_spares_inputs(const Trainer *t, Error *e);
/* Creates the folder, refuses one that another run made, writes config.json, loads a checkpoint where there is one. */
bool run_open(Trainer *t, Error *e);
bool run_checkpoint(Trainer *t, Error *e);
/* user.npy, item.npy and their ids; seen.safetensors, the train pairs that recommendations leave out. users NULL: no
 * vectors. */
bool run_write_vectors(Trainer *t, const Tensor *users, const Tensor *items, Error *e);
bool history_add(Trainer *t, const char *text, Error *e); /* appends to t->history, NUL-terminated behind its end */
/* result.json and history.tsv, without times: the same bytes for the same run. */
bool run_write_result(const Trainer *t, Error *e);
/* Members "valid" and "test": {"Recall@20":0.1,...}, empty where there is no such part. */
void scores_json(JsonWriter *w, const Scores *valid, const Scores *test);
/* The settings that t->config gives t->model.kind, and what is measured by them. */
bool trainer_settings(Trainer *t, Error *e);
/* Refuses vectors of D numbers, at most `user` and `item` in magnitude, whose dot products may be beyond float32: for a
 * run that would write them and for one that is read. */
bool products_fit(double user, double item, int64_t D);
/* Loads data and settings and makes the model, not yet trained. */
bool trainer_load(Trainer *t, Error *e);

/* Where an item is among a user's, which ascend: its place in p->item; -1 where the user does not have it. */
static inline int64_t pairs_find(const Pairs *p, int64_t user, int32_t item)
{
    int64_t low = p->start[user], high = p->start[user + 1];
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (p->item[middle] < item)
            low = middle + 1;
        else
            high = middle;
    }
    return low < p->start[user + 1] && p->item[low] == item ? low : -1;
}

#endif
