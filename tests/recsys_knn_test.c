/* tests/recsys_knn_test.c: recommenders by neighbours and EASE^R equal plain dense code in double precision. Edge
 * cases: pairs with rating 0, constant and empty columns, users with every item, more neighbours than items. */
#include "recsys/recsys.h"

#include "tests/testing.h"

#include <math.h>

enum { USERS = 40, ITEMS = 30, MOST = 40, VISUAL = 7, TEXTUAL = 5 };

typedef struct TestBench {
    Device device;
    Arena *arena;
    DataSet data;
    double R[USERS][ITEMS];            /* ratings */
    bool has[USERS][ITEMS];            /* train pairs: some have rating 0 */
    double F[ITEMS][VISUAL + TEXTUAL]; /* features of two modalities */
} TestBench;

/* Makes ratings that are not whole numbers, so that similarities differ. User 0 has every item, user 1 none. The
 * ratings of item 3 are equal, those of item 4 are 0, item 5 has no pair. Items 8 and 9 have equal features, the
 * features of item 10 are zeros. */
static int setup(void **state)
{
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    TestBench *b = NEW(a, TestBench, 1, &e);
    b->arena = a;
    DataSet *d = &b->data;
    *d = (DataSet){.U = USERS, .I = ITEMS, .feature_count = 2, .features = NEW(a, Feature, 2, &e), .arena = a};
    d->train.start = NEW(a, int64_t, USERS + 1, &e);
    d->train.item = NEW(a, int32_t, USERS * ITEMS, &e);
    d->train.rating = NEW(a, float, USERS *ITEMS, &e);
    for (uint32_t u = 0; u < USERS; u++) {
        for (uint32_t i = 0; i < ITEMS; i++) {
            uint64_t k = u * ITEMS + i;
            b->has[u][i] = i != 5 && u != 1 && (u == 0 || draw_below((Draw){1, DRAW_TEST, 0}, k, 5) == 0);
            if (!b->has[u][i])
                continue;
            float r = 0.5f + 4 * draw_uniform((Draw){1, DRAW_TEST, 1}, k);
            r = i == 3 ? 0.1f : i == 4 || (u + i) % 17 == 0 ? 0 : r;
            b->R[u][i] = (double)r;
            d->train.item[d->train.count] = (int32_t)i;
            d->train.rating[d->train.count++] = r;
        }
        d->train.start[u + 1] = d->train.count;
    }
    static const char *const names[] = {"visual", "textual"};
    static const int64_t widths[] = {VISUAL, TEXTUAL};
    for (int f = 0; f < 2; f++) {
        float *x = NEW(a, float, ITEMS *widths[f], &e);
        for (int64_t i = 0; i < ITEMS; i++)
            for (int64_t c = 0; c < widths[f]; c++) {
                uint64_t k = (uint64_t)((i == 9 ? 8 : i) * 100 + f * VISUAL + c);
                float v = 2 * draw_uniform((Draw){1, DRAW_TEST, 2}, k) - 1;
                v = i == 10 || draw_below((Draw){1, DRAW_TEST, 3}, k, 3) == 0 ? 0 : v;
                x[i * widths[f] + c] = v;
                b->F[i][f * VISUAL + c] = (double)v;
            }
        d->features[f] = (Feature){.name = names[f], .D = widths[f], .data = x};
    }
    *state = b;
    bool opened = device_open(&b->device, NULL, 2, NULL, NULL, &e);
    if (!opened)
        fprintf(stderr, "%s\n", e.message);
    return opened ? 0 : -1;
}

static int teardown(void **state)
{
    TestBench *b = *state;
    device_close(&b->device);
    arena_free(b->arena);
    return 0;
}

static bool make(TestBench *b, Model *m, const char *name, const char *const *set, size_t n, Error *e)
{
    *m = (Model){.kind = recommender_find(name), .data = &b->data, .arena = b->arena, .seed = 5};
    m->settings = settings_make(m->kind, PROTOCOL_ELLIOT, set, n, b->arena, e);
    return m->settings && (m->store = store_new(&b->device, e)) && m->kind->init(m, e);
}

static void score_all(TestBench *b, const char *name, const char *const *set, size_t n, float *scores)
{
    Error e = {0};
    Model m;
    int32_t ids[USERS];
    for (int u = 0; u < USERS; u++)
        ids[u] = u;
    assert_ok(make(b, &m, name, set, n, &e) && m.kind->score(&m, ids, USERS, scores, &e), e);
    store_free(m.store);
}

/* ---- the formulas ---------------------------------------------------------------------------- */

typedef struct Case {
    const char *similarity;
    bool aiolli, implicit, plain; /* `plain` is normalize=false */
    int neighbors;
    double shrink, alpha, beta; /* alpha of asymmetric or tversky */
} Case;

/* The compared users or items, dense: `n` rows of m numbers. */
typedef struct ComparedRows {
    int n, m;
    double x[MOST][MOST];
    bool has[MOST][MOST];
} ComparedRows;

static double power_sum(const double *x, int m)
{
    double sum = 0;
    for (int k = 0; k < m; k++)
        sum += x[k] * x[k];
    return sum;
}

/* Makes the rows that Elliot compares: centred ratings, or sets. */
static void reduce(ComparedRows *t, const Case *c)
{
    bool pearson = !strcmp(c->similarity, "pearson"), adjusted = !strcmp(c->similarity, "adjusted");
    bool set = !strcmp(c->similarity, "jaccard") || !strcmp(c->similarity, "dice") || !strcmp(c->similarity, "tversky");
    double row[MOST] = {0}, col[MOST] = {0};
    int rows[MOST] = {0}, cols[MOST] = {0};
    for (int r = 0; r < t->n; r++)
        for (int k = 0; k < t->m; k++) {
            row[r] += t->x[r][k];
            col[k] += t->x[r][k];
            rows[r] += t->has[r][k];
            cols[k] += t->has[r][k];
        }
    for (int r = 0; r < t->n; r++)
        for (int k = 0; k < t->m; k++) {
            if (pearson && t->has[r][k])
                t->x[r][k] -= row[r] / rows[r];
            if (adjusted && t->has[r][k])
                t->x[r][k] -= col[k] / cols[k];
            if (set)
                t->x[r][k] = c->aiolli ? t->has[r][k] : t->x[r][k] != 0;
        }
}

/* Returns the similarity of i for the column of j, as in Elliot's item_knn_similarity.py and aiolli_ferrari.py. */
static double similarity(const ComparedRows *t, const Case *c, int i, int j)
{
    double product = 0, squares = 0, magnitudes = 0, x = power_sum(t->x[i], t->m), y = power_sum(t->x[j], t->m);
    for (int k = 0; k < t->m; k++) {
        product += t->x[i][k] * t->x[j][k];
        squares += (t->x[i][k] - t->x[j][k]) * (t->x[i][k] - t->x[j][k]);
        magnitudes += fabs(t->x[i][k] - t->x[j][k]);
    }
    const char *s = c->similarity;
    double all = x + y - product, more = c->shrink + 1e-6;
    if (!c->aiolli) {
        if (!strcmp(s, "cosine"))
            return x > 0 && y > 0 ? product / (sqrt(x) * sqrt(y)) : 0;
        if (!strcmp(s, "dot"))
            return product;
        if (!strcmp(s, "euclidean"))
            return 1 / (1 + sqrt(squares));
        if (!strcmp(s, "manhattan"))
            return 1 / (1 + magnitudes);
        if (!strcmp(s, "jaccard"))
            return all > 0 ? 1 / (1 + (all - product) / all) : 1;
        return x + y > 0 ? 1 / (1 + (x + y - 2 * product) / (x + y)) : 1;
    }
    if (i == j)
        return 0;
    if (!strcmp(s, "jaccard"))
        return product / (x + y - product + more);
    if (!strcmp(s, "dice"))
        return product / (x + y + more);
    if (!strcmp(s, "tversky"))
        return product / (product + (y - product) * c->alpha + (x - product) * c->beta + more);
    if (c->plain)
        return c->shrink != 0 ? product / c->shrink : product;
    if (!strcmp(s, "asymmetric"))
        return product / (pow(sqrt(y), 2 * c->alpha) * pow(sqrt(x), 2 * (1 - c->alpha)) + more);
    return product / (sqrt(x) * sqrt(y) + more);
}

/* Computes W: the largest entries of each column, by repeated search. aiolli counts zeros too. */
static void neighbourhoods(const ComparedRows *t, const Case *c, double W[MOST][MOST])
{
    for (int j = 0; j < t->n; j++) {
        double s[MOST];
        bool taken[MOST] = {false};
        for (int i = 0; i < t->n; i++) {
            W[i][j] = 0;
            s[i] = similarity(t, c, i, j);
            if (fabs(s[i]) < 1e-12) /* rounding errors of 0 */
                s[i] = 0;
        }
        for (int n = 0; n < c->neighbors; n++) {
            int best = -1;
            for (int i = 0; i < t->n; i++)
                if (!taken[i] && (c->aiolli || s[i] != 0) && (best < 0 || s[i] > s[best] + 1e-12))
                    best = i;
            if (best < 0)
                break;
            taken[best] = true;
            W[best][j] = s[best];
        }
    }
}

static void expected_scores(const TestBench *b, const Case *c, bool users, ComparedRows *t, double scores[USERS][ITEMS])
{
    static double W[MOST][MOST];
    reduce(t, c);
    neighbourhoods(t, c, W);
    for (int u = 0; u < USERS; u++)
        for (int j = 0; j < ITEMS; j++) {
            scores[u][j] = 0;
            for (int k = 0; k < t->n; k++) {
                int v = users ? k : u, i = users ? j : k;
                double r = c->implicit ? b->has[v][i] : b->R[v][i];
                scores[u][j] += users ? W[u][k] * r : r * W[k][j];
            }
        }
}

static void ratings_as_things(const TestBench *b, const Case *c, bool users, ComparedRows *t)
{
    *t = (ComparedRows){.n = users ? USERS : ITEMS, .m = users ? ITEMS : USERS};
    for (int u = 0; u < USERS; u++)
        for (int i = 0; i < ITEMS; i++) {
            int r = users ? u : i, k = users ? i : u;
            t->has[r][k] = b->has[u][i];
            t->x[r][k] = c->implicit ? b->has[u][i] : b->R[u][i];
        }
}

static void agree(const char *name, const Case *c, const float *scores, double expected[USERS][ITEMS])
{
    double largest = 0;
    for (int k = 0; k < USERS * ITEMS; k++)
        largest = fmax(largest, fabs(expected[k / ITEMS][k % ITEMS]));
    for (int k = 0; k < USERS * ITEMS; k++) {
        double x = expected[k / ITEMS][k % ITEMS];
        if (!(fabs((double)scores[k] - x) <= 2e-6 * largest))
            fail_msg("%s %s %s %d neighbours: user %d, item %d: %.9g, not %.9g", name, c->similarity,
                     c->aiolli ? "aiolli" : "standard", c->neighbors, k / ITEMS, k % ITEMS, (double)scores[k], x);
    }
}

static const Case cases[] = {
    {"cosine", .neighbors = 6},
    {"cosine", .implicit = true, .neighbors = 6},
    {"dot", .neighbors = 6},
    {"euclidean", .neighbors = 6},
    {"euclidean", .implicit = true, .neighbors = 11},
    {"manhattan", .neighbors = 6},
    {"manhattan", .implicit = true, .neighbors = 11},
    {"jaccard", .neighbors = 6},
    {"jaccard", .implicit = true, .neighbors = 21},
    {"dice", .neighbors = 6},
    {"dice", .neighbors = 21},
    {"cosine", .aiolli = true, .neighbors = 6, .shrink = 3},
    {"cosine", .aiolli = true, .plain = true, .neighbors = 6},
    {"cosine", .aiolli = true, .plain = true, .neighbors = 6, .shrink = 3},
    {"jaccard", .aiolli = true, .neighbors = 6, .shrink = 1},
    {"dice", .aiolli = true, .neighbors = 6},
    {"tversky", .aiolli = true, .neighbors = 6, .alpha = 0.3, .beta = 0.8, .shrink = 2},
    {"pearson", .aiolli = true, .neighbors = 6, .shrink = 2},
    {"pearson", .aiolli = true, .neighbors = 25},
    {"pearson", .aiolli = true, .plain = true, .neighbors = 25},
    {"adjusted", .aiolli = true, .neighbors = 6},
    {"adjusted", .aiolli = true, .neighbors = 25, .shrink = 1},
    {"asymmetric", .aiolli = true, .neighbors = 6, .alpha = 0.2},
    {"asymmetric", .aiolli = true, .neighbors = 6},
};

static size_t settings_of(TestBench *b, const Case *c, const char **set)
{
    Error e = {0};
    size_t n = 0;
    set[n++] = arena_printf(b->arena, &e, "similarity=%s", c->similarity);
    set[n++] = arena_printf(b->arena, &e, "neighbors=%d", c->neighbors);
    set[n++] = c->implicit ? "implicit=true" : "implicit=false";
    if (c->aiolli) {
        set[n++] = "implementation=aiolli";
        set[n++] = c->plain ? "normalize=false" : "normalize=true";
        set[n++] = arena_printf(b->arena, &e, "shrink=%g", c->shrink);
    }
    bool tversky = !strcmp(c->similarity, "tversky");
    if (c->alpha != 0)
        set[n++] = arena_printf(b->arena, &e, "%s=%g", tversky ? "tversky_alpha" : "asymmetric_alpha", c->alpha);
    if (tversky)
        set[n++] = arena_printf(b->arena, &e, "tversky_beta=%g", c->beta);
    return n;
}

static void similarities_are_their_formulas(void **state)
{
    TestBench *b = *state;
    static ComparedRows t;
    static float scores[USERS * ITEMS];
    static double expected[USERS][ITEMS];
    for (size_t k = 0; k < COUNT(cases) * 2; k++)
        for (int more = 0; more < 2; more++) { /* also with more neighbours than rows */
            Case c = cases[k / 2];
            bool users = k % 2;
            c.neighbors = more ? 1000 : c.neighbors;
            const char *set[10], *name = users ? "UserKNN" : "ItemKNN";
            score_all(b, name, set, settings_of(b, &c, set), scores);
            ratings_as_things(b, &c, users, &t);
            expected_scores(b, &c, users, &t, expected);
            agree(name, &c, scores, expected);
        }
}

static void attributes_are_compared(void **state)
{
    TestBench *b = *state;
    static ComparedRows t;
    static float scores[USERS * ITEMS];
    static double expected[USERS][ITEMS];
    for (size_t k = 0; k < 11 * 2; k++) {
        Case c = cases[k / 2];
        bool binary = k % 2;
        const char *set[10];
        size_t n = settings_of(b, &c, set);
        set[n++] = binary ? "binary=true" : "binary=false";
        score_all(b, "AttributeItemKNN", set, n, scores);
        t = (ComparedRows){.n = ITEMS, .m = VISUAL + TEXTUAL};
        for (int i = 0; i < ITEMS; i++)
            for (int f = 0; f < VISUAL + TEXTUAL; f++)
                t.x[i][f] = binary ? b->F[i][f] != 0 : b->F[i][f];
        expected_scores(b, &c, false, &t, expected);
        agree("AttributeItemKNN", &c, scores, expected);
    }
}

/* Computes G, its inverse by Gauss-Jordan, B and R B. */
static void ease(const TestBench *b, double l2, bool implicit, double scores[USERS][ITEMS])
{
    double G[ITEMS][2 * ITEMS] = {{0}};
    for (int i = 0; i < ITEMS; i++) {
        for (int u = 0; u < USERS; u++)
            for (int j = 0; j < ITEMS; j++) {
                double x = implicit ? b->has[u][i] : b->R[u][i], y = implicit ? b->has[u][j] : b->R[u][j];
                G[i][j] += i == j ? b->has[u][i] : x * y;
            }
        G[i][i] += l2;
        G[i][ITEMS + i] = 1;
    }
    for (int c = 0; c < ITEMS; c++) {
        int best = c;
        for (int r = c; r < ITEMS; r++)
            best = fabs(G[r][c]) > fabs(G[best][c]) ? r : best;
        for (int k = 0; k < 2 * ITEMS; k++) {
            double swapped = G[best][k];
            G[best][k] = G[c][k];
            G[c][k] = swapped;
        }
        for (int r = 0; r < ITEMS; r++) {
            double factor = G[r][c] / G[c][c];
            for (int k = 0; r != c && k < 2 * ITEMS; k++)
                G[r][k] -= factor * G[c][k];
        }
    }
    for (int u = 0; u < USERS; u++)
        for (int j = 0; j < ITEMS; j++) {
            scores[u][j] = 0;
            for (int i = 0; i < ITEMS; i++) {
                double p = G[i][ITEMS + j] / G[i][i], q = G[j][ITEMS + j] / G[j][j];
                if (i != j)
                    scores[u][j] -= (implicit ? b->has[u][i] : b->R[u][i]) * p / q;
            }
        }
}

static void ease_is_its_formula(void **state)
{
    TestBench *b = *state;
    static float scores[USERS * ITEMS];
    static double expected[USERS][ITEMS];
    static const struct {
        double l2;
        bool implicit;
        /* the last is not positive definite */
    } settings[] = {{1000, false}, {1000, true}, {50, false}, {1, true}, {1, false}};
    for (size_t k = 0; k < COUNT(settings); k++) {
        Error e = {0};
        const char *set[] = {arena_printf(b->arena, &e, "reg_weight=%g", settings[k].l2),
                             settings[k].implicit ? "implicit=true" : "implicit=false"};
        score_all(b, "EASE", set, 2, scores);
        ease(b, settings[k].l2, settings[k].implicit, expected);
        double largest = 0;
        for (int i = 0; i < USERS * ITEMS; i++)
            largest = fmax(largest, fabs(expected[i / ITEMS][i % ITEMS]));
        for (int i = 0; i < USERS * ITEMS; i++)
            if (!(fabs((double)scores[i] - expected[i / ITEMS][i % ITEMS]) <= 1e-5 * largest))
                fail_msg("l2_norm %g: user %d, item %d: %.9g, not %.9g", settings[k].l2, i / ITEMS, i % ITEMS,
                         (double)scores[i], expected[i / ITEMS][i % ITEMS]);
    }
}

/* ---- edges ----------------------------------------------------------------------------------- */

static void what_does_not_fit_is_refused(void **state)
{
    TestBench *b = *state;
    static const struct {
        const char *model, *set[3], *says;
    } wrong[] = {
        {"UserKNN", {"shrink=10"}, "shrink and normalize need implementation=aiolli"},
        {"ItemKNN", {"similarity=pearson"}, "similarity=pearson needs implementation=aiolli"},
        {"ItemKNN", {"similarity=tversky"}, "similarity=tversky needs implementation=aiolli"},
        {"ItemKNN", {"similarity=euclidean", "implementation=aiolli"}, "needs implementation=standard"},
        {"UserKNN", {"similarity=manhattan", "implementation=aiolli"}, "needs implementation=standard"},
        {"ItemKNN", {"tversky_beta=1", "implementation=aiolli"}, "tversky_beta need similarity=tversky"},
        {"ItemKNN", {"asymmetric_alpha=0.5"}, "asymmetric_alpha needs similarity=asymmetric"},
        {"UserKNN",
         {"similarity=pearson", "implementation=aiolli", "implicit=true"},
         "UserKNN: similarity=pearson needs ratings"},
        {"EASER", {"l2_norm=0"}, "EASER: l2_norm=0 is too small"}, /* item 5 has no pair */
    };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        Error e = {0};
        Model m;
        size_t n = 0;
        while (n < COUNT(wrong[i].set) && wrong[i].set[n])
            n++;
        assert_false(make(b, &m, wrong[i].model, wrong[i].set, n, &e));
        assert_error(e, i + 1 < COUNT(wrong) ? SP_USAGE : SP_FORMAT, wrong[i].says);
        store_free(m.store);
    }
}

static void without_ratings_each_is_1(void **state)
{
    TestBench *b = *state;
    static const char *const models[] = {"ItemKNN", "UserKNN", "AttributeItemKNN", "EASER"};
    static float implicit[USERS * ITEMS], without[USERS * ITEMS];
    float *ratings = b->data.train.rating;
    for (size_t k = 0; k < COUNT(models); k++) {
        score_all(b, models[k], (const char *[]){"implicit=true"}, 1, implicit);
        b->data.train.rating = NULL;
        score_all(b, models[k], NULL, 0, without);
        b->data.train.rating = ratings;
        assert_memory_equal(implicit, without, sizeof implicit);
        for (int i = 0; i < USERS * ITEMS; i++)
            assert_true(isfinite(without[i]) && (i / ITEMS != 1 || without[i] == 0 || k == 1));
    }
}

/* Checks that scores do not depend on the number of threads, and that a refused allocation gives one error and no leak.
 */
static void memory_and_threads(void **state)
{
    TestBench *b = *state;
    static const char *const models[] = {"ItemKNN", "UserKNN", "AttributeItemKNN", "EASER"};
    static float one[USERS * ITEMS], three[USERS * ITEMS];
    for (size_t k = 0; k < COUNT(models); k++) {
        score_all(b, models[k], NULL, 0, one);
        bool done = false;
        for (size_t refuse_at = 1; !done; refuse_at++) {
            TestHeap h;
            Error e = {0};
            test_heap(&h, refuse_at);
            Device d;
            if (!device_open(&d, NULL, 3, &h.heap, NULL, &e)) {
                assert_int_equal(h.live, 0);
                continue;
            }
            Arena *a = arena_new(&h.heap, 0);
            Model m = {.kind = recommender_find(models[k]), .data = &b->data, .arena = a};
            int32_t ids[USERS];
            for (int u = 0; u < USERS; u++)
                ids[u] = u;
            done = a && (m.settings = settings_make(m.kind, PROTOCOL_ELLIOT, NULL, 0, a, &e)) &&
                   (m.store = store_new(&d, &e)) && m.kind->init(&m, &e) && m.kind->score(&m, ids, USERS, three, &e);
            assert_true(done || !a || e.code == SP_MEMORY);
            store_free(m.store);
            arena_free(a);
            device_close(&d);
            assert_int_equal(h.live, 0);
        }
        assert_memory_equal(one, three, sizeof one);
    }
}

/* Checks that the error names the rating that float32 cannot multiply, and not l2_norm. */
static void ease_names_a_rating_that_is_too_large(void **state)
{
    TestBench *b = *state;
    float *ratings = b->data.train.rating, large[USERS * ITEMS];
    static const float VALUES[] = {1e38f, -3e38f, 1e20f};
    Error e = {0};
    b->data.train.rating = large;
    assert_true(ids_count(&b->data.users, USERS, b->arena, &e) && ids_count(&b->data.items, ITEMS, b->arena, &e));
    for (size_t i = 0; i < COUNT(VALUES); i++) {
        Model m;
        memcpy(large, ratings, (size_t)b->data.train.count * sizeof *large);
        for (int64_t k = 0; k < b->data.train.count; k += 2)
            large[k] = VALUES[i] / 2;
        int64_t at = b->data.train.start[5];
        large[at] = VALUES[i];
        assert_false(make(b, &m, "EASER", (const char *[]){"l2_norm=10"}, 1, &e));
        char says[200];
        snprintf(says, sizeof says, "EASER: the rating %g of user 5 and item %d is too large: products of ratings",
                 (double)VALUES[i], b->data.train.item[at]);
        assert_error(e, SP_FORMAT, says);
        store_free(m.store);
        assert_ok(make(b, &m, "EASER", (const char *[]){"l2_norm=10", "implicit=true"}, 2, &e), e);
        store_free(m.store);
    }
    b->data.train.rating = ratings;
}

/* Checks a memory limit that the matrix of items exceeds: the message has the size of the matrix. */
static void ease_says_what_it_needs(void **state)
{
    TestBench *b = *state;
    Error e = {0};
    DataSet d = {.U = 1, .I = 20000, .train = {.count = 0, .start = (int64_t[2]){0}}, .arena = b->arena};
    TestHeap h;
    test_heap(&h, 0);
    h.most = (size_t)1 << 30;
    Arena *a = arena_new(&h.heap, 0);
    Model m = {.kind = recommender_find("EASER"), .data = &d, .arena = a, .store = store_new(&b->device, &e)};
    m.settings = settings_make(m.kind, PROTOCOL_ELLIOT, NULL, 0, a, &e);
    assert_ok(m.settings, e);
    assert_false(m.kind->init(&m, &e));
    assert_error(e, SP_MEMORY, "EASER: the weights of 20000 x 20000 items need 1600.0 MB: out of memory");
    store_free(m.store);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(similarities_are_their_formulas),
        cmocka_unit_test(attributes_are_compared),
        cmocka_unit_test(ease_is_its_formula),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(without_ratings_each_is_1),
        cmocka_unit_test(memory_and_threads),
        cmocka_unit_test(ease_names_a_rating_that_is_too_large),
        cmocka_unit_test(ease_says_what_it_needs),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
