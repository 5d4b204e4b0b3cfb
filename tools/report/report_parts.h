/* tools/report/report_parts.h: shared by the parts of a report: the runs and their data, and the sections of the page.
 */
#ifndef SAPOR_REPORT_PARTS_H
#define SAPOR_REPORT_PARTS_H

#include "tools/report/page.h"
#include "tools/report/report.h"

enum { K = 20, MANY_RUNS = 64 }; /* K: recommended items per user; MANY_RUNS: most runs of a page */

typedef struct ReportRun {
    const char *folder, *name, *features; /* features: "visual, textual", or "-" */
    RunConfig config;
    const Json *result;    /* result.json */
    int32_t *top;          /* [test_users, K] item numbers, -1: none */
    double *epoch, *curve; /* [points]: the validation figure after each evaluated epoch */
    size_t points;
} ReportRun;

typedef struct Report {
    Context *c;
    const ReportConfig *config;
    Page page;
    ReportRun *run;
    size_t runs;
    DataSet data;
    int32_t *test_users; /* [test_user_count]: users with at least one test item */
    Text *test_user_name;
    int64_t test_user_count;
    int64_t *count;      /* [I]: training interactions per item */
    Text *title;         /* [I]; n 0: unknown */
    bool *has_thumbnail; /* [I]: the page contains the item's image */
    const char *metric;  /* metric of the curves: "Recall@20" */
} Report;

/* ---- images of items (report_items.c) -------------------------------------------------------- */

void put_users(Report *r);      /* for a few users: the items they have, and what each run recommends */
void put_neighbours(Report *r); /* writes nothing if no run has features */

/* ---- tables and charts (report_figures.c) ---------------------------------------------------- */

void put_figures(Report *r);
bool put_popularity(Report *r, Error *e);
void put_curves(Report *r);
bool put_stages(Report *r, Error *e); /* writes nothing if no file of stages is given */
/* writes nothing if no op was timed; measures the peak speeds of this machine */
bool put_roofline(Report *r, Error *e);

#endif
