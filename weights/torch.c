/* weights/torch.c: what torch.save writes, as torch/serialization.py does: the zip archive (1.6 and later: data.pkl
 * and data/<key>, one file per storage) and the legacy stream before it (pickles, then the storages in order).
 *
 * Names. A dictionary's tensors get its keys, nested ones joined by '.'; a pickled module's get what state_dict() would
 * give: its _parameters, its persistent _buffers, then its _modules; any other object is searched by attribute. A
 * dictionary without a tensor of its own that has a key state_dict, model_state_dict or model is replaced by the
 * value of that key, repeatedly. When every name begins with "module." (DataParallel), that is cut off. */
// flags: -Os
#include "weights/pickle.h"
#include "weights/zip.h"

enum { MAX_DEPTH = 256, MAX_VISITS = 10 * 1000 * 1000 };

/* Memory for a file of n bytes: 32 MB + 10 n for the pickle's values, the archive's directory and the tensors found, in
 * the scratch arena; 56 MB + 18 n for these and the tensors of the model together, and what had to be unpacked or
 * copied for them. A pickle can name one value a thousand times and is packed a thousandfold, so all of it is counted,
 * and a file that needs more is an error. Time: linear in that. */
static size_t in_proportion(size_t n, size_t megabytes, size_t each)
{
    return (megabytes << 20) + each * MIN(n, SIZE_MAX / 32);
}

typedef struct Storage {
    const unsigned char *data;
    uint64_t bytes;
} Storage;

typedef struct Torch {
    Weights *w;
    Arena *scratch; /* the pickle's values; gone after opening */
    Error *e;
    const char *path;
    Zip zip;
    Text folder;     /* "archive/" */
    TextIndex *keys; /* legacy, instead of zip: storages[i] is key number i; NULL: a zip archive */
    Storage *storages;
    Array *found;
    size_t count, capacity;
    char *name; /* of the value being looked at */
    size_t name_capacity;
    /* to values: a small pickle can put one list into another a thousand times, again and again */
    size_t visits;
    size_t file_bytes, before; /* of the file; of w's arena before it */
} Torch;

/* of a tensor in w, which follows later: its Array and its entry of the index */
enum { TENSOR_COST = sizeof(Array) + 100 };

/* What may still be unpacked or copied. */
static size_t room_left(const Torch *t)
{
    size_t limit = in_proportion(t->file_bytes, 56, 18), used = arena_bytes(t->scratch) + t->count * TENSOR_COST;
    used += arena_bytes(t->w->arena) - t->before;
    return used < limit ? limit - used : 0;
}

/* ---- storages -------------------------------------------------------------------------------- */

static const struct {
    const char *storage, *dtype;
    DType type;
} TORCH_TYPES[] = {{"FloatStorage", "float32", F32}, {"DoubleStorage", "float64", F64},
                   {"HalfStorage", "float16", F16},  {"BFloat16Storage", "bfloat16", BF16},
                   {"LongStorage", "int64", I64},    {"IntStorage", "int32", I32},
                   {"ShortStorage", "int16", I16},   {"CharStorage", "int8", I8},
                   {"ByteStorage", "uint8", U8},     {"BoolStorage", "bool", BOOL8}};

static bool type_of(const Value *global, DType *type)
{
    for (size_t i = 0; global && global->type == V_GLOBAL && i < COUNT(TORCH_TYPES); i++)
        if (text_is(global->name, TORCH_TYPES[i].storage) || text_is(global->name, TORCH_TYPES[i].dtype)) {
            *type = TORCH_TYPES[i].type;
            return true;
        }
    return false;
}

static bool integer(const Value *v, int64_t *out)
{
    if (!v || v->type != V_INT)
        return false;
    *out = v->integer;
    return true;
}

/* The persistent id ('storage', type, key, place, length[, view]). Its parts, or false. */
static bool storage_id(const Value *v, const Value **type, Text *key, int64_t *length)
{
    const Value *id = v && v->type == V_PERSISTENT ? v->class : NULL, *word = value_item(id, 0), *k = value_item(id, 2);
    *type = value_item(id, 1);
    if (!word || word->type != V_TEXT || !text_is(word->text, "storage") || !*type || !k || k->type != V_TEXT ||
        !integer(value_item(id, 4), length) || *length < 0)
        return false;
    *key = k->text;
    return true;
}

static bool storage_find(Torch *t, Text key, Storage *out)
{
    if (t->keys) {
        int64_t i = text_index_find(t->keys, key);
        if (i < 0)
            return fail(t->e, SP_FORMAT, "%s: storage %.*s is missing", t->path, NAME(key));
        *out = t->storages[i];
        return true;
    }
    char *name =
        arena_printf(t->scratch, t->e, "%.*sdata/%.*s", (int)MIN(t->folder.n, (size_t)65535), t->folder.p, NAME(key));
    ZipEntry *entry = name ? zip_find(&t->zip, text_of(name)) : NULL;
    if (!entry)
        return fail(t->e, SP_FORMAT, "%s: zip archive: storage %s is missing", t->path, name ? name : "");
    t->zip.room = room_left(t);
    out->data = zip_bytes(&t->zip, entry, t->w->arena, t->e);
    out->bytes = entry->bytes;
    return out->data != NULL;
}

/* ---- tensors --------------------------------------------------------------------------------- */

/* Copies a strided view into the arena, in C order. */
static bool make_contiguous(Torch *t, Array *a, const unsigned char *from, const int64_t *stride, size_t bytes)
{
    size_t size = dtype_bytes(a->type);
    unsigned char *out = NULL;
    if (bytes > room_left(t)) /* a stride of 0 makes much out of little */
        return fail(t->e, SP_FORMAT, "%s: tensor %.*s: a view of %zu bytes is too large for a file of this size",
                    t->path, NAME(a->name), bytes);
    out = NEW(t->w->arena, unsigned char, bytes, t->e);
    if (!out)
        return false;
    a->data = out;
    int64_t at[MAX_DIMS] = {0}, inner = a->dims ? a->shape[a->dims - 1] : 1, step = a->dims ? stride[a->dims - 1] : 0,
            base = 0;
    for (int64_t i = 0; i < a->count; i += inner) {
        for (int64_t j = 0; j < inner; j++, out += size)
            memcpy(out, from + (size_t)(base + j * step) * size, size);
        for (int d = a->dims - 2; d >= 0; d--) {
            base += stride[d];
            if (++at[d] < a->shape[d])
                break;
            base -= a->shape[d] * stride[d];
            at[d] = 0;
        }
    }
    return true;
}

/* torch.Size(tuple) or the tuple itself. */
static const Value *plain_tuple(const Value *v)
{
    return v && v->type == V_OBJECT && value_is_global(v->class, "torch", "Size") ? value_item(v->args, 0) : v;
}

static bool lengths(const Value *v, int64_t out[MAX_DIMS], size_t *count)
{
    if (!v || (v->type != V_TUPLE && v->type != V_LIST) || v->count > MAX_DIMS)
        return false;
    *count = v->count;
    for (size_t i = 0; i < v->count; i++)
        if (!integer(v->items[i], &out[i]) || out[i] < 0)
            return false;
    return true;
}

/* The arguments of _rebuild_tensor: storage, offset, size, stride, ... */
static bool add_tensor(Torch *t, const Value *args, const Value *dtype, Text name)
{
    Array a = {.name = name, .file = t->path};
    const Value *storage = value_item(args, 0), *class;
    Text key;
    int64_t length, offset, stride[MAX_DIMS] = {0};
    size_t dims, strides, bytes;
    if (!storage_id(storage, &class, &key, &length) || !integer(value_item(args, 1), &offset) || offset < 0 ||
        !lengths(plain_tuple(value_item(args, 2)), a.shape, &dims) ||
        !lengths(plain_tuple(value_item(args, 3)), stride, &strides) || dims != strides)
        return fail(t->e, SP_FORMAT,
                    "%s: tensor %.*s: invalid storage, offset, size (at most %d dimensions) or strides", t->path,
                    NAME(name), MAX_DIMS);
    if (!type_of(dtype ? dtype : class, &a.type))
        return fail(t->e, SP_UNSUPPORTED, "%s: tensor %.*s: type %.*s is not supported", t->path, NAME(name),
                    NAME((dtype ? dtype : class)->name));
    a.dims = (int)dims;
    Storage s = {NULL, 0};
    if (!storage_find(t, key, &s))
        return false;
    /* views of old files: (key, offset, length) within the storage */
    const Value *view = value_item(storage->class, 5);
    int64_t shift = 0;
    if (view && view->type == V_TUPLE &&
        (!integer(value_item(view, 1), &shift) || shift < 0 || offset > INT64_MAX - shift))
        return fail(t->e, SP_FORMAT, "%s: tensor %.*s: its storage is an invalid view", t->path, NAME(name));
    offset += shift;
    int64_t room = (int64_t)MIN(s.bytes / dtype_bytes(a.type), (uint64_t)INT64_MAX), last = offset, dense = 1;
    if (!array_size(&a, &bytes))
        return fail(t->e, SP_FORMAT, "%s: tensor %.*s: its size overflows", t->path, NAME(name));
    bool contiguous = true, inside = !a.count || offset < room;
    for (int d = a.dims - 1; d >= 0 && a.count; d--) {
        contiguous &= a.shape[d] == 1 || stride[d] == dense;
        dense *= a.shape[d];
        inside = inside && (a.shape[d] == 1 || stride[d] <= (room - 1 - last) / (a.shape[d] - 1));
        if (inside && a.shape[d] > 1)
            last += stride[d] * (a.shape[d] - 1);
    }
    if (!inside)
        return fail(t->e, SP_FORMAT, "%s: tensor %.*s: reaches beyond its storage of %lld elements", t->path,
                    NAME(name), (long long)room);
    a.data = a.count ? s.data + (size_t)offset * dtype_bytes(a.type) : s.data;
    if (a.count && !contiguous && !make_contiguous(t, &a, a.data, stride, bytes))
        return false;
    Array *grown = arena_grow(t->scratch, t->found, t->count, &t->capacity, sizeof *grown, t->e);
    if (!grown)
        return false;
    t->found = grown;
    a.name.p = arena_strndup(t->scratch, name.p, name.n, t->e);
    t->found[t->count++] = a;
    return a.name.p != NULL;
}

/* The rebuilding call below parameters and subclasses: its arguments, or NULL when v is no tensor. */
static const Value *tensor_args(const Value *v, const Value **dtype)
{
    *dtype = NULL;
    const Value *class = v->class, *args = v->args;
    for (int depth = 0; v->type == V_OBJECT && depth < 8; depth++) {
        if (value_is_global(class, "torch._utils", "_rebuild_tensor_v2") ||
            value_is_global(class, "torch._utils", "_rebuild_tensor"))
            return args;
        if (value_is_global(class, "torch._utils", "_rebuild_tensor_v3")) {
            *dtype = value_item(args, 6);
            return *dtype && (*dtype)->type == V_GLOBAL ? args : NULL;
        }
        if (value_is_global(class, "torch._tensor", "_rebuild_from_type_v2")) {
            class = value_item(args, 0); /* function, type, its arguments, state */
            args = value_item(args, 2);
        } else if (value_is_global(class, "torch._utils", "_rebuild_parameter") ||
                   value_is_global(class, "torch._utils", "_rebuild_parameter_with_state") ||
                   value_is_global(class, "torch.nn.parameter", "Parameter")) {
            const Value *inner = value_item(args, 0);
            if (!inner || inner->type != V_OBJECT)
                return NULL;
            class = inner->class;
            args = inner->args;
        } else {
            return NULL;
        }
        if (!class || !args)
            return NULL;
    }
    return NULL;
}

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

/* set([names]) in whatever form */
static bool set_holds(Torch *t, const Value *set, Text name)
{
    if (set && set->type == V_OBJECT)
        set = value_item(set->args, 0);
    t->visits += set && (set->type == V_SET || set->type == V_LIST) ? set->count : 0;
    for (size_t i = 0; set && (set->type == V_SET || set->type == V_LIST) && i < set->count; i++)
        if (set->items[i]->type == V_TEXT && text_equal(set->items[i]->text, name))
            return true;
    return false;
}

/* Puts ".key" behind the first n bytes of t->name; returns the new length, or 0. Keys that are no names give 0 too. */
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
    if (!visit(t, text.n / 64)) /* long keys take time */
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

static bool walk_child(Torch *t, const Value *key, Value *child, size_t n, int depth)
{
    if (!visit(t, 1))
        return false;
    if (child->type < V_LIST || child->type == V_GLOBAL || child->type == V_PERSISTENT)
        return true;
    size_t end = name_push(t, n, key);
    return end ? walk(t, child, end, depth + 1) : t->e->code == SP_OK;
}

/* A dictionary's values under its keys, without those that `except` names. */
static bool walk_dict(Torch *t, const Value *dict, const Value *except, size_t n, int depth)
{
    if (!is_dict(dict))
        return true;
    if (dict->type == V_OBJECT && !dict->pairs) { /* OrderedDict([[key, value], ...]), as Python 2 wrote it */
        const Value *list = value_item(dict->args, 0);
        for (size_t i = 0; list && list->type == V_LIST && i < list->count; i++) {
            const Value *key = value_item(list->items[i], 0), *value = value_item(list->items[i], 1);
            if (key && value && !(key->type == V_TEXT && set_holds(t, except, key->text)) &&
                !walk_child(t, key, list->items[i]->items[1], n, depth))
                return false;
        }
        return true;
    }
    for (size_t i = 0; i + 1 < dict->count; i += 2) {
        Value *key = dict->items[i];
        if (!(key->type == V_TEXT && set_holds(t, except, key->text)) &&
            !walk_child(t, key, dict->items[i + 1], n, depth))
            return false;
    }
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
    if (state && state->type == V_TUPLE && state->count) /* attributes and slots */
        state = state->items[0];
    if (state && is_dict(state) && !visit(t, state->count))
        return false;
    const Value *parameters = value_get(state, "_parameters"), *modules = value_get(state, "_modules");
    if (parameters || modules)
        return walk_dict(t, parameters, NULL, n, depth) &&
               walk_dict(t, value_get(state, "_buffers"), value_get(state, "_non_persistent_buffers_set"), n, depth) &&
               walk_dict(t, modules, NULL, n, depth);
    if (v->state)
        return walk(t, v->state, n, depth + 1);
    return v->args && v->args->type == V_TUPLE ? walk(t, v->args, n, depth + 1) : true;
}

/* Adds every tensor in v; n bytes of t->name are its name. A tensor in several places gets several names. */
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

static bool collect(Torch *t, Value *root)
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
    if (!list)
        return false;
    for (size_t i = 0; i < t->count; i++) {
        list[i] = t->found[i];
        list[i].name = (Text){t->found[i].name.p + cut, t->found[i].name.n - cut};
    }
    return weights_add_all(t->w, list, t->count, t->e);
}

/* ---- the two containers ---------------------------------------------------------------------- */

static bool read_zip(Torch *t, const Map *m)
{
    Pickle pickle;
    if (!zip_open(&t->zip, m, t->path, t->scratch, t->e))
        return false;
    ZipEntry *data = NULL;
    for (size_t i = 0; i < t->zip.count && !data; i++) {
        Text name = t->zip.entries[i].name;
        const char *slash = memchr(name.p, '/', name.n);
        t->folder = (Text){name.p, slash ? (size_t)(slash + 1 - name.p) : 0};
        if (text_is((Text){name.p + t->folder.n, name.n - t->folder.n}, "data.pkl"))
            data = &t->zip.entries[i];
    }
    if (!data)
        return fail(t->e, SP_FORMAT, "%s: a zip archive without data.pkl: not a torch file", t->path);
    char *name = arena_printf(t->scratch, t->e, "%.*sbyteorder", (int)t->folder.n, t->folder.p);
    ZipEntry *order = name ? zip_find(&t->zip, text_of(name)) : NULL;
    t->zip.room = room_left(t);
    const unsigned char *bytes = order ? zip_bytes(&t->zip, order, t->scratch, t->e) : NULL;
    if (!name || (order && !bytes))
        return false;
    if (order && !text_is((Text){(const char *)bytes, order->bytes}, "little"))
        return fail(t->e, SP_UNSUPPORTED, "%s: written on a big-endian machine, which is not supported", t->path);
    t->zip.room = room_left(t); /* the scratch arena's own limit holds too */
    bytes = zip_bytes(&t->zip, data, t->scratch, t->e);
    return bytes && pickle_read(&pickle, t->scratch, (Text){(const char *)bytes, data->bytes}, t->path, t->e) &&
           collect(t, pickle.root);
}

/* After the pickles: for every key its length in elements as 8 bytes, then its bytes. */
static bool read_storages(Torch *t, const Pickle *object, const Value *keys, Text rest)
{
    t->keys = text_index_new(t->scratch, t->e);
    TextIndex *known = text_index_new(t->scratch, t->e);
    DType *types = NEW(t->scratch, DType, object->persistent_count + 1, t->e);
    if (!t->keys || !known || !types)
        return false;
    for (size_t i = 0; i < object->persistent_count; i++) {
        const Value *class;
        Text key;
        int64_t length, n = 0;
        DType type;
        if (!storage_id(object->persistent[i], &class, &key, &length))
            continue; /* a class with its source text */
        if (!type_of(class, &type))
            return fail(t->e, SP_UNSUPPORTED, "%s: storage type %.*s is not supported", t->path, NAME(class->name));
        if ((n = text_index_add(known, key, t->e)) < 0)
            return false;
        types[n] = type;
    }
    if (!keys || keys->type != V_LIST)
        return fail(t->e, SP_FORMAT, "%s: the list of its storages is missing", t->path);
    t->storages = NEW(t->scratch, Storage, keys->count + 1, t->e);
    if (!t->storages)
        return false;
    for (size_t i = 0; i < keys->count; i++) {
        const Value *key = keys->items[i];
        int64_t n = key->type == V_TEXT ? text_index_find(known, key->text) : -1;
        if (n < 0 || text_index_add(t->keys, key->text, t->e) != (int64_t)i)
            return fail(t->e, SP_FORMAT, "%s: storage %zu of its list is unknown or duplicate", t->path, i);
        size_t size = dtype_bytes(types[n]);
        uint64_t length = rest.n >= 8 ? little((const unsigned char *)rest.p, 8) : 0;
        if (rest.n < 8 || length > (rest.n - 8) / size)
            return fail(t->e, SP_FORMAT, "%s: storage %.*s is incomplete: truncated?", t->path, NAME(key->text));
        t->storages[i] = (Storage){(const unsigned char *)rest.p + 8, length * size};
        rest.p += 8 + length * size;
        rest.n -= 8 + length * size;
    }
    return true;
}

static bool read_legacy(Torch *t, const Map *m)
{
    Pickle part[5]; /* magic, version, system, the object, keys of the storages */
    Text rest = {(const char *)m->data, m->bytes};
    for (size_t i = 0; i < COUNT(part); i++) {
        if (!pickle_read(&part[i], t->scratch, rest, t->path, t->e))
            return false;
        rest.p += part[i].bytes;
        rest.n -= part[i].bytes;
    }
    const Value *little_endian = value_get(part[2].root, "little_endian");
    if (part[1].root->type != V_INT || part[1].root->integer != 1001)
        return fail(t->e, SP_UNSUPPORTED, "%s: this version of the legacy torch format is not supported (1001 is)",
                    t->path);
    if (!little_endian || little_endian->type != V_BOOL || !little_endian->integer)
        return fail(t->e, SP_UNSUPPORTED, "%s: written on a big-endian machine, which is not supported", t->path);
    return read_storages(t, &part[3], part[4].root, rest) && collect(t, part[3].root);
}

static bool read_with_scratch(Weights *w, const Map *m, const char *path, Error *e, bool (*read)(Torch *, const Map *))
{
    Torch t = {.w = w, .e = e, .path = path, .file_bytes = m->bytes, .before = arena_bytes(w->arena)};
    t.scratch = arena_new(arena_heap(w->arena), in_proportion(m->bytes, 32, 10));
    if (!t.scratch)
        return fail_memory(e, sizeof t, path);
    bool ok = read(&t, m);
    if (!ok && arena_full(t.scratch)) {
        error_clear(e);
        fail(e, SP_FORMAT, "%s: its values of over %zu MB are too large for a file of this size (%zu bytes)", path,
             in_proportion(m->bytes, 32, 10) >> 20, m->bytes);
    }
    arena_free(t.scratch);
    return ok;
}

bool torch_zip_read(Weights *w, const Map *m, const char *path, Error *e)
{
    return read_with_scratch(w, m, path, e, read_zip);
}

bool torch_legacy_read(Weights *w, const Map *m, const char *path, Error *e)
{
    return read_with_scratch(w, m, path, e, read_legacy);
}
