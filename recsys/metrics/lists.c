/* recsys/metrics/lists.c: computes figures from lists. Lists are added in blocks: no metric needs all of them at the
 * same time. */
#include "recsys/metrics/metrics.h"

#include <math.h>
#include <stdlib.h>

static int compare_down(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

static float rating_of(const Pairs *truth, int64_t at)
{
    return truth->rating ? truth->rating[at] : 1;
}

bool is_relevant(const EvalConfig *c, Protocol p, const Pairs *truth, int64_t at)
{
    return p == PROTOCOL_MMREC || (double)rating_of(truth, at) >= c->relevance_threshold;
}

static int64_t count_relevant(const EvalConfig *c, Protocol p, const Pairs *truth, int64_t user)
{
    int64_t n = 0;
    for (int64_t i = truth->start[user]; i < truth->start[user + 1]; i++)
        n += is_relevant(c, p, truth, i);
    return n;
}

int64_t relevant_users_of(const EvalConfig *c, const Pairs *truth, Protocol p, int64_t U)
{
    int64_t n = 0;
    for (int64_t u = 0; u < U; u++)
        n += count_relevant(c, p, truth, u) > 0;
    return n;
}

int64_t relevant_users(const Pairs *truth, Protocol p, int64_t U)
{
    return relevant_users_of(&(EvalConfig){0}, truth, p, U);
}

enum { LARGEST_RATING = 1000 }; /* with it, a sum of a million gains is finite */
static double gain_of(const EvalConfig *c, float rating)
{
    return exp2((double)rating - c->relevance_threshold + 1) - 1;
}

bool ratings_check(const EvalConfig *c, Protocol p, const Pairs *truth, const char *name, Error *e)
{
    bool graded = measures_needs(c, p) & METRIC_GAINS;
    double largest = 0;
    for (int64_t i = 0; graded && i < truth->count; i++)
        largest = fmax(largest, (double)rating_of(truth, i));
    return largest - c->relevance_threshold <= LARGEST_RATING ||
           fail(e, SP_FORMAT,
                "%s: a rating is %g, too large for nDCG, whose gains are 2^(rating - threshold + 1) - 1 (elliot): at "
                "most %g is expected; use nDCGRendle2020, or smaller ratings",
                name, largest, c->relevance_threshold + LARGEST_RATING);
}

/* ---- the scorer ------------------------------------------------------------------------------ */

/* A cutoff (they are sorted in ascending order) and its index in the caller's list. */
typedef struct Cutoff {
    int64_t at;
    size_t place;
} Cutoff;

static int by_cutoff(const void *a, const void *b)
{
    const Cutoff *x = a, *y = b;
    return (x->at > y->at) - (x->at < y->at);
}

struct Scorer {
    EvalState state;
    Scores *scores;
    Arena *arena;
    const Pairs *truth;
    Use *use; /* [uses] the metrics */
    size_t uses;
    Cutoff *order;         /* [cutoffs] in ascending order */
    int64_t longest;       /* the largest cutoff; INT64_MAX: lists are read to their ends */
    int64_t users;         /* allocated users in scores->by_user */
    int64_t length, liked; /* allocated lengths of the arrays below: of ranks, of relevant items */
    int64_t *hits, *held;  /* the arrays of UserList; they are used for one user after the other */
    bool *hit;
    double *gain, *ideal;
    float *rating;
    int32_t *liked_item;
};

static bool make_state(Scorer *s, const EvalConfig *c, Error *e)
{
    EvalState *state = &s->state;
    int64_t longest = 0;
    state->n = c->cutoff_count;
    s->order = NEW(s->arena, Cutoff, state->n, e);
    int64_t *at = NEW(s->arena, int64_t, state->n, e);
    if (!s->order || !at)
        return false;
    for (size_t i = 0; i < state->n; i++) {
        s->order[i] = (Cutoff){c->cutoffs[i], i};
        longest = MAX(longest, c->cutoffs[i]);
    }
    qsort(s->order, state->n, sizeof *s->order, by_cutoff);
    for (size_t i = 0; i < state->n; i++)
        at[i] = s->order[i].at;
    state->at = at;
    state->discount = NEW(s->arena, double, longest, e);
    state->harmonic = NEW(s->arena, double, longest + 1, e);
    if (!state->discount || !state->harmonic)
        return false;
    for (int64_t r = 0; r < longest; r++) {
        state->discount[r] = M_LN2 / log((double)r + 2);
        state->harmonic[r + 1] = state->harmonic[r] + 1 / (double)(r + 1);
    }
    if (ALL_METRICS && state->data)
        state->items = MAX(state->data->I, state->data->items ? text_index_count(state->data->items) : 0);
    s->longest = ALL_METRICS && measures_needs(c, state->protocol) & METRIC_WHOLE ? INT64_MAX : longest;
    return true;
}

/* Checks that all data are known that the metric, or one of its two parts (metric_0 and metric_1), needs: the numbers
 * of users and items, the train pairs, the ids. */
static bool has_what_it_needs(const Use *u, Error *e)
{
    const DataSet *d = u->state->data;
    unsigned needs = u->row->metric.needs;
    if (!ALL_METRICS)
        return true;
    if (u->part[0])
        needs |= u->part[0]->row->metric.needs | u->part[1]->row->metric.needs;
    if ((!(needs & (METRIC_LISTED_ITEMS | METRIC_CATALOGUE)) || d) &&
        (!(needs & METRIC_TRAIN) || (d && d->train.start)) && (!(needs & METRIC_FILE) || (d && d->items && d->users)))
        return true;
    return fail(e, SP_USAGE, "metrics: %s needs the %s, which are not known here", u->name,
                needs & METRIC_TRAIN ? "train interactions" : "numbers of users and items");
}

/* Parses the metrics and names their figures. */
static bool make_uses(Scorer *s, const EvalConfig *c, Error *e)
{
    size_t figures = 0, n = 0;
    if (!(s->use = NEW(s->arena, Use, c->metric_count, e)))
        return false;
    for (s->uses = 0; s->uses < c->metric_count; s->uses++) {
        Use *u = &s->use[s->uses];
        *u = (Use){.state = &s->state};
        if (!use_read(u, c->metrics[s->uses], s->state.protocol, s->arena, e) || !has_what_it_needs(u, e) ||
            !(u->one = NEW(s->arena, double, 2 * s->state.n, e)))
            return false;
        u->sum = u->one + s->state.n;
        u->figures = 1;
        u->names = &u->name;
        if (ALL_METRICS && u->row->begin && !u->row->begin(u, s->arena, e))
            return false;
        figures += u->figures;
    }
    Scores *out = s->scores;
    out->metrics = figures;
    out->cutoffs = s->state.n;
    if (!(out->sampled = sampled_words(c, s->arena, e)))
        return false;
    out->names = NEW(s->arena, const char *, figures, e);
    out->has_users = NEW(s->arena, bool, figures, e);
    out->at = NEW(s->arena, int64_t, out->cutoffs, e);
    out->mean = arena_alloc(s->arena, figures, out->cutoffs * sizeof(double), e);
    if (!out->names || !out->has_users || !out->at || !out->mean)
        return false;
    for (size_t i = 0; i < s->uses; i++)
        for (size_t k = 0; k < s->use[i].figures; k++, n++) {
            out->names[n] = s->use[i].names[k];
            out->has_users[n] = s->use[i].row->figure && !s->use[i].row->inner;
        }
    memcpy(out->at, c->cutoffs, out->cutoffs * sizeof *out->at);
    return true;
}

Scorer *scorer_new(Scores *s, Protocol p, const EvalConfig *c, const Pairs *truth, const DataSet *data, int64_t users,
                   Arena *a, Error *e)
{
    bool keep = s->keep_by_user;
    *s = (Scores){.keep_by_user = keep};
    if (!measures_check(c, a, e))
        return NULL;
    Scorer *x = NEW(a, Scorer, 1, e);
    if (!x)
        return NULL;
    *x = (Scorer){
        .state = {.protocol = p, .config = c, .data = data}, .scores = s, .arena = a, .truth = truth, .users = users};
    if (!make_state(x, c, e) || !make_uses(x, c, e))
        return NULL;
    if (keep && (!(s->by_user = arena_alloc(a, s->metrics * s->cutoffs, (size_t)users * sizeof(double), e)) ||
                 !(s->user = NEW(a, int32_t, users, e))))
        return NULL;
    return x;
}

bool scores_make(Scores *s, Protocol p, const EvalConfig *c, const DataSet *data, Arena *a, Error *e)
{
    return scorer_new(s, p, c, NULL, data, 0, a, e) != NULL;
}

/* ---- lists ----------------------------------------------------------------------------------- */

static int64_t list_start(const Lists *l, int64_t i)
{
    return l->start ? l->start[i] : i * l->K;
}

static int64_t length_of(const Lists *l, int64_t i)
{
    return l->start ? l->start[i + 1] - l->start[i] : l->K;
}

/* Makes space for a list of `length` ranks and for `liked` relevant items. */
static bool make_room(Scorer *s, int64_t length, int64_t liked, Error *e)
{
    Arena *a = s->arena;
    if (length > s->length || !s->hits) {
        s->length = MAX(length, 2 * s->length);
        s->hits = NEW(a, int64_t, s->length + 1, e);
        s->held = NEW(a, int64_t, s->length + 1, e);
        s->hit = NEW(a, bool, s->length, e);
        s->gain = NEW(a, double, s->length, e);
        if (!s->hits || !s->held || !s->hit || !s->gain || (ALL_METRICS && !(s->rating = NEW(a, float, s->length, e))))
            return false;
    }
    if (liked > s->liked || !s->ideal) {
        s->liked = MAX(liked, 2 * s->liked);
        s->ideal = NEW(a, double, s->liked, e);
        if (!s->ideal || (ALL_METRICS && !(s->liked_item = NEW(a, int32_t, s->liked, e))))
            return false;
    }
    return true;
}

/* Prepares the first n ranks of a list for the metrics. */
static UserList prepare_list(const Scorer *s, int64_t user, const int32_t *top, const double *score, int64_t n)
{
    const Pairs *truth = s->truth;
    const EvalConfig *c = s->state.config;
    Protocol p = s->state.protocol;
    int64_t relevant = 0;
    for (int64_t r = 0; r < n; r++) {
        int64_t at = top[r] < 0 ? -1 : pairs_find(truth, user, top[r]);
        s->hit[r] = at >= 0 && is_relevant(c, p, truth, at);
        s->hits[r + 1] = s->hits[r] + s->hit[r];
        s->held[r + 1] = s->held[r] + (top[r] >= 0);
        s->gain[r] = s->hit[r] ? gain_of(c, rating_of(truth, at)) : 0;
        if (ALL_METRICS)
            s->rating[r] = s->hit[r] ? rating_of(truth, at) : 0;
    }
    for (int64_t i = truth->start[user]; i < truth->start[user + 1]; i++)
        if (is_relevant(c, p, truth, i)) {
            if (ALL_METRICS)
                s->liked_item[relevant] = truth->item[i];
            s->ideal[relevant++] = gain_of(c, rating_of(truth, i));
        }
    qsort(s->ideal, (size_t)relevant, sizeof(double), compare_down);
    return (UserList){.user = user,
                      .relevant = relevant,
                      .length = n,
                      .item = top,
                      .score = score,
                      .liked = s->liked_item,
                      .hits = s->hits,
                      .held = s->held,
                      .hit = s->hit,
                      .gain = s->gain,
                      .rating = s->rating,
                      .ideal = s->ideal};
}

/* Counts each listed item at the smallest cutoff that includes its rank. scorer_end adds the smaller cutoffs. */
static void add_counts(EvalState *s, const UserList *list)
{
    size_t c = 0;
    for (int64_t r = 0; r < list->length && c < s->n; r++) {
        while (c < s->n && s->at[c] <= r)
            c++;
        if (c < s->n && list->item[r] >= 0)
            s->times_listed[(int64_t)c * s->items + list->item[r]]++;
    }
}

/* Writes a user's values of a figure to by_user; one [cutoffs], or NULL for NaN. */
static void write_user(Scorer *s, size_t figure, const double *one)
{
    Scores *out = s->scores;
    for (size_t c = 0; c < s->state.n; c++)
        out->by_user[(figure * s->state.n + s->order[c].place) * (size_t)s->users + (size_t)out->users] =
            one ? one[c] : NAN;
}

static void add_user(Scorer *s, const UserList *list)
{
    size_t figure = 0;
    if (ALL_METRICS && s->state.times_listed)
        add_counts(&s->state, list);
    for (size_t i = 0; i < s->uses; figure += s->use[i++].figures) {
        Use *u = &s->use[i];
        bool included = list->relevant > 0 || u->row->all_users;
        const double *one = u->row->figure && included ? u->one : NULL;
        if (one)
            u->row->figure(u, list, u->one);
        for (size_t c = 0; one && c < s->state.n; c++)
            u->sum[c] += one[c];
        if (ALL_METRICS && u->row->add && included)
            u->row->add(u, list, one);
        for (size_t k = 0; s->scores->by_user && list->relevant && k < u->figures; k++)
            write_user(s, figure + k, s->scores->has_users[figure] ? one : NULL);
    }
    s->state.all_users++;
    if (list->relevant && s->scores->by_user)
        s->scores->user[s->scores->users] = (int32_t)list->user;
    s->scores->users += list->relevant > 0;
}

bool scorer_add(Scorer *s, const Lists *l, Error *e)
{
    if (ALL_METRICS && !l->score && measures_needs(s->state.config, s->state.protocol) & METRIC_SCORES)
        return fail(e, SP_USAGE,
                    "metrics: MAE, MSE, RMSE, UserMADrating and ItemMADrating need the scores of the lists");
    for (int64_t i = 0; i < l->n; i++) {
        int64_t user = l->users[i], from = list_start(l, i), length = MIN(length_of(l, i), s->longest);
        const int32_t *top = l->top + from;
        int64_t pairs = s->truth->start[user + 1] - s->truth->start[user];
        bool all = s->state.protocol == PROTOCOL_MMREC || l->count_empty;
        if (!pairs || (!all && (length == 0 || top[0] < 0)))
            continue;
        if (!make_room(s, length, pairs, e))
            return false;
        UserList list = prepare_list(s, user, top, l->score ? l->score + from : NULL, length);
        add_user(s, &list);
    }
    return true;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* Removes the unused space between the rows of by_user: only users with a relevant item have a column. */
static void close_rows(Scorer *s)
{
    Scores *out = s->scores;
    for (size_t f = 1; out->by_user && f < out->metrics * out->cutoffs; f++)
        memmove(out->by_user + f * (size_t)out->users, out->by_user + f * (size_t)s->users,
                (size_t)out->users * sizeof(double));
}

bool scorer_end(Scorer *s, Error *e)
{
    EvalState *state = &s->state;
    size_t n = state->n, figure = 0;
    state->relevant_users = s->scores->users;
    for (int64_t i = state->items; ALL_METRICS && state->times_listed && i < (int64_t)n * state->items; i++)
        state->times_listed[i] += state->times_listed[i - state->items];
    for (size_t i = 0; i < s->uses; i++) {
        Use *u = &s->use[i];
        double *out = arena_alloc(s->arena, u->figures, n * sizeof(double), e);
        int64_t users = u->row->all_users ? state->all_users : state->relevant_users;
        if (!out)
            return false;
        for (size_t c = 0; c < n && users; c++)
            out[c] = u->sum[c] / (double)users;
        if (ALL_METRICS && u->row->end)
            u->row->end(u, out);
        for (size_t k = 0; k < u->figures; k++, figure++)
            for (size_t c = 0; c < n; c++)
                s->scores->mean[figure * n + s->order[c].place] = out[k * n + c];
    }
    close_rows(s);
    return true;
}

bool score_lists_of(Scores *s, Protocol p, const Lists *l, const Pairs *truth, const EvalConfig *config, Arena *a,
                    Error *e)
{
    Scorer *x = scorer_new(s, p, config, truth, l->data, l->n, a, e);
    return x && scorer_add(x, l, e) && scorer_end(x, e);
}

bool score_lists(Scores *s, Protocol p, const int32_t *users, int64_t n, int64_t K, const int32_t *top,
                 const Pairs *truth, const char *const *metrics, size_t metric_count, const int64_t *cutoffs,
                 size_t cutoff_count, Arena *a, Error *e)
{
    const Lists l = {.users = users, .n = n, .K = K, .top = top};
    const EvalConfig config = {
        .metrics = metrics, .metric_count = metric_count, .cutoffs = cutoffs, .cutoff_count = cutoff_count};
    if (K < 1)
        return fail(e, SP_USAGE, "the lists to evaluate are empty");
    return score_lists_of(s, p, &l, truth, &config, a, e);
}

bool scores_copy(Scores *to, const Scores *from, Arena *a, Error *e)
{
    size_t n = from->metrics * from->cutoffs;
    if (!from->mean)
        return true;
    if (!to->mean) {
        *to = *from;
        to->keep_by_user = false;
        to->by_user = NULL;
        to->user = NULL;
        to->sampled = arena_strndup(a, from->sampled, strlen(from->sampled), e);
        to->names = NEW(a, const char *, from->metrics, e);
        to->has_users = NEW(a, bool, from->metrics, e);
        to->at = NEW(a, int64_t, from->cutoffs, e);
        to->mean = NEW(a, double, n, e);
        if (!to->sampled || !to->names || !to->has_users || !to->at || !to->mean)
            return false;
        memcpy(to->has_users, from->has_users, from->metrics * sizeof *to->has_users);
        memcpy(to->at, from->at, from->cutoffs * sizeof *to->at);
        for (size_t i = 0; i < from->metrics; i++)
            if (!(to->names[i] = arena_strndup(a, from->names[i], strlen(from->names[i]), e)))
                return false;
    }
    memcpy(to->mean, from->mean, n * sizeof *to->mean);
    to->users = from->users;
    return true;
}
