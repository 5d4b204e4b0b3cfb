/* extractors/images.c: encodes images. All threads decode and resize files, bytes or pixels; then the images are
 * encoded in batches. */
#include "extractors/loading.h"

/* PIXELS_EACH, IMAGES_MOST: a thread's share of a batch, in pixels (approximate) and in images (at most). KEPT: bytes
 * of scratch memory that a thread keeps between images. WAITING: bytes of fitted images that wait for the encoder. */
enum { PIXELS_EACH = 224 * 224, IMAGES_MOST = 16, KEPT = 64 << 20, WAITING = 64 << 20 };
/* The number of images that are decoded before the first of them is encoded: DECODED_EACH per thread, at least
 * DECODED_LEAST. It is large enough that a few large images do not leave threads idle. */
enum { DECODED_LEAST = 16, DECODED_EACH = 4 };

/* ---- decoding -------------------------------------------------------------------------------- */

typedef struct Decoding {
    const ImageInput *images;
    size_t first;    /* the number of images[0] in the call */
    Arena **scratch; /* one arena per worker; with arena_per_image, one per image, because decoded images stay in it */
    bool arena_per_image;
    ImageUse *use;
    void *arg;
    Error *errors;
} Decoding;

static void decode_one(void *arg, size_t i, int worker)
{
    const Decoding *d = arg;
    const ImageInput *in = &d->images[i];
    Arena *a = d->scratch[d->arena_per_image ? (int)i : worker];
    Error *e = &d->errors[i];
    Image decoded = {0};
    char name[40];
    const Image *im = in->pixels.pixels ? &in->pixels : &decoded;
    arena_trim(a, KEPT);
    *e = (Error){0};
    snprintf(name, sizeof name, "image %zu", d->first + i + 1);
    if (im == &in->pixels ||
        (in->path ? image_open(&decoded, in->path, a, e) : image_decode(&decoded, in->bytes, name, 0, a, e)))
        d->use(d->arg, i, im, a, e);
}

/* Numbers of the tape's arenas: of the call, and of each worker from FIRST_WORKER on. Texts use the arenas 0 and 1. */
enum { CALL_ARENA = 2, FIRST_WORKER = 3 };

static Arena **worker_arenas(Tape *t, Arena *a, Error *e)
{
    size_t threads = (size_t)pool_threads(tape_device(t)->pool);
    Arena **scratch = NEW(a, Arena *, threads, e);
    for (size_t i = 0; scratch && i < threads; i++)
        if (!(scratch[i] = tape_arena(t, FIRST_WORKER + (int)i, e)))
            return NULL;
    return scratch;
}

static void trim(Tape *t, Arena **scratch)
{
    for (int i = 0; i < pool_threads(tape_device(t)->pool); i++)
        arena_trim(scratch[i], KEPT);
}

bool images_each(Tape *t, const ImageInput *images, size_t n, ImageUse *use, void *arg, Error *errors, Error *e)
{
    Arena *a = tape_arena(t, CALL_ARENA, e);
    Arena **scratch = a ? worker_arenas(t, a, e) : NULL;
    if (!scratch)
        return false;
    Decoding d = {.images = images, .scratch = scratch, .use = use, .arg = arg, .errors = errors};
    pool_run(tape_device(t)->pool, n, decode_one, &d);
    trim(t, scratch);
    return true;
}

/* ---- batches --------------------------------------------------------------------------------- */

/* The run of one call over its images, group by group. While a device other than the CPU computes one group, the host
 * decodes the next. */
typedef struct ImageRun {
    Batches batches;          /* of the group that begins at batches.first */
    const ImageInput *images; /* of the whole call */
    Arena *arena, **scratch;
    size_t decoded; /* the number of fitted[0] in the call */
    Image *fitted;  /* of a decoded group: in the preset's size, or with keep_size in their own size */
    Error *errors;  /* of a decoded group */
    size_t begun;   /* images of the group whose batches were begun and have not ended */
    uint32_t *good; /* numbers of the images in the group that are encoded */
    float *pixels;  /* of one batch; with keep_size, of the running `infer` */
    size_t chunk;   /* images per batch */
} ImageRun;

typedef struct ImageRuns { /* calls that share the decoding of each image */
    ImageRun *run;
    size_t count;
} ImageRuns;

/* Returns the preset that converts an image to numbers. With keep_size, the size is the image's own. */
static Preset preset_of(const Call *c, const Image *im)
{
    Preset p = c->preset;
    if (c->keep_size) {
        p.fit = FIT_SQUASH;
        p.width = im->width;
        p.height = im->height;
    }
    return p;
}

static bool fit_for(const ImageRun *r, size_t i, const Image *whole, Arena *scratch, Error *e)
{
    const Call *c = r->batches.call;
    Image first, fitted;
    if (c->reshape_width > 0) {
        if (!image_resize(&first, whole, c->reshape_width, c->reshape_height, (Resampling){.filter = FILTER_BICUBIC},
                          scratch, e))
            return false;
        whole = &first;
    }
    if (!image_fit(&fitted, whole, &c->preset, scratch, e))
        return false;
    memcpy(r->fitted[i].pixels, fitted.pixels, (size_t)(fitted.width * fitted.height * 3));
    return true;
}

/* Fits an image for each call. A call that cannot use the image does not stop the others. */
static bool fit_one(void *arg, size_t i, const Image *whole, Arena *scratch, Error *e)
{
    const ImageRuns *all = arg;
    (void)e;
    for (size_t k = 0; k < all->count; k++) {
        ArenaMark mark = arena_mark(scratch);
        fit_for(&all->run[k], i, whole, scratch, &all->run[k].errors[i]);
        arena_rewind(scratch, mark);
    }
    return true;
}

typedef struct Values {
    const ImageRun *run;
    const uint32_t *which;
} Values;

static void values_one(void *arg, size_t i, int worker)
{
    const Values *v = arg;
    const Image *im = &v->run->fitted[v->which[i]];
    Preset p = preset_of(v->run->batches.call, im);
    (void)worker;
    image_values(im, &p, v->run->pixels + (int64_t)i * p.width * p.height * 3);
}

static bool infer_images(Batches *b, const uint32_t *which, size_t B, Error *e)
{
    ImageRun *r = (ImageRun *)b;
    const Device *d = tape_device(b->tape);
    Values v = {.run = r, .which = which};
    Preset p = preset_of(b->call, &r->fitted[which[0]]);
    ArenaMark mark = arena_mark(r->arena);
    if (b->call->keep_size && !(r->pixels = NEW(r->arena, float, p.width *p.height * 3, e)))
        return false;
    ImageBatch batch = {.B = (int64_t)B, .height = p.height, .width = p.width, .pixels = r->pixels};
    double begun = trace_begin(d->trace);
    pool_run(d->pool, B, values_one, &v);
    trace_end(d->trace, begun, "prepare", 0, 12.0 * (double)B * (double)p.width * (double)p.height);
    bool ok = call_infer(b->call, b->tape, NULL, &batch, b->now->results, e);
    arena_rewind(r->arena, mark);
    return ok;
}

static InputRows rows_of_image(const Batches *b, size_t output, size_t i, uint32_t image)
{
    size_t D = (size_t)b->call->outputs[output].floats;
    return (InputRows){b->now->results[output].to + i * D, b->to->out[output] + (b->first + image) * D, D};
}

/* Lists the images that could be opened in r->good. Fills the rows of all images with zeros. */
static bool note_errors(ImageRun *r, size_t n, size_t *good, Error *e)
{
    const Batches *b = &r->batches;
    *good = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < b->call->count; k++) {
            size_t D = (size_t)b->call->outputs[k].floats;
            memset(b->to->out[k] + (b->first + i) * D, 0, D * sizeof(float));
        }
        if (r->errors[i].code == SP_OK)
            r->good[(*good)++] = (uint32_t)i;
        else if (!input_failed(b->to, b->first + i, r->images[b->first + i].pixels.pixels ? "image" : NULL,
                               &r->errors[i], e))
            return false;
    }
    return true;
}

/* Allocates memory for `most` images in batches of r->chunk. */
static bool batch_room(ImageRun *r, size_t most, Arena *a, Error *e)
{
    const Call *c = r->batches.call;
    size_t pixels = (size_t)c->preset.width * (size_t)c->preset.height * 3; /* checked by call_new */
    unsigned char *bytes = arena_alloc(a, most, pixels, e);
    r->fitted = NEW(a, Image, most, e);
    r->errors = NEW(a, Error, most, e);
    r->good = NEW(a, uint32_t, most, e);
    r->pixels = arena_alloc(a, r->chunk, pixels * sizeof(float), e);
    if (!bytes || !r->fitted || !r->errors || !r->good || !r->pixels)
        return false;
    for (size_t i = 0; i < most; i++)
        r->fitted[i] = (Image){.width = c->preset.width, .height = c->preset.height, .pixels = bytes + i * pixels};
    return batches_room(&r->batches, (most + r->chunk - 1) / MAX(r->chunk, (size_t)1), r->chunk, 0, a, e);
}

/* Decodes the next n images. If an image cannot be decoded, errors [n] has the reason. */
static void decode(const ImageRun *r, size_t n, bool arena_per_image, ImageUse *use, void *arg, Error *errors)
{
    const Device *d = tape_device(r->batches.tape);
    size_t first = r->decoded;
    Decoding work = {.images = r->images + first,
                     .first = first,
                     .scratch = r->scratch,
                     .arena_per_image = arena_per_image,
                     .use = use,
                     .arg = arg,
                     .errors = errors};
    double begun = trace_begin(d->trace), bytes = 0;
    pool_run(d->pool, n, decode_one, &work);
    for (size_t i = 0; i < n && d->trace; i++)
        bytes += 3.0 * (double)r->fitted[i].width * (double)r->fitted[i].height;
    trace_end(d->trace, begun, "decode", 0, bytes);
}

/* ---- groups ---------------------------------------------------------------------------------- */

/* Copies the rows of the group in progress, if there is one, to the caller's memory. */
static bool end_group(ImageRun *r, size_t total, Error *e)
{
    size_t n = r->begun;
    r->begun = 0;
    if (batches_overlap(&r->batches)) {
        double begun = now_seconds();
        if (!batches_end(&r->batches, e))
            return false;
        r->batches.to->seconds += now_seconds() - begun;
    }
    return n == 0 || call_goes_on(r->batches.call, r->batches.first + n, total, e);
}

/* Begins the batches of the n decoded images. On the CPU, the batches have ended when the function returns. */
static bool begin_group(ImageRun *r, size_t n, size_t total, Error *e)
{
    size_t good;
    double begun = now_seconds();
    r->batches.first = r->decoded;
    r->begun = n;
    if (!note_errors(r, n, &good, e))
        return false;
    for (size_t i = 0; i < good; i += r->chunk)
        if (!batch_run(&r->batches, r->good + i, MIN(r->chunk, good - i), e))
            return false;
    r->batches.to->seconds += now_seconds() - begun;
    return batches_overlap(&r->batches) || end_group(r, total, e);
}

/* Begins the groups of all calls. If a call fails, the errors and the progress of the calls before it are reported
 * first. */
static bool begin_groups(const ImageRuns *all, size_t n, size_t total, Error *e)
{
    bool overlap = batches_overlap(&all->run->batches);
    for (size_t k = 0; k < all->count; k++) {
        Error why = {0};
        if (begin_group(&all->run[k], n, total, overlap ? &why : e))
            continue;
        for (size_t j = 0; overlap && j < k; j++)
            if (!end_group(&all->run[j], total, e))
                return false;
        return overlap && fail(e, why.code, "%s", why.message);
    }
    return true;
}

static bool end_groups(const ImageRuns *all, size_t total, Error *e)
{
    for (size_t k = 0; batches_overlap(&all->run->batches) && k < all->count; k++)
        if (!end_group(&all->run[k], total, e))
            return false;
    return true;
}

/* Encodes all n images for the calls, in groups of at most `most`. */
static bool run_groups(const ImageRuns *all, size_t n, size_t most, bool arena_per_image, ImageUse *use, void *arg,
                       Error *e)
{
    Arena *a = all->run->arena;
    Error *errors = NEW(a, Error, most, e);
    for (size_t k = 0; errors && k < all->count; k++) {
        all->run[k].chunk = MIN(all->run[k].chunk, most);
        if (!batch_room(&all->run[k], most, a, e))
            return false;
    }
    for (size_t first = 0, now; errors && first < n; first += now) {
        now = MIN(most, n - first);
        for (size_t k = 0; k < all->count; k++) {
            all->run[k].decoded = first;
            memset(all->run[k].errors, 0, now * sizeof *errors);
        }
        decode(all->run, now, arena_per_image, use, arg, errors);
        if (!end_groups(all, n, e)) /* of the previous group */
            return false;
        for (size_t k = 0; k < all->count; k++)
            for (size_t i = 0; i < now; i++)
                if (errors[i].code != SP_OK)
                    all->run[k].errors[i] = errors[i];
        if (!begin_groups(all, now, n, e))
            return false;
    }
    return errors && end_groups(all, n, e);
}

static bool run_fitted(const ImageRuns *all, size_t n, Error *e)
{
    size_t threads = (size_t)pool_threads(tape_device(all->run->batches.tape)->pool), largest = 1, bytes = 1;
    for (size_t k = 0; k < all->count; k++) {
        const Call *c = all->run[k].batches.call;
        size_t pixels = (size_t)c->preset.width * (size_t)c->preset.height;
        all->run[k].chunk = threads * MIN(MAX(PIXELS_EACH / MAX(pixels, 1), (size_t)1), (size_t)IMAGES_MOST);
        largest = MAX(largest, all->run[k].chunk);
        bytes += MIN(3 * pixels, (size_t)WAITING);
    }
    size_t most = size_round_up(MAX((size_t)DECODED_LEAST, DECODED_EACH * threads), largest);
    most = MIN(n, MIN(most, MAX((size_t)WAITING / bytes, largest)));
    return run_groups(all, n, most, false, fit_one, (void *)all, e);
}

/* Stores an image for a call with keep_size: without alpha, in its own size. */
static bool make_opaque(void *arg, size_t i, const Image *whole, Arena *scratch, Error *e)
{
    ImageRun *r = arg;
    const Preset *p = &r->batches.call->preset;
    size_t floats;
    if (r->batches.call->one_size && (whole->width != p->width || whole->height != p->height)) {
        const char *path = r->images[r->decoded + i].path;
        return fail(e, SP_USAGE, "%s: has %lld x %lld pixels; this output needs images of one size, %lld x %lld",
                    path ? path : "an image", (long long)whole->width, (long long)whole->height, (long long)p->width,
                    (long long)p->height);
    }
    /* checks only that the number of floats does not overflow */
    if (!size_mul((size_t)whole->width * 3, (size_t)whole->height, &floats))
        return fail_memory(e, SIZE_MAX, "an image");
    /* in the image's own scratch, valid until the next group */
    return image_opaque(&r->fitted[i], whole, p->white, scratch, e);
}

/* Encodes images in their own sizes. A group has one image per thread, and each image is a batch. */
static bool run_own_sizes(ImageRun *r, size_t n, Error *e)
{
    size_t most = MIN(n, (size_t)pool_threads(tape_device(r->batches.tape)->pool));
    r->chunk = 1;
    return run_groups(&(ImageRuns){r, 1}, n, most, true, make_opaque, r, e);
}

bool encode_images_all(const Call *const *calls, Results *results, size_t count, Tape *t, const ImageInput *images,
                       size_t n, Error *e)
{
    for (size_t k = 0; k < count; k++)
        if (calls[k]->modality != MODALITY_IMAGE)
            return fail(e, SP_USAGE, "this call is for texts, not for images");
    if (n == 0 || count == 0)
        return true;
    Arena *a = tape_arena(t, CALL_ARENA, e);
    Arena **scratch = a ? worker_arenas(t, a, e) : NULL;
    ImageRuns fitted = {.run = scratch ? NEW(a, ImageRun, count, e) : NULL};
    bool ok = fitted.run != NULL;
    for (size_t k = 0; ok && k < count; k++) {
        ImageRun r = {.batches = {.call = calls[k],
                                  .tape = t,
                                  .to = &results[k],
                                  .what = "image",
                                  .infer = infer_images,
                                  .rows = rows_of_image},
                      .images = images,
                      .arena = a,
                      .scratch = scratch};
        if (calls[k]->keep_size)
            ok = run_own_sizes(&r, n, e);
        else
            fitted.run[fitted.count++] = r;
    }
    ok = ok && (fitted.count == 0 || run_fitted(&fitted, n, e));
    infer_arrive(t, NULL, &(Error){0}); /* the arenas will be reused */
    if (scratch)
        trim(t, scratch);
    return ok;
}

bool encode_images(const Call *c, Tape *t, const ImageInput *images, size_t n, Results *results, Error *e)
{
    return encode_images_all(&c, results, 1, t, images, n, e);
}
