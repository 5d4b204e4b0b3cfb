/* tests/recipes_test.c: ten steps of each recipe equal float64 PyTorch (tests/golden/recommenders_float64.py). The
 * losses, the gradients of step 1 and the parameters after step 10 are each within 1e-4 of the largest number of their
 * tensor. SAPOR_RECIPES names a folder with larger cases.
 *
 * Data, settings and numbers are in the golden file: a new recipe is a row of `recipes`. A tensor of the store that is
 * not trained gets its numbers from the file too, if the file has them (MMGCN). */
#include "tests/golden_data.h"

#include <math.h>

typedef struct Recipe {
    const char *file;
    const char *variant; /* another variant whose steps are the same; NULL: the file's */
} Recipe;

static void load_data(Case *c)
{
    load_pairs(c);
    DataSet *d = &c->data;
    d->feature_count = c->model.kind->needs_features ? 2 : 0;
    d->features = NEW(c->arena, Feature, 2, &c->e);
    static const char *const names[] = {"visual", "textual"};
    for (size_t i = 0; i < d->feature_count; i++) {
        const Array *a = array_if(c, "features.%s", names[i]);
        a = a ? a : array(c, "start.features.%s", names[i]); /* trained features: the data are the start of training */
        d->features[i] = (Feature){.name = names[i], .D = a->shape[1], .data = floats_of(c, a)};
    }
}

/* Returns the numbers PREFIX.NAME of the golden file for the tensor p; `ours` is NAME, its name in our store. */
static float *golden_of(Case *c, const char *prefix, const Tensor *p, const char *ours)
{
    const Array *a = array(c, arena_printf(c->arena, &c->e, "%s.%%s", prefix), ours);
    assert_int_equal(a->count, p->count);
    return floats_of(c, a);
}

static double largest_of(const float *x, int64_t n)
{
    double largest = 0;
    for (int64_t i = 0; i < n; i++)
        largest = fmax(largest, fabs((double)x[i])); /* NaN is skipped */
    return largest;
}

/* Checks that numbers are close. If a number of `theirs` is NaN, the recipe does not determine it
 * (recommenders_float64.py). */
static void assert_close(Case *c, const char *what, const char *name, const float *ours, const float *theirs, int64_t n)
{
    double worst = 0, largest = largest_of(theirs, n);
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(ours[i]))
            fail_msg("%s %s of %s: number %lld is not finite", what, name, c->model.kind->name, (long long)i);
        worst = fmax(worst, fabs((double)ours[i] - theirs[i]));
    }
    printf("  %-8s %-28s max|a-b| %.2e of max|b| %.2e: %.1e\n", what, name, worst, largest,
           largest > 0 ? worst / largest : 0);
    if (!(worst <= 1e-4 * largest))
        fail_msg("%s %s of %s is off", what, name, c->model.kind->name);
}

/* Reports whether a parameter's gradient is 0 except for rounding (FREEDOM's projection.NAME.bias). Adam makes large
 * steps of rounding errors. */
static bool without_effect(Case *c, const char *name)
{
    Text word;
    for (Text rest = text_of(meta(c, "without_effect")); text_next(&rest, ' ', &word);)
        if (text_is(word, name))
            return true;
    return false;
}

typedef void Visit(Case *c, Tensor *p, const char *name, Tape *t);
static void each_tensor(Case *c, bool trained, Visit *visit, Tape *t)
{
    for (size_t i = 0; i < store_count(c->model.store); i++) {
        Tensor *p = store_at(c->model.store, i);
        if (p->param || !trained)
            visit(c, p, store_name(c->model.store, p), t);
    }
}

static void set_start(Case *c, Tensor *p, const char *name, Tape *t)
{
    (void)t;
    if (p->param || array_if(c, "start.%s", name))
        tensor_write(&c->device, p, 0, p->count, golden_of(c, "start", p, name));
}

static void check_gradient(Case *c, Tensor *p, const char *name, Tape *t)
{
    float *ours = NEW(c->arena, float, p->count, &c->e);
    OK(c, tensor_grad(t, p, ours, &c->e));
    if (!without_effect(c, name))
        assert_close(c, "gradient", name, ours, golden_of(c, "grad", p, name), p->count);
    else if (largest_of(ours, p->count) > 1e-6)
        fail_msg("%s of %s has a gradient", name, c->model.kind->name);
}

static void check_after(Case *c, Tensor *p, const char *name, Tape *t)
{
    (void)t;
    float *ours = NEW(c->arena, float, p->count, &c->e);
    tensor_read(&c->device, p, 0, p->count, ours);
    if (!without_effect(c, name))
        assert_close(c, "after 10", name, ours, golden_of(c, "after", p, name), p->count);
}

static void ten_steps(Case *c)
{
    const Array *users = array(c, "batch.%s", "user"), *positives = array(c, "batch.%s", "positive"),
                *negatives = array(c, "batch.%s", "negative");
    const int32_t *index = array(c, "batch.%s", "index")->data;
    float *expected = floats(c, "%s", "loss"), ours[10];
    int64_t B = users->shape[1], epoch = 0;
    const CommonSettings *common = c->model.settings;
    const Recommender *kind = c->model.kind;
    bool no_negative = kind->sampling(&c->model) == SAMPLE_EVERY_EDGE_NO_NEGATIVE;
    Tape *t = tape_new(&c->device, true, &c->e);
    OK(c, t != NULL);
    each_tensor(c, false, set_start, t);
    for (int64_t s = 0; s < 10; s++) {
        if (index[s] == 0) {
            epoch += s > 0;
            c->model.epoch = epoch;
            OK(c, !kind->epoch || kind->epoch(&c->model, &c->e));
        }
        tape_reset(t, (Draw){1, DRAW_DROPOUT, (uint32_t)s});
        Batch b = {.B = B,
                   .index = index[s],
                   .users = (const int32_t *)users->data + s * B,
                   .positives = (const int32_t *)positives->data + s * B,
                   .negatives = no_negative ? NULL : (const int32_t *)negatives->data + s * B};
        batch_inputs(t, &b);
        Tensor *loss = kind->loss(t, &c->model, &b);
        OK(c, tape_ok(t, &c->e));
        tensor_read(&c->device, loss, 0, 1, &ours[s]);
        OK(c, backward(t, loss, &c->e));
        if (s == 0)
            each_tensor(c, true, check_gradient, t);
        c->optim.lr = common->lr * pow(common->lr_decay, (double)epoch / 50);
        OK(c, optim_step(&c->optim, c->model.store, t, &c->e));
    }
    assert_close(c, "loss", "ten steps", ours, expected, 10);
    each_tensor(c, true, check_after, t);
    tape_free(t);
}

/* Splits "a=1 b=2" into two texts. batch_size is that of the golden batches, which are all full. */
static const CommonSettings *settings_of(Case *c, const Recommender *kind, const char *variant)
{
    const char *set[32];
    size_t n = 0;
    set[n++] = arena_printf(c->arena, &c->e, "batch_size=%lld", (long long)array(c, "batch.%s", "user")->shape[1]);
    if (variant)
        set[n++] = arena_printf(c->arena, &c->e, "variant=%s", variant);
    for (Text rest = text_of(meta(c, "settings")), word; text_next(&rest, ' ', &word) && n < COUNT(set);)
        if (!variant || !text_starts(word, "variant="))
            set[n++] = arena_strndup(c->arena, word.p, word.n, &c->e);
    return settings_make(kind, PROTOCOL_ELLIOT, set, n, c->arena, &c->e);
}

static void run_recipe(void **state)
{
    const Recipe *r = *state;
    const char *folder = getenv("SAPOR_RECIPES");
    char path[4096];
    snprintf(path, sizeof path, "%s/recipe_%s.safetensors", folder ? folder : "tests/golden", r->file);
    Case c;
    case_open(&c, path);
    const Recommender *kind = recommender_find(meta(&c, "model"));
    assert_non_null(kind);
    c.model = (Model){.kind = kind, .data = &c.data, .arena = c.arena, .seed = 1};
    load_data(&c);
    OK(&c, (c.model.settings = settings_of(&c, kind, r->variant)) != NULL);
    OK(&c, (c.model.store = store_new(&c.device, &c.e)) != NULL && kind->init(&c.model, &c.e));
    const CommonSettings *common = c.model.settings;
    c.optim = kind->optim ? kind->optim(&c.model) : optim_adam(common->lr);
    c.optim.skip_missing = common->zero_grad == ZERO_GRAD_NONE;
    printf("%s\n", r->file);
    ten_steps(&c);
    store_free(c.model.store);
    case_close(&c);
}

int main(void)
{
    static const Recipe recipes[] = {
        {"vbpr_elliot", NULL},        {"vbpr_mmrec", NULL},     {"lattice_elliot", NULL},    {"lattice_mmrec", NULL},
        {"lightgcn_elliot", NULL},    {"lightgcn_mmrec", NULL}, {"ngcf_elliot", NULL},       {"bprmf_elliot", NULL},
        {"bprmf_mmrec", NULL},        {"ngcfm_elliot", NULL},   {"grcn_elliot", NULL},       {"grcnorder_elliot", NULL},
        {"grcn_mmrec", NULL},         {"mmgcn_elliot", NULL},   {"mmgcn_mmrec", NULL},       {"bm3_elliot", NULL},
        {"freedom_elliot", NULL},     {"mgcn_mmrec", NULL},     {"latticengcf_mmrec", NULL}, {"latticemf_mmrec", NULL},
        {"sgl_elliot", NULL},         {"sgl_elliot", "paper"},  {"simgcl_elliot", NULL},     {"simgcl_paper", NULL},
        {"dgcf_elliot", NULL},        {"dgcf_paper", NULL},     {"ngcf_paper", NULL},        {"bprmf_paper", NULL},
        {"lightgcn_elliot", "paper"},
    };
    struct CMUnitTest tests[COUNT(recipes)];
    for (size_t i = 0; i < COUNT(recipes); i++)
        tests[i] =
            (struct CMUnitTest){.name = recipes[i].file, .test_func = run_recipe, .initial_state = (void *)&recipes[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
