/* recsys/data/data.h: what the files of this folder share and nobody else sees. */
#ifndef SAPOR_DATA_H
#define SAPOR_DATA_H

#include "recsys/recsys.h"

/* ---- columns.c: what the columns of a table of interactions are ------------------------------ */

enum { NO_COLUMN = -1 };
typedef enum Role { ROLE_USER, ROLE_ITEM, ROLE_RATING, ROLE_TIME, ROLE_PART, ROLES } Role;
extern const char *const role_names[ROLES]; /* "user", "item", "rating", "time", "x_label" */
typedef struct Columns {
    int count;
    int at[ROLES]; /* NO_COLUMN where absent */
    bool header;   /* the first row names them */
    bool typed;    /* as RecBole does: user_id:token */
    bool half;     /* no header, but its first row has a name for one of user and item */
    bool told;     /* by Layout.columns */
} Columns;
/* From the fields of the first row. False with an error where two columns fit a role equally, or where `told` does not
 * fit the row. */
bool columns_find(Columns *c, const Text *field, size_t n, const char *told, const char *path, size_t line, Error *e);
/* Fields of a row for a message: "a, b, c", at most four. */
const char *fields_text(const Text *field, size_t n, char *buffer, size_t size);
/* The place, from 0 on, of a column's name in `list`, names in lower case without '_', '-', '.' and blanks, between
 * blanks; a type behind a colon does not matter. -1 where it is none of them. */
int column_place(const char *list, Text name);
/* Seconds from "881250949", "1.3e9", "2005-09-06" or "2005-09-06T22:09:11Z" (a date without a zone is UTC). */
bool time_parse(Text text, int64_t *seconds);

/* ---- formats.c ------------------------------------------------------------------------------- */

/* ---- split.c, split_mmrec.c ------------------------------------------------------------------ */

/* The part of each row, 0 to 2, or 3 where the core of `c` leaves it out: part [r->count]. drawn: with SPLIT_V4 the
 * rows that are kept by user, in the order in which they were drawn; or NULL. */
bool split_ratings(const Ratings *r, const SplitConfig *c, int8_t *part, uint32_t *drawn, Arena *a, Error *e);
/* Both label the rows whose part is 0. */
bool split_v4(const Ratings *r, uint32_t seed, int8_t *part, uint32_t *drawn, Arena *a, Error *e);
bool split_global_time(const Ratings *r, double valid, double test, int8_t *part, Arena *a, Error *e);

/* ---- data.c, arrays.c, features.c, feature_table.c ------------------------------------------- */

typedef struct Row {
    int32_t user, item;
    float rating;
} Row;
/* Orders rows by user, then item; of rows with the same two the last one's rating stays. items: above every item
 * number. */
bool pairs_build(Pairs *p, int64_t users, int64_t items, const Row *rows, size_t n, Arena *a, Error *e);
/* Whether numbers are in range and ratings finite; name: of the part, for messages. */
bool interactions_check(const sp_interactions *x, const char *name, int64_t users, int64_t items, Error *e);
/* Reads the row names of OUT.npy from OUT.ids.txt into an index, line l as number l; NULL where there is no such
 * file. */
bool feature_names(TextIndex **names, const char **ids_path, const char *path, int64_t rows, Arena *a, Error *e);
/* row [n]: the row of the .npy `path`, which has `rows`, that belongs to each of n items, by its .ids.txt or by number;
 * -1: none. *hint: what its row names look like, or "". */
bool feature_find_rows(int64_t *row, const TextIndex *items, int64_t n, const char *path, int64_t rows,
                       const char **hint, Arena *a, Error *e);
/* Opens one item's features, (1, D) or (D,), D at least 1. */
bool feature_row_open(Npy *n, const char *file, Arena *a, Error *e);
bool feature_load(Feature *f, const DataSet *d, const char *spec, Arena *a, Error *e);
/* mean [D] of the rows of I items, but those that lack features (NULL: none does). */
bool feature_mean(const Feature *f, int64_t I, const bool *lacks, float *mean, Arena *scratch, Error *e);
/* The numbers of ids in their order; false where one is not a whole number from 0 on in its plain spelling (no sign, no
 * zero before it). numbers [n] may be NULL. */
bool all_whole(const Text *ids, size_t n, int64_t *numbers);

#endif
