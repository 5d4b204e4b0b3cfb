/* base/yaml.c: builds a tree from the events of libyaml. */
// flags: -Os
#include "base/yaml.h"

#ifdef HAVE_YAML
#include <yaml.h>
#endif

/* YAML_DEPTH is the nesting. YAML_KEYS is per map, because a map is searched key by key. The others are per file. A
 * configuration has a few hundred values. */
enum { YAML_DEPTH = 32, YAML_KEYS = 1000, YAML_ANCHORS = 4096, YAML_VALUES = 20 * 1000, YAML_TAGS = 100 };

Yaml *yaml_get(const Yaml *map, const char *key)
{
    if (map && map->type == YAML_MAP)
        for (Yaml *y = map->first; y; y = y->next)
            if (text_is(y->key, key))
                return y;
    return NULL;
}

static bool is_one_of(const Yaml *y, const char *const *words, size_t n)
{
    for (size_t i = 0; y && y->type == YAML_TEXT && !y->quoted && i < n; i++)
        if (text_is(y->text, words[i]))
            return true;
    return false;
}

bool yaml_is_null(const Yaml *y)
{
    static const char *const NULLS[] = {"", "~", "null", "Null", "NULL"};
    return is_one_of(y, NULLS, COUNT(NULLS));
}

bool yaml_bool(const Yaml *y, bool *value)
{
    static const char *const YES[] = {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"},
                             *const NO[] = {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"};
    *value = is_one_of(y, YES, COUNT(YES));
    return *value || is_one_of(y, NO, COUNT(NO));
}

bool yaml_i64(const Yaml *y, int64_t *value)
{
    return y && y->type == YAML_TEXT && !y->quoted && text_i64(y->text, value);
}

bool yaml_f64(const Yaml *y, double *value)
{
    return y && y->type == YAML_TEXT && !y->quoted && text_f64(y->text, value);
}

#ifdef HAVE_YAML

/* The state of the reader. The open lists and maps are a stack. */
typedef struct YamlReader {
    Arena *arena;
    const char *name;
    Yaml *stack[YAML_DEPTH];
    Yaml *last[YAML_DEPTH]; /* the last child of each */
    Text key[YAML_DEPTH];   /* of a map: the key of the next value */
    bool has_key[YAML_DEPTH];
    int depth;
    size_t values;
    TextIndex *anchors; /* anchored[i] is the latest node of anchor number i */
    Yaml **anchored;
    size_t anchor_room;
    Yaml *root;
} YamlReader;

static bool fail_at(const YamlReader *r, const yaml_mark_t *m, Error *e, const char *what)
{
    return fail(e, SP_FORMAT, "%s:%zu:%zu: %s", r->name, (size_t)m->line + 1, (size_t)m->column + 1, what);
}

static Yaml *new_node(YamlReader *r, YamlType type, const yaml_mark_t *m, Error *e)
{
    if (r->values++ == YAML_VALUES) {
        fail(e, SP_FORMAT, "%s:%zu:%zu: more than %d values, the limit", r->name, (size_t)m->line + 1,
             (size_t)m->column + 1, YAML_VALUES);
        return NULL;
    }
    Yaml *y = NEW(r->arena, Yaml, 1, e);
    if (y) {
        y->type = type;
        y->where = arena_printf(r->arena, e, "%s:%zu:%zu", r->name, (size_t)m->line + 1, (size_t)m->column + 1);
    }
    return y && y->where ? y : NULL;
}

/* Adds a node at the current position: as a key, a value, an entry of a list, or the root. */
static bool place(YamlReader *r, Yaml *y, const yaml_mark_t *m, Error *e)
{
    if (r->depth == 0) {
        r->root = y;
        return true;
    }
    int top = r->depth - 1;
    Yaml *parent = r->stack[top];
    if (parent->type == YAML_MAP && !r->has_key[top]) {
        if (y->type != YAML_TEXT)
            return fail_at(r, m, e, "a key must be a word");
        if (parent->count == YAML_KEYS)
            return fail(e, SP_FORMAT, "%s: more than %d keys in one map, the limit", y->where, YAML_KEYS);
        for (const Yaml *other = parent->first; other; other = other->next)
            if (text_equal(other->key, y->text))
                return fail(e, SP_FORMAT, "%s: duplicate key \"%s\" (first %s)", y->where, y->text.p, other->where);
        r->key[top] = y->text;
        r->has_key[top] = true;
        return true;
    }
    y->key = parent->type == YAML_MAP ? r->key[top] : (Text){"", 0};
    r->has_key[top] = false;
    if (r->last[top])
        r->last[top]->next = y;
    else
        parent->first = y;
    r->last[top] = y;
    parent->count++;
    return true;
}

static bool keep_anchor(YamlReader *r, const yaml_char_t *anchor, Yaml *y, Error *e)
{
    if (!anchor)
        return true;
    if (!r->anchors && !(r->anchors = text_index_new(r->arena, e)))
        return false;
    int64_t before = text_index_count(r->anchors),
            number = text_index_add(r->anchors, text_of((const char *)anchor), e);
    if (number == YAML_ANCHORS)
        return fail(e, SP_FORMAT, "%s: more than %d anchors, the limit", y->where, YAML_ANCHORS);
    if (number == before || !r->anchored) {
        Yaml **grown = arena_grow(r->arena, r->anchored, (size_t)before, &r->anchor_room, sizeof *grown, e);
        if (!grown)
            return false;
        r->anchored = grown;
    }
    if (number >= 0)
        r->anchored[number] = y;
    return number >= 0;
}

static bool open_node(YamlReader *r, YamlType type, const yaml_char_t *anchor, const yaml_char_t *tag,
                      const yaml_mark_t *m, Error *e)
{
    if (tag)
        return fail_at(r, m, e, "tags (!...) are not supported");
    if (r->depth == YAML_DEPTH)
        return fail_at(r, m, e, "nested too deeply");
    Yaml *y = new_node(r, type, m, e);
    if (!y || !place(r, y, m, e) || !keep_anchor(r, anchor, y, e))
        return false;
    r->stack[r->depth] = y;
    r->last[r->depth] = NULL;
    r->has_key[r->depth++] = false;
    return true;
}

static bool read_scalar(YamlReader *r, const yaml_event_t *ev, Error *e)
{
    const yaml_char_t *value = ev->data.scalar.value;
    size_t n = ev->data.scalar.length;
    if (ev->data.scalar.tag)
        return fail_at(r, &ev->start_mark, e, "tags (!...) are not supported");
    if (memchr(value, 0, n))
        return fail_at(r, &ev->start_mark, e, "a NUL character is not supported");
    Yaml *y = new_node(r, YAML_TEXT, &ev->start_mark, e);
    const char *copy = y ? arena_strndup(r->arena, (const char *)value, n, e) : NULL;
    if (!copy)
        return false;
    y->text = (Text){copy, n};
    y->quoted = ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    return place(r, y, &ev->start_mark, e) && keep_anchor(r, ev->data.scalar.anchor, y, e);
}

static bool read_alias(YamlReader *r, const yaml_event_t *ev, Error *e)
{
    const char *name = (const char *)ev->data.alias.anchor;
    int64_t number = r->anchors ? text_index_find(r->anchors, text_of(name)) : -1;
    if (number < 0 || !r->anchored)
        return fail(e, SP_FORMAT, "%s:%zu:%zu: no anchor &%s is defined before this alias", r->name,
                    (size_t)ev->start_mark.line + 1, (size_t)ev->start_mark.column + 1, name);
    const Yaml *of = r->anchored[number];
    for (int d = 0; d < r->depth; d++)
        if (r->stack[d] == of)
            return fail_at(r, &ev->start_mark, e, "an alias is inside the value of its own anchor");
    Yaml *y = new_node(r, of->type, &ev->start_mark, e);
    if (!y)
        return false;
    *y = (Yaml){.type = of->type,
                .text = of->text,
                .quoted = of->quoted,
                .count = of->count,
                .first = of->first,
                .where = y->where};
    return place(r, y, &ev->start_mark, e);
}

static bool read_event(YamlReader *r, const yaml_event_t *ev, Error *e)
{
    switch (ev->type) {
    case YAML_DOCUMENT_START_EVENT:
        return !r->root || fail_at(r, &ev->start_mark, e, "a second document begins here; one document is expected");
    case YAML_SCALAR_EVENT: return read_scalar(r, ev, e);
    case YAML_ALIAS_EVENT: return read_alias(r, ev, e);
    case YAML_SEQUENCE_START_EVENT:
        return open_node(r, YAML_LIST, ev->data.sequence_start.anchor, ev->data.sequence_start.tag, &ev->start_mark, e);
    case YAML_MAPPING_START_EVENT:
        return open_node(r, YAML_MAP, ev->data.mapping_start.anchor, ev->data.mapping_start.tag, &ev->start_mark, e);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: r->depth--; return true;
    default: return true;
    }
}

/* Reports whether the file has more than YAML_TAGS %TAG lines. They are limited because libyaml compares each of them
 * with all earlier ones. Finding the lines is difficult: there are many kinds of line ends, and the file may be UTF-16.
 * Therefore each "%TAG" in the file counts, also inside a line. */
static bool too_many_tags(Text source)
{
    size_t tags = 0;
    for (size_t i = 0; i < source.n; i++)
        if (source.p[i] == '%') {
            char word[4] = "";
            for (size_t k = i + 1, n = 0; k < source.n && k < i + 7 && n < 3; k++)
                if (source.p[k])
                    word[n++] = source.p[k];
            tags += !strcmp(word, "TAG");
        }
    return tags > YAML_TAGS;
}

Yaml *yaml_parse(Arena *a, Text source, const char *name, Error *e)
{
    yaml_parser_t p;
    YamlReader r = {.arena = a, .name = name};
    if (too_many_tags(source)) {
        fail(e, SP_FORMAT, "%s: more than %d %%TAG lines, the limit", name, YAML_TAGS);
        return NULL;
    }
    if (!yaml_parser_initialize(&p)) {
        fail_memory(e, sizeof p, "the YAML reader");
        return NULL;
    }
    yaml_parser_set_input_string(&p, (const unsigned char *)source.p, source.n);
    bool ok = true, more = true;
    while (ok && more) {
        yaml_event_t ev;
        if (!yaml_parser_parse(&p, &ev)) {
            yaml_mark_t m = p.problem_mark;
            if (p.error == YAML_MEMORY_ERROR)
                ok = fail_memory(e, source.n, name);
            else if (p.error == YAML_READER_ERROR)
                ok = fail(e, SP_FORMAT, "%s: byte %zu: %s", name, p.problem_offset,
                          p.problem ? p.problem : "not readable");
            else
                ok = fail(e, SP_FORMAT, "%s:%zu:%zu: not valid YAML: %s", name, (size_t)m.line + 1,
                          (size_t)m.column + 1, p.problem ? p.problem : "not readable");
            break;
        }
        more = ev.type != YAML_STREAM_END_EVENT;
        ok = read_event(&r, &ev, e);
        yaml_event_delete(&ev);
    }
    yaml_parser_delete(&p);
    if (ok && !r.root)
        ok = fail(e, SP_FORMAT, "%s: is empty", name);
    return ok ? r.root : NULL;
}

#endif

/* Returns the child of a map for the start of `path`, whose first part has `n` bytes. Keys may contain dots
 * ("external.VBPR"): of the keys that match, the longest is returned. */
static Yaml *child_for_path(const Yaml *map, Text path, size_t n)
{
    Yaml *best = NULL;
    for (Yaml *y = map->first; y; y = y->next) {
        Text k = y->key;
        if (k.n >= n && k.n <= path.n && !memcmp(k.p, path.p, k.n) && (k.n == path.n || path.p[k.n] == '.') &&
            (!best || k.n > best->key.n))
            best = y;
    }
    return best;
}

static Yaml *add_child(Yaml *map, Text key, const char *where, Arena *a, Error *e)
{
    Yaml *y = NEW(a, Yaml, 1, e), **link = &map->first;
    if (!y || !(y->key.p = arena_strndup(a, key.p, key.n, e)))
        return NULL;
    y->key.n = key.n;
    y->type = YAML_MAP;
    y->where = where;
    while (*link)
        link = &(*link)->next;
    *link = y;
    map->count++;
    return y;
}

bool yaml_override(Yaml *root, Text path, Text value, Arena *a, Error *e)
{
    const char *where = arena_printf(a, e, "--%.*s", (int)path.n, path.p);
    Yaml *at = root, *new = where ? yaml_parse(a, value.n ? value : TEXT("''"), where, e) : NULL;
    Text rest = path, whole = path, part;
    if (!new)
        return false;
    for (; text_next(&rest, '.', &part); whole = rest) {
        int64_t index;
        Yaml *child = NULL;
        if (part.n == 0)
            return fail(e, SP_USAGE, "%s: an empty part of the path", where);
        if (at->type == YAML_LIST) {
            child = text_i64(part, &index) && index >= 0 ? at->first : NULL;
            while (child && index-- > 0)
                child = child->next;
            if (!child)
                return fail(e, SP_USAGE, "%s: \"%.*s\" is not an index of the list at %s, which has length %zu", where,
                            (int)part.n, part.p, at->where, at->count);
        } else if (at->type == YAML_MAP) {
            if ((child = child_for_path(at, whole, part.n))) {
                size_t n = child->key.n;
                rest = n < whole.n ? (Text){whole.p + n + 1, whole.n - n - 1} : (Text){NULL, 0};
            } else if (!(child = add_child(at, part, where, a, e))) {
                return false;
            }
        } else {
            return fail(e, SP_USAGE, "%s: %s has a single value, not keys", where, at->where);
        }
        at = child;
    }
    new->key = at->key;
    new->next = at->next;
    new->where = where;
    *at = *new;
    return true;
}
