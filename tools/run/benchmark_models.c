/* tools/run/benchmark_models.c: the section `models` of a benchmark: recommenders, their settings, and the search. A
 * list of values is a dimension. A list that begins with the name of a distribution is also a dimension, as in Elliot.
 */
// flags: -Os
#include "recsys/protocols/setting_keys.h"
#include "tools/run/benchmark.h"

#include <math.h>

static const KeyRow META[] = {
    {"hyper_opt_alg", KEY_READ, NULL},
    {"hyper_max_evals", KEY_READ, NULL},
    {"save_recs", KEY_READ, NULL},
    {"save_weights", KEY_READ, NULL},
    {"validation_rate", KEY_READ, NULL},
    {"validation_metric", KEY_REFUSED, "nothing: set evaluation.metric, which is that of all models"},
    {"verbose", KEY_IDLE, "no effect"},
    {"restore", KEY_IDLE, "no effect: a stopped search always continues"},
};

/* Returns the words that describe the values after the name of a distribution. */
static const char *distribution_words(Distribution how)
{
    if (how == DIST_RANDINT)
        return "[randint, low, high]";
    if (how == DIST_NORMAL || how == DIST_LOGNORMAL)
        return "[normal, mean, deviation]";
    if (how == DIST_QNORMAL || how == DIST_QLOGNORMAL)
        return "[qnormal, mean, deviation, q]";
    return how == DIST_QUNIFORM || how == DIST_QLOGUNIFORM ? "[quniform, low, high, q]" : "[uniform, low, high]";
}

static bool has_step(Distribution how)
{
    return how == DIST_QUNIFORM || how == DIST_QLOGUNIFORM || how == DIST_QNORMAL || how == DIST_QLOGNORMAL;
}

/* Reads a distribution, such as [quniform, 5, 1000, 1]. *found is false for any other list. */
static bool read_distribution(const Keys *k, const Yaml *y, Dimension *d, bool *found)
{
    size_t how = DIST_RANDINT;
    double numbers[3] = {0, 0, 1};
    const Yaml *v = y->first;
    while (how < DIST_COUNT && !(v && v->type == YAML_TEXT && text_is(v->text, distribution_names[how])))
        how++;
    if (!(*found = how < DIST_COUNT))
        return true;
    size_t n = has_step((Distribution)how) ? 3 : 2;
    for (size_t i = 0; i < n && y->count == n + 1; i++)
        if (!yaml_f64(v = v->next, &numbers[i]) || !isfinite(numbers[i]))
            return key_refuse(k, y->key.p, v, "%s", distribution_words((Distribution)how));
    if (y->count != n + 1)
        return key_refuse(k, y->key.p, y, "%s", distribution_words((Distribution)how));
    *d = (Dimension){
        .key = y->key.p, .distribution = (Distribution)how, .low = numbers[0], .high = numbers[1], .q = numbers[2]};
    return true;
}

static bool read_meta(const Benchmark *b, const Keys *model, StudyModel *m, SettingList *set)
{
    static const char *const SEARCHES[] = {"grid", "random", "tpe"};
    Keys meta;
    size_t search = SEARCH_GRID;
    int64_t rate = 0;
    if (!keys_map(&meta, model, "meta") || !KEYS_CHECK(&meta, META) ||
        !key_word(&meta, "hyper_opt_alg", SEARCHES, COUNT(SEARCHES), &search) ||
        !key_i64(&meta, "hyper_max_evals", 1, 1 << 20, &m->evals) ||
        !key_i64(&meta, "save_recs", 0, LONGEST_CUTOFF, &m->save_recs) ||
        !key_bool(&meta, "save_weights", &m->save_weights) || !key_i64(&meta, "validation_rate", 1, INT32_MAX, &rate))
        return false;
    (void)b;
    m->search = (SearchKind)search;
    if (search != SEARCH_GRID && !m->evals)
        return key_missing(&meta, "hyper_max_evals", "the number of points to try");
    const char *text = rate ? arena_printf(model->arena, model->e, "%lld", (long long)rate) : NULL;
    return !rate || (text && setting_add(model, set, "validation_rate", text));
}

/* Reads the settings. A list is a dimension. If the value of the setting is itself a list, a list of lists is a
 * dimension. */
static bool read_settings(const Benchmark *b, const Keys *k, StudyModel *m, SettingList *set)
{
    Dimension *dims = NEW(k->arena, Dimension, k->map ? k->map->count + 1 : 1, k->e);
    m->dims = dims;
    /* fixed settings come first: the values of the dimensions are checked together with them */
    for (int pass = 0; dims && pass < 2; pass++)
        for (const Yaml *y = k->map ? k->map->first : NULL; y; y = y->next) {
            bool list = y->type == YAML_LIST, found = false;
            if (text_is(y->key, "meta") || yaml_is_null(y) || list != (pass == 1))
                continue;
            const char *value = list ? NULL : setting_text(k, y->key.p, y);
            if (!list && (!value || !setting_add(k, set, y->key.p, value) ||
                          !setting_check(k, set, m->kind, b->protocol, y->key.p, y)))
                return false;
            if (list && !read_distribution(k, y, &dims[m->dim_count], &found))
                return false;
            if (found && m->search == SEARCH_GRID)
                return key_refuse(k, y->key.p, y,
                                  "a list of values; a distribution needs meta.hyper_opt_alg random or tpe");
            if (list && !found && !setting_dimension(k, set, m->kind, b->protocol, &dims[m->dim_count], y->key.p, y))
                return false;
            m->dim_count += list;
        }
    return dims != NULL;
}

static bool read_seeds(const Benchmark *b, const Keys *k, StudyModel *m)
{
    static const int64_t ELLIOT[] = {123}, MMREC[] = {999};
    const int64_t *given = b->protocol == PROTOCOL_MMREC ? MMREC : ELLIOT;
    m->seed_count = 1;
    if (!key_i64s(k, "seeds", 0, INT64_MAX, &given, &m->seed_count))
        return false;
    uint64_t *seeds = NEW(k->arena, uint64_t, m->seed_count + 1, k->e);
    if (seeds && !m->seed_count)
        return key_refuse(k, "seeds", key_get(k, "seeds"), "a list of whole numbers");
    for (size_t i = 0; seeds && i < m->seed_count; i++) {
        seeds[i] = (uint64_t)given[i];
        for (size_t j = 0; j < i; j++)
            if (seeds[j] == seeds[i])
                return key_refuse(k, "seeds", key_get(k, "seeds"), "a list without %lld twice", (long long)given[i]);
    }
    m->seeds = seeds;
    return seeds != NULL;
}

static bool read_model(const Benchmark *b, const Keys *models, const Yaml *y, StudyModel *m)
{
    Keys k;
    SettingList set = {0};
    size_t n = 1;
    *m = (StudyModel){.name = y->key.p, .kind = recommender_find(y->key.p)};
    if (!m->kind)
        return recommender_refuse(models, y->where, y->key.p);
    KeyRow *rows = NEW(models->arena, KeyRow, setting_rows_most(m->kind) + 1, models->e);
    if (!rows || !keys_of(&k, models, y, y->key.p))
        return false;
    rows[0] = (KeyRow){"meta", KEY_READ, NULL};
    if (!setting_rows(&k, m->kind, rows, &n) || !keys_check(&k, rows, n) || !read_meta(b, &k, m, &set) ||
        !read_settings(b, &k, m, &set) || !read_seeds(b, &b->k, m))
        return false;
    m->set = set.at;
    m->set_count = set.count;
    return true;
}

bool benchmark_models(const Benchmark *b, StudyModel **models, size_t *count)
{
    Keys k;
    if (!keys_map(&k, &b->k, "models"))
        return false;
    if (!k.map || !k.map->count)
        return key_missing(&b->k, "models", "a map of recommenders and their settings");
    StudyModel *list = *models = NEW(k.arena, StudyModel, k.map->count, k.e);
    *count = 0;
    for (const Yaml *y = k.map->first; list && y; y = y->next)
        if (!read_model(b, &k, y, &list[(*count)++]))
            return false;
    return list != NULL;
}
