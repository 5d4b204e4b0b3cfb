/* recsys/search/grid.h: values to try for some settings, their product, and the names of its points. No function here
 * reads or writes a file. */
#ifndef SAPOR_GRID_H
#define SAPOR_GRID_H

#include "recsys/search/search.h"

enum { GRID_MOST = 1 << 20 }; /* points */

/* The dimensions are of DIST_CHOICE. *points: how many there are, 1 without dimensions; more than GRID_MOST is an
 * error, SP_USAGE. */
bool grid_points(const Dimension *dims, size_t n, int64_t *points, Error *e);
/* The values [n] of a point, 0 to grid_points - 1: the last dimension is the fastest. */
void grid_point(const Dimension *dims, size_t n, int64_t point, const char **values);

/* The one spelling of a value in names and files: a number as %d or %.6g writes it, with more digits where it needs
 * them; True and False in lower case; other texts unchanged. Two values of one spelling are the same value. */
const char *point_value(const char *value, Arena *a, Error *e);
/* "lr=0.001 l_w=1e-05": keys and spellings of the values [n], with `between` between them; "" where n is 0. */
const char *point_name(const Dimension *dims, size_t n, const char *const *values, char between, Arena *a, Error *e);
/* The name with commas as that of a folder: letters, digits and "=,.+-_@" alone, at most 120 bytes. A name that is
 * longer or has other characters ends in '-' and 8 hex digits, a hash of the name. */
const char *point_folder(const Dimension *dims, size_t n, const char *const *values, Arena *a, Error *e);

/* "key=value" texts, in which a value may be several: "lr=0.001,0.01". Commas in brackets, and those of settings that
 * take a list or a text, belong to the value. */
typedef struct Grid {
    const char **fixed; /* texts with one value, in their order */
    size_t fixed_count;
    Dimension *dims; /* the others, in their order */
    size_t dim_count;
    int64_t points;
} Grid;
/* Of a key that is given twice the last text counts. A value given twice, an empty one and several lists for a setting
 * that takes a list ("cutoffs=[5],[10]") are errors, SP_USAGE; other settings are not checked. */
bool grid_read(Grid *g, const Recommender *kind, const char *const *set, size_t n, Arena *a, Error *e);
/* The texts of a point, for settings_make: *set in the arena. */
bool grid_set(const Grid *g, int64_t point, const char *const **set, size_t *n, Arena *a, Error *e);

#endif
