/* tests/far_test.c: the far device (tests/far/far.h): what it refuses; the case table, recommenders and encoders with
 * the bits of the CPU; how often a step and an epoch copy between host and device.
 *
 * FAR=all runs every encoder, else a text and an image encoder. tests/far_programs_test.sh runs other programs. */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/encoder_testing.h" /* before cmocka, which has a macro named fail */

#include "recsys/evaluation.h"
#include "tests/far/far.h"
#include "tests/kernel_cases.h"
#include "tests/testing.h"

static bool all(void)
{
    const char *far = getenv("FAR");
    return far && !strcmp(far, "all");
}

/* An open device, and the far one over the same kernels. */
static void open_both(Device *cpu, Device *far, int threads)
{
    Error e = {0};
    assert_ok(device_open(cpu, "cpu", threads, NULL, NULL, &e), e);
    *far = *cpu;
    far_device(far);
    far_reset();
}

static void no_host_pointers(void)
{
    FarCounts c = far_counts();
    if (c.host_pointers)
        fail_msg("%llu pointers of the host; the first: %s", (unsigned long long)c.host_pointers, c.first);
}

/* ---- positive controls ----------------------------------------------------------------------- */

/* Whether the host faults when it reads, or writes, p. A process of its own does it: sanitizers handle the signal
 * themselves and end the process with a report. */
static bool faults(volatile float *p, bool writes)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDERR_FILENO);
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        signal(SIGSEGV, SIG_DFL); /* cmocka's handler would go on with the next test */
        if (writes)
            p[0] = 1;
        else
            (void)p[0];
        _exit(0);
    }
    assert_true(child > 0 && waitpid(child, &status, 0) == child);
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static void the_host_cannot_touch_it(void **state)
{
    (void)state;
    Device cpu, far;
    open_both(&cpu, &far, 1);
    Run run = device_run(&far);
    float host[4] = {1, 2, 3, 4}, back[4] = {0};
    float *x = far.k->alloc(&run, NULL, sizeof host);
    assert_non_null(x);
    far.k->upload(&run, x, host, sizeof host);
    assert_true(faults(x, false));
    assert_true(faults(x, true));
    far.k->axpby(&run, 4, 2, x, 0, x);
    assert_true(faults(x + 3, false)); /* after a kernel too */
    far.k->download(&run, back, x, sizeof back);
    assert_int_equal(back[3], 8);
    assert_true(far_live_bytes() == sizeof host);
    far.k->free(&run, NULL, x, sizeof host);
    assert_true(faults(x, false));
    FarCounts c = far_counts();
    assert_true(c.uploads == 1 && c.upload_bytes == 16 && c.downloads == 1 && c.kernels == 1 && !c.host_pointers);
    device_close(&cpu);
}

static void host_pointers_are_counted(void **state)
{
    (void)state;
    Device cpu, far;
    open_both(&cpu, &far, 1);
    Run run = device_run(&far);
    float host[4] = {1, 2, 3, 4}, *x = far.k->alloc(&run, NULL, sizeof host);
    far.k->axpby(&run, 4, 1, host, 0, x);
    FarCounts c = far_counts();
    assert_int_equal(c.host_pointers, 1);
    assert_string_equal(c.first, "axpby: x");
    const Gemm g = {.M = 2,
                    .N = 2,
                    .K = 1,
                    .A = x,
                    .a_row = 1,
                    .a_col = 1,
                    .B = host,
                    .b_row = 2,
                    .b_col = 1,
                    .C = x,
                    .ldc = 2,
                    .alpha = 1};
    float *work = far.k->alloc(&run, NULL, far.k->gemm_work(&run, &g) + 64);
    run.work = work;
    run.work_bytes = far.k->gemm_work(&run, &g) + 64;
    far.k->gemm(&run, &g);
    assert_int_equal(far_counts().host_pointers, 2);
    far.k->free(&run, NULL, work, run.work_bytes);
    far.k->free(&run, NULL, x, sizeof host);
    far_reset();
    device_close(&cpu);
}

/* ---- kernels --------------------------------------------------------------------------------- */

static void cases_have_the_bits_of_the_cpu(void **state)
{
    (void)state;
    Device cpu, far;
    open_both(&cpu, &far, 2);
    size_t count = 0;
    for (size_t f = 0; f < kernel_family_count; f++)
        for (size_t i = 0; i < kernel_families[f]->count; i++) {
            const Family *family = kernel_families[f];
            char name[160], why[512];
            if (family->cases[i].timed)
                continue;
            if (!case_same(family, &family->cases[i], cpu.k, far.k, cpu.context, why)) {
                case_name(name, family, &family->cases[i]);
                fail_msg("%s: %s", name, why);
            }
            count++;
        }
    print_message("%zu cases\n", count);
    no_host_pointers();
    assert_int_equal(far_live_bytes(), 0);
    device_close(&cpu);
}

/* ---- recommenders ---------------------------------------------------------------------------- */

enum { USERS = 120, ITEMS = 90, OWN = 10, BATCH = 200, EPOCHS = 3 };

/* User u has OWN items near a place of its own, one more to validate and one to test; two tables of features. */
static void make_data(DataSet *d, Arena *a)
{
    Error e = {0};
    static const char *const names[] = {"visual", "textual"};
    static const int64_t widths[] = {24, 16};
    *d = (DataSet){.U = USERS, .I = ITEMS, .feature_count = 2, .features = NEW(a, Feature, 2, &e), .arena = a};
    Pairs *parts[] = {&d->train, &d->valid, &d->test};
    for (int p = 0; p < 3; p++) {
        int own = p ? 1 : OWN, at = 0;
        *parts[p] = (Pairs){
            .count = USERS * own, .start = NEW(a, int64_t, USERS + 1, &e), .item = NEW(a, int32_t, USERS * own, &e)};
        for (int u = 0; u < USERS; u++) {
            parts[p]->start[u] = at;
            bool taken[ITEMS] = {false};
            for (int i = 0; i < own; i++)
                taken[(u * 3 / 4 + (p ? OWN + p : i) * (i + 5)) % ITEMS] = true;
            for (int i = 0; i < ITEMS; i++)
                if (taken[i])
                    parts[p]->item[at++] = i;
        }
        parts[p]->start[USERS] = parts[p]->count = at;
    }
    for (int f = 0; f < 2; f++) {
        float *x = NEW(a, float, ITEMS *widths[f], &e);
        for (int64_t i = 0; i < ITEMS * widths[f]; i++)
            x[i] = draw_uniform((Draw){1, DRAW_TEST, (uint32_t)f}, (uint64_t)i) - 0.5f;
        d->features[f] = (Feature){.name = names[f], .D = widths[f], .data = x};
    }
}

typedef struct Trial { /* what a run of a few epochs leaves */
    float *losses, *users, *items, *scores;
    int32_t *top;
    size_t losses_count, users_count, items_count, top_count;
    /* of a step in the middle of the last epoch, of its first, of `epoch`; of a first step without an evaluation before
     * it */
    FarCounts step, first, begin, evaluation, opening;
} Trial;

static FarCounts between(FarCounts a, FarCounts b)
{
    b.kernels -= a.kernels;
    b.uploads -= a.uploads;
    b.upload_bytes -= a.upload_bytes;
    b.downloads -= a.downloads;
    b.download_bytes -= a.download_bytes;
    b.copies -= a.copies;
    b.allocations -= a.allocations;
    return b;
}

static float *read_all(const Device *d, const Tensor *x, size_t *count, Arena *a)
{
    Error e = {0};
    float *host = NEW(a, float, x->count, &e);
    tensor_read(d, x, 0, x->count, host);
    *count = (size_t)x->count;
    return host;
}

static void try_evaluation(const Device *d, Model *m, Trial *r, Arena *a)
{
    Error e = {0};
    Tape *t = tape_new(d, false, &e);
    Tensor *users = NULL, *items = NULL;
    FarCounts before = far_counts();
    tape_reset(t, (Draw){m->seed, DRAW_EVALUATION, (uint32_t)m->epoch});
    assert_ok(!m->kind->represent || (m->kind->represent(t, m, &users, &items) && tape_ok(t, &e)), e);
    enum { K = 10 };
    int32_t *ids = NEW(a, int32_t, USERS, &e);
    for (int u = 0; u < USERS; u++)
        ids[u] = u;
    r->top_count = USERS * K;
    r->top = NEW(a, int32_t, r->top_count, &e);
    r->scores = NEW(a, float, r->top_count, &e);
    assert_ok(rank_users(m, users, items, ids, USERS, K, r->top, r->scores, &e), e);
    r->evaluation = between(before, far_counts());
    if (users) {
        r->users = read_all(d, users, &r->users_count, a);
        r->items = read_all(d, items, &r->items_count, a);
    }
    tape_free(t);
}

/* Training as recsys/train does it, on one device; losses are read at the end of an epoch. */
static void try_recommender(const Device *d, const Recommender *kind, const char *variant, const DataSet *data,
                            Trial *r, Arena *a)
{
    Error e = {0};
    const char *set[] = {"batch_size=200", variant};
    Model m = {.kind = kind, .data = data, .arena = a, .seed = 1};
    assert_ok((m.settings = settings_make(kind, PROTOCOL_ELLIOT, set, variant ? 2 : 1, a, &e)) != NULL, e);
    assert_ok((m.store = store_new(d, &e)) != NULL && kind->init(&m, &e), e);
    Sampler *s = sampler_new(data, kind->sampling(&m), BATCH, 1, a, &e);
    assert_ok(s != NULL, e);
    Optim o = kind->optim ? kind->optim(&m) : optim_adam(0.01);
    o.skip_missing = !variant;
    int64_t batches = sampler_batches(s);
    r->losses = NEW(a, float, EPOCHS *batches + 1, &e);
    for (m.epoch = 0; m.epoch < (batches ? EPOCHS : 1); m.epoch++) {
        FarCounts before = far_counts();
        assert_ok(!kind->epoch || kind->epoch(&m, &e), e);
        r->begin = between(before, far_counts());
        sampler_epoch(s, d->pool, m.epoch);
        Tape *t = tape_new(d, true, &e);
        Tensor *losses = store_f32(m.store, "", 1, &batches, NULL, &e);
        for (int64_t b = 0; b < batches; b++) {
            Batch batch = {.index = b};
            batch.B = sampler_batch(s, b, &batch.users, &batch.positives, &batch.negatives);
            before = far_counts();
            tape_reset(t, (Draw){1, DRAW_DROPOUT, (uint32_t)(m.epoch * batches + b)});
            batch_inputs(t, &batch);
            Tensor *loss = kind->loss(t, &m, &batch);
            assert_ok(tape_ok(t, &e), e);
            tape_keep(t, loss, losses, b);
            assert_ok(backward(t, loss, &e) && optim_step(&o, m.store, t, &e), e);
            *(b > 0 ? &r->step : m.epoch ? &r->first : &r->opening) = between(before, far_counts());
        }
        tensor_read(d, losses, 0, batches, r->losses + m.epoch * batches);
        tape_free(t);
        try_evaluation(d, &m, r, a);
    }
    r->losses_count = (size_t)(EPOCHS * batches);
    store_free(m.store);
}

/* Copies between host and device: uploads of a step, all of them small; uploads and downloads of an epoch's first step,
 * of one that no evaluation precedes, of what a recommender does before an epoch, and of an evaluation. A step has no
 * download. */
typedef struct Copies {
    uint64_t step, first[2], opening[2], begin[2], evaluation[2];
} Copies;

/* What is right for a recommender that is not listed below: one upload a step, also in the first one; before an epoch
 * nothing, or one upload for each graph that `epoch` draws; in an evaluation the lists of users and of what they have,
 * and their two results. `score` gives scores of the host: one more upload. */
enum { MOST_DRAWN = 2 };
static Copies usual(const Recommender *kind)
{
    if (!kind->represent)
        return (Copies){.evaluation = {4, 2}};
    return (Copies){.step = 1,
                    .first = {1, 0},
                    .opening = {1, 0},
                    .begin = {kind->epoch ? MOST_DRAWN : 0, 0},
                    .evaluation = {3, 2}};
}

/* Recommenders that copy more, and why; and exactly what `epoch` uploads. A new one needs no row. */
static const struct {
    const char *name, *variant; /* NULL: all */
    Copies copies;
    const char *why;
} exceptions[] = {
    {"LATTICE", NULL, {1, {1, 0}, {1, 2}, {0, 0}, {6, 4}}, "neighbours are read where they are found: two modalities"},
    {"NGCF", NULL, {1, {1, 0}, {1, 0}, {1, 0}, {3, 2}}, "one graph is drawn"},
    {"NGCF", "variant=paper", {1, {1, 0}, {1, 0}, {0, 0}, {3, 2}}, "its node dropout is off"},
};

static void expect(const char *name, const char *what, const FarCounts *c, uint64_t up, uint64_t down)
{
    if (c->uploads != up || c->downloads != down)
        fail_msg("%s: %s has %llu uploads and %llu downloads, expected %llu and %llu: make lists before the first op "
                 "that reads one (CONTRIBUTING.md, What an op costs), or name the reason in tests/far_test.c",
                 name, what, (unsigned long long)c->uploads, (unsigned long long)c->downloads, (unsigned long long)up,
                 (unsigned long long)down);
}

static void check_counts(const Recommender *kind, const char *variant, const Trial *r)
{
    Copies x = usual(kind);
    const char *why = NULL;
    for (size_t i = 0; i < COUNT(exceptions); i++)
        if (!strcmp(exceptions[i].name, kind->name) &&
            (!exceptions[i].variant || (variant && !strcmp(exceptions[i].variant, variant)))) {
            x = exceptions[i].copies;
            why = exceptions[i].why;
        }
    print_message("  %-8s %-13s step %llu up (%5llu bytes) %llu down, first %llu up %llu down (opening %llu down), "
                  "epoch %llu up %llu down, evaluation %llu up %llu down%s%s\n",
                  kind->name, variant ? variant : "", (unsigned long long)r->step.uploads,
                  (unsigned long long)r->step.upload_bytes, (unsigned long long)r->step.downloads,
                  (unsigned long long)r->first.uploads, (unsigned long long)r->first.downloads,
                  (unsigned long long)r->opening.downloads, (unsigned long long)r->begin.uploads,
                  (unsigned long long)r->begin.downloads, (unsigned long long)r->evaluation.uploads,
                  (unsigned long long)r->evaluation.downloads, why ? ": " : "", why ? why : "");
    expect(kind->name, "a step", &r->step, x.step, 0);
    expect(kind->name, "an epoch's first step", &r->first, x.first[0], x.first[1]);
    expect(kind->name, "a first step without an evaluation before it", &r->opening, x.opening[0], x.opening[1]);
    if (!kind->epoch || why || r->begin.uploads > MOST_DRAWN || r->begin.downloads)
        expect(kind->name, "the beginning of an epoch", &r->begin, x.begin[0], x.begin[1]);
    expect(kind->name, "an evaluation", &r->evaluation, x.evaluation[0], x.evaluation[1]);
}

static void try_both(const Recommender *kind, const char *variant)
{
    Device cpu, far;
    Arena *a = arena_new(NULL, 0);
    DataSet data;
    Trial one = {0}, other = {0};
    open_both(&cpu, &far, 2);
    make_data(&data, a);
    try_recommender(&cpu, kind, variant, &data, &one, a);
    try_recommender(&far, kind, variant, &data, &other, a);
    no_host_pointers();
    assert_int_equal(far_live_bytes(), 0);
    assert_int_equal(one.users_count, other.users_count);
    assert_memory_equal(one.losses, other.losses, one.losses_count * sizeof(float));
    assert_memory_equal(one.users, other.users, one.users_count * sizeof(float));
    assert_memory_equal(one.items, other.items, one.items_count * sizeof(float));
    assert_memory_equal(one.top, other.top, one.top_count * sizeof *one.top);
    assert_memory_equal(one.scores, other.scores, one.top_count * sizeof(float));
    check_counts(kind, variant, &other);
    arena_free(a);
    device_close(&cpu);
}

static const Setting *variants_of(const Recommender *kind)
{
    for (const Setting *s = kind->settings; s && s->key; s++)
        if (!strcmp(s->key, "variant"))
            return s;
    return NULL;
}

/* Every recommender of the registry, in each of its recipes. One with a step of its own is trained by the trainer
 * alone: tests/own_step_test.c. */
static void recommenders_have_the_bits_of_the_cpu(void **state)
{
    (void)state;
    for (size_t i = 0; i < recommender_count(); i++) {
        const Recommender *kind = recommender_at(i);
        if (kind->step)
            continue;
        const Setting *variants = variants_of(kind);
        try_both(kind, NULL);
        for (size_t v = 1; variants && v < variants->member.word_count; v++) { /* 0, elliot, is the default */
            char set[40];
            snprintf(set, sizeof set, "variant=%s", variants->member.words[v]);
            if (variants->member.words[v])
                try_both(kind, set);
        }
    }
}

/* ---- encoders -------------------------------------------------------------------------------- */

enum { TEXTS = 20, IMAGES = 3, SIDE = 40, WIDE = 30 };

static float *encode(const Device *d, const char *name, unsigned tower, size_t *count, Arena *a)
{
    Error e = {0};
    Opened o = open_wish(d, arena_printf(a, &e, "tests/golden/%s", name), &(Wish){.modality = tower}, a, &e);
    assert_ok(o.en != NULL, e);
    Tape *t = tape_new(d, false, &e);
    bool reads = o.call->modality == MODALITY_TEXT;
    *count = (reads ? TEXTS : IMAGES) * o.D;
    float *out = NEW(a, float, *count, &e);
    Text texts[TEXTS];
    Image images[IMAGES];
    unsigned char pixels[SIDE * WIDE * 3];
    for (size_t p = 0; p < sizeof pixels; p++)
        pixels[p] = (unsigned char)(p * 7);
    for (size_t i = 0; i < TEXTS; i++)
        texts[i] = (Text){"a small red leather bag for the new light", 8 + i % 30};
    for (size_t i = 0; i < IMAGES; i++)
        images[i] = (Image){.width = SIDE, .height = WIDE, .pixels = pixels};
    for (int round = 0; round < 2; round++) { /* the second has its plans */
        far_reset();
        assert_ok(reads ? encode_some_texts(&o, t, texts, TEXTS, out, &e)
                        : encode_some_images(&o, t, images, IMAGES, out, &e),
                  e);
    }
    tape_free(t);
    encoder_close(o.en);
    return out;
}

static void encoders_have_the_bits_of_the_cpu(void **state)
{
    static const struct {
        const char *name;
        unsigned tower; /* of a model with two; 0: the usual one */
    } models[] = {{"encoders/bert", 0},
                  {"encoders/vit", 0},
                  {"encoders/resnet_basic", 0},
                  {"encoders/distilbert", 0},
                  {"encoders/mpnet", 0},
                  {"encoders/resnet_bottleneck", 0},
                  {"encoders/efficientnet_lite.safetensors", 0},
                  {"encoders/vit_modules", 0},
                  {"encoders/roberta", 0},
                  {"encoders/xlm_roberta", 0},
                  {"encoders/efficientnet", 0},
                  {"encoders/efficientnet_hf", 0},
                  {"encoders/clip", MODALITY_TEXT},
                  {"encoders/clip", MODALITY_IMAGE},
                  {"encoders/altclip", MODALITY_TEXT},
                  {"encoders/altclip", MODALITY_IMAGE},
                  {"encoders/align", MODALITY_TEXT},
                  {"encoders/align", MODALITY_IMAGE},
                  {"layers/resnext.safetensors", 0},
                  {"layers/vit_timm", 0},
                  {"layers/vit_torchvision.safetensors", 0}};
    (void)state;
    for (size_t i = 0; i < (all() ? COUNT(models) : 2); i++) {
        Device cpu, far;
        Arena *a = arena_new(NULL, 0);
        size_t n, m;
        open_both(&cpu, &far, 2);
        const float *x = encode(&cpu, models[i].name, models[i].tower, &n, a),
                    *y = encode(&far, models[i].name, models[i].tower, &m, a);
        FarCounts c = far_counts();
        no_host_pointers();
        assert_int_equal(far_live_bytes(), 0);
        assert_int_equal(n, m);
        assert_memory_equal(x, y, n * sizeof *x);
        print_message("  %-40s %llu up, %llu down, %llu kernels\n", models[i].name, (unsigned long long)c.uploads,
                      (unsigned long long)c.downloads, (unsigned long long)c.kernels);
        arena_free(a);
        device_close(&cpu);
    }
}

int main(void)
{
    unsetenv("SAPOR_TEST_DEVICE"); /* both devices are opened here */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_host_cannot_touch_it),          cmocka_unit_test(host_pointers_are_counted),
        cmocka_unit_test(cases_have_the_bits_of_the_cpu),    cmocka_unit_test(recommenders_have_the_bits_of_the_cpu),
        cmocka_unit_test(encoders_have_the_bits_of_the_cpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
