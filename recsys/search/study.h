/* recsys/search/study.h: what study.c (which trial is next) and trial.c (one trial) share. */
#ifndef SAPOR_STUDY_H
#define SAPOR_STUDY_H

#include "recsys/search/ledger.h"
#include "recsys/search/space.h"

enum { GROUPS_MOST = 100 * 1000 }; /* of a study: data sets x settings x models */

/* A trial as train_run takes it. In the arena of trial_plan. */
typedef struct TrialPlan {
    const char *const *set; /* the study's measures, the model's settings, the point's */
    size_t set_count;
    const CommonSettings *settings;
    DataConfig data;          /* without features where the model needs none */
    const char *point, *json; /* TrialRow.point, settings */
} TrialPlan;
bool trial_plan(TrialPlan *p, const Study *s, const Trial *t, Arena *a, Error *e);

/* Of a data set as it was read, without knock-outs; 0 where it cannot be read. */
typedef struct DataHash {
    uint64_t pairs[2], features[2];
} DataHash;
void data_hash(DataHash *h, const DataSet *d);
/* The hash of what the figures of a trial depend on: version, model, settings, seed, data; no paths. 32 digits. */
enum { KEY_BYTES = 33 };
bool trial_key(char key[KEY_BYTES], const TrialPlan *p, const Trial *t, const DataHash *h, Arena *a, Error *e);
/* A row of this trial without results. */
TrialRow trial_row(const TrialPlan *p, const Trial *t, const char *key, TrialState state);

const char *study_ledger(const Study *s, Arena *a, Error *e); /* OUT/ledger.sqlite */
const char *study_trials(const Study *s, Arena *a, Error *e); /* OUT/trials */
/* The figure that points are compared by: of the part that is selected, else, where there is no such part, of the
 * other. NaN: there is none. */
double row_figure(const TrialRow *row, const Study *s, Arena *scratch);
/* A number of a row's object, "Recall@20"; NaN where it is absent. */
double figure_of(const Json *object, const char *name);
/* Whether a figure's name is this metric's at this cutoff: "Recall@20", or "Recall@20 (99 sampled)". */
bool is_figure(Text name, const char *metric);

#endif
