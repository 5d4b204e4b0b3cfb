/* recsys/search/study_json.c: writes and reads a study as the JSON text in its ledger (docs/formats.md). */
// flags: -Os
#include "recsys/search/ledger.h"

#include <math.h>
#include <stdlib.h>

const char *const distribution_names[DIST_COUNT] = {"choice",      "randint", "uniform", "quniform",  "loguniform",
                                                    "qloguniform", "normal",  "qnormal", "lognormal", "qlognormal"};
static const char *const SEARCHES[] = {"grid", "random", "tpe"};

/* ---- writing --------------------------------------------------------------------------------- */

static void put_data(JsonWriter *w, const Study *s)
{
    json_array(w, "data");
    for (size_t i = 0; i < s->data_count; i++) {
        const StudyData *d = &s->data[i];
        json_object(w, NULL);
        json_put_string(w, "name", d->name);
        json_put_string(w, "setting", d->setting);
        json_put_string(w, "fold", d->fold);
        json_put_string(w, "absent", d->absent);
        json_end(w);
    }
    json_end(w);
}

static void put_dimension(JsonWriter *w, const Dimension *d)
{
    json_object(w, NULL);
    json_put_string(w, "key", d->key);
    json_put_string(w, "how", distribution_names[d->distribution]);
    if (d->distribution == DIST_CHOICE) {
        json_array(w, "values");
        for (size_t i = 0; i < d->count; i++)
            json_put_string(w, NULL, d->values[i]);
        json_end(w);
    } else {
        json_put_number(w, "low", "%.17g", d->low);
        json_put_number(w, "high", "%.17g", d->high);
        json_put_number(w, "q", "%.17g", d->q);
    }
    json_end(w);
}

static void put_model(JsonWriter *w, const StudyModel *m)
{
    json_object(w, NULL);
    json_put_string(w, "name", m->name);
    json_put_string(w, "recommender", m->kind->name);
    json_put_string(w, "search", SEARCHES[m->search]);
    json_put_i64(w, "evals", m->evals);
    json_array(w, "seeds"); /* as texts, because numbers of JSON are exact only up to 2^53 */
    for (size_t i = 0; i < m->seed_count; i++) {
        char seed[24];
        snprintf(seed, sizeof seed, "%llu", (unsigned long long)m->seeds[i]);
        json_put_string(w, NULL, seed);
    }
    json_end(w);
    json_array(w, "settings");
    for (size_t i = 0; i < m->set_count; i++)
        json_put_string(w, NULL, m->set[i]);
    json_end(w);
    json_array(w, "dimensions");
    for (size_t i = 0; i < m->dim_count; i++)
        put_dimension(w, &m->dims[i]);
    json_end(w);
    json_put_i64(w, "save_recs", m->save_recs);
    json_put_bool(w, "save_weights", m->save_weights);
    json_end(w);
}

static void put_study(FILE *f, const void *study)
{
    const Study *s = study;
    JsonWriter w = {.to = f};
    json_object(&w, NULL);
    json_members(&w, "name %s system %s metric %s cutoff %lld select %s", s->name, s->system, s->metric,
                 (long long)s->cutoff, study_selects[s->select]);
    json_put_bool(&w, "t_test", s->t_test);
    json_put_bool(&w, "wilcoxon", s->wilcoxon);
    json_array(&w, "metrics");
    for (size_t i = 0; i < s->eval.metric_count; i++)
        json_put_string(&w, NULL, s->eval.metrics[i]);
    json_end(&w);
    json_array(&w, "cutoffs");
    for (size_t i = 0; i < s->eval.cutoff_count; i++)
        json_put_i64(&w, NULL, s->eval.cutoffs[i]);
    json_end(&w);
    put_data(&w, s);
    json_array(&w, "models");
    for (size_t i = 0; i < s->model_count; i++)
        put_model(&w, &s->models[i]);
    json_finish(&w);
}

const char *study_json(const Study *s, Arena *a, Error *e)
{
    return arena_written(put_study, s, a, e);
}

/* ---- reading --------------------------------------------------------------------------------- */

typedef struct StudyReader {
    const char *name; /* name of the file, for messages */
    Arena *arena;
} StudyReader;

static bool refuse(const StudyReader *r, const char *key, const char *expected, Error *e)
{
    return fail(e, SP_FORMAT, "%s: the study's description%s%s: %s is expected", r->name, key ? ", key " : "",
                key ? key : "", expected);
}

/* Checks a name: names are shown on terminals and are parts of keys. */
static bool is_plain(const char *text)
{
    for (; text && *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

static bool read_text(const StudyReader *r, const Json *object, const char *key, bool may_be_null, const char **text,
                      Error *e)
{
    const Json *j = json_get(object, key);
    *text = json_cstring(j);
    if (!is_plain(*text))
        return refuse(r, key, "a text without control characters", e);
    return *text || (j && j->type == JSON_NULL && may_be_null) || refuse(r, key, "a text", e);
}

static bool read_word(const StudyReader *r, const Json *object, const char *key, const char *const *words, size_t n,
                      int *word, Error *e)
{
    const char *text;
    if (!read_text(r, object, key, false, &text, e))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!strcmp(words[i], text)) {
            *word = (int)i;
            return true;
        }
    return refuse(r, key, "a known word", e);
}

static bool read_whole(const StudyReader *r, const Json *object, const char *key, int64_t *value, Error *e)
{
    return (json_i64(json_get(object, key), value) && *value >= 0) || refuse(r, key, "a whole number, 0 or more,", e);
}

static bool read_bool(const StudyReader *r, const Json *object, const char *key, bool *value, Error *e)
{
    const Json *j = json_get(object, key);
    *value = json_is_true(j);
    return (j && j->type == JSON_BOOL) || refuse(r, key, "true or false", e);
}

static bool read_number(const StudyReader *r, const Json *object, const char *key, double *value, Error *e)
{
    const Json *j = json_get(object, key);
    bool ok = j && j->type == JSON_NUMBER && isfinite(j->number);
    *value = ok ? j->number : 0;
    return ok || refuse(r, key, "a number", e);
}

/* Reads an array: its first element and its length. */
static bool read_array(const StudyReader *r, const Json *object, const char *key, const Json **first, size_t *count,
                       Error *e)
{
    const Json *j = json_get(object, key);
    if (!j || j->type != JSON_ARRAY)
        return refuse(r, key, "a list", e);
    *first = j->first;
    *count = j->count;
    return true;
}

static bool read_texts(const StudyReader *r, const Json *object, const char *key, const char *const **texts,
                       size_t *count, Error *e)
{
    const Json *j = NULL;
    if (!read_array(r, object, key, &j, count, e))
        return false;
    const char **list = NEW(r->arena, const char *, *count, e);
    if (!list)
        return false;
    *texts = list;
    for (; j; j = j->next)
        if (!(*list = json_cstring(j)) || !is_plain(*list++))
            return refuse(r, key, "a list of texts without control characters", e);
    return true;
}

static bool read_data(const StudyReader *r, const Json *root, Study *s, Error *e)
{
    const Json *j = NULL;
    if (!read_array(r, root, "data", &j, &s->data_count, e))
        return false;
    StudyData *d = NEW(r->arena, StudyData, s->data_count, e);
    s->data = d;
    for (; d && j; j = j->next, d++)
        if (!read_text(r, j, "name", false, &d->name, e) || !read_text(r, j, "setting", false, &d->setting, e) ||
            !read_text(r, j, "fold", false, &d->fold, e) || !read_text(r, j, "absent", true, &d->absent, e))
            return false;
    return s->data != NULL;
}

static bool read_dimensions(const StudyReader *r, const Json *model, StudyModel *m, Error *e)
{
    const Json *j = NULL;
    int how = 0;
    if (!read_array(r, model, "dimensions", &j, &m->dim_count, e))
        return false;
    Dimension *d = NEW(r->arena, Dimension, m->dim_count, e);
    m->dims = d;
    for (; d && j; j = j->next, d++) {
        if (!read_text(r, j, "key", false, &d->key, e) ||
            !read_word(r, j, "how", distribution_names, DIST_COUNT, &how, e))
            return false;
        d->distribution = (Distribution)how;
        bool ok = d->distribution == DIST_CHOICE
                      ? read_texts(r, j, "values", &d->values, &d->count, e)
                      : read_number(r, j, "low", &d->low, e) && read_number(r, j, "high", &d->high, e) &&
                            read_number(r, j, "q", &d->q, e);
        if (!ok)
            return false;
    }
    return m->dims != NULL;
}

static bool read_seeds(const StudyReader *r, const Json *model, StudyModel *m, Error *e)
{
    const char *const *texts;
    if (!read_texts(r, model, "seeds", &texts, &m->seed_count, e))
        return false;
    uint64_t *seeds = NEW(r->arena, uint64_t, m->seed_count, e);
    m->seeds = seeds;
    for (size_t i = 0; seeds && i < m->seed_count; i++) {
        char *end;
        seeds[i] = strtoull(texts[i], &end, 10);
        if (strspn(texts[i], "0123456789") != strlen(texts[i]) || end == texts[i] || strlen(texts[i]) > 20)
            return refuse(r, "seeds", "a list of whole numbers", e);
    }
    return seeds && (m->seed_count > 0 || refuse(r, "seeds", "a list that is not empty", e));
}

static bool read_models(const StudyReader *r, const Json *root, Study *s, Error *e)
{
    const Json *j = NULL;
    if (!read_array(r, root, "models", &j, &s->model_count, e))
        return false;
    StudyModel *m = NEW(r->arena, StudyModel, s->model_count, e);
    s->models = m;
    for (; m && j; j = j->next, m++) {
        const char *kind;
        int search = 0;
        if (!read_text(r, j, "name", false, &m->name, e) || !read_text(r, j, "recommender", false, &kind, e) ||
            !read_word(r, j, "search", SEARCHES, COUNT(SEARCHES), &search, e) ||
            !read_whole(r, j, "evals", &m->evals, e) || !read_seeds(r, j, m, e) ||
            !read_texts(r, j, "settings", &m->set, &m->set_count, e) || !read_dimensions(r, j, m, e) ||
            !read_whole(r, j, "save_recs", &m->save_recs, e) || !read_bool(r, j, "save_weights", &m->save_weights, e))
            return false;
        m->kind = recommender_find(kind);
        m->search = (SearchKind)search;
    }
    return s->models != NULL;
}

static bool read_eval(const StudyReader *r, const Json *root, Study *s, Error *e)
{
    const Json *j = NULL;
    if (!read_texts(r, root, "metrics", &s->eval.metrics, &s->eval.metric_count, e) ||
        !read_array(r, root, "cutoffs", &j, &s->eval.cutoff_count, e))
        return false;
    int64_t *at = NEW(r->arena, int64_t, s->eval.cutoff_count, e);
    s->eval.cutoffs = at;
    for (; at && j; j = j->next)
        if (!json_i64(j, at++))
            return refuse(r, "cutoffs", "a list of whole numbers", e);
    return at != NULL;
}

bool study_parse(Study *s, Text json, const char *name, Arena *a, Error *e)
{
    StudyReader r = {name, a};
    int select = 0;
    *s = (Study){.source = "", .out = ""};
    const Json *root = json_parse(a, json, name, e);
    if (!root)
        return false;
    if (root->type != JSON_OBJECT)
        return refuse(&r, NULL, "an object", e);
    bool ok = read_text(&r, root, "name", false, &s->name, e) && read_text(&r, root, "system", false, &s->system, e) &&
              read_text(&r, root, "metric", false, &s->metric, e) && read_whole(&r, root, "cutoff", &s->cutoff, e) &&
              read_word(&r, root, "select", study_selects, COUNT(study_selects), &select, e) &&
              read_bool(&r, root, "t_test", &s->t_test, e) && read_bool(&r, root, "wilcoxon", &s->wilcoxon, e) &&
              read_eval(&r, root, s, e) && read_data(&r, root, s, e) && read_models(&r, root, s, e);
    s->select = (StudySelect)select;
    return ok;
}
