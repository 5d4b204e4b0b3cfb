/* tests/pixels_test.c: pixels equal Pillow's and torchvision's, and the input of an encoder equals the output of
 * transformers' image processors (tests/golden/make_images.py).
 *
 * The program also works for tests/golden/check_pixels.py. LIST names one image per line. For each image, OUT receives
 * the width and the height as int32 (-1 -1 if the image fails), then its numbers.
 *
 * pixels_test --pixels MODES LIST OUT writes RGB bytes, for each image in all MODES. Modes are separated by commas:
 * "decode", "FILTER W H" (squash), or "FILTER W H SHORT" (short side, then centre crop). FILTER is a name of FILTERS,
 * followed by 12 for Pillow 12 or tv for torchvision.
 *
 * pixels_test --values KIND FOLDER RESIZER LIST OUT writes floats, by FOLDER's preprocessor_config.json and the
 * defaults of that kind of encoders. RESIZER is pil or torchvision. */
#include "extractors/loading.h" /* before cmocka, which has a macro named fail */

#include "tests/testing.h"

#define GOLDEN "tests/golden/"

static const char *const FILTERS[] = {
    [FILTER_BILINEAR] = "bilinear", [FILTER_BICUBIC] = "bicubic", [FILTER_NEAREST] = "nearest",
    [FILTER_BOX] = "box",           [FILTER_HAMMING] = "hamming", [FILTER_LANCZOS] = "lanczos"};

static bool resampling_of(const char *name, Resampling *r)
{
    for (size_t i = 0; i < COUNT(FILTERS); i++) {
        const char *rest = name + strlen(FILTERS[i]);
        if (strncmp(name, FILTERS[i], strlen(FILTERS[i])) != 0)
            continue;
        *r = (Resampling){(Filter)i, strcmp(rest, "tv") == 0   ? RESIZE_TORCHVISION
                                     : strcmp(rest, "12") == 0 ? RESIZE_PILLOW_12
                                                               : RESIZE_PILLOW};
        return *rest == '\0' || r->resizer != RESIZE_PILLOW;
    }
    return false;
}

static bool fitted(Image *out, const Image *im, const char *filter, int w, int h, int shorter, Arena *a, Error *e)
{
    Preset p = {.fit = shorter ? FIT_SHORT_SIDE : FIT_SQUASH, .resize = shorter, .width = w, .height = h};
    if (!resampling_of(filter, &p.how))
        return (fail)(e, SP_USAGE, "unknown filter %s", filter);
    return image_fit(out, im, &p, a, e);
}

/* ---- for check_pixels.py --------------------------------------------------------------------- */

static bool write_mode(Out *out, const Image *whole, const char *mode, Arena *a, Error *e)
{
    char filter[16];
    int w, h, shorter = 0, n = sscanf(mode, "%15s %d %d %d", filter, &w, &h, &shorter);
    Image im = *whole;
    Error local = {0};
    bool ok = whole->pixels && (n < 3 || fitted(&im, whole, filter, w, h, shorter, a, &local));
    int32_t size[2] = {ok ? (int32_t)im.width : -1, ok ? (int32_t)im.height : -1};
    if (!ok)
        fprintf(stderr, "%s: %s\n", mode, local.message);
    return out_write(out, size, sizeof size, e) &&
           (!ok || out_write(out, im.pixels, (size_t)(im.width * im.height * 3), e));
}

static bool write_pixels(Out *out, const char *path, const void *modes, Arena *a, Error *e)
{
    Image whole;
    Error local = {0};
    Text rest = text_of(modes), mode;
    bool ok = true;
    if (!image_open(&whole, path, a, &local)) {
        fprintf(stderr, "%s\n", local.message);
        whole = (Image){0};
    }
    while (ok && text_next(&rest, ',', &mode)) {
        ArenaMark mark = arena_mark(a);
        ok = write_mode(out, &whole, arena_strndup(a, mode.p, mode.n, e), a, e);
        arena_rewind(a, mark);
    }
    return ok;
}

static bool write_values(Out *out, const char *path, const void *preset, Arena *a, Error *e)
{
    const Preset *p = preset;
    Image im;
    Error local = {0};
    size_t n = (size_t)(p->width * p->height * 3);
    float *x = NEW(a, float, n, e);
    bool ok = x && image_open(&im, path, a, &local) && image_prepare(&im, p, x, a, &local);
    int32_t size[2] = {ok ? (int32_t)p->width : -1, ok ? (int32_t)p->height : -1};
    if (!ok)
        fprintf(stderr, "%s\n", local.message);
    return x && out_write(out, size, sizeof size, e) && (!ok || out_write(out, x, n * sizeof *x, e));
}

typedef bool Writer(Out *out, const char *path, const void *how, Arena *a, Error *e);

static int write_all(Writer *write, const void *how, const char *list, const char *path)
{
    Error e = {0};
    Arena *keep = arena_new(NULL, 0), *each = arena_new(NULL, 0);
    Text paths, line;
    Out *out = out_open(path, NULL, &e);
    bool ok = out && file_read(&paths, keep, list, 0, &e);
    while (ok && text_line(&paths, &line)) {
        ArenaMark mark = arena_mark(each);
        ok = write(out, arena_strndup(each, line.p, line.n, &e), how, each, &e);
        arena_rewind(each, mark);
        arena_trim(each, 64 << 20);
    }
    ok = ok ? out_commit(out, &e) : (out_discard(out), false);
    if (!ok)
        fprintf(stderr, "%s\n", e.message);
    arena_free(keep);
    arena_free(each);
    return !ok;
}

static bool preset_of(Preset *p, const char *kind, const char *folder, bool torchvision, Arena *a, Error *e)
{
    const Files files = {.folder = folder};
    for (size_t i = 0; i < encoder_kind_count(); i++)
        if (strcmp(encoder_kind_at(i)->name, kind) == 0)
            return preset_from_folder(p, encoder_kind_at(i)->usual, &files, a, e) &&
                   preset_resizer(p, torchvision ? RESIZE_TORCHVISION : RESIZE_PILLOW, e);
    return (fail)(e, SP_USAGE, "unknown kind %s", kind);
}

static int values_main(char **argv)
{
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Preset p;
    bool ok = preset_of(&p, argv[2], argv[3], strcmp(argv[4], "torchvision") == 0, a, &e);
    if (!ok)
        fprintf(stderr, "%s\n", e.message);
    int status = ok ? write_all(write_values, &p, argv[5], argv[6]) : 1;
    arena_free(a);
    return status;
}

/* ---- goldens --------------------------------------------------------------------------------- */

static uint64_t fnv(const void *data, size_t n)
{
    const unsigned char *p = data;
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

static bool readable(const char *name) /* reports whether this build decodes this file to Pillow's pixels */
{
#ifndef HAVE_JPEG
    if (strstr(name, ".jpg"))
        return false;
#endif
#ifndef HAVE_WEBP
    if (strstr(name, ".webp"))
        return false;
#endif
#ifndef HAVE_PNG /* stb_image takes the high byte of 16-bit grey, and compares tRNS with its own bits */
    static const char *const OTHERS[] = {"I16", "grey16", "palette_short", "grey2_trns3", "sixteen2_trns"};
    for (size_t i = 0; i < COUNT(OTHERS); i++)
        if (strstr(name, OTHERS[i]))
            return false;
#endif
    (void)name;
    return true;
}

static void pixels_are_pillows(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Text rest, line;
    assert_true(file_read(&rest, a, GOLDEN "images/pixels.tsv", 0, &e));
    assert_true(text_line(&rest, &line));
    int cases = 0;
    while (text_line(&rest, &line)) {
        char name[64], filter[16], path[128];
        int w, h, shorter;
        unsigned long long expected;
        assert_int_equal(sscanf(line.p, "%63s %15s %d %d %d %llx", name, filter, &w, &h, &shorter, &expected), 6);
        if (!readable(name)) {
            printf("# skipped: %s: this build does not read it to Pillow's pixels\n", name);
            continue;
        }
        ArenaMark mark = arena_mark(a);
        snprintf(path, sizeof path, GOLDEN "images/%s", name);
        Image im, out;
        if (!image_open(&im, path, a, &e))
            fail_msg("%s", e.message);
        if (strcmp(filter, "none")) {
            assert_ok(fitted(&out, &im, filter, w, h, shorter, a, &e), e);
            im = out;
        }
        assert_int_equal(im.width, w);
        assert_int_equal(im.height, h);
        if (fnv(im.pixels, (size_t)(3 * w * h)) != expected)
            fail_msg("%s %s %d x %d (%d): pixels differ from Pillow's", name, filter, w, h, shorter);
        arena_rewind(a, mark);
        cases++;
    }
    assert_true(cases > 20);
    arena_free(a);
}

/* Checks the floats that a preprocessor_config.json makes of an image: they are those of transformers' image
 * processors, bit by bit. */
static void values_are_the_processors(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Text rest, line;
    char folder[256];
    test_folder(folder);
    assert_true(file_read(&rest, a, GOLDEN "images/values.tsv", 0, &e));
    assert_true(text_line(&rest, &line));
    int cases = 0;
    while (text_line(&rest, &line)) {
        Text cell[6]; /* kind, resizer, image, width x height, hash, preprocessor_config.json */
        for (size_t i = 0; i < COUNT(cell); i++)
            assert_true(text_next(&line, '\t', &cell[i]));
        const char *kind = arena_strndup(a, cell[0].p, cell[0].n, &e);
        const char *path = arena_printf(a, &e, GOLDEN "images/%.*s", (int)cell[2].n, cell[2].p);
        if (!readable(path)) {
            printf("# skipped: %s: this build does not read it to Pillow's pixels\n", path);
            continue;
        }
        ArenaMark mark = arena_mark(a);
        Preset p;
        Image im;
        long long w, h;
        unsigned long long expected;
        assert_int_equal(sscanf(cell[3].p, "%lldx%lld %llx", &w, &h, &expected), 3);
        test_write(folder, "preprocessor_config.json", cell[5]);
        assert_ok(preset_of(&p, kind, folder, text_is(cell[1], "torchvision"), a, &e), e);
        assert_true(p.width == w && p.height == h);
        float *x = NEW(a, float, w *h * 3, &e);
        assert_ok(image_open(&im, path, a, &e) && image_prepare(&im, &p, x, a, &e), e);
        if (fnv(x, (size_t)(w * h * 3) * sizeof *x) != expected)
            fail_msg("%.*s: values differ from those of transformers", (int)(cell[5].p + cell[5].n - cell[0].p),
                     cell[0].p);
        arena_rewind(a, mark);
        cases++;
    }
    assert_true(cases > 10);
    test_folder_remove(folder);
    arena_free(a);
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "--pixels") == 0)
        return write_all(write_pixels, argv[2], argv[3], argv[4]);
    if (argc == 7 && strcmp(argv[1], "--values") == 0)
        return values_main(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pixels_are_pillows),
        cmocka_unit_test(values_are_the_processors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
