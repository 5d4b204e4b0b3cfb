/* demo.c: sapor demo: the whole path on a catalogue that it draws itself, offline. */
#include "tools/catalogue.h"
#include "tools/demo.h"
#include "tools/extract.h"

const Option demo_options[] = {
    {"out", 'o', "DIR", "where pictures, features and trained models go (default out/demo)"},
    {"train-encoder", 0, "DIR", "only train the demo's pair of encoders, about ten minutes, into DIR"},
    {NULL, 0, NULL, NULL},
};

/* The same settings for all that learn; few epochs are enough for a small catalogue. */
static const char *const SETTINGS[] = {"epochs=60", "batch_size=256", "lr=0.005"};
static const struct {
    const char *model;
    bool learns, features;
} CONTESTANTS[] = {{"Random", false, false}, {"MostPop", false, false}, {"ItemKNN", false, false},
                   {"BPRMF", true, false},   {"VBPR", true, true},      {"LATTICE", true, true}};

typedef struct Demo {
    Context *c;
    const char *out, *visual, *textual, *train, *valid, *test;
} Demo;

static const char *inside(const Demo *d, const char *name, Error *e)
{
    return path_join(d->c->arena, d->out, name, e);
}

/* Both modalities through the statistics that need no weights, into visual.npy and textual.npy. */
static bool make_features(const Demo *d, Error *e)
{
    Context *c = d->c;
    const char *table = inside(d, "items.tsv", e), *pictures = inside(d, "pictures", e);
    Input *rows;
    size_t n;
    Extractor x;
    if (!table || !pictures || !table_read(&rows, &n, table, "item", "description", c->arena, e) ||
        !extractor_open(&x, c, "word-statistics", NULL, e) || !features_write(c, &x, rows, n, 64, "texts", d->textual, e))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!(rows[i].picture = arena_printf(c->arena, e, "%s/%s.png", pictures, rows[i].name)))
            return false;
    return extractor_open(&x, c, "colour-statistics", NULL, e) && features_write(c, &x, rows, n, 64, "pictures", d->visual, e);
}

enum { COLUMNS = 8 };

/* Trains one model and fills its row of the table. */
static bool contest(const Demo *d, size_t i, const char **row, Error *e)
{
    Context *c = d->c;
    const Device *device = context_device(c, e);
    const char *features[2] = {arena_printf(c->arena, e, "visual=%s", d->visual), arena_printf(c->arena, e, "textual=%s", d->textual)};
    TrainConfig t = {.model = CONTESTANTS[i].model,
                     .data = {.train = d->train, .valid = d->valid, .test = d->test, .protocol = PROTOCOL_ELLIOT},
                     .out = inside(d, CONTESTANTS[i].model, e),
                     .seed = c->seed,
                     .progress = c->progress};
    TrainResult r = {0};
    double begun = now_seconds();
    if (CONTESTANTS[i].features) {
        t.data.features = features;
        t.data.feature_count = COUNT(features);
    }
    if (CONTESTANTS[i].learns) {
        t.set = SETTINGS;
        t.set_count = COUNT(SETTINGS);
    }
    if (!device || e->code || !train_run(device, &t, &r, c->arena, e))
        return false;
    row[0] = CONTESTANTS[i].model;
    row[1] = CONTESTANTS[i].features ? "pictures, texts" : "-";
    static const char *const METRICS[] = {"Recall", "nDCG", "HR"};
    for (size_t m = 0; m < COUNT(METRICS); m++)
        if (!(row[2 + m] = arena_printf(c->arena, e, "%.4f", score_of(&r.test, METRICS[m], 20))))
            return false;
    bool trained = CONTESTANTS[i].learns && r.epoch_seconds > 0; /* not when an earlier tour had trained it */
    row[5] = CONTESTANTS[i].learns ? arena_printf(c->arena, e, "%lld", (long long)r.best_epoch) : "-";
    row[6] = trained ? arena_printf(c->arena, e, "%.1f", 1e3 * r.epoch_seconds) : "-";
    row[7] = arena_printf(c->arena, e, "%.2f", now_seconds() - begun);
    if (c->json)
        printf("{\"event\":\"result\",\"model\":\"%s\",\"Recall@20\":%s,\"nDCG@20\":%s,\"HR@20\":%s,\"best_epoch\":%lld,\"epoch_seconds\":%.6f,"
               "\"seconds\":%s}\n",
               row[0], row[2], row[3], row[4], (long long)r.best_epoch, r.epoch_seconds, row[7]);
    return !e->code;
}

bool demo_command(Context *c, Error *e)
{
    static const char *const HEADING[COLUMNS] = {"model", "features", "Recall@20", "nDCG@20", "HR@20", "best epoch", "ms/epoch", "seconds"};
    Demo d = {.c = c, .out = option_text(c, "out") ? option_text(c, "out") : "out/demo"};
    SplitConfig split = {.strategy = SPLIT_RANDOM, .test_ratio = 0.2, .validation_ratio = 0.1, .seed = 42, .heap = c->heap};
    size_t interactions, counts[3];
    if (option_text(c, "train-encoder"))
        return demo_encoder_train(c, option_text(c, "train-encoder"), e);
    double begun = now_seconds();
    if (!(d.visual = inside(&d, "visual.npy", e)) || !(d.textual = inside(&d, "textual.npy", e)) || !(d.train = inside(&d, "train.tsv", e)) ||
        !(d.valid = inside(&d, "val.tsv", e)) || !(d.test = inside(&d, "test.tsv", e)) || !folder_make(d.out, e) ||
        !catalogue_draw(d.out, &interactions, c->progress, c->heap, e) || !make_features(&d, e))
        return false;
    const char *ratings = inside(&d, "interactions.tsv", e);
    if (!ratings || !split_file(ratings, d.out, &split, counts, e))
        return false;
    const char **cells = NEW(c->arena, const char *, COLUMNS * (COUNT(CONTESTANTS) + 1), e);
    if (!cells)
        return false;
    memcpy(cells, HEADING, sizeof HEADING);
    for (size_t i = 0; i < COUNT(CONTESTANTS); i++)
        if (!contest(&d, i, cells + (i + 1) * COLUMNS, e))
            return false;
    if (c->json)
        return true;
    printf("\nSynthetic catalogue: %d items, %d users, %zu interactions (%zu to learn from, %zu to test)\n\n", CATALOGUE_ITEMS, CATALOGUE_USERS,
           interactions, counts[0], counts[2]);
    table_print(stdout, cells, COUNT(CONTESTANTS) + 1, COLUMNS, "llrrrrrr");
    printf("\n%.1f s in all; the pictures are in %s/pictures. Next:\n  sapor recommend %s/LATTICE --users u007 -k 5\n"
           "  sapor encode colour-statistics %s/pictures -o pictures.npy\n",
           now_seconds() - begun, d.out, d.out, d.out);
    return true;
}
