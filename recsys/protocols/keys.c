/* recsys/protocols/keys.c: reads the keys of a configuration, or refuses them with their line. */
// flags: -Os
#include "recsys/protocols/keys.h"

#include <math.h>

/* SHOWN: how many bytes of a value messages have. TUPLE_MOST: largest number of entries of a tuple that are read. */
enum { SHOWN = 60, TUPLE_MOST = 100 };

/* ---- messages -------------------------------------------------------------------------------- */

const char *key_words(const Keys *k, const char *const *words, size_t n)
{
    const char *all = "";
    for (size_t i = 0; i < n && all; i++)
        all = arena_printf(k->arena, k->e, "%s%s%s", all, !i ? "" : i + 1 < n ? ", " : " or ", words[i]);
    return all;
}

const char *key_found(const Keys *k, const Yaml *y)
{
    if (!y)
        return "nothing";
    if (y->type == YAML_LIST)
        return arena_printf(k->arena, k->e, "a list of %zu value%s", y->count, y->count == 1 ? "" : "s");
    if (y->type == YAML_TEXT && yaml_is_null(y))
        return "nothing";
    if (y->type == YAML_TEXT)
        return arena_printf(k->arena, k->e, "%s%.*s%s%s", y->quoted ? "\"" : "", (int)MIN(y->text.n, (size_t)SHOWN),
                            y->text.p, y->text.n > SHOWN ? "..." : "", y->quoted ? "\"" : "");
    const char *keys = "";
    size_t i = 0;
    for (const Yaml *child = y->first; child && keys && i < 4; child = child->next, i++)
        keys = arena_printf(k->arena, k->e, "%s%s%.*s", keys, i ? ", " : "", SHOWN, child->key.p);
    return keys ? arena_printf(k->arena, k->e, "a map (%s%s)", keys, y->count > 4 ? ", ..." : "") : NULL;
}

static const char *path_of(const Keys *k, const char *key)
{
    if (!key)
        return *k->path ? k->path : "the file";
    return *k->path ? arena_printf(k->arena, k->e, "%s.%.*s", k->path, SHOWN, key) : key;
}

bool key_refuse(const Keys *k, const char *key, const Yaml *y, const char *allowed, ...)
{
    char text[1024];
    va_list list;
    va_start(list, allowed);
    vsnprintf(text, sizeof text, allowed, list);
    va_end(list);
    const char *path = path_of(k, key), *found = path ? key_found(k, y) : NULL;
    return found && fail(k->e, SP_FORMAT, "%s: %s: found %s; allowed is %s", y->where, path, found, text);
}

bool key_missing(const Keys *k, const char *key, const char *allowed)
{
    const char *path = path_of(k, key);
    return path && fail(k->e, SP_FORMAT, "%s: %s: found nothing; allowed is %s", k->map ? k->map->where : "line 1",
                        path, allowed);
}

bool keys_note(const Keys *k, const Yaml *y, const char *format, ...)
{
    char text[1024];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (!k->note)
        return true;
    const char *line = y ? arena_printf(k->arena, k->e, "%s: %s", y->where, text) : text;
    if (line)
        k->note(k->arg, line);
    return line != NULL;
}

/* ---- maps ------------------------------------------------------------------------------------ */

bool keys_override(Yaml *root, const ProtocolConfig *c, Arena *a, Error *e)
{
    for (size_t i = 0; i < c->override_count; i++) {
        Text value = text_of(c->overrides[i]), key;
        text_next(&value, '=', &key);
        if (!yaml_override(root, key, value, a, e))
            return false;
    }
    return true;
}

bool keys_root(Keys *k, const Yaml *source, const ProtocolConfig *c, Arena *a, Error *e)
{
    Yaml *root = NEW(a, Yaml, 1, e);
    if (!root)
        return false;
    *root = *source; /* only the root is copied: overrides change the tree below it */
    if (!keys_override(root, c, a, e))
        return false;
    *k = (Keys){.map = root, .path = "", .note = c->note, .arg = c->arg, .arena = a, .e = e};
    return root->type == YAML_MAP || key_refuse(k, NULL, root, "a map of keys and values");
}

bool keys_of(Keys *sub, const Keys *k, const Yaml *value, const char *name)
{
    *sub = *k;
    sub->map = value && !(value->type == YAML_TEXT && yaml_is_null(value)) ? value : NULL;
    if (!(sub->path = path_of(k, name)))
        return false;
    return !sub->map || value->type == YAML_MAP || key_refuse(k, name, value, "a map of keys and values");
}

bool keys_map(Keys *sub, const Keys *k, const char *key)
{
    return keys_of(sub, k, yaml_get(k->map, key), key);
}

static const KeyRow *row_of(const KeyRow *rows, size_t n, Text key)
{
    for (size_t i = 0; i < n; i++)
        if (text_is(key, rows[i].key))
            return &rows[i];
    return NULL;
}

static bool unknown_key(const Keys *k, const Yaml *y, const KeyRow *rows, size_t n)
{
    const char **read = NEW(k->arena, const char *, n, k->e), **all = NEW(k->arena, const char *, n, k->e);
    size_t count = 0;
    for (size_t i = 0; all && read && i < n; i++) {
        all[i] = rows[i].key;
        if (rows[i].use == KEY_READ)
            read[count++] = rows[i].key;
    }
    const char *path = path_of(k, y->key.p), *words = read && all ? key_words(k, read, count) : NULL;
    if (!path || !words)
        return false;
    const char *near = near_words(y->key.p, all, n, k->arena);
    return near ? fail(k->e, SP_FORMAT, "%s: %s: found an unknown key; did you mean %s? allowed is %s", y->where, path,
                       near, words)
                : fail(k->e, SP_FORMAT, "%s: %s: found an unknown key; allowed is %s", y->where, path, words);
}

bool keys_check(const Keys *k, const KeyRow *rows, size_t n)
{
    for (const Yaml *y = k->map ? k->map->first : NULL; y; y = y->next) {
        const KeyRow *row = row_of(rows, n, y->key);
        if (!row)
            return unknown_key(k, y, rows, n);
        if (row->use == KEY_READ || yaml_is_null(y))
            continue;
        if (row->use == KEY_REFUSED)
            return key_refuse(k, row->key, y, "%s", row->about);
        const char *path = path_of(k, row->key);
        if (!path || !keys_note(k, y, "%s: %s", path, row->about))
            return false;
    }
    return true;
}

const Yaml *key_get(const Keys *k, const char *key)
{
    const Yaml *y = k->map ? yaml_get(k->map, key) : NULL;
    return y && yaml_is_null(y) ? NULL : y;
}

/* ---- values ---------------------------------------------------------------------------------- */

/* Checks that a text has no control characters, because it becomes a name, a path or a part of a message. A single tab
 * is allowed: it is a separator. */
static bool is_plain(const Yaml *y)
{
    bool plain = y->type == YAML_TEXT && y->text.n > 0;
    for (size_t i = 0; plain && !text_is(y->text, "\t") && i < y->text.n; i++)
        plain = (unsigned char)y->text.p[i] >= 0x20 && y->text.p[i] != 0x7f;
    return plain;
}

bool key_text(const Keys *k, const char *key, const char **value)
{
    const Yaml *y = key_get(k, key);
    if (!y)
        return true;
    if (!is_plain(y))
        return key_refuse(k, key, y, y->type == YAML_TEXT && y->text.n ? "a text of one line" : "a text");
    *value = y->text.p;
    return true;
}

bool key_bool(const Keys *k, const char *key, bool *value)
{
    const Yaml *y = key_get(k, key);
    return !y || yaml_bool(y, value) || key_refuse(k, key, y, "True or False");
}

static bool refuse_range(const Keys *k, const char *key, const Yaml *y, int64_t min, int64_t max)
{
    if (max == INT64_MAX)
        return key_refuse(k, key, y, "a whole number of at least %lld", (long long)min);
    return key_refuse(k, key, y, "a whole number from %lld to %lld", (long long)min, (long long)max);
}

bool key_i64(const Keys *k, const char *key, int64_t min, int64_t max, int64_t *value)
{
    const Yaml *y = key_get(k, key);
    int64_t number;
    if (!y)
        return true;
    if (!yaml_i64(y, &number) || number < min || number > max)
        return refuse_range(k, key, y, min, max);
    *value = number;
    return true;
}

bool key_f64(const Keys *k, const char *key, double min, double max, double *value)
{
    const Yaml *y = key_get(k, key);
    double number;
    if (!y)
        return true;
    if (!yaml_f64(y, &number) || !(number >= min && number <= max))
        return isinf(max) ? key_refuse(k, key, y, "a number of at least %g", min)
                          : key_refuse(k, key, y, "a number from %g to %g", min, max);
    *value = number;
    return true;
}

bool key_word(const Keys *k, const char *key, const char *const *words, size_t n, size_t *value)
{
    const Yaml *y = key_get(k, key);
    for (size_t i = 0; y && y->type == YAML_TEXT && i < n; i++)
        if (text_is(y->text, words[i])) {
            *value = i;
            return true;
        }
    const char *all = y ? key_words(k, words, n) : NULL;
    return !y || (all && key_refuse(k, key, y, "%s", all));
}

/* Returns the number of entries of a list, or 1 for a single value; *first is the first one. */
static size_t entries(const Yaml *y, const Yaml **first)
{
    *first = y->type == YAML_LIST ? y->first : y;
    return y->type == YAML_LIST ? y->count : 1;
}

bool key_texts(const Keys *k, const char *key, const char *const **value, size_t *count)
{
    const Yaml *y = key_get(k, key), *entry = NULL;
    if (!y)
        return true;
    if (y->type == YAML_MAP)
        return key_refuse(k, key, y, "a list of texts");
    size_t n = entries(y, &entry);
    const char **at = NEW(k->arena, const char *, n + 1, k->e);
    for (size_t i = 0; at && i < n; i++, entry = y->type == YAML_LIST ? entry->next : NULL) {
        if (!is_plain(entry))
            return key_refuse(k, key, entry, "a list of texts");
        at[i] = entry->text.p;
    }
    *value = at;
    *count = n;
    return at != NULL;
}

bool key_i64s(const Keys *k, const char *key, int64_t min, int64_t max, const int64_t **value, size_t *count)
{
    const Yaml *y = key_get(k, key), *entry = NULL;
    if (!y)
        return true;
    if (y->type == YAML_MAP)
        return refuse_range(k, key, y, min, max);
    size_t n = entries(y, &entry);
    int64_t *at = NEW(k->arena, int64_t, n + 1, k->e);
    for (size_t i = 0; at && i < n; i++, entry = y->type == YAML_LIST ? entry->next : NULL)
        if (!yaml_i64(entry, &at[i]) || at[i] < min || at[i] > max)
            return refuse_range(k, key, entry, min, max);
    *value = at;
    *count = n;
    return at != NULL;
}

/* Returns an entry of a tuple without blanks and quotes in *word. Returns false if a quote is not closed, or if the
 * entry is a tuple or a list itself. */
static bool tuple_part(Text part, Text *word)
{
    *word = text_trim(part);
    if (word->n && strchr("'\"", *word->p)) {
        if (word->n < 2 || word->p[word->n - 1] != *word->p)
            return false;
        *word = (Text){word->p + 1, word->n - 2};
    }
    return !memchr(word->p, '(', word->n) && !memchr(word->p, '[', word->n);
}

bool key_measures(const Keys *k, const char *metrics, const char *cutoffs, EvalConfig *c)
{
    size_t n = c->metric_count;
    if (!key_texts(k, metrics, &c->metrics, &n) ||
        !key_i64s(k, cutoffs, 1, LONGEST_CUTOFF, &c->cutoffs, &c->cutoff_count))
        return false;
    c->metric_count = n;
    if (!n || !c->cutoff_count) {
        const char *empty = n ? cutoffs : metrics;
        const Yaml *y = key_get(k, empty);
        static const char list[] = "a list of one or more";
        return y ? key_refuse(k, empty, y, list) : key_missing(k, empty, list);
    }
    if (measures_check(c, k->arena, k->e))
        return true;
    const Yaml *y = key_get(k, text_starts(text_of(k->e->message), "cutoffs") ? cutoffs : metrics);
    if (y)
        error_prefix(k->e, "%s: ", y->where);
    return false;
}

bool key_measure(const Keys *k, const char *key, const EvalConfig *c, const char **metric, int64_t *cutoff)
{
    const char *text = NULL;
    if (!key_text(k, key, &text) || !text)
        return k->e->code == SP_OK;
    Text rest = text_of(text), name;
    text_next(&rest, '@', &name);
    bool known = text_i64(rest, cutoff) && measures_name(c, name, metric, k->arena, k->e), listed = false;
    for (size_t i = 0; i < c->cutoff_count; i++)
        listed = listed || c->cutoffs[i] == *cutoff;
    return (known && listed) || (k->e->code == SP_OK && key_refuse(k, key, key_get(k, key),
                                                                   "one of the metrics at one of the cutoffs: %s@%lld",
                                                                   c->metrics[0], (long long)c->cutoffs[0]));
}

bool key_tuple(const Keys *k, const Yaml *y, const char *const **value, size_t *count)
{
    if (y->type == YAML_LIST) {
        Keys here = *k;
        Yaml list = *y, map = {.type = YAML_MAP, .count = 1, .first = &list, .where = y->where};
        list.next = NULL;
        here.map = &map;
        for (const Yaml *entry = y->first; entry; entry = entry->next)
            if (entry->type != YAML_TEXT || entry->text.n == 0)
                return false;
        return key_texts(&here, y->key.p ? y->key.p : "", value, count);
    }
    Text text = y->type == YAML_TEXT ? text_trim(y->text) : (Text){0}, part, word;
    if (text.n < 2 || !((*text.p == '(' && text.p[text.n - 1] == ')') || (*text.p == '[' && text.p[text.n - 1] == ']')))
        return false;
    Text rest = text_trim((Text){text.p + 1, text.n - 2});
    if (rest.n && rest.p[rest.n - 1] == ',') /* (a,) is a tuple of one entry */
        rest.n--;
    size_t room = 0, n = 0;
    const char **at = NULL;
    while (rest.n && n < TUPLE_MOST && text_next(&rest, ',', &part)) {
        if (!tuple_part(part, &word) || !(at = arena_grow(k->arena, at, n, &room, sizeof *at, k->e)) ||
            !(at[n++] = arena_strndup(k->arena, word.p, word.n, k->e)))
            return false;
    }
    *value = at;
    *count = n;
    return n > 0;
}
