/* recsys/train/train.c: a training run: epochs, evaluations, the best epoch, and the end (recipes.md 5).
 *
 * A checkpoint contains everything that the rest of the run depends on, and every random number is a function of (seed,
 * epoch, event). A run that was killed at any moment and started again therefore ends with the same bytes as a run
 * without interruption. */
// flags: -Os
#include "recsys/train/train.h"

#include <stdlib.h>

/* ---- events ---------------------------------------------------------------------------------- */

/* Reports an event. If the receiver returns false, the run ends; its last checkpoint stays. */
static bool tell(const Trainer *t, TrainEvent event, Error *e)
{
    if (!t->config->visit)
        return true;
    event.recommender = t->model.kind;
    event.data = &t->data;
    event.settings = t->settings;
    event.batches = t->loop ? loop_batches(t->loop) : 0;
    event.epoch = t->state.epoch;
    event.finished = t->state.finished;
    event.metric = t->measures.metric;
    event.cutoff = t->measures.cutoff;
    event.best = MAX(t->state.stopping.best, 0.0);
    return t->config->visit(t->config->arg, &event, e);
}

static bool tell_batch(void *arg, int64_t batch, Error *e)
{
    return tell(arg, (TrainEvent){.kind = TRAIN_BATCH, .batch = batch}, e);
}

/* Reports the data, and the notes of the model so far. */
static bool tell_data(Trainer *t, Error *e)
{
    if (t->reported)
        return true;
    t->reported = true;
    bool ok = t->config->given || tell(t, (TrainEvent){.kind = TRAIN_DATA}, e);
    for (size_t i = 0; ok && i < t->note_count; i++)
        ok = tell(t, (TrainEvent){.kind = TRAIN_NOTE, .note = t->notes[i]}, e);
    return ok;
}

/* Reports an event of the model. A run that cannot start shall print only its error, so notes are kept until the data
 * are reported. Usually this happens just before training begins. If LONG seconds have passed since the run began, the
 * data and the notes are reported earlier: before the model's next event that is not a note. */
static bool tell_model(void *arg, const TrainEvent *event, Error *e)
{
    enum { LONG = 1 }; /* seconds */
    Trainer *t = arg;
    if (!t->reported && event->kind == TRAIN_NOTE) {
        const char **grown = arena_grow(t->arena, t->notes, t->note_count, &t->note_room, sizeof *grown, e);
        if (!grown)
            return false;
        t->notes = grown;
        t->notes[t->note_count++] = event->note; /* the text is in the model's arena */
        return true;
    }
    return (now_seconds() - t->checkpointed < LONG || tell_data(t, e)) && tell(t, *event, e);
}

/* ---- the parts of a run ---------------------------------------------------------------------- */

static const Recommender *find_kind(const TrainConfig *c, Arena *a, Error *e)
{
    const Recommender *kind = c->kind ? c->kind : recommender_find(c->model);
    const char *known = "";
    for (size_t i = 0; !kind && i < recommender_count() && known; i++)
        known = arena_printf(a, e, "%s%s%s", known, i ? ", " : "", recommender_at(i)->name);
    if (!kind && known)
        fail(e, SP_USAGE, "unknown recommender %s; choose one of %s", c->model, known);
    return kind;
}

static bool check_features(const Recommender *kind, const TrainConfig *c, Error *e)
{
    if (!kind->needs_features || (c->given ? c->given->feature_count : c->data.feature_count) > 0)
        return true;
    return fail(e, SP_USAGE, "%s needs features: %s", kind->name,
                c->given ? "give them with the data" : "add --features visual=PATH,textual=PATH");
}

/* Checks the metrics of a part before any epoch is trained. */
static bool check_part(const Trainer *t, const Pairs *truth, const char *path, const char *name, Error *e)
{
    Protocol p = t->data.protocol;
    name = path ? path : name;
    if (!truth->start)
        return true;
    if (!relevant_users_of(&t->measures.eval, truth, p, t->data.U))
        return fail(e, SP_FORMAT,
                    "%s: has no relevant item for any user (elliot: relevant items have a rating of at least %g)", name,
                    t->measures.eval.relevance_threshold);
    return ratings_check(&t->measures.eval, p, truth, name, e);
}

/* Checks what does not depend on the data. */
static bool read_settings(Trainer *t, Error *e)
{
    const TrainConfig *c = t->config;
    Protocol protocol = c->given ? c->given->protocol : c->data.protocol;
    return (t->model.kind = find_kind(c, t->arena, e)) &&
           (t->settings = settings_make(t->model.kind, protocol, c->set, c->set_count, t->arena, e)) &&
           measures_read(&t->measures, t->settings, protocol, t->arena, e) && check_features(t->model.kind, c, e);
}

bool train_check(const TrainConfig *c, Arena *a, Error *e)
{
    Trainer *t = NEW(a, Trainer, 1, e);
    if (!t)
        return false;
    t->config = c;
    t->arena = a;
    return read_settings(t, e);
}

/* Loads data and settings, and makes the model. The model is not yet trained. */
static bool load(Trainer *t, Error *e)
{
    const TrainConfig *c = t->config;
    t->model = (Model){.data = &t->data, .arena = t->arena, .seed = c->seed};
    if (!read_settings(t, e))
        return false;
    const Recommender *kind = t->model.kind;
    double begun = trace_begin(t->device->trace);
    if (c->given)
        t->data = *c->given;
    else if (!dataset_load(&t->data, &c->data, t->arena, e))
        return false;
    if (c->given && c->data.knock.count && !features_knock(&t->data, &c->data.knock, t->arena, e))
        return false;
    trace_end(t->device->trace, begun, "load data", 0, 8.0 * (double)t->data.train.count);
    if (!check_part(t, &t->data.valid, c->data.valid, "the validation part", e) ||
        !check_part(t, &t->data.test, c->data.test, "the test part", e))
        return false;
    t->model.settings = t->settings;
    t->model.tell = c->visit ? tell_model : NULL;
    t->model.tell_arg = t;
    t->state.stopping = (Stopping){.rules = t->data.protocol,
                                   .validates = t->data.valid.start != NULL,
                                   .patience = t->settings->patience,
                                   .best = -1};
    return (t->model.store = store_new(t->device, e)) && kind->init(&t->model, e) &&
           (t->loop = loop_new(&t->model, t->settings, t->arena, e));
}

/* Evaluates the model. If the epoch is the best so far, stores its results. */
static bool evaluate(Trainer *t, Evaluation *v, double loss, Error *e)
{
    RunState *s = &t->state;
    if (!evaluation_make(v, &t->model, s->epoch, &t->measures.eval, RUNS_HAVE_BY_USER && t->config->out, t->scratch, e))
        return false;
    double figure = t->data.valid.start ? score_of(&v->valid, t->measures.metric, t->measures.cutoff) : 0;
    return !stopping_note(&s->stopping, s->epoch, figure, loss) ||
           (scores_copy(&s->valid, &v->valid, t->arena, e) && scores_copy(&s->test, &v->test, t->arena, e) &&
            (!t->config->out || run_write_best(t, v, e)) &&
            (!t->config->keep || trained_keep(t->config->keep, &t->model, v->users, v->items, e)));
}

/* ---- the run --------------------------------------------------------------------------------- */

typedef struct Times {
    double *seconds;
    size_t count, capacity;
} Times;

static bool times_add(Times *t, double seconds, Arena *a, Error *e)
{
    double *grown = arena_grow(a, t->seconds, t->count, &t->capacity, sizeof *grown, e);
    if (!grown)
        return false;
    t->seconds = grown;
    t->seconds[t->count++] = seconds;
    return true;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(Times *t)
{
    if (t->count == 0)
        return 0;
    qsort(t->seconds, t->count, sizeof *t->seconds, by_value);
    return t->seconds[t->count / 2];
}

static double traced_seconds(const Trainer *t)
{
    const TraceTotal *total;
    double seconds = 0;
    for (size_t i = 0, n = trace_totals(t->device->trace, &total); i < n; i++)
        seconds += total[i].seconds;
    return seconds;
}

/* Trains the next epoch, evaluates it if an evaluation is due, and decides whether it is the last one. */
static bool advance(Trainer *t, Times *epochs, Times *evals, Error *e)
{
    RunState *s = &t->state;
    int64_t last = loop_batches(t->loop) ? t->settings->epochs : 1;
    double loss = 0, begun = now_seconds(), traced = traced_seconds(t);
    if (loop_batches(t->loop) && s->epoch < last && !loop_epoch(t->loop, s->epoch, tell_batch, t, &loss, e))
        return false;
    s->epoch = MIN(s->epoch + 1, last);
    double trained = now_seconds();
    t->op_seconds += traced_seconds(t) - traced;
    /* The last epoch is always evaluated here. Elliot and MMRec evaluate an epoch only if its number is a multiple of
     * validation_rate. They train the epochs after the last multiple but never evaluate them, so these epochs do not
     * change the results of Elliot and MMRec. */
    bool due = s->epoch == last || s->epoch % t->settings->validation_rate == 0;
    Evaluation v = {0};
    bool ok = times_add(epochs, trained - begun, t->arena, e) &&
              (!due || (evaluate(t, &v, loss, e) && history_note(&s->history, s->epoch, loss, &v, t->arena, e)));
    evaluation_free(&v);
    if (!ok || (due && !times_add(evals, now_seconds() - trained, t->arena, e)))
        return false;
    s->finished = s->epoch >= last || stopping_due(&s->stopping);
    ok = tell(
        t, (TrainEvent){TRAIN_EPOCH, .loss = loss, .seconds = trained - begun, .valid = &v.valid, .test = &v.test}, e);
    arena_rewind(t->scratch, (ArenaMark){0});
    bool checkpoint_due = s->finished || now_seconds() - t->checkpointed >= (double)t->settings->checkpoint_seconds;
    return ok && (!t->config->out || !checkpoint_due || run_checkpoint(t, e));
}

static bool train_all(Trainer *t, TrainResult *r, Error *e)
{
    Times epochs = {0}, evals = {0};
    bool ok = tell(t, (TrainEvent){.kind = TRAIN_BEGIN}, e);
    while (ok && !t->state.finished)
        ok = advance(t, &epochs, &evals, e);
    if (!ok || (t->config->out && !run_write_result(t, e)))
        return false;
    bool learns = loop_batches(t->loop) > 0;
    *r = (TrainResult){learns ? t->state.stopping.best_epoch : 0,
                       learns ? t->state.epoch : 0,
                       t->state.valid,
                       t->state.test,
                       median(&epochs),
                       median(&evals),
                       t->op_seconds};
    return tell(t, (TrainEvent){.kind = TRAIN_END, .valid = &r->valid, .test = &r->test, .result = r}, e);
}

bool train_run(const Device *d, const TrainConfig *c, TrainResult *r, Arena *a, Error *e)
{
    Trainer *t = NEW(a, Trainer, 1, e);
    if (!t)
        return false;
    *t = (Trainer){.device = d, .config = c, .arena = a, .checkpointed = now_seconds()};
    if (!(t->scratch = arena_new(d->heap, 0)))
        return fail_memory(e, sizeof(Trainer), "training");
    FolderLock lock = {-1};
    bool ok = (!c->out || run_check_outputs(t, e)) &&
              load(t, e); /* before a folder is made: a run that cannot start leaves nothing behind */
    if (c->out)
        ok = ok && folder_make(c->out, e) && folder_lock(&lock, c->out, e) && run_open(t, e);
    ok = ok && tell_data(t, e) && train_all(t, r, e);
    folder_unlock(&lock);
    store_free(t->model.store);
    if (!c->given)
        dataset_close(&t->data);
    arena_free(t->scratch);
    return ok && (!c->keep || trained_kept(c->keep, e));
}
