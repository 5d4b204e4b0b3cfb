/* recsys/models/attributeitemknn.c: AttributeItemKNN: ItemKNN with neighbours by features instead of ratings
 * (MyMediaLite: Gantner et al. 2011), as Elliot computes it (recipes.md 7.21).
 *
 * S [I, I] are the similarities of the items' features, with all modalities concatenated. W keeps the `neighbors`
 * largest nonzero entries of each column of S. R [U, I] are the ratings in train. scores = R W.
 *
 * Cost: 2 I^2 D operations of matrix products in float32, in tiles of some items by all items. manhattan is no matrix
 * product; it takes the same number of operations in a plain loop. The similarities of the neighbours that are kept are
 * computed again in double precision. */
// flags: -O3
#include <float.h>
#include <math.h>

#include "recsys/models/shared/knn.h"

typedef struct AttributeSettings {
    CommonSettings common;
    int64_t neighbors;
    int similarity; /* a Similarity below SIM_TVERSKY */
    bool implicit, binary;
} AttributeSettings;
static const char *const similarities[SIM_TVERSKY] = {"cosine", "dot", "euclidean", "manhattan", "jaccard", "dice"};
static const Setting settings[] = {
    NEIGHBORS_SETTING(AttributeSettings, neighbors, "neighbours kept per item"),
    WORD_SETTING(AttributeSettings, similarity, similarities, "cosine", "cosine",
                 "cosine, dot, euclidean, manhattan; jaccard and dice use only whether a feature is 0"),
    {"implicit", "false", "false", "replace every rating by 1", BOOL_OF(AttributeSettings, implicit), 0, 0,
     ALIASES(NOT_HERE("loader", "give the features by --features"))},
    {"binary", "false", "false", "replace every feature that is not 0 by 1", BOOL_OF(AttributeSettings, binary), 0, 0,
     NULL},
    {0},
};

enum { TILE = 1 << 22, MOST_ROWS = 512 }; /* largest number of similarities in a tile, and of its items */

typedef struct Build {
    const Feature *feature; /* numbers are replaced by 0 and 1 if the measure is binary */
    size_t features;
    int64_t I;
    bool manhattan;
    Measure measure;
    Nearest near;
    int64_t first; /* first item of the tile */
    float *tile;   /* [rows, I]: sums */
} Build;

/* Computes the sum in double precision, in the same order for all pairs, so that equal features have a distance of 0.
 */
static double exact_sum(const Build *b, int64_t i, int64_t j)
{
    double sum = 0;
    for (size_t f = 0; f < b->features; f++) {
        const Feature *x = &b->feature[f];
        const float *p = x->data + i * x->D, *q = x->data + j * x->D;
        for (int64_t c = 0; c < x->D; c++) {
            double u = (double)p[c], v = (double)q[c];
            sum += b->manhattan ? fabs(u) + fabs(v) - fabs(u - v) : u * v;
        }
    }
    return sum;
}

enum { LANES = 16 }; /* number of partial sums, so that the compiler can use vectors */

static float distance(const float *p, const float *q, int64_t D)
{
    float part[LANES] = {0}, sum = 0;
    int64_t c = 0;
    for (; c + LANES <= D; c += LANES)
        for (int l = 0; l < LANES; l++)
            part[l] += fabsf(p[c + l] - q[c + l]);
    for (int l = 0; l < LANES; l++)
        sum += part[l];
    for (; c < D; c++)
        sum += fabsf(p[c] - q[c]);
    return sum;
}

static void find_nearest(void *arg, size_t task, int worker)
{
    (void)worker;
    const Build *b = arg;
    int64_t j = b->first + (int64_t)task, n = 0, most = b->near.first[j + 1] - b->near.first[j], kept = 0;
    const float *sums = b->tile + (int64_t)task * b->I;
    Neighbour *heap = b->near.kept + b->near.first[j];
    for (int64_t i = 0; i < b->I; i++) {
        double sum = b->manhattan ? b->measure.own[i] + b->measure.own[j] : (double)sums[i];
        for (size_t f = 0; b->manhattan && f < b->features; f++) {
            const Feature *x = &b->feature[f];
            sum -= (double)distance(x->data + i * x->D, x->data + j * x->D, x->D);
        }
        double value = measure(&b->measure, i, j, sum);
        if (value != 0)
            n = nearest_put(heap, n, most, (Neighbour){value, (int32_t)i});
    }
    for (int64_t k = 0; k < n; k++) {
        int64_t i = heap[k].id;
        heap[kept] = (Neighbour){measure(&b->measure, i, j, exact_sum(b, i, j)), (int32_t)i};
        kept += heap[kept].value != 0;
    }
    b->near.count[j] = kept;
}

/* Computes the products of the tile's items with all items, into b->tile. */
static bool multiply(const Build *b, Tape *t, Tensor *const *x, int64_t rows_now, Error *e)
{
    tape_reset(t, (Draw){0});
    Tensor *sums = NULL;
    for (size_t f = 0; f < b->features; f++) {
        Tensor *product = matmul(t, rows(t, x[f], b->first, rows_now), false, x[f], true);
        sums = sums ? add(t, sums, product) : product;
    }
    if (!tape_ok(t, e))
        return false;
    tensor_read(tape_device(t), sums, 0, rows_now * b->I, b->tile);
    return true;
}

static bool find_all(Build *b, const Model *m, Tape *t, Tensor *const *x, Arena *a, Error *e)
{
    int64_t rows_at_once = MAX(MIN(MIN(b->I, (int64_t)MOST_ROWS), TILE / MAX(b->I, (int64_t)1)), (int64_t)1);
    if (!(b->tile = arena_alloc(a, (size_t)rows_at_once, (size_t)b->I * sizeof *b->tile, e)))
        return false;
    for (b->first = 0; b->first < b->I; b->first += rows_at_once) {
        int64_t rows_now = MIN(rows_at_once, b->I - b->first);
        if (!b->manhattan && !multiply(b, t, x, rows_now, e))
            return false;
        if (!model_tasks(m, (size_t)rows_now, find_nearest, b, b->first, b->I, e))
            return false;
    }
    return true;
}

/* Replaces features by 0 and 1 if the measure is binary. */
static bool reduce(Build *b, Arena *a, Error *e)
{
    Feature *own = NEW(a, Feature, b->features, e);
    for (size_t f = 0; own && f < b->features; f++) {
        own[f] = b->feature[f];
        float *data = arena_alloc(a, (size_t)b->I, (size_t)own[f].D * sizeof *data, e);
        if (!data)
            return false;
        for (int64_t k = 0; k < b->I * own[f].D; k++)
            data[k] = b->feature[f].data[k] != 0;
        own[f].data = data;
    }
    return (b->feature = own) != NULL;
}

static bool prepare(Build *b, const Model *m, Arena *a, Error *e)
{
    static const enum MeasureForm forms[] = {MEASURE_COSINE,    MEASURE_DOT,     MEASURE_EUCLIDEAN,
                                             MEASURE_MANHATTAN, MEASURE_JACCARD, MEASURE_DICE};
    const AttributeSettings *s = m->settings;
    b->manhattan = s->similarity == SIM_MANHATTAN;
    b->measure.form = forms[s->similarity];
    if ((s->binary || s->similarity >= SIM_JACCARD) && !reduce(b, a, e))
        return false;
    b->measure.own = b->measure.other = NEW(a, double, b->I, e);
    b->near.n = b->I;
    b->near.first = NEW(a, int64_t, b->I + 1, e);
    if (!b->measure.own || !b->near.first)
        return false;
    double largest = 0;
    for (int64_t i = 0; i < b->I; i++) {
        double size = exact_sum(b, i, i); /* for manhattan, twice the sum of magnitudes */
        largest = fmax(largest, size);
        b->measure.own[i] = b->manhattan ? size / 2 : s->similarity == SIM_COSINE ? sqrt(size) : size;
        b->near.first[i + 1] = MIN(s->neighbors, b->I);
    }
    if (largest > (double)FLT_MAX / 4)
        return fail(e, SP_FORMAT,
                    "AttributeItemKNN: features whose squares add up to %g are too large for float32; "
                    "scale them",
                    largest);
    return nearest_new(&b->near, a, e);
}

static bool find(Build *b, Model *m, const float *rating, Arena *scratch, Error *e)
{
    const Device *d = store_device(m->store);
    Model own = *m; /* the features are in its store only during this call */
    if (!prepare(b, m, scratch, e) || !(own.store = store_new(d, e)))
        return false;
    Tape *t = tape_new(d, false, e);
    Tensor **x = NEW(scratch, Tensor *, b->features, e);
    bool ok = t && x;
    for (size_t f = 0; ok && f < b->features; f++)
        ok = (x[f] = feature_tensor(&own, &b->feature[f], e)) != NULL;
    ok = ok && find_all(b, m, t, x, scratch, e);
    tape_free(t);
    store_free(own.store);
    return ok && knn_new(m, SIDE_ITEMS, rating, &b->near, e);
}

static bool init(Model *m, Error *e)
{
    const AttributeSettings *s = m->settings;
    const float *rating = s->implicit ? NULL : m->data->train.rating;
    Build b = {.feature = m->data->features, .features = m->data->feature_count, .I = m->data->I};
    Arena *scratch = arena_new(arena_heap(m->arena), 0);
    bool ok = scratch ? find(&b, m, rating, scratch, e) : fail_memory(e, 1, m->kind->name);
    arena_free(scratch);
    return ok;
}

static bool restore(Model *m, const Weights *file, Error *e)
{
    return knn_restore(m, SIDE_ITEMS, file, e);
}

const Recommender recommender_attributeitemknn = {
    .name = "AttributeItemKNN",
    .paper = "MyMediaLite: A Free Recommender System Library (Gantner et al., RecSys 2011)",
    .settings = settings,
    .settings_size = sizeof(AttributeSettings),
    .sampling = sampling_none,
    .needs_features = true,
    .init = init,
    .score = knn_score,
    .score_new = knn_score_new,
    .arrays = knn_arrays,
    .restore = restore,
};
