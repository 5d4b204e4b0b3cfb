/* recsys/search/trial.c: one trial: its settings, its key, its run, its row. */
// flags: -Os
#include "recsys/search/study.h"

#include <math.h>
#include <time.h>
#include <unistd.h>

const char *study_ledger(const Study *s, Arena *a, Error *e)
{
    return path_join(a, s->out, "ledger.sqlite", e);
}

const char *study_trials(const Study *s, Arena *a, Error *e)
{
    return path_join(a, s->out, "trials", e);
}

/* ---- what is trained ------------------------------------------------------------------------- */

static void put_settings(FILE *f, const void *settings)
{
    JsonWriter w = {.to = f};
    json_object(&w, NULL);
    for (size_t i = 0; i < settings_count(settings); i++)
        json_put_string(&w, settings_key(settings, i), settings_value(settings, i));
    json_end(&w);
}

static void put_metrics(FILE *f, const void *study)
{
    const Study *s = study;
    for (size_t i = 0; i < s->eval.metric_count; i++)
        fprintf(f, "%s%s", i ? "," : "metrics=", s->eval.metrics[i]);
}

static void put_cutoffs(FILE *f, const void *study)
{
    const Study *s = study;
    for (size_t i = 0; i < s->eval.cutoff_count; i++)
        fprintf(f, "%s%lld", i ? "," : "cutoffs=", (long long)s->eval.cutoffs[i]);
}

/* Returns the data of a trial. Features are read for models that use them, and if they decide which items are kept. */
static DataConfig data_of(const StudyData *d, const Recommender *kind)
{
    DataConfig c = d->config;
    if (!kind->needs_features && c.gaps != GAPS_DROP) {
        c.features = NULL;
        c.feature_count = 0;
        c.gaps = GAPS_ERROR;
        c.knock = (Knock){0};
    }
    return c;
}

static const char *negatives_text(const EvalConfig *c, Arena *a, Error *e)
{
    if (c->negative_files[0])
        return arena_printf(a, e, "negatives=%s,%s", c->negative_files[0], c->negative_files[1]);
    return arena_printf(a, e, "negatives=%s%lld", c->negatives_each ? "uni" : "", (long long)c->negatives);
}

bool trial_plan(TrialPlan *p, const Study *s, const Trial *t, Arena *a, Error *e)
{
    enum { MEASURES = 5 };
    const StudyModel *m = t->model;
    const char **set = NEW(a, const char *, MEASURES + m->set_count + m->dim_count, e);
    size_t n = 0;
    if (!set)
        return false;
    if (s->eval.metric_count && !(set[n++] = arena_written(put_metrics, s, a, e)))
        return false;
    if (s->eval.cutoff_count && !(set[n++] = arena_written(put_cutoffs, s, a, e)))
        return false;
    if (s->metric && !(set[n++] = arena_printf(a, e, "validation_metric=%s@%lld", s->metric, (long long)s->cutoff)))
        return false;
    if (s->eval.relevance_threshold != 0 &&
        !(set[n++] = arena_printf(a, e, "relevance_threshold=%.17g", s->eval.relevance_threshold)))
        return false;
    if ((s->eval.negatives || s->eval.negative_files[0]) && !(set[n++] = negatives_text(&s->eval, a, e)))
        return false;
    for (size_t i = 0; i < m->set_count; i++)
        set[n++] = m->set[i];
    for (size_t i = 0; i < m->dim_count; i++)
        if (!(set[n++] = arena_printf(a, e, "%s=%s", m->dims[i].key, t->point[i])))
            return false;
    *p = (TrialPlan){.set = set, .set_count = n, .data = data_of(t->data, m->kind)};
    if (!(p->point = point_name(m->dims, m->dim_count, t->point, ' ', a, e)))
        return false;
    p->settings = settings_make(m->kind, p->data.protocol, set, n, a, e);
    if (!p->settings) {
        error_prefix(e, "%s%s%s: ", m->name, *p->point ? " " : "", p->point);
        return false;
    }
    return (p->json = arena_written(put_settings, p->settings, a, e)) != NULL;
}

/* ---- its key --------------------------------------------------------------------------------- */

void data_hash(DataHash *h, const DataSet *d)
{
    h->pairs[0] = pairs_hash(d, hash_own);
    h->pairs[1] = hash_own(&h->pairs[0], sizeof h->pairs[0], h->pairs[0] + 1);
    h->features[0] = features_hash(d, hash_own, 1);
    h->features[1] = features_hash(d, hash_own, 2);
}

typedef struct Described {
    const TrialPlan *plan;
    const Trial *trial;
    const DataHash *hash;
} Described;

/* Writes the hash of a file that a setting names: "=<16 digits>". For a file that cannot be read it is 0; its trials
 * fail. */
static void put_file(FILE *f, Text path)
{
    char name[4096];
    Map m;
    Error ignored = {0};
    uint64_t h = 0;
    snprintf(name, sizeof name, "%.*s", (int)MIN(path.n, sizeof name - 1), path.p ? path.p : "");
    if (file_exists(name) && map_open(&m, name, &ignored)) {
        h = hash_own(m.data, m.bytes, 0);
        map_close(&m);
    }
    fprintf(f, "=%016llx", (unsigned long long)h);
}

/* Writes the names and the hashes of a list of files: "visual=PATH,textual=PATH". */
static void put_named_files(FILE *f, Text list)
{
    for (Text part, name; text_next(&list, ',', &part);) {
        text_next(&part, '=', &name);
        fprintf(f, " %.*s", (int)name.n, name.p);
        put_file(f, part);
    }
}

static void put_setting(FILE *f, const CommonSettings *settings, size_t i)
{
    const char *key = settings_key(settings, i), *value = settings_value(settings, i);
    if (!strcmp(key, "knn_file") && strchr(value, '=')) {
        fputs(key, f);
        put_named_files(f, text_of(value));
    } else {
        fprintf(f, "%s=%s", key, value);
    }
    for (size_t k = 0; !strcmp(key, "metrics") && k < settings->metrics.count; k++)
        for (Text rest = text_of(settings->metrics.at[k]), path; metric_file(&rest, &path);)
            put_file(f, path);
    for (size_t k = 0; !strcmp(key, "negatives") && k < settings->negatives.count; k++)
        if (negatives_file(settings->negatives.at[k]))
            put_file(f, text_of(settings->negatives.at[k]));
    fputc('\n', f);
}

static void put_described(FILE *f, const void *what)
{
    const Described *d = what;
    const TrialPlan *p = d->plan;
    /* If features cannot be read, study_trial has no hash of the pairs, but study_open has one. 0 is written in both
     * cases, so that both functions compute the same key. */
    bool read = !p->data.feature_count || d->hash->features[0];
    fprintf(f, "sapor %s\nmodel %s\nprotocol %s\nseed %llu\npairs %016llx%016llx\n", SAPOR_VERSION,
            d->trial->model->kind->name, protocol_names[p->data.protocol], (unsigned long long)d->trial->seed,
            (unsigned long long)(read ? d->hash->pairs[0] : 0), (unsigned long long)(read ? d->hash->pairs[1] : 0));
    for (size_t i = 0; i < p->data.feature_count; i++) {
        Text rest = text_of(p->data.features[i]), name;
        text_next(&rest, '=', &name);
        fprintf(f, "features %.*s\n", (int)name.n, name.p);
    }
    if (p->data.feature_count)
        fprintf(f, "hash %016llx%016llx\n", (unsigned long long)d->hash->features[0],
                (unsigned long long)d->hash->features[1]);
    for (size_t i = 0; i < p->data.knock.count; i++)
        fprintf(f, "knock %s %s %llu\n", p->data.knock.names[i], knock_modes[p->data.knock.mode],
                (unsigned long long)p->data.knock.seed);
    for (size_t i = 0; i < settings_count(p->settings); i++)
        put_setting(f, p->settings, i);
}

bool trial_key(char key[KEY_BYTES], const TrialPlan *p, const Trial *t, const DataHash *h, Arena *a, Error *e)
{
    const char *text = arena_written(put_described, &(Described){p, t, h}, a, e);
    if (!text)
        return false;
    snprintf(key, KEY_BYTES, "%016llx%016llx", (unsigned long long)hash_own(text, strlen(text), 1),
             (unsigned long long)hash_own(text, strlen(text), 2));
    return true;
}

TrialRow trial_row(const TrialPlan *p, const Trial *t, const char *key, TrialState state)
{
    return (TrialRow){.data = t->data->name,
                      .setting = t->data->setting,
                      .fold = t->data->fold,
                      .model = t->model->name,
                      .point = p->point,
                      .seed = t->seed,
                      .number = t->number,
                      .key = key,
                      .state = state,
                      .message = "",
                      .settings = p->json,
                      .valid = "{}",
                      .test = "{}",
                      .history = "",
                      .worker = ""};
}

/* ---- figures --------------------------------------------------------------------------------- */

static void put_scores(FILE *f, const void *scores)
{
    enum { FEWEST = 9, MOST = 17 };
    const Scores *s = scores;
    JsonWriter w = {.to = f};
    char name[SCORE_NAME_BYTES], text[40];
    json_object(&w, NULL);
    for (size_t i = 0; s->mean && i < s->metrics * s->cutoffs; i++) {
        int digits = FEWEST;
        double back = NAN;
        for (; digits <= MOST && back != s->mean[i]; digits++) {
            snprintf(text, sizeof text, "%.*g", digits, s->mean[i]);
            text_f64(text_of(text), &back);
        }
        json_put_number(&w, score_name(s, i, name, sizeof name), "%.*g", digits - 1, s->mean[i]);
    }
    json_end(&w);
}

bool is_figure(Text name, const char *metric)
{
    size_t n = strlen(metric);
    return text_starts(name, metric) && (name.n == n || (name.n > n + 1 && name.p[n] == ' ' && name.p[n + 1] == '('));
}

/* Returns the figure of a metric in a JSON object of figures; NaN: it has none. *has: the object has any figures. */
static double chosen_figure(const char *text, const char *metric, bool *has, Arena *scratch)
{
    Error ignored = {0};
    const Json *object = json_parse(scratch, text_of(text), "figures", &ignored);
    *has = object && object->first;
    for (const Json *j = *has ? object->first : NULL; j; j = j->next)
        if (j->type == JSON_NUMBER && is_figure(j->key, metric))
            return j->number;
    return NAN;
}

double figure_of(const Json *object, const char *name)
{
    const Json *j = json_get(object, name);
    return j && j->type == JSON_NUMBER ? j->number : (double)NAN;
}

double study_figure(const Study *s, const TrialRow *row)
{
    Arena *scratch = arena_new(NULL, 0);
    double figure = scratch ? row_figure(row, s, scratch) : (double)NAN;
    arena_free(scratch);
    return figure;
}

double row_figure(const TrialRow *row, const Study *s, Arena *scratch)
{
    Error ignored = {0};
    const char *first = s->select == SELECT_TEST ? row->test : row->valid;
    const char *second = s->select == SELECT_TEST ? row->valid : row->test;
    const char *name = arena_printf(scratch, &ignored, "%s@%lld", s->metric, (long long)s->cutoff);
    if (!name || row->state != TRIAL_DONE)
        return NAN;
    bool has;
    double figure = chosen_figure(first, name, &has, scratch);
    return has ? figure : chosen_figure(second, name, &has, scratch);
}

/* ---- the run --------------------------------------------------------------------------------- */

typedef struct Running { /* the trial that this process runs */
    Ledger *ledger;
    const Study *study;
    const char *trials, *folder;
    TrialRow *row;
    double begun, before, noted; /* start (now_seconds); seconds of earlier attempts; time of the last ledger_put */
    TrainVisit *visit;
    void *arg;
    bool stopped, ledger_failed; /* the visit ended the run; a note could not be written */
} Running;

/* Notes the time spent on a trial from time to time, because a process that is killed cannot do it at the end. */
static bool visit_run(void *arg, const TrainEvent *event, Error *e)
{
    enum { SECONDS = 30 };
    Running *r = arg;
    double now = now_seconds();
    if (event->kind == TRAIN_EPOCH && now - r->noted > SECONDS) {
        r->noted = now;
        r->row->seconds = r->before + now - r->begun;
        r->ledger_failed = !ledger_put(r->ledger, r->row, e);
    }
    if (!r->ledger_failed && r->visit)
        r->stopped = !r->visit(r->arg, event, e);
    return !r->ledger_failed && !r->stopped;
}

static void remove_files(const char *folder, const char *const *names, size_t n)
{
    Arena *a = arena_new(NULL, 0);
    Error ignored = {0};
    for (size_t i = 0; a && i < n; i++) {
        const char *path = path_join(a, folder, names[i], &ignored);
        if (path)
            file_remove(path, &ignored);
    }
    arena_free(a);
}

/* The files of a run, in the order in which they are removed. After a trial the first ALWAYS are removed; or, if its
 * vectors are not kept, the first WITH_VECTORS. A run that begins again removes all. */
static const char *const FILES[] = {
    "checkpoint.safetensors", ".sapor.lock",  "user.npy",    "item.npy",    "seen.safetensors", "model.safetensors",
    "user.ids.txt",           "item.ids.txt", "result.json", "history.tsv", "by_user.tsv",      "config.json"};
enum { ALWAYS = 2, WITH_VECTORS = 8 };

void study_prune(const Study *s, const TrialRow *row)
{
    Arena *a = arena_new(NULL, 0);
    Error ignored = {0};
    const char *trials = a ? study_trials(s, a, &ignored) : NULL;
    const char *folder = trials ? path_join(a, trials, row->key, &ignored) : NULL;
    if (folder)
        remove_files(folder, FILES, WITH_VECTORS);
    arena_free(a);
}

/* Returns a message that does not depend on the path of OUT. */
static const char *message_of(const Running *r, const char *message, Arena *a, Error *e)
{
    size_t n = strlen(r->study->out);
    const char *at = n ? strstr(message, r->study->out) : NULL;
    char *text = at && at[n] == '/' ? arena_printf(a, e, "%.*s%s", (int)(at - message), message, at + n + 1)
                                    : arena_strndup(a, message, strlen(message), e);
    for (size_t bad; text && !utf8_valid(text_of(text), &bad);)
        text[bad] = '?'; /* an invalid byte in a path */
    return text;
}

/* Writes the row in this state, with the time and the memory of the run. */
static bool record(Running *r, TrialState state, Error *e)
{
    r->row->state = state;
    r->row->seconds = r->before + now_seconds() - r->begun;
    r->row->peak_bytes = (int64_t)peak_rss_bytes();
    return ledger_put(r->ledger, r->row, e);
}

static bool record_result(Running *r, const TrainResult *result, Arena *a, Error *e)
{
    enum { HISTORY_MOST = 1 << 24 };
    Text history;
    const char *path = path_join(a, r->folder, "history.tsv", e);
    if (!path || !file_read(&history, a, path, HISTORY_MOST, e) ||
        !(r->row->valid = arena_written(put_scores, &result->valid, a, e)) ||
        !(r->row->test = arena_written(put_scores, &result->test, a, e)))
        return false;
    r->row->history = history.p;
    r->row->best_epoch = result->best_epoch;
    r->row->epochs = result->epochs;
    r->row->epoch_seconds = result->epoch_seconds;
    r->row->eval_seconds = result->eval_seconds;
    return record(r, TRIAL_DONE, e);
}

/* Trains the trial in its locked folder; its row is `running`. */
static bool train(Running *r, const Device *d, const Trial *t, const TrialPlan *p, const DataSet *data,
                  TrialOutcome *outcome, Arena *a, Error *e)
{
    TrainConfig c = {.model = t->model->kind->name,
                     .kind = t->model->kind,
                     .data = p->data,
                     .given = data,
                     .set = p->set,
                     .set_count = p->set_count,
                     .out = r->folder,
                     .seed = t->seed,
                     .visit = visit_run,
                     .arg = r};
    TrainResult result = {0};
    const char *config = path_join(a, r->folder, "config.json", e);
    bool resumes = config && file_exists(config), ok = config && train_run(d, &c, &result, a, e);
    if (!ok && resumes && e->code == SP_USAGE && !r->stopped) {
        /* the data had another path when the run began; the key shows that they are the same */
        error_clear(e);
        remove_files(r->folder, FILES, COUNT(FILES));
        ok = train_run(d, &c, &result, a, e);
    }
    if (ok) {
        *outcome = OUTCOME_DONE;
        if (!record_result(r, &result, a, e))
            return false;
        /* a folder without its checkpoint is not trained again, because its row is done */
        remove_files(r->folder, FILES, t->model->save_weights || t->model->save_recs > 0 ? ALWAYS : WITH_VECTORS);
        return true;
    }
    if (r->stopped || r->ledger_failed || e->code == SP_IO) /* the folder cannot be written */
        return false;
    *outcome = OUTCOME_FAILED;
    if (!(r->row->message = message_of(r, e->message, a, e)))
        return false;
    error_clear(e);
    return record(r, TRIAL_FAILED, e);
}

/* Waits for the lock, because another process may hold it for a moment to check it (study.c). */
static bool lock_patiently(FolderLock *l, const char *folder, const char *name, bool *taken, Error *e)
{
    enum { TRIES = 5, NANOSECONDS = 20 * 1000 * 1000 };
    for (int i = 0; i < TRIES; i++) {
        if (!lock_take(l, folder, name, taken, e) || *taken)
            return *taken;
        nanosleep(&(struct timespec){0, NANOSECONDS}, NULL);
    }
    return true;
}

/* Looks a trial up in the ledger; the lock of the trial's folder is held. The trial may have been finished in the
 * meantime, or another row with the same key may be done. Sets *found to true in both cases: *r->row then has the
 * results of the finished row, and is written to the ledger as this trial's row. */
static bool look_up(Running *r, TrialOutcome *outcome, bool *found, Arena *a, Error *e)
{
    TrialRow other;
    if (!ledger_get(r->ledger, r->row, &other, found, a, e))
        return false;
    bool same = *found && !strcmp(other.key, r->row->key);
    if (same && (other.state == TRIAL_DONE || other.state == TRIAL_FAILED)) {
        *outcome = other.state == TRIAL_DONE ? OUTCOME_COPIED : OUTCOME_FAILED;
        other.number = r->row->number;
        *r->row = other;
        return ledger_put(r->ledger, r->row, e);
    }
    r->before = same ? other.seconds : 0;
    if (!ledger_done(r->ledger, r->row->key, &other, found, a, e) || !*found)
        return e->code == SP_OK;
    TrialRow own = *r->row;
    *r->row = other;
    r->row->data = own.data;
    r->row->setting = own.setting;
    r->row->fold = own.fold;
    r->row->model = own.model;
    r->row->point = own.point;
    r->row->seed = own.seed;
    r->row->number = own.number;
    *outcome = OUTCOME_COPIED;
    return ledger_put(r->ledger, r->row, e);
}

static bool run_locked(Running *r, const Device *d, const Trial *t, const TrialPlan *p, const DataSet *data,
                       TrialOutcome *outcome, Arena *a, Error *e)
{
    char host[256] = "";
    bool found = false;
    gethostname(host, sizeof host - 1);
    r->row->worker = arena_printf(a, e, "%s:%ld", host, (long)getpid());
    r->row->started = (int64_t)time(NULL);
    if (!r->row->worker || !look_up(r, outcome, &found, a, e) || found)
        return e->code == SP_OK;
    r->row->seconds = r->before;
    if (!ledger_put(r->ledger, r->row, e))
        return false;
    if (data)
        return train(r, d, t, p, data, outcome, a, e);
    *outcome = OUTCOME_FAILED;
    return record(r, TRIAL_FAILED, e);
}

/* Does everything from the lock to its release. `data` NULL: the data could not be read; row->message has the reason.
 */
static bool run_trial(Running *r, const Device *d, const Trial *t, const TrialPlan *p, const DataSet *data,
                      TrialOutcome *outcome, Arena *a, Error *e)
{
    FolderLock lock = {-1};
    bool taken = false;
    const char *name = arena_printf(a, e, "%s.lock", r->row->key);
    if (!name || !(r->trials = study_trials(r->study, a, e)) || !folder_make(r->trials, e) ||
        !(r->folder = path_join(a, r->trials, r->row->key, e)) || !lock_patiently(&lock, r->trials, name, &taken, e))
        return false;
    *outcome = OUTCOME_BUSY;
    if (!taken)
        return true;
    const char *path = study_ledger(r->study, a, e);
    bool ok = path && (r->ledger = ledger_open(path, e)) && run_locked(r, d, t, p, data, outcome, a, e);
    ledger_close(r->ledger);
    lock_drop(&lock, r->trials, name);
    return ok;
}

bool study_trial(const Device *d, const Study *s, const Trial *t, TrainVisit *visit, void *arg, TrialOutcome *outcome,
                 TrialRow *row, Arena *a, Error *e)
{
    TrialPlan plan;
    DataSet data = {0};
    DataHash hash = {0};
    char *key = NEW(a, char, KEY_BYTES, e);
    Running r = {.study = s, .row = row, .begun = now_seconds(), .visit = visit, .arg = arg};
    r.noted = r.begun;
    if (!key || !trial_plan(&plan, s, t, a, e))
        return false;
    DataConfig config = plan.data;
    config.knock.count = 0; /* train_run does the knock-outs, so the data are loaded without them */
    bool loaded = dataset_load(&data, &config, a, e);
    if (loaded)
        data_hash(&hash, &data);
    const char *why = loaded ? "" : message_of(&r, e->message, a, &(Error){0});
    error_clear(e);
    bool ok = trial_key(key, &plan, t, &hash, a, e);
    *row = trial_row(&plan, t, key, TRIAL_RUNNING);
    row->message = why ? why : "";
    ok = ok && run_trial(&r, d, t, &plan, loaded ? &data : NULL, outcome, a, e);
    dataset_close(&data);
    return ok;
}
