/* tools/train_events.c: what train_run tells, for people and as JSON. */
#include "tools/tools.h"

#include <strings.h>

/* Which settings were given under another system's name, and the recommender too: one line, or one object. */
static void print_names(const TrainPrinter *p, const TrainEvent *event)
{
    const char *name = event->recommender->name;
    const CommonSettings *s = event->settings;
    bool other = strcasecmp(p->model, name) != 0, some = other;
    for (size_t i = 0; i < settings_count(s); i++)
        some = some || settings_alias(s, i);
    if (some && p->text) {
        fprintf(p->text, other ? "%s (%s):" : "%s:", name, p->model);
        for (size_t i = 0; i < settings_count(s); i++)
            if (settings_alias(s, i))
                fprintf(p->text, " %s=%s (%s)", settings_key(s, i), settings_value(s, i), settings_alias(s, i));
        fputc('\n', p->text);
    }
    if (!some || !p->json)
        return;
    JsonWriter w = json_record(p->json, "event", "names");
    json_members(&w, "model %s given_as %s", name, p->model);
    json_object(&w, "settings");
    for (size_t i = 0; i < settings_count(s); i++)
        if (settings_alias(s, i))
            json_put_string(&w, settings_key(s, i), settings_alias(s, i));
    json_finish(&w);
}

static void begin(TrainPrinter *p, const TrainEvent *event)
{
    print_names(p, event);
    const char *name = event->recommender->name;
    progress_start(&p->progress, p->text, name, "batches", (double)(event->settings->epochs * event->batches));
    p->progress.done = p->progress.before = (double)(event->epoch * event->batches); /* where a checkpoint left off */
    p->started = true;
    if (p->text && event->batches && !event->data->valid.start)
        fprintf(p->text,
                "%s: no validation part: the last epoch is used, without early stopping (Elliot would choose the epoch "
                "by the test part)\n",
                name);
}

static bool json_epoch(FILE *f, const TrainEvent *event, Error *e)
{
    JsonWriter w = json_record(f, "event", "epoch");
    json_members(&w, "model %s epoch %lld loss %.9g seconds %.4f", event->recommender->name, (long long)event->epoch,
                 event->loss, event->seconds);
    if (event->valid->mean || event->test->mean)
        scores_json(&w, event->valid, event->test);
    json_finish(&w);
    return stream_whole(f, "standard output", e);
}

static void epoch_note(TrainPrinter *p, const TrainEvent *event)
{
    char note[160] = "evaluated";
    if (event->batches) {
        int n = snprintf(note, sizeof note, "epoch %lld/%lld  loss %.4f", (long long)event->epoch,
                         (long long)event->settings->epochs, event->loss);
        if (event->data->valid.start)
            snprintf(note + n, sizeof note - (size_t)n, "  best %s@%lld %.4f", event->metric, (long long)event->cutoff,
                     event->best);
    }
    progress_step(&p->progress, (double)(event->epoch * event->batches), note);
}

static void json_result(FILE *f, const TrainEvent *event)
{
    const TrainResult *r = event->result;
    JsonWriter w = json_record(f, "event", "result");
    json_put_string(&w, "model", event->recommender->name);
    if (r->epochs)
        json_put_i64(&w, "best_epoch", r->best_epoch);
    scores_json(&w, &r->valid, &r->test);
    if (r->epochs)
        json_put_number(&w, "epoch_seconds", "%.6g", r->epoch_seconds);
    json_members(&w, "eval_seconds %.6g peak_rss_bytes %zu", r->eval_seconds, peak_rss_bytes());
    char chosen_by[80] = "the last epoch";
    if (event->data->valid.start)
        snprintf(chosen_by, sizeof chosen_by, "%s@%lld of valid", event->metric, (long long)event->cutoff);
    if (event->batches)
        json_put_string(&w, "chosen_by", chosen_by);
    json_finish(&w);
    fflush(f);
}

bool train_print(void *arg, const TrainEvent *event, Error *e)
{
    TrainPrinter *p = arg;
    switch (event->kind) {
    case TRAIN_DATA: dataset_describe(event->data, p->summary, p->json); break;
    case TRAIN_BEGIN: begin(p, event); break;
    case TRAIN_BATCH:
        progress_step(&p->progress, (double)(event->epoch * event->batches + event->batch + 1), NULL);
        break;
    case TRAIN_EPOCH:
        if (p->json && event->batches && !json_epoch(p->json, event, e))
            return false;
        epoch_note(p, event);
        break;
    case TRAIN_END:
        train_print_end(p);
        if (p->json)
            json_result(p->json, event);
        break;
    }
    return true;
}

void train_print_end(TrainPrinter *p)
{
    if (p->started)
        progress_end(&p->progress, NULL);
    p->started = false;
}
