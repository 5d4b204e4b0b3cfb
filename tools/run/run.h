/* tools/run/run.h: shared by the files of `sapor run`.
 *
 *   run.c         makes a study from the configuration, and does the work in order
 *   run_jobs.c    trains trials in separate processes
 *   run_show.c    progress, events, the table of results
 *   run_cluster.c workers of a cluster, the file for sbatch */
#ifndef SAPOR_RUN_H
#define SAPOR_RUN_H

#include "recsys/protocols/protocols.h"
#include "tools/tools.h"

/* A system whose configurations Sapor reads: a row of the table SYSTEMS in run.c. The first row whose key is in the
 * YAML is used. The last row has no key: it is used for every other file. */
typedef struct RunSystem {
    const char *key;
    bool (*read)(Study *s, const ProtocolConfig *p, const Yaml *root, Context *c, Arena *a, Error *e);
    /* NULL: the system has no result files */
    bool (*write)(const Study *s, const StudyView *v, int64_t now, Arena *a, Error *e);
} RunSystem;

/* ---- run_cluster.c --------------------------------------------------------------------------- */

/* Reads --worker: I/N or auto. {0, 1} if the option is not given. */
bool read_share(const Context *c, TrialShare *share, Error *e);
/* Prints a file for sbatch (--slurm). */
bool print_sbatch(const Context *c, const TrialShare *share, Error *e);

/* ---- run_show.c ------------------------------------------------------------------------------ */

typedef struct RunPrinter {
    FILE *text, *json; /* NULL: not printed */
    Progress progress;
    StudyCounts counts;
    const Study *study;
    /* the best figure of the trials that ended in this process, by the study's metric; NaN before the first trial */
    double best;
    char best_model[150], note[200];
} RunPrinter;
void run_show_begin(RunPrinter *p, const Study *s, const StudyCounts *c, Context *context);
/* running: the sum, over the running trials, of the trained share (0 to 1) of each trial */
void run_show_step(RunPrinter *p, double running);
void run_show_trial(RunPrinter *p, const TrialRow *row, TrialOutcome outcome);
void run_show_end(RunPrinter *p);
/* Prints the best points, as a table or as JSON. */
bool run_show_results(const StudyView *v, Context *c, Error *e);

/* ---- run_jobs.c ------------------------------------------------------------------------------ */

typedef struct RunJobs {
    const Study *study;
    StudyRun *run;
    int64_t jobs, threads; /* threads 0: all threads */
    const char *device;    /* the device of each trial; NULL: the default of device_open */
    const Heap *heap;
    RunPrinter *printer;
    const char *failed; /* the first trial that failed in this process, and the reason; NULL: none */
    Arena *arena;
} RunJobs;
/* Trains the trials of the share that are not finished. A failed trial is recorded and is no error. Returns false if a
 * process could not be started, if a trial could not be recorded, or on SIGINT or SIGTERM. */
bool run_jobs(RunJobs *j, Error *e);

#endif
