/* recsys/search/grid.h: lists of values for some settings, their product, and the names of its points. No function here
 * reads or writes a file. */
#ifndef SAPOR_GRID_H
#define SAPOR_GRID_H

#include "recsys/search/search.h"

enum { GRID_MOST = 1 << 20 }; /* points */

/* Counts the points of DIST_CHOICE dimensions: 1 without dimensions. More than GRID_MOST is SP_USAGE. */
bool grid_points(const Dimension *dims, size_t n, int64_t *points, Error *e);
/* Returns the values [n] of a point, 0 to grid_points - 1. The last dimension changes fastest. */
void grid_point(const Dimension *dims, size_t n, int64_t point, const char **values);

/* Returns the canonical spelling of a value, for names and files: a number as %d or %.6g, with more digits if needed;
 * true and false in lower case; other texts unchanged. Values with the same spelling are the same value. */
const char *point_value(const char *value, Arena *a, Error *e);
/* Returns "lr=0.001 l_w=1e-05": keys and spellings of the values [n], separated by `between`; "" if n is 0. */
const char *point_name(const Dimension *dims, size_t n, const char *const *values, char between, Arena *a, Error *e);
/* Returns a folder name for a point. It is point_name with commas between the values, with two changes if needed:
 *
 * - Each character other than letters, digits and "=,.+-_@" becomes '_'.
 * - A name of more than 120 bytes is cut.
 *
 * If the name was changed, it ends in '-' and 8 hex digits, a hash of the full name. At most 120 bytes. */
const char *point_folder(const Dimension *dims, size_t n, const char *const *values, Arena *a, Error *e);

/* "key=value" texts, in which there may be several values: "lr=0.001,0.01". Commas in brackets, and commas of settings
 * that are lists or texts, belong to the value. */
typedef struct Grid {
    const char **fixed; /* texts with one value, in order */
    size_t fixed_count;
    Dimension *dims; /* the other texts, in order */
    size_t dim_count;
    int64_t points;
} Grid;
/* Parses the texts. If a key is given twice, the last text counts. Errors (SP_USAGE): a value that is given twice, an
 * empty value, and several lists for a setting that is a list ("cutoffs=[5],[10]"). The values themselves are not
 * checked. */
bool grid_read(Grid *g, const Recommender *kind, const char *const *set, size_t n, Arena *a, Error *e);
/* Returns the texts of a point for settings_make; *set is in the arena. */
bool grid_set(const Grid *g, int64_t point, const char *const **set, size_t *n, Arena *a, Error *e);

#endif
