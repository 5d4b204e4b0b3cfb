/* base/unpack.c: gzip (RFC 1952), names for files that are no text, and text as every command reads it. */
#include "base/base.h"

#ifdef HAVE_ZLIB
#include <zlib.h>

/* Unpacks the members one after another into out [*bytes + 1], or only counts them into *bytes, where out is NULL. What
 * is behind the last member may be zeros, as tapes pad. */
static bool inflate_all(Text packed, char *out, size_t *bytes, const char *name, Error *e)
{
    unsigned char scratch[1 << 14];
    size_t limit = (size_t)MIN(64 * (uint64_t)packed.n + (16 << 20), (uint64_t)SIZE_MAX - 1), n = 0;
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
        return fail(e, SP_FORMAT,
                    "%s: the gzip file unpacks to more than %zu bytes (its own size is %zu); if that is correct, "
                    "unpack it first (gunzip)",
                    name, limit, packed.n);
    if (state == Z_MEM_ERROR)
        return fail_memory(e, 1 << 16, "unpacking gzip");
    if (state != Z_STREAM_END)
        return fail(e, SP_FORMAT, "%s: the gzip data are %s", name,
                    state == Z_OK || state == Z_BUF_ERROR ? "truncated; fetch the file again"
                                                          : "damaged; fetch the file again");
    if (p < end)
        return fail(e, SP_FORMAT, "%s: the bytes after the gzip data are not gzip data; fetch the file again", name);
    *bytes = n;
    return true;
}

/* Twice: the first pass counts, so that a bomb takes no memory and a table only its own. */
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

/* Replaces the content of a gzip file by what it unpacks to; other content stays. Nothing is allocated where that is
 * too much. */
static bool unpack_gzip(Text *content, const char *name, Arena *a, Error *e)
{
    if (!text_starts(*content, "\x1f\x8b"))
        return true;
#ifdef HAVE_ZLIB
    return unpack(content, name, a, e);
#else
    (void)a;
    return fail(e, SP_UNSUPPORTED, "%s: is a gzip file, and this build has no zlib: unpack it first (gunzip)", name);
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
