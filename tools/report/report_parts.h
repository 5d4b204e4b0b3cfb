/* tools/report/report_parts.h: what the parts of a report share: the runs and their data as read, and the page's
 * sections. */
#ifndef SAPOR_REPORT_PARTS_H
#define SAPOR_REPORT_PARTS_H

#include "tools/report/page.h"
#include "tools/report/report.h"

enum { K = 20, MANY_RUNS = 64 }; /* items a user is recommended; runs a page holds */

typedef struct ReportRun {
    const char *folder, *name, *features; /* features: "visual, textual", or "-" */
    RunConfig config;
    const Json *result;    /* result.json */
    int32_t *top;          /* [test_users, K] item numbers, -1: none */
    double *epoch, *curve; /* [points] validation figure after an epoch */
    size_t points;
} ReportRun;

typedef struct Report {
    Context *c;
    const ReportConfig *config;
    Page page;
    ReportRun *run;
    size_t runs;
    DataSet data;
    int32_t *test_users; /* users with a test item */
    Text *test_user_name;
    int64_t test_user_count;
    int64_t *count;      /* [I] training interactions of an item */
    Text *title;         /* [I] n 0: unknown */
    bool *has_thumbnail; /* [I] its image is in the page */
    const char *metric;  /* of the curves: "Recall@20" */
} Report;

/* ---- images of items (report_items.c) -------------------------------------------------------- */

void put_users(Report *r);      /* what a few liked, and what each run recommends to them */
void put_neighbours(Report *r); /* nothing where no run has features */

/* ---- tables and charts (report_figures.c) ---------------------------------------------------- */

void put_figures(Report *r);
bool put_popularity(Report *r, Error *e);
void put_curves(Report *r);
bool put_stages(Report *r, Error *e);   /* nothing where there is no file of stages */
bool put_roofline(Report *r, Error *e); /* nothing where no op was timed; measures what this machine can do */

#endif
