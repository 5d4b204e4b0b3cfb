/* base/unpack.c: gzip (RFC 1952), names of file kinds that are not text, the decoding of texts, and lines of files that
 * may be larger than memory. */
#include "base/base.h"

#ifdef HAVE_ZLIB
#include <zlib.h>

/* Returns the most bytes that a gzip file may unpack to. */
static uint64_t unpacked_limit(size_t packed)
{
    return 64 * (uint64_t)packed + (16 << 20);
}

static bool too_large(const char *name, uint64_t limit, size_t packed, Error *e)
{
    return fail(e, SP_FORMAT,
                "%s: the gzip file unpacks to more than %llu bytes (its own size is %zu); if that is correct, "
                "unpack it first (gunzip)",
                name, (unsigned long long)limit, packed);
}

/* Reports an incomplete file: `state` is that of inflate. */
static bool not_whole(const char *name, int state, Error *e)
{
    if (state == Z_MEM_ERROR)
        return fail_memory(e, 1 << 16, "unpacking gzip");
    return fail(e, SP_FORMAT, "%s: the gzip data are %s; fetch the file again", name,
                state == Z_OK || state == Z_BUF_ERROR ? "truncated" : "damaged");
}

static bool foreign_tail(const char *name, Error *e)
{
    return fail(e, SP_FORMAT, "%s: the bytes after the gzip data are not gzip data; fetch the file again", name);
}

/* Unpacks the members one after another into out [*bytes + 1]. If `out` is NULL, only counts the bytes into *bytes.
 * Zeros after the last member are ignored: gzip files on magnetic tapes are filled up with zeros. */
static bool inflate_all(Text packed, char *out, size_t *bytes, const char *name, Error *e)
{
    unsigned char scratch[1 << 14];
    size_t limit = (size_t)MIN(unpacked_limit(packed.n), (uint64_t)SIZE_MAX - 1), n = 0;
    const unsigned char *p = (const unsigned char *)packed.p, *end = p + packed.n;
    z_stream s = {0};
    int state = inflateInit2(&s, 16 + MAX_WBITS);
    if (state != Z_OK)
        return fail_memory(e, 1 << 16, "unpacking gzip");
    while (p < end && (state == Z_OK || state == Z_BUF_ERROR) && n <= limit) {
        uInt give = (uInt)MIN((size_t)(end - p), (size_t)1 << 30);
        uInt room = out ? (uInt)MIN(*bytes + 1 - n, (size_t)1 << 30) : (uInt)sizeof scratch;
        s.next_in = (unsigned char *)(uintptr_t)p;
        s.avail_in = give;
        s.next_out = out ? (unsigned char *)out + n : scratch;
        s.avail_out = room;
        state = inflate(&s, Z_NO_FLUSH);
        size_t took = give - s.avail_in, made = room - s.avail_out;
        p += took;
        n += made;
        if (state == Z_BUF_ERROR && !took && !made)
            break;
        if (state != Z_STREAM_END)
            continue;
        while (p < end && !*p)
            p++;
        if (p < end && *p == 0x1f)
            state = inflateReset(&s);
    }
    inflateEnd(&s);
    if (n > limit)
        return too_large(name, limit, packed.n, e);
    if (state != Z_STREAM_END)
        return not_whole(name, state, e);
    if (p < end)
        return foreign_tail(name, e);
    *bytes = n;
    return true;
}

/* Unpacks in two passes. The first pass only counts, so that a zip bomb takes no memory, and a text takes exactly its
 * size. */
static bool unpack(Text *content, const char *name, Arena *a, Error *e)
{
    size_t n = 0;
    if (!inflate_all(*content, NULL, &n, name, e))
        return false;
    char *out = arena_alloc(a, n + 1, 1, e);
    if (!out || !inflate_all(*content, out, &n, name, e))
        return false;
    *content = (Text){out, n};
    return true;
}
#endif

#ifndef HAVE_ZLIB
static bool no_zlib(const char *name, Error *e)
{
    return fail(e, SP_UNSUPPORTED, "%s: is a gzip file, and this build has no zlib: unpack it first (gunzip)", name);
}
#endif

/* Unpacks the content if it is a gzip file; otherwise leaves it unchanged. If it would be too large, nothing is
 * allocated. */
static bool unpack_gzip(Text *content, const char *name, Arena *a, Error *e)
{
    if (!text_starts(*content, "\x1f\x8b"))
        return true;
#ifdef HAVE_ZLIB
    return unpack(content, name, a, e);
#else
    (void)a;
    return no_zlib(name, e);
#endif
}

const char *foreign_kind(Text content)
{
    static const struct {
        const char *bytes;
        size_t n, at;
        const char *kind;
    } KINDS[] = {
        {"\x1f\x8b", 2, 0, "a gzip file"},
        {"PK\3\4", 4, 0, "a zip archive (.zip, .npz or .xlsx)"},
        {"BZh", 3, 0, "a bzip2 file"},
        {"\xfd"
         "7zXZ",
         5, 0, "an xz file"},
        {"\x28\xb5\x2f\xfd", 4, 0, "a Zstandard file"},
        {"7z\xbc\xaf", 4, 0, "a 7z archive"},
        {"Rar!", 4, 0, "a RAR archive"},
        {"ustar", 5, 257, "a tar archive"},
        {"PAR1", 4, 0, "a Parquet file"},
        {"ARROW1", 6, 0, "an Arrow file"},
        {"\x89HDF", 4, 0, "an HDF5 file"},
        {"SQLite format 3", 15, 0, "an SQLite database"},
        {"\x93NUMPY", 6, 0, "a NumPy .npy file"},
        {"\x80\2", 2, 0, "a Python pickle"},
        {"\x80\3", 2, 0, "a Python pickle"},
        {"\x80\4", 2, 0, "a Python pickle"},
        {"\x80\5", 2, 0, "a Python pickle"},
        {"\xff\xfe", 2, 0, "UTF-16 text"},
        {"\xfe\xff", 2, 0, "UTF-16 text"},
        {"%PDF", 4, 0, "a PDF file"},
    };
    for (size_t i = 0; i < COUNT(KINDS); i++)
        if (content.n >= KINDS[i].at + KINDS[i].n && !memcmp(content.p + KINDS[i].at, KINDS[i].bytes, KINDS[i].n))
            return KINDS[i].kind;
    return NULL;
}

bool text_unpack(Text *content, const char *name, Arena *a, Error *e)
{
    if (!unpack_gzip(content, name, a, e))
        return false;
    if (text_starts(*content, "\xEF\xBB\xBF"))
        *content = (Text){content->p + 3, content->n - 3};
    const char *kind = foreign_kind(*content);
    if (!kind || (!memchr(content->p, 0, content->n) && utf8_valid(*content, NULL)))
        return true;
    return fail(e, SP_FORMAT, "%s: is %s, text is expected: convert it first", name, kind);
}

bool text_decode(Text *content, const char *name, Arena *a, Error *e)
{
    if (!text_unpack(content, name, a, e))
        return false;
    const char *nul = content->n ? memchr(content->p, 0, content->n) : NULL;
    size_t bad = nul ? (size_t)(nul - content->p) : 0, line = 1;
    if (!nul && utf8_valid(*content, &bad))
        return true;
    for (size_t i = 0; i < bad; i++)
        line += content->p[i] == '\n';
    return fail(e, SP_FORMAT, "%s:%zu: %s", name, line,
                nul ? "holds a NUL byte: not a text file"
                    : "is not valid UTF-8; convert it (iconv -f LATIN1 -t UTF-8)");
}

/* ---- lines ----------------------------------------------------------------------------------- */

enum { PIECE = 1 << 16, FORGET = 1 << 24 };

struct LineReader {
    const Heap *heap;
    const char *path;
    Map file;
    size_t at, forgotten; /* bytes of the file that were read, and the part of them that was given back to the system */
    size_t longest, line;
    bool packed, ended; /* ended: a packed file has no more data */
    char *buffer;       /* of a packed file: the unread part is begin .. end */
    /* positions in the buffer, and its size. `unpacked`, `most`: the unpacked bytes so far, and their limit */
    size_t begin, end, room;
    uint64_t unpacked, most;
#ifdef HAVE_ZLIB
    z_stream z;
    bool has_z;
#endif
};

static bool open_gzip(LineReader *l, Error *e)
{
#ifdef HAVE_ZLIB
    l->most = unpacked_limit(l->file.bytes);
    l->has_z = inflateInit2(&l->z, 16 + MAX_WBITS) == Z_OK;
    return l->has_z || fail_memory(e, 1 << 16, "unpacking gzip");
#else
    return no_zlib(l->path, e);
#endif
}

LineReader *lines_open(const char *path, size_t longest, const Heap *heap, Error *e)
{
    LineReader *l = heap_alloc(heap, sizeof *l);
    if (!l) {
        fail_memory(e, sizeof *l, path);
        return NULL;
    }
    *l = (LineReader){.heap = heap, .path = path, .longest = longest};
    bool ok = map_open(&l->file, path, e);
    Text head = {(const char *)l->file.data, MIN(l->file.bytes, (size_t)512)};
    l->packed = ok && text_starts(head, "\x1f\x8b");
    const char *kind = l->packed ? NULL : foreign_kind(head);
    if (ok && kind)
        ok = fail(e, SP_FORMAT, "%s: is %s, text is expected: convert it first", path, kind);
    if (ok && l->packed)
        ok = open_gzip(l, e);
    if (ok)
        return l;
    lines_close(l);
    return NULL;
}

void lines_close(LineReader *l)
{
    if (!l)
        return;
#ifdef HAVE_ZLIB
    if (l->has_z)
        inflateEnd(&l->z);
#endif
    if (l->buffer)
        heap_free(l->heap, l->buffer, l->room);
    map_close(&l->file);
    heap_free(l->heap, l, sizeof *l);
}

size_t lines_number(const LineReader *l)
{
    return l->line;
}

size_t lines_bytes(const LineReader *l, size_t *of)
{
    *of = l->file.bytes;
    return l->at;
}

static bool too_long(const LineReader *l, Error *e)
{
    return fail(e, SP_FORMAT, "%s:%zu: is a line of more than %zu bytes, the limit", l->path, l->line, l->longest);
}

/* Gives pages of a mapped file back after they were read. Until then, they count as memory of the process. The last
 * PIECE bytes before l->at are given back by the next call, so the pages that are being read stay. */
static void forget(LineReader *l)
{
    if (l->file.mapped && l->at - l->forgotten >= FORGET) {
        map_forget(l->file.data + l->forgotten, l->at - l->forgotten - PIECE);
        l->forgotten = l->at - PIECE;
    }
}

#ifdef HAVE_ZLIB
/* Makes room for a piece after `end`: moves the unread part to the start, then enlarges the buffer if needed. */
static bool make_room(LineReader *l, Error *e)
{
    if (l->buffer && l->begin)
        memmove(l->buffer, l->buffer + l->begin, l->end - l->begin);
    l->end -= l->begin;
    l->begin = 0;
    if (l->room - l->end >= PIECE)
        return true;
    size_t room = MAX(2 * l->room, (size_t)4 * PIECE);
    char *grown = heap_alloc(l->heap, room);
    if (!grown)
        return fail_memory(e, room, l->path);
    if (l->buffer && l->end)
        memcpy(grown, l->buffer, l->end);
    if (l->buffer)
        heap_free(l->heap, l->buffer, l->room);
    l->buffer = grown;
    l->room = room;
    return true;
}

/* Unpacks one more piece. After a member, another member or zeros may follow (padding of tapes). */
static bool unpack_piece(LineReader *l, Error *e)
{
    if (!make_room(l, e))
        return false;
    const unsigned char *data = l->file.data;
    uInt give = (uInt)MIN(l->file.bytes - l->at, (size_t)1 << 20);
    l->z.next_in = (unsigned char *)(uintptr_t)(data + l->at);
    l->z.avail_in = give;
    l->z.next_out = (unsigned char *)l->buffer + l->end;
    l->z.avail_out = PIECE;
    int state = inflate(&l->z, Z_NO_FLUSH);
    size_t took = give - l->z.avail_in, made = PIECE - l->z.avail_out;
    l->at += took;
    l->end += made;
    l->unpacked += made;
    forget(l);
    if (l->unpacked > l->most)
        return too_large(l->path, l->most, l->file.bytes, e);
    if (state == Z_STREAM_END) {
        while (l->at < l->file.bytes && !data[l->at])
            l->at++;
        l->ended = l->at == l->file.bytes;
        if (l->ended)
            return true;
        return (data[l->at] == 0x1f && inflateReset(&l->z) == Z_OK) || foreign_tail(l->path, e);
    }
    return (state == Z_OK && (took || made)) || not_whole(l->path, state, e);
}

static bool next_packed(LineReader *l, Text *line, Error *e)
{
    size_t seen = 0; /* bytes after `begin` that contain no line end */
    for (;;) {
        const char *from = l->buffer ? l->buffer + l->begin : "";
        size_t n = l->end - l->begin;
        const char *end = n > seen ? memchr(from + seen, '\n', n - seen) : NULL;
        if ((end ? (size_t)(end - from) : n) > l->longest)
            return too_long(l, e);
        if (end || (l->ended && n)) {
            *line = (Text){from, end ? (size_t)(end - from) : n};
            l->begin += line->n + (end != NULL);
            return true;
        }
        if (l->ended)
            return false;
        seen = n;
        if (!unpack_piece(l, e))
            return false;
    }
}
#endif

static bool next_plain(LineReader *l, Text *line, Error *e)
{
    forget(l);
    const char *from = (const char *)l->file.data + l->at;
    size_t left = l->file.bytes - l->at, look = MIN(left, l->longest + 1);
    if (left == 0)
        return false;
    const char *end = memchr(from, '\n', look);
    if (!end && left > l->longest)
        return too_long(l, e);
    *line = (Text){from, end ? (size_t)(end - from) : left};
    l->at += line->n + (end != NULL);
    return true;
}

bool lines_next(LineReader *l, Text *line, Error *e)
{
    l->line++;
#ifdef HAVE_ZLIB
    bool some = l->packed ? next_packed(l, line, e) : next_plain(l, line, e);
#else
    bool some = next_plain(l, line, e);
#endif
    if (!some)
        return false;
    if (l->line == 1 && text_starts(*line, "\xEF\xBB\xBF"))
        *line = (Text){line->p + 3, line->n - 3};
    if (line->n && line->p[line->n - 1] == '\r')
        line->n--;
    return true;
}
