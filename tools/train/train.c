/* tools/train/train.c: sapor train MODEL --train F ... */
// flags: -Os
#include "recsys/search/grid.h"
#include "tools/tools.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#ifdef SAPOR_MINIMAL
#define IF_MANY(text, otherwise) otherwise
#else
#define IF_MANY(text, otherwise) text
#endif
const Option train_options[] = {
    {"train", 0, "F", "training interactions (an MMRec .inter is split by its column x_label)"},
    {"valid", 0, "F", "validation interactions, used to choose the best epoch"},
    {"test", 0, "F", "test interactions for the final metrics"},
    FORMAT_OPTIONS(""),
    {"features", 0, "NAME=A,...",
     "features, as visual=A,textual=B; A is a folder of <item id>.npy, an .npy with .ids.txt, or an .npy whose rows "
     "are numbered by item ids"},
    {"missing-features", 0, "W",
     "error, drop, zero or mean: if an item has no features: fail (default); remove it and its interactions, as Elliot "
     "does; use zeros; or use the mean of the other items"},
    {"knock", 0, "NAME,...", "replace the features of these modalities (`both`: every one), to measure their effect"},
    {"mode", 0, "M",
     "with --knock: noise (mean 1, deviation 0.1; default), zero, one, mean or shuffle (items exchange features)"},
    {"protocol", 0, "P", "elliot or mmrec: rules for data, batches and metrics (default elliot)"},
    {"set", 0, "KEY=VALUE",
     "a hyperparameter (`sapor models MODEL` lists them); may be repeated; the last --set of a key counts" IF_MANY(
         ". Several values in one --set, as lr=0.001,0.01, are a grid: every combination is trained, and the best by "
         "validation_metric is reported",
         "")},
    {"seeds", 0, "N,...",
     IF_MANY("train once with each of these seeds; prints means and standard deviations", "not in this build")},
    {"out", 'o', "DIR",
     "run folder: checkpoints, user and item vectors, configuration; the same command resumes a stopped run" IF_MANY(
         ". With several seeds or a grid: a folder of run folders", "")},
    {"save-recs", 0, "K",
     "write the K best items of each user to recs.tsv in the run folder" IF_MANY("; of a grid, those of the best point",
                                                                                 "")},
    {NULL, 0, NULL, NULL},
};

/* Checks that every text of a list has the form "key=value". */
static bool check_pairs(const char *option, const char *const *list, size_t n, Error *e)
{
    for (size_t i = 0; i < n; i++) {
        const char *equals = strchr(list[i], '=');
        if (!equals || equals == list[i] || !equals[1])
            return fail(e, SP_USAGE, "--%s: \"%s\" is not %s", option, list[i],
                        strcmp(option, "features") == 0 ? "NAME=PATH, such as visual=features.npy"
                                                        : "KEY=VALUE, such as epochs=50");
    }
    return true;
}

/* Reads --missing-features, --knock and --mode. */
static bool read_replaced(const Context *c, DataConfig *d, Error *e)
{
    int gaps = GAPS_ERROR, mode = KNOCK_NOISE;
    if (!option_choice(c, "missing-features", gap_names, GAPS_COUNT, &gaps, e) ||
        !option_choice(c, "mode", knock_modes, KNOCK_MODES, &mode, e) ||
        !option_list(c, "knock", ',', &d->knock.names, &d->knock.count, e))
        return false;
    d->gaps = (Gaps)gaps;
    d->knock.mode = (KnockMode)mode;
    d->knock.seed = c->seed;
    if (option_given(c, "mode") && !d->knock.count)
        return fail(e, SP_USAGE, "--mode %s: --knock NAME is missing: which features are replaced?", knock_modes[mode]);
    if (gaps != GAPS_ERROR && !d->feature_count)
        return fail(e, SP_USAGE, "--missing-features %s: --features is missing", gap_names[gaps]);
    if (!d->knock.count)
        return true;
    if (!d->feature_count)
        return fail(e, SP_USAGE, "--knock %s: --features is missing: there is nothing to replace", d->knock.names[0]);
    for (size_t i = 0; i < d->knock.count; i++) {
        const char *name = d->knock.names[i];
        bool found = !strcmp(name, "both");
        for (size_t f = 0; f < d->feature_count; f++)
            found = found || (text_starts(text_of(d->features[f]), name) && d->features[f][strlen(name)] == '=');
        if (!found)
            return fail(e, SP_USAGE, "--knock: --features has no modality \"%s\"; both stands for all", name);
    }
    return true;
}

void train_memory(void)
{
/* glibc's malloc keeps up to 32 MB of memory that a step or an evaluation freed: a quarter of GRCN's peak */
#ifdef __GLIBC__
    enum { MAPPED = 512 << 10 };
    mallopt(M_MMAP_THRESHOLD, MAPPED);
#endif
}

/* Reports in *many whether the command has several runs. */
#ifdef SAPOR_MINIMAL /* MINIMAL has no grid.c, and refuses settings with several values */
static bool read_many(const Context *c, const TrainConfig *t, bool *many, Error *e)
{
    const char *refused = option_given(c, "seeds") ? "--seeds" : NULL;
    for (size_t i = 0; i < t->set_count; i++) {
        Text value = text_of(t->set[i]), key;
        text_next(&value, '=', &key);
        if (strchr(value.p, ',') && !strpbrk(value.p, "[(") &&
            setting_commas(recommender_find(t->model), key) == COMMAS_CHOICES)
            refused = t->set[i];
    }
    *many = false;
    return !refused || fail(e, SP_UNSUPPORTED, "%s: this build trains one run; build without MINIMAL=1", refused);
}
#else
static bool read_many(const Context *c, const TrainConfig *t, bool *many, Error *e)
{
    Grid g;
    if (!grid_read(&g, recommender_find(t->model), t->set, t->set_count, c->arena, e))
        return false;
    *many = option_given(c, "seeds") || g.dim_count;
    return !option_given(c, "seeds") || !option_given(c, "seed") ||
           fail(e, SP_USAGE, "--seed and --seeds: give one of them");
}
#endif

/* Reads --save-recs. *k stays 0 if the option is not given. */
static bool read_save_recs(Context *c, const TrainConfig *t, int64_t *k, Error *e)
{
    if (!option_i64(c, "save-recs", 1, INT32_MAX, k, e))
        return false;
    if (*k && !t->out)
        return fail(e, SP_USAGE, "--save-recs %lld: --out DIR is missing: recs.tsv is written there", (long long)*k);
    const char *path = *k ? path_join(c->arena, t->out, "recs.tsv", e) : NULL;
    return !*k || (path && output_check(c, "out", path, e));
}

static bool print_result(Context *c, const TrainConfig *t, const TrainResult *r, Error *e)
{
    const char *labels[2];
    const Scores *scores[2];
    size_t n = 0;
    if (r->valid.metrics) {
        labels[n] = "valid";
        scores[n++] = &r->valid;
    }
    if (r->test.metrics) {
        labels[n] = "test";
        scores[n++] = &r->test;
    }
    if (n && !show_scores(stdout, c, labels, scores, n, e))
        return false;
    if (c->quiet)
        return true;
    const char *name = recommender_find(t->model)->name;
    if (r->epochs)
        printf("%s: %s epoch %lld of %lld%s, ", name, r->valid.metrics ? "best" : "last", (long long)r->best_epoch,
               (long long)r->epochs, r->valid.metrics ? "" : " (no validation part)");
    else
        printf("%s: has no epochs, ", name);
    if (r->epochs && r->epoch_seconds > 0) /* 0 if the run had finished before */
        printf("%.3f s per epoch, ", r->epoch_seconds);
    if (n && r->eval_seconds > 0)
        printf("%.3f s per evaluation, ", r->eval_seconds);
    printf("%speak memory %.0f MB\n", n ? "" : "not evaluated (no --valid and no --test), ",
           (double)peak_rss_bytes() / 1e6);
    if (t->out)
        printf("The result is in %s; `sapor recommend %s` uses it\n", t->out, t->out);
    else
        printf("The result is not saved; --out DIR saves it\n");
    return true;
}

bool train_command(Context *c, Error *e)
{
    TrainPrinter printer = {
        .model = c->args[0], .text = c->progress, .summary = c->progress, .json = c->json ? stdout : NULL};
    TrainConfig t = {
        .model = c->args[0],
        .data = {.train = option_text(c, "train"), .valid = option_text(c, "valid"), .test = option_text(c, "test")},
        .out = option_text(c, "out"),
        .seed = c->seed,
        .visit = train_print,
        .arg = &printer};
    if (!t.data.train)
        return fail(e, SP_USAGE, "train: --train F (training interactions) is missing");
    if (!read_format(c, &t.data.format, &t.data.layout, e) || !read_protocol(c, &t.data.protocol, e) ||
        !option_list(c, "features", ',', &t.data.features, &t.data.feature_count, e) ||
        !option_list(c, "set", 0, &t.set, &t.set_count, e) ||
        !check_pairs("features", t.data.features, t.data.feature_count, e) ||
        !check_pairs("set", t.set, t.set_count, e) || !read_replaced(c, &t.data, e))
        return false;
    if (!recommender_find(t.model))
        return unknown_recommender(c, "train", t.model, e);
    bool many = false;
    int64_t k = 0;
    if (!read_many(c, &t, &many, e) || !read_save_recs(c, &t, &k, e))
        return false;
    train_memory();
#ifndef SAPOR_MINIMAL
    if (many)
        return train_many(c, &t, k, e);
#endif
    const Device *d = context_device(c, e);
    TrainResult r = {0};
    bool ok = d && train_run(d, &t, &r, c->arena, e);
    train_print_end(&printer);
    if (!ok || (k && !save_recommendations(c, t.out, k, e)))
        return false;
    return c->json || print_result(c, &t, &r, e);
}
