/* base/json.c: a strict reader of JSON (RFC 8259), for files that are untrusted or very large. json_write.c writes. */
#include "base/base.h"

#include <math.h>

enum { MAX_DEPTH = 64, SLAB = 64, SMALL = 8 };

/* Returns the memory limit of the tree for the first n bytes, without its texts. A value takes 80 bytes, the index of a
 * large object 16 to 32 bytes per key. Only lists of very short values reach the limit: no file that Sapor reads has
 * 400,000 of them. */
static size_t tree_limit(size_t n)
{
    return ((size_t)32 << 20) + 14 * MIN(n, (SIZE_MAX >> 4) - ((size_t)32 << 20));
}

/* The children of a container that has more than SMALL of them: an array in order, or the hash table of an object. */
typedef struct JsonIndex {
    uint64_t seed;
    size_t mask;
    const Json *at[];
} JsonIndex;

typedef struct Parser {
    Arena *arena;
    Error *e;
    const char *name, *begin, *p, *end, *line_start;
    uint32_t line;
    char *text; /* place of the next unescaped string; it never needs more than the length of the source */
    Json *slab;
    size_t slab_left, tree_bytes;
    const char *const *folded; /* NULL: nothing is folded */
    size_t text_left;          /* free bytes at `text`, if something is folded */
} Parser;

typedef struct JsonFold { /* of a folded container: the text between its brackets */
    const char *name, *begin, *end, *line_start;
    uint32_t line;
    size_t longest; /* bytes of its longest child, with the comma or bracket after the child */
} JsonFold;

static bool wrong(Parser *s, const char *at, const char *what)
{
    size_t column = (size_t)(at - s->line_start) + 1;
    return fail(s->e, SP_FORMAT, "%s:%u:%zu: %s", s->name, s->line, column, what);
}

static void skip_space(Parser *s)
{
    for (; s->p < s->end; s->p++) {
        if (*s->p == '\n') {
            s->line++;
            s->line_start = s->p + 1;
        } else if (*s->p != ' ' && *s->p != '\t' && *s->p != '\r') {
            return;
        }
    }
}

static bool take_room(Parser *s, size_t bytes)
{
    s->tree_bytes += bytes;
    return s->tree_bytes <= tree_limit((size_t)(s->p - s->begin)) ||
           wrong(s, s->p, "too many small values for a file of this size");
}

static Json *new_node(Parser *s)
{
    if (s->slab_left == 0) {
        if (!take_room(s, SLAB * sizeof(Json)))
            return NULL;
        s->slab = NEW(s->arena, Json, SLAB, s->e);
        if (!s->slab)
            return NULL;
        s->slab_left = SLAB;
    }
    Json *j = s->slab++;
    s->slab_left--;
    j->line = s->line;
    j->column = (uint32_t)MIN((size_t)(s->p - s->line_start) + 1, (size_t)UINT32_MAX);
    return j;
}

/* Returns the value of four hexadecimal digits at p, or -1. */
static int32_t hex4(const char *p, const char *end)
{
    if (end - p < 4)
        return -1;
    int32_t value = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i], low = (char)(c | 0x20);
        if (c >= '0' && c <= '9')
            value = value * 16 + (c - '0');
        else if (low >= 'a' && low <= 'f')
            value = value * 16 + (low - 'a' + 10);
        else
            return -1;
    }
    return value;
}

/* Reads \uXXXX, or two of them that make one code point. s->p is after the u. */
static bool read_code(Parser *s, const char *begin)
{
    int32_t high = hex4(s->p, s->end);
    if (high < 0)
        return wrong(s, begin, "\\u needs four hexadecimal digits");
    s->p += 4;
    uint32_t code = (uint32_t)high;
    if (high >= 0xd800 && high <= 0xdfff) {
        int32_t low = s->end - s->p >= 2 && s->p[0] == '\\' && s->p[1] == 'u' ? hex4(s->p + 2, s->end) : -1;
        if (high > 0xdbff || low < 0xdc00 || low > 0xdfff)
            return wrong(s, begin, "an unpaired surrogate is not a character");
        s->p += 6;
        code = 0x10000 + (((uint32_t)high & 0x3ff) << 10) + ((uint32_t)low & 0x3ff);
    }
    s->text += utf8_encode(code, s->text);
    return true;
}

/* Returns the position after the string that begins at p, or the end. */
static const char *skip_string(const char *p, const char *end)
{
    for (p++; p < end && *p != '"'; p++)
        p += *p == '\\' && p + 1 < end;
    return p < end ? p + 1 : end;
}

/* Makes room for n bytes at `text`. If nothing is folded, the room is already there. */
static bool text_room(Parser *s, size_t n)
{
    enum { PIECE = 1 << 16 };
    if (!s->folded)
        return true;
    if (s->text_left < n) {
        s->text_left = MAX(n, (size_t)PIECE);
        if (!(s->text = arena_alloc(s->arena, s->text_left, 1, s->e)))
            return false;
    }
    s->text_left -= n;
    return true;
}

static bool read_string(Parser *s, Text *out)
{
    static const char escapes[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    if (!text_room(s, s->folded ? (size_t)(skip_string(s->p, s->end) - s->p) : 0))
        return false;
    const char *begin = s->p++;
    char *start = s->text;
    for (;;) {
        const char *run = s->p;
        while (s->p < s->end && *s->p != '"' && *s->p != '\\' && (unsigned char)*s->p >= 0x20)
            s->p++;
        memcpy(s->text, run, (size_t)(s->p - run));
        s->text += s->p - run;
        if (s->p == s->end)
            return wrong(s, begin, "this string is not closed");
        if (*s->p == '"')
            break;
        if (*s->p != '\\')
            return wrong(s, s->p, "a control character in a string must be escaped");
        const char *escape = s->p++;
        const char *known = s->p < s->end && *s->p ? strchr(escapes, *s->p) : NULL;
        if (known) {
            *s->text++ = meant[known - escapes];
            s->p++;
        } else if (s->p < s->end && *s->p == 'u') {
            s->p++;
            if (!read_code(s, escape))
                return false;
        } else {
            return wrong(s, escape, "unknown escape");
        }
    }
    s->p++;
    *out = (Text){start, (size_t)(s->text - start)};
    *s->text++ = '\0';
    return true;
}

static const char *digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

static bool read_number(Parser *s, Json *j)
{
    const char *begin = s->p, *p = begin + (*begin == '-');
    const char *whole = p;
    p = digits(p, s->end);
    bool ok = p > whole && (*whole != '0' || p == whole + 1);
    if (ok && p < s->end && *p == '.') {
        const char *fraction = ++p;
        p = digits(p, s->end);
        ok = p > fraction;
    }
    if (ok && p < s->end && (*p == 'e' || *p == 'E')) {
        p++;
        p += p < s->end && (*p == '+' || *p == '-');
        const char *power = p;
        p = digits(p, s->end);
        ok = p > power;
    }
    if (!ok)
        return wrong(s, begin, "not a valid JSON number");
    if (!text_room(s, (size_t)(p - begin)))
        return false;
    j->text = (Text){s->text, (size_t)(p - begin)};
    memcpy(s->text, begin, j->text.n);
    s->text += j->text.n;
    s->p = p;
    return text_f64(j->text, &j->number) || wrong(s, begin, "this number is too large or too long");
}

static bool read_word(Parser *s, Json *j)
{
    static const struct {
        Text word;
        JsonType type;
        bool value;
    } words[] = {{{"null", 4}, JSON_NULL, false}, {{"true", 4}, JSON_BOOL, true}, {{"false", 5}, JSON_BOOL, false}};
    for (size_t i = 0; i < COUNT(words); i++)
        if ((size_t)(s->end - s->p) >= words[i].word.n && !memcmp(s->p, words[i].word.p, words[i].word.n)) {
            j->type = words[i].type;
            j->boolean = words[i].value;
            s->p += words[i].word.n;
            return true;
        }
    return wrong(s, s->p, "a value is expected here: {, [, a string in double quotes, a number, true, false or null");
}

static const Json **slot_of(JsonIndex *ix, Text key)
{
    size_t i = (size_t)hash_bytes(key.p, key.n, ix->seed) & ix->mask;
    while (ix->at[i] && !text_equal(ix->at[i]->key, key))
        i = (i + 1) & ix->mask;
    return &ix->at[i];
}

static bool duplicate(Parser *s, const Json *j)
{
    return fail(s->e, SP_FORMAT, "%s:%u:%u: duplicate key \"%.*s\" in this object", s->name, j->line, j->column,
                (int)MIN(j->key.n, (size_t)200), j->key.p);
}

/* Completes a container: indexes a large one, and refuses duplicate keys. */
static bool close_container(Parser *s, Json *j)
{
    bool object = j->type == JSON_OBJECT;
    if (j->count <= SMALL) {
        for (const Json *b = j->first; object && b; b = b->next)
            for (const Json *a = j->first; a != b; a = a->next)
                if (text_equal(a->key, b->key))
                    return duplicate(s, b);
        return true;
    }
    size_t slots = j->count;
    if (object)
        for (slots = 4 * SMALL; slots < 2 * j->count;)
            slots *= 2;
    size_t bytes = sizeof(JsonIndex) + slots * sizeof(const Json *);
    JsonIndex *ix = take_room(s, bytes) ? arena_alloc(s->arena, bytes, 1, s->e) : NULL;
    if (!ix)
        return false;
    ix->mask = slots - 1;
    ix->seed = (uint64_t)(uintptr_t)ix; /* unpredictable: no file can choose keys that all collide */
    j->index = ix;
    size_t i = 0;
    for (const Json *child = j->first; child; child = child->next) {
        const Json **slot = object ? slot_of(ix, child->key) : &ix->at[i++];
        if (*slot)
            return duplicate(s, child);
        *slot = child;
    }
    return true;
}

/* Reads one value at s->p. Containers are opened but not filled. */
static bool read_value(Parser *s, Json *j)
{
    char c = s->p < s->end ? *s->p : '\0';
    if (c == '{' || c == '[') {
        j->type = c == '{' ? JSON_OBJECT : JSON_ARRAY;
        s->p++;
        return true;
    }
    if (c == '"') {
        j->type = JSON_STRING;
        return read_string(s, &j->text);
    }
    if (c == '-' || (c >= '0' && c <= '9')) {
        j->type = JSON_NUMBER;
        return read_number(s, j);
    }
    return read_word(s, j);
}

/* Reads the next child of `parent`: in an object a key and a colon, then a value. */
static Json *read_child(Parser *s, const Json *parent)
{
    Json *j = new_node(s);
    if (!j)
        return NULL;
    if (parent && parent->type == JSON_OBJECT) {
        if (s->p == s->end || *s->p != '"') {
            wrong(s, s->p, "a key in double quotes is expected here");
            return NULL;
        }
        if (!read_string(s, &j->key))
            return NULL;
        skip_space(s);
        if (s->p == s->end || *s->p != ':') {
            wrong(s, s->p, "a colon is expected here");
            return NULL;
        }
        s->p++;
        skip_space(s);
    }
    return read_value(s, j) ? j : NULL;
}

static bool is_folded(const Parser *s, const Json *j)
{
    if (j->type < JSON_ARRAY || !j->key.p || !s->folded)
        return false;
    size_t i = 0;
    while (s->folded[i] && !text_is(j->key, s->folded[i]))
        i++;
    return s->folded[i];
}

/* Skips a folded container, from after its opening bracket to after its closing bracket. */
static bool fold(Parser *s, Json *j)
{
    JsonFold *f = NEW(s->arena, JsonFold, 1, s->e);
    const char *child = s->p, *p = s->p, *open = s->p - 1;
    if (!f)
        return false;
    *f = (JsonFold){.name = s->name, .begin = s->p, .line_start = s->line_start, .line = s->line};
    j->index = f;
    j->folded = true;
    for (size_t depth = 1; depth;) {
        if (p == s->end)
            return wrong(s, open, "this bracket is not closed");
        char c = *p;
        if (c == '"') {
            p = skip_string(p, s->end);
            continue;
        }
        depth += c == '[' || c == '{';
        depth -= c == ']' || c == '}';
        p++;
        if (depth == 0 || (depth == 1 && c == ',')) {
            f->longest = MAX(f->longest, (size_t)(p - child));
            j->count++;
            child = p;
        }
    }
    f->end = p - 1;
    for (const char *q = f->begin; q < p; q++) {
        bool blank = *q == ' ' || *q == '\t' || *q == '\r' || *q == '\n';
        if (q == f->end && j->count == 1)
            j->count = 0; /* only white space: no child */
        if (!blank)
            break;
    }
    for (const char *q = f->begin; (q = memchr(q, '\n', (size_t)(p - q))); q++) {
        s->line++;
        s->line_start = q + 1;
    }
    s->p = p;
    return true;
}

/* Reads a complete value, as a child of `parent` or at the top (NULL). */
static const Json *read_tree(Parser *s, const Json *parent)
{
    struct {
        Json *box, *last;
    } open[MAX_DEPTH];
    int depth = 0;
    Json *root = read_child(s, parent), *j = root;
    while (j) {
        if (is_folded(s, j)) {
            if (!fold(s, j))
                return NULL;
        } else if (j->type >= JSON_ARRAY) {
            if (depth == MAX_DEPTH) {
                wrong(s, s->p - 1, "nested more than 64 deep");
                return NULL;
            }
            open[depth].box = j;
            open[depth++].last = NULL;
        }
        for (bool more = true; more;) { /* close the containers that end here, until another child follows */
            if (depth == 0)
                return root;
            skip_space(s);
            Json *box = open[depth - 1].box;
            char c = s->p < s->end ? *s->p : '\0';
            if (c == (box->type == JSON_OBJECT ? '}' : ']')) {
                s->p++;
                if (!close_container(s, box))
                    return NULL;
                depth--;
                continue;
            }
            more = false;
            if (box->count > 0) {
                if (c != ',') {
                    wrong(s, s->p,
                          box->type == JSON_OBJECT ? "a comma or } is expected here" : "a comma or ] is expected here");
                    return NULL;
                }
                s->p++;
                skip_space(s);
            }
            j = read_child(s, box);
            if (!j)
                return NULL;
            if (open[depth - 1].last)
                open[depth - 1].last->next = j;
            else
                box->first = j;
            open[depth - 1].last = j;
            box->count++;
        }
    }
    return NULL;
}

const Json *json_parse(Arena *a, Text source, const char *name, Error *e)
{
    return json_parse_folded(a, source, name, NULL, e);
}

const Json *json_parse_folded(Arena *a, Text source, const char *name, const char *const *keys, Error *e)
{
    Parser s = {.arena = a,
                .e = e,
                .name = name,
                .begin = source.p,
                .p = source.p,
                .line_start = source.p,
                .line = 1,
                .folded = keys};
    s.end = source.p + source.n;
    size_t bad;
    if (!utf8_valid(source, &bad)) {
        for (; s.p < source.p + bad; s.p++)
            if (*s.p == '\n') {
                s.line++;
                s.line_start = s.p + 1;
            }
        wrong(&s, s.p, "not UTF-8");
        return NULL;
    }
    if (!keys && !(s.text = arena_alloc(a, source.n, 1, e)))
        return NULL;
    skip_space(&s);
    const Json *root = read_tree(&s, NULL);
    skip_space(&s);
    if (root && s.p != s.end && !wrong(&s, s.p, "unexpected text after the value"))
        return NULL;
    return root;
}

/* ---- children of any container --------------------------------------------------------------- */

struct JsonItems {
    const Json *box, *next; /* next: of a container that is not folded */
    Parser s;
    Json *slab; /* the first SLAB nodes of each child */
    char *text;
    size_t used;    /* nodes of `slab` that the last child uses */
    Arena *scratch; /* more nodes */
    bool begun;
};

JsonItems *json_items(const Json *container, Arena *a, Error *e)
{
    JsonItems *items = NEW(a, JsonItems, 1, e);
    if (!items)
        return NULL;
    items->box = container;
    items->next = container->first;
    if (!container->folded)
        return items;
    const JsonFold *f = container->index;
    items->slab = NEW(a, Json, SLAB, e);
    items->text = NEW(a, char, f->longest + 1, e);
    items->scratch = arena_new(arena_heap(a), 0);
    if (!items->slab || !items->text || !items->scratch) {
        fail_memory(e, f->longest, "a list of a JSON file");
        json_items_free(items);
        return NULL;
    }
    items->s = (Parser){.arena = items->scratch,
                        .e = e,
                        .name = f->name,
                        .begin = f->begin,
                        .p = f->begin,
                        .end = f->end + 1,
                        .line_start = f->line_start,
                        .line = f->line,
                        .slab = items->slab};
    return items;
}

const Json *json_next(JsonItems *items)
{
    if (!items->box->folded) {
        const Json *child = items->next;
        items->next = child ? child->next : NULL;
        return child;
    }
    Parser *s = &items->s;
    char close = items->box->type == JSON_OBJECT ? '}' : ']';
    memset(items->slab, 0, items->used * sizeof *items->slab);
    arena_rewind(items->scratch, (ArenaMark){0});
    s->slab = items->slab;
    s->slab_left = SLAB;
    s->tree_bytes = 0;
    s->text = items->text;
    skip_space(s);
    if (s->p == s->end - 1 && *s->p == close)
        return NULL;
    if (items->begun && *s->p != ',') {
        wrong(s, s->p, close == '}' ? "a comma or } is expected here" : "a comma or ] is expected here");
        return NULL;
    }
    s->p += items->begun;
    skip_space(s);
    items->begun = true;
    const Json *child = read_tree(s, items->box);
    items->used = s->tree_bytes ? SLAB : SLAB - s->slab_left;
    return child;
}

void json_items_free(JsonItems *items)
{
    if (items)
        arena_free(items->scratch);
}

const Json *json_get(const Json *object, const char *key)
{
    if (!object || object->type != JSON_OBJECT || object->folded)
        return NULL;
    Text name = text_of(key);
    if (object->index)
        return *slot_of((JsonIndex *)(uintptr_t)object->index, name);
    for (const Json *j = object->first; j; j = j->next)
        if (text_equal(j->key, name))
            return j;
    return NULL;
}

const Json *json_at(const Json *array, size_t index)
{
    if (!array || array->type != JSON_ARRAY || array->folded || index >= array->count)
        return NULL;
    if (array->index)
        return ((const JsonIndex *)array->index)->at[index];
    const Json *j = array->first;
    while (index--)
        j = j->next;
    return j;
}

bool json_i64(const Json *j, int64_t *value)
{
    if (!j || j->type != JSON_NUMBER)
        return false;
    if (text_i64(j->text, value))
        return true;
    if (!(fabs(j->number) <= 0x1p53) || j->number != (double)(int64_t)j->number)
        return false;
    *value = (int64_t)j->number; /* 1.0, 1e3 */
    return true;
}

const char *json_cstring(const Json *j)
{
    return j && j->type == JSON_STRING && memchr(j->text.p, 0, j->text.n + 1) == j->text.p + j->text.n ? j->text.p
                                                                                                       : NULL;
}

bool json_is_true(const Json *j)
{
    return j && j->type == JSON_BOOL && j->boolean;
}

bool json_is_text(const Json *j, const char *text)
{
    return j && j->type == JSON_STRING && text_is(j->text, text);
}
