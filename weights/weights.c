/* weights/weights.c: opens the tensors of a model, from any supported file. */
// flags: -Os
#include "weights/private.h"

enum { MAX_INDEX_BYTES = 100 * 1000 * 1000 };

bool weights_add(Weights *w, const Array *a, Error *e)
{
    if (memchr(a->name.p, 0, a->name.n))
        return fail(e, SP_FORMAT, "%s: tensor name '%.*s' contains a NUL byte", a->file, NAME(a->name));
    if (text_index_find(w->names, a->name) >= 0)
        return fail(e, SP_FORMAT, "%s: tensor %.*s: duplicate name", a->file, NAME(a->name));
    Array *grown = arena_grow(w->arena, w->arrays, w->count, &w->capacity, sizeof(Array), e);
    if (!grown)
        return false;
    w->arrays = grown;
    int64_t number = text_index_add(w->names, a->name, e);
    if (number < 0)
        return false;
    w->arrays[w->count] = *a;
    if (w->maps && w->maps->map.mapped) { /* the map of the file that is being read */
        const unsigned char *from = w->maps->map.data;
        const uintptr_t at = (uintptr_t)a->data;
        w->arrays[w->count].mapped = at >= (uintptr_t)from && at < (uintptr_t)from + w->maps->map.bytes;
    }
    w->arrays[w->count++].name = text_index_at(w->names, number);
    return true;
}

bool weights_add_all(Weights *w, Array *list, size_t n, Error *e)
{
    /* the first list becomes the memory of w->arrays: the loop copies each array onto itself, and nothing is
     * reallocated */
    if (w->count == 0) {
        w->arrays = list;
        w->capacity = n;
    }
    for (size_t i = 0; i < n; i++) {
        Array one = list[i];
        if (!weights_add(w, &one, e))
            return false;
    }
    return true;
}

/* Returns the name of an unsupported format of weights, by the extension of the file; NULL for other files. */
static const char *unread_format(Text name)
{
    static const char *const FORMATS[][2] = {{".onnx", "ONNX"},
                                             {".h5", "Keras"},
                                             {".keras", "Keras"},
                                             {".msgpack", "Flax"},
                                             {".gguf", "GGUF of llama.cpp"},
                                             {".ggml", "GGML of llama.cpp"},
                                             {".pb", "TensorFlow"},
                                             {".tflite", "TensorFlow Lite"},
                                             {".ot", "rust-bert"},
                                             {".mlmodel", "Core ML"},
                                             {".mlpackage", "Core ML"},
                                             {".engine", "TensorRT"},
                                             {".xml", "OpenVINO"}};
    for (size_t i = 0; i < COUNT(FORMATS); i++)
        if (text_ends(name, FORMATS[i][0]))
            return FORMATS[i][1];
    return NULL;
}
#define USE_SAFETENSORS "; fetch or save the model as safetensors (transformers: save_pretrained)"

static bool open_file(Weights *w, const char *path, bool index_allowed, Error *e);

/* Reads an index, such as model.safetensors.index.json: {"weight_map": {tensor: file in the same folder}}. Every tensor
 * of the map must be in its file. Memory: that of json_parse for the index, and that of each file. Time: linear; each
 * file is read once. */
static bool index_read(Weights *w, const Map *m, const char *path, Error *e)
{
    if (m->bytes > MAX_INDEX_BYTES)
        return fail(e, SP_FORMAT, "%s: an index of %zu bytes; at most %d are supported", path, m->bytes,
                    MAX_INDEX_BYTES);
    const Json *root = json_parse(w->arena, (Text){(const char *)m->data, m->bytes}, path, e);
    if (!root)
        return false;
    const Json *map = json_get(root, "weight_map");
    if (!map || map->type != JSON_OBJECT || !map->count)
        return fail(e, SP_FORMAT, "%s: no \"weight_map\": this JSON file is not an index of weights", path);
    TextIndex *files = text_index_new(w->arena, e);
    if (!files)
        return false;
    char *folder = arena_strndup(w->arena, path, (size_t)(path_base(path).p - path), e);
    if (!folder)
        return false;
    if (!*folder)
        folder = ".";
    for (const Json *j = map->first; j; j = j->next) {
        const char *file = json_cstring(j);
        if (!file || !*file || strchr(file, '/') || !strcmp(file, ".."))
            return fail(e, SP_FORMAT, "%s:%u: tensor %.*s: expected the name of a file in the same folder", path,
                        (unsigned)j->line, NAME(j->key));
        if (text_index_find(files, j->text) >= 0)
            continue;
        const char *shard = path_join(w->arena, folder, file, e);
        if (!shard || text_index_add(files, j->text, e) < 0 || !open_file(w, shard, false, e))
            return false;
    }
    for (const Json *j = map->first; j; j = j->next) {
        int64_t i = text_index_find(w->names, j->key);
        if (i < 0 || !text_equal(path_base(w->arrays[i].file), j->text))
            return fail(e, SP_FORMAT, "%s:%u: tensor %.*s: is not in %.*s", path, (unsigned)j->line, NAME(j->key),
                        NAME(j->text));
    }
    return true;
}

/* Opens a file. Its kind is recognised by its first bytes. */
static bool open_file(Weights *w, const char *path, bool index_allowed, Error *e)
{
    MapNode *node = NEW(w->arena, MapNode, 1, e);
    char *name = arena_strndup(w->arena, path, strlen(path), e);
    if (!node || !name ||
        !(w->files   ? files_map(&node->map, w->arena, w->files, path_base(path).p, e)
          : w->reads ? map_read(&node->map, w->arena, path, e)
                     : map_open(&node->map, path, e)))
        return false;
    node->next = w->maps;
    w->maps = node;
    const Map *m = &node->map;
    static const unsigned char LEGACY[] = {0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};
    if (m->bytes >= 4 && !memcmp(m->data, "PK\3\4", 4))
        return torch_zip_read(w, m, name, e);
    size_t frame = m->bytes > 2 && m->data[2] == 0x95 ? 9 : 0; /* protocols 4 and 5 begin with a frame */
    if (m->bytes >= 2 + frame + sizeof LEGACY && m->data[0] == 0x80 &&
        !memcmp(m->data + 2 + frame, LEGACY, sizeof LEGACY))
        return torch_legacy_read(w, m, name, e);
    /* bytes 4 to 7 of the length are 0, as a header is below 4 GB; an index is text, without zero bytes */
    if (m->bytes >= 9 && m->data[8] == '{' && !read_little(m->data + 4, 4))
        return safetensors_read(w, m, name, e);
    if (m->bytes >= 1 && (m->data[0] == '{' || m->data[0] == '\n' || m->data[0] == ' '))
        return index_allowed ? index_read(w, m, name, e)
                             : fail(e, SP_FORMAT, "%s: is an index of weights; expected a file of weights", name);
    if (m->bytes >= 6 && !memcmp(m->data, "\x93NUMPY", 6))
        return fail(e, SP_FORMAT, "%s: is a NumPy array, not the weights of a model", name);
    if (m->bytes >= 2 && m->data[0] == 0x80 && m->data[1] <= 5)
        return fail(e, SP_FORMAT, "%s: is a plain pickle; only files written by torch.save are supported", name);
    if (m->bytes >= 7 && !memcmp(m->data, "version", 7))
        return fail(e, SP_FORMAT, "%s: is a Git LFS pointer; fetch the real file with 'git lfs pull'", name);
    /* a safetensors file with a damaged start: its reader has a better message */
    if (text_ends(text_of(name), ".safetensors"))
        return safetensors_read(w, m, name, e);
    if (unread_format(text_of(name)))
        return fail(e, SP_UNSUPPORTED, "%s: the format of these weights (%s) is not supported" USE_SAFETENSORS, name,
                    unread_format(text_of(name)));
    return fail(e, SP_FORMAT, "%s: is not a safetensors file or a torch file (%zu bytes)", name, m->bytes);
}

/* Writes the error for a folder without supported weights. It names the files of a model that the folder contains. */
static void no_weights(const char *folder, Arena *a, Error *e)
{
    FolderEntry *entry;
    size_t n;
    if (!folder_list(&entry, &n, a, folder, e))
        return;
    for (size_t i = 0; i < n; i++) {
        Text name = text_of(entry[i].name);
        bool shard = strstr(entry[i].name, "-of-") && (text_ends(name, ".bin") || text_ends(name, ".safetensors"));
        if (shard) {
            fail(e, SP_IO,
                 "%s: contains %s, one part of the weights, but not the index (%s.index.json); fetch the whole folder",
                 folder, entry[i].name, text_ends(name, ".bin") ? "pytorch_model.bin" : "model.safetensors");
            return;
        }
    }
    for (size_t i = 0; i < n; i++)
        if (unread_format(text_of(entry[i].name))) {
            fail(e, SP_UNSUPPORTED,
                 "%s: contains no model.safetensors or pytorch_model.bin; the format of %s (%s) is not "
                 "supported" USE_SAFETENSORS,
                 folder, entry[i].name, unread_format(text_of(entry[i].name)));
            return;
        }
    for (size_t i = 0; i < n; i++)
        if (text_ends(text_of(entry[i].name), ".safetensors") || text_ends(text_of(entry[i].name), ".bin") ||
            text_ends(text_of(entry[i].name), ".pth")) {
            fail(e, SP_IO,
                 "%s: contains no model.safetensors or pytorch_model.bin, but %s; if this is the model, give the path "
                 "of the file",
                 folder, entry[i].name);
            return;
        }
    fail(e, SP_IO,
         "%s: contains no model.safetensors, pytorch_model.bin or index of them; is this the folder of the model?",
         folder);
}

static const char *file_of(const Files *f, Arena *a, Error *e)
{
    static const char *const NAMES[] = {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                                        "pytorch_model.bin.index.json"};
    for (size_t i = 0; i < COUNT(NAMES); i++) {
        const char *file = files_path(f, NAMES[i], a, e);
        if (file || e->code != SP_OK)
            return file;
    }
    if (f->list)
        fail(e, SP_IO, "%s: contains no model.safetensors, pytorch_model.bin or index of them", f->folder);
    else
        no_weights(f->folder, a, e);
    return NULL;
}

static Weights *weights_from(const char *path, const Files *memory, bool reads, Arena *a, Error *e)
{
    if (memory || folder_exists(path))
        path = file_of(memory ? memory : &(Files){.folder = path}, a, e);
    Weights *w = path ? NEW(a, Weights, 1, e) : NULL;
    if (!w)
        return NULL;
    w->arena = a;
    w->files = memory;
    w->reads = reads;
    w->names = text_index_new(a, e);
    w->path = arena_strndup(a, path, strlen(path), e);
    if (!w->names || !w->path || !open_file(w, path, true, e)) {
        weights_close(w);
        return NULL;
    }
    return w;
}

Weights *weights_open(const char *path, Arena *a, Error *e)
{
    return weights_from(path, NULL, false, a, e);
}

Weights *weights_open_files(const Files *f, Arena *a, Error *e)
{
    return weights_from(f->folder, f->list ? f : NULL, false, a, e);
}

Weights *weights_read(const char *path, Arena *a, Error *e)
{
    return weights_from(path, NULL, true, a, e);
}

Weights *weights_of(const Array *list, size_t n, const char *name, Arena *a, Error *e)
{
    Weights *w = NEW(a, Weights, 1, e);
    bool ok = w && (w->names = text_index_new(a, e)) && (w->path = arena_strndup(a, name, strlen(name), e));
    if (ok)
        w->arena = a;
    for (size_t i = 0; ok && i < n; i++)
        ok = weights_add(w, &list[i], e);
    return ok ? w : NULL;
}

void weights_close(Weights *w)
{
    if (!w)
        return;
    for (MapNode *m = w->maps; m; m = m->next)
        map_close(&m->map);
    w->maps = NULL;
}

const Array *weights_find(const Weights *w, const char *name)
{
    int64_t i = text_index_find(w->names, text_of(name));
    return i < 0 ? NULL : &w->arrays[i];
}

size_t weights_count(const Weights *w)
{
    return w->count;
}

const Array *weights_at(const Weights *w, size_t i)
{
    return i < w->count ? &w->arrays[i] : NULL;
}

size_t weights_module_count(const Weights *w)
{
    return w->module_count;
}

const PickledModule *weights_module_at(const Weights *w, size_t i)
{
    return i < w->module_count ? &w->modules[i] : NULL;
}

const PickledModule *weights_module_find(const Weights *w, const char *name)
{
    int64_t i = w->module_names ? text_index_find(w->module_names, text_of(name)) : -1;
    return i < 0 ? NULL : &w->modules[i];
}

const char *weights_path(const Weights *w)
{
    return w->path;
}

const Json *weights_metadata(const Weights *w)
{
    return w->metadata;
}

const Array *weights_need_shape(const Weights *w, Error *e, const char *name, int dims, const int64_t *shape)
{
    const Array *a = weights_find(w, name);
    if (!a) {
        fail(e, SP_FORMAT, "%s: tensor %s: is missing; is this the right model?", w->path, name);
        return NULL;
    }
    bool same = a->dims == dims;
    for (int d = 0; same && d < dims; d++)
        same = shape[d] < 0 || a->shape[d] == shape[d];
    if (same)
        return a;
    char has[SHAPE_TEXT], needs[SHAPE_TEXT];
    fail(e, SP_SHAPE, "%s: tensor %s: has shape %s, expected %s", a->file, name,
         shape_text(a->dims, a->shape, has, sizeof has), shape_text(dims, shape, needs, sizeof needs));
    return NULL;
}
