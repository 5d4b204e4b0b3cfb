/* tests/recipes_test.c: Ten steps of each recipe against float64 PyTorch (tests/golden/recommenders_float64.py): the
 * losses, the gradients of step 1, the parameters after step 10, each within 1e-4 of its tensor's largest number.
 * SAPOR_RECIPES names a folder with larger cases.
 *
 * Data, settings and numbers all come from the golden file: a new recipe is a row of `recipes`. */
#include "tests/testing.h"

#include <math.h>

#include "recsys/recsys.h"

typedef struct Case {
    const Weights *golden;
    Arena *arena;
    Device device;
    DataSet data;
    Model model;
    Optim optim;
    Error e;
} Case;

#define OK(c, condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            fail_msg("%s: %s", #condition, (c)->e.message);                                                            \
    } while (0)

static const Array *array(Case *c, const char *format, const char *name)
{
    const char *full = arena_printf(c->arena, &c->e, format, name);
    const Array *a = weights_find(c->golden, full);
    if (!a)
        fail_msg("the golden file has no %s", full);
    return a;
}

static float *floats(Case *c, const char *format, const char *name, int64_t *count)
{
    const Array *a = array(c, format, name);
    float *out = NEW(c->arena, float, a->count, &c->e);
    array_f32(a, 0, a->count, out);
    if (count)
        *count = a->count;
    return out;
}

static const char *meta(Case *c, const char *key)
{
    const Json *j = json_get(weights_metadata(c->golden), key);
    if (!j)
        fail_msg("the golden file's metadata have no %s", key);
    return arena_strndup(c->arena, j->text.p, j->text.n, &c->e);
}

static int64_t meta_i64(Case *c, const char *key)
{
    int64_t value = 0;
    assert_true(text_i64(text_of(meta(c, key)), &value));
    return value;
}

static void load_data(Case *c)
{
    const Array *user = array(c, "%s", "pairs.user"), *item = array(c, "%s", "pairs.item");
    DataSet *d = &c->data;
    *d = (DataSet){.U = meta_i64(c, "users"), .I = meta_i64(c, "items"), .arena = c->arena};
    d->train = (Pairs){.count = user->count,
                       .start = NEW(c->arena, int64_t, d->U + 1, &c->e),
                       .item = NEW(c->arena, int32_t, item->count, &c->e)};
    const int32_t *users = user->data;
    memcpy(d->train.item, item->data, (size_t)item->count * 4);
    for (int64_t i = 0; i < user->count; i++)
        d->train.start[users[i] + 1]++;
    for (int64_t u = 0; u < d->U; u++)
        d->train.start[u + 1] += d->train.start[u];
    d->feature_count = c->model.kind->needs_features ? 2 : 0;
    d->features = NEW(c->arena, Feature, 2, &c->e);
    static const char *const names[] = {"visual", "textual"};
    for (size_t i = 0; i < d->feature_count; i++)
        d->features[i] = (Feature){.name = names[i],
                                   .D = array(c, "features.%s", names[i])->shape[1],
                                   .data = floats(c, "features.%s", names[i], NULL)};
}

/* The numbers `prefix`.NAME of the golden file that belong to our parameter. */
static float *golden_of(Case *c, const char *prefix, const Tensor *p, const char *ours)
{
    int64_t count;
    float *x = floats(c, arena_printf(c->arena, &c->e, "%s.%%s", prefix), ours, &count);
    assert_int_equal(count, p->count);
    return x;
}

static void assert_close(Case *c, const char *what, const char *name, const float *ours, const float *theirs, int64_t n)
{
    double worst = 0, largest = 0;
    for (int64_t i = 0; i < n; i++) {
        worst = fmax(worst, fabs((double)ours[i] - theirs[i]));
        largest = fmax(largest, fabs((double)theirs[i]));
    }
    printf("  %-8s %-28s max|a-b| %.2e of max|b| %.2e: %.1e\n", what, name, worst, largest,
           largest > 0 ? worst / largest : 0);
    if (!(worst <= 1e-4 * largest))
        fail_msg("%s %s of %s is off", what, name, c->model.kind->name);
}

typedef void Visit(Case *c, Tensor *p, const char *name, Tape *t);
static void each_parameter(Case *c, Visit *visit, Tape *t)
{
    for (size_t i = 0; i < store_count(c->model.store); i++) {
        Tensor *p = store_at(c->model.store, i);
        if (p->param)
            visit(c, p, store_name(c->model.store, p), t);
    }
}

static void set_start(Case *c, Tensor *p, const char *name, Tape *t)
{
    (void)t;
    tensor_write(&c->device, p, 0, p->count, golden_of(c, "start", p, name));
}

static void check_gradient(Case *c, Tensor *p, const char *name, Tape *t)
{
    float *ours = NEW(c->arena, float, p->count, &c->e);
    OK(c, tensor_grad(t, p, ours, &c->e));
    assert_close(c, "gradient", name, ours, golden_of(c, "grad", p, name), p->count);
}

static void check_after(Case *c, Tensor *p, const char *name, Tape *t)
{
    (void)t;
    float *ours = NEW(c->arena, float, p->count, &c->e);
    tensor_read(&c->device, p, 0, p->count, ours);
    assert_close(c, "after 10", name, ours, golden_of(c, "after", p, name), p->count);
}

static void ten_steps(Case *c)
{
    const Array *users = array(c, "batch.%s", "user"), *positives = array(c, "batch.%s", "positive"),
                *negatives = array(c, "batch.%s", "negative");
    const int32_t *index = array(c, "batch.%s", "index")->data;
    float *expected = floats(c, "%s", "loss", NULL), ours[10];
    int64_t B = users->shape[1], epoch = 0;
    const CommonSettings *common = c->model.settings;
    Tape *t = tape_new(&c->device, true, &c->e);
    OK(c, t != NULL);
    each_parameter(c, set_start, t);
    for (int64_t s = 0; s < 10; s++) {
        const Recommender *kind = c->model.kind;
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
                   .negatives = (const int32_t *)negatives->data + s * B};
        batch_inputs(t, &b);
        Tensor *loss = kind->loss(t, &c->model, &b);
        OK(c, tape_ok(t, &c->e));
        tensor_read(&c->device, loss, 0, 1, &ours[s]);
        OK(c, backward(t, loss, &c->e));
        if (s == 0)
            each_parameter(c, check_gradient, t);
        c->optim.lr = common->lr * pow(common->lr_decay, (double)epoch / 50);
        OK(c, optim_step(&c->optim, c->model.store, t, &c->e));
    }
    assert_close(c, "loss", "ten steps", ours, expected, 10);
    each_parameter(c, check_after, t);
    tape_free(t);
}

/* "a=1 b=2" as two texts; batch_size is that of the golden batches, which are all full. */
static const CommonSettings *settings_of(Case *c, const Recommender *kind)
{
    const char *set[32];
    size_t n = 0;
    set[n++] = arena_printf(c->arena, &c->e, "batch_size=%lld", (long long)array(c, "batch.%s", "user")->shape[1]);
    for (Text rest = text_of(meta(c, "settings")), word; text_next(&rest, ' ', &word) && n < COUNT(set);)
        set[n++] = arena_strndup(c->arena, word.p, word.n, &c->e);
    return settings_make(kind, PROTOCOL_ELLIOT, set, n, c->arena, &c->e);
}

static void run_recipe(void **state)
{
    const char *folder = getenv("SAPOR_RECIPES");
    Case c = {.arena = arena_new(NULL, 0)};
    const char *path =
        arena_printf(c.arena, &c.e, "%s/recipe_%s.safetensors", folder ? folder : "tests/golden", (char *)*state);
    OK(&c, (c.golden = weights_open(path, c.arena, &c.e)) != NULL);
    OK(&c, device_open(&c.device, NULL, 2, NULL, NULL, &c.e));
    const Recommender *kind = recommender_find(meta(&c, "model"));
    assert_non_null(kind);
    c.model = (Model){.kind = kind, .data = &c.data, .arena = c.arena, .seed = 1};
    load_data(&c);
    OK(&c, (c.model.settings = settings_of(&c, kind)) != NULL);
    OK(&c, (c.model.store = store_new(&c.device, &c.e)) != NULL && kind->init(&c.model, &c.e));
    c.optim = optim_adam(((const CommonSettings *)c.model.settings)->lr);
    c.optim.skip_missing = !strcmp(meta(&c, "variant"), "elliot");
    printf("%s\n", (char *)*state);
    ten_steps(&c);
    store_free(c.model.store);
    device_close(&c.device);
    weights_close((Weights *)c.golden);
    arena_free(c.arena);
}

int main(void)
{
    static const char *const recipes[] = {
        "vbpr_elliot",     "vbpr_mmrec",     "lattice_elliot", "lattice_mmrec",
        "lightgcn_elliot", "lightgcn_mmrec", "ngcf_elliot",
    };
    struct CMUnitTest tests[COUNT(recipes)];
    for (size_t i = 0; i < COUNT(recipes); i++)
        tests[i] =
            (struct CMUnitTest){.name = recipes[i], .test_func = run_recipe, .initial_state = (void *)recipes[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
