/* recsys/protocols/elliot_meta.c: the keys that all models of an Elliot configuration have: meta, epochs, batch_size,
 * seed, early_stopping, the search. */
// flags: -Os
#include "recsys/protocols/elliot.h"

#include <strings.h>

enum { MOST_MODELS = 1000, MOST_EVALS = 1 << 20 };

/* ---- the name of a model --------------------------------------------------------------------- */

/* Returns the recommender with the most similar name, ignoring "external."; NULL: none is similar. */
static const char *near_model(const char *const *names, size_t n, const char *name, Arena *a, Error *e)
{
    static const char prefix[] = "external.";
    const char **bare = NEW(a, const char *, n, e);
    const Recommender *same = recommender_find(name); /* the recommender by its other name */
    for (size_t i = 0; same && i < n; i++)
        if (recommender_find(names[i]) == same)
            return names[i];
    for (size_t i = 0; bare && i < n; i++)
        bare[i] = names[i] + (strncmp(names[i], prefix, sizeof prefix - 1) ? 0 : sizeof prefix - 1);
    const char *near =
        bare ? nearest_word(name + (strncmp(name, prefix, sizeof prefix - 1) ? 0 : sizeof prefix - 1), bare, n, a)
             : NULL;
    for (size_t i = 0; near && i < n; i++)
        if (!strcmp(bare[i], near))
            return names[i];
    return NULL;
}

static bool unknown_model(const Keys *models, const Yaml *y)
{
    const char *names[ELLIOT_KINDS];
    size_t n = elliot_kind_names(names, models->arena, models->e);
    const char *all = n ? key_words(models, names, n) : NULL;
    const char *near = all ? near_model(names, n, y->key.p, models->arena, models->e) : NULL;
    if (!all)
        return false;
    if (text_is(y->key, "RecommendationFolder") || text_is(y->key, "ProxyRecommender"))
        return fail(
            models->e, SP_FORMAT,
            "%s: %s.%s: found a reader of lists; allowed is %s; `sapor evaluate` measures lists of other systems",
            y->where, models->path, y->key.p, all);
    return fail(models->e, SP_FORMAT, "%s: %s.%.60s: found an unknown recommender%s%s%s allowed is %s", y->where,
                models->path, y->key.p, near ? "; did you mean " : ";", near ? near : "", near ? "?" : "", all);
}

/* Checks that the data have features if the recommender needs them. */
static bool check_features(ElliotReader *r)
{
    if (!r->to->kind->needs_features || r->x->modality_count)
        return true;
    return fail(r->e, SP_FORMAT,
                "%s: %s: found a recommender that needs features; give them in data_config.side_information",
                r->k.map ? r->k.map->where : "models", r->k.path);
}

/* ---- meta ------------------------------------------------------------------------------------ */

/* Finds a metric of simple_metrics by its name, in upper or lower case. */
static bool is_metric(const Elliot *x, const Study *s, Text name, const char **found)
{
    for (size_t i = 0; i < x->simple_count; i++)
        if (strlen(s->eval.metrics[i]) == name.n && !strncasecmp(s->eval.metrics[i], name.p, name.n)) {
            *found = s->eval.metrics[i];
            return true;
        }
    return false;
}

/* Reads "Recall@20"; missing parts are the first metric and the first cutoff. */
static bool read_measure(ElliotReader *r, const Keys *k, const char *key, const char **metric, int64_t *cutoff)
{
    const Study *s = r->study;
    const Yaml *y = key_get(k, key);
    *metric = *metric ? *metric : s->eval.metrics[0];
    *cutoff = *cutoff ? *cutoff : s->eval.cutoffs[0];
    if (!y)
        return true;
    Text rest = y->type == YAML_TEXT ? y->text : (Text){0}, name = {0};
    bool ok = rest.n && text_next(&rest, '@', &name) && is_metric(r->x, s, name, metric), one = false;
    if (ok && rest.p && name.n < y->text.n)
        ok = text_i64(rest, cutoff);
    for (size_t i = 0; i < s->eval.cutoff_count; i++)
        one = one || s->eval.cutoffs[i] == *cutoff;
    return (ok && one) || key_refuse(k, key, y,
                                     "a name of evaluation.simple_metrics, @, and one of evaluation.cutoffs, "
                                     "as in %s@%lld",
                                     s->eval.metrics[0], (long long)s->eval.cutoffs[0]);
}

/* Reads the metric of the study: that of its first model that is trained or searched. */
static bool read_metric(ElliotReader *r, const Keys *meta)
{
    Study *s = r->study;
    const char *metric = NULL;
    int64_t cutoff = 0;
    if (!read_measure(r, meta, "validation_metric", &metric, &cutoff))
        return false;
    if (r->m->kind->batch == BATCH_NONE && !r->to->dim_count)
        return true;
    if (s->metric && (strcmp(s->metric, metric) != 0 || s->cutoff != cutoff)) {
        static const char same[] = "as in the models before: a configuration must have one validation metric";
        const Yaml *y = key_get(meta, "validation_metric");
        return y ? key_refuse(meta, "validation_metric", y, "%s@%lld, %s", s->metric, (long long)s->cutoff, same)
                 : key_missing(meta, "validation_metric",
                               arena_printf(r->a, r->e, "%s@%lld, %s", s->metric, (long long)s->cutoff, same));
    }
    s->metric = metric;
    s->cutoff = cutoff;
    return true;
}

static bool read_search(ElliotReader *r, const Keys *meta)
{
    static const char *const names[] = {"grid", "rand", "tpe"};
    StudyModel *m = r->to;
    size_t how = 0;
    int64_t evals = 0;
    const Yaml *y = key_get(meta, "hyper_max_evals");
    if (!key_word(meta, "hyper_opt_alg", names, COUNT(names), &how) ||
        !key_i64(meta, "hyper_max_evals", 1, MOST_EVALS, &evals))
        return false;
    if (m->dim_count == 0)
        return true; /* a single point needs no search */
    if (!r->product && !y)
        return key_missing(meta, "hyper_max_evals", "a whole number of at least 1, as a distribution has no end");
    m->evals = evals ? evals : r->points;
    m->search = how == 1 ? SEARCH_RANDOM : how == 2 ? SEARCH_TPE : SEARCH_GRID;
    /* Elliot's grid draws points without repetition: some or all of them */
    if (m->search == SEARCH_GRID && (!r->product || m->evals < r->points))
        m->search = SEARCH_RANDOM;
    if (m->search == SEARCH_GRID)
        m->evals = 0;
    return true;
}

static bool refuse_true(const Keys *k, const char *key, const char *allowed)
{
    bool value = false;
    return key_bool(k, key, &value) && (!value || key_refuse(k, key, key_get(k, key), "%s", allowed));
}

static bool read_meta(ElliotReader *r)
{
    static const KeyRow rows[] = {
        {"hyper_opt_alg", KEY_READ, NULL},
        {"hyper_max_evals", KEY_READ, NULL},
        {"validation_rate", KEY_READ, NULL},
        {"validation_metric", KEY_READ, NULL},
        {"save_weights", KEY_READ, NULL},
        {"save_recs", KEY_READ, NULL},
        {"optimize_internal_loss", KEY_READ, NULL},
        {"restore", KEY_READ, NULL},
        {"verbose", KEY_IDLE, "progress is shown as the command's options say"},
    };
    Keys meta;
    bool recs = false, restore = false;
    r->rate = 1;
    if (!keys_map(&meta, &r->k, "meta") || !KEYS_CHECK(&meta, rows) || !read_search(r, &meta) ||
        !read_metric(r, &meta) || !key_i64(&meta, "validation_rate", 1, INT32_MAX, &r->rate) ||
        !key_bool(&meta, "save_weights", &r->to->save_weights) || !key_bool(&meta, "save_recs", &recs) ||
        !key_bool(&meta, "restore", &restore) ||
        !refuse_true(&meta, "optimize_internal_loss", "False: validation_metric chooses the best epoch"))
        return false;
    r->to->save_recs = recs ? r->x->top_k : 0;
    return !restore ||
           keys_note(&meta, key_get(&meta, "restore"),
                     "%s.restore: finished trials are always taken from the ledger, the others are trained", meta.path);
}

/* ---- epochs, batches, early stopping --------------------------------------------------------- */

/* Refuses epochs below validation_rate, because Elliot does not evaluate a run that ends before the first evaluation.
 * Adds the setting validation_rate. */
static bool check_epochs(ElliotReader *r)
{
    const ElliotParam *p = elliot_param(r->m->kind, PARAM_EPOCHS);
    int dim = r->m->dim[PARAM_EPOCHS];
    size_t n = dim < 0 ? 1 : r->dims[dim].count;
    for (size_t i = 0; i < n; i++) {
        int64_t epochs = 0;
        const char *text = dim < 0 ? r->m->printed[PARAM_EPOCHS] : r->dims[dim].values[i];
        if (text_i64(text_of(text), &epochs) && epochs < r->rate) {
            const Yaml *y = key_get(&r->k, p->key);
            const char *allowed =
                arena_printf(r->a, r->e, "at least validation_rate, which is %lld", (long long)r->rate);
            return allowed && (y ? key_refuse(&r->k, p->key, y, "%s", allowed) : key_missing(&r->k, p->key, allowed));
        }
    }
    const char *rate = arena_printf(r->a, r->e, "validation_rate=%lld", (long long)r->rate);
    r->set[r->to->set_count++] = rate;
    return rate != NULL;
}

/* Reads epochs and batch_size. A batch size below 1 means all train pairs or users: elliot_batches sets it. */
static bool read_base(ElliotReader *r)
{
    const Yaml *y = key_get(&r->k, "batch_size");
    int64_t size;
    bool every = !y || (y->type == YAML_TEXT && text_i64(y->text, &size) && size < 1);
    r->m->dim[PARAM_BATCH] = -1;
    if (every)
        r->m->batch_place = &r->set[r->to->set_count++];
    return elliot_read_param(r, PARAM_EPOCHS, elliot_param(r->m->kind, PARAM_EPOCHS)) &&
           (every || elliot_read_param(r, PARAM_BATCH, elliot_param(r->m->kind, PARAM_BATCH)));
}

static bool read_stopping(ElliotReader *r)
{
    static const char no_delta[] = "no such key: it stops Elliot at evaluation patience + 1; only patience is read";
    static const KeyRow rows[] = {{"patience", KEY_READ, NULL},
                                  {"monitor", KEY_READ, NULL},
                                  {"mode", KEY_READ, NULL},
                                  {"min_delta", KEY_REFUSED, no_delta},
                                  {"rel_delta", KEY_REFUSED, no_delta},
                                  {"baseline", KEY_REFUSED, "no such key: only patience is read"},
                                  {"verbose", KEY_IDLE, "epochs are shown as the command's options say"}};
    static const char *const modes[] = {"auto"};
    Keys k;
    size_t mode;
    int64_t patience = 0, cutoff = r->study->cutoff;
    const char *metric = r->study->metric;
    if (!keys_map(&k, &r->k, "early_stopping") || !KEYS_CHECK(&k, rows) ||
        !key_i64(&k, "patience", 0, INT32_MAX, &patience) || !key_word(&k, "mode", modes, 1, &mode))
        return false;
    const Yaml *monitor = key_get(&k, "monitor");
    if (monitor && monitor->type == YAML_TEXT && text_is(monitor->text, "loss"))
        return key_refuse(&k, "monitor", monitor, "%s@%lld, the validation_metric", metric, (long long)cutoff);
    if (!read_measure(r, &k, "monitor", &metric, &cutoff))
        return false;
    if (strcmp(metric, r->study->metric) != 0 || cutoff != r->study->cutoff)
        return key_refuse(&k, "monitor", monitor, "%s@%lld, the validation_metric", r->study->metric,
                          (long long)r->study->cutoff);
    const char *set = arena_printf(r->a, r->e, "patience=%lld", (long long)patience);
    r->set[r->to->set_count++] = set;
    return set != NULL;
}

static bool read_seed(ElliotReader *r)
{
    bool random = !strcmp(r->m->kind->name, "Random");
    const char *key = random ? "random_seed" : "seed";
    const Yaml *y = key_get(&r->k, key);
    uint64_t *seeds = NEW(r->a, uint64_t, 1, r->e);
    r->m->seed = 42;
    if (!seeds)
        return false;
    if (y && y->type == YAML_LIST)
        return key_refuse(&r->k, key, y, "one number: with a list Elliot searches for the seed with the best figure");
    if (!key_i64(&r->k, key, 0, UINT32_MAX, &r->m->seed))
        return false;
    seeds[0] = (uint64_t)r->m->seed;
    r->to->seeds = seeds;
    r->to->seed_count = 1;
    return true;
}

/* ---- one model ------------------------------------------------------------------------------- */

static bool check_keys(const ElliotReader *r)
{
    static const char idle[] = "this recommender learns nothing";
    bool learns = r->m->kind->batch != BATCH_NONE;
    KeyRow rows[ELLIOT_PARAMS + 8] = {{"meta", KEY_READ, NULL}};
    static const char *const base[] = {"epochs", "batch_size", "seed", "early_stopping"};
    size_t n = 1;
    for (size_t i = 0; i < COUNT(base); i++)
        rows[n++] = (KeyRow){base[i], learns ? KEY_READ : KEY_IDLE, learns ? NULL : idle};
    for (size_t i = PARAM_OWN; elliot_param(r->m->kind, i); i++)
        rows[n++] = (KeyRow){elliot_param(r->m->kind, i)->key, KEY_READ, NULL};
    return keys_check(&r->k, rows, n);
}

static bool read_params(ElliotReader *r)
{
    size_t room = ELLIOT_PARAMS + 4;
    bool learns = r->m->kind->batch != BATCH_NONE;
    r->set = NEW(r->a, const char *, room, r->e);
    r->dims = NEW(r->a, Dimension, room, r->e);
    r->lists = NEW(r->a, const Yaml *, room, r->e);
    r->m->varied = NEW(r->a, const ElliotParam *, room, r->e);
    r->product = true;
    r->points = 1;
    if (!r->set || !r->dims || !r->lists || !r->m->varied)
        return false;
    r->to->set = r->set;
    r->to->dims = r->dims;
    r->m->dims = r->lists;
    if (learns && !read_base(r))
        return false;
    for (size_t i = PARAM_OWN; elliot_param(r->m->kind, i); i++)
        if (!elliot_read_param(r, i, elliot_param(r->m->kind, i)))
            return false;
    return read_meta(r) && read_seed(r) && (!learns || (check_epochs(r) && read_stopping(r)));
}

static bool read_model(ElliotReader *r, const Keys *models, const Yaml *y)
{
    const ElliotKind *kind = elliot_kind(y->key.p);
    if (!kind)
        return unknown_model(models, y);
    r->m->kind = kind;
    if (!keys_of(&r->k, models, y, y->key.p))
        return false;
    r->m->map = r->k.map;
    *r->to = (StudyModel){.name = y->key.p, .kind = recommender_find(kind->name)};
    if (kind->core_difference && !text_starts(y->key, "external.") &&
        !keys_note(models, y, "%s: trained as external.%s; Elliot's own %s %s", r->k.path, kind->name, kind->name,
                   kind->core_difference))
        return false;
    return check_keys(r) && check_features(r) && read_params(r);
}

bool elliot_models(Study *s, Elliot *x, Arena *a, Error *e)
{
    Keys models;
    if (!keys_map(&models, &x->experiment, "models"))
        return false;
    if (!models.map || models.map->count == 0)
        return key_missing(&x->experiment, "models", "a map of recommenders, such as external.VBPR");
    size_t n = models.map->count, i = 0;
    if (n > MOST_MODELS)
        return key_refuse(&x->experiment, "models", models.map, "at most %d recommenders", MOST_MODELS);
    StudyModel *list = NEW(a, StudyModel, n, e);
    x->models = NEW(a, ElliotModel, n, e);
    if (!list || !x->models)
        return false;
    for (const Yaml *y = models.map->first; y; y = y->next, i++) {
        ElliotReader r = {.x = x, .study = s, .to = &list[i], .m = &x->models[i], .a = a, .e = e};
        if (!read_model(&r, &models, y))
            return false;
    }
    s->models = list;
    s->model_count = n;
    if (!s->metric) {
        s->metric = s->eval.metrics[0];
        s->cutoff = s->eval.cutoffs[0];
    }
    return true;
}

bool elliot_batches(Study *s, Elliot *x, Arena *a, Error *e)
{
    for (size_t i = 0; i < s->model_count; i++) {
        ElliotModel *m = &x->models[i];
        bool by_pairs = m->kind->batch == BATCH_PAIRS;
        if (!m->batch_place)
            continue;
        if (!elliot_sizes(x, s, a, e))
            return false;
        const int64_t *size = by_pairs ? x->pairs : x->users;
        const Yaml *y = yaml_get(m->map, "batch_size");
        for (size_t k = 1; k < x->train_count; k++)
            if (size[k] != size[0])
                return fail(
                    e, SP_FORMAT,
                    "%s: experiment.models.%s.batch_size: found %s; allowed is a number of at least 1: -1 stands for "
                    "all %s, but two folds have %lld and %lld",
                    y        ? y->where
                    : m->map ? m->map->where
                             : x->path,
                    s->models[i].name, y ? "-1" : "nothing, which is -1", by_pairs ? "train pairs" : "users",
                    (long long)size[0], (long long)size[k]);
        m->printed[PARAM_BATCH] = arena_printf(a, e, "%lld", (long long)size[0]);
        if (!m->printed[PARAM_BATCH] ||
            !(*m->batch_place = arena_printf(a, e, "batch_size=%s", m->printed[PARAM_BATCH])))
            return false;
    }
    return true;
}
