/* recsys/train/checkpoint.c: checkpoint.safetensors: the state of a run as metadata, and the tensors of the store.
 *
 * Format 1 contains only parameters and their optimiser state, and does not name its format. Format 2 adds the tensors
 * of kept_new; it is written only for models that have such tensors. */
// flags: -Os
#include "recsys/metrics/metrics.h"
#include "recsys/train/train.h"

#include <math.h>

/* Formats the means of the figures, separated by blanks; "" if there are none. */
static const char *numbers_text(const Scores *s, Arena *scratch, Error *e)
{
    enum { WIDEST = 32 };
    size_t n = s->mean ? s->metrics * s->cutoffs : 0, used = 0;
    char *text = arena_alloc(scratch, n + 1, WIDEST, e);
    for (size_t i = 0; text && i < n; i++)
        used += (size_t)snprintf(text + used, WIDEST, i ? " %.17g" : "%.17g", s->mean[i]);
    return text;
}

static bool meta_number(SafetensorsOut *o, Arena *scratch, const char *key, double value, Error *e)
{
    const char *text = arena_printf(scratch, e, "%.17g", value);
    return text && safetensors_meta(o, key, text, e);
}

bool checkpoint_save(const char *path, const Model *m, const RunState *s, Arena *scratch, Error *e)
{
    ArenaMark mark = arena_mark(scratch);
    const char *valid = numbers_text(&s->valid, scratch, e), *test = numbers_text(&s->test, scratch, e);
    SafetensorsOut *o = valid && test ? safetensors_open(path, store_device(m->store)->heap, e) : NULL;
    bool ok = o && (!store_keeps(m->store) || safetensors_meta(o, "format", "2", e)) &&
              safetensors_meta(o, "model", m->kind->name, e) && meta_number(o, scratch, "epoch", (double)s->epoch, e) &&
              meta_number(o, scratch, "best_epoch", (double)s->stopping.best_epoch, e) &&
              meta_number(o, scratch, "best", s->stopping.best, e) &&
              meta_number(o, scratch, "unimproved", (double)s->stopping.unimproved, e) &&
              meta_number(o, scratch, "finished", s->finished, e) && safetensors_meta(o, "valid", valid, e) &&
              safetensors_meta(o, "test", test, e) &&
              safetensors_meta(o, "history", s->history.text ? s->history.text : "", e) &&
              store_declare(m->store, o, e) && store_save(m->store, o, e);
    if (ok)
        ok = safetensors_commit(o, e);
    else
        safetensors_discard(o);
    arena_rewind(scratch, mark);
    return ok;
}

static const char START_AGAIN[] = "remove the file to train from the start";

static bool read_number(const Json *meta, const char *key, const char *path, double *value, Error *e)
{
    const Json *j = json_get(meta, key);
    return (j && j->type == JSON_STRING && text_f64(j->text, value) && isfinite(*value)) ||
           fail(e, SP_FORMAT, "%s: metadata %s is missing or is not a number; %s", path, key, START_AGAIN);
}

static bool read_whole_number(const Json *meta, const char *key, const char *path, int64_t most, int64_t *value,
                              Error *e)
{
    double number = 0;
    if (!read_number(meta, key, path, &number, e))
        return false;
    if (number < 0 || number > (double)most || number != floor(number))
        return fail(e, SP_FORMAT, "%s: metadata %s: %g, a whole number from 0 to %lld is expected; %s", path, key,
                    number, (long long)most, START_AGAIN);
    *value = (int64_t)number;
    return true;
}

/* Reads the figures of the best epoch for one part of the data. `expected`: both a best epoch and the part exist. */
static bool read_scores(const EvalConfig *eval, const DataSet *d, const Json *meta, const char *key, const char *path,
                        bool expected, Scores *s, Arena *a, Error *e)
{
    const Json *j = json_get(meta, key);
    if (!expected)
        return true;
    if (!j || j->type != JSON_STRING)
        return fail(e, SP_FORMAT, "%s: metadata %s is missing; %s", path, key, START_AGAIN);
    size_t n, i = 0;
    if (!scores_make(s, d->protocol, eval, d, a, e))
        return false;
    n = s->metrics * s->cutoffs;
    for (Text rest = j->text, part; text_next(&rest, ' ', &part); i++)
        if (i >= n || !text_f64(part, &s->mean[i])) /* may be nan: 0 / 0 */
            return fail(e, SP_FORMAT, "%s: metadata %s does not hold %zu numbers; %s", path, key, n, START_AGAIN);
    return i == n ||
           fail(e, SP_FORMAT, "%s: metadata %s holds %zu numbers, %zu are expected; %s", path, key, i, n, START_AGAIN);
}

static bool read_history(const Json *meta, const char *path, History *h, Arena *a, Arena *scratch, Error *e)
{
    const char *text = json_cstring(json_get(meta, "history"));
    if (!text)
        return fail(e, SP_FORMAT, "%s: metadata history is missing; %s", path, START_AGAIN);
    const char *name = arena_printf(scratch, e, "%s: metadata history", path);
    return name && history_read(text_of(text), name, NULL, NULL, NULL, e) && history_add(h, text, a, e);
}

static bool check_format(const Json *meta, const char *path, Error *e)
{
    const Json *format = json_get(meta, "format");
    return !format || (format->type == JSON_STRING && (text_is(format->text, "1") || text_is(format->text, "2"))) ||
           fail(e, SP_FORMAT, "%s: metadata format: 1 or 2 is expected: another version of sapor wrote it; %s", path,
                START_AGAIN);
}

/* Refuses a checkpoint with numbers that are not finite: the run would continue from a step that had failed. */
static bool check_tensors(const Weights *w, const char *path, Error *e)
{
    enum { CHUNK = 4096 };
    float x[CHUNK];
    for (size_t i = 0; i < weights_count(w); i++) {
        const Array *a = weights_at(w, i);
        for (int64_t at = 0; !array_is_integer(a) && at < a->count; at += CHUNK) {
            int64_t n = MIN((int64_t)CHUNK, a->count - at);
            array_f32(a, at, n, x);
            for (int64_t k = 0; k < n; k++)
                if (!isfinite(x[k]))
                    return fail(e, SP_FORMAT, "%s: tensor %.*s: contains %g at position %lld; %s", path, (int)a->name.n,
                                a->name.p, (double)x[k], (long long)(at + k), START_AGAIN);
        }
    }
    return true;
}

/* Adds to the error of a general reader what the user must do with this file. */
static bool cannot_load(const char *path, Error *e)
{
    Error why = *e;
    Text words = text_of(why.message);
    if (why.code == SP_IO || why.code == SP_MEMORY)
        return false;
    if (text_starts(words, path)) { /* the message begins with "path: " or "path:line:column: " */
        size_t n = strlen(path) + 1;
        words = text_trim((Text){words.p + MIN(n, words.n), words.n - MIN(n, words.n)});
    }
    error_clear(e);
    return fail(e, why.code, "%s: cannot be loaded (%.*s); %s", path, (int)words.n, words.p, START_AGAIN);
}

bool checkpoint_load(const char *path, Model *m, const EvalConfig *eval, int64_t last, RunState *s, Arena *a,
                     Arena *scratch, Error *e)
{
    Weights *w = weights_open(path, a, e);
    if (!w)
        return cannot_load(path, e);
    const Json *meta = weights_metadata(w), *model = json_get(meta, "model");
    int64_t finished = 0;
    bool ok = check_format(meta, path, e) &&
              (json_is_text(model, m->kind->name) ||
               fail(e, SP_FORMAT, "%s: metadata model is missing or is not %s; %s", path, m->kind->name, START_AGAIN));
    ok =
        ok && read_whole_number(meta, "epoch", path, last, &s->epoch, e) &&
        read_whole_number(meta, "best_epoch", path, s->epoch, &s->stopping.best_epoch, e) &&
        read_number(meta, "best", path, &s->stopping.best, e) &&
        read_whole_number(meta, "unimproved", path, s->epoch, &s->stopping.unimproved, e) &&
        read_whole_number(meta, "finished", path, 1, &finished, e) &&
        read_scores(eval, m->data, meta, "valid", path, s->stopping.best_epoch && m->data->valid.start, &s->valid, a,
                    e) &&
        read_scores(eval, m->data, meta, "test", path, s->stopping.best_epoch && m->data->test.start, &s->test, a, e) &&
        read_history(meta, path, &s->history, a, scratch, e) && check_tensors(w, path, e) &&
        (store_load(m->store, w, e) || cannot_load(path, e));
    weights_close(w);
    s->finished = finished != 0;
    return ok;
}
