/* tests/extractors_test.c: damaged images end in an error of one line; values of pixels. pixels_test.c tests that
 * pixels equal Pillow's, encoders_test.c tests encoders. */
#include "extractors/extractors.h" /* before cmocka, which has a macro named fail */

#include "tests/testing.h"

/* ---- images ---------------------------------------------------------------------------------- */

#define GOLDEN "tests/golden/"

/* Cuts each image at every length: it is decoded, or fails with an error of one line that names it. Sanitizers check
 * for leaks. */
static void cut_images_fail_in_one_line(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    FolderEntry *entries;
    size_t n;
    assert_true(folder_list(&entries, &n, a, GOLDEN "images", &e));
    for (size_t i = 0; i < n; i++) {
        if (strstr(entries[i].name, ".tsv"))
            continue;
        Text bytes;
        assert_true(file_read(&bytes, a, path_join(a, GOLDEN "images", entries[i].name, &e), 0, &e));
        for (size_t cut = 0; cut < bytes.n; cut += cut < 64 ? 1 : 37) {
            ArenaMark mark = arena_mark(a);
            Error bad = {0};
            Image im;
            char *copy = arena_strndup(a, bytes.p, cut, &e); /* a copy, so that a read after the end is detected */
            if (!image_decode(&im, (Text){copy, cut}, entries[i].name, 0, a, &bad)) {
                assert_non_null(strstr(bad.message, entries[i].name));
                assert_null(strchr(bad.message, '\n'));
            } else {
                assert_true(cut > bytes.n / 2);
            }
            arena_rewind(a, mark);
        }
        for (size_t at = 0; at < bytes.n; at++) { /* one byte wrong */
            ArenaMark mark = arena_mark(a);
            Error bad = {0};
            Image im;
            char *copy = arena_strndup(a, bytes.p, bytes.n, &e);
            copy[at] = (char)(copy[at] ^ (1 << at % 8));
            if (!image_decode(&im, (Text){copy, bytes.n}, entries[i].name, 1 << 20, a, &bad))
                assert_true(bad.message[0] && !strchr(bad.message, '\n'));
            arena_rewind(a, mark);
        }
    }
    arena_free(a);
}

/* stb_image replaces libpng and libjpeg in some builds. It has its own messages, and reads some files that they refuse.
 */
static bool by_stb(const char *bytes, size_t n)
{
#ifndef HAVE_PNG
    if (n >= 8 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0)
        return true;
#endif
#ifndef HAVE_JPEG
    if (n >= 3 && memcmp(bytes, "\xff\xd8\xff", 3) == 0)
        return true;
#endif
    (void)bytes, (void)n;
    return false;
}

static void must_refuse(const char *bytes, size_t n, int64_t max_pixels, const char *why)
{
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Image im;
    bool ok = image_decode(&im, (Text){bytes, n}, "image", max_pixels, a, &e);
    if (by_stb(bytes, n) ? !ok && strncmp(e.message, "image: ", 7) != 0 : ok || !strstr(e.message, why))
        fail_msg("wanted \"%s\", got \"%s\"", why, ok ? "success" : e.message);
    arena_free(a);
}

/* ---- images made by hand --------------------------------------------------------------------- */

typedef struct Bytes {
    unsigned char data[1 << 18];
    size_t n;
} Bytes;

static void append(Bytes *b, const void *data, size_t n)
{
    assert_true(b->n + n <= sizeof b->data);
    memcpy(b->data + b->n, data, n);
    b->n += n;
}

static void append_big(Bytes *b, uint32_t v, int bytes)
{
    while (bytes-- > 0)
        append(b, &(unsigned char){(unsigned char)(v >> 8 * bytes)}, 1);
}

static uint32_t crc32_of(const unsigned char *p, size_t n)
{
    uint32_t c = 0xffffffff;
    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        for (int k = 0; k < 8; k++)
            c = c & 1 ? 0xedb88320 ^ c >> 1 : c >> 1;
    }
    return ~c;
}

static void append_chunk(Bytes *b, const char *type, const void *data, size_t n)
{
    size_t from = b->n + 4;
    append_big(b, (uint32_t)n, 4);
    append(b, type, 4);
    append(b, data, n);
    append_big(b, crc32_of(b->data + from, n + 4), 4);
}

static void hostile_pngs(void **state)
{
    (void)state;
#define ZEROS "\x78\x9c\x63\x60\x00\x00\x00\x02\x00\x01" /* two zero bytes, deflated: one grey pixel */
    static const struct {
        uint32_t width, height;
        unsigned char depth, colour;
        const char *palette, *data; /* NULL: the chunk is missing */
        size_t n;
        const char *why; /* NULL: reading succeeds */
    } cases[] = {
        {1, 1, 8, 0, NULL, ZEROS, 10, NULL},
        {0, 1, 8, 0, NULL, ZEROS, 10, "damaged PNG"},
        {1, 0, 8, 0, NULL, ZEROS, 10, "damaged PNG"},
        {0, 0, 8, 0, NULL, ZEROS, 10, "damaged PNG"},
        {0xffffffff, 1, 8, 0, NULL, ZEROS, 10, "damaged PNG"},
        {65535, 65535, 8, 0, NULL, ZEROS, 10, "more than the limit"},
        {65535, 65535, 16, 6, NULL, ZEROS, 10, "more than the limit"},
        {20000, 20000, 1, 0, NULL, ZEROS, 10, "more than the limit"},
        {0x7fffffff, 1, 8, 2, NULL, ZEROS, 10, "more than the limit"},
        {1, 0x7fffffff, 8, 2, NULL, ZEROS, 10, "more than the limit"},
        {2, 1, 8, 0, NULL, ZEROS, 10, "damaged PNG"},
        {1, 1, 8, 0, NULL, ZEROS, 4, "damaged PNG"},
        {1, 1, 8, 0, NULL, "not deflated at all", 19, "damaged PNG"},
        {1, 1, 8, 0, NULL, NULL, 0, "damaged PNG"},
        {1, 1, 8, 3, NULL, ZEROS, 10, "damaged PNG"},
        {1, 1, 8, 3, "\1\2", ZEROS, 10, "damaged PNG"},
        {1, 1, 8, 3, "\1\2\3", ZEROS, 10, NULL},
        {1, 1, 3, 0, NULL, ZEROS, 10, "damaged PNG"},
        {1, 1, 8, 1, NULL, ZEROS, 10, "damaged PNG"},
        {1, 1, 16, 3, "\1\2\3", ZEROS, 10, "damaged PNG"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        static Bytes b;
        b.n = 0;
        append(&b, "\x89PNG\r\n\x1a\n", 8);
        unsigned char header[13] = {0};
        for (int k = 0; k < 4; k++) {
            header[k] = (unsigned char)(cases[i].width >> 8 * (3 - k));
            header[4 + k] = (unsigned char)(cases[i].height >> 8 * (3 - k));
        }
        header[8] = cases[i].depth;
        header[9] = cases[i].colour;
        append_chunk(&b, "IHDR", header, sizeof header);
        if (cases[i].palette)
            append_chunk(&b, "PLTE", cases[i].palette, strlen(cases[i].palette));
        if (cases[i].data)
            append_chunk(&b, "IDAT", cases[i].data, cases[i].n);
        append_chunk(&b, "IEND", "", 0);
        if (cases[i].why) {
            must_refuse((const char *)b.data, b.n, 0, cases[i].why);
            continue;
        }
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        Image im;
        assert_ok(image_decode(&im, (Text){(const char *)b.data, b.n}, "mislabelled.jpg", 0, a, &e), e);
        b.data[29] ^= 1; /* the header's checksum */
        arena_free(a);
        must_refuse((const char *)b.data, b.n, 0, "damaged PNG");
    }
}

/* Tests a baseline file with a changed frame header, and a progressive file whose last scan is repeated 101 times. */
static void hostile_jpegs(void **state)
{
    (void)state;
    static const struct {
        size_t at; /* after the marker */
        unsigned char bytes[4];
        size_t n;
        const char *why;
    } cases[] = {
        {3, {0, 0, 0, 0}, 4, "damaged JPEG"},
        {3, {0, 0, 0, 9}, 4, "damaged JPEG"},
        {3, {0, 9, 0, 0}, 4, "damaged JPEG"},
        {3, {0xff, 0xff, 0xff, 0xff}, 4, "damaged JPEG"}, /* 65,535 x 65,535 exceeds the limit of libjpeg */
        {3, {0xff, 0xdc, 0xff, 0xdc}, 4, "more than the limit"},
        {2, {7}, 1, "damaged JPEG"},
        {7, {0}, 1, "damaged JPEG"},
        {7, {2}, 1, "damaged JPEG"},
        {0, {0, 0}, 2, "damaged JPEG"},
        {9, {0}, 1, "damaged JPEG"},
        {9, {0xff}, 1, "damaged JPEG"},
        {10, {9}, 1, "damaged JPEG"},
    };
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Text file;
    assert_ok(file_read(&file, a, GOLDEN "images/baseline.jpg", 0, &e), e);
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *copy = arena_strndup(a, file.p, file.n, &e), *frame = memmem(copy, file.n, "\xff\xc0\x00\x11", 4);
        assert_non_null(frame);
        memcpy(frame + 2 + cases[i].at, cases[i].bytes, cases[i].n);
        must_refuse(copy, file.n, 0, cases[i].why);
    }
    char *codes = arena_strndup(a, file.p, file.n, &e), *table = memmem(codes, file.n, "\xff\xc4", 2);
    assert_non_null(table);
    memset(table + 5, 0xff, 16); /* 4,080 codes in a table of 256 */
    must_refuse(codes, file.n, 0, "damaged JPEG");
    must_refuse("\xff\xd8\xff", 3, 0, "truncated");
    must_refuse("\xff\xd8\xff\xd9", 4, 0, "damaged JPEG");
    must_refuse("\xff\xd8\xff\xd8\xff\xd8", 6, 0, "damaged JPEG");
    assert_ok(file_read(&file, a, GOLDEN "images/progressive.jpg", 0, &e), e);
    size_t scan = file.n - 2;
    while (memcmp(file.p + scan, "\xff\xda", 2) != 0)
        scan--;
    size_t n = file.n - 2 - scan;
    char *bomb = arena_alloc(a, file.n + 101 * n, 1, &e);
    memcpy(bomb, file.p, scan);
    for (size_t i = 0; i < 102; i++)
        memcpy(bomb + scan + i * n, file.p + scan, n);
    memcpy(bomb + scan + 102 * n, "\xff\xd9", 2);
    must_refuse(bomb, file.n + 101 * n, 0, "more than 100 scans");
    arena_free(a);
}

static void hostile_webps(void **state)
{
    (void)state;
#ifndef HAVE_WEBP
    puts("skipped: this build has no libwebp");
    skip();
#else
    static const struct {
        size_t at;
        unsigned char bytes[8];
        size_t n;
        const char *why;
    } cases[] = {
        {12, {'V', 'P', '9', ' '}, 4, "WebP"},
        {20, {0}, 1, "WebP"}, /* the first bytes of the frame */
        {23, {0, 0, 0}, 3, "WebP"},
        {26, {0xff, 0x3f, 0xff, 0x3f}, 4, "more than the limit"}, /* 16,383 x 16,383 */
        {26, {0, 0, 0, 0}, 4, "damaged WebP"},
    };
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Text file;
    assert_ok(file_read(&file, a, GOLDEN "images/lossy.webp", 0, &e), e);
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *copy = arena_strndup(a, file.p, file.n, &e);
        memcpy(copy + cases[i].at, cases[i].bytes, cases[i].n);
        must_refuse(copy, file.n, 0, cases[i].why);
    }
    must_refuse(file.p, 12, 0, "WebP");
    must_refuse(file.p, file.n / 2, 0, "WebP");
    must_refuse("RIFF\0\0\0\0WAVE", 12, 0, "is not a JPEG");
    arena_free(a);
#endif
}

static void hostile_images_are_refused(void **state)
{
    (void)state;
    must_refuse("", 0, 0, "is empty");
    must_refuse("GIF89a", 6, 0, "is not a JPEG");
    must_refuse("BM\x3a\0\0\0", 6, 0, "is not a JPEG");
    must_refuse("<svg/>", 6, 0, "is not a JPEG");
    must_refuse("\x89PNG\r\n\x1a", 7, 0, "is not a JPEG");
    must_refuse("\x89PNG\r\n\x1a\n", 8, 0, "PNG");
    must_refuse("\xff\xd8", 2, 0, "is not a JPEG");
    must_refuse("RIFF\0\0\0\0WEBP", 12, 0, "WebP");
    /* Headers alone. 2,147,483,647 x 1 needed half a minute when the row was made before the size was checked. */
    static const struct {
        const char *size, *crc, *why;
    } heads[] = {{"\x7f\xff\xff\xff\0\0\0\1", "\x2f\x54\xa4\x8a", "2147483647 x 1 pixels are more than the limit"},
                 {"\0\0\xff\xff\0\0\xff\xff", "\x39\x67\x4e\x07", "65535 x 65535 pixels are more than the limit"},
                 {"\0\0\0\0\0\0\0\5", "\x12\x34\x56\x78", "damaged PNG"},
                 {"\0\0\0\5\0\0\0\5", "\x12\x34\x56\x78", "CRC error"}};
    for (size_t i = 0; i < COUNT(heads); i++) {
        char png[58] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
        memcpy(png + 16, heads[i].size, 8);
        memcpy(png + 24, "\x08\x02\0\0\0", 5);
        memcpy(png + 29, heads[i].crc, 4);
        memcpy(png + 33, "\0\0\0\1IDAT\0\0\0\0", 13);
        must_refuse(png, sizeof png, 0, heads[i].why);
    }
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Text bytes;
    assert_true(file_read(&bytes, a, GOLDEN "images/RGB.png", 0, &e));
    must_refuse(bytes.p, bytes.n, 29 * 41 - 1, "more than the limit");
    assert_true(file_read(&bytes, a, GOLDEN "images/baseline.jpg", 0, &e));
    char *big = arena_strndup(a, bytes.p, bytes.n, &e);
    for (size_t i = 0; i + 9 < bytes.n; i++)
        if (memcmp(big + i, "\xff\xc0\x00\x11", 4) == 0)
            memset(big + i + 5, 0xf0, 4); /* 61,680 x 61,680 */
    must_refuse(big, bytes.n, 0, "more than the limit");
    must_refuse(bytes.p, bytes.n - 20, 0, "truncated");
    Image im, out;
    assert_false(image_open(&im, GOLDEN "images/none.jpg", a, &e));
    error_clear(&e);
    char folder[256];
    test_folder(folder);
    test_write(folder, "sparse.jpg", text_of("\xff\xd8\xff"));
    const char *sparse = path_join(a, folder, "sparse.jpg", &e);
    assert_int_equal(truncate(sparse, (off_t)3 << 30), 0);
    assert_false(image_open(&im, sparse, a, &e));
    assert_error(e, SP_FORMAT, "is larger than 1073741824 bytes");
    test_folder_remove(folder);
    assert_true(image_open(&im, GOLDEN "images/RGB.png", a, &e));
    assert_false(image_resize(&out, &im, 0, 5, (Resampling){0}, a, &e));
    error_clear(&e);
    assert_false(image_resize(&out, &im, INT64_MAX / 2, INT64_MAX / 2, (Resampling){0}, a, &e));
    error_clear(&e);
    Preset wide = {.fit = FIT_SHORT_SIDE, .resize = INT64_MAX / 64, .width = 8, .height = 8};
    float x[192];
    assert_false(image_prepare(&im, &wide, x, a, &e));
    arena_free(a);
}

static void values_are_scaled(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    unsigned char grey[12] = {10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120},
                  same[12] = {7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7};
    Image im = {.width = 2, .height = 2, .pixels = grey}, flat = {.width = 2, .height = 2, .pixels = same};
    Preset p = {.width = 2, .height = 2, .mean = {0.485f, 0.456f, 0.406f}, .std = {0.229f, 0.224f, 0.225f}};
    float x[12];
    assert_true(image_prepare(&im, &p, x, a, &e));
    for (int i = 0; i < 12; i++)
        assert_true(x[i] == ((float)grey[i] / 255.0f - p.mean[i % 3]) / p.std[i % 3]);
    p.scale = SCALE_MINMAX;
    assert_true(image_prepare(&im, &p, x, a, &e));
    assert_true(x[0] == 0.0f && x[11] == 1.0f);
    assert_true(image_prepare(&flat, &p, x, a, &e));
    assert_true(x[0] == 0.0f);
    p.scale = SCALE_UNIT;
    assert_true(image_prepare(&im, &p, x, a, &e));
    assert_true(x[11] == 120.0f / 255.0f);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_images_fail_in_one_line),
        cmocka_unit_test(hostile_images_are_refused),
        cmocka_unit_test(hostile_pngs),
        cmocka_unit_test(hostile_jpegs),
        cmocka_unit_test(hostile_webps),
        cmocka_unit_test(values_are_scaled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
