/* recsys/metrics/groups.c: metrics of clusters of users and items, with Elliot's definitions (recipes.md 6.2).
 * docs/formats.md describes the files of clusters. */
// flags: -Os
#ifndef SAPOR_MINIMAL
#include "recsys/metrics/metrics.h"

#include <math.h>
#include <stdlib.h>

/* ---- clusters -------------------------------------------------------------------------------- */

typedef struct Clusters {
    int32_t *of;   /* [users] or [items] the cluster of each; -1: none */
    int64_t n;     /* number of clusters; they are numbered from 0 */
    int64_t *size; /* [n] number of ids per cluster in the file, including unknown ids */
    int64_t ids;   /* number of ids in all clusters */
} Clusters;

/* Computes c->n, c->size and c->ids from cluster [rows], the column of clusters in the file. Every cluster must have at
 * least one id, so the number of clusters is at most the number of rows. */
static bool count_clusters(Clusters *c, const int32_t *cluster, size_t rows, const char *path, Arena *a, Error *e)
{
    c->ids = (int64_t)rows;
    for (size_t r = 0; r < rows; r++)
        c->n = MAX(c->n, (int64_t)cluster[r] + 1);
    if (c->n > c->ids || c->n == 0)
        return fail(e, SP_FORMAT, "%s: has %lld ids, and a cluster %lld; clusters 0, 1, 2, ... are expected", path,
                    (long long)c->ids, (long long)c->n - 1);
    if (!(c->size = NEW(a, int64_t, c->n, e)))
        return false;
    for (size_t r = 0; r < rows; r++)
        c->size[cluster[r]]++;
    for (int64_t k = 0; k < c->n; k++)
        if (!c->size[k])
            return fail(e, SP_FORMAT, "%s: cluster %lld has no id; clusters 0, 1, 2, ... are expected", path,
                        (long long)k);
    return true;
}

/* Reads a file of lines "id, cluster", separated by tabs. `ids` has the known ids, with numbers below `count`. */
static bool read_clusters(Clusters *c, const char *path, const TextIndex *ids, int64_t count, Arena *a, Error *e)
{
    Table t;
    int32_t *cluster = NULL;
    size_t rows = 0, room = 0;
    TextIndex *seen = text_index_new(a, e);
    if (!seen || !(c->of = NEW(a, int32_t, count, e)) || !open_table(&t, path, a, e))
        return false;
    for (int64_t i = 0; i < count; i++)
        c->of[i] = -1;
    while (table_next(&t, e)) {
        int64_t k;
        if (t.count != 2 || !text_i64(text_trim(t.field[1]), &k) || k < 0 || k > INT32_MAX - 1)
            return fail(e, SP_FORMAT, "%s:%zu: an id, a tab and the number of a cluster, from 0, are expected", path,
                        t.line);
        int64_t new = text_index_add(seen, t.field[0], e), at = text_index_find(ids, t.field[0]);
        if (new >= 0 && new < (int64_t)rows)
            return fail(e, SP_FORMAT, "%s:%zu: the id %.*s is given twice", path, t.line, (int)MIN(t.field[0].n, 40U),
                        t.field[0].p);
        if (new < 0 || (rows == room && !(cluster = arena_grow(a, cluster, rows, &room, sizeof *cluster, e))))
            return false;
        cluster[rows++] = (int32_t)k;
        if (at >= 0 && at < count)
            c->of[at] = (int32_t)k;
    }
    return e->code == SP_OK && count_clusters(c, cluster, rows, path, a, e);
}

static bool read_users(Clusters *c, const Use *u, const char *path, Arena *a, Error *e)
{
    return read_clusters(c, path, u->state->data->users, u->state->data->U, a, e);
}

static bool read_items(Clusters *c, const Use *u, const char *path, Arena *a, Error *e)
{
    return read_clusters(c, path, u->state->data->items, u->state->items, a, e);
}

/* Sets the number of figures, and allocates space for their names. */
static bool name_figures(Use *u, size_t figures, Arena *a, Error *e)
{
    enum { MOST = 1 << 17 };
    if (figures > MOST)
        return fail(e, SP_USAGE, "metrics: %s has %zu figures, one for each cluster or pair of them; at most %d",
                    u->name, figures, MOST);
    u->figures = figures;
    return (u->names = NEW(a, const char *, figures, e)) != NULL;
}

/* Names the figures "NAME-0", "NAME-1", ... */
static bool name_clusters(Use *u, const char *name, int64_t n, Arena *a, Error *e)
{
    for (int64_t k = 0; k < n; k++)
        if (!(u->names[k] = arena_printf(a, e, "%s-%lld", name, (long long)k)))
            return false;
    return true;
}

/* Allocates zeros [rows, cutoffs]. */
static double *cells_of(const Use *u, int64_t rows, Arena *a, Error *e)
{
    return arena_alloc(a, (size_t)rows, u->state->n * sizeof(double), e);
}

/* ---- the share of each group of items that is listed ----------------------------------------- */

typedef struct Shares {
    Clusters groups;
    double *listed; /* [groups, cutoffs] number of listed items (or of hits) of the group, over all users */
    double *could;  /* [groups] number of items of the group that can be listed, over all users */
} Shares;

static Shares *shares_new(Use *u, Arena *a, Error *e)
{
    return u->own = NEW(a, Shares, 1, e);
}

static bool shares_room(const Use *u, Arena *a, Error *e)
{
    Shares *s = u->own;
    return (s->listed = cells_of(u, s->groups.n, a, e)) && (s->could = NEW(a, double, s->groups.n, e));
}

bool head_tail_begin(Use *u, Arena *a, Error *e)
{
    Shares *s = shares_new(u, a, e);
    double ratio = *u->row->metric.parameters ? u->number : 0.8;
    if (!s || !(s->groups.of = head_and_tail(u->state, ratio, a, e)) || !(s->groups.size = NEW(a, int64_t, 2, e)))
        return false;
    s->groups.n = 2;
    for (int64_t i = 0; i < u->state->data->I; i++)
        s->groups.size[s->groups.of[i]]++;
    return shares_room(u, a, e);
}

bool item_groups_begin(Use *u, Arena *a, Error *e)
{
    Shares *s = shares_new(u, a, e);
    if (!s || !read_items(&s->groups, u, u->value[P_CLUSTERING_FILE], a, e) ||
        !name_figures(u, (size_t)s->groups.n + 1, a, e))
        return false;
    const char *name = u->value[P_CLUSTERING_NAME];
    u->names[s->groups.n] = u->name;
    name = arena_printf(a, e, "%s-ProbToBeRanked_items:%s", u->row->metric.name, name ? name : "");
    return name && name_clusters(u, name, s->groups.n, a, e) && shares_room(u, a, e);
}

/* Counts the listed items, or the hits only, in s->listed. The item at rank r is counted at each cutoff that is at
 * least r. */
static void add_listed(const Use *u, const UserList *list, bool hits_only)
{
    Shares *s = u->own;
    size_t n = u->state->n, c = 0;
    for (int64_t r = 0; r < list->length; r++) {
        while (c < n && u->state->at[c] <= r)
            c++;
        if (c == n)
            break;
        int64_t k = list->item[r] < 0 || (hits_only && !list->hit[r]) ? -1 : s->groups.of[list->item[r]];
        for (size_t at = c; k >= 0 && at < n; at++)
            s->listed[(size_t)k * n + at]++;
    }
}

/* Counts for one user, per group: the listed items, and the items that can be listed. An item can be listed if the user
 * does not have it in train. */
void parity_add(Use *u, const UserList *list, const double *value)
{
    Shares *s = u->own;
    const Pairs *train = &u->state->data->train;
    (void)value;
    add_listed(u, list, false);
    for (int64_t k = 0; k < s->groups.n; k++)
        s->could[k] += (double)s->groups.size[k];
    for (int64_t i = train->start[list->user]; i < train->start[list->user + 1]; i++)
        if (s->groups.of[train->item[i]] >= 0)
            s->could[s->groups.of[train->item[i]]]--;
}

/* Counts for one user, per group: the hits, and the relevant items that can be listed. A relevant item can be listed if
 * the user does not have it in train. */
void opportunity_add(Use *u, const UserList *list, const double *value)
{
    Shares *s = u->own;
    (void)value;
    add_listed(u, list, true);
    for (int64_t i = 0; i < list->relevant; i++) {
        int32_t k = s->groups.of[list->liked[i]];
        if (k >= 0 && pairs_find(&u->state->data->train, list->user, list->liked[i]) < 0)
            s->could[k]++;
    }
}

static double share(const Use *u, int64_t k, size_t c)
{
    const Shares *s = u->own;
    return s->listed[(size_t)k * u->state->n + c] / s->could[k];
}

/* Computes standard deviation / mean over the groups. */
void spread_end(const Use *u, double *out)
{
    const Shares *s = u->own;
    double groups = (double)s->groups.n;
    for (size_t c = 0; c < u->state->n; c++) {
        double sum = 0, squares = 0;
        for (int64_t k = 0; k < s->groups.n; k++)
            sum += share(u, k, c);
        for (int64_t k = 0; k < s->groups.n; k++)
            squares += (share(u, k, c) - sum / groups) * (share(u, k, c) - sum / groups);
        out[c] = sqrt(squares / groups) / (sum / groups);
    }
}

/* Writes the share of each group, then the spread over the groups. */
void shares_end(const Use *u, double *out)
{
    const Shares *s = u->own;
    size_t n = u->state->n;
    for (int64_t k = 0; k < s->groups.n; k++)
        for (size_t c = 0; c < n; c++)
            out[(size_t)k * n + c] = share(u, k, c);
    spread_end(u, out + (size_t)s->groups.n * n);
}

/* ---- means of groups ------------------------------------------------------------------------- */

typedef struct Means {
    Clusters groups;
    const int32_t *tail; /* for clustered_APLT: see head_and_tail */
    double *sum;         /* of users: [groups, cutoffs] sum of the users' values */
    int64_t *count;      /* [groups] number of users or items in a mean */
    /* of items, both [cutoffs, items]:
     * - gain: the sum of the item's gains (or scores) in the lists in which it is relevant
     * - times: the number of lists that have the item
     * A cell covers only the ranks after the previous cutoff, until item_difference_end adds the earlier cells. */
    double *gain;
    int64_t *times;
    double *mean; /* [groups] scratch */
} Means;

static Means *user_means_new(Use *u, Parameter file, Arena *a, Error *e)
{
    Means *m = u->own = NEW(a, Means, 1, e);
    return m && read_users(&m->groups, u, u->value[file], a, e) && (m->sum = cells_of(u, m->groups.n, a, e)) &&
                   (m->count = NEW(a, int64_t, m->groups.n, e)) && (m->mean = NEW(a, double, m->groups.n, e))
               ? m
               : NULL;
}

bool user_difference_begin(Use *u, Arena *a, Error *e)
{
    return user_means_new(u, P_CLUSTERING_FILE, a, e) != NULL;
}

bool user_groups_begin(Use *u, Arena *a, Error *e)
{
    const Means *m = user_means_new(u, P_USER_CLUSTERING_FILE, a, e);
    return m && name_figures(u, (size_t)m->groups.n, a, e) && name_clusters(u, u->name, m->groups.n, a, e);
}

void user_groups_add(Use *u, const UserList *list, const double *value)
{
    Means *m = u->own;
    int32_t k = m->groups.of[list->user];
    if (k < 0)
        return;
    m->count[k]++;
    for (size_t c = 0; c < u->state->n; c++)
        m->sum[(size_t)k * u->state->n + c] += value[c];
}

void user_groups_end(const Use *u, double *out)
{
    const Means *m = u->own;
    for (int64_t k = 0; k < m->groups.n; k++)
        for (size_t c = 0; c < u->state->n; c++)
            out[(size_t)k * u->state->n + c] = m->sum[(size_t)k * u->state->n + c] / (double)m->count[k];
}

static int compare_up(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Returns the mean of |x[i] - x[k]| over all pairs. It sorts x. If a group has no mean, the result is NaN. */
static double mean_difference(double *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        if (isnan(x[i]))
            return NAN;
    qsort(x, (size_t)n, sizeof *x, compare_up);
    for (int64_t i = 0; i + 1 < n; i++) /* this gap lies between the two numbers of (i + 1) (n - 1 - i) pairs */
        sum += (x[i + 1] - x[i]) * (double)(i + 1) * (double)(n - 1 - i);
    return sum / ((double)n * (double)(n - 1) / 2);
}

void user_difference_end(const Use *u, double *out)
{
    const Means *m = u->own;
    for (size_t c = 0; c < u->state->n; c++) {
        for (int64_t k = 0; k < m->groups.n; k++)
            m->mean[k] = m->sum[(size_t)k * u->state->n + c] / (double)m->count[k];
        out[c] = mean_difference(m->mean, m->groups.n);
    }
}

void mean_score(const Use *u, const UserList *list, double *out)
{
    double sum = 0;
    int64_t r = 0;
    for (size_t c = 0; c < u->state->n; c++) {
        for (int64_t end = MIN(u->state->at[c], list->length); r < end; r++)
            sum += list->item[r] >= 0 ? list->score[r] : 0;
        out[c] = sum / (double)held_at(list, u->state->at[c]);
    }
}

bool item_difference_begin(Use *u, Arena *a, Error *e)
{
    Means *m = u->own = NEW(a, Means, 1, e);
    size_t cells;
    if (!m || !read_items(&m->groups, u, u->value[P_CLUSTERING_FILE], a, e))
        return false;
    if (!size_mul(u->state->n, (size_t)u->state->items, &cells))
        return fail_memory(e, SIZE_MAX, "gains of items");
    return (m->gain = NEW(a, double, cells, e)) && (m->times = NEW(a, int64_t, cells, e)) &&
           (m->mean = NEW(a, double, m->groups.n, e)) && (m->count = NEW(a, int64_t, m->groups.n, e));
}

/* Counts the listed items in m->times and m->gain. gain [length]: the gain or the score of each rank. */
static void add_gains(const Use *u, const UserList *list, const double *gain)
{
    const Means *m = u->own;
    size_t c = 0;
    for (int64_t r = 0; r < list->length; r++) {
        while (c < u->state->n && u->state->at[c] <= r)
            c++;
        if (c == u->state->n)
            break;
        if (list->item[r] < 0)
            continue;
        int64_t cell = (int64_t)c * u->state->items + list->item[r];
        m->times[cell]++;
        m->gain[cell] += list->hit[r] ? gain[r] : 0;
    }
}

void item_gain_add(Use *u, const UserList *list, const double *value)
{
    (void)value;
    add_gains(u, list, list->gain);
}

void item_score_add(Use *u, const UserList *list, const double *value)
{
    (void)value;
    add_gains(u, list, list->score);
}

void item_difference_end(const Use *u, double *out)
{
    const Means *m = u->own;
    int64_t items = u->state->items;
    for (size_t c = 0; c < u->state->n; c++) {
        memset(m->mean, 0, (size_t)m->groups.n * sizeof *m->mean);
        memset(m->count, 0, (size_t)m->groups.n * sizeof *m->count);
        for (int64_t i = 0; i < items; i++) {
            int64_t cell = (int64_t)c * items + i;
            m->gain[cell] += c ? m->gain[cell - items] : 0;
            m->times[cell] += c ? m->times[cell - items] : 0;
            if (!m->times[cell] || m->groups.of[i] < 0)
                continue;
            m->mean[m->groups.of[i]] += m->gain[cell] / (double)m->times[cell];
            m->count[m->groups.of[i]]++;
        }
        for (int64_t k = 0; k < m->groups.n; k++)
            m->mean[k] /= (double)m->count[k];
        out[c] = mean_difference(m->mean, m->groups.n);
    }
}

/* clustered_APLT uses the function of APLT, which reads the tail from u->own: group_tail_share calls it with a Use of
 * its own. */
bool user_groups_tail_begin(Use *u, Arena *a, Error *e)
{
    if (!user_groups_begin(u, a, e))
        return false;
    Means *m = u->own;
    return (m->tail = head_and_tail(u->state, 0.8, a, e)) != NULL;
}

void group_tail_share(const Use *u, const UserList *list, double *out)
{
    const Means *m = u->own;
    const Use of_tail = {.state = u->state, .own = (void *)(uintptr_t)m->tail};
    tail_share(&of_tail, list, out);
}

/* ---- Gini of groups -------------------------------------------------------------------------- */

typedef struct Counts {
    Clusters groups;
    /* [groups, cutoffs, items]: how often an item is listed for users of the group. A cell covers only the ranks after
     * the previous cutoff, until group_gini_end adds the earlier cells. */
    int64_t *count;
    int64_t *sorted; /* [items] scratch */
} Counts;

bool group_gini_begin(Use *u, Arena *a, Error *e)
{
    Counts *g = u->own = NEW(a, Counts, 1, e);
    size_t rows, cells;
    if (!g || !read_users(&g->groups, u, u->value[P_USER_CLUSTERING_FILE], a, e))
        return false;
    if (!size_mul((size_t)g->groups.n, u->state->n, &rows) || !size_mul(rows, (size_t)u->state->items, &cells))
        return fail_memory(e, SIZE_MAX, "counts of items");
    return (g->count = NEW(a, int64_t, cells, e)) && (g->sorted = NEW(a, int64_t, u->state->items, e)) &&
           name_figures(u, (size_t)g->groups.n, a, e) && name_clusters(u, u->name, g->groups.n, a, e);
}

void group_gini_add(Use *u, const UserList *list, const double *value)
{
    const Counts *g = u->own;
    int64_t k = g->groups.of[list->user];
    size_t c = 0, n = u->state->n;
    (void)value;
    for (int64_t r = 0; k >= 0 && r < list->length; r++) {
        while (c < n && u->state->at[c] <= r)
            c++;
        if (c == n)
            break;
        if (list->item[r] >= 0)
            g->count[(k * (int64_t)n + (int64_t)c) * u->state->items + list->item[r]]++;
    }
}

void group_gini_end(const Use *u, double *out)
{
    const Counts *g = u->own;
    int64_t items = u->state->items, n = (int64_t)u->state->n;
    for (int64_t row = 0; row < g->groups.n * n; row++) {
        int64_t *count = g->count + row * items;
        for (int64_t i = 0; row % n && i < items; i++)
            count[i] += count[i - items];
        memcpy(g->sorted, count, (size_t)items * sizeof *count);
        out[row] = gini_of(u->state, g->sorted);
    }
}

/* ---- bias disparity: clusters of items in the lists of clusters of users --------------------- */

typedef struct Disparity {
    Clusters users, items;
    double *listed; /* [clusters of users, clusters of items, cutoffs] number of listed items */
    double *train;  /* [clusters of users, clusters of items] number of train pairs */
} Disparity;

/* If no file is given, all ids are in one cluster. */
static bool one_cluster(Clusters *c, int64_t count, Arena *a, Error *e)
{
    *c = (Clusters){.n = 1, .ids = 1};
    return (c->of = NEW(a, int32_t, count, e)) && (c->size = NEW(a, int64_t, 1, e)) && (c->size[0] = 1);
}

/* Counts `item` of `user` in cells [clusters of users, clusters of items, n], in the columns `from` to n - 1. Users and
 * items that are in no cluster are skipped. */
static void add_pair(const Disparity *d, double *cells, int64_t user, int32_t item, size_t n, size_t from)
{
    int64_t g = d->users.of[user], k = item < 0 ? -1 : d->items.of[item];
    for (size_t c = from; g >= 0 && k >= 0 && c < n; c++)
        cells[(size_t)(g * d->items.n + k) * n + c]++;
}

bool disparity_begin(Use *u, Arena *a, Error *e)
{
    Disparity *d = u->own = NEW(a, Disparity, 1, e);
    const char *users = u->value[P_USER_CLUSTERING_FILE], *items = u->value[P_ITEM_CLUSTERING_FILE];
    const DataSet *data = u->state->data;
    size_t cells, k = 0;
    if (!d || !(users ? read_users(&d->users, u, users, a, e) : one_cluster(&d->users, data->U, a, e)) ||
        !(items ? read_items(&d->items, u, items, a, e) : one_cluster(&d->items, u->state->items, a, e)))
        return false;
    if (!size_mul((size_t)d->users.n, (size_t)d->items.n, &cells))
        return fail_memory(e, SIZE_MAX, "clusters");
    if (!name_figures(u, cells, a, e) || !(d->listed = cells_of(u, (int64_t)cells, a, e)) ||
        !(d->train = NEW(a, double, cells, e)))
        return false;
    for (int64_t user = 0; user < data->U; user++)
        for (int64_t i = data->train.start[user]; i < data->train.start[user + 1]; i++)
            add_pair(d, d->train, user, data->train.item[i], 1, 0);
    const char *of_users = u->value[P_USER_CLUSTERING_NAME], *of_items = u->value[P_ITEM_CLUSTERING_NAME];
    for (int64_t g = 0; g < d->users.n; g++)
        for (int64_t c = 0; c < d->items.n; c++)
            if (!(u->names[k++] =
                      arena_printf(a, e, "%s_users:%s-%lld_items:%s-%lld", u->row->metric.name,
                                   of_users ? of_users : "", (long long)g, of_items ? of_items : "", (long long)c)))
                return false;
    return true;
}

void disparity_add(Use *u, const UserList *list, const double *value)
{
    const Disparity *d = u->own;
    size_t c = 0, n = u->state->n;
    (void)value;
    for (int64_t r = 0; r < list->length; r++) {
        while (c < n && u->state->at[c] <= r)
            c++;
        add_pair(d, d->listed, list->user, list->item[r], n, c);
    }
}

/* Returns the sum of cells[g, i, c] over all clusters of items i. `cells` is [clusters of users, clusters of items, n].
 */
static double sum_of_row(const Disparity *d, const double *cells, int64_t g, size_t n, size_t c)
{
    double all = 0;
    for (int64_t i = 0; i < d->items.n; i++)
        all += cells[(size_t)(g * d->items.n + i) * n + c];
    return all;
}

/* Returns the bias of cell [g, k, c]: the share of cluster k in the row of g, divided by the share of cluster k among
 * the items of the file. */
static double bias(const Disparity *d, const double *cells, double all, int64_t g, int64_t k, size_t n, size_t c)
{
    return cells[(size_t)(g * d->items.n + k) * n + c] / all / ((double)d->items.size[k] / (double)d->items.ids);
}

/* Writes the bias of each cell [cluster of users, cluster of items, cutoff]: of the lists, or of the train pairs. If
 * both are requested, it is the relative change from train to lists. */
static void disparity_end(const Use *u, bool lists, bool train, double *out)
{
    const Disparity *d = u->own;
    size_t n = u->state->n;
    for (int64_t g = 0; g < d->users.n; g++)
        for (size_t c = 0; c < n; c++) {
            double all_listed = sum_of_row(d, d->listed, g, n, c), all_trained = sum_of_row(d, d->train, g, 1, 0);
            for (int64_t k = 0; k < d->items.n; k++) {
                double listed = lists ? bias(d, d->listed, all_listed, g, k, n, c) : 0;
                double trained = train ? bias(d, d->train, all_trained, g, k, 1, 0) : 0;
                out[(size_t)(g * d->items.n + k) * n + c] =
                    lists && train ? (listed - trained) / trained : listed + trained;
            }
        }
}

void disparity_lists_end(const Use *u, double *out)
{
    disparity_end(u, true, false, out);
}

void disparity_train_end(const Use *u, double *out)
{
    disparity_end(u, false, true, out);
}

void disparity_change_end(const Use *u, double *out)
{
    disparity_end(u, true, true, out);
}
#endif
