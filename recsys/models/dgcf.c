/* recsys/models/dgcf.c: DGCF: Wang et al. 2020, as Elliot (which follows RecBole) and the authors' code train it
 * (recipes.md 7.14). MMRec has no DGCF: under its protocol, Elliot's recipe is used.
 *
 * Vectors are split into `intents` chunks. An edge h -> t has a strength a_k for each intent k, initially 0. Each
 * routing iteration of a layer computes, from the input x of the layer:
 *
 *   w_k = softmax over k of a_k,  d_k(h) = sum of w_k over the edges of h
 *   z_k(h) = sum over its t of d_k(h)^-1/2 w_k d_k(t)^-1/2 x_k(t)
 *   a_k += normalize(z_k(h)) . tanh(normalize(x_k(t)))
 *
 * The last z is the output of the layer. The next layer starts with the strengths of this one. The vector of a node is
 * the mean of layers 0 to n_layers.
 *
 *   loss = mean of BPR + l_w_bpr / 2 (squares of layer 0 of the batch's rows) / B
 *          + l_w_ind sum over k of dcor(chunk k, chunk k + 1) / (intents (intents + 1) / 2)
 *
 * dcor is the distance correlation (Szekely et al. 2007) over users and items that are drawn for each batch. Let s be
 * max(U, I) divided by the number of batches, but at least 1 and at most MOST_SAMPLED. Then s users and s items are
 * drawn (all of them if there are fewer than s). For n users and items together, the matrices of dcor are [n, n] of
 * 4 n^2 bytes, at most 16 MiB. Three matrices per intent are kept until the backward pass. No other matrix here is
 * users by users, users by items or items by items.
 *
 * Variant elliot does not compute distances; it repeats RecBole's code, which Elliot follows. Let r_i be the sum of the
 * squares of row x_i of X, and s_i the sum of the numbers of this row. Element (i, j) of the matrix is:
 *
 *   paper     r_i - 2 x_i . x_j + r_j           the squared distance of the rows i and j
 *   RecBole   r_i - 2 x_i . x_j - 2 s_i r_j     because r_j is added to X' before the product */
#include "recsys/models/models.h"

enum { MOST_SAMPLED = 1024, MOST_ROUTINGS = 100 };

typedef struct Dgcf {
    Tables x;
    Csr *graph;         /* [U + I, U + I] */
    int64_t chunk;      /* factors / intents */
    int64_t sampled[2]; /* numbers of users and of items in the distance correlation */
    int32_t *ids[2];    /* [sampled] */
    bool *taken;        /* [max(U, I)] scratch of draw_subset */
    Tensor *others;     /* [n, n] for variant paper: see others_new */
    Tensor **input;     /* [intents]: chunks of a layer's input */
    Tensor **tail;      /* tanh(normalize(input)) */
    Tensor **output;    /* of the latest iteration */
    Tensor **strength;  /* [entries]; NULL: 0 */
    Tensor **weight;    /* [entries]: softmax of the strengths */
    Tensor **live;      /* [intents + 2] tensors that are read after a layer */
} Dgcf;

typedef struct DgcfSettings {
    CommonSettings common;
    int64_t factors, n_layers, intents, routing_iterations;
    double l_w_bpr, l_w_ind;
} DgcfSettings;
static const Setting settings[] = {
    VARIANT_ELLIOT_PAPER_SETTING,
    FACTORS_SETTING(DgcfSettings),
    LAYERS_SETTING(DgcfSettings, "1", "1"),
    I64_ALSO(DgcfSettings, intents, "4", "4", "intents (chunks) per embedding; factors must be a multiple", 1,
             INT32_MAX, SAME_AS("n_factors")),
    I64_ALSO(DgcfSettings, routing_iterations, "2", "2", "routing iterations of a layer", 1, MOST_ROUTINGS,
             SAME_AS("n_iterations")),
    F64_ALSO(DgcfSettings, l_w_bpr, "1e-3", "1e-3", "weight of the regularisation", 0, FLT_MAX,
             NOT_HERE("reg_weight", "set l_w_bpr, the weight of half the squares")),
    F64_ALSO(DgcfSettings, l_w_ind, "0.01", "0.01", "weight of the distance correlation of intents", 0, FLT_MAX,
             SAME_AS("cor_weight")),
    {0},
};

/* Reports whether the loss has the term that makes the intents independent. */
static bool uses_independence(const DgcfSettings *s)
{
    return s->intents > 1 && s->l_w_ind > 1e-9; /* Elliot's code and the authors' code ignore smaller weights */
}

/* Makes the matrix [n, n] that is 0 on the diagonal and 1 elsewhere. The squared distances of n nodes are multiplied by
 * it. So the squared distance of a node to itself is exactly 0, and gets no gradient. Without this matrix it would be a
 * rounding error with a large gradient: `root` has the derivative 5,000 at 0. */
static Tensor *others_new(Model *m, int64_t n, Error *e)
{
    Arena *scratch = arena_new(store_device(m->store)->heap, 0);
    float *host = scratch ? NEW(scratch, float, n *n, e) : NULL;
    Tensor *others = NULL;
    for (int64_t i = 0; host && i < n * n; i++)
        host[i] = i % (n + 1) ? 1 : 0;
    if (host)
        others = store_f32(m->store, "others", 2, (int64_t[]){n, n}, host, e);
    else
        fail_memory(e, 0, "a matrix of distances");
    arena_free(scratch);
    return others;
}

/* Prepares the independence loss: decides how many users and items each batch samples for it, and allocates their lists
 * and the matrix of variant=paper. */
static bool independence_init(Model *m, Dgcf *x, Error *e)
{
    const DgcfSettings *s = m->settings;
    int64_t U = m->data->U, I = m->data->I, batches = div_up(MAX(m->data->train.count, 1), s->common.batch_size);
    int64_t n = MIN(MAX(MAX(U, I) / batches, 1), MOST_SAMPLED);
    for (int side = 0; side < 2; side++) {
        x->sampled[side] = MIN(n, side ? I : U);
        if (!(x->ids[side] = NEW(m->arena, int32_t, x->sampled[side], e)))
            return false;
    }
    if (!(x->taken = NEW(m->arena, bool, MAX(U, I), e)))
        return false;
    return !uses_independence(s) || !is_paper(m) || (x->others = others_new(m, x->sampled[0] + x->sampled[1], e));
}

static bool init(Model *m, Error *e)
{
    const DgcfSettings *s = m->settings;
    int64_t K = s->intents;
    Dgcf *x = m->own = NEW(m->arena, Dgcf, 1, e);
    if (!x)
        return false;
    if (s->factors % K != 0)
        return fail(e, SP_USAGE, "DGCF: factors=%lld is not a multiple of intents=%lld; set one of them",
                    (long long)s->factors, (long long)K);
    /* a strength is a sum of this number of terms, each at most 1; the limit keeps its exponential small */
    if (s->n_layers * s->routing_iterations > MOST_ROUTINGS)
        return fail(e, SP_USAGE, "DGCF: n_layers=%lld times routing_iterations=%lld is above %d",
                    (long long)s->n_layers, (long long)s->routing_iterations, MOST_ROUTINGS);
    Tensor ***lists[] = {&x->input, &x->tail, &x->output, &x->strength, &x->weight, &x->live};
    for (size_t i = 0; i < COUNT(lists); i++)
        if (!(*lists[i] = NEW(m->arena, Tensor *, K + 2, e)))
            return false;
    x->chunk = s->factors / K;
    return independence_init(m, x, e) && tables_new(m, &x->x, s->factors, (Init){INIT_XAVIER_UNIFORM, 0}, e) &&
           (x->graph = user_item_graph(m, "graph", ADJ_SYM, e)) && csr_index(m->store, x->graph, e);
}

/* ---- routing --------------------------------------------------------------------------------- */

/* Computes the weights of the K intents: for each entry of the graph, the softmax of its K strengths. */
static void softmax_strengths(Tape *t, const Dgcf *x, int64_t K)
{
    Tensor *sum = NULL;
    for (int64_t k = 0; k < K; k++) {
        x->weight[k] = unary(t, x->strength[k], UN_EXP);
        sum = sum ? add(t, sum, x->weight[k]) : x->weight[k];
    }
    for (int64_t k = 0; k < K; k++)
        x->weight[k] = divide(t, x->weight[k], sum);
}

/* Computes the output of one iteration from the input and the strengths. With equal strengths, every intent has
 * LightGCN's graph: the factors 1 / intents of a weight and of its two degrees cancel. */
static void convolve(Tape *t, const Dgcf *x, int64_t K, Tensor *all)
{
    if (!x->strength[0]) {
        Tensor *z = spmm(t, x->graph, all);
        for (int64_t k = 0; k < K; k++)
            x->output[k] = cols(t, z, k * x->chunk, x->chunk);
        return;
    }
    softmax_strengths(t, x, K);
    for (int64_t k = 0; k < K; k++)
        x->output[k] = spmm(t, graph_normalize(t, graph_with(t, x->graph, x->weight[k])), x->input[k]);
}

static Tensor *layer(Tape *t, const Model *m, Tensor *all, bool last)
{
    const DgcfSettings *s = m->settings;
    const Dgcf *x = m->own;
    int64_t K = s->intents;
    float shortest = is_paper(m) ? 1e-6f : 1e-12f; /* epsilon of TensorFlow's l2_normalize, of PyTorch's normalize */
    for (int64_t k = 0; k < K; k++) {
        x->input[k] = cols(t, all, k * x->chunk, x->chunk);
        x->tail[k] = activate(t, row_normalize(t, x->input[k], shortest), ACT_TANH, 0);
    }
    for (int64_t i = 0; i < s->routing_iterations; i++) {
        convolve(t, x, K, all);
        bool read = !last || i + 1 < s->routing_iterations; /* whether another iteration reads the strengths */
        for (int64_t k = 0; read && k < K; k++) {
            Tensor *by = sddmm(t, x->graph, row_normalize(t, x->output[k], shortest), x->tail[k]);
            x->strength[k] = x->strength[k] ? add(t, x->strength[k], by) : by;
        }
    }
    Tensor *out = x->output[0];
    for (int64_t k = 1; k < K; k++)
        out = concat(t, out, x->output[k]);
    return out;
}

static bool represent(Tape *t, Model *m, Tensor **users, Tensor **items)
{
    const DgcfSettings *s = m->settings;
    const Dgcf *x = m->own;
    Tensor *all = stack_rows(t, x->x.user, x->x.item), *sum = all;
    int64_t mark = tape_mark(t), K = s->intents;
    for (int64_t k = 0; k < K; k++)
        x->strength[k] = NULL;
    for (int64_t l = 0; l < s->n_layers; l++) {
        all = layer(t, m, all, l + 1 == s->n_layers);
        sum = add(t, sum, all);
        for (int64_t k = 0; k < K; k++)
            x->live[k] = x->strength[k];
        x->live[K] = all;
        x->live[K + 1] = sum;
        tape_drop(t, mark, (int)K + 2, x->live);
    }
    split_nodes(t, m, scale(t, sum, 1 / (float)(s->n_layers + 1)), users, items);
    return true;
}

/* ---- independence ---------------------------------------------------------------------------- */

/* Draws the users (side 0) or items for the distance correlation of a batch. The draw is a function of seed, epoch and
 * batch. */
static Tensor *draw_sample(Tape *t, const Model *m, const Batch *b, int side)
{
    const Dgcf *x = m->own;
    Tensor *ids = NULL;
    const int32_t *list = x->ids[side];
    int64_t of = side ? m->data->I : m->data->U, n = x->sampled[side];
    draw_subset((Draw){m->seed, DRAW_SUBSET, (uint32_t)m->epoch}, (uint64_t)(2 * b->index + side) << 32, (uint32_t)of,
                (uint32_t)n, x->ids[side], x->taken);
    input_ids(t, 1, &list, n, &ids);
    return ids;
}

/* Returns sqrt(max(x, 0) + 1e-8). */
static Tensor *root(Tape *t, Tensor *x)
{
    return unary(t, add_number(t, clamp(t, x, 0, FLT_MAX), 1e-8f), UN_SQRT);
}

/* Returns the distances of the rows of x [n, d], minus the means of their row and column, plus the mean of all -> [n,
 * n]. */
static Tensor *distances(Tape *t, const Model *m, Tensor *x)
{
    const Dgcf *own = m->own;
    int64_t mark = tape_mark(t), n = rows_of(x);
    Tensor *squares = row_dot(t, x, x), *v;
    if (is_paper(m)) {
        v = scale(t, matmul(t, x, false, x, true), -2);
        v = broadcast(t, BIN_ADD, SPREAD_ROW, v, squares);
        v = mul(t, broadcast(t, BIN_ADD, SPREAD_COLUMN, v, squares), own->others);
    } else {
        int64_t column[] = {n, 1};
        Tensor *sums = reshape(t, row_sum(t, x), 2, column), *last = reshape(t, squares, 2, column);
        v = scale(t, matmul(t, concat(t, x, sums), false, concat(t, x, last), true), -2);
        v = broadcast(t, BIN_ADD, SPREAD_COLUMN, v, squares);
    }
    Tensor *d = root(t, v);
    Tensor *by_row = scale(t, row_sum(t, d), 1 / (float)n), *by_column = scale(t, col_sum(t, d), 1 / (float)n);
    Tensor *all = mean(t, d);
    d = broadcast(t, BIN_SUB, SPREAD_COLUMN, d, by_row);
    d = broadcast(t, BIN_SUB, SPREAD_ROW, d, by_column);
    d = broadcast(t, BIN_ADD, SPREAD_NUMBER, d, all);
    tape_drop(t, mark, 1, &d);
    return d;
}

static Tensor *covariance(Tape *t, Tensor *a, Tensor *b)
{
    float n = (float)rows_of(a);
    return root(t, scale(t, sum(t, row_dot(t, a, b)), 1 / n / n));
}

/* Returns the sum of the distance correlations of neighbouring chunks, over the rows of x [n, factors], divided by K (K
 * + 1) / 2 -> [1]. Elliot's code and the authors' code divide by this number, although there are K - 1 correlations. */
static Tensor *independence(Tape *t, const Model *m, Tensor *x)
{
    const DgcfSettings *s = m->settings;
    const Dgcf *own = m->own;
    int64_t K = s->intents;
    Tensor *total = NULL, *before = NULL, *variance_before = NULL;
    for (int64_t k = 0; k < K; k++) {
        Tensor *d = distances(t, m, cols(t, x, k * own->chunk, own->chunk)), *variance = covariance(t, d, d);
        if (before) {
            Tensor *scale_of = add_number(t, unary(t, mul(t, variance_before, variance), UN_SQRT), 1e-10f);
            Tensor *correlation = divide(t, covariance(t, before, d), scale_of);
            total = total ? add(t, total, correlation) : correlation;
        }
        before = d;
        variance_before = variance;
    }
    return scale(t, total, 2 / ((float)K * (float)(K + 1)));
}

static Tensor *loss(Tape *t, Model *m, const Batch *b)
{
    const DgcfSettings *s = m->settings;
    const Dgcf *x = m->own;
    Tensor *users, *items, *sample[2] = {NULL, NULL};
    /* before the first op, so that these ids and the batch are one upload */
    for (int side = 0; uses_independence(s) && side < 2; side++)
        sample[side] = draw_sample(t, m, b, side);
    represent(t, m, &users, &items);
    Tensor *ego[] = {gather(t, x->x.user, b->user), gather(t, x->x.item, b->pos), gather(t, x->x.item, b->neg)};
    Tensor *total = add_l2(t, batch_bpr(t, users, items, b, 0), s->l_w_bpr, 3, ego, b->B);
    if (!uses_independence(s))
        return total;
    Tensor *rows = stack_rows(t, gather(t, users, sample[0]), gather(t, items, sample[1]));
    return add_term(t, total, independence(t, m, rows), s->l_w_ind);
}

const Recommender recommender_dgcf = {
    .name = "DGCF",
    .paper = "Disentangled Graph Collaborative Filtering (Wang et al., SIGIR 2020)",
    .settings = settings,
    .settings_size = sizeof(DgcfSettings),
    .paper_settings = "batch_size=2000 epochs=3000",
    .sampling = sampling_distinct_users_full,
    .init = init,
    .loss = loss,
    .represent = represent,
};
