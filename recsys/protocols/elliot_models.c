/* recsys/protocols/elliot_models.c: `models` of an Elliot configuration: each parameter becomes a setting, a dimension
 * of the search, or an error. */
// flags: -Os
#include "recsys/protocols/elliot.h"

#include <math.h>
#include <strings.h>

enum { MOST_VALUES = 1000 }; /* largest number of values of a list */

/* ---- values ---------------------------------------------------------------------------------- */

/* Converts as Python's int(): a whole number, also 64.0. */
static bool whole_of(Text text, int64_t *value)
{
    double number;
    if (text_i64(text, value))
        return true;
    if (!text_f64(text, &number) || !(fabs(number) < 1e15) || number != floor(number))
        return false;
    *value = (int64_t)number;
    return true;
}

static bool is_false(PythonType type, Text value)
{
    double number;
    return type == PYTHON_NONE ||
           (type == PYTHON_BOOL && strchr("fFnNoO", *value.p) && !text_is(value, "on") && !text_is(value, "On") &&
            !text_is(value, "ON")) ||
           ((type == PYTHON_INT || type == PYTHON_FLOAT) && text_f64(value, &number) && number == 0);
}

const char *elliot_printed(const ElliotParam *p, PythonType type, Text value, Arena *a, Error *e)
{
    int64_t whole;
    double number;
    char buffer[32];
    switch (p->kind) {
    case PARAM_INT: return whole_of(value, &whole) ? arena_printf(a, e, "%lld", (long long)whole) : NULL;
    case PARAM_FLOAT:
        return text_f64(value, &number) && isfinite(number) ? arena_printf(a, e, "%s", python_float(number, buffer))
                                                            : NULL;
    case PARAM_BOOL: return type == PYTHON_BOOL ? python_str(type, value, a, e) : NULL;
    case PARAM_BLANK: return is_false(type, value) ? "" : python_str(type, value, a, e);
    default: return python_str(type, value, a, e);
    }
}

static const char *kind_words(const ElliotParam *p)
{
    return p->kind == PARAM_INT ? "a whole number" : p->kind == PARAM_FLOAT ? "a number" : "True or False";
}

/* Returns the value as the text of a setting. */
static const char *setting_text(const ElliotParam *p, const char *printed, PythonType type, Text value)
{
    if (p->kind == PARAM_INT)
        return printed;
    if (type == PYTHON_BOOL)
        return is_false(type, value) ? "false" : "true";
    return value.p;
}

/* Checks that Sapor's setting accepts the value. setting: "key=value". */
static bool fits(ElliotReader *r, const ElliotParam *p, const Yaml *y, const char *setting)
{
    Error cause = {0};
    Arena *scratch = arena_new(arena_heap(r->a), 0);
    if (!scratch)
        return fail_memory(r->e, 4096, "settings");
    bool ok = settings_make(r->to->kind, PROTOCOL_ELLIOT, &setting, 1, scratch, &cause) != NULL;
    arena_free(scratch);
    if (ok || cause.code == SP_MEMORY)
        return ok || fail(r->e, cause.code, "%s", cause.message);
    const char *why = strstr(cause.message, ": ");
    return key_refuse(&r->k, p->key, y, "what fits the setting %s: %s", p->setting, why ? why + 2 : cause.message);
}

static bool add_setting(ElliotReader *r, const ElliotParam *p, const Yaml *y, const char *value)
{
    const char *text = arena_printf(r->a, r->e, "%s=%s", p->setting, value);
    r->set[r->to->set_count++] = text;
    return text && fits(r, p, y, text);
}

/* Returns the value that messages show: y, or "nothing, which is DEFAULT" if the parameter is not in the file. */
static const Yaml *shown(const ElliotReader *r, const ElliotParam *p, const Yaml *y)
{
    Yaml *copy = key_get(&r->k, p->key) ? NULL : NEW(r->a, Yaml, 1, r->e);
    const char *text = copy ? arena_printf(r->a, r->e, "nothing, which is %s", p->usual) : NULL;
    if (!text)
        return y;
    *copy = *y;
    copy->text = text_of(text);
    return copy;
}

/* ---- one value ------------------------------------------------------------------------------- */

/* Checks that the parameter has the only value that is allowed (p->only), or the value of the key `factors` if p->only
 * is "=factors". printed: the parameter's value. */
static bool check_only(ElliotReader *r, const ElliotParam *p, const Yaml *y, const char *printed)
{
    if (strcmp(p->only, "=factors") != 0)
        return !strcmp(*printed ? printed : "None", p->only) ||
               key_refuse(&r->k, p->key, shown(r, p, y), "%s", p->only);
    for (size_t i = PARAM_OWN; elliot_param(r->m->kind, i); i++)
        if (!strcmp(elliot_param(r->m->kind, i)->key, "factors")) {
            const char *factors = r->m->printed[i];
            return (factors && !strcmp(factors, printed)) ||
                   key_refuse(&r->k, p->key, shown(r, p, y),
                              "%s, the value of factors: the vectors must have equal lengths",
                              factors ? factors : "one value, as factors has several");
        }
    return true;
}

/* Reports whether a parameter of ItemKNN or UserKNN is read by the implementation aiolli only. */
static bool is_aiolli(const ElliotParam *p)
{
    static const char *const keys[] = {"shrink", "normalize", "asymmetric_alpha", "tversky_alpha", "tversky_beta"};
    for (size_t i = 0; i < COUNT(keys); i++)
        if (!strcmp(p->key, keys[i]))
            return true;
    return false;
}

static bool ignored_by_standard(const ElliotReader *r, const ElliotParam *p)
{
    const Yaml *y = key_get(&r->k, "implementation");
    return (p->kind == PARAM_RAW || p->kind == PARAM_BLANK) && is_aiolli(p) &&
           (!y || (y->type == YAML_TEXT && text_is(y->text, "standard")));
}

static bool read_value(ElliotReader *r, size_t i, const ElliotParam *p, const Yaml *y)
{
    PythonType type = python_type(y);
    const char *printed = y->type == YAML_TEXT ? elliot_printed(p, type, y->text, r->a, r->e) : NULL;
    if (!printed)
        return r->e->code == SP_OK && key_refuse(&r->k, p->key, y, "%s, or a list of them", kind_words(p));
    r->m->printed[i] = printed;
    if (p->only && !check_only(r, p, y, printed))
        return false;
    bool given = key_get(&r->k, p->key) != NULL, ignored = ignored_by_standard(r, p);
    if (given && (ignored || (!p->setting && !p->only && strcmp(p->key, "random_seed") != 0)))
        return keys_note(&r->k, y, "%s.%s: Elliot does not use it%s", r->k.path, p->key,
                         ignored ? " with implementation standard" : "");
    if (!p->setting || ignored || (p->kind == PARAM_BLANK && !*printed))
        return true;
    return add_setting(r, p, y, setting_text(p, printed, type, y->text));
}

/* ---- tuples ---------------------------------------------------------------------------------- */

/* Formats str() of a list without blanks and brackets, with '-' for commas: 'visual'-'textual', 0.1-0.9. */
static const char *print_tuple(const ElliotReader *r, const char *const *part, size_t n)
{
    const char *text = "";
    for (size_t i = 0; i < n && text; i++) {
        PythonType type = python_literal(text_of(part[i]));
        const char *word = python_str(type, text_of(part[i]), r->a, r->e), *quote = type == PYTHON_STR ? "'" : "";
        text = word ? arena_printf(r->a, r->e, "%s%s%s%s%s", text, i ? "-" : "", quote, word, quote) : NULL;
    }
    return text;
}

static bool refuse_modalities(const ElliotReader *r, const ElliotParam *p, const Yaml *y, const char *const *words)
{
    const char *all = "(";
    for (size_t i = 0; i < r->x->modality_count && all; i++)
        all = arena_printf(r->a, r->e, "%s%s'%s'", all, i ? ", " : "", words[i]);
    if (all && r->x->modality_count == 0)
        return key_refuse(&r->k, p->key, shown(r, p, y), "nothing, as data_config.side_information has no loaders");
    return all && key_refuse(&r->k, p->key, shown(r, p, y), "%s), all of data_config.side_information", all);
}

/* Returns the index of a word in words [n]; n if it is not there. */
static size_t place_of(const char *word, const char *const *words, size_t n)
{
    size_t i = 0;
    while (i < n && strcmp(word, words[i]) != 0)
        i++;
    return i;
}

/* Reads a tuple of names. Loaders must be those of the modalities, in the same order. */
static bool read_names(ElliotReader *r, const ElliotParam *p, const Yaml *y, const char *const *part, size_t n)
{
    const Elliot *x = r->x;
    const char *const *words = p->kind == PARAM_LOADERS ? x->loaders : x->modalities, *const *modality = NULL;
    const Yaml *of = key_get(&r->k, "modalities");
    size_t count = 0;
    if (n != x->modality_count)
        return refuse_modalities(r, p, y, words);
    if (of && p->kind == PARAM_LOADERS && !key_tuple(&r->k, of, &modality, &count))
        return r->e->code == SP_OK; /* no tuple to compare with: `modalities` is checked where it is read */
    for (size_t i = 0; i < n; i++) {
        size_t at = place_of(part[i], words, n);
        if (at == n || place_of(part[i], part, i) < i)
            return refuse_modalities(r, p, y, words);
        if (modality && count == n && strcmp(modality[i], x->modalities[at]) != 0)
            return key_refuse(&r->k, p->key, shown(r, p, y), "the loaders of the modalities, in their order");
    }
    return true;
}

/* Reads mw, the weight of each modality. The setting has the weight of visual; the other modality has the rest. */
static bool read_weights(ElliotReader *r, const ElliotParam *p, const Yaml *y, const char *const *part, size_t n)
{
    const Yaml *of = key_get(&r->k, "modalities");
    const char *const *modality = r->x->modalities;
    size_t count = r->x->modality_count, visual;
    double w[2];
    if (of && !key_tuple(&r->k, of, &modality, &count))
        return r->e->code == SP_OK; /* as in read_names */
    static const char allowed[] =
        "two weights from 0 to 1 that add up to 1, one of each modality, of which one is visual";
    visual = place_of("visual", modality, count);
    if (n == 1 && count == 1)
        return true; /* a single modality has weight 1 */
    if (n != 2 || count != 2 || visual == 2 || !text_f64(text_of(part[0]), &w[0]) ||
        !text_f64(text_of(part[1]), &w[1]) || !(fabs(w[0] + w[1] - 1) < 1e-9))
        return key_refuse(&r->k, p->key, y, "%s", allowed);
    return add_setting(r, p, y, part[visual]);
}

/* Reads (a, b): the factor a^(epoch / b); lr_decay is the factor for 50 epochs. */
static bool read_schedule(ElliotReader *r, const ElliotParam *p, const Yaml *y, const char *const *part, size_t n)
{
    double factor, epochs;
    char text[32];
    if (n != 2 || !text_f64(text_of(part[0]), &factor) || !text_f64(text_of(part[1]), &epochs) || !(factor > 0) ||
        !(epochs > 0))
        return key_refuse(&r->k, p->key, y, "(a, b): the learning rate times a^(epoch / b), a and b above 0");
    return add_setting(r, p, y, epochs == 50 ? part[0] : python_float(pow(factor, 50 / epochs), text));
}

static bool read_tuple(ElliotReader *r, size_t i, const ElliotParam *p, const Yaml *y)
{
    const char *const *part;
    size_t n;
    if (y->type != YAML_TEXT || !key_tuple(&r->k, y, &part, &n))
        return r->e->code == SP_OK && key_refuse(&r->k, p->key, y, "a tuple between brackets, as in %s", p->usual);
    if (!(r->m->printed[i] = print_tuple(r, part, n)))
        return false;
    switch (p->kind) {
    case PARAM_MODALITIES:
    case PARAM_LOADERS: return read_names(r, p, y, part, n);
    case PARAM_WEIGHTS: return read_weights(r, p, y, part, n);
    case PARAM_SCHEDULE: return read_schedule(r, p, y, part, n);
    default: break;
    }
    if (n == 0 || n > 2 || (n == 2 && strcmp(part[1], "None") != 0))
        return key_refuse(&r->k, p->key, y, "(n, None): the length of the visual features");
    return add_setting(r, p, y, part[0]);
}

/* ---- dimensions ------------------------------------------------------------------------------ */

static bool read_choices(ElliotReader *r, const ElliotParam *p, const Yaml *list, Dimension *d)
{
    const char **value = NEW(r->a, const char *, list->count + 1, r->e),
               **seen = NEW(r->a, const char *, list->count + 1, r->e);
    bool texts = true;
    if (!value || !seen)
        return false;
    for (const Yaml *y = list->first; y; y = y->next)
        texts = texts && python_type(y) == PYTHON_STR;
    for (const Yaml *y = list->first; y; y = y->next) {
        PythonType type = texts || y->quoted             ? PYTHON_STR
                          : python_type(y) == PYTHON_STR ? python_literal(y->text)
                                                         : python_type(y);
        const char *printed = y->type == YAML_TEXT ? elliot_printed(p, type, y->text, r->a, r->e) : NULL;
        if (!printed)
            return r->e->code == SP_OK && key_refuse(&r->k, p->key, y, "%s", kind_words(p));
        if (place_of(printed, seen, d->count) < d->count)
            return key_refuse(&r->k, p->key, y, "each value once");
        seen[d->count] = printed;
        value[d->count] = setting_text(p, printed, type, y->text);
        const char *set = arena_printf(r->a, r->e, "%s=%s", p->setting, value[d->count++]);
        if (!set || !fits(r, p, y, set))
            return false;
    }
    if (d->count == 0)
        return key_refuse(&r->k, p->key, list, "a list with at least one value");
    d->values = value;
    return true;
}

/* Reads a distribution such as [quniform, 5, 1000, 1]. */
static bool read_distribution(ElliotReader *r, const ElliotParam *p, const Yaml *list, Dimension *d)
{
    /* how many values follow the name of each distribution */
    static const int numbers[DIST_COUNT] = {1, 2, 2, 3, 2, 3, 2, 3, 2, 3};
    const Yaml *y = list->first ? list->first->next : NULL;
    double x[3] = {0, 0, 1};
    int n = 0;
    if (d->distribution == DIST_CHOICE)
        return y && !y->next && y->type == YAML_LIST
                   ? read_choices(r, p, y, d)
                   : key_refuse(&r->k, p->key, list, "[choice, [a, b, ...]], or [a, b, ...] alone");
    for (; y; y = y->next, n++)
        if (n == 3 || y->type != YAML_TEXT || !text_f64(y->text, &x[n]) || !isfinite(x[n]))
            return key_refuse(&r->k, p->key, y, "numbers behind %s, %d of them", distribution_names[d->distribution],
                              numbers[d->distribution]);
    if (d->distribution == DIST_RANDINT && n == 1) {
        x[1] = x[0];
        x[0] = 0;
        n = 2;
    }
    bool normal = d->distribution >= DIST_NORMAL, by_q = numbers[d->distribution] == 3;
    if (n != numbers[d->distribution] || (normal ? !(x[1] > 0) : !(x[0] < x[1])) || !(x[2] > 0))
        return key_refuse(&r->k, p->key, list, "[%s, %s%s]%s", distribution_names[d->distribution],
                          normal ? "mean, deviation" : "low, high", by_q ? ", q" : "",
                          normal ? "" : ", low below high");
    if (p->kind != PARAM_FLOAT && p->kind != PARAM_INT)
        return key_refuse(&r->k, p->key, list, "a value or a list of values");
    if (p->kind == PARAM_INT && d->distribution != DIST_RANDINT && !(by_q && x[2] == floor(x[2])))
        return key_refuse(&r->k, p->key, list,
                          "a distribution of whole numbers: randint, or one with a whole q, such as quniform");
    d->low = x[0];
    d->high = x[1];
    d->q = by_q ? x[2] : 0;
    r->product = false;
    return true;
}

/* Returns the index of a dimension; dimensions are in the order of the file. */
static size_t dimension_of(const ElliotReader *r, const Yaml *list)
{
    size_t at = 0;
    for (const Yaml *y = r->k.map ? r->k.map->first : NULL; y && y != list; y = y->next)
        for (size_t i = r->m->kind->batch == BATCH_NONE ? PARAM_OWN : 0; elliot_param(r->m->kind, i); i++)
            at += y->type == YAML_LIST && text_is(y->key, elliot_param(r->m->kind, i)->key);
    return at;
}

static bool read_dimension(ElliotReader *r, size_t i, const ElliotParam *p, const Yaml *list)
{
    size_t at = dimension_of(r, list);
    r->to->dim_count++;
    Dimension *d = &r->dims[at];
    *d = (Dimension){.key = p->setting, .distribution = DIST_COUNT};
    if (!p->setting || p->kind >= PARAM_MODALITIES)
        return key_refuse(&r->k, p->key, list, "one value");
    if (list->count > MOST_VALUES)
        return key_refuse(&r->k, p->key, list, "at most %d values", MOST_VALUES);
    r->m->dim[i] = (int)at;
    r->m->varied[at] = p;
    r->lists[at] = list;
    for (int how = 0; how < DIST_COUNT && list->first; how++)
        if (list->first->type == YAML_TEXT && text_is(list->first->text, distribution_names[how]))
            d->distribution = (Distribution)how;
    bool plain = d->distribution == DIST_COUNT;
    if (plain)
        d->distribution = DIST_CHOICE;
    else if (d->distribution == DIST_CHOICE && list->first && list->count == 2)
        r->lists[at] = list->first->next;
    if (!(plain ? read_choices(r, p, list, d) : read_distribution(r, p, list, d)))
        return false;
    if (d->distribution == DIST_CHOICE) {
        if ((int64_t)d->count > (1 << 20) / r->points)
            return key_refuse(&r->k, p->key, list, "fewer values: there are more than %d points", 1 << 20);
        r->points *= (int64_t)d->count;
    }
    return true;
}

bool elliot_read_param(ElliotReader *r, size_t i, const ElliotParam *p)
{
    const Yaml *y = key_get(&r->k, p->key);
    Yaml usual = {.type = YAML_TEXT, .text = text_of(p->usual), .where = r->k.map ? r->k.map->where : "models"};
    r->m->dim[i] = -1;
    if (y && y->type == YAML_LIST)
        return read_dimension(r, i, p, y);
    bool tuple = p->kind >= PARAM_MODALITIES;
    return tuple ? read_tuple(r, i, p, y ? y : &usual) : read_value(r, i, p, y ? y : &usual);
}
