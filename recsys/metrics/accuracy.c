/* recsys/metrics/accuracy.c: metrics of hits and their ranks, with the definitions of Elliot (recipes.md 6.2), MMRec
 * and RecBole (6.3).
 *
 * The systems agree on Recall, Precision, HR and MRR. Elliot's nDCG uses graded gains. Elliot's MAP is a mean of the
 * precisions at all ranks, not only at hits. */
#include "recsys/metrics/metrics.h"

void recall(const Use *u, const Judged *j, double *out)
{
    for (size_t c = 0; c < u->judge->n; c++)
        out[c] = (double)hits_at(j, u->judge->at[c]) / (double)j->relevant;
}

static double precision_at(const Judged *j, int64_t k)
{
    return (double)hits_at(j, k) / (double)k;
}

void precision(const Use *u, const Judged *j, double *out)
{
    for (size_t c = 0; c < u->judge->n; c++)
        out[c] = precision_at(j, u->judge->at[c]);
}

void hit_rate(const Use *u, const Judged *j, double *out)
{
    for (size_t c = 0; c < u->judge->n; c++)
        out[c] = hits_at(j, u->judge->at[c]) > 0;
}

void reciprocal_rank(const Use *u, const Judged *j, double *out)
{
    int64_t r = 0;
    for (size_t c = 0; c < u->judge->n; c++) {
        int64_t end = MIN(u->judge->at[c], j->length);
        while (r < end && !j->hit[r])
            r++;
        out[c] = r < end ? 1.0 / (double)(r + 1) : 0;
    }
}

void ndcg_graded(const Use *u, const Judged *j, double *out)
{
    double found = 0, best = 0;
    int64_t r = 0, b = 0;
    for (size_t c = 0; c < u->judge->n; c++) {
        for (int64_t end = MIN(u->judge->at[c], j->length); r < end; r++)
            found += j->gain[r] * u->judge->discount[r];
        for (; b < MIN(u->judge->at[c], j->relevant); b++)
            best += j->ideal[b] * u->judge->discount[b];
        out[c] = found > 0 ? found / best : 0;
    }
}

void ndcg_binary(const Use *u, const Judged *j, double *out)
{
    double found = 0, best = 0;
    int64_t r = 0, b = 0;
    for (size_t c = 0; c < u->judge->n; c++) {
        for (int64_t end = MIN(u->judge->at[c], j->length); r < end; r++)
            found += j->hit[r] ? u->judge->discount[r] : 0;
        for (; b < MIN(u->judge->at[c], j->relevant); b++)
            best += u->judge->discount[b];
        out[c] = found / best;
    }
}

/* Computes Elliot's MAP: the mean of Precision@n over n = 1..k. */
void mean_precision(const Use *u, const Judged *j, double *out)
{
    double total = 0;
    int64_t k = 0;
    for (size_t c = 0; c < u->judge->n; c++) {
        while (k < MIN(u->judge->at[c], j->length))
            total += precision_at(j, ++k);
        double behind = u->judge->at[c] > k
                            ? (double)j->hits[k] * (u->judge->harmonic[u->judge->at[c]] - u->judge->harmonic[k])
                            : 0; /* ranks after the end of the list */
        out[c] = (total + behind) / (double)u->judge->at[c];
    }
}

void mean_recall(const Use *u, const Judged *j, double *out)
{
    double total = 0;
    int64_t k = 0;
    for (size_t c = 0; c < u->judge->n; c++) {
        while (k < MIN(u->judge->at[c], j->length))
            total += (double)j->hits[++k] / (double)j->relevant;
        double behind = (double)(u->judge->at[c] - k) * (double)j->hits[k] / (double)j->relevant;
        out[c] = (total + behind) / (double)u->judge->at[c];
    }
}

/* Computes the usual average precision: the sum of the precisions at the hits, divided by the largest possible number
 * of hits. */
void average_precision(const Use *u, const Judged *j, double *out)
{
    double total = 0;
    int64_t r = 0;
    for (size_t c = 0; c < u->judge->n; c++) {
        for (int64_t end = MIN(u->judge->at[c], j->length); r < end; r++)
            if (j->hit[r])
                total += (double)j->hits[r + 1] / (double)(r + 1);
        out[c] = total / (double)MIN(u->judge->at[c], j->relevant);
    }
}

void f1(const Use *u, const Judged *j, double *out)
{
    for (size_t c = 0; c < u->judge->n; c++) {
        double p = precision_at(j, u->judge->at[c]), r = (double)hits_at(j, u->judge->at[c]) / (double)j->relevant;
        out[c] = p + r > 0 ? 2 * p * r / (p + r) : 0;
    }
}

#ifndef SAPOR_MINIMAL
bool f_beta_begin(Use *u, Arena *a, Error *e)
{
    for (int i = 0; i < 2; i++) {
        Use *part = u->part[i];
        if (!(part->one = NEW(a, double, u->judge->n, e)) || (part->row->begin && !part->row->begin(part, a, e)))
            return false;
    }
    return true;
}

/* Computes (1 + beta^2) A B / (beta^2 A + B) from two metrics A and B of the user. */
void f_beta(const Use *u, const Judged *j, double *out)
{
    double squared = u->number * u->number;
    for (int i = 0; i < 2; i++)
        u->part[i]->row->figure(u->part[i], j, u->part[i]->one);
    for (size_t c = 0; c < u->judge->n; c++) {
        double a = u->part[0]->one[c], b = u->part[1]->one[c], below = squared * a + b;
        out[c] = below != 0 ? (1 + squared) * a * b / below : 0;
    }
}

/* ---- ratios of two sums over users ----------------------------------------------------------- */

/* own [2, cutoffs]: numerators, denominators */
bool two_sums_begin(Use *u, Arena *a, Error *e)
{
    return (u->own = NEW(a, double, 2 * u->judge->n, e)) != NULL;
}

void ratio_end(const Use *u, double *out)
{
    const double *sum = u->own;
    size_t n = u->judge->n;
    for (size_t c = 0; c < n; c++)
        out[c] = sum[c] / sum[n + c];
}

/* Adds up MMRec's Recall2: all hits / all relevant items. */
void pooled_recall_add(Use *u, const Judged *j, const double *value)
{
    double *sum = u->own;
    size_t n = u->judge->n;
    (void)value;
    for (size_t c = 0; c < n; c++) {
        sum[c] += (double)hits_at(j, u->judge->at[c]);
        sum[n + c] += (double)j->relevant;
    }
}
#endif
