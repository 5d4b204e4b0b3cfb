/* tests/hostile/make_files.c: writes files of binary formats for tests/hostile.sh, with a valid form and hostile
 * content. It uses no library: deflate streams are of zeros, and CRCs are right unless stated.
 *
 *   usage: make_files KIND FILE ARGUMENT ...
 *
 *   png FILE WIDTH HEIGHT DEPTH COLOUR [ROWS] [PART]
 *                                              zeros; ROWS: rows in IDAT, instead of HEIGHT;
 *                                              PART: badcrc, noend, twice, text, icc, apng
 *   jpeg FILE WIDTH HEIGHT SCANS [cut]         progressive, one component, a DC scan, then SCANS - 1 empty AC
 *                                              scans; cut: no end
 *   webp FILE WIDTH HEIGHT                     lossless, one colour: about 40 bytes
 *   gzip FILE BYTES                            this number of zeros
 *   safetensors FILE HEADER BYTES [LENGTH]     LENGTH: the number in the first eight bytes
 *   npy FILE MAJOR HEADER BYTES [LENGTH]       zeros after the header
 *   zip FILE (NAME METHOD SOURCE) ...          METHOD: store, zeros (deflated; SOURCE: their number), lie (stored;
 *                                              the directory states 2^32 - 16 bytes), crc (wrong CRC);
 *                                              SOURCE: a file
 *   pickle FILE KIND N                         a torch file (zip): laughs (dictionaries of aliases), key (one long
 *                                              key N times), deep (N lists), tensor (shape of 2^40), stride, offset,
 *                                              storage (missing), negative, call (os.system), memo, loop
 *   links FILE FORMAT N                        hard links to FILE with the names of FORMAT (with %d)
 *   socket FILE                                a socket without a listener
 *   bytes FILE FORMAT N                        FORMAT (with %d: the number) N times */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

typedef struct Bytes { /* a buffer that grows */
    unsigned char *p;
    size_t n, room;
    uint32_t bits; /* bits of an incomplete byte, low bit first */
    int bit_count;
} Bytes;

static void put(Bytes *b, const void *data, size_t n)
{
    if (b->n + n > b->room) {
        b->room = 2 * (b->n + n) + 256;
        b->p = realloc(b->p, b->room);
        if (!b->p)
            exit(2);
    }
    memcpy(b->p + b->n, data, n);
    b->n += n;
}
static void put_text(Bytes *b, const char *text)
{
    put(b, text, strlen(text));
}
static void put_number(Bytes *b, uint64_t value, int bytes, bool big)
{
    unsigned char p[8];
    for (int i = 0; i < bytes; i++)
        p[big ? bytes - 1 - i : i] = (unsigned char)(value >> (8 * i));
    put(b, p, (size_t)bytes);
}
static void put_bits(Bytes *b, uint32_t value, int count) /* deflate and WebP: low bit first */
{
    for (int i = 0; i < count; i++) {
        b->bits |= (value >> i & 1u) << b->bit_count;
        if (++b->bit_count == 8) {
            unsigned char byte = (unsigned char)b->bits;
            put(b, &byte, 1);
            b->bits = 0;
            b->bit_count = 0;
        }
    }
}
static void put_zeros(Bytes *b, uint64_t n)
{
    static const unsigned char zeros[4096];
    for (; n; n -= n < sizeof zeros ? n : sizeof zeros)
        put(b, zeros, n < sizeof zeros ? (size_t)n : sizeof zeros);
}
static void save(const Bytes *b, const char *path)
{
    FILE *out = fopen(path, "wb");
    if (!out || fwrite(b->p, 1, b->n, out) != b->n || fclose(out) != 0) {
        perror(path);
        exit(2);
    }
}
static Bytes load(const char *path)
{
    Bytes b = {0};
    unsigned char buffer[4096];
    FILE *in = fopen(path, "rb");
    if (!in) {
        perror(path);
        exit(2);
    }
    for (size_t got; (got = fread(buffer, 1, sizeof buffer, in)) > 0;)
        put(&b, buffer, got);
    fclose(in);
    return b;
}

/* ---- sums and deflate ------------------------------------------------------------------------ */

static uint32_t crc(uint32_t start, const unsigned char *p, size_t n)
{
    uint32_t c = ~start;
    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        for (int k = 0; k < 8; k++)
            c = c >> 1 ^ (c & 1 ? 0xedb88320u : 0);
    }
    return ~c;
}
/* Returns the CRC of n zeros. The step of one zero byte is linear in the register, so its n-th power is computed by
 * squaring. */
static uint32_t crc_zeros(uint64_t n)
{
    uint32_t step[32], squared[32], c = 0xffffffffu;
    for (int i = 0; i < 32; i++) {
        step[i] = 1u << i;
        for (int k = 0; k < 8; k++)
            step[i] = step[i] >> 1 ^ (step[i] & 1 ? 0xedb88320u : 0);
    }
    for (; n; n >>= 1) {
        uint32_t next = 0;
        for (int i = 0; i < 32; i++)
            next ^= c >> i & 1 ? step[i] : 0;
        if (n & 1)
            c = next;
        for (int i = 0; i < 32; i++) {
            squared[i] = 0;
            for (int k = 0; k < 32; k++)
                squared[i] ^= step[i] >> k & 1 ? step[k] : 0;
        }
        memcpy(step, squared, sizeof step);
    }
    return ~c;
}

/* Writes a deflate stream of n zeros in one block of dynamic codes, with 258 zeros in two bits: the highest density of
 * deflate. Code lengths: literal 0 and end (256) two bits, length 258 (285) one bit, distance 1 one bit. */
static void put_deflated_zeros(Bytes *b, uint64_t n)
{
    static const unsigned char order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    put_bits(b, 1, 1);
    put_bits(b, 2, 2);
    put_bits(b, 286 - 257, 5);
    put_bits(b, 0, 5);
    put_bits(b, 18 - 4, 4);
    /* Codes of the code lengths: 18 (many zeros) one bit; 1 and 2 two bits. Canonical: 18 is 0, 1 is 10, 2 is 11. */
    for (int i = 0; i < 18; i++)
        put_bits(b, order[i] == 18 ? 1 : order[i] == 1 || order[i] == 2 ? 2 : 0, 3);
    put_bits(b, 3, 2); /* literal 0: length 2 */
    put_bits(b, 0, 1); /* 138 zeros */
    put_bits(b, 127, 7);
    put_bits(b, 0, 1); /* 117 zeros: 1 .. 255 */
    put_bits(b, 106, 7);
    put_bits(b, 3, 2); /* end: length 2 */
    put_bits(b, 0, 1); /* 28 zeros: 257 .. 284 */
    put_bits(b, 17, 7);
    put_bits(b, 1, 2); /* 285: length 1, code 10 with its high bit first */
    put_bits(b, 1, 2); /* distance 1: length 1 */
    uint64_t left = n ? n - 1 : 0;
    if (n)
        put_bits(b, 1, 2); /* literal 0 is 10 */
    for (; left >= 258; left -= 258)
        put_bits(b, 0, 2); /* 285 is 0, distance 0 */
    for (; left; left--)
        put_bits(b, 1, 2);
    put_bits(b, 3, 2); /* the end is 11 */
    if (b->bit_count)
        put_bits(b, 0, 8 - b->bit_count);
}

/* ---- images ---------------------------------------------------------------------------------- */

static void put_chunk(Bytes *b, const char *type, const Bytes *data, bool is_bad)
{
    put_number(b, data->n, 4, true);
    size_t from = b->n;
    put_text(b, type);
    put(b, data->n ? data->p : (const unsigned char *)"", data->n);
    put_number(b, crc(0, b->p + from, b->n - from) ^ (is_bad ? 1u : 0), 4, true);
}
static int make_png(const char *path, int n, char **a)
{
    if (n < 4)
        return 2;
    uint64_t width = strtoull(a[0], NULL, 10), height = strtoull(a[1], NULL, 10), depth = strtoull(a[2], NULL, 10),
             colour = strtoull(a[3], NULL, 10), rows = n > 4 ? strtoull(a[4], NULL, 10) : height;
    const char *part = n > 5 ? a[5] : "";
    static const int channels[] = {1, 0, 3, 1, 2, 0, 4};
    Bytes b = {0}, head = {0}, data = {0}, none = {0};
    put(&b, "\211PNG\r\n\032\n", 8);
    put_number(&head, width, 4, true);
    put_number(&head, height, 4, true);
    put_number(&head, depth, 1, true);
    put_number(&head, colour, 1, true);
    put_zeros(&head, 3);
    put_chunk(&b, "IHDR", &head, !strcmp(part, "badcrc"));
    if (!strcmp(part, "twice"))
        put_chunk(&b, "IHDR", &head, false);
    uint64_t bytes = rows * (1 + (width * depth * (uint64_t)(colour < 7 ? channels[colour] : 1) + 7) / 8);
    if (colour == 3) {
        Bytes palette = {0};
        put_zeros(&palette, 3);
        put_chunk(&b, "PLTE", &palette, false);
    }
    if (!strcmp(part, "text") || !strcmp(part, "icc")) { /* 1 GB after a keyword */
        Bytes text = {0};
        put(&text, "a\0\0", 3);
        put(&text, "\170\332", 2);
        put_deflated_zeros(&text, 1u << 30);
        put_number(&text, ((1u << 30) % 65521) << 16 | 1, 4, true);
        put_chunk(&b, !strcmp(part, "icc") ? "iCCP" : "zTXt", &text, false);
    }
    put(&data, "\170\332", 2);
    put_deflated_zeros(&data, bytes);
    put_number(&data, (bytes % 65521) << 16 | 1, 4, true);
    put_chunk(&b, "IDAT", &data, false);
    if (strcmp(part, "noend") != 0)
        put_chunk(&b, "IEND", &none, false);
    save(&b, path);
    return 0;
}

static void put_jpeg_bits(Bytes *b, uint32_t value, int count) /* high bit first, FF stuffed */
{
    for (int i = count - 1; i >= 0; i--) {
        b->bits = b->bits << 1 | (value >> i & 1u);
        if (++b->bit_count == 8) {
            unsigned char byte = (unsigned char)b->bits;
            put(b, &byte, 1);
            if (byte == 0xff)
                put(b, "", 1);
            b->bits = 0;
            b->bit_count = 0;
        }
    }
}
static int make_jpeg(const char *path, int n, char **a)
{
    if (n < 3)
        return 2;
    uint32_t width = (uint32_t)strtoul(a[0], NULL, 10), height = (uint32_t)strtoul(a[1], NULL, 10);
    uint64_t blocks = (uint64_t)((width + 7) / 8) * ((height + 7) / 8);
    Bytes b = {0};
    put(&b, "\377\330\377\333\0\103\0", 7);
    for (int i = 0; i < 64; i++)
        put(&b, "\1", 1);
    put(&b, "\377\302\0\13\10", 5);
    put_number(&b, height, 2, true);
    put_number(&b, width, 2, true);
    put(&b, "\1\1\021\0", 4);
    put(&b, "\377\304\0\024\0\1", 6); /* DC: category 0 is the code 0 */
    put_zeros(&b, 16);
    put(&b, "\377\304\0\024\020\1", 6); /* AC: a run of 2^14 blocks and 14 bits is the code 0 */
    put_zeros(&b, 15);
    put(&b, "\340", 1);
    for (unsigned long scan = 0, scans = strtoul(a[2], NULL, 10); scan < scans; scan++) {
        put(&b, "\377\332\0\10\1\1\0", 7);
        put(&b, scan ? "\1\077\0" : "\0\0\0", 3);
        if (scan)
            for (uint64_t at = 0; at < blocks; at += 32767)
                put_jpeg_bits(&b, 0x3fff, 15);
        else
            for (uint64_t at = 0; at < blocks; at++)
                put_jpeg_bits(&b, 0, 1);
        while (b.bit_count)
            put_jpeg_bits(&b, 1, 1);
    }
    if (n < 4)
        put(&b, "\377\331", 2);
    save(&b, path);
    return 0;
}
static int make_webp(const char *path, int n, char **a)
{
    if (n < 2)
        return 2;
    Bytes v = {0}, b = {0};
    put(&v, "\057", 1);
    put_bits(&v, (uint32_t)strtoul(a[0], NULL, 10) - 1, 14);
    put_bits(&v, (uint32_t)strtoul(a[1], NULL, 10) - 1, 14);
    put_bits(&v, 0, 4); /* no alpha, version 0 */
    put_bits(&v, 0, 3); /* no transform, no colour cache, no codes of codes */
    for (int i = 0; i < 5; i++)
        put_bits(&v, 1, 4); /* simple code, one symbol, of one bit, 0 */
    put_bits(&v, 0, 16);
    while (v.n % 2 || v.bit_count)
        put_bits(&v, 0, 1);
    put_text(&b, "RIFF");
    put_number(&b, 12 + v.n, 4, false);
    put_text(&b, "WEBPVP8L");
    put_number(&b, v.n, 4, false);
    put(&b, v.p, v.n);
    save(&b, path);
    return 0;
}

/* ---- arrays and archives --------------------------------------------------------------------- */

static int make_gzip(const char *path, int n, char **a)
{
    uint64_t bytes = n ? strtoull(a[0], NULL, 10) : 0;
    Bytes b = {0};
    put(&b, "\037\213\10\0\0\0\0\0\0\3", 10);
    put_deflated_zeros(&b, bytes);
    put_number(&b, crc_zeros(bytes), 4, false);
    put_number(&b, bytes, 4, false);
    save(&b, path);
    return 0;
}
static int make_safetensors(const char *path, int n, char **a)
{
    if (n < 2)
        return 2;
    Bytes b = {0};
    put_number(&b, n > 2 ? strtoull(a[2], NULL, 0) : strlen(a[0]), 8, false);
    put_text(&b, a[0]);
    put_zeros(&b, strtoull(a[1], NULL, 10));
    save(&b, path);
    return 0;
}
static int make_npy(const char *path, int n, char **a)
{
    if (n < 3)
        return 2;
    Bytes b = {0};
    int major = atoi(a[0]), wide = major > 1 ? 4 : 2;
    put(&b, "\223NUMPY", 6);
    put_number(&b, (uint64_t)major, 1, false);
    put_zeros(&b, 1);
    size_t length = strlen(a[1]) + 1, fill = (64 - (8 + (size_t)wide + length) % 64) % 64;
    put_number(&b, n > 3 ? strtoull(a[3], NULL, 0) : length + fill, wide, false);
    put_text(&b, a[1]);
    while (fill--)
        put_text(&b, " ");
    put_text(&b, "\n");
    put_zeros(&b, strtoull(a[2], NULL, 10));
    save(&b, path);
    return 0;
}

typedef struct Archive {
    Bytes b, directory;
    unsigned count;
} Archive;
static void archive_add(Archive *z, const char *name, int method, const Bytes *packed, uint64_t bytes, uint32_t sum)
{
    size_t at = z->b.n;
    for (int pass = 0; pass < 2; pass++) {
        Bytes *b = pass ? &z->directory : &z->b;
        put(b, pass ? "PK\1\2\24\0" : "PK\3\4", pass ? 6 : 4);
        put(b, "\24\0\0\0", 4);
        put_number(b, (uint64_t)method, 2, false);
        put_zeros(b, 4);
        put_number(b, sum, 4, false);
        put_number(b, packed->n, 4, false);
        put_number(b, bytes, 4, false);
        put_number(b, strlen(name), 2, false);
        put_zeros(b, pass ? 12 : 2);
        if (pass)
            put_number(b, at, 4, false);
        put_text(b, name);
    }
    put(&z->b, packed->n ? packed->p : (const unsigned char *)"", packed->n);
    z->count++;
}
static void archive_save(Archive *z, const char *path)
{
    size_t at = z->b.n;
    put(&z->b, z->directory.p, z->directory.n);
    put(&z->b, "PK\5\6\0\0\0\0", 8);
    put_number(&z->b, z->count, 2, false);
    put_number(&z->b, z->count, 2, false);
    put_number(&z->b, z->directory.n, 4, false);
    put_number(&z->b, at, 4, false);
    put_zeros(&z->b, 2);
    save(&z->b, path);
}
static int make_zip(const char *path, int n, char **a)
{
    Archive z = {0};
    for (int i = 0; i + 2 < n; i += 3) {
        Bytes data = {0};
        if (!strcmp(a[i + 1], "zeros")) {
            uint64_t bytes = strtoull(a[i + 2], NULL, 10);
            put_deflated_zeros(&data, bytes);
            archive_add(&z, a[i], 8, &data, bytes, crc_zeros(bytes));
        } else {
            data = load(a[i + 2]);
            uint32_t sum = crc(0, data.p, data.n);
            archive_add(&z, a[i], 0, &data, !strcmp(a[i + 1], "lie") ? 0xfffffff0u : data.n,
                        !strcmp(a[i + 1], "crc") ? ~sum : sum);
        }
    }
    archive_save(&z, path);
    return 0;
}

/* ---- pickles --------------------------------------------------------------------------------- */

static void put_string(Bytes *b, const char *text)
{
    put_text(b, "X");
    put_number(b, strlen(text), 4, false);
    put_text(b, text);
}
static void put_memo(Bytes *b, char op, uint32_t number) /* r: store, j: load */
{
    put(b, &op, 1);
    put_number(b, number, 4, false);
}
/* Writes the opcodes that call torch._utils._rebuild_tensor_v2 for a storage of `count` floats. */
static void put_tensor(Bytes *b, const char *key, int64_t count, int64_t offset, int64_t rows, int64_t stride)
{
    const int64_t numbers[] = {count, offset, rows, stride};
    put_text(b, "ctorch._utils\n_rebuild_tensor_v2\n((");
    put_string(b, "storage");
    put_text(b, "ctorch\nFloatStorage\n");
    put_string(b, key);
    put_string(b, "cpu");
    for (int i = 0; i < 4; i++) {
        put(b, "\212\10", 2);
        put_number(b, (uint64_t)numbers[i], 8, false);
        put_text(b, i == 0 ? "tQ" : i > 1 ? "\205" : "");
    }
    put_text(b, "\211)tR");
}
static int make_pickle(const char *path, int n, char **a)
{
    if (n < 2)
        return 2;
    const char *kind = a[0];
    uint32_t many = (uint32_t)strtoul(a[1], NULL, 10);
    Bytes p = {0}, storage = {0}, order = {0};
    put(&p, "\200\2", 2);
    if (!strcmp(kind, "laughs")) {
        put_text(&p, "}");
        put_string(&p, "w");
        put_tensor(&p, "0", 4, 0, 4, 1);
        put_text(&p, "s");
        put_memo(&p, 'r', 0);
        for (uint32_t i = 1; i <= many; i++) { /* each contains the previous one twice */
            put_text(&p, "0}(");
            put_string(&p, "a");
            put_memo(&p, 'j', i - 1);
            put_string(&p, "b");
            put_memo(&p, 'j', i - 1);
            put_text(&p, "u");
            put_memo(&p, 'r', i);
        }
    } else if (!strcmp(kind, "key")) {
        char *key = malloc((1 << 20) + 1);
        if (!key)
            return 2;
        memset(key, 'k', 1 << 20);
        key[1 << 20] = '\0';
        put_text(&p, "}(");
        put_string(&p, key);
        put_memo(&p, 'r', 0);
        put_text(&p, "}");
        put_string(&p, "w");
        put_tensor(&p, "0", 4, 0, 4, 1);
        put_text(&p, "s");
        put_memo(&p, 'r', 1);
        for (uint32_t i = 0; i < many; i++) {
            char number[16];
            snprintf(number, sizeof number, "%u", i);
            put_string(&p, number);
            put_text(&p, "}");
            put_memo(&p, 'j', 0);
            put_memo(&p, 'j', 1);
            put_text(&p, "s");
        }
        put_text(&p, "u");
    } else if (!strcmp(kind, "deep")) {
        for (uint32_t i = 0; i < many; i++)
            put_text(&p, "]");
        for (uint32_t i = 1; i < many; i++)
            put_text(&p, "a");
    } else if (!strcmp(kind, "loop")) { /* a dictionary that contains itself */
        put_text(&p, "}");
        put_memo(&p, 'r', 0);
        put_string(&p, "a");
        put_memo(&p, 'j', 0);
        put_text(&p, "s");
    } else if (!strcmp(kind, "memo")) {
        put_memo(&p, 'j', 4000000000u);
    } else if (!strcmp(kind, "call")) {
        put_text(&p, "cposix\nsystem\n");
        put_string(&p, "touch owned");
        put_text(&p, "\205R");
    } else {
        put_text(&p, "}");
        put_string(&p, "fc.weight");
        if (!strcmp(kind, "tensor"))
            put_tensor(&p, "0", 4, 0, INT64_C(1) << 40, 1);
        else if (!strcmp(kind, "overflow"))
            put_tensor(&p, "0", 4, 0, INT64_MAX, INT64_MAX);
        else if (!strcmp(kind, "stride"))
            put_tensor(&p, "0", 4, 0, 2, INT64_C(1) << 62);
        else if (!strcmp(kind, "zerostride")) /* one number, repeated 2^33 times */
            put_tensor(&p, "0", 4, 0, INT64_C(1) << 33, 0);
        else if (!strcmp(kind, "offset"))
            put_tensor(&p, "0", 4, INT64_C(1) << 61, 4, 1);
        else if (!strcmp(kind, "negative"))
            put_tensor(&p, "0", 4, -4, -4, -1);
        else
            put_tensor(&p, "no/../such", 4, 0, 4, 1);
        put_text(&p, "s");
    }
    put_text(&p, ".");
    put_zeros(&storage, 16);
    put_text(&order, "little");
    Archive z = {0};
    archive_add(&z, "m/data.pkl", 0, &p, p.n, crc(0, p.p, p.n));
    archive_add(&z, "m/byteorder", 0, &order, order.n, crc(0, order.p, order.n));
    archive_add(&z, "m/data/0", 0, &storage, storage.n, crc(0, storage.p, storage.n));
    put_text(&order, "");
    archive_save(&z, path);
    return 0;
}

static int make_bytes(const char *path, int n, char **a)
{
    if (n < 2)
        return 2;
    FILE *out = fopen(path, "wb");
    if (!out)
        return 2;
    for (long i = 0, many = atol(a[1]); i < many; i++)
        for (const char *p = a[0]; *p; p++)
            if (p[0] == '%' && p[1] == 'd') {
                fprintf(out, "%ld", i);
                p++;
            } else {
                putc(*p, out);
            }
    return fclose(out) == 0 ? 0 : 2;
}

static int make_links(const char *path, int n, char **a)
{
    const char *at = n > 1 ? strstr(a[0], "%d") : NULL;
    for (long i = 0, many = at ? atol(a[1]) : 0; i < many; i++) {
        char name[256];
        snprintf(name, sizeof name, "%.*s%ld%s", (int)(at - a[0]), a[0], i, at + 2);
        if (link(path, name) != 0)
            return 2;
    }
    return at ? 0 : 2;
}

static int make_socket(const char *path, int n, char **a)
{
    (void)n, (void)a;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 ? 0 : 2;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*make)(const char *path, int n, char **a);
    } kinds[] = {{"png", make_png},
                 {"jpeg", make_jpeg},
                 {"webp", make_webp},
                 {"gzip", make_gzip},
                 {"safetensors", make_safetensors},
                 {"npy", make_npy},
                 {"zip", make_zip},
                 {"pickle", make_pickle},
                 {"bytes", make_bytes},
                 {"socket", make_socket},
                 {"links", make_links}};
    for (size_t i = 0; argc > 2 && i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(argv[1], kinds[i].name)) {
            int status = kinds[i].make(argv[2], argc - 3, argv + 3);
            if (status)
                fprintf(stderr, "make_files: %s: wrong arguments\n", argv[1]);
            return status;
        }
    fprintf(stderr, "usage: make_files KIND FILE ARGUMENT ...\n");
    return 2;
}
