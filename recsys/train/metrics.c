/* recsys/train/metrics.c: how good lists are, as Elliot (recipes.md 6.2) and MMRec (recipes.md 6.3) count it.
 *
 * Both average over users. They agree on Recall, Precision, HR and MRR; Elliot's nDCG takes graded gains and its MAP is
 * a mean of precisions, not of precisions at hits. */
#include "recsys/data/data.h"
#include "recsys/train/train.h"

#include <math.h>
#include <stdlib.h>

/* One user's list as every metric needs it. */
typedef struct Judged {
    int64_t relevant;       /* items in the user's truth */
    int64_t length;         /* of the list, at most the longest cutoff: no rank behind it is a hit */
    const int64_t *hits;    /* [length+1]: hits among the first k */
    const bool *hit;        /* [length] */
    const double *gain;     /* [length]: 2^(rating + 1) - 1 of a hit, else 0 */
    const double *ideal;    /* [relevant]: the user's gains, largest first */
    const double *discount; /* [longest cutoff]: 1 / log2(rank + 1), rank from 1 */
    const double *harmonic; /* [longest cutoff+1]: 1 + 1/2 + ... + 1/k */
} Judged;

/* A metric at the n cutoffs `at`, which ascend; the list is walked once for all of them. */
typedef void Figure(const Judged *j, const int64_t *at, size_t n, double *out);

static int64_t hits_at(const Judged *j, int64_t k)
{
    return j->hits[MIN(k, j->length)];
}

static void recall(const Judged *j, const int64_t *at, size_t n, double *out)
{
    for (size_t c = 0; c < n; c++)
        out[c] = (double)hits_at(j, at[c]) / (double)j->relevant;
}

static double precision_at(const Judged *j, int64_t k)
{
    return (double)hits_at(j, k) / (double)k;
}

static void precision(const Judged *j, const int64_t *at, size_t n, double *out)
{
    for (size_t c = 0; c < n; c++)
        out[c] = precision_at(j, at[c]);
}

static void hit_rate(const Judged *j, const int64_t *at, size_t n, double *out)
{
    for (size_t c = 0; c < n; c++)
        out[c] = hits_at(j, at[c]) > 0;
}

static void reciprocal_rank(const Judged *j, const int64_t *at, size_t n, double *out)
{
    int64_t r = 0;
    for (size_t c = 0; c < n; c++) {
        int64_t end = MIN(at[c], j->length);
        while (r < end && !j->hit[r])
            r++;
        out[c] = r < end ? 1.0 / (double)(r + 1) : 0;
    }
}

static void ndcg_graded(const Judged *j, const int64_t *at, size_t n, double *out)
{
    double found = 0, best = 0;
    int64_t r = 0, b = 0;
    for (size_t c = 0; c < n; c++) {
        for (int64_t end = MIN(at[c], j->length); r < end; r++)
            found += j->gain[r] * j->discount[r];
        for (; b < MIN(at[c], j->relevant); b++)
            best += j->ideal[b] * j->discount[b];
        out[c] = found > 0 ? found / best : 0;
    }
}

static void ndcg_binary(const Judged *j, const int64_t *at, size_t n, double *out)
{
    double found = 0, best = 0;
    int64_t r = 0, b = 0;
    for (size_t c = 0; c < n; c++) {
        for (int64_t end = MIN(at[c], j->length); r < end; r++)
            found += j->hit[r] ? j->discount[r] : 0;
        for (; b < MIN(at[c], j->relevant); b++)
            best += j->discount[b];
        out[c] = found / best;
    }
}

/* Elliot's MAP: the mean over n = 1..k of Precision@n. */
static void mean_precision(const Judged *j, const int64_t *at, size_t n, double *out)
{
    double total = 0;
    int64_t k = 0;
    for (size_t c = 0; c < n; c++) {
        while (k < MIN(at[c], j->length))
            total += precision_at(j, ++k);
        double behind = at[c] > k ? (double)j->hits[k] * (j->harmonic[at[c]] - j->harmonic[k]) : 0; /* the list's end */
        out[c] = (total + behind) / (double)at[c];
    }
}

static void mean_recall(const Judged *j, const int64_t *at, size_t n, double *out)
{
    double total = 0;
    int64_t k = 0;
    for (size_t c = 0; c < n; c++) {
        while (k < MIN(at[c], j->length))
            total += (double)j->hits[++k] / (double)j->relevant;
        double behind = (double)(at[c] - k) * (double)j->hits[k] / (double)j->relevant;
        out[c] = (total + behind) / (double)at[c];
    }
}

/* Average precision, the classic: precision at each hit, over the most hits that there can be. */
static void average_precision(const Judged *j, const int64_t *at, size_t n, double *out)
{
    double total = 0;
    int64_t r = 0;
    for (size_t c = 0; c < n; c++) {
        for (int64_t end = MIN(at[c], j->length); r < end; r++)
            if (j->hit[r])
                total += (double)j->hits[r + 1] / (double)(r + 1);
        out[c] = total / (double)MIN(at[c], j->relevant);
    }
}

static void f1(const Judged *j, const int64_t *at, size_t n, double *out)
{
    for (size_t c = 0; c < n; c++) {
        double p = precision_at(j, at[c]), r = (double)hits_at(j, at[c]) / (double)j->relevant;
        out[c] = p + r > 0 ? 2 * p * r / (p + r) : 0;
    }
}

static const struct {
    Metric metric;
    Figure *of[2]; /* by protocol */
} METRICS[] = {
    {{"Recall", "relevant items in the list / relevant items"}, {recall, recall}},
    {{"Precision", "relevant items in the list / cutoff"}, {precision, precision}},
    {{"nDCG", "discounted gain / highest possible one; gain of an item: 2^(rating+1)-1 (elliot), 1 (mmrec)"},
     {ndcg_graded, ndcg_binary}},
    {{"HR", "1 if the list has a relevant item"}, {hit_rate, hit_rate}},
    {{"MRR", "1 / rank of the first relevant item"}, {reciprocal_rank, reciprocal_rank}},
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

/* ---- lists ----------------------------------------------------------------------------------- */

static int compare_down(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

enum { LARGEST_RATING = 1000 }; /* sums of a million gains are finite */
static double gain_of(float rating)
{
    return exp2((double)rating + 1) - 1; /* Elliot's threshold is 0 */
}

static float rating_of(const Pairs *truth, int64_t at)
{
    return truth->rating ? truth->rating[at] : 1;
}

/* Elliot: a rating below its threshold of 0 says that the item is not relevant. MMRec reads no ratings: every item of
 * the truth is. */
static bool is_relevant(const Pairs *truth, Protocol p, int64_t at)
{
    return p == PROTOCOL_MMREC || rating_of(truth, at) >= 0;
}

static int64_t count_relevant(const Pairs *truth, Protocol p, int64_t user)
{
    int64_t n = 0;
    for (int64_t i = truth->start[user]; i < truth->start[user + 1]; i++)
        n += is_relevant(truth, p, i);
    return n;
}

int64_t relevant_users(const Pairs *truth, Protocol p, int64_t U)
{
    int64_t n = 0;
    for (int64_t u = 0; u < U; u++)
        n += count_relevant(truth, p, u) > 0;
    return n;
}

bool ratings_check(const EvalConfig *c, Protocol p, const Pairs *truth, const char *name, Error *e)
{
    bool graded = false;
    float largest = 0;
    for (size_t m = 0; m < c->metric_count; m++) {
        int found = metric_find(c->metrics[m]);
        graded = graded || (found >= 0 && METRICS[found].of[p] == ndcg_graded);
    }
    for (int64_t i = 0; graded && i < truth->count; i++)
        largest = fmaxf(largest, rating_of(truth, i));
    return largest <= LARGEST_RATING ||
           fail(e, SP_FORMAT,
                "%s: a rating is %g, too large for nDCG, whose gains are 2^(rating + 1) - 1 (elliot): at most %d is "
                "expected; use the metric nDCGRendle2020, or smaller ratings",
                name, (double)largest, LARGEST_RATING);
}

typedef struct Scratch {
    int64_t *hits;
    bool *hit;
    double *gain, *ideal, *discount, *harmonic;
} Scratch;

/* The first n ranks of a list are judged. */
static Judged judge(const Scratch *s, const Pairs *truth, Protocol p, int64_t user, const int32_t *top, int64_t n)
{
    int64_t relevant = 0;
    for (int64_t r = 0; r < n; r++) {
        int64_t at = top[r] < 0 ? -1 : pairs_find(truth, user, top[r]);
        s->hit[r] = at >= 0 && is_relevant(truth, p, at);
        s->hits[r + 1] = s->hits[r] + s->hit[r];
        s->gain[r] = s->hit[r] ? gain_of(rating_of(truth, at)) : 0;
    }
    for (int64_t i = truth->start[user]; i < truth->start[user + 1]; i++)
        if (is_relevant(truth, p, i))
            s->ideal[relevant++] = gain_of(rating_of(truth, i));
    qsort(s->ideal, (size_t)relevant, sizeof(double), compare_down);
    return (Judged){relevant, n, s->hits, s->hit, s->gain, s->ideal, s->discount, s->harmonic};
}

static int compare_up(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

bool measures_check(const EvalConfig *c, Arena *a, Error *e)
{
    for (size_t m = 0; m < c->metric_count; m++) {
        int found = metric_find(c->metrics[m]);
        if (found < 0)
            return fail(e, SP_USAGE, "metrics: unknown metric '%s'; choose one of %s", c->metrics[m], metric_names());
        for (size_t k = 0; k < m; k++)
            if (metric_find(c->metrics[k]) == found)
                return fail(e, SP_USAGE, "metrics: %s is given twice", METRICS[found].metric.name);
    }
    if (c->cutoff_count > MANY_CUTOFFS)
        return fail(e, SP_USAGE, "cutoffs: %zu are given, at most %d are supported", c->cutoff_count, MANY_CUTOFFS);
    int64_t *sorted = NEW(a, int64_t, c->cutoff_count, e);
    for (size_t i = 0; sorted && i < c->cutoff_count; i++) {
        sorted[i] = c->cutoffs[i];
        if (sorted[i] < 1 || sorted[i] > LONGEST_CUTOFF)
            return fail(e, SP_USAGE, "cutoffs: %lld is not a whole number from 1 to %d", (long long)sorted[i],
                        LONGEST_CUTOFF);
    }
    if (!sorted)
        return false;
    qsort(sorted, c->cutoff_count, sizeof *sorted, compare_up);
    for (size_t i = 1; i < c->cutoff_count; i++)
        if (sorted[i] == sorted[i - 1])
            return fail(e, SP_USAGE, "cutoffs: %lld is given twice", (long long)sorted[i]);
    return true;
}

/* Cutoffs in ascending order, each with its place in the caller's. */
typedef struct Cutoff {
    int64_t at;
    size_t place;
} Cutoff;

static int by_cutoff(const void *a, const void *b)
{
    const Cutoff *x = a, *y = b;
    return (x->at > y->at) - (x->at < y->at);
}

static int64_t list_length(const Lists *l, int64_t i)
{
    return l->start ? l->start[i + 1] - l->start[i] : l->K;
}

static const int32_t *list_at(const Lists *l, int64_t i)
{
    return l->top + (l->start ? l->start[i] : i * l->K);
}

/* Elliot leaves out who has no list, MMRec who has no truth. */
static bool counts(const Lists *l, int64_t i, Protocol p, int64_t relevant)
{
    return relevant > 0 && (p == PROTOCOL_MMREC || (list_length(l, i) > 0 && list_at(l, i)[0] >= 0));
}

bool score_lists(Scores *s, Protocol p, const int32_t *users, int64_t n, int64_t K, const int32_t *top,
                 const Pairs *truth, const char *const *metrics, size_t metric_count, const int64_t *cutoffs,
                 size_t cutoff_count, Arena *a, Error *e)
{
    const Lists l = {.users = users, .n = n, .K = K, .top = top};
    if (K < 1)
        return fail(e, SP_USAGE, "the lists to evaluate are empty");
    return score_lists_of(s, p, &l, truth, &(EvalConfig){metrics, metric_count, cutoffs, cutoff_count}, a, e);
}

bool score_lists_of(Scores *s, Protocol p, const Lists *l, const Pairs *truth, const EvalConfig *config, Arena *a,
                    Error *e)
{
    size_t metric_count = config->metric_count, cutoff_count = config->cutoff_count;
    const int64_t *cutoffs = config->cutoffs;
    size_t figures = metric_count * cutoff_count;
    int64_t most = 0, counted = 0, longest = 0;
    bool keep = s->keep_by_user;
    *s = (Scores){.metrics = metric_count, .cutoffs = cutoff_count, .keep_by_user = keep};
    if (!measures_check(config, a, e))
        return false;
    s->names = NEW(a, const char *, metric_count, e);
    s->at = NEW(a, int64_t, cutoff_count, e);
    s->mean = NEW(a, double, figures, e);
    Cutoff *order = NEW(a, Cutoff, cutoff_count, e);
    int64_t *at = NEW(a, int64_t, cutoff_count, e);
    double *one = NEW(a, double, cutoff_count, e);
    Figure **figure = NEW(a, Figure *, metric_count, e);
    if (!s->names || !s->at || !s->mean || !order || !at || !one || !figure)
        return false;
    for (size_t m = 0; m < metric_count; m++) {
        s->names[m] = METRICS[metric_find(config->metrics[m])].metric.name;
        figure[m] = METRICS[metric_find(config->metrics[m])].of[p];
    }
    for (size_t c = 0; c < cutoff_count; c++) {
        s->at[c] = cutoffs[c];
        order[c] = (Cutoff){cutoffs[c], c};
        longest = MAX(longest, cutoffs[c]);
    }
    qsort(order, cutoff_count, sizeof *order, by_cutoff);
    for (size_t c = 0; c < cutoff_count; c++)
        at[c] = order[c].at;
    for (int64_t i = 0; i < l->n; i++) {
        int64_t relevant = count_relevant(truth, p, l->users[i]);
        most = MAX(most, relevant);
        counted += counts(l, i, p, relevant);
    }
    if (keep && (!(s->by_user = arena_alloc(a, figures, (size_t)counted * sizeof(double), e)) ||
                 !(s->user = NEW(a, int32_t, counted, e))))
        return false;
    Scratch w = {NEW(a, int64_t, longest + 1, e), NEW(a, bool, longest, e),   NEW(a, double, longest, e),
                 NEW(a, double, most, e),         NEW(a, double, longest, e), NEW(a, double, longest + 1, e)};
    if (!w.hits || !w.hit || !w.gain || !w.ideal || !w.discount || !w.harmonic)
        return false;
    for (int64_t r = 0; r < longest; r++) {
        w.discount[r] = M_LN2 / log((double)r + 2);
        w.harmonic[r + 1] = w.harmonic[r] + 1 / (double)(r + 1);
    }
    for (int64_t i = 0; i < l->n; i++) {
        if (!counts(l, i, p, count_relevant(truth, p, l->users[i])))
            continue;
        Judged j = judge(&w, truth, p, l->users[i], list_at(l, i), MIN(list_length(l, i), longest));
        for (size_t m = 0; m < metric_count; m++) {
            figure[m](&j, at, cutoff_count, one);
            for (size_t c = 0; c < cutoff_count; c++) {
                size_t f = m * cutoff_count + order[c].place;
                s->mean[f] += one[c];
                if (keep)
                    s->by_user[f * (size_t)counted + (size_t)s->users] = one[c];
            }
        }
        if (keep)
            s->user[s->users] = l->users[i];
        s->users++;
    }
    for (size_t f = 0; f < figures && s->users; f++)
        s->mean[f] /= (double)s->users;
    return true;
}
