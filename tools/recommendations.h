/* tools/recommendations.h: lists of recommendations from a file, as evaluate judges them. */
#ifndef SAPOR_RECOMMENDATIONS_H
#define SAPOR_RECOMMENDATIONS_H

#include "tools/tools.h"

typedef struct Rec {
    double score;
    int32_t user, item;
    size_t line;
} Rec;

typedef struct Recs {
    Rec *list; /* by user, the best score first; equal scores in the file's order */
    size_t count, room;
    size_t unknown; /* lines of users that do not count */
    bool scored;    /* the file has scores */
} Recs;

/* Reads user, item, score between tabs, commas, semicolons or "::", with or without a first line of names; or MMRec's
 * table of `id`, `top_0`, `top_1`, ... with a line a user. Items that the data set does not know still take their place
 * in a list: they get numbers behind its own. */
bool recommendations_read(Recs *r, const char *path, DataSet *d, Arena *a, Error *e);

#ifndef SAPOR_MINIMAL
bool show_metrics(Context *c, Error *e); /* the table of all metrics, in their groups */
#endif

#endif
