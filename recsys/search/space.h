/* recsys/search/space.h: points of spaces that are not grids. Draws are functions of (seed, model, key, number of the
 * point, attempt), so they are the same on every machine and in every process. */
#ifndef SAPOR_SPACE_H
#define SAPOR_SPACE_H

#include "recsys/search/grid.h"

/* The space of a model's dimensions. `name` gives models with the same dimensions different draws. */
typedef struct Space {
    const char *name;
    const Dimension *dims;
    size_t count;
    uint64_t seed;
} Space;
/* Refuses bounds in the wrong order, q = 0 and similar errors: "setting lr: ...", SP_USAGE. */
bool space_check(const Dimension *d, Error *e);
/* Returns the number of points; INT64_MAX if a dimension is not choice, randint or quniform, or if there are more than
 * GRID_MOST. */
int64_t space_points(const Dimension *dims, size_t n);
/* Computes the values [count] of draw `attempt` of point `number`. For DIST_CHOICE, values[i] is one of the texts in
 * dims[i].values. For the other distributions, it is the drawn number as text (space_text), in the arena. */
bool space_draw(const Space *s, int64_t number, uint32_t attempt, const char **values, Arena *a, Error *e);
/* Formats a drawn number as a value of d: rounded to a multiple of q, if d has one, and with six digits. Whole numbers
 * below 1e15 have all their digits. */
const char *space_text(const Dimension *d, double x, Arena *a, Error *e);
/* Return a uniform number in [0, 1) with 53 bits, and a normal number of N(0, 1). */
double draw_f64(Draw d, uint64_t index, uint32_t attempt);
double draw_normal_f64(Draw d, uint64_t index, uint32_t attempt);
double own_exp(double x); /* in plain C, so that all machines give the same bits */
static inline bool is_quantised(Distribution how)
{
    return how == DIST_QUNIFORM || how == DIST_QLOGUNIFORM || how == DIST_QNORMAL || how == DIST_QLOGNORMAL;
}
static inline bool is_log(Distribution how)
{
    return how == DIST_LOGUNIFORM || how == DIST_QLOGUNIFORM || how == DIST_LOGNORMAL || how == DIST_QLOGNORMAL;
}
static inline bool is_normal(Distribution how)
{
    return how >= DIST_NORMAL && how <= DIST_QLOGNORMAL;
}

/* ---- tpe.c ----------------------------------------------------------------------------------- */

typedef struct TpeResult {
    const char *const *values;
    double figure; /* higher is better; NaN: the point failed and gives no information */
} TpeResult;
/* Draws point `number` from the results [count]. Another attempt gives another point. */
bool tpe_draw(const Space *s, const TpeResult *results, size_t count, int64_t number, uint32_t attempt,
              const char **values, Arena *a, Error *e);
enum { TPE_STARTUP = 20 }; /* number of points that are first drawn at random: hyperopt's n_startup_jobs */

#endif
