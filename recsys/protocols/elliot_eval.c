/* recsys/protocols/elliot_eval.c: evaluation and negative_sampling of an Elliot configuration. */
// flags: -Os
#include "recsys/protocols/elliot.h"

#include <strings.h>

enum { MOST_METRICS = 1000 };

/* ---- metrics --------------------------------------------------------------------------------- */

static bool is_elliots(const Metric *m)
{
    return !*m->systems || strstr(m->systems, "elliot");
}

/* Finds a metric in upper or lower case, as Elliot does. */
static const Metric *find_metric(const Yaml *y)
{
    for (size_t i = 0; y && y->type == YAML_TEXT && i < metric_count(); i++)
        if (is_elliots(metric_at(i)) && !strcasecmp(metric_at(i)->name, y->text.p))
            return metric_at(i);
    return NULL;
}

static bool unknown_metric(const Keys *k, const char *key, const Yaml *y)
{
    const char **names = NEW(k->arena, const char *, metric_count() + 1, k->e);
    size_t n = 0;
    for (size_t i = 0; names && i < metric_count(); i++)
        if (is_elliots(metric_at(i)))
            names[n++] = metric_at(i)->name;
    const char *near = names && y && y->type == YAML_TEXT ? near_words(y->text.p, names, n, k->arena) : NULL;
    const char *all = names ? key_words(k, names, n) : NULL;
    if (all && !y)
        return key_missing(k, key, all);
    return all && key_refuse(k, key, y, "%s%s%s", near ? near : "", near ? " (did you mean this?), of " : "", all);
}

static bool read_simple(Study *s, Elliot *x, const Keys *k, const char **names)
{
    const Yaml *y = key_get(k, "simple_metrics"), *entry = y && y->type == YAML_LIST ? y->first : y;
    size_t n = !y ? 0 : y->type == YAML_LIST ? y->count : 1;
    if (n == 0)
        return key_missing(k, "simple_metrics", "a list of metrics, such as [Recall, nDCG]");
    if (n > MOST_METRICS)
        return key_refuse(k, "simple_metrics", y, "at most %d metrics", MOST_METRICS);
    for (size_t i = 0; i < n; i++, entry = entry->next) {
        const Metric *m = find_metric(entry);
        if (!m)
            return unknown_metric(k, "simple_metrics", entry);
        for (size_t j = 0; j < i; j++)
            if (!strcmp(names[j], m->name))
                return key_refuse(k, "simple_metrics", entry, "each metric once");
        names[i] = m->name;
        x->first_metric = i ? x->first_metric : entry->text.p;
    }
    s->eval.metric_count = x->simple_count = n;
    return true;
}

/* Reports whether "key=" is a parameter of a metric. */
static bool has_parameter(const Metric *m, Text key)
{
    for (Text rest = text_of(m->parameters), word, name; text_next(&rest, ' ', &word);)
        if (text_next(&word, '=', &name) && text_equal(name, key))
            return true;
    return false;
}

static bool add_parameter(const Elliot *x, const Keys *k, const Metric *m, const Yaml *y, const char **text)
{
    bool is_file = text_ends(y->key, "_file") || text_is(y->key, "feature_data");
    if (!has_parameter(m, y->key))
        return key_refuse(k, y->key.p, y, "%s%s", *m->parameters ? "one of the parameters " : "no parameter",
                          m->parameters);
    if (y->type != YAML_TEXT || y->text.n == 0)
        return key_refuse(k, y->key.p, y, "one value");
    const char *value = is_file ? elliot_path(x, k, y->key.p, y) : y->text.p;
    if (value && is_file && !file_exists(value))
        return key_refuse(k, y->key.p, y, "a file; %s is not there", value);
    return value && (*text = arena_printf(k->arena, k->e, "%s:%s=%s", *text, y->key.p, value));
}

/* Converts {metric: DSC, beta: 2} to "DSC:beta=2". */
static bool read_one_complex(const Elliot *x, const Keys *k, const char **text)
{
    const Yaml *name = key_get(k, "metric");
    const Metric *m = find_metric(name);
    if (!m)
        return unknown_metric(k, "metric", name);
    *text = m->name;
    for (const Yaml *y = k->map->first; y; y = y->next)
        if (!text_is(y->key, "metric") && !yaml_is_null(y) && !add_parameter(x, k, m, y, text))
            return false;
    Error cause = {0};
    EvalConfig one = {.metrics = text, .metric_count = 1, .cutoffs = &x->top_k, .cutoff_count = 1};
    if (measures_check(&one, k->arena, &cause))
        return true;
    const char *why = strstr(cause.message, ": ");
    return cause.code == SP_MEMORY
               ? fail(k->e, cause.code, "%s", cause.message)
               : key_refuse(k, NULL, k->map, "what fits %s: %s", m->name, why ? why + 2 : cause.message);
}

static bool read_complex(Study *s, const Elliot *x, const Keys *k, const char **names)
{
    const Yaml *y = key_get(k, "complex_metrics"), *entry = y ? y->first : NULL;
    if (y && (y->type != YAML_LIST || y->count > MOST_METRICS))
        return key_refuse(k, "complex_metrics", y, "a list of at most %d maps, such as {metric: DSC, beta: 2}",
                          MOST_METRICS);
    for (size_t i = 0; entry; i++, entry = entry->next) {
        Keys one;
        const char *name = arena_printf(k->arena, k->e, "complex_metrics[%zu]", i);
        if (!name || !keys_of(&one, k, entry, name))
            return false;
        if (!one.map)
            return key_refuse(k, name, entry, "a map such as {metric: DSC, beta: 2}");
        if (!read_one_complex(x, &one, &names[s->eval.metric_count]))
            return false;
        for (size_t j = 0; j < s->eval.metric_count; j++)
            if (!strcmp(names[j], names[s->eval.metric_count]))
                return key_refuse(k, name, entry, "each metric once");
        s->eval.metric_count++;
    }
    return true;
}

static bool read_metrics(Study *s, Elliot *x, const Keys *k)
{
    const Yaml *simple = key_get(k, "simple_metrics"), *complex = key_get(k, "complex_metrics");
    /* simple_metrics may be a single text, whose count is 0 */
    size_t room = (simple ? simple->count : 0) + (complex ? complex->count : 0) + 2;
    const char **names = NEW(k->arena, const char *, room, k->e);
    s->eval.metrics = names;
    return names && read_simple(s, x, k, names) && read_complex(s, x, k, names);
}

/* ---- other keys ------------------------------------------------------------------------------ */

static bool read_cutoffs(Study *s, const Elliot *x, const Keys *k)
{
    int64_t *usual = NEW(k->arena, int64_t, 1, k->e);
    if (!usual)
        return false;
    *usual = x->top_k;
    s->eval.cutoffs = usual;
    s->eval.cutoff_count = 1;
    const Yaml *y = key_get(k, "cutoffs");
    if (!key_i64s(k, "cutoffs", 1, x->top_k, &s->eval.cutoffs, &s->eval.cutoff_count))
        return false;
    if (s->eval.cutoff_count == 0 || s->eval.cutoff_count > MANY_CUTOFFS)
        return key_refuse(k, "cutoffs", y, "1 to %d whole numbers", MANY_CUTOFFS);
    for (size_t i = 0; i < s->eval.cutoff_count; i++)
        for (size_t j = 0; j < i; j++)
            if (s->eval.cutoffs[i] == s->eval.cutoffs[j])
                return key_refuse(k, "cutoffs", y, "each cutoff once");
    return true;
}

static bool read_threshold(Study *s, Elliot *x, const Keys *k)
{
    const Yaml *y = key_get(k, "relevance_threshold");
    x->threshold = "0";
    if (!key_f64(k, "relevance_threshold", -1e6, 1e6, &s->eval.relevance_threshold))
        return false;
    return !y || (x->threshold = python_str(python_type(y), y->text, k->arena, k->e));
}

static bool read_files(Study *s, const Elliot *x, const Keys *k)
{
    const Yaml *y = key_get(k, "files"), *entry = y && y->type == YAML_LIST ? y->first : y;
    size_t n = !y ? 0 : y->type == YAML_LIST ? y->count : 1;
    static const char allowed[] = "a file of the test part, or two files: of the test and of the validation part";
    const char *path[2] = {NULL, NULL};
    if (!y)
        return key_missing(k, "files", allowed);
    if (n == 0 || n > 2)
        return key_refuse(k, "files", y, "%s", allowed);
    for (size_t i = 0; i < n; i++, entry = entry->next) {
        if (!(path[i] = elliot_path(x, k, "files", entry)))
            return false;
        if (!file_exists(path[i]) || strchr(path[i], ','))
            return key_refuse(k, "files", entry, "%s; %s is not there, or has a comma", allowed, path[i]);
    }
    s->eval.negative_files[0] = path[n - 1]; /* files of validation */
    s->eval.negative_files[1] = path[0];
    return true;
}

/* Reads sampled evaluation. The names of the figures say how the items are sampled: "(99 sampled)". */
static bool read_negatives(Study *s, Elliot *x)
{
    static const KeyRow rows[] = {
        {"strategy", KEY_READ, NULL}, {"num_items", KEY_READ, NULL}, {"files", KEY_READ, NULL}};
    static const char *const strategies[] = {"random", "fixed"};
    Keys k;
    size_t which = COUNT(strategies);
    if (!keys_map(&k, &x->experiment, "negative_sampling"))
        return false;
    if (!k.map)
        return true;
    if (!KEYS_CHECK(&k, rows) || !key_word(&k, "strategy", strategies, COUNT(strategies), &which))
        return false;
    if (which == COUNT(strategies))
        return key_missing(&k, "strategy", "random or fixed");
    if (which == 1)
        return read_files(s, x, &k);
    if (!key_get(&k, "num_items"))
        return key_missing(&k, "num_items", "a whole number of at least 1");
    return key_i64(&k, "num_items", 1, LONGEST_CUTOFF, &s->eval.negatives);
}

bool elliot_evaluation(Study *s, Elliot *x)
{
    static const KeyRow rows[] = {{"cutoffs", KEY_READ, NULL},         {"simple_metrics", KEY_READ, NULL},
                                  {"complex_metrics", KEY_READ, NULL}, {"relevance_threshold", KEY_READ, NULL},
                                  {"paired_ttest", KEY_READ, NULL},    {"wilcoxon_test", KEY_READ, NULL}};
    Keys k;
    if (!keys_map(&k, &x->experiment, "evaluation"))
        return false;
    if (!k.map)
        return key_missing(&x->experiment, "evaluation", "a map with simple_metrics");
    return KEYS_CHECK(&k, rows) && read_metrics(s, x, &k) && read_cutoffs(s, x, &k) && read_threshold(s, x, &k) &&
           key_bool(&k, "paired_ttest", &s->t_test) && key_bool(&k, "wilcoxon_test", &s->wilcoxon) &&
           read_negatives(s, x);
}
