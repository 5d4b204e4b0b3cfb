/* recsys/search/space.c: hyperopt's distributions (Bergstra et al., SciPy 2013), drawn by Philox. */
// flags: -Os
#include "recsys/search/space.h"

#include <math.h>

double own_exp(double x)
{
    static const double LOG2_E = 1.4426950408889634, HIGH = 0x1.62e42feep-1, LOW = 0x1.a39ef35793c76p-33;
    double k = floor(x * LOG2_E + 0.5), r = x - k * HIGH - k * LOW, y = 1;
    if (!(fabs(x) < 700))
        return x > 0 ? 0x1p1000 : 0; /* large enough to act as infinity */
    for (int i = 13; i > 0; i--)
        y = 1 + y * r / i; /* |r| <= 0.35, so the next term is below 1e-17 */
    return ldexp(y, (int)k);
}

double draw_f64(Draw d, uint64_t index, uint32_t attempt)
{
    uint32_t x[4];
    draw4(d, index, attempt, x);
    return (double)((uint64_t)x[0] << 21 | x[1] >> 11) * 0x1p-53;
}

double draw_normal_f64(Draw d, uint64_t index, uint32_t attempt)
{
    uint32_t x[4];
    draw4(d, index, attempt, x);
    double u = ((double)((uint64_t)x[0] << 20 | x[1] >> 12) + 0.5) * 0x1p-52;
    return sqrt(-2 * own_log(u)) * own_cos2pi((double)x[2] * 0x1p-32);
}

/* ---- dimensions ------------------------------------------------------------------------------ */

bool space_check(const Dimension *d, Error *e)
{
    enum { LOG_MOST = 600 };
    const char *how = distribution_names[d->distribution];
    if (d->distribution == DIST_CHOICE)
        return d->count > 0 || fail(e, SP_USAGE, "setting %s: choice has no values", d->key);
    if (!isfinite(d->low) || !isfinite(d->high) || !isfinite(d->q))
        return fail(e, SP_USAGE, "setting %s: the numbers of %s must be finite", d->key, how);
    if (is_normal(d->distribution) ? d->high < 0 : d->low >= d->high)
        return fail(e, SP_USAGE, "setting %s: %s(%g, %g): %s", d->key, how, d->low, d->high,
                    is_normal(d->distribution) ? "the deviation is below 0"
                                               : "the upper bound must be above the lower one");
    if (is_quantised(d->distribution) && d->q <= 0)
        return fail(e, SP_USAGE, "setting %s: %s: the step q must be above 0", d->key, how);
    if (is_log(d->distribution) && (fabs(d->low) > LOG_MOST || fabs(d->high) > LOG_MOST))
        return fail(e, SP_USAGE, "setting %s: %s takes the logarithms of its bounds", d->key, how);
    if (d->distribution == DIST_RANDINT &&
        (floor(d->low) != d->low || floor(d->high) != d->high || fabs(d->low) > 0x1p53 || fabs(d->high) > 0x1p53))
        return fail(e, SP_USAGE, "setting %s: the bounds of randint must be whole numbers", d->key);
    return true;
}

/* Returns the number of values of a dimension. INFINITY: it is continuous, or its values are not counted. */
static double values_of(const Dimension *d)
{
    switch (d->distribution) {
    case DIST_CHOICE: return (double)d->count;
    case DIST_RANDINT: return d->high - d->low;
    case DIST_QUNIFORM: return round(d->high / d->q) - round(d->low / d->q) + 1;
    default: return INFINITY;
    }
}

int64_t space_points(const Dimension *dims, size_t n)
{
    double points = 1;
    for (size_t i = 0; i < n; i++)
        points *= values_of(&dims[i]);
    return points <= GRID_MOST ? (int64_t)points : INT64_MAX;
}

const char *space_text(const Dimension *d, double x, Arena *a, Error *e)
{
    if (is_quantised(d->distribution))
        x = round(x / d->q) * d->q;
    x = x == 0 ? 0 : x; /* -0 becomes 0 */
    if (x == floor(x) && fabs(x) < 1e15)
        return arena_printf(a, e, "%.0f", x);
    return arena_printf(a, e, "%.6g", x);
}

/* Draws a number before it is rounded to a multiple of q. */
static double draw_number(const Dimension *d, Draw draw, uint64_t index, uint32_t attempt)
{
    double x = is_normal(d->distribution) ? d->low + d->high * draw_normal_f64(draw, index, attempt)
                                          : d->low + (d->high - d->low) * draw_f64(draw, index, attempt);
    return d->distribution == DIST_RANDINT ? floor(x) : is_log(d->distribution) ? own_exp(x) : x;
}

bool space_draw(const Space *s, int64_t number, uint32_t attempt, const char **values, Arena *a, Error *e)
{
    for (size_t i = 0; i < s->count; i++) {
        const Dimension *d = &s->dims[i];
        const char *name = arena_printf(a, e, "%s %s", s->name, d->key);
        if (!name)
            return false;
        Draw draw = {s->seed, DRAW_SEARCH, draw_name(name)};
        if (d->distribution == DIST_CHOICE)
            values[i] = d->values[(size_t)(draw_f64(draw, (uint64_t)number, attempt) * (double)d->count)];
        else if (!(values[i] = space_text(d, draw_number(d, draw, (uint64_t)number, attempt), a, e)))
            return false;
    }
    return true;
}
