/* tests/image_bounds_test.c: small files that state a large size, or that need time or memory out of proportion. */
#include "extractors/extractors.h"

#include "tests/testing.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#ifdef HAVE_ZLIB
#include <zlib.h>
#endif

static char sapor[600]; /* the path of the command of this build */

typedef struct Bytes {
    unsigned char *p;
    size_t n, room;
} Bytes;

static void append(Bytes *b, const void *data, size_t n)
{
    if (b->n + n > b->room) {
        b->room = 2 * (b->n + n);
        b->p = realloc(b->p, b->room);
        assert_non_null(b->p);
    }
    memcpy(b->p + b->n, data, n);
    b->n += n;
}

static void append_big(Bytes *b, uint32_t v, int bytes)
{
    while (bytes-- > 0)
        append(b, &(unsigned char){(unsigned char)(v >> 8 * bytes)}, 1);
}

static bool decode(Image *im, const Bytes *b, Arena *a, Error *e)
{
    return image_decode(im, (Text){(const char *)b->p, b->n}, "image", 0, a, e);
}

static void must_refuse(Bytes *b, const char *why)
{
    Error e = {0};
    Image im;
    Arena *a = arena_new(NULL, 0);
    if (decode(&im, b, a, &e) || !strstr(e.message, why))
        fail_msg("expected \"%s\", got \"%s\"", why, e.message);
    arena_free(a);
    free(b->p);
    *b = (Bytes){0};
}

/* ---- PNG ------------------------------------------------------------------------------------- */

static uint32_t crc_of(const unsigned char *p, size_t n)
{
    uint32_t c = 0xffffffff;
    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        for (int k = 0; k < 8; k++)
            c = c & 1 ? 0xedb88320 ^ c >> 1 : c >> 1;
    }
    return ~c;
}

static void chunk(Bytes *b, const char *type, const void *data, size_t n)
{
    append_big(b, (uint32_t)n, 4);
    size_t from = b->n;
    append(b, type, 4);
    append(b, data, n);
    append_big(b, crc_of(b->p + from, n + 4), 4);
}

static void png_head(Bytes *b, uint32_t width, uint32_t height, int depth, int colour, int interlaced)
{
    Bytes head = {0};
    *b = (Bytes){0};
    append(b, "\x89PNG\r\n\x1a\n", 8);
    append_big(&head, width, 4);
    append_big(&head, height, 4);
    append(&head, (unsigned char[]){(unsigned char)depth, (unsigned char)colour, 0, 0, (unsigned char)interlaced}, 5);
    chunk(b, "IHDR", head.p, head.n);
    free(head.p);
}

static void sizes_of_pngs(void **state)
{
    (void)state;
    static const struct {
        uint32_t width, height;
        int depth, colour;
        const char *why;
    } cases[] = {
        {178956970, 1, 1, 0, "a side of more than 1000000"},
        {1, 178956970, 8, 2, "a side of more than 1000000"},
        {1000001, 1, 1, 0, "a side of more than 1000000"},
        {1789569700, 1, 1, 0, "more than the limit of 178956970"}, /* ten times wider */
        {42300, 42300, 1, 0, "more than the limit of 178956970"},
        {13377, 13377, 16, 6, "16-bit samples are more than the limit"},
        {42300, 42300, 16, 6, "16-bit samples are more than the limit"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        Bytes b;
        png_head(&b, cases[i].width, cases[i].height, cases[i].depth, cases[i].colour, 0);
        chunk(&b, "IDAT", "", 0);
#ifdef HAVE_PNG
        must_refuse(&b, cases[i].why);
#else
        must_refuse(&b, "image"); /* stb_image has its own messages and limits */
#endif
    }
}

#ifdef HAVE_ZLIB
static void deflated(Bytes *b, const char *type, const char *before, size_t before_n, size_t zeros)
{
    unsigned char *raw = calloc(1, zeros), *packed;
    uLongf n = compressBound(zeros);
    packed = malloc(n + before_n);
    assert_true(raw && packed);
    memcpy(packed, before, before_n);
    assert_int_equal(compress2(packed + before_n, &n, raw, zeros, 9), Z_OK);
    chunk(b, type, packed, n + before_n);
    free(raw);
    free(packed);
}

static void png_of_zeros(Bytes *b, uint32_t width, uint32_t height)
{
    png_head(b, width, height, 1, 0, 0);
    deflated(b, "IDAT", "", 0, (size_t)height * (1 + (width + 7) / 8));
    chunk(b, "IEND", "", 0);
}

/* Each of 400 text chunks inflates to 8 MB. Checks that none is read. */
static void chunks_that_inflate(void **state)
{
    (void)state;
    Bytes b, text = {0};
    deflated(&text, "zTXt", "k\0\0", 3, 7900000);
    png_head(&b, 8, 1, 1, 0, 0);
    for (int i = 0; i < 400; i++)
        append(&b, text.p, text.n);
    deflated(&b, "iCCP", "x\0\0", 3, 80000000);
    deflated(&b, "IDAT", "", 0, 2);
    chunk(&b, "IEND", "", 0);
    Error e = {0};
    Image im;
    Arena *a = arena_new(NULL, 1 << 20);
    clock_t begun = clock();
    assert_ok(decode(&im, &b, a, &e), e);
    assert_true((double)(clock() - begun) / CLOCKS_PER_SEC < 3);
    arena_free(a);
    free(b.p);
    free(text.p);
}
#endif

/* ---- JPEG ------------------------------------------------------------------------------------ */

static void segment(Bytes *b, int marker, const void *data, size_t n)
{
    append(b, (unsigned char[]){0xff, (unsigned char)marker}, 2);
    append_big(b, (uint32_t)n + 2, 2);
    append(b, data, n);
}

/* Writes a progressive file: a scan of all DC coefficients, zeros, then scans of AC coefficients whose blocks all end
 * immediately. */
static void progressive(Bytes *b, int width, int height, int components, int scans)
{
    unsigned char quantise[65] = {0}, codes[18] = {0, 1}, frame[15] = {8}, first[10] = {0}, body[4096];
    size_t blocks = (size_t)((width + 7) / 8) * (size_t)((height + 7) / 8), n = blocks / 32767 + 1;
    *b = (Bytes){0};
    append(b, "\xff\xd8", 2);
    memset(quantise + 1, 1, 64);
    segment(b, 0xdb, quantise, 65);
    frame[1] = (unsigned char)(height >> 8), frame[2] = (unsigned char)height;
    frame[3] = (unsigned char)(width >> 8), frame[4] = (unsigned char)width;
    frame[5] = first[0] = (unsigned char)components;
    for (int c = 0; c < components; c++) {
        frame[6 + 3 * c] = first[1 + 2 * c] = (unsigned char)(c + 1);
        frame[7 + 3 * c] = 0x11;
    }
    segment(b, 0xc2, frame, 6 + 3 * (size_t)components);
    segment(b, 0xc4, codes, 18); /* DC: the one code 0 is "no difference" */
    codes[0] = 0x10;
    codes[17] = 0xe0; /* AC: the one code 0 is a run of 2^14 blocks, plus 14 more bits, that end here */
    segment(b, 0xc4, codes, 18);
    segment(b, 0xda, first, 4 + 2 * (size_t)components);
    for (size_t i = 0; i < blocks * (size_t)components / 8 + 1; i++)
        append(b, "", 1);
    memset(body, 0, sizeof body); /* 15 bits of zero are a run of 16,384 blocks */
    for (int i = 1; i < scans; i++) {
        segment(b, 0xda, "\1\1\0\1\x3f\0", 6);
        append(b, body, MIN(n * 2 * 15 / 8 + 2, sizeof body));
    }
    append(b, "\xff\xd9", 2);
}

static void scans_of_jpegs(void **state)
{
    (void)state;
    Bytes b;
    Error e = {0};
    Image im;
    Arena *a = arena_new(NULL, 0);
    progressive(&b, 640, 480, 1, 90);
    assert_ok(decode(&im, &b, a, &e), e);
    assert_true(im.pixels[0] == 128);
    arena_free(a);
    free(b.p);
    progressive(&b, 640, 480, 1, 9000); /* ten times the number of scans that needed ten seconds on a large image */
    must_refuse(&b, "more than 100 scans");
#ifdef HAVE_JPEG
    progressive(&b, 4900, 4900, 3, 10); /* 144 MB of coefficients and 72 MB of pixels from 140 KB */
    must_refuse(&b, "needs too much memory; save it as baseline JPEG");
#endif
}

/* ---- resizing -------------------------------------------------------------------------------- */

/* Checks images that are much longer than wide: tables of weights are made in blocks, and the bytes are those of
 * columns or rows one by one. */
static void long_images_are_resized_in_blocks(void **state)
{
    (void)state;
    enum { LONG = 300000, SHORT = 17 };
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    unsigned char *pixels = NEW(a, unsigned char, LONG *SHORT * 3, &e);
    for (size_t i = 0; i < (size_t)LONG * SHORT * 3; i++)
        pixels[i] = (unsigned char)(i * 2654435761u >> 13);
    static const Resampling HOWS[] = {
        {FILTER_BICUBIC, RESIZE_PILLOW}, {FILTER_BICUBIC, RESIZE_TORCHVISION}, {FILTER_NEAREST, RESIZE_PILLOW}};
    for (size_t each = 0; each < 2 * COUNT(HOWS); each++) {
        bool turned = each % 2;
        const Image im = {.width = turned ? SHORT : LONG, .height = turned ? LONG : SHORT, .pixels = pixels};
        int64_t w = turned ? 20 : 230, h = turned ? 230 : 20;
        Resampling how = HOWS[each / 2];
        Image whole, part;
        ArenaMark mark = arena_mark(a);
        /* Memory for one block and for the result. A table of all weights would be 10 MB, twice.
         * torchvision resizes the width first: it has 18 MB between the passes. */
        Arena *few = arena_new(NULL, (how.resizer == RESIZE_TORCHVISION ? 40 : 22) << 20);
        assert_ok(image_resize(&whole, &im, w, h, how, few, &e), e);
        for (int64_t i = 0; i < 230; i += 23) {
            bool ok = turned ? image_resize_part(&part, &im, w, h, 0, i, w, 23, how, a, &e)
                             : image_resize_part(&part, &im, w, h, i, 0, 23, h, how, a, &e);
            assert_ok(ok, e);
            for (int64_t y = 0; y < part.height; y++)
                assert_memory_equal(part.pixels + y * part.width * 3,
                                    whole.pixels + ((y + (turned ? i : 0)) * w + (turned ? 0 : i)) * 3,
                                    (size_t)part.width * 3);
            arena_rewind(a, mark);
        }
        arena_free(few);
    }
    /* torchvision resizes the whole image before the crop: to 67200000 x 224 pixels */
    const Image line = {.width = LONG, .height = 1, .pixels = pixels};
    const Preset p = {.fit = FIT_SHORT_SIDE, .resize = 224, .width = 8, .height = 8, .how = HOWS[1]};
    Image part;
    assert_false(image_fit(&part, &line, &p, a, &e));
    assert_error(e, SP_USAGE, "an image of 300000 x 1 cannot be resized to 67200000 x 224");
    arena_free(a);
}

/* ---- a batch --------------------------------------------------------------------------------- */

/* Sixteen files in one batch, with 48 MB of pixels each. Checks that a thread holds one of them at a time. */
static void a_batch_holds_one_image_per_thread(void **state)
{
    (void)state;
#ifndef HAVE_ZLIB
    puts("skipped: this build has no zlib");
    skip();
#else
    char folder[256], out[300];
    Bytes b;
    test_folder(folder);
    snprintf(out, sizeof out, "%s/out.npy", folder);
    png_of_zeros(&b, 4000, 4000);
    for (int i = 0; i < 16; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d.png", i);
        test_write(folder, name, (Text){(const char *)b.p, b.n});
    }
    free(b.p);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execl(sapor, sapor, "encode", "colour-statistics", folder, "-o", out, "--threads", "1", "--quiet",
              (char *)NULL);
        _exit(127);
    }
    int status;
    struct rusage used;
    assert_int_equal(wait4(child, &status, 0, &used), child);
    test_folder_remove(folder);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
        printf("skipped: %s does not run here\n", sapor);
        skip();
    }
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) &&                                                 \
    defined(HAVE_PNG) /* sanitizers need memory of their own; the limit is that of libpng */
    if (used.ru_maxrss > 112 << 10)
        fail_msg("%ld KB", used.ru_maxrss);
#endif
#endif
}

int main(int argc, char **argv)
{
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    snprintf(sapor, sizeof sapor, "%.*s/../sapor", slash ? (int)(slash - argv[0]) : 1, slash ? argv[0] : ".");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_of_pngs),
#ifdef HAVE_ZLIB
        cmocka_unit_test(chunks_that_inflate),
#endif
        cmocka_unit_test(scans_of_jpegs),
        cmocka_unit_test(long_images_are_resized_in_blocks),
        cmocka_unit_test(a_batch_holds_one_image_per_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
