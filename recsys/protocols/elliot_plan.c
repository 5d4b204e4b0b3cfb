/* recsys/protocols/elliot_plan.c: reads the maps of prefiltering and splitting. */
// flags: -Os
#include "recsys/protocols/elliot.h"

enum { MOST_FOLDS = 1000, MOST_FILTERS = 100 };

/* ---- prefiltering ---------------------------------------------------------------------------- */

static const char *const filters[] = {"global_threshold", "user_average",    "user_k_core", "item_k_core",
                                      "iterative_k_core", "n_rounds_k_core", "cold_users"};

/* Reads a required whole number from 0 on. or_word: other allowed words, for messages. */
static bool need_count(const Keys *k, const char *key, const char *or_word, int64_t *value)
{
    const Yaml *y = key_get(k, key);
    const char *allowed = arena_printf(k->arena, k->e, "a whole number from 0 on%s", or_word);
    if (!allowed || !y)
        return allowed && key_missing(k, key, allowed);
    return (yaml_i64(y, value) && *value >= 0) || key_refuse(k, key, y, "%s", allowed);
}

static bool read_filter(ElliotFilter *f, const Keys *k)
{
    static const KeyRow rows[] = {{"strategy", KEY_READ, NULL},
                                  {"threshold", KEY_READ, NULL},
                                  {"core", KEY_READ, NULL},
                                  {"rounds", KEY_READ, NULL}};
    static const ElliotFilterKind kinds[] = {ELLIOT_RATING, ELLIOT_USER_MEAN, ELLIOT_USER_CORE, ELLIOT_ITEM_CORE,
                                             ELLIOT_CORE,   ELLIOT_ROUNDS,    ELLIOT_COLD};
    size_t which = COUNT(filters);
    if (!KEYS_CHECK(k, rows) || !key_word(k, "strategy", filters, COUNT(filters), &which))
        return false;
    const char *words = key_words(k, filters, COUNT(filters));
    if (which == COUNT(filters))
        return words && key_missing(k, "strategy", words);
    *f = (ElliotFilter){.kind = kinds[which], .rounds = 1};
    const Yaml *threshold = key_get(k, "threshold");
    bool by_threshold = f->kind == ELLIOT_RATING || f->kind == ELLIOT_COLD;
    bool by_core = f->kind != ELLIOT_USER_MEAN && !by_threshold;
    if (f->kind == ELLIOT_RATING && threshold && threshold->type == YAML_TEXT && text_is(threshold->text, "average"))
        f->kind = ELLIOT_RATING_MEAN;
    else if (by_threshold && !need_count(k, "threshold", f->kind == ELLIOT_RATING ? " or average" : "", &f->limit))
        return false;
    if (by_core && !need_count(k, "core", "", &f->limit))
        return false;
    if (f->kind == ELLIOT_ROUNDS && !need_count(k, "rounds", "", &f->rounds))
        return false;
    static const char idle[] = "unused by this strategy";
    return (by_threshold || !threshold || keys_note(k, threshold, "%s.threshold: %s", k->path, idle)) &&
           (by_core || !key_get(k, "core") || keys_note(k, key_get(k, "core"), "%s.core: %s", k->path, idle)) &&
           (f->kind == ELLIOT_ROUNDS || !key_get(k, "rounds") ||
            keys_note(k, key_get(k, "rounds"), "%s.rounds: %s", k->path, idle));
}

bool elliot_filters(const Elliot *x, ElliotFilter **list, size_t *count, Arena *a, Error *e)
{
    const Yaml *y = key_get(&x->experiment, "prefiltering");
    const Yaml *entry = y && y->type == YAML_LIST ? y->first : y;
    *count = !y ? 0 : y->type == YAML_LIST ? y->count : 1;
    *list = NEW(a, ElliotFilter, *count + 1, e);
    if (*count > MOST_FILTERS)
        return key_refuse(&x->experiment, "prefiltering", y, "at most %d filters", MOST_FILTERS);
    for (size_t i = 0; *list && i < *count; i++, entry = entry->next) {
        Keys k;
        const char *name = y->type == YAML_LIST ? arena_printf(a, e, "prefiltering[%zu]", i) : "prefiltering";
        if (!name || !keys_of(&k, &x->experiment, entry, name) || !read_filter(&(*list)[i], &k))
            return false;
    }
    return *list != NULL;
}

/* ---- splitting ------------------------------------------------------------------------------- */

static bool read_timestamp(ElliotSplit *how, const Keys *k)
{
    const Yaml *y = key_get(k, "timestamp");
    static const char allowed[] = "best or a whole number, the time from which rows are held out";
    if (!y)
        return key_missing(k, "timestamp", allowed);
    how->best = y->type == YAML_TEXT && text_is(y->text, "best");
    if (!how->best && (y->type != YAML_TEXT || !text_i64(y->text, &how->timestamp)))
        return key_refuse(k, "timestamp", y, "%s", allowed);
    return key_i64(k, "min_below", 0, INT64_MAX, &how->min_below) &&
           key_i64(k, "min_over", 0, INT64_MAX, &how->min_over);
}

/* Reads test_ratio and leave_n_out. One of them must be given; if both are, test_ratio counts. */
static bool read_share(ElliotSplit *how, const Keys *k)
{
    const Yaml *y = key_get(k, "test_ratio");
    if (!y && !key_get(k, "leave_n_out"))
        return key_missing(k, "test_ratio", "a number between 0 and 1; or leave_n_out, a whole number of at least 1");
    if (y && (!yaml_f64(y, &how->ratio) || !(how->ratio > 0 && how->ratio < 1)))
        return key_refuse(k, "test_ratio", y, "a number between 0 and 1");
    return key_i64(k, "leave_n_out", 1, UINT32_MAX, &how->leave_n);
}

/* Notes keys that the strategy does not read. */
static bool note_idle(const Keys *k, const ElliotSplit *how)
{
    static const struct {
        const char *key;
        unsigned strategies;
    } reads[] = {{"timestamp", 1u << ELLIOT_TIMESTAMP},
                 {"min_below", 1u << ELLIOT_TIMESTAMP},
                 {"min_over", 1u << ELLIOT_TIMESTAMP},
                 {"test_ratio", 1u << ELLIOT_TEMPORAL | 1u << ELLIOT_RANDOM},
                 {"leave_n_out", 1u << ELLIOT_TEMPORAL | 1u << ELLIOT_RANDOM},
                 {"folds", 1u << ELLIOT_RANDOM | 1u << ELLIOT_FOLDS}};
    for (size_t i = 0; i < COUNT(reads); i++) {
        const Yaml *y = key_get(k, reads[i].key);
        bool read = (reads[i].strategies >> how->strategy) & 1;
        if (read && !strcmp(reads[i].key, "leave_n_out") && how->ratio > 0)
            read = false;
        if (y && !read && !keys_note(k, y, "%s.%s: not read, as with Elliot", k->path, reads[i].key))
            return false;
    }
    return true;
}

bool elliot_split(ElliotSplit *how, const Keys *splitting, const char *key, const Ratings *r)
{
    static const KeyRow rows[] = {{"strategy", KEY_READ, NULL},   {"timestamp", KEY_READ, NULL},
                                  {"min_below", KEY_READ, NULL},  {"min_over", KEY_READ, NULL},
                                  {"test_ratio", KEY_READ, NULL}, {"leave_n_out", KEY_READ, NULL},
                                  {"folds", KEY_READ, NULL}};
    Keys k;
    size_t which = ELLIOT_STRATEGIES;
    if (!keys_map(&k, splitting, key) || !KEYS_CHECK(&k, rows) ||
        !key_word(&k, "strategy", elliot_strategies, ELLIOT_STRATEGIES, &which))
        return false;
    const char *words = key_words(&k, elliot_strategies, ELLIOT_STRATEGIES);
    if (which == ELLIOT_STRATEGIES)
        return words && key_missing(&k, "strategy", words);
    *how = (ElliotSplit){.strategy = (ElliotStrategy)which, .min_below = 1, .min_over = 1, .folds = 1};
    if (which <= ELLIOT_TEMPORAL && !r->time)
        return key_refuse(&k, "strategy", key_get(&k, "strategy"),
                          "random_subsampling or random_cross_validation, as %s has no times", r->path);
    if (which == ELLIOT_FOLDS && !key_get(&k, "folds"))
        return key_missing(&k, "folds", "a whole number of at least 2");
    if (which >= ELLIOT_RANDOM && !key_i64(&k, "folds", which == ELLIOT_FOLDS ? 2 : 1, MOST_FOLDS, &how->folds))
        return false;
    bool ok = which == ELLIOT_TIMESTAMP ? read_timestamp(how, &k) : which == ELLIOT_FOLDS || read_share(how, &k);
    return ok && note_idle(&k, how);
}
