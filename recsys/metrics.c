/* recsys/metrics.c: how good lists are, as Elliot (recipes.md 6.2) and MMRec (recipes.md 6.3) count it.
 *
 * Both average over users. They agree on Recall, Precision, HR and MRR; Elliot's nDCG takes graded gains and its MAP is a
 * mean of precisions, not of precisions at hits. */
#include "recsys/private.h"

#include <math.h>
#include <stdlib.h>

/* One user's list as every metric needs it. */
typedef struct Judged {
    int64_t relevant;       /* items in the user's truth */
    const int64_t *hits;    /* [K+1]: hits among the first k */
    const bool *hit;        /* [K] */
    const double *gain;     /* [K]: 2^(rating + 1) - 1 of a hit, else 0 */
    const double *ideal;    /* [min(K, relevant)]: the user's gains, largest first */
    const double *discount; /* [K]: 1 / log2(rank + 1), rank from 1 */
} Judged;

static double recall(const Judged *j, int64_t k)
{
    return (double)j->hits[k] / (double)j->relevant;
}

static double precision(const Judged *j, int64_t k)
{
    return (double)j->hits[k] / (double)k;
}

static double hit_rate(const Judged *j, int64_t k)
{
    return j->hits[k] > 0;
}

static double reciprocal_rank(const Judged *j, int64_t k)
{
    for (int64_t r = 0; r < k; r++)
        if (j->hit[r])
            return 1.0 / (double)(r + 1);
    return 0;
}

static double ndcg_graded(const Judged *j, int64_t k)
{
    double found = 0, best = 0;
    for (int64_t r = 0; r < k; r++)
        found += j->gain[r] * j->discount[r];
    for (int64_t r = 0; r < MIN(k, j->relevant); r++)
        best += j->ideal[r] * j->discount[r];
    return found > 0 ? found / best : 0;
}

static double ndcg_binary(const Judged *j, int64_t k)
{
    double found = 0, best = 0;
    for (int64_t r = 0; r < k; r++)
        found += j->hit[r] ? j->discount[r] : 0;
    for (int64_t r = 0; r < MIN(k, j->relevant); r++)
        best += j->discount[r];
    return found / best;
}

/* Elliot's MAP: the mean over n = 1..k of Precision@n. */
static double mean_precision(const Judged *j, int64_t k)
{
    double total = 0;
    for (int64_t n = 1; n <= k; n++)
        total += precision(j, n);
    return total / (double)k;
}

static double mean_recall(const Judged *j, int64_t k)
{
    double total = 0;
    for (int64_t n = 1; n <= k; n++)
        total += recall(j, n);
    return total / (double)k;
}

/* Average precision, the classic: precision at each hit, over the most hits that there can be. */
static double average_precision(const Judged *j, int64_t k)
{
    double total = 0;
    for (int64_t r = 0; r < k; r++)
        if (j->hit[r])
            total += (double)j->hits[r + 1] / (double)(r + 1);
    return total / (double)MIN(k, j->relevant);
}

static double f1(const Judged *j, int64_t k)
{
    double p = precision(j, k), r = recall(j, k);
    return p + r > 0 ? 2 * p * r / (p + r) : 0;
}

typedef double Figure(const Judged *j, int64_t k);
static const struct {
    Metric metric;
    Figure *of[2]; /* by protocol */
} METRICS[] = {
    {{"Recall", "hits / items in the truth"}, {recall, recall}},
    {{"Precision", "hits / cutoff"}, {precision, precision}},
    {{"nDCG", "discounted gain / the ideal one; elliot: gain 2^(rating+1)-1, mmrec: 1"}, {ndcg_graded, ndcg_binary}},
    {{"HR", "1 if anything was hit"}, {hit_rate, hit_rate}},
    {{"MRR", "1 / rank of the first hit"}, {reciprocal_rank, reciprocal_rank}},
    {{"MAP", "elliot: mean of Precision@1..cutoff; mmrec: average precision"}, {mean_precision, average_precision}},
    {{"MAR", "mean of Recall@1..cutoff"}, {mean_recall, mean_recall}},
    {{"F1", "harmonic mean of Precision and Recall"}, {f1, f1}},
    {{"nDCGRendle2020", "nDCG with gain 1"}, {ndcg_binary, ndcg_binary}},
    {{"AP", "average precision"}, {average_precision, average_precision}},
};

size_t metric_count(void)
{
    return COUNT(METRICS);
}

const Metric *metric_at(size_t i)
{
    return &METRICS[i].metric;
}

const char *metric_names(void)
{
    return "Recall, Precision, nDCG, HR, MRR, MAP, MAR, F1, nDCGRendle2020, AP";
}

int metric_find(const char *name)
{
    name = strcasecmp(name, "Hit") ? name : "HR"; /* RecBole's name */
    for (size_t i = 0; i < COUNT(METRICS); i++)
        if (!strcasecmp(name, METRICS[i].metric.name))
            return (int)i;
    return -1;
}

/* ---- lists
 * ------------------------------------------------------------------------------------------------------------------ */

static int compare_down(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

static double gain_of(float rating)
{
    return exp2((double)rating + 1) - 1; /* Elliot's threshold is 0 */
}

/* Elliot: a rating below its threshold of 0 says that the item is not relevant. MMRec reads no ratings: every item of the truth is. */
static bool is_relevant(const Pairs *truth, Protocol p, int64_t at)
{
    return p == PROTOCOL_MMREC || truth->rating[at] >= 0;
}

static int64_t count_relevant(const Pairs *truth, Protocol p, int64_t user)
{
    int64_t n = 0;
    for (int64_t i = truth->start[user]; i < truth->start[user + 1]; i++)
        n += is_relevant(truth, p, i);
    return n;
}

/* Where an item stands in the user's truth; -1 when it does not. */
static int64_t find_item(const Pairs *p, int64_t user, int32_t item)
{
    int64_t low = p->start[user], high = p->start[user + 1];
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (p->item[middle] < item)
            low = middle + 1;
        else
            high = middle;
    }
    return low < p->start[user + 1] && p->item[low] == item ? low : -1;
}

typedef struct Scratch {
    int64_t *hits;
    bool *hit;
    double *gain, *ideal, *discount;
} Scratch;

static Judged judge(const Scratch *s, const Pairs *truth, Protocol p, int64_t user, const int32_t *top, int64_t K)
{
    int64_t relevant = 0;
    for (int64_t r = 0; r < K; r++) {
        int64_t at = top[r] < 0 ? -1 : find_item(truth, user, top[r]);
        s->hit[r] = at >= 0 && is_relevant(truth, p, at);
        s->hits[r + 1] = s->hits[r] + s->hit[r];
        s->gain[r] = s->hit[r] ? gain_of(truth->rating[at]) : 0;
    }
    for (int64_t i = truth->start[user]; i < truth->start[user + 1]; i++)
        if (is_relevant(truth, p, i))
            s->ideal[relevant++] = gain_of(truth->rating[i]);
    qsort(s->ideal, (size_t)relevant, sizeof(double), compare_down);
    return (Judged){relevant, s->hits, s->hit, s->gain, s->ideal, s->discount};
}

static bool check(Scores *s, int64_t K, const char *const *metrics, const int64_t *cutoffs, Error *e)
{
    for (size_t m = 0; m < s->metrics; m++) {
        int found = metric_find(metrics[m]);
        if (found < 0)
            return fail(e, SP_USAGE, "there is no metric '%s'; there are %s", metrics[m], metric_names());
        s->names[m] = METRICS[found].metric.name;
    }
    if (K < 1)
        return fail(e, SP_USAGE, "the lists to judge are empty");
    for (size_t c = 0; c < s->cutoffs; c++) {
        if (cutoffs[c] < 1 || cutoffs[c] > K)
            return fail(e, SP_USAGE, "cutoff %lld: lists have %lld items, so cutoffs go from 1 to %lld",
                        (long long)cutoffs[c], (long long)K, (long long)K);
        s->at[c] = cutoffs[c];
    }
    return true;
}

bool score_lists(Scores *s, Protocol p, const int32_t *users, int64_t n, int64_t K, const int32_t *top, const Pairs *truth,
                 const char *const *metrics, size_t metric_count, const int64_t *cutoffs, size_t cutoff_count, Arena *a,
                 Error *e)
{
    size_t figures = metric_count * cutoff_count;
    int64_t most = 0, counted = 0;
    *s = (Scores){.metrics = metric_count, .cutoffs = cutoff_count};
    s->names = NEW(a, const char *, metric_count, e);
    s->at = NEW(a, int64_t, cutoff_count, e);
    if (!s->names || !s->at || !check(s, K, metrics, cutoffs, e))
        return false;
    for (int64_t i = 0; i < n; i++) {
        int64_t relevant = count_relevant(truth, p, users[i]);
        most = MAX(most, relevant);
        counted += relevant > 0 && (p == PROTOCOL_MMREC || top[i * K] >= 0);
    }
    s->mean = NEW(a, double, figures, e);
    s->by_user = arena_alloc(a, figures, (size_t)counted * sizeof(double), e);
    Scratch w = {NEW(a, int64_t, K + 1, e), NEW(a, bool, K, e), NEW(a, double, K, e), NEW(a, double, most, e),
                 NEW(a, double, K, e)};
    if (!s->mean || !s->by_user || !w.hits || !w.hit || !w.gain || !w.ideal || !w.discount)
        return false;
    for (int64_t r = 0; r < K; r++)
        w.discount[r] = M_LN2 / log((double)r + 2);
    for (int64_t i = 0; i < n; i++) {
        if (count_relevant(truth, p, users[i]) == 0 || (p == PROTOCOL_ELLIOT && top[i * K] < 0))
            continue;
        Judged j = judge(&w, truth, p, users[i], top + i * K, K);
        for (size_t f = 0; f < figures; f++) {
            double x = METRICS[metric_find(s->names[f / cutoff_count])].of[p](&j, cutoffs[f % cutoff_count]);
            s->by_user[f * (size_t)counted + (size_t)s->users] = x;
            s->mean[f] += x;
        }
        s->users++;
    }
    for (size_t f = 0; f < figures && s->users; f++)
        s->mean[f] /= (double)s->users;
    return true;
}
