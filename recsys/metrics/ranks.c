/* recsys/metrics/ranks.c: areas under the ROC curve (AUC), and errors of predicted scores, from the ranks and scores of
 * the relevant items (recipes.md 6.2). */
// flags: -Os
#ifndef SAPOR_MINIMAL
#include "recsys/metrics/metrics.h"

#include <math.h>

/* ---- AUC: a hit at rank r (from 0) after p hits adds (n - r + p) / n ------------------------- */

/* Returns n as Elliot defines it: 1 + the number of items that the user does not have in train and that are not
 * relevant. */
static double negatives(const Use *u, const Judged *j)
{
    const Pairs *train = &u->judge->data->train;
    int64_t owned = train->start[j->user + 1] - train->start[j->user];
    return (double)(u->judge->data->I - owned - j->relevant + 1);
}

static double area(const Use *u, const Judged *j, int64_t from, int64_t end)
{
    double n = negatives(u, j), sum = 0;
    for (int64_t r = from; r < end; r++)
        if (j->hit[r])
            sum += (n - (double)r + (double)j->hits[r]) / n;
    return sum;
}

void limited_auc(const Use *u, const Judged *j, double *out)
{
    double sum = 0;
    int64_t r = 0;
    for (size_t c = 0; c < u->judge->n; c++) {
        int64_t end = MIN(u->judge->at[c], j->length);
        sum += area(u, j, r, end);
        r = end;
        out[c] = sum / (double)MIN(u->judge->at[c], j->relevant);
    }
}

static void fill(const Use *u, double value, double *out)
{
    for (size_t c = 0; c < u->judge->n; c++)
        out[c] = value;
}

void group_auc(const Use *u, const Judged *j, double *out)
{
    fill(u, area(u, j, 0, j->length) / (double)j->relevant, out);
}

/* Adds to the two sums of ratio_end. */
static void add_to_ratio(Use *u, double above, double below)
{
    double *sum = u->own;
    size_t n = u->judge->n;
    for (size_t c = 0; c < n; c++) {
        sum[c] += above;
        sum[n + c] += below;
    }
}

void pooled_auc_add(Use *u, const Judged *j, const double *value)
{
    (void)value;
    add_to_ratio(u, area(u, j, 0, j->length), (double)j->hits[j->length]);
}

/* RecBole: items with equal scores share the mean of their ranks. Users are left out if all items of their list are
 * hits, or none is. */
void weighted_auc_add(Use *u, const Judged *j, const double *value)
{
    double hits = (double)j->hits[j->length], ranks = 0, rank = 0;
    double others = (double)j->held[j->length] - hits;
    (void)value;
    for (int64_t r = 0, end = 0; r < j->length; r = end) {
        for (end = r + 1; j->score && end < j->length && j->score[end] == j->score[r];)
            end++;
        double held = (double)(j->held[end] - j->held[r]);
        ranks += (double)(j->hits[end] - j->hits[r]) * (rank + (held + 1) / 2);
        rank += held;
    }
    if (hits > 0 && others > 0)
        add_to_ratio(u, ((hits + others + 1) * hits - hits * (hits + 1) / 2 - ranks) / others, hits);
}

/* ---- errors: a relevant item that the list lacks counts as an error of 0 (Elliot) ------------ */

static double squares(const Judged *j)
{
    double sum = 0;
    for (int64_t r = 0; r < j->length; r++)
        if (j->hit[r])
            sum += (j->score[r] - (double)j->rating[r]) * (j->score[r] - (double)j->rating[r]);
    return sum;
}

static double differences(const Judged *j)
{
    double sum = 0;
    for (int64_t r = 0; r < j->length; r++)
        if (j->hit[r])
            sum += fabs(j->score[r] - (double)j->rating[r]);
    return sum;
}

void absolute_error(const Use *u, const Judged *j, double *out)
{
    fill(u, differences(j) / (double)j->relevant, out);
}

void squared_error(const Use *u, const Judged *j, double *out)
{
    fill(u, squares(j) / (double)j->relevant, out);
}

void root_squared_error(const Use *u, const Judged *j, double *out)
{
    fill(u, sqrt(squares(j) / (double)j->relevant), out);
}

void absolute_error_add(Use *u, const Judged *j, const double *value)
{
    (void)value;
    add_to_ratio(u, differences(j), (double)j->relevant);
}

void squared_error_add(Use *u, const Judged *j, const double *value)
{
    (void)value;
    add_to_ratio(u, squares(j), (double)j->relevant);
}

void root_ratio_end(const Use *u, double *out)
{
    ratio_end(u, out);
    for (size_t c = 0; c < u->judge->n; c++)
        out[c] = sqrt(out[c]);
}
#endif
