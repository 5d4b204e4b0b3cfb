/* recsys/train/train.c: epochs, evaluations, the best one, and the end. recipes.md 5.
 *
 * A checkpoint holds everything that the rest of the run depends on, and every random number is a function of (seed,
 * epoch, event): a run that was killed anywhere and started again ends with the bytes of one that was not. */
#include "recsys/train/train.h"

#include <math.h>
#include <stdlib.h>

/* ---- settings that are lists ----------------------------------------------------------------- */

static bool read_metrics(Trainer *t, Error *e)
{
    const TextList *given = &t->settings->metrics;
    const I64List *cutoffs = &t->settings->cutoffs;
    const char **names = NEW(t->arena, const char *, given->count, e);
    if (!names)
        return false;
    for (size_t i = 0; i < given->count; i++) {
        int found = metric_find(given->at[i]);
        if (found < 0)
            return fail(e, SP_USAGE, "setting metrics=%s: unknown metric '%s'; choose one of %s",
                        TEXT_AS_GIVEN(t, metrics), given->at[i], metric_names());
        names[i] = metric_at((size_t)found)->name;
    }
    t->eval = (EvalConfig){names, given->count, cutoffs->at, cutoffs->count};
    if (measures_check(&t->eval, t->arena, e))
        return true;
    error_prefix(e, "setting ");
    return false;
}

/* "Recall@20" must be one of the figures that are measured. */
static bool read_validation_metric(Trainer *t, Error *e)
{
    const char *text = t->settings->validation_metric;
    Text rest = text_of(text), name;
    text_next(&rest, '@', &name);
    bool known = false;
    if (!text_i64(rest, &t->metric_cutoff))
        return fail(e, SP_USAGE, "setting validation_metric=%s: METRIC@CUTOFF is expected, such as Recall@20", text);
    const char *copy = arena_strndup(t->arena, name.p, name.n, e);
    int found = copy ? metric_find(copy) : -1;
    for (size_t i = 0; found >= 0 && i < t->eval.metric_count; i++)
        if (!strcmp(t->eval.metrics[i], metric_at((size_t)found)->name)) {
            t->metric = t->eval.metrics[i];
            for (size_t j = 0; j < t->eval.cutoff_count; j++)
                known = known || t->eval.cutoffs[j] == t->metric_cutoff;
        }
    if (!copy)
        return false;
    return known || fail(e, SP_USAGE, "setting validation_metric=%s: is not among metrics=%s at cutoffs=%s", text,
                         TEXT_AS_GIVEN(t, metrics), TEXT_AS_GIVEN(t, cutoffs));
}

bool trainer_settings(Trainer *t, Error *e)
{
    const TrainConfig *c = t->config;
    t->settings = settings_make(t->model.kind, c->data.protocol, c->set, c->set_count, t->arena, e);
    return t->settings && read_metrics(t, e) && read_validation_metric(t, e);
}

bool trainer_load(Trainer *t, Error *e)
{
    const TrainConfig *c = t->config;
    const Recommender *kind = recommender_find(c->model);
    if (!kind) {
        const char *known = "";
        for (size_t i = 0; i < recommender_count() && known; i++)
            known = arena_printf(t->arena, e, "%s%s%s", known, i ? ", " : "", recommender_at(i)->name);
        if (known)
            fail(e, SP_USAGE, "unknown recommender %s; choose one of %s", c->model, known);
        return false;
    }
    t->model.kind = kind;
    if (kind->needs_features && c->data.feature_count == 0 && !c->given)
        return fail(e, SP_USAGE, "%s needs features: add --features visual=PATH,textual=PATH", kind->name);
    if (!trainer_settings(t, e))
        return false;
    double begun = trace_begin(t->device->trace);
    if (c->given)
        t->data = *c->given;
    else if (!dataset_load(&t->data, &c->data, t->arena, e))
        return false;
    trace_end(t->device->trace, begun, "load data", 0, 8.0 * (double)t->data.train.count);
    t->model = (Model){.kind = kind, .data = &t->data, .settings = t->settings, .arena = t->arena, .seed = c->seed};
    t->model.store = store_new(t->device, e);
    if (!t->model.store || !kind->init(&t->model, e))
        return false;
    t->optim = optim_adam(t->settings->lr);
    t->optim.weight_decay = t->settings->weight_decay;
    /* torch 2's zero_grad leaves no gradient behind, torch 1's (MMRec) leaves zeros: recipes.md 5.1 */
    t->optim.skip_missing = t->settings->variant == PROTOCOL_ELLIOT;
    t->sampler = sampler_new(&t->data, kind->sampling(&t->model), t->settings->batch_size, c->seed, t->arena, e);
    return t->sampler != NULL;
}

/* ---- an epoch -------------------------------------------------------------------------------- */

static bool step(Trainer *t, Tape *tape, int64_t b, double *loss_sum, Error *e)
{
    Model *m = &t->model;
    Batch batch = {.index = b};
    batch.B = sampler_batch(t->sampler, b, &batch.users, &batch.positives, &batch.negatives);
    uint32_t number = (uint32_t)(t->epoch * sampler_batches(t->sampler) + b);
    tape_reset(tape, (Draw){m->seed, DRAW_DROPOUT, number});
    batch_inputs(tape, &batch);
    Tensor *loss = m->kind->loss(tape, m, &batch);
    if (!tape_ok(tape, e))
        return false;
    float value;
    tensor_read(t->device, loss, 0, 1, &value);
    if (!isfinite(value))
        return fail(e, SP_FORMAT, "%s: the loss is %f in epoch %lld, batch %lld; try a smaller lr than %s",
                    m->kind->name, (double)value, (long long)t->epoch + 1, (long long)b + 1, TEXT_AS_GIVEN(t, lr));
    *loss_sum += value;
    return backward(tape, loss, e) && optim_step(&t->optim, m->store, tape, e);
}

/* The tape is freed after the epoch: its memory is free when the model is evaluated. */
static bool train_epoch(Trainer *t, Progress *p, double *loss, Error *e)
{
    Model *m = &t->model;
    m->epoch = t->epoch;
    if (m->kind->epoch && !m->kind->epoch(m, e))
        return false;
    sampler_epoch(t->sampler, t->device->pool, t->epoch);
    /* LambdaLR with a^(epoch/50): recipes.md 5.2 */
    t->optim.lr = t->settings->lr * pow(t->settings->lr_decay, (double)t->epoch / 50);
    int64_t batches = sampler_batches(t->sampler);
    double sum = 0;
    Tape *tape = tape_new(t->device, true, e);
    bool ok = tape != NULL;
    for (int64_t b = 0; ok && b < batches; b++) {
        ok = step(t, tape, b, &sum, e);
        progress_step(p, (double)(t->epoch * batches + b + 1), NULL);
    }
    tape_free(tape);
    *loss = batches ? sum / (double)batches : 0;
    return ok;
}

/* ---- evaluation ------------------------------------------------------------------------------ */

static bool copy_scores(Scores *to, const Scores *from, Arena *a, Error *e)
{
    if (!from->mean)
        return true;
    size_t n = from->metrics * from->cutoffs;
    if (!to->mean) {
        *to = *from;
        to->by_user = NULL;
        to->names = NEW(a, const char *, from->metrics, e);
        to->at = NEW(a, int64_t, from->cutoffs, e);
        to->mean = NEW(a, double, n, e);
        if (!to->names || !to->at || !to->mean)
            return false;
    }
    memcpy(to->names, from->names, from->metrics * sizeof *to->names);
    memcpy(to->at, from->at, from->cutoffs * sizeof *to->at);
    memcpy(to->mean, from->mean, n * sizeof *to->mean);
    to->users = from->users;
    return true;
}

/* Takes note of an evaluation's figure; true where it is the best so far. Both systems keep the first of equal figures.
 * MMRec compares figures rounded to four decimals (recipes.md 5.3).
 *
 * Without a validation part the last epoch is taken: Elliot then chooses by the test part, which makes the test figure
 * too high. */
static bool improves(Trainer *t, double figure)
{
    bool better = !t->data.valid.start || figure > t->best, as_good = figure == t->best;
    t->unimproved = better || (as_good && t->data.protocol == PROTOCOL_ELLIOT) ? 0 : t->unimproved + 1;
    t->best = better ? figure : t->best;
    return better;
}

/* Elliot stops when the first of the last patience + 1 figures is above all others: at the patience-th evaluation in a
 * row below the best one. MMRec stops at one more, and an equal figure counts as one of them. */
static bool out_of_patience(const Trainer *t)
{
    int64_t patience = t->settings->patience;
    return patience > 0 && t->unimproved >= patience + (t->data.protocol == PROTOCOL_MMREC);
}

/* *largest: the largest magnitude in x; every number must be finite. */
static bool check_finite(const Trainer *t, const Tensor *x, const char *whose, double *largest, Error *e)
{
    enum { CHUNK = 4096 };
    float host[CHUNK];
    *largest = 0;
    for (int64_t at = 0; at < x->count; at += CHUNK) {
        int64_t n = MIN((int64_t)CHUNK, x->count - at);
        tensor_read(t->device, x, at, n, host);
        for (int64_t i = 0; i < n; i++) {
            if (!isfinite(host[i]))
                return fail(e, SP_FORMAT, "%s: the %s vectors contain %f after epoch %lld; try a smaller lr than %s",
                            t->model.kind->name, whose, (double)host[i], (long long)t->epoch, TEXT_AS_GIVEN(t, lr));
            *largest = fmax(*largest, fabs((double)host[i]));
        }
    }
    return true;
}

/* A step can end beyond float32 after its loss was computed: nothing is ranked by such vectors, and none that
 * trained_open would refuse are written. */
static bool check_vectors(const Trainer *t, const Tensor *users, const Tensor *items, Error *e)
{
    double user, item;
    return check_finite(t, users, "users'", &user, e) && check_finite(t, items, "items'", &item, e) &&
           (products_fit(user, item, cols_of(users)) ||
            fail(e, SP_FORMAT,
                 "%s: the users' vectors contain %g and the items' %g after epoch %lld: their products are too large "
                 "for "
                 "float32; try "
                 "a "
                 "smaller lr than %s",
                 t->model.kind->name, user, item, (long long)t->epoch, TEXT_AS_GIVEN(t, lr)));
}

static bool evaluate(Trainer *t, Scores *valid, Scores *test, Error *e)
{
    Model *m = &t->model;
    Tensor *users = NULL, *items = NULL;
    Tape *tape = tape_new(t->device, false, e);
    bool ok = tape != NULL;
    if (ok && m->kind->represent) {
        tape_reset(tape, (Draw){m->seed, DRAW_EVALUATION, (uint32_t)t->epoch});
        ok = m->kind->represent(tape, m, &users, &items) && tape_ok(tape, e) && check_vectors(t, users, items, e);
    }
    ok = ok && evaluate_model(m, users, items, &t->eval, valid, test, t->scratch, e);
    if (ok) {
        double figure = t->data.valid.start ? score_of(valid, t->metric, t->metric_cutoff) : 0;
        if (t->data.protocol == PROTOCOL_MMREC)
            figure = nearbyint(figure * 1e4) / 1e4;
        if (improves(t, figure)) {
            t->best_epoch = t->epoch;
            ok = copy_scores(&t->best_valid, valid, t->arena, e) && copy_scores(&t->best_test, test, t->arena, e) &&
                 (!t->config->out || run_write_vectors(t, users, items, e));
        }
    }
    tape_free(tape);
    return ok;
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

/* One line of history.tsv: the epoch, its mean loss, validation and test figures. */
static bool note_history(Trainer *t, double loss, const Scores *valid, const Scores *test, Error *e)
{
    const Scores *part[] = {valid, test};
    const char *names[] = {"valid", "test"};
    char text[64];
    if (t->history.n == 0) {
        if (!history_add(t, "epoch\tloss", e))
            return false;
        for (size_t p = 0; p < COUNT(part); p++)
            for (size_t i = 0; part[p]->mean && i < part[p]->metrics * part[p]->cutoffs; i++) {
                char name[48];
                snprintf(text, sizeof text, "\t%s %s", names[p], score_name(part[p], i, name, sizeof name));
                if (!history_add(t, text, e))
                    return false;
            }
        if (!history_add(t, "\n", e))
            return false;
    }
    snprintf(text, sizeof text, "%lld\t%.9g", (long long)t->epoch, loss);
    bool ok = history_add(t, text, e);
    for (size_t p = 0; p < COUNT(part); p++)
        for (size_t i = 0; ok && part[p]->mean && i < part[p]->metrics * part[p]->cutoffs; i++) {
            snprintf(text, sizeof text, "\t%.9g", part[p]->mean[i]);
            ok = history_add(t, text, e);
        }
    return ok && history_add(t, "\n", e);
}

/* An event that nobody can read any more ends the run; its last checkpoint stays. */
static bool print_epoch(const Trainer *t, double loss, double seconds, const Scores *valid, const Scores *test,
                        Error *e)
{
    FILE *f = t->config->json;
    if (!f || !sampler_batches(t->sampler))
        return true;
    JsonWriter w = json_record(f, "event", "epoch");
    json_members(&w, "model %s epoch %lld loss %.9g seconds %.4f", t->model.kind->name, (long long)t->epoch, loss,
                 seconds);
    if (valid->mean || test->mean)
        scores_json(&w, valid, test);
    json_finish(&w);
    return stream_whole(f, "standard output", e);
}

static double traced_seconds(const Trainer *t)
{
    const TraceTotal *total;
    double seconds = 0;
    for (size_t i = 0, n = trace_totals(t->device->trace, &total); i < n; i++)
        seconds += total[i].seconds;
    return seconds;
}

/* Trains the next epoch, evaluates where one is due, decides whether it was the last. */
static bool advance(Trainer *t, Progress *p, Times *epochs, Times *evals, Error *e)
{
    int64_t last = sampler_batches(t->sampler) ? t->settings->epochs : 1;
    double loss = 0, begun = now_seconds(), traced = traced_seconds(t);
    Scores valid = {0}, test = {0};
    if (sampler_batches(t->sampler) && t->epoch < last && !train_epoch(t, p, &loss, e))
        return false;
    t->epoch = MIN(t->epoch + 1, last);
    double trained = now_seconds();
    t->op_seconds += traced_seconds(t) - traced;
    /* The last epoch is always evaluated. Elliot and MMRec evaluate every validation_rate-th epoch alone: where the
     * number of epochs is no multiple, what they train after the last evaluation has no effect on any figure. */
    bool due = t->epoch == last || t->epoch % t->settings->validation_rate == 0;
    if (!times_add(epochs, trained - begun, t->arena, e) || (due && !evaluate(t, &valid, &test, e)) ||
        (due && !note_history(t, loss, &valid, &test, e)) ||
        (due && !times_add(evals, now_seconds() - trained, t->arena, e)))
        return false;
    t->finished = t->epoch >= last || out_of_patience(t);
    if (!print_epoch(t, loss, trained - begun, &valid, &test, e))
        return false;
    char note[160];
    int n = !sampler_batches(t->sampler)
                ? snprintf(note, sizeof note, "evaluated")
                : snprintf(note, sizeof note, "epoch %lld/%lld  loss %.4f", (long long)t->epoch, (long long)last, loss);
    if (sampler_batches(t->sampler) && t->data.valid.start)
        snprintf(note + n, sizeof note - (size_t)n, "  best %s@%lld %.4f", t->metric, (long long)t->metric_cutoff,
                 t->best < 0 ? 0.0 : t->best);
    progress_step(p, (double)(t->epoch * sampler_batches(t->sampler)), note);
    arena_rewind(t->scratch, (ArenaMark){0});
    bool checkpoint_due = t->finished || now_seconds() - t->checkpointed >= (double)t->settings->checkpoint_seconds;
    return !t->config->out || !checkpoint_due || run_checkpoint(t, e);
}

static bool train_all(Trainer *t, TrainResult *r, Error *e)
{
    Times epochs = {0}, evals = {0};
    Progress p;
    progress_start(&p, t->config->progress, t->model.kind->name, "batches",
                   (double)(t->settings->epochs * sampler_batches(t->sampler)));
    p.done = p.before = (double)(t->epoch * sampler_batches(t->sampler)); /* where a checkpoint left off */
    bool ok = true;
    if (t->config->progress && sampler_batches(t->sampler) && !t->data.valid.start)
        fprintf(t->config->progress,
                "%s: no validation part: the last epoch is used, without early stopping (Elliot would choose the epoch "
                "by the test part)\n",
                t->model.kind->name);
    while (ok && !t->finished)
        ok = advance(t, &p, &epochs, &evals, e);
    progress_end(&p, NULL);
    if (!ok || (t->config->out && !run_write_result(t, e)))
        return false;
    bool learns = sampler_batches(t->sampler) > 0;
    *r = (TrainResult){learns ? t->best_epoch : 0,
                       learns ? t->epoch : 0,
                       t->best_valid,
                       t->best_test,
                       median(&epochs),
                       median(&evals),
                       t->op_seconds};
    return true;
}

static void print_result(const Trainer *t, const TrainResult *r)
{
    FILE *f = t->config->json;
    if (!f)
        return;
    JsonWriter w = json_record(f, "event", "result");
    json_put_string(&w, "model", t->model.kind->name);
    if (r->epochs)
        json_put_i64(&w, "best_epoch", r->best_epoch);
    scores_json(&w, &r->valid, &r->test);
    if (r->epochs)
        json_put_number(&w, "epoch_seconds", "%.6g", r->epoch_seconds);
    json_members(&w, "eval_seconds %.6g peak_rss_bytes %zu", r->eval_seconds, peak_rss_bytes());
    char chosen_by[80] = "the last epoch";
    if (t->data.valid.start)
        snprintf(chosen_by, sizeof chosen_by, "%s@%lld of valid", t->metric, (long long)t->metric_cutoff);
    if (sampler_batches(t->sampler))
        json_put_string(&w, "chosen_by", chosen_by);
    json_finish(&w);
    fflush(f);
}

/* Which settings were given under another system's name, and the recommender too: one line, or one object. */
static void print_names(const Trainer *t)
{
    const char *name = t->model.kind->name, *given = t->config->model;
    const CommonSettings *s = t->settings;
    bool some = strcasecmp(given, name) != 0;
    for (size_t i = 0; i < settings_count(s); i++)
        some = some || settings_alias(s, i);
    if (some && t->config->progress) {
        fprintf(t->config->progress, strcasecmp(given, name) ? "%s (%s):" : "%s:", name, given);
        for (size_t i = 0; i < settings_count(s); i++)
            if (settings_alias(s, i))
                fprintf(t->config->progress, " %s=%s (%s)", settings_key(s, i), settings_value(s, i),
                        settings_alias(s, i));
        fputc('\n', t->config->progress);
    }
    if (!some || !t->config->json)
        return;
    JsonWriter w = json_record(t->config->json, "event", "names");
    json_members(&w, "model %s given_as %s", name, given);
    json_object(&w, "settings");
    for (size_t i = 0; i < settings_count(s); i++)
        if (settings_alias(s, i))
            json_put_string(&w, settings_key(s, i), settings_alias(s, i));
    json_finish(&w);
}

bool train_run(const Device *d, const TrainConfig *c, TrainResult *r, Arena *a, Error *e)
{
    Trainer *t = NEW(a, Trainer, 1, e);
    if (!t)
        return false;
    *t = (Trainer){.device = d, .config = c, .arena = a, .best = -1, .checkpointed = now_seconds()};
    if (!(t->scratch = arena_new(d->heap, 0)))
        return fail_memory(e, sizeof(Trainer), "training");
    FolderLock lock = {-1};
    bool ok = (!c->out || run_spares_inputs(t, e)) &&
              trainer_load(t, e); /* before a folder is made: what cannot start leaves nothing behind */
    if (c->out)
        ok = ok && folder_make(c->out, e) && folder_lock(&lock, c->out, e) && run_open(t, e);
    if (ok && !c->given)
        dataset_describe(&t->data, c->summary, c->json);
    if (ok)
        print_names(t);
    ok = ok && train_all(t, r, e);
    if (ok)
        print_result(t, r);
    folder_unlock(&lock);
    store_free(t->model.store);
    if (!c->given)
        dataset_close(&t->data);
    arena_free(t->scratch);
    return ok;
}
