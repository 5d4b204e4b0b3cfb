/* weights/torch_search.c: finds the tensors and modules in a torch file. torch.c describes their names. */
// flags: -Os
#include "weights/torch.h"

enum { MAX_DEPTH = 256, MAX_VISITS = 10 * 1000 * 1000 };

/* ---- the search ------------------------------------------------------------------------------ */

static bool is_dict(const Value *v)
{
    return v && (v->type == V_DICT ||
                 (v->type == V_OBJECT && (v->pairs || value_is_global(v->class, "collections", "OrderedDict"))));
}

static bool visit(Torch *t, size_t values)
{
    t->visits += values;
    return t->visits <= MAX_VISITS || fail(t->e, SP_FORMAT, "%s: pickle: too many nested values", t->path);
}

/* Reports whether a key is in set([names]), in any of its pickled forms. Also returns true after an error. */
static bool set_has(Torch *t, const Value *set, const Value *key)
{
    if (set && set->type == V_OBJECT)
        set = value_item(set->args, 0);
    if (key->type != V_TEXT || !set || (set->type != V_SET && set->type != V_LIST))
        return false;
    if (!visit(t, set->count * (1 + key->text.n / 64))) /* long names take more time */
        return true;
    for (size_t i = 0; i < set->count; i++)
        if (set->items[i]->type == V_TEXT && text_equal(set->items[i]->text, key->text))
            return true;
    return false;
}

/* Appends ".key" to the first n bytes of t->name. Returns the new length, or 0 if the key is not a name, or after an
 * error. */
static size_t name_push(Torch *t, size_t n, const Value *key)
{
    char digits[24];
    Text text = {digits, 0};
    if (key->type == V_TEXT)
        text = key->text;
    else if (key->type == V_INT)
        text.n = (size_t)snprintf(digits, sizeof digits, "%lld", (long long)key->integer);
    if (!text.n)
        return 0;
    size_t end = n + (n > 0) + text.n;
    if (!visit(t, text.n / 64)) /* long keys take more time */
        return 0;
    while (end >= t->name_capacity) {
        char *grown = arena_grow(t->scratch, t->name, t->name_capacity, &t->name_capacity, 1, t->e);
        if (!grown)
            return 0;
        t->name = grown;
    }
    if (n)
        t->name[n++] = '.';
    memcpy(t->name + n, text.p, text.n);
    return end;
}

static bool walk(Torch *t, Value *v, size_t n, int depth);

/* Walks over a child of a container; `key` is the last part of its name. Values that cannot contain tensors, and
 * children whose key is not a name, are skipped. */
static bool walk_child(Torch *t, const Value *key, Value *child, size_t n, int depth)
{
    if (!visit(t, 1))
        return false;
    if (child->type < V_LIST || child->type == V_GLOBAL || child->type == V_PERSISTENT)
        return true;
    size_t end = name_push(t, n, key);
    return end ? walk(t, child, end, depth + 1) : t->e->code == SP_OK;
}

/* Walks the values of a dictionary under its keys, without the keys in `except`. */
static bool walk_dict(Torch *t, const Value *dict, const Value *except, size_t n, int depth)
{
    if (!is_dict(dict))
        return true;
    if (dict->type == V_OBJECT && !dict->pairs) { /* OrderedDict([[key, value], ...]), as Python 2 wrote it */
        const Value *list = value_item(dict->args, 0);
        for (size_t i = 0; list && list->type == V_LIST && i < list->count; i++) {
            const Value *key = value_item(list->items[i], 0), *value = value_item(list->items[i], 1);
            if (!visit(t, 1))
                return false;
            if (key && value && !set_has(t, except, key) && !walk_child(t, key, list->items[i]->items[1], n, depth))
                return false;
        }
        return t->e->code == SP_OK;
    }
    for (size_t i = 0; i + 1 < dict->count; i += 2)
        if (!set_has(t, except, dict->items[i]) && !walk_child(t, dict->items[i], dict->items[i + 1], n, depth))
            return false;
    return t->e->code == SP_OK;
}

/* Returns a setting that is a number, or a tuple of equal numbers: as Conv2d stores its stride. */
static int64_t setting_of(const Value *state, const char *key)
{
    const Value *v = value_get(state, key), *first = value_item(v, 0), *second = value_item(v, 1);
    int64_t a, b;
    if (!v)
        return SETTING_ABSENT;
    if (value_integer(v, &a) || (v->count == 1 && value_integer(first, &a)))
        return a >= 0 ? a : SETTING_OTHER;
    return value_integer(first, &a) && value_integer(second, &b) && a == b && v->count == 2 && a >= 0 ? a
                                                                                                      : SETTING_OTHER;
}

/* Adds a module with its class and its settings. Its name is the first n bytes of t->name. */
static bool add_module(Torch *t, const Value *v, const Value *state, size_t n)
{
    const Value *class = v->class, *eps = value_get(state, "eps");
    PickledModule *more = arena_grow(t->scratch, t->modules, t->module_count, &t->module_capacity, sizeof *more, t->e);
    if (class && class->type == V_GLOBAL && text_is(class->text, "copyreg")) /* _reconstructor(class, base, state) */
        class = value_item(v->args, 0);
    if (class && class->type == V_PERSISTENT) /* in the legacy stream: the class with its source text */
        class = value_item(class->class, 1);
    bool known = class && class->type == V_GLOBAL;
    const char *text = known ? arena_printf(t->scratch, t->e, "%.*s.%.*s", NAME(class->text), NAME(class->name)) : "?";
    const char *name = more && text ? arena_strndup(t->scratch, n ? t->name : "", n, t->e) : NULL;
    if (!name)
        return false;
    t->modules = more;
    more[t->module_count++] = (PickledModule){.name = {name, n},
                                              .class = text_of(text),
                                              .stride = setting_of(state, "stride"),
                                              .padding = setting_of(state, "padding"),
                                              .dilation = setting_of(state, "dilation"),
                                              .groups = setting_of(state, "groups"),
                                              .eps = eps && eps->type == V_FLOAT ? eps->number : -1};
    return true;
}

static bool walk_inside(Torch *t, Value *v, size_t n, int depth)
{
    if (is_dict(v))
        return walk_dict(t, v, NULL, n, depth);
    if (v->type == V_LIST || v->type == V_TUPLE) {
        for (size_t i = 0; i < v->count; i++)
            if (!walk_child(t, &(Value){.type = V_INT, .integer = (int64_t)i}, v->items[i], n, depth))
                return false;
        return true;
    }
    if (v->type != V_OBJECT)
        return true;
    const Value *state = v->state;
    if (state && state->type == V_TUPLE && state->count) /* of a class with __slots__: (attributes, slots) */
        state = state->items[0];
    if (state && is_dict(state) && !visit(t, state->count))
        return false;
    const Value *parameters = value_get(state, "_parameters"), *modules = value_get(state, "_modules");
    if (parameters || modules)
        return add_module(t, v, state, n) && walk_dict(t, parameters, NULL, n, depth) &&
               walk_dict(t, value_get(state, "_buffers"), value_get(state, "_non_persistent_buffers_set"), n, depth) &&
               walk_dict(t, modules, NULL, n, depth);
    if (v->state)
        return walk(t, v->state, n, depth + 1);
    return v->args && v->args->type == V_TUPLE ? walk(t, v->args, n, depth + 1) : true;
}

/* Adds every tensor in v. Its name is the first n bytes of t->name. A tensor in several places is added under several
 * names. */
static bool walk(Torch *t, Value *v, size_t n, int depth)
{
    const Value *dtype, *args = v->type == V_OBJECT ? tensor_args(v, &dtype) : NULL;
    if (args)
        return add_tensor(t, args, dtype, (Text){n ? t->name : "", n});
    if (v->on_path)
        return true; /* a cycle */
    if (depth > MAX_DEPTH)
        return fail(t->e, SP_FORMAT, "%s: pickle: more than %d levels of nesting", t->path, MAX_DEPTH);
    v->on_path = true;
    bool ok = walk_inside(t, v, n, depth);
    v->on_path = false;
    return ok;
}

static Value *unwrap(Value *v)
{
    static const char *const KEYS[] = {"state_dict", "model_state_dict", "model"};
    for (int depth = 0; depth < 8 && is_dict(v); depth++) {
        Value *inner = NULL;
        const Value *dtype;
        for (size_t i = 1; i < v->count; i += 2)
            if (v->items[i]->type == V_OBJECT && tensor_args(v->items[i], &dtype))
                return v;
        for (size_t i = 0; i < COUNT(KEYS) && !inner; i++)
            for (size_t j = 0; j + 1 < v->count && !inner; j += 2)
                if (v->items[j]->type == V_TEXT && text_is(v->items[j]->text, KEYS[i]) &&
                    v->items[j + 1]->type >= V_DICT && v->items[j + 1]->type != V_GLOBAL)
                    inner = v->items[j + 1];
        if (!inner)
            return v;
        v = inner;
    }
    return v;
}

/* Copies the modules into the arena of the weights. If the names of all tensors begin with "module." (a DataParallel
 * around the model), `cut` is the length of this prefix: it is removed from each name, and the DataParallel itself,
 * module 0, is left out. */
static bool keep_modules(Torch *t, size_t cut)
{
    size_t bytes = t->module_count * sizeof(PickledModule), first = cut && t->module_count ? 1 : 0;
    for (size_t i = first; i < t->module_count; i++)
        bytes += t->modules[i].name.n + t->modules[i].class.n + 100;
    if (bytes > room_left(t))
        return fail(t->e, SP_FORMAT, "%s: its modules of %zu bytes are too large for a file of this size", t->path,
                    bytes);
    PickledModule *list = NEW(t->w->arena, PickledModule, t->module_count, t->e);
    TextIndex *names = text_index_new(t->w->arena, t->e);
    for (size_t i = first; list && names && i < t->module_count; i++) {
        PickledModule *m = &list[i - first];
        *m = t->modules[i];
        size_t skipped = MIN(cut, m->name.n);
        int64_t number = text_index_add(names, (Text){m->name.p + skipped, m->name.n - skipped}, t->e);
        m->name = text_index_at(names, number);
        m->class.p = number >= 0 ? arena_strndup(t->w->arena, m->class.p, m->class.n, t->e) : NULL;
        if (!m->class.p)
            return false;
        if (number < (int64_t)(i - first))
            return fail(t->e, SP_FORMAT, "%s: module %.*s: duplicate name", t->path, NAME(m->name));
    }
    t->w->modules = list;
    t->w->module_names = names;
    t->w->module_count = list && names ? t->module_count - first : 0;
    return list && names;
}

bool torch_collect(Torch *t, Value *root)
{
    if (!walk(t, unwrap(root), 0, 0))
        return false;
    if (!t->count)
        return fail(t->e, SP_FORMAT, "%s: contains no tensors", t->path);
    size_t cut = strlen("module."), bytes = 0;
    for (size_t i = 0; i < t->count; i++) {
        bytes += t->found[i].name.n;
        if (!text_starts(t->found[i].name, "module.") || t->found[i].name.n == strlen("module."))
            cut = 0;
    }
    if (bytes > room_left(t))
        return fail(t->e, SP_FORMAT, "%s: its tensor names of %zu bytes are too large for a file of this size", t->path,
                    bytes);
    Array *list = NEW(t->w->arena, Array, t->count, t->e);
    if (!list || (t->module_count && !keep_modules(t, cut)))
        return false;
    for (size_t i = 0; i < t->count; i++) {
        list[i] = t->found[i];
        list[i].name = (Text){t->found[i].name.p + cut, t->found[i].name.n - cut};
    }
    return weights_add_all(t->w, list, t->count, t->e);
}
