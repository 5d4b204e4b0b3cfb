/* recsys/private.h: what the files of this folder share and nobody else sees. */
#ifndef SAPOR_RECSYS_PRIVATE_H
#define SAPOR_RECSYS_PRIVATE_H

#include "recsys/recsys.h"

/* ---- data.c, features.c
 * ---------------------------------------------------------------------------------------------------- */

typedef struct Row {
    int32_t user, item;
    float rating;
} Row;
/* Orders rows by user, then item; of rows with the same two the last one's rating stays. items: above every item number. */
bool pairs_build(Pairs *p, int64_t users, int64_t items, const Row *rows, size_t n, Arena *a, Error *e);
/* Reads the row names of OUT.npy from OUT.ids.txt into an index, line l as number l; NULL where there is no such file. */
bool feature_names(TextIndex **names, const char **ids_path, const char *path, int64_t rows, Arena *a, Error *e);
bool feature_load(Feature *f, const DataSet *d, const char *spec, Arena *a, Error *e);
/* The numbers of ids in their order; false where one is not a whole number from 0 on in its plain spelling (no sign, no zero before it). numbers [n] may be NULL. */
bool all_whole(const Text *ids, size_t n, int64_t *numbers);

#endif
