/* recsys/metrics/beyond.c: coverage, diversity, novelty and popularity, with the definitions of Elliot (recipes.md 6.2)
 * and RecBole (6.3). */
// flags: -Os
#ifndef SAPOR_MINIMAL
#include "recsys/metrics/metrics.h"

#include <math.h>
#include <stdlib.h>

/* ---- popularity ------------------------------------------------------------------------------ */

bool count_popularity(EvalState *state, Arena *a, Error *e)
{
    const Pairs *train = &state->data->train;
    if (state->popularity)
        return true;
    if (!(state->popularity = NEW(a, int64_t, state->items, e)))
        return false;
    for (int64_t i = 0; i < train->count; i++)
        state->popularity[train->item[i]]++;
    return true;
}

bool popularity_begin(Use *u, Arena *a, Error *e)
{
    return count_popularity(u->state, a, e);
}

/* Computes, at each cutoff, the sum of the popularities of the first items of a list. */
static void sum_popularity(const Use *u, const UserList *list, double *out)
{
    int64_t sum = 0, r = 0;
    for (size_t c = 0; c < u->state->n; c++) {
        for (int64_t end = MIN(u->state->at[c], list->length); r < end; r++)
            sum += list->item[r] >= 0 ? u->state->popularity[list->item[r]] : 0;
        out[c] = (double)sum;
    }
}

/* Divides by the number of listed items. For an empty list the result is 0. */
static void per_item(const Use *u, const UserList *list, double *out)
{
    for (size_t c = 0; c < u->state->n; c++)
        out[c] /= (double)MAX(held_at(list, u->state->at[c]), 1);
}

/* Divides by the cutoffs, also for shorter lists. */
static void per_rank(const Use *u, double *out)
{
    for (size_t c = 0; c < u->state->n; c++)
        out[c] /= (double)u->state->at[c];
}

void mean_popularity(const Use *u, const UserList *list, double *out)
{
    sum_popularity(u, list, out);
    per_item(u, list, out);
}

void popularity_per_rank(const Use *u, const UserList *list, double *out)
{
    sum_popularity(u, list, out);
    per_rank(u, out);
}

/* ---- head and tail --------------------------------------------------------------------------- */

typedef struct Popular {
    int64_t count;
    int32_t item;
} Popular;

static int most_first(const void *a, const void *b)
{
    const Popular *x = a, *y = b;
    return x->count != y->count ? (x->count < y->count) - (x->count > y->count)
                                : (x->item > y->item) - (x->item < y->item);
}

static int least_first(const void *a, const void *b)
{
    const Popular *x = a, *y = b;
    return x->count != y->count ? (x->count > y->count) - (x->count < y->count)
                                : (x->item > y->item) - (x->item < y->item);
}

/* Returns [I]: the items below I with their popularities, sorted by `order`. */
static Popular *sorted_items(EvalState *state, int (*order)(const void *, const void *), Arena *a, Error *e)
{
    int64_t I = state->data->I;
    Popular *list = count_popularity(state, a, e) ? NEW(a, Popular, I, e) : NULL;
    for (int64_t i = 0; list && i < I; i++)
        list[i] = (Popular){state->popularity[i], (int32_t)i};
    if (list)
        qsort(list, (size_t)I, sizeof *list, order);
    return list;
}

int32_t *head_and_tail(EvalState *state, double ratio, Arena *a, Error *e)
{
    int64_t I = state->data->I;
    Popular *list = sorted_items(state, most_first, a, e);
    int32_t *of = list ? NEW(a, int32_t, state->items, e) : NULL;
    double left = (double)state->data->train.count * ratio;
    bool head = true;
    for (int64_t k = 0; of && k < state->items; k++)
        of[k] = -1;
    for (int64_t k = 0; of && k < I; k++) {
        of[list[k].item] = !head;
        left -= (double)list[k].count;
        head = head && left > 0;
    }
    return of;
}

bool tail_begin(Use *u, Arena *a, Error *e)
{
    return (u->own = head_and_tail(u->state, 0.8, a, e)) != NULL;
}

/* Marks RecBole's tail, among the items that occur in train, by tail_ratio (u->number). If it is above 1: the items
 * with at most this number of users. Otherwise: the least popular items, this share of all, but at least one. */
bool least_popular_begin(Use *u, Arena *a, Error *e)
{
    int64_t I = u->state->data->I, first = 0;
    Popular *list = sorted_items(u->state, least_first, a, e);
    int32_t *in_tail = list ? NEW(a, int32_t, u->state->items, e) : NULL;
    if (!in_tail)
        return false;
    while (first < I && list[first].count == 0)
        first++;
    int64_t share = MAX((int64_t)((double)(I - first) * MIN(u->number, 1.0)), 1);
    for (int64_t k = first; k < I; k++)
        in_tail[list[k].item] = u->number > 1 ? (double)list[k].count <= u->number : k - first < share;
    u->own = in_tail;
    return true;
}

void tail_count(const Use *u, const UserList *list, double *out)
{
    const int32_t *in_tail = u->own;
    int64_t sum = 0, r = 0;
    for (size_t c = 0; c < u->state->n; c++) {
        for (int64_t end = MIN(u->state->at[c], list->length); r < end; r++)
            sum += list->item[r] >= 0 && in_tail[list->item[r]] == 1;
        out[c] = (double)sum;
    }
}

void tail_share(const Use *u, const UserList *list, double *out)
{
    tail_count(u, list, out);
    per_item(u, list, out);
}

void tail_per_rank(const Use *u, const UserList *list, double *out)
{
    tail_count(u, list, out);
    per_rank(u, out);
}

/* ---- novelty --------------------------------------------------------------------------------- */

typedef struct Novelty {
    double *item; /* [items]: the novelty of each item */
    bool gains;   /* relevance=discounted: the terms are weighted by gain */
} Novelty;

/* Makes the state of a novelty metric. The caller then writes the novelty of each item to the array n->item. */
static Novelty *novelty_begin(Use *u, Arena *a, Error *e)
{
    Novelty *n = count_popularity(u->state, a, e) ? NEW(a, Novelty, 1, e) : NULL;
    if (!n || !(n->item = NEW(a, double, u->state->items, e)))
        return NULL;
    n->gains = u->value[P_RELEVANCE] && !strcmp(u->value[P_RELEVANCE], "discounted");
    return u->own = n;
}

/* The novelty of an item is -log2(its share of the train pairs). An item without train pairs has the largest one. */
bool efd_begin(Use *u, Arena *a, Error *e)
{
    EvalState *state = u->state;
    Novelty *n = novelty_begin(u, a, e);
    double pairs = (double)state->data->train.count, most = 0;
    for (int64_t i = 0; n && i < state->items; i++) {
        n->item[i] = state->popularity[i] ? -log((double)state->popularity[i] / pairs) / M_LN2 : 0;
        most = fmax(most, n->item[i]);
    }
    for (int64_t i = 0; n && i < state->items; i++)
        if (!state->popularity[i])
            n->item[i] = most;
    return n != NULL;
}

/* The novelty of an item is 1 - its share of the users in train. */
bool epc_begin(Use *u, Arena *a, Error *e)
{
    const DataSet *d = u->state->data;
    Novelty *n = novelty_begin(u, a, e);
    int64_t users = 0;
    for (int64_t i = 0; i < d->U; i++)
        users += d->train.start[i + 1] > d->train.start[i];
    for (int64_t i = 0; n && i < u->state->items; i++)
        n->item[i] = 1 - (double)u->state->popularity[i] / (double)users;
    return n != NULL;
}

void novelty(const Use *u, const UserList *list, double *out)
{
    const Novelty *n = u->own;
    const double *discount = u->state->discount;
    double sum = 0, norm = 0;
    int64_t r = 0;
    for (size_t c = 0; c < u->state->n; c++) {
        for (int64_t end = MIN(u->state->at[c], list->length); r < end; r++) {
            double relevance = n->gains ? list->gain[r] : list->hit[r];
            norm += list->item[r] >= 0 ? discount[r] : 0;
            sum += relevance != 0 ? relevance * discount[r] * n->item[list->item[r]] : 0;
        }
        out[c] = norm > 0 ? sum / norm : 0;
    }
}

/* ---- how often items are listed -------------------------------------------------------------- */

bool count_begin(Use *u, Arena *a, Error *e)
{
    EvalState *state = u->state;
    size_t cells;
    if (state->times_listed)
        return true;
    return (size_mul(state->n, (size_t)state->items, &cells) || fail_memory(e, SIZE_MAX, "counts of items")) &&
           (state->times_listed = NEW(a, int64_t, cells, e)) != NULL;
}

static const int64_t *counts_at(const Use *u, size_t c)
{
    return u->state->times_listed + (int64_t)c * u->state->items;
}

/* Returns how many of the items `from` to `items` - 1 are listed. */
static int64_t count_listed(const int64_t *count, int64_t from, int64_t items)
{
    int64_t n = 0;
    for (int64_t i = from; i < items; i++)
        n += count[i] > 0;
    return n;
}

static int64_t total(const int64_t *count, int64_t items)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < items; i++)
        sum += count[i];
    return sum;
}

void coverage_end(const Use *u, double *out)
{
    for (size_t c = 0; c < u->state->n; c++)
        out[c] = (double)count_listed(counts_at(u, c), 0, u->state->items);
}

/* Returns the number of items N: the items below I, and the listed items from I on, which train does not have. */
static double catalogue(const EvalState *state, const int64_t *count)
{
    return (double)(state->data->I + count_listed(count, state->data->I, state->items));
}

void coverage_share_end(const Use *u, double *out)
{
    coverage_end(u, out);
    for (size_t c = 0; c < u->state->n; c++)
        out[c] /= catalogue(u->state, counts_at(u, c));
}

static int compare_counts(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Returns the sum of (2 k - N - 1) share_k over the N items of catalogue(), numbered k = 1..N in ascending order of
 * their counts. share_k = count_k / (sum of all counts). It sorts the counts in place.
 *
 * `count` has S = state->items >= N elements. The S - N others are items from I on that are not listed. Their count is
 * 0, so they are among the first after sorting, and the element at index i has k = i + 1 - (S - N). */
static double inequality(const EvalState *state, int64_t *count, double N)
{
    double sum = 0, all = (double)total(count, state->items);
    qsort(count, (size_t)state->items, sizeof *count, compare_counts);
    for (int64_t i = 0; i < state->items; i++)
        if (count[i])
            sum += (2 * ((double)i + N - (double)state->items + 1) - N - 1) * ((double)count[i] / all);
    return sum;
}

double gini_of(const EvalState *state, int64_t *count)
{
    double N = catalogue(state, count);
    return 1 - inequality(state, count, N) / (N - 1);
}

/* Computes Elliot's Gini index or RecBole's index of the counts at each cutoff. The counts are copied before they are
 * sorted, because other metrics need them in the order of the items. */
static void gini_at_cutoffs(const Use *u, bool elliot, double *out)
{
    int64_t items = u->state->items, *sorted = u->own;
    for (size_t c = 0; c < u->state->n; c++) {
        memcpy(sorted, counts_at(u, c), (size_t)items * sizeof *sorted);
        double N = catalogue(u->state, sorted);
        out[c] = elliot ? gini_of(u->state, sorted) : inequality(u->state, sorted, N) / N;
    }
}

bool sorted_begin(Use *u, Arena *a, Error *e)
{
    return count_begin(u, a, e) && (u->own = NEW(a, int64_t, u->state->items, e)) != NULL;
}

void gini_end(const Use *u, double *out)
{
    gini_at_cutoffs(u, true, out);
}

void inequality_end(const Use *u, double *out)
{
    gini_at_cutoffs(u, false, out);
}

/* The state `own` [cutoffs, items] is, for each item, the sum of 1 / length over the lists that contain the item. */
bool entropy_begin(Use *u, Arena *a, Error *e)
{
    return count_begin(u, a, e) &&
           (u->own = arena_alloc(a, u->state->n, (size_t)u->state->items * sizeof(double), e)) != NULL;
}

void entropy_add(Use *u, const UserList *list, const double *value)
{
    double *weight = u->own;
    (void)value;
    for (size_t c = 0; c < u->state->n; c++)
        for (int64_t r = 0, end = MIN(u->state->at[c], list->length); r < end; r++)
            if (list->item[r] >= 0)
                weight[(int64_t)c * u->state->items + list->item[r]] += 1 / (double)held_at(list, end);
}

void entropy_end(const Use *u, double *out)
{
    int64_t items = u->state->items;
    for (size_t c = 0; c < u->state->n; c++) {
        const double *weight = (const double *)u->own + (int64_t)c * items;
        const int64_t *count = counts_at(u, c);
        double sum = 0, all = (double)total(count, items);
        for (int64_t i = 0; i < items; i++)
            sum += count[i] ? weight[i] * (-log((double)count[i] / all) / M_LN2) : 0;
        out[c] = sum / (double)u->state->all_users;
    }
}

void natural_entropy_end(const Use *u, double *out)
{
    int64_t items = u->state->items;
    for (size_t c = 0; c < u->state->n; c++) {
        const int64_t *count = counts_at(u, c);
        double sum = 0, all = (double)total(count, items);
        for (int64_t i = 0; i < items; i++)
            sum += count[i] ? -((double)count[i] / all) * log((double)count[i] / all) : 0;
        out[c] = sum / (double)count_listed(count, 0, items);
    }
}

/* ---- users ----------------------------------------------------------------------------------- */

void list_length(const Use *u, const UserList *list, double *out)
{
    for (size_t c = 0; c < u->state->n; c++)
        out[c] = (double)held_at(list, u->state->at[c]);
}

/* Counts the users whose list is not empty. The count is in u->sum, which other rows use for their means. */
void users_add(Use *u, const UserList *list, const double *value)
{
    (void)value;
    for (size_t c = 0; c < u->state->n; c++)
        u->sum[c] += list->held[list->length] > 0;
}

void full_lists_add(Use *u, const UserList *list, const double *value)
{
    (void)value;
    for (size_t c = 0; c < u->state->n; c++)
        u->sum[c] += list->held[list->length] >= u->state->at[c];
}

void sum_end(const Use *u, double *out)
{
    memcpy(out, u->sum, u->state->n * sizeof *out);
}

/* ---- features of items ----------------------------------------------------------------------- */

/* Opens a table of item features or of clusters. */
bool open_table(Table *t, const char *path, Arena *a, Error *e)
{
    Text content;
    if (!stream_read(&content, a, path, 0, e) || !text_decode(&content, path, a, e))
        return false;
    *t = table_open(content, '\t', path, a);
    return true;
}

typedef struct Features {
    int64_t *start, *end; /* [items] positions in `feature` */
    int64_t *feature;     /* [count] the features of the items, as numbers from 0 */
    size_t count, room;   /* length and capacity of `feature` */
    int64_t total;        /* number of distinct features */
    int64_t user;         /* number of the user, counted from 1 in the order of the lists */
    int64_t *seen;        /* [total] the last user with a hit that has this feature */
} Features;

static bool add_features(Features *f, const Table *t, int64_t item, TextIndex *names, Arena *a, Error *e)
{
    if (item < 0)
        return true;
    if (f->end[item])
        return fail(e, SP_FORMAT, "%s:%zu: the item %.*s is given twice", t->name, t->line,
                    (int)MIN(t->field[0].n, 40U), t->field[0].p);
    f->start[item] = (int64_t)f->count;
    for (size_t i = 1; i < t->count; i++) {
        Text word = text_trim(t->field[i]);
        int64_t number = word.n ? text_index_add(names, word, e) : 0;
        if (number < 0 || (f->count == f->room &&
                           !(f->feature = arena_grow(a, f->feature, f->count, &f->room, sizeof *f->feature, e))))
            return false;
        if (word.n)
            f->feature[f->count++] = number;
    }
    f->end[item] = (int64_t)f->count;
    return true;
}

/* Reads a file of lines "item, feature, feature, ...", separated by tabs. Features of items that are not in train do
 * not count. */
bool features_begin(Use *u, Arena *a, Error *e)
{
    Features *f = u->own = NEW(a, Features, 1, e);
    TextIndex *names = text_index_new(a, e);
    const DataSet *d = u->state->data;
    Table t;
    if (!f || !names || !(f->start = NEW(a, int64_t, u->state->items, e)) ||
        !(f->end = NEW(a, int64_t, u->state->items, e)) || !open_table(&t, u->value[P_FEATURE_DATA], a, e))
        return false;
    while (table_next(&t, e)) {
        int64_t item = text_index_find(d->items, t.field[0]);
        if (!add_features(f, &t, item < d->I ? item : -1, names, a, e))
            return false;
    }
    f->total = text_index_count(names);
    return e->code == SP_OK && (f->seen = NEW(a, int64_t, f->total, e));
}

void feature_recall(const Use *u, const UserList *list, double *out)
{
    Features *f = u->own;
    int64_t found = 0, r = 0;
    f->user++;
    for (size_t c = 0; c < u->state->n; c++) {
        for (int64_t end = MIN(u->state->at[c], list->length); r < end; r++)
            for (int64_t i = list->hit[r] ? f->start[list->item[r]] : 0; list->hit[r] && i < f->end[list->item[r]];
                 i++) {
                found += f->seen[f->feature[i]] != f->user;
                f->seen[f->feature[i]] = f->user;
            }
        out[c] = f->total ? (double)found / (double)f->total : 0;
    }
}
#endif
