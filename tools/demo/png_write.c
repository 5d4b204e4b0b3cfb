/* tools/demo/png_write.c: a PNG file (RFC 2083) whose zlib stream (RFC 1950, 1951) holds stored blocks. */
#include "tools/demo/catalogue.h"

static uint32_t crc_of(uint32_t crc, const unsigned char *p, size_t n)
{
    for (crc = ~crc; n--; p++) {
        crc ^= *p;
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    }
    return ~crc;
}

static void put_u32(unsigned char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(v >> (24 - 8 * i));
}

/* `data` begins with 8 bytes of room for length and kind and ends with 4 for the checksum. */
static bool put_chunk(Out *o, const char *kind, unsigned char *data, size_t n, Error *e)
{
    put_u32(data, (uint32_t)n);
    memcpy(data + 4, kind, 4);
    put_u32(data + 8 + n, crc_of(0, data + 4, n + 4));
    return out_write(o, data, n + 12, e);
}

/* Stored blocks of up to 65,535 bytes: each row is a filter byte 0 and its pixels. Returns the stream's size. */
static size_t store_rows(unsigned char *out, int32_t width, int32_t height, const unsigned char *rgb)
{
    size_t row = 1 + 3 * (size_t)width, left = row * (size_t)height, n = 0, at = 0;
    uint32_t a = 1, b = 0; /* Adler-32 */
    out[n++] = 0x78;
    out[n++] = 0x01;
    while (left) {
        size_t block = MIN(left, 65535);
        left -= block;
        out[n++] = left == 0;
        out[n++] = (unsigned char)block;
        out[n++] = (unsigned char)(block >> 8);
        out[n++] = (unsigned char)~block;
        out[n++] = (unsigned char)(~block >> 8);
        for (; block--; at++) {
            unsigned char byte = at % row ? rgb[at / row * (row - 1) + at % row - 1] : 0;
            out[n++] = byte;
            a = (a + byte) % 65521;
            b = (b + a) % 65521;
        }
    }
    put_u32(out + n, b << 16 | a);
    return n + 4;
}

bool png_write(const char *path, int32_t width, int32_t height, const unsigned char *rgb, const Heap *heap, Error *e)
{
    static const unsigned char SIGNATURE[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
    size_t bytes = (size_t)height * (1 + 3 * (size_t)width), room = bytes + 5 * (bytes / 65535 + 1) + 6 + 12;
    unsigned char *data = heap_alloc(heap, room), head[8 + 13 + 4] = {0}, tail[12] = {0};
    if (!data)
        return fail_memory(e, room, path);
    put_u32(head + 8, (uint32_t)width);
    put_u32(head + 12, (uint32_t)height);
    head[16] = 8; /* bits */
    head[17] = 2; /* RGB */
    size_t n = store_rows(data + 8, width, height, rgb);
    Out *o = out_open(path, heap, e);
    if (o)
        out_unsynced(o);
    bool ok = o && out_write(o, SIGNATURE, sizeof SIGNATURE, e) && put_chunk(o, "IHDR", head, 13, e) &&
              put_chunk(o, "IDAT", data, n, e) && put_chunk(o, "IEND", tail, 0, e);
    heap_free(heap, data, room);
    if (!ok) {
        out_discard(o);
        return false;
    }
    return out_commit(o, e);
}
