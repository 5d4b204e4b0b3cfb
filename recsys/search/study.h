/* recsys/search/study.h: shared by study.c (the next trial), trial.c (one trial), points.c and view.c. */
#ifndef SAPOR_STUDY_H
#define SAPOR_STUDY_H

#include "recsys/search/ledger.h"
#include "recsys/search/space.h"

/* limits of a study. Groups: data sets x choices of extractors (StudyData.setting) x models */
enum { TRIALS_MOST = 1 << 20, GROUPS_MOST = 100 * 1000 };

/* ---- points (points.c) ----------------------------------------------------------------------- */

typedef struct Points {         /* the points of a model that are known so far, in the order in which they are tried */
    const char *const **values; /* [count][dim_count] */
    const char **names;         /* [count] point_name with blanks */
    double *figures;            /* [known] for TPE: the figures of the points; NaN if a trial failed */
    size_t count, known;        /* number of points; number of points at the beginning that have figures */
    TextIndex *index;           /* index of names */
    bool ended;                 /* there are no further points */
    bool checked;               /* study.c has checked that the model accepts these points */
} Points;
/* Computes the largest number of points to try: the smaller of `evals` and the number of all points. A space that
 * cannot be searched is SP_USAGE. */
bool points_most(const StudyModel *m, size_t *most, Error *e);
/* Makes the points that do not depend on results, at most `most`: with TPE the first TPE_STARTUP, else all. NULL: an
 * error. */
Points *points_first(const StudyModel *m, size_t most, Arena *a, Error *e);
/* Adds the next drawn point. results [p->count]: for TPE; NULL: the point is drawn at random. A duplicate point is
 * drawn again; if no new point is found, p->ended becomes true. */
bool points_draw(Points *p, const StudyModel *m, const TpeResult *results, Arena *a, Error *e);

/* ---- trials (trial.c) ------------------------------------------------------------------------ */

/* A trial as train_run needs it. It is in the arena of trial_plan. `set` has, in this order: the metrics and cutoffs of
 * the study and the other settings of its evaluation, the fixed settings of the model, the varying settings of the
 * point. */
typedef struct TrialPlan {
    const char *const *set; /* "key=value": see above */
    size_t set_count;
    const CommonSettings *settings;
    DataConfig data;          /* without features if the model needs none, unless gaps is GAPS_DROP */
    const char *point, *json; /* TrialRow.point, TrialRow.settings */
} TrialPlan;
bool trial_plan(TrialPlan *p, const Study *s, const Trial *t, Arena *a, Error *e);

/* Hashes of a data set as it was read, without knock-outs; 0 if it cannot be read. Each is two numbers of 64 bits.
 * features: two hashes with different seeds. pairs[1] is a hash of pairs[0]. */
typedef struct DataHash {
    uint64_t pairs[2], features[2];
} DataHash;
void data_hash(DataHash *h, const DataSet *d);
/* Computes the key: the hash of everything that the figures of a trial depend on: version, model, settings, seed, data,
 * and the contents of files that settings name. 32 digits. */
enum { KEY_BYTES = 33 };
bool trial_key(char key[KEY_BYTES], const TrialPlan *p, const Trial *t, const DataHash *h, Arena *a, Error *e);
/* Makes a row of this trial without results. */
TrialRow trial_row(const TrialPlan *p, const Trial *t, const char *key, TrialState state);

const char *study_ledger(const Study *s, Arena *a, Error *e); /* OUT/ledger.sqlite */
const char *study_trials(const Study *s, Arena *a, Error *e); /* OUT/trials */
/* Computes study_figure, with memory from `scratch`. */
double row_figure(const TrialRow *row, const Study *s, Arena *scratch);
/* Returns a number of a row's object, such as "Recall@20"; NaN if it is absent. */
double figure_of(const Json *object, const char *name);
/* Reports whether `name` is the name of a figure of `metric`. `metric` includes the cutoff: "Recall@20". `name` may
 * have a suffix: "Recall@20 (99 sampled)". */
bool is_figure(Text name, const char *metric);

#endif
