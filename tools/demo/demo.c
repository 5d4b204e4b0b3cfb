/* tools/demo/demo.c: sapor demo: all steps, from images to a report, on a catalogue that it draws, offline. */
// flags: -Os
#include "tools/demo/catalogue.h"
#include "tools/demo/demo.h"
#include "tools/ducho/extract.h"
#include "tools/report/report.h"

#include <errno.h>
#include <math.h>
#include <sys/resource.h>
#include <unistd.h>

const Option demo_options[] = {
    {"out", 'o', "DIR", "output folder of images, features and trained models (default out/demo)"},
    {"train-encoder", 0, "DIR",
     "only train the two encoders of the demo and write them to DIR; takes about ten minutes"},
    {NULL, 0, NULL, NULL},
};

/* All trained models have the same settings. A small catalogue needs few epochs. */
static const char *const SETTINGS[] = {"epochs=60", "batch_size=256", "lr=0.005"};
static const struct {
    const char *model;
    bool learns, features;
} CONTESTANTS[] = {{"Random", false, false}, {"MostPop", false, false}, {"ItemKNN", false, false},
                   {"BPRMF", true, false},   {"VBPR", true, true},      {"LATTICE", true, true}};

typedef struct Demo {
    Context *c;
    const char *out, *visual, *textual, *train, *valid, *test;
    const char *vision, *text; /* the encoders: the project's own pair, or statistics if the pair is missing */
    /* share of the catalogue's texts whose nearest image is their own; -1: not comparable */
    double matched;
    Out *stages;
    double stage_begun;
} Demo;

static const char *inside(const Demo *d, const char *name, Error *e)
{
    return path_join(d->c->arena, d->out, name, e);
}

const char *demo_encoder(const char *which, Arena *a, Error *e)
{
    static const char *const PLACES[] = {"share/encoders/demo", "../share/encoders/demo",
                                         "../share/sapor/encoders/demo"};
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self);
    Text name = {self, n > 0 ? (size_t)n : 0};
    while (name.n && name.p[name.n - 1] != '/')
        name.n--;
    for (size_t i = 0; i < COUNT(PLACES) && name.n; i++) {
        const char *path = arena_printf(a, e, "%.*s%s/%s", (int)name.n, name.p, PLACES[i], which);
        if (!path || folder_exists(path))
            return path;
    }
    return NULL;
}

static bool find_encoders(Demo *d, Error *e)
{
    const char *vision = demo_encoder("vision", d->c->arena, e), *text = demo_encoder("text", d->c->arena, e);
    d->vision = vision && text ? vision : "colour-statistics";
    d->text = vision && text ? text : "word-statistics";
    return !e->code;
}

/* Writes a line of stages.tsv: the time since the last line, and the peak memory so far. */
static bool stage(Demo *d, const char *name, Error *e)
{
    struct rusage use;
    double now = now_seconds(), begun = d->stage_begun;
    getrusage(RUSAGE_SELF, &use);
    d->stage_begun = now;
    return out_printf(d->stages, e, "%s\t%.2f\t%.0f\n", name, now - begun, (double)use.ru_maxrss / 1024);
}

/* Sets d->matched: the share of the rows of `text` whose nearest row of `vision`, by cosine, is their own; -1 if
 * the two have different shapes. */
static bool measure_match(Demo *d, Error *e)
{
    Npy vision, text;
    d->matched = -1;
    if (!npy_open(&vision, d->visual, d->c->arena, e))
        return false;
    if (!npy_open(&text, d->textual, d->c->arena, e)) {
        npy_close(&vision);
        return false;
    }
    int64_t n = vision.array.shape[0], D = vision.array.shape[1], found = 0;
    if (text.array.shape[0] == n && text.array.shape[1] == D) {
        const float *x = vision.array.data, *y = text.array.data;
        for (int64_t i = 0; i < n; i++) {
            int64_t best = -1;
            double most = 0;
            for (int64_t j = 0; j < n; j++) {
                double dot = 0, length = 0;
                for (int64_t k = 0; k < D; k++) {
                    dot += (double)y[i * D + k] * x[j * D + k];
                    length += (double)x[j * D + k] * x[j * D + k];
                }
                dot /= length > 0 ? sqrt(length) : 1;
                if (best < 0 || dot > most) {
                    most = dot;
                    best = j;
                }
            }
            found += best == i;
        }
        d->matched = (double)found / (double)n;
    }
    npy_close(&vision);
    npy_close(&text);
    return true;
}

/* Writes the features of both modalities to visual.npy and textual.npy. */
static bool make_features(const Demo *d, Error *e)
{
    Context *c = d->c;
    const char *table = inside(d, "items.tsv", e), *images = inside(d, "pictures", e);
    Input *rows;
    size_t n;
    FeatureSource x;
    if (!table || !images || !table_read(&rows, &n, table, "item", "description", c->arena, e) ||
        !feature_source_open(&x, c, d->text, MODALITY_TEXT, &(EncoderOptions){0}, &(CallOptions){0}, e))
        return false;
    bool ok = features_write(c, &x, rows, n, 64, "texts", d->textual, NULL, e);
    feature_source_close(&x);
    if (!ok)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!(rows[i].image = arena_printf(c->arena, e, "%s/%s.png", images, rows[i].name)))
            return false;
    if (!feature_source_open(&x, c, d->vision, MODALITY_IMAGE, &(EncoderOptions){0}, &(CallOptions){0}, e))
        return false;
    ok = features_write(c, &x, rows, n, 64, "images", d->visual, NULL, e);
    feature_source_close(&x);
    return ok;
}

enum { COLUMNS = 8 };
static const char *const HEADING[COLUMNS] = {"model", "features",   "Recall@20", "nDCG@20",
                                             "HR@20", "best epoch", "ms/epoch",  "seconds"};

/* Trains one model and fills its row of the table. */
static bool train_model(const Demo *d, size_t i, const char **row, Error *e)
{
    Context *c = d->c;
    const Device *device = context_device(c, e);
    const char *features[2] = {arena_printf(c->arena, e, "visual=%s", d->visual),
                               arena_printf(c->arena, e, "textual=%s", d->textual)};
    TrainPrinter printer = {.model = CONTESTANTS[i].model, .text = c->progress};
    TrainConfig t = {.model = CONTESTANTS[i].model,
                     .data = {.train = d->train, .valid = d->valid, .test = d->test, .protocol = PROTOCOL_ELLIOT},
                     .out = inside(d, CONTESTANTS[i].model, e),
                     .seed = c->seed,
                     .visit = train_print,
                     .arg = &printer};
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
    bool ok = device && !e->code && train_run(device, &t, &r, c->arena, e);
    train_print_end(&printer);
    if (!ok)
        return false;
    row[0] = CONTESTANTS[i].model;
    row[1] = CONTESTANTS[i].features ? "images, texts" : "-";
    static const char *const METRICS[] = {"Recall", "nDCG", "HR"};
    for (size_t m = 0; m < COUNT(METRICS); m++)
        if (!(row[2 + m] = arena_printf(c->arena, e, "%.4f", score_of(&r.test, METRICS[m], 20))))
            return false;
    bool trained = CONTESTANTS[i].learns && r.epoch_seconds > 0; /* false if an earlier demo had trained the model */
    row[5] = CONTESTANTS[i].learns ? arena_printf(c->arena, e, "%lld", (long long)r.best_epoch) : "-";
    row[6] = trained ? arena_printf(c->arena, e, "%.1f", 1e3 * r.epoch_seconds) : "-";
    row[7] = arena_printf(c->arena, e, "%.2f", now_seconds() - begun);
    if (c->json) {
        JsonWriter w = json_record(stdout, "event", "result");
        json_put_string(&w, "model", row[0]);
        for (size_t m = 0; m < COUNT(METRICS); m++)
            json_put_number(&w, HEADING[2 + m], "%s", row[2 + m]);
        json_put_number(&w, "best_epoch", "%s", CONTESTANTS[i].learns ? row[5] : "null");
        json_put_number(&w, "epoch_seconds", "%.6f", r.epoch_seconds);
        json_put_number(&w, "seconds", "%s", row[7]);
        json_finish(&w);
    }
    return !e->code;
}

/* Writes the page about all runs. */
static bool write_page(Demo *d, Error *e)
{
    Context *c = d->c;
    const char *runs[COUNT(CONTESTANTS)], *about;
    for (size_t i = 0; i < COUNT(CONTESTANTS); i++)
        if (!(runs[i] = inside(d, CONTESTANTS[i].model, e)))
            return false;
    about = "All data are synthetic: Sapor drew the images, wrote the texts and simulated the users. The demo "
            "shows that all steps work, not which model is better.";
    if (d->matched >= 0)
        about = arena_printf(c->arena, e,
                             "%s The two small encoders are trained on other drawings: for %.0f %% of %d descriptions, "
                             "the nearest image is the right one (chance: %.1f %%).",
                             about, 100 * d->matched, CATALOGUE_ITEMS, 100.0 / CATALOGUE_ITEMS);
    ReportConfig r = {.title = "Sapor demo: recommendations for a synthetic catalogue",
                      .about = about,
                      .runs = runs,
                      .run_count = COUNT(runs),
                      .out = inside(d, "report.html", e),
                      .items = inside(d, "items.tsv", e),
                      .text_column = "title",
                      .pictures = inside(d, "pictures", e),
                      .stages = inside(d, "stages.tsv", e),
                      .trace = context_device(c, e)->trace};
    return e->code == SP_OK && report_write(c, &r, e);
}

static bool run_demo(Demo *d, Error *e)
{
    Context *c = d->c;
    SplitConfig split = {.strategy = SPLIT_RANDOM, .test_ratio = 0.2, .validation_ratio = 0.1, .seed = 42};
    size_t interactions, counts[3];
    const char *ratings = inside(d, "interactions.tsv", e), *stages = inside(d, "stages.tsv", e);
    double begun = d->stage_begun = now_seconds();
    if (!ratings || !stages || !(d->stages = out_open(stages, c->heap, e)) ||
        !out_printf(d->stages, e, "stage\tseconds\tMB\n") || !find_encoders(d, e) ||
        !catalogue_draw(d->out, &interactions, c->progress, c->heap, e) ||
        !stage(d, "draw images, texts and interactions", e) || !make_features(d, e) || !measure_match(d, e) ||
        !stage(d, "encode images and texts", e) || !split_file(ratings, d->out, &split, counts, e))
        return false;
    const char **cells = NEW(c->arena, const char *, COLUMNS *(COUNT(CONTESTANTS) + 1), e);
    if (!cells)
        return false;
    memcpy(cells, HEADING, sizeof HEADING);
    for (size_t i = 0; i < COUNT(CONTESTANTS); i++)
        if (!train_model(d, i, cells + (i + 1) * COLUMNS, e) || !stage(d, CONTESTANTS[i].model, e))
            return false;
    Out *stages_out = d->stages;
    d->stages = NULL;
    if (!out_commit(stages_out, e) || !write_page(d, e))
        return false;
    if (c->json) {
        if (d->matched >= 0) {
            JsonWriter w = json_record(stdout, "event", "match");
            json_members(&w, "items %lld texts_that_find_their_picture %.6f", (long long)CATALOGUE_ITEMS, d->matched);
            json_finish(&w);
        }
        return true;
    }
    printf("\nSynthetic catalogue: %d items, %d users, %zu interactions (%zu for training, %zu for testing)\n",
           CATALOGUE_ITEMS, CATALOGUE_USERS, interactions, counts[0], counts[2]);
    if (d->matched >= 0)
        printf("Encoders of %s: for %.1f %% of %d descriptions, the nearest image is the right one (chance: %.1f %%)\n",
               path_base(d->text).p == d->text ? d->text : "the project", 100 * d->matched, CATALOGUE_ITEMS,
               100.0 / CATALOGUE_ITEMS);
    printf("\n");
    if (!table_print(stdout, cells, COUNT(CONTESTANTS) + 1, COLUMNS, "llrrrrrr", c->arena, e))
        return false;
    if (!c->quiet)
        printf("\n%.1f s in total. Open %s/report.html. Next:\n  %s recommend %s/LATTICE --users u007 -k 5\n"
               "  %s encode %s %s/pictures -o %s/images.npy\n",
               now_seconds() - begun, d->out, program_invocation_name, d->out, program_invocation_name, d->vision,
               d->out, d->out);
    return true;
}

bool demo_command(Context *c, Error *e)
{
    Demo d = {.c = c, .out = option_text(c, "out") ? option_text(c, "out") : "out/demo"};
    if (option_text(c, "train-encoder"))
        return demo_encoder_train(c, option_text(c, "train-encoder"), e);
    context_keep_totals(c);
    if (!(d.visual = inside(&d, "visual.npy", e)) || !(d.textual = inside(&d, "textual.npy", e)) ||
        !(d.train = inside(&d, "train.tsv", e)) || !(d.valid = inside(&d, "val.tsv", e)) ||
        !(d.test = inside(&d, "test.tsv", e)) || !catalogue_may_fill(d.out, c->arena, e) || !folder_make(d.out, e))
        return false;
    bool ok = run_demo(&d, e);
    out_discard(d.stages);
    return ok;
}
