/* tools/train/many.h: several runs of `train`, one after the other on the same data: with several seeds, or with
 * several values of settings. many.c trains the runs, many_results.c summarises them. */
#ifndef SAPOR_TRAIN_MANY_H
#define SAPOR_TRAIN_MANY_H

#include "recsys/search/grid.h"
#include "tools/tools.h"

typedef struct OneRun {
    int64_t point; /* its number in the grid, from 0 */
    uint64_t seed;
    const char *folder; /* path in DIR: "seed-1", "lr=0.1", "lr=0.1/seed-1" */
    const char *words;  /* "lr=0.1 seed 1" */
    int64_t best_epoch, epochs;
    Scores valid, test; /* mean is NULL if the part is missing */
    /* why the run has no figures, such as a loss that is not finite; a failed run is never the best. NULL: the run has
     * figures */
    const char *failed;
} OneRun;
typedef struct Summary {          /* the figures of a point of the grid, over its seeds */
    Scores mean[2], deviation[2]; /* valid, test; the sample deviation is NaN for one run */
    /* mean of the figure that chooses the best point; NaN without a validation part, and if a run failed */
    double figure;
} Summary;
typedef struct Many {
    Context *context;
    const TrainConfig *config;
    Arena *arena; /* the arena of the context */
    DataSet data;
    Grid grid;
    uint64_t *seeds;
    size_t seed_count;
    bool seeds_given; /* false: the only seed is that of --seed */
    OneRun *runs;     /* [points * seeds]: the runs of a point are contiguous */
    size_t count;
    Summary *points;
    TrainPrinter printer;
    FolderLock lock;
    bool printed_data; /* the line about the data is printed */
    bool began;        /* the current run has begun to train */
    /* locked: DIR is locked; cleared: summary.json and trials.tsv of an earlier command are removed */
    bool locked, cleared;
    const char *metric; /* the metric that chooses the best epoch */
    int64_t cutoff;
} Many;

/* Sets *path to the path of a file in DIR; NULL: --out is not given. Returns false only if memory runs out. */
bool many_path(const Many *m, const char *name, const char **path, Error *e);
/* Makes Scores with the figures of `like`, all 0. mean is NULL if that of `like` is NULL. */
bool scores_like(Scores *s, const Scores *like, Arena *a, Error *e);
size_t figures_of(const Scores *s); /* number of figures; 0: no scores */
bool json_trial(const Many *m, size_t i, Error *e);

/* Fills `points` after all runs have finished. *best: the first of the points with the largest figure. It is an error
 * if all points have failed. */
bool many_summarize(Many *m, int64_t *best, Error *e);
/* Writes summary.json and trials.tsv if there is a folder. */
bool many_write(const Many *m, int64_t best, Error *e);
bool many_json(const Many *m, int64_t best, Error *e); /* prints the event with the result */
bool many_show(const Many *m, int64_t best, Error *e); /* prints the tables */

#endif
