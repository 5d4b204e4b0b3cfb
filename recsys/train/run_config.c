/* recsys/train/run_config.c: reads config.json and result.json of a run folder. They are checked like any other input:
 * every value before it is used. Each error names the file, the line and the key. */
// flags: -Os
#include "recsys/train/train.h"

#include <math.h>

typedef struct ConfigReader {
    const char *path;
    const Json *object;
    const char *within; /* prefix of keys in messages: "data." inside that object, else "" */
} ConfigReader;

static const char *const KINDS[] = {"null", "true or false", "a number", "a string", "a list", "an object"};

/* Fails because the key is missing, or because its value is not as expected. */
static bool wrong_kind(const ConfigReader *r, const char *key, const Json *j, const char *expected, Error *e)
{
    if (!j)
        return fail(e, SP_FORMAT, "%s: key %s%s is missing; train again", r->path, r->within, key);
    if (j->type == JSON_NUMBER)
        return fail(e, SP_FORMAT, "%s:%u: key %s%s: %.*s, %s is expected; train again", r->path, (unsigned)j->line,
                    r->within, key, (int)MIN(j->text.n, (size_t)40), j->text.p, expected);
    return fail(e, SP_FORMAT, "%s:%u: key %s%s: is %s, %s is expected; train again", r->path, (unsigned)j->line,
                r->within, key, KINDS[j->type], expected);
}

static const Json *need(const ConfigReader *r, const char *key, JsonType type, Error *e)
{
    const Json *j = json_get(r->object, key);
    if (j && j->type == type)
        return j;
    wrong_kind(r, key, j, KINDS[type], e);
    return NULL;
}

static const char *need_text(const ConfigReader *r, const char *key, Error *e)
{
    const Json *j = need(r, key, JSON_STRING, e);
    const char *text = j ? json_cstring(j) : NULL;
    if (j && (!text || !*text))
        fail(e, SP_FORMAT, "%s:%u: key %s%s: is empty or holds a NUL byte; train again", r->path, (unsigned)j->line,
             r->within, key);
    return text && *text ? text : NULL;
}

/* Reads a path or null; null means that the run did not have this part. */
static bool read_path(const ConfigReader *r, const char *key, const char **path, Error *e)
{
    const Json *j = json_get(r->object, key);
    *path = NULL;
    return (j && j->type == JSON_NULL) || (*path = need_text(r, key, e));
}

static bool read_count(const ConfigReader *r, const char *key, int64_t least, int64_t *value, Error *e)
{
    const Json *j = json_get(r->object, key);
    if (j && j->type == JSON_NUMBER && json_i64(j, value) && *value >= least)
        return true;
    return wrong_kind(r, key, j, least ? "a whole number of at least 1" : "a whole number of at least 0", e);
}

static bool read_word(const ConfigReader *r, const char *key, const char *const *words, size_t n, const char *expected,
                      size_t *which, Error *e)
{
    const char *text = need_text(r, key, e);
    for (*which = 0; text && *which < n; ++*which)
        if (!strcmp(text, words[*which]))
            return true;
    return text && fail(e, SP_FORMAT, "%s:%u: key %s: \"%.60s\", %s is expected; train again", r->path,
                        (unsigned)json_get(r->object, key)->line, key, text, expected);
}

/* `columns` and `separator` are missing if the user did not give them. */
static bool read_layout(Layout *layout, const ConfigReader *r, Error *e)
{
    const Json *separator = json_get(r->object, "separator");
    if (json_get(r->object, "columns") && !(layout->columns = need_text(r, "columns", e)))
        return false;
    const char *text = separator ? need_text(r, "separator", e) : NULL;
    return !separator || (text && (layout_separator(text, &layout->separator) ||
                                   fail(e, SP_FORMAT, "%s:%u: key separator: \"%.60s\" is not a separator; train again",
                                        r->path, (unsigned)separator->line, text)));
}

static bool read_features(RunConfig *c, const ConfigReader *r, Arena *a, Error *e)
{
    const Json *list = need(r, "features", JSON_ARRAY, e);
    const char **specs = list ? NEW(a, const char *, list->count, e) : NULL;
    if (!specs)
        return false;
    for (const Json *f = list->first; f; f = f->next) {
        const char *text = json_cstring(f), *equals = text ? strchr(text, '=') : NULL;
        if (!equals || equals == text || !equals[1])
            return fail(e, SP_FORMAT, "%s:%u: key features: each must be a string NAME=PATH; train again", r->path,
                        (unsigned)f->line);
        specs[c->train.data.feature_count++] = text;
    }
    c->train.data.features = specs;
    return true;
}

/* `missing_features`, and `knock` with `mode`, are missing if the user did not give them. */
static bool read_replaced(RunConfig *c, const ConfigReader *r, Arena *a, Error *e)
{
    DataConfig *d = &c->train.data;
    size_t word = 0;
    if (json_get(r->object, "missing_features") &&
        !read_word(r, "missing_features", gap_names, GAPS_COUNT, "error, drop, zero or mean", &word, e))
        return false;
    d->gaps = (Gaps)word;
    if (!json_get(r->object, "knock"))
        return true;
    const Json *list = need(r, "knock", JSON_ARRAY, e);
    const char **names = list ? NEW(a, const char *, list->count, e) : NULL;
    if (!names || !read_word(r, "mode", knock_modes, KNOCK_MODES, "noise, zero, one, mean or shuffle", &word, e))
        return false;
    for (const Json *n = list->first; n; n = n->next)
        if (!(names[d->knock.count++] = json_cstring(n)))
            return fail(e, SP_FORMAT, "%s:%u: key knock: each must be the name of a modality; train again", r->path,
                        (unsigned)n->line);
    d->knock = (Knock){names, d->knock.count, (KnockMode)word, c->train.seed};
    return true;
}

/* Reads keys and values with the tables of settings, as `train --set` does. */
static bool read_settings(RunConfig *c, const ConfigReader *r, Arena *a, Error *e)
{
    const Json *settings = need(r, "settings", JSON_OBJECT, e);
    const char **set = settings ? NEW(a, const char *, settings->count, e) : NULL;
    if (!set)
        return false;
    for (const Json *s = settings->first; s; s = s->next) {
        const char *value = json_cstring(s);
        if (!value || memchr(s->key.p, 0, s->key.n) || memchr(s->key.p, '=', s->key.n))
            return fail(e, SP_FORMAT, "%s:%u: setting %.*s: its value must be a string; train again", r->path,
                        (unsigned)s->line, (int)MIN(s->key.n, (size_t)40), s->key.p);
        if (!(set[c->train.set_count++] = arena_printf(a, e, "%.*s=%s", (int)s->key.n, s->key.p, value)))
            return false;
    }
    c->train.set = set;
    Measures measures;
    c->settings = settings_make(c->kind, c->train.data.protocol, set, c->train.set_count, a, e);
    if (c->settings && measures_read(&measures, c->settings, c->train.data.protocol, a, e))
        return true;
    error_prefix(e, "%s: ", r->path);
    return false;
}

static const Json *read_object(const char *dir, const char *name, const char **path, Arena *a, Error *e)
{
    Text source;
    const Json *j = (*path = path_join(a, dir, name, e)) && file_read(&source, a, *path, 16 << 20, e)
                        ? json_parse(a, source, *path, e)
                        : NULL;
    if (j && j->type != JSON_OBJECT) {
        fail(e, SP_FORMAT, "%s: is %s, an object is expected; train again", *path, KINDS[j->type]);
        return NULL;
    }
    return j;
}

bool run_config_read(RunConfig *c, const char *dir, Arena *a, Error *e)
{
    *c = (RunConfig){0};
    ConfigReader r = {.within = ""};
    const char *file = path_join(a, dir, "config.json", e), *format;
    size_t protocol = 0;
    if (!file)
        return false;
    if (!file_exists(file))
        return fail(e, SP_IO, "%s: is not a run folder (no config.json); `sapor train MODEL --out %s` makes one", dir,
                    dir);
    if (!(r.object = read_object(dir, "config.json", &r.path, a, e)) || !(c->train.model = need_text(&r, "model", e)))
        return false;
    c->path = r.path;
    if (!(c->kind = recommender_find(c->train.model)))
        return fail(e, SP_FORMAT, "%s:%u: key model: unknown recommender \"%.60s\"; `sapor models` lists them", r.path,
                    (unsigned)json_get(r.object, "model")->line, c->train.model);
    int64_t seed = 0;
    if (!read_word(&r, "protocol", protocol_names, COUNT(protocol_names), "elliot or mmrec", &protocol, e) ||
        !read_count(&r, "seed", 0, &seed, e) || !read_path(&r, "train", &c->train.data.train, e) ||
        !read_path(&r, "valid", &c->train.data.valid, e) || !read_path(&r, "test", &c->train.data.test, e) ||
        !(format = need_text(&r, "format", e)))
        return false;
    c->train.data.protocol = (Protocol)protocol;
    c->train.seed = (uint64_t)seed;
    c->train.data.format = format_find(format);
    if ((int)c->train.data.format < 0)
        return fail(e, SP_FORMAT, "%s:%u: key format: unknown format \"%.60s\"; train again", r.path,
                    (unsigned)json_get(r.object, "format")->line, format);
    ConfigReader data = {r.path, need(&r, "data", JSON_OBJECT, e), "data."};
    return data.object && read_layout(&c->train.data.layout, &r, e) && read_count(&data, "users", 1, &c->users, e) &&
           read_count(&data, "items", 1, &c->items, e) && read_count(&data, "train", 1, &c->pairs, e) &&
           read_features(c, &r, a, e) && read_replaced(c, &r, a, e) && read_settings(c, &r, a, e);
}

/* ---- the result ------------------------------------------------------------------------------ */

static bool read_figures(const ConfigReader *r, const char *key, const Json **figures, Error *e)
{
    if (!(*figures = need(r, key, JSON_OBJECT, e)))
        return false;
    for (const Json *f = (*figures)->first; f; f = f->next)
        if (f->type != JSON_NULL && (f->type != JSON_NUMBER || !isfinite(f->number)))
            return fail(e, SP_FORMAT, "%s:%u: key %s.%.*s: a number is expected; train again", r->path,
                        (unsigned)f->line, key, (int)MIN(f->key.n, (size_t)40), f->key.p);
    return true;
}

bool run_result_read(RunResult *result, const RunConfig *c, const char *dir, Arena *a, Error *e)
{
    static const char *const PARTS[] = {"test", "valid"};
    ConfigReader r = {.within = ""};
    size_t part = 0;
    *result = (RunResult){0};
    const char *file = path_join(a, dir, "result.json", e);
    if (!file)
        return false;
    if (!file_exists(file))
        return fail(e, SP_IO,
                    "%s: its training is not finished (no result.json); the same `sapor train` command resumes it, "
                    "and `sapor recommend --unfinished` uses its best epoch so far",
                    dir);
    if (!(r.object = read_object(dir, "result.json", &r.path, a, e)))
        return false;
    result->object = r.object;
    const char *model = need_text(&r, "model", e);
    if (!model)
        return false;
    if (recommender_find(model) != c->kind)
        return fail(e, SP_FORMAT, "%s: key model: \"%.60s\", but config.json says %s; train again", r.path, model,
                    c->kind->name);
    /* the key judged_by names the part (test or valid) whose figures per user are in by_user.tsv */
    if (RUNS_HAVE_BY_USER && json_get(r.object, "judged_by")) {
        if (!read_word(&r, "judged_by", PARTS, COUNT(PARTS), "test or valid", &part, e) ||
            !(result->truth_hash = need_text(&r, "truth_hash", e)))
            return false;
        result->evaluated_part = PARTS[part];
    }
    return read_count(&r, "best_epoch", 0, &result->best_epoch, e) && read_count(&r, "epochs", 0, &result->epochs, e) &&
           read_figures(&r, "valid", &result->valid, e) && read_figures(&r, "test", &result->test, e);
}
