/* tools/report/report.h: an HTML page about finished runs. */
#ifndef SAPOR_REPORT_H
#define SAPOR_REPORT_H

#include "tools/tools.h"

typedef struct ReportConfig {
    const char *title, *about; /* about: a paragraph under the title, or NULL */
    const char *const *runs;   /* folders that `sapor train --out` wrote, all of the same data */
    size_t run_count;
    const char *out;
    const char *items, *text_column; /* a table with the columns `item` and text_column, or NULL: ids are shown */
    const char *pictures;            /* folder of <item>.png, .jpg, ..., or NULL */
    const char *stages;              /* TSV with a header: stage, seconds, MB; or NULL */
    const char *ops;                 /* what --json --profile printed, any lines between; or NULL */
    const Trace *trace;              /* instead of ops: what ran in this process; or NULL */
} ReportConfig;
/* Writes c->out whole or not at all. */
bool report_write(Context *c, const ReportConfig *r, Error *e);
/* The page about a study, of the folder c->args[0] that `sapor run` wrote, and with --tables its tables
 * (tools/study/command.c; not in MINIMAL). */
bool report_study(Context *c, const ReportConfig *r, Error *e);
#define STUDY_LEDGER "ledger.sqlite" /* the file that such a folder is recognised by */

#endif
