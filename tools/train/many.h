/* tools/train/many.h: several runs of `train`, one after the other on the same data: with several seeds, or with values
 * to try for some settings. many.c trains them, many_results.c says what they gave together. */
#ifndef SAPOR_TRAIN_MANY_H
#define SAPOR_TRAIN_MANY_H

#include "recsys/search/grid.h"
#include "tools/tools.h"

typedef struct OneRun {
    int64_t point;
    uint64_t seed;
    const char *folder; /* below DIR: "seed-1", "lr=0.1", "lr=0.1/seed-1" */
    const char *words;  /* "lr=0.1 seed 1" */
    int64_t best_epoch, epochs;
    Scores valid, test; /* mean NULL where there is no such part */
    const char
        *failed; /* why it has no figures, as a loss that is not finite: it is never the best. NULL: it has some */
} OneRun;
typedef struct Summary {          /* of the runs of a point, over its seeds */
    Scores mean[2], deviation[2]; /* valid, test; deviation of the sample, NaN for one run */
    double figure;                /* the mean of what chooses, NaN without a validation part and where a run failed */
} Summary;
typedef struct Many {
    Context *context;
    const TrainConfig *config;
    Arena *arena; /* the context's */
    DataSet data;
    Grid grid;
    uint64_t *seeds;
    size_t seed_count;
    bool seeds_given; /* else there is the one of --seed */
    OneRun *runs;     /* [points * seeds]: a point's follow each other */
    size_t count;
    Summary *points;
    TrainPrinter printer;
    FolderLock lock;
    bool told;            /* the data */
    bool began;           /* the present run: it trains */
    bool locked, cleared; /* what says that all runs have finished is gone */
    const char *metric;   /* what the best epoch is chosen by */
    int64_t cutoff;
} Many;

/* A path in DIR; NULL and no error without --out. */
bool many_path(const Many *m, const char *name, const char **path, Error *e);
/* Scores of the same figures as `like`, their numbers 0; mean NULL where it has none. */
bool scores_like(Scores *s, const Scores *like, Arena *a, Error *e);
size_t figures_of(const Scores *s); /* how many; 0 without numbers */
bool json_trial(const Many *m, size_t i, Error *e);

/* When all runs have finished: fills `points`; *best: the first of the points with the largest figure. An error where
 * all points have failed. */
bool many_summarize(Many *m, int64_t *best, Error *e);
/* summary.json and trials.tsv, where there is a folder. */
bool many_write(const Many *m, int64_t best, Error *e);
bool many_json(const Many *m, int64_t best, Error *e); /* the result's event */
bool many_show(const Many *m, int64_t best, Error *e); /* the tables */

#endif
