/* tests/graph_models_test.c: SGL, SimGCL, DGCF, and BPRMF in the variant of its paper. Losses and gradients equal plain
 * dense code, and draws are functions of seed, epoch, batch and step. */
#include "tests/shared_testing.h"

enum { B = 6, FACTORS = 8, LAYERS = 2 };
static const int32_t users_of[B] = {0, 1, 4, 9, 4, 29};

typedef struct Trial { /* a model with its own store, and a batch */
    Model m;
    Tape *tape;
    Batch batch;
    int32_t pos[B], neg[B];
} Trial;

/* words: settings separated by blanks */
static Trial start(TestBench *b, const char *name, const char *words)
{
    Trial r = {.m = b->model};
    const char *set[12] = {"factors=8"};
    size_t n = 1;
    for (Text rest = text_of(words), word; text_next(&rest, ' ', &word) && n < COUNT(set);)
        set[n++] = arena_strndup(b->arena, word.p, word.n, &b->e);
    r.m.kind = recommender_find(name);
    r.m.own = NULL;
    OK(b, (r.m.settings = settings_make(r.m.kind, PROTOCOL_ELLIOT, set, n, b->arena, &b->e)) != NULL);
    OK(b, (r.m.store = store_new(&b->device, &b->e)) != NULL && r.m.kind->init(&r.m, &b->e));
    OK(b, (r.tape = tape_new(&b->device, true, &b->e)) != NULL);
    for (int i = 0; i < B; i++) { /* the last item of the user, and the first that the user does not have */
        r.pos[i] = b->data.train.item[b->data.train.start[users_of[i] + 1] - 1];
        while (b->R[users_of[i]][r.neg[i]] > 0)
            r.neg[i]++;
    }
    return r;
}

static void end(Trial *r)
{
    tape_free(r->tape);
    store_free(r->m.store);
}

/* Returns the loss of the batch as number `index` of an epoch, in a step of the run. */
static Tensor *loss_tensor(TestBench *b, Trial *r, int64_t epoch, int64_t index, uint32_t step)
{
    r->m.epoch = epoch;
    OK(b, !r->m.kind->epoch || r->m.kind->epoch(&r->m, &b->e));
    tape_reset(r->tape, (Draw){r->m.seed, DRAW_DROPOUT, step});
    r->batch = (Batch){.B = B, .index = index, .users = users_of, .positives = r->pos, .negatives = r->neg};
    batch_inputs(r->tape, &r->batch);
    Tensor *loss = r->m.kind->loss(r->tape, &r->m, &r->batch);
    OK(b, tape_ok(r->tape, &b->e));
    return loss;
}

static double loss_at(TestBench *b, Trial *r, int64_t epoch, int64_t index, uint32_t step)
{
    return (double)numbers(b, loss_tensor(b, r, epoch, index, step))[0];
}

/* ---- dense code ------------------------------------------------------------------------------ */

static void read_tables(TestBench *b, Trial *r, double x[N * FACTORS])
{
    float *user = numbers(b, store_find(r->m.store, "user")), *item = numbers(b, store_find(r->m.store, "item"));
    for (int i = 0; i < N * FACTORS; i++)
        x[i] = (double)(i < U * FACTORS ? user[i] : item[i - U * FACTORS]);
}

static bool edge(const TestBench *b, int h, int t)
{
    return h < U ? t >= U && b->R[h][t - U] > 0 : t < U && b->R[t][h - U] > 0;
}

/* Computes the mean of LightGCN's layers `first` to LAYERS. */
static void naive_gcn(TestBench *b, const double *x0, int first, double out[N * FACTORS])
{
    double x[N * FACTORS], next[N * FACTORS];
    memcpy(x, x0, sizeof x);
    for (int i = 0; i < N * FACTORS; i++)
        out[i] = first ? 0 : x[i] / (LAYERS + 1);
    for (int l = 1; l <= LAYERS; l++) {
        memset(next, 0, sizeof next);
        for (int h = 0; h < N; h++)
            for (int t = 0; t < N; t++)
                for (int d = 0; edge(b, h, t) && d < FACTORS; d++)
                    next[h * FACTORS + d] += x[t * FACTORS + d] / sqrt((double)b->degree[h] * b->degree[t]);
        memcpy(x, next, sizeof x);
        for (int i = 0; i < N * FACTORS; i++)
            out[i] += x[i] / (LAYERS + 1 - first);
    }
}

static double dot(const double *a, const double *c, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += a[i] * c[i];
    return sum;
}

/* Returns the sum of BPR over the batch, and in *squares the squares of its rows of x. */
static double naive_bpr(const Trial *r, const double *x, double *squares)
{
    double sum = 0;
    *squares = 0;
    for (int i = 0; i < B; i++) {
        const double *u = x + users_of[i] * FACTORS, *p = x + (U + r->pos[i]) * FACTORS,
                     *n = x + (U + r->neg[i]) * FACTORS;
        sum += log1p(exp(dot(u, n, FACTORS) - dot(u, p, FACTORS)));
        *squares += dot(u, u, FACTORS) + dot(p, p, FACTORS) + dot(n, n, FACTORS);
    }
    return sum;
}

typedef struct Formula Formula;
struct Formula { /* a loss in dense code, as a function of the tables [N, FACTORS] */
    double (*loss)(const Formula *f, const double *x0);
    TestBench *bench;
    const Trial *trial;
    int intents;
    bool paper;
};

/* Checks the loss of the batch, and its gradient by some numbers of both tables: they are the value and the slopes of
 * the formula. */
static void assert_formula(const char *what, Trial *r, Formula f)
{
    TestBench *b = f.bench;
    static double x[N * FACTORS];
    static float grad[N * FACTORS];
    double worst = 0, largest = 0;
    f.trial = r;
    /* The numbers are larger than xavier's, and no distance is just above 0: the slope of the square root is large
     * there, and so is float32's error. */
    for (int side = 0; side < 2; side++) {
        Tensor *p = store_find(r->m.store, side ? "item" : "user");
        float *values = numbers(b, p);
        for (int64_t i = 0; i < p->count; i++)
            values[i] = draw_normal((Draw){5, DRAW_TEST, (uint32_t)side}, (uint64_t)i) * 0.5f;
        tensor_write(&b->device, p, 0, p->count, values);
    }
    read_tables(b, r, x);
    Tensor *loss = loss_tensor(b, r, 0, 0, 0);
    double got = (double)numbers(b, loss)[0], expected = f.loss(&f, x);
    if (!(fabs(got - expected) <= 1e-5 * fabs(expected)))
        fail_msg("%s: the loss is %.9g, not %.9g", what, got, expected);
    OK(b, backward(r->tape, loss, &b->e) && tensor_grad(r->tape, store_find(r->m.store, "user"), grad, &b->e) &&
              tensor_grad(r->tape, store_find(r->m.store, "item"), grad + U * FACTORS, &b->e));
    for (int i = 0; i < N * FACTORS; i += 3) {
        static const double h = 1e-6;
        double at = x[i];
        x[i] = at + h;
        double slope = f.loss(&f, x);
        x[i] = at - h;
        slope = (slope - f.loss(&f, x)) / (2 * h);
        x[i] = at;
        worst = fmax(worst, fabs((double)grad[i] - slope));
        largest = fmax(largest, fabs(slope));
    }
    printf("  %-28s loss %.6f, gradient: max|a-b| %.1e of max|b| %.1e\n", what, got, worst, largest);
    assert_true(worst <= 1e-4 * largest);
}

/* ---- SGL ------------------------------------------------------------------------------------- */

/* Returns the sum over the first `all` rows of x of exp(cos / .2), where cos is the cosine of the row with a. */
static double naive_shares(const double *x, int all, const double *a)
{
    double sum = 0;
    for (int j = 0; j < all; j++) {
        const double *c = x + j * FACTORS;
        sum += exp(dot(a, c, FACTORS) / sqrt(dot(a, a, FACTORS) * dot(c, c, FACTORS)) / 0.2);
    }
    return sum;
}

/* Returns the sum over the ids of the batch of log(naive_shares) - 1 / .2, where both views are x, which has `all`
 * rows. */
static double naive_views(const double *x, int all, const int32_t *ids)
{
    double sum = 0;
    for (int i = 0; i < B; i++)
        sum += log(naive_shares(x, all, x + ids[i] * FACTORS)) - 1 / 0.2;
    return sum;
}

static double sgl_loss(const Formula *f, const double *x0)
{
    double x[N * FACTORS], squares, ignored;
    naive_gcn(f->bench, x0, 0, x);
    double bpr = naive_bpr(f->trial, x, &ignored);
    naive_bpr(f->trial, x0, &squares);
    return bpr + 0.3 / 2 * squares +
           0.1 * (naive_views(x, U, users_of) + naive_views(x + U * FACTORS, I, f->trial->pos));
}

/* Checks SGL with whole graphs as views. */
static void sgl_is_its_formula(void **state)
{
    TestBench *b = *state;
    static const char *const words[] = {"n_layers=2 l_w=0.3 ssl_ratio=0",
                                        "n_layers=2 l_w=0.3 ssl_ratio=0 variant=paper sampling=rw"};
    for (size_t i = 0; i < COUNT(words); i++) {
        Trial r = start(b, "SGL", words[i]);
        assert_formula(words[i], &r, (Formula){.loss = sgl_loss, .bench = b});
        end(&r);
    }
}

/* Checks that views are drawn for each epoch, and that the variants drop other numbers of pairs or nodes. */
static void sgl_draws_views(void **state)
{
    TestBench *b = *state;
    static const char *const kinds[] = {"ed", "nd", "rw"};
    for (size_t k = 0; k < COUNT(kinds); k++) {
        /* 30 users and 22 items times .35 are 10.5 and 7.7: 10 and 8 are dropped, or 10 and 7 */
        const char *words = arena_printf(b->arena, &b->e, "sampling=%s ssl_ratio=0.35", kinds[k]);
        Trial r = start(b, "SGL", words),
              paper = start(b, "SGL", arena_printf(b->arena, &b->e, "variant=paper l_w=1e-5 %s", words));
        double first = loss_at(b, &r, 0, 0, 0);
        assert_true(loss_at(b, &r, 0, 3, 9) == first); /* depends on the epoch, not on the step */
        assert_true(loss_at(b, &r, 1, 0, 0) != first);
        assert_true(loss_at(b, &r, 0, 0, 0) == first);
        r.m.seed = 5;
        assert_true(loss_at(b, &r, 0, 0, 0) != first);
        int64_t E = b->data.train.count;
        bool same = k != 1 && (int64_t)nearbyint((double)E * 0.35) == E - (int64_t)((double)E * (1 - 0.35));
        assert_int_equal(loss_at(b, &paper, 0, 0, 0) == first, same);
        end(&r);
        end(&paper);
    }
}

/* ---- SimGCL ---------------------------------------------------------------------------------- */

/* Returns the sum over distinct ids of
 *
 *   log sum_j exp(cos(i, j) / .2) - 1 / .2
 *
 * where j is every id of the batch, i included. *count is the number of distinct ids. */
static double naive_contrast(const double *x, int base, const int32_t *ids, int *count)
{
    double sum = 0;
    bool seen[N] = {0};
    *count = 0;
    for (int i = 0; i < B; i++)
        seen[base + ids[i]] = true;
    for (int i = 0; i < N; i++) {
        double all = 0;
        for (int j = 0; seen[i] && j < N; j++)
            if (seen[j]) {
                const double *a = x + i * FACTORS, *c = x + j * FACTORS;
                all += exp(dot(a, c, FACTORS) / sqrt(dot(a, a, FACTORS) * dot(c, c, FACTORS)) / 0.2);
            }
        sum += seen[i] ? log(all) - 1 / 0.2 : 0;
        *count += seen[i];
    }
    return sum;
}

static double simgcl_loss(const Formula *f, const double *x0)
{
    const Trial *r = f->trial;
    double x[N * FACTORS], squares, norms = 0;
    int n_users, n_items;
    naive_gcn(f->bench, x0, 1, x);
    double bpr = naive_bpr(r, x, &squares), users = naive_contrast(x, 0, users_of, &n_users),
           items = naive_contrast(x, U, r->pos, &n_items);
    for (int side = 0; side < 2; side++) {
        double sum = 0;
        for (int i = 0; i < B; i++) {
            const double *row = x + (side ? U + r->pos[i] : users_of[i]) * FACTORS;
            sum += dot(row, row, FACTORS);
        }
        norms += sqrt(sum);
    }
    return f->paper ? bpr + 0.5 * (users + items) + 0.3 / 2 * squares
                    : bpr / B + 0.5 * (users / n_users + items / n_items) + 0.3 * norms / B;
}

static void simgcl_is_its_formula(void **state)
{
    TestBench *b = *state;
    for (int paper = 0; paper < 2; paper++) {
        const char *words = paper ? "variant=paper n_layers=2 l_w=0.3 eps=0" : "n_layers=2 l_w=0.3 eps=0";
        Trial r = start(b, "SimGCL", words);
        assert_formula(words, &r, (Formula){.loss = simgcl_loss, .bench = b, .paper = paper});
        end(&r);
    }
}

/* Checks that the noise depends on the step. With variant elliot, every epoch has the order of the first. */
static void simgcl_draws(void **state)
{
    TestBench *b = *state;
    Trial r = start(b, "SimGCL", "eps=0.2");
    double first = loss_at(b, &r, 0, 0, 0);
    assert_true(loss_at(b, &r, 0, 0, 1) != first);
    assert_true(loss_at(b, &r, 3, 5, 0) == first);
    end(&r);
    static const char *const variants[] = {"variant=elliot", "variant=paper"};
    for (int paper = 0; paper < 2; paper++) {
        r = start(b, "SimGCL", variants[paper]);
        Sampler *s = sampler_new(&b->data, r.m.kind->sampling(&r.m), 32, 1, b->arena, &b->e);
        OK(b, s != NULL);
        const int32_t *u, *p, *n;
        int32_t of_first[2][32];
        for (int epoch = 0; epoch < 2; epoch++) {
            sampler_epoch(s, b->device.pool, epoch);
            sampler_batch(s, 0, &u, &p, &n);
            memcpy(of_first[epoch], p, sizeof of_first[epoch]);
        }
        assert_int_equal(!memcmp(of_first[0], of_first[1], sizeof of_first[0]), !paper);
        end(&r);
    }
}

/* ---- DGCF ------------------------------------------------------------------------------------ */

static double strength[FACTORS][N][N]; /* of an edge, for each intent */

static void unit(const double *x, int n, double *out)
{
    double length = fmax(sqrt(dot(x, x, n)), 1e-12);
    for (int i = 0; i < n; i++)
        out[i] = x[i] / length;
}

/* Computes z of one intent, from strengths that are softmaxed over K. */
static void naive_intent(TestBench *b, const double *x, int K, int k, double *z)
{
    int C = FACTORS / K;
    static double w[N][N];
    double degree[N] = {0};
    for (int h = 0; h < N; h++)
        for (int t = 0; t < N; t++) {
            double sum = 0;
            for (int o = 0; edge(b, h, t) && o < K; o++)
                sum += exp(strength[o][h][t]);
            w[h][t] = sum > 0 ? exp(strength[k][h][t]) / sum : 0;
            degree[h] += w[h][t];
        }
    for (int h = 0; h < N; h++)
        for (int d = 0; d < C; d++) {
            z[h * FACTORS + k * C + d] = 0;
            for (int t = 0; t < N; t++)
                if (w[h][t] > 0)
                    z[h * FACTORS + k * C + d] += w[h][t] / sqrt(degree[h] * degree[t]) * x[t * FACTORS + k * C + d];
        }
}

static void naive_dgcf(TestBench *b, const double *x0, int K, double out[N * FACTORS])
{
    int C = FACTORS / K;
    double x[N * FACTORS], z[N * FACTORS] = {0}, head[FACTORS], tail[FACTORS];
    memcpy(x, x0, sizeof x);
    memset(strength, 0, sizeof strength);
    for (int i = 0; i < N * FACTORS; i++)
        out[i] = x[i] / (LAYERS + 1);
    for (int l = 0; l < LAYERS; l++) {
        for (int iteration = 0; iteration < 2; iteration++) {
            for (int k = 0; k < K; k++)
                naive_intent(b, x, K, k, z);
            for (int k = 0; k < K; k++)
                for (int h = 0; h < N; h++)
                    for (int t = 0; t < N; t++) {
                        if (!edge(b, h, t))
                            continue;
                        unit(z + h * FACTORS + k * C, C, head);
                        unit(x + t * FACTORS + k * C, C, tail);
                        for (int d = 0; d < C; d++)
                            strength[k][h][t] += head[d] * tanh(tail[d]);
                    }
        }
        memcpy(x, z, sizeof x);
        for (int i = 0; i < N * FACTORS; i++)
            out[i] += x[i] / (LAYERS + 1);
    }
}

/* Computes the centred distances of a chunk of all nodes, or elliot's numbers instead of distances. */
static void naive_distances(const double *x, int C, bool paper, double out[N][N])
{
    double rows[N] = {0}, columns[N] = {0}, all = 0;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            const double *a = x + i * FACTORS, *c = x + j * FACTORS;
            double sum = 0, v;
            for (int d = 0; d < C; d++)
                sum += a[d];
            v = dot(a, a, C) - 2 * dot(a, c, C) + dot(c, c, C) * (paper ? 1 : -2 * sum);
            out[i][j] = sqrt(fmax(v, 0) + 1e-8);
            rows[i] += out[i][j] / N;
            columns[j] += out[i][j] / N;
            all += out[i][j] / N / N;
        }
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            out[i][j] += all - rows[i] - columns[j];
}

static double naive_covariance(double a[N][N], double c[N][N])
{
    return sqrt(fmax(dot(&a[0][0], &c[0][0], N * N) / N / N, 0) + 1e-8);
}

static double dgcf_loss(const Formula *f, const double *x0)
{
    static double x[N * FACTORS], d[2][N][N];
    double squares, ignored, sum = 0;
    int K = f->intents, C = FACTORS / K;
    naive_dgcf(f->bench, x0, K, x);
    double bpr = naive_bpr(f->trial, x, &ignored);
    naive_bpr(f->trial, x0, &squares);
    for (int k = 0; k < K; k++) {
        naive_distances(x + k * C, C, f->paper, d[k % 2]);
        if (k > 0)
            sum += naive_covariance(d[0], d[1]) /
                   (sqrt(naive_covariance(d[0], d[0]) * naive_covariance(d[1], d[1])) + 1e-10);
    }
    return bpr / B + 0.3 / 2 * squares / B + 0.7 * sum / (K * (K + 1) / 2.0);
}

/* One batch has all pairs, so the distance correlation is over all users and items. */
static void dgcf_is_its_formula(void **state)
{
    TestBench *b = *state;
    static const struct {
        const char *words;
        int intents;
        bool paper;
    } cases[] = {{"intents=4", 4, false}, {"intents=2 variant=paper", 2, true}, {"intents=4 variant=paper", 4, true}};
    for (size_t c = 0; c < COUNT(cases); c++) {
        Trial r = start(
            b, "DGCF",
            arena_printf(b->arena, &b->e, "%s n_layers=2 l_w_bpr=0.3 l_w_ind=0.7 batch_size=1000", cases[c].words));
        assert_formula(cases[c].words, &r,
                       (Formula){.loss = dgcf_loss, .bench = b, .intents = cases[c].intents, .paper = cases[c].paper});
        end(&r);
    }
}

/* With one intent every weight is 1: the vectors are LightGCN's. */
static void dgcf_of_one_intent(void **state)
{
    TestBench *b = *state;
    Trial r = start(b, "DGCF", "intents=1 n_layers=2 routing_iterations=3");
    double x0[N * FACTORS], x[N * FACTORS];
    Tensor *users, *items;
    Tape *t = fresh_tape(b, false);
    OK(b, r.m.kind->represent(t, &r.m, &users, &items) && tape_ok(t, &b->e));
    read_tables(b, &r, x0);
    naive_gcn(b, x0, 0, x);
    float *got[] = {numbers(b, users), numbers(b, items)};
    for (int i = 0; i < N * FACTORS; i++)
        assert_true(fabs((double)(i < U * FACTORS ? got[0][i] : got[1][i - U * FACTORS]) - x[i]) < 1e-6);
    tape_free(t);
    end(&r);
}

/* Checks that the users and items of the distance correlation depend on seed, epoch and batch. Without the correlation,
 * nothing is drawn. */
static void dgcf_draws(void **state)
{
    TestBench *b = *state;
    Trial r = start(b, "DGCF", "batch_size=32");
    double first = loss_at(b, &r, 0, 0, 0);
    assert_true(loss_at(b, &r, 0, 0, 7) == first);
    assert_true(loss_at(b, &r, 0, 1, 0) != first);
    assert_true(loss_at(b, &r, 1, 0, 0) != first);
    assert_true(loss_at(b, &r, 0, 0, 0) == first);
    end(&r);
    r = start(b, "DGCF", "batch_size=32 l_w_ind=0");
    assert_true(loss_at(b, &r, 0, 0, 0) == loss_at(b, &r, 1, 1, 1));
    end(&r);
}

static void dgcf_refuses(void **state)
{
    TestBench *b = *state;
    static const struct {
        const char *set[2], *why;
    } cases[] = {{{"factors=8", "intents=3"}, "factors=8 is not a multiple of intents=3"},
                 {{"n_layers=60", "routing_iterations=2"}, "n_layers=60 times routing_iterations=2 is above 100"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        Error e = {0};
        Model m = b->model;
        m.kind = recommender_find("DGCF");
        m.settings = settings_make(m.kind, PROTOCOL_ELLIOT, cases[i].set, 2, b->arena, &e);
        m.store = store_new(&b->device, &e);
        assert_ok(m.settings && m.store, e);
        assert_false(m.kind->init(&m, &e));
        assert_error(e, SP_USAGE, cases[i].why);
        store_free(m.store);
    }
}

/* ---- BPRMF's variant paper ------------------------------------------------------------------- */

/* Checks a step of LearnBPR, and that no other row changes:
 *
 *   w += lr (sigmoid(-x) (h_i - h_j) - l_w w), and h_i, h_j in the same way */
static void bprmf_of_the_paper(void **state)
{
    TestBench *b = *state;
    Trial r = start(b, "BPRMF", "variant=paper lr=0.1 l_w=0.2");
    static const int32_t user[] = {4}, pos[] = {0}, neg[] = {7};
    double x[N * FACTORS], after[N * FACTORS];
    read_tables(b, &r, x);
    tape_reset(r.tape, (Draw){4, DRAW_DROPOUT, 0});
    Batch batch = {.B = 1, .users = user, .positives = pos, .negatives = neg};
    batch_inputs(r.tape, &batch);
    Tensor *loss = r.m.kind->loss(r.tape, &r.m, &batch);
    const Optim o = r.m.kind->optim(&r.m);
    OK(b, tape_ok(r.tape, &b->e) && backward(r.tape, loss, &b->e) && optim_step(&o, r.m.store, r.tape, &b->e));
    const double *w = x + 4 * FACTORS, *i = x + U * FACTORS, *j = x + (U + 7) * FACTORS;
    double slope = 1 / (1 + exp(dot(w, i, FACTORS) - dot(w, j, FACTORS)));
    read_tables(b, &r, after);
    for (int n = 0; n < N; n++)
        for (int d = 0; d < FACTORS; d++) {
            double by = n == 4       ? slope * (i[d] - j[d]) - 0.2 * w[d]
                        : n == U     ? slope * w[d] - 0.2 * i[d]
                        : n == U + 7 ? -slope * w[d] - 0.2 * j[d]
                                     : 0;
            assert_true(fabs(after[n * FACTORS + d] - (x[n * FACTORS + d] + 0.1 * by)) < 1e-7);
        }
    end(&r);
}

/* Checks that LearnBPR draws pairs with replacement. */
static void pairs_with_replacement(void **state)
{
    TestBench *b = *state;
    const Pairs *train = &b->data.train;
    Sampler *s = sampler_new(&b->data, SAMPLE_UNIFORM_EDGE, 16, 1, b->arena, &b->e);
    OK(b, s != NULL);
    int seen[U][I] = {{0}}, first[U][I], twice = 0;
    int64_t events = 0;
    for (int epoch = 0; epoch < 200; epoch++) {
        sampler_epoch(s, b->device.pool, epoch);
        for (int64_t k = 0; k < sampler_batches(s); k++) {
            const int32_t *u, *p, *n;
            int64_t size = sampler_batch(s, k, &u, &p, &n);
            for (int64_t i = 0; i < size; i++) {
                assert_true(b->R[u[i]][p[i]] > 0 && b->R[u[i]][n[i]] == 0 && b->degree[U + n[i]] > 0);
                seen[u[i]][p[i]]++;
            }
            events += size;
        }
        if (epoch == 0)
            memcpy(first, seen, sizeof first);
    }
    assert_int_equal(events, 200 * train->count);
    for (int u = 0; u < U; u++)
        for (int i = 0; i < I; i++) {
            twice += first[u][i] > 1;
            assert_true(b->R[u][i] == 0 ? seen[u][i] == 0 : abs(seen[u][i] - 200) < 6 * 15);
        }
    assert_true(twice > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sgl_is_its_formula),
        cmocka_unit_test(sgl_draws_views),
        cmocka_unit_test(simgcl_is_its_formula),
        cmocka_unit_test(simgcl_draws),
        cmocka_unit_test(dgcf_is_its_formula),
        cmocka_unit_test(dgcf_of_one_intent),
        cmocka_unit_test(dgcf_draws),
        cmocka_unit_test(dgcf_refuses),
        cmocka_unit_test(bprmf_of_the_paper),
        cmocka_unit_test(pairs_with_replacement),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
