/* weights/safetensors.c: 8 bytes with the length of the header, a JSON header {name: {dtype, shape, data_offsets}}, the
 * bytes of the tensors. */
// flags: -Os
#include "weights/private.h"

#include <stdlib.h>

enum { MAX_HEADER = 100 * 1000 * 1000 }; /* the limit of the format */

static bool dtype_parse(Text name, DType *type)
{
    for (DType t = F32; t <= BOOL8; t++)
        if (text_is(name, dtype_name(t))) {
            *type = t;
            return true;
        }
    return false;
}

/* Orders tensors by the start of their data, then by their size, then by their order in the header. The names are in
 * the texts of the JSON tree, which were stored in the order of the header, so their addresses have this order. */
static int by_offset(const void *a, const void *b)
{
    const Array *x = a, *y = b;
    if (x->data != y->data)
        return (uintptr_t)x->data < (uintptr_t)y->data ? -1 : 1;
    size_t m = (size_t)x->count * dtype_bytes(x->type), n = (size_t)y->count * dtype_bytes(y->type);
    if (m != n)
        return m < n ? -1 : 1;
    return (uintptr_t)x->name.p < (uintptr_t)y->name.p ? -1 : (uintptr_t)x->name.p > (uintptr_t)y->name.p;
}

/* Reads a tensor of the header. `data` are the `limit` bytes after the header. */
static bool entry_read(Array *a, const Json *j, const unsigned char *data, size_t limit, const char *path, Error *e)
{
    *a = (Array){.name = j->key, .file = path};
    const Json *dtype = json_get(j, "dtype"), *shape = json_get(j, "shape"), *offsets = json_get(j, "data_offsets");
    if (!dtype || dtype->type != JSON_STRING || !shape || shape->type != JSON_ARRAY || !offsets ||
        offsets->type != JSON_ARRAY || offsets->count != 2)
        return fail(e, SP_FORMAT, "%s: tensor %.*s: expected dtype, shape and two data_offsets", path, NAME(j->key));
    if (!dtype_parse(dtype->text, &a->type))
        return fail(e, SP_UNSUPPORTED,
                    "%s: tensor %.*s: dtype %.*s is not supported (F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL are)", path,
                    NAME(j->key), NAME(dtype->text));
    if (shape->count > MAX_DIMS)
        return fail(e, SP_UNSUPPORTED, "%s: tensor %.*s: has %zu dimensions; at most %d are supported", path,
                    NAME(j->key), shape->count, MAX_DIMS);
    for (const Json *d = shape->first; d; d = d->next)
        if (!json_i64(d, &a->shape[a->dims]) || a->shape[a->dims++] < 0)
            return fail(e, SP_FORMAT, "%s: tensor %.*s: shape has an invalid length", path, NAME(j->key));
    int64_t begin, end;
    size_t bytes;
    if (!json_i64(offsets->first, &begin) || !json_i64(offsets->first->next, &end) || begin < 0 || end < begin)
        return fail(e, SP_FORMAT, "%s: tensor %.*s: data_offsets are not a range", path, NAME(j->key));
    char text[SHAPE_TEXT];
    if (!array_size(a, &bytes) || bytes != (size_t)(end - begin))
        return fail(e, SP_FORMAT, "%s: tensor %.*s: shape %s of %s does not fit its %lld bytes", path, NAME(j->key),
                    shape_text(a->dims, a->shape, text, sizeof text), dtype_name(a->type), (long long)(end - begin));
    if ((size_t)end > limit)
        return fail(e, SP_FORMAT, "%s: tensor %.*s: ends at byte %lld of %zu: truncated? fetch the file again", path,
                    NAME(j->key), (long long)end, limit);
    a->data = data + begin;
    return true;
}

static bool metadata_check(const Json *meta, const char *path, Error *e)
{
    if (meta->type != JSON_OBJECT)
        return fail(e, SP_FORMAT, "%s: __metadata__ is not an object", path);
    for (const Json *j = meta->first; j; j = j->next)
        if (j->type != JSON_STRING)
            return fail(e, SP_FORMAT, "%s: __metadata__: %.*s is not a string", path, NAME(j->key));
    return true;
}

/* Reads a safetensors file. The tensors must cover the rest of the file without a gap or an overlap, as in the
 * reference reader. Memory: that of json_parse for the header, and about 200 bytes per tensor. The data stay in the
 * map. Time: n log n for n tensors. */
bool safetensors_read(Weights *w, const Map *m, const char *path, Error *e)
{
    if (m->bytes < 10)
        return fail(e, SP_FORMAT, "%s: %zu bytes are too few for a safetensors file", path, m->bytes);
    uint64_t length = read_little(m->data, 8);
    if (length > MAX_HEADER)
        return fail(e, SP_FORMAT,
                    "%s: not a safetensors file: the header says it has %llu bytes; at most %d are allowed", path,
                    (unsigned long long)length, MAX_HEADER);
    if (length > m->bytes - 8)
        return fail(e, SP_FORMAT, "%s: the header says it has %llu bytes, the file has %zu: truncated? fetch it again",
                    path, (unsigned long long)length, m->bytes);
    if (!length || m->data[8] != '{')
        return fail(e, SP_FORMAT, "%s: the header does not begin with '{': not a safetensors file", path);
    const unsigned char *data = m->data + 8 + length;
    size_t bytes = m->bytes - 8 - (size_t)length;
    const Json *header = json_parse(w->arena, (Text){(const char *)m->data + 8, (size_t)length}, path, e);
    if (!header)
        return false;
    Array *entries = NEW(w->arena, Array, MAX(header->count, (size_t)1), e);
    if (!entries)
        return false;
    size_t n = 0;
    for (const Json *j = header->first; j; j = j->next)
        if (text_is(j->key, "__metadata__")) {
            if (!metadata_check(j, path, e))
                return false;
            if (!w->metadata)
                w->metadata = j;
        } else {
            if (!entry_read(&entries[n], j, data, bytes, path, e))
                return false;
            n++;
        }
    qsort(entries, n, sizeof *entries, by_offset);
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        Array *t = &entries[i];
        size_t begin = (size_t)((const unsigned char *)t->data - data);
        if (begin != at)
            return fail(e, SP_FORMAT, "%s: tensor %.*s: begins at byte %zu, %s %zu", path, NAME(t->name), begin,
                        begin < at ? "inside the previous tensor, which ends at" : "leaving a gap after byte", at);
        at += (size_t)t->count * dtype_bytes(t->type);
    }
    if (at != bytes)
        return fail(e, SP_FORMAT, "%s: %zu bytes after the last tensor belong to no tensor; fetch the file again", path,
                    bytes - at);
    return weights_add_all(w, entries, n, e);
}

/* ---- writing --------------------------------------------------------------------------------- */

typedef struct Declared {
    const char *name;
    DType type;
    int dims;
    int64_t shape[MAX_DIMS];
    size_t begin, end;
} Declared;

struct SafetensorsOut {
    Arena *arena;
    Out *out;
    const char *path;
    TextIndex *names, *meta_keys;
    Declared *tensors;
    size_t count, capacity, meta_capacity;
    const char **meta_values;
    size_t bytes, written;
    bool begun;
};

SafetensorsOut *safetensors_open(const char *path, const Heap *heap, Error *e)
{
    Arena *a = arena_new(heap, 0);
    if (!a) {
        fail_memory(e, sizeof(SafetensorsOut), path);
        return NULL;
    }
    SafetensorsOut *s = NEW(a, SafetensorsOut, 1, e);
    if (s) {
        s->arena = a;
        s->path = arena_strndup(a, path, strlen(path), e);
        s->names = text_index_new(a, e);
        s->meta_keys = text_index_new(a, e);
        if (s->path && s->names && s->meta_keys && (s->out = out_open(path, heap, e)))
            return s;
    }
    arena_free(a);
    return NULL;
}

bool safetensors_meta(SafetensorsOut *s, const char *key, const char *value, Error *e)
{
    size_t n = (size_t)text_index_count(s->meta_keys);
    if (s->begun || text_index_find(s->meta_keys, text_of(key)) >= 0)
        return fail(e, SP_USAGE, "%s: metadata %s: %s", s->path, key,
                    s->begun ? "declared after the data" : "duplicate key");
    const char **grown = arena_grow(s->arena, s->meta_values, n, &s->meta_capacity, sizeof *grown, e);
    char *copy = grown ? arena_strndup(s->arena, value, strlen(value), e) : NULL;
    if (!copy || text_index_add(s->meta_keys, text_of(key), e) < 0)
        return false;
    s->meta_values = grown;
    s->meta_values[n] = copy;
    return true;
}

bool safetensors_declare(SafetensorsOut *s, const char *name, DType type, int dims, const int64_t *shape, Error *e)
{
    if (s->begun || !strcmp(name, "__metadata__") || text_index_find(s->names, text_of(name)) >= 0)
        return fail(e, SP_USAGE, "%s: tensor %s: %s", s->path, name,
                    s->begun ? "declared after the data" : "duplicate name");
    if (dims < 0 || dims > MAX_DIMS)
        return fail(e, SP_USAGE, "%s: tensor %s: %d dimensions; at most %d are supported", s->path, name, dims,
                    MAX_DIMS);
    Array a = {.type = type, .dims = dims};
    for (int d = 0; d < dims; d++)
        a.shape[d] = shape[d];
    size_t bytes, end;
    if (!array_size(&a, &bytes) || !size_add(s->bytes, bytes, &end) || end > INT64_MAX)
        return fail(e, SP_USAGE, "%s: tensor %s: its size overflows", s->path, name);
    Declared *grown = arena_grow(s->arena, s->tensors, s->count, &s->capacity, sizeof *grown, e);
    if (!grown)
        return false;
    s->tensors = grown;
    int64_t number = text_index_add(s->names, text_of(name), e);
    if (number < 0)
        return false;
    Declared *t = &s->tensors[s->count++];
    *t = (Declared){
        .name = text_index_at(s->names, number).p, .type = type, .dims = dims, .begin = s->bytes, .end = end};
    memcpy(t->shape, a.shape, sizeof t->shape);
    s->bytes = end;
    return true;
}

static void header_print(const SafetensorsOut *s, FILE *to)
{
    JsonWriter w = {.to = to};
    int64_t metas = text_index_count(s->meta_keys);
    json_object(&w, NULL);
    if (metas)
        json_object(&w, "__metadata__");
    for (int64_t i = 0; i < metas; i++)
        json_put_string(&w, text_index_at(s->meta_keys, i).p, s->meta_values[i]);
    if (metas)
        json_end(&w);
    for (size_t i = 0; i < s->count; i++) {
        const Declared *t = &s->tensors[i];
        json_object(&w, t->name);
        json_put_string(&w, "dtype", dtype_name(t->type));
        json_array(&w, "shape");
        w.spaced = true;
        for (int d = 0; d < t->dims; d++)
            json_put_i64(&w, NULL, t->shape[d]);
        w.spaced = false;
        json_end(&w);
        json_array(&w, "data_offsets");
        json_put_i64(&w, NULL, (int64_t)t->begin);
        json_put_i64(&w, NULL, (int64_t)t->end);
        json_end(&w);
        json_end(&w);
    }
    json_end(&w);
}

/* Writes the header. It is padded with spaces, so that the data begin at a multiple of 64 in the file and are aligned
 * in a map. */
static bool header_write(SafetensorsOut *s, Error *e)
{
    s->begun = true;
    char *text = NULL;
    size_t n = 0;
    FILE *memory = open_memstream(&text, &n);
    if (!memory)
        return fail_memory(e, 0, "a safetensors header");
    header_print(s, memory);
    bool printed = !ferror(memory);
    while (printed && (8 + (size_t)ftell(memory)) % 64)
        printed = fputc(' ', memory) != EOF;
    if (fclose(memory) || !printed) {
        free(text);
        return fail_memory(e, n, "a safetensors header");
    }
    unsigned char length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)((uint64_t)n >> 8 * i);
    bool ok = n <= MAX_HEADER || fail(e, SP_USAGE, "%s: a header of %zu bytes is above the format's limit", s->path, n);
    ok = ok && out_write(s->out, length, 8, e) && out_write(s->out, text, n, e);
    free(text);
    return ok;
}

bool safetensors_data(SafetensorsOut *s, const void *data, size_t bytes, Error *e)
{
    if (bytes > s->bytes - s->written)
        return fail(e, SP_USAGE, "%s: more data than the declared %zu bytes", s->path, s->bytes);
    if (!s->begun && !header_write(s, e))
        return false;
    s->written += bytes;
    return out_write(s->out, data, bytes, e);
}

Out *safetensors_finish(SafetensorsOut *s, Error *e)
{
    Out *o = NULL;
    if (s->begun || header_write(s, e)) {
        if (s->written != s->bytes) {
            fail(e, SP_USAGE, "%s: %zu of the declared %zu bytes were given", s->path, s->written, s->bytes);
        } else {
            o = s->out;
            s->out = NULL;
        }
    }
    safetensors_discard(s);
    return o;
}

bool safetensors_commit(SafetensorsOut *s, Error *e)
{
    Out *o = safetensors_finish(s, e);
    return o && out_commit(o, e);
}

void safetensors_discard(SafetensorsOut *s)
{
    if (!s)
        return;
    out_discard(s->out);
    arena_free(s->arena);
}
