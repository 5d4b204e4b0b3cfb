/* recsys/metrics/significance.c: tests whether two systems differ, from a figure of each system for every user
 * (recipes.md 6.8).
 *
 * The tests are those of scipy 1.17.1. Sums are computed in NumPy's order (sum_of), because the statistic depends on
 * the rounding of sums if all differences are nearly equal. The tail probabilities use other methods than scipy: see
 * student_tail. */
// flags: -Os
#include "recsys/evaluation.h"

#include <math.h>
#include <stdlib.h>

/* Computes NumPy's pairwise sum: eight running sums for up to 128 numbers; longer arrays are split in halves. */
static double sum_of(const double *x, int64_t n)
{
    enum { LANES = 8, BLOCK = 128 };
    double s[LANES], sum = 0;
    if (n > BLOCK) {
        int64_t half = n / 2 / LANES * LANES;
        return sum_of(x, half) + sum_of(x + half, n - half);
    }
    int64_t i = 0;
    if (n >= LANES) {
        memcpy(s, x, sizeof s);
        for (i = LANES; i + LANES <= n; i += LANES)
            for (int k = 0; k < LANES; k++)
                s[k] += x[i + k];
        sum = ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
    }
    for (; i < n; i++)
        sum += x[i];
    return sum;
}

/* ---- Student's t ----------------------------------------------------------------------------- */

/* Returns Gamma(z + 1/2) / Gamma(z) for z > 0. It uses the difference of Stirling's series of both logarithms; their
 * large terms cancel in the formula. The difference of two calls of lgamma would lose many digits: the error would be
 * 1e-10 at z = 50,000. */
static double gamma_ratio(double z)
{
    double below = 1, r, s;
    while (z < 16) { /* Gamma(z + 1) = z Gamma(z) */
        below *= z / (z + 0.5);
        z++;
    }
    r = 1 / z;
    s = r * r;
    double tail =
        r * (-1.0 / 8 +
             s * (1.0 / 192 + s * (-1.0 / 640 + s * (17.0 / 14336 + s * (-31.0 / 18432 + s * (691.0 / 180224))))));
    return below * sqrt(z) * exp(tail);
}

/* Returns the continued fraction of the regularised incomplete beta function I_x(a, b) (Didonato and Morris 1992, ACM
 * TOMS 708, eq. 9), by the modified method of Lentz:
 *
 *   I_x(a, b) = x^a y^b / B(a, b) / fraction,  y = 1 - x
 *
 * `above` is a y - b x + 1. The caller computes it, without a difference of nearly equal numbers. */
static double beta_fraction(double a, double b, double x, double above)
{
    enum { MOST = 10000 };
    double f = a * above / (a + 1), c, d = 0;
    f = c = f != 0 ? f : 1e-300;
    for (int m = 1; m < MOST; m++) {
        double middle = a + 2 * m - 1, top = (a + m - 1) / middle * ((a + b + m - 1) / middle) * m * (b - m) * x * x;
        double bottom = m + m * (b - m) * x / middle + (a + m) * (above + m * (2 - x)) / (middle + 2);
        d = bottom + top * d;
        c = bottom + top / c;
        d = 1 / (d != 0 ? d : 1e-300);
        c = c != 0 ? c : 1e-300;
        f *= c * d;
        if (fabs(c * d - 1) < 1e-16)
            break;
    }
    return f;
}

/* Returns x^(df / 2) with x = df / (df + t^2), for a t^2 that does not overflow:
 *
 *   x^(df / 2) = exp(-exponent),  exponent = df / 2 log(1 + t^2 / df)
 *
 * If the p value is 1e-200, `exponent` is about 460. A rounding error in its last digit then changes the result by
 * 5e-14 of its size. The rounding errors of t^2 / df and of the product are therefore corrected. */
static double power_of_share(double t, double df)
{
    double square = t * t, rest = fma(t, t, -square), q = square / df;
    double rest_q = (fma(-q, df, square) + rest) / df, l = log1p(q);
    double exponent = df / 2 * l;
    return exp(-exponent) * (1 - (fma(df / 2, l, -exponent) + df / 2 * rest_q / (1 + q)));
}

/* Returns P(|T| >= |t|) of Student's t with df degrees of freedom: I_x(df / 2, 1 / 2), x = df / (df + t^2). A small
 * tail is computed directly, a large one as 1 minus the middle. */
double student_tail(double t, double df)
{
    double big = 1e100, a = df / 2;
    t = fabs(t);
    if (isnan(t) || !(df > 0))
        return NAN;
    if (isinf(t))
        return 0;
    double square = t * t, x = t < big ? df / (df + square) : 0, y = t < big ? square / (df + square) : 1;
    double power = t < big ? power_of_share(t, df) : exp(-a * (2 * log(t) - log(df)));
    double terms = power * sqrt(y) * gamma_ratio(a) / sqrt(M_PI), above = t < big ? a * x * (square - 1) / df : a;
    if (square > 2)
        return terms / beta_fraction(a, 0.5, x, above + 1);
    return t > 0 ? 1 - terms / beta_fraction(0.5, a, y, 1 - above) : 1;
}

/* ---- the tests ------------------------------------------------------------------------------- */

static double *differences(const double *a, const double *b, int64_t n, Arena *scratch, Error *e)
{
    double most = 1e100; /* the squares and their sum do not overflow */
    double *d = n > 0 ? NEW(scratch, double, n, e) : NULL;
    if (n < 1)
        fail(e, SP_USAGE, "there are no pairs of figures to test");
    for (int64_t i = 0; d && i < n; i++) {
        d[i] = a[i] - b[i];
        if (!(fabs(a[i]) <= most && fabs(b[i]) <= most)) {
            fail(e, SP_USAGE, "pair %lld of figures, %g and %g: numbers of at most 1e100 are expected", (long long)i,
                 a[i], b[i]);
            return NULL;
        }
    }
    return d;
}

bool paired_t_test(PairedTest *out, const double *a, const double *b, int64_t n, Arena *scratch, Error *e)
{
    ArenaMark mark = arena_mark(scratch);
    double *d = differences(a, b, n, scratch, e);
    if (!d)
        return false;
    double mean = sum_of(d, n) / (double)n;
    for (int64_t i = 0; i < n; i++)
        d[i] = (d[i] - mean) * (d[i] - mean);
    double variance = n > 1 ? sum_of(d, n) / (double)n * ((double)n / (double)(n - 1)) : NAN;
    out->statistic = mean / sqrt(variance / (double)n);
    out->p = student_tail(out->statistic, (double)(n - 1));
    arena_rewind(scratch, mark);
    return true;
}

static int by_magnitude(const void *a, const void *b)
{
    double x = fabs(*(const double *)a), y = fabs(*(const double *)b);
    return (x > y) - (x < y);
}

/* ranks of the magnitudes of the differences that are not 0; equal magnitudes get the mean of their ranks */
typedef struct SignedRanks {
    int64_t count;      /* number of differences that are not 0 */
    double plus, minus; /* sums of the ranks of positive and of negative differences: multiples of 1/2, exact */
    double ties;        /* sum of t^3 - t over the groups of t equal magnitudes */
    int *twice;         /* [SMALL] 2 x rank, in ascending order; not set if count is above SMALL */
} SignedRanks;
/* p is exact for n <= TINY, and for n <= SMALL without ties and zeros */
enum { SMALL = 50, TINY = 13 };

/* Computes the ranks of the differences d [n], and sorts d. */
static void sum_ranks(SignedRanks *r, double *d, int64_t n)
{
    qsort(d, (size_t)n, sizeof *d, by_magnitude);
    int64_t first = 0, zeros = 0;
    while (zeros < n && d[zeros] == 0)
        zeros++;
    d += zeros;
    r->count = n - zeros;
    for (int64_t end; first < r->count; first = end) {
        int64_t plus = 0;
        for (end = first; end < r->count && fabs(d[end]) == fabs(d[first]); end++)
            plus += d[end] > 0;
        double t = (double)(end - first), rank = 0.5 * (double)(first + 1 + end);
        r->plus += (double)plus * rank;
        r->minus += (t - (double)plus) * rank;
        r->ties += t * t * t - t;
        for (int64_t i = first; r->count <= SMALL && i < end; i++)
            r->twice[i] = (int)(first + 1 + end);
    }
}

/* Returns the exact two-sided p. All 2^count choices of signs are equally probable. ways[sum] counts the choices whose
 * positive ranks, times 2, have this sum; the loop adds one rank after the other. The counts are below 2^53, so they
 * are exact. p is 2 min(below, above) / 2^count. */
static double exact_p(const SignedRanks *r)
{
    double ways[SMALL * (SMALL + 1) + 1] = {1}, below = 0, above = 0;
    int all = 0, observed = (int)(2 * r->plus);
    for (int64_t i = 0; i < r->count; all += r->twice[i++])
        for (int sum = all; sum >= 0; sum--)
            ways[sum + r->twice[i]] += ways[sum];
    for (int sum = 0; sum <= all; sum++) {
        below += sum <= observed ? ways[sum] : 0;
        above += sum >= observed ? ways[sum] : 0;
    }
    return fmin(1, ldexp(fmin(below, above), 1 - (int)r->count));
}

bool wilcoxon_test(PairedTest *out, const double *a, const double *b, int64_t n, Arena *scratch, Error *e)
{
    ArenaMark mark = arena_mark(scratch);
    int twice[SMALL];
    SignedRanks r = {.twice = twice};
    double *d = differences(a, b, n, scratch, e);
    if (!d)
        return false;
    sum_ranks(&r, d, n);
    arena_rewind(scratch, mark);
    double m = (double)r.count, variance = (m * (m + 1) * (2 * m + 1) - r.ties / 2) / 24;
    out->statistic = fmin(r.plus, r.minus);
    if (!r.count)
        out->p = NAN;
    else if (n <= TINY || (n <= SMALL && r.count == n && r.ties == 0))
        out->p = exact_p(&r);
    else
        out->p = erfc(fabs(r.plus - m * (m + 1) / 4) / sqrt(variance) * M_SQRT1_2);
    return true;
}

/* ---- many tests ------------------------------------------------------------------------------ */

typedef struct Ordered {
    double p;
    size_t place; /* index of the test in the caller's list */
} Ordered;

static int by_p(const void *a, const void *b)
{
    const Ordered *x = a, *y = b;
    return x->p != y->p ? (x->p > y->p) - (x->p < y->p) : (x->place > y->place) - (x->place < y->place);
}

bool holm_adjust(double *adjusted, const double *p, size_t n, Arena *scratch, Error *e)
{
    ArenaMark mark = arena_mark(scratch);
    Ordered *order = NEW(scratch, Ordered, n, e);
    double largest = 0;
    if (!order)
        return false;
    for (size_t i = 0; i < n; i++)
        order[i] = (Ordered){isnan(p[i]) ? 1 : p[i], i};
    qsort(order, n, sizeof *order, by_p);
    for (size_t i = 0; i < n; i++) {
        largest = fmax(largest, fmin(1, (double)(n - i) * order[i].p));
        adjusted[order[i].place] = isnan(p[order[i].place]) ? NAN : largest;
    }
    arena_rewind(scratch, mark);
    return true;
}
