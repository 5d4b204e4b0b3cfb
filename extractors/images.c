/* extractors/images.c: images to features: files, bytes or pixels are decoded and resized by all threads, then encoded
 * in batches. */
#include "extractors/loading.h"

/* A thread's share of a batch: about this many pixels, at most so many images. KEPT: bytes of scratch memory that a
 * thread keeps from one image to the next; WAITING: of fitted images that wait for the encoder. */
enum { PIXELS_EACH = 224 * 224, IMAGES_MOST = 16, KEPT = 64 << 20, WAITING = 64 << 20 };
/* Images that are decoded before the first of them is encoded: enough of them that large ones do not leave threads
 * idle. */
enum { DECODED_LEAST = 16, DECODED_EACH = 4 };

/* ---- decoding -------------------------------------------------------------------------------- */

typedef struct Decoding {
    const ImageInput *images;
    size_t first;    /* the number of images[0] in the call */
    Arena **scratch; /* one per worker; one per image where `own` */
    bool own;
    ImageUse *use;
    void *arg;
    Error *errors;
} Decoding;

static void decode_one(void *arg, size_t i, int worker)
{
    const Decoding *d = arg;
    const ImageInput *in = &d->images[i];
    Arena *a = d->scratch[d->own ? (int)i : worker];
    Error *e = &d->errors[i];
    Image decoded;
    char name[40];
    const Image *im = in->pixels.pixels ? &in->pixels : &decoded;
    arena_trim(a, KEPT);
    *e = (Error){0};
    snprintf(name, sizeof name, "image %zu", d->first + i + 1);
    if (im == &in->pixels ||
        (in->path ? image_open(&decoded, in->path, a, e) : image_decode(&decoded, in->bytes, name, 0, a, e)))
        d->use(d->arg, i, im, a, e);
}

/* The tape's arenas: of the call, and of each worker from FIRST_WORKER on. Texts have numbers 0 and 1. */
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

typedef struct ImageRun {
    const Call *call;
    Tape *tape;
    const ImageInput *images; /* of the whole call; those at work begin with `first` */
    size_t first;
    Results *to;
    Arena **scratch;
    Image *fitted; /* of the images at work: in the preset's size, or with keep_size in their own */
    Error *errors; /* of the images at work */
    size_t *good;  /* which of them are to be encoded */
    float *pixels; /* of a batch */
    Inferred *results;
} ImageRun;

/* The numbers that the preset gives, [height, width, 3]; a kept size counts as the preset's. */
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

static bool fit_one(void *arg, size_t i, const Image *whole, Arena *scratch, Error *e)
{
    const ImageRun *r = arg;
    const Call *c = r->call;
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

typedef struct Values {
    const ImageRun *run;
    const size_t *which;
} Values;

static void values_one(void *arg, size_t i, int worker)
{
    const Values *v = arg;
    const Image *im = &v->run->fitted[v->which[i]];
    Preset p = preset_of(v->run->call, im);
    (void)worker;
    image_values(im, &p, v->run->pixels + (int64_t)i * p.width * p.height * 3);
}

/* [h, w, c] -> [c, h, w] */
static void to_torch_order(const int64_t map[3], const float *in, float *out)
{
    int64_t C = map[0], HW = map[1] * map[2];
    for (int64_t c = 0; c < C; c++)
        for (int64_t i = 0; i < HW; i++)
            out[c * HW + i] = in[i * C + c];
}

static bool failed(const ImageRun *r, size_t i, const Error *why, Error *e)
{
    r->to->refused++;
    return input_failed(r->to, r->first + i, "image", why, e);
}

static bool keep_rows(const ImageRun *r, size_t j, size_t i, Error *e)
{
    Error why = {0};
    for (size_t k = 0; k < r->call->count; k++) {
        size_t D = (size_t)r->call->outputs[k].floats;
        if (!check_finite(r->call->encoder, r->results[k].to + j * D, D, &why))
            return failed(r, i, &why, e);
    }
    for (size_t k = 0; k < r->call->count; k++) {
        const CallOutput *o = &r->call->outputs[k];
        const float *from = r->results[k].to + (int64_t)j * o->floats;
        float *to = r->to->out[k] + (int64_t)(r->first + i) * o->floats;
        if (o->map[0])
            to_torch_order(o->map, from, to);
        else
            memcpy(to, from, (size_t)o->floats * sizeof *to);
    }
    return true;
}

/* Images that fail together are tried one by one, as a row does not depend on its neighbours. */
static bool run_batch(const ImageRun *r, const size_t *which, size_t B, Error *e)
{
    const Device *d = tape_device(r->tape);
    Values v = {.run = r, .which = which};
    Preset p = preset_of(r->call, &r->fitted[which[0]]);
    ImageBatch batch = {.B = (int64_t)B, .height = p.height, .width = p.width, .pixels = r->pixels};
    Error why = {0};
    double begun = trace_begin(d->trace);
    pool_run(d->pool, B, values_one, &v);
    trace_end(d->trace, begun, "prepare", 0, 12.0 * (double)B * (double)p.width * (double)p.height);
    if (!call_infer(r->call, r->tape, NULL, &batch, r->results, &why)) {
        if (!r->to->status || why.code == SP_MEMORY)
            return fail(e, why.code, "%s", why.message);
        for (size_t i = 0; B > 1 && i < B; i++)
            if (!run_batch(r, which + i, 1, e))
                return false;
        return B > 1 || failed(r, which[0], &why, e);
    }
    for (size_t j = 0; j < B; j++)
        if (!keep_rows(r, j, which[j], e))
            return false;
    return true;
}

/* The images that could be opened, in r->good; the rows of all become zeros. */
static bool note_errors(ImageRun *r, size_t n, size_t *good, Error *e)
{
    *good = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < r->call->count; k++) {
            size_t D = (size_t)r->call->outputs[k].floats;
            memset(r->to->out[k] + (r->first + i) * D, 0, D * sizeof(float));
        }
        if (r->errors[i].code == SP_OK)
            r->good[(*good)++] = i;
        else if (!input_failed(r->to, r->first + i, r->images[r->first + i].pixels.pixels ? "image" : NULL,
                               &r->errors[i], e))
            return false;
    }
    return true;
}

/* Memory for `most` images at work in batches of `chunk`. */
static bool batch_room(ImageRun *r, size_t most, size_t chunk, Arena *a, Error *e)
{
    const Call *c = r->call;
    size_t pixels = (size_t)c->preset.width * (size_t)c->preset.height * 3; /* checked by call_new */
    unsigned char *bytes = arena_alloc(a, most, pixels, e);
    r->fitted = NEW(a, Image, most, e);
    r->errors = NEW(a, Error, most, e);
    r->good = NEW(a, size_t, most, e);
    r->pixels = arena_alloc(a, chunk, pixels * sizeof(float), e);
    r->results = NEW(a, Inferred, c->count, e);
    if (!bytes || !r->fitted || !r->errors || !r->good || !r->pixels || !r->results)
        return false;
    for (size_t i = 0; i < most; i++)
        r->fitted[i] = (Image){c->preset.width, c->preset.height, bytes + i * pixels};
    for (size_t k = 0; k < c->count; k++) {
        size_t D = (size_t)c->outputs[k].floats;
        if (!(r->results[k].to = arena_alloc(a, chunk, D * sizeof(float), e)))
            return false;
        r->results[k].room = chunk * D;
    }
    return true;
}

static void decode(ImageRun *r, size_t n, bool own, ImageUse *use)
{
    const Device *d = tape_device(r->tape);
    Decoding work = {
        .images = r->images + r->first, .scratch = r->scratch, .own = own, .use = use, .arg = r, .errors = r->errors};
    double begun = trace_begin(d->trace), bytes = 0;
    pool_run(d->pool, n, decode_one, &work);
    for (size_t i = 0; i < n && d->trace; i++)
        bytes += 3.0 * (double)r->fitted[i].width * (double)r->fitted[i].height;
    trace_end(d->trace, begun, "decode", 0, bytes);
}

static bool run_fitted(ImageRun *r, size_t n, Arena *a, Error *e)
{
    const Call *c = r->call;
    size_t threads = (size_t)pool_threads(tape_device(r->tape)->pool);
    size_t pixels = (size_t)c->preset.width * (size_t)c->preset.height;
    size_t chunk = threads * MIN(MAX(PIXELS_EACH / MAX(pixels, 1), (size_t)1), (size_t)IMAGES_MOST);
    size_t most = size_round_up(MAX((size_t)DECODED_LEAST, DECODED_EACH * threads), chunk);
    most = MIN(n, MIN(most, MAX((size_t)WAITING / MAX(3 * pixels, 1), chunk)));
    chunk = MIN(chunk, most);
    if (!batch_room(r, most, chunk, a, e))
        return false;
    for (size_t now, good; r->first < n; r->first += now) {
        now = MIN(most, n - r->first);
        decode(r, now, false, fit_one);
        if (!note_errors(r, now, &good, e))
            return false;
        for (size_t i = 0; i < good; i += chunk)
            if (!run_batch(r, r->good + i, MIN(chunk, good - i), e))
                return false;
        if (!call_goes_on(c, r->first + now, n, e))
            return false;
    }
    return true;
}

/* ---- images that keep their size ------------------------------------------------------------- */

static bool keep_one(void *arg, size_t i, const Image *whole, Arena *scratch, Error *e)
{
    ImageRun *r = arg;
    size_t floats;
    (void)scratch;
    if (!size_mul((size_t)whole->width * 3, (size_t)whole->height, &floats))
        return fail_memory(e, SIZE_MAX, "an image");
    r->fitted[i] = *whole; /* in its own scratch until the next group */
    return true;
}

/* As many images are decoded as there are threads; each is then a batch of its own size. */
static bool run_kept(ImageRun *r, size_t n, Arena *a, Error *e)
{
    size_t most = MIN(n, (size_t)pool_threads(tape_device(r->tape)->pool));
    if (!batch_room(r, most, 1, a, e))
        return false;
    for (size_t now, good; r->first < n; r->first += now) {
        now = MIN(most, n - r->first);
        decode(r, now, true, keep_one);
        if (!note_errors(r, now, &good, e))
            return false;
        for (size_t i = 0; i < good; i++) {
            const Image *im = &r->fitted[r->good[i]];
            ArenaMark mark = arena_mark(a);
            if (!(r->pixels = NEW(a, float, im->width * im->height * 3, e)) || !run_batch(r, r->good + i, 1, e))
                return false;
            arena_rewind(a, mark);
        }
        if (!call_goes_on(r->call, r->first + now, n, e))
            return false;
    }
    return true;
}

bool encode_images(const Call *c, Tape *t, const ImageInput *images, size_t n, Results *results, Error *e)
{
    ImageRun r = {.call = c, .tape = t, .images = images, .to = results};
    if (c->modality != MODALITY_IMAGE)
        return fail(e, SP_USAGE, "this call is for texts, not for images");
    if (n == 0)
        return true;
    Arena *a = tape_arena(t, CALL_ARENA, e);
    if (!a || !(r.scratch = worker_arenas(t, a, e)))
        return false;
    bool ok = c->keep_size ? run_kept(&r, n, a, e) : run_fitted(&r, n, a, e);
    trim(t, r.scratch);
    return ok;
}
