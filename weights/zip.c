/* weights/zip.c: zip archives (PKWARE's APPNOTE 6.3): the central directory, zip64, stored and deflated entries. */
#include "weights/zip.h"

#ifdef HAVE_ZLIB
#include <zlib.h>
#endif

enum { END = 0x06054b50, END64 = 0x06064b50, LOCATOR64 = 0x07064b50, CENTRAL = 0x02014b50, LOCAL = 0x04034b50 };

typedef struct Directory {
    uint64_t entries, bytes, offset;
} Directory;

static bool bad(const Zip *z, Error *e, const char *what)
{
    fail(e, SP_FORMAT, "%s: zip archive: %s", z->path, what);
    return false;
}

/* Returns a pointer to the n bytes at `offset`, or NULL if they are outside the file. */
static const unsigned char *bytes_at(const Map *m, uint64_t offset, uint64_t n)
{
    return offset <= m->bytes && n <= m->bytes - offset ? m->data + offset : NULL;
}

/* Finds the central directory. The end record is in the last 64 KB + 22 bytes. With zip64, a locator before it has the
 * offset of the zip64 end record. */
static bool find_directory(const Zip *z, Directory *d, Error *e)
{
    const Map *m = z->map;
    const unsigned char *p = NULL;
    for (uint64_t back = 22; back <= 22 + 65535 && back <= m->bytes && !p; back++) {
        const unsigned char *at = m->data + m->bytes - back;
        if (read_little(at, 4) == END && read_little(at + 20, 2) == back - 22)
            p = at;
    }
    if (!p)
        return bad(z, e, "the directory at its end is missing: truncated?");
    *d = (Directory){
        .entries = read_little(p + 10, 2), .bytes = read_little(p + 12, 4), .offset = read_little(p + 16, 4)};
    uint64_t at = (uint64_t)(p - m->data);
    const unsigned char *locator = at >= 20 ? p - 20 : NULL;
    if (locator && read_little(locator, 4) == LOCATOR64) {
        const unsigned char *wide = bytes_at(m, read_little(locator + 8, 8), 56);
        if (!wide || read_little(wide, 4) != END64)
            return bad(z, e, "its zip64 directory is not at the stated place");
        *d = (Directory){.entries = read_little(wide + 32, 8),
                         .bytes = read_little(wide + 40, 8),
                         .offset = read_little(wide + 48, 8)};
    }
    if (!bytes_at(m, d->offset, d->bytes) || d->entries > d->bytes / 46)
        return bad(z, e, "its directory is outside the file: truncated?");
    return true;
}

/* Reads the sizes and the offset that do not fit 32 bits. They are in extra field 1, in the order of `fields`. A number
 * is there only if its short form is all ones. */
static bool read_zip64(ZipEntry *entry, const unsigned char *extra, size_t n)
{
    uint64_t *fields[] = {&entry->bytes, &entry->packed, &entry->offset};
    bool needed = false;
    for (int i = 0; i < 3; i++)
        needed |= *fields[i] == UINT32_MAX;
    while (needed && n >= 4) {
        size_t id = read_little(extra, 2), size = read_little(extra + 2, 2);
        if (size > n - 4)
            return false;
        if (id == 1) {
            const unsigned char *p = extra + 4, *end = p + size;
            for (int i = 0; i < 3; i++)
                if (*fields[i] == UINT32_MAX) {
                    if (end - p < 8)
                        return false;
                    *fields[i] = read_little(p, 8);
                    p += 8;
                }
            return true;
        }
        extra += 4 + size;
        n -= 4 + size;
    }
    return true; /* an entry of exactly 4 GB - 1 has no such field; a wrong size fails the later check of bounds */
}

bool zip_open(Zip *z, const Map *m, const char *path, Arena *a, Error *e)
{
    *z = (Zip){.map = m, .path = path, .names = text_index_new(a, e)};
    Directory d = {0};
    if (!z->names || !find_directory(z, &d, e))
        return false;
    z->entries = NEW(a, ZipEntry, d.entries + 1, e);
    if (!z->entries)
        return false;
    const unsigned char *p = m->data + d.offset, *end = p + d.bytes;
    for (; z->count < d.entries; z->count++) {
        if (end - p < 46 || read_little(p, 4) != CENTRAL)
            return bad(z, e, "its directory is damaged");
        size_t name = read_little(p + 28, 2), extra = read_little(p + 30, 2), comment = read_little(p + 32, 2);
        if ((size_t)(end - p) - 46 < name + extra + comment)
            return bad(z, e, "its directory is damaged");
        ZipEntry *entry = &z->entries[z->count];
        *entry = (ZipEntry){.name = {(const char *)p + 46, name},
                            .method = (int)read_little(p + 10, 2),
                            .packed = read_little(p + 20, 4),
                            .bytes = read_little(p + 24, 4),
                            .offset = read_little(p + 42, 4)};
        if (read_little(p + 8, 2) & 1)
            return fail(e, SP_UNSUPPORTED, "%s: zip archive: %.*s is encrypted, which is not supported", path,
                        NAME(entry->name));
        if (!read_zip64(entry, p + 46 + name, extra))
            return bad(z, e, "a zip64 field is damaged");
        int64_t number = text_index_add(z->names, entry->name, e);
        if (number < 0)
            return false;
        if (number != (int64_t)z->count)
            return fail(e, SP_FORMAT, "%s: zip archive: duplicate entry %.*s", path, NAME(entry->name));
        p += 46 + name + extra + comment;
    }
    return true;
}

ZipEntry *zip_find(const Zip *z, Text name)
{
    int64_t i = text_index_find(z->names, name);
    return i < 0 ? NULL : &z->entries[i];
}

#ifdef HAVE_ZLIB
static bool unpack(const unsigned char *from, const ZipEntry *entry, unsigned char *to)
{
    z_stream s = {.next_in = (unsigned char *)(uintptr_t)from, .next_out = to};
    if (inflateInit2(&s, -MAX_WBITS) != Z_OK)
        return false;
    uint64_t in = entry->packed, out = entry->bytes;
    int state = Z_OK;
    while (state == Z_OK) { /* the counts of zlib have 32 bits */
        uInt give = (uInt)MIN(in, (uint64_t)1 << 30), room = (uInt)MIN(out, (uint64_t)1 << 30);
        s.avail_in = give;
        s.avail_out = room;
        state = inflate(&s, Z_NO_FLUSH);
        in -= give - s.avail_in;
        out -= room - s.avail_out;
        if (state == Z_OK && s.avail_in == give && s.avail_out == room)
            break;
    }
    inflateEnd(&s);
    return state == Z_STREAM_END && !out;
}
#endif

const unsigned char *zip_bytes(Zip *z, ZipEntry *entry, Arena *a, Error *e)
{
    if (entry->unpacked)
        return entry->unpacked;
    const unsigned char *local = bytes_at(z->map, entry->offset, 30), *data = NULL;
    if (local && read_little(local, 4) == LOCAL)
        data = bytes_at(z->map, entry->offset + 30 + read_little(local + 26, 2) + read_little(local + 28, 2),
                        entry->packed);
    if (!data) {
        fail(e, SP_FORMAT, "%s: zip archive: %.*s is outside the file: truncated?", z->path, NAME(entry->name));
        return NULL;
    }
    if (entry->method == 0) {
        if (entry->packed == entry->bytes)
            return entry->unpacked = data;
        fail(e, SP_FORMAT, "%s: zip archive: %.*s is not compressed, but its two sizes differ", z->path,
             NAME(entry->name));
        return NULL;
    }
#ifdef HAVE_ZLIB
    if (entry->method == 8) {
        unsigned char *out = NULL;
        if (entry->bytes / 1032 > entry->packed || entry->bytes >= z->room) /* deflate compresses at most 1032 to 1 */
            fail(e, SP_FORMAT, "%s: zip archive: %.*s: cannot unpack to %llu bytes from %llu", z->path,
                 NAME(entry->name), (unsigned long long)entry->bytes, (unsigned long long)entry->packed);
        else if ((out = NEW(a, unsigned char, entry->bytes + 1, e)) && !unpack(data, entry, out))
            fail(e, SP_FORMAT, "%s: zip archive: %.*s is damaged: cannot be unpacked", z->path, NAME(entry->name));
        if (e->code)
            return NULL;
        return entry->unpacked = out;
    }
#else
    (void)a;
#endif
    fail(e, SP_UNSUPPORTED, "%s: zip archive: %.*s: this build does not support compression method %d", z->path,
         NAME(entry->name), entry->method);
    return NULL;
}
