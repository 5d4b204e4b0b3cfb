/* recsys/models/shared/knn_nearest.c: finds the neighbours of each item or user by similarity (knn.h), with Elliot's
 * formulas (recipes.md 7.3). */
#include <math.h>
#include <stdlib.h>

#include "recsys/models/shared/knn.h"

/* ---- a heap of the best neighbours ----------------------------------------------------------- */

static bool worse(Neighbour a, Neighbour b)
{
    return a.value != b.value ? a.value < b.value : a.id > b.id;
}

/* Replaces heap[0], the worst of n, by x, and restores the order of the heap. */
static void sink(Neighbour *heap, int64_t n, Neighbour x)
{
    int64_t at = 0, child;
    while ((child = 2 * at + 1) < n) {
        child += child + 1 < n && worse(heap[child + 1], heap[child]);
        if (!worse(heap[child], x))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = x;
}

static void rise(Neighbour *heap, int64_t at, Neighbour x)
{
    for (; at > 0 && worse(x, heap[(at - 1) / 2]); at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = x;
}

int64_t nearest_put(Neighbour *heap, int64_t n, int64_t most, Neighbour x)
{
    if (n < most)
        rise(heap, n++, x);
    else if (most > 0 && worse(heap[0], x))
        sink(heap, n, x);
    return n;
}

bool nearest_new(Nearest *x, Arena *a, Error *e)
{
    for (int64_t j = 0; j < x->n; j++)
        x->first[j + 1] += x->first[j];
    x->count = NEW(a, int64_t, x->n, e);
    return x->count && (x->kept = NEW(a, Neighbour, x->first[x->n], e));
}

/* ---- similarities ---------------------------------------------------------------------------- */

double measure(const Measure *m, int64_t i, int64_t j, double sum)
{
    double a = m->own[j], b = m->other[i], all;
    switch (m->form) {
    case MEASURE_DOT: return m->shrink != 0 ? sum / m->shrink : sum;
    case MEASURE_COSINE: return a * b > 0 ? sum / (a * b) : 0;
    case MEASURE_SHRUNK: return sum / (a * b + m->shrink + 1e-6);
    case MEASURE_EUCLIDEAN: return 1 / (1 + sqrt(fmax(a + b - 2 * sum, 0)));
    case MEASURE_MANHATTAN: return 1 / (1 + fmax(a + b - sum, 0));
    case MEASURE_JACCARD: /* the distance of two empty sets is 0, as in SciPy */
        all = a + b - sum;
        return all > 0 ? 1 / (1 + (all - sum) / all) : 1;
    case MEASURE_DICE: /* SciPy's is NaN for two empty sets */
        all = a + b;
        return all > 0 ? 1 / (1 + (all - 2 * sum) / all) : 1;
    case MEASURE_AIOLLI_JACCARD: return sum / (a + b - sum + m->shrink + 1e-6);
    case MEASURE_AIOLLI_DICE: return sum / (a + b + m->shrink + 1e-6);
    case MEASURE_TVERSKY: break;
    }
    return sum / (sum + (a - sum) * m->alpha + (b - sum) * m->beta + m->shrink + 1e-6);
}

typedef struct Build {
    const KnnSettings *s;
    SparseRows things, features; /* the ratings by thing, and by feature: each is the transpose of the other */
    Measure measure;
    int32_t *order; /* [n] things, smallest `size` first; NULL: things that share nothing have similarity 0 */
    double *size;   /* [n] sum of the squares (Manhattan: of the magnitudes) of the thing's ratings */
    double *sum;    /* [workers, n] */
    int32_t *met;   /* [workers, n] things with an entry in `sum` */
    int32_t *mark;  /* [workers, n] j + 1 if the entry in `sum` belongs to thing j */
    Nearest near;
} Build;

/* Computes sum[i] for each thing i that shares a feature with thing j (i may be j). sum[i] is the sum over the shared
 * features, in the order of the features, of a b, where a is the value of j and b is the value of i. For Manhattan
 * distances, it is the sum of |a| + |b| - |a - b|. Writes these i to `met` and returns how many there are. */
static int64_t add_up(const Build *b, int64_t j, double *sum, int32_t *met, int32_t *mark)
{
    const SparseRows *x = &b->things, *f = &b->features;
    int64_t n = 0;
    for (int64_t k = x->start[j]; k < x->start[j + 1]; k++) {
        double own = x->value ? (double)x->value[k] : 1;
        for (int64_t l = f->start[x->col[k]]; l < f->start[x->col[k] + 1]; l++) {
            int32_t i = f->col[l];
            double other = f->value ? (double)f->value[l] : 1;
            if (mark[i] != j + 1) {
                mark[i] = (int32_t)j + 1;
                met[n++] = i;
                sum[i] = 0;
            }
            sum[i] += b->measure.form == MEASURE_MANHATTAN ? fabs(own) + fabs(other) - fabs(own - other) : own * other;
        }
    }
    return n;
}

/* Adds things that share no feature with j. If the similarity is computed from a distance, it is above 0 for these
 * things, too. For Euclidean and Manhattan, and for a j without features, it depends on the thing's `size` (Build):
 * things with a smaller `size` are tried first. For the other measures it is equal for all of these things: lower
 * numbers are tried first. So the loop stops at the first thing that is not among the best. */
static int64_t add_disjoint(const Build *b, int64_t j, Neighbour *heap, int64_t n, int64_t most, const int32_t *mark)
{
    bool sizes = b->measure.form == MEASURE_EUCLIDEAN || b->measure.form == MEASURE_MANHATTAN || b->size[j] == 0;
    for (int64_t k = 0; k < b->near.n; k++) {
        int32_t i = sizes ? b->order[k] : (int32_t)k;
        if (mark[i] == j + 1)
            continue;
        Neighbour x = {measure(&b->measure, i, j, 0), i};
        if (n == most && !worse(heap[0], x))
            break;
        n = nearest_put(heap, n, most, x);
    }
    return n;
}

/* Computes one column of S and keeps its best entries. */
static void find_nearest(void *arg, size_t task, int worker)
{
    const Build *b = arg;
    bool aiolli = b->s->implementation == 1;
    int64_t j = (int64_t)task, all = b->near.n, n = 0, below = 0, above = 0;
    int64_t most = b->near.first[j + 1] - b->near.first[j];
    double *sum = b->sum + worker * all;
    int32_t *met = b->met + worker * all, *mark = b->mark + worker * all;
    Neighbour *heap = b->near.kept + b->near.first[j];
    int64_t met_count = add_up(b, j, sum, met, mark);
    for (int64_t k = 0; k < met_count; k++) {
        int32_t i = met[k];
        double value = measure(&b->measure, i, j, sum[i]);
        if (value == 0 || (aiolli && i == j))
            continue;
        above += value > 0;
        below += value < 0;
        n = nearest_put(heap, n, most, (Neighbour){value, i});
    }
    if (b->order)
        n = add_disjoint(b, j, heap, n, most, mark);
    /* With implementation=standard, the best nonzero entries are kept. With implementation=aiolli, the best entries of
     * the whole column are selected first. In this order, zeros come before negative entries. Then the zeros are
     * dropped. So at most `room` negative entries remain: the number of neighbours minus the entries >= 0. */
    int64_t room = MAX(MIN(b->s->neighbors, all) - (all - below), (int64_t)0), negatives = MAX(n - above, (int64_t)0);
    for (; aiolli && negatives > room; negatives--, n--)
        sink(heap, n - 1, heap[n - 1]);
    b->near.count[j] = n;
}

/* ---- the numbers that are compared ----------------------------------------------------------- */

/* Subtracts a mean from each rating. Means are over the train pairs, including pairs with rating 0.
 *
 * - by_thing (Pearson): the mean of the row, which is a thing. For ItemKNN: the mean of the item.
 * - Otherwise (adjusted cosine): the mean of the column. For ItemKNN: the mean of the user. */
static bool centre(SparseRows *x, bool by_thing, Arena *a, Error *e)
{
    int64_t groups = by_thing ? x->rows : x->cols, pairs = x->start[x->rows];
    double *mean = NEW(a, double, groups, e);
    int64_t *count = NEW(a, int64_t, groups, e);
    float *value = NEW(a, float, pairs, e);
    if (!mean || !count || !value)
        return false;
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t r = 0; r < x->rows; r++)
            for (int64_t k = x->start[r]; k < x->start[r + 1]; k++) {
                int64_t g = by_thing ? r : x->col[k];
                if (pass == 1)
                    value[k] = (float)((double)x->value[k] - mean[g]);
                else
                    mean[g] += (double)x->value[k];
                count[g] += pass == 0;
            }
        for (int64_t g = 0; pass == 0 && g < groups; g++)
            mean[g] /= (double)MAX(count[g], (int64_t)1);
    }
    x->value = value;
    return true;
}

/* Replaces ratings by 1. standard keeps nonzero ratings; aiolli keeps every train pair. */
static bool reduce_to_sets(SparseRows *x, bool aiolli, Arena *a, Error *e)
{
    int64_t pairs = x->start[x->rows];
    float *value = aiolli || !x->value ? NULL : NEW(a, float, pairs, e);
    if (!value && !aiolli && x->value)
        return false;
    for (int64_t k = 0; value && k < pairs; k++)
        value[k] = x->value[k] != 0;
    x->value = value;
    return true;
}

static bool is_set(Similarity s)
{
    return s == SIM_JACCARD || s == SIM_DICE || s == SIM_TVERSKY;
}

static Measure measure_of(const KnnSettings *s)
{
    Measure m = {.form = MEASURE_SHRUNK, .shrink = s->shrink, .alpha = s->tversky_alpha, .beta = s->tversky_beta};
    bool aiolli = s->implementation == 1;
    switch ((Similarity)s->similarity) {
    case SIM_DOT: m.form = MEASURE_DOT; break;
    case SIM_EUCLIDEAN: m.form = MEASURE_EUCLIDEAN; break;
    case SIM_MANHATTAN: m.form = MEASURE_MANHATTAN; break;
    case SIM_JACCARD: m.form = aiolli ? MEASURE_AIOLLI_JACCARD : MEASURE_JACCARD; break;
    case SIM_DICE: m.form = aiolli ? MEASURE_AIOLLI_DICE : MEASURE_DICE; break;
    case SIM_TVERSKY: m.form = MEASURE_TVERSKY; break;
    default: m.form = !s->normalize ? MEASURE_DOT : aiolli ? MEASURE_SHRUNK : MEASURE_COSINE;
    }
    return m;
}

static int by_size(const void *a, const void *b)
{
    const Neighbour *x = a, *y = b;
    return x->value != y->value ? (x->value > y->value) - (x->value < y->value) : (x->id > y->id) - (x->id < y->id);
}

/* Writes b->order: the things by size, smallest first; things of equal size by number. If the things are sets (Jaccard,
 * Dice), the order is read only when add_disjoint looks for the neighbours of an empty set. The similarity of an empty
 * set is 1 to other empty sets and 1/2 to all other sets. So empty sets come first, and the other sets count as equally
 * large. */
static bool order_by_size(Build *b, Arena *a, Error *e)
{
    bool sets = is_set((Similarity)b->s->similarity);
    int64_t n = b->near.n;
    Neighbour *x = NEW(a, Neighbour, n, e);
    if (!x || !(b->order = NEW(a, int32_t, n, e)))
        return false;
    for (int64_t i = 0; i < n; i++)
        x[i] = (Neighbour){sets ? b->size[i] > 0 : b->size[i], (int32_t)i};
    qsort(x, (size_t)n, sizeof *x, by_size);
    for (int64_t i = 0; i < n; i++)
        b->order[i] = x[i].id;
    return true;
}

/* Computes for each user or item (each thing):
 * - size: the sum of the squares of its ratings; for the Manhattan distance the sum of their magnitudes. For sets,
 *   whose ratings are 1 or 0, this is the number of members.
 * - own, other: for MEASURE_COSINE and MEASURE_SHRUNK size^alpha and size^(1 - alpha), otherwise both are `size`. alpha
 *   is 0.5 (own and other are lengths), except for the asymmetric similarity. */
static bool find_sizes(Build *b, Arena *a, Error *e)
{
    const SparseRows *x = &b->things;
    Measure *m = &b->measure;
    b->size = NEW(a, double, x->rows, e);
    m->own = NEW(a, double, x->rows, e);
    m->other = NEW(a, double, x->rows, e);
    if (!b->size || !m->own || !m->other)
        return false;
    bool lengths = m->form == MEASURE_COSINE || m->form == MEASURE_SHRUNK;
    double alpha = b->s->similarity == SIM_ASYMMETRIC ? b->s->asymmetric_alpha : 0.5;
    for (int64_t r = 0; r < x->rows; r++) {
        double size = 0;
        for (int64_t k = x->start[r]; k < x->start[r + 1]; k++) {
            double v = x->value ? (double)x->value[k] : 1;
            size += m->form == MEASURE_MANHATTAN ? fabs(v) : v * v;
        }
        b->size[r] = size;
        m->own[r] = !lengths ? size : alpha == 0.5 ? sqrt(size) : pow(size, alpha);
        m->other[r] = !lengths ? size : alpha == 0.5 ? sqrt(size) : pow(size, 1 - alpha);
    }
    return true;
}

static bool prepare(Build *b, const SparseRows *ratings, Side side, int workers, Arena *a, Error *e)
{
    Similarity s = (Similarity)b->s->similarity;
    bool aiolli = b->s->implementation == 1;
    b->things = *ratings;
    if ((side == SIDE_ITEMS && !sparse_transpose(&b->things, ratings, a, e)) ||
        (similarity_is_centred(s) && !centre(&b->things, s == SIM_PEARSON, a, e)) ||
        (is_set(s) && !reduce_to_sets(&b->things, aiolli, a, e)) || !sparse_transpose(&b->features, &b->things, a, e))
        return false;
    const SparseRows *x = &b->things;
    size_t n = (size_t)x->rows;
    b->near.n = x->rows;
    b->measure = measure_of(b->s);
    b->sum = arena_alloc(a, (size_t)workers, n * sizeof *b->sum, e);
    b->met = arena_alloc(a, (size_t)workers, n * sizeof *b->met, e);
    b->mark = arena_alloc(a, (size_t)workers, n * sizeof *b->mark, e);
    b->near.first = NEW(a, int64_t, n + 1, e);
    if (!b->sum || !b->met || !b->mark || !b->near.first || !find_sizes(b, a, e))
        return false;
    bool disjoint = !aiolli && s >= SIM_EUCLIDEAN;
    /* a thing has at most as many neighbours as things that share a feature with it */
    for (int64_t r = 0; r < x->rows; r++) {
        int64_t most = disjoint ? x->rows : 0;
        for (int64_t k = x->start[r]; k < x->start[r + 1] && most < x->rows; k++)
            most += b->features.start[x->col[k] + 1] - b->features.start[x->col[k]];
        b->near.first[r + 1] = MIN(MIN(most, x->rows), b->s->neighbors);
    }
    return (!disjoint || order_by_size(b, a, e)) && nearest_new(&b->near, a, e);
}

bool knn_find(Nearest *x, const Model *m, const SparseRows *ratings, Side side, Arena *a, Error *e)
{
    Build b = {.s = m->settings};
    if (!prepare(&b, ratings, side, pool_threads(store_device(m->store)->pool), a, e) ||
        !model_tasks(m, (size_t)b.near.n, find_nearest, &b, 0, b.near.n, e))
        return false;
    *x = b.near;
    return true;
}
