/* Ten steps of VBPR and LATTICE, both recipes, against float64 PyTorch (tests/golden/recommenders_float64.py): the losses, the gradients of
 * step 1, the parameters after step 10, each within 1e-4 of its tensor's largest number. SAPOR_RECIPES names a folder with larger cases. */
#include "testing.h"

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

#define OK(c, condition)                                                                                                            \
    do {                                                                                                                            \
        if (!(condition))                                                                                                           \
            fail_msg("%s: %s", #condition, (c)->e.message);                                                                         \
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

static double meta(Case *c, const char *key)
{
    double value = 0;
    const Json *j = json_get(weights_metadata(c->golden), key);
    assert_true(j && text_f64(j->text, &value));
    return value;
}

static void load_data(Case *c)
{
    const Array *user = array(c, "%s", "pairs.user"), *item = array(c, "%s", "pairs.item");
    DataSet *d = &c->data;
    *d = (DataSet){.U = (int64_t)meta(c, "users"), .I = (int64_t)meta(c, "items"), .arena = c->arena, .feature_count = 2};
    d->train = (Pairs){.count = user->count, .start = NEW(c->arena, int64_t, d->U + 1, &c->e), .item = NEW(c->arena, int32_t, item->count, &c->e)};
    const int32_t *users = user->data;
    memcpy(d->train.item, item->data, (size_t)item->count * 4);
    for (int64_t i = 0; i < user->count; i++)
        d->train.start[users[i] + 1]++;
    for (int64_t u = 0; u < d->U; u++)
        d->train.start[u + 1] += d->train.start[u];
    d->features = NEW(c->arena, Feature, 2, &c->e);
    static const char *const names[] = {"visual", "textual"};
    for (int i = 0; i < 2; i++)
        d->features[i] = (Feature){.name = names[i], .D = array(c, "features.%s", names[i])->shape[1], .data = floats(c, "features.%s", names[i], NULL)};
}

/* The numbers `prefix`.NAME of the golden file that belong to our parameter. VBPR's projection is one matrix there, one a modality here. */
static float *golden_of(Case *c, const char *prefix, const Tensor *p, const char *ours)
{
    char name[128];
    snprintf(name, sizeof(name), "%s.%s", prefix, ours);
    bool split = !strcmp(c->model.kind->name, "VBPR") && !strncmp(ours, "projection.", 11);
    if (!split)
        return floats(c, "%s", name, NULL);
    if (strstr(ours, "bias"))
        return floats(c, "%s.projection.bias", prefix, NULL);
    const Array *whole = array(c, "%s.projection.weight", prefix);
    bool visual = strstr(ours, "visual") != NULL, visual_first = !strcmp(setting_text(c->model.settings, "variant"), "elliot");
    int64_t N = whole->shape[0], K = whole->shape[1], own = cols_of(p), first = visual == visual_first ? 0 : K - own;
    float *all = floats(c, "%s.projection.weight", prefix, NULL), *out = NEW(c->arena, float, N * own, &c->e);
    for (int64_t n = 0; n < N; n++)
        memcpy(out + n * own, all + n * K + first, (size_t)own * 4);
    return out;
}

static void assert_close(Case *c, const char *what, const char *name, const float *ours, const float *theirs, int64_t n)
{
    double worst = 0, largest = 0;
    for (int64_t i = 0; i < n; i++) {
        worst = fmax(worst, fabs((double)ours[i] - theirs[i]));
        largest = fmax(largest, fabs(theirs[i]));
    }
    printf("  %-8s %-28s max|a-b| %.2e of max|b| %.2e: %.1e\n", what, name, worst, largest, largest > 0 ? worst / largest : 0);
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
    const Array *users = array(c, "batch.%s", "user"), *positives = array(c, "batch.%s", "positive"), *negatives = array(c, "batch.%s", "negative");
    const int32_t *index = array(c, "batch.%s", "index")->data;
    float *expected = floats(c, "%s", "loss", NULL), ours[10];
    int64_t B = users->shape[1], epoch = 0;
    double lr = meta(c, "lr"), decay = setting_f64(c->model.settings, "lr_decay");
    Tape *t = tape_new(&c->device, true, &c->e);
    OK(c, t != NULL);
    each_parameter(c, set_start, t);
    for (int64_t s = 0; s < 10; s++) {
        tape_reset(t, (Draw){1, DRAW_DROPOUT, (uint32_t)s});
        Batch b = {.B = B, .index = index[s], .users = (const int32_t *)users->data + s * B, .positives = (const int32_t *)positives->data + s * B,
                   .negatives = (const int32_t *)negatives->data + s * B};
        b.user = input_i32(t, b.users, B);
        b.pos = input_i32(t, b.positives, B);
        b.neg = input_i32(t, b.negatives, B);
        Tensor *loss = c->model.kind->loss(t, &c->model, &b);
        OK(c, tape_ok(t, &c->e));
        tensor_read(&c->device, loss, 0, 1, &ours[s]);
        OK(c, backward(t, loss, &c->e));
        if (s == 0)
            each_parameter(c, check_gradient, t);
        epoch += s > 0 && index[s] == 0;
        c->optim.lr = lr * pow(decay, (double)epoch / 50);
        OK(c, optim_step(&c->optim, c->model.store, t, &c->e));
    }
    assert_close(c, "loss", "ten steps", ours, expected, 10);
    each_parameter(c, check_after, t);
    tape_free(t);
}

static void run_case(const char *folder, const char *model, const char *variant, int threads)
{
    Case c = {.arena = arena_new(NULL, 0)};
    char path[1024];
    snprintf(path, sizeof(path), "%s/recipe_%s_%s.safetensors", folder, model, variant);
    OK(&c, (c.golden = weights_open(path, c.arena, &c.e)) != NULL);
    c.device = (Device){.k = kernels_cpu(NULL, &c.e), .pool = pool_new(NULL, threads, &c.e)};
    OK(&c, c.device.k && c.device.pool);
    load_data(&c);
    const Recommender *kind = recommender_find(model);
    const char *set[4] = {arena_printf(c.arena, &c.e, "variant=%s", variant), arena_printf(c.arena, &c.e, "factors=%g", meta(&c, "factors")),
                          arena_printf(c.arena, &c.e, "l_w=%g", meta(&c, "reg")), arena_printf(c.arena, &c.e, "top_k=%g", meta(&c, "knn"))};
    bool lattice = !strcmp(kind->name, "LATTICE");
    const char *more[] = {set[0], set[1], set[2], set[3], arena_printf(c.arena, &c.e, "factors_multimod=%g", meta(&c, "factors"))};
    Settings *settings = settings_make(kind->settings, PROTOCOL_ELLIOT, more, lattice ? 5 : 3, c.arena, &c.e);
    OK(&c, settings != NULL);
    c.model = (Model){.kind = kind, .data = &c.data, .settings = settings, .store = store_new(&c.device, &c.e), .arena = c.arena, .seed = 1};
    OK(&c, c.model.store && kind->init(&c.model, &c.e));
    c.optim = optim_adam(meta(&c, "lr"));
    c.optim.skip_missing = !strcmp(variant, "elliot");
    printf("%s, %s\n", kind->name, variant);
    ten_steps(&c);
    store_free(c.model.store);
    pool_free(c.device.pool);
    weights_close((Weights *)c.golden);
    arena_free(c.arena);
}

static const char *golden_folder(void)
{
    const char *folder = getenv("SAPOR_RECIPES");
    return folder ? folder : "tests/golden";
}

#define CASE(model, variant)                                                                                                        \
    static void model##_##variant(void **state)                                                                                     \
    {                                                                                                                               \
        (void)state;                                                                                                                \
        run_case(golden_folder(), #model, #variant, 2);                                                                             \
    }
CASE(vbpr, elliot)
CASE(vbpr, mmrec)
CASE(lattice, elliot)
CASE(lattice, mmrec)

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(vbpr_elliot), cmocka_unit_test(vbpr_mmrec), cmocka_unit_test(lattice_elliot),
                                       cmocka_unit_test(lattice_mmrec)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
