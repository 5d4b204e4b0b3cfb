/* recsys/metrics/ranks.c: areas under the ROC curve (AUC), and errors of predicted scores, from the ranks and scores of
 * the relevant items (recipes.md 6.2). */
// flags: -Os
#ifndef SAPOR_MINIMAL
#include "recsys/metrics/metrics.h"

#include <math.h>

/* ---- AUC: a hit at rank r (from 0) after p hits adds (n - r + p) / n ------------------------- */

/* Returns n as Elliot defines it: 1 + the number of items that the user does not have in train and that are not
 * relevant. */
static double negatives(const Use *u, const UserList *list)
{
    const Pairs *train = &u->state->data->train;
    int64_t owned = train->start[list->user + 1] - train->start[list->user];
    return (double)(u->state->data->I - owned - list->relevant + 1);
}

/* Returns the sum of the terms (n - r + p) / n of the hits at ranks from .. end - 1. Ranks are counted from 0. */
static double area(const Use *u, const UserList *list, int64_t from, int64_t end)
{
    double n = negatives(u, list), sum = 0;
    for (int64_t r = from; r < end; r++)
        if (list->hit[r])
            sum += (n - (double)r + (double)list->hits[r]) / n;
    return sum;
}

void limited_auc(const Use *u, const UserList *list, double *out)
{
    double sum = 0;
    int64_t r = 0;
    for (size_t c = 0; c < u->state->n; c++) {
        int64_t end = MIN(u->state->at[c], list->length);
        sum += area(u, list, r, end);
        r = end;
        out[c] = sum / (double)MIN(u->state->at[c], list->relevant);
    }
}

static void fill(const Use *u, double value, double *out)
{
    for (size_t c = 0; c < u->state->n; c++)
        out[c] = value;
}

void group_auc(const Use *u, const UserList *list, double *out)
{
    fill(u, area(u, list, 0, list->length) / (double)list->relevant, out);
}

/* Adds to the two sums of ratio_end. */
static void add_to_ratio(Use *u, double above, double below)
{
    double *sum = u->own;
    size_t n = u->state->n;
    for (size_t c = 0; c < n; c++) {
        sum[c] += above;
        sum[n + c] += below;
    }
}

void pooled_auc_add(Use *u, const UserList *list, const double *value)
{
    (void)value;
    add_to_ratio(u, area(u, list, 0, list->length), (double)list->hits[list->length]);
}

/* RecBole: items with equal scores share the mean of their ranks. Users are left out if all items of their list are
 * hits, or none is. */
void weighted_auc_add(Use *u, const UserList *list, const double *value)
{
    double hits = (double)list->hits[list->length], ranks = 0, rank = 0;
    double others = (double)list->held[list->length] - hits;
    (void)value;
    for (int64_t r = 0, end = 0; r < list->length; r = end) {
        for (end = r + 1; list->score && end < list->length && list->score[end] == list->score[r];)
            end++;
        double held = (double)(list->held[end] - list->held[r]);
        ranks += (double)(list->hits[end] - list->hits[r]) * (rank + (held + 1) / 2);
        rank += held;
    }
    if (hits > 0 && others > 0)
        add_to_ratio(u, ((hits + others + 1) * hits - hits * (hits + 1) / 2 - ranks) / others, hits);
}

/* ---- errors: a relevant item that the list lacks counts as an error of 0 (Elliot) ------------ */

static double squares(const UserList *list)
{
    double sum = 0;
    for (int64_t r = 0; r < list->length; r++)
        if (list->hit[r])
            sum += (list->score[r] - (double)list->rating[r]) * (list->score[r] - (double)list->rating[r]);
    return sum;
}

static double differences(const UserList *list)
{
    double sum = 0;
    for (int64_t r = 0; r < list->length; r++)
        if (list->hit[r])
            sum += fabs(list->score[r] - (double)list->rating[r]);
    return sum;
}

void absolute_error(const Use *u, const UserList *list, double *out)
{
    fill(u, differences(list) / (double)list->relevant, out);
}

void squared_error(const Use *u, const UserList *list, double *out)
{
    fill(u, squares(list) / (double)list->relevant, out);
}

void root_squared_error(const Use *u, const UserList *list, double *out)
{
    fill(u, sqrt(squares(list) / (double)list->relevant), out);
}

void absolute_error_add(Use *u, const UserList *list, const double *value)
{
    (void)value;
    add_to_ratio(u, differences(list), (double)list->relevant);
}

void squared_error_add(Use *u, const UserList *list, const double *value)
{
    (void)value;
    add_to_ratio(u, squares(list), (double)list->relevant);
}

void root_ratio_end(const Use *u, double *out)
{
    ratio_end(u, out);
    for (size_t c = 0; c < u->state->n; c++)
        out[c] = sqrt(out[c]);
}
#endif
