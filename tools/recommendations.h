/* tools/recommendations.h: lists of recommendations from a file, for `sapor evaluate`. */
#ifndef SAPOR_RECOMMENDATIONS_H
#define SAPOR_RECOMMENDATIONS_H

#include "tools/tools.h"

typedef struct Rec {
    double score;
    int32_t user, item;
    size_t line; /* in the file, from 1 */
} Rec;

typedef struct Recs {
    Rec *list; /* sorted by user, then by score, best first; equal scores are in the order of the file */
    size_t count, room;
    size_t unknown; /* number of lines whose user is unknown: these lines are skipped */
    bool scored;    /* the file has scores */
} Recs;

/* Reads user, item, score, separated by tabs, commas, semicolons or "::", with or without a first line of names; or
 * MMRec's table of `id`, `top_0`, `top_1`, ..., one line per user. An item that is not in the data set stays in the
 * list; the function adds it to d->items, after the items of the data set. */
bool recommendations_read(Recs *r, const char *path, DataSet *d, Arena *a, Error *e);

#ifndef SAPOR_MINIMAL
bool show_metrics(Context *c, Error *e); /* Prints the table of all metrics, in groups. */
#endif

#endif
