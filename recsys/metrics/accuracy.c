/* recsys/metrics/accuracy.c: metrics of hits and their ranks, with the definitions of Elliot (recipes.md 6.2), MMRec
 * and RecBole (6.3).
 *
 * The systems agree on Recall, Precision, HR and MRR. Elliot's nDCG uses graded gains. Elliot's MAP is a mean of the
 * precisions at all ranks, not only at hits. */
#include "recsys/metrics/metrics.h"

void recall(const Use *u, const UserList *list, double *out)
{
    for (size_t c = 0; c < u->state->n; c++)
        out[c] = (double)hits_at(list, u->state->at[c]) / (double)list->relevant;
}

static double precision_at(const UserList *list, int64_t k)
{
    return (double)hits_at(list, k) / (double)k;
}

void precision(const Use *u, const UserList *list, double *out)
{
    for (size_t c = 0; c < u->state->n; c++)
        out[c] = precision_at(list, u->state->at[c]);
}

void hit_rate(const Use *u, const UserList *list, double *out)
{
    for (size_t c = 0; c < u->state->n; c++)
        out[c] = hits_at(list, u->state->at[c]) > 0;
}

void reciprocal_rank(const Use *u, const UserList *list, double *out)
{
    int64_t r = 0;
    for (size_t c = 0; c < u->state->n; c++) {
        int64_t end = MIN(u->state->at[c], list->length);
        while (r < end && !list->hit[r])
            r++;
        out[c] = r < end ? 1.0 / (double)(r + 1) : 0;
    }
}

void ndcg_graded(const Use *u, const UserList *list, double *out)
{
    double found = 0, best = 0;
    int64_t r = 0, b = 0;
    for (size_t c = 0; c < u->state->n; c++) {
        for (int64_t end = MIN(u->state->at[c], list->length); r < end; r++)
            found += list->gain[r] * u->state->discount[r];
        for (; b < MIN(u->state->at[c], list->relevant); b++)
            best += list->ideal[b] * u->state->discount[b];
        out[c] = found > 0 ? found / best : 0;
    }
}

void ndcg_binary(const Use *u, const UserList *list, double *out)
{
    double found = 0, best = 0;
    int64_t r = 0, b = 0;
    for (size_t c = 0; c < u->state->n; c++) {
        for (int64_t end = MIN(u->state->at[c], list->length); r < end; r++)
            found += list->hit[r] ? u->state->discount[r] : 0;
        for (; b < MIN(u->state->at[c], list->relevant); b++)
            best += u->state->discount[b];
        out[c] = found / best;
    }
}

/* Computes Elliot's MAP: the mean of Precision@n over n = 1..k. */
void mean_precision(const Use *u, const UserList *list, double *out)
{
    double total = 0;
    int64_t k = 0;
    for (size_t c = 0; c < u->state->n; c++) {
        while (k < MIN(u->state->at[c], list->length))
            total += precision_at(list, ++k);
        double behind = u->state->at[c] > k
                            ? (double)list->hits[k] * (u->state->harmonic[u->state->at[c]] - u->state->harmonic[k])
                            : 0; /* ranks after the end of the list */
        out[c] = (total + behind) / (double)u->state->at[c];
    }
}

void mean_recall(const Use *u, const UserList *list, double *out)
{
    double total = 0;
    int64_t k = 0;
    for (size_t c = 0; c < u->state->n; c++) {
        while (k < MIN(u->state->at[c], list->length))
            total += (double)list->hits[++k] / (double)list->relevant;
        double behind = (double)(u->state->at[c] - k) * (double)list->hits[k] / (double)list->relevant;
        out[c] = (total + behind) / (double)u->state->at[c];
    }
}

/* Computes the usual average precision: the sum of the precisions at the hits, divided by the largest possible number
 * of hits. */
void average_precision(const Use *u, const UserList *list, double *out)
{
    double total = 0;
    int64_t r = 0;
    for (size_t c = 0; c < u->state->n; c++) {
        for (int64_t end = MIN(u->state->at[c], list->length); r < end; r++)
            if (list->hit[r])
                total += (double)list->hits[r + 1] / (double)(r + 1);
        out[c] = total / (double)MIN(u->state->at[c], list->relevant);
    }
}

void f1(const Use *u, const UserList *list, double *out)
{
    for (size_t c = 0; c < u->state->n; c++) {
        double p = precision_at(list, u->state->at[c]),
               r = (double)hits_at(list, u->state->at[c]) / (double)list->relevant;
        out[c] = p + r > 0 ? 2 * p * r / (p + r) : 0;
    }
}

#ifndef SAPOR_MINIMAL
bool f_beta_begin(Use *u, Arena *a, Error *e)
{
    for (int i = 0; i < 2; i++) {
        Use *part = u->part[i];
        if (!(part->one = NEW(a, double, u->state->n, e)) || (part->row->begin && !part->row->begin(part, a, e)))
            return false;
    }
    return true;
}

/* Computes (1 + beta^2) A B / (beta^2 A + B) from two metrics A and B of the user. */
void f_beta(const Use *u, const UserList *list, double *out)
{
    double squared = u->number * u->number;
    for (int i = 0; i < 2; i++)
        u->part[i]->row->figure(u->part[i], list, u->part[i]->one);
    for (size_t c = 0; c < u->state->n; c++) {
        double a = u->part[0]->one[c], b = u->part[1]->one[c], below = squared * a + b;
        out[c] = below != 0 ? (1 + squared) * a * b / below : 0;
    }
}

/* ---- ratios of two sums over users ----------------------------------------------------------- */

/* own [2, cutoffs]: numerators, denominators */
bool two_sums_begin(Use *u, Arena *a, Error *e)
{
    return (u->own = NEW(a, double, 2 * u->state->n, e)) != NULL;
}

void ratio_end(const Use *u, double *out)
{
    const double *sum = u->own;
    size_t n = u->state->n;
    for (size_t c = 0; c < n; c++)
        out[c] = sum[c] / sum[n + c];
}

/* Adds up MMRec's Recall2: all hits / all relevant items. */
void pooled_recall_add(Use *u, const UserList *list, const double *value)
{
    double *sum = u->own;
    size_t n = u->state->n;
    (void)value;
    for (size_t c = 0; c < n; c++) {
        sum[c] += (double)hits_at(list, u->state->at[c]);
        sum[n + c] += (double)list->relevant;
    }
}
#endif
