/* tools/run/run.h: what the files of `sapor run` share.
 *
 *   run.c         the configuration becomes a study; what is done with it, in order
 *   run_jobs.c    trials in processes of their own
 *   run_show.c    progress, events, the table of results
 *   run_cluster.c workers of a cluster, the file for sbatch */
#ifndef SAPOR_RUN_H
#define SAPOR_RUN_H

#include "recsys/protocols/protocols.h"
#include "tools/tools.h"

/* A system whose configurations are read. The first row whose key the YAML has; the last has no key. */
typedef struct RunSystem {
    const char *key;
    bool (*read)(Study *s, const ProtocolConfig *p, const Yaml *root, Context *c, Arena *a, Error *e);
    bool (*write)(const Study *s, const StudyView *v, int64_t now, Arena *a, Error *e); /* NULL: no files of its own */
} RunSystem;

/* ---- run_cluster.c --------------------------------------------------------------------------- */

/* --worker I/N or auto; {0, 1} where it is not given. */
bool read_share(const Context *c, Share *share, Error *e);
/* --slurm: prints a file for sbatch. */
bool print_sbatch(const Context *c, const Share *share, Error *e);

/* ---- run_show.c ------------------------------------------------------------------------------ */

typedef struct RunPrinter {
    FILE *text, *json; /* NULL: none */
    Progress progress;
    StudyCounts counts;
    const Study *study;
    double best; /* of the trials that ended here, by the study's metric; NaN before the first */
    char best_model[150], note[200];
} RunPrinter;
void run_show_begin(RunPrinter *p, const Study *s, const StudyCounts *c, Context *context);
/* `running`: the sum of the shares of running trials that are trained, 0 to 1 each. */
void run_show_step(RunPrinter *p, double running);
void run_show_trial(RunPrinter *p, const TrialRow *row, TrialOutcome outcome);
void run_show_end(RunPrinter *p);
/* The best points, as a table or as JSON. */
bool run_show_results(const StudyView *v, Context *c, Error *e);

/* ---- run_jobs.c ------------------------------------------------------------------------------ */

typedef struct RunJobs {
    const Study *study;
    StudyRun *run;
    int64_t jobs, threads; /* threads 0: all */
    const char *device;    /* of each trial, or NULL: device_open's default */
    const Heap *heap;
    RunPrinter *printer;
    const char *failed; /* the first trial that failed, and why; NULL: none */
    Arena *arena;
} RunJobs;
/* Trains what is left of the share. False: a trial could not be recorded, or SIGINT or SIGTERM came. */
bool run_jobs(RunJobs *j, Error *e);

#endif
