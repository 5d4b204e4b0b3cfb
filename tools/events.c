/* tools/events.c: prints the events of a data set, a split and a training run, as text and as JSON. */
// flags: -Os
#include "tools/tools.h"

#include <strings.h>

/* data */

/* Begins the record {"event":"data",...: how a file was read. */
static JsonWriter begin_data(Format f, char separator, const char *columns, FILE *json)
{
    JsonWriter w = json_record(json, "event", "data");
    json_members(&w, "format %s read_as %s columns %s", format_name(f), format_words(f, separator), columns);
    return w;
}

static const char *const PART_NAMES[] = {"train", "valid", "test"};

static void json_dataset(const DataSet *d, double density, FILE *to)
{
    JsonWriter w = begin_data(d->format, d->separator, d->columns, to);
    json_members(&w, "users %lld items %lld density %.6g", (long long)d->U, (long long)d->I, density);
    for (size_t p = 0; p < COUNT(PART_NAMES); p++)
        if (d->counted[p].rows) {
            const Counted *n = &d->counted[p];
            json_object(&w, PART_NAMES[p]);
            json_put_i64(&w, "rows", n->rows);
            json_object(&w, "left_out");
            json_members(&w, "user_not_in_train %lld repeated %lld rating_below_0 %lld", (long long)n->cold,
                         (long long)n->repeated, (long long)n->below);
            if (d->gaps == GAPS_DROP)
                json_put_i64(&w, "item_without_features", n->no_features);
            json_end(&w);
            json_put_i64(&w, "item_not_in_train", n->unknown);
            json_end(&w);
        }
    if (d->gaps == GAPS_DROP)
        json_put_i64(&w, "items_dropped", d->dropped);
    json_array(&w, "features");
    for (size_t i = 0; i < d->feature_count; i++) {
        const Feature *f = &d->features[i];
        json_object(&w, NULL);
        json_members(&w, "name %s columns %lld", f->name, (long long)f->D);
        if (f->missing)
            json_members(&w, "missing %lld filled_with %s", (long long)f->missing, gap_names[d->gaps]);
        if (f->knocked)
            json_put_string(&w, "knocked", f->knocked);
        json_end(&w);
    }
    json_end(&w);
    json_finish(&w);
}

void print_dataset(const DataSet *d, FILE *text, FILE *json)
{
    double density = (double)d->train.count / ((double)d->U * (double)d->I);
    if (json)
        json_dataset(d, density, json);
    if (!text)
        return;
    fprintf(text, "data: %s (%s), %lld users, %lld items, density %.3g%%", format_words(d->format, d->separator),
            d->columns, (long long)d->U, (long long)d->I, 100 * density);
    for (size_t p = 0; p < COUNT(PART_NAMES); p++)
        if (d->counted[p].rows)
            fprintf(text, ", %s %lld", PART_NAMES[p], (long long)d->counted[p].rows);
    const char *before = "; left out: ";
    for (size_t p = 0; p < COUNT(PART_NAMES); p++) {
        const Counted *n = &d->counted[p];
        if (n->cold) {
            fprintf(text, "%s%lld %s rows whose user is not in train", before, (long long)n->cold, PART_NAMES[p]);
            before = ", ";
        }
        if (n->repeated) {
            fprintf(text, "%s%lld %s rows whose user and item occur again later", before, (long long)n->repeated,
                    PART_NAMES[p]);
            before = ", ";
        }
        if (n->no_features) {
            fprintf(text, "%s%lld %s rows whose item has no features", before, (long long)n->no_features,
                    PART_NAMES[p]);
            before = ", ";
        }
        if (n->below) {
            fprintf(text, "%s%lld %s rows with a rating below 0, which are not relevant (elliot)", before,
                    (long long)n->below, PART_NAMES[p]);
            before = ", ";
        }
    }
    before = "; counted as missed: ";
    for (size_t p = 1; p < COUNT(PART_NAMES); p++)
        if (d->counted[p].unknown) {
            fprintf(text, "%s%lld %s rows whose item is not in train", before, (long long)d->counted[p].unknown,
                    PART_NAMES[p]);
            before = ", ";
        }
    if (d->dropped)
        fprintf(text, "; items without features, dropped: %lld", (long long)d->dropped);
    for (size_t i = 0; i < d->feature_count; i++) {
        const Feature *f = &d->features[i];
        if (f->missing)
            fprintf(text, "; %s: %lld items without features get %s", f->name, (long long)f->missing,
                    d->gaps == GAPS_ZERO ? "zeros" : "the mean of the others");
        if (f->knocked)
            fprintf(text, "; %s: knocked out (%s)", f->name, f->knocked);
    }
    fputc('\n', text);
}

void print_split(void *arg, const SplitSource *s)
{
    const Context *c = arg;
    const Ratings *r = s->ratings;
    double density = (double)(s->rows - s->repeated) / ((double)s->users * (double)s->items);
    long long dropped = (long long)r->count - (long long)s->rows;
    if (c->json) {
        JsonWriter j = begin_data(r->format, r->separator, r->columns, stdout);
        json_members(&j, "users %lld items %lld rows %lld density %.6g", (long long)s->users, (long long)s->items,
                     (long long)s->rows, density);
        json_object(&j, "left_out");
        json_put_i64(&j, "core", dropped);
        json_end(&j);
        json_put_i64(&j, "repeated", s->repeated);
        json_finish(&j);
    }
    if (c->progress) {
        fprintf(c->progress, "%s: %s (%s), %lld users, %lld items, %lld interactions, density %.3g%%", r->path,
                format_words(r->format, r->separator), r->columns, (long long)s->users, (long long)s->items,
                (long long)s->rows, 100 * density);
        if (dropped)
            fprintf(c->progress, "; left out by the %lld-core: %lld of %zu rows", (long long)s->k_core, dropped,
                    r->count);
        if (s->repeated)
            fprintf(c->progress, "; repeated pairs, kept: %lld", (long long)s->repeated);
        fputc('\n', c->progress);
    }
}

/* ---- training -------------------------------------------------------------------------------- */

/* Prints the recommender and the settings that were given under another system's name: one line of text and one JSON
 * object. Prints nothing if there are none. */
static void print_names(const TrainPrinter *p, const TrainEvent *event)
{
    const char *name = event->recommender->name;
    const CommonSettings *s = event->settings;
    bool renamed = strcasecmp(p->model, name) != 0, any = renamed;
    for (size_t i = 0; i < settings_count(s); i++)
        any = any || settings_alias(s, i);
    if (any && p->text) {
        fprintf(p->text, renamed ? "%s (%s):" : "%s:", name, p->model);
        for (size_t i = 0; i < settings_count(s); i++)
            if (settings_alias(s, i))
                fprintf(p->text, " %s=%s (%s)", settings_key(s, i), settings_value(s, i), settings_alias(s, i));
        fputc('\n', p->text);
    }
    if (!any || !p->json)
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
    /* ends the bar of print_made, if print_made drew one: a short task has no bar */
    if (p->started && p->progress.drawn > p->progress.started)
        progress_end(&p->progress, "made");
    const char *name = p->label ? p->label : event->recommender->name;
    if (!p->again)
        print_names(p, event);
    progress_start(&p->progress, p->text, name, "batches", (double)(event->settings->epochs * event->batches));
    p->progress.done = p->progress.before = (double)(event->epoch * event->batches); /* where the checkpoint ended */
    p->started = true;
    if (p->text && event->finished)
        fprintf(p->text, "%s: this run has finished already; nothing is trained\n", name);
    else if (p->text && event->epoch)
        fprintf(p->text, "%s: continues after epoch %lld of %lld\n", name, (long long)event->epoch,
                (long long)event->settings->epochs);
    if (p->text && !p->again && event->batches && !event->finished && !event->data->valid.start)
        fprintf(p->text,
                "%s: no validation part: the last epoch is used, without early stopping (Elliot would choose the epoch "
                "by the test part)\n",
                name);
}

/* Prints a note. On a terminal, the progress bar of the current line is erased first. */
static void print_note(TrainPrinter *p, const TrainEvent *event)
{
    if (p->text)
        fprintf(p->text, "%s%s: %s\n", p->started && p->progress.is_terminal ? "\r\033[K" : "",
                event->recommender->name, event->note);
    if (!p->json)
        return;
    JsonWriter w = json_record(p->json, "event", "note");
    json_members(&w, "model %s text %s", event->recommender->name, event->note);
    json_finish(&w);
}

static void print_made(TrainPrinter *p, const TrainEvent *event)
{
    if (!p->data)
        return;
    if (!p->started)
        progress_start(&p->progress, p->text, p->label ? p->label : event->recommender->name, "parts",
                       (double)event->parts);
    p->started = true;
    progress_step(&p->progress, (double)event->made, NULL);
}

static bool json_epoch(FILE *f, const TrainEvent *event, Error *e)
{
    JsonWriter w = json_record(f, "event", "epoch");
    json_members(&w, "model %s epoch %lld loss %.9g seconds %.4f", event->recommender->name, (long long)event->epoch,
                 event->loss, event->seconds);
    if (event->valid->mean || event->test->mean)
        scores_json(&w, event->valid, event->test);
    json_finish(&w);
    return stream_flush(f, "standard output", e);
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
    if (r->epochs && r->epoch_seconds > 0) /* 0 if the run had finished before */
        json_put_number(&w, "epoch_seconds", "%.6g", r->epoch_seconds);
    if (r->eval_seconds > 0)
        json_put_number(&w, "eval_seconds", "%.6g", r->eval_seconds);
    json_members(&w, "peak_rss_bytes %zu", peak_rss_bytes());
    char chosen_by[SCORE_NAME_BYTES + 16] = "the last epoch";
    if (event->data->valid.start)
        snprintf(chosen_by, sizeof chosen_by, "%s@%lld%s of valid", event->metric, (long long)event->cutoff,
                 r->valid.sampled ? r->valid.sampled : "");
    if (event->batches)
        json_put_string(&w, "chosen_by", chosen_by);
    json_finish(&w);
    fflush(f);
}

bool train_print(void *arg, const TrainEvent *event, Error *e)
{
    TrainPrinter *p = arg;
    switch (event->kind) {
    case TRAIN_DATA:
        p->data = true;
        print_dataset(event->data, p->summary, p->json);
        break;
    case TRAIN_NOTE: print_note(p, event); break;
    case TRAIN_MAKE: print_made(p, event); break;
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
