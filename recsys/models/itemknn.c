/* recsys/models/itemknn.c: ItemKNN: Sarwar et al. 2001 (standard) and Aiolli 2013 in Ferrari Dacrema's form (aiolli),
 * as Elliot computes them (recipes.md 7.3).
 *
 * S [I, I] holds the similarities of the columns of the ratings R [U, I]; W keeps the `neighbors` largest entries that
 * are not zero of each column of S; scores = R W. Only pairs of items that share a user have an entry: one item's
 * similarities are summed in a row of I numbers and its neighbours picked from there. */
#include <float.h>
#include <math.h>

#include "recsys/models/models.h"

typedef struct Neighbour {
    int32_t item;
    float weight;
} Neighbour;
typedef struct ItemKnn {
    const float *rating; /* of each train pair; NULL: all are 1 */
    int64_t *start;      /* [I+1] */
    Neighbour *target;   /* W by row: the items whose scores item i adds to */
} ItemKnn;

typedef struct ItemKnnSettings {
    CommonSettings common;
    int64_t neighbors;
    int similarity;     /* 0: cosine, 1: dot */
    int implementation; /* 0: standard, 1: aiolli */
    bool implicit, normalize;
    double shrink;
} ItemKnnSettings;
static const char *const similarities[] = {"cosine", "dot"};
static const char *const implementations[] = {"standard", "aiolli"};
#define NOT_A_SIMILARITY "only cosine and dot are available: leave it out"
static const Setting settings[] = {
    {"neighbors", "40", "40", "neighbours kept per item", I64_OF(ItemKnnSettings, neighbors), 1, INT32_MAX,
     ALIASES({"k", NULL, ALIAS_SAME, 0},
             {"knn_method", "neighbours are always items: leave it out", ALIAS_REFUSED, 0})},
    WORD_ALSO(ItemKnnSettings, similarity, similarities, "cosine", "cosine", "cosine or dot",
              NOT_HERE("asymmetric_alpha", NOT_A_SIMILARITY), NOT_HERE("tversky_alpha", NOT_A_SIMILARITY),
              NOT_HERE("tversky_beta", NOT_A_SIMILARITY), NOT_HERE("row_weights", NOT_A_SIMILARITY)),
    {"implementation", "standard", "standard",
     "standard: an item is a neighbour of itself; aiolli: it is not, and shrink is used",
     WORD_OF(ItemKnnSettings, implementation, implementations), 0, 0, NULL},
    {"implicit", "false", "false", "replace every rating by 1", BOOL_OF(ItemKnnSettings, implicit), 0, 0, NULL},
    {"shrink", "0.0", "0.0", "aiolli: added to the denominator of the similarity", F64_OF(ItemKnnSettings, shrink), 0,
     FLT_MAX, NULL},
    {"normalize", "true", "true", "aiolli: divide by the lengths of the item vectors",
     BOOL_OF(ItemKnnSettings, normalize), 0, 0, NULL},
    {0},
};

/* ---- similarities ---------------------------------------------------------------------------- */

typedef struct Similar {
    double value;
    int32_t item;
} Similar;

typedef struct Build {
    const Pairs *train;
    const float *rating;
    int64_t I, neighbors;
    bool dot, aiolli, normalize;
    double shrink;
    int64_t *start; /* [I+1] train pairs by item: */
    int32_t *user;
    float *by_item;
    double *length; /* [I] */
    double *sum;    /* [workers, I] */
    int32_t *met;   /* [workers, I] items with an entry in sum */
    int32_t *mark;  /* [workers, I] j + 1 where sum belongs to item j */
    int64_t *first; /* [I+1] where each item's neighbours go in `kept` */
    int64_t *count; /* [I] how many it has */
    Similar *kept;
} Build;

static bool worse(Similar a, Similar b)
{
    return a.value != b.value ? a.value < b.value : a.item > b.item;
}

/* heap[0] is the worst of n; puts x there and lets it sink */
static void sink(Similar *heap, int64_t n, Similar x)
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

static void rise(Similar *heap, int64_t at, Similar x)
{
    for (; at > 0 && worse(x, heap[(at - 1) / 2]); at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = x;
}

static double similarity(const Build *b, int64_t i, int64_t j, double product)
{
    double lengths = b->length[i] * b->length[j];
    if (!b->aiolli)
        return b->dot ? product : lengths > 0 ? product / lengths : 0;
    if (b->normalize && !b->dot)
        return product / (lengths + b->shrink + 1e-6);
    return b->shrink != 0 ? product / b->shrink : product;
}

/* One item: its products with all items that share a user, summed in the order of users, then the best of them. */
static void find_neighbours(void *arg, size_t task, int worker)
{
    const Build *b = arg;
    int64_t j = (int64_t)task, met_count = 0, n = 0, most = b->first[j + 1] - b->first[j];
    double *sum = b->sum + worker * b->I;
    int32_t *met = b->met + worker * b->I, *mark = b->mark + worker * b->I;
    for (int64_t k = b->start[j]; k < b->start[j + 1]; k++) {
        double own = (double)b->by_item[k];
        for (int64_t l = b->train->start[b->user[k]]; l < b->train->start[b->user[k] + 1]; l++) {
            int32_t i = b->train->item[l];
            if (mark[i] != j + 1) {
                mark[i] = (int32_t)j + 1;
                met[met_count++] = i;
                sum[i] = 0;
            }
            sum[i] += own * (b->rating ? (double)b->rating[l] : 1);
        }
    }
    Similar *heap = b->kept + b->first[j];
    for (int64_t k = 0; k < met_count; k++) {
        int32_t i = met[k];
        Similar x = {similarity(b, i, j, sum[i]), i};
        if (x.value == 0 || (b->aiolli && i == j))
            continue;
        if (n < most)
            rise(heap, n++, x);
        else if (worse(heap[0], x))
            sink(heap, n, x);
    }
    b->count[j] = n;
}

/* Train pairs by item, users ascending; lengths; room for every item's neighbours. */
static bool prepare(Build *b, int64_t U, int workers, Arena *a, Error *e)
{
    const Pairs *t = b->train;
    b->start = NEW(a, int64_t, b->I + 1, e);
    b->user = NEW(a, int32_t, t->count, e);
    b->by_item = NEW(a, float, t->count, e);
    b->length = NEW(a, double, b->I, e);
    b->sum = arena_alloc(a, (size_t)workers, (size_t)b->I * sizeof(double), e);
    b->met = arena_alloc(a, (size_t)workers, (size_t)b->I * sizeof(int32_t), e);
    b->mark = arena_alloc(a, (size_t)workers, (size_t)b->I * sizeof(int32_t), e);
    b->first = NEW(a, int64_t, b->I + 1, e);
    b->count = NEW(a, int64_t, b->I, e);
    int64_t *at = NEW(a, int64_t, b->I, e);
    if (!b->start || !b->user || !b->by_item || !b->length || !b->sum || !b->met || !b->mark || !b->first ||
        !b->count || !at)
        return false;
    for (int64_t k = 0; k < t->count; k++)
        b->start[t->item[k] + 1]++;
    for (int64_t i = 0; i < b->I; i++)
        b->start[i + 1] += b->start[i];
    memcpy(at, b->start, sizeof *at * (size_t)b->I);
    for (int64_t u = 0; u < U; u++)
        for (int64_t k = t->start[u]; k < t->start[u + 1]; k++) {
            int32_t i = t->item[k];
            float r = b->rating ? b->rating[k] : 1;
            b->user[at[i]] = (int32_t)u;
            b->by_item[at[i]++] = r;
            b->length[i] += (double)r * (double)r;
            b->first[i + 1] += t->start[u + 1] - t->start[u]; /* no more items than these share a user with i */
        }
    for (int64_t i = 0; i < b->I; i++) {
        b->length[i] = sqrt(b->length[i]);
        b->first[i + 1] = b->first[i] + MIN(MIN(b->first[i + 1], b->I), b->neighbors);
    }
    return (b->kept = NEW(a, Similar, b->first[b->I], e)) != NULL;
}

/* W by row, its columns ascending. */
static bool turn(ItemKnn *w, const Build *b, Arena *a, Error *e)
{
    int64_t total = 0;
    w->start = NEW(a, int64_t, b->I + 1, e);
    for (int64_t j = 0; w->start && j < b->I; j++)
        for (int64_t k = 0; k < b->count[j]; k++, total++)
            w->start[b->kept[b->first[j] + k].item + 1]++;
    w->target = NEW(a, Neighbour, total, e);
    if (!w->start || !w->target)
        return false;
    for (int64_t i = 0; i < b->I; i++)
        w->start[i + 1] += w->start[i];
    for (int64_t j = 0; j < b->I; j++)
        for (int64_t k = 0; k < b->count[j]; k++) {
            const Similar *s = &b->kept[b->first[j] + k];
            w->target[w->start[s->item]++] = (Neighbour){(int32_t)j, (float)s->value};
        }
    for (int64_t i = b->I; i > 0; i--) /* filling moved each row's start to its end */
        w->start[i] = w->start[i - 1];
    w->start[0] = 0;
    return true;
}

/* A score is a sum over a user's items of rating times similarity. */
static bool check_range(const ItemKnn *w, const Pairs *train, int64_t I, int64_t U, Error *e)
{
    double weight = 0, rating = w->rating ? 0 : 1;
    int64_t longest = 0;
    for (int64_t k = 0; k < w->start[I]; k++)
        weight = fmax(weight, fabs((double)w->target[k].weight));
    for (int64_t k = 0; w->rating && k < train->count; k++)
        rating = fmax(rating, fabs((double)w->rating[k]));
    for (int64_t u = 0; u < U; u++)
        longest = MAX(longest, train->start[u + 1] - train->start[u]);
    return weight * rating * (double)longest < (double)FLT_MAX ||
           fail(e, SP_FORMAT,
                "ItemKNN: ratings up to %g give scores too large for float32; scale the ratings, or set implicit=true",
                rating);
}

static bool init(Model *m, Error *e)
{
    ItemKnn *w = m->own = NEW(m->arena, ItemKnn, 1, e);
    const Pairs *train = &m->data->train;
    const ItemKnnSettings *s = m->settings;
    Build b = {.train = train,
               .I = m->data->I,
               .neighbors = s->neighbors,
               .dot = s->similarity == 1,
               .aiolli = s->implementation == 1,
               .normalize = s->normalize,
               .shrink = s->shrink,
               .rating = s->implicit ? NULL : train->rating};
    if (!w)
        return false;
    if (!b.aiolli && (b.shrink != 0 || !b.normalize)) /* Elliot's standard similarity leaves them out too */
        return fail(e, SP_USAGE, "settings shrink and normalize need implementation=aiolli: set it, or leave them out");
    w->rating = b.rating;
    Pool *pool = store_device(m->store)->pool;
    Arena *scratch = arena_new(arena_heap(m->arena), 0);
    bool ok = scratch ? prepare(&b, m->data->U, pool_threads(pool), scratch, e) : fail_memory(e, 4096, "ItemKNN");
    if (ok)
        pool_run(pool, (size_t)b.I, find_neighbours, &b);
    ok = ok && turn(w, &b, m->arena, e) && check_range(w, train, b.I, m->data->U, e);
    arena_free(scratch);
    return ok;
}

/* ---- in a run's folder ----------------------------------------------------------------------- */

static Array array_of(const char *name, DType type, int64_t n, const void *data)
{
    return (Array){.name = text_of(name), .type = type, .dims = 1, .shape = {n}, .count = n, .data = data};
}

static const Array *arrays(const Model *m, size_t *count, Error *e)
{
    const ItemKnn *w = m->own;
    int64_t I = m->data->I, n = w->start[I];
    Array *list = NEW(m->arena, Array, 4, e);
    int32_t *item = NEW(m->arena, int32_t, n, e);
    float *weight = NEW(m->arena, float, n, e);
    if (!list || !item || !weight)
        return NULL;
    for (int64_t k = 0; k < n; k++) {
        item[k] = w->target[k].item;
        weight[k] = w->target[k].weight;
    }
    list[0] = array_of("start", I64, I + 1, w->start);
    list[1] = array_of("item", I32, n, item);
    list[2] = array_of("weight", F32, n, weight);
    list[3] = array_of("rating", F32, m->data->train.count, w->rating);
    *count = w->rating ? 4 : 3;
    return list;
}

/* W and the ratings, as `arrays` wrote them. */
static bool read_arrays(ItemKnn *w, const Model *m, const Weights *file, Error *e)
{
    int64_t I = m->data->I, pairs = m->data->train.count, before = 0;
    const Array *start = weights_need(file, e, "start", 1, I + 1);
    const Array *item = start ? weights_find(file, "item") : NULL, *weight = item ? weights_find(file, "weight") : NULL;
    const Array *rating = weights_find(file, "rating");
    float *ratings = rating ? NEW(m->arena, float, rating->count, e) : NULL;
    if (!start || (rating && !ratings))
        return false;
    bool ok = item && weight && item->count == weight->count && start->type == I64 && item->type == I32 &&
              weight->type == F32 && (!rating || (rating->type == F32 && rating->count == pairs));
    w->start = NEW(m->arena, int64_t, I + 1, e);
    w->target = NEW(m->arena, Neighbour, ok ? item->count : 0, e);
    if (!w->start || !w->target)
        return false;
    array_i64(start, 0, I + 1, w->start);
    for (int64_t i = 0; ok && i <= I; before = w->start[i++])
        ok = w->start[i] >= before && (i > 0 || w->start[0] == 0);
    ok = ok && before == item->count;
    for (int64_t k = 0; ok && k < item->count; k++) {
        int64_t number;
        array_i64(item, k, 1, &number);
        array_f32(weight, k, 1, &w->target[k].weight);
        w->target[k].item = (int32_t)number;
        ok = number >= 0 && number < I && isfinite(w->target[k].weight);
    }
    if (ok && rating)
        array_f32(rating, 0, pairs, ratings);
    for (int64_t k = 0; ok && rating && k < pairs; k++)
        ok = isfinite(ratings[k]);
    w->rating = ratings;
    return ok || fail(e, SP_FORMAT, "%s: its neighbours do not fit the items and train pairs; train again",
                      weights_path(file));
}

static bool restore(Model *m, const Weights *file, Error *e)
{
    ItemKnn *w = m->own = NEW(m->arena, ItemKnn, 1, e);
    return w && read_arrays(w, m, file, e) && check_range(w, &m->data->train, m->data->I, m->data->U, e);
}

/* ---- scores ---------------------------------------------------------------------------------- */

typedef struct Scoring {
    const Model *m;
    const int32_t *ids;
    float *scores;
    double *sum; /* [workers, I] */
} Scoring;

static void score_user(void *arg, size_t task, int worker)
{
    const Scoring *s = arg;
    const ItemKnn *w = s->m->own;
    const Pairs *train = &s->m->data->train;
    int64_t I = s->m->data->I, u = s->ids[task];
    double *sum = s->sum + worker * I;
    memset(sum, 0, sizeof *sum * (size_t)I);
    for (int64_t k = train->start[u]; k < train->start[u + 1]; k++) {
        double r = w->rating ? (double)w->rating[k] : 1;
        for (int64_t l = w->start[train->item[k]]; l < w->start[train->item[k] + 1]; l++)
            sum[w->target[l].item] += r * (double)w->target[l].weight;
    }
    for (int64_t i = 0; i < I; i++)
        s->scores[(int64_t)task * I + i] = (float)sum[i];
}

static bool score(Model *m, const int32_t *ids, int64_t n, float *scores, Error *e)
{
    const Device *d = store_device(m->store);
    size_t bytes = sizeof(double) * (size_t)pool_threads(d->pool) * (size_t)m->data->I;
    Scoring s = {m, ids, scores, heap_alloc(d->heap, bytes)}; /* its own: threads may share the model */
    if (!s.sum)
        return fail_memory(e, bytes, "ItemKNN's scores");
    pool_run(d->pool, (size_t)n, score_user, &s);
    heap_free(d->heap, s.sum, bytes);
    return true;
}

const Recommender recommender_itemknn = {
    .name = "ItemKNN",
    .paper = "Item-based Collaborative Filtering Recommendation Algorithms (Sarwar et al., WWW 2001)",
    .settings = settings,
    .settings_size = sizeof(ItemKnnSettings),
    .sampling = sampling_none,
    .init = init,
    .score = score,
    .arrays = arrays,
    .restore = restore,
};
