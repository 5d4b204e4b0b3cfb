/* recsys/search/space.h: points of spaces that are not grids. Draws are functions of (seed, model, key, number of the
 * point, attempt): the same on every machine, whoever draws them. */
#ifndef SAPOR_SPACE_H
#define SAPOR_SPACE_H

#include "recsys/search/grid.h"

/* A search: of a model's dimensions. `name` separates the draws of models with the same dimensions. */
typedef struct Space {
    const char *name;
    const Dimension *dims;
    size_t count;
    uint64_t seed;
} Space;
/* Refuses bounds in the wrong order, q of 0 and the like: "setting lr: ...", SP_USAGE. */
bool space_check(const Dimension *d, Error *e);
/* How many points there are; INT64_MAX where a dimension is continuous, or there are more than GRID_MOST. */
int64_t space_points(const Dimension *dims, size_t n);
/* The values [count] of draw `attempt` of point `number`, texts in the arena or those of the dimension. */
bool space_draw(const Space *s, int64_t number, uint32_t attempt, const char **values, Arena *a, Error *e);
/* A drawn number as the text of a value of d: six digits, a multiple of q, within the bounds. */
const char *space_text(const Dimension *d, double x, Arena *a, Error *e);
/* [0, 1), 53 bits; N(0, 1) */
double draw_f64(Draw d, uint64_t index, uint32_t attempt);
double draw_normal_f64(Draw d, uint64_t index, uint32_t attempt);
double own_exp(double x); /* plain C: no two machines differ in its last bit */
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
    double figure; /* the higher, the better; NaN: the point failed, and says nothing */
} TpeResult;
/* Point `number`, the successor of the results [count]. Another attempt gives another point. */
bool tpe_draw(const Space *s, const TpeResult *results, size_t count, int64_t number, uint32_t attempt,
              const char **values, Arena *a, Error *e);
enum { TPE_STARTUP = 20 }; /* points that are drawn at random first: hyperopt's n_startup_jobs */

#endif
