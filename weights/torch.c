/* weights/torch.c: reads files of torch.save, as torch/serialization.py does: the zip archive (torch 1.6 and later:
 * data.pkl and data/<key>, one file per storage) and the older legacy stream (pickles, then the storages in order).
 *
 * Names. The tensors of a dictionary are named by its keys; nested keys are joined by '.'. The tensors of a pickled
 * module have the names of state_dict(): its _parameters, its persistent _buffers, then its _modules. The classes of
 * modules are kept under the names of the modules. Any other object is searched by attribute. If a dictionary has no
 * tensor of its own but a key state_dict, model_state_dict or model, it is replaced by the value of that key,
 * repeatedly. If every name begins with "module." (DataParallel), this prefix is cut off. */
// flags: -Os
#include "weights/torch.h"

/* Returns a limit of memory for a file of n bytes: `megabytes`, and `each` bytes per byte of the file. The scratch
 * arena may have 32 MB + 10 n: the values of the pickle, the directory of the archive, and the tensors found. Together
 * with the tensors of the model, and everything unpacked or copied for them, the limit is 56 MB + 18 n. All of it is
 * counted, because a pickle can name one value a thousand times and can be compressed to a thousandth. A file that
 * needs more is an error. Time: linear in this memory. */
static size_t in_proportion(size_t n, size_t megabytes, size_t each)
{
    return (megabytes << 20) + each * MIN(n, SIZE_MAX / 32);
}

/* the bytes of a tensor that is added to w later: its Array and its entry in the index */
enum { TENSOR_COST = sizeof(Array) + 100 };

/* Returns how many bytes may still be unpacked or copied. */
size_t room_left(const Torch *t)
{
    size_t limit = in_proportion(t->file_bytes, 56, 18), used = arena_bytes(t->scratch) + t->count * TENSOR_COST;
    used += arena_bytes(t->w->arena) - t->bytes_before;
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

bool value_integer(const Value *v, int64_t *out)
{
    if (!v || v->type != V_INT)
        return false;
    *out = v->integer;
    return true;
}

/* Reads the persistent id ('storage', type, key, place, length[, view]). Returns false if it is malformed. */
static bool storage_id(const Value *v, const Value **type, Text *key, int64_t *length)
{
    const Value *id = v && v->type == V_PERSISTENT ? v->class : NULL, *word = value_item(id, 0), *k = value_item(id, 2);
    *type = value_item(id, 1);
    if (!word || word->type != V_TEXT || !text_is(word->text, "storage") || !*type || !k || k->type != V_TEXT ||
        !value_integer(value_item(id, 4), length) || *length < 0)
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
    if (bytes > room_left(t)) /* with a stride of 0, a small storage gives a large view */
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

/* Returns the tuple: `v`, or the argument of torch.Size(tuple). */
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
        if (!value_integer(v->items[i], &out[i]) || out[i] < 0)
            return false;
    return true;
}

/* Adds a tensor from the arguments of _rebuild_tensor: storage, offset, size, stride, ... */
bool add_tensor(Torch *t, const Value *args, const Value *dtype, Text name)
{
    Array a = {.name = name, .file = t->path};
    const Value *storage = value_item(args, 0), *class;
    Text key;
    int64_t length, offset, stride[MAX_DIMS] = {0};
    size_t dims, strides, bytes;
    if (!storage_id(storage, &class, &key, &length) || !value_integer(value_item(args, 1), &offset) || offset < 0 ||
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
    /* old files have views: (key, offset, length) in the storage */
    const Value *view = value_item(storage->class, 5);
    int64_t shift = 0;
    if (view && view->type == V_TUPLE &&
        (!value_integer(value_item(view, 1), &shift) || shift < 0 || offset > INT64_MAX - shift))
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

/* Returns the arguments of the call of _rebuild_tensor (or _v2, _v3) that makes the tensor v. If v is a parameter or of
 * a subclass of Tensor, these are the arguments for the tensor inside v. NULL: v is not a tensor. */
const Value *tensor_args(const Value *v, const Value **dtype)
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
            class = value_item(args, 0); /* function, type, the function's arguments, state */
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
    t->zip.room = room_left(t); /* the limit of the scratch arena applies too */
    bytes = zip_bytes(&t->zip, data, t->scratch, t->e);
    return bytes && pickle_read(&pickle, t->scratch, (Text){(const char *)bytes, data->bytes}, t->path, t->e) &&
           torch_collect(t, pickle.root);
}

/* Reads the storages after the pickles. For each key: the number of elements in 8 bytes, then the elements. */
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
            continue; /* not a storage: old files also have ids for a class and its source text */
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
        uint64_t length = rest.n >= 8 ? read_little((const unsigned char *)rest.p, 8) : 0;
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
    return read_storages(t, &part[3], part[4].root, rest) && torch_collect(t, part[3].root);
}

static bool read_with_scratch(Weights *w, const Map *m, const char *path, Error *e, bool (*read)(Torch *, const Map *))
{
    Torch t = {.w = w, .e = e, .path = path, .file_bytes = m->bytes, .bytes_before = arena_bytes(w->arena)};
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
