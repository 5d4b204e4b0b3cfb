/* tests/recsys_multimodal_test.c: the vectors of multimodal recommenders equal plain dense code in double precision,
 * for settings that the golden traces do not have. */
#include "tests/shared_testing.h"

enum { MODALITIES = 2 };
static const char *const names[MODALITIES] = {"visual", "textual"};

/* ---- matrices -------------------------------------------------------------------------------- */

typedef struct Matrix {
    int64_t rows, cols;
    double *x;
} Matrix;

static Matrix matrix(TestBench *b, int64_t rows, int64_t columns)
{
    return (Matrix){rows, columns, NEW(b->arena, double, rows *columns, &b->e)};
}

static double *row(Matrix a, int64_t r)
{
    return a.x + r * a.cols;
}

/* Returns a tensor of the model, "KIND.NAME" or "KIND.NAME.LAYER.WHAT". A vector is one row. */
static Matrix stored(TestBench *b, const Model *m, const char *format, const char *name, int layer)
{
    const char *full = arena_printf(b->arena, &b->e, format, name, layer);
    const Tensor *x = store_find(m->store, full);
    if (!x)
        fail_msg("the store has no %s", full);
    Matrix a = matrix(b, x->dims > 1 ? rows_of(x) : 1, x->dims > 1 ? cols_of(x) : x->count);
    const float *from = numbers(b, x);
    for (int64_t i = 0; i < x->count; i++)
        a.x[i] = (double)from[i];
    return a;
}

static Matrix features(TestBench *b, int modality)
{
    const Feature *f = &b->data.features[modality];
    Matrix a = matrix(b, I, f->D);
    for (int64_t i = 0; i < I * f->D; i++)
        a.x[i] = (double)f->data[i];
    return a;
}

/* Returns x w' + bias. bias.x NULL: no bias. */
static Matrix affine(TestBench *b, Matrix x, Matrix w, Matrix bias)
{
    assert_int_equal(x.cols, w.cols);
    Matrix y = matrix(b, x.rows, w.rows);
    for (int64_t r = 0; r < y.rows; r++)
        for (int64_t c = 0; c < y.cols; c++) {
            row(y, r)[c] = bias.x ? bias.x[c] : 0;
            for (int64_t k = 0; k < x.cols; k++)
                row(y, r)[c] += row(x, r)[k] * row(w, c)[k];
        }
    return y;
}

/* Returns the rows of x, then those of y. */
static Matrix stacked(TestBench *b, Matrix x, Matrix y)
{
    assert_int_equal(x.cols, y.cols);
    Matrix z = matrix(b, x.rows + y.rows, x.cols);
    memcpy(z.x, x.x, (size_t)(x.rows * x.cols) * sizeof *z.x);
    memcpy(row(z, x.rows), y.x, (size_t)(y.rows * y.cols) * sizeof *z.x);
    return z;
}

/* Returns the columns of x, then those of y. */
static Matrix concatenated(TestBench *b, Matrix x, Matrix y)
{
    Matrix z = matrix(b, x.rows, x.cols + y.cols);
    for (int64_t r = 0; r < z.rows; r++) {
        memcpy(row(z, r), row(x, r), (size_t)x.cols * sizeof *z.x);
        memcpy(row(z, r) + x.cols, row(y, r), (size_t)y.cols * sizeof *z.x);
    }
    return z;
}

/* Returns x + factor y. */
static Matrix plus(TestBench *b, Matrix x, Matrix y, double factor)
{
    assert_true(x.rows == y.rows && x.cols == y.cols);
    Matrix z = matrix(b, x.rows, x.cols);
    for (int64_t i = 0; i < x.rows * x.cols; i++)
        z.x[i] = x.x[i] + factor * y.x[i];
    return z;
}

static Matrix leaky(TestBench *b, Matrix x, double slope)
{
    Matrix y = matrix(b, x.rows, x.cols);
    for (int64_t i = 0; i < x.rows * x.cols; i++)
        y.x[i] = x.x[i] > 0 ? x.x[i] : slope * x.x[i];
    return y;
}

static Matrix unit_rows(TestBench *b, Matrix x)
{
    Matrix y = matrix(b, x.rows, x.cols);
    for (int64_t r = 0; r < x.rows; r++) {
        double squares = 0;
        for (int64_t c = 0; c < x.cols; c++)
            squares += row(x, r)[c] * row(x, r)[c];
        for (int64_t c = 0; c < x.cols; c++)
            row(y, r)[c] = row(x, r)[c] / fmax(sqrt(squares), 1e-12);
    }
    return y;
}

static double dot(Matrix x, int64_t r, int64_t s)
{
    double sum = 0;
    for (int64_t c = 0; c < x.cols; c++)
        sum += row(x, r)[c] * row(x, s)[c];
    return sum;
}

/* ---- models ---------------------------------------------------------------------------------- */

static Model model_new(TestBench *b, const char *name, Protocol protocol, const char *set)
{
    const char *words[16];
    size_t n = 0;
    for (Text rest = text_of(set), word; text_next(&rest, ' ', &word) && n < COUNT(words);)
        words[n++] = arena_strndup(b->arena, word.p, word.n, &b->e);
    Model m = b->model;
    m.kind = recommender_find(name);
    assert_non_null(m.kind);
    OK(b, (m.store = store_new(&b->device, &b->e)) != NULL);
    OK(b, (m.settings = settings_make(m.kind, protocol, words, n, b->arena, &b->e)) != NULL);
    OK(b, m.kind->init(&m, &b->e));
    return m;
}

/* Checks that the users' and items' vectors of the model are the rows of `expected`, users first. */
static void assert_represents(TestBench *b, Model *m, const char *set, Matrix expected)
{
    Tape *t = fresh_tape(b, false);
    Tensor *users, *items;
    OK(b, m->kind->represent(t, m, &users, &items) && tape_ok(t, &b->e));
    assert_true(rows_of(users) == U && rows_of(items) == I);
    assert_true(cols_of(users) == expected.cols && cols_of(items) == expected.cols && expected.rows == N);
    const float *got[] = {numbers(b, users), numbers(b, items)};
    for (int64_t n = 0; n < N; n++)
        for (int64_t c = 0; c < expected.cols; c++) {
            double x = (double)(n < U ? got[0][n * expected.cols + c] : got[1][(n - U) * expected.cols + c]);
            if (!(fabs(x - row(expected, n)[c]) <= 2e-6 * (1 + fabs(x))))
                fail_msg("%s %s: node %lld, number %lld: %.9g, not %.9g", m->kind->name, set, (long long)n,
                         (long long)c, x, row(expected, n)[c]);
        }
    tape_free(t);
    store_free(m->store);
}

/* ---- GRCN ------------------------------------------------------------------------------------ */

/* A message between two nodes. Each train pair has two messages: one to the user and one to the item. */
typedef struct Edge {
    int to, from;
} Edge;
typedef struct Edges {
    /* The messages to users, in the order of the train pairs, then the messages to items, in the same order. Elliot
     * computes values in this order. */
    Edge *pair;
    Edge *sorted; /* the same messages by receiver, then by sender: the order of the matrix that Elliot stores */
    int count;    /* 2 * the number of train pairs */
} Edges;

static Edges edges_of(TestBench *b)
{
    const Pairs *train = &b->data.train;
    int E = (int)train->count, n = 0;
    Edges x = {NEW(b->arena, Edge, 2 * E, &b->e), NEW(b->arena, Edge, 2 * E, &b->e), 2 * E};
    for (int u = 0; u < U; u++)
        for (int64_t p = train->start[u]; p < train->start[u + 1]; p++) {
            x.pair[p] = x.sorted[p] = (Edge){u, U + train->item[p]};
            x.pair[E + p] = (Edge){U + train->item[p], u};
        }
    for (int i = U; i < N; i++)
        for (int e = E; e < 2 * E; e++)
            if (x.pair[e].to == i)
                x.sorted[E + n++] = x.pair[e];
    assert_int_equal(n, E);
    return x;
}

/* Computes a softmax in place, over the entries that have the same receiver in `edge`. */
static void softmax_by(const Edge *edge, int count, double *x)
{
    double sum[N] = {0};
    for (int e = 0; e < count; e++)
        sum[edge[e].to] += exp(x[e]);
    for (int e = 0; e < count; e++)
        x[e] = exp(x[e]) / sum[edge[e].to];
}

/* Returns [N, columns of x]: for each receiver the sum of the senders' rows of x, weighted by the edges. */
static Matrix receive(TestBench *b, const Edge *edge, int count, const double *weight, Matrix x)
{
    Matrix y = matrix(b, N, x.cols);
    for (int e = 0; e < count; e++)
        for (int64_t c = 0; c < x.cols; c++)
            row(y, edge[e].to)[c] += weight[e] * row(x, edge[e].from)[c];
    return y;
}

typedef struct GrcnCase {
    const char *set;
    bool mmrec, elliot_order, act, pruning;
    int routings;
    enum { CONFIDENCE, MAX_OF, MEAN_OF } weight;
    enum { CONCAT, ID, MEAN } fusion;
} GrcnCase;

static Matrix naive_grcn(TestBench *b, const Model *m, const GrcnCase *k)
{
    Edges edge = edges_of(b);
    int count = edge.count, E = count / 2;
    /* The value of edge e is computed from edge.pair[e]. Elliot's code has an error: it uses the value for
     * edge.sorted[e]. elliot_order repeats this (recipes.md, "Elliot's order of pairs"). */
    const Edge *to = k->elliot_order ? edge.sorted : edge.pair;
    Matrix content[MODALITIES];
    double *weight[MODALITIES], *total = NEW(b->arena, double, count, &b->e);
    Matrix confidence = k->weight == CONFIDENCE ? stored(b, m, "confidence", "", 0) : (Matrix){0};
    for (int i = 0; i < MODALITIES; i++) {
        Matrix f = affine(b, features(b, i), stored(b, m, "projection.%s.weight", names[i], 0),
                          stored(b, m, "projection.%s.bias", names[i], 0));
        Matrix x =
            stacked(b, unit_rows(b, stored(b, m, "preference.%s", names[i], 0)), unit_rows(b, leaky(b, f, 0.01)));
        double *w = weight[i] = NEW(b->arena, double, count, &b->e);
        for (int r = 0; r < k->routings; r++) {
            /* Only the users' rows of x change here. MMRec's routing has only edges from users to items (the second
             * half of edge.pair), so users receive nothing: y is 0 for them, and their rows are only normalised
             * again. */
            for (int e = 0; e < E; e++)
                w[e] = dot(x, edge.pair[e].to, edge.pair[e].from);
            softmax_by(edge.pair, E, w);
            Matrix y = receive(b, k->mmrec ? edge.pair + E : edge.pair, E, w, x);
            y = k->act ? leaky(b, y, 0.01) : y;
            Matrix next = unit_rows(b, plus(b, x, y, 1));
            memcpy(x.x, next.x, (size_t)(U * x.cols) * sizeof *x.x);
        }
        for (int e = 0; e < count; e++)
            w[e] = dot(x, edge.pair[e].to, edge.pair[e].from);
        softmax_by(to, count, w);
        Matrix y = receive(b, to, count, w, x);
        content[i] = plus(b, x, k->act ? leaky(b, y, 0.01) : y, 1);
        for (int e = 0; e < count && k->weight == CONFIDENCE; e++)
            w[e] *= row(confidence, k->mmrec ? edge.pair[e].from : edge.pair[e].to)[i];
    }
    for (int e = 0; e < count; e++) {
        total[e] = k->weight == MEAN_OF ? (weight[0][e] + weight[1][e]) / 2 : fmax(weight[0][e], weight[1][e]);
        total[e] = k->pruning ? fmax(total[e], 0) : total[e];
    }
    Matrix x = unit_rows(b, stacked(b, stored(b, m, "user", "", 0), stored(b, m, "item", "", 0))), sum = x;
    for (int l = 0; l < 2; l++) {
        x = receive(b, to, count, total, x);
        x = k->act ? leaky(b, x, 0.01) : x;
        x = k->mmrec ? x : unit_rows(b, x);
        sum = plus(b, sum, x, 1);
    }
    for (int i = 0; i < MODALITIES && k->fusion != ID; i++)
        sum = k->fusion == MEAN ? plus(b, sum, content[i], 1) : concatenated(b, sum, content[i]);
    return k->fusion == MEAN ? plus(b, sum, sum, 1.0 / 3 - 1) : sum;
}

static void grcn(void **state)
{
    TestBench *b = *state;
    const GrcnCase cases[] = {
        {.set = "factors=6 factors_multimod=5", .routings = 3, .pruning = true},
        {.set = "factors=6 factors_multimod=5 edge_order=elliot", .elliot_order = true, .routings = 3, .pruning = true},
        {.set = "factors=6 factors_multimod=5 edge_order=elliot has_act=true num_routings=1 pruning=false",
         .elliot_order = true,
         .act = true,
         .routings = 1},
        {.set = "factors=6 factors_multimod=5 variant=mmrec num_routings=2",
         .mmrec = true,
         .routings = 2,
         .pruning = true},
        {.set = "factors=6 factors_multimod=5 variant=mmrec pruning=false has_act=true fusion_mode=id",
         .mmrec = true,
         .routings = 3,
         .act = true,
         .fusion = ID},
        {.set = "factors=5 factors_multimod=5 weight_mode=max fusion_mode=mean",
         .routings = 3,
         .pruning = true,
         .weight = MAX_OF,
         .fusion = MEAN},
        {.set = "factors=6 factors_multimod=5 weight_mode=mean num_routings=0", .pruning = true, .weight = MEAN_OF},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        Model m = model_new(b, "GRCN", PROTOCOL_ELLIOT, cases[i].set);
        assert_represents(b, &m, cases[i].set, naive_grcn(b, &m, &cases[i]));
    }
}

/* ---- MMGCN ----------------------------------------------------------------------------------- */

static Matrix mean_of_neighbours(TestBench *b, Matrix x)
{
    Matrix y = matrix(b, N, x.cols);
    for (int u = 0; u < U; u++)
        for (int i = 0; i < I; i++)
            for (int64_t c = 0; c < x.cols && b->R[u][i] > 0; c++) {
                row(y, u)[c] += row(x, U + i)[c] / b->degree[u];
                row(y, U + i)[c] += row(x, u)[c] / b->degree[U + i];
            }
    return y;
}

static Matrix naive_mmgcn(TestBench *b, const Model *m, int layers, int projected)
{
    Matrix identity = stacked(b, stored(b, m, "identity.user", "", 0), stored(b, m, "identity.item", "", 0)), sum = {0};
    const Matrix none = {0};
    for (int i = 0; i < MODALITIES; i++) {
        Matrix f = features(b, i);
        if (i == projected)
            f = affine(b, f, stored(b, m, "projection.%s.weight", names[i], 0),
                       stored(b, m, "projection.%s.bias", names[i], 0));
        Matrix x = unit_rows(b, stacked(b, stored(b, m, "preference.%s", names[i], 0), f));
        for (int l = 0; l < layers; l++) {
            Matrix h = affine(b, x, stored(b, m, "conv.%s.%d.weight", names[i], l), none);
            h = leaky(b, mean_of_neighbours(b, h), 0.01);
            Matrix z = affine(b, x, stored(b, m, "linear.%s.%d.weight", names[i], l),
                              stored(b, m, "linear.%s.%d.bias", names[i], l));
            z = plus(b, leaky(b, z, 0.01), identity, 1);
            x = affine(b, concatenated(b, h, z), stored(b, m, "combine.%s.%d.weight", names[i], l),
                       stored(b, m, "combine.%s.%d.bias", names[i], l));
            x = leaky(b, x, 0.01);
        }
        sum = i ? plus(b, sum, x, 1) : x;
    }
    return plus(b, sum, sum, 1.0 / MODALITIES - 1);
}

static void mmgcn(void **state)
{
    TestBench *b = *state;
    static const struct {
        const char *set;
        int layers, projected;
        bool trained;
    } cases[] = {
        {"factors=6 factors_multimod=5 variant=mmrec train_id=false n_layers=3", 3, 0, false},
        {"factors=6 factors_multimod=5", 2, 0, true},
        {"factors=6 factors_multimod=0 variant=mmrec train_id=true n_layers=1", 1, -1, true},
        {"factors=6 factors_multimod=0 train_id=false", 2, -1, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        Model m = model_new(b, "MMGCN", PROTOCOL_ELLIOT, cases[i].set);
        assert_true((store_find(m.store, "identity.user")->param != NULL) == cases[i].trained);
        assert_true((store_find(m.store, "preference.textual")->param != NULL) == cases[i].trained);
        assert_represents(b, &m, cases[i].set, naive_mmgcn(b, &m, cases[i].layers, cases[i].projected));
    }
}

/* Checks features of which none is named visual: Elliot's recipe projects the first ones, MMRec's projects none. */
static void mmgcn_without_visual(void **state)
{
    TestBench *b = *state;
    DataSet data = b->data;
    Feature other[] = {b->data.features[0], b->data.features[1]};
    other[0].name = "image";
    data.features = other;
    const char *const mmrec = "factors=6 factors_multimod=5 variant=mmrec";
    Model m = model_new(b, "MMGCN", PROTOCOL_ELLIOT, mmrec), one = m, first = m;
    Error e = {0};
    one.data = first.data = &data;
    one.store = store_new(&b->device, &e);
    assert_false(one.kind->init(&one, &e));
    assert_error(e, SP_USAGE, "no features are named visual");
    store_free(one.store);
    e = (Error){0};
    data.feature_count = 1;
    one.store = store_new(&b->device, &e);
    assert_ok(one.kind->init(&one, &e), e);
    assert_null(store_find(one.store, "projection.image.weight"));
    store_free(one.store);
    data.feature_count = 2;
    const char *const elliot[] = {"factors=6", "factors_multimod=5"};
    first.settings = settings_make(m.kind, PROTOCOL_ELLIOT, elliot, COUNT(elliot), b->arena, &e);
    first.store = store_new(&b->device, &e);
    assert_ok(first.kind->init(&first, &e), e);
    assert_non_null(store_find(first.store, "projection.image.weight"));
    assert_null(store_find(first.store, "projection.textual.weight"));
    store_free(first.store);
    store_free(m.store);
}

/* ---- NGCF-M ---------------------------------------------------------------------------------- */

static Matrix naive_ngcfm(TestBench *b, const Model *m, int layers)
{
    Matrix x = stacked(b, stored(b, m, "user", "", 0), stored(b, m, "item", "", 0)), sum = x;
    for (int l = 0; l < layers; l++) {
        Matrix message = matrix(b, N, x.cols), product = matrix(b, N, x.cols);
        for (int64_t n = 0; n < N; n++)
            for (int64_t c = 0; c < x.cols; c++) {
                double *y = &row(message, n)[c];
                *y = row(x, n)[c];
                for (int64_t o = n < U ? U : 0; o < (n < U ? N : U); o++)
                    if ((n < U ? b->R[n][o - U] : b->R[o][n - U]) > 0)
                        *y += row(x, o)[c];
                *y /= b->degree[n] + 1;
                row(product, n)[c] = *y * row(x, n)[c];
            }
        x = plus(
            b, affine(b, message, stored(b, m, "sum.%s%d.weight", "", l), stored(b, m, "sum.%s%d.bias", "", l)),
            affine(b, product, stored(b, m, "product.%s%d.weight", "", l), stored(b, m, "product.%s%d.bias", "", l)),
            1);
        x = unit_rows(b, leaky(b, x, 0.2));
        sum = plus(b, sum, x, 1);
    }
    sum = plus(b, sum, sum, 1.0 / (layers + 1) - 1);
    Matrix p = affine(b, features(b, 0), stored(b, m, "projection.visual.weight", "", 0),
                      stored(b, m, "projection.visual.bias", "", 0));
    p = plus(b, p, affine(b, features(b, 1), stored(b, m, "projection.textual.weight", "", 0), (Matrix){0}), 1);
    return concatenated(b, sum, stacked(b, stored(b, m, "user_visual", "", 0), unit_rows(b, p)));
}

static void ngcfm(void **state)
{
    TestBench *b = *state;
    const char *const set = "factors=6 n_layers=2 node_dropout=0 message_dropout=0";
    Model m = model_new(b, "NGCFM", PROTOCOL_ELLIOT, set);
    assert_represents(b, &m, set, naive_ngcfm(b, &m, 2));
}

/* ---- wrong settings -------------------------------------------------------------------------- */

static void wrong_settings(void **state)
{
    TestBench *b = *state;
    static const struct {
        const char *set[3], *says;
    } cases[] = {
        {{"edge_order=elliot", "variant=mmrec", "factors=64"}, "set variant=elliot"},
        {{"fusion_mode=mean", "factors=64", "factors_multimod=128"}, "expects equal lengths"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        Error e = {0};
        Model m = b->model;
        m.kind = recommender_find("GRCN");
        m.store = store_new(&b->device, &e);
        m.settings = settings_make(m.kind, PROTOCOL_ELLIOT, cases[i].set, 3, b->arena, &e);
        assert_ok(m.settings, e);
        assert_false(m.kind->init(&m, &e));
        assert_error(e, SP_USAGE, cases[i].says);
        store_free(m.store);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grcn),  cmocka_unit_test(mmgcn),          cmocka_unit_test(mmgcn_without_visual),
        cmocka_unit_test(ngcfm), cmocka_unit_test(wrong_settings),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
