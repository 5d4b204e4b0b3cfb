/* tools/compare/compare.h: the parts of `sapor compare`. compare_runs.c reads runs and figures, compare_tests.c tests
 * each pair of runs, compare_show.c prints the result. */
#ifndef SAPOR_COMPARE_H
#define SAPOR_COMPARE_H

#include "tools/tools.h"

typedef struct ComparedRun {
    const char *path;
    const char *label; /* at most MOST_LABEL columns: the end of the path, or "run 3" */
    const char *model; /* NULL: a file of figures by user */
    /* this member and the next two are set for a run folder; evaluated_part is the part with the figures: "test" or
     * "validation"; NULL for a file */
    Protocol protocol;
    const char *evaluated_part, *truth_hash;
    ByUser figures; /* per user: means over the seeds, for the users that every seed has */
    size_t seeds;   /* number of run folders that were read; 0: a file */
    /* [figures]: mean: the mean over users, averaged over the seeds; deviation: its sample standard deviation over the
     * seeds, NaN for one seed or a file */
    double *mean, *deviation;
} ComparedRun;
typedef struct ComparedPair { /* a pair of runs, compared by one metric */
    size_t a, b;              /* numbers of the two runs */
    int64_t users;            /* number of users that both runs have; the members below are about these users */
    double mean_a, mean_b;
    PairedTest t, w;       /* the t test, and Wilcoxon's signed-rank test */
    double t_holm, w_holm; /* p, adjusted by Holm's method for all pairs of the metric */
} ComparedPair;
typedef struct Compare {
    Context *c;
    ComparedRun *run;
    size_t runs;
    const char **metric; /* names of figures that all runs have */
    size_t metrics;
    bool t, w; /* the tests that are computed */
    double alpha;
    ComparedPair *pair; /* [metrics, pairs]: each run with each later run */
    size_t pairs;
} Compare;
enum { MOST_LABEL = 17, MOST_RUNS = 100 };

bool compared_run_read(ComparedRun *run, const char *path, Arena *a, Error *e);
/* Checks that all run folders have the same protocol, part and held-out data, and sets labels and metrics (option
 * --metrics). */
bool compared_runs_join(Compare *x, Error *e);
bool compared_pairs_test(Compare *x, Error *e);
bool compare_show(Compare *x, Error *e); /* prints tables */
bool compare_csv(const Compare *x, Error *e);
bool compare_json(const Compare *x, Error *e);
/* Reports whether a p, adjusted by Holm's method, is significant. NaN is not significant. */
static inline bool is_significant(const Compare *x, double holm)
{
    return holm < x->alpha;
}

#endif
