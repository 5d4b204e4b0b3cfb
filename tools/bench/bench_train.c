/* tools/bench/bench_train.c: measures complete epochs of a recommender, and the share of the time outside of kernels.
 * If the recommender needs features and none are given, they are random. */
// flags: -Os
#include "tools/bench/bench.h"

/* Adds random features with the widths of ResNet-50 (images) and MiniLM (texts). */
static bool add_features(Bench *b, DataSet *d, Error *e)
{
    static const Feature KINDS[] = {{.name = "visual", .D = 2048}, {.name = "textual", .D = 384}};
    d->features = NEW(b->arena, Feature, COUNT(KINDS), e);
    d->feature_count = d->features ? COUNT(KINDS) : 0;
    for (size_t i = 0; i < d->feature_count; i++) {
        d->features[i] = KINDS[i];
        if (!(d->features[i].data = bench_draws(b, (size_t)(d->I * KINDS[i].D), e)))
            return false;
    }
    return d->features != NULL;
}

static bool measure_epochs(Bench *b, const Recommender *kind, const TrainConfig *config, Error *e)
{
    enum { MOST = 50 };
    size_t rounds = bench_rounds(b, 0), skipped = bench_warm_up(b, 0);
    double *times = NEW(b->arena, double, MAX((size_t)MOST, rounds), e), spent = 0, in_ops = 0;
    const DataSet *d = config->given;
    Device counting = *b->d; /* the same device, with a trace that counts the operations */
    size_t n = 0, runs = 0;
    char shape[64];
    snprintf(shape, sizeof shape, "%s-%lldx%lld-%lld", kind->name, (long long)d->U, (long long)d->I,
             (long long)d->train.count);
    if (!times || (!counting.trace && !(counting.trace = trace_new(b->c->heap, false, e))))
        return false;
    Figure f = {"train", shape, .items = (double)d->train.count};
    bool ok = true;
    bench_progress_start(b, &f);
    /* each run trains the first epoch again */
    while (ok && (rounds ? n < rounds : n < MOST && (n < 1 || (n < 3 && spent < 10) || spent < b->seconds))) {
        TrainResult r;
        ArenaMark mark = arena_mark(b->arena);
        ok = train_run(&counting, config, &r, b->arena, e);
        arena_rewind(b->arena, mark);
        bench_progress_step(b, n);
        if (ok && ++runs > skipped) {
            times[n++] = r.epoch_seconds;
            spent += r.epoch_seconds;
            in_ops += r.op_seconds;
        }
    }
    bench_progress_end(b);
    const TraceTotal *total;
    for (size_t i = 0, count = trace_totals(counting.trace, &total); i < count; i++)
        f.flops += total[i].flops / (double)runs;
    f.outside = ok && spent > 0 ? MAX(1 - in_ops / spent, 1e-6) : 0;
    ok = ok && bench_print(b, &f, times, n, e);
    if (counting.trace != b->d->trace)
        trace_free(counting.trace);
    return ok;
}

/* Reads --pairs, --features and --set. */
static bool read_options(Bench *b, DataConfig *data, TrainConfig *c, Error *e)
{
    const char *const *given;
    const char **set;
    size_t count;
    data->train = option_text(b->c, "pairs");
    if (!option_list(b->c, "features", ',', &data->features, &data->feature_count, e) ||
        !option_list(b->c, "set", 0, &given, &count, e) || !(set = NEW(b->arena, const char *, count + 1, e)))
        return false;
    for (size_t i = 0; i < data->feature_count; i++)
        if (!data->train || !strchr(data->features[i], '='))
            return fail(e, SP_USAGE, "--features %s: %s", data->features[i],
                        data->train ? "is not NAME=PATH, such as visual=features.npy" : "--pairs FILE is missing");
    for (size_t i = 0; i < count; i++)
        set[i] = given[i];
    set[count++] = "epochs=1";
    c->set = set;
    c->set_count = count;
    return true;
}

bool bench_train(Bench *b, const char *model, Error *e)
{
    const Recommender *kind = recommender_find(model);
    DataConfig data = {0};
    DataSet d = {0};
    if (!kind)
        return unknown_recommender(b->c, "bench train", model, e);
    TrainConfig config = {.model = kind->name, .given = &d, .seed = b->c->seed};
    if (!read_options(b, &data, &config, e))
        return false;
    train_memory();
    double begun = now_seconds();
    bool ok = (data.train ? dataset_load(&d, &data, b->arena, e) : bench_pairs(b, &d, e));
    double load_seconds = now_seconds() - begun;
    ok = ok && (!kind->needs_features || d.feature_count || add_features(b, &d, e)) &&
         (option_given(b->c, "steps") ? bench_steps(b, &config, kind, load_seconds, e)
                                      : measure_epochs(b, kind, &config, e));
    if (data.train)
        dataset_close(&d);
    return ok;
}
