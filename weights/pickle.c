/* weights/pickle.c: an interpreter of pickles that calls nothing. Lib/pickletools.py of Python documents every opcode.
 */
// flags: -Os
#include "weights/pickle.h"

enum { MAX_STEPS = 8 * 1000 * 1000 }; /* bounds the time; pickled modules need some thousands */

typedef struct Machine {
    Arena *arena;
    Error *e;
    const char *path;
    const unsigned char *start, *p, *end;
    Value **stack, **memo;
    size_t depth, stack_capacity;
    size_t memo_count, memo_capacity; /* memo[i] NULL: empty */
    size_t *marks;                    /* the depth of the stack at each mark */
    size_t mark_count, mark_capacity;
    Value **persistent;
    size_t persistent_count, persistent_capacity;
} Machine;

static bool bad(const Machine *m, const char *what)
{
    fail(m->e, SP_FORMAT, "%s: pickle, byte %zu: %s", m->path, (size_t)(m->p - m->start), what);
    return false;
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool take(Machine *m, size_t n, const unsigned char **out)
{
    if (n > (size_t)(m->end - m->p))
        return bad(m, "the data end too early: truncated?");
    *out = m->p;
    m->p += n;
    return true;
}

static bool take_number(Machine *m, int bytes, uint64_t *out)
{
    const unsigned char *p;
    if (!take(m, (size_t)bytes, &p))
        return false;
    *out = read_little(p, bytes);
    return true;
}

static bool take_text(Machine *m, int length_bytes, Text *out)
{
    uint64_t n;
    const unsigned char *p;
    if (!take_number(m, length_bytes, &n) || n > SIZE_MAX || !take(m, (size_t)n, &p))
        return bad(m, "a string ends too early: truncated?");
    *out = (Text){(const char *)p, (size_t)n};
    return true;
}

static bool take_line(Machine *m, Text *out)
{
    const unsigned char *newline = memchr(m->p, '\n', (size_t)(m->end - m->p));
    if (!newline)
        return bad(m, "a line has no end");
    *out = (Text){(const char *)m->p, (size_t)(newline - m->p)};
    m->p = newline + 1;
    return true;
}

/* ---- stack and memo -------------------------------------------------------------------------- */

static bool list_push(Machine *m, Value ***items, size_t *count, size_t *capacity, Value *v)
{
    if (*count == *capacity) {
        Value **grown = arena_grow(m->arena, *items, *count, capacity, sizeof *grown, m->e);
        if (!grown)
            return false;
        *items = grown;
    }
    (*items)[(*count)++] = v;
    return true;
}

static bool push(Machine *m, Value *v)
{
    return v && list_push(m, &m->stack, &m->depth, &m->stack_capacity, v);
}

static Value *make(Machine *m, ValueType type)
{
    Value *v = NEW(m->arena, Value, 1, m->e);
    if (v)
        v->type = type;
    return v;
}

static bool push_integer(Machine *m, ValueType type, int64_t integer)
{
    Value *v = make(m, type);
    if (v)
        v->integer = integer;
    return push(m, v);
}

static bool push_text(Machine *m, ValueType type, Text text)
{
    Value *v = make(m, type);
    if (v)
        v->text = text;
    return push(m, v);
}

/* Returns the lowest depth that may be popped: the last mark. */
static size_t bottom(const Machine *m)
{
    return m->mark_count ? m->marks[m->mark_count - 1] : 0;
}

static Value *pop(Machine *m)
{
    if (!m->stack || m->depth == bottom(m)) {
        bad(m, "reads from an empty stack");
        return NULL;
    }
    return m->stack[--m->depth];
}

static Value *top(Machine *m)
{
    if (!m->stack || m->depth == bottom(m)) {
        bad(m, "reads from an empty stack");
        return NULL;
    }
    return m->stack[m->depth - 1];
}

static bool mark(Machine *m)
{
    size_t *grown = arena_grow(m->arena, m->marks, m->mark_count, &m->mark_capacity, sizeof *grown, m->e);
    if (!grown)
        return false;
    m->marks = grown;
    m->marks[m->mark_count++] = m->depth;
    return true;
}

/* Takes the values above the last mark. They are valid until the next push. */
static bool pop_mark(Machine *m, Value ***items, size_t *count)
{
    if (!m->mark_count)
        return bad(m, "a mark is missing");
    size_t from = m->marks[--m->mark_count];
    *items = m->stack ? m->stack + from : NULL; /* a mark may come before any push */
    *count = m->depth - from;
    m->depth = from;
    return true;
}

static bool memo_put(Machine *m, uint64_t at)
{
    Value *v = top(m);
    if (!v)
        return false;
    if (at > (uint64_t)(m->p - m->start)) /* memo numbers start at 0, and each takes at least one byte */
        return bad(m, "a memo number is out of range");
    while (m->memo_count <= at)
        if (!list_push(m, &m->memo, &m->memo_count, &m->memo_capacity, NULL))
            return false;
    m->memo[at] = v;
    return true;
}

static bool memo_get(Machine *m, uint64_t at)
{
    if (at >= m->memo_count || !m->memo[at])
        return bad(m, "unknown memo number");
    return push(m, m->memo[at]);
}

/* ---- containers and objects ------------------------------------------------------------------ */

static bool add_items(Machine *m, Value *to, Value **items, size_t count, bool pairs)
{
    bool fits = to && (pairs ? to->type == V_DICT : to->type == V_LIST || to->type == V_SET);
    if (to && to->type == V_OBJECT && (to->pairs == pairs || !to->count)) {
        to->pairs = pairs;
        fits = true;
    }
    if (!fits || (pairs && count % 2))
        return m->e->code ? false : bad(m, "items are added to a value that is not a container");
    for (size_t i = 0; i < count; i++)
        if (!list_push(m, &to->items, &to->count, &to->capacity, items[i]))
            return false;
    return true;
}

static bool push_items(Machine *m, ValueType type, Value **items, size_t count)
{
    Value *v = make(m, type);
    if (!v)
        return false;
    if (type == V_DICT && count % 2)
        return bad(m, "a dictionary key has no value");
    for (size_t i = 0; i < count; i++)
        if (!list_push(m, &v->items, &v->count, &v->capacity, items[i]))
            return false;
    return push(m, v);
}

static bool collect(Machine *m, ValueType type)
{
    Value **items;
    size_t count;
    return pop_mark(m, &items, &count) && push_items(m, type, items, count);
}

static bool collect_into(Machine *m, bool pairs)
{
    Value **items;
    size_t count;
    return pop_mark(m, &items, &count) && add_items(m, top(m), items, count, pairs);
}

static bool push_tuple(Machine *m, size_t count)
{
    if (m->depth - bottom(m) < count)
        return bad(m, "reads from an empty stack");
    m->depth -= count;
    return push_items(m, V_TUPLE, m->stack + m->depth, count);
}

static bool push_global(Machine *m, Text module, Text name)
{
    Value *v = make(m, V_GLOBAL);
    if (!v)
        return false;
    v->text = module;
    v->name = name;
    return push(m, v);
}

static bool push_object(Machine *m, Value *class, Value *args)
{
    if (!class || !args)
        return false;
    Value *v = make(m, V_OBJECT);
    if (!v)
        return false;
    v->class = class;
    v->args = args;
    return push(m, v);
}

/* INST and OBJ of protocols 0 and 1: the arguments, and for OBJ the class, are above a mark. */
static bool push_old_object(Machine *m, bool class_on_stack)
{
    Text module, name;
    if (!class_on_stack) {
        Value **items;
        size_t count;
        if (!take_line(m, &module) || !take_line(m, &name) || !pop_mark(m, &items, &count) ||
            !push_items(m, V_TUPLE, items, count))
            return false;
        Value *args = pop(m);
        return push_global(m, module, name) && push_object(m, pop(m), args);
    }
    if (!collect(m, V_TUPLE))
        return false;
    Value *all = pop(m);
    if (!all->count)
        return bad(m, "an object has no class");
    return push_items(m, V_TUPLE, all->items + 1, all->count - 1) && push_object(m, all->items[0], pop(m));
}

static bool build(Machine *m)
{
    Value *state = pop(m), *v = state ? top(m) : NULL;
    if (!v)
        return false;
    if (v->type == V_OBJECT) /* attributes of dictionaries are not needed */
        v->state = state;
    return true;
}

static bool push_persistent(Machine *m)
{
    Value *id = pop(m), *v = id ? make(m, V_PERSISTENT) : NULL;
    if (!v)
        return false;
    v->class = id;
    return list_push(m, &m->persistent, &m->persistent_count, &m->persistent_capacity, v) && push(m, v);
}

/* ---- numbers --------------------------------------------------------------------------------- */

static bool push_long(Machine *m, int length_bytes)
{
    Text t;
    if (!take_text(m, length_bytes, &t))
        return false;
    if (t.n > 8)
        return push_integer(m, V_BIG, 0);
    uint64_t v = read_little((const unsigned char *)t.p, (int)t.n);
    if (t.n && t.n < 8 && t.p[t.n - 1] & 0x80) /* two's complement */
        v |= ~(uint64_t)0 << 8 * t.n;
    return push_integer(m, V_INT, (int64_t)v);
}

static bool push_decimal(Machine *m)
{
    Text t;
    int64_t v;
    if (!take_line(m, &t))
        return false;
    if (text_is(t, "00") || text_is(t, "01"))
        return push_integer(m, V_BOOL, t.p[1] == '1');
    if (text_ends(t, "L"))
        t.n--;
    return text_i64(t, &v) ? push_integer(m, V_INT, v) : push_integer(m, V_BIG, 0);
}

static bool push_float(Machine *m, bool text)
{
    Value *v = make(m, V_FLOAT);
    Text line;
    const unsigned char *p;
    if (!v)
        return false;
    if (text) {
        if (!take_line(m, &line) || !text_f64(line, &v->number))
            return bad(m, "invalid number");
    } else {
        uint64_t bits = 0;
        if (!take(m, 8, &p))
            return false;
        for (int i = 0; i < 8; i++) /* big-endian, unlike the other numbers of a pickle */
            bits = bits << 8 | p[i];
        memcpy(&v->number, &bits, 8);
    }
    return push(m, v);
}

static bool memo_line(Machine *m, bool put)
{
    Text t;
    int64_t at;
    if (!take_line(m, &t) || !text_i64(t, &at) || at < 0)
        return bad(m, "invalid memo number");
    return put ? memo_put(m, (uint64_t)at) : memo_get(m, (uint64_t)at);
}

/* Escapes are not decoded: names of tensors contain none. */
static bool push_line_text(Machine *m, bool quoted)
{
    Text t;
    if (!take_line(m, &t))
        return false;
    if (quoted) {
        if (t.n < 2 || (*t.p != '\'' && *t.p != '"') || t.p[t.n - 1] != *t.p)
            return bad(m, "a string has no quotes");
        t = (Text){t.p + 1, t.n - 2};
    }
    return push_text(m, V_TEXT, t);
}

/* ---- the machine ----------------------------------------------------------------------------- */

static bool with_number(Machine *m, int bytes, bool (*then)(Machine *, uint64_t))
{
    uint64_t n;
    return take_number(m, bytes, &n) && then(m, n);
}

static bool push_unsigned(Machine *m, uint64_t n)
{
    return push_integer(m, V_INT, (int64_t)n);
}

static bool push_signed32(Machine *m, uint64_t n)
{
    return push_integer(m, V_INT, (int32_t)(uint32_t)n);
}

static bool push_counted_text(Machine *m, int length_bytes, ValueType type)
{
    Text t;
    return take_text(m, length_bytes, &t) && push_text(m, type, t);
}

static bool step_container(Machine *m, unsigned char op)
{
    Value *v, *w, *pair[2];
    switch (op) {
    case ']': return push_items(m, V_LIST, NULL, 0);
    case '}': return push_items(m, V_DICT, NULL, 0);
    case ')': return push_items(m, V_TUPLE, NULL, 0);
    case 0x8f: return push_items(m, V_SET, NULL, 0);
    case 'l': return collect(m, V_LIST);
    case 'd': return collect(m, V_DICT);
    case 't': return collect(m, V_TUPLE);
    case 0x91: return collect(m, V_SET);
    case 'e': /* APPENDS, ADDITEMS */
    case 0x90: return collect_into(m, false);
    case 'u': return collect_into(m, true);
    case 'a': return (v = pop(m)) && add_items(m, top(m), &v, 1, false);
    case 's':
        if (!(pair[1] = pop(m)) || !(pair[0] = pop(m)))
            return false;
        return add_items(m, top(m), pair, 2, true);
    case 0x85: /* TUPLE1 to TUPLE3 */
    case 0x86:
    case 0x87: return push_tuple(m, op - 0x84u);
    case 'R': /* REDUCE, NEWOBJ */
    case 0x81: return (w = pop(m)) && (v = pop(m)) && push_object(m, v, w);
    case 0x92: return pop(m) && (w = pop(m)) && (v = pop(m)) && push_object(m, v, w);
    case 'o': return push_old_object(m, true);
    case 'i': return push_old_object(m, false);
    case 'b': return build(m);
    case 'Q': return push_persistent(m);
    default:
        fail(m->e, SP_UNSUPPORTED, "%s: pickle, byte %zu: opcode 0x%02x is not supported", m->path,
             (size_t)(m->p - m->start) - 1, op);
        return false;
    }
}

static bool step(Machine *m, unsigned char op)
{
    Value *v, *w;
    Text t, u;
    const unsigned char *p;
    Value **items;
    size_t count;
    switch (op) {
    case 0x80: return take(m, 1, &p) && (*p <= 5 || bad(m, "protocols above 5 are not supported"));
    case 0x95: return take(m, 8, &p); /* FRAME: only a hint */
    case '(': return mark(m);
    case '0': return m->mark_count && m->depth == bottom(m) ? pop_mark(m, &items, &count) : pop(m) != NULL;
    case '1': return pop_mark(m, &items, &count);
    case '2': return push(m, top(m));
    case 'N': return push(m, make(m, V_NONE));
    case 0x88: return push_integer(m, V_BOOL, 1);
    case 0x89: return push_integer(m, V_BOOL, 0);
    case 'I':
    case 'L': return push_decimal(m);
    case 'J': return with_number(m, 4, push_signed32);
    case 'K': return with_number(m, 1, push_unsigned);
    case 'M': return with_number(m, 2, push_unsigned);
    case 0x8a: return push_long(m, 1);
    case 0x8b: return push_long(m, 4);
    case 'F': return push_float(m, true);
    case 'G': return push_float(m, false);
    case 'S': return push_line_text(m, true);
    case 'V': return push_line_text(m, false);
    case 'T': return push_counted_text(m, 4, V_TEXT);
    case 'U': return push_counted_text(m, 1, V_TEXT);
    case 'X': return push_counted_text(m, 4, V_TEXT);
    case 0x8c: return push_counted_text(m, 1, V_TEXT);
    case 0x8d: return push_counted_text(m, 8, V_TEXT);
    case 'B': return push_counted_text(m, 4, V_BYTES);
    case 'C': return push_counted_text(m, 1, V_BYTES);
    case 0x8e: /* BINBYTES8, BYTEARRAY8 */
    case 0x96: return push_counted_text(m, 8, V_BYTES);
    case 'c': return take_line(m, &t) && take_line(m, &u) && push_global(m, t, u);
    case 0x93:
        if (!(w = pop(m)) || !(v = pop(m)))
            return false;
        return v->type == V_TEXT && w->type == V_TEXT ? push_global(m, v->text, w->text)
                                                      : bad(m, "a class name is not a string");
    case 'p': return memo_line(m, true);
    case 'g': return memo_line(m, false);
    case 'q': return with_number(m, 1, memo_put);
    case 'r': return with_number(m, 4, memo_put);
    case 0x94: return memo_put(m, m->memo_count);
    case 'h': return with_number(m, 1, memo_get);
    case 'j': return with_number(m, 4, memo_get);
    default: return step_container(m, op);
    }
}

bool pickle_read(Pickle *out, Arena *a, Text source, const char *path, Error *e)
{
    Machine m = {.arena = a, .e = e, .path = path, .start = (const unsigned char *)source.p};
    m.p = m.start;
    m.end = m.start + source.n;
    for (int64_t steps = 0; steps < MAX_STEPS; steps++) {
        const unsigned char *op;
        if (!take(&m, 1, &op))
            return false;
        if (*op == '.') {
            *out = (Pickle){.root = pop(&m), .persistent = m.persistent, .persistent_count = m.persistent_count};
            out->bytes = (size_t)(m.p - m.start);
            return out->root != NULL;
        }
        if (!step(&m, *op))
            return false;
    }
    return bad(&m, "too many opcodes");
}

/* ---- access to values ------------------------------------------------------------------------ */

bool value_is_global(const Value *v, const char *module, const char *name)
{
    return v && v->type == V_GLOBAL && text_is(v->text, module) && text_is(v->name, name);
}

const Value *value_item(const Value *v, size_t i)
{
    return v && (v->type == V_TUPLE || v->type == V_LIST) && i < v->count ? v->items[i] : NULL;
}

const Value *value_get(const Value *dict, const char *key)
{
    if (!dict || !(dict->type == V_DICT || (dict->type == V_OBJECT && dict->pairs)))
        return NULL;
    for (size_t i = 0; i + 1 < dict->count; i += 2)
        if (dict->items[i]->type == V_TEXT && text_is(dict->items[i]->text, key))
            return dict->items[i + 1];
    return NULL;
}
