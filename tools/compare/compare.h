/* tools/compare/compare.h: the parts of `sapor compare`. compare_runs.c reads runs and figures, compare_tests.c tests
 * each pair of runs, compare_show.c prints. */
#ifndef SAPOR_COMPARE_H
#define SAPOR_COMPARE_H

#include "tools/tools.h"

typedef struct ComparedRun {
    const char *path;
    const char *label; /* at most MOST_LABEL columns: the end of the path, or "run 3" */
    const char *model; /* NULL: a file of figures by user */
    Protocol protocol; /* the next three: of a run folder; judged_by NULL for a file */
    const char *judged_by, *truth_hash;
    ByUser figures;           /* means over the seeds */
    size_t seeds;             /* folders that were read; 0: a file */
    double *mean, *deviation; /* [figures]: over users, then over seeds; of the sample, NaN for one seed */
} ComparedRun;
typedef struct ComparedPair { /* of one metric */
    size_t a, b;              /* runs */
    int64_t users;            /* that both have: all that follows is of them */
    double mean_a, mean_b;
    PairedTest t, w;       /* Student's and Wilcoxon's */
    double t_holm, w_holm; /* adjusted for all pairs of the metric */
} ComparedPair;
typedef struct Compare {
    Context *c;
    ComparedRun *run;
    size_t runs;
    const char **metric; /* names of figures that all runs have */
    size_t metrics;
    bool t, w; /* which tests */
    double alpha;
    ComparedPair *pair; /* [metrics, pairs]: each run with each that follows it */
    size_t pairs;
} Compare;
enum { MOST_LABEL = 17, MOST_RUNS = 100 };

bool compared_run_read(ComparedRun *run, const char *path, Arena *a, Error *e);
/* Of runs that were read: same truth, labels, metrics (option --metrics). */
bool compared_runs_join(Compare *x, Error *e);
bool compared_pairs_test(Compare *x, Error *e);
bool compare_show(Compare *x, Error *e); /* for people */
bool compare_csv(const Compare *x, Error *e);
bool compare_json(const Compare *x, Error *e);
/* Of a p after Holm's adjustment; NaN is not. */
static inline bool is_significant(const Compare *x, double holm)
{
    return holm < x->alpha;
}

#endif
