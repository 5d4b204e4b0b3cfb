/* tools/bench/bench_input.c: measures the preparation of an encoder's input: from texts to tokens, and from image files
 * to pixels and numbers. All threads share the work. */
// flags: -Os
#include <stdlib.h>

#include "tools/bench/bench.h"
#include "tools/demo/demo.h"
#ifdef HAVE_JPEG
#include <setjmp.h>

#include <jpeglib.h>
#endif

/* ---- tokenizer ------------------------------------------------------------------------------- */

enum { TASKS = 64 };

typedef struct TokenRun {
    Tokenizer *tokenizer;
    const char *path;
    const Bench *b;
    Text *texts;
    size_t n, tasks;
    Arena **arenas; /* arenas, errors, tokens: one per task */
    Error *errors;
    size_t *tokens;
} TokenRun;

static void tokenize_some(void *arg, size_t task, int worker)
{
    TokenRun *r = arg;
    Arena *a = r->arenas[task];
    (void)worker;
    r->tokens[task] = 0;
    for (size_t i = task * r->n / r->tasks; i < (task + 1) * r->n / r->tasks && !r->errors[task].code; i++) {
        TokenIds ids = {0};
        arena_rewind(a, (ArenaMark){0});
        tokenize(r->tokenizer, r->texts[i], 0, &ids, a, &r->errors[task]);
        r->tokens[task] += ids.count;
    }
}

static void tokens_body(void *arg)
{
    TokenRun *r = arg;
    pool_run(r->b->d->pool, r->tasks, tokenize_some, r);
}

static void open_body(void *arg)
{
    TokenRun *r = arg;
    Arena *a = arena_new(r->b->c->heap, 0);
    if (!a || !tokenizer_load(r->path, a, &r->errors[0]))
        fail_memory(&r->errors[0], 1, "a benchmark");
    arena_free(a);
}

/* Creates arenas for `n` tasks. The caller frees them with close_arenas, also after a failure. */
static Arena **open_arenas(Bench *b, size_t n, Error *e)
{
    Arena **list = NEW(b->arena, Arena *, n, e);
    for (size_t i = 0; list && i < n; i++)
        if (!(list[i] = arena_new(b->c->heap, 0))) {
            fail_memory(e, 1, "a benchmark");
            break;
        }
    return list;
}

static void close_arenas(Arena **list, size_t n)
{
    for (size_t i = 0; list && i < n; i++)
        arena_free(list[i]);
}

/* Takes the lines of the file of --texts, or draws random texts. */
static bool find_texts(Bench *b, TokenRun *r, Error *e)
{
    enum { WORDS = 2000 };
    const char *file = option_text(b->c, "texts");
    Text all = {0}, rest, line;
    if (file && !text_file_read(&all, b->arena, file, e))
        return false;
    r->n = file ? 0 : TASKS;
    for (rest = all; file && text_line(&rest, &line);)
        r->n++;
    if (!r->n)
        return fail(e, SP_USAGE, "%s: is empty", file);
    if (!(r->texts = NEW(b->arena, Text, r->n, e)))
        return false;
    rest = all;
    for (size_t i = 0; i < r->n; i++) {
        if (file)
            text_line(&rest, &r->texts[i]);
        else if (!(r->texts[i] = bench_text(b, WORDS, i, e)).p)
            return false;
    }
    r->tasks = MIN(r->n, (size_t)TASKS);
    return true;
}

static bool measure_tokens(Bench *b, TokenRun *r, Error *e)
{
    size_t bytes = 0, tokens = 0;
    for (size_t i = 0; i < r->n; i++)
        bytes += r->texts[i].n;
    tokens_body(r);
    for (size_t i = 0; i < r->tasks; i++) {
        tokens += r->tokens[i];
        if (r->errors[i].code) {
            *e = r->errors[i];
            return false;
        }
    }
    char shape[64], opening[64];
    snprintf(shape, sizeof shape, "%s-%zu-tokens", tokenizer_kind(r->tokenizer), tokens);
    snprintf(opening, sizeof opening, "%s-open-%lld", tokenizer_kind(r->tokenizer),
             (long long)tokenizer_vocabulary(r->tokenizer));
    Figure f = {"tokenizer", shape, .items = (double)tokens, .item = "tokens/s", .megabytes = (double)bytes / 1e6},
           open = {"tokenizer-open", opening, .items = 1, .item = "files/s"}, bare = f;
    bare.bench = "tokenizer-uncached";
    if ((bench_selects(b, shape) && !bench_measure(b, &f, tokens_body, r, e)) ||
        (bench_selects(b, opening) && !bench_measure(b, &open, open_body, r, e)))
        return false;
    tokenizer_no_cache(r->tokenizer);
    return !bench_selects(b, shape) || bench_measure(b, &bare, tokens_body, r, e);
}

bool bench_tokenizer(Bench *b, const char *path, Error *e)
{
    const char *found = path ? model_find(path, b->arena, e) : demo_encoder("text", b->arena, e);
    if (!found)
        return path      ? false
               : e->code ? false
                         : fail(e, SP_USAGE, "bench tokenizer: name a model; the model of the demo is missing");
    TokenRun r = {.tokenizer = tokenizer_load(found, b->arena, e),
                  .path = found,
                  .b = b,
                  .arenas = open_arenas(b, TASKS, e),
                  .errors = NEW(b->arena, Error, TASKS, e),
                  .tokens = NEW(b->arena, size_t, TASKS, e)};
    bool ok =
        r.tokenizer && r.arenas && r.errors && r.tokens && !e->code && find_texts(b, &r, e) && measure_tokens(b, &r, e);
    close_arenas(r.arenas, TASKS);
    return ok;
}

/* ---- images ---------------------------------------------------------------------------------- */

typedef struct ImageRun {
    Tape *tape;                           /* for the threads that decode */
    enum { DECODE, RESIZE, WHOLE } stage; /* WHOLE: decodes and prepares */
    size_t n;
    const ImageInput *files, *decoded; /* the same images, as files and as pixels */
    Error *errors;                     /* [n]; no image has an error, because all were decoded before */
    float *pixels;                     /* [n, SIDE, SIDE, 3] */
} ImageRun;

enum { SIDE = 224 };

static bool use_image(void *arg, size_t i, const Image *image, Arena *scratch, Error *e)
{
    /* the preprocessing of ResNet-50 and ViT */
    static const Preset PRESET = {.fit = FIT_SHORT_SIDE,
                                  .resize = 256,
                                  .width = SIDE,
                                  .height = SIDE,
                                  .how = {.filter = FILTER_BILINEAR},
                                  .mean = {0.485f, 0.456f, 0.406f},
                                  .std = {0.229f, 0.224f, 0.225f}};
    const ImageRun *r = arg;
    Image out;
    if (r->stage == RESIZE)
        return image_resize(&out, image, SIDE, SIDE, (Resampling){.filter = FILTER_BICUBIC}, scratch, e);
    return r->stage == DECODE || image_prepare(image, &PRESET, r->pixels + i * (size_t)SIDE * SIDE * 3, scratch, e);
}

static void images_body(void *arg)
{
    ImageRun *r = arg;
    Error ignored = {0};
    images_each(r->tape, r->stage == RESIZE ? r->decoded : r->files, r->n, use_image, r, r->errors, &ignored);
}

static bool measure_images(Bench *b, ImageRun *r, const char *kind, Error *e)
{
    static const char *const STAGES[] = {"decode", "resize-224", "whole"};
    const Image *first = &r->decoded[0].pixels;
    double bytes = 0, pixels = 0;
    for (size_t i = 0; i < r->n; i++) {
        bytes += (double)r->files[i].bytes.n;
        pixels += 3.0 * (double)r->decoded[i].pixels.width * (double)r->decoded[i].pixels.height;
    }
    for (int s = DECODE; s <= WHOLE; s++) {
        char shape[96];
        snprintf(shape, sizeof shape, "%s-%s-%lldx%lld", STAGES[s], kind, (long long)first->width,
                 (long long)first->height);
        Figure f = {"image", shape, .items = (double)r->n, .megabytes = (s == RESIZE ? pixels : bytes) / 1e6};
        r->stage = s;
        if (bench_selects(b, shape) && !bench_measure(b, &f, images_body, r, e))
            return false;
    }
    return true;
}

static bool bench_images(Bench *b, const Text *files, const char *const *names, size_t n, const char *kind, Error *e)
{
    ImageInput *inputs = NEW(b->arena, ImageInput, n, e), *decoded = NEW(b->arena, ImageInput, n, e);
    Arena **arenas = open_arenas(b, n, e);
    ImageRun r = {.tape = tape_new(b->d, false, e),
                  .n = n,
                  .files = inputs,
                  .decoded = decoded,
                  .errors = NEW(b->arena, Error, n, e),
                  .pixels = NEW(b->arena, float, n *SIDE *SIDE * 3, e)};
    bool ok = inputs && decoded && arenas && r.tape && r.errors && r.pixels && !e->code;
    /* decoded once: for the resizing, and to report an image that cannot be decoded */
    for (size_t i = 0; ok && i < n; i++) {
        inputs[i].bytes = files[i];
        ok = image_decode(&decoded[i].pixels, files[i], names[i], 0, arenas[i], e);
    }
    ok = ok && measure_images(b, &r, kind, e);
    tape_free(r.tape);
    close_arenas(arenas, n);
    return ok;
}

#ifdef HAVE_JPEG
static void stop_coding(j_common_ptr j)
{
    longjmp(j->client_data, 1);
}

/* Draws an image similar to a photograph: blurred blots with grain. Encodes it as JPEG with quality 90; the caller
 * frees the memory with free(). */
static bool draw_jpeg(Bench *b, uint32_t which, unsigned char **data, unsigned long *bytes, Error *e)
{
    enum { WIDE = 500, HIGH = 375, BLOTS = 12 };
    Image blots = {.width = BLOTS, .height = BLOTS, .pixels = NEW(b->arena, unsigned char, 3 * BLOTS * BLOTS, e)},
          drawn;
    for (uint32_t i = 0; blots.pixels && i < 3 * BLOTS * BLOTS; i++)
        blots.pixels[i] = (unsigned char)draw_below((Draw){3, DRAW_TEST, which}, i, 256);
    if (!blots.pixels || !image_resize(&drawn, &blots, WIDE, HIGH, (Resampling){.filter = FILTER_BICUBIC}, b->arena, e))
        return false;
    for (uint32_t i = 0; i < 3 * WIDE * HIGH; i++)
        drawn.pixels[i] =
            (unsigned char)MIN(drawn.pixels[i] + (int)draw_below((Draw){4, DRAW_TEST, which}, i, 16), 255);
    struct jpeg_compress_struct j = {0};
    struct jpeg_error_mgr errors;
    jmp_buf back;
    j.err = jpeg_std_error(&errors);
    errors.error_exit = stop_coding;
    j.client_data = &back;
    if (setjmp(back)) {
        jpeg_destroy_compress(&j);
        return fail(e, SP_IO, "bench image: libjpeg could not write an image");
    }
    jpeg_create_compress(&j);
    jpeg_mem_dest(&j, data, bytes);
    j.image_width = WIDE;
    j.image_height = HIGH;
    j.input_components = 3;
    j.in_color_space = JCS_RGB;
    jpeg_set_defaults(&j);
    jpeg_set_quality(&j, 90, TRUE);
    jpeg_start_compress(&j, TRUE);
    while (j.next_scanline < j.image_height)
        jpeg_write_scanlines(&j, (JSAMPROW[]){drawn.pixels + (size_t)j.next_scanline * 3 * WIDE}, 1);
    jpeg_finish_compress(&j);
    jpeg_destroy_compress(&j);
    return true;
}

static bool bench_drawn(Bench *b, Error *e)
{
    enum { IMAGES = 16 };
    unsigned char *data[IMAGES] = {0};
    const char *names[IMAGES];
    Text files[IMAGES];
    bool ok = true;
    for (uint32_t i = 0; ok && i < IMAGES; i++) {
        unsigned long bytes = 0;
        ok = draw_jpeg(b, i, &data[i], &bytes, e);
        names[i] = "a drawn image";
        files[i] = (Text){(const char *)data[i], bytes};
    }
    ok = ok && bench_images(b, files, names, IMAGES, "jpeg", e);
    for (size_t i = 0; i < IMAGES; i++)
        free(data[i]);
    return ok;
}
#else
static bool bench_drawn(Bench *b, Error *e)
{
    return !b->c->arg_count || strcmp(b->c->args[0], "image") != 0 || /* "all" skips what this build does not support */
           fail(e, SP_UNSUPPORTED,
                "bench image: name an image or a folder; this build cannot write a JPEG to measure with");
}
#endif

bool bench_image(Bench *b, const char *path, Error *e)
{
    enum { MOST = 256 };
    FolderEntry *list = NULL;
    size_t count = 0, n = 0;
    if (!path)
        return bench_drawn(b, e);
    bool folder = folder_exists(path);
    if (folder && !folder_list(&list, &count, b->arena, path, e))
        return false;
    const char **paths = NEW(b->arena, const char *, MOST, e);
    Text *files = NEW(b->arena, Text, MOST, e);
    if (!paths || !files)
        return false;
    if (!folder)
        paths[n++] = path;
    for (size_t i = 0; i < count && n < MOST; i++)
        if (is_image_name(list[i].name) && !(paths[n++] = path_join(b->arena, path, list[i].name, e)))
            return false;
    if (!n)
        return fail(e, SP_USAGE, "%s: holds no image (.jpg, .jpeg, .png, .webp)", path);
    for (size_t i = 0; i < n; i++)
        if (!file_read(&files[i], b->arena, paths[i], 0, e))
            return false;
    return bench_images(b, files, paths, n, "files", e);
}
