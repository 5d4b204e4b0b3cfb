/* tools/bench/bench_steps.c: measures single steps of a recommender, as `sapor train` computes them, without the rest
 * of an epoch. An epoch of twenty million pairs has thousands of steps. */
// flags: -Os
#include "tools/bench/bench.h"

typedef struct Steps {
    int64_t most;        /* the number of steps to measure after the first */
    double begun, built; /* times: before the model is created, and before its epoch begins */
    /* last: the time at the end of the last step. second [1 + most]: the seconds of each step; number 0 is the first
     * step */
    double last, *second;
    int64_t count, batches;
} Steps;

/* Records a step. After enough steps, ends the run with an error, which bench_steps clears. */
static bool note_step(void *arg, const TrainEvent *event, Error *e)
{
    Steps *s = arg;
    double now = now_seconds();
    if (event->kind == TRAIN_BEGIN) {
        s->built = s->last = now;
        s->batches = event->batches;
        if (!event->batches)
            return fail(e, SP_USAGE, "bench train --steps: %s does not train in steps", event->recommender->name);
        if (event->batches <= s->most)
            return fail(e, SP_USAGE,
                        "bench train --steps %lld: %s has %lld steps in an epoch of these data; the first one is not "
                        "measured with the others",
                        (long long)s->most, event->recommender->name, (long long)event->batches);
    }
    if (event->kind != TRAIN_BATCH)
        return true;
    s->second[s->count++] = now - s->last;
    s->last = now;
    return s->count <= s->most || fail(e, SP_USAGE, "enough steps");
}

enum { FIGURES = 8 };
static const char *const HEADING[FIGURES] = {"load s",    "build s", "first ms", "min ms",
                                             "median ms", "mean ms", "load MB",  "peak MB"},
                         *const KEYS[FIGURES] = {"load_seconds", "build_seconds", "ms_first", "ms_min",
                                                 "ms_median",    "ms_mean",       "load_mb",  "peak_mb"};

static bool print_steps(Bench *b, const Recommender *kind, const char *shape, const DataSet *d, const Steps *s,
                        const double figure[FIGURES], Error *e)
{
    enum { COLUMNS = 5 + FIGURES };
    const char **cells;
    char *align;
    if (b->c->json) {
        JsonWriter w = json_record(stdout, "bench", "steps");
        json_members(&w, "shape %s dtype %s threads %lld level %s model %s", shape, "f32",
                     (long long)pool_threads(b->d->pool), b->d->k->level, kind->name);
        json_members(&w, "users %lld items %lld interactions %lld steps_per_epoch %lld steps %lld", (long long)d->U,
                     (long long)d->I, (long long)d->train.count, (long long)s->batches, (long long)s->most);
        for (size_t i = 0; i < FIGURES; i++)
            json_put_number(&w, KEYS[i], "%.6g", figure[i]);
        json_finish(&w);
        return true;
    }
    if (!table_cells(&cells, &align, 2, COLUMNS, b->arena, e))
        return false;
    const int64_t count[4] = {d->U, d->I, d->train.count, s->batches};
    static const char *const COUNTS[4] = {"users", "items", "train pairs", "steps per epoch"};
    cells[0] = "model";
    cells[COLUMNS] = kind->name;
    for (size_t i = 0; i < COUNT(count); i++) {
        cells[1 + i] = COUNTS[i];
        cells[COLUMNS + 1 + i] = arena_printf(b->arena, e, "%lld", (long long)count[i]);
    }
    for (size_t i = 0; i < FIGURES; i++) {
        cells[5 + i] = HEADING[i];
        cells[COLUMNS + 5 + i] = arena_printf(b->arena, e, figure[i] < 100 ? "%.2f" : "%.0f", figure[i]);
    }
    return e->code == SP_OK && table_print(stdout, cells, 2, COLUMNS, align, b->arena, e);
}

bool bench_steps(Bench *b, const TrainConfig *config, const Recommender *kind, double load_seconds, Error *e)
{
    enum { MOST = 1000000 };
    Steps s = {.most = 20};
    TrainConfig c = *config;
    TrainResult r;
    double load_mb = (double)peak_rss_bytes() / 1e6, sum = 0;
    c.visit = note_step;
    c.arg = &s;
    if (!option_i64(b->c, "steps", 1, MOST, &s.most, e) || !(s.second = NEW(b->arena, double, (size_t)s.most + 1, e)))
        return false;
    s.begun = now_seconds();
    train_run(b->d, &c, &r, b->arena, e); /* note_step ends the run */
    if (s.count <= s.most)
        return false;
    error_clear(e);
    double first = s.second[0], *second = s.second + 1;
    Times spread = times_of(second, (size_t)s.most);
    for (int64_t i = 0; i < s.most; i++)
        sum += second[i];
    const double figure[FIGURES] = {
        load_seconds,        s.built - s.begun,          1e3 * first, 1e3 * spread.least,
        1e3 * spread.median, 1e3 * sum / (double)s.most, load_mb,     (double)peak_rss_bytes() / 1e6};
    char shape[96];
    snprintf(shape, sizeof shape, "%s-%lldx%lld-%lld", kind->name, (long long)c.given->U, (long long)c.given->I,
             (long long)c.given->train.count);
    b->figures++;
    return print_steps(b, kind, shape, c.given, &s, figure, e) &&
           against_note(b, &(Figure){.bench = "steps", .shape = shape, .dtype = "f32"}, pool_threads(b->d->pool),
                        1 / spread.least, spread.quartiles, e);
}
