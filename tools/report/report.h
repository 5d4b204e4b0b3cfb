/* tools/report/report.h: an HTML page about finished runs. */
#ifndef SAPOR_REPORT_H
#define SAPOR_REPORT_H

#include "tools/tools.h"

typedef struct ReportConfig {
    const char *title, *about; /* about: a paragraph below the title, or NULL */
    const char *const *runs;   /* run folders of `sapor train --out`, all of the same data */
    size_t run_count;
    const char *out;
    const char *items, *text_column; /* a table with the columns `item` and text_column; NULL: the page shows ids */
    const char *pictures;            /* folder of <item>.png, .jpg, ..., or NULL */
    const char *stages;              /* TSV with a header: stage, seconds, MB; or NULL */
    const char *ops;                 /* output of --json --profile; other lines are allowed; or NULL */
    const Trace *trace;              /* the ops of this process, instead of `ops`; or NULL */
} ReportConfig;
/* Writes the page r->out. The file appears whole or not at all. */
bool report_write(Context *c, const ReportConfig *r, Error *e);
/* Writes the page about a study, from the folder c->args[0] that `sapor run` wrote. With --tables it also writes the
 * tables (tools/study/command.c; not in MINIMAL). */
bool report_study(Context *c, const ReportConfig *r, Error *e);
#define STUDY_LEDGER "ledger.sqlite" /* the file by which a folder of `sapor run` is recognised */

#endif
