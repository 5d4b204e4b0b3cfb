/* recsys/search/study.h: what study.c (which trial is next), trial.c (one trial), points.c and view.c share. */
#ifndef SAPOR_STUDY_H
#define SAPOR_STUDY_H

#include "recsys/search/ledger.h"
#include "recsys/search/space.h"

enum { TRIALS_MOST = 1 << 20, GROUPS_MOST = 100 * 1000 }; /* of a study; groups: data sets x settings x models */

/* ---- points (points.c) ----------------------------------------------------------------------- */

typedef struct Points {         /* of a model: those that are known, in the order in which they are tried */
    const char *const **values; /* [count][dim_count] */
    const char **names;         /* [count] point_name with spaces */
    double *figures;            /* [known] of TPE: NaN where a trial failed */
    size_t count, known;
    TextIndex *index; /* of names */
    bool ended;       /* no point follows */
    bool checked;     /* those that are known are right */
} Points;
/* How many points are tried at most: `evals`, or all there are. A space that cannot be searched is SP_USAGE. */
bool points_most(const StudyModel *m, size_t *most, Error *e);
/* The points that do not depend on results, at most `most`: of TPE the first TPE_STARTUP, else all. NULL: an error. */
Points *points_first(const StudyModel *m, size_t most, Arena *a, Error *e);
/* Adds the next drawn point; results [count] of TPE, or NULL: at random. A point that was drawn before is drawn again;
 * a space that gives no other ends. */
bool points_draw(Points *p, const StudyModel *m, const TpeResult *results, Arena *a, Error *e);

/* ---- trials (trial.c) ------------------------------------------------------------------------ */

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
/* The hash of what the figures of a trial depend on: version, model, settings, seed, data, bytes of the files that
 * settings name. 32 digits. */
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
