/* weights/npy.c: the .npy files of NumPy. The layout is that of numpy/lib/format.py. */
#include "weights/private.h"

#include <ctype.h>

static const struct {
    const char *descr;
    DType type;
} DESCRS[] = {{"<f4", F32}, {"<f8", F64}, {"<f2", F16}, {"<i8", I64},  {"<i4", I32},
              {"<i2", I16}, {"|i1", I8},  {"|u1", U8},  {"|b1", BOOL8}};

/* ---- the header: a Python dictionary literal with three keys --------------------------------- */

static void blanks(Text *t)
{
    while (t->n && (*t->p == ' ' || *t->p == '\n' || *t->p == '\t')) {
        t->p++;
        t->n--;
    }
}

static bool take(Text *t, const char *word)
{
    blanks(t);
    size_t n = strlen(word);
    if (!text_starts(*t, word))
        return false;
    t->p += n;
    t->n -= n;
    return true;
}

static bool take_string(Text *t, Text *out)
{
    blanks(t);
    if (t->n < 2 || (*t->p != '\'' && *t->p != '"'))
        return false;
    const char *end = memchr(t->p + 1, *t->p, t->n - 1);
    if (!end)
        return false;
    *out = (Text){t->p + 1, (size_t)(end - t->p) - 1};
    t->n -= (size_t)(end + 1 - t->p);
    t->p = end + 1;
    return true;
}

static bool take_shape(Text *t, Array *a)
{
    if (!take(t, "("))
        return false;
    for (bool comma = true; !take(t, ")"); comma = take(t, ",")) {
        size_t n = 0;
        blanks(t);
        while (n < t->n && isdigit((unsigned char)t->p[n]))
            n++;
        if (!comma || a->dims == MAX_DIMS || !text_i64((Text){t->p, n}, &a->shape[a->dims++]))
            return false;
        t->p += n;
        t->n -= n;
        take(t, "L"); /* as Python 2 wrote long integers */
    }
    return true;
}

static bool header_parse(Text t, Array *a, bool *fortran, const char *path, Error *e)
{
    enum { DESCR = 1, ORDER = 2, SHAPE = 4 };
    int seen = 0;
    if (!take(&t, "{"))
        return fail(e, SP_FORMAT, "%s: the .npy header is not a dictionary", path);
    for (bool comma = true; !take(&t, "}"); comma = take(&t, ",")) {
        Text key, descr;
        if (!comma || !take_string(&t, &key) || !take(&t, ":"))
            return fail(e, SP_FORMAT, "%s: the .npy header is malformed", path);
        int bit = text_is(key, "descr")           ? DESCR
                  : text_is(key, "fortran_order") ? ORDER
                  : text_is(key, "shape")         ? SHAPE
                                                  : 0;
        if (!bit || seen & bit)
            return fail(e, SP_FORMAT, "%s: the .npy header has %s key '%.*s'", path, bit ? "a duplicate" : "an unknown",
                        NAME(key));
        seen |= bit;
        if (bit == ORDER) {
            *fortran = take(&t, "True");
            if (!*fortran && !take(&t, "False"))
                return fail(e, SP_FORMAT, "%s: fortran_order in the .npy header is not True or False", path);
        } else if (bit == SHAPE) {
            if (!take_shape(&t, a))
                return fail(e, SP_FORMAT, "%s: the shape in the .npy header is not a tuple of at most %d lengths", path,
                            MAX_DIMS);
        } else {
            if (!take_string(&t, &descr))
                return fail(e, SP_UNSUPPORTED, "%s: structured .npy arrays are not supported", path);
            size_t i = 0;
            while (i < COUNT(DESCRS) && !text_is(descr, DESCRS[i].descr))
                i++;
            if (i == COUNT(DESCRS))
                return fail(e, SP_UNSUPPORTED,
                            "%s: .npy type '%.*s' is not supported (little-endian f2 f4 f8 i1 i2 i4 i8 u1 b1 are)",
                            path, NAME(descr));
            a->type = DESCRS[i].type;
        }
    }
    blanks(&t);
    if (seen != (DESCR | ORDER | SHAPE) || t.n)
        return fail(e, SP_FORMAT, "%s: the .npy header %s", path,
                    t.n ? "continues after its dictionary" : "lacks a key");
    return true;
}

/* Copies an array from Fortran order (the first index runs fastest) to C order, into the arena. */
static bool to_c_order(Array *a, Arena *arena, Error *e)
{
    size_t width = dtype_bytes(a->type);
    unsigned char *out = arena_alloc(arena, (size_t)MAX(a->count, (int64_t)1), width, e);
    if (!out)
        return false;
    const unsigned char *from = a->data;
    int64_t index[MAX_DIMS] = {0}, stride[MAX_DIMS], at = 0;
    for (int d = 0; d < a->dims; d++)
        stride[d] = d ? stride[d - 1] * a->shape[d - 1] : 1;
    for (int64_t i = 0; i < a->count; i++) {
        memcpy(out + (size_t)i * width, from + (size_t)at * width, width);
        for (int d = a->dims - 1; d >= 0; d--) {
            at += stride[d];
            if (++index[d] < a->shape[d])
                break;
            at -= stride[d] * a->shape[d];
            index[d] = 0;
        }
    }
    a->data = out;
    return true;
}

/* Reports a file that is not an .npy. A known kind of file is named. */
static bool not_npy(const Map *m, const char *path, Error *e)
{
    if (m->bytes >= 6 && !memcmp(m->data, "\x93NUMPY", 6))
        return fail(e, SP_FORMAT, "%s: the .npy header is truncated; write or fetch the file again", path);
    const char *kind = m->bytes ? foreign_kind((Text){(const char *)m->data, m->bytes}) : "empty";
    if (!kind)
        return fail(e, SP_FORMAT, "%s: not a NumPy .npy file", path);
    return fail(e, SP_FORMAT, "%s: is %s, not a NumPy .npy file%s", path, kind,
                !strncmp(kind, "a zip", 5) ? "; to use an array of an .npz, save it with numpy.save" : "");
}

static bool npy_parse(Npy *n, const char *path, Arena *arena, Error *e)
{
    const unsigned char *p = n->map.data;
    size_t bytes = n->map.bytes;
    if (bytes < 10 || memcmp(p, "\x93NUMPY", 6))
        return not_npy(&n->map, path, e);
    if (p[6] < 1 || p[6] > 3)
        return fail(e, SP_UNSUPPORTED, "%s: .npy version %d is not supported (1 to 3 are)", path, p[6]);
    size_t start = p[6] == 1 ? 10 : 12, length = p[6] == 1    ? read_little(p + 8, 2)
                                                 : bytes < 12 ? SIZE_MAX
                                                              : read_little(p + 8, 4);
    if (length > bytes || start > bytes - length)
        return fail(e, SP_FORMAT, "%s: the .npy header is truncated; write or fetch the file again", path);
    Array *a = &n->array;
    bool fortran = false;
    if (!header_parse((Text){(const char *)p + start, length}, a, &fortran, path, e))
        return false;
    size_t needs, has = bytes - start - length;
    char text[SHAPE_TEXT];
    if (!array_size(a, &needs) || needs != has)
        return fail(e, SP_FORMAT,
                    "%s: an array %s of %s does not fit the %zu bytes after the header: truncated? write or fetch the "
                    "file again",
                    path, shape_text(a->dims, a->shape, text, sizeof text), dtype_name(a->type), has);
    a->data = p + start + length;
    a->mapped = n->map.mapped && (!fortran || a->dims < 2); /* the copy of to_c_order is in the arena */
    return !fortran || a->dims < 2 || to_c_order(a, arena, e);
}

static bool npy_from(Npy *n, bool mapped, const char *path, Arena *a, Error *e)
{
    *n = (Npy){.array = {.name = TEXT("")}};
    n->array.file = arena_strndup(a, path, strlen(path), e);
    if (!n->array.file || !(mapped ? map_open(&n->map, path, e) : map_read(&n->map, a, path, e)))
        return false;
    if (npy_parse(n, path, a, e))
        return true;
    npy_close(n);
    return false;
}

bool npy_open(Npy *n, const char *path, Arena *a, Error *e)
{
    return npy_from(n, true, path, a, e);
}

bool npy_read(Npy *n, const char *path, Arena *a, Error *e)
{
    return npy_from(n, false, path, a, e);
}

void npy_close(Npy *n)
{
    map_close(&n->map);
}

/* ---- writing --------------------------------------------------------------------------------- */

const char *npy_ids_path(const char *path, Arena *a, Error *e)
{
    int stem = (int)strlen(path) - (text_ends(text_of(path), ".npy") ? 4 : 0);
    return arena_printf(a, e, "%.*s.ids.txt", stem, path);
}

struct NpyOut {
    Arena *arena;
    Out *out;
    const char *path;
    size_t bytes, written;
    Array array; /* as declared; npy_rows changes its first length */
};

/* Writes the header, byte for byte as numpy.save: version 1.0, with room for 21 digits of the first length, and the
 * data at a multiple of 64. The size of the header therefore does not depend on the first length. overwrite: replaces
 * the header that was written before. */
static bool npy_header(NpyOut *n, const Array *a, bool overwrite, Error *e)
{
    const char *descr = NULL;
    for (size_t i = 0; i < COUNT(DESCRS); i++)
        if (DESCRS[i].type == a->type)
            descr = DESCRS[i].descr;
    if (!descr)
        return fail(e, SP_USAGE, "%s: NumPy has no type %s", n->path, dtype_name(a->type));
    char header[512] = "\x93NUMPY\1\0\0", digits[32];
    int at =
        10 + snprintf(header + 10, sizeof header - 10, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
    for (int d = 0; d < a->dims; d++)
        at += snprintf(header + at, sizeof header - (size_t)at, d ? " %lld%s" : "%lld%s", (long long)a->shape[d],
                       d + 1 < a->dims || a->dims == 1 ? "," : "");
    at += snprintf(header + at, sizeof header - (size_t)at, "), }");
    int room = a->dims ? 21 - snprintf(digits, sizeof digits, "%lld", (long long)a->shape[0]) : 0;
    for (; room > 0 || (at + 1) % 64; room--)
        header[at++] = ' ';
    header[at++] = '\n';
    header[8] = (char)((at - 10) & 255);
    header[9] = (char)((at - 10) >> 8);
    return overwrite ? out_patch(n->out, 0, header, (size_t)at, e) : out_write(n->out, header, (size_t)at, e);
}

NpyOut *npy_create(const char *path, DType type, int dims, const int64_t *shape, const Heap *heap, Error *e)
{
    Array array = {.type = type, .dims = dims};
    for (int d = 0; d < dims && d < MAX_DIMS; d++)
        array.shape[d] = shape[d];
    size_t bytes;
    if (dims < 0 || dims > MAX_DIMS || !array_size(&array, &bytes)) {
        fail(e, SP_USAGE, "%s: %d dimensions are not supported, or the size overflows", path, dims);
        return NULL;
    }
    Arena *a = arena_new(heap, 0);
    NpyOut *n = a ? NEW(a, NpyOut, 1, e) : NULL;
    if (!a)
        fail_memory(e, sizeof *n, path);
    if (n) {
        *n = (NpyOut){.arena = a, .path = arena_strndup(a, path, strlen(path), e), .bytes = bytes};
        if (n->path && (n->out = strcmp(path, "-") ? out_open(path, heap, e) : out_standard(heap, e))) {
            n->array = array;
            if (npy_header(n, &array, false, e))
                return n;
            out_discard(n->out);
        }
    }
    arena_free(a);
    return NULL;
}

bool npy_data(NpyOut *n, const void *data, size_t bytes, Error *e)
{
    if (bytes > n->bytes - n->written)
        return fail(e, SP_USAGE, "%s: more data than the declared %zu bytes", n->path, n->bytes);
    n->written += bytes;
    return out_write(n->out, data, bytes, e);
}

bool npy_rows(NpyOut *n, int64_t rows, Error *e)
{
    Array *a = &n->array;
    if (a->dims < 1 || rows < 0 || rows > a->shape[0])
        return fail(e, SP_USAGE, "%s: %lld rows are more than declared", n->path, (long long)rows);
    a->shape[0] = rows;
    return array_size(a, &n->bytes) && npy_header(n, a, true, e);
}

Out *npy_finish(NpyOut *n, Error *e)
{
    Out *o = NULL;
    if (n->written == n->bytes) {
        o = n->out;
        n->out = NULL;
    } else {
        fail(e, SP_USAGE, "%s: %zu of the declared %zu bytes were given", n->path, n->written, n->bytes);
    }
    npy_discard(n);
    return o;
}

bool npy_commit(NpyOut *n, Error *e)
{
    Out *o = npy_finish(n, e);
    return o && out_commit(o, e);
}

void npy_discard(NpyOut *n)
{
    if (!n)
        return;
    out_discard(n->out);
    arena_free(n->arena);
}

bool npy_write_f32(const char *path, int dims, const int64_t *shape, const float *data, const Heap *heap, Error *e)
{
    NpyOut *n = npy_create(path, F32, dims, shape, heap, e);
    if (!n)
        return false;
    if (npy_data(n, data, n->bytes, e))
        return npy_commit(n, e);
    npy_discard(n);
    return false;
}
