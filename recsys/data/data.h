/* recsys/data/data.h: private to recsys/data/: declarations that its files share. */
#ifndef SAPOR_DATA_H
#define SAPOR_DATA_H

#include "recsys/recsys.h"

/* ---- columns.c: the columns of a table of interactions --------------------------------------- */

enum { NO_COLUMN = -1 };
typedef enum Role { ROLE_USER, ROLE_ITEM, ROLE_RATING, ROLE_TIME, ROLE_PART, ROLES } Role;
extern const char *const role_names[ROLES]; /* "user", "item", "rating", "time", "x_label" */
typedef struct Columns {
    int count;        /* number of columns */
    int at[ROLES];    /* index of each role's column, from 0; NO_COLUMN if there is none */
    bool header;      /* the first row has the column names */
    bool typed;       /* a field of the first row has a type after a colon, as in RecBole: user_id:token */
    bool half_header; /* no header, but the first row has a known name of a user column or of an item column */
    bool given;       /* the caller named the columns (Layout.columns) */
} Columns;
/* Finds the columns from the fields of the first row. Returns false with an error if two columns fit a role equally
 * well, or if `given` (Layout.columns, or NULL) does not fit the row. */
bool columns_find(Columns *c, const Text *field, size_t n, const char *given, const char *path, size_t line, Error *e);
/* Formats fields of a row for a message: "a,b,c". After four fields, "..." stands for the others. Returns `buffer`. */
const char *fields_text(const Text *field, size_t n, char *buffer, size_t size);
/* Returns the index of a column's name in `list`; -1 if it is not in the list. In the list, names are in lower case,
 * their '_', '-', '.' and blanks are removed, and one blank is between two names: "userid rating". In the column's
 * name, a type after a colon is ignored. */
int column_place(const char *list, Text name);
/* Parses seconds from "881250949", "1.3e9", "2005-09-06" or "2005-09-06T22:09:11Z" (a date without a zone is UTC). */
bool time_parse(Text text, int64_t *seconds);

/* ---- split.c, split_mmrec.c ------------------------------------------------------------------ */

/* Computes part [r->count], the part of each row: 0 train, 1 validation, 2 test, or 3 if the k-core of `c` leaves the
 * row out. drawn [r->count]: with SPLIT_V4, receives the rows that are not left out, sorted by user and, for each user,
 * in the order in which they were drawn; or NULL. */
bool split_ratings(const Ratings *r, const SplitConfig *c, int8_t *part, uint32_t *drawn, Arena *a, Error *e);
/* SPLIT_V4 and SPLIT_GLOBAL_TIME. Both functions split the rows whose part is 0 on entry, and change `part` of these
 * rows only. valid, test: the ratios of SplitConfig. */
bool split_v4(const Ratings *r, uint32_t seed, int8_t *part, uint32_t *drawn, Arena *a, Error *e);
bool split_global_time(const Ratings *r, double valid, double test, int8_t *part, Arena *a, Error *e);

/* ---- data.c, arrays.c, features.c, feature_table.c ------------------------------------------- */

typedef struct Row {
    int32_t user, item;
    float rating;
} Row;
/* Sorts rows by user, then item. If several rows have the same user and item, the last one's rating is kept. `items`
 * must be larger than every item number. */
bool pairs_build(Pairs *p, int64_t users, int64_t items, const Row *rows, size_t n, Arena *a, Error *e);
/* Checks that numbers are in range and ratings are finite. name: of the part, for messages. */
bool interactions_check(const sp_interactions *x, const char *name, int64_t users, int64_t items, Error *e);
/* Reads the row names of the file OUT.npy (`path`) from OUT.ids.txt (*ids_path) into an index: row r has number r.
 * *names is NULL if OUT.ids.txt does not exist. The file must have `rows` lines. */
bool feature_names(TextIndex **names, const char **ids_path, const char *path, int64_t rows, Arena *a, Error *e);
/* Finds row [n], the row of the .npy `path` (which has `rows` rows) for each of n items, by its .ids.txt or by number;
 * -1: none. *hint: an example of its row names for a message, or "". */
bool feature_find_rows(int64_t *row, const TextIndex *items, int64_t n, const char *path, int64_t rows,
                       const char **hint, Arena *a, Error *e);
/* Opens the features of one item, (1, D) or (D,), D at least 1. The caller closes *n. */
bool feature_row_open(Npy *n, const char *file, Arena *a, Error *e);
/* Loads the features of the source "name=path" (DataConfig.features) for all items of `d`. */
bool feature_load(Feature *f, const DataSet *d, const char *spec, Arena *a, Error *e);
/* Computes mean [D] of the rows of I items, without those that lack features (lacks NULL: none). */
bool feature_mean(const Feature *f, int64_t I, const bool *lacks, float *mean, Arena *scratch, Error *e);
/* Converts ids to numbers, in order. Returns false if one is not a whole number >= 0 in its usual spelling (no sign, no
 * leading zero). numbers [n] may be NULL. */
bool all_whole(const Text *ids, size_t n, int64_t *numbers);

#endif
