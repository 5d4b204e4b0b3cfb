/* tests/trial_testing.h: small trials on a device, for tests that compare devices: a recommender is trained and
 * evaluated, an encoder encodes. */
#ifndef SAPOR_TRIAL_TESTING_H
#define SAPOR_TRIAL_TESTING_H

#include "tests/encoder_testing.h" /* before cmocka, which has a macro named fail */

#include "recsys/evaluation.h"
#include "tests/far/far.h"
#include "tests/testing.h"

/* ---- recommenders ---------------------------------------------------------------------------- */

enum { USERS = 120, ITEMS = 90, PER_USER = 10, BATCH = 200, EPOCHS = 3 };

/* Item number i of user u is
 *
 *   (3 u / 4 + i (i + 5)) mod ITEMS
 *
 * Train has i = 0 .. PER_USER - 1 = 9. Two of these ten items equal earlier ones, so a user has 8 different items in
 * train. Validation (i = 11) and test (i = 12) have one other item each. There are two tables of features. */
static void make_data(DataSet *d, Arena *a)
{
    Error e = {0};
    static const char *const names[] = {"visual", "textual"};
    static const int64_t widths[] = {24, 16};
    *d = (DataSet){.U = USERS, .I = ITEMS, .feature_count = 2, .features = NEW(a, Feature, 2, &e), .arena = a};
    Pairs *parts[] = {&d->train, &d->valid, &d->test};
    for (int p = 0; p < 3; p++) {
        int own = p ? 1 : PER_USER, at = 0;
        *parts[p] = (Pairs){
            .count = USERS * own, .start = NEW(a, int64_t, USERS + 1, &e), .item = NEW(a, int32_t, USERS * own, &e)};
        for (int u = 0; u < USERS; u++) {
            parts[p]->start[u] = at;
            bool taken[ITEMS] = {false};
            for (int i = 0; i < own; i++)
                taken[(u * 3 / 4 + (p ? PER_USER + p : i) * (i + 5)) % ITEMS] = true;
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

typedef struct Trial { /* the results of a run of a few epochs */
    float *losses, *users, *items, *scores;
    int32_t *top;
    size_t losses_count, users_count, items_count, top_count;
    /* counts of the far device: a test device whose memory the host cannot access. It counts kernels, copies and
     * allocations (tests/far/far.h). */
    FarCounts step;       /* of the last step of the last epoch */
    FarCounts first;      /* of the first step of the last epoch */
    FarCounts begin;      /* of the recommender's function `epoch`, called at the start of the last epoch */
    FarCounts evaluation; /* of the last evaluation */
    FarCounts opening;    /* of the first step of the run */
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

/* Trains as recsys/train does, on one device. Losses are read at the end of an epoch. */
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
    const Run run = device_run(d);
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
            d->k->step_begin(&run);
            tape_reset(t, (Draw){1, DRAW_DROPOUT, (uint32_t)(m.epoch * batches + b)});
            batch_inputs(t, &batch);
            Tensor *loss = kind->loss(t, &m, &batch);
            assert_ok(tape_ok(t, &e), e);
            tape_keep(t, loss, losses, b);
            assert_ok(backward(t, loss, &e) && optim_step(&o, m.store, t, &e), e);
            d->k->step_end(&run);
            *(b > 0 ? &r->step : m.epoch ? &r->first : &r->opening) = between(before, far_counts());
        }
        tensor_read(d, losses, 0, batches, r->losses + m.epoch * batches);
        tape_free(t);
        try_evaluation(d, &m, r, a);
    }
    r->losses_count = (size_t)(EPOCHS * batches);
    store_free(m.store);
}

/* ---- encoders -------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    unsigned tower; /* of a model with two towers; 0: the usual one */
} trial_encoders[] = {{"encoders/bert", 0},
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

enum { TEXTS = 20, IMAGES = 3, IMAGE_WIDTH = 40, IMAGE_HEIGHT = 30 };

static float *encode(const Device *d, const char *name, unsigned tower, size_t *count, Arena *a)
{
    Error e = {0};
    OpenModel o =
        open_encoder(d, arena_printf(a, &e, "tests/golden/%s", name), &(TestOptions){.modality = tower}, a, &e);
    assert_ok(o.en != NULL, e);
    Tape *t = tape_new(d, false, &e);
    bool is_text = o.call->modality == MODALITY_TEXT;
    *count = (is_text ? TEXTS : IMAGES) * o.D;
    float *out = NEW(a, float, *count, &e);
    Text texts[TEXTS];
    Image images[IMAGES];
    unsigned char pixels[IMAGE_WIDTH * IMAGE_HEIGHT * 3];
    for (size_t p = 0; p < sizeof pixels; p++)
        pixels[p] = (unsigned char)(p * 7);
    for (size_t i = 0; i < TEXTS; i++)
        texts[i] = (Text){"a small red leather bag for the new light", 8 + i % 30};
    for (size_t i = 0; i < IMAGES; i++)
        images[i] = (Image){.width = IMAGE_WIDTH, .height = IMAGE_HEIGHT, .pixels = pixels};
    for (int round = 0; round < 2; round++) { /* the second round uses the plans that the first round made */
        far_reset();
        assert_ok(is_text ? encode_some_texts(&o, t, texts, TEXTS, out, &e)
                          : encode_some_images(&o, t, images, IMAGES, out, &e),
                  e);
    }
    tape_free(t);
    encoder_close(o.en);
    return out;
}

#endif
